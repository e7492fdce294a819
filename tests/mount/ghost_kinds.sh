#!/bin/bash
# What a watcher is told, event by event: of each kind of change another host makes, with the cases that are easy to
# get wrong; and of what its own host does, without anything twice.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/mount/ghost/lib.sh
. "$(dirname "$0")/ghost/lib.sh"

# told NAME EXPECTED: the events since the last call are these, one a line, as "DIRECTORY EVENT NAME"; the two of a
# rename have one cookie
told() {
    announced
    eventually quiet
    tail -n "+$((seen + 1))" "$WORK/events" >"$WORK/new"
    seen=$((seen + $(wc -l <"$WORK/new")))
    awk '{ print $2, $3, $5 }' "$WORK/new" >"$WORK/reported"
    awk '$3 ~ /^MOVED_TO/ && before ~ /^MOVED_FROM/ && $4 != cookie { exit 1 } { before = $3; cookie = $4 }' \
        "$WORK/new" || fail "$1: halves of renames without a common cookie"
    diff <(sed '/^ *$/d; s/^ *//' <<<"$2") "$WORK/reported" >"$WORK/said" ||
        fail "$1: not as it should be: $(cat "$WORK/said")"
    pass "$1"
}

# quiet: all that was raised has been written down: the watcher sleeps in poll
quiet() { grep -q poll "/proc/$WATCHER/wchan"; }

# The watcher of the second mount sees four directories: a, b in it, and two files f and g.
start_two
mkdir "$A"/{a,b}
for file in f g h; do echo 1 >"$A/a/$file"; done
ls "$B"/{a,b} >/dev/null
cat "$B"/a/{f,g,h} >/dev/null
watch "$B/a" "$B/b" "$B/a/f" "$B/a/g" "$B/a/h"
seen=0

mkdir "$A/a/dir"
told "mkdir" "0 CREATE,ISDIR dir"
echo content >"$A/a/new"
told "a new file: invisible until it has content" "
    0 CREATE new
    0 OPEN new
    0 MODIFY new
    0 CLOSE_WRITE new"
: >"$A/a/empty"
told "an empty file" "
    0 CREATE empty
    0 OPEN empty
    0 CLOSE_WRITE empty"
exec 5>"$A/a/unborn"
told "a file that is being written: nothing yet" ""
echo x >&5
told "a file that was written and not closed: nothing yet" ""
exec 5>&-
told "closed" "
    0 CREATE unborn
    0 OPEN unborn
    0 MODIFY unborn
    0 CLOSE_WRITE unborn"
ln -s target "$A/a/link"
told "symlink" "0 CREATE link"
echo 22 >"$A/a/f"
told "data: on the file's own watch and its directory's" "
    0 OPEN f
    2 OPEN .
    0 MODIFY f
    2 MODIFY .
    0 CLOSE_WRITE f
    2 CLOSE_WRITE ."
[[ $(cat "$B/a/f") == 22 ]] || fail "the old content after MODIFY"
told "a local reader" "
    0 OPEN f
    2 OPEN .
    0 ACCESS f
    2 ACCESS .
    0 CLOSE f
    2 CLOSE ."
echo 33 >>"$A/a/f"
told "append" "
    0 OPEN f
    2 OPEN .
    0 MODIFY f
    2 MODIFY .
    0 CLOSE_WRITE f
    2 CLOSE_WRITE ."
chmod 600 "$A/a/f"
told "mode" "
    0 ATTRIB f
    2 ATTRIB ."
chown 1:1 "$A/a/f"
told "owner" "
    0 ATTRIB f
    2 ATTRIB ."
touch -d yesterday "$A/a/f"
told "times" "
    0 ATTRIB f
    2 ATTRIB ."
chmod 700 "$A/b"
told "mode of a directory, on its own watch" "1 ATTRIB,ISDIR ."
mv "$A/a/new" "$A/a/newer"
told "rename" "
    0 MOVED_FROM new
    0 MOVED_TO newer"
