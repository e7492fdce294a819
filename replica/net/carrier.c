#include "replica/net/carrier.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <nanomsg/nn.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static struct {
    pthread_mutex_t mutex; /* over what follows */
    pid_t thread;          /* 0: none, or it is left alone */
    uint64_t look_ms;
    struct carrier_watch watch;
} carrier = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool set_policy(pid_t thread, int policy)
{
    return sched_setscheduler(thread, policy, &(struct sched_param){0}) == 0;
}

/* Its waits in all, and its turns; false: there is no such thread, or it can't be told. */
static bool read_waits(pid_t thread, uint64_t *waited_ns, uint64_t *turns)
{
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", thread);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (len <= 0)
        return false;
    text[len] = '\0';
    return sscanf(text, "%*u %" SCNu64 " %" SCNu64, waited_ns, turns) == 2;
}

/* Whether /proc is there, of this process's own pid namespace, and the kernel counts: this thread has had a turn. */
static bool can_tell(void)
{
    uint64_t waited_ns, turns;
    return read_waits(gettid(), &waited_ns, &turns) && turns > 0;
}

/* --- the thread begins --- */

/* Nobody else in this process is SCHED_BATCH. 0: it was there before. */
static pid_t find_new(DIR *tasks)
{
    const struct dirent *entry;
    rewinddir(tasks);
    while ((entry = readdir(tasks)) != NULL) {
        const pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        const bool known = thread == carrier.thread && carrier.watch.yields;
        if (thread > 0 && !known && sched_getscheduler(thread) == SCHED_BATCH)
            return thread;
    }
    return 0;
}

/* Opens the socket; a thread inherits the policy of the one that makes it. */
static int open_yielding(int domain, int protocol, DIR *tasks)
{
    if (!set_policy(0, SCHED_BATCH))
        return nn_socket(domain, protocol);
    const int socket = nn_socket(domain, protocol);
    set_policy(0, SCHED_OTHER);
    const pid_t thread = find_new(tasks);
    if (thread != 0) {
        carrier.thread = thread;
        carrier.watch = (struct carrier_watch){.yields = true};
    }
    return socket;
}

int carrier_socket(int domain, int protocol)
{
    pthread_mutex_lock(&carrier.mutex);
    const bool may = sched_getscheduler(0) == SCHED_OTHER && can_tell();
    DIR *tasks = may ? opendir("/proc/self/task") : NULL;
    const int socket = tasks != NULL ? open_yielding(domain, protocol, tasks) : nn_socket(domain, protocol);
    if (tasks != NULL)
        closedir(tasks);
    pthread_mutex_unlock(&carrier.mutex);
    return socket;
}

/* --- and goes on --- */

void carrier_judge(struct carrier_watch *watch, uint64_t waited_ns, uint64_t turns, uint64_t now_ms)
{
    if (!watch->yields) {
        if (now_ms >= watch->again_ms)
            *watch = (struct carrier_watch){.yields = true, .waited_ns = waited_ns, .turns = turns};
        return;
    }
    const bool another = turns < watch->turns || waited_ns < watch->waited_ns; /* thread, of the same number */
    const uint64_t taken = another ? 0 : turns - watch->turns;
    if (!another && taken < CARRIER_TURNS)
        return;
    if (!another && (waited_ns - watch->waited_ns) / taken > CARRIER_WAIT_NS) {
        watch->yields = false;
        watch->again_ms = now_ms + CARRIER_AGAIN_MS;
    }
    watch->waited_ns = waited_ns;
    watch->turns = turns;
}

static void look(uint64_t at_ms)
{
    uint64_t waited_ns, turns;
    const bool yielded = carrier.watch.yields;
    if (!read_waits(carrier.thread, &waited_ns, &turns)) {
        if (set_policy(carrier.thread, SCHED_OTHER)) /* no descriptor is free, say: another time */
            carrier.watch = (struct carrier_watch){.again_ms = at_ms + CARRIER_AGAIN_MS};
        else
            carrier.thread = 0; /* it has ended */
        return;
    }
    carrier_judge(&carrier.watch, waited_ns, turns, at_ms);
    if (carrier.watch.yields != yielded)
        set_policy(carrier.thread, carrier.watch.yields ? SCHED_BATCH : SCHED_OTHER);
}

void carrier_tend(void)
{
    if (pthread_mutex_trylock(&carrier.mutex) != 0)
        return; /* another thread does */
    const uint64_t at_ms = now_ms();
    if (carrier.thread != 0 && at_ms >= carrier.look_ms) {
        carrier.look_ms = at_ms + CARRIER_LOOK_MS;
        look(at_ms);
    }
    pthread_mutex_unlock(&carrier.mutex);
}
