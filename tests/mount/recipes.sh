#!/bin/bash
# Every recipe of examples/ does what its first lines say, among processes on three mounts, and what a process that was
# killed held or was is free or gone at once.
# shellcheck source=tests/mount/recipes.common
. "$(dirname "$0")/recipes.common"

# shellcheck disable=SC2016  # the inner shell's
turn='echo in >>"$0"; sleep 0.02; echo out >>"$0"'
alternate() { ! paste -d' ' - - <"$1" | grep -qvx 'in out'; }

echo "# queue-lock"
pids=()
for i in 0 1 2 0 1 2; do
    on $i queue-lock @/queue sh -c "$turn" "$WORK/queue" &
    pids+=($!)
done
check "six contenders have their turns" wait_all "${pids[@]}"
check "one at a time" alternate "$WORK/queue"
check "all six" lines "$WORK/queue" 12
check "and leave nothing" eventually nobody queue
on 0 queue-lock @/queue sleep 1000 &
holder=$!
check "one holds it" eventually holders queue 1
on 1 queue-lock @/queue sh -c "echo mine >'$WORK/mine'" &
second=$!
check "the next one waits" eventually holders queue 2
kill_hard "$holder"
check "kill -9 of the holder: the next has it" wait "$second"
check "and had its turn" holds "$WORK/mine" mine
on 2 queue-lock @/queue false &
check "the command's exit status is the lock's" not wait $!

echo "# shared-lock"
on 0 shared-lock @/shared read sh -c "echo in >>'$WORK/readers'; read -r x <'$WORK/gate'" &
r1=$!
on 1 shared-lock @/shared read sh -c "echo in >>'$WORK/readers'; read -r x <'$WORK/gate'" &
r2=$!
mkfifo "$WORK/gate"
check "two readers at once" eventually lines "$WORK/readers" 2
on 2 shared-lock @/shared write sh -c "echo in >>'$WORK/writer'" &
w=$!
check "a writer waits" eventually holders shared 3
on 0 shared-lock @/shared read sh -c "cat '$WORK/writer' >'$WORK/after'" &
r3=$!
check "a reader behind it waits as well" eventually holders shared 4
check "the writer was not let in" test ! -e "$WORK/writer"
kill_hard $r1 && kill_hard $r2
check "the readers are gone: the writer has its turn" wait $w
check "and then the reader" wait $r3
check "in this order" holds "$WORK/after" in

echo "# semaphore"
inside=()
for i in 0 1; do
    on $i semaphore @/semaphore 2 sh -c "echo in >>'$WORK/inside'; exec sleep 1000" &
    inside+=($!)
done
check "two are in" eventually lines "$WORK/inside" 2
for i in 2 0; do
    on $i semaphore @/semaphore 2 sh -c "echo in >>'$WORK/inside'; exec sleep 1000" &
    inside+=($!)
done
check "two wait" eventually holders semaphore 4
check "no more than two are in" lines "$WORK/inside" 2
kill_hard "${inside[0]}"
check "one is killed: the next is in" eventually lines "$WORK/inside" 3
kill_hard "${inside[1]}"
check "and the next" eventually lines "$WORK/inside" 4
kill_hard "${inside[2]}" && kill_hard "${inside[3]}"
check "all gone" eventually nobody semaphore

echo "# leader-election"
leaders=()
# shellcheck disable=SC2016  # the inner shell's
lead='echo "$TOKEN" >>"$0"; exec sleep 1000'
for i in 0 1 2; do
    on $i leader-election @/leader sh -c "$lead" "$WORK/tokens" &
    leaders+=($!)
    check "candidate $((i + 1)) is there" eventually holders leader $((i + 1))
