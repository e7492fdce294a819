#!/bin/bash
# `pactctl status` and .pact/ensemble tell the truth about who leads, who follows, who lags by how much and who is not
# there: on the leader, on followers, on a replica that is alone; and the first server of a list that knows more speaks.
. "$(dirname "$0")/lib.sh"

start_ensemble 3
# One answer's fields; what it is asked of comes last, so that `all` can add it.
field() { status_of "$2" | sed -E 's/"members":\[[^]]*\],//' | sed -nE "s/.*\"$1\":\"?([^,\"}]*).*/\1/p"; }
member() { status_of "$3" | tr '{' '\n' | sed -nE "/^\"id\":$1,/s/.*\"$2\":\"?([^,\"}]*).*/\1/p"; }
says() { [[ $(field "$1" "$3") == "$2" ]]; }
member_says() { [[ $(member "$1" "$2" "$4") == "$3" ]]; }
# One leads, by its own word too, and all that run name it; there is none.
agreed() {
    local i
    L=$(leader) || return 1
    for i in "${!REPLICA_PIDS[@]}"; do says leader "$L" "$i" || return 1; done
}
leaderless() { says leader 0 "$1"; }
roles() { [[ "$(member 1 role "$1") $(member 2 role "$1") $(member 3 role "$1")" == "${ROLES[*]}" ]]; }
# What it says when those that run are well: a leader, else followers.
well() {
    local i
    L=$(field leader "$1")
    [[ $L == [123] ]] || return 1
    for i in 1 2 3; do
        ROLES[i]=follower
        [[ ${REPLICA_PIDS[i]:-} ]] || ROLES[i]=unreachable
    done
    ROLES[L]=leader
    roles "$1"
}
reached() { ! status_of "$1" | grep -q '"reachable":false'; }
level() {
    local zxid i
    zxid=$(field zxid "$1")
    for i in 1 2 3; do
        member_says "$i" zxid "$zxid" "$1" && member_says "$i" lag 0 "$1" || return 1
    done
}
# all COMMAND...: each replica that runs comes to agree; COMMAND gets its number last
all() {
    local i
    for i in "${!REPLICA_PIDS[@]}"; do
        eventually "$@" "$i" || { status_of "$i" && return 1; }
    done
}
declare -a ROLES # by id

echo "# all well"
start_mount "$WORK/l"
start_mount "$WORK/f"
for i in {1..20}; do mkdir "$WORK/l/d$i"; done
check "each names the leader" eventually agreed
check "each knows the roles of all" all well
check "all at one zxid, nobody lags" all level
check "all within reach" all reached
check "sessions" all says sessions 2
both() { (($(field mounts 1) + $(field mounts 2) + $(field mounts 3) == 2)); }
check "and where their mounts are" eventually both
read -r F G < <(for i in 1 2 3; do ((i == L)) || echo -n "$i "; done; echo)
check "one state version" all says state_version 5
check "known to all" all member_says 2 state_version_max 5
check "as text" grep -qE "^ +$F  +follower +0x[0-9a-f]+ +0 +127.0.0.1:${CLIENT_PORTS[F]}$" \
    <("$PACT_BIN/pactctl" -s "127.0.0.1:${CLIENT_PORTS[L]}" status)
check "which marks the one that answers" grep -q "^ *$L\* leader" <("$PACT_BIN/pactctl" -s "127.0.0.1:${CLIENT_PORTS[L]}" status)
# .pact/ensemble has the table of the replica that it names
same_table() {
    sed '1,/^$/d' "$WORK/f/.pact/ensemble" >"$WORK/table"
    "$PACT_BIN/pactctl" -s "127.0.0.1:${CLIENT_PORTS[$(replica_of "$WORK/f")]}" status | sed '1,/^$/d' | cmp - "$WORK/table"
}
check ".pact/ensemble: the same table, of the replica that it names" eventually same_table

echo "# a follower that stands still"
kill -STOP "${REPLICA_PIDS[G]}"
for i in {21..40}; do mkdir "$WORK/l/d$i"; done
missed() { member_says "$G" role unreachable "$(leader)" && member_says "$G" lag null "$(leader)"; }
check "the leader does not reach it, and cannot say how far it lags" eventually missed
behind() { (($(member "$G" zxid "$L") > 0 && $(member "$G" zxid "$L") < $(field zxid "$L"))); }
check "but how far it had come" eventually behind
check "the other follower says the same" eventually member_says "$G" role unreachable "$F"
check ".pact/ensemble says it" eventually grep -q "^ *$G  unreachable" "$WORK/f/.pact/ensemble"
kill -CONT "${REPLICA_PIDS[G]}"
check "back" all well
check "and level" all level

echo "# another leader"
eventually agreed
dead=$L
kill_replica "$dead"
check "there is another one, which both name" eventually agreed
check "and none calls the dead one leader" all well
check "a list of servers: the dead one is passed over" test \
    "$("$PACT_BIN/pactctl" -s "127.0.0.1:${CLIENT_PORTS[dead]},127.0.0.1:${CLIENT_PORTS[L]}" --json status | grep -c "\"leader\":[123],")" = 1

echo "# alone"
N=$L
O=$((6 - dead - N))
kill_replica "$N"
check "no leader, and it says so" eventually leaderless "$O"
ROLES=([dead]=unreachable [N]=unreachable [O]=looking)
check "the others are not there" eventually roles "$O"
check "and nobody's lag is known" member_says "$O" lag null "$O"
check "as text" grep -q '^leader    none is known here' <("$PACT_BIN/pactctl" -s "127.0.0.1:${CLIENT_PORTS[O]}" status)
check "a mount reads it there" eventually grep -q "^ *$O\* looking" "$WORK/f/.pact/ensemble"
check "which knows of no leader" grep -qx 'leader 0' "$WORK/f/.pact/ensemble"
start_replica "$N"
check "two again" all member_says "$O" lag 0
check "both" all member_says "$N" lag 0
check "the one that knows a leader speaks" test "$("$PACT_BIN/pactctl" -s "$SERVERS" --json status | grep -c '"leader":0')" = 0
check "mounts go on" eventually mkdir "$WORK/f/again"

echo "# nobody"
kill_replica "$O"
kill_replica "$N"
no_replica() { grep -qx 'no replica answers' "$WORK/f/.pact/ensemble"; }
check "the mount says it, within a second or so" eventually no_replica
check "pactctl says it in a line" not "$PACT_BIN/pactctl" -s "127.0.0.1:${CLIENT_PORTS[O]}" status
finish
