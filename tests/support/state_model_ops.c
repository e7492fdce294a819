#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/state_model_internal.h"

/* --- names --- */

/* The name to be, with the counter's number in it; *existing is what has it. */
static int final_name(struct model *model, struct model_node *parent, struct bytes last,
                      const struct lifetime *lifetime, struct bytes *name, uint64_t *sequence)
{
    if (!lifetime->sequential) {
        *name = model_copy(model, last);
        return ERR_OK;
    }
    for (*sequence = parent->s.sequence; *sequence <= LIMIT_SEQUENCE; ++*sequence) {
        char text[LIMIT_NAME_BYTES + 1];
        int at = (int)lifetime->sequence_at;
        int len = snprintf(text, sizeof text, "%.*s%010llu%.*s", at, (const char *)last.at,
                           (unsigned long long)*sequence, (int)last.len - at, (const char *)last.at + at);
        *name = model_copy(model, (struct bytes){text, (size_t)len});
        if (model_by_name(model, parent->s.id, *name) == NULL) {
            ++*sequence;
            return ERR_OK;
        }
    }
    return ERR_SEQUENCE_END;
}

static void set_lifetime(struct model *model, struct model_node *node, const struct lifetime *lifetime)
{
    if (lifetime->ephemeral)
        node->s.ephemeral_owner = model->session;
    if (lifetime->container) {
        node->s.container = true;
        node->had_children = model_children(model, node->s.id) > 0;
    }
    if (lifetime->ttl_ms > 0) {
        node->s.ttl_ms = lifetime->ttl_ms;
        node->s.ttl_from_ns = model->now_ns;
    }
}

static void arrive(struct model *model, struct model_node *node, struct model_node *parent, struct bytes name,
                   const struct lifetime *lifetime, uint64_t sequence)
{
    node->name = name;
    node->s.parent = parent->s.id;
    node->arrival = ++model->tree.arrivals;
    parent->had_children = true;
    if (lifetime != NULL && lifetime->sequential)
        parent->s.sequence = sequence;
    model_children_changed(model, parent->s.id);
}

/* --- operations --- */

static int open_existing(struct model *model, struct model_node *node, struct result *result)
{
    if (node->s.kind != KIND_FILE)
        return node->s.kind == KIND_DIRECTORY ? ERR_IS_DIR : ERR_EXISTS;
    if (node->s.unborn_of != 0 && model->session != 0 && node->s.unborn_of != model->session) {
        model_changed(model, node);
        node->s.unborn_of = model->session;
    }
    model_name_result(result, node, true);
    return ERR_OK;
}

static int create(struct model *model, const struct op_create *op, struct result *result)
{
    int code;
    struct bytes last, name;
    uint64_t sequence = 0;
    struct model_node *parent = model_find_parent(model, op->at, &last, &code);
    if (parent == NULL)
        return code;
    code = final_name(model, parent, last, &op->lifetime, &name, &sequence);
    if (code != ERR_OK)
        return code;
    struct model_node *existing = model_by_name(model, parent->s.id, name);
    if (existing != NULL)
        return op->open_existing ? open_existing(model, existing, result) : ERR_EXISTS;
    if (parent->s.ephemeral_owner != 0)
        return ERR_EPHEMERAL_PARENT;
    if ((op->unborn || op->lifetime.ephemeral) && model->session == 0)
        return ERR_NO_SESSION;
    if (model_over_quota(model, parent->s.id, 0, (int64_t)op->data.len, 1))
        return ERR_QUOTA;
    assert(model->tree.count < NODES);
    struct model_node *node = &model->tree.nodes[model->tree.count++];
    *node = (struct model_node){.data = model_copy(model, op->data)};
    node->s = (struct node_stat){.id = model->tree.next_id++,
                                 .kind = op->kind,
                                 .mode = op->mode,
                                 .uid = op->uid,
                                 .gid = op->gid,
                                 .unborn_of = op->unborn ? model->session : 0};
    node->s.btime_ns = node->s.mtime_ns = node->s.data_mtime_ns = node->s.ctime_ns = model->now_ns;
    node->s.czxid = node->s.mzxid = node->s.pzxid = node->s.change_zxid = model->zxid;
    set_lifetime(model, node, &op->lifetime);
    arrive(model, node, parent, name, &op->lifetime, sequence);
    model_name_result(result, node, true);
    return ERR_OK;
}

