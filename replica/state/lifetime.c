/* lifetime.c - which znodes go with a session, and which may become due: lists that follow from the znodes. */
#include <assert.h>

#include "replica/state/internal.h"
#include "replica/state/mem.h"
#include "replica/state/plant.h"

static bool may_become_due(const struct node *node)
{
    return node->more->attr.ttl_ms > 0 || (node_is_directory(node) && node_directory(node)->attr.container);
}

static struct node *node_of_due(const struct hook *due)
{
    return CONTAINER_OF(due, struct more, due)->node;
}

/* How many of a session's lists this znode counts in: once, if it is both ephemeral and unborn. */
static void count_owned(struct state *state, const struct more_attr *more, bool add)
{
    uint64_t owners[2] = {more->ephemeral_owner, more->unborn_of == more->ephemeral_owner ? 0 : more->unborn_of};
    for (int i = 0; i < 2; i++) {
        if (owners[i] == 0)
            continue;
        struct session *session = session_find(state, owners[i]);
        assert(session != NULL);
        session->info.ephemerals += add ? 1 : UINT64_MAX;
    }
}

void lifetime_unindex(struct state *state, struct node *node)
{
    struct more *more = node->more;
    if (more == NULL)
        return;
    if (!hook_alone(&more->owned) || !hook_alone(&more->unborn))
        count_owned(state, &more->attr, false);
    hook_remove(&more->owned);
    hook_remove(&more->unborn);
}

void lifetime_forget(struct state *state, struct node *node)
{
    lifetime_unindex(state, node);
    if (node->more != NULL)
        hook_remove(&node->more->due);
}

/* What gets a TTL is mostly new and has the highest id, so the place is near the end. */
static void index_due(struct state *state, struct more *more)
{
    struct hook *before = &state->due;
    while (before->prev != &state->due && node_of_due(before->prev)->id > more->node->id)
        before = before->prev;
    hook_insert(&more->due, before);
}

void lifetime_index(struct state *state, struct node *node)
{
    struct more *more = node->more;
    if (more == NULL)
        return;
    if (more->attr.ephemeral_owner != 0)
        hook_insert(&more->owned, &session_find(state, more->attr.ephemeral_owner)->owned);
    if (more->attr.unborn_of != 0)
        hook_insert(&more->unborn, &session_find(state, more->attr.unborn_of)->unborn);
    count_owned(state, &more->attr, true);
    bool listed = !hook_alone(&more->due), due = may_become_due(node);
    if (listed && !due)
        hook_remove(&more->due);
    if (due && !listed)
        index_due(state, more);
}

int lifetime_check(const struct lifetime *lifetime, const struct node *node, uint64_t session)
{
    bool directory = node_is_directory(node);
    bool container = lifetime->container || (directory && node_directory(node)->attr.container);
    bool ephemeral = lifetime->ephemeral || (node->more != NULL && node->more->attr.ephemeral_owner != 0);
    if ((lifetime->container && !directory) || (ephemeral && container))
        return ERR_INVALID;
    if (lifetime->ephemeral && session == 0)
        return ERR_NO_SESSION;
    if (lifetime->ephemeral && node_children(node) > 0)
        return ERR_EPHEMERAL_PARENT;
    return ERR_OK;
}

/* --- due --- */

static bool ttl_over(const struct more *more, int64_t now_ns)
{
    const uint64_t ns_per_ms = 1000000;
    const int64_t from_ns = STATE_BUG(TTL_BY_MTIME) ? more->node->attr.mtime_ns : more->attr.ttl_from_ns;
    return more->attr.ttl_ms > 0 && now_ns > from_ns &&
           (uint64_t)now_ns - (uint64_t)from_ns >= more->attr.ttl_ms * ns_per_ms;
}

static bool is_due(const struct node *node, int64_t now_ns)
{
    if (node_children(node) > 0)
        return false;
    bool left =
        node_is_directory(node) && node_directory(node)->attr.container && node_directory(node)->attr.had_children;
    return left || ttl_over(node->more, now_ns);
}

/* Where a scan that has done `after_id` goes on: behind it if it is still there, else from the start. */
static const struct hook *resume(const struct state *state, uint64_t after_id)
{
    const struct node *node = after_id == 0 ? NULL : tree_node(state, after_id);
    if (node != NULL && node->more != NULL && !hook_alone(&node->more->due))
        return node->more->due.next;
    return state->due.next;
}

bool state_next_due(const struct state *state, int64_t now_ns, uint64_t after_id, struct op_delete *del)
{
    for (const struct hook *hook = resume(state, after_id); hook != &state->due; hook = hook->next) {
        const struct node *node = node_of_due(hook);
        if (node->id <= after_id || !is_due(node, now_ns))
            continue;
        *del = (struct op_delete){.at = {node->id, {"", 0}}, .type = DELETE_ANY, .version = NO_VERSION_CHECK};
        del->expect_id = node->id;
        del->expect_zxid = node_last_change(node);
        return true;
    }
    return false;
}
