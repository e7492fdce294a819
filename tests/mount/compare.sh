#!/bin/bash
# Replicas whose memory goes bad. The members compare their states at equal zxids: the one that differs from the
# majority stops and says why, the others go on; started again it has what the disk has, and that is right.
. "$(dirname "$0")/lib.sh"

mnt=$WORK/mnt
start_ensemble 3
start_mount "$mnt"
for i in {1..50}; do echo "create /n$i value"; done | ctl txn - >/dev/null || fail "txn"
leader=$(leader)
odd=$((leader % 3 + 1))
third=$((6 - leader - odd))
stopped() { ! kill -0 "${REPLICA_PIDS[$1]}" 2>/dev/null; }
says() { grep -q "$2" "$WORK/replica-$1.log"; }
level() { [[ $(SERVERS=127.0.0.1:${CLIENT_PORTS[$1]} ctl digest) == "$(ctl digest)" ]]; }
eventually level "$odd" || fail "replica $odd lags behind"

# goes_bad REPLICA: a file's bytes change in its memory; with the next append its state is another one
goes_bad() {
    local text=poke-me-$RANDOM-$RANDOM
    echo "$text" >"$mnt/file"
    sync "$mnt" || fail "sync"
    eventually level "$1" || fail "replica $1 lags behind"
    "$PACT_TESTS/poke" "${REPLICA_PIDS[$1]}" "$text" >/dev/null || fail "replica $1 does not hold $text"
    echo more >>"$mnt/file"
}

goes_bad "$odd"
check "the one that differs stops" eventually stopped "$odd"
check "it says why" says "$odd" "the state of replica $odd is not that of replica $leader: the majority is with the latter"
wait "${REPLICA_PIDS[odd]}" && fail "it ended with status 0"
check "the others go on" ctl set /n2 other
start_replica "$odd"
check "started again, it is level" eventually level "$odd"

goes_bad "$leader"
check "a leader in the minority stops" eventually stopped "$leader"
check "the others elect another one" eventually ctl set /n4 other
start_replica "$leader"
check "started again, it is level as well" eventually level "$leader"

leader=$(leader) odd=$((leader % 3 + 1)) third=$((6 - leader - odd))
kill_replica "$third"
goes_bad "$odd"
check "of two that differ, both stop" eventually stopped "$odd"
check "as nobody knows who is right" eventually stopped "$leader"
check "and say so" says "$leader" "there is no majority for either"
for i in 1 2 3; do
    start_replica "$i"
done
check "from their disks, all is well again" eventually ctl set /n6 other
check "nothing is lost" test "$(ctl get /n4)" == other
stop_mount "$mnt"
stop_ensemble
finish
