/* The codec of the messages between replicas: what goes in comes out, field by field, for every kind; every limit and
 * enum is kept both ways; and nothing hostile crashes it or takes more than its arena. */
#include "proto/codec.h"
#include "tests/support/peer_sample.h"
#include "tests/support/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLES_PER_KIND = 300 };

static struct peer_sample *sample;
static struct arena *arena;
static struct buffer buffer, again;

static int setup(void **state)
{
    (void)state;
    sample = calloc(1, sizeof *sample);
    arena = arena_new();
    return sample == NULL || arena == NULL;
}

static int teardown(void **state)
{
    (void)state;
    free(sample);
    arena_free(arena);
    buffer_free(&buffer);
    buffer_free(&again);
    return 0;
}

static int encoded(const struct peer_message *message)
{
    return encode_peer_message(message, &buffer);
}

static int decoded(struct bytes from, struct peer_message *message)
{
    arena_reset(arena);
    return decode_peer_message(from, arena, message);
}

static struct bytes contents(const struct buffer *of)
{
    return (struct bytes){of->at, of->len};
}

/* --- what goes in comes out --- */

struct text {
    char *at;
    size_t len;
};

static struct text text_of(const struct peer_message *message)
{
    struct text text;
    FILE *to = open_memstream(&text.at, &text.len);
    sample_print_peer_message(to, message);
    fclose(to);
    return text;
}

static void assert_same(struct text before, struct text after)
{
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.at, after.at, before.len);
    free(before.at);
    free(after.at);
}

static void assert_comes_back(const struct peer_message *message)
{
    struct peer_message back;
    assert_int_equal(encoded(message), ERR_OK);
    assert_int_equal(decoded(contents(&buffer), &back), ERR_OK);
    memset(buffer.at, 0xaa, buffer.len); /* the input may go at once */
    assert_same(text_of(message), text_of(&back));
}

static void every_message_comes_back_as_it_was(void **state)
{
    (void)state;
    for (enum peer_message_kind kind = PEER_HELLO; kind <= PEER_STATUS; kind++)
        for (uint64_t seed = 0; seed < SAMPLES_PER_KIND; seed++) {
            struct peer_message message;
            sample_begin(&sample->base, seed * 1000 + kind);
            sample_peer_message(sample, kind, &message);
            assert_comes_back(&message);
        }
}

static void every_zab_message_comes_back_as_it_was(void **state)
{
    (void)state;
    for (enum zab_message_kind kind = ZAB_VOTE; kind <= ZAB_PONG; kind++)
        for (uint64_t seed = 0; kind != ZAB_ENTRIES && seed < SAMPLES_PER_KIND; seed++) {
            struct peer_message message = {.kind = PEER_ZAB};
            sample_begin(&sample->base, seed * 1000 + kind);
            sample_zab(sample, kind, &message.zab);
            assert_comes_back(&message);
        }
}

/* --- limits: at them it passes, beyond it does not --- */

static void assert_limit(struct peer_message *message, size_t *length, size_t limit)
{
    *length = limit;
    assert_comes_back(message);
    *length = limit + 1;
    assert_int_equal(encoded(message), ERR_TOO_BIG);
}

static void lengths_are_limited(void **state)
{
    (void)state;
    uint8_t *bytes = calloc(1, LIMIT_ENTRY_BYTES + 1);
    struct peer_message message = {.kind = PEER_HELLO, .hello = {.members = {bytes, 0}, .version = {bytes, 0}}};
    assert_limit(&message, &message.hello.members.len, LIMIT_ENSEMBLE_BYTES);
    message.hello.members.len = 0;
    assert_limit(&message, &message.hello.version.len, LIMIT_TEXT_BYTES);
    message = (struct peer_message){.kind = PEER_REFUSED, .refused = {ERR_OTHER_CLUSTER, {bytes, 0}}};
    assert_limit(&message, &message.refused.text.len, LIMIT_TEXT_BYTES);
    message = (struct peer_message){.kind = PEER_SNAPSHOT_CHUNK, .chunk = {bytes, 0}};
    assert_limit(&message, &message.chunk.len, LIMIT_CHUNK_BYTES);
    message = (struct peer_message){.kind = PEER_FORWARD, .forward = {UINT64_MAX, UINT64_MAX, 0, {bytes, 0}}};
    assert_limit(&message, &message.forward.request.len, LIMIT_REQUEST_BYTES);
    struct bytes entry = {bytes, 0};
    message = (struct peer_message){.kind = PEER_ENTRIES, .entries = {{.kind = ZAB_ENTRIES, .count = 1}, &entry, 1}};
    assert_limit(&message, &entry.len, LIMIT_ENTRY_BYTES);
    free(bytes);
}

