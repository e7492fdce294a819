#!/bin/bash
# Each script of examples/ does what its first lines say: run as a user would, the recipes on two mounts.
# All of it happens in namespaces of its own: mounts, processes, network.
set -uo pipefail
: "${PACT_BIN:?where the programs are}"
if [[ -z ${EXAMPLES_INSIDE:-} ]]; then
    EXAMPLES_INSIDE=1 exec unshare --mount --propagation private --net --pid --fork --kill-child --mount-proc "$0"
fi
cd "$(dirname "$0")/../.." || exit 1
ip link set lo up
work=$(mktemp -d)
trap 'cd / && { umount -l "$work"/* 2>/dev/null; rm -rf "$work"; }' EXIT
export PACT_DATA=$work/data

checks=0
check() { # NAME COMMAND...: it succeeds; what it prints is for `says`
    local name=$1
    shift
    "$@" >"$work/now" 2>&1 || { echo "FAIL: $name" && cat "$work/now" && exit 1; }
    [[ $1 == says ]] || mv "$work/now" "$work/output"
    checks=$((checks + 1))
}
refuses() { # STATUS COMMAND...: with one line on stderr
    local wanted=$1 status=0
    shift
    "$@" >"$work/output" 2>"$work/error" || status=$?
    checks=$((checks + 1))
    ((status == wanted)) && [[ $(wc -l <"$work/error") == 1 ]] && return
    echo "FAIL: $*: exit status $status instead of $wanted, or not one line: $(<"$work/error")"
    exit 1
}
eventually() { # COMMAND...: succeeds within 15 s
    local deadline=$((SECONDS + 15))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.02
    done
}
not() { ! "$@"; }
says() { grep -qF -- "$1" "$work/output"; }

# --- quickstart: ends with a live mount; again, it uses that one; --stop ends it ---

check "quickstart" examples/quickstart "$work/a"
for expected in 'workers = 4' '0000000000-resize' '0000000001-encode' 'CREATE hello' 'I lead' 'I follow' 'leader'; do
    check "quickstart shows '$expected'" says "$expected"
done
check "quickstart ends with a live mount" mkdir "$work/a/alive"
check "quickstart again" examples/quickstart "$work/a"
check "it uses the mount that is there" says 'It is there already.'
check "and keeps what is in it" test -d "$work/a/alive"
refuses 2 examples/quickstart --what

# --- the recipes, on this mount and a second one ---

mkdir "$work/b"
check "a second mount" "$PACT_BIN/pactfs" -o "key=$PACT_DATA/mount.key" "$(<"$PACT_DATA/address")" "$work/b"

mkdir "$work/a/config"
echo one >"$work/a/config/web"
examples/config-reload "$work/a/config/web" sh -c "tr '\n' ' ' <$work/a/config/web >>$work/reloaded" &
reload=$!
check "config-reload runs at once" eventually grep -q 'one $' "$work/reloaded"
echo two >"$work/b/config/web"
check "config-reload runs after a change elsewhere" eventually grep -q 'two $' "$work/reloaded"
echo three >"$work/b/config/new" && mv "$work/b/config/new" "$work/b/config/web"
check "config-reload runs after a replacement elsewhere" eventually grep -q 'three $' "$work/reloaded"
kill "$reload"

# Six contenders on two mounts: each appends "in" and "out"; if two were in at once, these would not alternate.
turn="echo in >>$work/turns; sleep 0.05; echo out >>$work/turns"
contenders=()
for contender in 1 2 3; do
    examples/queue-lock "$work/a/lock" sh -c "$turn" &
    contenders+=($!)
    examples/queue-lock "$work/b/lock" sh -c "$turn" &
    contenders+=($!)
done
for contender in "${contenders[@]}"; do
    check "a contender gets its turn" wait "$contender"
done
check "one at a time" diff "$work/turns" <(for contender in "${contenders[@]}"; do echo in && echo out; done)
check "the queue is empty again" rmdir "$work/a/lock"
check "queue-lock passes the exit status on" not examples/queue-lock "$work/a/lock" false

registry=$work/a/services/web
check "register" examples/service-registry "$registry" register host1 10.0.0.1:80
check "register elsewhere" examples/service-registry "$work/b/services/web" register host2 10.0.0.2:80
refuses 1 examples/service-registry "$registry" register host2 10.9.9.9:80
examples/service-registry "$registry" watch >"$work/watched" &
watch=$!
check "watch prints all" eventually grep -q 'host2 .*10.0.0.2:80' "$work/watched"
check "list" examples/service-registry "$registry" list
check "it has both" test "$(wc -l <"$work/output")" = 2
check "the second mount ends" umount "$work/b"
gone() { [[ $(examples/service-registry "$registry" list) == host1*10.0.0.1:80 ]]; }
check "and its service goes" eventually gone
only_host1() { [[ $(tail -1 "$work/watched") == host1* && $(tail -2 "$work/watched") == --* ]]; }
check "which the watch reports" eventually only_host1
kill "$watch"
check "remove" examples/service-registry "$registry" remove host1
check "empty" rmdir "$registry"
for script in config-reload queue-lock service-registry; do
    check "$script without arguments tells its usage" not "examples/$script"
done

check "quickstart --stop" examples/quickstart --stop "$work/a"
check "nothing is mounted" not mountpoint -q "$work/a"
check "and nothing runs" not pgrep -x pactfs
refuses 1 examples/quickstart --stop "$work/a"

# --- quickstart --ensemble: a write here is seen there, the leader dies and writing goes on, all is there again ---

export PACT_DATA=$work/ensemble
check "quickstart --ensemble" examples/quickstart --ensemble "$work/e"
for expected in 'workers = 4' 'workers = 8' 'leader' 'unreachable' 'real'; do
    check "it shows '$expected'" says "$expected"
done
check "the table ends with three that are well" test "$(tail -8 "$work/output" | grep -cE '(leader|follower) +0x')" = 3
check "three mounts" mkdir "$work/e1/one" "$work/e2/two" "$work/e3/three"
check "three replicas" test "$(pgrep -cx pactd)" = 3
check "again" examples/quickstart --ensemble "$work/e"
check "it uses what is there" test "$(pgrep -cx pactd)$(pgrep -cx pactfs)" = 33
check "and keeps what is in it" test -d "$work/e3/one"
check "--stop" examples/quickstart --ensemble --stop "$work/e"
check "nothing runs" not pgrep -x 'pactd|pactfs'
refuses 1 examples/quickstart --ensemble --stop "$work/e"
echo "examples: $checks checks"
