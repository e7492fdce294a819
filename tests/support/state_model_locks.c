/* The model's locks: for each owner and znode the kind of each of a few bytes, a queue, and who waits for whom worked
 * out anew for each question. Ranges of the workload begin and end within the first MODEL_BYTES - 1 bytes or go on for
 * ever: the last of the model's bytes stands for all that follow. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/state_model_internal.h"

enum { NONE = 0, SHARED = 1, EXCLUSIVE = 2 };

static size_t byte_of(uint64_t offset)
{
    return offset < MODEL_BYTES ? (size_t)offset : MODEL_BYTES - 1;
}

static bool same(const struct model_owner *a, const struct model_owner *b)
{
    return a->session == b->session && a->space == b->space && a->number == b->number && a->of == b->of;
}

static struct model_owner owner_of(uint64_t session, enum lock_space space, uint64_t number, uint64_t id)
{
    return (struct model_owner){session, space, number, space == LOCK_FLOCK ? id : 0};
}

static struct model_holder *holder(struct model *model, uint64_t id, const struct model_owner *owner, bool make)
{
    struct model_locks *locks = &model->locks;
    for (size_t i = 0; i < locks->holder_count; i++)
        if (locks->holders[i].id == id && same(&locks->holders[i].owner, owner))
            return &locks->holders[i];
    if (!make)
        return NULL;
    assert(locks->holder_count < MODEL_HOLDERS);
    struct model_holder *made = &locks->holders[locks->holder_count++];
    *made = (struct model_holder){.id = id, .owner = *owner};
    return made;
}

/* --- who is in whose way --- */

static bool clash(bool exclusive, size_t from, size_t to, const struct model_holder *held)
{
    for (size_t i = from; i <= to; i++)
        if (held->kind[i] == EXCLUSIVE || (held->kind[i] == SHARED && exclusive))
            return true;
    return false;
}

static bool held_against(const struct model_wait *wait, const struct model_holder *held)
{
    return held->id == wait->id && held->owner.space == wait->owner.space && !same(&held->owner, &wait->owner) &&
           clash(wait->exclusive, wait->from, wait->to, held);
}

static bool asked_against(const struct model_wait *wait, const struct model_wait *earlier)
{
    return earlier->id == wait->id && earlier->owner.space == wait->owner.space &&
           !same(&earlier->owner, &wait->owner) && (earlier->exclusive || wait->exclusive) &&
           earlier->from <= wait->to && wait->from <= earlier->to;
}

/* Whether `earlier` waits for what the owner of `wait` holds of the znode, and its owner for nothing else: it is
 * overtaken. `asker` (or NULL) is about to wait for one thing more. */
static bool overtaken(const struct model *model, const struct model_wait *earlier, const struct model_wait *wait,
                      const struct model_owner *asker)
{
    const struct model_locks *locks = &model->locks;
    size_t waits = 0;
    for (size_t i = 0; i < locks->wait_count; i++)
        waits += same(&locks->waits[i].owner, &earlier->owner);
    if (model->version < 4 || waits != 1 || (asker != NULL && same(&earlier->owner, asker)))
        return false;
    for (size_t i = 0; i < locks->holder_count; i++)
        if (same(&locks->holders[i].owner, &wait->owner) && held_against(earlier, &locks->holders[i]))
            return true;
    return false;
}

/* Whether `wait`, with so many before it in the queue, waits for something that `owner` holds or asked for. */
static bool blocks(const struct model *model, const struct model_wait *wait, size_t place,
                   const struct model_owner *owner, const struct model_owner *asker)
{
    const struct model_locks *locks = &model->locks;
    for (size_t i = 0; i < locks->holder_count; i++)
        if (same(&locks->holders[i].owner, owner) && held_against(wait, &locks->holders[i]))
            return true;
    for (size_t i = 0; i < place; i++)
        if (same(&locks->waits[i].owner, owner) && asked_against(wait, &locks->waits[i]) &&
            !overtaken(model, &locks->waits[i], wait, asker))
            return true;
    return false;
}

typedef bool (*blocks_fn)(const struct model *model, const struct model_wait *wait, size_t place,
                          const struct model_owner *owner, const struct model_owner *asker);

/* Whether `from` waits for `to`, by as many steps as it takes: what is reached grows until it does not. */
static bool leads(const struct model *model, blocks_fn step, const struct model_owner *from,
                  const struct model_owner *to, const struct model_owner *asker)
{
    const struct model_locks *locks = &model->locks;
    bool reached[MODEL_WAITS] = {false}; /* the owner of this waiter is reached */
    for (bool grown = true; grown;) {
        grown = false;
        for (size_t i = 0; i < locks->wait_count; i++) {
            bool now = same(&locks->waits[i].owner, from);
            for (size_t j = 0; j < locks->wait_count && !now; j++)
                now = reached[j] && step(model, &locks->waits[j], j, &locks->waits[i].owner, asker);
            grown |= now && !reached[i];
            reached[i] |= now;
        }
    }
    for (size_t i = 0; i < locks->wait_count; i++)
        if (reached[i] && step(model, &locks->waits[i], i, to, asker))
            return true;
    return false;
}

