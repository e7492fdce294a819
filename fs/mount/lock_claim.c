/* What the open descriptions of this mount hold: to know what a close has to give up, and what an expiry has lost. */
#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "fs/mount/holder.h"
#include "fs/mount/lock_internal.h"

struct lock_node *lock_node_find(struct locks *locks, uint64_t id)
{
    struct lock_node *node;
    HASH_FIND(hh, locks->nodes, &id, sizeof id, node);
    return node;
}

struct lock_node *lock_node_get(struct locks *locks, uint64_t id)
{
    struct lock_node *node = lock_node_find(locks, id);
    if (node)
        return node;
    node = calloc(1, sizeof *node);
    assert(node);
    node->id = id;
    HASH_ADD(hh, locks->nodes, id, sizeof node->id, node);
    return node;
}

void lock_node_drop(struct locks *locks, struct lock_node *node)
{
    if (!node || node->claims || node->waits)
        return;
    HASH_DEL(locks->nodes, node);
    free(node);
}

struct claim *claim_get(struct lock_node *node, struct handle *handle, const struct op_lock *op)
{
    struct claim *claim;
    DL_FOREACH(node->claims, claim)
    {
        if (claim->handle == handle && claim->space == op->space && claim->owner == op->owner)
            return claim;
    }
    claim = calloc(1, sizeof *claim);
    assert(claim);
    *claim = (struct claim){.handle = handle, .space = op->space, .owner = op->owner};
    DL_APPEND(node->claims, claim);
    return claim;
}

void claim_trim(struct locks *locks, struct claim *claim)
{
    if (!claim || claim->held || claim->waits)
        return;
    struct lock_node *node = lock_node_find(locks, claim->handle->id);
    DL_DELETE(node->claims, claim);
    free(claim);
    lock_node_drop(locks, node);
}

int lock_holders_note(struct locks *locks, const struct handle *handle, pid_t asker, struct lock_holders *holders)
{
    *holders = (struct lock_holders){0};
    int code = holders_note(locks->mount, asker, 0, ASKS, &holders->asker);
    if (code != ERR_TOO_MANY && handle->opener)
        code = holders_note(locks->mount, handle->tgid, handle->opener, ASKS, &holders->opener);
    if (code != ERR_TOO_MANY)
        return ERR_OK; /* who has ended, or cannot be seen from here, cannot be fenced either */
    lock_holders_drop(locks, holders);
    return ERR_NO_LOCKS;
}

void lock_holders_drop(struct locks *locks, const struct lock_holders *holders)
{
    holders_drop(locks->mount, holders->asker, ASKS);
    holders_drop(locks->mount, holders->opener, ASKS);
}

/* Whether its handle holds something for another owner, too. */
static bool holds_other(struct locks *locks, const struct claim *claim)
{
    const struct claim *other;
    DL_FOREACH(lock_node_find(locks, claim->handle->id)->claims, other)
    {
        if (other->handle == claim->handle && other->held)
            return true;
    }
    return false;
}

static void give_up_holders(struct locks *locks, struct claim *claim)
{
    holders_drop(locks->mount, claim->holders.asker, HOLDS);
    holders_drop(locks->mount, claim->holders.opener, HOLDS);
    claim->holders = (struct lock_holders){0};
}

void claim_hold(struct locks *locks, struct claim *claim, struct lock_holders *holders)
{
    struct estate_handle *left = claim->handle->left;
    holders_turn(locks->mount, holders->asker, HOLDS);
    holders_turn(locks->mount, holders->opener, HOLDS);
    give_up_holders(locks, claim);
    claim->holders = *holders;
    *holders = (struct lock_holders){0};
    claim->held = true;
    if (claim->holders.asker)
        left->asker = holders_process(locks->mount, claim->holders.asker, &left->asker_identity);
    handle_mark(claim->handle, ESTATE_LOCKED, true);
    atomic_store(&claim->handle->locked_anew, true);
}

void claim_lose(struct locks *locks, struct claim *claim)
{
    if (!claim)
        return;
    if (claim->held) {
        claim->held = false;
        give_up_holders(locks, claim);
        handle_mark(claim->handle, ESTATE_LOCKED, holds_other(locks, claim));
    }
    claim_trim(locks, claim);
}

/* Whether the tree shows a lock of this claim. */
static bool holds(struct locks *locks, const struct claim *claim)
{
    struct mount *mount = locks->mount;
    uint64_t session = atomic_load(&mount->own_session);
    struct lock_info info;
    bool found = false;
    const struct state *state = client_lock(mount->client);
    for (struct lock_walk walk = {.id = claim->handle->id};
         !found && state_lock_next(state, &walk, &info) && !info.waiting;)
        found = info.session == session && info.space == claim->space && info.owner == claim->owner &&
                info.handle == claim->handle->fh;
    client_unlock(mount->client);
    return found;
}

/* Whether an unlock leaves nothing of what it concerns. */
static bool takes_all(const struct op_unlock *op)
{
    return op->scope != UNLOCK_RANGE || (op->start == 0 && op->end >= INT64_MAX);
}

void claims_unlocked(struct locks *locks, const struct op_unlock *op)
{
    struct lock_node *node = lock_node_find(locks, op->id);
    struct claim *claim = node ? node->claims : NULL, *next;
    for (; claim; claim = next) {
        next = claim->next;
        if (claim->space != op->space || claim->owner != op->owner || !claim->held)
            continue;
        if (takes_all(op) || !holds(locks, claim))
            claim_lose(locks, claim);
    }
}

bool claims_of(struct locks *locks, const struct handle *handle)
{
    struct lock_node *node = lock_node_find(locks, handle->id);
    struct claim *claim = NULL;
    if (node)
        DL_SEARCH_SCALAR(node->claims, claim, handle, handle);
    return claim;
}

void claims_end(struct locks *locks, const struct handle *handle)
{
    struct lock_node *node = lock_node_find(locks, handle->id);
    struct claim *claim = node ? node->claims : NULL, *next;
    for (; claim; claim = next) {
        next = claim->next;
        if (claim->handle != handle)
            continue;
        claim->waits = 0;
        claim_lose(locks, claim); /* it goes */
    }
}

void claims_flushed(struct locks *locks, const struct handle *handle)
{
    struct lock_node *node = lock_node_find(locks, handle->id);
    struct claim *claim;
    if (node)
        DL_FOREACH(node->claims, claim)
        {
            if (claim->handle == handle)
                claim->flushed_ms = locks_now_ms();
        }
}

uint64_t claims_closing_ms(struct locks *locks, const struct handle *handle)
{
    struct lock_node *node = lock_node_find(locks, handle->id);
    const struct claim *claim;
    uint64_t until_ms = 0;
    if (node)
        DL_FOREACH(node->claims, claim)
        {
            if (claim->handle != handle && claim->flushed_ms && claim->flushed_ms + LOCK_RELEASE_MS > until_ms)
                until_ms = claim->flushed_ms + LOCK_RELEASE_MS;
        }
    return until_ms;
}

bool claims_owned(struct locks *locks, uint64_t id, enum lock_space space, uint64_t owner)
{
    struct lock_node *node = lock_node_find(locks, id);
    const struct claim *claim;
    if (node)
        DL_FOREACH(node->claims, claim)
        {
            if (claim->space == space && claim->owner == owner)
                return true;
        }
    return false;
}
