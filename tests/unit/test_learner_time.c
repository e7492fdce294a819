/* The learner spoken to word by word: the session's time, and the time without a leader. */
#include "tests/support/learner_rig.h"

/* --- the session's time --- */

/* The session is over at 7/8 of its timeout after the sending of the last heartbeat that was acknowledged, however late
 * the acknowledgement came. */
static void expiry_counts_from_the_sending(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct client_info info;
    struct answer answer, unsent;
    rig_pass(&rig, LEARNER_HEARTBEAT_MAX_MS);
    uint64_t sent_ms = expect_send(&rig, MESSAGE_HEARTBEAT)->heartbeat.sent_ms;
    rig_submit(&rig, "a", &answer);
    expect_submit(&rig, 1, 1, "a");
    rig_stall(&rig, 1000);
    rig_acknowledge(&rig, sent_ms);
    rig_acknowledge(&rig, rig.now_ms + 5000); /* of a heartbeat never sent: worth nothing */
    learner_info(rig.learner, rig.now_ms, &info);
    assert_int_equal(info.remaining_ms, TIMEOUT_MS / 8 * 7 - 1000);
    rig_stall(&rig, TIMEOUT_MS / 8 * 7 - 1000 - 1);
    learner_tick(rig.learner, rig.now_ms, &rig.output);
    assert_int_not_equal(rig_state_of(&rig), CLIENT_EXPIRED);
    rig_stall(&rig, 1);
    assert_int_equal(rig_submit(&rig, "b", &unsent), ERR_OK); /* the client thread may yet find an acknowledgement … */
    learner_tick(rig.learner, rig.now_ms, &rig.output);       /* … but there is none */
    while (rig_next(&rig) != NULL)
        continue;
    assert_int_equal(rig_state_of(&rig), CLIENT_EXPIRED);
    assert_true(answer.count == 1 && answer.code == ERR_OUTCOME_UNKNOWN);
    assert_true(unsent.count == 1 && unsent.code == ERR_SESSION_EXPIRED);
    assert_int_equal(rig_submit(&rig, "c", &answer), ERR_SESSION_EXPIRED);
    assert_int_equal(rig_up(&rig)->attach.session, SESSION); /* to be closed: test_learner_former.c */
    rig_hear(&rig, (struct message){.kind = MESSAGE_REFUSED, .refused = {.code = ERR_SESSION_EXPIRED}});
    expect_drop(&rig, ERR_SESSION_EXPIRED);
    const struct message_attach *attach = &rig_up(&rig)->attach;
    assert_true(attach->session == 0 && attach->nonce[0] == 2);
    struct message again = rig_good_answer(&rig);
    again.attached.session = SESSION + 1;
    rig_hear(&rig, again);
    expect_state(&rig, CLIENT_CONNECTED, SESSION + 1);
    expect_send(&rig, MESSAGE_HEARTBEAT);
    rig_submit(&rig, "d", &answer);
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
    rig_stall(&rig, 400);
    learner_tick(rig.learner, rig.now_ms, &rig.output);
    rig_pass(&rig, 200);
    while (rig_next(&rig) != NULL)
        continue;
    uint64_t sent_ms = rig.now_ms - 100;
    rig_stall(&rig, TIMEOUT_MS / 8 * 7 - 300); /* past the expiry by what is known */
    rig_submit(&rig, "a", &answer);
    expect_nothing(&rig);
    rig_acknowledge(&rig, sent_ms);
    expect_submit(&rig, 1, 1, "a");
    learner_tick(rig.learner, rig.now_ms, &rig.output);
    assert_int_equal(rig_state_of(&rig), CLIENT_CONNECTED);
    rig_free(&rig);
}

