#include "replica/state/state.h"

#include <assert.h>
#include <stdlib.h>

#include "replica/state/lock.h"
#include "replica/state/mem.h"

struct state *state_blank(void)
{
    struct state *state = mem_new(sizeof *state);
    table_init(&state->by_id, tree_hash_id);
    table_init(&state->by_name, tree_hash_name);
    session_init(state);
    hook_init(&state->due);
    state->version = STATE_VERSION_MIN;
    state->next_id = ROOT_ID + 1;
    state->next_session = 1;
    return state;
}

struct state *state_new(void)
{
    struct state *state = state_blank();
    state->root = node_new(ROOT_ID, KIND_DIRECTORY);
    state->root->attr.mode = 0755;
    table_insert(&state->by_id, &state->root->by_id);
    state->nodes_sum = digest_node(state->root);
    return state;
}

static void free_nodes(struct state *state)
{
    for (size_t i = 0; i < state->by_id.buckets; i++) {
        for (struct link *link = state->by_id.slots[i]; link != NULL;) {
            struct link *next = link->next;
            node_free(node_of(link));
            link = next;
        }
    }
}

void state_free(struct state *state)
{
    if (state == NULL)
        return;
    for (size_t i = 0; i < LIMIT_SNAPSHOT_CURSORS; i++)
        assert(state->cursors[i] == NULL);
    free_nodes(state);
    lock_free_all(state);
    for (struct session *session = session_first(state), *next; session != NULL; session = next) {
        next = session_next(state, session);
        session_free(session);
    }
    table_free(&state->by_id);
    table_free(&state->by_name);
    table_free(&state->sessions_by_id);
    table_free(&state->sessions_by_nonce);
    journal_free(&state->journal);
    free(state);
}

uint64_t state_zxid(const struct state *state)
{
    return state->zxid;
}

int64_t state_stamp_ns(const struct state *state)
{
    return state->stamp_ns;
}

uint32_t state_version(const struct state *state)
{
    return state->version;
}

const uint8_t *state_cluster(const struct state *state)
{
    return state->cluster;
}

uint64_t state_nodes(const struct state *state)
{
    return node_directory(state->root)->subtree_nodes;
}

uint64_t state_bytes(const struct state *state)
{
    return node_directory(state->root)->subtree_bytes;
}
