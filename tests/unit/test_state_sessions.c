/* Sessions and what goes with them: exactly-once numbers, kept results, ephemerals, unborn files; and what becomes due
 * by itself, TTLs and containers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/state_story.h"

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

/* --- sessions --- */

static int open_session(struct story *story, uint8_t nonce, uint8_t secret, uint32_t timeout_ms)
{
    struct request request = {.kind = OP_CREATE_SESSION};
    struct op_create_session *op = &request.create_session;
    *op = (struct op_create_session){.nonce = {nonce}, .secret_hash = {secret}, .timeout_ms = timeout_ms};
    op->host = (struct bytes){"web1", 4};
    op->pid = 42;
    return story_apply(story, request);
}

static void test_a_session_is_made_once_for_a_nonce(void **arg)
{
    struct story *story = *arg;
    struct session_info info;
    assert_int_equal(open_session(story, 7, 1, 5000), ERR_OK);
    uint64_t id = story->result.id;
    assert_string_equal(story_changes(story), "open ");
    assert_int_equal(open_session(story, 7, 1, 9000), ERR_OK); /* the same again, as it was */
    assert_int_equal(story->result.id, id);
    assert_int_equal(story->changes.count, 0);
    assert_int_equal(open_session(story, 7, 2, 5000), ERR_ACCESS); /* another's secret */
    assert_int_equal(open_session(story, 8, 1, 5000), ERR_OK);
    assert_true(story->result.id > id);
    assert_true(state_session(story->state, id, &info) && info.timeout_ms == 5000 && info.pid == 42);
    assert_string_equal(info.host, "web1");
    assert_true(info.opened_ns == story->now_ns && info.secret_hash[0] == 1 && info.nonce[0] == 7);
    uint8_t nonce[SESSION_NONCE_BYTES] = {8};
    assert_true(state_session_by_nonce(story->state, nonce, &info) && info.id > id);
    uint64_t each = 0;
    assert_true(state_next_session(story->state, &each, &info) && each == id);
    assert_true(state_next_session(story->state, &each, &info) && each > id);
    assert_false(state_next_session(story->state, &each, &info));
    assert_int_equal(story_close(story, id), ERR_OK);
    assert_string_equal(story_changes(story), "close ");
    assert_int_equal(story_close(story, id), ERR_NO_SESSION);
    assert_int_equal(open_session(story, 7, 1, 5000), ERR_OK);
    assert_int_equal(story->result.id, id + 2); /* never reused */
}

static void test_sessions_are_limited(void **arg)
{
    struct story *story = *arg;
    struct entry entry = {.request = {.kind = OP_CREATE_SESSION}};
    struct op_create_session *op = &entry.request.create_session;
    for (uint32_t i = 0; i <= LIMIT_SESSIONS; i++) {
        entry.zxid = state_zxid(story->state) + 1;
        op->timeout_ms = LIMIT_SESSION_TIMEOUT_MIN_MS;
        memcpy(op->nonce, &i, sizeof i);
        state_apply(story->state, &entry, &story->result, NULL);
        assert_int_equal(story->result.code, i < LIMIT_SESSIONS ? ERR_OK : ERR_TOO_MANY);
    }
    assert_int_equal(story_close(story, 17), ERR_OK);
    assert_int_equal(open_session(story, 16, 1, 5000), ERR_OK); /* the nonce of the one that went */
}

static void test_what_is_the_replicas_own(void **arg)
{
    struct story *story = *arg;
    uint64_t first = story_session(story, 1), second = story_session(story, 2);
    struct request request = {.kind = OP_CLOSE_SESSION, .close_session = {first, CLOSE_BY_OWNER}};
    assert_int_equal(story_apply(story, request), ERR_NOT_PERMITTED);
    assert_int_equal(story_apply(story, (struct request){.kind = OP_SET_STATE_VERSION, .state_version = STATE_VERSION}),
                     ERR_NOT_PERMITTED);
    assert_int_equal(story_apply(story, (struct request){.kind = OP_SET_CLUSTER, .set_cluster = {{1}}}),
                     ERR_NOT_PERMITTED);
    request.close_session.session = second;
    assert_int_equal(story_apply(story, request), ERR_OK); /* its own, and no window is left to note it */
    struct session_info info;
    assert_false(state_session(story->state, second, &info));
}

