#include "fs/mount/commit.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/mount/cache.h"
#include "fs/mount/call.h"
#include "fs/mount/closing.h"
#include "fs/mount/fdtable.h"
#include "fs/mount/fence.h"
#include "fs/mount/inode.h"
#include "fs/mount/lock.h"
#include "fs/mount/log.h"
#include "fs/mount/ops.h"
#include "fs/mount/resume.h"

/* --- the end of a commit: in the client thread --- */

/* Nothing is lost any more if this process is killed. */
static void settle_left(struct handle *handle)
{
    handle_mark(handle, ESTATE_STAGED, false);
    handle_mark(handle, ESTATE_UNBORN, false);
}

/* What this very call had under way when the worker before was killed: not all that it staged is lost. True: it was
 * committed. */
static bool resume_commit(struct handle *handle)
{
    struct result result;
    if (!handle->error || !request_resumed(handle->mount, request_unique(), &result))
        return false;
    handle->error = result.code == ERR_NO_NODE ? ERR_OK : result.code;
    if (handle->error)
        return false;
    handle->unborn = false;
    settle_left(handle);
    return true;
}

/* Brings the handle up to date. A commit that failed breaks the handle: were a later fsync to succeed, its caller
 * would take for written what was dropped here. */
static int end_commit(struct call *call, const struct result *result)
{
    struct handle *handle = call->handle;
    struct mount *mount = call->mount;
    int code = result->code;
    handle_relock(handle);
    if (code == ERR_NO_NODE && files_lost(mount->files, handle->file))
        code = ERR_SESSION_EXPIRED;
    if (code == ERR_NO_NODE) { /* removed just before: it lives on for those who have it open */
        files_set_last(mount->files, handle->file, handle->version);
        code = ERR_OK;
    }
    if (code && !call->appends)
        handle->error = code;
    if (code && call->was_unborn)
        handle->unborn = handle->discarded = true;
    handle->in_flight--;
    if (!code && !handle->in_flight && !handle->stage.open)
        settle_left(handle);
    handle_settle(handle);
    pthread_mutex_unlock(&handle->lock);
    return code;
}

static void finish_commit(struct call *call, const struct result *result)
{
    int code = end_commit(call, result);
    handle_unref(call->handle);
    if (!code && call->finish_value >= 0)
        fuse_reply_write(call->req, (size_t)call->finish_value);
    else
        reply_code(call->req, code);
}

/* The last close of a writer; then its process's POSIX locks go. */
static void finish_flush(struct call *call, const struct result *result)
{
    int code = end_commit(call, result);
    locks_flush(call->handle, call->fi.lock_owner, call->req, code);
    handle_unref(call->handle);
}

static void finish_unlock(struct call *call, const struct result *result)
{
    int code = end_commit(call, result);
    handle_unref(call->handle);
    locks_unlock(call->mount->locks, &call->unlock, call->req, code);
}

/* --- an unborn file that goes without commit --- */

/* Who else writes to it gives birth to it now. False: nobody does, nor can before its removal has ended. */
static bool pass_on(const struct handle *handle)
{
    struct files *files = handle->mount->files;
    struct handle *heir = NULL;
    bool takes = false;
    for (uint64_t fh = 0; !takes && (heir = files_heir(files, handle, fh)); handle_unlock(heir)) {
        fh = heir->fh;
        handle_relock(heir);
        takes = !heir->ended && !heir->discarded && !heir->error;
        if (!takes)
            continue;
        heir->unborn = true;
        if (!heir->session)
            heir->session = atomic_load(&heir->mount->own_session);
        handle_mark(heir, ESTATE_UNBORN, true);
    }
    return takes;
}

struct abandoned {
    struct handle *handle;
    fuse_req_t req; /* NULL: nobody waits */
};

static void reply_released(struct handle *handle, fuse_req_t req)
{
    handle_unref(handle);
    if (req)
        reply_code(req, ERR_OK);
}

static void finish_abandon(void *arg, const struct result *result)
{
    struct abandoned abandoned = *(struct abandoned *)arg;
    (void)result; /* another host may have given birth to it just before */
    free(arg);
    files_end_doom(abandoned.handle->mount->files, abandoned.handle->file);
    reply_released(abandoned.handle, abandoned.req);
}

/* Takes over a handle's lock and count, and replies if there is a request. An unborn file that nobody else writes to
 * is removed; here, or elsewhere: then it is the other host's by now. */
