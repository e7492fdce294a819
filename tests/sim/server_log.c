/* The log: in memory above its floor, and in the store. */
#include "tests/sim/server_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "tests/sim/faults.h"

enum { SPACE_RETRY_MS = 300 };

/* --- a full disk --- */

static void run_retry(struct cluster *cluster, struct event *event)
{
    struct server *server = cluster->servers[event->end];
    int code = store_prepare(server->store);
    if (code == ERR_NO_SPACE) {
        server_later(server, run_retry, 0, SPACE_RETRY_MS * MS);
    } else if (code != ERR_OK) {
        log_failed(server, code, "no room can be made");
    } else {
        NOTE(server, "%u has space again", server->id);
        server->full = false;
        zab_happens(server, (struct zab_event){.kind = ZAB_SPACE});
        lead_has_space(server);
    }
    server_settle(server);
}

/* What was not durable is gone. */
static void withdraw(struct server *server)
{
    uint64_t zxid = store_last_zxid(server->store);
    NOTE(server, "%u: the disk is full, the log ends at %llx", server->id, (unsigned long long)zxid);
    items_cut(&server->log, zxid);
    if (!server->full)
        server_later(server, run_retry, 0, SPACE_RETRY_MS * MS);
    server->full = true;
    zab_happens(server, (struct zab_event){.kind = ZAB_WITHDRAWN, .zxid = zxid});
    lead_withdrawn(server);
}

void log_failed(struct server *server, int code, const char *what)
{
    if (code == ERR_NO_SPACE)
        withdraw(server);
    else
        server_fail(server, what);
}

/* --- durable --- */

static void sync_now(struct server *server)
{
    int code = store_sync(server->store);
    if (code != ERR_OK) {
        log_failed(server, code, "the log does not sync");
        return;
    }
    server->told_durable = store_durable_zxid(server->store);
    zab_happens(server, (struct zab_event){.kind = ZAB_DURABLE, .zxid = server->told_durable});
}

/* The store also syncs by itself, when a snapshot is done: zab must hear of that, too. */
static bool news(const struct server *server)
{
    return store_last_zxid(server->store) > store_durable_zxid(server->store) ||
           store_durable_zxid(server->store) > server->told_durable;
}

static void run_sync(struct cluster *cluster, struct event *event)
{
    struct server *server = cluster->servers[event->end];
    server->syncing = false;
    if (news(server))
        sync_now(server);
    server_settle(server);
}

void log_sync_later(struct server *server)
{
    if (server->syncing || !news(server))
        return;
    server->syncing = true;
    server_later(server, run_sync, 0, server->sync_us / 2 + pick(server->cluster, server->sync_us) + server->slow_us);
}

/* --- changing it --- */

int log_append(struct server *server, struct item *item)
{
    if (item->zxid <= items_last(&server->log))
        violated(server->cluster, "Log", "replica %u appends %llx after %llx", server->id,
                 (unsigned long long)item->zxid, (unsigned long long)items_last(&server->log));
    int code = store_append(server->store, item->zxid, item->bytes);
    if (code == ERR_TOO_MANY) {
        sync_now(server);
        code = server->failing || server->full ? ERR_NO_SPACE : store_append(server->store, item->zxid, item->bytes);
    }
    if (code == ERR_OK) {
        items_push(&server->log, item);
        return ERR_OK;
    }
    item_unref(item);
    if (!server->failing && !server->full)
        log_failed(server, code, "the log takes no entry");
    return code;
}

/* The follower's part: what the leader sent, but for what is there already. */
void log_accept(struct server *server, const struct packet *packet, uint32_t skip)
{
    assert(packet && packet->peer.kind == PEER_ENTRIES && skip <= packet->item_count);
    for (size_t i = skip; i < packet->item_count && !server->failing && !server->full; i++)
        log_append(server, item_ref(packet->items[i]));
}

void log_truncate(struct server *server, uint64_t zxid)
{
    NOTE(server, "%u cuts its log from %llx to %llx", server->id, (unsigned long long)items_last(&server->log),
         (unsigned long long)zxid);
    server->cluster->outcome->counts.truncations++;
    if (zxid < state_zxid(server->state))
        violated(server->cluster, "Log", "replica %u is to cut its log to %llx, but has applied %llx", server->id,
                 (unsigned long long)zxid, (unsigned long long)state_zxid(server->state));
    faults_at_truncation(server->cluster, server);
    int code = store_truncate(server->store, zxid);
    if (code != ERR_OK && !PLANTED(TRUNCATE_FAILURE_IGNORED)) {
        server_fail(server, "the log is not cut"); /* a failed truncate is fatal */
        return;
    }
    items_cut(&server->log, zxid);
    if (server->told_durable > zxid)
        server->told_durable = zxid;
    server_block(server, server->sync_us + server->slow_us);
}

/* --- feeding followers --- */

/* Sometimes a follower is given again what it has already: that must do no harm. */
static uint64_t overlap(struct server *server, uint64_t zxid)
{
    size_t from = items_after(&server->log, zxid);
    size_t back = chance(server->cluster, 150) ? (size_t)pick(server->cluster, 4) : 0;
    for (; back > 0 && from > 1 && server->log.list[from - 1]->zxid >> 32 == server->log.list[from - 2]->zxid >> 32;
         back--)
        from--;
    return from > 0 && server->log.list[from - 1]->zxid <= zxid ? server->log.list[from - 1]->zxid : zxid;
}

void feed_begin(struct server *server, const struct zab_action *action)
{
    unsigned peer = action->peer - 1;
    feed_end(server, peer);
    if (!action->snapshot && action->zxid < server->log.floor)
        violated(server->cluster, "Log", "replica %u is to feed %u from %llx, but its log begins at %llx", server->id,
                 peer + 1, (unsigned long long)action->zxid, (unsigned long long)server->log.floor);
    server->feeds[peer].on = true;
    server->feeds[peer].after = action->snapshot ? action->zxid : overlap(server, action->zxid);
    if (action->snapshot)
        snap_feed(server, peer);
}

void feed_end(struct server *server, unsigned peer)
{
    struct feed *feed = &server->feeds[peer];
    free(feed->snapshot);
    *feed = (struct feed){.number = feed->number + 1};
}

/* One message's entries are of one epoch. */
static size_t batch_count(const struct server *server, size_t from)
{
    size_t count = 1;
    uint64_t epoch = server->log.list[from]->zxid >> 32;
    while (count < BATCH_ITEMS && from + count < server->log.count &&
           server->log.list[from + count]->zxid >> 32 == epoch)
        count++;
    return count;
}

static void feed_some(struct server *server, unsigned peer, struct feed *feed)
{
    size_t from = items_after(&server->log, feed->after), count = batch_count(server, from);
    struct item *const *items = server->log.list + from;
    struct peer_message message = {.kind = PEER_ENTRIES};
    message.entries.zab = zab_entries(server->zab, feed->after, items[0]->zxid, (uint32_t)count);
    say(server, peer, &message, items, count);
    feed->after = items[count - 1]->zxid;
}

void feed_pump(struct server *server)
{
    uint64_t last = items_last(&server->log);
    for (unsigned peer = 0; peer < server->cluster->server_count; peer++) {
        struct feed *feed = &server->feeds[peer];
        while (feed->on && !feed->snapshot && feed->after < last)
            feed_some(server, peer, feed);
    }
}
