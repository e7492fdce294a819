/* chmod, chown, utimes, truncate: one transaction, however many of them come at once. A size through a handle is
 * staged there. */
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/mount/access.h"
#include "fs/mount/cache.h"
#include "fs/mount/call.h"
#include "fs/mount/fence.h"
#include "fs/mount/handle.h"
#include "fs/mount/inode.h"
#include "fs/mount/ops.h"

static int64_t ns_of(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* What of the kernel's request is a change of attributes. */
static struct op_set_attr attributes(uint64_t id, const struct stat *attr, int to_set)
{
    static const struct {
        int from;
        enum attr_mask to;
    } bits[] = {
        {FUSE_SET_ATTR_MODE, ATTR_MODE},   {FUSE_SET_ATTR_UID, ATTR_UID},
        {FUSE_SET_ATTR_GID, ATTR_GID},     {FUSE_SET_ATTR_ATIME_NOW, ATTR_ATIME_NOW},
        {FUSE_SET_ATTR_ATIME, ATTR_ATIME}, {FUSE_SET_ATTR_MTIME_NOW, ATTR_MTIME_NOW},
        {FUSE_SET_ATTR_MTIME, ATTR_MTIME},
    };
    struct op_set_attr op = {
        .at = {.id = id},
        .aversion = NO_VERSION_CHECK,
        .mode = attr->st_mode & 07777,
        .uid = attr->st_uid,
        .gid = attr->st_gid,
        .atime_ns = ns_of(attr->st_atim),
        .mtime_ns = ns_of(attr->st_mtim),
    };
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        if (to_set & bits[i].from)
            op.mask |= bits[i].to;
    /* The kernel sets both bits for "now". */
    if (op.mask & ATTR_ATIME_NOW)
        op.mask &= ~(uint32_t)ATTR_ATIME;
    if (op.mask & ATTR_MTIME_NOW)
        op.mask &= ~(uint32_t)ATTR_MTIME;
    return op;
}

/* chmod, chown and times are the owner's; "now" and the size whoever's may write. */
static int check(fuse_req_t req, uint64_t id, int to_set)
{
    struct mount *mount = mount_of(req);
    struct node_stat stat;
    int owner = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
    int code = mount_may_change(req);
    if (code || mount->kernel_permissions)
        return code;
    code = mount_stat(mount, id, &stat);
    if (code)
        return code;
    bool given = (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)) &&
                 !(to_set & (FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_SIZE));
    if ((to_set & owner) || given)
        return access_check_owner(req, &stat);
    return access_check_owner(req, &stat) ? access_check(req, &stat, W_OK) : ERR_OK;
}

static void reply_attr(fuse_req_t req, fuse_ino_t ino)
{
    struct stat attr;
    double keep_s;
    int code = lookup_attr(mount_of(req), req, ino, &attr, &keep_s);
    if (code)
        reply_code(req, code);
    else
        fuse_reply_attr(req, &attr, keep_s);
}

/* The same where nothing was changed, in a handler. */
static void reply_attr_unchanged(fuse_req_t req, fuse_ino_t ino)
{
    struct cache *cache = mount_of(req)->cache;
    cache_begin_read(cache);
    reply_attr(req, ino);
    cache_end_read(cache);
}

/* Of an open file without a name nobody but those who have it open will ever see the attributes. */
static void change_remains(const struct call *call, fuse_ino_t ino)
{
    const struct node_stat *to = &call->stat;
    int mask = call->finish_value;
    struct stat attr;
    struct timespec now;
    if (!inodes_remains(call->mount->inodes, ino, &attr))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    if (mask & ATTR_MODE)
        attr.st_mode = (attr.st_mode & S_IFMT) | to->mode;
    if (mask & ATTR_UID)
        attr.st_uid = to->uid;
    if (mask & ATTR_GID)
        attr.st_gid = to->gid;
    if (mask & (ATTR_ATIME | ATTR_ATIME_NOW))
        attr.st_atim = mask & ATTR_ATIME ? inode_time(to->atime_ns) : now;
    if (mask & (ATTR_MTIME | ATTR_MTIME_NOW))
        attr.st_mtim = mask & ATTR_MTIME ? inode_time(to->mtime_ns) : now;
    attr.st_ctim = now;
    inodes_told(call->mount->inodes, ino, &attr);
}

static void finish_setattr(struct call *call, const struct result *result)
{
    fuse_ino_t ino = inode_of(call->mount, call->stat.id);
    bool removed = result->code == ERR_NO_NODE && files_is_open(call->mount->files, ino);
    if (result->code && !removed) {
        reply_inode_code(call->req, result->code);
        return;
    }
    if (removed)
        change_remains(call, ino);
    if (call->finish_value & ATTR_MTIME)
        files_set_mtime(call->mount->files, ino, call->stat.mtime_ns);
    reply_attr(call->req, ino);
}

