#!/bin/bash
# Who watches what a process owns is told when that process is killed, on its own mount as on another: a mount removes
# what the dead owned by itself, and the kernel must be told of that like of a change from elsewhere.
. "$(dirname "$0")/lib.sh"
start_pactd
start_mount "$WORK/a"
start_mount "$WORK/b"
mkdir "$WORK/a/own" "$WORK/a/other"
sync "$WORK/b"
check "on its own mount" "$PACT_TESTS/owner_watch" "$WORK/a/own" "$WORK/a/own" "$(repeated 1000)"
check "on another" "$PACT_TESTS/owner_watch" "$WORK/a/other" "$WORK/b/other" "$(repeated 1000)"
finish
