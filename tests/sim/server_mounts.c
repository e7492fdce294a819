/* The mounts that are attached to a replica: their streams of what is applied, and what they ask. What only the leader
 * can say is asked of it, again of each new one; a numbered request is never refused: it goes to the leader, or is lost
 * and asked for again with the next leader. */
#include "tests/sim/server_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void tell(struct server *server, unsigned mount, const struct message *message)
{
    network_send(server->cluster, server->index, SERVERS_MAX + mount, packet_of_message(message, NULL, 0));
}

static void refuse(struct server *server, unsigned mount, int code)
{
    NOTE(server, "%u refuses mount %u: %s", server->id, mount, error_name(code));
    tell(server, mount, &(struct message){.kind = MESSAGE_REFUSED, .refused = {.code = code}});
    server->attachments[mount] = (struct attachment){.state = GONE};
}

/* --- questions to the leader --- */

static void forward(struct server *server, const struct peer_forward *forward)
{
    struct peer_message message = {.kind = PEER_FORWARD, .forward = *forward};
    if (server->role == ZAB_LEADING)
        lead_request(server, server->index, forward);
    else if (server->role == ZAB_FOLLOWING)
        say(server, server->leader - 1, &message, NULL, 0);
}

static void forward_own(struct server *server, const struct request *request)
{
    struct buffer buffer = {0};
    int code = encode_request(request, &buffer);
    assert(code == ERR_OK);
    forward(server, &(struct peer_forward){.request = {buffer.at, buffer.len}});
    buffer_free(&buffer);
}

static void put(struct server *server, const struct ask *ask)
{
    struct peer_message message = {.kind = PEER_BARRIER, .barrier = {.tag = ask->tag}};
    if (ask->kind == ASK_HEARTBEAT)
        message = (struct peer_message){.kind = PEER_HEARTBEATS,
                                        .heartbeats = {.tag = ask->tag, .sessions = &ask->session, .count = 1}};
    if (server->role == ZAB_LEADING)
        lead_ask(server, server->index, ask->kind, ask->tag, ask->session);
    else if (server->role == ZAB_FOLLOWING)
        say(server, server->leader - 1, &message, NULL, 0);
}

static void ask(struct server *server, unsigned mount, enum ask_kind kind, const struct message *message)
{
    if (server->ask_count == server->ask_room) {
        server->ask_room = server->ask_room ? 2 * server->ask_room : 16;
        server->asks = realloc(server->asks, server->ask_room * sizeof *server->asks);
        assert(server->asks);
    }
    struct ask new = {++server->last_tag, kind, mount, server->attachments[mount].session, *message};
    server->asks[server->ask_count++] = new;
    put(server, &new);
}

static void forget_asks(struct server *server, unsigned mount)
{
    for (size_t i = 0; i < server->ask_count;) {
        if (server->asks[i].mount == mount)
            server->asks[i] = server->asks[--server->ask_count];
        else
            i++;
    }
}

/* --- attaching --- */

static void start_stream(struct server *server, unsigned mount, uint64_t session, uint32_t timeout_ms)
{
    struct attachment *attachment = &server->attachments[mount];
    uint64_t applied = attachment->attach.applied;
    struct message message = {.kind = MESSAGE_ATTACHED};
    struct message_attached *attached = &message.attached;
    attachment->state = ATTACHED;
    attachment->session = session;
    attachment->position = applied;
    attachment->snapshot = applied == 0 || applied < server->log.floor;
    memcpy(attached->cluster, state_cluster(server->state), CLUSTER_ID_BYTES);
    attached->session = session;
    attached->timeout_ms = timeout_ms;
    attached->commit = state_zxid(server->state);
    attached->snapshot = attachment->snapshot;
    attached->replica = server->id;
    attached->leader = server->leader;
    tell(server, mount, &message);
}

static void create_session(struct server *server, unsigned mount)
{
    const struct message_attach *attach = &server->attachments[mount].attach;
    struct request request = {.kind = OP_CREATE_SESSION};
    struct op_create_session *create = &request.create_session;
    memcpy(create->nonce, attach->nonce, sizeof create->nonce);
    memcpy(create->secret_hash, attach->secret, sizeof attach->secret);
    create->timeout_ms = attach->timeout_ms;
    create->host = (struct bytes){"host", 4};
    create->pid = mount + 1;
    forward_own(server, &request);
}

static void close_session(struct server *server, unsigned mount)
{
    struct request request = {.kind = OP_CLOSE_SESSION,
                              .close_session = {server->attachments[mount].session, CLOSE_BY_OWNER}};
    forward_own(server, &request);
}

