/* The checker of histories judges right: it accepts 200 histories of a true register and rejects each of 200 that were
 * spoilt in one place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/sim/linearizable.h"

enum { HISTORIES = 200, OPS = 120, CLIENTS = 5 };

static uint64_t seed;

static uint64_t pick(uint64_t below)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (seed >> 33) % below;
}

/* One operation after the other takes effect at an instant of its own; its call lies before, its return after, and
 * operations of other clients in between. Some never return: of those some have taken effect, some not. */
static size_t make_good(struct history_op *ops)
{
    uint64_t value = 0, free_at[CLIENTS] = {0}, now = 10;
    size_t count = 0;
    while (count < OPS) {
        unsigned client = (unsigned)pick(CLIENTS);
        now += 1 + pick(20);
        if (free_at[client] >= now)
            continue;
        struct history_op *op = &ops[count++];
        uint64_t earliest = now - free_at[client] < 60 ? now - free_at[client] : 60;
        *op = (struct history_op){.kind = (enum history_kind)pick(3), .called = now - pick(earliest)};
        op->returned = free_at[client] = now + pick(60);
        op->value = op->kind == HISTORY_READ ? value : count;
        op->expected = pick(3) != 0 ? value : pick(count) + 1;
        op->done = op->kind == HISTORY_SWAP && op->expected == value;
        bool lost = pick(20) == 0, happens = !lost || pick(2) == 0;
        if (lost)
            op->returned = UINT64_MAX;
        if (happens && (op->kind == HISTORY_WRITE || op->done))
            value = op->value;
    }
    return count;
}

static void accepts_what_a_register_does(void **state)
{
    static struct history_op ops[OPS];
    (void)state;
    for (seed = 1; seed <= HISTORIES;) {
        uint64_t number = seed;
        size_t count = make_good(ops);
        if (!history_linearizable(ops, count))
            fail_msg("good history %llu is rejected", (unsigned long long)number);
        seed = number + 1;
    }
}

/* --- one thing is wrong --- */

/* A read that gives a value overwritten by a write that had returned before another began, before the read did. */
static bool stale_read(struct history_op *ops, size_t count)
{
    for (size_t r = count; r-- > 0;) {
        if (ops[r].kind != HISTORY_READ || ops[r].returned == UINT64_MAX)
            continue;
        for (size_t b = 0; b < count; b++)
            for (size_t a = 0; a < count; a++)
                if (ops[a].kind == HISTORY_WRITE && ops[b].kind == HISTORY_WRITE && ops[a].returned < ops[b].called &&
                    ops[b].returned < ops[r].called) {
                    ops[r].value = ops[a].value;
                    return true;
                }
    }
    return false;
}

/* A read that gives what nobody wrote, or what is written only later. */
static bool ghost_read(struct history_op *ops, size_t count)
{
    for (size_t r = pick(count); r < count; r++)
        if (ops[r].kind == HISTORY_READ && ops[r].returned != UINT64_MAX) {
            ops[r].value = 1000000;
            for (size_t w = r; w < count && pick(2) == 0; w++)
                if (ops[w].kind == HISTORY_WRITE && ops[w].called > ops[r].returned)
                    ops[r].value = ops[w].value;
            return true;
        }
    return false;
}

/* Two swaps of one value that both say they were done: one value is swapped at most once. */
static bool double_swap(struct history_op *ops, size_t count)
{
    for (size_t a = pick(count); a < count; a++)
        for (size_t b = a + 1; b < count; b++)
            if (ops[a].kind == HISTORY_SWAP && ops[b].kind == HISTORY_SWAP && ops[a].done &&
                ops[a].returned != UINT64_MAX && ops[b].returned != UINT64_MAX) {
                ops[b].expected = ops[a].expected;
                ops[b].done = true;
                return true;
            }
    return false;
}

/* A write that was seen is said to have been called only after that. */
static bool late_write(struct history_op *ops, size_t count)
{
    for (size_t r = pick(count); r < count; r++)
        for (size_t w = 0; w < count; w++)
            if (ops[r].kind == HISTORY_READ && ops[w].kind == HISTORY_WRITE && ops[r].value == ops[w].value &&
                ops[r].returned != UINT64_MAX) {
                ops[w].called = ops[r].returned + 1;
                if (ops[w].returned < ops[w].called)
                    ops[w].returned = ops[w].called + 1;
                return true;
            }
    return false;
}

static void rejects_what_no_register_does(void **state)
{
    static bool (*const spoil[])(struct history_op *, size_t) = {stale_read, ghost_read, double_swap, late_write};
    static struct history_op ops[OPS];
    unsigned spoilt = 0;
    (void)state;
    for (uint64_t number = 1; spoilt < HISTORIES; number++) {
        assert_true(number < 10 * HISTORIES);
        seed = number + 5000;
        size_t count = make_good(ops);
        if (!spoil[number % 4](ops, count))
            continue;
        spoilt++;
        if (history_linearizable(ops, count))
            fail_msg("spoilt history %llu (%llu) is accepted", (unsigned long long)number,
                     (unsigned long long)(number % 4));
    }
}

/* By hand: what may be seen of a write whose outcome nobody knows. */
static void unknown_outcomes(void **state)
{
    struct history_op late[] = {{HISTORY_WRITE, 1, UINT64_MAX, 7, 0, false},
                                {HISTORY_READ, 2, 3, 0, 0, false},
                                {HISTORY_READ, 4, 5, 7, 0, false},
                                {HISTORY_READ, 6, 7, 7, 0, false}};
    (void)state;
    assert_true(history_linearizable(late, 2)); /* never */
    assert_true(history_linearizable(late, 4)); /* or late */
    late[3].value = 0;
    assert_false(history_linearizable(late, 4)); /* but not undone */
    struct history_op swap[] = {{HISTORY_WRITE, 1, UINT64_MAX, 7, 0, false}, {HISTORY_SWAP, 2, 3, 8, 0, false}};
    assert_true(history_linearizable(swap, 2)); /* the swap failed because the write was there */
    assert_false(history_linearizable(swap + 1, 1));
    assert_true(history_linearizable(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepts_what_a_register_does),
                                       cmocka_unit_test(rejects_what_no_register_does),
                                       cmocka_unit_test(unknown_outcomes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
