/* socket.h - raw nanomsg sockets: frames with the route they came by. The only code that sees nanomsg's messages. */
#ifndef PACT_SOCKET_H
#define PACT_SOCKET_H

#include "replica/net/address.h"

/* nanomsg's header of a raw message: for a REQ the request id, for a REP first the key of the connection (and of any
 * device on the way). What a REP received leads back to the sender, any number of times. */
enum { ROUTE_BYTES = 32 };
struct route {
    uint8_t at[ROUTE_BYTES];
    size_t len; /* bytes */
};

extern const struct route route_request; /* what a REQ sends with */

/* protocol: NN_REQ or NN_REP. ERR_OK or an error, with a text. */
int socket_open(int protocol, int *socket, char *text, size_t text_len);
void socket_close(int socket);
int socket_fd(int socket); /* readable when frames wait; never to be read */
/* Binds or connects. *endpoint may be NULL. */
int socket_bind(int socket, const struct address *address, char *text, size_t text_len);
int socket_connect(int socket, const struct address *address, int *endpoint, char *text, size_t text_len);
/* Connects anew, by a new endpoint. The old one is given up, even if no new one can be made. */
int socket_reconnect(int socket, const struct address *address, int *endpoint);
/* Changes whenever a connection is made or lost. */
uint64_t socket_connections(int socket);

/* The next frame, or false: none waits. Give it back with frame_release. */
bool socket_receive(int socket, struct route *route, void **frame, size_t *len);
void frame_release(void *frame);
/* False: it could not go; true: it was handed to a connection, which may lose it. */
bool socket_send(int socket, const struct route *route, const void *frame, size_t len);

#endif
