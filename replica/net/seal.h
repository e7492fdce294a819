/* seal.h - the keys of a link and how frames are sealed with them.
 *
 * Handshake: both ends make a fresh nonce and a fresh X25519 key. The secret mixed is
 *     psk, X25519(ephemeral, ephemeral) and, with keys, X25519(client's ephemeral, replica's static key)
 * over a hash of HELLO and HELLO_ACK as sent, so that changing a byte of either gives other keys. The replica's proof
 * is derived from it; the client's is that its CONFIRM opens. HELLO carries a mac under the psk: a client without the
 * key costs a replica one hash. A checksum tells a damaged handshake frame from a wrong key.
 *
 * Frames: crypto_aead_chacha20poly1305_ietf, one key per direction, nonce = sequence number, header as associated
 * data. */
#ifndef PACT_SEAL_H
#define PACT_SEAL_H

#include "replica/net/frame.h"
#include "replica/net/link.h"

struct seal_keys {
    uint8_t send[LINK_KEY_BYTES], receive[LINK_KEY_BYTES];
    uint64_t link; /* the id that the frames of this link carry */
};

/* What an end remembers of a handshake, until it is over. */
struct handshake {
    uint8_t secret[LINK_KEY_BYTES]; /* ephemeral; the client's */
    uint8_t hello[FRAME_HELLO_BYTES];
    uint8_t ack[FRAME_HELLO_BYTES];
};

/* Client: makes nonce, ephemeral key and HELLO. */
void handshake_begin(struct handshake *handshake, const struct link_keys *keys);
/* Replica: judges a HELLO and makes the HELLO_ACK and the keys. ERR_OK; BAD_KEY or BAD_FORMAT: to be rejected;
 * CORRUPT: to be dropped. */
int handshake_answer(struct handshake *handshake, const struct link_keys *keys, const uint8_t *hello, size_t len,
                     struct seal_keys *to);
/* Client: judges a HELLO_ACK. ERR_OK; BAD_KEY; CORRUPT: damaged, or not the answer to our HELLO. */
int handshake_finish(struct handshake *handshake, const struct link_keys *keys, const uint8_t ack[FRAME_HELLO_BYTES],
                     struct seal_keys *to);

/* The answer to a HELLO that was not accepted, and to frames of a link that no longer exists (hello NULL). */
void reject_write(uint8_t to[FRAME_REJECT_BYTES], const uint8_t *hello, size_t len, int code);
/* The code of a REJECT that answers our HELLO, else ERR_OK. Anyone can send one: only a hint. */
int reject_read(const struct handshake *handshake, const uint8_t at[FRAME_REJECT_BYTES], const struct frame *frame);

/* Writes header, ciphertext and tag; returns the frame's length. */
size_t seal(const struct seal_keys *keys, const struct frame *frame, const void *body, size_t len,
            uint8_t to[LIMIT_FRAME_BYTES]);
/* Opens the body into `to`; false: not sealed with our key. `len` ≥ header and tag. */
bool seal_open(const struct seal_keys *keys, const struct frame *frame, const uint8_t *at, size_t len,
               uint8_t to[FRAME_BODY_BYTES]);

#endif
