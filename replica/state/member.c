/* member.c - which data directory speaks for which replica. Begins with state version 2. */
#include <string.h>

#include "replica/state/internal.h"

/* Where a member of that id is, or would be. */
static size_t place_of(const struct state *state, uint32_t id)
{
    size_t at = 0;
    while (at < state->member_count && state->members[at].id < id)
        at++;
    return at;
}

struct member_info *member_find(struct state *state, uint32_t id)
{
    size_t at = place_of(state, id);
    return at < state->member_count && state->members[at].id == id ? &state->members[at] : NULL;
}

bool member_add(struct state *state, const struct member_info *member)
{
    if (state->member_count == LIMIT_REPLICAS)
        return false;
    size_t at = place_of(state, member->id);
    memmove(&state->members[at + 1], &state->members[at], (state->member_count - at) * sizeof *member);
    state->members[at] = *member;
    state->member_count++;
    return true;
}

int apply_set_member(struct apply *apply, const struct op_set_member *op)
{
    struct member_info member = {.id = op->id, .zxid = apply->state->zxid};
    memcpy(member.incarnation, op->incarnation, sizeof member.incarnation);
    struct member_info *known = member_find(apply->state, op->id);
    if (known == NULL)
        return member_add(apply->state, &member) ? ERR_OK : ERR_TOO_MANY;
    if (memcmp(known->incarnation, op->incarnation, sizeof op->incarnation) != 0)
        *known = member;
    return ERR_OK;
}

bool state_member(const struct state *state, uint32_t id, uint8_t incarnation[INCARNATION_BYTES])
{
    size_t at = place_of(state, id);
    if (at == state->member_count || state->members[at].id != id)
        return false;
    memcpy(incarnation, state->members[at].incarnation, INCARNATION_BYTES);
    return true;
}

bool state_next_member(const struct state *state, uint32_t *id, struct member_info *member)
{
    size_t at = place_of(state, *id + 1);
    if (at == state->member_count)
        return false;
    *member = state->members[at];
    *id = member->id;
    return true;
}
