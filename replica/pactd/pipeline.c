#include "replica/pactd/pipeline.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "replica/pactd/attach.h"
#include "replica/pactd/ensemble.h"
#include "replica/pactd/priority.h"

/* What an entry adds around its request: five numbers and their tags. */
enum { ENTRY_OVERHEAD_BYTES = 128 };

/* --- a full disk --- */

/* Everything that is not durable is forgotten, here and in the store; nobody was told of it. The mounts keep their
 * sessions; their requests wait, as they do without a leader. */
static void disk_full(struct replica *replica)
{
    if (!replica->full)
        report(REPORT_ERROR, "the disk is full: writes wait until there is space (%s)", store_error(replica->store));
    replica->full = true;
    replica->retry_ms = clock_ms() + FULL_RETRY_MS;
    replica->pending_bytes = 0;
    recent_withdraw(&replica->recent, store_durable_zxid(replica->store));
    roster_withdraw(&replica->roster, replica->state);
    attach_withdrawn(replica);
    ensemble_step(replica, &(struct zab_event){.kind = ZAB_WITHDRAWN, .zxid = store_durable_zxid(replica->store)});
}

static void store_failed(struct replica *replica, int code, const char *what)
{
    if (code == ERR_NO_SPACE)
        disk_full(replica);
    else
        replica_fail(replica, code, what);
}

void pipeline_sync(struct replica *replica)
{
    if (replica->failure != ERR_OK)
        return;
    int code = ERR_OK;
    if (store_last_zxid(replica->store) > store_durable_zxid(replica->store))
        code = store_sync(replica->store);
    if (code != ERR_OK) {
        store_failed(replica, code, "syncing the log");
        return;
    }
    replica->pending_bytes = 0;
    if (store_durable_zxid(replica->store) > zab_durable(replica->zab)) /* a purge syncs as well */
        ensemble_step(replica, &(struct zab_event){.kind = ZAB_DURABLE, .zxid = store_durable_zxid(replica->store)});
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
    ensemble_step(replica, &(struct zab_event){.kind = ZAB_SPACE});
    attach_resend(replica);
}

/* --- append --- */

bool pipeline_append(struct replica *replica, uint64_t zxid, struct bytes entry)
{
    if (replica->pending_bytes + entry.len > LIMIT_BATCH_BYTES)
        pipeline_sync(replica);
    if (replica->failure != ERR_OK || replica->full)
        return false;
    int code = store_append(replica->store, zxid, entry);
    if (code == ERR_TOO_MANY) {
        pipeline_sync(replica);
        code = replica->full || replica->failure ? ERR_NO_SPACE : store_append(replica->store, zxid, entry);
    }
    if (code != ERR_OK) {
        if (!replica->full)
            store_failed(replica, code, "appending to the log");
        return false;
    }
    uint64_t durable = store_durable_zxid(replica->store), applied = state_zxid(replica->state);
    recent_push(&replica->recent, zxid, entry, durable < applied ? durable : applied);
    replica->pending_bytes += entry.len;
    return true;
}

int pipeline_propose(struct replica *replica, const struct entry *place, struct bytes request)
{
    struct entry entry = {.session = place->session, .number = place->number, .awaited = place->awaited};
    if (replica->full)
        return ERR_NO_SPACE;
    if (request.len > LIMIT_ENTRY_BYTES - ENTRY_OVERHEAD_BYTES)
        return ERR_TOO_BIG;
    if (replica->pending_bytes + request.len + ENTRY_OVERHEAD_BYTES > LIMIT_BATCH_BYTES)
        pipeline_sync(replica); /* before the place is taken: it may fail */
    if (replica->failure != ERR_OK)
        return replica->failure;
    int code = zab_propose(replica->zab, clocks(), &entry.zxid, &entry.stamp_ns);
    if (code != ERR_OK)
        return code;
    code = encode_entry(&entry, request, &replica->entry);
    assert(code == ERR_OK);
    if (pipeline_append(replica, entry.zxid, (struct bytes){replica->entry.at, replica->entry.len}))
        return ERR_OK;
    return replica->failure ? replica->failure : ERR_NO_SPACE;
}

