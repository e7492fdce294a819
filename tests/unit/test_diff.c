/* What it shows: the difference between two trees comes as changes that can be carried out one by one, each step
 * possible and its names right, and that lead from the one tree to the other.
 *
 * How: seeded random histories over a handful of names, so that places are fought over; a strict mirror of the first
 * tree carries the changes out and must end as the second. Then the awkward cases by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/client/client.h"

/* --- histories --- */

struct pair {
    struct state *before, *after;
    uint64_t zxid;
    uint64_t session;
    bool both; /* what is applied goes to both trees */
};

static struct result apply(struct pair *pair, struct request request)
{
    static uint64_t number;
    struct result result;
    struct entry entry = {.zxid = ++pair->zxid, .stamp_ns = (int64_t)pair->zxid * 1000, .request = request};
    if (pair->session != 0) {
        struct session_info info;
        state_session(pair->after, pair->session, &info);
        number = info.last_number + 1;
        entry.session = pair->session;
        entry.number = entry.awaited = number;
    }
    if (pair->both)
        state_apply(pair->before, &entry, &result, NULL);
    state_apply(pair->after, &entry, &result, NULL);
    return result;
}

static struct pair pair_new(void)
{
    struct pair pair = {.before = state_new(), .after = state_new(), .both = true};
    struct request open = {.kind = OP_CREATE_SESSION};
    open.create_session.timeout_ms = 10000;
    open.create_session.host = (struct bytes){"host", 4};
    struct result result = apply(&pair, open);
    assert_int_equal(result.code, ERR_OK);
    pair.session = result.id;
    return pair;
}

static void pair_free(struct pair *pair)
{
    state_free(pair->before);
    state_free(pair->after);
}

static struct where at(const char *path)
{
    return (struct where){ROOT_ID, {path, strlen(path)}};
}

static uint64_t make(struct pair *pair, const char *path, enum node_kind kind)
{
    struct request request = {.kind = OP_CREATE, .create = {.at = at(path), .kind = kind, .mode = 0755}};
    return apply(pair, request).id;
}

static int move(struct pair *pair, const char *from, const char *to, enum rename_flag flag)
{
    struct request request = {.kind = OP_RENAME, .rename = {.from = at(from), .to = at(to), .flag = flag}};
    return apply(pair, request).code;
}

static int drop(struct pair *pair, const char *path)
{
    struct request request = {.kind = OP_DELETE, .delete = {.at = at(path), .version = NO_VERSION_CHECK}};
    return apply(pair, request).code;
}

static int append(struct pair *pair, const char *path)
{
    const struct edit edit = {EDIT_APPEND, 0, {"more", 4}};
    struct request request = {.kind = OP_WRITE, .write = {at(path), NO_VERSION_CHECK, &edit, 1}};
    return apply(pair, request).code;
}

/* --- the mirror --- */

struct place {
    uint64_t id, parent, size;
    enum node_kind kind;
    bool unborn;
    char name[32];
};

struct copy {
    struct place *list;
    size_t count;
};

static struct place *find(struct copy *copy, uint64_t id)
{
    for (size_t i = 0; i < copy->count; i++)
        if (copy->list[i].id == id)
            return &copy->list[i];
    return NULL;
}

static struct place *child(struct copy *copy, uint64_t parent, const char *name)
{
    for (size_t i = 0; i < copy->count; i++)
        if (copy->list[i].parent == parent && strcmp(copy->list[i].name, name) == 0)
            return &copy->list[i];
    return NULL;
}

static bool below(struct copy *copy, uint64_t id, uint64_t top)
{
    for (; id != 0; id = find(copy, id)->parent)
        if (id == top)
            return true;
    return false;
}

static void add(struct copy *copy, const struct place *place)
{
    copy->list = realloc(copy->list, (copy->count + 1) * sizeof *copy->list);
    copy->list[copy->count++] = *place;
}

static struct copy copy_of(const struct state *state)
{
    struct copy copy = {0};
    const struct node *node;
    for (uint64_t cursor = 0; (node = state_each_node(state, &cursor)) != NULL;) {
        struct node_stat stat;
        node_stat(node, &stat);
        struct place place = {stat.id, stat.parent, stat.size, stat.kind, stat.unborn_of != 0, ""};
        snprintf(place.name, sizeof place.name, "%s", (const char *)node_name(node).at);
        add(&copy, &place);
    }
    return copy;
}

