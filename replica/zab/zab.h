/* zab.h - Zab atomic broadcast, pure: no clock, random, file, socket or thread. One replica's half of the protocol:
 * leader election, discovery, synchronisation, broadcast (Junqueira, Reed, Serafini: "Zab: High-performance broadcast
 * for primary-backup systems", phases 0 to 3; ZooKeeper's fast leader election).
 *
 * Events come in one at a time by zab_step; what is to be done goes out as a list of actions, to be carried out in
 * their order, each ended before the next (epochs and truncations durable, before anything after them is sent). The
 * log's contents never pass through here: the core says from where a peer is to be fed and which entries to append;
 * the caller moves them.
 *
 * The caller's part:
 *  - links to peers are FIFO, without gaps while they last; only PING and PONG may overtake. It reports each
 *    ZAB_LINK_UP and ZAB_LINK_DOWN. All fields of a message travel with every kind;
 *  - it steps ZAB_TICK at zab_deadline at the latest (after what has arrived by then);
 *  - after ZAB_FEED it sends that peer, in ENTRIES messages, everything its log has after that zxid, then each entry
 *    as it is appended (also before it is durable here), until ZAB_UNFEED or the link's end;
 *  - appended entries are synced in batches, then ZAB_DURABLE (never for something withdrawn since);
 *  - only what ZAB_COMMITTED named is applied. It is durable here then. It may come before ZAB_ROLE (a follower that
 *    catches up applies as it goes), and nothing applied is ever undone;
 *  - a snapshot on its way to a follower: each chunk that comes there, and each step of writing it, is a ZAB_HEARD.
 *    What the leader sent after the snapshot is received after ZAB_SNAPSHOT_DONE (PING at once: the leader waits for
 *    its PONG). On ZAB_ROLE LOOKING and on the link's end what there is of a snapshot is thrown away.
 * Times are milliseconds of the caller's monotonic clock. */
#ifndef PACT_ZAB_H
#define PACT_ZAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/errors.h"
#include "proto/limits.h"

/* --- the words --- */

enum zab_role { ZAB_LOOKING = 1, ZAB_FOLLOWING = 2, ZAB_LEADING = 3 };
enum zab_phase { ZAB_ELECTION = 0, ZAB_DISCOVERY = 1, ZAB_SYNCHRONISATION = 2, ZAB_BROADCAST = 3 };

struct zab_epochs {
    uint32_t accepted, current; /* Zab's f.p (last NEWEPOCH acknowledged) and f.a (last NEWLEADER acknowledged) */
    bool voter;                 /* may vote: false for a replica whose promises were lost with its disk */
};

struct zab_vote {           /* better: higher epoch, then zxid, then id */
    uint32_t leader, epoch; /* epoch: the candidate's current */
    uint64_t zxid;
};

/* --- messages between replicas --- */

enum zab_message_kind {
    ZAB_VOTE = 1,           /* to all: a notification of the election */
    ZAB_FOLLOWER_INFO = 2,  /* follower → leader: I follow you (CEPOCH) */
    ZAB_NEW_EPOCH = 3,      /* leader → follower: NEWEPOCH(e') */
    ZAB_ACK_EPOCH = 4,      /* follower → leader: ACK-E */
    ZAB_SYNC = 5,           /* leader → follower: how its history becomes mine; entries or a snapshot follow */
    ZAB_NEW_LEADER = 6,     /* leader → follower: NEWLEADER(e'), to be acknowledged once `zxid` is durable */
    ZAB_ACK_NEW_LEADER = 7, /* follower → leader */
    ZAB_UP_TO_DATE = 8,     /* leader → follower: a quorum has acknowledged; serve, from commit point `zxid` */
    ZAB_ENTRIES = 9,        /* leader → follower: entries; here only the header */
    ZAB_ACK = 10,           /* follower → leader: durable up to zxid */
    ZAB_COMMIT = 11,        /* leader → follower: committed up to zxid */
    ZAB_PING = 12,          /* leader → follower */
    ZAB_PONG = 13,
};

enum zab_sync { ZAB_DIFF = 1, ZAB_TRUNC = 2, ZAB_SNAP = 3 };

