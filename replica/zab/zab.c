/* zab.c - the core's steps: what an event means in each state. The protocol itself is in election.c, leader.c,
 * broadcast.c and follower.c; what a history is in history.c, what a quorum is in quorum.c.
 *
 * Invariants
 *   1. committed ≤ durable ≤ last, each a zxid of this replica's history.
 *   2. Nothing at or below `committed` is ever cut or replaced but by a snapshot that contains it.
 *   3. current ≤ accepted; neither goes back. No epoch below `accepted` is followed, none is accepted from two leaders
 *      in a way that counts: so at most one leader of an epoch gets a quorum of promises.
 *   4. current = e only if the history durable here began as the initial history of e's leader.
 *   5. Only ACK_NEW_LEADER (after 4 is durable) makes a replica's durable watermark count, only in that term, and only
 *      while it says that it may vote.
 *   6. A follower in step (`in_step`) has a beginning of its leader's history, and appends nothing but what follows in
 *      it.
 *   7. Entries are proposed only in ZAB_BROADCAST, which begins when a quorum has the leader's whole history durable
 *      under its epoch. zxids of a term are e'.1, e'.2, … without a gap.
 *   8. A leader that steps down keeps nothing of its term but its history: no acknowledgement, no barrier.
 *   9. Time is one's own running time (see `run`): a pause of this process makes nobody else silent.
 *
 * States and transitions
 *   role, phase                on                                        becomes
 *   LOOKING, election          a quorum has this replica's vote          LEADING, discovery
 *                              a quorum has the same vote for a peer,
 *                              or follows a leader that says so          FOLLOWING, discovery
 *   LEADING, discovery         FOLLOWER_INFO of a quorum                 accepted = e', NEW_EPOCH
 *                              ACK_EPOCH of a quorum, none newer         LEADING, synchronisation
 *                              ACK_EPOCH of a newer history              LOOKING
 *   LEADING, synchronisation   history durable                           current = e', counts itself
 *                              ACK_NEW_LEADER of a quorum, with itself   LEADING, broadcast
 *   LEADING, broadcast         ACK of a quorum                           (commit)
 *                              the counter is used up                    LOOKING
 *   LEADING, any               no quorum responds; disk full (not alone) LOOKING
 *   FOLLOWING, discovery       NEW_EPOCH ≥ accepted                      accepted = e', FOLLOWING, synchronisation
 *   FOLLOWING, synchronisation SYNC                                      in step (TRUNC: cut first; SNAP: when loaded)
 *                              NEW_LEADER, durable up to its zxid        current = e', ACK_NEW_LEADER
 *                              UP_TO_DATE                                FOLLOWING, broadcast
 *   FOLLOWING, any             the leader is silent, looks or follows;
 *                              no progress; disk full                    LOOKING
 *   any                        histories contradict each other           fatal: nothing any more */
#include "replica/zab/zab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "replica/zab/internal.h"

enum { LATE_MS = 5 }; /* of a step that comes later than asked for, at most this much counts as running time */

#ifdef PACT_PLANT
enum zab_bug zab_planted;
#endif

bool zab_newer(uint32_t epoch, uint64_t zxid, uint32_t than_epoch, uint64_t than_zxid)
{
    return epoch != than_epoch ? epoch > than_epoch : zxid > than_zxid;
}

bool zab_alone(const struct zab *zab)
{
    return zab->peer_count == 0;
}

void zab_deliver(struct zab *zab)
{
    uint64_t to = zab->commit < zab->durable ? zab->commit : zab->durable;
    if (to <= zab->committed)
        return;
    zab->committed = to;
    emit(zab, ZAB_COMMITTED)->zxid = to;
}

void zab_refuse(struct zab *zab, struct peer *peer, int code)
{
    emit_drop(zab, peer, code);
    election_unlinked(zab, peer);
}

