/* The table of errors: every code has a name, a text and an errno, and keeps its number, as it is part of the wire
 * and log formats. */
#include "proto/errors.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const int codes[] = {
#define X(name, code, number, text) code,
    ERROR_TABLE(X)
#undef X
};
enum { COUNT = sizeof codes / sizeof codes[0] };

static void codes_are_dense_and_each_is_described(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(codes[i], i);
        assert_string_not_equal(error_name(i), "UNKNOWN");
        assert_true(strlen(error_text(i)) > 0);
        assert_true(i == ERR_OK ? error_errno(i) == 0 : error_errno(i) > 0);
    }
}

static void names_differ(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(error_name(i), error_name(j));
}

/* What a program sees is part of the interface (design §3). */
static void errno_is_what_a_program_expects(void **state)
{
    (void)state;
    static const struct {
        int code, number;
    } promised[] = {
        {ERR_EXISTS, EEXIST},          {ERR_NO_NODE, ENOENT},      {ERR_NOT_EMPTY, ENOTEMPTY},
        {ERR_NOT_DIR, ENOTDIR},        {ERR_TOO_BIG, EFBIG},       {ERR_NAME_TOO_LONG, ENAMETOOLONG},
        {ERR_QUOTA, EDQUOT},           {ERR_INVALID, EINVAL},      {ERR_NO_QUORUM, EROFS},
        {ERR_SESSION_EXPIRED, ESTALE}, {ERR_INTERRUPTED, EINTR},   {ERR_OUTCOME_UNKNOWN, ETIMEDOUT},
        {ERR_READ_ONLY, EROFS},        {ERR_NOT_PERMITTED, EPERM}, {ERR_NO_XATTR, ENODATA},
    };
    for (size_t i = 0; i < sizeof promised / sizeof promised[0]; i++)
        assert_int_equal(error_errno(promised[i].code), promised[i].number);
}

static void codes_of_a_newer_peer_are_harmless(void **state)
{
    (void)state;
    const int strange[] = {COUNT, COUNT + 1, 255, INT_MAX, -1, INT_MIN};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        assert_string_equal(error_name(strange[i]), "UNKNOWN");
        assert_string_equal(error_text(strange[i]), "unknown error");
        assert_int_equal(error_errno(strange[i]), EIO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_dense_and_each_is_described),
        cmocka_unit_test(names_differ),
        cmocka_unit_test(errno_is_what_a_program_expects),
        cmocka_unit_test(codes_of_a_newer_peer_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
