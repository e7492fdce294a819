/* Ports and dials over real sockets: TCP on 127.0.0.1 and inproc. What a mount lives through when its replica dies,
 * comes back, hangs or is not there; strangers on the port; and that nothing is lost under load, as the carrier drops
 * frames silently when its buffers are full. */
#include "replica/net/seal.h"
#include "replica/net/socket.h"
#include "tests/support/keys.h"

#include <arpa/inet.h>
#include <nanomsg/reqrep.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

struct server {
    struct port *port;
    struct peer *peer; /* the one that came up last */
    unsigned ups, downs, refused, messages;
    int down_code, refused_code;
    size_t bytes;
    bool echo;
};

struct client {
    struct dial *dial;
    unsigned ups, downs, messages;
    int down_code;
    size_t bytes, last_len;
    char last[64];
};

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t now_ms(void)
{
    return now_us() / 1000;
}

/* --- a server --- */

static void server_up(void *arg, struct peer *peer)
{
    struct server *server = arg;
    assert_null(peer_data(peer)); /* new to us, even on an old connection */
    peer_set_data(peer, server);
    server->peer = peer;
    server->ups++;
}

static void server_down(void *arg, struct peer *peer, int code)
{
    struct server *server = arg;
    assert_ptr_equal(peer_data(peer), server);
    if (server->peer == peer)
        server->peer = NULL;
    server->downs++;
    server->down_code = code;
}

static void server_message(void *arg, struct peer *peer, const void *message, size_t len)
{
    struct server *server = arg;
    server->messages++;
    server->bytes += len;
    if (server->echo)
        assert_int_equal(peer_send(peer, message, len, now_ms()), ERR_OK);
}

static void server_refused(void *arg, int code)
{
    struct server *server = arg;
    server->refused++;
    server->refused_code = code;
}

static const struct link_keys no_keys;

static void serve_with(struct server *server, const char *const *addresses, size_t count, const struct link_keys *keys)
{
    char text[256] = "";
    const struct port_events events = {server, server_up, server_down, server_message, NULL, server_refused};
    *server = (struct server){.echo = true};
    if (port_open(addresses, count, keys, &events, &server->port, text, sizeof text) != ERR_OK)
        fail_msg("%s", text);
}

static void serve(struct server *server, const char *address)
{
    serve_with(server, &address, 1, &no_keys);
}

/* "127.0.0.1:PORT" of a server, in a buffer that the next call uses again. */
static const char *address_of(const struct server *server)
{
    static char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", port_number(server->port));
    return address;
}

/* --- a client --- */

static void client_up(void *arg)
{
    struct client *client = arg;
    client->ups++;
}

static void client_down(void *arg, int code)
{
    struct client *client = arg;
    client->downs++;
    client->down_code = code;
}

static void client_message(void *arg, const void *message, size_t len)
{
    struct client *client = arg;
    client->messages++;
    client->bytes += len;
    client->last_len = len;
    memcpy(client->last, message, len < sizeof client->last ? len : sizeof client->last);
}

static void dial_with(struct client *client, const char *address, const struct link_keys *keys)
{
    char text[256] = "";
    const struct link_events events = {client, NULL, client_up, client_down, client_message, NULL};
    *client = (struct client){0};
    if (dial_open(address, keys, &events, &client->dial, text, sizeof text) != ERR_OK)
        fail_msg("%s", text);
}

static void say(struct client *client, const char *text)
{
    assert_int_equal(link_send(dial_link(client->dial), text, strlen(text), now_ms()), ERR_OK);
}

/* --- the loop: one thread for both ends --- */

enum { MOST = 8 };
static struct server *servers[MOST];
static struct client *clients[MOST];

static uint64_t due_ms; /* when one of them wants its turn */

static void watch(struct server *server, struct client *client)
{
    memset(servers, 0, sizeof servers);
    memset(clients, 0, sizeof clients);
    servers[0] = server;
    clients[0] = client;
    due_ms = 0;
}

static int wait_of(uint64_t next_ms)
{
    const uint64_t now = now_ms();
    const uint64_t wait_ms = next_ms > now ? next_ms - now : 0;
    return wait_ms < 100 ? (int)wait_ms : 100;
}

