#include "tests/support/sample.h"

#include <string.h>

uint64_t sample_random(struct sample *sample)
{
    uint64_t z = sample->random += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void sample_begin(struct sample *sample, uint64_t seed)
{
    sample->random = seed;
    sample->used_edits = sample->used_ops = 0;
    for (size_t i = 0; i < sizeof sample->pool; i += 8) {
        const uint64_t value = sample_random(sample);
        memcpy(sample->pool + i, &value, 8);
    }
}

static uint64_t below(struct sample *sample, uint64_t limit)
{
    return sample_random(sample) % limit;
}

static bool coin(struct sample *sample)
{
    return below(sample, 2) == 1;
}

/* Of every magnitude, 0 and the largest included. */
static uint64_t number(struct sample *sample)
{
    const uint64_t shift = below(sample, 66);
    return shift >= 64 ? (shift == 64 ? 0 : UINT64_MAX) : sample_random(sample) >> shift;
}

static int64_t signed_number(struct sample *sample)
{
    const uint64_t value = number(sample);
    return coin(sample) ? (int64_t)(value >> 1) : -1 - (int64_t)(value >> 1);
}

static uint32_t small(struct sample *sample)
{
    return (uint32_t)number(sample);
}

struct bytes sample_bytes(struct sample *sample, size_t max_len)
{
    const size_t len = coin(sample) ? below(sample, (max_len < 32 ? max_len : 32) + 1) : below(sample, max_len + 1);
    return (struct bytes){sample->pool + below(sample, sizeof sample->pool - len), len};
}

static void fixed(struct sample *sample, uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)sample_random(sample);
}

static struct where where(struct sample *sample)
{
    const uint64_t id = number(sample);
    return (struct where){id, sample_bytes(sample, LIMIT_PATH_BYTES)};
}

static struct lifetime lifetime(struct sample *sample)
{
    struct lifetime lifetime = {0};
    if (coin(sample))
        return lifetime;
    lifetime.sequential = coin(sample);
    lifetime.sequence_at = small(sample);
    lifetime.ephemeral = coin(sample);
    lifetime.container = coin(sample);
    lifetime.ttl_ms = number(sample);
    return lifetime;
}

static void sample_create(struct sample *sample, struct op_create *to)
{
    to->at = where(sample);
    to->kind = (enum node_kind)(KIND_DIRECTORY + below(sample, 3));
    to->mode = small(sample);
    to->uid = small(sample);
    to->gid = small(sample);
    to->lifetime = lifetime(sample);
    to->unborn = coin(sample);
    to->open_existing = coin(sample);
    to->data = sample_bytes(sample, 8 * KIB);
}

static void sample_delete(struct sample *sample, struct op_delete *to)
{
    to->at = where(sample);
    to->type = (enum delete_type)below(sample, 3);
    to->version = signed_number(sample);
    to->expect_id = number(sample);
    to->expect_zxid = number(sample);
}

static void sample_write(struct sample *sample, struct op_write *to)
{
    to->at = where(sample);
    to->version = signed_number(sample);
    to->edits = sample->edits + sample->used_edits;
    to->count = below(sample, 9);
    for (size_t i = 0; i < to->count; i++) {
        struct edit *edit = &sample->edits[sample->used_edits++];
        edit->kind = (enum edit_kind)(EDIT_PUT + below(sample, 3));
        edit->offset = number(sample);
        edit->data = sample_bytes(sample, 4 * KIB);
    }
}

static void sample_set_attr(struct sample *sample, struct op_set_attr *to)
{
    to->at = where(sample);
    to->aversion = signed_number(sample);
    to->mask = small(sample);
    to->mode = small(sample);
    to->uid = small(sample);
    to->gid = small(sample);
    to->atime_ns = signed_number(sample);
    to->mtime_ns = signed_number(sample);
}

static void sample_rename(struct sample *sample, struct op_rename *to)
{
    to->from = where(sample);
    to->to = where(sample);
    to->flag = (enum rename_flag)below(sample, 3);
    to->lifetime = lifetime(sample);
    to->expect_from_id = number(sample);
}

