/* Locks, from outside: what was asked for, granted and given up according to results and changes; compared with what
 * the reference shows, and with what programs count on. Programs have one lock at a time (programs.c), so that the
 * order of the queue needs no search: only who changes the kind of what it holds may pass those that wait for it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check_internal.h"
#include "tests/sim/mount.h"

#define LLU(x) ((unsigned long long)(x))

enum { KNOWN_LOCKS = 256 };

static bool same_owner(const struct known_lock *a, const struct known_lock *b)
{
    return a->session == b->session && a->lock.space == b->lock.space && a->lock.owner == b->lock.owner;
}

static bool in_conflict(const struct op_lock *a, const struct op_lock *b)
{
    return a->id == b->id && a->space == b->space && (a->exclusive || b->exclusive) && a->start <= b->end &&
           b->start <= a->end;
}

static bool clash(const struct known_lock *a, const struct known_lock *b)
{
    return in_conflict(&a->lock, &b->lock) && !same_owner(a, b);
}

static void drop(struct check *check, size_t index)
{
    memmove(&check->locks[index], &check->locks[index + 1], (--check->lock_count - index) * sizeof *check->locks);
}

/* --- the queue --- */

/* Whether the waiter at `from` waits for something that the owner of `lock` has or asked for before, or for somebody
 * who does. `seen` has those that were looked at. */
static bool waits_for(const struct check *check, size_t from, const struct known_lock *lock, bool *seen)
{
    const struct known_lock *waiter = &check->locks[from];
    seen[from] = true;
    for (size_t i = 0; i < check->lock_count; i++) {
        const struct known_lock *other = &check->locks[i];
        if (!clash(waiter, other) || !(other->held || i < from))
            continue;
        if (same_owner(other, lock))
            return true;
        for (size_t j = 0; j < check->lock_count; j++)
            if (!seen[j] && !check->locks[j].held && same_owner(&check->locks[j], other) &&
                waits_for(check, j, lock, seen))
                return true;
    }
    return false;
}

/* `lock` is about to be held: nobody who asked earlier is passed. */
static void judge_order(struct cluster *cluster, const struct known_lock *lock)
{
    const struct check *check = cluster->check;
    for (size_t i = 0; i < check->lock_count; i++) {
        const struct known_lock *other = &check->locks[i];
        bool seen[KNOWN_LOCKS] = {false};
        if (other->held || other->name >= lock->name || !clash(other, lock) || waits_for(check, i, lock, seen))
            continue;
        violated(cluster, "Queue", "lock %llx of session %llu is granted before %llx of session %llu", LLU(lock->name),
                 LLU(lock->session), LLU(other->name), LLU(other->session));
    }
}

/* A program of another mount that counts on a lock in conflict with this one. */
static void judge_programs(struct cluster *cluster, const struct known_lock *lock)
{
    for (unsigned i = 0; i < cluster->mount_count; i++) {
        const struct mount *mount = cluster->mounts[i];
        struct client_info info;
        learner_info(mount->learner, mount_ms(mount), &info);
        for (unsigned who = 0; who < PROGRAMS; who++) {
            const struct program *program = &mount->programs[who];
            bool counts = program->stage == HOLDING && program->session == info.session && info.remaining_ms > 0;
            struct known_lock its = {.lock = program->lock, .session = program->session};
            if (counts && clash(&its, lock))
                violated(cluster, "Exclusion", "session %llu gets lock %llx, but program %u of mount %u counts on %llx",
                         LLU(lock->session), LLU(lock->name), who, i, LLU(program->name));
        }
    }
}

static void drop_held(struct check *check, const struct known_lock *lock)
{
    for (size_t i = check->lock_count; i-- > 0;)
        if (check->locks[i].held && same_owner(&check->locks[i], lock) && check->locks[i].lock.id == lock->lock.id)
            drop(check, i);
}

/* --- what happens --- */

static void asked(struct cluster *cluster, const struct entry *entry, const struct result *result)
{
    struct check *check = cluster->check;
    struct known_lock lock = {.lock = entry->request.lock, /* its command goes with the arena */
                              .session = entry->session,
                              .name = entry->zxid,
                              .held = result->code == ERR_OK,
                              .since_us = cluster->now_us};
    if (result->code != ERR_OK && result->code != ERR_LOCK_WAITS)
        return;
    if (lock.held) {
        cluster->outcome->counts.locked++;
        judge_order(cluster, &lock);
        judge_programs(cluster, &lock);
    }
    if (lock.held || lock.lock.space == LOCK_FLOCK)
        drop_held(check, &lock);
    assert(check->lock_count < KNOWN_LOCKS);
    check->locks = grown(check->locks, check->lock_count, &check->lock_room, sizeof *check->locks);
    check->locks[check->lock_count++] = lock;
}

