/* Damage: every bit of every file flipped, one at a time; files cut, missing, exchanged, of another log or a newer
 * format; sectors zeroed. Each is refused with the file and the offset, or is what a torn write may leave and is cut:
 * never a wrong content. A refusal changes nothing. */
#include "replica/store/format.h"
#include "tests/support/simdisk.h"
#include "tests/support/store_model.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SECTOR = LOG_SECTOR_BYTES };

static const uint8_t identity[16] = "a simulated disk";
static const struct store_options options = {.segment_bytes = 8 * SECTOR, .identity = identity};
static char text[256];

static int open_store(struct simdisk *sim, struct store **store)
{
    struct disk disk;
    simdisk_interface(sim, &disk);
    text[0] = '\0';
    return store_open(&disk, &options, store, text, sizeof text);
}

static struct store *open_well(struct simdisk *sim)
{
    struct store *store;
    if (open_store(sim, &store) != ERR_OK)
        fail_msg("open: %s", text);
    return store;
}

/* Refused, with this in the message. */
static void expect_refused(struct simdisk *sim, int expect, const char *what)
{
    struct store *store;
    int code = open_store(sim, &store);
    if (code != expect || strstr(text, what) == NULL)
        fail_msg("%s (\"%s\") instead of %s with \"%s\"", error_name(code), text, error_name(expect), what);
}

/* Entry n of these tests: n bytes of n. */
static void append(struct store *store, uint64_t zxid)
{
    uint8_t room[256];
    memset(room, (int)zxid, zxid % 256);
    assert_int_equal(store_append(store, zxid, (struct bytes){room, zxid % 256}), ERR_OK);
}

static void append_sync(struct store *store, uint64_t from, uint64_t to)
{
    for (uint64_t zxid = from; zxid <= to; zxid++)
        append(store, zxid);
    assert_int_equal(store_sync(store), ERR_OK);
}

static void write_snapshot(struct store *store, uint64_t zxid)
{
    struct snapshot_writer *writer;
    uint8_t room[700];
    memset(room, (int)zxid, sizeof room);
    assert_int_equal(snapshot_writer_begin(store, zxid, &writer), ERR_OK);
    assert_int_equal(snapshot_writer_add(writer, room, sizeof room), ERR_OK);
    assert_int_equal(snapshot_writer_commit(writer), ERR_OK);
    assert_int_equal(store_snapshot_done(store, zxid), ERR_OK);
}

/* Three segments: batches of one and of several sectors, two snapshots, epochs. */
static struct simdisk *make_image(void)
{
    struct simdisk *sim = simdisk_new();
    struct store *store = open_well(sim);
    append_sync(store, 1, 3);
    append_sync(store, 80, 99);
    append_sync(store, 100, 107);
    write_snapshot(store, 107);
    append_sync(store, 108, 115);
    assert_int_equal(store_set_epochs(store, (struct epochs){3, 2, true}), ERR_OK);
    write_snapshot(store, 115);
    append_sync(store, 116, 118);
    append_sync(store, 119, 119);
    append_sync(store, 120, 125);
    store_close(store);
    assert_true(simdisk_size(sim, "log-0000000000000003") > 0);
    simdisk_power_loss(sim, 1);
    return sim;
}

/* All entries above `after` are there. */
static void check_log(struct store *store, uint64_t after)
{
    struct log_reader *reader;
    struct bytes entry;
    uint64_t zxid, last = after;
    assert_int_equal(log_reader_open(store, after, &reader), ERR_OK);
    for (;;) {
        assert_int_equal(log_reader_next(reader, &zxid, &entry), ERR_OK);
        if (zxid == 0)
            break;
        assert_int_equal(zxid, last + 1);
        assert_int_equal(entry.len, zxid % 256);
        for (size_t i = 0; i < entry.len; i++)
            assert_int_equal(((const uint8_t *)entry.at)[i], zxid);
        last = zxid;
    }
    assert_int_equal(last, 125);
    log_reader_close(reader);
}

