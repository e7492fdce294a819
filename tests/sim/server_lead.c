/* What a leader does beside Zab: it knows the sessions, filters requests by their numbers, and answers for the quorum.
 *
 *  1. Numbers: the next proposal of a session is one more than the last. Set anew when it begins to lead: from what is
 *     applied, which then is all there is.
 *  2. A heartbeat is acknowledged only after a quorum has answered a ping sent after it came, never once the session's
 *     close is proposed.
 *  3. A session's full timeout runs from the beginning of the term, by this process's running time.
 *  4. What a TTL ends is deleted as the state had it when it was found to be due: not if it has changed since. */
#include "tests/sim/server_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- sessions --- */

static struct roster_session *find(struct server *server, uint64_t id)
{
    for (size_t i = 0; i < server->roster_count; i++)
        if (server->roster[i].id == id)
            return &server->roster[i];
    return NULL;
}

static void heard(struct server *server, struct roster_session *session)
{
    session->heard_ms = server->running_ms;
    session->heard_wall_ms = server_wall_ns(server) / 1000000;
}

static void add_session(struct server *server, const struct session_info *info)
{
    if (server->roster_count == server->roster_room) {
        server->roster_room = server->roster_room ? 2 * server->roster_room : 16;
        server->roster = realloc(server->roster, server->roster_room * sizeof *server->roster);
        assert(server->roster);
    }
    struct roster_session *session = &server->roster[server->roster_count++];
    *session = (struct roster_session){.id = info->id, .number = info->last_number, .timeout_ms = info->timeout_ms};
    heard(server, session);
}

/* --- proposing --- */

static int propose(struct server *server, const struct entry *place, struct bytes request)
{
    struct cluster *cluster = server->cluster;
    struct entry entry = *place;
    struct buffer buffer = {0};
    int code =
        server->full ? ERR_NO_SPACE : zab_propose(server->zab, server_clocks(server), &entry.zxid, &entry.stamp_ns);
    if (code != ERR_OK)
        return code;
    code = encode_entry(&entry, request, &buffer);
    assert(code == ERR_OK);
    struct item *item = item_new(entry.zxid, (struct bytes){buffer.at, buffer.len});
    buffer_free(&buffer);
    check_proposes(cluster, server->id, item, state_zxid(server->state));
    return log_append(server, item);
}

static int propose_own(struct server *server, const struct request *request)
{
    struct buffer buffer = {0};
    int code = encode_request(request, &buffer);
    assert(code == ERR_OK);
    code = propose(server, &(struct entry){0}, (struct bytes){buffer.at, buffer.len});
    buffer_free(&buffer);
    return code;
}

/* --- requests --- */

static void ask_again(struct server *server, unsigned from, struct roster_session *session)
{
    if (session->asked_ms + 100 > server->running_ms && session->asked_ms != 0)
        return;
    session->asked_ms = server->running_ms + 1;
    if (from == server->index) {
        mounts_resend(server, session->id);
        return;
    }
    struct peer_message message = {.kind = PEER_RESEND, .heartbeats = {.sessions = &session->id, .count = 1}};
    say(server, from, &message, NULL, 0);
}

/* A session's creation or close, or a name: without a number, known by what they ask. */
static void request_of_replicas(struct server *server, struct bytes bytes)
{
    struct request request;
    struct roster_session *session = NULL;
    arena_reset(server->cluster->arena);
    int code = decode_request(bytes, server->cluster->arena, &request);
    assert(code == ERR_OK);
    if (request.kind == OP_CLOSE_SESSION) {
        session = find(server, request.close_session.session);
        if (!session || session->closing)
            return;
    }
    if (propose(server, &(struct entry){0}, bytes) == ERR_OK && session)
        session->closing = true;
}

