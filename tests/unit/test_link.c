/* A link, case by case: who gets in, what each kind of damage or forgery does, what credit and acknowledgements cost,
 * and how soon an end learns that the other is gone. */
#include "replica/net/frame.h"
#include "tests/support/keys.h"
#include "tests/support/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct side {
    struct link *link;
    unsigned ups, downs, messages, urgents, writables;
    int code;                     /* of the last down */
    uint64_t up_ms, down_ms;      /* when */
    uint8_t last[64];             /* the start of the last message */
    size_t last_len, total_bytes; /* bytes */
    struct relay *relay;
};

static struct relay *relay;
static struct side client, replica;

static void on_up(void *arg)
{
    struct side *side = arg;
    side->ups++;
    side->up_ms = relay_now_ms(side->relay);
}

static void on_down(void *arg, int code)
{
    struct side *side = arg;
    side->downs++;
    side->code = code;
    side->down_ms = relay_now_ms(side->relay);
}

static void on_message(void *arg, const void *message, size_t len)
{
    struct side *side = arg;
    side->messages++;
    side->total_bytes += len;
    side->last_len = len;
    memcpy(side->last, message, len < sizeof side->last ? len : sizeof side->last);
    if (len > 0 && side->last[0] == 'u')
        side->urgents++;
}

static void on_writable(void *arg)
{
    struct side *side = arg;
    side->writables++;
}

static void make_side(struct side *side, enum link_side which, const struct link_keys *keys)
{
    const struct link_events events = {side, NULL, on_up, on_down, on_message, on_writable};
    *side = (struct side){.relay = relay};
    side->link = relay_link(relay, which, keys, &events);
}

static struct link_keys no_keys, mount_keys, replica_keys, other_mount_keys;

