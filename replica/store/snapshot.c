/* snapshot.c - the list of snapshots, and writing one.
 *
 * A snapshot is written under a temporary name, synced, read back from the disk and verified, and only then renamed
 * into place: what bears a snapshot's name was whole once. The writer touches nothing of the store but what never
 * changes, so that it may run in a thread of its own. */
#include "replica/store/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- the list --- */

void snapshot_add(struct store *store, uint64_t zxid)
{
    size_t at = store->snapshot_count;
    while (at > 0 && store->snapshots[at - 1].zxid >= zxid)
        at--;
    if (at < store->snapshot_count && store->snapshots[at].zxid == zxid) {
        store->snapshots[at].bad = false; /* written anew */
        return;
    }
    store->snapshots =
        array_grow(store->snapshots, store->snapshot_count, &store->snapshot_room, sizeof store->snapshots[0]);
    memmove(store->snapshots + at + 1, store->snapshots + at,
            (store->snapshot_count - at) * sizeof store->snapshots[0]);
    store->snapshots[at] = (struct snapshot){.zxid = zxid};
    store->snapshot_count++;
}

void snapshot_bad(struct store *store, uint64_t zxid)
{
    for (size_t i = 0; i < store->snapshot_count; i++)
        if (store->snapshots[i].zxid == zxid)
            store->snapshots[i].bad = true;
    snapshot_count_from(store);
}

struct snapshot *snapshot_newest(const struct store *store, uint64_t before)
{
    for (size_t i = store->snapshot_count; i-- > 0;) {
        struct snapshot *snapshot = &store->snapshots[i];
        if (!snapshot->bad && snapshot->zxid >= store->base && (before == 0 || snapshot->zxid < before))
            return snapshot;
    }
    return NULL;
}

uint64_t store_snapshot_zxid(const struct store *store)
{
    const struct snapshot *newest = snapshot_newest(store, 0);
    return newest != NULL ? newest->zxid : 0;
}

void snapshot_count_from(struct store *store)
{
    const struct snapshot *newest = snapshot_newest(store, 0);
    struct segment *segment;
    const struct index_point *point = newest != NULL ? log_point(store, newest->zxid, &segment) : NULL;
    bool all = newest != NULL && newest->zxid >= store->last;
    store->since_entries = all ? store->entries : point != NULL ? point->entries : 0;
    store->since_bytes = all ? store->bytes : point != NULL ? point->bytes : 0;
}

/* --- the writer --- */

struct snapshot_writer {
    struct store *store;
    struct disk_file *file;
    uint64_t zxid;
    uint64_t offset, bytes; /* written to the file; of content */
    uint8_t *block;
    uint32_t used, index; /* bytes of content in the block; its number */
    int code;             /* of the first failure */
};

static int write_failed(struct snapshot_writer *writer, int rc, const char *what)
{
    writer->code = disk_error(writer->store->writer_text, rc, SNAPSHOT_TMP, "%s at offset %llu", what,
                              (unsigned long long)writer->offset);
    if (writer->code == ERR_IO)
        writer->store->writer_dead = true;
    return writer->code;
}

static int write_out(struct snapshot_writer *writer, const uint8_t *at, size_t len)
{
    struct disk *disk = &writer->store->disk;
    int rc = disk->write(disk->self, writer->file, writer->offset, at, len);
    if (rc != 0)
        return write_failed(writer, rc, "write");
    writer->offset += len;
    return ERR_OK;
}

static int write_page(struct snapshot_writer *writer, const char *magic)
{
    struct page page = {.field = {[SNAPSHOT_ZXID] = writer->zxid, [SNAPSHOT_BYTES] = writer->bytes}};
    memcpy(page.identity, writer->store->identity, STORE_IDENTITY_BYTES);
    uint8_t bytes[LOG_SECTOR_BYTES];
    page_seal(bytes, magic, &page);
    return write_out(writer, bytes, sizeof bytes);
}

static int write_block(struct snapshot_writer *writer)
{
    if (writer->used == 0)
        return ERR_OK;
    size_t len = block_seal(writer->block, writer->store->identity, writer->zxid, writer->index, writer->used);
    writer->index++;
    writer->used = 0;
    return write_out(writer, writer->block, len);
}