static void step_create(struct copy *copy, const struct change *change)
{
    struct place *known = find(copy, change->id), *parent = find(copy, change->parent);
    if (change->birth) {
        assert_true(known != NULL && known->unborn && known->parent == change->parent);
        assert_string_equal(known->name, change->name);
        known->unborn = false;
        return;
    }
    assert_null(known);
    assert_true(parent != NULL && parent->kind == KIND_DIRECTORY);
    assert_null(child(copy, change->parent, change->name));
    struct place place = {change->id, change->parent, change->new_size, change->node_kind, change->unborn, ""};
    snprintf(place.name, sizeof place.name, "%s", change->name);
    add(copy, &place);
}

static void step_delete(struct copy *copy, const struct change *change)
{
    struct place *place = child(copy, change->parent, change->name);
    assert_true(place != NULL && place->id == change->id);
    for (size_t i = 0; i < copy->count; i++)
        assert_true(copy->list[i].parent != change->id);
    *place = copy->list[--copy->count];
}

static void put(struct place *place, uint64_t parent, const char *name)
{
    place->parent = parent;
    snprintf(place->name, sizeof place->name, "%s", name);
}

static void step_rename(struct copy *copy, const struct change *change)
{
    struct place *place = child(copy, change->parent, change->name);
    assert_true(place != NULL && place->id == change->id);
    assert_true(find(copy, change->to_parent)->kind == KIND_DIRECTORY);
    assert_null(child(copy, change->to_parent, change->to_name));
    assert_false(below(copy, change->to_parent, change->id));
    put(place, change->to_parent, change->to_name);
}

static void step_exchange(struct copy *copy, const struct change *change)
{
    struct place *a = child(copy, change[0].parent, change[0].name), *b = child(copy, change[1].parent, change[1].name);
    assert_true(change[1].kind == CHANGE_RENAME && change[1].exchange);
    assert_true(a != NULL && b != NULL && a->id == change[0].id && b->id == change[1].id);
    assert_true(change[0].to_parent == b->parent && change[1].to_parent == a->parent);
    assert_string_equal(change[0].to_name, b->name);
    assert_string_equal(change[1].to_name, a->name);
    assert_false(below(copy, a->id, b->id) || below(copy, b->id, a->id));
    put(a, change[0].to_parent, change[0].to_name);
    put(b, change[1].to_parent, change[1].to_name);
}

static void step_data(struct copy *copy, const struct change *change)
{
    struct place *place = child(copy, change->parent, change->name);
    assert_true(place != NULL && place->id == change->id);
    place->size = change->new_size;
}

static void carry_out(struct copy *copy, const struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->list[i];
        if (change->kind == CHANGE_CREATE)
            step_create(copy, change);
        else if (change->kind == CHANGE_DELETE)
            step_delete(copy, change);
        else if (change->kind == CHANGE_RENAME && change->exchange)
            step_exchange(copy, &changes->list[i++]);
        else if (change->kind == CHANGE_RENAME)
            step_rename(copy, change);
        else if (change->kind == CHANGE_DATA)
            step_data(copy, change);
    }
}

static void check_same(struct copy *copy, const struct state *state)
{
    struct copy want = copy_of(state);
    assert_int_equal(copy->count, want.count);
    for (size_t i = 0; i < want.count; i++) {
        const struct place *is = find(copy, want.list[i].id);
        assert_non_null(is);
        assert_int_equal(is->parent, want.list[i].parent);
        assert_string_equal(is->name, want.list[i].name);
        assert_int_equal(is->kind, want.list[i].kind);
        assert_int_equal(is->size, want.list[i].size);
        assert_int_equal(is->unborn, want.list[i].unborn);
    }
    free(want.list);
}

static size_t count_of(const struct changes *changes, enum change_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < changes->count; i++)
        count += changes->list[i].kind == kind;
    return count;
}

static struct changes check(struct pair *pair)
{
    struct changes changes = {0};
    struct copy copy = copy_of(pair->before);
    state_diff(pair->before, pair->after, &changes);
    carry_out(&copy, &changes);
    check_same(&copy, pair->after);
    assert_int_equal(changes.zxid, state_zxid(pair->after));
    free(copy.list);
    return changes;
}

/* --- random histories --- */

static uint64_t seed;

static uint32_t pick(uint32_t below_this)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33) % below_this;
}

