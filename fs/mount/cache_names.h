/* cache_names.h - expiring names that the kernel was allowed to keep. Only cache.c uses it. */
#ifndef PACT_CACHE_NAMES_H
#define PACT_CACHE_NAMES_H

#include "fs/mount/mount.h"

struct cache_names;

/* NULL: the kernel cannot expire names without a lock (Linux before 6.16), so none may be kept; or no thread. */
struct cache_names *cache_names_new(struct mount *mount);
void cache_names_free(struct cache_names *names);

/* From the client thread: expires the names that an entry took away, if the kernel may have them. Returns when that is
 * done, after about EXPIRE_MS at most. */
void cache_names_changed(struct cache_names *names, const struct changes *changes);
/* All names; but where something is mounted inside, those that are then said to have changed. */
void cache_names_replaced(struct cache_names *names);

#endif
