/* Calls that were sent back: each is known once, whatever else was sent back meanwhile. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "fs/mount/sent_back.h"

static uint64_t key_of(uint32_t tid, const char *name)
{
    return sent_back_key(tid, 1, name, 0, "");
}

static void known_once(void **fixture)
{
    struct sent_back back = {0};
    (void)fixture;
    assert_false(sent_back_again(&back, key_of(1, "a")));
    sent_back_note(&back, key_of(1, "a"));
    assert_false(sent_back_again(&back, key_of(2, "a")));
    assert_false(sent_back_again(&back, key_of(1, "b")));
    assert_true(sent_back_again(&back, key_of(1, "a")));
    assert_false(sent_back_again(&back, key_of(1, "a")));
}

static void told_apart(void **fixture)
{
    (void)fixture;
    uint64_t keys[] = {
        sent_back_key(1, 1, "a", 0, ""),  sent_back_key(2, 1, "a", 0, ""),  sent_back_key(1, 2, "a", 0, ""),
        sent_back_key(1, 1, "ab", 0, ""), sent_back_key(1, 1, "a", 1, "b"), sent_back_key(1, 1, "b", 1, "a"),
        sent_back_key(1, 1, "a", 2, "b"),
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_true(keys[i]);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(keys[i], keys[j]);
    }
}

/* Those that never come again do not take the room for good. */
static void makes_room(void **fixture)
{
    struct sent_back back = {0};
    (void)fixture;
    for (uint32_t tid = 1; tid <= 100 * SENT_BACK_CALLS; tid++)
        sent_back_note(&back, key_of(tid, "lost"));
    for (uint32_t tid = 1; tid <= SENT_BACK_CALLS; tid++) {
        sent_back_note(&back, key_of(tid, "a"));
        assert_true(sent_back_again(&back, key_of(tid, "a")));
    }
}

enum { THREADS = 8, ROUNDS = 20000 };

static struct sent_back shared;

static void *send_and_return(void *arg)
{
    uint32_t tid = *(const uint32_t *)arg;
    size_t lost = 0;
    for (int i = 0; i < ROUNDS; i++) {
        sent_back_note(&shared, key_of(tid, "a"));
        lost += !sent_back_again(&shared, key_of(tid, "a"));
    }
    return (void *)lost;
}

static void among_threads(void **fixture)
{
    pthread_t threads[THREADS];
    uint32_t tids[THREADS];
    (void)fixture;
    for (uint32_t i = 0; i < THREADS; i++) {
        tids[i] = 1000 + i;
        assert_int_equal(pthread_create(&threads[i], NULL, send_and_return, &tids[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *lost;
        pthread_join(threads[i], &lost);
        assert_null(lost);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_once),
        cmocka_unit_test(told_apart),
        cmocka_unit_test(makes_room),
        cmocka_unit_test(among_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
