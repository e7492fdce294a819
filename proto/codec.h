/* codec.h - plain structs to bytes and back, with protobuf-c (pact.proto). The only code that sees pact.pb-c.h.
 *
 * Decoding unpacks into a bump arena of at most LIMIT_ARENA_BYTES: hostile input cannot take more. Everything is
 * checked: enums, oneof cases, counts, lengths, nesting. Decoded structs borrow from the arena and stay valid until
 * arena_reset or arena_free; the input may go at once. */
#ifndef PACT_CODEC_H
#define PACT_CODEC_H

#include "proto/errors.h"
#include "proto/message.h"
#include "proto/peer.h"
#include "replica/state/request.h"

struct arena;
struct arena *arena_new(void); /* NULL: no memory. Room grows on demand up to LIMIT_ARENA_BYTES and is kept */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

/* A growing output buffer; zero-initialise it. */
struct buffer {
    uint8_t *at;
    size_t len, capacity; /* bytes */
};
void buffer_free(struct buffer *buffer);

/* Each replaces the buffer's contents. ERR_OK, or ERR_TOO_BIG: the encoding exceeds LIMIT_ENTRY_BYTES (requests,
 * entries) or LIMIT_MESSAGE_BYTES (messages). */
int encode_request(const struct request *request, struct buffer *to);
int encode_message(const struct message *message, struct buffer *to);
int encode_peer_message(const struct peer_message *message, struct buffer *to);

/* An entry around an already encoded request, so that the leader need not encode it again. entry->request is
 * ignored. */
int encode_entry(const struct entry *entry, struct bytes request, struct buffer *to);

/* ERR_OK, or ERR_CORRUPT (malformed), ERR_TOO_BIG (a limit) or ERR_BAD_FORMAT (a kind this version does not know).
 * Requests are checked for form only; request_check of replica/state judges their content. */
int decode_request(struct bytes from, struct arena *arena, struct request *request);
int decode_entry(struct bytes from, struct arena *arena, struct entry *entry);
int decode_message(struct bytes from, struct arena *arena, struct message *message);
int decode_peer_message(struct bytes from, struct arena *arena, struct peer_message *message);

#endif
