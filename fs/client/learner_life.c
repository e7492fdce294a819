/* Making a learner, reading it, and the list of what it asks for. */
#include "fs/client/learner_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- output --- */

struct learner_action *learner_output_add(struct learner_output *output, enum learner_action_kind kind)
{
    if (output->count == output->capacity) {
        output->capacity = output->capacity ? 2 * output->capacity : 16;
        output->list = realloc(output->list, output->capacity * sizeof *output->list);
        assert(output->list != NULL);
    }
    struct learner_action *action = &output->list[output->count++];
    memset(action, 0, sizeof *action);
    action->kind = kind;
    return action;
}

struct message *learner_add_send(struct learner_output *output, enum message_kind kind)
{
    struct learner_action *action = learner_output_add(output, LEARNER_SEND);
    action->send.kind = kind;
    return &action->send;
}

void learner_add_complete(struct learner_output *output, client_done done, void *arg, const struct result *result)
{
    struct learner_action *action = learner_output_add(output, LEARNER_COMPLETE);
    action->complete.done = done;
    action->complete.arg = arg;
    action->complete.result = *result;
}

void learner_output_free(struct learner_output *output)
{
    free(output->list);
    memset(output, 0, sizeof *output);
}

void learner_set_state(struct learner *learner, enum client_state state, struct learner_output *output)
{
    if (learner->state == state)
        return;
    learner->state = state;
    struct learner_action *action = learner_output_add(output, LEARNER_STATE);
    action->state.state = state;
    action->state.session = learner->session;
}

/* --- beginning and end --- */

static struct bytes copy_bytes(struct bytes from)
{
    void *copy = malloc(from.len > 0 ? from.len : 1);
    assert(copy != NULL);
    if (from.len > 0)
        memcpy(copy, from.at, from.len);
    return (struct bytes){copy, from.len};
}

struct learner *learner_new(const struct learner_options *options, uint64_t now_ms)
{
    struct learner *learner = calloc(1, sizeof *learner);
    assert(learner != NULL && options->host.len <= sizeof learner->host);
    learner->observer = options->observer;
    learner->wanted_timeout_ms = options->session_timeout_ms;
    learner->op_timeout_ms = options->op_timeout_ms;
    learner->pid = options->pid;
    if (options->host.len > 0)
        memcpy(learner->host, options->host.at, options->host.len);
    learner->host_len = options->host.len;
    learner->noop = copy_bytes(options->noop);
    if (options->former != NULL && !options->observer)
        learner->former = *options->former;
    learner->estate = options->estate;
    estate_inherit(learner);
    learner->syncs_end = &learner->syncs;
    learner->state = CLIENT_CONNECTING;
    learner->now_ms = now_ms;
    learner->unheard = true;
    return learner;
}

void learner_free(struct learner *learner)
{
    learner_forget_syncs(learner);
    requests_free(&learner->requests);
    free((void *)learner->noop.at);
    free(learner);
}

/* --- for people --- */

bool learner_ready(const struct learner *learner)
{
    return learner->ready && estate_settled(learner);
}

void learner_identity(const struct learner *learner, struct client_identity *identity)
{
    memset(identity, 0, sizeof *identity);
    if (learner->session == 0)
        return;
    identity->session = learner->session;
    memcpy(identity->nonce, learner->nonce, SESSION_NONCE_BYTES);
    memcpy(identity->secret, learner->secret, SESSION_SECRET_BYTES);
    memcpy(identity->cluster, learner->cluster, CLUSTER_ID_BYTES);
}

void learner_info(const struct learner *learner, uint64_t now_ms, struct client_info *info)
{
    uint64_t expiry = learner_expiry_ms(learner);
    info->state = learner->state;
    info->session = learner->session;
    info->applied = learner->applied;
    info->session_timeout_ms = learner->session != 0 ? learner->timeout_ms : learner->wanted_timeout_ms;
    info->op_timeout_ms = learner->op_timeout_ms;
    info->remaining_ms = learner->session != 0 ? (int64_t)expiry - (int64_t)now_ms : 0;
    info->replica = learner->phase == ATTACHED ? learner->replica : 0;
    info->leader = learner->phase == ATTACHED ? learner->leader : 0;
    info->in_flight = learner->requests.sent_count + learner->requests.unsent_count;
    memcpy(info->cluster, learner->cluster, CLUSTER_ID_BYTES);
}
