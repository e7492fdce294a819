/* history.h - which zxids a replica's history has, as runs.
 *
 * Counters of an epoch begin at 1 and have no gaps, so a history is a short list of runs (epoch, first … last). It is
 * known from `floor` on, which is in it: what lies before is in a snapshot, and cannot be told entry by entry. */
#ifndef PACT_ZAB_HISTORY_H
#define PACT_ZAB_HISTORY_H

#include "replica/zab/zab.h"

#define ZXID(epoch, counter) ((uint64_t)(epoch) << 32 | (counter))
#define ZXID_EPOCH(zxid)     ((uint32_t)((zxid) >> 32))
#define ZXID_COUNTER(zxid)   ((uint32_t)(zxid))

struct history {
    uint64_t floor;       /* 0: known from its beginning */
    struct zab_run *runs; /* ascending, all above floor */
    size_t count, capacity;
};

void history_init(struct history *history, const struct zab_options *options); /* asserts good runs */
void history_free(struct history *history);
void history_reset(struct history *history, uint64_t zxid); /* a snapshot of zxid took its place */

uint64_t history_last(const struct history *history);
bool history_has(const struct history *history, uint64_t zxid); /* asserts zxid ≥ floor */
/* The largest zxid of the history that is ≤ zxid; asserts zxid ≥ floor. */
uint64_t history_below(const struct history *history, uint64_t zxid);
/* How many entries it has after zxid; -1: it does not reach back so far. */
int64_t history_after(const struct history *history, uint64_t zxid);
/* Whether an entry `first` may follow one that is `previous`: the next counter of its epoch, or a later epoch's first.
 */
bool history_follows(uint64_t previous, uint64_t first);

void history_append(struct history *history, uint64_t first, uint64_t last); /* of one epoch; asserts that it follows */
void history_truncate(struct history *history, uint64_t zxid);               /* asserts zxid ≥ floor */
void history_purge(struct history *history, uint64_t zxid); /* nothing is known any more of what lies before */

#endif
