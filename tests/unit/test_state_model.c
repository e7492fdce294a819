/* The state machine against the model: the same random entries, the same results and, again and again, the same tree
 * down to the order of siblings and the last time stamp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/state_model.h"
#include "tests/support/state_workload.h"

enum { SEEDS = 6, ENTRIES = 2500, COMPARE_EVERY = 100, CODES = 40, OPS = OP_UNLOCK + 1 };

static uint64_t seen[OPS][CODES]; /* how often an operation ended in a code */

static void compare_results(const struct result *result, const struct result *expected, uint64_t seed, int entry)
{
    if (result->none != expected->none || result->code != expected->code || result->id != expected->id ||
        result->failed != expected->failed || strcmp(result->name, expected->name) != 0)
        fail_msg("seed %d entry %d: %s id %d \"%s\" failed %d, but %s id %d \"%s\" failed %d was expected", (int)seed,
                 entry, error_name(result->code), (int)result->id, result->name, (int)result->failed,
                 error_name(expected->code), (int)expected->id, expected->name, (int)expected->failed);
}

static void run(uint64_t seed)
{
    struct state *state = state_new();
    struct model *model = model_new();
    struct workload workload = {.random = seed};
    for (int i = 0; i < ENTRIES; i++) {
        struct work *work = workload_next(&workload, state);
        struct result result, expected;
        model_apply(model, &work->entry, &expected);
        state_apply(state, &work->entry, &result, NULL);
        compare_results(&result, &expected, seed, i);
        if (!result.none)
            seen[work->entry.request.kind][result.code]++;
        const char *differs = i % COMPARE_EVERY == 0 || i == ENTRIES - 1 ? model_differs(model, state) : NULL;
        if (differs != NULL)
            fail_msg("seed %d entry %d: %s", (int)seed, i, differs);
        free(work);
    }
    model_free(model);
    state_free(state);
}

static void test_random_entries_against_the_model(void **unused)
{
    (void)unused;
    uint64_t total = 0, combinations = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run(seed * 7919);
    for (int op = 0; op < OPS; op++) {
        for (int code = 0; code < CODES; code++) {
            total += seen[op][code];
            combinations += seen[op][code] > 0;
        }
        bool tried = op == OP_SET_CLUSTER || seen[op][ERR_OK] >= (op == OP_SET_STATE_VERSION ? 10u : 30u);
        if (!tried)
            fail_msg("operation %d succeeded only %d times", op, (int)seen[op][ERR_OK]);
    }
    print_message("%d entries of %d seeds agree; %d combinations of operation and code\n", (int)total, SEEDS,
                  (int)combinations);
    assert_true(combinations > 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_entries_against_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
