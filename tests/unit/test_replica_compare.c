/* Who is right when members' states differ: the majority as the leader sees it; without one all stop. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h> /* cmocka wants all of these first */

#include <cmocka.h>

#include "replica/pactd/compare.h"

static void nobody_differs(void **state)
{
    (void)state;
    for (size_t members = 1; members <= 7; members += 2)
        for (size_t same = 0; same < members; same++)
            assert_int_equal(compare_judge(members, same, 0, members - 1 - same), COMPARE_WAIT);
}

/* Every way in which a few of 3, 5 and 7 can differ. */
static void the_majority_is_right(void **state)
{
    (void)state;
    for (size_t members = 3; members <= 7; members += 2)
        for (size_t other = 1; other < members; other++)
            for (size_t same = 0; 1 + same + other <= members; same++) {
                size_t quorum = members / 2 + 1;
                enum compare_verdict verdict = compare_judge(members, same, other, 0);
                assert_int_equal(verdict == COMPARE_OTHERS, 1 + same >= quorum);
                assert_int_equal(verdict == COMPARE_SELF, other >= quorum);
                assert_int_equal(verdict == COMPARE_ALL, 1 + same < quorum && other < quorum);
            }
}

static void who_is_there_is_heard_first(void **state)
{
    (void)state;
    assert_int_equal(compare_judge(3, 0, 1, 1), COMPARE_WAIT);
    assert_int_equal(compare_judge(5, 1, 1, 2), COMPARE_WAIT);
    assert_int_equal(compare_judge(5, 2, 1, 1), COMPARE_OTHERS); /* a majority already */
    assert_int_equal(compare_judge(5, 0, 3, 1), COMPARE_SELF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_differs),
        cmocka_unit_test(the_majority_is_right),
        cmocka_unit_test(who_is_there_is_heard_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
