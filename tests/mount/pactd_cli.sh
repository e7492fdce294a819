#!/bin/bash
# pactd as an administrator meets it: options, the configuration file, exit statuses, and what it says when the data
# directory is not as it should be.
. "$(dirname "$0")/lib.sh"
pactd=$PACT_BIN/pactd
pactctl=$PACT_BIN/pactctl
one=1=127.0.0.1:0:0

# refuses STATUS PATTERN OPTION...: pactd exits so, with one line on stderr that matches, and nothing on stdout
refuses() {
    local wanted=$1 pattern=$2 status=0
    shift 2
    timeout 60 "$pactd" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    cat "$WORK/out" >>"$WORK/err"
    check "pactd $*: exit status $wanted (is $status), one line: $(head -1 "$WORK/err")" \
        test "$status $(wc -l <"$WORK/err") $(grep -cE -- "$pattern" "$WORK/err")" = "$wanted 1 1"
}

# --- options ---

check "--help" "$pactd" --help
for option in id data ensemble key config log-level version; do
    check "it explains --$option" grep -q -- "--$option" <("$pactd" --help)
done
check "--version" grep -qE '^pactd [0-9]+\.[0-9]+' <("$pactd" --version)
refuses 2 'id is missing'
refuses 2 'unrecognized option' --bogus
refuses 2 'requires an argument' --id
refuses 2 'not an option: extra' --id 1 --data "$DATA" --ensemble $one extra
for id in 0 256 -1 1x '' 99999999999; do
    refuses 2 '--id: not a number' --id "$id" --data "$DATA" --ensemble $one
done
refuses 2 'data is missing' --id 1 --ensemble $one
refuses 2 'ensemble is missing' --id 1 --data "$DATA"
refuses 2 'has no member 2' --id 2 --data "$DATA" --ensemble $one
refuses 2 'needs a port for its peers' --id 1 --data "$DATA" --ensemble $one,2=127.0.0.1:1:2,3=127.0.0.1:3:4
refuses 2 'must have 1, 3, 5 or 7 members' --id 1 --data "$DATA" --ensemble $one,2=127.0.0.1:1:2
refuses 2 'not a number from' --id 1 --data "$DATA" --ensemble $one --state-version 9
refuses 2 '--snapshot-every: not a number of entries from 100' --id 1 --data "$DATA" --ensemble $one --snapshot-every 99
refuses 2 '--silence: not a number of milliseconds from 50' --id 1 --data "$DATA" --ensemble $one --silence 20
refuses 2 'there twice' --id 1 --data "$DATA" --ensemble $one,$one
three() { printf '1=h:1:2,2=%s,3=h:5:6' "$1"; }
for ports in 3:1 3:2 1:3 2:3 2:1 1:2 0:2; do
    refuses 2 'members 1 and 2 are both at H:[12]$' --id 1 --data "$DATA" --ensemble "$(three "H:$ports")"
done
refuses 2 'members 2 and 3 are both at h:6' --id 1 --data "$DATA" --ensemble "$(three h:6:4)"
refuses 2 'member 2 has port 7 for its peers and for its clients' --id 1 --data "$DATA" --ensemble "$(three h:7:7)"
refuses 2 'not a loopback address' --id 1 --data "$DATA" --ensemble "$(three i:1:2)" # and so no clash
for spec in '' 1 1= 1=host 1=host:1 1=host:1:x 1=host:1:65536 1=:1:2 0=host:1:2 1=::1:1:2 '1=[::1:1:2' "$one," ",$one"; do
    refuses 2 'not ID=HOST:PEERPORT:CLIENTPORT' --id 1 --data "$DATA" --ensemble "$spec"
done
refuses 2 'log-level' --id 1 --data "$DATA" --ensemble $one --log-level loud
check "a refused command line makes no data directory" test ! -e "$DATA"

# --- keys ---

