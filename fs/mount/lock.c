/* The kernel's requests, the ends of descriptors, and the thread for what time brings. */
#include "fs/mount/lock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "fs/mount/call.h"
#include "fs/mount/closing.h"
#include "fs/mount/commit.h"
#include "fs/mount/lock_internal.h"
#include "fs/mount/log.h"

enum { RETRY_MS = 100 }; /* between attempts to submit an unlock */

uint64_t locks_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- its thread --- */

static void sleep_until(struct locks *locks, pthread_cond_t *cond, uint64_t until_ms)
{
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
    if (until_ms == UINT64_MAX)
        pthread_cond_wait(cond, &locks->mutex);
    else
        pthread_cond_clockwait(cond, &locks->mutex, CLOCK_MONOTONIC, &until);
}

static void *run(void *arg)
{
    struct locks *locks = arg;
    uint64_t tried_ms = 0;
    pthread_setname_np(pthread_self(), "pact-locks");
    for (;;) {
        uint64_t due_ms = waits_run(locks, locks_now_ms());
        pthread_mutex_lock(&locks->mutex);
        bool again = releases_wait(locks);
        if (again && tried_ms + RETRY_MS < due_ms)
            due_ms = tried_ms + RETRY_MS;
        if (!locks->stopping && locks_now_ms() < due_ms)
            sleep_until(locks, &locks->moved, due_ms);
        bool stopping = locks->stopping;
        pthread_mutex_unlock(&locks->mutex);
        if (stopping)
            return NULL;
        if (again && locks_now_ms() >= tried_ms + RETRY_MS) {
            tried_ms = locks_now_ms();
            pthread_mutex_lock(&locks->order);
            releases_run(locks, 0);
            pthread_mutex_unlock(&locks->order);
        }
    }
}

struct locks *locks_new(struct mount *mount)
{
    struct locks *locks = calloc(1, sizeof *locks);
    if (!locks)
        return NULL;
    locks->mount = mount;
    pthread_mutex_init(&locks->order, NULL);
    pthread_mutex_init(&locks->mutex, NULL);
    pthread_cond_init(&locks->moved, NULL);
    pthread_cond_init(&locks->released, NULL);
    if (!pthread_create(&locks->thread, NULL, run, locks))
        return locks;
    free(locks);
    return NULL;
}

void locks_stop(struct locks *locks)
{
    pthread_mutex_lock(&locks->mutex);
    locks->stopping = true;
    pthread_cond_signal(&locks->moved);
    pthread_mutex_unlock(&locks->mutex);
    pthread_join(locks->thread, NULL);
}

/* --- the end of a session --- */

static void lose_claims(struct locks *locks)
{
    struct lock_node *node, *following;
    struct claim *claim, *next;
    HASH_ITER(hh, locks->nodes, node, following)
    {
        DL_FOREACH_SAFE(node->claims, claim, next)
        {
            if (claim->held)
                atomic_store(&claim->handle->lock_lost, true);
            claim->held = false;
            claim->holders = (struct lock_holders){0}; /* they went with the session */
            claim_trim(locks, claim);                  /* somebody may be asking just now: that has it still */
        }
    }
}

void locks_expired(struct locks *locks)
{
    waits_end(locks);
    pthread_mutex_lock(&locks->mutex);
    lose_claims(locks);
    releases_forget(locks);
    pthread_mutex_unlock(&locks->mutex);
}

void locks_free(struct locks *locks)
{
    if (!locks)
        return;
    locks_expired(locks);
    pthread_cond_destroy(&locks->moved);
    pthread_cond_destroy(&locks->released);
    pthread_mutex_destroy(&locks->mutex);
    pthread_mutex_destroy(&locks->order);
    free(locks);
}

/* --- the ends of descriptors --- */

void locks_flush(const struct handle *handle, uint64_t owner, fuse_req_t req, int code)
{
    struct locks *locks = handle->mount->locks;
    struct op_unlock op = {
        .id = handle->id, .scope = UNLOCK_RANGE, .space = LOCK_POSIX, .owner = owner, .end = INT64_MAX};
    bool withdrawn = waits_withdraw(locks, handle, owner);
    pthread_mutex_lock(&locks->mutex);
    bool held = claims_owned(locks, handle->id, LOCK_POSIX, owner);
    claims_flushed(locks, handle);
    pthread_mutex_unlock(&locks->mutex);
    if (held || withdrawn) /* it comes after what was withdrawn: that is done then, too */
        lock_give_up(locks, &op, NULL, req, code);
    else
        reply_code(req, code);
}

