/* What Zab asks of a store, as one story: entries, TRUNC and other entries in their place, of the same epoch and of
 * higher ones; SNAP ahead of the log, and of a history that parts from the log; epochs and whether the replica may
 * vote. The power goes at every call to the disk; whatever of the unsynced is then kept, dropped or torn, the store
 * opens as it was before the step under way or as it is after it, takes the rest of the story, and ends alike. */
#include "replica/store/format.h"
#include "replica/store/store.h"
#include "tests/support/simdisk.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define Z(epoch, counter) ((uint64_t)(epoch) << 32 | (counter))

enum { ENTRIES = 64, FATES = 6 /* of simdisk_power_loss, and a process killed while the power stays */ };

/* --- the story --- */

enum step_kind { APPEND = 1, TRUNC, SNAPSHOT, SNAP, EPOCHS };

struct step {
    enum step_kind kind;
    uint64_t zxid, last;  /* APPEND: from, to */
    uint8_t mark;         /* APPEND: what the entries hold, so that one that came back from the dead shows */
    struct epochs epochs; /* EPOCHS */
};

static const struct step story[] = {
    {.kind = EPOCHS, .epochs = {1, 0, false}},
    {.kind = EPOCHS, .epochs = {1, 1, true}},
    {.kind = APPEND, .zxid = Z(1, 1), .last = Z(1, 9), .mark = 'a'},
    {.kind = TRUNC, .zxid = Z(1, 6)},
    {.kind = APPEND, .zxid = Z(1, 7), .last = Z(1, 9), .mark = 'b'}, /* the same zxids, other entries */
    {.kind = TRUNC, .zxid = Z(1, 8)},
    {.kind = TRUNC, .zxid = Z(1, 4)},
    {.kind = EPOCHS, .epochs = {2, 1, true}},
    {.kind = APPEND, .zxid = Z(2, 1), .last = Z(2, 5), .mark = 'c'}, /* a higher epoch */
    {.kind = EPOCHS, .epochs = {2, 2, true}},
    {.kind = TRUNC, .zxid = Z(1, 99)}, /* between two entries */
    {.kind = APPEND, .zxid = Z(1, 5), .last = Z(1, 7), .mark = 'd'},
    {.kind = APPEND, .zxid = Z(3, 1), .last = Z(3, 4), .mark = 'e'},
    {.kind = SNAPSHOT, .zxid = Z(3, 2)},
    {.kind = TRUNC, .zxid = Z(3, 2)}, /* down to the snapshot */
    {.kind = APPEND, .zxid = Z(3, 3), .last = Z(3, 5), .mark = 'f'},
    {.kind = SNAP, .zxid = Z(5, 10)}, /* from elsewhere, ahead of the log */
    {.kind = APPEND, .zxid = Z(5, 11), .last = Z(5, 16), .mark = 'g'},
    {.kind = TRUNC, .zxid = Z(5, 13)},
    {.kind = APPEND, .zxid = Z(6, 1), .last = Z(6, 3), .mark = 'h'},
    {.kind = TRUNC, .zxid = Z(5, 40)}, /* of a history that parts from the log: first what is above goes, … */
    {.kind = SNAP, .zxid = Z(5, 40)},  /* … then it is ahead */
    {.kind = EPOCHS, .epochs = {7, 2, false}},
    {.kind = APPEND, .zxid = Z(7, 1), .last = Z(7, 8), .mark = 'i'},
    {.kind = TRUNC, .zxid = Z(5, 40)}, /* all that came after it */
    {.kind = APPEND, .zxid = Z(8, 1), .last = Z(8, 2), .mark = 'j'},
    {.kind = EPOCHS, .epochs = {8, 8, true}},
    {.kind = SNAP, .zxid = Z(9, 1)}, /* one straight after the other */
    {.kind = SNAP, .zxid = Z(9, 2)},
    {.kind = APPEND, .zxid = Z(9, 3), .last = Z(9, 5), .mark = 'k'},
};
enum { STEPS = sizeof story / sizeof story[0] };

/* --- what a store should hold --- */

struct content {
    uint64_t zxids[ENTRIES];
    uint8_t marks[ENTRIES];
    size_t count;
    uint64_t base, snapshot;
    struct epochs epochs;
};

static void content_cut(struct content *content, uint64_t zxid)
{
    while (content->count > 0 && content->zxids[content->count - 1] > zxid)
        content->count--;
}