struct zab_message {
    enum zab_message_kind kind;
    bool voter;     /* the sender may vote; only then does anything it says count for a quorum */
    uint32_t epoch; /* the leader's e' of this term (NEW_EPOCH and later); FOLLOWER_INFO: accepted; ACK_EPOCH: current;
                       VOTE: the sender's current */
    uint64_t zxid;  /* FOLLOWER_INFO, ACK_EPOCH: last of the history; SYNC: go on after this (TRUNC: cut down to it
                       first; SNAP: of the snapshot that follows); NEW_LEADER: end of the history; UP_TO_DATE, COMMIT,
                       PING: the commit point; ACK, PONG, ACK_NEW_LEADER: durable; VOTE: last of the history */
    uint64_t round; /* VOTE: the election's logical clock; PING, PONG: number of the ping; FOLLOWER_INFO, NEW_EPOCH,
                       ACK_EPOCH, SYNC: number of the follower's attempt, by which answers to an older one show */
    enum zab_role role;   /* VOTE: of the sender */
    struct zab_vote vote; /* VOTE: for whom; when FOLLOWING or LEADING: the leader, with `epoch` of its term */
    bool fresh;         /* VOTE, FOLLOWER_INFO: the sender has no history at all; NEW_EPOCH: the ensemble's first term;
                           ACK_EPOCH: accepted just now (a promise can be given to one leader only) */
    enum zab_sync sync; /* SYNC */
    /* ENTRIES, all of one epoch: the zxid before the first, the first, the last; how many. `zxid`: the commit point.
     * zab_entries makes it. */
    uint64_t previous, first, last;
    uint32_t count;
};

/* --- events --- */

enum { ZAB_BARRIERS = 65536 };

enum zab_event_kind {
    ZAB_TICK = 1,          /* time has passed */
    ZAB_LINK_UP = 2,       /* peer */
    ZAB_LINK_DOWN = 3,     /* peer */
    ZAB_RECEIVE = 4,       /* peer, message */
    ZAB_DURABLE = 5,       /* zxid: the log is durable up to there */
    ZAB_SNAPSHOT_DONE = 6, /* zxid: the snapshot the leader sent is durable, and loaded; the history ends there */
    ZAB_WITHDRAWN = 7,     /* zxid: the disk is full; the log ends there now, what was appended after it is gone */
    ZAB_SPACE = 8,         /* the disk has space again */
    ZAB_BARRIER = 9,       /* token: is this replica still the leader, after now? At most ZAB_BARRIERS at once.
                              Of another than the leader in ZAB_BROADCAST it is forgotten */
    ZAB_NAMED = 10,        /* an entry naming this replica's incarnation is committed and applied: it may vote */
    ZAB_PURGED = 11,       /* zxid: the log begins after it now; peers behind it need a snapshot. (A peer being fed from
                              there: the caller resets its link) */
    ZAB_HEARD = 12,        /* peer: something else came from it (a chunk of a snapshot): it is alive and gets on */
};

struct zab_event {
    enum zab_event_kind kind;
    uint64_t now_ms;
    uint32_t peer;
    uint64_t zxid, token;
    const struct zab_message *message;
};

/* --- actions --- */

enum zab_action_kind {
    ZAB_SET_EPOCHS = 1, /* epochs: durable before the next action. Failure is fatal */
    ZAB_TRUNCATE = 2,   /* zxid: cut the log down to it, durably; what is left is durable. Failure is fatal */
    ZAB_APPEND = 3,     /* of the ENTRIES in hand, all but the first `skip` (known already) */
    ZAB_SEND = 4,       /* peer, message */
    ZAB_FEED = 5,       /* peer, zxid: with entries after it; snapshot: first a snapshot, of that zxid or a later one,
                           which the caller announces by the ZAB_SYNC it gets from zab_snapshot_begun; then entries */
    ZAB_UNFEED = 6,     /* peer */
    ZAB_DROP = 7,       /* peer: reset the link to it, why: code. ZAB_LINK_DOWN need not follow, ZAB_LINK_UP does */
    ZAB_COMMITTED = 8,  /* zxid: apply up to here */
    ZAB_ROLE = 9, /* role, leader, epoch: this replica now leads or follows in ZAB_BROADCAST, or is LOOKING (again,
                     perhaps without having got that far): then nothing it queued for proposal may survive */
    ZAB_BARRIER_DONE = 10, /* token, zxid: it led after the question; the commit point */
    ZAB_FOLLOWER_NEW = 11, /* leader only. peer: synchronised, but not a voter: name its incarnation by an entry */
    ZAB_FATAL = 12,        /* code: histories contradict each other; the replica must end */
};

struct zab_action {
    enum zab_action_kind kind;
    uint32_t peer, leader, epoch, skip;
    uint64_t zxid, token;
    bool snapshot;
    int code;
    enum zab_role role;
    struct zab_epochs epochs;
    struct zab_message message;
};

struct zab_update { /* zero-initialise; each call appends; the caller sets count to 0 when it has carried them out */
    struct zab_action *list;
    size_t count, capacity;
};
void zab_update_free(struct zab_update *update);

/* --- one replica --- */

