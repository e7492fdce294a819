/* leader.c - leading: discovery and synchronisation. Phase 3 is broadcast.c. */
#include <assert.h>
#include <string.h>

#include "replica/zab/internal.h"

#define EPOCH_LIMIT (UINT32_MAX - 1024) /* no honest replica gets there */

static void progress(struct zab *zab)
{
    zab->progress_ms = zab->run_ms;
}

/* --- phase 1: discovery --- */

static void invite(struct zab *zab, struct peer *peer)
{
    peer->stage = INVITED;
    emit_send(zab, peer,
              &(struct zab_message){
                  .kind = ZAB_NEW_EPOCH, .epoch = zab->term, .round = peer->attempt, .fresh = zab->bootstrap});
}

static void check_promises(struct zab *zab);

/* "Upon receiving CEPOCH(e) from a quorum Q, the leader proposes NEWEPOCH(e') to Q, e' later than any e." */
static void check_asked(struct zab *zab)
{
    struct zab_epochs epochs = zab->epochs;
    if (zab->term != 0 || (!quorum_at(zab, ASKING, true) && !ZAB_BUG(LONELY_EPOCH)))
        return;
    uint32_t highest = epochs.accepted > zab->highest ? epochs.accepted : zab->highest;
    if (highest >= EPOCH_LIMIT) {
        emit_fatal(zab, ERR_INVALID); /* its own: peers' are refused before */
        return;
    }
    epochs.accepted = highest + 1;
    epochs.voter = epochs.voter || zab->bootstrap;
    emit_epochs(zab, epochs); /* durable before it is proposed: no epoch is ever proposed twice by one replica */
    zab->term = epochs.accepted;
    progress(zab);
    FOR_PEERS (zab, peer)
        if (peer->linked && peer->stage == ASKING)
            invite(zab, peer);
    check_promises(zab);
}

void leader_start(struct zab *zab)
{
    zab->role = ZAB_LEADING;
    zab->phase = ZAB_DISCOVERY;
    zab->leader = zab->id;
    zab->term = 0;
    zab->synced = false;
    zab->ping_ms = zab->run_ms;
    progress(zab);
    election_tell_all(zab);
    check_asked(zab);
}

void leader_remember(struct zab *zab, struct peer *peer, const struct zab_message *info)
{
    if (info->epoch >= EPOCH_LIMIT) {
        zab_refuse(zab, peer, ERR_INVALID);
        return;
    }
    peer->stage = ASKING;
    peer->attempt = info->round;
    peer->accepted = info->epoch;
    peer->promised = peer->fed = peer->told = peer->welcomed = false;
    peer->durable = peer->target = 0;
    if (info->epoch > zab->highest)
        zab->highest = info->epoch;
}

static void receive_info(struct zab *zab, struct peer *peer, const struct zab_message *message)
{
    if (peer->fed)
        emit(zab, ZAB_UNFEED)->peer = peer->id; /* it begins anew */
    leader_remember(zab, peer, message);
    if (peer->stage != ASKING)
        return;
    if (zab->bootstrap && !message->fresh) {
        leader_step_down(zab); /* there is a history after all: nothing to found */
        return;
    }
    if (zab->term == 0) {
        progress(zab);
        check_asked(zab);
    } else if (peer->accepted > zab->term) {
        leader_step_down(zab); /* it can never follow this epoch: the next one takes it along */
    } else {
        invite(zab, peer);
    }
}

/* --- phase 2: synchronisation --- */

/* "NEWLEADER(e', L.history)": of the history goes what the follower lacks. */
static void send_sync(struct zab *zab, struct peer *peer, enum zab_sync sync, uint64_t zxid)
{
    peer->target = history_last(&zab->history);
    peer->told = true;
    emit_send(zab, peer,
              &(struct zab_message){
                  .kind = ZAB_SYNC, .epoch = zab->term, .round = peer->attempt, .sync = sync, .zxid = zxid});
    emit_send(zab, peer, &(struct zab_message){.kind = ZAB_NEW_LEADER, .epoch = zab->term, .zxid = peer->target});
}

/* Trap: a proposal goes to everyone who acknowledged the epoch: from here on the peer is fed everything that is
 * appended, whether or not it has acknowledged NEW_LEADER yet. */