/* Whether this replica knows of the session; if not, it may only be behind: the commit point tells. */
static void judge(struct server *server, unsigned mount)
{
    struct attachment *attachment = &server->attachments[mount];
    const struct message_attach *attach = &attachment->attach;
    struct session_info info;
    static const uint8_t none[CLUSTER_ID_BYTES];
    bool named = memcmp(state_cluster(server->state), none, sizeof none) != 0;
    bool known = attach->session != 0 ? state_session(server->state, attach->session, &info)
                                      : state_session_by_nonce(server->state, attach->nonce, &info);
    if (!named || attach->applied > state_zxid(server->state))
        refuse(server, mount, ERR_NO_QUORUM); /* this replica is behind the mount */
    else if (known)
        start_stream(server, mount, info.id, info.timeout_ms);
    else if (attach->session != 0 && attachment->state == ASKING)
        refuse(server, mount, ERR_SESSION_EXPIRED);
    else if (server->role == ZAB_LOOKING)
        refuse(server, mount, ERR_NO_QUORUM);
    else if (attach->session != 0) {
        attachment->state = ASKING;
        attachment->judge_zxid = UINT64_MAX;
        ask(server, mount, ASK_SESSION, &(struct message){.kind = MESSAGE_ATTACH});
    } else {
        attachment->state = CREATING;
        create_session(server, mount);
    }
}

/* --- answers --- */

static void answer(struct server *server, const struct ask *ask, uint64_t zxid)
{
    struct message message = {.kind = MESSAGE_SYNCED};
    if (ask->kind == ASK_SESSION) {
        server->attachments[ask->mount].judge_zxid = zxid;
        return;
    }
    if (ask->kind == ASK_HEARTBEAT)
        message = (struct message){.kind = MESSAGE_HEARTBEAT_ACK, .heartbeat = ask->message.heartbeat};
    else
        message.sync = (struct message_sync){ask->message.sync.id, zxid};
    tell(server, ask->mount, &message);
}

/* --- what mounts say --- */

static void on_submit(struct server *server, unsigned mount, const struct message_submit *submit)
{
    const struct attachment *attachment = &server->attachments[mount];
    if (attachment->state != ATTACHED)
        return;
    struct peer_forward message = {attachment->session, submit->number, submit->awaited, submit->request};
    forward(server, &message);
}

void mount_says(struct server *server, unsigned mount, const struct message *message)
{
    struct attachment *attachment = &server->attachments[mount];
    if (attachment->state == GONE)
        return; /* refused: nothing is heard any more */
    switch (message->kind) {
    case MESSAGE_ATTACH:
        attachment->attach = message->attach;
        attachment->attach.host = (struct bytes){0};
        judge(server, mount);
        break;
    case MESSAGE_SUBMIT:
        on_submit(server, mount, &message->submit);
        break;
    case MESSAGE_HEARTBEAT:
        if (attachment->state == ATTACHED && PLANTED(HEARTBEAT_WITHOUT_QUORUM))
            answer(server, &(struct ask){.kind = ASK_HEARTBEAT, .mount = mount, .message = *message}, 0);
        if (attachment->state == ATTACHED)
            ask(server, mount, ASK_HEARTBEAT, message);
        break;
    case MESSAGE_SYNC:
        ask(server, mount, ASK_SYNC, message);
        break;
    case MESSAGE_DETACH:
        if (attachment->state == ATTACHED) {
            attachment->state = DETACHING;
            close_session(server, mount);
        }
        break;
    default:
        violated(server->cluster, "Protocol", "mount %u sends a message of kind %d", mount, message->kind);
    }
}

void mounts_link(struct server *server, unsigned mount, bool up)
{
    forget_asks(server, mount);
    server->attachments[mount] = (struct attachment){.state = up ? FRESH : GONE};
}

void mounts_answer(struct server *server, uint64_t tag, uint64_t zxid)
{
    for (size_t i = 0; i < server->ask_count; i++) {
        struct ask ask = server->asks[i];
        if (ask.tag != tag)
            continue;
        server->asks[i] = server->asks[--server->ask_count];
        answer(server, &ask, zxid);
        return;
    }
}

void mounts_resend(struct server *server, uint64_t session)
{
    for (unsigned mount = 0; mount < MOUNTS_MAX; mount++) {
        const struct attachment *attachment = &server->attachments[mount];
        if (attachment->state == ATTACHED && (session == 0 || attachment->session == session))
            tell(server, mount, &(struct message){.kind = MESSAGE_RESEND});
    }
}

/* Whatever the old leader was asked, the new one is asked again. */
void mounts_new_leader(struct server *server)
{
    mounts_resend(server, 0);
    for (unsigned mount = 0; mount < MOUNTS_MAX; mount++) {
        if (server->attachments[mount].state == CREATING)
            create_session(server, mount);
        else if (server->attachments[mount].state == DETACHING)
            close_session(server, mount);
    }
    for (size_t i = 0, count = server->ask_count; i < count && i < server->ask_count; i++)
        put(server, &(struct ask){server->asks[i].tag, server->asks[i].kind, server->asks[i].mount,
                                  server->asks[i].session, server->asks[i].message});
}

