/* Snapshots: chunks of any size, records in any order, and everything that a broken or hostile snapshot can hold. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "replica/state/hash.h"
#include "replica/state/snapshot.h"
#include "tests/support/state_story.h"
#include "tests/support/state_workload.h"

enum {
    RECORDS = 64,
    HEAD_SEED = 1 /* of a znode's head in the digest */,
    GLOBALS_SEED = 4,
    MEMBER_SEED = 5,
    LOCK_SEED = 6
};
enum { AT_VERSION = RECORD_FRAME_BYTES + SNAPSHOT_MAGIC_BYTES + 4 }; /* in the first record */

/* A snapshot taken apart. */
struct parts {
    struct bytes records[RECORDS]; /* frame included */
    size_t count;
    uint8_t *bytes;
    size_t len;
};

/* A small state with everything in it that version 1 knows: all kinds, sessions with results, owners, xattrs. */
static struct story *first_version_story(void)
{
    struct story *story = story_new();
    struct op_xattr xattr = {.at = story_at("d/f"), .name = {"user.a", 6}, .value = {"value", 5}};
    story_session(story, 1);
    story_make(story, "d", KIND_DIRECTORY);
    story_make(story, "d/f", KIND_FILE);
    story_make(story, "d/e", KIND_DIRECTORY);
    story_make(story, "link", KIND_SYMLINK);
    story_make_as(story, "owned by a session", KIND_FILE, (struct lifetime){.ephemeral = true});
    story_make_as(story, "c", KIND_DIRECTORY, (struct lifetime){.container = true, .ttl_ms = 1000});
    story_write(story, "d/f", "some data of a file");
    story_apply(story, (struct request){.kind = OP_SET_XATTR, .xattr = xattr});
    story_apply(story, (struct request){.kind = OP_SET_POLICY, .set_policy = {story_at("d"), {"{owner}", 7}}});
    story_session(story, 2);
    story_make(story, "last", KIND_FILE);
    return story;
}

static void set_member(struct story *story, uint32_t id, uint8_t incarnation)
{
    uint64_t session = story->session;
    struct request request = {.kind = OP_SET_MEMBER, .set_member = {id, {incarnation}}};
    story->session = 0;
    assert_int_equal(story_apply(story, request), ERR_OK);
    story->session = session;
}

static void lock(struct story *story, uint64_t session, struct op_lock op, int code)
{
    story->session = session;
    op.command = (struct bytes){"command", 7};
    assert_int_equal(story_apply(story, (struct request){.kind = OP_LOCK, .lock = op}), code);
}

/* In their order in a snapshot: one of "d", one of "d/f" and one that waits for it, one of "last". */
static void lock_some(struct story *story)
{
    lock(story, 1, (struct op_lock){.id = 2, .space = LOCK_POSIX, .owner = 5, .end = 9}, ERR_OK);
    lock(story, 2, (struct op_lock){.id = 3, .space = LOCK_FLOCK, .exclusive = true, .end = UINT64_MAX}, ERR_OK);
    lock(story, 1, (struct op_lock){.id = 3, .space = LOCK_FLOCK, .wait = true, .end = UINT64_MAX}, ERR_LOCK_WAITS);
    lock(story, 2, (struct op_lock){.id = 8, .space = LOCK_POSIX, .exclusive = true, .end = 9}, ERR_OK);
}

/* And with what later versions added. */
static struct story *rich_story(void)
{
    struct story *story = first_version_story();
    story_version(story, STATE_VERSION);
    set_member(story, 1, 10);
    set_member(story, 2, 20);
    lock_some(story);
    return story;
}

static struct parts take(struct state *state)
{
    struct parts parts = {.bytes = malloc(1 << 20)};
    struct snapshot_cursor *cursor = snapshot_begin(state);
    parts.len = snapshot_read(cursor, parts.bytes, 1 << 20);
    assert_int_equal(snapshot_read(cursor, parts.bytes, 1), 0);
    snapshot_end(cursor);
    for (size_t at = 0; at < parts.len;) {
        const uint8_t *frame = parts.bytes + at;
        size_t len = (size_t)(frame[0] | frame[1] << 8 | frame[2] << 16) + RECORD_FRAME_BYTES;
        parts.records[parts.count++] = (struct bytes){frame, len};
        at += len;
    }
    return parts;
}

