/* What a replica sees of its store on a real directory: entries, epochs and snapshots are there again after a
 * reopening; TRUNC, SNAP and purge do what they say; a second process is refused. */
#include "replica/store/disk.h"
#include "replica/store/format.h"
#include "replica/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char directory[64];
    struct disk disk;
    struct store *store;
    char text[256];
};

static const struct store_options small = {.segment_bytes = 32 * KIB};

static void open_store(struct fixture *f, const struct store_options *options)
{
    assert_int_equal(disk_posix_open(f->directory, &f->disk), 0);
    int code = store_open(&f->disk, options, &f->store, f->text, sizeof f->text);
    if (code != ERR_OK)
        fail_msg("store_open: %s", f->text);
}

static void close_store(struct fixture *f)
{
    store_close(f->store);
    disk_posix_close(&f->disk);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    (void)snprintf(f->directory, sizeof f->directory, "/tmp/test_store_XXXXXX");
    *state = f;
    return mkdtemp(f->directory) == NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r '%s'", f->directory);
    int rc = system(command);
    free(f);
    return rc;
}

/* An entry's content follows from its zxid: 0 to 999 bytes. */
static struct bytes content(uint64_t zxid, uint8_t *room)
{
    size_t len = (size_t)(zxid * 37 % 1000);
    memset(room, (int)(zxid % 251), len);
    return (struct bytes){room, len};
}

static void append(struct fixture *f, uint64_t zxid)
{
    uint8_t room[1000];
    if (store_append(f->store, zxid, content(zxid, room)) != ERR_OK)
        fail_msg("append: %s", store_error(f->store));
}

static void append_sync(struct fixture *f, uint64_t from, uint64_t to)
{
    for (uint64_t zxid = from; zxid <= to; zxid++) {
        append(f, zxid);
        if (zxid % 7 == 0 || zxid == to)
            assert_int_equal(store_sync(f->store), ERR_OK);
    }
}

/* Reads on; returns how many entries came, checks that they are from … without a gap. */
static uint64_t read_from(struct log_reader *reader, uint64_t from)
{
    uint64_t zxid, count = 0;
    struct bytes entry;
    uint8_t room[1000];
    for (;;) {
        assert_int_equal(log_reader_next(reader, &zxid, &entry), ERR_OK);
        if (zxid == 0)
            return count;
        assert_int_equal(zxid, from + count);
        struct bytes expect = content(zxid, room);
        assert_int_equal(entry.len, expect.len);
        assert_memory_equal(entry.at, expect.at, expect.len);
        count++;
    }
}

static uint64_t count_after(struct fixture *f, uint64_t after)
{
    struct log_reader *reader;
    assert_int_equal(log_reader_open(f->store, after, &reader), ERR_OK);
    uint64_t count = read_from(reader, after + 1);
    log_reader_close(reader);
    return count;
}

static void write_snapshot(struct fixture *f, uint64_t zxid, size_t len)
{
    struct snapshot_writer *writer;
    assert_int_equal(snapshot_writer_begin(f->store, zxid, &writer), ERR_OK);
    uint8_t piece[1000];
    for (size_t done = 0; done < len; done += sizeof piece) {
        memset(piece, (int)(done / sizeof piece + zxid), sizeof piece);
        assert_int_equal(snapshot_writer_add(writer, piece, len - done < 1000 ? len - done : 1000), ERR_OK);
    }
    assert_int_equal(snapshot_writer_commit(writer), ERR_OK);
    assert_int_equal(store_snapshot_done(f->store, zxid), ERR_OK);
}

static void check_snapshot(struct fixture *f, uint64_t zxid, size_t len)
{
    struct snapshot_reader *reader;
    assert_int_equal(snapshot_reader_open(f->store, 0, &reader), ERR_OK);
    assert_int_equal(snapshot_reader_zxid(reader), zxid);
    assert_int_equal(snapshot_reader_bytes(reader), len);
    uint8_t piece[777];
    size_t done = 0, n;
    while (snapshot_reader_next(reader, piece, sizeof piece, &n) == ERR_OK && n > 0)
        for (size_t i = 0; i < n; i++, done++)
            assert_int_equal(piece[i], (uint8_t)(done / 1000 + zxid));
    assert_int_equal(done, len);
    snapshot_reader_close(reader);
}