void lead_request(struct server *server, unsigned from, const struct peer_forward *forward)
{
    if (server->role != ZAB_LEADING || server->full)
        return;
    if (forward->session == 0) {
        request_of_replicas(server, forward->request);
        return;
    }
    struct roster_session *session = find(server, forward->session);
    if (!session || session->closing)
        return;
    heard(server, session);
    bool known = forward->number <= session->number && !PLANTED(DUPLICATES_PROPOSED);
    if (known)
        return;
    if (forward->number > session->number + 1 && !PLANTED(GAP_PROPOSED)) {
        ask_again(server, from, session);
        return;
    }
    struct entry place = {.session = session->id, .number = forward->number, .awaited = forward->awaited};
    if (propose(server, &place, forward->request) == ERR_OK && forward->number > session->number)
        session->number = forward->number;
}

/* --- heartbeats and barriers --- */

void lead_ask(struct server *server, unsigned from, enum ask_kind kind, uint64_t tag, uint64_t id)
{
    if (server->role != ZAB_LEADING)
        return;
    struct roster_session *session = find(server, id);
    if (kind == ASK_HEARTBEAT && (!session || session->closing))
        return;
    if (session && !PLANTED(HEARTBEAT_NOT_HEARD))
        heard(server, session);
    if (server->barrier_count == server->barrier_room) {
        server->barrier_room = server->barrier_room ? 2 * server->barrier_room : 16;
        server->barriers = realloc(server->barriers, server->barrier_room * sizeof *server->barriers);
        assert(server->barriers);
    }
    uint64_t token = ++server->last_tag;
    server->barriers[server->barrier_count++] = (struct barrier){token, tag, id, kind, from};
    if (PLANTED(BARRIER_WITHOUT_QUORUM) || (PLANTED(LEADER_ACKS_ALONE) && kind == ASK_HEARTBEAT))
        lead_barrier_done(server, token, zab_committed(server->zab));
    else
        zab_happens(server, (struct zab_event){.kind = ZAB_BARRIER, .token = token});
}

static void answer(struct server *server, const struct barrier *barrier, uint64_t zxid)
{
    if (barrier->from == server->index) {
        mounts_answer(server, barrier->tag, zxid);
        return;
    }
    struct peer_message message = {.kind = PEER_BARRIER_DONE, .barrier = {barrier->tag, zxid}};
    if (barrier->kind == ASK_HEARTBEAT)
        message = (struct peer_message){.kind = PEER_HEARTBEAT_ACKS,
                                        .heartbeats = {.tag = barrier->tag, .sessions = &barrier->session, .count = 1}};
    say(server, barrier->from, &message, NULL, 0);
}

void lead_barrier_done(struct server *server, uint64_t token, uint64_t zxid)
{
    for (size_t i = 0; i < server->barrier_count; i++) {
        struct barrier barrier = server->barriers[i];
        if (barrier.token != token)
            continue;
        server->barriers[i] = server->barriers[--server->barrier_count];
        const struct roster_session *session = find(server, barrier.session);
        if (barrier.kind != ASK_HEARTBEAT || (session && !session->closing))
            answer(server, &barrier, zxid);
        return;
    }
}

/* --- time --- */

static bool silent(const struct server *server, const struct roster_session *session)
{
    if (PLANTED(LEASE_BY_WALL_CLOCK))
        return server_wall_ns(server) / 1000000 - session->heard_wall_ms >= session->timeout_ms;
    return server->running_ms - session->heard_ms >= session->timeout_ms;
}

/* What has a TTL that has run out, or is an empty container, as the state has it so far. */
static void propose_due(struct server *server)
{
    enum { AT_ONCE = 8 };
    int64_t now_ns = zab_time(server->zab, server_clocks(server));
    uint64_t after_id = 0;
    struct request request = {.kind = OP_DELETE};
    for (int i = 0; i < AT_ONCE && !server->full && !server->failing; i++) {
        if (!state_next_due(server->state, now_ns, after_id, &request.delete))
            return;
        after_id = request.delete.at.id;
        if (PLANTED(TTL_UNCHECKED))
            request.delete.expect_zxid = 0;
        if (PLANTED(TTL_TRIED_ONCE) && after_id <= server->due_id)
            continue;
        server->due_id = after_id;
        if (propose_own(server, &request) != ERR_OK)
            return;
    }
}