/* Reads the snapshot; a damaged one gives an error, and nothing wrong before it. */
static int read_snapshot(struct store *store, uint64_t expect)
{
    struct snapshot_reader *reader;
    uint8_t room[100];
    size_t len = 1, all = 0;
    int code = snapshot_reader_open(store, 0, &reader);
    if (code != ERR_OK)
        return code;
    uint64_t zxid = snapshot_reader_zxid(reader);
    assert_true(zxid == expect || zxid == 107);
    while ((code = snapshot_reader_next(reader, room, sizeof room, &len)) == ERR_OK && len > 0)
        for (size_t i = 0; i < len; i++, all++)
            assert_int_equal(room[i], zxid);
    snapshot_reader_close(reader);
    if (code != ERR_OK)
        return code;
    assert_int_equal(all, 700);
    check_log(store, zxid);
    return zxid == expect ? ERR_OK : ERR_NO_NODE;
}

/* Where a message says the damage is: after "offset ". */
static uint64_t offset_in(const char *message, const char *name)
{
    const char *at = strstr(message, "offset ");
    assert_non_null(strstr(message, name));
    assert_non_null(at);
    return strtoull(at + 7, NULL, 10);
}

/* Each bit of a file that must be whole: refused, with the file and an offset at or a little before the bit. */
static uint64_t flip_all(struct simdisk *sim, const char *name)
{
    struct store *store;
    uint64_t bits = simdisk_size(sim, name) * 8;
    for (uint64_t bit = 0; bit < bits; bit++) {
        simdisk_flip(sim, name, bit);
        int code = open_store(sim, &store);
        if (code != ERR_CORRUPT)
            fail_msg("%s: bit %llu flipped: %s %s", name, (unsigned long long)bit, error_name(code), text);
        uint64_t offset = offset_in(text, name);
        assert_true(offset <= bit / 8 && bit / 8 - offset < SECTOR);
        simdisk_flip(sim, name, bit);
    }
    return bits;
}

static void test_bit_flipped_in_log_and_meta(void **state)
{
    (void)state;
    struct simdisk *sim = make_image();
    const char *name;
    uint64_t bits = 0;
    for (size_t i = 0; (name = simdisk_name(sim, i)) != NULL; i++)
        if (strncmp(name, "snapshot", 8) != 0)
            bits += flip_all(sim, name);
    print_message("%llu bits flipped, all refused\n", (unsigned long long)bits);
    assert_true(bits > 60000);
    struct store *store = open_well(sim); /* refusing has changed nothing */
    assert_int_equal(read_snapshot(store, 115), ERR_OK);
    assert_int_equal(store_epochs(store).accepted, 3);
    store_close(store);
    simdisk_free(sim);
}

/* The newest snapshot damaged: noticed at its opening or while reading, named with an offset, and the older one with
 * the log behind it gives the same state. */
static void test_bit_flipped_in_newest_snapshot(void **state)
{
    (void)state;
    static const char name[] = "snapshot-0000000000000073";
    struct simdisk *sim = make_image();
    uint64_t bits = simdisk_size(sim, name) * 8;
    for (uint64_t bit = 0; bit < bits; bit++) {
        simdisk_flip(sim, name, bit);
        struct store *store = open_well(sim);
        int code = read_snapshot(store, 115);
        if (code == ERR_CORRUPT) {
            (void)offset_in(store_error(store), name);
            code = read_snapshot(store, 115);
        }
        assert_int_equal(code, ERR_NO_NODE); /* the older one was read */
        (void)offset_in(store_notice(store), name);
        assert_int_equal(store_snapshot_zxid(store), 107);
        store_close(store);
        simdisk_flip(sim, name, bit);
    }
    print_message("%llu bits flipped\n", (unsigned long long)bits);
    assert_true(bits > 10000);
    simdisk_free(sim);
}

