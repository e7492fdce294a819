/* ghost_watch [-c] DIR... - writes down every inotify event, for the tests of ghosts.
 *
 * One line an event: its time (CLOCK_MONOTONIC, ns), the directory's place in the list from 0, what happened, the
 * cookie, the name ("." for the directory itself). With -c the file is read at each CLOSE_WRITE and its first word
 * follows: what a program would see that re-reads on events; OPEN, ACCESS and CLOSE_NOWRITE, which this reading
 * itself causes, are left out. Says "ready" on stderr when all is watched. Ends at SIGTERM, when no more events are
 * waiting. Exit 3 if the kernel's queue has overflowed. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 20, WORD_BYTES = 64 };

struct watcher {
    int fd;
    char **dirs;
    int count; /* of dirs */
    int *watch;
    bool contents, overflow;
};

static volatile sig_atomic_t stopping;

static void stop(int signal)
{
    (void)signal;
    stopping = 1;
}

static int64_t now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static void say_mask(uint32_t mask)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        {IN_ACCESS, "ACCESS"},           {IN_MODIFY, "MODIFY"},           {IN_ATTRIB, "ATTRIB"},
        {IN_CLOSE_WRITE, "CLOSE_WRITE"}, {IN_CLOSE_NOWRITE, "CLOSE"},     {IN_OPEN, "OPEN"},
        {IN_MOVED_FROM, "MOVED_FROM"},   {IN_MOVED_TO, "MOVED_TO"},       {IN_CREATE, "CREATE"},
        {IN_DELETE, "DELETE"},           {IN_DELETE_SELF, "DELETE_SELF"}, {IN_MOVE_SELF, "MOVE_SELF"},
        {IN_IGNORED, "IGNORED"},         {IN_UNMOUNT, "UNMOUNT"},         {IN_Q_OVERFLOW, "OVERFLOW"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mask & names[i].bit)
            printf("%s", names[i].name);
    printf("%s", mask & IN_ISDIR ? ",ISDIR" : "");
}

static int place_of(const struct watcher *watcher, int watch)
{
    for (int i = 0; i < watcher->count; i++)
        if (watcher->watch[i] == watch)
            return i;
    return -1;
}

static void say_content(const char *dir, const char *name)
{
    char path[4096], word[WORD_BYTES] = "-";
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        snprintf(path, sizeof path, "(%s)", strerror(errno));
    ssize_t len = fd < 0 ? 0 : read(fd, word, sizeof word - 1);
    if (fd >= 0)
        close(fd);
    if (len > 0)
        word[len] = 0;
    word[strcspn(word, " \n")] = 0;
    printf(" %s", word);
}

static void say_event(struct watcher *watcher, const struct inotify_event *event, int64_t at)
{
    int place = place_of(watcher, event->wd);
    printf("%" PRId64 " %d ", at, place);
    say_mask(event->mask);
    printf(" %u %s", event->cookie, event->len ? event->name : ".");
    if (watcher->contents && (event->mask & IN_CLOSE_WRITE) && place >= 0)
        say_content(watcher->dirs[place], event->len ? event->name : "");
    printf("\n");
    watcher->overflow |= (event->mask & IN_Q_OVERFLOW) != 0;
}

static void read_events(struct watcher *watcher, char *buffer)
{
    ssize_t len = read(watcher->fd, buffer, BUFFER_BYTES);
    int64_t at = now_ns();
    for (ssize_t i = 0; i < len;) {
        const struct inotify_event *event = (const void *)(buffer + i);
        say_event(watcher, event, at);
        i += (ssize_t)(sizeof *event + event->len);
    }
    fflush(stdout);
}

static void watch_all(struct watcher *watcher)
{
    uint32_t mask = IN_ALL_EVENTS;
    if (watcher->contents)
        mask &= ~(uint32_t)(IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE);
    watcher->fd = inotify_init1(IN_CLOEXEC);
    watcher->watch = calloc((size_t)watcher->count + 1, sizeof *watcher->watch);
    for (int i = 0; watcher->watch && i < watcher->count; i++) {
        watcher->watch[i] = inotify_add_watch(watcher->fd, watcher->dirs[i], mask);
        if (watcher->watch[i] < 0) {
            perror(watcher->dirs[i]);
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    struct sigaction end = {.sa_handler = stop};
    struct watcher watcher = {.contents = argc > 1 && !strcmp(argv[1], "-c")};
    char *buffer = malloc(BUFFER_BYTES);
    sigset_t term, none;
    watcher.dirs = argv + 1 + watcher.contents;
    watcher.count = argc - 1 - watcher.contents;
    sigemptyset(&none);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    sigaction(SIGTERM, &end, NULL);
    watch_all(&watcher);
    if (!buffer)
        return 1;
    fprintf(stderr, "ready\n");
    struct pollfd waiting = {.fd = watcher.fd, .events = POLLIN};
    struct timespec at_once = {0};
    for (;;) {
        int ready = ppoll(&waiting, 1, stopping ? &at_once : NULL, &none);
        if (ready > 0)
            read_events(&watcher, buffer);
        else if (stopping)
            break;
    }
    free(buffer);
    free(watcher.watch);
    return watcher.overflow ? 3 : 0;
}
