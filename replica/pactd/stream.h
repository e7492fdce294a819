/* stream.h - what a mount or a follower is sent: a snapshot if it needs one, then every entry after it, in order.
 *
 *   SNAPSHOT ──end──► LOG ──reached `recent`──► RECENT
 *      ▲               │ part was purged          │ fell out of `recent`: LOG
 *      └───────────────┘                          ▼
 *
 * Each is sent at most STREAM_AHEAD_BYTES more than it has acknowledged; the rest waits where it is, on disk or in
 * memory, so that a slow one costs nothing and holds nobody up. Where it all goes is the sink's matter. */
#ifndef PACT_STREAM_H
#define PACT_STREAM_H

#include "proto/codec.h"

struct replica;

enum {
    STREAM_AHEAD_BYTES = 256 * 1024,
    STREAM_TURN_BYTES = 64 * 1024,    /* to one receiver, before the others and what arrives have their turn */
    STREAM_CHUNK_BYTES = 64 * 1024,   /* of a snapshot */
    STREAM_MESSAGE_BYTES = 32 * 1024, /* a message takes another entry until it has this much */
    STREAM_MESSAGE_ENTRIES = 512,
    STREAM_SCRATCH_BYTES = STREAM_MESSAGE_BYTES + LIMIT_ENTRY_BYTES,
};

/* Entries that go into one message: the last of them may be a large one. */
struct batch {
    uint64_t after, first, last; /* zxids: of the one before, the first, the last */
    struct bytes list[STREAM_MESSAGE_ENTRIES];
    size_t count, bytes;
};

/* One kind of receiver; `to` is one of them. */
struct stream_sink {
    bool (*open)(void *to);                           /* it still takes anything; false also once a send has ended it */
    size_t (*queued)(void *to);                       /* bytes sent and not acknowledged */
    uint64_t (*limit)(const struct replica *replica); /* zxid of the newest entry it may have */
    void (*snapshot_begin)(struct replica *replica, void *to, uint64_t zxid, uint64_t nodes);
    void (*snapshot_chunk)(struct replica *replica, void *to, struct bytes chunk);
    void (*snapshot_end)(struct replica *replica, void *to);
    void (*entries)(struct replica *replica, void *to, const struct batch *batch);
    /* The log has not what comes next (ERR_NO_NODE), or can't be read. NULL: then it gets a snapshot. */
    void (*missing)(struct replica *replica, void *to, int code);
};

struct stream {
    const struct stream_sink *sink; /* NULL: not in use */
    void *to;
    uint64_t position;              /* zxid of the last entry sent, or of the snapshot being sent */
    bool snapshot;                  /* a snapshot is wanted or being sent */
    struct snapshot_cursor *cursor; /* of the snapshot being sent: of the tree, or … */
    struct snapshot_reader *stored; /* … one on disk, where what the tree has is not known to be committed */
    struct log_reader *reader;
    uint64_t moved_ms; /* when something was last sent */
};

/* A message made for one receiver, which the next one needs as well. */
struct stream_cache {
    uint64_t after, last, commit;
    struct buffer message;
};

/* Whether it holds the batch, with this commit point; if not, the caller fills `message` next. */
bool stream_cached(struct stream_cache *cache, const struct batch *batch, uint64_t commit);

/* For one that has everything up to `zxid`; `snapshot`: it needs one whatever it has. stream->snapshot then says
 * whether it gets one. ERR_OTHER_CLUSTER: no entry of this history has that zxid. */
int stream_start(struct replica *replica, struct stream *stream, const struct stream_sink *sink, void *to,
                 uint64_t zxid, bool snapshot);
/* Whether this history has, or may have had, an entry with that zxid. */
bool stream_knows(struct replica *replica, uint64_t zxid);
void stream_end(struct replica *replica, struct stream *stream);
/* Sends what there is and what the receiver can take, and no more than a turn's part of it: true if there may be more.
 */
bool stream_pump(struct replica *replica, struct stream *stream);
/* Whether it holds a snapshot of the tree and its receiver has taken nothing of it for too long. */
bool stream_stalled(const struct stream *stream);

#endif
