/* check.h - the invariants, looked at as things happen; whatever breaks one ends the run (cluster.h, violated).
 *
 * Of ZooKeeper's TLA+ specification:
 *   Leadership          of each epoch there is at most one established leader
 *   PrefixConsistency   what two replicas have delivered: one is a beginning of the other
 *   Integrity           whatever is delivered was broadcast by a primary
 *   Agreement, TotalOrder  one order of deliveries: that of the reference below
 *   LocalPrimaryOrder   of one primary: delivered in the order it was broadcast, none left out before
 *   GlobalPrimaryOrder  of two primaries: what the earlier one broadcast is delivered first
 *   InitialHistory      a follower that serves has delivered its leader's initial history
 *   PrimaryIntegrity    a primary has delivered what of earlier ones is ever delivered, before it broadcasts
 * And of the whole:
 *   Durability          what is committed is durable on a majority of those that vote
 *   Digest              equal states at equal zxids, on replicas and mounts; equal results
 *   Acknowledged        no acknowledged write is lost, or has another result than the state machine gave
 *   ExactlyOnce, Fifo   each request at most once, those of a session in their order
 *   NotDone             what a mount was told is certainly not done is not done
 *   Expiry              a session's close for silence comes after its mount has taken it for gone: before its locks are
 *                       granted to others, and its ephemerals vanish
 *   Exclusion           never two holders in conflict, in the state; nor a grant while a program elsewhere counts on
 * one Queue               first come, first served; each waiter is granted once, as soon as nothing is in its way
 *   LockLost            no lock goes but by its owner or with its session; none outlives its session
 *   Ephemerals          they go with their session, neither later nor earlier
 *   Ttl                 a znode goes no earlier than its TTL after its last change, by the stamps; and soon, once all
 * is well Linearizable        writes and synced reads Sync                a sync shows what was committed before it
 * began Liveness            with a majority well again, every mount's writes succeed */
#ifndef PACT_SIM_CHECK_H
#define PACT_SIM_CHECK_H

#include "tests/sim/item.h"

struct check *check_new(struct cluster *cluster);
void check_free(struct check *check);
void check_end(struct cluster *cluster); /* what can be judged only then */

/* --- replicas: check_zab.c --- */

/* It leads an epoch: its history ends at `last`, of which it has delivered up to `delivered`. */
void check_leads(struct cluster *cluster, uint32_t id, uint32_t epoch, uint64_t last, uint64_t delivered);
/* It follows in an epoch, and has delivered so much. */
void check_follows(struct cluster *cluster, uint32_t id, uint32_t epoch, uint64_t delivered);
void check_proposes(struct cluster *cluster, uint32_t id, const struct item *item, uint64_t delivered);
/* It is about to apply the item, having applied all up to `after`. */
void check_commits(struct cluster *cluster, uint32_t id, uint64_t after, struct item *item);

/* --- replicas and mounts; who: an id, or 100 + a mount's index --- */

void check_applied(struct cluster *cluster, uint32_t who, uint64_t zxid, uint64_t digest, const struct result *result);
void check_loaded(struct cluster *cluster, uint32_t who, const struct state *state);

/* --- programs: check_history.c --- */

enum op_type { DO_PUT, DO_SWAP, DO_GET, DO_MAKE, DO_REMOVE, DO_TOUCH, DO_LOCK, DO_UNLOCK };
enum { KEYS = 4 };

struct op {
    uint64_t uid; /* from 1 */
    enum op_type type;
    unsigned mount, key; /* LOCK, UNLOCK: key is the program */
    void *owner;         /* the mount */
    /* PUT, SWAP: written; SWAP: what must be there; GET: what was read; MAKE: expected is the TTL, ms */
    uint64_t value, expected;
    uint64_t hash; /* of the encoded request; GET: 0 */
    uint64_t called_us, returned_us;
    bool returned, definite; /* definite: the outcome is known */
    int code;
    uint64_t zxid;
    uint64_t committed; /* GET: the reference's zxid when it was called */
    /* As the reference has it. */
    unsigned applied;
    uint64_t applied_zxid;
    int applied_code;
    struct op *next; /* of one bucket */
};

uint64_t check_next_uid(const struct cluster *cluster);         /* that the next call gets */
struct op *check_called(struct cluster *cluster, struct op op); /* the checker's until the end */
/* MUST be called once for each: not definite: nothing is known. zxid 0: certainly not done. */
void check_returned(struct cluster *cluster, struct op *op, bool definite, const struct result *result);

/* All has been well since: no lock of before is still held or waited for, and nothing overdue is still there. */
void check_settled(struct cluster *cluster, uint64_t since_us);

uint64_t check_committed(const struct cluster *cluster); /* zxid of the reference's last entry */

#endif
