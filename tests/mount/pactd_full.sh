#!/bin/bash
# A disk that fills up while pactd serves: writes are refused and not lost, reads and sessions go on, and it comes back
# by itself when there is space.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/daemon/lib.sh"

mkdir "$work/disk"
mount -t tmpfs -o size=150m none "$work/disk" || exit 1
start_pactd "$work/disk/data"
ctl() { "$bin/pactctl" -s "$servers" "$@"; }
head -c 1000000 /dev/urandom | base64 -w 0 | head -c 1000000 >"$work/value"

# Two segments of 64 MiB fit, a third does not.
ctl create /count 0 >/dev/null
ctl create -e /alive >"$work/alive" &
holder=$!
daemons+=("$holder")
eventually grep -q alive "$work/alive"
ctl create /big x >/dev/null
written=0
while ((written < 200)) && ctl set /big - <"$work/value" 2>"$work/err"; do
    written=$((written + 1))
    ctl set /count "$written"
done
((written > 100 && written < 140))
result "the disk is full after 1 MB was written $written times"
grep -qE 'quorum|outcome' "$work/err"
result "the write that did not fit says so: $(cat "$work/err")"
grep -q 'error the disk is full' "$work/log" && kill -0 "$pid"
result "pactd says so and goes on"

run ctl get /count
[[ $(cat "$work/out") == "$written" ]]
result "what was acknowledged can be read"
run ctl --json status
grep -q '"leader":0' "$work/out"
result "status names no leader"
exits 1 "a new session is refused" ctl set /count never
sleep 10 # longer than the session's timeout
run ctl get /alive
((status == 0))
result "a session outlives its timeout on a full disk"

mount -o remount,size=400m "$work/disk"
eventually grep -q 'has space again' "$work/log"
result "with more space it comes back by itself"
exits 0 "a write is done" ctl set /count after
run ctl get /alive
((status == 0)) && kill -0 "$holder"
result "the session that lived through it holds its ephemeral"
digest=$(ctl digest)
kill -9 "$pid"
wait "$pid" 2>/dev/null
start_pactd "$work/disk/data"
[[ -n $digest && $(ctl digest) == "$digest" ]]
result "after kill -9 and a new start the digest is the same: $digest"
finish