static int setup_keys(void **state)
{
    (void)state;
    struct link_keys unused;
    make_keys(&other_mount_keys, &unused);
    make_keys(&mount_keys, &replica_keys);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    relay = relay_new(1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    relay_free(relay);
    return 0;
}

static bool both_up(void *arg)
{
    (void)arg;
    return link_state(client.link) == LINK_UP && link_state(replica.link) == LINK_UP;
}

static void wait_ms(uint64_t ms)
{
    relay_run(relay, ms, NULL, NULL);
}

static void open_with(const struct link_keys *client_keys, const struct link_keys *server_keys)
{
    make_side(&client, LINK_CLIENT, client_keys);
    make_side(&replica, LINK_REPLICA, server_keys);
}

static void open_link(void)
{
    open_with(&mount_keys, &replica_keys);
    assert_true(relay_run(relay, 100, both_up, NULL));
}

static int say(struct side *side, const char *text)
{
    return link_send(side->link, text, strlen(text), relay_now_ms(relay));
}

static int say_urgent(struct side *side, const char *text)
{
    return link_send_urgent(side->link, text, strlen(text), relay_now_ms(relay));
}

static void assert_heard(const struct side *side, const char *text)
{
    assert_int_equal(side->last_len, strlen(text));
    assert_memory_equal(side->last, text, strlen(text));
}

/* Both are up, nothing has happened to the link, and it carries messages. */
static void assert_undisturbed(void)
{
    const unsigned client_messages = client.messages, replica_messages = replica.messages;
    wait_ms(2 * LINK_PING_MS);
    say(&client, "still");
    say(&replica, "here");
    wait_ms(10);
    assert_int_equal(client.downs + replica.downs, 0);
    assert_int_equal(client.messages, client_messages + 1);
    assert_int_equal(replica.messages, replica_messages + 1);
    assert_heard(&client, "here");
    assert_heard(&replica, "still");
}

/* --- opening --- */

static void a_link_opens_with_three_frames(void **state)
{
    (void)state;
    open_link();
    assert_int_equal(relay_counts(relay)->frames, 3); /* HELLO, HELLO_ACK, CONFIRM */
    assert_int_equal(client.ups, 1);
    assert_int_equal(replica.ups, 1);
    assert_undisturbed();
}

static void a_link_opens_without_keys_on_both_sides(void **state)
{
    (void)state;
    open_with(&no_keys, &no_keys);
    assert_true(relay_run(relay, 100, both_up, NULL));
    assert_undisturbed();
}

static void the_first_message_may_leave_from_up(void **state)
{
    (void)state;
    open_with(&mount_keys, &replica_keys);
    assert_int_equal(say(&client, "too early"), ERR_UNREACHABLE);
    while (link_state(client.link) != LINK_UP)
        wait_ms(1);
    assert_int_equal(say(&client, "first"), ERR_OK);
    wait_ms(1);
    assert_heard(&replica, "first");
}

struct mismatch {
    const struct link_keys *client, *server;
};

/* Both ends say so within 50 ms; the client goes on trying, without haste. */
static void a_wrong_key_is_reported_at_both_ends(void **state)
{
    (void)state;
    static struct link_keys same_psk; /* a replica that was given a mount's psk, but not the replicas' static key */
    same_psk = replica_keys;
    same_psk.secret_key[5] ^= 1;
    const struct mismatch mismatches[] = {{&other_mount_keys, &replica_keys},
                                          {&no_keys, &replica_keys},
                                          {&mount_keys, &no_keys},
                                          {&mount_keys, &same_psk}};
    for (size_t i = 0; i < sizeof mismatches / sizeof mismatches[0]; i++) {
        const struct mismatch *mismatch = &mismatches[i];
        open_with(mismatch->client, mismatch->server);
        wait_ms(50);
        assert_int_equal(client.code, ERR_BAD_KEY);
        if (mismatch->server != &same_psk) /* here it is the replica that is false */
            assert_int_equal(replica.code, ERR_BAD_KEY);
        const uint64_t frames = relay_counts(relay)->frames;
        wait_ms(10000);
        assert_in_range(relay_counts(relay)->frames - frames, 10, 30);
        assert_in_range(client.downs, 10, 12);
        assert_int_equal(client.ups + replica.ups, 0);
    }
    make_side(&replica, LINK_REPLICA, &replica_keys); /* the right replica comes back */
    assert_true(relay_run(relay, LINK_HANDSHAKE_MS + 50, both_up, NULL));
}

static void another_protocol_version_is_reported_at_both_ends(void **state)
{
    (void)state;
    size_t len;
    open_with(&mount_keys, &replica_keys);
    relay_cut_side(relay, LINK_CLIENT, true);
    wait_ms(1);
    uint8_t hello[FRAME_HELLO_BYTES + 100] = {0};
    memcpy(hello, relay_last(relay, LINK_CLIENT, &len), FRAME_HELLO_BYTES);
    hello[2] = PROTOCOL_VERSION + 1;
    relay_inject(relay, LINK_REPLICA, hello, sizeof hello); /* a longer HELLO, who knows */
    wait_ms(1);
    assert_int_equal(replica.code, ERR_BAD_FORMAT);
    assert_int_equal(client.code, ERR_BAD_FORMAT); /* the REJECT named its HELLO */
}

static void a_lost_confirm_is_made_good(void **state)
{
    (void)state;
    relay_set_faults(relay, &(struct relay_faults){.delay_ms = 10});
    open_with(&mount_keys, &replica_keys);
    wait_ms(15);
    assert_int_equal(link_state(replica.link), LINK_OPENING);
    relay_cut_side(relay, LINK_CLIENT, true);
    wait_ms(10);
    assert_int_equal(link_state(client.link), LINK_UP);
    assert_int_equal(link_state(replica.link), LINK_OPENING);
    relay_cut_side(relay, LINK_CLIENT, false);
    say(&client, "into the void"); /* shows the replica at once that the CONFIRM is missing */
    assert_true(relay_run(relay, 200, both_up, NULL));
    assert_int_equal(replica.messages, 0);
    wait_ms(LINK_SILENCE_MS);
    assert_true(both_up(NULL));
}

static void lost_handshake_frames_are_sent_again(void **state)
{
    (void)state;
    for (enum link_side deaf = LINK_CLIENT; deaf <= LINK_REPLICA; deaf++) {
        open_with(&mount_keys, &replica_keys);
        relay_cut_side(relay, deaf, true);
        wait_ms(500);
        assert_false(both_up(NULL));
        relay_cut_side(relay, deaf, false);
        assert_true(relay_run(relay, 400, both_up, NULL));
    }
}

static void an_absent_replica_is_reported_each_second(void **state)
{
    (void)state;
    make_side(&client, LINK_CLIENT, &mount_keys);
    wait_ms(5 * LINK_HANDSHAKE_MS + 100);
    assert_int_equal(client.downs, 5);
    assert_int_equal(client.code, ERR_UNREACHABLE);
    assert_true(relay_counts(relay)->frames < 60);
}

/* --- forgery and replay --- */

static void every_altered_bit_of_a_sealed_frame_is_noticed(void **state)
{
    (void)state;
    size_t len;
    open_link();
    relay_cut_side(relay, LINK_CLIENT, true);
    say(&client, "transfer 100");
    uint8_t frame[256];
    memcpy(frame, relay_last(relay, LINK_CLIENT, &len), sizeof frame);
    assert_int_equal(len, FRAME_HEADER_BYTES + 12 + FRAME_TAG_BYTES);
    assert_null(memmem(frame, len, "transfer", 8));
    for (size_t bit = 0; bit < len * 8; bit++) {
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        relay_inject(relay, LINK_REPLICA, frame, len);
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++)
        relay_inject(relay, LINK_REPLICA, frame, cut);
    wait_ms(1);
    assert_int_equal(replica.messages, 0);
    relay_inject(relay, LINK_REPLICA, frame, len); /* the true one is still good, once */
    relay_inject(relay, LINK_REPLICA, frame, len);
    wait_ms(1);
    relay_cut_side(relay, LINK_CLIENT, false);
    assert_int_equal(replica.messages, 1);
    assert_heard(&replica, "transfer 100");
    assert_undisturbed();
}

static void nothing_forged_disturbs_a_link_that_is_up(void **state)
{
    (void)state;
    size_t len;
    open_link();
    say(&client, "hello");
    wait_ms(1);
    uint8_t frame[FRAME_HEADER_BYTES + FRAME_TAG_BYTES] = {0};
    struct frame header;
    const uint8_t *last = relay_last(relay, LINK_CLIENT, &len);
    assert_true(frame_read(last, len, &header));
    for (uint64_t ahead = 0; ahead < 4; ahead++)
        for (int type = FRAME_HELLO; type <= FRAME_CLOSE; type++) {
            header.type = (enum frame_type)type;
            header.sequence += ahead;
            frame_write(frame, &header);
            relay_inject(relay, LINK_REPLICA, frame, sizeof frame);
            relay_inject(relay, LINK_CLIENT, frame, sizeof frame);
        }
    for (int i = 0; i < 5000; i++) { /* noise, half of it with a good beginning */
        uint8_t noise[128];
        for (size_t at = 0; at < sizeof noise; at++)
            noise[at] = (uint8_t)relay_random(relay);
        memcpy(noise, "PF\1", 3);
        noise[3] %= 10;
        if (i % 2 == 0)
            memcpy(noise + 4, last + 4, 8); /* the link's own id */
        relay_inject(relay, i % 4 < 2 ? LINK_REPLICA : LINK_CLIENT, noise, relay_random(relay) % sizeof noise);
    }
    wait_ms(1);
    assert_undisturbed();
}

/* A stranger without the key who says HELLO, and one who plays back the HELLO of a true client. */
static void a_second_hello_does_not_end_the_link(void **state)
{
    (void)state;
    size_t len;
    relay_set_faults(relay, &(struct relay_faults){.delay_ms = 5});
    open_with(&mount_keys, &replica_keys);
    wait_ms(1);
    uint8_t first[FRAME_HELLO_BYTES];
    memcpy(first, relay_last(relay, LINK_CLIENT, &len), sizeof first);
    assert_int_equal(len, sizeof first);
    assert_true(relay_run(relay, 100, both_up, NULL));

    struct relay *elsewhere = relay_new(2); /* only to get the HELLOs of other clients */
    const struct link_keys *keys[] = {&mount_keys, &other_mount_keys, &no_keys};
    for (size_t i = 0; i < 3; i++) {
        struct side stranger = {.relay = elsewhere};
        const struct link_events events = {&stranger, NULL, on_up, on_down, on_message, NULL};
        relay_link(elsewhere, LINK_CLIENT, keys[i], &events);
        relay_run(elsewhere, 1, NULL, NULL);
        relay_inject(relay, LINK_REPLICA, relay_last(elsewhere, LINK_CLIENT, &len), FRAME_HELLO_BYTES);
        relay_inject(relay, LINK_REPLICA, first, sizeof first);
        wait_ms(10);
    }
    relay_free(elsewhere);
    assert_undisturbed();
    wait_ms(2 * LINK_SILENCE_MS);
    assert_undisturbed();
}

enum { MOST_RECORDED = 64 };
struct recording {
    uint8_t frames[MOST_RECORDED][LIMIT_FRAME_BYTES];
    size_t len[MOST_RECORDED], count;
};

/* Notes each frame that the client sends, while it says five things. */
static void record(struct recording *recording)
{
    uint64_t seen = relay_counts(relay)->frames;
    for (int i = 0; i < 40 && recording->count < MOST_RECORDED; i++) {
        if (both_up(NULL) && i % 4 == 0)
            say(&client, "pay once");
        if (relay_counts(relay)->frames != seen) {
            size_t *len = &recording->len[recording->count];
            memcpy(recording->frames[recording->count], relay_last(relay, LINK_CLIENT, len), LIMIT_FRAME_BYTES);
            recording->count++;
            seen = relay_counts(relay)->frames;
        }
        wait_ms(0);
    }
}

static void a_recorded_conversation_cannot_be_played_back(void **state)
{
    (void)state;
    struct recording *recording = calloc(1, sizeof *recording);
    open_with(&mount_keys, &replica_keys);
    record(recording);
    const unsigned paid = replica.messages;
    assert_true(paid >= 5 && recording->count >= 7);

    for (size_t i = 0; i < recording->count; i++) /* into the same link */
        relay_inject(relay, LINK_REPLICA, recording->frames[i], recording->len[i]);
    wait_ms(1);
    assert_int_equal(replica.messages, paid);
    assert_undisturbed();

    link_close(client.link, relay_now_ms(relay)); /* to the same replica, later */
    wait_ms(1);
    assert_int_equal(replica.downs, 1);
    const unsigned before = replica.messages;
    for (size_t i = 0; i < recording->count; i++)
        relay_inject(relay, LINK_REPLICA, recording->frames[i], recording->len[i]);
    wait_ms(100);
    make_side(&replica, LINK_REPLICA, &replica_keys); /* to another */
    for (size_t i = 0; i < recording->count; i++)
        relay_inject(relay, LINK_REPLICA, recording->frames[i], recording->len[i]);
    wait_ms(100);
    assert_true(before > 0 && replica.messages == 0 && replica.ups == 0);
    wait_ms(LINK_HANDSHAKE_MS + LINK_PING_MS);
    assert_int_equal(link_state(replica.link), LINK_CLOSED); /* the half-open handshake is forgotten */
    free(recording);
}

/* --- what is lost --- */

static void a_duplicate_is_dropped_quietly(void **state)
{
    (void)state;
    size_t len;
    open_link();
    say(&client, "once");
    uint8_t frame[256];
    memcpy(frame, relay_last(relay, LINK_CLIENT, &len), sizeof frame);
    for (int i = 0; i < 5; i++)
        relay_inject(relay, LINK_REPLICA, frame, len);
    wait_ms(1);
    assert_int_equal(replica.messages, 1);
    assert_undisturbed();
}

static void a_gap_resets_the_link_at_once(void **state)
{
    (void)state;
    open_link();
    relay_cut_side(relay, LINK_CLIENT, true);
    say(&client, "lost");
    relay_cut_side(relay, LINK_CLIENT, false);
    say(&client, "after the gap");
    wait_ms(0);
    assert_int_equal(replica.messages, 0);
    assert_int_equal(replica.downs, 1);
    assert_int_equal(replica.code, ERR_IO);
    assert_true(relay_run(relay, LINK_PING_MS, both_up, NULL));
    assert_int_equal(client.downs, 1);
    assert_int_equal(client.ups, 2);
    wait_ms(LINK_SILENCE_MS);
    assert_int_equal(replica.messages, 0); /* nothing of the old link comes after its end */
    assert_true(both_up(NULL));
}

static void a_lost_tail_shows_with_the_next_ping(void **state)
{
    (void)state;
    open_link();
    wait_ms(100);
    relay_cut_side(relay, LINK_CLIENT, true);
    say(&client, "lost, and nothing follows");
    relay_cut_side(relay, LINK_CLIENT, false);
    wait_ms(LINK_PING_MS + 1);
    assert_int_equal(replica.downs, 1);
    assert_int_equal(client.downs, 1);
    assert_true(relay_run(relay, 100, both_up, NULL));
}

static void silence_is_noticed_in_time_and_healed(void **state)
{
    (void)state;
    open_link();
    const uint64_t cut_ms = relay_now_ms(relay);
    relay_cut_side(relay, LINK_CLIENT, true);
    relay_cut_side(relay, LINK_REPLICA, true);
    wait_ms(LINK_SILENCE_MS + 2 * LINK_PING_MS);
    assert_int_equal(replica.downs, 1);
    assert_int_equal(replica.code, ERR_UNREACHABLE);
    assert_int_equal(client.code, ERR_UNREACHABLE);
    assert_in_range(replica.down_ms - cut_ms, LINK_SILENCE_MS - LINK_PING_MS, LINK_SILENCE_MS + LINK_PING_MS);
    relay_cut_side(relay, LINK_CLIENT, false);
    relay_cut_side(relay, LINK_REPLICA, false);
    assert_true(relay_run(relay, LINK_HANDSHAKE_MS, both_up, NULL));
}

/* 10 s in which neither process ran are not 10 s in which the other was silent. */
static void a_stall_of_the_machine_is_not_silence(void **state)
{
    (void)state;
    open_link();
    for (int i = 0; i < 5; i++) {
        relay_stall(relay, 10000);
        wait_ms(LINK_PING_MS);
    }
    assert_undisturbed();
}

static void a_quiet_link_stays_up_on_pings_alone(void **state)
{
    (void)state;
    open_link();
    wait_ms(100); /* the acknowledgement of CONFIRM */
    const uint64_t frames = relay_counts(relay)->frames;
    wait_ms(3600 * 1000);
    assert_int_equal(client.downs + replica.downs, 0);
    assert_in_range(relay_counts(relay)->frames - frames, 7200, 14500); /* two a second from each side */
}

static void a_lost_carrier_opens_anew_at_once(void **state)
{
    (void)state;
    open_link();
    wait_ms(1000);
    link_carrier_lost(client.link, relay_now_ms(relay));
    assert_int_equal(client.code, ERR_IO);
    link_tick(client.link, relay_now_ms(relay));
    wait_ms(0);
    assert_int_equal(client.ups, 2);
    assert_int_equal(replica.ups, 2); /* the newer link replaced the older */
    assert_int_equal(replica.downs, 1);
}

static void closing_is_heard(void **state)
{
    (void)state;
    open_link();
    say(&client, "last words");
    link_close(client.link, relay_now_ms(relay));
    wait_ms(1);
    assert_heard(&replica, "last words");
    assert_int_equal(replica.code, ERR_UNREACHABLE);
    assert_int_equal(link_state(replica.link), LINK_CLOSED);
    wait_ms(10000);
    assert_int_equal(link_state(client.link), LINK_CLOSED);
    assert_int_equal(client.ups, 1);
    assert_int_equal(client.downs, 0);
    assert_int_equal(say(&client, "no"), ERR_UNREACHABLE);
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
    open_link();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(link_send(client.link, message, sizes[i], relay_now_ms(relay)), ERR_OK);
        wait_ms(1);
        assert_int_equal(replica.messages, i + 1);
        assert_int_equal(replica.last_len, sizes[i]);
    }
    free(message);
    assert_undisturbed();
}

