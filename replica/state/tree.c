#include <assert.h>

#include "replica/state/hash.h"
#include "replica/state/internal.h"
#include "replica/state/mem.h"

/* Ids made one after the other lie side by side, as they are likely to be used together; runs of them lie anywhere. */
uint64_t tree_hash_of(uint64_t id)
{
    enum { RUN_BITS = 10 };
    return id ^ hash_mix(id >> RUN_BITS);
}

uint64_t tree_hash_id(const struct link *link)
{
    return tree_hash_of(node_of(link)->id);
}

static struct node *node_of_name(const struct link *by_name)
{
    return by_name == NULL ? NULL : CONTAINER_OF(by_name, struct node, by_name);
}

uint64_t tree_hash_below(uint64_t parent, struct bytes name)
{
    return hash_bytes(name.at, name.len, parent);
}

uint64_t tree_hash_name(const struct link *link)
{
    const struct node *node = node_of_name(link);
    return tree_hash_below(node->parent->id, node_name(node));
}

struct node *tree_node(const struct state *state, uint64_t id)
{
    struct node *node = node_of(table_chain(&state->by_id, tree_hash_of(id)));
    while (node != NULL && node->id != id)
        node = node_of(node->by_id.next);
    return node;
}

static struct node *child_hashed(const struct state *state, const struct node *parent, struct bytes name, uint64_t hash)
{
    struct node *node = node_of_name(table_chain(&state->by_name, hash));
    while (node != NULL && (node->parent != parent || !bytes_equal(node_name(node), name)))
        node = node_of_name(node->by_name.next);
    return node;
}

struct node *tree_child(const struct state *state, const struct node *parent, struct bytes name)
{
    return child_hashed(state, parent, name, tree_hash_below(parent->id, name));
}

struct node *tree_find(const struct state *state, struct where at, int *code)
{
    *code = path_check(at.path);
    if (*code != ERR_OK)
        return NULL;
    struct node *node = tree_node(state, at.id);
    struct bytes component;
    while (node != NULL && path_next(&at.path, &component)) {
        if (!node_is_directory(node)) {
            *code = ERR_NOT_DIR;
            return NULL;
        }
        node = tree_child(state, node, component);
    }
    if (node == NULL)
        *code = ERR_NO_NODE;
    return node;
}

static void insert_sibling(struct directory *parent, struct node *node, struct node *before)
{
    node->next = before;
    node->prev = before == NULL ? parent->last : before->prev;
    *(node->prev == NULL ? &parent->first : &node->prev->next) = node;
    *(before == NULL ? &parent->last : &before->prev) = node;
}

static void remove_sibling(struct directory *parent, struct node *node)
{
    *(node->prev == NULL ? &parent->first : &node->prev->next) = node->next;
    *(node->next == NULL ? &parent->last : &node->next->prev) = node->prev;
}

static void enter(struct state *state, struct node *node, struct node *before, uint64_t hash)
{
    struct directory *parent = node_directory(node->parent);
    table_insert_hashed(&state->by_name, &node->by_name, hash);
    insert_sibling(parent, node, before);
    parent->children++;
    parent->subdirs += node_is_directory(node);
}

void tree_enter(struct state *state, struct node *node, struct node *before)
{
    enter(state, node, before, tree_hash_name(&node->by_name));
}

bool tree_adopt(struct state *state, struct node *node, struct node *parent, uint64_t hash)
{
    if (child_hashed(state, parent, node_name(node), hash) != NULL)
        return false;
    node->parent = parent;
    enter(state, node, NULL, hash);
    return true;
}

void tree_leave(struct state *state, struct node *node)
{
    struct directory *parent = node_directory(node->parent);
    table_remove(&state->by_name, &node->by_name);
    remove_sibling(parent, node);
    parent->children--;
    parent->subdirs -= node_is_directory(node);
}

void tree_add(struct state *state, struct node *node)
{
    assert(node->id == state->next_id - 1); /* so no other has it */
    table_insert(&state->by_id, &node->by_id);
    journal_step(state, STEP_ADD, node);
    node->attr.touch = TOUCHED | ADDED;
    if (node_is_directory(node))
        node_directory(node)->touched_zxid = state->zxid;
}

void tree_remove(struct state *state, struct node *node)
{
    assert(node_children(node) == 0 && node->attr.touch != 0);
    lifetime_forget(state, node);
    table_remove(&state->by_id, &node->by_id);
    journal_step(state, STEP_REMOVE, node);
    node->attr.touch |= REMOVED;
}

uint32_t tree_reach(const struct node *node)
{
    return node_is_directory(node) ? node_directory(node)->attr.reach : 0;
}

static void raise_reach(struct state *state, struct node *node)
{
    for (uint32_t reach = tree_reach(node) + 1; node->parent != NULL; reach++) {
        node = node->parent;
        if (tree_reach(node) >= reach)
            return; /* so do all above it */
        journal_touch(state, node);
        node_directory(node)->attr.reach = (uint16_t)reach;
    }
}

void tree_place(struct state *state, struct node *node, struct node *parent, struct bytes name)
{
    assert(node->attr.touch != 0 && name.len <= LIMIT_NAME_BYTES);
    struct step *step = journal_step(state, STEP_PLACE, node);
    step->was.parent = node->parent;
    step->was.name = node->name;
    step->name_len = node->attr.name_len;
    name_set(&node->name, name);
    node->attr.name_len = (uint8_t)name.len;
    node->parent = parent;
    tree_enter(state, node, NULL);
    raise_reach(state, node);
}

void tree_unlink(struct state *state, struct node *node)
{
    assert(node->attr.touch != 0 && node->parent->attr.touch != 0);
    struct step *step = journal_step(state, STEP_UNLINK, node);
    step->next = node->next;
    tree_leave(state, node);
    struct directory *parent = node_directory(node->parent);
    if (parent->children == 0)
        parent->attr.reach = 0;
}

void tree_add_weight(struct node *directory, int64_t bytes, int64_t nodes)
{
    for (struct node *node = directory; node != NULL; node = node->parent) {
        node_directory(node)->subtree_bytes += (uint64_t)bytes;
        node_directory(node)->subtree_nodes += (uint64_t)nodes;
    }
}

void tree_account(struct state *state, struct node *directory, int64_t bytes, int64_t nodes)
{
    if (bytes == 0 && nodes == 0)
        return;
    struct step *step = journal_step(state, STEP_ACCOUNT, directory);
    step->delta.bytes = bytes;
    step->delta.nodes = nodes;
    tree_add_weight(directory, bytes, nodes);
}

void tree_weight(const struct node *node, int64_t *bytes, int64_t *nodes)
{
    bool directory = node_is_directory(node);
    *bytes = (int64_t)(directory ? node_directory(node)->subtree_bytes : data_size(node->attr.data));
    *nodes = (int64_t)(directory ? node_directory(node)->subtree_nodes : 1);
}

bool tree_within(const struct node *node, const struct node *top)
{
    while (node != NULL && node != top)
        node = node->parent;
    return node != NULL;
}

uint32_t tree_depth(const struct node *node)
{
    uint32_t depth = 0;
    for (; node->parent != NULL; node = node->parent)
        depth++;
    return depth;
}

const struct node *tree_common(const struct node *a, const struct node *b)
{
    uint32_t depth_a = tree_depth(a), depth_b = tree_depth(b);
    for (; depth_a > depth_b; depth_a--)
        a = a->parent;
    for (; depth_b > depth_a; depth_b--)
        b = b->parent;
    while (a != b) {
        a = a->parent;
        b = b->parent;
    }
    return a;
}
