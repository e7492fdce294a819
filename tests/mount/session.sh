#!/bin/bash
# When the session is lost, so is what was staged under it: ESTALE, never a write that lands in the next session. What
# only reads goes on.
. "$(dirname "$0")/lib.sh"

start_pactd
mkdir "$WORK/a"
# In the background, as no child of this shell: bash cannot have one stopped.
"$PACT_BIN/pactfs" "$SERVERS" "$WORK/a" -o session_timeout=1s || fail "the mount does not start"
daemon=$(pgrep -f -x "$PACT_BIN/pactfs $SERVERS $WORK/a -o session_timeout=1s")
trap 'kill -9 "$daemon"; umount -l "$WORK/a"; cleanup' EXIT
start_mount "$WORK/b"
a=$WORK/a b=$WORK/b
op() { "$PACT_TESTS/op" "$@"; }
answers() { [[ $(op "${@:2}") == "$1" ]]; }
session() { sed -n 's/^session //p' "$a/.pact/session"; }
other_session() { [[ $(session) != "$1" && $(session) != 0x0 ]]; }

# The files are held open by a shell that forks nothing: a child would hang closing its copies while the mount stands.
touch "$a/log"
echo old >"$a/file"
setsid -w mkdir "$a/{ephemeral}here" # not by this process group, which would be fenced: see fence.sh
mkfifo "$WORK/commands"
hold() {
    # shellcheck disable=SC2094  # they are different opens on purpose
    exec 3<"$a/file" 4>"$a/new" 5>>"$a/log" 6<>"$a/file"
    echo staged >&4
    echo STAGED >&6
    while read -r command; do
        if eval "$command" 2>>"$WORK/errors"; then echo OK; else echo failed; fi
    done >"$WORK/told" <"$WORK/commands"
}
hold &
exec 9>"$WORK/commands"
commands=0
told() { (($(wc -l <"$WORK/told") == commands)); }
# holder OUTCOME COMMAND
holder() {
    commands=$((commands + 1))
    echo "$2" >&9
    eventually told && [[ $(tail -1 "$WORK/told") == "$1" ]]
}
check "files are open, with staged writes" holder OK :
before=$(session)

kill -STOP "$(worker_of "$daemon")" # as a host that went silent
check "the session expires" eventually not test -e "$b/here"
kill -CONT "$(worker_of "$daemon")"
check "a new one begins by itself" eventually other_session "$before"
check "and can write" eventually answers OK mkdir "$a/again"

# shellcheck disable=SC2016  # for the holder to expand
check "a handle that reads goes on" holder OK 'read -r line <&3 && [[ $line == old ]]'
check "a new file's handle fails" holder failed 'echo more >&4'
check "one with staged writes fails" holder failed 'echo more >&6'
check "with ESTALE" test "$(grep -c 'Stale file handle' "$WORK/errors")" == 2
check "an appending one had nothing staged" holder OK 'echo line >&5'
exec 9>&-
wait $!
sync "$a" "$b"
check "the file is as it was" test "$(<"$b/file")" == old
check "the new one is no file" not test -e "$b/new"
check "its name is free" answers OK creat "$b/new"
check "the ephemeral is gone here too" not test -e "$a/here"
umount "$a"
check "it ends" eventually not kill -0 "$daemon"
trap cleanup EXIT

echo "# linearizable"
start_mount "$a" -o consistency=linearizable
for i in {1..100}; do
    echo "$i" >"$b/latest-$i"
    [[ $(cat "$a/latest-$i") == "$i" ]] || fail "a file made elsewhere before the open is not found"
    echo "new $i" >"$b/latest"
    [[ $(<"$a/latest") == "new $i" ]] || fail "an old version"
    rm "$b/latest-$i"
    [[ ! -e $a/latest-$i ]] || fail "a file removed elsewhere is found"
done
pass "100 times: made, written and removed there, seen here at once"

echo "# sync"
stop_mount "$a"
start_mount "$a"
for i in {1..100}; do
    echo "$i" >"$b/synced"
    sync "$a"
    [[ $(<"$a/synced") == "$i" ]] || fail "after sync DIR an old version"
    echo "again $i" >"$b/synced"
    sync "$a/synced"
    [[ $(<"$a/synced") == "again $i" ]] || fail "after sync FILE an old version"
done
pass "100 times: sync DIR and sync FILE show what was written there"
stop_mount "$a"
stop_mount "$b"
stop_pactd
finish
