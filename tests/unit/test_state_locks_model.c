/* Locks against the model: thousands of random requests of a few owners for a few bytes of a few znodes. After each,
 * the same result, the same holders byte by byte, the same queue, and the same waiters granted in the same order; again
 * and again the state goes through a snapshot on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/state_model.h"
#include "tests/support/state_workload.h"

enum { SEEDS = 30, ENTRIES = 1000, SNAPSHOT_EVERY = 40, CODES = 40 };

struct run {
    uint32_t version;
    struct state *state;
    struct model *model;
    struct workload workload;
    struct changes changes;
};

static struct {
    uint64_t codes[CODES]; /* of locks */
    uint64_t granted, together, snapshots;
} seen;

/* The changes tell of each grant, in order, of each znode with something new once, and of nothing after a refusal. */
static void compare_changes(const struct run *run, const struct result *result)
{
    const uint64_t *names;
    size_t granted = model_granted(run->model, &names), told = 0;
    uint64_t changed = 0; /* the znode that a CHANGE_LOCK named last without a grant */
    for (size_t i = 0; i < run->changes.count; i++) {
        const struct change *change = &run->changes.list[i];
        struct lock_info info;
        if (change->kind != CHANGE_LOCK)
            continue;
        if (change->lock == 0) {
            assert_true(change->id > changed);
            changed = change->id;
            continue;
        }
        assert_int_equal(change->id, changed);
        assert_true(told < granted && change->lock == names[told]);
        told++;
        if (state_lock_named(run->state, change->id, change->lock, &info)) { /* not swallowed by another since */
            assert_int_equal(info.granted_zxid, result->zxid);
            assert_int_equal(info.session, change->lock_session);
            assert_int_equal(state_lock_zxid(run->state, change->id), result->zxid);
        }
    }
    assert_int_equal(told, granted);
    seen.granted += granted;
    seen.together += granted > 1;
}

static void apply(struct run *run, const struct entry *entry)
{
    struct result result, expected;
    model_apply(run->model, entry, &expected);
    state_apply(run->state, entry, &result, &run->changes);
    if (result.none != expected.none || result.code != expected.code || result.id != expected.id)
        fail_msg("zxid %d: %s, but %s was expected", (int)entry->zxid, error_name(result.code),
                 error_name(expected.code));
    compare_changes(run, &result);
    const char *differs = model_locks_differ(run->model, run->state);
    if (differs == NULL)
        differs = state_check(run->state);
    if (differs != NULL)
        fail_msg("zxid %d: %s", (int)entry->zxid, differs);
    if (entry->request.kind == OP_LOCK && !result.none)
        seen.codes[result.code]++;
}

/* A version with locks, sessions, and something to lock. */
static void prepare(struct run *run)
{
    enum { SESSIONS = 3, FILES = 3 };
    for (uint64_t i = 0; i < 1 + SESSIONS + FILES; i++) {
        struct entry entry = {.zxid = ++run->workload.zxid};
        if (i == 0) {
            entry.request = (struct request){.kind = OP_SET_STATE_VERSION, .state_version = run->version};
        } else if (i <= SESSIONS) {
            entry.request.kind = OP_CREATE_SESSION;
            entry.request.create_session = (struct op_create_session){.nonce = {(uint8_t)i}, .timeout_ms = 5000};
        } else {
            entry.request.kind = OP_CREATE;
            entry.request.create =
                (struct op_create){.at = {ROOT_ID, {&"abc"[i - 1 - SESSIONS], 1}}, .kind = KIND_FILE};
        }
        apply(run, &entry);
    }
}

static void go_through_a_snapshot(struct run *run)
{
    static uint8_t bytes[1 << 20];
    struct snapshot_loader *loader = loader_new();
    struct snapshot_cursor *cursor = snapshot_begin(run->state);
    for (size_t len; (len = snapshot_read(cursor, bytes, sizeof bytes)) > 0;)
        assert_int_equal(loader_feed(loader, bytes, len), ERR_OK);
    snapshot_end(cursor);
    state_free(run->state);
    assert_int_equal(loader_finish(loader, &run->state), ERR_OK);
    seen.snapshots++;
}

static void run_seed(uint64_t seed)
{
    const uint32_t versions = 1 + STATE_VERSION - STATE_VERSION_LOCKS;
    struct run run = {STATE_VERSION_LOCKS + (uint32_t)(seed % versions),
                      state_new(),
                      model_new(),
                      {.random = seed, .locks_percent = 97},
                      {0}};
    prepare(&run);
    for (int i = 0; i < ENTRIES; i++) {
        struct work *work = workload_next(&run.workload, run.state);
        apply(&run, &work->entry);
        free(work);
        if (i % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1 && seed % 2 == 0)
            go_through_a_snapshot(&run);
    }
    model_free(run.model);
    state_free(run.state);
    changes_free(&run.changes);
}

static void test_random_locks_against_the_model(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_seed(seed * 104729);
    print_message("%d seeds of %d entries: %d held at once, %d refused, %d waited, %d deadlocks; %d granted, %d times "
                  "several at once; %d snapshots on the way\n",
                  SEEDS, ENTRIES, (int)seen.codes[ERR_OK], (int)seen.codes[ERR_LOCKED], (int)seen.codes[ERR_LOCK_WAITS],
                  (int)seen.codes[ERR_DEADLOCK], (int)seen.granted, (int)seen.together, (int)seen.snapshots);
    assert_true(seen.codes[ERR_OK] > 1000 && seen.codes[ERR_LOCK_WAITS] > 1000 && seen.codes[ERR_LOCKED] > 1000);
    assert_true(seen.codes[ERR_DEADLOCK] > 100 && seen.granted > 500 && seen.together > 100 && seen.snapshots > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_locks_against_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