static void abandon(struct handle *handle, fuse_req_t req)
{
    struct mount *mount = handle->mount;
    struct node_stat stat;
    bool unborn = handle->unborn && !mount_stat(mount, handle->id, &stat) &&
                  stat.unborn_of == atomic_load(&mount->own_session) && stat.unborn_of;
    handle->unborn = false;
    pthread_mutex_unlock(&handle->lock);
    if (!unborn || pass_on(handle)) {
        files_set_closing(mount->files, handle->file, false);
        reply_released(handle, req);
        return;
    }
    struct abandoned *abandoned = malloc(sizeof *abandoned);
    assert(abandoned);
    *abandoned = (struct abandoned){handle, req};
    struct request request = {
        .kind = OP_DELETE,
        .delete = {.at = {.id = handle->id},
                   .type = DELETE_NOT_DIRECTORY,
                   .version = NO_VERSION_CHECK,
                   .expect_id = handle->id,
                   .expect_zxid = stat.change_zxid},
    };
    client_submit(mount->client, &request, finish_abandon, abandoned);
}

void commit_abandon(struct handle *handle)
{
    abandon(handle, NULL);
}

/* Takes a released handle apart; nobody else has its fh any more. */
static void end_release(struct handle *handle, fuse_req_t req)
{
    struct mount *mount = handle->mount;
    locks_release(mount->locks, handle);
    handle_relock(handle);
    handle->ended = true;
    abandon(handle, req);
}

static void finish_release(struct call *call, const struct result *result)
{
    int code = end_commit(call, result);
    if (code)
        log_line("a write at the last close of inode %llu was not done: %s", (unsigned long long)call->handle->ino,
                 error_text(code));
    end_release(call->handle, call->req);
}

/* --- the start --- */

/* The file as its writer sees it after an append (a count for the caller), where `base` is what it was. */
static struct data *appended(const struct handle *handle, struct data *base, const struct edit *append)
{
    struct data *data = handle->stage.open ? handle->stage.view : base, *longer;
    return append && !data_edit(data, append, 1, &longer) ? longer : data_ref(data);
}

/* A removed file: what is staged is its content from now on. */
static void commit_removed(struct handle *handle, struct data *last, const struct edit *append)
{
    struct data *data = appended(handle, last, append);
    files_set_last(handle->mount->files, handle->file, data);
    data_unref(data);
    handle_discard(handle);
    handle->unborn = false;
    handle_settle(handle);
}

/* Why a commit can't even be tried. */
static int refusal(const struct handle *handle)
{
    if (handle->error)
        return handle->error;
    bool fenced = handle->staged.tgid && fence_holds(handle->mount, handle->staged.tgid);
    bool lost = handle_lost(handle) || files_lost(handle->mount->files, handle->file);
    return fenced || lost ? ERR_SESSION_EXPIRED : ERR_OK;
}

/* What goes with the data: the times that were given while it was staged, bits that a write takes away. `changes`: the
 * data is not just what it was made with. */
static void attributes(const struct handle *handle, bool changes, struct op_set_attr *set)
{
    struct node_stat stat;
    *set = (struct op_set_attr){.at = {.id = handle->id}, .aversion = NO_VERSION_CHECK};
    if (mount_stat(handle->mount, handle->id, &stat))
        return;
    if (files_staged_mtime(handle->mount->files, handle, &set->mtime_ns)) {
        set->mask |= ATTR_MTIME | ATTR_ATIME;
        set->atime_ns = stat.atime_ns;
    }
    set->mode = inode_without_set_id(stat.mode);
    if (changes && handle->by_user && stat.kind == KIND_FILE && set->mode != stat.mode)
        set->mask |= ATTR_MODE;
}

/* As handle_take; an append is shown, too, and kept if the file is removed just before. */
static void take(struct handle *handle, const struct edit *append)
{
    struct data *base = append ? handle_base(handle) : NULL, *shown = appended(handle, base, append);
    handle_take(handle);
    if (append) {
        data_unref(handle->version);
        handle->version = data_ref(shown);
    }
    data_unref(shown);
    data_unref(base);
}

