/* What differs between two trees. Znodes keep their ids, so a rename is found by id; the order of moves, deletions and
 * creations is diff_order.c's. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fs/client/client.h"
#include "fs/client/diff_internal.h"

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static struct change *add_change(struct changes *changes, enum change_kind kind, uint64_t id, struct bytes name)
{
    if (changes->count == changes->capacity) {
        changes->capacity = changes->capacity ? 2 * changes->capacity : 16;
        changes->list = realloc(changes->list, changes->capacity * sizeof *changes->list);
        assert(changes->list != NULL);
    }
    struct change *change = &changes->list[changes->count++];
    *change = (struct change){.kind = kind, .id = id, .name = strndup(name.at, name.len)};
    assert(change->name != NULL);
    return change;
}

struct change *diff_add(struct changes *changes, enum change_kind kind, const struct node *node, uint64_t parent,
                        struct bytes name)
{
    struct node_stat stat;
    node_stat(node, &stat);
    struct change *change = add_change(changes, kind, stat.id, name);
    change->node_kind = stat.kind;
    change->parent = parent;
    change->new_size = stat.size;
    change->unborn = stat.unborn_of != 0;
    change->unborn_of = stat.unborn_of;
    return change;
}

/* --- places --- */

static void find_gone_and_moved(struct mirror *mirror)
{
    const struct node *node, *now;
    struct node_stat was, is;
    for (uint64_t cursor = 0; (node = state_each_node(mirror->before, &cursor)) != NULL;) {
        node_stat(node, &was);
        now = state_node(mirror->after, was.id);
        if (now != NULL)
            node_stat(now, &is);
        if (now == NULL || is.parent != was.parent || !bytes_equal(node_name(node), node_name(now)))
            mirror_add(mirror, was.id);
    }
}

static void find_new(struct mirror *mirror)
{
    const struct node *node;
    struct node_stat stat;
    for (uint64_t cursor = 0; (node = state_each_node(mirror->after, &cursor)) != NULL;) {
        node_stat(node, &stat);
        if (state_node(mirror->before, stat.id) == NULL)
            mirror_add(mirror, stat.id);
    }
}

/* --- content --- */

static bool same_xattrs(const struct node *a, const struct node *b)
{
    struct bytes name_a, name_b, value_a, value_b;
    for (size_t i = 0;; i++) {
        bool more_a = node_xattr_at(a, i, &name_a, &value_a), more_b = node_xattr_at(b, i, &name_b, &value_b);
        if (!more_a || !more_b)
            return more_a == more_b;
        if (!bytes_equal(name_a, name_b) || !bytes_equal(value_a, value_b))
            return false;
    }
}

/* Each change of the znode itself moves change_zxid. */
static void compare(const struct node *before, const struct node *after, struct changes *changes)
{
    struct node_stat was, is;
    node_stat(before, &was);
    node_stat(after, &is);
    if (was.change_zxid == is.change_zxid)
        return;
    struct bytes name = node_name(after);
    if (was.unborn_of != 0 && is.unborn_of == 0)
        diff_add(changes, CHANGE_CREATE, after, is.parent, name)->birth = true;
    if (was.mzxid != is.mzxid || was.version != is.version)
        diff_add(changes, CHANGE_DATA, after, is.parent, name);
    if (was.aversion != is.aversion || was.ephemeral_owner != is.ephemeral_owner || was.ttl_ms != is.ttl_ms ||
        was.container != is.container || !same_xattrs(before, after))
        diff_add(changes, CHANGE_ATTR, after, is.parent, name);
    if (was.max_bytes != is.max_bytes || was.max_nodes != is.max_nodes ||
        !bytes_equal(node_policy(before), node_policy(after)))
        diff_add(changes, CHANGE_META, after, is.parent, name);
}

static void compare_all(struct mirror *mirror)
{
    const struct node *node;
    struct node_stat stat;
    for (uint64_t cursor = 0; (node = state_each_node(mirror->before, &cursor)) != NULL;) {
        node_stat(node, &stat);
        const struct node *now = state_node(mirror->after, stat.id);
        if (now != NULL && !mirror_made_anew(mirror, stat.id))
            compare(node, now, mirror->changes);
    }
}

/* --- sessions --- */

static void compare_sessions(const struct state *before, const struct state *after, struct changes *changes)
{
    struct session_info info;
    for (uint64_t id = 0; state_next_session(before, &id, &info);)
        if (!state_session(after, info.id, &info))
            add_change(changes, CHANGE_SESSION_CLOSE, id, (struct bytes){"", 0});
    for (uint64_t id = 0; state_next_session(after, &id, &info);)
        if (!state_session(before, info.id, &info))
            add_change(changes, CHANGE_SESSION_OPEN, id, (struct bytes){"", 0});
}

void state_diff(const struct state *before, const struct state *after, struct changes *changes)
{
    struct mirror mirror = {.before = before, .after = after, .changes = changes};
    changes_clear(changes);
    changes->zxid = state_zxid(after);
    changes->session = 0;
    changes->number = 0;
    find_gone_and_moved(&mirror);
    find_new(&mirror);
    mirror_carry_out(&mirror);
    compare_all(&mirror);
    compare_sessions(before, after, changes);
    mirror_free(&mirror);
}
