#!/bin/bash
# Ghosts that the kernel holds, for real: behind a directory's lock, a permission listener, a local mkdir that waits
# for the quorum. The mount goes on serving, other directories' events come, and the daemon can be stopped and killed.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/mount/ghost/lib.sh
. "$(dirname "$0")/ghost/lib.sh"

# reported PATTERN: the watcher has seen it
reported() { grep -qE "$1" "$WORK/events"; }

# serves: what a user does on the second mount, while ghosts are stuck in other directories. The ghosts stay stuck
# until release, so that it comes back at all is the proof; $slowest says how long the slowest round took
serves() {
    local i begun took
    slowest=0
    for ((i = 0; i < 100; i++)); do
        begun=${EPOCHREALTIME/./}
        if ! mkdir "$B/own/d" || ! echo "$i" >"$B/own/f" || [[ $(<"$B/own/f") != "$i" ]] ||
            ! ls "$B" "$B/own" >/dev/null || ! stat "$B/0" >/dev/null || ! rmdir "$B/own/d"; then
            fail "the mount does not serve"
        fi
        took=$(((${EPOCHREALTIME/./} - begun) / 1000))
        ((took <= slowest)) || slowest=$took
    done
}

# At its end the leak checker would wait for every thread to stop, and a stuck one does not.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0

start_two
mkdir "$A"/{0,1,2,3,4,5,6,7,own}
echo before >"$A/0/f"
ls "$B"/* >/dev/null

watch "$B"/{0,1,2,3,4,5,6,7}
hold directory "$B/0"
mkdir "$A/0/stuck"
eventually level
change mkdir 500 "$A"/{1,2,3}
eventually reported '2 CREATE,ISDIR 0 d499' || fail "no events beside a stuck directory"
eventually reported '3 CREATE,ISDIR 0 d499' || fail "no events beside a stuck directory"
serves
only_the_stuck() { [[ $(counter "$B" pending) == 1 ]]; } # our own content rests a little first
eventually only_the_stuck || fail "$(counter "$B" pending) pending"
reported '0 CREATE,ISDIR 0 stuck' && fail "the ghost was not stuck"
release
announced
reported '0 CREATE,ISDIR 0 stuck' || fail "the stuck event is lost"
pass "behind a directory's lock: 1500 events elsewhere, the mount serves (slowest round $slowest ms), then its own"

for directory in 0 1 2 3 4 5 6; do
    hold directory "$B/$directory"
done
change symlink 100 "$A"/{0,1,2,3,4,5,6,7}
eventually reported '7 CREATE 0 s99' || fail "no events beside seven stuck directories"
serves
reported '[0-6] CREATE 0 s' && fail "the ghosts were not stuck"
release
announced
for directory in 0 1 2 3 4 5 6; do
    reported " $directory CREATE 0 s99" || fail "events of directory $directory are lost"
done
pass "seven stuck directories: the eighth's events come, the mount serves (slowest round $slowest ms)"

hold open "$B/1"
echo x >"$A/1/file"
eventually grep -q held "$WORK/hold.1" || fail "the ghost does not meet the listener"
mkdir "$A/1/after"
change symlink 100 "$A/own"
mkdir "$A/2/beside"
eventually reported '2 CREATE,ISDIR 0 beside' || fail "no events beside a permission listener"
serves
reported ' 1 CREATE,ISDIR 0 after' && fail "the events of a directory overtake each other"
release
announced
reported ' 1 CREATE,ISDIR 0 after' || fail "events are lost behind a permission listener"
pass "behind a permission listener: events elsewhere, the mount serves (slowest round $slowest ms), then its own in order"

hold open "$B/0/f"
echo again >"$A/0/f"
eventually grep -q held "$WORK/hold.1" || fail "the ghost does not meet the listener"
begun=${EPOCHREALTIME/./}
kill "$(mount_pid "$B")"
ended "$(mount_pid "$B")" "the mount"
took=$(((${EPOCHREALTIME/./} - begun) / 1000))
((took < 5000)) || fail "SIGTERM took $took ms"
pass "SIGTERM with a stuck ghost: ended cleanly after $took ms"
release
end_watch

# A ghost behind a local mkdir that waits for a replica that does not answer: all of it ends with the daemon. (With
# shared descriptors the ghost keeps /dev/fuse open, and daemon, mkdir and mount hang for good.)
start_mount "$B"
ls "$B/0" >/dev/null
hold open "$B/0/f"
echo first >"$A/0/f"
eventually grep -q held "$WORK/hold.1" || fail "the ghost does not meet the listener"
mkdir "$A/0/remote"
eventually level
kill -STOP "$PACTD_PID"
mkdir "$B/0/local" 2>"$WORK/local.log" &
local_mkdir=$!
in_flight() { grep -q '^in_flight 1$' "$B/.pact/session"; }
eventually in_flight || fail "the local mkdir is not in flight"
release
ghost_waits() { grep -lq filename_create /proc/"$(worker_of "$(mount_pid "$B")")"/task/*/wchan; }
eventually ghost_waits || fail "no ghost waits for the directory"
kill_hard "$(mount_pid "$B")"
eventually not kill -0 "$local_mkdir" || fail "the local mkdir hangs"
umount "$B" || umount -l "$B"
pass "kill -9 while a ghost waits behind a local mkdir: both have ended"
kill -CONT "$PACTD_PID"
unset "MOUNT_PIDS[$B]"
start_mount "$B"
[[ -d $B/0/remote ]] || fail "not usable again"
stop_two
finish
