/* The store's three threads at once: its own, the helper that makes segments, and one that writes snapshots. Run
 * under ThreadSanitizer too. */
#include "replica/store/disk.h"
#include "replica/store/store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SNAPSHOTS = 12, ENTRY = 400 };

struct writing {
    struct store *store;
    uint64_t zxid;
    int code;
};

static void *write_snapshot(void *arg)
{
    struct writing *writing = arg;
    struct snapshot_writer *writer;
    static uint8_t piece[64 * KIB];
    memset(piece, (int)writing->zxid, sizeof piece);
    writing->code = snapshot_writer_begin(writing->store, writing->zxid, &writer);
    if (writing->code != ERR_OK)
        return NULL;
    for (int i = 0; i < 10; i++)
        (void)snapshot_writer_add(writer, piece, sizeof piece); /* commit gives its error */
    writing->code = snapshot_writer_commit(writer);
    return NULL;
}

static uint64_t count_entries(struct store *store)
{
    struct log_reader *reader;
    uint64_t zxid = 1, count = 0, base = store_base_zxid(store);
    struct bytes entry;
    assert_int_equal(log_reader_open(store, base, &reader), ERR_OK);
    while (log_reader_next(reader, &zxid, &entry) == ERR_OK && zxid != 0) {
        assert_int_equal(entry.len, ENTRY);
        assert_int_equal(zxid, base + ++count);
    }
    log_reader_close(reader);
    return base + count;
}

static void append_batch(struct store *store, uint64_t *zxid)
{
    uint8_t content[ENTRY];
    for (int i = 0; i < 20; i++) {
        memset(content, (int)*zxid, sizeof content);
        assert_int_equal(store_append(store, (*zxid)++, (struct bytes){content, sizeof content}), ERR_OK);
    }
    assert_int_equal(store_sync(store), ERR_OK);
}

/* Twelve snapshots are written while entries are appended, synced and read over hundreds of small segments; all of it
 * is there at the end. */
static void test_appending_while_a_snapshot_is_written(void **state)
{
    (void)state;
    char directory[] = "/tmp/test_store_XXXXXX", text[256], command[64];
    struct disk disk;
    struct store *store;
    struct store_options options = {.segment_bytes = 32 * KIB, .helper = true};
    assert_non_null(mkdtemp(directory));
    assert_int_equal(disk_posix_open(directory, &disk), 0);
    assert_int_equal(store_open(&disk, &options, &store, text, sizeof text), ERR_OK);
    uint64_t zxid = 1;
    for (int round = 0; round < SNAPSHOTS; round++) {
        append_batch(store, &zxid);
        struct writing writing = {.store = store, .zxid = zxid - 1};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, write_snapshot, &writing), 0);
        for (int i = 0; i < 20; i++)
            append_batch(store, &zxid);
        assert_int_equal(count_entries(store), zxid - 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(writing.code, ERR_OK);
        assert_int_equal(store_snapshot_done(store, writing.zxid), ERR_OK);
    }
    assert_true(store_base_zxid(store) > 0);
    store_close(store);
    assert_int_equal(store_open(&disk, &options, &store, text, sizeof text), ERR_OK);
    assert_string_equal(store_notice(store), "");
    assert_int_equal(count_entries(store), zxid - 1);
    store_close(store);
    disk_posix_close(&disk);
    (void)snprintf(command, sizeof command, "rm -r '%s'", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appending_while_a_snapshot_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
