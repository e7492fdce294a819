/* Operations on the tree, one story each: what they do, what they report, and every way they are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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

/* --- create --- */

static void test_create_sets_a_whole_stat(void **arg)
{
    struct story *story = *arg;
    story->now_ns = 7;
    struct request request = {.kind = OP_CREATE};
    request.create = (struct op_create){
        .at = story_at("f"), .kind = KIND_FILE, .mode = 04755, .uid = 5, .gid = 6, .data = {"hello", 5}};
    assert_int_equal(story_apply(story, request), ERR_OK);
    struct node_stat stat = story_stat(story, "f"), root = story_stat(story, "");
    uint64_t zxid = story->result.zxid;
    assert_int_equal(stat.id, 2);
    assert_int_equal(story->result.id, 2);
    assert_string_equal(story->result.name, "f");
    assert_int_equal(stat.parent, ROOT_ID);
    assert_true(stat.mode == 04755 && stat.uid == 5 && stat.gid == 6 && stat.size == 5);
    assert_true(stat.czxid == zxid && stat.mzxid == zxid && stat.pzxid == zxid && stat.change_zxid == zxid);
    assert_true(stat.version == 0 && stat.cversion == 0 && stat.aversion == 0);
    assert_true(stat.btime_ns == 7 && stat.mtime_ns == 7 && stat.ctime_ns == 7 && stat.atime_ns == 7);
    assert_true(root.cversion == 1 && root.pzxid == zxid && root.change_zxid == 0 && root.mzxid == 0);
    assert_true(root.mtime_ns == 7 && root.ctime_ns == 7 && root.data_mtime_ns == 0);
    assert_true(root.children == 1 && root.subdirs == 0 && root.subtree_nodes == 2 && root.subtree_bytes == 5);
    assert_string_equal(story_changes(story), "create f");
    assert_int_equal(story->changes.list[0].new_size, 5);
}

static void test_create_is_refused(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(story_make(story, "d", KIND_DIRECTORY), ERR_OK);
    assert_int_equal(story_make(story, "f", KIND_FILE), ERR_OK);
    assert_int_equal(story_make(story, "l", KIND_SYMLINK), ERR_OK);
    assert_int_equal(story_make(story, "d", KIND_DIRECTORY), ERR_EXISTS);
    assert_int_equal(story_make(story, "f", KIND_SYMLINK), ERR_EXISTS);
    assert_int_equal(story_make(story, "no/x", KIND_FILE), ERR_NO_NODE);
    assert_int_equal(story_make(story, "f/x", KIND_FILE), ERR_NOT_DIR);
    assert_int_equal(story_make(story, "f/x/y", KIND_FILE), ERR_NOT_DIR);
    assert_int_equal(story_make(story, "l/x", KIND_FILE), ERR_NOT_DIR); /* symlinks are not followed */
    assert_int_equal(story_make_as(story, "e", KIND_FILE, (struct lifetime){.ephemeral = true}), ERR_NO_SESSION);
    struct request request = {.kind = OP_CREATE, .create = {.at = {77, {"x", 1}}, .kind = KIND_FILE}};
    assert_int_equal(story_apply(story, request), ERR_NO_NODE);
    assert_string_equal(story_list(story, ""), "d f l");
}

static void test_sequence_numbers_never_go_back(void **arg)
{
    struct story *story = *arg;
    struct lifetime seq = {.sequential = true, .sequence_at = 4};
    assert_int_equal(story_make(story, "q", KIND_DIRECTORY), ERR_OK);
    assert_int_equal(story_make_as(story, "q/job--x", KIND_FILE, seq), ERR_OK);
    assert_string_equal(story->result.name, "job-0000000000-x");
    assert_int_equal(story_delete(story, "q/job-0000000000-x"), ERR_OK);
    seq.sequence_at = 0;
    assert_int_equal(story_make_as(story, "q/", KIND_FILE, seq), ERR_OK); /* the number alone */
    assert_string_equal(story->result.name, "0000000001");
    assert_int_equal(story_make_as(story, "q/..", KIND_DIRECTORY, seq), ERR_OK);
    assert_string_equal(story->result.name, "0000000002..");
    assert_int_equal(story_make(story, "q/plain", KIND_FILE), ERR_OK); /* takes no number */
    assert_int_equal(story_make(story, "q/0000000003", KIND_FILE), ERR_OK);
    assert_int_equal(story_make_as(story, "q/", KIND_FILE, seq), ERR_OK); /* 3 is taken: it is passed over */
    assert_string_equal(story->result.name, "0000000004");
    assert_int_equal(story_stat(story, "q").sequence, 5);
    assert_int_equal(story_make_as(story, "q/f", KIND_FILE, (struct lifetime){.sequential = true, .sequence_at = 2}),
                     ERR_INVALID);
}

