#!/bin/bash
# What a kill -9 leaves: no acknowledged write lost, none applied twice, and the mount usable again within 3 s (asserted with
# PACT_SOAK, on a quiet machine; else printed).
#
# Eight writers (crash_writer.c) note the outcome of each call outside the mount, while one daemon is killed at a
# random moment and started again; crash_check.c then compares. COUNT times each (3; with PACT_SOAK 100) for
# pactd, for an embedded pactfs and for a plain pactfs.
. "$(dirname "$0")/lib.sh"

if [[ ${PACT_SOAK:-} ]]; then COUNT=${COUNT:-100}; fi
count=${COUNT:-3} writers=8 limit_ms=$(limit 3000 20000)
mnt=$WORK/mnt

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# Waits until each writer has noted so many more steps.
writers_advance() { # STEPS
    local writer from=() deadline=$((SECONDS + 120))
    for ((writer = 0; writer < writers; writer++)); do
        from[writer]=$(wc -l 2>/dev/null <"$WORK/logs/$writer" || echo 0)
    done
    for ((writer = 0; writer < writers; writer++)); do
        until (($(wc -l 2>/dev/null <"$WORK/logs/$writer" || echo 0) >= from[writer] + $1)); do
            ((SECONDS < deadline)) || fail "writer $writer makes no progress"
            sleep 0.01
        done
    done
}

# usable_within BEGUN_MS: waits for a write to be done in the mount; adds its time to the figures
usable_since() {
    local probe=$mnt/probe took
    until mkdir "$probe" 2>/dev/null; do
        (($(now_ms) - $1 < 10 * limit_ms)) || fail "$kind: not usable $((10 * limit_ms)) ms after the start"
        sleep 0.002
    done
    took=$(($(now_ms) - $1))
    rmdir "$probe"
    ((took <= limit_ms)) || fail "$kind: usable only after $took ms"
    ((took <= slowest)) || slowest=$took
}

kill_pactd() {
    kill_hard "$PACTD_PID"
    restarted=$(now_ms)
    start_pactd
}

kill_plain() {
    kill_hard "$(mount_pid "$mnt")"
    umount -l "$mnt"
    restarted=$(now_ms)
    start_mount "$mnt"
}

kill_embedded() {
    kill_hard "$(mount_pid "$mnt")"
    umount -l "$mnt"
    restarted=$(now_ms)
    start_embedded "$mnt"
}

one_round() {
    local writer load
    rm -rf "$WORK/logs"
    mkdir -p "$WORK/logs" "$mnt/$kind/$round/queue"
    for ((writer = 0; writer < writers; writer++)); do
        mkdir "$mnt/$kind/$round/$writer"
    done
    # shellcheck disable=SC2086  # `away` is a word or nothing
    "$PACT_TESTS/crash_writer" "$mnt/$kind/$round" "$WORK/logs" $writers $away &
    load=$!
    writers_advance 15
    sleep "0.$(printf '%03d' $((RANDOM % 300)))" # any moment will do
    "kill_$kind"
    usable_since "$restarted"
    writers_advance 15
    kill "$load"
    wait "$load" || fail "$kind: a call failed as it may not"
    line=$("$PACT_TESTS/crash_check" "$mnt/$kind/$round" "$WORK/logs" $writers) || fail "$kind: $line"
    read -r _ a _ r _ u _ <<<"$line"
    acknowledged=$((acknowledged + a)) refused=$((refused + r)) unknown=$((unknown + u))
}

rounds() { # KIND [away]
    kind=$1 away=${2:-} slowest=0 acknowledged=0 refused=0 unknown=0
    for ((round = 1; round <= count; round++)); do
        one_round
    done
    # A file that was created and never written is hidden, and holds its directory until the killed mount's session ends.
    rm -rf "${mnt:?}/$kind" 2>/dev/null || eventually rm -rf "$mnt/$kind" ||
        fail "$kind: what was written cannot be removed: $(ls -laR "$mnt/$kind")"
    pass "$kind: $count kills, $acknowledged writes acknowledged: 0 lost, 0 twice; $refused refused, $unknown unknown;" \
        "usable again after at most $slowest ms"
}

start_pactd
start_mount "$mnt"
rounds pactd
rounds plain away
stop_mount "$mnt"
stop_pactd
DATA=$WORK/embedded
start_embedded "$mnt"
rounds embedded away
finish
