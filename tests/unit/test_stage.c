/* What is staged and not yet committed: whatever a writer does, committing its stage on the file it began with gives
 * the file it saw; committing it on a file that changed meanwhile leaves the other writer's parts alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "fs/mount/stage.h"

/* The stage committed on `current`: a new version. */
static struct data *commit(const struct stage *stage, struct data *current)
{
    struct edit *edits = malloc(LIMIT_EDITS * sizeof *edits);
    struct data *committed;
    void *bytes;
    size_t count = stage_edits(stage, edits, &bytes);
    assert_true(count <= LIMIT_EDITS);
    assert_int_equal(data_edit(current, edits, count, &committed), ERR_OK);
    free(bytes);
    free(edits);
    return committed;
}

static void assert_content(struct data *data, const char *expected, size_t len)
{
    char *content = malloc(len + 1);
    assert_int_equal(data_size(data), len);
    assert_int_equal(data_read(data, 0, content, len), len);
    assert_memory_equal(content, expected, len);
    free(content);
}

static void assert_commits_to(const struct stage *stage, const char *current, const char *expected)
{
    struct data *before = data_new(current, strlen(current)), *after = commit(stage, before);
    assert_content(after, expected, strlen(expected));
    data_unref(before);
    data_unref(after);
}

/* Two programs write different parts of one file: neither undoes the other. */
static void only_the_written_parts_are_committed(void **unused)
{
    struct stage stage = {0};
    struct data *base = data_new("0123456789", 10);
    (void)unused;
    assert_int_equal(stage_write(&stage, base, 2, "ab", 2), ERR_OK);
    assert_int_equal(stage_write(&stage, base, 7, "cd", 2), ERR_OK);
    assert_content(stage.view, "01ab456cd9", 10);
    assert_commits_to(&stage, "9876543210XYZ", "98ab543cd0XYZ");
    stage_clear(&stage);
    data_unref(base);
}

/* echo x > f: the truncation is a part of the same commit, and the size after it does not depend on what was there. */
static void truncation_is_part_of_the_commit(void **unused)
{
    struct stage stage = {0};
    struct data *base = data_new("old content", 11);
    (void)unused;
    assert_int_equal(stage_truncate(&stage, base, 0), ERR_OK);
    assert_int_equal(stage_write(&stage, base, 0, "new\n", 4), ERR_OK);
    assert_commits_to(&stage, "old content", "new\n");
    assert_commits_to(&stage, "another writer was here and wrote a lot", "new\n");
    assert_commits_to(&stage, "", "new\n");
    stage_clear(&stage);
    data_unref(base);
}

/* A file cut, written and made longer again ends with zeros, whatever was there. */
static void cut_and_grown_reads_zeros(void **unused)
{
    struct stage stage = {0};
    struct data *base = data_new("0123456789", 10), *current = data_new("abcdefghijkl", 12), *after;
    (void)unused;
    assert_int_equal(stage_write(&stage, base, 4, "WXYZ", 4), ERR_OK);
    assert_int_equal(stage_truncate(&stage, base, 6), ERR_OK);
    assert_int_equal(stage_truncate(&stage, base, 9), ERR_OK);
    assert_int_equal(stage.bytes, 2);
    after = commit(&stage, current);
    assert_content(after, "abcdWX\0\0\0", 9);
    stage_clear(&stage);
    data_unref(base);
    data_unref(current);
    data_unref(after);
}

static void too_big_changes_nothing(void **unused)
{
    struct stage stage = {0};
    (void)unused;
    assert_int_equal(stage_write(&stage, NULL, LIMIT_DATA_BYTES - 1, "x", 1), ERR_OK);
    assert_int_equal(stage_write(&stage, NULL, LIMIT_DATA_BYTES, "x", 1), ERR_TOO_BIG);
    assert_int_equal(stage_write(&stage, NULL, UINT64_MAX, "xy", 2), ERR_TOO_BIG);
    assert_int_equal(stage_truncate(&stage, NULL, LIMIT_DATA_BYTES + 1), ERR_TOO_BIG);
    assert_int_equal(data_size(stage.view), LIMIT_DATA_BYTES);
    assert_int_equal(stage.bytes, 1);
    stage_clear(&stage);
}

/* A writer that leaves more holes than an entry has edits: the nearest parts are joined, nothing is lost. */
static void many_holes_are_bounded(void **unused)
{
    enum { PARTS = 3 * STAGE_RANGES };
    struct stage stage = {0};
    struct data *after;
    char *expected = calloc(1, PARTS * 10);
    (void)unused;
    for (size_t i = 0; i < PARTS; i++) {
        size_t offset = (i * 7919 % PARTS) * 10;
        assert_int_equal(stage_write(&stage, NULL, offset, "x", 1), ERR_OK);
        expected[offset] = 'x';
    }
    assert_true(stage.count <= STAGE_RANGES);
    after = commit(&stage, NULL);
    assert_content(after, expected, (PARTS - 1) * 10 + 1);
    stage_clear(&stage);
    data_unref(after);
    free(expected);
}

/* A model: plain bytes with the same operations. */
struct model {
    size_t size;
    char at[LIMIT_DATA_BYTES];
};

static void model_truncate(struct model *model, size_t size)
{
    if (size > model->size)
        memset(model->at + model->size, 0, size - model->size);
    model->size = size;
}

static void model_write(struct model *model, size_t offset, const char *from, size_t len)
{
    if (offset + len > model->size)
        model_truncate(model, offset + len);
    memcpy(model->at + offset, from, len);
}

static void check_invariants(const struct stage *stage)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < stage->count; i++) {
        assert_true(stage->ranges[i].offset < stage->ranges[i].end);
        assert_true(i == 0 || stage->ranges[i - 1].end < stage->ranges[i].offset);
        assert_true(stage->ranges[i].end <= data_size(stage->view));
        bytes += stage->ranges[i].end - stage->ranges[i].offset;
    }
    assert_int_equal(bytes, stage->bytes);
}

static void random_step(struct stage *stage, struct data *base, struct model *model)
{
    char from[3000];
    size_t offset = (size_t)rand() % 20000, len = 1 + (size_t)rand() % sizeof from;
    memset(from, 'a' + rand() % 26, sizeof from);
    if (rand() % 8) {
        assert_int_equal(stage_write(stage, base, offset, from, len), ERR_OK);
        model_write(model, offset, from, len);
    } else {
        assert_int_equal(stage_truncate(stage, base, offset), ERR_OK);
        model_truncate(model, offset);
    }
    check_invariants(stage);
}

/* 2,000 writers of up to 30 steps each: the view and the commit agree with plain bytes. */
static void random_writers_agree_with_plain_bytes(void **unused)
{
    struct model *model = calloc(1, sizeof *model);
    (void)unused;
    srand(1);
    for (int round = 0; round < 2000; round++) {
        struct stage stage = {0};
        model->size = (size_t)rand() % 10000;
        memset(model->at, '0' + round % 10, model->size);
        struct data *base = data_new(model->at, model->size), *after;
        for (int step = rand() % 30 + 1; step; step--)
            random_step(&stage, base, model);
        assert_content(stage.view, model->at, model->size);
        after = commit(&stage, base);
        assert_content(after, model->at, model->size);
        data_unref(after);
        data_unref(base);
        stage_clear(&stage);
    }
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_written_parts_are_committed),
        cmocka_unit_test(truncation_is_part_of_the_commit),
        cmocka_unit_test(cut_and_grown_reads_zeros),
        cmocka_unit_test(too_big_changes_nothing),
        cmocka_unit_test(many_holes_are_bounded),
        cmocka_unit_test(random_writers_agree_with_plain_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
