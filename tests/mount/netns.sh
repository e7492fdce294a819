#!/bin/bash
# Tried by fire: five hosts (network namespaces on one bridge), each with a replica on a small disk and a mount, and a
# fault every 5 s: kill -9, SIGSTOP, one host or two cut off, a host that hears and is not heard or the other way round,
# a full disk. On every mount writers (crash_writer.c), lockers, appenders and readers (netns_load.c) note what they did.
#
# Nothing acknowledged is lost, nothing is done twice, no lock is held by two, all mounts show one order; at the end of
# each round all trees are the same. FOR seconds (3 minutes; with PACT_SOAK an hour), in rounds of at most ROUND (5
# minutes): after each its load is judged and removed, so that files and disks stay within their limits. Faults from
# SEED.
# shellcheck disable=SC2016  # what is given to `eval` expands there
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"

default=180
if [[ ${PACT_SANITIZED:-} ]]; then default=20; fi
if [[ ${PACT_SOAK:-} ]]; then default=3600; fi
for=${FOR:-$default} round=${ROUND:-300} seed=${SEED:-$((RANDOM * 32768 + RANDOM))} hosts=5 every=5 held=3
echo "# SEED=$seed FOR=$for"

# --- the hosts ---

prefix=pact$$ peer_port=7001 client_port=7002
name() { echo "$prefix-$1"; }
address() { echo "10.77.77.$1"; }
mnt() { echo "$WORK/mnt-$1"; }

network_down() {
    local i
    for ((i = 1; i <= hosts; i++)); do
        ip netns del "$(name "$i")"
        umount -l "$WORK/data-$i"
    done
    ip link del "$prefix"
} 2>/dev/null
trap 'cleanup_all' EXIT
cleanup_all() {
    local pid
    for pid in ${REPLICA_PIDS[@]+"${REPLICA_PIDS[@]}"}; do kill -CONT "$pid" 2>/dev/null; done
    network_down
    cleanup
}

in_host() { nsenter --net="/run/netns/$(name "$1")" "${@:2}"; }

host_up() {
    local i=$1
    ip netns add "$(name "$i")"
    NETNS[i]=$(name "$i")
    CLIENT_PORTS[i]=$((client_port + 10 * i))
    ip link add "$prefix.$i" type veth peer name eth0 netns "$(name "$i")"
    ip link set "$prefix.$i" master "$prefix" up
    in_host "$i" ip link set lo up
    in_host "$i" ip address add "$(address "$i")/24" dev eth0
    in_host "$i" ip link set eth0 up
    in_host "$i" nft -f - <<<'table ip fault {
        chain in { type filter hook input priority 0; }
        chain out { type filter hook output priority 0; }
    }'
    ENSEMBLE+=${ENSEMBLE:+,}$i=$(address "$i"):$((peer_port + 10 * i)):${CLIENT_PORTS[i]}
    SERVERS+=${SERVERS:+,}$(address "$i"):${CLIENT_PORTS[i]}
    mkdir "$WORK/data-$i"
    mount -t tmpfs -o size=700m none "$WORK/data-$i"
}

ip link add "$prefix" type bridge || fail "a bridge cannot be made"
ip link set "$prefix" up
for ((i = 1; i <= hosts; i++)); do host_up $i; done
KEYS=$WORK/keys
mkdir "$KEYS"
"$PACT_BIN/pactctl" keygen "$KEYS" >/dev/null || fail "keygen"

# --- faults, and their ends ---

# deaf I FROM...: host I gets nothing from these; mute I TO...: sends them nothing
deaf() {
    local from
    for from in "${@:2}"; do in_host "$1" nft add rule ip fault in ip saddr "$(address "$from")" drop; done
}
mute() {
    local to
    for to in "${@:2}"; do in_host "$1" nft add rule ip fault out ip daddr "$(address "$to")" drop; done
}
others() { seq "$hosts" | grep -vxF "$1"; }

