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
    assert_true(to.any && to.tokens.lifetime.sequential && !to.tokens.lifetime.ephemeral);
    assert_string_equal(to.name, "job-");
    assert_int_equal(to.tokens.lifetime.sequence_at, 4);

    to = parse("{seq}-web1");
    assert_string_equal(to.name, "-web1");
    assert_int_equal(to.tokens.lifetime.sequence_at, 0);

    to = parse("{ephemeral}web1");
    assert_true(to.any && to.tokens.lifetime.ephemeral);
    assert_string_equal(to.name, "web1");

    to = parse("a{ttl=30s}b");
    assert_int_equal(to.tokens.lifetime.ttl_ms, 30000);
    assert_string_equal(to.name, "ab");

    to = parse("{container}pool");
    assert_true(to.tokens.lifetime.container);
    assert_string_equal(to.name, "pool");
}

static void tokens_combine(void **unused)
{
    (void)unused;
    struct token_name to = parse("m{ephemeral}-{seq}-x");
    assert_true(to.tokens.lifetime.ephemeral && to.tokens.lifetime.sequential);
    assert_string_equal(to.name, "m--x");
    assert_int_equal(to.tokens.lifetime.sequence_at, 2);

    to = parse("{seq}{ttl=500ms}");
    assert_true(to.tokens.lifetime.sequential);
    assert_int_equal(to.tokens.lifetime.ttl_ms, 500);
    assert_string_equal(to.name, "");
}

/* An owned node is an ephemeral of the session as well, said twice or not. */
static void owners_are_numbers(void **unused)
{
    (void)unused;
    struct token_name to = parse("{owner=4711}{seq}-x");
    assert_true(to.tokens.owner && to.tokens.lifetime.ephemeral && to.tokens.lifetime.sequential);
    assert_int_equal(to.tokens.owner_number, 4711);
    assert_string_equal(to.name, "-x");
    assert_int_equal(parse("{owner=2147483647}x").tokens.owner_number, INT32_MAX);
    to = parse("{ephemeral}{owner=1}x");
    assert_true(to.tokens.owner && to.tokens.lifetime.ephemeral);
    assert_false(parse("{ephemeral}x").tokens.owner);
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
    assert_true(to.tokens.lifetime.sequential);
    assert_string_equal(to.name, "{}");
    assert_int_equal(to.tokens.lifetime.sequence_at, 1);
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
        "x{owner=}",
        "x{owner=0}",
        "x{owner=-1}",
        "x{owner=+1}",
        "x{owner=12x}",
        "x{owner= 12}",
        "x{owner=0x10}",
        "x{owner=2147483648}",
        "x{owner=99999999999999999999}",
        "x{owner=1}{owner=1}",
        "x{owner=1}{ttl=1s}",
        "x{owner=1}{container}",
        "{owner=1}",
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

static struct tokens policy(const char *text)
{
    struct tokens tokens;
    assert_int_equal(token_policy((struct bytes){text, strlen(text)}, &tokens), ERR_OK);
    return tokens;
}

static void policies_are_tokens_alone(void **unused)
{
    static const char *const refused[] = {
        "{ephemeral}{container}", "{ephemeral} x",  "{ttl=",   "{owner=1}", "{seq}{seq}",
        "{owner}{ttl=1s}",        "{owner}{owner}", "{ttl=0}", "x"};
    struct tokens tokens = policy("");
    (void)unused;
    assert_false(tokens.owner || tokens.lifetime.ephemeral || tokens.lifetime.container || tokens.lifetime.ttl_ms);
    assert_int_equal(policy(" {ttl=1h}\n").lifetime.ttl_ms, 3600000);
    assert_true(policy("{ephemeral}").lifetime.ephemeral);
    tokens = policy("{seq} {owner}");
    assert_true(tokens.owner && tokens.lifetime.ephemeral && tokens.lifetime.sequential);
    assert_int_equal(tokens.owner_number, 0);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_int_equal(token_policy((struct bytes){refused[i], strlen(refused[i])}, &tokens), ERR_INVALID);
}

static struct tokens combined(const char *name, const char *by_policy, enum node_kind kind)
{
    struct token_name to = parse(name);
    assert_int_equal(token_combine(&to.tokens, to.len, policy(by_policy), kind), ERR_OK);
    return to.tokens;
}

/* How long it lives and whether it is numbered are decided apart: first by the name, else by the policy. */
static void names_go_before_policies(void **unused)
{
    (void)unused;
    struct tokens tokens = combined("pid", "{owner}", KIND_FILE);
    assert_true(tokens.owner && tokens.lifetime.ephemeral && !tokens.lifetime.sequential);
    tokens = combined("x{ttl=1h}", "{owner}", KIND_FILE);
    assert_true(!tokens.owner && !tokens.lifetime.ephemeral && tokens.lifetime.ttl_ms == 3600000);
    tokens = combined("{seq}-x", "{owner}", KIND_FILE);
    assert_true(tokens.owner && tokens.lifetime.sequential && tokens.lifetime.sequence_at == 0);
    tokens = combined("job{ttl=1h}", "{seq}{owner}", KIND_FILE);
    assert_true(!tokens.owner && tokens.lifetime.ttl_ms == 3600000);
    assert_true(tokens.lifetime.sequential && tokens.lifetime.sequence_at == 3); /* appended */
    tokens = combined("job-{seq}-x", "{seq}", KIND_FILE);
    assert_int_equal(tokens.lifetime.sequence_at, 4);
    tokens = combined("x{owner=5}", "{owner}", KIND_FILE);
    assert_int_equal(tokens.owner_number, 5);
}

static void a_number_by_policy_must_fit(void **unused)
{
    char name[247];
    struct token_name to;
    (void)unused;
    memset(name, 'n', sizeof name);
    name[246] = 0;
    to = parse(name);
    assert_int_equal(token_combine(&to.tokens, to.len, policy("{seq}"), KIND_FILE), ERR_NAME_TOO_LONG);
    to = parse(name + 1);
    assert_int_equal(token_combine(&to.tokens, to.len, policy("{seq}"), KIND_FILE), ERR_OK);
}

/* A container is a directory: files made under such a policy are plain ones. */
static void a_policy_fits_the_kind(void **unused)
{
    (void)unused;
    assert_true(combined("x", "{container}", KIND_DIRECTORY).lifetime.container);
    assert_false(combined("x", "{container}", KIND_FILE).lifetime.container);
    assert_true(combined("x", "{ephemeral}", KIND_FILE).lifetime.ephemeral);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_taken_out_of_the_name),
        cmocka_unit_test(tokens_combine),
        cmocka_unit_test(owners_are_numbers),
        cmocka_unit_test(names_go_before_policies),
        cmocka_unit_test(a_number_by_policy_must_fit),
        cmocka_unit_test(other_braces_are_ordinary),
        cmocka_unit_test(malformed_tokens_are_refused),
        cmocka_unit_test(length_is_that_of_the_final_name),
        cmocka_unit_test(policies_are_tokens_alone),
        cmocka_unit_test(a_policy_fits_the_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
