#!/bin/bash
# Ten thousand (with PACT_SOAK; else 2,000) renames of each kind through one mount, as fast as they go, watched on another: both halves reported
# exactly once, in the order of each directory.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/mount/ghost/lib.sh
. "$(dirname "$0")/ghost/lib.sh"

start_four
change write "$EACH" "$A"/{0,1,2,3}
announced
bursts rename exchange

# Moves between directories: both halves have one cookie, every name leaves and arrives once.
watch "$B"/{0,1,2,3}
change move "$EACH" "$A"/{0,1,2,3}
announced
end_watch
same_order MOVED_FROM "$DIRS" move
awk '$3 == "MOVED_FROM" { from[$4] = $2 "/" $5 }
     $3 == "MOVED_TO" { sub("m", "g", $5); print from[$4], ($2 + 3) % 4 "/" $5 }' "$WORK/events" | sort >"$WORK/pairs"
[[ $(wc -l <"$WORK/pairs") == $((EACH * DIRS)) ]] || fail "move: $(wc -l <"$WORK/pairs") arrivals"
awk '$1 != $2' "$WORK/pairs" | grep . && fail "move: wrong cookies"
pass "move: $((EACH * DIRS)) files to the next directory, each with one cookie for both events"

none_refused
stop_two
finish
