#!/bin/bash
# TTL and container nodes are removed by the leader, whoever that is: not before the TTL since their last change has
# passed, not long after it, and not twice, while leaders are killed.
. "$(dirname "$0")/lib.sh"
TTL_MS=3000
start_ensemble 3
a=$WORK/a b=$WORK/b
start_mount_on 1 "$a"
start_mount_on 2 "$b"
now_ms() { date +%s%3N; }
fail_over() {
    local old
    old=$(leader)
    kill_replica "$old"
    check "the leader is killed: another one leads" eventually leader
    start_replica "$old"
    check "and it is back" eventually all_follow
}
# lived NAME SINCE_MS: waits until it is gone, on the other mount; it lived its TTL since then, and not much longer
lived() {
    check "$1 goes" eventually not test -e "$b/$1"
    local took=$(($(now_ms) - $2))
    check "after its TTL, not before: $took ms" test "$took" -ge $TTL_MS
    check "and not long after" test "$took" -le $((TTL_MS + $(limit 3000 30000)))
}

# half_lived NAME SINCE_MS: changed in the middle of its life; false if it was gone before, on a machine that stood still
half_lived() {
    until (($(now_ms) - $2 > TTL_MS / 2)); do sleep 0.05; done
    changed=$(now_ms)
    truncate -c -s 5 "$b/changed-$1"
    touch -c -d @0 "$b/directory-$1" # the user's time is not what counts, but it is a change
    [[ -e $b/changed-$1 && -e $b/directory-$1 ]]
}

echo "# TTL"
round=0
until
    round=$((round + 1)) born=$(now_ms)
    mkdir "$a/{ttl=3s}directory-$round"
    echo 1 >"$a/{ttl=3s}changed-$round"
    ((round > 1)) || fail_over
    half_lived "$round" "$born"
do
    ((round < 10)) || fail "none is there at half its life"
done
mkdir "$a/{ttl=3s}full" "$a/full/child"
born=$(now_ms)
echo x >"$a/{ttl=3s}file"
ln -s x "$a/{ttl=3s}link"
fail_over
lived file "$born"
check "the link as well" eventually not test -L "$b/link"
lived "changed-$round" "$changed"
lived "directory-$round" "$changed"
check "what has children stays" test -d "$b/full"
emptied=$(now_ms)
rmdir "$a/full/child"
fail_over
lived full "$emptied"

echo "# containers"
mkdir "$a/{container}box"
sync "$b"
mkdir "$b/box/one"
fail_over
check "one with a child stays" test -d "$b/box/one"
rmdir "$b/box/one"
check "when the last has gone it goes" eventually not test -e "$a/box"
check "every replica has the same digest" eventually same_digests
check "nothing is left" test -z "$(ls "$a")"
finish
