/* netns_load lock|append|read MNT ID LOGS - load for netns.sh: runs until SIGTERM, notes outside the mount (in LOGS)
 * what it did. Exit 1, with a line that says why, if something is seen that may never be.
 *
 *   lock    takes its turn in MNT/locks/queue by `mkdir {seq}-ID-K`, and while its directory is the first there, raises
 *           the number in MNT/locks/count by one. Notes "OUTCOME NUMBER": '+' written, '-' certainly not, '?' unknown
 *   append  appends lines "ID K" to MNT/order/N, N from 0 on, each file a little more than FILE_BYTES. Notes "OUTCOME
 * K" read    reads these files over and over: what it has seen must not change, only grow. Leaves the last it saw of
 *           each in LOGS/seen-ID-N */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES = 64 * 1024, READ_BYTES = 2 * 1024 * 1024, REST_US = 10000, LOOK_MS = 200 };

static volatile sig_atomic_t stopping;
static const char *mnt, *logs;
static int id, notes;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static void fault(const char *what)
{
    fprintf(stderr, "netns_load %d: %s: %s\n", id, what, strerror(errno));
    exit(1);
}

/* What a failed call says of the operation; 0: what it may never say. */
static char outcome_of(int error)
{
    return error == 0 ? '+' : error == EROFS ? '-' : error == ETIMEDOUT ? '?' : 0;
}

static char judge(int failed, const char *what)
{
    const int error = failed ? errno : 0;
    const char outcome = outcome_of(error);
    if (outcome == 0)
        fault(what);
    if (error != 0)
        usleep(REST_US); /* a mount without a quorum fails at once */
    return outcome;
}

static void note(char outcome, long number)
{
    char line[64];
    const int len = snprintf(line, sizeof line, "%c %ld\n", outcome, number);
    if (write(notes, line, (size_t)len) != len)
        fault("a note");
}

static int write_text(const char *path, int flags, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);
    if (fd < 0)
        return -1;
    const bool wrote = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    const int error = errno;
    if (close(fd) != 0)
        return -1;
    errno = error;
    return wrote ? 0 : -1;
}

/* --- lock --- */

/* A session's requests are done in their order: once this one is done, those before it are, or never will be. */
static void settle(void)
{
    static long attempt;
    char path[PATH_MAX];
    char outcome = '?';
    while (outcome != '+') {
        snprintf(path, sizeof path, "%s/locks/settle/%d-%ld", mnt, id, ++attempt);
        outcome = judge(mkdir(path, 0755), "settling");
    }
}

/* The first name of the queue, and this one's own (empty: it is not there). */
static void look(const char *suffix, char *first, char *own)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/locks/queue", mnt);
    DIR *dir = opendir(path);
    if (dir == NULL)
        fault(path);
    *first = *own = '\0';
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const size_t len = strlen(entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        if (*first == '\0' || strcmp(entry->d_name, first) < 0)
            snprintf(first, NAME_MAX + 1, "%s", entry->d_name);
        if (len > strlen(suffix) && strcmp(entry->d_name + len - strlen(suffix), suffix) == 0)
            snprintf(own, NAME_MAX + 1, "%s", entry->d_name);
    }
    closedir(dir);
}

/* True: this one is the first. False: it is not in the queue. */
static bool await_turn(const char *suffix, int watch, char *own)
{
    char first[NAME_MAX + 1], events[4096];
    for (;;) {
        look(suffix, first, own);
        if (*own == '\0' || strcmp(first, own) == 0)
            return *own != '\0';
        struct pollfd wait = {.fd = watch, .events = POLLIN};
        if (poll(&wait, 1, LOOK_MS) > 0 && read(watch, events, sizeof events) < 0)
            fault("inotify");
    }
}

static void raise_count(void)
{
    char path[PATH_MAX], text[32] = "";
    snprintf(path, sizeof path, "%s/locks/count", mnt);
    const int fd = open(path, O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        fault(path);
    close(fd);
    const long number = atol(text) + 1;
    snprintf(text, sizeof text, "%ld\n", number);
    const char outcome = judge(write_text(path, O_TRUNC, text), path);
    note(outcome, number);
    if (outcome == '?')
        settle(); /* before the next one's turn */
}

static void leave(const char *own)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/locks/queue/%s", mnt, own);
    while (rmdir(path) != 0 && errno != ENOENT) {
        if (judge(-1, path) == '?')
            settle();
    }
}

