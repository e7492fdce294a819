#include "replica/pactd/attach.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "replica/pactd/ensemble.h"
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

static const char *no_quorum(const struct replica *replica)
{
    return replica->full ? "the replica's disk is full" : "the replica has no contact with a quorum";
}

/* Nothing more is heard from it; what is queued still goes out. */
void attach_leave(struct replica *replica, struct attachment *attachment)
{
    struct roster_session *session = roster_find(&replica->roster, attachment->session);
    if (session && session->attachment == attachment)
        session->attachment = NULL;
    attachment->state = CLOSING;
    stream_end(replica, &attachment->stream);
    questions_forget(replica, attachment);
    if (attachment->peer)
        peer_close(attachment->peer, clock_ms());
}

void attach_refuse(struct replica *replica, struct attachment *attachment, int code, const char *text)
{
    struct message message = {.kind = MESSAGE_REFUSED, .refused = {code, {text, strlen(text)}}};
    report(code == ERR_NO_QUORUM ? REPORT_DEBUG : REPORT_INFO, "a mount is refused: %s", text); /* those come often */
    attach_send(replica, attachment, &message);
    if (attachment->state != CLOSING)
        attach_leave(replica, attachment);
}

/* --- a mount as a stream's receiver --- */

static bool sink_open(void *to)
{
    const struct attachment *attachment = to;
    return attachment->peer != NULL;
}

static size_t sink_queued(void *to)
{
    const struct attachment *attachment = to;
    return peer_queued_bytes(attachment->peer);
}

static void sink_snapshot_begin(struct replica *replica, void *to, uint64_t zxid, uint64_t nodes)
{
    attach_send(replica, to, &(struct message){.kind = MESSAGE_SNAPSHOT_BEGIN, .snapshot_begin = {zxid, nodes}});
}

static void sink_snapshot_chunk(struct replica *replica, void *to, struct bytes chunk)
{
    attach_send(replica, to, &(struct message){.kind = MESSAGE_SNAPSHOT_CHUNK, .chunk = chunk});
}

static void sink_snapshot_end(struct replica *replica, void *to)
{
    attach_send(replica, to, &(struct message){.kind = MESSAGE_SNAPSHOT_END});
}

/* Mounts that are up to date all need the same message. */
static void sink_entries(struct replica *replica, void *to, const struct batch *batch)
{
    struct stream_cache *cache = &replica->mount_cache;
    struct attachment *attachment = to;
    uint64_t commit = pipeline_applied(replica);
    if (!stream_cached(cache, batch, commit)) {
        struct message message = {.kind = MESSAGE_ENTRIES, .entries = {batch->list, batch->count, commit}};
        int code = encode_message(&message, &cache->message);
        assert(code == ERR_OK);
    }
    peer_send(attachment->peer, cache->message.at, cache->message.len, clock_ms());
}

static const struct stream_sink mount_sink = {
    .open = sink_open,
    .queued = sink_queued,
    .limit = pipeline_applied,
    .snapshot_begin = sink_snapshot_begin,
    .snapshot_chunk = sink_snapshot_chunk,
    .snapshot_end = sink_snapshot_end,
    .entries = sink_entries,
};

/* --- attaching --- */

static const char another_history[] = "the mount has seen another history of this cluster";

/* The mount goes on from `zxid`: tells it so; its stream is pumped at the end of the turn. */
static void start_stream(struct replica *replica, struct attachment *attachment, uint32_t timeout_ms)
{
    uint64_t zxid = attachment->asked.applied;
    if (stream_start(replica, &attachment->stream, &mount_sink, attachment, zxid, zxid == 0) != ERR_OK) {
        attach_refuse(replica, attachment, ERR_OTHER_CLUSTER, another_history);
        return;
    }
    struct message message = {.kind = MESSAGE_ATTACHED};
    message.attached = (struct message_attached){
        .session = attachment->session,
        .timeout_ms = timeout_ms,
        .commit = pipeline_applied(replica),
        .snapshot = attachment->stream.snapshot,
        .replica = replica->id,
        .leader = replica->full ? 0 : zab_leader(replica->zab),
    };
    memcpy(message.attached.cluster, state_cluster(replica->state), CLUSTER_ID_BYTES);
    attachment->state = ATTACHED;
    attach_send(replica, attachment, &message);
}

