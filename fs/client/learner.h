/* learner.h - the protocol half of the client, pure: no clock, random, socket or thread; the time, nonces and what
 * arrives come in by calls, what is to be done goes out in a list. So a simulator can run mounts as nodes, and the
 * tests any number of them. client.c carries it out.
 *
 * Times are milliseconds of one clock that also runs while the machine is suspended (CLOCK_BOOTTIME); a call with an
 * older time than the last counts as that one. Not thread-safe: the caller locks.
 *
 * The runtime's part:
 *  - it reports each link (learner_up, learner_message, learner_down) and calls learner_tick at learner_deadline, after
 *    what has arrived by then: an answer that lies there already counts before a timeout;
 *  - it does as learner_message's verdict says: applies the message's entries one by one, each followed by
 *    learner_applied; feeds the snapshot to a loader, then learner_loaded; learner_broken if either fails;
 *  - it carries out the output's actions in order. */
#ifndef PACT_LEARNER_H
#define PACT_LEARNER_H

#include "fs/client/client.h"

enum {
    LEARNER_HEARTBEAT_MAX_MS = 500, /* between heartbeats; less if the session's timeout is short */
    LEARNER_ATTACH_MS = 3000,       /* an ATTACH, or the DETACH of a former session, not answered by then */
    LEARNER_LATE_MS = 250,          /* one step counts at most so much of a leader's silence: a stall is not silence */
    LEARNER_WATCH_MS = 100,         /* how often the silence is looked at */
    LEARNER_REFUSED_MS = 1000,      /* before the next attempt after a refusal that will hardly go away */
    LEARNER_RETRY_MS = 50,          /* and after one that will */
    LEARNER_GATHER_FROM = 4,        /* requests on their way, from which on others are gathered */
};

struct learner;

struct learner_options {
    bool observer;
    uint32_t session_timeout_ms, op_timeout_ms;
    struct bytes host; /* ≤ LIMIT_HOST_BYTES; copied */
    uint32_t pid;
    struct bytes noop;                    /* an encoded OP_NOOP; copied */
    const struct client_identity *former; /* as in client_options; copied */
    struct client_estate *estate;         /* the same; borrowed */
};

enum learner_action_kind {
    LEARNER_SEND = 1,
    LEARNER_SEND_URGENT = 2, /* outside the link's credit window */
    LEARNER_COMPLETE = 3,    /* call done(arg, &result), once, without a lock */
    LEARNER_DROP_LINK = 4,   /* close the link without learner_down; open one, to the next server, after delay_ms */
    LEARNER_STATE = 5,
};

struct learner_action {
    enum learner_action_kind kind;
    union {
        struct message send; /* borrows from the learner: valid until its next call */
        struct {
            client_done done;
            void *arg;
            struct result result;
        } complete;
        struct {
            int code; /* why: as REFUSED said, or what this end objects to */
            uint32_t delay_ms;
        } drop;
        struct {
            enum client_state state;
            uint64_t session; /* EXPIRED: the one that was lost */
        } state;
    };
};

/* What a call asks for; each call appends. The caller sets count to 0 when it has carried them out. */
struct learner_output {
    struct learner_action *list;
    size_t count, capacity;
};
struct learner_action *learner_output_add(struct learner_output *output, enum learner_action_kind kind); /* zeroed */
void learner_output_free(struct learner_output *output);

struct learner *learner_new(const struct learner_options *options, uint64_t now_ms);
void learner_free(struct learner *learner); /* requests that still wait are forgotten: learner_close first */

/* --- the link --- */

/* The link is up. `nonce` and `secret`: fresh random bytes, used if a session is to be made. */
void learner_up(struct learner *learner, uint64_t now_ms, const uint8_t *nonce, const uint8_t *secret,
                struct learner_output *output);
void learner_down(struct learner *learner, uint64_t now_ms, struct learner_output *output);

enum learner_verdict {
    LEARNER_NOTHING,
    LEARNER_APPLY,      /* the message's entries; those up to learner_applied_zxid are known already */
    LEARNER_LOAD_BEGIN, /* of a new tree; the old one goes on serving. A load not ended is to be forgotten */
    LEARNER_LOAD_CHUNK,
    LEARNER_LOAD_END, /* exchange the trees, then learner_loaded */
};
enum learner_verdict learner_message(struct learner *learner, uint64_t now_ms, const struct message *message,
                                     struct learner_output *output);

/* --- the tree --- */

void learner_applied(struct learner *learner, uint64_t now_ms, const struct entry *entry, const struct result *result,
                     struct learner_output *output);
void learner_loaded(struct learner *learner, uint64_t now_ms, const struct state *state, struct learner_output *output);
/* What the replica sent can't be used: an entry or a snapshot that does not decode. */
void learner_broken(struct learner *learner, uint64_t now_ms, int code, struct learner_output *output);
uint64_t learner_applied_zxid(const struct learner *learner);

/* --- time --- */

void learner_tick(struct learner *learner, uint64_t now_ms, struct learner_output *output);
/* When to call it next, at the latest. UINT64_MAX: never. */
uint64_t learner_deadline(const struct learner *learner);

/* --- requests --- */

/* Takes an encoded request (copied). ERR_OK and a ticket (above 0): a COMPLETE will follow, exactly one. Else why it is
 * refused at once: READ_ONLY (an observer), SESSION_EXPIRED, NO_QUORUM, TOO_MANY; then none follows. */
int learner_submit(struct learner *learner, uint64_t now_ms, struct bytes request, client_done done, void *arg,
                   uint64_t *ticket, struct learner_output *output);
int learner_submit_on(struct learner *learner, uint64_t now_ms, struct bytes request, const struct client_terms *terms,
                      client_done done, void *arg, uint64_t *ticket, struct learner_output *output);
/* True: it had no number yet and completes with INTERRUPTED. */
bool learner_withdraw(struct learner *learner, uint64_t now_ms, uint64_t ticket, struct learner_output *output);
/* ERR_OK: a COMPLETE will follow, once all is applied that was committed before this call. Else as learner_submit. */
int learner_sync(struct learner *learner, uint64_t now_ms, client_done done, void *arg, struct learner_output *output);
/* What learner_submit would say now, but for TOO_MANY. */
int learner_writable(const struct learner *learner);

/* --- the end --- */

/* Ends the session: requests without a number complete with SESSION_EXPIRED at once, those with one when the session
 * is closed, at the latest after op_timeout. */
void learner_close(struct learner *learner, uint64_t now_ms, struct learner_output *output);
bool learner_closed(const struct learner *learner);

/* --- for people --- */

bool learner_ready(const struct learner *learner); /* was once as new as the commit point at attaching */
void learner_identity(const struct learner *learner, struct client_identity *identity);
void learner_info(const struct learner *learner, uint64_t now_ms, struct client_info *info); /* all but `server` */

#endif
