#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "replica/state/hash.h"
#include "replica/state/internal.h"
#include "replica/state/mem.h"

static struct session *session_of_id(const struct link *link)
{
    return link == NULL ? NULL : CONTAINER_OF(link, struct session, by_id);
}

static struct session *session_of_nonce(const struct link *link)
{
    return link == NULL ? NULL : CONTAINER_OF(link, struct session, by_nonce);
}

static uint64_t hash_id(const struct link *link)
{
    return hash_mix(session_of_id(link)->info.id);
}

static uint64_t hash_nonce(const struct link *link)
{
    return hash_bytes(session_of_nonce(link)->info.nonce, SESSION_NONCE_BYTES, 0);
}

void session_init(struct state *state)
{
    table_init(&state->sessions_by_id, hash_id);
    table_init(&state->sessions_by_nonce, hash_nonce);
    hook_init(&state->sessions);
}

struct session *session_find(const struct state *state, uint64_t id)
{
    struct session *session = session_of_id(table_chain(&state->sessions_by_id, hash_mix(id)));
    while (session != NULL && session->info.id != id)
        session = session_of_id(session->by_id.next);
    return session;
}

struct session *session_find_nonce(const struct state *state, const uint8_t *nonce)
{
    uint64_t hash = hash_bytes(nonce, SESSION_NONCE_BYTES, 0);
    struct session *session = session_of_nonce(table_chain(&state->sessions_by_nonce, hash));
    while (session != NULL && memcmp(session->info.nonce, nonce, SESSION_NONCE_BYTES) != 0)
        session = session_of_nonce(session->by_nonce.next);
    return session;
}

static struct session *session_at(const struct state *state, struct hook *order)
{
    return order == &state->sessions ? NULL : CONTAINER_OF(order, struct session, order);
}

struct session *session_first(const struct state *state)
{
    return session_at(state, state->sessions.next);
}

struct session *session_next(const struct state *state, const struct session *session)
{
    return session_at(state, session->order.next);
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t first = (*(struct session *const *)a)->info.id, second = (*(struct session *const *)b)->info.id;
    return (first > second) - (first < second);
}

void session_sort(struct state *state)
{
    size_t count = 0;
    struct session **list = mem_new((state->sessions_by_id.count + 1) * sizeof(*list));
    for (struct session *session = session_first(state); session != NULL; session = session_next(state, session))
        list[count++] = session;
    qsort(list, count, sizeof(*list), compare_ids);
    for (size_t i = 0; i < count; i++) {
        hook_remove(&list[i]->order);
        hook_insert(&list[i]->order, &state->sessions);
    }
    free(list);
}

struct session *session_new(struct state *state, const struct session_info *info)
{
    struct session *session = mem_new(sizeof *session);
    session->info = *info;
    session->changed_zxid = state->zxid;
    hook_init(&session->owned);
    hook_init(&session->unborn);
    hook_init(&session->held);
    hook_init(&session->waits);
    hook_insert(&session->order, &state->sessions);
    table_insert(&state->sessions_by_id, &session->by_id);
    table_insert(&state->sessions_by_nonce, &session->by_nonce);
    return session;
}

void session_free(struct session *session)
{
    for (uint32_t i = 0; i < session->kept; i++)
        blob_unref(session_kept(session, i)->name);
    free(session->results);
    free(session);
}

void session_remove(struct state *state, struct session *session)
{
    assert(hook_alone(&session->owned) && hook_alone(&session->unborn));
    assert(hook_alone(&session->held) && hook_alone(&session->waits));
    session_before_change(state, session);
    snapshot_skip_session(state, session);
    hook_remove(&session->order);
    table_remove(&state->sessions_by_id, &session->by_id);
    table_remove(&state->sessions_by_nonce, &session->by_nonce);
    session_free(session);
}

void session_before_change(struct state *state, struct session *session)
{
    snapshot_save_session(state, session);
    state->sessions_sum -= digest_session(session);
    session->changed_zxid = state->zxid;
}

void session_after_change(struct state *state, struct session *session)
{
    state->sessions_sum += digest_session(session);
}

/* --- kept results --- */

const struct kept_result *session_kept(const struct session *session, uint32_t index)
{
    assert(index < session->kept);
    return &session->results[(session->head + index) % session->capacity];
}

uint64_t session_kept_number(const struct session *session, uint32_t index)
{
    return session->info.last_number - session->kept + 1 + index;
}

static void grow(struct session *session)
{
    uint32_t capacity = session->capacity == 0 ? 4 : session->capacity * 2;
    struct kept_result *results = mem_new(capacity * sizeof *results);
    for (uint32_t i = 0; i < session->kept; i++)
        results[i] = *session_kept(session, i);
    free(session->results);
    session->results = results;
    session->capacity = capacity;
    session->head = 0;
}

static void drop_oldest(struct session *session)
{
    const struct kept_result *oldest = session_kept(session, 0);
    session->results_sum -= digest_result(session_kept_number(session, 0), oldest, session->info.id);
    blob_unref(oldest->name);
    session->head = (session->head + 1) % session->capacity;
    session->kept--;
}

void session_keep(struct session *session, uint64_t number, const struct kept_result *result)
{
    if (session->kept == session->capacity)
        grow(session);
    session->results[(session->head + session->kept++) % session->capacity] = *result;
    session->results_sum += digest_result(number, result, session->info.id);
}

void session_record(struct state *state, struct session *session, const struct entry *entry,
                    const struct result *result)
{
    session_before_change(state, session);
    while (session->kept > 0 && session_kept_number(session, 0) < entry->awaited)
        drop_oldest(session);
    if (session->kept == LIMIT_RESULTS)
        drop_oldest(session);
    session->info.last_number = entry->number;
    struct kept_result kept = {.zxid = result->zxid,
                               .id = result->id,
                               .code = (uint32_t)result->code,
                               .failed = result->failed,
                               .name = blob_new(result->name, result->name_len)};
    session_keep(session, entry->number, &kept);
    session_after_change(state, session);
}

bool state_result(const struct state *state, uint64_t id, uint64_t number, struct result *result)
{
    const struct session *session = session_find(state, id);
    if (session == NULL || session->kept == 0 || number > session->info.last_number ||
        number < session_kept_number(session, 0))
        return false;
    const struct kept_result *kept = session_kept(session, (uint32_t)(number - session_kept_number(session, 0)));
    struct bytes name = blob_bytes(kept->name);
    *result = (struct result){.code = (int)kept->code, .zxid = kept->zxid, .id = kept->id, .failed = kept->failed};
    result->name_len = (uint32_t)name.len;
    memcpy(result->name, name.at, name.len);
    return true;
}

/* --- reading --- */

static bool tell(const struct session *session, struct session_info *info)
{
    if (session == NULL)
        return false;
    *info = session->info;
    return true;
}

bool state_session(const struct state *state, uint64_t id, struct session_info *info)
{
    return tell(session_find(state, id), info);
}

bool state_session_by_nonce(const struct state *state, const uint8_t *nonce, struct session_info *info)
{
    return tell(session_find_nonce(state, nonce), info);
}

bool state_next_session(const struct state *state, uint64_t *id, struct session_info *info)
{
    const struct session *session = *id == 0 ? NULL : session_find(state, *id);
    session = session != NULL ? session_next(state, session) : session_first(state);
    while (session != NULL && session->info.id <= *id)
        session = session_next(state, session);
    if (!tell(session, info))
        return false;
    *id = session->info.id;
    return true;
}
