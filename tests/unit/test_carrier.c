/* The thread in which nanomsg receives yields to ours as long as it does not wait long for that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <sched.h>
#include <stdlib.h>

#include "replica/net/carrier.h"

enum { MS = 1000000 };

static unsigned threads_with(int policy)
{
    unsigned count = 0;
    const struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    while ((entry = readdir(tasks)))
        count += entry->d_name[0] != '.' && sched_getscheduler(atoi(entry->d_name)) == policy;
    closedir(tasks);
    return count;
}

static void its_thread_yields_and_no_other(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) { /* with the last socket the thread goes */
        while (threads_with(SCHED_BATCH) > 0) /* it is joined a moment before it leaves /proc */
            sched_yield();
        int first = carrier_socket(AF_SP, NN_PULL), second = carrier_socket(AF_SP, NN_PULL);
        assert_true(first >= 0 && second >= 0);
        assert_int_equal(threads_with(SCHED_BATCH), 1);
        assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
        carrier_tend();
        assert_int_equal(threads_with(SCHED_BATCH), 1);
        nn_close(first);
        nn_close(second);
    }
}

/* Who runs the whole program as SCHED_BATCH has a reason. */
static void another_policy_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}), 0);
    const unsigned others = threads_with(SCHED_OTHER);
    int socket = carrier_socket(AF_SP, NN_PULL);
    assert_int_equal(threads_with(SCHED_OTHER), others);
    nn_close(socket);
    assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}), 0);
}

static void long_waits_end_it_for_a_while(void **state)
{
    (void)state;
    struct carrier_watch watch = {.yields = true};
    uint64_t waited_ns = 0, turns = 0, now_ms = 1000;
    for (int i = 0; i < 100; i++) { /* short waits, and few turns with long ones: those may be a stall's */
        carrier_judge(&watch, waited_ns += 1000 * 75000, turns += 1000, now_ms += CARRIER_LOOK_MS);
        carrier_judge(&watch, waited_ns, turns += CARRIER_TURNS - 1, now_ms += CARRIER_LOOK_MS);
        assert_true(watch.yields);
    }
    carrier_judge(&watch, waited_ns += 100 * MS, turns += 100, now_ms);
    assert_false(watch.yields);
    carrier_judge(&watch, waited_ns, turns += 100000, now_ms + CARRIER_AGAIN_MS - 1);
    assert_false(watch.yields);
    carrier_judge(&watch, waited_ns += 5 * MS, turns += 100, now_ms += CARRIER_AGAIN_MS);
    assert_true(watch.yields); /* what it waited meanwhile says nothing */
    carrier_judge(&watch, waited_ns += 2 * MS, turns += 100, now_ms += CARRIER_LOOK_MS);
    assert_true(watch.yields);
    carrier_judge(&watch, waited_ns += 20 * MS, turns += 100, now_ms += CARRIER_LOOK_MS);
    assert_false(watch.yields);
}

static void a_new_thread_counts_from_zero(void **state)
{
    (void)state;
    struct carrier_watch watch = {.yields = true};
    carrier_judge(&watch, 1000 * MS, 1000000, 1000);
    carrier_judge(&watch, 1 * MS, 20, 2000);
    assert_true(watch.yields);
    carrier_judge(&watch, 101 * MS, 120, 3000);
    assert_false(watch.yields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_thread_yields_and_no_other), cmocka_unit_test(another_policy_is_left_alone),
        cmocka_unit_test(long_waits_end_it_for_a_while), cmocka_unit_test(a_new_thread_counts_from_zero)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
