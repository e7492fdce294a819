/* Opening, closing, sending, and what time brings. Receiving is in link_receive.c.
 *
 * Invariants
 * 1. A message reaches the other end's message() once, whole, unaltered, after all that were sent before it (urgent
 *    ones have an order of their own), or the link goes down. Nothing is sent twice: what is lost resets the link.
 * 2. Numbers of sealed frames rise by one in each direction from 1; a number is the nonce of its frame and never used
 *    twice under one key. Every handshake gives new keys.
 * 3. Nothing that is not sealed with the link's keys changes a link that is up: HELLO, REJECT, damaged and foreign
 *    frames at most make the replica remember one handshake beside it.
 * 4. At most LIMIT_CREDIT_MESSAGES pieces and LIMIT_CREDIT_BYTES of each lane are sent and not acknowledged, so that
 *    the carrier's buffers never fill: a carrier that is full drops frames silently.
 * 5. A frame that fails its seal counts as lost. The gap shows with the next frame, at the latest with a ping.
 *
 *   state    client                                    replica
 *   CLOSED   link_close was called                     no HELLO yet, or the last link has ended
 *   OPENING  sends HELLO until HELLO_ACK comes         answered a HELLO, waits for CONFIRM
 *   UP       HELLO_ACK proved itself, CONFIRM sent     CONFIRM opened; a new HELLO is answered beside it
 *
 *   from     by                                                                  to
 *   OPENING  HELLO_ACK (client), CONFIRM (replica)                               UP, up()
 *   OPENING  nothing for LINK_HANDSHAKE_MS, REJECT (client)                      OPENING again, down()
 *   OPENING  nothing for LINK_HANDSHAKE_MS (replica)                             CLOSED
 *   UP       gap, malformed frame, CLOSE, silence, queue full, carrier lost      OPENING or CLOSED, down()
 *   UP       CONFIRM of a newer handshake (replica)                              UP, down() and up() */
#include "replica/net/link_internal.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct link *link_new(enum link_side side, const struct link_keys *keys, const struct link_events *events)
{
    if (sodium_init() < 0)
        return NULL;
    struct link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return NULL;
    link->side = side;
    link->keys = *keys;
    link->events = *events;
    link->state = side == LINK_CLIENT ? LINK_OPENING : LINK_CLOSED;
    link->ack_due_ms = TIME_NEVER;
    outbox_init(&link->outbox);
    return link;
}

static void forget(struct link *link)
{
    outbox_clear(&link->outbox);
    free(link->inbox.at);
    link->inbox = (struct inbox){0};
    sodium_memzero(&link->seal, sizeof link->seal);
    link->pieces_owed = link->bytes_owed = 0;
    link->ack_due_ms = TIME_NEVER;
}

void link_free(struct link *link)
{
    if (link == NULL)
        return;
    forget(link);
    sodium_memzero(link, sizeof *link);
    free(link);
}

enum link_state link_state(const struct link *link)
{
    return link->state;
}

uint64_t link_received(const struct link *link)
{
    return link->received;
}

size_t link_queued_bytes(const struct link *link)
{
    return outbox_bytes(&link->outbox);
}

/* --- sending --- */

void link_transmit(struct link *link, enum frame_type type, const void *body, size_t len, uint32_t rest)
{
    uint8_t bytes[LIMIT_FRAME_BYTES];
    const struct frame frame = {.version = PROTOCOL_VERSION,
                                .type = type,
                                .link = link->seal.link,
                                .sequence = ++link->sent,
                                .acknowledged = link->received,
                                .rest = rest};
    link->last_sent_ms = link->now_ms;
    link->pieces_owed = link->bytes_owed = 0;
    link->ack_due_ms = TIME_NEVER;
    const size_t total = seal(&link->seal, &frame, body, len, bytes);
    link->events.send(link->events.arg, bytes, total);
}

