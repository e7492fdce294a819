/* Versions of data: random edits against a plain array, sharing of blocks, what an append costs, readers in other
 * threads. */
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/errors.h"
#include "proto/limits.h"
#include "replica/state/data.h"
#include "tests/support/state_workload.h"

enum { BLOCK = LIMIT_BLOCK_BYTES };

static void assert_holds(const struct data *data, const uint8_t *expected, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    assert_int_equal(data_size(data), size);
    assert_int_equal(data_read(data, 0, bytes, size + 1), size);
    assert_memory_equal(bytes, expected, size);
    free(bytes);
}

static struct data *edited(struct data *from, struct edit edit)
{
    struct data *to = NULL;
    assert_int_equal(data_edit(from, &edit, 1, &to), ERR_OK);
    data_unref(from);
    return to;
}

/* --- against an array --- */

struct plain {
    uint8_t bytes[LIMIT_DATA_BYTES];
    size_t size;
};

/* The edit, carried out on the array. */
static int plain_edit(struct plain *plain, const struct edit *edit)
{
    uint64_t at = edit->kind == EDIT_APPEND ? plain->size : edit->offset;
    uint64_t end = edit->kind == EDIT_TRUNCATE ? at : at + edit->data.len;
    if (end > LIMIT_DATA_BYTES)
        return ERR_TOO_BIG;
    if (edit->kind == EDIT_TRUNCATE) {
        if (end < plain->size)
            memset(plain->bytes + end, 0, plain->size - end);
        plain->size = end;
    } else if (edit->data.len > 0) {
        memcpy(plain->bytes + at, edit->data.at, edit->data.len);
        plain->size = end > plain->size ? end : plain->size;
    }
    return ERR_OK;
}

static struct edit random_edit(struct workload *dice)
{
    static const size_t spans[] = {5, 100, BLOCK, 3 * BLOCK, 20 * BLOCK, LIMIT_DATA_BYTES + 2};
    struct edit edit = {.kind = (enum edit_kind)(1 + workload_random(dice, 3))};
    edit.offset = workload_random(dice, spans[workload_random(dice, 6)]);
    if (workload_random(dice, 4) == 0)
        edit.offset -= edit.offset % BLOCK;
    size_t len = workload_random(dice, spans[workload_random(dice, 5)]);
    edit.data = (struct bytes){workload_bytes(workload_random(dice, LIMIT_DATA_BYTES)), len};
    return edit;
}

static void test_random_edits_against_an_array(void **unused)
{
    (void)unused;
    enum { ROUNDS = 3000, KEPT = 16 };
    static struct plain plain, olds[KEPT];
    struct data *data = NULL, *kept[KEPT] = {NULL};
    struct workload dice = {.random = 12};
    for (int i = 0; i < ROUNDS; i++) {
        struct edit edits[4];
        struct data *next;
        size_t count = 1 + workload_random(&dice, 4);
        int expected = ERR_OK;
        struct plain *before = &olds[i % KEPT];
        *before = plain;
        for (size_t e = 0; e < count; e++)
            edits[e] = random_edit(&dice);
        for (size_t e = 0; e < count && expected == ERR_OK; e++)
            expected = plain_edit(&plain, &edits[e]);
        assert_int_equal(data_edit(data, edits, count, &next), expected);
        if (expected != ERR_OK) {
            plain = *before; /* refused in the middle: nothing happened */
            continue;
        }
        data_unref(kept[i % KEPT]); /* old versions live on, unchanged */
        kept[i % KEPT] = data;
        assert_holds(data, before->bytes, before->size);
        data = next;
        assert_holds(data, plain.bytes, plain.size);
        struct data *anew = data_new(plain.bytes, plain.size);
        assert_true(data_hash(anew) == data_hash(data)); /* the hash tells the content, not how it came about */
        data_unref(anew);
    }
    data_unref(data);
    for (int i = 0; i < KEPT; i++)
        data_unref(kept[i]);
}

/* --- properties --- */

static void test_empty(void **unused)
{
    (void)unused;
    struct data *empty = data_new(NULL, 0), *to = empty;
    uint8_t byte;
    assert_true(data_size(NULL) == 0 && data_hash(NULL) == 0 && data_read(NULL, 0, &byte, 1) == 0);
    assert_non_null(empty);
    assert_true(data_size(empty) == 0 && data_hash(empty) == 0);
    assert_int_equal(data_edit(empty, NULL, 0, &to), ERR_OK);
    assert_null(to);
    assert_null(data_ref(NULL));
    data_unref(NULL);
    data_unref(empty);
}

static void test_read_at_the_edges(void **unused)
{
    (void)unused;
    const size_t size = 2 * BLOCK + 10;
    struct data *data = data_new(workload_bytes(0), size);
    uint8_t bytes[100];
    assert_int_equal(data_read(data, BLOCK - 50, bytes, 100), 100);
    assert_memory_equal(bytes, workload_bytes(BLOCK - 50), 100);
    assert_int_equal(data_read(data, size - 10, bytes, 100), 10);
    assert_int_equal(data_read(data, size, bytes, 100), 0);
    assert_int_equal(data_read(data, UINT64_MAX, bytes, 100), 0);
    data_unref(data);
}

