/* Ports and dials when things go wrong: a replica that dies, comes back, hangs or is not there; strangers on the port;
 * too many links; and that nothing is lost under load, as the carrier drops frames silently when its buffers are full.
 */
#include "replica/net/seal.h"
#include "replica/net/socket.h"
#include "tests/support/loop.h"
#include "tests/support/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nanomsg/reqrep.h>
#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- dying and coming back --- */

/* The replica at this address goes and returns five times. Returns the longest time until its mount was up again. */
static uint64_t come_back(const char *address, uint64_t patience_ms)
{
    struct loop_server server;
    struct loop_client client;
    uint64_t worst_ms = 0;
    loop_serve(&server, address);
    loop_dial(&client, address, &loop_no_keys);
    loop_watch(&server, &client);
    UNTIL(client.ups == 1);
    for (unsigned round = 1; round <= 5; round++) {
        port_close(server.port);
        loop_watch(NULL, &client);
        UNTIL(client.downs >= round); /* a goodbye, or the end of the connection */
        loop_serve(&server, address);
        const uint64_t start_ms = loop_now_ms();
        loop_watch(&server, &client);
        UNTIL(client.ups == round + 1);
        const uint64_t took_ms = loop_now_ms() - start_ms;
        worst_ms = took_ms > worst_ms ? took_ms : worst_ms;
        const unsigned before = client.messages;
        loop_say(&client, "again");
        UNTIL(client.messages == before + 1);
    }
    assert_true(worst_ms < patience_ms);
    dial_close(client.dial);
    port_close(server.port);
    return worst_ms;
}

static void a_replica_that_comes_back_is_found_again(void **state)
{
    (void)state;
    char address[32];
    hold_address(address, sizeof address);
    const uint64_t tcp_ms = come_back(address, 1500);
    const uint64_t inproc_ms = come_back("inproc:comes-back", 1500);
    print_message("up again at most %llu ms (tcp), %llu ms (inproc) after the replica's return\n",
                  (unsigned long long)tcp_ms, (unsigned long long)inproc_ms);
}

static void wait_for_late(const char *address)
{
    struct loop_server server;
    struct loop_client client;
    loop_dial(&client, address, &loop_no_keys);
    loop_watch(NULL, &client);
    UNTIL(client.downs >= 1);
    assert_int_equal(client.down_code, ERR_UNREACHABLE);
    loop_serve(&server, address);
    loop_watch(&server, &client);
    UNTIL(client.ups == 1);
    dial_close(client.dial);
    port_close(server.port);
}

static void a_replica_that_is_late_is_waited_for(void **state)
{
    (void)state;
    char address[32];
    hold_address(address, sizeof address);
    wait_for_late(address);
    wait_for_late("inproc:late");
}

/* Nobody else is given a port while it is held, also not between two replicas that listen at it. */
static void a_held_port_is_kept(void **state)
{
    (void)state;
    struct loop_server server;
    char address[32];
    hold_address(address, sizeof address);
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int round = 0; round < 3; round++) {
        const int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(other, (const struct sockaddr *)&at, sizeof at), -1);
        assert_int_equal(errno, EADDRINUSE);
        close(other);
        loop_serve(&server, address);
        port_close(server.port);
    }
}

static void a_mount_that_is_dialed_anew_is_a_new_peer(void **state)
{
    (void)state;
    struct loop_server server;
    struct loop_client client;
    loop_serve(&server, "127.0.0.1:0");
    for (unsigned round = 1; round <= 50; round++) {
        loop_dial(&client, loop_address(&server), &loop_no_keys);
        loop_watch(&server, &client);
        UNTIL(server.ups == round);
        UNTIL(client.ups == 1);
        loop_say(&client, "hello");
        UNTIL(client.messages == 1);
        assert_int_equal(client.downs, 0);
        dial_close(client.dial);
        loop_watch(&server, NULL);
        UNTIL(server.downs == round); /* it said goodbye */
    }
    port_close(server.port);
}

