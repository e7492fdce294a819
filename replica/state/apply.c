/* apply.c - one entry: the session's window, then the operation, then commit or rollback. */
#include <assert.h>
#include <string.h>

#include "replica/state/internal.h"

/* --- what the operations share --- */

void apply_changed(struct apply *apply, struct node *node)
{
    journal_touch(apply->state, node);
    node->attr.change_zxid = apply->state->zxid;
    node->attr.ctime_ns = apply->now_ns;
    if (node->more != NULL && node->more->attr.ttl_ms > 0)
        node->more->attr.ttl_from_ns = apply->now_ns;
}

void apply_children_changed(struct apply *apply, struct node *node)
{
    journal_touch(apply->state, node);
    struct directory_attr *directory = &node_directory(node)->attr;
    directory->cversion++;
    directory->pzxid = apply->state->zxid;
    node->attr.mtime_ns = node->attr.ctime_ns = apply->now_ns;
    if (node->more->attr.ttl_ms > 0)
        node->more->attr.ttl_from_ns = apply->now_ns;
}

void apply_result_id(struct apply *apply, const struct node *node)
{
    apply->result->id = node->id;
    apply->result->name_len = 0;
    apply->result->name[0] = '\0';
}

void apply_result_name(struct apply *apply, const struct node *node)
{
    struct bytes name = node_name(node);
    apply->result->id = node->id;
    apply->result->name_len = (uint32_t)name.len;
    memcpy(apply->result->name, name.at, name.len + 1);
}

void apply_lifetime(struct apply *apply, struct node *node, const struct lifetime *lifetime)
{
    if (!lifetime->ephemeral && !lifetime->container && lifetime->ttl_ms == 0)
        return;
    assert(node->attr.touch != 0);
    lifetime_unindex(apply->state, node);
    struct more_attr *more = &node_need_more(node)->attr;
    if (lifetime->ephemeral)
        more->ephemeral_owner = apply->entry->session;
    if (lifetime->ttl_ms > 0) {
        more->ttl_ms = lifetime->ttl_ms;
        more->ttl_from_ns = apply->now_ns;
    }
    if (lifetime->container) {
        node_directory(node)->attr.container = true;
        node_directory(node)->attr.had_children = node_children(node) > 0;
    }
    lifetime_index(apply->state, node);
}

void apply_unlink(struct apply *apply, struct node *node, bool replaced)
{
    struct change *change = changes_add(apply->changes, CHANGE_DELETE, node);
    if (change != NULL)
        change->replaced = replaced;
    struct node *parent = node->parent;
    int64_t bytes, nodes;
    tree_weight(node, &bytes, &nodes);
    journal_touch(apply->state, node);
    apply_children_changed(apply, parent);
    tree_unlink(apply->state, node);
    tree_account(apply->state, parent, -bytes, -nodes);
    tree_remove(apply->state, node);
}

/* --- dispatch --- */

static int apply_set_state_version(struct apply *apply, uint32_t version)
{
    if (version > STATE_VERSION)
        return ERR_BAD_FORMAT;
    if (version < apply->state->version)
        return ERR_INVALID; /* never lowered */
    apply->state->version = version;
    return ERR_OK;
}

static int apply_set_cluster(struct apply *apply, const struct op_set_cluster *op)
{
    memcpy(apply->state->cluster, op->id, sizeof op->id);
    return ERR_OK;
}

static int apply_simple(struct apply *apply, const struct request *request)
{
    switch (request->kind) {
    case OP_CREATE:
        return apply_create(apply, &request->create);
    case OP_DELETE:
        return apply_delete(apply, &request->delete);
    case OP_WRITE:
        return apply_write(apply, &request->write);
    case OP_SET_ATTR:
        return apply_set_attr(apply, &request->set_attr);
    case OP_RENAME:
        return apply_rename(apply, &request->rename);
    case OP_SET_XATTR:
        return apply_set_xattr(apply, &request->xattr);
    case OP_REMOVE_XATTR:
        return apply_remove_xattr(apply, &request->xattr);
    case OP_SET_POLICY:
        return apply_set_policy(apply, &request->set_policy);
    case OP_SET_QUOTA:
        return apply_set_quota(apply, &request->set_quota);
    default:
        return apply_check(apply, &request->check);
    }
}

