/* Replay: random entries, thousands of them, must give the same state whichever way a replica or a mount came by it.
 * Each test prints how many entries and seeds it went through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "replica/state/internal.h"
#include "tests/support/state_workload.h"

enum { SEEDS = 6, ENTRIES = 3000 };

/* A run that went its way once: the entries, and what each gave. */
struct history {
    struct work *works[ENTRIES];
    uint64_t digests[ENTRIES]; /* after each */
    struct result results[ENTRIES];
    uint64_t succeeded, refused, none;
};

static void assert_sound(const struct state *state)
{
    const char *wrong = state_check(state);
    if (wrong != NULL)
        fail_msg("%s", wrong);
}

static void assert_same(const struct state *a, const struct state *b, bool order)
{
    assert_true(state_digest(a) == state_digest(b));
    char *dump_a = state_dump(a, order), *dump_b = state_dump(b, order);
    assert_string_equal(dump_a, dump_b);
    free(dump_a);
    free(dump_b);
}

static void assert_same_result(const struct result *a, const struct result *b)
{
    assert_int_equal(a->none, b->none);
    assert_int_equal(a->code, b->code);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->zxid, b->zxid);
    assert_int_equal(a->failed, b->failed);
    assert_string_equal(a->name, b->name);
}

/* A lock that waits is no refusal. */
static bool done(const struct result *result)
{
    return !result->none && (result->code == ERR_OK || result->code == ERR_LOCK_WAITS);
}

static struct history *history_new(uint64_t seed, struct state *state)
{
    struct history *history = calloc(1, sizeof *history);
    struct workload workload = {.random = seed};
    for (size_t i = 0; i < ENTRIES; i++) {
        history->works[i] = workload_next(&workload, state);
        state_apply(state, &history->works[i]->entry, &history->results[i], NULL);
        history->digests[i] = state_digest(state);
        const struct result *result = &history->results[i];
        *(result->none ? &history->none : done(result) ? &history->succeeded : &history->refused) += 1;
    }
    assert_sound(state);
    return history;
}

static void history_free(struct history *history)
{
    for (size_t i = 0; i < ENTRIES; i++)
        free(history->works[i]);
    free(history);
}

/* --- prefix + rest --- */

/* The same entries, applied by another replica with a mount's wish for changes, give the same digest and results
 * after each one. */
static void test_every_prefix_gives_the_same_digest(void **unused)
{
    (void)unused;
    uint64_t sums[3] = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct state *first = state_new(), *second = state_new();
        struct history *history = history_new(seed, first);
        struct changes changes = {0};
        for (size_t i = 0; i < ENTRIES; i++) {
            struct result result;
            state_apply(second, &history->works[i]->entry, &result, &changes);
            assert_same_result(&result, &history->results[i]);
            assert_true(state_digest(second) == history->digests[i]);
        }
        assert_same(first, second, true);
        sums[0] += history->succeeded;
        sums[1] += history->refused;
        sums[2] += history->none;
        changes_free(&changes);
        history_free(history);
        state_free(first);
        state_free(second);
    }
    print_message("%d seeds of %d entries: %d done, %d refused, %d gaps and duplicates\n", SEEDS, ENTRIES, (int)sums[0],
                  (int)sums[1], (int)sums[2]);
    assert_true(sums[0] > (uint64_t)SEEDS * ENTRIES / 3 && sums[1] > 0 && sums[2] > 0);
}

/* The digest and all that is kept incrementally agree with what is computed from scratch, after each single entry. */
static void test_what_is_kept_is_what_is_computed(void **unused)
{
    (void)unused;
    struct state *state = state_new();
    struct workload workload = {.random = 77};
    for (size_t i = 0; i < 1500; i++) {
        struct work *work = workload_next(&workload, state);
        struct result result;
        state_apply(state, &work->entry, &result, NULL);
        assert_sound(state);
        free(work);
    }
    state_free(state);
}

/* --- refusals --- */

/* A refused entry, a multi that fails midway above all, leaves the tree exactly as it was: digest, every field and
 * the order of siblings. */
