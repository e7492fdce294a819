#!/bin/bash
# Three replicas with keys, a mount of each: what one writes all see; replicas die, are cut down to a minority, come
# back, lose their disks or have them damaged; and what does not belong to the ensemble is turned away with a line that
# names both sides, while the others go on.
# shellcheck disable=SC2016  # what is given to `eval` expands there
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"

op() { "$PACT_TESTS/op" "$@"; }
answers() { [[ $(op "${@:2}") == "$1" ]]; }
m1=$WORK/m1 m2=$WORK/m2 m3=$WORK/m3
mnt() { echo "$WORK/m$1"; }
session() { sed -n 's/^session //p' "$1/.pact/session"; }
connected() { grep -qx 'state connected' "$1/.pact/session"; }
has() { [[ $(<"$1") == "$2" ]]; }
logged() { grep -qE "$2" "$WORK/replica-$1.log"; }
all_connected() { for mnt in "$m1" "$m2" "$m3"; do connected "$mnt" || return 1; done; }

KEYS=$WORK/keys
mkdir "$KEYS"
"$PACT_BIN/pactctl" keygen "$KEYS" >/dev/null || fail "keygen"
start_ensemble 3
for i in 1 2 3; do
    start_mount_on $i "$(mnt $i)" -o op_timeout=3s
done
check "it began with the newest semantics, in one step" test "$(grep -ho 'state version .*' "$WORK"/replica-*.log | sort -u | wc -l)" == 1

echo "# one tree"
for i in 1 2 3; do
    echo "from $i" >"$(mnt $i)/file-$i"
    mkdir "$(mnt $i)/{ephemeral}here-$i" "$(mnt $i)/queue" 2>/dev/null
    sync "$m1" "$m2" "$m3" # between them, so that the order is known
    mkdir "$(mnt $i)/queue/{seq}-$i"
done
sync "$m1" "$m2" "$m3"
for i in 1 2 3; do
    check "replica $i's mount shows what was written through each" eval 'for j in 1 2 3; do
        has "$(mnt $i)/file-$j" "from $j" && [[ -d $(mnt $i)/here-$j ]] || exit 1; done'
    check "and the same order" test "$(echo "$(mnt $i)"/queue/*)" == \
        "$(echo "$(mnt $i)"/queue/{0000000000-1,0000000001-2,0000000002-3})"
done
check "a name is given once" test "$(for i in 1 2 3; do op mkdir "$(mnt $i)/one" & done | sort | tr '\n' ' ')" == "EEXIST EEXIST OK "
check "every replica has the same digest" eventually same_digests

# watch I: writes down the events of the mount's directory `watched`
watch() {
    mkdir -p "$(mnt "$1")/watched"
    "$PACT_TESTS/ghost_watch" "$(mnt "$1")/watched" >"$WORK/events" 2>"$WORK/watcher" &
    watcher=$!
    eventually grep -q ready "$WORK/watcher" || fail "nothing watches"
}
# watcher_missed_nothing NAME COUNT: it was told of each of these directories once
watcher_missed_nothing() {
    local count=$2
    eventually eval '(($(grep -c CREATE "$WORK/events") >= count))'
    kill "$watcher" && wait "$watcher"
    diff <(awk '$3 ~ /CREATE/ { print $5 }' "$WORK/events" | sort) <(seq -f "$1-%g" 1 "$2" | sort)
}

# a_replica_dies WHAT I: its mount moves, with its session, and its watchers miss nothing of what is done meanwhile
a_replica_dies() {
    local what=$1 i=$2 mnt other before
    mnt=$(mnt "$i") other=$(mnt $((i % 3 + 1))) before=$(session "$mnt")
    watch "$i"
    for ((n = 1; n <= 60; n++)); do
        ((n != 20)) || kill_replica "$i"
        mkdir "$other/watched/$what-$n" || fail "a write through another replica's mount fails"
    done 2>/dev/null
    check "$what: its mount moves" eventually not attached_to "$i" "$mnt"
    check "and writes" eventually answers OK mkdir "$mnt/moved-$what"
    check "its watcher was told of all that was done meanwhile" watcher_missed_nothing "$what" 60
    check "its session is the same" test "$(session "$mnt")" == "$before" -a -d "$other/here-$i"
    start_replica "$i"
    check "started again it follows" eventually follows "$i"
}

echo "# a replica dies"
l=$(leader) f=$((l % 3 + 1))
a_replica_dies follower $f
l=$(leader)
stop_mount "$(mnt "$l")"
start_mount_on "$l" "$(mnt "$l")" -o op_timeout=3s
mkdir "$(mnt "$l")/{ephemeral}here-$l"
a_replica_dies leader "$l"
check "every replica has the same digest" eventually same_digests

