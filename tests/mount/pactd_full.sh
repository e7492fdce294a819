#!/bin/bash
# A disk that fills up while pactd serves: writes are refused and none is lost, reads and sessions go on, and it comes
# back by itself when there is space.
. "$(dirname "$0")/lib.sh"
ctl() { "$PACT_BIN/pactctl" -s "$SERVERS" "$@"; }

# Four segments of the log fit, of 8 MiB each; a fifth does not.
mkdir "$WORK/disk"
mount -t tmpfs -o size=38m none "$WORK/disk" || exit 1
MOUNT_PIDS["$WORK/disk"]='' # to be unmounted at exit
DATA=$WORK/disk/data
start_pactd
head -c 1000000 /dev/urandom >"$WORK/value"
ctl create /count 0 >/dev/null
ctl create /big x >/dev/null
"$PACT_BIN/pactctl" -s "$SERVERS" create -e /alive >"$WORK/alive" 2>&1 &
holder=$!
check "an ephemeral is there" eventually grep -q /alive "$WORK/alive"

written=0
while ((written < 200)) && ctl set /big - <"$WORK/value" 2>"$WORK/err"; do
    written=$((written + 1))
    ctl set /count $written
done
check "the disk is full after 1 MB was written $written times" test "$written" -gt 20 -a "$written" -lt 36
check "the write that did not fit says so: $(cat "$WORK/err")" grep -qE 'quorum|outcome' "$WORK/err"
check "pactd says so" grep -q 'error the disk is full' "$WORK/pactd.log"
check "what was acknowledged can be read" test "$(ctl get /count)" = $written
check "status names no leader" grep -q '"leader":0' <(ctl --json status)
check "and that its replica is full" grep -q '"role":"full"' <(ctl --json status)
check "a new session is refused" not ctl set /count never
check "  and why" grep -q 'disks are full' <(ctl set /count never 2>&1)
PATIENCE=15 eventually false # longer than the session's timeout
check "a session outlives its timeout" ctl get /alive

mount -o remount,size=100m "$WORK/disk"
check "with more space it comes back by itself" eventually grep -q 'has space again' "$WORK/pactd.log"
check "a write is done" ctl set /count after
check "the session that lived through it holds its ephemeral" ctl get /alive
check "as does its process" kill -0 $holder
digest=$(ctl digest)
kill_hard "$PACTD_PID"
start_pactd
check "after kill -9 and a new start the digest is the same: $digest" test "$(ctl digest)" = "$digest"
attached() { ctl --json status | grep -q '"mounts":1'; } # before, it may not know that there is a leader again
check "the session that lived through all of it is back" eventually attached
kill $holder && wait $holder
check "the ephemeral goes with its session" not ctl get /alive
stop_pactd

# --- one that starts when there is no space ---

start_unserved() {
    (cd / && exec "$PACT_BIN/pactd" --id 1 --data "$DATA" --ensemble "1=127.0.0.1:0:$PORT" 2>"$WORK/pactd.log") &
    PACTD_PID=$!
}
embedded=$WORK/disk/embedded
DATA=$embedded start_embedded "$WORK/mnt"
stop_mount "$WORK/mnt"
cat /dev/zero >"$WORK/disk/fill" 2>/dev/null
status=0
timeout 60 "$PACT_BIN/pactfs" "embedded:$embedded" "$WORK/mnt" -f 2>"$WORK/err" </dev/null || status=$?
check "an embedded one ends with status 1 (is $status)" test $status = 1
check "and pactfs says why" grep -q "^pactfs: $embedded: .*disk is full" "$WORK/err"
check "after one error" test "$(grep -c ' error ' "$WORK/err")" = 1
start_unserved
check "pactd waits for space" eventually grep -q 'begins anew when there is space' "$WORK/pactd.log"
kill "$PACTD_PID"
check "  ends with status 0 when told to" wait "$PACTD_PID"
start_unserved
PATIENCE=3 eventually false # in which it looks for space more than once
check "  looks without a word" test "$(grep -c ' error ' "$WORK/pactd.log")" = 2
check "  does not serve" not grep -q 'serving on' "$WORK/pactd.log"
rm "$WORK/disk/fill"
started "$WORK/pactd.log" "$PACTD_PID" 'serving on port' pactd
check "  and when there is some it serves what was there" test "$(ctl get /count)" = after
check "  and writes" ctl set /count again
stop_pactd
umount "$WORK/disk" && unset "MOUNT_PIDS[$WORK/disk]"
finish
