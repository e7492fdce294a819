/* Making names: mkdir, mknod, symlink, open(O_CREAT). One transaction each; the tokens of the name and the policy of
 * the directory decide how the new znode lives. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/mount/access.h"
#include "fs/mount/cache.h"
#include "fs/mount/call.h"
#include "fs/mount/control.h"
#include "fs/mount/inode.h"
#include "fs/mount/ops.h"
#include "fs/mount/template.h"
#include "fs/mount/token.h"

/* What all ways of making a name have in common. */
struct making {
    enum node_kind kind;
    mode_t mode;
    bool unborn, open_existing;
    struct bytes data;
    struct token_name name; /* its tokens: together with the directory's policy */
    bool template;          /* the kernel has it by another name than the tree */
    struct owning owning;
};

/* The parent's part: permissions, the group and set-group-ID bit handed down, the children's policy. */
static int inherit(fuse_req_t req, uint64_t parent_id, struct making *making, struct op_create *create)
{
    struct mount *mount = mount_of(req);
    struct tokens policy = {0};
    struct node_stat parent;
    int code = ERR_NO_NODE;
    const struct state *state = client_lock(mount->client);
    const struct node *node = state_node(state, parent_id);
    if (node) {
        node_stat(node, &parent);
        code = token_policy(node_policy(node), &policy);
    }
    client_unlock(mount->client);
    if (!code)
        code = access_check(req, &parent, W_OK | X_OK);
    if (code)
        return code;
    code = token_combine(&making->name.tokens, create->at.path.len, policy, making->kind);
    if (code)
        return code;
    create->lifetime = making->name.tokens.lifetime;
    making->template = making->name.any || create->lifetime.sequential;
    if (parent.mode & S_ISGID) {
        create->gid = parent.gid;
        create->mode |= making->kind == KIND_DIRECTORY ? S_ISGID : 0;
    }
    return ERR_OK;
}

/* Fills the operation. Where names are literal, all of one is taken as it is. */
static int prepare(fuse_req_t req, fuse_ino_t parent, const char *name, struct making *making, struct op_create *create)
{
    struct mount *mount = mount_of(req);
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    int code = control_is(parent)            ? ERR_NOT_PERMITTED
               : !strcmp(name, CONTROL_NAME) ? ERR_EXISTS
                                             : mount_may_change(req);
    making->name.any = false;
    making->name.tokens = (struct tokens){0};
    if (!code && mount->tokens)
        code = token_parse(name, &making->name);
    else if (!code && strlen(name) > LIMIT_NAME_BYTES)
        code = ERR_NAME_TOO_LONG;
    if (code)
        return code;
    if (making->name.any && !strcmp(making->name.name, CONTROL_NAME))
        return ERR_EXISTS;
    *create = (struct op_create){
        .kind = making->kind,
        .mode = making->mode & 07777,
        .uid = ctx->uid,
        .gid = ctx->gid,
        .unborn = making->unborn,
        .open_existing = making->open_existing,
        .data = making->data,
    };
    const char *final = making->name.any ? making->name.name : name;
    create->at = (struct where){znode_of(mount, parent), {final, strlen(final)}};
    cache_set_busy(mount->cache, create->at.id);
    making->owning.makes = true;
    code = inherit(req, create->at.id, making, create);
    return code ? code : owner_find(req, &making->name.tokens, &making->owning);
}

/* What the reply says of a new znode: the tree knows, unless it is gone again already. */
static void look_at_made(struct call *call, const struct result *result)
{
    call->stat.id = result->id;
    mount_stat(call->mount, result->id, &call->stat);
}

/* After the reply: the kernel has the node under the name with tokens. */
static void announce(struct call *call, const struct result *result)
{
    struct ghosts *ghosts = atomic_load(&call->mount->ghosts);
    if (call->name && ghosts)
        ghosts_rename_template(ghosts, call->parent, call->name, result->name, result->id);
}

