#include "replica/pactd/question.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "replica/pactd/attach.h"
#include "replica/pactd/ensemble.h"

/* A mount has one heartbeat and one attach under way, and at most LIMIT_SYNCS syncs; of followers' questions there is
 * one of each kind a turn. Beyond, a question is lost, which its asker survives. */
enum { QUESTIONS_MAX = 65536 };

static struct question *add(struct replica *replica, enum question_kind kind, struct attachment *attachment)
{
    struct questions *questions = &replica->questions;
    if (questions->count >= QUESTIONS_MAX)
        return NULL;
    struct question *question = calloc(1, sizeof *question);
    assert(question);
    question->kind = kind;
    question->attachment = attachment;
    DL_APPEND(questions->list, question);
    questions->count++;
    questions->fresh = true;
    return question;
}

static void forget(struct questions *questions, struct question *question)
{
    DL_DELETE(questions->list, question);
    questions->count--;
    free(question->sessions);
    free(question);
}

/* --- what may be asked --- */

/* Only its newest heartbeat counts: what acknowledges that one acknowledges all. */
void question_heartbeat(struct replica *replica, struct attachment *attachment,
                        const struct message_heartbeat *heartbeat)
{
    struct question *question;
    DL_FOREACH(replica->questions.list, question)
    {
        if (question->kind == QUESTION_HEARTBEAT && question->attachment == attachment && question->token == 0)
            break;
    }
    if (!question)
        question = add(replica, QUESTION_HEARTBEAT, attachment);
    if (question)
        question->heartbeat = *heartbeat;
}

void question_sync(struct replica *replica, struct attachment *attachment, uint64_t id)
{
    struct question *question = add(replica, QUESTION_SYNC, attachment);
    if (question)
        question->sync_id = id;
}

void question_attach(struct replica *replica, struct attachment *attachment)
{
    add(replica, QUESTION_ATTACH, attachment);
}

void question_sessions(struct replica *replica, uint32_t peer, const struct peer_heartbeats *heartbeats)
{
    struct question *question = add(replica, QUESTION_SESSIONS, NULL);
    if (!question)
        return;
    question->peer = peer;
    question->tag = heartbeats->tag;
    question->sessions = calloc(heartbeats->count + 1, sizeof *question->sessions);
    assert(question->sessions);
    if (heartbeats->count)
        memcpy(question->sessions, heartbeats->sessions, heartbeats->count * sizeof *question->sessions);
    question->session_count = heartbeats->count;
}

void question_barrier(struct replica *replica, uint32_t peer, uint64_t tag)
{
    struct question *question = add(replica, QUESTION_BARRIER, NULL);
    if (!question)
        return;
    question->peer = peer;
    question->tag = tag;
}

/* --- asking --- */

/* A follower's heartbeats and its other questions go to the leader in one message each, under one token. */
static void ask_leader(struct replica *replica, uint64_t token)
{
    uint64_t *sessions = calloc(LIMIT_HEARTBEATS, sizeof *sessions);
    struct question *question;
    size_t count = 0;
    bool beats = false, barrier = false;
    assert(sessions);
    DL_FOREACH(replica->questions.list, question)
    {
        if (question->token != token)
            continue;
        if (question->kind != QUESTION_HEARTBEAT)
            barrier = true;
        else if (question->attachment->session && count < LIMIT_HEARTBEATS)
            sessions[count++] = question->attachment->session;
        beats |= question->kind == QUESTION_HEARTBEAT;
    }
    uint32_t leader = zab_leader(replica->zab);
    if (beats)
        peers_send(replica, leader,
                   &(struct peer_message){.kind = PEER_HEARTBEATS,
                                          .heartbeats = {.tag = token, .sessions = sessions, .count = count}});
    if (barrier)
        peers_send(replica, leader, &(struct peer_message){.kind = PEER_BARRIER, .barrier = {.tag = token}});
    free(sessions);
}

void questions_ask(struct replica *replica)
{
    struct questions *questions = &replica->questions;
    struct question *question;
    if (!questions->fresh || !replica->serving)
        return;
    questions->fresh = false;
    uint64_t token = ++questions->last_token;
    DL_FOREACH(questions->list, question)
    {
        if (question->token == 0)
            question->token = token;
    }
    if (zab_role(replica->zab) == ZAB_LEADING)
        ensemble_step(replica, &(struct zab_event){.kind = ZAB_BARRIER, .token = token});
    else
        ask_leader(replica, token);
}

void questions_ask_anew(struct replica *replica)
{
    struct question *question, *next;
    DL_FOREACH_SAFE(replica->questions.list, question, next)
    {
        question->token = 0;
        if (!question->attachment)
            forget(&replica->questions, question);
    }
    replica->questions.fresh = replica->questions.count > 0;
}

