/* loader.c - a state from the bytes of a snapshot. Nothing in them is trusted: records are checked one by one as they
 * come, and how they fit together at the end. */
#include <stdlib.h>
#include <string.h>

#include "replica/state/mem.h"
#include "replica/state/record.h"
#include "replica/state/snapshot.h"
#include "replica/state/wire.h"

/* A znode whose parent may not have come yet. */
struct orphan {
    struct node *node;
    uint64_t id, parent;
    uint64_t name_hash; /* once the parent is known */
};

struct snapshot_loader {
    struct state *state;
    int code; /* the first error */
    bool begun, ended;
    uint64_t nodes, digest; /* as END says */
    struct orphan *orphans;
    size_t count, capacity;
    uint8_t *pending; /* the beginning of a record whose end has not come */
    size_t pending_len, pending_capacity;
};

struct snapshot_loader *loader_new(void)
{
    struct snapshot_loader *loader = mem_new(sizeof *loader);
    loader->state = state_blank();
    return loader;
}

void loader_free(struct snapshot_loader *loader)
{
    if (loader == NULL)
        return;
    state_free(loader->state);
    free(loader->orphans);
    free(loader->pending);
    free(loader);
}

uint64_t loader_nodes(const struct snapshot_loader *loader)
{
    return loader->count;
}

/* --- records --- */

static int read_globals(struct snapshot_loader *loader, struct bytes payload)
{
    struct reader in = {payload.at, payload.len, false};
    struct bytes magic = get_bytes(&in, SNAPSHOT_MAGIC_BYTES);
    uint32_t format = get_u32(&in);
    if (in.bad || memcmp(magic.at, SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_BYTES) != 0)
        return ERR_CORRUPT;
    if (format != SNAPSHOT_FORMAT)
        return ERR_BAD_FORMAT;
    loader->begun = true;
    return record_read_globals((struct bytes){in.at, in.left}, loader->state);
}

/* What must hold of a znode beside the rest of the state; its place in the tree is judged at the end. */
static bool acceptable(const struct state *state, const struct node *node)
{
    const struct node_attr *attr = &node->attr;
    return node->id < state->next_id && tree_node(state, node->id) == NULL && attr->czxid <= attr->change_zxid &&
           attr->mzxid <= attr->change_zxid && node_last_change(node) <= state->zxid;
}

static int read_node(struct snapshot_loader *loader, struct bytes payload)
{
    struct orphan orphan;
    int code = record_read_node(payload, &orphan.node, &orphan.parent);
    if (code != ERR_OK)
        return code;
    if (!acceptable(loader->state, orphan.node)) {
        node_free(orphan.node);
        return ERR_CORRUPT;
    }
    if (node_is_directory(orphan.node)) {
        node_directory(orphan.node)->touched_zxid = loader->state->zxid;
        node_directory(orphan.node)->subtree_bytes = data_size(orphan.node->attr.data);
    }
    orphan.id = orphan.node->id;
    table_insert(&loader->state->by_id, &orphan.node->by_id);
    if (loader->count == loader->capacity) {
        loader->capacity = loader->capacity * 2 + 64;
        loader->orphans = mem_grow(loader->orphans, loader->capacity * sizeof *loader->orphans);
    }
    loader->orphans[loader->count++] = orphan;
    return ERR_OK;
}

static int read_end(struct snapshot_loader *loader, struct bytes payload)
{
    struct reader in = {payload.at, payload.len, false};
    loader->nodes = get_u64(&in);
    loader->digest = get_u64(&in);
    loader->ended = true;
    return in.bad || in.left > 0 ? ERR_CORRUPT : ERR_OK;
}

static int read_record(struct snapshot_loader *loader, uint8_t kind, struct bytes payload)
{
    if (loader->ended || loader->begun == (kind == RECORD_GLOBALS))
        return ERR_CORRUPT;
    switch (kind) {
    case RECORD_GLOBALS:
        return read_globals(loader, payload);
    case RECORD_NODE:
        return read_node(loader, payload);
    case RECORD_SESSION:
        return record_read_session(payload, loader->state);
    case RECORD_MEMBER:
        return record_read_member(payload, loader->state);
    case RECORD_LOCK:
        return record_read_lock(payload, loader->state);
    case RECORD_END:
        return read_end(loader, payload);
    default:
        return ERR_CORRUPT;
    }
}

