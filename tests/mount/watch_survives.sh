#!/bin/bash
# Watches outlive what happens to the replicas behind them, without a gap: the leader is killed; the mount's own replica
# is stopped and started; with PACT_SOAK it comes back with an empty disk, and the mount gets a snapshot for all it missed.
# What is done meanwhile through another replica is told, once; and what is done after it.
#
# Three replicas; A, where it is done, at the first; B may go to any; C knows the third alone.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/mount/ghost/lib.sh
. "$(dirname "$0")/ghost/lib.sh"
C=$WORK/c deep=$(printf '/d%.0s' {1..110})

# watch_both: a directory, two files in it, and a directory 110 levels down, on B and on C, from now on
watch_both() {
    WATCHERS=()
    for mnt in b c; do
        watch "$WORK/$mnt/w" "$WORK/$mnt/w/f" "$WORK/$mnt/w/g" "$WORK/$mnt$deep"
        mv "$WORK/events" "$WORK/events-$mnt" # it goes on writing there
        WATCHERS+=("$WATCHER")
        SEEN[$mnt]=0
    done
}

# told MNT: what was told since the last time, but for OPEN, of each watch in order
told() {
    tail -n "+$((SEEN[$1] + 1))" "$WORK/events-$1" | awk '$3 !~ /^OPEN/ { print $2, $3, $5 }' | sort -snk 1,1
}
as_expected() { [[ $(told "$1") == "$expected" ]]; }

# all_told WHAT EXPECTED [MNT...]: B and C, or these, are told this
all_told() {
    local expected mnt
    expected=$(sed '/^ *$/d; s/^ *//' <<<"$2")
    for mnt in ${3:-b c}; do
        eventually as_expected "$mnt" || fail "$1: on $mnt: $(diff <(echo "$expected") <(told "$mnt"))"
        SEEN[$mnt]=$(wc -l <"$WORK/events-$mnt")
    done
    pass "$1"
}

# last_change WHAT: is told to both, and nothing else was
last_change() {
    until mkdir -p "$A/w/last" 2>/dev/null; do :; done
    all_told "$1: what comes after it, and nothing besides" "0 CREATE,ISDIR last"
    until rmdir "$A/w/last" 2>/dev/null; do :; done
    all_told "$1: and again" "0 DELETE,ISDIR last"
}

declare -A SEEN=()
start_ensemble 3
start_mount_on 1 "$A"
start_mount "$B" -o session_timeout=120s
mount_at "$C" "127.0.0.1:${CLIENT_PORTS[3]}" -o session_timeout=120s
mkdir -p "$A$deep" "$A/w"
for file in f g h; do echo 1 >"$A/w/$file"; done
for mnt in "$B" "$C"; do
    sync "$mnt"
    ls -lR "$mnt/w" >"$WORK/said"
done
watch_both

l=$(leader)
kill_replica "$l"
until mkdir -p "$A/w/failover" 2>/dev/null; do :; done
all_told "the leader, replica $l, is killed" "0 CREATE,ISDIR failover" b
start_replica "$l"
all_told "it is back" "0 CREATE,ISDIR failover" c
eventually all_follow || fail "replica $l does not follow"
echo 2 >"$A/w/f"
mkdir "$A$deep/new"
all_told "later changes" "
    0 MODIFY f
    0 CLOSE_WRITE f
    1 MODIFY .
    1 CLOSE_WRITE .
    3 CREATE,ISDIR new"
last_change "a killed leader"

stop_replica 3
until attached_to 1 "$A" || attached_to 2 "$A"; do sleep 0.01; done
until mv "$A/w/h" "$A/w/moved" 2>/dev/null; do :; done
echo 3 >"$A/w/f"
rmdir "$A$deep/new"
start_replica 3
all_told "replica 3 was stopped and is started" "
    0 MOVED_FROM h
    0 MOVED_TO moved
    0 MODIFY f
    0 CLOSE_WRITE f
    1 MODIFY .
    1 CLOSE_WRITE .
    3 DELETE,ISDIR new"
last_change "a restart"

# The mount misses so much that no replica has it in its log any more, and its own has lost its disk.
after_a_snapshot() {
    local expected oldest i
    oldest=$(find "$WORK/data-1" -name 'log-*' | sort | tail -1)
    stop_replica 3
    until mkdir -p "$A/w/comes-and-goes" 2>/dev/null; do :; done
    rmdir "$A/w/comes-and-goes"
    mkdir "$A$deep/anew"
    echo 4 >"$A/w/f"
    mv "$A/w/moved" "$A/w/g"
    for ((i = 0; i < 1000; i++)); do
        [[ -e $oldest ]] || break
        head -c 1000000 /dev/zero >"$A/much"
    done
    [[ ! -e $oldest ]] || fail "replica 1 purges nothing after $i MB"
    rm -r "$WORK/data-3"
    start_replica 3
    # The difference says where names went, not how: the old g goes first.
    expected="0 MODIFY f
        0 CLOSE_WRITE f
        0 DELETE g
        0 MOVED_FROM moved
        0 MOVED_TO g
        1 MODIFY .
        1 CLOSE_WRITE .
        2 ATTRIB .
        2 DELETE_SELF .
        2 IGNORED .
        3 CREATE,ISDIR anew"
    # shellcheck disable=SC2001  # a pattern for each line
    expected=$(sed 's/^ *//' <<<"$expected" | sort)
    told_all() { [[ $(told c | sort) == "$expected" ]]; }
    eventually told_all || fail "after a snapshot: $(diff <(echo "$expected") <(told c | sort))"
    SEEN[c]=$(wc -l <"$WORK/events-c") SEEN[b]=$(wc -l <"$WORK/events-b")
    pass "a snapshot in place of $i MB: C is told the difference, and the end of a file it watched"
    last_change "a snapshot"
}
[[ ! ${PACT_SOAK:-} ]] || after_a_snapshot

kill "${WATCHERS[@]}"
for pid in "${WATCHERS[@]}"; do ended "$pid" "a watcher"; done
for mnt in "$B" "$C"; do
    [[ $(counter "$mnt" failed) == 0 ]] || fail "the kernel refused $(counter "$mnt" failed) ghosts"
done
for mnt in "$A" "$B" "$C"; do stop_mount "$mnt"; done
stop_ensemble
finish
