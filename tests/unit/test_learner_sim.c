/* What it shows: whatever happens to the link and the leader, each request is done at most once, exactly once if it is
 * said to be done, not at all if that is said; each caller gets exactly one answer; and when all is well again nobody
 * waits for a timeout.
 *
 * How: a learner and a model of the replicas (tests/support/learner_sim) from one seed: first faults, then calm. Then
 * the same with one cut of the link at each message of a fixed run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/learner_sim.h"

static struct sim sim;
static struct sim_counts total;

static void add_counts(void)
{
    const uint64_t *from = (const uint64_t *)&sim.counts;
    uint64_t *to = (uint64_t *)&total;
    for (size_t i = 0; i < sizeof total / sizeof *to; i++)
        to[i] += from[i];
}

static void print_counts(const char *what, size_t runs)
{
    print_message("%zu %s: %llu requests done, %llu refused, %llu withdrawn, %llu of unknown outcome; %llu syncs\n"
                  "  %llu cuts, %llu leaders, %llu snapshots, %llu expiries, %llu requests sent again, %llu no-ops\n",
                  runs, what, (unsigned long long)total.done, (unsigned long long)total.refused,
                  (unsigned long long)total.withdrawn, (unsigned long long)total.unknown,
                  (unsigned long long)total.syncs, (unsigned long long)total.cuts, (unsigned long long)total.leaders,
                  (unsigned long long)total.snapshots, (unsigned long long)total.expiries,
                  (unsigned long long)total.resends, (unsigned long long)total.noops);
}

/* How often each thing happens in one run: picked per run, so that runs differ in kind. */
struct climate {
    uint32_t submit, withdraw, sync, carry, commit, cut, leader, purge, snapshot, foreign, stall, quiet;
};

static struct climate choose_climate(void)
{
    struct climate climate = {.submit = 8, .carry = 40, .commit = 15, .sync = 1};
    climate.withdraw = sim_pick(&sim, 3);
    climate.cut = sim_pick(&sim, 4);
    climate.leader = sim_pick(&sim, 3);
    climate.purge = sim_pick(&sim, 3);
    climate.snapshot = sim_pick(&sim, 2);
    climate.foreign = sim_pick(&sim, 4);
    climate.stall = sim_pick(&sim, 8) == 0;
    climate.quiet = sim_pick(&sim, 3) == 0;
    return climate;
}

static bool happens(uint32_t *draw, uint32_t weight)
{
    if (*draw < weight)
        return true;
    *draw -= weight;
    return false;
}

static void step(const struct climate *climate)
{
    uint32_t draw = sim_pick(&sim, 100);
    if (happens(&draw, climate->carry))
        sim_carry(&sim, sim_pick(&sim, 2));
    else if (happens(&draw, climate->commit))
        sim_commit(&sim, 1 + sim_pick(&sim, 4));
    else if (happens(&draw, climate->submit))
        sim_submit(&sim);
    else if (happens(&draw, climate->withdraw) && sim.asked_count > 0)
        sim_withdraw(&sim, (int)sim_pick(&sim, (uint32_t)sim.asked_count));
    else if (happens(&draw, climate->sync))
        sim_sync(&sim);
    else if (happens(&draw, climate->cut))
        sim_cut(&sim);
    else if (happens(&draw, climate->leader))
        sim_change_leader(&sim);
    else if (happens(&draw, climate->purge))
        sim_purge(&sim);
    else if (happens(&draw, climate->snapshot))
        sim_send_snapshot(&sim);
    else if (happens(&draw, climate->foreign))
        sim_foreign(&sim);
    else if (happens(&draw, climate->quiet))
        sim.quiet = !sim.quiet;
    else if (happens(&draw, climate->stall))
        sim_pass(&sim, sim_pick(&sim, 2000), true);
    else
        sim_pass(&sim, sim_pick(&sim, 40), false);
    sim_dial(&sim);
}

