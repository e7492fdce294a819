/* check_internal.h - what the checkers share: the reference, a state machine that gets each entry once, when the first
 * replica delivers it. */
#ifndef PACT_SIM_CHECK_INTERNAL_H
#define PACT_SIM_CHECK_INTERNAL_H

#include "tests/sim/check.h"

struct reference_entry {
    struct item *item;
    uint64_t digest, result_id;
    int code;
    bool none;
};

struct term {
    uint32_t epoch, leader; /* 0: none established */
    uint64_t initial;       /* the end of the leader's history when it was established */
    bool broadcasts;
};

struct proposal {
    uint64_t zxid, hash;
};

enum { BUCKETS = 4096, SESSIONS = 1024 };

/* A lock as it was asked for: the order of the array is that of asking. */
struct known_lock {
    struct op_lock lock; /* its command is not kept */
    uint64_t session, name;
    bool held;
    uint64_t since_us; /* asked for, or granted */
};

/* A znode that is to go by itself. */
struct known_node {
    uint64_t id, session, ttl_ms; /* session, ttl_ms: 0: not because of that */
    int64_t changed_ns;           /* the stamp of its last change */
    uint64_t due_us;              /* when the stamps first passed its TTL; 0: not yet */
};

struct check {
    struct state *state;
    struct changes changes; /* of the entry in hand */
    struct known_lock *locks;
    size_t lock_count, lock_room;
    struct known_node *nodes;
    size_t node_count, node_room;
    struct reference_entry *order;
    size_t count, room;
    struct term *terms;
    size_t term_count, term_room;
    struct proposal *proposals; /* a table by zxid; a zxid proposed twice keeps the last */
    size_t proposal_count, proposal_room;
    struct op *ops[BUCKETS];                             /* by hash */
    uint64_t last_session[SESSIONS], last_uid[SESSIONS]; /* of each session, the newest that was done */
    struct op **all;
    size_t op_count, op_room;
};

/* check_history.c: the reference has applied the entry. */
void history_applied(struct cluster *cluster, const struct entry *entry, const struct result *result);
void history_end(struct cluster *cluster);
/* check_lock.c, check_life.c: what the reference has just applied, with its changes. */
void locks_applied(struct cluster *cluster, const struct entry *entry, const struct result *result);
void lives_applied(struct cluster *cluster, const struct entry *entry, const struct result *result);
void *grown(void *list, size_t count, size_t *room, size_t size); /* with room for one more, of `size` bytes each */

#endif
