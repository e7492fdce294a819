#!/bin/bash
# What leans on POSIX: git, make, find, du, sqlite3; and what cannot work here, with the error that it gets.
. "$(dirname "$0")/lib.sh"
start_hosts
cd "$WORK" || exit 1
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@localhost GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@localhost GIT_CONFIG_GLOBAL=/dev/null
git_a() { git -C "$A/$1" -c safe.directory='*' "${@:2}"; }
git_b() { sync_b && git -C "$B/$1" -c safe.directory='*' "${@:2}"; }

git_commits() {
    git init -q -b main "$A/repo" && mkdir "$A/repo/src" && cp /usr/include/std*.h "$A/repo/src" && git_a repo add . &&
        git_a repo commit -q -m first && git_a repo fsck --strict && [[ ! $(git_b repo status --porcelain) ]] &&
        [[ $(git_b repo log --format=%s) == first ]]
}
git_both() {
    echo b >"$B/repo/b" && git_b repo add b && git_b repo commit -q -m second && sync "$A" && echo a >"$A/repo/a" &&
        git_a repo add a && git_a repo commit -q -m third && [[ $(git_b repo rev-list --count HEAD) == 3 ]] && git_b repo fsck
}
git_gc() { git_a repo gc -q --prune=now && git_b repo fsck --full && [[ $(git_b repo rev-list --count HEAD) == 3 ]]; }
git_clone() {
    git clone -q --bare "$A/repo" "$A/bare.git" && sync_b && git clone -q "$B/bare.git" "$WORK/clone" &&
        echo c >"$WORK/clone/c" && git -C "$WORK/clone" add c && git -C "$WORK/clone" commit -q -m fourth &&
        git -C "$WORK/clone" push -q && sync "$A" && git_a repo fetch -q "$A/bare.git" main && git_a repo merge -q FETCH_HEAD &&
        [[ $(git_b repo log -1 --format=%s) == fourth ]]
}
git_branches() { git_a repo switch -q -c topic && git_a repo mv src moved && git_a repo commit -q -m moved && git_a repo switch -q main && git_b repo diff --quiet main HEAD; }
git_locked() { : >"$A/repo/.git/index.lock" && sync_b && git -C "$B/repo" add .; }
row git "init, add, commit on one host; status, log on the other" git_commits
row git "commits on both" git_both
row git "gc, then fsck on the other host" git_gc
row git "clone, push, fetch, merge" git_clone
row git "switch, mv, merge of branches" git_branches
row_fails git "while the other host has the index's lock" "index.lock': File exists" git_locked

with_make() {
    mkdir "$A/make" && printf 'out: in\n\tcp in out\n\techo made >>log\n' >"$A/make/Makefile" && echo 1 >"$A/make/in" &&
        make -s -C "$A/make" && sync_b && make -s -C "$B/make" && [[ $(wc -l <"$B/make/log") == 1 ]] && echo 2 >"$B/make/in" &&
        sync "$A" && make -s -C "$A/make" && text_on_b make/out 2
}
compiles() {
    printf '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n' >"$A/make/hello.c" &&
        cc -o "$A/make/hello" "$A/make/hello.c" && sync_b && [[ $("$B/make/hello") == hello ]]
}
with_find() {
    mkdir -p "$A/tree/one/two" && echo x >"$A/tree/one/file" && touch -d 2001-01-01 "$A/tree/one/old" && sync_b &&
        [[ $(find "$B/tree" -type f -newermt 2002-01-01 -size 1) == "$B/tree/one/file" ]] &&
        [[ $(find "$B/tree" -mindepth 1 -type d | wc -l) == 2 ]] && find "$B/tree" -name old -delete && sync "$A" && [[ ! -e $A/tree/one/old ]]
}
with_du() {
    head -c 300000 /dev/urandom >"$A/tree/large" && sync_b && (($(du -sk "$B/tree" | cut -f1) >= 290)) &&
        [[ $(du -s --apparent-size -B1 "$B/tree/large" | cut -f1) == 300000 ]] && df "$B" >/dev/null
}
with_grep() { [[ $(grep -rl hello "$B/make" --include='*.c') == "$B/make/hello.c" ]]; }
with_sort() { printf '3\n1\n2\n' >"$A/tree/sort" && sort -o "$A/tree/sort" "$A/tree/sort" && text_on_b tree/sort $'1\n2\n3'; }
with_dd() { dd if=/dev/zero of="$A/tree/sort" bs=1 seek=2 count=1 conv=notrunc status=none && sync_b && [[ $(od -An -tx1 "$B/tree/sort") == ' 31 0a 00 0a 33 0a' ]]; }
row make "builds what is older, on either host" with_make
row "cc, ld" "compile and link a program, which the other host runs" compiles
row find "-newermt, -size, -type, -delete" with_find
row "du, df" "what a tree takes" with_du
row "grep -r" "a tree" with_grep
row "sort -o" "a file onto itself" with_sort
row "dd conv=notrunc" "a byte in the middle" with_dd