/* Its claims go when their unlock is submitted: whoever waited for that comes after it. */
void locks_release(struct locks *locks, const struct handle *handle)
{
    struct op_unlock op = {.id = handle->id, .scope = UNLOCK_HANDLE, .handle = handle->fh};
    pthread_mutex_lock(&locks->mutex);
    bool waited = waits_close(locks, handle), any = claims_of(locks, handle) || waited;
    pthread_mutex_unlock(&locks->mutex);
    if (!any)
        return;
    lock_give_up(locks, &op, NULL, NULL, ERR_OK);
    pthread_mutex_lock(&locks->mutex);
    claims_end(locks, handle);
    pthread_cond_broadcast(&locks->released);
    pthread_mutex_unlock(&locks->mutex);
}

/* --- the kernel's requests --- */

/* Why nothing can be locked through a handle; ERR_OK: it can. A directory's data stands for the directory. */
static int refusal(fuse_req_t req, const struct handle *handle)
{
    struct mount *mount = handle->mount;
    if (handle_lost(handle))
        return ERR_SESSION_EXPIRED;
    if (handle->control != CONTROL_NONE && handle->control != CONTROL_DATA)
        return ERR_NOT_SUPPORTED;
    int code = mount_may_change(req);
    if (code)
        return code;
    const struct state *state = client_lock(mount->client);
    bool known = state_version(state) >= STATE_VERSION_LOCKS;
    client_unlock(mount->client);
    return known ? ERR_OK : ERR_NOT_SUPPORTED;
}

/* The handle of a request, locked; NULL: it was answered. */
static struct handle *handle_of(fuse_req_t req, const struct fuse_file_info *fi)
{
    struct handle *handle = fi->fh & GHOST_FH ? NULL : handle_lock(mount_of(req), fi->fh);
    if (!handle)
        reply_code(req, ERR_INVALID);
    return handle;
}

/* Of the process that asks, for people. The length. */
static size_t read_command(uint32_t pid, char to[LIMIT_COMMAND_BYTES])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%u/comm", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, to, LIMIT_COMMAND_BYTES);
    if (fd >= 0)
        close(fd);
    return len > 0 ? (size_t)len - (to[len - 1] == '\n') : 0;
}

static void ignore(void *arg, const struct result *result)
{
    (void)arg;
    (void)result;
}

/* An unborn file would go with the session of whoever opened it last, and the next one of its name would be another
 * file: what is locked is there for all. */
static void give_birth(struct mount *mount, uint64_t id)
{
    struct node_stat stat;
    struct request request = {.kind = OP_WRITE, .write = {.at = {.id = id}, .version = NO_VERSION_CHECK}};
    if (!mount_stat(mount, id, &stat) && stat.unborn_of)
        client_submit(mount->client, &request, ignore, NULL);
}

/* What is closed from now on does not count: the children of a holder close what they inherit again and again. */
static void wait_for_release(struct locks *locks, const struct handle *handle)
{
    pthread_mutex_lock(&locks->mutex);
    uint64_t until_ms = claims_closing_ms(locks, handle), now_ms;
    while ((now_ms = locks_now_ms()) < until_ms && claims_closing_ms(locks, handle) > now_ms)
        sleep_until(locks, &locks->released, until_ms);
    pthread_mutex_unlock(&locks->mutex);
}

/* Takes over the handle's lock and count. */
static void ask(struct handle *handle, fuse_req_t req, struct op_lock *op)
{
    struct mount *mount = handle->mount;
    char command[LIMIT_COMMAND_BYTES];
    uint64_t session = atomic_load(&mount->own_session);
    int code = session ? refusal(req, handle) : client_writable(mount->client);
    if (!session && !code)
        code = ERR_SESSION_EXPIRED;
    pthread_mutex_unlock(&handle->lock);
    if (code) {
        reply_code(req, code);
    } else {
        op->pid = (uint32_t)process_of(fuse_req_ctx(req)->pid);
        op->command = (struct bytes){command, read_command(op->pid, command)};
        give_birth(mount, op->id);
        if (!op->wait)
            wait_for_release(mount->locks, handle);
        lock_ask(handle, req, op, session);
    }
    handle_unref(handle);
}

void locks_unlock(struct locks *locks, const struct op_unlock *op, fuse_req_t req, int code)
{
    lock_give_up(locks, op, NULL, req, code);
}

