#!/bin/bash
# Nine processes on three mounts race for ten names in one directory (racer.c) while the leader is killed again and
# again: each sees only what it may see, and in the end all mounts show the same tree, to the last attribute, and all
# replicas have the same state.
#
# Three kills, with PACT_SOAK fifteen. SEED=N for the same choices again.
# shellcheck source=tests/mount/lib.sh
# shellcheck disable=SC2016,SC2015  # what is given to `eval` expands there; `fail` ends the test
. "$(dirname "$0")/lib.sh"

kills=${COUNT:-$(repeated 15)} each=3 seed=${SEED:-$RANDOM}
((kills > 0)) || kills=1
mnt() { echo "$WORK/mnt-$1"; }

start_ensemble 3
for i in 1 2 3; do start_mount_on $i "$(mnt $i)" -o session_timeout=300s; done
mkdir "$(mnt 1)/race"
echo -n "0000008 " >"$(mnt 1)/race/kept"
ln -s n0 "$(mnt 1)/race/current"
for i in 2 3; do sync "$(mnt $i)"; done

RACERS=()
for ((r = 0; r < 3 * each; r++)); do
    "$PACT_TESTS/racer" "$(mnt $((r % 3 + 1)))/race" $((seed * 100 + r)) >"$WORK/racer-$r" 2>&1 &
    RACERS+=("$!")
done

# all_race: none has ended, and what the first mount shows goes on
all_race() {
    local pid
    for pid in "${RACERS[@]}"; do kill -0 "$pid" || return 1; done
}
said() { grep -h '^racer' "$WORK"/racer-* | head -3; }
zxid() { digest_of "$1" | cut -d ' ' -f 1; }
progressed() { (($(zxid "$1") > $2 + 300)); }
for ((kill = 1; kill <= kills; kill++)); do
    l=$(leader) && from=$(zxid "$l") && eventually progressed "$l" "$from" || fail "nothing goes on: $(said)"
    all_race || fail "a racer has ended: $(said)"
    kill_replica "$l"
    eventually leader_now || fail "nobody leads after a kill"
    sleep "0.$(printf '%03d' $((RANDOM % 500)))"
    start_replica "$l"
    eventually all_follow || fail "replica $l does not come back"
done 2>/dev/null
l=$(leader) && from=$(zxid "$l") && eventually progressed "$l" "$from" || fail "nothing goes on: $(said)"

kill "${RACERS[@]}"
for pid in "${RACERS[@]}"; do
    wait "$pid" || fail "seed $seed: $(said)"
done
# CALL: 5 ok 3 ENOENT …
awk -F ': ' '{ n = split($2, word, " ")
    for (i = 1; i < n; i += 2) { count[$1 " " word[i + 1]] += word[i]; total += word[i] * ($1 != "versions") } }
    END { for (what in count) print "#   " what " " count[what]; print total >"'"$WORK"'/total" }' "$WORK"/racer-* | sort
pass "seed $seed: $(<"$WORK/total") calls of ${#RACERS[@]} processes on three mounts, $kills times without their leader"

# What is to be seen, on each mount: all that stat, readlink, getfattr and reading tell.
seen() {
    cd "$(mnt "$1")" || return 1
    find . -printf '%P|%y|%i|%m|%U:%G|%T@|%C@|%n|%s|%l\n' | sort
    find . -type f -exec sha256sum {} + | sort -k 2
    find . -type f,d -print0 | sort -z | xargs -0 getfattr -d -m user.pact
}
# Until it is done announcing, the kernel's names still move, and who walks them may meet ESTALE.
announced() { grep -qx 'events_pending 0' "$(mnt "$1")/.pact/session"; }
for i in 1 2 3; do
    sync "$(mnt $i)" || fail "sync of mount $i"
    eventually announced $i || fail "mount $i does not end announcing"
    (seen $i) >"$WORK/seen-$i"
done
check "the mounts show the same $(grep -c '|' "$WORK/seen-1") nodes" \
    eval 'diff "$WORK"/seen-{1,2} && diff "$WORK"/seen-{1,3}'
check "and say the same if the kernel has to ask again" eval '
    sync && echo 2 >/proc/sys/vm/drop_caches
    for i in 1 2 3; do (seen $i) | diff "$WORK/seen-1" - || exit 1; done'
eventually same_digests || fail "the replicas differ: $(for i in 1 2 3; do digest_of $i; done)"
pass "the replicas have the same state: $(digest_of 1)"
for i in 1 2 3; do stop_mount "$(mnt $i)"; done
stop_ensemble
finish
