/* Any bytes as frames to both ends of a link that is up, of one that opens, and of one that has not begun. The input
 * is a list of frames, each a byte that says to whom and how it is finished, a length byte, then its bytes. */
#include "replica/net/seal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct end {
    struct link *link;
    struct end *other;
    uint8_t pending[4][LIMIT_FRAME_BYTES]; /* frames on their way to this end */
    size_t pending_len[4], pending_count;
    size_t messages;
};

/* A crash must come again from the same input: random numbers that count. */
static uint32_t counter;

static const char *random_name(void)
{
    return "counter";
}

static uint32_t random_number(void)
{
    return counter++;
}

static void random_bytes(void *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)to)[i] = (uint8_t)counter++;
}

static struct randombytes_implementation counting = {
    .implementation_name = random_name, .random = random_number, .buf = random_bytes};

static void on_send(void *arg, const void *frame, size_t len)
{
    struct end *to = ((struct end *)arg)->other;
    if (to->pending_count == 4)
        return; /* a carrier loses */
    memcpy(to->pending[to->pending_count], frame, len);
    to->pending_len[to->pending_count++] = len;
}

static void on_up(void *arg)
{
    struct end *end = arg;
    if (link_send(end->link, "hello", 5, 1) != ERR_OK)
        abort();
}

static void on_down(void *arg, int code)
{
    (void)arg;
    (void)code;
}

static void on_message(void *arg, const void *message, size_t len)
{
    struct end *end = arg;
    if (len != 5 || memcmp(message, "hello", 5) != 0)
        abort(); /* nobody else has the key */
    end->messages++;
}

static void deliver(struct end *end, uint64_t now_ms)
{
    while (end->pending_count > 0) {
        uint8_t frame[LIMIT_FRAME_BYTES];
        const size_t len = end->pending_len[0];
        memcpy(frame, end->pending[0], len);
        end->pending_count--;
        memmove(end->pending, end->pending + 1, end->pending_count * sizeof end->pending[0]);
        memmove(end->pending_len, end->pending_len + 1, end->pending_count * sizeof end->pending_len[0]);
        link_receive(end->link, frame, len, now_ms);
    }
}

/* Makes a frame look genuine: magic, version, and the rest of the header as the last true frame had it. */
static void finish(uint8_t *frame, size_t len, const struct end *to, unsigned how)
{
    if (how & 1 && len >= 3)
        memcpy(frame, "PF\1", 3);
    if (how & 2 && len >= FRAME_HEADER_BYTES)
        memcpy(frame + 4, to->pending[0] + 4, 24);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct link_keys no_keys;
    static struct end ends[2];
    memset(ends, 0, sizeof ends);
    randombytes_set_implementation(&counting);
    counter = 0;
    for (size_t i = 0; i < 2; i++) {
        const struct link_events events = {&ends[i], on_send, on_up, on_down, on_message, NULL};
        ends[i].other = &ends[1 - i];
        ends[i].link = link_new(i == 0 ? LINK_CLIENT : LINK_REPLICA, &no_keys, &events);
    }
    uint64_t now_ms = 1;
    while (size >= 2) {
        const unsigned how = data[0];
        const size_t len = data[1] < size - 2 ? data[1] : size - 2;
        uint8_t *frame = malloc(len + 1); /* exactly, for the sanitizer */
        memcpy(frame, data + 2, len);
        struct end *to = &ends[how & 1];
        finish(frame, len, to, how >> 1);
        link_receive(to->link, frame, len, now_ms);
        free(frame);
        data += 2 + len;
        size -= 2 + len;
        now_ms += how >> 4;
        if (how & 8)
            for (size_t i = 0; i < 2; i++) {
                link_tick(ends[i].link, now_ms);
                deliver(&ends[1 - i], now_ms);
            }
    }
    for (size_t i = 0; i < 2; i++)
        link_free(ends[i].link);
    return 0;
}