/* A heartbeat does not wait for a snapshot's chunk in front of it. */
static void urgent_messages_pass_the_others(void **state)
{
    (void)state;
    uint8_t *message = calloc(1, LIMIT_MESSAGE_BYTES);
    open_link();
    relay_set_faults(relay, &(struct relay_faults){.delay_ms = 10});
    link_send(replica.link, message, LIMIT_MESSAGE_BYTES, relay_now_ms(relay));
    wait_ms(15);
    say_urgent(&replica, "u1");
    say_urgent(&replica, "u2");
    wait_ms(10);
    assert_int_equal(client.urgents, 2);
    assert_heard(&client, "u2");
    assert_int_equal(client.messages, 2);
    wait_ms(1000);
    assert_int_equal(client.messages, 3);
    free(message);
}

static void no_more_is_sent_than_credit_allows(void **state)
{
    (void)state;
    static const size_t sizes[] = {10, 1000, 5000, LIMIT_CHUNK_BYTES};
    uint8_t *message = calloc(1, LIMIT_CHUNK_BYTES);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        open_link();
        relay_cut_side(relay, LINK_CLIENT, true); /* no acknowledgements */
        const uint64_t frames = relay_counts(relay)->frames;
        for (int n = 0; n < 200 && link_queued_bytes(replica.link) < 4 * MIB; n++)
            link_send(replica.link, message, sizes[i], relay_now_ms(relay));
        const size_t piece = sizes[i] < FRAME_BODY_BYTES ? sizes[i] : FRAME_BODY_BYTES;
        const uint64_t by_bytes = LIMIT_CREDIT_BYTES / piece;
        assert_int_equal(relay_counts(relay)->frames - frames, by_bytes < LIMIT_CREDIT_MESSAGES ? by_bytes : 64);
        relay_cut_side(relay, LINK_CLIENT, false);
    }
    free(message);
}

