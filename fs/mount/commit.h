/* commit.h - from staged writes to transactions (design §3 "Staged writes").
 *
 * A writer's handle, from open to release:
 *
 *   state     entered by                          shown to the writer   FLUSH, last close   RELEASE
 *   clean     open                                the tree              -                   -
 *   owing     CREATE, O_TRUNC                     own (empty) view      closing             commit
 *   staged    write(2), ftruncate                 own view              commit, reply after commit
 *   in flight fsync, FLUSH: until it is answered  what is committed     -                   -
 *   closing   the opener's last close             own view              -                   commit: others wait ≤ 5 ms
 *   discarded the opener dies by a signal         the tree              -                   nothing; unborn: removed
 *
 * A removed file has no transactions: what is staged becomes the remains that its handles share. */
#ifndef PACT_COMMIT_H
#define PACT_COMMIT_H

#include "fs/mount/handle.h"

/* One write(2) on an O_APPEND handle: one transaction, with what was staged before it. Takes over the handle's lock
 * and count; replies when it is committed. */
void commit_append(struct handle *handle, fuse_req_t req, const void *at, size_t len);

/* One write(2) on an O_SYNC or O_DSYNC handle: committed, with what was staged before it, when it is replied to. Takes
 * over the handle's lock and count. */
void commit_synced(struct handle *handle, fuse_req_t req, const void *at, size_t len, uint64_t offset);

/* What is written so far of an unborn file, and its birth. Replies ESTALE when it is done: the call is to be sent
 * again. Takes over the handle's lock and count. */
void commit_publish(struct handle *handle, fuse_req_t req);

/* An unlock, replied to when it is done, after a commit of what was written: in this order others see it. Takes over
 * the handle's lock and count. */
void commit_then_unlock(struct handle *handle, fuse_req_t req, const struct op_unlock *op);

/* A handle that goes without commit: an unborn file that nobody else writes to goes with it. Takes over the handle's
 * lock and count. */
void commit_abandon(struct handle *handle);

#endif