static void submit_data(struct handle *handle, struct call *call, const struct edit *append)
{
    struct edit *edits = malloc(LIMIT_EDITS * sizeof *edits);
    void *bytes = NULL;
    size_t count = 0;
    assert(edits);
    bool made_empty = handle->unborn && !handle->written; /* with O_TRUNC or without: it is empty already */
    /* Who made the file began with nothing: what another process or host has put there since it does not write on. */
    bool anew = handle->unborn && handle->written && !files_joined(handle->mount->files, handle);
    if (files_take_emptied(handle->mount->files, handle->ino, handle) || anew)
        edits[count++] = (struct edit){.kind = EDIT_TRUNCATE};
    if (handle->stage.open && !made_empty)
        count += stage_edits(&handle->stage, edits + count, &bytes);
    if (append)
        edits[count++] = *append;
    struct request ops[] = {
        {.kind = OP_WRITE,
         .write = {.at = {.id = handle->id}, .version = NO_VERSION_CHECK, .edits = edits, .count = count}},
        {.kind = OP_SET_ATTR},
    };
    attributes(handle, count, &ops[1].set_attr);
    if (call->finish_value < 0 && handle->voider && handle->voider == fuse_req_ctx(call->req)->pid)
        cache_written(handle->mount->cache, handle->id);
    struct request request =
        ops[1].set_attr.mask ? (struct request){.kind = OP_MULTI, .multi = {.ops = ops, .count = 2}} : ops[0];
    take(handle, append);
    pthread_mutex_unlock(&handle->lock); /* finish locks it, perhaps before the submission returns */
    call_submit(call, &request);
    free(bytes);
    free(edits);
}

static void submit_control(struct handle *handle, struct call *call)
{
    char room[CONTROL_TEXT_BYTES];
    struct request request;
    int code = control_request(handle->control, handle->id, handle->stage.view, room, &request);
    handle_take(handle);
    pthread_mutex_unlock(&handle->lock);
    if (!code) {
        call_submit(call, &request);
        return;
    }
    call->finish(call, &(struct result){.code = code});
    call_free(call);
}

/* Commits what a handle owes, which is locked and counted: both are taken over. `written`: by the write(2) that waits
 * for it, else -1. */
static void begin(struct handle *handle, struct call *call, const struct edit *append, int written)
{
    struct data *last = NULL;
    int code = refusal(handle);
    bool removed = !code && files_removed(handle->mount->files, handle->file, &last);
    if (removed)
        commit_removed(handle, last, append);
    data_unref(last);
    call->handle = handle;
    call->finish_value = written;
    call->was_unborn = handle->unborn;
    call->appends = append != NULL;
    call->interruptible = append && !handle->stage.open; /* what was staged must not be lost to a signal */
    if (!removed && !code && (handle->control == CONTROL_NONE || handle->control == CONTROL_DATA)) {
        submit_data(handle, call, append);
        return;
    }
    if (!removed && !code) {
        submit_control(handle, call);
        return;
    }
    if (code)
        handle_discard(handle);
    handle->in_flight++;
    pthread_mutex_unlock(&handle->lock);
    call->finish(call, &(struct result){.code = code});
    call_free(call);
}

static void begin_commit(struct handle *handle, fuse_req_t req, const struct edit *append, int written,
                         void (*finish)(struct call *call, const struct result *result))
{
    begin(handle, call_new(req, finish), append, written);
}

void commit_then_unlock(struct handle *handle, fuse_req_t req, const struct op_unlock *op)
{
    struct call *call = call_new(req, finish_unlock);
    call->unlock = *op;
    begin(handle, call, NULL, -1);
}

/* The kernel takes ESTALE for names that it does not know right, and sends the call again. */
static void finish_publish(struct call *call, const struct result *result)
{
    int code = end_commit(call, result);
    handle_unref(call->handle);
    if (code)
        reply_code(call->req, code);
    else
        fuse_reply_err(call->req, ESTALE);
}

void commit_publish(struct handle *handle, fuse_req_t req)
{
    begin_commit(handle, req, NULL, -1, finish_publish);
}

void commit_append(struct handle *handle, fuse_req_t req, const void *at, size_t len)
{
    struct data *base = handle_base(handle);
    uint64_t size = handle->stage.open ? data_size(handle->stage.view) : data_size(base);
    int code = handle->writable ? handle_may_stage(handle, base, size + len, len) : ERR_INVALID;
    data_unref(base);
    if (!code && control_is(handle->ino) && handle->control != CONTROL_DATA) {
        code = handle_write(handle, size, at, len);
        handle_unlock(handle);
        if (code)
            reply_code(req, code);
        else
            fuse_reply_write(req, len);
        return;
    }
    if (code) {
        handle_unlock(handle);
        reply_code(req, code);
        return;
    }
    begin_commit(handle, req, &(struct edit){EDIT_APPEND, 0, {at, len}}, (int)len, finish_commit);
}

