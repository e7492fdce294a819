/* link_internal.h - the inside of a link, shared by link.c (opening, closing, sending, time) and link_receive.c. */
#ifndef PACT_LINK_INTERNAL_H
#define PACT_LINK_INTERNAL_H

#include "replica/net/link.h"
#include "replica/net/outbox.h"
#include "replica/net/seal.h"

enum {
    LINK_RETRY_MIN_MS = 1,   /* HELLO is sent again after this, doubling … */
    LINK_RETRY_MAX_MS = 256, /* … up to this */
    LINK_REOPEN_MS = 50,     /* handshakes start at least this far apart */
    LINK_ACK_PIECES = LIMIT_CREDIT_MESSAGES / 2,
    LINK_ACK_BYTES = LIMIT_CREDIT_BYTES / 2,
};

#define TIME_NEVER UINT64_MAX

struct inbox { /* a message that comes in pieces */
    uint8_t *at;
    size_t len, total; /* bytes; total 0: none */
};

struct link {
    enum link_side side;
    struct link_keys keys;
    struct link_events events;
    enum link_state state;
    bool stopped; /* link_close was called: a client does not open again */

    /* UP */
    struct seal_keys seal;
    uint8_t hello_nonce[FRAME_NONCE_BYTES]; /* of the handshake that opened it */
    uint64_t sent, received;                /* sequence numbers: the last of each direction */
    struct outbox outbox;
    struct inbox inbox;
    size_t pieces_owed, bytes_owed; /* received and not yet acknowledged */
    uint64_t ack_due_ms;            /* or TIME_NEVER */
    bool heard;                     /* anything since it came up */

    /* the handshake under way: the client's HELLO, or the replica's HELLO_ACK */
    bool shaking;
    struct handshake handshake;
    struct seal_keys shaking_seal; /* replica */
    uint64_t shaking_since_ms, hello_due_ms, hello_delay_ms;

    uint64_t now_ms, ticked_ms, last_sent_ms;
    uint64_t silent_ms; /* of own running time, since anything valid came */
};

/* Seals and sends one frame of the link that is up. */
void link_transmit(struct link *link, enum frame_type type, const void *body, size_t len, uint32_t rest);
/* Sends what credit allows of what waits. */
void link_pump(struct link *link);
/* The handshake has given keys: the link is up from here on, an older one is down. */
void link_establish(struct link *link, const struct seal_keys *seal);
/* The link, or the attempt to open it, is over: tells the other end if `tell`, calls down(); a client tries again. */
void link_reset(struct link *link, int code, bool tell);
/* The client's next handshake begins at this time. */
void link_retry_at(struct link *link, uint64_t at_ms);

#endif
