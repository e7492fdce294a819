/* The protocol half of the client.
 *
 * Invariants:
 *  1. The numbers of a session are 1, 2, 3… in the order of submission, given at the first send, none left out.
 *  2. A number, once given, is sent with its own request or, if that was abandoned, with a no-op; the first one logged
 *     wins. It stays in the list until its entry is applied, or a snapshot shows that it was, or the session ends.
 *  3. Nothing is ever sent under another session than the one that numbered it.
 *  4. Each request that was accepted completes exactly once. Without a number: with a code that says it was certainly
 *     not done. With one: with what apply gave, or with OUTCOME_UNKNOWN.
 *  5. The tree is of one cluster and never goes back: a replica that offers another or an older one is left; also
 *     than the learner before showed, whose estate this one has.
 *  6. No request gets a number later than 7/8 of the session's timeout after the sending of the last heartbeat that
 *     was acknowledged. (A session is *declared* expired by learner_tick alone, so that acknowledgements which arrived
 *     while this process stood still are seen before.)
 *
 *  phase     event                          → phase      what is done
 *  DOWN      up                             → ATTACHING  ATTACH, with the session or the nonce of a new one; as long as
 *                                                        there is a former session, with that
 *  ATTACHING ATTACHED, the former session   → RELEASING  DETACH (learner_former.c)
 *  RELEASING DETACHED, and its tree loaded  → DOWN       drop the link, at once again: now for a session of our own
 *  ATTACHING, RELEASING  tick, no answer    → DOWN       drop the link, try elsewhere
 *  ATTACHING ATTACHED, acceptable           → ATTACHED   heartbeat; all from the first unanswered number on; syncs not
 *                                                        yet answered; what waits without a number
 *  ATTACHING ATTACHED, of another history   → DOWN       drop the link, try elsewhere
 *  any       REFUSED: no such session       → DOWN       expire (below), a new session at once
 *  any       REFUSED otherwise              → DOWN       drop the link, try elsewhere
 *  ATTACHED  RESEND                         ATTACHED     all from the first unanswered number on
 *  ATTACHED  ENTRIES, SNAPSHOT_*            ATTACHED     the runtime applies or loads; results complete requests
 *  any       down                           → DOWN       nothing: all that is unanswered waits for the next ATTACHED
 *  any       tick, 7/8 of the timeout over  → DOWN       expire: numbered requests OUTCOME_UNKNOWN, others
 *                                                        SESSION_EXPIRED; it is the former session now
 *  any       entry that closes the session  → DOWN       expire
 *  any       close                          same         DETACH once attached; CLOSED at DETACHED, or when the session
 *                                                        is gone, or nobody answers in time
 */
#include "fs/client/learner_internal.h"

#include <assert.h>
#include <string.h>

/* The tree moved, or the commit point became known: whoever waits for that goes on. */
static void note_progress(struct learner *learner, struct learner_output *output)
{
    if (learner->phase == ATTACHED && learner->applied >= learner->commit)
        learner->ready = true;
    learner_complete_syncs(learner, output);
    learner_flush(learner, output);
}

/* --- attaching --- */

/* A nonce whose session may be half through its timeout already, unknown to us, is no use. */
static void choose_nonce(struct learner *learner, const uint8_t *nonce, const uint8_t *secret)
{
    if (learner->session != 0 || learner->observer)
        return;
    if (learner->nonce_ms != 0 && learner->now_ms - learner->nonce_ms < learner->wanted_timeout_ms / 2)
        return;
    memcpy(learner->nonce, nonce, sizeof learner->nonce);
    memcpy(learner->secret, secret, sizeof learner->secret);
    learner->nonce_ms = learner->now_ms;
}

void learner_up(struct learner *learner, uint64_t now_ms, const uint8_t *nonce, const uint8_t *secret,
                struct learner_output *output)
{
    learner_pass_time(learner, now_ms);
    if (learner->phase == CLOSED)
        return;
    assert(learner->phase == DOWN);
    choose_nonce(learner, nonce, secret);
    learner->phase = ATTACHING;
    learner->attach_ms = learner->now_ms;
    struct message_attach *attach = &learner_add_send(output, MESSAGE_ATTACH)->attach;
    attach->state_version_min = STATE_VERSION_MIN;
    attach->state_version_max = STATE_VERSION;
    memcpy(attach->cluster, learner->cluster, CLUSTER_ID_BYTES);
    attach->applied = learner->applied;
    attach->seen = learner->floor;
    attach->observer = learner->observer;
    attach->session = learner->session;
    memcpy(attach->nonce, learner->nonce, SESSION_NONCE_BYTES);
    memcpy(attach->secret, learner->secret, SESSION_SECRET_BYTES);
    attach->timeout_ms = learner->wanted_timeout_ms;
    attach->host = (struct bytes){learner->host, learner->host_len};
    attach->pid = learner->pid;
    if (learner->former.session != 0)
        learner_former_ask(learner, attach);
}

