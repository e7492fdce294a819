#include <assert.h>
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

#include "fs/mount/file_internal.h"
#include "fs/mount/handle.h"
#include "fs/mount/inode.h"

struct files *files_new(void)
{
    struct files *files = calloc(1, sizeof *files);
    pthread_condattr_t attr;
    if (!files)
        return NULL;
    pthread_mutex_init(&files->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&files->released, &attr);
    pthread_condattr_destroy(&attr);
    return files;
}

static void drop(struct files *files, struct file *file)
{
    file_set_closing(files, file, false);
    HASH_DEL(files->table, file);
    data_unref(file->last);
    free(file);
}

void files_free(struct files *files)
{
    struct file *file, *next;
    if (!files)
        return;
    HASH_ITER(hh, files->table, file, next)
    {
        drop(files, file);
    }
    pthread_cond_destroy(&files->released);
    pthread_mutex_destroy(&files->lock);
    free(files);
}

struct file *file_find(struct files *files, fuse_ino_t ino)
{
    struct file *file;
    HASH_FIND(hh, files->table, &ino, sizeof ino, file);
    return file;
}

struct file *files_open(struct files *files, fuse_ino_t ino, uint64_t id, struct data *last)
{
    pthread_mutex_lock(&files->lock);
    struct file *file = file_find(files, ino);
    if (!file) {
        file = calloc(1, sizeof *file);
        assert(file);
        file->ino = ino;
        file->id = id;
        file->last = data_ref(last);
        HASH_ADD(hh, files->table, ino, sizeof file->ino, file);
    }
    file->handles++;
    pthread_mutex_unlock(&files->lock);
    return file;
}

bool files_add_writer(struct files *files, struct handle *handle)
{
    pthread_mutex_lock(&files->lock);
    bool may = !handle->file->doomed;
    if (may)
        DL_APPEND2(handle->file->writers, handle, staged.writer_prev, staged.writer_next);
    handle->staged.writes = may;
    pthread_mutex_unlock(&files->lock);
    return may;
}

/* Under the lock: the writer of the lowest fh above this one; NULL: there is none. */
static struct handle *lowest_writer(const struct file *file, const struct handle *than, uint64_t fh)
{
    struct handle *writer, *lowest = NULL;
    DL_FOREACH2(file->writers, writer, staged.writer_next)
    {
        if (writer != than && writer->fh > fh && (!lowest || writer->fh < lowest->fh))
            lowest = writer;
    }
    return lowest;
}

/* The same, counted: one that has no count any more is about to be freed. */
static struct handle *next_writer(const struct file *file, const struct handle *than, uint64_t fh)
{
    struct handle *writer = lowest_writer(file, than, fh);
    while (writer && !handle_try_ref(writer))
        writer = lowest_writer(file, than, writer->fh);
    return writer;
}

struct handle *files_next_writer(struct files *files, fuse_ino_t ino, uint64_t fh)
{
    pthread_mutex_lock(&files->lock);
    const struct file *file = file_find(files, ino);
    struct handle *writer = file ? next_writer(file, NULL, fh) : NULL;
    pthread_mutex_unlock(&files->lock);
    return writer;
}

struct handle *files_heir(struct files *files, const struct handle *handle, uint64_t fh)
{
    struct file *file = handle->file;
    pthread_mutex_lock(&files->lock);
    struct handle *heir = next_writer(file, handle, fh);
    if (!heir) {
        file_set_closing(files, file, true);
        file_set_queued(files, file, false);
        file->doomed = true;
    }
    pthread_mutex_unlock(&files->lock);
    return heir;
}

bool files_is_doomed(struct files *files, fuse_ino_t ino)
{
    pthread_mutex_lock(&files->lock);
    const struct file *file = file_find(files, ino);
    bool doomed = file && file->doomed;
    pthread_mutex_unlock(&files->lock);
    return doomed;
}

void files_end_doom(struct files *files, struct file *file)
{
    pthread_mutex_lock(&files->lock);
    file->doomed = false;
    file_set_closing(files, file, false);
    pthread_mutex_unlock(&files->lock);
}

unsigned files_other_writers(struct files *files, const struct handle *handle)
{
    const struct handle *other;
    unsigned count = 0;
    pthread_mutex_lock(&files->lock);
    DL_FOREACH2(handle->file->writers, other, staged.writer_next)
    {
        count += other != handle && other->staged.tgid == handle->staged.tgid && !other->staged.left;
    }
    pthread_mutex_unlock(&files->lock);
    return count;
}

