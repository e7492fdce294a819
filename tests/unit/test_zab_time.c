/* What it shows: the time that entries are stamped with, while the clocks it comes from are right, ahead, and put
 * right.
 *
 * How: by hand; a second is a second of both clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

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

/* Alone it is a quorum. */
static struct zab *leader(int64_t stamp_ns)
{
    struct zab *zab = replica(stamp_ns);
    struct zab_update update = {0};
    for (uint64_t now_ms = 0; now_ms < 100; now_ms += 10) {
        zab_step(zab, &(struct zab_event){.kind = ZAB_TICK, .now_ms = now_ms}, &update);
        update.count = 0; /* what it says is to be durable is so at once */
    }
    free(update.list);
    assert_int_equal(zab_role(zab), ZAB_LEADING);
    return zab;
}

static int64_t time_at(struct zab *zab, int64_t wall_ns, int64_t running_ns)
{
    return zab_time(zab, (struct zab_clocks){wall_ns, (uint64_t)running_ns});
}

static int64_t stamp_at(struct zab *zab, int64_t wall_ns, int64_t running_ns)
{
    uint64_t zxid;
    int64_t stamp_ns;
    assert_int_equal(zab_propose(zab, (struct zab_clocks){wall_ns, (uint64_t)running_ns}, &zxid, &stamp_ns), ERR_OK);
    return stamp_ns;
}

static void the_clock_s_while_that_goes_on(void **state)
{
    (void)state;
    struct zab *zab = replica(0);
    for (int64_t at = 0; at < 10 * S; at += S / 10)
        assert_int_equal(time_at(zab, RIGHT_TIME + at, 77 * S + at), RIGHT_TIME + at);
    zab_free(zab);
}

/* An hour ahead takes two hours at half speed, whether anything is stamped meanwhile or not. */
static void half_as_fast_until_the_clock_has_come_up(void **state)
{
    (void)state;
    struct zab *idle = replica(RIGHT_TIME + HOUR), *busy = leader(RIGHT_TIME + HOUR);
    assert_int_equal(time_at(idle, RIGHT_TIME, 0), RIGHT_TIME + HOUR + 1);
    assert_int_equal(stamp_at(busy, RIGHT_TIME, 0), RIGHT_TIME + HOUR + 1);
    for (int64_t at = 1; at < 7200; at++) {
        assert_int_equal(time_at(idle, RIGHT_TIME + at * S, at * S), RIGHT_TIME + HOUR + at * S / 2);
        assert_int_equal(stamp_at(busy, RIGHT_TIME + at * S, at * S), RIGHT_TIME + HOUR + at * S / 2 + 1);
    }
    assert_int_equal(time_at(idle, RIGHT_TIME + 7201 * S, 7201 * S), RIGHT_TIME + 7201 * S);
    assert_int_equal(stamp_at(busy, RIGHT_TIME + 7201 * S, 7201 * S), RIGHT_TIME + 7201 * S);
    zab_free(idle);
    zab_free(busy);
}

/* Ahead for a moment: what counts is whether that was stamped. What is stamped later is later, if by nothing else. */
static void a_clock_put_back_while_it_leads(void **state)
{
    (void)state;
    struct zab *zab = leader(0);
    assert_int_equal(time_at(zab, RIGHT_TIME + HOUR, 5), RIGHT_TIME + HOUR);
    assert_int_equal(time_at(zab, RIGHT_TIME, 6), RIGHT_TIME);
    assert_int_equal(stamp_at(zab, RIGHT_TIME + HOUR, 7), RIGHT_TIME + HOUR);
    assert_int_equal(stamp_at(zab, RIGHT_TIME, 7), RIGHT_TIME + HOUR + 1);
    assert_int_equal(stamp_at(zab, RIGHT_TIME, 7), RIGHT_TIME + HOUR + 2);
    assert_int_equal(time_at(zab, RIGHT_TIME, 10 * S + 7), RIGHT_TIME + HOUR + 5 * S + 2);
    zab_free(zab);
}

/* A leader before it may have stamped ahead of all that this one knows: its time goes on from when it came here. */
static void above_another_leader_s_stamps(void **state)
{
    (void)state;
    struct zab *zab = replica(0);
    assert_int_equal(time_at(zab, RIGHT_TIME, 0), RIGHT_TIME);
    zab_stamped(zab, RIGHT_TIME + HOUR, S);
    zab_stamped(zab, RIGHT_TIME + HOUR, 2 * S);
    assert_int_equal(time_at(zab, RIGHT_TIME + S, S), RIGHT_TIME + HOUR + 1);
    assert_int_equal(time_at(zab, RIGHT_TIME + 7 * S, 7 * S), RIGHT_TIME + HOUR + 3 * S);
    zab_free(zab);
}

/* From a damaged log, or a clock of another age. */
static void the_ends_of_time(void **state)
{
    (void)state;
    struct zab *late = replica(INT64_MAX - 2), *early = replica(INT64_MIN), *old = replica(0);
    assert_int_equal(time_at(late, RIGHT_TIME, 0), INT64_MAX - 1);
    assert_int_equal(time_at(late, RIGHT_TIME, HOUR), INT64_MAX);
    assert_int_equal(time_at(early, RIGHT_TIME, 0), RIGHT_TIME);
    assert_int_equal(time_at(early, RIGHT_TIME + S, INT64_MAX), RIGHT_TIME + S);
    assert_int_equal(time_at(old, 10 * S, 15 * S), 10 * S);
    zab_free(late);
    zab_free(early);
    zab_free(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_s_while_that_goes_on),
        cmocka_unit_test(half_as_fast_until_the_clock_has_come_up),
        cmocka_unit_test(a_clock_put_back_while_it_leads),
        cmocka_unit_test(above_another_leader_s_stamps),
        cmocka_unit_test(the_ends_of_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
