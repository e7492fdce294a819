#include "fs/mount/holder.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uthash.h>

#include "fs/mount/estate.h"
#include "fs/mount/fence.h"
#include "fs/mount/mount.h"
#include "fs/mount/owner.h"
#include "fs/mount/process.h"
#include "fs/mount/record.h"

enum {
    IDLE = 64,       /* processes that hold nothing and are remembered: most will again */
    DEATHS = 64,     /* taken in at once */
    RETRY_MS = 50,   /* before what could not be removed is tried again */
    SWEEP_MS = 1000, /* between looks at who of the fenced still lives */
};

struct holder {
    uint64_t key;
    pid_t pid, group;
    int pidfd; /* -1: it has died */
    uint64_t identity;
    bool by_number; /* it is in `by_pid` */
    uint64_t noted; /* process_now() when it was known to live */
    unsigned counts[HOLDINGS];
    UT_hash_handle hh;
    UT_hash_handle hh_pid;
};

struct holders {
    struct mount *mount;
    size_t limit; /* of those noted */
    pthread_t thread;
    bool running;
    _Atomic bool stopping;
    int epoll, wake;
    pthread_mutex_t lock; /* of what is below */
    uint64_t last_key;
    size_t noted;   /* of them, with counts: of anything … */
    size_t holding; /* … and of what is lost with the session */
    struct holder *by_key, *by_pid;
};

/* --- the table, locked --- */

static struct holder *find(struct holders *holders, uint64_t key)
{
    struct holder *holder;
    HASH_FIND(hh, holders->by_key, &key, sizeof key, holder);
    return holder;
}

static bool is_noted(const struct holder *holder)
{
    return holder->counts[HOLDS] || holder->counts[MADE] || holder->counts[ASKS];
}

/* Whether something is lost with the session. */
static bool holds_any(const struct holder *holder)
{
    return holder->counts[HOLDS] || holder->counts[MADE];
}

static void take_number(struct holders *holders, struct holder *holder)
{
    if (holder->by_number)
        HASH_DELETE(hh_pid, holders->by_pid, holder);
    holder->by_number = false;
}

static void bury(struct holders *holders, struct holder *holder)
{
    take_number(holders, holder);
    if (holder->pidfd >= 0)
        close(holder->pidfd); /* and out of the epoll set */
    holder->pidfd = -1;
}

static void forget(struct holders *holders, struct holder *holder)
{
    bury(holders, holder);
    HASH_DELETE(hh, holders->by_key, holder);
    holders->noted -= is_noted(holder);
    holders->holding -= holds_any(holder);
    free(holder);
}

/* The living process of that number: one that has died, and whose number may be another's now, is not it. */
static struct holder *find_living(struct holders *holders, pid_t pid)
{
    struct holder *holder;
    HASH_FIND(hh_pid, holders->by_pid, &pid, sizeof pid, holder);
    if (holder && process_ended(holder->pidfd)) {
        take_number(holders, holder);
        holder = NULL;
    }
    return holder;
}

/* Takes the pidfd over. */
static int add(struct holders *holders, const struct process *process, int pidfd, struct holder **added)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = holders->last_key + 1};
    int code = process_ended(pidfd) ? ERR_INVALID : ERR_OK;
    if (!code && epoll_ctl(holders->epoll, EPOLL_CTL_ADD, pidfd, &event))
        code = ERR_TOO_MANY;
    if (code) {
        close(pidfd);
        return code;
    }
    struct holder *holder = *added = calloc(1, sizeof *holder);
    assert(holder);
    *holder = (struct holder){.key = ++holders->last_key,
                              .pid = process->pid,
                              .group = process->group,
                              .pidfd = pidfd,
                              .identity = process_identity(pidfd),
                              .by_number = true,
                              .noted = process_now()};
    HASH_ADD(hh, holders->by_key, key, sizeof holder->key, holder);
    HASH_ADD(hh_pid, holders->by_pid, pid, sizeof holder->pid, holder);
    return ERR_OK;
}

/* The group that is fenced even if the process has died. */
static pid_t bereaved_group(const struct holder *holder)
{
    return holder->counts[HOLDS] ? holder->group : 0;
}

static void put_on_record(struct holders *holders, const struct holder *holder)
{
    record_add(holders->mount->record,
               &(struct record_holder){holder->key, holder->pid, bereaved_group(holder), holder->noted});
}

