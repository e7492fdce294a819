/* election.c - phase 0: fast leader election.
 *
 * Everyone LOOKING tells all it is linked to its vote, in numbered rounds, and adopts a better one; a vote that a
 * quorum shares is the result. Replicas that follow or lead answer with their leader. The election only makes a good
 * guess: discovery proves it, so a wrong one costs time and nothing else.
 *
 * Links are FIFO: a peer knows one's latest notification of a round, so nothing need be repeated but to be safe. */
#include <assert.h>
#include <string.h>

#include "replica/zab/internal.h"

enum { RETRY_DOUBLINGS = 4 };
#define ROUND_LIMIT (1ull << 62) /* no honest clock gets there */

static bool may_found(const struct zab *zab)
{
    if (history_last(&zab->history) != 0)
        return false;
    FOR_CONST_PEERS (zab, peer)
        if (!peer->linked || !peer->voted || !peer->vote.fresh)
            return false;
    return true;
}

/* A candidate has a history (or founds the ensemble), may vote, has space, and enough links to be followed. */
static bool may_stand(const struct zab *zab)
{
    size_t links = 1;
    if (zab->full)
        return false;
    if (zab->bootstrap || zab_alone(zab))
        return true;
    FOR_CONST_PEERS (zab, peer)
        links += peer->linked;
    return zab->epochs.voter && history_last(&zab->history) != 0 && links >= quorum_size(zab);
}

static bool better(const struct zab_vote *vote, const struct zab_vote *than)
{
    if (vote->leader == 0 || than->leader == 0)
        return vote->leader != 0;
    if (vote->epoch != than->epoch || vote->zxid != than->zxid)
        return zab_newer(vote->epoch, vote->zxid, than->epoch, than->zxid);
    return vote->leader > than->leader;
}

static bool same(const struct zab_vote *a, const struct zab_vote *b)
{
    return a->leader == b->leader && a->epoch == b->epoch && a->zxid == b->zxid;
}

void election_tell(struct zab *zab, const struct peer *peer)
{
    struct zab_message message = {.kind = ZAB_VOTE,
                                  .epoch = zab->epochs.current,
                                  .zxid = history_last(&zab->history),
                                  .round = zab->round,
                                  .role = zab->role,
                                  .vote = zab->vote,
                                  .fresh = history_last(&zab->history) == 0};
    if (zab->role != ZAB_LOOKING)
        message.vote = (struct zab_vote){.leader = zab->leader, .epoch = zab->phase == ZAB_BROADCAST ? zab->term : 0};
    emit_send(zab, peer, &message);
}

void election_tell_all(struct zab *zab)
{
    FOR_PEERS (zab, peer)
        election_tell(zab, peer);
}

/* splitmix64 */
static uint64_t draw(struct zab *zab, uint64_t below)
{
    uint64_t z = zab->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (z ^ z >> 31) % below;
}

/* Retries come rarer and rarer, spread by the seed so that replicas do not stay in step with each other. */
static void set_retry(struct zab *zab)
{
    uint64_t most = (uint64_t)zab->timing.vote_ms << RETRY_DOUBLINGS;
    zab->retry_wait_ms = zab->retry_wait_ms * 2 < most ? zab->retry_wait_ms * 2 : most;
    zab->retry_ms = zab->run_ms + zab->retry_wait_ms + draw(zab, zab->retry_wait_ms);
}

static void vote_for_oneself(struct zab *zab)
{
    zab->vote = (struct zab_vote){0};
    if (may_stand(zab))
        zab->vote =
            (struct zab_vote){.leader = zab->id, .epoch = zab->epochs.current, .zxid = history_last(&zab->history)};
}

static void enter_round(struct zab *zab, uint64_t round)
{
    zab->round = round;
    zab->agreed = false;
    zab->bootstrap = false;
    zab->looking_ms = zab->run_ms;
    FOR_PEERS (zab, peer)
        peer->voted = peer->answered = false;
    vote_for_oneself(zab);
}

static void evaluate(struct zab *zab);

/* A new round of this replica's own: what made it is told to all by the new number. */
static void new_round(struct zab *zab)
{
    enter_round(zab, zab->round + 1);
    election_tell_all(zab);
    evaluate(zab);
}

