/* The codec: what goes in comes out, field by field, for every kind of request, entry and message; and nothing that
 * comes from the wire or the disk, however hostile, crashes it or takes more than its arena. */
#include "proto/codec.h"
#include "tests/support/sample.h"
#include "tests/support/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLES_PER_KIND = 100 };

static struct sample *sample;
static struct arena *arena;

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
    return 0;
}

/* --- what goes in comes out --- */

struct text {
    char *at;
    size_t len;
};

static struct text text_of(const struct request *request, const struct message *message)
{
    struct text text;
    FILE *to = open_memstream(&text.at, &text.len);
    if (request != NULL)
        sample_print_request(to, request);
    if (message != NULL)
        sample_print_message(to, message);
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

static struct bytes contents(const struct buffer *buffer)
{
    return (struct bytes){buffer->at, buffer->len};
}

static void every_request_comes_back_as_it_was(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    for (enum op_kind kind = OP_NOOP; kind <= OP_UNLOCK; kind++)
        for (uint64_t seed = 0; seed < SAMPLES_PER_KIND; seed++) {
            struct request request, decoded;
            sample_begin(sample, seed * 1000 + kind);
            sample_request(sample, kind, &request);
            assert_int_equal(encode_request(&request, &buffer), ERR_OK);
            arena_reset(arena);
            assert_int_equal(decode_request(contents(&buffer), arena, &decoded), ERR_OK);
            memset(buffer.at, 0xaa, buffer.len); /* the input may go at once */
            assert_same(text_of(&request, NULL), text_of(&decoded, NULL));
        }
    buffer_free(&buffer);
}

static void every_message_comes_back_as_it_was(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    for (enum message_kind kind = MESSAGE_ATTACH; kind <= MESSAGE_DETACHED; kind++)
        for (uint64_t seed = 0; seed < SAMPLES_PER_KIND; seed++) {
            struct message message, decoded;
            sample_begin(sample, seed * 1000 + kind);
            sample_message(sample, kind, &message);
            assert_int_equal(encode_message(&message, &buffer), ERR_OK);
            arena_reset(arena);
            assert_int_equal(decode_message(contents(&buffer), arena, &decoded), ERR_OK);
            memset(buffer.at, 0xaa, buffer.len);
            assert_same(text_of(NULL, &message), text_of(NULL, &decoded));
        }
    buffer_free(&buffer);
}

static void an_entry_wraps_an_encoded_request(void **state)
{
    (void)state;
    struct buffer request_buffer = {0}, buffer = {0};
    for (uint64_t seed = 0; seed < SAMPLES_PER_KIND; seed++) {
        sample_begin(sample, seed);
        struct entry entry = {.zxid = sample_random(sample),
                              .stamp_ns = (int64_t)sample_random(sample),
                              .session = sample_random(sample),
                              .number = sample_random(sample),
                              .awaited = sample_random(sample)};
        sample_request(sample, (enum op_kind)(seed % (OP_UNLOCK + 1)), &entry.request);
        assert_int_equal(encode_request(&entry.request, &request_buffer), ERR_OK);
        assert_int_equal(encode_entry(&entry, contents(&request_buffer), &buffer), ERR_OK);
        struct entry decoded;
        arena_reset(arena);
        assert_int_equal(decode_entry(contents(&buffer), arena, &decoded), ERR_OK);
        assert_true(decoded.zxid == entry.zxid && decoded.stamp_ns == entry.stamp_ns);
        assert_true(decoded.session == entry.session && decoded.number == entry.number);
        assert_true(decoded.awaited == entry.awaited);
        assert_same(text_of(&entry.request, NULL), text_of(&decoded.request, NULL));
    }
    buffer_free(&request_buffer);
    buffer_free(&buffer);
}

/* --- limits: whatever can be encoded can be decoded --- */

static struct request large_multi(struct request ops[], size_t op_count, struct edit *edits, size_t edits_each)
{
    for (size_t i = 0; i < op_count; i++) {
        ops[i] = (struct request){.kind = OP_WRITE};
        ops[i].write = (struct op_write){{ROOT_ID, {"f", 1}}, NO_VERSION_CHECK, edits, edits_each};
    }
    struct request request = {.kind = OP_MULTI};
    request.multi = (struct op_multi){ops, op_count};
    return request;
}

static void the_largest_multi_fits_the_arena(void **state)
{
    (void)state;
    static struct request ops[LIMIT_MULTI_OPS + 1];
    static struct edit edits[LIMIT_EDITS + 1];
    struct buffer request_buffer = {0}, buffer = {0};
    for (size_t i = 0; i <= LIMIT_EDITS; i++)
        edits[i] = (struct edit){EDIT_PUT, UINT64_MAX, {sample->pool, 960}};
    struct request request = large_multi(ops, LIMIT_MULTI_OPS, edits, 1);
    struct entry entry = {.zxid = UINT64_MAX, .stamp_ns = INT64_MIN, .session = UINT64_MAX, .number = UINT64_MAX};
    entry.awaited = UINT64_MAX;
    assert_int_equal(encode_request(&request, &request_buffer), ERR_OK);
    assert_true(request_buffer.len > LIMIT_DATA_BYTES * 9 / 10);
    assert_int_equal(encode_entry(&entry, contents(&request_buffer), &buffer), ERR_OK);
    arena_reset(arena);
    assert_int_equal(decode_entry(contents(&buffer), arena, &entry), ERR_OK);
    assert_int_equal(entry.request.multi.count, LIMIT_MULTI_OPS);

    request = large_multi(ops, LIMIT_MULTI_OPS + 1, edits, 0);
    assert_int_equal(encode_request(&request, &buffer), ERR_TOO_BIG);
    request = large_multi(ops, 2, edits, LIMIT_EDITS / 2 + 1); /* edits are counted over the whole multi */
    assert_int_equal(encode_request(&request, &buffer), ERR_TOO_BIG);
    request = large_multi(ops, 1, edits, LIMIT_EDITS + 1);
    assert_int_equal(encode_request(&request.multi.ops[0], &buffer), ERR_TOO_BIG);
    buffer_free(&request_buffer);
    buffer_free(&buffer);
}

static void the_largest_data_fits_and_a_byte_more_does_not(void **state)
{
    (void)state;
    uint8_t *data = calloc(1, LIMIT_DATA_BYTES + 1);
    char path[LIMIT_PATH_BYTES + 1] = {0};
    struct buffer buffer = {0};
    struct request request = {.kind = OP_CREATE}, decoded;
    request.create.kind = KIND_FILE;
    request.create.at.path = (struct bytes){path, LIMIT_PATH_BYTES};
    request.create.data = (struct bytes){data, LIMIT_DATA_BYTES};
    assert_int_equal(encode_request(&request, &buffer), ERR_OK);
    arena_reset(arena);
    assert_int_equal(decode_request(contents(&buffer), arena, &decoded), ERR_OK);
    request.create.data.len++;
    assert_int_equal(encode_request(&request, &buffer), ERR_TOO_BIG);
    request.create.data.len = 0;
    request.create.at.path.len++;
    assert_int_equal(encode_request(&request, &buffer), ERR_TOO_BIG);
    free(data);
    buffer_free(&buffer);
}

static void a_full_message_of_small_entries_fits_the_arena(void **state)
{
    (void)state;
    static struct bytes list[LIMIT_MESSAGE_ENTRIES + 1];
    struct buffer buffer = {0};
    for (size_t i = 0; i <= LIMIT_MESSAGE_ENTRIES; i++)
        list[i] = (struct bytes){sample->pool, 100};
    struct message message = {.kind = MESSAGE_ENTRIES}, decoded;
    message.entries = (struct message_entries){list, LIMIT_MESSAGE_ENTRIES, UINT64_MAX};
    assert_int_equal(encode_message(&message, &buffer), ERR_OK);
    arena_reset(arena);
    assert_int_equal(decode_message(contents(&buffer), arena, &decoded), ERR_OK);
    assert_int_equal(decoded.entries.count, LIMIT_MESSAGE_ENTRIES);
    message.entries.count++;
    assert_int_equal(encode_message(&message, &buffer), ERR_TOO_BIG);
    buffer_free(&buffer);
}

static void wrong_enums_are_not_encoded(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    struct request create = {.kind = OP_CREATE}, nested = {.kind = OP_MULTI};
    create.create.kind = (enum node_kind)4;
    assert_int_equal(encode_request(&create, &buffer), ERR_CORRUPT);
    nested.multi = (struct op_multi){&(struct request){.kind = OP_MULTI}, 1};
    assert_int_equal(encode_request(&nested, &buffer), ERR_CORRUPT);
    nested.multi = (struct op_multi){&(struct request){.kind = OP_NOOP}, 1};
    assert_int_equal(encode_request(&nested, &buffer), ERR_CORRUPT);
    assert_int_equal(encode_request(&(struct request){.kind = (enum op_kind)(OP_UNLOCK + 1)}, &buffer), ERR_CORRUPT);
    assert_int_equal(encode_message(&(struct message){.kind = (enum message_kind)18}, &buffer), ERR_CORRUPT);
    assert_int_equal(encode_message(&(struct message){0}, &buffer), ERR_CORRUPT);
    buffer_free(&buffer);
}

/* --- hostile input, written by hand --- */

static int decoded_request(void)
{
    struct request request;
    arena_reset(arena);
    return decode_request((struct bytes){wire, wire_len}, arena, &request);
}

static int decoded_message(void)
{
    struct message message;
    arena_reset(arena);
    return decode_message((struct bytes){wire, wire_len}, arena, &message);
}

enum {
    REQUEST_OP = 1,
    REQUEST_MULTI = 2,
    REQUEST_CREATE_SESSION = 4,
    REQUEST_CLOSE_SESSION = 5,
    REQUEST_CLUSTER = 7,
    REQUEST_LOCK = 9,
    REQUEST_UNLOCK = 10
};

/* Writes Request { Op { Create { at {}, kind } } } with one more field in Create. */
static int create_with(uint64_t kind, unsigned field, uint64_t value)
{
    wire_len = 0;
    put_bytes(1, "", 0);
    put_number(2, kind);
    if (field != 0)
        put_number(field, value);
    wrap(OP_CREATE);
    wrap(REQUEST_OP);
    return decoded_request();
}

static void enums_and_missing_parts_are_checked(void **state)
{
    (void)state;
    assert_int_equal(create_with(KIND_FILE, 0, 0), ERR_OK);
    assert_int_equal(create_with(0, 0, 0), ERR_CORRUPT);
    assert_int_equal(create_with(4, 0, 0), ERR_CORRUPT);
    assert_int_equal(create_with(UINT64_MAX, 0, 0), ERR_CORRUPT);

    wire_len = 0;
    put_number(2, KIND_FILE);
    wrap(OP_CREATE); /* no `at` */
    wrap(REQUEST_OP);
    assert_int_equal(decoded_request(), ERR_CORRUPT);
    wire_len = 0;
    put_bytes(REQUEST_OP, "", 0); /* an Op without an op */
    assert_int_equal(decoded_request(), ERR_CORRUPT);
    wire_len = 0;
    assert_int_equal(decoded_request(), ERR_CORRUPT);
    assert_int_equal(decoded_message(), ERR_CORRUPT);
    wire_len = 0;
    put_number(2, 3);
    wrap(REQUEST_CLOSE_SESSION);
    assert_int_equal(decoded_request(), ERR_CORRUPT);
}

static void locks_are_checked(void **state)
{
    (void)state;
    static const char command[LIMIT_COMMAND_BYTES + 1];
    for (uint64_t space = 0; space < 4; space++) {
        wire_len = 0;
        put_number(2, space);
        wrap(REQUEST_LOCK);
        assert_int_equal(decoded_request(), space == LOCK_FLOCK || space == LOCK_POSIX ? ERR_OK : ERR_CORRUPT);
        wire_len = 0;
        put_number(2, UNLOCK_RANGE);
        put_number(3, space);
        wrap(REQUEST_UNLOCK);
        assert_int_equal(decoded_request(), space <= LOCK_POSIX ? ERR_OK : ERR_CORRUPT);
        wire_len = 0;
        put_number(2, space + 2); /* 2 to 5 */
        wrap(REQUEST_UNLOCK);
        assert_int_equal(decoded_request(), space + 2 <= UNLOCK_WAITER ? ERR_OK : ERR_CORRUPT);
    }
    wire_len = 0;
    put_number(2, LOCK_FLOCK);
    put_bytes(10, command, sizeof command);
    wrap(REQUEST_LOCK);
    assert_int_equal(decoded_request(), ERR_TOO_BIG);
    wire_len = 0;
    put_number(1, 2); /* no scope */
    wrap(REQUEST_UNLOCK);
    assert_int_equal(decoded_request(), ERR_CORRUPT);
}

static void ids_and_nonces_have_one_length(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    for (size_t len = 0; len < 40; len++) {
        wire_len = 0;
        put_bytes(REQUEST_CLUSTER, zeros, len);
        assert_int_equal(decoded_request(), len == CLUSTER_ID_BYTES ? ERR_OK : ERR_CORRUPT);
        wire_len = 0;
        put_bytes(1, zeros, SESSION_NONCE_BYTES);
        put_bytes(2, zeros, len);
        wrap(REQUEST_CREATE_SESSION);
        assert_int_equal(decoded_request(), len == SESSION_HASH_BYTES ? ERR_OK : ERR_CORRUPT);
    }
}

/* A newer version's field could mean anything: applying the rest would make this replica differ from others. */
static void what_a_newer_version_says_is_told_apart(void **state)
{
    (void)state;
    assert_int_equal(create_with(KIND_FILE, 77, 1), ERR_BAD_FORMAT);
    wire_len = 0;
    put_bytes(11, "", 0); /* an op that is not known yet */
    wrap(REQUEST_OP);
    assert_int_equal(decoded_request(), ERR_BAD_FORMAT);
    wire_len = 0;
    put_bytes(20, "", 0); /* a message kind that is not known yet */
    assert_int_equal(decoded_message(), ERR_BAD_FORMAT);
    wire_len = 0;
    put_number(1, 5); /* a known message with a field more: the field is passed over */
    put_number(99, 5);
    wrap(MESSAGE_HEARTBEAT);
    assert_int_equal(decoded_message(), ERR_OK);
}

/* 1 MiB of input that asks for many times as much memory: refused within the arena. */
static void bombs_end_in_the_arena(void **state)
{
    (void)state;
    for (wire_len = 0; wire_len < MIB;) /* unknown fields of three bytes */
        put_number(99, 0);
    assert_int_equal(decoded_message(), ERR_TOO_BIG);
    for (wire_len = 0; wire_len < MIB;) /* empty entries */
        put_bytes(1, "", 0);
    wrap(MESSAGE_ENTRIES);
    assert_int_equal(decoded_message(), ERR_TOO_BIG);
    for (wire_len = 0; wire_len < MIB;) /* empty edits */
        put_bytes(3, "", 0);
    wrap(OP_WRITE);
    wrap(REQUEST_OP);
    assert_int_equal(decoded_request(), ERR_TOO_BIG);
    for (wire_len = 0; wire_len < MIB;) /* empty ops */
        put_bytes(1, "", 0);
    wrap(REQUEST_MULTI);
    assert_int_equal(decoded_request(), ERR_TOO_BIG);
    for (wire_len = 0; wire_len < MIB;) /* one field said again and again, merged each time */
        put_bytes(REQUEST_OP, "\x0a\x00", 2);
    assert_int_not_equal(decoded_request(), ERR_OK);
    wire_len = LIMIT_REQUEST_BYTES + 1;
    assert_int_equal(decoded_request(), ERR_TOO_BIG);
    wire_len = LIMIT_MESSAGE_BYTES + 1;
    assert_int_equal(decoded_message(), ERR_TOO_BIG);
}

/* 100,000 groups or messages inside each other: there is nothing to nest, so nothing to overflow the stack. */
static void depth_is_bounded(void **state)
{
    (void)state;
    wire_len = 0;
    for (int i = 0; i < 10000; i++)
        wrap(2);
    assert_int_not_equal(decoded_request(), ERR_OK);
    memset(wire, 0x0b, 100000); /* start group */
    wire_len = 100000;
    assert_int_not_equal(decoded_request(), ERR_OK);
}

/* --- hostile input, by mutation --- */

/* Whatever decodes can be encoded and decodes to the same again. */
static void judge_request(struct bytes from, struct buffer *again)
{
    struct request request, second;
    arena_reset(arena);
    if (decode_request(from, arena, &request) != ERR_OK)
        return;
    struct text text = text_of(&request, NULL);
    assert_int_equal(encode_request(&request, again), ERR_OK);
    arena_reset(arena);
    assert_int_equal(decode_request(contents(again), arena, &second), ERR_OK);
    assert_same(text, text_of(&second, NULL));
}

static void damaged_requests_do_no_harm(void **state)
{
    (void)state;
    struct buffer buffer = {0}, again = {0};
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct request request;
        sample_begin(sample, seed);
        sample_request(sample, (enum op_kind)(seed % (OP_UNLOCK + 1)), &request);
        assert_int_equal(encode_request(&request, &buffer), ERR_OK);
        for (int i = 0; i < 100 && buffer.len > 0; i++) {
            struct bytes damaged = contents(&buffer);
            const size_t at = (size_t)(sample_random(sample) % (buffer.len < 64 ? buffer.len : 64));
            const uint8_t before = buffer.at[at];
            if (i % 4 == 0)
                damaged.len = sample_random(sample) % buffer.len;
            else
                buffer.at[at] = (uint8_t)sample_random(sample);
            judge_request(damaged, &again);
            buffer.at[at] = before;
        }
    }
    buffer_free(&buffer);
    buffer_free(&again);
}

