/* Recovery: the newest snapshot that is whole, then the log after it. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "replica/pactd/attach.h"
#include "replica/pactd/ensemble.h"
#include "replica/pactd/priority.h"

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
        code = install_feed(loader, piece, len);
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

/* What Zab wants to know of it: which epochs it has, up to which counter. */
struct history {
    uint64_t base; /* the snapshot's zxid */
    struct zab_run *runs;
    size_t count, capacity;
};

/* False: a counter is missing. */
static bool history_add(struct history *history, uint64_t zxid)
{
    uint32_t epoch = (uint32_t)(zxid >> 32), counter = (uint32_t)zxid;
    struct zab_run *last = history->count ? &history->runs[history->count - 1] : NULL;
    if (last && last->epoch == epoch)
        return counter == ++last->last;
    bool follows = !last && history->base >> 32 == epoch;
    if (counter != (follows ? (uint32_t)history->base + 1 : 1))
        return false;
    if (history->count == history->capacity) {
        history->capacity = history->capacity ? 2 * history->capacity : 16;
        history->runs = realloc(history->runs, history->capacity * sizeof *history->runs);
        assert(history->runs);
    }
    history->runs[history->count++] = (struct zab_run){epoch, counter, counter};
    return true;
}

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
    if (!ensemble_knows(replica, &entry))
        return ERR_BAD_FORMAT;
    state_apply(replica->state, &entry, &result, NULL);
    priority_give_way();
    return ERR_OK;
}

static void say_entry(const struct replica *replica, uint64_t zxid, int code, char *text, size_t text_len)
{
    if (code == ERR_BAD_FORMAT)
        snprintf(text, text_len,
                 "at zxid %" PRIx64 " its ensemble went on to a newer state version, this replica knows %u to %u", zxid,
                 (unsigned)STATE_VERSION_MIN, replica->state_version_max);
    else
        snprintf(text, text_len, "the log's entry at zxid %" PRIx64 ": %s", zxid, error_text(code));
}

static int replay(struct replica *replica, struct history *history, struct log_reader *reader,
                  struct progress *progress, char *text, size_t text_len)
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
        if (code == ERR_OK && !history_add(history, zxid))
            code = ERR_CORRUPT;
        if (code != ERR_OK) {
            say_entry(replica, zxid, code, text, text_len);
            return code;
        }
        if (++count % LOOK_EVERY_ENTRIES == 0 && progress_due(progress))
            report(REPORT_INFO, "replaying the log: %" PRIu64 " of %" PRIu64 " entries", count,
                   store_since_snapshot_entries(replica->store));
    }
}

static int load_log(struct replica *replica, struct history *history, struct progress *progress, char *text,
                    size_t text_len)
{
    uint64_t after = state_zxid(replica->state);
    history->base = after;
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
    code = replay(replica, history, reader, progress, text, text_len);
    log_reader_close(reader);
    return code;
}

static int load(struct replica *replica, struct history *history, char *text, size_t text_len)
{
    struct progress progress = {clock_ms() + PROGRESS_MS};
    uint64_t newest = 0;
    int code = load_newest(replica, &progress, &newest, text, text_len);
    if (code == ERR_OK)
        code = load_log(replica, history, &progress, text, text_len);
    if (code == ERR_OK && state_zxid(replica->state) < newest) {
        snprintf(text, text_len, "the snapshot at zxid %" PRIx64 " is damaged, and the log does not reach it", newest);
        code = ERR_CORRUPT;
    }
    if (code == ERR_OK && state_version(replica->state) > replica->state_version_max) {
        snprintf(text, text_len, "it is of state version %u, this replica knows %u to %u",
                 state_version(replica->state), (unsigned)STATE_VERSION_MIN, replica->state_version_max);
        code = ERR_BAD_FORMAT;
    }
    return code;
}

/* --- Zab, and what goes with the state --- */

void start_over(struct replica *replica)
{
    if (replica->recent.ring)
        recent_free(&replica->recent);
    recent_start(&replica->recent, store_last_zxid(replica->store));
    roster_free(&replica->roster);
    roster_load(&replica->roster, replica->state);
    if (replica->zab)
        zab_stamped(replica->zab, state_stamp_ns(replica->state), clocks().running_ns);
}

/* All waits in the proportions of the defaults. */
static struct zab_timing timing_for(uint32_t silence_ms)
{
    return (struct zab_timing){.ping_ms = ZAB_PING_MS * silence_ms / ZAB_SILENCE_MS,
                               .silence_ms = silence_ms,
                               .vote_ms = ZAB_VOTE_MS * silence_ms / ZAB_SILENCE_MS,
                               .phase_ms = ZAB_PHASE_MS * silence_ms / ZAB_SILENCE_MS};
}

static void start_zab(struct replica *replica, const struct history *history)
{
    struct epochs epochs = store_epochs(replica->store);
    uint32_t members[LIMIT_REPLICAS] = {replica->id};
    for (size_t i = 0; i < replica->member_count; i++)
        members[1 + i] = replica->members[i].id;
    struct zab_options options = {
        .id = replica->id,
        .members = members,
        .member_count = 1 + replica->member_count,
        .epochs = {epochs.accepted, epochs.current, epochs.voter},
        .base = history->base,
        .purged = store_base_zxid(replica->store),
        .runs = history->runs,
        .run_count = history->count,
        .stamp_ns = state_stamp_ns(replica->state),
        .running_ns = clocks().running_ns,
        .timing = timing_for(replica->silence_ms),
    };
    randombytes_buf(&options.seed, sizeof options.seed);
    replica->zab = zab_new(&options, clock_ms());
    assert(replica->zab);
}

int start_load(struct replica *replica, char *text, size_t text_len)
{
    struct history history = {0};
    int code = load(replica, &history, text, text_len);
    if (code == ERR_OK) {
        start_over(replica);
        start_zab(replica, &history);
    }
    free(history.runs);
    return code;
}

void start_reload(struct replica *replica)
{
    char text[256] = "";
    struct history history = {0};
    checkpoint_stop(replica);
    attach_send_away(replica); /* their streams read the old tree */
    state_free(replica->state);
    replica->state = NULL;
    int code = load(replica, &history, text, sizeof text);
    free(history.runs);
    if (code != ERR_OK) {
        replica->state = replica->state ? replica->state : state_new();
        report(REPORT_ERROR, "%s", text);
        replica_fail(replica, code, "loading the state again");
        return;
    }
    start_over(replica);
}
