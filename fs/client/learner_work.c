/* The requests and syncs that wait. */
#include "fs/client/learner_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- requests --- */

/* Completes a request that ends; a late one twice, if the outcome is not known and was not told to be so before. */
static void complete(const struct pending *pending, const struct result *result, struct learner_output *output)
{
    if (pending->done == NULL)
        return;
    if (!pending->abandoned || pending->late)
        learner_add_complete(output, pending->done, pending->arg, result);
    if (!pending->abandoned && pending->late && result->code == ERR_OUTCOME_UNKNOWN)
        learner_add_complete(output, pending->done, pending->arg, result);
}

static void fail_request(struct learner *learner, struct pending *pending, int code, struct learner_output *output)
{
    complete(pending, &(struct result){.code = code}, output);
    requests_remove(&learner->requests, pending);
}

void learner_fail_unsent(struct learner *learner, int code, struct learner_output *output)
{
    while (learner->requests.unsent != NULL)
        fail_request(learner, learner->requests.unsent, code, output);
}

void learner_fail_sent(struct learner *learner, struct learner_output *output)
{
    while (learner->requests.first != NULL && learner->requests.first->number != 0)
        fail_request(learner, learner->requests.first, ERR_OUTCOME_UNKNOWN, output);
}

static void send_request(struct learner *learner, const struct pending *pending, struct learner_output *output)
{
    struct message_submit *submit = &learner_add_send(output, MESSAGE_SUBMIT)->submit;
    submit->number = pending->number;
    submit->awaited = requests_awaited(&learner->requests, pending->number);
    submit->request = pending->abandoned ? learner->noop : pending->request;
}

/* Whether what waits does so until it is as many as are on their way, or few of these are left: the replica is busy
 * with those, and a message for each would cost it, and us, more than a request does. */
static bool gathers(const struct learner *learner)
{
    const struct requests *requests = &learner->requests;
    return requests->sent_count >= LEARNER_GATHER_FROM && requests->unsent_count < requests->sent_count;
}

void learner_send_waiting(struct learner *learner, struct learner_output *output)
{
    if (learner->phase != ATTACHED || learner->closing || learner->now_ms >= learner_expiry_ms(learner))
        return;
    struct pending *pending;
    while ((pending = requests_send_next(&learner->requests)) != NULL) {
        estate_sent(learner, pending);
        send_request(learner, pending, output);
    }
}

void learner_flush(struct learner *learner, struct learner_output *output)
{
    if (!gathers(learner))
        learner_send_waiting(learner, output);
}

void learner_resend(struct learner *learner, struct learner_output *output)
{
    const struct pending *pending = learner->requests.first;
    for (; pending != NULL && pending->number != 0; pending = pending->next)
        send_request(learner, pending, output);
}

/* Every request has the same op_timeout, so their deadlines are in the order of the list. */
void learner_time_out_requests(struct learner *learner, struct learner_output *output)
{
    struct pending *pending, *next;
    for (pending = learner->requests.first; pending != NULL && pending->deadline_ms <= learner->now_ms;
         pending = next) {
        next = pending->next;
        if (pending->number == 0) {
            fail_request(learner, pending, ERR_NO_QUORUM, output);
        } else if (!pending->abandoned) {
            learner_add_complete(output, pending->done, pending->arg, &(struct result){.code = ERR_OUTCOME_UNKNOWN});
            requests_abandon(&learner->requests, pending);
            estate_abandoned(learner, pending->number);
        }
    }
}

/* The result of the session's request `number`. The state machine takes numbers in order and so do we: it is the
 * first in the list, or was settled by a snapshot before. */
void learner_answer(struct learner *learner, uint64_t number, const struct result *result,
                    struct learner_output *output)
{
    struct pending *pending = learner->requests.first;
    if (pending == NULL || pending->number != number)
        return;
    estate_answered(learner, number, result);
    complete(pending, result, output);
    requests_remove(&learner->requests, pending);
}

/* --- syncs --- */

static void remove_sync(struct learner *learner, struct sync **at)
{
    struct sync *sync = *at;
    *at = sync->next;
    if (sync->next == NULL)
        learner->syncs_end = at;
    learner->sync_count--;
    free(sync);
}

static void send_sync(const struct sync *sync, struct learner_output *output)
{
    learner_add_send(output, MESSAGE_SYNC)->sync.id = sync->id;
}

void learner_resend_syncs(struct learner *learner, struct learner_output *output)
{
    for (const struct sync *sync = learner->syncs; sync != NULL; sync = sync->next)
        if (sync->zxid == 0)
            send_sync(sync, output);
}

