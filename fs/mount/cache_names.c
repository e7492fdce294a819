/* Names expire one by one, by a notification that takes the lock of the directory. A local call that changes a name
 * there holds it until it is answered, which may be after the very entry whose name is to be expired: so a thread of
 * its own does it. If that is held up for EXPIRE_MS, a new epoch makes the kernel look up all names anew. This takes no
 * lock, but detaches what is mounted inside: with such mounts the thread is waited for, for PATIENT_MS.
 *
 * While the kernel holds the thread, the process cannot end: killed at that moment, it leaves /dev/fuse open, and the
 * call that holds the directory waits until another process serves the mount or the connection is aborted. So names are
 * not kept where calls from here change some (cache.c), and no more than a LOOKUP is waited for as a rule. */
#include "fs/mount/cache_names.h"

#include <assert.h>
#include <errno.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/mount/estate.h"
#include "fs/mount/ghost_mounts.h"
#include "fs/mount/inode.h"
#include "fs/mount/log.h"

enum {
    EXPIRE_MS = 1,
    PATIENT_MS = 20,
    STOP_MS = 1000,
    NOTIFY_INC_EPOCH = 8, /* Linux 6.16; libfuse 3.14 does not know it */
};

struct name {
    uint64_t parent;
    char *name;
    struct name *next;
};

struct cache_names {
    struct mount *mount;
    struct fuse_session *session;
    uint64_t root;
    pthread_t thread;
    struct ghost_mounts mounts; /* the client thread's */

    pthread_mutex_t lock;
    pthread_cond_t work, idle; /* CLOCK_MONOTONIC */
    struct name *list, **tail;
    bool busy, stopping, ended;
};

/* --- the thread --- */

static void expire(struct cache_names *names, const struct name *name)
{
    fuse_ino_t parent = name->parent == names->root ? FUSE_ROOT_ID : name->parent;
    fuse_lowlevel_notify_expire_entry(names->session, parent, name->name, strlen(name->name), FUSE_LL_EXPIRE_ONLY);
}

static void free_list(struct name *list)
{
    while (list) {
        struct name *next = list->next;
        free(list->name);
        free(list);
        list = next;
    }
}

/* The kernel may hold this thread when the process is killed: then it must not keep the files that the next worker
 * locks. In the foreground stderr is for the sanitizers. */
static bool separate(const struct cache_names *names)
{
    unsigned device = (unsigned)fuse_session_fd(names->session);
    return !unshare(CLONE_FILES) && (device <= 3 || !close_range(3, device - 1, 0)) &&
           !close_range(device + 1, ~0u, 0) && (!names->mount->background || log_leave_standard());
}

static void *expire_main(void *arg)
{
    struct cache_names *names = arg;
    if (!separate(names))
        log_line("the expiry of names keeps files open: %s", strerror(errno));
    pthread_mutex_lock(&names->lock);
    while (!names->stopping) {
        struct name *list = names->list;
        names->list = NULL;
        names->tail = &names->list;
        names->busy = list;
        if (!list) {
            pthread_cond_broadcast(&names->idle);
            pthread_cond_wait(&names->work, &names->lock);
            continue;
        }
        pthread_mutex_unlock(&names->lock);
        for (const struct name *name = list; name; name = name->next)
            expire(names, name);
        free_list(list);
        pthread_mutex_lock(&names->lock);
    }
    names->busy = false;
    names->ended = true;
    pthread_cond_broadcast(&names->idle);
    pthread_mutex_unlock(&names->lock);
    return NULL;
}

/* --- the client thread --- */

static bool new_epoch(struct mount *mount)
{
    const struct {
        uint32_t len;
        int32_t code;
        uint64_t unique;
    } notification = {sizeof notification, NOTIFY_INC_EPOCH, 0};
    inodes_forget_names(mount->inodes);
    return write(fuse_session_fd(mount->session), &notification, sizeof notification) == (ssize_t)sizeof notification;
}

static void add(struct cache_names *names, const struct change *change)
{
    struct name *name = malloc(sizeof *name);
    assert(name);
    *name = (struct name){change->parent, strdup(change->name), NULL};
    assert(name->name);
    *names->tail = name;
    names->tail = &name->next;
}

/* Locked. */
static bool wait_idle(struct cache_names *names, long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    while ((names->busy || names->list) && !pthread_cond_timedwait(&names->idle, &names->lock, &until))
        ;
    return !names->busy && !names->list;
}

static bool something_mounted(struct cache_names *names)
{
    ghost_mounts_update(&names->mounts, names->mount->device);
    return names->mounts.count || names->mounts.unknown;
}

/* Locked. */
static void wait_expired(struct cache_names *names)
{
    if (wait_idle(names, EXPIRE_MS))
        return;
    if (!something_mounted(names))
        new_epoch(names->mount);
    else if (!wait_idle(names, PATIENT_MS))
        log_line("a name that is gone may be seen until a call in its directory ends");
}

void cache_names_changed(struct cache_names *names, const struct changes *changes)
{
    bool any = false;
    pthread_mutex_lock(&names->lock);
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->list[i];
        bool goes = change->kind == CHANGE_DELETE || change->kind == CHANGE_RENAME;
        bool foreign = changes->session != atomic_load(&names->mount->own_session);
        bool owner = change->kind == CHANGE_ATTR && foreign; /* chmod goes by the one the kernel has */
        if (!(goes || owner) || !inodes_take_name(names->mount->inodes, change->id))
            continue;
        add(names, change);
        any = true;
    }
    if (any) {
        pthread_cond_signal(&names->work);
        wait_expired(names);
    }
    pthread_mutex_unlock(&names->lock);
}

void cache_names_replaced(struct cache_names *names)
{
    if (!something_mounted(names))
        new_epoch(names->mount);
}

/* --- life --- */

struct cache_names *cache_names_new(struct mount *mount)
{
    struct cache_names *names = calloc(1, sizeof *names);
    pthread_condattr_t monotonic;
    sigset_t all, before;
    if (!names)
        return NULL;
    names->mount = mount;
    names->session = mount->session;
    names->root = mount->root;
    if (!mount->resumed)
        mount->estate->epochs = new_epoch(mount);
    else if (mount->estate->epochs)
        cache_names_replaced(names);
    if (!mount->estate->epochs) {
        free(names);
        return NULL;
    }
    names->tail = &names->list;
    pthread_mutex_init(&names->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&names->work, &monotonic);
    pthread_cond_init(&names->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = !pthread_create(&names->thread, NULL, expire_main, names);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        return names;
    free(names);
    return NULL;
}

void cache_names_free(struct cache_names *names)
{
    if (!names)
        return;
    pthread_mutex_lock(&names->lock);
    names->stopping = true;
    pthread_cond_signal(&names->work);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += STOP_MS / 1000;
    while (!names->ended && !pthread_cond_timedwait(&names->idle, &names->lock, &until))
        ;
    bool ended = names->ended;
    pthread_mutex_unlock(&names->lock);
    ghost_mounts_free(&names->mounts);
    if (!ended) { /* the kernel holds it: it goes with the process, and so does what it uses */
        pthread_detach(names->thread);
        return;
    }
    pthread_join(names->thread, NULL);
    free_list(names->list);
    pthread_cond_destroy(&names->work);
    pthread_cond_destroy(&names->idle);
    pthread_mutex_destroy(&names->lock);
    free(names);
}