static void test_names_up_to_255_bytes(void **arg)
{
    struct story *story = *arg;
    char name[300];
    memset(name, 0xff, sizeof name);
    name[255] = '\0';
    assert_int_equal(story_make(story, name, KIND_FILE), ERR_OK);
    name[255] = 'x';
    name[256] = '\0';
    assert_int_equal(story_make(story, name, KIND_FILE), ERR_NAME_TOO_LONG);
    struct lifetime seq = {.sequential = true};
    name[246] = '\0';
    assert_int_equal(story_make_as(story, name, KIND_FILE, seq), ERR_NAME_TOO_LONG);
    name[245] = '\0';
    assert_int_equal(story_make_as(story, name, KIND_FILE, seq), ERR_OK);
    assert_int_equal(story->result.name_len, 255);
    assert_int_equal(story_make(story, "\x01\n\"' \\*", KIND_FILE), ERR_OK); /* any byte but '/' and NUL */
}

static void test_open_existing(void **arg)
{
    struct story *story = *arg;
    struct request request = {.kind = OP_CREATE};
    request.create = (struct op_create){.at = story_at("f"), .kind = KIND_FILE, .mode = 0600, .open_existing = true};
    assert_int_equal(story_apply(story, request), ERR_OK); /* no such name: it creates */
    uint64_t id = story->result.id, digest_of_tree = story_stat(story, "").cversion;
    request.create.mode = 0777;
    assert_int_equal(story_apply(story, request), ERR_OK);
    assert_int_equal(story->result.id, id);
    assert_string_equal(story->result.name, "f");
    assert_int_equal(story->changes.count, 0);
    assert_int_equal(story_stat(story, "f").mode, 0600);
    assert_int_equal(story_stat(story, "").cversion, digest_of_tree);
    story_make(story, "d", KIND_DIRECTORY);
    story_make(story, "l", KIND_SYMLINK);
    request.create.at = story_at("d");
    assert_int_equal(story_apply(story, request), ERR_IS_DIR);
    request.create.at = story_at("l");
    assert_int_equal(story_apply(story, request), ERR_EXISTS);
}

static uint64_t make_below(struct story *story, uint64_t parent, const char *name)
{
    struct entry entry = {.zxid = state_zxid(story->state) + 1, .request = {.kind = OP_CREATE}};
    entry.request.create = (struct op_create){.at = {parent, {name, 1}}, .kind = KIND_DIRECTORY};
    state_apply(story->state, &entry, &story->result, NULL);
    assert_int_equal(story->result.code, ERR_OK);
    return story->result.id;
}

static int move_to(struct story *story, struct where from, struct where to)
{
    return story_apply(story, (struct request){.kind = OP_RENAME, .rename = {.from = from, .to = to}});
}

/* A tower of directories as deep as may be, built of parts so that it does not take all day. */
static void test_depth_is_limited(void **arg)
{
    enum { PART = 64, PARTS = LIMIT_DEPTH / PART };
    struct story *story = *arg;
    uint64_t deepest = ROOT_ID, middle = 0;
    for (int part = 0; part < PARTS; part++) {
        uint64_t bottom = make_below(story, ROOT_ID, "t");
        for (int i = 1; i < PART; i++)
            bottom = make_below(story, bottom, "d");
        assert_int_equal(move_to(story, story_at("t"), (struct where){deepest, {"d", 1}}), ERR_OK);
        deepest = bottom;
        middle = part == PARTS / 2 ? deepest : middle;
    }
    struct request request = {.kind = OP_CREATE};
    request.create = (struct op_create){.at = {deepest, {"d", 1}}, .kind = KIND_FILE};
    assert_int_equal(story_apply(story, request), ERR_NAME_TOO_LONG);
    /* The lower part fits where it was; the whole does not fit one level further down. */
    struct where lower = {middle, {"d", 1}};
    story_make(story, "box", KIND_DIRECTORY);
    assert_int_equal(move_to(story, lower, story_at("box/half")), ERR_OK);
    assert_int_equal(move_to(story, story_at("box/half"), lower), ERR_OK);
    story_make(story, "short", KIND_DIRECTORY);
    assert_int_equal(move_to(story, story_at("d"), story_at("short/d")), ERR_NAME_TOO_LONG);
    /* The box is empty again, and goes wherever an empty directory does. */
    struct node_stat stat;
    node_stat(state_node(story->state, deepest), &stat);
    assert_int_equal(move_to(story, story_at("box"), (struct where){stat.parent, {"box", 3}}), ERR_OK);
}

