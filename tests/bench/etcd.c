#include "tests/bench/etcd.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME_HEADER = 5, ANSWER_BYTES = 8192 }; /* gRPC: a flag and a big-endian length before each message */

struct etcd {
    int fd;
    nghttp2_session *session;
    char authority[64];
};

struct call {
    etcd_answer answer;
    void *arg;
    bool keep;
    int status;
    size_t got, sent, len;
    uint8_t reply[ANSWER_BYTES];
    uint8_t request[];
};

/* --- protobuf --- */

static void put_varint(struct etcd_message *message, uint64_t number)
{
    for (; number >= 128; number >>= 7)
        message->at[message->len++] = (uint8_t)(number | 128);
    message->at[message->len++] = (uint8_t)number;
}

void etcd_number(struct etcd_message *message, unsigned field, uint64_t number)
{
    assert(message->len + 20 < ETCD_MESSAGE_BYTES);
    put_varint(message, field << 3);
    put_varint(message, number);
}

void etcd_bytes(struct etcd_message *message, unsigned field, const void *at, size_t len)
{
    assert(message->len + len + 20 < ETCD_MESSAGE_BYTES);
    put_varint(message, field << 3 | 2);
    put_varint(message, len);
    memcpy(message->at + message->len, at, len);
    message->len += len;
}

/* --- what nghttp2 asks and tells --- */

static ssize_t read_request(nghttp2_session *session, int32_t stream, uint8_t *to, size_t cap, uint32_t *flags,
                            nghttp2_data_source *source, void *etcd)
{
    (void)session;
    (void)stream;
    (void)etcd;
    struct call *call = source->ptr;
    size_t len = call->len - call->sent < cap ? call->len - call->sent : cap;
    if (len == 0 && call->keep)
        return NGHTTP2_ERR_DEFERRED;
    memcpy(to, call->request + call->sent, len);
    call->sent += len;
    if (call->sent == call->len && !call->keep)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *at, size_t len, void *etcd)
{
    (void)flags;
    (void)etcd;
    struct call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL || call->got + len > sizeof call->reply)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    memcpy(call->reply + call->got, at, len);
    call->got += len;
    while (call->got >= FRAME_HEADER) {
        uint32_t size;
        memcpy(&size, call->reply + 1, sizeof size);
        size = ntohl(size);
        if (call->got < FRAME_HEADER + (size_t)size)
            break;
        call->answer(call->arg, call->reply + FRAME_HEADER, size, 0);
        call->got -= FRAME_HEADER + size;
        memmove(call->reply, call->reply + FRAME_HEADER + size, call->got);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *etcd)
{
    (void)value_len;
    (void)flags;
    (void)etcd;
    struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call != NULL && name_len == 11 && memcmp(name, "grpc-status", 11) == 0)
        call->status = atoi((const char *)value);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *etcd)
{
    (void)etcd;
    struct call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL)
        return 0;
    call->answer(call->arg, NULL, 0, code != 0 ? -1 : call->status);
    free(call);
    return 0;
}

/* --- the connection --- */

static int connect_socket(const char *server)
{
    char host[64];
    unsigned short port;
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (sscanf(server, "%63[0-9.]:%hu", host, &port) != 2 || inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return -1;
    address.sin_port = htons(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

struct etcd *etcd_connect(const char *server)
{
    int fd = connect_socket(server);
    if (fd < 0)
        return NULL;
    struct etcd *etcd = calloc(1, sizeof *etcd);
    etcd->fd = fd;
    snprintf(etcd->authority, sizeof etcd->authority, "%s", server);
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&etcd->session, callbacks, etcd);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(etcd->session, NGHTTP2_FLAG_NONE, NULL, 0);
    return etcd;
}

void etcd_close(struct etcd *etcd)
{
    close(etcd->fd);
    nghttp2_session_del(etcd->session);
    free(etcd);
}

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), 0};
}

void etcd_call(struct etcd *etcd, const char *method, const struct etcd_message *message, bool keep, etcd_answer answer,
               void *arg)
{
    char path[128];
    snprintf(path, sizeof path, "/%s", method);
    struct call *call = calloc(1, sizeof *call + FRAME_HEADER + message->len);
    *call = (struct call){.answer = answer, .arg = arg, .keep = keep, .len = FRAME_HEADER + message->len};
    uint32_t size = htonl((uint32_t)message->len);
    memcpy(call->request + 1, &size, sizeof size);
    memcpy(call->request + FRAME_HEADER, message->at, message->len);
    nghttp2_nv headers[] = {
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", path),
        header(":authority", etcd->authority),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    };
    nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_request};
    int32_t stream =
        nghttp2_submit_request(etcd->session, NULL, headers, sizeof headers / sizeof headers[0], &body, call);
    assert(stream > 0);
}

static bool send_all(struct etcd *etcd)
{
    for (;;) {
        const uint8_t *at;
        ssize_t len = nghttp2_session_mem_send(etcd->session, &at);
        if (len <= 0)
            return len == 0;
        if (send(etcd->fd, at, (size_t)len, MSG_NOSIGNAL) != len)
            return false;
    }
}

bool etcd_turn(struct etcd *etcd)
{
    uint8_t bytes[64 * 1024];
    if (!send_all(etcd))
        return false;
    ssize_t len = recv(etcd->fd, bytes, sizeof bytes, 0);
    return len > 0 && nghttp2_session_mem_recv(etcd->session, bytes, (size_t)len) == len && send_all(etcd);
}