fault_kill() { kill_replica "$a"; }
end_kill() { start_replica "$a"; }
fault_stop() { kill -STOP "${REPLICA_PIDS[$a]}"; }
end_stop() { kill -CONT "${REPLICA_PIDS[$a]}"; }
heal() {
    local i
    for i in "$a" "$b"; do in_host "$i" nft flush table ip fault; done
}
# shellcheck disable=SC2046  # words
fault_alone() { deaf "$a" $(others "$a") && mute "$a" $(others "$a"); }
end_alone() { heal; }
# shellcheck disable=SC2046
fault_pair() { # two of five are left with each other
    local i
    for i in "$a" "$b"; do
        deaf "$i" $(others "$a" | grep -vxF "$b") && mute "$i" $(others "$a" | grep -vxF "$b")
    done
}
end_pair() { heal; }
# shellcheck disable=SC2046
fault_deaf() { deaf "$a" $(others "$a"); }
end_deaf() { heal; }
# shellcheck disable=SC2046
fault_mute() { mute "$a" $(others "$a"); }
end_mute() { heal; }
fault_severed() { deaf "$a" "$b"; } # one direction between two
end_severed() { heal; }
# The log has room in its present segment (8 MiB) and in the next; what is written now fills them.
fulls() { cat "$WORK"/replica-*.log | grep -c 'the disk is full'; }
fault_full() {
    local before
    before=$(fulls)
    dd if=/dev/zero of="$WORK/data-$a/ballast" bs=1M
    for ((n = 0; n < 36 && $(fulls) == before; n++)); do
        head -c 1000000 /dev/urandom >"$(mnt "$b")/large"
    done
}
end_full() { rm "$WORK/data-$a/ballast"; }
kinds=(kill stop alone pair deaf mute severed full)

# --- the load ---

declare -a LOADS=()
load() { # LOG COMMAND...
    "${@:2}" 2>>"$1" &
    LOADS+=($!)
}

start_ensemble_of_hosts() {
    local i
    for ((i = 1; i <= hosts; i++)); do start_replica $i; done
    eventually leader || fail "nobody leads"
    for ((i = 1; i <= hosts; i++)); do
        within $i
        mount_at "$(mnt $i)" "$SERVERS" -o session_timeout=60s -o op_timeout=5s
        WITHIN=()
    done
}

start_load() {
    local i m
    m=$(mnt 1)
    mkdir -p "$m"/locks/{queue,settle} "$m/order" "$WORK/notes"
    echo 0 >"$m/locks/count"
    for ((i = 1; i <= hosts; i++)); do
        m=$(mnt $i)
        mkdir -p "$m/load-$i/queue" "$m/load-$i/0" "$WORK/notes/$i"
        sync "$m"
        load "$WORK/faults" "$PACT_TESTS/crash_writer" "$m/load-$i" "$WORK/notes/$i" 1
        for kind in lock append read; do
            load "$WORK/faults" "$PACT_TESTS/netns_load" $kind "$m" $i "$WORK/notes"
        done
    done
}

end_load() {
    local pid
    kill "${LOADS[@]}" 2>/dev/null
    for pid in "${LOADS[@]}"; do
        wait "$pid" || fail "a call failed as it may not, or something was seen that may not be: $(cat "$WORK/faults")"
    done
    LOADS=()
}

