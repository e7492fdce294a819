/* The learner spoken to word by word: what it sends, when, and what it answers. test_learner_sim.c shows that it holds
 * together; here each rule stands alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "fs/client/learner.h"

enum { TIMEOUT_MS = 8000, OP_MS = 6000, SESSION = 77 };

struct rig {
    struct learner *learner;
    struct learner_output output;
    size_t next; /* of the output's actions, to be looked at */
    uint64_t now_ms;
    uint64_t commit;
    uint8_t random; /* of the next nonce */
};

struct answer {
    unsigned count;
    int code;
    uint64_t id;
};

static void note(void *arg, const struct result *result)
{
    struct answer *answer = arg;
    answer->count++;
    answer->code = result->code;
    answer->id = result->id;
}

static struct rig rig_new(bool observer)
{
    const struct learner_options options = {.observer = observer,
                                            .session_timeout_ms = TIMEOUT_MS,
                                            .op_timeout_ms = OP_MS,
                                            .host = {"host", 4},
                                            .pid = 9,
                                            .noop = {"noop", 4}};
    return (struct rig){.learner = learner_new(&options, 1000), .now_ms = 1000, .commit = 100};
}

static void rig_free(struct rig *rig)
{
    learner_free(rig->learner);
    learner_output_free(&rig->output);
}

/* The next thing it asks for, completions aside: those are carried out. NULL: nothing. */
static const struct learner_action *next_action(struct rig *rig)
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

static const struct message *expect_send(struct rig *rig, enum message_kind kind)
{
    const struct learner_action *action = next_action(rig);
    assert_non_null(action);
    assert_int_equal(action->kind, kind == MESSAGE_HEARTBEAT ? LEARNER_SEND_URGENT : LEARNER_SEND);
    assert_int_equal(action->send.kind, kind);
    return &action->send;
}

static void expect_submit(struct rig *rig, uint64_t number, uint64_t awaited, const char *request)
{
    const struct message_submit *submit = &expect_send(rig, MESSAGE_SUBMIT)->submit;
    assert_int_equal(submit->number, number);
    assert_int_equal(submit->awaited, awaited);
    assert_int_equal(submit->request.len, strlen(request));
    assert_memory_equal(submit->request.at, request, strlen(request));
}

static void expect_state(struct rig *rig, enum client_state state, uint64_t session)
{
    const struct learner_action *action = next_action(rig);
    assert_non_null(action);
    assert_int_equal(action->kind, LEARNER_STATE);
    assert_int_equal(action->state.state, state);
    assert_int_equal(action->state.session, session);
}

static void expect_drop(struct rig *rig, int code)
{
    const struct learner_action *action = next_action(rig);
    assert_non_null(action);
    assert_int_equal(action->kind, LEARNER_DROP_LINK);
    assert_int_equal(action->drop.code, code);
}

static void expect_nothing(struct rig *rig)
{
    assert_null(next_action(rig));
}

/* --- what happens to it --- */

static const struct message *up(struct rig *rig)
{
    uint8_t nonce[SESSION_NONCE_BYTES], secret[SESSION_SECRET_BYTES];
    memset(nonce, ++rig->random, sizeof nonce);
    memset(secret, rig->random, sizeof secret);
    learner_up(rig->learner, rig->now_ms, nonce, secret, &rig->output);
    return expect_send(rig, MESSAGE_ATTACH);
}

static void down(struct rig *rig)
{
    learner_down(rig->learner, rig->now_ms, &rig->output);
}

static enum learner_verdict hear(struct rig *rig, struct message message)
{
    return learner_message(rig->learner, rig->now_ms, &message, &rig->output);
}

static struct message attached(const struct rig *rig)
{
    return (struct message){.kind = MESSAGE_ATTACHED,
                            .attached = {.cluster = {5},
                                         .session = SESSION,
                                         .timeout_ms = TIMEOUT_MS,
                                         .commit = rig->commit,
                                         .replica = 1,
                                         .leader = 2}};
}

