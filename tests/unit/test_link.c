/* Who gets a link, and what forgery, replay and damage do: wrong keys, other versions, strangers, frames altered in any
 * bit. */
#include "replica/net/frame.h"
#include "tests/support/link_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- opening --- */

static void a_link_opens_with_three_frames(void **state)
{
    (void)state;
    pair_open();
    assert_int_equal(pair_frames(), 3); /* HELLO, HELLO_ACK, CONFIRM */
    assert_int_equal(pair.client.ups, 1);
    assert_int_equal(pair.replica.ups, 1);
    pair_assert_undisturbed();
}

static void a_link_opens_without_keys_on_both_sides(void **state)
{
    (void)state;
    pair_open_with(&pair.no_keys, &pair.no_keys);
    assert_true(relay_run(pair.relay, 100, pair_up, NULL));
    pair_assert_undisturbed();
}

static void the_first_message_may_leave_from_up(void **state)
{
    (void)state;
    pair_open_with(&pair.mount_keys, &pair.replica_keys);
    assert_int_equal(pair_say(&pair.client, "too early"), ERR_UNREACHABLE);
    while (link_state(pair.client.link) != LINK_UP)
        pair_wait(1);
    assert_int_equal(pair_say(&pair.client, "first"), ERR_OK);
    pair_wait(1);
    pair_assert_heard(&pair.replica, "first");
}

struct mismatch {
    const struct link_keys *client, *server;
};

/* Both ends say so within 50 ms; the client goes on trying, without haste. */
static void a_wrong_key_is_reported_at_both_ends(void **state)
{
    (void)state;
    static struct link_keys same_psk; /* a replica that was given a mount's psk, but not the replicas' static key */
    same_psk = pair.replica_keys;
    same_psk.secret_key[5] ^= 1;
    const struct mismatch mismatches[] = {{&pair.other_mount_keys, &pair.replica_keys},
                                          {&pair.no_keys, &pair.replica_keys},
                                          {&pair.mount_keys, &pair.no_keys},
                                          {&pair.mount_keys, &same_psk}};
    for (size_t i = 0; i < sizeof mismatches / sizeof mismatches[0]; i++) {
        const struct mismatch *mismatch = &mismatches[i];
        pair_open_with(mismatch->client, mismatch->server);
        pair_wait(50);
        assert_int_equal(pair.client.code, ERR_BAD_KEY);
        if (mismatch->server != &same_psk) /* here it is the replica that is false */
            assert_int_equal(pair.replica.code, ERR_BAD_KEY);
        const uint64_t frames = pair_frames();
        pair_wait(10000);
        assert_in_range(pair_frames() - frames, 10, 30);
        assert_in_range(pair.client.downs, 10, 12);
        assert_int_equal(pair.client.ups + pair.replica.ups, 0);
    }
    pair_make_side(&pair.replica, LINK_REPLICA, &pair.replica_keys); /* the right replica comes back */
    assert_true(relay_run(pair.relay, LINK_HANDSHAKE_MS + 50, pair_up, NULL));
}

static void another_protocol_version_is_reported_at_both_ends(void **state)
{
    (void)state;
    size_t len;
    pair_open_with(&pair.mount_keys, &pair.replica_keys);
    relay_cut_side(pair.relay, LINK_CLIENT, true);
    pair_wait(1);
    uint8_t hello[FRAME_HELLO_BYTES + 100] = {0};
    memcpy(hello, relay_last(pair.relay, LINK_CLIENT, &len), FRAME_HELLO_BYTES);
    hello[2] = PROTOCOL_VERSION + 1;
    relay_inject(pair.relay, LINK_REPLICA, hello, sizeof hello); /* a longer HELLO, who knows */
    pair_wait(1);
    assert_int_equal(pair.replica.code, ERR_BAD_FORMAT);
    assert_int_equal(pair.client.code, ERR_BAD_FORMAT); /* the REJECT named its HELLO */
}

static void a_lost_confirm_is_made_good(void **state)
{
    (void)state;
    relay_set_faults(pair.relay, &(struct relay_faults){.delay_ms = 10});
    pair_open_with(&pair.mount_keys, &pair.replica_keys);
    pair_wait(15);
    assert_int_equal(link_state(pair.replica.link), LINK_OPENING);
    relay_cut_side(pair.relay, LINK_CLIENT, true);
    pair_wait(10);
    assert_int_equal(link_state(pair.client.link), LINK_UP);
    assert_int_equal(link_state(pair.replica.link), LINK_OPENING);
    relay_cut_side(pair.relay, LINK_CLIENT, false);
    pair_say(&pair.client, "into the void"); /* shows the replica at once that the CONFIRM is missing */
    assert_true(relay_run(pair.relay, 200, pair_up, NULL));
    assert_int_equal(pair.replica.messages, 0);
    pair_wait(LINK_SILENCE_MS);
    assert_true(pair_up(NULL));
}