static void test_cluster_and_state_version(void **arg)
{
    struct story *story = *arg;
    struct request request = {.kind = OP_SET_CLUSTER, .set_cluster = {{1, 2, 3}}};
    assert_int_equal(state_cluster(story->state)[0], 0);
    assert_int_equal(story_apply(story, request), ERR_OK);
    assert_int_equal(state_cluster(story->state)[2], 3);
    request = (struct request){.kind = OP_SET_STATE_VERSION, .state_version = STATE_VERSION};
    assert_int_equal(story_apply(story, request), ERR_OK);
    assert_int_equal(state_version(story->state), STATE_VERSION);
    request.state_version = STATE_VERSION + 1;
    assert_int_equal(story_apply(story, request), ERR_BAD_FORMAT);
    assert_int_equal(state_version(story->state), STATE_VERSION);
}

/* --- exactly once --- */

static struct result numbered(struct story *story, uint64_t session, uint64_t number, uint64_t awaited,
                              const char *name)
{
    struct entry entry = {.zxid = state_zxid(story->state) + 1, .stamp_ns = 5, .session = session};
    entry.number = number;
    entry.awaited = awaited;
    entry.request.kind = OP_CREATE;
    entry.request.create = (struct op_create){.at = story_at(name), .kind = KIND_FILE};
    struct result result;
    state_apply(story->state, &entry, &result, &story->changes);
    assert_null(state_check(story->state));
    assert_int_equal(state_zxid(story->state), entry.zxid);
    return result;
}

static void test_numbers_come_one_after_the_other(void **arg)
{
    struct story *story = *arg;
    uint64_t session = story_session(story, 1);
    assert_true(numbered(story, session, 2, 1, "gap").none);
    assert_int_equal(numbered(story, session, 1, 1, "a").code, ERR_OK);
    struct result first;
    assert_true(state_result(story->state, session, 1, &first));
    struct result again = numbered(story, session, 1, 1, "b"); /* a duplicate, though it asks for something else */
    assert_true(again.none && again.code == ERR_OK && again.id == 0);
    assert_int_equal(story->changes.count, 0);
    assert_true(numbered(story, session, 0, 1, "zero").none);
    assert_int_equal(numbered(story, session, 2, 1, "a").code, ERR_EXISTS); /* a refusal takes its number as well */
    assert_int_equal(numbered(story, session, 3, 1, "c").code, ERR_OK);
    assert_string_equal(story_list(story, ""), "a c");
    struct result unknown = numbered(story, 99, 1, 1, "d");
    assert_true(!unknown.none && unknown.code == ERR_NO_SESSION);
}

static void test_results_are_kept_while_awaited(void **arg)
{
    struct story *story = *arg;
    uint64_t session = story_session(story, 1);
    struct result kept;
    numbered(story, session, 1, 1, "a long name of the first result");
    numbered(story, session, 2, 1, "a long name of the first result");
    assert_true(state_result(story->state, session, 1, &kept));
    assert_true(kept.code == ERR_OK && kept.id == 2 && kept.zxid == state_zxid(story->state) - 1);
    assert_string_equal(kept.name, "a long name of the first result");
    assert_true(state_result(story->state, session, 2, &kept) && kept.code == ERR_EXISTS && kept.id == 0);
    assert_false(state_result(story->state, session, 3, &kept));
    numbered(story, session, 3, 2, "b");
    assert_false(state_result(story->state, session, 1, &kept));
    assert_true(state_result(story->state, session, 2, &kept));
    numbered(story, session, 4, 999, "c"); /* nothing older is awaited; its own result is kept all the same */
    assert_false(state_result(story->state, session, 3, &kept));
    assert_true(state_result(story->state, session, 4, &kept));
    for (uint64_t number = 5; number < 5 + 2 * LIMIT_RESULTS; number++)
        numbered(story, session, number, 1, "d");
    assert_false(state_result(story->state, session, 4 + LIMIT_RESULTS, &kept)); /* the window is full */
    assert_true(state_result(story->state, session, 5 + LIMIT_RESULTS, &kept));
    assert_true(state_result(story->state, session, 4 + 2 * LIMIT_RESULTS, &kept));
}

/* --- ephemerals --- */

