#!/bin/bash
# Tokens in names: each way of making a name, what becomes of it, and what is refused.
. "$(dirname "$0")/lib.sh"

start_pactd
start_mount "$WORK/a"
start_mount "$WORK/b"
a=$WORK/a b=$WORK/b
op() { "$PACT_TESTS/op" "$@"; }
answers() { [[ $(op "${@:2}") == "$1" ]]; }
settle() { sync "$a" && sync "$b"; }
names() { (cd "$1" && find . -mindepth 1 -maxdepth 1 -printf '%P\n' | LC_ALL=C sort | tr '\n' ' '); }

echo "# sequences"
cd "$a" || exit 1
mkdir q
mkdir 'q/job-{seq}' 'q/{seq}-web1' 'q/{seq}'
check "{seq} anywhere in the name" test "$(names q)" == "0000000001-web1 0000000002 job-0000000000 "
n=3
for how in mkdir open creat symlink mknod rename mkdir-stat open-stat creat-stat symlink-stat mknod-stat; do
    "$PACT_TESTS/tokens" "$how" "q/$how-{seq}" 20 >"$WORK/said" || fail "$how: $(<"$WORK/said")"
    count=$(find q -name "$how-0*" | wc -l)
    ((count == 20)) || fail "$how: $count names instead of 20: $(names q)"
    check "$how: 20 names of one process, numbers $n to $((n + 19))" test -e "q/$how-$(printf %010d $((n + 19)))" -o -L "q/$how-$(printf %010d $((n + 19)))"
    n=$((n + 20))
done
check "the template is gone" not test -e 'q/mkdir-{seq}'
check "mkdir -m" mkdir -m 700 'q/mode-{seq}'
check "gave the mode to the node" test "$(stat -c %a q/mode-*)" == 700
check "install -d" install -d -m 750 'q/installed-{seq}'
check "gave the mode to the node" test "$(stat -c %a q/installed-*)" == 750
echo content >'q/shell-{seq}'
check "echo > template" test "$(cat q/shell-*)" == content
cp /etc/hostname 'q/copy-{seq}'
check "cp to a template" cmp /etc/hostname q/copy-0*
mv q/shell-0* 'q/moved-{seq}'
check "mv to a template" test "$(cat q/moved-0*)" == content
settle
check "all of it on the other mount" diff -r --no-dereference q "$b/q"

mkdir contend
settle
for mnt in "$a" "$b" "$a" "$b"; do
    "$PACT_TESTS/tokens" mkdir "$mnt/contend/{seq}" 100 &
    makers+=($!)
done
wait "${makers[@]}" || fail "a maker failed"
settle
check "four processes on two mounts: 400 names, no number twice" test "$(find contend -mindepth 1 | wc -l)" == 400
check "the numbers have no gap" test -d contend/0000000399

echo "# lifetimes"
mkdir m
mkdir 'm/{ephemeral}web1' 'm/{ephemeral}{seq}'
echo here >'m/{ephemeral}file'
ln -s target 'm/{ephemeral}link'
owner=$(getfattr --absolute-names --only-values -n user.pact.ephemeral_owner m/web1)
check "an ephemeral belongs to the session" test "$(printf '0x%x' "$owner")" == "$(sed -n 's/^session //p' .pact/session)"
check "it has no children" answers EPERM mkdir m/web1/x
settle
check "all four are there" test "$(names "$b/m")" == "0000000000 file link web1 "
mkdir 'm/{container}pool' m/pool/job
rmdir m/pool/job
check "a container goes with its last child" eventually not test -e m/pool
echo short >'m/{ttl=1s}short'
mkdir 'm/{ttl=1s}dir'
check "TTL: there" test -f m/short -a -d m/dir
check "TTL: gone" eventually not test -e m/short
check "TTL: the directory too" eventually not test -e m/dir
touch m/plain
mv m/plain 'm/{ephemeral}became'
check "rename onto a token" test -f m/became

echo "# malformed, doubled, conflicting"
mkdir bad
for name in 'x{ttl=}' 'x{ttl}' 'x{ttl=-1}' 'x{ttl=1x}' 'x{seq=3}' 'x{seq}{seq}' 'x{ephemeral}{ttl=1s}' 'x{ephemeral}{container}' \
    'x{owner}' 'x{owner=}' 'x{owner=0}' 'x{owner=me}' '{ephemeral}' 'x{ttl=99999999d}'; do
    for call in mkdir creat file "symlink target" "rename m/became"; do
        # shellcheck disable=SC2086  # a call and its argument
        answers EINVAL $call "bad/$name" || fail "$call $name is not refused"
    done
done
check "nothing was made of them" test "$(names bad)" == ""
check "the name .pact by a token" answers EEXIST mkdir 'bad/.pact{ephemeral}'
long=$(printf 'n%.0s' {1..245})
check "255 bytes with the number" answers OK mkdir "bad/$long{seq}"
check "256 are too many" answers ENAMETOOLONG mkdir "bad/${long}n{seq}"
check "255 bytes without the token" answers OK mkdir "bad/${long}0123456789{ephemeral}"
for name in '{foo}' '{' '{}' '{seqs}' 'a{b}c'; do
    answers OK mkdir "bad/$name" || fail "'$name' is an ordinary name"
    [[ -d bad/$name ]] || fail "'$name' is an ordinary name"
done
pass "other braces are ordinary"

echo "# policies"
mkdir p
echo '{ephemeral}' >p/.pact/children
check "the policy reads back" test "$(<p/.pact/children)" == '{ephemeral}'
touch p/pid
mkdir p/dir 'p/{ttl=1h}other'
echo '{ttl=1s}' >p/.pact/children
echo x >p/ttl
check "a child gets the policy" test "$(getfattr --absolute-names --only-values -n user.pact.ephemeral_owner p/pid)" == "$owner"
check "a directory too" test "$(getfattr --absolute-names --only-values -n user.pact.ephemeral_owner p/dir)" == "$owner"
check "tokens in the name go first" test "$(getfattr --absolute-names --only-values -n user.pact.ephemeral_owner p/other)" == 0
check "a policy with a TTL" eventually not test -e p/ttl
for policy in '{owner=1}' '{seq}{seq}' '{owner}{ttl=1s}' '{ephemeral}{container}' x '{ttl=}'; do
    (echo "$policy" >p/.pact/children) 2>/dev/null && fail "the policy '$policy' is not refused at write"
    [[ $(<p/.pact/children) == '{ttl=1s}' ]] || fail "the policy '$policy' changed something"
done
pass "malformed policies are refused"
: >p/.pact/children
check "an empty one removes it" test -z "$(<p/.pact/children)"

echo "# the end of the session"
cd /
settle
stop_mount "$a"
check "ephemerals go with it" eventually not test -e "$b/m/web1"
check "all of them" test "$(names "$b/m")$(names "$b/p")" == "other "
start_mount "$a" -o templates=off
mkdir "$a/{seq}" "$a/x{ttl=}" "$a/{ephemeral}"
check "templates=off takes names literally" test -d "$a/{seq}" -a -d "$a/x{ttl=}" -a -d "$a/{ephemeral}"
settle
check "such names can be removed where tokens are on" rmdir "$b/{seq}" "$b/x{ttl=}" "$b/{ephemeral}"
stop_mount "$a"
stop_mount "$b"
stop_pactd
finish
