/* peer.h - what replicas say to each other, as plain structs; everything borrows, as in message.h.
 *
 * A link begins with PEER_HELLO from both ends; a replica that does not fit (another cluster, another list of members,
 * no common version) is told so by PEER_REFUSED, and nothing else is exchanged. Then Zab, and beside it what followers
 * forward to the leader for their mounts. */
#ifndef PACT_PEER_H
#define PACT_PEER_H

#include "proto/message.h"
#include "replica/zab/zab.h"

enum { REPLICA_IDENTITY_BYTES = 16 };

enum peer_message_kind {
    PEER_HELLO = 1,
    PEER_REFUSED = 2,
    PEER_ZAB = 3,            /* `zab`, any kind but ZAB_ENTRIES */
    PEER_ENTRIES = 4,        /* leader → follower: `entries`; zab.kind is ZAB_ENTRIES */
    PEER_SNAPSHOT_CHUNK = 5, /* leader → follower, after SYNC with ZAB_SNAP */
    PEER_SNAPSHOT_END = 6,
    PEER_FORWARD = 7,         /* follower → leader: a request of one of its mounts, or of its own */
    PEER_RESEND = 8,          /* leader → follower: the requests of these sessions must be sent again, from the first
                                 unanswered */
    PEER_HEARTBEATS = 9,      /* follower → leader: of its mounts */
    PEER_HEARTBEAT_ACKS = 10, /* leader → follower: answered by a quorum after they came */
    PEER_BARRIER = 11,        /* follower → leader: the commit point, as of now? */
    PEER_BARRIER_DONE = 12,   /* leader → follower */
    PEER_STATUS = 13,         /* leader → follower: `chunk`, an encoded MESSAGE_STATUS_REPLY: who is what */
};

struct peer_hello {
    uint32_t id;
    uint8_t cluster[CLUSTER_ID_BYTES];        /* zeros: none yet */
    uint8_t identity[REPLICA_IDENTITY_BYTES]; /* of the data directory */
    struct bytes members; /* the ensemble as given on the command line: "1=HOST:PEERPORT:CLIENTPORT,…", by id */
    uint32_t state_version_min, state_version_max; /* what it can apply */
    uint32_t state_version;                        /* what its state is at */
    struct bytes version;                          /* of the program */
};

struct peer_refused {
    int code;
    struct bytes text;
};

struct peer_entries {
    struct zab_message zab;
    const struct bytes *list; /* zab.count encoded entries */
    size_t count;
};

struct peer_forward { /* session 0, number 0: of the replicas themselves */
    uint64_t session, number, awaited;
    struct bytes request; /* encoded */
};

struct peer_heartbeats {      /* and _ACKS, and RESEND */
    uint64_t tag;             /* of the sender, returned as is */
    const uint64_t *sessions; /* ≤ LIMIT_HEARTBEATS */
    size_t count;
    bool refusing; /* ACKS: for now no write is taken (the disk is full) */
};

struct peer_barrier {
    uint64_t tag;  /* returned as is */
    uint64_t zxid; /* DONE: the commit point */
};

struct peer_message {
    enum peer_message_kind kind;
    union {
        struct peer_hello hello;
        struct peer_refused refused;
        struct zab_message zab;
        struct peer_entries entries;
        struct bytes chunk; /* and of PEER_STATUS */
        struct peer_forward forward;
        struct peer_heartbeats heartbeats;
        struct peer_barrier barrier;
    };
};

#endif
