/* learner_sim.h - one mount's learner and the replicas it talks to, in one thread, under one clock, from one seed.
 *
 * The replicas are a model: an order of entries of which a prefix is committed and applied to a real state machine,
 * sessions that expire, and one link that carries messages in order and may be cut anywhere, losing what it holds. A
 * change of leader may undo what is not committed.
 *
 * Each request asks for one sequential znode "rN-…" with a number of its own, so that every time it is applied shows.
 * What the learner sends is checked against its promises as it goes: see sim_check_sent. */
#ifndef PACT_TEST_LEARNER_SIM_H
#define PACT_TEST_LEARNER_SIM_H

#include "fs/client/learner.h"

enum {
    SIM_REQUESTS = 120,
    SIM_LOG = 4096,
    SIM_NUMBERS = 1024,
    SIM_SESSION_MS = 4000,
    SIM_OP_MS = 3000,
    SIM_SYNCS = 64,
    SIM_NOOP = -1,
};

struct sim_asked {
    uint64_t ticket;
    unsigned completed; /* times */
    int code;
    char name[LIMIT_NAME_BYTES + 1]; /* as the result says */
};

struct sim_sync {
    uint64_t committed; /* zxid, when it was asked for */
    unsigned completed;
    int code;
};

struct sim_counts {
    uint64_t done, unknown, refused, withdrawn; /* requests */
    uint64_t cuts, leaders, snapshots, expiries, noops, resends, syncs;
};

enum sim_attachment { SIM_NONE, SIM_FRESH, SIM_CREATING, SIM_ATTACHED, SIM_DETACHING };

struct sim_queue {
    struct sim_message *first, *last;
};

struct sim {
    uint64_t random, now_ms;
    struct sim_counts counts;

    /* The replicas. */
    struct state *state;        /* all that is committed */
    struct entry log[SIM_LOG];  /* proposed; paths are owned */
    size_t proposed, committed; /* counts */
    size_t purged;              /* entries that can't be streamed any more */
    uint32_t epoch;
    uint64_t session; /* the newest, 0: none */
    uint64_t number;  /* its newest proposal */
    uint64_t heard_ms;
    bool closing, quiet; /* quiet: no leader, nothing is acknowledged or committed */

    /* The link, and the replica's end of it. */
    bool up;
    struct sim_queue to_replica, to_mount;
    enum sim_attachment attachment;
    size_t waits;    /* CREATING: the index of the entry */
    size_t position; /* entries streamed */
    struct snapshot_cursor *cursor;

    /* The mount. */
    struct learner *learner;
    struct learner_output output;
    struct state *tree;
    struct snapshot_loader *loader;
    uint64_t may_dial_ms;
    enum client_state told;
    int drop_code;         /* of the last link dropped */
    int sent[SIM_NUMBERS]; /* by number: which request the session's numbers were given to */
    uint64_t sent_session, sent_number;
    struct sim_asked asked[SIM_REQUESTS];
    int asked_count;
    struct sim_sync syncs[SIM_SYNCS];
    int sync_count;
};

void sim_begin(struct sim *sim, uint64_t seed);
void sim_end(struct sim *sim);
uint32_t sim_pick(struct sim *sim, uint32_t below);

/* --- what may happen; each does nothing where it can't --- */

void sim_submit(struct sim *sim);
void sim_withdraw(struct sim *sim, int index);
void sim_sync(struct sim *sim);
void sim_dial(struct sim *sim);
void sim_cut(struct sim *sim);
bool sim_carry(struct sim *sim, bool to_replica); /* one message; false: there was none */
void sim_commit(struct sim *sim, size_t count);
void sim_change_leader(struct sim *sim);
void sim_purge(struct sim *sim);         /* who is behind now needs a snapshot */
void sim_send_snapshot(struct sim *sim); /* out of the blue */
void sim_foreign(struct sim *sim);       /* somebody else's entry */
/* Lets time pass; with `stall` the learner is not ticked. */
void sim_pass(struct sim *sim, uint64_t ms, bool stall);
/* Everything goes well for so long. */
void sim_calm(struct sim *sim, uint64_t ms);

/* How many znodes request `index` made. */
unsigned sim_made(const struct sim *sim, int index);
/* Each request and sync completed exactly once, and as the tree says. Asserts. */
void sim_check_outcomes(struct sim *sim);

#endif
