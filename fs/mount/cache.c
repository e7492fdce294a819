/* What the kernel keeps of what it was told, and when it must give it up.
 *
 * Invariants
 * 1. A reply that may be kept is written while the tree says what it says: replies are written inside the gate as
 *    readers, the tree changes inside it as the writer.
 * 2. Inside the gate, after the tree has changed and before anybody reads it, the kernel forgets the attributes of all
 *    that was touched. That takes no lock of the kernel's: a call in flight, which waits for us or for the gate, cannot
 *    hold it up. A reply of before that the kernel has not taken in yet is void (its attribute version); but not the
 *    LOOKUP that makes the inode, which has no version yet: where the kernel does not have what it was told of, all
 *    names expire at once, so that it looks again. Not told is a change of content alone where the kernel has voided
 *    size and times itself, by a write that has ended, and has been told of none to keep since.
 * 3. Names are expired by a thread of their own (cache_names.c), after the gate is open again and before the next entry
 *    is applied, because expiring takes the lock of a directory, which a LOOKUP in flight may hold while it waits at
 *    the gate. So who sees an entry finds nothing older than the one before it.
 * 4. What is absent is never kept: that a name appears needs no expiry.
 * 5. Filling the page cache never waits at the gate: it holds a page's lock, for which dropping pages waits. */
#include "fs/mount/cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/mount/cache_names.h"
#include "fs/mount/control.h"
#include "fs/mount/file.h"
#include "fs/mount/inode.h"

/* So long after a local change of names in a directory none there is kept: the next change by another host would find
 * the kernel holding the directory. */
enum { BUSY_MS = 1000 };
/* And so long not the name that a call is sent back for: it comes again, as soon as its process runs. */
enum { ASKED_MS = 60000 };

struct cache {
    struct mount *mount;
    pthread_rwlock_t gate;
    struct cache_names *names; /* NULL: none are kept */
    _Atomic bool on;
};

