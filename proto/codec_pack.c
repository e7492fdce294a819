/* Requests: plain structs → protobuf's. */
#include "proto/codec_internal.h"

#include <assert.h>

static Pact__Where *pack_where(struct arena *arena, const struct where *from)
{
    NEW(Pact__Where, where);
    to->id = from->id;
    to->path = pack_bytes(from->path);
    return to;
}

/* NULL: a persistent znode's lifetime is left out. */
static Pact__Lifetime *pack_lifetime(struct arena *arena, const struct lifetime *from)
{
    if (!from->sequential && !from->ephemeral && !from->container && from->ttl_ms == 0 && from->sequence_at == 0)
        return NULL;
    NEW(Pact__Lifetime, lifetime);
    to->sequential = from->sequential;
    to->sequence_at = from->sequence_at;
    to->ephemeral = from->ephemeral;
    to->container = from->container;
    to->ttl_ms = from->ttl_ms;
    return to;
}

static Pact__Create *pack_create(struct arena *arena, const struct op_create *from)
{
    NEW(Pact__Create, create);
    to->at = pack_where(arena, &from->at);
    to->kind = from->kind;
    to->mode = from->mode;
    to->uid = from->uid;
    to->gid = from->gid;
    to->lifetime = pack_lifetime(arena, &from->lifetime);
    to->unborn = from->unborn;
    to->open_existing = from->open_existing;
    to->data = pack_bytes(from->data);
    return to;
}

static Pact__Delete *pack_delete(struct arena *arena, const struct op_delete *from)
{
    NEW(Pact__Delete, delete);
    to->at = pack_where(arena, &from->at);
    to->type = from->type;
    to->version = from->version;
    to->expect_id = from->expect_id;
    to->expect_zxid = from->expect_zxid;
    return to;
}

static Pact__Edit *pack_edit(struct arena *arena, const struct edit *from)
{
    NEW(Pact__Edit, edit);
    to->kind = from->kind;
    to->offset = from->offset;
    to->data = pack_bytes(from->data);
    return to;
}

static Pact__Write *pack_write(struct arena *arena, const struct op_write *from)
{
    NEW(Pact__Write, write);
    to->at = pack_where(arena, &from->at);
    to->version = from->version;
    to->edits = arena_alloc(arena, from->count * sizeof(Pact__Edit *));
    for (size_t i = 0; i < from->count && !arena->full; i++)
        to->edits[i] = pack_edit(arena, &from->edits[i]);
    to->n_edits = from->count;
    return to;
}

static Pact__SetAttr *pack_set_attr(struct arena *arena, const struct op_set_attr *from)
{
    NEW(Pact__SetAttr, set_attr);
    to->at = pack_where(arena, &from->at);
    to->aversion = from->aversion;
    to->mask = from->mask;
    to->mode = from->mode;
    to->uid = from->uid;
    to->gid = from->gid;
    to->atime_ns = from->atime_ns;
    to->mtime_ns = from->mtime_ns;
    return to;
}

static Pact__Rename *pack_rename(struct arena *arena, const struct op_rename *from)
{
    NEW(Pact__Rename, rename);
    to->from = pack_where(arena, &from->from);
    to->to = pack_where(arena, &from->to);
    to->flag = from->flag;
    to->lifetime = pack_lifetime(arena, &from->lifetime);
    to->expect_from_id = from->expect_from_id;
    return to;
}

static Pact__Xattr *pack_xattr(struct arena *arena, const struct op_xattr *from)
{
    NEW(Pact__Xattr, xattr);
    to->at = pack_where(arena, &from->at);
    to->name = pack_bytes(from->name);
    to->value = pack_bytes(from->value);
    to->flag = from->flag;
    return to;
}

static Pact__SetPolicy *pack_set_policy(struct arena *arena, const struct op_set_policy *from)
{
    NEW(Pact__SetPolicy, set_policy);
    to->at = pack_where(arena, &from->at);
    to->policy = pack_bytes(from->policy);
    return to;
}

static Pact__SetQuota *pack_set_quota(struct arena *arena, const struct op_set_quota *from)
{
    NEW(Pact__SetQuota, set_quota);
    to->at = pack_where(arena, &from->at);
    to->max_bytes = from->max_bytes;
    to->max_nodes = from->max_nodes;
    return to;
}

static Pact__Check *pack_check(struct arena *arena, const struct op_check *from)
{
    NEW(Pact__Check, check);
    to->at = pack_where(arena, &from->at);
    to->version = from->version;
    to->must_not_exist = from->must_not_exist;
    return to;
}

static Pact__CreateSession *pack_create_session(struct arena *arena, const struct op_create_session *from)
{
    NEW(Pact__CreateSession, create_session);
    to->nonce = pack_fixed(from->nonce, sizeof from->nonce);
    to->secret_hash = pack_fixed(from->secret_hash, sizeof from->secret_hash);
    to->timeout_ms = from->timeout_ms;
    to->host = pack_bytes(from->host);
    to->pid = from->pid;
    return to;
}

static Pact__CloseSession *pack_close_session(struct arena *arena, const struct op_close_session *from)
{
    NEW(Pact__CloseSession, close_session);
    to->session = from->session;
    to->reason = from->reason;
    return to;
}

