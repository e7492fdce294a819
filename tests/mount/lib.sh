# Sourced by the mount tests: one pactd, any number of mounts of it, or embedded ones, and checks that count.
#
#   start_pactd [OPTION...]         on a free port, the same again after stop_pactd; sets PACTD_PID, SERVERS
#   start_mount MNT [OPTION...]     mounts $SERVERS; returns when it answers and announces
#   start_embedded MNT [OPTION...]  mounts embedded:$DATA
#   stop_mount MNT, stop_pactd      end cleanly; an exit status other than 0 fails the test
#   start_ensemble N [OPTION...]    replicas 1 to N on loopback, until one leads; sets SERVERS to all of them
#   start_replica I [OPTION...]     starts one of them (again); kill_replica I, stop_replica I, stop_ensemble
#   start_mount_on I MNT [OPTION...] a mount of all of them that begins at replica I
#   NETNS[I]=NAME, within I         the network namespace of replica I; WITHIN: what runs a command in it
#   KEYS=DIR                        before start_ensemble: replicas, mounts and pactctl use the keys in there
#   ctl ARGUMENT...                 pactctl on $SERVERS; status_of I, role I: what replica I says, and of itself
#   same_digests, all_follow        of all replicas
#   leader, leader_now              who leads: waited for, or at this moment if anybody does; replica_of MNT: whom a mount is attached to
#   kill_hard PID, mount_pid MNT    mount_pid is the supervisor's: with it the mount dies
#   worker_of PID                   of a supervisor: who serves the mount, and comes again; what stops a mount for a while stops that
#   check NAME COMMAND...           counts; prints what the command said if it fails
#   pass TEXT, fail TEXT            one check by hand; `fail` ends the test
#   eventually COMMAND...           succeeds within $PATIENCE s: a minute, as the machine may stand still at times
#   limit STRICT LOOSE              what a time may be at most: STRICT with PACT_SOAK, on a quiet machine; else LOOSE
#   repeated N                      how often: N with PACT_SOAK, else a fifth; a twentieth under the sanitizers
#   finish                          prints the count and ends with 0 or 1
#
# Everything is in $WORK, logs are $WORK/pactd.log, replica-I.log and MNT.log; all that was started is ended at exit, by its pid.
# shellcheck shell=bash
set -uo pipefail
: "${PACT_BIN:?PACT_BIN must name the directory of the programs}"
((EUID == 0)) || { echo "the mount tests need root" && exit 1; }
WORK=$(mktemp -d /tmp/pact-mount-XXXXXX)
DATA=$WORK/data
SERVERS='' PACTD_PID=''
declare -A MOUNT_PIDS=()
declare -a REPLICA_PIDS=() CLIENT_PORTS=() NETNS=() WITHIN=()
ENSEMBLE='' KEYS=''
CHECKS=0 FAILURES=0 PORT=0

cleanup() {
    local pid mnt
    cd /
    for mnt in "${!MOUNT_PIDS[@]}"; do
        umount -l "$mnt" 2>/dev/null
    done
    for pid in ${MOUNT_PIDS[@]+"${MOUNT_PIDS[@]}"} $PACTD_PID ${REPLICA_PIDS[@]+"${REPLICA_PIDS[@]}"} $(jobs -p); do
        kill -9 "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    grep -lsF "mountpoint $WORK/" /run/pactfs/* | xargs -r rm # what killed mounts would tell their like
    if [[ ${PACT_KEEP:-} ]]; then echo "# kept: $WORK"; else rm -rf --one-file-system "$WORK"; fi
}
trap cleanup EXIT

logs() {
    local log
    for log in "$WORK"/*.log; do
        [[ ! -s $log ]] || { echo "# ${log##*/}:" && tail -n 40 "$log" | sed 's/^/#   /'; }
    done
}

pass() {
    CHECKS=$((CHECKS + 1))
    echo "ok $CHECKS - $*"
}

fail() {
    CHECKS=$((CHECKS + 1))
    echo "not ok $CHECKS - $*"
    logs
    exit 1
}

check() {
    local name=$1
    shift
    CHECKS=$((CHECKS + 1))
    if "$@" >"$WORK/said" 2>&1; then
        echo "ok $CHECKS - $name"
        return 0
    fi
    FAILURES=$((FAILURES + 1))
    echo "not ok $CHECKS - $name"
    sed 's/^/#   /' "$WORK/said" | head -20
    return 1
}