/* 500 entries of 0 to 999 bytes over some ten segments are all there, in order, after a reopening, from any start. */
static void test_entries_are_there_again(void **state)
{
    struct fixture *f = *state;
    open_store(f, &small);
    assert_int_equal(store_first_zxid(f->store), 0);
    assert_int_equal(store_last_zxid(f->store), 0);
    append_sync(f, 1, 500);
    assert_int_equal(count_after(f, 0), 500);
    close_store(f);
    open_store(f, &small);
    assert_string_equal(store_notice(f->store), "");
    assert_int_equal(store_first_zxid(f->store), 1);
    assert_int_equal(store_last_zxid(f->store), 500);
    for (uint64_t after = 0; after <= 500; after += 20)
        assert_int_equal(count_after(f, after), 500 - after);
    append_sync(f, 501, 600);
    assert_int_equal(count_after(f, 490), 110);
    close_store(f);
}

/* What was appended and not synced is not seen by a reader, nor after a reopening. */
static void test_unsynced_entries_are_not_there(void **state)
{
    struct fixture *f = *state;
    open_store(f, &small);
    append_sync(f, 1, 10);
    append(f, 11);
    assert_int_equal(store_last_zxid(f->store), 11);
    assert_int_equal(store_durable_zxid(f->store), 10);
    assert_int_equal(count_after(f, 0), 10);
    close_store(f);
    open_store(f, &small);
    assert_int_equal(store_last_zxid(f->store), 10);
    close_store(f);
}

/* A reader that is at the end finds what is appended later, across segments and purges. */
static void test_reader_follows_appends(void **state)
{
    struct fixture *f = *state;
    open_store(f, &small);
    struct log_reader *reader;
    assert_int_equal(log_reader_open(f->store, 0, &reader), ERR_OK);
    assert_int_equal(read_from(reader, 1), 0);
    for (uint64_t zxid = 1; zxid <= 1000; zxid += 100) {
        append_sync(f, zxid, zxid + 99);
        assert_int_equal(read_from(reader, zxid), 100);
        write_snapshot(f, zxid + 99, 10);
    }
    assert_true(store_base_zxid(f->store) > 500);
    log_reader_close(reader);
    close_store(f);
}

/* Sizes at the limits: an empty entry, the largest one, one byte more; a full batch of small ones; too many. */
static void test_sizes(void **state)
{
    struct fixture *f = *state;
    open_store(f, &(struct store_options){.segment_bytes = LOG_SEGMENT_BYTES, .helper = true});
    uint8_t *large = calloc(1, LIMIT_ENTRY_BYTES + 1);
    assert_int_equal(store_append(f->store, 1, (struct bytes){large, 0}), ERR_OK);
    assert_int_equal(store_append(f->store, 2, (struct bytes){large, LIMIT_ENTRY_BYTES}), ERR_OK);
    assert_int_equal(store_append(f->store, 3, (struct bytes){large, LIMIT_ENTRY_BYTES + 1}), ERR_TOO_BIG);
    assert_int_equal(store_append(f->store, 2, (struct bytes){large, 1}), ERR_INVALID);
    assert_int_equal(store_sync(f->store), ERR_OK);
    uint64_t zxid = 10;
    for (; zxid < 10 + LIMIT_BATCH_BYTES / 64; zxid++)
        assert_int_equal(store_append(f->store, zxid, (struct bytes){large, 64}), ERR_OK);
    int code;
    while ((code = store_append(f->store, zxid, (struct bytes){large, LIMIT_ENTRY_BYTES})) == ERR_OK)
        zxid++;
    assert_int_equal(code, ERR_TOO_MANY);
    assert_int_equal(store_sync(f->store), ERR_OK);
    assert_int_equal(store_append(f->store, zxid, (struct bytes){large, LIMIT_ENTRY_BYTES}), ERR_OK);
    assert_int_equal(store_sync(f->store), ERR_OK);
    free(large);
    close_store(f);
    open_store(f, NULL);
    assert_int_equal(store_last_zxid(f->store), zxid);
    close_store(f);
}