/* --- after apply --- */

static void session_created(struct server *server, const struct op_create_session *create, const struct result *result)
{
    struct session_info info;
    for (unsigned mount = 0; mount < MOUNTS_MAX; mount++) {
        const struct attachment *attachment = &server->attachments[mount];
        if (attachment->state != CREATING || memcmp(attachment->attach.nonce, create->nonce, sizeof create->nonce) != 0)
            continue;
        if (result->code == ERR_OK && state_session(server->state, result->id, &info))
            start_stream(server, mount, info.id, info.timeout_ms);
        else
            refuse(server, mount, result->code);
    }
}

static void stream(struct server *server, unsigned mount, struct attachment *attachment);

static void session_closed(struct server *server, uint64_t session)
{
    for (unsigned mount = 0; mount < MOUNTS_MAX; mount++) {
        struct attachment *attachment = &server->attachments[mount];
        bool streams = attachment->state == ATTACHED || attachment->state == DETACHING;
        if (!streams || attachment->session != session)
            continue;
        stream(server, mount, attachment); /* its last results first */
        if (attachment->state == DETACHING)
            tell(server, mount, &(struct message){.kind = MESSAGE_DETACHED});
        else
            refuse(server, mount, ERR_SESSION_EXPIRED);
    }
}

void mounts_applied(struct server *server, const struct entry *entry, const struct result *result)
{
    if (entry->request.kind == OP_CREATE_SESSION)
        session_created(server, &entry->request.create_session, result);
    else if (entry->request.kind == OP_CLOSE_SESSION && result->code == ERR_OK)
        session_closed(server, entry->request.close_session.session);
}

/* The state is another one: whoever waited for something to be applied begins again. */
void mounts_loaded(struct server *server)
{
    for (unsigned mount = 0; mount < MOUNTS_MAX; mount++) {
        struct attachment *attachment = &server->attachments[mount];
        struct session_info info;
        if (attachment->state == CREATING || attachment->state == DETACHING)
            refuse(server, mount, ERR_NO_QUORUM);
        else if (attachment->state == ATTACHED && !state_session(server->state, attachment->session, &info))
            refuse(server, mount, ERR_SESSION_EXPIRED);
    }
}

/* --- streams --- */

static void send_snapshot(struct server *server, unsigned mount, struct attachment *attachment)
{
    struct snapshot_cursor *cursor = snapshot_begin(server->state);
    uint8_t chunk[CHUNK_BYTES];
    if (!cursor)
        return; /* all are taken: with the next event */
    attachment->position = snapshot_zxid(cursor);
    struct message message = {.kind = MESSAGE_SNAPSHOT_BEGIN,
                              .snapshot_begin = {attachment->position, snapshot_nodes(cursor)}};
    tell(server, mount, &message);
    for (size_t len; (len = snapshot_read(cursor, chunk, sizeof chunk)) > 0;)
        tell(server, mount, &(struct message){.kind = MESSAGE_SNAPSHOT_CHUNK, .chunk = {chunk, len}});
    tell(server, mount, &(struct message){.kind = MESSAGE_SNAPSHOT_END});
    snapshot_end(cursor);
    attachment->snapshot = false;
}

static void stream(struct server *server, unsigned mount, struct attachment *attachment)
{
    uint64_t end = PLANTED(STREAM_UNCOMMITTED) ? items_last(&server->log) : state_zxid(server->state);
    if (attachment->position < server->log.floor)
        attachment->snapshot = true;
    if (attachment->snapshot)
        send_snapshot(server, mount, attachment);
    while (!attachment->snapshot && attachment->position < end) {
        size_t from = items_after(&server->log, attachment->position), to = items_after(&server->log, end);
        size_t count = to - from < BATCH_ITEMS ? to - from : BATCH_ITEMS;
        assert(count > 0);
        struct message message = {.kind = MESSAGE_ENTRIES, .entries = {.commit = state_zxid(server->state)}};
        network_send(server->cluster, server->index, SERVERS_MAX + mount,
                     packet_of_message(&message, server->log.list + from, count));
        attachment->position = server->log.list[from + count - 1]->zxid;
    }
}

void mounts_pump(struct server *server)
{
    for (unsigned mount = 0; mount < server->cluster->mount_count; mount++) {
        struct attachment *attachment = &server->attachments[mount];
        if (attachment->state == ATTACHED || attachment->state == DETACHING)
            stream(server, mount, attachment);
        else if (attachment->state == ASKING && attachment->judge_zxid <= state_zxid(server->state))
            judge(server, mount);
    }
}
