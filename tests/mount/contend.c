/* contend flock|queue ROUNDS MNT...: ten processes on each mount take turns at one lock until ROUNDS turns are done, by
 * flock on MNT/lock or by directories '{seq}{owner=PID}-PID' in MNT/queue of which each waits for the one before its
 * own. Every now and then the one that has the lock is killed with -9, and another takes its place.
 *
 * In its turn each adds one to the number in MNT/counter. What must be there is kept in shared memory, which only the
 * holder of the lock writes: the number must be the last one written (or, after a kill midway, the one that was being
 * written), the fencing tokens, or numbers in the queue, must grow, and nobody else may be at it. Prints what was done;
 * ends with 1 and says what was wrong. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
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

enum { EACH_MOUNT = 10, WORKERS_MAX = 100, KILL_EVERY = 50, LINE = 64 };

static struct shared {
    _Atomic uint64_t turns, wrong;
    _Atomic pid_t holder, doomed; /* who has the lock; who is to be killed in its turn */
    uint64_t last, pending, token;
} * shared;

static const char *mount;
static uint64_t rounds;

static void wrong(const char *what, uint64_t is, uint64_t should)
{
    printf("# %d on %s: %s: %" PRIu64 ", %" PRIu64 "\n", (int)getpid(), mount, what, is, should);
    fflush(stdout);
    atomic_fetch_add(&shared->wrong, 1);
}

/* A call that failed. While leaders die it may certainly not have been done (EROFS), or its outcome be unknown. */
static void failed(const char *what)
{
    if (errno != ETIMEDOUT && errno != EROFS)
        wrong(what, (uint64_t)errno, 0);
}

static const char *in_mount(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", mount, name);
    return path;
}

static bool read_number(int fd, uint64_t *number)
{
    char line[LINE] = "";
    ssize_t len = pread(fd, line, sizeof line - 1, 0);
    *number = strtoull(line, NULL, 10);
    return len >= 0;
}

static bool write_number(int fd, uint64_t number)
{
    char line[LINE];
    int len = snprintf(line, sizeof line, "%020" PRIu64 "\n", number);
    return pwrite(fd, line, (size_t)len, 0) == len && fsync(fd) == 0;
}

/* Dies with the lock, if this is the one that is to. */
static void die_if_doomed(void)
{
    if (atomic_load(&shared->doomed) != getpid())
        return;
    atomic_store(&shared->holder, 0);
    raise(SIGKILL);
}

/* With the lock. */
static void take_turn(int counter, uint64_t token)
{
    uint64_t number;
    pid_t before = atomic_exchange(&shared->holder, getpid());
    if (before)
        wrong("another one has it", (uint64_t)before, 0);
    if (token <= shared->token)
        wrong("the token has not grown", token, shared->token);
    shared->token = token;
    if (!read_number(counter, &number))
        failed("reading the counter");
    else if (number != shared->last && number != shared->pending)
        wrong("the counter", number, shared->last);
    shared->last = number;
    shared->pending = number + 1;
    if (token % 2)
        die_if_doomed();
    if (write_number(counter, number + 1))
        shared->last = number + 1;
    else
        failed("writing the counter");
    die_if_doomed();
    atomic_store(&shared->holder, 0);
    atomic_fetch_add(&shared->turns, 1);
}

/* --- flock --- */

static uint64_t fencing_token(int fd)
{
    char text[LINE] = "";
    if (fgetxattr(fd, "user.pact.lock_zxid", text, sizeof text - 1) < 0)
        failed("the token");
    return strtoull(text, NULL, 10);
}

static void turn_by_flock(int lock, int counter)
{
    if (flock(lock, LOCK_EX)) {
        failed("flock");
        return;
    }
    take_turn(counter, fencing_token(lock));
    if (flock(lock, LOCK_UN))
        failed("unlock");
}

/* --- a queue of directories --- */

