/* The other members: who they are, and what they say. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "replica/pactd/attach.h"
#include "replica/pactd/ensemble.h"
#include "replica/pactd/submit.h"

struct member *peers_find(struct replica *replica, uint32_t id)
{
    for (size_t i = 0; i < replica->member_count; i++)
        if (replica->members[i].id == id)
            return &replica->members[i];
    return NULL;
}

/* --- sending --- */

void peers_send_encoded(struct replica *replica, const struct member *member, const struct buffer *message)
{
    if (member->up)
        mesh_send(replica->mesh, member->id, message->at, message->len, clock_ms());
}

/* Pings may overtake what waits for credit: a link full of entries is no silence. */
static bool is_urgent(const struct peer_message *message)
{
    return message->kind == PEER_ZAB && (message->zab.kind == ZAB_PING || message->zab.kind == ZAB_PONG);
}

void peers_send(struct replica *replica, uint32_t id, const struct peer_message *message)
{
    const struct member *member = peers_find(replica, id);
    if (!member || !member->up)
        return;
    int code = encode_peer_message(message, &replica->encoded);
    assert(code == ERR_OK);
    if (is_urgent(message))
        mesh_send_urgent(replica->mesh, id, replica->encoded.at, replica->encoded.len, clock_ms());
    else
        peers_send_encoded(replica, member, &replica->encoded);
}

int ensemble_forward(struct replica *replica, const struct peer_forward *forward)
{
    const struct member *leader = peers_find(replica, zab_leader(replica->zab));
    if (!leader || !leader->greeted || !replica->serving)
        return ERR_NO_QUORUM;
    peers_send(replica, leader->id, &(struct peer_message){.kind = PEER_FORWARD, .forward = *forward});
    return ERR_OK;
}

/* --- the greeting --- */

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static void say_hello(struct replica *replica, uint32_t id)
{
    struct peer_message message = {.kind = PEER_HELLO};
    struct peer_hello *hello = &message.hello;
    hello->id = replica->id;
    hello->members = bytes_of(replica->ensemble);
    hello->state_version_min = STATE_VERSION_MIN;
    hello->state_version_max = replica->state_version_max;
    hello->state_version = state_version(replica->state);
    hello->version = bytes_of(PACT_VERSION);
    memcpy(hello->cluster, state_cluster(replica->state), CLUSTER_ID_BYTES);
    memcpy(hello->identity, store_identity(replica->store), REPLICA_IDENTITY_BYTES);
    peers_send(replica, id, &message);
}

static void name_of(const uint8_t cluster[CLUSTER_ID_BYTES], char name[2 * CLUSTER_ID_BYTES + 1])
{
    for (size_t i = 0; i < CLUSTER_ID_BYTES; i++)
        snprintf(name + 2 * i, 3, "%02x", cluster[i]);
}

static int other_cluster(const struct replica *replica, const struct peer_hello *hello, char *text, size_t text_len)
{
    static const uint8_t none[CLUSTER_ID_BYTES];
    const uint8_t *ours = state_cluster(replica->state);
    char our_name[2 * CLUSTER_ID_BYTES + 1], their_name[2 * CLUSTER_ID_BYTES + 1];
    if (memcmp(ours, none, sizeof none) == 0 || memcmp(hello->cluster, none, sizeof none) == 0 ||
        memcmp(ours, hello->cluster, CLUSTER_ID_BYTES) == 0)
        return ERR_OK;
    name_of(ours, our_name);
    name_of(hello->cluster, their_name);
    snprintf(text, text_len, "replica %u has data of cluster %s, replica %u of cluster %s", replica->id, our_name,
             hello->id, their_name);
    return ERR_OTHER_CLUSTER;
}

/* Whether this replica and that one can be of one ensemble; the text names both sides. */
static int judge(const struct replica *replica, const struct member *member, const struct peer_hello *hello, char *text,
                 size_t text_len)
{
    if (hello->id != member->id || hello->members.len != strlen(replica->ensemble) ||
        memcmp(hello->members.at, replica->ensemble, hello->members.len) != 0) {
        snprintf(text, text_len, "the lists of members differ: replica %u has %s, replica %u has %.*s", replica->id,
                 replica->ensemble, hello->id, (int)(hello->members.len < 300 ? hello->members.len : 300),
                 (const char *)hello->members.at);
        return ERR_INVALID;
    }
    if (hello->state_version_min > replica->state_version_max ||
        hello->state_version_max < state_version(replica->state) || hello->state_version > replica->state_version_max) {
        snprintf(text, text_len,
                 "replica %u knows state versions %u to %u and is at %u, replica %u knows %u to %u and is at %u",
                 replica->id, (unsigned)STATE_VERSION_MIN, replica->state_version_max, state_version(replica->state),
                 hello->id, hello->state_version_min, hello->state_version_max, hello->state_version);
        return ERR_BAD_FORMAT;
    }
    return other_cluster(replica, hello, text, text_len);
}