static struct rig rig_attached(void)
{
    struct rig rig = rig_new(false);
    up(&rig);
    assert_int_equal(hear(&rig, attached(&rig)), LEARNER_NOTHING);
    expect_state(&rig, CLIENT_CONNECTED, SESSION);
    expect_send(&rig, MESSAGE_HEARTBEAT);
    expect_nothing(&rig);
    return rig;
}

static void attach_again(struct rig *rig)
{
    up(rig);
    hear(rig, attached(rig));
    expect_state(rig, CLIENT_CONNECTED, SESSION);
    expect_send(rig, MESSAGE_HEARTBEAT);
}

static void acknowledge(struct rig *rig, uint64_t sent_ms)
{
    hear(rig, (struct message){.kind = MESSAGE_HEARTBEAT_ACK, .heartbeat = {.sent_ms = sent_ms}});
}

/* Time passes in steps of a healthy client thread; heartbeats go out and nobody answers. */
static void pass(struct rig *rig, uint64_t ms)
{
    for (uint64_t until_ms = rig->now_ms + ms; rig->now_ms < until_ms;) {
        rig->now_ms += until_ms - rig->now_ms < 50 ? until_ms - rig->now_ms : 50;
        learner_tick(rig->learner, rig->now_ms, &rig->output);
    }
}

/* The same with each heartbeat acknowledged at once. */
static void pass_well(struct rig *rig, uint64_t ms)
{
    for (uint64_t until_ms = rig->now_ms + ms; rig->now_ms < until_ms;) {
        pass(rig, 50);
        acknowledge(rig, rig->now_ms);
        for (const struct learner_action *action; (action = next_action(rig)) != NULL;)
            assert_int_equal(action->send.kind, MESSAGE_HEARTBEAT);
    }
}

static void stall(struct rig *rig, uint64_t ms)
{
    rig->now_ms += ms;
}

static int submit(struct rig *rig, const char *request, struct answer *answer)
{
    uint64_t ticket;
    *answer = (struct answer){0};
    return learner_submit(rig->learner, rig->now_ms, (struct bytes){request, strlen(request)}, note, answer, &ticket,
                          &rig->output);
}

static void applied(struct rig *rig, uint64_t session, uint64_t number, bool none)
{
    struct entry entry = {.zxid = learner_applied_zxid(rig->learner) + 1, .session = session, .number = number};
    struct result result = {.none = none, .zxid = entry.zxid, .id = number};
    learner_applied(rig->learner, rig->now_ms, &entry, &result, &rig->output);
}

static int state_of(const struct rig *rig)
{
    struct client_info info;
    learner_info(rig->learner, rig->now_ms, &info);
    return (int)info.state;
}

/* --- attaching --- */

static void the_first_attach(void **unused)
{
    (void)unused;
    struct rig rig = rig_new(false);
    const struct message_attach *attach = &up(&rig)->attach;
    assert_int_equal(attach->session, 0);
    assert_int_equal(attach->applied, 0);
    assert_int_equal(attach->nonce[0], 1);
    assert_int_equal(attach->timeout_ms, TIMEOUT_MS);
    assert_memory_equal(attach->host.at, "host", 4);
    assert_int_equal(attach->pid, 9);
    assert_true(attach->state_version_min <= attach->state_version_max);
    hear(&rig, attached(&rig));
    expect_state(&rig, CLIENT_CONNECTED, SESSION);
    assert_int_equal(expect_send(&rig, MESSAGE_HEARTBEAT)->heartbeat.sent_ms, rig.now_ms);
    expect_nothing(&rig);
    assert_false(learner_ready(rig.learner));
    for (uint64_t zxid = 1; zxid <= 100; zxid++)
        applied(&rig, 0, 0, false);
    assert_true(learner_ready(rig.learner)); /* it has what was committed at attaching */
    rig_free(&rig);
}

/* An answer may be lost: the nonce is kept, so that no second session is made; but not for ever, as the session may
 * have begun with the first sending, and its time counts from there. */