/* The session's newest link carries it; an older one is a leftover. */
static void take_session(struct replica *replica, struct attachment *attachment, uint64_t id)
{
    struct roster_session *session = roster_find(&replica->roster, id);
    assert(session);
    if (session->attachment)
        attach_leave(replica, session->attachment);
    session->attachment = attachment;
    attachment->session = id;
    roster_heard(&replica->roster, session);
    start_stream(replica, attachment, session->timeout_ms);
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

static void resume_session(struct replica *replica, struct attachment *attachment, const struct session_info *info)
{
    if (!secret_matches(&attachment->asked, info))
        attach_refuse(replica, attachment, ERR_ACCESS, "the session's secret does not match");
    else if (roster_find(&replica->roster, info->id)->closing)
        attach_refuse(replica, attachment, ERR_SESSION_EXPIRED, "the session is being closed");
    else
        take_session(replica, attachment, info->id);
}

static uint32_t clamp_timeout(uint32_t timeout_ms)
{
    if (timeout_ms == 0)
        return DEFAULT_SESSION_TIMEOUT_MS;
    if (timeout_ms < LIMIT_SESSION_TIMEOUT_MIN_MS)
        return LIMIT_SESSION_TIMEOUT_MIN_MS;
    return timeout_ms > LIMIT_SESSION_TIMEOUT_MAX_MS ? LIMIT_SESSION_TIMEOUT_MAX_MS : timeout_ms;
}

/* Idempotent by the mount's nonce: after a change of leader it is simply asked for again. */
static void create_session(struct replica *replica, struct attachment *attachment)
{
    const struct message_attach *asked = &attachment->asked;
    struct request request = {.kind = OP_CREATE_SESSION};
    struct op_create_session *create = &request.create_session;
    memcpy(create->nonce, asked->nonce, sizeof create->nonce);
    hash_secret(asked->secret, create->secret_hash);
    create->timeout_ms = clamp_timeout(asked->timeout_ms);
    create->host = asked->host;
    create->pid = asked->pid;
    attachment->state = CREATING;
    if (request_check(&request) != ERR_OK)
        attach_refuse(replica, attachment, ERR_INVALID, "an invalid host name");
    else if (pipeline_propose_own(replica, &request) != ERR_OK)
        attach_refuse(replica, attachment, ERR_NO_QUORUM, no_quorum(replica));
}

static void close_session(struct replica *replica, struct attachment *attachment)
{
    struct request close = {.kind = OP_CLOSE_SESSION, .close_session = {attachment->session, CLOSE_BY_OWNER}};
    attachment->state = DETACHING;
    if (pipeline_propose_own(replica, &close) != ERR_OK)
        attach_refuse(replica, attachment, ERR_NO_QUORUM, no_quorum(replica));
}

/* Whether this client can follow this history at all. */
static bool check_attach(struct replica *replica, struct attachment *attachment, const struct message_attach *attach)
{
    static const uint8_t none[CLUSTER_ID_BYTES];
    if (attach->state_version_min > replica->state_version_max ||
        attach->state_version_max < state_version(replica->state)) {
        attach_refuse(replica, attachment, ERR_BAD_FORMAT, "no state version is known to both sides");
        return false;
    }
    if (memcmp(attach->cluster, none, CLUSTER_ID_BYTES) != 0 &&
        memcmp(attach->cluster, state_cluster(replica->state), CLUSTER_ID_BYTES) != 0) {
        attach_refuse(replica, attachment, ERR_OTHER_CLUSTER, "the mount belongs to another cluster");
        return false;
    }
    if (attach->applied > pipeline_applied(replica) || attach->seen > pipeline_applied(replica)) {
        attach_refuse(replica, attachment, ERR_OTHER_CLUSTER,
                      "the mount has seen a later history than this replica has");
        return false;
    }
    if (!stream_knows(replica, attach->seen)) {
        attach_refuse(replica, attachment, ERR_OTHER_CLUSTER, another_history);
        return false;
    }
    return true;
}

/* This replica is level with what the leader had when the mount asked. */
static void answer_attach(struct replica *replica, struct attachment *attachment)
{
    const struct message_attach *asked = &attachment->asked;
    struct session_info info;
    if (!check_attach(replica, attachment, asked))
        return;
    if (asked->observer)
        start_stream(replica, attachment, 0);
    else if (asked->session != 0 && !state_session(replica->state, asked->session, &info))
        attach_refuse(replica, attachment, ERR_SESSION_EXPIRED, "the session has expired");
    else if (asked->session != 0 || state_session_by_nonce(replica->state, asked->nonce, &info))
        resume_session(replica, attachment, &info);
    else
        create_session(replica, attachment);
}

void attach_request(struct replica *replica, struct attachment *attachment, const struct message_attach *attach)
{
    if (attachment->state != FRESH) {
        attach_refuse(replica, attachment, ERR_INVALID, "attached twice");
        return;
    }
    if (ensemble_is_alone(replica, clock_ms())) { /* else it waits here for the next leader */
        attach_refuse(replica, attachment, ERR_NO_QUORUM, no_quorum(replica));
        return;
    }
    attachment->asked = *attach;
    if (attach->host.len > 0)
        memcpy(attachment->host, attach->host.at, attach->host.len);
    attachment->asked.host.at = attachment->host;
    attachment->state = ASKING;
    question_attach(replica, attachment);
}

void attach_level(struct replica *replica, struct attachment *attachment, uint64_t zxid)
{
    attachment->level_zxid = zxid = zxid ? zxid : 1; /* the first entry names the cluster */
    if (attachment->state == ASKING && pipeline_applied(replica) >= zxid)
        answer_attach(replica, attachment);
}

void attach_detach(struct replica *replica, struct attachment *attachment)
{
    const struct roster_session *session = roster_find(&replica->roster, attachment->session);
    if (attachment->state != ATTACHED)
        return;
    if (!session)
        attach_send(replica, attachment, &(struct message){.kind = MESSAGE_DETACHED});
    else
        close_session(replica, attachment);
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
    const uint8_t *nonce = entry->request.create_session.nonce;
    struct attachment *attachment, *next;
    DL_FOREACH_SAFE(replica->attachments, attachment, next)
    {
        if (attachment->state != CREATING || memcmp(attachment->asked.nonce, nonce, SESSION_NONCE_BYTES) != 0)
            continue;
        if (result->code == ERR_OK)
            take_session(replica, attachment, result->id);
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
    while (stream_pump(replica, &attachment->stream)) /* its last results first */
        continue;
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

/* --- a full disk, another leader, none --- */

void attach_withdrawn(struct replica *replica)
{
    struct attachment *attachment;
    DL_FOREACH(replica->attachments, attachment)
    {
        if (attachment->state == CREATING || attachment->state == DETACHING)
            attach_refuse(replica, attachment, ERR_NO_QUORUM, no_quorum(replica));
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

void attach_new_leader(struct replica *replica)
{
    struct attachment *attachment;
    if (!replica->serving)
        return;
    DL_FOREACH(replica->attachments, attachment)
    {
        if (attachment->state == CREATING)
            create_session(replica, attachment);
        else if (attachment->state == DETACHING)
            close_session(replica, attachment);
    }
    attach_resend(replica);
}

void attach_new_version(struct replica *replica)
{
    struct attachment *attachment;
    DL_FOREACH(replica->attachments, attachment)
    {
        bool follows = attachment->state != FRESH && attachment->state != CLOSING;
        if (follows && attachment->asked.state_version_max < state_version(replica->state))
            attach_refuse(replica, attachment, ERR_BAD_FORMAT, "the ensemble has gone on to a newer state version");
    }
}

void attach_send_away(struct replica *replica)
{
    struct attachment *attachment;
    DL_FOREACH(replica->attachments, attachment)
    {
        if (attachment->state != FRESH && attachment->state != CLOSING)
            attach_refuse(replica, attachment, ERR_NO_QUORUM, no_quorum(replica));
    }
}

/* --- all of them --- */

static void remove_attachment(struct replica *replica, struct attachment *attachment)
{
    stream_end(replica, &attachment->stream);
    questions_forget(replica, attachment);
    DL_DELETE(replica->attachments, attachment);
    free(attachment);
}

bool attach_pump(struct replica *replica)
{
    bool more = false;
    struct attachment *attachment, *next;
    DL_FOREACH_SAFE(replica->attachments, attachment, next)
    {
        if (attachment->state == ASKING && attachment->level_zxid)
            attach_level(replica, attachment, attachment->level_zxid);
        more |= stream_pump(replica, &attachment->stream);
        if (stream_stalled(&attachment->stream))
            attach_refuse(replica, attachment, ERR_UNREACHABLE, "the mount does not take its snapshot");
        if (!attachment->peer)
            remove_attachment(replica, attachment);
    }
    return more;
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