static void turn(void)
{
    struct pollfd fds[2 * MOST];
    nfds_t count = 0;
    for (size_t i = 0; i < MOST; i++) {
        if (servers[i] != NULL)
            fds[count++] = (struct pollfd){.fd = port_fd(servers[i]->port), .events = POLLIN};
        if (clients[i] != NULL)
            fds[count++] = (struct pollfd){.fd = dial_fd(clients[i]->dial), .events = POLLIN};
    }
    poll(fds, count, wait_of(due_ms));
    due_ms = UINT64_MAX;
    for (size_t i = 0; i < MOST; i++) {
        bool more = false;
        const uint64_t server_ms = servers[i] != NULL ? port_run(servers[i]->port, now_ms(), 0, &more) : UINT64_MAX;
        const uint64_t client_ms = clients[i] != NULL ? dial_run(clients[i]->dial, now_ms()) : UINT64_MAX;
        due_ms = server_ms < due_ms ? server_ms : due_ms;
        due_ms = client_ms < due_ms ? client_ms : due_ms;
        assert_false(more);
    }
}

/* Turns until the condition holds. */
#define UNTIL(condition)                                                                                               \
    do {                                                                                                               \
        const uint64_t end_ms_ = now_ms() + PATIENCE_MS;                                                               \
        bool holds_;                                                                                                   \
        while (!(holds_ = (condition)) && now_ms() < end_ms_)                                                          \
            turn();                                                                                                    \
        assert_true(holds_);                                                                                           \
    } while (0)

static void turn_for(uint64_t ms)
{
    const uint64_t end_ms = now_ms() + ms;
    while (now_ms() < end_ms)
        turn();
}

/* --- addresses --- */

static void addresses_are_understood_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *address, *url;
        bool loopback;
    } good[] = {
        {"127.0.0.1:80", "tcp://127.0.0.1:80", true},          {"localhost:80", "tcp://127.0.0.1:80", true},
        {"127.9.9.9:80", "tcp://127.9.9.9:80", true},          {"[::1]:65535", "tcp://[::1]:65535", true},
        {"192.0.2.7:80", "tcp://192.0.2.7:80", false},         {"0.0.0.0:80", "tcp://0.0.0.0:80", false},
        {"[2001:db8::1]:80", "tcp://[2001:db8::1]:80", false}, {"inproc:one", "inproc://one", true},
    };
    static const char *const bad[] = {"",          "localhost", "localhost:", ":80",      "localhost:65536",
                                      "host:1x",   "host:-1",   "::1:80",     "[::1]",    "[::1]80",
                                      "[::1:80",   "inproc:",   "host:1:2",   "host:80 ", "host:999999999999",
                                      "tcp://h:1", "host: 1"};
    char url[ADDRESS_URL_BYTES];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(address_url(good[i].address, url, sizeof url), ERR_OK);
        assert_string_equal(url, good[i].url);
        assert_int_equal(address_is_loopback(good[i].address), good[i].loopback);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (address_url(bad[i], url, sizeof url) != ERR_INVALID)
            fail_msg("'%s' was taken for %s", bad[i], url);
        assert_false(address_is_loopback(bad[i]));
    }
    char long_name[300];
    memset(long_name, 'a', sizeof long_name);
    memcpy(long_name, "inproc:", 7);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(address_url(long_name, url, sizeof url), ERR_INVALID);
}

static void what_cannot_be_opened_says_why(void **state)
{
    (void)state;
    struct server server;
    struct port *port;
    struct dial *dial;
    const struct port_events port_events = {0};
    const struct link_events link_events = {0};
    struct link_keys mount, replica;
    char text[256] = "";
    serve(&server, "127.0.0.1:0");
    const char *taken = address_of(&server), *bad = "nonsense", *foreign = "192.0.2.1:80";
    assert_int_equal(port_open(&taken, 1, &no_keys, &port_events, &port, text, sizeof text), ERR_BUSY);
    assert_non_null(strstr(text, taken));
    assert_int_equal(port_open(&bad, 1, &no_keys, &port_events, &port, text, sizeof text), ERR_INVALID);
    assert_non_null(strstr(text, bad));
    assert_int_equal(port_open(&foreign, 1, &no_keys, &port_events, &port, text, sizeof text), ERR_INVALID);
    assert_non_null(strstr(text, foreign));
    assert_int_equal(dial_open(bad, &no_keys, &link_events, &dial, text, sizeof text), ERR_INVALID);
    assert_non_null(strstr(text, bad));
    assert_int_equal(dial_open("no-such-host.invalid:1", &no_keys, &link_events, &dial, text, sizeof text),
                     ERR_UNREACHABLE);
    make_keys(&mount, &replica);
    assert_int_equal(port_open(&taken, 1, &mount, &port_events, &port, text, sizeof text), ERR_BAD_KEY);
    port_close(server.port);
}

