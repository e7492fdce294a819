/* client_open against a real replica that goes away, comes back, is another one, has another key, or never was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/codec.h"
#include "tests/support/client_notes.h"
#include "tests/support/keys.h"
#include "tests/support/ports.h"

/* A replica's start may take seconds on a busy machine: nothing here is to run out meanwhile. */
static struct client_options patient(const struct fixture *fixture)
{
    return (struct client_options){.servers = fixture->bind, .session_timeout_ms = 300000, .op_timeout_ms = 60000};
}

static bool suspended(const struct mount *mount)
{
    return mount->state == CLIENT_SUSPENDED;
}

static int mount_drop(struct mount *mount, const char *path)
{
    struct request request = {.kind = OP_DELETE, .delete = {.at = at(path), .version = NO_VERSION_CHECK}};
    struct result result;
    return client_call(mount->client, &request, &result);
}

static void await_refusal(struct mount *mount, int code)
{
    struct client_info info = {.refusal = ERR_OK};
    for (uint64_t until_us = now_us() + 20000000; info.refusal != code && now_us() < until_us; usleep(1000))
        client_info(mount->client, &info);
    assert_int_equal(info.refusal, code);
}

/* --- exactly once --- */

enum { THREADS = 8, MOST_CREATES = 100000 };

struct load {
    struct mount *mount;
    pthread_t thread;
    int index;
    int count;
    uint8_t codes[MOST_CREATES];
    uint8_t found[MOST_CREATES];
};

static struct load loads[THREADS];
static int load_ends; /* atomic */

static void *create_on(void *arg)
{
    struct load *load = arg;
    while (!__atomic_load_n(&load_ends, __ATOMIC_ACQUIRE) && load->count < MOST_CREATES) {
        char path[64];
        struct result result;
        int len = snprintf(path, sizeof path, "load/%d-%d-", load->index, load->count);
        struct request request = create(path);
        request.create.lifetime = (struct lifetime){.sequential = true, .sequence_at = (uint32_t)len - 5};
        int code = client_call(load->mount->client, &request, &result);
        load->codes[load->count++] = (uint8_t)code;
        if (code != ERR_OK)
            mount_wait(load->mount, mount_connected);
    }
    return NULL;
}

static void count_found(const struct state *state)
{
    int code, index, number;
    const struct node *child = node_first_child(state_find(state, at("load"), &code));
    for (; child != NULL; child = node_next_sibling(child)) {
        assert_int_equal(sscanf(node_name(child).at, "%d-%d-", &index, &number), 2);
        assert_true(index < THREADS && number < loads[index].count);
        loads[index].found[number]++;
    }
}

static uint64_t digest_of(struct mount *mount)
{
    uint64_t digest = state_digest(client_lock(mount->client));
    client_unlock(mount->client);
    return digest;
}

/* Eight threads create sequential znodes, each name asked for once, while the replica is stopped and started again and
 * again: each create that was acknowledged is there exactly once, none twice, none that was refused. */
static void creates_happen_exactly_once(void **state)
{
    enum { RESTARTS = 8 };
    struct fixture *fixture = *state;
    struct mount mount, fresh;
    size_t done = 0, unknown = 0, refused = 0;
    assert_int_equal(mount_try(&mount, patient(fixture), 10000), ERR_OK);
    assert_int_equal(mount_make(&mount, "load"), ERR_OK);
    for (int i = 0; i < THREADS; i++) {
        loads[i].mount = &mount;
        loads[i].index = i;
        assert_int_equal(pthread_create(&loads[i].thread, NULL, create_on, &loads[i]), 0);
    }
    for (int i = 0; i < RESTARTS; i++) {
        usleep(100000); /* of load */
        host_restart(&fixture->host);
        mount_wait(&mount, mount_connected);
    }
    __atomic_store_n(&load_ends, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++)
        pthread_join(loads[i].thread, NULL);
    mount_open(&fresh, fixture->bind);
    assert_int_equal(mount_sync(&mount), ERR_OK);
    assert_true(digest_of(&mount) == digest_of(&fresh));
    count_found(client_lock(mount.client));
    client_unlock(mount.client);
    for (int i = 0; i < THREADS; i++)
        for (int n = 0; n < loads[i].count; n++) {
            int code = loads[i].codes[n];
            done += code == ERR_OK;
            unknown += code == ERR_OUTCOME_UNKNOWN;
            refused += code == ERR_NO_QUORUM;
            assert_true(code == ERR_OK || code == ERR_OUTCOME_UNKNOWN || code == ERR_NO_QUORUM);
            assert_int_equal(loads[i].found[n], code == ERR_OUTCOME_UNKNOWN ? loads[i].found[n] & 1 : code == ERR_OK);
        }
    print_message("%d restarts: %zu creates done, each once; %zu unknown, %zu refused\n", RESTARTS, done, unknown,
                  refused);
    assert_true(done > 100);
    mount_close(&fresh);
    mount_close(&mount);
}