static void given_up(struct check *check, const struct entry *entry)
{
    const struct op_unlock *op = &entry->request.unlock;
    for (size_t i = check->lock_count; i-- > 0;) {
        const struct known_lock *lock = &check->locks[i];
        bool meant = op->scope == UNLOCK_WAITER ? !lock->held && lock->name == op->lock
                                                : lock->lock.space == op->space && lock->lock.owner == op->owner;
        if (lock->session == entry->session && lock->lock.id == op->id && meant)
            drop(check, i);
    }
}

static void session_ends(struct check *check, uint64_t session)
{
    for (size_t i = check->lock_count; i-- > 0;)
        if (check->locks[i].session == session)
            drop(check, i);
}

static void granted(struct cluster *cluster, const struct change *change)
{
    struct check *check = cluster->check;
    for (size_t i = 0; i < check->lock_count; i++) {
        struct known_lock lock = check->locks[i];
        if (lock.held || lock.name != change->lock || lock.session != change->lock_session)
            continue;
        judge_order(cluster, &lock);
        judge_programs(cluster, &lock);
        cluster->outcome->counts.granted++;
        lock.held = true;
        lock.since_us = cluster->now_us;
        check->locks[i] = lock;
        for (size_t j = check->lock_count; j-- > 0;)
            if (j != i && check->locks[j].held && same_owner(&check->locks[j], &lock) &&
                check->locks[j].lock.id == lock.lock.id) {
                drop(check, j);
                i -= j < i;
            }
        return;
    }
    violated(cluster, "Queue", "lock %llx of session %llu is granted, but does not wait", LLU(change->lock),
             LLU(change->lock_session));
}

/* --- what must hold after each entry --- */

static void judge_holders(struct cluster *cluster)
{
    const struct check *check = cluster->check;
    for (size_t i = 0; i < check->lock_count; i++)
        for (size_t j = 0; j < i; j++)
            if (check->locks[i].held && check->locks[j].held && clash(&check->locks[i], &check->locks[j]))
                violated(cluster, "Exclusion", "sessions %llu and %llu both hold %llu, by %llx and %llx",
                         LLU(check->locks[j].session), LLU(check->locks[i].session), LLU(check->locks[i].lock.id),
                         LLU(check->locks[j].name), LLU(check->locks[i].name));
}

/* Somebody is in the way of each waiter. */
static void judge_waiters(struct cluster *cluster)
{
    const struct check *check = cluster->check;
    for (size_t i = 0; i < check->lock_count; i++) {
        bool blocked = check->locks[i].held;
        for (size_t j = 0; j < check->lock_count && !blocked; j++)
            blocked = (check->locks[j].held || j < i) && clash(&check->locks[i], &check->locks[j]);
        if (!blocked)
            violated(cluster, "Queue", "lock %llx of session %llu waits for nobody", LLU(check->locks[i].name),
                     LLU(check->locks[i].session));
    }
}

static bool shown(const struct state *state, const struct known_lock *lock)
{
    struct lock_info info;
    for (struct lock_walk walk = {.id = lock->lock.id}; state_lock_next(state, &walk, &info);)
        if (info.lock == lock->name && info.session == lock->session && info.waiting == !lock->held)
            return true;
    return false;
}

static void judge_state(struct cluster *cluster)
{
    const struct check *check = cluster->check;
    struct lock_info info;
    size_t count = 0;
    for (size_t i = 0; i < check->lock_count; i++)
        if (!shown(check->state, &check->locks[i]))
            violated(cluster, "LockLost", "lock %llx of session %llu is not %s any more", LLU(check->locks[i].name),
                     LLU(check->locks[i].session), check->locks[i].held ? "held" : "waited for");
    for (uint64_t id = 0; state_next_locked(check->state, &id);)
        for (struct lock_walk walk = {.id = id}; state_lock_next(check->state, &walk, &info);)
            count++;
    if (count != check->lock_count)
        violated(cluster, "LockLost", "%zu locks are there, of %zu that were not given up", count, check->lock_count);
}

void locks_applied(struct cluster *cluster, const struct entry *entry, const struct result *result)
{
    struct check *check = cluster->check;
    bool told = false;
    if (!result->none && entry->request.kind == OP_LOCK)
        asked(cluster, entry, result);
    if (!result->none && entry->request.kind == OP_UNLOCK && result->code == ERR_OK)
        given_up(check, entry);
    if (entry->request.kind == OP_CLOSE_SESSION && result->code == ERR_OK)
        session_ends(check, entry->request.close_session.session);
    for (size_t i = 0; i < check->changes.count && !cluster->outcome->failed; i++) {
        const struct change *change = &check->changes.list[i];
        told |= change->kind == CHANGE_LOCK;
        if (change->kind == CHANGE_LOCK && change->lock != 0)
            granted(cluster, change);
    }
    if (!told && entry->request.kind != OP_CLOSE_SESSION)
        return;
    judge_holders(cluster);
    judge_waiters(cluster);
    judge_state(cluster);
}
