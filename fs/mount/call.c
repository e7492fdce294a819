#include "fs/mount/call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fs/mount/fence.h"
#include "fs/mount/resume.h"

struct call *call_new(fuse_req_t req, void (*finish)(struct call *call, const struct result *result))
{
    struct call *call = calloc(1, sizeof *call);
    assert(call);
    call->mount = mount_of(req);
    call->req = req;
    call->unique = request_unique();
    call->finish = finish;
    call->interruptible = true;
    call->refs = 1;
    return call;
}

void call_set_name(struct call *call, const char *name)
{
    call->name = strdup(name);
    assert(call->name);
}

void call_free(struct call *call)
{
    free(call->name);
    free(call);
}

static void unref(struct call *call)
{
    if (atomic_fetch_sub(&call->refs, 1) == 1)
        call_free(call);
}

static void on_interrupt(fuse_req_t req, void *arg)
{
    struct call *call = arg;
    (void)req;
    atomic_store(&call->interrupted, true);
    uint64_t ticket = atomic_load(&call->ticket);
    if (ticket)
        client_withdraw(call->mount->client, ticket);
}

static void done(void *arg, const struct result *result)
{
    struct call *call = arg;
    if (call->answered) { /* after "outcome unknown": a node made after all goes with its process, too */
        owner_settle(call->mount, &call->owning, result);
        unref(call);
        return;
    }
    /* Waits for an on_interrupt that is running, so that none meets a freed call. */
    if (call->interruptible)
        fuse_req_interrupt_func(call->req, NULL, NULL);
    bool again = call->owning.key && result->code == ERR_OUTCOME_UNKNOWN;
    request_set_unique(call->unique);
    call->finish(call, result);
    request_set_unique(0);
    call->answered = true;
    if (again)
        return;
    owner_settle(call->mount, &call->owning, result);
    unref(call);
}

/* Whether a request may go, and under which session. What gives up locks may always. */
static int look(const struct call *call, const struct request *request, uint64_t *session)
{
    *session = atomic_load(&call->mount->own_session);
    if (!*session)
        return ERR_SESSION_EXPIRED;
    return request->kind == OP_UNLOCK ? ERR_OK : fence_check(call->req);
}

/* The kernel sent the call again, and the worker before had made a request for it: that is not done twice. */
static bool is_resumed(struct call *call)
{
    struct result result;
    if (!request_resumed(call->mount, call->unique, &result))
        return false;
    call->interruptible = false;
    if (result.code == ERR_OUTCOME_UNKNOWN)
        owner_settle(call->mount, &call->owning, &result); /* nobody will hear more */
    done(call, &result);
    return true;
}

void call_submit(struct call *call, const struct request *request)
{
    struct client_terms terms = {.late = call->owning.key, .tag = call->unique};
    if (is_resumed(call))
        return;
    int code = look(call, request, &terms.session);
    if (code) {
        call->interruptible = false;
        done(call, &(struct result){.code = code});
        return;
    }
    atomic_fetch_add(&call->refs, 1);
    if (call->interruptible)
        fuse_req_interrupt_func(call->req, on_interrupt, call);
    uint64_t ticket = client_submit_on(call->mount->client, request, &terms, done, call);
    /* An interrupt that came before the ticket was known is made up for here. */
    atomic_store(&call->ticket, ticket);
    if (atomic_load(&call->interrupted))
        client_withdraw(call->mount->client, ticket);
    unref(call);
}

void call_sync(struct call *call)
{
    call->interruptible = false;
    client_sync(call->mount->client, done, call);
}

void call_reply_code(struct call *call, const struct result *result)
{
    reply_code(call->req, result->code);
}
