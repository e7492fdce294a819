/* zab_tale_node.c - see zab_tale.h: a replica carries out what its core asks for, in that order. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zab_tale.h"

enum { BATCH = 4 }; /* entries in one message */

uint64_t tale_list_zxid(const struct tale_list *list, size_t count)
{
    return count == 0 ? 0 : list->list[count - 1].zxid;
}

void tale_list_add(struct tale_list *list, struct tale_entry entry)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
        list->list = realloc(list->list, list->capacity * sizeof *list->list);
        assert(list->list != NULL);
    }
    list->list[list->count++] = entry;
}

/* How many entries are ≤ zxid. */
static size_t count_to(const struct tale_list *list, uint64_t zxid)
{
    size_t count = list->count;
    while (count > 0 && list->list[count - 1].zxid > zxid)
        count--;
    return count;
}

/* --- feeding --- */

static void feed_batch(struct tale *tale, struct tale_node *node, uint32_t peer)
{
    struct tale_packet packet = {.kind = PACKET_ZAB};
    size_t at = node->fed[peer];
    if (at > node->purged && !tale->fixed && tale_draw(tale, 40) == 0)
        at = --node->fed[peer]; /* twice: must be tolerated */
    uint64_t first = node->log.list[at].zxid;
    while (at < node->log.count && node->log.list[at].zxid >> 32 == first >> 32 && packet.list.count < BATCH)
        tale_list_add(&packet.list, node->log.list[at++]);
    packet.message =
        zab_entries(node->zab, tale_list_zxid(&node->log, node->fed[peer]), first, (uint32_t)packet.list.count);
    node->fed[peer] = at;
    tale_send(tale, node->id, peer, packet);
}

static void feed_all(struct tale *tale, struct tale_node *node)
{
    for (uint32_t peer = 1; peer <= tale->members; peer++)
        while (node->feeding[peer] && node->fed[peer] < node->log.count)
            feed_batch(tale, node, peer);
}

static void carry_out(struct tale *tale, struct tale_node *node, struct zab_update *update);

static void begin_feed(struct tale *tale, struct tale_node *node, const struct zab_action *action)
{
    struct tale_packet end = {.kind = PACKET_END};
    struct zab_update update = {0};
    size_t from = count_to(&node->log, action->zxid);
    if (action->snapshot) {
        assert(tale_list_zxid(&node->log, node->applied) >= action->zxid);
        from = node->applied;
        zab_snapshot_begun(node->zab, action->peer, tale_list_zxid(&node->log, from), &update);
        carry_out(tale, node, &update);
        zab_update_free(&update);
        for (int i = 0; i < 3; i++)
            tale_send(tale, node->id, action->peer, (struct tale_packet){.kind = PACKET_CHUNK});
        for (size_t i = 0; i < from; i++)
            tale_list_add(&end.list, node->log.list[i]);
        tale_send(tale, node->id, action->peer, end);
    } else if (from < node->purged || tale_list_zxid(&node->log, from) != action->zxid) {
        tale_wrong(tale, "%u is to feed %u after %s, which it cannot", node->id, action->peer, tale_zxid(action->zxid));
    }
    node->feeding[action->peer] = true;
    node->fed[action->peer] = from;
}

/* --- actions --- */

static void append(struct tale *tale, struct tale_node *node, uint32_t skip)
{
    const struct tale_list *list = &node->hand->list;
    for (size_t i = skip; i < list->count; i++) {
        if (list->list[i].zxid <= tale_list_zxid(&node->log, node->log.count))
            tale_wrong(tale, "%u appends %s behind its log's end", node->id, tale_zxid(list->list[i].zxid));
        tale_list_add(&node->log, list->list[i]);
    }
    tale_sync(tale, node);
}

static void truncate_log(struct tale *tale, struct tale_node *node, uint64_t zxid)
{
    size_t count = count_to(&node->log, zxid);
    tale->counts.truncations++;
    if (count < node->applied)
        tale_wrong(tale, "%u cuts what it has applied", node->id);
    node->log.count = count;
    node->durable = count;
    node->sync_ms = 0;
}

static void apply(struct tale *tale, struct tale_node *node, uint64_t zxid)
{
    size_t to = count_to(&node->log, zxid);
    if (to > node->durable)
        tale_wrong(tale, "%u commits what is not durable", node->id);
    while (node->applied < to) {
        const struct tale_value *value = &tale->values[node->log.list[node->applied].value];
        tale_check_commit(tale, node, node->applied++);
        if (value->named == node->id && value->incarnation == node->incarnation)
            node->named = true;
    }
}

static void name_follower(struct tale *tale, struct tale_node *node, uint32_t peer)
{
    char text[24];
    uint32_t incarnation = tale->nodes[peer].incarnation;
    snprintf(text, sizeof text, "name-%u-%u", peer, incarnation);
    size_t at = tale->value_count;
    if (tale_propose(tale, node->id, text) == ERR_OK) {
        tale->values[at].named = peer;
        tale->values[at].incarnation = incarnation;
    }
}

static void take_role(struct tale *tale, struct tale_node *node, const struct zab_action *action)
{
    if (action->role == ZAB_LOOKING) {
        memset(node->barriers, 0, sizeof node->barriers);
        tale_packet_free(node->snapshot);
        node->snapshot = NULL;
    } else if (action->role == ZAB_LEADING) {
        tale_check_leader(tale, node, action->epoch);
    } else {
        tale_check_follower(tale, node, action->epoch);
    }
}

