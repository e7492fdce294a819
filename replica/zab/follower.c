/* follower.c - following: discovery, synchronisation and broadcast as the follower sees them. */
#include <assert.h>
#include <string.h>

#include "replica/zab/internal.h"

/* A message to the leader, with what all of them carry. */
static void tell_leader(struct zab *zab, struct zab_message message)
{
    emit_send(zab, peer_of(zab, zab->leader), &message);
}

static void progress(struct zab *zab)
{
    zab->progress_ms = zab->run_ms;
}

/* Phase 1: "a follower sends CEPOCH(f.p) to its prospective leader". */
void follower_start(struct zab *zab, struct peer *leader)
{
    zab->role = ZAB_FOLLOWING;
    zab->phase = ZAB_DISCOVERY;
    zab->leader = leader->id;
    zab->term = 0;
    zab->attempt++;
    zab->in_step = zab->asked = zab->acknowledged = false;
    zab->snapshot = 0;
    leader->heard_ms = zab->run_ms;
    progress(zab);
    tell_leader(zab, (struct zab_message){.kind = ZAB_FOLLOWER_INFO,
                                          .epoch = zab->epochs.accepted,
                                          .zxid = history_last(&zab->history),
                                          .round = zab->attempt,
                                          .fresh = history_last(&zab->history) == 0});
    FOR_PEERS (zab, peer)
        if (peer->stage != AWAY) { /* they took this replica for the leader: it is not */
            peer->stage = AWAY;
            election_tell(zab, peer);
        }
}

void follower_leave(struct zab *zab)
{
    zab->role = ZAB_LOOKING;
    zab->leader = zab->term = 0;
    zab->phase = ZAB_ELECTION;
    emit_role(zab);
    election_start(zab);
}

/* "Upon receiving NEWEPOCH(e') with f.p < e': f.p ← e', send ACK-E(f.a, h_f)." An epoch that was accepted before is
 * followed too, but the promise in it may have gone to another leader: that acknowledgement does not count. */
static void receive_new_epoch(struct zab *zab, const struct zab_message *message)
{
    struct zab_epochs epochs = zab->epochs;
    bool promise = message->epoch > epochs.accepted;
    uint64_t last = history_last(&zab->history);
    if (zab->term != 0 || message->round != zab->attempt)
        return; /* an answer to an older attempt */
    if (message->epoch < epochs.accepted) {
        follower_leave(zab); /* promised to a newer one */
        return;
    }
    epochs.accepted = message->epoch;
    epochs.voter = epochs.voter || (message->fresh && last == 0); /* founding: nothing was promised before */
    if (promise || epochs.voter != zab->epochs.voter)
        emit_epochs(zab, epochs); /* durable before anyone relies on it */
    zab->term = message->epoch;
    zab->phase = ZAB_SYNCHRONISATION;
    progress(zab);
    tell_leader(zab, (struct zab_message){.kind = ZAB_ACK_EPOCH,
                                          .epoch = zab->epochs.current,
                                          .zxid = last,
                                          .round = zab->attempt,
                                          .fresh = promise});
}

/* The history is cut down to `end`. Nothing that was committed is ever cut: histories that contradict each other there
 * cannot both be right, and going on would spread the wrong one. */
static bool cut(struct zab *zab, uint64_t end)
{
    if (end < zab->committed || end < zab->history.floor) {
        emit_fatal(zab, ERR_CORRUPT);
        return false;
    }
    uint64_t at = end;
    if (ZAB_BUG(OVER_TRUNCATION) && end > zab->history.floor)
        at = history_below(&zab->history, end - 1);
    if (ZAB_BUG(UNDER_TRUNCATION) && ZXID_COUNTER(end) != 0 && history_has(&zab->history, end + 1))
        at = end + 1;
    if (!ZAB_BUG(HISTORY_KEPT))
        emit(zab, ZAB_TRUNCATE)->zxid = at; /* trap: a truncation that fails is fatal, never passed over */
    history_truncate(&zab->history, end);
    if (zab->durable > end)
        zab->durable = end;
    return true;
}

/* TRUNC to an entry this history does not have (both have gone on from different ones): it is cut to the last one
 * below, and the leader asked again from there. Trap: one TRUNC must not cross into an epoch the follower never saw. */
