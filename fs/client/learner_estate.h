/* learner_estate.h - what a learner leaves to the next one, if its process is killed: its session, and the requests it
 * had under way. In memory that outlives the process, written as things happen: whoever finds it may find it between
 * any two writes.
 *
 * The next learner goes on under the same session: what was sent and not answered is sent again under its own number
 * (learner.c, invariant 2), and its result is learnt. It follows the same cluster, and nothing older than was shown.
 * Each request carries a tag, by which whoever had asked finds what became of it. */
#ifndef PACT_LEARNER_ESTATE_H
#define PACT_LEARNER_ESTATE_H

#include <stdatomic.h>

#include "fs/client/client.h"

enum {
    ESTATE_REQUESTS = 2 * LIMIT_IN_FLIGHT,    /* numbers, answered ones included: some are not yet told to who asked */
    ESTATE_BYTES = 2 * LIMIT_IN_FLIGHT_BYTES, /* what is in flight, the gap at the end of the ring, and more */
};

struct estate_request {
    uint64_t session, number, tag;
    size_t at, len; /* the request, in `bytes`; len 0: it was abandoned */
    _Atomic bool done;
    struct result result;
};

/* Zeroed: nothing was left. */
struct client_estate {
    _Atomic uint64_t session; /* 0: none */
    uint8_t nonce[SESSION_NONCE_BYTES], secret[SESSION_SECRET_BYTES];
    uint8_t cluster[CLUSTER_ID_BYTES]; /* stays, as the next, when the session ends */
    _Atomic uint64_t shown;            /* zxid: what the tree has shown; no replica that is behind is followed */
    uint32_t timeout_ms;
    _Atomic uint64_t renewed_ms;  /* CLOCK_BOOTTIME: as learner.renewed_ms */
    _Atomic uint64_t last_number; /* given */
    _Atomic uint64_t answered;    /* all numbers up to this */
    size_t next_byte;
    struct estate_request requests[ESTATE_REQUESTS]; /* at number % ESTATE_REQUESTS */
    uint8_t bytes[ESTATE_BYTES];
};

/* What became of the last request with a tag. False: none was sent. OUTCOME_UNKNOWN: its session ended first. Call it
 * when the client is ready, before anything new is submitted. */
bool estate_find(const struct client_estate *estate, uint64_t tag, struct result *result);

#endif
