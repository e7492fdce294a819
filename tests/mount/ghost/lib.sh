# Sourced by the tests of ghosts, after lib.sh: two mounts of one replica, a watcher on the second.
# shellcheck shell=bash
A=$WORK/a B=$WORK/b
: "${PACT_TESTS:?PACT_TESTS must name the directory of the helpers}"

start_two() {
    start_pactd
    start_mount "$A"
    start_mount "$B"
}

stop_two() {
    stop_mount "$A"
    stop_mount "$B"
    stop_pactd
}

# watch [-c] DIR...: every event of these goes to $WORK/events, from now on
watch() {
    : >"$WORK/watching.log"
    "$PACT_TESTS/ghost_watch" "$@" >"$WORK/events" 2>"$WORK/watching.log" &
    WATCHER=$!
    started "$WORK/watching.log" "$WATCHER" ready "the watcher"
}

end_watch() {
    kill "$WATCHER"
    ended "$WATCHER" "the watcher"
}

# hold directory|open PATH: whoever comes there is stuck until release; several at once are hold.1, hold.2 …
HOLDERS=()
hold() {
    local log=$WORK/hold.$((${#HOLDERS[@]} + 1))
    : >"$log"
    "$PACT_TESTS/ghost_hold" "$@" >"$log" &
    HOLDERS+=("$!")
    started "$log" "$!" 'held\|ready' "ghost_hold $*"
}

release() {
    local pid
    kill "${HOLDERS[@]}"
    for pid in "${HOLDERS[@]}"; do
        ended "$pid" ghost_hold
    done
    HOLDERS=()
}

# change KIND COUNT DIR...: what was done goes to $WORK/changes
change() {
    "$PACT_TESTS/ghost_change" "$@" >"$WORK/changes" || fail "ghost_change $*"
}

# counter MNT NAME: of .pact/session
counter() { sed -n "s/^events_$2 //p" "$1/.pact/session"; }

settled() { [[ $(counter "${1:-$B}" pending) == 0 ]]; }

# applied MNT: the last entry that a mount shows
applied() { sed -n 's/^applied //p' "$1/.pact/ensemble"; }
level() {
    local here
    here=$(applied "$A") && [[ $here && $here == $(applied "$B") ]]
}

# announced: the second mount has announced all that was done on the first
announced() {
    eventually level || fail "the second mount lags behind"
    eventually settled || fail "still $(counter "$B" pending) changes to announce"
}

# same_order PATTERN DIRECTORIES WHAT: of the events that match, what was done is what was reported, once each and in
# the order of each directory
same_order() {
    local directory
    for ((directory = 0; directory < $2; directory++)); do
        awk -v d="$directory" -v p="^($1)\$" '$2 == d && $3 ~ p { print $3, $4 }' "$WORK/changes" >"$WORK/done"
        awk -v d="$directory" -v p="^($1)\$" '$2 == d && $3 ~ p { print $3, $5 }' "$WORK/events" >"$WORK/reported"
        cmp -s "$WORK/done" "$WORK/reported" ||
            fail "$3: not reported as it was done: $(diff "$WORK/done" "$WORK/reported" | head -5)"
    done
}

CHANGES=${CHANGES:-$(repeated 10000)} DIRS=4
EACH=$((CHANGES / DIRS))

start_four() { # as start_two, with four directories that the second mount's kernel knows
    start_two
    mkdir "$A"/{0,1,2,3}
    ls "$B"/{0,1,2,3} >/dev/null
}

# burst KIND [-c]: $EACH changes in each of the four, watched; $took says how long it took
burst() {
    watch ${2:+"$2"} "$B"/{0,1,2,3}
    local begun=${EPOCHREALTIME/./} done_us announced_us
    change "$1" "$EACH" "$A"/{0,1,2,3}
    done_us=$((${EPOCHREALTIME/./} - begun))
    announced
    announced_us=$((${EPOCHREALTIME/./} - begun))
    end_watch
    # shellcheck disable=SC2034
    took="$((done_us / 1000)) ms to do, $((announced_us / 1000)) ms until all was announced"
}

# bursts KIND...: every create, delete and rename once and in order
bursts() {
    local kind
    for kind; do
        burst "$kind"
        same_order 'CREATE|CREATE,ISDIR|DELETE|DELETE,ISDIR|MOVED_FROM|MOVED_TO' "$DIRS" "$kind"
        pass "$kind: $(wc -l <"$WORK/changes") events of $((EACH * DIRS)) changes, each once and in order; $took"
    done
}

none_refused() {
    [[ $(counter "$B" failed) == 0 ]] || fail "the kernel refused $(counter "$B" failed) ghosts"
    pass "no ghost was refused"
}