static bool waits_for(const struct model *model, const struct model_owner *from, const struct model_owner *to)
{
    return leads(model, blocks, from, to, NULL);
}

/* `place`: how many of the queue are before it. */
static bool blocked(const struct model *model, const struct model_wait *wait, size_t place)
{
    const struct model_locks *locks = &model->locks;
    for (size_t i = 0; i < locks->holder_count; i++)
        if (held_against(wait, &locks->holders[i]))
            return true;
    for (size_t i = 0; i < place; i++)
        if (asked_against(wait, &locks->waits[i]) && !waits_for(model, &locks->waits[i].owner, &wait->owner))
            return true;
    return false;
}

/* Whether `wait` waits for something that `owner` holds. */
static bool holds(const struct model *model, const struct model_wait *wait, size_t place,
                  const struct model_owner *owner, const struct model_owner *asker)
{
    (void)place;
    (void)asker;
    for (size_t i = 0; i < model->locks.holder_count; i++)
        if (same(&model->locks.holders[i].owner, owner) && held_against(wait, &model->locks.holders[i]))
            return true;
    return false;
}

static bool deadlock(const struct model *model, const struct model_wait *wait)
{
    const struct model_locks *locks = &model->locks;
    if (model->version >= 5) {
        for (size_t i = 0; i < locks->holder_count; i++)
            if (held_against(wait, &locks->holders[i]) &&
                leads(model, holds, &locks->holders[i].owner, &wait->owner, NULL))
                return true;
        return false;
    }
    if (model->version >= 4 && leads(model, blocks, &wait->owner, &wait->owner, &wait->owner))
        return true;
    for (size_t i = 0; i < locks->holder_count; i++)
        if (held_against(wait, &locks->holders[i]) &&
            leads(model, blocks, &locks->holders[i].owner, &wait->owner, &wait->owner))
            return true;
    for (size_t i = 0; i < locks->wait_count; i++)
        if (asked_against(wait, &locks->waits[i]) && !overtaken(model, &locks->waits[i], wait, &wait->owner) &&
            leads(model, blocks, &locks->waits[i].owner, &wait->owner, &wait->owner))
            return true;
    return false;
}

/* As blocks, but for earlier waiters who wait for the owner of `wait` anyway: those are in nobody's way. */
static bool keeps(const struct model *model, const struct model_wait *wait, size_t place,
                  const struct model_owner *owner, const struct model_owner *asker)
{
    const struct model_locks *locks = &model->locks;
    (void)asker;
    for (size_t i = 0; i < locks->holder_count; i++)
        if (same(&locks->holders[i].owner, owner) && held_against(wait, &locks->holders[i]))
            return true;
    for (size_t i = 0; i < place; i++)
        if (same(&locks->waits[i].owner, owner) && asked_against(wait, &locks->waits[i]) &&
            !waits_for(model, owner, &wait->owner))
            return true;
    return false;
}

/* The same of processes with one thread. What another thread is given, or waits for, may close a circle (version 5),
 * but it can give it back. */
static bool keeps_single(const struct model *model, const struct model_wait *wait, size_t place,
                         const struct model_owner *owner, const struct model_owner *asker)
{
    return !wait->threads && keeps(model, wait, place, owner, asker);
}

/* Whether somebody waits for nobody, or is in a circle. */
static const char *wrongly_waits(const struct model *model)
{
    const struct model_locks *locks = &model->locks;
    for (size_t i = 0; i < locks->wait_count; i++) {
        const struct model_wait *wait = &locks->waits[i];
        if (!blocked(model, wait, i))
            return "a waiter waits for nobody";
        if (wait->owner.space == LOCK_POSIX && waits_for(model, &wait->owner, &wait->owner) &&
            leads(model, model->version >= 5 ? keeps_single : keeps, &wait->owner, &wait->owner, NULL))
            return "an owner waits for itself";
    }
    return NULL;
}

/* --- changes --- */

static void drop_wait(struct model_locks *locks, size_t i)
{
    memmove(&locks->waits[i], &locks->waits[i + 1], (--locks->wait_count - i) * sizeof locks->waits[0]);
}

static void set_kind(struct model_holder *held, size_t from, size_t to, uint8_t kind, uint64_t handle)
{
    for (size_t i = from; i <= to; i++) {
        held->kind[i] = kind;
        held->handle[i] = handle;
    }
}

