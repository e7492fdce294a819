/* apply_lock.c - locks are taken, waited for, granted and given up. Whatever is refused is refused before anything is
 * changed: locks are not in the journal. */
#include <stdlib.h>

#include "replica/state/lock.h"
#include "replica/state/mem.h"
#include "replica/state/plant.h"

static void note(struct apply *apply, const struct locked *locked, const struct lock *granted)
{
    struct change *change = changes_add(apply->changes, CHANGE_LOCK, NULL);
    if (change == NULL)
        return;
    change->id = locked->by_id.key;
    change->lock = granted == NULL ? 0 : granted->name;
    change->lock_session = granted == NULL ? 0 : granted->session;
    change->name = changes_name((struct bytes){"", 0});
}

/* --- ranges --- */

/* A second lock like this one, for a part of it. */
static struct lock *part_of(const struct lock *lock, uint64_t start, uint64_t end)
{
    struct lock *part = mem_new(sizeof *part);
    *part = *lock;
    hook_init(&part->order);
    hook_init(&part->own);
    part->start = start;
    part->end = end;
    blob_ref(part->command);
    return part;
}

/* Takes a range out of a held lock; what is left on either side stays held. */
static void cut(struct state *state, struct lock *held, uint64_t start, uint64_t end)
{
    lock_leave(state, held);
    if (held->start < start)
        lock_enter(state, part_of(held, held->start, start - 1));
    if (held->end > end)
        lock_enter(state, part_of(held, end + 1, held->end));
    lock_free(held);
}

/* Takes the range of `range` out of all that its owner holds. True: there was something. */
static bool clear_range(struct state *state, struct locked *locked, const struct lock *range)
{
    bool any = false;
    for (struct lock *held = lock_first(&locked->holders), *next; held != NULL; held = next) {
        next = lock_next(&locked->holders, held);
        if (!lock_same_owner(held, range) || !lock_overlaps(held, range))
            continue;
        cut(state, held, range->start, range->end);
        any = true;
    }
    return any;
}

static bool adjacent(const struct lock *held, const struct lock *lock)
{
    return (held->end < lock->start && held->end + 1 == lock->start) ||
           (lock->end < held->start && lock->end + 1 == held->start);
}

/* A lock, not in the table, swallows its like on either side. */
static void merge(struct state *state, struct lock *lock)
{
    struct hook *holders = &lock->locked->holders;
    for (struct lock *held = lock_first(holders), *next; held != NULL; held = next) {
        next = lock_next(holders, held);
        if (!lock_same_owner(held, lock) || held->exclusive != lock->exclusive || held->handle != lock->handle ||
            !adjacent(held, lock))
            continue;
        lock_leave(state, held);
        lock->start = held->start < lock->start ? held->start : lock->start;
        lock->end = held->end > lock->end ? held->end : lock->end;
        lock_free(held);
    }
}

/* --- granting --- */

/* Makes a lock, not in the table, a holder. */
static void take(struct apply *apply, struct lock *lock)
{
    clear_range(apply->state, lock->locked, lock);
    merge(apply->state, lock);
    lock->granted_zxid = apply->state->zxid;
    lock->since_ns = apply->now_ns;
    lock_enter(apply->state, lock);
}

/* One round through the queue. True: somebody was granted; a lock that took the place of a stronger one may let others
 * in that came earlier. */
static bool grant_round(struct apply *apply, struct locked *locked)
{
    bool any = false;
    for (struct lock *lock = lock_first(&locked->waiters), *next; lock != NULL; lock = next) {
        next = lock_next(&locked->waiters, lock);
        if (lock_blocker(apply->state, locked, lock) != NULL || (STATE_BUG(LAST_FIRST) && next != NULL))
            continue;
        lock_leave(apply->state, lock);
        if (STATE_BUG(GRANTED_TWICE) && lock->handle != 0)
            plant_wait_again(apply->state, part_of(lock, lock->start, lock->end));
        take(apply, lock);
        note(apply, locked, lock);
        any = true;
    }
    return any;
}