static void a_nonce_is_kept_for_half_a_timeout(void **unused)
{
    (void)unused;
    struct rig rig = rig_new(false);
    struct client_info info;
    assert_int_equal(up(&rig)->attach.nonce[0], 1);
    down(&rig);
    stall(&rig, TIMEOUT_MS / 2 - 1);
    assert_int_equal(up(&rig)->attach.nonce[0], 1);
    hear(&rig, attached(&rig));
    learner_info(rig.learner, rig.now_ms, &info);
    assert_int_equal(info.remaining_ms, TIMEOUT_MS / 8 * 7 - (TIMEOUT_MS / 2 - 1));
    rig_free(&rig);

    rig = rig_new(false);
    up(&rig);
    down(&rig);
    stall(&rig, TIMEOUT_MS / 2);
    assert_int_equal(up(&rig)->attach.nonce[0], 2);
    rig_free(&rig);
}

static void who_must_not_be_followed(void **unused)
{
    (void)unused;
    const int codes[] = {ERR_OTHER_CLUSTER, ERR_OTHER_CLUSTER, ERR_BAD_FORMAT, ERR_BAD_FORMAT, ERR_BAD_FORMAT};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct rig rig = rig_attached();
        for (int zxid = 1; zxid <= 100; zxid++)
            applied(&rig, 0, 0, false);
        down(&rig);
        expect_state(&rig, CLIENT_SUSPENDED, SESSION);
        const struct message_attach *attach = &up(&rig)->attach;
        assert_true(attach->session == SESSION && attach->applied == 100 && attach->cluster[0] == 5);
        struct message message = attached(&rig);
        if (i == 0)
            message.attached.cluster[0] = 6;
        if (i == 1)
            message.attached.commit = 99; /* an older history than the one seen */
        if (i == 2)
            message.attached.session = SESSION + 1;
        if (i == 3)
            message.attached.session = 0;
        if (i == 4)
            message.attached.timeout_ms = LIMIT_SESSION_TIMEOUT_MAX_MS + 1;
        hear(&rig, message);
        expect_drop(&rig, codes[i]);
        assert_int_equal(state_of(&rig), CLIENT_SUSPENDED);
        attach_again(&rig); /* a good one is followed all the same */
        rig_free(&rig);
    }
}

static void refusals(void **unused)
{
    (void)unused;
    struct rig rig = rig_new(false);
    up(&rig);
    hear(&rig, (struct message){.kind = MESSAGE_REFUSED, .refused = {.code = ERR_NO_QUORUM}});
    expect_drop(&rig, ERR_NO_QUORUM);
    up(&rig);
    pass(&rig, LEARNER_ATTACH_MS - 1);
    expect_nothing(&rig);
    pass(&rig, 1);
    expect_drop(&rig, ERR_UNREACHABLE); /* no answer is one, too */
    rig_free(&rig);
}

/* Whatever a replica would never send ends the link, not the process. */
static void out_of_turn(void **unused)
{
    (void)unused;
    const enum message_kind before[] = {MESSAGE_ENTRIES, MESSAGE_SYNCED, MESSAGE_HEARTBEAT_ACK, MESSAGE_SNAPSHOT_BEGIN};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        struct rig rig = rig_new(false);
        up(&rig);
        assert_int_equal(hear(&rig, (struct message){.kind = before[i]}), LEARNER_NOTHING);
        expect_drop(&rig, ERR_BAD_FORMAT);
        rig_free(&rig);
    }
    const enum message_kind after[] = {MESSAGE_ATTACHED,     MESSAGE_ATTACH,   MESSAGE_SNAPSHOT_CHUNK,
                                       MESSAGE_SNAPSHOT_END, MESSAGE_DETACHED, MESSAGE_SUBMIT};
    for (size_t i = 0; i < sizeof after / sizeof after[0]; i++) {
        struct rig rig = rig_attached();
        assert_int_equal(hear(&rig, (struct message){.kind = after[i]}), LEARNER_NOTHING);
        expect_drop(&rig, ERR_BAD_FORMAT);
        assert_int_equal(hear(&rig, (struct message){.kind = MESSAGE_ENTRIES}), LEARNER_NOTHING); /* a leftover */
        rig_free(&rig);
    }
    struct rig rig = rig_attached();
    assert_int_equal(hear(&rig, (struct message){.kind = MESSAGE_SNAPSHOT_BEGIN}), LEARNER_LOAD_BEGIN);
    hear(&rig, (struct message){.kind = MESSAGE_ENTRIES}); /* in the middle of a snapshot */
    expect_drop(&rig, ERR_BAD_FORMAT);
    rig_free(&rig);
}

