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

echo "# written synchronously"
# synced FLAG: a write through such a descriptor is committed when it returns, though the file is still open.
synced() {
    python3 -c 'import os, subprocess, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | getattr(os, sys.argv[3]), 0o644)
for text in b"first\n", b"second\n":
    os.write(fd, text)
    subprocess.run(["sync", os.path.dirname(sys.argv[2])], check=True)
    with open(sys.argv[2], "rb") as other:
        assert other.read().endswith(text)
os.kill(os.getpid(), 9)' "$a/$1" "$b/$1" "$1"
    cmp "$a/$1" "$WORK/wanted" && (($(version "$a/$1") == 2))
}
check "O_DSYNC: a transaction each write" synced O_DSYNC
check "O_SYNC: the same" synced O_SYNC

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
python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL)
with open(sys.argv[2], "w") as other:
    other.write("a longer version")
os.write(fd, b"short\n")
os.close(fd)' "$a/both-hosts" "$b/both-hosts"
check "also where the other is on another host" test "$(<"$a/both-hosts")" == short
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

echo "# a new file whose maker ends without having written it"
# second MAKER OTHER CALL: OTHER is opened while MAKER is being written, whose writer is then killed; then CALL.
second() {
    python3 -c 'import os, signal, subprocess, sys
maker = subprocess.Popen([sys.executable, "-c", """import sys, time
file = open(sys.argv[1], "w")
file.write("half")
file.flush()
print(flush=True)
time.sleep(60)""", sys.argv[1]], stdout=subprocess.PIPE)
maker.stdout.readline()
fd = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | (os.O_APPEND if sys.argv[3] == "append" else 0))
maker.kill()
maker.wait()
os.write(fd, b"whole\n")
os.fsync(fd)
os.close(fd)' "$1" "$2" "$3"
}
for how in write append; do
    for other in a b; do
        f=$a/second-$how-$other
        second "$f" "$WORK/$other/second-$how-$other" $how
        sync "$a"
        check "$how: another writer of it, on mount $other, keeps it" test "$(cat "$f")" == whole
    done
done
lost=0
for ((i = 0; i < 30; i++)); do
    head -c 1048577 /dev/zero >"$a/again-$i" 2>/dev/null
    printf hi >"$a/again-$i" || lost=$((lost + 100))
    [[ -s $a/again-$i ]] || lost=$((lost + 1))
done
check "written again at once, after it was too big" test $lost == 0
check "also if its removal takes time" python3 -c 'import os, signal, sys, threading
pid = int(sys.argv[2])
def fails(call, *args):
    try:
        call(*args)
    except OSError:
        return
    raise SystemExit("it is not refused")
for turn in range(5):
    path = "%s-%d" % (sys.argv[1], turn)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, bytes(1048576))
    fails(os.write, fd, b"x")
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.5, os.kill, (pid, signal.SIGCONT)).start()
    fails(os.close, fd)
    with open(path, "w") as file:
        file.write("hi")
    assert open(path).read() == "hi"' "$a/slowly" "$PACTD_PID"
lost=0
for ((i = 0; i < 30; i++)); do
    # shellcheck disable=SC2016  # for the shell that it runs
    bash -c 'exec 3>"$0"; echo half >&3; kill -9 $$' "$a/killed-$i" 2>/dev/null
    printf hi >"$a/killed-$i" || lost=$((lost + 100))
    [[ -s $a/killed-$i ]] || lost=$((lost + 1))
done
check "and after its writer was killed" test $lost == 0

# The last host to open it goes, and it with that host's session.
start_mount "$WORK/c" -o session_timeout=1s
exec 5>"$a/with-host"
python3 -c 'import os, sys, time
os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
print("open", flush=True)
time.sleep(60)' "$WORK/c/with-host" >"$WORK/opened" &
opener=$!
eventually grep -q open "$WORK/opened"
supervisor=$(mount_pid "$WORK/c")
kill -9 "$supervisor" "$(worker_of "$supervisor")" $opener
wait $opener "$supervisor" 2>/dev/null
umount -l "$WORK/c"
check "a file that goes with another host's session" eventually not test -e "$a/with-host"
echo whole >&5
check "is not said to be written" python3 -c 'import errno, os
try:
    os.fsync(5)
except OSError as error:
    assert error.errno == errno.ESTALE
else:
    raise SystemExit("it is")'
exec 5>&-

echo "# a new file that goes to its name while it is being written"
echo old >"$a/renamed"
# shellcheck disable=SC2016  # for the shell that it runs
seen=$(bash -c 'exec 3>"$0.tmp"; echo new >&3; mv "$0.tmp" "$0"; sync "$1"; cat "$1/renamed"; kill -9 $$' \
    "$a/renamed" "$b" 2>/dev/null)
check "is shown as it is by now, also elsewhere" test "$seen" == new
sync "$a" "$b"
check "and stays, if its writer is killed then" test "$(cat "$a/renamed" "$b/renamed")" == $'new\nnew'
python3 -c 'import os, sys, tempfile
with tempfile.NamedTemporaryFile("w", dir=sys.argv[1], delete=False) as file:
    file.write("begun ")
    file.flush()
    os.replace(file.name, sys.argv[1] + "/renamed")
    file.write("and ended")' "$a"
