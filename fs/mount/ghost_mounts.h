/* ghost_mounts.h - other file systems mounted inside the mount. The kernel detaches them when a name above them is
 * found to mean something else, so a ghost must not say so (design §5: never touched). */
#ifndef PACT_GHOST_MOUNTS_H
#define PACT_GHOST_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct mount;

struct ghost_mounts {
    FILE *table;  /* /proc/self/mountinfo; NULL: not opened yet */
    size_t count; /* paths */
    char **paths; /* of the mount points, from the mount's root, without a leading '/' */
    bool unknown; /* the table could not be read: there may be some anywhere */
};

/* Reads the table again if it has changed: 1 µs if not. In the ghost's thread: the descriptor is its own. */
void ghost_mounts_update(struct ghost_mounts *mounts, dev_t device);
void ghost_mounts_free(struct ghost_mounts *mounts);
/* Whether something is mounted on or below this znode. */
bool ghost_mounts_below(const struct ghost_mounts *mounts, struct mount *mount, uint64_t id);

#endif
