#include "replica/pactd/submit.h"

#include <assert.h>

#include "replica/pactd/attach.h"
#include "replica/pactd/ensemble.h"
#include "replica/pactd/pipeline.h"

/* What only the replicas themselves may ask for. */
static bool is_internal(enum op_kind kind)
{
    return kind >= OP_CREATE_SESSION && kind <= OP_SET_MEMBER;
}

/* Takes the number of a request that cannot be logged itself, so that the session goes on: apply refuses it. */
static const struct request refused_request = {.kind = OP_CHECK,
                                               .check = {.at = {.id = 0}, .version = NO_VERSION_CHECK}};

static int propose_refused(struct replica *replica, const struct entry *place)
{
    struct buffer encoded = {0};
    int code = encode_request(&refused_request, &encoded);
    assert(code == ERR_OK);
    code = pipeline_propose(replica, place, (struct bytes){encoded.at, encoded.len});
    buffer_free(&encoded);
    return code;
}

static void propose(struct replica *replica, const struct peer_forward *from, struct roster_session *session,
                    bool acceptable)
{
    struct entry place = {.session = session->id, .number = from->number, .awaited = from->awaited};
    int code = acceptable ? pipeline_propose(replica, &place, from->request) : ERR_INVALID;
    if (code == ERR_INVALID || code == ERR_TOO_BIG)
        code = propose_refused(replica, &place);
    if (code == ERR_OK)
        session->number = from->number;
}

static void ask_resend(struct replica *replica, uint64_t session, struct attachment *attachment, uint32_t peer)
{
    struct peer_message message = {.kind = PEER_RESEND, .heartbeats = {.sessions = &session, .count = 1}};
    if (attachment)
        attach_send(replica, attachment, &(struct message){.kind = MESSAGE_RESEND});
    else
        peers_send(replica, peer, &message);
}

/* A number that was proposed already is dropped: its result comes, or came, by the stream. After a gap the mount is
 * asked, once, to send again. */
static bool is_next(struct replica *replica, struct roster_session *session, uint64_t number,
                    struct attachment *attachment, uint32_t peer)
{
    if (number == session->number + 1) {
        session->asked_resend = false;
        return true;
    }
    if (number > session->number && !session->asked_resend) {
        session->asked_resend = true;
        ask_resend(replica, session->id, attachment, peer);
    }
    return false;
}

/* Of a follower's own: sessions of its mounts. */
static int submit_own(struct replica *replica, const struct peer_forward *from, const struct request *request)
{
    const struct op_close_session *close = &request->close_session;
    bool closes = request->kind == OP_CLOSE_SESSION && close->reason == CLOSE_BY_OWNER;
    struct roster_session *session = closes ? roster_find(&replica->roster, close->session) : NULL;
    if (request->kind != OP_CREATE_SESSION && !closes)
        return ERR_BAD_FORMAT;
    if ((closes && (!session || session->closing)) || request_check(request) != ERR_OK)
        return ERR_OK;
    if (pipeline_propose(replica, &(struct entry){0}, from->request) == ERR_OK && session)
        session->closing = true;
    return ERR_OK;
}

int submit_request(struct replica *replica, const struct peer_forward *from, struct attachment *attachment,
                   uint32_t peer)
{
    struct request request;
    /* A follower may have applied what is committed first: the request's session may be news to its leader. */
    if (ensemble_leads(replica))
        pipeline_apply(replica, SIZE_MAX);
    if (!replica->serving || replica->full || replica->failure != ERR_OK)
        return ERR_OK;
    arena_reset(replica->request_arena);
    if (decode_request(from->request, replica->request_arena, &request) != ERR_OK)
        return ERR_BAD_FORMAT;
    if (peer && from->session == 0)
        return ensemble_leads(replica) ? submit_own(replica, from, &request) : ERR_OK;
    if (is_internal(request.kind))
        return ERR_BAD_FORMAT;
    if (!ensemble_leads(replica)) {
        if (attachment)
            ensemble_forward(replica, from);
        return ERR_OK;
    }
    struct roster_session *session = roster_find(&replica->roster, from->session);
    if (!session || session->closing)
        return ERR_OK;
    roster_heard(&replica->roster, session);
    if (is_next(replica, session, from->number, attachment, peer))
        propose(replica, from, session, request_check(&request) == ERR_OK);
    return ERR_OK;
}