static void sample_xattr(struct sample *sample, struct op_xattr *to)
{
    to->at = where(sample);
    to->name = sample_bytes(sample, LIMIT_XATTR_NAME_BYTES);
    to->value = sample_bytes(sample, 4 * KIB);
    to->flag = (enum xattr_flag)below(sample, 3);
}

static void sample_multi(struct sample *sample, struct op_multi *to)
{
    to->count = below(sample, sizeof sample->ops / sizeof sample->ops[0]);
    to->ops = sample->ops;
    for (size_t i = 0; i < to->count; i++)
        sample_request(sample, (enum op_kind)(OP_CREATE + below(sample, OP_CHECK)), &sample->ops[i]);
}

static void sample_create_session(struct sample *sample, struct op_create_session *to)
{
    fixed(sample, to->nonce, sizeof to->nonce);
    fixed(sample, to->secret_hash, sizeof to->secret_hash);
    to->timeout_ms = small(sample);
    to->host = sample_bytes(sample, LIMIT_HOST_BYTES);
    to->pid = small(sample);
}

static void sample_lock(struct sample *sample, struct op_lock *to)
{
    to->id = number(sample);
    to->space = coin(sample) ? LOCK_FLOCK : LOCK_POSIX;
    to->exclusive = coin(sample);
    to->wait = coin(sample);
    to->owner = number(sample);
    to->handle = number(sample);
    to->start = number(sample);
    to->end = number(sample);
    to->pid = small(sample);
    to->command = sample_bytes(sample, LIMIT_COMMAND_BYTES);
}

static void sample_unlock(struct sample *sample, struct op_unlock *to)
{
    to->id = number(sample);
    to->scope = (enum unlock_scope)(UNLOCK_RANGE + below(sample, UNLOCK_WAITER));
    to->space = (enum lock_space)below(sample, LOCK_POSIX + 1);
    to->owner = number(sample);
    to->handle = number(sample);
    to->start = number(sample);
    to->end = number(sample);
    to->lock = number(sample);
}

static void sample_other_request(struct sample *sample, struct request *to)
{
    switch (to->kind) {
    case OP_CREATE_SESSION:
        sample_create_session(sample, &to->create_session);
        break;
    case OP_CLOSE_SESSION:
        to->close_session.session = number(sample);
        to->close_session.reason = coin(sample) ? CLOSE_BY_OWNER : CLOSE_EXPIRED;
        break;
    case OP_SET_STATE_VERSION:
        to->state_version = small(sample);
        break;
    case OP_SET_CLUSTER:
        fixed(sample, to->set_cluster.id, sizeof to->set_cluster.id);
        break;
    case OP_SET_MEMBER:
        to->set_member.id = small(sample);
        fixed(sample, to->set_member.incarnation, sizeof to->set_member.incarnation);
        break;
    case OP_LOCK:
        sample_lock(sample, &to->lock);
        break;
    case OP_UNLOCK:
        sample_unlock(sample, &to->unlock);
        break;
    default: /* OP_NOOP */
        break;
    }
}

void sample_request(struct sample *sample, enum op_kind kind, struct request *to)
{
    *to = (struct request){.kind = kind};
    switch (kind) {
    case OP_CREATE:
        sample_create(sample, &to->create);
        break;
    case OP_DELETE:
        sample_delete(sample, &to->delete);
        break;
    case OP_WRITE:
        sample_write(sample, &to->write);
        break;
    case OP_SET_ATTR:
        sample_set_attr(sample, &to->set_attr);
        break;
    case OP_RENAME:
        sample_rename(sample, &to->rename);
        break;
    case OP_SET_XATTR:
    case OP_REMOVE_XATTR:
        sample_xattr(sample, &to->xattr);
        break;
    case OP_SET_POLICY:
        to->set_policy.at = where(sample);
        to->set_policy.policy = sample_bytes(sample, LIMIT_POLICY_BYTES);
        break;
    case OP_SET_QUOTA:
        to->set_quota = (struct op_set_quota){where(sample), number(sample), number(sample)};
        break;
    case OP_CHECK:
        to->check = (struct op_check){where(sample), signed_number(sample), coin(sample)};
        break;
    case OP_MULTI:
        sample_multi(sample, &to->multi);
        break;
    default:
        sample_other_request(sample, to);
    }
}

