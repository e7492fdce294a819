/* Moves and multis: rename as POSIX has it, exchange, renames onto tokens, and what is all or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/state_story.h"
#include "tests/support/state_workload.h"

static int begin(void **story)
{
    *story = story_new();
    return 0;
}

static int end(void **story)
{
    story_free(*story);
    return 0;
}

/* --- rename --- */

static int rename_as(struct story *story, const char *from, const char *to, enum rename_flag flag)
{
    struct op_rename op = {.from = story_at(from), .to = story_at(to), .flag = flag};
    return story_apply(story, (struct request){.kind = OP_RENAME, .rename = op});
}

static void test_rename_moves_a_subtree(void **arg)
{
    struct story *story = *arg;
    story_make(story, "a", KIND_DIRECTORY);
    story_make(story, "a/b", KIND_DIRECTORY);
    story_make(story, "a/b/f", KIND_FILE);
    story_write(story, "a/b/f", "12345");
    story_make(story, "z", KIND_DIRECTORY);
    uint64_t id = story_stat(story, "a/b").id;
    story->now_ns = 9000000000;
    assert_int_equal(story_rename(story, "a/b", "z/c"), ERR_OK);
    assert_int_equal(story->result.id, id);
    assert_string_equal(story->result.name, "c");
    assert_string_equal(story_changes(story), "rename #2/b > #5/c");
    assert_string_equal(story_text(story, "z/c/f"), "12345");
    struct node_stat a = story_stat(story, "a"), z = story_stat(story, "z"), c = story_stat(story, "z/c");
    assert_true(a.subtree_nodes == 1 && a.subtree_bytes == 0 && a.children == 0 && a.subdirs == 0);
    assert_true(z.subtree_nodes == 3 && z.subtree_bytes == 5 && z.children == 1 && z.subdirs == 1);
    assert_true(a.cversion == 2 && z.cversion == 1 && a.pzxid == z.pzxid && z.pzxid == story->result.zxid);
    assert_true(a.mtime_ns == 9000000000 && z.mtime_ns == 9000000000 && c.ctime_ns == 9000000000);
    assert_true(c.mtime_ns == 1000000000 && c.change_zxid == story->result.zxid && c.mzxid < c.change_zxid);
}

static void test_rename_replaces_like_posix(void **arg)
{
    struct story *story = *arg;
    story_make(story, "f", KIND_FILE);
    story_make(story, "g", KIND_FILE);
    story_make(story, "l", KIND_SYMLINK);
    story_make(story, "d", KIND_DIRECTORY);
    story_make(story, "e", KIND_DIRECTORY);
    story_make(story, "full", KIND_DIRECTORY);
    story_make(story, "full/x", KIND_FILE);
    assert_int_equal(story_rename(story, "f", "d"), ERR_IS_DIR);
    assert_int_equal(story_rename(story, "d", "f"), ERR_NOT_DIR);
    assert_int_equal(story_rename(story, "d", "full"), ERR_NOT_EMPTY);
    assert_int_equal(story_rename(story, "full/x", "full"), ERR_IS_DIR);
    assert_int_equal(rename_as(story, "f", "g", RENAME_NO_REPLACE), ERR_EXISTS);
    assert_int_equal(rename_as(story, "f", "f", RENAME_NO_REPLACE), ERR_EXISTS);
    assert_int_equal(story_rename(story, "f", "g"), ERR_OK);
    assert_string_equal(story_changes(story), "delete g replaced, rename f > g");
    assert_int_equal(story_rename(story, "g", "l"), ERR_OK); /* a symlink is replaced, not followed */
    assert_int_equal(story_rename(story, "d", "e"), ERR_OK);
    assert_string_equal(story_changes(story), "delete e replaced, rename d > e");
    assert_string_equal(story_list(story, ""), "full l e");
    uint32_t cversion = story_stat(story, "").cversion;
    assert_int_equal(story_rename(story, "l", "l"), ERR_OK); /* onto itself: nothing */
    assert_int_equal(story->changes.count, 0);
    assert_int_equal(story_stat(story, "").cversion, cversion);
    assert_int_equal(rename_as(story, "l", "m", RENAME_NO_REPLACE), ERR_OK);
}

static void test_rename_is_refused(void **arg)
{
    struct story *story = *arg;
    story_make(story, "a", KIND_DIRECTORY);
    story_make(story, "a/b", KIND_DIRECTORY);
    story_make(story, "f", KIND_FILE);
    assert_int_equal(story_rename(story, "a", "a/b/c"), ERR_INVALID); /* into itself */
    assert_int_equal(story_rename(story, "a", "a/x"), ERR_INVALID);
    assert_int_equal(story_rename(story, "a/b", "a"), ERR_NOT_EMPTY);
    assert_int_equal(story_rename(story, "", "x"), ERR_BUSY);
    assert_int_equal(story_rename(story, "no", "x"), ERR_NO_NODE);
    assert_int_equal(story_rename(story, "a", "no/x"), ERR_NO_NODE);
    assert_int_equal(story_rename(story, "a", "f/x"), ERR_NOT_DIR);
    struct request request = {.kind = OP_RENAME};
    request.rename = (struct op_rename){.from = story_at("a"), .to = story_at("x"), .expect_from_id = 99};
    assert_int_equal(story_apply(story, request), ERR_NO_NODE);
    assert_string_equal(story_list(story, ""), "a f");
}

