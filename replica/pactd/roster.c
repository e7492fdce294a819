#include "replica/pactd/roster.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "replica/pactd/pipeline.h"

/* Longer between two turns of the loop, it was the machine's pause and not the mounts' silence. */
enum { PAUSE_MS = 1000 };

void roster_load(struct roster *roster, const struct state *state)
{
    struct session_info info;
    uint64_t id = 0;
    while (state_next_session(state, &id, &info))
        roster_add(roster, info.id, info.timeout_ms)->number = info.last_number;
}

void roster_free(struct roster *roster)
{
    struct roster_session *session, *next;
    HASH_ITER(hh, roster->sessions, session, next)
    roster_remove(roster, session);
}

struct roster_session *roster_find(struct roster *roster, uint64_t id)
{
    struct roster_session *session = NULL;
    HASH_FIND(hh, roster->sessions, &id, sizeof id, session);
    return session;
}

struct roster_session *roster_add(struct roster *roster, uint64_t id, uint32_t timeout_ms)
{
    struct roster_session *session = calloc(1, sizeof *session);
    assert(session);
    session->id = id;
    session->timeout_ms = timeout_ms;
    HASH_ADD(hh, roster->sessions, id, sizeof session->id, session);
    roster_heard(roster, session);
    return session;
}

void roster_remove(struct roster *roster, struct roster_session *session)
{
    HASH_DELETE(hh, roster->sessions, session);
    free(session);
}

void roster_heard(struct roster *roster, struct roster_session *session)
{
    session->heard = roster->now_ms;
    if (session->heard + session->timeout_ms < roster->expiry_ms)
        roster->expiry_ms = session->heard + session->timeout_ms;
}

void roster_hear_all(struct roster *roster)
{
    roster->expiry_ms = roster->now_ms;
    for (struct roster_session *session = roster->sessions; session; session = session->hh.next)
        session->heard = roster->now_ms;
}

void roster_pass_time(struct roster *roster, uint64_t clock_ms)
{
    uint64_t elapsed_ms = clock_ms - roster->clock_ms;
    roster->now_ms += elapsed_ms < PAUSE_MS ? elapsed_ms : PAUSE_MS;
    roster->clock_ms = clock_ms;
}

void roster_withdraw(struct roster *roster, const struct state *state)
{
    struct session_info info;
    for (struct roster_session *session = roster->sessions; session; session = session->hh.next) {
        bool known = state_session(state, session->id, &info);
        assert(known); /* sessions come and go with apply */
        session->number = info.last_number;
        session->closing = session->asked_resend = false;
    }
}

static void expire(struct replica *replica, struct roster_session *session)
{
    struct request close = {.kind = OP_CLOSE_SESSION, .close_session = {session->id, CLOSE_EXPIRED}};
    if (pipeline_propose_own(replica, &close) != ERR_OK)
        return; /* a full disk: again when there is space */
    session->closing = true;
    report(REPORT_INFO, "session %" PRIu64 ": expired, silent for %u ms", session->id, session->timeout_ms);
}

/* A session's deadline only moves on, so that no look is needed before the earliest one seen by the last look. */
void roster_expire(struct replica *replica)
{
    struct roster *roster = &replica->roster;
    if (roster->now_ms < roster->expiry_ms || replica->full)
        return;
    roster->expiry_ms = UINT64_MAX;
    for (struct roster_session *session = roster->sessions; session; session = session->hh.next) {
        uint64_t deadline_ms = session->heard + session->timeout_ms;
        if (deadline_ms <= roster->now_ms && !session->closing)
            expire(replica, session);
        else if (deadline_ms < roster->expiry_ms && !session->closing)
            roster->expiry_ms = deadline_ms;
    }
    if (replica->full) /* what was to expire is to be looked at again */
        roster->expiry_ms = roster->now_ms;
}
