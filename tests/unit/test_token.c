/* Tokens in names: what is one, what is not, and what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "fs/mount/token.h"

static struct token_name parse(const char *name)
{
    struct token_name to;
    assert_int_equal(token_parse(name, &to), ERR_OK);
    return to;
}

static void assert_refused(const char *name, int code)
{
    struct token_name to;
    assert_int_equal(token_parse(name, &to), code);
}

static void tokens_are_taken_out_of_the_name(void **unused)
{
    (void)unused;
    struct token_name to = parse("job-{seq}");
    assert_true(to.any && to.lifetime.sequential && !to.lifetime.ephemeral);
    assert_string_equal(to.name, "job-");
    assert_int_equal(to.lifetime.sequence_at, 4);

    to = parse("{seq}-web1");
    assert_string_equal(to.name, "-web1");
    assert_int_equal(to.lifetime.sequence_at, 0);

    to = parse("{ephemeral}web1");
    assert_true(to.any && to.lifetime.ephemeral);
    assert_string_equal(to.name, "web1");

    to = parse("a{ttl=30s}b");
    assert_int_equal(to.lifetime.ttl_ms, 30000);
    assert_string_equal(to.name, "ab");

    to = parse("{container}pool");
    assert_true(to.lifetime.container);
    assert_string_equal(to.name, "pool");
}

static void tokens_combine(void **unused)
{
    (void)unused;
    struct token_name to = parse("m{ephemeral}-{seq}-x");
    assert_true(to.lifetime.ephemeral && to.lifetime.sequential);
    assert_string_equal(to.name, "m--x");
    assert_int_equal(to.lifetime.sequence_at, 2);

    to = parse("{seq}{ttl=500ms}");
    assert_true(to.lifetime.sequential);
    assert_int_equal(to.lifetime.ttl_ms, 500);
    assert_string_equal(to.name, "");
}

static void other_braces_are_ordinary(void **unused)
{
    static const char *const names[] = {"plain",     "{foo}",  "{",          "}",    "{}",
                                        "{{",        "a{b}c",  "{seqs}",     "{seq", "{Seq}",
                                        "{ephemera", "{ seq}", "\xff{\x01}", "{ttl", "..."};
    (void)unused;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct token_name to = parse(names[i]);
        assert_false(to.any);
        assert_string_equal(to.name, names[i]);
    }
    struct token_name to = parse("{{seq}}");
    assert_true(to.lifetime.sequential);
    assert_string_equal(to.name, "{}");
    assert_int_equal(to.lifetime.sequence_at, 1);
}

static void malformed_tokens_are_refused(void **unused)
{
    static const char *const names[] = {
        "x{seq=3}",
        "x{seq=}",
        "x{ttl}",
        "x{ttl=}",
        "x{ttl=abc}",
        "x{ttl=-1}",
        "x{ttl=0}",
        "x{ttl=30",
        "x{ttl=9999999d}",
        "x{container=1}",
        "x{ephemeral=yes}",
        "x{seq}{seq}",
        "x{ttl=1}{ttl=2}",
        "x{ephemeral}{ephemeral}",
        "x{ephemeral}{ttl=1s}",
        "x{ephemeral}{container}",
        "x{container}{ttl=1s}",
        "x{owner}",
        "x{owner=123}",
        "{ephemeral}",
        "{ttl=1s}",
        "{ephemeral}..",
        ".{container}",
    };
    (void)unused;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_refused(names[i], ERR_INVALID);
}

/* The final name counts, with its ten digits and without the tokens. */
static void length_is_that_of_the_final_name(void **unused)
{
    char name[4096];
    (void)unused;
    memset(name, 'n', sizeof name);
    strcpy(name + 255, "{ephemeral}");
    assert_int_equal(parse(name).len, 255);
    strcpy(name + 245, "{seq}");
    assert_int_equal(parse(name).len, 245);
    memset(name, 'n', sizeof name);
    strcpy(name + 246, "{seq}");
    assert_refused(name, ERR_NAME_TOO_LONG);
    memset(name, 'n', sizeof name);
    name[256] = 0;
    assert_refused(name, ERR_NAME_TOO_LONG);
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    assert_refused(name, ERR_NAME_TOO_LONG);
}

static int policy(const char *text, struct lifetime *lifetime)
{
    return token_policy((struct bytes){text, strlen(text)}, lifetime);
}

static void policies_are_tokens_alone(void **unused)
{
    struct lifetime lifetime;
    (void)unused;
    assert_int_equal(policy("", &lifetime), ERR_OK);
    assert_false(lifetime.ephemeral || lifetime.container || lifetime.ttl_ms);
    assert_int_equal(policy(" {ttl=1h}\n", &lifetime), ERR_OK);
    assert_int_equal(lifetime.ttl_ms, 3600000);
    assert_int_equal(policy("{ephemeral}", &lifetime), ERR_OK);
    assert_true(lifetime.ephemeral);
    assert_int_equal(policy("{seq}", &lifetime), ERR_INVALID);
    assert_int_equal(policy("{owner}", &lifetime), ERR_INVALID);
    assert_int_equal(policy("{ephemeral}{container}", &lifetime), ERR_INVALID);
    assert_int_equal(policy("{ephemeral} x", &lifetime), ERR_INVALID);
    assert_int_equal(policy("{ttl=", &lifetime), ERR_INVALID);
}

/* A container is a directory: files made under such a policy are plain ones. */
static void a_policy_fits_the_kind(void **unused)
{
    struct lifetime container = {.container = true}, ephemeral = {.ephemeral = true};
    (void)unused;
    assert_true(token_policy_for(container, KIND_DIRECTORY).container);
    assert_false(token_policy_for(container, KIND_FILE).container);
    assert_true(token_policy_for(ephemeral, KIND_FILE).ephemeral);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_taken_out_of_the_name), cmocka_unit_test(tokens_combine),
        cmocka_unit_test(other_braces_are_ordinary),        cmocka_unit_test(malformed_tokens_are_refused),
        cmocka_unit_test(length_is_that_of_the_final_name), cmocka_unit_test(policies_are_tokens_alone),
        cmocka_unit_test(a_policy_fits_the_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
