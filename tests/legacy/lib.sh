# Sourced by the legacy tests, after tests/mount/lib.sh's own rules: an ensemble of three replicas and two mounts of it,
# $A and $B, each at a replica of its own, as two hosts would have them.
#
#   row PROGRAM WHAT COMMAND...               what an unmodified program does there: it works
#   row_fails PROGRAM WHAT ERROR COMMAND...   it cannot work: the command fails, and says ERROR (or "status N")
#   row_if FILE PROGRAM WHAT COMMAND...       as row, where FILE is installed; else only noted
#   finish_rows                               the rows must be those of README.md's table for this script; ends the test
#   same_on_b PATH                            what A has there, B has too: names, kinds, modes, owners, times, contents
#   text_on_b PATH TEXT                       the file's content on B
#   start NAME COMMAND...                     in the background, its words in $WORK/NAME.out; sets STARTED to its pid.
#                                             Ended with its row; stop PID: now
#   watches PID PATH                          the process, or a child of it, has an inotify watch on PATH
#   says NAME PATTERN                         NAME.out has a line like that
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../mount/lib.sh"
LEGACY=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
A=$WORK/a B=$WORK/b
ROWS=() STARTED_ALL=()
export LC_ALL=C HOME=$WORK TERM=xterm

start_hosts() {
    start_ensemble 3
    start_mount_on 1 "$A"
    start_mount_on 2 "$B"
}

stop_hosts() {
    stop_mount "$A"
    stop_mount "$B"
    stop_ensemble
}

row() {
    ROWS+=("| $1 | $2 | works |")
    check "$1: $2" "${@:3}"
    stop_started
}

row_fails() {
    ROWS+=("| $1 | $2 | \"$3\"")
    check "$1: $2: $3" fails_saying "$3" "${@:4}"
}

fails_saying() {
    local error=$1 said status=0
    shift
    said=$("$@" 2>&1) || status=$?
    said="status $status: $said"
    echo "$said"
    ((status)) && grep -qF -- "$error" <<<"$said"
}

row_if() {
    local needed=$1
    shift
    if [[ -e $needed ]]; then
        row "$@"
    else
        ROWS+=("| $1 | $2 | works |")
        echo "# not here: $needed: $1, $2"
    fi
}

# The lines of README.md's section for this script.
documented() { sed -n "/^## .*$(basename "$0")/,/^## /{/^| [^-]/p}" "$LEGACY/README.md" | grep -v '^| program '; }

finish_rows() {
    local row missing=0
    for row in "${ROWS[@]}"; do
        documented | grep -qF -- "$row" || { echo "# not in README.md: $row" && missing=1; }
    done
    check "README.md has these ${#ROWS[@]} rows and no other" test "$missing $(documented | wc -l)" == "0 ${#ROWS[@]}"
    stop_hosts
    finish
}

sync_b() { sync "$B"; }
listing() { (cd "$1" && find . -printf '%P|%y|%m|%U|%G|%T@|%l|%y%s\n' | sed 's/|d[0-9]*$/|d/' | sort); }
same_on_b() {
    sync_b
    diff <(listing "$A/$1") <(listing "$B/$1") && diff -r --no-dereference "$A/$1" "$B/$1"
}
text_on_b() {
    sync_b
    [[ $(<"$B/$1") == "$2" ]] || { echo "B has: $(head -c 200 "$B/$1")" && return 1; }
}

start() { # NAME COMMAND...
    local name=$1
    shift
    (cd / && exec "$@") >"$WORK/$name.out" 2>&1 </dev/null &
    STARTED=$!
    STARTED_ALL+=("$STARTED")
}
stop_started() {
    local pid
    for pid in ${STARTED_ALL[@]+"${STARTED_ALL[@]}"}; do stop "$pid"; done
    STARTED_ALL=()
}
# stop PID: with its children; it may end with any status
stop() {
    pkill -P "$1"
    kill "$1" 2>/dev/null
    wait "$1" 2>/dev/null
    return 0
}
says() { grep -qE -- "$2" "$WORK/$1.out"; }

watches() {
    local pid number
    number=$(printf %x "$(stat -c %i "$2")")
    for pid in "$1" $(pgrep -P "$1"); do
        grep -qs "^inotify.* ino:$number " /proc/"$pid"/fdinfo/* && return 0
    done
    return 1
}
watches_soon() { eventually watches "$@" || { echo "nothing watches $2" && return 1; }; }
