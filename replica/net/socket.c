#include "replica/net/socket.h"

#include "replica/net/carrier.h"

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct route route_request = {{0xff, 0xff, 0xff, 0xff}, 4}; /* the top bit ends a route */

enum {
    BUFFER_BYTES = 1024 * 1024, /* far more than the credit of a link */
    RECONNECT_MS = 10,
    CONTROL_BYTES = NN_CMSG_SPACE(sizeof(size_t) + ROUTE_BYTES),
};

static int fail(const char *what, char *text, size_t text_len)
{
    const int number = nn_errno();
    snprintf(text, text_len, "%s: %s", what, nn_strerror(number));
    switch (number) {
    case EADDRINUSE:
        return ERR_BUSY;
    case EADDRNOTAVAIL:
    case ENODEV:
    case EINVAL:
    case ENAMETOOLONG:
        return ERR_INVALID;
    case EACCES:
    case EPERM:
        return ERR_ACCESS;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        return ERR_TOO_MANY;
    default:
        return ERR_IO;
    }
}

static bool set(int socket, int level, int option, int value)
{
    return nn_setsockopt(socket, level, option, &value, sizeof value) == 0;
}

int socket_open(int protocol, int *to, char *text, size_t text_len)
{
    const bool one_way = protocol == NN_PUSH || protocol == NN_PULL;
    const int socket = carrier_socket(one_way ? AF_SP : AF_SP_RAW, protocol);
    if (socket < 0)
        return fail("cannot open a socket", text, text_len);
    if (!set(socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, LIMIT_FRAME_BYTES + ROUTE_BYTES) || /* the route counts, too */
        !set(socket, NN_SOL_SOCKET, NN_SNDBUF, BUFFER_BYTES) || !set(socket, NN_SOL_SOCKET, NN_RCVBUF, BUFFER_BYTES) ||
        !set(socket, NN_SOL_SOCKET, NN_RECONNECT_IVL, RECONNECT_MS) || !set(socket, NN_TCP, NN_TCP_NODELAY, 1)) {
        const int err = fail("cannot set up a socket", text, text_len);
        nn_close(socket);
        return err;
    }
    *to = socket;
    return ERR_OK;
}

void socket_close(int socket)
{
    nn_close(socket);
}

int socket_fd(int socket)
{
    int fd = -1;
    size_t len = sizeof fd;
    nn_getsockopt(socket, NN_SOL_SOCKET, NN_RCVFD, &fd, &len);
    return fd;
}

/* nanomsg aborts on an IPv4 literal if it expects IPv6, and the other way round. */
static void choose_family(int socket, const struct address *address)
{
    set(socket, NN_SOL_SOCKET, NN_IPV4ONLY, address->at.ss_family != AF_INET6);
}

static int bind_to(int socket, const struct address *address, char *text, size_t text_len)
{
    choose_family(socket, address);
    return nn_bind(socket, address->url) >= 0 ? ERR_OK : fail(address->url, text, text_len);
}

static int bind_free(int socket, struct address *address, char *text, size_t text_len)
{
    int hold = -1;
    if (address_hold_port(address, &hold) != ERR_OK) {
        snprintf(text, text_len, "%s: cannot find a free port", address->url);
        return ERR_IO;
    }
    const int err = bind_to(socket, address, text, text_len);
    close(hold);
    return err;
}

int socket_listen(int socket, const char *name, uint16_t *number, char *text, size_t text_len)
{
    struct address address;
    int err = address_find(name, &address, text, text_len);
    if (err != ERR_OK)
        return err;
    if (address.inproc || address_port(&address) != 0)
        err = bind_to(socket, &address, text, text_len);
    else
        err = bind_free(socket, &address, text, text_len);
    if (err == ERR_OK && *number == 0)
        *number = address_port(&address);
    return err;
}

