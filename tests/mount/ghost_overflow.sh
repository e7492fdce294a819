#!/bin/bash
# When there is more to announce than the queue holds, or the mount was away so long that it gets a snapshot, a
# watcher is told the difference: who follows the events has in the end the names that are there, and has been told of
# each file's last content.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/mount/ghost/lib.sh
. "$(dirname "$0")/ghost/lib.sh"

ctl() { "$PACT_BIN/pactctl" -s "$SERVERS" "$@"; }

watch_three() {
    local directory
    for directory in 0 1 2; do
        for name in "$B/$directory"/*; do
            [[ ! -e $name && ! -L $name ]] || echo "$directory ${name##*/}"
        done
    done | sort >"$WORK/before"
    watch "$B"/{0,1,2}
}

# followed WHAT: the names before, and what was told since, are the names now
followed() {
    local directory
    awk 'FNR == NR { there[$0]; next }
         $3 ~ /^(CREATE|MOVED_TO)/ { there[$2 " " $5] }
         $3 ~ /^(DELETE|MOVED_FROM)/ { delete there[$2 " " $5] }
         END { for (name in there) print name }' "$WORK/before" "$WORK/events" | sort >"$WORK/followed"
    for directory in 0 1 2; do
        find "$A/$directory" -mindepth 1 -maxdepth 1 -printf "$directory %f\n"
    done | sort >"$WORK/there"
    cmp -s "$WORK/there" "$WORK/followed" || fail "$1: $(diff "$WORK/there" "$WORK/followed" | head -5)"
}

all_announced() { # as announced, for as long as it goes on
    local pending before=''
    eventually level || fail "the second mount lags behind"
    while pending=$(counter "$B" pending) && ((pending > 0)); do
        [[ $pending != "$before" ]] || fail "still $pending changes to announce"
        before=$pending
        sleep 1
    done
}

start_two
mkdir "$A"/{0,1,2}
mkdir "$A"/0/{moves,stays}
change write 20 "$A"/{0,1}
ls -R "$B" >/dev/null

watch_three
hold directory "$B/0"
hold directory "$B/1"
for ((part = 0; part < 70; part++)); do
    for ((i = 0; i < 1000; i++)); do echo "create /$((part % 2))/n$part-$i"; done | ctl txn - >"$WORK/said" ||
        fail "txn: $(<"$WORK/said")"
done
[[ $(counter "$B" overflows) == 1 ]] || fail "$(counter "$B" overflows) overflows with $(counter "$B" pending) pending"
pending=$(counter "$B" pending)
change mix 200 "$A"/{0,1}
change replace 50 "$A"/{0,1}
mv "$A/0/moves" "$A/1/moved"
mv "$A/0/stays" "$A/1/moved/below"
mv "$A/0/f1" "$A/1/f2"
mv "$A/1/f3" "$A/0/f3-moved"
rmdir "$A"/0/n0-1[0-9]
rm "$A/1/f4"
change symlink 50 "$A/2"
beside() { grep -q ' 2 CREATE 0 s49$' "$WORK/events"; }
eventually beside || fail "two stuck directories with $pending changes hold up a third"
pass "$pending changes pending in two stuck directories: a third one's events come"

release
begun=$SECONDS
all_announced
end_watch
followed "beyond the limit"
came=$(grep -cE ' (CREATE|MOVED_TO)' "$WORK/events")
((came > 70000)) || fail "only $came names have come"
pass "beyond the limit: who follows $(wc -l <"$WORK/events") events knows all names; $((SECONDS - begun)) s for them"
[[ $(counter "$B" failed) == 0 ]] || fail "the kernel refused $(counter "$B" failed) ghosts"

# The mount sleeps while so much is written that the replica purges its log: it gets a snapshot.
watch_three
kill -STOP "$(worker_of "$(mount_pid "$B")")"
head -c 1000000 /dev/zero >"$WORK/much"
for ((i = 0; i < 4; i++)); do cp "$WORK/much" "$A/2/much"; done # as much as is on the way already
change mix 100 "$A/2"
echo changed >"$A/0/f5"
rmdir "$A"/0/n2-*
rm "$A/1/f6"
mv "$A/1/moved/below" "$A/0/stays-again"
mv "$A/1/moved" "$A/0/stays-again/upside-down"
oldest=$(find "$DATA" -name 'log-*' | sort | tail -1)
for ((i = 0; i < 1000; i++)); do
    [[ -e $oldest ]] || break
    cp "$WORK/much" "$A/2/much"
done
[[ ! -e $oldest ]] || fail "the replica purges nothing after $i MB"
kill -CONT "$(worker_of "$(mount_pid "$B")")"
all_announced
end_watch
grep -q ' x0$' "$WORK/events" && fail "it got no snapshot: what came and went is reported"
followed "after a snapshot"
grep -qE ' 0 MODIFY 0 f5$' "$WORK/events" || fail "after a snapshot: changed content is not reported"
[[ $(<"$B/0/f5") == changed ]] || fail "after a snapshot: the old content"
[[ $(counter "$B" failed) == 0 ]] || fail "the kernel refused $(counter "$B" failed) ghosts"
pass "after a snapshot: who follows $(wc -l <"$WORK/events") events knows all names; it slept for $i MB"
stop_two
finish