static void test_ephemerals_go_with_their_session(void **arg)
{
    struct story *story = *arg;
    struct lifetime ephemeral = {.ephemeral = true};
    uint64_t first = story_session(story, 1);
    story_make(story, "m", KIND_DIRECTORY);
    story_make_as(story, "m/file", KIND_FILE, ephemeral);
    story_make_as(story, "m/dir", KIND_DIRECTORY, ephemeral);
    story_make_as(story, "m/link", KIND_SYMLINK, ephemeral);
    assert_int_equal(story_stat(story, "m/dir").ephemeral_owner, first);
    assert_int_equal(story_make(story, "m/dir/x", KIND_FILE), ERR_EPHEMERAL_PARENT);
    assert_int_equal(story_rename(story, "m/file", "m/dir/x"), ERR_EPHEMERAL_PARENT);
    uint64_t second = story_session(story, 2);
    story_make_as(story, "m/other", KIND_FILE, ephemeral);
    struct session_info info;
    assert_true(state_session(story->state, first, &info) && info.ephemerals == 3);
    assert_int_equal(story_rename(story, "m/link", "away"), ERR_OK);
    assert_int_equal(story_close(story, first), ERR_OK);
    assert_string_equal(story_changes(story), "delete #2/file, delete #2/dir, delete away, close "); /* by id */
    assert_string_equal(story_list(story, "m"), "other");
    assert_true(state_session(story->state, second, &info) && info.ephemerals == 1);
}

/* The order is that of the ids, not that in which the session came by them. */
static void test_the_order_of_deletion(void **arg)
{
    struct story *story = *arg;
    uint64_t session = story_session(story, 1);
    struct request request = {.kind = OP_RENAME, .rename = {.from = story_at("old"), .to = story_at("older")}};
    request.rename.lifetime.ephemeral = true;
    story_make(story, "old", KIND_FILE);
    story_make_as(story, "new", KIND_FILE, (struct lifetime){.ephemeral = true});
    assert_int_equal(story_apply(story, request), ERR_OK);
    assert_int_equal(story_close(story, session), ERR_OK);
    assert_string_equal(story_changes(story), "delete older, delete new, close ");
}

static void test_a_crowd_of_ephemerals(void **arg)
{
    enum { CROWD = 3000 };
    struct story *story = *arg;
    uint64_t session = story_session(story, 1);
    for (uint64_t i = 1; i <= CROWD; i++) {
        struct entry entry = {.zxid = state_zxid(story->state) + 1, .session = session, .number = i, .awaited = i};
        entry.request.kind = OP_CREATE;
        entry.request.create = (struct op_create){.at = story_at("e-"), .kind = KIND_FILE};
        entry.request.create.lifetime = (struct lifetime){.sequential = true, .sequence_at = 2, .ephemeral = true};
        state_apply(story->state, &entry, &story->result, NULL);
    }
    assert_int_equal(state_nodes(story->state), 1 + CROWD);
    assert_int_equal(story_close(story, session), ERR_OK);
    assert_int_equal(story->changes.count, CROWD + 1);
    assert_int_equal(state_nodes(story->state), 1);
}

/* --- unborn files --- */

static int make_unborn(struct story *story, const char *name, bool open_existing)
{
    struct request request = {.kind = OP_CREATE};
    request.create = (struct op_create){.at = story_at(name), .kind = KIND_FILE, .unborn = true};
    request.create.open_existing = open_existing;
    return story_apply(story, request);
}