static void counts_are_limited(void **state)
{
    (void)state;
    static uint64_t sessions[LIMIT_HEARTBEATS + 1];
    static struct bytes list[LIMIT_MESSAGE_ENTRIES + 1];
    memset(sessions, 0xff, sizeof sessions);
    for (enum peer_message_kind kind = PEER_RESEND; kind <= PEER_HEARTBEAT_ACKS; kind++) {
        struct peer_message message = {.kind = kind, .heartbeats = {UINT64_MAX, sessions, 0, true}};
        assert_limit(&message, &message.heartbeats.count, LIMIT_HEARTBEATS);
    }
    for (size_t i = 0; i <= LIMIT_MESSAGE_ENTRIES; i++)
        list[i] = (struct bytes){sample->base.pool, 120};
    struct peer_message message = {.kind = PEER_ENTRIES};
    message.entries = (struct peer_entries){{.kind = ZAB_ENTRIES}, list, LIMIT_MESSAGE_ENTRIES};
    message.entries.zab.count = LIMIT_MESSAGE_ENTRIES;
    assert_comes_back(&message);
    message.entries.count = ++message.entries.zab.count;
    assert_int_equal(encoded(&message), ERR_TOO_BIG);
    message.entries.count = message.entries.zab.count = LIMIT_MESSAGE_ENTRIES;
    for (size_t i = 0; i < LIMIT_MESSAGE_ENTRIES; i++)
        list[i].len = 200; /* each entry fits, together they are more than a message */
    assert_int_equal(encoded(&message), ERR_TOO_BIG);
}

static void a_list_has_as_many_entries_as_its_header_says(void **state)
{
    (void)state;
    const struct bytes list[] = {{"one", 3}, {"two", 3}};
    struct peer_message message = {.kind = PEER_ENTRIES, .entries = {{.kind = ZAB_ENTRIES, .count = 2}, list, 2}};
    assert_int_equal(encoded(&message), ERR_OK);
    message.entries.count = 1;
    assert_int_equal(encoded(&message), ERR_CORRUPT);
    message.entries.count = message.entries.zab.count = 0;
    assert_int_equal(encoded(&message), ERR_CORRUPT);
    message.entries.count = message.entries.zab.count = 2;
    message.entries.zab.kind = ZAB_COMMIT;
    assert_int_equal(encoded(&message), ERR_CORRUPT);
    assert_int_equal(encoded(&(struct peer_message){.kind = PEER_ZAB, .zab = {.kind = ZAB_ENTRIES}}), ERR_CORRUPT);
}

static int zab_of(unsigned kind, unsigned role, unsigned sync)
{
    struct peer_message message = {.kind = PEER_ZAB};
    message.zab.kind = (enum zab_message_kind)kind;
    message.zab.role = (enum zab_role)role;
    message.zab.sync = (enum zab_sync)sync;
    return encoded(&message);
}

