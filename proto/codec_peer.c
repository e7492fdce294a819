/* Messages between replicas: their form, and between plain structs and protobuf's. */
#include "proto/codec_internal.h"

/* Both sides number the kinds alike, so a kind is its oneof case. */
_Static_assert((int)PEER_HELLO == PACT__PEER_MESSAGE__MESSAGE_HELLO, "peer message kinds");
_Static_assert((int)PEER_ZAB == PACT__PEER_MESSAGE__MESSAGE_ZAB, "peer message kinds");
_Static_assert((int)PEER_SNAPSHOT_CHUNK == PACT__PEER_MESSAGE__MESSAGE_SNAPSHOT_CHUNK, "peer message kinds");
_Static_assert((int)PEER_FORWARD == PACT__PEER_MESSAGE__MESSAGE_FORWARD, "peer message kinds");
_Static_assert((int)PEER_HEARTBEAT_ACKS == PACT__PEER_MESSAGE__MESSAGE_HEARTBEAT_ACKS, "peer message kinds");
_Static_assert((int)PEER_BARRIER_DONE == PACT__PEER_MESSAGE__MESSAGE_BARRIER_DONE, "peer message kinds");

/* --- form: the same on encoding and on decoding --- */

static int check_hello(const struct peer_hello *hello)
{
    return hello->members.len > LIMIT_ENSEMBLE_BYTES || hello->version.len > LIMIT_TEXT_BYTES ? ERR_TOO_BIG : ERR_OK;
}

/* Enums, in the kinds that have them; elsewhere none (0) is fine. */
static int check_zab(const struct zab_message *zab)
{
    const bool vote = zab->kind == ZAB_VOTE, sync = zab->kind == ZAB_SYNC;
    if (zab->kind < ZAB_VOTE || zab->kind > ZAB_PONG)
        return ERR_CORRUPT;
    if (zab->role > ZAB_LEADING || (vote && zab->role < ZAB_LOOKING))
        return ERR_CORRUPT;
    if (zab->sync > ZAB_SNAP || (sync && zab->sync < ZAB_DIFF))
        return ERR_CORRUPT;
    return ERR_OK;
}

static int check_entries(const struct peer_entries *entries)
{
    if (entries->zab.kind != ZAB_ENTRIES || entries->count == 0 || entries->zab.count != entries->count)
        return ERR_CORRUPT;
    if (entries->count > LIMIT_MESSAGE_ENTRIES)
        return ERR_TOO_BIG;
    for (size_t i = 0; i < entries->count; i++)
        if (entries->list[i].len > LIMIT_ENTRY_BYTES)
            return ERR_TOO_BIG;
    return check_zab(&entries->zab);
}

static int form_check_peer_message(const struct peer_message *message)
{
    switch (message->kind) {
    case PEER_HELLO:
        return check_hello(&message->hello);
    case PEER_REFUSED:
        return message->refused.text.len > LIMIT_TEXT_BYTES ? ERR_TOO_BIG : ERR_OK;
    case PEER_ZAB:
        return message->zab.kind == ZAB_ENTRIES ? ERR_CORRUPT : check_zab(&message->zab);
    case PEER_ENTRIES:
        return check_entries(&message->entries);
    case PEER_SNAPSHOT_CHUNK:
    case PEER_STATUS:
        return message->chunk.len > LIMIT_CHUNK_BYTES ? ERR_TOO_BIG : ERR_OK;
    case PEER_FORWARD:
        return message->forward.request.len > LIMIT_REQUEST_BYTES ? ERR_TOO_BIG : ERR_OK;
    case PEER_RESEND:
    case PEER_HEARTBEATS:
    case PEER_HEARTBEAT_ACKS:
        return message->heartbeats.count > LIMIT_HEARTBEATS ? ERR_TOO_BIG : ERR_OK;
    case PEER_SNAPSHOT_END:
    case PEER_BARRIER:
    case PEER_BARRIER_DONE:
        return ERR_OK;
    }
    return ERR_CORRUPT;
}

/* --- packing --- */

static Pact__PeerHello *pack_hello(struct arena *arena, const struct peer_hello *from)
{
    NEW(Pact__PeerHello, peer_hello);
    to->id = from->id;
    to->cluster = pack_fixed(from->cluster, sizeof from->cluster);
    to->identity = pack_fixed(from->identity, sizeof from->identity);
    to->members = pack_bytes(from->members);
    to->state_version_min = from->state_version_min;
    to->state_version_max = from->state_version_max;
    to->state_version = from->state_version;
    to->version = pack_bytes(from->version);
    return to;
}

