#!/bin/bash
# pactfs's command line is a contract: what it takes, what it refuses and how, how it starts and how it ends.
. "$(dirname "$0")/lib.sh"

pactfs=$PACT_BIN/pactfs
mnt=$WORK/mnt
mkdir "$mnt"

# refuses STATUS PATTERN ARGUMENT...: one line on stderr that matches, nothing on stdout, nothing mounted
refuses() {
    local wanted=$1 pattern=$2 status=0
    shift 2
    timeout 60 "$pactfs" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    ((status == wanted)) || fail "pactfs $*: status $status instead of $wanted: $(<"$WORK/err")"
    [[ $(wc -l <"$WORK/err") == 1 && ! -s $WORK/out ]] || fail "pactfs $*: not one line: $(<"$WORK/err")"
    grep -qE -- "$pattern" "$WORK/err" || fail "pactfs $*: $(<"$WORK/err")"
    mountpoint -q "$mnt" && fail "pactfs $*: something is mounted"
    pass "refused with $wanted: $(head -c 100 "$WORK/err")"
}
runs() { pgrep -f -x -- "$pactfs $*" >/dev/null; }

echo "# words"
check "--help" grep -q '^Usage: pactfs' <("$pactfs" --help)
check "--version" grep -qE '^pactfs [0-9]+\.' <("$pactfs" --version)
refuses 2 'usage' "$mnt"
refuses 2 'usage' 127.0.0.1:1 "$mnt" extra
refuses 2 'HOST:PORT' nonsense "$mnt"
refuses 2 'HOST:PORT' 127.0.0.1:99999 "$mnt"
refuses 2 'HOST:PORT' 127.0.0.1:1,, "$mnt"
refuses 2 'no such host: .nosuch.invalid:1234' nosuch.invalid:1234 "$mnt"
refuses 2 'directory' embedded: "$mnt"
refuses 2 'x' -x 127.0.0.1:1 "$mnt"
for option in lost=SIGNONE lost=TERMX lost=0 lost=65 lost=-9 lost=9x lost= nonsense nonsense=1 session_timeout session_timeout= session_timeout=0s session_timeout=1x \
    session_timeout=301s session_timeout=500ms op_timeout=-1s root=sub consistency=strong templates=maybe key=; do
    refuses 2 "${option%%=*}" 127.0.0.1:1 "$mnt" -o "$option"
done
refuses 2 'embedded' "embedded:$WORK/x" "$mnt" -o "key=$WORK/key"

echo "# what cannot be done"
: >"$WORK/file"
refuses 1 'No such file' 127.0.0.1:1 "$WORK/none"
refuses 1 'Not a directory' 127.0.0.1:1 "$WORK/file"
refuses 1 'no replica' 127.0.0.1:1 "$mnt" -o op_timeout=1s
refuses 2 "$WORK/none" 127.0.0.1:1 "$mnt" -o "key=$WORK/none"
refuses 2 "file" 127.0.0.1:1 "$mnt" -o "key=$WORK/file"
refuses 1 . "embedded:$WORK/file" "$mnt"

echo "# keys"
mkdir "$WORK/keys" "$WORK/other"
"$PACT_BIN/pactctl" keygen "$WORK/keys" || fail "keygen"
"$PACT_BIN/pactctl" keygen "$WORK/other" || fail "keygen"
start_pactd --key "$WORK/keys/replica.key"
start_mount "$mnt" -o "key=$WORK/keys/mount.key"
check "the right key" mkdir "$mnt/x"
stop_mount "$mnt"
refuses 1 'key' "$SERVERS" "$mnt" -o "key=$WORK/other/mount.key"
refuses 1 . "$SERVERS" "$mnt" -o op_timeout=1s
chmod 644 "$WORK/other/mount.key"
refuses 2 'other' "$SERVERS" "$mnt" -o "key=$WORK/other/mount.key"
stop_pactd
rm -rf "$DATA"

echo "# in the background"
start_pactd
check "it returns" "$pactfs" "$SERVERS" "$mnt"
check "and the mount answers at once" mkdir "$mnt/there"
check "it runs" runs "$SERVERS" "$mnt"
check "what mount shows" grep -q "^$SERVERS $mnt fuse.pactfs rw,nosuid,nodev," /proc/mounts
check "umount" umount "$mnt"
check "ends it" eventually not runs "$SERVERS" "$mnt"
# mount(8) looks for programs where the system has them: in a namespace of its own, so do we.
cat >"$WORK/as-mount" <<'END'
mount -t tmpfs none /usr/local/bin && ln -s "$PACT_BIN/pactfs" /usr/local/bin/ || exit 1
mount -t fuse.pactfs -o noauto,_netdev,nofail,x-systemd.automount,noexec,op_timeout=5s "$1,127.0.0.1:9" "$2" || exit 1
grep -q "^$1,127.0.0.1:9 $2 fuse.pactfs rw,nosuid,nodev,noexec," /proc/mounts || { cat /proc/mounts; exit 1; }
test -d "$2/there" && umount "$2"
END
check "mount -t fuse.pactfs, with a list of servers" unshare -m bash "$WORK/as-mount" "$SERVERS" "$mnt"

