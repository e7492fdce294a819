#include "fs/mount/fence.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/mount/estate.h"
#include "fs/mount/holder.h"
#include "fs/mount/log.h"
#include "fs/mount/process.h"
#include "fs/mount/record.h"

enum {
    ANCESTORS = 4096, /* looked at, at most: a chain that changes meanwhile must not hold us up */
    FIRST = 1,        /* the process that all descend from: fenced, also by its group, it would leave nobody */
};

struct fence {
    int signal;
    struct estate *estate;
    _Atomic size_t count; /* of the list, for a look without the lock */
    pthread_mutex_t lock;
    struct fenced *list;
    size_t capacity;
};

struct fence *fence_new(int signal, struct estate *estate)
{
    struct fence *fence = calloc(1, sizeof *fence);
    if (!fence)
        return NULL;
    fence->signal = signal;
    fence->estate = estate;
    pthread_mutex_init(&fence->lock, NULL);
    return fence;
}

void fence_free(struct fence *fence)
{
    if (!fence)
        return;
    for (size_t i = 0; i < fence->count; i++)
        if (fence->list[i].pidfd >= 0)
            close(fence->list[i].pidfd);
    pthread_mutex_destroy(&fence->lock);
    free(fence->list);
    free(fence);
}

/* --- the table, locked --- */

static bool is_process(const struct fenced *fenced, pid_t pid)
{
    return fenced->pid == pid && fenced->pidfd >= 0 && !process_ended(fenced->pidfd);
}

static bool has(const struct fence *fence, pid_t pid, pid_t group)
{
    for (size_t i = 0; i < fence->count; i++) {
        const struct fenced *fenced = &fence->list[i];
        if ((group && fenced->group == group) || is_process(fenced, pid))
            return true;
    }
    return false;
}

static bool has_group(const struct fence *fence, pid_t group)
{
    for (size_t i = 0; i < fence->count; i++)
        if (fence->list[i].group == group)
            return true;
    return false;
}

static void append(struct fence *fence, const struct fenced *fenced)
{
    if (fence->count == fence->capacity) {
        fence->capacity = fence->capacity ? 2 * fence->capacity : 16;
        fence->list = realloc(fence->list, fence->capacity * sizeof *fence->list);
        assert(fence->list);
    }
    fence->list[fence->count] = *fenced;
    if (!fenced->noted)
        fence->list[fence->count].noted = process_now();
    atomic_store(&fence->count, fence->count + 1);
}

/* For the next worker. */
static void leave(const struct fence *fence)
{
    struct estate *estate = fence->estate;
    uint32_t next = !atomic_load(&estate->fenced_current);
    size_t count = 0;
    for (; count < fence->count && count < LIMIT_HOLDERS; count++) {
        const struct fenced *fenced = &fence->list[count];
        estate->fenced[next].list[count] =
            (struct estate_fenced){fenced->pidfd >= 0 ? fenced->pid : 0, fenced->group, fenced->noted};
    }
    estate->fenced[next].count = count;
    atomic_store(&estate->fenced_current, next);
}

/* --- who is fenced --- */

/* A process's parent; false: it has none, or is none. */
static bool parent_of(struct process *process)
{
    return process->parent > 0 && process_read(process->parent, process);
}

bool fence_holds(struct mount *mount, pid_t tid)
{
    struct fence *fence = mount->fence;
    struct process process;
    bool fenced = false;
    if (!atomic_load(&fence->count) || !process_read(tid, &process))
        return false;
    for (int i = 0; i < ANCESTORS && !fenced && process.pid != FIRST; i++) {
        pthread_mutex_lock(&fence->lock);
        fenced = has(fence, process.pid, process.group);
        pthread_mutex_unlock(&fence->lock);
        if (!parent_of(&process))
            break;
    }
    return fenced;
}

int fence_check(fuse_req_t req)
{
    struct mount *mount = mount_of(req);
    return fence_holds(mount, fuse_req_ctx(req)->pid) ? ERR_SESSION_EXPIRED : ERR_OK;
}

