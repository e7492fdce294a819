#!/bin/bash
# Watchers on B hear of what is done on A. Each is waited for until it watches, and then until it has said what it saw.
. "$(dirname "$0")/lib.sh"
start_hosts
mkdir "$A/w"
sync_b

# hears NAME PATTERN: within a minute
hears() { eventually says "$1" "$2" || { cat "$WORK/$1.out" && return 1; }; }

# Everything that a directory's watch can tell.
with_inotifywait() {
    start inotifywait inotifywait -m --format '%e %f' "$B/w"
    watches_soon "$STARTED" "$B/w" || return 1
    (cd "$A/w" && echo 1 >file && echo 2 >file && chmod 600 file && mv file moved && rm moved && mkdir dir && rmdir dir)
    hears inotifywait '^DELETE,ISDIR dir' &&
        for event in 'CREATE file' 'MODIFY file' 'CLOSE_WRITE,CLOSE file' 'ATTRIB file' 'MOVED_FROM file' 'MOVED_TO moved' \
            'DELETE moved' 'CREATE,ISDIR dir' 'DELETE,ISDIR dir'; do
            says inotifywait "^$event" || { echo "no $event" && cat "$WORK/inotifywait.out" && return 1; }
        done
}
recursively() {
    mkdir -p "$A/deep/one/two" && sync_b || return 1
    start recursive inotifywait -m -r --format '%e %w%f' "$B/deep"
    watches_soon "$STARTED" "$B/deep/one/two" || return 1
    echo x >"$A/deep/one/two/file" || return 1
    hears recursive "CLOSE_WRITE,CLOSE $B/deep/one/two/file"
}
with_inotifywatch() {
    start inotifywatch inotifywatch -t 3 "$B/w"
    watches_soon "$STARTED" "$B/w" || return 1
    for i in {1..5}; do echo "$i" >"$A/w/counted"; done
    wait "$STARTED"
    says inotifywatch "$B/w/?$"
}
# systemd.path(5): PathChanged= and PathModified= watch for IN_CLOSE_WRITE, IN_MOVED_TO and some more.
path_unit() {
    start path inotifywait -m --format '%e %f' -e close_write,moved_to,attrib,delete,move_self,moved_from,create,delete_self "$B/w"
    watches_soon "$STARTED" "$B/w" || return 1
    echo x >"$A/w/.new" && mv "$A/w/.new" "$A/w/activated" || return 1
    hears path '^MOVED_TO activated'
}
row inotifywait "-m on a directory: create, modify, close, mode, rename, delete" with_inotifywait
row "inotifywait -r" "a file deep below" recursively
row inotifywatch "counts" with_inotifywatch
row "a .path unit" "its mask: IN_CLOSE_WRITE, IN_MOVED_TO" path_unit
row_fails fsnotifywait "fanotify on the whole filesystem" "Couldn't" fsnotifywait --filesystem -t 5 "$B/w"

# -a: without it entr takes no notice of what is written while its command runs.
with_entr() {
    echo 1 >"$A/w/entr" && sync_b || return 1
    start entr bash -c "echo '$B/w/entr' | exec entr -n -a cat /_"
    hears entr '^1$' && watches_soon "$STARTED" "$B/w/entr" || return 1
    echo 2 >"$A/w/entr" || return 1
    hears entr '^2$' || return 1
    echo 3 >"$A/w/entr.new" && mv "$A/w/entr.new" "$A/w/entr" || return 1
    hears entr '^3$'
}
with_tail() {
    echo one >"$A/w/log" && sync_b || return 1
    start tail tail -F "$B/w/log"
    hears tail '^one$' || return 1
    echo two >>"$A/w/log" || return 1
    hears tail '^two$' || return 1
    mv "$A/w/log" "$A/w/log.1" && echo three >"$A/w/log" || return 1
    hears tail '^three$'
}
row entr "runs a command when a file is written, and when it is replaced" with_entr
row "tail -F" "follows a log, and its rotation" with_tail

with_watchdog() {
    cat >"$WORK/watchers.py" <<'END'
import sys, time
from watchdog.observers import Observer
from watchdog.events import FileSystemEventHandler
class Handler(FileSystemEventHandler):
    def on_any_event(self, event):
        print(event.event_type, event.src_path, flush=True)
observer = Observer()
observer.schedule(Handler(), sys.argv[1], recursive=True)
observer.start()
observer.join()
END
    start watchdog /usr/bin/python3 -u "$WORK/watchers.py" "$B/w"
    watches_soon "$STARTED" "$B/w" || return 1
    echo x >"$A/w/python" && mv "$A/w/python" "$A/w/python2" && rm "$A/w/python2" || return 1
    hears watchdog "created $B/w/python" && hears watchdog "closed $B/w/python" && hears watchdog "moved $B/w/python" &&
        hears watchdog "deleted $B/w/python2"
}
with_pyinotify() {
    start pyinotify /usr/bin/python3 -u -m pyinotify -v "$B/w"
    watches_soon "$STARTED" "$B/w" || return 1
    echo x >"$A/w/pyinotify" || return 1
    hears pyinotify 'IN_CLOSE_WRITE.*pyinotify'
}
with_gio() {
    start gio gio monitor "$B/w"
    watches_soon "$STARTED" "$B/w" || return 1
    echo x >"$A/w/gio" && mv "$A/w/gio" "$A/w/gio2" && rm "$A/w/gio2" || return 1
    hears gio 'gio: created' && hears gio 'gio: changes done' && hears gio 'renamed' && hears gio 'gio2: deleted'
}
row "python watchdog" "created, closed, moved, deleted" with_watchdog
row "python pyinotify" "a file written" with_pyinotify
row "gio monitor" "created, changed, renamed, deleted" with_gio