mv "$A/a/f" "$A/b/f"
told "to another directory, with the file's own watch" "
    0 MOVED_FROM f
    1 MOVED_TO f
    2 MOVE_SELF ."
mv "$A/b/f" "$A/a/g"
told "onto another file, whose own watch ends" "
    1 MOVED_FROM f
    0 MOVED_TO g
    3 ATTRIB .
    2 MOVE_SELF .
    3 DELETE_SELF .
    3 IGNORED ."
mv "$A/a/dir" "$A/b/dir"
told "a directory" "
    0 MOVED_FROM,ISDIR dir
    1 MOVED_TO,ISDIR dir"
rm "$A/a/h"
told "delete, with the file's own watch" "
    4 ATTRIB .
    4 DELETE_SELF .
    4 IGNORED .
    0 DELETE h"
rmdir "$A/b/dir"
told "rmdir" "1 DELETE,ISDIR dir"

"$PACT_BIN/pactctl" -s "$SERVERS" create -s /a/seq- >/dev/null || fail "pactctl create"
told "a sequential directory, made by pactctl" "0 CREATE,ISDIR seq-0000000000"

# The session of a third mount ends: what was ephemeral goes, and its going is reported.
start_mount "$WORK/c"
mkdir "$WORK/c/a/{ephemeral}e"
told "an ephemeral, made elsewhere" "0 CREATE,ISDIR e"
stop_mount "$WORK/c"
told "its session has ended" "0 DELETE,ISDIR e"
mkdir "$A/a/{ttl=50ms}t"
eventually test ! -e "$A/a/t" || fail "the TTL does not run"
told "a node that lives 50 ms comes and goes" "
    0 CREATE,ISDIR t
    0 DELETE,ISDIR t"

# The kernel's own events of what is done on this mount, and nothing twice.
mkdir "$B/a/local"
rmdir "$B/a/local"
told "local mkdir and rmdir" "
    0 CREATE,ISDIR local
    0 DELETE,ISDIR local"
echo x >"$B/a/file"
announced
eventually quiet
tail -n "+$((seen + 1))" "$WORK/events" >"$WORK/new"
seen=$((seen + $(wc -l <"$WORK/new")))
[[ $(awk '{ print $3 $5 }' "$WORK/new" | sort -u | tr '\n' ' ') == 'CLOSE_WRITEfile CREATEfile MODIFYfile OPENfile ' &&
    $(grep -c MODIFY "$WORK/new") == 2 ]] || fail "a local file: $(cat "$WORK/new")"
pass "a local file: MODIFY once more when it is committed, for those who read it then"
chmod 600 "$B/a/file"
mv "$B/a/file" "$B/b/file"
rm "$B/b/file"
told "local chmod, mv and rm" "
    0 ATTRIB file
    0 MOVED_FROM file
    1 MOVED_TO file
    1 DELETE file"
mkdir "$B/a/{seq}-x"
told "a name with a token becomes the true name" "
    0 CREATE,ISDIR {seq}-x
    0 MOVED_FROM,ISDIR {seq}-x
    0 MOVED_TO,ISDIR 0000000001-x"

# Where only one of two directories is known to the watcher's kernel.
mkdir -p "$A/unknown/deep"
echo x >"$A/b/traveller"
told "a file to be moved" "
    1 CREATE traveller
    1 OPEN traveller
    1 MODIFY traveller
    1 CLOSE_WRITE traveller"
mv "$A/b/traveller" "$A/unknown/deep/t"
told "to a directory nobody has looked at" "1 MOVED_FROM traveller"
mv "$A/unknown/deep/t" "$A/b/back"
told "and back" "1 MOVED_TO back"
rm -r "$A/b/back" "$A/unknown"
told "gone" "1 DELETE back"

# The kernel has dropped a directory's name from its cache; the watch keeps the directory.
sync
echo 2 >/proc/sys/vm/drop_caches
mkdir "$A/a/dropped"
told "after dropping the caches" "0 CREATE,ISDIR dropped"
echo 2 >/proc/sys/vm/drop_caches
echo 44 >"$A/a/g"
told "the same with a file's: its directory's watch hears of its data" "
    0 OPEN g
    2 OPEN .
    0 MODIFY g
    2 MODIFY .
    0 CLOSE_WRITE g
    2 CLOSE_WRITE ."