static struct zab_timing timing_of(struct zab_timing timing)
{
    timing.ping_ms = timing.ping_ms != 0 ? timing.ping_ms : ZAB_PING_MS;
    timing.silence_ms = timing.silence_ms != 0 ? timing.silence_ms : ZAB_SILENCE_MS;
    timing.vote_ms = timing.vote_ms != 0 ? timing.vote_ms : ZAB_VOTE_MS;
    timing.phase_ms = timing.phase_ms != 0 ? timing.phase_ms : ZAB_PHASE_MS;
    return timing;
}

static void add_peers(struct zab *zab, const struct zab_options *options)
{
    bool member = false;
    assert(options->member_count % 2 == 1 && options->member_count <= LIMIT_REPLICAS);
    for (size_t i = 0; i < options->member_count; i++) {
        assert(options->members[i] != 0 && peer_of(zab, options->members[i]) == NULL);
        if (options->members[i] == options->id)
            member = true;
        else
            zab->peers[zab->peer_count++].id = options->members[i];
    }
    assert(member && zab->peer_count + 1 == options->member_count);
}

struct zab *zab_new(const struct zab_options *options, uint64_t now_ms)
{
    struct zab *zab = calloc(1, sizeof *zab);
    if (zab == NULL)
        abort();
    assert(options->epochs.current <= options->epochs.accepted);
    zab->id = options->id;
    add_peers(zab, options);
    history_init(&zab->history, options);
    zab->durable = history_last(&zab->history);
    zab->committed = zab->commit = options->base;
    zab->epochs = options->epochs;
    zab->epochs.voter = options->epochs.voter || zab_alone(zab); /* alone it promised nothing to anybody */
    assert(zab->epochs.accepted >= ZXID_EPOCH(zab->durable));
    zab->stamp_ns = options->stamp_ns;
    zab->stamped_at_ns = options->running_ns;
    zab->random = options->seed;
    zab->counter_last = options->counter_last != 0 ? options->counter_last : UINT32_MAX;
    zab->timing = timing_of(options->timing);
    zab->patience = 1;
    zab->role = ZAB_LOOKING;
    zab->now_ms = now_ms;
    return zab;
}

void zab_free(struct zab *zab)
{
    if (zab == NULL)
        return;
    history_free(&zab->history);
    free(zab->barriers);
    free(zab);
}

/* --- time --- */

static uint64_t deadline_run(const struct zab *zab)
{
    uint64_t deadline = UINT64_MAX, granule = zab->run_ms + zab->timing.ping_ms;
    if (zab->fatal)
        return UINT64_MAX;
    if (!zab->started)
        return zab->run_ms;
    if (zab->role == ZAB_LEADING)
        deadline = leader_deadline(zab);
    else if (zab->role == ZAB_FOLLOWING)
        deadline = follower_deadline(zab);
    else
        deadline = election_deadline(zab);
    if (!zab_alone(zab) && deadline > granule)
        deadline = granule; /* so that a pause shows as one */
    return deadline > zab->run_ms ? deadline : zab->run_ms;
}

static bool used_up(const struct zab *zab)
{
    uint64_t last = history_last(&zab->history);
    return zab->role == ZAB_LEADING && zab->phase == ZAB_BROADCAST && ZXID_EPOCH(last) == zab->term &&
           ZXID_COUNTER(last) >= zab->counter_last && !ZAB_BUG(ROLLOVER);
}

uint64_t zab_deadline(const struct zab *zab)
{
    uint64_t deadline = used_up(zab) ? zab->run_ms : deadline_run(zab);
    return deadline == UINT64_MAX ? UINT64_MAX : zab->now_ms + (deadline - zab->run_ms);
}

/* One's own running time: what passes while this process is stopped, or its loop is late, is nobody else's silence. */
static void run(struct zab *zab, uint64_t now_ms)
{
    uint64_t passed = now_ms > zab->now_ms ? now_ms - zab->now_ms : 0;
    uint64_t deadline = deadline_run(zab);
    uint64_t most = deadline == UINT64_MAX ? passed : deadline - zab->run_ms + LATE_MS;
    zab->run_ms += passed < most ? passed : most;
    if (now_ms > zab->now_ms)
        zab->now_ms = now_ms;
}

/* --- events --- */