/* --- messages --- */

static void sample_attach(struct sample *sample, struct message_attach *to)
{
    to->state_version_min = small(sample);
    to->state_version_max = small(sample);
    fixed(sample, to->cluster, sizeof to->cluster);
    to->applied = number(sample);
    to->seen = number(sample);
    to->observer = coin(sample);
    to->session = number(sample);
    fixed(sample, to->nonce, sizeof to->nonce);
    fixed(sample, to->secret, sizeof to->secret);
    to->timeout_ms = small(sample);
    to->host = sample_bytes(sample, LIMIT_HOST_BYTES);
    to->pid = small(sample);
}

static void sample_attached(struct sample *sample, struct message_attached *to)
{
    fixed(sample, to->cluster, sizeof to->cluster);
    to->session = number(sample);
    to->timeout_ms = small(sample);
    to->commit = number(sample);
    to->snapshot = coin(sample);
    to->replica = small(sample);
    to->leader = small(sample);
}

static void sample_entries(struct sample *sample, struct message_entries *to)
{
    to->commit = number(sample);
    to->list = sample->entries;
    to->count = below(sample, sizeof sample->entries / sizeof sample->entries[0]);
    for (size_t i = 0; i < to->count; i++)
        sample->entries[i] = sample_bytes(sample, 4 * KIB);
}

static void sample_status(struct sample *sample, struct message_status *to)
{
    to->replica = small(sample);
    to->leader = small(sample);
    to->epoch = small(sample);
    fixed(sample, to->cluster, sizeof to->cluster);
    to->zxid = number(sample);
    to->digest = number(sample);
    to->nodes = number(sample);
    to->data_bytes = number(sample);
    to->sessions = number(sample);
    to->mounts = number(sample);
    to->state_version = small(sample);
    to->log_bytes = number(sample);
    to->snapshot_zxid = number(sample);
    to->uptime_ms = number(sample);
    to->version = sample_bytes(sample, LIMIT_TEXT_BYTES);
    to->members = sample->members;
    to->member_count = below(sample, sizeof sample->members / sizeof sample->members[0]);
    for (size_t i = 0; i < to->member_count; i++) {
        struct message_member *member = &sample->members[i];
        member->id = small(sample);
        member->role = sample_bytes(sample, LIMIT_TEXT_BYTES);
        member->address = sample_bytes(sample, LIMIT_TEXT_BYTES);
        member->zxid = number(sample);
        member->lag = (int64_t)number(sample);
        member->reachable = below(sample, 2);
        member->state_version_max = small(sample);
    }
}

void sample_message(struct sample *sample, enum message_kind kind, struct message *to)
{
    *to = (struct message){.kind = kind};
    switch (kind) {
    case MESSAGE_ATTACH:
        sample_attach(sample, &to->attach);
        break;
    case MESSAGE_ATTACHED:
        sample_attached(sample, &to->attached);
        break;
    case MESSAGE_REFUSED:
        to->refused = (struct message_refused){(int)below(sample, 100), sample_bytes(sample, LIMIT_TEXT_BYTES)};
        break;
    case MESSAGE_SNAPSHOT_BEGIN:
        to->snapshot_begin = (struct message_snapshot_begin){number(sample), number(sample)};
        break;
    case MESSAGE_SNAPSHOT_CHUNK:
        to->chunk = sample_bytes(sample, 64 * KIB);
        break;
    case MESSAGE_ENTRIES:
        sample_entries(sample, &to->entries);
        break;
    case MESSAGE_SUBMIT:
        to->submit = (struct message_submit){number(sample), number(sample), sample_bytes(sample, 64 * KIB)};
        break;
    case MESSAGE_HEARTBEAT:
    case MESSAGE_HEARTBEAT_ACK:
        to->heartbeat = (struct message_heartbeat){number(sample), number(sample), coin(sample)};
        break;
    case MESSAGE_SYNC:
    case MESSAGE_SYNCED:
        to->sync = (struct message_sync){number(sample), number(sample)};
        break;
    case MESSAGE_STATUS_REPLY:
        sample_status(sample, &to->status);
        break;
    default: /* no fields */
        break;
    }
}
