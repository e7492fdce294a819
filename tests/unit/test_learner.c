/* The learner spoken to word by word: attaching, numbers, syncs, the end. test_learner_time.c has what depends on time;
 * test_learner_sim.c shows that it all holds together. */
#include "tests/support/learner_rig.h"

#include <string.h>

/* --- attaching --- */

static void the_first_attach(void **unused)
{
    (void)unused;
    struct rig rig = rig_new(false);
    const struct message_attach *attach = &rig_up(&rig)->attach;
    assert_int_equal(attach->session, 0);
    assert_int_equal(attach->applied, 0);
    assert_int_equal(attach->nonce[0], 1);
    assert_int_equal(attach->timeout_ms, TIMEOUT_MS);
    assert_memory_equal(attach->host.at, "host", 4);
    assert_int_equal(attach->pid, 9);
    assert_true(attach->state_version_min <= attach->state_version_max);
    rig_hear(&rig, rig_good_answer(&rig));
    expect_state(&rig, CLIENT_CONNECTED, SESSION);
    assert_int_equal(expect_send(&rig, MESSAGE_HEARTBEAT)->heartbeat.sent_ms, rig.now_ms);
    expect_nothing(&rig);
    assert_false(learner_ready(rig.learner));
    for (uint64_t zxid = 1; zxid <= 100; zxid++)
        rig_applied(&rig, 0, 0, false);
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
    assert_int_equal(rig_up(&rig)->attach.nonce[0], 1);
    rig_down(&rig);
    rig_stall(&rig, TIMEOUT_MS / 2 - 1);
    assert_int_equal(rig_up(&rig)->attach.nonce[0], 1);
    rig_hear(&rig, rig_good_answer(&rig));
    learner_info(rig.learner, rig.now_ms, &info);
    assert_int_equal(info.remaining_ms, TIMEOUT_MS / 8 * 7 - (TIMEOUT_MS / 2 - 1));
    rig_free(&rig);

    rig = rig_new(false);
    rig_up(&rig);
    rig_down(&rig);
    rig_stall(&rig, TIMEOUT_MS / 2);
    assert_int_equal(rig_up(&rig)->attach.nonce[0], 2);
    rig_free(&rig);
}

static void who_must_not_be_followed(void **unused)
{
    (void)unused;
    const int codes[] = {ERR_OTHER_CLUSTER, ERR_OTHER_CLUSTER, ERR_BAD_FORMAT, ERR_BAD_FORMAT, ERR_BAD_FORMAT};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct rig rig = rig_attached();
        for (int zxid = 1; zxid <= 100; zxid++)
            rig_applied(&rig, 0, 0, false);
        rig_down(&rig);
        expect_state(&rig, CLIENT_SUSPENDED, SESSION);
        const struct message_attach *attach = &rig_up(&rig)->attach;
        assert_true(attach->session == SESSION && attach->applied == 100 && attach->cluster[0] == 5);
        struct message message = rig_good_answer(&rig);
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
        rig_hear(&rig, message);
        expect_drop(&rig, codes[i]);
        assert_int_equal(rig_state_of(&rig), CLIENT_SUSPENDED);
        rig_attach_again(&rig); /* a good one is followed all the same */
        rig_free(&rig);
    }
}

static void refusals(void **unused)
{
    (void)unused;
    struct rig rig = rig_new(false);
    rig_up(&rig);
    rig_hear(&rig, (struct message){.kind = MESSAGE_REFUSED, .refused = {.code = ERR_NO_QUORUM}});
    expect_drop(&rig, ERR_NO_QUORUM);
    rig_up(&rig);
    rig_pass(&rig, LEARNER_ATTACH_MS - 1);
    expect_nothing(&rig);
    rig_pass(&rig, 1);
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
        rig_up(&rig);
        assert_int_equal(rig_hear(&rig, (struct message){.kind = before[i]}), LEARNER_NOTHING);
        expect_drop(&rig, ERR_BAD_FORMAT);
        rig_free(&rig);
    }
    const enum message_kind after[] = {MESSAGE_ATTACHED,     MESSAGE_ATTACH,   MESSAGE_SNAPSHOT_CHUNK,
                                       MESSAGE_SNAPSHOT_END, MESSAGE_DETACHED, MESSAGE_SUBMIT};
    for (size_t i = 0; i < sizeof after / sizeof after[0]; i++) {
        struct rig rig = rig_attached();
        assert_int_equal(rig_hear(&rig, (struct message){.kind = after[i]}), LEARNER_NOTHING);
        expect_drop(&rig, ERR_BAD_FORMAT);
        assert_int_equal(rig_hear(&rig, (struct message){.kind = MESSAGE_ENTRIES}), LEARNER_NOTHING); /* a leftover */
        rig_free(&rig);
    }
    struct rig rig = rig_attached();
    assert_int_equal(rig_hear(&rig, (struct message){.kind = MESSAGE_SNAPSHOT_BEGIN}), LEARNER_LOAD_BEGIN);
    rig_hear(&rig, (struct message){.kind = MESSAGE_ENTRIES}); /* in the middle of a snapshot */
    expect_drop(&rig, ERR_BAD_FORMAT);
    rig_free(&rig);
}