static bool holds(struct locks *locks, const struct op_unlock *op)
{
    pthread_mutex_lock(&locks->mutex);
    bool any = claims_owned(locks, op->id, op->space, op->owner);
    pthread_mutex_unlock(&locks->mutex);
    return any;
}

/* What was written under the lock is committed before it is given up: the next holder must see it. */
static void unlock(struct handle *handle, fuse_req_t req, const struct op_unlock *op)
{
    bool lost = atomic_load(&handle->lock_lost);
    if (lost || !holds(handle->mount->locks, op)) {
        handle_unlock(handle);
        reply_code(req, lost ? ERR_SESSION_EXPIRED : ERR_OK);
        return;
    }
    if (handle->written) {
        commit_then_unlock(handle, req, op);
        return;
    }
    pthread_mutex_unlock(&handle->lock);
    locks_unlock(handle->mount->locks, op, req, ERR_OK);
    handle_unref(handle);
}

void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int operation)
{
    struct handle *handle = handle_of(req, fi);
    (void)ino;
    if (!handle)
        return;
    struct op_lock op = {
        .id = handle->id,
        .space = LOCK_FLOCK,
        .exclusive = operation & LOCK_EX,
        .wait = !(operation & LOCK_NB),
        .owner = handle->fh,
        .handle = handle->fh,
        .end = UINT64_MAX,
    };
    struct op_unlock all = lock_unlock_of(&op);
    if (operation & LOCK_UN)
        unlock(handle, req, &all);
    else
        ask(handle, req, &op);
}

/* To the end of the file: INT64_MAX. */
static struct op_lock range_of(const struct handle *handle, const struct fuse_file_info *fi, const struct flock *lock)
{
    uint64_t start = (uint64_t)lock->l_start;
    return (struct op_lock){
        .id = handle->id,
        .space = LOCK_POSIX,
        .exclusive = lock->l_type == F_WRLCK,
        .owner = fi->lock_owner,
        .handle = handle->fh,
        .start = start,
        .end = lock->l_len ? start + (uint64_t)lock->l_len - 1 : INT64_MAX,
    };
}

void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock, int sleep)
{
    struct handle *handle = handle_of(req, fi);
    (void)ino;
    if (!handle)
        return;
    struct op_lock op = range_of(handle, fi, lock);
    struct op_unlock range = lock_unlock_of(&op);
    op.wait = sleep;
    if (lock->l_type == F_UNLCK)
        unlock(handle, req, &range);
    else
        ask(handle, req, &op);
}

/* --- F_GETLK --- */

static bool conflicts(const struct lock_info *info, const struct op_lock *op, uint64_t session)
{
    bool own = info->session == session && info->owner == op->owner;
    return info->space == op->space && !own && info->start <= op->end && op->start <= info->end &&
           (info->exclusive || op->exclusive);
}

/* The holder that is in the way and begins first. */
static bool find_holder(struct mount *mount, const struct op_lock *op, struct lock_info *found)
{
    uint64_t session = atomic_load(&mount->own_session);
    struct lock_info info = {0};
    bool any = false;
    const struct state *state = client_lock(mount->client);
    for (struct lock_walk walk = {.id = op->id}; state_lock_next(state, &walk, &info) && !info.waiting;)
        if (conflicts(&info, op, session) && (!any || info.start < found->start)) {
            *found = info;
            any = true;
        }
    client_unlock(mount->client);
    return any;
}

static void finish_getlk(struct call *call, const struct result *result)
{
    struct lock_info info = {0};
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    (void)result; /* without a quorum: what was known last */
    if (find_holder(call->mount, &call->lock, &info)) {
        bool here = info.session == atomic_load(&call->mount->own_session);
        lock.l_type = info.exclusive ? F_WRLCK : F_RDLCK;
        lock.l_start = (off_t)info.start;
        lock.l_len = info.end >= INT64_MAX ? 0 : (off_t)(info.end - info.start + 1);
        lock.l_pid = here ? (pid_t)info.pid : 0; /* a pid means nothing on another host */
    }
    fuse_reply_lock(call->req, &lock);
}

void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
    struct handle *handle = handle_of(req, fi);
    (void)ino;
    if (!handle)
        return;
    struct call *call = call_new(req, finish_getlk);
    call->lock = range_of(handle, fi, lock);
    handle_unlock(handle);
    call_sync(call); /* a lock that was got elsewhere before must show */
}
