#include "tests/support/learner_sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- messages on the link --- */

struct sim_message {
    struct sim_message *next;
    struct message message;
    struct bytes entries[4]; /* ENTRIES: each is a struct entry of the log */
    uint8_t bytes[];         /* what the message borrows */
};

static void put(struct sim_queue *queue, const struct message *message, const void *bytes, size_t len)
{
    struct sim_message *copy = calloc(1, sizeof *copy + len + 1);
    assert(copy != NULL);
    copy->message = *message;
    if (len > 0)
        memcpy(copy->bytes, bytes, len);
    if (message->kind == MESSAGE_SUBMIT)
        copy->message.submit.request = (struct bytes){copy->bytes, len};
    if (message->kind == MESSAGE_SNAPSHOT_CHUNK)
        copy->message.chunk = (struct bytes){copy->bytes, len};
    if (message->kind == MESSAGE_ENTRIES) {
        memcpy(copy->entries, bytes, len);
        copy->message.entries.list = copy->entries;
    }
    *(queue->last != NULL ? &queue->last->next : &queue->first) = copy;
    queue->last = copy;
}

static struct sim_message *take(struct sim_queue *queue)
{
    struct sim_message *message = queue->first;
    if (message == NULL)
        return NULL;
    queue->first = message->next;
    if (queue->first == NULL)
        queue->last = NULL;
    return message;
}

static void empty(struct sim_queue *queue)
{
    for (struct sim_message *message; (message = take(queue)) != NULL;)
        free(message);
}

static void tell(struct sim *sim, struct message message)
{
    put(&sim->to_mount, &message, NULL, 0);
}

/* --- the replicas: the order of entries --- */

uint32_t sim_pick(struct sim *sim, uint32_t below)
{
    sim->random = sim->random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(sim->random >> 33) % below;
}

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

static uint64_t commit_zxid(const struct sim *sim)
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

static void stop_snapshot(struct sim *sim)
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
    attached.commit = commit_zxid(sim);
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
    assert(attach->applied <= commit_zxid(sim));
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

static void on_message(struct sim *sim, const struct message *message)
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
        tell(sim, (struct message){.kind = MESSAGE_SYNCED, .sync = {message->sync.id, commit_zxid(sim)}});
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

static void free_request(struct entry *entry)
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
        free_request(&sim->log[--sim->proposed]);
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
    put(&sim->to_mount, &message, chunk, len);
    if (len == 0)
        stop_snapshot(sim);
}

static void pump(struct sim *sim)
{
    if (sim->attachment != SIM_ATTACHED && sim->attachment != SIM_DETACHING)
        return;
    while (sim->cursor != NULL)
        pump_snapshot(sim);
    while (sim->position < sim->committed) {
        struct bytes list[4];
        struct message message = {.kind = MESSAGE_ENTRIES, .entries = {.commit = commit_zxid(sim)}};
        size_t count = 0;
        while (count < 4 && sim->position < sim->committed)
            list[count++] = (struct bytes){&sim->log[sim->position++], sizeof sim->log[0]};
        message.entries.count = count;
        put(&sim->to_mount, &message, list, count * sizeof list[0]);
    }
}

/* A session's close for silence is proposed after its full timeout. By then the mount counts it as gone: the rule
 * that keeps two holders of one lock apart. */
static void expire_session(struct sim *sim)
{
    struct client_info info;
    if (sim->session == 0 || sim->closing || sim->quiet || sim->now_ms - sim->heard_ms < SIM_SESSION_MS)
        return;
    learner_info(sim->learner, sim->now_ms, &info);
    assert(info.session != sim->session || info.remaining_ms <= 0);
    propose_close(sim, CLOSE_EXPIRED);
}

/* --- the mount --- */

/* What the learner promises of the numbers it sends: 1, 2, 3… without a gap, one request each and that one or a no-op
 * for ever, `awaited` never above it, and a new one only while the session certainly lives. */
static void sim_check_sent(struct sim *sim, const struct message_submit *submit)
{
    struct client_info info;
    bool noop = strcmp(submit->request.at, "noop") == 0;
    int index = noop ? SIM_NOOP : atoi((const char *)submit->request.at + 1);
    learner_info(sim->learner, sim->now_ms, &info);
    if (info.session != sim->sent_session) {
        sim->sent_session = info.session;
        sim->sent_number = 0;
    }
    assert(submit->number >= 1 && submit->number <= sim->sent_number + 1 && submit->number < SIM_NUMBERS);
    assert(submit->awaited >= 1 && submit->awaited <= submit->number);
    if (submit->number == sim->sent_number + 1) {
        assert(info.remaining_ms > 0 && !noop);
        sim->sent[submit->number] = index;
        sim->sent_number = submit->number;
    } else {
        assert(noop || sim->sent[submit->number] == index);
        sim->counts.resends++;
    }
}

