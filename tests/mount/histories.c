/* Histories in one directory, for caches.sh. A writer goes round by round through the same steps, each a change of its
 * own: a file's content (and so its size), a rename, a create, a removal, a time, and another file's content. Whatever
 * a reader looks at, by whatever call, tells between which two steps that was; nothing that one mount shows may lie
 * before what it has shown already, to any process. But where the kernel answers a stat by itself it reads the
 * attributes without a lock, while another's answer is stored one by one: for some nanoseconds a size can be the one
 * before, on any FUSE file system. So who sees that looks again, at once, and what is right then is counted apart.
 *
 *   histories prepare DIR ROUNDS         files to be removed, and the others at round 0
 *   histories write DIR ROUNDS           goes through the rounds
 *   histories read DIR PROCESSES UNTIL   looks until the file UNTIL is there; says how often, and what went back
 *   histories disturb DIR UNTIL          makes, looks at and removes names of its own there */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum step { STEP_X, STEP_RENAME, STEP_CREATE, STEP_REMOVE, STEP_TIME, STEP_Z, STEP_Y, STEPS };

/* Content of round n: the number, and filler, so that the size says it as well; but the size of z goes up and down. */
enum { LOOK_AHEAD = 3, TORN_LOOKS = 20000 /* at most one of so many */, SIZE_0 = 16, SIZE_MAX_BYTES = 16384 };

_Noreturn static void die(const char *what)
{
    perror(what);
    exit(1);
}

static long at(long round, enum step step)
{
    return round * STEPS + step;
}

/* --- writing --- */

static size_t size_of(const char *name, long round)
{
    return SIZE_0 + (size_t)(*name == 'z' ? round * 997 % 3000 : round);
}

static void put(const char *name, long round)
{
    char text[SIZE_MAX_BYTES];
    size_t size = size_of(name, round);
    memset(text, '.', sizeof text);
    int len = snprintf(text, sizeof text, "%ld ", round);
    text[len] = '.';
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || size > sizeof text || write(fd, text, size) != (ssize_t)size || close(fd))
        die(name);
}

static const char *numbered(char kind, long round)
{
    static char name[2][32];
    static int turn;
    turn = !turn;
    snprintf(name[turn], sizeof name[turn], "%c.%ld", kind, round);
    return name[turn];
}

static void touch(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT, 0644);
    if (fd < 0 || close(fd))
        die(name);
}

static void set_time(long round)
{
    struct timespec times[2] = {{.tv_sec = round}, {.tv_sec = round}};
    if (utimensat(AT_FDCWD, "t", times, 0))
        die("t");
}

/* Readers look ahead of the writer: what they do not find must have been removed. */
static void prepare(long rounds)
{
    for (long n = 1; n <= rounds + LOOK_AHEAD; n++)
        if (mkdir(numbered('d', n), 0755))
            die("mkdir");
    touch("r.0");
    touch("t");
    set_time(0);
    put("x", 0);
    put("z", 0);
    put("y", 0);
}

static void run_round(long n)
{
    put("x", n);
    if (rename(numbered('r', n - 1), numbered('r', n)))
        die("rename");
    if (mkdir(numbered('c', n), 0755))
        die("mkdir");
    if (rmdir(numbered('d', n)))
        die("rmdir");
    set_time(n);
    put("z", n);
    put("y", n);
}

/* --- reading --- */

/* The last step that had been done at least, and the one that had not. */
struct seen {
    long from, before;
};

struct shared {
    _Atomic long from; /* what has been shown to anybody */
    _Atomic long looks, back, torn;
};

static struct seen between(long round, enum step step)
{
    return (struct seen){at(round, step), at(round + 1, step)};
}

/* One read(2) gives one version, whole. */
static struct seen of_content(const char *name, enum step step)
{
    char text[SIZE_MAX_BYTES + 1];
    int fd = open(name, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, text, SIZE_MAX_BYTES);
    if (got < 0)
        die(name);
    text[got] = 0;
    close(fd);
    long round = strtol(text, NULL, 10);
    if ((size_t)got != size_of(name, round) || strlen(text) != (size_t)got) {
        fprintf(stderr, "%s of round %ld: %zd bytes, %zu without zeros\n", name, round, got, strlen(text));
        exit(1);
    }
    return between(round, step);
}

static struct seen of_size(const char *name, enum step step)
{
    struct stat stat_of;
    if (stat(name, &stat_of))
        die(name);
    return between((long)stat_of.st_size - SIZE_0, step);
}

static struct seen of_time(void)
{
    struct stat stat_of;
    if (stat("t", &stat_of))
        die("t");
    return between(stat_of.st_mtim.tv_sec, STEP_TIME);
}

static bool there(const char *name, unsigned how)
{
    struct stat stat_of;
    if (how % 2 ? !access(name, F_OK) : !lstat(name, &stat_of))
        return true;
    if (errno != ENOENT)
        die(name);
    return false;
}

static struct seen of_created(long round, unsigned how)
{
    bool yes = there(numbered('c', round), how);
    return yes ? (struct seen){at(round, STEP_CREATE), INT64_MAX} : (struct seen){0, at(round, STEP_CREATE)};
}

static struct seen of_removed(long round, unsigned how)
{
    bool yes = there(numbered('d', round), how);
    return yes ? (struct seen){0, at(round, STEP_REMOVE)} : (struct seen){at(round, STEP_REMOVE), INT64_MAX};
}

