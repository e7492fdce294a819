#!/bin/bash
# The hidden .pact of every directory: never listed, always there, what it says and what it refuses.
. "$(dirname "$0")/lib.sh"

start_pactd
start_mount "$WORK/a"
start_mount "$WORK/b"
a=$WORK/a b=$WORK/b
op() { "$PACT_TESTS/op" "$@"; }
answers() { [[ $(op "${@:2}") == "$1" ]]; }
settle() { sync "$a" && sync "$b"; }
names() { (cd "$1" && printf '%s ' *); }
# value FILE NAME: of a line "NAME VALUE"
value() { sed -n "s/^$2 //p" "$1"; }
cd "$a" || exit 1

mkdir d
echo "# where it is"
check "not listed" test "$(ls -A d)$(ls -A .)" == d
check "there in each directory" test -d d/.pact -a -d .pact
check "its files" test "$(names d/.pact)" == "children data locks quota stat "
check "the root's" test "$(names .pact)" == "calls children data ensemble locks quota session stat "
check "no session file below" answers ENOENT stat d/.pact/session
check "nothing else" answers ENOENT stat d/.pact/none
check "a file has none" answers ENOTDIR stat d/.pact/stat/.pact

echo "# stat"
touch d/one
mkdir d/two
for name in czxid mzxid pzxid ctime mtime version cversion aversion ephemeralOwner dataLength numChildren; do
    [[ $(value d/.pact/stat $name) ]] || fail "stat has no $name"
done
check "numChildren" test "$(value d/.pact/stat numChildren)" == 2
check "cversion" test "$(value d/.pact/stat cversion)" == 2
check "pzxid is the last child's czxid" test "$(($(value d/.pact/stat pzxid)))" == "$(getfattr --absolute-names --only-values -n user.pact.czxid d/two)"
check "id is the inode number" test "$(value d/.pact/stat id)" == "$(stat -c %i d)"
settle
check "the same on another mount" cmp d/.pact/stat "$b/d/.pact/stat"

touch -d '1969-12-31T23:59:59.25Z' d/one
check "pactctl tells a time before 1970" grep -qx 'mtime  *1969-12-31T23:59:59.250000000Z' <(ctl stat /d/one)
touch -d 1600-01-01 d/one
check "and the first there is" grep -qx 'mtime  *1677-09-21T00:12:44.000000000Z' <(ctl stat /d/one)

echo "# data"
check "empty at first" test ! -s d/.pact/data
echo 'a directory with data' >d/.pact/data
check "written" test "$(<d/.pact/data)" == 'a directory with data'
echo more >>d/.pact/data
check "appended" test "$(wc -l <d/.pact/data)" == 2
settle
check "on another mount" cmp d/.pact/data "$b/d/.pact/data"
check "in stat" test "$(value d/.pact/stat dataLength)" == "$(stat -c %s d/.pact/data)"
check "each write moved the version by one" test "$(value d/.pact/stat version)" == 2
check "ls and stat show its size" test "$(stat -c %s d/.pact/data)" == 27
head -c 1000000 /dev/urandom >"$WORK/blob"
cp "$WORK/blob" d/.pact/data
check "cp" cmp "$WORK/blob" d/.pact/data
truncate -s 10 d/.pact/data
check "truncate" test "$(stat -c %s d/.pact/data)" == 10
check "over 1 MiB" answers EFBIG write d/.pact/data $(((1 << 20) + 1))
check "truncate(2)" answers OK truncate d/.pact/data 5
check "cuts it" test "$(stat -c %s d/.pact/data)" == 5
check "and is a version" test "$(value d/.pact/stat version)" == 5
settle
check "on another mount" cmp <(head -c 5 "$WORK/blob") "$b/d/.pact/data"
check "and makes it longer" answers OK truncate d/.pact/data 8
check "with zeros" cmp <(head -c 5 "$WORK/blob" && head -c 3 /dev/zero) d/.pact/data
check "over 1 MiB" answers EFBIG truncate d/.pact/data $(((1 << 20) + 1))
check "the children are untouched" test "$(names d)" == "one two "

echo "# quota"
check "none at first" test "$(tr '\n' ' ' <d/.pact/quota)" == "bytes 0 nodes 0 "
echo 'bytes 5000 nodes 5' >d/.pact/quota
check "reads back" test "$(tr '\n' ' ' <d/.pact/quota)" == "bytes 5000 nodes 5 "
check "in bytes: at write(2)" answers EDQUOT write d/one 6000
check "what is within it" answers OK write d/one 4000
check "growing further" answers EDQUOT append d/one 2000
for i in 3 4 5; do mkdir "d/$i"; done
check "in znodes" answers EDQUOT mkdir d/6
check "a file as well" answers EDQUOT creat d/6
df_says() { [[ $(df -B1 --output="$1" "$2" | tail -1 | tr -s ' ' | sed 's/^ //;s/ $//') == "$3" ]]; }
check "df tells bytes" df_says size,used,avail d '4608 4096 512' # in blocks of 512, rounded down
check "df tells znodes" df_says itotal,iused,iavail d/3 '5 5 0'
check "df outside of it does not" test "$(df -B1 --output=size . | tail -1)" -gt 1000000
mkdir out && echo 'nodes 2' >out/.pact/quota && mkdir out/in && echo 'nodes 9' >out/in/.pact/quota
check "of nested quotas the tighter one" df_says itotal,iused,iavail out/in '2 1 1'
check "which holds" answers OK mkdir out/in/1
check "below, too" answers EDQUOT mkdir out/in/2
rm -r out
mkdir data && echo 'bytes 10' >data/.pact/quota
check "a long name is no data" answers OK creat data/a-name-of-20-bytes--
check "nor is an attribute" setfattr -n user.key -v a-value-of-20-bytes- data/a-name-of-20-bytes--
check "the target of a symlink is" not ln -s a-target-11 data/link
check "as long as that" ln -s a-target10 data/link
check "and the data of a directory below" not ctl create -d /data/d x
rm -r data
for text in 'nodes 4' 'bytes 3999'; do
    (echo "$text" >d/.pact/quota) 2>/dev/null && fail "the quota '$text' is below what is used, and not refused"
