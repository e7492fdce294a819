#include "fs/client/learner_requests.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool requests_have_room(const struct requests *requests, size_t bytes)
{
    return requests->unsent_count < LIMIT_UNSENT && requests->unsent_bytes + bytes <= LIMIT_UNSENT_BYTES;
}

static struct pending *append(struct requests *requests, struct bytes request, uint64_t deadline_ms)
{
    struct pending *pending = calloc(1, sizeof *pending);
    void *copy = malloc(request.len > 0 ? request.len : 1);
    assert(pending != NULL && copy != NULL);
    if (request.len > 0)
        memcpy(copy, request.at, request.len);
    pending->request = (struct bytes){copy, request.len};
    pending->deadline_ms = deadline_ms;
    pending->previous = requests->last;
    if (requests->last != NULL)
        requests->last->next = pending;
    else
        requests->first = pending;
    requests->last = pending;
    return pending;
}

struct pending *requests_add(struct requests *requests, struct bytes request, uint64_t deadline_ms)
{
    struct pending *pending = append(requests, request, deadline_ms);
    pending->ticket = ++requests->last_ticket;
    if (requests->unsent == NULL)
        requests->unsent = pending;
    requests->unsent_count++;
    requests->unsent_bytes += request.len;
    return pending;
}

void requests_restore(struct requests *requests, struct bytes request, uint64_t tag)
{
    assert(requests->unsent == NULL);
    struct pending *pending = append(requests, request, UINT64_MAX);
    pending->number = ++requests->last_number;
    pending->tag = tag;
    pending->abandoned = request.len == 0;
    requests->sent_count++;
    requests->sent_bytes += request.len;
}

struct pending *requests_send_next(struct requests *requests)
{
    struct pending *pending = requests->unsent;
    if (pending == NULL || requests->sent_count >= LIMIT_IN_FLIGHT)
        return NULL;
    /* A request larger than the room for bytes goes alone. */
    if (requests->sent_count > 0 && requests->sent_bytes + pending->request.len > LIMIT_IN_FLIGHT_BYTES)
        return NULL;
    requests->unsent = pending->next;
    requests->unsent_count--;
    requests->unsent_bytes -= pending->request.len;
    requests->sent_count++;
    requests->sent_bytes += pending->request.len;
    pending->number = ++requests->last_number;
    return pending;
}

uint64_t requests_awaited(const struct requests *requests, uint64_t number)
{
    const struct pending *pending = requests->first;
    while (pending != NULL && pending->abandoned && !pending->late)
        pending = pending->next;
    return pending != NULL && pending->number != 0 && pending->number < number ? pending->number : number;
}

void requests_abandon(struct requests *requests, struct pending *pending)
{
    assert(pending->number != 0 && !pending->abandoned);
    requests->sent_bytes -= pending->request.len;
    free((void *)pending->request.at);
    pending->request = (struct bytes){NULL, 0};
    pending->abandoned = true;
}

void requests_remove(struct requests *requests, struct pending *pending)
{
    if (pending->number != 0) {
        requests->sent_count--;
        requests->sent_bytes -= pending->request.len;
    } else {
        requests->unsent_count--;
        requests->unsent_bytes -= pending->request.len;
    }
    if (requests->unsent == pending)
        requests->unsent = pending->next;
    *(pending->previous != NULL ? &pending->previous->next : &requests->first) = pending->next;
    *(pending->next != NULL ? &pending->next->previous : &requests->last) = pending->previous;
    free((void *)pending->request.at);
    free(pending);
}

struct pending *requests_find_unsent(const struct requests *requests, uint64_t ticket)
{
    struct pending *pending = requests->unsent;
    while (pending != NULL && pending->ticket != ticket)
        pending = pending->next;
    return pending;
}

struct pending *requests_first_waiting(const struct requests *requests)
{
    struct pending *pending = requests->first;
    while (pending != NULL && pending->abandoned)
        pending = pending->next;
    return pending;
}

void requests_new_session(struct requests *requests)
{
    assert(requests->sent_count == 0);
    requests->last_number = 0;
}

void requests_free(struct requests *requests)
{
    while (requests->first != NULL)
        requests_remove(requests, requests->first);
}
