/* ghost_place.h - where ghosts work: a private clone of the mount, which no path leads to.
 *
 * What works in it does not keep the mount busy for umount, is not led astray by what is mounted over the mount, and
 * does not see what is mounted inside. But the clone keeps the file system alive: whoever has it must let it go when
 * the mount itself is gone. */
#ifndef PACT_GHOST_PLACE_H
#define PACT_GHOST_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

/* A descriptor (O_PATH) of the clone's root; closing it ends the clone, once nothing works there. -1: not permitted, or
 * an old kernel. */
int ghost_place_open(const char *mountpoint);

/* Waits until the file system of that device is mounted nowhere in this mount namespace, or `stop` (an eventfd) is
 * readable. */
void ghost_place_wait(dev_t device, int stop);

#endif
