/* A full disk (ENOSPC) and a failing one (EIO) at every call a workload makes. Full: nothing is acknowledged, what
 * was not yet synced is withdrawn, and all goes on when there is space. Failing: nothing is acknowledged, the store
 * refuses everything from then on, and a new start has all that was acknowledged. */
#include "tests/support/simdisk.h"
#include "tests/support/store_model.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 60 };

static const uint8_t identity[16] = "a simulated disk";
static const struct store_options options = {.segment_bytes = 6 * KIB, .identity = identity};
static char text[256];

static int open_store(struct simdisk *sim, struct store **store)
{
    struct disk disk;
    simdisk_interface(sim, &disk);
    text[0] = '\0';
    return store_open(&disk, &options, store, text, sizeof text);
}

/* Opens once there is space: a disk that is full at the start leaves nothing in the way. */
static struct store *open_in_the_end(struct simdisk *sim, int transient)
{
    struct store *store;
    int code;
    while ((code = open_store(sim, &store)) != ERR_OK) {
        if (code != transient || !simdisk_failed(sim))
            fail_msg("open: %s", text);
        assert_true(strlen(text) > 0);
    }
    return store;
}

static void reopen_and_check(struct simdisk *sim, struct store_model *model, uint64_t call)
{
    struct store *store;
    if (open_store(sim, &store) != ERR_OK)
        fail_msg("call %llu: open: %s", (unsigned long long)call, text);
    if (!model_check(model, store))
        fail_msg("call %llu: %s", (unsigned long long)call, model->trouble);
    store_close(store);
}

/* The whole workload, with the disk full for `duration` calls from `call` on. Then a power loss. */
static bool work_with_full_disk(uint64_t seed, uint64_t call, uint64_t duration)
{
    static struct store_model model;
    struct simdisk *sim = simdisk_new();
    simdisk_fail(sim, call, duration, ENOSPC);
    model_init(&model, seed);
    struct store *store = open_in_the_end(sim, ERR_NO_SPACE);
    for (int i = 0; i < STEPS; i++) {
        int code = model_step(&model, store);
        if (code == ERR_OK)
            continue;
        if (code != ERR_NO_SPACE)
            fail_msg("call %llu: error %s: %s", (unsigned long long)call, error_name(code), store_error(store));
        assert_true(simdisk_failed(sim));
        if (!model_withdraw(&model, store))
            fail_msg("seed %llu call %llu: %s", (unsigned long long)seed, (unsigned long long)call, model.trouble);
    }
    bool failed = simdisk_failed(sim);
    store_close(store);
    simdisk_power_loss(sim, call);
    reopen_and_check(sim, &model, call);
    simdisk_free(sim);
    return failed;
}

static void test_full_at_every_call(void **state)
{
    (void)state;
    static const uint64_t durations[] = {1, 2, 3, 7, 40};
    uint64_t points = 0;
    for (uint64_t seed = 1; seed <= 5; seed++)
        for (size_t d = 0; d < sizeof durations / sizeof durations[0]; d++)
            for (uint64_t call = 1; work_with_full_disk(seed, call, durations[d]); call++)
                points++;
    print_message("the disk was full at %llu points\n", (unsigned long long)points);
    assert_true(points > 3000);
}

/* After a final error nothing can be written. */
static void check_refuses(struct store *store)
{
    uint64_t next = store_last_zxid(store) + 100;
    assert_int_equal(store_append(store, next, (struct bytes){"x", 1}), ERR_IO);
    assert_int_equal(store_sync(store), ERR_IO);
    assert_int_equal(store_truncate(store, 1), ERR_IO);
    assert_int_equal(store_set_epochs(store, (struct epochs){.accepted = 99}), ERR_IO);
    assert_int_equal(store_snapshot_done(store, next), ERR_IO);
    assert_int_equal(store_prepare(store), ERR_IO);
    assert_true(strlen(store_error(store)) > 0);
}

/* The workload until the disk fails at `call`; then a start from what the page cache shows (the process ended, the
 * power stayed), or from what is on the disk; and a power loss after that. */
static bool work_with_failing_disk(uint64_t seed, uint64_t call, bool power_lost)
{
    static struct store_model model;
    struct simdisk *sim = simdisk_new();
    struct store *store;
    simdisk_fail(sim, call, 1, EIO);
    model_init(&model, seed);
    int code = open_store(sim, &store);
    bool opened = code == ERR_OK;
    for (int i = 0; i < STEPS && code == ERR_OK; i++)
        code = model_step(&model, store);
    bool failed = simdisk_failed(sim);
    assert_int_equal(code, failed ? ERR_IO : ERR_OK); /* no failure is swallowed */
    if (failed && opened && simdisk_failed_change(sim))
        check_refuses(store);
    store_close(store);
    if (power_lost)
        simdisk_power_loss(sim, call);
    else
        simdisk_reset(sim);
    reopen_and_check(sim, &model, call);
    simdisk_power_loss(sim, 1);
    reopen_and_check(sim, &model, call);
    simdisk_free(sim);
    return failed;
}

static void test_failing_at_every_call(void **state)
{
    (void)state;
    uint64_t points = 0;
    for (uint64_t seed = 1; seed <= 10; seed++)
        for (int power_lost = 0; power_lost < 2; power_lost++)
            for (uint64_t call = 1; work_with_failing_disk(seed, call, power_lost); call++)
                points++;
    print_message("the disk failed at %llu points\n", (unsigned long long)points);
    assert_true(points > 3000);
}

/* A disk that is full for good: appending is refused again and again, reading goes on, and nothing piles up. */
static void test_full_for_long(void **state)
{
    (void)state;
    struct simdisk *sim = simdisk_new();
    struct store *store;
    uint8_t room[2000] = {0};
    assert_int_equal(open_store(sim, &store), ERR_OK);
    uint64_t zxid = 1, durable = 0;
    simdisk_fail(sim, simdisk_calls(sim) + 30, UINT64_MAX / 2, ENOSPC);
    for (int i = 0; i < 1000; i++) {
        int code = store_append(store, zxid, (struct bytes){room, sizeof room});
        if (code == ERR_OK)
            code = store_sync(store);
        if (code == ERR_OK)
            durable = zxid++;
        else
            assert_int_equal(code, ERR_NO_SPACE);
        assert_int_equal(store_last_zxid(store), durable);
    }
    assert_true(durable > 0 && durable < 100);
    assert_non_null(strstr(store_error(store), "No space left on device"));
    simdisk_reset(sim);
    assert_int_equal(store_append(store, zxid, (struct bytes){room, sizeof room}), ERR_OK);
    assert_int_equal(store_sync(store), ERR_OK);
    store_close(store);
    assert_int_equal(open_store(sim, &store), ERR_OK);
    assert_int_equal(store_last_zxid(store), zxid);
    store_close(store);
    simdisk_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_at_every_call),
        cmocka_unit_test(test_failing_at_every_call),
        cmocka_unit_test(test_full_for_long),
    };
    mallopt(M_MMAP_THRESHOLD, 16 * MIB); /* the same buffers again and again: keep their pages */
    mallopt(M_TRIM_THRESHOLD, 64 * MIB);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
