/* Names that go or move: unlink, rmdir, rename. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/mount/access.h"
#include "fs/mount/cache.h"
#include "fs/mount/call.h"
#include "fs/mount/commit.h"
#include "fs/mount/control.h"
#include "fs/mount/estate.h"
#include "fs/mount/inode.h"
#include "fs/mount/ops.h"
#include "fs/mount/token.h"

/* Whether a name may be touched: not .pact nor what is in it. */
static int check_name(fuse_ino_t parent, const char *name)
{
    return control_is(parent) || !strcmp(name, CONTROL_NAME) ? ERR_NOT_PERMITTED : ERR_OK;
}

/* Permission to take a name out of a directory, where the daemon checks it: also of a name that the kernel does not
 * see, for another host is still writing the file. */
static int check_remove(fuse_req_t req, uint64_t parent_id, const char *name)
{
    struct mount *mount = mount_of(req);
    struct node_stat parent, child;
    bool named = mount_child(mount, parent_id, name, &child);
    if (mount->kernel_permissions && !(named && !mount_visible(mount, &child)))
        return ERR_OK;
    if (mount_stat(mount, parent_id, &parent))
        return ERR_OK;
    return named ? access_allowed_remove(req, &parent, &child) : access_check(req, &parent, W_OK | X_OK);
}

/* The handle that is to give birth to the file of this name, locked and counted; NULL: it is born, or none of ours. */
static struct handle *unborn_writer(struct mount *mount, uint64_t parent_id, const char *name)
{
    struct node_stat stat;
    if (!mount_child(mount, parent_id, name, &stat))
        return NULL;
    struct handle *writer;
    uint64_t fh = 0;
    while (stat.unborn_of && (writer = files_next_writer(mount->files, inode_of(mount, stat.id), fh))) {
        fh = writer->fh;
        handle_relock(writer);
        if (writer->unborn && !writer->ended)
            return writer;
        handle_unlock(writer);
    }
    return NULL;
}

/* A call as it is known when it comes again. */
static uint64_t key_of(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent, const char *to_name)
{
    return sent_back_key((uint32_t)fuse_req_ctx(req)->pid, parent, name, to_parent, to_name);
}

/* A new file that takes another's place while it is being written is shown as it is by now, as on any file system: the
 * name must not be nobody's for all others. The kernel then calls again. */
static bool published(fuse_req_t req, const struct op_rename *rename, const char *name, const char *to_name,
                      unsigned flags, uint64_t key)
{
    struct mount *mount = mount_of(req);
    struct node_stat there;
    if (!mount_child(mount, rename->to.id, to_name, &there))
        return false;
    struct handle *writer = unborn_writer(mount, rename->from.id, name);
    if (!writer && (flags & RENAME_EXCHANGE))
        writer = unborn_writer(mount, rename->to.id, to_name);
    if (!writer)
        return false;
    sent_back_note(&mount->estate->sent_back, key);
    commit_publish(writer, req);
    return true;
}

/* Whether the kernel should look a name up anew before it goes from here. */
static bool must_ask(struct mount *mount, uint64_t parent, const char *name)
{
    cache_set_busy(mount->cache, parent);
    return cache_must_ask(mount->cache, parent, name);
}

/* Sends a call back, unless that was done already. */
static bool send_back(fuse_req_t req, uint64_t key, bool ask)
{
    struct sent_back *back = &mount_of(req)->estate->sent_back;
    if (sent_back_again(back, key) || !ask)
        return false;
    sent_back_note(back, key);
    fuse_reply_err(req, ESTALE);
    return true;
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, enum delete_type type)
{
    struct mount *mount = mount_of(req);
    struct request request = {.kind = OP_DELETE};
    if (mount_ghost(mount, req)) {
        ghost_remove(mount, req, parent, name);
        return;
    }
    int code = check_name(parent, name);
    if (!code)
        code = mount_may_change(req);
    if (!code)
        code = check_remove(req, znode_of(mount, parent), name);
    if (code) {
        reply_code(req, code);
        return;
    }
    if (send_back(req, key_of(req, parent, name, 0, ""), must_ask(mount, znode_of(mount, parent), name)))
        return;
    request.delete = (struct op_delete){
        .at = {znode_of(mount, parent), {name, strlen(name)}}, .type = type, .version = NO_VERSION_CHECK};
    call_submit(call_new(req, call_reply_code), &request);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, DELETE_NOT_DIRECTORY);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, DELETE_DIRECTORY);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    (void)ino;
    (void)parent;
    (void)name;
    reply_code(req, ERR_NOT_PERMITTED);
}

static void finish_rename(struct call *call, const struct result *result)
{
    struct ghosts *ghosts = atomic_load(&call->mount->ghosts);
    reply_code(call->req, result->code);
    if (!result->code && call->name && ghosts)
        ghosts_rename_template(ghosts, call->parent, call->name, result->name, result->id);
}

/* Fills the operation; `to` holds the target's name without its tokens. */
static int prepare_rename(fuse_req_t req, struct op_rename *rename, const char *to_name, unsigned flags,
                          struct token_name *to, struct owning *owning)
{
    struct mount *mount = mount_of(req);
    to->any = false;
    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return ERR_INVALID;
    int code = mount_may_change(req);
    if (!code && mount->tokens && !(flags & RENAME_EXCHANGE))
        code = token_parse(to_name, to);
    if (code)
        return code;
    if (to->any) {
        rename->to.path = (struct bytes){to->name, to->len};
        rename->lifetime = to->tokens.lifetime;
        if (!strcmp(to->name, CONTROL_NAME))
            return ERR_NOT_PERMITTED;
    }
    rename->flag = flags & RENAME_EXCHANGE ? RENAME_SWAP : flags & RENAME_NOREPLACE ? RENAME_NO_REPLACE : RENAME_PLAIN;
    if (!to->any)
        return strlen(to_name) > LIMIT_NAME_BYTES ? ERR_NAME_TOO_LONG : ERR_OK;
    return owner_find(req, &to->tokens, owning);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent, const char *to_name,
               unsigned flags)
{
    struct mount *mount = mount_of(req);
    struct request request = {.kind = OP_RENAME};
    struct token_name to;
    struct owning owning = {0};
    if (mount_ghost(mount, req)) {
        ghost_rename(mount, req, parent, name, to_parent, to_name);
        return;
    }
    request.rename = (struct op_rename){.from = {znode_of(mount, parent), {name, strlen(name)}},
                                        .to = {znode_of(mount, to_parent), {to_name, strlen(to_name)}}};
    int code = check_name(parent, name);
    if (!code)
        code = check_name(to_parent, to_name);
    if (!code)
        code = check_remove(req, request.rename.from.id, name);
    if (!code)
        code = check_remove(req, request.rename.to.id, to_name);
    if (code) {
        reply_code(req, code);
        return;
    }
    bool ask_from = must_ask(mount, request.rename.from.id, name);
    bool ask = must_ask(mount, request.rename.to.id, to_name) || ask_from;
    uint64_t key = key_of(req, parent, name, to_parent, to_name);
    if (published(req, &request.rename, name, to_name, flags, key) || send_back(req, key, ask))
        return;
    code = prepare_rename(req, &request.rename, to_name, flags, &to, &owning);
    if (code) {
        reply_code(req, code);
        return;
    }
    struct call *call = call_new(req, finish_rename);
    call->parent = request.rename.to.id;
    call->owning = owning;
    if (to.any)
        call_set_name(call, to_name);
    call_submit(call, &request);
}
