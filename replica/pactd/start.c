/* Recovery: the newest snapshot that is whole, then the log after it. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replica/pactd/runtime.h"

enum { READ_BYTES = 256 * 1024, PROGRESS_MS = 1000, LOOK_EVERY_ENTRIES = 4096 };

/* Says how far a long load is, once a second. */
struct progress {
    uint64_t next_ms;
};

static bool progress_due(struct progress *progress)
{
    uint64_t now_ms = clock_ms();
    if (now_ms < progress->next_ms)
        return false;
    progress->next_ms = now_ms + PROGRESS_MS;
    return true;
}

/* --- a snapshot --- */

static int feed_snapshot(struct snapshot_reader *reader, struct snapshot_loader *loader, struct progress *progress)
{
    uint8_t *piece = malloc(READ_BYTES);
    uint64_t done = 0;
    size_t len = 0;
    assert(piece);
    int code = ERR_OK;
    while (code == ERR_OK) {
        code = snapshot_reader_next(reader, piece, READ_BYTES, &len);
        if (code != ERR_OK || len == 0)
            break;
        code = loader_feed(loader, piece, len);
        done += len;
        if (progress_due(progress))
            report(REPORT_INFO, "loading the snapshot: %" PRIu64 " of %" PRIu64 " MiB, %" PRIu64 " znodes", done / MIB,
                   snapshot_reader_bytes(reader) / MIB, loader_nodes(loader));
    }
    free(piece);
    return code;
}

static int load_snapshot(struct snapshot_reader *reader, struct progress *progress, struct state **state)
{
    struct snapshot_loader *loader = loader_new();
    int code = feed_snapshot(reader, loader, progress);
    if (code == ERR_OK)
        code = loader_finish(loader, state);
    if (code != ERR_OK)
        loader_free(loader);
    return code;
}

/* Tries the snapshots from the newest to the oldest. *newest: the zxid of the newest, whole or not; 0: none. */
static int load_newest(struct replica *replica, struct progress *progress, uint64_t *newest, char *text,
                       size_t text_len)
{
    uint64_t before = 0;
    for (;;) {
        struct snapshot_reader *reader;
        int code = snapshot_reader_open(replica->store, before, &reader);
        if (code == ERR_NO_NODE) {
            replica->state = state_new();
            return ERR_OK;
        }
        if (code != ERR_OK) {
            snprintf(text, text_len, "%s", store_error(replica->store));
            return code;
        }
        before = snapshot_reader_zxid(reader);
        if (*newest == 0)
            *newest = before;
        code = load_snapshot(reader, progress, &replica->state);
        snapshot_reader_close(reader);
        if (code == ERR_OK)
            return ERR_OK;
        if (code != ERR_CORRUPT) {
            snprintf(text, text_len, "the snapshot at zxid %" PRIx64 ": %s", before, error_text(code));
            return code;
        }
        report(REPORT_ERROR, "the snapshot at zxid %" PRIx64 " is damaged, an older one is tried", before);
    }
}

/* --- the log --- */

static int replay_entry(struct replica *replica, uint64_t zxid, struct bytes bytes)
{
    struct entry entry;
    struct result result;
    arena_reset(replica->arena);
    int code = decode_entry(bytes, replica->arena, &entry);
    if (code != ERR_OK)
        return code;
    if (entry.zxid != zxid || zxid <= state_zxid(replica->state))
        return ERR_CORRUPT;
    state_apply(replica->state, &entry, &result, NULL);
    return ERR_OK;
}

static int replay(struct replica *replica, struct log_reader *reader, struct progress *progress, char *text,
                  size_t text_len)
{
    uint64_t zxid = 0, count = 0;
    for (;;) {
        struct bytes entry;
        int code = log_reader_next(reader, &zxid, &entry);
        if (code != ERR_OK) {
            snprintf(text, text_len, "%s", store_error(replica->store));
            return code;
        }
        if (zxid == 0)
            return ERR_OK;
        code = replay_entry(replica, zxid, entry);
        if (code != ERR_OK) {
            snprintf(text, text_len, "the log's entry at zxid %" PRIx64 ": %s", zxid, error_text(code));
            return code;
        }
        if (++count % LOOK_EVERY_ENTRIES == 0 && progress_due(progress))
            report(REPORT_INFO, "replaying the log: %" PRIu64 " of %" PRIu64 " entries", count,
                   store_since_snapshot_entries(replica->store));
    }
}

static int load_log(struct replica *replica, struct progress *progress, char *text, size_t text_len)
{
    uint64_t after = state_zxid(replica->state);
    struct log_reader *reader;
    if (store_last_zxid(replica->store) <= after)
        return ERR_OK;
    int code = log_reader_open(replica->store, after, &reader);
    if (code == ERR_NO_NODE) {
        snprintf(text, text_len, "the log does not reach back to zxid %" PRIx64 ": entries are missing", after);
        return ERR_CORRUPT;
    }
    if (code != ERR_OK) {
        snprintf(text, text_len, "%s", store_error(replica->store));
        return code;
    }
    code = replay(replica, reader, progress, text, text_len);
    log_reader_close(reader);
    return code;
}

int start_load(struct replica *replica, char *text, size_t text_len)
{
    struct progress progress = {clock_ms() + PROGRESS_MS};
    uint64_t newest = 0;
    int code = load_newest(replica, &progress, &newest, text, text_len);
    if (code == ERR_OK)
        code = load_log(replica, &progress, text, text_len);
    if (code == ERR_OK && state_zxid(replica->state) < newest) {
        snprintf(text, text_len, "the snapshot at zxid %" PRIx64 " is damaged, and the log does not reach it", newest);
        code = ERR_CORRUPT;
    }
    return code;
}

/* --- the epoch --- */

/* Every start begins an epoch, durable before an entry carries it: no zxid is ever given twice. */
int start_epoch(struct replica *replica, char *text, size_t text_len)
{
    struct epochs epochs = store_epochs(replica->store);
    uint64_t last = state_zxid(replica->state);
    uint32_t epoch = (uint32_t)(last >> 32);
    if (epochs.current > epoch)
        epoch = epochs.current;
    if (epochs.accepted > epoch)
        epoch = epochs.accepted;
    epoch++;
    int code = store_set_epochs(replica->store, (struct epochs){epoch, epoch, .voter = true});
    if (code != ERR_OK) {
        snprintf(text, text_len, "%s", store_error(replica->store));
        return code;
    }
    order_start(&replica->order, epoch, last, state_stamp_ns(replica->state));
    recent_start(&replica->recent, last);
    roster_load(&replica->roster, replica->state);
    return ERR_OK;
}
