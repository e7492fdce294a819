/* What only reads: answered at once from the tree. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include "fs/mount/access.h"
#include "fs/mount/cache.h"
#include "fs/mount/call.h"
#include "fs/mount/control.h"
#include "fs/mount/file.h"
#include "fs/mount/found.h"
#include "fs/mount/handle.h"
#include "fs/mount/inode.h"
#include "fs/mount/ops.h"
#include "fs/mount/template.h"

/* A name in a directory: "." and ".." come when the kernel finds a directory again by its handle. */
static const struct node *child(const struct mount *mount, const struct state *state, const struct node *parent,
                                const char *name)
{
    struct node_stat stat;
    if (!strcmp(name, "."))
        return parent;
    if (strcmp(name, ".."))
        return node_child(state, parent, name, strlen(name));
    node_stat(parent, &stat);
    return stat.id == mount->root ? parent : node_parent(state, parent);
}

static int find(struct mount *mount, fuse_req_t req, uint64_t parent_id, const char *name, struct node_stat *stat)
{
    struct node_stat parent_stat;
    int code = ERR_NO_NODE;
    const struct state *state = client_lock(mount->client);
    const struct node *parent = state_node(state, parent_id), *node = NULL;
    if (parent) {
        node_stat(parent, &parent_stat);
        node = child(mount, state, parent, name);
    }
    if (node) {
        node_stat(node, stat);
        code = ERR_OK;
        if (stat->kind != KIND_DIRECTORY)
            found_add(mount->found, stat, node_data(node));
    }
    client_unlock(mount->client);
    if (!parent)
        return ERR_NO_NODE;
    int access = access_check(req, &parent_stat, X_OK);
    return access ? access : code;
}

static void lookup_control(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (!control_is(parent)) {
        control_lookup(mount, req, control_ino(CONTROL_DIRECTORY, znode_of(mount, parent)));
        return;
    }
    enum control kind = control_named(mount, control_id(parent), name);
    if (control_kind(parent) != CONTROL_DIRECTORY || kind == CONTROL_NONE)
        reply_code(req, ERR_NO_NODE);
    else
        control_lookup(mount, req, control_ino(kind, control_id(parent)));
}

/* The size by a view, whose count is taken over. */
static void set_size(struct stat *attr, struct data *view)
{
    attr->st_size = (off_t)data_size(view);
    attr->st_blocks = (attr->st_size + 511) / 512;
    data_unref(view);
}

/* Size and mode as the caller sees them; whether that is not as all do. */
static bool staged_attr(struct mount *mount, fuse_req_t req, fuse_ino_t ino, struct stat *attr)
{
    struct looked looked;
    if (!files_look(mount, ino, fuse_req_ctx(req)->pid, &looked))
        return false;
    set_size(attr, looked.view);
    if (looked.clears_set_id)
        attr->st_mode = inode_without_set_id(attr->st_mode);
    return true;
}

/* What may be kept is what the tree says of the name itself. */
static void reply_found(fuse_req_t req, uint64_t parent_id, const struct node_stat *stat, bool by_name)
{
    struct mount *mount = mount_of(req); /* the reply frees req */
    struct fuse_entry_param entry;
    inode_entry(mount, stat, &entry);
    if (by_name)
        entry.entry_timeout = cache_name_s(mount->cache, parent_id, stat);
    entry.attr_timeout = cache_attr_s(mount->cache, entry.ino, stat);
    if (staged_attr(mount, req, entry.ino, &entry.attr))
        entry.attr_timeout = 0;
    if (fuse_reply_entry(req, &entry))
        inodes_count(mount->inodes, stat->id, -1);
}

static void lookup_name(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *mount = mount_of(req);
    struct node_stat stat;
    bool by_name = strcmp(name, ".") && strcmp(name, "..");
    uint64_t parent_id = znode_of(mount, parent);
    bool too_long = strlen(name) > LIMIT_NAME_BYTES && !(mount->tokens && strchr(name, '{')); /* tokens are taken out */
    int code = too_long ? ERR_NAME_TOO_LONG : find(mount, req, parent_id, name, &stat);
    if (code == ERR_NO_NODE) {
        uint64_t id = templates_find(mount->templates, parent_id, name, fuse_req_ctx(req)->pid);
        by_name = false;
        code = id ? mount_stat(mount, id, &stat) : ERR_NO_NODE;
    }
    if (!code && !mount_visible(mount, &stat))
        code = ERR_NO_NODE;
    if (code)
        reply_code(req, code);
    else
        reply_found(req, parent_id, &stat, by_name);
}

static void finish_sync(struct call *call, const struct result *result)
{
    if (result->code)
        reply_code(call->req, result->code);
    else
        lookup_name(call->req, call->parent, call->name);
}

static void lookup_now(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *mount = mount_of(req);
    cache_begin_read(mount->cache);
    if (mount_ghost(mount, req))
        ghost_lookup(mount, req, parent, name);
    else if (control_is(parent) || !strcmp(name, CONTROL_NAME))
        lookup_control(mount, req, parent, name);
    else
        lookup_name(req, parent, name);
    cache_end_read(mount->cache);
}

/* With linearizable a name that another host just made must be found. */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *mount = mount_of(req);
    bool control = control_is(parent) || !strcmp(name, CONTROL_NAME);
    if (!mount->linearizable || control || mount_ghost(mount, req)) {
        lookup_now(req, parent, name);
        return;
    }
    struct call *call = call_new(req, finish_sync);
    call->parent = parent;
    call_set_name(call, name);
    call_sync(call);
}

