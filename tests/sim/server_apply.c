/* What is committed is applied, in order, once. */
#include "tests/sim/server_internal.h"

#include <string.h>

void look_for_name(struct server *server)
{
    uint8_t named[INCARNATION_BYTES];
    if (!zab_voter(server->zab) && state_member(server->state, server->id, named) &&
        memcmp(named, server->identity, sizeof named) == 0)
        zab_happens(server, (struct zab_event){.kind = ZAB_NAMED});
}

static void apply(struct server *server, struct item *item)
{
    struct cluster *cluster = server->cluster;
    struct entry entry;
    struct result result;
    check_commits(cluster, server->id, state_zxid(server->state), item);
    item_decode(cluster, item, &entry);
    state_apply(server->state, &entry, &result, NULL);
    zab_stamped(server->zab, entry.stamp_ns, server_clocks(server).running_ns);
    check_applied(cluster, server->id, item->zxid, state_digest(server->state), &result);
    lead_applied(server, &entry, &result);
    mounts_applied(server, &entry, &result);
    if (entry.request.kind == OP_SET_MEMBER)
        look_for_name(server);
}

void apply_up_to(struct server *server, uint64_t zxid)
{
    if (zxid > items_last(&server->log) || zxid > store_durable_zxid(server->store))
        violated(server->cluster, "Durability", "replica %u is to apply %llx, but has only %llx, durably %llx",
                 server->id, (unsigned long long)zxid, (unsigned long long)items_last(&server->log),
                 (unsigned long long)store_durable_zxid(server->store));
    size_t index = items_after(&server->log, state_zxid(server->state));
    for (; index < server->log.count && server->log.list[index]->zxid <= zxid; index++)
        apply(server, server->log.list[index]);
}
