#!/bin/bash
# What keeps two hosts from doing the same at once. Each row takes the lock on A, is refused on B, and gets it once A has
# let go; with the locks that a process holds, also when it is killed.
. "$(dirname "$0")/lib.sh"
start_hosts
mkdir "$A/l"
sync_b

# hold NAME COMMAND...: a process that takes a lock, says so, and keeps it
hold() {
    start "$@"
    eventually says "$1" '^held$' || { cat "$WORK/$1.out" && return 1; }
}

with_flock() {
    hold flock flock "$A/l/flock" bash -c 'echo held; exec sleep 1000' || return 1
    ! flock -n "$B/l/flock" true && ! flock -w 0.3 "$B/l/flock" true || return 1
    ! flock -s -n "$B/l/flock" true || return 1
    stop "$STARTED"
    timeout 60 flock "$B/l/flock" true
}
flock_shared() {
    hold shared flock -s "$A/l/shared" bash -c 'echo held; exec sleep 1000' || return 1
    flock -s -n "$B/l/shared" true && ! flock -n "$B/l/shared" true
    local status=$?
    stop "$STARTED"
    return "$status"
}
flock_killed() {
    hold killed flock -o "$A/l/killed" bash -c 'echo held; exec sleep 1000' || return 1
    ! flock -n "$B/l/killed" true || return 1
    pkill -9 -P "$STARTED"
    kill -9 "$STARTED"
    wait "$STARTED" 2>/dev/null
    timeout 60 flock "$B/l/killed" true
}
# As a cron job on two hosts: one of them runs.
cron_job() {
    rm -f "$A/l/ran"
    # shellcheck disable=SC2016  # for the shell that runs it
    local job='echo ran >>"$0/l/ran"; until [[ -e "$0/l/go" ]]; do sleep 0.05; done'
    flock -n "$A/l/cron" bash -c "$job" "$A" &
    eventually test -e "$B/l/ran" && ! flock -n "$B/l/cron" bash -c "$job" "$B" && touch "$B/l/go"
    local status=$?
    touch "$A/l/go"
    wait $!
    [[ $status == 0 && $(<"$A/l/ran") == ran ]]
}
row "flock(1)" "-n and -w are refused, then it is free" with_flock
row "flock(1)" "-s: shared" flock_shared
row "flock(1)" "its holder killed" flock_killed
row "flock -n" "a cron job on one host only" cron_job

# It is opened for writing, which cuts it, and written through another descriptor; closing the first changes nothing.
pid_in_lock() {
    bash -c 'exec 9>"$0"; flock 9; echo $$ >"$0"; [[ $(cat "$0") == "$$" ]] && echo $$ >"$1"' "$A/l/pid" "$WORK/pid" &&
        sync_b && cmp "$B/l/pid" "$WORK/pid"
}
row bash 'exec 9>lock; flock 9; echo $$ >lock' pid_in_lock

posix_lock() { # FUNCTION
    cat >"$WORK/lock.py" <<'END'
import fcntl, sys, time
file = open(sys.argv[1], "a+")
if len(sys.argv) > 3:
    getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(1000)
try:
    getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(11)
END
    hold "python-$1" /usr/bin/python3 "$WORK/lock.py" "$A/l/python-$1" "$1" hold || return 1
    local status=0
    /usr/bin/python3 "$WORK/lock.py" "$B/l/python-$1" "$1" || status=$?
    stop "$STARTED"
    [[ $status == 11 ]] && eventually /usr/bin/python3 "$WORK/lock.py" "$B/l/python-$1" "$1"
}
row "python fcntl.lockf" "refused, then free" posix_lock lockf
row "python fcntl.flock" "refused, then free" posix_lock flock
with_perl() {
    # shellcheck disable=SC2016  # perl's own
    hold perl perl -e 'use Fcntl ":flock"; $| = 1; open F, ">>", $ARGV[0]; flock F, LOCK_EX; print "held\n"; sleep' "$A/l/perl" ||
        return 1
    ! perl -e 'use Fcntl ":flock"; open F, ">>", $ARGV[0]; exit !flock F, LOCK_EX | LOCK_NB' "$B/l/perl"
    local status=$?
    stop "$STARTED"
    return "$status"
}
row "perl flock" "refused" with_perl