static void a_snapshot_of_the_past(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    applied(&rig, 0, 0, false);
    applied(&rig, 0, 0, false);
    struct message begin = {.kind = MESSAGE_SNAPSHOT_BEGIN, .snapshot_begin = {.zxid = 1}};
    assert_int_equal(hear(&rig, begin), LEARNER_NOTHING);
    expect_drop(&rig, ERR_OTHER_CLUSTER);
    rig_free(&rig);
}

/* --- numbers --- */

static void numbers_and_answers(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer a, b, c;
    assert_int_equal(submit(&rig, "a", &a), ERR_OK);
    expect_submit(&rig, 1, 1, "a");
    assert_int_equal(submit(&rig, "b", &b), ERR_OK);
    expect_submit(&rig, 2, 1, "b");
    applied(&rig, SESSION, 1, false);
    expect_nothing(&rig);
    assert_true(a.count == 1 && a.code == ERR_OK && a.id == 1 && b.count == 0);
    applied(&rig, SESSION, 1, true);      /* logged twice: no result */
    applied(&rig, SESSION + 1, 2, false); /* another session's */
    expect_nothing(&rig);
    assert_int_equal(b.count, 0);
    assert_int_equal(submit(&rig, "c", &c), ERR_OK);
    expect_submit(&rig, 3, 2, "c");
    applied(&rig, SESSION, 2, false);
    applied(&rig, SESSION, 3, false);
    expect_nothing(&rig);
    assert_true(a.count == 1 && b.count == 1 && c.count == 1 && c.id == 3);
    rig_free(&rig);
}

/* On a new link and on RESEND everything from the first unanswered number on goes again, in order; what was waiting
 * without a number comes after it. */
static void sending_again(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer a, b, c;
    submit(&rig, "a", &a);
    submit(&rig, "b", &b);
    expect_submit(&rig, 1, 1, "a");
    expect_submit(&rig, 2, 1, "b");
    hear(&rig, (struct message){.kind = MESSAGE_RESEND});
    expect_submit(&rig, 1, 1, "a");
    expect_submit(&rig, 2, 1, "b");
    expect_nothing(&rig);
    down(&rig);
    expect_state(&rig, CLIENT_SUSPENDED, SESSION);
    submit(&rig, "c", &c);
    expect_nothing(&rig);
    attach_again(&rig);
    expect_submit(&rig, 1, 1, "a");
    expect_submit(&rig, 2, 1, "b");
    expect_submit(&rig, 3, 1, "c");
    expect_nothing(&rig);
    rig_free(&rig);
}

/* A number whose caller has gone is kept as a no-op; whichever of the two was logged, the next number goes on. */
static void abandoned_numbers(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer a, b;
    submit(&rig, "a", &a);
    expect_submit(&rig, 1, 1, "a");
    pass_well(&rig, OP_MS);
    assert_true(a.count == 1 && a.code == ERR_OUTCOME_UNKNOWN);
    submit(&rig, "b", &b);
    expect_submit(&rig, 2, 2, "b");
    hear(&rig, (struct message){.kind = MESSAGE_RESEND});
    expect_submit(&rig, 1, 1, "noop");
    expect_submit(&rig, 2, 2, "b");
    applied(&rig, SESSION, 1, false);
    applied(&rig, SESSION, 2, false);
    expect_nothing(&rig);
    assert_true(a.count == 1 && b.count == 1 && b.code == ERR_OK);
    rig_free(&rig);
}