/* Both damaged, and the log no longer reaches back: refused, never an older or empty state. */
static void test_no_restore_point_left(void **state)
{
    (void)state;
    struct simdisk *sim = make_image();
    struct store *store = open_well(sim);
    assert_true(store_base_zxid(store) > 0);
    store_close(store);
    simdisk_flip(sim, "snapshot-0000000000000073", 600 * 8);
    simdisk_flip(sim, "snapshot-000000000000006b", 600 * 8);
    store = open_well(sim);
    assert_int_equal(read_snapshot(store, 115), ERR_CORRUPT);
    assert_int_equal(read_snapshot(store, 115), ERR_CORRUPT);
    assert_int_equal(read_snapshot(store, 115), ERR_CORRUPT);
    assert_non_null(strstr(store_error(store), "no whole snapshot is left"));
    store_close(store);
    simdisk_flip(sim, "snapshot-0000000000000073", 0); /* damage that shows at once */
    simdisk_flip(sim, "snapshot-000000000000006b", 0);
    expect_refused(sim, ERR_CORRUPT, "no whole snapshot is left");
    simdisk_free(sim);
}

/* A snapshot found damaged does not count as one that is kept: the next purge keeps two whole ones. */
static void test_damaged_snapshot_is_not_counted(void **state)
{
    (void)state;
    struct simdisk *sim = make_image();
    simdisk_flip(sim, "snapshot-0000000000000073", 600 * 8);
    struct store *store = open_well(sim);
    assert_int_equal(read_snapshot(store, 115), ERR_CORRUPT);
    write_snapshot(store, 118);
    assert_int_equal(simdisk_size(sim, "snapshot-0000000000000073"), 0);
    assert_true(simdisk_size(sim, "snapshot-000000000000006b") > 0);
    assert_true(store_base_zxid(store) <= 107);
    store_close(store);
    simdisk_free(sim);
}

/* Files that are not there, too short, or in each other's place. */
static void test_files_missing_and_exchanged(void **state)
{
    (void)state;
    static uint8_t one[8 * SECTOR], two[8 * SECTOR];
    struct simdisk *sim = make_image();
    struct {
        const char *first, *last;
    } log = {NULL, NULL};
    const char *name;
    for (size_t i = 0; (name = simdisk_name(sim, i)) != NULL; i++) {
        if (strncmp(name, "log-", 4) == 0 && (log.first == NULL || strcmp(name, log.first) < 0))
            log.first = name;
        if (strncmp(name, "log-", 4) == 0 && (log.last == NULL || strcmp(name, log.last) > 0))
            log.last = name;
    }
    char first[40], last[40];
    strcpy(first, log.first);
    strcpy(last, log.last);
    struct simdisk *copy = simdisk_copy(sim);
    simdisk_put(copy, "meta", NULL, 0);
    expect_refused(copy, ERR_CORRUPT, "meta: missing");
    simdisk_free(copy);

    copy = simdisk_copy(sim);
    for (size_t i = 0; (name = simdisk_name(copy, i)) != NULL;)
        if (strncmp(name, "log-", 4) == 0)
            simdisk_put(copy, name, NULL, 0);
        else
            i++;
    expect_refused(copy, ERR_CORRUPT, "every segment of the log is missing");
    simdisk_free(copy);

    simdisk_get(sim, first, 0, one, sizeof one);
    simdisk_get(sim, last, 0, two, sizeof two);
    copy = simdisk_copy(sim);
    simdisk_put(copy, first, two, sizeof two);
    expect_refused(copy, ERR_CORRUPT, "another log, or place");
    simdisk_put(copy, first, one, 5 * SECTOR);
    expect_refused(copy, ERR_CORRUPT, "its size is");
    simdisk_put(copy, first, one, 100);
    expect_refused(copy, ERR_CORRUPT, first);
    simdisk_put(copy, "meta", "too short", 9);
    expect_refused(copy, ERR_CORRUPT, "meta: ends in the middle");
    simdisk_free(copy);
    simdisk_free(sim);
}