static void a_snapshot_of_the_past(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    rig_applied(&rig, 0, 0, false);
    rig_applied(&rig, 0, 0, false);
    struct message begin = {.kind = MESSAGE_SNAPSHOT_BEGIN, .snapshot_begin = {.zxid = 1}};
    assert_int_equal(rig_hear(&rig, begin), LEARNER_NOTHING);
    expect_drop(&rig, ERR_OTHER_CLUSTER);
    rig_free(&rig);
}

/* --- numbers --- */

static void numbers_and_answers(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer a, b, c;
    assert_int_equal(rig_submit(&rig, "a", &a), ERR_OK);
    expect_submit(&rig, 1, 1, "a");
    assert_int_equal(rig_submit(&rig, "b", &b), ERR_OK);
    expect_submit(&rig, 2, 1, "b");
    rig_applied(&rig, SESSION, 1, false);
    expect_nothing(&rig);
    assert_true(a.count == 1 && a.code == ERR_OK && a.id == 1 && b.count == 0);
    rig_applied(&rig, SESSION, 1, true);      /* logged twice: no result */
    rig_applied(&rig, SESSION + 1, 2, false); /* another session's */
    expect_nothing(&rig);
    assert_int_equal(b.count, 0);
    assert_int_equal(rig_submit(&rig, "c", &c), ERR_OK);
    expect_submit(&rig, 3, 2, "c");
    rig_applied(&rig, SESSION, 2, false);
    rig_applied(&rig, SESSION, 3, false);
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
    rig_submit(&rig, "a", &a);
    rig_submit(&rig, "b", &b);
    expect_submit(&rig, 1, 1, "a");
    expect_submit(&rig, 2, 1, "b");
    rig_hear(&rig, (struct message){.kind = MESSAGE_RESEND});
    expect_submit(&rig, 1, 1, "a");
    expect_submit(&rig, 2, 1, "b");
    expect_nothing(&rig);
    rig_down(&rig);
    expect_state(&rig, CLIENT_SUSPENDED, SESSION);
    rig_submit(&rig, "c", &c);
    expect_nothing(&rig);
    rig_attach_again(&rig);
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
    rig_submit(&rig, "a", &a);
    expect_submit(&rig, 1, 1, "a");
    rig_pass_well(&rig, OP_MS);
    assert_true(a.count == 1 && a.code == ERR_OUTCOME_UNKNOWN);
    rig_submit(&rig, "b", &b);
    expect_submit(&rig, 2, 2, "b");
    rig_hear(&rig, (struct message){.kind = MESSAGE_RESEND});
    expect_submit(&rig, 1, 1, "noop");
    expect_submit(&rig, 2, 2, "b");
    rig_applied(&rig, SESSION, 1, false);
    rig_applied(&rig, SESSION, 2, false);
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
        assert_int_equal(rig_submit(&rig, "x", &answers[i]), ERR_OK);
    for (unsigned i = 1; i <= LIMIT_IN_FLIGHT; i++)
        expect_submit(&rig, i, 1, "x");
    for (unsigned i = 1; i <= LIMIT_IN_FLIGHT - LEARNER_GATHER_FROM; i++) {
        expect_nothing(&rig);
        rig_applied(&rig, SESSION, i, false);
    }
    expect_nothing(&rig);
    rig_applied(&rig, SESSION, LIMIT_IN_FLIGHT - LEARNER_GATHER_FROM + 1, false);
    expect_submit(&rig, LIMIT_IN_FLIGHT + 1, LIMIT_IN_FLIGHT - LEARNER_GATHER_FROM + 2, "x");
    expect_submit(&rig, LIMIT_IN_FLIGHT + 2, LIMIT_IN_FLIGHT - LEARNER_GATHER_FROM + 2, "x");
    expect_nothing(&rig);
    rig_free(&rig);
}

/* The first few go at once; what comes while they are under way goes together: when it is as many, or when they are
 * answered. */
