#include <string.h>

#include "replica/state/internal.h"

static bool has_nul(struct bytes bytes)
{
    return bytes.len > 0 && memchr(bytes.at, 0, bytes.len) != NULL;
}

static bool starts_with(struct bytes bytes, const char *prefix)
{
    size_t len = strlen(prefix);
    return bytes.len >= len && memcmp(bytes.at, prefix, len) == 0;
}

int target_check(struct bytes target)
{
    if (target.len == 0 || has_nul(target))
        return ERR_INVALID;
    return target.len < LIMIT_PATH_BYTES ? ERR_OK : ERR_NAME_TOO_LONG;
}

int host_check(struct bytes host)
{
    return host.len > LIMIT_HOST_BYTES || has_nul(host) ? ERR_INVALID : ERR_OK;
}

int timeout_check(uint32_t timeout_ms)
{
    bool within = timeout_ms >= LIMIT_SESSION_TIMEOUT_MIN_MS && timeout_ms <= LIMIT_SESSION_TIMEOUT_MAX_MS;
    return within ? ERR_OK : ERR_INVALID;
}

int xattr_name_check(struct bytes name)
{
    if (!starts_with(name, "user."))
        return ERR_NOT_SUPPORTED;
    if (starts_with(name, "user.pact."))
        return ERR_NOT_PERMITTED; /* those are computed */
    if (name.len > LIMIT_XATTR_NAME_BYTES)
        return ERR_NAME_TOO_LONG;
    return name.len == strlen("user.") || has_nul(name) ? ERR_INVALID : ERR_OK;
}

static int where_check(struct where at)
{
    if (at.id == 0 || at.id > LIMIT_NODE_ID)
        return ERR_INVALID;
    return path_check(at.path);
}

static int version_check(struct where at, int64_t version)
{
    return version < NO_VERSION_CHECK ? ERR_INVALID : where_check(at);
}

/* A name to be made: sequential ones may be empty, "." or ".." before the number is put in. */
static int place_check(struct where at, const struct lifetime *lifetime)
{
    if (lifetime->ttl_ms > LIMIT_TTL_MS || (lifetime->ephemeral && lifetime->container))
        return ERR_INVALID;
    if (!lifetime->sequential)
        return at.path.len == 0 ? ERR_INVALID : where_check(at);
    struct bytes before, last;
    path_split(at.path, &before, &last);
    if (at.path.len > LIMIT_PATH_BYTES)
        return ERR_NAME_TOO_LONG;
    if (starts_with(at.path, "/") || has_nul(last) || lifetime->sequence_at > last.len)
        return ERR_INVALID;
    if (last.len > LIMIT_NAME_BYTES - SEQUENCE_DIGITS)
        return ERR_NAME_TOO_LONG;
    return where_check((struct where){at.id, before});
}

static int create_check(const struct op_create *op)
{
    bool file = op->kind == KIND_FILE;
    if (op->kind < KIND_DIRECTORY || op->kind > KIND_SYMLINK || op->mode > 07777)
        return ERR_INVALID;
    if (!file && (op->unborn || op->open_existing))
        return ERR_INVALID;
    if (op->lifetime.container && op->kind != KIND_DIRECTORY)
        return ERR_INVALID;
    if (op->data.len > LIMIT_DATA_BYTES)
        return ERR_TOO_BIG;
    int code = place_check(op->at, &op->lifetime);
    return code == ERR_OK && op->kind == KIND_SYMLINK ? target_check(op->data) : code;
}

static int delete_check(const struct op_delete *op)
{
    return op->type > DELETE_DIRECTORY ? ERR_INVALID : version_check(op->at, op->version);
}

static int write_check(const struct op_write *op)
{
    if (op->count > LIMIT_EDITS)
        return ERR_TOO_BIG;
    for (size_t i = 0; i < op->count; i++) {
        const struct edit *edit = &op->edits[i];
        if (edit->kind < EDIT_PUT || edit->kind > EDIT_APPEND)
            return ERR_INVALID;
        uint64_t start = edit->kind == EDIT_APPEND ? 0 : edit->offset;
        if (start > LIMIT_DATA_BYTES || edit->data.len > LIMIT_DATA_BYTES - start)
            return ERR_TOO_BIG;
    }
    return version_check(op->at, op->version);
}

static int set_attr_check(const struct op_set_attr *op)
{
    const uint32_t all = ATTR_MTIME_NOW * 2 - 1;
    const uint32_t atime = ATTR_ATIME | ATTR_ATIME_NOW, mtime = ATTR_MTIME | ATTR_MTIME_NOW;
    if (op->mask > all || (op->mask & atime) == atime || (op->mask & mtime) == mtime)
        return ERR_INVALID;
    if ((op->mask & ATTR_MODE) != 0 && op->mode > 07777)
        return ERR_INVALID;
    return version_check(op->at, op->aversion);
}

static bool says_anything(const struct lifetime *lifetime)
{
    return lifetime->sequential || lifetime->ephemeral || lifetime->container || lifetime->ttl_ms > 0;
}

static int rename_check(const struct op_rename *op)
{
    if (op->flag > RENAME_SWAP || (op->flag == RENAME_SWAP && says_anything(&op->lifetime)))
        return ERR_INVALID;
    int code = where_check(op->from);
    if (code != ERR_OK)
        return code;
    return op->flag == RENAME_SWAP ? where_check(op->to) : place_check(op->to, &op->lifetime);
}

