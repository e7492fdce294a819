#include "tests/support/learner_rig.h"

#include <string.h>

void rig_note(void *arg, const struct result *result)
{
    struct answer *answer = arg;
    answer->count++;
    answer->code = result->code;
    answer->id = result->id;
}

struct rig rig_new(bool observer)
{
    const struct learner_options options = {.observer = observer,
                                            .session_timeout_ms = TIMEOUT_MS,
                                            .op_timeout_ms = OP_MS,
                                            .host = {"host", 4},
                                            .pid = 9,
                                            .noop = {"noop", 4}};
    return (struct rig){.learner = learner_new(&options, 1000), .now_ms = 1000, .commit = 100};
}

void rig_free(struct rig *rig)
{
    learner_free(rig->learner);
    learner_output_free(&rig->output);
}

/* The next thing it asks for, completions aside: those are carried out. NULL: nothing. */
const struct learner_action *rig_next(struct rig *rig)
{
    while (rig->next < rig->output.count) {
        const struct learner_action *action = &rig->output.list[rig->next++];
        if (action->kind != LEARNER_COMPLETE)
            return action;
        action->complete.done(action->complete.arg, &action->complete.result);
    }
    rig->next = rig->output.count = 0;
    return NULL;
}

const struct message *expect_send(struct rig *rig, enum message_kind kind)
{
    const struct learner_action *action = rig_next(rig);
    assert_non_null(action);
    assert_int_equal(action->kind, kind == MESSAGE_HEARTBEAT ? LEARNER_SEND_URGENT : LEARNER_SEND);
    assert_int_equal(action->send.kind, kind);
    return &action->send;
}

void expect_submit(struct rig *rig, uint64_t number, uint64_t awaited, const char *request)
{
    const struct message_submit *submit = &expect_send(rig, MESSAGE_SUBMIT)->submit;
    assert_int_equal(submit->number, number);
    assert_int_equal(submit->awaited, awaited);
    assert_int_equal(submit->request.len, strlen(request));
    assert_memory_equal(submit->request.at, request, strlen(request));
}

void expect_state(struct rig *rig, enum client_state state, uint64_t session)
{
    const struct learner_action *action = rig_next(rig);
    assert_non_null(action);
    assert_int_equal(action->kind, LEARNER_STATE);
    assert_int_equal(action->state.state, state);
    assert_int_equal(action->state.session, session);
}

void expect_drop(struct rig *rig, int code)
{
    const struct learner_action *action = rig_next(rig);
    assert_non_null(action);
    assert_int_equal(action->kind, LEARNER_DROP_LINK);
    assert_int_equal(action->drop.code, code);
}

void expect_nothing(struct rig *rig)
{
    assert_null(rig_next(rig));
}

/* --- what happens to it --- */

const struct message *rig_up(struct rig *rig)
{
    uint8_t nonce[SESSION_NONCE_BYTES], secret[SESSION_SECRET_BYTES];
    memset(nonce, ++rig->random, sizeof nonce);
    memset(secret, rig->random, sizeof secret);
    learner_up(rig->learner, rig->now_ms, nonce, secret, &rig->output);
    return expect_send(rig, MESSAGE_ATTACH);
}

void rig_down(struct rig *rig)
{
    learner_down(rig->learner, rig->now_ms, &rig->output);
}

enum learner_verdict rig_hear(struct rig *rig, struct message message)
{
    return learner_message(rig->learner, rig->now_ms, &message, &rig->output);
}

struct message rig_good_answer(const struct rig *rig)
{
    return (struct message){.kind = MESSAGE_ATTACHED,
                            .attached = {.cluster = {5},
                                         .session = SESSION,
                                         .timeout_ms = TIMEOUT_MS,
                                         .commit = rig->commit,
                                         .replica = 1,
                                         .leader = 2}};
}

struct rig rig_attached(void)
{
    struct rig rig = rig_new(false);
    rig_up(&rig);
    assert_int_equal(rig_hear(&rig, rig_good_answer(&rig)), LEARNER_NOTHING);
    expect_state(&rig, CLIENT_CONNECTED, SESSION);
    expect_send(&rig, MESSAGE_HEARTBEAT);
    expect_nothing(&rig);
    return rig;
}

void rig_attach_again(struct rig *rig)
{
    rig_up(rig);
    rig_hear(rig, rig_good_answer(rig));
    expect_state(rig, CLIENT_CONNECTED, SESSION);
    expect_send(rig, MESSAGE_HEARTBEAT);
}

void rig_acknowledge(struct rig *rig, uint64_t sent_ms)
{
    rig_hear(rig, (struct message){.kind = MESSAGE_HEARTBEAT_ACK, .heartbeat = {.sent_ms = sent_ms}});
}

/* Time passes in steps of a healthy client thread; heartbeats go out and nobody answers. */
void rig_pass(struct rig *rig, uint64_t ms)
{
    for (uint64_t until_ms = rig->now_ms + ms; rig->now_ms < until_ms;) {
        rig->now_ms += until_ms - rig->now_ms < 50 ? until_ms - rig->now_ms : 50;
        learner_tick(rig->learner, rig->now_ms, &rig->output);
    }
}

/* The same with each heartbeat acknowledged at once. */
void rig_pass_well(struct rig *rig, uint64_t ms)
{
    for (uint64_t until_ms = rig->now_ms + ms; rig->now_ms < until_ms;) {
        rig_pass(rig, 50);
        rig_acknowledge(rig, rig->now_ms);
        for (const struct learner_action *action; (action = rig_next(rig)) != NULL;)
            assert_int_equal(action->send.kind, MESSAGE_HEARTBEAT);
    }
}

void rig_stall(struct rig *rig, uint64_t ms)
{
    rig->now_ms += ms;
}

int rig_submit(struct rig *rig, const char *request, struct answer *answer)
{
    uint64_t ticket;
    *answer = (struct answer){0};
    return learner_submit(rig->learner, rig->now_ms, (struct bytes){request, strlen(request)}, rig_note, answer,
                          &ticket, &rig->output);
}

void rig_applied(struct rig *rig, uint64_t session, uint64_t number, bool none)
{
    struct entry entry = {.zxid = learner_applied_zxid(rig->learner) + 1, .session = session, .number = number};
    struct result result = {.none = none, .zxid = entry.zxid, .id = number};
    learner_applied(rig->learner, rig->now_ms, &entry, &result, &rig->output);
}

int rig_state_of(const struct rig *rig)
{
    struct client_info info;
    learner_info(rig->learner, rig->now_ms, &info);
    return (int)info.state;
}
