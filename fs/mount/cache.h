/* cache.h - what the kernel may answer by itself: names and attributes, and how it is told that they are no longer so
 * before anybody sees what took their place (design §5 "Kernel caches", §6 "Consistency").
 *
 * Only with default_permissions, and not with consistency=linearizable: else everything is asked anew. */
#ifndef PACT_CACHE_H
#define PACT_CACHE_H

#include "fs/mount/mount.h"

struct cache;

/* NULL: no thread, or no memory. Nothing is cached before cache_start. */
struct cache *cache_new(struct mount *mount);
/* Once the mount answers: finds out what the kernel can do. Of a worker that takes over: before it answers; makes the
 * kernel ask anew for what it has kept. */
void cache_start(struct cache *cache);
/* When the client is closed: nothing changes any more. A thread that the kernel holds is left behind. */
void cache_free(struct cache *cache);

/* --- for the handlers of requests --- */

/* Between these two the tree does not change, and what is told to the kernel is what the tree says. Held from reading
 * the tree until the reply is written by whoever tells attributes or names, and while reading it by all who read it,
 * except where the page cache is filled. Short; not taken twice by one thread. In the client thread neither is needed.
 */
void cache_begin_read(struct cache *cache);
void cache_end_read(struct cache *cache);

/* For how long the kernel may keep what it is being told, in seconds: 0 or CACHE_S, which is long for who asks often,
 * and soon over when nobody serves the mount any more. The first for the attributes of an inode, the second for the
 * name by which a directory's lookup found a znode. */
#define CACHE_S 1.0
double cache_attr_s(struct cache *cache, fuse_ino_t ino, const struct node_stat *stat);
double cache_name_s(struct cache *cache, uint64_t parent, const struct node_stat *stat);

/* A file is opened: where what the kernel was told of it came too late, it is to ask. Not in the gate. */
void cache_opened(struct cache *cache, uint64_t id);
/* A thread commits what it has written by calls that have ended. With each of them the kernel voided the size and the
 * times that it had; and as long as the file is written here, it is told of none to keep. */
void cache_written(struct cache *cache, uint64_t id);

/* A local call is about to change names in a directory: the kernel holds the directory's lock until it is answered. */
void cache_set_busy(struct cache *cache, uint64_t parent);
/* Whether a call that takes a name away should first be sent back with ESTALE: the kernel then looks its names up anew,
 * which are not to be kept now, and calls again (sent_back.h). So a name that goes is no cached one, which nobody could
 * expire before the call ends: where it is nevertheless, all names expire. */
bool cache_must_ask(struct cache *cache, uint64_t parent, const char *name);

/* --- from the client thread: the client's events of the same names --- */

void cache_changing(struct cache *cache);
void cache_changed(struct cache *cache, const struct changes *changes);
void cache_replaced(struct cache *cache);
/* With what a snapshot changed. */
void cache_resynced(struct cache *cache, const struct changes *changes);

#endif