/* Absent: not yet, or not any more; if the former is known to be wrong, the latter. */
static struct seen of_renamed(long round, long known, unsigned how)
{
    if (there(numbered('r', round), how))
        return between(round, STEP_RENAME);
    bool gone = known >= at(round, STEP_RENAME);
    return gone ? (struct seen){at(round + 1, STEP_RENAME), INT64_MAX} : (struct seen){0, INT64_MAX};
}

/* What a listing shows of a kind of names: the first of those to be removed, the last of those made. */
static struct seen of_listing(void)
{
    struct seen seen = {0, INT64_MAX};
    DIR *directory = opendir(".");
    const struct dirent *entry;
    if (!directory)
        die("opendir");
    while ((entry = readdir(directory))) {
        long round = strtol(entry->d_name + (entry->d_name[0] != '.') * 2, NULL, 10);
        if (entry->d_name[0] == 'd' && at(round, STEP_REMOVE) < seen.before)
            seen.before = at(round, STEP_REMOVE);
        if (entry->d_name[0] == 'c' && at(round, STEP_CREATE) > seen.from)
            seen.from = at(round, STEP_CREATE);
    }
    closedir(directory);
    return seen;
}

static const char *const kinds[] = {"content of x", "size of x",    "content of y", "size of y",    "time",
                                    "created name", "removed name", "renamed name", "content of z", "listing"};
enum { KINDS = sizeof kinds / sizeof *kinds, SIZE_OF_X = 1, SIZE_OF_Y = 3, TIME = 4, LISTING = KINDS - 1 };

static struct seen look(unsigned kind, long known, unsigned how)
{
    long round = known / STEPS + (long)(how / 2 % LOOK_AHEAD);
    switch (kind) {
    case 0:
        return of_content("x", STEP_X);
    case 1:
        return of_size("x", STEP_X);
    case 2:
        return of_content("y", STEP_Y);
    case 3:
        return of_size("y", STEP_Y);
    case 4:
        return of_time();
    case 5:
        return of_created(round ? round : 1, how);
    case 6:
        return of_removed(round ? round : 1, how);
    case 7:
        return of_renamed(round, known, how);
    case 8:
        return of_content("z", STEP_Z);
    default:
        return of_listing();
    }
}

static void note(struct shared *shared, unsigned kind, long known, struct seen seen)
{
    atomic_fetch_add(&shared->looks, 1);
    if (seen.before <= known && atomic_fetch_add(&shared->back, 1) < 5)
        printf("%s: before step %ld of round %ld, after step %ld of round %ld had been seen\n", kinds[kind],
               seen.before % STEPS, seen.before / STEPS, known % STEPS, known / STEPS);
    long from = atomic_load(&shared->from);
    while (seen.from > from && !atomic_compare_exchange_weak(&shared->from, &from, seen.from))
        ;
}

static void look_and_note(struct shared *shared, unsigned kind, unsigned how)
{
    long known = atomic_load(&shared->from);
    struct seen seen = look(kind, known, how);
    if (seen.before <= known && (kind == SIZE_OF_X || kind == SIZE_OF_Y || kind == TIME)) {
        atomic_fetch_add(&shared->torn, 1);
        seen = look(kind, known, how);
    }
    note(shared, kind, known, seen);
}

static void read_until(struct shared *shared, const char *until, unsigned seed)
{
    for (unsigned i = 0; i % 64 || access(until, F_OK); i++) {
        unsigned random = (unsigned)rand_r(&seed), kind = random % KINDS;
        if (kind == LISTING && random / KINDS % 16)
            continue;
        look_and_note(shared, kind, random / KINDS);
    }
}

static int read_all(unsigned processes, const char *until)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status, failed = 0;
    if (shared == MAP_FAILED)
        die("mmap");
    for (unsigned i = 0; i < processes; i++)
        if (!fork()) {
            read_until(shared, until, i + 1);
            fflush(stdout);
            _exit(0);
        }
    while (wait(&status) > 0)
        failed |= status;
    long looks = atomic_load(&shared->looks), torn = atomic_load(&shared->torn);
    printf("%ld looks up to round %ld, %ld went back, %ld torn\n", looks, atomic_load(&shared->from) / STEPS,
           atomic_load(&shared->back), torn);
    return failed || atomic_load(&shared->back) || !looks || torn > 1 + looks / TORN_LOOKS;
}

static void disturb(const char *until)
{
    struct stat stat_of;
    char own[2][32];
    for (int i = 0; i < 2; i++)
        snprintf(own[i], sizeof own[i], "own.%d.%d", getpid(), i);
    while (access(until, F_OK)) {
        if (mkdir(own[0], 0755) || stat(own[0], &stat_of) || rename(own[0], own[1]) || rmdir(own[1]))
            die("own");
        touch(own[0]);
        if (stat(own[0], &stat_of) || unlink(own[0]))
            die("own");
    }
}

int main(int argc, char **argv)
{
    if (argc < 4 || chdir(argv[2]))
        die("usage: histories prepare|write DIR ROUNDS | read DIR PROCESSES UNTIL | disturb DIR UNTIL");
    long number = strtol(argv[3], NULL, 10);
    if (!strcmp(argv[1], "prepare"))
        prepare(number);
    else if (!strcmp(argv[1], "write"))
        for (long n = 1; n <= number; n++)
            run_round(n);
    else if (!strcmp(argv[1], "read") && argc == 5)
        return read_all((unsigned)number, argv[4]);
    else if (!strcmp(argv[1], "disturb"))
        disturb(argv[3]);
    return 0;
}