static void a_full_queue_resets_the_link_and_never_blocks(void **state)
{
    (void)state;
    uint8_t *message = calloc(1, LIMIT_CHUNK_BYTES);
    open_link();
    relay_cut_side(relay, LINK_CLIENT, true); /* a mount that reads and does not acknowledge */
    int err = ERR_OK;
    size_t most = 0;
    for (int i = 0; i < 200 && err == ERR_OK; i++) {
        most = link_queued_bytes(replica.link);
        err = link_send(replica.link, message, LIMIT_CHUNK_BYTES, relay_now_ms(relay));
    }
    assert_int_equal(err, ERR_TOO_MANY);
    assert_int_equal(replica.code, ERR_TOO_MANY);
    assert_in_range(most, LIMIT_LINK_QUEUE_BYTES - LIMIT_CHUNK_BYTES, LIMIT_LINK_QUEUE_BYTES + LIMIT_CREDIT_BYTES);
    assert_int_equal(link_queued_bytes(replica.link), 0);
    wait_ms(1);
    assert_int_equal(client.code, ERR_TOO_MANY); /* it was told */
    relay_cut_side(relay, LINK_CLIENT, false);
    assert_true(relay_run(relay, LINK_HANDSHAKE_MS, both_up, NULL));

    relay_cut_side(relay, LINK_CLIENT, true);
    unsigned sent = 0;
    while (link_send(replica.link, message, 1, relay_now_ms(relay)) == ERR_OK)
        sent++;
    assert_in_range(sent, LIMIT_LINK_QUEUE_MESSAGES, LIMIT_LINK_QUEUE_MESSAGES + LIMIT_CREDIT_MESSAGES);
    free(message);
}

