/* zab_tale_check.c - see zab_tale.h: what must hold, and the trace. */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zab_tale.h"

void tale_wrong(struct tale *tale, const char *format, ...)
{
    va_list list;
    if (tale->wrong[0] != '\0')
        return; /* what follows from the first is of no interest */
    va_start(list, format);
    vsnprintf(tale->wrong, sizeof tale->wrong, format, list);
    va_end(list);
    if (tale->trace != NULL)
        fprintf(tale->trace, "  WRONG: %s\n", tale->wrong);
}

void tale_note(struct tale *tale, uint32_t id, const char *format, ...)
{
    va_list list;
    if (tale->trace == NULL)
        return;
    fprintf(tale->trace, "  %u ", id);
    va_start(list, format);
    vfprintf(tale->trace, format, list);
    va_end(list);
    fprintf(tale->trace, "\n");
}

const char *tale_zxid(uint64_t zxid)
{
    static char texts[4][32];
    static unsigned at;
    char *text = texts[at++ % 4];
    snprintf(text, sizeof texts[0], "%u.%u", (unsigned)(zxid >> 32), (unsigned)zxid);
    return text;
}

/* --- what must hold --- */

void tale_check_commit(struct tale *tale, const struct tale_node *node, size_t at)
{
    const struct tale_entry *entry = &node->log.list[at];
    const struct tale_value *value = &tale->values[entry->value];
    if (value->zxid != entry->zxid)
        tale_wrong(tale, "%u commits %s, which was proposed as %s", node->id, tale_zxid(entry->zxid),
                   tale_zxid(value->zxid));
    if (at < tale->truth.count) {
        const struct tale_entry *truth = &tale->truth.list[at];
        if (truth->zxid != entry->zxid || truth->value != entry->value)
            tale_wrong(tale, "%u commits %s %s where %s %s is committed", node->id, tale_zxid(entry->zxid), value->text,
                       tale_zxid(truth->zxid), tale->values[truth->value].text);
        return;
    }
    if (entry->zxid <= tale_list_zxid(&tale->truth, tale->truth.count))
        tale_wrong(tale, "%u commits %s again", node->id, tale_zxid(entry->zxid));
    tale_list_add(&tale->truth, *entry);
    tale->counts.commits++;
}

void tale_check_leader(struct tale *tale, const struct tale_node *node, uint32_t epoch)
{
    tale->counts.leaders++;
    assert(epoch < tale->epoch_capacity);
    if (tale->leader_of_epoch[epoch] != 0)
        tale_wrong(tale, "%u leads epoch %u, which %u has led", node->id, epoch, tale->leader_of_epoch[epoch]);
    tale->leader_of_epoch[epoch] = node->id;
    /* A leader that was replaced before it heard the end of its own election may lack what came since. */
    size_t before = tale->truth.count;
    while (before > 0 && tale->truth.list[before - 1].zxid >> 32 >= epoch)
        before--;
    tale->epoch_began[epoch] = before;
    if (node->applied != node->log.count)
        tale_wrong(tale, "%u leads before it has applied its history", node->id);
    if (node->applied < before)
        tale_wrong(tale, "%u leads epoch %u without %s, which is committed", node->id, epoch,
                   tale_zxid(tale->truth.list[node->applied].zxid));
}

void tale_check_follower(struct tale *tale, const struct tale_node *node, uint32_t epoch)
{
    if (node->applied < tale->epoch_began[epoch])
        tale_wrong(tale, "%u follows in epoch %u without %s, which was committed before", node->id, epoch,
                   tale_zxid(tale->truth.list[node->applied].zxid));
}

void tale_check_barrier(struct tale *tale, const struct tale_node *node, const struct zab_action *action)
{
    struct tale_barrier *barrier = &tale->nodes[node->id].barriers[action->token];
    tale->counts.barriers++;
    if (!barrier->waiting)
        tale_wrong(tale, "%u answers a barrier nobody asked for", node->id);
    else if (action->zxid < barrier->committed)
        tale_wrong(tale, "%u answers a barrier with %s, behind %s", node->id, tale_zxid(action->zxid),
                   tale_zxid(barrier->committed));
    barrier->waiting = false;
}

/* --- the trace --- */

static const char *kind_name(enum zab_message_kind kind)
{
    static const char *const names[] = {"?",    "VOTE",       "FOLLOWER_INFO",  "NEW_EPOCH",  "ACK_EPOCH",
                                        "SYNC", "NEW_LEADER", "ACK_NEW_LEADER", "UP_TO_DATE", "ENTRIES",
                                        "ACK",  "COMMIT",     "PING",           "PONG"};
    return names[kind < sizeof names / sizeof *names ? kind : 0];
}

