#!/bin/bash
# flock and fcntl locks are the cluster's: three mounts of one replica exclude each other as processes of one machine do
# on a local filesystem, in the order in which they asked, and nothing that ends leaves a lock or a waiter behind.
. "$(dirname "$0")/lib.sh"

start_pactd
for name in a b c; do start_mount "$WORK/$name"; done
a=$WORK/a b=$WORK/b c=$WORK/c
ways() { "$PACT_TESTS/lock_ways" "$@"; }
says() { [[ $("${@:2}" 2>&1) == "$1" ]]; }
locked() { ! flock -n "$1" true; }
settle() { sync "$a" "$b" "$c"; }
# lines N PATTERN: .pact/locks on mount c has so many lines of that pattern
lines() { [[ $(grep -c -- "$2" "$c/.pact/locks") == "$1" ]]; }
clean() { [[ ! -s $c/.pact/locks ]]; }
token() { getfattr --absolute-names --only-values -n user.pact.lock_zxid "$1"; }

# hold NAME COMMAND...: runs it until `let_go NAME` ends its input; its output is $WORK/NAME
declare -A HELD_BY=()
hold() {
    local name=$1
    shift
    rm -f "$WORK/$name" "$WORK/$name.in"
    mkfifo "$WORK/$name.in"
    setsid "$@" < <(exec cat "$WORK/$name.in") >"$WORK/$name" 2>&1 & # of its own process group: one may be fenced
    HELD_BY[$name]=$!
}
let_go() {
    : >"$WORK/$1.in"
    wait "${HELD_BY[$1]}" 2>/dev/null
}
# With all its children, which have inherited what it holds.
kill_held() {
    local pids
    mapfile -t pids < <(echo "${HELD_BY[$1]}" && pgrep -P "${HELD_BY[$1]}")
    kill -9 "${pids[@]}"
    wait "${HELD_BY[$1]}" 2>/dev/null
}
# A flock that says so when it is held.
hold_flock() { # NAME FILE [OPTION...]
    hold "$1" flock "${@:3}" "$2" sh -c 'echo locked; exec cat'
}
got() { grep -q locked "$WORK/$1"; }

echo "# exclusion"
hold_flock holder "$a/l"
check "one host locks" eventually got holder
check "another cannot" locked "$b/l"
check "nor itself once more" locked "$a/l"
check "not even shared" not flock -n -s "$c/l" true
check "who holds it is shown" eventually lines 1 "^l flock exclusive holds $(hostname) [0-9]* [-0-9T:.]*Z 0-end 0x[0-9a-f]* flock$"
check "also as a directory's" test -z "$(mkdir "$a/d"; sync "$b"; cat "$b/d/.pact/locks")"
check "pactctl locks shows it with its path" grep -qE "^flock exclusive holds .* 0-end .* flock +/l$" <(ctl locks)
check "as JSON, too" grep -qE '^\{"path":"/l","id":[0-9]+,"kind":"flock","exclusive":true,"waits":false,.*"command":"flock",.*"start":0,"end":null,"zxid":[1-9][0-9]*\}$' <(ctl --json locks)
check "pactctl sessions counts it" grep -q '"locks":1}' <(ctl --json sessions)
check "and as text" test "$(ctl sessions | awk '$NF == 1' | wc -l)" == 1
let_go holder
check "let go, it is free" eventually flock -n "$b/l" true # the kernel does not wait for a close's RELEASE
check "and nothing is left" eventually clean

hold_flock r1 "$a/l" -s
hold_flock r2 "$b/l" -s
check "two share" eventually eval "got r1 && got r2"
check "a writer cannot" not flock -n "$c/l" true
hold_flock writer "$c/l"
check "it waits" eventually lines 1 '^l flock exclusive waits'
check "and no reader starves it" not flock -n -s "$a/l" true
hold_flock r3 "$a/l" -s
eventually lines 2 waits
let_go r1
let_go r2
check "it is first" eventually got writer
check "the later reader is not" not got r3
let_go writer
check "but then" eventually got r3
let_go r3

echo "# in the order of asking"
hold_flock first "$a/l"
eventually got first
: >"$WORK/order"
for i in 1 2 3 4 5 6; do
    mnt=$WORK/$(cut -c $((i % 3 + 1)) <<<abc)
    flock "$mnt/l" sh -c "echo $i >>$WORK/order" &
    waiters[i]=$!
    eventually lines $i 'exclusive waits'