static void test_exchange(void **arg)
{
    struct story *story = *arg;
    story_make(story, "a", KIND_DIRECTORY);
    story_make(story, "a/x", KIND_FILE);
    story_make(story, "f", KIND_FILE);
    uint64_t file = story_stat(story, "f").id;
    assert_int_equal(rename_as(story, "a", "f", RENAME_SWAP), ERR_OK); /* kinds may differ */
    assert_string_equal(story_changes(story), "rename a > f exchange, rename f > a exchange");
    assert_int_equal(story_stat(story, "a").id, file);
    assert_int_equal(rename_as(story, "a", "f/x", RENAME_SWAP), ERR_OK); /* across directories */
    assert_int_equal(story_stat(story, "f/x").id, file);
    assert_int_equal(rename_as(story, "f", "f/x", RENAME_SWAP), ERR_INVALID);
    assert_int_equal(rename_as(story, "f/x", "f", RENAME_SWAP), ERR_INVALID);
    assert_int_equal(rename_as(story, "f", "no", RENAME_SWAP), ERR_NO_NODE);
    assert_int_equal(rename_as(story, "f", "", RENAME_SWAP), ERR_BUSY);
    assert_int_equal(rename_as(story, "f", "f", RENAME_SWAP), ERR_OK);
    assert_int_equal(story->changes.count, 0);
}

static void test_rename_onto_tokens(void **arg)
{
    struct story *story = *arg;
    uint64_t session = story_session(story, 1);
    story_make(story, "tmp", KIND_FILE);
    story_make(story, "m", KIND_DIRECTORY);
    struct request request = {.kind = OP_RENAME};
    request.rename = (struct op_rename){.from = story_at("tmp"), .to = story_at("m/web-")};
    request.rename.lifetime = (struct lifetime){.sequential = true, .sequence_at = 4, .ephemeral = true, .ttl_ms = 50};
    assert_int_equal(story_apply(story, request), ERR_OK);
    assert_string_equal(story->result.name, "web-0000000000");
    struct node_stat stat = story_stat(story, "m/web-0000000000");
    assert_true(stat.ephemeral_owner == session && stat.ttl_ms == 50 && stat.ttl_from_ns == story->now_ns);
    assert_int_equal(story_rename(story, "m/web-0000000000", "web"), ERR_OK); /* it stays what it is */
    assert_int_equal(story_stat(story, "web").ephemeral_owner, session);
    request.rename = (struct op_rename){.from = story_at("m"), .to = story_at("m")};
    request.rename.lifetime = (struct lifetime){.container = true};
    assert_int_equal(story_apply(story, request), ERR_OK); /* onto its own name, with a token */
    assert_true(story_stat(story, "m").container);
    assert_string_equal(story_changes(story), "attr m");
    story_make(story, "m/x", KIND_FILE);
    request.rename.lifetime = (struct lifetime){.ephemeral = true};
    assert_int_equal(story_apply(story, request), ERR_INVALID); /* a container */
    story_make(story, "n", KIND_DIRECTORY);
    story_make(story, "n/x", KIND_FILE);
    request.rename.from = request.rename.to = story_at("n");
    assert_int_equal(story_apply(story, request), ERR_EPHEMERAL_PARENT);
    request.rename.from = request.rename.to = story_at("n/x");
    request.rename.lifetime = (struct lifetime){.container = true};
    assert_int_equal(story_apply(story, request), ERR_INVALID); /* a file */
}

static void test_exchange_and_quota(void **arg)
{
    struct story *story = *arg;
    story_make(story, "a", KIND_DIRECTORY);
    story_make(story, "a/small", KIND_FILE);
    story_make(story, "big", KIND_FILE);
    story_write(story, "big", "12345");
    story_quota(story, "a", 4, 0);
    assert_int_equal(rename_as(story, "big", "a/small", RENAME_SWAP), ERR_QUOTA);
    assert_int_equal(rename_as(story, "a/small", "big", RENAME_SWAP), ERR_QUOTA);
    story_quota(story, "a", 5, 1);
    assert_int_equal(rename_as(story, "a/small", "big", RENAME_SWAP), ERR_OK);
    assert_int_equal(story_stat(story, "a").subtree_bytes, 5);
}

