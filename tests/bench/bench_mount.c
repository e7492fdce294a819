/* bench_mount OPERATION DIR PROCESSES SECONDS - what programs pay for ordinary calls in a mounted directory.
 *
 *   write    open (O_TRUNC), write of 256 bytes, close, on a file of one's own: durable when close returns
 *   create   create with 256 bytes, close, unlink
 *   mkdir    mkdir, rmdir
 *   stat     stat of a file
 *   cat      open, read of 256 bytes, close
 *   lock     flock and unlock of an open file that nobody else wants
 *   ask      a single request to the daemon: an attribute of an open file
 *   disk     what a log does for each write, in any directory: 512 bytes past the page cache, and fdatasync
 *
 * bench_mount event DIR-A DIR-B COUNT - from the call of close() in one mount to the inotify event in another.
 * bench_mount handover DIR-A DIR-B COUNT - from the call of flock(LOCK_UN) in one mount to the lock in another, where a
 * process waits for it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"

struct place {
    char dir[PATH_MAX - 16], file[PATH_MAX], made[PATH_MAX];
    int fd; /* of the file */
    struct bench_log log;
};

static int write_file(const char *path, int flags)
{
    static const char value[BENCH_VALUE_BYTES] = "v";
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);
    if (fd < 0)
        return -1;
    int failed = write(fd, value, sizeof value) != sizeof value;
    return close(fd) != 0 || failed ? -1 : 0;
}

static void *begin(const void *arg, unsigned process)
{
    struct place *place = calloc(1, sizeof *place);
    snprintf(place->dir, sizeof place->dir, "%s/p%u", (const char *)arg, process);
    snprintf(place->file, sizeof place->file, "%s/file", place->dir);
    snprintf(place->made, sizeof place->made, "%s/made", place->dir);
    if ((mkdir(place->dir, 0755) != 0 && errno != EEXIST) || write_file(place->file, O_TRUNC) != 0) {
        perror(place->file);
        free(place);
        return NULL;
    }
    place->fd = open(place->file, O_RDONLY | O_CLOEXEC);
    return place;
}

static void end(void *context)
{
    struct place *place = context;
    close(place->fd);
    unlink(place->file);
    rmdir(place->dir);
    free(place);
}

static int step_write(void *context)
{
    return write_file(((struct place *)context)->file, O_TRUNC);
}

static int step_create(void *context)
{
    struct place *place = context;
    return write_file(place->made, O_EXCL) != 0 || unlink(place->made) != 0;
}

static int step_mkdir(void *context)
{
    struct place *place = context;
    return mkdir(place->made, 0755) != 0 || rmdir(place->made) != 0;
}

static int step_stat(void *context)
{
    struct stat attr;
    return stat(((struct place *)context)->file, &attr);
}

static int step_cat(void *context)
{
    char value[BENCH_VALUE_BYTES * 2];
    int fd = open(((struct place *)context)->file, O_RDONLY);
    if (fd < 0)
        return -1;
    ssize_t got = read(fd, value, sizeof value);
    close(fd);
    return got != BENCH_VALUE_BYTES;
}

static int step_lock(void *context)
{
    const struct place *place = context;
    return flock(place->fd, LOCK_EX) != 0 || flock(place->fd, LOCK_UN) != 0;
}

static int step_ask(void *context)
{
    char text[32];
    return fgetxattr(((struct place *)context)->fd, "user.pact.version", text, sizeof text) <= 0;
}

static void *begin_log(const void *arg, unsigned process)
{
    struct place *place = begin(arg, process);
    return place != NULL && bench_log_open(&place->log, place->file) == 0 ? place : NULL;
}

static int step_disk(void *context)
{
    return bench_log_write(&((struct place *)context)->log);
}

static void end_log(void *context)
{
    bench_log_close(&((struct place *)context)->log);
    end(context);
}

/* The watcher: it reads events as they come, and says when. */
struct watcher {
    int watch;
    sem_t seen;
    double seen_us;
};

static void *read_events(void *arg)
{
    struct watcher *watcher = arg;
    char events[4096];
    while (read(watcher->watch, events, sizeof events) > 0) {
        watcher->seen_us = bench_now_us();
        sem_post(&watcher->seen);
    }
    bench_fail("bench_mount: cannot read events");
}

/* The file's creation may be announced still. */
static void drain(int watch)
{
    char events[4096];
    struct pollfd ready = {.fd = watch, .events = POLLIN};
    while (poll(&ready, 1, 100) == 1)
        if (read(watch, events, sizeof events) <= 0)
            return;
}

static void wait_seen(struct watcher *watcher)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    if (sem_timedwait(&watcher->seen, &until) != 0)
        bench_fail("bench_mount: no event within 5 s");
}

