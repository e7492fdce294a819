/* What goes by itself: ephemerals with their session, znodes with a TTL when it has run out. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check_internal.h"

#define LLU(x) ((unsigned long long)(x))
enum { NS_PER_MS = 1000000, OVERDUE_US = 5000 * MS };

static struct known_node *find(struct check *check, uint64_t id)
{
    for (size_t i = 0; i < check->node_count; i++)
        if (check->nodes[i].id == id)
            return &check->nodes[i];
    return NULL;
}

static void made(struct check *check, const struct entry *entry, uint64_t id)
{
    const struct lifetime *lifetime = &entry->request.create.lifetime;
    if (entry->request.kind != OP_CREATE || (!lifetime->ephemeral && lifetime->ttl_ms == 0))
        return;
    check->nodes = grown(check->nodes, check->node_count, &check->node_room, sizeof *check->nodes);
    check->nodes[check->node_count++] = (struct known_node){.id = id,
                                                            .session = lifetime->ephemeral ? entry->session : 0,
                                                            .ttl_ms = lifetime->ttl_ms,
                                                            .changed_ns = entry->stamp_ns};
}

/* --- what happens --- */

static void judge_end(struct cluster *cluster, const struct known_node *node, const struct entry *entry)
{
    const struct request *request = &entry->request;
    bool closed = request->kind == OP_CLOSE_SESSION && request->close_session.session == node->session;
    bool deleted = entry->session != 0 && request->kind == OP_DELETE;
    int64_t age_ms = (entry->stamp_ns - node->changed_ns) / NS_PER_MS;
    cluster->outcome->counts.ephemerals += closed;
    if (closed || deleted)
        return;
    cluster->outcome->counts.timed_out++;
    if (node->ttl_ms == 0)
        violated(cluster, "Ephemerals", "znode %llu goes, but its session %llu lives", LLU(node->id),
                 LLU(node->session));
    else if (age_ms < (int64_t)node->ttl_ms)
        violated(cluster, "Ttl", "znode %llu goes %lld ms after its last change, of %llu", LLU(node->id),
                 (long long)age_ms, LLU(node->ttl_ms));
}

static void seen(struct cluster *cluster, const struct change *change, const struct entry *entry)
{
    struct check *check = cluster->check;
    struct known_node *node = find(check, change->id);
    if (change->kind == CHANGE_CREATE && !node)
        made(check, entry, change->id);
    else if (change->kind == CHANGE_DELETE && node) {
        judge_end(cluster, node, entry);
        *node = check->nodes[--check->node_count];
    } else if (node && (change->kind == CHANGE_DATA || change->kind == CHANGE_ATTR)) {
        node->changed_ns = entry->stamp_ns;
        node->due_us = 0;
    }
}

/* --- what must hold after each entry --- */

static void judge_rest(struct cluster *cluster, const struct entry *entry, bool closed)
{
    struct check *check = cluster->check;
    for (size_t i = 0; i < check->node_count; i++) {
        struct known_node *node = &check->nodes[i];
        if (closed && node->session == entry->request.close_session.session)
            violated(cluster, "Ephemerals", "znode %llu outlives its session %llu", LLU(node->id), LLU(node->session));
        if (!state_node(check->state, node->id))
            violated(cluster, "Ephemerals", "znode %llu is gone, and no change told so", LLU(node->id));
        bool due = node->ttl_ms > 0 && entry->stamp_ns - node->changed_ns >= (int64_t)node->ttl_ms * NS_PER_MS;
        if (due && node->due_us == 0)
            node->due_us = cluster->now_us;
    }
}

void lives_applied(struct cluster *cluster, const struct entry *entry, const struct result *result)
{
    const struct changes *changes = &cluster->check->changes;
    bool closed = entry->request.kind == OP_CLOSE_SESSION && result->code == ERR_OK;
    for (size_t i = 0; i < changes->count; i++)
        if (changes->list[i].kind != CHANGE_LOCK && changes->list[i].kind != CHANGE_SESSION_OPEN &&
            changes->list[i].kind != CHANGE_SESSION_CLOSE)
            seen(cluster, &changes->list[i], entry);
    judge_rest(cluster, entry, closed);
}

/* --- once all is well --- */

void check_settled(struct cluster *cluster, uint64_t since_us)
{
    const struct check *check = cluster->check;
    bool expiring = cluster->counter_last == 0; /* else terms are shorter than sessions: none expires */
    for (size_t i = 0; i < check->lock_count && expiring; i++)
        if (check->locks[i].since_us < since_us)
            violated(cluster, "Liveness", "lock %llx of session %llu is still %s", LLU(check->locks[i].name),
                     LLU(check->locks[i].session), check->locks[i].held ? "held" : "waited for");
    for (size_t i = 0; i < check->node_count; i++)
        if (check->nodes[i].due_us != 0 && check->nodes[i].due_us + OVERDUE_US < cluster->now_us)
            violated(cluster, "Ttl", "znode %llu should have gone %llu ms ago", LLU(check->nodes[i].id),
                     LLU((cluster->now_us - check->nodes[i].due_us) / MS));
}
