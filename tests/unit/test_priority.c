/* Who stands back gives way, gets on all the same, and comes forward again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <uv.h>

#include "replica/pactd/priority.h"

enum { US = 1000, RUN_US = 2000000, PIECE_US = 8 };

static void on_one_processor(cpu_set_t *before)
{
    cpu_set_t one;
    assert_int_equal(sched_getaffinity(0, sizeof *before, before), 0);
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
}

static void *keep_busy(void *arg)
{
    const atomic_bool *ended = arg;
    while (!atomic_load(ended))
        continue;
    return NULL;
}

/* How many pieces of work of 8 us are done beside a thread that never waits, in 2 s. */
static unsigned pieces(void)
{
    atomic_bool ended = false;
    cpu_set_t before;
    pthread_t busy;
    unsigned count = 0;
    on_one_processor(&before);
    assert_int_equal(pthread_create(&busy, NULL, keep_busy, &ended), 0);
    priority_stand_back(BACK_A_LITTLE);
    for (uint64_t end_ns = uv_hrtime() + UINT64_C(1000) * RUN_US; uv_hrtime() < end_ns; count++) {
        uint64_t done_ns = uv_hrtime() + PIECE_US * US;
        while (uv_hrtime() < done_ns)
            continue;
        priority_give_way();
    }
    priority_come_forward();
    atomic_store(&ended, true);
    pthread_join(busy, NULL);
    sched_setaffinity(0, sizeof before, &before);
    return count;
}

/* Each giving way costs what the others then run: a tenth of a second, and more. */
static void it_gets_on_where_the_processor_is_always_taken(void **state)
{
    (void)state;
    const int nice = getpriority(PRIO_PROCESS, 0);
    unsigned count = pieces();
    assert_int_equal(getpriority(PRIO_PROCESS, 0), nice);
    assert_in_range(count, 200, RUN_US / PIECE_US);
}

static void standing_back_is_undone(void **state)
{
    (void)state;
    const int nice = getpriority(PRIO_PROCESS, 0);
    priority_stand_back(BACK_FAR);
    priority_stand_back(BACK_A_LITTLE);
    if (getpriority(PRIO_PROCESS, 0) == nice)
        skip(); /* not allowed to come forward again */
    assert_int_equal(getpriority(PRIO_PROCESS, 0), 19);
    priority_come_forward();
    priority_come_forward();
    assert_int_equal(getpriority(PRIO_PROCESS, 0), nice);
}

/* Who runs the whole program under another policy has a reason. */
static void the_policy_stays(void **state)
{
    (void)state;
    assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}), 0);
    priority_stand_back(BACK_FAR);
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
    priority_come_forward();
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
    assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gets_on_where_the_processor_is_always_taken),
        cmocka_unit_test(standing_back_is_undone),
        cmocka_unit_test(the_policy_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
