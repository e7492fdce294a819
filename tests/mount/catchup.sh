#!/bin/bash
# A replica comes back that missed COUNT transactions, then one with an empty disk joins COUNT znodes, while writes go on
# through another replica's mount: what that costs these writes. COUNT is 50,000; with PACT_SOAK a million, and then the
# 99th percentile may at most double.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"

default=50000 limit_s=120
if [[ ${PACT_SANITIZED:-} ]]; then default=3000; fi
if [[ ${PACT_SOAK:-} ]]; then default=1000000 limit_s=600; fi
count=${COUNT:-$default} mnt=$WORK/mnt

# writes_while NAME COMMAND...: p50 and p99 (µs) of writes while the command runs, at least 2 s
writes_while() {
    local name=$1 pace began=$SECONDS
    shift
    mkdir "$mnt/$name"
    "$PACT_TESTS/pace" "$mnt/$name" >"$WORK/pace-$name" &
    pace=$!
    "$@" || fail "$name: $*"
    until ((SECONDS >= began + 2)); do sleep 0.05; done
    kill $pace && wait $pace
    read -r _ written _ p50 _ p99 _ max _ bad <"$WORK/pace-$name"
    ((written > 0 && bad == 0)) || fail "$name: writes failed: $(cat "$WORK/pace-$name")"
    figures="$written writes, p50 $p50 µs, p99 $p99 µs, max $max µs"
}

# Nothing is asked meanwhile: on two processors each asking would be among the slowest writes.
comes_back() {
    local began=${EPOCHREALTIME/./} log=$WORK/replica-$f.log known
    known=$(wc -l <"$log")
    start_replica "$f"
    timeout "$limit_s" grep -q "replica $f: follows" < <(exec tail -n "+$((known + 1))" -s 60 -f --pid="${REPLICA_PIDS[$f]}" "$log") || return 1
    took_ms=$(((${EPOCHREALTIME/./} - began) / 1000))
    eventually follows "$f"
}

start_ensemble 3
l=$(leader) f=$((l % 3 + 1)) g=$(((l + 1) % 3 + 1))
start_mount_on $g "$mnt"
stop_replica $f
began=${EPOCHREALTIME/./}
"$PACT_TESTS/bench/bench_bare" populate "127.0.0.1:${CLIENT_PORTS[$l]}" "$count" >"$WORK/populate" || fail "populate"
echo "# $count transactions in $(((${EPOCHREALTIME/./} - began) / 1000)) ms"

writes_while alone sleep $((${PACT_SOAK:+8} + 2))
quiet=$p99
pass "without: $figures"
writes_while missed comes_back
pass "a replica that missed $count transactions is back after $took_ms ms: $figures"
missed=$p99
stop_replica $f
rm -rf "$WORK/data-$f"
writes_while new comes_back
pass "a new one with $count znodes after $took_ms ms: $figures"
new=$p99
if [[ ${PACT_SOAK:-} ]]; then
    check "p99 at most doubled: $quiet, $missed, $new µs" test "$missed" -le $((2 * quiet)) -a "$new" -le $((2 * quiet))
fi

check "every replica has the same digest" eventually same_digests

stop_mount "$mnt"
stop_ensemble

# Who took a snapshot from the leader goes on to make its own: else its log would grow for ever.
start_ensemble 3 --snapshot-every 100
l=$(leader) f=$((l % 3 + 1)) g=$(((l + 1) % 3 + 1))
start_mount_on $g "$mnt"
stop_replica $f
rm -rf "$WORK/data-$f"
for ((n = 0; n < 4; n++)); do # small enough that one slice holds it, and larger
    head -c 300000 /dev/urandom >"$mnt/large-$n"
    for ((k = 0; k < 150; k++)); do mkdir "$mnt/$n-$k"; done
done
start_replica $f --snapshot-every 100
log=$WORK/replica-$f.log
check "a new one takes the leader's snapshot" eventually grep -q 'a snapshot at zxid .* comes from the leader' "$log"
check "and follows" eventually follows $f
known=$(wc -l <"$log")
for ((k = 0; k < 250; k++)); do mkdir "$mnt/after-$k"; done
own_snapshot() { tail -n "+$((known + 1))" "$log" | grep -q 'snapshot at zxid .* ms$'; }
check "then it makes snapshots of its own" eventually own_snapshot
stop_mount "$mnt"
stop_ensemble

# All are killed while one is far behind. The leader's tree has what its log has, and nobody knows yet whether that is
# committed: who needs a snapshot, and is needed for a quorum, is sent the one on disk, and the log.
start_ensemble 3 --snapshot-every 100
l=$(leader) f=$((l % 3 + 1)) g=$(((l + 1) % 3 + 1))
start_mount_on $g "$mnt"
kill_replica $f
for ((k = 0; k < 230; k++)); do mkdir "$mnt/while-away-$k"; done
kill_replica "$l"
kill_replica $g
start_replica "$l" --snapshot-every 100
start_replica $f --snapshot-every 100
check "one that is far behind makes a quorum with one that was killed" eventually leader
check "and has all of it" eventually test -d "$mnt/while-away-229"
check "  written to as well" mkdir "$mnt/after-all"
start_replica $g --snapshot-every 100
check "every replica has the same digest" eventually same_digests
stop_mount "$mnt"
stop_ensemble
finish
