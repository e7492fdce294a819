#!/bin/bash
# 50 processes on five mounts of three replicas contend for one lock, by flock and by a queue of directories, while those
# who have it are killed with -9, mounts stand still and leaders die: a counter that it guards is never wrong, fencing
# tokens grow, each is served in its turn, and in the end nobody holds anything.
. "$(dirname "$0")/lib.sh"
turns=200
[[ ! ${PACT_SOAK:-} ]] || turns=10000
start_ensemble 3
mounts=()
for i in 1 2 3 4 5; do
    start_mount "$WORK/m$i" -o session_timeout=60s
    mounts+=("$WORK/m$i")
done
mkdir "${mounts[0]}/queue"
: >"${mounts[0]}/lock"

stops=0 failovers=0
trouble() { # until $1 has ended
    local mnt old pause
    while kill -0 "$1" 2>/dev/null; do
        mnt=${mounts[RANDOM % 5]}
        kill -STOP "$(worker_of "$(mount_pid "$mnt")")"
        printf -v pause '0.%03d' $((RANDOM % 800 + 100))
        sleep "$pause" # how long it stands still
        kill -CONT "$(worker_of "$(mount_pid "$mnt")")"
        stops=$((stops + 1))
        sleep 1.5 # so that there are turns in between
        ((stops % 3 == 0)) || continue
        old=$(leader)
        kill_replica "$old"
        leader >/dev/null || fail "nobody leads"
        start_replica "$old"
        failovers=$((failovers + 1))
    done
}
contend() { # flock|queue
    local how=$1 began=$SECONDS
    : >"${mounts[0]}/counter"
    sync "${mounts[@]}"
    "$PACT_TESTS/contend" "$how" "$turns" "${mounts[@]}" >"$WORK/$how.said" 2>&1 &
    local pid=$!
    stops=0 failovers=0
    trouble $pid
    check "$how: never wrong" wait $pid || sed 's/^/#   /' "$WORK/$how.said"
    echo "# $(tail -1 "$WORK/$how.said"); $((SECONDS - began)) s, mounts stood still $stops times, $failovers leaders killed"
}
no_locks() { [[ ! -s ${mounts[$1]}/.pact/locks ]]; }
free_at_once() { flock --nonblock "${mounts[$1]}/lock" true; }

contend flock
for i in 0 4; do
    check "nobody holds or waits" eventually no_locks $i
    check "it can be had at once" eventually free_at_once $i
done
contend queue
empty() { sync "${mounts[2]}" && [[ -z $(ls "${mounts[2]}/queue") ]]; }
check "the queue is empty" eventually empty
check "every replica has the same digest" eventually same_digests
finish
