#include "tests/support/state_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct story *story_new(void)
{
    struct story *story = calloc(1, sizeof *story);
    assert_non_null(story);
    story->state = state_new();
    story->now_ns = 1000000000;
    return story;
}

void story_free(struct story *story)
{
    state_free(story->state);
    changes_free(&story->changes);
    free(story);
}

int story_apply(struct story *story, struct request request)
{
    struct session_info info = {0};
    state_session(story->state, story->session, &info);
    struct entry entry = {.zxid = state_zxid(story->state) + 1, .stamp_ns = story->now_ns, .session = story->session};
    entry.number = story->session == 0 ? 0 : info.last_number + 1;
    entry.awaited = entry.number;
    entry.request = request;
    state_apply(story->state, &entry, &story->result, &story->changes);
    const char *wrong = state_check(story->state);
    if (wrong != NULL)
        fail_msg("%s", wrong);
    assert_false(story->result.none);
    assert_int_equal(story->result.zxid, entry.zxid);
    bool done = story->result.code == ERR_OK || story->result.code == ERR_LOCK_WAITS;
    assert_true(done || story->changes.count == 0);
    return story->result.code;
}

void story_version(struct story *story, uint32_t version)
{
    uint64_t session = story->session;
    story->session = 0;
    assert_int_equal(story_apply(story, (struct request){.kind = OP_SET_STATE_VERSION, .state_version = version}),
                     ERR_OK);
    story->session = session;
}

uint64_t story_session(struct story *story, uint8_t nonce)
{
    struct request request = {.kind = OP_CREATE_SESSION};
    request.create_session = (struct op_create_session){.nonce = {nonce}, .timeout_ms = 10000, .host = {"host", 4}};
    story->session = 0;
    assert_int_equal(story_apply(story, request), ERR_OK);
    return story->session = story->result.id;
}

int story_close(struct story *story, uint64_t session)
{
    uint64_t before = story->session;
    story->session = 0;
    int code =
        story_apply(story, (struct request){.kind = OP_CLOSE_SESSION, .close_session = {session, CLOSE_EXPIRED}});
    story->session = before == session ? 0 : before;
    return code;
}

struct where story_at(const char *path)
{
    return (struct where){ROOT_ID, {path, strlen(path)}};
}

int story_make(struct story *story, const char *path, enum node_kind kind)
{
    return story_make_as(story, path, kind, (struct lifetime){0});
}

int story_make_as(struct story *story, const char *path, enum node_kind kind, struct lifetime lifetime)
{
    struct request request = {.kind = OP_CREATE};
    request.create = (struct op_create){.at = story_at(path), .kind = kind, .mode = 0644, .lifetime = lifetime};
    if (kind == KIND_SYMLINK)
        request.create.data = (struct bytes){"target", 6};
    return story_apply(story, request);
}

int story_write(struct story *story, const char *path, const char *text)
{
    struct edit edits[] = {{.kind = EDIT_TRUNCATE}, {.kind = EDIT_PUT, .data = {text, strlen(text)}}};
    struct request request = {.kind = OP_WRITE, .write = {story_at(path), NO_VERSION_CHECK, edits, 2}};
    return story_apply(story, request);
}

int story_delete(struct story *story, const char *path)
{
    struct op_delete op = {.at = story_at(path), .version = NO_VERSION_CHECK};
    return story_apply(story, (struct request){.kind = OP_DELETE, .delete = op});
}

int story_rename(struct story *story, const char *from, const char *to)
{
    struct op_rename op = {.from = story_at(from), .to = story_at(to)};
    return story_apply(story, (struct request){.kind = OP_RENAME, .rename = op});
}

int story_quota(struct story *story, const char *path, uint64_t max_bytes, uint64_t max_nodes)
{
    struct op_set_quota op = {story_at(path), max_bytes, max_nodes};
    return story_apply(story, (struct request){.kind = OP_SET_QUOTA, .set_quota = op});
}

struct node_stat story_stat(const struct story *story, const char *path)
{
    int code;
    struct node_stat stat = {0};
    const struct node *node = state_find(story->state, story_at(path), &code);
    if (node != NULL)
        node_stat(node, &stat);
    return stat;
}

const char *story_list(const struct story *story, const char *path)
{
    static char list[4096];
    int code;
    const struct node *node = state_find(story->state, story_at(path), &code);
    assert_non_null(node);
    list[0] = '\0';
    for (const struct node *child = node_first_child(node); child != NULL; child = node_next_sibling(child)) {
        strcat(list, list[0] == '\0' ? "" : " ");
        strcat(list, node_name(child).at);
    }
    return list;
}

const char *story_text(const struct story *story, const char *path)
{
    static char text[4096];
    int code;
    const struct node *node = state_find(story->state, story_at(path), &code);
    assert_non_null(node);
    text[data_read(node_data(node), 0, text, sizeof text - 1)] = '\0';
    return text;
}

/* Where a change's parent is, as a path prefix: only one level below the root is told by its id. */
static void tell_parent(char *to, uint64_t parent)
{
    if (parent > ROOT_ID)
        sprintf(to + strlen(to), "#%d/", (int)parent);
}

const char *story_changes(const struct story *story)
{
    static const char *const kinds[] = {"",     "create", "delete", "rename", "data",
                                        "attr", "open",   "close",  "meta",   "lock"};
    static char text[4096];
    text[0] = '\0';
    for (size_t i = 0; i < story->changes.count; i++) {
        const struct change *change = &story->changes.list[i];
        sprintf(text + strlen(text), "%s%s ", i == 0 ? "" : ", ", kinds[change->kind]);
        tell_parent(text, change->parent);
        strcat(text, change->name);
        if (change->kind == CHANGE_RENAME) {
            strcat(text, " > ");
            tell_parent(text, change->to_parent);
            strcat(text, change->to_name);
        }
        strcat(text, change->replaced ? " replaced" : "");
        strcat(text, change->exchange ? " exchange" : "");
        strcat(text, change->unborn ? " unborn" : "");
        strcat(text, change->birth ? " birth" : "");
        if (change->lock != 0)
            sprintf(text + strlen(text), "%d of %d", (int)change->lock, (int)change->lock_session);
    }
    return text;
}
