#!/bin/bash
# What each system call answers and does is what tmpfs answers and does, in the same run: tests/mount/posix has the cases,
# and posix.expected the differences that are meant, each with its reason. No other difference may show, and none of those
# may be gone.
. "$(dirname "$0")/lib.sh"
expected=$(cd "$(dirname "$0")" && pwd)/posix.expected

start_pactd
start_mount "$WORK/mnt"
mkdir "$WORK/tmpfs" "$WORK/mnt/cases"
mount -t tmpfs -o nosuid,nodev,noatime tmpfs "$WORK/tmpfs" || fail "cannot mount a tmpfs"
trap 'umount -l "$WORK/tmpfs"; cleanup' EXIT
mkdir "$WORK/tmpfs/cases"

# tmpfs has user attributes since Linux 6.6.
mapfile -t groups < <("$PACT_TESTS/posix" --list)
setfattr -n user.x -v x "$WORK/tmpfs" 2>/dev/null || mapfile -t groups < <(printf '%s\n' "${groups[@]}" | grep -v '^xattr')

# cases WHERE: a line each; the names in between are part of them
cases() { timeout 600 "$PACT_TESTS/posix" "$WORK/$1/cases" "${groups[@]}" >"$WORK/$1.out" 2>&1 </dev/null; }
cases tmpfs || fail "on tmpfs: $(grep 'ended with\|prepared' "$WORK/tmpfs.out")"
cases mnt || fail "on pactfs: $(grep 'ended with\|prepared' "$WORK/mnt.out")"
count=$(wc -l <"$WORK/tmpfs.out")
((count > 1000 && count == $(wc -l <"$WORK/mnt.out"))) || fail "$count cases on tmpfs, $(wc -l <"$WORK/mnt.out") on pactfs"

# What differs, as "GROUP: WHAT: TMPFS'S -> PACTFS'S".
paste -d '\t' "$WORK/tmpfs.out" "$WORK/mnt.out" | awk -F '\t' '
    $1 != $2 {
        same = 0
        for (i = 1; substr($1, 1, i) == substr($2, 1, i); i++)
            if (substr($1, i - 1, 2) == ": ") same = i
        print $1 " -> " substr($2, same + 1)
    }' | LC_ALL=C sort >"$WORK/differences"
grep -vE '^(#|$)' "$expected" | LC_ALL=C sort >"$WORK/expected"
diff "$WORK/expected" "$WORK/differences" | sed -n 's/^< /# no longer: /p; s/^> /# unexpected: /p'
check "$count cases as on tmpfs, but for the $(wc -l <"$WORK/expected") differences of posix.expected" \
    cmp "$WORK/expected" "$WORK/differences"
stop_mount "$WORK/mnt"
stop_pactd
finish
