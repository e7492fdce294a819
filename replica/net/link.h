/* link.h - a link between a client and a replica: ordered, gapless, sealed messages over a carrier that loses,
 * duplicates and reorders (design §6 "Links over nanomsg" and "Sealing").
 *
 * Pure of sockets and clocks: frames and the time come in by calls, frames go out by a callback; so a test can put
 * anything between two ends. One thread per link (the caller locks).
 *
 *   client                         replica
 *     HELLO (nonce, ephemeral key) →
 *                                  ← HELLO_ACK (nonce, ephemeral key, proof)
 *     CONFIRM (proof)              →            both are UP; a wrong key shows here and opens nothing
 *     DATA / BATCH / URGENT / PING / CLOSE ↔    each with link id and a sequence number from 1, sealed
 *
 * A gap, silence, a malformed frame or an overflow resets the link: DOWN, and the client begins a new handshake. A
 * frame that fails its seal counts as lost, so that nothing forged can end a link. Nothing of the old link is
 * delivered after DOWN. Large messages go in pieces of 16 KiB: frames have one small maximum, and heartbeats pass. */
#ifndef PACT_LINK_H
#define PACT_LINK_H

#include "proto/errors.h"
#include "proto/limits.h"
#include "replica/state/request.h"

enum { LINK_KEY_BYTES = 32 };

/* What one end must hold. `present` false: no key; both ends must then have none. The mount's key file has `psk` and
 * the replicas' static public key; the replicas' file has the seed of everything (design §6). */
struct link_keys {
    bool present;
    bool replica; /* has `secret_key` */
    uint8_t psk[LINK_KEY_BYTES];
    uint8_t public_key[LINK_KEY_BYTES];
    uint8_t secret_key[LINK_KEY_BYTES];
};

/* Writes DIR/replica.key and DIR/mount.key, mode 0600, refusing to replace either (ERR_EXISTS). */
int keys_generate(const char *directory, char *text, size_t text_len);
/* Reads either file. ERR_ACCESS if others can read it (or we can't), ERR_BAD_FORMAT, ERR_NO_NODE …; text says what
 * and where. */
int keys_read(const char *path, struct link_keys *keys, char *text, size_t text_len);

/* Of the link between two replicas: derived from what is in replica.key alone, and from who they are, so that neither a
 * mount host nor another replica's frames open it. No keys give no keys. */
void keys_between(const struct link_keys *keys, uint32_t low, uint32_t high, struct link_keys *to);

enum link_side { LINK_CLIENT, LINK_REPLICA };
enum link_state { LINK_CLOSED, LINK_OPENING, LINK_UP };

struct link_events {
    void *arg;
    void (*send)(void *arg, const void *frame, size_t len); /* hand a frame to the carrier; may lose it */
    void (*up)(void *arg);
    /* The link has ended, or an attempt to open it has failed; a client goes on trying. UNREACHABLE: silence, closed by
     * the other end, or no answer to a HELLO within LINK_HANDSHAKE_MS; IO: frames or the carrier were lost; TOO_MANY:
     * a full queue, or the replica has LIMIT_LINKS already; BAD_KEY, BAD_FORMAT (another protocol version). A replica's
     * end reports BAD_KEY and BAD_FORMAT also for a HELLO it rejected while it was not UP. */
    void (*down)(void *arg, int code);
    void (*message)(void *arg, const void *message, size_t len); /* in order, each once; borrowed */
    void (*writable)(void *arg); /* link_queued_bytes has fallen below LINK_LOW_BYTES; may be NULL */
};

struct link;

/* keys and events are copied. NULL: no memory. A LINK_CLIENT sends its HELLO at the first link_tick. */
struct link *link_new(enum link_side side, const struct link_keys *keys, const struct link_events *events);
void link_free(struct link *link); /* no callback is called */

/* A frame from the carrier: any bytes. May call back any event; callbacks may send and close, but not free the link. */
void link_receive(struct link *link, const void *frame, size_t len, uint64_t now_ms);
/* Queues a message (≤ LIMIT_MESSAGE_BYTES, copied) and sends what the credit allows. ERR_OK, ERR_UNREACHABLE if not
 * UP, ERR_TOO_MANY if the queue is full (the link is then reset: down() is called). */
int link_send(struct link *link, const void *message, size_t len, uint64_t now_ms);
/* As link_send, but waits for the next link_send, which has to follow at once: small messages go in one frame
 * together. */
int link_send_more(struct link *link, const void *message, size_t len);
/* As link_send but with a credit window of its own, ahead of what link_send queued: for heartbeats and their answers,
 * ≤ LIMIT_URGENT_BYTES. Order is kept only among urgent ones. */
int link_send_urgent(struct link *link, const void *message, size_t len, uint64_t now_ms);
/* Pings, acknowledgements, silence, handshake retries. Returns when it wants to be called next, at the latest. */
uint64_t link_tick(struct link *link, uint64_t now_ms);
/* The carrier has a new connection, so that frames may be missing: a client's link that is UP goes down and opens
 * again with the next link_tick, without waiting for a gap or silence to show. */
void link_carrier_lost(struct link *link, uint64_t now_ms);
/* Says goodbye to the other end and closes, without down(); a client's link stays CLOSED. */
void link_close(struct link *link, uint64_t now_ms);
/* Says goodbye to the other end, without down(); opens again as after any other end. Nothing if not UP. */
void link_drop(struct link *link, uint64_t now_ms);
enum link_state link_state(const struct link *link);
uint64_t link_received(const struct link *link);   /* genuine frames, since it is UP */
size_t link_queued_bytes(const struct link *link); /* waiting for credit, or sent and not acknowledged */

#endif
