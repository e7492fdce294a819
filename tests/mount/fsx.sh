#!/bin/bash
# Random reads, writes, cuts and mappings of one file through many handles do what the model says (fsx/model.h): ten
# seeds of 100,000 calls with PACT_SOAK, else a fresh few. Every other seed goes through two mounts at once.
#
# SEEDS="N …" plays those again, COUNT=N so many calls of each; odd seeds have two mounts.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"

first=$((RANDOM * 2))
seeds=${SEEDS:-$(seq $first $((first + 1)))} count=${COUNT:-$(repeated 30000)}
if [[ ${PACT_SOAK:-} ]]; then
    seeds=${SEEDS:-$(seq $first $((first + 9)))} count=${COUNT:-100000}
fi

start_pactd
start_mount "$WORK/a" -o session_timeout=300s,op_timeout=60s # a machine that stands still is no failure
start_mount "$WORK/b" -o session_timeout=300s,op_timeout=60s
for seed in $seeds; do
    files=("$WORK/a/file-$seed")
    ((seed % 2 == 0)) || files+=("$WORK/b/file-$seed")
    begun=${EPOCHREALTIME/./}
    timeout 1800 "$PACT_TESTS/fsx" "$seed" "$count" "${files[@]}" >"$WORK/out" 2>&1 </dev/null ||
        fail "seed $seed, ${#files[@]} mounts: $(cat "$WORK/out")"
    sync "$WORK/b"
    cmp "$WORK"/{a,b}/"file-$seed" || fail "seed $seed: the mounts differ"
    pass "seed $seed, ${#files[@]} mounts: $count calls in $(((${EPOCHREALTIME/./} - begun) / 1000)) ms: $(<"$WORK/out")"
done
stop_mount "$WORK/a"
stop_mount "$WORK/b"
stop_pactd
finish
