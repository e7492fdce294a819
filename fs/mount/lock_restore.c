/* What a worker that was killed held: the tree has the locks of its session; the claims and waits are made from that.
 */
#include <assert.h>
#include <stdlib.h>

#include "fs/mount/holder.h"
#include "fs/mount/lock_internal.h"

enum { RESTORED_KEEP_MS = 1000 }; /* until a call that waited must have been sent again */

struct found {
    struct lock_info *list;
    size_t count;
};

static void find_of_znode(const struct state *state, uint64_t session, uint64_t id, struct found *found)
{
    struct lock_info info;
    for (struct lock_walk walk = {.id = id}; state_lock_next(state, &walk, &info);) {
        if (info.session != session)
            continue;
        found->list = realloc(found->list, (found->count + 1) * sizeof *found->list);
        assert(found->list);
        found->list[found->count++] = info;
    }
}

static struct found find_all(struct mount *mount)
{
    struct found found = {0};
    uint64_t id = 0, session = atomic_load(&mount->own_session);
    const struct state *state = client_lock(mount->client);
    while (state_next_locked(state, &id))
        find_of_znode(state, session, id, &found);
    client_unlock(mount->client);
    return found;
}

struct op_lock lock_op_of(const struct lock_info *info)
{
    return (struct op_lock){.id = info->id,
                            .space = info->space,
                            .exclusive = info->exclusive,
                            .wait = info->waiting,
                            .owner = info->owner,
                            .handle = info->handle,
                            .start = info->start,
                            .end = info->end,
                            .pid = info->pid};
}

/* Who asked may have ended long ago, as flock(1) does, and its number be another's. Who waits is in a call. */
static struct lock_holders find_holders(struct locks *locks, const struct handle *handle, const struct lock_info *info)
{
    struct lock_holders holders = {0};
    const struct estate_handle *left = handle->left;
    if (info->waiting)
        lock_holders_note(locks, handle, (pid_t)info->pid, &holders);
    else if (left->asker && left->asker == (pid_t)info->pid)
        holders_note(locks->mount, left->asker, left->asker_identity, ASKS, &holders.asker);
    if (!info->waiting && handle->opener)
        holders_note(locks->mount, handle->tgid, handle->opener, ASKS, &holders.opener);
    return holders;
}

static void restore(struct locks *locks, const struct lock_info *info)
{
    struct handle *handle = handle_lock(locks->mount, info->handle);
    struct op_lock op = lock_op_of(info);
    if (!handle) { /* it was closed */
        struct op_unlock all = {.id = info->id, .scope = UNLOCK_HANDLE, .handle = info->handle};
        lock_give_up(locks, &all, NULL, NULL, ERR_OK);
        return;
    }
    struct lock_holders holders = find_holders(locks, handle, info);
    pthread_mutex_lock(&locks->mutex);
    if (info->waiting)
        wait_restore(locks, handle, &op, &holders, info->lock, locks_now_ms() + RESTORED_KEEP_MS);
    else
        claim_hold(locks, claim_get(lock_node_get(locks, info->id), handle, &op), &holders);
    pthread_mutex_unlock(&locks->mutex);
    handle_unlock(handle);
}

void locks_restore(struct locks *locks)
{
    struct found found = find_all(locks->mount);
    for (size_t i = 0; i < found.count; i++)
        restore(locks, &found.list[i]);
    free(found.list);
}