echo "# it hangs"
i=$(replica_of "$m1")
kill -STOP "${REPLICA_PIDS[$i]}"
began=${EPOCHREALTIME/./}
check "the mount of a stopped replica moves" eventually not attached_to "$i" "$m1"
check "within 2 s: $(((${EPOCHREALTIME/./} - began) / 1000)) ms" test $((${EPOCHREALTIME/./} - began)) -lt "$(limit 2 20)000000"
check "and writes" eventually answers OK mkdir "$m1/after-stop"
kill -CONT "${REPLICA_PIDS[$i]}"
check "it follows again" eventually follows "$i"

echo "# a minority"
l=$(leader) f=$((l % 3 + 1))
kill_replica "$l"
kill_replica "$f"
began=$SECONDS
outcome=$(op mkdir "$m2/no-quorum")
check "a write is refused or unknown: $outcome" grep -qE '^(EROFS|ETIMEDOUT)$' <<<"$outcome"
check "within op_timeout, after $((SECONDS - began)) s" test $((SECONDS - began)) -le "$(limit 4 30)"
check "the next one at once" answers EROFS mkdir "$m2/refused"
check "reads go on" eval 'has "$m1/file-3" "from 3" && has "$m2/file-1" "from 1" && has "$m3/file-2" "from 2"'
check "sync does not" not sync "$m2"
start_replica "$l"
check "with a second one all come back by themselves" eventually all_connected
check "and write" eval 'for i in 1 2 3; do eventually answers OK mkdir "$(mnt $i)/back-$i" || exit 1; done'
check "what was refused was not done" not test -e "$m2/refused"
start_replica "$f"
check "the third follows" eventually follows "$f"

echo "# all of them"
stop_ensemble
for i in 1 2 3; do start_replica $i; done
check "all are started again: they agree on a leader" eventually all_follow
check "the mounts come back" eventually all_connected
check "nothing is lost" eval 'for i in 1 2 3; do has "$m1/file-$i" "from $i" && [[ -d $m1/back-$i ]] || exit 1; done'
check "every replica has the same digest" eventually same_digests

echo "# a disk is lost"
l=$(leader) f=$((l % 3 + 1)) g=$(((l + 1) % 3 + 1))
stop_replica $f
rm -rf "$WORK/data-$f"
start_replica $f
check "an empty replica is a voter again once the others have named it" eventually follows $f
check "they say so" eval "logged $l 'member $f is named' || logged $g 'member $f is named'"
check "every replica has the same digest" eventually same_digests
for i in $l $g $f; do stop_replica "$i"; done
rm -rf "$WORK/data-$f"
start_replica $f
start_replica $g
elected=''
for ((n = 0; n < 20; n++)); do
    ! leader_now >/dev/null || elected=yes
    sleep 0.1
done
check "one with data and an empty one elect nobody" test ! "$elected"
start_replica "$l"
check "with the third they do" eventually all_follow
check "every replica has the same digest" eventually same_digests
check "nothing is lost" eval 'eventually all_connected && for i in 1 2 3; do has "$m1/file-$i" "from $i" || exit 1; done'

echo "# a disk is damaged"
f=$(($(leader) % 3 + 1))
stop_replica $f
log=$(find "$WORK/data-$f" -name 'log*' -size +0 | sort | head -1)
offset=$(($(grep -obaF -m 1 'from 2' "$log" | head -1 | cut -d: -f1)))
printf X | dd of="$log" bs=1 seek=$offset conv=notrunc status=none
start_replica $f
says_why() { ! kill -0 "${REPLICA_PIDS[$f]}" 2>/dev/null; }
check "a replica with a damaged log refuses to start" eventually says_why
check "and names file and offset: $(tail -1 "$WORK/replica-$f.log")" grep -qE "${log##*/}.*(offset|byte) [0-9]+" <(tail -1 "$WORK/replica-$f.log")
rm -rf "$WORK/data-$f"
start_replica $f
check "with an empty directory it is rebuilt from the others" eventually follows $f
check "every replica has the same digest" eventually same_digests

echo "# whose data it is"
# refused TEXT PACTD-OPTION...: it does not start and says so
refused() {
    ! timeout 10 "$PACT_BIN/pactd" "${@:2}" 2>"$WORK/refused" && grep -qF "$1" "$WORK/refused"
}
l=$(leader) f=$((l % 3 + 1)) g=$(((l + 1) % 3 + 1))
stop_replica $f
check "who is told that it is alone is not" refused "it is the data of replica $f of 1, 2, 3, and this is replica $f of $f" \
    --id $f --data "$WORK/data-$f" --ensemble "$f=127.0.0.1:0:0"
