#!/bin/bash
# `pactctl status` and .pact/ensemble tell the truth about who leads, who follows, who lags by how much and who is not
# there: on the leader, on followers, on a replica that is alone; and the first server of a list that knows more speaks.
. "$(dirname "$0")/lib.sh"

start_ensemble 3
# says I EXPRESSION: what replica I answers, as Python sees it: s, and m(id) of its members
says() {
    status_of "$1" | python3 -c "
import json, sys
s = json.load(sys.stdin)
m = lambda id: next(m for m in s['members'] if m['id'] == id)
sys.exit(0 if ($2) else json.dumps(s))"
}
# all EXPRESSION: every replica that runs comes to say so
all() {
    local i
    for i in "${!REPLICA_PIDS[@]}"; do
        eventually says "$i" "$1" || { says "$i" "$1" && return 1; }
    done
}

echo "# all well"
L=$(leader)
read -r F G < <(for i in 1 2 3; do ((i == L)) || echo -n "$i "; done; echo)
start_mount_on "$L" "$WORK/l"
start_mount_on "$F" "$WORK/f"
for i in {1..20}; do mkdir "$WORK/l/d$i"; done
check "each names the leader" all "s['leader'] == $L and s['epoch'] > 0"
check "each knows the roles of all" \
    all "[m(i)['role'] for i in ($L, $F, $G)] == ['leader', 'follower', 'follower']"
check "all at one zxid, nobody lags" \
    all "len({m(i)['zxid'] for i in (1, 2, 3)}) == 1 and [m(i)['lag'] for i in (1, 2, 3)] == [0, 0, 0]"
check "all within reach" all "all(m(i)['reachable'] for i in (1, 2, 3))"
check "who answers" all "m(s['replica'])['zxid'] == s['zxid']"
check "sessions" all "s['sessions'] == 2"
check "mounts of the leader" says "$L" "s['mounts'] == 1"
check "one state version" all "s['state_version'] == 2 and m($F)['state_version_max'] == 2"
check "as text" grep -qE "^ +$F  +follower +0x[0-9a-f]+ +0 +127.0.0.1:${CLIENT_PORTS[F]}$" \
    <("$PACT_BIN/pactctl" -s "127.0.0.1:${CLIENT_PORTS[L]}" status)
check "which marks the one that answers" grep -q "^ *$L\* leader" <("$PACT_BIN/pactctl" -s "127.0.0.1:${CLIENT_PORTS[L]}" status)
check ".pact/ensemble: the same table" diff <(sed '1,/^$/d' "$WORK/f/.pact/ensemble") \
    <("$PACT_BIN/pactctl" -s "127.0.0.1:${CLIENT_PORTS[F]}" status | sed '1,/^$/d')
check "and whom the mount is attached to" grep -qx "replica $F" "$WORK/f/.pact/ensemble"

echo "# a follower that stands still"
kill -STOP "${REPLICA_PIDS[G]}"
for i in {21..40}; do mkdir "$WORK/l/d$i"; done
check "unreachable to the leader" eventually says "$L" "m($G)['role'] == 'unreachable' and not m($G)['reachable']"
check "and how far it had come" says "$L" "0 < m($G)['zxid'] < m($L)['zxid'] and m($G)['lag'] is None"
check "which the other follower repeats" eventually says "$F" "m($G)['role'] == 'unreachable'"
check ".pact/ensemble says it" eventually grep -q "^ *$G  unreachable" "$WORK/f/.pact/ensemble"
kill -CONT "${REPLICA_PIDS[G]}"
check "back, and level" all "m($G)['role'] == 'follower' and m($G)['lag'] == 0"

echo "# another leader"
kill_replica "$L"
N=$F
new_leader() { N=$(leader); }
check "there is another one" eventually new_leader
check "of a later epoch" all "s['leader'] == $N and m($N)['role'] == 'leader' and m($L)['role'] == 'unreachable'"
check "nobody calls the dead one leader" all "[x['role'] for x in s['members']].count('leader') == 1"
check "a list of servers: the dead one is passed over" test \
    "$("$PACT_BIN/pactctl" -s "127.0.0.1:${CLIENT_PORTS[L]},127.0.0.1:${CLIENT_PORTS[N]}" --json status | grep -c "\"leader\":$N")" = 1

echo "# alone"
O=$((6 - L - N))
kill_replica "$N"
check "no leader, and it says so" eventually says "$O" "s['leader'] == 0 and m($O)['role'] == 'looking'"
check "the others are not there" says "$O" "m($L)['role'] == m($N)['role'] == 'unreachable' and m($N)['lag'] is None"
check "as text" grep -q '^leader    none is known here' <("$PACT_BIN/pactctl" -s "127.0.0.1:${CLIENT_PORTS[O]}" status)
check "a mount reads it there" eventually grep -q "^ *$O\* looking" "$WORK/f/.pact/ensemble"
check "which knows of no leader" grep -qx 'leader 0' "$WORK/f/.pact/ensemble"
start_replica "$N"
check "two again" all "s['leader'] != 0 and m($O)['lag'] == m($N)['lag'] == 0"
check "the one that knows a leader speaks" test "$("$PACT_BIN/pactctl" -s "$SERVERS" --json status | grep -c '"leader":0')" = 0
check "mounts go on" eventually mkdir "$WORK/f/again"

echo "# nobody"
kill_replica "$O"
kill_replica "$N"
no_replica() { grep -qx 'no replica answers' "$WORK/f/.pact/ensemble"; }
check "the mount says it, within a second or so" eventually no_replica
check "pactctl says it in a line" not "$PACT_BIN/pactctl" -s "127.0.0.1:${CLIENT_PORTS[O]}" status
finish