static void tick(struct zab *zab)
{
    patience_tick(zab);
    if (!zab->started) {
        zab->started = true;
        election_start(zab);
    } else if (used_up(zab)) {
        leader_step_down(zab); /* trap: the counter's 32 bits run over: a new epoch begins before they do */
    } else if (zab->role == ZAB_LEADING) {
        leader_tick(zab);
    } else if (zab->role == ZAB_FOLLOWING) {
        follower_tick(zab);
    } else {
        election_tick(zab);
    }
}

static void link_down(struct zab *zab, struct peer *peer)
{
    if (!peer->linked)
        return;
    peer->linked = peer->voted = peer->answered = false;
    if (zab->role != ZAB_LEADING)
        peer->stage = AWAY;
    election_unlinked(zab, peer);
}

static void link_up(struct zab *zab, struct peer *peer)
{
    link_down(zab, peer); /* one that is up already was reset */
    peer->linked = true;
    patience_heard(zab, peer);
    election_linked(zab, peer);
}

static void receive(struct zab *zab, struct peer *peer, const struct zab_message *message)
{
    bool voter = peer->voter;
    if (!peer->linked || !zab->started)
        return; /* what a link that was dropped has left */
    patience_heard(zab, peer);
    peer->voter = message->voter;
    if (message->kind == ZAB_VOTE)
        election_receive(zab, peer, message);
    else if (zab->role == ZAB_LEADING)
        leader_receive(zab, peer, message);
    else if (zab->role == ZAB_FOLLOWING)
        follower_receive(zab, peer, message);
    else if (message->kind == ZAB_FOLLOWER_INFO)
        leader_remember(zab, peer, message); /* it has seen the election's end before us */
    if (voter != peer->voter)
        broadcast_commit(zab);
}

static void durable(struct zab *zab, uint64_t zxid)
{
    uint64_t last = history_last(&zab->history);
    zxid = zxid < last ? zxid : last; /* what was cut since counts for nothing */
    if (zxid <= zab->durable)
        return;
    zab->durable = zxid;
    if (zab->role == ZAB_LEADING)
        leader_durable(zab);
    else if (zab->role == ZAB_FOLLOWING)
        follower_durable(zab);
}

static void snapshot_done(struct zab *zab, uint64_t zxid)
{
    assert(zab->role != ZAB_LEADING && zxid > history_last(&zab->history));
    history_reset(&zab->history, zxid);
    zab->durable = zab->committed = zxid;
    if (zab->commit < zxid)
        zab->commit = zxid;
    if (zab->role == ZAB_FOLLOWING)
        follower_snapshot(zab);
    else if (zab->started)
        election_start(zab); /* with the new history */
}

/* The disk is full: what is withdrawn here may live on elsewhere, so a leader's place in the order is lost with it.
 * Only alone it can give the counters to others. */
static void withdrawn(struct zab *zab, uint64_t zxid)
{
    assert(zxid >= zab->durable && zxid <= history_last(&zab->history));
    history_truncate(&zab->history, zxid);
    zab->full = true;
    if (zab->role == ZAB_LEADING && !zab_alone(zab))
        leader_step_down(zab);
    else if (zab->role == ZAB_LEADING)
        leader_durable(zab); /* all there is now */
    else if (zab->role == ZAB_FOLLOWING)
        follower_leave(zab);
    else if (zab->started && zab->role == ZAB_LOOKING)
        election_start(zab);
}

static void space(struct zab *zab)
{
    if (!zab->full)
        return;
    zab->full = false;
    if (zab->started && zab->role == ZAB_LOOKING)
        election_start(zab);
}

static void named(struct zab *zab)
{
    struct zab_epochs epochs = zab->epochs;
    if (epochs.voter)
        return;
    epochs.voter = true;
    emit_epochs(zab, epochs);
    if (zab->role == ZAB_FOLLOWING)
        follower_durable(zab); /* the leader learns of it */
    else if (zab->started && zab->role == ZAB_LOOKING)
        election_start(zab);
}

