#!/bin/bash
# {owner=PID}: a node goes when its process dies, however it dies, on every mount; the numbers are the caller's own, also
# in a container; no others than the caller and its ancestors; nothing is left of who dies in between.
# shellcheck disable=SC2016  # what is given to `bash -c` expands there
. "$(dirname "$0")/lib.sh"

op() { "$PACT_TESTS/op" "$@"; }
answers() { [[ $(op "${@:2}") == "$1" ]]; }
names() { (cd "$1" && find . -mindepth 1 -maxdepth 1 -printf '%P\n' | LC_ALL=C sort | tr '\n' ' '); }
settle() { sync "$a" "$b" "$c"; }
value() { sed -n "s/^$2 //p" "$1/.pact/session"; } # MNT NAME
a=$WORK/a b=$WORK/b c=$WORK/c

# owner NAME COMMAND [ARGUMENT...]: a shell of its own that runs COMMAND, says so, and waits; OWNER is its pid
owner() {
    local name=$1
    shift
    rm -f "$WORK/$name.said"
    bash -c "$1"'; echo $? >"$0.new"; mv "$0.new" "$0"; read -r <"$0.pipe"' "$WORK/$name.said" "${@:2}" 2>/dev/null &
    OWNER=$!
    eventually test -s "$WORK/$name.said"
    [[ $(<"$WORK/$name.said") == 0 ]]
}
mkfifo_for() { local name; for name; do mkfifo "$WORK/$name.said.pipe"; done; }
mkfifo_for x ways other

empty() { settle && [[ -z $(names "$b/$1") ]]; }
gone() { settle && [[ ! -e $a/$1 && ! -e $b/$1 && ! -e $c/$1 ]]; }

all_ways() {
    local how
    mkdir "$a/ways"
    for how in mkdir creat file 'symlink target'; do
        owner ways '"$1/op" '"$how"' "$2/{owner=$$}${3%% *}" >/dev/null' "$PACT_TESTS" "$a/ways" "$how"
        settle
        check "$how: there, elsewhere too" test -e "$b/ways/${how%% *}" -o -L "$b/ways/${how%% *}"
        kill_hard "$OWNER"
        check "$how: gone with its process" eventually gone "ways/${how%% *}"
    done
    : >"$a/plain"
    owner ways 'mv "$1/plain" "$1/ways/{owner=$$}moved"' "$a"
    settle
    check "rename's target: there" test -f "$c/ways/moved"
    kill_hard "$OWNER"
    check "rename's target: gone" eventually gone ways/moved
    owner ways 'mkdir "$1/{seq}{owner=$$}-x" "$1/{owner=$$}-{seq}"' "$a/ways"
    check "with {seq}" test "$(names "$a/ways" | tr -d 0-9)" == "- -x "
    kill_hard "$OWNER"
    check "all that it owned is gone" eventually empty ways
}

ways_to_die() {
    local how
    for how in 'exit 0' 'exit 1' 'kill -SEGV $$' 'kill -TERM $$' 'exec true' 'kill -9 $$'; do
        bash -c 'ulimit -c 0; mkdir "$1/{owner=$$}dying" && [[ -d $1/dying ]] && touch "$2" && '"$how" _ "$a" "$WORK/made" 2>/dev/null
        [[ -e $WORK/made ]] || fail "$how: nothing was made"
        rm "$WORK/made"
        check "gone after: $how" eventually gone dying
    done
    bash -c 'mkdir "$1/{owner=$$}kept"; exec sleep 1000' _ "$a" &
    eventually test -d "$b/kept" && eventually grep -q sleep /proc/$!/comm
    settle
    check "exec keeps it" test -d "$b/kept"
    kill_hard $!
    check "until that ends" eventually gone kept
    "$PACT_TESTS/owners" threads "$a/{owner=%}threads" >"$WORK/threads" &
    started "$WORK/threads" $! ready "the threads"
    settle
    check "the end of a thread is no death" test -d "$b/threads"
    kill_hard $!
    check "that of all of them is" eventually gone threads
    bash -c '(mkdir "$1/{owner=$PPID}parents"); mkdir "$1/{owner=$$}own"; [[ -d $1/parents && -d $1/own ]]' _ "$a"
    check "a parent's outlives the child" test -d "$a/parents" -a $? == 0
    check "the child's own does not" eventually gone own
    rmdir "$a/parents"
}

