/* update.c - the list of actions a step leaves for its caller. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "replica/zab/internal.h"

void zab_update_free(struct zab_update *update)
{
    free(update->list);
    *update = (struct zab_update){0};
}

struct zab_action *emit(struct zab *zab, enum zab_action_kind kind)
{
    struct zab_update *out = zab->out;
    if (out->count == out->capacity) {
        out->capacity = out->capacity == 0 ? 16 : 2 * out->capacity;
        out->list = realloc(out->list, out->capacity * sizeof *out->list);
        if (out->list == NULL)
            abort();
    }
    struct zab_action *action = &out->list[out->count++];
    memset(action, 0, sizeof *action);
    action->kind = kind;
    return action;
}

void emit_send(struct zab *zab, const struct peer *peer, const struct zab_message *message)
{
    if (!peer->linked)
        return; /* nothing is queued for a link that is down: it begins anew when it comes up */
    struct zab_action *action = emit(zab, ZAB_SEND);
    action->peer = peer->id;
    action->message = *message;
    action->message.voter = zab->epochs.voter;
}

void emit_epochs(struct zab *zab, struct zab_epochs epochs)
{
    assert(epochs.accepted >= zab->epochs.accepted && epochs.current <= epochs.accepted);
    zab->epochs = epochs;
    emit(zab, ZAB_SET_EPOCHS)->epochs = epochs;
}

void emit_role(struct zab *zab)
{
    struct zab_action *action = emit(zab, ZAB_ROLE);
    action->role = zab->role;
    action->leader = zab->leader;
    action->epoch = zab_epoch(zab);
}

void emit_drop(struct zab *zab, struct peer *peer, int code)
{
    struct zab_action *action = emit(zab, ZAB_DROP);
    action->peer = peer->id;
    action->code = code;
    peer->linked = false;
    peer->voted = peer->answered = false;
    peer->stage = AWAY;
    peer->fed = peer->welcomed = false;
}

void emit_fatal(struct zab *zab, int code)
{
    emit(zab, ZAB_FATAL)->code = code;
    zab->fatal = true;
}