static void finish_make(struct call *call, const struct result *result)
{
    if (result->code) {
        reply_code(call->req, result->code);
        return;
    }
    look_at_made(call, result);
    if (call->name)
        templates_add(call->mount->templates, call->parent, call->name, fuse_req_ctx(call->req)->pid, result->id);
    reply_entry(call->req, &call->stat);
    announce(call, result);
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name, struct making *making)
{
    struct request request = {.kind = OP_CREATE};
    int code = prepare(req, parent, name, making, &request.create);
    if (code) {
        reply_code(req, code);
        return;
    }
    struct call *call = call_new(req, finish_make);
    call->owning = making->owning;
    const struct op_create *create = &request.create;
    call->parent = create->at.id;
    call->stat = (struct node_stat){
        .kind = create->kind, .mode = create->mode, .uid = create->uid, .gid = create->gid, .size = create->data.len};
    if (making->template)
        call_set_name(call, name);
    call_submit(call, &request);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct mount *mount = mount_of(req);
    struct making making = {.kind = KIND_DIRECTORY, .mode = mode};
    if (mount_ghost(mount, req))
        ghost_mkdir(mount, req, parent, name);
    else
        make(req, parent, name, &making);
}

/* A regular file made so is complete: nobody holds a handle whose closing would give it birth. */
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
    struct making making = {.kind = KIND_FILE, .mode = mode};
    (void)device;
    if (!S_ISREG(mode))
        reply_code(req, ERR_NOT_PERMITTED);
    else
        make(req, parent, name, &making);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct mount *mount = mount_of(req);
    struct making making = {.kind = KIND_SYMLINK, .mode = 0777, .data = {target, strlen(target)}};
    if (mount_ghost(mount, req))
        ghost_symlink(mount, req, parent, name);
    else
        make(req, parent, name, &making);
}

/* --- open(O_CREAT) --- */

static bool made_now(const struct call *call, const struct result *result)
{
    return call->stat.czxid == result->zxid;
}

/* Opens what the create made, or found: another host may have been first, and then no permission was checked. O_TRUNC
 * counts also for what was made: somebody else may write to it before this one's first commit. */
static int open_made(struct call *call, const struct result *result)
{
    bool made = made_now(call, result);
    int code = made ? ERR_OK : access_allowed(call->req, &call->stat, access_of_flags(call->fi.flags));
    if (code)
        return code;
    return io_open(call->mount, call->req, inode_of(call->mount, result->id), &call->fi, made);
}

static void finish_create(struct call *call, const struct result *result)
{
    struct fuse_entry_param entry;
    int code = result->code;
    if (!code) {
        look_at_made(call, result);
        code = open_made(call, result);
    }
    if (code) {
        /* A symlink came there since the kernel looked, which it is to follow; or what was found is going. */
        bool again = result->code ? code == ERR_EXISTS && !(call->fi.flags & O_EXCL) : code == ERR_NO_NODE;
        if (again)
            fuse_reply_err(call->req, ESTALE);
        else
            reply_code(call->req, code);
        return;
    }
    if (call->name)
        templates_add(call->mount->templates, call->parent, call->name, fuse_req_ctx(call->req)->pid, result->id);
    inode_entry(call->mount, &call->stat, &entry);
    if (fuse_reply_create(call->req, &entry, &call->fi)) {
        inodes_count(call->mount->inodes, result->id, -1);
        io_close(call->mount, call->fi.fh);
    }
    announce(call, result);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    struct making making = {.kind = KIND_FILE, .mode = mode, .unborn = true, .open_existing = !(fi->flags & O_EXCL)};
    struct request request = {.kind = OP_CREATE};
    if (mount_ghost(mount, req)) {
        ghost_create(mount, req, parent, name, fi);
        return;
    }
    int code = prepare(req, parent, name, &making, &request.create);
    if (code) {
        reply_code(req, code);
        return;
    }
    struct call *call = call_new(req, finish_create);
    call->owning = making.owning;
    call->fi = *fi;
    call->parent = request.create.at.id;
    call->stat = (struct node_stat){
        .kind = KIND_FILE, .mode = mode & 07777, .uid = request.create.uid, .gid = request.create.gid};
    if (making.template)
        call_set_name(call, name);
    call_submit(call, &request);
}