static void send(struct sim *sim, const struct message *message)
{
    if (message->kind == MESSAGE_SUBMIT)
        sim_check_sent(sim, &message->submit);
    if (!sim->up)
        return;
    if (message->kind == MESSAGE_SUBMIT)
        put(&sim->to_replica, message, message->submit.request.at, message->submit.request.len);
    else
        put(&sim->to_replica, message, NULL, 0);
}

static void hang_up(struct sim *sim)
{
    sim->up = false;
    sim->attachment = SIM_NONE;
    stop_snapshot(sim);
    empty(&sim->to_replica);
    empty(&sim->to_mount);
}

static void carry_out(struct sim *sim)
{
    for (size_t i = 0; i < sim->output.count; i++) {
        const struct learner_action *action = &sim->output.list[i];
        if (action->kind == LEARNER_SEND || action->kind == LEARNER_SEND_URGENT) {
            send(sim, &action->send);
        } else if (action->kind == LEARNER_COMPLETE) {
            action->complete.done(action->complete.arg, &action->complete.result);
        } else if (action->kind == LEARNER_DROP_LINK) {
            hang_up(sim);
            sim->drop_code = action->drop.code;
            sim->may_dial_ms = sim->now_ms + action->drop.delay_ms;
        } else {
            sim->told = action->state.state;
            sim->counts.expiries += sim->told == CLIENT_EXPIRED;
        }
    }
    sim->output.count = 0;
}

static void apply_entries(struct sim *sim, const struct message_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        const struct entry *entry = entries->list[i].at;
        struct result result;
        if (entry->zxid <= state_zxid(sim->tree))
            continue;
        state_apply(sim->tree, entry, &result, NULL);
        learner_applied(sim->learner, sim->now_ms, entry, &result, &sim->output);
        carry_out(sim);
    }
}

static void load_end(struct sim *sim)
{
    struct state *loaded;
    int code = loader_finish(sim->loader, &loaded);
    assert(code == ERR_OK);
    sim->loader = NULL;
    state_free(sim->tree);
    sim->tree = loaded;
    learner_loaded(sim->learner, sim->now_ms, sim->tree, &sim->output);
    carry_out(sim);
}

static void load_stop(struct sim *sim)
{
    if (sim->loader != NULL)
        loader_free(sim->loader);
    sim->loader = NULL;
}

static void receive(struct sim *sim, const struct message *message)
{
    enum learner_verdict verdict = learner_message(sim->learner, sim->now_ms, message, &sim->output);
    carry_out(sim);
    if (verdict == LEARNER_APPLY) {
        apply_entries(sim, &message->entries);
    } else if (verdict == LEARNER_LOAD_BEGIN) {
        load_stop(sim);
        sim->loader = loader_new();
    } else if (verdict == LEARNER_LOAD_CHUNK) {
        int code = loader_feed(sim->loader, message->chunk.at, message->chunk.len);
        assert(code == ERR_OK);
    } else if (verdict == LEARNER_LOAD_END) {
        load_end(sim);
    }
}

static void completed(void *arg, const struct result *result)
{
    struct sim_asked *asked = arg;
    asked->completed++;
    asked->code = result->code;
    memcpy(asked->name, result->name, sizeof asked->name);
}

static void sync_completed(void *arg, const struct result *result)
{
    struct sim_sync *sync = arg;
    sync->completed++;
    sync->code = result->code;
    assert(result->code != ERR_OK || result->zxid >= sync->committed);
}

void sim_submit(struct sim *sim)
{
    char text[16];
    if (sim->asked_count == SIM_REQUESTS)
        return;
    struct sim_asked *asked = &sim->asked[sim->asked_count];
    int len = snprintf(text, sizeof text, "r%d-", sim->asked_count++);
    struct bytes request = {text, (size_t)len + 1}; /* with its NUL: the model reads it as a string */
    int code = learner_submit(sim->learner, sim->now_ms, request, completed, asked, &asked->ticket, &sim->output);
    if (code != ERR_OK)
        completed(asked, &(struct result){.code = code});
    carry_out(sim);
}

void sim_withdraw(struct sim *sim, int index)
{
    const struct sim_asked *asked = &sim->asked[index];
    if (asked->ticket == 0)
        return;
    bool was = asked->completed > 0;
    bool withdrawn = learner_withdraw(sim->learner, sim->now_ms, asked->ticket, &sim->output);
    carry_out(sim);
    assert(!withdrawn || (!was && asked->completed == 1 && asked->code == ERR_INTERRUPTED));
}

void sim_sync(struct sim *sim)
{
    if (sim->sync_count == SIM_SYNCS)
        return;
    struct sim_sync *sync = &sim->syncs[sim->sync_count++];
    sync->committed = commit_zxid(sim);
    int code = learner_sync(sim->learner, sim->now_ms, sync_completed, sync, &sim->output);
    if (code != ERR_OK)
        sync_completed(sync, &(struct result){.code = code});
    carry_out(sim);
}

