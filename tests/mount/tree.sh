#!/bin/bash
# Whole trees of real files: copied in, compared, moved, archived, edited in place, still the same after a restart of
# everything, and removed without a trace.
. "$(dirname "$0")/lib.sh"

# /usr/include but for what is larger than a file here may be.
source_tree=$WORK/source
cp -a /usr/include "$source_tree"
find "$source_tree" -type f -size +1024k -delete
# All of it with PACT_SOAK; else as much as shows the same in less time.
if [[ ! ${PACT_SOAK:-} ]]; then
    find "$source_tree" -mindepth 1 -maxdepth 1 -type d ! -name linux ! -name "x86*" -exec rm -rf {} +
fi
files=$(find "$source_tree" -type f | wc -l)
((files > 500)) || fail "/usr/include has only $files files: nothing to show"

# Everything a copy should keep, but for the size of directories.
listing() { (cd "$1" && find . -printf '%P|%y|%m|%U|%G|%T@|%l|%y%s\n' | sed 's/|d[0-9]*$/|d/' | LC_ALL=C sort); }

same() { # DIRECTORY WHEN
    diff -r --no-dereference "$source_tree" "$1" || fail "the contents differ $2"
    diff <(listing "$source_tree") <(listing "$1") >"$WORK/differences" ||
        fail "kinds, modes, owners, times or links differ $2: $(head -5 "$WORK/differences")"
}

start_pactd
start_mount "$WORK/mnt"
mnt=$WORK/mnt

begun=$SECONDS
cp -a "$source_tree" "$mnt/include"
took=$((SECONDS - begun))
same "$mnt/include" "after cp -a"

mkdir "$mnt/elsewhere"
mv "$mnt/include" "$mnt/elsewhere/moved"
[[ ! -e $mnt/include ]] || fail "the old name is still there after mv"
same "$mnt/elsewhere/moved" "after mv"

stop_mount "$mnt"
stop_pactd
start_pactd
start_mount "$mnt"
same "$mnt/elsewhere/moved" "after a restart of everything"

# sed -i writes a new file and renames it over the old one.
cd "$mnt/elsewhere/moved" || exit 1
before=$(ls)
sed -i 's/EOF/END_OF_FILE/g' stdio.h
sed 's/EOF/END_OF_FILE/g' "$source_tree/stdio.h" | cmp - stdio.h || fail "sed -i"
[[ $(ls) == "$before" ]] || fail "sed -i left a file behind"
cd "$WORK" || exit 1

# The kernel's headers by tar and by rsync, then out of the mount and in again, across filesystems.
source_tree=$source_tree/linux
mkdir "$mnt/tar"
tar -C "$mnt/elsewhere/moved" --format=posix -cf - linux | tar -C "$mnt/tar" -xf -
same "$mnt/tar/linux" "after tar and back"
rsync -a "$source_tree/" "$mnt/rsynced/"
same "$mnt/rsynced" "after rsync"
mv "$mnt/tar/linux" "$WORK/linux" || fail "mv out of the mount"
same "$WORK/linux" "after mv out of the mount"
# mv copies user.pact.*, which are not for writing, and says so; it moves all the same.
mv "$WORK/linux" "$mnt/linux" 2>"$WORK/said" || fail "mv into the mount: $(grep -v user.pact "$WORK/said")"
! grep -v "setting attribute 'user.pact." "$WORK/said" || fail "mv into the mount said more than that"
same "$mnt/linux" "after mv into the mount"

rm -rf "${mnt:?}"/*
[[ -z $(ls -A "$mnt") ]] || fail "rm -rf left: $(ls -A "$mnt")"
(($(df --output=iused "$mnt" | tail -1) == 1)) || fail "$(df -i "$mnt")"
stop_mount "$mnt"
stop_pactd
start_pactd
start_mount "$mnt"
[[ -z $(ls -A "$mnt") ]] || fail "after a restart there is again: $(ls -A "$mnt")"
pass "$files files: cp -a in $took s, the same after mv, a restart, tar, rsync; sed -i; nothing left after rm -rf"
finish
