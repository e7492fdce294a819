/* stage.h - what has been written through one open and not yet committed (design §3 "Staged writes").
 *
 * Pure. A stage is the file as its writer sees it (`view`: what was there at the first write, with the writer's own
 * changes) and a note of which parts are the writer's. A commit carries only those, and apply puts them on what is
 * current then: two writers of different parts do not undo each other.
 *
 * Invariants:
 * 1. ranges are sorted, not empty, do not touch, and lie within the view;
 * 2. bytes is the sum of their lengths;
 * 3. if truncated, everything from `low` on is the writer's: `low` is the smallest size the file was cut to, and the
 *    view's size is the size after the commit, whatever is current then. */
#ifndef PACT_STAGE_H
#define PACT_STAGE_H

#include "proto/errors.h"
#include "proto/limits.h"
#include "replica/state/data.h"

/* The edits of a commit leave room for an append and for what others cut to nothing before. Beyond so many separate
 * ranges the nearest two are joined with what the view shows between them. */
enum { STAGE_EDITS = LIMIT_EDITS - 2, STAGE_RANGES = STAGE_EDITS - 2 };

struct range {
    uint64_t offset, end; /* bytes */
};

/* Zero-initialise it. */
struct stage {
    bool open;         /* something is staged: view counts */
    struct data *view; /* owned; NULL is an empty file */
    struct range *ranges;
    size_t count, capacity;
    uint64_t bytes;
    bool truncated;
    uint64_t low;
};

/* Both change nothing if they fail. `base` is the file as it is now, used if nothing is staged yet.
 * ERR_OK or ERR_TOO_BIG. */
int stage_write(struct stage *stage, struct data *base, uint64_t offset, const void *at, size_t len);
int stage_truncate(struct stage *stage, struct data *base, uint64_t size);

/* The staged changes as edits for one OP_WRITE, in `edits` (room for STAGE_EDITS). They borrow from *bytes, which the
 * caller frees. Returns how many. */
size_t stage_edits(const struct stage *stage, struct edit *edits, void **bytes);

/* Forgets everything and frees it; the stage can be used again. */
void stage_clear(struct stage *stage);

#endif
