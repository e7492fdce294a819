#include "replica/pactd/attach.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "replica/pactd/pipeline.h"

/* --- sending --- */

void attach_send(struct replica *replica, struct attachment *attachment, const struct message *message)
{
    if (!attachment->peer)
        return;
    int code = encode_message(message, &replica->encoded);
    assert(code == ERR_OK);
    peer_send(attachment->peer, replica->encoded.at, replica->encoded.len, clock_ms());
}

/* Nothing more is heard from it; what is queued still goes out. */
void attach_leave(struct replica *replica, struct attachment *attachment)
{
    struct roster_session *session = roster_find(&replica->roster, attachment->session);
    if (session && session->attachment == attachment)
        session->attachment = NULL;
    attachment->state = CLOSING;
    stream_end(replica, &attachment->stream);
    if (attachment->peer)
        peer_close(attachment->peer, clock_ms());
}

void attach_refuse(struct replica *replica, struct attachment *attachment, int code, const char *text)
{
    struct message message = {.kind = MESSAGE_REFUSED, .refused = {code, {text, strlen(text)}}};
    report(REPORT_INFO, "a mount is refused: %s", text);
    attach_send(replica, attachment, &message);
    if (attachment->state != CLOSING)
        attach_leave(replica, attachment);
}

/* --- attaching --- */

/* The mount goes on from `zxid`: tells it so; its stream is pumped at the end of the turn. */
static void start_stream(struct replica *replica, struct attachment *attachment, uint64_t zxid, uint32_t timeout_ms)
{
    struct message message = {.kind = MESSAGE_ATTACHED};
    struct message_attached *attached = &message.attached;
    if (stream_start(replica, &attachment->stream, zxid, &attached->snapshot) != ERR_OK) {
        attach_refuse(replica, attachment, ERR_OTHER_CLUSTER, "the mount has seen another history of this cluster");
        return;
    }
    attachment->state = ATTACHED;
    memcpy(attached->cluster, state_cluster(replica->state), CLUSTER_ID_BYTES);
    attached->session = attachment->session;
    attached->timeout_ms = timeout_ms;
    attached->commit = replica->order.committed;
    attached->replica = replica->id;
    attached->leader = replica->full ? 0 : replica->id;
    attach_send(replica, attachment, &message);
}

/* The session's newest link carries it; an older one is a leftover. */
static void take_session(struct replica *replica, struct attachment *attachment, uint64_t id, uint64_t zxid)
{
    struct roster_session *session = roster_find(&replica->roster, id);
    assert(session);
    if (session->attachment)
        attach_leave(replica, session->attachment);
    session->attachment = attachment;
    attachment->session = id;
    roster_heard(&replica->roster, session);
    start_stream(replica, attachment, zxid, session->timeout_ms);
}

/* A session's secret is kept as its BLAKE2b hash (crypto_generichash, 32 bytes, no key): every mount sees the tree. */
static void hash_secret(const uint8_t *secret, uint8_t *hash)
{
    crypto_generichash(hash, SESSION_HASH_BYTES, secret, SESSION_SECRET_BYTES, NULL, 0);
}

static bool secret_matches(const struct message_attach *attach, const struct session_info *info)
{
    uint8_t hash[SESSION_HASH_BYTES];
    hash_secret(attach->secret, hash);
    return sodium_memcmp(hash, info->secret_hash, sizeof hash) == 0;
}

static void resume_session(struct replica *replica, struct attachment *attachment, const struct message_attach *attach,
                           const struct session_info *info)
{
    if (!secret_matches(attach, info))
        attach_refuse(replica, attachment, ERR_ACCESS, "the session's secret does not match");
    else if (roster_find(&replica->roster, info->id)->closing)
        attach_refuse(replica, attachment, ERR_SESSION_EXPIRED, "the session is being closed");
    else
        take_session(replica, attachment, info->id, attach->applied);
}

static uint32_t clamp_timeout(uint32_t timeout_ms)
{
    if (timeout_ms == 0)
        return DEFAULT_SESSION_TIMEOUT_MS;
    if (timeout_ms < LIMIT_SESSION_TIMEOUT_MIN_MS)
        return LIMIT_SESSION_TIMEOUT_MIN_MS;
    return timeout_ms > LIMIT_SESSION_TIMEOUT_MAX_MS ? LIMIT_SESSION_TIMEOUT_MAX_MS : timeout_ms;
}

static void create_session(struct replica *replica, struct attachment *attachment, const struct message_attach *attach)
{
    struct request request = {.kind = OP_CREATE_SESSION};
    struct op_create_session *create = &request.create_session;
    memcpy(create->nonce, attach->nonce, sizeof create->nonce);
    hash_secret(attach->secret, create->secret_hash);
    create->timeout_ms = clamp_timeout(attach->timeout_ms);
    create->host = attach->host;
    create->pid = attach->pid;
    if (request_check(&request) != ERR_OK) {
        attach_refuse(replica, attachment, ERR_INVALID, "an invalid host name");
        return;
    }
    if (pipeline_propose_own(replica, &request, &attachment->wait_zxid) != ERR_OK) {
        attach_refuse(replica, attachment, ERR_NO_QUORUM, "the replica's disk is full");
        return;
    }
    attachment->state = CREATING;
    attachment->from_zxid = attach->applied;
}

