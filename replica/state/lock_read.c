/* lock_read.c - locks as readers see them. */
#include <string.h>

#include "replica/state/lock.h"
#include "replica/state/mem.h"

static bool tell(const struct lock *lock, struct lock_info *info)
{
    if (lock == NULL)
        return false;
    *info = (struct lock_info){.id = lock->locked->by_id.key,
                               .space = lock->space,
                               .exclusive = lock->exclusive,
                               .waiting = lock->granted_zxid == 0,
                               .session = lock->session,
                               .owner = lock->owner,
                               .handle = lock->handle,
                               .start = lock->start,
                               .end = lock->end,
                               .lock = lock->name,
                               .granted_zxid = lock->granted_zxid,
                               .since_ns = lock->since_ns,
                               .pid = lock->pid};
    struct bytes command = blob_bytes(lock->command);
    memcpy(info->command, command.at, command.len);
    return true;
}

bool state_lock_next(const struct state *state, struct lock_walk *walk, struct lock_info *info)
{
    const struct locked *locked = locked_find(state, walk->id);
    const struct lock *last = walk->last, *lock;
    if (locked == NULL)
        return false;
    bool waits = last != NULL && last->granted_zxid == 0;
    const struct hook *list = waits ? &locked->waiters : &locked->holders;
    lock = last == NULL ? lock_first(list) : lock_next(list, last);
    if (lock == NULL && !waits)
        lock = lock_first(&locked->waiters);
    if (lock != NULL)
        walk->last = lock;
    return tell(lock, info);
}

bool state_next_locked(const struct state *state, uint64_t *id)
{
    const struct locked *locked = *id == UINT64_MAX ? NULL : locked_from(state, *id + 1);
    if (locked == NULL)
        return false;
    *id = locked->by_id.key;
    return true;
}

bool state_lock_conflict(const struct state *state, uint64_t session, const struct op_lock *op, struct lock_info *info)
{
    struct locked *locked = locked_find(state, op->id);
    const struct lock lock = {.locked = locked,
                              .session = session,
                              .space = op->space,
                              .owner = op->owner,
                              .start = op->start,
                              .end = op->end,
                              .exclusive = op->exclusive};
    return tell(lock_blocker(state, locked, &lock), info);
}

static const struct lock *list_named(const struct hook *list, uint64_t name)
{
    const struct lock *lock = lock_first(list);
    while (lock != NULL && lock->name != name)
        lock = lock_next(list, lock);
    return lock;
}

bool state_lock_named(const struct state *state, uint64_t id, uint64_t name, struct lock_info *info)
{
    const struct locked *locked = locked_find(state, id);
    if (locked == NULL)
        return false;
    const struct lock *lock = list_named(&locked->holders, name);
    return tell(lock != NULL ? lock : list_named(&locked->waiters, name), info);
}

uint64_t state_lock_zxid(const struct state *state, uint64_t id)
{
    const struct locked *locked = locked_find(state, id);
    if (locked == NULL || hook_alone(&locked->holders))
        return 0;
    return CONTAINER_OF(locked->holders.prev, struct lock, order)->granted_zxid;
}
