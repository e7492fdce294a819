#!/bin/bash
# Editors and what deploys: on A; B then has the same, and never anything half done (tests/mount/versions.sh).
. "$(dirname "$0")/lib.sh"
start_hosts
cd "$A" || exit 1
mkdir edit

fresh() { printf 'one\ntwo\nthree\n' >edit/file; }

with_vim() {
    fresh
    vim.tiny -u NONE -es -c '%s/two/TWO/' -c 'wq' edit/file </dev/null && text_on_b edit/file $'one\nTWO\nthree'
}
vim_renames() {
    fresh
    vim.basic -u NONE -es -c 'set nocompatible backup backupcopy=no backupskip=' -c 1d -c wq edit/file </dev/null &&
        text_on_b edit/file $'two\nthree' && [[ $(<edit/file~) == $'one\ntwo\nthree' ]]
}
with_nano() {
    fresh
    expect -c 'spawn nano --ignorercfiles edit/file; expect three; send "ZERO\r\017\r"; expect Wrote; send "\030"; expect eof' >/dev/null
    text_on_b edit/file $'ZERO\none\ntwo\nthree'
}
with_ed() {
    fresh
    printf '2c\nTWO\n.\nw\nq\n' | ed -s edit/file && text_on_b edit/file $'one\nTWO\nthree'
}
row vim "edits and saves" with_vim
row_if /usr/bin/vim.basic vim "with a backup, saving by rename" vim_renames
row nano "edits and saves" with_nano
row ed "edits and saves" with_ed

with_sed() { fresh && sed -i 's/two/2/' edit/file && text_on_b edit/file $'one\n2\nthree'; }
sed_backup() { fresh && sed -i.old 's/two/2/' edit/file && text_on_b edit/file.old $'one\ntwo\nthree'; }
with_perl() { fresh && perl -pi -e 's/two/2/' edit/file && text_on_b edit/file $'one\n2\nthree'; }
with_patch() {
    fresh && printf -- '--- edit/file\n+++ edit/file\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n' | patch -p0 &&
        text_on_b edit/file $'one\n2\nthree'
}
with_python() {
    /usr/bin/python3 - <<'END' && text_on_b edit/file new
import os, tempfile
fd, name = tempfile.mkstemp(dir="edit")
with os.fdopen(fd, "w") as file:
    file.write("new\n"); file.flush(); os.fsync(fd)
os.replace(name, "edit/file")
END
}
row "sed -i" "replaces a file" with_sed
row "sed -i.old" "and keeps the old one" sed_backup
row "perl -pi" "replaces a file" with_perl
row patch "patches a file" with_patch
row python "mkstemp, fsync, os.replace" with_python

# What is written is neither closed nor synced.
flushed_for_a_child() {
    local script='
import subprocess, tempfile
with tempfile.NamedTemporaryFile(dir="edit") as file:
    file.write(b"content"); file.flush()
    subprocess.run(["cat", file.name])'
    [[ $(/usr/bin/python3 -c "$script") == content ]]
}
row python "NamedTemporaryFile, flushed for a child to read" flushed_for_a_child

history_append() {
    printf 'echo one\nexit\n' | HISTFILE=$A/edit/history bash --norc -i >/dev/null 2>&1
    printf 'shopt -s histappend\necho two\nexit\n' | HISTFILE=$B/edit/history bash --norc -i >/dev/null 2>&1
    sync_b
    grep -qx 'echo one' "$B/edit/history" && grep -qx 'echo two' "$B/edit/history"
}
both_append() {
    local i
    : >edit/log
    for i in {1..50}; do echo "a $i" >>"$A/edit/log"; done &
    for i in {1..50}; do echo "b $i" >>"$B/edit/log"; done
    wait $!
    sync_b
    [[ $(wc -l <"$B/edit/log") == 100 && $(grep -c '^[ab] [0-9]*$' "$B/edit/log") == 100 ]]
}
with_tee() { echo x | tee -a "$A/edit/tee" && echo y | tee -a "$B/edit/tee" && text_on_b edit/tee $'x\ny'; }
row "bash history" "histappend, one host after the other" history_append
row "echo >>" "100 lines from two hosts at once: each is there, whole" both_append
row "tee -a" "appends, on either host" with_tee