void election_start(struct zab *zab)
{
    zab->role = ZAB_LOOKING;
    zab->phase = ZAB_ELECTION;
    zab->leader = zab->term = 0;
    zab->commit = zab->committed;
    zab->retry_wait_ms = zab->timing.vote_ms;
    set_retry(zab);
    new_round(zab);
}

/* The best vote of all that are known; a candidate without any history only to found the ensemble. */
static bool adopt_best(struct zab *zab)
{
    struct zab_vote best = zab->vote, own = zab->vote;
    if (may_stand(zab))
        own = (struct zab_vote){.leader = zab->id, .epoch = zab->epochs.current, .zxid = history_last(&zab->history)};
    if (better(&own, &best))
        best = own;
    FOR_PEERS (zab, peer) {
        if (!peer->voted || (peer->vote.vote.zxid == 0 && !zab->bootstrap))
            continue;
        if (better(&peer->vote.vote, &best))
            best = peer->vote.vote;
    }
    if (same(&best, &zab->vote))
        return false;
    zab->vote = best;
    return true;
}

static bool quorum_agrees(const struct zab *zab)
{
    size_t count = own_count(zab);
    if (zab->vote.leader == 0)
        return false;
    FOR_CONST_PEERS (zab, peer)
        count += peer_counts(zab, peer) && peer->voted && same(&peer->vote.vote, &zab->vote);
    return count >= quorum_size(zab);
}

/* Nobody who could have a better vote is still to be heard. */
static bool all_heard(const struct zab *zab)
{
    FOR_CONST_PEERS (zab, peer)
        if (peer->linked && !peer->voted && !peer->answered)
            return false;
    return true;
}

/* "Wait at most vote_ms for better votes, not at all when all linked have voted." */
static void decide(struct zab *zab)
{
    struct peer *leader = peer_of(zab, zab->vote.leader);
    if (!quorum_agrees(zab)) {
        zab->agreed = false;
        return;
    }
    if (!zab->agreed)
        zab->agreed_ms = zab->run_ms;
    zab->agreed = true;
    if (!all_heard(zab) && zab->run_ms - zab->agreed_ms < zab->timing.vote_ms)
        return;
    if (zab->vote.leader == zab->id)
        leader_start(zab);
    else if (leader != NULL && leader->linked && !zab->full)
        follower_start(zab, leader);
    /* else: it cannot be reached from here, or this replica has no space to follow; the next retry looks again */
}

static size_t followers_of(const struct zab *zab, const struct peer *leader)
{
    size_t count = 0;
    FOR_CONST_PEERS (zab, peer)
        count += peer_counts(zab, peer) && peer->answered && peer->answer.vote.leader == leader->id &&
                 peer->answer.round == leader->answer.round;
    return count;
}

/* Joins a leader that is there: one that says so itself and that a quorum of voters follows. If not all of these can be
 * asked from here, then after vote_ms one that says it is established: it knows of its quorum itself. */
static bool join(struct zab *zab)
{
    bool waited = zab->run_ms - zab->looking_ms >= zab->timing.vote_ms;
    if (zab->full)
        return false;
    FOR_PEERS (zab, peer) {
        if (!peer->linked || !peer->answered || peer->answer.role != ZAB_LEADING)
            continue;
        if (followers_of(zab, peer) >= quorum_size(zab) || (waited && peer->answer.vote.epoch != 0)) {
            zab->round = peer->answer.round; /* from now on its election is ours */
            follower_start(zab, peer);
            return true;
        }
    }
    return false;
}

static void evaluate(struct zab *zab)
{
    assert(zab->role == ZAB_LOOKING);
    zab->bootstrap = may_found(zab);
    if (adopt_best(zab)) {
        zab->agreed = false;
        election_tell_all(zab);
    }
    if (!join(zab))
        decide(zab);
}

