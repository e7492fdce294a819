#!/bin/bash
# Two hosts change the same names at the same moment. Each is told of its own changes at once and of the other's a
# little later, so not in the order in which they were done; but who keeps a set of names by the events of each has the
# right one in the end. SEED=N for the same choices again.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/mount/ghost/lib.sh
. "$(dirname "$0")/ghost/lib.sh"

seed=${SEED:-$RANDOM}

# kept: the names that somebody has who goes by the types of events
kept() {
    awk '$5 == "." { next } $3 ~ /^(DELETE|MOVED_FROM)/ { delete has[$5] } $3 ~ /^(CREATE|MOVED_TO)/ { has[$5] = 1 }
         END { for (name in has) print name }' "$1" | sort
}

# both SCENARIO COUNT: with a watcher on each mount; $A/$scenario and $B/$scenario are one directory
both() {
    local scenario=$1 mnt
    mkdir "$A/$scenario"
    eventually test -d "$B/$scenario" || fail "the second mount lags behind"
    watch "$A/$scenario" && mv "$WORK/events" "$WORK/events-a" && first=$WATCHER
    watch "$B/$scenario" && mv "$WORK/events" "$WORK/events-b"
    "$PACT_TESTS/ghost_both" "$scenario" "$A/$scenario" "$B/$scenario" "$2" "$seed" >"$WORK/number" 2>"$WORK/said" ||
        fail "$scenario: $(<"$WORK/said")"
    announced
    eventually settled "$A" || fail "still $(counter "$A" pending) changes to announce"
    end_watch
    WATCHER=$first
    end_watch
    for mnt in a b; do
        diff <(ls "$WORK/$mnt/$scenario") <(kept "$WORK/events-$mnt") >"$WORK/wrong" && continue
        wrong=$(sed -n 's/^[<>] //p' "$WORK/wrong" | head -1)
        fail "$scenario, seed $seed: the watcher of $mnt is wrong about $(grep -c '^[<>]' "$WORK/wrong") names of $(<"$WORK/number");" \
            "last told of $wrong: $(awk -v n="$wrong" '$5 == n { print $3 }' "$WORK/events-$mnt" | tail -8 | tr '\n' ' ')"
    done
    pass "$scenario: $(<"$WORK/number") times, both know what is there; $(sed -n '$=' "$WORK/events-b") events"
}

start_two
for scenario in removed again moved; do both "$scenario" 40; done
for round in 1 2 3 4; do
    both "any-$round" 100
    seed=$((seed + 1))
done
none_refused
stop_two
finish
