/* record_read.c - records of a snapshot back into znodes and sessions. Nothing in them is trusted. */
#include "replica/state/record.h"

#include <stdlib.h>

#include "replica/state/mem.h"
#include "replica/state/wire.h"

#define COUNTER_MAX ((uint64_t)INT64_MAX) /* counting on from here never runs over */

/* What the head says of the bytes that follow it. */
struct tail {
    uint32_t xattrs_len, data_len;
    uint64_t xattrs_hash, data_hash;
};

static void get_attr(struct reader *in, struct node_attr *attr, struct tail *tail)
{
    attr->czxid = get_u64(in);
    attr->mzxid = get_u64(in);
    attr->change_zxid = get_u64(in);
    attr->btime_ns = get_i64(in);
    attr->mtime_ns = get_i64(in);
    attr->ctime_ns = get_i64(in);
    attr->version = get_u32(in);
    attr->aversion = get_u32(in);
    attr->uid = get_u32(in);
    attr->gid = get_u32(in);
    attr->mode = get_u16(in);
    tail->data_len = get_u32(in);
    tail->data_hash = get_u64(in);
}

static bool get_bool(struct reader *in)
{
    uint8_t value = get_u8(in);
    in->bad |= value > 1;
    return value == 1;
}

static void get_more(struct reader *in, struct more_attr *more, struct tail *tail)
{
    more->ephemeral_owner = get_u64(in);
    more->unborn_of = get_u64(in);
    more->ttl_ms = get_u64(in);
    more->ttl_from_ns = get_i64(in);
    more->atime_ns = get_i64(in);
    more->atime_set = get_bool(in);
    tail->xattrs_len = get_u32(in);
    tail->xattrs_hash = get_u64(in);
    in->bad |= more->ttl_ms > LIMIT_TTL_MS;
}

static void get_directory(struct reader *in, struct directory_attr *directory)
{
    directory->pzxid = get_u64(in);
    directory->sequence = get_u64(in);
    directory->max_bytes = get_u64(in);
    directory->max_nodes = get_u64(in);
    directory->data_mtime_ns = get_i64(in);
    directory->cversion = get_u32(in);
    directory->reach = get_u16(in);
    directory->container = get_bool(in);
    directory->had_children = get_bool(in);
    struct bytes policy = get_bytes(in, get_u16(in));
    in->bad |= policy.len > LIMIT_POLICY_BYTES || directory->sequence > LIMIT_SEQUENCE + 1;
    if (!in->bad)
        directory->policy = blob_new(policy.at, policy.len);
}

static void get_tail(struct reader *in, struct node *node, const struct tail *tail)
{
    struct bytes xattrs = get_bytes(in, tail->xattrs_len), data = get_bytes(in, tail->data_len);
    in->bad |= data.len > LIMIT_DATA_BYTES || !xattr_valid(xattrs);
    if (in->bad)
        return;
    if (xattrs.len > 0)
        node->more->attr.xattrs = blob_new(xattrs.at, xattrs.len);
    if (data.len > 0)
        node->attr.data = data_new(data.at, data.len);
    in->bad |= tail->xattrs_hash != (xattrs.len > 0 ? node->more->attr.xattrs->hash : 0);
    in->bad |= data_hash(node->attr.data) != tail->data_hash;
}

static bool target_ok(const struct data *data)
{
    uint8_t target[LIMIT_PATH_BYTES];
    size_t len = data_read(data, 0, target, sizeof target);
    return data_size(data) == len && target_check((struct bytes){target, len}) == ERR_OK;
}

/* What must hold of a znode by itself. */
static bool sane(const struct node *node, bool more)
{
    const struct node_attr *attr = &node->attr;
    if (node->id == ROOT_ID ? attr->name_len != 0 || !node_is_directory(node) : name_check(node_name(node)) != ERR_OK)
        return false;
    if (attr->mode > 07777 || node->id == 0 || node->id > LIMIT_NODE_ID)
        return false;
    if (more && (more_is_plain(&node->more->attr) || (node->more->attr.unborn_of != 0 && attr->kind != KIND_FILE)))
        return false;
    return attr->kind != KIND_SYMLINK || target_ok(attr->data);
}

static bool read_node(struct reader *in, struct node *node, bool more, struct bytes name)
{
    struct tail tail = {0};
    name_set(&node->name, name);
    node->attr.name_len = (uint8_t)name.len;
    get_attr(in, &node->attr, &tail);
    if (more)
        get_more(in, &node_need_more(node)->attr, &tail);
    if (node_is_directory(node))
        get_directory(in, &node_directory(node)->attr);
    get_tail(in, node, &tail);
    return !in->bad && in->left == 0 && sane(node, more);
}

int record_read_node(struct bytes from, struct node **node, uint64_t *parent, size_t *head_len)
{
    struct reader in = {from.at, from.len, false};
    uint64_t id = get_u64(&in);
    *parent = get_u64(&in);
    uint8_t kind = get_u8(&in);
    bool more = get_bool(&in);
    struct bytes name = get_bytes(&in, get_u8(&in));
    if (in.bad || kind < KIND_DIRECTORY || kind > KIND_SYMLINK)
        return ERR_CORRUPT;
    *node = node_new(id, kind);
    if (!read_node(&in, *node, more, name)) {
        node_free(*node);
        return ERR_CORRUPT;
    }
    struct bytes xattrs = blob_bytes((*node)->more == NULL ? NULL : (*node)->more->attr.xattrs);
    *head_len = from.len - xattrs.len - data_size((*node)->attr.data);
    return ERR_OK;
}

