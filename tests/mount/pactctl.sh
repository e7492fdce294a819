#!/bin/bash
# pactctl does what ZooKeeper's shell does, prints what scripts can read, and fails with one clear line: 1 if the
# operation failed, 2 if its words are wrong.
. "$(dirname "$0")/lib.sh"
start_pactd
ctl() { "$PACT_BIN/pactctl" -s "$SERVERS" "$@"; }

# gives NAME EXPECTED COMMAND...: what it prints
gives() {
    local name=$1 expected=$2 got
    shift 2
    got=$("$@" 2>&1)
    check "$name" test "$got" = "$expected" || printf '#   expected: %q\n#   got:      %q\n' "$expected" "$got"
}

# exits STATUS LINE COMMAND...: with this status, and one line that holds LINE
exits() {
    local status=$1 line=$2 got=0
    shift 2
    "$@" >"$WORK/out" 2>&1 </dev/null || got=$?
    check "exit $status: ${*:2}" test "$got $(wc -l <"$WORK/out")" = "$status 1"
    check "  and says: $line" grep -qF -- "$line" "$WORK/out"
}

json_paths() { "$@" | sed -E 's/^.*"path":"([^"]*)".*/\1/'; }
last_words() { "$@" | sed 's/.* //'; }

# --- creating, reading, writing ---

gives "create a directory" /app ctl create /app
gives "create a file" /app/name ctl create /app/name web
gives "get" web ctl get /app/name
gives "create -s" /app/job-0000000000 ctl create -s /app/job- one
gives "create -s again" /app/job-0000000001 ctl create -s /app/job-
check "a queue" ctl create /app/queue
gives "create -s in a directory" /app/queue/0000000000 ctl create -s /app/queue/ one
gives "and again" /app/queue/0000000001 ctl create -s /app/queue//
check "its end" ctl rm -r /app/queue
gives "set" "" ctl set --if-version 0 /app/name 'two words'
gives "what set wrote" 'two words' ctl get /app/name
gives "set from standard input" "" bash -c 'printf "a\0b" | "$@"' - "$PACT_BIN/pactctl" -s "$SERVERS" set /app/name -
check "every byte comes back" cmp <(ctl get /app/name) <(printf 'a\0b')
gives "create from standard input" /app/piped bash -c 'printf "a\0b\n" | "$@"' - "$PACT_BIN/pactctl" -s "$SERVERS" \
    create /app/piped -
check "every byte of it" cmp <(ctl get /app/piped) <(printf 'a\0b\n')
check "its end" ctl rm /app/piped
gives "nothing from standard input is a file" /app/piped ctl create /app/piped - </dev/null
check "an empty one" grep -qx 'kind  *file' <(ctl stat /app/piped)
check "its end, too" ctl rm /app/piped
gives "an empty value" "" ctl set /app/name ''
gives "ls" $'job-0000000000\njob-0000000001\nname' ctl ls /app
gives "ls -R" $'/app\n/app/job-0000000000\n/app/job-0000000001\n/app/name' ctl ls -R
check "stat: three versions" grep -qx 'version  *3' <(ctl stat /app/name)
check "stat: ZooKeeper's names" grep -qx 'dataLength  *0' <(ctl stat /app/name)
gives "a directory with data" /app/d ctl create -d /app/d inner
gives "which get reads" inner ctl get /app/d
gives "any byte in a name" $'/app/\x01 \xff' ctl create $'/app/\x01 \xff'
gives "rm of it" "" ctl rm $'/app/\x01 \xff'

# --- what is refused ---

exits 1 "/app/name: the version is not the expected one" ctl set --if-version 1 /app/name x
exits 1 "/nope: no such znode" ctl get /nope
exits 1 "/app/name: the name exists already" ctl create /app/name
exits 1 "/app: the directory is not empty" ctl rm /app
exits 1 "/: in use" ctl rm /
exits 1 "/app/name/x: not a directory" ctl create /app/name/x
exits 2 "a path is empty" ctl create ""
exits 2 "a path is empty" ctl set "" x
exits 2 "a path is empty" ctl rm ""
exits 2 "a path is empty" ctl rm -r ""
exits 1 "a path is empty" ctl ls ""
for servers in 127.0.0.1 127.0.0.1:99999 '' ',127.0.0.1:1' '127.0.0.1:1,'; do
    for command in ls status; do
        exits 2 "not an address" "$PACT_BIN/pactctl" -s "$servers" $command
    done
