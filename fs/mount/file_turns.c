/* Files whose last writer has closed: waiting for their RELEASEs, and the order of these. */
#include <time.h>
#include <utlist.h>

#include "fs/mount/file_internal.h"

void file_set_queued(struct files *files, struct file *file, bool queued)
{
    if (queued && !file->queued)
        DL_APPEND2(files->queue, file, queue_prev, queue_next);
    if (!queued && file->queued)
        DL_DELETE2(files->queue, file, queue_prev, queue_next);
    file->queued = queued;
}

void file_set_closing(struct files *files, struct file *file, bool closing)
{
    file_set_queued(files, file, closing);
    if (!closing && file->closing)
        pthread_cond_broadcast(&files->released);
    file->closing = closing;
    file->overdue = false;
}

void files_set_closing(struct files *files, struct file *file, bool closing)
{
    pthread_mutex_lock(&files->lock);
    file_set_closing(files, file, closing);
    pthread_mutex_unlock(&files->lock);
}

/* Waits until a file is released, or `until`; then it is returned: most likely somebody else still holds it. */
static struct file *wait_for(struct files *files, fuse_ino_t ino, const struct timespec *until)
{
    struct file *file = file_find(files, ino);
    int late = 0;
    while (file && file->closing && !late) {
        late = pthread_cond_timedwait(&files->released, &files->lock, until);
        file = file_find(files, ino);
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
    struct file *file = file_find(files, ino);
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
        file_set_queued(files, first, false);
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
    file_set_queued(files, file, false);
    pthread_mutex_unlock(&files->lock);
}
