/* The ring of recent entries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "replica/pactd/recent.h"

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
        cmocka_unit_test(entries_are_found_by_zxid),
        cmocka_unit_test(old_entries_make_room),
        cmocka_unit_test(proposed_entries_stay_until_withdrawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
