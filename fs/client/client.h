/* client.h - the learner: a session with the replicas, a copy of the tree fed by one replica's stream of committed
 * entries, and numbered requests whose results are learnt by applying them (design §1, §2 "Exactly once", §4).
 *
 * One thread of its own (the client thread) does all receiving and applying. The other functions may be called from
 * any thread, callbacks included. The protocol half is pure and stands in learner.h. */
#ifndef PACT_CLIENT_H
#define PACT_CLIENT_H

#include <stdio.h>

#include "proto/message.h"
#include "replica/net/link.h"
#include "replica/state/state.h"

struct client;
struct client_estate;

enum client_state {
    CLIENT_CONNECTING, /* never attached yet */
    CLIENT_CONNECTED,
    CLIENT_SUSPENDED, /* the session may live, no replica answers; reads go on */
    CLIENT_EXPIRED,   /* the session was lost; a new one is being made */
    CLIENT_CLOSED,
};

struct client_events {
    void *arg;
    /* Around the moment at which the tree changes, for those who cache what it says: `changing` before an entry is
     * applied or a snapshot takes the tree's place, then `changed` with what changed (NULL: nothing) or `replaced`. In
     * the client thread, no lock held; others read the old tree before and the new one after. Must wait for nothing
     * that a reader of the tree could hold up by waiting for these. */
    void (*changing)(void *arg);
    void (*changed)(void *arg, const struct changes *changes);
    void (*replaced)(void *arg);
    /* What an entry changed, after the tree shows it and before the results of own requests in it are delivered. In
     * the client thread, without any lock held. `changes` is borrowed. Must not wait. */
    void (*changes)(void *arg, const struct changes *changes);
    /* And after them, with the lock given up: for what nobody should have to wait for. In the client thread. */
    void (*told)(void *arg);
    /* The tree was replaced by a snapshot: `before` is the old tree (freed after the return), the new one is under
     * client_lock. In the client thread, no lock held. state_diff gives the difference as changes. Not called for the
     * first tree: there was none before. */
    void (*resync)(void *arg, const struct state *before);
    /* In the client thread, no lock held. EXPIRED names the session that was lost; no request is taken between it and
     * the CONNECTED of the next one. */
    void (*state)(void *arg, enum client_state state, uint64_t session);
    /* Progress while a snapshot is copied: znodes so far and in all. */
    void (*progress)(void *arg, uint64_t nodes, uint64_t of);
};

/* What a session is known by; the secret is the mount's own. */
struct client_identity {
    uint64_t session; /* 0: none */
    uint8_t nonce[SESSION_NONCE_BYTES], secret[SESSION_SECRET_BYTES], cluster[CLUSTER_ID_BYTES];
};

struct client_options {
    const char *servers; /* HOST:PORT[,…] or inproc:NAME */
    struct link_keys keys;
    uint32_t session_timeout_ms, op_timeout_ms; /* 0: the defaults */
    bool observer;                              /* no session: no writes */
    /* A session that a killed process left behind, or NULL: it is closed before one of our own begins. One that is gone
     * already, or another cluster's, is no matter. */
    const struct client_identity *former;
    /* What a client before this one left (learner_estate.h): its session is gone on with. And what this one will leave.
     * Outlives the client; NULL: neither. */
    struct client_estate *estate;
    struct client_events events;
};

/* Starts the client thread; call it after any fork. ERR_OK or an error and a text. */
int client_open(const struct client_options *options, struct client **client, char *text, size_t text_len);
/* Closes the session (waits for that, at most op_timeout, and only NO_LEADER_GRACE_MS without a leader), ends the
 * thread, frees. Requests not yet sent get SESSION_EXPIRED; those sent their result, or OUTCOME_UNKNOWN. Not from the
 * client thread. */
void client_close(struct client *client);

/* Waits until the tree is there and as new as the commit point was at attaching, and what an estate left under way is
 * answered. ERR_OK; after timeout_ms ERR_UNREACHABLE, or ERR_NO_QUORUM: a replica answers, but has no leader; or why
 * the replicas refuse for good (BAD_KEY, OTHER_CLUSTER, BAD_FORMAT). */