/* An entry larger than a (small) segment is refused and changes nothing. */
static void test_entry_larger_than_a_segment(void **state)
{
    struct fixture *f = *state;
    open_store(f, &small);
    uint8_t room[40000] = {0};
    append_sync(f, 1, 3);
    assert_int_equal(store_append(f->store, 4, (struct bytes){room, sizeof room}), ERR_TOO_BIG);
    append_sync(f, 4, 5);
    assert_int_equal(count_after(f, 0), 5);
    close_store(f);
}

static void test_epochs(void **state)
{
    struct fixture *f = *state;
    open_store(f, &small);
    assert_int_equal(store_epochs(f->store).accepted, 0);
    assert_int_equal(store_set_epochs(f->store, (struct epochs){.accepted = 7, .current = 6}), ERR_OK);
    uint8_t identity[STORE_IDENTITY_BYTES];
    memcpy(identity, store_identity(f->store), sizeof identity);
    close_store(f);
    open_store(f, &small);
    assert_int_equal(store_epochs(f->store).accepted, 7);
    assert_int_equal(store_epochs(f->store).current, 6);
    assert_memory_equal(identity, store_identity(f->store), sizeof identity);
    close_store(f);
}

/* Whose directory it is stays beside the epochs, and neither touches the other. */
static void test_seat(void **state)
{
    struct fixture *f = *state;
    const struct seat none = {0}, full = {.id = 250, .members = {1, 2, 3, 4, 5, 250, 255}};
    open_store(f, &small);
    struct seat seat = store_seat(f->store);
    assert_memory_equal(&seat, &none, sizeof seat);
    assert_int_equal(store_set_seat(f->store, full), ERR_OK);
    assert_int_equal(store_set_epochs(f->store, (struct epochs){.accepted = 7, .current = 6}), ERR_OK);
    close_store(f);
    open_store(f, &small);
    seat = store_seat(f->store);
    assert_memory_equal(&seat, &full, sizeof seat);
    assert_int_equal(store_epochs(f->store).accepted, 7);
    close_store(f);
}

/* TRUNC: what is above is gone, at once and after a reopening; other entries may take its place; twice over. */
static void test_truncate(void **state)
{
    struct fixture *f = *state;
    open_store(f, &small);
    append_sync(f, 1, 300);
    struct log_reader *reader;
    assert_int_equal(log_reader_open(f->store, 0, &reader), ERR_OK);
    assert_int_equal(read_from(reader, 1), 300);
    assert_int_equal(store_truncate(f->store, 120), ERR_OK);
    assert_int_equal(store_last_zxid(f->store), 120);
    assert_int_equal(count_after(f, 0), 120);
    uint64_t zxid;
    struct bytes entry;
    assert_int_equal(log_reader_next(reader, &zxid, &entry), ERR_NO_NODE);
    log_reader_close(reader);
    append_sync(f, 121, 200);
    assert_int_equal(store_truncate(f->store, 150), ERR_OK);
    assert_int_equal(store_truncate(f->store, 90), ERR_OK);
    assert_int_equal(store_truncate(f->store, 95), ERR_OK); /* nothing is above */
    append_sync(f, 91, 130);
    assert_int_equal(count_after(f, 0), 130);
    close_store(f);
    open_store(f, &small);
    assert_int_equal(store_last_zxid(f->store), 130);
    assert_int_equal(count_after(f, 0), 130);
    assert_int_equal(count_after(f, 85), 45);
    assert_int_equal(store_truncate(f->store, 0), ERR_OK);
    assert_int_equal(store_first_zxid(f->store), 0);
    close_store(f);
}

/* A truncation to a zxid between two entries ends at the lower one. */
static void test_truncate_between(void **state)
{
    struct fixture *f = *state;
    open_store(f, &small);
    uint64_t high = (uint64_t)1 << 32;
    append_sync(f, 1, 50);
    append(f, high + 1);
    assert_int_equal(store_truncate(f->store, high), ERR_OK);
    assert_int_equal(store_last_zxid(f->store), 50);
    close_store(f);
}

