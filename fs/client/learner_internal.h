/* learner_internal.h - what the parts of the learner share. Only learner*.c include it. */
#ifndef PACT_LEARNER_INTERNAL_H
#define PACT_LEARNER_INTERNAL_H

#include "fs/client/learner.h"
#include "fs/client/learner_estate.h"
#include "fs/client/learner_requests.h"

enum phase { DOWN, ATTACHING, RELEASING, ATTACHED, CLOSED };

struct sync {
    struct sync *next;
    uint64_t id;
    uint64_t zxid; /* 0: not answered yet */
    uint64_t deadline_ms;
    client_done done;
    void *arg;
};

struct learner {
    bool observer;
    uint32_t op_timeout_ms, wanted_timeout_ms, pid;
    uint8_t host[LIMIT_HOST_BYTES];
    size_t host_len;
    struct bytes noop; /* owned */

    enum phase phase;
    enum client_state state; /* as told */
    bool closing, ready, loading;
    uint64_t now_ms;
    uint64_t attach_ms; /* when ATTACH was sent; RELEASING: when anything was heard last */
    uint64_t close_ms;  /* closing: the latest end */

    uint64_t session; /* 0: none */
    uint32_t timeout_ms;
    uint64_t renewed_ms;                /* when the last acknowledged heartbeat was sent */
    uint64_t heartbeat_ms;              /* when the last heartbeat was sent */
    uint64_t nonce_ms;                  /* when the nonce was first sent; 0: there is none */
    uint8_t nonce[SESSION_NONCE_BYTES]; /* of the session, or of the one to be made */
    uint8_t secret[SESSION_SECRET_BYTES];

    struct client_identity former; /* the session to be closed first; session 0: none */
    bool former_copies;            /* RELEASING: a snapshot is coming, or underway */

    struct client_estate *estate; /* what the next learner will find; NULL: none will come */
    uint64_t inherited;           /* the numbers up to this were given by the one before */

    bool unheard;      /* a sign of the leader is due … */
    uint64_t quiet_ms; /* … for so long */
    uint32_t replica, leader;

    uint8_t cluster[CLUSTER_ID_BYTES]; /* zeros: not known yet */
    uint64_t applied, commit;          /* zxid; commit: as of the last ATTACHED */
    uint64_t floor;                    /* zxid: what the learner before this one has shown */

    struct requests requests;
    struct sync *syncs, **syncs_end;
    size_t sync_count;
    uint64_t last_sync;
};

/* learner_life.c: what is asked of the runtime */
struct message *learner_add_send(struct learner_output *output, enum message_kind kind); /* to be filled in */
void learner_add_complete(struct learner_output *output, client_done done, void *arg, const struct result *result);
void learner_set_state(struct learner *learner, enum client_state state, struct learner_output *output);

/* learner_estate.c: what is left to the next learner. All do nothing if there is no estate. */
void estate_begin(const struct learner *learner);                               /* a session of our own has begun */
void estate_renewed(const struct learner *learner);                             /* renewed_ms has changed */
void estate_end(const struct learner *learner);                                 /* the session is lost */
void estate_applied(const struct learner *learner);                             /* `applied` has changed */
void estate_sent(const struct learner *learner, const struct pending *pending); /* it has a number now */
void estate_abandoned(const struct learner *learner, uint64_t number);
void estate_answered(const struct learner *learner, uint64_t number, const struct result *result);
void estate_inherit(struct learner *learner);       /* in a new learner: goes on where the one before was */
bool estate_settled(const struct learner *learner); /* all that was inherited has been answered */

/* learner_former.c: the session that is to be closed first */
void learner_former_ask(const struct learner *learner, struct message_attach *attach);
void learner_former_attached(struct learner *learner, const struct message_attached *attached,
                             struct learner_output *output);
void learner_former_detached(struct learner *learner, struct learner_output *output);
void learner_former_loaded(struct learner *learner, struct learner_output *output);
void learner_former_refused(struct learner *learner, struct learner_output *output);

/* learner_work.c: requests and syncs */
/* What waits without a number gets one and goes, as far as the limits allow; the first only if it is not gathered. */
void learner_flush(struct learner *learner, struct learner_output *output);
void learner_send_waiting(struct learner *learner, struct learner_output *output);
void learner_resend(struct learner *learner, struct learner_output *output); /* and again what has one */
void learner_answer(struct learner *learner, uint64_t number, const struct result *result,
                    struct learner_output *output);
void learner_fail_sent(struct learner *learner, struct learner_output *output); /* OUTCOME_UNKNOWN */
void learner_fail_unsent(struct learner *learner, int code, struct learner_output *output);
void learner_time_out_requests(struct learner *learner, struct learner_output *output);
void learner_resend_syncs(struct learner *learner, struct learner_output *output);
void learner_synced(struct learner *learner, const struct message_sync *synced, struct learner_output *output);
void learner_complete_syncs(struct learner *learner, struct learner_output *output); /* those the tree has reached */
void learner_fail_syncs(struct learner *learner, uint64_t due_ms, int code, struct learner_output *output);
void learner_forget_syncs(struct learner *learner);

/* learner_session.c: the session and time */
void learner_pass_time(struct learner *learner, uint64_t now_ms); /* first thing in every call */
bool learner_no_leader(const struct learner *learner);            /* for so long that nothing new may wait for one */
uint64_t learner_expiry_ms(const struct learner *learner);        /* when the session must be taken for gone */
void learner_send_heartbeat(struct learner *learner, struct learner_output *output);
void learner_heartbeat_acked(struct learner *learner, const struct message_heartbeat *ack,
                             struct learner_output *output);
void learner_hear_leader(struct learner *learner, struct learner_output *output);
/* The session is gone, or must be taken for gone. The next attachment makes a new one. */
void learner_expire(struct learner *learner, struct learner_output *output);
void learner_finish(struct learner *learner, struct learner_output *output); /* everything completes, for good */
void learner_drop_link(struct learner *learner, int code, uint32_t delay_ms, struct learner_output *output);

#endif
