/* The link between the two, the clock, and the judgement at the end. */
#include "tests/support/learner_sim_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t sim_pick(struct sim *sim, uint32_t below)
{
    sim->random = sim->random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(sim->random >> 33) % below;
}

/* --- messages on the link --- */

void sim_put(struct sim_queue *queue, const struct message *message, const void *bytes, size_t len)
{
    struct sim_message *copy = calloc(1, sizeof *copy + len + 1);
    assert(copy != NULL);
    copy->message = *message;
    if (len > 0)
        memcpy(copy->bytes, bytes, len);
    if (message->kind == MESSAGE_SUBMIT)
        copy->message.submit.request = (struct bytes){copy->bytes, len};
    if (message->kind == MESSAGE_SNAPSHOT_CHUNK)
        copy->message.chunk = (struct bytes){copy->bytes, len};
    if (message->kind == MESSAGE_ENTRIES) {
        memcpy(copy->entries, bytes, len);
        copy->message.entries.list = copy->entries;
    }
    *(queue->last != NULL ? &queue->last->next : &queue->first) = copy;
    queue->last = copy;
}

static struct sim_message *sim_take(struct sim_queue *queue)
{
    struct sim_message *message = queue->first;
    if (message == NULL)
        return NULL;
    queue->first = message->next;
    if (queue->first == NULL)
        queue->last = NULL;
    return message;
}

static void sim_empty(struct sim_queue *queue)
{
    for (struct sim_message *message; (message = sim_take(queue)) != NULL;)
        free(message);
}

void sim_hang_up(struct sim *sim)
{
    sim->up = false;
    sim->attachment = SIM_NONE;
    sim_stop_snapshot(sim);
    sim_empty(&sim->to_replica);
    sim_empty(&sim->to_mount);
}

/* --- the link and the clock --- */

void sim_dial(struct sim *sim)
{
    uint8_t nonce[SESSION_NONCE_BYTES], secret[SESSION_SECRET_BYTES] = {0};
    if (sim->up || sim->now_ms < sim->may_dial_ms || learner_closed(sim->learner))
        return;
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = (uint8_t)sim_pick(sim, 256);
    sim->up = true;
    sim->attachment = SIM_FRESH;
    sim_load_stop(sim);
    learner_up(sim->learner, sim->now_ms, nonce, secret, &sim->output);
    sim_carry_out(sim);
}

void sim_cut(struct sim *sim)
{
    if (!sim->up)
        return;
    sim_hang_up(sim);
    sim->counts.cuts++;
    learner_down(sim->learner, sim->now_ms, &sim->output);
    sim_carry_out(sim);
}

bool sim_carry(struct sim *sim, bool to_replica)
{
    struct sim_message *message = sim_take(to_replica ? &sim->to_replica : &sim->to_mount);
    if (message == NULL)
        return false;
    if (to_replica)
        sim_replica_receive(sim, &message->message);
    else
        sim_mount_receive(sim, &message->message);
    free(message);
    sim_pump(sim);
    return true;
}

void sim_pass(struct sim *sim, uint64_t ms, bool stall)
{
    sim->now_ms += ms;
    if (!stall) {
        learner_tick(sim->learner, sim->now_ms, &sim->output);
        assert(learner_deadline(sim->learner) > sim->now_ms);
        sim_carry_out(sim);
    }
    sim_expire_session(sim);
    sim_pump(sim);
}

void sim_calm(struct sim *sim, uint64_t ms)
{
    sim->quiet = false;
    for (uint64_t until_ms = sim->now_ms + ms; sim->now_ms < until_ms; sim_pass(sim, 10, false)) {
        sim_dial(sim);
        for (bool moved = true; moved;) {
            moved = sim_carry(sim, true);
            sim_commit(sim, SIM_LOG);
            sim_pump(sim);
            moved = sim_carry(sim, false) || moved;
        }
    }
}

/* --- beginning, end, judgement --- */

void sim_begin(struct sim *sim, uint64_t seed)
{
    memset(sim, 0, sizeof *sim);
    sim->random = seed;
    sim->now_ms = 1000000;
    sim->epoch = 1;
    sim->state = state_new();
    sim->tree = state_new();
    const struct learner_options options = {
        .session_timeout_ms = SIM_SESSION_MS, .op_timeout_ms = SIM_OP_MS, .host = {"host", 4}, .noop = {"noop", 5}};
    sim->learner = learner_new(&options, sim->now_ms);
}

void sim_end(struct sim *sim)
{
    sim_hang_up(sim);
    sim_load_stop(sim);
    learner_free(sim->learner);
    learner_output_free(&sim->output);
    state_free(sim->state);
    state_free(sim->tree);
    while (sim->proposed > 0)
        sim_free_request(&sim->log[--sim->proposed]);
}

unsigned sim_made(const struct sim *sim, int index)
{
    char prefix[16];
    unsigned made = 0;
    int len = snprintf(prefix, sizeof prefix, "r%d-", index);
    const struct node *node = node_first_child(state_node(sim->state, ROOT_ID));
    for (; node != NULL; node = node_next_sibling(node)) {
        const char *name = node_name(node).at;
        made += strncmp(name, prefix, (size_t)len) == 0;
        bool mine = strcmp(name, sim->asked[index].name) == 0;
        assert(!mine || strncmp(name, prefix, (size_t)len) == 0);
    }
    return made;
}

static void judge(struct sim *sim, int index)
{
    const struct sim_asked *asked = &sim->asked[index];
    unsigned made = sim_made(sim, index);
    assert(asked->completed == 1);
    assert(made <= 1);
    if (asked->code == ERR_OUTCOME_UNKNOWN) {
        sim->counts.unknown++;
        return;
    }
    assert(made == (asked->code == ERR_OK));
    sim->counts.done += asked->code == ERR_OK;
    sim->counts.withdrawn += asked->code == ERR_INTERRUPTED;
    sim->counts.refused += asked->code == ERR_NO_QUORUM || asked->code == ERR_SESSION_EXPIRED;
    assert(asked->code == ERR_OK || asked->code == ERR_INTERRUPTED || asked->code == ERR_NO_QUORUM ||
           asked->code == ERR_SESSION_EXPIRED);
}

void sim_check_outcomes(struct sim *sim)
{
    for (int i = 0; i < sim->asked_count; i++)
        judge(sim, i);
    for (int i = 0; i < sim->sync_count; i++) {
        assert(sim->syncs[i].completed == 1);
        sim->counts.syncs += sim->syncs[i].code == ERR_OK;
    }
}