static void feed(struct zab *zab, struct peer *peer, uint64_t after, bool snapshot)
{
    struct zab_action *action = emit(zab, ZAB_FEED);
    action->peer = peer->id;
    action->zxid = after;
    action->snapshot = snapshot;
    peer->fed = true;
}

static void synchronise(struct zab *zab, struct peer *peer)
{
    const struct history *history = &zab->history;
    peer->stage = SYNCING;
    peer->durable = 0;
    peer->welcomed = false;
    if (peer->fed)
        emit(zab, ZAB_UNFEED)->peer = peer->id; /* it has cut its history and asks again */
    if (peer->last < history->floor) {          /* what it lacks, or has too much, is not known entry by entry */
        feed(zab, peer, history->floor, true);
        return;
    }
    uint64_t common = history_below(history, peer->last);
    send_sync(zab, peer, common == peer->last ? ZAB_DIFF : ZAB_TRUNC, common);
    feed(zab, peer, common, false);
}

void zab_snapshot_begun(struct zab *zab, uint32_t id, uint64_t zxid, struct zab_update *update)
{
    struct peer *peer = peer_of(zab, id);
    assert(peer != NULL);
    if (zab->role != ZAB_LEADING || peer->stage != SYNCING || !peer->fed || peer->told)
        return; /* it has gone meanwhile */
    assert(zxid <= zab->committed);
    zab->out = update;
    if (zxid > peer->last) {
        send_sync(zab, peer, ZAB_SNAP, zxid);
    } else { /* what it told of its history changed meanwhile, and does not fit any more */
        zab_refuse(zab, peer, ERR_INVALID);
    }
    zab->out = NULL;
}

/* The leader "is a follower of itself": its own history durable, then its current epoch, then it counts. */
static void acknowledge_oneself(struct zab *zab)
{
    struct zab_epochs epochs = zab->epochs;
    if (zab->phase != ZAB_SYNCHRONISATION || zab->synced || zab->durable < history_last(&zab->history))
        return;
    epochs.current = zab->term;
    emit_epochs(zab, epochs);
    zab->synced = true;
}

/* "Upon receiving ACK-LD from a quorum, the leader sends COMMIT to all": its whole initial history is committed then.
 */
static void check_established(struct zab *zab)
{
    acknowledge_oneself(zab);
    if (zab->phase == ZAB_SYNCHRONISATION && zab->synced && quorum_at(zab, SYNCED, true))
        broadcast_start(zab);
}

/* "Upon receiving ACK-E from a quorum, the leader selects the newest history" - here it gives up unless that is its
 * own: the next election has seen more. */
static void check_promises(struct zab *zab)
{
    if (zab->phase != ZAB_DISCOVERY || zab->term == 0 || (!quorum_promised(zab) && !ZAB_BUG(LONELY_EPOCH)))
        return;
    zab->phase = ZAB_SYNCHRONISATION;
    progress(zab);
    FOR_PEERS (zab, peer)
        if (peer->linked && peer->stage == ACCEPTED)
            synchronise(zab, peer);
    check_established(zab);
}

static void receive_ack_epoch(struct zab *zab, struct peer *peer, const struct zab_message *message)
{
    bool again = peer->stage >= SYNCING && message->round > peer->attempt;
    if (zab->term == 0 || (!again && (peer->stage != INVITED || message->round != peer->attempt)))
        return; /* out of phase */
    if (ZXID_EPOCH(message->zxid) > zab->term) {
        zab_refuse(zab, peer, ERR_INVALID); /* of an epoch that has not been */
        return;
    }
    peer->attempt = message->round;
    peer->last = message->zxid;
    peer->current = message->epoch;
    peer->promised = peer->promised || message->fresh;
    peer->told = false;
    progress(zab);
    if (zab->phase != ZAB_DISCOVERY) {
        synchronise(zab, peer);
        return;
    }
    peer->stage = ACCEPTED;
    if (peer->promised && peer_counts(zab, peer) &&
        zab_newer(peer->current, peer->last, zab->epochs.current, history_last(&zab->history)))
        leader_step_down(zab);
    else
        check_promises(zab);
}