static const char *random_path(char *path)
{
    uint32_t depth = 1 + pick(3), len = 0;
    for (uint32_t i = 0; i < depth; i++)
        len += (uint32_t)sprintf(path + len, "%s%c", i > 0 ? "/" : "", 'a' + (char)pick(3));
    return path;
}

static void random_op(struct pair *pair)
{
    char path[16], other[16];
    random_path(path);
    random_path(other);
    switch (pick(8)) {
    case 0:
    case 1:
        make(pair, path, KIND_DIRECTORY);
        break;
    case 2:
        make(pair, path, KIND_FILE);
        break;
    case 3:
        drop(pair, path);
        break;
    case 4:
        append(pair, path);
        break;
    case 5:
        move(pair, path, other, RENAME_SWAP);
        break;
    default:
        move(pair, path, other, RENAME_PLAIN);
    }
}

static void random_histories(void **arg)
{
    (void)arg;
    size_t runs = 10000, kinds[CHANGE_META + 1] = {0}, exchanges = 0, anew = 0;
    for (size_t run = 0; run < runs; run++) {
        seed = run + 1;
        struct pair pair = pair_new();
        for (uint32_t i = pick(100); i > 0; i--)
            random_op(&pair);
        pair.both = false;
        for (uint32_t i = pick(100); i > 0; i--)
            random_op(&pair);
        struct changes changes = check(&pair);
        for (size_t i = 0; i < changes.count; i++) {
            kinds[changes.list[i].kind]++;
            exchanges += changes.list[i].exchange;
            anew += changes.list[i].kind == CHANGE_CREATE && state_node(pair.before, changes.list[i].id) != NULL;
        }
        changes_free(&changes);
        pair_free(&pair);
    }
    print_message("%zu histories: %zu creates, %zu deletes, %zu renames (%zu in exchanges), %zu data; %zu made anew\n",
                  runs, kinds[CHANGE_CREATE], kinds[CHANGE_DELETE], kinds[CHANGE_RENAME], exchanges, kinds[CHANGE_DATA],
                  anew);
    assert_true(exchanges > 0 && anew > 0 && kinds[CHANGE_RENAME] > 10 * anew);
}

/* --- the awkward cases --- */

/* a and b change places: two renames, nothing deleted. */
static void swap(void **arg)
{
    (void)arg;
    struct pair pair = pair_new();
    make(&pair, "a", KIND_DIRECTORY);
    make(&pair, "a/in", KIND_FILE);
    make(&pair, "b", KIND_DIRECTORY);
    pair.both = false;
    assert_int_equal(move(&pair, "a", "b", RENAME_SWAP), ERR_OK);
    struct changes changes = check(&pair);
    assert_int_equal(changes.count, 2);
    changes_free(&changes);
    pair_free(&pair);
}

/* a → b → c → a: two exchanges. */
static void circle_of_three(void **arg)
{
    (void)arg;
    struct pair pair = pair_new();
    make(&pair, "a", KIND_FILE);
    make(&pair, "b", KIND_FILE);
    make(&pair, "c", KIND_FILE);
    pair.both = false;
    move(&pair, "c", "t", RENAME_PLAIN);
    move(&pair, "b", "c", RENAME_PLAIN);
    move(&pair, "a", "b", RENAME_PLAIN);
    move(&pair, "t", "a", RENAME_PLAIN);
    struct changes changes = check(&pair);
    assert_int_equal(changes.count, 4);
    assert_int_equal(count_of(&changes, CHANGE_RENAME), 4);
    changes_free(&changes);
    pair_free(&pair);
}

/* d is replaced by a new d, and what was in the old one is in the new one: f has nowhere to be meanwhile, so it goes
 * and comes again, but g, which moved elsewhere, is renamed. */
static void directory_replaced(void **arg)
{
    (void)arg;
    struct pair pair = pair_new();
    make(&pair, "d", KIND_DIRECTORY);
    make(&pair, "d/f", KIND_FILE);
    make(&pair, "d/g", KIND_FILE);
    pair.both = false;
    move(&pair, "d/f", "f", RENAME_PLAIN);
    move(&pair, "d/g", "g", RENAME_PLAIN);
    assert_int_equal(drop(&pair, "d"), ERR_OK);
    make(&pair, "d", KIND_DIRECTORY);
    move(&pair, "f", "d/f", RENAME_PLAIN);
    struct changes changes = check(&pair);
    assert_int_equal(count_of(&changes, CHANGE_RENAME), 1);
    assert_int_equal(count_of(&changes, CHANGE_DELETE), 2);
    assert_int_equal(count_of(&changes, CHANGE_CREATE), 2);
    changes_free(&changes);
    pair_free(&pair);
}