with_lsyncd() {
    mkdir "$A/source" "$WORK/target" && sync_b || return 1
    start lsyncd lsyncd -nodaemon -delay 0 -rsync "$B/source" "$WORK/target"
    watches_soon "$STARTED" "$B/source" || return 1
    echo x >"$A/source/file" && mkdir "$A/source/dir" && echo y >"$A/source/dir/file" || return 1
    eventually test -e "$WORK/target/dir/file" && cmp "$A/source/file" "$WORK/target/file" && rm -r "$A/source/dir" &&
        eventually test ! -e "$WORK/target/dir"
}
with_incron() {
    mkdir -p "$WORK/incron/tables" "$WORK/incron/system" "$A/incron" && sync_b || return 1
    printf 'system_table_dir = %s\nuser_table_dir = %s\nlockfile_dir = %s\nallowed_users = %s\n' "$WORK/incron/system" \
        "$WORK/incron/tables" "$WORK/incron" "$WORK/incron/allow" >"$WORK/incron/conf"
    echo "$B/incron IN_CLOSE_WRITE,IN_MOVED_TO cp \$@/\$# $WORK/incron/copy" >"$WORK/incron/system/job" || return 1
    start incron incrond -n -f "$WORK/incron/conf"
    watches_soon "$STARTED" "$B/incron" || return 1
    echo job >"$A/incron/file" || return 1
    eventually cmp "$A/incron/file" "$WORK/incron/copy"
}
row lsyncd "mirrors a tree that the other host changes" with_lsyncd
row incron "runs a job for a file that the other host wrote" with_incron

node_watch() {
    echo 'require("fs").watch(process.argv[2], (event, name) => console.log(event, name))' >"$WORK/watch.js" || return 1
    start node node "$WORK/watch.js" "$B/w"
    watches_soon "$STARTED" "$B/w" || return 1
    echo x >"$A/w/node" || return 1
    hears node '^rename node$' && hears node '^change node$'
}
node_chokidar() {
    cat >"$WORK/chokidar.js" <<'END'
const watcher = require("chokidar").watch(process.argv[2], {ignoreInitial: true});
watcher.on("ready", () => console.log("ready")).on("all", (event, path) => console.log(event, path));
END
    mkdir "$A/ck" && echo x >"$A/ck/there" && sync_b || return 1
    start chokidar env NODE_PATH=/usr/share/nodejs node "$WORK/chokidar.js" "$B/ck"
    hears chokidar '^ready$' || return 1
    echo x >"$A/ck/new" && echo y >"$A/ck/there" && mkdir "$A/ck/dir" || return 1
    hears chokidar "^add $B/ck/new" && hears chokidar "^change $B/ck/there" && hears chokidar "^addDir $B/ck/dir" &&
        rm "$A/ck/new" && hears chokidar "^unlink $B/ck/new"
}
java_watch() {
    cat >"$WORK/Watch.java" <<'END'
import java.nio.file.*;
import static java.nio.file.StandardWatchEventKinds.*;
public class Watch {
    public static void main(String[] a) throws Exception {
        WatchService service = FileSystems.getDefault().newWatchService();
        Paths.get(a[0]).register(service, ENTRY_CREATE, ENTRY_MODIFY, ENTRY_DELETE);
        for (;;) {
            WatchKey key = service.take();
            for (WatchEvent<?> event : key.pollEvents()) System.out.println(event.kind() + " " + event.context());
            key.reset();
        }
    }
}
END
    start java java "$WORK/Watch.java" "$B/w"
    watches_soon "$STARTED" "$B/w" || return 1
    echo x >"$A/w/java" && hears java '^ENTRY_CREATE java$' && hears java '^ENTRY_MODIFY java$' && rm "$A/w/java" &&
        hears java '^ENTRY_DELETE java$'
}
row_if /usr/bin/node "Node fs.watch" "a file made and written" node_watch
row_if /usr/share/nodejs/chokidar "Node chokidar" "add, change, unlink, addDir" node_chokidar
row_if /usr/bin/javac "Java WatchService" "create, modify, delete" java_watch
finish_rows