/* --- away and back --- */

/* How long after a restarted replica serves a mount is attached again, with its session and its ephemerals. */
static void a_restart_is_bridged(void **state)
{
    enum { RESTARTS = 5 };
    struct fixture *fixture = *state;
    struct mount mount;
    uint64_t longest_us = 0;
    assert_int_equal(mount_try(&mount, patient(fixture), 10000), ERR_OK);
    uint64_t session = mount.session;
    struct request request = create("e");
    struct result result;
    request.create.lifetime.ephemeral = true;
    assert_int_equal(client_call(mount.client, &request, &result), ERR_OK);
    for (int i = 0; i < RESTARTS; i++) {
        host_stop(&fixture->host);
        mount_wait(&mount, suspended);
        assert_true(mount_has(&mount, "e")); /* reads go on */
        host_start(&fixture->host);
        uint64_t begin_us = now_us();
        mount_wait(&mount, mount_connected);
        uint64_t took_us = now_us() - begin_us;
        longest_us = took_us > longest_us ? took_us : longest_us;
    }
    assert_int_equal(mount.session, session);
    assert_int_equal(mount_sync(&mount), ERR_OK);
    assert_true(mount_has(&mount, "e"));
    print_message("attached again at most %llu ms after the replica's return\n", (unsigned long long)longest_us / 1000);
    mount_close(&mount);
}

/* Without a replica: what was not sent can be withdrawn; the rest is refused after 2 s, and then at once. */
static void without_a_replica(void **state)
{
    struct fixture *fixture = *state;
    struct mount mount;
    struct waiter withdrawn, refused, sync;
    struct request request = create("x");
    mount_open(&mount, fixture->bind);
    host_stop(&fixture->host);
    mount_wait(&mount, suspended);
    assert_int_equal(client_writable(mount.client), ERR_OK); /* it may be back any moment */
    waiter_begin(&withdrawn);
    waiter_begin(&refused);
    waiter_begin(&sync);
    uint64_t ticket = client_submit(mount.client, &request, wake, &withdrawn);
    client_submit(mount.client, &request, wake, &refused);
    client_sync(mount.client, wake, &sync);
    assert_true(client_withdraw(mount.client, ticket));
    assert_int_equal(waited(&withdrawn), ERR_INTERRUPTED);
    assert_false(client_withdraw(mount.client, ticket));
    assert_int_equal(waited(&refused), ERR_NO_QUORUM);
    assert_int_equal(waited(&sync), ERR_NO_QUORUM);
    assert_int_equal(client_writable(mount.client), ERR_NO_QUORUM);
    uint64_t begin_us = now_us();
    assert_int_equal(mount_make(&mount, "x"), ERR_NO_QUORUM);
    assert_true(now_us() - begin_us < 1000000);
    host_start(&fixture->host);
    mount_wait(&mount, mount_connected);
    assert_int_equal(mount_make(&mount, "x"), ERR_OK);
    mount_close(&mount);
}

static bool renewed(const struct mount *mount)
{
    return mount->states[CLIENT_EXPIRED] == 1 && mount->state == CLIENT_CONNECTED;
}

static bool expired(const struct mount *mount)
{
    return mount->state == CLIENT_EXPIRED;
}

/* A replica away for longer than the session's timeout: the session is given up at 7/8 of it, and a new one made. */
static void a_lost_session_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct mount mount;
    struct client_options options = {.servers = fixture->bind, .session_timeout_ms = 1000};
    assert_int_equal(mount_try(&mount, options, 10000), ERR_OK);
    uint64_t first = mount.session;
    host_stop(&fixture->host);
    uint64_t begin_us = now_us();
    mount_wait(&mount, expired);
    assert_true(now_us() - begin_us <= 2000000);
    assert_int_equal(mount.session, first); /* the lost one is named */
    assert_int_equal(client_writable(mount.client), ERR_SESSION_EXPIRED);
    assert_int_equal(mount_make(&mount, "x"), ERR_SESSION_EXPIRED);
    host_start(&fixture->host);
    mount_wait(&mount, renewed);
    assert_int_not_equal(mount.session, first);
    assert_int_equal(mount_make(&mount, "x"), ERR_OK);
    mount_close(&mount);
}

/* Closing a mount whose replica is gone does not take for ever. */
static void closing_without_a_replica(void **state)
{
    struct fixture *fixture = *state;
    struct mount mount;
    mount_open(&mount, fixture->bind);
    host_stop(&fixture->host);
    uint64_t begin_us = now_us();
    mount_close(&mount);
    assert_true(now_us() - begin_us < 5000000);
    assert_int_equal(mount_try(&mount, (struct client_options){.servers = fixture->bind}, 50), ERR_UNREACHABLE);
    mount_close(&mount);
}