done
check "one leads" eventually lines "$WORK/tokens" 1
leads() { sync "$2" && [[ $("$recipes/leader-election" "$2/leader") == *-"$HOSTNAME-$1-"* ]]; }
check "everybody knows who" leads "${leaders[0]}" "$c"
kill_hard "${leaders[0]}"
check "it is killed: the second leads" eventually lines "$WORK/tokens" 2
check "and everybody knows" eventually leads "${leaders[1]}" "$b"
kill "${leaders[1]}"
check "it ends: the third leads" eventually lines "$WORK/tokens" 3
check "the tokens grow" sort -nuc "$WORK/tokens"
kill_hard "${leaders[2]}"
nobody_leads() { ! "$recipes/leader-election" "$b/leader" 2>/dev/null; }
check "nobody is left" eventually nobody_leads

echo "# group-membership"
"$recipes/group-membership" "$b/group" watch >"$WORK/members" &
watch=$!
on 0 group-membership @/group join one sleep 1000 &
one=$!
on 2 group-membership @/group join two sleep 1000 &
two=$!
both() { grep -qx '+ one' "$WORK/members" && grep -qx '+ two' "$WORK/members"; }
check "the watch has both" eventually both
check "so has the list" diff <("$recipes/group-membership" "$b/group" list) <(printf 'one\ntwo\n')
on 1 group-membership @/group join one true 2>/dev/null &
check "a name is there once" not wait $!
kill_hard $one
check "one is killed" eventually grep -qx -- '- one' "$WORK/members"
kill $two
check "two ends" eventually grep -qx -- '- two' "$WORK/members"
# Who joined while it began is named twice.
check "the watch names nobody else" diff <(sort -u "$WORK/members") <(printf -- '+ one\n+ two\n- one\n- two\n' | sort)
kill $watch

echo "# barrier"
check "nobody waits without one" "$recipes/barrier" "$a/barrier" wait
check "raised" "$recipes/barrier" "$a/barrier" raise
pids=()
for i in 0 1 2; do
    on $i barrier @/barrier wait &
    pids+=($!)
done
waiting() { [[ $(pgrep -cf "inotifywait .*/barrier$") == 3 ]]; }
check "three wait" eventually waiting
check "lifted" "$recipes/barrier" "$b/barrier" lift
check "all go on" wait_all "${pids[@]}"

echo "# double-barrier"
pids=()
for i in 0 1; do
    on $i double-barrier @/double 3 sh -c "echo run >>'$WORK/double'; [ $i = 0 ] || read -r x <'$WORK/gate'" &
    pids+=($!)
done
check "two are there" eventually holders double 2
check "and do not run" test ! -e "$WORK/double"
on 2 double-barrier @/double 3 sh -c "echo run >>'$WORK/double'" &
pids+=($!)
check "with the third all run" eventually lines "$WORK/double" 3
check "nobody returns before all have ended" kill -0 "${pids[0]}" "${pids[2]}"
echo go >"$WORK/gate"
check "then all do" wait_all "${pids[@]}"
check "nothing is left" eventually nobody double

echo "# work-queue"
for item in 1 2 3; do
    echo "$item" | "$recipes/work-queue" "$a/work" put
done
workers=()
# shellcheck disable=SC2016  # the inner shell's
busy='read -r item; echo "$item" >>"$0"; [ "$item" != 2 ] || read -r x <"$1"'
for i in 0 1; do
    on $i work-queue @/work work sh -c "$busy" "$WORK/done" "$WORK/gate" &
    workers+=($!)