/* A host that hangs: the connection is accepted and stays silent. Each silence ends in a new connection. */
static void a_silent_connection_is_replaced(void **state)
{
    (void)state;
    static const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, 49, 0, 0}; /* a REP: without it nanomsg itself gives up */
    struct loop_client client;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(at.sin_port));
    loop_dial(&client, address, &loop_no_keys);
    loop_watch(NULL, &client);
    int accepted[64], count = 0;
    const uint64_t end_ms = loop_now_ms() + LOOP_PATIENCE_MS;
    while (count < 3 && loop_now_ms() < end_ms) {
        loop_turn();
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

/* A route over more devices than anyone has, and as many as nanomsg lets through. */
static void send_long_route(uint16_t port)
{
    uint8_t message[8 + 8 + 32 + 8] = {0, 'S', 'P', 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32 + 8};
    message[8 + 8 + 32 - 4] = 0x80; /* it ends */
    const int fd = connect_plainly(port);
    assert_int_equal(write(fd, message, sizeof message), sizeof message);
    shutdown(fd, SHUT_WR);
    close(fd);
}

static void strangers_do_not_disturb(void **state)
{
    (void)state;
    struct loop_server server;
    struct loop_client client;
    loop_serve(&server, "127.0.0.1:0");
    loop_dial(&client, loop_address(&server), &loop_no_keys);
    loop_watch(&server, &client);
    UNTIL(client.ups == 1);
    for (unsigned i = 0; i < 300; i++) {
        if (i % 100 == 0)
            send_long_route(port_number(server.port));
        send_noise(port_number(server.port), i);
        const unsigned before = client.messages;
        loop_say(&client, "undisturbed");
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
    struct loop_server server;
    struct address address;
    struct handshake handshake;
    char text[256];
    int fd, endpoint;
    unsigned acknowledged = 0, rejected = 0;
    const uint64_t still_ms = loop_now_ms(); /* to the server no time passes */
    loop_serve(&server, "inproc:crowd");
    loop_watch(&server, NULL);
    assert_int_equal(address_resolve("inproc:crowd", &address), ERR_OK);
    assert_int_equal(socket_open(NN_REQ, &fd, text, sizeof text), ERR_OK);
    assert_int_equal(socket_connect(fd, &address, &endpoint, text, sizeof text), ERR_OK);
    for (uint32_t i = 0; i < LIMIT_LINKS + 10; i++) {
        struct route route = {{0x80, 0, (uint8_t)(i >> 8), (uint8_t)i}, 4};
        handshake_begin(&handshake, &loop_no_keys);
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
    loop_turn_for(LINK_HANDSHAKE_MS + 2 * LINK_PING_MS); /* half-open ones make room again */
    struct loop_client client;
    loop_dial(&client, "inproc:crowd", &loop_no_keys);
    loop_watch(&server, &client);
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
    struct loop_server server;
    struct loop_client load[2];
    loop_serve_with(&server, addresses, 2, &loop_no_keys);
    loop_dial(&load[0], loop_address(&server), &loop_no_keys);
    loop_dial(&load[1], addresses[1], &loop_no_keys);
    loop_watch(&server, &load[0]);
    loop_clients[1] = &load[1];
    UNTIL(load[0].ups == 1 && load[1].ups == 1);
    for (unsigned i = 0; i < LOAD_MESSAGES; i++)
        for (size_t c = 0; c < 2; c++) {
            const size_t len = i % (LOAD_MESSAGES / LOAD_BIG) == 0 ? LIMIT_MESSAGE_BYTES : i % 700;
            assert_int_equal(link_send(dial_link(load[c].dial), message, len, loop_now_ms()), ERR_OK);
            if (link_queued_bytes(dial_link(load[c].dial)) > 4 * MIB || i % 5000 == 0)
                UNTIL(link_queued_bytes(dial_link(load[c].dial)) < MIB);
            else if (i % 64 == 0)
                dial_run(load[c].dial, loop_now_ms()); /* and not the server */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_that_comes_back_is_found_again),
        cmocka_unit_test(a_replica_that_is_late_is_waited_for),
        cmocka_unit_test(a_held_port_is_kept),
        cmocka_unit_test(a_mount_that_is_dialed_anew_is_a_new_peer),
        cmocka_unit_test(a_silent_connection_is_replaced),
        cmocka_unit_test(strangers_do_not_disturb),
        cmocka_unit_test(links_are_limited),
        cmocka_unit_test(nothing_is_lost_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
