/* Opening, reading and writing files. Handles are FOPEN_DIRECT_IO: the page cache would mix versions. */
#include <assert.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "fs/mount/access.h"
#include "fs/mount/cache.h"
#include "fs/mount/call.h"
#include "fs/mount/closing.h"
#include "fs/mount/commit.h"
#include "fs/mount/fdtable.h"
#include "fs/mount/fence.h"
#include "fs/mount/handle.h"
#include "fs/mount/inode.h"
#include "fs/mount/ops.h"
#include "fs/mount/process.h"

static bool is_write(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* The data to open with, and whether it may be: a count for the caller. A removed file can still be read. */
static int data_to_open(struct mount *mount, fuse_req_t req, fuse_ino_t ino, int flags, struct data **data,
                        bool *removed)
{
    struct node_stat stat;
    *removed = false;
    if (control_is(ino))
        return control_text(mount, ino, data);
    int code = mount_data(mount, znode_of(mount, ino), &stat, data, removed);
    if (!code)
        code = *removed && is_write(flags) ? ERR_NO_NODE : access_check(req, &stat, access_of_flags(flags));
    if (code) {
        data_unref(*data);
        *data = NULL;
    }
    return code;
}

int io_open(struct mount *mount, fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, bool unborn)
{
    struct data *data = NULL;
    bool writes = is_write(fi->flags), removed = false;
    int code = writes ? mount_may_change(req) : ERR_OK;
    if (!code && writes && control_is(ino))
        code = control_writable(control_kind(ino)) ? ERR_OK : ERR_ACCESS;
    if (!code)
        code = data_to_open(mount, req, ino, fi->flags, &data, &removed);
    if (code)
        return code;
    struct handle *handle = handle_new(mount, ino, false, data);
    data_unref(data);
    if (!handle)
        return ERR_TOO_MANY;
    if (removed)
        files_set_removed(mount->files, handle->file);
    handle->writable = writes;
    handle->by_user = writes && fuse_req_ctx(req)->uid != 0;
    handle->unborn = unborn;
    handle->tgid = process_of(fuse_req_ctx(req)->pid);
    handle->staged.tgid = writes ? handle->tgid : 0;
    if (writes && !files_add_writer(mount->files, handle)) {
        io_close(mount, handle->fh);
        return ERR_NO_NODE;
    }
    cache_opened(mount->cache, handle->id);
    handle->session = unborn ? atomic_load(&mount->own_session) : 0;
    struct fdtable *opener = fdtables_take(mount->fdtables, handle->tgid);
    handle->opener = fdtable_identity(opener);
    fdtables_put(mount->fdtables, opener);
    handle->left->tgid = handle->tgid;
    handle->left->identity = handle->opener;
    handle_mark(handle, ESTATE_WRITABLE, writes);
    handle_mark(handle, ESTATE_BY_USER, handle->by_user);
    handle_mark(handle, ESTATE_UNBORN, unborn);
    if (fi->flags & O_TRUNC) {
        code = handle_truncate(handle, 0);
        handle->voider = fuse_req_ctx(req)->pid;
    }
    fi->fh = handle->fh;
    fi->direct_io = 1;
    if (code)
        io_close(mount, fi->fh);
    return code;
}

void io_close(struct mount *mount, uint64_t fh)
{
    struct handle *handle = handle_lock(mount, fh);
    if (!handle)
        return;
    handle_drop(handle);
    commit_abandon(handle);
}

static void open_now(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    int code = io_open(mount, req, ino, fi, false);
    if (code)
        reply_inode_code(req, code);
    else if (fuse_reply_open(req, fi))
        io_close(mount, fi->fh);
}

static void finish_ask(void *arg, const struct message_status *status)
{
    struct call *call = arg;
    struct data *text = control_ensemble(call->mount, status);
    struct handle *handle = handle_new(call->mount, call->fi.fh, false, text);
    data_unref(text);
    if (!handle) {
        reply_code(call->req, ERR_TOO_MANY);
    } else {
        call->fi.fh = handle->fh;
        call->fi.direct_io = 1;
        if (fuse_reply_open(call->req, &call->fi))
            io_close(call->mount, call->fi.fh);
    }
    call_free(call);
}

/* What it says is asked at each open. */
static void open_ensemble(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi)
{
    struct call *call = call_new(req, NULL);
    call->fi = *fi;
    call->fi.fh = ino; /* until it is opened */
    client_ask(call->mount->client, finish_ask, call);
}

static void finish_sync_open(struct call *call, const struct result *result)
{
    if (result->code)
        reply_code(call->req, result->code);
    else
        open_now(call->req, call->fi.fh, &call->fi);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    if (mount_ghost(mount, req)) {
        ghost_open(mount, req, ino, fi);
        return;
    }
    if (control_is(ino) && control_kind(ino) == CONTROL_ENSEMBLE && !is_write(fi->flags)) {
        open_ensemble(req, ino, fi);
        return;
    }
    files_wait_closing(mount->files, ino);
    if (!mount->linearizable) {
        open_now(req, ino, fi);
        return;
    }
    struct call *call = call_new(req, finish_sync_open);
    call->fi = *fi;
    call->fi.fh = ino; /* until it is opened */
    call_sync(call);
}

/* --- reading --- */

/* Fills pages of the page cache, for a mapping: they always get the newest version, a writer's its own. */
static struct data *page_version(struct handle *handle)
{
    if (!control_is(handle->ino))
        inodes_set_paged(handle->mount->inodes, handle->id);
    return handle->stage.open ? data_ref(handle->stage.view) : handle_base(handle);
}

/* What a read(2) is answered from. */
static struct data *read_version(struct handle *handle, uint64_t offset, pid_t tid)
{
    struct cache *cache = handle->mount->cache;
    cache_begin_read(cache);
    struct data *data = data_ref(handle_read_from(handle, offset, tid));
    cache_end_read(cache);
    return data;
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    (void)ino;
    if (fi->fh & GHOST_FH) {
        fuse_reply_buf(req, NULL, 0);
        return;
    }
    struct handle *handle = handle_lock(mount, fi->fh);
    if (!handle || offset < 0) {
        reply_code(req, ERR_INVALID);
        if (handle)
            handle_unlock(handle);
        return;
    }
    if (handle->bereft) {
        handle_unlock(handle);
        reply_code(req, ERR_SESSION_EXPIRED);
        return;
    }
    /* Only read(2) comes with an owner; what fills the page cache has none. */
    bool pages = !fi->lock_owner;
    struct data *data = pages ? page_version(handle) : read_version(handle, (uint64_t)offset, fuse_req_ctx(req)->pid);
    size_t left = data_size(data) > (uint64_t)offset ? data_size(data) - (size_t)offset : 0;
    size_t len = left < size ? left : size;
    char *at = malloc(len + 1);
    assert(at);
    len = data_read(data, (uint64_t)offset, at, len);
    if (!pages)
        handle_has_read(handle, (uint64_t)offset, len);
    data_unref(data);
    handle_unlock(handle);
    fuse_reply_buf(req, at, len);
    free(at);
}

/* --- writing --- */

void op_write(fuse_req_t req, fuse_ino_t ino, const char *at, size_t len, off_t offset, struct fuse_file_info *fi)
{
    (void)ino;
    if (fi->fh & GHOST_FH) {
        fuse_reply_write(req, len);
        return;
    }
    struct handle *handle = handle_lock(mount_of(req), fi->fh);
    if (!handle || offset < 0) {
        reply_code(req, ERR_INVALID);
        if (handle)
            handle_unlock(handle);
        return;
    }
    handle->by_user |= fuse_req_ctx(req)->uid != 0;
    handle->writer = fuse_req_ctx(req)->pid;
    handle->voider = fi->writepage ? 0 : handle->writer;
    /* A mapped page is written where it belongs, whatever the descriptor's flags. */
    if ((fi->flags & O_APPEND) && !fi->writepage) {
        commit_append(handle, req, at, len);
        return;
    }
    int code = fence_check(req);
    if (!code && (fi->flags & O_DSYNC) && !fi->writepage) { /* O_SYNC has this bit, too */
        commit_synced(handle, req, at, len, (uint64_t)offset);
        return;
    }
    if (!code)
        code = handle_write(handle, (uint64_t)offset, at, len);
    handle_unlock(handle);
    if (code)
        reply_code(req, code);
    else
        fuse_reply_write(req, len);
}

/* A hole is zeros within the file: there are no blocks to give back. */
static int punch_hole(struct handle *handle, uint64_t size, uint64_t offset, uint64_t end)
{
    if (end > size)
        end = size;
    if (offset >= end)
        return ERR_OK;
    void *zeros = calloc(1, end - offset);
    assert(zeros);
    int code = handle_write(handle, offset, zeros, end - offset);
    free(zeros);
    return code;
}

/* There are no blocks to reserve: what is left of it is to grow, and to punch holes. */
static int allocate(struct handle *handle, int mode, uint64_t offset, uint64_t end)
{
    struct data *base = handle_base(handle);
    uint64_t size = handle->stage.open ? data_size(handle->stage.view) : data_size(base);
    int code = ERR_OK;
    data_unref(base);
    if (mode & FALLOC_FL_PUNCH_HOLE)
        return punch_hole(handle, size, offset, end);
    if (end > LIMIT_DATA_BYTES)
        return ERR_TOO_BIG;
    if (!(mode & FALLOC_FL_KEEP_SIZE) && end > size)
        code = handle_truncate(handle, end);
    handle->written |= handle->stage.open;
    return code;
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t len, struct fuse_file_info *fi)
{
    (void)ino;
    if (fi->fh & GHOST_FH || mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) {
        reply_code(req, fi->fh & GHOST_FH ? ERR_OK : ERR_NOT_SUPPORTED);
        return;
    }
    struct handle *handle = handle_lock(mount_of(req), fi->fh);
    if (!handle) {
        reply_code(req, ERR_INVALID);
        return;
    }
    handle->writer = fuse_req_ctx(req)->pid;
    int code = allocate(handle, mode, (uint64_t)offset, (uint64_t)offset + (uint64_t)len);
    handle_unlock(handle);
    reply_code(req, code);
}