int client_wait_ready(struct client *client, uint32_t timeout_ms);
/* The same without limit, and whatever the replicas say. */
void client_await_ready(struct client *client);
const char *client_ready_text(int code); /* such a code in words */

/* --- requests --- */

/* Called once for each submitted request, in the client thread with no lock held (or, if it is refused at once, by
 * the submitting thread before client_submit returns). Must not wait; result is borrowed. */
typedef void (*client_done)(void *arg, const struct result *result);

/* Sends a request under the session. The result's code is what apply gave; or, if it never got a number: NO_QUORUM
 * (no leader for NO_LEADER_GRACE_MS, or op_timeout over while unsent), SESSION_EXPIRED, TOO_MANY, INVALID …; or
 * OUTCOME_UNKNOWN at op_timeout. Encodes at once: the request may go on return. Returns a ticket for
 * client_withdraw. */
uint64_t client_submit(struct client *client, const struct request *request, client_done done, void *arg);
/* On which terms a request is submitted. */
struct client_terms {
    uint64_t session; /* under this session alone, else SESSION_EXPIRED; 0: any */
    /* After an OUTCOME_UNKNOWN `done` is called once more, with what became of the request after all; or with
     * OUTCOME_UNKNOWN again, if its session has ended or nobody can tell. An id of 0: nothing was done. */
    bool late;
    uint64_t tag; /* by which it is found in the estate; 0: it is not looked for */
};
uint64_t client_submit_on(struct client *client, const struct request *request, const struct client_terms *terms,
                          client_done done, void *arg);
/* Withdraws a request that was not yet sent: true, and done gets INTERRUPTED (in the client thread, soon). False: it
 * was sent or is done. */
bool client_withdraw(struct client *client, uint64_t ticket);
/* Whether a modifying call would be refused now: ERR_OK, or NO_QUORUM, SESSION_EXPIRED or, of an observer, READ_ONLY.
 */
int client_writable(const struct client *client);
/* Submits and waits. Not from the client thread. */
int client_call(struct client *client, const struct request *request, struct result *result);
/* ZooKeeper's sync: done is called once the tree shows all that was committed anywhere before this call; or with
 * NO_QUORUM (at once, or when there has been no leader for NO_LEADER_GRACE_MS), TOO_MANY, or OUTCOME_UNKNOWN at
 * op_timeout. */
void client_sync(struct client *client, client_done done, void *arg);

/* --- reading --- */

/* A shared lock on the tree: short, no blocking calls inside, and not taken twice by one thread (the client thread goes
 * before new readers). The pointer is valid until client_unlock. */
const struct state *client_lock(struct client *client);
void client_unlock(struct client *client);

struct client_info {
    enum client_state state;
    uint64_t session, applied;
    uint32_t session_timeout_ms, op_timeout_ms;
    int64_t remaining_ms; /* until this client considers its session expired */
    uint32_t replica, leader;
    uint64_t in_flight; /* requests not yet answered */
    uint8_t cluster[CLUSTER_ID_BYTES];
    char server[128]; /* the address it is attached to, or last tried */
    int refusal;      /* why the last attempt to attach failed (enum error); ERR_OK while attached */
};
void client_info(struct client *client, struct client_info *info);
/* The session there is now, if any. */
void client_identity(struct client *client, struct client_identity *identity);

/* Asks the replica this client is connected to, attached or not, for its STATUS: told is called once, in the client
 * thread without a lock, within about a second; status is borrowed, NULL: no replica answers. Must not wait. */
typedef void (*client_told)(void *arg, const struct message_status *status);
void client_ask(struct client *client, client_told told, void *arg);
/* The table of its members. */
void status_print_members(FILE *to, const struct message_status *status);

/* One STATUS exchange with the server at `address`, without a session. The answer is encoded into `reply` (decode it
 * with decode_message). */
struct buffer;
int client_status(const char *address, const struct link_keys *keys, uint32_t timeout_ms, struct buffer *reply,
                  char *text, size_t text_len);

/* The difference between two trees as changes, in an order that can be carried out: renames, deletes from the leaves
 * up, creates from the root down, data, attributes. */
void state_diff(const struct state *before, const struct state *after, struct changes *changes);

#endif
