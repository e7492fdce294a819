/* message.h - what mounts (and pactctl) and replicas say to each other over a link, as plain structs.
 *
 * A conversation: the client attaches; the replica answers ATTACHED or REFUSED; then it sends, as the client's state
 * needs it, a snapshot or the entries it missed, and from then on every committed entry in order. The client learns
 * the result of a request it submitted by applying its entry. Everything borrows: a decoded message from its arena. */
#ifndef PACT_MESSAGE_H
#define PACT_MESSAGE_H

#include "proto/limits.h"
#include "replica/state/request.h"

enum message_kind {
    MESSAGE_ATTACH = 1,         /* client → replica, first */
    MESSAGE_ATTACHED = 2,       /* replica → client */
    MESSAGE_REFUSED = 3,        /* replica → client: an error; the replica then closes the link */
    MESSAGE_SNAPSHOT_BEGIN = 4, /* replica → client: forget your tree, chunks follow */
    MESSAGE_SNAPSHOT_CHUNK = 5,
    MESSAGE_SNAPSHOT_END = 6,
    MESSAGE_ENTRIES = 7,   /* replica → client: committed entries, in order, without a gap */
    MESSAGE_SUBMIT = 8,    /* client → replica: one numbered request */
    MESSAGE_HEARTBEAT = 9, /* client → replica */
    MESSAGE_HEARTBEAT_ACK = 10,
    MESSAGE_SYNC = 11, /* client → replica: what is the commit point, as of now? */
    MESSAGE_SYNCED = 12,
    MESSAGE_STATUS = 13, /* client → replica; allowed without ATTACH */
    MESSAGE_STATUS_REPLY = 14,
    MESSAGE_RESEND = 15, /* replica → client: send your unanswered requests again, from the first */
    MESSAGE_DETACH = 16, /* client → replica: close my session and say when it is done */
    MESSAGE_DETACHED = 17,
};

struct message_attach {
    uint32_t state_version_min, state_version_max; /* what this client can apply */
    uint8_t cluster[CLUSTER_ID_BYTES];             /* last seen; zeros: none yet */
    uint64_t applied;                              /* zxid of the client's tree; 0: it has none */
    uint64_t seen;                                 /* zxid that the history must have, shown by a client before; or 0 */
    bool observer;                                 /* no session: only watches (session fields unused) */
    uint64_t session;                              /* 0: create one, with this nonce */
    uint8_t nonce[SESSION_NONCE_BYTES];
    uint8_t secret[SESSION_SECRET_BYTES]; /* the replica checks its hash */
    uint32_t timeout_ms;
    struct bytes host;
    uint32_t pid;
};

struct message_attached {
    uint8_t cluster[CLUSTER_ID_BYTES];
    uint64_t session; /* 0 for an observer */
    uint32_t timeout_ms;
    uint64_t commit;  /* the commit point; the client is up to date once it has applied it */
    bool snapshot;    /* a snapshot follows; else entries from attach.applied on */
    uint32_t replica; /* the id of the replica */
    uint32_t leader;  /* 0: none known */
};

struct message_refused {
    int code; /* SESSION_EXPIRED, OTHER_CLUSTER, BAD_FORMAT, NO_QUORUM … */
    struct bytes text;
};

struct message_snapshot_begin {
    uint64_t zxid, nodes; /* nodes: for progress */
};

/* SNAPSHOT_CHUNK is `chunk`; SNAPSHOT_END has no fields. */

struct message_entries {
    const struct bytes *list; /* encoded entries */
    size_t count;
    uint64_t commit;
};

struct message_submit {
    uint64_t number, awaited;
    struct bytes request; /* encoded */
};

struct message_heartbeat {
    uint64_t sent_ms; /* the client's clock, returned as is */
    uint64_t applied; /* zxid */
    bool refusing;    /* ACK: the session lives, but for now no write is taken (the disk is full) */
};

struct message_sync {
    uint64_t id;   /* returned as is */
    uint64_t zxid; /* SYNCED: the commit point */
};

struct message_member {
    uint32_t id;
    struct bytes role; /* "leader", "follower", "unreachable" … */
    struct bytes address;
    uint64_t zxid;
    int64_t lag;                /* entries behind the leader; -1: not known */
    bool reachable;             /* by the replica that answers */
    uint32_t state_version_max; /* it can apply; 0: not known */
};

struct message_status {
    uint32_t replica, leader, epoch;
    uint8_t cluster[CLUSTER_ID_BYTES];
    uint64_t zxid, digest, nodes, data_bytes, sessions, mounts;
    uint32_t state_version;
    uint64_t log_bytes, snapshot_zxid;
    uint64_t uptime_ms;
    struct bytes version; /* of the program */
    const struct message_member *members;
    size_t member_count;
};

struct message {
    enum message_kind kind;
    union {
        struct message_attach attach;
        struct message_attached attached;
        struct message_refused refused;
        struct message_snapshot_begin snapshot_begin;
        struct bytes chunk;
        struct message_entries entries;
        struct message_submit submit;
        struct message_heartbeat heartbeat; /* and HEARTBEAT_ACK */
        struct message_sync sync;           /* and SYNCED */
        struct message_status status;       /* STATUS_REPLY; STATUS has no fields */
    };
};

#endif
