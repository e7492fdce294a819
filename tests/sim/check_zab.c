/* The order: one leader an epoch, one sequence for all. */
#include "tests/sim/check_internal.h"
#include "tests/sim/server.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define X "%" PRIx64

static uint32_t epoch_of(uint64_t zxid)
{
    return (uint32_t)(zxid >> 32);
}

struct check *check_new(struct cluster *cluster)
{
    (void)cluster;
    struct check *check = calloc(1, sizeof *check);
    assert(check);
    check->state = state_new();
    return check;
}

void check_free(struct check *check)
{
    for (size_t i = 0; i < check->count; i++)
        item_unref(check->order[i].item);
    for (size_t i = 0; i < check->op_count; i++)
        free(check->all[i]);
    state_free(check->state);
    changes_free(&check->changes);
    free(check->locks);
    free(check->nodes);
    free(check->order);
    free(check->terms);
    free(check->proposals);
    free(check->all);
    free(check);
}

void *grown(void *list, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return list;
    *room = *room ? 2 * *room : 256;
    list = realloc(list, *room * size);
    assert(list);
    return list;
}

/* Index of the entry with that zxid, or of the first above. */
static size_t place(const struct check *check, uint64_t zxid)
{
    size_t low = 0, high = check->count;
    if (high > 0 && check->order[high - 1].item->zxid == zxid)
        return high - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (check->order[middle].item->zxid < zxid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* --- terms --- */

static struct term *term_of(struct cluster *cluster, uint32_t epoch)
{
    struct check *check = cluster->check;
    for (size_t i = check->term_count; i-- > 0;)
        if (check->terms[i].epoch == epoch)
            return &check->terms[i];
    return NULL;
}

uint64_t check_committed(const struct cluster *cluster)
{
    const struct check *check = cluster->check;
    return check->count > 0 ? check->order[check->count - 1].item->zxid : 0;
}

/* PrimaryIntegrity, so far: what anyone has delivered is in the new leader's history. What is delivered later of
 * earlier epochs is looked at then. */
void check_leads(struct cluster *cluster, uint32_t id, uint32_t epoch, uint64_t last, uint64_t delivered)
{
    struct check *check = cluster->check;
    const struct term *known = term_of(cluster, epoch);
    cluster->outcome->counts.leaders++;
    if (known && known->leader != id)
        violated(cluster, "Leadership", "replicas %u and %u both lead epoch %u", known->leader, id, epoch);
    if (known)
        return;
    size_t later = place(check, (uint64_t)epoch << 32); /* what a later leader got through does not concern it */
    if (later > 0 && last < check->order[later - 1].item->zxid)
        violated(cluster, "PrimaryIntegrity", "replica %u leads epoch %u from " X ", but " X " is delivered", id, epoch,
                 last, check->order[later - 1].item->zxid);
    if (delivered < last)
        violated(cluster, "PrimaryIntegrity", "replica %u leads epoch %u from " X ", but has delivered only " X, id,
                 epoch, last, delivered);
    check->terms = grown(check->terms, check->term_count, &check->term_room, sizeof *check->terms);
    check->terms[check->term_count++] = (struct term){.epoch = epoch, .leader = id, .initial = last};
}

void check_follows(struct cluster *cluster, uint32_t id, uint32_t epoch, uint64_t delivered)
{
    const struct term *term = term_of(cluster, epoch);
    if (!term)
        violated(cluster, "Leadership", "replica %u follows in epoch %u, which nobody leads", id, epoch);
    else if (delivered < term->initial)
        violated(cluster, "InitialHistory", "replica %u follows in epoch %u from " X ", of " X, id, epoch, delivered,
                 term->initial);
}

/* --- proposals --- */

static struct proposal *slot(struct check *check, uint64_t zxid)
{
    size_t at = (size_t)mix(zxid) & (check->proposal_room - 1);
    while (check->proposals[at].zxid != 0 && check->proposals[at].zxid != zxid)
        at = (at + 1) & (check->proposal_room - 1);
    return &check->proposals[at];
}

static void grow_proposals(struct check *check)
{
    struct proposal *old = check->proposals;
    size_t room = check->proposal_room;
    check->proposal_room = room ? 2 * room : 1024;
    check->proposals = calloc(check->proposal_room, sizeof *check->proposals);
    assert(check->proposals);
    for (size_t i = 0; i < room; i++)
        if (old[i].zxid != 0)
            *slot(check, old[i].zxid) = old[i];
    free(old);
}

void check_proposes(struct cluster *cluster, uint32_t id, const struct item *item, uint64_t delivered)
{
    struct check *check = cluster->check;
    struct term *term = term_of(cluster, epoch_of(item->zxid));
    if (!term || term->leader != id) {
        violated(cluster, "Leadership", "replica %u broadcasts " X " without leading its epoch", id, item->zxid);
        return;
    }
    if (delivered < term->initial)
        violated(cluster, "PrimaryIntegrity", "replica %u broadcasts " X " having delivered " X " of " X, id,
                 item->zxid, delivered, term->initial);
    if (2 * check->proposal_count >= check->proposal_room)
        grow_proposals(check);
    struct proposal *proposal = slot(check, item->zxid);
    if (proposal->zxid != 0 && proposal->hash != item->hash)
        violated(cluster, "Leadership", "replica %u gives " X " to two proposals", id, item->zxid);
    check->proposal_count += proposal->zxid == 0;
    *proposal = (struct proposal){item->zxid, item->hash};
}

/* --- deliveries --- */

static void check_primaries(struct cluster *cluster, uint32_t id, const struct item *item)
{
    const struct check *check = cluster->check;
    uint64_t zxid = item->zxid, last = check_committed(cluster);
    const struct proposal *proposal = check->proposal_room ? slot(cluster->check, zxid) : NULL;
    if (!proposal || proposal->zxid == 0 || proposal->hash != item->hash)
        violated(cluster, "Integrity", "replica %u delivers " X ", which nobody broadcast so", id, zxid);
    if (zxid <= last)
        violated(cluster, "TotalOrder", "replica %u delivers " X " after " X, id, zxid, last);
    if (epoch_of(zxid) < epoch_of(last))
        violated(cluster, "GlobalPrimaryOrder", "replica %u delivers " X " after " X, id, zxid, last);
    bool next = epoch_of(zxid) == epoch_of(last) ? zxid == last + 1 : (uint32_t)zxid == 1;
    if (!next)
        violated(cluster, "LocalPrimaryOrder", "replica %u delivers " X " after " X, id, zxid, last);
    for (size_t i = 0; i < check->term_count; i++) {
        const struct term *term = &check->terms[i];
        if (term->epoch > epoch_of(zxid) && zxid > term->initial)
            violated(cluster, "PrimaryIntegrity", "replica %u delivers " X ", which the leader of epoch %u never had",
                     id, zxid, term->epoch);
    }
}

static void check_durable(struct cluster *cluster, uint32_t id, const struct item *item)
{
    unsigned holders = 0;
    for (unsigned i = 0; i < cluster->server_count; i++) {
        struct server_view view;
        server_view(cluster->servers[i], &view);
        /* One that is lost may have had it, and said so. */
        holders += view.damaged || server_holds(cluster->servers[i], item->zxid, item->hash);
    }
    if (holders < cluster->server_count / 2 + 1)
        violated(cluster, "Durability", "replica %u delivers " X ", which is durable on %u of %u", id, item->zxid,
                 holders, cluster->server_count);
}

/* The first delivery of an entry: the reference goes on. */
static void extend(struct cluster *cluster, uint32_t id, struct item *item)
{
    struct check *check = cluster->check;
    struct entry entry;
    struct result result;
    check_primaries(cluster, id, item);
    check_durable(cluster, id, item);
    if (cluster->outcome->failed)
        return;
    item_decode(cluster, item, &entry);
    if (entry.stamp_ns < state_stamp_ns(check->state))
        violated(cluster, "TotalOrder", "the stamp of " X " goes back", item->zxid);
    state_apply(check->state, &entry, &result, &check->changes);
    check->order = grown(check->order, check->count, &check->room, sizeof *check->order);
    check->order[check->count++] =
        (struct reference_entry){item_ref(item), state_digest(check->state), result.id, result.code, result.none};
    note(cluster, 'E', item->zxid, state_digest(check->state));
    cluster->outcome->counts.entries++;
    history_applied(cluster, &entry, &result);
    locks_applied(cluster, &entry, &result);
    lives_applied(cluster, &entry, &result);
}

void check_commits(struct cluster *cluster, uint32_t id, uint64_t after, struct item *item)
{
    const struct check *check = cluster->check;
    size_t index = after == 0 ? 0 : place(check, after) + 1;
    if (cluster->outcome->failed)
        return;
    if (after > check_committed(cluster))
        violated(cluster, "PrefixConsistency", "replica %u stands at " X ", which nobody delivered", id, after);
    else if (index >= check->count)
        extend(cluster, id, item);
    else if (check->order[index].item->zxid != item->zxid || check->order[index].item->hash != item->hash)
        violated(cluster, "PrefixConsistency", "replica %u delivers " X " after " X "; others deliver " X "%s", id,
                 item->zxid, after, check->order[index].item->zxid,
                 check->order[index].item->zxid == item->zxid ? ", another entry" : "");
}

/* --- states --- */

void check_applied(struct cluster *cluster, uint32_t who, uint64_t zxid, uint64_t digest, const struct result *result)
{
    const struct check *check = cluster->check;
    size_t index = place(check, zxid);
    if (index >= check->count || check->order[index].item->zxid != zxid) {
        violated(cluster, "Agreement", "%u has applied " X ", which nobody delivered", who, zxid);
        return;
    }
    const struct reference_entry *entry = &check->order[index];
    if (entry->digest != digest)
        violated(cluster, "Digest", "%u has another state at " X, who, zxid);
    if (entry->none != result->none ||
        (!result->none && (entry->code != result->code || entry->result_id != result->id)))
        violated(cluster, "Digest", "%u has another result of " X ": %s", who, zxid, error_name(result->code));
}

void check_loaded(struct cluster *cluster, uint32_t who, const struct state *state)
{
    const struct check *check = cluster->check;
    uint64_t zxid = state_zxid(state);
    if (zxid == 0)
        return;
    size_t index = place(check, zxid);
    if (index >= check->count || check->order[index].item->zxid != zxid)
        violated(cluster, "Agreement", "%u has a snapshot of " X ", which nobody delivered", who, zxid);
    else if (check->order[index].digest != state_digest(state))
        violated(cluster, "Digest", "%u has loaded another state at " X, who, zxid);
}

void check_end(struct cluster *cluster)
{
    history_end(cluster);
}
