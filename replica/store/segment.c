/* segment.c - the files of the log: made ahead, full of written zeros, under consecutive numbers. */
#include "replica/store/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENT_NUMBER, SEGMENT_SECTORS };

/* --- in memory --- */

static struct segment segment_new(uint64_t number, uint64_t sectors)
{
    struct segment segment = {.number = number, .sectors = sectors, .end = 1};
    segment.points = calloc(sectors / INDEX_SECTORS + 1, sizeof *segment.points);
    assert(segment.points != NULL);
    return segment;
}

void segment_free(struct segment *segment)
{
    free(segment->points);
    segment->points = NULL;
}

static void list_add(struct store *store, const struct segment *segment)
{
    store->segments =
        array_grow(store->segments, store->segment_count, &store->segment_room, sizeof store->segments[0]);
    store->segments[store->segment_count++] = *segment;
}

struct segment *segment_find(struct store *store, uint64_t number)
{
    uint64_t first = store->segments[0].number;
    if (number < first || number - first >= store->segment_count)
        return NULL;
    return &store->segments[number - first];
}

void segment_index(struct segment *segment, const struct index_point *point)
{
    if (segment->point_count > 0 && point->sector - segment->points[segment->point_count - 1].sector < INDEX_SECTORS)
        return;
    assert(segment->point_count <= segment->sectors / INDEX_SECTORS);
    segment->points[segment->point_count++] = *point;
}

/* --- on disk --- */

static int fill(const struct store *store, uint64_t number, char *text)
{
    const struct disk *disk = &store->disk;
    struct page page = {.field = {[SEGMENT_NUMBER] = number, [SEGMENT_SECTORS] = store->segment_sectors}};
    memcpy(page.identity, store->identity, STORE_IDENTITY_BYTES);
    uint8_t bytes[LOG_SECTOR_BYTES];
    page_seal(bytes, SEGMENT_MAGIC, &page);
    struct disk_file *file;
    int code = ERR_OK;
    int rc = disk->open(disk->self, SEGMENT_TMP, DISK_CREATE, &file);
    if (rc != 0)
        return disk_error(text, rc, SEGMENT_TMP, "create");
    if ((rc = disk->allocate(disk->self, file, store->segment_sectors * LOG_SECTOR_BYTES)) != 0)
        code = disk_error(text, rc, SEGMENT_TMP, "allocate");
    else if ((rc = disk->write(disk->self, file, 0, bytes, sizeof bytes)) != 0)
        code = disk_error(text, rc, SEGMENT_TMP, "write at offset 0");
    else if ((rc = disk->sync(disk->self, file)) != 0)
        code = disk_error(text, rc, SEGMENT_TMP, "sync");
    disk->close(disk->self, file);
    return code;
}

/* Its content is durable before it has its name, and the name before anything is written to it. */
static int segment_create(const struct store *store, uint64_t number, struct segment *segment, char *text)
{
    const struct disk *disk = &store->disk;
    char name[NAME_BYTES];
    segment_name(number, name);
    int rc = disk->unlink(disk->self, SEGMENT_TMP);
    if (rc != 0 && rc != -ENOENT)
        return disk_error(text, rc, SEGMENT_TMP, "unlink");
    int code = fill(store, number, text);
    if (code == ERR_OK && (rc = disk->rename(disk->self, SEGMENT_TMP, name)) != 0)
        code = disk_error(text, rc, SEGMENT_TMP, "rename to %s", name);
    if (code == ERR_OK && (rc = disk->sync_directory(disk->self)) != 0)
        code = disk_error(text, rc, "data directory", "sync");
    if (code == ERR_OK)
        *segment = segment_new(number, store->segment_sectors);
    else
        (void)disk->unlink(disk->self, SEGMENT_TMP); /* gives the space back; else the next attempt does */
    return code;
}

static int page_accept(struct store *store, uint64_t number, const char *name, const uint8_t *bytes, int64_t size)
{
    struct page page;
    enum page_state state = page_check(bytes, SEGMENT_MAGIC, &page);
    if (state == PAGE_NEWER)
        return store_fail(store, ERR_BAD_FORMAT, "%s: of another format than version %d", name, FORMAT_VERSION);
    if (state == PAGE_BAD)
        return store_fail(store, ERR_CORRUPT, "%s: corrupt at offset 0: the checksum fails", name);
    if (memcmp(page.identity, store->identity, STORE_IDENTITY_BYTES) != 0 || page.field[SEGMENT_NUMBER] != number)
        return store_fail(store, ERR_CORRUPT, "%s: corrupt at offset 24: it belongs to another log, or place", name);
    if (page.field[SEGMENT_SECTORS] != store->segment_sectors)
        return store_fail(store, ERR_CORRUPT, "%s: corrupt at offset 48: wrong size", name);
    if (size != (int64_t)(store->segment_sectors * LOG_SECTOR_BYTES))
        return store_fail(store, ERR_CORRUPT, "%s: corrupt: its size is %lld bytes instead of %llu", name,
                          (long long)size, (unsigned long long)store->segment_sectors * LOG_SECTOR_BYTES);
    return ERR_OK;
}