declare -A COUNTS=()
faults=0
one_fault() {
    local i l
    kind=${kinds[RANDOM % ${#kinds[@]}]}
    a=$((RANDOM % hosts + 1)) b=$((RANDOM % (hosts - 1) + 1))
    ((b < a)) || b=$((b + 1))
    if ((RANDOM % 2)) && l=$(leader); then # the leader, every other time
        ((b != l)) || b=$a
        a=$l
    fi
    [[ ! ${VERBOSE:-} ]] || echo "# $(date -u +%T.%3N) $kind $a $b"
    "fault_$kind"
    sleep $held
    "end_$kind"
    [[ ! ${VERBOSE:-} ]] || echo "# $(date -u +%T.%3N) end"
    sleep $((every - held))
    faults=$((faults + 1)) COUNTS[$kind]=$((${COUNTS[$kind]:-0} + 1))
    for i in "${!REPLICA_PIDS[@]}"; do
        kill -0 "${REPLICA_PIDS[$i]}" 2>/dev/null || fail "replica $i has ended by itself"
    done
} 2>>"$WORK/shell"

# --- what it did is judged ---

# A file that was made and never written is seen by its own host alone.
tree() { (cd "$1" && find . ! '(' -type f -size 0 ')' -printf '%p %y %i %s %T@\n' | sort && find order locks -type f -print0 | sort -z | xargs -0 md5sum); }
judge_trees() {
    local i pids=()
    for ((i = 1; i <= hosts; i++)); do
        tree "$(mnt $i)" >"$WORK/tree-$i" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || fail "a tree cannot be read"; done
    for ((i = 2; i <= hosts; i++)); do
        check "host $i shows the tree that host 1 shows, $(wc -l <"$WORK/tree-1") lines" diff "$WORK/tree-1" "$WORK/tree-$i"
    done
    check "every replica has the same digest" eventually same_digests
}

# The writers: each host's are judged at the next one.
judge_writers() {
    local i line x r u acknowledged=0 refused=0 unknown=0
    for ((i = 1; i <= hosts; i++)); do
        line=$("$PACT_TESTS/crash_check" "$(mnt $((i % hosts + 1)))/load-$i" "$WORK/notes/$i" 1) || fail "host $i's writer: $line"
        read -r _ x _ r _ u _ <<<"$line"
        acknowledged=$((acknowledged + x)) refused=$((refused + r)) unknown=$((unknown + u))
    done
    pass "$acknowledged writes acknowledged: 0 lost, 0 twice; $refused refused, $unknown unknown"
}

# The lockers: each number was written once, and none is missing but those that are not known.
judge_lockers() {
    local count
    count=$(cat "$(mnt 1)/locks/count")
    cat "$WORK"/notes/lock-* | sort -k2n >"$WORK/locks"
    check "$(grep -c '^+' "$WORK/locks") times locked, $(grep -c '^?' "$WORK/locks") unknown: no lock was held by two" \
        test ! "$(awk '$1 == "+" { print $2 }' "$WORK/locks" | uniq -d)"
    check "and no turn is missing: $count" awk -v count="$count" '
        $1 != "-" { seen[$2] } END { for (n = 1; n <= count; n++) if (!(n in seen)) exit 1 }' "$WORK/locks"
    check "the last acknowledged one is there" test "$(awk '$1 == "+" { n = $2 } END { print n + 0 }' "$WORK/locks")" -le "$count"
}

# The appenders: each line that was acknowledged is there once, in order; what readers saw is how it is.
judge_appenders() {
    local i n
    for ((n = 0; ; n++)); do
        [[ -e $(mnt 1)/order/$n ]] || break
        cat "$(mnt 1)/order/$n"
    done >"$WORK/order"
    check "$(wc -l <"$WORK/order") lines appended: each once" test ! "$(sort "$WORK/order" | uniq -d)"
    for ((i = 1; i <= hosts; i++)); do
        check "host $i's: all that were acknowledged, none that was refused" eval '
            ! comm -23 <(awk "\$1 == \"+\" { print \$2 }" "$WORK/notes/append-$i" | sort) \
                <(awk -v i=$i "\$1 == i { print \$2 }" "$WORK/order" | sort) | grep . &&
            ! comm -12 <(awk "\$1 == \"-\" { print \$2 }" "$WORK/notes/append-$i" | sort) \
                <(awk -v i=$i "\$1 == i { print \$2 }" "$WORK/order" | sort) | grep .'
    done
    check "in one file each appender's are in its order" eval 'for ((n = 0; ; n++)); do
        [[ -e $(mnt 1)/order/$n ]] || break
        awk "\$2 < last[\$1] + 0 { exit 1 } { last[\$1] = \$2 }" "$(mnt 1)/order/$n" || return 1; done'
    check "every reader saw beginnings of what is there now" eval 'for seen in "$WORK"/notes/seen-*; do
        cmp -n "$(stat -c %s "$seen")" "$seen" "$(mnt 1)/order/${seen##*-}" || return 1; done'
}

remove_load() {
    rm -rf "$(mnt 1)"/{load-*,locks,order} "$WORK/notes"
}

# One round of SECONDS: load and faults, then quiet, then the verdict.
one_round() {
    local until_s=$((SECONDS + $1)) i
    start_load
    while ((SECONDS < until_s)); do one_fault; done
    check "all follow one leader" eventually all_follow
    end_load
    for ((i = 1; i <= hosts; i++)); do
        check "host $i: sync" eventually sync "$(mnt $i)"
    done
    judge_trees
    judge_writers
    judge_lockers
    judge_appenders
}

echo "# five hosts"
start_ensemble_of_hosts
RANDOM=$seed
while ((for > 0)); do
    echo "# a round"
    one_round $((for < round ? for : round))
    for=$((for - round))
    ((for <= 0)) || check "the load is removed" remove_load
done
[[ ! ${COUNTS[full]:-} ]] || check "a disk was full" test "$(fulls)" -gt 0
pass "$faults faults: $(for kind in "${!COUNTS[@]}"; do echo -n "${COUNTS[$kind]} $kind "; done)"

echo "# the end"
for ((i = 1; i <= hosts; i++)); do stop_mount "$(mnt $i)"; done
stop_ensemble
finish