/* --- talking --- */

static void one_port_serves_tcp_and_inproc_at_once(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1:0", "inproc:test-port", "127.0.0.1:0"};
    struct server server;
    struct client tcp, inproc;
    serve_with(&server, addresses, 3, &no_keys);
    watch(&server, &tcp);
    assert_int_not_equal(port_number(server.port), 0);
    dial_with(&tcp, address_of(&server), &no_keys);
    dial_with(&inproc, "inproc:test-port", &no_keys);
    clients[1] = &inproc;
    UNTIL(tcp.ups == 1 && inproc.ups == 1 && server.ups == 2);
    say(&tcp, "over tcp");
    say(&inproc, "within the process");
    UNTIL(tcp.messages == 1 && inproc.messages == 1);
    assert_memory_equal(tcp.last, "over tcp", 8);
    assert_memory_equal(inproc.last, "within", 6);
    dial_close(tcp.dial);
    clients[0] = NULL;
    UNTIL(server.downs == 1);
    assert_int_equal(server.down_code, ERR_UNREACHABLE);
    assert_int_equal(inproc.downs, 0);
    dial_close(inproc.dial);
    port_close(server.port);
}

static void ipv6_works_too(void **state)
{
    (void)state;
    static const char *const addresses[] = {"[::1]:0", "127.0.0.1:0"};
    struct server server;
    struct client client;
    char address[32];
    const int probe = socket(AF_INET6, SOCK_STREAM, 0);
    const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const bool usable = probe >= 0 && bind(probe, (const struct sockaddr *)&any, sizeof any) == 0;
    close(probe);
    if (!usable)
        skip();
    serve_with(&server, addresses, 2, &no_keys);
    snprintf(address, sizeof address, "[::1]:%u", port_number(server.port));
    dial_with(&client, address, &no_keys);
    watch(&server, &client);
    UNTIL(client.ups == 1);
    dial_close(client.dial);
    port_close(server.port);
}

static void a_replica_may_speak_first_and_often(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    serve(&server, "127.0.0.1:0");
    dial_with(&client, address_of(&server), &no_keys);
    watch(&server, &client);
    UNTIL(server.ups == 1);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(peer_send(server.peer, "pushed", 6, now_ms()), ERR_OK);
    assert_int_equal(peer_send_urgent(server.peer, "urgent", 6, now_ms()), ERR_OK);
    UNTIL(client.messages == 1001);
    assert_int_equal(client.downs, 0);
    dial_close(client.dial);
    port_close(server.port);
}

static void keys_are_needed_where_there_are_keys(void **state)
{
    (void)state;
    static const char *const address[] = {"127.0.0.1:0"};
    struct link_keys mount, replica, other, unused;
    struct server server;
    struct client good, stranger, keyless;
    make_keys(&mount, &replica);
    make_keys(&other, &unused);
    serve_with(&server, address, 1, &replica);
    dial_with(&good, address_of(&server), &mount);
    dial_with(&stranger, address_of(&server), &other);
    dial_with(&keyless, address_of(&server), &no_keys);
    watch(&server, &good);
    clients[1] = &stranger;
    clients[2] = &keyless;
    UNTIL(good.ups == 1 && stranger.downs > 0 && keyless.downs > 0 && server.refused >= 2);
    assert_int_equal(stranger.down_code, ERR_BAD_KEY);
    assert_int_equal(keyless.down_code, ERR_BAD_KEY);
    assert_int_equal(server.refused_code, ERR_BAD_KEY);
    turn_for(100);
    assert_int_equal(server.ups, 1);
    for (size_t i = 0; i < 3; i++)
        dial_close(clients[i]->dial);
    port_close(server.port);
}

