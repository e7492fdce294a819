/* Requests for locks, from the kernel's request to its answer; and what is kept of one that a signal ended. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "fs/mount/lock_internal.h"

/* --- under the mutex --- */

void wait_unref(struct wait *wait)
{
    if (--wait->refs)
        return;
    lock_holders_drop(wait->locks, &wait->holders);
    before_free(wait);
    free(wait);
}

static struct wait *wait_new(struct locks *locks, struct handle *handle, const struct op_lock *op,
                             const struct lock_holders *holders)
{
    struct lock_node *node = lock_node_get(locks, op->id);
    struct wait *wait = calloc(1, sizeof *wait);
    assert(wait);
    *wait = (struct wait){.locks = locks,
                          .op = *op,
                          .claim = claim_get(node, handle, op),
                          .holders = *holders,
                          .code = ERR_LOCK_WAITS,
                          .listed = true,
                          .refs = 1};
    wait->op.command = (struct bytes){0};
    wait->claim->waits++;
    DL_APPEND(node->waits, wait);
    return wait;
}

void wait_restore(struct locks *locks, struct handle *handle, const struct op_lock *op,
                  const struct lock_holders *holders, uint64_t lock, uint64_t until_ms)
{
    struct wait *wait = wait_new(locks, handle, op, holders);
    wait->lock = lock;
    wait->submitted = true;
    wait->until_ms = until_ms;
    before_look(wait);
    pthread_cond_signal(&locks->moved);
}

void wait_leave_claim(struct wait *wait)
{
    struct claim *claim = wait->claim;
    wait->claim = NULL;
    if (claim) {
        claim->waits--;
        claim_trim(wait->locks, claim);
    }
}

void wait_unlist(struct wait *wait)
{
    struct locks *locks = wait->locks;
    if (!wait->listed)
        return;
    struct lock_node *node = lock_node_find(locks, wait->op.id);
    wait->listed = false;
    DL_DELETE(node->waits, wait);
    wait_leave_claim(wait);
    lock_node_drop(locks, lock_node_find(locks, wait->op.id));
    wait_unref(wait);
}

static void keep(struct wait *wait)
{
    wait->until_ms = locks_now_ms() + LOCK_KEEP_MS;
    pthread_cond_signal(&wait->locks->moved);
}

static struct wait *find_named(struct locks *locks, uint64_t id, uint64_t lock)
{
    struct lock_node *node = lock_node_find(locks, id);
    struct wait *wait = NULL;
    if (node)
        DL_SEARCH_SCALAR(node->waits, wait, lock, lock);
    return wait;
}

/* --- answers --- */

static void answer(fuse_req_t req, int code)
{
    if (!req)
        return;
    fuse_req_interrupt_func(req, NULL, NULL); /* waits for an on_interrupt at work */
    reply_inode_code(req, code);
}

/* Notes what became of it; the request to be answered. */
static fuse_req_t note(struct wait *wait, uint64_t lock, int code)
{
    bool waits = code == ERR_LOCK_WAITS, withdrawn = wait->withdrawn;
    fuse_req_t req = waits ? NULL : wait->req;
    wait->lock = lock;
    wait->code = code;
    if (!waits)
        wait->req = NULL;
    if (code == ERR_OK && !withdrawn)
        releases_supersede(wait->locks, &wait->op);
    if (waits && wait->op.space == LOCK_FLOCK && !withdrawn)
        claim_lose(wait->locks, wait->claim); /* a flock that has to wait has given up the old one */
    if (code == ERR_OK && wait->claim && !wait_unwanted(wait)) {
        claim_hold(wait->locks, wait->claim, &wait->holders);
        before_got(wait);
    }
    if (!waits && (withdrawn || req || code))
        wait_unlist(wait);
    return req;
}

/* Under the mutex: a flock instead of one that is held. That is given up first (flock(2)), and if the new one is
 * refused, it is gone: two who share a lock and both try to get it for themselves would else never get on. */
static bool converts(const struct wait *wait)
{
    return wait->op.space == LOCK_FLOCK && !wait->withdrawn && wait->claim && wait->claim->held;
}