echo "# deploying"
source_tree=$WORK/source
mkdir -p "$source_tree/bin" "$source_tree/etc/empty"
cp /usr/include/std*.h "$source_tree/etc"
printf '#!/bin/sh\necho deployed\n' >"$source_tree/bin/run"
chmod 755 "$source_tree/bin/run"
ln -s ../etc/stdio.h "$source_tree/bin/link"
find "$source_tree" -exec touch -h -d '2001-02-03 04:05:06' {} + # rsync and tar know whole seconds

arrived() { diff -r --no-dereference "$source_tree" "$A/$1" && diff <(listing "$source_tree") <(listing "$A/$1") && same_on_b "$1"; }
with_cp() { cp -a "$source_tree" cp && arrived cp; }
with_mv() { mv cp moved && arrived moved && [[ ! -e $B/cp ]]; }
mv_across() { cp -a "$source_tree" "$WORK/copy" && mv "$WORK/copy" mv && arrived mv && [[ ! -e $WORK/copy ]]; }
with_rsync() {
    rsync -a "$source_tree/" rsync/ && touch rsync/stray && rsync -a --delete "$source_tree/" rsync/ && arrived rsync
}
rsync_in_place() {
    cp -a "$source_tree" "$WORK/changed" && echo more >>"$WORK/changed/etc/stdio.h" &&
        rsync -a --inplace --no-whole-file "$WORK/changed/" rsync/ && cmp "$WORK/changed/etc/stdio.h" "$B/rsync/etc/stdio.h"
}
with_tar() { mkdir tar && tar -C "$source_tree" -cf - . | tar -C tar -xpf - && arrived tar; }
tar_out() { tar -C "$B/tar" -czf "$WORK/out.tgz" . && [[ $(tar -tzf "$WORK/out.tgz" | grep -c etc/stdio.h) == 1 ]]; }
with_install() {
    install -d -m 750 inst/etc && install -m 640 -o 12001 -g 13001 "$source_tree/etc/stdio.h" inst/etc/ && sync_b &&
        [[ $(stat -c '%a %u:%g' "$B/inst/etc/stdio.h") == '640 12001:13001' && $(stat -c %a "$B/inst/etc") == 750 ]]
}
runs_there() { [[ $("$B/tar/bin/run") == deployed ]]; }
releases() {
    mkdir -p releases/1 releases/2 && echo 1 >releases/1/version && echo 2 >releases/2/version &&
        ln -sfn releases/1 current && text_on_b current/version 1 &&
        ln -sfn releases/2 current && text_on_b current/version 2
}
# While A switches between two releases, B always finds one of them.
switching() {
    local i missed=0
    for i in {1..100}; do ln -sfn "releases/$((i % 2 + 1))" next && mv -T next current; done &
    while kill -0 $! 2>/dev/null; do
        [[ $(cat "$B/current/version" 2>&1) == [12] ]] || missed=$((missed + 1))
    done
    wait $!
    ((missed == 0)) || { echo "missed $missed times" && return 1; }
}
changes_all() { chmod -R go-rwx tar && chown -R 12001:13001 tar && same_on_b tar; }
removes_all() { [[ -e $B/tar ]] && rm -rf tar && sync_b && [[ ! -e $B/tar ]]; }
touches() { touch -r moved/etc/stdio.h edit/file && touch -d 2030-01-01 edit/tee && same_on_b edit; }
zips() {
    gzip moved/etc/stdio.h && sync_b && gunzip "$B/moved/etc/stdio.h.gz" && sync "$A" &&
        cmp "$source_tree/etc/stdio.h" moved/etc/stdio.h
}
row "cp -a" "a tree, with modes, owners, times and links" with_cp
row mv "a tree, within the mount" with_mv
row mv "a tree, from another filesystem" mv_across
row "rsync -a --delete" "a tree, and what is too much goes" with_rsync
row "rsync --inplace" "changed parts of files" rsync_in_place
row tar "unpacks a tree" with_tar
row tar "packs it on the other host" tar_out
row "install" "-d, -m, -o, -g" with_install
row "a script" "runs from the other mount" runs_there
row "ln -sfn" "switches releases" releases
row "ln -s, mv -T" "switches releases 100 times, read on the other host: never without one" switching
row "chmod -R, chown -R" "a tree" changes_all
row "rm -rf" "a tree" removes_all
row "touch" "-d, -r" touches
row gzip "packs a file, the other host unpacks it" zips
cd "$WORK" || exit 1
finish_rows
