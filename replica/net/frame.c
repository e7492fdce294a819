#include "replica/net/frame.h"

#include <string.h>

static void put(uint8_t *to, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *from, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

void frame_write(uint8_t to[FRAME_HEADER_BYTES], const struct frame *frame)
{
    to[0] = 'P';
    to[1] = 'F';
    to[2] = frame->version;
    to[3] = (uint8_t)frame->type;
    put(to + 4, frame->link, 8);
    put(to + 12, frame->sequence, 8);
    put(to + 20, frame->acknowledged, 8);
    put(to + 28, frame->rest, 4);
}

static bool size_fits(enum frame_type type, size_t len)
{
    switch (type) {
    case FRAME_HELLO:
    case FRAME_HELLO_ACK:
        return len == FRAME_HELLO_BYTES;
    case FRAME_REJECT:
        return len == FRAME_REJECT_BYTES;
    case FRAME_CONFIRM:
    case FRAME_PING:
    case FRAME_CLOSE:
        return len == FRAME_HEADER_BYTES + FRAME_TAG_BYTES;
    case FRAME_DATA:
    case FRAME_URGENT:
    case FRAME_BATCH:
        return len >= FRAME_HEADER_BYTES + FRAME_TAG_BYTES && len <= LIMIT_FRAME_BYTES;
    }
    return false;
}

bool frame_read(const uint8_t *at, size_t len, struct frame *frame)
{
    if (len < FRAME_HEADER_BYTES || at[0] != 'P' || at[1] != 'F')
        return false;
    *frame = (struct frame){.version = at[2],
                            .type = (enum frame_type)at[3],
                            .link = get(at + 4, 8),
                            .sequence = get(at + 12, 8),
                            .acknowledged = get(at + 20, 8),
                            .rest = (uint32_t)get(at + 28, 4)};
    return size_fits(frame->type, len) || (frame->version != PROTOCOL_VERSION && frame->type == FRAME_HELLO);
}

void batch_write(uint8_t *body, size_t *body_len, const void *message, size_t len)
{
    put(body + *body_len, len, BATCH_LENGTH_BYTES);
    if (len > 0)
        memcpy(body + *body_len + BATCH_LENGTH_BYTES, message, len);
    *body_len += BATCH_LENGTH_BYTES + len;
}

bool batch_read(const uint8_t *body, size_t body_len, size_t *offset, const uint8_t **message, size_t *len)
{
    const size_t left = body_len - *offset;
    if (left < BATCH_LENGTH_BYTES)
        return false;
    *len = get(body + *offset, BATCH_LENGTH_BYTES);
    if (*len > left - BATCH_LENGTH_BYTES)
        return false;
    *message = body + *offset + BATCH_LENGTH_BYTES;
    *offset += BATCH_LENGTH_BYTES + *len;
    return true;
}
