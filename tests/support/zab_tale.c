/* zab_tale.c - see zab_tale.h: time, and what the test does. */
#include "tests/support/zab_tale.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint64_t tale_draw(struct tale *tale, uint64_t below)
{
    uint64_t z = tale->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (z ^ z >> 31) % below;
}

uint64_t tale_delay(struct tale *tale)
{
    if (tale->fixed)
        return 1;
    return tale_draw(tale, 30) == 0 ? tale_draw(tale, 60) : tale_draw(tale, 4);
}

struct tale *tale_new(size_t members, uint64_t seed)
{
    struct tale *tale = calloc(1, sizeof *tale);
    assert(tale != NULL && members <= TALE_MEMBERS);
    tale->members = members;
    tale->random = seed;
    tale->now_ms = 1000;
    tale->values = calloc(tale->value_capacity = 1024, sizeof *tale->values);
    tale->leader_of_epoch = calloc(tale->epoch_capacity = 4096, sizeof *tale->leader_of_epoch);
    tale->epoch_began = calloc(tale->epoch_capacity, sizeof *tale->epoch_began);
    for (uint32_t id = 1; id <= members; id++) {
        tale->nodes[id].id = id;
        tale->nodes[id].incarnation = 1;
        tale->sync_ms[id] = 1;
    }
    return tale;
}

static void forget_memory(struct tale *tale, struct tale_node *node)
{
    zab_free(node->zab);
    node->zab = NULL;
    node->frozen = node->named = false;
    node->sync_ms = node->snapshot_ms = 0;
    tale_packet_free(node->snapshot);
    node->snapshot = NULL;
    node->trap = 0;
    node->trap_count = 0;
    memset(node->feeding, 0, sizeof node->feeding);
    memset(node->barriers, 0, sizeof node->barriers);
    tale_unlink_all(tale, node->id);
}

void tale_free(struct tale *tale)
{
    for (uint32_t id = 1; id <= tale->members; id++) {
        forget_memory(tale, &tale->nodes[id]);
        free(tale->nodes[id].log.list);
    }
    for (uint32_t a = 1; a <= tale->members; a++)
        for (uint32_t b = 1; b <= tale->members; b++) {
            tale_pipe_clear(&tale->pipes[a][b]);
            tale_packet_free(tale->pipes[a][b].stale);
        }
    free(tale->truth.list);
    free(tale->values);
    free(tale->leader_of_epoch);
    free(tale->epoch_began);
    free(tale);
}

/* The runs of what the disk has from `from` on. */
static size_t read_runs(const struct tale_node *node, size_t from, struct zab_run *runs)
{
    size_t count = 0;
    for (size_t i = from; i < node->log.count; i++) {
        uint64_t zxid = node->log.list[i].zxid;
        if (count == 0 || runs[count - 1].epoch != (uint32_t)(zxid >> 32))
            runs[count++] = (struct zab_run){.epoch = (uint32_t)(zxid >> 32), .first = (uint32_t)zxid};
        runs[count - 1].last = (uint32_t)zxid;
    }
    return count;
}

void tale_start(struct tale *tale, uint32_t id)
{
    struct tale_node *node = &tale->nodes[id];
    struct zab_run *runs = calloc(node->log.count + 1, sizeof *runs);
    uint32_t members[TALE_MEMBERS];
    bool all = tale->fixed || tale_draw(tale, 2) == 0;
    assert(node->zab == NULL && runs != NULL);
    for (uint32_t i = 0; i < tale->members; i++)
        members[i] = i + 1;
    struct zab_options options = {.id = id,
                                  .members = members,
                                  .member_count = tale->members,
                                  .epochs = node->epochs,
                                  .base = tale_list_zxid(&node->log, node->base),
                                  .purged = tale_list_zxid(&node->log, node->purged),
                                  .runs = runs,
                                  .seed = tale->random + id,
                                  .counter_last = tale->counter_last};
    options.run_count = read_runs(node, all ? node->purged : node->base, runs);
    node->durable = node->log.count;
    node->applied = node->base;
    node->zab = zab_new(&options, tale->now_ms);
    free(runs);
    for (uint32_t other = 1; other <= tale->members; other++)
        if (other != id)
            tale_link_open(tale, id, other);
}

