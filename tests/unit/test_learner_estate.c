/* What a learner leaves when its process is killed: the next one goes on under the same session, sends what was under
 * way again under its own numbers, and whoever had asked finds what became of it by the tag. */
#include <string.h>

#include "fs/client/learner_estate.h"
#include "tests/support/learner_rig.h"

static struct client_estate estate;

static struct rig rig_with_estate(uint64_t now_ms)
{
    const struct learner_options options = {.session_timeout_ms = TIMEOUT_MS,
                                            .op_timeout_ms = OP_MS,
                                            .host = {"host", 4},
                                            .noop = {"noop", 4},
                                            .estate = &estate};
    return (struct rig){.learner = learner_new(&options, now_ms), .now_ms = now_ms, .commit = 100};
}

/* A first one, connected, that has sent "a" to "c" with the tags 11 to 13. */
static struct rig rig_at_work(struct answer answers[3])
{
    const char *requests[] = {"a", "b", "c"};
    memset(&estate, 0, sizeof estate);
    struct rig rig = rig_with_estate(1000);
    rig_up(&rig);
    rig_hear(&rig, rig_good_answer(&rig));
    expect_state(&rig, CLIENT_CONNECTED, SESSION);
    expect_send(&rig, MESSAGE_HEARTBEAT);
    for (uint64_t i = 0; i < 3; i++) {
        const struct client_terms terms = {.tag = 11 + i};
        uint64_t ticket;
        answers[i] = (struct answer){0};
        assert_int_equal(learner_submit_on(rig.learner, rig.now_ms, (struct bytes){requests[i], 1}, &terms, rig_note,
                                           &answers[i], &ticket, &rig.output),
                         ERR_OK);
        expect_submit(&rig, i + 1, 1, requests[i]);
    }
    return rig;
}

static void expect_found(uint64_t tag, int code, uint64_t zxid)
{
    struct result result;
    assert_true(estate_find(&estate, tag, &result));
    assert_int_equal(result.code, code);
    if (code == ERR_OK)
        assert_true(result.zxid >= zxid);
}

static void the_session_goes_on(void **unused)
{
    (void)unused;
    struct answer answers[3];
    struct result result;
    struct rig first = rig_at_work(answers);
    rig_applied(&first, SESSION, 1, false);
    expect_nothing(&first);
    assert_int_equal(answers[0].count, 1);
    uint64_t now_ms = first.now_ms;
    rig_free(&first); /* killed */

    struct rig next = rig_with_estate(now_ms + 50);
    assert_int_equal(rig_up(&next)->attach.session, SESSION);
    rig_hear(&next, rig_good_answer(&next));
    expect_state(&next, CLIENT_CONNECTED, SESSION);
    expect_send(&next, MESSAGE_HEARTBEAT);
    expect_submit(&next, 2, 2, "b");
    expect_submit(&next, 3, 2, "c");
    rig_applied(&next, SESSION, 2, false);
    assert_false(learner_ready(next.learner)); /* 3 is not known yet */
    rig_applied(&next, SESSION, 3, false);
    for (uint64_t tag = 11; tag <= 13; tag++)
        expect_found(tag, ERR_OK, 1);
    assert_false(estate_find(&estate, 14, &result));
    assert_false(estate_find(&estate, 0, &result));
    struct answer own;
    assert_int_equal(rig_submit(&next, "d", &own), ERR_OK);
    expect_submit(&next, 4, 4, "d");
    rig_free(&next);
}

/* One that was given up is no more than its number. */
static void what_was_abandoned_is_a_noop(void **unused)
{
    (void)unused;
    struct answer answers[3];
    struct rig first = rig_at_work(answers);
    rig_pass_well(&first, OP_MS + 1);
    assert_int_equal(answers[2].code, ERR_OUTCOME_UNKNOWN);
    uint64_t now_ms = first.now_ms;
    rig_free(&first);
    struct rig next = rig_with_estate(now_ms + 50);
    rig_up(&next);
    rig_hear(&next, rig_good_answer(&next));
    expect_state(&next, CLIENT_CONNECTED, SESSION);
    expect_send(&next, MESSAGE_HEARTBEAT);
    for (uint64_t number = 1; number <= 3; number++)
        expect_submit(&next, number, number, "noop");
    rig_free(&next);
}

static void expect_refused(struct rig *rig, struct message attached)
{
    rig_up(rig);
    rig_hear(rig, attached);
    expect_drop(rig, ERR_OTHER_CLUSTER);
    expect_nothing(rig);
}

/* What was shown is not taken back: no older history is followed, and no other cluster, whatever became of the session.
 */
static void nothing_older_is_followed(bool lost)
{
    struct answer answers[3];
    struct rig first = rig_at_work(answers);
    for (uint64_t number = 1; number <= 3; number++)
        rig_applied(&first, SESSION, number, false);
    const uint64_t shown = learner_applied_zxid(first.learner);
    if (lost) {
        rig_hear(&first, (struct message){.kind = MESSAGE_REFUSED, .refused = {.code = ERR_SESSION_EXPIRED}});
        expect_state(&first, CLIENT_EXPIRED, SESSION);
        expect_drop(&first, ERR_SESSION_EXPIRED);
    }
    uint64_t now_ms = first.now_ms;
    rig_free(&first);

    struct rig next = rig_with_estate(now_ms + 50);
    struct message other = rig_good_answer(&next);
    other.attached.cluster[0]++;
    expect_refused(&next, other);
    next.commit = shown - 1;
    expect_refused(&next, rig_good_answer(&next));
    next.commit = shown;
    const struct message_attach *attach = &rig_up(&next)->attach;
    assert_int_equal(attach->applied, 0); /* it has no tree yet */
    assert_int_equal(attach->seen, shown);
    rig_hear(&next, rig_good_answer(&next));
    expect_state(&next, CLIENT_CONNECTED, SESSION);
    rig_free(&next);
}

static void nothing_older_is_followed_under_the_session(void **unused)
{
    (void)unused;
    nothing_older_is_followed(false);
}

static void nothing_older_is_followed_under_another(void **unused)
{
    (void)unused;
    nothing_older_is_followed(true);
}

/* Nobody took over in time: nothing is sent under another session, and what was under way is not known. */
static void a_session_that_was_lost(void **unused)
{
    (void)unused;
    struct answer answers[3];
    struct rig first = rig_at_work(answers);
    uint64_t now_ms = first.now_ms;
    rig_free(&first);
    struct rig next = rig_with_estate(now_ms + 50);
    rig_up(&next);
    rig_hear(&next, (struct message){.kind = MESSAGE_REFUSED, .refused = {.code = ERR_SESSION_EXPIRED}});
    expect_state(&next, CLIENT_EXPIRED, SESSION);
    expect_drop(&next, ERR_SESSION_EXPIRED);
    for (uint64_t tag = 11; tag <= 13; tag++)
        expect_found(tag, ERR_OUTCOME_UNKNOWN, 0);
    assert_int_equal(rig_up(&next)->attach.session, 0);
    rig_hear(&next, rig_good_answer(&next));
    expect_state(&next, CLIENT_CONNECTED, SESSION);
    expect_send(&next, MESSAGE_HEARTBEAT);
    expect_nothing(&next);
    rig_free(&next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_session_goes_on),
        cmocka_unit_test(what_was_abandoned_is_a_noop),
        cmocka_unit_test(a_session_that_was_lost),
        cmocka_unit_test(nothing_older_is_followed_under_the_session),
        cmocka_unit_test(nothing_older_is_followed_under_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