/* A producer that keeps less than so much ahead is told when to go on. */
static void writable_says_when_the_queue_is_low(void **state)
{
    (void)state;
    uint8_t *message = calloc(1, LIMIT_CHUNK_BYTES);
    open_link();
    say(&replica, "small");
    wait_ms(100);
    assert_int_equal(replica.writables, 0);
    for (unsigned round = 1; round <= 5; round++) {
        for (int i = 0; i < 4; i++)
            link_send(replica.link, message, LIMIT_CHUNK_BYTES, relay_now_ms(relay));
        assert_true(link_queued_bytes(replica.link) >= LINK_LOW_BYTES);
        wait_ms(100);
        assert_int_equal(replica.writables, round);
        assert_int_equal(link_queued_bytes(replica.link), 0);
    }
    free(message);
}

static void acknowledgements_are_few_and_in_time(void **state)
{
    (void)state;
    open_link();
    wait_ms(100);
    uint64_t frames = relay_counts(relay)->frames;
    for (int i = 0; i < 100; i++) { /* question and answer: the answer acknowledges */
        say(&client, "question");
        wait_ms(0);
        say(&replica, "answer");
        wait_ms(0);
    }
    assert_int_equal(relay_counts(relay)->frames - frames, 200);
    wait_ms(LINK_ACK_MS); /* the last answer's acknowledgement */
    assert_int_equal(relay_counts(relay)->frames - frames, 201);
    assert_int_equal(link_queued_bytes(client.link) + link_queued_bytes(replica.link), 0);

    frames = relay_counts(relay)->frames;
    for (int i = 0; i < 3200; i++) { /* one way: an acknowledgement for each half window */
        say(&client, "news");
        wait_ms(0);
    }
    assert_int_equal(relay_counts(relay)->frames - frames, 3200 + 100);
    assert_int_equal(replica.messages, 3300);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        CASE(a_duplicate_is_dropped_quietly),
        CASE(a_gap_resets_the_link_at_once),
        CASE(a_lost_tail_shows_with_the_next_ping),
        CASE(silence_is_noticed_in_time_and_healed),
        CASE(a_stall_of_the_machine_is_not_silence),
        CASE(a_quiet_link_stays_up_on_pings_alone),
        CASE(a_lost_carrier_opens_anew_at_once),
        CASE(closing_is_heard),
        CASE(messages_of_every_size_arrive_whole),
        CASE(urgent_messages_pass_the_others),
        CASE(no_more_is_sent_than_credit_allows),
        CASE(a_full_queue_resets_the_link_and_never_blocks),
        CASE(writable_says_when_the_queue_is_low),
        CASE(acknowledgements_are_few_and_in_time),
    };
    return cmocka_run_group_tests(tests, setup_keys, NULL);
}