static const char *role_name(enum zab_role role)
{
    return role == ZAB_LOOKING ? "looking" : role == ZAB_FOLLOWING ? "following" : "leading";
}

static void note_message(struct tale *tale, uint32_t from, uint32_t to, const struct zab_message *message)
{
    static const char *const syncs[] = {"?", "DIFF", "TRUNC", "SNAP"};
    const char *voter = message->voter ? "" : " (no voter)";
    if (message->kind == ZAB_PING || message->kind == ZAB_PONG)
        return;
    if (message->kind == ZAB_VOTE)
        tale_note(tale, from, "> %u VOTE round %u, %s%s, for %u (%u, %s)%s", to, (unsigned)message->round,
                  role_name(message->role), message->fresh ? ", fresh" : "", message->vote.leader, message->vote.epoch,
                  tale_zxid(message->vote.zxid), voter);
    else if (message->kind == ZAB_SYNC)
        tale_note(tale, from, "> %u SYNC %s %s", to, syncs[message->sync], tale_zxid(message->zxid));
    else
        tale_note(tale, from, "> %u %s epoch %u, %s%s%s", to, kind_name(message->kind), message->epoch,
                  tale_zxid(message->zxid), message->fresh ? ", fresh" : "", voter);
}

static void note_role(struct tale *tale, const struct tale_node *node, const struct zab_action *action)
{
    if (action->role == ZAB_LOOKING)
        tale_note(tale, node->id, "is looking");
    else if (action->role == ZAB_LEADING)
        tale_note(tale, node->id, "leads epoch %u", action->epoch);
    else
        tale_note(tale, node->id, "follows %u in epoch %u", action->leader, action->epoch);
}

void tale_note_action(struct tale *tale, const struct tale_node *node, const struct zab_action *action)
{
    if (tale->trace == NULL)
        return;
    if (action->kind == ZAB_SEND && tale->trace_messages)
        note_message(tale, node->id, action->peer, &action->message);
    else if (action->kind == ZAB_ROLE)
        note_role(tale, node, action);
    else if (action->kind == ZAB_SET_EPOCHS)
        tale_note(tale, node->id, "makes durable: accepted %u, current %u%s", action->epochs.accepted,
                  action->epochs.current, action->epochs.voter ? ", voter" : "");
    else if (action->kind == ZAB_TRUNCATE)
        tale_note(tale, node->id, "cuts its log to %s", tale_zxid(action->zxid));
    else if (action->kind == ZAB_FEED)
        tale_note(tale, node->id, "feeds %u %s %s", action->peer, action->snapshot ? "a snapshot, from" : "after",
                  tale_zxid(action->zxid));
    else if (action->kind == ZAB_DROP)
        tale_note(tale, node->id, "resets its link to %u: %s", action->peer, error_name(action->code));
    else if (action->kind == ZAB_COMMITTED)
        tale_note(tale, node->id, "commits up to %s", tale_zxid(action->zxid));
    else if (action->kind == ZAB_BARRIER_DONE)
        tale_note(tale, node->id, "answers the barrier: %s", tale_zxid(action->zxid));
    else if (action->kind == ZAB_FOLLOWER_NEW)
        tale_note(tale, node->id, "names %u", action->peer);
}

void tale_print(const struct tale *tale, FILE *to)
{
    static const char *const phases[] = {"election", "discovery", "synchronisation", "broadcast"};
    for (uint32_t id = 1; id <= tale->members; id++) {
        const struct tale_node *node = &tale->nodes[id];
        fprintf(to, "  %u ", id);
        if (node->zab == NULL)
            fprintf(to, "off");
        else
            fprintf(to, "%s (%s), leader %u", role_name(zab_role(node->zab)), phases[zab_phase(node->zab)],
                    zab_leader(node->zab));
        fprintf(to, "; accepted %u, current %u%s; log", node->epochs.accepted, node->epochs.current,
                node->epochs.voter ? "" : ", no voter");
        for (size_t i = 0; i < node->log.count; i++)
            fprintf(to, "%s %s:%s", i == node->applied ? " |" : "", tale_zxid(node->log.list[i].zxid),
                    tale->values[node->log.list[i].value].text);
        fprintf(to, "\n");
    }
}
