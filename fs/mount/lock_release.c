/* Unlocks. Whoever gave a lock up may be gone, and the cluster without a quorum: so they are remembered until the
 * state machine has taken them or the session is over. */
#include <assert.h>
#include <stdlib.h>
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
    if (!again && copy.op.scope == UNLOCK_RANGE)
        claims_unlocked(locks, &copy.op);
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

/* It is marked as in flight; it may be gone on return. */
static void submit(struct release *release)
{
    struct request request = {.kind = OP_UNLOCK, .unlock = release->op};
    struct client_terms terms = {.session = release->session};
    if (release->session)
        client_submit_on(release->locks->mount->client, &request, &terms, released, release);
    else
        released(release, &(struct result){.code = ERR_SESSION_EXPIRED});
}

void lock_give_up(struct locks *locks, const struct op_unlock *op, struct wait *wait, fuse_req_t req, int code)
{
    struct release *release = calloc(1, sizeof *release);
    assert(release);
    *release = (struct release){
        .locks = locks,
        .op = *op,
        .wait = wait,
        .session = atomic_load(&locks->mount->own_session),
        .req = req,
        .code = code,
        .in_flight = true,
    };
    pthread_mutex_lock(&locks->mutex);
    if (wait)
        wait->refs++;
    DL_APPEND(locks->releases, release);
    pthread_mutex_unlock(&locks->mutex);
    submit(release);
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
