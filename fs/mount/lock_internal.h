/* lock_internal.h - what the parts of the mount's locks share.
 *
 * Invariants:
 *  1. Each request for a lock is answered once, by whoever takes `req` out of its wait, under the mutex.
 *  2. A lock that was asked for and whose caller was told of a failure is given up as soon as it is known, and what its
 *     owner had of those bytes is put back.
 *  3. What a description may hold has a claim, from before the request is submitted until nothing is left.
 *  4. An unlock is tried again until the state machine has taken it or the session is over; and never after the same
 *     owner was granted a new lock.
 *  5. Nothing is submitted and nobody is answered under the mutex.
 *  6. What gives up a lock for one request is submitted before what its owner asks next, or not at all: it would take
 *     that away. Who asks, withdraws or tries again does so under `order`.
 *
 *  a wait    entered by                         req   left by
 *  asked     submitted                          yes   the result: held, refused: answered; LOCK_WAITS: queued
 *  queued    LOCK_WAITS                         yes   CHANGE_LOCK names it: answered
 *  kept      a signal, from either; EINTR       no    the same request again: as before, or answered if granted
 *                                                     meanwhile; LOCK_KEEP_MS over, its handle closed: withdrawn
 *  withdrawn                                    no    the end of its unlock, or a grant: what it got is given up */
#ifndef PACT_LOCKS_INTERNAL_H
#define PACT_LOCKS_INTERNAL_H

#include <pthread.h>
#include <uthash.h>

#include "fs/mount/lock.h"

/* Who is fenced if a lock is lost: keys of holder.h. */
struct lock_holders {
    uint64_t asker, opener; /* of the file: who holds it in a script that calls `flock 9` */
};

/* What an open description may hold on its znode, for one owner. */
struct claim {
    struct handle *handle; /* open: RELEASE takes its claims away first */
    enum lock_space space;
    uint64_t owner;
    struct lock_holders holders; /* while it is held, as of the last grant */
    bool held;
    unsigned waits;      /* of this claim */
    uint64_t flushed_ms; /* when a descriptor of the handle was closed; 0: never */
    struct claim *prev, *next;
};

struct wait {
    struct locks *locks;
    struct op_lock op;           /* without the command */
    struct claim *claim;         /* NULL: its handle was closed */
    struct lock_holders holders; /* until it is held: then the claim has them */
    struct lock_info *before;    /* POSIX: what its owner held of the range before */
    size_t before_count;
    fuse_req_t req; /* NULL: nobody is to be answered now */
    uint64_t lock;  /* its name; 0: not known yet */
    uint64_t ticket;
    uint64_t until_ms; /* kept until then; 0: not kept */
    int code;          /* ended while nobody was to be answered: ERR_OK, it is held; LOCK_WAITS: it has not ended */
    bool submitted;    /* or about to be */
    bool withdrawn;    /* nobody wants it any more */
    bool superseded;   /* nor is anything to be given up: its owner has asked anew */
    bool closed;       /* nor is its handle there */
    bool unknown;      /* its caller was told so; what became of it will be known later */
    bool interrupted;  /* while a handler was at work on it */
    bool listed;
    unsigned refs; /* the list's, the request's, and that of a handler at work on it */
    struct wait *prev, *next;
};

/* A znode on which this mount holds locks or waits for some. */
struct lock_node {
    uint64_t id;
    struct claim *claims;
    struct wait *waits;
    UT_hash_handle hh;
};

struct release {
    struct locks *locks;
    struct op_unlock op;
    struct lock_info put_back; /* .lock: not an unlock, this is held anew, of the same range */
    struct wait *wait;         /* WAITER: what is given up; counted */
    uint64_t session;
    bool in_flight;
    fuse_req_t req; /* answered with `code`; may be NULL */
    int code;
    struct release *prev, *next;
};

struct locks {
    struct mount *mount;
    pthread_mutex_t order; /* of submissions; taken before the mutex */
    pthread_mutex_t mutex;
    pthread_cond_t moved;    /* something is kept or to be tried again */
    pthread_cond_t released; /* a handle that had claims */
    struct lock_node *nodes;
    struct release *releases; /* not done yet, in order */
    pthread_t thread;
    bool stopping;
};

uint64_t locks_now_ms(void);

/* --- lock_claim.c: under the mutex --- */

