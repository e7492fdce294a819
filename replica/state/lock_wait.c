/* lock_wait.c - who waits for whom: a search along the locks that waiters wait for (lock.h says what waiting is).
 *
 * Readers search too, several at once: what a search has seen is noted beside the state. */
#include <stdlib.h>

#include "replica/state/lock.h"
#include "replica/state/mem.h"
#include "replica/state/plant.h"

struct search {
    const struct state *state;
    const struct lock *target;   /* of its owner */
    bool asks;                   /* the target is about to wait for one thing more */
    bool holders_only;           /* of what is held, not of what was asked for earlier */
    bool whole;                  /* nobody is overtaken */
    bool *seen;                  /* by lock.waits_at */
    const struct lock **pending; /* waiters whose blockers have not been looked at */
    size_t pending_count;
};

static void search_begin(struct search *search, const struct state *state, const struct lock *target)
{
    size_t waiting = state->locks.waiting_count;
    *search = (struct search){.state = state, .target = target};
    search->seen = mem_new(waiting * sizeof *search->seen + 1);
    search->pending = mem_new(waiting * sizeof(*search->pending) + 1);
}

static void search_end(struct search *search)
{
    free(search->seen);
    free((void *)search->pending);
}

/* Adds whatever the owner of this lock waits for, a process with several threads for several. */
static void add_waits_of(struct search *search, const struct lock *lock)
{
    const struct session *session = session_find(search->state, lock->session);
    for (const struct hook *hook = session->waits.next; hook != &session->waits; hook = hook->next) {
        const struct lock *wait = lock_of_own(hook);
        if (search->seen[wait->waits_at] || !lock_same_owner(wait, lock))
            continue;
        search->seen[wait->waits_at] = true;
        search->pending[search->pending_count++] = wait;
    }
}

/* Whether the owner of `lock` holds some of its znode; against `waiter`, if that is not NULL. */
static bool holds_here(const struct lock *lock, const struct lock *waiter)
{
    const struct hook *holders = &lock->locked->holders;
    for (const struct lock *held = lock_first(holders); held != NULL; held = lock_next(holders, held))
        if (lock_same_owner(held, lock) && (waiter == NULL || lock_conflicts(held, waiter)))
            return true;
    return false;
}

/* Whether its owner waits for nothing else, nor is about to. */
static bool waits_once(const struct search *search, const struct lock *waiter)
{
    const struct session *session = session_find(search->state, waiter->session);
    size_t count = 0;
    for (const struct hook *hook = session->waits.next; hook != &session->waits; hook = hook->next)
        count += lock_same_owner(lock_of_own(hook), waiter);
    return count == 1 && !(search->asks && lock_same_owner(waiter, search->target));
}

/* Goes on from what conflicts with `lock` in a list, up to `lock` itself. A waiter that waits for what the owner of
 * `lock` holds, and for nothing else, is overtaken (lock_blocker). True: the target's owner has some of it. */
static bool follow(struct search *search, const struct hook *list, const struct lock *lock)
{
    bool overtakes = search->state->version >= STATE_VERSION_DEADLOCKS && !search->whole &&
                     list == &lock->locked->waiters && holds_here(lock, NULL);
    for (const struct lock *other = lock_first(list); other != NULL && other != lock; other = lock_next(list, other)) {
        if (!lock_conflicts(other, lock) || (overtakes && holds_here(lock, other) && waits_once(search, other)))
            continue;
        if (lock_same_owner(other, search->target))
            return true;
        add_waits_of(search, other);
    }
    return false;
}

static bool search_run(struct search *search)
{
    while (search->pending_count > 0) {
        const struct lock *lock = search->pending[--search->pending_count];
        if (follow(search, &lock->locked->holders, lock) ||
            (!search->holders_only && follow(search, &lock->locked->waiters, lock)))
            return true;
    }
    return false;
}

/* Whether the owner of the one waits for the owner of the other. */
static bool waits_for(const struct state *state, const struct lock *from, const struct lock *target)
{
    struct search search;
    search_begin(&search, state, target);
    add_waits_of(&search, from);
    bool found = search_run(&search);
    search_end(&search);
    return found;
}

const struct lock *lock_blocker(const struct state *state, const struct locked *locked, const struct lock *lock)
{
    if (locked == NULL)
        return NULL;
    const struct hook *holders = &locked->holders, *waiters = &locked->waiters;
    for (const struct lock *other = lock_first(holders); other != NULL; other = lock_next(holders, other))
        if (lock_conflicts(other, lock) && !(STATE_BUG(READERS_IGNORED) && !other->exclusive))
            return other;
    for (const struct lock *other = lock_first(waiters); other != NULL && other != lock;
         other = lock_next(waiters, other))
        if (!STATE_BUG(QUEUE_JUMPED) && lock_conflicts(other, lock) && !waits_for(state, other, lock))
            return other;
    return NULL;
}

/* Up to version 4 a circle through the queue was a deadlock too. */
static bool circle_before(struct search *search, const struct locked *locked, const struct lock *lock)
{
    search->asks = true;
    if (search->state->version >= STATE_VERSION_DEADLOCKS)
        add_waits_of(search, lock); /* who waits for one thing more is overtaken no more */
    return follow(search, &locked->holders, lock) || follow(search, &locked->waiters, lock) || search_run(search);
}

bool lock_deadlocks(const struct state *state, const struct locked *locked, const struct lock *lock)
{
    struct search search;
    bool found;
    search_begin(&search, state, lock);
    search.holders_only = state->version >= STATE_VERSION_CIRCLES;
    if (search.holders_only)
        found = follow(&search, &locked->holders, lock) || search_run(&search);
    else
        found = circle_before(&search, locked, lock);
    search_end(&search);
    return found;
}

bool lock_circles(const struct state *state, const struct lock *waiter)
{
    struct search search;
    search_begin(&search, state, waiter);
    search.whole = true;
    add_waits_of(&search, waiter);
    bool found = search_run(&search);
    search_end(&search);
    return found;
}
