/* ghost_queue_internal.h - shared by the queue's files:
 *
 *   ghost_queue.c   lanes, rest, what repeats; push, take, done      ghost_names.c   by name: what overtakes */
#ifndef PACT_GHOST_QUEUE_INTERNAL_H
#define PACT_GHOST_QUEUE_INTERNAL_H

#include <uthash.h>

#include "fs/mount/ghost_queue.h"

enum {
    LANES_MAX = 4, /* a directory that goes to another one and replaces a third there */
    NAME_BUCKETS = 1 << 14
};

struct place {
    struct waiting *job;
    struct lane *lane;
    struct place *next;
};

/* One of a job's names, to be found by it. */
struct named {
    struct waiting *job;
    uint64_t directory;
    const char *name;
    struct named *prev, *next; /* in its bucket, the newest first */
};

struct waiting {
    struct ghost_job job;  /* first: the one is cast to the other */
    struct named names[2]; /* those of a virtual file and of the mount's root are left out */
    bool taken, told;
    struct place places[LANES_MAX];
    unsigned lanes, ahead; /* in how many lanes it stands; in how many of them others are ahead of it */
    uint64_t seq;          /* order of arrival */
    uint64_t key;          /* what it announces again and again: see key_of; 0: nothing */
    uint64_t due_ns;       /* rests until then; 0: does not. In one lane, and behind it nothing but what rests, too */
    struct waiting *next;  /* in its line, once it is ready; or among those that rest, if it is the head of its lane */
    struct waiting *prev;
    UT_hash_handle hh; /* in `repeated`, by key */
};

struct lane {
    uint64_t directory;
    struct place *head, **tail;
    struct place *resting; /* the first; all behind it rest, too */
    size_t jobs;
    uint64_t barrier; /* seq of the last create, delete or rename */
    UT_hash_handle hh;
};

struct line {
    struct waiting *head, **tail;
};

struct ghost_queue {
    size_t limit, jobs;
    uint64_t seq, coalesced, overflows;
    struct lane *lanes;
    struct waiting *repeated;
    struct line fresh, backlog; /* ready: on arrival; when what was ahead was done */
    bool backlog_next;          /* they take turns */
    uint64_t now_ns;
    struct waiting *resting; /* heads of lanes, the first that is due first */
    size_t rests;            /* jobs that rest, those behind such heads included */
    struct ghost_diff *diff;
    struct named *buckets[NAME_BUCKETS];
};

/* It creates, deletes or renames. */
bool ghost_structural(enum ghost_kind kind);
/* To the end of its lanes, whatever the limit. */
void ghost_enqueue(struct ghost_queue *queue, const struct ghost_change *change);
/* Nothing more becomes a part of this job. */
void ghost_forget_repeated(struct ghost_queue *queue, struct waiting *job);

/* --- ghost_names.c --- */

void ghost_index_names(struct ghost_queue *queue, struct waiting *job);
void ghost_unindex_names(struct ghost_queue *queue, struct waiting *job);

#endif
