#!/bin/bash
# The end of a session: who held something under it gets ESTALE on each modifying call as long as it lives, with its
# descendants and process group; the others go on in the new session. Also after a pactfs that was killed: the next one
# fences the holders, then frees what they held, at once. Who made a plain {ephemeral} is a holder as long as it lives:
# a program that registers itself is fenced, a script that registers something by mkdir(1) can do so anew.
# shellcheck disable=SC2016  # what is given to `bash -c` expands there
. "$(dirname "$0")/lib.sh"

op() { "$PACT_TESTS/op" "$@"; }
answers() { [[ $(op "${@:2}") == "$1" ]]; }
value() { sed -n "s/^$2 //p" "$1/.pact/session"; } # MNT NAME
a=$WORK/a b=$WORK/b
mkdir "$WORK/knocks"
declare -A KNOCKERS=()

# knock NAME [COMMAND]: a process of a group of its own that runs COMMAND (in bash) and then makes and removes a directory again and again
knock() {
    setsid bash -c "${2:-:}"'
        exec "$1/owners" knock mkdir "$2/$3"' _ "$PACT_TESTS" "$a" "$1" "$WORK/knocks/grandchild" >>"$WORK/knocks/$1" 2>>"$WORK/errors" &
    KNOCKERS[$1]=$!
    eventually says "$1" OK
}
says() { [[ $(tail -n 1 "$WORK/knocks/$1") == "$2" ]]; }
end_knockers() {
    local pid
    ((${#KNOCKERS[@]})) || return
    for pid in "${KNOCKERS[@]}" $(cat "$WORK/knocks/grandchild.pid"); do kill -9 -- "-$pid" 2>/dev/null || kill -9 "$pid"; done 2>/dev/null
    wait "${KNOCKERS[@]}" 2>/dev/null
    KNOCKERS=()
}
connected() { [[ $(value "$a" state) == connected ]]; }
another() { connected && [[ $(value "$a" session) != "$1" ]]; }

# What holds something, and what does not.
start_holders() {
    mkdir -p "$a/registered"
    echo '{ephemeral}' >"$a/registered/.pact/children"
    knock owner 'mkdir "$2/{owner=$$}owned"'
    knock maker 'mkdir "$2/{ephemeral}made"'     # mkdir(1) has ended
    knock service ': >"$2/{ephemeral}served"'    # it made that itself, and lives
    knock unknowing ': >"$2/registered/by-policy"' # by the directory's policy
    knock unregistered ': >"$2/{ephemeral}taken-back"; rm "$2/taken-back"'
    knock survivor 'bash -c '"'"': >"$0/{ephemeral}passing"; exec sleep 1000'"'"' "$2" & echo $! >"$4.passing"' # of its group another made it, and will have ended
    knock group 'bash -c '"'"'mkdir "$0/{owner=$$}groups"; sleep 1000'"'"' "$2" &' # of which another owns something
    knock child 'mkdir "$2/{owner=$$}parents"; setsid "$1/owners" knock mkdir "$2/grandchild" >>"$4" & echo $! >"$4.pid"'
    eventually says grandchild OK
    knock bystander
    settled
    eventually test -d "$b/owned" -a -d "$b/made" -a -d "$b/groups" -a -d "$b/parents" || fail "nobody holds anything: $(cat "$WORK/errors")"
}
settled() { sync "$a" "$b"; }

# One of those who made something dies: it is not its survivors' loss.
one_ends() { kill -9 "$(<"$WORK/knocks/grandchild.passing")"; }

# The kernel gives the number of a process that opened a file, and ended, to one that has nothing to do with it; then
# the file is locked, by those who have it from the first.
lock_after_the_opener() {
    mkfifo "$WORK/lock-now"
    : >"$a/reused"
    (
        exec 9>>"$a/reused"
        setsid bash -c 'exec 8<>"$1"; read -r <&8; flock 9; read -r <&8' _ "$WORK/lock-now" &
        echo "$BASHPID $!" >"$WORK/opener"
    )
    read -r opener heir <"$WORK/opener"
    for ((i = 0; i < 1000; i++)); do
        echo $((opener - 1)) >/proc/sys/kernel/ns_last_pid
        knock innocent
        [[ ${KNOCKERS[innocent]} != "$opener" ]] || break
        kill -9 -- "-${KNOCKERS[innocent]}"
    done
    [[ ${KNOCKERS[innocent]} == "$opener" ]] || fail "nobody gets the number $opener"
    echo lock >"$WORK/lock-now"
    check "a number is another's now" eventually grep -q '^reused flock exclusive holds' "$a/.pact/locks"
}

# registers ROUNDS: a script that makes its entry by mkdir(1), and again when it is told to
register() {
    mkfifo "$WORK/again"
    setsid bash -c 'exec 9<>"$2"; mkdir "$1/{ephemeral}web1"; read -r <&9; mkdir "$1/{ephemeral}web1" && sync "$1"' _ "$a" "$WORK/again" 2>>"$WORK/errors" &
    script=$!
    eventually test -d "$a/web1" || fail "the script does not register"
}

expire() {
    local before
    before=$(value "$a" session)
    kill -STOP "$(worker_of "$daemon")"
    one_ends
    check "it expires: all that was held is free" eventually eval '[[ ! -e $b/owned && ! -e $b/made && ! -e $b/parents && ! -e $b/served ]]'
    kill -CONT "$(worker_of "$daemon")"
    check "a new session begins by itself" eventually another "$before"
    fenced_are
}

fenced_are() {
    check "an owner is fenced" eventually says owner ESTALE
    check "its group" eventually says group ESTALE
    check "who made an ephemeral, and lives" eventually says service ESTALE
    check "also by a policy" eventually says unknowing ESTALE
    check "not who removed it" eventually says unregistered OK
    check "nor whose mkdir(1) made it" eventually says maker OK
    check "nor the group of one that had ended" eventually says survivor OK
    check "one with children, and they, in a session of their own" eventually eval 'says child ESTALE && says grandchild ESTALE'
    check "a bystander goes on" eventually says bystander OK
    check "so does this test" answers OK mkdir "$a/after"
    rmdir "$a/after"
}

each_call() {
    local call
    : >"$a/file"
    for call in 'mkdir D' 'creat F' 'symlink t L' 'file N' 'unlink file' 'rename file g' 'truncate file 0' 'chmod file' \
        'write file 1' 'append file 1' 'openw file' 'setxattr file user.x' 'fallocate file 10'; do
        echo "$call"
    done >"$WORK/calls"
    setsid bash -c 'mkdir "$1/{owner=$$}holds"; cd "$1"; exec 8>>file 9<>"$3.pipe"; echo ready >"$3"; read -r <&9
        while read -r call; do echo "$call $("$2/op" $call)"; done <"$3.calls" >"$3"
        { echo x >&8; } 2>>"$3"; echo "opened before $?" >>"$3"; cat file >/dev/null && ls >/dev/null && echo "read OK" >>"$3"; echo done >>"$3"' \
        _ "$a" "$PACT_TESTS" "$WORK/each" 2>/dev/null &
    HOLDER=$!
}

# --- a session that expires ---

start_pactd
start_mount "$b"
mkdir "$a"
setsid "$PACT_BIN/pactfs" "$SERVERS" "$a" -o session_timeout=3s || fail "the mount does not start"
daemon=$(pgrep -f -x "$PACT_BIN/pactfs $SERVERS $a -o session_timeout=3s")
trap 'end_knockers; kill -CONT "$(worker_of "$daemon")"; kill -9 "$daemon"; umount -l "$a"; cleanup' EXIT

echo "# expired"
start_holders
mkfifo "$WORK/each.pipe"
each_call
cp "$WORK/calls" "$WORK/each.calls"
eventually test -s "$WORK/each" || fail "the holder does not start"
check "holders are counted" eval '(($(value "$a" holders) >= 4 && $(value "$a" fenced) == 0))'
register
lock_after_the_opener
expire
check "nor one who has the number of somebody who ended" eventually says innocent OK
kill -9 -- "-$heir"
echo again >"$WORK/again"
check "a script that registers by mkdir(1) does so anew" wait "$script"
check "and everybody sees it" eventually test -d "$b/web1"
echo go >"$WORK/each.pipe"
eventually grep -q "done" "$WORK/each" || fail "the holder does not end"
refused=$(grep -c ' ESTALE$' "$WORK/each")
check "each of $(wc -l <"$WORK/calls") modifying calls of its children fails" test "$refused" == "$(wc -l <"$WORK/calls")" || sed 's/^/#  /' "$WORK/each"
check "so does a descriptor that was opened before" grep -q 'opened before 1' "$WORK/each"
check "what only reads goes on" grep -q 'read OK' "$WORK/each"
check "fenced are counted" test "$(value "$a" fenced)" -ge 4
check "nobody holds anything any more" test "$(value "$a" holders)" == 0
end_knockers
wait "$HOLDER"
check "when they have ended, nobody is fenced" eventually eval '[[ $(value "$a" fenced) == 0 ]]'

echo "# expired, after the process that serves was killed"
start_holders
worker=$(worker_of "$daemon")
kill -9 "$worker"
served_again() { [[ $(worker_of "$daemon") != "$worker" ]] && connected; }
eventually served_again || fail "nobody serves again"
expire
end_knockers

echo "# killed and started again"
start_holders
record=$(grep -l "^mountpoint $a$" /run/pactfs/*)
check "the record is root's alone" test "$(stat -c '%a %u' "$record")" == "600 0"
kill -9 "$daemon"
eventually not kill -0 "$daemon"
one_ends
began=$EPOCHREALTIME
setsid "$PACT_BIN/pactfs" "$SERVERS" "$a" -o session_timeout=300s || fail "the mount does not start again"
ended=$EPOCHREALTIME
daemon=$(pgrep -f -x "$PACT_BIN/pactfs $SERVERS $a -o session_timeout=300s")
check "when it answers, all is free" test ! -e "$a/owned" -a ! -e "$a/served" -a ! -e "$a/made" -a ! -e "$a/parents"
echo "# it answered after $(((${ended/./} - ${began/./}) / 1000)) ms"
sync "$b"
check "elsewhere, too" test ! -e "$b/owned" -a ! -e "$b/made" -a ! -e "$b/parents"
check "the holders of the killed one are fenced" eval '(($(value "$a" fenced) >= 3))'
fenced_are

echo "# killed again, while they are fenced"
kill -9 "$daemon"
eventually not kill -0 "$daemon"
setsid "$PACT_BIN/pactfs" "$SERVERS" "$a" -o session_timeout=300s -o lost=SIGTERM || fail "the mount does not start again"
daemon=$(pgrep -f -x "$PACT_BIN/pactfs $SERVERS $a -o session_timeout=300s -o lost=SIGTERM")
check "they stay so, and lost=SIGTERM tells them" eventually grep -q SIGTERM "$WORK/knocks/owner"
check "all of them" eventually eval 'grep -q SIGTERM "$WORK/knocks/group" && grep -q SIGTERM "$WORK/knocks/service" && grep -q SIGTERM "$WORK/knocks/grandchild"'
check "but not others" eventually eval 'says bystander OK && ! grep -q SIGTERM "$WORK/knocks/bystander"'
end_knockers

echo "# unmounted"
start_holders
eventually umount "$a" || fail "cannot unmount" # who knocks keeps it busy for a moment
check "a clean unmount frees at once" eventually eval '[[ ! -e $b/owned && ! -e $b/made ]]'
check "and leaves no record" eventually test ! -e "$record"
end_knockers

echo "# in a container, whose first process leads the group of all that it starts"
cat >"$WORK/contained" <<'END'
mkdir "$2"
"$PACT_BIN/pactfs" "$1" "$2" -f -o session_timeout=1s 2>"$2.log" &
daemon=$!
fenced() { sed -n 's/^fenced //p' "$2/.pact/session"; }
until [[ $(fenced "$@") == 0 ]]; do sleep 0.05; done
bash -c 'mkdir "$1/{owner=$$}contained" && exec sleep 1000' _ "$2" &
until [[ -d $2/contained ]]; do sleep 0.05; done
kill -STOP "$(worker_of "$daemon")"
while [[ -e $3/contained ]]; do sleep 0.05; done
kill -CONT "$(worker_of "$daemon")"
until [[ $(fenced "$@") != 0 ]]; do sleep 0.05; done
until grep -q '^state connected$' "$2/.pact/session"; do sleep 0.05; done
"$PACT_TESTS/op" mkdir "$2/group" >"$4.group"
setsid -w "$PACT_TESTS/op" mkdir "$2/other" >"$4.other"
kill -9 $daemon
END
export -f worker_of
PACT_BIN=$PACT_BIN PACT_TESTS=$PACT_TESTS timeout -s KILL 60 unshare -pfm --mount-proc --kill-child setsid bash "$WORK/contained" "$SERVERS" "$WORK/c" "$b" "$WORK/said"
check "its group is fenced" grep -qx ESTALE "$WORK/said.group"
check "but not all that descends from the first" grep -qx OK "$WORK/said.other"

echo "# records that are none"
restart() {
    : >"$WORK/a.log"
    setsid "$PACT_BIN/pactfs" "$SERVERS" "$a" -f 2>"$WORK/a.log" &
    daemon=$!
    started "$WORK/a.log" $daemon 'the mount answers' "the mount with a record that is none"
}
boot=$(</proc/sys/kernel/random/boot_id)
for text in '' garbage $'pactfs-record 2\nboot x\nservers x\nmountpoint y\nsession 1 2 3 4\n' \
    "$(printf 'pactfs-record 2\nboot %s\nservers %s\nmountpoint %s\nsession 1 00 00 00\n+ 1 1 1 1\n' "$boot" "$SERVERS" "$a")"; do
    printf '%s' "$text" >"$record"
    chmod 600 "$record"
    restart
    check "'${text:0:20}': one line, and ignored" eval '(($(grep -c "is no record of this mount" "$WORK/a.log") == 1 && $(value "$a" fenced) == 0))'
    umount "$a"
    ended "$daemon" "the mount"
done
zeros=$(printf '0%.0s' {1..32})
printf 'pactfs-record 2\nboot %s\nservers %s\nmountpoint %s\nsession 1 %s %s %s\n+ 1 1 1 0\n+ 2 half' "$boot" "$SERVERS" "$a" "$zeros" "$zeros" "$zeros" >"$record"
chmod 600 "$record"
restart
check "another cluster's, a process number of another, half a line: no matter" test "$(value "$a" fenced)" == 0
check "with a session of its own" answers OK mkdir "$a/fine"
umount "$a"
ended "$daemon" "the mount"
trap 'end_knockers; cleanup' EXIT
stop_mount "$b"
stop_pactd
finish