/* The code of loading these bytes in pieces of `step`; what was loaded must be sound. */
static int load(const void *bytes, size_t len, size_t step, uint64_t *digest)
{
    struct snapshot_loader *loader = loader_new();
    struct state *state = NULL;
    int code = ERR_OK;
    for (size_t at = 0; at < len && code == ERR_OK; at += step)
        code = loader_feed(loader, (const uint8_t *)bytes + at, len - at < step ? len - at : step);
    if (code == ERR_OK)
        code = loader_finish(loader, &state);
    if (code != ERR_OK) {
        loader_free(loader);
        return code;
    }
    assert_null(state_check(state));
    *digest = state_digest(state);
    state_free(state);
    return code;
}

static int load_parts(const struct parts *parts, uint64_t *digest)
{
    uint8_t *bytes = malloc(1 << 20);
    size_t len = 0;
    for (size_t i = 0; i < parts->count; i++) {
        memcpy(bytes + len, parts->records[i].at, parts->records[i].len);
        len += parts->records[i].len;
    }
    int code = load(bytes, len, len, digest);
    free(bytes);
    return code;
}

static void test_pieces_of_any_size(void **unused)
{
    (void)unused;
    struct story *story = rich_story();
    struct parts parts = take(story->state);
    static const size_t steps[] = {1, 2, 3, 4, 5, 6, 7, 100, 1000, 1 << 20};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        uint64_t digest = 0;
        assert_int_equal(load(parts.bytes, parts.len, steps[i], &digest), ERR_OK);
        assert_true(digest == state_digest(story->state));
    }
    free(parts.bytes);
    story_free(story);
}

static void test_records_in_any_order(void **unused)
{
    (void)unused;
    struct story *story = rich_story();
    struct parts parts = take(story->state);
    struct workload dice = {.random = 3};
    for (int round = 0; round < 200; round++) {
        for (size_t i = 1; i < parts.count - 1; i++) { /* all but the first and the last */
            size_t other = 1 + workload_random(&dice, parts.count - 2);
            struct bytes record = parts.records[i];
            parts.records[i] = parts.records[other];
            parts.records[other] = record;
        }
        uint64_t digest = 0;
        assert_int_equal(load_parts(&parts, &digest), ERR_OK);
        assert_true(digest == state_digest(story->state));
    }
    free(parts.bytes);
    story_free(story);
}

static void test_any_flipped_bit_and_any_cut_is_found(void **unused)
{
    (void)unused;
    struct story *story = rich_story();
    struct parts parts = take(story->state);
    uint64_t digest;
    for (size_t i = 0; i < parts.len; i++) {
        parts.bytes[i] ^= (uint8_t)(1u << i % 8);
        assert_int_not_equal(load(parts.bytes, parts.len, parts.len, &digest), ERR_OK);
        parts.bytes[i] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(load(parts.bytes, i, 100, &digest), ERR_CORRUPT);
    }
    parts.bytes[parts.len] = 0; /* and anything behind the end */
    assert_int_equal(load(parts.bytes, parts.len + 1, parts.len + 1, &digest), ERR_CORRUPT);
    print_message("%d bytes: each flipped, each cut found\n", (int)parts.len);
    free(parts.bytes);
    story_free(story);
}

/* --- forgeries whose digest is right --- */

