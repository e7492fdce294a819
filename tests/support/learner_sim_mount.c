/* The mount: the learner and what a runtime does for it. */
#include "tests/support/learner_sim_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the mount --- */

/* What the learner promises of the numbers it sends: 1, 2, 3… without a gap, one request each and that one or a no-op
 * for ever, `awaited` never above it, and a new one only while the session certainly lives. */
static void sim_check_sent(struct sim *sim, const struct message_submit *submit)
{
    struct client_info info;
    bool noop = strcmp(submit->request.at, "noop") == 0;
    int index = noop ? SIM_NOOP : atoi((const char *)submit->request.at + 1);
    learner_info(sim->learner, sim->now_ms, &info);
    if (info.session != sim->sent_session) {
        sim->sent_session = info.session;
        sim->sent_number = 0;
    }
    assert(submit->number >= 1 && submit->number <= sim->sent_number + 1 && submit->number < SIM_NUMBERS);
    assert(submit->awaited >= 1 && submit->awaited <= submit->number);
    if (submit->number == sim->sent_number + 1) {
        assert(info.remaining_ms > 0 && !noop);
        sim->sent[submit->number] = index;
        sim->sent_number = submit->number;
    } else {
        assert(noop || sim->sent[submit->number] == index);
        sim->counts.resends++;
    }
}

static void send(struct sim *sim, const struct message *message)
{
    if (message->kind == MESSAGE_SUBMIT)
        sim_check_sent(sim, &message->submit);
    if (!sim->up)
        return;
    if (message->kind == MESSAGE_SUBMIT)
        sim_put(&sim->to_replica, message, message->submit.request.at, message->submit.request.len);
    else
        sim_put(&sim->to_replica, message, NULL, 0);
}

void sim_carry_out(struct sim *sim)
{
    for (size_t i = 0; i < sim->output.count; i++) {
        const struct learner_action *action = &sim->output.list[i];
        if (action->kind == LEARNER_SEND || action->kind == LEARNER_SEND_URGENT) {
            send(sim, &action->send);
        } else if (action->kind == LEARNER_COMPLETE) {
            action->complete.done(action->complete.arg, &action->complete.result);
        } else if (action->kind == LEARNER_DROP_LINK) {
            sim_hang_up(sim);
            sim->drop_code = action->drop.code;
            sim->may_dial_ms = sim->now_ms + action->drop.delay_ms;
        } else {
            sim->told = action->state.state;
            sim->counts.expiries += sim->told == CLIENT_EXPIRED;
        }
    }
    sim->output.count = 0;
}

static void apply_entries(struct sim *sim, const struct message_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        const struct entry *entry = entries->list[i].at;
        struct result result;
        if (entry->zxid <= state_zxid(sim->tree))
            continue;
        state_apply(sim->tree, entry, &result, NULL);
        learner_applied(sim->learner, sim->now_ms, entry, &result, &sim->output);
        sim_carry_out(sim);
    }
}

static void load_end(struct sim *sim)
{
    struct state *loaded;
    int code = loader_finish(sim->loader, &loaded);
    assert(code == ERR_OK);
    sim->loader = NULL;
    state_free(sim->tree);
    sim->tree = loaded;
    learner_loaded(sim->learner, sim->now_ms, sim->tree, &sim->output);
    sim_carry_out(sim);
}

void sim_load_stop(struct sim *sim)
{
    if (sim->loader != NULL)
        loader_free(sim->loader);
    sim->loader = NULL;
}

void sim_mount_receive(struct sim *sim, const struct message *message)
{
    enum learner_verdict verdict = learner_message(sim->learner, sim->now_ms, message, &sim->output);
    sim_carry_out(sim);
    if (verdict == LEARNER_APPLY) {
        apply_entries(sim, &message->entries);
    } else if (verdict == LEARNER_LOAD_BEGIN) {
        sim_load_stop(sim);
        sim->loader = loader_new();
    } else if (verdict == LEARNER_LOAD_CHUNK) {
        int code = loader_feed(sim->loader, message->chunk.at, message->chunk.len);
        assert(code == ERR_OK);
    } else if (verdict == LEARNER_LOAD_END) {
        load_end(sim);
    }
}

static void completed(void *arg, const struct result *result)
{
    struct sim_asked *asked = arg;
    asked->completed++;
    asked->code = result->code;
    memcpy(asked->name, result->name, sizeof asked->name);
}

static void sync_completed(void *arg, const struct result *result)
{
    struct sim_sync *sync = arg;
    sync->completed++;
    sync->code = result->code;
    assert(result->code != ERR_OK || result->zxid >= sync->committed);
}

void sim_submit(struct sim *sim)
{
    char text[16];
    if (sim->asked_count == SIM_REQUESTS)
        return;
    struct sim_asked *asked = &sim->asked[sim->asked_count];
    int len = snprintf(text, sizeof text, "r%d-", sim->asked_count++);
    struct bytes request = {text, (size_t)len + 1}; /* with its NUL: the model reads it as a string */
    int code = learner_submit(sim->learner, sim->now_ms, request, completed, asked, &asked->ticket, &sim->output);
    if (code != ERR_OK)
        completed(asked, &(struct result){.code = code});
    sim_carry_out(sim);
}

void sim_withdraw(struct sim *sim, int index)
{
    const struct sim_asked *asked = &sim->asked[index];
    if (asked->ticket == 0)
        return;
    bool was = asked->completed > 0;
    bool withdrawn = learner_withdraw(sim->learner, sim->now_ms, asked->ticket, &sim->output);
    sim_carry_out(sim);
    assert(!withdrawn || (!was && asked->completed == 1 && asked->code == ERR_INTERRUPTED));
}

void sim_sync(struct sim *sim)
{
    if (sim->sync_count == SIM_SYNCS)
        return;
    struct sim_sync *sync = &sim->syncs[sim->sync_count++];
    sync->committed = sim_commit_zxid(sim);
    int code = learner_sync(sim->learner, sim->now_ms, sync_completed, sync, &sim->output);
    if (code != ERR_OK)
        sync_completed(sync, &(struct result){.code = code});
    sim_carry_out(sim);
}