end_watch
mkdir -p "$A/tree/x/y"
ls -R "$B/tree" >/dev/null
watch "$B" "$B/tree" "$B/tree/x" "$B/tree/x/y" "$B/a/.pact/data" "$B/a"
seen=0
echo 'its own' >"$A/a/.pact/data"
told "the data of a directory, on its file in .pact" "
    4 OPEN .
    4 MODIFY .
    4 CLOSE_WRITE ."
rm -r "$A/tree"
told "a tree, from the leaves up" "
    3 DELETE_SELF .
    3 IGNORED .
    2 DELETE,ISDIR y
    2 DELETE_SELF .
    2 IGNORED .
    1 DELETE,ISDIR x
    1 DELETE_SELF .
    1 IGNORED .
    0 DELETE,ISDIR tree"

chmod 750 "$A"
told "the mount's root" "0 ATTRIB,ISDIR ."

# A running program cannot be opened for writing: its watchers learn by ATTRIB.
cp /bin/sleep "$A/a/program"
told "a program" "
    5 CREATE program
    5 OPEN program
    5 MODIFY program
    5 CLOSE_WRITE program"
"$B/a/program" 1000 &
program=$!
running() { [[ $(readlink "/proc/$program/exe") == "$B/a/program" ]]; }
eventually running || fail "no program can be run"
eventually quiet
seen=$(wc -l <"$WORK/events")
echo >>"$A/a/program"
told "changed while it runs here" "5 ATTRIB program"
kill "$program"
rm "$A/a/program"
announced
eventually quiet
end_watch

# Late ghosts, of a name that has got a new meaning: the new one's own watch hears nothing of the old one's end.
echo x >"$A/a/file"
mkdir "$A/a/name"
ls -R "$B/a" >/dev/null
hold open "$B/a/file"
echo y >"$A/a/file"
eventually grep -q held "$WORK/hold.1" || fail "the ghost does not meet the listener"
rmdir "$A/a/name"
mkdir "$A/a/name"
eventually level
watch "$B/a" "$B/a/name"
seen=0
release
told "a directory made anew under the same name, and watched already" "
    0 OPEN file
    0 MODIFY file
    0 CLOSE_WRITE file
    0 DELETE,ISDIR name
    0 CREATE,ISDIR name"
mkdir "$A/a/name/below"
told "the new one's watch is alive" "1 CREATE,ISDIR below"
end_watch

# A mount of a part of the tree: what comes in is new, what goes out is gone.
start_mount "$WORK/part" -o root=/a
B=$WORK/part
ls "$WORK/part" >/dev/null
watch "$WORK/part"
seen=0
mkdir "$A/a/inside" "$A/outside"
told "in a mount of /a" "0 CREATE,ISDIR inside"
mv "$A/a/inside" "$A/moved-out"
told "moved out of it" "0 DELETE,ISDIR inside"
mv "$A/moved-out" "$A/a/moved-in"
told "moved in" "0 CREATE,ISDIR moved-in"
chmod 711 "$A/a"
told "its root" "0 ATTRIB,ISDIR ."
[[ $(counter "$B" failed) == 0 ]] || fail "the kernel refused $(counter "$B" failed) ghosts"
end_watch
stop_mount "$B"
B=$WORK/b

before=$(counter "$B" 'done')
cp -r /usr/include/linux "$A/copy"
announced
(($(counter "$B" 'done') - before == 1)) || fail "$(($(counter "$B" 'done') - before)) ghosts for a tree"
pass "a tree of $(find "$A/copy" | wc -l) names that nobody has looked at: one ghost, for its top"

[[ $(counter "$B" failed) == 0 ]] || fail "the kernel refused $(counter "$B" failed) ghosts"
stop_two
finish
