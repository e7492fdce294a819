/* Who has staged what, and how a file looks to whom. */
#include <utlist.h>

#include "fs/mount/closing.h"
#include "fs/mount/file_internal.h"
#include "fs/mount/handle.h"
#include "fs/mount/inode.h"

/* Under the lock: forgets what a handle showed. */
static void clear(struct staged *staged)
{
    data_unref(staged->view);
    data_unref(staged->over);
    staged->view = staged->over = NULL;
    staged->emptied = staged->in_flight = false;
}

static void list(struct handle *handle, bool listed)
{
    struct staged *staged = &handle->staged;
    if (listed && !staged->listed)
        DL_APPEND2(handle->file->staged, handle, staged.prev, staged.next);
    else if (!listed && staged->listed)
        DL_DELETE2(handle->file->staged, handle, staged.prev, staged.next);
    staged->listed = listed;
}

void files_stage(struct files *files, struct handle *handle)
{
    const struct stage *stage = &handle->stage;
    struct staged *staged = &handle->staged;
    pthread_mutex_lock(&files->lock);
    bool emptied = stage->truncated && !data_size(stage->view);
    struct data *over = emptied ? data_ref(staged->emptied ? staged->over : handle->file->last) : NULL;
    clear(staged);
    staged->keeps_mtime = false; /* a write moves the time again */
    staged->view = data_ref(stage->view);
    staged->emptied = emptied;
    staged->over = over;
    staged->writer = handle->writer;
    staged->session = handle->session;
    staged->clears_set_id = handle->by_user && handle->written;
    list(handle, stage->open);
    pthread_mutex_unlock(&files->lock);
}

/* What it emptied is not for others to take any more, nor to be hidden. */
void files_commit(struct files *files, struct handle *handle)
{
    struct staged *staged = &handle->staged;
    pthread_mutex_lock(&files->lock);
    data_unref(staged->over);
    staged->over = NULL;
    staged->emptied = staged->keeps_mtime = false;
    staged->in_flight = staged->listed;
    pthread_mutex_unlock(&files->lock);
}

void files_end_commit(struct files *files, struct handle *handle)
{
    pthread_mutex_lock(&files->lock);
    if (handle->staged.in_flight) {
        clear(&handle->staged);
        list(handle, false);
    }
    pthread_mutex_unlock(&files->lock);
}

/* Whose staged writes are looked for: those of a process, and those through a handle that a thread wrote to last; of
 * anybody where both are 0. */
struct by {
    pid_t tgid, tid;
    uint64_t session; /* this mount's: what was staged under another is lost */
};

static bool staged_by(const struct handle *handle, struct by by)
{
    const struct staged *staged = &handle->staged;
    if (staged->session != by.session)
        return false;
    return (!by.tgid && !by.tid) || (by.tgid && staged->tgid == by.tgid) || (by.tid && staged->writer == by.tid);
}

/* The last one to have begun to stage something that shows. What was cut to nothing does not show over what others
 * committed since. */
static const struct handle *last_staged(const struct file *file, struct by by)
{
    const struct handle *handle, *last = NULL;
    DL_FOREACH2(file->staged, handle, staged.next)
    {
        const struct staged *staged = &handle->staged;
        bool shows = !staged->emptied || (staged->over == file->last && data_size(file->last));
        if (shows && staged_by(handle, by))
            last = handle;
    }
    return last;
}

bool files_taken(struct files *files, const struct handle *handle)
{
    pthread_mutex_lock(&files->lock);
    bool taken = !handle->staged.listed;
    pthread_mutex_unlock(&files->lock);
    return taken;
}

/* Under the lock: what a process has begun through other descriptors adds to this commit. */
static void join(const struct file *file, const struct handle *by)
{
    struct handle *other;
    DL_FOREACH2(file->writers, other, staged.writer_next)
    {
        other->staged.joined |= other != by && other->staged.tgid == by->staged.tgid;
    }
}