/* A segment, or a snapshot, of another data directory. */
static void test_files_of_another_log(void **state)
{
    (void)state;
    static uint8_t bytes[8 * SECTOR];
    struct simdisk *sim = make_image(), *other = simdisk_new();
    struct disk disk;
    struct store *store;
    simdisk_interface(other, &disk);
    struct store_options random_identity = {.segment_bytes = 8 * SECTOR};
    assert_int_equal(store_open(&disk, &random_identity, &store, text, sizeof text), ERR_OK);
    append_sync(store, 1, 5);
    write_snapshot(store, 5);
    store_close(store);
    simdisk_get(other, "log-0000000000000001", 0, bytes, sizeof bytes);
    simdisk_put(sim, "log-0000000000000001", bytes, sizeof bytes);
    expect_refused(sim, ERR_CORRUPT, "another log, or place");
    simdisk_free(sim);

    sim = make_image();
    size_t len = simdisk_size(other, "snapshot-0000000000000005");
    simdisk_get(other, "snapshot-0000000000000005", 0, bytes, len);
    simdisk_put(sim, "snapshot-0000000000000074", bytes, len);
    store = open_well(sim);
    assert_int_equal(store_snapshot_zxid(store), 115);
    assert_non_null(strstr(store_notice(store), "another log, or zxid"));
    store_close(store);
    simdisk_free(sim);
    simdisk_free(other);
}

/* A newer format is told from damage. */
static void test_newer_format(void **state)
{
    (void)state;
    struct simdisk *sim = make_image();
    uint8_t page[SECTOR];
    simdisk_get(sim, "meta", 0, page, SECTOR);
    page[16]++;
    uint64_t checksum = XXH3_64bits(page + 8, SECTOR - 8);
    for (int i = 0; i < 8; i++)
        page[i] = (uint8_t)(checksum >> (8 * i));
    simdisk_put(sim, "meta", page, SECTOR);
    expect_refused(sim, ERR_BAD_FORMAT, "of another format than version 1");
    simdisk_free(sim);
}

/* --- torn tails: sectors of the last sync that read as never written --- */

/* A log whose last batch, of zxids 50 … 59, has seven sectors; and the offset where it begins. */
static struct simdisk *make_tail(uint64_t *offset)
{
    struct simdisk *sim = simdisk_new();
    struct disk disk;
    struct store *store;
    struct store_options wide = {.segment_bytes = 32 * SECTOR, .identity = identity};
    simdisk_interface(sim, &disk);
    assert_int_equal(store_open(&disk, &wide, &store, text, sizeof text), ERR_OK);
    append_sync(store, 1, 3);
    append_sync(store, 4, 20);
    *offset = store_log_bytes(store);
    for (uint64_t zxid = 50; zxid <= 59; zxid++) {
        uint8_t room[300] = {(uint8_t)zxid};
        assert_int_equal(store_append(store, zxid, (struct bytes){room, sizeof room}), ERR_OK);
    }
    assert_int_equal(store_sync(store), ERR_OK);
    assert_int_equal(store_log_bytes(store) - *offset, 7 * SECTOR);
    store_close(store);
    simdisk_power_loss(sim, 1);
    return sim;
}

static const char tail_name[] = "log-0000000000000001";

/* Every combination of the seven sectors but all: cut, whatever is missing; and nothing of it comes back when the
 * next, shorter batch is written in its place. All seven: kept. */
static void test_every_torn_tail_is_cut(void **state)
{
    (void)state;
    static const uint8_t zeros[SECTOR];
    uint64_t offset;
    struct simdisk *image = make_tail(&offset);
    for (unsigned there = 0; there < 128; there++) {
        struct simdisk *sim = simdisk_copy(image);
        for (unsigned i = 0; i < 7; i++)
            if ((there >> i & 1) == 0)
                simdisk_patch(sim, tail_name, offset + i * SECTOR, zeros, SECTOR);
        struct store *store = open_well(sim);
        assert_int_equal(store_last_zxid(store), there == 127 ? 59 : 20);
        assert_int_equal(store_notice(store)[0] != '\0', there != 0 && there != 127);
        append_sync(store, 60, 60);
        store_close(store);
        simdisk_power_loss(sim, 1);
        store = open_well(sim);
        assert_string_equal(store_notice(store), "");
        assert_int_equal(store_last_zxid(store), 60);
        store_close(store);
        simdisk_free(sim);
    }
    simdisk_free(image);
}

