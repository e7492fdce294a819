/* snapshot_read.c - reading snapshots, and verifying them. Every byte is checked before it is given out. */
#include "replica/store/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* An open snapshot file, read block by block. It has no use of the store, so that any thread may. */
struct source {
    const struct disk *disk;
    const uint8_t *identity;
    struct disk_file *file;
    const char *name;
    uint64_t zxid, bytes; /* bytes: of content */
    uint64_t offset, given;
    uint32_t index;
    uint8_t *block;
    char *text; /* TEXT_BYTES, for errors */
};

static int corrupt(const struct source *source, uint64_t offset, const char *why)
{
    return text_fail(source->text, ERR_CORRUPT, "%s: corrupt at offset %llu: %s", source->name,
                     (unsigned long long)offset, why);
}

/* The whole sectors of a file of that much content, pages included. */
static uint64_t file_bytes(uint64_t content)
{
    uint64_t whole = content / BLOCK_ROOM_BYTES, rest = content % BLOCK_ROOM_BYTES;
    uint64_t last = rest == 0 ? 0 : (BLOCK_HEAD_BYTES + rest + LOG_SECTOR_BYTES - 1) / LOG_SECTOR_BYTES;
    return whole * BLOCK_BYTES + (last + 2) * LOG_SECTOR_BYTES;
}

static int check_page(struct source *source, uint64_t offset, const char *magic, struct page *page)
{
    uint8_t *bytes = source->block;
    int64_t n = source->disk->read(source->disk->self, source->file, offset, bytes, LOG_SECTOR_BYTES);
    if (n < 0)
        return disk_error(source->text, n, source->name, "read at offset %llu", (unsigned long long)offset);
    if (n < LOG_SECTOR_BYTES)
        return corrupt(source, offset, "the file ends here");
    switch (page_check(bytes, magic, page)) {
    case PAGE_BAD:
        return corrupt(source, offset, "the checksum fails");
    case PAGE_NEWER:
        return text_fail(source->text, ERR_BAD_FORMAT, "%s: of another format than version %d", source->name,
                         FORMAT_VERSION);
    case PAGE_WHOLE:
        break;
    }
    if (memcmp(page->identity, source->identity, STORE_IDENTITY_BYTES) != 0 ||
        page->field[SNAPSHOT_ZXID] != source->zxid)
        return corrupt(source, offset, "it belongs to another log, or zxid");
    return ERR_OK;
}

/* The page at the start, the page at the end, and the size. */
static int check_frame(struct source *source)
{
    int64_t size = source->disk->size(source->disk->self, source->file);
    if (size < 0)
        return disk_error(source->text, size, source->name, "size");
    if (size < 2 * LOG_SECTOR_BYTES || size % LOG_SECTOR_BYTES != 0)
        return corrupt(source, (uint64_t)size, "the file ends here");
    struct page page;
    int code = check_page(source, 0, SNAPSHOT_MAGIC, &page);
    if (code == ERR_OK)
        code = check_page(source, (uint64_t)size - LOG_SECTOR_BYTES, SNAPSHOT_END_MAGIC, &page);
    if (code != ERR_OK)
        return code;
    source->bytes = page.field[SNAPSHOT_BYTES];
    if (source->bytes > (uint64_t)size || file_bytes(source->bytes) != (uint64_t)size)
        return corrupt(source, (uint64_t)size, "the file is too short or too long");
    return ERR_OK;
}

static void source_close(struct source *source)
{
    if (source->file != NULL)
        source->disk->close(source->disk->self, source->file);
    free(source->block);
}

static int source_open(struct source *source, const struct store *store, const char *name, uint64_t zxid,
                       enum disk_open how, char *text)
{
    *source = (struct source){.disk = &store->disk,
                              .identity = store->identity,
                              .name = name,
                              .zxid = zxid,
                              .offset = LOG_SECTOR_BYTES,
                              .text = text};
    source->block = sectors_alloc(BLOCK_BYTES / LOG_SECTOR_BYTES);
    int rc = store->disk.open(store->disk.self, name, how, &source->file);
    if (rc != 0)
        source->file = NULL;
    int code = rc != 0 ? disk_error(text, rc, name, "open") : check_frame(source);
    if (code != ERR_OK)
        source_close(source);
    return code;
}

