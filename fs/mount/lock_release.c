/* Unlocks. Whoever gave a lock up may be gone, and the cluster without a quorum: so they are remembered until the
 * state machine has taken them or the session is over. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/mount/lock_internal.h"

struct op_unlock lock_unlock_of(const struct op_lock *op)
{
    return (struct op_unlock){.id = op->id,
                              .scope = UNLOCK_RANGE, /* others who share the description may wait */
                              .space = op->space,
                              .owner = op->owner,
                              .start = op->start,
                              .end = op->end};
}

/* Whether the state machine has certainly not taken it, or perhaps not. */
static bool failed(int code)
{
    return code == ERR_NO_QUORUM || code == ERR_TOO_MANY || code == ERR_OUTCOME_UNKNOWN;
}

static void gave_up(struct locks *locks, const struct op_unlock *op)
{
    claims_unlocked(locks, op);
    before_gave_up(locks, op);
}

/* Others came in meanwhile: whoever counts on that lock must learn it. */
static void put_back(struct locks *locks, const struct release *release, int code)
{
    struct lock_node *node = lock_node_find(locks, release->op.id);
    const struct claim *claim;
    if (node && code == ERR_LOCKED)
        DL_FOREACH(node->claims, claim)
        {
            if (claim->handle->fh == release->put_back.handle)
                atomic_store(&claim->handle->lock_lost, true);
        }
}

static void released(void *arg, const struct result *result)
{
    struct release *release = arg;
    struct locks *locks = release->locks;
    pthread_mutex_lock(&locks->mutex);
    struct release copy = *release;
    bool again = failed(result->code) && !locks->stopping;
    release->req = NULL;
    release->in_flight = false;
    if (!again)
        DL_DELETE(locks->releases, release);
    if (!again && copy.put_back.lock)
        put_back(locks, &copy, result->code);
    else if (!again && copy.op.scope == UNLOCK_RANGE)
        gave_up(locks, &copy.op);
    if (again)
        pthread_cond_signal(&locks->moved);
    else if (copy.wait) /* if it was granted instead, that has been seen */
        wait_is_gone(copy.wait);
    pthread_mutex_unlock(&locks->mutex);
    if (!again)
        free(release);
    if (copy.req)
        reply_code(copy.req, result->code == ERR_NO_LOCKS ? ERR_NO_LOCKS : copy.code);
}

static struct op_lock lock_of(const struct lock_info *info)
{
    struct op_lock op = lock_op_of(info);
    op.command = (struct bytes){info->command, strlen(info->command)};
    return op;
}

/* It is marked as in flight; it may be gone on return. */
static void submit(struct release *release)
{
    struct request request = {.kind = OP_UNLOCK, .unlock = release->op};
    if (release->put_back.lock)
        request = (struct request){.kind = OP_LOCK, .lock = lock_of(&release->put_back)};
    struct client_terms terms = {.session = release->session};
    if (release->session)
        client_submit_on(release->locks->mount->client, &request, &terms, released, release);
    else
        released(release, &(struct result){.code = ERR_SESSION_EXPIRED});
}

static void give_up(const struct release *what)
{
    struct locks *locks = what->locks;
    struct release *release = calloc(1, sizeof *release);
    assert(release);
    *release = *what;
    release->session = atomic_load(&locks->mount->own_session);
    release->in_flight = true;
    pthread_mutex_lock(&locks->mutex);
    if (release->wait)
        release->wait->refs++;
    DL_APPEND(locks->releases, release);
    pthread_mutex_unlock(&locks->mutex);
    submit(release);
}

void lock_give_up(struct locks *locks, const struct op_unlock *op, struct wait *wait, fuse_req_t req, int code)
{
    give_up(&(struct release){.locks = locks, .op = *op, .wait = wait, .req = req, .code = code});
}

void lock_put_back(struct locks *locks, const struct lock_info *part)
{
    struct op_lock op = lock_op_of(part);
    give_up(&(struct release){.locks = locks, .op = lock_unlock_of(&op), .put_back = *part});
}

void releases_run(struct locks *locks, uint64_t id)
{
    struct release *release;
    do {
        pthread_mutex_lock(&locks->mutex);
        DL_FOREACH(locks->releases, release)
        {
            if (!release->in_flight && (!id || release->op.id == id) && !waits_undone(locks, &release->op))
                break;
        }
        if (release)
            release->in_flight = true;
        pthread_mutex_unlock(&locks->mutex);
        if (release)
            submit(release);
    } while (release && !mount_writable(locks->mount));
}

bool releases_wait(const struct locks *locks)
{
    const struct release *release;
    DL_FOREACH(locks->releases, release)
    {
        if (!release->in_flight)
            return true;
    }
    return false;
}

void releases_supersede(struct locks *locks, const struct op_lock *op)
{
    struct release *release, *next;
    DL_FOREACH_SAFE(locks->releases, release, next)
    {
        const struct op_unlock *old = &release->op;
        if (release->in_flight || old->scope != UNLOCK_RANGE || old->id != op->id || old->space != op->space ||
            old->owner != op->owner || old->start > op->end || op->start > old->end)
            continue;
        DL_DELETE(locks->releases, release);
        free(release);
    }
}

void releases_cut(struct locks *locks, struct wait *wait)
{
    const struct release *release;
    DL_FOREACH(locks->releases, release)
    {
        if (release->op.scope == UNLOCK_RANGE && !release->put_back.lock)
            before_cut(wait, &release->op);
    }
}

void releases_forget(struct locks *locks)
{
    struct release *release, *next;
    DL_FOREACH_SAFE(locks->releases, release, next)
    {
        if (release->in_flight)
            continue;
        DL_DELETE(locks->releases, release);
        if (release->wait)
            wait_is_gone(release->wait);
        free(release);
    }
}
