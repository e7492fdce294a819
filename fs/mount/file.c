#include "fs/mount/file.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

#include "fs/mount/closing.h"
#include "fs/mount/handle.h"
#include "fs/mount/inode.h"

struct files {
    pthread_mutex_t lock;
    pthread_cond_t released; /* a file is no longer closing, or has left the queue */
    struct file *table;
    struct file *queue; /* closing files whose commit is not submitted yet, in the order of their last FLUSH */
    struct turn *turns; /* their RELEASEs, as they come */
    bool taking;        /* a thread takes them */
};

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

static void set_queued(struct files *files, struct file *file, bool queued)
{
    if (queued && !file->queued)
        DL_APPEND2(files->queue, file, queue_prev, queue_next);
    if (!queued && file->queued)
        DL_DELETE2(files->queue, file, queue_prev, queue_next);
    file->queued = queued;
}

static void set_closing(struct files *files, struct file *file, bool closing)
{
    set_queued(files, file, closing);
    if (!closing && file->closing)
        pthread_cond_broadcast(&files->released);
    file->closing = closing;
    file->overdue = false;
}

static void drop(struct files *files, struct file *file)
{
    set_closing(files, file, false);
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

static struct file *find(struct files *files, fuse_ino_t ino)
{
    struct file *file;
    HASH_FIND(hh, files->table, &ino, sizeof ino, file);
    return file;
}

struct file *files_open(struct files *files, fuse_ino_t ino, uint64_t id, struct data *last)
{
    pthread_mutex_lock(&files->lock);
    struct file *file = find(files, ino);
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
    const struct file *file = find(files, ino);
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
        set_closing(files, file, true);
        set_queued(files, file, false);
        file->doomed = true;
    }
    pthread_mutex_unlock(&files->lock);
    return heir;
}

void files_end_doom(struct files *files, struct file *file)
{
    pthread_mutex_lock(&files->lock);
    file->doomed = false;
    set_closing(files, file, false);
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
    bool open = find(files, ino);
    pthread_mutex_unlock(&files->lock);
    return open;
}

/* --- following the tree --- */

/* Takes over a newer version; `there` false: the znode is gone. */
static void follow(struct files *files, fuse_ino_t ino, bool there, struct data *data, bool lost)
{
    pthread_mutex_lock(&files->lock);
    struct file *file = find(files, ino);
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

void files_set_last(struct files *files, struct file *file, struct data *last)
{
    pthread_mutex_lock(&files->lock);
    data_unref(file->last);
    file->last = data_ref(last);
    pthread_mutex_unlock(&files->lock);
}

/* --- who has staged what --- */

/* Under the lock: forgets what a handle showed. */
static void clear(struct staged *staged)
{
    data_unref(staged->view);
    data_unref(staged->over);
    staged->view = staged->over = NULL;
    staged->emptied = false;
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
    const struct file *file = find(files, ino);
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
    const struct file *file = find(files, ino);
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
    const struct file *file = find(files, ino);
    bool may = file && (file->staged || file->removed);
    pthread_mutex_unlock(&files->lock);
    if (!may)
        return false;
    bool unborn = !mount_stat(mount, znode_of(mount, ino), &stat) && stat.unborn_of;
    /* process_of reads /proc: only for files that are being written. */
    struct by by = {process_of(tid), tid, atomic_load(&mount->own_session)};
    pthread_mutex_lock(&files->lock);
    bool differs = look(find(files, ino), by, unborn, looked);
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
    const struct file *file = find(files, ino);
    DL_FOREACH2((file ? file->staged : NULL), handle, staged.next)
    {
        if (staged_by(handle, by) && handle->fh > fh && (!next || handle->fh < next))
            next = handle->fh;
    }
    pthread_mutex_unlock(&files->lock);
    return next;
}

void files_set_mtime(struct files *files, fuse_ino_t ino, int64_t mtime_ns)
{
    struct handle *handle;
    pthread_mutex_lock(&files->lock);
    struct file *file = find(files, ino);
    if (file)
        DL_FOREACH2(file->staged, handle, staged.next)
        {
            handle->staged.keeps_mtime = true;
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

/* --- waiting for a RELEASE --- */

void files_set_closing(struct files *files, struct file *file, bool closing)
{
    pthread_mutex_lock(&files->lock);
    set_closing(files, file, closing);
    pthread_mutex_unlock(&files->lock);
}

/* Waits until a file is released, or `until`; then it is returned: most likely somebody else still holds it. */
static struct file *wait_for(struct files *files, fuse_ino_t ino, const struct timespec *until)
{
    struct file *file = find(files, ino);
    int late = 0;
    while (file && file->closing && !late) {
        late = pthread_cond_timedwait(&files->released, &files->lock, until);
        file = find(files, ino);
    }
    return late ? file : NULL;
}

static struct timespec after_ms(long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    return until;
}

void files_wait_closing(struct files *files, fuse_ino_t ino)
{
    pthread_mutex_lock(&files->lock);
    struct file *file = find(files, ino);
    if (file && file->closing && !file->overdue) {
        struct timespec until = after_ms(UNBORN_WAIT_MS);
        file = wait_for(files, ino, &until);
        if (file)
            file->overdue = true;
    }
    pthread_mutex_unlock(&files->lock);
}

/* Under the lock: a RELEASE that nothing comes before any more. */
static struct turn *next_turn(struct files *files)
{
    struct turn *turn;
    DL_FOREACH(files->turns, turn)
    {
        if (!turn->file->queued || turn->file == files->queue)
            return turn;
    }
    return NULL;
}

/* Under the lock: until something may have changed. The first file's RELEASE does not come within TURN_WAIT_MS:
 * somebody else still holds it. */
static void wait_turn(struct files *files)
{
    struct file *first = files->queue;
    struct timespec until = after_ms(TURN_WAIT_MS);
    int late = 0;
    while (!late && files->queue == first && !next_turn(files))
        late = pthread_cond_timedwait(&files->released, &files->lock, &until);
    if (late && files->queue == first)
        set_queued(files, first, false);
}

void files_take_turns(struct files *files, struct turn *turn, void (*go)(void *arg))
{
    pthread_mutex_lock(&files->lock);
    DL_APPEND(files->turns, turn);
    pthread_cond_broadcast(&files->released);
    bool taken = files->taking;
    files->taking = true;
    while (!taken && files->turns) {
        struct turn *next = next_turn(files);
        if (!next) {
            wait_turn(files);
            continue;
        }
        DL_DELETE(files->turns, next);
        pthread_mutex_unlock(&files->lock);
        go(next->arg);
        pthread_mutex_lock(&files->lock);
    }
    files->taking = taken;
    pthread_mutex_unlock(&files->lock);
}

void files_end_turn(struct files *files, struct file *file)
{
    pthread_mutex_lock(&files->lock);
    set_queued(files, file, false);
    pthread_mutex_unlock(&files->lock);
}
