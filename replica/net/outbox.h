/* outbox.h - what an end of a link still has to send, and how much of what it sent is not acknowledged yet.
 *
 * Two lanes, ordinary and urgent; each has a queue of messages that wait for credit and a window of pieces that were
 * sent. A message larger than a frame's body goes in pieces. */
#ifndef PACT_OUTBOX_H
#define PACT_OUTBOX_H

#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct waiting; /* one message in a queue */

struct window {
    struct {
        uint64_t sequence;
        size_t len;
    } sent[LIMIT_CREDIT_MESSAGES]; /* a ring */
    size_t first, count;           /* count ≤ LIMIT_CREDIT_MESSAGES */
    size_t bytes;                  /* ≤ LIMIT_CREDIT_BYTES */
};

struct lane {
    struct window window;
    struct waiting *head, **tail;
    size_t messages, bytes; /* waiting */
};

struct outbox {
    struct lane lanes[2]; /* ordinary, urgent */
};

struct piece {
    bool urgent;
    const void *at;
    size_t len;      /* bytes, ≤ FRAME_BODY_BYTES */
    size_t rest;     /* bytes of the message after this piece */
    size_t messages; /* more than 1: so many whole ones, as in a FRAME_BATCH */
};

void outbox_init(struct outbox *outbox);
void outbox_clear(struct outbox *outbox); /* frees all that waits and forgets all that was sent */

/* Whether a message could go at once, whole, without overtaking another. */
bool outbox_passes(const struct outbox *outbox, bool urgent, size_t len);
/* Queues a copy; false: the queue is full (or no memory). */
bool outbox_push(struct outbox *outbox, bool urgent, const void *message, size_t len);
/* The next piece that credit lets go, urgent ones first, and small ordinary messages together; it is valid until
 * outbox_popped, and may be in `body`, which has FRAME_BODY_BYTES. */
bool outbox_next(const struct outbox *outbox, uint8_t *body, struct piece *piece);
/* The piece that outbox_next gave has gone. */
void outbox_popped(struct outbox *outbox, const struct piece *piece);
/* A piece (of the queue or passed by it) was sent under this number. */
void outbox_sent(struct outbox *outbox, const struct piece *piece, uint64_t sequence);
/* Everything up to this number has arrived. */
void outbox_acknowledged(struct outbox *outbox, uint64_t sequence);
/* Bytes waiting or sent and not acknowledged. */
size_t outbox_bytes(const struct outbox *outbox);

#endif
