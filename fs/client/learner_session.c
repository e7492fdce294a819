/* The session: kept alive by heartbeats, given up in time, ended. */
#include "fs/client/learner_internal.h"

uint64_t learner_expiry_ms(const struct learner *learner)
{
    return learner->session != 0 ? learner->renewed_ms + learner->timeout_ms / 8 * 7 : UINT64_MAX;
}

void learner_drop_link(struct learner *learner, int code, uint32_t delay_ms, struct learner_output *output)
{
    struct learner_action *action = learner_output_add(output, LEARNER_DROP_LINK);
    action->drop.code = code;
    action->drop.delay_ms = delay_ms;
    learner_down(learner, learner->now_ms, output);
}

void learner_finish(struct learner *learner, struct learner_output *output)
{
    learner_fail_unsent(learner, ERR_SESSION_EXPIRED, output);
    learner_fail_sent(learner, output);
    learner_fail_syncs(learner, UINT64_MAX, ERR_OUTCOME_UNKNOWN, output);
    learner->phase = CLOSED;
    learner_set_state(learner, CLIENT_CLOSED, output);
}

void learner_expire(struct learner *learner, struct learner_output *output)
{
    learner_fail_sent(learner, output);
    learner_fail_unsent(learner, ERR_SESSION_EXPIRED, output);
    requests_new_session(&learner->requests);
    learner_set_state(learner, CLIENT_EXPIRED, output);
    estate_end(learner);
    learner->inherited = 0;
    learner->session = 0;
    learner->nonce_ms = 0;
    if (learner->closing)
        learner_finish(learner, output);
    else if (learner->phase != DOWN)
        learner_drop_link(learner, ERR_SESSION_EXPIRED, 0, output);
}

void learner_hear_leader(struct learner *learner, struct learner_output *output)
{
    learner->unheard = false;
    learner->quiet_ms = 0;
    if (learner->session != 0 || learner->observer)
        learner_set_state(learner, CLIENT_CONNECTED, output);
}

void learner_send_heartbeat(struct learner *learner, struct learner_output *output)
{
    struct message *message = learner_add_send(output, MESSAGE_HEARTBEAT);
    output->list[output->count - 1].kind = LEARNER_SEND_URGENT;
    message->heartbeat = (struct message_heartbeat){.sent_ms = learner->now_ms, .applied = learner->applied};
    learner->heartbeat_ms = learner->now_ms;
    learner->unheard = true;
}

static uint32_t heartbeat_every_ms(const struct learner *learner)
{
    uint32_t every_ms = learner->timeout_ms / 8;
    return learner->observer || every_ms > LEARNER_HEARTBEAT_MAX_MS ? LEARNER_HEARTBEAT_MAX_MS : every_ms;
}

void learner_heartbeat_acked(struct learner *learner, const struct message_heartbeat *ack,
                             struct learner_output *output)
{
    if (ack->sent_ms > learner->heartbeat_ms)
        return;
    if (ack->sent_ms > learner->renewed_ms)
        learner->renewed_ms = ack->sent_ms;
    estate_renewed(learner);
    if (!ack->refusing) /* else it is as if there were no leader, but for the session */
        learner_hear_leader(learner, output);
    learner_flush(learner, output);
}

/* --- time --- */

bool learner_no_leader(const struct learner *learner)
{
    return learner->quiet_ms >= NO_LEADER_GRACE_MS;
}

void learner_pass_time(struct learner *learner, uint64_t now_ms)
{
    uint64_t elapsed_ms = now_ms > learner->now_ms ? now_ms - learner->now_ms : 0;
    learner->now_ms += elapsed_ms;
    if (learner->unheard)
        learner->quiet_ms += elapsed_ms < LEARNER_LATE_MS ? elapsed_ms : LEARNER_LATE_MS;
}

static void give_up(struct learner *learner, struct learner_output *output)
{
    if (learner->state == CLIENT_CONNECTED)
        learner_set_state(learner, CLIENT_SUSPENDED, output);
    learner_fail_unsent(learner, ERR_NO_QUORUM, output);
    learner_fail_syncs(learner, UINT64_MAX, ERR_NO_QUORUM, output);
}

/* A replica that cannot reach the others may say nothing; one that is to send its tree may have many to serve first. */
static uint64_t answer_due_ms(const struct learner *learner)
{
    bool waits = learner->phase == ATTACHING || (learner->phase == RELEASING && !learner->former_copies);
    return waits ? learner->attach_ms + LEARNER_ATTACH_MS : UINT64_MAX;
}

void learner_tick(struct learner *learner, uint64_t now_ms, struct learner_output *output)
{
    learner_pass_time(learner, now_ms);
    if (learner->phase == CLOSED)
        return;
    learner_time_out_requests(learner, output);
    learner_fail_syncs(learner, learner->now_ms, ERR_OUTCOME_UNKNOWN, output);
    if (learner_no_leader(learner))
        give_up(learner, output);
    if (learner->now_ms >= learner_expiry_ms(learner)) {
        learner_identity(learner, &learner->former); /* to the replicas it may live on for long */
        learner_expire(learner, output);
    }
    if (learner->closing && learner->phase != CLOSED &&
        (learner->now_ms >= learner->close_ms || learner_no_leader(learner)))
        learner_finish(learner, output);
    if (learner->now_ms >= answer_due_ms(learner))
        learner_drop_link(learner, ERR_UNREACHABLE, 0, output);
    if (learner->phase == ATTACHED && learner->now_ms >= learner->heartbeat_ms + heartbeat_every_ms(learner)) {
        learner_send_heartbeat(learner, output);
        learner_send_waiting(learner, output); /* where answers are slow, nothing is gathered for longer */
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t learner_deadline(const struct learner *learner)
{
    if (learner->phase == CLOSED)
        return UINT64_MAX;
    uint64_t deadline_ms = learner_expiry_ms(learner);
    const struct pending *pending = requests_first_waiting(&learner->requests);
    if (pending != NULL)
        deadline_ms = earlier(deadline_ms, pending->deadline_ms);
    if (learner->syncs != NULL)
        deadline_ms = earlier(deadline_ms, learner->syncs->deadline_ms);
    if (learner->unheard && !learner_no_leader(learner))
        deadline_ms = earlier(deadline_ms, learner->now_ms + LEARNER_WATCH_MS);
    if (learner->closing)
        deadline_ms = earlier(deadline_ms, learner->close_ms);
    deadline_ms = earlier(deadline_ms, answer_due_ms(learner));
    if (learner->phase == ATTACHED)
        deadline_ms = earlier(deadline_ms, learner->heartbeat_ms + heartbeat_every_ms(learner));
    return deadline_ms;
}

/* --- the end --- */

void learner_close(struct learner *learner, uint64_t now_ms, struct learner_output *output)
{
    learner_pass_time(learner, now_ms);
    if (learner->phase == CLOSED || learner->closing)
        return;
    learner_send_waiting(learner, output);
    learner->closing = true;
    learner->close_ms = learner->now_ms + learner->op_timeout_ms;
    learner_fail_unsent(learner, ERR_SESSION_EXPIRED, output);
    if (learner->session == 0)
        learner_finish(learner, output);
    else if (learner->phase == ATTACHED)
        learner_add_send(output, MESSAGE_DETACH);
}

bool learner_closed(const struct learner *learner)
{
    return learner->phase == CLOSED;
}