static void what_is_in_flight_is_bounded(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    static struct answer answers[LIMIT_IN_FLIGHT + 2];
    for (unsigned i = 0; i < LIMIT_IN_FLIGHT + 2; i++)
        assert_int_equal(submit(&rig, "x", &answers[i]), ERR_OK);
    for (unsigned i = 1; i <= LIMIT_IN_FLIGHT; i++)
        expect_submit(&rig, i, 1, "x");
    expect_nothing(&rig);
    applied(&rig, SESSION, 1, false);
    expect_submit(&rig, LIMIT_IN_FLIGHT + 1, 2, "x");
    expect_nothing(&rig);
    rig_free(&rig);
}

static void large_requests_wait_for_room(void **unused)
{
    (void)unused;
    static char large[LIMIT_ENTRY_BYTES + 1];
    struct rig rig = rig_attached();
    struct answer taken_answer, refused;
    unsigned sent = 0, taken = 0;
    memset(large, 'x', sizeof large - 1);
    for (; submit(&rig, large, &taken_answer) == ERR_OK; taken++)
        continue;
    while (next_action(&rig) != NULL)
        sent++;
    assert_int_equal(sent, 3); /* 4 MiB */
    assert_in_range(taken, 50, 66);
    assert_int_equal(submit(&rig, large, &refused), ERR_TOO_MANY);
    learner_close(rig.learner, rig.now_ms, &rig.output);
    while (next_action(&rig) != NULL)
        continue;
    assert_int_equal(refused.count, 0); /* it was refused at once, by the return value alone */
    rig_free(&rig);
}

static void withdrawing(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer sent, unsent, other;
    uint64_t ticket, sent_ticket;
    assert_int_equal(
        learner_submit(rig.learner, rig.now_ms, (struct bytes){"a", 1}, note, &sent, &sent_ticket, &rig.output),
        ERR_OK);
    down(&rig);
    assert_int_equal(
        learner_submit(rig.learner, rig.now_ms, (struct bytes){"b", 1}, note, &unsent, &ticket, &rig.output), ERR_OK);
    submit(&rig, "c", &other);
    assert_true(ticket > sent_ticket && sent_ticket > 0);
    sent = unsent = (struct answer){0};
    assert_false(learner_withdraw(rig.learner, rig.now_ms, sent_ticket, &rig.output));
    assert_true(learner_withdraw(rig.learner, rig.now_ms, ticket, &rig.output));
    assert_false(learner_withdraw(rig.learner, rig.now_ms, ticket, &rig.output));
    expect_submit(&rig, 1, 1, "a");
    expect_state(&rig, CLIENT_SUSPENDED, SESSION);
    expect_nothing(&rig);
    assert_true(unsent.count == 1 && unsent.code == ERR_INTERRUPTED && sent.count == 0);
    attach_again(&rig);
    expect_submit(&rig, 1, 1, "a");
    expect_submit(&rig, 2, 1, "c"); /* the withdrawn one has left no gap */
    rig_free(&rig);
}

/* --- the session's time --- */

/* The session is over at 7/8 of its timeout after the sending of the last heartbeat that was acknowledged, however late
 * the acknowledgement came. */