done
let_go first
wait "${waiters[@]}"
check "six waiters on three mounts are served in order" says "1 2 3 4 5 6" xargs <"$WORK/order"
check "the token grows with each acquisition" eval "
    last=0
    for i in 1 2 3 4 5; do
        now=\$(flock $a/l sh -c 'sync $b && getfattr --absolute-names --only-values -n user.pact.lock_zxid $b/l') &&
            ((now > last)) || exit 1
        last=\$now
    done"
eventually clean
check "nobody holds it: 0" test "$(token "$a/l")" == 0

echo "# waits that end"
hold_flock holder "$a/l"
eventually got holder
start=$(date +%s%N)
check "flock -w gives up" not flock -w 0.3 "$b/l" true
check "after its time" test $((($(date +%s%N) - start) / 1000000)) -ge 300
check "and no trace is left" eval "settle; lines 0 waits"
flock "$b/l" true &
waiter=$!
eventually lines 1 waits
kill -INT "$waiter" # a background process ignores it
kill -TERM "$waiter"
wait "$waiter" 2>/dev/null
check "a waiter that is terminated leaves none" eval "settle; lines 0 waits"
flock "$b/l" true &
waiter=$!
eventually lines 1 waits
kill -9 "$waiter"
wait "$waiter" 2>/dev/null
check "nor one that is killed" eventually lines 0 waits
hold timer "$PACT_TESTS/lock_ways" restart "$b/l" 5
eventually lines 1 waits
flock "$c/l" sh -c "echo late >>$WORK/timer" &
late=$!
eventually lines 2 waits
eventually grep -q five "$WORK/timer"
let_go holder
check "a waiter with SA_RESTART timers" eventually got timer
check "has kept its place through them" not grep -q late "$WORK/timer"
check "which came" test "$(sed -n 's/^locked //p' "$WORK/timer")" -ge 5
let_go timer
wait "$late"

echo "# holders that end"
hold_flock holder "$a/l"
eventually got holder
check "another waits" eval "hold_flock next '$b/l'; eventually lines 1 waits"
kill_held holder
check "kill -9 of the holder hands over" eventually got next
let_go next
hold fcntl "$PACT_TESTS/lock_ways" lock "$a/p" w 10 5
eventually got fcntl
check "an fcntl lock" says EAGAIN ways try "$b/p" r 14 1
check "only of its range" says OK ways try "$b/p" w 15 1
check "and not for flock" flock -n "$c/p" true
hold waiter "$PACT_TESTS/lock_ways" lock "$c/p" w 0 12
check "the range is shown" eventually lines 1 '^p posix exclusive holds .* 10-14 0x'
check "the waiter's, too" eventually lines 1 '^p posix exclusive waits .* 0-11 0x0'
kill_held fcntl
check "killed, it hands over" eventually got waiter
let_go waiter
hold ended "$PACT_TESTS/lock_ways" unlocked "$a/p"
check "F_UNLCK with the file open" eventually grep -q unlocked "$WORK/ended"
check "is enough" says OK ways try "$b/p" w
let_go ended
hold_flock holder "$a/l"
eventually got holder
kill_hard "$(mount_pid "$a")"
umount -l "$a"
unset "MOUNT_PIDS[$a]"
let_go holder
start_mount "$a"
check "a mount that was killed and started again frees what it held" flock -w 60 "$b/l" true
hold_flock holder "$a/l"
eventually got holder
umount -l "$a"
let_go holder
wait "$(mount_pid "$a")"
check "so does one that is unmounted, at once" flock -w 2 "$b/l" true
unset "MOUNT_PIDS[$a]"
start_mount "$a"

