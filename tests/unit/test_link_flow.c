/* What flows over a link: how soon an end learns of loss, silence and a full queue, and what credit, pieces and
 * acknowledgements cost. */
#include "replica/net/frame.h"
#include "replica/net/link_internal.h"
#include "tests/support/link_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- what is lost --- */

static void a_duplicate_is_dropped_quietly(void **state)
{
    (void)state;
    size_t len;
    pair_open();
    pair_say(&pair.client, "once");
    uint8_t frame[256];
    memcpy(frame, relay_last(pair.relay, LINK_CLIENT, &len), sizeof frame);
    for (int i = 0; i < 5; i++)
        relay_inject(pair.relay, LINK_REPLICA, frame, len);
    pair_wait(1);
    assert_int_equal(pair.replica.messages, 1);
    pair_assert_undisturbed();
}

static void a_gap_resets_the_link_at_once(void **state)
{
    (void)state;
    pair_open();
    relay_cut_side(pair.relay, LINK_CLIENT, true);
    pair_say(&pair.client, "lost");
    relay_cut_side(pair.relay, LINK_CLIENT, false);
    pair_say(&pair.client, "after the gap");
    pair_wait(0);
    assert_int_equal(pair.replica.messages, 0);
    assert_int_equal(pair.replica.downs, 1);
    assert_int_equal(pair.replica.code, ERR_IO);
    assert_true(relay_run(pair.relay, LINK_PING_MS, pair_up, NULL));
    assert_int_equal(pair.client.downs, 1);
    assert_int_equal(pair.client.ups, 2);
    pair_wait(LINK_SILENCE_MS);
    assert_int_equal(pair.replica.messages, 0); /* nothing of the old link comes after its end */
    assert_true(pair_up(NULL));
}

static void a_lost_tail_shows_with_the_next_ping(void **state)
{
    (void)state;
    pair_open();
    pair_wait(100);
    relay_cut_side(pair.relay, LINK_CLIENT, true);
    pair_say(&pair.client, "lost, and nothing follows");
    relay_cut_side(pair.relay, LINK_CLIENT, false);
    pair_wait(LINK_PING_MS + 1);
    assert_int_equal(pair.replica.downs, 1);
    assert_int_equal(pair.client.downs, 1);
    assert_true(relay_run(pair.relay, 100, pair_up, NULL));
}

static void silence_is_noticed_in_time_and_healed(void **state)
{
    (void)state;
    pair_open();
    const uint64_t cut_ms = relay_now_ms(pair.relay);
    relay_cut_side(pair.relay, LINK_CLIENT, true);
    relay_cut_side(pair.relay, LINK_REPLICA, true);
    pair_wait(LINK_SILENCE_MS + 2 * LINK_PING_MS);
    assert_int_equal(pair.replica.downs, 1);
    assert_int_equal(pair.replica.code, ERR_UNREACHABLE);
    assert_int_equal(pair.client.code, ERR_UNREACHABLE);
    assert_in_range(pair.replica.down_ms - cut_ms, LINK_SILENCE_MS - LINK_PING_MS, LINK_SILENCE_MS + LINK_PING_MS);
    relay_cut_side(pair.relay, LINK_CLIENT, false);
    relay_cut_side(pair.relay, LINK_REPLICA, false);
    assert_true(relay_run(pair.relay, LINK_HANDSHAKE_MS, pair_up, NULL));
}

/* 10 s in which neither process ran are not 10 s in which the other was silent. */
static void a_stall_of_the_machine_is_not_silence(void **state)
{
    (void)state;
    pair_open();
    for (int i = 0; i < 5; i++) {
        relay_stall(pair.relay, 10000);
        pair_wait(LINK_PING_MS);
    }
    pair_assert_undisturbed();
}

static void a_quiet_link_stays_up_on_pings_alone(void **state)
{
    (void)state;
    pair_open();
    pair_wait(100); /* the acknowledgement of CONFIRM */
    const uint64_t frames = pair_frames();
    pair_wait(3600 * 1000);
    assert_int_equal(pair.client.downs + pair.replica.downs, 0);
    assert_in_range(pair_frames() - frames, 7200, 14500); /* two a second from each side */
}