bool files_take_emptied(struct files *files, fuse_ino_t ino, const struct handle *handle)
{
    struct handle *other, *next;
    bool any = false;
    pthread_mutex_lock(&files->lock);
    const struct file *file = file_find(files, ino);
    DL_FOREACH_SAFE2((file ? file->staged : NULL), other, next, staged.next)
    {
        if (other == handle || !other->staged.emptied)
            continue;
        clear(&other->staged);
        other->staged.taken_by_other = handle && handle->staged.tgid != other->staged.tgid;
        list(other, false);
        any = true;
    }
    if (file && handle)
        join(file, handle);
    pthread_mutex_unlock(&files->lock);
    return any;
}

bool files_joined(struct files *files, const struct handle *handle)
{
    pthread_mutex_lock(&files->lock);
    bool joined = handle->staged.joined;
    pthread_mutex_unlock(&files->lock);
    return joined;
}

bool files_in_flux(struct files *files, fuse_ino_t ino)
{
    pthread_mutex_lock(&files->lock);
    const struct file *file = file_find(files, ino);
    bool flux = file && file->writers;
    pthread_mutex_unlock(&files->lock);
    return flux;
}

/* Under the lock. */
static bool look(struct file *file, struct by by, bool unborn, struct looked *looked)
{
    const struct handle *handle = file ? last_staged(file, by) : NULL;
    if (file && !handle && (unborn || file->removed))
        handle = last_staged(file, (struct by){.session = by.session});
    if (handle)
        *looked = (struct looked){data_ref(handle->staged.view), handle->staged.clears_set_id};
    else if (file && file->removed)
        *looked = (struct looked){.view = data_ref(file->last)};
    return handle || (file && file->removed);
}

bool files_look(struct mount *mount, fuse_ino_t ino, pid_t tid, struct looked *looked)
{
    struct files *files = mount->files;
    struct node_stat stat;
    pthread_mutex_lock(&files->lock);
    const struct file *file = file_find(files, ino);
    bool may = file && (file->staged || file->removed);
    pthread_mutex_unlock(&files->lock);
    if (!may)
        return false;
    bool unborn = !mount_stat(mount, znode_of(mount, ino), &stat) && stat.unborn_of;
    /* process_of reads /proc: only for files that are being written. */
    struct by by = {process_of(tid), tid, atomic_load(&mount->own_session)};
    pthread_mutex_lock(&files->lock);
    bool differs = look(file_find(files, ino), by, unborn, looked);
    pthread_mutex_unlock(&files->lock);
    return differs;
}

uint64_t files_next_staged(struct mount *mount, fuse_ino_t ino, pid_t tid, uint64_t fh)
{
    struct files *files = mount->files;
    const struct handle *handle;
    uint64_t next = 0;
    struct by by = {process_of(tid), tid, atomic_load(&mount->own_session)};
    pthread_mutex_lock(&files->lock);
    const struct file *file = file_find(files, ino);
    DL_FOREACH2((file ? file->staged : NULL), handle, staged.next)
    {
        bool open = !handle->staged.in_flight && staged_by(handle, by);
        if (open && handle->fh > fh && (!next || handle->fh < next))
            next = handle->fh;
    }
    pthread_mutex_unlock(&files->lock);
    return next;
}

void files_set_mtime(struct files *files, fuse_ino_t ino, int64_t mtime_ns)
{
    struct handle *handle;
    pthread_mutex_lock(&files->lock);
    struct file *file = file_find(files, ino);
    if (file)
        DL_FOREACH2(file->staged, handle, staged.next)
        {
            handle->staged.keeps_mtime = !handle->staged.in_flight; /* that was before */
            handle->staged.mtime_ns = mtime_ns;
        }
    pthread_mutex_unlock(&files->lock);
}

bool files_staged_mtime(struct files *files, const struct handle *handle, int64_t *mtime_ns)
{
    pthread_mutex_lock(&files->lock);
    bool keeps = handle->staged.keeps_mtime;
    *mtime_ns = handle->staged.mtime_ns;
    pthread_mutex_unlock(&files->lock);
    return keeps;
}
