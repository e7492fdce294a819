/* lock.c - the table of locks: see lock.h. */
#include "replica/state/lock.h"

#include <assert.h>
#include <stdlib.h>

#include "replica/state/mem.h"

static struct locked *locked_of(struct branch *by_id)
{
    return by_id == NULL ? NULL : CONTAINER_OF(by_id, struct locked, by_id);
}

struct locked *locked_find(const struct state *state, uint64_t id)
{
    return locked_of(treap_find(&state->locks.by_id, id));
}

struct locked *locked_from(const struct state *state, uint64_t id)
{
    return locked_of(treap_from(&state->locks.by_id, id));
}

struct locked *locked_need(struct state *state, uint64_t id)
{
    struct locked *locked = locked_find(state, id);
    if (locked != NULL)
        return locked;
    locked = mem_new(sizeof *locked);
    locked->by_id.key = id;
    locked->changed_zxid = state->zxid;
    hook_init(&locked->holders);
    hook_init(&locked->waiters);
    treap_insert(&state->locks.by_id, &locked->by_id);
    return locked;
}

void locked_trim(struct state *state, struct locked *locked)
{
    if (locked->count > 0)
        return;
    treap_remove(&state->locks.by_id, &locked->by_id);
    free(locked);
}

static struct lock *lock_at(const struct hook *list, struct hook *order)
{
    return order == list ? NULL : CONTAINER_OF(order, struct lock, order);
}

struct lock *lock_first(const struct hook *list)
{
    return lock_at(list, list->next);
}

struct lock *lock_next(const struct hook *list, const struct lock *lock)
{
    return lock_at(list, lock->order.next);
}

struct lock *lock_of_own(const struct hook *own)
{
    return CONTAINER_OF(own, struct lock, own);
}

/* --- what holds between two --- */

bool lock_before(const struct lock *lock, const struct lock *other)
{
    if (lock->granted_zxid != other->granted_zxid)
        return lock->granted_zxid < other->granted_zxid;
    if (lock->name != other->name)
        return lock->name < other->name;
    return lock->start < other->start;
}

bool lock_same_owner(const struct lock *lock, const struct lock *other)
{
    return lock->session == other->session && lock->space == other->space && lock->owner == other->owner &&
           (lock->space == LOCK_POSIX || lock->locked == other->locked);
}

bool lock_overlaps(const struct lock *lock, const struct lock *other)
{
    return lock->start <= other->end && other->start <= lock->end;
}

bool lock_conflicts(const struct lock *lock, const struct lock *other)
{
    return lock->space == other->space && (lock->exclusive || other->exclusive) && lock_overlaps(lock, other) &&
           !lock_same_owner(lock, other);
}

/* --- in and out --- */

static struct hook *list_of(const struct lock *lock)
{
    return lock->granted_zxid == 0 ? &lock->locked->waiters : &lock->locked->holders;
}

static void waiting_add(struct lock_table *locks, struct lock *lock)
{
    if (locks->waiting_count == locks->waiting_capacity) {
        locks->waiting_capacity = locks->waiting_capacity * 2 + 8;
        locks->waiting = mem_grow(locks->waiting, locks->waiting_capacity * sizeof(*locks->waiting));
    }
    lock->waits_at = locks->waiting_count;
    locks->waiting[locks->waiting_count++] = lock;
}

static void waiting_remove(struct lock_table *locks, const struct lock *lock)
{
    assert(locks->waiting[lock->waits_at] == lock);
    struct lock *last = locks->waiting[--locks->waiting_count];
    locks->waiting[lock->waits_at] = last;
    last->waits_at = lock->waits_at;
}

/* Into whatever follows from the locks of the znodes. */
static void index_lock(struct state *state, struct lock *lock, struct session *session)
{
    hook_insert(&lock->own, lock->granted_zxid == 0 ? &session->waits : &session->held);
    session->info.locks++;
    if (lock->granted_zxid == 0)
        waiting_add(&state->locks, lock);
    state->locks.sum += digest_lock(lock);
}

static void before_change(struct state *state, struct locked *locked)
{
    snapshot_save_locks(state, locked);
    locked->changed_zxid = state->zxid;
}

void lock_enter(struct state *state, struct lock *lock)
{
    struct hook *list = list_of(lock), *before = list;
    before_change(state, lock->locked);
    while (before->prev != list && lock_before(lock, lock_at(list, before->prev)))
        before = before->prev;
    hook_insert(&lock->order, before);
    lock->locked->count++;
    index_lock(state, lock, session_find(state, lock->session));
}

