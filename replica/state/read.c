/* read.c - the tree as readers see it. */
#include <string.h>

#include "replica/state/internal.h"

const struct node *state_node(const struct state *state, uint64_t id)
{
    return tree_node(state, id);
}

const struct node *node_child(const struct state *state, const struct node *parent, const void *name, size_t len)
{
    return tree_child(state, parent, (struct bytes){name, len});
}

const struct node *state_find(const struct state *state, struct where at, int *code)
{
    return tree_find(state, at, code);
}

static void stat_more(const struct node *node, struct node_stat *stat)
{
    if (node->more == NULL)
        return;
    const struct more_attr *more = &node->more->attr;
    stat->ephemeral_owner = more->ephemeral_owner;
    stat->unborn_of = more->unborn_of;
    stat->ttl_ms = more->ttl_ms;
    stat->ttl_from_ns = more->ttl_from_ns;
    if (more->atime_set)
        stat->atime_ns = more->atime_ns;
}

static void stat_directory(const struct node *node, struct node_stat *stat)
{
    if (!node_is_directory(node))
        return;
    const struct directory *directory = node_directory(node);
    stat->pzxid = directory->attr.pzxid;
    stat->cversion = directory->attr.cversion;
    stat->container = directory->attr.container;
    stat->data_mtime_ns = directory->attr.data_mtime_ns;
    stat->children = directory->children;
    stat->subdirs = directory->subdirs;
    stat->sequence = directory->attr.sequence;
    stat->subtree_bytes = directory->subtree_bytes;
    stat->subtree_nodes = directory->subtree_nodes;
    stat->max_bytes = directory->attr.max_bytes;
    stat->max_nodes = directory->attr.max_nodes;
}

void node_stat(const struct node *node, struct node_stat *stat)
{
    const struct node_attr *attr = &node->attr;
    *stat = (struct node_stat){
        .id = node->id,
        .parent = node->parent == NULL ? 0 : node->parent->id,
        .kind = attr->kind,
        .mode = attr->mode,
        .uid = attr->uid,
        .gid = attr->gid,
        .btime_ns = attr->btime_ns,
        .atime_ns = attr->mtime_ns,
        .mtime_ns = attr->mtime_ns,
        .data_mtime_ns = attr->mtime_ns,
        .ctime_ns = attr->ctime_ns,
        .czxid = attr->czxid,
        .mzxid = attr->mzxid,
        .pzxid = attr->czxid,
        .change_zxid = attr->change_zxid,
        .version = attr->version,
        .aversion = attr->aversion,
        .size = data_size(attr->data),
    };
    stat_more(node, stat);
    stat_directory(node, stat);
}

struct bytes node_name(const struct node *node)
{
    return name_bytes(&node->name, node->attr.name_len);
}

struct data *node_data(const struct node *node)
{
    return node->attr.data;
}

struct bytes node_policy(const struct node *node)
{
    return blob_bytes(node_is_directory(node) ? node_directory(node)->attr.policy : NULL);
}

const struct node *node_parent(const struct state *state, const struct node *node)
{
    (void)state;
    return node->parent;
}

const struct node *node_first_child(const struct node *node)
{
    return node_is_directory(node) ? node_directory(node)->first : NULL;
}

const struct node *node_next_sibling(const struct node *node)
{
    return node->next;
}

/* *cursor is the id given last: first the rest of its chain, then the chains after it. */
const struct node *state_each_node(const struct state *state, uint64_t *cursor)
{
    uint64_t position = 0;
    const struct node *node = NULL;
    if (*cursor != 0) {
        const struct node *last = tree_node(state, *cursor);
        node = last == NULL ? NULL : node_of(last->by_id.next);
        position = table_after(&state->by_id, tree_hash_of(*cursor));
        if (node == NULL && position == 0)
            return NULL;
    }
    while (node == NULL) {
        node = node_of(table_scan(&state->by_id, &position));
        if (node == NULL && position == 0)
            return NULL;
    }
    *cursor = node->id;
    return node;
}

bool node_xattr_at(const struct node *node, size_t index, struct bytes *name, struct bytes *value)
{
    struct bytes packed = blob_bytes(node->more == NULL ? NULL : node->more->attr.xattrs);
    for (size_t i = 0; xattr_next(&packed, name, value); i++)
        if (i == index)
            return true;
    return false;
}

bool node_xattr(const struct node *node, struct bytes name, struct bytes *value)
{
    struct bytes packed = blob_bytes(node->more == NULL ? NULL : node->more->attr.xattrs), found;
    while (xattr_next(&packed, &found, value))
        if (bytes_equal(found, name))
            return true;
    return false;
}