static void forget(struct mount *mount, fuse_ino_t ino, uint64_t count)
{
    if (!control_is(ino) && ino != FUSE_ROOT_ID)
        inodes_count(mount->inodes, ino, -(int64_t)count);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    forget(mount_of(req), ino, count);
    fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        forget(mount_of(req), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

int lookup_attr(struct mount *mount, fuse_req_t req, fuse_ino_t ino, struct stat *attr, double *keep_s)
{
    struct node_stat stat;
    double s = 0;
    if (control_is(ino)) {
        int code = control_attr(mount, ino, attr);
        if (code)
            return code;
    } else if (!mount_stat(mount, znode_of(mount, ino), &stat)) {
        inode_attr(mount, &stat, attr);
        inodes_told(mount->inodes, stat.id, attr);
        s = keep_s ? cache_attr_s(mount->cache, ino, &stat) : 0;
    } else if (!inodes_remains(mount->inodes, ino, attr)) {
        return ERR_NO_NODE;
    }
    if (staged_attr(mount, req, ino, attr))
        s = 0;
    if (keep_s)
        *keep_s = s;
    return ERR_OK;
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *mount = mount_of(req);
    struct stat attr;
    struct data *view = NULL;
    double keep_s;
    if (mount_ghost(mount, req)) {
        cache_begin_read(mount->cache);
        ghost_getattr(mount, req, ino);
        cache_end_read(mount->cache);
        return;
    }
    files_wait_closing(mount->files, ino);
    bool staged = fi && !(fi->fh & GHOST_FH) && handle_view(mount, fi->fh, &view); /* lseek(SEEK_END) comes with it */
    cache_begin_read(mount->cache);
    int code = lookup_attr(mount, req, ino, &attr, &keep_s);
    if (!code && staged)
        set_size(&attr, view);
    else
        data_unref(view);
    if (code)
        reply_code(req, code);
    else
        fuse_reply_attr(req, &attr, keep_s);
    cache_end_read(mount->cache);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    char target[LIMIT_PATH_BYTES + 1];
    struct node_stat stat;
    struct data *data;
    bool removed;
    struct mount *mount = mount_of(req);
    cache_begin_read(mount->cache);
    int code = mount_data(mount, znode_of(mount, ino), &stat, &data, &removed);
    cache_end_read(mount->cache);
    if (code) {
        reply_inode_code(req, code);
        return;
    }
    size_t len = data_read(data, 0, target, LIMIT_PATH_BYTES);
    target[len] = 0;
    data_unref(data);
    fuse_reply_readlink(req, target);
}

/* --- statfs: the tree lives in memory, so there is room for the machine's memory, or for what the quotas of the
 * directory and of those above it leave --- */

enum { STATFS_BLOCK_BYTES = 512 }; /* small, for small quotas */

struct space {
    uint64_t max, used;
    bool limited; /* by a quota */
};

static uint64_t space_free(const struct space *space)
{
    return space->max > space->used ? space->max - space->used : 0;
}

/* Of several quotas that counts of which least is left. */
static void limit(struct space *space, uint64_t max, uint64_t used)
{
    struct space found = {max, used, true};
    if (max && (!space->limited || space_free(&found) < space_free(space)))
        *space = found;
}

/* From the directory up to the state's root, whose use counts if there is no quota at all. */
static void limit_space(const struct node *node, struct space *bytes, struct space *nodes)
{
    struct node_stat stat;
    node_stat(node, &stat);
    if (stat.kind != KIND_DIRECTORY)
        return;
    if (!bytes->limited)
        bytes->used = stat.subtree_bytes;
    if (!nodes->limited)
        nodes->used = stat.subtree_nodes;
    limit(bytes, stat.max_bytes, stat.subtree_bytes - stat.size);
    limit(nodes, stat.max_nodes, stat.subtree_nodes - 1);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct mount *mount = mount_of(req);
    struct sysinfo machine;
    sysinfo(&machine);
    uint64_t memory = (uint64_t)machine.totalram * machine.mem_unit;
    struct space bytes = {.max = memory}, nodes = {.max = memory / KIB};
    const struct state *state = client_lock(mount->client);
    const struct node *node = state_node(state, control_is(ino) ? control_id(ino) : znode_of(mount, ino));
    for (; node; node = node_parent(state, node))
        limit_space(node, &bytes, &nodes);
    client_unlock(mount->client);
    struct statvfs answer = {
        .f_bsize = STATFS_BLOCK_BYTES,
        .f_frsize = STATFS_BLOCK_BYTES,
        .f_blocks = bytes.max / STATFS_BLOCK_BYTES,
        .f_bfree = space_free(&bytes) / STATFS_BLOCK_BYTES,
        .f_bavail = space_free(&bytes) / STATFS_BLOCK_BYTES,
        .f_files = nodes.max,
        .f_ffree = space_free(&nodes),
        .f_favail = space_free(&nodes),
        .f_namemax = LIMIT_NAME_BYTES,
    };
    fuse_reply_statfs(req, &answer);
}

void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
    struct mount *mount = mount_of(req);
    struct node_stat stat;
    int code = control_is(ino) ? ERR_OK : mount_stat(mount, znode_of(mount, ino), &stat);
    if (!code && (mask & W_OK) && mount->read_only)
        code = ERR_READ_ONLY;
    if (!code && !control_is(ino))
        code = access_check(req, &stat, mask);
    reply_code(req, code);
}
