#!/bin/bash
# A mount outlives the process that serves it. Its worker is killed again and again under load (200 times with PACT_SOAK): it
# serves again within a second, each call that was under way is completed, exactly once, and open files, locks, working
# directories and watches are what they were; what others changed meanwhile is announced. The supervisor is killed: the
# mount is dead, says so, and nothing shows below it.
# shellcheck disable=SC2016  # what is given to `eval` expands there
. "$(dirname "$0")/lib.sh"

kills=${KILLS:-$(repeated 200)} writers=8 slowest=0 total=0 limit_ms=$(limit 1000 20000)
a=$WORK/a b=$WORK/b logs=$WORK/logs

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
kill_worker() {
    worker=$(worker_of "$(mount_pid "$a")")
    kill -9 "$worker"
}
# Another than the one that was killed serves.
replaced() { now=$(worker_of "$(mount_pid "$a")") && [[ $now && $now != "$worker" ]]; }

start_pactd
mkdir -p "$a" "$logs" "$WORK/conn"
echo 'below the mount' >"$a/below"
start_mount "$a"
start_mount "$b"
mount -t fusectl none "$WORK/conn" || fail "the connections cannot be looked at"
trap 'umount "$WORK/conn"; cleanup' EXIT
# shellcheck disable=SC2034  # for `eval`
waiting=$WORK/conn/$(mountpoint -d "$a" | cut -d: -f2)/waiting
for ((i = 0; i < writers; i++)); do mkdir -p "$a/load/$i"; done
mkdir "$a/load/queue" "$a/kept" "$a/kept/deep"
echo kept >"$a/kept/file"
: >"$a/kept/locked"

echo "# what must stay"
exec 5<"$a/kept/file" 6<"$a/kept/locked" 7<"$a/kept"
flock -x 6
cd "$a/kept/deep" || fail "cd"
inotifywait -m -q -e create,moved_to,modify,delete --format '%e %f' "$a/kept" >>"$WORK/events" 2>"$WORK/watch.log" &
watcher=$!
rm -f "$WORK/go"
bash -c 'echo hello >"$1/owned-{owner=$$}"; exec sleep 1000' _ "$a" &
owner=$!
bash -c 'cd "$1"; until [[ -e $2/stop ]]; do [[ $(<file) == kept ]] || { echo "read: $(<file)"; exit 1; }; done' _ "$a/kept" "$WORK" &
reader=$!
eventually test -e "$a/owned-" || fail "the owned file is not made"
established() { touch "$b/kept/probe" && sync "$a" && grep -q probe "$WORK/events"; }
eventually established || fail "the watch is not there"
rm "$b/kept/probe"