check "what is written after it is committed at its close" test "$(cat "$a/renamed")" == "begun and ended"
echo one >"$a/swapped"
python3 -c 'import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
a, b = (os.fsencode(sys.argv[1]) + name for name in (b"/swapped", b"/new"))
fd = os.open(b, os.O_WRONLY | os.O_CREAT)
os.write(fd, b"two\n")
assert libc.renameat2(-100, a, -100, b, 2) == 0, os.strerror(ctypes.get_errno())
os.system("sync " + sys.argv[2] + "; cat " + sys.argv[2] + "/swapped " + sys.argv[2] + "/new >" + sys.argv[3])
os.close(fd)' "$a" "$b" "$WORK/swapped"
check "exchanged with another: both are there" test "$(<"$WORK/swapped")" == $'two\none'
chmod 755 "$WORK"
mkdir -m 1777 "$a/sticky"
sync "$b"
# shellcheck disable=SC2016  # for the shell that it runs
python3 -c 'import os, subprocess, sys
fd = os.open(sys.argv[1] + "/theirs", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
os.write(fd, b"theirs")
made = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c",
    "echo mine >$0/mine && ! mv -f $0/mine $0/theirs", sys.argv[2]], stderr=subprocess.DEVNULL)
os.close(fd)
sys.exit(made.returncode)' "$a/sticky" "$b/sticky"
check "another user does not replace it in a sticky directory, from no host" \
    test $? == 0 -a "$(cat "$a/sticky/theirs")" == theirs

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
# Made, and closed while the replica stands still: by the clock, as a close that waits is what this tries.
mkdir "$a/still"
check "a close of an empty file waits for its commit" python3 -c 'import os, signal, sys, threading, time
pid = int(sys.argv[2])
for turn in range(3):
    made = [os.open("%s/%d-%d" % (sys.argv[1], turn, i), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644) for i in range(8)]
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    threading.Timer(0.5, os.kill, (pid, signal.SIGCONT)).start()
    os.close(made[0])
    assert time.monotonic() - begun > 0.4
    for fd in made[1:]:
        os.close(fd)' "$a/still" "$PACTD_PID"
# in_flight HOW [OLD]: what a close or an fsync is committing goes on being shown, to other threads of the process, and of
# a new file (there is no OLD) to all here.
in_flight() {
    python3 -c 'import os, signal, subprocess, sys, threading
path, pid, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
os.write(fd, b"x" * 1000)
os.kill(pid, signal.SIGSTOP)
try:
    thread = threading.Thread(target=os.close if how == "close" else os.fsync, args=(fd,))
    thread.start()
    while open("/proc/self/task/%d/wchan" % thread.native_id).read() != "request_wait_answer": pass
    for i in range(300):
        assert os.stat(path).st_size == 1000, os.stat(path).st_size
        with open(path, "rb") as file:
            assert len(file.read()) == 1000
    if len(sys.argv) == 4:
        size = subprocess.run(["stat", "-c", "%s", path], capture_output=True, text=True).stdout
        assert size == "1000\n", size
finally:
    os.kill(pid, signal.SIGCONT)
thread.join()
assert os.stat(path).st_size == 1000' "$a/in-flight" "$PACTD_PID" "$@"
}
for how in close fsync; do
    rm -f "$a/in-flight"
    check "a new file does not go back to nothing while its $how is under way" in_flight $how
    echo old >"$a/in-flight"
    check "nor another to what it was" in_flight $how old
done
in_order() {
    local name names=("$b/still"/*) zxid last=0
    ((${#names[@]} == 24)) || return 1
    for name in "${names[@]}"; do
        zxid=$(getfattr --absolute-names --only-values -n user.pact.mzxid "$name")
        ((zxid > last)) || return 1
        last=$zxid
    done
}
check "in the order of their closes" eventually in_order
# Killed with its supervisor right after: what close has answered is there.
for ((i = 0; i < 5; i++)); do
    mount_at "$WORK/c" "$SERVERS"
    victims=("$(mount_pid "$WORK/c")" "$(worker_of "$(mount_pid "$WORK/c")")")
    python3 -c 'import os, signal, sys
os.close(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
for pid in sys.argv[2:]:
    os.kill(int(pid), signal.SIGKILL)' "$WORK/c/flag-$i" "${victims[@]}"
    wait "$(mount_pid "$WORK/c")" 2>/dev/null
    umount -l "$WORK/c"
    unset "MOUNT_PIDS[$WORK/c]"
done
flags=("$a"/flag-*)
check "an empty file is durable when it is closed" test "${#flags[@]}" == 5
# A child that has the descriptor goes on writing: one version, its own.
python3 -c 'import os, subprocess, sys
file = open(sys.argv[1], "w")
child = subprocess.Popen(["sh", "-c", "read -r _; echo first; echo second"], stdin=subprocess.PIPE, stdout=file)
file.close()
before = os.path.exists(sys.argv[2] + "/given")
child.communicate(b"go\n")
assert not before' "$a/given" "$b"
eventually test -s "$b/given" || fail "what the child wrote is not there"
check "what a child goes on with is one version" test "$(version "$a/given")" == 1

stop_mount "$a"
stop_mount "$b"
stop_pactd
finish
