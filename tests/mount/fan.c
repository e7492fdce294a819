/* fan - fanotify on a mount, for fanotify.sh.
 *
 *   fan files DIR     marks the directory for what happens to the content of the files in it; each event comes with a
 *                     descriptor of the file
 *   fan names DIR     the same with names in place of descriptors (FAN_REPORT_DFID_NAME), and for what happens to names
 *   fan try DIR       one line for each kind of mark: whether the kernel takes it, or the name of its errno
 *
 * The first two say "ready" on stderr, then "EVENT NAME" for each event, until SIGTERM. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 16 };
static const uint64_t CONTENT = FAN_MODIFY | FAN_CLOSE_WRITE | FAN_EVENT_ON_CHILD;
static const uint64_t NAMES = FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_ATTRIB | FAN_ONDIR;

static const struct {
    uint64_t bit;
    const char *name;
} bits[] = {
    {FAN_CREATE, "CREATE"}, {FAN_DELETE, "DELETE"}, {FAN_MOVED_FROM, "MOVED_FROM"},   {FAN_MOVED_TO, "MOVED_TO"},
    {FAN_ATTRIB, "ATTRIB"}, {FAN_MODIFY, "MODIFY"}, {FAN_CLOSE_WRITE, "CLOSE_WRITE"},
};

static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static void check(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "fan: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The name that an event carries behind it, or that its descriptor has now. */
static void name_of(const struct fanotify_event_metadata *event, const char *info, char name[PATH_MAX])
{
    char link[64];
    snprintf(name, PATH_MAX, "?");
    if (event->fd >= 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", event->fd);
        ssize_t len = readlink(link, name, PATH_MAX - 1);
        check(len > 0, link);
        name[len] = 0;
        memmove(name, strrchr(name, '/') + 1, strlen(strrchr(name, '/')));
        close(event->fd);
    } else if (event->event_len > event->metadata_len) {
        struct file_handle handle;
        info += offsetof(struct fanotify_event_info_fid, handle);
        memcpy(&handle, info, sizeof handle);
        snprintf(name, PATH_MAX, "%s", info + sizeof handle + handle.handle_bytes);
    }
}

/* The events of one call that the kernel has merged come in the order of the table above. */
static void say(const struct fanotify_event_metadata *event, const char *info)
{
    char name[PATH_MAX];
    name_of(event, info, name);
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        if (event->mask & bits[i].bit)
            printf("%s%s %s\n", bits[i].name, event->mask & FAN_ONDIR ? ",ISDIR" : "", name);
    fflush(stdout);
}

static int listen_to(const char *directory, unsigned report, uint64_t mask)
{
    static char buffer[BUFFER_BYTES];
    struct sigaction end = {.sa_handler = stop};
    sigset_t term, none;
    sigemptyset(&none);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    sigaction(SIGTERM, &end, NULL);
    int fan = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | report, O_RDONLY);
    check(fan >= 0, "fanotify_init");
    check(!fanotify_mark(fan, FAN_MARK_ADD, mask, AT_FDCWD, directory), directory);
    fprintf(stderr, "ready\n");
    struct pollfd waiting = {.fd = fan, .events = POLLIN};
    while (!stopping && ppoll(&waiting, 1, NULL, &none) > 0) {
        ssize_t len = read(fan, buffer, sizeof buffer);
        const char *at = buffer;
        check(len > 0, "read");
        /* The kernel aligns them to 4 bytes. */
        for (struct fanotify_event_metadata event; len > 0; len -= event.event_len, at += event.event_len) {
            memcpy(&event, at, sizeof event);
            say(&event, at + sizeof event);
        }
    }
    return 0;
}

static void try(const char *what, const char *directory, unsigned report, unsigned kind)
{
    int fan = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | report, O_RDONLY);
    int returned = fan < 0 ? -1 : fanotify_mark(fan, FAN_MARK_ADD | kind, FAN_MODIFY, AT_FDCWD, directory);
    printf("%s: %s\n", what, returned ? strerrorname_np(errno) : "OK");
    close(fan);
}

static int try_all(const char *directory)
{
    try("inode", directory, 0, FAN_MARK_INODE);
    try("inode, with names", directory, FAN_REPORT_DFID_NAME, FAN_MARK_INODE);
    try("mount", directory, 0, FAN_MARK_MOUNT);
    try("mount, with names", directory, FAN_REPORT_DFID_NAME, FAN_MARK_MOUNT);
    try("filesystem", directory, 0, FAN_MARK_FILESYSTEM);
    try("filesystem, with names", directory, FAN_REPORT_DFID_NAME, FAN_MARK_FILESYSTEM);
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc == 3 ? argv[1] : "";
    if (!strcmp(mode, "files"))
        return listen_to(argv[2], 0, CONTENT);
    if (!strcmp(mode, "names"))
        return listen_to(argv[2], FAN_REPORT_DFID_NAME, CONTENT | NAMES);
    return strcmp(mode, "try") ? 2 : try_all(argv[2]);
}