void commit_synced(struct handle *handle, fuse_req_t req, const void *at, size_t len, uint64_t offset)
{
    bool done = resume_commit(handle);
    int code = done ? ERR_OK : handle_write(handle, offset, at, len);
    if (!done && !code) {
        begin_commit(handle, req, NULL, (int)len, finish_commit);
        return;
    }
    handle_unlock(handle);
    if (code)
        reply_code(req, code);
    else
        fuse_reply_write(req, len);
}

/* --- what ends staging --- */

/* What a FLUSH of a writer means. */
static enum closing judge(struct handle *handle, pid_t flusher)
{
    struct mount *mount = handle->mount;
    struct fdtable *opener = fdtables_take(mount->fdtables, handle->staged.tgid);
    enum closing closing =
        closing_judge(opener, flusher, handle->ino, mount->device, files_other_writers(mount->files, handle));
    fdtables_put(mount->fdtables, opener);
    if (closing != CLOSING_NOT)
        files_set_left(mount->files, handle);
    return closing;
}

/* Nothing written may mean: by others than the opener, who have the descriptor from it. They end it with RELEASE. */
static bool is_all(const struct handle *handle)
{
    return handle->written || closing_alone(handle->staged.tgid, handle->ino, handle->mount->device);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    struct handle *handle = fi->fh & GHOST_FH ? NULL : handle_lock(mount, fi->fh);
    (void)ino;
    if (!handle) {
        reply_code(req, fi->fh & GHOST_FH ? ERR_OK : ERR_INVALID);
        return;
    }
    resume_commit(handle);
    enum closing closing = handle->writable ? judge(handle, fuse_req_ctx(req)->pid) : CLOSING_NOT;
    bool owes = handle_owes(handle);
    if (owes && closing == CLOSING_COMMIT && is_all(handle)) {
        struct call *call = call_new(req, finish_flush);
        call->fi = *fi;
        begin(handle, call, NULL, -1);
        return;
    }
    if (owes && closing == CLOSING_COMMIT)
        files_set_closing(mount->files, handle->file, true);
    if (owes && closing == CLOSING_DISCARD) {
        handle_discard(handle);
        handle->discarded = true;
    }
    int code = handle->error;
    pthread_mutex_unlock(&handle->lock);
    locks_flush(handle, fi->lock_owner, req, code);
    handle_unref(handle);
}

/* What else the handle owed may have gone with another's commit by now. */
static void release_now(void *arg)
{
    struct call *call = arg;
    struct handle *handle = call->handle, *kept = handle_ref(handle);
    handle_relock(handle);
    if (handle_owes(handle) && !handle->discarded && !handle->error) {
        begin(handle, call, NULL, -1);
    } else {
        fuse_req_t req = call->req;
        pthread_mutex_unlock(&handle->lock);
        call_free(call);
        end_release(handle, req);
    }
    files_end_turn(kept->mount->files, kept->file);
    handle_unref(kept);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct handle *handle = fi->fh & GHOST_FH ? NULL : handle_lock(mount_of(req), fi->fh);
    (void)ino;
    if (!handle) {
        reply_code(req, ERR_OK);
        return;
    }
    handle_drop(handle);
    resume_commit(handle);
    bool owes = handle_owes(handle) && !handle->discarded && !handle->error;
    pthread_mutex_unlock(&handle->lock);
    if (!owes) {
        end_release(handle, req);
        return;
    }
    struct call *call = call_new(req, finish_release);
    call->handle = handle;
    call->turn = (struct turn){.file = handle->file, .arg = call};
    files_take_turns(handle->mount->files, &call->turn, release_now);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    struct handle *handle = fi->fh & GHOST_FH ? NULL : handle_lock(mount_of(req), fi->fh);
    if (!handle) {
        reply_code(req, fi->fh & GHOST_FH ? ERR_OK : ERR_INVALID);
        return;
    }
    resume_commit(handle);
    if (handle_owes(handle)) {
        begin_commit(handle, req, NULL, -1, finish_commit);
        return;
    }
    int code = handle->error;
    handle_unlock(handle);
    if (code)
        reply_code(req, code);
    else
        op_fsyncdir(req, ino, datasync, fi);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)ino;
    (void)datasync;
    (void)fi;
    call_sync(call_new(req, call_reply_code));
}
