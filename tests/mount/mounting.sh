#!/bin/bash
# Mounting, unmounting, and everything around: lazily, twice, over something, with mounts inside, without root, in
# namespaces that share the mount or do not.
# In a namespace of its own, where everybody may open /dev/fuse, as udev would have it.
# shellcheck disable=SC2016,SC2015  # what is given to `eval` expands there; `fail` ends the test
[[ ${PACT_OWN_NAMESPACE:-} ]] || exec env PACT_OWN_NAMESPACE=1 unshare -m --propagation private bash "$0"
. "$(dirname "$0")/lib.sh"
mknod -m 666 "$WORK/fuse" c 10 229 && mount --bind "$WORK/fuse" /dev/fuse || fail "/dev/fuse"

a=$WORK/a mnt=$WORK/mnt pactfs=$PACT_BIN/pactfs
# supervisors of mounts at a place
runs_at() { pgrep -f -x -- "$pactfs .* $1( .*)?" >/dev/null; }

chmod 755 "$WORK"
start_pactd
start_mount "$a"
echo content >"$a/file"
mkdir "$a/dir"

echo "# in the background it lets go of whoever started it"
mkdir "$WORK/captured"
check "what it says can be captured" test "$(timeout 20 "$pactfs" "$SERVERS" "$WORK/captured" 2>&1)" == ""
check "it is mounted" mountpoint -q "$WORK/captured"
captured=$(pgrep -f -x -- "$pactfs $SERVERS $WORK/captured")
umount "$WORK/captured"
eventually not kill -0 "$captured"
check "a replica's directory may be given from here" eval '(cd "$WORK" && timeout 60 "$pactfs" embedded:here captured 2>&1)'
mkdir "$WORK/captured/once"
captured=$(pgrep -f -x -- "$pactfs embedded:here captured")
kill -9 "$(worker_of "$captured")"
check "its next worker finds it" test -d "$WORK/captured/once" -a -d "$WORK/here"
umount "$WORK/captured"
eventually not kill -0 "$captured"

echo "# umount"
start_mount "$mnt"
exec 5<"$mnt/file"
check "a mount in use is busy" not umount "$mnt"
umount -l "$mnt"
check "unmounted lazily, it is out of sight" not mountpoint -q "$mnt"
check "what is open goes on" test "$(cat <&5)" == content
kill -0 "$(mount_pid "$mnt")" || fail "it has ended while it was in use"
exec 5<&-
ended "$(mount_pid "$mnt")" "with the last descriptor the mount"
unset "MOUNT_PIDS[$mnt]"
pass "and it ends with the last one"

echo "# one that ends late"
start_mount "$mnt"
late=$(mount_pid "$mnt") device=$(stat -c %d "$mnt")
kill -STOP "$PACTD_PID"
umount -l "$mnt"
kill "$late"
check "it waits for its session to be closed" kill -0 "$late"
mount_at "$mnt" "embedded:$WORK/next"
check "the next one has its place and its device" test "$(stat -c %d "$mnt")" == "$device"
kill -CONT "$PACTD_PID"
ended "$late" "the first mount"
check "which it leaves alone" eval 'mountpoint -q "$mnt" && mkdir "$mnt/goes-on"'
stop_mount "$mnt"

echo "# on top"
mkdir -p "$mnt"
echo below >"$mnt/below"
start_mount "$mnt"
check "over a directory that is not empty: what was there is hidden" test -e "$mnt/file" -a ! -e "$mnt/below"
first=$(mount_pid "$mnt")
check "another on top of it" "$pactfs" "$SERVERS" "$mnt" -o op_timeout=9s
check "both are mounted" test "$(grep -c " $mnt fuse.pactfs " /proc/mounts)" == 2
check "the second answers" mkdir "$mnt/second"
umount "$mnt"
check "without it the first does" eventually test -d "$mnt/second"
MOUNT_PIDS[$mnt]=$first
stop_mount "$mnt"
check "below, all is as it was" test "$(ls "$mnt")" == below
rm "$mnt/below"

echo "# mounts inside"
start_mount "$mnt"
mount -t tmpfs none "$mnt/dir" || fail "nothing can be mounted inside"
echo inside >"$mnt/dir/inside"
check "a change of another host does not touch it" eval 'touch "$a/dir/outside" && sync "$mnt" && test -e "$mnt/dir/inside" -a ! -e "$mnt/dir/outside"'
check "the outer one is busy" not umount "$mnt"
check "a killed worker does not touch it" eval 'kill -9 "$(worker_of "$(mount_pid "$mnt")")"; test -d "$mnt/second" -a -e "$mnt/dir/inside"'
umount "$mnt/dir" || fail "the inner one cannot be unmounted"
check "then it shows what is there" test -e "$mnt/dir/outside"
stop_mount "$mnt"

echo "# namespaces"
start_mount "$mnt"
cat >"$WORK/container" <<'END'
test "$(cat "$1/file")" == content && mkdir "$1/made-$2" && touch "$1/shared-$2"
END
for propagation in private slave shared; do
    check "a mount namespace ($propagation) has the mount" unshare -m --propagation $propagation bash "$WORK/container" "$mnt" $propagation
    check "and it goes on here" test -d "$mnt/made-$propagation"
