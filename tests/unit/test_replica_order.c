/* The ordering core of an ensemble of one and the ring of recent entries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "replica/pactd/order.h"
#include "replica/pactd/recent.h"

/* --- order --- */

static uint64_t next(struct order *order, int64_t now_ns, int64_t *stamp_ns)
{
    struct entry entry = {0};
    order_next(order, now_ns, &entry);
    if (stamp_ns)
        *stamp_ns = entry.stamp_ns;
    return entry.zxid;
}

/* The first entry of an epoch has counter 1, the next ones follow without a gap. */
static void zxids_are_epoch_and_counter(void **state)
{
    (void)state;
    struct order order;
    order_start(&order, 3, (uint64_t)2 << 32 | 77, 0);
    assert_int_equal(next(&order, 1, NULL), (uint64_t)3 << 32 | 1);
    assert_int_equal(next(&order, 1, NULL), (uint64_t)3 << 32 | 2);
    assert_int_equal(order.committed, (uint64_t)2 << 32 | 77);
}

/* The clock jumps back by an hour: stamps stand still, and never go below the history's last one. */
static void stamps_never_go_back(void **state)
{
    (void)state;
    struct order order;
    int64_t stamp_ns;
    order_start(&order, 1, 0, 5000);
    next(&order, 4000, &stamp_ns);
    assert_int_equal(stamp_ns, 5000);
    next(&order, 7000, &stamp_ns);
    assert_int_equal(stamp_ns, 7000);
    next(&order, 7000 - 3600, &stamp_ns);
    assert_int_equal(stamp_ns, 7000);
}

/* Only what is durable is committed; what is withdrawn gives its zxids back, as nobody has seen them. */
static void withdrawn_zxids_are_given_again(void **state)
{
    (void)state;
    struct order order;
    order_start(&order, 1, 0, 0);
    uint64_t first = next(&order, 1, NULL), second = next(&order, 1, NULL);
    order_durable(&order, first);
    assert_int_equal(order.committed, first);
    order_withdraw(&order);
    assert_int_equal(order.committed, first);
    assert_int_equal(next(&order, 1, NULL), second);
}

/* After counter 2^32 - 1 only a new epoch goes on; its first zxid is above all before. */
static void counter_runs_over_into_a_new_epoch(void **state)
{
    (void)state;
    struct order order;
    order_start(&order, 8, (uint64_t)7 << 32 | 1, 0);
    next(&order, 1, NULL);
    order.proposed = (uint64_t)8 << 32 | (UINT32_MAX - 1);
    assert_false(order_exhausted(&order));
    uint64_t last = next(&order, 1, NULL);
    assert_true(order_exhausted(&order));
    order_new_epoch(&order, 9);
    assert_false(order_exhausted(&order));
    assert_int_equal(next(&order, 1, NULL), (uint64_t)9 << 32 | 1);
    assert_true(order.proposed > last);
}

/* --- recent --- */

static void push(struct recent *recent, uint64_t zxid, size_t len, uint64_t committed)
{
    char *bytes = calloc(1, len);
    memcpy(bytes, &zxid, sizeof zxid);
    recent_push(recent, zxid, (struct bytes){bytes, len}, committed);
    free(bytes);
}

/* Entries with zxids 10, 20 … 50000 of 8 bytes: each is found again, between them the next one is. */
static void entries_are_found_by_zxid(void **state)
{
    (void)state;
    struct recent recent;
    recent_start(&recent, 5);
    for (uint64_t zxid = 10; zxid <= 50000; zxid += 10)
        push(&recent, zxid, 8, 0);
    assert_int_equal(recent.count, 5000);
    for (uint64_t zxid = 5; zxid < 50000; zxid += 3) {
        const struct recent_entry *entry = recent_at(&recent, recent_after(&recent, zxid));
        assert_int_equal(entry->zxid, zxid < 10 ? 10 : zxid / 10 * 10 + 10);
        assert_memory_equal(entry->bytes.at, &entry->zxid, sizeof entry->zxid);
        assert_int_equal(recent_knows(&recent, zxid), zxid % 10 == 0 || zxid == 5);
    }
    assert_int_equal(recent_after(&recent, 50000), recent.count);
    recent_free(&recent);
}

/* 200 entries of 1 MiB: at most LIMIT_RECENT_BYTES stay, the newest; the floor says where they begin. */
static void old_entries_make_room(void **state)
{
    (void)state;
    struct recent recent;
    recent_start(&recent, 0);
    for (uint64_t zxid = 1; zxid <= 200; zxid++)
        push(&recent, zxid, MIB, zxid - 1);
    assert_true(recent.bytes <= LIMIT_RECENT_BYTES);
    assert_int_equal(recent.count, LIMIT_RECENT_BYTES / MIB);
    assert_int_equal(recent.floor, 200 - recent.count);
    assert_int_equal(recent_at(&recent, 0)->zxid, recent.floor + 1);
    recent_free(&recent);
}

/* What is proposed and not committed never goes, however much it is; withdrawing removes exactly that. */
static void proposed_entries_stay_until_withdrawn(void **state)
{
    (void)state;
    struct recent recent;
    recent_start(&recent, 0);
    for (uint64_t zxid = 1; zxid <= 100; zxid++)
        push(&recent, zxid, MIB, 3);
    assert_int_equal(recent.floor, 3);
    assert_int_equal(recent.count, 97);
    recent_withdraw(&recent, 40);
    assert_int_equal(recent.count, 37);
    assert_int_equal(recent.bytes, 37u * MIB);
    assert_int_equal(recent_after(&recent, 40), recent.count);
    recent_free(&recent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zxids_are_epoch_and_counter),
        cmocka_unit_test(stamps_never_go_back),
        cmocka_unit_test(withdrawn_zxids_are_given_again),
        cmocka_unit_test(counter_runs_over_into_a_new_epoch),
        cmocka_unit_test(entries_are_found_by_zxid),
        cmocka_unit_test(old_entries_make_room),
        cmocka_unit_test(proposed_entries_stay_until_withdrawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
