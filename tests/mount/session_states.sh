#!/bin/bash
# The states of a session on three replicas: each change is an inotify event of .pact/session; without a quorum a mount
# takes its session for lost before the ensemble does, and fences first; and 10,000 ephemerals of a host that died vanish
# in one transaction, of which watchers elsewhere get every event.
# shellcheck disable=SC2016  # what is given to `bash -c` and `eval` expands there
. "$(dirname "$0")/lib.sh"

op() { "$PACT_TESTS/op" "$@"; }
answers() { [[ $(op "${@:2}") == "$1" ]]; }
value() { sed -n "s/^$2 //p" "$1/.pact/session"; } # MNT NAME
is() { [[ $(value "$1" "$2") == "$3" ]]; }
applied() { sed -n 's/^applied //p' "$1/.pact/ensemble"; }
a=$WORK/a b=$WORK/b
timeout_s=4

start_ensemble 3
start_mount "$a" -o session_timeout=${timeout_s}s -o op_timeout=2s
start_mount "$b" -o session_timeout=60s

echo "# what it shows"
check "the state, the id, the time" eval 'is "$a" state connected && is "$a" timeout_ms ${timeout_s}000 && [[ $(value "$a" session) == 0x* ]]'
check "at most 7/8 of it remains" eval '(($(value "$a" remaining_ms) <= timeout_s * 875 && $(value "$a" remaining_ms) > 0))'

echo "# no quorum"
inotifywait -q -m -e modify --format %e "$a/.pact/session" >"$WORK/events" 2>/dev/null &
watcher=$!
events() { wc -l <"$WORK/events"; }
# shellcheck disable=SC2034  # for `eval`
session=$(value "$a" session)
setsid bash -c 'mkdir "$1/{owner=$$}owned"; exec "$2/owners" knock mkdir "$1/holder"' _ "$a" "$PACT_TESTS" >"$WORK/holder" &
holder=$!
setsid "$PACT_TESTS/owners" knock mkdir "$a/bystander" >"$WORK/bystander" &
bystander=$!
eventually eval '[[ -d $b/owned && $(tail -n 1 "$WORK/holder") == OK && $(tail -n 1 "$WORK/bystander") == OK ]]' || fail "nobody holds anything"
before=$(events)
for i in 1 2 3; do kill -STOP "${REPLICA_PIDS[$i]}"; done
check "it is suspended" eventually is "$a" state suspended
check "which is an event" eventually eval '(($(events) > before))'
check "reads go on" test -d "$a/owned"
before=$(events)
check "it takes itself for expired" eventually is "$a" state expired
check "which is one, too" eventually eval '(($(events) > before))'
check "who held something is fenced" eventually eval '(($(value "$a" fenced) >= 1)) && [[ $(tail -n 1 "$WORK/holder") == ESTALE ]]'
check "while what it held is there for all others" test -d "$b/owned"
before=$(events)
for i in 1 2 3; do kill -CONT "${REPLICA_PIDS[$i]}"; done
check "a new session begins" eventually eval 'is "$a" state connected && ! is "$a" session "$session"'
check "the old one has ended by then, with what it held" test ! -e "$a/owned"
check "an event" eventually eval '(($(events) > before))'
check "a bystander goes on in it" eventually eval '[[ $(tail -n 1 "$WORK/bystander") == OK ]]'
check "a holder never does" test "$(tail -n 1 "$WORK/holder")" == ESTALE
check "elsewhere, too" eventually test ! -e "$b/owned"
for pid in $holder $bystander $watcher; do kill_hard "$pid"; done
check "nobody is fenced when they have ended" eventually is "$a" fenced 0

echo "# a host that dies"
n=$(repeated 10000)
stop_mount "$a"
start_mount "$a" -o session_timeout=${timeout_s}s -o op_timeout=60s
mkdir -p "$a/many"
sync "$b"
"$PACT_TESTS/owners" many "$n" "$a/many/{ephemeral}{seq}" >"$WORK/many" &
maker=$!
eventually grep -q ready "$WORK/many" || fail "they are not made: $(<"$WORK/many")"
kill_hard $maker
sync "$b"
check "$n ephemerals" test "$(find "$b/many" -mindepth 1 | wc -l)" == "$n"
"$PACT_TESTS/ghost_watch" "$b/many" >"$WORK/deletes" 2>"$WORK/watching" &
watcher=$!
started "$WORK/watching" $watcher ready "the watcher"
before=$(applied "$b")
kill_hard "$(mount_pid "$a")"
died=${EPOCHREALTIME/./}
check "vanish" eventually eval '[[ ! $(find "$b/many" -mindepth 1 -print -quit) ]]'
gone=${EPOCHREALTIME/./}
echo "# gone $(((gone - died) / 1000)) ms after the death, with a timeout of ${timeout_s}000 ms"
check "not before the timeout less a heartbeat" test $(((gone - died) / 1000)) -ge $((timeout_s * 1000 - 1000))
check "within the timeout and 1 s" test $(((gone - died) / 1000)) -le "$(limit $((timeout_s * 1000 + 1000)) 60000)"
check "in one transaction" test $(($(applied "$b") - before)) == 1
deletes() { grep -c ' DELETE' "$WORK/deletes"; }
check "a watcher elsewhere gets all $n events" eventually eval '(($(deletes) == n))'
kill $watcher
ended $watcher "the watcher"
check "each name once" test "$(awk '/ DELETE/ { print $NF }' "$WORK/deletes" | sort -u | wc -l)" == "$n"
umount -l "$a"
unset "MOUNT_PIDS[$a]"
stop_mount "$b"
stop_ensemble
finish
