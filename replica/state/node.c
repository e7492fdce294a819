#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "replica/state/internal.h"
#include "replica/state/mem.h"

struct node *node_new(uint64_t id, enum node_kind kind)
{
    struct node *node = mem_new(sizeof *node);
    node->id = id;
    node->attr.kind = (uint8_t)kind;
    if (kind == KIND_DIRECTORY)
        node_need_more(node);
    return node;
}

void node_free(struct node *node)
{
    data_unref(node->attr.data);
    name_free(&node->name, node->attr.name_len);
    if (node->more != NULL) {
        blob_unref(node->more->attr.xattrs);
        if (node_is_directory(node))
            blob_unref(node_directory(node)->attr.policy);
    }
    free(node->more);
    free(node);
}

struct node *node_of(const struct link *by_id)
{
    return by_id == NULL ? NULL : CONTAINER_OF(by_id, struct node, by_id);
}

bool node_is_directory(const struct node *node)
{
    return node->attr.kind == KIND_DIRECTORY;
}

struct directory *node_directory(const struct node *node)
{
    assert(node_is_directory(node));
    return CONTAINER_OF(node->more, struct directory, more);
}

struct more *node_need_more(struct node *node)
{
    if (node->more != NULL)
        return node->more;
    if (node_is_directory(node)) {
        struct directory *directory = mem_new(sizeof *directory);
        directory->subtree_nodes = 1;
        node->more = &directory->more;
    } else {
        node->more = mem_new(sizeof *node->more);
    }
    node->more->node = node;
    hook_init(&node->more->owned);
    hook_init(&node->more->unborn);
    hook_init(&node->more->due);
    return node->more;
}

bool more_is_plain(const struct more_attr *more)
{
    return more->ephemeral_owner == 0 && more->unborn_of == 0 && more->ttl_ms == 0 && !more->atime_set &&
           more->xattrs == NULL;
}

void node_trim(struct node *node)
{
    if (node->more == NULL || node_is_directory(node) || !more_is_plain(&node->more->attr))
        return;
    free(node->more);
    node->more = NULL;
}

void node_set_data(struct node *node, struct data *data)
{
    data_unref(node->attr.data);
    node->attr.data = data;
    if (data != NULL && data_size(data) == 0) {
        data_unref(data);
        node->attr.data = NULL;
    }
}

void name_set(union name *name, struct bytes from)
{
    memset(name, 0, sizeof *name);
    if (from.len >= NAME_NEAR_BYTES)
        name->far = blob_new(from.at, from.len);
    else if (from.len > 0)
        memcpy(name->near, from.at, from.len);
}

struct bytes name_bytes(const union name *name, uint8_t len)
{
    return len >= NAME_NEAR_BYTES ? blob_bytes(name->far) : (struct bytes){name->near, len};
}

void name_free(union name *name, uint8_t len)
{
    if (len >= NAME_NEAR_BYTES)
        blob_unref(name->far);
}

uint32_t node_children(const struct node *node)
{
    return node_is_directory(node) ? node_directory(node)->children : 0;
}

uint64_t node_touched_zxid(const struct node *node)
{
    return node_is_directory(node) ? node_directory(node)->touched_zxid : node->attr.change_zxid;
}

uint64_t node_last_change(const struct node *node)
{
    uint64_t itself = node->attr.change_zxid;
    uint64_t children = node_is_directory(node) ? node_directory(node)->attr.pzxid : 0;
    return itself > children ? itself : children;
}