/* A torn tail and a flipped bit: refused, whichever bit. */
static void test_bit_flipped_beside_a_torn_tail(void **state)
{
    (void)state;
    static const uint8_t zeros[SECTOR];
    uint64_t offset;
    struct simdisk *sim = make_tail(&offset);
    simdisk_patch(sim, tail_name, offset + 2 * SECTOR, zeros, SECTOR);
    for (uint64_t bit = (offset - SECTOR) * 8; bit < (offset + 9 * SECTOR) * 8; bit++) {
        simdisk_flip(sim, tail_name, bit);
        struct store *store;
        int code = open_store(sim, &store);
        if (code != ERR_CORRUPT)
            fail_msg("bit %llu: %s", (unsigned long long)bit, error_name(code));
        assert_true(offset_in(text, tail_name) <= bit / 8);
        simdisk_flip(sim, tail_name, bit);
    }
    simdisk_free(sim);
}

/* Zeros where a sync had finished: a later batch behind them gives them away. */
static void test_zeroed_sector_before_a_later_batch(void **state)
{
    (void)state;
    static const uint8_t zeros[SECTOR];
    uint64_t offset;
    struct simdisk *image = make_tail(&offset);
    for (uint64_t at = SECTOR; at < offset; at += SECTOR) {
        struct simdisk *sim = simdisk_copy(image);
        simdisk_patch(sim, tail_name, at, zeros, SECTOR);
        expect_refused(sim, ERR_CORRUPT, "reads as never written, though the log goes on");
        assert_true(offset_in(text, tail_name) <= at);
        simdisk_free(sim);
    }
    simdisk_free(image);
}

/* The same, with the later batch in the next segment. */
static void test_zeroed_sector_before_a_later_segment(void **state)
{
    (void)state;
    static const uint8_t zeros[SECTOR];
    struct simdisk *sim = simdisk_new();
    struct store *store = open_well(sim);
    append_sync(store, 1, 3);
    append_sync(store, 200, 201);
    append_sync(store, 202, 215); /* over two segments */
    store_close(store);
    assert_true(simdisk_size(sim, "log-0000000000000002") > 0);
    for (uint64_t at = SECTOR; at < 5 * SECTOR; at += SECTOR) {
        uint8_t kept[SECTOR];
        simdisk_get(sim, tail_name, at, kept, SECTOR);
        simdisk_patch(sim, tail_name, at, zeros, SECTOR);
        expect_refused(sim, ERR_CORRUPT, "corrupt at offset");
        simdisk_patch(sim, tail_name, at, kept, SECTOR);
    }
    store_close(open_well(sim));
    simdisk_free(sim);
}

/* A sector of an older batch, or one from another place, is whole by itself but not in its place. */
static void test_misplaced_sectors(void **state)
{
    (void)state;
    uint64_t offset;
    struct simdisk *image = make_tail(&offset);
    uint8_t sector[SECTOR];
    for (uint64_t from = SECTOR; from < offset + 7 * SECTOR; from += SECTOR)
        for (uint64_t to = SECTOR; to < offset + 9 * SECTOR; to += SECTOR) {
            if (from == to)
                continue;
            struct simdisk *sim = simdisk_copy(image);
            simdisk_get(sim, tail_name, from, sector, SECTOR);
            simdisk_patch(sim, tail_name, to, sector, SECTOR);
            expect_refused(sim, ERR_CORRUPT, tail_name);
            simdisk_free(sim);
        }
    simdisk_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bit_flipped_in_log_and_meta),
        cmocka_unit_test(test_bit_flipped_in_newest_snapshot),
        cmocka_unit_test(test_no_restore_point_left),
        cmocka_unit_test(test_damaged_snapshot_is_not_counted),
        cmocka_unit_test(test_files_missing_and_exchanged),
        cmocka_unit_test(test_files_of_another_log),
        cmocka_unit_test(test_newer_format),
        cmocka_unit_test(test_every_torn_tail_is_cut),
        cmocka_unit_test(test_bit_flipped_beside_a_torn_tail),
        cmocka_unit_test(test_zeroed_sector_before_a_later_batch),
        cmocka_unit_test(test_zeroed_sector_before_a_later_segment),
        cmocka_unit_test(test_misplaced_sectors),
    };
    mallopt(M_MMAP_THRESHOLD, 16 * MIB); /* the same buffers again and again: keep their pages */
    mallopt(M_TRIM_THRESHOLD, 64 * MIB);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
