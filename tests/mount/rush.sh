#!/bin/bash
# Many clients that come, write once and leave, all at a time: a session's first request follows its creation so
# closely that it may reach the leader before the leader has applied that.
. "$(dirname "$0")/lib.sh"

start_ensemble 3
CLIENTS=8
EACH=$(repeated 300)
rush() {
    local i
    for ((i = 0; i < EACH; i++)); do
        ctl create "/client-$1-$i" "$i" >/dev/null || return 1
    done
}
pids=()
for ((client = 0; client < CLIENTS; client++)); do
    rush "$client" >"$WORK/rush-$client.log" 2>&1 &
    pids+=($!)
done
for client in "${!pids[@]}"; do
    check "client $client is answered each time" wait "${pids[client]}" || cat "$WORK/rush-$client.log"
done
check "everything is there" test "$(ctl ls / | grep -c '^client-')" == $((CLIENTS * EACH))
check "all replicas agree" eventually same_digests
stop_ensemble
finish
