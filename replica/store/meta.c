/* meta.c - the file `meta`: one page with the format's version, the log's identity, the epochs and whose it is.
 *
 * It is replaced whole (temporary file, sync, rename, sync of the directory), so it is either the old or the new one.
 * Its checksum lies where it does in every version of the format: a newer one can be told from a damaged one. */
#include "replica/store/internal.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { META_SEGMENT_SECTORS, META_BEGUN, META_ACCEPTED, META_CURRENT, META_VOTER, META_SEAT };
/* Values of META_VOTER; pages from before there was such a field have a zero there. */
enum { VOTER_UNSAID, VOTER_NO, VOTER_YES };

void identity_make(uint8_t *identity)
{
    ssize_t n = getrandom(identity, STORE_IDENTITY_BYTES, 0);
    assert(n == STORE_IDENTITY_BYTES); /* never less for so few bytes */
}

int page_read(const struct store *store, struct disk_file *file, const char *name, uint64_t offset, uint8_t *page,
              char *text)
{
    int64_t n = store->disk.read(store->disk.self, file, offset, page, LOG_SECTOR_BYTES);
    if (n < 0)
        return disk_error(text, n, name, "read at offset %llu", (unsigned long long)offset);
    if (n < LOG_SECTOR_BYTES)
        return text_fail(text, ERR_CORRUPT, "%s: ends in the middle of the page at offset %llu", name,
                         (unsigned long long)offset);
    return ERR_OK;
}

bool store_is_in(const char *directory)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s", directory, META_NAME);
    return len > 0 && (size_t)len < sizeof path && access(path, F_OK) == 0;
}

static struct epochs epochs_of(const struct page *page)
{
    struct epochs epochs = {(uint32_t)page->field[META_ACCEPTED], (uint32_t)page->field[META_CURRENT], false};
    uint64_t voter = page->field[META_VOTER];
    epochs.voter = voter == VOTER_YES || (voter == VOTER_UNSAID && epochs.current > 0);
    return epochs;
}

/* The field of the page, its lowest byte first: the id, then the members. */
static_assert(sizeof(struct seat) == sizeof(uint64_t), "a seat fills one field of the page");

static uint64_t seat_pack(struct seat seat)
{
    uint64_t field = seat.id;
    for (unsigned i = 0; i < LIMIT_REPLICAS; i++)
        field |= (uint64_t)seat.members[i] << (8 + 8 * i);
    return field;
}

static struct seat seat_of(uint64_t field)
{
    struct seat seat = {.id = (uint8_t)field};
    for (unsigned i = 0; i < LIMIT_REPLICAS; i++)
        seat.members[i] = (uint8_t)(field >> (8 + 8 * i));
    return seat;
}

static int page_accept(struct store *store, const uint8_t *bytes, bool *begun)
{
    struct page page;
    enum page_state state = page_check(bytes, META_MAGIC, &page);
    if (state == PAGE_BAD)
        return store_fail(store, ERR_CORRUPT, "meta: corrupt at offset 0: the checksum fails");
    if (state == PAGE_NEWER)
        return store_fail(store, ERR_BAD_FORMAT,
                          "meta: the data directory is of another format than version %d, the one this program knows",
                          FORMAT_VERSION);
    if (page.field[META_SEGMENT_SECTORS] < SEGMENT_SECTORS_MIN ||
        page.field[META_SEGMENT_SECTORS] > SEGMENT_SECTORS_MAX || page.field[META_ACCEPTED] > UINT32_MAX ||
        page.field[META_CURRENT] > UINT32_MAX || page.field[META_BEGUN] > 1 || page.field[META_VOTER] > VOTER_YES)
        return store_fail(store, ERR_CORRUPT, "meta: corrupt at offset 40: a value out of range");
    memcpy(store->identity, page.identity, STORE_IDENTITY_BYTES);
    store->segment_sectors = page.field[META_SEGMENT_SECTORS];
    store->epochs = epochs_of(&page);
    store->seat = seat_of(page.field[META_SEAT]);
    *begun = page.field[META_BEGUN] != 0;
    return ERR_OK;
}

