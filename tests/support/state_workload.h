/* state_workload.h - random entries for the state machine, the same for the same seed, and ways to look at states.
 *
 * About two in three succeed; the others are refused for every reason there is. */
#ifndef PACT_STATE_WORKLOAD_H
#define PACT_STATE_WORKLOAD_H

#include "replica/state/state.h"

struct workload {
    uint64_t random; /* the seed */
    uint64_t zxid;
    int64_t stamp_ns;
    uint64_t locks_percent; /* how many of the requests are locks; 0: the usual */
};

uint64_t workload_random(struct workload *workload, uint64_t below);

/* An entry with all it borrows, in one piece. */
struct work {
    struct entry entry;
    struct request ops[6]; /* of a multi */
    struct edit edits[6][3];
    char text[4096]; /* paths, names, values */
    size_t text_len;
};

/* The next entry, made with a look at the state it will be applied to. The caller frees it. */
struct work *workload_next(struct workload *workload, const struct state *state);

/* Every znode as text, in order of id, with its siblings' order if `order`; the caller frees it. */
char *state_dump(const struct state *state, bool order);

/* Bytes that data of any size up to LIMIT_DATA_BYTES may borrow; they look random and never end. */
const void *workload_bytes(size_t offset);

#endif