static void a_lost_carrier_opens_anew_at_once(void **state)
{
    (void)state;
    pair_open();
    pair_wait(1000);
    link_carrier_lost(pair.client.link, relay_now_ms(pair.relay));
    assert_int_equal(pair.client.code, ERR_IO);
    link_tick(pair.client.link, relay_now_ms(pair.relay));
    pair_wait(0);
    assert_int_equal(pair.client.ups, 2);
    assert_int_equal(pair.replica.ups, 2); /* the newer link replaced the older */
    assert_int_equal(pair.replica.downs, 1);
}

static void closing_is_heard(void **state)
{
    (void)state;
    pair_open();
    pair_say(&pair.client, "last words");
    link_close(pair.client.link, relay_now_ms(pair.relay));
    pair_wait(1);
    pair_assert_heard(&pair.replica, "last words");
    assert_int_equal(pair.replica.code, ERR_UNREACHABLE);
    assert_int_equal(link_state(pair.replica.link), LINK_CLOSED);
    pair_wait(10000);
    assert_int_equal(link_state(pair.client.link), LINK_CLOSED);
    assert_int_equal(pair.client.ups, 1);
    assert_int_equal(pair.client.downs, 0);
    assert_int_equal(pair_say(&pair.client, "no"), ERR_UNREACHABLE);
}

/* --- sizes, credit, acknowledgements --- */

static void messages_of_every_size_arrive_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,
                                   1,
                                   FRAME_BODY_BYTES - 1,
                                   FRAME_BODY_BYTES,
                                   FRAME_BODY_BYTES + 1,
                                   LIMIT_CREDIT_BYTES,
                                   LIMIT_CREDIT_BYTES + 1,
                                   LIMIT_CHUNK_BYTES,
                                   LIMIT_MESSAGE_BYTES};
    uint8_t *message = calloc(1, LIMIT_MESSAGE_BYTES);
    pair_open();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(link_send(pair.client.link, message, sizes[i], relay_now_ms(pair.relay)), ERR_OK);
        pair_wait(1);
        assert_int_equal(pair.replica.messages, i + 1);
        assert_int_equal(pair.replica.last_len, sizes[i]);
    }
    free(message);
    pair_assert_undisturbed();
}

static void send_more(struct pair_side *side, const char *text)
{
    assert_int_equal(link_send_more(side->link, text, strlen(text)), ERR_OK);
}

static void small_messages_go_together(void **state)
{
    (void)state;
    uint8_t *message = calloc(1, FRAME_BODY_BYTES);
    pair_open();
    pair_wait(100);
    uint64_t frames = pair_frames();
    send_more(&pair.client, "one");
    send_more(&pair.client, "");
    assert_int_equal(pair_frames() - frames, 0);
    pair_say(&pair.client, "three");
    assert_int_equal(pair_frames() - frames, 1);
    pair_wait(0);
    assert_int_equal(pair.replica.messages, 3);
    pair_assert_heard(&pair.replica, "three");

    frames = pair_frames();
    for (int i = 0; i < 500; i++) /* 15 of these go into a frame */
        link_send_more(pair.client.link, message, 1024);
    link_send_more(pair.client.link, message, FRAME_BODY_BYTES);
    pair_say(&pair.client, "last");
    pair_wait(100);
    assert_int_equal(pair.replica.messages, 3 + 502);
    pair_assert_heard(&pair.replica, "last");
    assert_in_range(pair_frames() - frames, 500 / 15 + 2, 500 / 15 + 30); /* the other end's acknowledgements as well */
    free(message);
    pair_assert_undisturbed();
}

static void nothing_of_a_frame_comes_after_the_end(void **state)
{
    (void)state;
    pair_open();
    pair.replica.closes = true;
    send_more(&pair.client, "heard");
    pair_say(&pair.client, "not heard");
    pair_wait(0);
    assert_int_equal(pair.replica.messages, 1);
    pair_assert_heard(&pair.replica, "heard");
}

