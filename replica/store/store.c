#include "replica/store/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- errors --- */

int store_fail(struct store *store, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(store->text, sizeof store->text, format, args);
    va_end(args);
    return code;
}

int text_fail(char *text, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, TEXT_BYTES, format, args);
    va_end(args);
    return code;
}

int disk_error(char *text, int64_t rc, const char *name, const char *format, ...)
{
    char what[64];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    (void)snprintf(text, TEXT_BYTES, "%s: %s: %s", name, what, strerror((int)-rc));
    return rc == -ENOSPC || rc == -EDQUOT ? ERR_NO_SPACE : ERR_IO;
}

int store_final(struct store *store, int code)
{
    if (code == ERR_IO)
        store->dead = true;
    return code;
}

int store_alive(struct store *store)
{
    if (store->writer_dead)
        return store_fail(store, ERR_IO, "%s", store->writer_text);
    return store->dead ? ERR_IO : ERR_OK; /* the text still tells of the failure */
}

void store_note(struct store *store, const char *format, ...)
{
    if (store->notice[0] != '\0')
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(store->notice, sizeof store->notice, format, args);
    va_end(args);
}

const char *store_error(const struct store *store)
{
    return store->text;
}

const char *store_writer_error(const struct store *store)
{
    return store->writer_text;
}

const char *store_notice(const struct store *store)
{
    return store->notice;
}

/* --- memory --- */

void *array_grow(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    *room = *room == 0 ? 8 : *room * 2;
    void *grown = realloc(array, *room * size);
    assert(grown != NULL);
    return grown;
}

uint8_t *sectors_alloc(size_t sectors)
{
    void *memory = NULL;
    int rc = posix_memalign(&memory, 4096, sectors * LOG_SECTOR_BYTES);
    assert(rc == 0);
    return memory;
}

/* --- open --- */

struct listing {
    uint64_t *segments, *snapshots; /* numbers, zxids */
    size_t segment_count, segment_room, snapshot_count, snapshot_room;
};

static int list_name(void *arg, const char *name)
{
    struct listing *listing = arg;
    uint64_t number;
    if (segment_name_parse(name, &number)) {
        listing->segments =
            array_grow(listing->segments, listing->segment_count, &listing->segment_room, sizeof number);
        listing->segments[listing->segment_count++] = number;
    } else if (snapshot_name_parse(name, &number)) {
        listing->snapshots =
            array_grow(listing->snapshots, listing->snapshot_count, &listing->snapshot_room, sizeof number);
        listing->snapshots[listing->snapshot_count++] = number;
    }
    return 0; /* other files of the directory are not ours */
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int list_directory(struct store *store, struct listing *listing)
{
    int rc = store->disk.list(store->disk.self, list_name, listing);
    if (rc != 0)
        return disk_error(store->text, rc, "data directory", "list");
    if (listing->segment_count > 0)
        qsort(listing->segments, listing->segment_count, sizeof(uint64_t), compare);
    if (listing->snapshot_count > 0)
        qsort(listing->snapshots, listing->snapshot_count, sizeof(uint64_t), compare);
    return ERR_OK;
}

/* What a crash left behind under its temporary name was never acknowledged. */
static int remove_leftovers(struct store *store)
{
    static const char *const names[] = {META_TMP, SEGMENT_TMP, SNAPSHOT_TMP};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int rc = store->disk.unlink(store->disk.self, names[i]);
        if (rc != 0 && rc != -ENOENT)
            return disk_error(store->text, rc, names[i], "unlink");
    }
    return ERR_OK;
}

/* A new data directory. `meta` comes first, so that a log without one is known to have lost it, and is completed
 * last, so that no log at all is known as lost too. */
static int create(struct store *store, bool found)
{
    int code = found ? ERR_OK : meta_save(store, false, (struct epochs){0});
    if (code == ERR_OK)
        code = segment_add_next(store);
    if (code == ERR_OK)
        code = meta_save(store, true, (struct epochs){0});
    return code;
}

static int load_files(struct store *store, const struct listing *listing)
{
    int code = ERR_OK;
    if (listing->segment_count == 0)
        return store_fail(store, ERR_CORRUPT, "every segment of the log is missing");
    for (size_t i = 0; i < listing->segment_count && code == ERR_OK; i++)
        code = segment_load(store, listing->segments[i]);
    for (size_t i = 0; i < listing->snapshot_count && code == ERR_OK; i++)
        code = snapshot_load(store, listing->snapshots[i]);
    return code;
}

/* *fresh: there is nothing yet to recover. */
static int load_or_create(struct store *store, const struct listing *listing, bool *fresh)
{
    bool found, begun;
    int code = meta_load(store, &found, &begun);
    if (code != ERR_OK)
        return code;
    *fresh = !begun;
    if (begun)
        return load_files(store, listing);
    bool first_only = found && listing->segment_count == 1 && listing->segments[0] == 1;
    if (listing->snapshot_count > 0 || (listing->segment_count > 0 && !first_only))
        return store_fail(store, ERR_CORRUPT, "meta: missing, though a log or a snapshot is there");
    return create(store, found);
}