static void lost_handshake_frames_are_sent_again(void **state)
{
    (void)state;
    for (enum link_side deaf = LINK_CLIENT; deaf <= LINK_REPLICA; deaf++) {
        pair_open_with(&pair.mount_keys, &pair.replica_keys);
        relay_cut_side(pair.relay, deaf, true);
        pair_wait(500);
        assert_false(pair_up(NULL));
        relay_cut_side(pair.relay, deaf, false);
        assert_true(relay_run(pair.relay, 400, pair_up, NULL));
    }
}

static void an_absent_replica_is_reported_each_second(void **state)
{
    (void)state;
    pair_make_side(&pair.client, LINK_CLIENT, &pair.mount_keys);
    pair_wait(5 * LINK_HANDSHAKE_MS + 100);
    assert_int_equal(pair.client.downs, 5);
    assert_int_equal(pair.client.code, ERR_UNREACHABLE);
    assert_true(pair_frames() < 70);
}

/* --- forgery and replay --- */

static void every_altered_bit_of_a_sealed_frame_is_noticed(void **state)
{
    (void)state;
    size_t len;
    pair_open();
    relay_cut_side(pair.relay, LINK_CLIENT, true);
    pair_say(&pair.client, "transfer 100");
    uint8_t frame[256];
    memcpy(frame, relay_last(pair.relay, LINK_CLIENT, &len), sizeof frame);
    assert_int_equal(len, FRAME_HEADER_BYTES + 12 + FRAME_TAG_BYTES);
    assert_null(memmem(frame, len, "transfer", 8));
    for (size_t bit = 0; bit < len * 8; bit++) {
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        relay_inject(pair.relay, LINK_REPLICA, frame, len);
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++)
        relay_inject(pair.relay, LINK_REPLICA, frame, cut);
    pair_wait(1);
    assert_int_equal(pair.replica.messages, 0);
    relay_inject(pair.relay, LINK_REPLICA, frame, len); /* the true one is still good, once */
    relay_inject(pair.relay, LINK_REPLICA, frame, len);
    pair_wait(1);
    relay_cut_side(pair.relay, LINK_CLIENT, false);
    assert_int_equal(pair.replica.messages, 1);
    pair_assert_heard(&pair.replica, "transfer 100");
    pair_assert_undisturbed();
}

static void nothing_forged_disturbs_a_link_that_is_up(void **state)
{
    (void)state;
    size_t len;
    pair_open();
    pair_say(&pair.client, "hello");
    pair_wait(1);
    uint8_t frame[FRAME_HEADER_BYTES + FRAME_TAG_BYTES] = {0};
    struct frame header;
    const uint8_t *last = relay_last(pair.relay, LINK_CLIENT, &len);
    assert_true(frame_read(last, len, &header));
    for (uint64_t ahead = 0; ahead < 4; ahead++)
        for (int type = FRAME_HELLO; type <= FRAME_CLOSE; type++) {
            header.type = (enum frame_type)type;
            header.sequence += ahead;
            frame_write(frame, &header);
            relay_inject(pair.relay, LINK_REPLICA, frame, sizeof frame);
            relay_inject(pair.relay, LINK_CLIENT, frame, sizeof frame);
        }
    for (int i = 0; i < 5000; i++) { /* noise, half of it with a good beginning */
        uint8_t noise[128];
        for (size_t at = 0; at < sizeof noise; at++)
            noise[at] = (uint8_t)relay_random(pair.relay);
        memcpy(noise, "PF\1", 3);
        noise[3] %= 10;
        if (i % 2 == 0)
            memcpy(noise + 4, last + 4, 8); /* the link's own id */
        relay_inject(pair.relay, i % 4 < 2 ? LINK_REPLICA : LINK_CLIENT, noise,
                     relay_random(pair.relay) % sizeof noise);
    }
    pair_wait(1);
    pair_assert_undisturbed();
}