/* --- left behind --- */

/* Whether the log's first segment is still there. */
static bool has_first_segment(const struct host *host)
{
    char first[128];
    snprintf(first, sizeof first, "%s/log-0000000000000001", host->directory);
    return access(first, F_OK) == 0;
}

/* 1 MiB of log with each write, until a purge has taken the first segment: it waits for snapshots, which take time. */
static void fill_log(struct mount *mount, const struct host *host)
{
    static char data[LIMIT_DATA_BYTES];
    const struct edit edit = {EDIT_PUT, 0, {data, sizeof data}};
    assert_true(has_first_segment(host));
    while (has_first_segment(host)) {
        const struct request write = {.kind = OP_WRITE, .write = {at("d"), NO_VERSION_CHECK, &edit, 1}};
        struct result result;
        assert_int_equal(client_call(mount->client, &write, &result), ERR_OK);
    }
}

static bool resynced(const struct mount *mount)
{
    return mount->resyncs == 1;
}

static size_t count_of(const struct changes *changes, enum change_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < changes->count; i++)
        count += changes->list[i].kind == kind;
    return count;
}

/* While one mount can't reach the replica, another writes so much that the log's oldest segments are purged: the first
 * gets a snapshot when it comes back, keeps its session, and is told the difference. */
static void a_mount_left_behind(void **state)
{
    struct fixture *fixture = *state;
    struct mount behind, writer;
    host_stop(&fixture->host);
    fixture->host.snapshot_every_entries = 10;
    host_start(&fixture->host);
    assert_int_equal(mount_try(&behind, patient(fixture), 10000), ERR_OK);
    assert_int_equal(mount_make(&behind, "d"), ERR_OK);
    assert_int_equal(mount_make(&behind, "old"), ERR_OK);
    uint64_t session = behind.session;
    host_stop(&fixture->host);
    fixture->host.bind = "inproc:elsewhere";
    host_start(&fixture->host);
    mount_open(&writer, "inproc:elsewhere");
    assert_int_equal(mount_make(&writer, "new"), ERR_OK);
    assert_int_equal(mount_drop(&writer, "old"), ERR_OK);
    fill_log(&writer, &fixture->host);
    mount_close(&writer);
    host_stop(&fixture->host);
    fixture->host.bind = fixture->bind;
    host_start(&fixture->host);
    mount_wait(&behind, resynced);
    mount_wait(&behind, mount_connected);
    assert_int_equal(behind.session, session);
    assert_true(mount_has(&behind, "new") && !mount_has(&behind, "old"));
    assert_int_equal(count_of(&behind.diff, CHANGE_CREATE), 1);
    assert_int_equal(count_of(&behind.diff, CHANGE_DELETE), 1);
    assert_int_equal(count_of(&behind.diff, CHANGE_DATA), 1);
    assert_true(behind.progress > 0);
    assert_int_equal(mount_make(&behind, "newer"), ERR_OK);
    mount_close(&behind);
}

/* --- who must not be followed --- */

/* Another cluster at the same address is refused, the tree stays; the first one is followed again when it is back. */
static void another_cluster(void **state)
{
    struct fixture *fixture = *state;
    struct host other;
    struct mount mount;
    assert_int_equal(mount_try(&mount, patient(fixture), 10000), ERR_OK);
    assert_int_equal(mount_make(&mount, "mine"), ERR_OK);
    uint64_t session = mount.session;
    host_stop(&fixture->host);
    host_new(&other);
    other.bind = fixture->bind;
    host_start(&other);
    await_refusal(&mount, ERR_OTHER_CLUSTER);
    assert_true(mount_has(&mount, "mine"));
    host_delete(&other);
    host_start(&fixture->host);
    mount_wait(&mount, mount_connected);
    assert_int_equal(mount.session, session);
    mount_close(&mount);
}

static void a_wrong_key(void **state)
{
    struct fixture *fixture = *state;
    struct link_keys right, wrong, replica, unused;
    struct mount mount;
    make_keys(&right, &replica);
    make_keys(&wrong, &unused);
    host_stop(&fixture->host);
    fixture->host.keys = replica;
    host_start(&fixture->host);
    struct client_options options = {.servers = fixture->bind, .keys = wrong};
    assert_int_equal(mount_try(&mount, options, 10000), ERR_BAD_KEY);
    mount_close(&mount);
    options.keys = right;
    assert_int_equal(mount_try(&mount, options, 10000), ERR_OK);
    assert_int_equal(mount_make(&mount, "x"), ERR_OK);
    mount_close(&mount);
}

/* --- addresses --- */

