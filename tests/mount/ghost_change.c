/* ghost_change KIND COUNT DIR... - changes to be reported elsewhere, for the tests of ghosts.
 *
 * One process for each DIR makes COUNT changes of a kind in it, as fast as they go. When each is done, one line for
 * each event it causes, in the order of the directory: the time before the call that commits it (CLOCK_MONOTONIC,
 * ns), the directory's place in the list, the event, the name, the content if there is any. KINDs build upon each
 * other:
 *
 *   mkdir        dN                        rmdir    dN
 *   create       eN, empty                 symlink  sN
 *   write        fN, with its number       unlink   eN, sN and gN, in this order
 *   data         f0 … f99 in turn, each time with a higher number
 *   append       the same, appended with O_APPEND
 *   attr         chmod of f0 … f99 in turn
 *   rename       fN to gN                  exchange g2N with g2N+1
 *   replace      a new file moved onto r: the usual way to save
 *   move         gN to the next DIR, where its name is mN
 *   mix          all at once: write, append, rename, unlink of xN */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 100 };

static int place;
static const char *dir, *next_dir;
static char paths[2][PATH_MAX];

static int64_t begun_ns;

static void begin(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    begun_ns = at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static void done(const char *what, const char *name, long value)
{
    char line[300];
    int len = snprintf(line, sizeof line, "%" PRId64 " %d %s %s %ld\n", begun_ns, place, what, name, value);
    if (write(STDOUT_FILENO, line, (size_t)len) != len)
        exit(1);
}

static void check(bool right, const char *what, const char *name)
{
    if (right)
        return;
    fprintf(stderr, "ghost_change: %s %s: %s\n", what, name, strerror(errno));
    exit(1);
}

/* The path of a name with a number, in one of two places for paths. */
static const char *path(int which, const char *in, const char *prefix, long n)
{
    snprintf(paths[which], sizeof paths[which], "%s/%s%ld", in, prefix, n);
    return paths[which];
}

static const char *name_in(const char *whole)
{
    return strrchr(whole, '/') + 1;
}

/* What is appended is committed by write(2), the rest by close(2). */
static void write_number(const char *file, int flags, long number)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%ld\n", number);
    int fd = open(file, O_WRONLY | flags, 0644);
    check(fd >= 0, "open", file);
    begin();
    check(!number || write(fd, text, (size_t)len) == len, "write", file);
    if (!(flags & O_APPEND))
        begin();
    check(close(fd) == 0, "close", file);
}

static void do_mkdir(long n)
{
    const char *at = path(0, dir, "d", n);
    begin();
    check(mkdir(at, 0755) == 0, "mkdir", at);
    done("CREATE,ISDIR", name_in(at), n);
}

static void do_rmdir(long n)
{
    const char *at = path(0, dir, "d", n);
    begin();
    check(rmdir(at) == 0, "rmdir", at);
    done("DELETE,ISDIR", name_in(at), n);
}

static void do_create(long n)
{
    const char *at = path(0, dir, "e", n);
    write_number(at, O_CREAT | O_EXCL, 0);
    done("CREATE", name_in(at), n);
}

static void do_symlink(long n)
{
    const char *at = path(0, dir, "s", n);
    begin();
    check(symlink("target", at) == 0, "symlink", at);
    done("CREATE", name_in(at), n);
}

static void do_write(long n)
{
    const char *at = path(0, dir, "f", n);
    write_number(at, O_CREAT | O_EXCL, n + 1);
    done("CREATE", name_in(at), n + 1);
}

static void do_data(long n)
{
    const char *at = path(0, dir, "f", n % FILES);
    write_number(at, O_TRUNC, n + 1);
    done("CLOSE_WRITE", name_in(at), n + 1);
}

static void do_append(long n)
{
    const char *at = path(0, dir, "f", n % FILES);
    write_number(at, O_APPEND, n + 1);
    done("CLOSE_WRITE", name_in(at), n + 1);
}

static void do_attr(long n)
{
    const char *at = path(0, dir, "f", n % FILES);
    begin();
    check(chmod(at, n / FILES % 2 ? 0600 : 0640) == 0, "chmod", at);
    done("ATTRIB", name_in(at), n);
}

static void rename_to(const char *from, const char *to)
{
    begin();
    check(rename(from, to) == 0, "rename", from);
    done("MOVED_FROM", name_in(from), 0);
    done("MOVED_TO", name_in(to), 0);
}

static void do_rename(long n)
{
    rename_to(path(0, dir, "f", n), path(1, dir, "g", n));
}

static void do_exchange(long n)
{
    const char *from = path(0, dir, "g", n & ~1L), *to = path(1, dir, "g", n | 1);
    begin();
    check(renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0, "exchange", from);
    done("MOVED_FROM", name_in(from), 0);
    done("MOVED_TO", name_in(to), 0);
    done("MOVED_FROM", name_in(to), 0);
    done("MOVED_TO", name_in(from), 0);
}

static void do_replace(long n)
{
    const char *temporary = path(0, dir, "r-", n), *to = path(1, dir, "r", 0);
    write_number(temporary, O_CREAT | O_EXCL, n + 1);
    done("CREATE", name_in(temporary), n);
    rename_to(temporary, to);
}

static void do_unlink(long n)
{
    static const char *const prefixes[] = {"e", "s", "g"};
    for (int i = 0; i < 3; i++) {
        const char *at = path(0, dir, prefixes[i], n);
        begin();
        if (unlink(at) == 0)
            done("DELETE", name_in(at), n);
        else
            check(errno == ENOENT, "unlink", at);
    }
}

static void do_move(long n)
{
    const char *from = path(0, dir, "g", n), *to = path(1, next_dir, "m", n);
    begin();
    check(rename(from, to) == 0, "rename", from);
    done("MOVED_FROM", name_in(from), 0);
}

static void do_mix(long n)
{
    const char *at = path(0, dir, "x", n), *to = path(1, dir, "y", n % FILES);
    write_number(at, O_CREAT | O_EXCL, n + 1);
    done("CREATE", name_in(at), n);
    write_number(at, O_APPEND, n + 1);
    if (n % 3 == 0) {
        begin();
        check(unlink(at) == 0, "unlink", at);
        done("DELETE", name_in(at), n);
    } else {
        rename_to(at, to);
    }
}

static const struct {
    const char *name;
    void (*change)(long n);
} kinds[] = {
    {"mkdir", do_mkdir},   {"rmdir", do_rmdir},   {"create", do_create},     {"symlink", do_symlink},
    {"write", do_write},   {"data", do_data},     {"append", do_append},     {"attr", do_attr},
    {"rename", do_rename}, {"unlink", do_unlink}, {"exchange", do_exchange}, {"replace", do_replace},
    {"move", do_move},     {"mix", do_mix},
};

static void (*change_named(const char *name))(long)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, name))
            return kinds[i].change;
    fprintf(stderr, "ghost_change: what is '%s'?\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    void (*change)(long) = change_named(argv[1]);
    long count = atol(argv[2]);
    int dirs = argc - 3, status = 0, failed = 0;
    for (place = 0; place < dirs; place++) {
        dir = argv[3 + place];
        next_dir = argv[3 + (place + 1) % dirs];
        if (fork() == 0) {
            for (long n = 0; n < count; n++)
                change(n);
            return 0;
        }
    }
    while (wait(&status) > 0)
        failed |= status;
    return failed != 0;
}