/* p/q becomes q/p: q moves out, then p into it. */
static void parent_and_child(void **arg)
{
    (void)arg;
    struct pair pair = pair_new();
    make(&pair, "p", KIND_DIRECTORY);
    make(&pair, "p/q", KIND_DIRECTORY);
    make(&pair, "p/file", KIND_FILE);
    pair.both = false;
    move(&pair, "p/q", "q", RENAME_PLAIN);
    move(&pair, "p", "q/p", RENAME_PLAIN);
    struct changes changes = check(&pair);
    assert_int_equal(changes.count, 2);
    changes_free(&changes);
    pair_free(&pair);
}

/* A log's rotation: log.0 → log.1 → … → log.999, in one go and without a detour. */
static void rotation(void **arg)
{
    (void)arg;
    enum { LOGS = 1000 };
    char from[16], to[16];
    struct pair pair = pair_new();
    for (int i = 0; i < LOGS; i++) {
        sprintf(from, "log.%d", i);
        make(&pair, from, KIND_FILE);
    }
    pair.both = false;
    for (int i = LOGS - 1; i >= 0; i--) {
        sprintf(from, "log.%d", i);
        sprintf(to, "log.%d", i + 1);
        assert_int_equal(move(&pair, from, to, RENAME_PLAIN), ERR_OK);
    }
    struct changes changes = check(&pair);
    assert_int_equal(changes.count, LOGS);
    changes_free(&changes);
    pair_free(&pair);
}

/* An unborn file is born; one that stays unborn says whose it is. */
static void birth(void **arg)
{
    (void)arg;
    struct pair pair = pair_new();
    struct request create = {.kind = OP_CREATE,
                             .create = {.at = at("f"), .kind = KIND_FILE, .mode = 0644, .unborn = true}};
    apply(&pair, create);
    pair.both = false;
    create.create.at = at("g");
    apply(&pair, create);
    assert_int_equal(append(&pair, "f"), ERR_OK);
    struct changes changes = check(&pair);
    assert_int_equal(changes.count, 3);
    assert_true(changes.list[0].unborn && changes.list[0].unborn_of == pair.session);
    assert_true(changes.list[1].birth && !changes.list[1].unborn && changes.list[2].kind == CHANGE_DATA);
    changes_free(&changes);
    pair_free(&pair);
}

/* Attributes, xattrs, policy, sessions; and nothing at all where nothing differs. */
static void the_rest(void **arg)
{
    (void)arg;
    struct pair pair = pair_new();
    make(&pair, "d", KIND_DIRECTORY);
    make(&pair, "f", KIND_FILE);
    struct changes changes = check(&pair);
    assert_int_equal(changes.count, 0);
    changes_free(&changes);
    pair.both = false;
    apply(&pair, (struct request){.kind = OP_SET_ATTR,
                                  .set_attr = {.at = at("f"), .aversion = -1, .mask = ATTR_MODE, .mode = 0600}});
    apply(&pair,
          (struct request){.kind = OP_SET_XATTR, .xattr = {.at = at("d"), .name = {"user.x", 6}, .value = {"y", 1}}});
    apply(&pair, (struct request){.kind = OP_SET_POLICY, .set_policy = {at("d"), {"{owner}", 7}}});
    uint64_t session = pair.session;
    pair.session = 0;
    apply(&pair, (struct request){.kind = OP_CLOSE_SESSION, .close_session = {session, CLOSE_BY_OWNER}});
    changes = check(&pair);
    assert_int_equal(changes.count, 4);
    assert_int_equal(count_of(&changes, CHANGE_ATTR), 2);
    assert_int_equal(count_of(&changes, CHANGE_META), 1);
    assert_int_equal(count_of(&changes, CHANGE_SESSION_CLOSE), 1);
    changes_free(&changes);
    pair_free(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories),
        cmocka_unit_test(swap),
        cmocka_unit_test(circle_of_three),
        cmocka_unit_test(directory_replaced),
        cmocka_unit_test(parent_and_child),
        cmocka_unit_test(rotation),
        cmocka_unit_test(birth),
        cmocka_unit_test(the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
