/* Snapshots: of its own on its disk, to a follower, from the leader. */
#include "tests/sim/server_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- bytes --- */

static void grow(uint8_t **bytes, size_t *len, const void *from, size_t more)
{
    *bytes = realloc(*bytes, *len + more);
    assert(*bytes);
    memcpy(*bytes + *len, from, more);
    *len += more;
}

static void read_cursor(struct snapshot_cursor *cursor, uint8_t **bytes, size_t *len)
{
    uint8_t piece[4096];
    for (size_t got; (got = snapshot_read(cursor, piece, sizeof piece)) > 0;)
        grow(bytes, len, piece, got);
    snapshot_end(cursor);
}

/* Durable under its name, and known to the store. */
static int write_snapshot(struct server *server, uint64_t zxid, const uint8_t *bytes, size_t len)
{
    struct snapshot_writer *writer;
    int code = snapshot_writer_begin(server->store, zxid, &writer);
    if (code != ERR_OK)
        return code;
    code = snapshot_writer_add(writer, bytes, len);
    if (code == ERR_OK)
        code = snapshot_writer_commit(writer);
    else
        snapshot_writer_abort(writer);
    return code == ERR_OK ? store_snapshot_done(server->store, zxid) : code;
}

/* --- to a follower: in pieces, while entries go on being appended --- */

static void run_piece(struct cluster *cluster, struct event *event)
{
    struct server *server = cluster->servers[event->end];
    unsigned peer = event->other;
    struct feed *feed = &server->feeds[peer];
    if (!feed->on || feed->number != event->tag)
        return;
    size_t left = feed->snapshot_len - feed->snapshot_at, len = left < CHUNK_BYTES ? left : CHUNK_BYTES;
    struct peer_message message = {.kind = len > 0 ? PEER_SNAPSHOT_CHUNK : PEER_SNAPSHOT_END};
    message.chunk = (struct bytes){feed->snapshot + feed->snapshot_at, len};
    say(server, peer, &message, NULL, 0);
    feed->snapshot_at += len;
    if (len > 0) {
        event_add(cluster, *event, pick(cluster, 5 * MS));
    } else {
        free(feed->snapshot);
        feed->snapshot = NULL;
    }
    server_settle(server);
}

void snap_feed(struct server *server, unsigned peer)
{
    struct feed *feed = &server->feeds[peer];
    struct snapshot_cursor *cursor = snapshot_begin(server->state);
    assert(cursor);
    if (snapshot_zxid(cursor) < feed->after)
        violated(server->cluster, "Log", "replica %u is to feed %u a snapshot of %llx, but has applied only %llx",
                 server->id, peer + 1, (unsigned long long)feed->after, (unsigned long long)snapshot_zxid(cursor));
    feed->after = snapshot_zxid(cursor);
    read_cursor(cursor, &feed->snapshot, &feed->snapshot_len);
    NOTE(server, "%u feeds %u a snapshot of %llx", server->id, peer + 1, (unsigned long long)feed->after);
    zab_snapshot_begun(server->zab, peer + 1, feed->after, &server->update);
    server->cluster->outcome->counts.snapshots++;
    event_add(server->cluster,
              (struct event){
                  .run = run_piece, .end = server->index, .other = peer, .life = server->life, .tag = feed->number},
              1);
}

/* --- from the leader --- */

void snap_forget(struct server *server)
{
    free(server->incoming.bytes);
    server->incoming = (struct incoming){0};
}

void snap_begins(struct server *server, unsigned from, uint64_t zxid)
{
    snap_forget(server);
    server->incoming = (struct incoming){.on = true, .from = from, .zxid = zxid};
}

static void heard(struct server *server, unsigned from)
{
    zab_happens(server, (struct zab_event){.kind = ZAB_HEARD, .peer = from + 1});
}

void snap_chunk(struct server *server, unsigned from, struct bytes chunk)
{
    struct incoming *incoming = &server->incoming;
    if (!incoming->on || incoming->from != from)
        return;
    heard(server, from);
    grow(&incoming->bytes, &incoming->len, chunk.at, chunk.len);
}

