#!/bin/bash
# Ten thousand (with PACT_SOAK; else 2,000) writes of each kind to four hundred files through one mount, as fast as they go, watched on another: of
# each file the last one is reported, with the content that a program finds which reads the file when the event comes.
# And how long it takes from close() to the event.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/mount/ghost/lib.sh
. "$(dirname "$0")/ghost/lib.sh"

start_four

# last_reported EVENT [content]: each file's last event came after its last change had begun, and showed its content
last_reported() {
    awk -v e="$1" -v content="${2:-}" '
        $3 != e { next }
        FNR == NR { done[$2 " " $4] = $1; value[$2 " " $4] = $5; next }
        { at[$2 " " $5] = $1; seen[$2 " " $5] = $6 }
        END { for (f in done)
                  if (at[f] < done[f] || (content && seen[f] != value[f])) print f, at[f] - done[f], seen[f], value[f] }
        ' "$WORK/changes" "$WORK/events" >"$WORK/missed"
    [[ ! -s $WORK/missed ]] || fail "$kind: $(wc -l <"$WORK/missed") files not as they are: $(head -3 "$WORK/missed")"
}

change write 100 "$A"/{0,1,2,3}
announced
for kind in data append; do
    burst "$kind" -c
    last_reported CLOSE_WRITE "${kind#append}"
    [[ $(grep -c MODIFY "$WORK/events") == "$(grep -c CLOSE_WRITE "$WORK/events")" ]] || fail "$kind: MODIFY is missing"
    pass "$kind: of $((EACH * DIRS)) commits to $((100 * DIRS)) files each one's last is reported," \
        "$(grep -c CLOSE_WRITE "$WORK/events") in all; $took"
done
kind=attr
burst attr
last_reported ATTRIB
pass "attr: $(grep -c ATTRIB "$WORK/events") events of $((EACH * DIRS)) changes, each file's last; $took"

# How long it takes from close() here to the event there, when nothing else is going on.
mkdir "$A/quiet"
announced
watch "$B/quiet"
change write 1000 "$A/quiet"
announced
end_watch
awk '$3 != "CREATE" { next } FNR == NR { begun[$4] = $1; next } { print int(($1 - begun[$5]) / 1000) }' \
    "$WORK/changes" "$WORK/events" | sort -n >"$WORK/latency"
[[ $(wc -l <"$WORK/latency") == 1000 ]] || fail "$(wc -l <"$WORK/latency") of 1000 events"
pass "from close() to the event: $(sed -n 500p "$WORK/latency") us at p50, $(sed -n 990p "$WORK/latency") us at p99"
none_refused
stop_two
finish
