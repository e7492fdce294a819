/* internal.h - what the parts of the Zab core share. Head comment, invariants and table of states: zab.c. */
#ifndef PACT_ZAB_INTERNAL_H
#define PACT_ZAB_INTERNAL_H

#include "replica/zab/history.h"
#include "replica/zab/plant.h"

/* How far a peer has come in following this leader. */
enum stage {
    AWAY = 0,     /* does not follow, as far as is known */
    ASKING = 1,   /* its FOLLOWER_INFO is here (also kept for a replica that is still LOOKING: it may be elected yet) */
    INVITED = 2,  /* NEW_EPOCH was sent */
    ACCEPTED = 3, /* its ACK_EPOCH is here */
    SYNCING = 4,  /* is being fed: SYNC and NEW_LEADER were sent, or wait for the snapshot to begin */
    SYNCED = 5,   /* its ACK_NEW_LEADER is here: only now its durable watermark counts */
};

struct peer {
    uint32_t id;
    bool linked, voter;      /* voter: as it last said */
    bool voted;              /* `vote` is its latest vote of this round, */
    struct zab_message vote; /* and */
    bool answered;           /* `answer` the latest it said about a leader it has */
    struct zab_message answer;
    uint64_t heard_ms;       /* running time of the last message */
    bool suspected, wronged; /* of being down, since suspected_ms; wrongly so, lately at wronged_ms (patience.c) */
    uint64_t suspected_ms, wronged_ms;

    /* The rest is the leader's. */
    enum stage stage;
    uint64_t attempt; /* the follower's number of it */
    uint32_t accepted, current;
    uint64_t last;      /* of its history, as of ACK_EPOCH */
    uint64_t target;    /* what it must have durable to acknowledge NEW_LEADER */
    uint64_t durable;   /* as it last said */
    uint64_t pong;      /* the last ping it answered */
    bool promised;      /* its ACK_EPOCH counts: it accepted this epoch from this leader first */
    bool told;          /* NEW_LEADER was sent */
    bool fed, welcomed; /* ZAB_FEED is on; UP_TO_DATE was sent */
};

struct barrier {
    uint64_t token, zxid, ping; /* answered once a quorum has answered this ping */
};

struct zab {
    uint32_t id;
    size_t peer_count;
    struct peer peers[LIMIT_REPLICAS - 1];
    struct zab_epochs epochs; /* as they are on disk once the actions so far are carried out */
    struct history history;
    uint64_t durable, committed; /* committed ≤ durable ≤ the history's last */
    uint64_t commit;             /* the term's commit point, as far as it is known here; may be ahead of `durable` */
    int64_t stamp_ns;            /* the last one */
    uint64_t stamped_at_ns;      /* by running_ns: when it was given, or came here */
    uint64_t random;
    uint32_t counter_last;
    struct zab_timing timing;

    enum zab_role role;
    enum zab_phase phase;
    uint32_t leader, term; /* 0: none; the term's epoch e' from NEW_EPOCH on */
    bool started, full, fatal;
    bool bootstrap; /* this election and term found the ensemble; until ZAB_BROADCAST */

    /* Time. */
    uint64_t now_ms;      /* the caller's, of the last step */
    uint64_t run_ms;      /* one's own running time */
    uint32_t patience;    /* a silence lasts so many times timing.silence_ms: 1, 2 … ZAB_PATIENCE */
    uint64_t calm_ms;     /* (running time) of the last wrong suspicion, or step back to less patience */
    uint64_t progress_ms; /* (running time, as all below) of the last progress in discovery and synchronisation */

    /* Election. */
    uint64_t round;
    struct zab_vote vote;
    bool agreed; /* a quorum has this vote, since: */
    uint64_t agreed_ms, looking_ms, retry_ms, retry_wait_ms;

    /* Follower. */
    uint64_t attempt;
    bool in_step;      /* SYNC is done: this history is a beginning of the leader's */
    uint64_t snapshot; /* waits for a snapshot of this zxid; 0: none */
    bool asked;        /* NEW_LEADER has come, */
    uint64_t target;   /* to be acknowledged when this is durable, */
    bool acknowledged; /* which has been done */

    /* Leader. */
    uint32_t highest; /* accepted epoch ever heard of */
    bool synced;      /* has acknowledged its own NEW_LEADER */
    uint64_t ping, ping_ms;
    struct barrier *barriers;
    size_t barrier_count, barrier_capacity;

    struct zab_update *out; /* of the step under way */
};

/* --- update.c: what is to be done --- */