void lock_leave(struct state *state, struct lock *lock)
{
    before_change(state, lock->locked);
    state->locks.sum -= digest_lock(lock);
    if (lock->granted_zxid == 0)
        waiting_remove(&state->locks, lock);
    session_find(state, lock->session)->info.locks--;
    lock->locked->count--;
    hook_remove(&lock->own);
    hook_remove(&lock->order);
}

void lock_free(struct lock *lock)
{
    blob_unref(lock->command);
    free(lock);
}

static void free_list(struct hook *list)
{
    for (struct lock *lock = lock_first(list), *next; lock != NULL; lock = next) {
        next = lock_next(list, lock);
        lock_free(lock);
    }
}

void lock_free_all(struct state *state)
{
    for (struct locked *locked; (locked = locked_from(state, 0)) != NULL;) {
        free_list(&locked->holders);
        free_list(&locked->waiters);
        treap_remove(&state->locks.by_id, &locked->by_id);
        free(locked);
    }
    free(state->locks.waiting);
}

/* --- from a snapshot --- */

bool lock_append(struct state *state, struct lock *lock, uint64_t id)
{
    lock->locked = locked_need(state, id);
    struct hook *list = list_of(lock);
    const struct lock *last = lock_at(list, list->prev);
    bool after = last == NULL || lock_before(last, lock);
    hook_insert(&lock->order, list);
    lock->locked->count++;
    return after;
}

static bool adopt(struct state *state, struct hook *list)
{
    for (struct lock *lock = lock_first(list); lock != NULL; lock = lock_next(list, lock)) {
        struct session *session = session_find(state, lock->session);
        if (session == NULL)
            return false;
        index_lock(state, lock, session);
    }
    return true;
}

/* Whether the holders get along with each other. */
static bool holders_agree(const struct locked *locked)
{
    for (const struct lock *lock = lock_first(&locked->holders); lock != NULL; lock = lock_next(&locked->holders, lock))
        for (const struct lock *other = lock_next(&locked->holders, lock); other != NULL;
             other = lock_next(&locked->holders, other))
            if (lock_conflicts(lock, other) || (lock_same_owner(lock, other) && lock_overlaps(lock, other)))
                return false;
    return true;
}

bool lock_adopt_all(struct state *state)
{
    for (struct locked *locked = locked_from(state, 0); locked != NULL;
         locked = locked_from(state, locked->by_id.key + 1))
        if (!adopt(state, &locked->holders) || !adopt(state, &locked->waiters) || !holders_agree(locked))
            return false;
    return true;
}

/* --- checks --- */

static const char *check_list(const struct state *state, const struct locked *locked, const struct hook *list)
{
    const struct lock *last = NULL;
    for (const struct lock *lock = lock_first(list); lock != NULL; last = lock, lock = lock_next(list, lock)) {
        if (lock->locked != locked || list_of(lock) != list || (last != NULL && !lock_before(last, lock)))
            return "the locks of a znode are not in order";
        if (session_find(state, lock->session) == NULL || hook_alone(&lock->own))
            return "a lock's session is none";
        if (lock->granted_zxid == 0 && state->locks.waiting[lock->waits_at] != lock)
            return "a waiter is not where it says";
    }
    return NULL;
}

static size_t hooks(const struct hook *list)
{
    size_t count = 0;
    for (const struct hook *hook = list->next; hook != list; hook = hook->next)
        count++;
    return count;
}

static const char *check_counts(const struct state *state, size_t locks)
{
    size_t held = 0, waits = 0;
    for (const struct session *session = session_first(state); session != NULL;
         session = session_next(state, session)) {
        size_t own_held = hooks(&session->held), own_waits = hooks(&session->waits);
        if (own_held + own_waits != session->info.locks)
            return "a session's locks are miscounted";
        held += own_held;
        waits += own_waits;
    }
    if (held + waits != locks || waits != state->locks.waiting_count)
        return "the locks are miscounted";
    return locks > 0 && state->version < STATE_VERSION_LOCKS ? "there are locks in a version without them" : NULL;
}

const char *lock_check_all(const struct state *state)
{
    size_t locks = 0;
    for (const struct locked *locked = locked_from(state, 0); locked != NULL;
         locked = locked_from(state, locked->by_id.key + 1)) {
        const char *wrong = check_list(state, locked, &locked->holders);
        if (wrong == NULL)
            wrong = check_list(state, locked, &locked->waiters);
        if (wrong != NULL)
            return wrong;
        if (locked->count == 0 || locked->count != hooks(&locked->holders) + hooks(&locked->waiters))
            return "the locks of a znode are miscounted";
        if (!holders_agree(locked))
            return "two locks are held that conflict";
        locks += locked->count;
    }
    return check_counts(state, locks);
}
