#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/state_model_internal.h"

static int create_session(struct model *model, const struct op_create_session *op, struct result *result)
{
    for (uint64_t id = 1; id < model->next_session; id++) {
        struct model_session *session = &model->sessions[id];
        if (!session->open || session->nonce != op->nonce[0])
            continue;
        result->id = id;
        return session->secret == op->secret_hash[0] ? ERR_OK : ERR_ACCESS;
    }
    result->id = model->next_session++;
    assert(result->id < SESSIONS);
    model->sessions[result->id] = (struct model_session){true, op->nonce[0], op->secret_hash[0], 0};
    return ERR_OK;
}

static int close_session(struct model *model, uint64_t id, struct result *result)
{
    if (id >= model->next_session || !model->sessions[id].open)
        return ERR_NO_SESSION;
    model->sessions[id].open = false;
    for (size_t i = 0; i < model->tree.count; i++) {
        struct model_node *node = &model->tree.nodes[i];
        if (node->s.id == GONE || (node->s.ephemeral_owner != id && node->s.unborn_of != id))
            continue;
        node->s.id = GONE;
        model_children_changed(model, node->s.parent);
    }
    model_drop_session(model, id);
    result->id = id;
    return ERR_OK;
}

static int set_state_version(struct model *model, uint32_t version)
{
    if (version > STATE_VERSION)
        return ERR_BAD_FORMAT;
    if (version < model->version)
        return ERR_INVALID;
    model->version = version;
    return ERR_OK;
}

static int set_member(struct model *model, const struct op_set_member *op)
{
    struct member_info *member = &model->members[op->id];
    size_t count = 0;
    for (size_t id = 1; id <= LIMIT_REPLICA_ID; id++)
        count += model->members[id].zxid != 0;
    if (member->zxid == 0 && count == LIMIT_REPLICAS)
        return ERR_TOO_MANY;
    if (member->zxid != 0 && member->incarnation[0] == op->incarnation[0])
        return ERR_OK;
    *member = (struct member_info){.id = op->id, .incarnation = {op->incarnation[0]}, .zxid = model->zxid};
    return ERR_OK;
}

static int carry_out(struct model *model, const struct entry *entry, struct result *result)
{
    const struct request *request = &entry->request;
    int code = request_check(request);
    if (request->kind == OP_SET_MEMBER && model->version == 1)
        return ERR_INVALID;
    if ((request->kind == OP_LOCK || request->kind == OP_UNLOCK) && model->version < 3)
        return ERR_INVALID;
    const struct op_multi *multi = &request->multi;
    for (uint32_t i = 0; code != ERR_OK && request->kind == OP_MULTI && request_check(&multi->ops[i]) == ERR_OK;)
        result->failed = ++i;
    if (code != ERR_OK)
        return code;
    switch (request->kind) {
    case OP_NOOP:
        return ERR_OK;
    case OP_CREATE_SESSION:
        return create_session(model, &request->create_session, result);
    case OP_CLOSE_SESSION:
        return close_session(model, request->close_session.session, result);
    case OP_SET_STATE_VERSION:
        return entry->session != 0 ? ERR_NOT_PERMITTED : set_state_version(model, request->state_version);
    case OP_SET_MEMBER:
        return entry->session != 0 ? ERR_NOT_PERMITTED : set_member(model, &request->set_member);
    case OP_LOCK:
        return model_lock(model, &request->lock, result);
    case OP_UNLOCK:
        return model_unlock(model, &request->unlock, result);
    case OP_MULTI:
        for (size_t i = 0; i < multi->count && code == ERR_OK; i++) {
            result->failed = (uint32_t)i;
            code = model_operation(model, &multi->ops[i], result);
        }
        result->failed = code == ERR_OK ? 0 : result->failed;
        return code;
    default:
        return model_operation(model, request, result);
    }
}

void model_apply(struct model *model, const struct entry *entry, struct result *result)
{
    *result = (struct result){.zxid = entry->zxid};
    model->zxid = entry->zxid;
    model->now_ns = entry->stamp_ns;
    model->session = entry->session;
    model->locks.granted_count = 0;
    struct model_session *session = &model->sessions[entry->session < SESSIONS ? entry->session : 0];
    if (entry->session != 0 && !session->open) {
        result->code = ERR_NO_SESSION;
        return;
    }
    if (entry->session != 0 && entry->number != session->last_number + 1) {
        result->none = true;
        return;
    }
    size_t used = offsetof(struct model_tree, nodes) + model->tree.count * sizeof model->tree.nodes[0];
    memcpy(model->before.nodes, model->tree.nodes, used);
    size_t count = model->tree.count;
    uint64_t next_id = model->tree.next_id, arrivals = model->tree.arrivals;
    result->code = carry_out(model, entry, result);
    session->last_number += entry->session != 0;
    if (result->code == ERR_OK || result->code == ERR_LOCK_WAITS)
        return;
    memcpy(model->tree.nodes, model->before.nodes, used);
    model->tree.count = count;
    model->tree.next_id = next_id;
    model->tree.arrivals = arrivals;
    result->id = 0;
    result->name_len = 0;
    result->name[0] = '\0';
}

struct model *model_new(void)
{
    struct model *model = calloc(1, sizeof *model);
    assert(model != NULL);
    model->tree.count = 1;
    model->tree.nodes[0].s = (struct node_stat){.id = ROOT_ID, .kind = KIND_DIRECTORY, .mode = 0755};
    model->tree.next_id = ROOT_ID + 1;
    model->next_session = 1;
    model->version = 1;
    return model;
}

void model_free(struct model *model)
{
    for (size_t i = 0; i < model->memory_count; i++)
        free(model->memory[i]);
    free(model->memory);
    free(model);
}

/* --- comparing --- */