/* A stranger without the key who says HELLO, and one who plays back the HELLO of a true pair.client. */
static void a_second_hello_does_not_end_the_link(void **state)
{
    (void)state;
    size_t len;
    relay_set_faults(pair.relay, &(struct relay_faults){.delay_ms = 5});
    pair_open_with(&pair.mount_keys, &pair.replica_keys);
    pair_wait(1);
    uint8_t first[FRAME_HELLO_BYTES];
    memcpy(first, relay_last(pair.relay, LINK_CLIENT, &len), sizeof first);
    assert_int_equal(len, sizeof first);
    assert_true(relay_run(pair.relay, 100, pair_up, NULL));

    struct relay *elsewhere = relay_new(2); /* only to get the HELLOs of other clients */
    const struct link_keys *keys[] = {&pair.mount_keys, &pair.other_mount_keys, &pair.no_keys};
    for (size_t i = 0; i < 3; i++) {
        const struct link_events events = {0};
        relay_link(elsewhere, LINK_CLIENT, keys[i], &events);
        relay_run(elsewhere, 1, NULL, NULL);
        relay_inject(pair.relay, LINK_REPLICA, relay_last(elsewhere, LINK_CLIENT, &len), FRAME_HELLO_BYTES);
        relay_inject(pair.relay, LINK_REPLICA, first, sizeof first);
        pair_wait(10);
    }
    relay_free(elsewhere);
    pair_assert_undisturbed();
    pair_wait(2 * LINK_SILENCE_MS);
    pair_assert_undisturbed();
}

enum { MOST_RECORDED = 64 };
struct recording {
    uint8_t frames[MOST_RECORDED][LIMIT_FRAME_BYTES];
    size_t len[MOST_RECORDED], count;
};

/* Notes each frame that the client sends, while it says five things. */
static void record(struct recording *recording)
{
    uint64_t seen = pair_frames();
    for (int i = 0; i < 40 && recording->count < MOST_RECORDED; i++) {
        if (pair_up(NULL) && i % 4 == 0)
            pair_say(&pair.client, "pay once");
        if (pair_frames() != seen) {
            size_t *len = &recording->len[recording->count];
            memcpy(recording->frames[recording->count], relay_last(pair.relay, LINK_CLIENT, len), LIMIT_FRAME_BYTES);
            recording->count++;
            seen = pair_frames();
        }
        pair_wait(0);
    }
}

static void a_recorded_conversation_cannot_be_played_back(void **state)
{
    (void)state;
    struct recording *recording = calloc(1, sizeof *recording);
    pair_open_with(&pair.mount_keys, &pair.replica_keys);
    record(recording);
    const unsigned paid = pair.replica.messages;
    assert_true(paid >= 5 && recording->count >= 7);

    for (size_t i = 0; i < recording->count; i++) /* into the same link */
        relay_inject(pair.relay, LINK_REPLICA, recording->frames[i], recording->len[i]);
    pair_wait(1);
    assert_int_equal(pair.replica.messages, paid);
    pair_assert_undisturbed();

    link_close(pair.client.link, relay_now_ms(pair.relay)); /* to the same replica, later */
    pair_wait(1);
    assert_int_equal(pair.replica.downs, 1);
    const unsigned before = pair.replica.messages;
    for (size_t i = 0; i < recording->count; i++)
        relay_inject(pair.relay, LINK_REPLICA, recording->frames[i], recording->len[i]);
    pair_wait(100);
    pair_make_side(&pair.replica, LINK_REPLICA, &pair.replica_keys); /* to another */
    for (size_t i = 0; i < recording->count; i++)
        relay_inject(pair.relay, LINK_REPLICA, recording->frames[i], recording->len[i]);
    pair_wait(100);
    assert_true(before > 0 && pair.replica.messages == 0 && pair.replica.ups == 0);
    pair_wait(LINK_HANDSHAKE_MS + LINK_PING_MS);
    assert_int_equal(link_state(pair.replica.link), LINK_CLOSED); /* the half-open handshake is forgotten */
    free(recording);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_link_opens_with_three_frames),
        CASE(a_link_opens_without_keys_on_both_sides),
        CASE(the_first_message_may_leave_from_up),
        CASE(a_wrong_key_is_reported_at_both_ends),
        CASE(another_protocol_version_is_reported_at_both_ends),
        CASE(a_lost_confirm_is_made_good),
        CASE(lost_handshake_frames_are_sent_again),
        CASE(an_absent_replica_is_reported_each_second),
        CASE(every_altered_bit_of_a_sealed_frame_is_noticed),
        CASE(nothing_forged_disturbs_a_link_that_is_up),
        CASE(a_second_hello_does_not_end_the_link),
        CASE(a_recorded_conversation_cannot_be_played_back),
    };
    return cmocka_run_group_tests(tests, pair_setup_keys, NULL);
}