/* --- the link and the clock --- */

void sim_dial(struct sim *sim)
{
    uint8_t nonce[SESSION_NONCE_BYTES], secret[SESSION_SECRET_BYTES] = {0};
    if (sim->up || sim->now_ms < sim->may_dial_ms || learner_closed(sim->learner))
        return;
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = (uint8_t)sim_pick(sim, 256);
    sim->up = true;
    sim->attachment = SIM_FRESH;
    load_stop(sim);
    learner_up(sim->learner, sim->now_ms, nonce, secret, &sim->output);
    carry_out(sim);
}

void sim_cut(struct sim *sim)
{
    if (!sim->up)
        return;
    hang_up(sim);
    sim->counts.cuts++;
    learner_down(sim->learner, sim->now_ms, &sim->output);
    carry_out(sim);
}

bool sim_carry(struct sim *sim, bool to_replica)
{
    struct sim_message *message = take(to_replica ? &sim->to_replica : &sim->to_mount);
    if (message == NULL)
        return false;
    if (to_replica)
        on_message(sim, &message->message);
    else
        receive(sim, &message->message);
    free(message);
    pump(sim);
    return true;
}

void sim_pass(struct sim *sim, uint64_t ms, bool stall)
{
    sim->now_ms += ms;
    if (!stall) {
        learner_tick(sim->learner, sim->now_ms, &sim->output);
        assert(learner_deadline(sim->learner) > sim->now_ms);
        carry_out(sim);
    }
    expire_session(sim);
    pump(sim);
}

void sim_calm(struct sim *sim, uint64_t ms)
{
    sim->quiet = false;
    for (uint64_t until_ms = sim->now_ms + ms; sim->now_ms < until_ms; sim_pass(sim, 10, false)) {
        sim_dial(sim);
        for (bool moved = true; moved;) {
            moved = sim_carry(sim, true);
            sim_commit(sim, SIM_LOG);
            pump(sim);
            moved = sim_carry(sim, false) || moved;
        }
    }
}

/* --- beginning, end, judgement --- */

void sim_begin(struct sim *sim, uint64_t seed)
{
    memset(sim, 0, sizeof *sim);
    sim->random = seed;
    sim->now_ms = 1000000;
    sim->epoch = 1;
    sim->state = state_new();
    sim->tree = state_new();
    const struct learner_options options = {
        .session_timeout_ms = SIM_SESSION_MS, .op_timeout_ms = SIM_OP_MS, .host = {"host", 4}, .noop = {"noop", 5}};
    sim->learner = learner_new(&options, sim->now_ms);
}

void sim_end(struct sim *sim)
{
    hang_up(sim);
    load_stop(sim);
    learner_free(sim->learner);
    learner_output_free(&sim->output);
    state_free(sim->state);
    state_free(sim->tree);
    while (sim->proposed > 0)
        free_request(&sim->log[--sim->proposed]);
}

unsigned sim_made(const struct sim *sim, int index)
{
    char prefix[16];
    unsigned made = 0;
    int len = snprintf(prefix, sizeof prefix, "r%d-", index);
    const struct node *node = node_first_child(state_node(sim->state, ROOT_ID));
    for (; node != NULL; node = node_next_sibling(node)) {
        const char *name = node_name(node).at;
        made += strncmp(name, prefix, (size_t)len) == 0;
        bool mine = strcmp(name, sim->asked[index].name) == 0;
        assert(!mine || strncmp(name, prefix, (size_t)len) == 0);
    }
    return made;
}

static void judge(struct sim *sim, int index)
{
    const struct sim_asked *asked = &sim->asked[index];
    unsigned made = sim_made(sim, index);
    assert(asked->completed == 1);
    assert(made <= 1);
    if (asked->code == ERR_OUTCOME_UNKNOWN) {
        sim->counts.unknown++;
        return;
    }
    assert(made == (asked->code == ERR_OK));
    sim->counts.done += asked->code == ERR_OK;
    sim->counts.withdrawn += asked->code == ERR_INTERRUPTED;
    sim->counts.refused += asked->code == ERR_NO_QUORUM || asked->code == ERR_SESSION_EXPIRED;
    assert(asked->code == ERR_OK || asked->code == ERR_INTERRUPTED || asked->code == ERR_NO_QUORUM ||
           asked->code == ERR_SESSION_EXPIRED);
}

void sim_check_outcomes(struct sim *sim)
{
    for (int i = 0; i < sim->asked_count; i++)
        judge(sim, i);
    for (int i = 0; i < sim->sync_count; i++) {
        assert(sim->syncs[i].completed == 1);
        sim->counts.syncs += sim->syncs[i].code == ERR_OK;
    }
}