static void take(struct model *model, const struct model_wait *wait)
{
    struct model_holder *held = holder(model, wait->id, &wait->owner, true);
    set_kind(held, wait->from, wait->to, wait->exclusive ? EXCLUSIVE : SHARED, wait->handle);
}

static void grant(struct model *model, uint64_t id)
{
    struct model_locks *locks = &model->locks;
    for (bool granted = true; granted;) {
        granted = false;
        for (size_t i = 0; i < locks->wait_count;) {
            struct model_wait wait = locks->waits[i];
            if (wait.id != id || blocked(model, &wait, i)) {
                i++;
                continue;
            }
            drop_wait(locks, i);
            take(model, &wait);
            assert(locks->granted_count < MODEL_WAITS);
            locks->granted[locks->granted_count++] = wait.name;
            granted = true;
        }
    }
}

/* Of all znodes, in their order. */
static void grant_all(struct model *model)
{
    for (uint64_t id = 0;;) {
        uint64_t next = UINT64_MAX;
        for (size_t i = 0; i < model->locks.wait_count; i++)
            if (model->locks.waits[i].id > id && model->locks.waits[i].id < next)
                next = model->locks.waits[i].id;
        if (next == UINT64_MAX)
            return;
        grant(model, id = next);
    }
}

/* --- the operations --- */

int model_lock(struct model *model, const struct op_lock *op, struct result *result)
{
    struct model_locks *locks = &model->locks;
    const struct model_node *node = model_by_id(model, op->id);
    if (model->session == 0)
        return ERR_NO_SESSION;
    if (node == NULL)
        return ERR_NO_NODE;
    if (node->s.kind == KIND_SYMLINK)
        return ERR_INVALID;
    struct model_wait wait = {.id = op->id,
                              .owner = owner_of(model->session, op->space, op->owner, op->id),
                              .handle = op->handle,
                              .name = model->zxid,
                              .exclusive = op->exclusive,
                              .from = byte_of(op->start),
                              .to = byte_of(op->end)};
    for (size_t i = 0; i < locks->wait_count; i++)
        if (same(&locks->waits[i].owner, &wait.owner))
            locks->waits[i].threads = wait.threads = true;
    if (!blocked(model, &wait, locks->wait_count)) {
        take(model, &wait);
    } else {
        if (!op->wait)
            return ERR_LOCKED;
        if (op->space == LOCK_POSIX && deadlock(model, &wait))
            return ERR_DEADLOCK;
        struct model_holder *old = holder(model, op->id, &wait.owner, false);
        if (op->space == LOCK_FLOCK && old != NULL)
            set_kind(old, 0, MODEL_BYTES - 1, NONE, 0);
        assert(locks->wait_count < MODEL_WAITS);
        locks->waits[locks->wait_count++] = wait;
        result->code = ERR_LOCK_WAITS;
    }
    result->id = op->id;
    if (model->version >= 5 && result->code == ERR_LOCK_WAITS)
        grant_all(model);
    else
        grant(model, op->id);
    return result->code;
}

/* Ends the waiters that fall under it. */
static bool drop_waits(struct model *model, const struct op_unlock *op)
{
    struct model_locks *locks = &model->locks;
    const struct model_owner owner = owner_of(model->session, op->space, op->owner, op->id);
    bool any = false;
    for (size_t i = locks->wait_count; i-- > 0;) {
        const struct model_wait *wait = &locks->waits[i];
        bool falls = (op->scope == UNLOCK_OWNER && same(&wait->owner, &owner)) ||
                     (op->scope == UNLOCK_HANDLE && wait->handle == op->handle) ||
                     (op->scope == UNLOCK_WAITER && wait->name == op->lock);
        if (wait->id != op->id || wait->owner.session != model->session || !falls)
            continue;
        drop_wait(locks, i);
        any = true;
    }
    return any;
}

int model_unlock(struct model *model, const struct op_unlock *op, struct result *result)
{
    struct model_locks *locks = &model->locks;
    const struct model_owner owner = owner_of(model->session, op->space, op->owner, op->id);
    if (model->session == 0)
        return ERR_NO_SESSION;
    bool any = drop_waits(model, op);
    if (op->scope == UNLOCK_WAITER && !any)
        return ERR_NO_NODE;
    for (size_t i = 0; i < locks->holder_count; i++) {
        struct model_holder *held = &locks->holders[i];
        if (held->id != op->id || held->owner.session != model->session)
            continue;
        if (op->scope == UNLOCK_RANGE && same(&held->owner, &owner))
            set_kind(held, byte_of(op->start), byte_of(op->end), NONE, 0);
        if (op->scope == UNLOCK_OWNER && same(&held->owner, &owner))
            set_kind(held, 0, MODEL_BYTES - 1, NONE, 0);
        for (size_t b = 0; b < MODEL_BYTES && op->scope == UNLOCK_HANDLE; b++)
            if (held->kind[b] != NONE && held->handle[b] == op->handle)
                set_kind(held, b, b, NONE, 0);
    }
    result->id = op->id;
    grant(model, op->id);
    return ERR_OK;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return (first > second) - (first < second);
}

