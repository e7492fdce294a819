/* cursor.c - batches and records out of a segment, verified.
 *
 * A batch is taken whole or not at all: its sectors are checked before its first record is looked at. The sectors'
 * parts of the stream are then moved together, in place, so that a record lies in one piece and is only borrowed. */
#include "replica/store/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void cursor_init(struct cursor *cursor, struct store *store, size_t chunk_sectors)
{
    *cursor = (struct cursor){.store = store, .chunk_sectors = chunk_sectors};
}

void cursor_close(struct cursor *cursor)
{
    if (cursor->file != NULL)
        cursor->store->disk.close(cursor->store->disk.self, cursor->file);
    free(cursor->chunk);
    cursor->file = NULL;
    cursor->chunk = NULL;
}

int cursor_corrupt(struct cursor *cursor, uint64_t sector, const char *why)
{
    char name[NAME_BYTES];
    segment_name(cursor->number, name);
    return store_fail(cursor->store, ERR_CORRUPT, "%s: corrupt at offset %llu: %s", name,
                      (unsigned long long)(sector * LOG_SECTOR_BYTES), why);
}

int cursor_seek(struct cursor *cursor, uint64_t number, uint64_t limit, uint64_t sector, uint64_t batch)
{
    struct store *store = cursor->store;
    if (cursor->file == NULL || cursor->number != number) {
        if (cursor->file != NULL)
            store->disk.close(store->disk.self, cursor->file);
        cursor->file = NULL;
        char name[NAME_BYTES];
        segment_name(number, name);
        int rc = store->disk.open(store->disk.self, name, DISK_DIRECT, &cursor->file);
        if (rc != 0) {
            cursor->file = NULL;
            return disk_error(store->text, rc, name, "open");
        }
    }
    cursor->number = number;
    cursor->seed = segment_seed(store->identity, number);
    cursor->limit = limit;
    cursor->sector = sector;
    cursor->batch = batch;
    cursor->chunk_from = cursor->chunk_count = 0;
    cursor->stream_len = cursor->stream_at = 0;
    return ERR_OK;
}

static void chunk_reserve(struct cursor *cursor, uint64_t count)
{
    if (count <= cursor->chunk_room)
        return;
    free(cursor->chunk);
    uint64_t least = cursor->store->segment_sectors;
    if (least > cursor->chunk_sectors)
        least = cursor->chunk_sectors;
    cursor->chunk_room = count < least ? least : count;
    cursor->chunk = sectors_alloc(cursor->chunk_room);
}

int cursor_sectors(struct cursor *cursor, uint64_t sector, uint64_t count, uint8_t **at)
{
    assert(count > 0 && sector + count <= cursor->limit);
    uint64_t chunk_end = cursor->chunk_from + cursor->chunk_count;
    if (sector < cursor->chunk_from || sector + count > chunk_end) {
        chunk_reserve(cursor, count);
        uint64_t left = cursor->limit - sector;
        uint64_t want = left < cursor->chunk_room ? left : cursor->chunk_room;
        struct disk *disk = &cursor->store->disk;
        int64_t n =
            disk->read(disk->self, cursor->file, sector * LOG_SECTOR_BYTES, cursor->chunk, want * LOG_SECTOR_BYTES);
        cursor->chunk_from = sector;
        cursor->chunk_count = n < 0 ? 0 : want;
        if (n < 0) {
            char name[NAME_BYTES];
            segment_name(cursor->number, name);
            return disk_error(cursor->store->text, n, name, "read at offset %llu",
                              (unsigned long long)sector * LOG_SECTOR_BYTES);
        }
        if ((uint64_t)n != want * LOG_SECTOR_BYTES) {
            cursor->chunk_count = 0;
            return cursor_corrupt(cursor, sector + (uint64_t)n / LOG_SECTOR_BYTES, "the file ends here");
        }
    }
    *at = cursor->chunk + (sector - cursor->chunk_from) * LOG_SECTOR_BYTES;
    return ERR_OK;
}