static void wrong_enums_are_not_encoded(void **state)
{
    (void)state;
    assert_int_equal(encoded(&(struct peer_message){0}), ERR_CORRUPT);
    assert_int_equal(encoded(&(struct peer_message){.kind = (enum peer_message_kind)(PEER_STATUS + 1)}), ERR_CORRUPT);
    assert_int_equal(zab_of(0, 0, 0), ERR_CORRUPT);
    assert_int_equal(zab_of(ZAB_PONG + 1, 0, 0), ERR_CORRUPT);
    assert_int_equal(zab_of(ZAB_PONG, 0, 0), ERR_OK);
    assert_int_equal(zab_of(ZAB_VOTE, 0, 0), ERR_CORRUPT); /* a vote says what its sender is */
    assert_int_equal(zab_of(ZAB_VOTE, ZAB_LOOKING, 0), ERR_OK);
    assert_int_equal(zab_of(ZAB_PING, ZAB_LEADING + 1, 0), ERR_CORRUPT);
    assert_int_equal(zab_of(ZAB_SYNC, 0, 0), ERR_CORRUPT); /* a SYNC says how */
    assert_int_equal(zab_of(ZAB_SYNC, 0, ZAB_SNAP), ERR_OK);
    assert_int_equal(zab_of(ZAB_PING, 0, ZAB_SNAP + 1), ERR_CORRUPT);
}

/* --- hostile input, written by hand --- */

static int of_wire(void)
{
    struct peer_message message;
    return decoded((struct bytes){wire, wire_len}, &message);
}

static int zab_on_wire(unsigned field, uint64_t value)
{
    wire_len = 0;
    put_number(1, ZAB_VOTE);
    put_number(6, ZAB_LOOKING);
    if (field != 0)
        put_number(field, value);
    wrap(PEER_ZAB);
    return of_wire();
}

static void enums_and_missing_parts_are_checked(void **state)
{
    (void)state;
    assert_int_equal(zab_on_wire(0, 0), ERR_OK);
    assert_int_equal(zab_on_wire(1, 0), ERR_CORRUPT);
    assert_int_equal(zab_on_wire(1, ZAB_ENTRIES), ERR_CORRUPT);
    assert_int_equal(zab_on_wire(1, ZAB_SYNC), ERR_CORRUPT); /* no sync */
    assert_int_equal(zab_on_wire(1, UINT32_MAX), ERR_CORRUPT);
    assert_int_equal(zab_on_wire(6, 4), ERR_CORRUPT);
    assert_int_equal(zab_on_wire(11, 4), ERR_CORRUPT);
    wire_len = 0;
    assert_int_equal(of_wire(), ERR_CORRUPT);
    put_bytes(2, "entry", 5); /* entries without a header */
    wrap(PEER_ENTRIES);
    assert_int_equal(of_wire(), ERR_CORRUPT);
    wire_len = 0;
    put_bytes(PEER_HELLO, "", 0); /* without ids */
    assert_int_equal(of_wire(), ERR_CORRUPT);
}

static void ids_have_one_length(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    for (size_t len = 0; len < 40; len++)
        for (unsigned field = 2; field <= 3; field++) {
            wire_len = 0;
            put_bytes(5 - field, zeros, CLUSTER_ID_BYTES);
            put_bytes(field, zeros, len);
            wrap(PEER_HELLO);
            assert_int_equal(of_wire(), len == CLUSTER_ID_BYTES ? ERR_OK : ERR_CORRUPT);
        }
}

static void what_a_newer_version_says_is_told_apart(void **state)
{
    (void)state;
    wire_len = 0;
    put_bytes(40, "", 0); /* a kind that is not known yet */
    assert_int_equal(of_wire(), ERR_BAD_FORMAT);
    assert_int_equal(zab_on_wire(99, 5), ERR_OK); /* a known one with a field more: the field is passed over */
}

static void put_entries_header(uint64_t count)
{
    wire_len = 0;
    put_number(1, ZAB_ENTRIES);
    put_number(15, count);
    wrap(1);
}

/* Limits hold for what others have encoded, too; and 1 MiB of input that asks for many times as much memory is refused
 * within the arena. */
