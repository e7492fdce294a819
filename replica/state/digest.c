/* digest.c - one number for everything that a later entry can depend on: a sum of hashes, kept up to date. */
#include <string.h>

#include "replica/state/hash.h"
#include "replica/state/record.h"

enum { SEED_NODE = 1, SEED_SESSION, SEED_RESULT, SEED_GLOBALS, SEED_MEMBER, SEED_LOCK };

uint64_t digest_node(const struct node *node)
{
    uint8_t head[RECORD_HEAD_MAX_BYTES];
    return digest_head((struct bytes){head, record_node(node, head)});
}

uint64_t digest_head(struct bytes head)
{
    return hash_bytes(head.at, head.len, SEED_NODE);
}

uint64_t digest_session(const struct session *session)
{
    uint8_t head[RECORD_HEAD_MAX_BYTES];
    return hash_bytes(head, record_session(session, head), SEED_SESSION) + session->results_sum;
}

uint64_t digest_result(uint64_t number, const struct kept_result *result, uint64_t session)
{
    uint8_t record[RECORD_RESULT_MAX_BYTES];
    return hash_bytes(record, record_result(number, result, record), hash_mix(session) + SEED_RESULT);
}

uint64_t digest_lock(const struct lock *lock)
{
    uint8_t record[RECORD_HEAD_MAX_BYTES];
    return hash_bytes(record, record_lock(lock, record), SEED_LOCK);
}

static uint64_t digest_globals(const struct state *state)
{
    uint8_t record[RECORD_HEAD_MAX_BYTES];
    return hash_bytes(record, record_globals(state, record), SEED_GLOBALS);
}

static uint64_t digest_members(const struct state *state)
{
    uint64_t sum = 0;
    uint8_t record[RECORD_HEAD_MAX_BYTES];
    for (size_t i = 0; i < state->member_count; i++)
        sum += hash_bytes(record, record_member(&state->members[i], record), SEED_MEMBER);
    return sum;
}

uint64_t state_digest(const struct state *state)
{
    return state->nodes_sum + state->sessions_sum + state->locks.sum + digest_globals(state) + digest_members(state);
}

static uint64_t all_nodes(const struct state *state)
{
    uint64_t sum = 0, cursor = 0;
    for (const struct node *node; (node = state_each_node(state, &cursor)) != NULL;)
        sum += digest_node(node);
    return sum;
}

static uint64_t results_sum(const struct session *session)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < session->kept; i++)
        sum += digest_result(session_kept_number(session, i), session_kept(session, i), session->info.id);
    return sum;
}

uint64_t digest_all_sessions(const struct state *state)
{
    uint64_t sum = 0;
    for (struct session *session = session_first(state); session != NULL; session = session_next(state, session))
        sum += digest_session(session) - session->results_sum + results_sum(session);
    return sum;
}

static uint64_t list_sum(const struct hook *list)
{
    uint64_t sum = 0;
    for (const struct lock *lock = lock_first(list); lock != NULL; lock = lock_next(list, lock))
        sum += digest_lock(lock);
    return sum;
}

uint64_t digest_all_locks(const struct state *state)
{
    uint64_t sum = 0;
    for (const struct locked *locked = locked_from(state, 0); locked != NULL;
         locked = locked_from(state, locked->by_id.key + 1))
        sum += list_sum(&locked->holders) + list_sum(&locked->waiters);
    return sum;
}

uint64_t state_digest_recompute(const struct state *state)
{
    return all_nodes(state) + digest_all_sessions(state) + digest_all_locks(state) + digest_globals(state) +
           digest_members(state);
}
