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

/* What nanoseconds in 64 bits reach, 1677 to 2262; beyond it the last whole second within, as the kernel does it for
 * any filesystem's range. */
static int64_t ns_of(struct timespec time)
{
    const int64_t second = 1000000000, last = INT64_MAX / second;
    if (time.tv_sec >= last)
        return last * second;
    return time.tv_sec < -last ? -last * second : time.tv_sec * second + time.tv_nsec;
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
    if (code)
        return code;
    code = mount_stat(mount, id, &stat);
    if (code)
        return mount->kernel_permissions ? ERR_OK : code; /* it may be open still */
    bool given = (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)) &&
                 !(to_set & (FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_SIZE));
    if ((to_set & owner) || given)
        return access_check_owner(req, &stat);
    return access_check_owner(req, &stat) ? access_check(req, &stat, W_OK) : ERR_OK;
}

/* Not to be kept: the kernel takes what SETATTR is answered also if it was told since that this is no longer so. */
static void reply_attr(fuse_req_t req, fuse_ino_t ino)
{
    struct stat attr;
    int code = lookup_attr(mount_of(req), req, ino, &attr, NULL);
    if (code)
        reply_code(req, code);
    else
        fuse_reply_attr(req, &attr, 0);
}

/* The same where nothing was changed, in a handler. */
static void reply_attr_unchanged(fuse_req_t req, fuse_ino_t ino)
{
    struct cache *cache = mount_of(req)->cache;
    cache_begin_read(cache);
    reply_attr(req, ino);
    cache_end_read(cache);
}

enum { RESIZES = 1 << 30 }; /* beside the ATTR_… of a call's finish_value: it sets the size, too */

/* What the call would have made of the attributes. */
static void change_attr(const struct call *call, struct stat *attr)
{
    const struct node_stat *to = &call->stat;
    int mask = call->finish_value;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (mask & ATTR_MODE)
        attr->st_mode = (attr->st_mode & S_IFMT) | to->mode;
    if (mask & ATTR_UID)
        attr->st_uid = to->uid;
    if (mask & ATTR_GID)
        attr->st_gid = to->gid;
    if (mask & (ATTR_ATIME | ATTR_ATIME_NOW))
        attr->st_atim = mask & ATTR_ATIME ? inode_time(to->atime_ns) : now;
    if (mask & (ATTR_MTIME | ATTR_MTIME_NOW))
        attr->st_mtim = mask & ATTR_MTIME ? inode_time(to->mtime_ns) : now;
    attr->st_ctim = now;
}

/* Of an open file without a name nobody but those who have it open will ever see the attributes. */
static void change_remains(const struct call *call, fuse_ino_t ino)
{
    struct stat attr;
    if (call->finish_value & RESIZES)
        files_resize_removed(call->mount->files, ino, call->stat.size); /* which is no more than a file may have */
    if (!inodes_remains(call->mount->inodes, ino, &attr))
        return;
    change_attr(call, &attr);
    inodes_told(call->mount->inodes, ino, &attr);
}

/* Of a file that was replaced or removed between the look-up and now, as on any filesystem; false: it is not known. */
static bool change_found(const struct call *call)
{
    struct node_stat found;
    struct stat attr;
    if (!mount_came_late(call->req, call->stat.id, &found))
        return false;
    inode_attr(call->mount, &found, &attr);
    change_attr(call, &attr);
    fuse_reply_attr(call->req, &attr, 0);
    return true;
}

static void finish_setattr(struct call *call, const struct result *result)
{
    fuse_ino_t ino = inode_of(call->mount, call->stat.id);
    bool removed = result->code == ERR_NO_NODE && files_is_open(call->mount->files, ino);
    if (result->code == ERR_NO_NODE && !removed && change_found(call))
        return;
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

/* A new size of an inode that has the data of znode `id`; `edits` has room for 2, and the request borrows from them. */
static struct request resize(fuse_req_t req, fuse_ino_t ino, uint64_t id, uint64_t size, struct edit *edits)
{
    size_t count = 0;
    if (files_take_emptied(mount_of(req)->files, ino, NULL))
        edits[count++] = (struct edit){.kind = EDIT_TRUNCATE};
    cut_staged(req, ino, size);
    edits[count++] = (struct edit){.kind = EDIT_TRUNCATE, .offset = size};
    return (struct request){.kind = OP_WRITE,
                            .write = {.at = {.id = id}, .version = NO_VERSION_CHECK, .edits = edits, .count = count}};
}

/* The transaction: the size, the attributes, or both at once. */
static void submit(fuse_req_t req, fuse_ino_t ino, const struct stat *attr, int to_set)
{
    uint64_t id = znode_of(mount_of(req), ino);
    struct edit edits[2];
    struct request ops[2], request;
    size_t count = 0;
    if (to_set & FUSE_SET_ATTR_SIZE)
        ops[count++] = resize(req, ino, id, (uint64_t)attr->st_size, edits);
    struct op_set_attr set = attributes(id, attr, to_set);
    if (set.mask)
        ops[count++] = (struct request){.kind = OP_SET_ATTR, .set_attr = set};
    request = count == 2 ? (struct request){.kind = OP_MULTI, .multi = {ops, 2}} : ops[0];
    struct call *call = call_new(req, finish_setattr);
    call->stat = (struct node_stat){
        .id = id, .mode = set.mode, .uid = set.uid, .gid = set.gid, .atime_ns = set.atime_ns, .mtime_ns = set.mtime_ns};
    call->finish_value = (int)set.mask;
    if (to_set & FUSE_SET_ATTR_SIZE) {
        call->stat.size = (uint64_t)attr->st_size;
        call->finish_value |= RESIZES;
    }
    call_submit(call, &request);
}

static void finish_control(struct call *call, const struct result *result)
{
    if (result->code)
        reply_inode_code(call->req, result->code);
    else
        reply_attr(call->req, call->fi.fh);
}

/* A policy or a quota is rewritten as one whose text is that long: EINVAL, if what is left does not read as one. */
static int cut_text(struct mount *mount, fuse_ino_t ino, uint64_t size, char room[CONTROL_TEXT_BYTES],
                    struct request *request)
{
    struct data *text, *cut = NULL;
    int code = control_text(mount, ino, &text);
    if (code)
        return code;
    code = data_edit(text, &(struct edit){.kind = EDIT_TRUNCATE, .offset = size}, 1, &cut);
    if (!code)
        code = control_request(control_kind(ino), control_id(ino), cut, room, request);
    data_unref(text);
    data_unref(cut);
    return code;
}

/* A control file: its size can be set where it can be written, everything else is the directory's and stays. */
static void set_control(fuse_req_t req, fuse_ino_t ino, const struct stat *attr, int to_set)
{
    enum control kind = control_kind(ino);
    uint64_t id = control_id(ino), size = (uint64_t)attr->st_size;
    char room[CONTROL_TEXT_BYTES];
    struct edit edits[2];
    struct request request;
    int code = to_set & FUSE_SET_ATTR_SIZE ? ERR_OK : ERR_NOT_PERMITTED;
    if (!code)
        code = control_writable(kind) ? check(req, id, FUSE_SET_ATTR_SIZE) : ERR_ACCESS;
    if (!code && size > LIMIT_DATA_BYTES)
        code = ERR_TOO_BIG;
    if (!code && kind != CONTROL_DATA)
        code = cut_text(mount_of(req), ino, size, room, &request);
    if (code) {
        reply_inode_code(req, code);
        return;
    }
    if (kind == CONTROL_DATA)
        request = resize(req, ino, id, size, edits);
    struct call *call = call_new(req, finish_control);
    call->fi.fh = ino;
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
