/* sample.h - random requests, entries and messages of every kind, and a text of each that shows every field. */
#ifndef PACT_TEST_SAMPLE_H
#define PACT_TEST_SAMPLE_H

#include "proto/message.h"

#include <stdio.h>

/* Where the arrays and bytes of samples live. What a sample borrows is valid until the next sample_begin. */
struct sample {
    uint64_t random;
    size_t used_edits, used_ops;
    struct edit edits[LIMIT_EDITS];
    struct request ops[64];
    struct bytes entries[64];
    struct message_member members[8];
    uint8_t pool[256 * KIB];
};

/* Starts a new sample; all of it follows from the seed. */
void sample_begin(struct sample *sample, uint64_t seed);
uint64_t sample_random(struct sample *sample); /* the next pseudo-random number */
struct bytes sample_bytes(struct sample *sample, size_t max_len);
void sample_request(struct sample *sample, enum op_kind kind, struct request *request);
void sample_message(struct sample *sample, enum message_kind kind, struct message *message);

/* Two that print the same are the same. Not for people: bytes are printed raw, after their length. */
void sample_print_request(FILE *to, const struct request *request);
void sample_print_message(FILE *to, const struct message *message);

#endif
