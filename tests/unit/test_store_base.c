/* Where the log begins is an entry that counts, also if what stood there was truncated: a replica tells its followers
 * by it what they have in common. (Found by the cluster simulator: a follower that had the truncated entry was taken
 * for one that shares the history up to it.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replica/store/store.h"
#include "tests/support/simdisk.h"

enum { FIRST_MAX = 40, SECOND = 40, SNAPSHOT_AT = 30, SEGMENT_BYTES = 4096 };

static uint64_t zxid(uint32_t epoch, uint32_t counter)
{
    return (uint64_t)epoch << 32 | counter;
}

static void append(struct store *store, uint32_t epoch, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i <= to; i++) {
        assert_int_equal(store_append(store, zxid(epoch, i), (struct bytes){"an entry", 8}), ERR_OK);
        assert_int_equal(store_sync(store), ERR_OK);
    }
}

static struct store *open_store(struct simdisk *sim, struct disk *disk)
{
    const struct store_options options = {.segment_bytes = SEGMENT_BYTES, .snapshots_kept = 1};
    struct store *store;
    char text[256];
    simdisk_interface(sim, disk);
    assert_int_equal(store_open(disk, &options, &store, text, sizeof text), ERR_OK);
    return store;
}

static void snapshot(struct store *store, uint64_t at)
{
    struct snapshot_writer *writer;
    assert_int_equal(snapshot_writer_begin(store, at, &writer), ERR_OK);
    assert_int_equal(snapshot_writer_add(writer, "a state", 7), ERR_OK);
    assert_int_equal(snapshot_writer_commit(writer), ERR_OK);
    assert_int_equal(store_snapshot_done(store, at), ERR_OK);
}

/* The base is the beginning, or an entry of the history 1.1 … 1.kept, 2.1 …; all after it can be read. */
static void check(struct store *store, uint32_t kept)
{
    uint64_t base = store_base_zxid(store), at = base;
    struct log_reader *reader;
    struct bytes entry;
    bool counts = base == 0 || (base >> 32 == 1 && (uint32_t)base <= kept) || base >> 32 == 2;
    assert_true(counts);
    assert_int_equal(log_reader_open(store, base, &reader), ERR_OK);
    for (uint64_t next; log_reader_next(reader, &next, &entry) == ERR_OK && next != 0; at = next) {
        bool follows = next == at + 1 || (at == 0 && next == zxid(kept > 0 ? 1 : 2, 1)) ||
                       (at == zxid(1, kept) && next == zxid(2, 1));
        assert_true(follows);
    }
    assert_true(at == zxid(2, SECOND));
    log_reader_close(reader);
}

static void base_is_never_a_truncated_entry(void **state)
{
    unsigned purged = 0;
    (void)state;
    for (uint32_t first = 1; first <= FIRST_MAX; first++) {
        struct simdisk *sim = simdisk_new();
        struct disk disk;
        struct store *store = open_store(sim, &disk);
        append(store, 1, 1, first);
        assert_int_equal(store_truncate(store, zxid(1, first - 1)), ERR_OK);
        append(store, 2, 1, SECOND);
        snapshot(store, zxid(2, SNAPSHOT_AT));
        check(store, first - 1);
        purged += store_base_zxid(store) != 0;
        store_close(store);
        store = open_store(sim, &disk);
        check(store, first - 1);
        store_close(store);
        simdisk_free(sim);
    }
    assert_true(purged == FIRST_MAX);
}

/* The same with a base that stays where the truncation was: the snapshot is just behind it. */
static void base_next_to_a_truncation(void **state)
{
    unsigned before = 0;
    (void)state;
    for (uint32_t first = 2; first <= FIRST_MAX; first++) {
        struct simdisk *sim = simdisk_new();
        struct disk disk;
        struct store *store = open_store(sim, &disk);
        append(store, 1, 1, first);
        assert_int_equal(store_truncate(store, zxid(1, first - 1)), ERR_OK);
        append(store, 2, 1, 1);
        snapshot(store, zxid(2, 1));
        append(store, 2, 2, SECOND);
        check(store, first - 1);
        before += store_base_zxid(store) == zxid(1, first - 1);
        store_close(store);
        store = open_store(sim, &disk);
        check(store, first - 1);
        store_close(store);
        simdisk_free(sim);
    }
    assert_true(before > 0); /* the case in question was there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(base_is_never_a_truncated_entry),
                                       cmocka_unit_test(base_next_to_a_truncation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
