/* state_model.h - the state machine once more, as simply as can be: an array of znodes, searched from end to end,
 * sums counted anew each time, a multi undone by going back to a copy. What replica/state does must look the same.
 *
 * Only the form of requests is left to request_check, which has tests of its own. */
#ifndef PACT_STATE_MODEL_H
#define PACT_STATE_MODEL_H

#include "replica/state/state.h"

struct model;
struct model *model_new(void);
void model_free(struct model *model);
void model_apply(struct model *model, const struct entry *entry, struct result *result);

/* NULL if the state shows the same znodes, in the same order, sessions, members and locks; else what differs, in a
 * static buffer. */
const char *model_differs(struct model *model, const struct state *state);

const char *model_locks_differ(const struct model *model, const struct state *state); /* the same of the locks alone */
/* The locks that the last entry granted to waiters, in order; how many. */
size_t model_granted(const struct model *model, const uint64_t **names);

#endif
