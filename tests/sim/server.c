#include "tests/sim/server_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- clocks --- */

static int64_t with_drift(const struct server *server)
{
    int64_t now_us = (int64_t)server->cluster->now_us;
    return now_us + now_us / 1000 * server->drift_ppm / 1000;
}

uint64_t server_ms(const struct server *server)
{
    return server->boot_ms + (uint64_t)with_drift(server) / MS;
}

int64_t server_wall_ns(const struct server *server)
{
    return 1700000000000000000 + with_drift(server) * 1000 + server->wall_ns;
}

struct zab_clocks server_clocks(const struct server *server)
{
    return (struct zab_clocks){server_wall_ns(server), server_ms(server) * 1000000};
}

void server_jump_clock(struct server *server, int64_t by_ns)
{
    server->wall_ns += by_ns;
}

/* --- events --- */

void server_later(struct server *server, void (*run)(struct cluster *, struct event *), uint64_t tag, uint64_t delay_us)
{
    event_add(server->cluster,
              (struct event){.run = run, .end = server->index, .other = ENDS_MAX, .life = server->life, .tag = tag},
              delay_us);
}

void server_block(struct server *server, uint64_t for_us)
{
    uint64_t from_us = server->stalled_us > server->cluster->now_us ? server->stalled_us : server->cluster->now_us;
    server->stalled_us = from_us + for_us;
}

void server_fail(struct server *server, const char *why)
{
    if (!server->failing)
        NOTE(server, "%u fails: %s", server->id, why);
    server->failing = true;
}

static void run_tick(struct cluster *cluster, struct event *event)
{
    struct server *server = cluster->servers[event->end];
    if (event->tag != server->tick_number)
        return;
    server->tick_at_us = UINT64_MAX;
    zab_happens(server, (struct zab_event){.kind = ZAB_TICK});
    server_settle(server);
}

/* The tick is for the earliest deadline; one that has become later does no harm. */
static void arm(struct server *server)
{
    uint64_t deadline_ms = zab_deadline(server->zab), now_ms = server_ms(server);
    if (deadline_ms == UINT64_MAX)
        return;
    uint64_t delay_us = deadline_ms > now_ms ? (deadline_ms - now_ms) * MS : 200;
    uint64_t at_us = server->cluster->now_us + delay_us;
    if (at_us >= server->tick_at_us)
        return;
    server->tick_at_us = at_us;
    server_later(server, run_tick, ++server->tick_number, delay_us);
}

static void run_house(struct cluster *cluster, struct event *event)
{
    struct server *server = cluster->servers[event->end];
    lead_tick(server);
    checkpoint_look(server);
    server_settle(server);
    if (server->life == event->life)
        server_later(server, run_house, 0, TICK_MS * MS);
}

static void run_restart(struct cluster *cluster, struct event *event)
{
    struct server *server = cluster->servers[event->tag];
    if (server->life == 0 && !server->held)
        server_start(server);
}

void server_settle(struct server *server)
{
    if (server->settling || server->life == 0)
        return;
    server->settling = true;
    carry_out(server);
    if (!server->failing) {
        feed_pump(server);
        mounts_pump(server);
        log_sync_later(server);
        carry_out(server);
    }
    server->settling = false;
    if (!server->failing) {
        arm(server);
        return;
    }
    server_crash(server, simdisk_is_off(server->disk) ? POWER_LOST : PROCESS_KILLED);
    event_add(server->cluster, (struct event){.run = run_restart, .end = ENDS_MAX, .tag = server->index},
              pick_between(server->cluster, 50, 1500) * MS);
}

/* --- life --- */

struct server *server_new(struct cluster *cluster, unsigned index)
{
    struct server *server = calloc(1, sizeof *server);
    assert(server);
    server->cluster = cluster;
    server->index = index;
    server->id = index + 1;
    for (unsigned i = 0; i < cluster->server_count; i++)
        server->members[i] = i + 1;
    for (size_t i = 0; i < sizeof server->identity; i++)
        server->identity[i] = (uint8_t)pick(cluster, 256);
    server->disk = simdisk_new();
    server->sync_us = pick_between(cluster, 50, 2000);
    server->drift_ppm = (int64_t)pick(cluster, 40001) - 20000;
    server->wall_ns = ((int64_t)pick(cluster, 2001) - 1000) * 1000000;
    server->boot_ms = pick_between(cluster, 1000, 1000000);
    server->checkpoint_every = pick_between(cluster, 10, 120);
    server->timing = cluster->timing;
    server->counter_last = cluster->counter_last;
    return server;
}