not() { ! "$@"; }

limit() {
    if [[ ${PACT_SOAK:-} ]]; then echo "$1"; else echo "$2"; fi
}

repeated() {
    local divisor=5
    [[ ! ${PACT_SANITIZED:-} ]] || divisor=20
    [[ ! ${PACT_SOAK:-} ]] || divisor=1
    echo $(($1 / divisor))
}

eventually() {
    local deadline=$((SECONDS + ${PATIENCE:-60}))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.01
    done
}

# says LOG PID PATTERN: the log says so, or the process that writes it has ended
says_or_ended() { grep -q "$3" "$1" || ! kill -0 "$2" 2>/dev/null; }

# started LOG PID PATTERN WHAT
started() {
    eventually says_or_ended "$1" "$2" "$3"
    grep -q "$3" "$1" || fail "$4 does not start"
}

# ended PID WHAT: waits for it; its status must be 0
ended() {
    local status=0
    wait "$1" || status=$?
    ((status == 0)) || fail "$2 ended with status $status"
}

start_pactd() {
    : >"$WORK/pactd.log"
    ((PORT)) || PORT=$(free_ports 1) # keeps it while it is down
    # Not from here, which may be in a mount.
    (cd / && exec "$PACT_BIN/pactd" --id 1 --data "$DATA" --ensemble "1=127.0.0.1:0:$PORT" "$@" 2>"$WORK/pactd.log") &
    PACTD_PID=$!
    started "$WORK/pactd.log" "$PACTD_PID" 'serving on port' pactd
    PORT=$(sed -n 's/.*serving on port \([0-9]*\).*/\1/p' "$WORK/pactd.log")
    SERVERS=127.0.0.1:$PORT
}

stop_pactd() {
    kill "$PACTD_PID"
    ended "$PACTD_PID" pactd
    PACTD_PID=''
}

# --- an ensemble ---

# So many ports in a row that nobody listens on, below those that connections are given.
free_ports() { # COUNT
    local base used
    used=$(ss -Htan | awk '{ print $4 }' | sed 's/.*://' | sort -u)
    until base=$((10000 + RANDOM % 20000)) && ! grep -qxFf <(seq "$base" $((base + $1 - 1))) <<<"$used"; do :; done
    echo "$base"
}

start_ensemble() {
    local count=$1 base i
    shift
    base=$(free_ports $((2 * count)))
    ENSEMBLE='' SERVERS=''
    for ((i = 1; i <= count; i++)); do
        CLIENT_PORTS[i]=$((base + 2 * i - 1))
        ENSEMBLE+=${ENSEMBLE:+,}$i=127.0.0.1:$((base + 2 * i - 2)):${CLIENT_PORTS[i]}
        SERVERS+=${SERVERS:+,}127.0.0.1:${CLIENT_PORTS[i]}
    done
    for ((i = 1; i <= count; i++)); do
        start_replica "$i" "$@"
    done
    eventually leader || fail "nobody leads"
}

# within I: sets WITHIN to what runs a command in replica I's network namespace, if it has one
within() {
    WITHIN=()
    [[ ! ${NETNS[$1]:-} ]] || WITHIN=(nsenter --net="/run/netns/${NETNS[$1]}")
}

start_replica() {
    local i=$1
    shift
    [[ ! $KEYS ]] || set -- --key "$KEYS/replica.key" "$@"
    within "$i"
    (cd / && exec ${WITHIN[@]+"${WITHIN[@]}"} "$PACT_BIN/pactd" --id "$i" --data "$WORK/data-$i" --ensemble "$ENSEMBLE" "$@" 2>>"$WORK/replica-$i.log") &
    WITHIN=()
    REPLICA_PIDS[i]=$!
}

# Of a killed replica the status is no matter.
kill_replica() {
    kill_hard "${REPLICA_PIDS[$1]}"
    unset "REPLICA_PIDS[$1]"
}

stop_replica() {
    kill "${REPLICA_PIDS[$1]}"
    ended "${REPLICA_PIDS[$1]}" "replica $1"
    unset "REPLICA_PIDS[$1]"
}

stop_ensemble() {
    local i
    for i in "${!REPLICA_PIDS[@]}"; do
        stop_replica "$i"
    done
}