static void a_malformed_batch_resets_the_link(void **state)
{
    (void)state;
    static const struct {
        uint8_t body[12];
        size_t len;
        uint32_t rest;
        unsigned messages;
    } cases[] = {
        {{1, 0}, 2, 0, 0},                                         /* half a length */
        {{2, 0, 0, 0, 'x'}, 5, 0, 0},                              /* half a message */
        {{1, 0, 0, 0, 'x', 1, 0, 0, 0}, 9, 0, 1},                  /* the second one is not there */
        {{0xff, 0xff, 0xff, 0xff, 'x'}, 5, 0, 0},                  /* far too long */
        {{1, 0, 0, 0, 'x', 1, 0, 0, 0, 'y'}, 10, 1, 0},            /* says that bytes follow */
        {{1, 0, 0, 0, 'x', 0xfc, 0xff, 0xff, 0xff, 'y'}, 10, 0, 1} /* a length that would wrap around */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pair_open();
        link_transmit(pair.client.link, FRAME_BATCH, cases[i].body, cases[i].len, cases[i].rest);
        pair_wait(0);
        assert_int_equal(pair.replica.messages, cases[i].messages);
        assert_int_equal(pair.replica.downs, 1);
        assert_int_equal(pair.replica.code, ERR_BAD_FORMAT);
    }
}

/* A heartbeat does not wait for a snapshot's chunk in front of it. */
static void urgent_messages_pass_the_others(void **state)
{
    (void)state;
    uint8_t *message = calloc(1, LIMIT_MESSAGE_BYTES);
    pair_open();
    relay_set_faults(pair.relay, &(struct relay_faults){.delay_ms = 10});
    link_send(pair.replica.link, message, LIMIT_MESSAGE_BYTES, relay_now_ms(pair.relay));
    pair_wait(15);
    pair_say_urgent(&pair.replica, "u1");
    pair_say_urgent(&pair.replica, "u2");
    pair_wait(10);
    assert_int_equal(pair.client.urgents, 2);
    pair_assert_heard(&pair.client, "u2");
    assert_int_equal(pair.client.messages, 2);
    pair_wait(1000);
    assert_int_equal(pair.client.messages, 3);
    free(message);
}

static void no_more_is_sent_than_credit_allows(void **state)
{
    (void)state;
    static const size_t sizes[] = {10, 1000, 5000, LIMIT_CHUNK_BYTES};
    uint8_t *message = calloc(1, LIMIT_CHUNK_BYTES);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        pair_open();
        relay_cut_side(pair.relay, LINK_CLIENT, true); /* no acknowledgements */
        const uint64_t frames = pair_frames();
        for (int n = 0; n < 200 && link_queued_bytes(pair.replica.link) < 4 * MIB; n++)
            link_send(pair.replica.link, message, sizes[i], relay_now_ms(pair.relay));
        const size_t piece = sizes[i] < FRAME_BODY_BYTES ? sizes[i] : FRAME_BODY_BYTES;
        const uint64_t by_bytes = LIMIT_CREDIT_BYTES / piece;
        assert_int_equal(pair_frames() - frames, by_bytes < LIMIT_CREDIT_MESSAGES ? by_bytes : 64);
        relay_cut_side(pair.relay, LINK_CLIENT, false);
    }
    free(message);
}

