/* Messages between plain structs and protobuf's. */
#include "proto/codec_internal.h"

/* Both sides number the kinds alike, so a kind is its oneof case. */
_Static_assert((int)MESSAGE_ATTACH == PACT__MESSAGE__MESSAGE_ATTACH, "message kinds");
_Static_assert((int)MESSAGE_SNAPSHOT_CHUNK == PACT__MESSAGE__MESSAGE_SNAPSHOT_CHUNK, "message kinds");
_Static_assert((int)MESSAGE_HEARTBEAT_ACK == PACT__MESSAGE__MESSAGE_HEARTBEAT_ACK, "message kinds");
_Static_assert((int)MESSAGE_STATUS_REPLY == PACT__MESSAGE__MESSAGE_STATUS_REPLY, "message kinds");
_Static_assert((int)MESSAGE_DETACHED == PACT__MESSAGE__MESSAGE_DETACHED, "message kinds");

/* --- packing --- */

static Pact__Attach *pack_attach(struct arena *arena, const struct message_attach *from)
{
    NEW(Pact__Attach, attach);
    to->state_version_min = from->state_version_min;
    to->state_version_max = from->state_version_max;
    to->cluster = pack_fixed(from->cluster, sizeof from->cluster);
    to->applied = from->applied;
    to->seen = from->seen;
    to->observer = from->observer;
    to->session = from->session;
    to->nonce = pack_fixed(from->nonce, sizeof from->nonce);
    to->secret = pack_fixed(from->secret, sizeof from->secret);
    to->timeout_ms = from->timeout_ms;
    to->host = pack_bytes(from->host);
    to->pid = from->pid;
    return to;
}

static Pact__Attached *pack_attached(struct arena *arena, const struct message_attached *from)
{
    NEW(Pact__Attached, attached);
    to->cluster = pack_fixed(from->cluster, sizeof from->cluster);
    to->session = from->session;
    to->timeout_ms = from->timeout_ms;
    to->commit = from->commit;
    to->snapshot = from->snapshot;
    to->replica = from->replica;
    to->leader = from->leader;
    return to;
}

static Pact__Refused *pack_refused(struct arena *arena, const struct message_refused *from)
{
    NEW(Pact__Refused, refused);
    to->code = (uint32_t)from->code;
    to->text = pack_bytes(from->text);
    return to;
}

static Pact__SnapshotBegin *pack_snapshot_begin(struct arena *arena, const struct message_snapshot_begin *from)
{
    NEW(Pact__SnapshotBegin, snapshot_begin);
    to->zxid = from->zxid;
    to->nodes = from->nodes;
    return to;
}

static Pact__Entries *pack_entries(struct arena *arena, const struct message_entries *from)
{
    NEW(Pact__Entries, entries);
    to->list = arena_alloc(arena, from->count * sizeof *to->list);
    for (size_t i = 0; i < from->count && !arena->full; i++)
        to->list[i] = pack_bytes(from->list[i]);
    to->n_list = from->count;
    to->commit = from->commit;
    return to;
}

static Pact__Submit *pack_submit(struct arena *arena, const struct message_submit *from)
{
    NEW(Pact__Submit, submit);
    to->number = from->number;
    to->awaited = from->awaited;
    to->request = pack_bytes(from->request);
    return to;
}

static Pact__Heartbeat *pack_heartbeat(struct arena *arena, const struct message_heartbeat *from)
{
    NEW(Pact__Heartbeat, heartbeat);
    to->sent_ms = from->sent_ms;
    to->applied = from->applied;
    to->refusing = from->refusing;
    return to;
}

static Pact__Sync *pack_sync(struct arena *arena, const struct message_sync *from)
{
    NEW(Pact__Sync, sync);
    to->id = from->id;
    to->zxid = from->zxid;
    return to;
}

static Pact__Member *pack_member(struct arena *arena, const struct message_member *from)
{
    NEW(Pact__Member, member);
    to->id = from->id;
    to->role = pack_bytes(from->role);
    to->address = pack_bytes(from->address);
    to->zxid = from->zxid;
    to->lag = from->lag;
    to->reachable = from->reachable;
    to->state_version_max = from->state_version_max;
    return to;
}

