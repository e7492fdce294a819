/* A seed says all of a run: the same one gives the same trace, to the last event; another one another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/cluster.h"

enum { SEEDS = 12, DURATION_MS = 20000 };

static uint64_t hash_of(uint64_t seed, bool liveness)
{
    const struct cluster_options options = {.seed = seed, .duration_ms = DURATION_MS, .liveness = liveness};
    struct outcome outcome;
    cluster_run(&options, &outcome);
    assert_true(outcome.counts.events > 1000);
    return outcome.hash;
}

static void same_seed_same_trace(void **state)
{
    uint64_t last = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t hash = hash_of(seed, seed % 2 == 0);
        assert_true(hash == hash_of(seed, seed % 2 == 0));
        assert_true(hash != last);
        last = hash;
    }
}

/* Without faults there is one term, and nothing is unknown or refused once it has begun. */
static void without_faults_all_is_done(void **state)
{
    (void)state;
    for (unsigned servers = 3; servers <= 7; servers += 2) {
        const struct cluster_options options = {
            .seed = servers, .servers = servers, .duration_ms = DURATION_MS, .calm = true};
        struct outcome outcome;
        cluster_run(&options, &outcome);
        assert_false(outcome.failed);
        assert_int_equal(outcome.counts.leaders, 1);
        assert_int_equal(outcome.counts.unknown + outcome.counts.expiries, 0);
        assert_true(outcome.counts.written > 50 && outcome.counts.synced > 10);
    }
}

/* What waits for an end that stands still comes when that end's last stop says, be it earlier or later; in its order,
 * and nothing else with it. */
static void what_waits_moves_with_the_stop(void **state)
{
    struct cluster cluster = {.now_us = 1000};
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        event_add(&cluster, (struct event){.end = i % 2, .tag = i}, 100 - i);
        cluster.queue.heap[0].waits = cluster.queue.heap[0].end == 0; /* the newest is the first to come */
    }
    static const uint64_t stops_us[] = {5000, 2000, 9000};
    for (unsigned i = 0; i < 3; i++) {
        event_put_off(&cluster, 0, stops_us[i]);
        for (unsigned k = 0; k < 6; k++) {
            const struct event *event = &cluster.queue.heap[k];
            assert_true(event->at_us == (event->end == 0 ? stops_us[i] : 1000 + 100 - event->tag));
        }
        assert_int_equal(cluster.queue.heap[0].tag, 5);
    }
    free(cluster.queue.heap);
}

/* Of two stops the later counts, also when it is the shorter: what had been put off by the first comes at its end. */
static void a_stop_ends(void **state)
{
    const struct cluster_options options = {.seed = 1795453363320, .duration_ms = 60000, .liveness = true};
    struct outcome outcome;
    (void)state;
    cluster_run(&options, &outcome);
    assert_false(outcome.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_seed_same_trace),
                                       cmocka_unit_test(without_faults_all_is_done),
                                       cmocka_unit_test(what_waits_moves_with_the_stop), cmocka_unit_test(a_stop_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