struct cache *cache_new(struct mount *mount)
{
    struct cache *cache = calloc(1, sizeof *cache);
    pthread_rwlockattr_t attributes;
    if (!cache)
        return NULL;
    cache->mount = mount;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&cache->gate, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    return cache;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void forget_all_attrs(struct cache *cache)
{
    struct mount *mount = cache->mount;
    size_t count;
    uint64_t *ids = inodes_take_attrs(mount->inodes, &count);
    for (size_t i = 0; i < count; i++)
        fuse_lowlevel_notify_inval_inode(mount->session, inode_of(mount, ids[i]), -1, 0);
    free(ids);
}

void cache_start(struct cache *cache)
{
    struct mount *mount = cache->mount;
    if (!mount->kernel_permissions || mount->linearizable)
        return;
    pthread_rwlock_wrlock(&cache->gate);
    inodes_take_over(mount->inodes);
    forget_all_attrs(cache);
    cache->names = cache_names_new(mount);
    pthread_rwlock_unlock(&cache->gate);
    atomic_store(&cache->on, true);
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    cache_names_free(cache->names);
    pthread_rwlock_destroy(&cache->gate);
    free(cache);
}

/* --- replies --- */

void cache_begin_read(struct cache *cache)
{
    pthread_rwlock_rdlock(&cache->gate);
}

void cache_end_read(struct cache *cache)
{
    pthread_rwlock_unlock(&cache->gate);
}

/* Not of a file that is being written here, whose size depends on who asks, nor of one that is not born. */
double cache_attr_s(struct cache *cache, fuse_ino_t ino, const struct node_stat *stat)
{
    if (!atomic_load(&cache->on) || stat->unborn_of || files_in_flux(cache->mount->files, ino))
        return 0;
    return inodes_set_cached(cache->mount->inodes, stat->id, true, false) ? CACHE_S : 0;
}

double cache_name_s(struct cache *cache, uint64_t parent, const struct node_stat *stat)
{
    struct inodes *inodes = cache->mount->inodes;
    if (!atomic_load(&cache->on) || !cache->names || stat->unborn_of || stat->parent != parent)
        return 0;
    uint64_t barred_ms = inodes_barred_ms(inodes, parent, BAR_NAMES_IN),
             its_ms = inodes_barred_ms(inodes, stat->id, BAR_NAME);
    uint64_t until_ms = its_ms > barred_ms ? its_ms : barred_ms;
    if (!until_ms || now_ms() >= until_ms)
        return inodes_set_cached(inodes, stat->id, false, true) ? CACHE_S : 0;
    inodes_take_name(inodes, stat->id);
    return 0;
}

void cache_set_busy(struct cache *cache, uint64_t parent)
{
    if (atomic_load(&cache->on))
        inodes_bar(cache->mount->inodes, parent, BAR_NAMES_IN, now_ms() + BUSY_MS);
}

bool cache_must_ask(struct cache *cache, uint64_t parent, const char *name)
{
    struct mount *mount = cache->mount;
    struct node_stat stat;
    if (!atomic_load(&cache->on) || !cache->names || !mount_child(mount, parent, name, &stat) ||
        !inodes_has_name(mount->inodes, stat.id))
        return false;
    inodes_bar(mount->inodes, stat.id, BAR_NAME, now_ms() + ASKED_MS);
    return true;
}

/* --- changes --- */

/* False: the kernel does not have the inode. */
static bool forget_attr(const struct mount *mount, uint64_t id)
{
    return fuse_lowlevel_notify_inval_inode(mount->session, inode_of(mount, id), -1, 0) != -ENOENT;
}

void cache_opened(struct cache *cache, uint64_t id)
{
    if (inodes_take_late(cache->mount->inodes, id))
        forget_attr(cache->mount, id);
}

void cache_written(struct cache *cache, uint64_t id)
{
    inodes_void_content(cache->mount->inodes, id);
}

/* False: what it was told of it may be on its way still. */
static bool forget_changed(const struct cache *cache, uint64_t id)
{
    struct mount *mount = cache->mount;
    if (!id || !inodes_take_attr(mount->inodes, id) || forget_attr(mount, id))
        return true;
    inodes_set_late(mount->inodes, id);
    return false;
}

/* A name that comes or goes changes its directory's times and number of children. */
static bool forget_touched(const struct cache *cache, const struct change *change)
{
    bool all = true;
    switch (change->kind) {
    case CHANGE_CREATE:
    case CHANGE_DELETE:
    case CHANGE_RENAME:
        all &= forget_changed(cache, change->parent);
        all &= forget_changed(cache, change->to_parent);
        __attribute__((fallthrough));
    case CHANGE_ATTR:
    case CHANGE_META:
        all &= forget_changed(cache, change->id);
        break;
    case CHANGE_DATA:
        if (!inodes_content_void(cache->mount->inodes, change->id))
            all &= forget_changed(cache, change->id);
        break;
    case CHANGE_SESSION_OPEN:
    case CHANGE_SESSION_CLOSE:
    case CHANGE_LOCK:
        break;
    }
    return all;
}

void cache_changing(struct cache *cache)
{
    pthread_rwlock_wrlock(&cache->gate);
}

void cache_changed(struct cache *cache, const struct changes *changes)
{
    size_t count = changes && atomic_load(&cache->on) ? changes->count : 0;
    bool all = true;
    for (size_t i = 0; i < count; i++)
        all &= forget_touched(cache, &changes->list[i]);
    if (!all && cache->names)
        cache_names_replaced(cache->names);
    pthread_rwlock_unlock(&cache->gate);
    if (count && cache->names)
        cache_names_changed(cache->names, changes);
}

/* Another tree: nothing of what the kernel has is known to be right. */
void cache_replaced(struct cache *cache)
{
    if (atomic_load(&cache->on)) {
        forget_all_attrs(cache);
        if (cache->names)
            cache_names_replaced(cache->names);
    }
    pthread_rwlock_unlock(&cache->gate);
}

void cache_resynced(struct cache *cache, const struct changes *changes)
{
    if (atomic_load(&cache->on) && cache->names)
        cache_names_changed(cache->names, changes);
}
