/* What mounts say once their link is up, message by message. */
#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "replica/pactd/attach.h"
#include "replica/pactd/pipeline.h"

/* --- requests --- */

/* What only the replicas themselves may ask for. */
static bool is_internal(enum op_kind kind)
{
    return kind >= OP_CREATE_SESSION;
}

/* Takes the number of a request that cannot be logged itself, so that the session goes on: apply refuses it. */
static const struct request refused_request = {.kind = OP_CHECK,
                                               .check = {.at = {.id = 0}, .version = NO_VERSION_CHECK}};

static void propose(struct replica *replica, const struct message_submit *submit, struct roster_session *session,
                    bool acceptable)
{
    struct entry place = {.session = session->id, .number = submit->number, .awaited = submit->awaited};
    int code = acceptable ? pipeline_propose(replica, &place, submit->request, NULL) : ERR_INVALID;
    if (code == ERR_INVALID || code == ERR_TOO_BIG) {
        struct buffer encoded = {0};
        code = encode_request(&refused_request, &encoded);
        assert(code == ERR_OK);
        code = pipeline_propose(replica, &place, (struct bytes){encoded.at, encoded.len}, NULL);
        buffer_free(&encoded);
    }
    if (code == ERR_OK)
        session->number = submit->number;
}

/* A number that was proposed already is dropped: its result comes, or came, by the stream. After a gap the mount is
 * asked, once, to send again. */
static bool is_next(struct replica *replica, struct attachment *attachment, uint64_t newest, uint64_t number)
{
    if (number == newest + 1) {
        attachment->asked_resend = false;
        return true;
    }
    if (number > newest && !attachment->asked_resend && !replica->full) {
        attachment->asked_resend = true;
        attach_send(replica, attachment, &(struct message){.kind = MESSAGE_RESEND});
    }
    return false;
}

static void on_submit(struct replica *replica, struct attachment *attachment, const struct message_submit *submit)
{
    struct roster_session *session = roster_find(&replica->roster, attachment->session);
    if (attachment->state != ATTACHED || !session) {
        attach_refuse(replica, attachment, ERR_INVALID, "a request without a session");
        return;
    }
    roster_heard(&replica->roster, session);
    if (replica->full || session->closing || !is_next(replica, attachment, session->number, submit->number))
        return;
    struct request request;
    arena_reset(replica->request_arena);
    int code = decode_request(submit->request, replica->request_arena, &request);
    if (code != ERR_OK || is_internal(request.kind)) {
        attach_refuse(replica, attachment, ERR_BAD_FORMAT, "a request that is not understood");
        return;
    }
    propose(replica, submit, session, request_check(&request) == ERR_OK);
}

/* --- the other messages --- */

static void send_urgent(struct replica *replica, struct attachment *attachment, const struct message *message)
{
    int code = encode_message(message, &replica->encoded);
    assert(code == ERR_OK);
    peer_send_urgent(attachment->peer, replica->encoded.at, replica->encoded.len, clock_ms());
}

/* Single replica: its own word is the quorum's. Never acknowledged once the session's close is proposed. */
static void on_heartbeat(struct replica *replica, struct attachment *attachment,
                         const struct message_heartbeat *heartbeat)
{
    struct roster_session *session = roster_find(&replica->roster, attachment->session);
    if (attachment->state != ATTACHED || (session && session->closing))
        return;
    if (session)
        roster_heard(&replica->roster, session);
    attachment->applied = heartbeat->applied;
    struct message ack = {.kind = MESSAGE_HEARTBEAT_ACK, .heartbeat = *heartbeat};
    ack.heartbeat.refusing = replica->full;
    send_urgent(replica, attachment, &ack);
}

/* What had finished anywhere when the message came was committed by then. */
static void on_sync(struct replica *replica, struct attachment *attachment, const struct message_sync *sync)
{
    struct message synced = {.kind = MESSAGE_SYNCED, .sync = {sync->id, replica->order.committed}};
    attach_send(replica, attachment, &synced);
}

static void on_detach(struct replica *replica, struct attachment *attachment)
{
    struct roster_session *session = roster_find(&replica->roster, attachment->session);
    if (attachment->state != ATTACHED)
        return;
    if (!session) {
        attach_send(replica, attachment, &(struct message){.kind = MESSAGE_DETACHED});
        return;
    }
    struct request close = {.kind = OP_CLOSE_SESSION, .close_session = {session->id, CLOSE_BY_OWNER}};
    if (!session->closing && pipeline_propose_own(replica, &close, NULL) != ERR_OK) {
        attach_refuse(replica, attachment, ERR_NO_QUORUM, "the replica's disk is full");
        return;
    }
    session->closing = true;
    attachment->state = DETACHING;
}

static void on_status(struct replica *replica, struct attachment *attachment)
{
    struct message_member member;
    struct message reply;
    status_fill(replica, &member, &reply);
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
        on_detach(replica, attachment);
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