static void receive_trunc(struct zab *zab, uint64_t zxid)
{
    uint64_t last = history_last(&zab->history), end = zxid;
    if (zxid >= zab->history.floor)
        end = history_below(&zab->history, zxid);
    if (end < last && !cut(zab, end))
        return;
    if (end == zxid) {
        zab->in_step = true;
        return;
    }
    zab->attempt++;
    tell_leader(zab, (struct zab_message){
                         .kind = ZAB_ACK_EPOCH, .epoch = zab->epochs.current, .zxid = end, .round = zab->attempt});
}

/* Trap: history durable → epoch durable → ACK of NEWLEADER, three steps, each after the other: "f.a ← e', then accept
 * the history, then acknowledge" as one step leaves a replica that counts as having a history it lost. */
static void acknowledge_leader(struct zab *zab)
{
    struct zab_epochs epochs = zab->epochs;
    if (!zab->asked || zab->acknowledged || (!zab->in_step && !ZAB_BUG(NEW_LEADER_EARLY)))
        return;
    if (zab->durable < zab->target && !ZAB_BUG(NEW_LEADER_EARLY))
        return;
    epochs.current = zab->term;
    if (epochs.current != zab->epochs.current)
        emit_epochs(zab, epochs);
    zab->acknowledged = true;
    tell_leader(zab, (struct zab_message){.kind = ZAB_ACK_NEW_LEADER,
                                          .epoch = zab->term,
                                          .zxid = ZAB_BUG(NEW_LEADER_EARLY) ? zab->target : zab->durable});
}

static void receive_sync(struct zab *zab, struct peer *leader, const struct zab_message *message)
{
    uint64_t last = history_last(&zab->history);
    if (zab->in_step || message->round != zab->attempt)
        return;
    progress(zab);
    if (message->sync == ZAB_DIFF && message->zxid == last)
        zab->in_step = true;
    else if (message->sync == ZAB_TRUNC && message->zxid < last)
        receive_trunc(zab, message->zxid);
    else if (message->sync == ZAB_SNAP && message->zxid > last)
        zab->snapshot = message->zxid; /* until it is durable and loaded nothing here changes: see ZAB_SNAPSHOT_DONE */
    else
        zab_refuse(zab, leader, ERR_INVALID);
}

static void receive_new_leader(struct zab *zab, const struct zab_message *message)
{
    struct zab_epochs epochs = zab->epochs;
    if ((!zab->in_step && zab->snapshot == 0) || zab->asked)
        return;
    zab->asked = true;
    zab->target = message->zxid;
    if (ZAB_BUG(EPOCH_BEFORE_HISTORY)) {
        epochs.current = zab->term;
        emit_epochs(zab, epochs);
    }
    acknowledge_leader(zab);
}

/* What is committed at the leader, as far as it is durable here. A follower in step has a beginning of the leader's
 * history, so the leader's commit point is true of it even before UP_TO_DATE. */
static void learn_commit(struct zab *zab, uint64_t zxid)
{
    if (!zab->in_step || zxid <= zab->commit)
        return;
    zab->commit = zxid;
    zab_deliver(zab);
}

static void receive_up_to_date(struct zab *zab, const struct zab_message *message)
{
    if (!zab->acknowledged || zab->phase == ZAB_BROADCAST)
        return;
    zab->phase = ZAB_BROADCAST;
    learn_commit(zab, message->zxid);
    emit_role(zab);
}

/* Whether the header agrees with itself and with this history. */
static bool entries_fit(const struct zab *zab, const struct zab_message *message)
{
    uint64_t last = history_last(&zab->history);
    if (message->count == 0 || message->last < message->first || message->last - message->first != message->count - 1 ||
        ZXID_EPOCH(message->first) != ZXID_EPOCH(message->last) || !history_follows(message->previous, message->first))
        return false;
    if (ZXID_EPOCH(message->last) > zab->term)
        return false;
    if (message->previous > last)
        return false; /* a gap */
    if (message->previous == last || message->last < zab->history.floor)
        return true;
    /* What overlaps must be the same entries; else the histories branch off. */
    return message->first <= last && (message->last >= last || history_has(&zab->history, message->last));
}