static void damaged_messages_do_no_harm(void **state)
{
    (void)state;
    struct buffer buffer = {0}, again = {0};
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct message message;
        sample_begin(sample, seed);
        sample_message(sample, (enum message_kind)(MESSAGE_ATTACH + seed % MESSAGE_DETACHED), &message);
        assert_int_equal(encode_message(&message, &buffer), ERR_OK);
        for (int i = 0; i < 100; i++) {
            struct message decoded;
            struct bytes damaged = contents(&buffer);
            if (i % 4 == 0)
                damaged.len = sample_random(sample) % buffer.len;
            buffer.at[sample_random(sample) % (buffer.len < 64 ? buffer.len : 64)] ^= (uint8_t)sample_random(sample);
            arena_reset(arena);
            if (decode_message(damaged, arena, &decoded) == ERR_OK)
                assert_int_equal(encode_message(&decoded, &again), ERR_OK);
        }
    }
    buffer_free(&buffer);
    buffer_free(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_comes_back_as_it_was),
        cmocka_unit_test(every_message_comes_back_as_it_was),
        cmocka_unit_test(an_entry_wraps_an_encoded_request),
        cmocka_unit_test(the_largest_multi_fits_the_arena),
        cmocka_unit_test(the_largest_data_fits_and_a_byte_more_does_not),
        cmocka_unit_test(a_full_message_of_small_entries_fits_the_arena),
        cmocka_unit_test(wrong_enums_are_not_encoded),
        cmocka_unit_test(enums_and_missing_parts_are_checked),
        cmocka_unit_test(locks_are_checked),
        cmocka_unit_test(ids_and_nonces_have_one_length),
        cmocka_unit_test(what_a_newer_version_says_is_told_apart),
        cmocka_unit_test(bombs_end_in_the_arena),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(damaged_requests_do_no_harm),
        cmocka_unit_test(damaged_messages_do_no_harm),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
