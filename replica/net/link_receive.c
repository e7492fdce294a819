/* What comes from the carrier: any bytes. Only what opens with the link's keys goes further than its header. */
#include "replica/net/link_internal.h"

#include <stdlib.h>
#include <string.h>

/* --- the handshake, replica's side --- */

static void reject(struct link *link, const uint8_t *hello, size_t len, int code)
{
    uint8_t frame[FRAME_REJECT_BYTES];
    reject_write(frame, hello, len, code);
    link->events.send(link->events.arg, frame, sizeof frame);
    if (link->state != LINK_UP)
        link->events.down(link->events.arg, code);
}

static void receive_hello(struct link *link, const uint8_t *at, size_t len)
{
    const size_t nonce = FRAME_HEADER_BYTES;
    if (len == FRAME_HELLO_BYTES) {
        if (link->state == LINK_UP && memcmp(at + nonce, link->hello_nonce, FRAME_NONCE_BYTES) == 0)
            return; /* late: this handshake is over */
        if (link->shaking && memcmp(at, link->handshake.hello, FRAME_HELLO_BYTES) == 0) {
            link->events.send(link->events.arg, link->handshake.ack, FRAME_HELLO_BYTES);
            return;
        }
    }
    struct handshake handshake;
    struct seal_keys seal_keys;
    const int err = handshake_answer(&handshake, &link->keys, at, len, &seal_keys);
    if (err == ERR_BAD_KEY || err == ERR_BAD_FORMAT)
        reject(link, at, len, err);
    if (err != ERR_OK)
        return;
    link->handshake = handshake;
    link->shaking_seal = seal_keys;
    link->shaking = true;
    link->shaking_since_ms = link->now_ms;
    if (link->state == LINK_CLOSED)
        link->state = LINK_OPENING;
    link->events.send(link->events.arg, handshake.ack, FRAME_HELLO_BYTES);
}

/* The first sealed frame of a handshake: its CONFIRM proves the client. Any other says that the CONFIRM was lost. */
static void receive_confirm(struct link *link, const struct frame *frame, const uint8_t *at, size_t len)
{
    uint8_t body[FRAME_BODY_BYTES];
    if (!seal_open(&link->shaking_seal, frame, at, len, body))
        return;
    link_establish(link, &link->shaking_seal);
    if (frame->type != FRAME_CONFIRM || frame->sequence != 1) {
        link->events.up(link->events.arg);
        link_reset(link, ERR_IO, true);
        return;
    }
    link->received = 1;
    link->ack_due_ms = link->now_ms + LINK_ACK_MS; /* the client wants to know that it arrived */
    link->events.up(link->events.arg);
}

/* --- the handshake, client's side --- */

static void receive_hello_ack(struct link *link, const uint8_t *at)
{
    struct seal_keys seal_keys;
    if (!link->shaking)
        return;
    const int err = handshake_finish(&link->handshake, &link->keys, at, &seal_keys);
    if (err == ERR_BAD_KEY) {
        link_reset(link, err, false);
        link_retry_at(link, link->now_ms + LINK_HANDSHAKE_MS);
    }
    if (err != ERR_OK)
        return;
    link_establish(link, &seal_keys);
    link_transmit(link, FRAME_CONFIRM, NULL, 0, 0);
    link->events.up(link->events.arg);
}

/* Only a hint, as anyone can send it: it is reported, and tried again later. */
static void receive_reject(struct link *link, const uint8_t *at, const struct frame *frame)
{
    if (!link->shaking)
        return;
    const int code = reject_read(&link->handshake, at, frame);
    if (code != ERR_BAD_KEY && code != ERR_BAD_FORMAT && code != ERR_TOO_MANY)
        return;
    link_retry_at(link, link->now_ms + LINK_HANDSHAKE_MS);
    link->events.down(link->events.arg, code);
}

/* --- messages --- */

static void deliver(struct link *link, const uint8_t *body, size_t len)
{
    link->events.message(link->events.arg, body, len);
}

/* A piece of a message that needs several. */
static int gather(struct link *link, const uint8_t *body, size_t len, size_t rest)
{
    struct inbox *inbox = &link->inbox;
    if (len == 0 || rest > LIMIT_MESSAGE_BYTES)
        return ERR_BAD_FORMAT;
    if (inbox->total == 0) {
        if (len + rest > LIMIT_MESSAGE_BYTES)
            return ERR_BAD_FORMAT;
        inbox->at = malloc(len + rest);
        if (inbox->at == NULL)
            return ERR_TOO_MANY;
        inbox->total = len + rest;
    }
    if (inbox->len + len + rest != inbox->total)
        return ERR_BAD_FORMAT;
    memcpy(inbox->at + inbox->len, body, len);
    inbox->len += len;
    return ERR_OK;
}

