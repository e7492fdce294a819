/* ghost_thread.h - what the files of the ghosts share. Only ghost*.c include it.
 *
 * Invariants
 * 1. A ghost thread has a descriptor table and a working directory of its own. The process's descriptors are not in
 *    it: a ghost that the kernel holds (behind a local mkdir that waits for this daemon) would otherwise keep
 *    /dev/fuse open when the daemon is killed, and mkdir, ghost and mount would hang for good.
 * 2. Its working directory is the root of a private clone of the mount (ghost_place.h), from where directories are
 *    opened by handle, never by path. Without the permission to clone it is the mount's own root, and only while it
 *    performs a job: the mount could not be unmounted otherwise.
 * 3. Locks: ghosts.lock or a thread's lock, then client_lock or that of the inodes. No call into the kernel is made
 *    under any of them, so that handlers may take them. */
#ifndef PACT_GHOST_THREAD_H
#define PACT_GHOST_THREAD_H

#include <pthread.h>

#include "fs/mount/estate.h"
#include "fs/mount/ghost_mounts.h"
#include "fs/mount/ghost_queue.h"
#include "fs/mount/mount.h"

enum {
    GHOST_THREADS = 2,      /* as long as they get on */
    GHOST_THREADS_MAX = 32, /* one more whenever nothing was finished for GHOST_STUCK_MS */
    GHOST_STUCK_MS = 5,
};

struct ghost_thread {
    struct ghosts *ghosts;
    _Atomic pid_t tid;      /* 0: has ended */
    _Atomic uint64_t *left; /* its place in the estate; NULL: none */
    struct ghost_job *job;  /* under ghosts.lock: what it has taken */
    pthread_mutex_t lock;
    /* Under the lock: what it performs, for the handlers that answer it. */
    const struct ghost_change *change;
    bool met; /* the kernel has looked up what is to be removed, and was told the old node */
    struct ghost_mounts mounts;
};

struct ghosts {
    struct mount *mount;
    struct estate *estate;
    char *mountpoint;
    dev_t device;
    int place, stop; /* the clone, -1: none; the eventfd that ends the watch over it */
    uint64_t root;   /* the znode that is the mount's root */

    pthread_mutex_t lock;
    pthread_cond_t work, rest, stuck, ended; /* CLOCK_MONOTONIC */
    struct ghost_queue *queue;
    bool minded, watched;         /* an idle thread waits (on `rest`) for what rests; the keeper, for one that could */
    unsigned idle, running, refs; /* threads, the keeper among the last two */
    _Atomic bool stopping;
    uint64_t done, skipped, failed;
    uint64_t zxid;    /* of the last changes that were announced */
    bool catching_up; /* those of the time without a worker are not queued yet */

    _Atomic unsigned count;
    struct ghost_thread threads[GHOST_THREADS_MAX];
};

/* The thread a request comes from; NULL if it is no ghost's. */
struct ghost_thread *ghosts_thread(struct ghosts *ghosts, fuse_req_t req);
/* Whether the kernel can have a watch that this concerns. */
bool ghosts_wanted(struct mount *mount, const struct ghost_change *change);

/* Under the lock: whom to signal, so that somebody looks at the queue; NULL: there is nothing to do. */
pthread_cond_t *ghosts_to_wake(struct ghosts *ghosts);

uint64_t ghosts_now_ns(void); /* CLOCK_MONOTONIC */

/* Under the lock: notes for the next worker up to where all has been announced. */
void ghosts_note_announced(struct ghosts *ghosts);

/* A thread's descriptor table and working directory are its own from here on: the first two invariants. False: it
 * cannot be, or the ghosts are being stopped. */
bool ghosts_separate(struct ghosts *ghosts);

/* ghost_catch_up.c: what changed while there was no worker. In a thread of its own, that ends then. */
void *ghosts_catch_up(void *ghosts);
/* Locked: gives up a thread's count. The lock is given up, too. */
void ghosts_end_thread(struct ghosts *ghosts);

/* Where a directory of the mount, or any inode, is opened by its number; O_PATH. -errno: the kernel cannot. */
int ghost_open_inode(fuse_ino_t ino);

/* What the thread performs is told to the kernel now. False: it is not to be told any more. */
bool ghost_tell(struct ghost_thread *thread);

/* Does it. 0 or -errno. */
int ghost_perform(struct ghost_thread *thread, const struct ghost_change *change);

#endif
