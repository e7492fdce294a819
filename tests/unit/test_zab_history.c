/* What it shows: a history's runs tell what it has, where it agrees with another's end, and where its knowledge ends.
 *
 * How: a few histories by hand, then random ones beside a plain list of all their zxids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "replica/zab/history.h"

static struct history history_of(uint64_t base, uint64_t purged, const struct zab_run *runs, size_t count)
{
    const struct zab_options options = {.base = base, .purged = purged, .runs = runs, .run_count = count};
    struct history history;
    history_init(&history, &options);
    return history;
}

static void an_empty_history_is_known_whole(void **state)
{
    (void)state;
    struct history history = history_of(0, 0, NULL, 0);
    assert_int_equal(history_last(&history), 0);
    assert_true(history_has(&history, 0));
    assert_int_equal(history_below(&history, ZXID(3, 7)), 0);
    history_append(&history, ZXID(1, 1), ZXID(1, 4));
    history_append(&history, ZXID(1, 5), ZXID(1, 5));
    history_append(&history, ZXID(3, 1), ZXID(3, 2));
    assert_int_equal(history.count, 2);
    assert_int_equal(history_below(&history, ZXID(2, 9)), ZXID(1, 5));
    history_free(&history);
}

/* A log from the purge on is known from there; one that was read only from the snapshot on, from the snapshot on. */
static void the_floor_is_where_knowledge_begins(void **state)
{
    (void)state;
    const struct zab_run whole[] = {{.epoch = 1, .first = 11, .last = 30}, {.epoch = 2, .first = 1, .last = 5}};
    const struct zab_run rest[] = {{.epoch = 1, .first = 21, .last = 30}, {.epoch = 2, .first = 1, .last = 5}};
    struct history history = history_of(ZXID(1, 20), ZXID(1, 10), whole, 2);
    assert_int_equal(history.floor, ZXID(1, 10));
    history_free(&history);
    history = history_of(ZXID(1, 20), ZXID(1, 10), rest, 2);
    assert_int_equal(history.floor, ZXID(1, 20));
    history_free(&history);
    history = history_of(ZXID(1, 20), ZXID(1, 10), NULL, 0);
    assert_int_equal(history.floor, ZXID(1, 20));
    assert_int_equal(history_last(&history), ZXID(1, 20));
    history_free(&history);
}

static void what_follows_what(void **state)
{
    (void)state;
    assert_true(history_follows(0, ZXID(1, 1)));
    assert_true(history_follows(ZXID(1, 7), ZXID(1, 8)));
    assert_true(history_follows(ZXID(1, 7), ZXID(4, 1)));
    assert_false(history_follows(ZXID(1, 7), ZXID(1, 7)));
    assert_false(history_follows(ZXID(1, 7), ZXID(1, 9)));
    assert_false(history_follows(ZXID(1, 7), ZXID(4, 2)));
    assert_false(history_follows(ZXID(4, 7), ZXID(3, 1)));
    assert_false(history_follows(ZXID(1, UINT32_MAX), ZXID(2, 0)));
}

/* --- beside a plain list --- */

enum { MANY = 400 };

struct plain {
    uint64_t list[MANY], floor;
    size_t count;
};

static uint64_t plain_below(const struct plain *plain, uint64_t zxid)
{
    uint64_t below = plain->floor;
    for (size_t i = 0; i < plain->count; i++)
        if (plain->list[i] <= zxid && plain->list[i] > below)
            below = plain->list[i];
    return below;
}

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*seed >> 33) % below;
}

static void change(struct history *history, struct plain *plain, uint64_t *seed)
{
    uint64_t last = history_last(history);
    uint32_t what = draw(seed, 10);
    if (what < 7 && plain->count < MANY) {
        bool turn = ZXID_COUNTER(last) == 0 || draw(seed, 3) == 0;
        uint64_t next = turn ? ZXID(ZXID_EPOCH(last) + 1 + draw(seed, 2), 1) : last + 1;
        history_append(history, next, next);
        plain->list[plain->count++] = next;
    } else if (what < 9) {
        uint64_t to = plain->count > 0 ? plain->list[plain->count - 1 - draw(seed, 4) % plain->count] : plain->floor;
        history_truncate(history, to);
        while (plain->count > 0 && plain->list[plain->count - 1] > to)
            plain->count--;
    } else if (plain->count > 0) {
        size_t gone = 1 + draw(seed, 3) % plain->count;
        uint64_t to = plain->list[gone - 1];
        history_purge(history, to);
        plain->floor = to;
        plain->count -= gone;
        memmove(plain->list, plain->list + gone, plain->count * sizeof plain->list[0]);
    }
}

static void random_histories_agree_with_a_list(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t random = seed;
        struct history history = history_of(0, 0, NULL, 0);
        struct plain plain = {.count = 0};
        for (int step = 0; step < 300; step++) {
            change(&history, &plain, &random);
            assert_int_equal(history.floor, plain.floor);
            assert_int_equal(history_last(&history), plain_below(&plain, UINT64_MAX));
            uint64_t about = ZXID(ZXID_EPOCH(history_last(&history)) + 1 - draw(&random, 3), draw(&random, 8));
            about = about < plain.floor ? plain.floor : about;
            assert_int_equal(history_below(&history, about), plain_below(&plain, about));
            assert_int_equal(history_has(&history, about), plain_below(&plain, about) == about);
        }
        history_free(&history);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_history_is_known_whole),
        cmocka_unit_test(the_floor_is_where_knowledge_begins),
        cmocka_unit_test(what_follows_what),
        cmocka_unit_test(random_histories_agree_with_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
