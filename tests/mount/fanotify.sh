#!/bin/bash
# fanotify on a mount: a mark on a directory (an inode) tells what is done on another mount, with a descriptor of the file
# or, since Linux 6.8, with names. Marks on a whole mount or filesystem: the kernel takes them only without names.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/mount/ghost/lib.sh
. "$(dirname "$0")/ghost/lib.sh"

# listen MODE: to B's directory w
listen() {
    : >"$WORK/listening.log"
    "$PACT_TESTS/fan" "$1" "$B/w" >"$WORK/heard" 2>"$WORK/listening.log" &
    LISTENER=$!
    started "$WORK/listening.log" $LISTENER ready "fan $1"
}
heard() { [[ $(<"$WORK/heard") == "$expected" ]]; }
# hears WHAT EXPECTED: this, in this order
hears() {
    expected=$(sed '/^ *$/d; s/^ *//' <<<"$2")
    eventually heard || fail "$1: $(diff <(echo "$expected") "$WORK/heard")"
    kill $LISTENER
    ended $LISTENER fan
    pass "$1"
}

start_two
mkdir "$A/w"
echo 1 >"$A/w/f"
sync "$B"
cat "$B/w/f" >"$WORK/said"
"$PACT_TESTS/fan" try "$B/w" >"$WORK/marks"
sed 's/^/# a mark on: /' "$WORK/marks"
check "a mark on a directory is taken" grep -qx 'inode: OK' "$WORK/marks"
check "marks with names on the whole are not" test "$(grep -c '^\(mount\|filesystem\), with names: E' "$WORK/marks")" == 2

listen files
echo 2 >"$A/w/f"
hears "what is written elsewhere, with the file" "
    MODIFY f
    CLOSE_WRITE f"

if grep -qx 'inode, with names: OK' "$WORK/marks"; then
    listen names
    mkdir "$A/w/dir"
    echo 3 >"$A/w/f"
    # The kernel makes one event of what is not read yet of a name, and that has no order.
    eventually grep -qx 'CLOSE_WRITE f' "$WORK/heard"
    chmod 600 "$A/w/f"
    eventually grep -qx 'ATTRIB f' "$WORK/heard"
    mv "$A/w/f" "$A/w/g"
    eventually grep -qx 'MOVED_TO g' "$WORK/heard"
    rm "$A/w/g"
    hears "names that come, go and change elsewhere" "
        CREATE,ISDIR dir
        MODIFY f
        CLOSE_WRITE f
        ATTRIB f
        MOVED_FROM f
        MOVED_TO g
        DELETE g"
fi
stop_two
finish
