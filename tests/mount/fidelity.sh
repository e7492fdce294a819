#!/bin/bash
# A watcher on another host is told what a watcher is told on the host where it happens: for each kind of change the
# events of a mount where it is done (A) beside those of another (B), of watches on the directory, on the nodes
# themselves, in them and on the mount's root; in a directory of the root, in the root, and 120 levels below it. The
# differences must be those of fidelity.expected, which has the reason of each.
#
# Compared is for each watch the order of all it is told, with the two ends of each rename. Left out are OPEN, ACCESS and
# CLOSE_NOWRITE, which tell of readers and come on each host for its own; on A all MODIFY but the first between open and
# close, for one more follows each commit, and the rename of a name with a token to the true one (ghost_kinds.sh has these
# two). The same event twice in a row counts once.
#
# CASES=PATTERN: only those; VERBOSE=1: prints what the watches on A were told.
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/mount/ghost/lib.sh
. "$(dirname "$0")/ghost/lib.sh"
expected=$(cd "$(dirname "$0")" && pwd)/fidelity.expected
op() { [[ $("$PACT_TESTS/op" "$@") == OK ]]; }
# all_announced: both mounts have announced what was done so far
all_announced() {
    announced
    eventually settled "$A" || fail "still $(counter "$A" pending) changes to announce on A"
}

# What is done, in a new directory with the files f and g, the directories sub (empty), tree (with x/y and x/z) and
# other (with h), and link, which points to f.
changes() {
    cat <<'END'
create an empty file          | : >new
create a file                 | echo content >new
create by mknod               | op file new
create a directory            | mkdir new
create a symlink              | ln -s f new
create a tree                 | mkdir -p new/b/c
a sequential directory        | mkdir 'new-{seq}'
a sequential file             | echo x >'new-{seq}'
an ephemeral file             | echo x >'{ephemeral}new'
a symlink with a lifetime     | ln -s f '{ttl=1h}new'
an owned directory            | mkdir "{owner=$$}new"
rename onto a token           | mv f 'f-{seq}'
write over                    | echo 2 >f
write a part                  | printf 22 1<>f
append                        | echo 3 >>f
append twice, one open        | { echo 3; all_announced; echo 4; } >>f
write and fsync               | dd of=f conv=notrunc,fsync status=none <g
cut to nothing                | : >f
cut shorter by name           | op truncate "$PWD/f" 1
grow by name                  | op truncate "$PWD/f" 100
cut with a descriptor         | truncate -s 1 f
allocate                      | op fallocate "$PWD/f" 5000
write to what a symlink names | echo 2 >link
open to write and do not      | exec 5>>f; exec 5>&-
a reader                      | cat f; ls -l .; stat f
mode                          | chmod 600 f
mode as it was                | chmod 644 f
mode of a directory           | chmod 700 sub
mode of the directory itself  | chmod 750 .
owner                         | chown 1:1 f
owner of a symlink            | chown -h 1:1 link
times                         | touch f
times of a directory          | touch -d yesterday sub
times of a symlink            | touch -h -d yesterday link
an attribute                  | setfattr -n user.x -v 1 f
an attribute of a directory   | setfattr -n user.x -v 1 sub
an attribute away             | setfattr -n user.x -v 1 f; all_announced; setfattr -x user.x f
rename a file                 | mv f new
rename a directory            | mv tree new
rename a symlink              | mv link new
rename to another directory   | mv f other/new
rename a directory to another | mv tree other/new
rename up                     | mv other/h new
rename over a file            | mv f g
rename over another's file    | mv f other/h
rename over an empty directory | mv -T tree sub
rename over a symlink         | ln -s g new; all_announced; mv -T new link
rename without replacing      | op rename "$PWD/f" "$PWD/new" noreplace
exchange files                | op rename "$PWD/f" "$PWD/g" exchange
exchange with another directory's | op rename "$PWD/f" "$PWD/other/h" exchange
exchange a file and a directory | op rename "$PWD/f" "$PWD/tree" exchange
exchange directories          | op rename "$PWD/sub" "$PWD/tree/x" exchange
rename and write under the old name | mv f new; echo 2 >f
there and back                | mv f new; mv new f
remove a file                 | rm f
remove a symlink              | rm link
remove a directory            | rmdir sub
remove a tree                 | rm -r tree
remove and make again         | rm f; echo 2 >f
remove a directory and make it again | rmdir sub; mkdir sub; all_announced; mkdir sub/new
make and remove               | echo 1 >new; rm new
remove an open file           | exec 5<f; rm f; all_announced; exec 5<&-
write to a removed file       | exec 5>>f; rm f; all_announced; echo 2 >&5; exec 5>&-
replace an open file          | exec 5<g; mv f g; all_announced; exec 5<&-
remove the directory one is in | (cd sub && rmdir ../sub)
refused calls                 | mkdir sub; rmdir tree; op rename "$PWD/f" "$PWD/g" noreplace; rm new; mv sub/new f; op unlink "$PWD/sub"
copy                          | cp f new
copy a tree                   | cp -a tree new
move a tree                   | mv tree/x other/x
install                       | install -m 600 f new
install over                  | install -m 600 f g
ln -sfn                       | ln -sfn g link
ln -sfT                       | ln -sfT g link
tar                           | tar cf - tree | tar xf - -C other
rsync                         | rsync -a tree/ other/
rsync over a file             | rsync -a --checksum f other/h
sed -i                        | sed -i s/1/2/ f
vim                           | vim.tiny -Nu NONE -n -es -c 's/1/2/' -c wq f
vim with a swap file          | vim.tiny -Nu NONE -es -c 's/1/2/' -c wq f
vim, written over             | vim.tiny -Nu NONE -n -es -c 'set backupcopy=yes' -c 's/1/2/' -c wq f
a new version beside, then over | echo 2 >.f.new; sync .f.new; mv .f.new f
a backup, then over           | cp f f~; echo 2 >f
a lock file, then over        | (set -C; echo 2 >f.lock); mv f.lock f
patch                         | printf -- '--- f\n+++ f\n@@ -1 +1 @@\n-1\n+2\n' | patch -s f
flock                         | flock f true
a killed writer               | bash -c 'exec 5>f; echo 2 >&5; kill -9 $BASHPID'
modification time alone       | touch -m sub
access time alone             | touch -a sub
END
}