/* What became of a lock is known: its result, its grant, or that it is gone. The caller has a count of the wait. */
static void settle(struct wait *wait, uint64_t lock, int code)
{
    struct locks *locks = wait->locks;
    bool waits = code == ERR_LOCK_WAITS, may_hold = !code || code == ERR_OUTCOME_UNKNOWN, refused = code == ERR_LOCKED;
    if (waits || may_hold || refused) /* it comes from the client thread, and perhaps something is to be submitted */
        pthread_mutex_lock(&locks->order);
    pthread_mutex_lock(&locks->mutex);
    bool drops = refused && converts(wait);
    struct op_unlock old = lock_unlock_of(&wait->op);
    fuse_req_t req = note(wait, lock, code);
    bool withdrawn = wait->withdrawn, gives_up = may_hold && wait_unwanted(wait);
    pthread_mutex_unlock(&locks->mutex);
    if (withdrawn && waits)
        wait_give_up_place(wait);
    else if (gives_up)
        wait_give_up_granted(wait);
    if (drops && req) {
        fuse_req_interrupt_func(req, NULL, NULL);
        lock_give_up(locks, &old, NULL, req, code);
        req = NULL;
    }
    if (waits || may_hold || refused)
        pthread_mutex_unlock(&locks->order);
    answer(req, code);
}

/* What the tree says of a lock that was told to wait. */
static int look(struct locks *locks, uint64_t id, uint64_t lock)
{
    struct lock_info info;
    const struct state *state = client_lock(locks->mount->client);
    bool there = state_lock_named(state, id, lock, &info);
    client_unlock(locks->mount->client);
    return !there ? ERR_SESSION_EXPIRED : info.waiting ? ERR_LOCK_WAITS : ERR_OK;
}

/* No answer in time: whoever waits is told so; what became of it will be told later, and is given up then. */
static void forsake(struct wait *wait)
{
    struct locks *locks = wait->locks;
    pthread_mutex_lock(&locks->mutex);
    fuse_req_t req = wait->req;
    wait->req = NULL;
    wait->unknown = wait->withdrawn = true;
    wait->until_ms = 0;
    wait->code = ERR_OUTCOME_UNKNOWN;
    pthread_mutex_unlock(&locks->mutex);
    answer(req, ERR_OUTCOME_UNKNOWN);
}

static void finish(void *arg, const struct result *result)
{
    struct wait *wait = arg;
    struct locks *locks = wait->locks;
    int code = result->code;
    if (code == ERR_OUTCOME_UNKNOWN && !wait->unknown) {
        forsake(wait);
        return; /* this is called again */
    }
    if (code == ERR_LOCK_WAITS)
        code = look(locks, wait->op.id, result->zxid);
    else if (!code && !result->id)
        code = ERR_INTERRUPTED; /* nothing was done */
    settle(wait, result->zxid, code);
    pthread_mutex_lock(&locks->mutex);
    wait_unref(wait);
    pthread_mutex_unlock(&locks->mutex);
}

/* --- asking --- */

/* A signal: answered at once, as the kernel waits for that even when it kills. */
static void on_interrupt(fuse_req_t req, void *arg)
{
    struct wait *wait = arg;
    struct locks *locks = wait->locks;
    pthread_mutex_lock(&locks->mutex);
    bool mine = wait->req == req;
    if (mine) {
        wait->req = NULL;
        keep(wait);
    } else {
        wait->interrupted = true;
    }
    pthread_mutex_unlock(&locks->mutex);
    if (mine)
        fuse_reply_err(req, EINTR);
}

static bool same(const struct op_lock *a, const struct op_lock *b)
{
    return a->space == b->space && a->exclusive == b->exclusive && a->wait == b->wait && a->owner == b->owner &&
           a->handle == b->handle && a->start == b->start && a->end == b->end;
}

/* The same request, kept for a moment since a signal ended it: it goes on where it was. Else a new one. Counted. */
static struct wait *begin(struct handle *handle, const struct op_lock *op, const struct lock_holders *holders,
                          bool *is_new)
{
    struct locks *locks = handle->mount->locks;
    struct wait *wait = NULL;
    pthread_mutex_lock(&locks->mutex);
    struct lock_node *node = lock_node_find(locks, op->id);
    if (node)
        DL_FOREACH(node->waits, wait)
        {
            if (wait->until_ms && same(&wait->op, op))
                break;
        }
    *is_new = !wait;
    if (!wait) {
        wait = wait_new(locks, handle, op, holders);
        before_look(wait);
    } else {
        lock_holders_drop(locks, holders);
    }
    wait->until_ms = 0;
    wait->interrupted = false;
    wait->refs++;
    pthread_mutex_unlock(&locks->mutex);
    return wait;
}

/* From now on the wait answers this request. False: it has been answered, there was no need to wait. */
static bool attach(struct wait *wait, fuse_req_t req, bool is_new)
{
    struct locks *locks = wait->locks;
    fuse_req_interrupt_func(req, on_interrupt, wait);
    pthread_mutex_lock(&locks->mutex);
    int code = wait->code;
    bool interrupted = wait->interrupted;
    if (interrupted && !is_new && wait->listed)
        keep(wait);
    else if (interrupted || code != ERR_LOCK_WAITS)
        wait_unlist(wait);
    else
        wait->req = req;
    pthread_mutex_unlock(&locks->mutex);
    if (interrupted || code != ERR_LOCK_WAITS)
        answer(req, interrupted ? ERR_INTERRUPTED : code);
    return !interrupted && code == ERR_LOCK_WAITS;
}