static void read_results(struct reader *in, struct session *session, uint32_t count)
{
    uint64_t first = session->info.last_number - count + 1;
    in->bad |= count > LIMIT_RESULTS || count > session->info.last_number;
    for (uint32_t i = 0; i < count && !in->bad; i++) {
        in->bad |= get_u64(in) != first + i;
        struct kept_result result = {0};
        result.zxid = get_u64(in);
        result.id = get_u64(in);
        result.code = get_u32(in);
        result.failed = get_u32(in);
        struct bytes name = get_bytes(in, get_u8(in));
        if (in->bad)
            return;
        result.name = blob_new(name.at, name.len);
        session_keep(session, first + i, &result);
    }
}

int record_read_session(struct bytes from, struct state *state)
{
    struct reader in = {from.at, from.len, false};
    struct session_info info = {0};
    info.id = get_u64(&in);
    info.timeout_ms = get_u32(&in);
    info.last_number = get_u64(&in);
    info.opened_ns = get_i64(&in);
    info.pid = get_u32(&in);
    get_copy(&in, info.nonce, sizeof info.nonce);
    get_copy(&in, info.secret_hash, sizeof info.secret_hash);
    struct bytes host = get_bytes(&in, get_u8(&in));
    uint32_t results = get_u32(&in);
    bool bad = in.bad || host_check(host) != ERR_OK || timeout_check(info.timeout_ms) != ERR_OK;
    if (bad || info.id == 0 || info.id >= state->next_session || info.last_number > COUNTER_MAX ||
        state->sessions_by_id.count >= LIMIT_SESSIONS || session_find(state, info.id) != NULL ||
        session_find_nonce(state, info.nonce) != NULL)
        return ERR_CORRUPT;
    memcpy(info.host, host.at, host.len);
    struct session *session = session_new(state, &info);
    read_results(&in, session, results);
    return in.bad || in.left > 0 ? ERR_CORRUPT : ERR_OK;
}

int record_read_globals(struct bytes from, struct state *state)
{
    struct reader in = {from.at, from.len, false};
    state->version = get_u32(&in);
    state->zxid = get_u64(&in);
    state->stamp_ns = get_i64(&in);
    state->next_id = get_u64(&in);
    state->next_session = get_u64(&in);
    get_copy(&in, state->cluster, sizeof state->cluster);
    if (in.bad)
        return ERR_CORRUPT;
    if (state->version < STATE_VERSION_MIN || state->version > STATE_VERSION)
        return ERR_BAD_FORMAT; /* what follows, and how much, is not known */
    bool sane = in.left == 0 && state->next_id > ROOT_ID && state->next_id <= LIMIT_NODE_ID + 1 &&
                state->next_session > 0 && state->next_session <= COUNTER_MAX;
    return sane ? ERR_OK : ERR_CORRUPT;
}

int record_read_member(struct bytes from, struct state *state)
{
    struct reader in = {from.at, from.len, false};
    struct op_set_member op = {.id = get_u32(&in)};
    get_copy(&in, op.incarnation, sizeof op.incarnation);
    struct member_info member = {.id = op.id, .zxid = get_u64(&in)};
    memcpy(member.incarnation, op.incarnation, sizeof member.incarnation);
    if (in.bad || in.left > 0 || set_member_check(&op) != ERR_OK || member.zxid > state->zxid ||
        state->version < STATE_VERSION_MEMBERS || member_find(state, member.id) != NULL)
        return ERR_CORRUPT;
    return member_add(state, &member) ? ERR_OK : ERR_CORRUPT;
}

/* What must hold of a lock by itself. */
static bool lock_sane(const struct state *state, const struct lock *lock, uint64_t id, struct bytes command)
{
    uint64_t last = lock->granted_zxid == 0 ? lock->name : lock->granted_zxid;
    return state->version >= STATE_VERSION_LOCKS && id > 0 && id < state->next_id &&
           range_check(lock->space, lock->start, lock->end) == ERR_OK && command_check(command) == ERR_OK &&
           lock->name > 0 && lock->name <= last && last <= state->zxid;
}

int record_read_lock(struct bytes from, struct state *state)
{
    struct reader in = {from.at, from.len, false};
    struct lock *lock = mem_new(sizeof *lock);
    hook_init(&lock->order);
    hook_init(&lock->own);
    uint64_t id = get_u64(&in);
    lock->space = get_u8(&in);
    lock->exclusive = get_bool(&in);
    lock->session = get_u64(&in);
    lock->owner = get_u64(&in);
    lock->handle = get_u64(&in);
    lock->start = get_u64(&in);
    lock->end = get_u64(&in);
    lock->name = get_u64(&in);
    lock->granted_zxid = get_u64(&in);
    lock->since_ns = get_i64(&in);
    lock->pid = get_u32(&in);
    struct bytes command = get_bytes(&in, get_u8(&in));
    if (in.bad || in.left > 0 || !lock_sane(state, lock, id, command)) {
        free(lock);
        return ERR_CORRUPT;
    }
    lock->command = blob_new(command.at, command.len);
    return lock_append(state, lock, id) ? ERR_OK : ERR_CORRUPT;
}
