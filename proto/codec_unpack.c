/* Requests: protobuf's structs → plain ones. A missing inner message is malformed; values are judged afterwards, by
 * form_check_request. */
#include "proto/codec_internal.h"

static bool unpack_where(const Pact__Where *from, struct where *to)
{
    if (from == NULL)
        return false;
    *to = (struct where){from->id, unpack_bytes(from->path)};
    return true;
}

static struct lifetime unpack_lifetime(const Pact__Lifetime *from)
{
    if (from == NULL)
        return (struct lifetime){0};
    return (struct lifetime){.sequential = from->sequential,
                             .sequence_at = from->sequence_at,
                             .ephemeral = from->ephemeral,
                             .container = from->container,
                             .ttl_ms = from->ttl_ms};
}

static bool unpack_create(const Pact__Create *from, struct op_create *to)
{
    to->kind = from->kind;
    to->mode = from->mode;
    to->uid = from->uid;
    to->gid = from->gid;
    to->lifetime = unpack_lifetime(from->lifetime);
    to->unborn = from->unborn;
    to->open_existing = from->open_existing;
    to->data = unpack_bytes(from->data);
    return unpack_where(from->at, &to->at);
}

static bool unpack_delete(const Pact__Delete *from, struct op_delete *to)
{
    to->type = from->type;
    to->version = from->version;
    to->expect_id = from->expect_id;
    to->expect_zxid = from->expect_zxid;
    return unpack_where(from->at, &to->at);
}

static bool unpack_write(struct arena *arena, const Pact__Write *from, struct op_write *to)
{
    struct edit *edits = arena_alloc(arena, from->n_edits * sizeof *edits);
    if (edits == NULL)
        return false;
    for (size_t i = 0; i < from->n_edits; i++) {
        const Pact__Edit *edit = from->edits[i];
        edits[i] = (struct edit){edit->kind, edit->offset, unpack_bytes(edit->data)};
    }
    to->version = from->version;
    to->edits = edits;
    to->count = from->n_edits;
    return unpack_where(from->at, &to->at);
}

static bool unpack_set_attr(const Pact__SetAttr *from, struct op_set_attr *to)
{
    to->aversion = from->aversion;
    to->mask = from->mask;
    to->mode = from->mode;
    to->uid = from->uid;
    to->gid = from->gid;
    to->atime_ns = from->atime_ns;
    to->mtime_ns = from->mtime_ns;
    return unpack_where(from->at, &to->at);
}

static bool unpack_rename(const Pact__Rename *from, struct op_rename *to)
{
    to->flag = from->flag;
    to->lifetime = unpack_lifetime(from->lifetime);
    to->expect_from_id = from->expect_from_id;
    return unpack_where(from->from, &to->from) && unpack_where(from->to, &to->to);
}

static bool unpack_xattr(const Pact__Xattr *from, struct op_xattr *to)
{
    to->name = unpack_bytes(from->name);
    to->value = unpack_bytes(from->value);
    to->flag = from->flag;
    return unpack_where(from->at, &to->at);
}

static bool unpack_set_policy(const Pact__SetPolicy *from, struct op_set_policy *to)
{
    to->policy = unpack_bytes(from->policy);
    return unpack_where(from->at, &to->at);
}

static bool unpack_set_quota(const Pact__SetQuota *from, struct op_set_quota *to)
{
    to->max_bytes = from->max_bytes;
    to->max_nodes = from->max_nodes;
    return unpack_where(from->at, &to->at);
}

static bool unpack_check(const Pact__Check *from, struct op_check *to)
{
    to->version = from->version;
    to->must_not_exist = from->must_not_exist;
    return unpack_where(from->at, &to->at);
}

static bool unpack_create_session(const Pact__CreateSession *from, struct op_create_session *to)
{
    to->timeout_ms = from->timeout_ms;
    to->host = unpack_bytes(from->host);
    to->pid = from->pid;
    return unpack_fixed(from->nonce, to->nonce, sizeof to->nonce) &&
           unpack_fixed(from->secret_hash, to->secret_hash, sizeof to->secret_hash);
}

static bool unpack_set_member(const Pact__SetMember *from, struct op_set_member *to)
{
    to->id = from->id;
    return unpack_fixed(from->incarnation, to->incarnation, sizeof to->incarnation);
}