void lead_tick(struct server *server)
{
    uint64_t now_ms = server_ms(server), elapsed_ms = now_ms - server->running_at_ms;
    server->running_ms += elapsed_ms < PAUSE_MS ? elapsed_ms : PAUSE_MS;
    server->running_at_ms = now_ms;
    if (server->role != ZAB_LEADING || server->full)
        return;
    for (size_t i = 0; i < server->roster_count && !server->full && !server->failing; i++) {
        struct roster_session *session = &server->roster[i];
        if (session->closing || !silent(server, session))
            continue;
        struct request close = {.kind = OP_CLOSE_SESSION, .close_session = {session->id, CLOSE_EXPIRED}};
        if (propose_own(server, &close) != ERR_OK)
            continue;
        NOTE(server, "%u: session %llu has been silent", server->id, (unsigned long long)session->id);
        session->closing = true;
    }
    propose_due(server);
}

/* --- the term --- */

/* The first leader begins a cluster: its id, and the semantics that all here know. */
static void begin_cluster(struct server *server)
{
    static const uint8_t none[CLUSTER_ID_BYTES];
    struct request request = {.kind = OP_SET_CLUSTER};
    if (memcmp(state_cluster(server->state), none, sizeof none) != 0)
        return;
    for (size_t i = 0; i < CLUSTER_ID_BYTES; i++)
        request.set_cluster.id[i] = (uint8_t)pick_between(server->cluster, 1, 255);
    if (propose_own(server, &request) != ERR_OK)
        return;
    request = (struct request){.kind = OP_SET_STATE_VERSION, .state_version = STATE_VERSION};
    propose_own(server, &request);
}

void lead_name(struct server *server, uint32_t peer)
{
    struct request request = {.kind = OP_SET_MEMBER, .set_member = {.id = peer}};
    memcpy(request.set_member.incarnation, server->identities[peer - 1], INCARNATION_BYTES);
    NOTE(server, "%u names the incarnation of %u", server->id, peer);
    propose_own(server, &request);
}

void lead_begin(struct server *server)
{
    struct session_info info;
    uint64_t id = 0;
    server->running_at_ms = server_ms(server);
    while (state_next_session(server->state, &id, &info))
        add_session(server, &info);
    for (size_t i = 0; PLANTED(NO_GRACE) && i < server->roster_count; i++)
        server->roster[i].heard_ms = server->running_ms - server->roster[i].timeout_ms * 3 / 4;
    begin_cluster(server);
}

void lead_end(struct server *server)
{
    if (PLANTED(NUMBERS_SURVIVE_TERM))
        return;
    server->roster_count = server->barrier_count = 0;
}

void lead_applied(struct server *server, const struct entry *entry, const struct result *result)
{
    struct session_info info;
    if (server->role != ZAB_LEADING || result->code != ERR_OK || result->none)
        return;
    if (entry->request.kind == OP_CREATE_SESSION && !find(server, result->id) &&
        state_session(server->state, result->id, &info))
        add_session(server, &info);
    if (entry->request.kind != OP_CLOSE_SESSION)
        return;
    struct roster_session *session = find(server, entry->request.close_session.session);
    if (session)
        *session = server->roster[--server->roster_count];
}

/* What was proposed and not applied never was, or it is another leader's now. */
void lead_withdrawn(struct server *server)
{
    struct session_info info;
    for (size_t i = 0; i < server->roster_count; i++) {
        struct roster_session *session = &server->roster[i];
        if (state_session(server->state, session->id, &info))
            session->number = info.last_number;
        session->closing = false;
    }
}

void lead_has_space(struct server *server)
{
    if (server->role != ZAB_LEADING)
        return;
    for (size_t i = 0; i < server->roster_count; i++) {
        struct roster_session *session = &server->roster[i];
        struct peer_message message = {.kind = PEER_RESEND, .heartbeats = {.sessions = &session->id, .count = 1}};
        for (unsigned peer = 0; peer < server->cluster->server_count; peer++)
            if (peer != server->index)
                say(server, peer, &message, NULL, 0);
        mounts_resend(server, session->id);
    }
}