/* --- delete --- */

static void test_delete(void **arg)
{
    struct story *story = *arg;
    story_make(story, "d", KIND_DIRECTORY);
    story_make(story, "d/f", KIND_FILE);
    uint64_t id = story_stat(story, "d/f").id, czxid = story_stat(story, "d/f").czxid;
    struct request request = {.kind = OP_DELETE, .delete = {.at = story_at("d"), .version = NO_VERSION_CHECK}};
    assert_int_equal(story_apply(story, request), ERR_NOT_EMPTY);
    request.delete.type = DELETE_NOT_DIRECTORY;
    assert_int_equal(story_apply(story, request), ERR_IS_DIR);
    request.delete.at = story_at("d/f");
    request.delete.type = DELETE_DIRECTORY;
    assert_int_equal(story_apply(story, request), ERR_NOT_DIR);
    request.delete.type = DELETE_ANY;
    request.delete.version = 1;
    assert_int_equal(story_apply(story, request), ERR_BAD_VERSION);
    request.delete.version = 0;
    request.delete.expect_id = id + 1;
    assert_int_equal(story_apply(story, request), ERR_NO_NODE);
    request.delete.expect_id = id;
    request.delete.expect_zxid = czxid + 1;
    assert_int_equal(story_apply(story, request), ERR_BAD_VERSION);
    request.delete.expect_zxid = czxid;
    assert_int_equal(story_apply(story, request), ERR_OK);
    assert_int_equal(story->result.id, id);
    assert_string_equal(story_changes(story), "delete #2/f");
    assert_int_equal(story_delete(story, "d/f"), ERR_NO_NODE);
    assert_int_equal(story_delete(story, "d/f/g"), ERR_NO_NODE);
    assert_int_equal(story_delete(story, ""), ERR_BUSY);
    struct node_stat d = story_stat(story, "d");
    assert_true(d.cversion == 2 && d.pzxid == story->result.zxid - 3 && d.children == 0);
    assert_int_equal(story_delete(story, "d"), ERR_OK);
    assert_int_equal(story_make(story, "d", KIND_FILE), ERR_OK);
    assert_true(story->result.id > id); /* never reused */
}

/* --- write --- */

static int edit(struct story *story, const char *path, int64_t version, struct edit one)
{
    return story_apply(story, (struct request){.kind = OP_WRITE, .write = {story_at(path), version, &one, 1}});
}

static void test_write(void **arg)
{
    struct story *story = *arg;
    story_make(story, "f", KIND_FILE);
    story->now_ns = 2000000000;
    assert_int_equal(edit(story, "f", 0, (struct edit){EDIT_PUT, 2, {"cd", 2}}), ERR_OK);
    assert_memory_equal(story_text(story, "f"), "\0\0cd", 4);
    assert_string_equal(story_changes(story), "data f");
    assert_int_equal(story->changes.list[0].new_size, 4);
    assert_int_equal(edit(story, "f", 0, (struct edit){EDIT_APPEND, 0, {"x", 1}}), ERR_BAD_VERSION);
    assert_int_equal(edit(story, "f", 1, (struct edit){EDIT_APPEND, 0, {"ef", 2}}), ERR_OK);
    assert_int_equal(edit(story, "f", 2, (struct edit){EDIT_PUT, 0, {"ab", 2}}), ERR_OK);
    assert_string_equal(story_text(story, "f"), "abcdef");
    assert_int_equal(edit(story, "f", 3, (struct edit){EDIT_TRUNCATE, 3, {NULL, 0}}), ERR_OK);
    assert_string_equal(story_text(story, "f"), "abc");
    struct node_stat f = story_stat(story, "f");
    assert_true(f.version == 4 && f.mzxid == story->result.zxid && f.mtime_ns == 2000000000 && f.czxid < f.mzxid);
    struct request none = {.kind = OP_WRITE, .write = {story_at("f"), 4, NULL, 0}};
    assert_int_equal(story_apply(story, none), ERR_OK); /* only checks the version */
    assert_int_equal(story_stat(story, "f").version, 4);
    assert_int_equal(story->changes.count, 0);
    none.write.version = 3;
    assert_int_equal(story_apply(story, none), ERR_BAD_VERSION);
    assert_int_equal(edit(story, "no", -1, (struct edit){EDIT_APPEND, 0, {"x", 1}}), ERR_NO_NODE);
}

