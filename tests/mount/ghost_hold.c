/* ghost_hold directory DIR | open PATH - gets a ghost stuck from outside, for the tests of ghosts.
 *
 * directory: reads DIR into a page that userfaultfd does not fill, so that the kernel holds the directory's lock
 *            (shared) as long as this program likes: nothing can be made or removed in it. Says "held" at once.
 * open:      a fanotify permission listener that answers nobody who opens PATH, or a file in it. Says "ready", then
 *            "held" for each that waits.
 *
 * At SIGTERM all go on. Says what it has to say on stdout. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile sig_atomic_t stopping;

static void stop(int signal)
{
    (void)signal;
    stopping = 1;
}

static void check(int right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "ghost_hold: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Waits for something to read, or for SIGTERM: 0. SIGTERM is blocked but here. */
static int readable(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    sigset_t none;
    sigemptyset(&none);
    return !stopping && ppoll(&waiting, 1, NULL, &none) > 0;
}

static void say(const char *text)
{
    puts(text);
    fflush(stdout);
}

/* --- a directory's lock --- */

struct reading {
    int fd;
    void *page;
    size_t len;
};

static void *read_directory(void *arg)
{
    struct reading *reading = arg;
    syscall(SYS_getdents64, reading->fd, reading->page, reading->len);
    return NULL;
}

static void hold_directory(const char *path)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct reading reading = {.fd = open(path, O_RDONLY | O_DIRECTORY), .len = (size_t)sysconf(_SC_PAGESIZE)};
    int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    struct uffd_msg fault;
    pthread_t thread;
    check(reading.fd >= 0, path);
    check(uffd >= 0 && ioctl(uffd, UFFDIO_API, &api) == 0, "userfaultfd");
    reading.page = mmap(NULL, reading.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(reading.page != MAP_FAILED, "mmap");
    struct uffdio_range range = {.start = (uintptr_t)reading.page, .len = reading.len};
    struct uffdio_register watched = {.range = range, .mode = UFFDIO_REGISTER_MODE_MISSING};
    struct uffdio_zeropage fill = {.range = range};
    check(ioctl(uffd, UFFDIO_REGISTER, &watched) == 0, "userfaultfd register");
    check(pthread_create(&thread, NULL, read_directory, &reading) == 0, "thread");
    check(readable(uffd) && read(uffd, &fault, sizeof fault) == sizeof fault, "page fault");
    say("held");
    while (!stopping)
        readable(uffd);
    check(ioctl(uffd, UFFDIO_ZEROPAGE, &fill) == 0, "userfaultfd zeropage");
    pthread_join(thread, NULL);
}

/* --- whoever opens it --- */

static void hold_openers(const char *path)
{
    struct stat stat_of;
    int fan = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
    check(fan >= 0, "fanotify_init");
    check(stat(path, &stat_of) == 0, path);
    uint64_t mask = FAN_OPEN_PERM | (S_ISDIR(stat_of.st_mode) ? FAN_EVENT_ON_CHILD : 0);
    check(fanotify_mark(fan, FAN_MARK_ADD, mask, AT_FDCWD, path) == 0, "fanotify_mark");
    say("ready");
    while (readable(fan)) {
        struct fanotify_event_metadata events[16];
        ssize_t len = read(fan, events, sizeof events);
        check(len > 0, "fanotify");
        for (const struct fanotify_event_metadata *event = events; FAN_EVENT_OK(event, len);
             event = FAN_EVENT_NEXT(event, len)) {
            close(event->fd);
            say("held");
        }
    }
    close(fan); /* allows what waits */
}

int main(int argc, char **argv)
{
    struct sigaction end = {.sa_handler = stop};
    sigset_t term;
    if (argc != 3)
        return 2;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    sigaction(SIGTERM, &end, NULL);
    if (!strcmp(argv[1], "directory"))
        hold_directory(argv[2]);
    else
        hold_openers(argv[2]);
    return 0;
}
