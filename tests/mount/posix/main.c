/* posix DIRECTORY [GROUP...] - runs the cases, in DIRECTORY/GROUP. posix --list names the groups. */
#include "tests/mount/posix/posix.h"

#include <dirent.h>
#include <grp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

enum { GROUP_TIMEOUT_S = 60, SHOWN_BYTES = 40, SHOWN_NAME_BYTES = 200, NAMES_MAX = 256 };

static const char *group_name;
void *const nowhere = (void *)8;

/* --- a case --- */

/* Bytes as a line can hold them; `to` has room for four times as many and a NUL. */
static char *escape(const char *from, size_t len, char *to)
{
    char *at = to;
    for (size_t i = 0; i < len; i++) {
        bool plain = from[i] >= ' ' && from[i] < 127;
        at += plain ? sprintf(at, "%c", from[i]) : sprintf(at, "\\x%02x", (unsigned char)from[i]);
    }
    *at = 0;
    return to;
}

void says(const char *what, const char *format, ...)
{
    char text[8192], line[4 * sizeof text + 1], name[4 * SHOWN_NAME_BYTES + 1];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    escape(what, strnlen(what, SHOWN_NAME_BYTES), name);
    dprintf(STDOUT_FILENO, "%s: %s: %s\n", group_name, name, escape(text, strlen(text), line));
}

long called(const char *what, long value)
{
    if (value < 0)
        says(what, "%s", strerrorname_np(errno));
    else
        says(what, "%ld", value);
    return value;
}

int opened(const char *what, int fd)
{
    says(what, "%s", fd < 0 ? strerrorname_np(errno) : "ok");
    return fd;
}

/* --- what can be seen --- */

static const char *kind_of(mode_t mode)
{
    return S_ISREG(mode)    ? "file"
           : S_ISDIR(mode)  ? "directory"
           : S_ISLNK(mode)  ? "symlink"
           : S_ISFIFO(mode) ? "fifo"
           : S_ISSOCK(mode) ? "socket"
                            : "device";
}

static void see_stat(const char *what, const struct stat *stat)
{
    char size[32] = "";
    if (!S_ISDIR(stat->st_mode))
        snprintf(size, sizeof size, " size %jd", (intmax_t)stat->st_size);
    says(what, "%s %04o owner %u:%u links %ju%s", kind_of(stat->st_mode), stat->st_mode & 07777, stat->st_uid,
         stat->st_gid, (uintmax_t)stat->st_nlink, size);
}

void see(const char *path)
{
    struct stat stat;
    if (lstat(path, &stat))
        says(path, "%s", strerrorname_np(errno));
    else
        see_stat(path, &stat);
}

void see_fd(const char *what, int fd)
{
    struct stat stat;
    if (fstat(fd, &stat))
        says(what, "%s", strerrorname_np(errno));
    else
        see_stat(what, &stat);
}

void see_text(const char *path)
{
    static char text[2 << 20];
    char shown[4 * SHOWN_BYTES + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text);
    unsigned sum = 0;
    if (len < 0) {
        says(path, "%s", strerrorname_np(errno));
    } else if (len <= SHOWN_BYTES) {
        says(path, "\"%s\"", escape(text, (size_t)len, shown));
    } else {
        for (ssize_t i = 0; i < len; i++)
            sum = sum * 31 + (unsigned char)text[i];
        says(path, "%zd bytes, sum %08x", len, sum);
    }
    if (fd >= 0)
        close(fd);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void see_list(const char *path)
{
    static const char *const kinds[] = {
        [DT_DIR] = "/", [DT_LNK] = "@", [DT_REG] = "", [DT_FIFO] = "|", [DT_SOCK] = "="};
    char *names[NAMES_MAX], text[8000] = "";
    const struct dirent *entry;
    size_t count = 0, len = 0;
    DIR *directory = opendir(path);
    if (!directory) {
        says(path, "%s", strerrorname_np(errno));
        return;
    }
    while (count < NAMES_MAX && (entry = readdir(directory))) {
        const char *kind = entry->d_type < sizeof kinds / sizeof *kinds ? kinds[entry->d_type] : NULL;
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
            asprintf(&names[count], "%s%s", entry->d_name, kind ? kind : "?") >= 0)
            count++;
    }
    closedir(directory);
    qsort(names, count, sizeof *names, compare);
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, " %.60s", names[i]);
        free(names[i]);
    }
    says(path, "%zu names:%s", count, text);
}

