/* The ghosts' threads: two as long as they get on, more when the kernel holds them. */
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "fs/mount/ghost_place.h"
#include "fs/mount/ghost_thread.h"
#include "fs/mount/log.h"

enum { NS_PER_S = 1000000000 };

uint64_t ghosts_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static struct timespec at_ns(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
}

/* --- whose requests are ghosts' --- */

struct ghost_thread *ghosts_thread(struct ghosts *ghosts, fuse_req_t req)
{
    pid_t tid = fuse_req_ctx(req)->pid;
    unsigned count = ghosts && tid ? ghosts->count : 0;
    for (unsigned i = 0; i < count; i++)
        if (ghosts->threads[i].tid == tid)
            return &ghosts->threads[i];
    return NULL;
}

bool ghosts_own(const struct ghosts *ghosts, fuse_req_t req)
{
    return ghosts_thread((struct ghosts *)ghosts, req);
}

pthread_cond_t *ghosts_to_wake(struct ghosts *ghosts)
{
    bool minded = ghosts->idle ? ghosts->minded : ghosts->watched;
    if (!ghost_queue_ready(ghosts->queue) && (minded || !ghost_queue_due_ns(ghosts->queue)))
        return NULL;
    if (!ghosts->idle)
        return &ghosts->stuck;
    return ghosts->minded && ghosts->idle == 1 ? &ghosts->rest : &ghosts->work;
}

static void destroy(struct ghosts *ghosts)
{
    for (unsigned i = 0; i < ghosts->count; i++)
        pthread_mutex_destroy(&ghosts->threads[i].lock);
    ghost_queue_free(ghosts->queue);
    pthread_cond_destroy(&ghosts->work);
    pthread_cond_destroy(&ghosts->rest);
    pthread_cond_destroy(&ghosts->stuck);
    pthread_cond_destroy(&ghosts->ended);
    pthread_mutex_destroy(&ghosts->lock);
    free(ghosts->mountpoint);
    if (ghosts->stop >= 0)
        close(ghosts->stop);
    free(ghosts);
}

/* Locked on entry. */
static void unref(struct ghosts *ghosts)
{
    bool last = !--ghosts->refs;
    pthread_mutex_unlock(&ghosts->lock);
    if (last)
        destroy(ghosts);
}

void ghosts_end_thread(struct ghosts *ghosts)
{
    ghosts->running--;
    pthread_cond_signal(&ghosts->ended);
    unref(ghosts);
}

bool ghost_tell(struct ghost_thread *thread)
{
    pthread_mutex_lock(&thread->ghosts->lock);
    bool told = thread->job && ghost_queue_tell(thread->job);
    pthread_mutex_unlock(&thread->ghosts->lock);
    return told;
}

/* Locked on entry and return. */
static void perform(struct ghost_thread *thread, struct ghost_job *job)
{
    struct ghosts *ghosts = thread->ghosts;
    pthread_cond_t *next = ghosts_to_wake(ghosts);
    bool wanted = !job->is_void;
    thread->job = job;
    pthread_mutex_unlock(&ghosts->lock);
    if (next)
        pthread_cond_signal(next);
    wanted = wanted && ghosts_wanted(ghosts->mount, &job->change);
    int code = wanted ? ghost_perform(thread, &job->change) : 0;
    pthread_mutex_lock(&ghosts->lock);
    thread->job = NULL;
    wanted &= !job->is_void || !code;
    ghosts->done += wanted && !code;
    ghosts->failed += wanted && code;
    ghosts->skipped += !wanted;
    ghost_queue_done(ghosts->queue, job);
    ghosts_note_announced(ghosts);
}

/* The first two invariants of ghost_thread.h; in the foreground stderr is for the sanitizers. `place` is closed after
 * `stopping` is set: while that is not so, the copy of the table made before has it. */
