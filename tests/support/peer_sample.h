/* peer_sample.h - random messages between replicas, of every kind, and a text of each that shows every field. */
#ifndef PACT_TEST_PEER_SAMPLE_H
#define PACT_TEST_PEER_SAMPLE_H

#include "proto/peer.h"
#include "tests/support/sample.h"

enum { PEER_SAMPLE_SESSIONS = 64 };

struct peer_sample { /* where what a message borrows lives; begun with sample_begin(&sample->base, seed) */
    struct sample base;
    uint64_t sessions[PEER_SAMPLE_SESSIONS];
};

void sample_zab(struct peer_sample *sample, enum zab_message_kind kind, struct zab_message *zab);
void sample_peer_message(struct peer_sample *sample, enum peer_message_kind kind, struct peer_message *message);
/* Two that print the same are the same. */
void sample_print_peer_message(FILE *to, const struct peer_message *message);

#endif
