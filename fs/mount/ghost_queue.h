/* ghost_queue.h - what is still to be announced, in order (design §5). Pure: no thread, no kernel, no tree; the caller
 * locks.
 *
 * Each directory is a lane. The jobs of a lane are handed out one at a time, in the order of commits; lanes do not
 * wait for each other. A job that concerns several directories (a rename across two, a directory made, removed or
 * replaced) stands in the lane of each and is a barrier in all of them. Directories that go to other directories keep
 * their order among each other as well: one may go where it could not have gone before the other had left.
 *
 * Repeated changes of one node's data (or attributes) are one job as long as nothing was created, removed or renamed
 * in its directory in between; data written to a file not yet announced goes with its CREATE. `limit` jobs may wait;
 * what comes beyond is kept as the difference between the announced and the current tree (ghost_diff.h) until a
 * quarter of that is left.
 *
 * Content that this mount itself committed rests for GHOST_REST_MS first, unless something else waits behind it in its
 * lane: one announcement does for a file that is written again and again, and none is made of one that is gone again.
 * Who waits for the end of a write has the kernel's CLOSE_WRITE (design §5: only MODIFY comes before the commit).
 *
 * What is done through this mount the kernel tells its watchers at once, before what waits for the same names. So that
 * they are told the right thing last, it is announced once more after that; and of a node that is made and was not told
 * yet when it is removed or moved here, the making is void. */
#ifndef PACT_GHOST_QUEUE_H
#define PACT_GHOST_QUEUE_H

#include "fs/mount/ghost_diff.h"

struct ghost_queue;

enum { GHOST_REST_MS = 10 };

struct ghost_job {
    struct ghost_change change; /* the names are the job's own */
    bool is_void;               /* the kernel is not to be told any more */
};

/* NULL: out of memory. limit ≥ 2. `parent_of` is called by what is below but _done, _info and _free. */
struct ghost_queue *ghost_queue_new(size_t limit, ghost_parent_of parent_of, void *arg);
void ghost_queue_free(struct ghost_queue *queue);

/* CLOCK_MONOTONIC: what has rested may be taken. A queue that is not told the time lets nothing rest. */
void ghost_queue_pass_time(struct ghost_queue *queue, uint64_t now_ns);
/* When something will have rested; 0: nothing rests. */
uint64_t ghost_queue_due_ns(const struct ghost_queue *queue);
/* Copies the change and its names. */
void ghost_queue_push(struct ghost_queue *queue, const struct ghost_change *change);
/* The same for a CREATE, DELETE, RENAME or EXCHANGE that the kernel tells of by itself, before all that waits: it is
 * queued only where what is told last would be wrong, and whatever the limit. */
void ghost_queue_overtake(struct ghost_queue *queue, const struct ghost_change *change);
/* The same for a step of the difference between two trees, which says where things go, not how they went: it is
 * announced as what is kept beyond the limit. */
void ghost_queue_push_difference(struct ghost_queue *queue, const struct ghost_change *change);
/* The next job that waits for nothing; NULL if there is none. It stays in its lanes, as their head, until done. */
struct ghost_job *ghost_queue_take(struct ghost_queue *queue);
/* The kernel is being told of a job that was taken, under the locks of its directories: what overtakes from now on does
 * so in order. False: it is void. */
bool ghost_queue_tell(struct ghost_job *job);
/* Frees the job; what waited for it may be taken. */
void ghost_queue_done(struct ghost_queue *queue, struct ghost_job *job);
/* Whether ghost_queue_take would give a job. */
bool ghost_queue_ready(struct ghost_queue *queue);

struct ghost_queue_info {
    size_t jobs;        /* waiting or taken */
    size_t resting;     /* of these */
    uint64_t rests;     /* zxid: the first change of what rests; 0: nothing does */
    size_t differences; /* znodes in the difference */
    uint64_t coalesced; /* changes that became part of a job already waiting */
    uint64_t overflows; /* how often the limit was reached */
};
struct ghost_queue_info ghost_queue_info(const struct ghost_queue *queue);

#endif
