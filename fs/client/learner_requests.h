/* learner_requests.h - the requests of one session in their order: those with a number, then those without.
 *
 * Pure list keeping; learner.c decides. A request completes when its entry is taken, or before: then its number is
 * *abandoned*, and stays until its entry comes, as a number must not be left out. */
#ifndef PACT_LEARNER_REQUESTS_H
#define PACT_LEARNER_REQUESTS_H

#include "fs/client/client.h"

struct pending {
    struct pending *next, *previous;
    uint64_t ticket;
    uint64_t number; /* 0: never sent */
    uint64_t deadline_ms;
    bool abandoned;   /* completed already; `request` is empty */
    bool late;        /* and completes again when the outcome is known */
    uint64_t tag;     /* as in client_terms */
    client_done done; /* NULL: nobody waits; it was inherited */
    void *arg;
    struct bytes request; /* owned */
};

struct requests {
    struct pending *first, *last;
    struct pending *unsent; /* the first without a number */
    size_t sent_count, unsent_count;
    size_t sent_bytes, unsent_bytes;
    uint64_t last_number; /* given */
    uint64_t last_ticket;
};

/* False: the queue is full. */
bool requests_have_room(const struct requests *requests, size_t bytes);
/* Appends a copy, without a number. Never NULL. */
struct pending *requests_add(struct requests *requests, struct bytes request, uint64_t deadline_ms);
/* Appends a copy with the next number, which it has had before; to what has numbers alone. */
void requests_restore(struct requests *requests, struct bytes request, uint64_t tag);
/* Gives the first one without a number the next number; NULL if there is none or too many are in flight. */
struct pending *requests_send_next(struct requests *requests);
/* The lowest number whose result is still wanted, at most `number`. */
uint64_t requests_awaited(const struct requests *requests, uint64_t number);
/* The caller has gone: only the number is left. */
void requests_abandon(struct requests *requests, struct pending *pending);
void requests_remove(struct requests *requests, struct pending *pending); /* and frees it */
struct pending *requests_find_unsent(const struct requests *requests, uint64_t ticket);
/* The first that has not completed; NULL: none. */
struct pending *requests_first_waiting(const struct requests *requests);
/* Numbers begin again at 1. No request with a number is left (asserted). */
void requests_new_session(struct requests *requests);
void requests_free(struct requests *requests);

#endif