void model_drop_session(struct model *model, uint64_t session)
{
    struct model_locks *locks = &model->locks;
    uint64_t ids[MODEL_HOLDERS + MODEL_WAITS];
    size_t count = 0;
    for (size_t i = locks->wait_count; i-- > 0;) {
        if (locks->waits[i].owner.session != session)
            continue;
        ids[count++] = locks->waits[i].id;
        drop_wait(locks, i);
    }
    for (size_t i = locks->holder_count; i-- > 0;) {
        if (locks->holders[i].owner.session != session)
            continue;
        ids[count++] = locks->holders[i].id;
        locks->holders[i] = locks->holders[--locks->holder_count];
    }
    qsort(ids, count, sizeof *ids, compare_ids);
    for (size_t i = 0; i < count; i++)
        grant(model, ids[i]);
}

size_t model_granted(const struct model *model, const uint64_t **names)
{
    *names = model->locks.granted;
    return model->locks.granted_count;
}

/* --- comparing --- */

/* Notes a held lock in the bytes it covers. False: they are taken. */
static bool paint(struct model_holder *seen, const struct lock_info *info)
{
    for (size_t b = byte_of(info->start); b <= byte_of(info->end); b++) {
        if (seen->kind[b] != NONE)
            return false;
        seen->kind[b] = info->exclusive ? EXCLUSIVE : SHARED;
        seen->handle[b] = info->handle;
    }
    return true;
}

/* How many locks show this: bytes beside each other of one kind and handle are one. */
static size_t runs(const struct model_holder *held)
{
    size_t count = 0;
    for (size_t b = 0; b < MODEL_BYTES; b++)
        count += held->kind[b] != NONE &&
                 (b == 0 || held->kind[b] != held->kind[b - 1] || held->handle[b] != held->handle[b - 1]);
    return count;
}

/* All that is held on a znode by one owner. */
static const char *holder_differs(const struct model_holder *expected, const struct state *state)
{
    struct model_holder seen = {0};
    struct lock_info info;
    size_t count = 0;
    for (struct lock_walk walk = {.id = expected->id}; state_lock_next(state, &walk, &info) && !info.waiting;) {
        const struct model_owner owner = owner_of(info.session, info.space, info.owner, info.id);
        if (!same(&expected->owner, &owner))
            continue;
        count++;
        if (!paint(&seen, &info))
            return "an owner's locks overlap";
    }
    if (memcmp(seen.kind, expected->kind, sizeof seen.kind) != 0)
        return "what an owner holds";
    if (memcmp(seen.handle, expected->handle, sizeof seen.handle) != 0)
        return "through which handle a lock is held";
    return count == runs(expected) ? NULL : "the number of an owner's locks";
}

static const char *queue_differs(const struct model_locks *locks, const struct state *state, uint64_t id)
{
    struct lock_walk walk = {.id = id};
    struct lock_info info;
    bool more;
    while ((more = state_lock_next(state, &walk, &info)) && !info.waiting)
        continue;
    for (size_t i = 0; i < locks->wait_count; i++) {
        const struct model_wait *wait = &locks->waits[i];
        if (wait->id != id)
            continue;
        if (!more || info.lock != wait->name)
            return "the queue";
        const struct model_owner owner = owner_of(info.session, info.space, info.owner, info.id);
        if (!same(&wait->owner, &owner) || info.exclusive != wait->exclusive || info.handle != wait->handle ||
            byte_of(info.start) != wait->from || byte_of(info.end) != wait->to)
            return "a waiter";
        more = state_lock_next(state, &walk, &info);
    }
    return more ? "the length of the queue" : NULL;
}

const char *model_locks_differ(const struct model *model, const struct state *state)
{
    const struct model_locks *locks = &model->locks;
    size_t held = 0, shown = 0;
    const char *wrong = NULL;
    for (size_t i = 0; i < locks->holder_count && wrong == NULL; i++) {
        wrong = holder_differs(&locks->holders[i], state);
        held += runs(&locks->holders[i]);
    }
    struct lock_info info;
    for (uint64_t id = 0; wrong == NULL && state_next_locked(state, &id);) {
        wrong = queue_differs(locks, state, id);
        for (struct lock_walk walk = {.id = id}; state_lock_next(state, &walk, &info);)
            shown++;
    }
    if (wrong == NULL && shown != held + locks->wait_count)
        wrong = "the number of locks";
    return wrong != NULL ? wrong : wrongly_waits(model);
}