static void transmit_piece(struct link *link, const struct piece *piece)
{
    const enum frame_type type = piece->urgent ? FRAME_URGENT : piece->messages > 1 ? FRAME_BATCH : FRAME_DATA;
    link_transmit(link, type, piece->at, piece->len, (uint32_t)piece->rest);
    outbox_sent(&link->outbox, piece, link->sent);
}

void link_pump(struct link *link)
{
    struct piece piece;
    uint8_t body[FRAME_BODY_BYTES];
    while (outbox_next(&link->outbox, body, &piece)) {
        transmit_piece(link, &piece);
        outbox_popped(&link->outbox, &piece);
    }
}

static int queue(struct link *link, bool urgent, const void *message, size_t len)
{
    if (outbox_push(&link->outbox, urgent, message, len))
        return ERR_OK;
    link_reset(link, ERR_TOO_MANY, true);
    return ERR_TOO_MANY;
}

static int send_on(struct link *link, bool urgent, const void *message, size_t len, uint64_t now_ms)
{
    assert(len <= LIMIT_MESSAGE_BYTES);
    if (link->state != LINK_UP)
        return ERR_UNREACHABLE;
    link->now_ms = now_ms;
    if (outbox_passes(&link->outbox, urgent, len)) {
        const struct piece whole = {urgent, message, len, 0, 1};
        transmit_piece(link, &whole);
        return ERR_OK;
    }
    const int err = queue(link, urgent, message, len);
    if (err == ERR_OK)
        link_pump(link);
    return err;
}

int link_send(struct link *link, const void *message, size_t len, uint64_t now_ms)
{
    return send_on(link, false, message, len, now_ms);
}

int link_send_more(struct link *link, const void *message, size_t len)
{
    assert(len <= LIMIT_MESSAGE_BYTES);
    return link->state == LINK_UP ? queue(link, false, message, len) : ERR_UNREACHABLE;
}

int link_send_urgent(struct link *link, const void *message, size_t len, uint64_t now_ms)
{
    assert(len <= LIMIT_URGENT_BYTES);
    return send_on(link, true, message, len, now_ms);
}

/* --- up and down --- */

void link_retry_at(struct link *link, uint64_t at_ms)
{
    link->shaking = false;
    link->hello_due_ms = at_ms;
}

void link_establish(struct link *link, const struct seal_keys *seal)
{
    const bool replaced = link->state == LINK_UP;
    const struct seal_keys fresh = *seal; /* forget() may wipe what it points to */
    forget(link);
    link->shaking = false;
    link->state = LINK_OPENING; /* while down() runs nothing can be sent */
    if (replaced)
        link->events.down(link->events.arg, ERR_IO);
    link->seal = fresh;
    memcpy(link->hello_nonce, link->handshake.hello + FRAME_HEADER_BYTES, sizeof link->hello_nonce);
    link->sent = link->received = 0;
    link->silent_ms = 0;
    link->last_sent_ms = link->now_ms;
    link->state = LINK_UP;
    link->heard = link->side == LINK_REPLICA; /* a CONFIRM it was */
}

/* All of link_reset but down(). */
static void end(struct link *link, int code, bool tell)
{
    if (tell && link->state == LINK_UP)
        link_transmit(link, FRAME_CLOSE, NULL, 0, (uint32_t)code);
    forget(link);
    if (link->side == LINK_CLIENT) {
        const uint64_t earliest = link->shaking_since_ms + LINK_REOPEN_MS;
        link->state = LINK_OPENING;
        link_retry_at(link, link->now_ms > earliest ? link->now_ms : earliest);
    } else if (link->state == LINK_UP) {
        link->state = link->shaking ? LINK_OPENING : LINK_CLOSED;
    }
}

void link_reset(struct link *link, int code, bool tell)
{
    end(link, code, tell);
    link->events.down(link->events.arg, code);
}

void link_drop(struct link *link, uint64_t now_ms)
{
    link->now_ms = now_ms;
    if (link->state == LINK_UP)
        end(link, ERR_UNREACHABLE, true);
}