done
exits 2 "more than 16 servers" "$PACT_BIN/pactctl" -s "$(seq -s, -f 127.0.0.1:%.0f 17)" ls
exits 2 "no such host: 'nosuch.invalid:1'" "$PACT_BIN/pactctl" -s nosuch.invalid:1 ls
check "status asks the others" "$PACT_BIN/pactctl" -s "nosuch.invalid:1,$SERVERS" status
exits 2 "/nope" ctl --key /nope ls
exits 2 "create: bad option or value" ctl create -t 0s /t
exits 2 "create: bad option or value" ctl create -t 5parsecs /t
exits 2 "create: -e, -t and -c exclude each other" ctl create -e -c /t
exits 2 "create: -e, -t and -c exclude each other" ctl create -t 1h -c /t
exits 2 "create: -e, -t and -c exclude each other" ctl create -e -t 1h /t
exits 2 "create: /app/.pact/: the name .pact is reserved" ctl create /app/.pact/
exits 2 "create: .pact: the name .pact is reserved" ctl create .pact x
gives "others like it are not" $'/app/.pact0000000002\n/app/.pacts' bash -c '"$@" -s /app/.pact && "$@" /app/.pacts' - \
    "$PACT_BIN/pactctl" -s "$SERVERS" create
check "rm of them" ctl txn - < <(printf 'rm /app/.pact0000000002\nrm /app/.pacts\n')
exits 2 "rm: -r takes a path alone" ctl rm -r --if-version 5 /app
exits 2 "rm: -r takes a path alone" ctl rm --if-version 5 -r /app
exits 2 "rm: -r takes a path alone" ctl rm -r /app /app/d
exits 2 "rm: bad option or value" ctl rm -x /app
gives "and nothing was removed" $'d\njob-0000000000\njob-0000000001\nname' ctl ls /app
exits 2 "set: bad option or value" ctl set --if-version -3 /app/name x
exits 2 "set takes a path and a value" ctl set /app/name
exits 2 "no command frobnicate" ctl frobnicate
exits 2 "bad option" "$PACT_BIN/pactctl" --frobnicate
exits 2 "which command?" "$PACT_BIN/pactctl"
exits 1 "nowhere" "$PACT_BIN/pactctl" -s embedded:"$WORK/nowhere" ls
head -c 1048577 /dev/zero >"$WORK/large"
check "a value over 1 MiB" not ctl set /app/name - <"$WORK/large"
gives "changed nothing" "" ctl get /app/name
check "of create, too" not ctl create /app/large - <"$WORK/large"
exits 1 "/app/large: no such znode" ctl get /app/large

# --- transactions ---

printf '%s\n' '# a comment' 'check --if-version 3 /app/name' "create /app/t 'quoted \"value\"'" '' \
    'set /app/name "with # and \" in it"' 'rm /app/job-0000000000' 'check --absent /app/gone' >"$WORK/txn"
check "txn: all" ctl txn "$WORK/txn"
gives "its create" 'quoted "value"' ctl get /app/t
gives "its set" 'with # and " in it' ctl get /app/name
exits 1 "line 2: the version is not the expected one; nothing was done" ctl txn "$WORK/txn"
printf 'create /app/u x\nrm /nope\n' >"$WORK/txn"
exits 1 "line 2: no such znode; nothing was done" ctl txn "$WORK/txn"
exits 1 "/app/u: no such znode" ctl get /app/u
# numbered [--json]: a transaction that makes numbered names, one of which it removes again
numbered() {
    printf '%s\n' 'create -s /app/n- a' 'create /app/plain' 'set /app/plain b' 'create -s /app/plain/' \
        'create -s "/app/plain/two\ words-"' 'rm /app/plain/0000000000' | ctl "$@" txn - && ctl rm -r /app/plain
}
gives "the names of create -s" $'/app/n-0000000003\n/app/plain/0000000000\n/app/plain/two words-0000000001' \
    sed 1d <(numbered)
