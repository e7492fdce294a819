/* racer DIR SEED - races with its like for a few names in one directory, until SIGTERM. For racer.sh, which runs
 * several of them on several mounts.
 *
 * Makes, writes, appends to, reads, renames (plain, RENAME_NOREPLACE, RENAME_EXCHANGE), unlinks, makes and removes
 * directories, lists, and switches symlinks as `ln -sfn` does: DIR/n0 … DIR/n9, and the same names in them where they
 * are directories. What it may see:
 *
 * 1. of each call only the errors in its row below, and EROFS or ETIMEDOUT of those that change something;
 * 2. of a file a version whole, or nothing yet: each version says how long it is and of what bytes;
 * 3. in a listing no name twice;
 * 4. DIR/kept, a file, and DIR/current, a symlink, which are only ever replaced: always there, in listings too.
 *
 * Prints how often each call ended with what. A fault: exit 1. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES = 10, WHOLE_BYTES = 64 * 1024, HEAD_BYTES = 8, ERRNOS = 134, ERRORS = 8 };

enum call {
    OPEN,
    CREATE,
    WRITE,
    CLOSE,
    APPEND,
    READ,
    RENAME,
    NOREPLACE,
    EXCHANGE,
    SWITCH,
    SYMLINK,
    READLINK,
    UNLINK,
    MKDIR,
    RMDIR,
    LIST,
    CALLS
};

/* Anything may have become a directory, a symlink to itself, or nothing. ESTALE: something else twice in one call; the
 * kernel looks names up again once. */
#define PATH ENOENT, ENOTDIR, ELOOP, ESTALE
static const struct {
    const char *name;
    bool changes;
    int errors[ERRORS];
} rules[CALLS] = {
    [OPEN] = {"open(O_CREAT)", true, {PATH, EISDIR}},
    [CREATE] = {"open(O_EXCL)", true, {PATH, EEXIST}},
    [WRITE] = {"write", true, {0}},
    [CLOSE] = {"close", true, {0}},
    [APPEND] = {"append", true, {0}},
    [READ] = {"open and read", false, {PATH, EISDIR}},
    [RENAME] = {"rename", true, {PATH, EISDIR, ENOTEMPTY, EINVAL}},
    [NOREPLACE] = {"rename(NOREPLACE)", true, {PATH, EEXIST, EINVAL}},
    [EXCHANGE] = {"rename(EXCHANGE)", true, {PATH, EINVAL, ENOTEMPTY}},
    [SWITCH] = {"rename of a symlink", true, {PATH, EISDIR}},
    [SYMLINK] = {"symlink", true, {0}},
    [READLINK] = {"readlink", false, {PATH, EINVAL}},
    [UNLINK] = {"unlink", true, {PATH, EISDIR}},
    [MKDIR] = {"mkdir", true, {PATH, EEXIST}},
    [RMDIR] = {"rmdir", true, {PATH, ENOTEMPTY}},
    [LIST] = {"readdir", false, {PATH}},
};

static volatile sig_atomic_t stopping;
static const char *dir;
static uint64_t dice, seed;
static long counts[CALLS][ERRNOS], versions;
static char bytes[WHOLE_BYTES + 1];

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static unsigned chance(unsigned below)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(dice >> 33) % below;
}

__attribute__((noreturn)) static void fault(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("racer %" PRIu64 ": ", seed);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    exit(1);
}

static bool allowed(enum call call, int error)
{
    if (rules[call].changes && (error == EROFS || error == ETIMEDOUT))
        return true;
    for (int i = 0; i < ERRORS; i++)
        if (rules[call].errors[i] == error)
            return true;
    return false;
}

/* Notes how a call ended; true if it succeeded. */
static bool ended(enum call call, const char *path, long returned)
{
    int error = returned < 0 ? errno : 0;
    if (error && !allowed(call, error))
        fault("%s %s: %s", rules[call].name, path, strerrorname_np(error));
    counts[call][error < ERRNOS ? error : ERRNOS - 1]++;
    return !error;
}

/* --- names --- */

static const char *path_of(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned last;
    char *path = paths[++last % 4];
    snprintf(path, PATH_MAX, "%s/%s", dir, name);
    return path;
}

static const char *some_path(void)
{
    char name[16];
    if (chance(4))
        snprintf(name, sizeof name, "n%u", chance(NAMES));
    else
        snprintf(name, sizeof name, "n%u/n%u", chance(NAMES), chance(NAMES));
    return path_of(name);
}

/* --- contents: "LENGTH " in decimal, then one byte again and again --- */

static size_t some_version(void)
{
    size_t len = HEAD_BYTES + chance(chance(8) ? 200 : WHOLE_BYTES - HEAD_BYTES);
    char head[24];
    snprintf(head, sizeof head, "%07zu", len);
    memset(bytes, 'a' + (int)chance(26), len);
    memcpy(bytes, head, HEAD_BYTES - 1);
    bytes[HEAD_BYTES - 1] = ' ';
    return len;
}

/* A version may have been appended to, with '+'. */
static void expect_whole(const char *path, size_t len)
{
    size_t said = len >= HEAD_BYTES ? strtoul(bytes, NULL, 10) : 0;
    size_t end = len;
    while (end > 0 && bytes[end - 1] == '+')
        end--;
    if (end != said)
        fault("%s has %zu bytes, of which %zu are a version of %zu", path, len, end, said);
    for (size_t i = HEAD_BYTES; i < end; i++)
        if (bytes[i] != bytes[HEAD_BYTES])
            fault("%s: another version begins at byte %zu", path, i);
    versions++;
}