mkdir "$WORK/keys"
check "keygen" "$pactctl" keygen "$WORK/keys"
refuses 2 'loopback.*key' --id 1 --data "$DATA" --ensemble 1=0.0.0.0:1:2
refuses 2 'mounts' --id 1 --data "$DATA" --ensemble $one --key "$WORK/keys/mount.key"
refuses 2 'nowhere' --id 1 --data "$DATA" --ensemble $one --key "$WORK/nowhere"
cp "$WORK/keys/replica.key" "$WORK/open.key" && chmod 644 "$WORK/open.key"
refuses 2 'open.key' --id 1 --data "$DATA" --ensemble $one --key "$WORK/open.key"
head -c 10 "$WORK/keys/replica.key" >"$WORK/short.key" && chmod 600 "$WORK/short.key"
refuses 2 'short.key' --id 1 --data "$DATA" --ensemble $one --key "$WORK/short.key"
start_pactd --key "$WORK/keys/replica.key"
check "who has the key is served" "$pactctl" -s "$SERVERS" --key "$WORK/keys/mount.key" create /sealed
mkdir "$WORK/other" && "$pactctl" keygen "$WORK/other" >/dev/null
"$pactctl" -s "$SERVERS" --key "$WORK/other/mount.key" ls >"$WORK/err" 2>&1
check "who has another is not, with exit status 1" test $? = 1
check "and is told why" grep -q 'key does not match' "$WORK/err"
check "nor who has none" not "$pactctl" -s "$SERVERS" ls
check "pactd notes it" grep -q 'warn a client was turned away: the key does not match' "$WORK/pactd.log"
stop_pactd

# --- the configuration file ---

printf 'id = 1\ndata = %s\nensemble = 1=127.0.0.1:0:0\nlog-level = debug\nsilence = 300\n' "$WORK/configured" >"$WORK/pactd.conf"
start_pactd --config "$WORK/pactd.conf"
check "the command line wins over the file" test ! -e "$WORK/configured"
check "what only the file says holds" eventually grep -q ' debug ' <("$pactctl" -s "$SERVERS" ls && cat "$WORK/pactd.log")
stop_pactd
printf 'id = 1\ncolour = blue\n' >"$WORK/bad.conf"
refuses 2 'a device' --config /dev/zero
refuses 2 'bad.conf, line 2: .*colour' --config "$WORK/bad.conf"
printf 'id = 1\n[colours]\nred = 1\nblue = 2\n' >"$WORK/bad.conf"
refuses 2 'bad.conf, line 3: .*colours.red' --config "$WORK/bad.conf"
printf 'id = 1\nthis is no setting\n' >"$WORK/bad.conf"
refuses 2 'bad.conf, line 2' --config "$WORK/bad.conf"
printf 'id = nine\ndata = /x\n' >"$WORK/bad.conf"
refuses 2 '--id: not a number' --config "$WORK/bad.conf"
refuses 2 'nowhere.conf: No such file' --config "$WORK/nowhere.conf"
refuses 2 '--config: .*: Is a directory' --config "$WORK"
refuses 2 '--config: .*: Is a directory' --id 1 --data "$DATA" --ensemble $one --config "$WORK"

# --- running and ending ---

for signal in TERM INT HUP; do
    start_pactd
    kill -$signal "$PACTD_PID"
    check "SIG$signal ends it with status 0" wait "$PACTD_PID"
    check "and it says so" grep -q 'stopped$' "$WORK/pactd.log"
done
check "each line of the log has time and level" \
    not grep -vE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z (error|warn|info|debug) ' "$WORK/pactd.log"
start_pactd
refuses 1 "$DATA.*in use" --id 1 --data "$DATA" --ensemble $one
refuses 1 ":$PORT" --id 1 --data "$WORK/second" --ensemble "1=127.0.0.1:0:$PORT"
check "status --json" grep -qE '"leader":1,"epoch":[0-9]+,"members":\[\{"id":1,"role":"leader",.*"zxid":[0-9]+' \
    <("$pactctl" -s "$SERVERS" --json status)
stop_pactd
start_pactd
value=$(head -c 800 /dev/zero | tr '\0' v)
for ((n = 0; n < 1000; n++)); do echo "create /many-$n $value"; done >"$WORK/many"
"$pactctl" -s "$SERVERS" txn "$WORK/many" >/dev/null
digest=$("$pactctl" -s "$SERVERS" digest)
stop_pactd
check "after much a stop leaves a snapshot" grep -q 'a last snapshot at zxid [0-9a-f]*: 10[0-9][0-9] znodes' "$WORK/pactd.log"
start_pactd
check "from which it begins, with the same digest" test "$("$pactctl" -s "$SERVERS" digest)" = "$digest"
stop_pactd
check "after little it does not" not grep -q 'a last snapshot' "$WORK/pactd.log"
if grep -q 00000000000000000000000000000001 /proc/net/if_inet6 2>/dev/null; then
    "$pactd" --id 1 --data "$WORK/six" --ensemble '1=[::1]:0:0' 2>"$WORK/six.log" &
    six=$!
    check "an IPv6 address in brackets" eventually grep -q 'serving on port' "$WORK/six.log"
    check "is served" "$pactctl" -s "[::1]:$(sed -n 's/.*serving on port //p' "$WORK/six.log")" status
    kill $six && wait $six