bool ghosts_separate(struct ghosts *ghosts)
{
    if (unshare(CLONE_FS | CLONE_FILES) < 0)
        return false;
    pthread_mutex_lock(&ghosts->lock);
    bool stopping = ghosts->stopping;
    pthread_mutex_unlock(&ghosts->lock);
    if (stopping)
        return false;
    if (ghosts->place < 0)
        return close_range(3, ~0u, 0) == 0 && (!ghosts->mount->background || log_leave_standard());
    /* To go there may ask this daemon, who may be dead by then: /dev/fuse must not be open any more. */
    unsigned place = (unsigned)ghosts->place;
    if ((place > 3 && close_range(3, place - 1, 0) < 0) || close_range(place + 1, ~0u, 0) < 0)
        return false;
    bool there = fchdir(ghosts->place) == 0;
    close(ghosts->place);
    return there && (!ghosts->mount->background || log_leave_standard());
}

/* Until there is work; one of those who wait minds what rests. */
static void idle(struct ghosts *ghosts)
{
    uint64_t due_ns = ghost_queue_due_ns(ghosts->queue);
    struct timespec due = at_ns(due_ns);
    bool minds = due_ns && !ghosts->minded;
    ghosts->idle++;
    if (minds) {
        ghosts->minded = true;
        pthread_cond_timedwait(&ghosts->rest, &ghosts->lock, &due);
        ghosts->minded = false;
    } else {
        pthread_cond_wait(&ghosts->work, &ghosts->lock);
    }
    ghosts->idle--;
}

static void *ghost_main(void *arg)
{
    struct ghost_thread *thread = arg;
    struct ghosts *ghosts = thread->ghosts;
    thread->tid = gettid();
    thread->left = estate_add_ghost(ghosts->estate, thread->tid);
    bool able = ghosts_separate(ghosts);
    pthread_mutex_lock(&ghosts->lock);
    while (able && !ghosts->stopping) {
        if (ghost_queue_due_ns(ghosts->queue))
            ghost_queue_pass_time(ghosts->queue, ghosts_now_ns());
        struct ghost_job *job = ghost_queue_take(ghosts->queue);
        if (job) {
            perform(thread, job);
            continue;
        }
        idle(ghosts);
    }
    thread->tid = 0;
    if (thread->left)
        atomic_store(thread->left, 0);
    ghost_mounts_free(&thread->mounts);
    ghosts_end_thread(ghosts);
    return NULL;
}

/* Ghosts must not take the process's signals. Locked. */
static bool start_detached(struct ghosts *ghosts, void *(*main)(void *), void *arg)
{
    sigset_t all, before;
    pthread_t id;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = !pthread_create(&id, NULL, main, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!started)
        return false;
    pthread_detach(id);
    ghosts->running++;
    ghosts->refs++;
    return true;
}

static bool start_thread(struct ghosts *ghosts)
{
    if (ghosts->count == GHOST_THREADS_MAX)
        return false;
    struct ghost_thread *thread = &ghosts->threads[ghosts->count];
    thread->ghosts = ghosts;
    pthread_mutex_init(&thread->lock, NULL);
    ghosts->count++;
    return start_detached(ghosts, ghost_main, thread);
}

static struct timespec after_ms(uint64_t ms)
{
    return at_ns(ghosts_now_ns() + ms * (NS_PER_S / 1000));
}

static bool overloaded(struct ghosts *ghosts)
{
    return !ghosts->idle && (ghost_queue_ready(ghosts->queue) || ghost_queue_due_ns(ghosts->queue));
}

static uint64_t finished(const struct ghosts *ghosts)
{
    return ghosts->done + ghosts->failed + ghosts->skipped;
}

/* The keeper: when there is work, nobody to do it, and nothing gets done, the threads are stuck. It never touches the
 * mount itself. */
static void *keeper_main(void *arg)
{
    struct ghosts *ghosts = arg;
    pthread_mutex_lock(&ghosts->lock);
    while (!ghosts->stopping) {
        if (!overloaded(ghosts)) {
            pthread_cond_wait(&ghosts->stuck, &ghosts->lock);
            continue;
        }
        uint64_t before = finished(ghosts);
        struct timespec until = after_ms(GHOST_STUCK_MS);
        ghosts->watched = true;
        while (!ghosts->stopping && pthread_cond_timedwait(&ghosts->stuck, &ghosts->lock, &until) == 0)
            ;
        ghosts->watched = false;
        if (!ghosts->stopping && overloaded(ghosts) && finished(ghosts) == before)
            start_thread(ghosts);
    }
    ghosts_end_thread(ghosts);
    return NULL;
}