static void expiry_counts_from_the_sending(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct client_info info;
    struct answer answer, unsent;
    pass(&rig, LEARNER_HEARTBEAT_MAX_MS);
    uint64_t sent_ms = expect_send(&rig, MESSAGE_HEARTBEAT)->heartbeat.sent_ms;
    submit(&rig, "a", &answer);
    expect_submit(&rig, 1, 1, "a");
    stall(&rig, 1000);
    acknowledge(&rig, sent_ms);
    acknowledge(&rig, rig.now_ms + 5000); /* of a heartbeat never sent: worth nothing */
    learner_info(rig.learner, rig.now_ms, &info);
    assert_int_equal(info.remaining_ms, TIMEOUT_MS / 8 * 7 - 1000);
    stall(&rig, TIMEOUT_MS / 8 * 7 - 1000 - 1);
    learner_tick(rig.learner, rig.now_ms, &rig.output);
    assert_int_not_equal(state_of(&rig), CLIENT_EXPIRED);
    stall(&rig, 1);
    assert_int_equal(submit(&rig, "b", &unsent), ERR_OK); /* the client thread may yet find an acknowledgement … */
    learner_tick(rig.learner, rig.now_ms, &rig.output);   /* … but there is none */
    while (next_action(&rig) != NULL)
        continue;
    assert_int_equal(state_of(&rig), CLIENT_EXPIRED);
    assert_true(answer.count == 1 && answer.code == ERR_OUTCOME_UNKNOWN);
    assert_true(unsent.count == 1 && unsent.code == ERR_SESSION_EXPIRED);
    assert_int_equal(submit(&rig, "c", &answer), ERR_SESSION_EXPIRED);
    const struct message_attach *attach = &up(&rig)->attach;
    assert_true(attach->session == 0 && attach->nonce[0] == 2);
    struct message again = attached(&rig);
    again.attached.session = SESSION + 1;
    hear(&rig, again);
    expect_state(&rig, CLIENT_CONNECTED, SESSION + 1);
    expect_send(&rig, MESSAGE_HEARTBEAT);
    submit(&rig, "d", &answer);
    expect_submit(&rig, 1, 1, "d"); /* numbers begin again */
    rig_free(&rig);
}

/* A process that stood still finds the acknowledgement in the socket: the session goes on. Nothing gets a number
 * before that is known. */
static void a_stall_with_the_answer_waiting(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer answer;
    stall(&rig, 400);
    learner_tick(rig.learner, rig.now_ms, &rig.output);
    pass(&rig, 200);
    while (next_action(&rig) != NULL)
        continue;
    uint64_t sent_ms = rig.now_ms - 100;
    stall(&rig, TIMEOUT_MS / 8 * 7 - 300); /* past the expiry by what is known */
    submit(&rig, "a", &answer);
    expect_nothing(&rig);
    acknowledge(&rig, sent_ms);
    expect_submit(&rig, 1, 1, "a");
    learner_tick(rig.learner, rig.now_ms, &rig.output);
    assert_int_equal(state_of(&rig), CLIENT_CONNECTED);
    rig_free(&rig);
}

static void other_ends_of_a_session(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer answer;
    submit(&rig, "a", &answer);
    expect_submit(&rig, 1, 1, "a");
    struct entry entry = {.zxid = 1, .request = {.kind = OP_CLOSE_SESSION, .close_session = {SESSION, CLOSE_EXPIRED}}};
    learner_applied(rig.learner, rig.now_ms, &entry, &(struct result){0}, &rig.output); /* its entry is applied */
    expect_state(&rig, CLIENT_EXPIRED, SESSION);
    expect_drop(&rig, ERR_SESSION_EXPIRED);
    assert_true(answer.count == 1 && answer.code == ERR_OUTCOME_UNKNOWN);
    rig_free(&rig);

    rig = rig_attached();
    down(&rig);
    expect_state(&rig, CLIENT_SUSPENDED, SESSION);
    up(&rig);
    hear(&rig, (struct message){.kind = MESSAGE_REFUSED, .refused = {.code = ERR_SESSION_EXPIRED}});
    expect_state(&rig, CLIENT_EXPIRED, SESSION);
    expect_drop(&rig, ERR_SESSION_EXPIRED);
    rig_free(&rig);
}

static void heartbeats(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    applied(&rig, 0, 0, false);
    uint64_t last_ms = rig.now_ms;
    for (int i = 0; i < 5; i++) {
        assert_true(learner_deadline(rig.learner) <= last_ms + LEARNER_HEARTBEAT_MAX_MS);
        pass(&rig, LEARNER_HEARTBEAT_MAX_MS - 1);
        expect_nothing(&rig);
        pass(&rig, 1);
        const struct message_heartbeat *heartbeat = &expect_send(&rig, MESSAGE_HEARTBEAT)->heartbeat;
        assert_true(heartbeat->sent_ms == rig.now_ms && heartbeat->applied == 1);
        last_ms = rig.now_ms;
        acknowledge(&rig, last_ms);
    }
    rig_free(&rig);
}

/* --- without a leader --- */