/* Under `order`. */
static void submit(struct wait *wait, const struct op_lock *op, uint64_t session)
{
    struct locks *locks = wait->locks;
    struct request request = {.kind = OP_LOCK, .lock = *op};
    struct client_terms terms = {.session = session, .late = true};
    waits_supersede(wait);
    releases_run(locks, op->id); /* an older unlock goes first */
    pthread_mutex_lock(&locks->mutex);
    wait->refs++;
    wait->submitted = true;
    pthread_mutex_unlock(&locks->mutex);
    uint64_t ticket = client_submit_on(locks->mount->client, &request, &terms, finish, wait);
    pthread_mutex_lock(&locks->mutex);
    wait->ticket = ticket;
    pthread_mutex_unlock(&locks->mutex);
}

void lock_ask(struct handle *handle, fuse_req_t req, const struct op_lock *op, uint64_t session)
{
    struct locks *locks = handle->mount->locks;
    struct lock_holders holders;
    bool is_new;
    int code = lock_holders_note(locks, handle, (pid_t)op->pid, &holders);
    if (code) {
        reply_code(req, code);
        return;
    }
    pthread_mutex_lock(&locks->order);
    struct wait *wait = begin(handle, op, &holders, &is_new);
    if (attach(wait, req, is_new) && is_new)
        submit(wait, op, session);
    pthread_mutex_unlock(&locks->order);
    pthread_mutex_lock(&locks->mutex);
    wait_unref(wait);
    pthread_mutex_unlock(&locks->mutex);
}

/* --- what the client tells --- */

static void settle_named(struct locks *locks, uint64_t id, uint64_t lock, int code)
{
    pthread_mutex_lock(&locks->mutex);
    struct wait *wait = find_named(locks, id, lock);
    if (wait)
        wait->refs++;
    pthread_mutex_unlock(&locks->mutex);
    if (!wait)
        return;
    settle(wait, lock, code);
    pthread_mutex_lock(&locks->mutex);
    wait_unref(wait);
    pthread_mutex_unlock(&locks->mutex);
}

void locks_changed(struct locks *locks, const struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        if (changes->list[i].kind == CHANGE_LOCK && changes->list[i].lock)
            settle_named(locks, changes->list[i].id, changes->list[i].lock, ERR_OK);
}

/* All that is waited for, as names, in an array that the caller frees. */
static struct op_unlock *names(struct locks *locks, size_t *count)
{
    struct lock_node *node, *following;
    struct wait *wait;
    struct op_unlock *list = NULL;
    *count = 0;
    pthread_mutex_lock(&locks->mutex);
    HASH_ITER(hh, locks->nodes, node, following)
    {
        DL_FOREACH(node->waits, wait)
        {
            if (!wait->lock || wait->code != ERR_LOCK_WAITS)
                continue;
            list = realloc(list, (*count + 1) * sizeof *list);
            assert(list);
            list[(*count)++] = (struct op_unlock){.id = node->id, .lock = wait->lock};
        }
    }
    pthread_mutex_unlock(&locks->mutex);
    return list;
}

void locks_resynced(struct locks *locks)
{
    size_t count;
    struct op_unlock *list = names(locks, &count);
    for (size_t i = 0; i < count; i++) {
        int code = look(locks, list[i].id, list[i].lock);
        if (code != ERR_LOCK_WAITS)
            settle_named(locks, list[i].id, list[i].lock, code);
    }
    free(list);
}

/* Any one of all; counted. */
static struct wait *take_any(struct locks *locks)
{
    struct wait *wait = NULL;
    pthread_mutex_lock(&locks->mutex);
    struct lock_node *node, *following;
    HASH_ITER(hh, locks->nodes, node, following)
    {
        if (!wait && node->waits)
            wait = node->waits;
    }
    if (wait)
        wait->refs++;
    pthread_mutex_unlock(&locks->mutex);
    return wait;
}

void waits_end(struct locks *locks)
{
    struct wait *wait;
    while ((wait = take_any(locks))) {
        settle(wait, 0, ERR_SESSION_EXPIRED);
        pthread_mutex_lock(&locks->mutex);
        wait_unlist(wait);
        wait_unref(wait);
        pthread_mutex_unlock(&locks->mutex);
    }
}