void tale_power(struct tale *tale, uint32_t id)
{
    struct tale_node *node = &tale->nodes[id];
    size_t lost = node->log.count - node->durable;
    if (node->zab == NULL)
        return;
    tale->counts.crashes++;
    if (lost > 0 && !tale->fixed)
        lost -= tale_draw(tale, lost + 1);
    node->log.count -= lost;
    node->durable = node->log.count;
    forget_memory(tale, node);
    tale_note(tale, id, "off");
}

void tale_wipe(struct tale *tale, uint32_t id)
{
    struct tale_node *node = &tale->nodes[id];
    tale_power(tale, id);
    node->epochs = (struct zab_epochs){0};
    node->log.count = node->durable = node->base = node->purged = 0;
    node->incarnation++;
}

static uint32_t new_value(struct tale *tale, const char *text, uint64_t zxid, uint32_t by)
{
    if (tale->value_count == tale->value_capacity)
        tale->values = realloc(tale->values, (tale->value_capacity *= 2) * sizeof *tale->values);
    assert(tale->values != NULL);
    struct tale_value *value = &tale->values[tale->value_count];
    *value = (struct tale_value){.zxid = zxid, .by = by};
    snprintf(value->text, sizeof value->text, "%s", text);
    return (uint32_t)tale->value_count++;
}

void tale_found(struct tale *tale, uint32_t id, uint64_t zxid)
{
    struct tale_node *node = &tale->nodes[id];
    uint32_t value = 0;
    while (value < tale->value_count && tale->values[value].zxid != zxid)
        value++;
    if (value == tale->value_count)
        value = new_value(tale, "old", zxid, 0);
    tale_list_add(&node->log, (struct tale_entry){.zxid = zxid, .value = value});
    node->durable = node->log.count;
}

int tale_propose(struct tale *tale, uint32_t id, const char *text)
{
    struct tale_node *node = &tale->nodes[id];
    uint64_t zxid = 0;
    int64_t stamp = 0;
    int code = zab_propose(node->zab, (struct zab_clocks){0}, &zxid, &stamp);
    if (code != ERR_OK)
        return code;
    tale_list_add(&node->log, (struct tale_entry){.zxid = zxid, .value = new_value(tale, text, zxid, id)});
    tale_step(tale, node, (struct zab_event){.kind = ZAB_HEARD, .peer = id == 1 ? 2 : 1}); /* feeds it to all */
    tale_sync(tale, node);
    return ERR_OK;
}

void tale_barrier(struct tale *tale, uint32_t id)
{
    struct tale_node *node = &tale->nodes[id];
    for (uint64_t token = 0; token < sizeof node->barriers / sizeof *node->barriers; token++) {
        if (node->barriers[token].waiting)
            continue;
        node->barriers[token] =
            (struct tale_barrier){.waiting = true, .committed = tale_list_zxid(&tale->truth, tale->truth.count)};
        tale_step(tale, node, (struct zab_event){.kind = ZAB_BARRIER, .token = token});
        return;
    }
}

void tale_purge(struct tale *tale, uint32_t id)
{
    struct tale_node *node = &tale->nodes[id];
    if (node->applied <= node->base)
        return;
    node->base = node->applied;
    node->purged = tale->fixed ? node->base : node->purged + tale_draw(tale, node->base - node->purged + 1);
    for (uint32_t peer = 1; peer <= tale->members; peer++)
        if (node->feeding[peer] && node->fed[peer] < node->purged)
            tale_drop(tale, id, peer);
    tale_step(tale, node, (struct zab_event){.kind = ZAB_PURGED, .zxid = tale_list_zxid(&node->log, node->purged)});
}

void tale_full(struct tale *tale, uint32_t id, bool full)
{
    struct tale_node *node = &tale->nodes[id];
    node->full = full;
    if (!full && node->zab != NULL)
        tale_step(tale, node, (struct zab_event){.kind = ZAB_SPACE});
}

/* --- time --- */

enum what { NOTHING, LINK, PACKET, SYNC, SNAPSHOT, TICK };

struct next {
    enum what what;
    uint64_t at_ms;
    uint32_t a, b;
};

static void consider(struct next *next, enum what what, uint64_t at_ms, uint32_t a, uint32_t b)
{
    if (next->what == NOTHING || at_ms < next->at_ms)
        *next = (struct next){.what = what, .at_ms = at_ms, .a = a, .b = b};
}