void files_set_left(struct files *files, struct handle *handle)
{
    pthread_mutex_lock(&files->lock);
    handle->staged.left = true;
    pthread_mutex_unlock(&files->lock);
}

void files_close(struct files *files, struct handle *handle)
{
    struct file *file = handle->file;
    pthread_mutex_lock(&files->lock);
    if (handle->staged.writes)
        DL_DELETE2(file->writers, handle, staged.writer_prev, staged.writer_next);
    if (!--file->handles)
        drop(files, file);
    pthread_mutex_unlock(&files->lock);
}

bool files_is_open(struct files *files, fuse_ino_t ino)
{
    pthread_mutex_lock(&files->lock);
    bool open = file_find(files, ino);
    pthread_mutex_unlock(&files->lock);
    return open;
}

/* --- following the tree --- */

/* Takes over a newer version; `there` false: the znode is gone. */
static void follow(struct files *files, fuse_ino_t ino, bool there, struct data *data, bool lost)
{
    pthread_mutex_lock(&files->lock);
    struct file *file = file_find(files, ino);
    if (file && !there)
        file->removed = true;
    if (file && !there)
        file->lost |= lost;
    if (file && there) {
        data_unref(file->last);
        file->last = data_ref(data);
    }
    pthread_mutex_unlock(&files->lock);
}

static void fetch(struct mount *mount, fuse_ino_t ino, bool lost)
{
    if (!files_is_open(mount->files, ino))
        return;
    const struct state *state = client_lock(mount->client);
    const struct node *node = state_node(state, znode_of(mount, ino));
    struct data *data = node ? data_ref(node_data(node)) : NULL;
    client_unlock(mount->client);
    follow(mount->files, ino, node, data, lost);
    data_unref(data);
}

/* The inodes that are open, in an array that the caller frees. */
static fuse_ino_t *open_inodes(struct files *files, size_t *count)
{
    pthread_mutex_lock(&files->lock);
    fuse_ino_t *inodes = calloc(HASH_COUNT(files->table) + 1, sizeof *inodes);
    struct file *file, *next;
    assert(inodes);
    *count = 0;
    HASH_ITER(hh, files->table, file, next)
    {
        inodes[(*count)++] = file->ino;
    }
    pthread_mutex_unlock(&files->lock);
    return inodes;
}

/* Whether a session ends with these. */
static bool ends_session(const struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        if (changes->list[i].kind == CHANGE_SESSION_CLOSE)
            return true;
    return false;
}

void files_changed(struct mount *mount, const struct changes *changes)
{
    size_t count;
    fuse_ino_t *inodes;
    for (size_t i = 0; changes && i < changes->count; i++) {
        const struct change *change = &changes->list[i];
        bool lost = change->kind == CHANGE_DELETE && change->unborn && ends_session(changes);
        if (change->kind == CHANGE_DATA || change->kind == CHANGE_CREATE || change->kind == CHANGE_DELETE)
            fetch(mount, inode_of(mount, change->id), lost);
    }
    if (changes)
        return;
    inodes = open_inodes(mount->files, &count);
    for (size_t i = 0; i < count; i++)
        fetch(mount, inodes[i], false);
    free(inodes);
}

bool files_removed(struct files *files, const struct file *file, struct data **last)
{
    pthread_mutex_lock(&files->lock);
    bool removed = file->removed;
    if (removed && last)
        *last = data_ref(file->last);
    pthread_mutex_unlock(&files->lock);
    return removed;
}

bool files_lost(struct files *files, const struct file *file)
{
    pthread_mutex_lock(&files->lock);
    bool lost = file->lost;
    pthread_mutex_unlock(&files->lock);
    return lost;
}

void files_set_removed(struct files *files, struct file *file)
{
    pthread_mutex_lock(&files->lock);
    file->removed = true;
    pthread_mutex_unlock(&files->lock);
}

int files_resize_removed(struct files *files, fuse_ino_t ino, uint64_t size)
{
    const struct edit cut = {.kind = EDIT_TRUNCATE, .offset = size};
    struct data *data;
    int code = ERR_OK;
    pthread_mutex_lock(&files->lock);
    struct file *file = file_find(files, ino);
    if (file && file->removed) {
        code = data_edit(file->last, &cut, 1, &data);
        if (!code) {
            data_unref(file->last);
            file->last = data;
        }
    }
    pthread_mutex_unlock(&files->lock);
    return code;
}

void files_set_last(struct files *files, struct file *file, struct data *last)
{
    pthread_mutex_lock(&files->lock);
    data_unref(file->last);
    file->last = data_ref(last);
    pthread_mutex_unlock(&files->lock);
}
