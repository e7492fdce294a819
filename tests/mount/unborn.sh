#!/bin/bash
# A new file is unborn from its creation to its first commit: taken for exclusive creators everywhere at once, shown
# only where it is being written, gone with its writer.
. "$(dirname "$0")/lib.sh"

start_pactd
start_mount "$WORK/a"
start_mount "$WORK/b" -o session_timeout=2s
a=$WORK/a b=$WORK/b
op() { "$PACT_TESTS/op" "$@"; }
answers() { [[ $(op "${@:2}") == "$1" ]]; }
settle() { sync "$a" && sync "$b"; } # each mount shows what was done before

exec 3>"$a/new"
settle
check "shown where it is written" test -e "$a/new"
check "not shown elsewhere" not test -e "$b/new"
check "nor listed" test -z "$(ls -A "$b")"
check "an exclusive creator elsewhere: EEXIST" answers EEXIST creat "$b/new"
check "mkdir elsewhere: EEXIST" answers EEXIST mkdir "$b/new"
echo content >&3
settle
check "written, not yet closed: still not shown" not test -e "$b/new"
exec 3>&-
settle
check "closed: shown with its content" test "$(<"$b/new")" == content

# O_CREAT without O_EXCL opens the other's unborn file; the first commit is the birth.
exec 3>"$a/both"
echo "from b, and longer" >"$b/both"
settle
check "another's commit gives birth" test "$(<"$a/both")" == "from b, and longer"
echo "from a" >&3
exec 3>&-
settle
check "and the first writer's follows, which had cut it to nothing" test "$(<"$b/both")" == "from a"

# A writer without content: touch, : > f, and one that only opens.
touch "$a/touched"
settle
check "touch" test -f "$b/touched"

# rename and remove while unborn.
exec 3>"$a/before"
mv "$a/before" "$a/after"
settle
check "renamed while unborn: not shown" not test -e "$b/after"
echo moved >&3
exec 3>&-
settle
check "and shown after the close" test "$(<"$b/after")" == moved
exec 3>"$a/removed"
rm "$a/removed"
echo lost >&3
exec 3>&-
settle
check "and nothing is left" answers OK creat "$b/removed"

# install, cp and mv make first and write later.
head -c 300000 /dev/urandom >"$WORK/source"
for command in cp install; do
    "$command" "$WORK/source" "$a/by-$command"
    settle
    check "$command" cmp "$WORK/source" "$b/by-$command"
done

# An unborn file goes with its session, whether that is closed or expires.
exec 3>"$b/kept-open"
settle
check "taken" answers EEXIST creat "$a/kept-open"
kill_hard "$(mount_pid "$b")"
exec 3>&-
check "the mount is killed: free again when its session has expired" eventually answers OK creat "$a/kept-open"
umount -l "$b"
unset "MOUNT_PIDS[$b]"
stop_mount "$a"
stop_pactd
finish