gives "as JSON, of each create" \
    '["/app/n-0000000004","/app/plain","/app/plain/0000000000","/app/plain/two words-0000000001"]' \
    sed -nE 's/^\{"operations":6,"zxid":[0-9]+,"created":(.*)\}$/\1/p' <(numbered --json)
gives "  none" '[]' sed -E 's/.*"created":(.*)\}$/\1/' <(ctl --json txn - <<<'rm /app/n-0000000003')
printf '%b\n' 'create "/app/\0351"' 'rm /app/n-0000000004' 'rm "/app/\0351"' >"$WORK/txn"
gives "  and base64" '["/app/\\xe9"],"created_base64":["L2FwcC/p"]' \
    sed -E 's/.*"created":(.*)\}$/\1/' <(ctl --json txn "$WORK/txn")
printf 'create "/app/v\n' >"$WORK/txn"
exits 2 "line 1: an open quote" ctl txn "$WORK/txn"
# exits_txn STATUS LINE TEXT: a transaction of this text
exits_txn() { printf '%b' "$3" >"$WORK/txn" && exits "$1" "$2" ctl txn "$WORK/txn"; }
exits_txn 2 "line 2: create -e: it would be gone with this command" 'create /app/u x\ncreate -e /app/v\n'
exits_txn 2 "line 1: create: /.pact: the name .pact is reserved" 'create /.pact\n'
exits_txn 2 "line 1: create: -e, -t and -c exclude each other" 'create -ct1h /app/u\n'
exits_txn 2 "line 3: rm: -r takes a path alone" '\n\nrm -r /app\n'
exits_txn 2 "line 1: set takes a path and a value" 'set /app/name\n'
exits_txn 2 "line 1: frobnicate is none of create, set, rm, check" 'frobnicate\n'
exits_txn 2 "line 2: a NUL byte" 'create /app/u x\ncreate /app/v\0w\n'
exits_txn 2 "has no operation" '# nothing\n'
exits 1 "/app/u: no such znode" ctl get /app/u
exits 1 "$WORK: Is a directory" ctl txn "$WORK"
exits 1 "-: Is a directory" bash -c '"$@" <.' - "$PACT_BIN/pactctl" -s "$SERVERS" txn -
exits 1 "$WORK/nowhere: No such file or directory" ctl txn "$WORK/nowhere"

# --- keygen ---

gives "keygen makes its directory" "$WORK/keys/replica.key"$'\n'"$WORK/keys/mount.key" ctl keygen "$WORK/keys"
check "for its owner alone" test "$(stat -c %a "$WORK/keys")" = 700
exits 1 "File exists" ctl keygen "$WORK/keys"
exits 1 "$WORK/no/parent: No such file or directory" ctl keygen "$WORK/no/parent"
exits 1 "$WORK/large" ctl keygen "$WORK/large"

# --- sessions, ephemerals, TTL ---

"$PACT_BIN/pactctl" -s "$SERVERS" create -e /app/alive >"$WORK/said.alive" 2>&1 &
alive=$!
check "create -e" eventually ctl stat /app/alive
says_path() { grep -qx /app/alive "$WORK/said.alive"; }
check "says its path while it holds it" eventually says_path
check "sessions lists its holder" grep -q " $alive " <(ctl sessions)
kill "$alive"
check "a signal ends it with status 0" wait "$alive"
gives "  and it says no more" /app/alive cat "$WORK/said.alive"
check "gone with its session" not ctl stat /app/alive
"$PACT_BIN/pactctl" -s "$SERVERS" create -e /app/alive >/dev/null &
alive=$!
check "create -e again" eventually ctl stat /app/alive
exits 1 "an ephemeral znode cannot have children" ctl create /app/alive/child
kill "$alive"
wait "$alive"
"$PACT_BIN/pactctl" -s "$SERVERS" create -e /app/lost >"$WORK/lost" 2>&1 &
alive=$!
check "create -e once more" eventually ctl stat /app/lost
kill -STOP "$alive"
check "it is gone when its session expires" eventually not ctl stat /app/lost
kill -CONT "$alive"
ended=0
wait "$alive" || ended=$?
check "which ends the command with status 1 (is $ended)" test "$ended" = 1
check "and is said" grep -q 'the session was lost' "$WORK/lost"
check "create -t" ctl create -t 200ms /app/brief
check "goes by itself" eventually not ctl stat /app/brief
check "create -c" ctl create -c /app/box
check "a child" ctl create /app/box/x
check "rm of it" ctl rm /app/box/x
check "the container goes" eventually not ctl stat /app/box