static int measure_events(const char *a, const char *b, int count)
{
    char here[PATH_MAX], there[PATH_MAX];
    struct bench_latencies latencies = {0};
    struct watcher watcher = {.watch = inotify_init1(IN_CLOEXEC)};
    pthread_t thread;
    snprintf(here, sizeof here, "%s/event", a);
    snprintf(there, sizeof there, "%s/event", b);
    if (write_file(here, O_TRUNC) != 0)
        bench_fail("bench_mount: %s: %s", here, strerror(errno));
    for (int tries = 0; access(there, F_OK) != 0; tries++) {
        if (tries == 5000)
            bench_fail("bench_mount: %s does not show up in the second mount", there);
        usleep(1000);
    }
    if (inotify_add_watch(watcher.watch, there, IN_MODIFY) < 0)
        bench_fail("bench_mount: %s: %s", there, strerror(errno));
    drain(watcher.watch);
    sem_init(&watcher.seen, 0, 0);
    if (pthread_create(&thread, NULL, read_events, &watcher) != 0)
        bench_fail("bench_mount: no thread");
    double begun = bench_now_us();
    for (int i = 0; i < count; i++) {
        int fd = open(here, O_WRONLY);
        if (fd < 0 || pwrite(fd, &i, sizeof i, 0) != sizeof i)
            bench_fail("bench_mount: %s: %s", here, strerror(errno));
        double closed = bench_now_us();
        if (close(fd) != 0)
            bench_fail("bench_mount: close: %s", strerror(errno));
        wait_seen(&watcher);
        bench_add(&latencies, watcher.seen_us - closed);
    }
    bench_print(&latencies, (bench_now_us() - begun) / 1e6);
    return unlink(here);
}

/* Shared by the two that hand a lock to each other. */
struct handover {
    _Atomic bool ended; /* one of them is done: the other goes on alone */
    double unlocked_us; /* when the last holder let go */
    struct bench_latencies latencies;
};

/* Whether somebody waits for a lock, as the directory's .pact/locks tells. */
static bool somebody_waits(const char *locks)
{
    char text[4096];
    int fd = open(locks, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (len < 0)
        bench_fail("bench_mount: %s: %s", locks, strerror(errno));
    close(fd);
    text[len] = '\0';
    return strstr(text, " waits ");
}

/* Locks in turn with the other: by the time of an unlock the other waits. */
static int take_turns(const char *path, const char *locks, int count, struct handover *shared)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    for (int i = 0; i < count && fd >= 0; i++) {
        if (flock(fd, LOCK_EX) != 0)
            return 1;
        double now = bench_now_us();
        if (shared->unlocked_us > 0)
            bench_add(&shared->latencies, now - shared->unlocked_us);
        while (!atomic_load(&shared->ended) && !somebody_waits(locks))
            sched_yield();
        shared->unlocked_us = bench_now_us();
        if (flock(fd, LOCK_UN) != 0)
            return 1;
    }
    atomic_store(&shared->ended, true);
    return fd < 0;
}

static int measure_handover(const char *a, const char *b, int count)
{
    const char *dirs[] = {a, b};
    char path[PATH_MAX], locks[PATH_MAX];
    int status, failed = 0;
    struct handover *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        bench_fail("bench_mount: mmap: %s", strerror(errno));
    double begun = bench_now_us();
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/handover", dirs[i]);
        snprintf(locks, sizeof locks, "%s/.pact/locks", dirs[i]);
        pid_t child = fork();
        if (child == 0)
            _exit(take_turns(path, locks, count / 2, shared));
        failed |= child < 0;
    }
    while (wait(&status) > 0)
        failed |= status;
    bench_print(&shared->latencies, (bench_now_us() - begun) / 1e6);
    return failed != 0;
}

int main(int argc, char **argv)
{
    static const struct bench_step steps[] = {{"write", step_write}, {"create", step_create}, {"mkdir", step_mkdir},
                                              {"stat", step_stat},   {"cat", step_cat},       {"lock", step_lock},
                                              {"ask", step_ask},     {"disk", step_disk},     {NULL, NULL}};
    if (argc != 5)
        bench_fail("usage: bench_mount write|create|mkdir|stat|cat|lock|ask|disk DIR PROCESSES SECONDS\n"
                   "       bench_mount event|handover DIR-A DIR-B COUNT");
    if (strcmp(argv[1], "event") == 0)
        return measure_events(argv[2], argv[3], atoi(argv[4]));
    if (strcmp(argv[1], "handover") == 0)
        return measure_handover(argv[2], argv[3], atoi(argv[4]));
    struct bench_work work = {.begin = begin, .step = bench_step(steps, argv[1]), .end = end, .arg = argv[2]};
    if (work.step == NULL)
        bench_fail("bench_mount: no operation '%s'", argv[1]);
    if (work.step == step_disk) {
        work.begin = begin_log;
        work.end = end_log;
    }
    return bench_run(&work, (unsigned)atoi(argv[3]), atof(argv[4]));
}
