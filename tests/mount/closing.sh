#!/bin/bash
# What is written through one open is one transaction, in whatever way a shell, a thread or a subprocess ends it; and
# a writer that is killed midway leaves the file as it was.
#
# Each way writes the same 13 bytes, once over an old file and once as a new one. One commit moves user.pact.version
# by one. Other readers, on a second mount, must never see anything but the old content and the new.
. "$(dirname "$0")/lib.sh"

start_pactd
start_mount "$WORK/a"
start_mount "$WORK/b"
a=$WORK/a b=$WORK/b
printf 'first\nsecond\n' >"$WORK/wanted"

version() { getfattr --absolute-names --only-values -n user.pact.version "$1"; }

# The ways of shells. $f is the file.
# shellcheck disable=SC2016  # they are expanded later
declare -A shell_ways=(
    [bash_builtin]='printf "first\nsecond\n" > "$f"'
    [dash_builtin]="dash -c 'printf \"first\nsecond\n\" > \"\$f\"'"
    [external]='cat "$WORK/wanted" > "$f"'
    [subshell]='( echo first; echo second ) > "$f"'
    [group]='{ echo first; echo second | cat; } > "$f"'
    [descriptor]='exec 3> "$f"; echo first >&3; echo second >&3; exec 3>&-'
    [read_write]='exec 3<> "$f"; printf "first\nsecond\n" >&3; exec 3>&-'
    [pipeline]='cat "$WORK/wanted" | cat > "$f"'
    [background]='cat "$WORK/wanted" > "$f" & wait'
    [loop]='while read -r line; do echo "$line"; done < "$WORK/wanted" > "$f"'
    [both_streams]='{ echo first; echo second >&2; } > "$f" 2>&1'
    [tee]='tee "$f" < "$WORK/wanted" > /dev/null'
    [dd]='dd if="$WORK/wanted" of="$f" bs=6 2>/dev/null'
    [cp]='cp "$WORK/wanted" "$f"'
    [here_document]=$'cat > "$f" <<END\nfirst\nsecond\nEND'
)
export f WORK

# one_commit NAME COMMAND...: runs it on an old file and on a new one
one_commit() {
    local name=$1 before after
    shift
    f=$a/old-$name
    printf 'old content!\n' >"$f"
    before=$(version "$f")
    "$@" || fail "$name: exit status $?"
    # Where the last close is a process's end, its RELEASE comes a moment after.
    eventually cmp -s "$f" "$WORK/wanted" || fail "$name, old file: $(od -c "$f" | head -3)"
    after=$(version "$f")
    ((after == before + 1)) || fail "$name, old file: $((after - before)) commits instead of one"
    f=$a/new-$name
    "$@" || fail "$name: exit status $?"
    eventually cmp -s "$f" "$WORK/wanted" || fail "$name, new file: $(od -c "$f" | head -3)"
    eventually cmp -s "$b/new-$name" "$WORK/wanted" || fail "$name, new file on the other mount"
    after=$(version "$f")
    ((after == 1)) || fail "$name, new file: $after commits instead of one"
    pass "$name: one commit"
}

for name in "${!shell_ways[@]}"; do
    one_commit "$name" bash -c "${shell_ways[$name]}"
done

call_way() { "$PACT_TESTS/closing_ways" "$1" "$f"; }
mapfile -t ways < <("$PACT_TESTS/closing_ways" list | grep -v '^die')
((${#ways[@]} >= 14)) || fail "closing_ways knows only ${#ways[@]} ways"
for name in "${ways[@]}"; do
    one_commit "$name" call_way "$name"
done

echo "# killed midway"
for name in die_kill die_term die_segv die_threads; do
    f=$a/old-$name
    echo 'old content' >"$f"
    before=$(version "$f")
    call_way "$name" 2>/dev/null && fail "$name did not die"
    sync "$a"
    [[ $(<"$f") == 'old content' && $(version "$f") == "$before" ]] || fail "$name: the old file is now: $(<"$f")"
    f=$a/new-$name
    call_way "$name" 2>/dev/null && fail "$name did not die"
    eventually not test -e "$f" || fail "$name: a new file is left"
    (set -C && echo again >"$f") || fail "$name: the name is still taken"
    pass "$name: the old file as it was, no new one"
done

# A writer that handles its signal ends as it wants.
f=$a/handled
bash -c 'exec 3> "$f"; trap "echo "done" >&3; exit 0" TERM; echo begun >&3; kill $$; exit 1'
check "a signal that is handled" grep -q "done" "$f"

echo "# two at once"
# The inner one lets go of the outer one's descriptor: who has another one of the file commits when the last is released.
f=$a/both
echo old >"$f"
{ (exec >&2 && echo 'a longer version' >"$f") && echo short; } >"$f"
check "one that begins before and ends after another: its own, whole" test "$(<"$f")" == short
f=$a/both-new
{ (exec >&2 && echo 'a longer version' >"$f") && echo short; } >"$f"
check "of a new file, too" test "$(<"$f")" == short
# shellcheck disable=SC2016  # for the shell that it runs
python3 -c 'import os, subprocess, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
subprocess.run(["sh", "-c", "echo a longer version >$0", sys.argv[1]], check=True)
os.write(fd, b"short\n")
os.close(fd)' "$a/both-first"
check "also of who made it" test "$(<"$a/both-first")" == short
# shellcheck disable=SC2016  # for the shell that it runs
python3 -c 'import os, subprocess, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
subprocess.run(["sh", "-c", "echo a longer version >$0", sys.argv[1]], check=True)
os.ftruncate(fd, 10)
os.pwrite(fd, b"x", 2)
os.close(fd)' "$a/both-first"
check "and of who cuts it first" test "$(tr '\0' . <"$a/both-first")" == ..x.......
{ (exec >&2 && echo 'a version' >"$f"); } >"$f"
check "one that writes nothing was before" test "$(<"$f")" == 'a version'

echo "# nothing written"
: >"$a/empty"
check ": > f, at once" test -f "$a/empty" -a ! -s "$a/empty"
echo content >"$a/emptied"
: >"$a/emptied"
check ": > f over a file, at once" test -f "$a/emptied" -a ! -s "$a/emptied"
touch "$a/touched"
check "touch, at once" test -f "$a/touched"
check "touch: on the other mount" eventually test -f "$b/touched"
truncate -s 100 "$a/truncated"
check "truncate -s" test "$(stat -c %s "$a/truncated")" == 100
# Made, and closed while the replica stands still, for longer than a RELEASE waits for the one before it.
mkdir "$a/still"
python3 -c 'import os, signal, sys, time
pid = int(sys.argv[2])
for turn in range(3):
    made = [os.open("%s/%d-%d" % (sys.argv[1], turn, i), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644) for i in range(8)]
    os.kill(pid, signal.SIGSTOP)
    for fd in made:
        os.close(fd)
    time.sleep(1.5)
    os.kill(pid, signal.SIGCONT)' "$a/still" "$PACTD_PID"
in_order() {
    local name names=("$b/still"/*) zxid last=0
    ((${#names[@]} == 24)) || return 1
    for name in "${names[@]}"; do
        zxid=$(getfattr --absolute-names --only-values -n user.pact.mzxid "$name")
        ((zxid > last)) || return 1
        last=$zxid
    done
}
check "in the order of their closes, however slow the replica is" eventually in_order

stop_mount "$a"
stop_mount "$b"
stop_pactd
finish