/* This process's place, and the one just before it: empty if there is none. */
static bool find_place(uint64_t me, char *place, char *before)
{
    DIR *queue = opendir(in_mount("queue"));
    struct dirent *entry;
    uint64_t number = UINT64_MAX, best = 0;
    char tail[LINE];
    snprintf(tail, sizeof tail, "-%" PRIu64, me);
    *place = *before = 0;
    while (queue && (entry = readdir(queue)))
        if (strlen(entry->d_name) > 10 && !strcmp(entry->d_name + 10, tail))
            strcpy(place, entry->d_name);
    if (*place)
        number = strtoull(place, NULL, 10);
    if (queue)
        rewinddir(queue);
    while (queue && (entry = readdir(queue)))
        if (*entry->d_name != '.' && strtoull(entry->d_name, NULL, 10) < number &&
            (!*before || strtoull(entry->d_name, NULL, 10) > best)) {
            best = strtoull(entry->d_name, NULL, 10);
            strcpy(before, entry->d_name);
        }
    if (queue)
        closedir(queue);
    return *place;
}

/* Returns when it may have gone. */
static void wait_for(const char *name)
{
    char path[4096];
    int inotify = inotify_init1(IN_CLOEXEC);
    struct pollfd wait = {.fd = inotify, .events = POLLIN};
    snprintf(path, sizeof path, "%s/queue/%s", mount, name);
    if (inotify_add_watch(inotify, path, IN_DELETE_SELF) >= 0 && poll(&wait, 1, 60000) == 0)
        wrong("a place in the queue goes and its watch does not tell, or it stays", 60, 0);
    close(inotify);
}

static void turn_by_queue(uint64_t me, int counter)
{
    char place[256], before[256], name[sizeof place + 8];
    snprintf(name, sizeof name, "queue/{seq}{owner=%" PRIu64 "}-%" PRIu64, me, me);
    if (mkdir(in_mount(name), 0700)) {
        if (errno == ETIMEDOUT)
            raise(SIGKILL); /* if it was done it goes with this process */
        failed("mkdir");
        return;
    }
    while (find_place(me, place, before) && *before)
        wait_for(before);
    if (!*place) {
        wrong("its own place is not there", 0, 0);
        return;
    }
    take_turn(counter, strtoull(place, NULL, 10) + 1);
    snprintf(name, sizeof name, "queue/%s", place);
    while (rmdir(in_mount(name)) && errno != ENOENT && !atomic_load(&shared->wrong))
        failed("rmdir");
}

/* --- the processes --- */

static _Noreturn void work(bool by_flock)
{
    int lock = open(in_mount("lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int counter = open(in_mount("counter"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || counter < 0)
        failed("open");
    while (atomic_load(&shared->turns) < rounds && !atomic_load(&shared->wrong))
        if (by_flock)
            turn_by_flock(lock, counter);
        else
            turn_by_queue((uint64_t)getpid(), counter);
    exit(0);
}

static pid_t start(bool by_flock)
{
    pid_t pid = fork();
    if (pid == 0)
        work(by_flock);
    return pid;
}

int main(int argc, char **argv)
{
    int mounts = argc - 3, workers = mounts * EACH_MOUNT, running = 0;
    pid_t pids[WORKERS_MAX];
    uint64_t killed = 0, next_kill = KILL_EVERY;
    if (mounts < 1 || workers > WORKERS_MAX)
        return 2;
    bool by_flock = !strcmp(argv[1], "flock");
    rounds = strtoull(argv[2], NULL, 10);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < workers; i++, running++) {
        mount = argv[3 + i % mounts];
        pids[i] = start(by_flock);
    }
    while (running > 0) {
        const struct timespec pause = {.tv_nsec = 2000000};
        int status;
        pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended <= 0) {
            if (atomic_load(&shared->turns) >= next_kill) {
                next_kill += KILL_EVERY;
                atomic_store(&shared->doomed, pids[rand() % workers]);
            }
            nanosleep(&pause, NULL);
            continue;
        }
        running--;
        killed += WIFSIGNALED(status);
        for (int i = 0; i < workers && WIFSIGNALED(status); i++)
            if (pids[i] == ended) {
                mount = argv[3 + i % mounts];
                pids[i] = start(by_flock);
                running++;
            }
    }
    printf("%" PRIu64 " turns of %d processes, %" PRIu64 " killed in theirs, counter %" PRIu64 "\n", shared->turns,
           workers, killed, shared->last);
    return shared->wrong ? 1 : 0;
}
