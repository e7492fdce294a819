#!/bin/bash
# A reader looping over a 900 KiB file while a writer replaces it never sees a mix, an empty or a short file.
#
# 1,000 replacements by O_TRUNC, 200 by writing over it, 200 by a rename (with PACT_SOAK; else fewer, or ROUNDS), with
# one reader on the writer's mount and one on another.
. "$(dirname "$0")/lib.sh"
rounds=${ROUNDS:-$(repeated 1000)}

start_pactd
start_mount "$WORK/a"
start_mount "$WORK/b"
versions=$PACT_TESTS/versions

for how in truncate over rename; do
    rm -f "$WORK/stop"
    "$versions" write "$WORK/a/file" 1 "$how" || fail "the first version"
    sync "$WORK/b"
    "$versions" read "$WORK/a/file" "$WORK/stop" >"$WORK/here" 2>&1 &
    here=$!
    "$versions" read "$WORK/b/file" "$WORK/stop" >"$WORK/there" 2>&1 &
    there=$!
    count=$rounds
    [[ $how == truncate ]] || count=$((rounds / 5))
    "$versions" write "$WORK/a/file" "$count" "$how" || fail "$how: the writer failed"
    : >"$WORK/stop"
    wait "$here" || fail "$how: the reader on the same mount: $(<"$WORK/here")"
    wait "$there" || fail "$how: the reader on another mount: $(<"$WORK/there")"
    pass "$how, $count times: here $(<"$WORK/here"), there $(<"$WORK/there"); none mixed, short or empty"
done

echo "# moving on"
f=$WORK/a/log
echo one >"$f"
exec 3<"$f"
read -r line <&3
check "a line" test "$line" == one
read -r line <&3 && fail "there is no second line yet"
echo two >>"$WORK/b/log"
sync "$WORK/a"
reads_two() { read -r line <&3 && [[ $line == two ]]; }
check "a read at the end moves on" eventually reads_two
exec 3<&-

tail -n +1 -f "$f" >"$WORK/tail" &
tail=$!
for i in {1..50}; do echo "line $i" >>"$WORK/b/log"; done
check "tail -f shows every line" eventually bash -c "(( \$(wc -l <'$WORK/tail') == 52 ))"
kill "$tail"

echo "# appends of many writers"
for writer in {1..8}; do
    mnt=$WORK/a
    ((writer % 2)) || mnt=$WORK/b
    (for i in {1..100}; do echo "$writer $i" >>"$mnt/appended"; done) &
    writers[writer]=$!
done
wait "${writers[@]}"
sync "$WORK/a"
check "800 appends, none lost or torn" test "$(sort -u "$WORK/a/appended" | grep -cE '^[1-8] [0-9]+$')" == 800
check "each writer's are in order" test "$(for w in {1..8}; do grep "^$w " "$WORK/a/appended" | cut -d' ' -f2 | sort -nc 2>&1; done)" == ""

echo "# two writers of different parts"
printf '0123456789' >"$WORK/a/parts"
exec 3<>"$WORK/a/parts" 4<>"$WORK/b/parts"
printf 'ab' >&3
dd of=/dev/fd/4 bs=1 seek=8 conv=notrunc status=none <<<'yz' 2>/dev/null || true
exec 3>&- 4>&-
sync "$WORK/a"
check "neither undoes the other" test "$(head -c 10 "$WORK/a/parts")" == "ab234567yz"

echo "# mappings"
cp /bin/true "$WORK/a/program"
check "a program runs from here" "$WORK/a/program"
sync "$WORK/b"
check "and from there" "$WORK/b/program"

stop_mount "$WORK/a"
stop_mount "$WORK/b"
stop_pactd
finish
