#!/bin/bash
# The recipes of examples/ where things go wrong: a place is lost, a session, a mount; names are alike; inotifywait
# cannot run; COMMAND fails, or reads what it should not. None does what it must not, hangs or is silent.
# shellcheck source=tests/mount/recipes.common
. "$(dirname "$0")/recipes.common"

says() { [[ $(<"$WORK/heard") == *"$1"* && $(wc -l <"$WORK/heard") == 1 ]]; } # in one line
contained() { # as `on`, with process number 1: as in a container
    local recipe=$2 mount=${mounts[$1]}
    shift 2
    exec unshare --pid --fork --kill-child "$recipes/$recipe" "${@//@/$mount}"
}
arguments_of() { # RECIPE: sets `arguments` to what it has before its command
    arguments=()
    case $1 in shared-lock) arguments=(write) ;; semaphore) arguments=(1) ;; esac
}

echo "# a place is lost"
for recipe in queue-lock shared-lock semaphore leader-election; do
    arguments_of $recipe
    on 0 $recipe @/lost-$recipe "${arguments[@]}" sleep 1000 &
    holder=$!
    check "$recipe: one is in" eventually holders lost-$recipe 1
    on 1 $recipe @/lost-$recipe "${arguments[@]}" touch "$WORK/ran" 2>"$WORK/heard" &
    waiter=$!
    check "one waits" eventually holders lost-$recipe 2
    sync "$c" && rmdir "$c/lost-$recipe"/0000000001-*
    check "its place is removed: it fails at once" ends_with 1 $waiter
    check "and says why" says "$recipe: the place in "
    kill_hard $holder
