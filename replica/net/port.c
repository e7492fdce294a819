#include "replica/net/port.h"
#include "replica/net/carrier.h"
#include "replica/net/frame.h"
#include "replica/net/seal.h"
#include "replica/net/socket.h"

#include <nanomsg/reqrep.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* A peer is known by the route its frames come by, so by its connection. It is made by a HELLO and freed in `tend`
 * once its link is CLOSED: never while a function of its link runs. */
struct peer {
    struct port *port;
    struct link *link;
    struct route route;
    void *data; /* the caller's */
    bool up;    /* up() was called, down() not yet */
    bool closing;
    uint64_t close_by_ms; /* if closing: at the latest then, whatever the peer has acknowledged */
    UT_hash_handle hh;
};

struct port {
    int socket;
    uint16_t number;
    struct link_keys keys;
    struct port_events events;
    struct peer *peers;
    bool untidy;      /* a peer is closed or closing */
    uint64_t next_ms; /* when the first link wants its tick */
};

/* --- events of a peer's link --- */

static void on_send(void *arg, const void *frame, size_t len)
{
    const struct peer *peer = arg;
    socket_send(peer->port->socket, &peer->route, frame, len);
}

static void on_up(void *arg)
{
    struct peer *peer = arg;
    peer->up = true;
    peer->port->events.up(peer->port->events.arg, peer);
}

static void on_down(void *arg, int code)
{
    struct peer *peer = arg;
    struct port *port = peer->port;
    port->untidy = true;
    if (!peer->up) {
        if (port->events.refused != NULL)
            port->events.refused(port->events.arg, code);
        return;
    }
    peer->up = peer->closing = false;
    port->events.down(port->events.arg, peer, code);
    peer->data = NULL; /* a new link of the same connection is a new peer to the caller */
}

static void on_message(void *arg, const void *message, size_t len)
{
    struct peer *peer = arg;
    if (!peer->closing)
        peer->port->events.message(peer->port->events.arg, peer, message, len);
}

static void on_writable(void *arg)
{
    struct peer *peer = arg;
    if (!peer->closing && peer->port->events.writable != NULL)
        peer->port->events.writable(peer->port->events.arg, peer);
}

/* --- opening --- */

int port_open(const char *const *addresses, size_t count, const struct link_keys *keys,
              const struct port_events *events, struct port **to, char *text, size_t text_len)
{
    if (keys->present && !keys->replica) {
        snprintf(text, text_len, "a mount's key cannot open a port: a replica needs replica.key");
        return ERR_BAD_KEY;
    }
    struct port *port = calloc(1, sizeof *port);
    if (port == NULL) {
        snprintf(text, text_len, "no memory");
        return ERR_TOO_MANY;
    }
    port->keys = *keys;
    port->events = *events;
    int err = socket_open(NN_REP, &port->socket, text, text_len);
    if (err != ERR_OK) {
        free(port);
        return err;
    }
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = socket_listen(port->socket, addresses[i], &port->number, text, text_len);
    if (err != ERR_OK) {
        port_close(port);
        return err;
    }
    *to = port;
    return ERR_OK;
}

static void free_peer(struct peer *peer)
{
    HASH_DEL(peer->port->peers, peer);
    link_free(peer->link);
    free(peer);
}

void port_close(struct port *port)
{
    if (port == NULL)
        return;
    struct peer *peer, *next;
    HASH_ITER(hh, port->peers, peer, next)
    {
        link_close(peer->link, port->next_ms);
        free_peer(peer);
    }
    socket_close(port->socket);
    sodium_memzero(&port->keys, sizeof port->keys);
    free(port);
}

uint16_t port_number(const struct port *port)
{
    return port->number;
}

int port_fd(const struct port *port)
{
    return socket_fd(port->socket);
}

/* --- receiving --- */

static struct peer *new_peer(struct port *port, const struct route *route)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    peer->port = port;
    peer->route = *route;
    peer->link = link_new(LINK_REPLICA, &port->keys,
                          &(struct link_events){peer, on_send, on_up, on_down, on_message, on_writable});
    if (peer->link == NULL) {
        free(peer);
        return NULL;
    }
    port->untidy = true; /* if the HELLO is not accepted */
    HASH_ADD_KEYPTR(hh, port->peers, peer->route.at, peer->route.len, peer);
    return peer;
}