echo "# $kills kills under load"
"$PACT_TESTS/crash_writer" "$a/load" "$logs" $writers worker &
load=$!
steps() { cat "$logs"/* 2>/dev/null | wc -l; }
eventually eval '(($(steps) > 100))'
for ((i = 1; i <= kills; i++)); do
    sleep "0.0$((RANDOM % 100))" # any moment will do
    begun=$(now_ms)
    kill_worker
    echo changed >"$b/kept/during-$i"
    mkdir "$a/probe" || fail "kill $i: a call of our own fails"
    took=$(($(now_ms) - begun))
    rmdir "$a/probe" || fail "kill $i: rmdir"
    ((took <= limit_ms)) || fail "kill $i: served again only after $took ms"
    ((took <= slowest)) || slowest=$took
    total=$((total + took))
    kill -0 "$load" 2>/dev/null || fail "kill $i: the load has ended"
    # shellcheck disable=SC2034  # for `eval`
    before=$(steps)
    eventually eval '(($(steps) > before + writers))' || fail "kill $i: the load stands still"
done
kill "$load"
wait "$load" || fail "a call failed as it may not"
line=$("$PACT_TESTS/crash_check" "$a/load" "$logs" $writers) || fail "$line"
pass "$kills kills: served again after $((total / kills)) ms, at most $slowest; $line"

echo "# what has stayed"
check "an open file" test "$(cat <&5)" == kept
check "an open directory" test -e /proc/self/fd/7/file
check "the working directory" test "$(cd .. && cat file)" == kept
check "a lock" not flock -n "$b/kept/locked" true
flock -u 6
sync "$b"
check "until it is given up" eventually flock -n "$b/kept/locked" true
check "the watch has seen each file that others made" eventually eval '(($(grep -o "during-[0-9]*" "$WORK/events" | sort -u | wc -l) == kills))'
check "what hangs on a process" test -e "$b/owned-"
kill -9 $owner
check "and goes with it" eventually not test -e "$b/owned-"
: >"$WORK/stop"
check "a reader has read nothing else all the time" wait $reader
check "nothing waits" eventually eval '[[ $(<"$waiting") == 0 ]]'
check "nobody is stuck" eventually eval '! ps -e -o state=,comm= | grep -E "^D.*(pactfs|crash_writer)"'
check "one session was enough" test "$(grep -c "session .*: opened" "$WORK/pactd.log")" == 2

echo "# what changed while nobody served"
cd / # programs look at their working directory, and close what they inherit
exec 5<&- 6<&- 7<&-
echo x >"$a/kept/gone"
echo x >"$a/kept/old"
cat "$a/kept/gone" "$a/kept/old" >/dev/null
echo x >"$b/kept/unseen"
echo x >"$b/kept/unseen-too"
mkdir "$b/kept/names"
echo x >"$b/kept/names/never-looked-at"
sync "$b"
sync "$a"
inotifywait -m -q -e delete,attrib --format '%e %f' "$a/kept/names" >"$WORK/names" 2>"$WORK/watch.log" &
names=$!
names_watched() { chmod 700 "$b/kept/names" && grep -q ATTRIB "$WORK/names"; }
eventually names_watched || fail "the watch is not there"
sync "$a"
eventually grep -qx 'events_pending 0' "$a/.pact/session" || fail "not all is announced"
: >"$WORK/events"
: >"$WORK/names"
kill -STOP "$(mount_pid "$a")" # no other is started before we say so
kill_worker
rm "$b/kept/gone"
mv "$b/kept/old" "$b/kept/new"
echo more >>"$b/kept/file"
mkdir "$b/kept/made"
echo more >>"$b/kept/unseen"
chmod 600 "$b/kept/unseen-too"
rm "$b/kept/names/never-looked-at"
kill -CONT "$(mount_pid "$a")"
eventually replaced
for event in 'DELETE gone' 'MOVED_TO new' 'MODIFY file' 'CREATE,ISDIR made' 'MODIFY unseen'; do
    check "$event" eventually grep -qx "$event" "$WORK/events"
done
# If its making was announced late, the kernel does know it.
check "a directory whose removed name nobody here knew is to be looked at" eventually grep -qE 'ATTRIB,ISDIR|DELETE never' "$WORK/names"
kill $names
touch "$b/kept/after"
eventually grep -qx 'CREATE after' "$WORK/events"
check "nothing is made that was there: $(grep CREATE "$WORK/events" | tr '\n' ';')" test "$(grep -c CREATE "$WORK/events")" == 2
sync "$a"
: >"$WORK/events"
worker=$(worker_of "$(mount_pid "$a")")
dd of="$a/kept/file" conv=notrunc status=none <<<again # the kernel tells of the write; the commit is told a little later
kill -9 "$worker"
eventually replaced
told_twice() { (($(grep -cx 'MODIFY file' "$WORK/events") >= 2)); }
check "and of what was committed here just before the kill" eventually told_twice
kill $watcher

echo "# signals to end that come to the worker"
: >"$a/kept/locked"
exec 6<"$a/kept/locked"
flock -x 6
for signal in TERM HUP INT USR1; do
    worker=$(worker_of "$(mount_pid "$a")")
    kill -$signal "$worker"
    check "SIG$signal: another goes on" eventually replaced
    test -d "$a/kept" || fail "SIG$signal: it does not serve"
done
check "with what was held" not flock -n "$b/kept/locked" true
exec 6<&-

echo "# a terminal's signal comes to both"
mkdir "$WORK/c"
set -m # a process group of its own
start_mount "$WORK/c"
set +m
closed=$(grep -c ': closed' "$WORK/pactd.log")
kill -INT -- "-$(mount_pid "$WORK/c")"
ended "$(mount_pid "$WORK/c")" "the mount"
unset "MOUNT_PIDS[$WORK/c]"
check "and ends the mount cleanly" test "$(grep -c ': closed' "$WORK/pactd.log")" == $((closed + 1))

echo "# a writer that had not closed"
exec 8>"$a/kept/half"
echo half >&8
kill_worker
eventually replaced
check "what it wrote is lost, and it is told" not sh -c 'echo more >&8'
exec 8>&-
check "and there is no such file" not test -e "$b/kept/half"

echo "# crashes, while changes of others are announced"
while [[ ! -e $WORK/quiet ]]; do mkdir "$b/kept/announced" && rmdir "$b/kept/announced"; done &
noise=$!
for ((i = 0; i < 4; i++)); do
    worker=$(worker_of "$(mount_pid "$a")")
    kill -ABRT "$worker"
    eventually replaced || fail "crash $i: no other comes"
    test -d "$a/kept" || fail "crash $i: it does not serve"
done
touch "$WORK/quiet"
wait $noise
# Usually the next is the last; but one that takes long to end counts as killed.
supervisor_ended() { ! kill -0 "$(mount_pid "$a")" 2>/dev/null; }
for ((i = 0; i < 20; i++)); do
    ! supervisor_ended || break
    worker=$(worker_of "$(mount_pid "$a")")
    [[ ! $worker ]] || kill -ABRT "$worker"
    eventually eval 'replaced || supervisor_ended'
done
supervisor_ended || fail "twenty crashes do not end it"
wait "$(mount_pid "$a")"
check "five crashes within ten seconds end the mount with status 1" test $? == 1
check "which is said" grep -q '5 crashes within 10 s: the mount has ended' "$a.log"

echo "# the supervisor is killed"
unset "MOUNT_PIDS[$a]"
start_mount "$a"
check "a dead mount is mounted over" test -d "$a/kept"
exec 5<"$a/kept/file"
worker=$(worker_of "$(mount_pid "$a")")
kill_hard "$(mount_pid "$a")"
check "the worker ends with it" eventually not kill -0 "$worker"
dead() { [[ $(ls "$a" 2>&1) == *'Transport endpoint is not connected' ]]; }
check "the mount is not connected" eventually dead
check "nor can anything be written there" not touch "$a/below-too"
exec 5<&-
umount "$a"
check "below, nothing was" test "$(ls "$a")" == below
unset "MOUNT_PIDS[$a]"

echo "# no replica answers while another worker begins"
start_mount "$a" -o op_timeout=1s
mkdir "$a/outage"
kill_hard "$PACTD_PID"
kill_worker
check "it waits" eventually grep -q "the mount at $a waits" "$a.log"
mkdir "$a/outage/asked" &
asking=$!
start_pactd
check "and serves when one is back" wait $asking
check "another time" test -d "$a/outage/asked"
kill_hard "$PACTD_PID"
kill_worker
eventually replaced
umount -l "$a"
ended "$(mount_pid "$a")" "a mount that waits, unmounted,"
unset "MOUNT_PIDS[$a]"
start_pactd
start_mount "$a"
kill_hard "$PACTD_PID"
kill_worker
eventually replaced
kill "$(mount_pid "$a")"
ended "$(mount_pid "$a")" "a mount that waits, told to end,"
unset "MOUNT_PIDS[$a]"
check "and is unmounted" test "$(ls "$a")" == below

start_pactd

echo "# a root that others move, or remove"
mkdir "$b/sub" "$b/sub/first" "$b/gone"
sync "$b"
start_mount "$a" -o root=/sub
start_mount "$WORK/c" -o root=/gone
mv "$b/sub" "$b/moved"
mkdir -p "$b/sub/second"
rmdir "$b/gone"
mkdir -p "$b/gone/another"
sync "$b"
sync "$a"
sync "$WORK/c" 2>/dev/null
removed=$(ls "$WORK/c" 2>&1)
kill_worker
eventually replaced
check "the next worker shows the one that was mounted" test "$(ls "$a")" == first
worker=$(worker_of "$(mount_pid "$WORK/c")")
kill -9 "$worker"
check "and nothing in place of one that is gone" test "$(ls "$WORK/c" 2>&1)" == "$removed"
check "nor can anything be made there" not mkdir "$WORK/c/made"
stop_mount "$WORK/c"
stop_mount "$a"

echo "# a history that is older than what was seen"
start_mount "$a" -o op_timeout=1s
stop_pactd
cp -a "$DATA" "$DATA.older"
start_pactd
eventually mkdir "$a/later"
mkdir "$a/later/"{1..9}
kill_hard "$PACTD_PID"
mv "$DATA" "$DATA.later"
mv "$DATA.older" "$DATA"
start_pactd
stop_pactd
start_pactd
ctl create /instead x >"$WORK/said" # in an epoch that is above the other's by now
kill_worker
check "is refused by the next worker, too" eventually grep -q "the mount at $a waits" "$a.log"
kill_hard "$PACTD_PID"
rm -r "$DATA"
mv "$DATA.later" "$DATA"
start_pactd
check "which waits for the newer one" test -d "$a/later"
stop_mount "$a"

echo "# embedded"
stop_mount "$b"
stop_pactd
DATA=$WORK/embedded
start_embedded "$a"
mkdir "$a/embedded"
mount_at "$b" "$(<"$DATA/address")" -o "key=$DATA/mount.key"
for ((i = 0; i < 3; i++)); do
    kill_worker
    mkdir "$a/embedded/$i" || fail "embedded: a call of our own fails"
    mkdir "$b/embedded/$i-too" || fail "embedded: a call on the other mount fails"
done
check "an embedded replica comes back with the worker" test "$(find "$a/embedded" -mindepth 1 | wc -l)" == 6
stop_mount "$b"
kill -STOP "$(mount_pid "$a")" # no other is started before we say so
kill_worker
mv "$DATA" "$DATA.away"
: >"$DATA"
kill -CONT "$(mount_pid "$a")"
wait "$(mount_pid "$a")"
check "if it cannot, the mount ends with status 1" test $? == 1
check "and stays, dead" dead
umount "$a"
unset "MOUNT_PIDS[$a]"
finish
