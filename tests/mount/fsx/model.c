#include "tests/mount/fsx/model.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>

static void resize(struct content *content, size_t size)
{
    assert(size <= FILE_BYTES);
    if (size > content->size)
        memset(content->bytes + content->size, 0, size - content->size);
    content->size = size;
}

static void put(struct content *content, size_t offset, const uint8_t *at, size_t len)
{
    if (offset + len > content->size)
        resize(content, offset + len);
    memcpy(content->bytes + offset, at, len);
}

static void copy(struct content *to, const struct content *from)
{
    to->size = from->size;
    memcpy(to->bytes, from->bytes, from->size);
}

static bool only_cut(const struct handle *handle)
{
    return handle->staged && handle->cut && !handle->view.size;
}

/* What the process began to stage last through a mount, and sees; NULL: nothing. */
static const struct handle *staged_last(const struct model *model, int mount)
{
    const struct handle *last = NULL;
    for (const struct handle *handle = model->handles; handle < model->handles + HANDLES; handle++) {
        bool shows = !only_cut(handle) || (handle->over == model->version && model->committed.size);
        if (handle->staged && shows && handle->fd >= 0 && handle->mount == mount &&
            (!last || handle->since > last->since))
            last = handle;
    }
    return last;
}

static void begin_staging(struct model *model, struct handle *handle)
{
    if (handle->staged)
        return;
    handle->staged = true;
    handle->since = ++model->clock;
    copy(&handle->view, &model->committed);
}

static void end_staging(struct handle *handle)
{
    handle->staged = handle->written = handle->cut = false;
    handle->writes = 0;
    memset(handle->mine, 0, sizeof handle->mine);
}

static void move_on(struct handle *handle, const struct content *to)
{
    copy(&handle->version, to);
    handle->at_end = false;
}

/* What others only cut, through this mount, goes with the commit of `handle` (NULL: of a truncate). */
static void take_cuts(struct model *model, const struct handle *handle, int mount)
{
    for (struct handle *other = model->handles; other < model->handles + HANDLES; other++) {
        if (other == handle || other->fd < 0 || other->mount != mount || !only_cut(other))
            continue;
        resize(&model->committed, 0);
        end_staging(other);
    }
}

void model_open(struct model *model, struct handle *handle)
{
    end_staging(handle);
    move_on(handle, &model->committed);
    handle->position = handle->next = 0;
    handle->small = model->committed.size <= SMALL;
    if (handle->flags & O_TRUNC) {
        model_cut(model, handle, 0);
        handle->written = false;
    }
}

void model_write(struct model *model, struct handle *handle, size_t offset, const uint8_t *at, size_t len)
{
    begin_staging(model, handle);
    put(&handle->view, offset, at, len);
    memset(handle->mine + offset, true, len);
    handle->written = true;
    handle->writes++;
}

void model_punch(struct model *model, struct handle *handle, size_t offset, size_t len)
{
    static const uint8_t zeros[FILE_BYTES];
    size_t size = handle->staged ? handle->view.size : model->committed.size;
    size_t end = offset + len < size ? offset + len : size;
    if (offset < end)
        model_write(model, handle, offset, zeros, end - offset);
}

void model_cut(struct model *model, struct handle *handle, size_t size)
{
    bool was = only_cut(handle);
    begin_staging(model, handle);
    resize(&handle->view, size);
    memset(handle->mine + size, false, FILE_BYTES - size);
    handle->low = handle->cut && handle->low < size ? handle->low : size;
    handle->cut = handle->written = true;
    handle->over = was ? handle->over : model->version;
    handle->writes++;
}

static void put_staged(struct content *committed, const struct handle *handle)
{
    if (handle->cut)
        resize(committed, handle->low);
    for (size_t from = 0, end; from < handle->view.size; from = end + 1) {
        for (end = from; end < handle->view.size && handle->mine[end];)
            end++;
        if (end > from)
            put(committed, from, handle->view.bytes + from, end - from);
    }
    if (handle->cut)
        resize(committed, handle->view.size);
}

void model_commit(struct model *model, struct handle *handle, const uint8_t *append, size_t len)
{
    if (!handle->staged && !len)
        return;
    take_cuts(model, handle, handle->mount);
    if (handle->staged)
        put_staged(&model->committed, handle);
    if (len)
        put(&model->committed, model->committed.size, append, len);
    model->version++;
    end_staging(handle);
    move_on(handle, &model->committed);
}

void model_truncate(struct model *model, int mount, size_t size)
{
    take_cuts(model, NULL, mount);
    for (struct handle *handle = model->handles; handle < model->handles + HANDLES; handle++)
        if (handle->fd >= 0 && handle->mount == mount && handle->staged)
            model_cut(model, handle, size);
    resize(&model->committed, size);
    model->version++;
}

const struct content *model_reads(struct model *model, struct handle *handle, size_t offset)
{
    if (handle->staged)
        return &handle->view;
    const struct handle *staged = staged_last(model, handle->mount);
    if (!offset || offset != handle->next || handle->at_end)
        move_on(handle, staged ? &staged->view : &model->committed);
    return &handle->version;
}

void model_has_read(struct handle *handle, size_t offset, size_t len)
{
    handle->next = offset + len;
    handle->at_end = !len;
}

bool model_may_be_new(const struct model *model, const struct handle *handle)
{
    return !handle->staged && (handle->small || handle->version.size <= SMALL || model->committed.size <= SMALL);
}

size_t model_size(const struct model *model, int mount)
{
    const struct handle *last = staged_last(model, mount);
    return last ? last->view.size : model->committed.size;
}

bool model_others_staged(const struct model *model, const struct handle *handle)
{
    for (const struct handle *other = model->handles; other < model->handles + HANDLES; other++)
        if (other != handle && other->fd >= 0 && other->mount == handle->mount && other->staged)
            return true;
    return false;
}