#define DIFFERENT(field)                                                                                               \
    do {                                                                                                               \
        if (expected->s.field != stat.field)                                                                           \
            return #field;                                                                                             \
    } while (0)

static const char *stat_differs(const struct model_node *expected, const struct node *node)
{
    struct node_stat stat;
    node_stat(node, &stat);
    DIFFERENT(parent);
    DIFFERENT(kind);
    DIFFERENT(mode);
    DIFFERENT(uid);
    DIFFERENT(gid);
    DIFFERENT(btime_ns);
    DIFFERENT(mtime_ns);
    DIFFERENT(ctime_ns);
    DIFFERENT(czxid);
    DIFFERENT(mzxid);
    DIFFERENT(pzxid);
    DIFFERENT(change_zxid);
    DIFFERENT(version);
    DIFFERENT(cversion);
    DIFFERENT(aversion);
    DIFFERENT(ephemeral_owner);
    DIFFERENT(unborn_of);
    DIFFERENT(container);
    DIFFERENT(ttl_ms);
    DIFFERENT(ttl_from_ns);
    DIFFERENT(sequence);
    DIFFERENT(max_bytes);
    DIFFERENT(max_nodes);
    if (stat.atime_ns != (expected->atime_set ? expected->atime_ns : expected->s.mtime_ns))
        return "atime_ns";
    return stat.kind == KIND_DIRECTORY && stat.data_mtime_ns != expected->s.data_mtime_ns ? "data_mtime_ns" : NULL;
}

static const char *content_differs(const struct model_node *expected, const struct node *node)
{
    size_t size = data_size(node_data(node)), xattrs = 0;
    uint8_t *bytes = malloc(size + 1);
    assert(bytes != NULL);
    data_read(node_data(node), 0, bytes, size);
    bool equal = model_same(expected->data, (struct bytes){bytes, size});
    free(bytes);
    if (!equal || !model_same(expected->policy, node_policy(node)) || !model_same(expected->name, node_name(node)))
        return "data, policy or name";
    struct bytes name, value;
    for (size_t i = 0; i < XATTRS; i++) {
        if (expected->xattrs[i].name.len == 0)
            continue;
        xattrs++;
        if (!node_xattr(node, expected->xattrs[i].name, &value) || !model_same(value, expected->xattrs[i].value))
            return "an xattr";
    }
    return node_xattr_at(node, xattrs, &name, &value) ? "the number of xattrs" : NULL;
}

static const char *sums_differ(struct model *model, const struct model_node *expected, const struct node *node)
{
    int64_t bytes, nodes;
    struct node_stat stat;
    uint64_t arrival = 0, count = 0, subdirs = 0;
    node_stat(node, &stat);
    if (stat.kind != KIND_DIRECTORY)
        return NULL;
    model_weigh(model, expected->s.id, &bytes, &nodes);
    if (stat.subtree_bytes != (uint64_t)bytes || stat.subtree_nodes != (uint64_t)nodes)
        return "the sums of the subtree";
    for (const struct node *child = node_first_child(node); child != NULL; child = node_next_sibling(child), count++) {
        struct node_stat child_stat;
        node_stat(child, &child_stat);
        const struct model_node *known = model_by_id(model, child_stat.id);
        if (known == NULL || known->arrival <= arrival)
            return "the order of children";
        arrival = known->arrival;
        subdirs += child_stat.kind == KIND_DIRECTORY;
    }
    bool same = count == stat.children && count == model_children(model, stat.id) && subdirs == stat.subdirs;
    return same ? NULL : "the number of children";
}

static const char *sessions_differ(const struct model *model, const struct state *state)
{
    for (uint64_t id = 1; id < model->next_session; id++) {
        struct session_info info;
        uint64_t owned = 0;
        for (size_t i = 0; i < model->tree.count; i++) {
            const struct node_stat *s = &model->tree.nodes[i].s;
            owned += s->id != GONE && (s->ephemeral_owner == id || s->unborn_of == id);
        }
        if (state_session(state, id, &info) != model->sessions[id].open)
            return "a session";
        if (!model->sessions[id].open)
            continue;
        if (info.last_number != model->sessions[id].last_number || info.ephemerals != owned)
            return "a session's number or znodes";
    }
    return NULL;
}

static const char *members_differ(const struct model *model, const struct state *state)
{
    uint32_t id = 0;
    struct member_info member;
    for (uint32_t i = 1; i <= LIMIT_REPLICA_ID; i++) {
        const struct member_info *expected = &model->members[i];
        if (expected->zxid == 0)
            continue;
        if (!state_next_member(state, &id, &member) || id != i || member.zxid != expected->zxid ||
            member.incarnation[0] != expected->incarnation[0])
            return "a member";
    }
    if (state_next_member(state, &id, &member))
        return "there are more members than there should be";
    return state_version(state) == model->version ? NULL : "the version";
}

const char *model_differs(struct model *model, const struct state *state)
{
    static char text[200];
    uint64_t live = 0;
    for (size_t i = 0; i < model->tree.count; i++) {
        const struct model_node *expected = &model->tree.nodes[i];
        if (expected->s.id == GONE)
            continue;
        live++;
        const struct node *node = state_node(state, expected->s.id);
        const char *what = node == NULL ? "existence" : stat_differs(expected, node);
        if (what == NULL)
            what = content_differs(expected, node);
        if (what == NULL)
            what = sums_differ(model, expected, node);
        if (what == NULL)
            continue;
        snprintf(text, sizeof text, "znode %llu: %s", (unsigned long long)expected->s.id, what);
        return text;
    }
    if (live != state_nodes(state))
        return "there are more znodes than there should be";
    const char *what = sessions_differ(model, state);
    if (what == NULL)
        what = members_differ(model, state);
    return what == NULL ? model_locks_differ(model, state) : what;
}
