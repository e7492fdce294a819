#include <string.h>

#include "replica/state/internal.h"

/* One end of a move: the weight that leaves one directory for another. */
struct load {
    int64_t bytes, nodes;
};

static struct load load_of(const struct node *node)
{
    struct load load = {0, 0};
    if (node != NULL)
        tree_weight(node, &load.bytes, &load.nodes);
    return load;
}

/* Whether `into` can take `gain` in place of `loss`, which comes from a directory below `common`. */
static int fits(const struct node *into, const struct node *common, const struct node *gain, const struct node *loss)
{
    struct load more = load_of(gain), less = load_of(loss);
    if (into->more->attr.ephemeral_owner != 0)
        return ERR_EPHEMERAL_PARENT;
    if (tree_depth(into) + 1 + tree_reach(gain) > LIMIT_DEPTH)
        return ERR_NAME_TOO_LONG;
    return quota_check(into, common, more.bytes - less.bytes, more.nodes - less.nodes);
}

/* Completes a CHANGE_RENAME once the znode is where it goes. */
static void note_move(struct change *change, const struct node *node, bool exchange)
{
    if (change == NULL)
        return;
    change->to_parent = node->parent->id;
    change->to_name = changes_name(node_name(node));
    change->exchange = exchange;
}

/* Takes a znode from where it is, with its weight. */
static void take_out(struct apply *apply, struct node *node)
{
    struct load load = load_of(node);
    apply_changed(apply, node);
    journal_touch(apply->state, node->parent);
    tree_unlink(apply->state, node);
    tree_account(apply->state, node->parent, -load.bytes, -load.nodes);
}

static void move(struct apply *apply, struct node *node, const struct place *place)
{
    struct node *from = node->parent;
    struct change *change = changes_add(apply->changes, CHANGE_RENAME, node);
    take_out(apply, node);
    if (from != place->parent)
        apply_children_changed(apply, from);
    apply_take_place(apply, node, place);
    note_move(change, node, false);
}

static int may_replace(const struct node *node, const struct node *existing)
{
    if (node_is_directory(node) && !node_is_directory(existing))
        return ERR_NOT_DIR;
    if (!node_is_directory(node) && node_is_directory(existing))
        return ERR_IS_DIR;
    return node_children(existing) > 0 ? ERR_NOT_EMPTY : ERR_OK;
}

static int may_move(struct apply *apply, const struct node *node, const struct op_rename *op, const struct place *place)
{
    if (place->existing != NULL && op->flag == RENAME_NO_REPLACE)
        return ERR_EXISTS;
    if (tree_within(place->parent, node))
        return ERR_INVALID; /* into itself */
    int code = place->existing == NULL || place->existing == node ? ERR_OK : may_replace(node, place->existing);
    if (code == ERR_OK)
        code = lifetime_check(&op->lifetime, node, apply->entry->session);
    if (code != ERR_OK || place->existing == node)
        return code;
    return fits(place->parent, tree_common(node->parent, place->parent), node, place->existing);
}

/* Onto its own name: nothing moves, but a token says how it lives from now on. */
static void rename_to_itself(struct apply *apply, struct node *node, const struct lifetime *lifetime)
{
    if (!lifetime->ephemeral && !lifetime->container && lifetime->ttl_ms == 0)
        return;
    apply_changed(apply, node);
    apply_lifetime(apply, node, lifetime);
    changes_add(apply->changes, CHANGE_ATTR, node);
}

static int rename_plain(struct apply *apply, struct node *node, const struct op_rename *op)
{
    struct place place;
    int code = apply_find_place(apply, op->to, &op->lifetime, &place);
    if (code == ERR_OK)
        code = may_move(apply, node, op, &place);
    if (code != ERR_OK)
        return code;
    if (place.existing == node) {
        rename_to_itself(apply, node, &op->lifetime);
    } else {
        if (place.existing != NULL)
            apply_unlink(apply, place.existing, true);
        move(apply, node, &place);
        apply_lifetime(apply, node, &op->lifetime);
    }
    apply_result_name(apply, node);
    return ERR_OK;
}

/* --- exchange --- */

static struct place place_of(const struct node *node)
{
    struct bytes name = node_name(node);
    struct place place = {.parent = node->parent, .name_len = name.len};
    memcpy(place.name, name.at, name.len);
    return place;
}

static int may_swap(const struct node *a, const struct node *b)
{
    if (a->parent == NULL || b->parent == NULL)
        return ERR_BUSY;
    if (tree_within(a, b) || tree_within(b, a))
        return ERR_INVALID;
    const struct node *common = tree_common(a->parent, b->parent);
    int code = fits(b->parent, common, a, b);
    return code == ERR_OK ? fits(a->parent, common, b, a) : code;
}

static int rename_swap(struct apply *apply, struct node *a, const struct op_rename *op)
{
    int code;
    struct node *b = tree_find(apply->state, op->to, &code);
    if (b == NULL)
        return code;
    apply_result_name(apply, b);
    apply->result->id = a->id;
    if (a == b)
        return ERR_OK;
    code = may_swap(a, b);
    if (code != ERR_OK)
        return code;
    struct place place_a = place_of(a), place_b = place_of(b);
    size_t first = apply->changes == NULL ? 0 : apply->changes->count;
    changes_add(apply->changes, CHANGE_RENAME, a);
    changes_add(apply->changes, CHANGE_RENAME, b);
    take_out(apply, a);
    take_out(apply, b);
    apply_take_place(apply, a, &place_b);
    apply_take_place(apply, b, &place_a);
    if (apply->changes != NULL) {
        note_move(&apply->changes->list[first], a, true);
        note_move(&apply->changes->list[first + 1], b, true);
    }
    return ERR_OK;
}

int apply_rename(struct apply *apply, const struct op_rename *op)
{
    int code;
    struct node *node = tree_find(apply->state, op->from, &code);
    if (node == NULL)
        return code;
    if (op->expect_from_id != 0 && op->expect_from_id != node->id)
        return ERR_NO_NODE;
    if (node->parent == NULL)
        return ERR_BUSY; /* the root */
    return op->flag == RENAME_SWAP ? rename_swap(apply, node, op) : rename_plain(apply, node, op);
}
