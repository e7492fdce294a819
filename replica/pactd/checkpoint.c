/* Snapshots of the state on disk: the cursor is read in slices on the loop, each slice is written by a worker, and
 * serving goes on between them.
 *
 *   tick: much log since the last one ─► slice ─► worker writes ─► slice … ─► worker commits ─► purge */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "replica/pactd/ensemble.h"

enum { SLICE_BYTES = 256 * 1024, RETRY_MS = 60000 };

static void next_slice(struct replica *replica);

static void end(struct checkpoint *checkpoint)
{
    if (checkpoint->cursor)
        snapshot_end(checkpoint->cursor);
    checkpoint->cursor = NULL;
    checkpoint->writer = NULL;
    free(checkpoint->slice);
    checkpoint->slice = NULL;
}

/* The log is still there: nothing is lost but the shorter start. */
static void give_up(struct replica *replica, int code)
{
    const char *cause = store_writer_error(replica->store);
    report(REPORT_ERROR, "writing a snapshot failed: %s; it is tried again in %d s",
           cause && *cause ? cause : error_text(code), RETRY_MS / 1000);
    replica->checkpoint.not_before_ms = clock_ms() + RETRY_MS;
    end(&replica->checkpoint);
}

static void finish(struct replica *replica)
{
    struct checkpoint *checkpoint = &replica->checkpoint;
    uint64_t zxid = snapshot_zxid(checkpoint->cursor), nodes = snapshot_nodes(checkpoint->cursor);
    int code = store_snapshot_done(replica->store, zxid);
    if (code != ERR_OK) {
        give_up(replica, code);
        return;
    }
    report(REPORT_INFO, "snapshot at zxid %" PRIx64 ": %" PRIu64 " znodes in %" PRIu64 " ms", zxid, nodes,
           clock_ms() - checkpoint->begun_ms);
    end(checkpoint);
    ensemble_step(replica, &(struct zab_event){.kind = ZAB_PURGED, .zxid = store_base_zxid(replica->store)});
}

/* In the worker. */
static void work(uv_work_t *request)
{
    struct checkpoint *checkpoint = request->data;
    if (checkpoint->slice_len == 0)
        checkpoint->code = snapshot_writer_commit(checkpoint->writer);
    else
        checkpoint->code = snapshot_writer_add(checkpoint->writer, checkpoint->slice, checkpoint->slice_len);
}

static void worked(uv_work_t *request, int status)
{
    struct checkpoint *checkpoint = request->data;
    struct replica *replica = (struct replica *)((char *)checkpoint - offsetof(struct replica, checkpoint));
    bool committed = checkpoint->slice_len == 0;
    assert(status == 0); /* it is never cancelled */
    checkpoint->working = false;
    bool stopped = replica->checkpoint.stopping && !committed;
    if ((checkpoint->code != ERR_OK || stopped) && !committed)
        snapshot_writer_abort(checkpoint->writer);
    if (checkpoint->code != ERR_OK)
        give_up(replica, checkpoint->code);
    else if (committed)
        finish(replica);
    else if (stopped)
        end(checkpoint);
    else
        next_slice(replica);
}

static void next_slice(struct replica *replica)
{
    struct checkpoint *checkpoint = &replica->checkpoint;
    checkpoint->slice_len = snapshot_read(checkpoint->cursor, checkpoint->slice, SLICE_BYTES);
    checkpoint->work.data = checkpoint;
    checkpoint->working = uv_queue_work(&replica->loop, &checkpoint->work, work, worked) == 0;
    assert(checkpoint->working);
}

/* After a start the tree has all that the log has: a snapshot may hold only what is committed. */
static bool is_committed(const struct replica *replica)
{
    return state_zxid(replica->state) <= zab_committed(replica->zab);
}

static bool wanted(const struct replica *replica, uint64_t now_ms)
{
    const struct checkpoint *checkpoint = &replica->checkpoint;
    return !checkpoint->cursor && is_committed(replica) && !replica->install.writer &&
           now_ms >= checkpoint->not_before_ms &&
           (store_since_snapshot_bytes(replica->store) >= checkpoint->every_bytes ||
            store_since_snapshot_entries(replica->store) >= checkpoint->every_entries);
}

void checkpoint_tick(struct replica *replica, uint64_t now_ms)
{
    struct checkpoint *checkpoint = &replica->checkpoint;
    if (!wanted(replica, now_ms))
        return;
    checkpoint->cursor = snapshot_begin(replica->state);
    if (!checkpoint->cursor)
        return; /* all are taken; one is kept free, so this is a moment's matter */
    checkpoint->begun_ms = now_ms;
    checkpoint->slice = malloc(SLICE_BYTES);
    assert(checkpoint->slice);
    int code = snapshot_writer_begin(replica->store, snapshot_zxid(checkpoint->cursor), &checkpoint->writer);
    if (code != ERR_OK) {
        give_up(replica, code);
        return;
    }
    report(REPORT_DEBUG, "snapshot at zxid %" PRIx64 " begun", snapshot_zxid(checkpoint->cursor));
    next_slice(replica);
}

void checkpoint_stop(struct replica *replica)
{
    struct checkpoint *checkpoint = &replica->checkpoint;
    checkpoint->stopping = true;
    while (checkpoint->working)
        uv_run(&replica->loop, UV_RUN_ONCE);
    checkpoint->stopping = false; /* the next one, of the state that comes then, is to be finished */
}

/* --- the last one --- */

/* Does the log since the last snapshot take long to replay, beside what the snapshot takes to load? Its record of a
 * change has some 150 bytes. */
static bool worthwhile(const struct replica *replica)
{
    enum { LITTLE_BYTES = 512 * 1024, BYTES_PER_NODE = 15 };
    uint64_t log = store_since_snapshot_bytes(replica->store);
    return log >= LITTLE_BYTES && log >= BYTES_PER_NODE * state_nodes(replica->state);
}

static int write_all(struct replica *replica, struct snapshot_cursor *cursor)
{
    struct snapshot_writer *writer;
    uint8_t *slice = malloc(SLICE_BYTES);
    size_t len;
    assert(slice);
    int code = snapshot_writer_begin(replica->store, snapshot_zxid(cursor), &writer);
    if (code != ERR_OK)
        goto out;
    while (code == ERR_OK && (len = snapshot_read(cursor, slice, SLICE_BYTES)) > 0)
        code = snapshot_writer_add(writer, slice, len);
    if (code == ERR_OK)
        code = snapshot_writer_commit(writer);
    else
        snapshot_writer_abort(writer);
    if (code == ERR_OK)
        code = store_snapshot_done(replica->store, snapshot_zxid(cursor));
out:
    free(slice);
    return code;
}

void checkpoint_last(struct replica *replica)
{
    const uint64_t begun_ms = clock_ms();
    if (replica->checkpoint.none_at_end || !is_committed(replica) || !worthwhile(replica))
        return;
    struct snapshot_cursor *cursor = snapshot_begin(replica->state);
    assert(cursor); /* nobody reads one any more */
    int code = write_all(replica, cursor);
    if (code != ERR_OK)
        report(REPORT_WARN, "a last snapshot could not be written: %s", store_writer_error(replica->store));
    else
        report(REPORT_INFO, "a last snapshot at zxid %" PRIx64 ": %" PRIu64 " znodes in %" PRIu64 " ms",
               snapshot_zxid(cursor), snapshot_nodes(cursor), clock_ms() - begun_ms);
    snapshot_end(cursor);
}
