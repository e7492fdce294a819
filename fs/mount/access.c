#include "fs/mount/access.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "fs/mount/inode.h"
#include "fs/mount/process.h"

/* Not fuse_req_getgroups, which in libfuse 3.14 searches memory that it has not written. */
static bool in_group(fuse_req_t req, gid_t gid)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    return ctx->gid == gid || process_in_group(ctx->pid, gid);
}

int access_allowed(fuse_req_t req, const struct node_stat *stat, int mask)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    unsigned bits = stat->mode;
    if (ctx->uid == 0)
        return (mask & X_OK) && stat->kind == KIND_FILE && !(bits & 0111) ? ERR_ACCESS : ERR_OK;
    if (ctx->uid == stat->uid)
        bits >>= 6;
    else if (in_group(req, stat->gid))
        bits >>= 3;
    return ((unsigned)mask & ~bits & 7) ? ERR_ACCESS : ERR_OK;
}

/* It judges by what it was told; who calls may have seen here since that this is no longer so. */
static bool kernel_has_judged(fuse_req_t req, const struct node_stat *stat)
{
    const struct mount *mount = mount_of(req);
    return mount->kernel_permissions && inodes_told_access(mount->inodes, stat);
}

int access_check(fuse_req_t req, const struct node_stat *stat, int mask)
{
    return kernel_has_judged(req, stat) ? ERR_OK : access_allowed(req, stat, mask);
}

static bool owns(fuse_req_t req, const struct node_stat *stat)
{
    uid_t uid = fuse_req_ctx(req)->uid;
    return uid == 0 || uid == stat->uid;
}

int access_check_owner(fuse_req_t req, const struct node_stat *stat)
{
    return kernel_has_judged(req, stat) || owns(req, stat) ? ERR_OK : ERR_NOT_PERMITTED;
}

int access_allowed_remove(fuse_req_t req, const struct node_stat *parent, const struct node_stat *child)
{
    int code = access_allowed(req, parent, W_OK | X_OK);
    if (code || !(parent->mode & S_ISVTX))
        return code;
    return owns(req, parent) || owns(req, child) ? ERR_OK : ERR_NOT_PERMITTED;
}

int access_of_flags(int flags)
{
    int mode = flags & O_ACCMODE;
    int mask = mode == O_WRONLY ? W_OK : mode == O_RDWR ? R_OK | W_OK : R_OK;
    return flags & O_TRUNC ? mask | W_OK : mask;
}