/* A peer that is LOOKING tells its vote while this replica follows or leads. True: this replica looks now as well. */
static bool disturbed_by(struct zab *zab, struct peer *peer, const struct zab_message *message)
{
    if (zab->role == ZAB_FOLLOWING && peer->id == zab->leader) {
        if (message->round <= zab->round)
            return false;    /* slow to see that it was elected */
        follower_leave(zab); /* it has given up */
        return true;
    }
    if (zab->role == ZAB_LEADING) {
        /* Elected in a round the others have gone on from: they will not come. */
        bool left = zab->term == 0 && message->round > zab->round;
        leader_forget(zab, peer);
        if (zab->role == ZAB_LEADING && left)
            leader_step_down(zab);
        if (zab->role == ZAB_LOOKING)
            return true;
    }
    election_tell(zab, peer);
    return false;
}

static void receive_looking(struct zab *zab, struct peer *peer, const struct zab_message *message)
{
    bool news = !peer->voted;
    if (message->round < zab->round) {
        election_tell(zab, peer); /* it is behind: it joins this round */
        return;
    }
    if (message->round > zab->round) {
        enter_round(zab, message->round);
        election_tell_all(zab);
    } else if (news) {
        election_tell(zab, peer); /* it forgot what it had heard when it began this round */
    }
    peer->vote = *message;
    peer->voted = true;
    peer->answered = false;
}

/* A peer that has a leader. Its vote of this round stands if it was for that one. */
static void receive_answer(struct peer *peer, const struct zab_message *message)
{
    peer->answer = *message;
    peer->answered = true;
    if (peer->vote.round != message->round || peer->vote.vote.leader != message->vote.leader)
        peer->voted = false;
}

static bool sane(struct zab *zab, const struct zab_message *message)
{
    uint32_t leader = message->vote.leader;
    return (leader == 0 || leader == zab->id || peer_of(zab, leader) != NULL) && message->round < ROUND_LIMIT &&
           message->role >= ZAB_LOOKING && message->role <= ZAB_LEADING;
}

void election_receive(struct zab *zab, struct peer *peer, const struct zab_message *message)
{
    if (!sane(zab, message)) {
        zab_refuse(zab, peer, ERR_INVALID);
        return;
    }
    if (zab->role == ZAB_FOLLOWING && message->role == ZAB_FOLLOWING && peer->id == zab->leader) {
        follower_leave(zab); /* our leader follows somebody */
        return;
    }
    if (zab->role != ZAB_LOOKING && (message->role != ZAB_LOOKING || !disturbed_by(zab, peer, message)))
        return;
    if (message->role == ZAB_LOOKING)
        receive_looking(zab, peer, message);
    else
        receive_answer(peer, message);
    evaluate(zab);
}

void election_linked(struct zab *zab, struct peer *peer)
{
    if (zab->role != ZAB_LOOKING || !zab->started)
        return; /* a peer that looks for a leader will ask */
    election_tell(zab, peer);
    evaluate(zab);
}

/* The link to a peer is gone (reset or down; peer->linked says so already). */
void election_unlinked(struct zab *zab, struct peer *peer)
{
    if (zab->role == ZAB_FOLLOWING && peer->id == zab->leader)
        follower_leave(zab);
    else if (zab->role == ZAB_LEADING)
        leader_forget(zab, peer);
    if (zab->role != ZAB_LOOKING || !zab->started)
        return;
    if (zab->vote.leader == peer->id || (zab->vote.leader == zab->id && !may_stand(zab)))
        new_round(zab); /* in this one the others may hold up each other's vote for one that is gone */
    else
        evaluate(zab);
}

void election_tick(struct zab *zab)
{
    evaluate(zab);
    if (zab->role != ZAB_LOOKING || zab->run_ms < zab->retry_ms)
        return;
    set_retry(zab);
    struct peer *leader = peer_of(zab, zab->vote.leader);
    if (leader != NULL && !leader->linked)
        new_round(zab); /* the others' choice cannot be reached */
    else
        election_tell_all(zab);
}

uint64_t election_deadline(const struct zab *zab)
{
    uint64_t deadline = zab->retry_ms, joins = zab->looking_ms + zab->timing.vote_ms;
    if (zab->agreed && zab->agreed_ms + zab->timing.vote_ms < deadline &&
        zab->agreed_ms + zab->timing.vote_ms > zab->run_ms)
        deadline = zab->agreed_ms + zab->timing.vote_ms;
    if (joins > zab->run_ms && joins < deadline)
        deadline = joins;
    return deadline;
}
