/* state_workload_internal.h - what the files of the workload share. */
#ifndef PACT_STATE_WORKLOAD_INTERNAL_H
#define PACT_STATE_WORKLOAD_INTERNAL_H

#include "tests/support/state_workload.h"

/* state_workload_locks.c: a lock, or giving one up; of an entry whose session is known. */
void workload_lock_request(struct workload *workload, const struct state *state, struct entry *entry);

#endif