static Pact__Refused *pack_refused(struct arena *arena, const struct peer_refused *from)
{
    NEW(Pact__Refused, refused);
    to->code = (uint32_t)from->code;
    to->text = pack_bytes(from->text);
    return to;
}

static Pact__Zab *pack_zab(struct arena *arena, const struct zab_message *from)
{
    NEW(Pact__Zab, zab);
    to->kind = from->kind;
    to->voter = from->voter;
    to->epoch = from->epoch;
    to->zxid = from->zxid;
    to->round = from->round;
    to->role = from->role;
    to->vote_leader = from->vote.leader;
    to->vote_epoch = from->vote.epoch;
    to->vote_zxid = from->vote.zxid;
    to->fresh = from->fresh;
    to->sync = from->sync;
    to->previous = from->previous;
    to->first = from->first;
    to->last = from->last;
    to->count = from->count;
    return to;
}

static Pact__ZabEntries *pack_entries(struct arena *arena, const struct peer_entries *from)
{
    NEW(Pact__ZabEntries, zab_entries);
    to->zab = pack_zab(arena, &from->zab);
    to->list = arena_alloc(arena, from->count * sizeof *to->list);
    for (size_t i = 0; i < from->count && !arena->full; i++)
        to->list[i] = pack_bytes(from->list[i]);
    to->n_list = from->count;
    return to;
}

static Pact__Forward *pack_forward(struct arena *arena, const struct peer_forward *from)
{
    NEW(Pact__Forward, forward);
    to->session = from->session;
    to->number = from->number;
    to->awaited = from->awaited;
    to->request = pack_bytes(from->request);
    return to;
}

static Pact__Sessions *pack_sessions(struct arena *arena, const struct peer_heartbeats *from)
{
    NEW(Pact__Sessions, sessions);
    to->tag = from->tag;
    to->sessions = (uint64_t *)(uintptr_t)from->sessions;
    to->n_sessions = from->count;
    to->refusing = from->refusing;
    return to;
}

static Pact__Barrier *pack_barrier(struct arena *arena, const struct peer_barrier *from)
{
    NEW(Pact__Barrier, barrier);
    to->tag = from->tag;
    to->zxid = from->zxid;
    return to;
}

static Pact__Empty *pack_empty(struct arena *arena)
{
    NEW(Pact__Empty, empty);
    return to;
}

static void pack_case(struct arena *arena, const struct peer_message *from, Pact__PeerMessage *to)
{
    switch (from->kind) {
    case PEER_HELLO:
        to->hello = pack_hello(arena, &from->hello);
        break;
    case PEER_REFUSED:
        to->refused = pack_refused(arena, &from->refused);
        break;
    case PEER_ZAB:
        to->zab = pack_zab(arena, &from->zab);
        break;
    case PEER_ENTRIES:
        to->entries = pack_entries(arena, &from->entries);
        break;
    case PEER_SNAPSHOT_CHUNK:
    case PEER_STATUS:
        to->snapshot_chunk = pack_bytes(from->chunk); /* all members of the union share one place */
        break;
    case PEER_SNAPSHOT_END:
        to->snapshot_end = pack_empty(arena);
        break;
    case PEER_FORWARD:
        to->forward = pack_forward(arena, &from->forward);
        break;
    case PEER_RESEND:
    case PEER_HEARTBEATS:
    case PEER_HEARTBEAT_ACKS:
        to->heartbeats = pack_sessions(arena, &from->heartbeats);
        break;
    case PEER_BARRIER:
    case PEER_BARRIER_DONE:
        to->barrier = pack_barrier(arena, &from->barrier);
        break;
    }
}

static ProtobufCMessage *pack_peer_message(struct arena *arena, const void *message)
{
    const struct peer_message *from = message;
    Pact__PeerMessage *to = arena_alloc(arena, sizeof *to);
    if (to == NULL)
        return NULL;
    pact__peer_message__init(to);
    pack_case(arena, from, to);
    to->message_case = (Pact__PeerMessage__MessageCase)from->kind;
    return &to->base;
}

int encode_peer_message(const struct peer_message *message, struct buffer *to)
{
    const int err = form_check_peer_message(message);
    return err != ERR_OK ? err : encode(pack_peer_message, message, LIMIT_MESSAGE_BYTES, to);
}