static void test_refused_edits_leave_all_as_it_was(void **unused)
{
    (void)unused;
    struct data *from = data_new("abc", 3), *to = from;
    struct edit edits[] = {{EDIT_APPEND, 0, {"d", 1}}, {EDIT_PUT, LIMIT_DATA_BYTES, {"x", 1}}};
    assert_int_equal(data_edit(from, edits, 2, &to), ERR_TOO_BIG);
    edits[1] = (struct edit){(enum edit_kind)9, 0, {"x", 1}};
    assert_int_equal(data_edit(from, edits, 2, &to), ERR_INVALID);
    assert_ptr_equal(to, from);
    assert_holds(from, (const uint8_t *)"abc", 3);
    data_unref(from);
}

/* Equal blocks in different places must not cancel or swap unseen. */
static void test_hash_tells_blocks_apart(void **unused)
{
    (void)unused;
    uint8_t *bytes = calloc(1, 3 * BLOCK);
    memset(bytes, 'a', BLOCK);
    struct data *first = data_new(bytes, 3 * BLOCK);
    memset(bytes, 0, BLOCK);
    memset(bytes + BLOCK, 'a', BLOCK);
    struct data *second = data_new(bytes, 3 * BLOCK), *shorter = data_new(bytes, 3 * BLOCK - 1);
    assert_true(data_hash(first) != data_hash(second) && data_hash(second) != data_hash(shorter));
    data_unref(first);
    data_unref(second);
    data_unref(shorter);
    free(bytes);
}

static void test_a_hole_takes_no_memory(void **unused)
{
    (void)unused;
    struct data *data = edited(data_new("start", 5), (struct edit){EDIT_TRUNCATE, LIMIT_DATA_BYTES, {NULL, 0}});
    uint8_t bytes[8], zeros[8] = {0};
    assert_int_equal(data_size(data), LIMIT_DATA_BYTES);
    assert_int_equal(data_read(data, LIMIT_DATA_BYTES / 2, bytes, 8), 8);
    assert_memory_equal(bytes, zeros, 8);
    assert_in_range(malloc_usable_size(data), 1, BLOCK);
    uint8_t *same = calloc(1, LIMIT_DATA_BYTES);
    memcpy(same, "start", 5);
    assert_holds(data, same, LIMIT_DATA_BYTES);
    free(same);
    data_unref(data);
}

/* 100 versions of a 1 MiB file, each an append: they share all blocks but the last, so they take a fraction of 100 MiB.
 */
static void test_versions_share_blocks(void **unused)
{
    (void)unused;
    enum { VERSIONS = 100 };
    struct data *versions[VERSIONS];
    versions[0] = data_new(workload_bytes(0), LIMIT_DATA_BYTES - VERSIONS);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (int i = 1; i < VERSIONS; i++) {
        struct edit edit = {EDIT_APPEND, 0, {"x", 1}};
        assert_int_equal(data_edit(versions[i - 1], &edit, 1, &versions[i]), ERR_OK);
    }
    size_t grown = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    assert_in_range(grown, 0, VERSIONS * (2 * BLOCK)); /* a block and the table of blocks each */
    uint8_t last;
    assert_int_equal(data_read(versions[VERSIONS - 1], LIMIT_DATA_BYTES - 2, &last, 1), 1);
    assert_int_equal(last, 'x');
    for (int i = 0; i < VERSIONS; i++)
        data_unref(versions[i]);
}

/* --- threads --- */

/* The newest version, as the tree would hold it: the lock guards the pointer, not the bytes. */
struct shared {
    pthread_mutex_t lock;
    struct data *newest;
    bool done;
};

static struct data *take_newest(struct shared *shared, bool *done)
{
    pthread_mutex_lock(&shared->lock);
    struct data *data = data_ref(shared->newest);
    *done = shared->done;
    pthread_mutex_unlock(&shared->lock);
    return data;
}

/* Reads whole versions, each of which holds one letter from its start to its end. */
static void *read_versions(void *arg)
{
    uint64_t mixed = 0;
    for (bool done = false; !done;) {
        static _Thread_local uint8_t bytes[4 * BLOCK];
        struct data *data = take_newest(arg, &done);
        size_t len = data_read(data, 0, bytes, sizeof bytes);
        data_unref(data);
        for (size_t i = 1; i < len; i++)
            mixed += bytes[i] != bytes[0];
    }
    return (void *)(uintptr_t)mixed;
}

static void test_versions_outlive_the_lock(void **unused)
{
    (void)unused;
    enum { READERS = 3, VERSIONS = 2000 };
    struct shared shared = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t readers[READERS];
    void *mixed;
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_versions, &shared), 0);
    for (int i = 0; i < VERSIONS; i++) {
        uint8_t letters[4 * BLOCK];
        memset(letters, 'a' + i % 26, sizeof letters);
        size_t size = i % 3 == 0 ? 100 : sizeof letters;
        struct edit edits[] = {{EDIT_TRUNCATE, size, {NULL, 0}}, {EDIT_PUT, 0, {letters, size}}};
        struct data *next, *old = shared.newest;
        assert_int_equal(data_edit(old, edits, 2, &next), ERR_OK);
        pthread_mutex_lock(&shared.lock);
        shared.newest = next;
        shared.done = i == VERSIONS - 1;
        pthread_mutex_unlock(&shared.lock);
        data_unref(old);
    }
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i], &mixed), 0);
        assert_null(mixed);
    }
    data_unref(shared.newest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_edits_against_an_array),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_read_at_the_edges),
        cmocka_unit_test(test_refused_edits_leave_all_as_it_was),
        cmocka_unit_test(test_hash_tells_blocks_apart),
        cmocka_unit_test(test_a_hole_takes_no_memory),
        cmocka_unit_test(test_versions_share_blocks),
        cmocka_unit_test(test_versions_outlive_the_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