uint64_t fence_count(struct mount *mount)
{
    return atomic_load(&mount->fence->count);
}

/* --- fencing --- */

/* The processes of the machine at one moment. */
struct snapshot {
    struct mount *mount;
    struct member {
        pid_t pid, parent, group;
        bool fenced;
    } * list;
    size_t count, capacity;
};

static bool note_process(void *arg, const struct process *process)
{
    struct snapshot *snapshot = arg;
    if (snapshot->count == snapshot->capacity) {
        snapshot->capacity = snapshot->capacity ? 2 * snapshot->capacity : 256;
        snapshot->list = realloc(snapshot->list, snapshot->capacity * sizeof *snapshot->list);
        assert(snapshot->list);
    }
    snapshot->list[snapshot->count++] = (struct member){process->pid, process->parent, process->group, false};
    return false;
}

static int by_pid(const void *a, const void *b)
{
    const struct member *first = a, *second = b;
    return (first->pid > second->pid) - (first->pid < second->pid);
}

static struct member *member_of(const struct snapshot *snapshot, pid_t pid)
{
    const struct member key = {.pid = pid};
    return snapshot->count ? bsearch(&key, snapshot->list, snapshot->count, sizeof key, by_pid) : NULL;
}

/* Marks those of the table and of its groups, then their children, until no more are found. */
static void mark(struct fence *fence, struct snapshot *snapshot)
{
    bool more = true;
    qsort(snapshot->list, snapshot->count, sizeof *snapshot->list, by_pid);
    pthread_mutex_lock(&fence->lock);
    for (size_t i = 0; i < snapshot->count; i++)
        snapshot->list[i].fenced =
            snapshot->list[i].pid != FIRST && has(fence, snapshot->list[i].pid, snapshot->list[i].group);
    pthread_mutex_unlock(&fence->lock);
    while (more) {
        more = false;
        for (size_t i = 0; i < snapshot->count; i++) {
            const struct member *parent = member_of(snapshot, snapshot->list[i].parent);
            if (snapshot->list[i].fenced || !parent || !parent->fenced)
                continue;
            snapshot->list[i].fenced = more = true;
        }
    }
}

/* Adds one that is not in the table by itself yet. */
static void fence_member(struct mount *mount, const struct member *member)
{
    struct fence *fence = mount->fence;
    struct process now;
    struct fenced fenced = {.pid = member->pid, .pidfd = process_open(member->pid)};
    if (fenced.pidfd < 0)
        return;
    if (!process_read(member->pid, &now) || (now.parent != member->parent && now.group != member->group)) {
        close(fenced.pidfd); /* another by now */
        return;
    }
    bool known = false;
    pthread_mutex_lock(&fence->lock);
    for (size_t i = 0; i < fence->count && !known; i++)
        known = is_process(&fence->list[i], member->pid);
    if (!known) {
        fenced.key = holders_new_key(mount);
        append(fence, &fenced);
    }
    pthread_mutex_unlock(&fence->lock);
    if (known)
        close(fenced.pidfd);
    else
        record_add(mount->record, &(struct record_holder){fenced.key, fenced.pid, 0, process_now()});
}

/* This process, and the one that keeps the mount. */
static bool is_us(pid_t pid)
{
    return pid == getpid() || pid == getppid();
}

/* When all are in the table: who dies of the signal leaves its children without a parent. This process and the
 * machine's first are not meant. */
static void tell_all(struct fence *fence)
{
    pthread_mutex_lock(&fence->lock);
    leave(fence);
    for (size_t i = 0; i < fence->count; i++) {
        struct fenced *fenced = &fence->list[i];
        if (fence->signal && !fenced->told && fenced->pidfd >= 0 && !is_us(fenced->pid) && fenced->pid != FIRST)
            syscall(SYS_pidfd_send_signal, fenced->pidfd, fence->signal, NULL, 0);
        fenced->told = true;
    }
    pthread_mutex_unlock(&fence->lock);
}

