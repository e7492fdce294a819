/* The session that a killed process left behind is closed first; and requests that are heard of again after "outcome
 * unknown", or go under one session alone. */
#include <string.h>

#include "tests/support/learner_rig.h"

enum { FORMER = 55 };

static struct rig rig_with_former(void)
{
    struct client_identity former = {.session = FORMER, .cluster = {5}};
    memset(former.nonce, 0xaa, sizeof former.nonce);
    memset(former.secret, 0xbb, sizeof former.secret);
    const struct learner_options options = {.session_timeout_ms = TIMEOUT_MS,
                                            .op_timeout_ms = OP_MS,
                                            .host = {"host", 4},
                                            .noop = {"noop", 4},
                                            .former = &former};
    return (struct rig){.learner = learner_new(&options, 1000), .now_ms = 1000, .commit = 100};
}

static struct message former_answer(const struct rig *rig, bool snapshot)
{
    struct message answer = rig_good_answer(rig);
    answer.attached.session = FORMER;
    answer.attached.snapshot = snapshot;
    return answer;
}

static void expect_former(struct rig *rig)
{
    const struct message_attach *attach = &rig_up(rig)->attach;
    assert_int_equal(attach->session, FORMER);
    assert_int_equal(attach->nonce[0], 0xaa);
    assert_int_equal(attach->secret[15], 0xbb);
    assert_int_equal(attach->cluster[0], 5);
}

/* From then on as without a former one. */
static void expect_own(struct rig *rig)
{
    const struct message_attach *attach = &rig_up(rig)->attach;
    assert_int_equal(attach->session, 0);
    assert_int_not_equal(attach->nonce[0], 0xaa);
    rig_hear(rig, rig_good_answer(rig));
    expect_state(rig, CLIENT_CONNECTED, SESSION);
    expect_send(rig, MESSAGE_HEARTBEAT);
    expect_nothing(rig);
}

static void refuse(struct rig *rig, int code)
{
    rig_hear(rig, (struct message){.kind = MESSAGE_REFUSED, .refused = {.code = code}});
}

/* Closed at once; no state is told of it, and nothing is sent under it. */
static void the_former_session_is_closed_first(void **unused)
{
    (void)unused;
    struct rig rig = rig_with_former();
    struct answer answer;
    expect_former(&rig);
    rig_hear(&rig, former_answer(&rig, false));
    expect_send(&rig, MESSAGE_DETACH);
    assert_int_equal(rig_submit(&rig, "a", &answer), ERR_OK);
    rig_hear(&rig, (struct message){.kind = MESSAGE_RESEND});
    expect_nothing(&rig);
    assert_int_equal(rig_state_of(&rig), CLIENT_CONNECTING);
    assert_false(learner_ready(rig.learner));
    rig_hear(&rig, (struct message){.kind = MESSAGE_DETACHED});
    expect_drop(&rig, ERR_SESSION_EXPIRED);
    const struct message_attach *attach = &rig_up(&rig)->attach;
    assert_int_equal(attach->session, 0);
    rig_hear(&rig, rig_good_answer(&rig));
    expect_state(&rig, CLIENT_CONNECTED, SESSION);
    expect_send(&rig, MESSAGE_HEARTBEAT);
    expect_submit(&rig, 1, 1, "a");
    rig_free(&rig);
}

/* Given up in time, to the replicas it may live on. */
static void so_is_one_that_was_given_up(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    uint8_t nonce = rig.random;
    rig_pass(&rig, TIMEOUT_MS);
    while (rig_state_of(&rig) != CLIENT_EXPIRED)
        rig_pass(&rig, TIMEOUT_MS / 8);
    while (rig_next(&rig) != NULL)
        continue;
    const struct message_attach *attach = &rig_up(&rig)->attach;
    assert_int_equal(attach->session, SESSION);
    assert_int_equal(attach->nonce[0], nonce);
    rig_hear(&rig, rig_good_answer(&rig));
    expect_send(&rig, MESSAGE_DETACH);
    rig_hear(&rig, (struct message){.kind = MESSAGE_DETACHED});
    expect_drop(&rig, ERR_SESSION_EXPIRED);
    expect_own(&rig);
    rig_free(&rig);
}

/* The tree that comes with it is kept: whichever ends first, the closing or the copying. */
static void the_tree_is_copied_once(void **unused)
{
    (void)unused;
    for (int loaded_first = 0; loaded_first < 2; loaded_first++) {
        struct rig rig = rig_with_former();
        struct state *state = state_new();
        rig.commit = 0;
        expect_former(&rig);
        rig_hear(&rig, former_answer(&rig, true));
        expect_send(&rig, MESSAGE_DETACH);
        assert_int_equal(rig_hear(&rig, (struct message){.kind = MESSAGE_SNAPSHOT_BEGIN}), LEARNER_LOAD_BEGIN);
        if (!loaded_first)
            rig_hear(&rig, (struct message){.kind = MESSAGE_DETACHED});
        expect_nothing(&rig);
        assert_int_equal(rig_hear(&rig, (struct message){.kind = MESSAGE_SNAPSHOT_CHUNK}), LEARNER_LOAD_CHUNK);
        assert_int_equal(rig_hear(&rig, (struct message){.kind = MESSAGE_SNAPSHOT_END}), LEARNER_LOAD_END);
        learner_loaded(rig.learner, rig.now_ms, state, &rig.output);
        if (loaded_first) {
            expect_nothing(&rig);
            rig_hear(&rig, (struct message){.kind = MESSAGE_DETACHED});
        }
        expect_drop(&rig, ERR_SESSION_EXPIRED);
        expect_own(&rig);
        state_free(state);
        rig_free(&rig);
    }
}