/* It may be gone on return. */
static void count(struct holders *holders, struct holder *holder, enum holding holding, int step)
{
    bool noted = is_noted(holder), held = holds_any(holder);
    pid_t group = bereaved_group(holder);
    holder->counts[holding] += (unsigned)step;
    holders->noted += (size_t)is_noted(holder) - noted;
    holders->holding += (size_t)holds_any(holder) - held;
    if (holds_any(holder) && (!held || group != bereaved_group(holder)))
        put_on_record(holders, holder);
    else if (held && !holds_any(holder))
        record_remove(holders->mount->record, holder->key);
    if (!is_noted(holder) && (holder->pidfd < 0 || HASH_COUNT(holders->by_key) - holders->noted > IDLE))
        forget(holders, holder);
}

/* --- noting --- */

static int note(struct holders *holders, struct holder *holder, enum holding holding, uint64_t *key)
{
    if (!is_noted(holder) && holders->noted >= holders->limit)
        return ERR_TOO_MANY;
    count(holders, holder, holding, 1);
    *key = holder->key;
    return ERR_OK;
}

int holders_note_process(struct mount *mount, const struct process *process, int pidfd, enum holding holding,
                         uint64_t *key)
{
    struct holders *holders = mount->holders;
    int code = ERR_OK;
    *key = 0;
    pthread_mutex_lock(&holders->lock);
    struct holder *holder = find_living(holders, process->pid);
    if (!holder)
        code = add(holders, process, pidfd, &holder);
    else
        close(pidfd);
    if (!code)
        code = note(holders, holder, holding, key);
    pthread_mutex_unlock(&holders->lock);
    return code;
}

/* Most often the thread is its process's first, and that is known already; false: it is not. */
static bool note_known(struct holders *holders, pid_t pid, uint64_t identity, enum holding holding, uint64_t *key,
                       int *code)
{
    pthread_mutex_lock(&holders->lock);
    struct holder *holder = find_living(holders, pid);
    if (holder && identity && holder->identity != identity)
        *code = ERR_INVALID;
    else if (holder)
        *code = note(holders, holder, holding, key);
    pthread_mutex_unlock(&holders->lock);
    return holder;
}

int holders_note(struct mount *mount, pid_t tid, uint64_t identity, enum holding holding, uint64_t *key)
{
    struct process process;
    int code;
    *key = 0;
    if (tid > 0 && note_known(mount->holders, tid, identity, holding, key, &code))
        return code;
    if (!process_read(tid, &process))
        return ERR_INVALID;
    int pidfd = process_open(process.pid);
    if (pidfd < 0)
        return errno == ESRCH ? ERR_INVALID : ERR_TOO_MANY;
    if (identity && process_identity(pidfd) != identity) {
        close(pidfd);
        return ERR_INVALID;
    }
    return holders_note_process(mount, &process, pidfd, holding, key);
}

void holders_drop(struct mount *mount, uint64_t key, enum holding holding)
{
    struct holders *holders = mount->holders;
    if (!key)
        return;
    pthread_mutex_lock(&holders->lock);
    struct holder *holder = find(holders, key);
    if (holder && holder->counts[holding])
        count(holders, holder, holding, -1);
    pthread_mutex_unlock(&holders->lock);
}

void holders_turn(struct mount *mount, uint64_t key, enum holding to)
{
    struct holders *holders = mount->holders;
    pthread_mutex_lock(&holders->lock);
    struct holder *holder = key ? find(holders, key) : NULL;
    if (holder && holder->counts[ASKS]) {
        count(holders, holder, to, 1);
        count(holders, holder, ASKS, -1);
    }
    pthread_mutex_unlock(&holders->lock);
}

bool holders_alive(struct mount *mount, uint64_t key)
{
    struct holders *holders = mount->holders;
    pthread_mutex_lock(&holders->lock);
    const struct holder *holder = find(holders, key);
    bool alive = holder && holder->pidfd >= 0 && !process_ended(holder->pidfd);
    pthread_mutex_unlock(&holders->lock);
    return alive;
}

pid_t holders_process(struct mount *mount, uint64_t key, uint64_t *identity)
{
    struct holders *holders = mount->holders;
    pthread_mutex_lock(&holders->lock);
    const struct holder *holder = find(holders, key);
    pid_t pid = holder ? holder->pid : 0;
    *identity = holder ? holder->identity : 0;
    pthread_mutex_unlock(&holders->lock);
    return pid;
}