/* The locks of a znode have changed: tells, grants what waits no more for anybody, and ends what is empty. */
static void settle(struct apply *apply, struct locked *locked)
{
    note(apply, locked, NULL);
    while (grant_round(apply, locked))
        ;
    locked_trim(apply->state, locked);
}

/* Whether somebody who waits for a lock of this znode waits for nobody. */
static bool grantable(const struct apply *apply, const struct locked *locked)
{
    for (const struct lock *lock = lock_first(&locked->waiters); lock != NULL; lock = lock_next(&locked->waiters, lock))
        if (lock_blocker(apply->state, locked, lock) == NULL)
            return true;
    return false;
}

/* A new waiter of one znode's closes a circle: in it somebody, of any znode's, now overtakes. */
static void settle_circle(struct apply *apply, const struct locked *joined)
{
    uint64_t id = 0;
    for (struct locked *locked; (locked = locked_from(apply->state, id)) != NULL;) {
        id = locked->by_id.key + 1;
        if (locked == joined || grantable(apply, locked))
            settle(apply, locked);
    }
}

/* --- lock --- */

static struct lock lock_asked(const struct apply *apply, struct locked *locked, const struct op_lock *op)
{
    return (struct lock){.locked = locked,
                         .session = apply->entry->session,
                         .owner = op->owner,
                         .handle = op->handle,
                         .start = op->start,
                         .end = op->end,
                         .name = apply->state->zxid,
                         .since_ns = apply->now_ns,
                         .pid = op->pid,
                         .space = op->space,
                         .exclusive = op->exclusive};
}

static struct lock *lock_made(struct apply *apply, const struct op_lock *op)
{
    struct lock asked = lock_asked(apply, locked_need(apply->state, op->id), op);
    struct lock *lock = part_of(&asked, op->start, op->end);
    lock->command = blob_new(op->command.at, op->command.len);
    return lock;
}

/* Puts the request at the end of the queue; flock(2): "the existing lock is first removed, then a new lock is
 * established". */
static int join_queue(struct apply *apply, const struct op_lock *op)
{
    struct lock *lock = lock_made(apply, op);
    struct locked *locked = lock->locked;
    if (lock->space == LOCK_FLOCK)
        clear_range(apply->state, locked, lock);
    lock_enter(apply->state, lock);
    if (lock->space == LOCK_POSIX && apply->state->version >= STATE_VERSION_CIRCLES && lock_circles(apply->state, lock))
        settle_circle(apply, locked);
    else
        settle(apply, locked);
    return ERR_LOCK_WAITS;
}

static int hold(struct apply *apply, const struct op_lock *op)
{
    struct lock *lock = lock_made(apply, op);
    take(apply, lock);
    settle(apply, lock->locked);
    return ERR_OK;
}

/* Whether the znode is there and can be locked. */
static int target_ok(const struct apply *apply, uint64_t id)
{
    const struct node *node = tree_node(apply->state, id);
    if (apply->entry->session == 0)
        return ERR_NO_SESSION;
    if (node == NULL)
        return ERR_NO_NODE;
    return node->attr.kind == KIND_SYMLINK ? ERR_INVALID : ERR_OK;
}

/* A new lock counts one; what it cuts in two comes on top: less than as many again, as each cut takes a request. */
static bool room(const struct apply *apply, const struct locked *locked)
{
    const struct session *session = session_find(apply->state, apply->entry->session);
    return session->info.locks < LIMIT_SESSION_LOCKS && (locked == NULL || locked->count < LIMIT_NODE_LOCKS);
}

int apply_lock(struct apply *apply, const struct op_lock *op)
{
    int code = target_ok(apply, op->id);
    if (code != ERR_OK)
        return code;
    struct locked *locked = locked_find(apply->state, op->id);
    if (!room(apply, locked))
        return ERR_NO_LOCKS;
    const struct lock asked = lock_asked(apply, locked, op);
    apply->result->id = op->id;
    if (lock_blocker(apply->state, locked, &asked) == NULL)
        return hold(apply, op);
    if (!op->wait)
        return ERR_LOCKED;
    if (op->space == LOCK_POSIX && lock_deadlocks(apply->state, locked, &asked))
        return ERR_DEADLOCK;
    return join_queue(apply, op);
}