static bool unpack_lock(const Pact__Lock *from, struct op_lock *to)
{
    *to = (struct op_lock){.id = from->id,
                           .space = from->space,
                           .exclusive = from->exclusive,
                           .wait = from->wait,
                           .owner = from->owner,
                           .handle = from->handle,
                           .start = from->start,
                           .end = from->end,
                           .pid = from->pid,
                           .command = unpack_bytes(from->command)};
    return true;
}

static bool unpack_unlock(const Pact__Unlock *from, struct op_unlock *to)
{
    *to = (struct op_unlock){.id = from->id,
                             .scope = from->scope,
                             .space = from->space,
                             .owner = from->owner,
                             .handle = from->handle,
                             .start = from->start,
                             .end = from->end,
                             .lock = from->lock};
    return true;
}

static bool unpack_op(struct arena *arena, const Pact__Op *from, struct request *to)
{
    to->kind = (enum op_kind)from->op_case; /* numbered alike */
    switch (from->op_case) {
    case PACT__OP__OP_CREATE:
        return unpack_create(from->create, &to->create);
    case PACT__OP__OP_DELETE:
        return unpack_delete(from->delete_, &to->delete);
    case PACT__OP__OP_WRITE:
        return unpack_write(arena, from->write, &to->write);
    case PACT__OP__OP_SET_ATTR:
        return unpack_set_attr(from->set_attr, &to->set_attr);
    case PACT__OP__OP_RENAME:
        return unpack_rename(from->rename, &to->rename);
    case PACT__OP__OP_SET_XATTR:
        return unpack_xattr(from->set_xattr, &to->xattr);
    case PACT__OP__OP_REMOVE_XATTR:
        return unpack_xattr(from->remove_xattr, &to->xattr);
    case PACT__OP__OP_SET_POLICY:
        return unpack_set_policy(from->set_policy, &to->set_policy);
    case PACT__OP__OP_SET_QUOTA:
        return unpack_set_quota(from->set_quota, &to->set_quota);
    case PACT__OP__OP_CHECK:
        return unpack_check(from->check, &to->check);
    default:
        return false;
    }
}

static bool unpack_multi(struct arena *arena, const Pact__Multi *from, struct op_multi *to)
{
    struct request *ops = arena_alloc(arena, from->n_ops * sizeof *ops);
    if (ops == NULL)
        return false;
    for (size_t i = 0; i < from->n_ops; i++)
        if (!unpack_op(arena, from->ops[i], &ops[i]))
            return false;
    *to = (struct op_multi){ops, from->n_ops};
    return true;
}

static bool unpack_any(struct arena *arena, const Pact__Request *from, struct request *to)
{
    switch (from->request_case) {
    case PACT__REQUEST__REQUEST_OP:
        return unpack_op(arena, from->op, to);
    case PACT__REQUEST__REQUEST_MULTI:
        to->kind = OP_MULTI;
        return unpack_multi(arena, from->multi, &to->multi);
    case PACT__REQUEST__REQUEST_NOOP:
        to->kind = OP_NOOP;
        return true;
    case PACT__REQUEST__REQUEST_CREATE_SESSION:
        to->kind = OP_CREATE_SESSION;
        return unpack_create_session(from->create_session, &to->create_session);
    case PACT__REQUEST__REQUEST_CLOSE_SESSION:
        to->kind = OP_CLOSE_SESSION;
        to->close_session = (struct op_close_session){from->close_session->session, from->close_session->reason};
        return true;
    case PACT__REQUEST__REQUEST_SET_STATE_VERSION:
        to->kind = OP_SET_STATE_VERSION;
        to->state_version = from->set_state_version;
        return true;
    case PACT__REQUEST__REQUEST_SET_CLUSTER:
        to->kind = OP_SET_CLUSTER;
        return unpack_fixed(from->set_cluster, to->set_cluster.id, sizeof to->set_cluster.id);
    case PACT__REQUEST__REQUEST_SET_MEMBER:
        to->kind = OP_SET_MEMBER;
        return unpack_set_member(from->set_member, &to->set_member);
    case PACT__REQUEST__REQUEST_LOCK:
        to->kind = OP_LOCK;
        return unpack_lock(from->lock, &to->lock);
    case PACT__REQUEST__REQUEST_UNLOCK:
        to->kind = OP_UNLOCK;
        return unpack_unlock(from->unlock, &to->unlock);
    default:
        return false;
    }
}

int unpack_request(struct arena *arena, const Pact__Request *from, struct request *to)
{
    *to = (struct request){0};
    if (unpack_any(arena, from, to))
        return ERR_OK;
    return arena->full ? ERR_TOO_BIG : ERR_CORRUPT;
}