static void what_comes_meanwhile_is_gathered(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    static struct answer answers[4 * LEARNER_GATHER_FROM];
    unsigned asked = 0, sent = 0;
    while (asked < LEARNER_GATHER_FROM) {
        rig_submit(&rig, "x", &answers[asked++]);
        expect_submit(&rig, ++sent, 1, "x");
    }
    while (asked < 2 * LEARNER_GATHER_FROM) {
        expect_nothing(&rig);
        rig_submit(&rig, "x", &answers[asked++]);
    }
    while (sent < asked)
        expect_submit(&rig, ++sent, 1, "x");
    rig_submit(&rig, "x", &answers[asked++]);
    rig_submit(&rig, "x", &answers[asked++]);
    for (unsigned answered = 1; answered <= LEARNER_GATHER_FROM + 1; answered++) {
        expect_nothing(&rig);
        rig_applied(&rig, SESSION, answered, false);
    }
    while (sent < asked)
        expect_submit(&rig, ++sent, LEARNER_GATHER_FROM + 2, "x");
    expect_nothing(&rig);
    rig_free(&rig);
}

/* A signal, or the end, finds it as good as sent: a call that could have been done must not end by EINTR. */
static void what_is_gathered_is_not_withdrawn(void **unused)
{
    (void)unused;
    for (int closes = 0; closes < 2; closes++) {
        struct rig rig = rig_attached();
        static struct answer answers[LEARNER_GATHER_FROM + 2];
        uint64_t tickets[LEARNER_GATHER_FROM + 2], number = 0;
        for (unsigned i = 0; i < LEARNER_GATHER_FROM + 2; i++)
            assert_int_equal(learner_submit(rig.learner, rig.now_ms, (struct bytes){"x", 1}, rig_note, &answers[i],
                                            &tickets[i], &rig.output),
                             ERR_OK);
        while (number < LEARNER_GATHER_FROM)
            expect_submit(&rig, ++number, 1, "x");
        expect_nothing(&rig);
        if (closes)
            learner_close(rig.learner, rig.now_ms, &rig.output);
        else
            assert_false(learner_withdraw(rig.learner, rig.now_ms, tickets[LEARNER_GATHER_FROM + 1], &rig.output));
        expect_submit(&rig, ++number, 1, "x");
        expect_submit(&rig, ++number, 1, "x");
        if (closes)
            expect_send(&rig, MESSAGE_DETACH);
        expect_nothing(&rig);
        rig_free(&rig);
    }
}

/* A replica that is slow to answer, or has no leader, does not keep them for long: a number that was given is waited
 * for, without one they would be refused. */
static void nothing_is_gathered_for_long(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    static struct answer answers[LEARNER_GATHER_FROM + 1];
    for (unsigned i = 0; i < LEARNER_GATHER_FROM + 1; i++)
        rig_submit(&rig, "x", &answers[i]);
    for (unsigned i = 1; i <= LEARNER_GATHER_FROM; i++)
        expect_submit(&rig, i, 1, "x");
    expect_nothing(&rig);
    rig.now_ms += LEARNER_HEARTBEAT_MAX_MS;
    learner_tick(rig.learner, rig.now_ms, &rig.output);
    expect_send(&rig, MESSAGE_HEARTBEAT);
    expect_submit(&rig, LEARNER_GATHER_FROM + 1, 1, "x");
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
    for (; rig_submit(&rig, large, &taken_answer) == ERR_OK; taken++)
        continue;
    while (rig_next(&rig) != NULL)
        sent++;
    assert_int_equal(sent, 3); /* 4 MiB */
    assert_in_range(taken, 50, 66);
    assert_int_equal(rig_submit(&rig, large, &refused), ERR_TOO_MANY);
    learner_close(rig.learner, rig.now_ms, &rig.output);
    while (rig_next(&rig) != NULL)
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
        learner_submit(rig.learner, rig.now_ms, (struct bytes){"a", 1}, rig_note, &sent, &sent_ticket, &rig.output),
        ERR_OK);
    rig_down(&rig);
    assert_int_equal(
        learner_submit(rig.learner, rig.now_ms, (struct bytes){"b", 1}, rig_note, &unsent, &ticket, &rig.output),
        ERR_OK);
    rig_submit(&rig, "c", &other);
    assert_true(ticket > sent_ticket && sent_ticket > 0);
    sent = unsent = (struct answer){0};
    assert_false(learner_withdraw(rig.learner, rig.now_ms, sent_ticket, &rig.output));
    assert_true(learner_withdraw(rig.learner, rig.now_ms, ticket, &rig.output));
    assert_false(learner_withdraw(rig.learner, rig.now_ms, ticket, &rig.output));
    expect_submit(&rig, 1, 1, "a");
    expect_state(&rig, CLIENT_SUSPENDED, SESSION);
    expect_nothing(&rig);
    assert_true(unsent.count == 1 && unsent.code == ERR_INTERRUPTED && sent.count == 0);
    rig_attach_again(&rig);
    expect_submit(&rig, 1, 1, "a");
    expect_submit(&rig, 2, 1, "c"); /* the withdrawn one has left no gap */
    rig_free(&rig);
}

