#!/bin/bash
# Ten thousand (with PACT_SOAK; else 2,000) names of each kind made and removed through one mount, as fast as they go, watched on another: every
# create and delete is reported exactly once, in the order of its directory.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/mount/ghost/lib.sh
. "$(dirname "$0")/ghost/lib.sh"

start_four
bursts mkdir rmdir create symlink write replace
change rename "$EACH" "$A"/{0,1,2,3}
announced
bursts unlink
none_refused
stop_two
finish