static void test_write_up_to_the_limit(void **arg)
{
    struct story *story = *arg;
    story_make(story, "f", KIND_FILE);
    struct edit all = {EDIT_PUT, 0, {workload_bytes(0), LIMIT_DATA_BYTES}};
    assert_int_equal(edit(story, "f", -1, all), ERR_OK);
    assert_int_equal(story_stat(story, "f").size, LIMIT_DATA_BYTES);
    assert_int_equal(edit(story, "f", -1, (struct edit){EDIT_APPEND, 0, {"x", 1}}), ERR_TOO_BIG);
    assert_int_equal(edit(story, "f", -1, (struct edit){EDIT_PUT, LIMIT_DATA_BYTES, {"x", 1}}), ERR_TOO_BIG);
    assert_int_equal(edit(story, "f", -1, (struct edit){EDIT_TRUNCATE, LIMIT_DATA_BYTES + 1, {NULL, 0}}), ERR_TOO_BIG);
    assert_int_equal(story_stat(story, "f").version, 1);
    assert_int_equal(state_bytes(story->state), LIMIT_DATA_BYTES);
}

static void test_directories_have_data_and_symlinks_a_target(void **arg)
{
    struct story *story = *arg;
    story_make(story, "d", KIND_DIRECTORY);
    story->now_ns = 5000000000;
    assert_int_equal(story_write(story, "d", "own data"), ERR_OK);
    story->now_ns = 6000000000;
    story_make(story, "d/f", KIND_FILE);
    struct node_stat d = story_stat(story, "d");
    assert_true(d.version == 1 && d.size == 8 && d.subtree_bytes == 8 && d.subtree_nodes == 2);
    assert_true(d.mtime_ns == 6000000000 && d.data_mtime_ns == 5000000000);
    story_make(story, "l", KIND_SYMLINK);
    assert_string_equal(story_text(story, "l"), "target");
    assert_int_equal(story_write(story, "l", "x"), ERR_INVALID);
}

/* --- attributes --- */

static int set_attr(struct story *story, const char *path, struct op_set_attr op)
{
    op.at = story_at(path);
    return story_apply(story, (struct request){.kind = OP_SET_ATTR, .set_attr = op});
}

static void test_set_attr(void **arg)
{
    struct story *story = *arg;
    story_make(story, "f", KIND_FILE);
    story->now_ns = 3000000000;
    struct op_set_attr op = {.aversion = 0, .mask = ATTR_MODE | ATTR_UID | ATTR_GID, .mode = 0600, .uid = 7, .gid = 8};
    assert_int_equal(set_attr(story, "f", op), ERR_OK);
    struct node_stat f = story_stat(story, "f");
    assert_true(f.mode == 0600 && f.uid == 7 && f.gid == 8 && f.aversion == 1 && f.version == 0);
    assert_true(f.ctime_ns == 3000000000 && f.mtime_ns == 1000000000 && f.btime_ns == 1000000000);
    assert_true(f.change_zxid == story->result.zxid && f.mzxid == f.czxid);
    assert_string_equal(story_changes(story), "attr f");
    assert_int_equal(set_attr(story, "f", op), ERR_BAD_VERSION);
    op = (struct op_set_attr){.aversion = -1, .mask = ATTR_ATIME | ATTR_MTIME, .atime_ns = -5, .mtime_ns = 9};
    assert_int_equal(set_attr(story, "f", op), ERR_OK);
    f = story_stat(story, "f");
    assert_true(f.atime_ns == -5 && f.mtime_ns == 9);
    op = (struct op_set_attr){.aversion = -1, .mask = ATTR_ATIME_NOW | ATTR_MTIME_NOW};
    assert_int_equal(set_attr(story, "f", op), ERR_OK);
    f = story_stat(story, "f");
    assert_true(f.atime_ns == 3000000000 && f.mtime_ns == 3000000000 && f.aversion == 3);
    op.mask = 0;
    assert_int_equal(set_attr(story, "f", op), ERR_OK);
    assert_int_equal(story->changes.count, 0);
    assert_int_equal(set_attr(story, "no", op), ERR_NO_NODE);
}

