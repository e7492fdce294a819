#!/bin/bash
# How soon writes go on when the leader dies, or hangs, under load: the time from the signal to the first write that was
# begun after it and is done, through another replica's mount. No acknowledged write is lost, none is done twice.
#
# Three replicas, a mount of each; on every mount writers that note each outcome (crash_writer.c, crash_check.c). COUNT
# times each (with PACT_SOAK 100): SIGKILL, SIGSTOP. Then followers are killed, and nobody else may notice.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"

kills=5 stops=3 followers=3 limit_ms=$(limit 350 5000) slow_us=$(limit 200000 5000000)
if [[ ${PACT_SANITIZED:-} ]]; then kills=3 stops=2 followers=1 limit_ms=10000 slow_us=10000000; fi
if [[ ${PACT_SOAK:-} ]]; then kills=100 stops=100 followers=20; fi
kills=${COUNT:-$kills} stops=${COUNT:-$stops} followers=${COUNT:-$followers}
writers=2

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
mnt() { echo "$WORK/mnt-$1"; }

# first_write MNT NAME BEGUN_MS: prints how long it took
first_write() {
    until mkdir "$1/$2" 2>/dev/null; do
        (($(now_ms) - $3 < 60000)) || return 1
    done
    echo $(($(now_ms) - $3))
}

# The mount of replica I is on it again.
settle() {
    local i
    for i in 1 2 3; do
        attached_to "$i" "$(mnt "$i")" && continue
        end_load "$i"
        stop_mount "$(mnt "$i")"
        start_mount_on "$i" "$(mnt "$i")"
        begin_load "$i"
    done
}

declare -a LOADS=() ROUNDS=(0 0 0 0)
begin_load() {
    local dir
    dir=$(mnt "$1")/load-$1-${ROUNDS[$1]} logs=$WORK/logs-$1-${ROUNDS[$1]}
    mkdir -p "$logs" "$dir"/queue "$dir"/{0..1}
    "$PACT_TESTS/crash_writer" "$dir" "$logs" $writers &
    LOADS[$1]=$!
}

acknowledged=0 unknown=0 refused=0
end_load() {
    local line a r u
    kill "${LOADS[$1]}"
    wait "${LOADS[$1]}" || fail "a call failed as it may not, on the mount of replica $1"
    # another mount judges
    judge=$(mnt $(($1 % 3 + 1)))
    until sync "$judge" 2>/dev/null; do :; done
    line=$("$PACT_TESTS/crash_check" "$judge/load-$1-${ROUNDS[$1]}" "$WORK/logs-$1-${ROUNDS[$1]}" $writers) ||
        fail "replica $1's mount: $line"
    read -r _ a _ r _ u _ <<<"$line"
    acknowledged=$((acknowledged + a)) refused=$((refused + r)) unknown=$((unknown + u))
    ROUNDS[$1]=$((ROUNDS[$1] + 1))
}

# percentiles FILE: sorted; p50 and p99
percentiles() {
    sort -n "$1" | awk '{ v[NR] = $1 } END { printf "p50 %d p99 %d max %d", v[int((NR - 1) * 0.5) + 1],
        v[int((NR - 1) * 0.99) + 1], v[NR] }'
}

# rounds SIGNAL COUNT
rounds() {
    local signal=$1 count=$2 round leader pid other began own
    : >"$WORK/$signal-other" && : >"$WORK/$signal-own"
    for ((round = 1; round <= count; round++)); do
        settle
        leader=$(leader) || fail "nobody leads"
        pid=${REPLICA_PIDS[$leader]} other=$(mnt $((leader % 3 + 1)))
        sleep "0.$(printf '%03d' $((RANDOM % 300)))" # any moment will do
        began=$(now_ms)
        kill -"$signal" "$pid"
        first_write "$(mnt "$leader")" "$signal-$round-own" "$began" >>"$WORK/$signal-own" &
        own=$!
        first_write "$other" "$signal-$round" "$began" >>"$WORK/$signal-other" || fail "$signal: no write is done in a minute"
        wait $own || fail "$signal: the mount of the leader does not come back in a minute"
        [[ ! ${VERBOSE:-} ]] || echo "# $signal $round: replica $leader, other $(tail -1 "$WORK/$signal-other"), own $(tail -1 "$WORK/$signal-own") ms"
        if [[ $signal == KILL ]]; then
            kill_replica "$leader"
            start_replica "$leader"
        else
            kill -CONT "$pid"
        fi
        eventually follows "$leader" || fail "replica $leader does not follow after SIG$signal"
    done 2>/dev/null
}

start_ensemble 3
for i in 1 2 3; do
    start_mount_on $i "$(mnt $i)"
    begin_load $i
done

for signal in KILL STOP; do
    if [[ $signal == KILL ]]; then rounds KILL "$kills"; else rounds STOP "$stops"; fi
    other=$(percentiles "$WORK/$signal-other") own=$(percentiles "$WORK/$signal-own")
    read -r _ p50 _ <<<"$other"
    ((p50 <= limit_ms)) || fail "SIG$signal of the leader: $other ms"
    pass "SIG$signal of the leader, $(wc -l <"$WORK/$signal-other") times: the first write through another mount after $other ms, through its own after $own ms"
done

echo "# a follower dies"
settle
mkdir "$(mnt 1)/pace"
slowest=0
for ((round = 1; round <= followers; round++)); do
    settle
    leader=$(leader) follower=$((leader % 3 + 1)) other=$(mnt $(((leader + 1) % 3 + 1)))
    "$PACT_TESTS/pace" "$other/pace" >"$WORK/pace" &
    pace=$!
    sleep 0.3
    kill_replica $follower
    sleep 0.7
    kill $pace && wait $pace
    read -r _ written _ _ _ _ _ max _ bad <"$WORK/pace"
    ((written > 0 && bad == 0)) || fail "writes failed when a follower died"
    ((max <= slowest)) || slowest=$max
    start_replica $follower
    eventually follows $follower || fail "replica $follower does not follow"
done
((slowest <= slow_us)) || fail "a write of another replica's mount took $slowest µs when a follower died"
pass "a follower died $followers times: no write through another replica's mount took more than $((slowest / 1000)) ms"

for i in 1 2 3; do end_load $i; done
for i in 1 2 3; do stop_mount "$(mnt $i)"; done
pass "$acknowledged writes acknowledged: 0 lost, 0 twice; $refused refused, $unknown unknown"
stop_ensemble
finish
