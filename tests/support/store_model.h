/* store_model.h - a workload for a store, and a simple model that knows what must be there after a crash.
 *
 * The workload follows from a seed: appends, syncs, epochs, snapshots (and with them purges), truncations, snapshots
 * from elsewhere, segments made ahead, reading. An entry's content follows from its zxid, and no zxid is used twice:
 * so an entry that comes back from the dead shows. The model keeps what was acknowledged, and what was under way. */
#ifndef PACT_TEST_STORE_MODEL_H
#define PACT_TEST_STORE_MODEL_H

#include "replica/store/store.h"

enum { MODEL_ENTRIES = 2048, MODEL_SNAPSHOTS = 128, MODEL_TRUNCATIONS = 64 };

struct store_model {
    uint64_t entries[MODEL_ENTRIES]; /* zxids appended, in order; the first `acked` are acknowledged */
    size_t count, acked;
    size_t withdrawn; /* entries beyond count were withdrawn, up to here: until something else is written they may
                         still be on the disk, and are there after a crash */
    uint64_t next_zxid;
    uint64_t truncating[MODEL_TRUNCATIONS]; /* to these zxids, under way, or withdrawn likewise: any of them may be
                                               on the disk until something else is written */
    size_t truncating_count;
    uint64_t base;                   /* a snapshot from elsewhere was acknowledged: earlier entries are void */
    uint64_t snapshot;               /* newest acknowledged */
    uint64_t ahead;                  /* one from elsewhere, begun and perhaps there; 0: none */
    uint64_t tried[MODEL_SNAPSHOTS]; /* all that were begun: one whose name did not become durable may yet turn up */
    size_t tried_count;
    bool writing;             /* the last step was to append, sync or truncate */
    struct epochs epochs;     /* acknowledged */
    struct epochs epochs_try; /* under way */
    uint64_t random;
    char trouble[512]; /* what is wrong: set by model_check */
};

void model_init(struct store_model *model, uint64_t seed);
/* One random step. The store's error ends the step; the model then knows what was under way. */
int model_step(struct store_model *model, struct store *store);
/* After ERR_NO_SPACE: what was not acknowledged is withdrawn, and the store must show so at once. (After a step that
 * was not to append, sync or truncate it may also be still waiting for its sync.) */
bool model_withdraw(struct store_model *model, struct store *store);
/* Whether a store that was opened after a crash holds what it must and nothing it must not; if not, `trouble` says
 * what. The model then goes on from what is there. */
bool model_check(struct store_model *model, struct store *store);

#endif