ctl() { ${WITHIN[@]+"${WITHIN[@]}"} "$PACT_BIN/pactctl" -s "$SERVERS" ${KEYS:+--key "$KEYS/mount.key"} "$@"; }
status_of() {
    local WITHIN
    within "$1"
    SERVERS=$(tr , '\n' <<<"$SERVERS" | grep ":${CLIENT_PORTS[$1]}$") ctl --json status
}
role() { status_of "$1" | sed -nE "s/.*\{\"id\":$1,\"role\":\"([a-z]*)\".*/\1/p"; }
leads() { [[ $(role "$1") == leader ]]; }
follows() { [[ $(role "$1") == follower ]]; }

# Only one that runs and has not been stopped is asked.
leader_now() {
    local i
    for i in "${!REPLICA_PIDS[@]}"; do
        [[ $(ps -o state= -p "${REPLICA_PIDS[$i]}") != T ]] && leads "$i" && echo "$i" && return
    done
    return 1
}

leader() {
    local deadline=$((SECONDS + ${PATIENCE:-60}))
    until leader_now; do
        ((SECONDS < deadline)) || return 1
        sleep 0.01
    done
}

# The state of replica I as "zxid digest"; whether all that run have the same.
digest_of() { status_of "$1" | sed -nE 's/.*"zxid":([0-9]+),"digest":"([0-9a-f]+)".*/\1 \2/p'; }
same_digests() {
    local i all=()
    for i in "${!REPLICA_PIDS[@]}"; do all+=("$(digest_of "$i")"); done
    [[ ${all[0]} && $(printf '%s\n' "${all[@]}" | sort -u | wc -l) == 1 ]]
}
# Every replica leads or follows.
all_follow() {
    local i
    for i in "${!REPLICA_PIDS[@]}"; do leads "$i" || follows "$i" || return 1; done
}

replica_of() { sed -n 's/^replica //p' "$1/.pact/ensemble"; }
attached_to() { [[ $(replica_of "$2") == "$1" ]]; }

# A mount begins at a random one of its list: it is made until it is the right one.
start_mount_on() {
    local i=$1 mnt=$2
    shift 2
    start_mount "$mnt" "$@"
    until attached_to "$i" "$mnt"; do
        stop_mount "$mnt"
        start_mount "$mnt" "$@"
    done
}

# mount_at MNT SERVERS [OPTION...]
mount_at() {
    local mnt=$1 servers=$2
    shift 2
    [[ ! $KEYS ]] || set -- -o "key=$KEYS/mount.key" "$@"
    [[ -d $mnt ]] || mkdir -p "$mnt" 2>/dev/null # a dead mount is there and cannot be looked at
    local attempt
    for attempt in 1 2 3; do # on a machine that stands still no replica may answer for op_timeout
        : >"$mnt.log"
        (cd / && exec ${WITHIN[@]+"${WITHIN[@]}"} "$PACT_BIN/pactfs" "$servers" "$mnt" -f "$@" 2>"$mnt.log") &
        MOUNT_PIDS[$mnt]=$!
        eventually says_or_ended "$mnt.log" "${MOUNT_PIDS[$mnt]}" 'the mount answers'
        grep -q 'no replica can be reached' "$mnt.log" || break
        echo "# attempt $attempt: $(<"$mnt.log")"
    done
    started "$mnt.log" "${MOUNT_PIDS[$mnt]}" 'the mount answers' "the mount at $mnt"
}

start_mount() {
    local mnt=$1
    shift
    mount_at "$mnt" "$SERVERS" "$@"
}

start_embedded() {
    local mnt=$1
    shift
    mount_at "$mnt" "embedded:$DATA" "$@"
}

mount_pid() { echo "${MOUNT_PIDS[$1]}"; }
worker_of() { pgrep -x -P "$1" pactfs-worker; }

stop_mount() {
    umount "$1" || fail "cannot unmount $1"
    ended "${MOUNT_PIDS[$1]}" "the mount at $1"
    unset "MOUNT_PIDS[$1]"
}

kill_hard() {
    kill -9 "$1"
    wait "$1" 2>/dev/null
    return 0
}

finish() {
    ((FAILURES == 0)) || logs
    echo "1..$CHECKS"
    echo "# $((CHECKS - FAILURES)) of $CHECKS checks passed"
    exit $((FAILURES > 0))
}