static void check_nobody_waits(void)
{
    struct client_info info;
    learner_info(sim.learner, sim.now_ms, &info);
    assert_int_equal(info.in_flight, 0);
    assert_int_equal(info.state, CLIENT_CONNECTED);
    assert_true(learner_ready(sim.learner));
    assert_true(state_digest(sim.tree) == state_digest(sim.state));
}

static void check_end(bool closed_well)
{
    learner_close(sim.learner, sim.now_ms, &sim.output);
    sim_calm(&sim, closed_well ? 100 : 4000);
    assert_true(learner_closed(sim.learner));
    sim_check_outcomes(&sim);
    add_counts();
    sim_end(&sim);
}

/* Well below op_timeout and the session's timeout: what is answered then is answered because all is well. */
enum { CALM_MS = 500 };

static void faults_then_calm(void **state)
{
    (void)state;
    size_t runs = 2500;
    memset(&total, 0, sizeof total);
    for (size_t run = 0; run < runs; run++) {
        sim_begin(&sim, run + 1);
        struct climate climate = choose_climate();
        for (uint32_t steps = sim_pick(&sim, 1500); steps > 0; steps--)
            step(&climate);
        sim_calm(&sim, CALM_MS + LEARNER_REFUSED_MS);
        check_nobody_waits();
        check_end(true);
    }
    print_counts("runs", runs);
    assert_true(total.done > 10 * runs && total.unknown > 0 && total.refused > 0 && total.withdrawn > 0);
    assert_true(total.snapshots > runs / 10 && total.expiries > 0 && total.noops > 0 && total.resends > runs);
}

/* The faults go on while the mount closes: every caller gets his answer all the same. */
static void closing_among_faults(void **state)
{
    (void)state;
    size_t runs = 1000;
    memset(&total, 0, sizeof total);
    for (size_t run = 0; run < runs; run++) {
        sim_begin(&sim, run + 1000001);
        struct climate climate = choose_climate();
        for (uint32_t steps = sim_pick(&sim, 300); steps > 0; steps--)
            step(&climate);
        learner_close(sim.learner, sim.now_ms, &sim.output);
        for (uint32_t steps = sim_pick(&sim, 300); steps > 0; steps--)
            step(&climate);
        check_end(false);
    }
    print_counts("closings", runs);
}

/* One run in lockstep: a request with each round, a message each way, a commit. Returns how many messages there were;
 * the link is cut before the message `cut`, and what is on it is lost. */
static size_t lockstep(size_t cut, bool purge)
{
    size_t carried = 0;
    bool was_cut = false;
    for (int round = 0; round < 120; round++) {
        sim_dial(&sim);
        if (round % 2 == 0 && sim.asked_count < 40)
            sim_submit(&sim);
        for (int way = 0; way < 2; way++) {
            if (carried == cut && !was_cut) {
                was_cut = true;
                sim_cut(&sim);
                if (purge)
                    sim_purge(&sim);
            }
            carried += sim_carry(&sim, way == 0);
        }
        if (round % 3 == 0)
            sim_commit(&sim, 2);
        sim_pass(&sim, 5, false);
    }
    return carried;
}

static void a_cut_at_each_message(void **state)
{
    (void)state;
    size_t runs = 0;
    memset(&total, 0, sizeof total);
    for (int purge = 0; purge < 2; purge++) {
        sim_begin(&sim, 7);
        size_t messages = lockstep(SIZE_MAX, false);
        sim_calm(&sim, CALM_MS);
        check_end(true);
        for (size_t cut = 0; cut < messages; cut++, runs++) {
            sim_begin(&sim, 7);
            lockstep(cut, purge);
            sim_calm(&sim, CALM_MS);
            check_nobody_waits();
            for (int i = 0; i < sim.asked_count; i++)
                assert_int_equal(sim.asked[i].code, ERR_OK); /* a cut alone loses nothing */
            check_end(true);
        }
    }
    print_counts("cuts", runs);
    assert_true(runs > 100 && total.unknown == 0 && total.refused == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_then_calm),
        cmocka_unit_test(closing_among_faults),
        cmocka_unit_test(a_cut_at_each_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
