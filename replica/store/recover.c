/* recover.c - from what the disk shows to a log, by the table at the head of append.c.
 *
 * Everything is read, also what should be zeros, and every bit of it is covered by a checksum or must be zero. What
 * can be a torn tail is cut; anything else that is not as written is refused, with file and offset, and left as it
 * is. The last whole batch is then written once more, unchanged, and synced: it may be only in the page cache, after
 * the process was killed, or not even on its way to the disk, after a sync that failed; what is handed out after
 * store_open must be durable. A power loss during recovery leaves a state of the same kind. */
#include "replica/store/internal.h"

#include <assert.h>
#include <string.h>

struct recovery {
    struct store *store;
    struct cursor cursor;
    bool ended;                       /* the log ends before the segment at hand */
    uint64_t end_number, end_sector;  /* there */
    uint64_t last_sector, last_count; /* the last whole batch; 0: none */
    size_t last_segment;              /* index */
    size_t cut_segment;               /* what remains of a torn batch */
    uint64_t cut_from, cut_count;     /* sectors; 0: none */
};

static int corrupt(struct recovery *recovery, const char *why)
{
    return cursor_corrupt(&recovery->cursor, recovery->cursor.batch_sector, why);
}

/* --- records --- */

/* The first record of a segment connects it to what is before it. */
static int apply_start(struct recovery *recovery, const struct record *record)
{
    struct store *store = recovery->store;
    const struct segment *segment = segment_find(store, recovery->cursor.number);
    bool oldest = segment == store->segments;
    if (record->content.len != 0 || (record->kind != RECORD_START && record->kind != RECORD_RESTART))
        return corrupt(recovery, "a segment without its first record");
    if (record->kind == RECORD_RESTART) {
        if (record->zxid < store->last)
            return corrupt(recovery, "a log that restarts before its end");
        log_restarted(store, recovery->cursor.stamp.batch, record->zxid);
        return ERR_OK;
    }
    if (oldest && segment->number > 1)
        store->base = store->last = record->zxid; /* the older ones were purged */
    if (record->zxid != store->last)
        return corrupt(recovery, "entries are missing before this segment");
    return ERR_OK;
}

static int apply_entry(struct recovery *recovery, const struct record *record, struct segment *segment)
{
    struct store *store = recovery->store;
    if (record->zxid <= store->last)
        return corrupt(recovery, "zxids that do not ascend");
    store->last = record->zxid;
    store->entries++;
    if (segment->first == 0)
        segment->first = record->zxid;
    return ERR_OK;
}

/* It is alone in its batch. */
static int apply_truncate(struct recovery *recovery, const struct record *record, bool first)
{
    struct store *store = recovery->store;
    struct record next;
    int code = cursor_record(&recovery->cursor, &next);
    if (code != ERR_OK)
        return code;
    if (!first || next.kind != RECORD_PADDING || record->content.len != 0 || record->zxid >= store->last)
        return corrupt(recovery, "a truncation that can't be");
    log_truncated(store, recovery->cursor.stamp.batch, record->zxid);
    return ERR_OK;
}

static int apply_records(struct recovery *recovery, struct segment *segment)
{
    struct record record;
    int code;
    for (bool first = true; (code = cursor_record(&recovery->cursor, &record)) == ERR_OK; first = false) {
        if (record.kind == RECORD_PADDING)
            return ERR_OK;
        if (record.kind == RECORD_TRUNCATE)
            return apply_truncate(recovery, &record, first);
        if (record.kind != RECORD_ENTRY)
            return corrupt(recovery, "a record of an unknown kind");
        code = apply_entry(recovery, &record, segment);
        if (code != ERR_OK)
            return code;
    }
    return code;
}

static int apply_batch(struct recovery *recovery, struct segment *segment)
{
    struct store *store = recovery->store;
    struct cursor *cursor = &recovery->cursor;
    int code = ERR_OK;
    if (cursor->batch_sector == 1) {
        struct record record;
        code = cursor_record(cursor, &record);
        if (code == ERR_OK)
            code = apply_start(recovery, &record);
        segment->after = store->last;
    }
    struct index_point point = {.sector = cursor->batch_sector,
                                .batch = cursor->stamp.batch,
                                .after = store->last,
                                .entries = store->entries,
                                .bytes = store->bytes};
    segment_index(segment, &point);
    if (code == ERR_OK)
        code = apply_records(recovery, segment);
    recovery->last_segment = (size_t)(segment - store->segments);
    recovery->last_sector = cursor->batch_sector;
    recovery->last_count = cursor->stamp.count;
    store->bytes += (uint64_t)cursor->stamp.count * LOG_SECTOR_BYTES;
    store->next_batch = cursor->stamp.batch + 1;
    return code;
}

/* --- sectors behind the last whole batch --- */

static int hole(struct recovery *recovery)
{
    char name[NAME_BYTES];
    segment_name(recovery->end_number, name);
    return store_fail(recovery->store, ERR_CORRUPT,
                      "%s: corrupt at offset %llu: it reads as never written, though the log goes on behind it", name,
                      (unsigned long long)(recovery->end_sector * LOG_SECTOR_BYTES));
}