whose_numbers() {
    sleep 1000 &
    local stranger=$!
    bash -c : &
    local dead=$!
    wait $dead
    check "a stranger: EPERM" answers EPERM mkdir "$a/{owner=$stranger}x"
    check "init is an ancestor of all" answers OK mkdir "$a/{owner=1}x"
    rmdir "$a/x"
    chmod 755 "$WORK"
    mkdir -m 777 "$a/open"
    check "another user's: EPERM" test "$(setpriv --reuid=65534 --clear-groups "$PACT_TESTS/op" mkdir "$a/open/{owner=1}x")" == EPERM
    rmdir "$a/open"
    check "a dead process: EINVAL" answers EINVAL mkdir "$a/{owner=$dead}x"
    local bad
    for bad in '' 0 -1 +1 x 1x 99999999999 4294967297 ' 1'; do
        answers EINVAL mkdir "$a/{owner=$bad}x" || fail "{owner=$bad} is not refused"
    done
    answers EINVAL mkdir "$a/{owner}x" || fail "{owner} is not refused"
    pass "no numbers, none at all, huge ones: EINVAL"
    for bad in "{owner=$$}{owner=$$}" "{owner=$$}{ttl=1s}" "{owner=$$}{container}"; do
        answers EINVAL mkdir "$a/${bad}x" || fail "$bad is not refused"
    done
    pass "twice, or in conflict: EINVAL"
    mkdir "$a/{owner=$$}mine"
    check "no children: EPERM" answers EPERM mkdir "$a/mine/x"
    check "nothing was made of all that" test "$(names "$a")" == "mine ways "
    rmdir "$a/mine"
    kill_hard $stranger
}

# A process in a container calls itself by another number than we do.
containers() {
    rm -f "$WORK/inner"
    # shellcheck disable=SC2094
    unshare -pf --mount-proc --kill-child bash -c 'mkdir "$1/{owner=$$}container" && sleep 1000 & 
        "$2/op" mkdir "$1/{owner=$$}first"; bash -c '\''"$2/op" mkdir "$1/{owner=$$}second"; "$2/op" mkdir "$1/{owner=1}third"; "$2/op" mkdir "$1/{owner='$$'}not"; echo $$; [[ -d $1/second ]]; sleep 1000'\'' _ "$1" "$2"' _ "$a" "$PACT_TESTS" >"$WORK/inner" &
    local outer=$!
    eventually eval '(($(wc -l <"$WORK/inner") >= 5))'
    check "its own number, and that of its init" test "$(head -3 "$WORK/inner" | tr '\n' ' ')" == "OK OK OK "
    check "a number of the outer namespace is nobody in there" test "$(sed -n 4p "$WORK/inner")" == EINVAL
    settle
    check "there" test -d "$b/first" -a -d "$b/second" -a -d "$b/third"
    kill_hard $outer
    check "gone with the container" eventually eval 'gone first && gone second && gone third && gone container'
}

policies() {
    mkdir "$a/run" "$a/queue"
    echo '{owner}' >"$a/run/.pact/children"
    echo '{seq}{owner}' >"$a/queue/.pact/children"
    bash -c 'echo $$ >"$1/run/daemon.pid"; exec sleep 1000' _ "$a" &
    local daemon=$!
    eventually test -s "$b/run/daemon.pid" && eventually grep -q sleep /proc/$daemon/comm
    check "{owner}: a pid file" test "$(<"$b/run/daemon.pid")" == $daemon
    kill_hard $daemon
    check "is gone with the program that wrote it" eventually gone run/daemon.pid
    check "a program that opens it only does not own it" bash -c 'exec 3>"$1/run/x"; bash -c "echo >>$1/run/x"; settled() { [[ -e $1/run/x ]]; }; sync "$1"; settled "$1"' _ "$a"
    owner other 'echo one >"$1/queue/job"; echo two >"$1/queue/job"; mkdir "$1/queue/dir" "$1/queue/x{ttl=1h}"; ln -s t "$1/queue/link"' "$a"
    settle
    check "{seq}{owner}: numbers are appended" test "$(names "$b/queue")" == "job0000000000 job0000000001 x0000000003 "
    check "what mkdir and ln make is theirs, and goes when they end" test "$(value "$a" owned)" == 2
    check "each with its content" test "$(cat "$b/queue/job0000000000" "$b/queue/job0000000001" | tr '\n' ' ')" == "one two "
    kill_hard "$OWNER"
    check "the shell's go with it, a TTL in the name goes first" eventually eval '[[ $(settle; names "$b/queue") == "x0000000003 " ]]'
    echo '{ttl=1s}{seq}' >"$a/queue/.pact/children"
    touch "$a/queue/short"
    check "{ttl=1s}{seq}" test -e "$a"/queue/short00*
    check "and it ends" eventually eval '[[ $(settle; names "$b/queue") == "x0000000003 " ]]'
    rm -r "$a/queue" "$a/run"
}

