#!/bin/bash
# Signals to calls that block (10,000 of them with PACT_SOAK). A wait for a lock ends at once, and so does a request that was not
# sent, for lack of a replica: EINTR, and certainly not done. One that was sent is not interrupted: it ends with its
# result, or at op_timeout.
# shellcheck disable=SC2016  # what is given to `eval` expands there
. "$(dirname "$0")/lib.sh"

signals=$(repeated 10000) rounds=$(limit 40 8) limit_ms=$(limit 1000 5000)
a=$WORK/a b=$WORK/b

# The sum of a figure of all programs.
figure() { awk -v name="$1" '{ for (i = 1; i < NF; i++) if ($i == name) sum += $(i + 1) } END { print sum + 0 }' "$WORK"/said-*; }
most() { awk -v name="$1" '{ for (i = 1; i < NF; i++) if ($i == name && $(i + 1) > most) most = $(i + 1) } END { print most + 0 }' "$WORK"/said-*; }
begin() { # KIND PATH COUNT
    pids=()
    rm -f "$WORK"/said-*
    local i
    for i in 0 1 2 3; do
        "$PACT_TESTS/signals" "$1" "${2//%/$i}" "$3" >"$WORK/said-$i" 2>>"$WORK/errors" &
        pids+=($!)
    done
}
await() {
    local pid
    for pid in "${pids[@]}"; do wait "$pid" || fail "$(cat "$WORK/errors" "$WORK"/said-*)"; done
}
end() { kill "${pids[@]}" && await; }

start_pactd
start_mount "$a" -o op_timeout=3s -o session_timeout=60s
start_mount "$b"
mkdir "$a/0" "$a/1" "$a/2" "$a/3"
: >"$a/file"

for kind in flock fcntl; do
    sync "$b"
    if [[ $kind == flock ]]; then
        flock "$b/file" sleep 1000 &
    else
        python3 -c 'import fcntl, sys, time; f = open(sys.argv[1], "r+"); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(1000)' "$b/file" &
    fi
    holder=$!
    eventually grep -q holds "$b/.pact/locks" || fail "$kind: nobody holds the lock"
    begin $kind "$a/file" $((signals / 8))
    await
    # shellcheck disable=SC2017  # whole eighths
    (($(figure interrupted) == signals / 8 * 4)) || fail "$kind: $(cat "$WORK"/said-*)"
    (($(most slowest) <= limit_ms)) || fail "$kind: a wait ended only after $(most slowest) ms"
    pass "$kind: $(figure interrupted) waits, each ended by its signal, the slowest after $(most slowest) ms"
    pkill -P $holder 2>/dev/null
    kill $holder
    wait $holder 2>/dev/null
    check "and nobody is left in the queue" eventually eval '! grep -q file "$a/.pact/locks"'
done

echo "# not sent"
interrupted=0 most=0
for ((round = 0; interrupted < signals / 4 && round < rounds; round++)); do
    kill_hard "$PACTD_PID"
    eventually grep -qx 'state suspended' "$a/.pact/session" || fail "the mount does not know that it has no replica"
    begin mkdir "$a/%/unsent-$round" 1000000
    sleep 1.5 # nobody waits without a number for longer than two seconds
    end
    interrupted=$((interrupted + $(figure interrupted)))
    (($(most slowest) <= most)) || most=$(most slowest)
    done_now=$(figure 'done') unknown=$(figure unknown)
    start_pactd
    eventually mkdir "$a/again-$round" || fail "the mount does not come back"
    sync "$a"
    made=$(find "$a" -name "unsent-$round-*" | wc -l)
    # One that was sent just before the replica died may have been done, and is then known to be.
    ((made >= done_now && made <= done_now + unknown)) || fail "round $round: $made made; $(cat "$WORK"/said-*)"
done
((interrupted > 0 && most <= limit_ms)) || fail "$interrupted interrupted, the slowest after $most ms"
pass "without a replica: $interrupted calls interrupted and not done, the slowest after $most ms"

echo "# sent"
kill -STOP "$PACTD_PID"
begin mkdir "$a/%/sent" 1
eventually grep -q '^in_flight 4$' "$a/.pact/session" || fail "they are not in flight"
sleep 1
kill -CONT "$PACTD_PID"
await
check "their results end them" test "$(figure 'done')$(figure interrupted)" == 40
kill -STOP "$PACTD_PID"
begin mkdir "$a/%/late" 1
await
kill -CONT "$PACTD_PID"
check "or op_timeout" test "$(figure unknown)$(figure interrupted)" == 40
check "at 3 s" eval '(($(most longest) >= 2500 && $(most longest) <= 3000 + limit_ms))'
for i in 0 1 2 3; do
    check "each was done once, or not at all" eval '(($(find "$a/$i" -name "late*" | wc -l) <= 1))'
done
check "nobody is stuck" eval '! ps -e -o state=,comm= | grep -E "^D.*signals"'
stop_mount "$a"
stop_mount "$b"
stop_pactd
finish