static void content_follow(struct content *content, const struct step *step)
{
    switch (step->kind) {
    case APPEND:
        for (uint64_t zxid = step->zxid; zxid <= step->last; zxid++) {
            content->zxids[content->count] = zxid;
            content->marks[content->count++] = step->mark;
        }
        break;
    case TRUNC:
        content_cut(content, step->zxid);
        break;
    case SNAP:
        content->count = 0;
        content->base = step->zxid;
        content->snapshot = step->zxid;
        break;
    case SNAPSHOT:
        content->snapshot = step->zxid;
        break;
    case EPOCHS:
        content->epochs = step->epochs;
        break;
    }
}

static bool content_equal(const struct content *a, const struct content *b)
{
    return a->count == b->count && memcmp(a->zxids, b->zxids, a->count * sizeof a->zxids[0]) == 0 &&
           memcmp(a->marks, b->marks, a->count) == 0 && a->base == b->base && a->snapshot == b->snapshot &&
           a->epochs.accepted == b->epochs.accepted && a->epochs.current == b->epochs.current &&
           a->epochs.voter == b->epochs.voter;
}

/* --- carrying it out --- */

static const uint8_t identity[16] = "a simulated disk";
static char text[256];

static int open_store(struct simdisk *sim, struct store **store)
{
    struct store_options options = {.segment_bytes = 6 * KIB, .snapshots_kept = 8, .identity = identity};
    struct disk disk;
    simdisk_interface(sim, &disk);
    return store_open(&disk, &options, store, text, sizeof text);
}

/* Of a few bytes, or of several sectors. */
static struct bytes entry_of(uint64_t zxid, uint8_t mark)
{
    static uint8_t room[1500];
    memset(room, mark, sizeof room);
    return (struct bytes){room, zxid % 4 == 3 ? sizeof room : 20 + zxid % 7};
}

/* The entries of the step that are not there yet. */
static int append(struct store *store, const struct step *step)
{
    uint64_t there = store_last_zxid(store);
    for (uint64_t zxid = step->zxid; zxid <= step->last; zxid++) {
        int code = zxid <= there ? ERR_OK : store_append(store, zxid, entry_of(zxid, step->mark));
        if (code == ERR_OK && zxid % 3 == 0)
            code = store_sync(store);
        if (code != ERR_OK)
            return code;
    }
    return store_sync(store);
}

static int take_snapshot(struct store *store, uint64_t zxid)
{
    struct snapshot_writer *writer;
    int code = snapshot_writer_begin(store, zxid, &writer);
    if (code != ERR_OK)
        return code;
    code = snapshot_writer_add(writer, &zxid, sizeof zxid);
    if (code != ERR_OK)
        snapshot_writer_abort(writer);
    else
        code = snapshot_writer_commit(writer);
    return code == ERR_OK ? store_snapshot_done(store, zxid) : code;
}

static int carry_out(struct store *store, const struct step *step)
{
    switch (step->kind) {
    case APPEND:
        return append(store, step);
    case TRUNC:
        return store_truncate(store, step->zxid);
    case EPOCHS:
        return store_set_epochs(store, step->epochs);
    default:
        return take_snapshot(store, step->zxid);
    }
}

/* --- looking at it --- */

static void read_log(struct store *store, uint64_t after, struct content *content)
{
    struct log_reader *reader;
    struct bytes entry;
    content->count = 0;
    assert_int_equal(log_reader_open(store, after, &reader), ERR_OK);
    for (uint64_t zxid;; content->count++) {
        assert_int_equal(log_reader_next(reader, &zxid, &entry), ERR_OK);
        if (zxid == 0)
            break;
        uint8_t mark = *(const uint8_t *)entry.at;
        struct bytes expected = entry_of(zxid, mark);
        assert_int_equal(entry.len, expected.len);
        assert_memory_equal(entry.at, expected.at, entry.len);
        content->zxids[content->count] = zxid;
        content->marks[content->count] = mark;
    }
    log_reader_close(reader);
}

static void check_snapshot(struct store *store, uint64_t zxid)
{
    struct snapshot_reader *reader;
    uint64_t read = 0;
    size_t len;
    assert_int_equal(snapshot_reader_open(store, 0, &reader), ERR_OK);
    assert_int_equal(snapshot_reader_next(reader, &read, sizeof read, &len), ERR_OK);
    assert_true(read == zxid && snapshot_reader_zxid(reader) == zxid);
    snapshot_reader_close(reader);
}