int pipeline_propose_own(struct replica *replica, const struct request *request)
{
    struct buffer encoded = {0};
    int code = encode_request(request, &encoded);
    assert(code == ERR_OK);
    struct bytes bytes = {encoded.at, encoded.len};
    if (zab_role(replica->zab) == ZAB_FOLLOWING)
        code = ensemble_forward(replica, &(struct peer_forward){.request = bytes});
    else
        code = pipeline_propose(replica, &(struct entry){0}, bytes);
    buffer_free(&encoded);
    return code;
}

void pipeline_cut(struct replica *replica, uint64_t zxid)
{
    int code = store_truncate(replica->store, zxid);
    if (code != ERR_OK) {
        replica_fail(replica, code, "cutting the log"); /* never to be passed over: it would be another history */
        return;
    }
    replica->pending_bytes = 0;
    recent_cut(&replica->recent, zxid);
    if (state_zxid(replica->state) > zxid)
        start_reload(replica);
}

/* --- committed, applied --- */

/* A replica that starts has applied its log before it knows what of it is committed; nobody is shown that. */
uint64_t pipeline_applied(const struct replica *replica)
{
    uint64_t applied = state_zxid(replica->state);
    return applied < zab_committed(replica->zab) ? applied : zab_committed(replica->zab);
}

static bool apply(struct replica *replica, struct bytes bytes)
{
    struct entry entry;
    struct result result;
    arena_reset(replica->request_arena);
    int code = decode_entry(bytes, replica->request_arena, &entry);
    if (code != ERR_OK) { /* it was decoded before it was appended: the memory or the disk is bad */
        replica_fail(replica, ERR_CORRUPT, "applying an entry");
        return false;
    }
    if (!ensemble_knows(replica, &entry)) { /* it was raised while this replica was on its way back */
        replica_fail(replica, ERR_BAD_FORMAT, "going on to a state version that this replica does not know");
        return false;
    }
    state_apply(replica->state, &entry, &result, NULL);
    compare_applied(replica);
    attach_applied(replica, &entry, &result);
    ensemble_applied(replica, &entry, &result);
    priority_give_way();
    return true;
}

static size_t apply_recent(struct replica *replica, uint64_t until, size_t budget)
{
    size_t done = 0;
    size_t index = recent_after(&replica->recent, state_zxid(replica->state));
    for (; index < replica->recent.count && done < budget; index++, done++) {
        const struct recent_entry *entry = recent_at(&replica->recent, index);
        if (entry->zxid > until || !apply(replica, entry->bytes))
            break;
    }
    return done;
}

/* What lags so far behind that it fell out of memory. */
static size_t apply_log(struct replica *replica, uint64_t until, size_t budget)
{
    struct log_reader *reader = NULL;
    uint64_t zxid = 0;
    size_t done = 0;
    int code = log_reader_open(replica->store, state_zxid(replica->state), &reader);
    if (until > replica->recent.floor)
        until = replica->recent.floor;
    for (; code == ERR_OK && done < budget && state_zxid(replica->state) < until; done++) {
        struct bytes entry;
        code = log_reader_next(reader, &zxid, &entry);
        if (code == ERR_OK && (zxid == 0 || !apply(replica, entry)))
            break;
    }
    if (code != ERR_OK)
        replica_fail(replica, code, "reading the log");
    if (reader)
        log_reader_close(reader);
    return done;
}

bool pipeline_apply(struct replica *replica, size_t budget)
{
    while (budget > 0 && replica->failure == ERR_OK) {
        uint64_t until = store_durable_zxid(replica->store), applied = state_zxid(replica->state);
        if (until > zab_committed(replica->zab))
            until = zab_committed(replica->zab);
        if (applied >= until)
            return false;
        size_t done =
            applied < replica->recent.floor ? apply_log(replica, until, budget) : apply_recent(replica, until, budget);
        if (done == 0)
            return false;
        budget -= done;
    }
    return replica->failure == ERR_OK;
}