static Pact__SetMember *pack_set_member(struct arena *arena, const struct op_set_member *from)
{
    NEW(Pact__SetMember, set_member);
    to->id = from->id;
    to->incarnation = pack_fixed(from->incarnation, sizeof from->incarnation);
    return to;
}

static Pact__Lock *pack_lock(struct arena *arena, const struct op_lock *from)
{
    NEW(Pact__Lock, lock);
    to->id = from->id;
    to->space = from->space;
    to->exclusive = from->exclusive;
    to->wait = from->wait;
    to->owner = from->owner;
    to->handle = from->handle;
    to->start = from->start;
    to->end = from->end;
    to->pid = from->pid;
    to->command = pack_bytes(from->command);
    return to;
}

static Pact__Unlock *pack_unlock(struct arena *arena, const struct op_unlock *from)
{
    NEW(Pact__Unlock, unlock);
    to->id = from->id;
    to->scope = from->scope;
    to->space = from->space;
    to->owner = from->owner;
    to->handle = from->handle;
    to->start = from->start;
    to->end = from->end;
    to->lock = from->lock;
    return to;
}

static Pact__Noop *pack_noop(struct arena *arena)
{
    NEW(Pact__Noop, noop);
    return to;
}

static void pack_op_case(struct arena *arena, const struct request *from, Pact__Op *to)
{
    switch (from->kind) {
    case OP_CREATE:
        to->create = pack_create(arena, &from->create);
        break;
    case OP_DELETE:
        to->delete_ = pack_delete(arena, &from->delete);
        break;
    case OP_WRITE:
        to->write = pack_write(arena, &from->write);
        break;
    case OP_SET_ATTR:
        to->set_attr = pack_set_attr(arena, &from->set_attr);
        break;
    case OP_RENAME:
        to->rename = pack_rename(arena, &from->rename);
        break;
    case OP_SET_XATTR:
    case OP_REMOVE_XATTR: /* the two share a type and a place */
        to->set_xattr = pack_xattr(arena, &from->xattr);
        break;
    case OP_SET_POLICY:
        to->set_policy = pack_set_policy(arena, &from->set_policy);
        break;
    case OP_SET_QUOTA:
        to->set_quota = pack_set_quota(arena, &from->set_quota);
        break;
    default:
        assert(from->kind == OP_CHECK); /* form_check_request has seen to it */
        to->check = pack_check(arena, &from->check);
    }
}

static Pact__Op *pack_op(struct arena *arena, const struct request *from)
{
    NEW(Pact__Op, op);
    pack_op_case(arena, from, to);
    to->op_case = (Pact__Op__OpCase)from->kind; /* numbered alike */
    return to;
}

static Pact__Multi *pack_multi(struct arena *arena, const struct op_multi *from)
{
    NEW(Pact__Multi, multi);
    to->ops = arena_alloc(arena, from->count * sizeof(Pact__Op *));
    for (size_t i = 0; i < from->count && !arena->full; i++)
        to->ops[i] = pack_op(arena, &from->ops[i]);
    to->n_ops = from->count;
    return to;
}

Pact__Request *pack_request(struct arena *arena, const struct request *from)
{
    NEW(Pact__Request, request);
    switch (from->kind) {
    case OP_NOOP:
        to->noop = pack_noop(arena);
        to->request_case = PACT__REQUEST__REQUEST_NOOP;
        break;
    case OP_MULTI:
        to->multi = pack_multi(arena, &from->multi);
        to->request_case = PACT__REQUEST__REQUEST_MULTI;
        break;
    case OP_CREATE_SESSION:
        to->create_session = pack_create_session(arena, &from->create_session);
        to->request_case = PACT__REQUEST__REQUEST_CREATE_SESSION;
        break;
    case OP_CLOSE_SESSION:
        to->close_session = pack_close_session(arena, &from->close_session);
        to->request_case = PACT__REQUEST__REQUEST_CLOSE_SESSION;
        break;
    case OP_SET_STATE_VERSION:
        to->set_state_version = from->state_version;
        to->request_case = PACT__REQUEST__REQUEST_SET_STATE_VERSION;
        break;
    case OP_SET_CLUSTER:
        to->set_cluster = pack_fixed(from->set_cluster.id, sizeof from->set_cluster.id);
        to->request_case = PACT__REQUEST__REQUEST_SET_CLUSTER;
        break;
    case OP_SET_MEMBER:
        to->set_member = pack_set_member(arena, &from->set_member);
        to->request_case = PACT__REQUEST__REQUEST_SET_MEMBER;
        break;
    case OP_LOCK:
        to->lock = pack_lock(arena, &from->lock);
        to->request_case = PACT__REQUEST__REQUEST_LOCK;
        break;
    case OP_UNLOCK:
        to->unlock = pack_unlock(arena, &from->unlock);
        to->request_case = PACT__REQUEST__REQUEST_UNLOCK;
        break;
    default:
        to->op = pack_op(arena, from);
        to->request_case = PACT__REQUEST__REQUEST_OP;
    }
    return to;
}