/* All of it, read from the start and from each entry on. */
static void look(struct store *store, struct content *content)
{
    struct content rest;
    *content = (struct content){
        .base = store_base_zxid(store), .snapshot = store_snapshot_zxid(store), .epochs = store_epochs(store)};
    read_log(store, content->base, content);
    for (size_t i = 0; i < content->count; i++) {
        read_log(store, content->zxids[i], &rest);
        assert_int_equal(rest.count, content->count - i - 1);
        assert_memory_equal(rest.zxids, content->zxids + i + 1, rest.count * sizeof rest.zxids[0]);
    }
    uint64_t last = content->count > 0 ? content->zxids[content->count - 1] : content->base;
    assert_true(store_last_zxid(store) == last && store_durable_zxid(store) == last);
    if (content->snapshot != 0)
        check_snapshot(store, content->snapshot);
}

static void check(struct store *store, const struct content *expected, size_t step)
{
    struct content content;
    look(store, &content);
    if (!content_equal(&content, expected))
        fail_msg("after step %zu: %zu entries, the last 0x%llx, not %zu up to 0x%llx", step, content.count,
                 (unsigned long long)store_last_zxid(store), expected->count,
                 (unsigned long long)(expected->count > 0 ? expected->zxids[expected->count - 1] : expected->base));
}

/* Where the power went. */
struct failure {
    size_t step;           /* STEPS: nowhere */
    uint64_t durable;      /* what the store had acknowledged */
    struct content before; /* the step */
};

enum telling { PLAIN, CHECKED /* look after each step */, RESTARTED /* and start again */ };

/* From a step on to the end. */
static void tell(struct simdisk *sim, struct store *store, struct failure *at, enum telling telling)
{
    for (; at->step < STEPS; at->step++) {
        if (carry_out(store, &story[at->step]) != ERR_OK) {
            assert_true(simdisk_is_off(sim));
            break;
        }
        content_follow(&at->before, &story[at->step]);
        if (telling != PLAIN)
            check(store, &at->before, at->step);
        if (telling != RESTARTED)
            continue;
        store_close(store);
        assert_int_equal(open_store(sim, &store), ERR_OK);
        check(store, &at->before, at->step);
    }
    at->durable = store_durable_zxid(store);
    store_close(store);
}

static void test_the_story(void **state)
{
    (void)state;
    for (enum telling telling = PLAIN; telling <= RESTARTED; telling++) {
        struct simdisk *sim = simdisk_new();
        struct failure none = {0};
        struct store *store;
        assert_int_equal(open_store(sim, &store), ERR_OK);
        tell(sim, store, &none, telling);
        assert_int_equal(none.step, STEPS);
        simdisk_power_loss(sim, 1);
        assert_int_equal(open_store(sim, &store), ERR_OK);
        check(store, &none.before, STEPS);
        store_close(store);
        simdisk_free(sim);
    }
}

/* --- the power goes --- */

/* A part of what a step appended, no less than what was acknowledged. */
static bool partly_appended(const struct content *found, const struct failure *at, const struct content *after)
{
    struct content part = *after;
    part.count = found->count;
    return story[at->step].kind == APPEND && found->count >= at->before.count && found->count <= after->count &&
           content_equal(found, &part) && (found->count == 0 || found->zxids[found->count - 1] >= at->durable);
}

/* Opens after a failure: the state before the step, or after it. The rest of the story follows. */
static void go_on(struct simdisk *sim, struct failure at)
{
    struct store *store;
    struct content found, after = at.before;
    if (open_store(sim, &store) != ERR_OK)
        fail_msg("step %zu: %s", at.step, text);
    look(store, &found);
    if (at.step < STEPS)
        content_follow(&after, &story[at.step]);
    if (content_equal(&found, &after)) {
        at.before = after;
        at.step++;
    } else if (!content_equal(&found, &at.before) && !partly_appended(&found, &at, &after)) {
        fail_msg("step %zu: neither as before it nor as after it: %zu entries, base 0x%llx, snapshot 0x%llx", at.step,
                 found.count, (unsigned long long)found.base, (unsigned long long)found.snapshot);
    }
    tell(sim, store, &at, CHECKED);
    assert_true(at.step >= STEPS);
}

/* Killed while the power stays: what a restart has handed out stays, whatever becomes of the power then. */
static void killed(struct simdisk *sim, const struct failure *at)
{
    struct store *store;
    struct content found;
    simdisk_reset(sim);
    assert_int_equal(open_store(sim, &store), ERR_OK);
    look(store, &found);
    store_close(store);
    simdisk_power_loss(sim, 1); /* all that is unsynced is dropped */
    assert_int_equal(open_store(sim, &store), ERR_OK);
    check(store, &found, at->step);
    store_close(store);
}