static void lock(long k, int watch)
{
    char path[PATH_MAX], suffix[64], own[NAME_MAX + 1];
    snprintf(suffix, sizeof suffix, "-%d-%ld", id, k);
    snprintf(path, sizeof path, "%s/locks/queue/{seq}%s", mnt, suffix);
    const char outcome = judge(mkdir(path, 0755), path);
    if (outcome == '-')
        return;
    if (outcome == '?')
        settle();
    if (await_turn(suffix, watch, own)) {
        raise_count();
        leave(own);
    } else if (outcome == '+') {
        fault("its own directory is not in the queue");
    }
}

static void run_lock(void)
{
    char path[PATH_MAX];
    const int watch = inotify_init1(IN_NONBLOCK);
    snprintf(path, sizeof path, "%s/locks/queue", mnt);
    if (watch < 0 || inotify_add_watch(watch, path, IN_CREATE | IN_DELETE) < 0)
        fault(path);
    for (long k = 0; !stopping; k++)
        lock(k, watch);
}

/* --- append and read --- */

static void run_append(void)
{
    char path[PATH_MAX], line[64];
    struct stat attr;
    for (long k = 0, number = 0; !stopping; k++) {
        snprintf(path, sizeof path, "%s/order/%ld", mnt, number);
        if (stat(path, &attr) == 0 && attr.st_size > FILE_BYTES)
            snprintf(path, sizeof path, "%s/order/%ld", mnt, ++number);
        snprintf(line, sizeof line, "%d %ld\n", id, k);
        note(judge(write_text(path, O_APPEND, line), path), k);
    }
}

static size_t read_whole(const char *path, char *to)
{
    size_t len = 0;
    ssize_t got = 1;
    const int fd = open(path, O_RDONLY);
    if (fd < 0 && errno == ENOENT)
        return 0;
    while (fd >= 0 && got > 0 && len < READ_BYTES) {
        got = read(fd, to + len, READ_BYTES - len);
        len += got > 0 ? (size_t)got : 0;
    }
    if (fd < 0 || got < 0)
        fault(path);
    close(fd);
    return len;
}

static void leave_seen(long number, const char *seen, size_t len)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/seen-%d-%ld", logs, id, number);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, seen, len) != (ssize_t)len || close(fd) != 0)
        fault(path);
}

static void run_read(void)
{
    static char seen[READ_BYTES], now[READ_BYTES];
    char path[PATH_MAX];
    size_t seen_len = 0;
    for (long number = 0;;) {
        const bool last = stopping;
        snprintf(path, sizeof path, "%s/order/%ld", mnt, number + 1);
        const bool next = access(path, F_OK) == 0;
        snprintf(path, sizeof path, "%s/order/%ld", mnt, number);
        const size_t len = read_whole(path, now);
        if (len < seen_len || memcmp(now, seen, seen_len) != 0)
            fault("what was read before is not what is there now");
        memcpy(seen, now, len);
        seen_len = len;
        if (next || last)
            leave_seen(number, seen, seen_len);
        if (next) {
            number++;
            seen_len = 0;
        } else if (last) {
            return;
        }
        usleep(REST_US);
    }
}

int main(int argc, char **argv)
{
    const struct sigaction action = {.sa_handler = stop, .sa_flags = SA_RESTART};
    char path[PATH_MAX];
    if (argc != 5) {
        fprintf(stderr, "usage: netns_load lock|append|read MNT ID LOGS\n");
        return 2;
    }
    sigaction(SIGTERM, &action, NULL);
    mnt = argv[2];
    id = atoi(argv[3]);
    logs = argv[4];
    snprintf(path, sizeof path, "%s/%s-%d", logs, argv[1], id);
    notes = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (notes < 0)
        fault(path);
    if (strcmp(argv[1], "lock") == 0)
        run_lock();
    else if (strcmp(argv[1], "append") == 0)
        run_append();
    else
        run_read();
    return 0;
}