echo "# how it ends"
for signal in TERM INT; do
    start_mount "$mnt"
    mkdir "$mnt/{ephemeral}of-$signal"
    exec 3>"$mnt/open-$signal" 4<"$mnt"
    kill "-$signal" "$(mount_pid "$mnt")"
    ended "$(mount_pid "$mnt")" "on SIG$signal with open files the mount"
    unset "MOUNT_PIDS[$mnt]"
    exec 3>&- 4<&-
    check "SIG$signal: status 0, nothing mounted" not mountpoint -q "$mnt"
done
start_mount "$mnt"
check "the sessions were closed at once" test -z "$(find "$mnt" -name 'of-*')"
kill_hard "$(mount_pid "$mnt")"
check "a killed one leaves a dead mount" not ls "$mnt"
start_mount "$mnt"
check "which is mounted over" test -d "$mnt/there"
check "and not kept" test "$(grep -c " $mnt " /proc/mounts)" == 1
umount -l "$mnt"
ended "$(mount_pid "$mnt")" "after umount -l the mount"
unset "MOUNT_PIDS[$mnt]"
stop_pactd

echo "# embedded"
DATA=$WORK/embedded
start_embedded "$mnt"
mkdir "$mnt/kept" "$WORK/second"
mkdir -p "$WORK/second"
refuses_busy() {
    timeout 60 "$pactfs" "embedded:$DATA" "$WORK/second" >"$WORK/out" 2>"$WORK/err"
    (($? == 1)) && grep -q . "$WORK/err" && not mountpoint -q "$WORK/second"
}
check "a data directory in use" refuses_busy
echo "#   $(grep -v ' info ' "$WORK/err")"
check "another mount finds it" "$pactfs" -o "key=$DATA/mount.key" "$(<"$DATA/address")" "$WORK/second"
check "and sees the same" test -d "$WORK/second/kept"
stop_mount "$mnt"
start_embedded "$mnt"
check "it keeps what it had" test -d "$mnt/kept"
check "and its port: the other mount finds it again" eventually mkdir "$WORK/second/again"
umount "$WORK/second"
stop_mount "$mnt"
port=$(<"$DATA/port")
python3 -c 'import signal, socket, sys
taken = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("taken", flush=True)
signal.pause()' "$port" >"$WORK/taken" &
taken=$!
eventually grep -q taken "$WORK/taken" || fail "the port is not free"
start_embedded "$mnt"
check "if that is taken, another" test "$(<"$DATA/address")" != "127.0.0.1:$port" -a -d "$mnt/again"
kill $taken
wait $taken 2>/dev/null
stop_mount "$mnt"

echo "# without root"
chmod 755 "$WORK"
cp "$pactfs" "$WORK/pactfs" # where it lies, others may not come
pactfs=$WORK/pactfs
mkdir "$WORK/theirs" "$WORK/theirs/mnt"
chown -R 65534:65534 "$WORK/theirs"
cat >"$WORK/as-user" <<'END'
mknod "$1/fuse" c 10 229 && chmod 666 "$1/fuse" && mount --bind "$1/fuse" /dev/fuse || exit 1
exec setpriv --reuid=65534 --regid=65534 --clear-groups bash -ec '
"$1/pactfs" "embedded:$1/theirs/data" "$1/theirs/mnt"
trap "fusermount3 -u \"$1/theirs/mnt\"" EXIT
cd "$1/theirs/mnt"
mkdir d && echo x >d/f && mv d/f d/g && [[ $(<d/g) == x ]] && rm -r d
echo "a user can write"
mkdir d && touch d/f && chmod 0 d/f && ! cat d/f 2>/dev/null
chmod 500 d && ! touch d/g 2>/dev/null && ! rm d/f 2>/dev/null && chmod 000 d && ! ls d/f 2>/dev/null
echo "modes are enforced"
cd /' - "$1"
END
check "a mount of one's own" unshare -m bash "$WORK/as-user" "$WORK"
cp "$WORK/said" "$WORK/told"
check "writing" grep -q 'a user can write' "$WORK/told"
check "modes are enforced" grep -q 'modes are enforced' "$WORK/told"
check "unmounting ends it" eventually not runs "embedded:$WORK/theirs/data" "$WORK/theirs/mnt"
finish