echo "# as on a local filesystem"
local_file=$(mktemp /dev/shm/pact-locks-XXXXXX)
trap 'rm -f "$local_file"; cleanup' EXIT
echo x >"$a/f"
settle
random() { timeout 120 "$PACT_TESTS/lock_random" "$RANDOM" "$(repeated 5000)" "$local_file" "$@" || fail "fcntl locks differ from the local filesystem's: $*"; }
check "1,000 random fcntl locks, two processes of one mount" random "$a/f" "$a/f"
check "of two mounts" random "$a/f" "$b/f"
check "three of three mounts" random "$a/f" "$b/f" "$c/f"
check "EDEADLK, on one mount" ways deadlock "$a/x" "$a/y"
check "open file description locks" ways ofd "$a/o"
check "conversions" ways convert "$b/v"
check "one description's two users" says OK ways shared "$a/s"
check "an interrupted wait takes nothing of what is got after it" says OK ways interrupted "$a/i"
check "nor of what was there before it" says OK ways upgrade "$a/u"
check "what was held before it is held as before, byte by byte" says OK "$PACT_TESTS/lock_undone" "$a/undone"
echo first >"$a/w"
settle
check "what is written under a lock is there for the next holder" ways written "$a/w" "$b/w"
check "what a close lets go is free for whoever asks next, without waiting" ways again "$a/again" "$(repeated 5000)"
# Each command that the holder runs inherits the descriptor, and closes it when it ends.
(
    exec 9<>"$a/script"
    flock 9
    until [[ -e $WORK/script-ends ]]; do /bin/true; done
) &
script=$!
check "a script holds a lock while it runs commands" eventually not timeout 10 flock -n "$b/script" true
ended=0
timeout 10 flock -n "$a/script" true || ended=$?
check "who would not wait for it is refused: status 1 (is $ended)" test "$ended" == 1
touch "$WORK/script-ends"
wait "$script"
check "python's lockf" python3 -c "
import fcntl
f, g = open('$a/f', 'r+'), open('$a/f', 'r+')
fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 4, 2)
fcntl.lockf(f, fcntl.LOCK_UN)
fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB)"

echo "# counters"
count() { # KIND: 20 processes on three mounts
    local i pids=() status=0 rounds
    rounds=$(repeated 100)
    echo 000000000 >"$a/n-$1"
    settle
    for ((i = 0; i < 20; i++)); do
        ways count "$WORK/$(cut -c $((i % 3 + 1)) <<<abc)/n-$1" "$rounds" "$1" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || status=1; done
    settle
    ((status == 0 && 10#$(<"$b/n-$1") == 20 * rounds))
}
check "20 processes on 3 mounts, guarded by flock: exact" count flock
check "guarded by fcntl: exact" count fcntl
check "and nothing is left" eventually clean

echo "# who comes and goes in every way"
come_and_go() {
    local mnt i
    for ((i = $(repeated 100); i > 0; i--)); do
        mnt=$WORK/$(cut -c $((RANDOM % 3 + 1)) <<<abc)
        case $((RANDOM % 5)) in
        0) timeout -s KILL 0.0$((RANDOM % 9 + 1)) flock "$mnt/l" sleep 0.01 ;;
        1) flock -w 0.0$((RANDOM % 9 + 1)) "$mnt/l" true ;;
        2) flock -s "$mnt/l" true ;;
        3) timeout -s INT 0.0$((RANDOM % 9 + 1)) "$PACT_TESTS/lock_ways" lock "$mnt/l" w $((RANDOM % 10)) 5 ;;
        4) timeout -s KILL 0.$((RANDOM % 3 + 1)) "$PACT_TESTS/lock_ways" restart "$mnt/l" 3 ;;
        esac
    done
} </dev/null >/dev/null 2>&1
guests=()
for i in {1..8}; do
    come_and_go &
    guests+=($!)
done
wait "${guests[@]}"
check "killed, interrupted, timed out: nothing is left" eventually clean
check "and it is free" flock -w 60 "$a/l" true

echo "# what cannot be locked"
op() { "$PACT_TESTS/op" "$@"; }
check "a control file" not flock -n "$a/.pact/stat" true
check "a directory's data: the directory" flock -n "$a/d/.pact/data" grep -q '^\. flock' "$a/d/.pact/locks"
exec {gone}>"$a/gone"
rm "$a/gone"
check "a file that was removed: ESTALE" grep -q 'Stale file handle' < <(flock "$gone" 2>&1)
exec {gone}>&-
stop_mount "$c"
start_mount "$c" -o ro
check "on a mount that is ro: EROFS" grep -q 'Read-only file system' < <(flock -n "$c/l" true 2>&1)
for name in a b c; do stop_mount "$WORK/$name"; done
stop_pactd
finish
