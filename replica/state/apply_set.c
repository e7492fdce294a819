/* apply_set.c - what changes one znode in its place: data, attributes, xattrs, policy, quota; and OP_CHECK. */
#include "replica/state/internal.h"

static int find_version(struct apply *apply, struct where at, int64_t version, struct node **node)
{
    int code;
    *node = tree_find(apply->state, at, &code);
    if (*node == NULL)
        return code;
    if (version != NO_VERSION_CHECK && version != (*node)->attr.version)
        return ERR_BAD_VERSION;
    apply_result_id(apply, *node);
    return ERR_OK;
}

static int find_directory(struct apply *apply, struct where at, struct node **node)
{
    int code = find_version(apply, at, NO_VERSION_CHECK, node);
    return code == ERR_OK && !node_is_directory(*node) ? ERR_NOT_DIR : code;
}

/* --- data --- */

/* The first write ends a file's being unborn (design §3): its name appears. */
static void give_birth(struct apply *apply, struct node *node)
{
    if (node->more == NULL || node->more->attr.unborn_of == 0)
        return;
    struct change *change = changes_add(apply->changes, CHANGE_CREATE, node);
    if (change != NULL) {
        change->unborn = false;
        change->birth = true;
    }
    apply_changed(apply, node);
    lifetime_unindex(apply->state, node);
    node->more->attr.unborn_of = 0;
    lifetime_index(apply->state, node);
}

static void set_data(struct apply *apply, struct node *node, struct data *data)
{
    int64_t growth = (int64_t)data_size(data) - (int64_t)data_size(node->attr.data);
    apply_changed(apply, node);
    node_set_data(node, data);
    node->attr.version++;
    node->attr.mzxid = apply->state->zxid;
    node->attr.mtime_ns = apply->now_ns;
    bool directory = node_is_directory(node);
    if (directory)
        node_directory(node)->attr.data_mtime_ns = apply->now_ns;
    tree_account(apply->state, directory ? node : node->parent, growth, 0);
    changes_add(apply->changes, CHANGE_DATA, node);
}

int apply_write(struct apply *apply, const struct op_write *op)
{
    struct node *node;
    int code = find_version(apply, op->at, op->version, &node);
    if (code != ERR_OK)
        return code;
    if (node->attr.kind == KIND_SYMLINK)
        return ERR_INVALID;
    if (op->count == 0) {
        give_birth(apply, node);
        return ERR_OK;
    }
    struct data *data;
    code = data_edit(node->attr.data, op->edits, op->count, &data);
    if (code != ERR_OK)
        return code;
    code = quota_check(node->parent, NULL, (int64_t)data_size(data) - (int64_t)data_size(node->attr.data), 0);
    if (code != ERR_OK) {
        data_unref(data);
        return code;
    }
    give_birth(apply, node);
    set_data(apply, node, data);
    return ERR_OK;
}

/* --- attributes --- */

static void set_times(struct apply *apply, struct node *node, const struct op_set_attr *op)
{
    bool set = (op->mask & (ATTR_ATIME | ATTR_ATIME_NOW)) != 0;
    bool was_set = node->more != NULL && node->more->attr.atime_set;
    int64_t atime_ns = was_set ? node->more->attr.atime_ns : node->attr.mtime_ns;
    if (set)
        atime_ns = op->mask & ATTR_ATIME ? op->atime_ns : apply->now_ns;
    if (op->mask & (ATTR_MTIME | ATTR_MTIME_NOW))
        node->attr.mtime_ns = op->mask & ATTR_MTIME ? op->mtime_ns : apply->now_ns;
    if (atime_ns != node->attr.mtime_ns) {
        struct more_attr *more = &node_need_more(node)->attr;
        more->atime_set = true;
        more->atime_ns = atime_ns;
    } else if (was_set) {
        node->more->attr.atime_set = false; /* atime follows mtime again */
        node->more->attr.atime_ns = 0;
    }
}

