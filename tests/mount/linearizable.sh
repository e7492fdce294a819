#!/bin/bash
# What `-o consistency=linearizable` and `sync DIR` promise: a value whose write has returned anywhere is what is read,
# 1,000 times of 1,000; also through a replica that led, stood still, and does not know yet that another one leads now.
# Mounts without either show that old values would be there to be read.
. "$(dirname "$0")/lib.sh"

times=1000 rounds=6
[[ ! ${PACT_SANITIZED:-} ]] || times=100 rounds=2

start_ensemble 3
start_mount "$WORK/w"
for i in 1 2 3; do # each knows one replica only, so that it stays with it
    mount_at "$WORK/l$i" "127.0.0.1:${CLIENT_PORTS[i]}" -o consistency=linearizable
    mount_at "$WORK/s$i" "127.0.0.1:${CLIENT_PORTS[i]}"
done
L=$(leader)
F=$((L % 3 + 1))

echo "# $times values, each read at once through another mount"
# What is refused, because the machine stood still for so long that there was no leader, is tried again. (Not the
# shell's own echo: it does not look at what close returns.)
put() { until /bin/echo "$1" >"$WORK/w/value"; do echo "$1" >>"$WORK/refused"; done 2>/dev/null; }
# old_ones MNT COMMAND...: how many reads through MNT, each after COMMAND, show an old value (of fewer on a machine that
# is too busy)
old_ones() {
    local mnt=$1 old=0 i value deadline=$((SECONDS + 30))
    shift
    for ((i = 1; i <= times && SECONDS < deadline; i++)); do
        put "$i"
        until "$@"; do :; done 2>/dev/null
        until read -r value <"$mnt/value"; do :; done 2>/dev/null
        [[ $value == "$i" ]] || { old=$((old + 1)) && echo "$mnt: $value instead of $i" >>"$WORK/old"; }
    done
    echo "$old"
}
told() { ! tail -n 20 "$WORK/refused" "$WORK/old" 2>/dev/null; }
put 0
sync "$WORK/l$F" "$WORK/s$F"
check "with the option, through a follower" test "$(old_ones "$WORK/l$F" true)" = 0 || told
check "with the option, through the leader" test "$(old_ones "$WORK/l$L" true)" = 0
times=$((times / 5))
check "with sync before it, through a follower" test "$(old_ones "$WORK/s$F" sync "$WORK/s$F")" = 0
echo "# without, through a follower: $(old_ones "$WORK/s$F" true) of $times old"

echo "# a name made elsewhere is found at once"
missed=0
for ((i = 0; i < times; i++)); do
    mkdir "$WORK/w/d$i"
    [[ -d $WORK/l$F/d$i ]] || missed=$((missed + 1))
done
check "found, $times times" test $missed = 0
for ((i = 0; i < times; i++)); do
    rmdir "$WORK/w/d$i"
    ls "$WORK/l$F" >"$WORK/listed"
    ! grep -qx "d$i" "$WORK/listed" || missed=$((missed + 1))
done
check "once it is gone, no longer listed" test $missed = 0

echo "# a leader that stood still while another one was elected"
# The leader and its mounts are stopped; then reads begin at these mounts, and a write elsewhere; then all go on. So the
# reads ask a replica that believes to lead and whose tree, as theirs, is old.
stopped() { [[ $(ps -o state= -p "$1") == T ]]; }
stale=0 wrong=0 failed=0
for ((round = 1; round <= rounds; round++)); do
    eventually leader || fail "nobody leads"
    L=$(leader)
    eventually mountpoint -q "$WORK/s$L"
    put "old $round"
    sync "$WORK/s$L" "$WORK/l$L" || fail "the mounts of the leader do not answer"
    asleep=("$(worker_of "$(mount_pid "$WORK/l$L")")" "$(worker_of "$(mount_pid "$WORK/s$L")")" "${REPLICA_PIDS[L]}")
    ((round % 2)) || asleep=("${asleep[2]}" "${asleep[0]}" "${asleep[1]}")
    kill -STOP "${asleep[@]}"
    for pid in "${asleep[@]}"; do eventually stopped "$pid"; done
    cat "$WORK/l$L/value" >"$WORK/linearizable" 2>"$WORK/error" &
    readers=($!)
    (sync "$WORK/s$L" && cat "$WORK/s$L/value") >"$WORK/synced" 2>"$WORK/error" &
    readers+=($!)
    cat "$WORK/s$L/value" >"$WORK/plain" 2>"$WORK/error" &
    readers+=($!)
    put "new $round"
    kill -CONT "${asleep[@]}"
    wait "${readers[@]}"
    for read in linearizable synced; do
        case $(<"$WORK/$read") in
        "new $round") ;;
        '') failed=$((failed + 1)) ;;
        *) wrong=$((wrong + 1)) && echo "# round $round, $read: $(<"$WORK/$read")" ;;
        esac
    done
    [[ $(<"$WORK/plain") != "old $round" ]] || stale=$((stale + 1))
done
check "$rounds times: no old value, neither with the option nor after sync" test $wrong = 0
check "and they are answered ($failed of $((2 * rounds)) refused)" test $failed -lt $rounds
check "what neither asks does read old values ($stale of $rounds)" test $stale -gt 0
finish
