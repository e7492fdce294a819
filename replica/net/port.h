/* port.h - links over nanomsg sockets: a port that a replica opens for mounts, and a dial to one.
 *
 * A port is one AF_SP_RAW NN_REP socket, a dial one AF_SP_RAW NN_REQ socket. Both give a descriptor to poll for
 * reading (never read it) and a function to call when it is readable or the time it asked for has come. One thread at
 * a time per port or dial. */
#ifndef PACT_PORT_H
#define PACT_PORT_H

#include "replica/net/link.h"

/* "HOST:PORT" (numeric address or a name; [v6] in brackets) or "inproc:NAME" → a nanomsg URL. Names are looked up,
 * IPv4 first. ERR_INVALID; ERR_UNREACHABLE: a name without an address. */
int address_url(const char *address, char *url, size_t url_len);
bool address_is_loopback(const char *address);

struct port;
struct peer; /* one connected client */

struct port_events {
    void *arg;
    void (*up)(void *arg, struct peer *peer);
    void (*down)(void *arg, struct peer *peer, int code); /* the peer is gone after this returns */
    void (*message)(void *arg, struct peer *peer, const void *message, size_t len);
    void (*writable)(void *arg, struct peer *peer); /* as link_events.writable; may be NULL */
    void (*refused)(void *arg, int code);           /* someone was turned away: BAD_KEY, BAD_FORMAT; may be NULL */
};

/* Binds every address (port 0 takes a free one). On error text says which and why. */
int port_open(const char *const *addresses, size_t count, const struct link_keys *keys,
              const struct port_events *events, struct port **port, char *text, size_t text_len);
void port_close(struct port *port);            /* says goodbye to all peers; no callback */
uint16_t port_number(const struct port *port); /* of the first TCP address */
int port_fd(const struct port *port);
/* Receives at most `budget` frames (0: all there are) and does what is due. *more: frames are left. Returns the time
 * of the next call, at the latest (milliseconds, the caller's monotonic clock). */
uint64_t port_run(struct port *port, uint64_t now_ms, size_t budget, bool *more);

int peer_send(struct peer *peer, const void *message, size_t len, uint64_t now_ms); /* as link_send */
int peer_send_urgent(struct peer *peer, const void *message, size_t len, uint64_t now_ms);
size_t peer_queued_bytes(const struct peer *peer);
/* Closes once what is queued has been acknowledged, or after LINK_SILENCE_MS; nothing more is heard from the peer.
 * down() follows from port_run, with ERR_OK if nothing went wrong. */
void peer_close(struct peer *peer, uint64_t now_ms);
void peer_set_data(struct peer *peer, void *data);
void *peer_data(const struct peer *peer);

struct dial;

/* A link to one address (a name is looked up now, which may take the resolver's time); it opens, and opens again, by
 * itself. Events as link_events (`send` is ignored); they may send, but not close the dial. */
int dial_open(const char *address, const struct link_keys *keys, const struct link_events *events, struct dial **dial,
              char *text, size_t text_len);
void dial_close(struct dial *dial);
int dial_fd(const struct dial *dial);
/* Receives and does what is due. Returns the time of the next call, at the latest. */
uint64_t dial_run(struct dial *dial, uint64_t now_ms);
struct link *dial_link(struct dial *dial); /* to send on */

#endif
