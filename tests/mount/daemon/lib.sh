# Sourced by the tests of pactd and pactctl: a scratch directory, checks that count, pactd on free ports.
# shellcheck shell=bash
set -u
bin=${PACT_BIN:?PACT_BIN must name the directory of pactd and pactctl}
work=$(mktemp -d /tmp/pact-test-XXXXXX)
checks=0
failures=0
daemons=()
pid='' # of the pactd started last
servers=''

cleanup() {
    local daemon
    for daemon in "${daemons[@]}"; do
        kill -9 "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
    done
    while mountpoint -q "$work/disk" && ! umount "$work/disk"; do sleep 0.1; done
    rm -rf "$work"
}
trap cleanup EXIT

# result NAME: counts the last command's outcome as a check
result() {
    local outcome=$?
    checks=$((checks + 1))
    if ((outcome == 0)); then
        echo "ok $checks - $1"
        return
    fi
    failures=$((failures + 1))
    echo "not ok $checks - $1"
    sed 's/^/#   out: /' "$work/out" 2>/dev/null | head -20
    sed 's/^/#   err: /' "$work/err" 2>/dev/null | head -20
}

# run COMMAND...: its output goes to $work/out and $work/err, its exit status to $status
run() {
    status=0
    "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
}

# exits STATUS NAME COMMAND...
exits() {
    local wanted=$1 name=$2
    shift 2
    run "$@"
    ((status == wanted))
    result "$name: exit status $wanted (was $status)"
}

# refuses STATUS PATTERN COMMAND...: exits so, with one line on stderr that matches, and nothing on stdout
refuses() {
    local wanted=$1 pattern=$2
    shift 2
    run "$@"
    ((status == wanted)) && (($(wc -l <"$work/err") == 1)) && [[ ! -s $work/out ]] && grep -qE -- "$pattern" "$work/err"
    result "${*##*/}: exit status $wanted and one line: $pattern"
}

# prints PATTERN: a line of the last run's output matches
prints() {
    grep -qE -- "$1" "$work/out"
    result "prints $1"
}

# eventually COMMAND...: succeeds within 10 s
eventually() {
    local end=$((SECONDS + 10))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

# start_pactd DATA [OPTION...]: on a free port of 127.0.0.1; sets $pid, $port, $servers; its log is $work/log
start_pactd() {
    local data=$1
    shift
    rm -f "$work/log"
    "$bin/pactd" --id 1 --data "$data" --ensemble 1=127.0.0.1:0:"${port:-0}" "$@" 2>"$work/log" &
    pid=$!
    daemons+=("$pid")
    if ! eventually grep -q 'serving on port' "$work/log"; then
        cat "$work/log"
        echo "Bail out! pactd does not start"
        exit 1
    fi
    port=$(sed -n 's/.*serving on port \([0-9]*\).*/\1/p' "$work/log")
    # shellcheck disable=SC2034 # for who sources this
    servers=127.0.0.1:$port
}

# stop_pactd [SIGNAL]: sets $status to its exit status
stop_pactd() {
    kill "-${1:-TERM}" "$pid"
    status=0
    wait "$pid" 2>/dev/null || status=$?
}

finish() {
    echo "1..$checks"
    ((failures == 0)) || echo "# $failures of $checks failed"
    exit $((failures > 0))
}
