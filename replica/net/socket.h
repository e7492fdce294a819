/* socket.h - nanomsg sockets, and the only code that sees nanomsg's messages. Raw ones (NN_REQ, NN_REP) carry frames
 * with the route they came by; one-way ones (NN_PUSH, NN_PULL) frames with something in front. */
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

/* protocol: NN_REQ, NN_REP, NN_PUSH or NN_PULL. ERR_OK or an error, with a text. */
int socket_open(int protocol, int *socket, char *text, size_t text_len);
void socket_close(int socket);
int socket_fd(int socket); /* readable when frames wait; never to be read */
/* Binds to an address as port.h has it; port 0 takes a free one. *number, if it is 0: the port, of TCP. */
int socket_listen(int socket, const char *address, uint16_t *number, char *text, size_t text_len);
int socket_connect(int socket, const struct address *address, int *endpoint, char *text, size_t text_len);
/* Connects anew, by a new endpoint. The old one is given up, even if no new one can be made. */
int socket_reconnect(int socket, const struct address *address, int *endpoint);
/* Changes whenever a connection is made or lost. */
uint64_t socket_connections(int socket);
bool socket_connected(int socket); /* there is one */

/* The next frame, or false: none waits. Give it back with frame_release. */
bool socket_receive(int socket, struct route *route, void **frame, size_t *len);
void frame_release(void *frame);
/* False: it could not go; true: it was handed to a connection, which may lose it. */
bool socket_send(int socket, const struct route *route, const void *frame, size_t len);

/* The same for one-way sockets. What is received is given back with frame_release. */
bool socket_push(int socket, const void *head, size_t head_len, const void *frame, size_t len);
bool socket_can_push(int socket); /* whether there is a connection, and room */
bool socket_pull(int socket, void **frame, size_t *len);

#endif