/* A snapshot that came from elsewhere and was made durable just before a crash, ahead of the log: it is the state to
 * go on from, if it is whole; if not, it was never acknowledged and the log has all that was. */
static int adopt_snapshot_ahead(struct store *store)
{
    struct snapshot *newest;
    while ((newest = snapshot_newest(store, 0)) != NULL && newest->zxid > store->last) {
        char name[NAME_BYTES];
        snapshot_name(newest->zxid, name);
        int code = snapshot_verify(store, name, newest->zxid, store->text);
        if (code == ERR_OK)
            return log_restart(store, newest->zxid);
        if (code != ERR_CORRUPT)
            return code;
        store_note(store, "%s", store->text);
        snapshot_bad(store, newest->zxid);
    }
    return ERR_OK;
}

/* A log whose beginning was purged is only worth something together with a snapshot it reaches back to. */
static int check_reach(struct store *store)
{
    if (store->base == 0 || snapshot_newest(store, 0) != NULL)
        return ERR_OK;
    return store_fail(store, ERR_CORRUPT, "no whole snapshot is left that the log reaches back to (zxid 0x%llx)%s%s",
                      (unsigned long long)store->base, store->notice[0] != '\0' ? "; " : "", store->notice);
}

/* Room for what one sync may write: no more than two segments, where they are small. */
static void buffer_make(struct store *store)
{
    uint64_t sectors = PARTS_MAX * store->segment_sectors;
    if (sectors > BATCH_BYTES / LOG_SECTOR_BYTES)
        sectors = BATCH_BYTES / LOG_SECTOR_BYTES;
    store->buffer = sectors_alloc(sectors);
    store->buffer_bytes = sectors * LOG_SECTOR_BYTES;
}

static int load(struct store *store, bool helper)
{
    struct listing listing = {0};
    bool fresh = false;
    int code = remove_leftovers(store);
    if (code == ERR_OK)
        code = list_directory(store, &listing);
    if (code == ERR_OK)
        code = load_or_create(store, &listing, &fresh);
    free(listing.segments);
    free(listing.snapshots);
    if (code != ERR_OK)
        return code;
    buffer_make(store);
    code = fresh ? ERR_OK : log_recover(store);
    if (code == ERR_OK)
        code = adopt_snapshot_ahead(store);
    if (code == ERR_OK)
        code = check_reach(store);
    if (code != ERR_OK)
        return code;
    snapshot_count_from(store);
    return preparer_start(store, helper);
}

int store_open(const struct disk *disk, const struct store_options *options, struct store **opened, char *text,
               size_t text_len)
{
    static const struct store_options defaults = {0};
    if (options == NULL)
        options = &defaults;
    struct store *store = calloc(1, sizeof *store);
    assert(store != NULL);
    uint64_t bytes = options->segment_bytes != 0 ? options->segment_bytes : LOG_SEGMENT_BYTES;
    assert(bytes % LOG_SECTOR_BYTES == 0 && bytes / LOG_SECTOR_BYTES >= SEGMENT_SECTORS_MIN);
    store->disk = *disk;
    store->segment_sectors = bytes / LOG_SECTOR_BYTES;
    store->snapshots_kept = options->snapshots_kept != 0 ? options->snapshots_kept : LOG_SNAPSHOTS_KEPT;
    store->next_batch = 1;
    if (options->identity != NULL)
        memcpy(store->identity, options->identity, STORE_IDENTITY_BYTES);
    else
        identity_make(store->identity);
    int code = load(store, options->helper);
    if (code != ERR_OK) {
        (void)snprintf(text, text_len, "%s", store->text);
        store_close(store);
        store = NULL;
    }
    *opened = store;
    return code;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    assert(!store->writing); /* end the snapshot writer first */
    preparer_stop(store);
    for (size_t i = 0; i < store->segment_count; i++) {
        segment_close(store, &store->segments[i]);
        segment_free(&store->segments[i]);
    }
    free(store->segments);
    free(store->snapshots);
    free(store->marks);
    free(store->buffer);
    free(store);
}

/* --- what there is --- */

const uint8_t *store_identity(const struct store *store)
{
    return store->identity;
}

uint64_t store_first_zxid(const struct store *store)
{
    for (size_t i = 0; i < store->segment_count; i++)
        if (store->segments[i].first != 0)
            return store->segments[i].first;
    return store->part_count > 0 && !store->scrub ? store->parts[0].first : 0;
}

uint64_t store_last_zxid(const struct store *store)
{
    return store->appended;
}

uint64_t store_durable_zxid(const struct store *store)
{
    return store->last;
}

uint64_t store_base_zxid(const struct store *store)
{
    return store->base;
}

uint64_t store_log_bytes(const struct store *store)
{
    uint64_t sectors = 0;
    for (size_t i = 0; i < store->segment_count; i++)
        sectors += store->segments[i].end;
    return sectors * LOG_SECTOR_BYTES;
}

uint64_t store_since_snapshot_bytes(const struct store *store)
{
    return store->bytes - store->since_bytes;
}

uint64_t store_since_snapshot_entries(const struct store *store)
{
    return store->entries - store->since_entries;
}
