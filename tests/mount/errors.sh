#!/bin/bash
# errno is part of the interface: what each call answers, with names of any bytes and at every limit.
. "$(dirname "$0")/lib.sh"

start_pactd
start_mount "$WORK/mnt"
cd "$WORK/mnt" || exit 1

op() { "$PACT_TESTS/op" "$@"; }

# gives ERRNO CALL ARGUMENT...
gives() {
    local wanted=$1 got
    shift
    got=$(op "$@")
    local shown="$*"
    [[ $got == "$wanted" ]] || fail "${shown:0:120}: $got instead of $wanted"
    pass "${shown:0:60}: $wanted"
}

mkdir full empty
echo x >full/file
echo file >file

echo "# names that are there and names that are not"
gives EEXIST mkdir full
gives EEXIST mkdir file
gives EEXIST creat file
gives EEXIST symlink target file
gives EEXIST file file
gives ENOENT mkdir none/x
gives ENOENT unlink none
gives ENOENT rmdir none
gives ENOENT open none
gives ENOENT stat none
gives ENOENT rename none x
gives ENOTDIR mkdir file/x
gives ENOTDIR open file/x
gives ENOTDIR rmdir file
gives EISDIR unlink empty
gives EISDIR openw empty
gives ENOTEMPTY rmdir full
gives OK rmdir empty

echo "# rename"
mkdir one two two/inner
gives ENOTEMPTY rename one two
gives EISDIR rename file one
gives ENOTDIR rename one file
gives EINVAL rename two two/inner/x
gives EEXIST rename file one noreplace
gives OK rename file moved noreplace
gives OK rename moved full exchange
check "exchanged: the file" test -f full
check "exchanged: the directory" test -f moved/file
gives ENOENT rename full none exchange
gives OK rename full file
gives OK rename one empty
rmdir two/inner
gives OK rename empty two
check "an empty directory is replaced" not test -e empty

echo "# what there is not"
gives EPERM link file hard
gives EPERM fifo pipe
gives EPERM device null
gives OK file regular
check "mknod makes a regular file" test -f regular

echo "# sizes"
gives OK write big $((1 << 20))
gives EFBIG write big1 $(((1 << 20) + 1))
check "a part of a new file is no file" eventually not test -e big1
gives EFBIG write big $(((1 << 20) + 1))
check "1 MiB is there whole" test "$(stat -c %s big)" == $((1 << 20))
gives EFBIG append big 1
gives EFBIG truncate big $(((1 << 20) + 1))
gives EFBIG fallocate big $(((1 << 20) + 1))
check "nothing of it was done" test "$(stat -c %s big)" == $((1 << 20))
gives OK fallocate file 100
check "fallocate makes a file longer" test "$(stat -c %s file)" == 100
gives OK truncate file 5

echo "# names of any bytes"
n=0
for code in {1..255}; do
    ((code == 47)) && continue # '/'
    printf -v octal '\\%03o' "$code"
    # shellcheck disable=SC2059  # the format is the byte
    printf -v name "byte-$octal-x"
    [[ $(op mkdir "$name") == OK && $(op stat "$name") == OK && $(op rmdir "$name") == OK ]] || fail "byte $code in a name"
    n=$((n + 1))
done
pass "$n different bytes in names"
for name in ' ' '-' '...' '~' '*' $'\n' $'\xff\xfe' '{' '{}' '{foo}' '{seqs}' 'ünïcödé'; do
    [[ $(op creat "$name") == OK ]] || fail "the name '$name'"
    [[ $(op unlink "$name") == OK ]] || fail "the name '$name'"
done
pass "odd names"

echo "# lengths"
name255=$(printf 'n%.0s' {1..255})
gives OK mkdir "$name255"
gives ENAMETOOLONG mkdir "${name255}n"
gives ENAMETOOLONG creat "${name255}n"
gives ENAMETOOLONG symlink x "${name255}n"
gives ENAMETOOLONG rename file "${name255}n"
gives ENOENT stat "$name255/none"
deep=.
for ((i = 0; i < 15; i++)); do deep+=/$name255; done
(
    for ((i = 0; i < 15; i++)); do mkdir -p "$name255" && cd -P "$name255" || exit 1; done
    echo deep >"$(printf 'd%.0s' {1..200})"
) || fail "a tree of 15 names of 255 bytes"
check "a path of $((${#deep} + 201)) bytes" test -f "$deep/$(printf 'd%.0s' {1..200})"
gives ENAMETOOLONG stat "$deep/$name255/$name255"
gives OK symlink "$(printf 't%.0s' {1..4095})" long-target
check "a target of 4095 bytes comes back" test "$(readlink long-target | tr -d '\n' | wc -c)" == 4095
gives ENAMETOOLONG stat long-target/x # a name of 4095 bytes
rm -rf "${name255:?}"

