/* Power lost at every call that a workload makes to its disk (each write, sync, rename, unlink, allocation …), and
 * at every call of the recovery that follows. Whatever of the unsynced was kept, dropped, torn or reordered: no
 * acknowledged entry, epoch or snapshot is lost, and nothing is there that was not submitted. */
#include "tests/support/simdisk.h"
#include "tests/support/store_model.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 60, FATES = 5 /* each kind of simdisk_power_loss */, MORE_STEPS = 6 };

static const uint8_t identity[16] = "a simulated disk";
static const struct store_options options = {.segment_bytes = 6 * KIB, .identity = identity};

/* Where a run went wrong, so that it can be repeated. */
struct run {
    uint64_t seed, call, fate, second_call;
};

static struct store *open_or_null(struct simdisk *sim, int *code, char *text, size_t text_len)
{
    struct disk disk;
    struct store *store;
    simdisk_interface(sim, &disk);
    *code = store_open(&disk, &options, &store, text, text_len);
    return store;
}

/* Opens what must open, and checks it. */
static struct store *open_and_check(struct simdisk *sim, struct store_model *model, const struct run *run)
{
    char text[256];
    int code;
    struct store *store = open_or_null(sim, &code, text, sizeof text);
    if (store == NULL)
        fail_msg("seed %llu call %llu fate %llu second %llu: open: %s", (unsigned long long)run->seed,
                 (unsigned long long)run->call, (unsigned long long)run->fate, (unsigned long long)run->second_call,
                 text);
    if (!model_check(model, store))
        fail_msg("seed %llu call %llu fate %llu second %llu: %s", (unsigned long long)run->seed,
                 (unsigned long long)run->call, (unsigned long long)run->fate, (unsigned long long)run->second_call,
                 model->trouble);
    return store;
}

/* The workload until it is done or the power goes. */
static void work(struct simdisk *sim, struct store_model *model, uint64_t seed)
{
    char text[256];
    int code;
    model_init(model, seed);
    struct store *store = open_or_null(sim, &code, text, sizeof text);
    for (int i = 0; i < STEPS && code == ERR_OK; i++)
        code = model_step(model, store);
    assert_true(code == ERR_OK || simdisk_is_off(sim));
    store_close(store);
}

/* What was recovered is not only there to look at: work goes on, and is there after a clean end. */
static void go_on(struct simdisk *sim, struct store *store, struct store_model *model, const struct run *run)
{
    for (int i = 0; i < MORE_STEPS; i++)
        assert_int_equal(model_step(model, store), ERR_OK);
    store_close(store);
    model->count = model->acked; /* what was not synced at the end is not there */
    store_close(open_and_check(sim, model, run));
}

/* Recovery, with the power lost again at each of its calls. Returns how many. */
static uint64_t recover(const struct simdisk *image, const struct store_model *model, struct run *run)
{
    struct store_model after;
    uint64_t done = 0;
    bool off = true;
    for (run->second_call = 1; off; run->second_call++) {
        struct simdisk *sim = simdisk_copy(image);
        char text[256];
        int code;
        simdisk_power_loss(sim, run->fate);
        simdisk_power_off(sim, run->second_call);
        store_close(open_or_null(sim, &code, text, sizeof text));
        off = simdisk_is_off(sim);
        assert_true(off || code == ERR_OK);
        simdisk_power_loss(sim, run->fate + run->second_call);
        after = *model;
        go_on(sim, open_and_check(sim, &after, run), &after, run);
        simdisk_free(sim);
        done++;
    }
    return done;
}

static void test_power_lost_at_every_call(void **state)
{
    (void)state;
    static struct store_model model;
    uint64_t points = 0, recoveries = 0;
    for (struct run run = {.seed = 1}; run.seed <= 2; run.seed++) {
        bool off = true;
        for (run.call = 1; off; run.call++) {
            struct simdisk *sim = simdisk_new();
            simdisk_power_off(sim, run.call);
            work(sim, &model, run.seed);
            off = simdisk_is_off(sim);
            uint64_t fates = run.seed == 1 ? FATES : 1;
            for (uint64_t i = 0; i < fates; i++) {
                run.fate = run.call * fates + i;
                recoveries += recover(sim, &model, &run);
            }
            simdisk_free(sim);
            points++;
        }
    }
    print_message("power lost at %llu points of the workload, %llu recoveries\n", (unsigned long long)points,
                  (unsigned long long)recoveries);
    assert_true(points > 500);
}

/* The process is killed, the power stays: what was written is in the page cache and may be read back, but a power
 * loss just after recovery must not take away what recovery has handed out. */
static void test_killed_then_power_lost(void **state)
{
    (void)state;
    static struct store_model model;
    for (struct run run = {.seed = 11}; run.seed <= 14; run.seed++) {
        bool off = true;
        for (run.call = 1; off; run.call++) {
            struct simdisk *sim = simdisk_new();
            simdisk_power_off(sim, run.call);
            work(sim, &model, run.seed);
            off = simdisk_is_off(sim);
            simdisk_reset(sim);
            store_close(open_and_check(sim, &model, &run));
            run.fate = 1 + 5 * run.call; /* all that is unsynced is dropped */
            simdisk_power_loss(sim, run.fate);
            go_on(sim, open_and_check(sim, &model, &run), &model, &run);
            simdisk_free(sim);
        }
    }
}

/* Longer workloads, with the power lost at some call, again and again. */
static void test_power_lost_again_and_again(void **state)
{
    (void)state;
    static struct store_model model;
    uint64_t losses = 0;
    for (struct run run = {.seed = 100}; run.seed < 160; run.seed++) {
        struct simdisk *sim = simdisk_new();
        model_init(&model, run.seed);
        for (run.call = 0; run.call < 20; run.call++, losses++) {
            simdisk_power_loss(sim, run.fate++);
            struct store *store = open_and_check(sim, &model, &run);
            simdisk_power_off(sim, simdisk_calls(sim) + 1 + (run.seed * 7919 + run.call * 104729) % 150);
            int code = ERR_OK;
            for (int i = 0; i < 40 && code == ERR_OK; i++)
                code = model_step(&model, store);
            store_close(store);
        }
        simdisk_free(sim);
    }
    print_message("%llu power losses\n", (unsigned long long)losses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_lost_at_every_call),
        cmocka_unit_test(test_killed_then_power_lost),
        cmocka_unit_test(test_power_lost_again_and_again),
    };
    mallopt(M_MMAP_THRESHOLD, 16 * MIB); /* the same buffers again and again: keep their pages */
    mallopt(M_TRIM_THRESHOLD, 64 * MIB);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
