/* What mounts say once their link is up, message by message. */
#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "replica/pactd/attach.h"
#include "replica/pactd/submit.h"

/* Urgent messages do not wait for others' credit. */
void attach_send_urgent(struct replica *replica, struct attachment *attachment, const struct message *message)
{
    if (!attachment->peer)
        return;
    int code = encode_message(message, &replica->encoded);
    assert(code == ERR_OK);
    peer_send_urgent(attachment->peer, replica->encoded.at, replica->encoded.len, clock_ms());
}

static void on_submit(struct replica *replica, struct attachment *attachment, const struct message_submit *submit)
{
    if (attachment->state != ATTACHED || !attachment->session) {
        attach_refuse(replica, attachment, ERR_INVALID, "a request without a session");
        return;
    }
    struct peer_forward request = {attachment->session, submit->number, submit->awaited, submit->request};
    /* Whoever asks last is told first: it waits for its result, the others only for news. */
    DL_DELETE(replica->attachments, attachment);
    DL_PREPEND(replica->attachments, attachment);
    if (submit_request(replica, &request, attachment, 0) != ERR_OK)
        attach_refuse(replica, attachment, ERR_BAD_FORMAT, "a request that is not understood");
}

static void on_heartbeat(struct replica *replica, struct attachment *attachment,
                         const struct message_heartbeat *heartbeat)
{
    if (attachment->state != ATTACHED)
        return;
    attachment->applied = heartbeat->applied;
    question_heartbeat(replica, attachment, heartbeat);
}

static void on_sync(struct replica *replica, struct attachment *attachment, const struct message_sync *sync)
{
    if (attachment->state == ATTACHED)
        question_sync(replica, attachment, sync->id);
}

static void on_status(struct replica *replica, struct attachment *attachment)
{
    struct message_member members[LIMIT_REPLICAS];
    struct message reply;
    status_fill(replica, members, &reply);
    attach_send(replica, attachment, &reply);
}

static void dispatch(struct replica *replica, struct attachment *attachment, const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_ATTACH:
        attach_request(replica, attachment, &message->attach);
        break;
    case MESSAGE_SUBMIT:
        on_submit(replica, attachment, &message->submit);
        break;
    case MESSAGE_HEARTBEAT:
        on_heartbeat(replica, attachment, &message->heartbeat);
        break;
    case MESSAGE_SYNC:
        on_sync(replica, attachment, &message->sync);
        break;
    case MESSAGE_STATUS:
        on_status(replica, attachment);
        break;
    case MESSAGE_DETACH:
        attach_detach(replica, attachment);
        break;
    default:
        attach_refuse(replica, attachment, ERR_BAD_FORMAT, "a message that only replicas send");
    }
}

/* --- events of the port --- */

static void on_message(void *arg, struct peer *peer, const void *bytes, size_t len)
{
    struct replica *replica = arg;
    struct attachment *attachment = peer_data(peer);
    struct message message;
    if (attachment->state == CLOSING || replica->failure != ERR_OK)
        return;
    arena_reset(replica->arena);
    if (decode_message((struct bytes){bytes, len}, replica->arena, &message) != ERR_OK)
        attach_refuse(replica, attachment, ERR_BAD_FORMAT, "a message that is not understood");
    else
        dispatch(replica, attachment, &message);
}

static void on_up(void *arg, struct peer *peer)
{
    struct replica *replica = arg;
    struct attachment *attachment = calloc(1, sizeof *attachment);
    assert(attachment);
    attachment->replica = replica;
    attachment->peer = peer;
    peer_set_data(peer, attachment);
    DL_APPEND(replica->attachments, attachment);
    report(REPORT_DEBUG, "a link came up");
}

/* It may come in the middle of a send: the attachment goes at the end of the turn. */
static void on_down(void *arg, struct peer *peer, int code)
{
    struct attachment *attachment = peer_data(peer);
    struct replica *replica = arg;
    if (!attachment) /* a handshake that failed */
        return;
    attachment->peer = NULL;
    attach_leave(replica, attachment);
    report(REPORT_DEBUG, "a link went down: %s", error_text(code));
}

static void on_turned_away(void *arg, int code)
{
    struct replica *replica = arg;
    uint64_t now_ms = clock_ms();
    if (now_ms < replica->turned_away_ms + TURNED_AWAY_MS)
        return; /* whoever it is must not fill the log */
    replica->turned_away_ms = now_ms;
    report(REPORT_WARN, "a client was turned away: %s", error_text(code));
}

struct port_events messages_events(struct replica *replica)
{
    return (struct port_events){
        .arg = replica, .up = on_up, .down = on_down, .message = on_message, .refused = on_turned_away};
}