/* Ends the writer; what it wrote is only kept if it was renamed. */
static void end(struct snapshot_writer *writer, bool remove)
{
    struct disk *disk = &writer->store->disk;
    if (writer->file != NULL)
        disk->close(disk->self, writer->file);
    if (remove)
        (void)disk->unlink(disk->self, SNAPSHOT_TMP); /* else the next one, or open, does it */
    writer->store->writing = false;
    free(writer->block);
    free(writer);
}

int snapshot_writer_begin(struct store *store, uint64_t zxid, struct snapshot_writer **begun)
{
    *begun = NULL;
    assert(zxid > 0);
    if (store->writer_dead)
        return ERR_IO;
    if (atomic_exchange(&store->writing, true))
        return text_fail(store->writer_text, ERR_BUSY, "another snapshot is being written");
    struct snapshot_writer *writer = calloc(1, sizeof *writer);
    assert(writer != NULL);
    *writer = (struct snapshot_writer){.store = store, .zxid = zxid};
    writer->block = sectors_alloc(BLOCK_BYTES / LOG_SECTOR_BYTES);
    int rc = store->disk.unlink(store->disk.self, SNAPSHOT_TMP);
    int code = rc != 0 && rc != -ENOENT ? write_failed(writer, rc, "unlink") : ERR_OK;
    if (code == ERR_OK && (rc = store->disk.open(store->disk.self, SNAPSHOT_TMP, DISK_CREATE, &writer->file)) != 0) {
        writer->file = NULL;
        code = write_failed(writer, rc, "create");
    }
    if (code == ERR_OK)
        code = write_page(writer, SNAPSHOT_MAGIC);
    if (code != ERR_OK) {
        end(writer, true);
        return code;
    }
    *begun = writer;
    return ERR_OK;
}

int snapshot_writer_add(struct snapshot_writer *writer, const void *at, size_t len)
{
    const uint8_t *from = at;
    while (len > 0 && writer->code == ERR_OK) {
        size_t room = BLOCK_ROOM_BYTES - writer->used;
        size_t piece = len < room ? len : room;
        memcpy(writer->block + BLOCK_HEAD_BYTES + writer->used, from, piece);
        writer->used += (uint32_t)piece;
        writer->bytes += piece;
        from += piece;
        len -= piece;
        if (writer->used == BLOCK_ROOM_BYTES)
            (void)write_block(writer);
    }
    return writer->code;
}

static int make_durable(struct snapshot_writer *writer)
{
    struct store *store = writer->store;
    int code = writer->code;
    if (code == ERR_OK)
        code = write_block(writer);
    if (code == ERR_OK)
        code = write_page(writer, SNAPSHOT_END_MAGIC);
    int rc;
    if (code == ERR_OK && (rc = store->disk.sync(store->disk.self, writer->file)) != 0)
        code = write_failed(writer, rc, "sync");
    if (code == ERR_OK)
        code = snapshot_verify(store, SNAPSHOT_TMP, writer->zxid, store->writer_text);
    return code;
}

int snapshot_writer_commit(struct snapshot_writer *writer)
{
    struct store *store = writer->store;
    char name[NAME_BYTES];
    snapshot_name(writer->zxid, name);
    int code = make_durable(writer);
    int rc;
    if (code == ERR_OK && (rc = store->disk.rename(store->disk.self, SNAPSHOT_TMP, name)) != 0)
        code = write_failed(writer, rc, "rename");
    if (code == ERR_OK && (rc = store->disk.sync_directory(store->disk.self)) != 0)
        code = write_failed(writer, rc, "sync of the directory");
    end(writer, code != ERR_OK);
    return code;
}

void snapshot_writer_abort(struct snapshot_writer *writer)
{
    end(writer, true);
}

int store_snapshot_done(struct store *store, uint64_t zxid)
{
    int code = store_sync(store);
    if (code == ERR_OK && zxid > store->last)
        code = log_restart(store, zxid);
    if (code != ERR_OK)
        return code;
    snapshot_add(store, zxid);
    snapshot_count_from(store);
    code = store_purge(store);
    return code == ERR_NO_SPACE ? ERR_OK : code; /* what was not removed now is removed after the next snapshot */
}