echo "# extended attributes"
gives OK setxattr file user.color
gives OK getxattr file user.color
gives OK removexattr file user.color
gives ENODATA getxattr file user.color
gives ENODATA removexattr file user.color
gives EPERM setxattr file user.pact.version
gives EPERM removexattr file user.pact.version
gives OK getxattr file user.pact.version
gives ENODATA getxattr file user.pact.nothing
gives EOPNOTSUPP setxattr file trusted.x
gives EOPNOTSUPP setxattr file security.x

echo "# open and removed"
gives OK unlinked gone
mkdir cwd
check "a working directory that is removed" bash -c 'cd cwd && rmdir ../cwd && ! touch x 2>/dev/null && ! ls none 2>/dev/null'

echo "# permissions"
mkdir -m 700 private
echo secret >private/s
chmod 600 file
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$PACT_TESTS/op" "$@"; }
chmod 755 "$WORK" .
[[ $(as_nobody open "$PWD/private/s") == EACCES ]] || fail "another user reads a private directory"
[[ $(as_nobody open "$PWD/file") == EACCES ]] || fail "another user reads a private file"
[[ $(as_nobody mkdir "$PWD/x") == EACCES ]] || fail "another user makes a name"
[[ $(as_nobody chmod "$PWD/big") == EPERM ]] || fail "another user's chmod"
chmod 1777 .
[[ $(as_nobody mkdir "$PWD/theirs") == OK && $(stat -c %u theirs) == 65534 ]] || fail "in a directory for all"
[[ $(as_nobody unlink "$PWD/file") == EPERM ]] || fail "the sticky bit"
mkdir -m 2775 shared
chgrp 65533 shared
mkdir shared/sub
echo x >shared/file
check "set-group-ID goes down" test "$(stat -c '%g %A' shared/sub)" == "65533 drwxr-sr-x"
check "and gives files their group" test "$(stat -c %g shared/file)" == 65533
pass "permissions"

cd /
stop_mount "$WORK/mnt"
echo "# read-only"
start_mount "$WORK/mnt" -o ro
cd "$WORK/mnt" || exit 1
gives EROFS mkdir x
gives EROFS openw file
gives EROFS creat x
gives EROFS unlink file
gives EROFS rename file x
gives EROFS chmod file
gives EROFS setxattr file user.x
gives OK open file
cd /
stop_mount "$WORK/mnt"

echo "# interrupted"
start_mount "$WORK/mnt"
cd "$WORK/mnt" || exit 1
waiting() { grep -q '^in_flight [1-9]' .pact/session; }
# A signal never breaks off a mkdir that was sent; one that was not sent yet ends with EINTR and is not done. (Below
# `full`: the kernel keeps the directory locked meanwhile, and with it the way to .pact.)
mkdir full
kill_hard "$PACTD_PID"
"$PACT_TESTS/op" mkdir full/interrupted >"$WORK/outcome" &
waiter=$!
eventually waiting && kill -USR1 "$waiter"
start_pactd
wait "$waiter"
case $(<"$WORK/outcome") in
OK) check "a signal while a mkdir is under way: it is done" test -d full/interrupted ;;
EINTR) check "a signal before a mkdir was sent: it is not done" not test -e full/interrupted ;;
*) fail "mkdir, interrupted: $(<"$WORK/outcome")" ;;
esac
answers() { [[ $(op "${@:2}") == "$1" ]]; }
cd /
stop_mount "$WORK/mnt"

echo "# no replica"
start_mount "$WORK/mnt" -o op_timeout=1s
cd "$WORK/mnt" || exit 1
kill_hard "$PACTD_PID"
eventually answers EROFS openw file
for call in "mkdir x" "openw file" "creat x" "rename file x" "unlink file"; do
    # shellcheck disable=SC2086  # a call and its arguments
    answers EROFS $call || fail "$call without a replica"
done
gives OK open file
gives OK stat big
check "reading goes on" test "$(<private/s)" == secret
start_pactd
check "and writing, once it is back" eventually answers OK mkdir back
cd /
stop_mount "$WORK/mnt"
stop_pactd
finish