/* --- the stream --- */

/* Reads the first record if it is there whole. *len is how many bytes it takes, frame included; 0: more is needed. */
static int take_record(struct snapshot_loader *loader, struct bytes from, size_t *len)
{
    struct reader in = {from.at, from.len, false};
    uint32_t payload_len = get_u32(&in);
    uint8_t kind = get_u8(&in);
    *len = 0;
    if (in.bad)
        return ERR_OK;
    if (payload_len > RECORD_MAX_BYTES)
        return ERR_CORRUPT;
    struct bytes payload = get_bytes(&in, payload_len);
    if (in.bad)
        return ERR_OK;
    *len = RECORD_FRAME_BYTES + payload_len;
    return read_record(loader, kind, payload);
}

static int take_records(struct snapshot_loader *loader, struct bytes *from)
{
    for (size_t len = 1; len > 0 && loader->code == ERR_OK;) {
        loader->code = take_record(loader, *from, &len);
        *from = (struct bytes){(const uint8_t *)from->at + len, from->len - len};
    }
    return loader->code;
}

/* How many of the coming bytes belong to the pending record, as far as its frame is known. */
static size_t wanted(const struct snapshot_loader *loader, size_t len)
{
    size_t need = RECORD_FRAME_BYTES;
    if (loader->pending_len >= RECORD_FRAME_BYTES) {
        struct reader in = {loader->pending, loader->pending_len, false};
        need += get_u32(&in);
    }
    need -= loader->pending_len;
    return need < len ? need : len;
}

/* Room follows what has come, not what the frame promises. */
static void keep(struct snapshot_loader *loader, struct bytes from)
{
    if (loader->pending_len + from.len > loader->pending_capacity) {
        loader->pending_capacity = (loader->pending_len + from.len) * 2;
        loader->pending = mem_grow(loader->pending, loader->pending_capacity);
    }
    if (from.len > 0)
        memcpy(loader->pending + loader->pending_len, from.at, from.len);
    loader->pending_len += from.len;
}

int loader_feed(struct snapshot_loader *loader, const void *at, size_t len)
{
    struct bytes from = {at, len};
    while (from.len > 0 && loader->pending_len > 0 && loader->code == ERR_OK) {
        size_t part = wanted(loader, from.len), taken;
        keep(loader, (struct bytes){from.at, part});
        from = (struct bytes){(const uint8_t *)from.at + part, from.len - part};
        loader->code = take_record(loader, (struct bytes){loader->pending, loader->pending_len}, &taken);
        if (taken > 0)
            loader->pending_len = 0;
    }
    if (loader->code == ERR_OK && from.len > 0 && take_records(loader, &from) == ERR_OK)
        keep(loader, from);
    return loader->code;
}

/* --- how the records fit together --- */

/* By id, so that the order of siblings is the same wherever a snapshot is loaded: least significant digit first. */
static void sort_orphans(struct snapshot_loader *loader)
{
    enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };
    struct orphan *from = loader->orphans, *to = mem_new(loader->count * sizeof *to);
    for (unsigned shift = 0; loader->state->next_id >> shift != 0; shift += DIGIT_BITS) {
        size_t starts[DIGITS + 1] = {0};
        for (size_t i = 0; i < loader->count; i++)
            starts[(from[i].id >> shift) % DIGITS + 1]++;
        for (size_t digit = 1; digit < DIGITS; digit++)
            starts[digit] += starts[digit - 1];
        for (size_t i = 0; i < loader->count; i++)
            to[starts[(from[i].id >> shift) % DIGITS]++] = from[i];
        struct orphan *sorted = to;
        to = from;
        from = sorted;
    }
    free(to);
    loader->orphans = from;
    loader->capacity = loader->count;
}

static bool owners_known(const struct state *state, const struct node *node)
{
    if (node->more == NULL)
        return true;
    const struct more_attr *more = &node->more->attr;
    return (more->ephemeral_owner == 0 || session_find(state, more->ephemeral_owner) != NULL) &&
           (more->unborn_of == 0 || session_find(state, more->unborn_of) != NULL);
}