static void free_process(struct server *server)
{
    for (unsigned i = 0; i < SERVERS_MAX; i++)
        feed_end(server, i);
    snap_forget(server);
    checkpoint_forget(server);
    if (server->zab)
        zab_free(server->zab);
    if (server->state)
        state_free(server->state);
    store_close(server->store);
    server->zab = NULL;
    server->state = NULL;
    server->store = NULL;
    free(server->asks);
    free(server->roster);
    free(server->barriers);
    server->asks = NULL;
    server->roster = NULL;
    server->barriers = NULL;
    server->ask_count = server->ask_room = server->roster_count = server->roster_room = 0;
    server->barrier_count = server->barrier_room = 0;
    memset(server->attachments, 0, sizeof server->attachments);
    server->update.count = 0;
}

void server_free(struct server *server)
{
    free_process(server);
    items_free(&server->log);
    zab_update_free(&server->update);
    simdisk_free(server->disk);
    free(server);
}

uint64_t server_life(const struct server *server)
{
    return server->life;
}

uint64_t server_stalled_until(const struct server *server)
{
    return server->stalled_us;
}

void server_stall(struct server *server, uint64_t for_us)
{
    server_block(server, for_us);
    event_put_off(server->cluster, server->index, server->stalled_us);
    network_end_stalls(server->cluster, server->index);
}

void server_go_on(struct server *server)
{
    event_put_off(server->cluster, server->index, server->cluster->now_us);
    server->stalled_us = 0;
}

static void begin(struct server *server)
{
    struct cluster *cluster = server->cluster;
    server->life = ++server->lives;
    server->stalled_us = 0;
    server->failing = server->full = server->syncing = false;
    server->crash_at_action = 0;
    server->role = ZAB_LOOKING;
    server->leader = 0;
    server->tick_at_us = UINT64_MAX;
    server->running_at_ms = server_ms(server);
    server_later(server, run_house, 0, TICK_MS * MS);
    network_end_lives(cluster, server->index);
    look_for_name(server);
    zab_happens(server, (struct zab_event){.kind = ZAB_TICK});
    server_settle(server);
}

/* A disk that is damaged is replaced: the replica is rebuilt from the others, or never. */
void server_start(struct server *server)
{
    assert(server->life == 0);
    items_free(&server->log);
    server->durable = 0;
    int code = load_all(server);
    if (code == ERR_CORRUPT || code == ERR_BAD_FORMAT) {
        NOTE(server, "%u finds its disk corrupt", server->id);
        if (!server->flipped)
            violated(server->cluster, "Disk", "replica %u finds a disk corrupt that was not damaged", server->id);
        free_process(server);
        server_wipe(server);
        code = load_all(server);
    }
    if (code == ERR_OK) {
        begin(server);
        return;
    }
    free_process(server); /* a failing disk: again later */
    if (simdisk_is_off(server->disk))
        simdisk_power_loss(server->disk, pick(server->cluster, UINT64_MAX));
    event_add(server->cluster, (struct event){.run = run_restart, .end = ENDS_MAX, .tag = server->index},
              pick_between(server->cluster, 100, 2000) * MS);
}

void server_crash(struct server *server, enum power power)
{
    struct cluster *cluster = server->cluster;
    if (server->life == 0)
        return;
    NOTE(server, "%u %s", server->id, power == POWER_LOST ? "loses its power" : "is killed");
    note(cluster, 'C', server->index, power);
    cluster->outcome->counts.crashes++;
    cluster->outcome->counts.power_losses += power == POWER_LOST;
    server->durable = store_durable_zxid(server->store);
    free_process(server);
    server->life = 0;
    server->stalled_us = 0;
    network_end_dies(cluster, server->index);
    if (power == POWER_LOST)
        simdisk_power_loss(server->disk, pick(cluster, UINT64_MAX));
    else
        simdisk_reset(server->disk);
}