static void closing_a_peer_sends_what_is_queued_first(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    uint8_t *big = calloc(1, LIMIT_MESSAGE_BYTES);
    serve(&server, "127.0.0.1:0");
    dial_with(&client, address_of(&server), &no_keys);
    watch(&server, &client);
    UNTIL(server.ups == 1);
    peer_send(server.peer, big, LIMIT_MESSAGE_BYTES, now_ms());
    peer_send(server.peer, "refused", 7, now_ms());
    peer_close(server.peer, now_ms());
    say(&client, "nobody listens any more");
    UNTIL(server.downs == 1 && client.downs == 1);
    assert_int_equal(server.down_code, ERR_OK);
    assert_int_equal(client.messages, 2);
    assert_memory_equal(client.last, "refused", 7);
    assert_int_equal(server.messages, 0);
    UNTIL(client.ups == 2 && server.ups == 2); /* it tries again */
    dial_close(client.dial);
    port_close(server.port);
    free(big);
}

/* --- dying and coming back --- */

static void a_replica_that_comes_back_is_found_again(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    char address[32];
    uint64_t worst_ms = 0;
    serve(&server, "127.0.0.1:0");
    snprintf(address, sizeof address, "%s", address_of(&server));
    dial_with(&client, address, &no_keys);
    watch(&server, &client);
    UNTIL(client.ups == 1);
    for (unsigned round = 1; round <= 5; round++) {
        port_close(server.port);
        watch(NULL, &client);
        UNTIL(client.downs >= round); /* a goodbye, or the end of the connection */
        serve(&server, address);
        const uint64_t start_ms = now_ms();
        watch(&server, &client);
        UNTIL(client.ups == round + 1);
        const uint64_t took_ms = now_ms() - start_ms;
        worst_ms = took_ms > worst_ms ? took_ms : worst_ms;
        const unsigned before = client.messages;
        say(&client, "again");
        UNTIL(client.messages == before + 1);
    }
    print_message("up again at most %llu ms after the replica's return\n", (unsigned long long)worst_ms);
    assert_true(worst_ms < 1500);
    dial_close(client.dial);
    port_close(server.port);
}

static void a_replica_that_is_late_is_waited_for(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    char address[32];
    serve(&server, "127.0.0.1:0"); /* only to get a port */
    snprintf(address, sizeof address, "%s", address_of(&server));
    port_close(server.port);
    dial_with(&client, address, &no_keys);
    watch(NULL, &client);
    UNTIL(client.downs >= 1);
    assert_int_equal(client.down_code, ERR_UNREACHABLE);
    serve(&server, address);
    watch(&server, &client);
    UNTIL(client.ups == 1);
    dial_close(client.dial);
    port_close(server.port);
}

static void a_mount_that_is_dialed_anew_is_a_new_peer(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    serve(&server, "127.0.0.1:0");
    for (unsigned round = 1; round <= 50; round++) {
        dial_with(&client, address_of(&server), &no_keys);
        watch(&server, &client);
        UNTIL(server.ups == round);
        UNTIL(client.ups == 1);
        say(&client, "hello");
        UNTIL(client.messages == 1);
        assert_int_equal(client.downs, 0);
        dial_close(client.dial);
        watch(&server, NULL);
        UNTIL(server.downs == round); /* it said goodbye */
    }
    port_close(server.port);
}

/* A host that hangs: the connection is accepted and stays silent. Each silence ends in a new connection. */
static void a_silent_connection_is_replaced(void **state)
{
    (void)state;
    static const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, 49, 0, 0}; /* a REP: without it nanomsg itself gives up */
    struct client client;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(at.sin_port));
    dial_with(&client, address, &no_keys);
    watch(NULL, &client);
    int accepted[64], count = 0;
    const uint64_t end_ms = now_ms() + PATIENCE_MS;
    while (count < 3 && now_ms() < end_ms) {
        turn();
        const int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        assert_int_equal(write(fd, greeting, sizeof greeting), sizeof greeting);
        accepted[count++] = fd;
    }
    assert_int_equal(count, 3);
    assert_true(client.downs >= 2);
    dial_close(client.dial);
    while (count > 0)
        close(accepted[--count]);
    close(listener);
}