/* --- xattrs --- */

static int set_xattr(struct story *story, const char *path, const char *name, size_t len, enum xattr_flag flag)
{
    struct op_xattr op = {story_at(path), {name, strlen(name)}, {workload_bytes(0), len}, flag};
    return story_apply(story, (struct request){.kind = OP_SET_XATTR, .xattr = op});
}

static int remove_xattr(struct story *story, const char *path, const char *name)
{
    struct op_xattr op = {.at = story_at(path), .name = {name, strlen(name)}};
    return story_apply(story, (struct request){.kind = OP_REMOVE_XATTR, .xattr = op});
}

static void test_xattrs(void **arg)
{
    struct story *story = *arg;
    struct bytes name, value;
    int code;
    story_make(story, "f", KIND_FILE);
    story_make(story, "l", KIND_SYMLINK);
    assert_int_equal(set_xattr(story, "f", "user.a", 3, XATTR_MUST_REPLACE), ERR_NO_XATTR);
    assert_int_equal(set_xattr(story, "f", "user.a", 3, XATTR_MUST_CREATE), ERR_OK);
    assert_int_equal(set_xattr(story, "f", "user.a", 3, XATTR_MUST_CREATE), ERR_EXISTS);
    assert_int_equal(set_xattr(story, "f", "user.b", 0, XATTR_ANY), ERR_OK);
    assert_int_equal(set_xattr(story, "f", "user.a", 5, XATTR_MUST_REPLACE), ERR_OK);
    assert_string_equal(story_changes(story), "attr f");
    assert_int_equal(story_stat(story, "f").change_zxid, story->result.zxid);
    const struct node *f = state_find(story->state, story_at("f"), &code);
    assert_true(node_xattr(f, (struct bytes){"user.a", 6}, &value) && value.len == 5);
    assert_true(node_xattr_at(f, 0, &name, &value) && name.len == 6 && memcmp(name.at, "user.b", 6) == 0);
    assert_true(node_xattr_at(f, 1, &name, &value) && !node_xattr_at(f, 2, &name, &value));
    assert_int_equal(set_xattr(story, "f", "user.c", LIMIT_XATTRS_BYTES - 6 - 11 - 6 + 1, XATTR_ANY), ERR_XATTR_SPACE);
    assert_int_equal(set_xattr(story, "f", "user.c", LIMIT_XATTRS_BYTES - 6 - 11 - 6, XATTR_ANY), ERR_OK);
    assert_int_equal(set_xattr(story, "f", "user.d", 0, XATTR_ANY), ERR_XATTR_SPACE);
    assert_int_equal(remove_xattr(story, "f", "user.c"), ERR_OK);
    assert_int_equal(remove_xattr(story, "f", "user.c"), ERR_NO_XATTR);
    assert_int_equal(set_xattr(story, "", "user.root", 3, XATTR_ANY), ERR_OK); /* directories too */
    assert_int_equal(set_xattr(story, "l", "user.a", 3, XATTR_ANY), ERR_NOT_PERMITTED);
    assert_int_equal(set_xattr(story, "f", "user.pact.version", 3, XATTR_ANY), ERR_NOT_PERMITTED);
    assert_int_equal(set_xattr(story, "f", "security.x", 3, XATTR_ANY), ERR_NOT_SUPPORTED);
    assert_int_equal(set_xattr(story, "f", "user.", 3, XATTR_ANY), ERR_INVALID);
}

/* --- policy, quota, check --- */