# What others do to an owned node.
others() {
    owner x 'mkdir "$1/{owner=$$}one" "$1/{owner=$$}two" "$1/{owner=$$}three"' "$a"
    settle
    mv "$b/one" "$b/renamed"
    rmdir "$c/two"
    mkdir "$c/two"
    settle
    check "three are its, but one of them is another's by now" test "$(value "$a" owned)" == 2
    kill_hard "$OWNER"
    check "it dies: gone under its new name" eventually gone renamed
    check "and the third" eventually gone three
    check "a node made anew is not hit" test -d "$a/two" -a -d "$b/two"
    rmdir "$b/two"
    settle
    check "nothing is followed any more" test "$(value "$a" owned) $(value "$a" holders)" == "0 0"
}

# A process that dies between its mkdir and the answer.
in_between() {
    local i n
    n=$(repeated 1000)
    mkdir "$a/race"
    for ((i = 0; i < n; i++)); do
        bash -c 'mkdir "$1/{owner=$$}$2"' _ "$a/race" "$i" &
        sleep 0.00$((RANDOM % 10))
        kill_hard $!
    done 2>/dev/null
    check "killed in between, $n times: nothing is left" eventually empty race
    check "and nothing followed" eventually eval '[[ $(value "$a" owned) == 0 ]]'
    rmdir "$a/race"
}

many() {
    local n=1500
    mkdir "$a/many"
    "$PACT_TESTS/owners" many $n "$a/many/{owner=%}{seq}" >"$WORK/many" &
    eventually grep -q ready "$WORK/many" || fail "the owner of many: $(<"$WORK/many")"
    check "$n of one process" test "$(value "$a" owned) $(value "$a" holders)" == "$n 1"
    kill_hard $!
    check "are gone together" eventually rmdir "$c/many"
}

deaths() {
    local n said p99
    n=$(repeated 1000)
    said=$("$PACT_TESTS/owners" death "$n" "$a" "$b" "$c")
    p99=$(sed -n 's/.* p99 \([0-9]*\) .*/\1/p' <<<"$said")
    echo "# $1: $said (us)"
    check "killed, $n times: gone on every mount within 100 ms (p99)" test "${p99:-1000000000}" -le "$(limit 100000 2000000)"
}

start_pactd
start_mount "$a"
start_mount "$b"
start_mount "$c"
echo "# one replica"
all_ways
ways_to_die
whose_numbers
containers
policies
others
deaths "one replica"
in_between
many
stop_mount "$a"
stop_mount "$b"
stop_mount "$c"
stop_pactd

echo "# three replicas"
start_ensemble 3
start_mount "$a" -o session_timeout=60s -o op_timeout=2s
start_mount "$b"
start_mount "$c"
deaths "three replicas"
in_between
owner x 'mkdir "$1/{owner=$$}late"' "$a"
eventually test -d "$b/late"
kill_hard "${REPLICA_PIDS[1]}"
kill_hard "${REPLICA_PIDS[2]}"
kill_hard "$OWNER"
eventually answers EROFS mkdir "$a/refused"
check "without a quorum it cannot be removed" test -d "$a/late"
start_replica 1
start_replica 2
check "it is, as soon as there is one" eventually eval 'gone late'
check "and no longer followed" eventually eval '[[ $(value "$a" owned) == 0 ]]'
stop_mount "$a"
stop_mount "$b"
stop_mount "$c"
stop_ensemble
finish