/* --- strangers --- */

static int connect_plainly(uint16_t port)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* What a stranger may send after nanomsg's greeting: a length, a route, then anything. */
static void send_noise(uint16_t port, unsigned seed)
{
    static const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, 48, 0, 0}; /* a REQ */
    uint8_t noise[600];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)rand_r(&seed);
    const size_t len = (size_t)rand_r(&seed) % 500;
    const int fd = connect_plainly(port);
    if (seed % 8 != 0) {
        assert_int_equal(write(fd, greeting, sizeof greeting), sizeof greeting);
        memset(noise, 0, 7);
        noise[6] = (uint8_t)(len >> 8);
        noise[7] = (uint8_t)len;
        if (seed % 4 != 0)
            noise[8] |= 0x80; /* a route that ends */
        memcpy(noise + 12, "PF\1", 3);
        noise[15] %= 10;
    }
    assert_int_equal(write(fd, noise, len + 8), len + 8);
    shutdown(fd, SHUT_WR);
    close(fd);
}

static void strangers_do_not_disturb(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    serve(&server, "127.0.0.1:0");
    dial_with(&client, address_of(&server), &no_keys);
    watch(&server, &client);
    UNTIL(client.ups == 1);
    for (unsigned i = 0; i < 300; i++) {
        send_noise(port_number(server.port), i);
        const unsigned before = client.messages;
        say(&client, "undisturbed");
        UNTIL(client.messages == before + 1);
    }
    assert_int_equal(client.downs, 0);
    assert_int_equal(server.ups, 1);
    dial_close(client.dial);
    port_close(server.port);
}

/* One connection can bring many HELLOs, each by a route of its own. */
static void links_are_limited(void **state)
{
    (void)state;
    struct server server;
    struct address address;
    struct handshake handshake;
    char text[256];
    int fd, endpoint;
    unsigned acknowledged = 0, rejected = 0;
    const uint64_t still_ms = now_ms(); /* to the server no time passes */
    serve(&server, "inproc:crowd");
    watch(&server, NULL);
    assert_int_equal(address_resolve("inproc:crowd", &address), ERR_OK);
    assert_int_equal(socket_open(NN_REQ, &fd, text, sizeof text), ERR_OK);
    assert_int_equal(socket_connect(fd, &address, &endpoint, text, sizeof text), ERR_OK);
    for (uint32_t i = 0; i < LIMIT_LINKS + 10; i++) {
        struct route route = {{0x80, 0, (uint8_t)(i >> 8), (uint8_t)i}, 4};
        handshake_begin(&handshake, &no_keys);
        assert_true(socket_send(fd, &route, handshake.hello, FRAME_HELLO_BYTES));
        void *frame = NULL;
        size_t len;
        bool more;
        while (!socket_receive(fd, &route, &frame, &len))
            port_run(server.port, still_ms, 0, &more);
        acknowledged += ((uint8_t *)frame)[3] == FRAME_HELLO_ACK;
        rejected += ((uint8_t *)frame)[3] == FRAME_REJECT;
        frame_release(frame);
    }
    assert_int_equal(acknowledged, LIMIT_LINKS);
    assert_int_equal(rejected, 10);
    turn_for(LINK_HANDSHAKE_MS + 2 * LINK_PING_MS); /* half-open ones make room again */
    struct client client;
    dial_with(&client, "inproc:crowd", &no_keys);
    watch(&server, &client);
    UNTIL(client.ups == 1);
    dial_close(client.dial);
    socket_close(fd);
    port_close(server.port);
}

/* --- load --- */

enum { LOAD_MESSAGES = 50000, LOAD_BIG = 40 };

/* Both directions full, of small and of large messages, while the server hears nothing for long stretches: with the
 * credit window not one frame is dropped, or the links would have gone down. */