/* Trap: a proposal that is here already (given by the synchronisation and again by the stream) is passed over. */
static void receive_entries(struct zab *zab, struct peer *leader, const struct zab_message *message)
{
    uint64_t last = history_last(&zab->history);
    if (!zab->in_step && !ZAB_BUG(OLD_ENTRY))
        return; /* of an older attempt */
    if (!entries_fit(zab, message) && !ZAB_BUG(OLD_ENTRY)) {
        zab_refuse(zab, leader, ERR_INVALID);
        return;
    }
    progress(zab);
    uint32_t skip = message->first > last ? 0 : (uint32_t)(last - message->first + 1);
    if (ZAB_BUG(DUPLICATE_REFUSED) && skip > 0) {
        emit_fatal(zab, ERR_INVALID);
        return;
    }
    if (message->last > last) {
        emit(zab, ZAB_APPEND)->skip = skip;
        history_append(&zab->history, message->first + skip, message->last);
    }
    if (ZAB_BUG(ACK_BEFORE_FSYNC)) {
        zab->durable = history_last(&zab->history);
        follower_durable(zab);
    }
    learn_commit(zab, message->zxid);
}

static void receive_in_term(struct zab *zab, struct peer *leader, const struct zab_message *message)
{
    switch (message->kind) {
    case ZAB_SYNC:
        receive_sync(zab, leader, message);
        if (zab->role == ZAB_FOLLOWING)
            acknowledge_leader(zab);
        break;
    case ZAB_NEW_LEADER:
        receive_new_leader(zab, message);
        break;
    case ZAB_UP_TO_DATE:
        receive_up_to_date(zab, message);
        break;
    case ZAB_ENTRIES:
        receive_entries(zab, leader, message);
        break;
    case ZAB_COMMIT:
        learn_commit(zab, message->zxid);
        break;
    case ZAB_PING:
        learn_commit(zab, message->zxid);
        tell_leader(zab, (struct zab_message){.kind = ZAB_PONG,
                                              .epoch = zab->term,
                                              .round = message->round,
                                              .zxid = zab->in_step ? zab->durable : 0});
        break;
    default:
        break; /* not for a follower: out of phase */
    }
}

void follower_receive(struct zab *zab, struct peer *peer, const struct zab_message *message)
{
    bool ours = peer->id == zab->leader;
    if (ours && message->kind == ZAB_NEW_EPOCH)
        receive_new_epoch(zab, message);
    else if (message->kind == ZAB_FOLLOWER_INFO)
        election_tell(zab, peer); /* it took this replica for the leader */
    /* Nothing of another leader, or of another epoch than this term's. */
    else if (ours && zab->term != 0 && message->epoch == zab->term)
        receive_in_term(zab, peer, message);
    else if (ZAB_BUG(OLD_ENTRY) && message->kind == ZAB_ENTRIES && zab->term != 0)
        receive_in_term(zab, peer, message);
}

/* Trap: never an ACK before fsync: this, and acknowledge_leader, are all that acknowledge. */
void follower_durable(struct zab *zab)
{
    bool acknowledged = zab->acknowledged;
    progress(zab);
    if (!zab->in_step)
        return; /* of a history the leader has not agreed to */
    acknowledge_leader(zab);
    if (acknowledged || !zab->acknowledged)
        tell_leader(zab, (struct zab_message){.kind = ZAB_ACK, .epoch = zab->term, .zxid = zab->durable});
    zab_deliver(zab);
}

/* Trap: an interrupted SNAP. The history is the snapshot's only from here on, when it is durable and loaded as one. */
void follower_snapshot(struct zab *zab)
{
    progress(zab);
    if (zab->snapshot == 0 || history_last(&zab->history) != zab->snapshot) {
        follower_leave(zab); /* of an older attempt: this history is another one now than was told */
        return;
    }
    zab->snapshot = 0;
    zab->in_step = true;
    follower_durable(zab);
}

void follower_tick(struct zab *zab)
{
    struct peer *leader = peer_of(zab, zab->leader);
    bool silent = zab->run_ms - leader->heard_ms >= patience_silence_ms(zab);
    /* Once it has acknowledged it only waits for the others, and the leader's pings say that there is sense in it. */
    bool stuck = !zab->acknowledged && zab->run_ms - zab->progress_ms >= patience_phase_ms(zab);
    if (silent) { /* most likely it is dead: do not wait for its vote either */
        patience_suspect(zab, leader);
        zab_refuse(zab, leader, ERR_UNREACHABLE);
    } else if (stuck)
        follower_leave(zab);
}

uint64_t follower_deadline(const struct zab *zab)
{
    uint64_t deadline = zab->progress_ms + patience_phase_ms(zab);
    for (size_t i = 0; i < zab->peer_count; i++) {
        uint64_t silence = zab->peers[i].heard_ms + patience_silence_ms(zab);
        if (zab->peers[i].id == zab->leader && (zab->acknowledged || silence < deadline))
            deadline = silence;
    }
    return deadline;
}
