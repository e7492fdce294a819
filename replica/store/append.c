/* append.c - appending to the log, durably.
 *
 * Invariants, on which recovery (recover.c) rests. "Sector": 512 bytes, which a disk writes wholly or not at all.
 *
 *  1. A segment is made of written, durable zeros before anything is appended to it.
 *  2. One sync writes one *batch* to a segment: whole sectors, directly after the last batch, never shared with
 *     another. Each is stamped with the batch's number, its place in it and the batch's length, under a checksum that
 *     also covers the log's identity, the segment and the sector's place. No stamped sector is all zeros.
 *  3. A sector that was synced never changes again. (It may be rewritten with the same content.)
 *  4. Batch n+1 is written only after batch n was synced. Numbers are consecutive, through all segments.
 *  5. Nothing is acknowledged before its batch was synced.
 *
 * So whatever of a batch is not yet synced when the power fails reads, sector by sector, as written or as zeros, in
 * any combination; everything before it is there; everything behind it is zeros:
 *
 *     sectors from the end of batch n on                         meaning
 *     all zeros                                                  the log ends here
 *     some of batch n+1 and zeros, nothing else                  torn: batch n+1 was not acknowledged; it is cut
 *     all of batch n+1                                           kept (submitted, perhaps not acknowledged)
 *     a sector neither zeros nor whole                           corrupt: no tear looks like that
 *     zeros or part of batch n+1, and something of another       corrupt: batch n+1 had been synced (4)
 *     batch behind it
 *
 *  6. After a cut, and after a batch was withdrawn (the disk was full), its sectors are made zeros again, durably,
 *     before anything is appended: else its remains would lie behind a shorter batch of the same number. They are
 *     scrubbed from the last segment to the first, so that what remains after a power loss is again a torn batch.
 *  7. Nothing in place is ever changed to truncate: a record says what is void (truncate.c).
 *
 * States of the store's writing side:
 *
 *     state      parts  scrub  dead     leaves it by
 *     clean      none   no     no       store_append → filled
 *     filled     some   no     no       store_sync: written → clean; disk full → withdrawn; any other error → dead
 *     withdrawn  some   yes    no       the next call scrubs: done → clean; disk full → withdrawn; other error → dead
 *     dead                     yes      never: the process must start again from the disk */
#include "replica/store/internal.h"

#include <assert.h>
#include <string.h>

/* --- parts --- */

static uint64_t sectors_for(size_t stream_len)
{
    return (stream_len + STREAM_BYTES - 1) / STREAM_BYTES;
}

static uint8_t *part_sector(const struct store *store, const struct part *part, uint64_t index)
{
    return store->buffer + part->at + index * LOG_SECTOR_BYTES;
}

static void part_put(struct store *store, struct part *part, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    while (len > 0) {
        uint8_t *sector = part_sector(store, part, part->used / STREAM_BYTES);
        size_t at = part->used % STREAM_BYTES;
        size_t piece = len < STREAM_BYTES - at ? len : STREAM_BYTES - at;
        if (at == 0)
            memset(sector, 0, LOG_SECTOR_BYTES);
        memcpy(sector + STAMP_BYTES + at, from, piece);
        from += piece;
        len -= piece;
        part->used += piece;
    }
}

static void part_put_record(struct store *store, struct part *part, const struct record *record)
{
    uint8_t head[RECORD_HEAD_BYTES];
    record_head(head, store->identity, record);
    part_put(store, part, head, sizeof head);
    part_put(store, part, record->content.at, record->content.len);
}

/* A batch that goes to `segment`, behind the parts there are. The first one of a segment begins with `start`, so
 * that the segment says what came before it. */
static struct part *part_begin(struct store *store, size_t segment, const struct record *start)
{
    const struct part *before = store->part_count > 0 ? &store->parts[store->part_count - 1] : NULL;
    struct part *part = &store->parts[store->part_count++];
    *part = (struct part){.segment = segment, .from = store->segments[segment].end, .after = store->appended};
    if (before != NULL)
        part->at = before->at + sectors_for(before->used) * LOG_SECTOR_BYTES;
    if (part->from == 1)
        part_put_record(store, part, start);
    return part;
}

