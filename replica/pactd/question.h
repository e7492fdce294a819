/* question.h - what only the leader can answer, after a quorum has confirmed that it still leads: heartbeats of
 * sessions (design §4), the commit point for `sync` and for mounts that attach (design §6 "Consistency").
 *
 * Questions that came in one turn are asked together: by a barrier of Zab if this replica leads, else by one message
 * to the leader. A change of leader asks all anew; those of followers are then asked again by them. */
#ifndef PACT_QUESTION_H
#define PACT_QUESTION_H

#include "proto/peer.h"

struct attachment;
struct replica;

enum question_kind {
    QUESTION_HEARTBEAT, /* of a mount here: acknowledged if its session lives */
    QUESTION_SYNC,      /* of a mount here */
    QUESTION_ATTACH,    /* of a mount here: how far this replica must be to know the mount's session */
    QUESTION_SESSIONS,  /* of a follower: heartbeats of its mounts */
    QUESTION_BARRIER,   /* of a follower: the commit point */
};

struct question {
    struct question *prev, *next;
    enum question_kind kind;
    uint64_t token; /* asked under it; 0: not yet */
    struct attachment *attachment;
    struct message_heartbeat heartbeat;
    uint64_t sync_id;
    uint32_t peer; /* the follower, and its tag */
    uint64_t tag;
    uint64_t *sessions; /* owned */
    size_t session_count;
};

struct questions {
    struct question *list; /* a utlist */
    size_t count;
    uint64_t last_token;
    bool fresh; /* some are not asked yet */
};

void question_heartbeat(struct replica *replica, struct attachment *attachment,
                        const struct message_heartbeat *heartbeat);
void question_sync(struct replica *replica, struct attachment *attachment, uint64_t id);
void question_attach(struct replica *replica, struct attachment *attachment);
void question_sessions(struct replica *replica, uint32_t peer, const struct peer_heartbeats *heartbeats);
void question_barrier(struct replica *replica, uint32_t peer, uint64_t tag);

/* Asks what was not asked yet; at the end of a turn. */
void questions_ask(struct replica *replica);
/* Zab's barrier is done: this replica led, and that was the commit point. */
void questions_led(struct replica *replica, uint64_t token, uint64_t zxid);
/* The leader has answered this follower. */
void questions_acknowledged(struct replica *replica, const struct peer_heartbeats *acks);
void questions_answered(struct replica *replica, const struct peer_barrier *barrier);
/* The leader is another one, or none. */
void questions_ask_anew(struct replica *replica);
/* Forgets those of a mount, or of a follower. */
void questions_forget(struct replica *replica, const struct attachment *attachment);
void questions_forget_peer(struct replica *replica, uint32_t peer);
void questions_free(struct replica *replica);

#endif
