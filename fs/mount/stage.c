#include "fs/mount/stage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Replaces ranges [first, last) by one. */
static void replace(struct stage *stage, size_t first, size_t last, struct range by)
{
    for (size_t i = first; i < last; i++)
        stage->bytes -= stage->ranges[i].end - stage->ranges[i].offset;
    size_t count = stage->count - (last - first) + 1;
    if (count > stage->capacity) {
        stage->capacity = max(16, 2 * stage->capacity);
        stage->ranges = realloc(stage->ranges, stage->capacity * sizeof *stage->ranges);
        assert(stage->ranges);
    }
    memmove(stage->ranges + first + 1, stage->ranges + last, (stage->count - last) * sizeof *stage->ranges);
    stage->ranges[first] = by;
    stage->count = count;
    stage->bytes += by.end - by.offset;
}

static void join_nearest(struct stage *stage)
{
    size_t best = 0;
    uint64_t gap = UINT64_MAX;
    for (size_t i = 0; i + 1 < stage->count; i++) {
        uint64_t here = stage->ranges[i + 1].offset - stage->ranges[i].end;
        if (here < gap) {
            gap = here;
            best = i;
        }
    }
    replace(stage, best, best + 2, (struct range){stage->ranges[best].offset, stage->ranges[best + 1].end});
}

/* Notes a range as the writer's, joined with those it touches. */
static void mark(struct stage *stage, struct range range)
{
    size_t first = 0, last;
    while (first < stage->count && stage->ranges[first].end < range.offset)
        first++;
    for (last = first; last < stage->count && stage->ranges[last].offset <= range.end; last++) {
        range.offset = min(range.offset, stage->ranges[last].offset);
        range.end = max(range.end, stage->ranges[last].end);
    }
    replace(stage, first, last, range);
    if (stage->count > STAGE_RANGES)
        join_nearest(stage);
}

/* Forgets the ranges, and parts of ranges, from `size` on. */
static void cut(struct stage *stage, uint64_t size)
{
    while (stage->count && stage->ranges[stage->count - 1].end > size) {
        struct range *last = &stage->ranges[stage->count - 1];
        stage->bytes -= last->end - max(last->offset, size);
        if (last->offset < size) {
            last->end = size;
            return;
        }
        stage->count--;
    }
}

/* Carries one edit out on the view. */
static int view_edit(struct stage *stage, struct data *base, const struct edit *edit)
{
    struct data *view;
    int code = data_edit(stage->open ? stage->view : base, edit, 1, &view);
    if (code)
        return code;
    data_unref(stage->view);
    stage->view = view;
    stage->open = true;
    return ERR_OK;
}

int stage_write(struct stage *stage, struct data *base, uint64_t offset, const void *at, size_t len)
{
    if (!len)
        return ERR_OK;
    if (offset > LIMIT_DATA_BYTES || len > LIMIT_DATA_BYTES - offset)
        return ERR_TOO_BIG;
    int code = view_edit(stage, base, &(struct edit){EDIT_PUT, offset, {at, len}});
    if (!code)
        mark(stage, (struct range){offset, offset + len});
    return code;
}

int stage_truncate(struct stage *stage, struct data *base, uint64_t size)
{
    if (size > LIMIT_DATA_BYTES)
        return ERR_TOO_BIG;
    int code = view_edit(stage, base, &(struct edit){.kind = EDIT_TRUNCATE, .offset = size});
    if (code)
        return code;
    cut(stage, size);
    stage->low = stage->truncated ? min(stage->low, size) : size;
    stage->truncated = true;
    return ERR_OK;
}

size_t stage_edits(const struct stage *stage, struct edit *edits, void **bytes)
{
    uint8_t *at = malloc(stage->bytes + 1);
    size_t count = 0;
    uint64_t size = stage->low; /* after the edits so far, if truncated */
    assert(at);
    *bytes = at;
    if (stage->truncated)
        edits[count++] = (struct edit){.kind = EDIT_TRUNCATE, .offset = stage->low};
    for (size_t i = 0; i < stage->count; i++) {
        const struct range *range = &stage->ranges[i];
        size_t len = range->end - range->offset;
        size_t got = data_read(stage->view, range->offset, at, len);
        assert(got == len);
        edits[count++] = (struct edit){EDIT_PUT, range->offset, {at, len}};
        at += len;
        size = max(size, range->end);
    }
    if (stage->truncated && size != data_size(stage->view))
        edits[count++] = (struct edit){.kind = EDIT_TRUNCATE, .offset = data_size(stage->view)};
    return count;
}

void stage_clear(struct stage *stage)
{
    data_unref(stage->view);
    free(stage->ranges);
    *stage = (struct stage){0};
}