void learner_complete_syncs(struct learner *learner, struct learner_output *output)
{
    struct sync **at = &learner->syncs;
    while (*at != NULL) {
        struct sync *sync = *at;
        if (sync->zxid == 0 || sync->zxid > learner->applied) {
            at = &sync->next;
            continue;
        }
        learner_add_complete(output, sync->done, sync->arg, &(struct result){.code = ERR_OK, .zxid = sync->zxid});
        remove_sync(learner, at);
    }
}

void learner_fail_syncs(struct learner *learner, uint64_t due_ms, int code, struct learner_output *output)
{
    while (learner->syncs != NULL && learner->syncs->deadline_ms <= due_ms) {
        learner_add_complete(output, learner->syncs->done, learner->syncs->arg, &(struct result){.code = code});
        remove_sync(learner, &learner->syncs);
    }
}

void learner_synced(struct learner *learner, const struct message_sync *synced, struct learner_output *output)
{
    for (struct sync *sync = learner->syncs; sync != NULL; sync = sync->next)
        if (sync->id == synced->id && sync->zxid == 0)
            sync->zxid = synced->zxid;
    learner_complete_syncs(learner, output);
}

void learner_forget_syncs(struct learner *learner)
{
    while (learner->syncs != NULL)
        remove_sync(learner, &learner->syncs);
}

/* --- from outside --- */

int learner_writable(const struct learner *learner)
{
    if (learner->observer)
        return ERR_READ_ONLY;
    if (learner->closing || learner->phase == CLOSED)
        return ERR_SESSION_EXPIRED;
    if (learner_no_leader(learner))
        return ERR_NO_QUORUM;
    /* Until the new session is there, nothing is taken: a request of the old one's time must not land in it. */
    return learner->state == CLIENT_EXPIRED ? ERR_SESSION_EXPIRED : ERR_OK;
}

int learner_submit(struct learner *learner, uint64_t now_ms, struct bytes request, client_done done, void *arg,
                   uint64_t *ticket, struct learner_output *output)
{
    return learner_submit_on(learner, now_ms, request, &(struct client_terms){0}, done, arg, ticket, output);
}

int learner_submit_on(struct learner *learner, uint64_t now_ms, struct bytes request, const struct client_terms *terms,
                      client_done done, void *arg, uint64_t *ticket, struct learner_output *output)
{
    int code = learner_writable(learner);
    if (code == ERR_OK && terms->session != 0 && terms->session != learner->session)
        code = ERR_SESSION_EXPIRED;
    if (code != ERR_OK)
        return code;
    if (!requests_have_room(&learner->requests, request.len))
        return ERR_TOO_MANY;
    learner_pass_time(learner, now_ms);
    struct pending *pending = requests_add(&learner->requests, request, learner->now_ms + learner->op_timeout_ms);
    pending->done = done;
    pending->arg = arg;
    pending->late = terms->late;
    pending->tag = terms->tag;
    *ticket = pending->ticket;
    learner_flush(learner, output);
    return ERR_OK;
}

bool learner_withdraw(struct learner *learner, uint64_t now_ms, uint64_t ticket, struct learner_output *output)
{
    learner_pass_time(learner, now_ms);
    struct pending *pending = requests_find_unsent(&learner->requests, ticket);
    if (pending == NULL)
        return false;
    learner_send_waiting(learner, output); /* what only waits for others is as good as sent */
    if (pending->number != 0)
        return false;
    fail_request(learner, pending, ERR_INTERRUPTED, output);
    return true;
}

int learner_sync(struct learner *learner, uint64_t now_ms, client_done done, void *arg, struct learner_output *output)
{
    if (learner->closing || learner->phase == CLOSED)
        return ERR_SESSION_EXPIRED;
    if (learner_no_leader(learner))
        return ERR_NO_QUORUM;
    if (learner->sync_count >= LIMIT_SYNCS)
        return ERR_TOO_MANY;
    learner_pass_time(learner, now_ms);
    struct sync *sync = calloc(1, sizeof *sync);
    assert(sync != NULL);
    sync->id = ++learner->last_sync;
    sync->deadline_ms = learner->now_ms + learner->op_timeout_ms;
    sync->done = done;
    sync->arg = arg;
    *learner->syncs_end = sync;
    learner->syncs_end = &sync->next;
    learner->sync_count++;
    if (learner->phase == ATTACHED)
        send_sync(sync, output);
    return ERR_OK;
}
