/* Extended attributes: the user's own, and user.pact.*, ZooKeeper's stat, which can only be read. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/mount/access.h"
#include "fs/mount/cache.h"
#include "fs/mount/call.h"
#include "fs/mount/control.h"
#include "fs/mount/inode.h"
#include "fs/mount/ops.h"

#define USER    "user."
#define VIRTUAL "user.pact."

static const struct {
    const char *name;
    size_t at; /* in struct node_stat */
    size_t size;
} virtuals[] = {
#define FIELD(name, field)                                                                                             \
    {                                                                                                                  \
        VIRTUAL name, offsetof(struct node_stat, field), sizeof(((struct node_stat *)0)->field)                        \
    }
    FIELD("version", version),
    FIELD("cversion", cversion),
    FIELD("aversion", aversion),
    FIELD("czxid", czxid),
    FIELD("mzxid", mzxid),
    FIELD("pzxid", pzxid),
    FIELD("ephemeral_owner", ephemeral_owner),
    FIELD("id", id),
};
enum { VIRTUALS = sizeof virtuals / sizeof *virtuals };
#define LOCK_ZXID VIRTUAL "lock_zxid" /* not of the stat, and so after them */

static bool has_prefix(const char *name, const char *prefix)
{
    return !strncmp(name, prefix, strlen(prefix));
}

/* The value of a virtual attribute as decimal text; its length, 0 if there is none of that name. */
static size_t virtual_value(struct mount *mount, const struct node_stat *stat, const char *name, char to[32])
{
    if (!strcmp(name, LOCK_ZXID)) {
        uint64_t zxid = state_lock_zxid(client_lock(mount->client), stat->id);
        client_unlock(mount->client);
        return (size_t)snprintf(to, 32, "%" PRIu64, zxid);
    }
    for (size_t i = 0; i < VIRTUALS; i++) {
        uint64_t value = 0;
        if (strcmp(name, virtuals[i].name))
            continue;
        memcpy(&value, (const char *)stat + virtuals[i].at, virtuals[i].size); /* little-endian */
        return (size_t)snprintf(to, 32, "%" PRIu64, value);
    }
    return 0;
}

static void reply_bytes(fuse_req_t req, const void *at, size_t len, size_t size)
{
    if (!size)
        fuse_reply_xattr(req, len);
    else if (size < len)
        fuse_reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, at, len);
}

/* The stat of the znode, if it is one and the caller may read it. */
static int find(fuse_req_t req, fuse_ino_t ino, struct node_stat *stat)
{
    struct mount *mount = mount_of(req);
    return control_is(ino) ? ERR_NO_XATTR : mount_stat(mount, znode_of(mount, ino), stat);
}

static void get(struct mount *mount, fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct node_stat stat;
    struct bytes value = {0};
    char text[32], *copy = NULL;
    int code = has_prefix(name, USER) ? find(req, ino, &stat) : ERR_NOT_SUPPORTED;
    if (!code)
        code = access_check(req, &stat, R_OK);
    if (code) {
        reply_inode_code(req, code);
        return;
    }
    if (has_prefix(name, VIRTUAL)) {
        size_t len = virtual_value(mount, &stat, name, text);
        if (len)
            reply_bytes(req, text, len, size);
        else
            reply_code(req, ERR_NO_XATTR);
        return;
    }
    const struct state *state = client_lock(mount->client);
    const struct node *node = state_node(state, stat.id);
    bool found = node && node_xattr(node, (struct bytes){name, strlen(name)}, &value);
    if (found && (copy = malloc(value.len + 1)))
        memcpy(copy, value.at, value.len);
    client_unlock(mount->client);
    if (copy)
        reply_bytes(req, copy, value.len, size);
    else
        reply_code(req, found ? ERR_TOO_MANY : ERR_NO_XATTR);
    free(copy);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct mount *mount = mount_of(req);
    cache_begin_read(mount->cache); /* who has seen a version must not be shown the size of the one before */
    get(mount, req, ino, name, size);
    cache_end_read(mount->cache);
}