static void other_ends_of_a_session(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer answer;
    rig_submit(&rig, "a", &answer);
    expect_submit(&rig, 1, 1, "a");
    struct entry entry = {.zxid = 1, .request = {.kind = OP_CLOSE_SESSION, .close_session = {SESSION, CLOSE_EXPIRED}}};
    learner_applied(rig.learner, rig.now_ms, &entry, &(struct result){0}, &rig.output); /* its entry is applied */
    expect_state(&rig, CLIENT_EXPIRED, SESSION);
    expect_drop(&rig, ERR_SESSION_EXPIRED);
    assert_true(answer.count == 1 && answer.code == ERR_OUTCOME_UNKNOWN);
    rig_free(&rig);

    rig = rig_attached();
    rig_down(&rig);
    expect_state(&rig, CLIENT_SUSPENDED, SESSION);
    rig_up(&rig);
    rig_hear(&rig, (struct message){.kind = MESSAGE_REFUSED, .refused = {.code = ERR_SESSION_EXPIRED}});
    expect_state(&rig, CLIENT_EXPIRED, SESSION);
    expect_drop(&rig, ERR_SESSION_EXPIRED);
    rig_free(&rig);
}

static void heartbeats(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    rig_applied(&rig, 0, 0, false);
    uint64_t last_ms = rig.now_ms;
    for (int i = 0; i < 5; i++) {
        assert_true(learner_deadline(rig.learner) <= last_ms + LEARNER_HEARTBEAT_MAX_MS);
        rig_pass(&rig, LEARNER_HEARTBEAT_MAX_MS - 1);
        expect_nothing(&rig);
        rig_pass(&rig, 1);
        const struct message_heartbeat *heartbeat = &expect_send(&rig, MESSAGE_HEARTBEAT)->heartbeat;
        assert_true(heartbeat->sent_ms == rig.now_ms && heartbeat->applied == 1);
        last_ms = rig.now_ms;
        rig_acknowledge(&rig, last_ms);
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
    rig_submit(&rig, "a", &sent);
    expect_submit(&rig, 1, 1, "a");
    rig_down(&rig);
    expect_state(&rig, CLIENT_SUSPENDED, SESSION);
    rig_submit(&rig, "b", &unsent);
    sync = (struct answer){0};
    assert_int_equal(learner_sync(rig.learner, rig.now_ms, rig_note, &sync, &rig.output), ERR_OK);
    rig_stall(&rig, 3000);
    rig_pass(&rig, NO_LEADER_GRACE_MS - LEARNER_LATE_MS - 50);
    expect_nothing(&rig);
    assert_true(unsent.count == 0 && learner_writable(rig.learner) == ERR_OK);
    rig_pass(&rig, 2 * LEARNER_LATE_MS);
    expect_nothing(&rig);
    assert_true(unsent.count == 1 && unsent.code == ERR_NO_QUORUM && sync.count == 1 && sync.code == ERR_NO_QUORUM);
    assert_int_equal(sent.count, 0);
    assert_int_equal(learner_writable(rig.learner), ERR_NO_QUORUM);
    assert_int_equal(rig_submit(&rig, "c", &late), ERR_NO_QUORUM);
    assert_int_equal(learner_sync(rig.learner, rig.now_ms, rig_note, &sync, &rig.output), ERR_NO_QUORUM);
    rig_attach_again(&rig);
    expect_submit(&rig, 1, 1, "a");
    assert_int_equal(learner_writable(rig.learner), ERR_OK);
    rig_free(&rig);

    rig = rig_attached(); /* a replica that is there and has no leader: it acknowledges nothing */
    rig_pass(&rig, NO_LEADER_GRACE_MS + 100);
    while (rig_next(&rig) != NULL)
        continue;
    assert_true(learner_writable(rig.learner) == ERR_NO_QUORUM && rig_state_of(&rig) == CLIENT_SUSPENDED);
    rig_acknowledge(&rig, rig.now_ms - 100);
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
        rig_pass(&rig, 250);
        rig_hear(&rig, (struct message){.kind = MESSAGE_HEARTBEAT_ACK,
                                        .heartbeat = {.sent_ms = rig.now_ms, .refusing = true}});
    }
    while (rig_next(&rig) != NULL)
        continue;
    assert_true(learner_writable(rig.learner) == ERR_NO_QUORUM && rig_state_of(&rig) == CLIENT_SUSPENDED);
    rig_acknowledge(&rig, rig.now_ms);
    expect_state(&rig, CLIENT_CONNECTED, SESSION);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expiry_counts_from_the_sending), cmocka_unit_test(a_stall_with_the_answer_waiting),
        cmocka_unit_test(other_ends_of_a_session),        cmocka_unit_test(heartbeats),
        cmocka_unit_test(no_leader_for_two_seconds),      cmocka_unit_test(a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