static void heard(struct zab *zab, struct peer *peer)
{
    if (peer->linked)
        patience_heard(zab, peer);
    if (zab->role == ZAB_FOLLOWING && zab->leader == peer->id)
        zab->progress_ms = zab->run_ms;
}

static void about_peer(struct zab *zab, const struct zab_event *event)
{
    struct peer *peer = peer_of(zab, event->peer);
    assert(peer != NULL);
    if (event->kind == ZAB_LINK_UP)
        link_up(zab, peer);
    else if (event->kind == ZAB_LINK_DOWN)
        link_down(zab, peer);
    else if (event->kind == ZAB_RECEIVE)
        receive(zab, peer, event->message);
    else
        heard(zab, peer);
}

void zab_step(struct zab *zab, const struct zab_event *event, struct zab_update *update)
{
    if (zab->fatal)
        return;
    run(zab, event->now_ms);
    zab->out = update;
    switch (event->kind) {
    case ZAB_TICK:
        tick(zab);
        break;
    case ZAB_LINK_UP:
    case ZAB_LINK_DOWN:
    case ZAB_RECEIVE:
    case ZAB_HEARD:
        about_peer(zab, event);
        break;
    case ZAB_DURABLE:
        durable(zab, event->zxid);
        break;
    case ZAB_SNAPSHOT_DONE:
        snapshot_done(zab, event->zxid);
        break;
    case ZAB_WITHDRAWN:
        withdrawn(zab, event->zxid);
        break;
    case ZAB_SPACE:
        space(zab);
        break;
    case ZAB_BARRIER:
        broadcast_barrier(zab, event->token);
        break;
    case ZAB_NAMED:
        named(zab);
        break;
    case ZAB_PURGED:
        history_purge(&zab->history, event->zxid);
        break;
    }
    zab->out = NULL;
}

void zab_stamped(struct zab *zab, int64_t stamp_ns, uint64_t running_ns)
{
    if (stamp_ns <= zab->stamp_ns)
        return;
    zab->stamp_ns = stamp_ns;
    zab->stamped_at_ns = running_ns;
}

/* --- what it knows --- */

enum zab_role zab_role(const struct zab *zab)
{
    return zab->role;
}

enum zab_phase zab_phase(const struct zab *zab)
{
    return zab->phase;
}

uint32_t zab_leader(const struct zab *zab)
{
    return zab->leader;
}

uint32_t zab_epoch(const struct zab *zab)
{
    return zab->role == ZAB_LOOKING || zab->term == 0 ? zab->epochs.current : zab->term;
}

uint64_t zab_last(const struct zab *zab)
{
    return history_last(&zab->history);
}

uint64_t zab_durable(const struct zab *zab)
{
    return zab->durable;
}

uint64_t zab_committed(const struct zab *zab)
{
    return zab->committed;
}

bool zab_voter(const struct zab *zab)
{
    return zab->epochs.voter;
}

uint64_t zab_lacks(const struct zab *zab)
{
    uint64_t last = history_last(&zab->history);
    if (zab->role != ZAB_FOLLOWING || !zab->asked || zab->acknowledged || last >= zab->target)
        return 0;
    return ZXID_EPOCH(last) == ZXID_EPOCH(zab->target) ? zab->target - last : ZXID_COUNTER(zab->target);
}

int64_t zab_behind(const struct zab *zab, uint64_t zxid)
{
    return history_after(&zab->history, zxid);
}

size_t zab_peers(const struct zab *zab, struct zab_peer_status *list, size_t capacity)
{
    size_t count = zab->peer_count < capacity ? zab->peer_count : capacity;
    bool leads = zab->role == ZAB_LEADING;
    for (size_t i = 0; i < count; i++) {
        const struct peer *peer = &zab->peers[i];
        list[i] = (struct zab_peer_status){.id = peer->id, .linked = peer->linked};
        if (!leads)
            continue;
        list[i].following = peer->stage >= ASKING;
        list[i].synchronised = peer->welcomed;
        list[i].voter = peer->voter;
        list[i].durable = peer->durable;
    }
    return count;
}
