#!/bin/bash
# What is mounted inside the mount is not ours: a ghost neither changes it nor unmounts it.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/mount/ghost/lib.sh
. "$(dirname "$0")/ghost/lib.sh"

# untouched MOUNTPOINT: the tmpfs is still mounted there, with its file as it was
untouched() {
    if ! mountpoint -q "$1" || [[ $(cat "$1/precious") != precious || $(stat -c '%a %Y' "$1/precious") != '640 1000000000' ]]; then
        return 1
    fi
}

put_tmpfs() {
    mount -t tmpfs foreign "$1"
    echo precious >"$1/precious"
    chmod 640 "$1/precious"
    touch -d @1000000000 "$1/precious"
    MOUNTED+=("$1")
}

# take_away: before lib.sh's clean-up, which does not look below the mounts
MOUNTED=()
take_away() {
    local at
    for at in "${MOUNTED[@]}"; do
        umount -l "$at" 2>/dev/null
    done
    MOUNTED=()
}
trap 'take_away; cleanup' EXIT

start_two
mkdir -p "$A/dir/inner" "$A/other"
echo x >"$A/dir/file"
ls -R "$B" >/dev/null

# A tmpfs on a directory: all that is done to the names below it elsewhere misses it.
put_tmpfs "$B/dir/inner"
watch "$B/dir"
for name in precious another; do
    echo 1 >"$A/dir/inner/$name"
    echo 2 >"$A/dir/inner/$name"
    chmod 600 "$A/dir/inner/$name"
    rm "$A/dir/inner/$name"
done
mkdir "$A/dir/inner/sub"
mv "$A/dir/inner/sub" "$A/other/sub"
mkdir "$A/other/precious"
mv "$A/other/precious" "$A/dir/inner/precious"
rmdir "$A/dir/inner/precious"
chmod 700 "$A/dir/inner"
echo 2 >"$A/dir/file"
announced
untouched "$B/dir/inner" || fail "a tmpfs inside the mount has changed: $(ls -l "$B/dir/inner")"
grep -q 'CLOSE_WRITE 0 file' "$WORK/events" || fail "beside it nothing is reported"
pass "a tmpfs on a directory: untouched by 16 changes of the same names"

# A file on a file.
echo precious >"$WORK/precious"
chmod 640 "$WORK/precious"
touch -d @1000000000 "$WORK/precious"
mount --bind "$WORK/precious" "$B/dir/file"
MOUNTED+=("$B/dir/file")
echo 3 >"$A/dir/file"
chmod 600 "$A/dir/file"
announced
[[ $(<"$WORK/precious") == precious && $(stat -c '%a %Y' "$WORK/precious") == '640 1000000000' ]] ||
    fail "a file mounted on a file has changed"
pass "a file mounted on a file: neither written nor touched"
end_watch
take_away

# Ghosts that are late: the name has got a new meaning, and a file system on it, when they come. The kernel would
# unmount it at the first hint that the name means something else.
behind() { # until release, the ghosts of $B/dir wait
    hold open "$B/dir/file"
    echo "$RANDOM" >"$A/dir/file"
    eventually grep -q held "$WORK/hold.1" || fail "the ghost does not meet the listener"
}

behind
mkdir "$A/dir/new" "$A/dir/deep" "$A/dir/deep/er"
eventually level
put_tmpfs "$B/dir/new"
put_tmpfs "$B/dir/deep/er"
release
announced
untouched "$B/dir/new" || fail "a ghost's CREATE has unmounted a tmpfs"
untouched "$B/dir/deep/er" || fail "a ghost's CREATE has unmounted a tmpfs further below"
pass "a directory announced late, a tmpfs on it and one below it already: still there"
take_away

behind
rmdir "$A/dir/new"
mv "$A/dir/deep/er" "$A/dir/new"
rmdir "$A/dir/deep"
mkdir "$A/dir/deep"
eventually level
put_tmpfs "$B/dir/new"
put_tmpfs "$B/dir/deep"
release
announced
untouched "$B/dir/new" || fail "a ghost's RENAME has unmounted a tmpfs"
untouched "$B/dir/deep" || fail "a ghost's DELETE has unmounted a tmpfs"
pass "names removed and made anew, announced late, a tmpfs on them already: still there"
take_away

mkdir "$A/dir/last"
announced
watch "$B/dir"
mkdir "$A/dir/very-last"
announced
grep -q 'CREATE,ISDIR 0 very-last' "$WORK/events" || fail "nothing is reported any more"
end_watch
pass "afterwards events come as before"
stop_two
finish