static int xattr_check(const struct op_xattr *op)
{
    int code = xattr_name_check(op->name);
    if (code != ERR_OK)
        return code;
    if (op->value.len > LIMIT_XATTR_VALUE_BYTES)
        return ERR_XATTR_SPACE;
    return op->flag > XATTR_MUST_REPLACE ? ERR_INVALID : where_check(op->at);
}

static int policy_check(const struct op_set_policy *op)
{
    if (op->policy.len > LIMIT_POLICY_BYTES)
        return ERR_TOO_BIG;
    return has_nul(op->policy) ? ERR_INVALID : where_check(op->at);
}

static int create_session_check(const struct op_create_session *op)
{
    int code = timeout_check(op->timeout_ms);
    return code == ERR_OK ? host_check(op->host) : code;
}

static int close_session_check(const struct op_close_session *op)
{
    bool known = op->reason == CLOSE_BY_OWNER || op->reason == CLOSE_EXPIRED;
    return known && op->session != 0 ? ERR_OK : ERR_INVALID;
}

static int set_cluster_check(const struct op_set_cluster *op)
{
    static const uint8_t none[CLUSTER_ID_BYTES];
    return memcmp(op->id, none, sizeof none) == 0 ? ERR_INVALID : ERR_OK;
}

int set_member_check(const struct op_set_member *op)
{
    static const uint8_t none[INCARNATION_BYTES];
    bool sane = op->id > 0 && op->id <= LIMIT_REPLICA_ID && memcmp(op->incarnation, none, sizeof none) != 0;
    return sane ? ERR_OK : ERR_INVALID;
}

int command_check(struct bytes command)
{
    return command.len > LIMIT_COMMAND_BYTES || has_nul(command) ? ERR_INVALID : ERR_OK;
}

int range_check(enum lock_space space, uint64_t start, uint64_t end)
{
    bool whole = start == 0 && end == UINT64_MAX;
    return (space == LOCK_FLOCK && whole) || (space == LOCK_POSIX && start <= end) ? ERR_OK : ERR_INVALID;
}

static int lock_check(const struct op_lock *op)
{
    if (op->id == 0 || op->id > LIMIT_NODE_ID || command_check(op->command) != ERR_OK)
        return ERR_INVALID;
    return range_check(op->space, op->start, op->end);
}

static int unlock_check(const struct op_unlock *op)
{
    if (op->id == 0 || op->id > LIMIT_NODE_ID)
        return ERR_INVALID;
    switch (op->scope) {
    case UNLOCK_RANGE:
        return range_check(op->space, op->start, op->end);
    case UNLOCK_OWNER:
        return op->space == LOCK_FLOCK || op->space == LOCK_POSIX ? ERR_OK : ERR_INVALID;
    case UNLOCK_HANDLE:
    case UNLOCK_WAITER:
        return ERR_OK;
    default:
        return ERR_INVALID;
    }
}

/* Whatever a multi may hold, which is what changes or checks one znode. */
static int simple_check(const struct request *request)
{
    switch (request->kind) {
    case OP_CREATE:
        return create_check(&request->create);
    case OP_DELETE:
        return delete_check(&request->delete);
    case OP_WRITE:
        return write_check(&request->write);
    case OP_SET_ATTR:
        return set_attr_check(&request->set_attr);
    case OP_RENAME:
        return rename_check(&request->rename);
    case OP_SET_XATTR:
    case OP_REMOVE_XATTR:
        return xattr_check(&request->xattr);
    case OP_SET_POLICY:
        return policy_check(&request->set_policy);
    case OP_SET_QUOTA:
        return where_check(request->set_quota.at);
    case OP_CHECK:
        return version_check(request->check.at, request->check.version);
    default:
        return ERR_INVALID;
    }
}

static int multi_check(const struct op_multi *op, uint32_t *failed)
{
    if (op->count > LIMIT_MULTI_OPS)
        return ERR_TOO_BIG;
    for (size_t i = 0; i < op->count; i++) {
        int code = simple_check(&op->ops[i]);
        *failed = (uint32_t)i;
        if (code != ERR_OK)
            return code;
    }
    *failed = 0;
    return ERR_OK;
}

int request_check_all(const struct request *request, uint32_t *failed)
{
    switch (request->kind) {
    case OP_NOOP:
        return ERR_OK;
    case OP_MULTI:
        return multi_check(&request->multi, failed);
    case OP_CREATE_SESSION:
        return create_session_check(&request->create_session);
    case OP_CLOSE_SESSION:
        return close_session_check(&request->close_session);
    case OP_SET_STATE_VERSION:
        return request->state_version == 0 ? ERR_INVALID : ERR_OK;
    case OP_SET_CLUSTER:
        return set_cluster_check(&request->set_cluster);
    case OP_SET_MEMBER:
        return set_member_check(&request->set_member);
    case OP_LOCK:
        return lock_check(&request->lock);
    case OP_UNLOCK:
        return unlock_check(&request->unlock);
    default:
        return simple_check(request);
    }
}

int request_check(const struct request *request)
{
    uint32_t failed;
    return request_check_all(request, &failed);
}