static void test_a_refusal_changes_nothing(void **unused)
{
    (void)unused;
    uint64_t refused = 0, multis = 0;
    struct state *state = state_new();
    struct workload workload = {.random = 4711};
    struct changes changes = {0};
    for (size_t i = 0; i < 6000; i++) {
        struct work *work = workload_next(&workload, state);
        struct result result;
        uint64_t nodes_sum = state->nodes_sum, next_id = state->next_id;
        char *before = i % 8 == 0 ? state_dump(state, true) : NULL;
        state_apply(state, &work->entry, &result, &changes);
        if (!done(&result)) {
            refused++;
            multis += work->entry.request.kind == OP_MULTI && result.failed > 0;
            assert_int_equal(changes.count, 0);
            assert_true(state->nodes_sum == nodes_sum);
            assert_int_equal(result.id, 0);
            if (before != NULL) {
                char *after = state_dump(state, true);
                *strstr(before, "sessions\n") = *strstr(after, "sessions\n") = '\0'; /* the window moves */
                assert_string_equal(before, after);
                free(after);
            }
            assert_true(state->next_id == next_id);
        }
        free(before);
        free(work);
    }
    assert_sound(state);
    print_message("%d refusals, %d of them multis that failed after their first operation\n", (int)refused,
                  (int)multis);
    assert_true(multis > 100);
    changes_free(&changes);
    state_free(state);
}

/* --- snapshots while entries go on --- */

struct taking {
    struct snapshot_cursor *cursor;
    struct snapshot_loader *loader;
    size_t entry; /* taken after this one */
};

/* The loaded state is that of its zxid; with the rest of the entries it becomes that of the end. */
static void finish_snapshot(struct taking *taking, const struct history *history, const struct state *end)
{
    struct state *loaded;
    snapshot_end(taking->cursor);
    taking->cursor = NULL;
    assert_int_equal(loader_finish(taking->loader, &loaded), ERR_OK);
    assert_true(state_digest(loaded) == history->digests[taking->entry]);
    assert_sound(loaded);
    for (size_t i = taking->entry + 1; i < ENTRIES; i++) {
        struct result result;
        state_apply(loaded, &history->works[i]->entry, &result, NULL);
        assert_same_result(&result, &history->results[i]);
        assert_true(state_digest(loaded) == history->digests[i]);
    }
    assert_same(loaded, end, false);
    state_free(loaded);
}

/* Reads a little of a snapshot; true at its end. */
static bool advance(struct taking *taking, struct workload *workload)
{
    uint8_t bytes[3000];
    size_t want = 1 + workload_random(workload, sizeof bytes);
    size_t len = snapshot_read(taking->cursor, bytes, want);
    assert_int_equal(loader_feed(taking->loader, bytes, len), ERR_OK);
    return len < want;
}

static void begin_snapshot(struct taking *taking, struct state *state, size_t entry)
{
    taking->cursor = snapshot_begin(state);
    taking->loader = loader_new();
    taking->entry = entry;
    assert_non_null(taking->cursor);
    assert_int_equal(snapshot_zxid(taking->cursor), state_zxid(state));
    assert_int_equal(snapshot_nodes(taking->cursor), state_nodes(state));
}

static void give_up(struct taking *taking)
{
    snapshot_end(taking->cursor);
    loader_free(taking->loader);
    taking->cursor = NULL;
}

/* Up to eight snapshots at once, begun at random entries, read in random pieces while entries go on being applied;
 * one in five is given up midway. */
static int snapshots_of_one_seed(uint64_t seed)
{
    int taken = 0;
    struct state *end = state_new(), *state = state_new();
    struct history *history = history_new(seed, end);
    struct taking takings[LIMIT_SNAPSHOT_CURSORS] = {0};
    struct workload dice = {.random = seed ^ 0xabcdef};
    for (size_t i = 0; i < ENTRIES; i++) {
        struct result result;
        state_apply(state, &history->works[i]->entry, &result, NULL);
        for (size_t c = 0; c < LIMIT_SNAPSHOT_CURSORS; c++) {
            struct taking *taking = &takings[c];
            if (taking->cursor == NULL && workload_random(&dice, 300) == 0) {
                begin_snapshot(taking, state, i);
            } else if (taking->cursor != NULL && workload_random(&dice, 1000) == 0) {
                give_up(taking);
            } else if (taking->cursor != NULL && workload_random(&dice, 3) == 0 && advance(taking, &dice)) {
                finish_snapshot(taking, history, end);
                taken++;
            }
        }
    }
    for (size_t c = 0; c < LIMIT_SNAPSHOT_CURSORS; c++)
        if (takings[c].cursor != NULL)
            give_up(&takings[c]);
    assert_same(state, end, true);
    history_free(history);
    state_free(state);
    state_free(end);
    return taken;
}

static void test_snapshot_at_any_point_plus_the_rest(void **unused)
{
    (void)unused;
    int taken = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        taken += snapshots_of_one_seed(seed * 31);
    print_message("%d snapshots taken while entries went on; each plus the rest gave the same state\n", taken);
    assert_true(taken > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_prefix_gives_the_same_digest),
        cmocka_unit_test(test_what_is_kept_is_what_is_computed),
        cmocka_unit_test(test_a_refusal_changes_nothing),
        cmocka_unit_test(test_snapshot_at_any_point_plus_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