static void test_nested_quotas(void **arg)
{
    struct story *story = *arg;
    story_make(story, "a", KIND_DIRECTORY);
    story_make(story, "a/b", KIND_DIRECTORY);
    story_make(story, "out", KIND_DIRECTORY);
    story_make(story, "out/big", KIND_FILE);
    story_write(story, "out/big", "1234567890");
    assert_int_equal(story_quota(story, "a", 12, 3), ERR_OK); /* b and two more */
    assert_string_equal(story_changes(story), "meta a");
    assert_int_equal(story_make(story, "a/b/f", KIND_FILE), ERR_OK);
    assert_int_equal(story_write(story, "a/b/f", "12345678"), ERR_OK);
    assert_int_equal(story_write(story, "a/b/f", "1234567890123"), ERR_QUOTA);
    assert_int_equal(story_write(story, "a", "its own data does not count"), ERR_OK);
    assert_int_equal(story_rename(story, "out/big", "a/big"), ERR_QUOTA); /* bytes */
    assert_int_equal(story_rename(story, "out/big", "a/b/f"), ERR_OK);    /* 10 for 8 */
    assert_int_equal(story_make(story, "a/g", KIND_FILE), ERR_OK);
    assert_int_equal(story_make(story, "a/h", KIND_FILE), ERR_QUOTA); /* nodes */
    assert_int_equal(story_quota(story, "a", 5, 1), ERR_OK);          /* below what is used: it stops growth alone */
    assert_int_equal(story_rename(story, "a/g", "a/b/g"), ERR_OK);    /* within */
    assert_int_equal(story_write(story, "a/b/f", "123456789"), ERR_OK);
    assert_int_equal(story_write(story, "a/b/f", "1234567890"), ERR_QUOTA);
    story_version(story, STATE_VERSION);
    assert_int_equal(story_quota(story, "a", 8, 0), ERR_QUOTA); /* from version 3 on it is refused */
    assert_int_equal(story_quota(story, "a", 0, 2), ERR_QUOTA);
    assert_int_equal(story_quota(story, "a", 9, 3), ERR_OK);
    assert_int_equal(story_quota(story, "a/b", 0, 0), ERR_OK);
    assert_int_equal(story_quota(story, "a", 0, 0), ERR_OK);
    assert_int_equal(story_make(story, "a/h", KIND_FILE), ERR_OK);
    assert_int_equal(story_quota(story, "a/h", 1, 1), ERR_NOT_DIR);
}

static void test_policy(void **arg)
{
    struct story *story = *arg;
    struct request request = {.kind = OP_SET_POLICY, .set_policy = {story_at("d"), {"{owner}", 7}}};
    int code;
    assert_int_equal(story_apply(story, request), ERR_NO_NODE);
    story_make(story, "d", KIND_DIRECTORY);
    story_make(story, "f", KIND_FILE);
    assert_int_equal(story_apply(story, request), ERR_OK);
    assert_string_equal(story_changes(story), "meta d");
    assert_string_equal(node_policy(state_find(story->state, story_at("d"), &code)).at, "{owner}");
    request.set_policy.policy.len = 0;
    assert_int_equal(story_apply(story, request), ERR_OK);
    assert_int_equal(node_policy(state_find(story->state, story_at("d"), &code)).len, 0);
    request.set_policy.at = story_at("f");
    assert_int_equal(story_apply(story, request), ERR_NOT_DIR);
}

static int check(struct story *story, const char *path, int64_t version, bool must_not_exist)
{
    return story_apply(story, (struct request){.kind = OP_CHECK, .check = {story_at(path), version, must_not_exist}});
}

static void test_check(void **arg)
{
    struct story *story = *arg;
    story_make(story, "f", KIND_FILE);
    assert_int_equal(check(story, "f", NO_VERSION_CHECK, false), ERR_OK);
    assert_int_equal(check(story, "f", 0, false), ERR_OK);
    assert_int_equal(check(story, "f", 1, false), ERR_BAD_VERSION);
    assert_int_equal(check(story, "g", NO_VERSION_CHECK, false), ERR_NO_NODE);
    assert_int_equal(check(story, "g", NO_VERSION_CHECK, true), ERR_OK);
    assert_int_equal(check(story, "f", NO_VERSION_CHECK, true), ERR_EXISTS);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_create_sets_a_whole_stat),
        STORY(test_create_is_refused),
        STORY(test_sequence_numbers_never_go_back),
        STORY(test_names_up_to_255_bytes),
        STORY(test_open_existing),
        STORY(test_depth_is_limited),
        STORY(test_delete),
        STORY(test_write),
        STORY(test_write_up_to_the_limit),
        STORY(test_directories_have_data_and_symlinks_a_target),
        STORY(test_set_attr),
        STORY(test_xattrs),
        STORY(test_nested_quotas),
        STORY(test_policy),
        STORY(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