struct lock_node *lock_node_find(struct locks *locks, uint64_t id);
struct lock_node *lock_node_get(struct locks *locks, uint64_t id); /* never NULL */
void lock_node_drop(struct locks *locks, struct lock_node *node);  /* if nothing is left of it; NULL is allowed */
struct claim *claim_get(struct lock_node *node, struct handle *handle, const struct op_lock *op);
/* Before a lock is asked for: NO_LOCKS if there are too many to note these, too. */
int lock_holders_note(struct locks *locks, const struct handle *handle, pid_t asker, struct lock_holders *holders);
void lock_holders_drop(struct locks *locks, const struct lock_holders *holders);         /* of what was never held */
void claim_hold(struct locks *locks, struct claim *claim, struct lock_holders *holders); /* takes them over */
void claim_lose(struct locks *locks, struct claim *claim); /* NULL is allowed; the claim may be gone */
void claim_trim(struct locks *locks, struct claim *claim); /* takes away a claim to nothing */
/* After a RANGE unlock that was carried out, in the client thread. */
void claims_unlocked(struct locks *locks, const struct op_unlock *op);
bool claims_of(struct locks *locks, const struct handle *handle); /* whether it has any */
void claims_end(struct locks *locks, const struct handle *handle);
/* A descriptor of this handle is closed. */
void claims_flushed(struct locks *locks, const struct handle *handle);
/* Until when a RELEASE may be under way of another handle that has a claim; 0: of none. */
uint64_t claims_closing_ms(struct locks *locks, const struct handle *handle);
/* Whether an owner holds anything on a znode, or asks for it. */
bool claims_owned(struct locks *locks, uint64_t id, enum lock_space space, uint64_t owner);

/* --- lock_wait.c --- */

/* Takes a request for a lock to its end. `op` is checked, its command borrowed; `session`: when it was checked. */
void lock_ask(struct handle *handle, fuse_req_t req, const struct op_lock *op, uint64_t session);
/* Under the mutex: one that a worker before had, of that name; kept until its call is sent again. */
void wait_restore(struct locks *locks, struct handle *handle, const struct op_lock *op,
                  const struct lock_holders *holders, uint64_t lock, uint64_t until_ms);
/* Ends all of them: ESTALE. */
void waits_end(struct locks *locks);
/* The three below under the mutex. */
void wait_leave_claim(struct wait *wait); /* its handle is closed, or it is unlisted */
void wait_unlist(struct wait *wait);      /* it may be gone on return */
void wait_unref(struct wait *wait);

/* --- lock_before.c --- */

/* The five below under the mutex. Looks up what the owner holds, as long as the wait is not granted. */
void before_look(struct wait *wait);
void before_free(struct wait *wait);
/* An owner got, or gave up, something. In the client thread. */
void before_got(const struct wait *got);
void before_gave_up(struct locks *locks, const struct op_unlock *op);
/* It gives this up: that is not to be put back. */
void before_cut(struct wait *wait, const struct op_unlock *op);
/* It was granted, or may have been, and nobody wants it: makes what was held before of what is held now. Under `order`.
 */
void before_put_back(struct wait *wait);

/* --- lock_withdraw.c --- */

/* Gives up what was granted, or may have been, to somebody who was told of a failure; and a place in the queue. Under
 * `order`. */
void wait_give_up_granted(struct wait *wait);
void wait_give_up_place(struct wait *wait);
/* The three below under the mutex. Whether what was granted, or may have been, is to be given up. */
bool wait_unwanted(const struct wait *wait);
/* One that was withdrawn waits no more; gives up a count of it. */
void wait_is_gone(struct wait *wait);
/* Whether a request is on its way that an unlock, submitted now, would undo. */
bool waits_undone(struct locks *locks, const struct op_unlock *op);
/* What is left of the owner's earlier requests is given up, before this one is submitted. Under `order`. */
void waits_supersede(const struct wait *by);
/* Withdraws what has been kept until now; returns when the next is due, UINT64_MAX: nothing is kept. */
uint64_t waits_run(struct locks *locks, uint64_t now_ms);
/* Withdraws what is kept for a process that closes a descriptor: its POSIX locks, and a flock of this handle. Whether
 * there was any. */
bool waits_withdraw(struct locks *locks, const struct handle *handle, uint64_t owner);
/* Under the mutex: a handle is closed. Whether it waited for anything. */
bool waits_close(struct locks *locks, const struct handle *handle);

/* --- lock_release.c --- */

/* Submits an unlock that must not be lost. `wait`: of a WAITER what is withdrawn, to be told when that is done; else
 * NULL. `req` (or NULL) is answered with `code` when the unlock is done, or is to be tried again. */
void lock_give_up(struct locks *locks, const struct op_unlock *op, struct wait *wait, fuse_req_t req, int code);
/* What asks for a lock that the tree shows, without the command. */
struct op_lock lock_op_of(const struct lock_info *info);
/* What gives up a lock that was granted. */
struct op_unlock lock_unlock_of(const struct op_lock *op);
/* Submits a lock that was held before, and must be held again as surely as an unlock must not be lost. If others hold
 * something against it by now, what was locked through its handle is lost: ESTALE. Under `order`. */
void lock_put_back(struct locks *locks, const struct lock_info *part);
/* Tries again what failed: on one znode, or all (0). Under `order`. */
void releases_run(struct locks *locks, uint64_t id);
/* The rest is called under the mutex. */
bool releases_wait(const struct locks *locks); /* whether something is to be tried again */
/* What is granted now must not be taken away by an older unlock. */
void releases_supersede(struct locks *locks, const struct op_lock *op);
/* What is being given up is not to be put back (before_gave_up has not been told of it yet). */
void releases_cut(struct locks *locks, struct wait *wait);
void releases_forget(struct locks *locks); /* those that are to be tried again: their session is lost */

#endif