/* --- times --- */

/* Waits until a time taken now differs from one taken before: filesystems may use the coarse clock. */
static void await_tick(void)
{
    struct timespec before, now;
    clock_gettime(CLOCK_REALTIME_COARSE, &before);
    for (int ticks = 0; ticks < 2; ticks += now.tv_nsec != before.tv_nsec) {
        if (ticks)
            before = now;
        do {
            struct timespec pause = {.tv_nsec = 500000};
            nanosleep(&pause, NULL);
            clock_gettime(CLOCK_REALTIME_COARSE, &now);
        } while (now.tv_nsec == before.tv_nsec);
    }
}

static struct mark times_of(const char *path)
{
    struct stat stat = {0};
    lstat(path, &stat);
    return (struct mark){stat.st_mtim, stat.st_ctim};
}

struct mark mark(const char *path)
{
    struct mark at = times_of(path);
    await_tick();
    return at;
}

static const char *change(struct timespec from, struct timespec to)
{
    bool later = to.tv_sec > from.tv_sec || (to.tv_sec == from.tv_sec && to.tv_nsec > from.tv_nsec);
    bool same = to.tv_sec == from.tv_sec && to.tv_nsec == from.tv_nsec;
    return same ? "same" : later ? "later" : "earlier";
}

void moved(const char *what, const char *path, struct mark since)
{
    struct mark now = times_of(path);
    says(what, "mtime %s, ctime %s", change(since.mtime, now.mtime), change(since.ctime, now.ctime));
}

/* --- what cases need --- */

/* Ends the group: without this nothing that follows would mean anything. */
static void must(bool done, const char *what)
{
    if (done)
        return;
    says(what, "cannot be prepared: %s", strerrorname_np(errno));
    _exit(1);
}

void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    size_t len = strlen(text);
    must(fd >= 0 && write(fd, text, len) == (ssize_t)len && !close(fd), path);
}

void put_as(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
    put(path, "text");
    must(!chown(path, uid, gid) && !chmod(path, mode), path);
}

void dir_as(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
    must(!mkdir(path, 0755) && !chown(path, uid, gid) && !chmod(path, mode), path);
}

void become(uid_t uid, gid_t gid)
{
    must(!seteuid(0) && !setgroups(0, NULL) && !setegid(gid) && !seteuid(uid), "become");
}

void join_group(gid_t gid)
{
    uid_t uid = geteuid();
    must(!seteuid(0) && !setgroups(1, &gid) && !seteuid(uid), "join_group");
}

/* --- the groups --- */

static const struct cases *const files[] = {
    open_groups, io_groups,     append_groups,    name_groups,     rename_groups,  attr_groups,
    time_groups, access_groups, directory_groups, unlinked_groups, mapping_groups, xattr_groups,
};

/* Whether it was asked for. */
static bool is_wanted(const char *name, char **wanted)
{
    bool found = !*wanted;
    for (; *wanted && !found; wanted++)
        found = !strcmp(*wanted, name);
    return found;
}

static int run(const struct cases *group)
{
    int status = 1;
    pid_t pid = fork();
    if (!pid) {
        group_name = group->name;
        umask(022);
        alarm(GROUP_TIMEOUT_S);
        must(!mkdir(group->name, 0755) && !chdir(group->name), group->name);
        group->run();
        _exit(0);
    }
    if (pid > 0)
        waitpid(pid, &status, 0);
    if (status)
        dprintf(STDOUT_FILENO, "%s: ended with status %#x\n", group->name, (unsigned)status);
    return status != 0;
}

int main(int argc, char **argv)
{
    bool list = argc == 2 && !strcmp(argv[1], "--list");
    int failures = 0;
    if (argc < 2 || (!list && chdir(argv[1]))) {
        dprintf(STDERR_FILENO, "usage: posix DIRECTORY [GROUP...] | --list\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (const struct cases *group = files[i]; group->name; group++) {
            if (list)
                dprintf(STDOUT_FILENO, "%s\n", group->name);
            else if (is_wanted(group->name, argv + 2))
                failures += run(group);
        }
    return failures != 0;
}