static Pact__Status *pack_status(struct arena *arena, const struct message_status *from)
{
    NEW(Pact__Status, status);
    to->replica = from->replica;
    to->leader = from->leader;
    to->epoch = from->epoch;
    to->cluster = pack_fixed(from->cluster, sizeof from->cluster);
    to->zxid = from->zxid;
    to->digest = from->digest;
    to->nodes = from->nodes;
    to->data_bytes = from->data_bytes;
    to->sessions = from->sessions;
    to->mounts = from->mounts;
    to->state_version = from->state_version;
    to->log_bytes = from->log_bytes;
    to->snapshot_zxid = from->snapshot_zxid;
    to->uptime_ms = from->uptime_ms;
    to->version = pack_bytes(from->version);
    to->members = arena_alloc(arena, from->member_count * sizeof(Pact__Member *));
    for (size_t i = 0; i < from->member_count && !arena->full; i++)
        to->members[i] = pack_member(arena, &from->members[i]);
    to->n_members = from->member_count;
    return to;
}

static Pact__Empty *pack_empty(struct arena *arena)
{
    NEW(Pact__Empty, empty);
    return to;
}

static void pack_case(struct arena *arena, const struct message *from, Pact__Message *to)
{
    switch (from->kind) {
    case MESSAGE_ATTACH:
        to->attach = pack_attach(arena, &from->attach);
        break;
    case MESSAGE_ATTACHED:
        to->attached = pack_attached(arena, &from->attached);
        break;
    case MESSAGE_REFUSED:
        to->refused = pack_refused(arena, &from->refused);
        break;
    case MESSAGE_SNAPSHOT_BEGIN:
        to->snapshot_begin = pack_snapshot_begin(arena, &from->snapshot_begin);
        break;
    case MESSAGE_SNAPSHOT_CHUNK:
        to->snapshot_chunk = pack_bytes(from->chunk);
        break;
    case MESSAGE_ENTRIES:
        to->entries = pack_entries(arena, &from->entries);
        break;
    case MESSAGE_SUBMIT:
        to->submit = pack_submit(arena, &from->submit);
        break;
    case MESSAGE_HEARTBEAT:
    case MESSAGE_HEARTBEAT_ACK:
        to->heartbeat = pack_heartbeat(arena, &from->heartbeat);
        break;
    case MESSAGE_SYNC:
    case MESSAGE_SYNCED:
        to->sync = pack_sync(arena, &from->sync);
        break;
    case MESSAGE_STATUS_REPLY:
        to->status_reply = pack_status(arena, &from->status);
        break;
    case MESSAGE_SNAPSHOT_END:
    case MESSAGE_STATUS:
    case MESSAGE_RESEND:
    case MESSAGE_DETACH:
    case MESSAGE_DETACHED:
        to->status = pack_empty(arena); /* all members of the union are pointers in one place */
        break;
    }
}

Pact__Message *pack_message(struct arena *arena, const struct message *from)
{
    NEW(Pact__Message, message);
    pack_case(arena, from, to);
    to->message_case = (Pact__Message__MessageCase)from->kind;
    return to;
}

/* --- unpacking --- */

static bool unpack_attach(const Pact__Attach *from, struct message_attach *to)
{
    to->state_version_min = from->state_version_min;
    to->state_version_max = from->state_version_max;
    to->applied = from->applied;
    to->seen = from->seen;
    to->observer = from->observer;
    to->session = from->session;
    to->timeout_ms = from->timeout_ms;
    to->host = unpack_bytes(from->host);
    to->pid = from->pid;
    return unpack_fixed(from->cluster, to->cluster, sizeof to->cluster) &&
           unpack_fixed(from->nonce, to->nonce, sizeof to->nonce) &&
           unpack_fixed(from->secret, to->secret, sizeof to->secret);
}

static bool unpack_attached(const Pact__Attached *from, struct message_attached *to)
{
    to->session = from->session;
    to->timeout_ms = from->timeout_ms;
    to->commit = from->commit;
    to->snapshot = from->snapshot;
    to->replica = from->replica;
    to->leader = from->leader;
    return unpack_fixed(from->cluster, to->cluster, sizeof to->cluster);
}