static void write_version(int fd, const char *path)
{
    size_t len = some_version();
    ended(WRITE, path, write(fd, bytes, len));
    ended(CLOSE, path, close(fd));
}

/* --- the calls --- */

static void do_write(void)
{
    const char *path = some_path();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
    if (ended(OPEN, path, fd))
        write_version(fd, path);
}

static void do_create(void)
{
    const char *path = some_path();
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (ended(CREATE, path, fd))
        write_version(fd, path);
}

static void do_append(void)
{
    const char *path = some_path();
    int fd = open(path, O_WRONLY | O_APPEND | O_NOFOLLOW);
    if (!ended(OPEN, path, fd))
        return;
    ended(APPEND, path, write(fd, "+", 1));
    ended(CLOSE, path, close(fd));
}

static void read_whole(const char *path, bool always)
{
    int fd = open(path, O_RDONLY);
    ssize_t len = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    if (!ended(READ, path, len) && always)
        fault("%s: %s", path, strerrorname_np(errno));
    if (len > 0 || always)
        expect_whole(path, (size_t)len);
    if (fd >= 0)
        close(fd);
}

static void do_read(void)
{
    read_whole(some_path(), false);
}

static void do_rename(void)
{
    static const struct {
        enum call call;
        unsigned flags;
    } kinds[] = {{RENAME, 0}, {NOREPLACE, RENAME_NOREPLACE}, {EXCHANGE, RENAME_EXCHANGE}};
    unsigned kind = chance(3);
    const char *from = some_path(), *to = some_path();
    ended(kinds[kind].call, from, renameat2(AT_FDCWD, from, AT_FDCWD, to, kinds[kind].flags));
}

/* As `ln -sfn`: a new symlink beside, renamed onto the old one. */
static void switch_link(const char *path)
{
    char name[64], target[16];
    static unsigned number;
    snprintf(name, sizeof name, "tmp-%" PRIu64 "-%u", seed, number++);
    snprintf(target, sizeof target, "n%u", chance(NAMES));
    const char *beside = path_of(name);
    if (!ended(SYMLINK, beside, symlink(target, beside)))
        return;
    if (!ended(SWITCH, path, rename(beside, path)))
        ended(UNLINK, beside, unlink(beside));
}

static void do_switch(void)
{
    switch_link(chance(2) ? path_of("current") : some_path());
}

static void do_replace_kept(void)
{
    char name[64];
    snprintf(name, sizeof name, "new-%" PRIu64, seed);
    const char *beside = path_of(name);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    size_t len = some_version();
    if (!ended(OPEN, beside, fd))
        return;
    bool written = ended(WRITE, beside, write(fd, bytes, len));
    written &= ended(CLOSE, beside, close(fd));
    if (written)
        ended(RENAME, beside, rename(beside, path_of("kept")));
}

static void do_see_permanent(void)
{
    char target[64] = "";
    const char *link = path_of("current");
    if (!ended(READLINK, link, readlink(link, target, sizeof target - 1)) || target[0] != 'n')
        fault("%s: %s, '%s'", link, strerrorname_np(errno), target);
    read_whole(path_of("kept"), true);
}

static void do_readlink(void)
{
    char target[64];
    const char *path = some_path();
    ended(READLINK, path, readlink(path, target, sizeof target));
}

static void do_unlink(void)
{
    const char *path = some_path();
    ended(UNLINK, path, unlink(path));
}

static void do_mkdir(void)
{
    const char *path = some_path();
    ended(MKDIR, path, mkdir(path, 0755));
}

static void do_rmdir(void)
{
    const char *path = some_path();
    ended(RMDIR, path, rmdir(path));
}

static void do_list(void)
{
    const struct dirent *entry;
    unsigned seen[NAMES] = {0}, permanent = 0;
    DIR *list = opendir(dir);
    if (!ended(LIST, dir, list ? 0 : -1))
        fault("%s: %s", dir, strerrorname_np(errno));
    while (errno = 0, (entry = readdir(list))) {
        const char *name = entry->d_name;
        permanent += !strcmp(name, "kept") || !strcmp(name, "current");
        if (name[0] == 'n' && name[1] >= '0' && name[1] <= '9' && seen[name[1] - '0']++)
            fault("%s is listed twice", name);
    }
    ended(LIST, dir, errno ? -1 : 0);
    closedir(list);
    if (permanent != 2)
        fault("%u of kept and current are listed", permanent);
}

static void (*const turns[])(void) = {
    do_write,  do_write,    do_create,        do_append, do_read,   do_read,  do_rename, do_rename,       do_rename,
    do_switch, do_readlink, do_see_permanent, do_unlink, do_unlink, do_mkdir, do_rmdir,  do_replace_kept, do_list,
};

static void print_counts(void)
{
    for (int call = 0; call < CALLS; call++) {
        printf("%s:", rules[call].name);
        for (int error = 0; error < ERRNOS; error++)
            if (counts[call][error])
                printf(" %ld %s", counts[call][error], error ? strerrorname_np(error) : "ok");
        printf("\n");
    }
    printf("versions: %ld whole\n", versions);
}

int main(int argc, char **argv)
{
    struct sigaction end = {.sa_handler = stop, .sa_flags = SA_RESTART};
    if (argc != 3)
        return 2;
    dir = argv[1];
    seed = dice = strtoull(argv[2], NULL, 10);
    sigaction(SIGTERM, &end, NULL);
    while (!stopping)
        turns[chance(sizeof turns / sizeof *turns)]();
    print_counts();
    return 0;
}