static void receive_ack_new_leader(struct zab *zab, struct peer *peer, const struct zab_message *message)
{
    if (peer->stage != SYNCING || !peer->told || message->zxid < peer->target)
        return;
    peer->stage = SYNCED;
    peer->durable = message->zxid;
    progress(zab);
    if (zab->phase == ZAB_BROADCAST)
        broadcast_welcome(zab, peer);
    else
        check_established(zab);
    broadcast_commit(zab);
}

/* --- all phases --- */

/* Trap: on stepping down nothing of the old epoch may survive: no acknowledgement, no place in the order, no barrier.
 */
void leader_step_down(struct zab *zab)
{
    FOR_PEERS (zab, peer) {
        if (peer->fed)
            emit(zab, ZAB_UNFEED)->peer = peer->id;
        if (ZAB_BUG(OLD_QUEUE))
            continue;
        peer->stage = AWAY;
        peer->fed = peer->welcomed = peer->promised = false;
        peer->durable = peer->pong = 0;
    }
    zab->barrier_count = 0;
    zab->synced = false;
    zab->role = ZAB_LOOKING;
    zab->leader = zab->term = 0;
    zab->phase = ZAB_ELECTION;
    emit_role(zab);
    election_start(zab);
}

void leader_forget(struct zab *zab, struct peer *peer)
{
    if (peer->fed && peer->linked)
        emit(zab, ZAB_UNFEED)->peer = peer->id;
    peer->stage = AWAY;
    peer->fed = peer->welcomed = peer->promised = false;
    if (zab->term != 0 && !quorum_responds(zab))
        leader_step_down(zab); /* without waiting: those who left must begin anew, whoever leads */
}

static void receive_durable(struct zab *zab, struct peer *peer, uint64_t zxid)
{
    uint64_t last = history_last(&zab->history);
    zxid = zxid < last ? zxid : last; /* nobody has more of this history than its leader */
    if (peer->stage < SYNCING || zxid <= peer->durable)
        return;
    peer->durable = zxid;
    broadcast_commit(zab);
}

void leader_receive(struct zab *zab, struct peer *peer, const struct zab_message *message)
{
    bool of_term = zab->term != 0 && message->epoch == zab->term;
    switch (message->kind) {
    case ZAB_FOLLOWER_INFO:
        receive_info(zab, peer, message);
        break;
    case ZAB_ACK_EPOCH:
        receive_ack_epoch(zab, peer, message);
        break;
    case ZAB_ACK_NEW_LEADER:
        if (of_term)
            receive_ack_new_leader(zab, peer, message);
        break;
    case ZAB_ACK:
        if (of_term)
            receive_durable(zab, peer, message->zxid);
        break;
    case ZAB_PONG:
        if (!of_term || message->round > zab->ping)
            break;
        if (message->round > peer->pong)
            peer->pong = message->round;
        receive_durable(zab, peer, message->zxid);
        broadcast_pong(zab);
        break;
    default:
        break; /* not for a leader: out of phase */
    }
}

void leader_durable(struct zab *zab)
{
    progress(zab);
    check_established(zab);
    broadcast_commit(zab);
    zab_deliver(zab);
}

void leader_tick(struct zab *zab)
{
    uint64_t waited = zab->run_ms - zab->progress_ms;
    if (zab_alone(zab))
        return;
    if (zab->term != 0 && !quorum_responds(zab)) {
        FOR_PEERS (zab, peer)
            if (peer->linked && zab->run_ms - peer->heard_ms >= patience_silence_ms(zab))
                patience_suspect(zab, peer);
        leader_step_down(zab);
        return;
    }
    /* Those who elected it need no disk to say so; the rest takes phase_ms. Once it is in sync itself it waits for as
     * long as a quorum responds: they give up by themselves when they do not get on. */
    if (zab->phase == ZAB_DISCOVERY && waited >= (zab->term == 0 ? patience_silence_ms(zab) : patience_phase_ms(zab))) {
        leader_step_down(zab);
        return;
    }
    if (zab->phase == ZAB_SYNCHRONISATION && !zab->synced && waited >= patience_phase_ms(zab)) {
        leader_step_down(zab);
        return;
    }
    if (zab->run_ms >= zab->ping_ms)
        broadcast_ping(zab);
}

uint64_t leader_deadline(const struct zab *zab)
{
    return zab_alone(zab) ? UINT64_MAX : zab->ping_ms;
}