static bool unpack_entries(struct arena *arena, const Pact__Entries *from, struct message_entries *to)
{
    struct bytes *list = arena_alloc(arena, from->n_list * sizeof *list);
    if (list == NULL)
        return false;
    for (size_t i = 0; i < from->n_list; i++)
        list[i] = unpack_bytes(from->list[i]);
    *to = (struct message_entries){list, from->n_list, from->commit};
    return true;
}

static bool unpack_members(struct arena *arena, const Pact__Status *from, struct message_status *to)
{
    struct message_member *members = arena_alloc(arena, from->n_members * sizeof *members);
    if (members == NULL)
        return false;
    for (size_t i = 0; i < from->n_members; i++) {
        const Pact__Member *member = from->members[i];
        members[i] = (struct message_member){.id = member->id,
                                             .role = unpack_bytes(member->role),
                                             .address = unpack_bytes(member->address),
                                             .zxid = member->zxid,
                                             .lag = member->lag,
                                             .reachable = member->reachable,
                                             .state_version_max = member->state_version_max};
    }
    to->members = members;
    to->member_count = from->n_members;
    return true;
}

static bool unpack_status(struct arena *arena, const Pact__Status *from, struct message_status *to)
{
    to->replica = from->replica;
    to->leader = from->leader;
    to->epoch = from->epoch;
    to->zxid = from->zxid;
    to->digest = from->digest;
    to->nodes = from->nodes;
    to->data_bytes = from->data_bytes;
    to->sessions = from->sessions;
    to->mounts = from->mounts;
    to->state_version = from->state_version;
    to->log_bytes = from->log_bytes;
    to->snapshot_zxid = from->snapshot_zxid;
    to->uptime_ms = from->uptime_ms;
    to->version = unpack_bytes(from->version);
    return unpack_fixed(from->cluster, to->cluster, sizeof to->cluster) && unpack_members(arena, from, to);
}

static bool unpack_case(struct arena *arena, const Pact__Message *from, struct message *to)
{
    switch (to->kind) {
    case MESSAGE_ATTACH:
        return unpack_attach(from->attach, &to->attach);
    case MESSAGE_ATTACHED:
        return unpack_attached(from->attached, &to->attached);
    case MESSAGE_REFUSED:
        to->refused = (struct message_refused){(int)from->refused->code, unpack_bytes(from->refused->text)};
        return true;
    case MESSAGE_SNAPSHOT_BEGIN:
        to->snapshot_begin = (struct message_snapshot_begin){from->snapshot_begin->zxid, from->snapshot_begin->nodes};
        return true;
    case MESSAGE_SNAPSHOT_CHUNK:
        to->chunk = unpack_bytes(from->snapshot_chunk);
        return true;
    case MESSAGE_ENTRIES:
        return unpack_entries(arena, from->entries, &to->entries);
    case MESSAGE_SUBMIT:
        to->submit =
            (struct message_submit){from->submit->number, from->submit->awaited, unpack_bytes(from->submit->request)};
        return true;
    case MESSAGE_HEARTBEAT:
    case MESSAGE_HEARTBEAT_ACK:
        to->heartbeat = (struct message_heartbeat){
            .sent_ms = from->heartbeat->sent_ms,
            .applied = from->heartbeat->applied,
            .refusing = from->heartbeat->refusing,
        };
        return true;
    case MESSAGE_SYNC:
    case MESSAGE_SYNCED:
        to->sync = (struct message_sync){from->sync->id, from->sync->zxid};
        return true;
    case MESSAGE_STATUS_REPLY:
        return unpack_status(arena, from->status_reply, &to->status);
    case MESSAGE_SNAPSHOT_END:
    case MESSAGE_STATUS:
    case MESSAGE_RESEND:
    case MESSAGE_DETACH:
    case MESSAGE_DETACHED:
        return true;
    }
    return false;
}

int unpack_message(struct arena *arena, const Pact__Message *from, struct message *to)
{
    *to = (struct message){.kind = (enum message_kind)from->message_case};
    if (from->message_case == PACT__MESSAGE__MESSAGE__NOT_SET) /* a newer peer's kind stands among the unknown */
        return from->base.n_unknown_fields != 0 ? ERR_BAD_FORMAT : ERR_CORRUPT;
    if (unpack_case(arena, from, to))
        return ERR_OK;
    return arena->full ? ERR_TOO_BIG : ERR_CORRUPT;
}