# The watches, by name.
WATCHES=(. f g sub tree tree/x other other/h)

prepare() { # PLACE
    # shellcheck disable=SC2015  # `fail` ends the test
    cd "$A$1" && mkdir -p sub tree/x/y other && echo 1 >f && echo 22 >g && echo z >tree/x/z && echo h >other/h &&
        ln -s f link && cd / || fail "cannot prepare $1"
    sync "$B" || fail "sync"
    ls -lR "$B$1" >"$WORK/said"
}

clear_up() { # PLACE
    (cd "$A$1" && rm -rf f* .f* g* sub tree other link* new* 4913) || fail "cannot clear $1 up"
}

# watch_both PLACE: every event on A goes to $WORK/events-a, on B to $WORK/events-b
watch_both() {
    local mnt name paths
    WATCHERS=()
    for mnt in a b; do
        paths=()
        for name in "${WATCHES[@]}"; do paths+=("$WORK/$mnt$1/$name"); done
        [[ ! $1 ]] || paths+=("$WORK/$mnt")
        : >"$WORK/watching-$mnt"
        "$PACT_TESTS/ghost_watch" "${paths[@]}" >"$WORK/events-$mnt" 2>"$WORK/watching-$mnt" &
        WATCHERS+=("$!")
    done
    started "$WORK/watching-a" "${WATCHERS[0]}" ready "the watcher of A"
    started "$WORK/watching-b" "${WATCHERS[1]}" ready "the watcher of B"
}

end_watches() {
    kill "${WATCHERS[@]}"
    ended "${WATCHERS[0]}" "the watcher of A"
    ended "${WATCHERS[1]}" "the watcher of B"
}

# with_true_names FILE: the events, without those by which a name with a token becomes the true one
with_true_names() {
    awk 'FNR == NR && $3 ~ /^MOVED_FROM/ && $5 ~ /{/ { template[$4] = $2 SUBSEP $5 }
         FNR == NR && $3 ~ /^MOVED_TO/ && $4 in template { name[template[$4]] = $5 }
         FNR == NR || $4 in template { next }
         ($2, $5) in name { $5 = name[$2, $5] }
         { print }' "$1" "$1"
}

