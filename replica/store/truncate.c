/* truncate.c - making parts of the log void, without touching them.
 *
 * A TRUNCATE record voids every entry before it above its zxid; a RESTART record voids all before it. The few such
 * marks that the log holds are kept in memory. An entry is void if a mark of a later batch says so. Zxids of entries
 * that are not void ascend; those of index points and of segments' `after` need not. But each of these was the last
 * zxid when it was taken, so every entry before it that counts now is at or below it: reading may begin at any point
 * whose `after` is at or below the zxid wanted, and the last such point is the best; and at the first point for any
 * zxid from the log's base on. */
#include "replica/store/internal.h"

#include <stdlib.h>

static void add_mark(struct store *store, uint64_t batch, uint64_t zxid, bool restart)
{
    store->marks = array_grow(store->marks, store->mark_count, &store->mark_room, sizeof store->marks[0]);
    store->marks[store->mark_count++] = (struct mark){.batch = batch, .zxid = zxid, .restart = restart};
    for (size_t i = 0; i < store->segment_count; i++)
        if (restart || store->segments[i].first > zxid)
            store->segments[i].first = 0;
    if (!restart && store->base > zxid)
        store->base = zxid; /* recovery: what the oldest segment came after is void itself */
}

void log_truncated(struct store *store, uint64_t batch, uint64_t zxid)
{
    add_mark(store, batch, zxid, false);
    store->last = store->appended = zxid;
}

void log_restarted(struct store *store, uint64_t batch, uint64_t zxid)
{
    add_mark(store, batch, zxid, true);
    store->base = store->last = store->appended = zxid;
}

bool entry_void(const struct store *store, uint64_t batch, uint64_t zxid)
{
    for (size_t i = 0; i < store->mark_count; i++)
        if (store->marks[i].batch > batch && (store->marks[i].restart || zxid > store->marks[i].zxid))
            return true;
    return false;
}

const struct index_point *log_point(struct store *store, uint64_t after, struct segment **segment)
{
    for (size_t s = store->segment_count; s-- > 0;) {
        *segment = &store->segments[s];
        for (size_t p = (*segment)->point_count; p-- > 0;)
            if ((*segment)->points[p].after <= after)
                return &(*segment)->points[p];
    }
    /* What the oldest segment came after was truncated later: the first point is the one. */
    *segment = store->segments;
    return (*segment)->point_count > 0 ? (*segment)->points : NULL;
}

/* The newest entry at or below zxid, or the log's base, or the newest snapshot: never before what it holds. */
static int find_floor(struct store *store, uint64_t zxid, uint64_t *floor)
{
    struct segment *segment;
    const struct index_point *point = log_point(store, zxid, &segment);
    *floor = store->base;
    if (point != NULL && point->after > store->base && point->after <= zxid &&
        !entry_void(store, point->batch, point->after))
        *floor = point->after;
    const struct snapshot *newest = snapshot_newest(store, 0);
    if (newest != NULL && *floor < newest->zxid)
        *floor = newest->zxid;
    struct log_reader *reader;
    int code = log_reader_open(store, *floor, &reader);
    if (code != ERR_OK)
        return code;
    uint64_t next;
    struct bytes entry;
    while ((code = log_reader_next(reader, &next, &entry)) == ERR_OK && next != 0 && next <= zxid)
        *floor = next;
    log_reader_close(reader);
    return code;
}

int store_truncate(struct store *store, uint64_t zxid)
{
    if (zxid <= store->last)
        log_discard(store);
    int code = store_sync(store); /* what stays of the appended must be durable */
    if (code != ERR_OK || zxid >= store->last)
        return code;
    const struct snapshot *newest = snapshot_newest(store, 0);
    if (zxid < store->base || (newest != NULL && zxid < newest->zxid))
        return store_fail(store, ERR_INVALID, "truncation to zxid 0x%llx, which is before the newest snapshot",
                          (unsigned long long)zxid);
    struct record record = {.kind = RECORD_TRUNCATE};
    code = find_floor(store, zxid, &record.zxid);
    if (code == ERR_OK)
        code = log_write_mark(store, &record);
    if (code == ERR_OK)
        log_truncated(store, store->next_batch - 1, record.zxid);
    return code;
}

int log_restart(struct store *store, uint64_t zxid)
{
    struct record record = {.kind = RECORD_RESTART, .zxid = zxid};
    int code = log_write_mark(store, &record);
    if (code == ERR_OK)
        log_restarted(store, store->next_batch - 1, zxid);
    return code;
}