# --- watch ---

"$PACT_BIN/pactctl" -s "$SERVERS" watch -r /app >"$WORK/events" 2>"$WORK/watching" &
watch=$!
"$PACT_BIN/pactctl" -s "$SERVERS" --json watch /app >"$WORK/events.json" 2>/dev/null &
watch_json=$!
check "watch begins" eventually grep -q 'watching /app' "$WORK/watching"
watches() { ctl --json status | grep -q '"mounts":2'; }
check "both watch" eventually watches
ctl create /app/w >/dev/null
ctl create /app/w/f 1 >/dev/null
ctl set /app/w/f 2
printf 'rm /app/w/f\nrm /app/w\n' | ctl txn - >/dev/null
ctl create /elsewhere >/dev/null
ctl create /app/last >/dev/null
check "the last change is told" eventually grep -qx 'created /app/last' "$WORK/events"
gives "every change, in order, and no other" \
    $'created /app/w\ncreated /app/w/f\nchanged /app/w/f\ndeleted /app/w/f\ndeleted /app/w\ncreated /app/last' \
    cat "$WORK/events"
check "without -r: children only, as JSON" eventually grep -q '"event":"created","path":"/app/last"' "$WORK/events.json"
check "  not what is below them" not grep -q '/app/w/f' "$WORK/events.json"
kill "$watch"
check "a signal ends it with status 0" wait "$watch"
kill "$watch_json"
wait "$watch_json"

# watch_ends NAME PATH COMMAND...: that of PATH, by COMMAND, with the line that it is gone behind what it tells
watch_ends() {
    local name=$1 path=$2 watch ended=0
    shift 2
    rm -f "$WORK/watching" # the one before says the same
    timeout 60 "$PACT_BIN/pactctl" -s "$SERVERS" watch "$path" >"$WORK/events" 2>"$WORK/watching" &
    watch=$!
    eventually grep -qs "watching $path" "$WORK/watching"
    check "$*" "$@"
    wait "$watch" || ended=$?
    check "watch ends when $name: status 1 (is $ended)" test "$ended" = 1
    gives "  and says so" "watching $path"$'\n'"pactctl: $path is gone" cat "$WORK/watching"
    gives "  after the last change" "deleted $path" tail -1 "$WORK/events"
}
ctl create /app/g >/dev/null
watch_ends "its directory goes" /app/g ctl rm /app/g
ctl create /app/g x >/dev/null
printf 'rm /app/g\ncreate /app/g y\ncreate /app/h\n' >"$WORK/txn"
watch_ends "another takes its place" /app/g ctl txn "$WORK/txn"

# --- status, digest, JSON ---

check "status --json" grep -qE '"leader":1,"epoch":[0-9]+,"members":\[\{"id":1,"role":"leader"' <(ctl --json status)
digest_of() { sed 's/.*"digest":"\([^"]*\).*/\1/'; }
gives "digest agrees with status" "$(ctl --json status | digest_of)" digest_of < <(ctl --json digest)
check "sync prints the zxid" grep -qxE '0x[0-9a-f]+' <(ctl sync)
ctl create '/two words
and a line' x >/dev/null
check "set --json" grep -qE '^\{"path":"/app/name","zxid":[0-9]+\}$' <(ctl --json set /app/name four)
check "rm --json" grep -qE '"zxid":[0-9]+' <(ctl create /app/gone x >/dev/null && ctl --json rm /app/gone)
check "keygen --json" grep -qF "\"mount_key\":\"$WORK/json-keys/mount.key\"" <(ctl --json keygen "$WORK/json-keys")
check "a name cannot break a line" grep -qxF '/two words\012and a line' <(ctl ls -R /)
ctl rm '/two words
and a line'
ctl create $'/app/\xe9' $'\xff\\xff' >/dev/null
gives "bytes that are no UTF-8: beside the text, base64" '{"data":"\\xff\\xff","data_base64":"/1x4ZmY=","size":5}' \
    ctl --json get $'/app/\xe9'