/* The first sector of a batch says how long it is. */
static int check_first(struct cursor *cursor)
{
    const struct stamp *stamp = &cursor->stamp;
    if (stamp->index != 0)
        return cursor_corrupt(cursor, cursor->sector, "a batch without its beginning");
    if (stamp->batch == 0 || (cursor->batch != 0 && stamp->batch != cursor->batch))
        return cursor_corrupt(cursor, cursor->sector, "a batch is missing before this one");
    if (stamp->count == 0 || stamp->count > cursor->limit - cursor->sector ||
        stamp->count > BATCH_BYTES / LOG_SECTOR_BYTES)
        return cursor_corrupt(cursor, cursor->sector, "a batch that is too long");
    return ERR_OK;
}

/* Sectors 1 … of the batch: each there and the right one, or never written, which makes the batch a torn one. */
static int check_rest(struct cursor *cursor, const uint8_t *at, enum batch_state *state)
{
    *state = BATCH_WHOLE;
    for (uint32_t i = 1; i < cursor->stamp.count; i++) {
        struct stamp stamp;
        uint64_t sector = cursor->sector + i;
        switch (sector_check(at + (size_t)i * LOG_SECTOR_BYTES, cursor->seed, sector, &stamp)) {
        case SECTOR_UNWRITTEN:
            *state = BATCH_TORN;
            break;
        case SECTOR_BAD:
            return cursor_corrupt(cursor, sector, "the checksum of the sector fails");
        case SECTOR_WHOLE:
            if (stamp.batch != cursor->stamp.batch || stamp.index != i || stamp.count != cursor->stamp.count)
                return cursor_corrupt(cursor, sector, "a sector of another batch");
        }
    }
    return ERR_OK;
}

static void join_stream(struct cursor *cursor, uint8_t *at)
{
    cursor->stream = at + STAMP_BYTES;
    for (uint32_t i = 1; i < cursor->stamp.count; i++)
        memmove(cursor->stream + (size_t)i * STREAM_BYTES, at + (size_t)i * LOG_SECTOR_BYTES + STAMP_BYTES,
                STREAM_BYTES);
    cursor->stream_len = (size_t)cursor->stamp.count * STREAM_BYTES;
    cursor->stream_at = 0;
}

int cursor_batch(struct cursor *cursor, enum batch_state *state)
{
    *state = BATCH_NONE;
    if (cursor->sector == cursor->limit)
        return ERR_OK;
    uint8_t *at = NULL;
    int code = cursor_sectors(cursor, cursor->sector, 1, &at);
    if (code != ERR_OK)
        return code;
    switch (sector_check(at, cursor->seed, cursor->sector, &cursor->stamp)) {
    case SECTOR_UNWRITTEN:
        return ERR_OK;
    case SECTOR_BAD:
        return cursor_corrupt(cursor, cursor->sector, "the checksum of the sector fails");
    case SECTOR_WHOLE:
        break;
    }
    code = check_first(cursor);
    if (code == ERR_OK)
        code = cursor_sectors(cursor, cursor->sector, cursor->stamp.count, &at);
    if (code == ERR_OK)
        code = check_rest(cursor, at, state);
    if (code != ERR_OK || *state != BATCH_WHOLE)
        return code;
    join_stream(cursor, at);
    cursor->batch_sector = cursor->sector;
    cursor->sector += cursor->stamp.count;
    cursor->batch = cursor->stamp.batch + 1;
    return ERR_OK;
}

int cursor_record(struct cursor *cursor, struct record *record)
{
    *record = (struct record){.kind = RECORD_PADDING};
    int64_t used = record_parse(cursor->stream + cursor->stream_at, cursor->stream_len - cursor->stream_at,
                                cursor->store->identity, record);
    if (used < 0)
        return cursor_corrupt(cursor, cursor->batch_sector + cursor->stream_at / STREAM_BYTES,
                              "a malformed record, or its checksum fails");
    cursor->stream_at += (size_t)used;
    return ERR_OK;
}
