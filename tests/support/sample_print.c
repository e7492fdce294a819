#include "tests/support/sample.h"

#include <inttypes.h>

/* One field: its name and value. */
#define PRINT(field)       fprintf(to, " " #field "=%" PRIu64, (uint64_t)from->field)
#define PRINT_BYTES(field) print_bytes(to, #field, from->field.at, from->field.len)
#define PRINT_FIXED(field) print_bytes(to, #field, from->field, sizeof from->field)

static void print_bytes(FILE *to, const char *name, const void *at, size_t len)
{
    fprintf(to, " %s=%zu:", name, len);
    if (len > 0)
        fwrite(at, 1, len, to);
}

static void print_where(FILE *to, const char *name, const struct where *from)
{
    fprintf(to, " %s", name);
    PRINT(id);
    PRINT_BYTES(path);
}

static void print_lifetime(FILE *to, const struct lifetime *from)
{
    PRINT(sequential);
    PRINT(sequence_at);
    PRINT(ephemeral);
    PRINT(container);
    PRINT(ttl_ms);
}

static void print_create(FILE *to, const struct op_create *from)
{
    print_where(to, "at", &from->at);
    PRINT(kind);
    PRINT(mode);
    PRINT(uid);
    PRINT(gid);
    print_lifetime(to, &from->lifetime);
    PRINT(unborn);
    PRINT(open_existing);
    PRINT_BYTES(data);
}

static void print_delete(FILE *to, const struct op_delete *from)
{
    print_where(to, "at", &from->at);
    PRINT(type);
    PRINT(version);
    PRINT(expect_id);
    PRINT(expect_zxid);
}

static void print_write(FILE *to, const struct op_write *write)
{
    print_where(to, "at", &write->at);
    fprintf(to, " version=%" PRId64, write->version);
    for (size_t i = 0; i < write->count; i++) {
        const struct edit *from = &write->edits[i];
        PRINT(kind);
        PRINT(offset);
        PRINT_BYTES(data);
    }
}

static void print_set_attr(FILE *to, const struct op_set_attr *from)
{
    print_where(to, "at", &from->at);
    PRINT(aversion);
    PRINT(mask);
    PRINT(mode);
    PRINT(uid);
    PRINT(gid);
    PRINT(atime_ns);
    PRINT(mtime_ns);
}

static void print_rename(FILE *to, const struct op_rename *from)
{
    print_where(to, "from", &from->from);
    print_where(to, "to", &from->to);
    PRINT(flag);
    print_lifetime(to, &from->lifetime);
    PRINT(expect_from_id);
}

static void print_xattr(FILE *to, const struct op_xattr *from)
{
    print_where(to, "at", &from->at);
    PRINT_BYTES(name);
    PRINT_BYTES(value);
    PRINT(flag);
}

static void print_create_session(FILE *to, const struct op_create_session *from)
{
    PRINT_FIXED(nonce);
    PRINT_FIXED(secret_hash);
    PRINT(timeout_ms);
    PRINT_BYTES(host);
    PRINT(pid);
}

static void print_lock(FILE *to, const struct op_lock *from)
{
    PRINT(id);
    PRINT(space);
    PRINT(exclusive);
    PRINT(wait);
    PRINT(owner);
    PRINT(handle);
    PRINT(start);
    PRINT(end);
    PRINT(pid);
    PRINT_BYTES(command);
}

static void print_unlock(FILE *to, const struct op_unlock *from)
{
    PRINT(id);
    PRINT(scope);
    PRINT(space);
    PRINT(owner);
    PRINT(handle);
    PRINT(start);
    PRINT(end);
    PRINT(lock);
}

static void print_other_request(FILE *to, const struct request *from)
{
    switch (from->kind) {
    case OP_CREATE_SESSION:
        print_create_session(to, &from->create_session);
        break;
    case OP_CLOSE_SESSION:
        PRINT(close_session.session);
        PRINT(close_session.reason);
        break;
    case OP_SET_STATE_VERSION:
        PRINT(state_version);
        break;
    case OP_SET_CLUSTER:
        PRINT_FIXED(set_cluster.id);
        break;
    case OP_SET_MEMBER:
        PRINT(set_member.id);
        PRINT_FIXED(set_member.incarnation);
        break;
    case OP_LOCK:
        print_lock(to, &from->lock);
        break;
    case OP_UNLOCK:
        print_unlock(to, &from->unlock);
        break;
    default:
        break;
    }
}

