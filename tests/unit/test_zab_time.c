/* What it shows: the time that entries are stamped with, while the clocks it comes from are right, ahead, and put
 * right.
 *
 * How: by hand; a second is a second of both clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replica/zab/zab.h"

#define S          INT64_C(1000000000)
#define RIGHT_TIME (1700000000 * S)
#define HOUR       (3600 * S)

static struct zab *replica(int64_t stamp_ns)
{
    static const uint32_t members[] = {1};
    const struct zab_options options = {
        .id = 1,
        .members = members,
        .member_count = 1,
        .stamp_ns = stamp_ns,
        .timing = {.ping_ms = 30, .silence_ms = 150, .vote_ms = 20, .phase_ms = 1000},
    };
    return zab_new(&options, 0);
}

static void the_clock_s_while_that_goes_on(void **state)
{
    (void)state;
    struct zab *zab = replica(0);
    for (int64_t at = 0; at < 10 * S; at += S / 10)
        assert_int_equal(zab_time(zab, RIGHT_TIME + at, (uint64_t)(77 * S + at)), RIGHT_TIME + at);
    zab_free(zab);
}

/* An hour ahead takes two hours at half speed. */
static void half_as_fast_until_the_clock_has_come_up(void **state)
{
    (void)state;
    struct zab *zab = replica(RIGHT_TIME + HOUR);
    assert_int_equal(zab_time(zab, RIGHT_TIME, 0), RIGHT_TIME + HOUR);
    for (int64_t at = 1; at < 7200; at++)
        assert_int_equal(zab_time(zab, RIGHT_TIME + at * S, (uint64_t)(at * S)), RIGHT_TIME + HOUR + at * S / 2);
    assert_int_equal(zab_time(zab, RIGHT_TIME + 7201 * S, (uint64_t)(7201 * S)), RIGHT_TIME + 7201 * S);
    zab_free(zab);
}

static void a_clock_put_back_while_it_leads(void **state)
{
    (void)state;
    struct zab *zab = replica(0);
    assert_int_equal(zab_time(zab, RIGHT_TIME + HOUR, 5), RIGHT_TIME + HOUR);
    assert_int_equal(zab_time(zab, RIGHT_TIME, 5), RIGHT_TIME + HOUR);
    assert_int_equal(zab_time(zab, RIGHT_TIME, (uint64_t)(10 * S + 5)), RIGHT_TIME + HOUR + 5 * S);
    zab_free(zab);
}

/* A leader before it may have stamped ahead of all that this one knows. */
static void never_below_another_leader_s_stamps(void **state)
{
    (void)state;
    struct zab *zab = replica(0);
    assert_int_equal(zab_time(zab, RIGHT_TIME, 0), RIGHT_TIME);
    zab_stamped(zab, RIGHT_TIME + HOUR);
    assert_int_equal(zab_time(zab, RIGHT_TIME + S, (uint64_t)S), RIGHT_TIME + HOUR);
    assert_int_equal(zab_time(zab, RIGHT_TIME + 3 * S, (uint64_t)(3 * S)), RIGHT_TIME + HOUR + S);
    zab_free(zab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_s_while_that_goes_on),
        cmocka_unit_test(half_as_fast_until_the_clock_has_come_up),
        cmocka_unit_test(a_clock_put_back_while_it_leads),
        cmocka_unit_test(never_below_another_leader_s_stamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
