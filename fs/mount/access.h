/* access.h - permission checks where the kernel makes none: without root there is no default_permissions, as the
 * kernel must not refuse ghosts; and an O_CREAT that meets a file made meanwhile has passed no check. */
#ifndef PACT_ACCESS_H
#define PACT_ACCESS_H

#include <unistd.h>

#include "fs/mount/mount.h"

/* Whether the caller may access a znode so (R_OK, W_OK, X_OK). ERR_OK or ERR_ACCESS. */
int access_allowed(fuse_req_t req, const struct node_stat *stat, int mask);
/* Whether the caller may take a name out of a directory: ERR_OK, ERR_ACCESS, or by its sticky bit ERR_NOT_PERMITTED. */
int access_allowed_remove(fuse_req_t req, const struct node_stat *parent, const struct node_stat *child);

/* As access_allowed, but always ERR_OK where the kernel has checked (mount.kernel_permissions), by the mode and owner
 * that the znode has now. */
int access_check(fuse_req_t req, const struct node_stat *stat, int mask);
/* Whether the caller may change mode, owner or times: it is the owner or root. ERR_OK or ERR_NOT_PERMITTED. */
int access_check_owner(fuse_req_t req, const struct node_stat *stat);

/* The mask an open asks for. */
int access_of_flags(int flags);

#endif
