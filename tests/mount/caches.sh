#!/bin/bash
# What the kernel keeps: an unchanged file's stat asks pactfs nothing; and what it keeps is never older than what the
# mount has shown.
. "$(dirname "$0")/lib.sh"
rounds=${ROUNDS:-$(repeated 1000)}
histories=$PACT_TESTS/histories

chmod 755 "$WORK"
start_pactd
A=$WORK/a B=$WORK/b
start_mount "$A"
start_mount "$B"

# calls MNT: how often the kernel asked, in all. Looking costs the same each time: LOOK.
calls() { awk '{ sum += $2 } END { print sum }' "$1/.pact/calls"; }
# asked MNT COMMAND...: how many requests the command made
asked() {
    local mnt=$1 before after
    shift
    before=$(calls "$mnt")
    "$@" >/dev/null || fail "$*"
    after=$(calls "$mnt")
    echo $((after - before - LOOK))
}
settled() { grep -q '^events_pending 0$' "$B/.pact/session"; } # ghosts make requests, too
LOOK=0
calls "$B" >/dev/null
LOOK=$(asked "$B" true)

echo "# requests"
mkdir -p "$A/deep/er"
echo small >"$A/deep/er/file"
sync "$B"
eventually settled || fail "events are pending"
cat "$B/deep/er/file" >/dev/null
stat "$B/deep/er/file" >/dev/null
check "stat of an unchanged file three levels down: no request" test "$(asked "$B" stat "$B/deep/er/file")" == 0
check "a hundred of them: no request" test "$(asked "$B" bash -c "for i in {1..100}; do [[ -f $B/deep/er/file ]]; done")" == 0
echo changed >"$A/deep/er/file"
sync "$B"
eventually settled || fail "events are still pending"
check "after a change elsewhere: asked again" test "$(asked "$B" stat "$B/deep/er/file")" -ge 1
check "and once" test "$(asked "$B" stat "$B/deep/er/file")" == 0
check "cat of it: its attributes, open, read, end of file, flush, release" test "$(asked "$B" cat "$B/deep/er/file")" -le 6

echo "# changes by other hosts are seen at once"
chmod 600 "$A/deep/er/file"
sync "$B"
check "chmod" test "$(stat -c %a "$B/deep/er/file")" == 600
mv "$A/deep/er/file" "$A/deep/er/moved"
sync "$B"
check "a name that is gone" not test -e "$B/deep/er/file"
check "and the new one" test -e "$B/deep/er/moved"
mkdir "$A/other"
mv "$A/deep/er" "$A/other/er"
sync "$B"
check "a directory that is gone" not test -e "$B/deep/er/moved"
check "and its new place" test -e "$B/other/er/moved"
ln -s one "$A/link"
sync "$B"
check "a symlink" test "$(readlink "$B/link")" == one
ln -sfn two "$A/link"
sync "$B"
check "a symlink that was switched" test "$(readlink "$B/link")" == two
check "that nobody but the owner may read it is kept to" not setpriv --reuid=65534 --clear-groups cat "$B/other/er/moved"
chmod 644 "$A/other/er/moved"
sync "$B"
check "and lifted at once" setpriv --reuid=65534 --clear-groups cat "$B/other/er/moved"

echo "# names that the kernel keeps go from here"
stat "$B/other/er/moved" >/dev/null
check "mv" mv "$B/other/er/moved" "$B/other/er/again"
stat "$B/other/er/again" >/dev/null
check "rm" rm "$B/other/er/again"
check "rmdir" rmdir "$B/other/er"
check "all gone" test ! -e "$B/other/er"

# The kernel looks up the long way again when such a call is sent back; meanwhile it lets all go that is not in use.
echo "# and while the kernel forgets them"
forget() {
    until [[ -e $WORK/forgot ]]; do
        echo 2 >/proc/sys/vm/drop_caches
    done
}
away=$B/$(printf 'way/../%.0s' {1..500})
mkdir -p "$A/way" "$A"/names-{1..10}/{removed,moved,replaced,old}
sync "$B"
forget &
forgetting=$!
for i in {1..10}; do
    stat "$B/names-$i/"* >/dev/null
    check "rmdir $i" rmdir "$away/names-$i/removed"
    check "mv $i" mv "$away/names-$i/moved" "$away/names-$i/new"
    check "mv $i to another's place" mv -T "$away/names-$i/old" "$away/names-$i/replaced"