/* Appends names, each with its NUL, as far as they fit into LIMIT_XATTRS_BYTES and the virtual ones' room. */
enum { LIST_BYTES = LIMIT_XATTRS_BYTES + 4096 };

static size_t list_names(const struct node *node, char *to)
{
    struct bytes name, value;
    size_t len = 0;
    for (size_t i = 0; i <= VIRTUALS; i++) {
        const char *its = i < VIRTUALS ? virtuals[i].name : LOCK_ZXID;
        memcpy(to + len, its, strlen(its) + 1);
        len += strlen(its) + 1;
    }
    for (size_t i = 0; node_xattr_at(node, i, &name, &value) && len + name.len + 1 <= LIST_BYTES; i++) {
        memcpy(to + len, name.at, name.len);
        to[len + name.len] = 0;
        len += name.len + 1;
    }
    return len;
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    struct mount *mount = mount_of(req);
    if (control_is(ino)) {
        reply_bytes(req, "", 0, size);
        return;
    }
    char *names = malloc(LIST_BYTES);
    if (!names) {
        reply_code(req, ERR_TOO_MANY);
        return;
    }
    cache_begin_read(mount->cache);
    const struct state *state = client_lock(mount->client);
    const struct node *node = state_node(state, znode_of(mount, ino));
    size_t len = node ? list_names(node, names) : 0;
    client_unlock(mount->client);
    cache_end_read(mount->cache);
    if (node)
        reply_bytes(req, names, len, size);
    else
        reply_inode_code(req, ERR_NO_NODE);
    free(names);
}

/* Whether the caller may change an attribute of this name. */
static int check_change(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct node_stat stat;
    if (!has_prefix(name, USER))
        return ERR_NOT_SUPPORTED;
    if (has_prefix(name, VIRTUAL) || control_is(ino))
        return ERR_NOT_PERMITTED;
    int code = mount_may_change(req);
    if (!code)
        code = find(req, ino, &stat);
    return code ? code : access_check(req, &stat, W_OK);
}

/* Both flags at once: what must be there and must not, is never set. */
static int refuse_both(struct mount *mount, uint64_t id, const char *name)
{
    struct bytes value;
    const struct node *node = state_node(client_lock(mount->client), id);
    bool found = node && node_xattr(node, (struct bytes){name, strlen(name)}, &value);
    client_unlock(mount->client);
    return !node ? ERR_NO_NODE : found ? ERR_EXISTS : ERR_NO_XATTR;
}

static void reply_changed(fuse_req_t req, uint64_t id, int code)
{
    struct node_stat found;
    if (code == ERR_NO_NODE && mount_came_late(req, id, &found))
        code = ERR_OK;
    reply_inode_code(req, code);
}

static void finish_change(struct call *call, const struct result *result)
{
    reply_changed(call->req, call->stat.id, result->code);
}

static void submit(fuse_req_t req, uint64_t id, const struct request *request)
{
    struct call *call = call_new(req, finish_change);
    call->stat.id = id;
    call_submit(call, request);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    struct mount *mount = mount_of(req);
    int code = check_change(req, ino, name);
    if (!code && (flags & XATTR_CREATE) && (flags & XATTR_REPLACE))
        code = refuse_both(mount, znode_of(mount, ino), name);
    if (code) {
        reply_changed(req, znode_of(mount, ino), code);
        return;
    }
    struct request request = {
        .kind = OP_SET_XATTR,
        .xattr = {.at = {.id = znode_of(mount, ino)},
                  .name = {name, strlen(name)},
                  .value = {value, size},
                  .flag = flags & XATTR_CREATE    ? XATTR_MUST_CREATE
                          : flags & XATTR_REPLACE ? XATTR_MUST_REPLACE
                                                  : XATTR_ANY},
    };
    submit(req, znode_of(mount, ino), &request);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct mount *mount = mount_of(req);
    int code = check_change(req, ino, name);
    if (code) {
        reply_changed(req, znode_of(mount, ino), code);
        return;
    }
    struct request request = {.kind = OP_REMOVE_XATTR,
                              .xattr = {.at = {.id = znode_of(mount, ino)}, .name = {name, strlen(name)}}};
    submit(req, znode_of(mount, ino), &request);
}
