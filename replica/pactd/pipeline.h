/* pipeline.h - the write path: proposed or received → appended → durable → committed → applied. */
#ifndef PACT_PIPELINE_H
#define PACT_PIPELINE_H

#include "replica/pactd/runtime.h"

/* The leader gives a request its place and appends it. `place` has session, number and awaited (all 0: the replicas'
 * own). ERR_NO_QUORUM: this replica does not lead; ERR_TOO_BIG, ERR_NO_SPACE, or ERR_IO (the replica ends). */
int pipeline_propose(struct replica *replica, const struct entry *place, struct bytes request);
/* A request of the replicas themselves; of a follower, the leader is asked to propose it. */
int pipeline_propose_own(struct replica *replica, const struct request *request);
/* Appends an entry that has its place; false: it could not be. */
bool pipeline_append(struct replica *replica, uint64_t zxid, struct bytes entry);
/* Makes durable what was appended, and tells Zab. */
void pipeline_sync(struct replica *replica);
/* Applies what is committed and durable, at most `budget` entries. True: there is more. */
bool pipeline_apply(struct replica *replica, size_t budget);
/* The newest entry that mounts may be shown. */
uint64_t pipeline_applied(const struct replica *replica);
/* What was appended after zxid is gone, from the log and from memory. */
void pipeline_cut(struct replica *replica, uint64_t zxid);
/* While the disk is full: tries whether it still is. */
void pipeline_retry(struct replica *replica, uint64_t now_ms);

#endif