static int delete (struct model *model, const struct op_delete *op, struct result *result)
{
    int code;
    struct model_node *node = model_find(model, op->at, &code);
    if (node == NULL)
        return code;
    bool directory = node->s.kind == KIND_DIRECTORY;
    uint64_t last_change = node->s.pzxid > node->s.change_zxid ? node->s.pzxid : node->s.change_zxid;
    if (op->expect_id != 0 && op->expect_id != node->s.id)
        return ERR_NO_NODE;
    if (op->type == DELETE_NOT_DIRECTORY && directory)
        return ERR_IS_DIR;
    if (op->type == DELETE_DIRECTORY && !directory)
        return ERR_NOT_DIR;
    if (node->s.id == ROOT_ID)
        return ERR_BUSY;
    if ((op->version != -1 && op->version != node->s.version) ||
        (op->expect_zxid != 0 && op->expect_zxid != last_change))
        return ERR_BAD_VERSION;
    if (model_children(model, node->s.id) > 0)
        return ERR_NOT_EMPTY;
    model_name_result(result, node, false);
    node->s.id = GONE;
    model_children_changed(model, node->s.parent);
    return ERR_OK;
}

static struct bytes edited(struct model *model, struct bytes from, const struct op_write *op, int *code)
{
    uint8_t *bytes = calloc(1, 4 * LIMIT_DATA_BYTES);
    size_t size = from.len;
    assert(bytes != NULL);
    if (size > 0)
        memcpy(bytes, from.at, size);
    *code = ERR_OK;
    for (size_t i = 0; i < op->count && *code == ERR_OK; i++) {
        const struct edit *edit = &op->edits[i];
        size_t at = edit->kind == EDIT_APPEND ? size : (size_t)edit->offset;
        size_t end = edit->kind == EDIT_TRUNCATE ? at : at + edit->data.len;
        if (end > LIMIT_DATA_BYTES)
            *code = ERR_TOO_BIG;
        else if (edit->kind == EDIT_TRUNCATE && at < size)
            memset(bytes + at, 0, size - at);
        else if (edit->kind != EDIT_TRUNCATE && edit->data.len > 0)
            memcpy(bytes + at, edit->data.at, edit->data.len);
        if (edit->kind == EDIT_TRUNCATE || (edit->data.len > 0 && end > size))
            size = end;
    }
    struct bytes result = model_copy(model, (struct bytes){bytes, *code == ERR_OK ? size : 0});
    free(bytes);
    return result;
}

static int write(struct model *model, const struct op_write *op, struct result *result)
{
    int code;
    struct model_node *node = model_find(model, op->at, &code);
    if (node == NULL)
        return code;
    if (op->version != -1 && op->version != node->s.version)
        return ERR_BAD_VERSION;
    if (node->s.kind == KIND_SYMLINK)
        return ERR_INVALID;
    struct bytes data = edited(model, node->data, op, &code);
    if (code != ERR_OK)
        return code;
    int64_t growth = (int64_t)data.len - (int64_t)node->data.len;
    if (node->s.parent != 0 && model_over_quota(model, node->s.parent, 0, growth, 0))
        return ERR_QUOTA;
    model_name_result(result, node, false);
    if (node->s.unborn_of != 0 || op->count > 0)
        model_changed(model, node);
    node->s.unborn_of = 0;
    if (op->count == 0)
        return ERR_OK;
    node->data = data;
    node->s.version++;
    node->s.mzxid = model->zxid;
    node->s.mtime_ns = node->s.data_mtime_ns = model->now_ns;
    return ERR_OK;
}

static int set_attr(struct model *model, const struct op_set_attr *op, struct result *result)
{
    int code;
    struct model_node *node = model_find(model, op->at, &code);
    if (node == NULL)
        return code;
    if (op->aversion != -1 && op->aversion != node->s.aversion)
        return ERR_BAD_VERSION;
    model_name_result(result, node, false);
    if (op->mask == 0)
        return ERR_OK;
    model_changed(model, node);
    node->s.aversion++;
    int64_t atime_ns = node->atime_set ? node->atime_ns : node->s.mtime_ns;
    if (op->mask & ATTR_MODE)
        node->s.mode = op->mode;
    if (op->mask & ATTR_UID)
        node->s.uid = op->uid;
    if (op->mask & ATTR_GID)
        node->s.gid = op->gid;
    if (op->mask & ATTR_ATIME)
        atime_ns = op->atime_ns;
    if (op->mask & ATTR_ATIME_NOW)
        atime_ns = model->now_ns;
    if (op->mask & ATTR_MTIME)
        node->s.mtime_ns = op->mtime_ns;
    if (op->mask & ATTR_MTIME_NOW)
        node->s.mtime_ns = model->now_ns;
    node->atime_set = atime_ns != node->s.mtime_ns;
    node->atime_ns = atime_ns;
    return ERR_OK;
}

