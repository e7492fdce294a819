/* frame.h - the bytes of a frame.
 *
 *   offset 0   4  "PF", protocol version, frame type
 *          4   8  link id (sealed frames and HELLO_ACK)
 *         12   8  sequence number, from 1 in each direction
 *         20   8  acknowledged: the last sequence number received without a gap
 *         28   4  rest: bytes of this message that follow in later frames
 *         32      body; sealed: ciphertext and tag, with the header as associated data
 *
 * Numbers are little-endian. HELLO, HELLO_ACK and REJECT are not sealed and have one size each; REJECT keeps its
 * layout in every protocol version. */
#ifndef PACT_FRAME_H
#define PACT_FRAME_H

#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROTOCOL_VERSION = 2 };

enum frame_type {
    FRAME_HELLO = 1,
    FRAME_HELLO_ACK = 2,
    FRAME_REJECT = 3,
    FRAME_CONFIRM = 4, /* from here on sealed */
    FRAME_DATA = 5,
    FRAME_URGENT = 6,
    FRAME_PING = 7, /* says that all is well, and acknowledges; never acknowledged itself */
    FRAME_CLOSE = 8,
    FRAME_BATCH = 9, /* several whole ordinary messages, each after its length in 4 bytes; `rest` is 0 */
};

enum {
    FRAME_HEADER_BYTES = 32,
    FRAME_TAG_BYTES = 16,
    FRAME_NONCE_BYTES = 16,
    FRAME_HELLO_BYTES = FRAME_HEADER_BYTES + FRAME_NONCE_BYTES + 32 + FRAME_TAG_BYTES,
    FRAME_REJECT_BYTES = FRAME_HEADER_BYTES + FRAME_NONCE_BYTES,
    FRAME_BODY_BYTES = 16 * 1024, /* a larger message goes in pieces */
};
_Static_assert(FRAME_HEADER_BYTES + FRAME_BODY_BYTES + FRAME_TAG_BYTES == LIMIT_FRAME_BYTES, "the largest frame");

struct frame {
    uint8_t version;
    enum frame_type type;
    uint64_t link, sequence, acknowledged;
    uint32_t rest; /* bytes; in HELLO: 1 if the sender has a key; in REJECT and CLOSE: the error code */
};

void frame_write(uint8_t to[FRAME_HEADER_BYTES], const struct frame *frame);
/* False: not a frame, or not of a size that its type can have. A frame of another version is only said to be one. */
bool frame_read(const uint8_t *at, size_t len, struct frame *frame);

enum { BATCH_LENGTH_BYTES = 4 };
/* Puts a message's length and the message at the end of a FRAME_BATCH's body, which has room for them. */
void batch_write(uint8_t *body, size_t *body_len, const void *message, size_t len);
/* The message at *offset of a body, and on to the next; false: there is none, or it is not whole. */
bool batch_read(const uint8_t *body, size_t body_len, size_t *offset, const uint8_t **message, size_t *len);

static inline bool frame_sealed(const struct frame *frame)
{
    return frame->type >= FRAME_CONFIRM;
}

#endif
