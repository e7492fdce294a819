/* attach.h - the FUSE session, as the supervisor mounts it (serve.h) and as a worker serves it. */
#ifndef PACT_ATTACH_H
#define PACT_ATTACH_H

#include "fs/mount/mount.h"

struct mount_options;

/* A session not yet mounted; NULL: libfuse has said why. */
struct fuse_session *attach_session(const struct mount_options *options, struct mount *mount);

/* The device of the file system that is mounted at a path, as the table of mounts has it: the file system itself is not
 * asked, and nobody waits for it. 0: nothing is mounted there. */
dev_t attach_device(const char *mountpoint);

/* Takes a mount out of the namespace, if it is still there and not covered by another. `device`: its own; 0: it never
 * was there. */
void attach_unmount(const struct fuse_session *session, const char *mountpoint, dev_t device);

#endif