/* A sector that was written: only a remainder of the torn batch that would begin at the end may be. */
static int check_remainder(struct recovery *recovery, const uint8_t *at, uint64_t sector)
{
    struct cursor *cursor = &recovery->cursor;
    struct stamp stamp;
    enum sector_state state = sector_check(at, cursor->seed, sector, &stamp);
    if (state == SECTOR_UNWRITTEN)
        return ERR_OK;
    if (state == SECTOR_BAD)
        return cursor_corrupt(cursor, sector, "the checksum of the sector fails");
    if (recovery->ended || (cursor->batch != 0 && stamp.batch != cursor->batch) ||
        stamp.index != sector - recovery->end_sector || stamp.index >= stamp.count ||
        stamp.count > BATCH_BYTES / LOG_SECTOR_BYTES || (recovery->cut_count > 0 && stamp.count != cursor->stamp.count))
        return hole(recovery);
    cursor->stamp = stamp; /* all of them have this batch and count */
    cursor->batch = stamp.batch;
    recovery->cut_count = sector + 1 - recovery->end_sector;
    return ERR_OK;
}

static int check_behind(struct recovery *recovery, const struct segment *segment, uint64_t from)
{
    int code = ERR_OK;
    while (from < segment->sectors && code == ERR_OK) {
        uint64_t count = segment->sectors - from < SCAN_SECTORS ? segment->sectors - from : SCAN_SECTORS;
        uint8_t *at;
        code = cursor_sectors(&recovery->cursor, from, count, &at);
        if (code == ERR_OK && all_zero(at, count * LOG_SECTOR_BYTES)) {
            from += count;
            continue;
        }
        for (uint64_t i = 0; i < count && code == ERR_OK; i++)
            code = check_remainder(recovery, at + i * LOG_SECTOR_BYTES, from + i);
        from += count;
    }
    return code;
}

/* --- segments --- */

static int scan_segment(struct recovery *recovery, struct segment *segment)
{
    struct store *store = recovery->store;
    struct cursor *cursor = &recovery->cursor;
    bool oldest = segment == store->segments;
    uint64_t batch = oldest && segment->number > 1 ? 0 : store->next_batch;
    int code = cursor_seek(cursor, segment->number, segment->sectors, 1, batch);
    enum batch_state state = BATCH_NONE;
    while (code == ERR_OK && !recovery->ended) {
        code = cursor_batch(cursor, &state);
        if (code != ERR_OK || state != BATCH_WHOLE)
            break;
        code = apply_batch(recovery, segment);
    }
    if (code != ERR_OK)
        return code;
    if (!recovery->ended) {
        segment->end = cursor->sector;
        recovery->end_number = segment->number;
        recovery->end_sector = cursor->sector;
    }
    code = check_behind(recovery, segment, segment->end);
    if (code != ERR_OK)
        return code;
    if (recovery->cut_count > 0 && !recovery->ended) {
        recovery->cut_segment = (size_t)(segment - store->segments);
        recovery->cut_from = segment->end;
    }
    recovery->ended = recovery->ended || recovery->cut_count > 0 || segment->end == 1;
    if (oldest && segment->number > 1 && segment->end == 1)
        return cursor_corrupt(cursor, 1, "it reads as never written, though segments before it were purged");
    return ERR_OK;
}

/* --- making it durable --- */

static int cut_tail(struct recovery *recovery)
{
    struct store *store = recovery->store;
    struct segment *segment = &store->segments[recovery->cut_segment];
    if (recovery->cut_count == 0)
        return ERR_OK;
    char name[NAME_BYTES];
    segment_name(segment->number, name);
    store_note(store, "%s: cut a torn tail at offset %llu: a sync that had not finished", name,
               (unsigned long long)recovery->cut_from * LOG_SECTOR_BYTES);
    return sectors_write_zeros(store, segment, recovery->cut_from, recovery->cut_count);
}

static int rewrite_last_batch(struct recovery *recovery)
{
    struct store *store = recovery->store;
    if (recovery->last_count == 0)
        return ERR_OK;
    struct segment *segment = &store->segments[recovery->last_segment];
    struct cursor *cursor = &recovery->cursor;
    int code = cursor_seek(cursor, segment->number, segment->end, recovery->last_sector, 0);
    uint8_t *at;
    if (code == ERR_OK)
        code = cursor_sectors(cursor, recovery->last_sector, recovery->last_count, &at);
    if (code == ERR_OK)
        code = sectors_write(store, segment, recovery->last_sector, at, recovery->last_count);
    return code;
}

static int finish(struct recovery *recovery)
{
    struct store *store = recovery->store;
    /* A truncation may reach below the start of the oldest segment, but then entries above it followed: else that
     * segment would not be the oldest. */
    if (store->last < store->base)
        return corrupt(recovery, "the log ends before it begins");
    int code = cut_tail(recovery);
    if (code == ERR_OK)
        code = rewrite_last_batch(recovery);
    if (code != ERR_OK)
        return code;
    int rc = store->disk.sync_directory(store->disk.self);
    if (rc != 0)
        return disk_error(store->text, rc, "data directory", "sync");
    store->appended = store->last;
    store->tail = recovery->last_segment;
    return ERR_OK;
}

int log_recover(struct store *store)
{
    struct recovery recovery = {.store = store};
    cursor_init(&recovery.cursor, store, SCAN_SECTORS);
    int code = ERR_OK;
    for (size_t i = 0; i < store->segment_count && code == ERR_OK; i++)
        code = scan_segment(&recovery, &store->segments[i]);
    if (code == ERR_OK)
        code = finish(&recovery);
    cursor_close(&recovery.cursor);
    return code;
}