/* --- answering --- */

/* Never once the session's close is proposed: it would count on its session for too long. */
static bool session_lives(struct replica *replica, uint64_t id)
{
    struct roster_session *session = roster_find(&replica->roster, id);
    if (!session || session->closing)
        return false;
    roster_heard(&replica->roster, session);
    return true;
}

static void acknowledge(struct replica *replica, const struct question *question, bool refusing)
{
    struct message ack = {.kind = MESSAGE_HEARTBEAT_ACK, .heartbeat = question->heartbeat};
    ack.heartbeat.refusing = refusing;
    attach_send_urgent(replica, question->attachment, &ack);
}

/* Those of the follower's sessions that live. */
static void answer_sessions(struct replica *replica, const struct question *question)
{
    struct peer_message acks = {.kind = PEER_HEARTBEAT_ACKS};
    size_t count = 0;
    for (size_t i = 0; i < question->session_count; i++)
        if (session_lives(replica, question->sessions[i]))
            question->sessions[count++] = question->sessions[i];
    acks.heartbeats = (struct peer_heartbeats){question->tag, question->sessions, count, replica->full};
    peers_send(replica, question->peer, &acks);
}

static void answer(struct replica *replica, struct question *question, uint64_t zxid)
{
    struct attachment *attachment = question->attachment;
    struct message synced = {.kind = MESSAGE_SYNCED, .sync = {question->sync_id, zxid}};
    struct peer_message done = {.kind = PEER_BARRIER_DONE, .barrier = {question->tag, zxid}};
    switch (question->kind) {
    case QUESTION_HEARTBEAT:
        if (!attachment->session || session_lives(replica, attachment->session))
            acknowledge(replica, question, replica->full);
        break;
    case QUESTION_SYNC:
        attach_send(replica, attachment, &synced);
        break;
    case QUESTION_ATTACH:
        attach_level(replica, attachment, zxid);
        break;
    case QUESTION_SESSIONS:
        answer_sessions(replica, question);
        break;
    case QUESTION_BARRIER:
        peers_send(replica, question->peer, &done);
        break;
    }
}

/* Takes out the first question that has this token and is a heartbeat or is not; NULL: there is none. */
static struct question *take(struct questions *questions, uint64_t token, bool heartbeat)
{
    struct question *question;
    DL_FOREACH(questions->list, question)
    {
        if (question->token == token && (question->kind == QUESTION_HEARTBEAT) == heartbeat)
            break;
    }
    if (!question)
        return NULL;
    DL_DELETE(questions->list, question);
    questions->count--;
    return question;
}

static void end(struct question *question)
{
    free(question->sessions);
    free(question);
}

void questions_led(struct replica *replica, uint64_t token, uint64_t zxid)
{
    for (int heartbeat = 0; heartbeat < 2; heartbeat++) {
        struct question *question;
        while ((question = take(&replica->questions, token, heartbeat))) {
            answer(replica, question, zxid);
            end(question);
        }
    }
}

static bool among(const struct peer_heartbeats *acks, uint64_t session)
{
    for (size_t i = 0; i < acks->count; i++)
        if (acks->sessions[i] == session)
            return true;
    return false;
}

void questions_acknowledged(struct replica *replica, const struct peer_heartbeats *acks)
{
    struct question *question;
    if (acks->tag == 0)
        return;
    while ((question = take(&replica->questions, acks->tag, true))) {
        uint64_t session = question->attachment->session;
        if (!session || among(acks, session))
            acknowledge(replica, question, acks->refusing);
        end(question);
    }
}

void questions_answered(struct replica *replica, const struct peer_barrier *barrier)
{
    struct question *question;
    if (barrier->tag == 0)
        return;
    while ((question = take(&replica->questions, barrier->tag, false))) {
        answer(replica, question, barrier->zxid);
        end(question);
    }
}

/* --- forgetting --- */

void questions_forget(struct replica *replica, const struct attachment *attachment)
{
    struct question *question, *next;
    DL_FOREACH_SAFE(replica->questions.list, question, next)
    {
        if (question->attachment == attachment)
            forget(&replica->questions, question);
    }
}

void questions_forget_peer(struct replica *replica, uint32_t peer)
{
    struct question *question, *next;
    DL_FOREACH_SAFE(replica->questions.list, question, next)
    {
        if (!question->attachment && question->peer == peer)
            forget(&replica->questions, question);
    }
}

void questions_free(struct replica *replica)
{
    struct question *question, *next;
    DL_FOREACH_SAFE(replica->questions.list, question, next)
    forget(&replica->questions, question);
}
