/* loader.c - a state from the bytes of a snapshot. Nothing in them is trusted: records are checked one by one as they
 * come, and how they fit together at the end. */
#include <stdlib.h>
#include <string.h>

#include "replica/state/mem.h"
#include "replica/state/record.h"
#include "replica/state/snapshot.h"
#include "replica/state/wire.h"

/* A znode whose parent may not have come yet, and what is wanted of it once all have: records come in the order of
 * hashes, so whatever is read from the znode itself then is far from what was read before. */
struct orphan {
    struct node *node;
    uint64_t id, parent, name_hash;
    uint32_t bytes; /* of data */
    uint16_t reach;
    bool directory, more;
};

struct snapshot_loader {
    struct state *state;
    int code; /* the first error */
    bool begun, ended;
    uint64_t nodes, digest; /* as END says */
    struct orphan *orphans;
    size_t count, capacity;
    size_t entered;   /* so many of them are in the state's table */
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
    for (size_t i = loader->entered; i < loader->count; i++)
        node_free(loader->orphans[i].node);
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
    return node->id < state->next_id && attr->czxid <= attr->change_zxid && attr->mzxid <= attr->change_zxid &&
           node_last_change(node) <= state->zxid;
}

static int read_node(struct snapshot_loader *loader, struct bytes payload)
{
    struct node *node;
    uint64_t parent;
    size_t head_len;
    int code = record_read_node(payload, &node, &parent, &head_len);
    if (code != ERR_OK)
        return code;
    if (!acceptable(loader->state, node)) {
        node_free(node);
        return ERR_CORRUPT;
    }
    loader->state->nodes_sum += digest_head((struct bytes){payload.at, head_len});
    struct orphan orphan = {.node = node,
                            .id = node->id,
                            .parent = parent,
                            .name_hash = tree_hash_below(parent, node_name(node)),
                            .bytes = (uint32_t)data_size(node->attr.data),
                            .reach = (uint16_t)tree_reach(node),
                            .directory = node_is_directory(node),
                            .more = node->more != NULL};
    if (orphan.directory) {
        node_directory(node)->touched_zxid = loader->state->zxid;
        node_directory(node)->subtree_bytes = orphan.bytes;
    }
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

/* In the order of ids, which is not that in memory: what comes soon is fetched ahead. */
static void fetch_ahead(const struct snapshot_loader *loader, size_t i)
{
    enum { AHEAD = 8 };
    if (i + AHEAD < loader->count)
        __builtin_prefetch(loader->orphans[i + AHEAD].node, 1);
}

static bool enter_ids(struct snapshot_loader *loader)
{
    struct table *by_id = &loader->state->by_id;
    table_reserve(by_id, loader->count);
    for (; loader->entered < loader->count; loader->entered++) {
        const struct orphan *orphan = &loader->orphans[loader->entered];
        if (loader->entered > 0 && orphan->id == orphan[-1].id)
            return false;
        fetch_ahead(loader, loader->entered);
        table_insert_hashed(by_id, &orphan->node->by_id, tree_hash_of(orphan->id));
    }
    return true;
}

static bool owners_known(const struct state *state, const struct more_attr *more)
{
    return (more->ephemeral_owner == 0 || session_find(state, more->ephemeral_owner) != NULL) &&
           (more->unborn_of == 0 || session_find(state, more->unborn_of) != NULL);
}

/* A parent reaches deeper than each child, so nothing hangs in a circle: all hang from the root. */
static bool adopt(struct state *state, const struct orphan *orphan, struct node *parent)
{
    if (parent == NULL || !node_is_directory(parent) || parent->more->attr.ephemeral_owner != 0)
        return false;
    struct directory *directory = node_directory(parent);
    if (directory->attr.reach <= orphan->reach || !directory->attr.had_children)
        return false;
    if (!orphan->directory) {
        directory->subtree_bytes += orphan->bytes;
        directory->subtree_nodes++;
    }
    return tree_adopt(state, orphan->node, parent, orphan->name_hash);
}

/* Each below its parent; most have that of the one before. */
static bool adopt_all(struct snapshot_loader *loader)
{
    struct state *state = loader->state;
    struct node *parent = NULL;
    table_reserve(&state->by_name, loader->count);
    for (size_t i = 0; i < loader->count; i++) {
        const struct orphan *orphan = &loader->orphans[i];
        fetch_ahead(loader, i);
        if (orphan->more && !owners_known(state, &orphan->node->more->attr))
            return false;
        if (orphan->more)
            lifetime_index(state, orphan->node);
        if (orphan->id == ROOT_ID)
            continue;
        if (parent == NULL || parent->id != orphan->parent)
            parent = tree_node(state, orphan->parent);
        if (!adopt(state, orphan, parent))
            return false;
    }
    return true;
}

/* Adds each directory to its parent's sums: those that reach least deep first, as what is below them is done then. */
static void sum_up(const struct snapshot_loader *loader)
{
    size_t starts[LIMIT_DEPTH + 2] = {0};
    for (size_t i = 0; i < loader->count; i++)
        if (loader->orphans[i].directory)
            starts[loader->orphans[i].reach + 1]++;
    for (size_t reach = 1; reach <= LIMIT_DEPTH + 1; reach++)
        starts[reach] += starts[reach - 1];
    size_t count = starts[LIMIT_DEPTH + 1];
    struct node **sorted = mem_new(count * sizeof(struct node *));
    for (size_t i = 0; i < loader->count; i++)
        if (loader->orphans[i].directory)
            sorted[starts[loader->orphans[i].reach]++] = loader->orphans[i].node;
    for (size_t i = 0; i < count && sorted[i]->parent != NULL; i++) {
        int64_t bytes, nodes;
        tree_weight(sorted[i], &bytes, &nodes);
        struct directory *parent = node_directory(sorted[i]->parent);
        parent->subtree_bytes += (uint64_t)bytes;
        parent->subtree_nodes += (uint64_t)nodes;
    }
    free(sorted);
}

static bool assemble(struct snapshot_loader *loader)
{
    struct state *state = loader->state;
    if (loader->count != loader->nodes || loader->count == 0)
        return false;
    sort_orphans(loader);
    const struct orphan *root = loader->orphans;
    if (root->id != ROOT_ID || root->parent != 0 || root->reach > LIMIT_DEPTH)
        return false;
    state->root = root->node;
    if (!enter_ids(loader) || !adopt_all(loader))
        return false;
    sum_up(loader);
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
