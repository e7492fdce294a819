/* pipeline.h - the write path: propose → durable → committed → applied. */
#ifndef PACT_PIPELINE_H
#define PACT_PIPELINE_H

#include "replica/pactd/runtime.h"

/* Gives a request its place and appends it. `place` has session, number and awaited (all 0: the replicas' own).
 * *zxid (NULL: not wanted) gets its zxid. ERR_TOO_BIG, ERR_NO_SPACE, or ERR_IO (the replica ends). */
int pipeline_propose(struct replica *replica, const struct entry *place, struct bytes request, uint64_t *zxid);
/* A request of the replicas themselves. */
int pipeline_propose_own(struct replica *replica, const struct request *request, uint64_t *zxid);
/* Makes durable, commits and applies what was proposed. */
void pipeline_commit(struct replica *replica);
/* While the disk is full: tries whether it still is. */
void pipeline_retry(struct replica *replica, uint64_t now_ms);

#endif
