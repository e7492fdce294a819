#include "replica/net/seal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

_Static_assert(LINK_KEY_BYTES == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "sealing key");
_Static_assert(LINK_KEY_BYTES == crypto_scalarmult_BYTES, "X25519 key");
_Static_assert(LINK_KEY_BYTES == crypto_kdf_KEYBYTES, "derivation key");
_Static_assert(FRAME_TAG_BYTES == crypto_aead_chacha20poly1305_ietf_ABYTES, "tag");

/* The body of HELLO and HELLO_ACK. */
enum { AT_NONCE = FRAME_HEADER_BYTES, AT_KEY = AT_NONCE + FRAME_NONCE_BYTES, AT_PROOF = AT_KEY + LINK_KEY_BYTES };
enum {
    AT_CHECKSUM = 20,
    CHECKSUM_BYTES = 8,
    AFTER_CHECKSUM = AT_CHECKSUM + CHECKSUM_BYTES
}; /* of handshake frames, where others acknowledge */

static const char context[crypto_kdf_CONTEXTBYTES + 1] = "pactlink";
enum { DERIVE_HELLO = 1, DERIVE_PROOF, DERIVE_TO_REPLICA, DERIVE_TO_CLIENT };

static const uint8_t *psk_of(const struct link_keys *keys)
{
    static const uint8_t none[LINK_KEY_BYTES];
    return keys->present ? keys->psk : none;
}

/* --- handshake frames --- */

/* Over the frame with its checksum field zero. */
static void checksum(const uint8_t *frame, size_t len, uint8_t to[CHECKSUM_BYTES])
{
    uint8_t copy[FRAME_HELLO_BYTES], hash[crypto_generichash_BYTES_MIN];
    assert(len <= sizeof copy);
    memcpy(copy, frame, len);
    memset(copy + AT_CHECKSUM, 0, CHECKSUM_BYTES);
    crypto_generichash(hash, sizeof hash, copy, len, NULL, 0);
    memcpy(to, hash, CHECKSUM_BYTES);
}

static bool checksum_fits(const uint8_t *frame, size_t len)
{
    uint8_t sum[CHECKSUM_BYTES];
    checksum(frame, len, sum);
    return memcmp(sum, frame + AT_CHECKSUM, CHECKSUM_BYTES) == 0;
}

/* Under the psk, over the HELLO up to it with the checksum field zero. */
static void hello_mac(const struct link_keys *keys, const uint8_t *hello, uint8_t to[FRAME_TAG_BYTES])
{
    uint8_t key[LINK_KEY_BYTES], copy[AT_PROOF];
    memcpy(copy, hello, sizeof copy);
    memset(copy + AT_CHECKSUM, 0, CHECKSUM_BYTES);
    crypto_kdf_derive_from_key(key, sizeof key, DERIVE_HELLO, context, psk_of(keys));
    crypto_generichash(to, FRAME_TAG_BYTES, copy, sizeof copy, key, sizeof key);
    sodium_memzero(key, sizeof key);
}

/* The first bytes of a client's nonce, by which the HELLO_ACK names the HELLO it answers. */
static uint64_t nonce_name(const uint8_t *hello)
{
    uint64_t name;
    memcpy(&name, hello + AT_NONCE, sizeof name);
    return name;
}

/* Header, nonce and ephemeral key of a HELLO or HELLO_ACK. */
static void begin_frame(uint8_t *to, struct frame frame, uint8_t secret[LINK_KEY_BYTES])
{
    frame.version = PROTOCOL_VERSION;
    frame_write(to, &frame);
    randombytes_buf(to + AT_NONCE, FRAME_NONCE_BYTES);
    randombytes_buf(secret, LINK_KEY_BYTES);
    crypto_scalarmult_base(to + AT_KEY, secret);
}

/* --- keys --- */

struct exchange {
    uint8_t both[2 * LINK_KEY_BYTES]; /* ephemeral with ephemeral, ephemeral with static */
};

