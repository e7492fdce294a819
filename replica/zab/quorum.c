/* quorum.c - who counts, and what enough of them have. Every quorum of the protocol is formed here.
 *
 * A replica counts only while it says that it may vote: one that lost its disk has lost its promises with it. To found
 * an ensemble all members are needed, and all of them count: none has promised anything yet. */
#include <assert.h>
#include <string.h>

#include "replica/zab/internal.h"

struct peer *peer_of(struct zab *zab, uint32_t id)
{
    FOR_PEERS (zab, peer)
        if (peer->id == id)
            return peer;
    return NULL;
}

size_t quorum_size(const struct zab *zab)
{
    size_t members = zab->peer_count + 1;
    if (zab->bootstrap)
        return members;
    return members / 2 + (ZAB_BUG(MINORITY) ? 0 : 1);
}

bool peer_counts(const struct zab *zab, const struct peer *peer)
{
    return peer->linked && (peer->voter || zab->bootstrap || ZAB_BUG(NON_VOTER));
}

size_t own_count(const struct zab *zab)
{
    return zab->epochs.voter || zab->bootstrap ? 1 : 0;
}

bool quorum_at(const struct zab *zab, enum stage stage, bool self)
{
    size_t count = self ? own_count(zab) : 0;
    FOR_CONST_PEERS (zab, peer)
        count += peer_counts(zab, peer) && peer->stage >= stage;
    return count >= quorum_size(zab);
}

bool quorum_promised(const struct zab *zab)
{
    size_t count = own_count(zab);
    FOR_CONST_PEERS (zab, peer)
        count += peer_counts(zab, peer) && peer->stage >= ACCEPTED && peer->promised;
    return count >= quorum_size(zab);
}

bool quorum_responds(const struct zab *zab)
{
    size_t count = own_count(zab);
    FOR_CONST_PEERS (zab, peer)
        count +=
            peer_counts(zab, peer) && peer->stage >= INVITED && zab->run_ms - peer->heard_ms < patience_silence_ms(zab);
    return count >= quorum_size(zab);
}

/* The largest value that a quorum has reached: `values` of those who count, `count` of them. 0: they are too few. */
static uint64_t reached_by_quorum(const struct zab *zab, uint64_t *values, size_t count)
{
    size_t quorum = quorum_size(zab);
    for (size_t i = 1; i < count; i++) /* descending; at most LIMIT_REPLICAS */
        for (size_t j = i; j > 0 && values[j] > values[j - 1]; j--) {
            uint64_t swap = values[j];
            values[j] = values[j - 1];
            values[j - 1] = swap;
        }
    return quorum > 0 && count >= quorum ? values[quorum - 1] : 0;
}

uint64_t quorum_pong(const struct zab *zab)
{
    uint64_t values[LIMIT_REPLICAS];
    size_t count = 0;
    if (own_count(zab) > 0)
        values[count++] = zab->ping;
    FOR_CONST_PEERS (zab, peer)
        if (peer_counts(zab, peer) && peer->stage >= ACCEPTED)
            values[count++] = peer->pong;
    return reached_by_quorum(zab, values, count);
}

/* "If the leader receives acknowledgements of a proposal from a quorum, it commits it." (Phase 3.) An acknowledgement
 * before that of NEWLEADER is none: the follower could still be elected out of by its older epoch. */
uint64_t quorum_durable(const struct zab *zab)
{
    uint64_t values[LIMIT_REPLICAS];
    size_t count = 0;
    if (own_count(zab) > 0 && zab->synced)
        values[count++] = zab->durable;
    FOR_CONST_PEERS (zab, peer)
        if (peer_counts(zab, peer) && peer->stage >= SYNCED)
            values[count++] = peer->durable;
    return reached_by_quorum(zab, values, count);
}