static void nothing_is_lost_under_load(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1:0", "inproc:load"};
    uint8_t *message = calloc(1, LIMIT_MESSAGE_BYTES);
    struct server server;
    struct client load[2];
    serve_with(&server, addresses, 2, &no_keys);
    dial_with(&load[0], address_of(&server), &no_keys);
    dial_with(&load[1], addresses[1], &no_keys);
    watch(&server, &load[0]);
    clients[1] = &load[1];
    UNTIL(load[0].ups == 1 && load[1].ups == 1);
    for (unsigned i = 0; i < LOAD_MESSAGES; i++)
        for (size_t c = 0; c < 2; c++) {
            const size_t len = i % (LOAD_MESSAGES / LOAD_BIG) == 0 ? LIMIT_MESSAGE_BYTES : i % 700;
            assert_int_equal(link_send(dial_link(load[c].dial), message, len, now_ms()), ERR_OK);
            if (link_queued_bytes(dial_link(load[c].dial)) > 4 * MIB || i % 5000 == 0)
                UNTIL(link_queued_bytes(dial_link(load[c].dial)) < MIB);
            else if (i % 64 == 0)
                dial_run(load[c].dial, now_ms()); /* and not the server */
        }
    UNTIL(load[0].messages == LOAD_MESSAGES && load[1].messages == LOAD_MESSAGES);
    assert_int_equal(load[0].downs + load[1].downs + server.downs, 0);
    print_message("%u messages, %zu MB each way over tcp and inproc: none lost\n", 2 * LOAD_MESSAGES,
                  server.bytes / 1000000);
    dial_close(load[0].dial);
    dial_close(load[1].dial);
    port_close(server.port);
    free(message);
}

/* --- how long a question and its answer take, with a thread at each end --- */

enum { ROUNDS = 5000 };
static atomic_bool stop;

static void *serve_in_thread(void *arg)
{
    struct server *server = arg;
    bool more;
    while (!stop) {
        struct pollfd fd = {.fd = port_fd(server->port), .events = POLLIN};
        poll(&fd, 1, wait_of(port_run(server->port, now_ms(), 0, &more)));
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void measure(const char *address)
{
    static uint32_t took_us[ROUNDS];
    struct server server;
    struct client client;
    pthread_t thread;
    char question[256] = {0};
    serve(&server, address);
    dial_with(&client, port_number(server.port) != 0 ? address_of(&server) : address, &no_keys);
    stop = false;
    assert_int_equal(pthread_create(&thread, NULL, serve_in_thread, &server), 0);
    watch(NULL, &client);
    UNTIL(client.ups == 1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const uint64_t start_us = now_us();
        link_send(dial_link(client.dial), question, sizeof question, now_ms());
        while (client.messages == i)
            turn();
        took_us[i] = (uint32_t)(now_us() - start_us);
    }
    stop = true;
    pthread_join(thread, NULL);
    qsort(took_us, ROUNDS, sizeof took_us[0], compare);
    print_message("%s: 256 B and back in %u us (median), %u us (99 %%)\n", address, took_us[ROUNDS / 2],
                  took_us[ROUNDS / 100 * 99]);
    assert_int_equal(client.downs, 0);
    dial_close(client.dial);
    port_close(server.port);
}

static void a_round_trip_is_short(void **state)
{
    (void)state;
    measure("127.0.0.1:0");
    measure("inproc:latency");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_understood_or_refused),
        cmocka_unit_test(what_cannot_be_opened_says_why),
        cmocka_unit_test(one_port_serves_tcp_and_inproc_at_once),
        cmocka_unit_test(ipv6_works_too),
        cmocka_unit_test(a_replica_may_speak_first_and_often),
        cmocka_unit_test(keys_are_needed_where_there_are_keys),
        cmocka_unit_test(closing_a_peer_sends_what_is_queued_first),
        cmocka_unit_test(a_replica_that_comes_back_is_found_again),
        cmocka_unit_test(a_replica_that_is_late_is_waited_for),
        cmocka_unit_test(a_mount_that_is_dialed_anew_is_a_new_peer),
        cmocka_unit_test(a_silent_connection_is_replaced),
        cmocka_unit_test(strangers_do_not_disturb),
        cmocka_unit_test(links_are_limited),
        cmocka_unit_test(nothing_is_lost_under_load),
        cmocka_unit_test(a_round_trip_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