struct zab_action *emit(struct zab *zab, enum zab_action_kind kind);
void emit_send(struct zab *zab, const struct peer *peer, const struct zab_message *message); /* adds voter */
void emit_epochs(struct zab *zab, struct zab_epochs epochs);
void emit_role(struct zab *zab);
void emit_drop(struct zab *zab, struct peer *peer, int code); /* the link counts as down from here */
void emit_fatal(struct zab *zab, int code);

/* --- quorum.c --- */

#define FOR_PEERS(zab, peer) for (struct peer *peer = (zab)->peers; peer < (zab)->peers + (zab)->peer_count; peer++)
#define FOR_CONST_PEERS(zab, peer)                                                                                     \
    for (const struct peer *peer = (zab)->peers; peer < (zab)->peers + (zab)->peer_count; peer++)

struct peer *peer_of(struct zab *zab, uint32_t id); /* NULL: no member, or this one */
size_t quorum_size(const struct zab *zab);          /* a majority; to found an ensemble: all */
bool peer_counts(const struct zab *zab, const struct peer *peer);
size_t own_count(const struct zab *zab); /* 1 if this replica counts, else 0 */
/* Whether those at this stage or further, with this replica (if `self`), are a quorum. */
bool quorum_at(const struct zab *zab, enum stage stage, bool self);
bool quorum_promised(const struct zab *zab);    /* ACK_EPOCH of a quorum */
bool quorum_responds(const struct zab *zab);    /* before it counts as silent */
uint64_t quorum_pong(const struct zab *zab);    /* the latest ping a quorum has answered */
uint64_t quorum_durable(const struct zab *zab); /* durable on a quorum of those in sync */

/* --- patience.c --- */

uint64_t patience_silence_ms(const struct zab *zab);       /* until a silent peer counts as down */
uint64_t patience_phase_ms(const struct zab *zab);         /* without progress */
void patience_suspect(struct zab *zab, struct peer *peer); /* it has been silent for too long */
void patience_heard(struct zab *zab, struct peer *peer);   /* a sign of life: sets heard_ms */
void patience_tick(struct zab *zab);

/* --- election.c --- */

void election_start(struct zab *zab); /* → LOOKING, a new round */
void election_receive(struct zab *zab, struct peer *peer, const struct zab_message *message);
void election_tell(struct zab *zab, const struct peer *peer); /* this replica's notification to one peer */
void election_tell_all(struct zab *zab);
void election_linked(struct zab *zab, struct peer *peer);
void election_unlinked(struct zab *zab, struct peer *peer);
void election_tick(struct zab *zab);
uint64_t election_deadline(const struct zab *zab); /* running time */

/* --- leader.c: discovery, synchronisation --- */

void leader_start(struct zab *zab);
void leader_step_down(struct zab *zab);                 /* → LOOKING */
void leader_forget(struct zab *zab, struct peer *peer); /* it has left; without a quorum the leader steps down */
void leader_receive(struct zab *zab, struct peer *peer, const struct zab_message *message);
void leader_durable(struct zab *zab);
void leader_tick(struct zab *zab);
uint64_t leader_deadline(const struct zab *zab);
void leader_remember(struct zab *zab, struct peer *peer, const struct zab_message *info); /* a FOLLOWER_INFO */

/* --- broadcast.c: the leader's phase 3 --- */

void broadcast_start(struct zab *zab);
void broadcast_welcome(struct zab *zab, struct peer *peer); /* UP_TO_DATE */
void broadcast_commit(struct zab *zab);                     /* what a quorum has is committed */
void broadcast_ping(struct zab *zab);
void broadcast_pong(struct zab *zab);
void broadcast_barrier(struct zab *zab, uint64_t token);

/* --- follower.c --- */

void follower_start(struct zab *zab, struct peer *leader);
void follower_leave(struct zab *zab); /* → LOOKING */
void follower_receive(struct zab *zab, struct peer *peer, const struct zab_message *message);
void follower_durable(struct zab *zab);
void follower_snapshot(struct zab *zab);
void follower_tick(struct zab *zab);
uint64_t follower_deadline(const struct zab *zab);

/* --- zab.c --- */

void zab_deliver(struct zab *zab); /* ZAB_COMMITTED as far as the commit point and the own disk allow */
/* (epoch, zxid) as the paper orders histories. */
bool zab_newer(uint32_t epoch, uint64_t zxid, uint32_t than_epoch, uint64_t than_zxid);
/* The link to a peer that contradicts itself or this history, or is silent, is begun anew, and the protocol with it. */
void zab_refuse(struct zab *zab, struct peer *peer, int code);
bool zab_alone(const struct zab *zab); /* an ensemble of one */

#endif