/* Snapshots: two are kept and the log from before the older; older ones and their segments go. */
static void test_snapshots_and_purge(void **state)
{
    struct fixture *f = *state;
    open_store(f, &small);
    for (uint64_t zxid = 1; zxid <= 1000; zxid += 200) {
        append_sync(f, zxid, zxid + 199);
        assert_true(store_since_snapshot_entries(f->store) >= 200);
        write_snapshot(f, zxid + 149, 600 * KIB + zxid);
    }
    assert_int_equal(store_snapshot_zxid(f->store), 950);
    assert_true(store_base_zxid(f->store) > 600 && store_base_zxid(f->store) <= 750);
    check_snapshot(f, 950, 600 * KIB + 801);
    struct log_reader *reader;
    assert_int_equal(log_reader_open(f->store, 300, &reader), ERR_NO_NODE);
    close_store(f);
    open_store(f, &small);
    assert_int_equal(store_snapshot_zxid(f->store), 950);
    check_snapshot(f, 950, 600 * KIB + 801);
    assert_int_equal(count_after(f, 950), 50);
    assert_int_equal(count_after(f, 750), 250);
    assert_int_equal(store_truncate(f->store, 940), ERR_INVALID);
    close_store(f);
}

/* SNAP: a snapshot from elsewhere, ahead of the log, empties the log, which goes on after it. */
static void test_snapshot_ahead_of_the_log(void **state)
{
    struct fixture *f = *state;
    open_store(f, &small);
    append_sync(f, 1, 100);
    write_snapshot(f, 5000, 100);
    assert_int_equal(store_last_zxid(f->store), 5000);
    assert_int_equal(store_base_zxid(f->store), 5000);
    assert_int_equal(store_first_zxid(f->store), 0);
    struct log_reader *reader;
    assert_int_equal(log_reader_open(f->store, 100, &reader), ERR_NO_NODE);
    append_sync(f, 5001, 5100);
    close_store(f);
    open_store(f, &small);
    assert_int_equal(store_last_zxid(f->store), 5100);
    check_snapshot(f, 5000, 100);
    assert_int_equal(count_after(f, 5000), 100);
    close_store(f);
}

/* The segment made ahead by the helper is used, and found again after a reopening. */
static void test_helper(void **state)
{
    struct fixture *f = *state;
    struct store_options options = small;
    options.helper = true;
    for (uint64_t round = 0; round < 3; round++) {
        open_store(f, &options);
        append_sync(f, round * 300 + 1, round * 300 + 300);
        assert_int_equal(count_after(f, 0), round * 300 + 300);
        close_store(f);
    }
}

/* The directory is locked, may not be there, may be of no use: each is told apart. */
static void test_directory(void **state)
{
    struct fixture *f = *state;
    struct disk second;
    open_store(f, &small);
    assert_int_equal(disk_posix_open(f->directory, &second), -EBUSY);
    close_store(f);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/lock", f->directory);
    assert_int_equal(disk_posix_open(path, &second), -ENOTDIR);
    (void)snprintf(path, sizeof path, "%s/no/such", f->directory);
    assert_int_equal(disk_posix_open(path, &second), -ENOENT);
    (void)snprintf(path, sizeof path, "%s/made", f->directory);
    assert_int_equal(disk_posix_open(path, &second), 0);
    struct stat stat_buffer;
    assert_int_equal(stat(path, &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 07777, 0700);
    disk_posix_close(&second);
    assert_true(disk_posix_open("/proc/self", &second) < 0); /* nothing can be made there */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_entries_are_there_again),
        TEST(test_unsynced_entries_are_not_there),
        TEST(test_reader_follows_appends),
        TEST(test_sizes),
        TEST(test_entry_larger_than_a_segment),
        TEST(test_epochs),
        TEST(test_seat),
        TEST(test_truncate),
        TEST(test_truncate_between),
        TEST(test_snapshots_and_purge),
        TEST(test_snapshot_ahead_of_the_log),
        TEST(test_helper),
        TEST(test_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