done
check "all are begun, each by one" eventually lines "$WORK/done" 3
claim() { [[ $(echo "$a"/work/claims/*) != *'*' && $(echo "$a"/work/claims/*) != *' '* ]]; }
check "one is still under way" eventually claim
for worker in "${workers[@]}"; do
    ! pgrep -P "$worker" sh >/dev/null || has_two=$worker
done
child=$(pgrep -P "$has_two" sh)
kill_hard "$has_two" && kill_hard "$child"
check "its worker is killed: another does it" eventually lines "$WORK/done" 4
echo go >"$WORK/gate"
check "it is removed when it is done" eventually nobody work/items
check "each was done" diff <(sort -u "$WORK/done") <(seq 3)
echo 4 | "$recipes/work-queue" "$c/work" put
check "a new one wakes the worker" eventually grep -qx 4 "$WORK/done"
for worker in "${workers[@]}"; do
    kill "$worker" 2>/dev/null
done

echo "# priority-queue"
for priority in 5 9 0 5; do
    echo "$priority" | "$recipes/priority-queue" "$b/priority" put $priority
done
sync "$c"
on 2 priority-queue @/priority work sh -c "cat >>'$WORK/priority'" &
worker=$!
check "all are done" eventually lines "$WORK/priority" 4
check "in order of priority" diff "$WORK/priority" <(printf '0\n5\n5\n9\n')
kill $worker

echo "# cron-once"
minute=''
until [[ $minute == "$(date +%M)" ]]; do # all within one minute
    rm -f "$WORK/ran" && rm -rf "$a/cron"
    minute=$(date +%M) pids=()
    for i in 0 1 2 0 1 2; do
        on $i cron-once @/cron sh -c "echo ran >>'$WORK/ran'" &
        pids+=($!)
    done
    check "each host's cron is content" wait_all "${pids[@]}"
done
check "one of six ran it" lines "$WORK/ran" 1

echo "# service-discovery"
"$recipes/service-discovery" "$b/services" "$WORK/upstream" touch "$WORK/reloaded" &
discovery=$!
"$recipes/service-registry" "$a/services" register web1 10.0.0.1:80
check "a service is in the file" eventually holds "$WORK/upstream" 'server 10.0.0.1:80; # web1'
check "which is used" eventually test -e "$WORK/reloaded"
"$recipes/service-registry" "$c/services" register web2 10.0.0.2:80
check "a second one" eventually lines "$WORK/upstream" 2
stop_mount "$c"
check "its host ends: it is out of the file" eventually lines "$WORK/upstream" 1
start_mount "$c"
kill $discovery

echo "# two-phase-commit"
pids=()
transaction() { # NAME COUNT
    on 0 two-phase-commit "@/$1" coordinate "$2" >"$WORK/coordinator" &
    coordinator=$!
    check "the coordinator is there" eventually test -d "$b/$1/votes" -a -d "$c/$1/votes"
}
transaction yes 2
on 1 two-phase-commit @/yes vote p1 yes >"$WORK/p1" &
p1=$!
on 2 two-phase-commit @/yes vote p2 yes >"$WORK/p2" &
check "all yes: all commit" wait_all $coordinator $p1 $!
check "and say so" diff <(cat "$WORK"/{coordinator,p1,p2}) <(printf 'commit\ncommit\ncommit\n')
transaction no 2
on 1 two-phase-commit @/no vote p1 yes >"$WORK/p1" &
p1=$!
on 2 two-phase-commit @/no vote p2 no >"$WORK/p2" &
check "one no" not wait $!
check "the other is told" not wait $p1
check "and the coordinator" not wait $coordinator
check "abort" diff <(cat "$WORK"/{coordinator,p1,p2}) <(printf 'abort\nabort\nabort\n')
transaction dead 2
on 1 two-phase-commit @/dead vote p1 yes >"$WORK/p1" &
p1=$!
check "one has voted" eventually test -s "$a/dead/votes/p1"
kill_hard $coordinator
check "the coordinator is killed: abort" not wait $p1
check "as it says" holds "$WORK/p1" abort

echo "# usage"
for recipe in "$recipes"/*; do
    case ${recipe##*/} in packages | quickstart* | *.service) continue ;; esac
    check "${recipe##*/} without arguments tells its usage" grep -q '^usage: ' <("$recipe" 2>&1)
    check "${recipe##*/} is at most 40 lines" test "$(wc -l <"$recipe")" -le 40
done
finish