with_sqlite() {
    sqlite3 "$A/tree/db" "create table t (a integer primary key, b text); begin; with recursive n(i) as (select 1 union all select i + 1 from n where i < 500) insert into t select i, hex(randomblob(100)) from n; commit;" &&
        sync_b && [[ $(sqlite3 "$B/tree/db" 'select count(*) from t; pragma integrity_check') == $'500\nok' ]] &&
        sqlite3 "$B/tree/db" 'delete from t where a > 100; vacuum' && sync "$A" && [[ $(sqlite3 "$A/tree/db" 'select count(*) from t') == 100 ]]
}
sqlite_dump() { sqlite3 "$B/tree/db" .dump | sqlite3 "$A/tree/copy" && [[ $(sqlite3 "$A/tree/copy" 'select count(*) from t') == 100 ]]; }
sqlite_wal() {
    sqlite3 "$A/tree/wal" "pragma journal_mode=wal; create table t (a); insert into t values (1)" && sync_b &&
        [[ $(sqlite3 "$B/tree/wal" 'insert into t values (2); select count(*) from t; pragma journal_mode=delete') == $'2\ndelete' ]]
}
shared_mapping() {
    head -c 8192 /dev/zero >"$A/tree/map" && /usr/bin/python3 - "$A/tree/map" <<'END' && [[ $(head -c 5 "$A/tree/map") == hello ]] && sync_b && [[ $(head -c 5 "$B/tree/map") == hello ]]
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
map = mmap.mmap(fd, 0)
map[0:5] = b"hello"
map.flush()
map.close()
os.close(fd)
END
}
row sqlite3 "a transaction, read, deleted from and vacuumed on the other host" with_sqlite
row sqlite3 ".dump into another database" sqlite_dump
row sqlite3 "journal_mode=wal, by one host at a time" sqlite_wal
row "python mmap" "writes through a shared mapping, flushed: the other host reads it" shared_mapping

echo "# what cannot work"
echo x >"$A/tree/x"
head -c 2000000 /dev/urandom >"$WORK/large"
row_fails ln "a hard link" "Operation not permitted" ln "$A/tree/x" "$A/tree/hard"
row_fails "cp -al" "a tree of hard links" "Operation not permitted" cp -al "$A/tree" "$A/linked"
row_fails cp "a file over 1 MiB" "File too large" cp "$WORK/large" "$A/tree/too-large"
row_fails "truncate -s" "to over 1 MiB" "File too large" truncate -s 2M "$A/tree/x"
git_large() { cp "$WORK/large" "$WORK/clone/l" && git -C "$WORK/clone" add l && git -C "$WORK/clone" commit -q -m l && git -C "$WORK/clone" push -q; }
row_fails "git push" "an object over 1 MiB" "File too large" git_large
row_fails mkfifo "a fifo" "Operation not permitted" mkfifo "$A/tree/fifo"
row_fails mknod "a device" "Operation not permitted" mknod "$A/tree/null" c 1 3
row_fails "python socket.bind" "a socket" "Operation not permitted" /usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$A/s"
finish_rows