void learner_down(struct learner *learner, uint64_t now_ms, struct learner_output *output)
{
    learner_pass_time(learner, now_ms);
    if (learner->phase == CLOSED)
        return;
    learner->phase = DOWN;
    learner->loading = false;
    learner->unheard = true;
    if (learner->state == CLIENT_CONNECTED)
        learner_set_state(learner, CLIENT_SUSPENDED, output);
}

/* Why this replica can't be followed; ERR_OK: it can. */
static int judge(const struct learner *learner, const struct message_attached *attached)
{
    static const uint8_t unknown[CLUSTER_ID_BYTES];
    if (memcmp(learner->cluster, unknown, CLUSTER_ID_BYTES) != 0 &&
        memcmp(learner->cluster, attached->cluster, CLUSTER_ID_BYTES) != 0)
        return ERR_OTHER_CLUSTER;
    if (attached->commit < learner->applied || attached->commit < learner->floor)
        return ERR_OTHER_CLUSTER;
    if (learner->observer)
        return attached->session == 0 ? ERR_OK : ERR_BAD_FORMAT;
    if (attached->session == 0 || (learner->session != 0 && attached->session != learner->session))
        return ERR_BAD_FORMAT;
    bool sane =
        attached->timeout_ms >= LIMIT_SESSION_TIMEOUT_MIN_MS && attached->timeout_ms <= LIMIT_SESSION_TIMEOUT_MAX_MS;
    return sane ? ERR_OK : ERR_BAD_FORMAT;
}

/* A session's time counts from when it can have begun: the first sending of its nonce. That of a known session is not
 * renewed by attaching, only by heartbeats. */
static void take_session(struct learner *learner, const struct message_attached *attached)
{
    bool begins = learner->session == 0;
    if (begins)
        learner->renewed_ms = learner->nonce_ms;
    learner->session = attached->session;
    learner->timeout_ms = attached->timeout_ms;
    if (begins)
        estate_begin(learner);
}

static void on_attached(struct learner *learner, const struct message_attached *attached, struct learner_output *output)
{
    if (learner->former.session != 0) {
        learner_former_attached(learner, attached, output);
        return;
    }
    int code = judge(learner, attached);
    if (code != ERR_OK) {
        learner_drop_link(learner, code, LEARNER_REFUSED_MS, output);
        return;
    }
    learner->phase = ATTACHED;
    memcpy(learner->cluster, attached->cluster, CLUSTER_ID_BYTES);
    learner->commit = attached->commit;
    learner->replica = attached->replica;
    learner->leader = attached->leader;
    take_session(learner, attached);
    if (learner->closing) {
        learner_add_send(output, MESSAGE_DETACH);
        return;
    }
    if (attached->leader != 0 || learner->state != CLIENT_SUSPENDED)
        learner_hear_leader(learner, output);
    learner_send_heartbeat(learner, output);
    learner_resend(learner, output);
    learner_resend_syncs(learner, output);
    if (!attached->snapshot)
        note_progress(learner, output);
    else
        learner_flush(learner, output);
}

static void on_refused(struct learner *learner, const struct message_refused *refused, struct learner_output *output)
{
    bool gone = refused->code == ERR_SESSION_EXPIRED || refused->code == ERR_NO_SESSION;
    bool passing = gone || refused->code == ERR_NO_QUORUM || refused->code == ERR_UNREACHABLE;
    if (learner->former.session != 0 && (gone || !passing)) {
        learner_former_refused(learner, output);
        return;
    }
    if (gone && learner->session != 0) {
        learner_expire(learner, output);
        return;
    }
    if (gone)
        learner->nonce_ms = 0;
    learner_drop_link(learner, refused->code, passing ? LEARNER_RETRY_MS : LEARNER_REFUSED_MS, output);
}

/* --- what arrives --- */

static enum learner_verdict on_snapshot_begin(struct learner *learner, const struct message_snapshot_begin *begin,
                                              struct learner_output *output)
{
    if (begin->zxid < learner->applied) {
        learner_drop_link(learner, ERR_OTHER_CLUSTER, LEARNER_REFUSED_MS, output);
        return LEARNER_NOTHING;
    }
    learner->loading = true;
    return LEARNER_LOAD_BEGIN;
}

static enum learner_verdict object(struct learner *learner, struct learner_output *output)
{
    learner_drop_link(learner, ERR_BAD_FORMAT, LEARNER_REFUSED_MS, output);
    return LEARNER_NOTHING;
}

