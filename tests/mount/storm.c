/* storm - more changes than can be announced one by one, and a watcher that follows them. For storm.sh.
 *
 *   storm offer DIR COUNT MS PROCESSES   each process, for so long and as fast as it goes, in the directories DIR/0 … :
 *                             makes a file, renames it, writes DIR/N/last, removes the file made ten turns before.
 * Prints "creates N renames N deletes N writes N" of what was done storm watch DIR COUNT     follows the directories
 * until SIGTERM and no more events are waiting: the names that are there as the events tell, and what `last` holds when
 * it is read again upon them. Says "ready" on stderr, then on stdout a line "N NAME" for each name, "N last VALUE" for
 * each last; and on stderr "created N removed N moved N written N". Exit 3: the kernel's queue has overflowed; 4: a
 * name came that was there, or went that was not storm probe FILE WATCHED COUNT   appends to FILE on one mount until
 * WATCHED, the same on another, is reported as modified, COUNT times: prints the median and the longest of these times
 * in µs */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

enum { BUFFER_BYTES = 1 << 20, BEHIND = 10, PROBES_MAX = 1000, KEY_BYTES = 64, PROBE_MS = 60000 };

static int64_t now_us(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * INT64_C(1000000) + at.tv_nsec / 1000;
}

static void check(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "storm: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- offer --- */

static const char *root;
static int directories;
static struct counts {
    _Atomic long creates, renames, deletes, writes;
} * counts; /* shared by the processes */

static char *path_of(char to[PATH_MAX], const char *kind, int process, long turn)
{
    snprintf(to, PATH_MAX, "%s/%ld/%s%d-%ld", root, (turn * 7919 + process * 131) % directories, kind, process, turn);
    return to;
}

/* The directories of a process's `last` are its own: their values only grow. */
static void write_last(int process, int processes, long turn)
{
    char path[PATH_MAX], text[32];
    long own = (turn * 7919 % directories) / processes * processes + process;
    snprintf(path, sizeof path, "%s/%ld/last", root, own % directories);
    int fd = own < directories ? open(path, O_WRONLY | O_TRUNC) : -1;
    if (own >= directories)
        return;
    int len = snprintf(text, sizeof text, "%ld\n", turn);
    check(fd >= 0 && write(fd, text, (size_t)len) == len && !close(fd), path);
    counts->writes++;
}

static void offer(int process, int processes, int64_t end_us)
{
    char from[PATH_MAX], to[PATH_MAX];
    for (long turn = 0; now_us() < end_us; turn++) {
        check(!mknod(path_of(from, "n", process, turn), S_IFREG | 0644, 0), from);
        counts->creates++;
        check(!rename(from, path_of(to, "r", process, turn)), from);
        counts->renames++;
        write_last(process, processes, turn);
        if (turn < BEHIND)
            continue;
        check(!unlink(path_of(from, "r", process, turn - BEHIND)), from);
        counts->deletes++;
    }
}

static int do_offer(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int processes = atoi(argv[3]), status = 0, failed = 0;
    int64_t end_us = now_us() + atol(argv[2]) * INT64_C(1000);
    root = argv[0];
    directories = atoi(argv[1]);
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(counts != MAP_FAILED, "mmap");
    for (int process = 0; process < processes; process++)
        if (!fork()) {
            offer(process, processes, end_us);
            exit(0);
        }
    while (wait(&status) > 0)
        failed |= status;
    printf("creates %ld renames %ld deletes %ld writes %ld\n", counts->creates, counts->renames, counts->deletes,
           counts->writes);
    return failed != 0;
}

/* --- watch --- */

struct name {
    char key[KEY_BYTES]; /* "DIRECTORY NAME" */
    UT_hash_handle hh;
};

static struct {
    int fd, *place; /* by watch descriptor */
    struct name *names;
    char (*last)[KEY_BYTES];
    bool *written; /* `last` is to be read again */
    long created, removed, moved, writes, faults;
    bool overflow;
} seen;
static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static void note_name(int place, const char *text, bool there)
{
    char key[KEY_BYTES];
    struct name *name;
    snprintf(key, sizeof key, "%d %s", place, text);
    HASH_FIND_STR(seen.names, key, name);
    if (there == (name != NULL)) {
        seen.faults++;
        fprintf(stderr, "%s: %s\n", key, there ? "came, and was there" : "went, and was not there");
    } else if (there) {
        name = calloc(1, sizeof *name);
        check(name, "calloc");
        memcpy(name->key, key, sizeof key);
        HASH_ADD_STR(seen.names, key, name);
    } else {
        HASH_DEL(seen.names, name);
        free(name);
    }
}

static void note(const struct inotify_event *event)
{
    seen.overflow |= event->mask & IN_Q_OVERFLOW;
    if (event->wd < 0 || !event->len)
        return;
    int place = seen.place[event->wd];
    if (event->mask & (IN_CREATE | IN_MOVED_TO))
        note_name(place, event->name, true);
    if (event->mask & (IN_DELETE | IN_MOVED_FROM))
        note_name(place, event->name, false);
    seen.created += (event->mask & IN_CREATE) != 0;
    seen.removed += (event->mask & IN_DELETE) != 0;
    seen.moved += (event->mask & IN_MOVED_TO) != 0;
    if ((event->mask & (IN_MODIFY | IN_CLOSE_WRITE)) && !strcmp(event->name, "last"))
        seen.written[place] = true;
}

static void read_events(char *buffer)
{
    ssize_t len = read(seen.fd, buffer, BUFFER_BYTES);
    for (ssize_t i = 0; i < len;) {
        const struct inotify_event *event = (const void *)(buffer + i);
        note(event);
        i += (ssize_t)(sizeof *event + event->len);
    }
}

/* What a program does that is told of a change. */
static void read_written(void)
{
    char path[PATH_MAX];
    for (int i = 0; i < directories; i++) {
        if (!seen.written[i])
            continue;
        snprintf(path, sizeof path, "%s/%d/last", root, i);
        int fd = open(path, O_RDONLY);
        ssize_t len = fd < 0 ? -1 : read(fd, seen.last[i], KEY_BYTES - 1);
        check(len >= 0, path);
        seen.last[i][len] = 0;
        seen.last[i][strcspn(seen.last[i], "\n")] = 0;
        close(fd);
        seen.written[i] = false;
        seen.writes++;
    }
}

static void watch_all(void)
{
    char path[PATH_MAX];
    seen.fd = inotify_init1(IN_CLOEXEC);
    seen.place = calloc((size_t)directories + 2, sizeof *seen.place);
    seen.last = calloc((size_t)directories, sizeof *seen.last);
    seen.written = calloc((size_t)directories, sizeof *seen.written);
    check(seen.fd >= 0 && seen.place && seen.last && seen.written, "begin");
    for (int i = 0; i < directories; i++) {
        snprintf(path, sizeof path, "%s/%d", root, i);
        int wd = inotify_add_watch(seen.fd, path,
                                   IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE);
        check(wd > 0 && wd <= directories, path);
        seen.place[wd] = i;
        note_name(i, "last", true);
        seen.written[i] = true;
    }
    read_written();
}

static void follow(void)
{
    struct pollfd waiting = {.fd = seen.fd, .events = POLLIN};
    struct timespec at_once = {0};
    char *buffer = malloc(BUFFER_BYTES);
    sigset_t none;
    sigemptyset(&none);
    check(buffer, "malloc");
    for (;;) {
        int ready = ppoll(&waiting, 1, stopping ? &at_once : NULL, &none);
        if (ready > 0)
            read_events(buffer);
        else if (stopping)
            break;
        if (ready > 0 && poll(&waiting, 1, 0) == 0)
            read_written();
    }
    free(buffer);
}

static int do_watch(int argc, char **argv)
{
    struct sigaction end = {.sa_handler = stop};
    sigset_t term;
    if (argc != 2)
        return 2;
    root = argv[0];
    directories = atoi(argv[1]);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    sigaction(SIGTERM, &end, NULL);
    watch_all();
    fprintf(stderr, "ready\n");
    follow();
    for (const struct name *name = seen.names; name; name = name->hh.next)
        printf("%s\n", name->key);
    for (int i = 0; i < directories; i++)
        printf("%d last %s\n", i, seen.last[i]);
    fprintf(stderr, "created %ld removed %ld moved %ld written %ld\n", seen.created, seen.removed, seen.moved,
            seen.writes);
    return seen.overflow ? 3 : seen.faults ? 4 : 0;
}

/* --- probe --- */

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t probe_once(const char *file, int fd)
{
    char buffer[4096];
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    int to = open(file, O_WRONLY | O_APPEND);
    int64_t begun = now_us();
    check(to >= 0 && write(to, "+", 1) == 1 && !close(to), file);
    check(poll(&waiting, 1, PROBE_MS) == 1, "no event in a minute");
    int64_t took = now_us() - begun;
    while (poll(&waiting, 1, 2) == 1) /* a late CLOSE_WRITE is not the next one's event */
        check(read(fd, buffer, sizeof buffer) > 0, "read");
    return took;
}

static int do_probe(int argc, char **argv)
{
    static int64_t took[PROBES_MAX];
    if (argc != 3 || atoi(argv[2]) < 1 || atoi(argv[2]) > PROBES_MAX)
        return 2;
    size_t count = (size_t)atoi(argv[2]);
    int fd = inotify_init1(IN_CLOEXEC);
    check(fd >= 0 && inotify_add_watch(fd, argv[1], IN_MODIFY) >= 0, argv[1]);
    for (size_t i = 0; i < count; i++)
        took[i] = probe_once(argv[0], fd);
    qsort(took, count, sizeof *took, by_size);
    printf("%" PRId64 " %" PRId64 "\n", took[count / 2], took[count - 1]);
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (!strcmp(mode, "offer"))
        return do_offer(argc - 2, argv + 2);
    if (!strcmp(mode, "watch"))
        return do_watch(argc - 2, argv + 2);
    return strcmp(mode, "probe") ? 2 : do_probe(argc - 2, argv + 2);
}