/* --- syncs --- */

static void synced(struct rig *rig, uint64_t id, uint64_t zxid)
{
    rig_hear(rig, (struct message){.kind = MESSAGE_SYNCED, .sync = {id, zxid}});
}

static void syncs(void **unused)
{
    (void)unused;
    struct rig rig = rig_attached();
    struct answer a = {0}, b = {0};
    learner_sync(rig.learner, rig.now_ms, rig_note, &a, &rig.output);
    learner_sync(rig.learner, rig.now_ms, rig_note, &b, &rig.output);
    uint64_t first = expect_send(&rig, MESSAGE_SYNC)->sync.id, second = expect_send(&rig, MESSAGE_SYNC)->sync.id;
    synced(&rig, second, 1);
    synced(&rig, second + 9, 1); /* nobody's */
    expect_nothing(&rig);
    assert_int_equal(b.count, 0); /* the tree is not there yet */
    rig_applied(&rig, 0, 0, false);
    expect_nothing(&rig);
    assert_true(a.count == 0 && b.count == 1 && b.code == ERR_OK);
    rig_down(&rig);
    expect_state(&rig, CLIENT_SUSPENDED, SESSION);
    rig_attach_again(&rig);
    assert_int_equal(expect_send(&rig, MESSAGE_SYNC)->sync.id, first); /* asked again */
    rig_pass_well(&rig, OP_MS);
    assert_true(a.count == 1 && a.code == ERR_OUTCOME_UNKNOWN);
    for (unsigned i = 0; i < LIMIT_SYNCS; i++)
        assert_int_equal(learner_sync(rig.learner, rig.now_ms, rig_note, &a, &rig.output), ERR_OK);
    assert_int_equal(learner_sync(rig.learner, rig.now_ms, rig_note, &a, &rig.output), ERR_TOO_MANY);
    rig_free(&rig);
}

/* --- observers and the end --- */

static void an_observer(void **unused)
{
    (void)unused;
    struct rig rig = rig_new(true);
    struct answer answer;
    assert_true(rig_up(&rig)->attach.observer);
    struct message message = rig_good_answer(&rig);
    message.attached.session = 0;
    message.attached.timeout_ms = 0;
    rig_hear(&rig, message);
    expect_state(&rig, CLIENT_CONNECTED, 0);
    expect_send(&rig, MESSAGE_HEARTBEAT);
    assert_int_equal(rig_submit(&rig, "a", &answer), ERR_READ_ONLY);
    rig_pass_well(&rig, 10 * TIMEOUT_MS); /* nothing expires */
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
    rig_submit(&rig, "a", &sent);
    expect_submit(&rig, 1, 1, "a");
    learner_close(rig.learner, rig.now_ms, &rig.output);
    expect_send(&rig, MESSAGE_DETACH);
    assert_int_equal(rig_submit(&rig, "b", &late), ERR_SESSION_EXPIRED);
    rig_applied(&rig, SESSION, 1, false);
    rig_hear(&rig, (struct message){.kind = MESSAGE_DETACHED});
    expect_state(&rig, CLIENT_CLOSED, SESSION);
    assert_true(learner_closed(rig.learner) && sent.count == 1 && sent.code == ERR_OK);
    rig_free(&rig);

    rig = rig_attached(); /* the link goes meanwhile: said again on the next */
    learner_close(rig.learner, rig.now_ms, &rig.output);
    expect_send(&rig, MESSAGE_DETACH);
    rig_down(&rig);
    expect_state(&rig, CLIENT_SUSPENDED, SESSION);
    rig_up(&rig);
    rig_hear(&rig, rig_good_answer(&rig));
    expect_send(&rig, MESSAGE_DETACH);
    rig_down(&rig);
    rig_submit(&rig, "b", &late);
    rig_pass(&rig, NO_LEADER_GRACE_MS + 100); /* and then nobody is there */
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
        cmocka_unit_test(what_comes_meanwhile_is_gathered),
        cmocka_unit_test(what_is_gathered_is_not_withdrawn),
        cmocka_unit_test(nothing_is_gathered_for_long),
        cmocka_unit_test(large_requests_wait_for_room),
        cmocka_unit_test(withdrawing),
        cmocka_unit_test(syncs),
        cmocka_unit_test(an_observer),
        cmocka_unit_test(closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