static void stop(struct ghosts *ghosts)
{
    ghosts->stopping = true;
    pthread_cond_broadcast(&ghosts->work);
    pthread_cond_broadcast(&ghosts->rest);
    pthread_cond_broadcast(&ghosts->stuck);
}

/* Watches over the clone: when the mount is gone, there is nobody to announce anything to, and the clone must go, too.
 */
static void *watch_main(void *arg)
{
    struct ghosts *ghosts = arg;
    ghost_place_wait(ghosts->device, ghosts->stop);
    pthread_mutex_lock(&ghosts->lock);
    stop(ghosts);
    pthread_mutex_unlock(&ghosts->lock);
    close(ghosts->place);
    pthread_mutex_lock(&ghosts->lock);
    ghosts_end_thread(ghosts);
    return NULL;
}

static uint64_t parent_of(void *arg, uint64_t id)
{
    struct node_stat stat;
    return mount_stat(arg, id, &stat) ? 0 : stat.parent;
}

static struct ghosts *ghosts_new(struct mount *mount)
{
    struct ghosts *ghosts = calloc(1, sizeof *ghosts);
    pthread_condattr_t monotonic;
    if (!ghosts)
        return NULL;
    ghosts->mount = mount;
    ghosts->estate = mount->estate;
    ghosts->root = mount->root;
    ghosts->refs = 1;
    pthread_mutex_init(&ghosts->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&ghosts->work, &monotonic);
    pthread_cond_init(&ghosts->rest, &monotonic);
    pthread_cond_init(&ghosts->stuck, &monotonic);
    pthread_cond_init(&ghosts->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    ghosts->queue = ghost_queue_new(LIMIT_GHOSTS, parent_of, mount);
    ghosts->mountpoint = strdup(mount->mountpoint);
    ghosts->place = -1;
    ghosts->stop = eventfd(0, EFD_CLOEXEC);
    return ghosts;
}

/* Locked. */
static bool start_threads(struct ghosts *ghosts)
{
    bool started = start_detached(ghosts, keeper_main, ghosts);
    ghosts->place = started ? ghost_place_open(ghosts->mountpoint) : -1;
    if (ghosts->place >= 0 && !start_detached(ghosts, watch_main, ghosts)) {
        close(ghosts->place);
        ghosts->place = -1;
    }
    for (int i = 0; i < GHOST_THREADS && started; i++)
        started = start_thread(ghosts);
    ghosts->catching_up = started && ghosts->mount->resumed;
    if (ghosts->catching_up && !start_detached(ghosts, ghosts_catch_up, ghosts))
        started = false;
    return started;
}

int ghosts_start(struct mount *mount, struct ghosts **out)
{
    struct ghosts *ghosts = ghosts_new(mount);
    if (!ghosts)
        return ERR_IO;
    pthread_mutex_lock(&ghosts->lock);
    ghosts->device = mount->device;
    bool started = ghosts->queue && ghosts->mountpoint && ghosts->stop >= 0 && start_threads(ghosts);
    pthread_mutex_unlock(&ghosts->lock);
    if (!started) {
        ghosts_stop(ghosts);
        ghosts_free(ghosts);
        return ERR_IO;
    }
    *out = ghosts;
    return ERR_OK;
}

void ghosts_stop(struct ghosts *ghosts)
{
    struct timespec until = after_ms(GHOSTS_STOP_MS);
    pthread_mutex_lock(&ghosts->lock);
    stop(ghosts);
    if (ghosts->stop >= 0 && eventfd_write(ghosts->stop, 1) < 0)
        perror("pactfs: the ghosts' watch");
    while (ghosts->running && pthread_cond_timedwait(&ghosts->ended, &ghosts->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&ghosts->lock);
}

void ghosts_free(struct ghosts *ghosts)
{
    pthread_mutex_lock(&ghosts->lock);
    unref(ghosts);
}
