#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/state_model_internal.h"

struct bytes model_copy(struct model *model, struct bytes from)
{
    if ((model->memory_count & (model->memory_count - 1)) == 0)
        model->memory = realloc(model->memory, (model->memory_count * 2 + 1) * sizeof(*model->memory));
    void *to = malloc(from.len + 1);
    assert(model->memory != NULL && to != NULL);
    if (from.len > 0)
        memcpy(to, from.at, from.len);
    model->memory[model->memory_count++] = to;
    return (struct bytes){to, from.len};
}

bool model_same(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

struct model_node *model_by_id(struct model *model, uint64_t id)
{
    for (size_t i = 0; i < model->tree.count; i++)
        if (model->tree.nodes[i].s.id == id && id != GONE)
            return &model->tree.nodes[i];
    return NULL;
}

struct model_node *model_by_name(struct model *model, uint64_t parent, struct bytes name)
{
    for (size_t i = 0; i < model->tree.count; i++) {
        struct model_node *node = &model->tree.nodes[i];
        if (node->s.id != GONE && node->s.parent == parent && model_same(node->name, name))
            return node;
    }
    return NULL;
}

uint64_t model_children(struct model *model, uint64_t id)
{
    uint64_t count = 0;
    for (size_t i = 0; i < model->tree.count; i++)
        count += model->tree.nodes[i].s.id != GONE && model->tree.nodes[i].s.parent == id;
    return count;
}

bool model_within(struct model *model, uint64_t id, uint64_t top)
{
    while (id != 0 && id != top)
        id = model_by_id(model, id)->s.parent;
    return id == top;
}

void model_weigh(struct model *model, uint64_t id, int64_t *bytes, int64_t *nodes)
{
    *bytes = *nodes = 0;
    for (size_t i = 0; i < model->tree.count; i++) {
        struct model_node *node = &model->tree.nodes[i];
        if (node->s.id == GONE || !model_within(model, node->s.id, id))
            continue;
        *bytes += (int64_t)node->data.len;
        *nodes += 1;
    }
}

struct model_node *model_find(struct model *model, struct where at, int *code)
{
    struct model_node *node = model_by_id(model, at.id);
    const char *rest = at.path.at;
    size_t left = at.path.len;
    *code = ERR_NO_NODE;
    while (node != NULL && left > 0) {
        size_t len = 0;
        while (len < left && rest[len] != '/')
            len++;
        if (node->s.kind != KIND_DIRECTORY) {
            *code = ERR_NOT_DIR;
            return NULL;
        }
        node = model_by_name(model, node->s.id, (struct bytes){rest, len});
        size_t skip = len < left ? len + 1 : len;
        rest += skip;
        left -= skip;
    }
    if (node != NULL)
        *code = ERR_OK;
    return node;
}

struct model_node *model_find_parent(struct model *model, struct where at, struct bytes *last, int *code)
{
    const char *path = at.path.at;
    size_t start = at.path.len;
    while (start > 0 && path[start - 1] != '/')
        start--;
    *last = (struct bytes){path + start, at.path.len - start};
    at.path.len = start > 0 ? start - 1 : 0;
    struct model_node *parent = model_find(model, at, code);
    if (parent != NULL && parent->s.kind != KIND_DIRECTORY)
        *code = ERR_NOT_DIR;
    return *code == ERR_OK ? parent : NULL;
}

void model_changed(struct model *model, struct model_node *node)
{
    node->s.change_zxid = model->zxid;
    node->s.ctime_ns = model->now_ns;
    if (node->s.ttl_ms > 0)
        node->s.ttl_from_ns = model->now_ns;
}

void model_children_changed(struct model *model, uint64_t id)
{
    struct model_node *node = model_by_id(model, id);
    node->s.cversion++;
    node->s.pzxid = model->zxid;
    node->s.mtime_ns = node->s.ctime_ns = model->now_ns;
    if (node->s.ttl_ms > 0)
        node->s.ttl_from_ns = model->now_ns;
}

bool model_over_quota(struct model *model, uint64_t from, uint64_t except, int64_t bytes, int64_t nodes)
{
    for (uint64_t id = from; id != 0; id = model_by_id(model, id)->s.parent) {
        struct model_node *node = model_by_id(model, id);
        int64_t used_bytes, used_nodes;
        if (except != 0 && model_within(model, except, id))
            continue;
        model_weigh(model, id, &used_bytes, &used_nodes);
        used_bytes += bytes - (int64_t)node->data.len;
        used_nodes += nodes - 1;
        if ((node->s.max_bytes > 0 && bytes > 0 && used_bytes > (int64_t)node->s.max_bytes) ||
            (node->s.max_nodes > 0 && nodes > 0 && used_nodes > (int64_t)node->s.max_nodes))
            return true;
    }
    return false;
}

void model_name_result(struct result *result, const struct model_node *node, bool name)
{
    result->id = node->s.id;
    result->name_len = name ? (uint32_t)node->name.len : 0;
    if (result->name_len > 0)
        memcpy(result->name, node->name.at, result->name_len);
    result->name[result->name_len] = '\0';
}