/* Derives everything from the psk, the exchange and the two frames. `proof` is what the replica shows. */
static void derive(const struct link_keys *keys, struct exchange *exchange, const struct handshake *handshake,
                   enum link_side side, uint8_t proof[FRAME_TAG_BYTES], struct seal_keys *to)
{
    uint8_t master[LINK_KEY_BYTES];
    crypto_generichash_state state;
    crypto_generichash_init(&state, psk_of(keys), LINK_KEY_BYTES, sizeof master);
    crypto_generichash_update(&state, exchange->both, sizeof exchange->both);
    crypto_generichash_update(&state, handshake->hello, FRAME_HELLO_BYTES);
    crypto_generichash_update(&state, handshake->ack, AT_CHECKSUM); /* checksum and proof are not there yet */
    crypto_generichash_update(&state, handshake->ack + AFTER_CHECKSUM, AT_PROOF - AFTER_CHECKSUM);
    crypto_generichash_final(&state, master, sizeof master);

    const bool client = side == LINK_CLIENT;
    crypto_kdf_derive_from_key(proof, FRAME_TAG_BYTES, DERIVE_PROOF, context, master);
    crypto_kdf_derive_from_key(to->send, LINK_KEY_BYTES, client ? DERIVE_TO_REPLICA : DERIVE_TO_CLIENT, context,
                               master);
    crypto_kdf_derive_from_key(to->receive, LINK_KEY_BYTES, client ? DERIVE_TO_CLIENT : DERIVE_TO_REPLICA, context,
                               master);
    sodium_memzero(master, sizeof master);
    sodium_memzero(exchange, sizeof *exchange);
}

/* `static_secret`, `static_public`: the pair for the second exchange, one end's secret with the other's public key.
 * False: the other end sent a point of low order. */
static bool exchange_keys(const struct link_keys *keys, const uint8_t *secret, const uint8_t *public_key,
                          const uint8_t *static_secret, const uint8_t *static_public, struct exchange *to)
{
    memset(to, 0, sizeof *to);
    if (crypto_scalarmult(to->both, secret, public_key) != 0)
        return false;
    return !keys->present || crypto_scalarmult(to->both + LINK_KEY_BYTES, static_secret, static_public) == 0;
}

/* --- the handshake --- */

void handshake_begin(struct handshake *handshake, const struct link_keys *keys)
{
    uint8_t *hello = handshake->hello;
    begin_frame(hello, (struct frame){.type = FRAME_HELLO, .rest = keys->present}, handshake->secret);
    hello_mac(keys, hello, hello + AT_PROOF);
    checksum(hello, FRAME_HELLO_BYTES, hello + AT_CHECKSUM);
}

static int judge_hello(const struct link_keys *keys, const uint8_t *hello, size_t len)
{
    struct frame frame;
    if (!frame_read(hello, len, &frame) || frame.type != FRAME_HELLO)
        return ERR_CORRUPT;
    if (frame.version != PROTOCOL_VERSION)
        return ERR_BAD_FORMAT;
    if (!checksum_fits(hello, len))
        return ERR_CORRUPT;
    uint8_t mac[FRAME_TAG_BYTES];
    hello_mac(keys, hello, mac);
    const bool fits = (frame.rest != 0) == keys->present && sodium_memcmp(mac, hello + AT_PROOF, sizeof mac) == 0;
    return fits ? ERR_OK : ERR_BAD_KEY;
}

int handshake_answer(struct handshake *handshake, const struct link_keys *keys, const uint8_t *hello, size_t len,
                     struct seal_keys *to)
{
    const int err = judge_hello(keys, hello, len);
    if (err != ERR_OK)
        return err;
    struct exchange exchange;
    randombytes_buf(&to->link, sizeof to->link);
    memcpy(handshake->hello, hello, FRAME_HELLO_BYTES);
    uint8_t *ack = handshake->ack;
    begin_frame(ack, (struct frame){.type = FRAME_HELLO_ACK, .link = to->link, .sequence = nonce_name(hello)},
                handshake->secret);
    if (!exchange_keys(keys, handshake->secret, hello + AT_KEY, keys->secret_key, hello + AT_KEY, &exchange))
        return ERR_CORRUPT;
    derive(keys, &exchange, handshake, LINK_REPLICA, ack + AT_PROOF, to);
    checksum(ack, FRAME_HELLO_BYTES, ack + AT_CHECKSUM);
    sodium_memzero(handshake->secret, sizeof handshake->secret);
    return ERR_OK;
}

