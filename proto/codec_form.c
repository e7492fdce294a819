/* What protobuf does not check: enums, counts and lengths. */
#include "proto/codec_internal.h"

struct tally {
    size_t edits; /* of the whole request: each takes many times its encoded size in memory */
};

static int check_where(const struct where *where)
{
    return where->path.len > LIMIT_PATH_BYTES ? ERR_TOO_BIG : ERR_OK;
}

static int check_create(const struct op_create *create)
{
    if (create->kind < KIND_DIRECTORY || create->kind > KIND_SYMLINK)
        return ERR_CORRUPT;
    if (create->data.len > LIMIT_DATA_BYTES)
        return ERR_TOO_BIG;
    return check_where(&create->at);
}

static int check_delete(const struct op_delete *op)
{
    return op->type > DELETE_DIRECTORY ? ERR_CORRUPT : check_where(&op->at);
}

static int check_write(const struct op_write *write, struct tally *tally)
{
    if (write->count > LIMIT_EDITS - tally->edits)
        return ERR_TOO_BIG;
    tally->edits += write->count;
    for (size_t i = 0; i < write->count; i++) {
        const struct edit *edit = &write->edits[i];
        if (edit->kind < EDIT_PUT || edit->kind > EDIT_APPEND)
            return ERR_CORRUPT;
        if (edit->data.len > LIMIT_DATA_BYTES)
            return ERR_TOO_BIG;
    }
    return check_where(&write->at);
}

static int check_rename(const struct op_rename *rename)
{
    if (rename->flag > RENAME_SWAP)
        return ERR_CORRUPT;
    const int err = check_where(&rename->from);
    return err != ERR_OK ? err : check_where(&rename->to);
}

static int check_xattr(const struct op_xattr *xattr)
{
    if (xattr->flag > XATTR_MUST_REPLACE)
        return ERR_CORRUPT;
    if (xattr->name.len > LIMIT_XATTR_NAME_BYTES || xattr->value.len > LIMIT_XATTR_VALUE_BYTES)
        return ERR_TOO_BIG;
    return check_where(&xattr->at);
}

static int check_policy(const struct op_set_policy *op)
{
    return op->policy.len > LIMIT_POLICY_BYTES ? ERR_TOO_BIG : check_where(&op->at);
}

/* What may stand in a multi. */
static int check_op(const struct request *op, struct tally *tally)
{
    switch (op->kind) {
    case OP_CREATE:
        return check_create(&op->create);
    case OP_DELETE:
        return check_delete(&op->delete);
    case OP_WRITE:
        return check_write(&op->write, tally);
    case OP_SET_ATTR:
        return check_where(&op->set_attr.at);
    case OP_RENAME:
        return check_rename(&op->rename);
    case OP_SET_XATTR:
    case OP_REMOVE_XATTR:
        return check_xattr(&op->xattr);
    case OP_SET_POLICY:
        return check_policy(&op->set_policy);
    case OP_SET_QUOTA:
        return check_where(&op->set_quota.at);
    case OP_CHECK:
        return check_where(&op->check.at);
    default:
        return ERR_CORRUPT;
    }
}

static int check_multi(const struct op_multi *multi)
{
    struct tally tally = {0};
    if (multi->count > LIMIT_MULTI_OPS)
        return ERR_TOO_BIG;
    for (size_t i = 0; i < multi->count; i++) {
        const int err = check_op(&multi->ops[i], &tally);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static int check_lock(const struct op_lock *op)
{
    if (op->space < LOCK_FLOCK || op->space > LOCK_POSIX)
        return ERR_CORRUPT;
    return op->command.len > LIMIT_COMMAND_BYTES ? ERR_TOO_BIG : ERR_OK;
}

static int check_unlock(const struct op_unlock *op)
{
    bool known = op->scope >= UNLOCK_RANGE && op->scope <= UNLOCK_WAITER && (unsigned)op->space <= LOCK_POSIX;
    return known ? ERR_OK : ERR_CORRUPT;
}

int form_check_request(const struct request *request)
{
    struct tally tally = {0};
    switch (request->kind) {
    case OP_NOOP:
    case OP_SET_STATE_VERSION:
    case OP_SET_CLUSTER:
    case OP_SET_MEMBER:
        return ERR_OK;
    case OP_MULTI:
        return check_multi(&request->multi);
    case OP_CREATE_SESSION:
        return request->create_session.host.len > LIMIT_HOST_BYTES ? ERR_TOO_BIG : ERR_OK;
    case OP_CLOSE_SESSION: {
        const enum close_reason reason = request->close_session.reason;
        return reason == CLOSE_BY_OWNER || reason == CLOSE_EXPIRED ? ERR_OK : ERR_CORRUPT;
    }
    case OP_LOCK:
        return check_lock(&request->lock);
    case OP_UNLOCK:
        return check_unlock(&request->unlock);
    default:
        return check_op(request, &tally);
    }
}

static int check_entries(const struct message_entries *entries)
{
    if (entries->count > LIMIT_MESSAGE_ENTRIES)
        return ERR_TOO_BIG;
    for (size_t i = 0; i < entries->count; i++)
        if (entries->list[i].len > LIMIT_ENTRY_BYTES)
            return ERR_TOO_BIG;
    return ERR_OK;
}

static int check_status(const struct message_status *status)
{
    if (status->member_count > LIMIT_MEMBERS || status->version.len > LIMIT_TEXT_BYTES)
        return ERR_TOO_BIG;
    for (size_t i = 0; i < status->member_count; i++) {
        const struct message_member *member = &status->members[i];
        if (member->role.len > LIMIT_TEXT_BYTES || member->address.len > LIMIT_TEXT_BYTES)
            return ERR_TOO_BIG;
    }
    return ERR_OK;
}

int form_check_message(const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_ATTACH:
        return message->attach.host.len > LIMIT_HOST_BYTES ? ERR_TOO_BIG : ERR_OK;
    case MESSAGE_REFUSED:
        return message->refused.text.len > LIMIT_TEXT_BYTES ? ERR_TOO_BIG : ERR_OK;
    case MESSAGE_SNAPSHOT_CHUNK:
        return message->chunk.len > LIMIT_CHUNK_BYTES ? ERR_TOO_BIG : ERR_OK;
    case MESSAGE_ENTRIES:
        return check_entries(&message->entries);
    case MESSAGE_SUBMIT:
        return message->submit.request.len > LIMIT_REQUEST_BYTES ? ERR_TOO_BIG : ERR_OK;
    case MESSAGE_STATUS_REPLY:
        return check_status(&message->status);
    default:
        return message->kind >= MESSAGE_ATTACH && message->kind <= MESSAGE_DETACHED ? ERR_OK : ERR_CORRUPT;
    }
}
