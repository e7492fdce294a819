/* Random locks: few znodes, owners and bytes, so that they meet. */
#include "tests/support/state_workload_internal.h"

enum { OWNERS = 2, HANDLES = 3, BYTES = 16, IDS = 6 };

static bool chance(struct workload *workload, uint64_t percent)
{
    return workload_random(workload, 100) < percent;
}

/* One of a few, which may be gone; mostly one that is locked already. */
static uint64_t some_id(struct workload *workload, const struct state *state)
{
    uint64_t id = workload_random(workload, IDS);
    if (chance(workload, 70) && state_next_locked(state, &id))
        return id;
    return chance(workload, 95) ? 1 + workload_random(workload, IDS) : workload_random(workload, 1000);
}

static void some_range(struct workload *workload, enum lock_space space, uint64_t *start, uint64_t *end)
{
    *start = 0;
    *end = UINT64_MAX;
    if (space == LOCK_FLOCK && chance(workload, 99))
        return;
    *start = workload_random(workload, BYTES);
    if (chance(workload, 85))
        *end = *start + workload_random(workload, BYTES - *start);
    if (chance(workload, 1))
        *end = *start - 1;
}

static void make_lock(struct workload *workload, const struct state *state, struct op_lock *op)
{
    op->id = some_id(workload, state);
    op->space = chance(workload, 35) ? LOCK_FLOCK : LOCK_POSIX;
    op->exclusive = chance(workload, 60);
    op->wait = chance(workload, 60);
    op->owner = workload_random(workload, OWNERS);
    op->handle = op->space == LOCK_FLOCK ? op->owner : workload_random(workload, HANDLES);
    some_range(workload, op->space, &op->start, &op->end);
    op->pid = (uint32_t)workload_random(workload, 5);
    op->command = (struct bytes){"command", workload_random(workload, 8)};
}

/* Mostly what is there to be given up. */
static void make_unlock(struct workload *workload, const struct state *state, uint64_t session, struct op_unlock *op)
{
    op->id = some_id(workload, state);
    op->scope = (enum unlock_scope)(UNLOCK_RANGE + workload_random(workload, UNLOCK_WAITER));
    op->space = chance(workload, 35) ? LOCK_FLOCK : LOCK_POSIX;
    op->owner = workload_random(workload, OWNERS);
    op->handle = workload_random(workload, HANDLES);
    struct lock_info info;
    for (struct lock_walk walk = {.id = op->id}; state_lock_next(state, &walk, &info);) {
        if (info.waiting != (op->scope == UNLOCK_WAITER) || (info.session != session && !chance(workload, 3)))
            continue;
        op->lock = info.lock;
        op->space = info.space;
        op->owner = info.owner;
        op->handle = info.handle;
        if (chance(workload, 50))
            break;
    }
    some_range(workload, op->space, &op->start, &op->end);
}

void workload_lock_request(struct workload *workload, const struct state *state, struct entry *entry)
{
    struct request *request = &entry->request;
    request->kind = chance(workload, 50) ? OP_LOCK : OP_UNLOCK;
    if (request->kind == OP_LOCK)
        make_lock(workload, state, &request->lock);
    else
        make_unlock(workload, state, entry->session, &request->unlock);
}
