/* The leader's side of a follower: it is fed from the log, as mounts are, but with everything that is appended. */
#include <assert.h>

#include "replica/pactd/ensemble.h"

static bool sink_open(void *to)
{
    const struct member *member = to;
    return member->greeted;
}

static size_t sink_queued(void *to)
{
    const struct member *member = to;
    return mesh_queued_bytes(member->mesh, member->id);
}

static uint64_t sink_limit(const struct replica *replica)
{
    return zab_last(replica->zab);
}

static void sink_snapshot_begin(struct replica *replica, void *to, uint64_t zxid, uint64_t nodes)
{
    const struct member *member = to;
    report(REPORT_INFO, "member %u gets a snapshot of %llu znodes", member->id, (unsigned long long)nodes);
    ensemble_snapshot_begun(replica, member->id, zxid);
}

static void sink_snapshot_chunk(struct replica *replica, void *to, struct bytes chunk)
{
    const struct member *member = to;
    peers_send(replica, member->id, &(struct peer_message){.kind = PEER_SNAPSHOT_CHUNK, .chunk = chunk});
}

static void sink_snapshot_end(struct replica *replica, void *to)
{
    const struct member *member = to;
    peers_send(replica, member->id, &(struct peer_message){.kind = PEER_SNAPSHOT_END});
}

static uint32_t epoch_of(const struct batch *batch, size_t index, struct arena *arena)
{
    struct entry entry;
    arena_reset(arena);
    int code = decode_entry(batch->list[index], arena, &entry);
    assert(code == ERR_OK);
    return (uint32_t)(entry.zxid >> 32);
}

/* A message has entries of one epoch. Counters have no gaps: only a batch whose ends differ must be looked into. */
static size_t of_one_epoch(struct replica *replica, const struct batch *batch, size_t from)
{
    uint32_t epoch = epoch_of(batch, from, replica->request_arena);
    size_t count = batch->count - from;
    if (epoch == (uint32_t)(batch->last >> 32))
        return count;
    for (count = 1; epoch_of(batch, from + count, replica->request_arena) == epoch; count++)
        continue;
    return count;
}

static void encode(struct zab_message zab, const struct bytes *list, struct buffer *to)
{
    struct peer_message message = {.kind = PEER_ENTRIES, .entries = {zab, list, zab.count}};
    int code = encode_peer_message(&message, to);
    assert(code == ERR_OK);
}

/* Followers that are level all need the same message. */
static void sink_entries(struct replica *replica, void *to, const struct batch *batch)
{
    struct stream_cache *cache = &replica->follower_cache;
    struct member *member = to;
    bool cached = stream_cached(cache, batch, zab_committed(replica->zab));
    if (batch->first >> 32 == batch->last >> 32) {
        if (!cached)
            encode(zab_entries(replica->zab, batch->after, batch->first, (uint32_t)batch->count), batch->list,
                   &cache->message);
        peers_send_encoded(replica, member, &cache->message);
        return;
    }
    cache->last = 0; /* several messages */
    uint64_t previous = batch->after, first = batch->first;
    for (size_t i = 0, count; i < batch->count && member->greeted; i += count) {
        count = of_one_epoch(replica, batch, i);
        encode(zab_entries(replica->zab, previous, first, (uint32_t)count), batch->list + i, &replica->encoded);
        peers_send_encoded(replica, member, &replica->encoded);
        previous = first + count - 1;
        first = i + count < batch->count ? ((uint64_t)epoch_of(batch, i + count, replica->request_arena) << 32 | 1) : 0;
    }
}

/* It comes anew, and Zab then has a snapshot sent to it. */
static void sink_missing(struct replica *replica, void *to, int code)
{
    uint64_t begins = code == ERR_NO_NODE ? store_base_zxid(replica->store) : state_zxid(replica->state);
    ensemble_step(replica, &(struct zab_event){.kind = ZAB_PURGED, .zxid = begins});
    ensemble_drop(replica, to, code);
}

static const struct stream_sink follower_sink = {
    .open = sink_open,
    .queued = sink_queued,
    .limit = sink_limit,
    .snapshot_begin = sink_snapshot_begin,
    .snapshot_chunk = sink_snapshot_chunk,
    .snapshot_end = sink_snapshot_end,
    .entries = sink_entries,
    .missing = sink_missing,
};

void follower_feed(struct replica *replica, struct member *member, uint64_t after, bool snapshot)
{
    follower_unfeed(replica, member);
    replica->follower_cache.last = 0; /* it says the term: a new one must not send what an old one has made */
    if (stream_start(replica, &member->stream, &follower_sink, member, after, snapshot) == ERR_OK &&
        member->stream.snapshot == snapshot)
        return;
    /* The log was purged between Zab's decision and now: the follower comes anew, and gets a snapshot. */
    follower_unfeed(replica, member);
    ensemble_drop(replica, member, ERR_NO_NODE);
}

void follower_unfeed(struct replica *replica, struct member *member)
{
    stream_end(replica, &member->stream);
}

bool followers_pump(struct replica *replica)
{
    bool more = false;
    for (size_t i = 0; i < replica->member_count; i++)
        more |= stream_pump(replica, &replica->members[i].stream);
    return more;
}
