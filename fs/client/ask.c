#include "fs/client/ask.h"

#include <assert.h>
#include <stdlib.h>

void ask_add(struct ask **asks, uint64_t until_ms, client_told told, void *arg)
{
    struct ask *ask = malloc(sizeof *ask);
    assert(ask != NULL);
    *ask = (struct ask){.until_ms = until_ms, .told = told, .arg = arg};
    while (*asks != NULL)
        asks = &(*asks)->next;
    *asks = ask; /* in the order of their deadlines */
}

struct ask *ask_take(struct ask **asks, uint64_t now_ms)
{
    struct ask *taken = *asks, **end = asks;
    while (*end != NULL && (*end)->until_ms <= now_ms)
        end = &(*end)->next;
    if (end == asks)
        return NULL;
    *asks = *end;
    *end = NULL;
    return taken;
}

void ask_tell(struct ask *taken, const struct message_status *status)
{
    while (taken != NULL) {
        struct ask *ask = taken;
        taken = ask->next;
        ask->told(ask->arg, status);
        free(ask);
    }
}

uint64_t ask_deadline(const struct ask *asks)
{
    return asks != NULL ? asks->until_ms : UINT64_MAX;
}
