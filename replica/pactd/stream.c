#include "replica/pactd/stream.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "replica/pactd/runtime.h"

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

int stream_start(struct replica *replica, struct stream *stream, const struct stream_sink *sink, void *to,
                 uint64_t zxid, bool snapshot)
{
    *stream = (struct stream){.sink = sink, .to = to, .position = zxid, .snapshot = snapshot, .moved_ms = clock_ms()};
    int code = ERR_OK;
    if (snapshot || zxid == 0)
        return ERR_OK;
    if (zxid >= replica->recent.floor)
        code = recent_knows(&replica->recent, zxid) ? ERR_OK : ERR_OTHER_CLUSTER;
    else
        code = find_in_log(replica, stream, zxid);
    if (code == ERR_NO_NODE) { /* purged */
        stream->snapshot = true;
        code = ERR_OK;
    }
    return code;
}

static void end_reader(struct stream *stream)
{
    if (stream->reader)
        log_reader_close(stream->reader);
    stream->reader = NULL;
}

bool stream_knows(struct replica *replica, uint64_t zxid)
{
    struct stream stream;
    int code = stream_start(replica, &stream, NULL, NULL, zxid, false);
    end_reader(&stream);
    return code == ERR_OK;
}

static void end_stored(struct stream *stream)
{
    if (stream->stored)
        snapshot_reader_close(stream->stored);
    stream->stored = NULL;
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
    end_stored(stream);
    end_cursor(replica, stream);
    stream->sink = NULL;
}

bool stream_stalled(const struct stream *stream)
{
    return stream->cursor && clock_ms() - stream->moved_ms > SNAPSHOT_STALL_MS;
}

/* --- a snapshot --- */

/* The one on disk. After a start the tree has all that the log has, of which the end may not be committed: no snapshot
 * may say that it is. False: there is none; the receiver waits until the tree is committed. */
static bool begin_stored(struct replica *replica, struct stream *stream)
{
    if (snapshot_reader_open(replica->store, zab_committed(replica->zab) + 1, &stream->stored) != ERR_OK) {
        stream->stored = NULL;
        return false;
    }
    stream->position = snapshot_reader_zxid(stream->stored);
    stream->sink->snapshot_begin(replica, stream->to, stream->position, state_nodes(replica->state));
    return true;
}

/* False: all cursors are taken; the receiver waits in line. */
static bool begin_snapshot(struct replica *replica, struct stream *stream)
{
    end_reader(stream);
    if (state_zxid(replica->state) > zab_committed(replica->zab))
        return begin_stored(replica, stream);
    if (replica->cursors >= CURSORS)
        return false;
    stream->cursor = snapshot_begin(replica->state);
    if (!stream->cursor)
        return false;
    replica->cursors++;
    stream->position = snapshot_zxid(stream->cursor);
    stream->sink->snapshot_begin(replica, stream->to, stream->position, snapshot_nodes(stream->cursor));
    return true;
}

/* Purged, or damaged on disk; the tree in memory is whole. */
static void snapshot_instead(struct replica *replica, struct stream *stream, int code)
{
    if (code != ERR_NO_NODE)
        report(REPORT_ERROR, "reading for a stream: %s", store_error(replica->store));
    end_reader(stream);
    end_stored(stream);
    if (stream->sink->missing)
        stream->sink->missing(replica, stream->to, code);
    else
        stream->snapshot = true;
}

static int read_chunk(struct replica *replica, struct stream *stream, size_t *len)
{
    if (stream->stored)
        return snapshot_reader_next(stream->stored, replica->scratch, STREAM_CHUNK_BYTES, len);
    *len = snapshot_read(stream->cursor, replica->scratch, STREAM_CHUNK_BYTES);
    return ERR_OK;
}