done
# A namespace that keeps a copy of its own: the mount lives in it.
mkfifo "$WORK/go"
unshare -m --propagation private bash -c 'echo there >"$2.there"; read -r <"$2"; cat "$1/file" >"$2.read"; umount "$1"' _ "$mnt" "$WORK/go" &
container=$!
eventually test -s "$WORK/go.there"
umount "$mnt"
kill -0 "$(mount_pid "$mnt")" || fail "the mount has ended, and a namespace has it still"
echo >"$WORK/go"
wait $container
check "unmounted here, it serves a namespace that has a copy" test "$(<"$WORK/go.read")" == content
ended "$(mount_pid "$mnt")" "with the last copy the mount"
unset "MOUNT_PIDS[$mnt]"
# One that follows us: what is mounted and unmounted here is so there.
mkdir -p "$WORK/outer"
mount --bind "$WORK/outer" "$WORK/outer" && mount --make-shared "$WORK/outer" && mkdir "$WORK/outer/mnt"
rm -f "$WORK/go.there"
unshare -m --propagation slave bash -c 'echo there >"$2.there"; read -r <"$2"; cat "$1/file" >"$2.read"' _ "$WORK/outer/mnt" "$WORK/go" &
container=$!
eventually test -s "$WORK/go.there"
start_mount "$WORK/outer/mnt"
echo >"$WORK/go"
wait $container
check "a container that was there before sees a mount made later" test "$(<"$WORK/go.read")" == content
stop_mount "$WORK/outer/mnt"
umount "$WORK/outer"

echo "# a mount table of a few lines"
cat >"$WORK/bare" <<'END'
while read -r _ _ _ _ point _; do
    case $point in
        / | /proc | /dev | /dev/fuse | /run | /tmp) ;;
        *) umount -l "$point" ;;
    esac
done <<<"$(tac /proc/self/mountinfo)"
"$2" -f "$3" "$1" &
until mountpoint -q "$1"; do kill -0 $! && sleep 0.01 || exit; done
umount "$1" && wait $!
END
check "unmounted, it ends" timeout 60 unshare -m --propagation private bash "$WORK/bare" "$mnt" "$pactfs" "$SERVERS"

echo "# a user namespace"
check "mounted within, by its root" timeout 60 unshare -Urm bash -c \
    'mkdir -p "$1" && "$2" "$3" "$1" && test "$(cat "$1/file")" == content && mkdir "$1/userns" && umount "$1"' _ "$mnt" "$pactfs" "$SERVERS"
check "which the others see" eventually test -d "$a/userns"

echo "# without root"
home=$WORK/home
mkdir -m 700 "$home"
chmod 1777 "$a"
cp "$pactfs" "$WORK/pactfs" # where it lies, others may not come
pactfs=$WORK/pactfs
as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$home" XDG_RUNTIME_DIR="$home" "$@"; }
mkdir "$home/mnt"
chown -R 65534:65534 "$home"
check "fusermount3 mounts" as_user timeout 60 "$pactfs" "$SERVERS" "$home/mnt"
check "it answers its user" as_user sh -c 'mkdir "$1/theirs" && echo x >"$1/theirs/file" && cat "$1/theirs/file"' _ "$home/mnt"
check "nobody else, not even root" not ls "$home/mnt"
check "permissions hold" not as_user sh -c 'echo x >"$1/file"' _ "$home/mnt"
supervisor=$(pgrep -f -x -- "$pactfs $SERVERS $home/mnt")
[[ ! $supervisor ]] || kill -9 "$(worker_of "$supervisor")"
check "a killed worker comes back" as_user timeout 60 mkdir "$home/mnt/theirs/again"
check "its user unmounts it" as_user fusermount3 -u "$home/mnt"
check "and it ends" eventually not kill -0 "$supervisor"
check "SIGTERM unmounts as well" eval 'as_user timeout 60 "$pactfs" "$SERVERS" "$home/mnt" && pkill -TERM -f -x -- "$pactfs $SERVERS $home/mnt" && eventually not mountpoint -q "$home/mnt"'
check "a dead one is mounted over" eval 'as_user timeout 60 "$pactfs" "$SERVERS" "$home/mnt" && pkill -KILL -f -x -- "$pactfs $SERVERS $home/mnt" && eventually not pgrep -f "^pactfs-worker $home/mnt" &&
    as_user timeout 60 "$pactfs" "$SERVERS" "$home/mnt" && as_user test -d "$home/mnt/theirs"'
as_user fusermount3 -u "$home/mnt"
check "and ends" eventually not runs_at "$home/mnt"

echo "# a dead mount is started again, and its replica is slow to answer"
worker=$(worker_of "$(mount_pid "$a")")
kill_hard "$(mount_pid "$a")"
check "its worker goes with it" eventually not kill -0 "$worker"
kill -STOP "$PACTD_PID"
"$PACT_BIN/pactfs" "$SERVERS" "$a" -f 2>"$WORK/again.log" &
MOUNT_PIDS[$a]=$!
begun() { worker_of "$(mount_pid "$a")" >/dev/null; }
check "it has begun" eventually begun
check "until it answers nothing can be written below" grep -q 'not connected' <(mkdir "$a/below" 2>&1)
kill -CONT "$PACTD_PID"
check "then it is the mount again" eventually test -d "$a/theirs"
stop_mount "$a"
check "there is nothing below" test -z "$(ls -A "$a")"
stop_pactd
finish
