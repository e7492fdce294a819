#include "tests/support/loop.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

uint64_t loop_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t loop_now_ms(void)
{
    return loop_now_us() / 1000;
}

/* --- a server --- */

static void server_up(void *arg, struct peer *peer)
{
    struct loop_server *server = arg;
    assert_null(peer_data(peer)); /* new to us, even on an old connection */
    peer_set_data(peer, server);
    server->peer = peer;
    server->ups++;
}

static void server_down(void *arg, struct peer *peer, int code)
{
    struct loop_server *server = arg;
    assert_ptr_equal(peer_data(peer), server);
    if (server->peer == peer)
        server->peer = NULL;
    server->downs++;
    server->down_code = code;
}

static void server_message(void *arg, struct peer *peer, const void *message, size_t len)
{
    struct loop_server *server = arg;
    server->messages++;
    server->bytes += len;
    assert_int_equal(peer_send(peer, message, len, loop_now_ms()), ERR_OK);
}

static void server_refused(void *arg, int code)
{
    struct loop_server *server = arg;
    server->refused++;
    server->refused_code = code;
}

const struct link_keys loop_no_keys;

void loop_serve_with(struct loop_server *server, const char *const *addresses, size_t count,
                     const struct link_keys *keys)
{
    char text[256] = "";
    const struct port_events events = {server, server_up, server_down, server_message, NULL, server_refused};
    *server = (struct loop_server){0};
    if (port_open(addresses, count, keys, &events, &server->port, text, sizeof text) != ERR_OK)
        fail_msg("%s", text);
}

void loop_serve(struct loop_server *server, const char *address)
{
    loop_serve_with(server, &address, 1, &loop_no_keys);
}

const char *loop_address(const struct loop_server *server)
{
    static char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", port_number(server->port));
    return address;
}

/* --- a client --- */

static void client_up(void *arg)
{
    struct loop_client *client = arg;
    client->ups++;
}

static void client_down(void *arg, int code)
{
    struct loop_client *client = arg;
    client->downs++;
    client->down_code = code;
}

static void client_message(void *arg, const void *message, size_t len)
{
    struct loop_client *client = arg;
    client->messages++;
    client->last_len = len;
    memcpy(client->last, message, len < sizeof client->last ? len : sizeof client->last);
}

void loop_dial(struct loop_client *client, const char *address, const struct link_keys *keys)
{
    char text[256] = "";
    const struct link_events events = {client, NULL, client_up, client_down, client_message, NULL};
    *client = (struct loop_client){0};
    if (dial_open(address, keys, &events, &client->dial, text, sizeof text) != ERR_OK)
        fail_msg("%s", text);
}

void loop_say(struct loop_client *client, const char *text)
{
    assert_int_equal(link_send(dial_link(client->dial), text, strlen(text), loop_now_ms()), ERR_OK);
}

/* --- the loop: one thread for both ends --- */

struct loop_server *loop_servers[LOOP_MOST];
struct loop_client *loop_clients[LOOP_MOST];
static uint64_t due_ms; /* when one of them wants its turn */

void loop_watch(struct loop_server *server, struct loop_client *client)
{
    memset(loop_servers, 0, sizeof loop_servers);
    memset(loop_clients, 0, sizeof loop_clients);
    loop_servers[0] = server;
    loop_clients[0] = client;
    due_ms = 0;
}

int loop_wait_ms(uint64_t next_ms)
{
    const uint64_t now = loop_now_ms();
    const uint64_t wait_ms = next_ms > now ? next_ms - now : 0;
    return wait_ms < 100 ? (int)wait_ms : 100;
}

void loop_turn(void)
{
    struct pollfd fds[2 * LOOP_MOST];
    nfds_t count = 0;
    for (size_t i = 0; i < LOOP_MOST; i++) {
        if (loop_servers[i] != NULL)
            fds[count++] = (struct pollfd){.fd = port_fd(loop_servers[i]->port), .events = POLLIN};
        if (loop_clients[i] != NULL)
            fds[count++] = (struct pollfd){.fd = dial_fd(loop_clients[i]->dial), .events = POLLIN};
    }
    poll(fds, count, loop_wait_ms(due_ms));
    due_ms = UINT64_MAX;
    for (size_t i = 0; i < LOOP_MOST; i++) {
        bool more = false;
        const uint64_t server_ms =
            loop_servers[i] != NULL ? port_run(loop_servers[i]->port, loop_now_ms(), 0, &more) : UINT64_MAX;
        const uint64_t client_ms =
            loop_clients[i] != NULL ? dial_run(loop_clients[i]->dial, loop_now_ms()) : UINT64_MAX;
        due_ms = server_ms < due_ms ? server_ms : due_ms;
        due_ms = client_ms < due_ms ? client_ms : due_ms;
        assert_false(more);
    }
}

void loop_turn_for(uint64_t ms)
{
    const uint64_t end_ms = loop_now_ms() + ms;
    while (loop_now_ms() < end_ms)
        loop_turn();
}
