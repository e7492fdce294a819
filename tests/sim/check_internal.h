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

struct check {
    struct state *state;
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

#endif