/* --- unlock --- */

static bool falls(const struct lock *lock, const struct op_unlock *op, uint64_t session)
{
    if (lock->session != session)
        return false;
    if (op->scope == UNLOCK_HANDLE)
        return lock->handle == op->handle;
    if (op->scope == UNLOCK_WAITER)
        return lock->granted_zxid == 0 && lock->name == op->lock;
    return lock->space == op->space && lock->owner == op->owner;
}

static bool drop_from(struct apply *apply, const struct hook *list, const struct op_unlock *op)
{
    bool any = false;
    for (struct lock *lock = lock_first(list), *next; lock != NULL; lock = next) {
        next = lock_next(list, lock);
        if (!falls(lock, op, apply->entry->session))
            continue;
        lock_leave(apply->state, lock);
        lock_free(lock);
        any = true;
    }
    return any;
}

/* What is cut in the middle becomes two. */
static bool splits(const struct locked *locked, const struct lock *range)
{
    for (const struct lock *held = lock_first(&locked->holders); held != NULL; held = lock_next(&locked->holders, held))
        if (lock_same_owner(held, range) && held->start < range->start && held->end > range->end)
            return true;
    return false;
}

static int unlock_range(struct apply *apply, struct locked *locked, const struct op_unlock *op)
{
    const struct lock range = {.locked = locked,
                               .session = apply->entry->session,
                               .space = op->space,
                               .owner = op->owner,
                               .start = op->start,
                               .end = op->end};
    if (splits(locked, &range) && !room(apply, locked))
        return ERR_NO_LOCKS;
    if (clear_range(apply->state, locked, &range))
        settle(apply, locked);
    return ERR_OK;
}

int apply_unlock(struct apply *apply, const struct op_unlock *op)
{
    struct locked *locked = locked_find(apply->state, op->id);
    if (apply->entry->session == 0)
        return ERR_NO_SESSION;
    apply->result->id = op->id;
    if (locked == NULL)
        return op->scope == UNLOCK_WAITER ? ERR_NO_NODE : ERR_OK;
    if (op->scope == UNLOCK_RANGE)
        return unlock_range(apply, locked, op);
    bool any = drop_from(apply, &locked->holders, op);
    any |= drop_from(apply, &locked->waiters, op);
    if (any)
        settle(apply, locked);
    return any || op->scope != UNLOCK_WAITER ? ERR_OK : ERR_NO_NODE;
}

/* --- the end of a session --- */

static int compare_ids(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return (first > second) - (first < second);
}

/* Takes all locks off a list; the ids of their znodes are added at `ids`. */
static size_t drop_list(struct state *state, struct hook *list, uint64_t *ids)
{
    size_t count = 0;
    while (!hook_alone(list)) {
        struct lock *lock = lock_of_own(list->next);
        if (STATE_BUG(LOCKS_LEFT)) {
            hook_remove(&lock->own);
            continue;
        }
        ids[count++] = lock->locked->by_id.key;
        lock_leave(state, lock);
        lock_free(lock);
    }
    return count;
}

void apply_drop_locks(struct apply *apply, struct session *session)
{
    uint64_t *ids = mem_new((session->info.locks + 1) * sizeof *ids);
    size_t count = drop_list(apply->state, &session->held, ids);
    count += drop_list(apply->state, &session->waits, ids + count);
    qsort(ids, count, sizeof *ids, compare_ids);
    for (size_t i = 0; i < count; i++)
        if ((i == 0 || ids[i] != ids[i - 1]) && !STATE_BUG(NO_WAKE_UP))
            settle(apply, locked_find(apply->state, ids[i]));
    free(ids);
}
