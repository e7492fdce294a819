/* record.h - znodes, sessions and globals as bytes, and back. */
#ifndef PACT_RECORD_H
#define PACT_RECORD_H

#include "replica/state/lock.h"

enum { RECORD_HEAD_MAX_BYTES = 1024, RECORD_RESULT_MAX_BYTES = 320 };

/* Each writes and returns how many bytes it wrote. A znode's head names its data and xattrs by size and hash; in a
 * snapshot the xattrs' bytes and the data's follow it. A session's head is followed by its results. */
size_t record_node(const struct node *node, uint8_t to[RECORD_HEAD_MAX_BYTES]);
size_t record_session(const struct session *session, uint8_t to[RECORD_HEAD_MAX_BYTES]);
size_t record_result(uint64_t number, const struct kept_result *result, uint8_t to[RECORD_RESULT_MAX_BYTES]);
size_t record_globals(const struct state *state, uint8_t to[RECORD_HEAD_MAX_BYTES]);
size_t record_member(const struct member_info *member, uint8_t to[RECORD_HEAD_MAX_BYTES]);
size_t record_lock(const struct lock *lock, uint8_t to[RECORD_HEAD_MAX_BYTES]);

/* The reverse, from the bytes of a snapshot, with all that follows a head. All input is checked as far as one record
 * goes: ERR_OK or ERR_CORRUPT; globals also ERR_BAD_FORMAT, a state version this code cannot apply. The znode is the
 * caller's and not yet linked; *parent is its parent's id, *head_len how much of `from` record_node wrote. A session, a
 * member or a lock is added to the state; a lock must come after those of its znode that are before it. */
int record_read_node(struct bytes from, struct node **node, uint64_t *parent, size_t *head_len);
int record_read_session(struct bytes from, struct state *state);
int record_read_globals(struct bytes from, struct state *state);
int record_read_member(struct bytes from, struct state *state);
int record_read_lock(struct bytes from, struct state *state);

#endif