int segment_load(struct store *store, uint64_t number)
{
    char name[NAME_BYTES];
    segment_name(number, name);
    if (store->segment_count > 0 && number != store->segments[store->segment_count - 1].number + 1)
        return store_fail(store, ERR_CORRUPT, "%s: the segment before it is missing", name);
    struct disk_file *file;
    int rc = store->disk.open(store->disk.self, name, DISK_READ, &file);
    if (rc != 0)
        return disk_error(store->text, rc, name, "open");
    uint8_t bytes[LOG_SECTOR_BYTES];
    int64_t size = store->disk.size(store->disk.self, file);
    int code = page_read(store, file, name, 0, bytes, store->text);
    store->disk.close(store->disk.self, file);
    if (code == ERR_OK)
        code = page_accept(store, number, name, bytes, size);
    if (code != ERR_OK)
        return code;
    struct segment segment = segment_new(number, store->segment_sectors);
    list_add(store, &segment);
    return ERR_OK;
}

int segment_open(struct store *store, struct segment *segment)
{
    if (segment->file != NULL)
        return ERR_OK;
    char name[NAME_BYTES];
    segment_name(segment->number, name);
    int rc = store->disk.open(store->disk.self, name, DISK_DIRECT, &segment->file);
    if (rc == 0)
        return ERR_OK;
    segment->file = NULL;
    return store_final(store, disk_error(store->text, rc, name, "open"));
}

void segment_close(struct store *store, struct segment *segment)
{
    if (segment->file != NULL)
        store->disk.close(store->disk.self, segment->file);
    segment->file = NULL;
}

/* --- made ahead --- */

int segment_add_next(struct store *store)
{
    struct preparer *preparer = &store->preparer;
    uint64_t number = store->segment_count > 0 ? store->segments[store->segment_count - 1].number + 1 : 1;
    struct segment next;
    int code = ERR_OK;
    if (preparer->running)
        pthread_mutex_lock(&preparer->lock);
    if (preparer->have)
        next = preparer->spare;
    else
        code = store_final(store, segment_create(store, number, &next, store->text));
    preparer->have = preparer->wanted = false;
    if (preparer->running)
        pthread_mutex_unlock(&preparer->lock);
    if (code == ERR_OK)
        list_add(store, &next);
    return code;
}

/* The thread keeps one segment in stock. If it fails, the store makes the segment itself when it needs it, and has
 * the error to report. */
static void *preparer_run(void *arg)
{
    struct store *store = arg;
    struct preparer *preparer = &store->preparer;
    char text[TEXT_BYTES];
    pthread_mutex_lock(&preparer->lock);
    while (!preparer->stop) {
        if (!preparer->wanted) {
            pthread_cond_wait(&preparer->change, &preparer->lock);
            continue;
        }
        preparer->wanted = false;
        preparer->have = segment_create(store, preparer->number, &preparer->spare, text) == ERR_OK;
    }
    pthread_mutex_unlock(&preparer->lock);
    return NULL;
}

void preparer_wake(struct store *store)
{
    struct preparer *preparer = &store->preparer;
    if (!preparer->running || store->tail + 1 < store->segment_count)
        return;
    pthread_mutex_lock(&preparer->lock);
    if (!preparer->have) {
        preparer->number = store->segments[store->tail].number + 1;
        preparer->wanted = true;
        pthread_cond_signal(&preparer->change);
    }
    pthread_mutex_unlock(&preparer->lock);
}

int preparer_start(struct store *store, bool helper)
{
    struct preparer *preparer = &store->preparer;
    if (!helper)
        return ERR_OK;
    pthread_mutex_init(&preparer->lock, NULL);
    pthread_cond_init(&preparer->change, NULL);
    preparer->running = pthread_create(&preparer->thread, NULL, preparer_run, store) == 0;
    if (!preparer->running)
        return store_fail(store, ERR_TOO_MANY, "can't start a thread");
    preparer_wake(store);
    return ERR_OK;
}

void preparer_stop(struct store *store)
{
    struct preparer *preparer = &store->preparer;
    if (preparer->running) {
        pthread_mutex_lock(&preparer->lock);
        preparer->stop = true;
        pthread_cond_signal(&preparer->change);
        pthread_mutex_unlock(&preparer->lock);
        pthread_join(preparer->thread, NULL);
        pthread_mutex_destroy(&preparer->lock);
        pthread_cond_destroy(&preparer->change);
    }
    if (preparer->have)
        segment_free(&preparer->spare);
    preparer->have = preparer->running = false;
}

int store_prepare(struct store *store)
{
    int code = store_alive(store);
    if (code != ERR_OK || store->tail + 1 < store->segment_count)
        return code;
    return segment_add_next(store);
}