static void test_the_first_write_gives_birth(void **arg)
{
    struct story *story = *arg;
    assert_int_equal(make_unborn(story, "f", false), ERR_NO_SESSION);
    uint64_t first = story_session(story, 1);
    assert_int_equal(make_unborn(story, "f", false), ERR_OK);
    assert_string_equal(story_changes(story), "create f unborn");
    assert_int_equal(story->changes.list[0].unborn_of, first);
    assert_int_equal(story_stat(story, "f").unborn_of, first);
    story_session(story, 2);
    assert_int_equal(make_unborn(story, "f", false), ERR_EXISTS); /* exclusive creators see it at once */
    assert_int_equal(story_rename(story, "f", "g"), ERR_OK);
    assert_string_equal(story_changes(story), "rename f > g unborn");
    assert_int_equal(story_write(story, "g", "content"), ERR_OK);
    assert_string_equal(story_changes(story), "create g birth, data g");
    assert_int_equal(story->changes.list[0].unborn_of, first);
    assert_int_equal(story->changes.list[0].new_size, 0);
    assert_int_equal(story_stat(story, "g").unborn_of, 0);
    assert_int_equal(story_write(story, "g", "more"), ERR_OK);
    assert_string_equal(story_changes(story), "data g");
    make_unborn(story, "empty", false); /* : > empty, with not a byte written */
    struct request none = {.kind = OP_WRITE, .write = {story_at("empty"), 0, NULL, 0}};
    assert_int_equal(story_apply(story, none), ERR_OK);
    assert_string_equal(story_changes(story), "create empty birth");
    assert_int_equal(story_stat(story, "empty").version, 0);
    make_unborn(story, "refused", false);
    none.write = (struct op_write){story_at("refused"), 5, NULL, 0};
    assert_int_equal(story_apply(story, none), ERR_BAD_VERSION);
    assert_true(story_stat(story, "refused").unborn_of != 0);
}

static void test_unborn_files_go_with_who_opened_them_last(void **arg)
{
    struct story *story = *arg;
    uint64_t first = story_session(story, 1);
    make_unborn(story, "mine", true); /* no such name: it is made */
    make_unborn(story, "shared", true);
    uint64_t id = story_stat(story, "shared").id, second = story_session(story, 2);
    assert_int_equal(make_unborn(story, "shared", true), ERR_OK);
    assert_int_equal(story->result.id, id);
    assert_int_equal(story->changes.count, 0);
    assert_int_equal(story_stat(story, "shared").unborn_of, second);
    struct session_info info;
    assert_true(state_session(story->state, second, &info) && info.ephemerals == 1);
    assert_int_equal(story_close(story, first), ERR_OK);
    assert_string_equal(story_changes(story), "delete mine unborn, close ");
    assert_int_equal(story_close(story, second), ERR_OK);
    assert_string_equal(story_changes(story), "delete shared unborn, close ");
}

static void test_unborn_and_ephemeral_counts_once(void **arg)
{
    struct story *story = *arg;
    uint64_t session = story_session(story, 1);
    struct request request = {.kind = OP_CREATE};
    request.create = (struct op_create){.at = story_at("f"), .kind = KIND_FILE, .unborn = true};
    request.create.lifetime.ephemeral = true;
    assert_int_equal(story_apply(story, request), ERR_OK);
    struct session_info info;
    assert_true(state_session(story->state, session, &info) && info.ephemerals == 1);
    story_session(story, 2);
    request.create.open_existing = true;
    assert_int_equal(story_apply(story, request), ERR_OK); /* unborn of the second, ephemeral of the first */
    assert_int_equal(story_close(story, session), ERR_OK);
    assert_string_equal(story_changes(story), "delete f unborn, close ");
    assert_true(state_session(story->state, story->session, &info) && info.ephemerals == 0);
}

/* --- what becomes due --- */

static const int64_t MS = 1000000; /* ns */

/* The names of what is due, in order; deletes them as the leader would if `carry_out`. */
static const char *due(struct story *story, int64_t now_ns, bool carry_out)
{
    static char names[512];
    names[0] = '\0';
    struct request request = {.kind = OP_DELETE};
    for (uint64_t after = 0; state_next_due(story->state, now_ns, after, &request.delete);) {
        after = request.delete.at.id;
        strcat(names, names[0] == '\0' ? "" : " ");
        strcat(names, node_name(state_node(story->state, after)).at);
        if (carry_out)
            assert_int_equal(story_apply(story, request), ERR_OK);
    }
    return names;
}