/* A lost answer, a replica without a quorum: it is asked again. */
static void it_is_asked_until_it_is_known_to_be_closed(void **unused)
{
    (void)unused;
    struct rig rig = rig_with_former();
    expect_former(&rig);
    refuse(&rig, ERR_NO_QUORUM);
    expect_drop(&rig, ERR_NO_QUORUM);
    expect_former(&rig);
    rig_hear(&rig, former_answer(&rig, false));
    expect_send(&rig, MESSAGE_DETACH);
    rig_pass(&rig, LEARNER_ATTACH_MS);
    expect_drop(&rig, ERR_UNREACHABLE);
    expect_former(&rig);
    rig_hear(&rig, former_answer(&rig, false));
    expect_send(&rig, MESSAGE_DETACH);
    rig_down(&rig);
    expect_former(&rig);
    rig_pass(&rig, LEARNER_ATTACH_MS);
    expect_drop(&rig, ERR_UNREACHABLE);
    expect_former(&rig);
    refuse(&rig, ERR_SESSION_EXPIRED); /* so the close had come through */
    expect_drop(&rig, ERR_SESSION_EXPIRED);
    expect_own(&rig);
    rig_free(&rig);
}

/* One that cannot be closed by us does not keep us from a session of our own. */
static void one_that_is_not_ours_is_let_be(void **unused)
{
    static const int codes[] = {ERR_ACCESS, ERR_OTHER_CLUSTER, ERR_NO_SESSION};
    (void)unused;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct rig rig = rig_with_former();
        expect_former(&rig);
        refuse(&rig, codes[i]);
        expect_drop(&rig, ERR_SESSION_EXPIRED);
        expect_own(&rig);
        rig_free(&rig);
    }
}

static void an_answer_for_another_session(void **unused)
{
    (void)unused;
    struct rig rig = rig_with_former();
    expect_former(&rig);
    rig_hear(&rig, rig_good_answer(&rig));
    expect_drop(&rig, ERR_BAD_FORMAT);
    expect_former(&rig);
    rig_free(&rig);
}

/* --- the terms of a request --- */

static int submit_on(struct rig *rig, const struct client_terms *terms, struct answer *answer)
{
    uint64_t ticket;
    *answer = (struct answer){0};
    return learner_submit_on(rig->learner, rig->now_ms, (struct bytes){"a", 1}, terms, rig_note, answer, &ticket,
                             &rig->output);
}

static void under_one_session_alone(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer answer;
    struct client_identity identity;
    learner_identity(rig.learner, &identity);
    assert_int_equal(identity.session, SESSION);
    assert_int_equal(identity.nonce[0], rig.random);
    assert_int_equal(submit_on(&rig, &(struct client_terms){.session = SESSION}, &answer), ERR_OK);
    expect_submit(&rig, 1, 1, "a");
    assert_int_equal(submit_on(&rig, &(struct client_terms){.session = SESSION - 1}, &answer), ERR_SESSION_EXPIRED);
    expect_nothing(&rig);
    assert_int_equal(answer.count, 0);
    rig_free(&rig);
}

/* Told to be unknown, then what it was; its number counts as awaited so long, for the result to be kept. */
static void heard_of_again(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer late, other;
    submit_on(&rig, &(struct client_terms){.late = true}, &late);
    expect_submit(&rig, 1, 1, "a");
    rig_pass_well(&rig, OP_MS);
    assert_true(late.count == 1 && late.code == ERR_OUTCOME_UNKNOWN);
    rig_submit(&rig, "b", &other);
    expect_submit(&rig, 2, 1, "b");
    rig_applied(&rig, SESSION, 1, false);
    expect_nothing(&rig);
    assert_true(late.count == 2 && late.code == ERR_OK && late.id == 1);
    rig_free(&rig);
}

/* In time: once. Lost with the session: twice, whether it was told to be unknown before or not. */
static void how_often_it_is_heard_of(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer in_time, told, lost;
    submit_on(&rig, &(struct client_terms){.late = true}, &in_time);
    expect_submit(&rig, 1, 1, "a");
    rig_applied(&rig, SESSION, 1, false);
    expect_nothing(&rig);
    assert_true(in_time.count == 1 && in_time.code == ERR_OK);
    submit_on(&rig, &(struct client_terms){.late = true}, &told);
    expect_submit(&rig, 2, 2, "a");
    rig_pass_well(&rig, OP_MS);
    submit_on(&rig, &(struct client_terms){.late = true}, &lost);
    expect_submit(&rig, 3, 2, "a");
    refuse(&rig, ERR_SESSION_EXPIRED);
    expect_state(&rig, CLIENT_EXPIRED, SESSION);
    expect_drop(&rig, ERR_SESSION_EXPIRED);
    expect_nothing(&rig);
    assert_true(told.count == 2 && told.code == ERR_OUTCOME_UNKNOWN);
    assert_true(lost.count == 2 && lost.code == ERR_OUTCOME_UNKNOWN);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_former_session_is_closed_first),
        cmocka_unit_test(so_is_one_that_was_given_up),
        cmocka_unit_test(the_tree_is_copied_once),
        cmocka_unit_test(it_is_asked_until_it_is_known_to_be_closed),
        cmocka_unit_test(one_that_is_not_ours_is_let_be),
        cmocka_unit_test(an_answer_for_another_session),
        cmocka_unit_test(under_one_session_alone),
        cmocka_unit_test(heard_of_again),
        cmocka_unit_test(how_often_it_is_heard_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
