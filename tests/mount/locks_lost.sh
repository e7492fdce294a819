#!/bin/bash
# Locks in an ensemble: they outlive the leader, a wait outlives an outage, and a host that falls silent loses what it
# held, knows that it did, and never writes under it again.
. "$(dirname "$0")/lib.sh"

start_ensemble 3
for i in 1 2 3; do start_mount_on "$i" "$WORK/m$i" -o session_timeout=120s; done
m1=$WORK/m1 m2=$WORK/m2 m3=$WORK/m3
ways() { "$PACT_TESTS/lock_ways" "$@"; }
lines() { [[ $(grep -c -- "$2" "$m3/.pact/locks") == "$1" ]]; }
token() { getfattr --absolute-names --only-values -n user.pact.lock_zxid "$1"; }
declare -A HELD_BY=()
hold_flock() { # NAME FILE [OPTION...]: holds it, or waits, until let_go NAME
    rm -f "$WORK/$1" "$WORK/$1.in"
    mkfifo "$WORK/$1.in"
    setsid flock "${@:3}" "$2" sh -c 'echo locked; exec cat' < <(exec cat "$WORK/$1.in") >"$WORK/$1" 2>&1 &
    HELD_BY[$1]=$!
}
let_go() {
    : >"$WORK/$1.in"
    wait "${HELD_BY[$1]}" 2>/dev/null
}
got() { grep -q locked "$WORK/$1"; }

echo "# the leader dies"
hold_flock holder "$m1/l"
check "one holds" eventually got holder
hold_flock waiter "$m2/l"
check "another waits" eventually lines 1 '^l flock exclusive waits'
before=$(token "$m3/l")
dead=$(leader)
kill_replica "$dead"
eventually leader
check "another leads: the lock is as it was" test "$(token "$m3/l")" == "$before"
check "the waiter still waits" eval "lines 1 waits && ! got waiter"
let_go holder
check "and gets it" eventually got waiter
check "with a larger token" eventually eval "(($(token "$m2/l") > before))"
let_go waiter
start_replica "$dead"
eventually all_follow

echo "# leaders die under a counter"
rounds=$(repeated 200)
echo 000000000 >"$m1/n"
sync "$m2" "$m3"
pids=()
for ((i = 0; i < 12; i++)); do
    ways count "$WORK/m$((i % 3 + 1))/n" "$rounds" flock &
    pids+=($!)
done
for _ in 1 2; do
    sleep 0.5 # some work between them
    dead=$(leader)
    kill_replica "$dead"
    eventually leader
    start_replica "$dead"
    eventually all_follow
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=$((failed + 1)); done
sync "$m1" "$m2" "$m3"
check "12 processes on 3 mounts, leaders killed: no call fails" test "$failed" == 0
check "the counter is exact: $((12 * rounds))" test "$((10#$(<"$m3/n")))" == $((12 * rounds))
check "nothing is left" test ! -s "$m3/.pact/locks"

echo "# no quorum"
hold_flock holder "$m1/l"
eventually got holder
hold_flock waiter "$m2/l"
eventually lines 1 waits
lead=$(leader)
gone=()
for i in 1 2 3; do [[ $i == "$lead" ]] || gone+=("$i"); done
for i in "${gone[@]}"; do kill_replica "$i"; done
refused() { [[ $(flock -n "$m3/other" true 2>&1) == *Read-only* ]]; }
check "new locks are refused: EROFS" eventually refused
let_go holder # the close is not lost
check "the waiter waits" not got waiter
for i in "${gone[@]}"; do start_replica "$i"; done
check "with a quorum again the release is done: the waiter has it" eventually got waiter
let_go waiter

echo "# a host falls silent"
stop_mount "$m1"
# In the background, as no child of this shell: bash cannot have one stopped.
"$PACT_BIN/pactfs" "$SERVERS" "$m1" -o session_timeout=2s || fail "the mount does not start"
daemon=$(pgrep -f -x "$PACT_BIN/pactfs $SERVERS $m1 -o session_timeout=2s")
trap 'kill -9 "$daemon"; umount -l "$m1"; cleanup' EXIT
echo old >"$m1/data"
mkfifo "$WORK/commands"
# The holder forks nothing: a child would hang closing its copies while the mount stands.
cat >"$WORK/holder.py" <<END
import fcntl, os, sys
f = os.open("$m1/data", os.O_RDWR)
r = os.open("$m1/data", os.O_RDONLY)
fcntl.flock(f, fcntl.LOCK_EX)
print("locked", flush=True)
def what(call):
    try:
        call()
        return "OK"
    except OSError as error:
        return os.strerror(error.errno)
for line in sys.stdin:
    print(what({"write": lambda: os.pwrite(f, b"NEW", 0), "lock": lambda: fcntl.flock(f, fcntl.LOCK_SH),
                "read": lambda: os.pread(r, 3, 0), "other": lambda: open("$m1/other-file", "w")}[line.strip()]), flush=True)
END
setsid python3 "$WORK/holder.py" <"$WORK/commands" >"$WORK/lost" 2>&1 &
python=$!
exec 9>"$WORK/commands"
asked=0
holder() { # OUTCOME COMMAND
    asked=$((asked + 1))
    echo "$2" >&9
    eventually eval "((\$(wc -l <'$WORK/lost') == asked + 1))" && [[ $(tail -1 "$WORK/lost") == "$1" ]]
}
check "it holds a lock" eventually grep -q locked "$WORK/lost"
setsid flock "$m1/l2" sleep 1000 &
sleeper=$!
check "and another" eventually lines 1 '^l2 flock exclusive holds'
hold_flock there "$m2/l2"
eventually lines 1 waits
hold_flock here "$m1/l2"
eventually lines 2 waits
before=$(token "$m3/data")
kill -STOP "$(worker_of "$daemon")"
check "another host gets the lock when the session is over" flock -w 60 "$m2/data" sh -c "getfattr --absolute-names --only-values -n user.pact.lock_zxid $m2/data >$WORK/after; echo theirs >$m2/data"
check "with a larger token" test "$(<"$WORK/after")" -gt "$before"
check "its waiter, too" eventually got there
kill -CONT "$(worker_of "$daemon")"
check "whoever waited on the silent host is told: ESTALE" eventually grep -q 'Stale file handle' "$WORK/here"
check "the former holder cannot write" holder 'Stale file handle' write
check "nor lock again" holder 'Stale file handle' lock
check "nor make anything else" holder 'Stale file handle' other
check "but read" holder OK read
check "the file is the next holder's" test "$(<"$m3/data")" == theirs
let_go there
let_go here
kill "$python"
wait "$python" 2>/dev/null
check "others on that mount lock as before" eventually flock -n "$m1/data" true
kill "$(pgrep -P "$sleeper")"
umount -l "$m1"
check "it ends" eventually not kill -0 "$daemon"
trap cleanup EXIT
stop_mount "$m2"
stop_mount "$m3"
stop_ensemble
finish