/* --- multi --- */

static void test_multi_is_all_or_nothing(void **arg)
{
    struct story *story = *arg;
    struct edit edit_x = {EDIT_APPEND, 0, {"x", 1}};
    struct request ops[4] = {
        {.kind = OP_CREATE, .create = {.at = story_at("d"), .kind = KIND_DIRECTORY}},
        {.kind = OP_CREATE, .create = {.at = story_at("d/f"), .kind = KIND_FILE}},
        {.kind = OP_WRITE, .write = {story_at("d/f"), 0, &edit_x, 1}},
        {.kind = OP_CHECK, .check = {story_at("guard"), NO_VERSION_CHECK, true}},
    };
    struct request multi = {.kind = OP_MULTI, .multi = {ops, 4}};
    story_make(story, "guard", KIND_FILE);
    assert_int_equal(story_apply(story, multi), ERR_EXISTS);
    assert_int_equal(story->result.failed, 3);
    assert_int_equal(story->result.id, 0);
    assert_string_equal(story_list(story, ""), "guard");
    assert_int_equal(story_delete(story, "guard"), ERR_OK);
    assert_int_equal(story_apply(story, multi), ERR_OK);
    assert_string_equal(story_changes(story), "create d, create #3/f, data #3/f"); /* no id was lost */
    assert_string_equal(story_text(story, "d/f"), "x");
    ops[1].create.at = story_at("a//b");
    assert_int_equal(story_apply(story, multi), ERR_INVALID); /* malformed: also told by its index */
    assert_int_equal(story->result.failed, 1);
    multi.multi.count = 0;
    assert_int_equal(story_apply(story, multi), ERR_OK);
}

/* The order of siblings, too, is as before after a multi that moved them about. */
static void test_multi_undoes_moves(void **arg)
{
    struct story *story = *arg;
    const char *const names[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        story_make(story, names[i], KIND_DIRECTORY);
    char *before = state_dump(story->state, true);
    struct request ops[] = {
        {.kind = OP_RENAME, .rename = {.from = story_at("b"), .to = story_at("d/b")}},
        {.kind = OP_DELETE, .delete = {.at = story_at("a"), .version = NO_VERSION_CHECK}},
        {.kind = OP_RENAME, .rename = {.from = story_at("c"), .to = story_at("a very long name for a directory")}},
        {.kind = OP_RENAME, .rename = {.from = story_at("d/b"), .to = story_at("c")}},
        {.kind = OP_DELETE, .delete = {.at = story_at("nothing"), .version = NO_VERSION_CHECK}},
    };
    assert_int_equal(story_apply(story, (struct request){.kind = OP_MULTI, .multi = {ops, 5}}), ERR_NO_NODE);
    char *after = state_dump(story->state, true);
    assert_string_equal(before, after);
    free(before);
    free(after);
    assert_int_equal(story_apply(story, (struct request){.kind = OP_MULTI, .multi = {ops, 4}}), ERR_OK);
    assert_string_equal(story_list(story, ""), "d a very long name for a directory c");
}

/* A znode made and removed, or replaced twice, within one multi. */
static void test_multi_on_its_own_znodes(void **arg)
{
    struct story *story = *arg;
    struct request ops[] = {
        {.kind = OP_CREATE, .create = {.at = story_at("a"), .kind = KIND_FILE, .data = {"a", 1}}},
        {.kind = OP_CREATE, .create = {.at = story_at("b"), .kind = KIND_FILE, .data = {"bb", 2}}},
        {.kind = OP_RENAME, .rename = {.from = story_at("a"), .to = story_at("b")}},
        {.kind = OP_DELETE, .delete = {.at = story_at("b"), .version = NO_VERSION_CHECK}},
        {.kind = OP_CREATE, .create = {.at = story_at("b"), .kind = KIND_DIRECTORY}},
        {.kind = OP_CHECK, .check = {.at = story_at("b"), .version = 1}},
    };
    assert_int_equal(story_apply(story, (struct request){.kind = OP_MULTI, .multi = {ops, 6}}), ERR_BAD_VERSION);
    assert_string_equal(story_list(story, ""), "");
    assert_int_equal(story_apply(story, (struct request){.kind = OP_MULTI, .multi = {ops, 5}}), ERR_OK);
    assert_string_equal(story_list(story, ""), "b");
    assert_int_equal(state_nodes(story->state), 2);
    assert_int_equal(state_bytes(story->state), 0);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_rename_moves_a_subtree),  STORY(test_rename_replaces_like_posix),
        STORY(test_rename_is_refused),       STORY(test_exchange),
        STORY(test_rename_onto_tokens),      STORY(test_exchange_and_quota),
        STORY(test_multi_is_all_or_nothing), STORY(test_multi_undoes_moves),
        STORY(test_multi_on_its_own_znodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