static void bombs_end_in_the_arena(void **state)
{
    (void)state;
    put_entries_header(LIMIT_MESSAGE_ENTRIES + 1);
    for (unsigned i = 0; i <= LIMIT_MESSAGE_ENTRIES; i++)
        put_bytes(2, "", 0);
    wrap(PEER_ENTRIES);
    assert_int_equal(of_wire(), ERR_TOO_BIG);
    for (put_entries_header(1); wire_len < MIB;)
        put_bytes(2, "", 0);
    wrap(PEER_ENTRIES);
    assert_int_equal(of_wire(), ERR_TOO_BIG);
    for (size_t len = LIMIT_HEARTBEATS; len <= MIB; len += MIB - LIMIT_HEARTBEATS) {
        wire_len = len; /* packed sessions of a byte each */
        memset(wire, 1, len);
        wrap(2);
        wrap(PEER_HEARTBEATS);
        assert_int_equal(of_wire(), len == LIMIT_HEARTBEATS ? ERR_OK : ERR_TOO_BIG);
    }
    for (wire_len = 0; wire_len < MIB;) /* unpacked ones */
        put_number(2, 1);
    wrap(PEER_RESEND);
    assert_int_equal(of_wire(), ERR_TOO_BIG);
    for (wire_len = 0; wire_len < MIB;) /* unknown fields */
        put_number(99, 0);
    assert_int_equal(of_wire(), ERR_TOO_BIG);
    wire_len = LIMIT_MESSAGE_BYTES + 1;
    assert_int_equal(of_wire(), ERR_TOO_BIG);
}

/* --- hostile input, by mutation --- */

/* Whatever decodes can be encoded, and decodes to the same again. */
static bool judge(struct bytes from)
{
    struct peer_message message, second;
    uint8_t *exact = malloc(from.len + 1); /* so that the sanitizer sees a byte too many */
    memcpy(exact, from.at, from.len);
    const int err = decoded((struct bytes){exact, from.len}, &message);
    free(exact);
    if (err != ERR_OK)
        return false;
    struct text text = text_of(&message);
    assert_int_equal(encode_peer_message(&message, &again), ERR_OK);
    assert_int_equal(decoded(contents(&again), &second), ERR_OK);
    assert_same(text, text_of(&second));
    return true;
}

static void damaged_messages_do_no_harm(void **state)
{
    (void)state;
    unsigned taken = 0, refused = 0;
    for (uint64_t seed = 0; seed < 1200; seed++) {
        struct peer_message message;
        sample_begin(&sample->base, seed);
        sample_peer_message(sample, (enum peer_message_kind)(PEER_HELLO + seed % PEER_STATUS), &message);
        assert_int_equal(encoded(&message), ERR_OK);
        for (int i = 0; i < 50; i++) {
            struct bytes damaged = contents(&buffer);
            const size_t at = (size_t)(sample_random(&sample->base) % (buffer.len < 64 ? buffer.len : 64));
            const uint8_t before = buffer.at[at];
            if (i % 4 == 0)
                damaged.len = sample_random(&sample->base) % buffer.len;
            else
                buffer.at[at] = (uint8_t)sample_random(&sample->base);
            const bool good = judge(damaged);
            taken += good;
            refused += !good;
            buffer.at[at] = before;
        }
    }
    assert_true(taken > 1000 && refused > 1000); /* both ways were gone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back_as_it_was),
        cmocka_unit_test(every_zab_message_comes_back_as_it_was),
        cmocka_unit_test(lengths_are_limited),
        cmocka_unit_test(counts_are_limited),
        cmocka_unit_test(a_list_has_as_many_entries_as_its_header_says),
        cmocka_unit_test(wrong_enums_are_not_encoded),
        cmocka_unit_test(enums_and_missing_parts_are_checked),
        cmocka_unit_test(ids_have_one_length),
        cmocka_unit_test(what_a_newer_version_says_is_told_apart),
        cmocka_unit_test(bombs_end_in_the_arena),
        cmocka_unit_test(damaged_messages_do_no_harm),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