static void refuse(struct replica *replica, struct member *member, int code, const char *text)
{
    if (member->refused != code)
        report(REPORT_ERROR, "%s", text);
    member->refused = code;
    peers_send(replica, member->id, &(struct peer_message){.kind = PEER_REFUSED, .refused = {code, bytes_of(text)}});
}

static void on_hello(struct replica *replica, struct member *member, const struct peer_hello *hello)
{
    char text[LIMIT_TEXT_BYTES];
    int code = judge(replica, member, hello, text, sizeof text);
    if (code != ERR_OK) {
        refuse(replica, member, code, text);
        return;
    }
    if (member->greeted)
        return;
    member->refused = ERR_OK;
    member->greeted = true;
    member->compared = COMPARED_NOT;
    member->compared_zxid = 0;
    member->state_version_max = hello->state_version_max;
    memcpy(member->identity, hello->identity, sizeof member->identity);
    report(REPORT_INFO, "member %u is there", member->id);
    ensemble_step(replica, &(struct zab_event){.kind = ZAB_LINK_UP, .peer = member->id});
}

static void on_refused(struct replica *replica, struct member *member, const struct peer_refused *refused)
{
    if (member->refused != refused->code)
        report(REPORT_ERROR, "refused by member %u: %.*s", member->id, (int)refused->text.len,
               (const char *)refused->text.at);
    member->refused = refused->code;
    if (refused->code == ERR_CORRUPT && member->greeted && member->id == zab_leader(replica->zab))
        replica_give_up(replica, ERR_CORRUPT, "this replica's state is not that of the others");
}

/* --- what they say --- */

static void on_zab(struct replica *replica, const struct member *member, const struct zab_message *zab)
{
    if (zab->kind == ZAB_SYNC && zab->sync == ZAB_SNAP && member->id != install_from(replica))
        install_announced(replica, member->id, zab->zxid);
    ensemble_step(replica, &(struct zab_event){.kind = ZAB_RECEIVE, .peer = member->id, .message = zab});
}

static void on_entries(struct replica *replica, const struct member *member, const struct peer_entries *entries)
{
    replica->entries_in_hand = entries;
    on_zab(replica, member, &entries->zab);
    replica->entries_in_hand = NULL;
}

static void on_snapshot(struct replica *replica, const struct member *member, const struct peer_message *message)
{
    if (member->id != install_from(replica))
        return;
    ensemble_step(replica, &(struct zab_event){.kind = ZAB_HEARD, .peer = member->id});
    if (message->kind == PEER_SNAPSHOT_CHUNK)
        install_chunk(replica, message->chunk);
    else
        install_end(replica);
}

/* To a mount of this replica: the leader misses some of its numbers. */
static void on_resend(struct replica *replica, const struct peer_heartbeats *sessions)
{
    for (size_t i = 0; i < sessions->count; i++) {
        const struct roster_session *session = roster_find(&replica->roster, sessions->sessions[i]);
        if (session && session->attachment && session->attachment->state == ATTACHED)
            attach_send(replica, session->attachment, &(struct message){.kind = MESSAGE_RESEND});
    }
}

void peers_tell(struct replica *replica)
{
    struct message_member members[LIMIT_REPLICAS];
    struct message message;
    struct buffer encoded = {0};
    if (!ensemble_leads(replica) || replica->member_count == 0)
        return;
    status_fill(replica, members, &message);
    int code = encode_message(&message, &encoded);
    assert(code == ERR_OK);
    for (size_t i = 0; i < message.status.member_count; i++) {
        struct member *member = peers_find(replica, members[i].id);
        if (!member)
            continue;
        member->applied = members[i].zxid; /* to be told when it is gone */
        if (member->greeted)
            peers_send(replica, member->id,
                       &(struct peer_message){.kind = PEER_STATUS, .chunk = {encoded.at, encoded.len}});
    }
    buffer_free(&encoded);
}

void peers_untell(struct replica *replica)
{
    replica->lag = -1;
    for (size_t i = 0; i < replica->member_count; i++) {
        replica->members[i].lag = -1;
        *replica->members[i].role = '\0';
    }
}

static void on_status(struct replica *replica, struct member *from, struct bytes chunk)
{
    struct message message;
    arena_reset(replica->request_arena);
    if (decode_message(chunk, replica->request_arena, &message) != ERR_OK || message.kind != MESSAGE_STATUS_REPLY)
        return;
    if (ensemble_leads(replica)) {
        compare_told(replica, from, &message.status);
        return;
    }
    for (size_t i = 0; i < message.status.member_count; i++) {
        const struct message_member *told = &message.status.members[i];
        struct member *member = peers_find(replica, told->id);
        if (told->id == replica->id)
            replica->lag = told->lag;
        if (!member)
            continue;
        member->applied = told->zxid;
        member->lag = told->lag;
        snprintf(member->role, sizeof member->role, "%.*s", (int)told->role.len, (const char *)told->role.at);
    }
}

