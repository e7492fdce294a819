#include <stdlib.h>
#include <string.h>

#include "replica/state/lock.h"
#include "replica/state/mem.h"
#include "replica/state/plant.h"

int apply_create_session(struct apply *apply, const struct op_create_session *op)
{
    struct state *state = apply->state;
    struct session *session = session_find_nonce(state, op->nonce);
    if (session != NULL) {
        if (memcmp(session->info.secret_hash, op->secret_hash, SESSION_HASH_BYTES) != 0)
            return ERR_ACCESS; /* nonces are no secret: every mount sees them */
        apply->result->id = session->info.id;
        return ERR_OK;
    }
    if (state->sessions_by_id.count >= LIMIT_SESSIONS)
        return ERR_TOO_MANY;
    struct session_info info = {
        .id = state->next_session++, .timeout_ms = op->timeout_ms, .opened_ns = apply->now_ns, .pid = op->pid};
    memcpy(info.nonce, op->nonce, sizeof info.nonce);
    memcpy(info.secret_hash, op->secret_hash, sizeof info.secret_hash);
    if (op->host.len > 0)
        memcpy(info.host, op->host.at, op->host.len);
    session = session_new(state, &info);
    session_after_change(state, session);
    apply->result->id = info.id;
    struct change *change = changes_add(apply->changes, CHANGE_SESSION_OPEN, NULL);
    if (change != NULL) {
        change->id = info.id;
        change->name = changes_name((struct bytes){"", 0});
    }
    return ERR_OK;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return (first > second) - (first < second);
}

/* The ids of what goes with a session, each once, in order: the same on every replica. */
static size_t owned_ids(const struct session *session, uint64_t **ids)
{
    size_t count = 0;
    *ids = mem_new((session->info.ephemerals + 1) * sizeof **ids);
    for (const struct hook *hook = session->owned.next; hook != &session->owned; hook = hook->next)
        (*ids)[count++] = CONTAINER_OF(hook, struct more, owned)->node->id;
    for (const struct hook *hook = session->unborn.next; hook != &session->unborn; hook = hook->next) {
        const struct more *more = CONTAINER_OF(hook, struct more, unborn);
        if (more->attr.ephemeral_owner != session->info.id)
            (*ids)[count++] = more->node->id;
    }
    qsort(*ids, count, sizeof **ids, compare_ids);
    return count;
}

/* None of them has children, so no deletion can be refused: each is committed by itself, as the journal of a million
 * would be large. */
static void delete_owned(struct apply *apply, struct session *session)
{
    uint64_t *ids;
    size_t count = owned_ids(session, &ids);
    for (size_t i = 0; i < count; i++) {
        struct node *node = tree_node(apply->state, ids[i]);
        if (STATE_BUG(EPHEMERAL_LEFT) && i == count - 1)
            plant_keep(apply->state, node);
        else
            apply_unlink(apply, node, false);
        journal_commit(apply->state);
    }
    free(ids);
}

int apply_close_session(struct apply *apply, const struct op_close_session *op)
{
    struct session *session = session_find(apply->state, op->session);
    if (session == NULL)
        return ERR_NO_SESSION;
    delete_owned(apply, session);
    apply_drop_locks(apply, session);
    session_remove(apply->state, session);
    apply->result->id = op->session;
    struct change *change = changes_add(apply->changes, CHANGE_SESSION_CLOSE, NULL);
    if (change != NULL) {
        change->id = op->session;
        change->name = changes_name((struct bytes){"", 0});
    }
    return ERR_OK;
}