void link_close(struct link *link, uint64_t now_ms)
{
    link->now_ms = now_ms;
    if (link->state == LINK_UP)
        link_transmit(link, FRAME_CLOSE, NULL, 0, ERR_OK);
    forget(link);
    link->shaking = false;
    link->stopped = link->side == LINK_CLIENT;
    link->state = LINK_CLOSED;
}

void link_carrier_lost(struct link *link, uint64_t now_ms)
{
    link->now_ms = now_ms;
    if (link->state == LINK_UP)
        link_reset(link, ERR_IO, false);
    else if (link->shaking) {
        link->hello_delay_ms = LINK_RETRY_MIN_MS;
        link->hello_due_ms = now_ms;
    }
}

/* --- time --- */

static uint64_t next_opening_ms(const struct link *link)
{
    const uint64_t over_ms = link->shaking_since_ms + LINK_HANDSHAKE_MS;
    return link->shaking && over_ms < link->hello_due_ms ? over_ms : link->hello_due_ms;
}

/* A client that is not up: sends HELLO, again and again; a handshake is over after LINK_HANDSHAKE_MS. */
static uint64_t tick_opening(struct link *link)
{
    const uint64_t now_ms = link->now_ms;
    if (link->shaking && now_ms - link->shaking_since_ms >= LINK_HANDSHAKE_MS) {
        link_reset(link, ERR_UNREACHABLE, false);
        return now_ms;
    }
    if (now_ms < link->hello_due_ms)
        return next_opening_ms(link);
    if (!link->shaking) {
        handshake_begin(&link->handshake, &link->keys);
        link->shaking = true;
        link->shaking_since_ms = now_ms;
        link->hello_delay_ms = LINK_RETRY_MIN_MS;
    }
    link->hello_due_ms = now_ms + link->hello_delay_ms;
    if (link->hello_delay_ms < LINK_RETRY_MAX_MS)
        link->hello_delay_ms *= 2;
    link->events.send(link->events.arg, link->handshake.hello, FRAME_HELLO_BYTES);
    return next_opening_ms(link);
}

/* The limit of silence; a client whose CONFIRM was perhaps lost waits no longer than for a handshake. */
static uint64_t silence_limit_ms(const struct link *link)
{
    return link->heard ? LINK_SILENCE_MS : LINK_HANDSHAKE_MS;
}

static uint64_t tick_up(struct link *link)
{
    if (link->silent_ms >= silence_limit_ms(link)) {
        link_reset(link, ERR_UNREACHABLE, true);
        return link->now_ms;
    }
    if (link->now_ms >= link->ack_due_ms || link->now_ms - link->last_sent_ms >= LINK_PING_MS)
        link_transmit(link, FRAME_PING, NULL, 0, 0);
    const uint64_t ping_ms = link->last_sent_ms + LINK_PING_MS;
    return link->ack_due_ms < ping_ms ? link->ack_due_ms : ping_ms;
}

/* A replica's half-open handshake does not wait for ever. */
static void tick_shaking(struct link *link)
{
    if (!link->shaking || link->now_ms - link->shaking_since_ms < LINK_HANDSHAKE_MS)
        return;
    link->shaking = false;
    if (link->state == LINK_OPENING)
        link->state = LINK_CLOSED;
}

uint64_t link_tick(struct link *link, uint64_t now_ms)
{
    /* Time in which this process did not run, or late ticks, are not the other end's silence. */
    const uint64_t passed_ms = now_ms - link->ticked_ms;
    link->silent_ms += passed_ms < LINK_PING_MS ? passed_ms : LINK_PING_MS;
    link->now_ms = link->ticked_ms = now_ms;
    if (link->side == LINK_REPLICA)
        tick_shaking(link);
    uint64_t next_ms = now_ms + LINK_PING_MS;
    if (link->state == LINK_UP)
        next_ms = tick_up(link);
    if (link->side == LINK_CLIENT && link->state == LINK_OPENING)
        next_ms = tick_opening(link);
    return next_ms;
}