static void receive_data(struct link *link, const uint8_t *body, size_t len, size_t rest)
{
    if (link->inbox.total == 0 && rest == 0) {
        deliver(link, body, len);
        return;
    }
    const int err = gather(link, body, len, rest);
    if (err != ERR_OK) {
        link_reset(link, err, true);
        return;
    }
    if (rest > 0)
        return;
    const struct inbox whole = link->inbox; /* message() may close the link */
    link->inbox = (struct inbox){0};
    deliver(link, whole.at, whole.total);
    free(whole.at);
}

/* message() may close the link, or make it another one. */
static void receive_batch(struct link *link, const uint8_t *body, size_t len, size_t rest)
{
    const uint64_t id = link->seal.link;
    const uint8_t *message;
    size_t offset = 0, message_len;
    while (offset < len) {
        if (rest > 0 || link->inbox.total > 0 || !batch_read(body, len, &offset, &message, &message_len)) {
            link_reset(link, ERR_BAD_FORMAT, true);
            return;
        }
        deliver(link, message, message_len);
        if (link->state != LINK_UP || link->seal.link != id)
            return;
    }
}

/* --- sealed frames of the link that is up --- */

/* Acknowledgements give credit back. False: the link has gone down. */
static bool credit(struct link *link, uint64_t acknowledged)
{
    if (acknowledged > link->sent) {
        link_reset(link, ERR_BAD_FORMAT, true);
        return false;
    }
    const size_t before = outbox_bytes(&link->outbox);
    outbox_acknowledged(&link->outbox, acknowledged);
    link_pump(link);
    if (before >= LINK_LOW_BYTES && outbox_bytes(&link->outbox) < LINK_LOW_BYTES && link->events.writable != NULL)
        link->events.writable(link->events.arg);
    return link->state == LINK_UP;
}

static void owe(struct link *link, size_t len)
{
    link->pieces_owed++;
    link->bytes_owed += len;
    if (link->ack_due_ms == TIME_NEVER)
        link->ack_due_ms = link->now_ms + LINK_ACK_MS;
}

static void pay(struct link *link)
{
    if (link->state == LINK_UP && (link->pieces_owed >= LINK_ACK_PIECES || link->bytes_owed >= LINK_ACK_BYTES))
        link_transmit(link, FRAME_PING, NULL, 0, 0);
}

static void dispatch(struct link *link, const struct frame *frame, const uint8_t *body, size_t len)
{
    switch (frame->type) {
    case FRAME_DATA:
        owe(link, len);
        receive_data(link, body, len, frame->rest);
        pay(link);
        break;
    case FRAME_BATCH:
        owe(link, len);
        receive_batch(link, body, len, frame->rest);
        pay(link);
        break;
    case FRAME_URGENT:
        owe(link, len);
        deliver(link, body, len);
        pay(link);
        break;
    case FRAME_CLOSE:
        link_reset(link, frame->rest == ERR_OK ? ERR_UNREACHABLE : (int)frame->rest, false);
        break;
    case FRAME_PING:
        break;
    default: /* a second CONFIRM */
        link_reset(link, ERR_BAD_FORMAT, true);
    }
}

static void receive_sealed(struct link *link, const struct frame *frame, const uint8_t *at, size_t len)
{
    uint8_t body[FRAME_BODY_BYTES];
    if (frame->sequence <= link->received)
        return; /* a duplicate */
    if (!seal_open(&link->seal, frame, at, len, body))
        return; /* counts as lost */
    if (frame->sequence != link->received + 1) {
        link_reset(link, ERR_IO, true);
        return;
    }
    link->received = frame->sequence;
    link->silent_ms = 0;
    link->heard = true;
    if (credit(link, frame->acknowledged))
        dispatch(link, frame, body, len - FRAME_HEADER_BYTES - FRAME_TAG_BYTES);
}

void link_receive(struct link *link, const void *bytes, size_t len, uint64_t now_ms)
{
    const uint8_t *at = bytes;
    struct frame frame;
    if (link->stopped || !frame_read(at, len, &frame))
        return;
    link->now_ms = now_ms;
    const bool ours = frame.version == PROTOCOL_VERSION;
    if (link->side == LINK_REPLICA && frame.type == FRAME_HELLO)
        receive_hello(link, at, len);
    else if (link->side == LINK_CLIENT && frame.type == FRAME_REJECT)
        receive_reject(link, at, &frame);
    else if (ours && link->side == LINK_CLIENT && frame.type == FRAME_HELLO_ACK)
        receive_hello_ack(link, at);
    else if (ours && frame_sealed(&frame) && link->state == LINK_UP && frame.link == link->seal.link)
        receive_sealed(link, &frame, at, len);
    else if (ours && frame_sealed(&frame) && link->side == LINK_REPLICA && link->shaking &&
             frame.link == link->shaking_seal.link)
        receive_confirm(link, &frame, at, len);
}
