/* broadcast.c - phase 3 at the leader: proposals and their stamps, commits, pings, barriers. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "replica/zab/internal.h"

/* Trap: this commit point is the latest, not the one from before the synchronisation: the follower serves from it. */
void broadcast_welcome(struct zab *zab, struct peer *peer)
{
    peer->welcomed = true;
    emit_send(zab, peer,
              &(struct zab_message){.kind = ZAB_UP_TO_DATE,
                                    .epoch = zab->term,
                                    .zxid = ZAB_BUG(OLD_COMMIT) ? zab->history.floor : zab->commit});
    if (!peer->voter)
        emit(zab, ZAB_FOLLOWER_NEW)->peer = peer->id;
}

void broadcast_start(struct zab *zab)
{
    zab->commit = quorum_durable(zab);
    zab->phase = ZAB_BROADCAST;
    zab->bootstrap = false; /* it is founded: who comes without a history from now on has lost one, and is no voter */
    zab_deliver(zab);
    emit_role(zab); /* before FOLLOWER_NEW, which asks for a proposal */
    FOR_PEERS (zab, peer)
        if (peer->stage == SYNCED)
            broadcast_welcome(zab, peer);
}

void broadcast_commit(struct zab *zab)
{
    if (zab->role != ZAB_LEADING || zab->phase != ZAB_BROADCAST)
        return;
    uint64_t durable = quorum_durable(zab);
    if (durable <= zab->commit)
        return;
    zab->commit = durable;
    FOR_PEERS (zab, peer)
        if (peer->welcomed)
            emit_send(zab, peer, &(struct zab_message){.kind = ZAB_COMMIT, .epoch = zab->term, .zxid = zab->commit});
    zab_deliver(zab);
}

void broadcast_ping(struct zab *zab)
{
    zab->ping++;
    zab->ping_ms = zab->run_ms + zab->timing.ping_ms;
    FOR_PEERS (zab, peer)
        if (peer->stage >= ASKING)
            emit_send(
                zab, peer,
                &(struct zab_message){.kind = ZAB_PING, .epoch = zab->term, .zxid = zab->commit, .round = zab->ping});
}

/* Answers the barriers whose ping a quorum has answered: at that time it was the leader still, so that nothing was
 * committed elsewhere when the barrier came. */
void broadcast_pong(struct zab *zab)
{
    uint64_t answered = ZAB_BUG(LONELY_BARRIER) ? UINT64_MAX : quorum_pong(zab);
    size_t done = 0;
    while (done < zab->barrier_count && zab->barriers[done].ping <= answered) {
        struct zab_action *action = emit(zab, ZAB_BARRIER_DONE);
        action->token = zab->barriers[done].token;
        action->zxid = zab->barriers[done].zxid;
        done++;
    }
    if (done == 0)
        return;
    zab->barrier_count -= done;
    memmove(zab->barriers, zab->barriers + done, zab->barrier_count * sizeof *zab->barriers);
    /* Those that came while this ping was under way wait for the next one: now, all together. */
    if (zab->barrier_count > 0 && zab->barriers[0].ping > zab->ping)
        broadcast_ping(zab);
}

void broadcast_barrier(struct zab *zab, uint64_t token)
{
    bool first = zab->barrier_count == 0;
    if (zab->phase != ZAB_BROADCAST)
        return; /* it does not lead: the caller asks again when it knows who does */
    assert(zab->barrier_count < ZAB_BARRIERS);
    if (zab->barrier_count == zab->barrier_capacity) {
        zab->barrier_capacity = zab->barrier_capacity == 0 ? 16 : 2 * zab->barrier_capacity;
        zab->barriers = realloc(zab->barriers, zab->barrier_capacity * sizeof *zab->barriers);
        if (zab->barriers == NULL)
            abort();
    }
    zab->barriers[zab->barrier_count++] = (struct barrier){.token = token, .zxid = zab->commit, .ping = zab->ping + 1};
    if (first)
        broadcast_ping(zab);
    if (first || ZAB_BUG(LONELY_BARRIER))
        broadcast_pong(zab); /* alone it is a quorum */
}

/* at_ns, so much later; a stamp comes from a log or a peer and can be anything. */
static int64_t later(int64_t at_ns, uint64_t by_ns)
{
    uint64_t room_ns = (uint64_t)INT64_MAX - (uint64_t)at_ns;
    return by_ns < room_ns ? (int64_t)((uint64_t)at_ns + by_ns) : INT64_MAX;
}

int64_t zab_time(const struct zab *zab, struct zab_clocks now)
{
    enum { SLOWER = 2, LEAST_NS = 1 };
    uint64_t passed_ns = (now.running_ns - zab->stamped_at_ns) / SLOWER;
    int64_t slow_ns = later(zab->stamp_ns, passed_ns > LEAST_NS ? passed_ns : LEAST_NS);
    return slow_ns > now.wall_ns ? slow_ns : now.wall_ns;
}

int zab_propose(struct zab *zab, struct zab_clocks now, uint64_t *zxid, int64_t *stamp_ns)
{
    uint64_t last = history_last(&zab->history);
    if (zab->full)
        return ERR_NO_SPACE;
    if (zab->fatal || zab->role != ZAB_LEADING || zab->phase != ZAB_BROADCAST)
        return ERR_NO_QUORUM;
    uint32_t counter = ZXID_EPOCH(last) == zab->term ? ZXID_COUNTER(last) : 0;
    if (counter >= zab->counter_last) {
        if (!ZAB_BUG(ROLLOVER) || ZXID_EPOCH(zab->history.floor) == zab->term)
            return ERR_NO_QUORUM; /* trap: it must not run over into the epoch; the next step steps down */
        history_truncate(&zab->history, ZXID(zab->term, 0));
        counter = 0;
    }
    *zxid = ZXID(zab->term, counter + 1);
    history_append(&zab->history, *zxid, *zxid);
    *stamp_ns = zab->stamp_ns = zab_time(zab, now);
    zab->stamped_at_ns = now.running_ns;
    return ERR_OK;
}

struct zab_message zab_entries(const struct zab *zab, uint64_t previous, uint64_t first, uint32_t count)
{
    assert(zab->role == ZAB_LEADING && zab->term != 0 && count > 0);
    return (struct zab_message){.kind = ZAB_ENTRIES,
                                .voter = zab->epochs.voter,
                                .epoch = zab->term,
                                .zxid = zab->commit,
                                .previous = previous,
                                .first = first,
                                .last = first + count - 1,
                                .count = count};
}