done
on 0 double-barrier @/lost-double 2 touch "$WORK/ran" 2>"$WORK/heard" &
waiter=$!
check "double-barrier: one waits" eventually holders lost-double 1
sync "$c" && rmdir "$c"/lost-double/*
check "its place is removed: it fails" ends_with 1 $waiter
check "and says why" says 'double-barrier: the place in '
check "none of them ran its command" test ! -e "$WORK/ran"
on 0 two-phase-commit @/lost-tx coordinate 2 >"$WORK/heard" &
coordinator=$!
check "two-phase-commit: a coordinator" eventually test -d "$c/lost-tx/votes"
rmdir "$c/lost-tx/coordinator"
check "its place is removed: it fails" ends_with 1 $coordinator
check "as all abort" holds "$WORK/heard" abort

echo "# a session is lost"
holding=() waiters=()
start_mount "$WORK/m3" -o session_timeout=2s
mounts+=("$WORK/m3")
for recipe in queue-lock shared-lock semaphore leader-election; do
    arguments_of $recipe
    on 0 $recipe @/session-$recipe "${arguments[@]}" sleep 1000 &
    holding+=($!)
    check "$recipe: one is in" eventually holders session-$recipe 1
    on 3 $recipe @/session-$recipe "${arguments[@]}" touch "$WORK/ran" 2>"$WORK/heard-$recipe" &
    waiters+=($!)
    check "one waits" eventually holders session-$recipe 2
done
worker=$(worker_of "$(mount_pid "$WORK/m3")")
kill -STOP "$worker"
for recipe in queue-lock shared-lock semaphore leader-election; do
    check "$recipe: its mount is silent: the place goes" eventually holders session-$recipe 1
done
for holder in "${holding[@]}"; do kill_hard "$holder"; done
kill -CONT "$worker"
for recipe in queue-lock shared-lock semaphore leader-election; do
    check "$recipe: it fails" ends_with 1 "${waiters[0]}"
    waiters=("${waiters[@]:1}")
    mv "$WORK/heard-$recipe" "$WORK/heard"
    check "and says why" says "$recipe: the place in "
done
check "none of them ran its command" test ! -e "$WORK/ran"
stop_mount "$WORK/m3"

echo "# names that are alike"
on 0 queue-lock @/alike sh -c "read -r x <'$WORK/gate'" &
pids=($!)
mkfifo "$WORK/gate"
check "one holds the lock" eventually holders alike 1
# shellcheck disable=SC2016  # the inner shell's
for host in db eu-db db db; do
    HOSTNAME=$host contained 1 queue-lock @/alike sh -c 'echo in >>"$0"; sleep 0.02; echo out >>"$0"' "$WORK/alike" &
    pids+=($!)
done
check "four wait, each number 1 in its container" eventually holders alike 5
echo go >"$WORK/gate"
check "all have their turns" wait_all "${pids[@]}"
check "one at a time" not grep -vx 'in out' <(paste -d' ' - - <"$WORK/alike")
check "all four" lines "$WORK/alike" 8
pids=()
for i in 0 1; do
    contained $i double-barrier @/alike-double 2 true &
    pids+=($!)
done
check "two of a double-barrier" wait_all "${pids[@]}"
for i in 0 1; do
    HOSTNAME=db-write-1 on $i shared-lock '@/a -write- b' read sh -c "echo in >>'$WORK/readers'; exec sleep 1000" &
    pids[i]=$!
done
check "a reader is no writer, whatever its host and the directory are called" eventually lines "$WORK/readers" 2
kill "${pids[@]}"

echo "# double-barrier: all of an earlier round were killed"
mkdir -p "$a/again/ready"
on 0 double-barrier @/again 2 touch "$WORK/early" &
pids=($!)
only_one() { sync "$b" && [[ $(echo "$b"/again/*) == "$b"/again/*-"${pids[0]}"-* ]]; }
check "what they left is no start signal" eventually only_one
check "one waits" test ! -e "$WORK/early"
on 1 double-barrier @/again 2 test -e "$WORK/early" &
check "two run" wait_all "${pids[@]}"

echo "# commands that read, fail, take long"
mkdir "$a/config"
echo 1 >"$a/config/ the web "
sync "$b"
on 1 config-reload '@/config/ the web ' sh -c "cat; echo run >>'$WORK/reloads'" &
reload=$!
check "config-reload runs a command that reads" eventually lines "$WORK/reloads" 1
echo 2 >"$a/config/ the web "
check "and again at a change" eventually lines "$WORK/reloads" 2
kill $reload
on 1 service-discovery @/services "$WORK/upstream" sh -c "cat; echo run >>'$WORK/discoveries'" &
discovery=$!
check "service-discovery: so too" eventually lines "$WORK/discoveries" 1
"$recipes/service-registry" "$a/services" register web1 10.0.0.1:80
check "at a change" eventually lines "$WORK/discoveries" 2
kill $discovery

for item in a b; do
    echo $item | "$recipes/priority-queue" "$a/urgent" put 5
done
# shellcheck disable=SC2016  # the inner shell's
on 1 priority-queue @/urgent work sh -c 'read -r item; echo "$item" >>"$0"; [ "$item" != a ] || read -r x <"$1"' \
    "$WORK/order" "$WORK/gate" &
worker=$!
check "priority-queue: the first is begun" eventually lines "$WORK/order" 1
echo urgent | "$recipes/priority-queue" "$a/urgent" put 0
sync "$b" && echo go >"$WORK/gate"
check "all are done" eventually lines "$WORK/order" 3
check "what came meanwhile and is more urgent comes next" diff "$WORK/order" <(printf 'a\nurgent\nb\n')
kill $worker

for item in bad good; do
    echo $item | "$recipes/work-queue" "$a/failing" put
done
began=$SECONDS workers=()
for i in 0 1; do
    # shellcheck disable=SC2016  # the inner shell's
    on $i work-queue @/failing work sh -c 'read -r item; echo "$item" >>"$0"; [ "$item" != bad ]' "$WORK/tries" &
    workers+=($!)
done
tries() { grep -cx "$1" "$WORK/tries"; }
tried() { (($(tries "$1") >= $2)); }
check "work-queue: an item fails, the next is done" eventually tried good 1
echo good | "$recipes/work-queue" "$b/failing" put
check "and one that comes later" eventually tried good 2
check "the first is left alone for a while" test "$(tries bad)" -le $((1 + (SECONDS - began) / 4))
before=$(tries bad)
rmdir "$c"/failing/claims/*.pause
check "then it is tried again" eventually tried bad $((before + 1))
kill "${workers[@]}"
echo long | "$recipes/work-queue" "$a/long" put
on 1 work-queue @/long work sh -c "read -r x <'$WORK/gate'" 2>/dev/null &
worker=$!
check "work-queue: an item is begun" eventually holders long/claims 1
sync "$c" && rmdir "$c"/long/claims/*
echo go >"$WORK/gate"
check "who loses its claim ends with 1" ends_with 1 $worker

echo "# two-phase-commit: a participant is killed where it writes"
on 0 two-phase-commit @/tx coordinate 2 >/dev/null &
coordinator=$!
check "the coordinator is there" eventually test -d "$b/tx/votes"
on 1 two-phase-commit @/tx vote p1 yes > >(cat >"$WORK/p1") &
p1=$!
check "one has voted" eventually test -s "$a/tx/votes/p1"
prlimit --pid $p1 --fsize=0
kill_hard $coordinator
check "the decision needs no write" ends_with 1 $p1
check "it is said" eventually holds "$WORK/p1" abort
on 0 two-phase-commit @/tx2 coordinate 'x[0]' 2>"$WORK/heard" &
check "COUNT is a number" ends_with 2 $!

echo "# inotifywait cannot run"
mkdir "$WORK/broken"
printf '#!/bin/sh\necho >>"%s"\nexit 1\n' "$WORK/asked" | install /dev/stdin "$WORK/broken/inotifywait"
broken() { PATH=$WORK/broken:$PATH on "$@"; }
for recipe in queue-lock shared-lock semaphore leader-election; do
    arguments_of $recipe
    on 0 $recipe @/broken-$recipe "${arguments[@]}" sleep 1000 &
    holder=$!
    check "$recipe: one is in" eventually holders broken-$recipe 1
    broken 1 $recipe @/broken-$recipe "${arguments[@]}" true &
    waiter=$!
    check "one waits" eventually holders broken-$recipe 2
    kill_hard $holder
    check "and has its turn" ends_with 0 $waiter
done
"$recipes/barrier" "$a/broken-barrier" raise
rm -f "$WORK/asked"
broken 1 barrier @/broken-barrier wait &
waiter=$!
check "barrier: one waits" eventually test -s "$WORK/asked"
"$recipes/barrier" "$c/broken-barrier" lift
check "it is lifted" ends_with 0 $waiter
mkdir -p "$a/broken-tx"/{coordinator,votes} && sync "$b"
monitors() { # I COMMAND...: by COMMAND (as `on`), on mount I, each recipe that goes on for ever; sets `pids`
    local i=$1
    pids=()
    shift
    for words in 'config-reload @/config/web true' 'group-membership @/group watch' 'service-registry @/services watch' \
        "service-discovery @/services $WORK/upstream" 'work-queue @/items work true' \
        "double-barrier @/double 2 touch $WORK/ran" 'two-phase-commit @/broken-tx vote p1 yes'; do
        read -ra words <<<"$words"
        "$@" "$i" "${words[@]}" >/dev/null 2>"$WORK/heard-${words[0]}" &
        pids[$!]=${words[0]}
    done
}
all_fail() {
    local pid
    for pid in "${!pids[@]}"; do
        check "${pids[$pid]} fails" ends_with 1 "$pid"
        mv "$WORK/heard-${pids[$pid]}" "$WORK/heard"
        check "and says why" says "${pids[$pid]}: "
    done
}
monitors 1 broken
all_fail

echo "# a mount is killed, and made again"
"$recipes/service-registry" "$b/services" register web2 10.0.0.2:80
lists_two() { lines "$WORK/upstream" 2; }
monitors 2 on
"$recipes/barrier" "$c/dead-barrier" raise
on 2 barrier @/dead-barrier wait 2>"$WORK/heard-barrier" &
pids[$!]=barrier
on 0 queue-lock @/dead-queue sleep 1000 &
holder=$!
check "one has a lock" eventually holders dead-queue 1
on 2 queue-lock @/dead-queue true 2>"$WORK/heard-queue-lock" &
pids[$!]=queue-lock
watching() { (($(pgrep -cf "inotifywait .*$c/") == ${#pids[@]})); }
check "all watch" eventually watching
check "service-discovery has written its file" eventually lists_two
kill_hard "$(mount_pid "$c")"
start_mount "$c"
all_fail
check "of what is not known nothing is written" lists_two
check "double-barrier has not run its command" test ! -e "$WORK/ran"
kill_hard $holder

echo "# cron-once, service-registry: what is not done is said"
mkdir "$WORK/plain"
check "cron-once where pactfs is not mounted" not "$recipes/cron-once" "$WORK/plain/job" touch "$WORK/ran-plain"
check "runs nothing" test ! -e "$WORK/ran-plain"
mkdir -p "$a"/quota/runs/full "$a"/conflict/runs
echo 'nodes 1' >"$a/quota/runs/.pact/quota"
on 0 cron-once @/quota touch "$WORK/ran" 2>"$WORK/heard" &
check "no space for the mark: it fails" ends_with 1 $!
check "and says why" says 'Disk quota exceeded'
printf '#!/bin/sh\nexit 71\n' | install /dev/stdin "$WORK/broken/flock"
broken 0 cron-once @/conflict touch "$WORK/ran" &
check "no lock to be had: it fails" ends_with 1 $!
exec {lock}>>"$c/conflict/lock"
flock "$lock"
on 0 cron-once @/conflict touch "$WORK/ran" &
check "it runs elsewhere: that is well" ends_with 0 $!
check "the job has not run" test ! -e "$WORK/ran"
exec {lock}>&-
mkdir "$a/full"
echo 'bytes 1' >"$a/full/.pact/quota"
on 0 service-registry @/full register web 10.0.0.1:80 2>"$WORK/heard" &
check "service-registry: no space for the entry: it fails" ends_with 1 $!
check "and says why" test -s "$WORK/heard"
finish