struct zab_timing {      /* 0: the defaults of limits.h */
    uint32_t ping_ms;    /* how often the leader pings: 30 */
    uint32_t silence_ms; /* of own running time, until a peer counts as down: 150; longer, up to ZAB_PATIENCE times,
                            where that was found to be wrong */
    uint32_t vote_ms;    /* wait for better votes, unless all reachable have voted: 20 */
    uint32_t phase_ms;   /* discovery and synchronisation without progress are given up after this: 1000 */
};

struct zab_run { /* of the history: counters first … last of one epoch, without a gap */
    uint32_t epoch, first, last;
};

struct zab_options {
    uint32_t id;
    const uint32_t *members; /* 1, 3, 5 or 7 ids, this one's included; copied */
    size_t member_count;
    struct zab_epochs epochs; /* as the disk has them */
    /* The history: everything up to `base` (a snapshot's zxid, committed; 0: none), then these runs, ascending, as the
     * log has them; all durable. `purged`: the log begins after it (≤ base). The runs
     * are all of those after `purged`, or only what is after `base`: then peers behind `base` get a snapshot. Copied.
     */
    uint64_t base, purged;
    const struct zab_run *runs;
    size_t run_count;
    int64_t stamp_ns;      /* of the newest entry */
    uint64_t running_ns;   /* now, as in struct zab_clocks */
    uint64_t seed;         /* spreads the elections' retries */
    uint32_t counter_last; /* the last counter of a term; 0: UINT32_MAX (others: to test what comes after it) */
    struct zab_timing timing;
};

struct zab;

struct zab *zab_new(const struct zab_options *options, uint64_t now_ms); /* asserts valid options */
void zab_free(struct zab *zab);
void zab_step(struct zab *zab, const struct zab_event *event, struct zab_update *update);
uint64_t zab_deadline(const struct zab *zab); /* UINT64_MAX: none */

/* What the host's clocks say: since 1970, which may be wrong and may jump; and, from any origin, never back. */
struct zab_clocks {
    int64_t wall_ns;
    uint64_t running_ns;
};

/* The time to stamp an entry with: the wall clock's; but where that is behind the last stamp, because it or another
 * leader's was ahead, time goes on from that stamp at half the speed of running_ns until the clock has come up with it:
 * so TTLs run out, and what is written later is later. Always above the last stamp. */
int64_t zab_time(const struct zab *zab, struct zab_clocks now);
/* The next place in the order: the leader in ZAB_BROADCAST gets ERR_OK, a zxid and a stamp (zab_time) and must append
 * an entry there. ERR_NO_QUORUM: it does not lead, or is out of counters (the next step elects); ERR_NO_SPACE: since
 * ZAB_WITHDRAWN. */
int zab_propose(struct zab *zab, struct zab_clocks now, uint64_t *zxid, int64_t *stamp_ns);
/* The header of an ENTRIES message, for any peer: `count` entries of one epoch; `previous`: the one before them in the
 * leader's history (ZAB_FEED's zxid, or the snapshot's, for the first that is sent). */
struct zab_message zab_entries(const struct zab *zab, uint64_t previous, uint64_t first, uint32_t count);
/* The follower's part: an entry that was appended or applied had this stamp; it came at running_ns. */
void zab_stamped(struct zab *zab, int64_t stamp_ns, uint64_t running_ns);
/* After ZAB_FEED with snapshot: the caller has one, of this zxid: adds the SYNC and NEW_LEADER to send before it. (Adds
 * nothing if the peer is not to be fed any more.) */
void zab_snapshot_begun(struct zab *zab, uint32_t peer, uint64_t zxid, struct zab_update *update);

/* --- what it knows --- */

enum zab_role zab_role(const struct zab *zab);
enum zab_phase zab_phase(const struct zab *zab);
uint32_t zab_leader(const struct zab *zab); /* 0: none */
uint32_t zab_epoch(const struct zab *zab);  /* of the term; LOOKING: the current one */
uint64_t zab_last(const struct zab *zab);   /* appended */
uint64_t zab_durable(const struct zab *zab);
uint64_t zab_committed(const struct zab *zab); /* ≤ durable: what ZAB_COMMITTED named */
bool zab_voter(const struct zab *zab);
/* Of a follower that has not acknowledged its leader yet: how many entries it lacks for that, at least. */
uint64_t zab_lacks(const struct zab *zab);

struct zab_peer_status {
    uint32_t id;
    bool linked, following, synchronised, voter;
    uint64_t durable; /* as it last said */
};
/* How many entries of this replica's history come after zxid; -1: it does not reach back so far. */
int64_t zab_behind(const struct zab *zab, uint64_t zxid);
/* The peers as the leader sees them (of a follower: only `linked`). Returns how many were filled in. */
size_t zab_peers(const struct zab *zab, struct zab_peer_status *list, size_t capacity);

#endif