/* Detached or attached: after two seconds of its own running time new requests are refused, and those without a number
 * fail; those with one wait on. Three seconds of standing still count as next to nothing. */
static void no_leader_for_two_seconds(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer sent, unsent, sync, late;
    submit(&rig, "a", &sent);
    expect_submit(&rig, 1, 1, "a");
    down(&rig);
    expect_state(&rig, CLIENT_SUSPENDED, SESSION);
    submit(&rig, "b", &unsent);
    sync = (struct answer){0};
    assert_int_equal(learner_sync(rig.learner, rig.now_ms, note, &sync, &rig.output), ERR_OK);
    stall(&rig, 3000);
    pass(&rig, NO_LEADER_GRACE_MS - LEARNER_LATE_MS - 50);
    expect_nothing(&rig);
    assert_true(unsent.count == 0 && learner_writable(rig.learner) == ERR_OK);
    pass(&rig, 2 * LEARNER_LATE_MS);
    expect_nothing(&rig);
    assert_true(unsent.count == 1 && unsent.code == ERR_NO_QUORUM && sync.count == 1 && sync.code == ERR_NO_QUORUM);
    assert_int_equal(sent.count, 0);
    assert_int_equal(learner_writable(rig.learner), ERR_NO_QUORUM);
    assert_int_equal(submit(&rig, "c", &late), ERR_NO_QUORUM);
    assert_int_equal(learner_sync(rig.learner, rig.now_ms, note, &sync, &rig.output), ERR_NO_QUORUM);
    attach_again(&rig);
    expect_submit(&rig, 1, 1, "a");
    assert_int_equal(learner_writable(rig.learner), ERR_OK);
    rig_free(&rig);

    rig = rig_attached(); /* a replica that is there and has no leader: it acknowledges nothing */
    pass(&rig, NO_LEADER_GRACE_MS + 100);
    while (next_action(&rig) != NULL)
        continue;
    assert_true(learner_writable(rig.learner) == ERR_NO_QUORUM && state_of(&rig) == CLIENT_SUSPENDED);
    acknowledge(&rig, rig.now_ms - 100);
    expect_state(&rig, CLIENT_CONNECTED, SESSION);
    assert_int_equal(learner_writable(rig.learner), ERR_OK);
    rig_free(&rig);
}

/* A replica whose disk is full keeps the session alive and takes no writes: as without a leader, but nothing expires.
 */
static void a_full_disk(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    for (int i = 0; i < 40; i++) {
        pass(&rig, 250);
        hear(&rig,
             (struct message){.kind = MESSAGE_HEARTBEAT_ACK, .heartbeat = {.sent_ms = rig.now_ms, .refusing = true}});
    }
    while (next_action(&rig) != NULL)
        continue;
    assert_true(learner_writable(rig.learner) == ERR_NO_QUORUM && state_of(&rig) == CLIENT_SUSPENDED);
    acknowledge(&rig, rig.now_ms);
    expect_state(&rig, CLIENT_CONNECTED, SESSION);
    rig_free(&rig);
}

/* --- syncs --- */

static void synced(struct rig *rig, uint64_t id, uint64_t zxid)
{
    hear(rig, (struct message){.kind = MESSAGE_SYNCED, .sync = {id, zxid}});
}

static void syncs(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer a = {0}, b = {0};
    learner_sync(rig.learner, rig.now_ms, note, &a, &rig.output);
    learner_sync(rig.learner, rig.now_ms, note, &b, &rig.output);
    uint64_t first = expect_send(&rig, MESSAGE_SYNC)->sync.id, second = expect_send(&rig, MESSAGE_SYNC)->sync.id;
    synced(&rig, second, 1);
    synced(&rig, second + 9, 1); /* nobody's */
    expect_nothing(&rig);
    assert_int_equal(b.count, 0); /* the tree is not there yet */
    applied(&rig, 0, 0, false);
    expect_nothing(&rig);
    assert_true(a.count == 0 && b.count == 1 && b.code == ERR_OK);
    down(&rig);
    expect_state(&rig, CLIENT_SUSPENDED, SESSION);
    attach_again(&rig);
    assert_int_equal(expect_send(&rig, MESSAGE_SYNC)->sync.id, first); /* asked again */
    pass_well(&rig, OP_MS);
    assert_true(a.count == 1 && a.code == ERR_OUTCOME_UNKNOWN);
    for (unsigned i = 0; i < LIMIT_SYNCS; i++)
        assert_int_equal(learner_sync(rig.learner, rig.now_ms, note, &a, &rig.output), ERR_OK);
    assert_int_equal(learner_sync(rig.learner, rig.now_ms, note, &a, &rig.output), ERR_TOO_MANY);
    rig_free(&rig);
}