static void a_full_queue_resets_the_link_and_never_blocks(void **state)
{
    (void)state;
    uint8_t *message = calloc(1, LIMIT_CHUNK_BYTES);
    pair_open();
    relay_cut_side(pair.relay, LINK_CLIENT, true); /* a mount that reads and does not acknowledge */
    int err = ERR_OK;
    size_t most = 0;
    for (int i = 0; i < 200 && err == ERR_OK; i++) {
        most = link_queued_bytes(pair.replica.link);
        err = link_send(pair.replica.link, message, LIMIT_CHUNK_BYTES, relay_now_ms(pair.relay));
    }
    assert_int_equal(err, ERR_TOO_MANY);
    assert_int_equal(pair.replica.code, ERR_TOO_MANY);
    assert_in_range(most, LIMIT_LINK_QUEUE_BYTES - LIMIT_CHUNK_BYTES, LIMIT_LINK_QUEUE_BYTES + LIMIT_CREDIT_BYTES);
    assert_int_equal(link_queued_bytes(pair.replica.link), 0);
    pair_wait(1);
    assert_int_equal(pair.client.code, ERR_TOO_MANY); /* it was told */
    relay_cut_side(pair.relay, LINK_CLIENT, false);
    assert_true(relay_run(pair.relay, LINK_HANDSHAKE_MS, pair_up, NULL));

    relay_cut_side(pair.relay, LINK_CLIENT, true);
    unsigned sent = 0;
    while (link_send(pair.replica.link, message, 1, relay_now_ms(pair.relay)) == ERR_OK)
        sent++;
    assert_in_range(sent, LIMIT_LINK_QUEUE_MESSAGES, LIMIT_LINK_QUEUE_MESSAGES + LIMIT_CREDIT_MESSAGES);
    free(message);
}

/* A producer that keeps less than so much ahead is told when to go on. */
static void writable_says_when_the_queue_is_low(void **state)
{
    (void)state;
    uint8_t *message = calloc(1, LIMIT_CHUNK_BYTES);
    pair_open();
    pair_say(&pair.replica, "small");
    pair_wait(100);
    assert_int_equal(pair.replica.writables, 0);
    for (unsigned round = 1; round <= 5; round++) {
        for (int i = 0; i < 4; i++)
            link_send(pair.replica.link, message, LIMIT_CHUNK_BYTES, relay_now_ms(pair.relay));
        assert_true(link_queued_bytes(pair.replica.link) >= LINK_LOW_BYTES);
        pair_wait(100);
        assert_int_equal(pair.replica.writables, round);
        assert_int_equal(link_queued_bytes(pair.replica.link), 0);
    }
    free(message);
}

static void acknowledgements_are_few_and_in_time(void **state)
{
    (void)state;
    pair_open();
    pair_wait(100);
    uint64_t frames = pair_frames();
    for (int i = 0; i < 100; i++) { /* question and answer: the answer acknowledges */
        pair_say(&pair.client, "question");
        pair_wait(0);
        pair_say(&pair.replica, "answer");
        pair_wait(0);
    }
    assert_int_equal(pair_frames() - frames, 200);
    pair_wait(LINK_ACK_MS); /* the last answer's acknowledgement */
    assert_int_equal(pair_frames() - frames, 201);
    assert_int_equal(link_queued_bytes(pair.client.link) + link_queued_bytes(pair.replica.link), 0);

    frames = pair_frames();
    for (int i = 0; i < 3200; i++) { /* one way: an acknowledgement for each half window */
        pair_say(&pair.client, "news");
        pair_wait(0);
    }
    assert_int_equal(pair_frames() - frames, 3200 + 100);
    assert_int_equal(pair.replica.messages, 3300);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_duplicate_is_dropped_quietly),
        CASE(a_gap_resets_the_link_at_once),
        CASE(a_lost_tail_shows_with_the_next_ping),
        CASE(silence_is_noticed_in_time_and_healed),
        CASE(a_stall_of_the_machine_is_not_silence),
        CASE(a_quiet_link_stays_up_on_pings_alone),
        CASE(a_lost_carrier_opens_anew_at_once),
        CASE(closing_is_heard),
        CASE(messages_of_every_size_arrive_whole),
        CASE(small_messages_go_together),
        CASE(nothing_of_a_frame_comes_after_the_end),
        CASE(a_malformed_batch_resets_the_link),
        CASE(urgent_messages_pass_the_others),
        CASE(no_more_is_sent_than_credit_allows),
        CASE(a_full_queue_resets_the_link_and_never_blocks),
        CASE(writable_says_when_the_queue_is_low),
        CASE(acknowledgements_are_few_and_in_time),
    };
    return cmocka_run_group_tests(tests, pair_setup_keys, NULL);
}