static bool life(const struct lifetime *lifetime)
{
    return lifetime->ephemeral || lifetime->container || lifetime->ttl_ms > 0;
}

static int may_live(struct model *model, const struct model_node *node, const struct lifetime *lifetime)
{
    if (lifetime->container && node->s.kind != KIND_DIRECTORY)
        return ERR_INVALID;
    if ((lifetime->container || node->s.container) && (lifetime->ephemeral || node->s.ephemeral_owner != 0))
        return ERR_INVALID;
    if (lifetime->ephemeral && model->session == 0)
        return ERR_NO_SESSION;
    return lifetime->ephemeral && model_children(model, node->s.id) > 0 ? ERR_EPHEMERAL_PARENT : ERR_OK;
}

static int may_replace(struct model *model, const struct model_node *node, const struct model_node *existing)
{
    bool from = node->s.kind == KIND_DIRECTORY, to = existing->s.kind == KIND_DIRECTORY;
    if (from != to)
        return from ? ERR_NOT_DIR : ERR_IS_DIR;
    return model_children(model, existing->s.id) > 0 ? ERR_NOT_EMPTY : ERR_OK;
}

/* Whether `node` may come to `parent` in the place of `leaving`. */
static int may_come(struct model *model, const struct model_node *node, const struct model_node *parent,
                    const struct model_node *leaving)
{
    int64_t bytes, nodes, less_bytes = 0, less_nodes = 0;
    if (parent->s.ephemeral_owner != 0)
        return ERR_EPHEMERAL_PARENT;
    model_weigh(model, node->s.id, &bytes, &nodes);
    if (leaving != NULL)
        model_weigh(model, leaving->s.id, &less_bytes, &less_nodes);
    bool over = model_over_quota(model, parent->s.id, node->s.parent, bytes - less_bytes, nodes - less_nodes);
    return over ? ERR_QUOTA : ERR_OK;
}

static int swap(struct model *model, struct model_node *a, struct model_node *b, struct result *result)
{
    model_name_result(result, b, true);
    result->id = a->s.id;
    if (a == b)
        return ERR_OK;
    if (a->s.id == ROOT_ID || b->s.id == ROOT_ID)
        return ERR_BUSY;
    if (model_within(model, a->s.id, b->s.id) || model_within(model, b->s.id, a->s.id))
        return ERR_INVALID;
    struct model_node *parent_a = model_by_id(model, a->s.parent), *parent_b = model_by_id(model, b->s.parent);
    int code = may_come(model, a, parent_b, b);
    if (code == ERR_OK)
        code = may_come(model, b, parent_a, a);
    if (code != ERR_OK)
        return code;
    struct bytes name_a = a->name, name_b = b->name;
    model_changed(model, a);
    model_changed(model, b);
    arrive(model, a, parent_b, name_b, NULL, 0);
    arrive(model, b, parent_a, name_a, NULL, 0);
    return ERR_OK;
}

static int move(struct model *model, struct model_node *node, const struct op_rename *op, struct result *result)
{
    int code;
    struct bytes last, name;
    uint64_t sequence = 0;
    struct model_node *parent = model_find_parent(model, op->to, &last, &code);
    if (parent == NULL)
        return code;
    code = final_name(model, parent, last, &op->lifetime, &name, &sequence);
    if (code != ERR_OK)
        return code;
    struct model_node *existing = model_by_name(model, parent->s.id, name);
    if (existing != NULL && op->flag == RENAME_NO_REPLACE)
        return ERR_EXISTS;
    if (model_within(model, parent->s.id, node->s.id))
        return ERR_INVALID;
    if (existing != NULL && existing != node && (code = may_replace(model, node, existing)) != ERR_OK)
        return code;
    if ((code = may_live(model, node, &op->lifetime)) != ERR_OK)
        return code;
    if (existing != node && (code = may_come(model, node, parent, existing)) != ERR_OK)
        return code;
    if (existing != node || life(&op->lifetime))
        model_changed(model, node);
    if (existing != node) {
        uint64_t from = node->s.parent;
        if (existing != NULL) {
            existing->s.id = GONE;
            model_children_changed(model, parent->s.id);
        }
        if (from != parent->s.id)
            model_children_changed(model, from);
        arrive(model, node, parent, name, &op->lifetime, sequence);
    }
    set_lifetime(model, node, &op->lifetime);
    model_name_result(result, node, true);
    return ERR_OK;
}