static bool snapshot_step(struct replica *replica, struct stream *stream)
{
    size_t len;
    if (!stream->cursor && !stream->stored)
        return begin_snapshot(replica, stream);
    int code = read_chunk(replica, stream, &len);
    if (code != ERR_OK) {
        snapshot_instead(replica, stream, code);
        return true;
    }
    if (len > 0) {
        stream->sink->snapshot_chunk(replica, stream->to, (struct bytes){replica->scratch, len});
        return true;
    }
    end_stored(stream);
    end_cursor(replica, stream);
    stream->snapshot = false;
    stream->sink->snapshot_end(replica, stream->to);
    return true;
}

/* --- entries --- */

static bool batch_has_room(const struct batch *batch)
{
    return batch->count < STREAM_MESSAGE_ENTRIES && batch->bytes < STREAM_MESSAGE_BYTES;
}

static void batch_add(struct batch *batch, uint64_t zxid, const void *at, size_t len)
{
    if (batch->count == 0)
        batch->first = zxid;
    batch->last = zxid;
    batch->list[batch->count++] = (struct bytes){at, len};
    batch->bytes += len;
}

bool stream_cached(struct stream_cache *cache, const struct batch *batch, uint64_t commit)
{
    bool same = cache->last == batch->last && cache->after == batch->after && cache->commit == commit;
    cache->after = batch->after;
    cache->last = batch->last;
    cache->commit = commit;
    return same;
}

static void recent_step(struct replica *replica, struct stream *stream, uint64_t limit, struct batch *batch)
{
    end_reader(stream);
    for (size_t i = recent_after(&replica->recent, stream->position); i < replica->recent.count; i++) {
        const struct recent_entry *entry = recent_at(&replica->recent, i);
        if (entry->zxid > limit || !batch_has_room(batch))
            break;
        batch_add(batch, entry->zxid, entry->bytes.at, entry->bytes.len);
    }
}

/* An entry of the log is borrowed only until the next one is read: they are copied together. */
static int log_step(struct replica *replica, struct stream *stream, uint64_t limit, struct batch *batch)
{
    int code = ERR_OK;
    uint64_t zxid = stream->position;
    if (limit > replica->recent.floor)
        limit = replica->recent.floor;
    if (!stream->reader)
        code = log_reader_open(replica->store, zxid, &stream->reader);
    while (code == ERR_OK && zxid < limit && batch_has_room(batch)) {
        struct bytes entry;
        code = log_reader_next(stream->reader, &zxid, &entry);
        if (code != ERR_OK)
            break;
        assert(zxid > batch->last); /* the log reaches at least to the floor */
        uint8_t *copy = replica->scratch + batch->bytes;
        memcpy(copy, entry.at, entry.len);
        batch_add(batch, zxid, copy, entry.len);
    }
    return code;
}

static bool entries_step(struct replica *replica, struct stream *stream, uint64_t limit)
{
    struct batch batch = {.after = stream->position, .last = stream->position};
    int code = ERR_OK;
    if (stream->position >= replica->recent.floor)
        recent_step(replica, stream, limit, &batch);
    else
        code = log_step(replica, stream, limit, &batch);
    if (batch.count > 0) {
        stream->position = batch.last;
        stream->sink->entries(replica, stream->to, &batch);
    }
    if (code != ERR_OK && stream->sink)
        snapshot_instead(replica, stream, code);
    return batch.count > 0 || code != ERR_OK;
}

/* --- pumping --- */

static bool step(struct replica *replica, struct stream *stream)
{
    if (stream->snapshot)
        return snapshot_step(replica, stream);
    uint64_t limit = stream->sink->limit(replica);
    if (stream->position >= limit)
        return false;
    return entries_step(replica, stream, limit);
}

bool stream_pump(struct replica *replica, struct stream *stream)
{
    size_t queued, limit = 0;
    while (stream->sink && stream->sink->open(stream->to)) {
        queued = stream->sink->queued(stream->to);
        limit = limit ? limit : queued + STREAM_TURN_BYTES;
        if (queued >= STREAM_AHEAD_BYTES)
            return false;
        if (queued >= limit)
            return true;
        if (!step(replica, stream))
            return false;
        stream->moved_ms = clock_ms();
    }
    return false;
}
