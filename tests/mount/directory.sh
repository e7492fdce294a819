#!/bin/bash
# A directory of 100,000 children lists each exactly once, on the mount that changes it and on another, while names
# come and go in it and are renamed. COUNT changes the number;
# under the sanitizers it is 10,000.
. "$(dirname "$0")/lib.sh"
[[ ! ${PACT_SANITIZED:-} ]] || COUNT=${COUNT:-10000}
count=${COUNT:-100000}

start_pactd
start_mount "$WORK/a"
start_mount "$WORK/b"
a=$WORK/a b=$WORK/b

mkdir "$a/d"
begun=$SECONDS
seq -f "create d/n%06.0f ''" 0 $((count - 1)) | split -l 1000 - "$WORK/txn-"
for txn in "$WORK"/txn-*; do
    "$PACT_BIN/pactctl" -s "$SERVERS" txn "$txn" >"$WORK/said" || fail "$(<"$WORK/said")"
done
pass "$count files made, 1,000 in one transaction, in $((SECONDS - begun)) s"
sync "$a"
sync "$b"

cat >"$WORK/change" <<'END'
cd "$1" || exit 1
for ((i = 0; ; i++)); do
    mkdir "c$i-$2" && mv "c$i-$2" "c$i-$2-moved" && rmdir "c$i-$2-moved"
    : >"cf$2" && rm "cf$2"
done
END
bash "$WORK/change" "$a/d" here 2>/dev/null &
here=$!
bash "$WORK/change" "$b/d" there 2>/dev/null &
there=$!
for mnt in "$a" "$b" "$a"; do
    begun=${EPOCHREALTIME/./}
    "$PACT_TESTS/directory" "$mnt/d" "$count" >"$WORK/said" 2>&1 || fail "${mnt##*/}: $(<"$WORK/said")"
    pass "${mnt##*/}: listed twice in $(((${EPOCHREALTIME/./} - begun) / 1000)) ms: $(tail -1 "$WORK/said")"
done
kill "$here" "$there"
wait "$here" "$there" 2>/dev/null

check "find sees all" test "$(find "$a/d" -name 'n*' | wc -l)" == "$count"
stop_mount "$a"
stop_mount "$b"
stop_pactd
finish
