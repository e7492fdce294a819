#include "fs/mount/call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct call *call_new(fuse_req_t req, void (*finish)(struct call *call, const struct result *result))
{
    struct call *call = calloc(1, sizeof *call);
    assert(call);
    call->mount = mount_of(req);
    call->req = req;
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
    /* Waits for an on_interrupt that is running, so that none meets a freed call. */
    if (call->interruptible)
        fuse_req_interrupt_func(call->req, NULL, NULL);
    call->finish(call, result);
    unref(call);
}

void call_submit(struct call *call, const struct request *request)
{
    atomic_fetch_add(&call->refs, 1);
    if (call->interruptible)
        fuse_req_interrupt_func(call->req, on_interrupt, call);
    uint64_t ticket = client_submit(call->mount->client, request, done, call);
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

void call_reply_inode_code(struct call *call, const struct result *result)
{
    reply_inode_code(call->req, result->code);
}
