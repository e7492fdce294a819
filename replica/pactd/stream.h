/* stream.h - what a mount is sent: a snapshot if it needs one, then every committed entry after it, in order.
 *
 *   SNAPSHOT ──end──► LOG ──reached `recent`──► RECENT
 *      ▲               │ part was purged          │ fell out of `recent`: LOG
 *      └───────────────┘                          ▼
 *
 * Each mount is sent at most STREAM_AHEAD_BYTES more than it has acknowledged; the rest waits where it is, on disk or
 * in memory, so that a slow mount costs nothing and holds nobody up. */
#ifndef PACT_STREAM_H
#define PACT_STREAM_H

#include "proto/codec.h"

struct attachment;
struct replica;

enum {
    STREAM_AHEAD_BYTES = 1024 * 1024,
    STREAM_MESSAGE_BYTES = 32 * 1024, /* a message takes another entry until it has this much */
    STREAM_MESSAGE_ENTRIES = 512,
    STREAM_SCRATCH_BYTES = STREAM_MESSAGE_BYTES + LIMIT_ENTRY_BYTES,
};

struct stream {
    uint64_t position; /* zxid of the last entry sent, or of the snapshot being sent */
    bool snapshot;     /* a snapshot is wanted or being sent */
    struct snapshot_cursor *cursor;
    struct log_reader *reader;
    uint64_t moved_ms; /* when something was last sent */
};

/* The message last made from `recent`: mounts that are up to date all need the same one. */
struct stream_cache {
    uint64_t from, to, commit;
    struct buffer message;
};

/* Where a mount that has applied `zxid` (0: nothing) goes on. *snapshot: it needs a snapshot. ERR_OTHER_CLUSTER: no
 * entry of this history has that zxid. */
int stream_start(struct replica *replica, struct stream *stream, uint64_t zxid, bool *snapshot);
void stream_end(struct replica *replica, struct stream *stream);
/* Sends what there is and what the mount can take. */
void stream_pump(struct replica *replica, struct attachment *attachment);
/* Whether it holds a snapshot of the tree and has taken nothing of it for too long. */
bool stream_stalled(const struct stream *stream);

#endif