static bool runs(const struct tale_node *node)
{
    return node->zab != NULL && !node->frozen;
}

/* Packets come before ticks of the same time: a replica hears what has arrived before it judges who is silent. */
static struct next find_next(struct tale *tale)
{
    struct next next = {0};
    for (uint32_t a = 1; a <= tale->members; a++)
        for (uint32_t b = 1; b <= tale->members; b++) {
            const struct tale_pipe *pipe = &tale->pipes[a][b];
            const struct tale_node *to = &tale->nodes[b];
            if (a < b && tale->links[a][b].up_ms != 0 && runs(&tale->nodes[a]) && runs(to))
                consider(&next, LINK, tale->links[a][b].up_ms, a, b);
            if (pipe->first != NULL && !pipe->clogged && runs(to) && !(to->snapshot != NULL && to->snapshot_from == a))
                consider(&next, PACKET, pipe->first->due_ms, a, b);
        }
    for (uint32_t id = 1; id <= tale->members; id++) {
        const struct tale_node *node = &tale->nodes[id];
        if (!runs(node))
            continue;
        if (node->sync_ms != 0)
            consider(&next, SYNC, node->sync_ms, id, 0);
        if (node->snapshot != NULL)
            consider(&next, SNAPSHOT, node->snapshot_ms, id, 0);
        if (zab_deadline(node->zab) != UINT64_MAX)
            consider(&next, TICK, zab_deadline(node->zab), id, 0);
    }
    return next;
}

bool tale_next(struct tale *tale, uint64_t until_ms)
{
    struct next next = find_next(tale);
    if (next.what == NOTHING || next.at_ms > until_ms) {
        tale->now_ms = until_ms > tale->now_ms ? until_ms : tale->now_ms;
        return false;
    }
    if (next.at_ms > tale->now_ms)
        tale->now_ms = next.at_ms;
    tale->counts.steps++;
    if (next.what == LINK) {
        struct tale_link *link = tale_link_of(tale, next.a, next.b);
        link->up_ms = 0;
        link->up = true;
        tale_step(tale, &tale->nodes[next.a], (struct zab_event){.kind = ZAB_LINK_UP, .peer = next.b});
        tale_step(tale, &tale->nodes[next.b], (struct zab_event){.kind = ZAB_LINK_UP, .peer = next.a});
    } else if (next.what == PACKET) {
        tale_receive(tale, next.a, next.b);
    } else if (next.what == SYNC) {
        tale_sync_done(tale, &tale->nodes[next.a]);
    } else if (next.what == SNAPSHOT) {
        tale_snapshot_done(tale, &tale->nodes[next.a]);
    } else {
        tale_step(tale, &tale->nodes[next.a], (struct zab_event){.kind = ZAB_TICK});
    }
    return true;
}

void tale_run(struct tale *tale, uint64_t ms)
{
    uint64_t until_ms = tale->now_ms + ms;
    while (tale->wrong[0] == '\0' && tale_next(tale, until_ms))
        ;
}

/* --- what there is --- */

uint32_t tale_leader(const struct tale *tale)
{
    uint32_t leader = 0, epoch = 0;
    for (uint32_t id = 1; id <= tale->members; id++) {
        const struct zab *zab = tale->nodes[id].zab;
        if (zab == NULL || tale->nodes[id].frozen || zab_role(zab) != ZAB_LEADING || zab_phase(zab) != ZAB_BROADCAST)
            continue;
        if (zab_epoch(zab) > epoch) {
            leader = id;
            epoch = zab_epoch(zab);
        }
    }
    return leader;
}

bool tale_settled(const struct tale *tale)
{
    uint32_t leader = tale_leader(tale);
    if (leader == 0)
        return false;
    for (uint32_t id = 1; id <= tale->members; id++) {
        const struct tale_node *node = &tale->nodes[id];
        if (node->zab == NULL || node->frozen)
            continue;
        if (zab_phase(node->zab) != ZAB_BROADCAST || zab_leader(node->zab) != leader)
            return false;
        if (node->applied != tale->truth.count || node->log.count != node->applied || !zab_voter(node->zab))
            return false;
    }
    return true;
}