int meta_load(struct store *store, bool *found, bool *begun)
{
    *found = *begun = false;
    struct disk_file *file;
    int rc = store->disk.open(store->disk.self, META_NAME, DISK_READ, &file);
    if (rc == -ENOENT)
        return ERR_OK;
    if (rc != 0)
        return disk_error(store->text, rc, META_NAME, "open");
    uint8_t bytes[LOG_SECTOR_BYTES];
    int64_t size = store->disk.size(store->disk.self, file);
    int code = page_read(store, file, META_NAME, 0, bytes, store->text);
    store->disk.close(store->disk.self, file);
    if (code != ERR_OK)
        return code;
    if (size != LOG_SECTOR_BYTES)
        return store_fail(store, ERR_CORRUPT, "meta: corrupt at offset %d: it goes on", LOG_SECTOR_BYTES);
    *found = true;
    return page_accept(store, bytes, begun);
}

static int write_page(struct store *store, const uint8_t *bytes)
{
    const struct disk *disk = &store->disk;
    int rc = disk->unlink(disk->self, META_TMP);
    if (rc != 0 && rc != -ENOENT)
        return disk_error(store->text, rc, META_TMP, "unlink");
    struct disk_file *file;
    rc = disk->open(disk->self, META_TMP, DISK_CREATE, &file);
    if (rc != 0)
        return disk_error(store->text, rc, META_TMP, "create");
    rc = disk->write(disk->self, file, 0, bytes, LOG_SECTOR_BYTES);
    int code = rc != 0 ? disk_error(store->text, rc, META_TMP, "write at offset 0") : ERR_OK;
    if (code == ERR_OK && (rc = disk->sync(disk->self, file)) != 0)
        code = disk_error(store->text, rc, META_TMP, "sync");
    disk->close(disk->self, file);
    return code;
}

int meta_save(struct store *store, bool begun, struct epochs epochs)
{
    struct page page = {.field = {[META_SEGMENT_SECTORS] = store->segment_sectors,
                                  [META_BEGUN] = begun,
                                  [META_ACCEPTED] = epochs.accepted,
                                  [META_CURRENT] = epochs.current,
                                  [META_VOTER] = epochs.voter ? VOTER_YES : VOTER_NO,
                                  [META_SEAT] = seat_pack(store->seat)}};
    memcpy(page.identity, store->identity, STORE_IDENTITY_BYTES);
    uint8_t bytes[LOG_SECTOR_BYTES];
    page_seal(bytes, META_MAGIC, &page);
    int code = write_page(store, bytes);
    if (code != ERR_OK) {
        (void)store->disk.unlink(store->disk.self, META_TMP); /* else the next save, or open, does it */
        return store_final(store, code);
    }
    int rc = store->disk.rename(store->disk.self, META_TMP, META_NAME);
    if (rc != 0)
        return store_final(store, disk_error(store->text, rc, META_TMP, "rename to %s", META_NAME));
    rc = store->disk.sync_directory(store->disk.self);
    if (rc != 0)
        return store_final(store, disk_error(store->text, rc, "data directory", "sync"));
    return ERR_OK;
}

struct epochs store_epochs(const struct store *store)
{
    return store->epochs;
}

int store_set_epochs(struct store *store, struct epochs epochs)
{
    int code = store_alive(store);
    if (code == ERR_OK)
        code = meta_save(store, true, epochs);
    if (code == ERR_OK)
        store->epochs = epochs;
    return code;
}

struct seat store_seat(const struct store *store)
{
    return store->seat;
}

int store_set_seat(struct store *store, struct seat seat)
{
    int code = store_alive(store);
    store->seat = seat;
    return code == ERR_OK ? meta_save(store, true, store->epochs) : code;
}
