/* lock.h - the table of locks: who holds, who waits. Internal to replica/state.
 *
 * Invariants
 *  1. The locks of a znode hang on one `locked`, which is there as long as it has any; the znode itself may be gone.
 *  2. Holders do not conflict with each other, and those of one owner do not overlap. They are in the order of their
 *     grants: granted_zxid, name, start. Waiters are in the order of their requests: name. Both orders follow from the
 *     locks, so that a sum of hashes can be the digest.
 *  3. A lock is in its session's list, `held` or `waits`; a session that ends takes its locks along.
 *  4. Nothing of a lock is changed while it is in the table: it leaves, and enters again. lock_leave and lock_enter
 * keep the digest, the counts, and what snapshot cursors need.
 *  5. What is granted is looked for on every znode that an entry touched, before the entry is done.
 *
 * The session, the space and the owner's number together are the owner: a process, whatever it locks, but for flock an
 * open description of one znode. A waits for B if a lock of B, held or asked for earlier, conflicts with one that A
 * waits for, or if A waits for another who waits for B; but (from state version 4) not for what B asked for if that is
 * all that B waits for, and waits for what A holds of the znode. A request is granted if no holder conflicts with it
 * and no earlier waiter either, but for those that wait for the owner itself. */
#ifndef PACT_LOCK_H
#define PACT_LOCK_H

#include "replica/state/internal.h"

struct lock {
    struct hook order; /* among its znode's holders or waiters */
    struct hook own;   /* in its session's list; alone while a snapshot is loaded */
    struct locked *locked;
    uint64_t session, owner, handle;
    uint64_t start, end;   /* both included */
    uint64_t name;         /* the zxid of the entry that asked for it */
    uint64_t granted_zxid; /* 0: it waits */
    int64_t since_ns;      /* as lock_info.since_ns */
    size_t waits_at;       /* of a waiter: where it is in lock_table.waiting */
    struct blob *command;
    uint32_t pid;
    enum lock_space space;
    bool exclusive;
};

/* The locks of one znode. */
struct locked {
    struct branch by_id;
    struct hook holders, waiters;
    size_t count; /* of both */
    uint64_t changed_zxid;
};

/* --- lock.c: the table --- */

struct locked *locked_find(const struct state *state, uint64_t id); /* NULL: it has no locks */
struct locked *locked_need(struct state *state, uint64_t id);       /* made if there is none */
void locked_trim(struct state *state, struct locked *locked);       /* frees one without locks */
struct locked *locked_from(const struct state *state, uint64_t id); /* the next in order of id, from this id on */
struct lock *lock_first(const struct hook *list); /* of holders or waiters, in order; NULL at the end */
struct lock *lock_next(const struct hook *list, const struct lock *lock);
struct lock *lock_of_own(const struct hook *own);

/* Puts a lock among the holders or the waiters, by its granted_zxid, of lock->locked; takes it from there. */
void lock_enter(struct state *state, struct lock *lock);
void lock_leave(struct state *state, struct lock *lock);
void lock_free(struct lock *lock); /* which has left */
void lock_free_all(struct state *state);

bool lock_before(const struct lock *lock, const struct lock *other); /* in the order of holders and of waiters */
bool lock_same_owner(const struct lock *lock, const struct lock *other);
bool lock_overlaps(const struct lock *lock, const struct lock *other);
bool lock_conflicts(const struct lock *lock, const struct lock *other); /* of one znode */

/* For the loader: puts one that was read at the end of its list, if it is after all others; and, once all sessions are
 * there, into everything else. False: it cannot be so. */
bool lock_append(struct state *state, struct lock *lock, uint64_t id);
bool lock_adopt_all(struct state *state);
const char *lock_check_all(const struct state *state); /* as state_check */

/* --- lock_wait.c: who waits for whom --- */

/* What keeps a lock from being granted; NULL: nothing. `lock` waits already, or is not in the table: then it would come
 * last. `locked` may be NULL. */
const struct lock *lock_blocker(const struct state *state, const struct locked *locked, const struct lock *lock);
/* Whether the owner would wait for itself, if this one, not in the table yet, waited. From version 5 on: for what is
 * held, each by the next, as Linux has it. No other circle lasts: one that goes through the queue has in it one who is
 * kept by an earlier waiter only, who waits for him; so he is not (lock_blocker). */
bool lock_deadlocks(const struct state *state, const struct locked *locked, const struct lock *lock);
/* Whether a waiter closes any circle, through the queue too: then others wait no more for whom they waited, wherever.
 */
bool lock_circles(const struct state *state, const struct lock *waiter);

/* --- apply_lock.c --- */

/* Ends all locks of a session, and grants those that waited for them. */
void apply_drop_locks(struct apply *apply, struct session *session);

#endif
