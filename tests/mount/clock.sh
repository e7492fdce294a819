#!/bin/bash
# A replica whose clock was an hour ahead, and was put right: entries have stamps of the future then, and no stamp goes
# back. Time goes on all the same: what is written later is later, and TTLs run out.
. "$(dirname "$0")/lib.sh"
preload=$(find /usr/lib -name libfaketime.so.1 -print -quit)
check "libfaketime is there" test -n "$preload"
# With a sanitizer, whose library would come first.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0

ahead_pactd() { LD_PRELOAD=$preload FAKETIME=+1h FAKETIME_DONT_FAKE_MONOTONIC=1 start_pactd; }
mtime_ns() { stat -c '%.9Y' "$1" | tr -d .; }
later() { (($(mtime_ns "$2") > $(mtime_ns "$1"))); }
m=$WORK/m

ahead_pactd
start_mount "$m"
mkdir "$m/d"
echo 1 >"$m/d/ahead"
ahead_s=$(($(mtime_ns "$m/d/ahead") / 1000000000 - EPOCHSECONDS))
check "written while the clock was ahead: $ahead_s s" test $ahead_s -gt 3500 -a $ahead_s -lt 3700
stop_mount "$m"
stop_pactd

start_pactd
start_mount "$m"
echo 2 >"$m/d/first"
echo 3 >"$m/d/second"
check "put right, its stamps do not go back" not later "$m/d/first" "$m/d/ahead"
check "and what is written later is later" later "$m/d/first" "$m/d/second"
echo 4 >"$m/d/{ttl=1s}short"
check "a TTL runs out" eventually not test -e "$m/d/short"
stop_mount "$m"
stop_pactd
finish
