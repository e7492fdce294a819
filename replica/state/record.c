/* record.c - znodes, sessions and the rest of the state as bytes: what the digest hashes and snapshots hold.
 * record_read.c is the reverse. Each state has exactly one encoding: what is zero is left out. */
#include "replica/state/record.h"

#include "replica/state/wire.h"

static void put_more(struct writer *out, const struct more_attr *more)
{
    put_u64(out, more->ephemeral_owner);
    put_u64(out, more->unborn_of);
    put_u64(out, more->ttl_ms);
    put_i64(out, more->ttl_from_ns);
    put_i64(out, more->atime_ns);
    put_u8(out, more->atime_set);
    put_u32(out, more->xattrs == NULL ? 0 : more->xattrs->len);
    put_u64(out, more->xattrs == NULL ? 0 : more->xattrs->hash);
}

static void put_directory(struct writer *out, const struct directory_attr *directory)
{
    struct bytes policy = blob_bytes(directory->policy);
    put_u64(out, directory->pzxid);
    put_u64(out, directory->sequence);
    put_u64(out, directory->max_bytes);
    put_u64(out, directory->max_nodes);
    put_i64(out, directory->data_mtime_ns);
    put_u32(out, directory->cversion);
    put_u16(out, directory->reach);
    put_u8(out, directory->container);
    put_u8(out, directory->had_children);
    put_u16(out, (uint16_t)policy.len);
    put_bytes(out, policy.at, policy.len);
}

static void put_attr(struct writer *out, const struct node_attr *attr)
{
    put_u64(out, attr->czxid);
    put_u64(out, attr->mzxid);
    put_u64(out, attr->change_zxid);
    put_i64(out, attr->btime_ns);
    put_i64(out, attr->mtime_ns);
    put_i64(out, attr->ctime_ns);
    put_u32(out, attr->version);
    put_u32(out, attr->aversion);
    put_u32(out, attr->uid);
    put_u32(out, attr->gid);
    put_u16(out, attr->mode);
    put_u32(out, (uint32_t)data_size(attr->data));
    put_u64(out, data_hash(attr->data));
}

size_t record_node(const struct node *node, uint8_t to[RECORD_HEAD_MAX_BYTES])
{
    struct writer out = {to};
    struct bytes name = node_name(node);
    bool more = node->more != NULL && !more_is_plain(&node->more->attr);
    put_u64(&out, node->id);
    put_u64(&out, node->parent == NULL ? 0 : node->parent->id);
    put_u8(&out, node->attr.kind);
    put_u8(&out, more);
    put_u8(&out, (uint8_t)name.len);
    put_bytes(&out, name.at, name.len);
    put_attr(&out, &node->attr);
    if (more)
        put_more(&out, &node->more->attr);
    if (node_is_directory(node))
        put_directory(&out, &node_directory(node)->attr);
    return (size_t)(out.at - to);
}

size_t record_session(const struct session *session, uint8_t to[RECORD_HEAD_MAX_BYTES])
{
    struct writer out = {to};
    const struct session_info *info = &session->info;
    uint8_t host_len = (uint8_t)strlen(info->host);
    put_u64(&out, info->id);
    put_u32(&out, info->timeout_ms);
    put_u64(&out, info->last_number);
    put_i64(&out, info->opened_ns);
    put_u32(&out, info->pid);
    put_bytes(&out, info->nonce, sizeof info->nonce);
    put_bytes(&out, info->secret_hash, sizeof info->secret_hash);
    put_u8(&out, host_len);
    put_bytes(&out, info->host, host_len);
    put_u32(&out, session->kept);
    return (size_t)(out.at - to);
}

size_t record_result(uint64_t number, const struct kept_result *result, uint8_t to[RECORD_RESULT_MAX_BYTES])
{
    struct writer out = {to};
    struct bytes name = blob_bytes(result->name);
    put_u64(&out, number);
    put_u64(&out, result->zxid);
    put_u64(&out, result->id);
    put_u32(&out, result->code);
    put_u32(&out, result->failed);
    put_u8(&out, (uint8_t)name.len);
    put_bytes(&out, name.at, name.len);
    return (size_t)(out.at - to);
}

size_t record_member(const struct member_info *member, uint8_t to[RECORD_HEAD_MAX_BYTES])
{
    struct writer out = {to};
    put_u32(&out, member->id);
    put_bytes(&out, member->incarnation, sizeof member->incarnation);
    put_u64(&out, member->zxid);
    return (size_t)(out.at - to);
}

size_t record_lock(const struct lock *lock, uint8_t to[RECORD_HEAD_MAX_BYTES])
{
    struct writer out = {to};
    struct bytes command = blob_bytes(lock->command);
    put_u64(&out, lock->locked->by_id.key);
    put_u8(&out, (uint8_t)lock->space);
    put_u8(&out, lock->exclusive);
    put_u64(&out, lock->session);
    put_u64(&out, lock->owner);
    put_u64(&out, lock->handle);
    put_u64(&out, lock->start);
    put_u64(&out, lock->end);
    put_u64(&out, lock->name);
    put_u64(&out, lock->granted_zxid);
    put_i64(&out, lock->since_ns);
    put_u32(&out, lock->pid);
    put_u8(&out, (uint8_t)command.len);
    put_bytes(&out, command.at, command.len);
    return (size_t)(out.at - to);
}

size_t record_globals(const struct state *state, uint8_t to[RECORD_HEAD_MAX_BYTES])
{
    struct writer out = {to};
    put_u32(&out, state->version);
    put_u64(&out, state->zxid);
    put_i64(&out, state->stamp_ns);
    put_u64(&out, state->next_id);
    put_u64(&out, state->next_session);
    put_bytes(&out, state->cluster, sizeof state->cluster);
    return (size_t)(out.at - to);
}
