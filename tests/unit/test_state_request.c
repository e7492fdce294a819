/* request_check: what is malformed by itself is refused before it takes a number, with the error apply would give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/state_story.h"

/* The check's answer, which must be apply's as well: a malformed entry in a log changes nothing. */
static int check(struct request request)
{
    int code = request_check(&request);
    struct story *story = story_new();
    if (code != ERR_OK) {
        assert_int_equal(story_apply(story, request), code);
        assert_int_equal(state_nodes(story->state), 1);
    }
    story_free(story);
    return code;
}

static int path(const char *text, size_t len)
{
    return check((struct request){.kind = OP_CHECK, .check = {{ROOT_ID, {text, len}}, NO_VERSION_CHECK, true}});
}

static void test_paths(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"/", "/a", "a/", "a//b", ".", "..", "a/./b", "a/..", "../a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(path(bad[i], strlen(bad[i])), ERR_INVALID);
    assert_int_equal(path("a\0b", 3), ERR_INVALID);
    assert_int_equal(path(NULL, 0), ERR_OK);
    assert_int_equal(path("...", 3), ERR_OK);
    assert_int_equal(path("a/.b/..c", 8), ERR_OK);
    char *long_path = calloc(1, LIMIT_PATH_BYTES + 2);
    for (size_t i = 0; i <= LIMIT_PATH_BYTES; i++)
        long_path[i] = i % 2 == 0 ? 'a' : '/';
    assert_int_equal(path(long_path, LIMIT_PATH_BYTES - 1), ERR_OK);
    assert_int_equal(path(long_path, LIMIT_PATH_BYTES + 1), ERR_NAME_TOO_LONG);
    memset(long_path, 'a', 300);
    assert_int_equal(path(long_path, 255), ERR_OK);
    assert_int_equal(path(long_path, 256), ERR_NAME_TOO_LONG);
    free(long_path);
}

static void test_ids(void **unused)
{
    (void)unused;
    struct request request = {.kind = OP_CHECK, .check = {{0, {"a", 1}}, NO_VERSION_CHECK, false}};
    assert_int_equal(check(request), ERR_INVALID);
    request.check.at.id = LIMIT_NODE_ID + 1;
    assert_int_equal(check(request), ERR_INVALID);
    request.check.at.id = LIMIT_NODE_ID;
    assert_int_equal(check(request), ERR_OK);
    request.check.version = -2;
    assert_int_equal(check(request), ERR_INVALID);
}

static struct request create(enum node_kind kind)
{
    struct request request = {.kind = OP_CREATE};
    request.create = (struct op_create){.at = {ROOT_ID, {"a", 1}}, .kind = kind, .data = {"target", 6}};
    return request;
}

static void test_create(void **unused)
{
    (void)unused;
    static const uint8_t bytes[LIMIT_DATA_BYTES + 1] = {1};
    struct request request = create(KIND_FILE);
    assert_int_equal(check(request), ERR_OK);
    request.create.mode = 010000;
    assert_int_equal(check(request), ERR_INVALID);
    assert_int_equal(check(create((enum node_kind)4)), ERR_INVALID);
    assert_int_equal(check(create((enum node_kind)0)), ERR_INVALID);
    request = create(KIND_FILE);
    request.create.data = (struct bytes){bytes, sizeof bytes};
    assert_int_equal(check(request), ERR_TOO_BIG);
    request.create.at.path.len = 0; /* the root cannot be made */
    request.create.data.len = 0;
    assert_int_equal(check(request), ERR_INVALID);
    request = create(KIND_DIRECTORY);
    request.create.unborn = true;
    assert_int_equal(check(request), ERR_INVALID);
    request = create(KIND_SYMLINK);
    request.create.open_existing = true;
    assert_int_equal(check(request), ERR_INVALID);
}

static void test_symlink_targets(void **unused)
{
    (void)unused;
    char target[LIMIT_PATH_BYTES];
    memset(target, 't', sizeof target);
    struct request request = create(KIND_SYMLINK);
    request.create.data = (struct bytes){target, LIMIT_PATH_BYTES - 1};
    assert_int_equal(check(request), ERR_OK);
    request.create.data.len++;
    assert_int_equal(check(request), ERR_NAME_TOO_LONG);
    request.create.data.len = 0;
    assert_int_equal(check(request), ERR_INVALID);
    request.create.data = (struct bytes){"a\0b", 3};
    assert_int_equal(check(request), ERR_INVALID);
}