static void carry_out_one(struct tale *tale, struct tale_node *node, const struct zab_action *action)
{
    switch (action->kind) {
    case ZAB_SET_EPOCHS:
        node->epochs = action->epochs;
        break;
    case ZAB_TRUNCATE:
        truncate_log(tale, node, action->zxid);
        break;
    case ZAB_APPEND:
        append(tale, node, action->skip);
        break;
    case ZAB_SEND:
        tale_send(tale, node->id, action->peer, (struct tale_packet){.message = action->message});
        break;
    case ZAB_FEED:
        begin_feed(tale, node, action);
        break;
    case ZAB_UNFEED:
        node->feeding[action->peer] = false;
        break;
    case ZAB_DROP:
        tale_drop(tale, node->id, action->peer);
        break;
    case ZAB_COMMITTED:
        apply(tale, node, action->zxid);
        break;
    case ZAB_ROLE:
        take_role(tale, node, action);
        break;
    case ZAB_BARRIER_DONE:
        tale_check_barrier(tale, node, action);
        break;
    case ZAB_FOLLOWER_NEW:
        name_follower(tale, node, action->peer);
        break;
    case ZAB_FATAL:
        tale_wrong(tale, "%u ends: %s", node->id, error_name(action->code));
        break;
    }
}

static bool trapped(struct tale_node *node, const struct zab_action *action)
{
    if (node->trap_count > 0 && --node->trap_count == 0)
        return true;
    return node->trap != 0 && node->trap == action->kind;
}

static void carry_out(struct tale *tale, struct tale_node *node, struct zab_update *update)
{
    for (size_t i = 0; i < update->count && node->zab != NULL; i++) {
        if (trapped(node, &update->list[i])) {
            tale_power(tale, node->id);
            return;
        }
        tale_note_action(tale, node, &update->list[i]);
        carry_out_one(tale, node, &update->list[i]);
    }
}

void tale_step(struct tale *tale, struct tale_node *node, struct zab_event event)
{
    struct zab_update update = {0};
    if (node->zab == NULL)
        return;
    event.now_ms = tale->now_ms;
    if (event.peer <= tale->members)
        zab_step(node->zab, &event, &update);
    carry_out(tale, node, &update);
    zab_update_free(&update);
    if (node->zab == NULL)
        return;
    feed_all(tale, node);
    if (node->named) {
        node->named = false;
        tale->counts.named++;
        tale_step(tale, node, (struct zab_event){.kind = ZAB_NAMED});
    }
}

/* --- the disk --- */

void tale_sync(struct tale *tale, struct tale_node *node)
{
    if (node->zab == NULL || node->sync_ms != 0 || node->durable == node->log.count)
        return;
    uint64_t takes = tale->sync_ms[node->id];
    node->sync_ms = tale->now_ms + takes + (tale->fixed ? 0 : tale_draw(tale, 2 * takes + 1));
    node->sync_to = node->log.count;
}

void tale_sync_done(struct tale *tale, struct tale_node *node)
{
    node->sync_ms = 0;
    if (node->full) {
        tale->counts.withdrawn++;
        node->log.count = node->durable;
        for (uint32_t peer = 1; peer <= tale->members; peer++)
            if (node->fed[peer] > node->log.count)
                node->fed[peer] = node->log.count;
        tale_step(tale, node,
                  (struct zab_event){.kind = ZAB_WITHDRAWN, .zxid = tale_list_zxid(&node->log, node->durable)});
        return;
    }
    node->durable = node->sync_to;
    tale_sync(tale, node);
    tale_step(tale, node, (struct zab_event){.kind = ZAB_DURABLE, .zxid = tale_list_zxid(&node->log, node->durable)});
}

void tale_snapshot_done(struct tale *tale, struct tale_node *node)
{
    struct tale_packet *packet = node->snapshot;
    node->snapshot = NULL;
    tale->counts.snapshots++;
    tale_note(tale, node->id, "has a snapshot of %s", tale_zxid(tale_list_zxid(&packet->list, packet->list.count)));
    free(node->log.list);
    node->log = packet->list;
    packet->list = (struct tale_list){0};
    tale_packet_free(packet);
    size_t old = node->applied;
    node->durable = node->base = node->purged = node->log.count;
    node->sync_ms = 0;
    for (node->applied = 0; node->applied < node->log.count; node->applied++) {
        const struct tale_value *value = &tale->values[node->log.list[node->applied].value];
        tale_check_commit(tale, node, node->applied);
        if (node->applied >= old && value->named == node->id && value->incarnation == node->incarnation)
            node->named = true;
    }
    tale_step(tale, node,
              (struct zab_event){.kind = ZAB_SNAPSHOT_DONE, .zxid = tale_list_zxid(&node->log, node->log.count)});
}

void tale_receive_kept(struct tale *tale, struct tale_node *node, uint32_t from, struct tale_packet *packet)
{
    struct zab_event event = {.kind = ZAB_HEARD, .peer = from};
    if (packet->kind == PACKET_END) {
        if (zab_role(node->zab) == ZAB_FOLLOWING && zab_leader(node->zab) == from &&
            tale_list_zxid(&packet->list, packet->list.count) > zab_last(node->zab)) {
            node->snapshot = packet;
            node->snapshot_from = from;
            node->snapshot_ms = tale->now_ms + 5 + (tale->fixed ? 0 : tale_draw(tale, 60));
            packet = NULL;
        }
    } else if (packet->kind == PACKET_ZAB) {
        event.kind = ZAB_RECEIVE;
        event.message = &packet->message;
        node->hand = packet;
    }
    tale_step(tale, node, event);
    node->hand = NULL;
    tale_packet_free(packet);
}
