/* reader.c - entries in order, for replicas and mounts that lag. Sees what is durable. */
#include "replica/store/internal.h"

#include <assert.h>
#include <stdlib.h>

struct log_reader {
    struct store *store;
    struct cursor cursor;
    uint64_t last;       /* zxid last given, or where it began */
    uint64_t last_batch; /* the batch that was in; 0: none was given */
    bool placed;         /* the cursor stands somewhere */
    bool in_batch;       /* with records left in a batch */
};

int log_reader_open(struct store *store, uint64_t after, struct log_reader **opened)
{
    *opened = NULL;
    if (after < store->base)
        return store_fail(store, ERR_NO_NODE, "the log begins after zxid 0x%llx", (unsigned long long)store->base);
    struct log_reader *reader = calloc(1, sizeof *reader);
    assert(reader != NULL);
    reader->store = store;
    reader->last = after;
    cursor_init(&reader->cursor, store, READ_SECTORS);
    *opened = reader;
    return ERR_OK;
}

void log_reader_close(struct log_reader *reader)
{
    if (reader == NULL)
        return;
    cursor_close(&reader->cursor);
    free(reader);
}

/* At the first call, at the best point before what is wanted. *at_end: the log has no batch. */
static int place(struct log_reader *reader, bool *at_end)
{
    struct segment *segment;
    const struct index_point *point = log_point(reader->store, reader->last, &segment);
    *at_end = point == NULL;
    if (point == NULL)
        return ERR_OK;
    reader->placed = true;
    return cursor_seek(&reader->cursor, segment->number, segment->end, point->sector, point->batch);
}

/* On to the next batch that is durable. */
static int next_batch(struct log_reader *reader, bool *at_end)
{
    struct cursor *cursor = &reader->cursor;
    struct segment *segment = segment_find(reader->store, cursor->number);
    if (segment == NULL)
        return place(reader, at_end); /* purged, but all in it had been given */
    cursor->limit = segment->end;
    *at_end = false;
    if (cursor->sector == cursor->limit) {
        struct segment *next = segment_find(reader->store, cursor->number + 1);
        *at_end = next == NULL || next->end == 1;
        if (*at_end)
            return ERR_OK;
        int code = cursor_seek(cursor, next->number, next->end, 1, cursor->batch);
        if (code != ERR_OK)
            return code;
    }
    enum batch_state state;
    int code = cursor_batch(cursor, &state);
    if (code == ERR_OK && state != BATCH_WHOLE)
        code = cursor_corrupt(cursor, cursor->sector, "a part that was there is missing");
    reader->in_batch = code == ERR_OK;
    return code;
}

/* The next record that is an entry, counts, and lies above what was given. */
static bool wanted(const struct log_reader *reader, const struct record *record)
{
    return record->kind == RECORD_ENTRY && record->zxid > reader->last &&
           !entry_void(reader->store, reader->cursor.stamp.batch, record->zxid);
}

int log_reader_next(struct log_reader *reader, uint64_t *zxid, struct bytes *entry)
{
    *zxid = 0;
    if (reader->last < reader->store->base)
        return store_fail(reader->store, ERR_NO_NODE, "this part of the log has been purged");
    if (reader->last_batch != 0 && entry_void(reader->store, reader->last_batch, reader->last))
        return store_fail(reader->store, ERR_NO_NODE, "this part of the log has been truncated");
    bool at_end = false;
    int code = reader->placed ? ERR_OK : place(reader, &at_end);
    while (code == ERR_OK && !at_end) {
        struct record record = {.kind = RECORD_PADDING};
        if (reader->in_batch)
            code = cursor_record(&reader->cursor, &record);
        if (code == ERR_OK && wanted(reader, &record)) {
            *zxid = reader->last = record.zxid;
            *entry = record.content;
            reader->last_batch = reader->cursor.stamp.batch;
            return ERR_OK;
        }
        if (code == ERR_OK && record.kind == RECORD_PADDING)
            code = next_batch(reader, &at_end);
    }
    return code;
}
