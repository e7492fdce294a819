/* check.c - whether what is kept agrees with what it follows from (internal.h, invariants 1, 3, 5, 6). */
#include "replica/state/lock.h"
#include "replica/state/mem.h"

struct sums {
    uint64_t bytes, nodes;
    uint32_t children, subdirs;
};

static const char *check_children(const struct node *node, struct sums *sums)
{
    const struct node *prev = NULL;
    for (const struct node *child = node_first_child(node); child != NULL; prev = child, child = child->next) {
        int64_t bytes, nodes;
        tree_weight(child, &bytes, &nodes);
        sums->bytes += (uint64_t)bytes;
        sums->nodes += (uint64_t)nodes;
        sums->children++;
        sums->subdirs += node_is_directory(child);
        if (child->parent != node || child->prev != prev)
            return "a child is not linked to its parent or sibling";
        if (tree_reach(child) >= tree_reach(node))
            return "a directory's reach is below the height of a child";
    }
    return node_directory(node)->last == prev ? NULL : "a list of children ends wrongly";
}

static const char *check_directory(const struct node *node)
{
    struct sums sums = {data_size(node->attr.data), 1, 0, 0};
    const struct directory *directory = node_directory(node);
    const char *wrong = check_children(node, &sums);
    if (wrong != NULL)
        return wrong;
    if (sums.bytes != directory->subtree_bytes || sums.nodes != directory->subtree_nodes)
        return "a directory's bytes or znodes are not the sum of its children's";
    if (sums.children != directory->children || sums.subdirs != directory->subdirs)
        return "a directory's children are miscounted";
    if (sums.children > 0 && (directory->more.attr.ephemeral_owner != 0 || !directory->attr.had_children))
        return "a directory has children that it cannot have";
    return NULL;
}

static const char *check_more(const struct state *state, const struct node *node)
{
    const struct more *more = node->more;
    if (more->node != node)
        return "a znode's extension points elsewhere";
    if ((more->attr.ephemeral_owner != 0) == hook_alone(&more->owned) ||
        (more->attr.unborn_of != 0) == hook_alone(&more->unborn))
        return "a session's list lacks what it owns, or has what it does not";
    if ((more->attr.ephemeral_owner != 0 && session_find(state, more->attr.ephemeral_owner) == NULL) ||
        (more->attr.unborn_of != 0 && session_find(state, more->attr.unborn_of) == NULL))
        return "an owner is no session";
    bool due = more->attr.ttl_ms > 0 || (node_is_directory(node) && node_directory(node)->attr.container);
    return due == hook_alone(&more->due) ? "the list of what may become due is wrong" : NULL;
}

static const char *check_node(const struct state *state, const struct node *node)
{
    if (node->attr.touch != 0)
        return "a znode is still marked as touched";
    if (tree_node(state, node->id) != node)
        return "a znode is not found by its id";
    if (node->parent == NULL ? node != state->root : tree_child(state, node->parent, node_name(node)) != node)
        return "a znode is not found by its name";
    const char *wrong = node->more == NULL ? NULL : check_more(state, node);
    return wrong == NULL && node_is_directory(node) ? check_directory(node) : wrong;
}

static const char *check_sessions(const struct state *state)
{
    uint64_t last = 0, count = 0, owned = 0, counted = 0;
    for (const struct session *session = session_first(state); session != NULL;
         session = session_next(state, session)) {
        if (session->info.id <= last || session->info.id >= state->next_session)
            return "the sessions are not in order";
        last = session->info.id;
        count++;
        counted += session->info.ephemerals;
        for (const struct hook *hook = session->owned.next; hook != &session->owned; hook = hook->next)
            owned++;
        for (const struct hook *hook = session->unborn.next; hook != &session->unborn; hook = hook->next)
            owned += CONTAINER_OF(hook, struct more, unborn)->attr.ephemeral_owner != session->info.id;
    }
    if (count != state->sessions_by_id.count || count != state->sessions_by_nonce.count)
        return "the sessions are miscounted";
    return owned == counted ? NULL : "a session's znodes are miscounted";
}

static const char *check_members(const struct state *state)
{
    uint32_t last = 0;
    if (state->member_count > 0 && state->version < STATE_VERSION_MEMBERS)
        return "there are members in a version without them";
    for (size_t i = 0; i < state->member_count; last = state->members[i++].id)
        if (state->members[i].id <= last || state->members[i].zxid > state->zxid)
            return "the members are not in order";
    return NULL;
}

const char *state_check(const struct state *state)
{
    uint64_t cursor = 0, count = 0;
    for (const struct node *node; (node = state_each_node(state, &cursor)) != NULL; count++) {
        const char *wrong = check_node(state, node);
        if (wrong != NULL)
            return wrong;
    }
    if (count != state_nodes(state) || count != state->by_id.count || count != state->by_name.count + 1)
        return "the znodes are miscounted";
    if (state->journal.step_count != 0 || state->journal.image_count != 0)
        return "the journal is not empty";
    if (state_digest(state) != state_digest_recompute(state))
        return "the digest kept is not the digest of the state";
    const char *wrong = check_sessions(state);
    if (wrong == NULL)
        wrong = check_members(state);
    return wrong == NULL ? lock_check_all(state) : wrong;
}
