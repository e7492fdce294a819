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

echo "# a file that is written again and again"
echo x >"$B/again"
kept() { [[ $(asked "$B" stat "$B/again") == 0 ]]; }
eventually kept || fail "its name is not kept"
# Announcing MODIFY here, every 2 ms, makes the kernel ask anew; so does a second's passing.
check "most times without asking for its attributes" python3 -c 'import os, sys
def asked():
    calls = dict(line.split() for line in open(sys.argv[2]))
    return sum(int(calls.get(kind, 0)) for kind in ("lookup", "getattr"))
def write():
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"x")
    os.close(fd)
def few(act): # in the twentieth of 200 cases with the fewest
    counts = []
    for i in range(200):
        write()
        before = asked()
        act()
        counts.append(asked() - before)
    return sorted(counts)[20]
writing, nothing = few(write), few(lambda: None)
assert writing == nothing, "%d questions more" % (writing - nothing)' "$B/again" "$B/.pact/calls"

# Each way of writing, each after a look, so that the kernel has something to keep; then both mounts must show the size,
# the mode and the time of the last change, whoever made it.
check "whatever has been written by whom: its size, mode and times" python3 -c 'import mmap, os, random, sys, threading
a, b, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.seed(int(sys.argv[4]))
paths = [a + "/again", b + "/again"] # names that are kept
open(paths[0], "w").write("x" * 10)
size, mode, mtime = 10, 0o644, os.stat(paths[0]).st_mtime_ns
def level(mnt):
    fd = os.open(mnt, os.O_RDONLY); os.fsync(fd); os.close(fd)
def look(path, what, later=False):
    os.stat(path) # may be torn by the announcement of the change (histories.c)
    seen = os.stat(path)
    now = (seen.st_size, seen.st_mode & 0o777, seen.st_mtime_ns > mtime)
    assert now[:2] == (size, mode) and later in (now[2], None), "%s: %s, not %s" % (what, now, (size, mode, later))
    return seen.st_mtime_ns
def store(fd):
    with mmap.mmap(fd, size) as pages: pages[0] = pages[0] ^ 1
def by_another(fd, data):
    thread = threading.Thread(target=os.pwrite, args=(fd, data, 0)); thread.start(); thread.join()
for i in range(rounds):
    on = random.randrange(2)
    path, length = paths[on], random.randrange(1, 60)
    level((a, b)[on])
    if random.randrange(4): look(path, "before")
    way = random.choice("trunc write append sync fallocate ftruncate truncate mmap dup thread fsync chmod both none futimens".split())
    flags = {"trunc": os.O_TRUNC, "append": os.O_APPEND, "sync": os.O_SYNC}.get(way, 0)
    fd = os.open(path, os.O_RDWR | flags)
    if way in ("trunc", "append", "write", "sync", "fsync", "dup", "both", "futimens"):
        os.write(fd, b"y" * length)
        size = length if way == "trunc" else size + length if way == "append" else max(size, length)
    if way == "fsync":
        os.fsync(fd); look(path, way, True)
    if way == "futimens":
        os.utime(fd, ns=(1 << 60, mtime + 1))
    if way == "both":
        other = os.open(path, os.O_WRONLY)
        os.pwrite(other, b"z" * 3, 0)
        os.close(other)
    if way == "thread": by_another(fd, b"t" * length); size = max(size, length)
    grown = length > size
    if way == "fallocate": os.posix_fallocate(fd, 0, length); size = max(size, length)
    if way == "ftruncate": os.ftruncate(fd, length); size = length
    if way == "mmap": store(fd)
    if way == "chmod": mode ^= 0o20; os.write(fd, b"c"); os.chmod(path, mode)
    if way == "dup": os.close(os.dup(fd))
    os.close(fd)
    if way == "truncate": os.truncate(path, length); size = length
    mtime = look(path, way, {"none": False, "fallocate": grown}.get(way, True))
    level((b, a)[on])
    look(paths[1 - on], way + " elsewhere")' "$A" "$B" "$rounds" 1

# Who has seen another host's version sees its size, also where the last one was written here.
check "written here, looked at, and written elsewhere" python3 -c 'import os, sys
here, there = sys.argv[1] + "/again", sys.argv[2] + "/again"
def write(path, size):
    with open(path, "wb") as file: file.write(b"x" * size)
for i in range(1, int(sys.argv[3])):
    write(here, 2 * i)
    for again in range(5): # its release may be on the way still: then the first answer is not kept
        assert os.stat(here).st_size == 2 * i
    before = os.getxattr(here, "user.pact.version")
    child = os.fork()
    if child == 0:
        watch = os.open(sys.argv[2], os.O_RDONLY); os.fsync(watch)
        write(there, 2 * i + 1)
        os._exit(0)
    while os.getxattr(here, "user.pact.version") == before: pass
    sizes = [os.stat(here).st_size for look in range(2)] # the first may be torn by the announcement (histories.c)
    assert sizes[1] == 2 * i + 1, "version %d has %d bytes, then %d" % (i, *sizes)
    assert os.waitpid(child, 0)[1] == 0' "$B" "$A" "$rounds"

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