static size_t fence_members(struct mount *mount)
{
    struct snapshot snapshot = {.mount = mount};
    size_t count = 0;
    process_each(note_process, &snapshot);
    mark(mount->fence, &snapshot);
    for (size_t i = 0; i < snapshot.count; i++) {
        const struct member *member = &snapshot.list[i];
        if (!member->fenced || is_us(member->pid) || member->pid == FIRST)
            continue;
        fence_member(mount, member);
        count++;
    }
    free(snapshot.list);
    tell_all(mount->fence);
    return count;
}

/* Who lives is of the group it is in now; of who has died the group counts, if it lives, once. */
static void fence_one(struct mount *mount, struct fenced fenced)
{
    struct fence *fence = mount->fence;
    struct process now;
    if (fenced.pid == FIRST && fenced.pidfd >= 0)
        fenced.group = 0;
    if (fenced.pidfd >= 0 && (fenced.pid == FIRST || process_ended(fenced.pidfd))) {
        close(fenced.pidfd);
        fenced.pidfd = -1;
    }
    if (fenced.pidfd >= 0 && process_read(fenced.pid, &now) && now.group)
        fenced.group = now.group;
    if (!process_group_lives(fenced.group))
        fenced.group = 0;
    pthread_mutex_lock(&fence->lock);
    bool needless = fenced.pidfd < 0 && (!fenced.group || has_group(fence, fenced.group));
    if (!needless)
        append(fence, &fenced);
    pthread_mutex_unlock(&fence->lock);
    if (needless)
        record_remove(mount->record, fenced.key);
    else if (fenced.pidfd >= 0) /* it lives: with its group of now */
        record_add(mount->record, &(struct record_holder){fenced.key, fenced.pid, fenced.group, process_now()});
}

void fence_add(struct mount *mount, const struct fenced *list, size_t count)
{
    if (!count)
        return;
    for (size_t i = 0; i < count; i++)
        fence_one(mount, list[i]);
    if (!fence_count(mount))
        return;
    log_line("%zu processes that held something under the lost session, or descend from such, are fenced",
             fence_members(mount));
    holders_wake(mount);
}

/* They are known by their numbers alone: nobody may wait here for what /proc/PID/stat waits for (process.h). */
void fence_restore(struct mount *mount)
{
    const struct estate *estate = mount->estate;
    uint32_t current = atomic_load(&estate->fenced_current);
    for (size_t i = 0; i < estate->fenced[current].count; i++) {
        const struct estate_fenced *left = &estate->fenced[current].list[i];
        struct fenced fenced = {.key = holders_new_key(mount),
                                .pid = left->pid,
                                .group = left->group && process_group_lives(left->group) ? left->group : 0,
                                .pidfd = left->pid ? process_open(left->pid) : -1,
                                .noted = left->noted,
                                .told = true};
        if (fenced.pidfd < 0 && !fenced.group)
            continue;
        append(mount->fence, &fenced);
        record_add(mount->record, &(struct record_holder){fenced.key, fenced.pid, fenced.group, fenced.noted});
    }
    holders_wake(mount);
}

/* What is left of an entry; false: nothing. */
static bool look_again(struct fenced *fenced)
{
    if (fenced->pidfd >= 0 && process_ended(fenced->pidfd)) {
        close(fenced->pidfd);
        fenced->pidfd = -1;
    }
    if (fenced->group && !process_group_lives(fenced->group))
        fenced->group = 0;
    return fenced->pidfd >= 0 || fenced->group;
}

bool fence_sweep(struct mount *mount)
{
    struct fence *fence = mount->fence;
    size_t kept = 0;
    if (!atomic_load(&fence->count))
        return false;
    pthread_mutex_lock(&fence->lock);
    for (size_t i = 0; i < fence->count; i++) {
        if (look_again(&fence->list[i]))
            fence->list[kept++] = fence->list[i];
        else
            record_remove(mount->record, fence->list[i].key);
    }
    atomic_store(&fence->count, kept);
    leave(fence);
    pthread_mutex_unlock(&fence->lock);
    return kept > 0;
}
