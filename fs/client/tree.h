/* tree.h - the client's copy of the tree: entries applied in place, snapshots loaded beside it and exchanged. */
#ifndef PACT_TREE_H
#define PACT_TREE_H

#include <pthread.h>

#include "proto/codec.h"
#include "replica/state/state.h"

struct tree {
    pthread_rwlock_t lock; /* one thread changes the tree, others read; the writer goes first */
    struct state *state;
    struct arena *arena;            /* of the entry being applied */
    struct snapshot_loader *loader; /* NULL: no snapshot is being loaded */
    uint64_t nodes;                 /* znodes the snapshot will have */
};

void tree_open(struct tree *tree);
void tree_close(struct tree *tree);

/* Applies an encoded entry; *entry borrows from the tree's arena until the next. ERR_OK with *known true: it was
 * applied before, and result and changes are untouched. Else what decode_entry says. */
int tree_apply(struct tree *tree, struct bytes encoded, struct entry *entry, struct result *result,
               struct changes *changes, bool *known);

void tree_load_begin(struct tree *tree, uint64_t nodes);
int tree_load(struct tree *tree, struct bytes chunk);
/* Exchanges the trees; *before is the old one, the caller's. An error leaves the old one in place. */
int tree_load_end(struct tree *tree, struct state **before);
void tree_load_stop(struct tree *tree);

#endif
