#!/bin/bash
# A storm: 1,000 directories watched on one mount, 10,000 changes a second offered on another for 30 s (with PACT_SOAK;
# else 3 s): by eight processes as fast as they go, and by transactions of 1,000 changes. Every name that comes and goes is
# told while no more than 64 Ki changes are pending, else the difference; who follows the events has in the end the
# names that are there, and has been told of each file's last content. Meanwhile the mount's memory stays bounded, and 5 s
# after the storm a change is told as soon as before it.
#
# MS=N: so long. RATE=N: so many offered a second by the transactions.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/mount/ghost/lib.sh
. "$(dirname "$0")/ghost/lib.sh"

directories=1000 processes=8 batch=1000 ms=${MS:-3000} rate=${RATE:-8000}
if [[ ${PACT_SOAK:-} ]]; then ms=${MS:-30000}; fi
rss_limit_mib=256 calm_ms=$(limit 5000 60000)

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
resident_mib() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(worker_of "$(mount_pid "$B")")/status"; }
probe() { "$PACT_TESTS/storm" probe "$A/quiet/file" "$B/quiet/file" "$1"; } # COUNT: prints the median and the most, µs

# Transactions of $batch changes: files made, and those of the one before removed. Prints how many changes were made.
transactions() { # MS
    local end=$(($(now_ms) + $1)) begun turn
    begun=$(now_ms)
    for ((turn = 0; $(now_ms) < end; turn++)); do
        awk -v n=$((batch / 2)) -v t="$turn" -v d="$directories" 'BEGIN {
            for (i = 0; i < n; i++) print "create /storm/" (t * 37 + i) % d "/t" t "-" i " x"
            if (t) for (i = 0; i < n; i++) print "rm /storm/" ((t - 1) * 37 + i) % d "/t" t - 1 "-" i }' |
            "$PACT_BIN/pactctl" -s "$SERVERS" txn - >"$WORK/said" || fail "txn: $(<"$WORK/said")"
        while ((turn * batch * 1000 > ($(now_ms) - begun) * rate)) && (($(now_ms) < end)); do sleep 0.002; done
    done
    echo $((turn * batch / 2)) $(((turn ? turn - 1 : 0) * batch / 2))
}

start_two
mkdir "$A/quiet" "$A/storm"
: >"$A/quiet/file"
for what in 'create -d /storm/%d' 'create /storm/%d/last 0'; do
    for ((i = 0; i < directories; i++)); do
        # shellcheck disable=SC2059
        printf "$what\n" "$i"
    done >"$WORK/txn"
    ctl txn "$WORK/txn" >"$WORK/said" || fail "txn: $(<"$WORK/said")"
done
sync "$B"
"$PACT_TESTS/storm" watch "$B/storm" $directories >"$WORK/followed" 2>"$WORK/watching" &
watcher=$!
started "$WORK/watching" $watcher ready "the watcher"
announced

read -r before_us _ <<<"$(probe 100)"
resident=$(resident_mib)
begun=$(now_ms)
transactions "$ms" >"$WORK/transactions" &
feeder=$!
"$PACT_TESTS/storm" offer "$A/storm" $directories "$ms" $processes >"$WORK/offered" &
offerer=$!
most_pending=0 most_resident=0
while kill -0 $offerer 2>/dev/null || kill -0 $feeder 2>/dev/null; do
    pending=$(counter "$B" pending) now=$(resident_mib)
    ((pending <= most_pending)) || most_pending=$pending
    ((now <= most_resident)) || most_resident=$now
    sleep 0.1
done
ended $offerer "storm offer"
ended $feeder "the transactions: $(<"$WORK/transactions")"
took_ms=$(($(now_ms) - begun))
read -r _ creates _ renames _ deletes _ writes <"$WORK/offered"
read -r created removed <"$WORK/transactions"
creates=$((creates + created)) deletes=$((deletes + removed))
changes=$((creates + renames + deletes + writes))

# Calm again when a change of a file in another directory is told about as soon as before, three times in four.
begun=$(now_ms)
pending=$(counter "$B" pending)
calm() {
    read -r median_us _ <<<"$(probe 4)"
    ((median_us <= 3 * before_us + 2000))
}
until calm; do
    (($(now_ms) - begun < calm_ms)) || fail "after $calm_ms ms a change is told after $median_us µs; before the storm $before_us"
done
calm_after=$(($(now_ms) - begun))
announced
drained_after=$(($(now_ms) - begun))
overflows=$(counter "$B" overflows)
pass "$changes changes in $took_ms ms, $((changes * 1000 / took_ms)) a second; at most $most_pending pending, $overflows times too many"
pass "a change is told after $before_us µs before, $median_us µs again $calm_after ms after the storm, all $pending pending after $drained_after ms"

kill $watcher
wait $watcher
status=$?
((status == 0)) || fail "the watcher ended with $status: $(head -5 "$WORK/watching")"
read -r _ told_creates _ told_deletes _ told_renames _ <<<"$(tail -1 "$WORK/watching")"
find "$A/storm" -mindepth 2 -printf '%P\n' | sed 's|/| |' >"$WORK/there"
for ((i = 0; i < directories; i++)); do echo "$i last $(<"$A/storm/$i/last")"; done >>"$WORK/there"
check "who follows the events knows all $(grep -vc 'last ' "$WORK/there") names and the last content of $directories files" \
    diff <(sort "$WORK/there") <(sort "$WORK/followed")
if ((overflows == 0)); then
    check "told of $creates creates, $renames renames and $deletes deletes, each once" \
        test "$told_creates $told_renames $told_deletes" == "$creates $renames $deletes"
fi
[[ $(counter "$B" failed) == 0 ]] || fail "the kernel refused $(counter "$B" failed) ghosts"
[[ ${PACT_SANITIZED:-} ]] || check "the mount's memory: $resident MiB before, at most $most_resident MiB" \
    test "$most_resident" -le $((resident + rss_limit_mib))
stop_two
finish
