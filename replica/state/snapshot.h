/* snapshot.h - the form of a snapshot: GLOBALS, then MEMBER, SESSION, LOCK and NODE records in any
 * order, but that the locks of one znode come in their order, then END.
 *
 * A record is u32 length of its payload, u8 kind, payload; all numbers are little-endian. GLOBALS: magic, u32 format,
 * record_globals. MEMBER (from state version 2 on): record_member. NODE: record_node, its xattrs' bytes, its data.
 * SESSION: record_session, its results. LOCK (from state version 3 on): record_lock. END: u64 znodes, u64 digest. */
#ifndef PACT_SNAPSHOT_H
#define PACT_SNAPSHOT_H

#include "proto/limits.h"

enum record_kind {
    RECORD_GLOBALS = 1,
    RECORD_NODE = 2,
    RECORD_SESSION = 3,
    RECORD_END = 4,
    RECORD_MEMBER = 5,
    RECORD_LOCK = 6
};

#define SNAPSHOT_MAGIC "pactsnap"
enum { SNAPSHOT_MAGIC_BYTES = 8, SNAPSHOT_FORMAT = 1 };
enum { RECORD_FRAME_BYTES = 5 };
/* The largest payload: a znode's head, xattrs with their framing, data. A session with all its results is smaller. */
enum { RECORD_MAX_BYTES = 4096 + 4 * LIMIT_XATTRS_BYTES + LIMIT_DATA_BYTES };

#endif