/* A control file: its size is staged, everything else is the directory's and stays. */
static void set_control(fuse_req_t req, fuse_ino_t ino, const struct stat *attr, int to_set)
{
    if (!(to_set & FUSE_SET_ATTR_SIZE)) {
        reply_code(req, ERR_NOT_PERMITTED);
        return;
    }
    struct fuse_file_info fi = {.flags = 1 /* O_WRONLY */};
    struct mount *mount = mount_of(req);
    int code = io_open(mount, req, ino, &fi, false);
    struct handle *handle = code ? NULL : handle_lock(mount, fi.fh);
    if (handle) {
        code = handle_truncate(handle, (uint64_t)attr->st_size);
        handle_unlock(handle);
        io_close(mount, fi.fh);
    }
    if (code)
        reply_code(req, code);
    else
        reply_attr_unchanged(req, ino);
}

static int stage_size(fuse_req_t req, uint64_t fh, uint64_t size)
{
    struct handle *handle = handle_lock(mount_of(req), fh);
    if (!handle)
        return ERR_INVALID;
    int code = fence_check(req);
    handle->writer = fuse_req_ctx(req)->pid;
    if (!code)
        code = handle_truncate(handle, size);
    handle->written |= !code;
    handle_unlock(handle);
    return code;
}

/* truncate(2) cuts what its process has staged, too. */
static void cut_staged(fuse_req_t req, fuse_ino_t ino, uint64_t size)
{
    struct mount *mount = mount_of(req);
    pid_t tid = fuse_req_ctx(req)->pid;
    uint64_t fh = 0;
    while ((fh = files_next_staged(mount, ino, tid, fh))) {
        struct handle *handle = handle_lock(mount, fh);
        if (!handle)
            continue;
        if (handle->stage.open)
            handle_truncate(handle, size);
        handle_unlock(handle);
    }
}

/* The transaction: the size, the attributes, or both at once. */
static void submit(fuse_req_t req, fuse_ino_t ino, const struct stat *attr, int to_set)
{
    struct mount *mount = mount_of(req);
    uint64_t id = znode_of(mount, ino);
    struct edit edits[] = {{.kind = EDIT_TRUNCATE}, {.kind = EDIT_TRUNCATE, .offset = (uint64_t)attr->st_size}};
    struct request ops[2], request;
    size_t count = 0;
    bool resizes = to_set & FUSE_SET_ATTR_SIZE, emptied = resizes && files_take_emptied(mount->files, ino, NULL);
    if (resizes)
        cut_staged(req, ino, (uint64_t)attr->st_size);
    if (resizes)
        ops[count++] = (struct request){.kind = OP_WRITE,
                                        .write = {.at = {.id = id},
                                                  .version = NO_VERSION_CHECK,
                                                  .edits = emptied ? edits : edits + 1,
                                                  .count = emptied ? 2 : 1}};
    struct op_set_attr set = attributes(id, attr, to_set);
    if (set.mask)
        ops[count++] = (struct request){.kind = OP_SET_ATTR, .set_attr = set};
    request = count == 2 ? (struct request){.kind = OP_MULTI, .multi = {ops, 2}} : ops[0];
    struct call *call = call_new(req, finish_setattr);
    call->stat = (struct node_stat){
        .id = id, .mode = set.mode, .uid = set.uid, .gid = set.gid, .atime_ns = set.atime_ns, .mtime_ns = set.mtime_ns};
    call->finish_value = (int)set.mask;
    call_submit(call, &request);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    uint64_t id = znode_of(mount, ino);
    int changes = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID | FUSE_SET_ATTR_SIZE |
                  FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
    int code = ERR_OK;
    if (mount_ghost(mount, req)) {
        ghost_setattr(mount, req, ino, fi);
        return;
    }
    bool through_handle = fi && (to_set & FUSE_SET_ATTR_SIZE);
    if (through_handle) {
        code = stage_size(req, fi->fh, (uint64_t)attr->st_size);
        to_set &= ~FUSE_SET_ATTR_SIZE;
    }
    if (control_is(ino) && !code && !through_handle) {
        set_control(req, ino, attr, to_set);
        return;
    }
    bool submits = (to_set & changes) && !control_is(ino);
    if (!code && submits)
        code = check(req, id, to_set);
    if (!code && (to_set & FUSE_SET_ATTR_SIZE) && attr->st_size > (off_t)LIMIT_DATA_BYTES)
        code = ERR_TOO_BIG;
    if (code)
        reply_code(req, code);
    else if (submits)
        submit(req, ino, attr, to_set);
    else
        reply_attr_unchanged(req, ino);
}