static int apply_multi(struct apply *apply, const struct op_multi *op)
{
    for (size_t i = 0; i < op->count; i++) {
        int code = apply_simple(apply, &op->ops[i]);
        if (code != ERR_OK) {
            apply->result->failed = (uint32_t)i;
            return code;
        }
    }
    return ERR_OK;
}

/* A session may close itself; whatever else concerns sessions or the cluster is the replicas' own. */
static bool permitted(const struct entry *entry)
{
    switch (entry->request.kind) {
    case OP_CREATE_SESSION:
    case OP_SET_STATE_VERSION:
    case OP_SET_CLUSTER:
    case OP_SET_MEMBER:
        return entry->session == 0;
    case OP_CLOSE_SESSION:
        return entry->session == 0 || entry->session == entry->request.close_session.session;
    default:
        return true;
    }
}

/* What the state's version does not have is malformed, as it is for code that ends at that version. */
static bool known(const struct state *state, enum op_kind kind)
{
    switch (kind) {
    case OP_SET_MEMBER:
        return state->version >= STATE_VERSION_MEMBERS;
    case OP_LOCK:
    case OP_UNLOCK:
        return state->version >= STATE_VERSION_LOCKS;
    default:
        return true;
    }
}

static int apply_request(struct apply *apply, const struct request *request)
{
    if (!known(apply->state, request->kind))
        return ERR_INVALID;
    int code = request_check_all(request, &apply->result->failed);
    if (code != ERR_OK)
        return code;
    if (!permitted(apply->entry))
        return ERR_NOT_PERMITTED;
    switch (request->kind) {
    case OP_NOOP:
        return ERR_OK;
    case OP_MULTI:
        return apply_multi(apply, &request->multi);
    case OP_CREATE_SESSION:
        return apply_create_session(apply, &request->create_session);
    case OP_CLOSE_SESSION:
        return apply_close_session(apply, &request->close_session);
    case OP_SET_STATE_VERSION:
        return apply_set_state_version(apply, request->state_version);
    case OP_SET_CLUSTER:
        return apply_set_cluster(apply, &request->set_cluster);
    case OP_SET_MEMBER:
        return apply_set_member(apply, &request->set_member);
    case OP_LOCK:
        return apply_lock(apply, &request->lock);
    case OP_UNLOCK:
        return apply_unlock(apply, &request->unlock);
    default:
        return apply_simple(apply, request);
    }
}

static void carry_out(struct apply *apply)
{
    struct result *result = apply->result;
    uint64_t next_id = apply->state->next_id;
    result->code = apply_request(apply, &apply->entry->request);
    if (result->code == ERR_OK || result->code == ERR_LOCK_WAITS) {
        journal_commit(apply->state);
        return;
    }
    journal_rollback(apply->state);
    apply->state->next_id = next_id; /* nobody has seen the ids given since */
    result->id = 0;
    result->name_len = 0;
    result->name[0] = '\0';
    if (apply->changes != NULL)
        changes_clear(apply->changes);
}

/* --- the entry --- */

static void begin(struct state *state, const struct entry *entry, struct result *result, struct changes *changes)
{
    assert(entry->zxid > state->zxid);
    state->zxid = entry->zxid;
    if (entry->stamp_ns > state->stamp_ns)
        state->stamp_ns = entry->stamp_ns;
    *result = (struct result){.zxid = entry->zxid};
    if (changes == NULL)
        return;
    changes_clear(changes);
    changes->zxid = entry->zxid;
    changes->session = entry->session;
    changes->number = entry->number;
}

void state_apply(struct state *state, const struct entry *entry, struct result *result, struct changes *changes)
{
    begin(state, entry, result, changes);
    struct apply apply = {state, entry, result, changes, state->stamp_ns};
    if (entry->session == 0) {
        carry_out(&apply);
        return;
    }
    struct session *session = session_find(state, entry->session);
    if (session == NULL) {
        result->code = ERR_NO_SESSION;
        return;
    }
    if (entry->number != session->info.last_number + 1) {
        result->none = true;
        return;
    }
    carry_out(&apply);
    session = session_find(state, entry->session); /* it may have closed itself */
    if (session != NULL)
        session_record(state, session, entry, result);
}