gives "  of a path, too" '{"path":"/app/\\xe9","path_base64":"L2FwcC/p"' grep -oE '^.*base64":[^,]*' \
    <(ctl --json ls /app)
ctl set $'/app/\xe9' $'\u00e9\\xff'
gives "  of UTF-8 none" $'{"data":"\u00e9\\\\xff","size":6}' ctl --json get $'/app/\xe9'
check "  rm --json" grep -qF '"path_base64":"L2FwcC/p"' <(ctl --json rm $'/app/\xe9')
printf 'create /from-elsewhere x\r\n' >"$WORK/crlf"
from_elsewhere() { ctl txn "$WORK/crlf" >/dev/null && ctl get /from-elsewhere | grep -qx x && ctl rm /from-elsewhere; }
check "a file of lines that end in CR LF" from_elsewhere
check "stat --json" grep -q '"version":5' <(ctl --json stat /app/name)

# --- a path longer than a request may name: a mount gets there step by step ---

start_mount "$WORK/mnt"
name=$(printf 'd%.0s' {1..255})
path=$(for ((i = 0; i < 40; i++)); do printf /%s "$name"; done)
"$PACT_BIN/pactctl" -s "$SERVERS" watch -r >"$WORK/events" 2>"$WORK/watching" &
watch=$!
eventually grep -q 'watching /' "$WORK/watching"
(
    cd "$WORK/mnt" || exit
    for ((i = 0; i < 40; i++)); do mkdir "$name" && cd -P "$name" || exit; done
    touch end
    exec 9<end && flock 9 && touch "$WORK/locked" && eventually test -e "$WORK/seen"
) &
deep=$!
check "40 directories of 255 bytes" eventually test -e "$WORK/locked"
# ends_in NAME EXPECTED COMMAND...: the last line of what it prints, too long to be shown
ends_in() { check "$1" cmp <("${@:3}" | tail -1) - <<<"$2"; }
ends_in "ls -R prints the whole path" "$path/end" ctl ls -R "/$name"
ends_in "as JSON" "$path/end" json_paths ctl --json ls -R "/$name"
ends_in "locks, too" "$path/end" last_words ctl locks
ends_in "as JSON, too" "$path/end" json_paths ctl --json locks
check "watch -r" eventually grep -qxF "created $path/end" "$WORK/events"
touch "$WORK/seen"
wait "$deep"
mv "$WORK/mnt/$name/$name" "$WORK/mnt/moved"
check "  a rename" eventually grep -qxF "renamed /$name/$name -> /moved" "$WORK/events"
kill "$watch"
wait "$watch"
stop_mount "$WORK/mnt"
check "rm -r of it" ctl rm -r /moved
check "and of its beginning" ctl rm -r "/$name"

# --- many ---

for ((i = 0; i < 1500; i++)); do echo "create /app/many$i"; done >"$WORK/txn"
exits 2 "more than 1024 operations" ctl txn "$WORK/txn"
exits 2 "larger than" ctl txn /dev/zero
mkfifo "$WORK/fifo"
timeout -k 10 1 "$PACT_BIN/pactctl" -s "$SERVERS" txn "$WORK/fifo"
check "a signal ends one that waits for its input" test $? == 124
head -1000 "$WORK/txn" | check "txn of 1,000" ctl txn -
gives "rm -r" "" ctl rm -r /app
gives "left" elsewhere ctl ls
gives "rm -r / leaves an empty root" "" ctl rm -r /
gives "ls of it" "" ctl ls
stop_pactd
exits 1 "no replica can be reached" timeout 30 "$PACT_BIN/pactctl" -s "$SERVERS" ls
finish
