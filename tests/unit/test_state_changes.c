/* Changes: what apply reports is enough to keep a mirror of the tree (id → parent, name, kind, size, whether it is
 * unborn), which is what watchers and ghosts stand on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/state_workload.h"

enum { IDS = 20000 };

struct seen {
    bool there;
    uint64_t parent, size, unborn_of;
    enum node_kind kind;
    char name[LIMIT_NAME_BYTES + 1];
};

struct mirror {
    struct seen nodes[IDS];
    bool sessions[IDS];
    uint64_t kinds[CHANGE_LOCK + 1]; /* how many of each */
    uint64_t births, replaced, exchanged;
};

static void see_create(struct mirror *mirror, const struct change *change)
{
    struct seen *seen = &mirror->nodes[change->id];
    if (change->birth) { /* the name appears to the others: the znode was there, hidden */
        assert_true(seen->there && seen->unborn_of != 0 && change->unborn_of != 0 && !change->unborn);
        assert_int_equal(seen->size, change->new_size);
        seen->unborn_of = 0;
        mirror->births++;
        return;
    }
    assert_false(seen->there);
    assert_int_equal(change->unborn, change->unborn_of != 0);
    assert_true(mirror->nodes[change->parent].there && mirror->nodes[change->parent].kind == KIND_DIRECTORY);
    *seen = (struct seen){true, change->parent, change->new_size, change->unborn_of, change->node_kind, ""};
    strcpy(seen->name, change->name);
}

static struct seen *see_known(struct mirror *mirror, const struct change *change)
{
    struct seen *seen = &mirror->nodes[change->id];
    assert_true(seen->there);
    assert_int_equal(seen->parent, change->parent);
    assert_int_equal(seen->kind, change->node_kind);
    assert_string_equal(seen->name, change->name);
    assert_int_equal(change->unborn, change->unborn_of != 0);
    seen->unborn_of = change->unborn_of; /* may have gone over to another session without a change */
    return seen;
}

static void see(struct mirror *mirror, const struct change *change)
{
    struct seen *seen;
    mirror->kinds[change->kind]++;
    switch (change->kind) {
    case CHANGE_CREATE:
        see_create(mirror, change);
        break;
    case CHANGE_DELETE:
        see_known(mirror, change)->there = false;
        mirror->replaced += change->replaced;
        break;
    case CHANGE_RENAME:
        seen = see_known(mirror, change);
        seen->parent = change->to_parent;
        strcpy(seen->name, change->to_name);
        mirror->exchanged += change->exchange;
        break;
    case CHANGE_DATA:
        see_known(mirror, change)->size = change->new_size;
        break;
    case CHANGE_ATTR:
    case CHANGE_META:
        see_known(mirror, change);
        break;
    case CHANGE_LOCK: /* of a znode that may be gone */
        assert_true(change->id != 0 && change->parent == 0 && change->name[0] == '\0');
        break;
    case CHANGE_SESSION_OPEN:
    case CHANGE_SESSION_CLOSE:
        assert_int_equal(mirror->sessions[change->id], change->kind == CHANGE_SESSION_CLOSE);
        mirror->sessions[change->id] = change->kind == CHANGE_SESSION_OPEN;
        break;
    }
}

static void compare(const struct mirror *mirror, const struct state *state)
{
    uint64_t count = 0;
    for (uint64_t id = 1; id < IDS; id++) {
        const struct node *node = state_node(state, id);
        assert_int_equal(mirror->nodes[id].there, node != NULL);
        struct session_info info;
        assert_int_equal(mirror->sessions[id], state_session(state, id, &info));
        if (node == NULL)
            continue;
        struct node_stat stat;
        node_stat(node, &stat);
        count++;
        assert_int_equal(mirror->nodes[id].parent, stat.parent);
        assert_int_equal(mirror->nodes[id].kind, stat.kind);
        assert_int_equal(mirror->nodes[id].size, stat.size);
        assert_int_equal(mirror->nodes[id].unborn_of != 0, stat.unborn_of != 0);
        assert_string_equal(mirror->nodes[id].name, node_name(node).at);
    }
    assert_int_equal(count, state_nodes(state));
}

static void test_changes_keep_a_mirror(void **unused)
{
    (void)unused;
    struct mirror *mirror = calloc(1, sizeof *mirror);
    mirror->nodes[ROOT_ID] = (struct seen){.there = true, .kind = KIND_DIRECTORY};
    struct state *state = state_new();
    struct changes changes = {0};
    struct workload workload = {.random = 2026};
    for (int i = 0; i < 16000; i++) {
        struct work *work = workload_next(&workload, state);
        struct result result;
        state_apply(state, &work->entry, &result, &changes);
        assert_int_equal(changes.zxid, work->entry.zxid);
        assert_int_equal(changes.session, work->entry.session);
        assert_int_equal(changes.number, work->entry.number);
        for (size_t c = 0; c < changes.count; c++)
            see(mirror, &changes.list[c]);
        if (i % 200 == 0)
            compare(mirror, state);
        free(work);
    }
    compare(mirror, state);
    for (int kind = CHANGE_CREATE; kind <= CHANGE_LOCK; kind++)
        assert_true(mirror->kinds[kind] > 20);
    assert_true(mirror->births > 20 && mirror->replaced > 5 && mirror->exchanged > 5);
    print_message("16000 entries: %d creates, %d deletes, %d renames mirrored; %d births, %d replaced, %d exchanged\n",
                  (int)mirror->kinds[CHANGE_CREATE], (int)mirror->kinds[CHANGE_DELETE],
                  (int)mirror->kinds[CHANGE_RENAME], (int)mirror->births, (int)mirror->replaced,
                  (int)mirror->exchanged);
    changes_free(&changes);
    state_free(state);
    free(mirror);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_changes_keep_a_mirror)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