/* --- observers and the end --- */

static void an_observer(void **unused)
{
    (void)unused;
    struct rig rig = rig_new(true);
    struct answer answer;
    assert_true(up(&rig)->attach.observer);
    struct message message = attached(&rig);
    message.attached.session = 0;
    message.attached.timeout_ms = 0;
    hear(&rig, message);
    expect_state(&rig, CLIENT_CONNECTED, 0);
    expect_send(&rig, MESSAGE_HEARTBEAT);
    assert_int_equal(submit(&rig, "a", &answer), ERR_READ_ONLY);
    pass_well(&rig, 10 * TIMEOUT_MS); /* nothing expires */
    learner_close(rig.learner, rig.now_ms, &rig.output);
    expect_state(&rig, CLIENT_CLOSED, 0);
    assert_true(learner_closed(rig.learner) && learner_deadline(rig.learner) == UINT64_MAX);
    rig_free(&rig);
}

static void closing(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer sent, late;
    submit(&rig, "a", &sent);
    expect_submit(&rig, 1, 1, "a");
    learner_close(rig.learner, rig.now_ms, &rig.output);
    expect_send(&rig, MESSAGE_DETACH);
    assert_int_equal(submit(&rig, "b", &late), ERR_SESSION_EXPIRED);
    applied(&rig, SESSION, 1, false);
    hear(&rig, (struct message){.kind = MESSAGE_DETACHED});
    expect_state(&rig, CLIENT_CLOSED, SESSION);
    assert_true(learner_closed(rig.learner) && sent.count == 1 && sent.code == ERR_OK);
    rig_free(&rig);

    rig = rig_attached(); /* the link goes meanwhile: said again on the next */
    learner_close(rig.learner, rig.now_ms, &rig.output);
    expect_send(&rig, MESSAGE_DETACH);
    down(&rig);
    expect_state(&rig, CLIENT_SUSPENDED, SESSION);
    up(&rig);
    hear(&rig, attached(&rig));
    expect_send(&rig, MESSAGE_DETACH);
    down(&rig);
    submit(&rig, "b", &late);
    pass(&rig, NO_LEADER_GRACE_MS + 100); /* and then nobody is there */
    assert_true(learner_closed(rig.learner));
    rig_free(&rig);

    rig = rig_new(false); /* there is no session yet */
    learner_close(rig.learner, rig.now_ms, &rig.output);
    assert_true(learner_closed(rig.learner));
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_attach),
        cmocka_unit_test(a_nonce_is_kept_for_half_a_timeout),
        cmocka_unit_test(who_must_not_be_followed),
        cmocka_unit_test(refusals),
        cmocka_unit_test(out_of_turn),
        cmocka_unit_test(a_snapshot_of_the_past),
        cmocka_unit_test(numbers_and_answers),
        cmocka_unit_test(sending_again),
        cmocka_unit_test(abandoned_numbers),
        cmocka_unit_test(what_is_in_flight_is_bounded),
        cmocka_unit_test(large_requests_wait_for_room),
        cmocka_unit_test(withdrawing),
        cmocka_unit_test(expiry_counts_from_the_sending),
        cmocka_unit_test(a_stall_with_the_answer_waiting),
        cmocka_unit_test(other_ends_of_a_session),
        cmocka_unit_test(heartbeats),
        cmocka_unit_test(no_leader_for_two_seconds),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(syncs),
        cmocka_unit_test(an_observer),
        cmocka_unit_test(closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