echo "# by names"
with_noclobber() {
    (set -C && echo a >"$A/l/excl") 2>/dev/null && ! (set -C && echo b >"$B/l/excl") 2>/dev/null && text_on_b l/excl a
}
with_mkdir() { mkdir "$A/l/dir" && ! mkdir "$B/l/dir" && rmdir "$B/l/dir" && mkdir "$B/l/dir"; }
with_symlink() {
    ln -s "a:$$" "$A/l/link" && ! ln -s "b:$$" "$B/l/link" && [[ $(readlink "$B/l/link") == "a:$$" ]] && rm "$B/l/link" &&
        ln -s "b:$$" "$B/l/link"
}
# 200 times both hosts at once: one wins.
race() { # MOUNT: a line for each win
    local i
    for i in {1..200}; do (set -C && : >"$1/l/won/$i") 2>/dev/null && echo won; done
}
contested() {
    local wins
    mkdir "$A/l/won" && sync_b
    race "$A" >"$WORK/won" &
    wins=$(race "$B" | wc -l)
    wait $!
    wins=$((wins + $(wc -l <"$WORK/won")))
    ((wins == 200)) || { echo "$wins wins of 200" && return 1; }
}
row "set -C" "open(O_EXCL): the second host is refused" with_noclobber
row mkdir "the second host is refused, until it is removed" with_mkdir
row "set -C" "200 races of two hosts: one wins each" contested
row "ln -s" "a lock that says whose it is" with_symlink

# In the background it still has to write its pid, and to become the program, when start-stop-daemon has returned.
sleeps() { [[ -s $1 && $(readlink "/proc/$(<"$1")/exe") == "$(readlink -f /bin/sleep)" ]]; }
with_daemon() {
    start-stop-daemon --start --background --make-pidfile --pidfile "$A/l/daemon.pid" --startas /bin/sleep -- 60 &&
        eventually sleeps "$A/l/daemon.pid" || return 1
    sync_b
    local pid again=0
    pid=$(<"$B/l/daemon.pid")
    start-stop-daemon --start --oknodo --pidfile "$B/l/daemon.pid" --exec /bin/sleep --test -- 60 >"$WORK/again" || again=$?
    [[ $again == 0 ]] && grep -q 'already running' "$WORK/again" &&
        start-stop-daemon --stop --remove-pidfile --retry 10 --pidfile "$B/l/daemon.pid" && ! kill -0 "$pid" 2>/dev/null &&
        [[ ! -e $B/l/daemon.pid ]]
}
with_logrotate() {
    mkdir "$A/rotate" && echo line >"$A/rotate/log" && chmod 755 "$A/rotate" && sync_b
    local mnt name
    for mnt in "$A" "$B"; do
        # shellcheck disable=SC2016  # for the shell that logrotate runs
        printf '%s {\n size 1\n rotate 2\n postrotate\n echo held; n=600; until [ -e %s/rotate/go ] || [ $n = 0 ]; do n=$((n - 1)); sleep 0.1; done\n endscript\n}\n' \
            "$mnt/rotate/log" "$mnt" >"$WORK/logrotate.${mnt##*/}"
    done
    hold logrotate logrotate -f -s "$A/rotate/state" "$WORK/logrotate.a" || return 1
    ! logrotate -f -s "$B/rotate/state" "$WORK/logrotate.b" >"$WORK/second" 2>&1 && touch "$B/rotate/go" && wait "$STARTED" &&
        grep -q 'state file .* is already locked' "$WORK/second" && text_on_b rotate/log.1 line
}
row "start-stop-daemon --pidfile" "started once, stopped by the pid" with_daemon
row_fails lockfile-progs "lockfile-create: makes a file and hard links it to the lock" "lockfile creation failed" \
    lockfile-create -r 0 "$A/l/progs"
row_fails dotlockfile "the same" "status 4" dotlockfile -r 0 -l "$A/l/dot.lock"
row logrotate "its state file is locked: the second host does not rotate" with_logrotate

echo "# databases"
sql() { sqlite3 -cmd '.timeout 60000' "$@"; }
with_sqlite() {
    sql "$A/l/db" 'create table t (host text, n integer)' || return 1
    local i
    for i in {1..20}; do sql "$A/l/db" "insert into t values ('a', $i)"; done &
    for i in {1..20}; do sql "$B/l/db" "insert into t values ('b', $i)"; done
    wait $!
    sync_b
    [[ $(sql "$B/l/db" 'select count(*), count(distinct host) from t; pragma integrity_check') == $'40|2\nok' ]]
}
sqlite_transaction() {
    hold sqlite bash -c "(echo \"begin exclusive; insert into t values ('c', 1); select 'held';\"; sleep 1000) | exec sqlite3 '$A/l/db'" ||
        return 1
    ! sqlite3 "$B/l/db" "insert into t values ('d', 1)" 2>"$WORK/sqlite.err" && grep -q locked "$WORK/sqlite.err"
    local status=$?
    stop "$STARTED"
    [[ $status == 0 && $(sql "$B/l/db" "select count(*) from t where host = 'c'") == 0 ]]
}
row sqlite3 "two hosts insert into one table at once" with_sqlite
row sqlite3 "a transaction keeps the other host out; it is rolled back when its process is killed" sqlite_transaction
finish_rows