done
said() { (echo "$2" >"$1") 2>&1; }
check "it is EDQUOT" grep -q 'Disk quota exceeded' <(said d/.pact/quota 'nodes 4')
for text in 'bytes' 'bytes x' 'bytes 1 bytes 2' 'nodes -1' 'nodes 99999999999999999999' 'other 3'; do
    (echo "$text" >d/.pact/quota) 2>/dev/null && fail "the quota '$text' is not refused at write"
done
check "malformed ones change nothing" test "$(tr '\n' ' ' <d/.pact/quota)" == "bytes 5000 nodes 5 "
check "truncate(2) to what is no quota" answers EINVAL truncate d/.pact/quota 3
check "changes nothing" test "$(tr '\n' ' ' <d/.pact/quota)" == "bytes 5000 nodes 5 "
check "truncate(2) to less of one" answers OK truncate d/.pact/quota 10
check "leaves that" test "$(tr '\n' ' ' <d/.pact/quota)" == "bytes 5000 nodes 0 "
check "truncate(2) to nothing" answers OK truncate d/.pact/quota 0
check "lifts it" test "$(tr '\n' ' ' <d/.pact/quota)" == "bytes 0 nodes 0 "
check "to more than it can be" answers EINVAL truncate d/.pact/quota 5000
echo 'bytes 5000 nodes 5' >d/.pact/quota
: >d/.pact/quota
check "as the shell does" test "$(tr '\n' ' ' <d/.pact/quota)" == "bytes 0 nodes 0 "
check "lifted" answers OK mkdir d/6
echo '{ttl=1h}' >d/.pact/children
mkdir d/by-mount && ctl create /d/by-pactctl >/dev/null
check "a policy is for what mounts make" grep -qx 'ttl  *3600000 ms' <(ctl stat /d/by-mount)
check "not for pactctl create" not grep -q ttl <(ctl stat /d/by-pactctl)
ctl rm /d/by-mount && ctl rm /d/by-pactctl
check "truncate(2) of a policy" answers OK truncate d/.pact/children 0
check "removes it" test ! -s d/.pact/children

echo "# what is refused"
check "creating in it" answers EPERM creat d/.pact/x
check "mkdir in it" answers EPERM mkdir d/.pact/x
check "another .pact" answers EEXIST mkdir d/.pact
check "unlink" answers EPERM unlink d/.pact/data
check "rmdir" answers EPERM rmdir d/.pact
check "rename out of it" answers EPERM rename d/.pact/data d/x
check "rename into it" answers EPERM rename d/one d/.pact/x
check "rename onto it" answers EPERM rename d/one d/.pact/data
check "rename of it" answers EPERM rename d/.pact d/x
check "a symlink" answers EPERM symlink x d/.pact/x
check "chmod" answers EPERM chmod d/.pact/children
check "writing what can only be read" answers EACCES openw d/.pact/stat
check "truncate(2) of it" answers EACCES truncate d/.pact/stat 0
check "xattrs" answers EPERM setxattr d/.pact/data user.x

echo "# session and ensemble"
check "connected" test "$(value .pact/session state)" == connected
check "the server" test "$(value .pact/ensemble server)" == "$SERVERS"
check "the leader" test "$(value .pact/ensemble leader)" == 1
check "a cluster id" grep -qE '^cluster [0-9a-f]{32}$' .pact/ensemble

echo "# permissions"
chmod 700 d
chmod 755 "$WORK" "$a"
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$PACT_TESTS/op" "$@"; }
check "a private directory's" test "$(as_nobody open "$a/d/.pact/stat")" == EACCES
chmod 755 d
check "data of another's directory" test "$(as_nobody openw "$a/d/.pact/data")" == EACCES
check "to be cut" test "$(as_nobody truncate "$a/d/.pact/data" 0)" == EACCES
check "its policy" test "$(as_nobody openw "$a/d/.pact/children")" == EACCES
check "its quota" test "$(as_nobody openw "$a/d/.pact/quota")" == EACCES
check "its stat can be read" test "$(as_nobody open "$a/d/.pact/stat")" == OK

echo "# a directory that goes"
mkdir gone
exec 3<gone/.pact/stat
check "is not kept by its .pact" rmdir gone
check "and takes it along" answers ENOENT stat gone/.pact
exec 3<&-
mkdir shell
check "under the feet of who is in it" bash -c 'cd shell/.pact && rmdir ../../shell && ! cat stat 2>/dev/null'

echo "# root=/DIR"
cd /
stop_mount "$b"
start_mount "$b" -o root=/d
check "its .pact is the directory's" test "$(value "$b/.pact/stat" id)" == "$(value "$a/d/.pact/stat" id)"
check "with the session" test "$(value "$b/.pact/session" state)" == connected
check "the names are below it" test "$(names "$b")" == "3 4 5 6 one two "
touch "$b/two/below"
sync "$a"
check "and go the right way" test -f "$a/d/two/below"
check "inode numbers agree below the root" test "$(stat -c %i "$b/two")" == "$(stat -c %i "$a/d/two")"
mkdir "$b/{seq}-x"
check "tokens below it" test -d "$b/0000000000-x"
rm -rf "${b:?}"/*
sync "$a"
check "rm -rf" test "$(ls -A "$a/d")" == ""
stop_mount "$a"
stop_mount "$b"
stop_pactd
finish