void sample_print_request(FILE *to, const struct request *from)
{
    fprintf(to, "\nrequest");
    PRINT(kind);
    switch (from->kind) {
    case OP_CREATE:
        print_create(to, &from->create);
        break;
    case OP_DELETE:
        print_delete(to, &from->delete);
        break;
    case OP_WRITE:
        print_write(to, &from->write);
        break;
    case OP_SET_ATTR:
        print_set_attr(to, &from->set_attr);
        break;
    case OP_RENAME:
        print_rename(to, &from->rename);
        break;
    case OP_SET_XATTR:
    case OP_REMOVE_XATTR:
        print_xattr(to, &from->xattr);
        break;
    case OP_SET_POLICY:
        print_where(to, "at", &from->set_policy.at);
        PRINT_BYTES(set_policy.policy);
        break;
    case OP_SET_QUOTA:
        print_where(to, "at", &from->set_quota.at);
        PRINT(set_quota.max_bytes);
        PRINT(set_quota.max_nodes);
        break;
    case OP_CHECK:
        print_where(to, "at", &from->check.at);
        PRINT(check.version);
        PRINT(check.must_not_exist);
        break;
    case OP_MULTI:
        for (size_t i = 0; i < from->multi.count; i++)
            sample_print_request(to, &from->multi.ops[i]);
        break;
    default:
        print_other_request(to, from);
    }
}

static void print_attach(FILE *to, const struct message_attach *from)
{
    PRINT(state_version_min);
    PRINT(state_version_max);
    PRINT_FIXED(cluster);
    PRINT(applied);
    PRINT(seen);
    PRINT(observer);
    PRINT(session);
    PRINT_FIXED(nonce);
    PRINT_FIXED(secret);
    PRINT(timeout_ms);
    PRINT_BYTES(host);
    PRINT(pid);
}

static void print_attached(FILE *to, const struct message_attached *from)
{
    PRINT_FIXED(cluster);
    PRINT(session);
    PRINT(timeout_ms);
    PRINT(commit);
    PRINT(snapshot);
    PRINT(replica);
    PRINT(leader);
}

static void print_status(FILE *to, const struct message_status *from)
{
    PRINT(replica);
    PRINT(leader);
    PRINT(epoch);
    PRINT_FIXED(cluster);
    PRINT(zxid);
    PRINT(digest);
    PRINT(nodes);
    PRINT(data_bytes);
    PRINT(sessions);
    PRINT(mounts);
    PRINT(state_version);
    PRINT(log_bytes);
    PRINT(snapshot_zxid);
    PRINT(uptime_ms);
    PRINT_BYTES(version);
    for (size_t i = 0; i < from->member_count; i++) {
        PRINT(members[i].id);
        PRINT_BYTES(members[i].role);
        PRINT_BYTES(members[i].address);
        PRINT(members[i].zxid);
        PRINT(members[i].lag);
        PRINT(members[i].reachable);
        PRINT(members[i].state_version_max);
    }
}

static void print_entries(FILE *to, const struct message_entries *from)
{
    PRINT(commit);
    for (size_t i = 0; i < from->count; i++)
        PRINT_BYTES(list[i]);
}

void sample_print_message(FILE *to, const struct message *from)
{
    fprintf(to, "message");
    PRINT(kind);
    switch (from->kind) {
    case MESSAGE_ATTACH:
        print_attach(to, &from->attach);
        break;
    case MESSAGE_ATTACHED:
        print_attached(to, &from->attached);
        break;
    case MESSAGE_REFUSED:
        PRINT(refused.code);
        PRINT_BYTES(refused.text);
        break;
    case MESSAGE_SNAPSHOT_BEGIN:
        PRINT(snapshot_begin.zxid);
        PRINT(snapshot_begin.nodes);
        break;
    case MESSAGE_SNAPSHOT_CHUNK:
        PRINT_BYTES(chunk);
        break;
    case MESSAGE_ENTRIES:
        print_entries(to, &from->entries);
        break;
    case MESSAGE_SUBMIT:
        PRINT(submit.number);
        PRINT(submit.awaited);
        PRINT_BYTES(submit.request);
        break;
    case MESSAGE_HEARTBEAT:
    case MESSAGE_HEARTBEAT_ACK:
        PRINT(heartbeat.sent_ms);
        PRINT(heartbeat.applied);
        PRINT(heartbeat.refusing);
        PRINT(heartbeat.refusing);
        break;
    case MESSAGE_SYNC:
    case MESSAGE_SYNCED:
        PRINT(sync.id);
        PRINT(sync.zxid);
        break;
    case MESSAGE_STATUS_REPLY:
        print_status(to, &from->status);
        break;
    default: /* no fields */
        break;
    }
}