# told MNT: what its watches were told, a line each: "WATCH EVENT NAME", of renames with the other end
told() {
    with_true_names "$WORK/events-$1" >"$WORK/events"
    awk -v names="${WATCHES[*]} /" -v here="$([[ $1 != a ]] || echo 1)" '
        BEGIN { split(names, watch, " ") }
        FNR == NR { if ($4) end[$3 ~ /FROM/, $4] = watch[$2 + 1] ":" $5; next }
        $3 ~ /^OPEN/ { opened[$2, $5]++ }
        $3 ~ /^CLOSE/ { opened[$2, $5]-- }
        $3 ~ /^(OPEN|ACCESS|CLOSE)(,ISDIR)?$/ { next }
        $3 == "CLOSE_WRITE" { written[$2] = 1; modified[$2, $5] = 0 }
        here && $3 == "MODIFY" && (opened[$2, $5] > 0 ? modified[$2, $5]++ : written[$2]) { next }
        { line = watch[$2 + 1] " " $3 " " $5
          if ($4) line = line ($3 ~ /FROM/ ? " to " : " from ") end[$3 !~ /FROM/, $4]
          if (line != last[$2]) print $2, line
          last[$2] = line }' "$WORK/events" "$WORK/events" | sort -snk 1,1 | cut -d ' ' -f 2-
}

# one NAME COMMAND PLACE
one() {
    local name=$1 command=$2 place=$3
    prepare "$place"
    all_announced
    watch_both "$place"
    # shellcheck disable=SC2294
    (cd "$A$place" && eval "$command") >"$WORK/said" 2>&1 </dev/null
    all_announced
    end_watches
    told a >"$WORK/told-a"
    told b >"$WORK/told-b"
    [[ -s $WORK/told-a || $name =~ reader|refused|flock|access|not$ ]] || fail "$name: nothing was told on A: $(<"$WORK/said")"
    [[ ! ${VERBOSE:-} ]] || sed "s/^/# $name: /" "$WORK/told-a"
    diff "$WORK/told-a" "$WORK/told-b" | sed -En "s/owner=[0-9]+/owner=PID/; s/(sed|\.h\.)[A-Za-z0-9]{6}\$/\1XXXXXX/
        s/^< /$name: only A: /p; s/^> /$name: only B: /p" >>"$WORK/differences"
    clear_up "$place"
}

start_ensemble 3
start_mount_on 1 "$A"
start_mount_on 2 "$B"
deep=$(printf '/d%.0s' {1..120})
mkdir -p "$A$deep" "$A/in"
grep -vE '^(#|$|\?)' "$expected" | sort >"$WORK/expected"
sed -n 's/^? //p' "$expected" >"$WORK/possible"
few='create .*|.* of the directory itself|write over|append|rename a .*|rename to .*|exchange files|remove a .*'
for place in /in '' "$deep"; do
    # Below and above everything is the same but for the path: without PACT_SOAK a few changes will do there.
    [[ $place == /in || ${PACT_SOAK:-} || ${CASES:-} ]] || CASES=$few
    [[ ! ${CASES:-} ]] || grep -E "^($CASES):" "$WORK/expected" | sort -o "$WORK/expected"
    count=0
    : >"$WORK/differences"
    while IFS='|' read -r name command; do
        name=${name%"${name##*[! ]}"}
        [[ ! ${CASES:-} || $name =~ ^(${CASES})$ ]] || continue
        count=$((count + 1))
        one "$name" "$command" "$place"
    done < <(changes)
    sort "$WORK/differences" | grep -vxFf "$WORK/possible" >"$WORK/found"
    diff "$WORK/expected" "$WORK/found" | sed -n 's/^< /# no longer: /p; s/^> /# unexpected: /p'
    depth=$(tr -dc / <<<"$place" | wc -c)
    check "$count changes at depth $depth, told alike on both mounts but for $(wc -l <"$WORK/expected") events" \
        cmp "$WORK/expected" "$WORK/found"
done
[[ $(counter "$B" failed) == 0 ]] || fail "the kernel refused $(counter "$B" failed) ghosts"
grep -vE '^(#|$)' "$expected" | sed 's/^/# /'
stop_mount "$A"
stop_mount "$B"
stop_ensemble
finish
