#!/bin/bash
# A host is unplugged (its namespace's link goes down): what its programs held is free elsewhere within the session's
# timeout and 1 s, and never before these programs were fenced; plugged in again, the mount goes on in a new session.
# shellcheck disable=SC2016  # what is given to `bash -c` and `eval` expands there
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"

op() { "$PACT_TESTS/op" "$@"; }
answers() { [[ $(op "${@:2}") == "$1" ]]; }
value() { sed -n "s/^$2 //p" "$1/.pact/session"; } # MNT NAME
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
# Looked at in this order, what is free and then still not fenced is wrong however slowly one looks.
fenced_or_free() {
    free=''
    [[ -e $b/owned ]] || free=1
    if (($(value "$a" fenced) > 0)); then free=''; else [[ $free ]]; fi
}
a=$WORK/a b=$WORK/b host=pactu$$ timeout_s=$(limit 3 10)
network_down() { ip link del "$host" && ip netns del "$host"; } 2>/dev/null
trap 'network_down; cleanup' EXIT

ip netns add "$host" || fail "a network namespace cannot be made"
ip link add "$host" type veth peer name eth0 netns "$host"
ip address add 10.77.79.1/24 dev "$host"
ip link set "$host" up
nsenter --net="/run/netns/$host" ip address add 10.77.79.2/24 dev eth0
nsenter --net="/run/netns/$host" ip link set eth0 up

KEYS=$WORK/keys
mkdir "$KEYS"
"$PACT_BIN/pactctl" keygen "$KEYS" >/dev/null || fail "keygen"
base=$(free_ports 6)
for i in 1 2 3; do
    CLIENT_PORTS[i]=$((base + 2 * i - 1))
    ENSEMBLE+=${ENSEMBLE:+,}$i=10.77.79.1:$((base + 2 * i - 2)):${CLIENT_PORTS[i]}
    SERVERS+=${SERVERS:+,}10.77.79.1:${CLIENT_PORTS[i]}
done
for i in 1 2 3; do start_replica $i; done
eventually leader || fail "nobody leads"
start_mount "$b"
WITHIN=(nsenter --net="/run/netns/$host")
start_mount "$a" -o session_timeout="${timeout_s}s" -o op_timeout=2s
WITHIN=()

rounds=2
[[ ! ${PACT_SOAK:-} ]] || rounds=10
for ((round = 1; round <= rounds; round++)); do
    echo "# round $round"
    : >"$WORK/holder"
    setsid bash -c 'until mkdir "$1/{owner=$$}owned"; do :; done; exec "$2/owners" knock mkdir "$1/work"' _ "$a" "$PACT_TESTS" >"$WORK/holder" &
    holder=$!
    eventually eval '[[ -d $b/owned && $(tail -n 1 "$WORK/holder") == OK ]]' || fail "nobody holds anything"
    # shellcheck disable=SC2034  # for `eval`
    session=$(value "$a" session)
    nsenter --net="/run/netns/$host" ip link set eth0 down
    began=$(now_ms)
    eventually fenced_or_free
    check "fenced, seen after $(($(now_ms) - began)) ms, and not free before" not test "$free"
    check "it is free for them then" eventually test ! -e "$b/owned"
    took=$(($(now_ms) - began))
    check "within the timeout of ${timeout_s}000 ms and 1 s: after $took ms" test $took -le "$(limit $((timeout_s * 1000 + 1000)) 60000)"
    check "not earlier than it may be" test $took -ge $((timeout_s * 875))
    check "its program is told" eventually eval '[[ $(tail -n 1 "$WORK/holder") == ESTALE ]]'
    nsenter --net="/run/netns/$host" ip link set eth0 up
    check "plugged in: a new session" eventually eval '[[ $(value "$a" state) == connected && $(value "$a" session) != "$session" ]]'
    check "in which others go on" eventually answers OK mkdir "$a/after-$round"
    check "but not the holder" test "$(tail -n 1 "$WORK/holder")" == ESTALE
    kill_hard $holder
    rmdir "$a/work" 2>/dev/null
    eventually eval '[[ $(value "$a" fenced) == 0 ]]' || fail "the dead are still fenced"
done
stop_mount "$a"
stop_mount "$b"
stop_ensemble
finish