check "nor is one replica's data another's" refused "it is the data of replica $f of 1, 2, 3, and this is replica $g of 1, 2, 3" \
    --id $g --data "$WORK/data-$f" --ensemble "$ENSEMBLE"
start_replica $f
check "nothing was changed by it" eventually follows $f

echo "# strangers"
l=$(leader) f=$((l % 3 + 1)) g=$(((l + 1) % 3 + 1)) epoch=$(status_of "$l" | sed -nE 's/.*"epoch":([0-9]+).*/\1/p')
stop_replica $f
mv "$WORK/data-$f" "$WORK/data-right"

right=$ENSEMBLE
ENSEMBLE=${right/127.0.0.1/localhost} start_replica $f
check "lists of members that differ: both sides say so" eventually eval \
    "logged $l 'lists of members differ: replica $l has .*127.0.0.1.*, replica $f has .*localhost' &&
     logged $f 'lists of members differ: replica $f has .*localhost.*, replica $l has .*127.0.0.1'"
stop_replica $f
rm -rf "$WORK/data-$f"

(cd / && exec "$PACT_BIN/pactd" --id $f --data "$WORK/data-$f" --ensemble "$f=127.0.0.1:0:0" 2>"$WORK/alone.log") &
alone=$!
eventually eval 'kill -0 $alone && grep -q "serving on port" "$WORK/alone.log"'
kill $alone && wait $alone
start_replica $f --adopt
check "data of another cluster: both sides say so" eventually eval \
    "logged $l 'replica $l has data of cluster [0-9a-f]{32}, replica $f of cluster [0-9a-f]{32}' && logged $f 'of cluster'"
stop_replica $f
rm -rf "$WORK/data-$f"

mkdir "$WORK/other-keys"
"$PACT_BIN/pactctl" keygen "$WORK/other-keys" >/dev/null
KEYS=$WORK/other-keys start_replica $f
check "another key: both sides say so" eventually eval \
    "logged $l 'replica $l and member $f at .* do not fit: ' || logged $g 'replica $g and member $f at .* do not fit: '"
stop_replica $f

peer_port() { tr , '\n' <<<"$right" | sed -nE "s/^$1=.*:([0-9]+):[0-9]+$/\1/p"; }
stranger="turned away at the port for replicas"
# Anything; and nanomsg's greeting of a sender with a message of 256 bytes. It is logged once a second.
garbage() {
    head -c 100000 /dev/urandom >"/dev/tcp/127.0.0.1/$(peer_port "$l")"
    exec 9<>"/dev/tcp/127.0.0.1/$(peer_port "$l")"
    { printf '\0SP\0\0\120\0\0\0\0\0\0\0\0\1\0' && head -c 256 /dev/urandom; } >&9
    head -c 8 <&9
    logged "$l" "$stranger"
}
check "garbage at the port for replicas: a line" eventually garbage
check "no more than one a second" test "$(grep -c "$stranger" "$WORK/replica-$l.log")" -le 2

check "through all of it a write is done" eventually answers OK mkdir "$m1/undisturbed"
if [[ ${PACT_SOAK:-} ]]; then # a machine that stands still for 150 ms changes leaders by itself
    check "nobody else was disturbed: the same leader" test "$(leader)" == "$l"
    check "in the same epoch" grep -q "\"epoch\":$epoch," <(status_of "$l")
fi
rm -rf "$WORK/data-$f"
mv "$WORK/data-right" "$WORK/data-$f"
start_replica $f
check "with its own data it follows again" eventually follows $f
check "every replica has the same digest" eventually same_digests

echo "# a full disk"
l=$(leader) f=$((l % 3 + 1))
stop_replica $f
mkdir "$WORK/disk"
mount -t tmpfs -o size=100m none "$WORK/disk" || fail "no tmpfs"
MOUNT_PIDS["$WORK/disk"]='' # to be unmounted at exit
mv "$WORK/data-$f" "$WORK/disk/data"
ln -s "$WORK/disk/data" "$WORK/data-$f"
start_replica $f
check "on a small disk it follows" eventually follows $f
dd if=/dev/zero of="$WORK/disk/ballast" bs=1M 2>/dev/null
kill_replica "$l"
check "full, it cannot promise a new leader anything, and says so" eventually logged $f 'begins anew when there is space'
check "a write is refused or unknown" grep -qE '^(EROFS|ETIMEDOUT)$' <(op mkdir "$m1/full")
rm "$WORK/disk/ballast"
check "with space it is there again by itself" eventually leader
check "and writes go on" eventually answers OK mkdir "$m1/space"
start_replica "$l"
check "every replica has the same digest" eventually eval 'all_follow && same_digests'
for i in 1 2 3; do stop_mount "$(mnt $i)"; done
stop_ensemble
umount "$WORK/disk" && unset "MOUNT_PIDS[$WORK/disk]"
finish