static bool find_parent(struct state *state, struct orphan *orphan)
{
    struct node *node = orphan->node;
    if (orphan->id == ROOT_ID) {
        state->root = node;
        return orphan->parent == 0;
    }
    struct node *parent = tree_node(state, orphan->parent);
    if (parent == NULL || !node_is_directory(parent) || parent->more->attr.ephemeral_owner != 0)
        return false;
    node->parent = parent;
    orphan->name_hash = tree_hash_name(&node->by_name);
    return true;
}

static bool adopt(struct state *state, struct node *node)
{
    if (!owners_known(state, node))
        return false;
    lifetime_index(state, node);
    state->nodes_sum += digest_node(node);
    if (node == state->root)
        return true;
    if (tree_child(state, node->parent, node_name(node)) != NULL)
        return false;
    tree_enter(state, node, NULL);
    return true;
}

/* In the order of ids, which is not that in memory: what comes soon is fetched ahead, which saves a third. */
static bool adopt_all(struct state *state, const struct orphan *orphans, size_t count)
{
    enum { SLOT_AHEAD = 4, NODE_AHEAD = 8 };
    for (size_t i = 0; i < count; i++) {
        if (i + NODE_AHEAD < count)
            __builtin_prefetch(orphans[i + NODE_AHEAD].node);
        if (i + NODE_AHEAD < count)
            table_prefetch(&state->by_name, orphans[i + NODE_AHEAD].name_hash);
        if (i + SLOT_AHEAD < count)
            __builtin_prefetch(table_chain(&state->by_name, orphans[i + SLOT_AHEAD].name_hash));
        if (!adopt(state, orphans[i].node))
            return false;
    }
    return true;
}

/* Adds a znode, all below it done, to its parent's sums. */
static bool settle(const struct node *node, uint32_t depth)
{
    if (depth + tree_reach(node) > LIMIT_DEPTH)
        return false;
    if (node->parent == NULL)
        return true;
    int64_t bytes, nodes;
    tree_weight(node, &bytes, &nodes);
    struct directory *parent = node_directory(node->parent);
    parent->subtree_bytes += (uint64_t)bytes;
    parent->subtree_nodes += (uint64_t)nodes;
    return parent->attr.reach > tree_reach(node) && parent->attr.had_children;
}

static const struct node *first_leaf(const struct node *node, uint32_t *depth)
{
    for (const struct node *child; (child = node_first_child(node)) != NULL; node = child)
        ++*depth;
    return node;
}

/* Walks the tree, children before parents: what hangs in a circle is not come by. */
static bool settle_all(const struct state *state, uint64_t count)
{
    uint32_t depth = 0;
    uint64_t settled = 1;
    const struct node *node = first_leaf(state->root, &depth);
    for (; node != state->root; settled++) {
        if (!settle(node, depth))
            return false;
        if (node->next != NULL) {
            node = first_leaf(node->next, &depth);
        } else {
            node = node->parent;
            depth--;
        }
    }
    return settle(node, depth) && settled == count;
}

static bool assemble(struct snapshot_loader *loader)
{
    struct state *state = loader->state;
    if (loader->count != loader->nodes || tree_node(state, ROOT_ID) == NULL)
        return false;
    for (size_t i = 0; i < loader->count; i++)
        if (!find_parent(state, &loader->orphans[i]))
            return false;
    sort_orphans(loader);
    table_reserve(&state->by_name, loader->count);
    if (!adopt_all(state, loader->orphans, loader->count) || !settle_all(state, loader->count))
        return false;
    session_sort(state);
    state->sessions_sum = digest_all_sessions(state);
    if (!lock_adopt_all(state))
        return false;
    return state_digest(state) == loader->digest;
}

int loader_finish(struct snapshot_loader *loader, struct state **state)
{
    if (loader->code == ERR_OK && (!loader->ended || loader->pending_len > 0 || !assemble(loader)))
        loader->code = ERR_CORRUPT;
    if (loader->code != ERR_OK)
        return loader->code;
    *state = loader->state;
    loader->state = NULL;
    loader_free(loader);
    return ERR_OK;
}