static int rename_node(struct model *model, const struct op_rename *op, struct result *result)
{
    int code;
    struct model_node *node = model_find(model, op->from, &code);
    if (node == NULL)
        return code;
    if (op->expect_from_id != 0 && op->expect_from_id != node->s.id)
        return ERR_NO_NODE;
    if (node->s.id == ROOT_ID)
        return ERR_BUSY;
    if (op->flag != RENAME_SWAP)
        return move(model, node, op, result);
    struct model_node *other = model_find(model, op->to, &code);
    return other == NULL ? code : swap(model, node, other, result);
}

static int set_xattr(struct model *model, const struct op_xattr *op, bool remove, struct result *result)
{
    int code;
    struct model_node *node = model_find(model, op->at, &code);
    struct xattr *slot = NULL, *unused = NULL;
    size_t sum = 0;
    if (node == NULL)
        return code;
    if (!remove && node->s.kind == KIND_SYMLINK)
        return ERR_NOT_PERMITTED;
    for (size_t i = 0; i < XATTRS; i++) {
        struct xattr *xattr = &node->xattrs[i];
        if (xattr->name.len > 0 && model_same(xattr->name, op->name))
            slot = xattr;
        else if (xattr->name.len > 0)
            sum += xattr->name.len + xattr->value.len;
        else
            unused = xattr;
    }
    if (remove ? slot == NULL : slot == NULL && op->flag == XATTR_MUST_REPLACE)
        return ERR_NO_XATTR;
    if (!remove && slot != NULL && op->flag == XATTR_MUST_CREATE)
        return ERR_EXISTS;
    if (!remove && sum + op->name.len + op->value.len > LIMIT_XATTRS_BYTES)
        return ERR_XATTR_SPACE;
    model_changed(model, node);
    model_name_result(result, node, false);
    if (remove)
        *slot = (struct xattr){{NULL, 0}, {NULL, 0}};
    else
        *(slot != NULL ? slot : unused) = (struct xattr){model_copy(model, op->name), model_copy(model, op->value)};
    return ERR_OK;
}

static int set_directory(struct model *model, const struct request *request, struct result *result)
{
    int code;
    bool policy = request->kind == OP_SET_POLICY;
    struct model_node *node = model_find(model, policy ? request->set_policy.at : request->set_quota.at, &code);
    if (node == NULL)
        return code;
    if (node->s.kind != KIND_DIRECTORY)
        return ERR_NOT_DIR;
    int64_t bytes, nodes;
    model_weigh(model, node->s.id, &bytes, &nodes);
    uint64_t used_bytes = (uint64_t)bytes - node->data.len, used_nodes = (uint64_t)nodes - 1;
    const struct op_set_quota *quota = &request->set_quota;
    if (!policy && model->version >= 3 &&
        ((quota->max_bytes > 0 && used_bytes > quota->max_bytes) ||
         (quota->max_nodes > 0 && used_nodes > quota->max_nodes)))
        return ERR_QUOTA;
    model_changed(model, node);
    model_name_result(result, node, false);
    if (policy) {
        node->policy = model_copy(model, request->set_policy.policy);
    } else {
        node->s.max_bytes = request->set_quota.max_bytes;
        node->s.max_nodes = request->set_quota.max_nodes;
    }
    return ERR_OK;
}

static int check(struct model *model, const struct op_check *op, struct result *result)
{
    int code;
    struct model_node *node = model_find(model, op->at, &code);
    if (op->must_not_exist)
        return node == NULL ? ERR_OK : ERR_EXISTS;
    if (node == NULL)
        return code;
    if (op->version != -1 && op->version != node->s.version)
        return ERR_BAD_VERSION;
    model_name_result(result, node, false);
    return ERR_OK;
}

int model_operation(struct model *model, const struct request *request, struct result *result)
{
    switch (request->kind) {
    case OP_CREATE:
        return create(model, &request->create, result);
    case OP_DELETE:
        return delete (model, &request->delete, result);
    case OP_WRITE:
        return write(model, &request->write, result);
    case OP_SET_ATTR:
        return set_attr(model, &request->set_attr, result);
    case OP_RENAME:
        return rename_node(model, &request->rename, result);
    case OP_SET_XATTR:
    case OP_REMOVE_XATTR:
        return set_xattr(model, &request->xattr, request->kind == OP_REMOVE_XATTR, result);
    case OP_CHECK:
        return check(model, &request->check, result);
    default:
        return set_directory(model, request, result);
    }
}
