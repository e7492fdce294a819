/* supervisor.h - the process that keeps the mount, while workers come and go.
 *
 * pactfs is two processes. The supervisor opens /dev/fuse, mounts, keeps the descriptor, and does nothing else; the
 * worker serves the same descriptor, so nothing passes between them. */
#ifndef PACT_SUPERVISOR_H
#define PACT_SUPERVISOR_H

#include "fs/pactfs/options.h"

/* Starts a worker, and another whenever one is killed; returns when the mount has ended: the exit status. `ready`: a
 * descriptor on which to say once that the mount answers; -1: stays in the foreground. */
int supervise(struct options *options, int ready);

#endif