void server_hold(struct server *server, bool held)
{
    server->held = held;
}

/* --- the disk's faults --- */

void server_slow_disk(struct server *server, uint64_t sync_us)
{
    server->slow_us = sync_us;
}

void server_fail_disk(struct server *server, uint64_t calls, uint64_t count, int error)
{
    simdisk_fail(server->disk, simdisk_calls(server->disk) + calls, count, error);
}

void server_heal_disk(struct server *server)
{
    server->slow_us = 0;
    server->crash_at_action = 0;
    if (!simdisk_is_off(server->disk))
        simdisk_reset(server->disk);
}

void server_cut_power_at_call(struct server *server, uint64_t calls)
{
    if (server->life != 0)
        simdisk_power_off(server->disk, simdisk_calls(server->disk) + calls);
}

void server_crash_at_action(struct server *server, unsigned actions)
{
    server->crash_at_action = actions;
}

void server_flip_bit(struct server *server)
{
    struct cluster *cluster = server->cluster;
    size_t count = 0;
    while (simdisk_name(server->disk, count))
        count++;
    if (count == 0)
        return;
    const char *name = simdisk_name(server->disk, pick(cluster, count));
    uint64_t size = simdisk_size(server->disk, name);
    if (size == 0)
        return;
    server->flipped = true;
    simdisk_flip(server->disk, name, pick(cluster, size * 8));
    NOTE(server, "%u has a bit flipped in %s", server->id, name);
}

void server_wipe(struct server *server)
{
    assert(server->life == 0);
    NOTE(server, "%u has an empty disk", server->id);
    simdisk_free(server->disk);
    server->disk = simdisk_new();
    server->damaged = true;
    server->flipped = server->voter = false;
    server->durable = 0;
    server->cluster->outcome->counts.wipes++;
    items_free(&server->log);
    for (size_t i = 0; i < sizeof server->identity; i++)
        server->identity[i] = (uint8_t)pick(server->cluster, 256);
}

/* --- what it is --- */

void server_view(const struct server *server, struct server_view *view)
{
    *view = (struct server_view){.id = server->id,
                                 .damaged = server->damaged || server->flipped,
                                 .voter = server->voter,
                                 .alive = server->life != 0};
    if (!view->alive)
        return;
    view->leading = server->role == ZAB_LEADING;
    view->following = server->role == ZAB_FOLLOWING;
    view->epoch = zab_epoch(server->zab);
    view->applied = state_zxid(server->state);
    view->digest = state_digest(server->state);
    view->committed = zab_committed(server->zab);
    view->last = zab_last(server->zab);
}

bool server_holds(const struct server *server, uint64_t zxid, uint64_t hash)
{
    uint64_t durable = server->store ? store_durable_zxid(server->store) : server->durable;
    if (zxid > durable)
        return false;
    if (zxid <= server->log.floor)
        return true; /* a snapshot has it: only what is committed is in one */
    size_t after = items_after(&server->log, zxid);
    return after > 0 && server->log.list[after - 1]->zxid == zxid && server->log.list[after - 1]->hash == hash;
}

/* --- links --- */

void server_link(struct cluster *cluster, unsigned index, unsigned other, bool up)
{
    struct server *server = cluster->servers[index];
    if (server->life == 0)
        return;
    if (other >= SERVERS_MAX) {
        mounts_link(server, other - SERVERS_MAX, up);
        server_settle(server);
        return;
    }
    NOTE(server, "%u: link to %u %s", server->id, other + 1, up ? "up" : "down");
    if (!up) {
        feed_end(server, other);
        if (server->incoming.on && server->incoming.from == other)
            snap_forget(server);
    } else {
        struct peer_message hello = {.kind = PEER_HELLO, .hello = {.id = server->id}};
        memcpy(hello.hello.identity, server->identity, sizeof server->identity);
        say(server, other, &hello, NULL, 0);
    }
    zab_happens(server, (struct zab_event){.kind = up ? ZAB_LINK_UP : ZAB_LINK_DOWN, .peer = other + 1});
    server_settle(server);
}