done
touch "$WORK/forgot"
wait "$forgetting"
check "all done" test "$(find "$A"/names-* -mindepth 1 | wc -l)" == 20

echo "# a file that others replace all the time"
echo x >"$A/replaced"
replace() {
    until [[ -e $WORK/enough ]]; do
        echo "$1" >"$A/.$1" && mv -T "$A/.$1" "$A/replaced"
    done
}
replace one &
replacing=("$!")
replace two &
replacing+=("$!")
# shellcheck disable=SC2016  # Perl's
change='
use POSIX ();
my ($f, $fails) = ($ARGV[0], 0);
for (1 .. 400) {
    chmod(0600 + $_ % 2, $f) or $fails++;
    chown(0, $_ % 2, $f) or $fails++;
    utime($_, $_, $f) or $fails++;
}
print $fails;'
check "chmod, chown and utime of its name" test "$(perl -e "$change" "$B/replaced")" == 0
touch "$WORK/enough"
wait "${replacing[@]}"

echo "# a file that another host gives to somebody else"
# Who has seen that it is no longer his must not change it, whatever the kernel still has of it.
mkdir -m 1777 "$A/given"
check "chmod and utime by its former owner" python3 -c 'import os, sys
a, b = sys.argv[1:]
def former(path, change):
    looks, has_looked = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([]); os.setgid(1001); os.setuid(1001)
        before = os.getxattr(path, "user.pact.aversion")
        os.write(has_looked, b"!")
        while os.getxattr(path, "user.pact.aversion") == before: pass
        try: change(path)
        except PermissionError: os._exit(0)
        os._exit(1)
    os.read(looks, 1)
    os.close(looks); os.close(has_looked)
    return child
changes = [lambda path: os.chmod(path, 0o666), lambda path: os.utime(path, (1, 1))]
for i in range(60):
    here, there = "%s/%d" % (a, i), "%s/%d" % (b, i)
    open(here, "w").write("x")
    os.chown(here, 1001, 1001)
    watch = os.open(b, os.O_RDONLY); os.fsync(watch); os.close(watch)
    os.stat(there)
    child = former(there, changes[i % 2])
    os.chown(here, 1002, 1002)
    assert os.waitpid(child, 0)[1] == 0, "change %d of file %d is done" % (i % 2, i)' "$A/given" "$B/given"

# show DIR COMMAND...: the writer on A, readers on both mounts, and three who disturb by the command, which gets DIR
show() {
    local dir=$1 pid readers=() others=()
    shift
    rm -f "$WORK/until"
    mkdir "$A/$dir"
    "$histories" prepare "$A/$dir" "$rounds" || fail "prepare"
    sync "$B"
    for mnt in "$A" "$B"; do
        "$histories" read "$mnt/$dir" 3 "$WORK/until" >"$WORK/read.${mnt##*/}" 2>&1 &
        readers+=("$!")
    done
    for _ in 1 2 3; do
        "$@" "$dir" >>"$WORK/disturb" 2>&1 &
        others+=("$!")
    done
    "$histories" write "$A/$dir" "$rounds" || fail "the writer"
    touch "$WORK/until"
    for pid in "${others[@]}"; do
        wait "$pid" || fail "who disturbs: $(<"$WORK/disturb")"
    done
    wait "${readers[0]}" || fail "on the writer's mount: $(<"$WORK/read.a")"
    wait "${readers[1]}" || fail "on another mount: $(<"$WORK/read.b")"
    pass "on the writer's mount: $(<"$WORK/read.a"); on another: $(<"$WORK/read.b")"
}
echo "# histories: one mount never shows what is older than what it has shown"
echo "# while ghosts lag behind the changes of others"
disturb() { "$histories" disturb "$1/$2" "$WORK/until"; }
show dir-a disturb "$A"
echo "# while local calls change names in the same directory"
show dir-b disturb "$B"
echo "# while the kernel forgets names and inodes"
drop() { while [[ ! -e $WORK/until ]]; do echo 2 >/proc/sys/vm/drop_caches; done; }
show dir-c drop

echo "# with consistency=linearizable nothing is kept"
start_mount "$WORK/c" -o consistency=linearizable
stat "$WORK/c/dir-a/x" >/dev/null
LOOK=0
calls "$WORK/c" >/dev/null
LOOK=$(asked "$WORK/c" true)
check "stat asks" test "$(asked "$WORK/c" stat "$WORK/c/dir-a/x")" -ge 2
stop_mount "$WORK/c"

stop_mount "$A"
stop_mount "$B"
stop_pactd
finish
