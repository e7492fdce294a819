/* What the owner of a POSIX wait held of its bytes before. A wait that nobody wants any more may be granted all the
 * same, before it is withdrawn: then this is put back, so that an interrupted call has changed nothing. It is looked up
 * when the lock is asked for, and again with whatever else the owner, a process with several threads, gets or gives up
 * until then. */
#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "fs/mount/lock_internal.h"

static bool is_of(const struct wait *wait, enum lock_space space, uint64_t owner, uint64_t start, uint64_t end)
{
    return wait->op.space == LOCK_POSIX && space == LOCK_POSIX && wait->op.owner == owner && wait->op.start <= end &&
           start <= wait->op.end;
}

static void add(struct wait *wait, const struct lock_info *info, uint64_t start, uint64_t end)
{
    wait->before = realloc(wait->before, (wait->before_count + 1) * sizeof *wait->before);
    assert(wait->before);
    struct lock_info *part = &wait->before[wait->before_count++];
    *part = *info;
    part->start = start > wait->op.start ? start : wait->op.start;
    part->end = end < wait->op.end ? end : wait->op.end;
}

void before_free(struct wait *wait)
{
    free(wait->before);
    wait->before = NULL;
    wait->before_count = 0;
}

/* Once it is granted the tree shows what it got, and what was known last counts. */
void before_look(struct wait *wait)
{
    struct mount *mount = wait->locks->mount;
    uint64_t session = atomic_load(&mount->own_session);
    struct lock_info info;
    if (wait->op.space != LOCK_POSIX || wait->code != ERR_LOCK_WAITS)
        return;
    const struct state *state = client_lock(mount->client);
    bool granted = wait->lock && state_lock_named(state, wait->op.id, wait->lock, &info) && !info.waiting;
    if (!granted)
        before_free(wait);
    for (struct lock_walk walk = {.id = wait->op.id};
         !granted && state_lock_next(state, &walk, &info) && !info.waiting;)
        if (info.session == session && is_of(wait, info.space, info.owner, info.start, info.end))
            add(wait, &info, info.start, info.end);
    client_unlock(mount->client);
}

void before_cut(struct wait *wait, const struct op_unlock *op)
{
    uint64_t start = op->start, end = op->end;
    if (wait->op.id != op->id || !is_of(wait, op->space, op->owner, start, end))
        return;
    struct lock_info *parts = wait->before;
    size_t count = wait->before_count;
    wait->before = NULL;
    wait->before_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].start < start)
            add(wait, &parts[i], parts[i].start, parts[i].end < start ? parts[i].end : start - 1);
        if (parts[i].end > end)
            add(wait, &parts[i], parts[i].start > end ? parts[i].start : end + 1, parts[i].end);
    }
    free(parts);
}

void before_got(const struct wait *got)
{
    const struct op_lock *op = &got->op;
    struct lock_node *node = lock_node_find(got->locks, op->id);
    struct wait *wait;
    if (node)
        DL_FOREACH(node->waits, wait)
        {
            if (wait != got && is_of(wait, op->space, op->owner, op->start, op->end))
                before_look(wait);
        }
}

void before_gave_up(struct locks *locks, const struct op_unlock *op)
{
    struct lock_node *node = lock_node_find(locks, op->id);
    struct wait *wait;
    if (node)
        DL_FOREACH(node->waits, wait)
        {
            before_cut(wait, op);
        }
}

static int by_start(const void *a, const void *b)
{
    const struct lock_info *first = a, *second = b;
    return (first->start > second->start) - (first->start < second->start);
}

/* First what was held otherwise: as long as all of it is held, nobody is in the way of that, but for others who came in
 * where an exclusive lock became shared. */
void before_put_back(struct wait *wait)
{
    struct locks *locks = wait->locks;
    struct op_unlock gap = lock_unlock_of(&wait->op);
    pthread_mutex_lock(&locks->mutex);
    releases_cut(locks, wait);
    size_t count = wait->before_count;
    struct lock_info *parts = wait->before;
    wait->before = NULL;
    wait->before_count = 0;
    pthread_mutex_unlock(&locks->mutex);
    if (count)
        qsort(parts, count, sizeof *parts, by_start);
    for (size_t i = 0; i < count; i++)
        if (parts[i].exclusive != wait->op.exclusive || parts[i].handle != wait->op.handle)
            lock_put_back(locks, &parts[i]);
    for (size_t i = 0; i < count; i++) {
        gap.end = parts[i].start - 1;
        if (parts[i].start > gap.start)
            lock_give_up(locks, &gap, NULL, NULL, ERR_OK);
        gap.start = parts[i].end + 1;
    }
    gap.end = wait->op.end;
    if (!count || parts[count - 1].end < wait->op.end)
        lock_give_up(locks, &gap, NULL, NULL, ERR_OK);
    free(parts);
}
