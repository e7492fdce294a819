/* ghost_both SCENARIO A B COUNT SEED - two hosts change the same names at once, for tests/mount/ghost_both.sh; A and B
 * are one directory, on two mounts.
 *
 *   removed   A makes a directory, B removes it as soon as it can
 *   again     A makes and removes one, B makes one of that name
 *   moved     A makes one, B moves it to another name
 *   any-N     both do whatever can be done to four names, as fast as they go; then to the next four. SEED for the same
 *             choices again. No RENAME_EXCHANGE: its events are those of a move and another one back
 *
 * Says on stdout how much of it was done. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES = 4, KINDS = 8, CALLS = 10 /* of each, for the same names */ };

struct host {
    int at;
    pthread_barrier_t *together;
    unsigned long count;
    uint64_t random;
    unsigned long done;
};

static void must(bool right, const char *what)
{
    if (right)
        return;
    perror(what);
    exit(1);
}

/* --- one after the other --- */

static void remove_when_seen(int a, int b, const char *name)
{
    must(!mkdirat(a, name, 0755), "mkdir");
    while (unlinkat(b, name, AT_REMOVEDIR))
        must(errno == ENOENT, "rmdir");
}

static void make_when_gone(int a, int b, const char *name)
{
    must(!mkdirat(a, name, 0755), "mkdir");
    must(!unlinkat(a, name, AT_REMOVEDIR), "rmdir");
    while (mkdirat(b, name, 0755))
        must(errno == EEXIST, "mkdir");
}

static void move_when_seen(int a, int b, const char *name)
{
    char to[32];
    snprintf(to, sizeof to, "to-%s", name);
    must(!mkdirat(a, name, 0755), "mkdir");
    while (renameat(b, name, b, to))
        must(errno == ENOENT, "rename");
}

static void each(void (*scenario)(int, int, const char *), int a, int b, unsigned long count)
{
    char name[24];
    for (unsigned long i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%lu", i);
        scenario(a, b, name);
    }
    printf("%lu\n", count);
}

/* --- both at once --- */

static uint64_t draw(struct host *host, uint64_t below)
{
    host->random ^= host->random << 13;
    host->random ^= host->random >> 7;
    host->random ^= host->random << 17;
    return host->random % below;
}

static int write_file(int at, const char *name, int flags)
{
    int fd = openat(at, name, O_WRONLY | flags, 0644);
    if (fd < 0)
        return -1;
    bool written = write(fd, "x", 1) == 1;
    return close(fd) || !written ? -1 : 0;
}

static void any_name(struct host *host, unsigned long of, char name[24])
{
    snprintf(name, 24, "%c%lu", (char)('a' + draw(host, NAMES)), of);
}

static int do_any(struct host *host, unsigned long of)
{
    char name[24], to[24];
    any_name(host, of, name);
    any_name(host, of, to);
    switch (draw(host, KINDS)) {
    case 0:
    case 1:
        return mkdirat(host->at, name, 0755);
    case 2:
        return write_file(host->at, name, O_CREAT | O_EXCL);
    case 3:
        return symlinkat("nowhere", host->at, name);
    case 4:
        return unlinkat(host->at, name, 0);
    case 5:
        return unlinkat(host->at, name, AT_REMOVEDIR);
    case 6:
        return renameat(host->at, name, host->at, to);
    default:
        return write_file(host->at, name, O_APPEND);
    }
}

static void *do_all(void *arg)
{
    struct host *host = arg;
    for (unsigned long of = 0; of < host->count; of++) {
        pthread_barrier_wait(host->together);
        for (int i = 0; i < CALLS; i++)
            host->done += !do_any(host, of);
    }
    return NULL;
}

static void any(int a, int b, unsigned long count, uint64_t seed)
{
    pthread_barrier_t together;
    struct host hosts[2] = {{a, &together, count, 2 * seed + 1, 0},
                            {b, &together, count, (2 * seed + 1) * 0x9E3779B97F4A7C15u, 0}};
    pthread_t other;
    pthread_barrier_init(&together, NULL, 2);
    must(!pthread_create(&other, NULL, do_all, &hosts[1]), "thread");
    do_all(&hosts[0]);
    pthread_join(other, NULL);
    printf("%lu\n", hosts[0].done + hosts[1].done);
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    int a = open(argv[2], O_RDONLY | O_DIRECTORY), b = open(argv[3], O_RDONLY | O_DIRECTORY);
    unsigned long count = strtoul(argv[4], NULL, 10);
    must(a >= 0 && b >= 0, "open");
    if (!strcmp(argv[1], "removed"))
        each(remove_when_seen, a, b, count);
    else if (!strcmp(argv[1], "again"))
        each(make_when_gone, a, b, count);
    else if (!strcmp(argv[1], "moved"))
        each(move_when_seen, a, b, count);
    else
        any(a, b, count, strtoull(argv[5], NULL, 10));
    return 0;
}
