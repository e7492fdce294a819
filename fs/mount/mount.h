/* mount.h - what the parts of the mount share. Only files of fs/mount include it. */
#ifndef PACT_MOUNT_H
#define PACT_MOUNT_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include "fs/client/client.h"
#include "fs/mount/ghost.h"

/* Inode numbers: a znode's id; the sub-root's is FUSE_ROOT_ID. Control files have the top bit set (control.h). */

struct mount {
    struct client *client;
    struct fuse_session *session;
    const char *mountpoint;
    uint64_t root; /* the znode that is the mount's root: 1, or that of root=/sub */
    uint64_t own_session;
    struct inodes *inodes;   /* what the kernel knows: inode.h */
    struct handles *handles; /* open files and directories: handle.h */
    struct ghosts *ghosts;
    bool read_only, templates, linearizable;
    bool kernel_permissions; /* default_permissions is on (root); else the daemon checks */
};

#endif