static void dispatch(struct replica *replica, struct member *member, const struct peer_message *message)
{
    bool leads = ensemble_leads(replica), from_leader = replica->serving && member->id == zab_leader(replica->zab);
    switch (message->kind) {
    case PEER_ZAB:
        on_zab(replica, member, &message->zab);
        break;
    case PEER_ENTRIES:
        on_entries(replica, member, &message->entries);
        break;
    case PEER_SNAPSHOT_CHUNK:
    case PEER_SNAPSHOT_END:
        on_snapshot(replica, member, message);
        break;
    case PEER_FORWARD:
        submit_request(replica, &message->forward, NULL, member->id);
        break;
    case PEER_RESEND:
        if (from_leader)
            on_resend(replica, &message->heartbeats);
        break;
    case PEER_HEARTBEATS:
        if (leads)
            question_sessions(replica, member->id, &message->heartbeats);
        break;
    case PEER_HEARTBEAT_ACKS:
        if (from_leader)
            questions_acknowledged(replica, &message->heartbeats);
        break;
    case PEER_BARRIER:
        if (leads)
            question_barrier(replica, member->id, message->barrier.tag);
        break;
    case PEER_BARRIER_DONE:
        if (from_leader)
            questions_answered(replica, &message->barrier);
        break;
    case PEER_STATUS:
        if (leads || from_leader)
            on_status(replica, member, message->chunk);
        break;
    default: /* greetings: on_message */
        break;
    }
}

/* --- events of the mesh --- */

static void on_message(void *arg, uint32_t id, const void *bytes, size_t len)
{
    struct replica *replica = arg;
    struct member *member = peers_find(replica, id);
    struct peer_message message;
    if (replica->failure != ERR_OK || !member->up)
        return;
    arena_reset(replica->arena);
    int code = decode_peer_message((struct bytes){bytes, len}, replica->arena, &message);
    if (code != ERR_OK) {
        report(REPORT_ERROR, "a message from member %u: %s", id, error_text(code));
        ensemble_drop(replica, member, code);
        return;
    }
    if (message.kind == PEER_HELLO)
        on_hello(replica, member, &message.hello);
    else if (message.kind == PEER_REFUSED)
        on_refused(replica, member, &message.refused);
    else if (member->greeted)
        dispatch(replica, member, &message);
}

static void on_up(void *arg, uint32_t id)
{
    struct replica *replica = arg;
    struct member *member = peers_find(replica, id);
    member->up = true;
    say_hello(replica, id);
}

/* It may come in the middle of a send. */
static void on_down(void *arg, uint32_t id, int code)
{
    struct replica *replica = arg;
    struct member *member = peers_find(replica, id);
    bool known = member->greeted;
    report(REPORT_DEBUG, "the link to member %u went down: %s", id, error_text(code));
    member->up = member->greeted = false;
    if (!known)
        return;
    report(REPORT_INFO, "member %u is gone: %s", id, error_text(code));
    if (id == install_from(replica))
        install_abort(replica);
    follower_unfeed(replica, member);
    questions_forget_peer(replica, id);
    ensemble_step(replica, &(struct zab_event){.kind = ZAB_LINK_DOWN, .peer = id});
}

static void on_turned_away(void *arg, uint32_t id, int code)
{
    struct replica *replica = arg;
    uint64_t now_ms = clock_ms();
    struct member *member = peers_find(replica, id);
    if (now_ms < replica->turned_away_ms + TURNED_AWAY_MS || (member && member->refused == code))
        return;
    replica->turned_away_ms = now_ms;
    if (member)
        member->refused = code;
    if (member)
        report(REPORT_ERROR, "replica %u and member %u at %s do not fit: %s", replica->id, id, member->address,
               error_text(code));
    else if (id == replica->id)
        report(REPORT_ERROR, "two members of the ensemble say that they are replica %u", id);
    else
        report(REPORT_WARN, "a stranger was turned away at the port for replicas: %s", error_text(code));
}

/* --- opening --- */

int peers_open(struct replica *replica, const struct replica_options *options, char *text, size_t text_len)
{
    struct mesh_peer peers[LIMIT_REPLICAS - 1];
    struct mesh_options mesh = {.id = options->id, .peers = peers, .keys = options->keys};
    struct mesh_events events = {
        .arg = replica, .up = on_up, .down = on_down, .message = on_message, .refused = on_turned_away};
    for (size_t i = 0; i < options->member_count; i++) {
        const struct replica_member *given = &options->members[i];
        if (given->id == options->id)
            mesh.address = given->peer_address;
        else
            peers[mesh.peer_count++] = (struct mesh_peer){given->id, given->peer_address};
    }
    if (mesh.peer_count == 0)
        return ERR_OK;
    int code = mesh_open(&mesh, &events, &replica->mesh, text, text_len);
    for (size_t i = 0; code == ERR_OK && i < replica->member_count; i++)
        replica->members[i].mesh = replica->mesh;
    return code;
}

void peers_close(struct replica *replica)
{
    for (size_t i = 0; i < replica->member_count; i++)
        follower_unfeed(replica, &replica->members[i]);
    install_abort(replica);
    if (replica->mesh)
        mesh_close(replica->mesh);
    replica->mesh = NULL;
    for (size_t i = 0; i < replica->member_count; i++)
        free(replica->members[i].address);
    replica->member_count = 0;
}