/* --- unpacking --- */

static bool unpack_hello(const Pact__PeerHello *from, struct peer_hello *to)
{
    to->id = from->id;
    to->members = unpack_bytes(from->members);
    to->state_version_min = from->state_version_min;
    to->state_version_max = from->state_version_max;
    to->state_version = from->state_version;
    to->version = unpack_bytes(from->version);
    return unpack_fixed(from->cluster, to->cluster, sizeof to->cluster) &&
           unpack_fixed(from->identity, to->identity, sizeof to->identity);
}

static bool unpack_zab(const Pact__Zab *from, struct zab_message *to)
{
    if (from == NULL)
        return false;
    *to = (struct zab_message){
        .kind = (enum zab_message_kind)from->kind,
        .voter = from->voter,
        .epoch = from->epoch,
        .zxid = from->zxid,
        .round = from->round,
        .role = (enum zab_role)from->role,
        .vote = {from->vote_leader, from->vote_epoch, from->vote_zxid},
        .fresh = from->fresh,
        .sync = (enum zab_sync)from->sync,
        .previous = from->previous,
        .first = from->first,
        .last = from->last,
        .count = from->count,
    };
    return true;
}

static bool unpack_entries(struct arena *arena, const Pact__ZabEntries *from, struct peer_entries *to)
{
    struct bytes *list = arena_alloc(arena, from->n_list * sizeof *list);
    if (list == NULL)
        return false;
    for (size_t i = 0; i < from->n_list; i++)
        list[i] = unpack_bytes(from->list[i]);
    to->list = list;
    to->count = from->n_list;
    return unpack_zab(from->zab, &to->zab);
}

static void unpack_forward(const Pact__Forward *from, struct peer_forward *to)
{
    *to = (struct peer_forward){from->session, from->number, from->awaited, unpack_bytes(from->request)};
}

static void unpack_sessions(const Pact__Sessions *from, struct peer_heartbeats *to)
{
    *to = (struct peer_heartbeats){from->tag, from->sessions, from->n_sessions, from->refusing};
}

static bool unpack_case(struct arena *arena, const Pact__PeerMessage *from, struct peer_message *to)
{
    switch (to->kind) {
    case PEER_HELLO:
        return unpack_hello(from->hello, &to->hello);
    case PEER_REFUSED:
        to->refused = (struct peer_refused){(int)from->refused->code, unpack_bytes(from->refused->text)};
        return true;
    case PEER_ZAB:
        return unpack_zab(from->zab, &to->zab);
    case PEER_ENTRIES:
        return unpack_entries(arena, from->entries, &to->entries);
    case PEER_SNAPSHOT_CHUNK:
    case PEER_STATUS:
        to->chunk = unpack_bytes(from->snapshot_chunk);
        return true;
    case PEER_SNAPSHOT_END:
        return true;
    case PEER_FORWARD:
        unpack_forward(from->forward, &to->forward);
        return true;
    case PEER_RESEND:
    case PEER_HEARTBEATS:
    case PEER_HEARTBEAT_ACKS:
        unpack_sessions(from->heartbeats, &to->heartbeats);
        return true;
    case PEER_BARRIER:
    case PEER_BARRIER_DONE:
        to->barrier = (struct peer_barrier){from->barrier->tag, from->barrier->zxid};
        return true;
    }
    return false;
}

static int unpack_peer_message(struct arena *arena, const Pact__PeerMessage *from, struct peer_message *to)
{
    *to = (struct peer_message){.kind = (enum peer_message_kind)from->message_case};
    if (from->message_case == PACT__PEER_MESSAGE__MESSAGE__NOT_SET) /* a newer peer's kind is among the unknown */
        return from->base.n_unknown_fields != 0 ? ERR_BAD_FORMAT : ERR_CORRUPT;
    if (unpack_case(arena, from, to))
        return ERR_OK;
    return arena->full ? ERR_TOO_BIG : ERR_CORRUPT;
}

int decode_peer_message(struct bytes from, struct arena *arena, struct peer_message *message)
{
    if (from.len > LIMIT_MESSAGE_BYTES)
        return ERR_TOO_BIG;
    void *parsed;
    int err = parse(&pact__peer_message__descriptor, from, arena, &parsed);
    if (err == ERR_OK)
        err = unpack_peer_message(arena, parsed, message);
    return err != ERR_OK ? err : form_check_peer_message(message);
}