/* The next block's content, borrowed; *len = 0 at the end. */
static int source_next(struct source *source, const uint8_t **at, uint32_t *len)
{
    uint64_t left = source->bytes - source->given;
    *len = left < BLOCK_ROOM_BYTES ? (uint32_t)left : BLOCK_ROOM_BYTES;
    *at = source->block + BLOCK_HEAD_BYTES;
    if (*len == 0)
        return ERR_OK;
    size_t bytes = (size_t)(file_bytes(*len) - 2 * LOG_SECTOR_BYTES);
    int64_t n = source->disk->read(source->disk->self, source->file, source->offset, source->block, bytes);
    if (n < 0)
        return disk_error(source->text, n, source->name, "read at offset %llu", (unsigned long long)source->offset);
    if ((uint64_t)n != bytes || !block_check(source->block, bytes, source->identity, source->zxid, source->index, *len))
        return corrupt(source, source->offset, "the checksum of the block fails");
    source->offset += bytes;
    source->given += *len;
    source->index++;
    return ERR_OK;
}

int snapshot_verify(const struct store *store, const char *name, uint64_t zxid, char *text)
{
    struct source source;
    int code = source_open(&source, store, name, zxid, DISK_DIRECT, text);
    if (code != ERR_OK)
        return code;
    const uint8_t *at;
    uint32_t len = 1;
    while (code == ERR_OK && len > 0)
        code = source_next(&source, &at, &len);
    source_close(&source);
    return code;
}

int snapshot_load(struct store *store, uint64_t zxid)
{
    char name[NAME_BYTES];
    snapshot_name(zxid, name);
    struct source source;
    int code = source_open(&source, store, name, zxid, DISK_READ, store->text);
    if (code == ERR_OK)
        source_close(&source);
    if (code != ERR_OK && code != ERR_CORRUPT)
        return code;
    snapshot_add(store, zxid);
    if (code == ERR_CORRUPT) {
        store_note(store, "%s", store->text);
        snapshot_bad(store, zxid);
    }
    return ERR_OK;
}

/* --- the reader --- */

struct snapshot_reader {
    struct store *store;
    struct source source;
    char name[NAME_BYTES];
    const uint8_t *at; /* not yet given of the block */
    uint32_t left;
};

static int none_left(struct store *store)
{
    if (store->base == 0)
        return store_fail(store, ERR_NO_NODE, "there is no snapshot");
    return store_fail(store, ERR_CORRUPT, "no whole snapshot is left that the log reaches back to (zxid 0x%llx)%s%s",
                      (unsigned long long)store->base, store->notice[0] != '\0' ? "; " : "", store->notice);
}

int snapshot_reader_open(struct store *store, uint64_t before, struct snapshot_reader **opened)
{
    *opened = NULL;
    struct snapshot *newest;
    while ((newest = snapshot_newest(store, before)) != NULL) {
        struct snapshot_reader *reader = calloc(1, sizeof *reader);
        assert(reader != NULL);
        reader->store = store;
        snapshot_name(newest->zxid, reader->name);
        int code = source_open(&reader->source, store, reader->name, newest->zxid, DISK_READ, store->text);
        if (code == ERR_OK) {
            *opened = reader;
            return ERR_OK;
        }
        free(reader);
        if (code != ERR_CORRUPT)
            return code;
        store_note(store, "%s", store->text);
        snapshot_bad(store, newest->zxid);
    }
    return none_left(store);
}

uint64_t snapshot_reader_zxid(const struct snapshot_reader *reader)
{
    return reader->source.zxid;
}

uint64_t snapshot_reader_bytes(const struct snapshot_reader *reader)
{
    return reader->source.bytes;
}

int snapshot_reader_next(struct snapshot_reader *reader, void *to, size_t cap, size_t *len)
{
    *len = 0;
    if (reader->left == 0) {
        int code = source_next(&reader->source, &reader->at, &reader->left);
        if (code == ERR_CORRUPT) {
            store_note(reader->store, "%s", reader->store->text);
            snapshot_bad(reader->store, reader->source.zxid);
        }
        if (code != ERR_OK) {
            reader->left = 0;
            return code;
        }
    }
    *len = cap < reader->left ? cap : reader->left;
    memcpy(to, reader->at, *len);
    reader->at += *len;
    reader->left -= (uint32_t)*len;
    return ERR_OK;
}

void snapshot_reader_close(struct snapshot_reader *reader)
{
    if (reader == NULL)
        return;
    source_close(&reader->source);
    free(reader);
}
