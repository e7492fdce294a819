/* A peer that has the key and lies: frames sealed as they should be, in sequence, with any type, acknowledgement,
 * rest and body. The link must not crash, deliver nothing larger than a message may be, and keep within its memory.
 * The input is a list of frames: type, rest (3 bytes), acknowledged (1), length of the body (2). */
#include "replica/net/seal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct liar {
    struct link *link;
    struct handshake handshake;
    struct seal_keys seal;
    uint64_t sent;
    bool up, answered;
};

static const struct link_keys no_keys;

/* What the link sends: its HELLO_ACK gives us the keys. */
static void on_send(void *arg, const void *frame_bytes, size_t len)
{
    struct liar *liar = arg;
    struct frame frame;
    if (!frame_read(frame_bytes, len, &frame) || len > LIMIT_FRAME_BYTES)
        abort();
    if (frame.type == FRAME_HELLO_ACK)
        liar->answered = handshake_finish(&liar->handshake, &no_keys, frame_bytes, &liar->seal) == ERR_OK;
}

static void on_up(void *arg)
{
    struct liar *liar = arg;
    static const uint8_t stream[100 * KIB];
    liar->up = true;
    link_send(liar->link, stream, sizeof stream, 1); /* something to acknowledge */
}

static void on_down(void *arg, int code)
{
    struct liar *liar = arg;
    (void)code;
    liar->up = false;
}

static void on_message(void *arg, const void *message, size_t len)
{
    const struct liar *liar = arg;
    if (!liar->up || len > LIMIT_MESSAGE_BYTES)
        abort();
    const uint8_t *bytes = message;
    for (size_t i = 0; i < len; i += 97)
        if (bytes[i] != 0x5a)
            abort(); /* not what was sent */
}

/* Messages of `each` bytes; the last one ends with the body, or is not whole. */
static void write_batch(uint8_t *body, size_t len, size_t each, bool whole)
{
    static uint8_t message[FRAME_BODY_BYTES];
    size_t at = 0;
    memset(message, 0x5a, sizeof message);
    while (at + 2 * (BATCH_LENGTH_BYTES + each) <= len)
        batch_write(body, &at, message, each);
    if (whole && len - at >= BATCH_LENGTH_BYTES)
        batch_write(body, &at, message, len - at - BATCH_LENGTH_BYTES);
}

static void lie(struct liar *liar, enum frame_type type, uint32_t rest, uint64_t acknowledged, size_t len)
{
    static uint8_t body[FRAME_BODY_BYTES], bytes[LIMIT_FRAME_BYTES];
    memset(body, 0x5a, sizeof body);
    if (type == FRAME_BATCH)
        write_batch(body, len, acknowledged, rest % 2 == 0);
    const struct frame frame = {.version = PROTOCOL_VERSION,
                                .type = type,
                                .link = liar->seal.link,
                                .sequence = ++liar->sent,
                                .acknowledged = acknowledged,
                                .rest = rest};
    const size_t total = seal(&liar->seal, &frame, body, len, bytes);
    uint8_t *exact = malloc(total);
    memcpy(exact, bytes, total);
    link_receive(liar->link, exact, total, liar->sent);
    free(exact);
}

static void open_link(struct liar *liar)
{
    handshake_begin(&liar->handshake, &no_keys);
    liar->answered = false;
    liar->sent = 0;
    link_receive(liar->link, liar->handshake.hello, FRAME_HELLO_BYTES, 1);
    if (!liar->answered)
        abort();
    lie(liar, FRAME_CONFIRM, 0, 0, 0);
    if (!liar->up)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct liar liar = {0};
    const struct link_events events = {&liar, on_send, on_up, on_down, on_message, NULL};
    if (sodium_init() < 0)
        abort();
    liar.link = link_new(LINK_REPLICA, &no_keys, &events);
    unsigned handshakes = 0;
    for (; size >= 7; data += 7, size -= 7) {
        if (!liar.up && handshakes++ == 4)
            break;
        if (!liar.up)
            open_link(&liar);
        const uint32_t rest = data[1] | (uint32_t)data[2] << 8 | (uint32_t)data[3] << 16;
        const size_t len = ((size_t)data[5] | (size_t)data[6] << 8) % (FRAME_BODY_BYTES + 1);
        lie(&liar, (enum frame_type)(FRAME_CONFIRM + data[0] % 6), rest, data[4], len);
        link_tick(liar.link, liar.sent);
        if (link_queued_bytes(liar.link) > 100 * KIB)
            abort();
    }
    link_free(liar.link);
    return 0;
}