int handshake_finish(struct handshake *handshake, const struct link_keys *keys, const uint8_t ack[FRAME_HELLO_BYTES],
                     struct seal_keys *to)
{
    struct frame frame;
    if (!frame_read(ack, FRAME_HELLO_BYTES, &frame) || frame.sequence != nonce_name(handshake->hello) ||
        !checksum_fits(ack, FRAME_HELLO_BYTES))
        return ERR_CORRUPT;
    struct exchange exchange;
    uint8_t proof[FRAME_TAG_BYTES];
    memcpy(handshake->ack, ack, FRAME_HELLO_BYTES);
    if (!exchange_keys(keys, handshake->secret, ack + AT_KEY, handshake->secret, keys->public_key, &exchange))
        return ERR_CORRUPT;
    derive(keys, &exchange, handshake, LINK_CLIENT, proof, to);
    if (sodium_memcmp(proof, ack + AT_PROOF, sizeof proof) != 0)
        return ERR_BAD_KEY;
    to->link = frame.link;
    sodium_memzero(handshake->secret, sizeof handshake->secret);
    return ERR_OK;
}

/* --- REJECT --- */

void reject_write(uint8_t to[FRAME_REJECT_BYTES], const uint8_t *hello, size_t len, int code)
{
    frame_write(to, &(struct frame){.version = PROTOCOL_VERSION, .type = FRAME_REJECT, .rest = (uint32_t)code});
    memset(to + AT_NONCE, 0, FRAME_NONCE_BYTES);
    if (hello != NULL && len >= AT_KEY)
        memcpy(to + AT_NONCE, hello + AT_NONCE, FRAME_NONCE_BYTES);
    checksum(to, FRAME_REJECT_BYTES, to + AT_CHECKSUM);
}

int reject_read(const struct handshake *handshake, const uint8_t at[FRAME_REJECT_BYTES], const struct frame *frame)
{
    if (memcmp(at + AT_NONCE, handshake->hello + AT_NONCE, FRAME_NONCE_BYTES) != 0)
        return ERR_OK;
    if (!checksum_fits(at, FRAME_REJECT_BYTES))
        return ERR_OK;
    return (int)frame->rest;
}

/* --- sealed frames --- */

static void nonce_of(uint64_t sequence, uint8_t to[crypto_aead_chacha20poly1305_ietf_NPUBBYTES])
{
    memset(to, 0, crypto_aead_chacha20poly1305_ietf_NPUBBYTES);
    for (size_t i = 0; i < sizeof sequence; i++)
        to[4 + i] = (uint8_t)(sequence >> (8 * i));
}

size_t seal(const struct seal_keys *keys, const struct frame *frame, const void *body, size_t len,
            uint8_t to[LIMIT_FRAME_BYTES])
{
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    assert(len <= FRAME_BODY_BYTES);
    frame_write(to, frame);
    nonce_of(frame->sequence, nonce);
    crypto_aead_chacha20poly1305_ietf_encrypt(to + FRAME_HEADER_BYTES, NULL, body, len, to, FRAME_HEADER_BYTES, NULL,
                                              nonce, keys->send);
    return FRAME_HEADER_BYTES + len + FRAME_TAG_BYTES;
}

bool seal_open(const struct seal_keys *keys, const struct frame *frame, const uint8_t *at, size_t len,
               uint8_t to[FRAME_BODY_BYTES])
{
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    nonce_of(frame->sequence, nonce);
    return crypto_aead_chacha20poly1305_ietf_decrypt(to, NULL, NULL, at + FRAME_HEADER_BYTES, len - FRAME_HEADER_BYTES,
                                                     at, FRAME_HEADER_BYTES, nonce, keys->receive) == 0;
}