static void test_power_lost_at_every_call(void **state)
{
    (void)state;
    uint64_t call = 1;
    for (struct failure at = {0}; at.step < STEPS; call++) {
        struct simdisk *sim = simdisk_new();
        struct store *store;
        at = (struct failure){0};
        simdisk_power_off(sim, call);
        if (open_store(sim, &store) == ERR_OK)
            tell(sim, store, &at, PLAIN);
        for (uint64_t fate = 0; fate < FATES; fate++) {
            struct simdisk *copy = simdisk_copy(sim);
            if (fate == FATES - 1)
                killed(copy, &at);
            else
                simdisk_power_loss(copy, call * (FATES - 1) + fate);
            go_on(copy, at);
            simdisk_free(copy);
        }
        simdisk_free(sim);
    }
    print_message("power lost at %llu calls, %d ways each\n", (unsigned long long)call - 1, FATES);
    assert_true(call > 200);
}

/* --- what is refused --- */

static void test_truncation_behind_a_snapshot(void **state)
{
    (void)state;
    struct simdisk *sim = simdisk_new();
    struct store *store;
    struct content before = {0}, after;
    struct step entries = {.kind = APPEND, .zxid = Z(1, 1), .last = Z(1, 9), .mark = 'a'};
    assert_int_equal(open_store(sim, &store), ERR_OK);
    assert_int_equal(carry_out(store, &entries), ERR_OK);
    assert_int_equal(take_snapshot(store, Z(1, 5)), ERR_OK);
    look(store, &before);
    assert_int_equal(store_truncate(store, Z(1, 4)), ERR_INVALID);
    look(store, &after);
    assert_true(content_equal(&before, &after));
    assert_int_equal(take_snapshot(store, Z(2, 5)), ERR_OK);
    assert_int_equal(store_truncate(store, Z(2, 4)), ERR_INVALID);
    assert_int_equal(store_append(store, Z(2, 5), entry_of(Z(2, 5), 'a')), ERR_INVALID); /* it is in the snapshot */
    store_close(store);
    simdisk_free(sim);
}

/* --- may it vote? --- */

/* Overwrites the field of the vote in `meta` (meta.c), with a right checksum. */
static void put_voter(struct simdisk *sim, uint64_t value)
{
    enum { META_VOTER = 4 };
    uint8_t bytes[LOG_SECTOR_BYTES];
    struct page page;
    simdisk_get(sim, "meta", 0, bytes, sizeof bytes);
    assert_int_equal(page_check(bytes, META_MAGIC, &page), PAGE_WHOLE);
    page.field[META_VOTER] = value;
    page_seal(bytes, META_MAGIC, &page);
    simdisk_put(sim, "meta", bytes, sizeof bytes);
}

/* A data directory with these epochs, and the field of the vote replaced. */
static struct simdisk *directory_with(struct epochs epochs, uint64_t voter)
{
    struct simdisk *sim = simdisk_new();
    struct store *store;
    assert_int_equal(open_store(sim, &store), ERR_OK);
    assert_false(store_epochs(store).voter); /* a new one */
    assert_int_equal(store_set_epochs(store, epochs), ERR_OK);
    store_close(store);
    put_voter(sim, voter);
    return sim;
}

/* Directories from before the vote was kept were of ensembles of one; those that never began promised nothing. */
static void test_directories_that_do_not_say(void **state)
{
    (void)state;
    static const struct epochs epochs[] = {{0, 0, true}, {5, 0, true}, {5, 3, false}, {5, 5, false}};
    for (size_t i = 0; i < sizeof epochs / sizeof epochs[0]; i++) {
        struct simdisk *sim = directory_with(epochs[i], 0);
        struct store *store;
        assert_int_equal(open_store(sim, &store), ERR_OK);
        assert_int_equal(store_epochs(store).accepted, epochs[i].accepted);
        assert_int_equal(store_epochs(store).current, epochs[i].current);
        assert_int_equal(store_epochs(store).voter, epochs[i].current > 0);
        store_close(store);
        simdisk_free(sim);
    }
}

static void test_a_vote_that_can_not_be(void **state)
{
    (void)state;
    struct simdisk *sim = directory_with((struct epochs){5, 5, true}, 3);
    struct store *store;
    assert_int_equal(open_store(sim, &store), ERR_CORRUPT);
    assert_non_null(strstr(text, "meta: corrupt at offset 40: a value out of range"));
    simdisk_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_story),
        cmocka_unit_test(test_power_lost_at_every_call),
        cmocka_unit_test(test_truncation_behind_a_snapshot),
        cmocka_unit_test(test_directories_that_do_not_say),
        cmocka_unit_test(test_a_vote_that_can_not_be),
    };
    mallopt(M_MMAP_THRESHOLD, 16 * MIB); /* the same buffers again and again: keep their pages */
    mallopt(M_TRIM_THRESHOLD, 64 * MIB);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
