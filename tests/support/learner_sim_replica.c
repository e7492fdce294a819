/* The model of the replicas. */
#include "tests/support/learner_sim_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void tell(struct sim *sim, struct message message)
{
    sim_put(&sim->to_mount, &message, NULL, 0);
}

/* --- the replicas: the order of entries --- */

static struct entry *propose(struct sim *sim, struct entry entry)
{
    assert(sim->proposed < SIM_LOG);
    uint64_t last = sim->proposed > 0 ? sim->log[sim->proposed - 1].zxid : 0;
    entry.zxid = last >> 32 == sim->epoch ? last + 1 : (uint64_t)sim->epoch << 32 | 1;
    entry.stamp_ns = (int64_t)sim->now_ms * 1000000;
    sim->log[sim->proposed] = entry;
    return &sim->log[sim->proposed++];
}

static struct request create_request(const char *name)
{
    struct request request = {.kind = OP_CREATE};
    request.create.at = (struct where){ROOT_ID, {strdup(name), strlen(name)}};
    request.create.kind = KIND_FILE;
    request.create.lifetime = (struct lifetime){.sequential = true, .sequence_at = (uint32_t)strlen(name)};
    return request;
}

uint64_t sim_commit_zxid(const struct sim *sim)
{
    return sim->committed > 0 ? sim->log[sim->committed - 1].zxid : 0;
}

void sim_foreign(struct sim *sim)
{
    if (sim->proposed < SIM_LOG / 2)
        propose(sim, (struct entry){.request = create_request("foreign-")});
}

/* --- the replicas: sessions and the stream --- */

static void refuse(struct sim *sim, int code)
{
    tell(sim, (struct message){.kind = MESSAGE_REFUSED, .refused = {.code = code}});
    sim->attachment = SIM_NONE;
}

void sim_stop_snapshot(struct sim *sim)
{
    if (sim->cursor != NULL)
        snapshot_end(sim->cursor);
    sim->cursor = NULL;
}

void sim_send_snapshot(struct sim *sim)
{
    if (sim->attachment != SIM_ATTACHED || sim->cursor != NULL)
        return;
    sim->cursor = snapshot_begin(sim->state);
    sim->position = sim->committed;
    sim->counts.snapshots++;
    tell(sim, (struct message){.kind = MESSAGE_SNAPSHOT_BEGIN,
                               .snapshot_begin = {snapshot_zxid(sim->cursor), snapshot_nodes(sim->cursor)}});
}

static void take_session(struct sim *sim, uint64_t applied)
{
    size_t position = 0;
    while (position < sim->committed && sim->log[position].zxid <= applied)
        position++;
    struct message_attached attached = {.cluster = {1}, .session = sim->session, .timeout_ms = SIM_SESSION_MS};
    attached.commit = sim_commit_zxid(sim);
    attached.snapshot = position < sim->purged;
    attached.replica = 1;
    attached.leader = sim->quiet ? 0 : 1;
    sim->attachment = SIM_ATTACHED;
    sim->position = position;
    sim->heard_ms = sim->now_ms;
    tell(sim, (struct message){.kind = MESSAGE_ATTACHED, .attached = attached});
    if (attached.snapshot)
        sim_send_snapshot(sim);
}

static void on_attach(struct sim *sim, const struct message_attach *attach)
{
    struct session_info info;
    assert(sim->attachment == SIM_FRESH);
    assert(attach->applied <= sim_commit_zxid(sim));
    if (attach->session != 0 && (attach->session != sim->session || sim->closing)) {
        refuse(sim, ERR_SESSION_EXPIRED);
        return;
    }
    if (attach->session != 0 || (state_session_by_nonce(sim->state, attach->nonce, &info) && !sim->closing)) {
        take_session(sim, attach->applied);
        return;
    }
    struct entry entry = {.request.kind = OP_CREATE_SESSION};
    memcpy(entry.request.create_session.nonce, attach->nonce, SESSION_NONCE_BYTES);
    entry.request.create_session.timeout_ms = SIM_SESSION_MS;
    entry.request.create_session.host = (struct bytes){"host", 4};
    propose(sim, entry);
    sim->attachment = SIM_CREATING;
    sim->waits = sim->proposed - 1;
}

/* Sent again in its place; a gap is left by a change of leader, and RESEND is on its way. */
static void on_submit(struct sim *sim, const struct message_submit *submit)
{
    if (submit->number != sim->number + 1 || sim->closing)
        return;
    struct entry entry = {.session = sim->session, .number = submit->number, .awaited = submit->awaited};
    if (strcmp(submit->request.at, "noop") == 0)
        sim->counts.noops++;
    else
        entry.request = create_request(submit->request.at);
    propose(sim, entry);
    sim->number = submit->number;
    sim->heard_ms = sim->now_ms;
}

static void propose_close(struct sim *sim, enum close_reason reason)
{
    struct entry entry = {.request = {.kind = OP_CLOSE_SESSION, .close_session = {sim->session, reason}}};
    propose(sim, entry);
    sim->closing = true;
}

static void on_heartbeat(struct sim *sim, const struct message_heartbeat *heartbeat)
{
    if (sim->closing || sim->quiet || sim->attachment != SIM_ATTACHED)
        return;
    sim->heard_ms = sim->now_ms;
    tell(sim, (struct message){.kind = MESSAGE_HEARTBEAT_ACK, .heartbeat = *heartbeat});
}