static void reject(const struct port *port, const struct route *route, const void *hello, size_t len, int code)
{
    uint8_t frame[FRAME_REJECT_BYTES];
    reject_write(frame, hello, len, code);
    socket_send(port->socket, route, frame, sizeof frame);
}

/* The peer of a frame; a HELLO makes it. NULL: the frame is of no use. */
static struct peer *peer_of(struct port *port, const struct route *route, const void *at, size_t len)
{
    struct peer *peer = NULL;
    struct frame frame;
    HASH_FIND(hh, port->peers, route->at, route->len, peer);
    if (peer != NULL || !frame_read(at, len, &frame))
        return peer;
    if (frame.type == FRAME_HELLO && HASH_COUNT(port->peers) < LIMIT_LINKS)
        peer = new_peer(port, route);
    if (frame.type == FRAME_HELLO && peer == NULL)
        reject(port, route, at, len, ERR_TOO_MANY);
    if (frame_sealed(&frame)) /* of a connection or a replica that is no more: wakes the client, which then looks */
        reject(port, route, NULL, 0, ERR_UNREACHABLE);
    return peer;
}

/* Receives up to `budget` frames (0: all); true: frames may be left. */
static bool drain(struct port *port, uint64_t now_ms, size_t budget)
{
    for (size_t i = 0; budget == 0 || i < budget; i++) {
        struct route route;
        void *frame;
        size_t len;
        if (!socket_receive(port->socket, &route, &frame, &len))
            return false;
        struct peer *peer = peer_of(port, &route, frame, len);
        if (peer != NULL)
            link_receive(peer->link, frame, len, now_ms);
        frame_release(frame);
        if (port->next_ms > now_ms + LINK_ACK_MS)
            port->next_ms = now_ms + LINK_ACK_MS;
    }
    return true;
}

static void finish_closing(struct peer *peer, uint64_t now_ms)
{
    if (link_state(peer->link) != LINK_UP || (link_queued_bytes(peer->link) > 0 && now_ms < peer->close_by_ms))
        return;
    link_close(peer->link, now_ms);
    on_down(peer, ERR_OK);
}

/* Ticks every link and frees the peers whose link is closed. */
static void tend(struct port *port, uint64_t now_ms)
{
    struct peer *peer, *next;
    port->untidy = false;
    port->next_ms = now_ms + LINK_PING_MS;
    HASH_ITER(hh, port->peers, peer, next)
    {
        const uint64_t tick_ms = link_tick(peer->link, now_ms);
        if (tick_ms < port->next_ms)
            port->next_ms = tick_ms;
        if (peer->closing)
            finish_closing(peer, now_ms);
        port->untidy |= peer->closing;
        if (link_state(peer->link) == LINK_CLOSED)
            free_peer(peer);
    }
}

uint64_t port_run(struct port *port, uint64_t now_ms, size_t budget, bool *more)
{
    carrier_tend();
    *more = drain(port, now_ms, budget);
    if (port->untidy || now_ms >= port->next_ms)
        tend(port, now_ms);
    return port->next_ms;
}

/* --- peers --- */

int peer_send(struct peer *peer, const void *message, size_t len, uint64_t now_ms)
{
    return link_send(peer->link, message, len, now_ms);
}

int peer_send_urgent(struct peer *peer, const void *message, size_t len, uint64_t now_ms)
{
    return link_send_urgent(peer->link, message, len, now_ms);
}

size_t peer_queued_bytes(const struct peer *peer)
{
    return link_queued_bytes(peer->link);
}

void peer_close(struct peer *peer, uint64_t now_ms)
{
    if (peer->closing)
        return;
    peer->closing = true;
    peer->close_by_ms = now_ms + LINK_SILENCE_MS;
    peer->port->untidy = true;
}

void peer_set_data(struct peer *peer, void *data)
{
    peer->data = data;
}

void *peer_data(const struct peer *peer)
{
    return peer->data;
}