static bool fits_segment(const struct store *store, const struct part *part, size_t len)
{
    return part->from + sectors_for(part->used + len) <= store->segments[part->segment].sectors;
}

/* Room in the buffer, also if the record goes to a new part. */
static bool fits_buffer(const struct store *store, const struct part *part, size_t len)
{
    uint64_t sectors = sectors_for(part->used) + sectors_for(RECORD_HEAD_BYTES + len) + 1;
    return part->at + sectors * LOG_SECTOR_BYTES <= store->buffer_bytes;
}

/* The segment after the present part's is made ready before anything is written: so a full disk mostly shows here. */
static int next_part(struct store *store, const struct record *start, struct part **part)
{
    size_t segment = store->parts[store->part_count - 1].segment + 1;
    if (store->parts[store->part_count - 1].used == 0)
        store->part_count--; /* nothing more goes into that segment */
    if (store->part_count == PARTS_MAX)
        return store_fail(store, ERR_TOO_MANY, "too much appended since the last sync");
    int code = segment < store->segment_count ? ERR_OK : segment_add_next(store);
    if (code == ERR_OK)
        code = segment_open(store, &store->segments[segment]);
    if (code == ERR_OK)
        *part = part_begin(store, segment, start);
    return code;
}

/* The part that takes a record of len bytes, its head included. */
static int part_for(struct store *store, size_t len, struct part **part)
{
    struct record start = {.kind = RECORD_START, .zxid = store->appended};
    if (1 + sectors_for(RECORD_HEAD_BYTES + len) > store->segment_sectors)
        return store_fail(store, ERR_TOO_BIG, "an entry of %zu bytes does not fit in a segment of the log", len);
    if (store->part_count == 0) {
        int code = segment_open(store, &store->segments[store->tail]);
        if (code != ERR_OK)
            return code;
        (void)part_begin(store, store->tail, &start);
    }
    *part = &store->parts[store->part_count - 1];
    if (!fits_buffer(store, *part, len))
        return store_fail(store, ERR_TOO_MANY, "too much appended since the last sync");
    return fits_segment(store, *part, len) ? ERR_OK : next_part(store, &start, part);
}

/* --- withdrawing --- */

int sectors_write(struct store *store, struct segment *segment, uint64_t from, const uint8_t *sectors, uint64_t count)
{
    int code = segment_open(store, segment);
    if (code != ERR_OK)
        return code;
    char name[NAME_BYTES];
    segment_name(segment->number, name);
    uint64_t offset = from * LOG_SECTOR_BYTES;
    int rc = store->disk.write(store->disk.self, segment->file, offset, sectors, count * LOG_SECTOR_BYTES);
    if (rc != 0)
        return store_final(store,
                           disk_error(store->text, rc, name, "write at offset %llu", (unsigned long long)offset));
    rc = store->disk.sync(store->disk.self, segment->file);
    return rc != 0 ? store_final(store, disk_error(store->text, rc, name, "sync")) : ERR_OK;
}

int sectors_write_zeros(struct store *store, struct segment *segment, uint64_t from, uint64_t count)
{
    assert(count * LOG_SECTOR_BYTES <= store->buffer_bytes);
    memset(store->buffer, 0, count * LOG_SECTOR_BYTES);
    return sectors_write(store, segment, from, store->buffer, count);
}

/* Invariant 6. The last part first. */
static int scrub(struct store *store)
{
    for (size_t i = store->part_count; i-- > 0;) {
        const struct part *part = &store->parts[i];
        int code = sectors_write_zeros(store, &store->segments[part->segment], part->from, sectors_for(part->used));
        if (code != ERR_OK)
            return code;
        store->part_count = i;
    }
    store->scrub = false;
    return ERR_OK;
}

/* The disk is full: nothing of what was appended is there. `written` parts may have left something on the disk: tries
 * at once to clear it; if that too fails for want of space, the next call goes on with it. */
