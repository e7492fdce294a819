#!/bin/bash
# pactd as an administrator meets it: options, the configuration file, exit statuses, and what it says when the data
# directory is not as it should be.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/daemon/lib.sh"

pactd=$bin/pactd
one=1=127.0.0.1:0:0

echo "# options"
exits 0 --help "$pactd" --help
for option in --id --data --ensemble --key --config --log-level --version; do
    prints "$option"
done
exits 0 --version "$pactd" --version
prints '^pactd [0-9]+\.[0-9]+'
refuses 2 'id is missing' "$pactd"
refuses 2 'unrecognized option' "$pactd" --bogus
refuses 2 'requires an argument' "$pactd" --id
refuses 2 'not an option: extra' "$pactd" --id 1 --data "$work/d" --ensemble $one extra
for id in 0 256 -1 1x '' 99999999999; do
    refuses 2 '--id: not a number' "$pactd" --id "$id" --data "$work/d" --ensemble $one
done
refuses 2 'data is missing' "$pactd" --id 1 --ensemble $one
refuses 2 'ensemble is missing' "$pactd" --id 1 --data "$work/d"
refuses 2 'has no member 2' "$pactd" --id 2 --data "$work/d" --ensemble $one
refuses 2 'ensemble of one replica' "$pactd" --id 1 --data "$work/d" --ensemble $one,2=127.0.0.1:1:2,3=127.0.0.1:3:4
refuses 2 'there twice' "$pactd" --id 1 --data "$work/d" --ensemble $one,$one
for spec in '' 1 1= 1=host 1=host:1 1=host:1:x 1=host:1:65536 1=:1:2 0=host:1:2 1=::1:1:2 '1=[::1:1:2' "$one," ",$one"; do
    refuses 2 'not ID=HOST:PEERPORT:CLIENTPORT' "$pactd" --id 1 --data "$work/d" --ensemble "$spec"
done
refuses 2 'log-level' "$pactd" --id 1 --data "$work/d" --ensemble $one --log-level loud
[[ ! -e $work/d ]]
result "a refused command line makes no data directory"

echo "# keys"
"$bin/pactctl" keygen "$work/keys" >/dev/null 2>&1 || { mkdir "$work/keys" && "$bin/pactctl" keygen "$work/keys" >/dev/null; }
refuses 2 'loopback.*key' "$pactd" --id 1 --data "$work/d" --ensemble 1=0.0.0.0:1:2
refuses 2 'mounts' "$pactd" --id 1 --data "$work/d" --ensemble $one --key "$work/keys/mount.key"
refuses 2 'nowhere' "$pactd" --id 1 --data "$work/d" --ensemble $one --key "$work/nowhere"
cp "$work/keys/replica.key" "$work/open.key" && chmod 644 "$work/open.key"
refuses 2 'open.key' "$pactd" --id 1 --data "$work/d" --ensemble $one --key "$work/open.key"
head -c 10 "$work/keys/replica.key" >"$work/short.key" && chmod 600 "$work/short.key"
refuses 2 'short.key' "$pactd" --id 1 --data "$work/d" --ensemble $one --key "$work/short.key"

echo "# the configuration file"
printf 'id = 1\ndata = %s\nensemble = 1=127.0.0.1:0:0\nlog-level = debug\n' "$work/configured" >"$work/pactd.conf"
start_pactd "$work/d" --config "$work/pactd.conf"
[[ -d $work/d && ! -e $work/configured ]]
result "the command line wins over the file"
stop_pactd
printf 'id = 1\ncolour = blue\n' >"$work/bad.conf"
refuses 2 'bad.conf, line 2: .*colour' "$pactd" --config "$work/bad.conf"
printf 'id = 1\nthis is no setting\n' >"$work/bad.conf"
refuses 2 'bad.conf, line 2' "$pactd" --config "$work/bad.conf"
printf 'id = nine\ndata = /x\n' >"$work/bad.conf"
refuses 2 '--id: not a number' "$pactd" --config "$work/bad.conf"
refuses 2 'nowhere.conf' "$pactd" --config "$work/nowhere.conf"

echo "# running and ending"
for signal in TERM INT; do
    start_pactd "$work/d"
    stop_pactd $signal
    ((status == 0)) && grep -q 'stopped' "$work/log"
    result "SIG$signal ends it with status 0 (was $status)"
done
! grep -vE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z (error|warn|info|debug) ' "$work/log"
result "each line of the log has time and level"
start_pactd "$work/quiet" --log-level debug
refuses 1 "$work/quiet.*in use" "$pactd" --id 1 --data "$work/quiet" --ensemble $one
refuses 1 ":$port" "$pactd" --id 1 --data "$work/other" --ensemble "1=127.0.0.1:0:$port"
stop_pactd
[[ $(ip -6 addr show dev lo 2>/dev/null) == *::1* ]] && {
    port=0
    "$bin/pactd" --id 1 --data "$work/six" --ensemble '1=[::1]:0:0' 2>"$work/log" &
    daemons+=($!)
    eventually grep -q 'serving on port' "$work/log"
    result "an IPv6 address in brackets is served"
    six=$(sed -n 's/.*serving on port \([0-9]*\).*/\1/p' "$work/log")
    exits 0 "status over IPv6" "$bin/pactctl" -s "[::1]:$six" status
    kill "${daemons[-1]}" && wait "${daemons[-1]}"
}

echo "# what a directory may be like"
echo text >"$work/file"
refuses 1 "$work/file" "$pactd" --id 1 --data "$work/file" --ensemble $one
refuses 1 "$work/file/below" "$pactd" --id 1 --data "$work/file/below" --ensemble $one
refuses 1 "$work/no/parent" "$pactd" --id 1 --data "$work/no/parent" --ensemble $one
mkdir "$work/disk"
mount -t tmpfs -o size=300m none "$work/disk" && {
    port=0
    start_pactd "$work/disk/data"
    "$bin/pactctl" -s "$servers" create /kept value >/dev/null
    stop_pactd
    mount -o remount,ro "$work/disk"
    refuses 1 'data.*[Rr]ead-only' "$pactd" --id 1 --data "$work/disk/data" --ensemble $one
    mount -o remount,rw "$work/disk"
    umount "$work/disk"
    mount -t tmpfs -o size=2m none "$work/disk"
    refuses 1 'full|[Nn]o space' "$pactd" --id 1 --data "$work/disk/data" --ensemble $one
    umount "$work/disk"
}

echo "# damage is refused, and says where"
port=0
start_pactd "$work/d"
for i in 1 2 3; do "$bin/pactctl" -s "$servers" create "/n$i" "value $i" >/dev/null; done
stop_pactd
cp -a "$work/d" "$work/whole"
log=$(find "$work/d" -name 'log-*' | sort | head -1)
offset=$(grep -abo 'value 2' "$log" | head -1 | cut -d: -f1)
printf 'X' | dd of="$log" bs=1 seek="$offset" conv=notrunc status=none
refuses 1 "$(basename "$log").*[0-9]" "$pactd" --id 1 --data "$work/d" --ensemble $one
rm -rf "$work/d" && cp -a "$work/whole" "$work/d"
port=0
start_pactd "$work/d"
run "$bin/pactctl" -s "$servers" get /n2
[[ $(cat "$work/out") == 'value 2' ]]
result "the same directory without the damage serves what was written"
stop_pactd

finish