/* Whether this client can follow this history at all. */
static bool check_attach(struct replica *replica, struct attachment *attachment, const struct message_attach *attach)
{
    static const uint8_t none[CLUSTER_ID_BYTES];
    if (attach->state_version_min > STATE_VERSION || attach->state_version_max < STATE_VERSION_MIN) {
        attach_refuse(replica, attachment, ERR_BAD_FORMAT, "no state version is known to both sides");
        return false;
    }
    if (memcmp(attach->cluster, none, CLUSTER_ID_BYTES) != 0 &&
        memcmp(attach->cluster, state_cluster(replica->state), CLUSTER_ID_BYTES) != 0) {
        attach_refuse(replica, attachment, ERR_OTHER_CLUSTER, "the mount belongs to another cluster");
        return false;
    }
    if (attach->applied > replica->order.committed) {
        attach_refuse(replica, attachment, ERR_OTHER_CLUSTER,
                      "the mount has seen a later history than this replica has");
        return false;
    }
    return true;
}

void attach_request(struct replica *replica, struct attachment *attachment, const struct message_attach *attach)
{
    struct session_info info;
    if (attachment->state != FRESH) {
        attach_refuse(replica, attachment, ERR_INVALID, "attached twice");
        return;
    }
    if (!check_attach(replica, attachment, attach))
        return;
    if (attach->observer)
        start_stream(replica, attachment, attach->applied, 0);
    else if (attach->session != 0 && !state_session(replica->state, attach->session, &info))
        attach_refuse(replica, attachment, ERR_SESSION_EXPIRED, "the session has expired");
    else if (attach->session != 0 || state_session_by_nonce(replica->state, attach->nonce, &info))
        resume_session(replica, attachment, attach, &info);
    else
        create_session(replica, attachment, attach);
}

/* --- after apply --- */

static void session_created(struct replica *replica, const struct entry *entry, const struct result *result)
{
    struct session_info info;
    if (result->code == ERR_OK && !roster_find(&replica->roster, result->id)) {
        bool known = state_session(replica->state, result->id, &info);
        assert(known);
        roster_add(&replica->roster, result->id, info.timeout_ms);
        report(REPORT_INFO, "session %" PRIu64 ": opened by %s, pid %" PRIu32 ", timeout %" PRIu32 " ms", info.id,
               info.host, info.pid, info.timeout_ms);
    }
    struct attachment *attachment;
    DL_FOREACH(replica->attachments, attachment)
    {
        if (attachment->state != CREATING || attachment->wait_zxid != entry->zxid)
            continue;
        if (result->code == ERR_OK)
            take_session(replica, attachment, result->id, attachment->from_zxid);
        else
            attach_refuse(replica, attachment, result->code, error_text(result->code));
    }
}

static void session_closed(struct replica *replica, const struct op_close_session *close)
{
    struct roster_session *session = roster_find(&replica->roster, close->session);
    if (!session)
        return;
    struct attachment *attachment = session->attachment;
    session->attachment = NULL;
    roster_remove(&replica->roster, session);
    report(REPORT_INFO, "session %" PRIu64 ": closed", close->session);
    if (!attachment)
        return;
    stream_pump(replica, attachment); /* its last results first */
    if (attachment->state == DETACHING)
        attach_send(replica, attachment, &(struct message){.kind = MESSAGE_DETACHED});
    else
        attach_refuse(replica, attachment, ERR_SESSION_EXPIRED, "the session has expired");
}

void attach_applied(struct replica *replica, const struct entry *entry, const struct result *result)
{
    if (entry->request.kind == OP_CREATE_SESSION)
        session_created(replica, entry, result);
    else if (entry->request.kind == OP_CLOSE_SESSION && result->code == ERR_OK)
        session_closed(replica, &entry->request.close_session);
}

/* --- a full disk --- */

void attach_withdrawn(struct replica *replica)
{
    struct attachment *attachment;
    DL_FOREACH(replica->attachments, attachment)
    {
        attachment->asked_resend = false;
        if (attachment->state == CREATING || attachment->state == DETACHING)
            attach_refuse(replica, attachment, ERR_NO_QUORUM, "the replica's disk is full");
    }
}

void attach_resend(struct replica *replica)
{
    struct attachment *attachment;
    DL_FOREACH(replica->attachments, attachment)
    {
        if (attachment->state == ATTACHED && attachment->session != 0)
            attach_send(replica, attachment, &(struct message){.kind = MESSAGE_RESEND});
    }
}

/* --- all of them --- */

static void remove_attachment(struct replica *replica, struct attachment *attachment)
{
    stream_end(replica, &attachment->stream);
    DL_DELETE(replica->attachments, attachment);
    free(attachment);
}

void attach_pump(struct replica *replica)
{
    struct attachment *attachment, *next;
    DL_FOREACH_SAFE(replica->attachments, attachment, next)
    {
        if (attachment->state == ATTACHED || attachment->state == DETACHING)
            stream_pump(replica, attachment);
        if (stream_stalled(&attachment->stream))
            attach_refuse(replica, attachment, ERR_UNREACHABLE, "the mount does not take its snapshot");
        if (!attachment->peer)
            remove_attachment(replica, attachment);
    }
}

void attach_free(struct replica *replica)
{
    struct attachment *attachment, *next;
    DL_FOREACH_SAFE(replica->attachments, attachment, next)
    remove_attachment(replica, attachment);
}

size_t attach_count(const struct replica *replica)
{
    const struct attachment *attachment;
    size_t count = 0;
    DL_FOREACH(replica->attachments, attachment)
    count += attachment->state == ATTACHED;
    return count;
}
