/* client_open and what follows, against a real replica in the same process: what a client is for, and how fast. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/client_notes.h"

static bool one_create(const struct mount *mount)
{
    return mount->creates == 1;
}

static bool one_delete(const struct mount *mount)
{
    return mount->deletes == 1;
}

/* --- the plain case --- */

/* What one mount makes, it sees at once; the other sees it after sync; each was told of the change. */
static void two_mounts_see_one_tree(void **state)
{
    struct fixture *fixture = *state;
    struct mount a, b;
    mount_open(&a, fixture->bind);
    mount_open(&b, fixture->bind);
    assert_int_equal(mount_make(&a, "d"), ERR_OK);
    assert_true(mount_has(&a, "d"));
    assert_int_equal(mount_make(&a, "d"), ERR_EXISTS);
    assert_int_equal(mount_sync(&b), ERR_OK);
    assert_true(mount_has(&b, "d"));
    mount_wait(&b, one_create);
    assert_int_equal(a.creates, 1);
    struct client_info info;
    client_info(a.client, &info);
    assert_true(info.state == CLIENT_CONNECTED && info.session != 0 && info.in_flight == 0);
    assert_true(info.remaining_ms > 0 && info.remaining_ms <= 8750);
    assert_string_equal(info.server, fixture->bind);
    assert_int_equal(info.replica, 1);
    mount_close(&b);
    mount_close(&a);
}

/* An ephemeral znode goes when its mount is closed: closing ends the session, and waits for that. */
static void closing_ends_the_session(void **state)
{
    struct fixture *fixture = *state;
    struct mount a, b;
    mount_open(&a, fixture->bind);
    mount_open(&b, fixture->bind);
    struct request request = create("e");
    struct result result;
    request.create.lifetime.ephemeral = true;
    assert_int_equal(client_call(a.client, &request, &result), ERR_OK);
    assert_int_equal(mount_sync(&b), ERR_OK);
    assert_true(mount_has(&b, "e"));
    mount_close(&a);
    assert_int_equal(mount_sync(&b), ERR_OK);
    assert_false(mount_has(&b, "e"));
    mount_wait(&b, one_delete);
    mount_close(&b);
}

static void observers_read_only(void **state)
{
    struct fixture *fixture = *state;
    struct mount a, watcher;
    mount_open(&a, fixture->bind);
    struct client_options options = {.servers = fixture->bind, .observer = true};
    assert_int_equal(mount_try(&watcher, options, 10000), ERR_OK);
    assert_int_equal(mount_make(&a, "d"), ERR_OK);
    assert_int_equal(mount_sync(&watcher), ERR_OK);
    assert_true(mount_has(&watcher, "d"));
    assert_int_equal(mount_make(&watcher, "x"), ERR_READ_ONLY);
    assert_int_equal(client_writable(watcher.client), ERR_READ_ONLY);
    mount_close(&watcher);
    mount_close(&a);
}

static void malformed_requests_are_refused_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct mount a;
    mount_open(&a, fixture->bind);
    assert_int_equal(mount_make(&a, "a//b"), ERR_INVALID);
    char name[LIMIT_NAME_BYTES + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(mount_make(&a, name), ERR_NAME_TOO_LONG);
    assert_int_equal(mount_make(&a, "ok"), ERR_OK);
    mount_close(&a);
}

struct chain {
    struct mount *mount;
    int left;
    sem_t done;
};

static void make_next(void *arg, const struct result *result)
{
    struct chain *chain = arg;
    char path[32];
    assert_int_equal(result->code, ERR_OK);
    assert_true(mount_has(chain->mount, "first")); /* no lock is held here */
    if (chain->left-- == 0) {
        sem_post(&chain->done);
        return;
    }
    snprintf(path, sizeof path, "n%d", chain->left);
    struct request request = create(path);
    client_submit(chain->mount->client, &request, make_next, chain);
}

/* A completion may read the tree and submit the next request. */
static void callbacks_may_call(void **state)
{
    struct fixture *fixture = *state;
    struct mount a;
    mount_open(&a, fixture->bind);
    struct chain chain = {.mount = &a, .left = 50};
    sem_init(&chain.done, 0, 0);
    struct request request = create("first");
    client_submit(a.client, &request, make_next, &chain);
    sem_wait(&chain.done);
    assert_true(mount_has(&a, "n0"));
    sem_destroy(&chain.done);
    mount_close(&a);
}

/* --- how fast --- */

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* One caller, one request after another: append 256 bytes. */
static void measure(const char *address, const char *what)
{
    enum { CALLS = 2000 };
    static uint64_t took_us[CALLS];
    static char data[256];
    struct mount a;
    mount_open(&a, address);
    assert_int_equal(mount_make(&a, "d"), ERR_OK);
    for (int i = 0; i < CALLS; i++) {
        const struct edit edits[] = {{EDIT_TRUNCATE, 0, {NULL, 0}}, {EDIT_PUT, 0, {data, sizeof data}}};
        const struct request write = {.kind = OP_WRITE, .write = {at("d"), NO_VERSION_CHECK, edits, 2}};
        struct result result;
        uint64_t begin_us = now_us();
        assert_int_equal(client_call(a.client, &write, &result), ERR_OK);
        took_us[i] = now_us() - begin_us;
    }
    qsort(took_us, CALLS, sizeof took_us[0], by_value);
    print_message("%s: client_call, 256 B written: p50 %llu us, p99 %llu us\n", what,
                  (unsigned long long)took_us[CALLS / 2], (unsigned long long)took_us[CALLS * 99 / 100]);
    mount_close(&a);
}

static void round_trip(void **state)
{
    struct fixture *fixture = *state;
    measure(fixture->bind, "tcp");
    host_stop(&fixture->host);
    fixture->host.bind = "inproc:round-trip";
    host_start(&fixture->host);
    struct mount a;
    mount_open(&a, "inproc:round-trip");
    struct request drop = {.kind = OP_DELETE, .delete = {.at = at("d"), .version = NO_VERSION_CHECK}};
    struct result result;
    assert_int_equal(client_call(a.client, &drop, &result), ERR_OK);
    mount_close(&a);
    measure("inproc:round-trip", "inproc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_mounts_see_one_tree, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(closing_ends_the_session, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(observers_read_only, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(malformed_requests_are_refused_at_once, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(callbacks_may_call, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(round_trip, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