static void test_lifetimes(void **unused)
{
    (void)unused;
    struct request request = create(KIND_DIRECTORY);
    request.create.lifetime = (struct lifetime){.ephemeral = true, .container = true};
    assert_int_equal(check(request), ERR_INVALID);
    request.create.lifetime = (struct lifetime){.ttl_ms = LIMIT_TTL_MS + 1};
    assert_int_equal(check(request), ERR_INVALID);
    request.create.lifetime = (struct lifetime){.ttl_ms = LIMIT_TTL_MS, .container = true};
    assert_int_equal(check(request), ERR_OK);
    request.create.kind = KIND_FILE;
    assert_int_equal(check(request), ERR_INVALID);
    request.create.lifetime = (struct lifetime){.sequential = true, .sequence_at = 2};
    assert_int_equal(check(request), ERR_INVALID); /* behind the name's end */
    request.create.lifetime.sequence_at = 0;
    request.create.at.path = (struct bytes){"/", 1};
    assert_int_equal(check(request), ERR_INVALID);
    request.create.at.path = (struct bytes){"q//", 3};
    assert_int_equal(check(request), ERR_INVALID);
    request.create.at.path = (struct bytes){NULL, 0}; /* the number alone, in the root */
    assert_int_equal(check(request), ERR_OK);
}

static void test_writes(void **unused)
{
    (void)unused;
    static struct edit edits[LIMIT_EDITS + 1];
    struct request request = {.kind = OP_WRITE, .write = {{ROOT_ID, {"f", 1}}, NO_VERSION_CHECK, edits, 1}};
    edits[0] = (struct edit){EDIT_PUT, UINT64_MAX, {"x", 1}};
    assert_int_equal(check(request), ERR_TOO_BIG);
    edits[0] = (struct edit){EDIT_PUT, LIMIT_DATA_BYTES, {"x", 1}};
    assert_int_equal(check(request), ERR_TOO_BIG);
    edits[0] = (struct edit){EDIT_TRUNCATE, LIMIT_DATA_BYTES, {NULL, 0}};
    assert_int_equal(check(request), ERR_OK);
    edits[0].kind = (enum edit_kind)4;
    assert_int_equal(check(request), ERR_INVALID);
    for (size_t i = 0; i <= LIMIT_EDITS; i++)
        edits[i] = (struct edit){EDIT_APPEND, 0, {"x", 1}};
    request.write.count = LIMIT_EDITS;
    assert_int_equal(check(request), ERR_OK);
    request.write.count++;
    assert_int_equal(check(request), ERR_TOO_BIG);
}

static void test_attributes_and_xattrs(void **unused)
{
    (void)unused;
    struct request request = {.kind = OP_SET_ATTR, .set_attr = {.at = {ROOT_ID, {NULL, 0}}, .aversion = -1}};
    request.set_attr.mask = 128;
    assert_int_equal(check(request), ERR_INVALID);
    request.set_attr.mask = ATTR_MTIME | ATTR_MTIME_NOW;
    assert_int_equal(check(request), ERR_INVALID);
    request.set_attr.mask = ATTR_MODE;
    request.set_attr.mode = 0100644;
    assert_int_equal(check(request), ERR_INVALID);
    char name[300] = "user.";
    memset(name + 5, 'x', sizeof name - 5);
    request = (struct request){.kind = OP_SET_XATTR, .xattr = {.at = {ROOT_ID, {NULL, 0}}, .name = {name, 255}}};
    assert_int_equal(check(request), ERR_OK);
    request.xattr.name.len++;
    assert_int_equal(check(request), ERR_NAME_TOO_LONG);
    request.xattr.name = (struct bytes){"user.a\0", 7};
    assert_int_equal(check(request), ERR_INVALID);
    request.xattr.name.len--;
    request.xattr.flag = (enum xattr_flag)3;
    assert_int_equal(check(request), ERR_INVALID);
}