int socket_connect(int socket, const struct address *address, int *endpoint, char *text, size_t text_len)
{
    choose_family(socket, address);
    *endpoint = nn_connect(socket, address->url);
    return *endpoint >= 0 ? ERR_OK : fail(address->url, text, text_len);
}

int socket_reconnect(int socket, const struct address *address, int *endpoint)
{
    char text[256];
    if (*endpoint >= 0)
        nn_shutdown(socket, *endpoint);
    return socket_connect(socket, address, endpoint, text, sizeof text);
}

uint64_t socket_connections(int socket)
{
    return nn_get_statistic(socket, NN_STAT_ESTABLISHED_CONNECTIONS) +
           nn_get_statistic(socket, NN_STAT_BROKEN_CONNECTIONS);
}

bool socket_connected(int socket)
{
    return nn_get_statistic(socket, NN_STAT_CURRENT_CONNECTIONS) > 0;
}

/* --- frames --- */

static bool read_route(struct nn_msghdr *header, struct route *route)
{
    /* There is one or none; where it has no room, zeros are left, from which the next would be the same one again. */
    const struct nn_cmsghdr *part = NN_CMSG_FIRSTHDR(header);
    if (part == NULL || part->cmsg_level != PROTO_SP || part->cmsg_type != SP_HDR)
        return false;
    const uint8_t *data = NN_CMSG_DATA(part);
    memcpy(&route->len, data, sizeof route->len);
    if (route->len > ROUTE_BYTES)
        return false;
    memcpy(route->at, data + sizeof route->len, route->len);
    return true;
}

bool socket_receive(int socket, struct route *route, void **frame, size_t *len)
{
    for (;;) {
        _Alignas(size_t) uint8_t control[CONTROL_BYTES] = {0};
        struct nn_iovec body = {frame, NN_MSG};
        struct nn_msghdr header = {&body, 1, control, sizeof control};
        const int got = nn_recvmsg(socket, &header, NN_DONTWAIT);
        if (got < 0)
            return false;
        if (read_route(&header, route)) {
            *len = (size_t)got;
            return true;
        }
        nn_freemsg(*frame); /* it came over more devices than anyone has */
    }
}

void frame_release(void *frame)
{
    nn_freemsg(frame);
}

bool socket_send(int socket, const struct route *route, const void *frame, size_t len)
{
    _Alignas(size_t) uint8_t control[CONTROL_BYTES] = {0};
    struct nn_cmsghdr *part = (struct nn_cmsghdr *)(void *)control;
    const size_t part_len = sizeof route->len + route->len;
    part->cmsg_len = NN_CMSG_LEN(part_len);
    part->cmsg_level = PROTO_SP;
    part->cmsg_type = SP_HDR;
    memcpy(NN_CMSG_DATA(part), &route->len, sizeof route->len);
    memcpy(NN_CMSG_DATA(part) + sizeof route->len, route->at, route->len);
    struct nn_iovec body = {(void *)(uintptr_t)frame, len};
    const struct nn_msghdr header = {&body, 1, control, NN_CMSG_SPACE(part_len)};
    return nn_sendmsg(socket, &header, NN_DONTWAIT) >= 0;
}

/* --- one-way frames --- */

bool socket_push(int socket, const void *head, size_t head_len, const void *frame, size_t len)
{
    struct nn_iovec parts[] = {{(void *)(uintptr_t)head, head_len}, {(void *)(uintptr_t)frame, len}};
    const struct nn_msghdr header = {parts, 2, NULL, 0};
    return nn_sendmsg(socket, &header, NN_DONTWAIT) >= 0;
}

bool socket_can_push(int socket)
{
    struct nn_pollfd poll = {.fd = socket, .events = NN_POLLOUT};
    return nn_poll(&poll, 1, 0) == 1;
}

bool socket_pull(int socket, void **frame, size_t *len)
{
    const int got = nn_recv(socket, frame, NN_MSG, NN_DONTWAIT);
    if (got < 0)
        return false;
    *len = (size_t)got;
    return true;
}
