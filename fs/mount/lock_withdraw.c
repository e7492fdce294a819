/* Requests for locks that nobody waits for any more, and what they got. */
#include <utlist.h>

#include "fs/mount/lock_internal.h"

/* --- giving up --- */

void wait_give_up_granted(struct wait *wait)
{
    struct op_unlock unlock = {.id = wait->op.id, .scope = UNLOCK_HANDLE, .handle = wait->op.handle};
    if (wait->closed)
        lock_give_up(wait->locks, &unlock, NULL, NULL, ERR_OK);
    else
        before_put_back(wait);
}

/* It stays in the list until that is done: it may be granted first. */
void wait_give_up_place(struct wait *wait)
{
    struct op_unlock unlock = {.id = wait->op.id, .scope = UNLOCK_WAITER, .lock = wait->lock};
    lock_give_up(wait->locks, &unlock, wait, NULL, ERR_OK);
}

void wait_is_gone(struct wait *wait)
{
    wait_unlist(wait);
    wait_unref(wait);
}

bool wait_unwanted(const struct wait *wait)
{
    return wait->withdrawn && (wait->closed || !wait->superseded);
}

/* --- the owner asks anew --- */

static bool concerns(const struct wait *wait, enum lock_space space, uint64_t owner, uint64_t start, uint64_t end)
{
    return wait->op.space == space && wait->op.owner == owner && wait->op.start <= end && start <= wait->op.end;
}

bool waits_undone(struct locks *locks, const struct op_unlock *op)
{
    struct lock_node *node = op->scope == UNLOCK_RANGE ? lock_node_find(locks, op->id) : NULL;
    const struct wait *wait;
    if (node)
        DL_FOREACH(node->waits, wait)
        {
            if (wait->submitted && !wait->withdrawn && !wait->lock && wait->code == ERR_LOCK_WAITS &&
                concerns(wait, op->space, op->owner, op->start, op->end))
                return true;
        }
    return false;
}

/* One that nobody waits for any more, and that concerns what is asked now. Counted. */
static struct wait *find_older(const struct wait *than)
{
    struct lock_node *node = lock_node_find(than->locks, than->op.id);
    const struct op_lock *op = &than->op;
    struct wait *wait;
    if (node)
        DL_FOREACH(node->waits, wait)
        {
            bool unused = wait != than && !wait->superseded && (wait->until_ms || wait->withdrawn);
            if (!unused || !concerns(wait, op->space, op->owner, op->start, op->end))
                continue;
            wait->refs++;
            return wait;
        }
    return NULL;
}

void waits_supersede(const struct wait *by)
{
    struct locks *locks = by->locks;
    struct wait *wait;
    pthread_mutex_lock(&locks->mutex);
    while ((wait = find_older(by))) {
        bool granted = wait->code == ERR_OK, waits = wait->lock && !granted && !wait->withdrawn;
        wait->withdrawn = true;
        wait->until_ms = 0;
        bool gives_up = wait_unwanted(wait);
        wait->superseded = true;
        if (granted)
            wait_unlist(wait);
        pthread_mutex_unlock(&locks->mutex);
        if (waits)
            wait_give_up_place(wait);
        if (gives_up)
            wait_give_up_granted(wait); /* it may be, by now */
        pthread_mutex_lock(&locks->mutex);
        wait_unref(wait);
    }
    pthread_mutex_unlock(&locks->mutex);
}

/* --- what is kept --- */

/* Nobody has asked again. Under `order`, and with the mutex held, which is released. */
static void withdraw(struct wait *wait)
{
    struct locks *locks = wait->locks;
    bool granted = wait->code == ERR_OK;
    wait->withdrawn = true;
    wait->until_ms = 0;
    wait->refs++;
    uint64_t lock = wait->lock, ticket = wait->ticket;
    bool gives_up = granted && wait_unwanted(wait);
    if (granted)
        wait_unlist(wait);
    pthread_mutex_unlock(&locks->mutex);
    if (gives_up)
        wait_give_up_granted(wait);
    else if (lock && !granted)
        wait_give_up_place(wait);
    else if (ticket && !lock)
        client_withdraw(locks->mount->client, ticket); /* else its result will show what is to be given up */
    pthread_mutex_lock(&locks->mutex);
    wait_unref(wait);
    pthread_mutex_unlock(&locks->mutex);
}

/* The first one kept until `until_ms` at most, and when the next is due. */
static struct wait *find_kept(struct locks *locks, uint64_t until_ms, uint64_t *next_ms)
{
    struct lock_node *node, *following;
    struct wait *wait;
    *next_ms = UINT64_MAX;
    HASH_ITER(hh, locks->nodes, node, following)
    {
        DL_FOREACH(node->waits, wait)
        {
            if (wait->until_ms && wait->until_ms <= until_ms)
                return wait;
            if (wait->until_ms && wait->until_ms < *next_ms)
                *next_ms = wait->until_ms;
        }
    }
    return NULL;
}

uint64_t waits_run(struct locks *locks, uint64_t now_ms)
{
    struct wait *wait;
    uint64_t next_ms;
    pthread_mutex_lock(&locks->order);
    pthread_mutex_lock(&locks->mutex);
    while ((wait = find_kept(locks, now_ms, &next_ms))) {
        withdraw(wait);
        pthread_mutex_lock(&locks->mutex);
    }
    pthread_mutex_unlock(&locks->mutex);
    pthread_mutex_unlock(&locks->order);
    return next_ms;
}

/* One that is kept for whoever closes a descriptor of this handle. */
static struct wait *find_closing(struct locks *locks, const struct handle *handle, uint64_t owner)
{
    struct lock_node *node = lock_node_find(locks, handle->id);
    struct wait *wait;
    if (node)
        DL_FOREACH(node->waits, wait)
        {
            bool its = wait->op.space == LOCK_POSIX ? wait->op.owner == owner : wait->op.handle == handle->fh;
            if (wait->until_ms && its)
                return wait;
        }
    return NULL;
}

bool waits_withdraw(struct locks *locks, const struct handle *handle, uint64_t owner)
{
    struct wait *wait;
    bool any = false;
    pthread_mutex_lock(&locks->order);
    pthread_mutex_lock(&locks->mutex);
    while ((wait = find_closing(locks, handle, owner))) {
        any = true;
        withdraw(wait);
        pthread_mutex_lock(&locks->mutex);
    }
    pthread_mutex_unlock(&locks->mutex);
    pthread_mutex_unlock(&locks->order);
    return any;
}

bool waits_close(struct locks *locks, const struct handle *handle)
{
    struct lock_node *node = lock_node_find(locks, handle->id);
    struct wait *wait = node ? node->waits : NULL, *next;
    bool any = false;
    for (; wait; wait = next) {
        next = wait->next;
        if (wait->op.handle != handle->fh)
            continue;
        any = true;
        wait->withdrawn = wait->closed = true;
        wait->until_ms = 0;
        if (wait->lock)
            wait_unlist(wait); /* the handle's unlock ends it */
        else
            wait_leave_claim(wait); /* its result is still to come */
    }
    return any;
}
