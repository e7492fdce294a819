/* Ports and dials over real sockets, TCP on 127.0.0.1 and inproc: addresses, what cannot be opened, talking, and how
 * long a question and its answer take. */
#include "replica/net/address.h"
#include "tests/support/keys.h"
#include "tests/support/loop.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
    struct loop_server server;
    struct port *port;
    struct dial *dial;
    const struct port_events port_events = {0};
    const struct link_events link_events = {0};
    struct link_keys mount, replica;
    char text[256] = "";
    loop_serve(&server, "127.0.0.1:0");
    const char *taken = loop_address(&server), *bad = "nonsense", *foreign = "192.0.2.1:80";
    assert_int_equal(port_open(&taken, 1, &loop_no_keys, &port_events, &port, text, sizeof text), ERR_BUSY);
    assert_non_null(strstr(text, taken));
    assert_int_equal(port_open(&bad, 1, &loop_no_keys, &port_events, &port, text, sizeof text), ERR_INVALID);
    assert_non_null(strstr(text, bad));
    assert_int_equal(port_open(&foreign, 1, &loop_no_keys, &port_events, &port, text, sizeof text), ERR_INVALID);
    assert_non_null(strstr(text, foreign));
    assert_int_equal(dial_open(bad, &loop_no_keys, &link_events, &dial, text, sizeof text), ERR_INVALID);
    assert_non_null(strstr(text, bad));
    assert_int_equal(dial_open("no-such-host.invalid:1", &loop_no_keys, &link_events, &dial, text, sizeof text),
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
    struct loop_server server;
    struct loop_client tcp, inproc;
    loop_serve_with(&server, addresses, 3, &loop_no_keys);
    loop_watch(&server, &tcp);
    assert_int_not_equal(port_number(server.port), 0);
    loop_dial(&tcp, loop_address(&server), &loop_no_keys);
    loop_dial(&inproc, "inproc:test-port", &loop_no_keys);
    loop_clients[1] = &inproc;
    UNTIL(tcp.ups == 1 && inproc.ups == 1 && server.ups == 2);
    loop_say(&tcp, "over tcp");
    loop_say(&inproc, "within the process");
    UNTIL(tcp.messages == 1 && inproc.messages == 1);
    assert_memory_equal(tcp.last, "over tcp", 8);
    assert_memory_equal(inproc.last, "within", 6);
    dial_close(tcp.dial);
    loop_clients[0] = NULL;
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
    struct loop_server server;
    struct loop_client client;
    char address[32];
    const int probe = socket(AF_INET6, SOCK_STREAM, 0);
    const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const bool usable = probe >= 0 && bind(probe, (const struct sockaddr *)&any, sizeof any) == 0;
    close(probe);
    if (!usable)
        skip();
    loop_serve_with(&server, addresses, 2, &loop_no_keys);
    snprintf(address, sizeof address, "[::1]:%u", port_number(server.port));
    loop_dial(&client, address, &loop_no_keys);
    loop_watch(&server, &client);
    UNTIL(client.ups == 1);
    dial_close(client.dial);
    port_close(server.port);
}

static void a_replica_may_speak_first_and_often(void **state)
{
    (void)state;
    struct loop_server server;
    struct loop_client client;
    loop_serve(&server, "127.0.0.1:0");
    loop_dial(&client, loop_address(&server), &loop_no_keys);
    loop_watch(&server, &client);
    UNTIL(server.ups == 1);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(peer_send(server.peer, "pushed", 6, loop_now_ms()), ERR_OK);
    assert_int_equal(peer_send_urgent(server.peer, "urgent", 6, loop_now_ms()), ERR_OK);
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
    struct loop_server server;
    struct loop_client good, stranger, keyless;
    make_keys(&mount, &replica);
    make_keys(&other, &unused);
    loop_serve_with(&server, address, 1, &replica);
    loop_dial(&good, loop_address(&server), &mount);
    loop_dial(&stranger, loop_address(&server), &other);
    loop_dial(&keyless, loop_address(&server), &loop_no_keys);
    loop_watch(&server, &good);
    loop_clients[1] = &stranger;
    loop_clients[2] = &keyless;
    UNTIL(good.ups == 1 && stranger.downs > 0 && keyless.downs > 0 && server.refused >= 2);
    assert_int_equal(stranger.down_code, ERR_BAD_KEY);
    assert_int_equal(keyless.down_code, ERR_BAD_KEY);
    assert_int_equal(server.refused_code, ERR_BAD_KEY);
    loop_turn_for(100);
    assert_int_equal(server.ups, 1);
    for (size_t i = 0; i < 3; i++)
        dial_close(loop_clients[i]->dial);
    port_close(server.port);
}

static void closing_a_peer_sends_what_is_queued_first(void **state)
{
    (void)state;
    struct loop_server server;
    struct loop_client client;
    uint8_t *big = calloc(1, LIMIT_MESSAGE_BYTES);
    loop_serve(&server, "127.0.0.1:0");
    loop_dial(&client, loop_address(&server), &loop_no_keys);
    loop_watch(&server, &client);
    UNTIL(server.ups == 1);
    peer_send(server.peer, big, LIMIT_MESSAGE_BYTES, loop_now_ms());
    peer_send(server.peer, "refused", 7, loop_now_ms());
    peer_close(server.peer, loop_now_ms());
    loop_say(&client, "nobody listens any more");
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

/* --- how long a question and its answer take, with a thread at each end --- */

enum { ROUNDS = 5000 };
static atomic_bool stop;

static void *serve_in_thread(void *arg)
{
    struct loop_server *server = arg;
    bool more;
    while (!stop) {
        struct pollfd fd = {.fd = port_fd(server->port), .events = POLLIN};
        poll(&fd, 1, loop_wait_ms(port_run(server->port, loop_now_ms(), 0, &more)));
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
    struct loop_server server;
    struct loop_client client;
    pthread_t thread;
    char question[256] = {0};
    loop_serve(&server, address);
    loop_dial(&client, port_number(server.port) != 0 ? loop_address(&server) : address, &loop_no_keys);
    stop = false;
    assert_int_equal(pthread_create(&thread, NULL, serve_in_thread, &server), 0);
    loop_watch(NULL, &client);
    UNTIL(client.ups == 1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const uint64_t start_us = loop_now_us();
        link_send(dial_link(client.dial), question, sizeof question, loop_now_ms());
        while (client.messages == i)
            loop_turn();
        took_us[i] = (uint32_t)(loop_now_us() - start_us);
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
        cmocka_unit_test(a_round_trip_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
