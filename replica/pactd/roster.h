/* roster.h - the sessions as the leader must know them beside the state: when each was last heard of, and the number
 * of its newest proposal. */
#ifndef PACT_ROSTER_H
#define PACT_ROSTER_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

struct attachment;
struct replica;
struct state;

struct roster_session {
    uint64_t id;
    uint64_t number; /* the newest proposed; the next must be one more */
    uint64_t heard;  /* roster.now_ms of the last sign of life */
    uint32_t timeout_ms;
    bool closing;                  /* its close is proposed: no acknowledgement any more */
    bool asked_resend;             /* after a gap in its numbers, once */
    struct attachment *attachment; /* NULL: no link carries it */
    UT_hash_handle hh;
};

struct roster {
    struct roster_session *sessions;
    uint64_t now_ms;    /* running time: pauses of this process do not count against the sessions */
    uint64_t clock_ms;  /* when it was that */
    uint64_t expiry_ms; /* no session expires before this running time */
};

/* All sessions of the state, each with its full timeout from now on. */
void roster_load(struct roster *roster, const struct state *state);
void roster_free(struct roster *roster);
struct roster_session *roster_find(struct roster *roster, uint64_t id);
struct roster_session *roster_add(struct roster *roster, uint64_t id, uint32_t timeout_ms);
void roster_remove(struct roster *roster, struct roster_session *session);
void roster_heard(struct roster *roster, struct roster_session *session);
/* Every session has its full timeout from now on: a new leader has heard of none yet. */
void roster_hear_all(struct roster *roster);
/* What was proposed and not applied never was. */
void roster_withdraw(struct roster *roster, const struct state *state);
/* Lets running time pass: what is heard from now on is heard now. */
void roster_pass_time(struct roster *roster, uint64_t clock_ms);
/* Proposes the close of each session that was silent for its timeout. */
void roster_expire(struct replica *replica);

#endif
