/* diff_internal.h - what the two halves of state_diff share: finding the differences, and ordering the moves. */
#ifndef PACT_DIFF_INTERNAL_H
#define PACT_DIFF_INTERNAL_H

#include "replica/state/state.h"

#include <uthash.h>

/* A znode whose place differs: it is to be moved, deleted or created. The *mirror* is the tree `before` as changed by
 * what was announced so far. */
struct item {
    uint64_t id;
    const struct node *before, *after; /* NULL: not in that tree */
    bool present;                      /* in the mirror */
    bool leaving;                      /* to be deleted from the mirror (then made anew, if it is in `after`) */
    bool anew;                         /* deleted and made anew on the way */
    bool done;                         /* as it is in `after` */
    bool queued;
    uint64_t parent;    /* its place in the mirror, if present */
    struct bytes name;  /* the same; borrowed from one of the trees */
    struct item *home;  /* whose place in `before` it takes up; NULL: it is done or absent */
    struct item *heir;  /* who takes up its own place in `before`; NULL: nobody */
    size_t children;    /* leaving: how many it still has in the mirror */
    struct item *waits; /* who has to go away or to come first */
    struct item *waiters, *next_waiter;
    struct item *next; /* in the queue */
    uint64_t mark;     /* scratch of the search for circles */
    UT_hash_handle hh;
};

struct mirror {
    const struct state *before, *after;
    struct changes *changes;
    struct item *items; /* by id */
    struct item *first, **end;
    uint64_t marks;
};

struct item *mirror_add(struct mirror *mirror, uint64_t id);
/* Announces all moves, deletions and creations. */
void mirror_carry_out(struct mirror *mirror);
bool mirror_made_anew(const struct mirror *mirror, uint64_t id); /* was announced as deleted and created */
void mirror_free(struct mirror *mirror);

/* Appends a change of `node`, which sits at parent/name. */
struct change *diff_add(struct changes *changes, enum change_kind kind, const struct node *node, uint64_t parent,
                        struct bytes name);

#endif