void sim_replica_receive(struct sim *sim, const struct message *message)
{
    if (sim->attachment == SIM_NONE)
        return; /* refused: nothing is heard any more */
    if (message->kind == MESSAGE_ATTACH) {
        on_attach(sim, &message->attach);
    } else if (message->kind == MESSAGE_SUBMIT) {
        assert(sim->attachment == SIM_ATTACHED || sim->attachment == SIM_DETACHING);
        on_submit(sim, &message->submit);
    } else if (message->kind == MESSAGE_HEARTBEAT) {
        on_heartbeat(sim, &message->heartbeat);
    } else if (message->kind == MESSAGE_SYNC) {
        tell(sim, (struct message){.kind = MESSAGE_SYNCED, .sync = {message->sync.id, sim_commit_zxid(sim)}});
    } else {
        assert(message->kind == MESSAGE_DETACH);
        sim->attachment = SIM_DETACHING;
        if (!sim->closing)
            propose_close(sim, CLOSE_BY_OWNER);
    }
}

static void session_created(struct sim *sim, size_t index, const struct result *result)
{
    if (result->id != sim->session) {
        sim->session = result->id;
        sim->number = 0;
        sim->closing = false;
        sim->heard_ms = sim->now_ms;
    }
    if (sim->attachment == SIM_CREATING && sim->waits == index)
        take_session(sim, state_zxid(sim->tree));
}

static void session_closed(struct sim *sim)
{
    sim->session = 0;
    sim->closing = false;
    if (sim->attachment == SIM_DETACHING)
        tell(sim, (struct message){.kind = MESSAGE_DETACHED});
    else if (sim->attachment == SIM_ATTACHED)
        refuse(sim, ERR_SESSION_EXPIRED);
}

void sim_commit(struct sim *sim, size_t count)
{
    while (count-- > 0 && sim->committed < sim->proposed && !sim->quiet) {
        struct result result;
        size_t index = sim->committed++;
        const struct entry *entry = &sim->log[index];
        state_apply(sim->state, entry, &result, NULL);
        if (entry->request.kind == OP_CREATE_SESSION)
            session_created(sim, index, &result);
        else if (entry->request.kind == OP_CLOSE_SESSION && result.code == ERR_OK &&
                 entry->request.close_session.session == sim->session)
            session_closed(sim);
    }
}

void sim_free_request(struct entry *entry)
{
    if (entry->request.kind == OP_CREATE)
        free((void *)entry->request.create.at.path.at);
}

/* What the new leader knows of the session is what its log says. */
static void recount(struct sim *sim)
{
    struct session_info info = {0};
    sim->number = sim->session != 0 && state_session(sim->state, sim->session, &info) ? info.last_number : 0;
    sim->closing = false;
    for (size_t i = sim->committed; i < sim->proposed; i++) {
        const struct entry *entry = &sim->log[i];
        if (entry->session != 0 && entry->session == sim->session)
            sim->number = entry->number;
        if (entry->request.kind == OP_CLOSE_SESSION && entry->request.close_session.session == sim->session)
            sim->closing = true;
    }
}

void sim_change_leader(struct sim *sim)
{
    size_t kept = sim->committed + sim_pick(sim, (uint32_t)(sim->proposed - sim->committed) + 1);
    while (sim->proposed > kept)
        sim_free_request(&sim->log[--sim->proposed]);
    sim->epoch++;
    sim->counts.leaders++;
    sim->heard_ms = sim->now_ms; /* a new leader grants full timeouts */
    recount(sim);
    if (sim->attachment == SIM_CREATING && sim->waits >= sim->proposed)
        refuse(sim, ERR_NO_QUORUM);
    if (sim->attachment == SIM_DETACHING && !sim->closing && sim->session != 0)
        refuse(sim, ERR_NO_QUORUM);
    if (sim->attachment == SIM_ATTACHED)
        tell(sim, (struct message){.kind = MESSAGE_RESEND});
}

void sim_purge(struct sim *sim)
{
    sim->purged = sim->committed;
}

static void pump_snapshot(struct sim *sim)
{
    uint8_t chunk[500];
    size_t len = snapshot_read(sim->cursor, chunk, sizeof chunk);
    struct message message = {.kind = len > 0 ? MESSAGE_SNAPSHOT_CHUNK : MESSAGE_SNAPSHOT_END};
    sim_put(&sim->to_mount, &message, chunk, len);
    if (len == 0)
        sim_stop_snapshot(sim);
}

void sim_pump(struct sim *sim)
{
    if (sim->attachment != SIM_ATTACHED && sim->attachment != SIM_DETACHING)
        return;
    while (sim->cursor != NULL)
        pump_snapshot(sim);
    while (sim->position < sim->committed) {
        struct bytes list[4];
        struct message message = {.kind = MESSAGE_ENTRIES, .entries = {.commit = sim_commit_zxid(sim)}};
        size_t count = 0;
        while (count < 4 && sim->position < sim->committed)
            list[count++] = (struct bytes){&sim->log[sim->position++], sizeof sim->log[0]};
        message.entries.count = count;
        sim_put(&sim->to_mount, &message, list, count * sizeof list[0]);
    }
}

/* A session's close for silence is proposed after its full timeout. By then the mount counts it as gone: the rule
 * that keeps two holders of one lock apart. */
void sim_expire_session(struct sim *sim)
{
    struct client_info info;
    if (sim->session == 0 || sim->closing || sim->quiet || sim->now_ms - sim->heard_ms < SIM_SESSION_MS)
        return;
    learner_info(sim->learner, sim->now_ms, &info);
    assert(info.session != sim->session || info.remaining_ms <= 0);
    propose_close(sim, CLOSE_EXPIRED);
}
