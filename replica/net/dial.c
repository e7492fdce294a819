#include "replica/net/frame.h"
#include "replica/net/port.h"
#include "replica/net/socket.h"

#include <nanomsg/reqrep.h>
#include <stdio.h>
#include <stdlib.h>

enum { FRAMES_PER_RUN = 256 }; /* so that a busy replica does not keep the caller for ever */

struct dial {
    struct address address;
    struct link_events events;
    struct link *link;
    int socket, endpoint;
    uint64_t connections;   /* of the socket, as last seen */
    uint64_t last_frame_ms; /* or when it was last connected anew */
    bool silent;            /* the link went down as nothing came */
};

static void on_send(void *arg, const void *frame, size_t len)
{
    const struct dial *dial = arg;
    socket_send(dial->socket, &route_request, frame, len); /* what is lost shows as a gap, or as an end of connection */
}

static void on_up(void *arg)
{
    const struct dial *dial = arg;
    dial->events.up(dial->events.arg);
}

static void on_down(void *arg, int code)
{
    struct dial *dial = arg;
    dial->silent = code == ERR_UNREACHABLE;
    dial->events.down(dial->events.arg, code);
}

static void on_message(void *arg, const void *message, size_t len)
{
    const struct dial *dial = arg;
    dial->events.message(dial->events.arg, message, len);
}

static void on_writable(void *arg)
{
    const struct dial *dial = arg;
    if (dial->events.writable != NULL)
        dial->events.writable(dial->events.arg);
}

int dial_open(const char *address, const struct link_keys *keys, const struct link_events *events, struct dial **to,
              char *text, size_t text_len)
{
    int err;
    struct dial *dial = calloc(1, sizeof *dial);
    if (dial == NULL) {
        snprintf(text, text_len, "no memory");
        return ERR_TOO_MANY;
    }
    dial->events = *events;
    err = address_find(address, &dial->address, text, text_len);
    if (err != ERR_OK)
        goto no_socket;
    err = socket_open(NN_REQ, &dial->socket, text, text_len);
    if (err != ERR_OK)
        goto no_socket;
    err = socket_connect(dial->socket, &dial->address, &dial->endpoint, text, text_len);
    if (err != ERR_OK)
        goto no_link;
    dial->link =
        link_new(LINK_CLIENT, keys, &(struct link_events){dial, on_send, on_up, on_down, on_message, on_writable});
    if (dial->link == NULL) {
        snprintf(text, text_len, "%s: no memory", address);
        err = ERR_TOO_MANY;
        goto no_link;
    }
    *to = dial;
    return ERR_OK;

no_link:
    socket_close(dial->socket);
no_socket:
    free(dial);
    return err;
}

void dial_close(struct dial *dial)
{
    if (dial == NULL)
        return;
    link_close(dial->link, dial->last_frame_ms);
    link_free(dial->link);
    socket_close(dial->socket);
    free(dial);
}

int dial_fd(const struct dial *dial)
{
    return socket_fd(dial->socket);
}

struct link *dial_link(struct dial *dial)
{
    return dial->link;
}

/* Receives what there is, up to a limit; true: there may be more. */
static bool drain(struct dial *dial, uint64_t now_ms)
{
    for (size_t i = 0; i < FRAMES_PER_RUN; i++) {
        struct route route;
        void *frame;
        size_t len;
        if (!socket_receive(dial->socket, &route, &frame, &len))
            return false;
        dial->last_frame_ms = now_ms;
        link_receive(dial->link, frame, len, now_ms);
        frame_release(frame);
    }
    return true;
}

/* A connection made or lost takes the link with it. This is looked at before frames are received: those that a new
 * connection has brought already belong to a new link. */
static void check_carrier(struct dial *dial, uint64_t now_ms)
{
    const uint64_t connections = socket_connections(dial->socket);
    if (connections == dial->connections)
        return;
    dial->connections = connections;
    link_carrier_lost(dial->link, now_ms);
}

uint64_t dial_run(struct dial *dial, uint64_t now_ms)
{
    check_carrier(dial, now_ms);
    const bool more = drain(dial, now_ms);
    const uint64_t next_ms = link_tick(dial->link, now_ms);
    /* A connection that only seems to live, as the other host is gone: a new one, by a new endpoint. */
    if (dial->silent && now_ms - dial->last_frame_ms >= LINK_HANDSHAKE_MS) {
        socket_reconnect(dial->socket, &dial->address, &dial->endpoint);
        dial->last_frame_ms = now_ms;
    }
    dial->silent = false;
    return more ? now_ms : next_ms;
}
