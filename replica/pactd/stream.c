#include "replica/pactd/stream.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "replica/pactd/attach.h"

/* One cursor stays free for the snapshot on disk. */
enum { CURSORS = LIMIT_SNAPSHOT_CURSORS - 1 };

/* --- where to go on --- */

/* Looks for the entry `zxid` in the log and leaves the reader behind it. */
static int find_in_log(struct replica *replica, struct stream *stream, uint64_t zxid)
{
    struct bytes entry;
    uint64_t found = 0;
    int code = log_reader_open(replica->store, zxid - 1, &stream->reader);
    if (code == ERR_OK)
        code = log_reader_next(stream->reader, &found, &entry);
    if (code == ERR_OK && found != zxid)
        code = ERR_OTHER_CLUSTER;
    return code;
}

int stream_start(struct replica *replica, struct stream *stream, uint64_t zxid, bool *snapshot)
{
    *stream = (struct stream){.position = zxid, .moved_ms = clock_ms()};
    int code = ERR_OK;
    if (zxid == 0)
        stream->snapshot = true;
    else if (zxid >= replica->recent.floor)
        code = recent_knows(&replica->recent, zxid) ? ERR_OK : ERR_OTHER_CLUSTER;
    else
        code = find_in_log(replica, stream, zxid);
    if (code == ERR_NO_NODE) { /* purged */
        stream->snapshot = true;
        code = ERR_OK;
    }
    *snapshot = stream->snapshot;
    return code;
}

static void end_reader(struct stream *stream)
{
    if (stream->reader)
        log_reader_close(stream->reader);
    stream->reader = NULL;
}

static void end_cursor(struct replica *replica, struct stream *stream)
{
    if (!stream->cursor)
        return;
    snapshot_end(stream->cursor);
    stream->cursor = NULL;
    replica->cursors--;
}

void stream_end(struct replica *replica, struct stream *stream)
{
    end_reader(stream);
    end_cursor(replica, stream);
}

bool stream_stalled(const struct stream *stream)
{
    return stream->cursor && clock_ms() - stream->moved_ms > SNAPSHOT_STALL_MS;
}

/* --- a snapshot --- */

/* False: all cursors are taken; the mount waits in line. */
static bool begin_snapshot(struct replica *replica, struct attachment *attachment)
{
    struct stream *stream = &attachment->stream;
    if (replica->cursors >= CURSORS)
        return false;
    end_reader(stream);
    stream->cursor = snapshot_begin(replica->state);
    if (!stream->cursor)
        return false;
    replica->cursors++;
    stream->position = snapshot_zxid(stream->cursor);
    struct message begin = {.kind = MESSAGE_SNAPSHOT_BEGIN,
                            .snapshot_begin = {stream->position, snapshot_nodes(stream->cursor)}};
    attach_send(replica, attachment, &begin);
    return true;
}

static bool snapshot_step(struct replica *replica, struct attachment *attachment)
{
    struct stream *stream = &attachment->stream;
    if (!stream->cursor)
        return begin_snapshot(replica, attachment);
    struct message message = {.kind = MESSAGE_SNAPSHOT_CHUNK};
    message.chunk =
        (struct bytes){replica->scratch, snapshot_read(stream->cursor, replica->scratch, LIMIT_CHUNK_BYTES)};
    if (message.chunk.len == 0) {
        message.kind = MESSAGE_SNAPSHOT_END;
        end_cursor(replica, stream);
        stream->snapshot = false;
    }
    attach_send(replica, attachment, &message);
    return true;
}

/* --- entries --- */

/* Entries that go into one message: the last of them may be a large one. */
struct batch {
    struct bytes list[STREAM_MESSAGE_ENTRIES];
    size_t count, bytes;
};

static bool batch_has_room(const struct batch *batch)
{
    return batch->count < STREAM_MESSAGE_ENTRIES && batch->bytes < STREAM_MESSAGE_BYTES;
}

static void batch_add(struct batch *batch, const void *at, size_t len)
{
    batch->list[batch->count++] = (struct bytes){at, len};
    batch->bytes += len;
}

static void encode_batch(const struct replica *replica, const struct batch *batch, struct buffer *to)
{
    struct message message = {.kind = MESSAGE_ENTRIES};
    message.entries = (struct message_entries){batch->list, batch->count, replica->order.committed};
    int code = encode_message(&message, to);
    assert(code == ERR_OK);
}

static void fill_cache(struct replica *replica, uint64_t from)
{
    struct stream_cache *cache = &replica->cache;
    struct batch batch = {.count = 0};
    for (size_t i = recent_after(&replica->recent, from); i < replica->recent.count && batch_has_room(&batch); i++) {
        const struct recent_entry *entry = recent_at(&replica->recent, i);
        if (entry->zxid > replica->order.committed)
            break;
        batch_add(&batch, entry->bytes.at, entry->bytes.len);
        cache->to = entry->zxid;
    }
    cache->from = from;
    cache->commit = replica->order.committed;
    encode_batch(replica, &batch, &cache->message);
}

static bool recent_step(struct replica *replica, struct attachment *attachment)
{
    struct stream *stream = &attachment->stream;
    const struct stream_cache *cache = &replica->cache;
    end_reader(stream);
    if (cache->to == 0 || cache->from != stream->position || cache->commit != replica->order.committed)
        fill_cache(replica, stream->position);
    stream->position = cache->to;
    peer_send(attachment->peer, cache->message.at, cache->message.len, clock_ms());
    return true;
}

/* An entry of the log is borrowed only until the next one is read: they are copied together. */
static int read_log(struct replica *replica, struct stream *stream, struct batch *batch)
{
    int code = ERR_OK;
    if (!stream->reader)
        code = log_reader_open(replica->store, stream->position, &stream->reader);
    while (code == ERR_OK && stream->position < replica->recent.floor && batch_has_room(batch)) {
        struct bytes entry;
        uint64_t zxid = 0;
        code = log_reader_next(stream->reader, &zxid, &entry);
        if (code != ERR_OK)
            break;
        assert(zxid > stream->position); /* the log reaches at least to the floor */
        uint8_t *copy = replica->scratch + batch->bytes;
        memcpy(copy, entry.at, entry.len);
        batch_add(batch, copy, entry.len);
        stream->position = zxid;
    }
    return code;
}

static bool log_step(struct replica *replica, struct attachment *attachment)
{
    struct stream *stream = &attachment->stream;
    struct batch batch = {.count = 0};
    int code = read_log(replica, stream, &batch);
    if (batch.count > 0) {
        encode_batch(replica, &batch, &replica->encoded);
        peer_send(attachment->peer, replica->encoded.at, replica->encoded.len, clock_ms());
    }
    if (code == ERR_OK)
        return true;
    /* Purged, or damaged on disk; the tree in memory is whole. */
    if (code != ERR_NO_NODE)
        report(REPORT_ERROR, "reading the log for a mount: %s", store_error(replica->store));
    end_reader(stream);
    stream->snapshot = true;
    return true;
}

/* --- pumping --- */

static bool step(struct replica *replica, struct attachment *attachment)
{
    const struct stream *stream = &attachment->stream;
    if (stream->snapshot)
        return snapshot_step(replica, attachment);
    if (stream->position >= replica->order.committed)
        return false;
    if (stream->position >= replica->recent.floor)
        return recent_step(replica, attachment);
    return log_step(replica, attachment);
}

void stream_pump(struct replica *replica, struct attachment *attachment)
{
    while (attachment->peer && peer_queued_bytes(attachment->peer) < STREAM_AHEAD_BYTES && step(replica, attachment))
        attachment->stream.moved_ms = clock_ms();
}
