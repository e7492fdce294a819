#include "replica/pactd/pipeline.h"

#include <assert.h>
#include <string.h>

#include "replica/pactd/attach.h"

/* What an entry adds around its request: five numbers and their tags. */
enum { ENTRY_OVERHEAD_BYTES = 128 };

/* --- a full disk --- */

/* Everything that is not durable is forgotten, here and in the store; nobody was told of it. The mounts stay and keep
 * their sessions; their requests wait, as they do without a leader. */
static void disk_full(struct replica *replica)
{
    if (!replica->full)
        report(REPORT_ERROR, "the disk is full: writes wait until there is space (%s)", store_error(replica->store));
    replica->full = true;
    replica->retry_ms = clock_ms() + FULL_RETRY_MS;
    replica->pending_bytes = 0;
    order_withdraw(&replica->order);
    recent_withdraw(&replica->recent, replica->order.durable);
    roster_withdraw(&replica->roster, replica->state);
    attach_withdrawn(replica);
}

static int store_failed(struct replica *replica, int code, const char *what)
{
    if (code == ERR_NO_SPACE)
        disk_full(replica);
    else
        replica_fail(replica, code, what);
    return code;
}

static int make_durable(struct replica *replica)
{
    int code = store_sync(replica->store);
    if (code != ERR_OK)
        return store_failed(replica, code, "syncing the log");
    replica->pending_bytes = 0;
    order_durable(&replica->order, replica->order.proposed);
    return ERR_OK;
}

/* --- propose --- */

/* The counter's 32 bits are used up: the next epoch must be durable before an entry carries it. */
static int next_epoch(struct replica *replica)
{
    uint32_t epoch = replica->order.epoch + 1;
    int code = store_set_epochs(replica->store, (struct epochs){epoch, epoch, .voter = true});
    if (code != ERR_OK)
        return store_failed(replica, code, "beginning an epoch");
    order_new_epoch(&replica->order, epoch);
    report(REPORT_INFO, "epoch %u", epoch);
    return ERR_OK;
}

int pipeline_propose(struct replica *replica, const struct entry *place, struct bytes request, uint64_t *zxid)
{
    if (replica->full)
        return ERR_NO_SPACE;
    if (request.len > LIMIT_ENTRY_BYTES - ENTRY_OVERHEAD_BYTES)
        return ERR_TOO_BIG;
    int code = ERR_OK;
    if (replica->pending_bytes + request.len + ENTRY_OVERHEAD_BYTES > LIMIT_BATCH_BYTES)
        code = make_durable(replica); /* applied at the end of the turn, as all */
    if (code == ERR_OK && order_exhausted(&replica->order))
        code = next_epoch(replica);
    if (code != ERR_OK)
        return code;
    struct entry entry = {.session = place->session, .number = place->number, .awaited = place->awaited};
    order_next(&replica->order, wall_ns(), &entry);
    int encoded = encode_entry(&entry, request, &replica->entry);
    assert(encoded == ERR_OK);
    struct bytes bytes = {replica->entry.at, replica->entry.len};
    code = store_append(replica->store, entry.zxid, bytes);
    if (code != ERR_OK)
        return store_failed(replica, code, "appending to the log");
    recent_push(&replica->recent, entry.zxid, bytes, replica->order.committed);
    replica->pending_bytes += bytes.len;
    if (zxid)
        *zxid = entry.zxid;
    return ERR_OK;
}

int pipeline_propose_own(struct replica *replica, const struct request *request, uint64_t *zxid)
{
    struct buffer encoded = {0};
    int code = encode_request(request, &encoded);
    assert(code == ERR_OK);
    code = pipeline_propose(replica, &(struct entry){0}, (struct bytes){encoded.at, encoded.len}, zxid);
    buffer_free(&encoded);
    return code;
}

/* --- committed, applied --- */

static void apply(struct replica *replica, struct bytes bytes)
{
    struct entry entry;
    struct result result;
    arena_reset(replica->request_arena);
    int code = decode_entry(bytes, replica->request_arena, &entry);
    assert(code == ERR_OK); /* it was decoded, as a request, before it was proposed */
    state_apply(replica->state, &entry, &result, NULL);
    attach_applied(replica, &entry, &result);
}

static void apply_committed(struct replica *replica)
{
    size_t index = recent_after(&replica->recent, state_zxid(replica->state));
    for (; index < replica->recent.count; index++) {
        const struct recent_entry *entry = recent_at(&replica->recent, index);
        if (entry->zxid > replica->order.committed)
            break;
        apply(replica, entry->bytes);
    }
}

void pipeline_commit(struct replica *replica)
{
    if (replica->failure != ERR_OK)
        return;
    if (replica->order.proposed > replica->order.durable)
        make_durable(replica);
    if (replica->failure == ERR_OK)
        apply_committed(replica);
}

/* That a small entry still fits into the log's present segment is not enough: there must be room for the next. */
void pipeline_retry(struct replica *replica, uint64_t now_ms)
{
    if (!replica->full || now_ms < replica->retry_ms)
        return;
    int code = store_prepare(replica->store);
    if (code != ERR_OK) {
        store_failed(replica, code, "making room in the log");
        return;
    }
    replica->full = false;
    report(REPORT_INFO, "the disk has space again: writes go on");
    attach_resend(replica);
}