static void test_ttl_runs_from_the_last_change(void **arg)
{
    struct story *story = *arg;
    struct lifetime ttl = {.ttl_ms = 100};
    int64_t start = story->now_ns;
    story_make_as(story, "f", KIND_FILE, ttl);
    story_make_as(story, "g", KIND_FILE, ttl);
    story_make(story, "plain", KIND_FILE);
    assert_string_equal(due(story, start + 99 * MS, false), "");
    assert_string_equal(due(story, start + 100 * MS, false), "f g");
    story->now_ns = start + 50 * MS;
    story_write(story, "f", "x");
    assert_int_equal(story_stat(story, "f").ttl_from_ns, start + 50 * MS);
    struct op_set_attr op = {.at = story_at("g"), .aversion = -1, .mask = ATTR_MTIME, .mtime_ns = start + 10000 * MS};
    story->now_ns = start + 20 * MS; /* an older stamp: time never goes back */
    story_apply(story, (struct request){.kind = OP_SET_ATTR, .set_attr = op});
    assert_int_equal(story_stat(story, "g").ttl_from_ns, start + 50 * MS); /* not the user-settable mtime */
    assert_string_equal(due(story, start + 149 * MS, false), "");
    assert_string_equal(due(story, start + 150 * MS, true), "f g");
    assert_string_equal(story_list(story, ""), "plain");
    assert_string_equal(due(story, INT64_MAX, false), "");
}

static void test_ttl_waits_for_children_to_go(void **arg)
{
    struct story *story = *arg;
    story_make_as(story, "d", KIND_DIRECTORY, (struct lifetime){.ttl_ms = 100});
    story_make(story, "d/x", KIND_FILE);
    assert_string_equal(due(story, INT64_MAX, false), "");
    story->now_ns += 1000 * MS;
    story_delete(story, "d/x"); /* a change, too: the time runs from here */
    assert_string_equal(due(story, story->now_ns + 99 * MS, false), "");
    assert_string_equal(due(story, story->now_ns + 100 * MS, false), "d");
}

static void test_containers_go_once_they_have_been_left(void **arg)
{
    struct story *story = *arg;
    story_make_as(story, "c", KIND_DIRECTORY, (struct lifetime){.container = true});
    assert_true(story_stat(story, "c").container);
    assert_string_equal(due(story, INT64_MAX, false), ""); /* nobody came yet */
    story_make(story, "c/x", KIND_FILE);
    assert_string_equal(due(story, INT64_MAX, false), "");
    story_rename(story, "c/x", "x");
    assert_string_equal(due(story, 0, true), "c");
    assert_string_equal(story_list(story, ""), "x");
}

/* The leader found something due; before its deletion is logged, somebody changes the znode, or makes it anew. */
static void test_a_deletion_never_hits_what_has_changed(void **arg)
{
    struct story *story = *arg;
    struct request used = {.kind = OP_DELETE}, left = {.kind = OP_DELETE};
    story_make_as(story, "f", KIND_FILE, (struct lifetime){.ttl_ms = 1});
    story_make_as(story, "c", KIND_DIRECTORY, (struct lifetime){.container = true});
    story_make(story, "c/x", KIND_FILE);
    story_delete(story, "c/x");
    assert_true(state_next_due(story->state, INT64_MAX, 0, &used.delete));
    assert_true(state_next_due(story->state, INT64_MAX, used.delete.at.id, &left.delete));
    assert_false(state_next_due(story->state, INT64_MAX, left.delete.at.id, &(struct op_delete){0}));
    story_write(story, "f", "still needed");
    story_make(story, "c/y", KIND_FILE);
    story_delete(story, "c/y");
    assert_int_equal(story_apply(story, used), ERR_BAD_VERSION);
    assert_int_equal(story_apply(story, left), ERR_BAD_VERSION);
    story_delete(story, "f");
    story_make(story, "f", KIND_FILE);
    assert_int_equal(story_apply(story, used), ERR_NO_NODE);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_a_session_is_made_once_for_a_nonce),
        STORY(test_sessions_are_limited),
        STORY(test_what_is_the_replicas_own),
        STORY(test_cluster_and_state_version),
        STORY(test_numbers_come_one_after_the_other),
        STORY(test_results_are_kept_while_awaited),
        STORY(test_ephemerals_go_with_their_session),
        STORY(test_the_order_of_deletion),
        STORY(test_a_crowd_of_ephemerals),
        STORY(test_the_first_write_gives_birth),
        STORY(test_unborn_files_go_with_who_opened_them_last),
        STORY(test_unborn_and_ephemeral_counts_once),
        STORY(test_ttl_runs_from_the_last_change),
        STORY(test_ttl_waits_for_children_to_go),
        STORY(test_containers_go_once_they_have_been_left),
        STORY(test_a_deletion_never_hits_what_has_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