static enum learner_verdict on_tree(struct learner *learner, const struct message *message,
                                    struct learner_output *output)
{
    switch (message->kind) {
    case MESSAGE_ENTRIES:
        return learner->loading ? object(learner, output) : LEARNER_APPLY;
    case MESSAGE_SNAPSHOT_BEGIN:
        return on_snapshot_begin(learner, &message->snapshot_begin, output);
    case MESSAGE_SNAPSHOT_CHUNK:
        return learner->loading ? LEARNER_LOAD_CHUNK : object(learner, output);
    case MESSAGE_SNAPSHOT_END:
        if (!learner->loading)
            return object(learner, output);
        learner->loading = false;
        return LEARNER_LOAD_END;
    default:
        return object(learner, output);
    }
}

static enum learner_verdict on_attached_message(struct learner *learner, const struct message *message,
                                                struct learner_output *output)
{
    switch (message->kind) {
    case MESSAGE_HEARTBEAT_ACK:
        learner_heartbeat_acked(learner, &message->heartbeat, output);
        return LEARNER_NOTHING;
    case MESSAGE_SYNCED:
        learner_synced(learner, &message->sync, output);
        return LEARNER_NOTHING;
    case MESSAGE_RESEND:
        learner_resend(learner, output);
        return LEARNER_NOTHING;
    case MESSAGE_DETACHED:
        if (!learner->closing)
            return object(learner, output);
        learner_finish(learner, output);
        return LEARNER_NOTHING;
    default:
        return on_tree(learner, message, output);
    }
}

static enum learner_verdict on_releasing_message(struct learner *learner, const struct message *message,
                                                 struct learner_output *output)
{
    learner->attach_ms = learner->now_ms;
    switch (message->kind) {
    case MESSAGE_DETACHED:
        learner_former_detached(learner, output);
        return LEARNER_NOTHING;
    case MESSAGE_RESEND: /* nothing was sent */
        return LEARNER_NOTHING;
    default:
        return on_tree(learner, message, output);
    }
}

enum learner_verdict learner_message(struct learner *learner, uint64_t now_ms, const struct message *message,
                                     struct learner_output *output)
{
    learner_pass_time(learner, now_ms);
    if (learner->phase == DOWN || learner->phase == CLOSED)
        return LEARNER_NOTHING; /* left over from a link that was dropped */
    if (message->kind == MESSAGE_REFUSED) {
        on_refused(learner, &message->refused, output);
        return LEARNER_NOTHING;
    }
    if (learner->phase == ATTACHED)
        return on_attached_message(learner, message, output);
    if (learner->phase == RELEASING)
        return on_releasing_message(learner, message, output);
    if (message->kind != MESSAGE_ATTACHED)
        return object(learner, output);
    on_attached(learner, &message->attached, output);
    return LEARNER_NOTHING;
}

/* --- the tree --- */

static bool closes(const struct entry *entry, uint64_t session)
{
    return session != 0 && entry->request.kind == OP_CLOSE_SESSION && entry->request.close_session.session == session;
}

void learner_applied(struct learner *learner, uint64_t now_ms, const struct entry *entry, const struct result *result,
                     struct learner_output *output)
{
    learner_pass_time(learner, now_ms);
    learner->applied = entry->zxid;
    estate_applied(learner);
    if (learner->phase == CLOSED)
        return;
    if (learner->session != 0 && entry->session == learner->session && !result->none)
        learner_answer(learner, entry->number, result, output);
    if (closes(entry, learner->session) && !result->none && result->code == ERR_OK)
        learner_expire(learner, output);
    else
        note_progress(learner, output);
}

/* The snapshot has what the entries it stands for would have told: which numbers were taken, and their results. */
static void settle(struct learner *learner, const struct state *state, uint64_t last_number,
                   struct learner_output *output)
{
    for (struct pending *pending; (pending = learner->requests.first) != NULL;) {
        struct result result;
        if (pending->number == 0 || pending->number > last_number)
            return;
        if (!state_result(state, learner->session, pending->number, &result))
            result = (struct result){.code = ERR_OUTCOME_UNKNOWN};
        learner_answer(learner, pending->number, &result, output);
    }
}

void learner_loaded(struct learner *learner, uint64_t now_ms, const struct state *state, struct learner_output *output)
{
    struct session_info info;
    learner_pass_time(learner, now_ms);
    learner->applied = state_zxid(state);
    estate_applied(learner);
    if (learner->phase == CLOSED)
        return;
    if (learner->phase == RELEASING)
        learner_former_loaded(learner, output);
    if (learner->session != 0 && state_session(state, learner->session, &info)) {
        settle(learner, state, info.last_number, output);
    } else if (learner->session != 0 && learner->applied >= learner->commit) {
        learner_expire(learner, output);
        return;
    }
    note_progress(learner, output);
}

void learner_broken(struct learner *learner, uint64_t now_ms, int code, struct learner_output *output)
{
    learner_pass_time(learner, now_ms);
    if (learner->phase != DOWN && learner->phase != CLOSED)
        learner_drop_link(learner, code, LEARNER_REFUSED_MS, output);
}

uint64_t learner_applied_zxid(const struct learner *learner)
{
    return learner->applied;
}