static int withdraw(struct store *store, int code, size_t written)
{
    if (code != ERR_NO_SPACE)
        return code;
    store->part_count = written;
    store->scrub = written > 0;
    log_discard(store);
    char text[TEXT_BYTES];
    memcpy(text, store->text, TEXT_BYTES);
    int scrubbed = scrub(store);
    if (scrubbed != ERR_OK && scrubbed != ERR_NO_SPACE)
        return scrubbed;
    memcpy(store->text, text, TEXT_BYTES);
    return code;
}

void log_discard(struct store *store)
{
    if (!store->scrub)
        store->part_count = 0;
    store->appended = store->last;
}

static int ready(struct store *store)
{
    int code = store_alive(store);
    return code == ERR_OK && store->scrub ? scrub(store) : code;
}

/* --- append and sync --- */

int store_append(struct store *store, uint64_t zxid, struct bytes entry)
{
    int code = ready(store);
    if (code != ERR_OK)
        return code;
    if (entry.len > LIMIT_ENTRY_BYTES)
        return store_fail(store, ERR_TOO_BIG, "an entry of %zu bytes", entry.len);
    if (zxid <= store->appended)
        return store_fail(store, ERR_INVALID, "zxid 0x%llx appended after 0x%llx", (unsigned long long)zxid,
                          (unsigned long long)store->appended);
    struct part *part;
    code = part_for(store, RECORD_HEAD_BYTES + entry.len, &part);
    if (code != ERR_OK)
        return withdraw(store, code, 0);
    struct record record = {.kind = RECORD_ENTRY, .zxid = zxid, .content = entry};
    part_put_record(store, part, &record);
    if (part->first == 0)
        part->first = zxid;
    part->last = store->appended = zxid;
    part->entries++;
    return ERR_OK;
}

static int part_write(struct store *store, const struct part *part, uint64_t batch)
{
    struct segment *segment = &store->segments[part->segment];
    uint64_t seed = segment_seed(store->identity, segment->number), count = sectors_for(part->used);
    assert(count > 0);
    for (uint64_t i = 0; i < count; i++) {
        struct stamp stamp = {.batch = batch, .index = (uint32_t)i, .count = (uint32_t)count};
        sector_seal(part_sector(store, part, i), seed, part->from + i, &stamp);
    }
    return sectors_write(store, segment, part->from, part_sector(store, part, 0), count);
}

/* The part is durable: the store's notes follow. */
static void part_done(struct store *store, const struct part *part)
{
    struct segment *segment = &store->segments[part->segment];
    uint64_t sectors = sectors_for(part->used);
    struct index_point point = {.sector = part->from,
                                .batch = store->next_batch++,
                                .after = part->after,
                                .entries = store->entries,
                                .bytes = store->bytes};
    segment_index(segment, &point);
    if (part->from == 1)
        segment->after = part->after;
    if (segment->first == 0)
        segment->first = part->first;
    segment->end += sectors;
    store->bytes += sectors * LOG_SECTOR_BYTES;
    store->entries += part->entries;
    while (store->tail < part->segment)
        segment_close(store, &store->segments[store->tail++]);
}

int store_sync(struct store *store)
{
    int code = ready(store);
    if (code != ERR_OK || store->part_count == 0)
        return code;
    for (size_t i = 0; i < store->part_count; i++) {
        code = part_write(store, &store->parts[i], store->next_batch + i);
        if (code != ERR_OK)
            return withdraw(store, code, i + 1);
    }
    for (size_t i = 0; i < store->part_count; i++)
        part_done(store, &store->parts[i]);
    store->part_count = 0;
    store->last = store->appended;
    preparer_wake(store);
    return ERR_OK;
}

int log_write_mark(struct store *store, const struct record *record)
{
    int code = store_sync(store);
    if (code != ERR_OK)
        return code;
    struct part *part;
    code = part_for(store, RECORD_HEAD_BYTES, &part);
    bool restart = record->kind == RECORD_RESTART;
    if (code == ERR_OK && restart)
        part->used = 0; /* it takes START's place … */
    if (code == ERR_OK && restart && part->from > 1)
        code = next_part(store, record, &part); /* … in the next segment, whatever room is left in this one */
    else if (code == ERR_OK)
        part_put_record(store, part, record);
    return code == ERR_OK ? store_sync(store) : withdraw(store, code, 0);
}
