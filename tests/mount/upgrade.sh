#!/bin/bash
# A rolling upgrade: the ensemble's replicas are replaced one at a time by ones that know a newer state version, while
# two mounts write. It is at the newest version that all members know, whoever leads, and goes on to the next by itself. Nothing is lost, nothing stops, and what is older is then refused.
. "$(dirname "$0")/lib.sh"

oldest=(--state-version 1) old=(--state-version 2) newest=5
status() { status_of "$1" | sed -E 's/"members":\[[^]]*\],//'; }
versions_are() { # N: all replicas are at this state version
    local i
    for i in 1 2 3; do
        [[ $(status "$i" | sed -nE 's/.*"state_version":([0-9]+).*/\1/p') == "$1" ]] || return 1
    done
}
in_service() { leads "$1" || follows "$1"; }
replace() { # I [OPTION...]: ends cleanly and is started again
    stop_replica "$1"
    start_replica "$@"
    eventually in_service "$1" || fail "replica $1 does not come back"
}
states() { for i in 1 2 3; do status "$i"; done | sed -E 's/.*"zxid":([0-9]+),"digest":"([0-9a-f]+)".*/\1 \2/' | uniq; }
at_one_state() { [[ $(states | wc -l) == 1 ]]; }
# Appends 1, 2, 3… to a file of its own until it is told to stop. What was certainly not done it tries again: a machine
# that stands still for long may be without a leader for two seconds.
write() {
    local i error
    for ((i = 1; ; i++)); do
        [[ ! -e $WORK/stop ]] || break
        until error=$({ echo "$i" >>"$1/numbers-$2"; } 2>&1); do
            [[ $error == *'Read-only file system'* ]] || { echo "write $i: $error" >>"$WORK/failed" && break 2; }
        done
    done
    echo $((i - 1)) >"$WORK/written-$2"
}
written() { tail -n 1 "$WORK/a/numbers-$1"; }
goes_on() { # each writer gets on
    local a b
    a=$(written a) b=$(written b)
    further() { (($(written a) > a && $(written b) > b)); }
    eventually further
}

echo "# all of the oldest version"
start_ensemble 3 "${oldest[@]}"
start_mount "$WORK/a"
start_mount "$WORK/b"
for i in a b; do echo 0 >"$WORK/$i/numbers-$i"; done
write "$WORK/a" a &
writers=($!)
write "$WORK/b" b &
writers+=($!)
check "at version 1" versions_are 1

echo "# one after the other becomes new, the last is still the oldest"
for i in 1 2; do
    replace $i
    check "replica $i is new: mounts write on" goes_on
done
check "still at version 1" versions_are 1
held() { "$PACT_BIN/pactctl" -s "$SERVERS" status | grep -qx "replica 3 knows no later state version than $1"; }
check "status names who holds it" eventually held 1

echo "# the last one becomes newer, but not new"
replace 3 "${old[@]}"
check "the ensemble goes on to version 2" eventually versions_are 2
check "status names who holds it" eventually held 2
check "mounts write on" goes_on

echo "# the old one leads"
for ((turn = 0; turn < 10; turn++)); do
    eventually leader || fail "nobody leads"
    L=$(leader)
    [[ $L != 3 ]] || break
    replace "$L"
done
check "it leads" test "$L" = 3
check "mounts write on" goes_on
check "still at version 2" versions_are 2
replace 3 "${old[@]}"
check "it is started again, still old: mounts write on" goes_on
check "still at version 2" versions_are 2

echo "# the last one becomes new"
replace 3
check "the ensemble goes on to version $newest by itself" eventually versions_are $newest
check "mounts write on" goes_on
touch "$WORK/stop"
wait "${writers[@]}"
check "no write failed" not cat "$WORK/failed"
sync "$WORK/a" "$WORK/b"
for i in a b; do
    count=$(<"$WORK/written-$i")
    check "each of $count writes of $i is there, once, in order" cmp <(seq 0 "$count") "$WORK/a/numbers-$i"
    check "the same on the other mount" cmp "$WORK/a/numbers-$i" "$WORK/b/numbers-$i"
done
check "the same state on all replicas" eventually at_one_state

echo "# what is older is refused"
stop_replica 3
status=0
timeout 30 "$PACT_BIN/pactd" --id 3 --data "$WORK/data-3" --ensemble "$ENSEMBLE" "${old[@]}" 2>"$WORK/refused" || status=$?
check "with data of version $newest it does not start" test $status = 1
check "and says why" grep -qE "data-3: .*state version.* this replica knows 1 to 2" "$WORK/refused"
mv "$WORK/data-3" "$WORK/data-kept"
: >"$WORK/replica-3.log"
start_replica 3 "${old[@]}"
for i in 1 2; do
    check "without data: replica $i refuses it and names both sides" eventually grep -q \
        "error replica $i knows state versions 1 to $newest and is at $newest, replica 3 knows 1 to 2 and is at 1" "$WORK/replica-$i.log"
    check "it says so too" eventually grep -qE "error .*replica (3|$i) knows .* replica (3|$i) knows" "$WORK/replica-3.log"
done
check "the others go on" mkdir "$WORK/a/alone"
check "it says it once" test "$(grep -c "error replica 1 knows" "$WORK/replica-1.log")" = 1
stop_replica 3
rm -r "$WORK/data-3" && mv "$WORK/data-kept" "$WORK/data-3"
start_replica 3
check "as a new one it is welcome again" eventually in_service 3
stop_mount "$WORK/a"
stop_mount "$WORK/b"
stop_ensemble
finish