fi

# --- what a data directory may be like ---

kept=$DATA DATA=$WORK/embedded
start_embedded "$WORK/mnt"
mkdir "$WORK/mnt/precious"
stop_mount "$WORK/mnt"
refuses 1 "give --data $DATA/data \(" --id 1 --data "$DATA" --ensemble $one
DATA+=/data
start_pactd
check "which is so" "$pactctl" -s "$SERVERS" stat /precious
stop_pactd
status=0
timeout 60 "$PACT_BIN/pactfs" "embedded:$DATA" "$WORK/mnt" >"$WORK/out" 2>&1 </dev/null || status=$?
check "an embedded replica does not begin in a pactd's directory: $(cat "$WORK/out")" \
    test "$status $(wc -l <"$WORK/out") $(grep -c 'itself holds a replica' "$WORK/out")" = "1 1 1"
check "and makes nothing there" test ! -e "$DATA/replica.key" -a ! -e "$DATA/data"
DATA=$kept
echo text >"$WORK/file"
refuses 1 "$WORK/file" --id 1 --data "$WORK/file" --ensemble $one
refuses 1 "$WORK/file/below" --id 1 --data "$WORK/file/below" --ensemble $one
refuses 1 "$WORK/no/parent" --id 1 --data "$WORK/no/parent" --ensemble $one
mkdir "$WORK/disk"
mount -t tmpfs -o size=300m none "$WORK/disk" || exit 1
MOUNT_PIDS["$WORK/disk"]='' # to be unmounted at exit
whole=$DATA DATA=$WORK/disk/data
start_pactd && stop_pactd
mount -o remount,ro "$WORK/disk"
refuses 1 'data.*[Rr]ead-only' --id 1 --data "$DATA" --ensemble $one
umount "$WORK/disk"
mount -t tmpfs -o size=2m none "$WORK/disk"
refuses 1 'data.*[Nn]o space' --id 1 --data "$DATA" --ensemble $one
umount "$WORK/disk"
unset "MOUNT_PIDS[$WORK/disk]"
DATA=$whole

# --- a write to the log that fails ends pactd; nothing of it is acknowledged ---

start_pactd
check "a write before" "$pactctl" -s "$SERVERS" create /before
prlimit --pid "$PACTD_PID" --fsize=512 # every write behind the first sector fails from now on
"$pactctl" -s "$SERVERS" create /after >"$WORK/out" 2>/dev/null &
writer=$!
status=0
wait "$PACTD_PID" || status=$?
check "pactd ends with status 1 (is $status)" test $status = 1
check "and says why" grep -qE 'error .*log.* failed: .*log-[0-9]+.*must be started again' "$WORK/pactd.log"
kill $writer
wait $writer
check "nothing was acknowledged" test ! -s "$WORK/out"
start_pactd
check "what was acknowledged before is there" "$pactctl" -s "$SERVERS" get /before
check "and nothing else" not "$pactctl" -s "$SERVERS" get /after
stop_pactd

# --- damage is refused, and pactd says where ---

start_pactd
for i in 1 2 3; do "$pactctl" -s "$SERVERS" create "/n$i" "value $i" >/dev/null; done
stop_pactd
cp -a "$DATA" "$WORK/damaged"
log=$(find "$WORK/damaged" -name 'log-*' | sort | head -1)
printf X | dd of="$log" bs=1 seek="$(grep -abo 'value 2' "$log" | head -1 | cut -d: -f1)" conv=notrunc status=none
refuses 1 "$(basename "$log").* [0-9]+" --id 1 --data "$WORK/damaged" --ensemble $one
check "a damaged directory is left as it is" cmp <(printf X) <(grep -ao 'Xalue 2' "$log" | head -c 1)
printf '\377' | dd of="$DATA/meta" bs=1 seek=12 conv=notrunc status=none
refuses 1 'meta' --id 1 --data "$DATA" --ensemble $one
finish