static uint64_t get_number(const uint8_t *at, size_t len)
{
    uint64_t value = 0;
    for (size_t i = len; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static void put_number(uint8_t *at, size_t len, uint64_t value)
{
    for (size_t i = 0; i < len; i++, value >>= 8)
        at[i] = (uint8_t)value;
}

/* Where things are in a NODE record (record.c). */
enum { AT_ID = 5, AT_PARENT = 13, AT_KIND = 21, AT_MORE = 22, AT_NAME_LEN = 23, AT_NAME = 24, FROM_NAME_TO_MODE = 64 };

static uint8_t *node_record(struct parts *parts, uint64_t id, size_t *len)
{
    for (size_t i = 0; i < parts->count; i++) {
        uint8_t *at = (uint8_t *)(uintptr_t)parts->records[i].at;
        *len = parts->records[i].len;
        if (at[4] == RECORD_NODE && get_number(at + AT_ID, 8) == id)
            return at;
    }
    fail_msg("no znode %d", (int)id);
    return NULL;
}

/* How much of a record is head: what follows are the bytes of xattrs and data, which are hashed apart. */
static uint64_t head_hash(const uint8_t *record, size_t len, size_t tail)
{
    return hash_bytes(record + RECORD_FRAME_BYTES, len - RECORD_FRAME_BYTES - tail, HEAD_SEED);
}

static void adjust_digest(struct parts *parts, uint64_t add)
{
    uint8_t *end = (uint8_t *)(uintptr_t)parts->records[parts->count - 1].at;
    put_number(end + RECORD_FRAME_BYTES + 8, 8, get_number(end + RECORD_FRAME_BYTES + 8, 8) + add);
}

/* Loads with `len` bytes at `at` of a znode's record replaced, and the digest as the forged state would have it. */
static int forge(uint64_t id, size_t at, size_t len, uint64_t value)
{
    struct story *story = rich_story();
    struct parts parts = take(story->state);
    struct node_stat stat;
    size_t record_len = 0, xattrs = id == 3 ? 5 + 6 + 5 : 0;
    uint64_t digest;
    node_stat(state_node(story->state, id), &stat);
    uint8_t *record = node_record(&parts, id, &record_len);
    uint64_t before = head_hash(record, record_len, stat.size + xattrs);
    put_number(record + at, len, value);
    adjust_digest(&parts, head_hash(record, record_len, stat.size + xattrs) - before);
    int code = load_parts(&parts, &digest);
    free(parts.bytes);
    story_free(story);
    return code;
}

/* The znodes of rich_story. */
enum { D = 2, F = 3, E = 4, LINK = 5, OWNED = 6, C = 7, LAST = 8 };

static void test_forged_znodes(void **unused)
{
    (void)unused;
    const size_t mode = AT_NAME + 1 + FROM_NAME_TO_MODE; /* of what has a name of one byte */
    assert_int_equal(forge(F, mode, 2, 0600), ERR_OK);   /* nothing wrong with this: forging works */
    assert_int_equal(forge(F, mode, 2, 010000), ERR_CORRUPT);
    assert_int_equal(forge(F, AT_PARENT, 8, 99), ERR_CORRUPT);   /* an orphan */
    assert_int_equal(forge(F, AT_PARENT, 8, LAST), ERR_CORRUPT); /* below a file */
    assert_int_equal(forge(F, AT_PARENT, 8, OWNED), ERR_CORRUPT);
    assert_int_equal(forge(F, AT_PARENT, 8, 0), ERR_CORRUPT);
    assert_int_equal(forge(ROOT_ID, AT_PARENT, 8, D), ERR_CORRUPT);
    assert_int_equal(forge(D, AT_PARENT, 8, E), ERR_CORRUPT); /* a circle of two */
    assert_int_equal(forge(D, AT_PARENT, 8, D), ERR_CORRUPT); /* its own parent */
    assert_int_equal(forge(F, AT_NAME, 1, 'e'), ERR_CORRUPT); /* two of one name */
    assert_int_equal(forge(F, AT_NAME, 1, 'g'), ERR_OK);
    assert_int_equal(forge(F, AT_NAME, 1, '/'), ERR_CORRUPT);
    assert_int_equal(forge(F, AT_NAME, 1, '.'), ERR_CORRUPT);
    assert_int_equal(forge(F, AT_NAME, 1, 0), ERR_CORRUPT);
    assert_int_equal(forge(F, AT_ID, 8, E), ERR_CORRUPT); /* two of one id */
    assert_int_equal(forge(F, AT_ID, 8, 0), ERR_CORRUPT);
    assert_int_equal(forge(F, AT_ID, 8, 9), ERR_CORRUPT); /* not given yet */
    assert_int_equal(forge(F, AT_KIND, 1, 4), ERR_CORRUPT);
    assert_int_equal(forge(F, AT_MORE, 1, 2), ERR_CORRUPT);
    assert_int_equal(forge(F, AT_NAME + 1 + 16, 8, UINT64_MAX), ERR_CORRUPT); /* changed after the snapshot */
}

static void test_forged_owners(void **unused)
{
    (void)unused;
    const size_t more = AT_NAME + FROM_NAME_TO_MODE + 14; /* behind the attributes of an empty name */
    assert_int_equal(forge(OWNED, more + 18, 8, 2), ERR_OK);
    assert_int_equal(forge(OWNED, more + 18, 8, 3), ERR_CORRUPT); /* no such session */
    assert_int_equal(forge(OWNED, more + 18 + 8, 8, 2), ERR_OK);  /* unborn */
    assert_int_equal(forge(OWNED, more + 18 + 8, 8, 3), ERR_CORRUPT);
    assert_int_equal(forge(C, more + 1 + 8, 8, 2), ERR_CORRUPT);           /* an unborn directory */
    assert_int_equal(forge(C, more + 1 + 16, 8, UINT64_MAX), ERR_CORRUPT); /* a TTL beyond the limit */
    assert_int_equal(forge(C, more + 1 + 16, 8, 5), ERR_OK);
}

static void test_forged_directories(void **unused)
{
    (void)unused;
    const size_t root_reach = AT_NAME + FROM_NAME_TO_MODE + 14 + 44;      /* of what has no extension */
    const size_t reach = root_reach + 1;                                  /* of "d" */
    assert_int_equal(forge(ROOT_ID, root_reach, 2, LIMIT_DEPTH), ERR_OK); /* an upper bound may be higher */
    assert_int_equal(forge(ROOT_ID, root_reach, 2, LIMIT_DEPTH + 1), ERR_CORRUPT);
    assert_int_equal(forge(D, reach, 2, 0), ERR_CORRUPT);     /* there is a child */
    assert_int_equal(forge(D, reach, 2, 2), ERR_CORRUPT);     /* no lower than its parent's */
    assert_int_equal(forge(D, reach + 3, 1, 0), ERR_CORRUPT); /* has children, never had one */
}

/* As forge, of the MEMBER record of replica 1; `version` is the state's as GLOBALS says it. */
static int forge_member(size_t at, size_t len, uint64_t value, uint32_t version)
{
    struct story *story = rich_story();
    struct parts parts = take(story->state);
    uint8_t *globals = parts.bytes, *record = globals + parts.records[0].len;
    struct bytes hashed = {globals + AT_VERSION, parts.records[0].len - AT_VERSION};
    uint64_t digest, before = hash_bytes(hashed.at, hashed.len, GLOBALS_SEED);
    assert_int_equal(record[4], RECORD_MEMBER);
    before += hash_bytes(record + RECORD_FRAME_BYTES, parts.records[1].len - RECORD_FRAME_BYTES, MEMBER_SEED);
    put_number(globals + AT_VERSION, 4, version);
    put_number(record + RECORD_FRAME_BYTES + at, len, value);
    uint64_t after = hash_bytes(hashed.at, hashed.len, GLOBALS_SEED);
    after += hash_bytes(record + RECORD_FRAME_BYTES, parts.records[1].len - RECORD_FRAME_BYTES, MEMBER_SEED);
    adjust_digest(&parts, after - before);
    int code = load_parts(&parts, &digest);
    free(parts.bytes);
    story_free(story);
    return code;
}

static void test_forged_members(void **unused)
{
    (void)unused;
    enum { AT_INCARNATION = 4, AT_ZXID = 20 };
    assert_int_equal(forge_member(0, 4, 3, STATE_VERSION), ERR_OK);      /* nothing wrong with this */
    assert_int_equal(forge_member(0, 4, 2, STATE_VERSION), ERR_CORRUPT); /* there already */
    assert_int_equal(forge_member(0, 4, 0, STATE_VERSION), ERR_CORRUPT);
    assert_int_equal(forge_member(0, 4, LIMIT_REPLICA_ID + 1, STATE_VERSION), ERR_CORRUPT);
    assert_int_equal(forge_member(AT_INCARNATION, 1, 11, STATE_VERSION), ERR_OK);
    assert_int_equal(forge_member(AT_INCARNATION, 1, 0, STATE_VERSION), ERR_CORRUPT); /* all zeros */
    assert_int_equal(forge_member(AT_ZXID, 8, 1, STATE_VERSION), ERR_OK);
    assert_int_equal(forge_member(AT_ZXID, 8, 1000, STATE_VERSION), ERR_CORRUPT); /* of the future */
    assert_int_equal(forge_member(0, 4, 3, 1), ERR_CORRUPT);                      /* in a state that has none */
}

static void test_too_many_members(void **unused)
{
    (void)unused;
    struct story *story = rich_story();
    struct parts parts = take(story->state);
    static uint8_t more[LIMIT_REPLICAS][64];
    size_t len = parts.records[1].len;
    uint64_t digest;
    for (size_t i = 0; i < LIMIT_REPLICAS; i++) { /* 3, 4 …, put in behind the first record */
        memcpy(more[i], parts.records[1].at, len);
        put_number(more[i] + RECORD_FRAME_BYTES, 4, 3 + i);
        memmove(&parts.records[2], &parts.records[1], (parts.count - 1) * sizeof *parts.records);
        parts.records[1] = (struct bytes){more[i], len};
        parts.count++;
        adjust_digest(&parts, hash_bytes(more[i] + RECORD_FRAME_BYTES, len - RECORD_FRAME_BYTES, MEMBER_SEED));
        assert_int_equal(load_parts(&parts, &digest), i + 3 <= LIMIT_REPLICAS ? ERR_OK : ERR_CORRUPT);
    }
    free(parts.bytes);
    story_free(story);
}

enum { LOCK_OF_D, LOCK_OF_F, WAITER_OF_F, LOCK_OF_LAST };

/* As forge, of the LOCK records. */
static int forge_lock(size_t which, size_t at, size_t len, uint64_t value)
{
    struct story *story = rich_story();
    struct parts parts = take(story->state);
    size_t i = 0, record_len;
    uint64_t digest;
    while (((const uint8_t *)parts.records[i].at)[4] != RECORD_LOCK || which-- > 0)
        i++;
    uint8_t *record = (uint8_t *)(uintptr_t)parts.records[i].at + RECORD_FRAME_BYTES;
    record_len = parts.records[i].len - RECORD_FRAME_BYTES;
    uint64_t before = hash_bytes(record, record_len, LOCK_SEED);
    put_number(record + at, len, value);
    adjust_digest(&parts, hash_bytes(record, record_len, LOCK_SEED) - before);
    int code = load_parts(&parts, &digest);
    free(parts.bytes);
    story_free(story);
    return code;
}

static void test_forged_locks(void **unused)
{
    (void)unused;
    enum { SPACE = 8, KIND = 9, SESSION = 10, START = 34, END = 42, NAMED = 50, GRANTED = 58, COMMAND = 78 };
    assert_int_equal(forge_lock(LOCK_OF_D, AT_ID - RECORD_FRAME_BYTES, 8, E), ERR_OK); /* nothing wrong with this */
    assert_int_equal(forge_lock(LOCK_OF_D, AT_ID - RECORD_FRAME_BYTES, 8, 0), ERR_CORRUPT);
    assert_int_equal(forge_lock(LOCK_OF_D, AT_ID - RECORD_FRAME_BYTES, 8, 99), ERR_CORRUPT);   /* no id yet */
    assert_int_equal(forge_lock(LOCK_OF_D, AT_ID - RECORD_FRAME_BYTES, 8, LAST), ERR_CORRUPT); /* two in conflict */
    assert_int_equal(forge_lock(LOCK_OF_LAST, AT_ID - RECORD_FRAME_BYTES, 8, D), ERR_CORRUPT);
    assert_int_equal(forge_lock(LOCK_OF_D, SPACE, 1, 0), ERR_CORRUPT);
    assert_int_equal(forge_lock(LOCK_OF_D, SPACE, 1, LOCK_FLOCK), ERR_CORRUPT); /* of a part of it */
    assert_int_equal(forge_lock(LOCK_OF_F, SPACE, 1, LOCK_POSIX), ERR_OK);
    assert_int_equal(forge_lock(LOCK_OF_D, KIND, 1, 2), ERR_CORRUPT);
    assert_int_equal(forge_lock(LOCK_OF_D, SESSION, 8, 2), ERR_OK);
    assert_int_equal(forge_lock(LOCK_OF_D, SESSION, 8, 3), ERR_CORRUPT); /* no such session */
    assert_int_equal(forge_lock(LOCK_OF_D, START, 8, 10), ERR_CORRUPT);  /* behind its end */
    assert_int_equal(forge_lock(LOCK_OF_D, END, 8, 8), ERR_OK);
    assert_int_equal(forge_lock(LOCK_OF_D, NAMED, 8, 0), ERR_CORRUPT);
    assert_int_equal(forge_lock(LOCK_OF_D, NAMED, 8, 1), ERR_OK);
    assert_int_equal(forge_lock(LOCK_OF_D, NAMED, 8, UINT64_MAX), ERR_CORRUPT);   /* granted before it was asked for */
    assert_int_equal(forge_lock(LOCK_OF_D, GRANTED, 8, UINT64_MAX), ERR_CORRUPT); /* of the future */
    assert_int_equal(forge_lock(WAITER_OF_F, NAMED, 8, UINT64_MAX), ERR_CORRUPT);
    assert_int_equal(forge_lock(WAITER_OF_F, GRANTED, 8, 19), ERR_CORRUPT); /* two hold it */
    assert_int_equal(forge_lock(LOCK_OF_D, COMMAND, 1, 6), ERR_CORRUPT);    /* a byte too many */
    assert_int_equal(forge_lock(LOCK_OF_D, COMMAND + 1, 1, 0), ERR_CORRUPT);
}

static void test_wrong_set_of_records(void **unused)
{
    (void)unused;
    struct story *story = rich_story();
    struct parts parts = take(story->state);
    uint64_t digest;
    for (size_t i = 0; i < parts.count; i++) {
        struct parts wrong = parts;
        wrong.records[wrong.count++] = parts.records[i]; /* twice, the second behind the end */
        assert_int_equal(load_parts(&wrong, &digest), ERR_CORRUPT);
        wrong = parts;
        memmove(&wrong.records[i + 1], &wrong.records[i], (wrong.count - i) * sizeof *wrong.records);
        wrong.count++;
        assert_int_equal(load_parts(&wrong, &digest), ERR_CORRUPT); /* twice in a row */
        wrong = parts;
        memmove(&wrong.records[i], &wrong.records[i + 1], (wrong.count - i - 1) * sizeof *wrong.records);
        wrong.count--;
        assert_int_equal(load_parts(&wrong, &digest), ERR_CORRUPT); /* missing */
    }
    free(parts.bytes);
    story_free(story);
}

/* What version 1 knows is written, hashed and refused as code that ended at version 1 did: the figures are its. */
static void test_the_first_version_stays_as_it_was(void **unused)
{
    (void)unused;
    struct story *story = first_version_story();
    struct parts parts = take(story->state);
    uint64_t digest;
    assert_int_equal(state_version(story->state), 1);
    assert_int_equal(parts.len, 1601);
    assert_true(hash_bytes(parts.bytes, parts.len, 0) == 0x26e909a208c186b4);
    assert_true(state_digest(story->state) == 0x29f11989835c4e0d);
    assert_int_equal(load(parts.bytes, parts.len, parts.len, &digest), ERR_OK);
    assert_true(digest == 0x29f11989835c4e0d);
    struct request unknown = {.kind = OP_SET_MEMBER, .set_member = {1, {7}}};
    story->session = 1; /* its window moves */
    assert_int_equal(story_apply(story, unknown), ERR_INVALID);
    assert_true(state_digest(story->state) == 0x8088ed5e998bfee7);
    story->session = 0;
    assert_int_equal(story_apply(story, unknown), ERR_INVALID);
    assert_true(state_digest(story->state) == 0x276fbf76ff516483);
    free(parts.bytes);
    story_free(story);
}

/* And version 2 as code that ended there. */
static void test_the_second_version_stays_as_it_was(void **unused)
{
    (void)unused;
    struct story *story = first_version_story();
    struct request unknown = {.kind = OP_LOCK, .lock = {.id = ROOT_ID, .space = LOCK_FLOCK, .end = UINT64_MAX}};
    story_version(story, 2);
    set_member(story, 1, 10);
    set_member(story, 2, 20);
    struct parts parts = take(story->state);
    assert_int_equal(parts.len, 1667);
    assert_true(hash_bytes(parts.bytes, parts.len, 0) == 0xe0b3635823877e5b);
    assert_true(state_digest(story->state) == 0xb0adfa6e95a6259d);
    assert_int_equal(story_apply(story, unknown), ERR_INVALID);
    free(parts.bytes);
    story_free(story);
}

static void test_other_formats(void **unused)
{
    (void)unused;
    struct story *story = rich_story();
    struct parts parts = take(story->state);
    uint64_t digest;
    uint8_t *format = parts.bytes + RECORD_FRAME_BYTES + SNAPSHOT_MAGIC_BYTES;
    put_number(format, 4, SNAPSHOT_FORMAT + 1);
    assert_int_equal(load(parts.bytes, parts.len, 100, &digest), ERR_BAD_FORMAT);
    put_number(format, 4, SNAPSHOT_FORMAT);
    put_number(format + 4, 4, STATE_VERSION + 1);
    assert_int_equal(load(parts.bytes, parts.len, 100, &digest), ERR_BAD_FORMAT);
    assert_int_equal(load("garbage, garbage, garbage", 25, 25, &digest), ERR_CORRUPT);
    assert_int_equal(load("", 0, 1, &digest), ERR_CORRUPT);
    free(parts.bytes);
    story_free(story);
}

/* A frame that promises much takes no memory until the bytes come. */
static void test_promises_take_no_memory(void **unused)
{
    (void)unused;
    static const uint8_t promise[RECORD_FRAME_BYTES] = {0, 0, 0x10, 0, RECORD_NODE}; /* 1 MiB */
    static const uint8_t too_much[RECORD_FRAME_BYTES] = {0, 0, 0, 0x7f, RECORD_NODE};
    struct snapshot_loader *loader = loader_new();
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    assert_int_equal(loader_feed(loader, promise, sizeof promise), ERR_OK);
    assert_in_range(mallinfo2().uordblks + mallinfo2().hblkhd - before, 0, 1024);
    loader_free(loader);
    loader = loader_new();
    assert_int_equal(loader_feed(loader, too_much, sizeof too_much), ERR_CORRUPT);
    assert_int_equal(loader_feed(loader, promise, sizeof promise), ERR_CORRUPT); /* after an error: still that */
    loader_free(loader);
}

/* --- cursors --- */

static void test_eight_cursors_at_once(void **unused)
{
    (void)unused;
    struct story *story = rich_story();
    struct snapshot_cursor *cursors[LIMIT_SNAPSHOT_CURSORS];
    for (size_t i = 0; i < LIMIT_SNAPSHOT_CURSORS; i++)
        assert_non_null(cursors[i] = snapshot_begin(story->state));
    assert_null(snapshot_begin(story->state));
    snapshot_end(cursors[3]); /* given up */
    assert_non_null(cursors[3] = snapshot_begin(story->state));
    for (size_t i = 0; i < LIMIT_SNAPSHOT_CURSORS; i++)
        snapshot_end(cursors[i]);
    story_free(story);
}

/* A snapshot begun before a crowd of changes is that of its beginning, down to closed sessions and replaced trees. */
static void test_a_snapshot_is_of_its_beginning(void **unused)
{
    (void)unused;
    struct story *story = rich_story();
    uint64_t before = state_digest(story->state), digest = 0;
    struct snapshot_cursor *cursor = snapshot_begin(story->state);
    story_close(story, 1);
    story_session(story, 3);
    set_member(story, 1, 11);
    set_member(story, 3, 30);
    story_write(story, "d/f", "other data");
    story_rename(story, "d", "renamed");
    story_make(story, "d", KIND_DIRECTORY);
    story_delete(story, "link");
    story_rename(story, "renamed/f", "last");
    for (int i = 0; i < 300; i++) { /* a full window of results, and a table that grows under the sweep */
        char name[16];
        snprintf(name, sizeof name, "d/n%d", i);
        story_make(story, name, KIND_FILE);
    }
    uint8_t *bytes = malloc(1 << 20);
    size_t len = snapshot_read(cursor, bytes, 1 << 20);
    snapshot_end(cursor);
    assert_int_equal(load(bytes, len, 77, &digest), ERR_OK);
    assert_true(digest == before);
    cursor = snapshot_begin(story->state);
    len = snapshot_read(cursor, bytes, 1 << 20);
    snapshot_end(cursor);
    assert_int_equal(load(bytes, len, 77, &digest), ERR_OK);
    assert_true(digest == state_digest(story->state));
    free(bytes);
    story_free(story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_of_any_size),
        cmocka_unit_test(test_records_in_any_order),
        cmocka_unit_test(test_any_flipped_bit_and_any_cut_is_found),
        cmocka_unit_test(test_forged_znodes),
        cmocka_unit_test(test_forged_owners),
        cmocka_unit_test(test_forged_directories),
        cmocka_unit_test(test_forged_members),
        cmocka_unit_test(test_forged_locks),
        cmocka_unit_test(test_too_many_members),
        cmocka_unit_test(test_wrong_set_of_records),
        cmocka_unit_test(test_the_first_version_stays_as_it_was),
        cmocka_unit_test(test_the_second_version_stays_as_it_was),
        cmocka_unit_test(test_other_formats),
        cmocka_unit_test(test_promises_take_no_memory),
        cmocka_unit_test(test_eight_cursors_at_once),
        cmocka_unit_test(test_a_snapshot_is_of_its_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