/* Of three servers two don't answer: the client finds the third, whichever it begins with. */
static void the_next_server(void **state)
{
    struct fixture *fixture = *state;
    char dead[64], silent[64], servers[256];
    struct mount mount;
    uint64_t longest_us = 0;
    hold_address(dead, sizeof dead);
    hold_address(silent, sizeof silent);
    snprintf(servers, sizeof servers, "%s,%s,%s", dead, fixture->bind, silent);
    for (int i = 0; i < 5; i++) {
        uint64_t begin_us = now_us();
        mount_open(&mount, servers);
        uint64_t took_us = now_us() - begin_us;
        longest_us = took_us > longest_us ? took_us : longest_us;
        mount_close(&mount);
    }
    print_message("ready at most %llu ms after the start\n", (unsigned long long)longest_us / 1000);
}

static void bad_options(void **state)
{
    const char *const bad[] = {"", "nowhere", "127.0.0.1:1,,127.0.0.1:2", "127.0.0.1:99999", "127.0.0.1:1,"};
    char text[256], many[256] = "127.0.0.1:1";
    struct client *client;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        text[0] = '\0';
        struct client_options options = {.servers = bad[i]};
        assert_int_equal(client_open(&options, &client, text, sizeof text), ERR_INVALID);
        assert_true(strlen(text) > 0);
    }
    for (unsigned i = 0; i < LIMIT_SERVERS; i++)
        strcat(many, ",127.0.0.1:1");
    assert_int_equal(client_open(&(struct client_options){.servers = many}, &client, text, sizeof text), ERR_INVALID);
    struct client_options short_session = {.servers = "127.0.0.1:1", .session_timeout_ms = 999};
    assert_int_equal(client_open(&short_session, &client, text, sizeof text), ERR_INVALID);
}

/* STATUS needs no session, and tells a wrong key and a missing replica apart. */
static void status(void **state)
{
    struct fixture *fixture = *state;
    struct link_keys none = {0}, mount, replica;
    struct buffer reply = {0};
    struct message message;
    char text[256], dead[64];
    hold_address(dead, sizeof dead);
    assert_int_equal(client_status(fixture->bind, &none, 5000, &reply, text, sizeof text), ERR_OK);
    struct arena *arena = arena_new();
    assert_int_equal(decode_message((struct bytes){reply.at, reply.len}, arena, &message), ERR_OK);
    assert_int_equal(message.kind, MESSAGE_STATUS_REPLY);
    assert_int_equal(message.status.leader, 1);
    arena_free(arena);
    buffer_free(&reply);
    assert_int_equal(client_status(dead, &none, 100, &reply, text, sizeof text), ERR_UNREACHABLE);
    assert_non_null(strstr(text, dead));
    make_keys(&mount, &replica);
    assert_int_equal(client_status(fixture->bind, &mount, 5000, &reply, text, sizeof text), ERR_BAD_KEY);
    assert_int_equal(client_status("nonsense", &none, 100, &reply, text, sizeof text), ERR_INVALID);
}

/* --- questions over a mount's own link --- */

struct told {
    int answers, silences;
    uint32_t leader;
};

static void on_told(void *arg, const struct message_status *status)
{
    struct told *told = arg;
    if (status != NULL)
        told->leader = status->leader;
    __atomic_add_fetch(status != NULL ? &told->answers : &told->silences, 1, __ATOMIC_RELEASE);
}

static void await_told(int *count, int wanted)
{
    for (uint64_t until_us = now_us() + 20000000; __atomic_load_n(count, __ATOMIC_ACQUIRE) < wanted;) {
        assert_true(now_us() < until_us);
        usleep(1000);
    }
}

/* What is asked is answered once: by the replica, or by nobody when there is none; also what closing overtakes. */
static void asked_over_the_link(void **state)
{
    struct fixture *fixture = *state;
    struct mount mount;
    struct told told = {0};
    assert_int_equal(mount_try(&mount, patient(fixture), 10000), ERR_OK);
    for (int i = 0; i < 100; i++)
        client_ask(mount.client, on_told, &told);
    await_told(&told.answers, 100);
    assert_int_equal(told.leader, 1);
    host_stop(&fixture->host);
    mount_wait(&mount, suspended);
    client_ask(mount.client, on_told, &told);
    client_ask(mount.client, on_told, &told);
    await_told(&told.silences, 2);
    host_start(&fixture->host);
    mount_wait(&mount, mount_connected);
    client_ask(mount.client, on_told, &told);
    await_told(&told.answers, 101);
    client_ask(mount.client, on_told, &told);
    mount_close(&mount);
    assert_int_equal(told.answers + told.silences, 104);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(asked_over_the_link, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(creates_happen_exactly_once, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_restart_is_bridged, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(without_a_replica, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_lost_session_is_replaced, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(closing_without_a_replica, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_mount_left_behind, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(another_cluster, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_wrong_key, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_next_server, fixture_setup, fixture_teardown),
        cmocka_unit_test(bad_options),
        cmocka_unit_test_setup_teardown(status, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