static struct state *load(struct incoming *incoming)
{
    struct snapshot_loader *loader = loader_new();
    struct state *state = NULL;
    int code = loader_feed(loader, incoming->bytes, incoming->len);
    if (code == ERR_OK)
        code = loader_finish(loader, &state);
    assert(code == ERR_OK); /* links do not corrupt */
    if (PLANTED(NUMBERS_NOT_IN_SNAPSHOT))
        plant_forget_numbers(state);
    return state;
}

/* In memory only once it is durable: else an interruption would leave the memory ahead of the disk. */
static void take(struct server *server, uint64_t zxid, struct state *state)
{
    checkpoint_forget(server);
    state_free(server->state);
    server->state = state;
    items_cut(&server->log, 0);
    items_trim(&server->log, zxid);
    server->purged = zxid;
    check_loaded(server->cluster, server->id, server->state);
    zab_stamped(server->zab, state_stamp_ns(state), server_clocks(server).running_ns);
    mounts_loaded(server);
}

void snap_ends(struct server *server, unsigned from)
{
    struct incoming *incoming = &server->incoming;
    if (!incoming->on || incoming->from != from)
        return;
    uint64_t zxid = incoming->zxid;
    struct state *state = load(incoming);
    if (zxid <= store_last_zxid(server->store))
        violated(server->cluster, "Log", "replica %u gets a snapshot of %llx, but its log goes to %llx", server->id,
                 (unsigned long long)zxid, (unsigned long long)store_last_zxid(server->store));
    int code = PLANTED(SNAPSHOT_NOT_DURABLE) ? ERR_OK : write_snapshot(server, zxid, incoming->bytes, incoming->len);
    snap_forget(server);
    if (code != ERR_OK) {
        state_free(state);
        if (code == ERR_NO_SPACE)
            lose_peer(server, from);
        else
            server_fail(server, "the leader's snapshot is not durable");
        return;
    }
    NOTE(server, "%u has a snapshot of %llx", server->id, (unsigned long long)zxid);
    take(server, zxid, state);
    look_for_name(server);
    server_block(server, server->sync_us + server->slow_us);
    zab_happens(server, (struct zab_event){.kind = ZAB_SNAPSHOT_DONE, .peer = from + 1, .zxid = zxid});
}

/* --- of its own --- */

void checkpoint_forget(struct server *server)
{
    if (server->checkpoint.cursor)
        snapshot_end(server->checkpoint.cursor);
    server->checkpoint.cursor = NULL;
}

/* Who is still to be fed from what is gone now must begin again. */
static void purged(struct server *server)
{
    uint64_t base = store_base_zxid(server->store);
    if (base <= server->purged)
        return;
    server->purged = base;
    items_trim(&server->log, base);
    NOTE(server, "%u: its log begins after %llx now", server->id, (unsigned long long)base);
    for (unsigned peer = 0; peer < server->cluster->server_count; peer++)
        if (server->feeds[peer].on && server->feeds[peer].after < base)
            lose_peer(server, peer);
    zab_happens(server, (struct zab_event){.kind = ZAB_PURGED, .zxid = base});
}

/* What was true when it began is written now, whatever has been applied since. */
static void run_checkpoint(struct cluster *cluster, struct event *event)
{
    struct server *server = cluster->servers[event->end];
    struct checkpoint *checkpoint = &server->checkpoint;
    if (!checkpoint->cursor || checkpoint->zxid != event->tag)
        return;
    uint8_t *bytes = NULL;
    size_t len = 0;
    read_cursor(checkpoint->cursor, &bytes, &len);
    checkpoint->cursor = NULL;
    int code = write_snapshot(server, checkpoint->zxid, bytes, len);
    free(bytes);
    if (code == ERR_OK)
        purged(server);
    else if (code != ERR_NO_SPACE)
        server_fail(server, "its snapshot is not durable");
    server_settle(server);
}

void checkpoint_look(struct server *server)
{
    uint64_t zxid = state_zxid(server->state);
    if (server->checkpoint.cursor || server->full || zxid <= store_snapshot_zxid(server->store) ||
        store_since_snapshot_entries(server->store) < server->checkpoint_every)
        return;
    server->checkpoint.cursor = snapshot_begin(server->state);
    if (!server->checkpoint.cursor)
        return;
    server->checkpoint.zxid = zxid;
    server_later(server, run_checkpoint, zxid, pick_between(server->cluster, 1, 80) * MS);
}