uint64_t holders_count(struct mount *mount)
{
    struct holders *holders = mount->holders;
    pthread_mutex_lock(&holders->lock);
    uint64_t holding = holders->holding;
    pthread_mutex_unlock(&holders->lock);
    return holding;
}

uint64_t holders_new_key(struct mount *mount)
{
    struct holders *holders = mount->holders;
    pthread_mutex_lock(&holders->lock);
    uint64_t key = ++holders->last_key;
    pthread_mutex_unlock(&holders->lock);
    return key;
}

/* --- the end of a session --- */

void holders_lose(struct mount *mount)
{
    struct holders *holders = mount->holders;
    struct holder *holder, *next;
    pthread_mutex_lock(&holders->lock);
    struct fenced *lost = calloc(holders->holding + 1, sizeof *lost);
    size_t lost_count = 0;
    assert(lost);
    HASH_ITER(hh, holders->by_key, holder, next)
    {
        if (!holds_any(holder))
            continue;
        lost[lost_count++] = (struct fenced){
            .key = holder->key, .pid = holder->pid, .group = bereaved_group(holder), .pidfd = holder->pidfd};
        if (holder->pidfd >= 0) /* it goes over */
            epoll_ctl(holders->epoll, EPOLL_CTL_DEL, holder->pidfd, NULL);
        take_number(holders, holder);
        holder->pidfd = -1;
        forget(holders, holder);
    }
    pthread_mutex_unlock(&holders->lock);
    fence_add(mount, lost, lost_count);
    free(lost);
}

/* --- the thread --- */

static void died(struct holders *holders, uint64_t key)
{
    pthread_mutex_lock(&holders->lock);
    struct holder *holder = find(holders, key);
    bool noted = holder && is_noted(holder);
    if (noted)
        bury(holders, holder);
    else if (holder)
        forget(holders, holder);
    pthread_mutex_unlock(&holders->lock);
    if (noted)
        owners_bury(holders->mount, key);
}

static void *watch(void *arg)
{
    struct holders *holders = arg;
    struct epoll_event events[DEATHS];
    eventfd_t woken;
    pthread_setname_np(pthread_self(), "pact-holders");
    if (estate_left(holders->mount->estate))
        owners_restore(holders->mount);
    while (!atomic_load(&holders->stopping)) {
        int wait_ms = owners_retry(holders->mount) ? RETRY_MS : fence_sweep(holders->mount) ? SWEEP_MS : -1;
        int deaths = epoll_wait(holders->epoll, events, DEATHS, wait_ms);
        for (int i = 0; i < deaths; i++) {
            if (events[i].data.u64)
                died(holders, events[i].data.u64);
            else
                eventfd_read(holders->wake, &woken);
        }
    }
    return NULL;
}

void holders_wake(struct mount *mount)
{
    eventfd_write(mount->holders->wake, 1);
}

struct holders *holders_new(struct mount *mount, size_t limit)
{
    struct holders *holders = calloc(1, sizeof *holders);
    struct epoll_event event = {.events = EPOLLIN};
    if (!holders)
        return NULL;
    holders->mount = mount;
    holders->limit = limit;
    holders->epoll = epoll_create1(EPOLL_CLOEXEC);
    holders->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&holders->lock, NULL);
    if (holders->epoll >= 0 && holders->wake >= 0 && !epoll_ctl(holders->epoll, EPOLL_CTL_ADD, holders->wake, &event))
        return holders;
    holders_free(holders);
    return NULL;
}

int holders_start(struct holders *holders)
{
    holders->running = !pthread_create(&holders->thread, NULL, watch, holders);
    return holders->running ? ERR_OK : ERR_TOO_MANY;
}

void holders_stop(struct holders *holders)
{
    if (!holders || !holders->running)
        return;
    atomic_store(&holders->stopping, true);
    eventfd_write(holders->wake, 1);
    pthread_join(holders->thread, NULL);
    holders->running = false;
}

void holders_free(struct holders *holders)
{
    struct holder *holder, *next;
    if (!holders)
        return;
    HASH_ITER(hh, holders->by_key, holder, next) forget(holders, holder);
    if (holders->epoll >= 0)
        close(holders->epoll);
    if (holders->wake >= 0)
        close(holders->wake);
    pthread_mutex_destroy(&holders->lock);
    free(holders);
}