static void test_renames_and_deletes(void **unused)
{
    (void)unused;
    struct request request = {.kind = OP_RENAME};
    request.rename = (struct op_rename){.from = {ROOT_ID, {"a", 1}}, .to = {ROOT_ID, {"b", 1}}};
    assert_int_equal(check(request), ERR_OK);
    request.rename.flag = (enum rename_flag)3;
    assert_int_equal(check(request), ERR_INVALID);
    request.rename.flag = RENAME_SWAP;
    request.rename.lifetime.ephemeral = true;
    assert_int_equal(check(request), ERR_INVALID);
    request.rename.flag = RENAME_PLAIN;
    request.rename.to.path.len = 0;
    assert_int_equal(check(request), ERR_INVALID);
    request = (struct request){.kind = OP_DELETE, .delete = {.at = {ROOT_ID, {"a", 1}}, .version = -1}};
    request.delete.type = (enum delete_type)3;
    assert_int_equal(check(request), ERR_INVALID);
}

static void test_directories_settings(void **unused)
{
    (void)unused;
    char policy[LIMIT_POLICY_BYTES + 1];
    memset(policy, 'p', sizeof policy);
    struct request request = {.kind = OP_SET_POLICY, .set_policy = {{ROOT_ID, {NULL, 0}}, {policy, sizeof policy}}};
    assert_int_equal(check(request), ERR_TOO_BIG);
    request.set_policy.policy.len--;
    assert_int_equal(check(request), ERR_OK);
    policy[3] = '\0';
    assert_int_equal(check(request), ERR_INVALID);
}

static void test_multi_holds_simple_operations_only(void **unused)
{
    (void)unused;
    static struct request ops[LIMIT_MULTI_OPS + 1];
    static const enum op_kind kinds[] = {
        OP_NOOP,        OP_MULTI,      OP_CREATE_SESSION, OP_CLOSE_SESSION, OP_SET_STATE_VERSION,
        OP_SET_CLUSTER, OP_SET_MEMBER, OP_LOCK,           OP_UNLOCK,        (enum op_kind)99};
    struct request request = {.kind = OP_MULTI, .multi = {ops, 1}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        ops[0] = (struct request){.kind = kinds[i]};
        assert_int_equal(check(request), ERR_INVALID);
    }
    for (size_t i = 0; i <= LIMIT_MULTI_OPS; i++)
        ops[i] = (struct request){.kind = OP_CHECK, .check = {{ROOT_ID, {NULL, 0}}, NO_VERSION_CHECK, false}};
    request.multi.count = LIMIT_MULTI_OPS;
    assert_int_equal(check(request), ERR_OK);
    request.multi.count++;
    assert_int_equal(check(request), ERR_TOO_BIG);
    assert_int_equal(check((struct request){.kind = (enum op_kind)99}), ERR_INVALID);
}

static void test_sessions(void **unused)
{
    (void)unused;
    char host[LIMIT_HOST_BYTES + 1];
    memset(host, 'h', sizeof host);
    struct request request = {.kind = OP_CREATE_SESSION, .create_session = {.timeout_ms = 999}};
    assert_int_equal(check(request), ERR_INVALID);
    request.create_session.timeout_ms = LIMIT_SESSION_TIMEOUT_MAX_MS + 1;
    assert_int_equal(check(request), ERR_INVALID);
    request.create_session.timeout_ms = LIMIT_SESSION_TIMEOUT_MAX_MS;
    request.create_session.host = (struct bytes){host, sizeof host};
    assert_int_equal(check(request), ERR_INVALID);
    request.create_session.host.len--;
    assert_int_equal(check(request), ERR_OK);
    request = (struct request){.kind = OP_CLOSE_SESSION, .close_session = {5, (enum close_reason)0}};
    assert_int_equal(check(request), ERR_INVALID);
    assert_int_equal(check((struct request){.kind = OP_SET_CLUSTER}), ERR_INVALID);
    assert_int_equal(check((struct request){.kind = OP_SET_STATE_VERSION}), ERR_INVALID);
    assert_int_equal(check((struct request){.kind = OP_SET_MEMBER, .set_member = {1, {1}}}), ERR_OK);
    assert_int_equal(check((struct request){.kind = OP_SET_MEMBER, .set_member = {0, {1}}}), ERR_INVALID);
    assert_int_equal(check((struct request){.kind = OP_SET_MEMBER, .set_member = {256, {1}}}), ERR_INVALID);
    assert_int_equal(check((struct request){.kind = OP_SET_MEMBER, .set_member = {1, {0}}}), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_symlink_targets),
        cmocka_unit_test(test_lifetimes),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_attributes_and_xattrs),
        cmocka_unit_test(test_renames_and_deletes),
        cmocka_unit_test(test_directories_settings),
        cmocka_unit_test(test_multi_holds_simple_operations_only),
        cmocka_unit_test(test_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
