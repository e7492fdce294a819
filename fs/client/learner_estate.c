/* Writing down what is to be left, and taking it over. */
#include "fs/client/learner_estate.h"

#include <assert.h>
#include <string.h>

#include "fs/client/learner_internal.h"

static struct estate_request *slot_of(struct client_estate *estate, uint64_t number)
{
    return &estate->requests[number % ESTATE_REQUESTS];
}

/* The session is named last: without it nothing counts. */
void estate_begin(const struct learner *learner)
{
    struct client_estate *estate = learner->estate;
    if (estate == NULL)
        return;
    atomic_store(&estate->session, 0);
    memcpy(estate->nonce, learner->nonce, sizeof estate->nonce);
    memcpy(estate->secret, learner->secret, sizeof estate->secret);
    memcpy(estate->cluster, learner->cluster, sizeof estate->cluster);
    estate->timeout_ms = learner->timeout_ms;
    atomic_store(&estate->renewed_ms, learner->renewed_ms);
    atomic_store(&estate->last_number, 0);
    atomic_store(&estate->answered, 0);
    atomic_store(&estate->session, learner->session);
}

void estate_renewed(const struct learner *learner)
{
    if (learner->estate != NULL)
        atomic_store(&learner->estate->renewed_ms, learner->renewed_ms);
}

void estate_end(const struct learner *learner)
{
    if (learner->estate != NULL)
        atomic_store(&learner->estate->session, 0);
}

void estate_applied(const struct learner *learner)
{
    if (learner->estate != NULL && learner->applied > atomic_load(&learner->estate->shown))
        atomic_store(&learner->estate->shown, learner->applied);
}

/* --- requests --- */

/* Numbers are answered in their order: so the oldest bytes are free first. */
static size_t keep_bytes(struct client_estate *estate, struct bytes request)
{
    size_t at = estate->next_byte + request.len <= ESTATE_BYTES ? estate->next_byte : 0;
    if (request.len > 0)
        memcpy(estate->bytes + at, request.at, request.len);
    estate->next_byte = at + request.len;
    return at;
}

/* Before it is sent. */
void estate_sent(const struct learner *learner, const struct pending *pending)
{
    struct client_estate *estate = learner->estate;
    if (estate == NULL)
        return;
    struct estate_request *slot = slot_of(estate, pending->number);
    slot->number = 0;
    atomic_store(&slot->done, false);
    slot->session = learner->session;
    slot->tag = pending->tag;
    slot->at = keep_bytes(estate, pending->request);
    slot->len = pending->request.len;
    slot->number = pending->number;
    atomic_store(&estate->last_number, pending->number);
}

void estate_abandoned(const struct learner *learner, uint64_t number)
{
    if (learner->estate != NULL)
        slot_of(learner->estate, number)->len = 0;
}

void estate_answered(const struct learner *learner, uint64_t number, const struct result *result)
{
    struct client_estate *estate = learner->estate;
    if (estate == NULL)
        return;
    struct estate_request *slot = slot_of(estate, number);
    slot->result = *result;
    atomic_store(&slot->done, true);
    atomic_store(&estate->answered, number);
}

/* One whose number was not made known before the end was not sent. */
static bool was_sent(const struct client_estate *estate, const struct estate_request *slot)
{
    bool current = slot->session == atomic_load(&estate->session);
    return slot->number != 0 && (!current || slot->number <= atomic_load(&estate->last_number));
}

bool estate_find(const struct client_estate *estate, uint64_t tag, struct result *result)
{
    const struct estate_request *found = NULL;
    for (size_t i = 0; i < ESTATE_REQUESTS; i++) {
        const struct estate_request *slot = &estate->requests[i];
        if (tag != 0 && was_sent(estate, slot) && slot->tag == tag &&
            (found == NULL || slot->session > found->session ||
             (slot->session == found->session && slot->number > found->number)))
            found = slot;
    }
    if (found == NULL)
        return false;
    *result = atomic_load(&found->done) ? found->result : (struct result){.code = ERR_OUTCOME_UNKNOWN};
    return true;
}

/* --- taking over --- */

void estate_inherit(struct learner *learner)
{
    struct client_estate *estate = learner->estate;
    if (estate == NULL)
        return;
    uint64_t session = atomic_load(&estate->session);
    learner->floor = atomic_load(&estate->shown);
    memcpy(learner->cluster, estate->cluster, sizeof learner->cluster);
    if (session == 0)
        return;
    learner->session = session;
    learner->timeout_ms = estate->timeout_ms;
    learner->renewed_ms = atomic_load(&estate->renewed_ms);
    memcpy(learner->nonce, estate->nonce, sizeof learner->nonce);
    memcpy(learner->secret, estate->secret, sizeof learner->secret);
    learner->inherited = atomic_load(&estate->last_number);
    learner->requests.last_number = atomic_load(&estate->answered);
    while (learner->requests.last_number < learner->inherited) {
        const struct estate_request *slot = slot_of(estate, learner->requests.last_number + 1);
        assert(slot->number == learner->requests.last_number + 1 && slot->at + slot->len <= ESTATE_BYTES);
        requests_restore(&learner->requests, (struct bytes){estate->bytes + slot->at, slot->len}, slot->tag);
    }
}

bool estate_settled(const struct learner *learner)
{
    const struct pending *first = learner->requests.first;
    return first == NULL || first->number == 0 || first->number > learner->inherited;
}