int apply_set_attr(struct apply *apply, const struct op_set_attr *op)
{
    struct node *node;
    int code = find_version(apply, op->at, NO_VERSION_CHECK, &node);
    if (code != ERR_OK)
        return code;
    if (op->aversion != NO_VERSION_CHECK && op->aversion != node->attr.aversion)
        return ERR_BAD_VERSION;
    if (op->mask == 0)
        return ERR_OK;
    apply_changed(apply, node);
    node->attr.aversion++;
    if (op->mask & ATTR_MODE)
        node->attr.mode = (uint16_t)op->mode;
    if (op->mask & ATTR_UID)
        node->attr.uid = op->uid;
    if (op->mask & ATTR_GID)
        node->attr.gid = op->gid;
    set_times(apply, node, op);
    changes_add(apply->changes, CHANGE_ATTR, node);
    return ERR_OK;
}

/* --- xattrs --- */

static int edit_xattr(struct apply *apply, struct node *node, const struct op_xattr *op, const struct bytes *value)
{
    struct blob *edited;
    int code = xattr_edit(blob_bytes(node->more == NULL ? NULL : node->more->attr.xattrs), op->name, value, &edited);
    if (code != ERR_OK)
        return code;
    apply_changed(apply, node);
    struct more_attr *more = &node_need_more(node)->attr;
    blob_unref(more->xattrs);
    more->xattrs = edited;
    changes_add(apply->changes, CHANGE_ATTR, node);
    return ERR_OK;
}

int apply_set_xattr(struct apply *apply, const struct op_xattr *op)
{
    struct node *node;
    struct bytes old;
    int code = find_version(apply, op->at, NO_VERSION_CHECK, &node);
    if (code != ERR_OK)
        return code;
    if (node->attr.kind == KIND_SYMLINK)
        return ERR_NOT_PERMITTED; /* as Linux has it for "user." */
    bool there = node_xattr(node, op->name, &old);
    if (there && op->flag == XATTR_MUST_CREATE)
        return ERR_EXISTS;
    if (!there && op->flag == XATTR_MUST_REPLACE)
        return ERR_NO_XATTR;
    return edit_xattr(apply, node, op, &op->value);
}

int apply_remove_xattr(struct apply *apply, const struct op_xattr *op)
{
    struct node *node;
    struct bytes old;
    int code = find_version(apply, op->at, NO_VERSION_CHECK, &node);
    if (code != ERR_OK)
        return code;
    return node_xattr(node, op->name, &old) ? edit_xattr(apply, node, op, NULL) : ERR_NO_XATTR;
}

/* --- a directory's policy and quota --- */

int apply_set_policy(struct apply *apply, const struct op_set_policy *op)
{
    struct node *node;
    int code = find_directory(apply, op->at, &node);
    if (code != ERR_OK)
        return code;
    apply_changed(apply, node);
    struct directory_attr *directory = &node_directory(node)->attr;
    blob_unref(directory->policy);
    directory->policy = blob_new(op->policy.at, op->policy.len);
    changes_add(apply->changes, CHANGE_META, node);
    return ERR_OK;
}

int apply_set_quota(struct apply *apply, const struct op_set_quota *op)
{
    struct node *node;
    int code = find_directory(apply, op->at, &node);
    if (code != ERR_OK)
        return code;
    if (apply->state->version >= STATE_VERSION_LOCKS && quota_below_use(node, op))
        return ERR_QUOTA;
    apply_changed(apply, node);
    node_directory(node)->attr.max_bytes = op->max_bytes;
    node_directory(node)->attr.max_nodes = op->max_nodes;
    changes_add(apply->changes, CHANGE_META, node);
    return ERR_OK;
}

int apply_check(struct apply *apply, const struct op_check *op)
{
    struct node *node;
    int code = find_version(apply, op->at, op->version, &node);
    if (!op->must_not_exist)
        return code;
    return node == NULL ? ERR_OK : ERR_EXISTS;
}
