/* purge.c - removing what no restore point needs.
 *
 * It runs when a new snapshot is durable and was verified, so that one whole restore point is certain. Kept are the
 * newest snapshots_kept ones and the log from before the oldest of them. Segments go oldest first, and each removal
 * is durable before the next: a power loss never leaves a hole between segments. */
#include "replica/store/internal.h"

#include <errno.h>
#include <string.h>

/* The oldest snapshot to keep; without enough of them the log's base, before which nothing is of use. */
static uint64_t oldest_kept(const struct store *store)
{
    uint32_t kept = 0;
    for (size_t i = store->snapshot_count; i-- > 0;) {
        const struct snapshot *snapshot = &store->snapshots[i];
        if (!snapshot->bad && snapshot->zxid >= store->base && ++kept == store->snapshots_kept)
            return snapshot->zxid;
    }
    return store->base;
}

static int remove_file(struct store *store, const char *name)
{
    int rc = store->disk.unlink(store->disk.self, name);
    return rc == 0 || rc == -ENOENT ? ERR_OK : store_final(store, disk_error(store->text, rc, name, "unlink"));
}

static int sync_directory(struct store *store)
{
    int rc = store->disk.sync_directory(store->disk.self);
    return rc == 0 ? ERR_OK : store_final(store, disk_error(store->text, rc, "data directory", "sync"));
}

static int purge_snapshots(struct store *store, uint64_t oldest)
{
    uint64_t newest = store_snapshot_zxid(store);
    for (size_t i = 0; i < store->snapshot_count;) {
        struct snapshot *snapshot = &store->snapshots[i];
        if (snapshot->zxid >= oldest && (!snapshot->bad || snapshot->zxid > newest)) {
            i++;
            continue;
        }
        char name[NAME_BYTES];
        snapshot_name(snapshot->zxid, name);
        int code = remove_file(store, name);
        if (code != ERR_OK)
            return code;
        store->snapshot_count--;
        memmove(snapshot, snapshot + 1, (store->snapshot_count - i) * sizeof *snapshot);
    }
    return ERR_OK;
}

/* Marks that concern nothing any more. */
static void purge_marks(struct store *store)
{
    uint64_t first = store->segments[0].points[0].batch;
    size_t kept = 0;
    for (size_t i = 0; i < store->mark_count; i++)
        if (store->marks[i].batch > first)
            store->marks[kept++] = store->marks[i];
    store->mark_count = kept;
}

/* The last entry that counts of those before the first segment: not one that was truncated since. */
static uint64_t base_before_first(const struct store *store)
{
    const struct segment *first = &store->segments[0];
    uint64_t base = first->after;
    for (size_t i = 0; i < store->mark_count; i++) {
        const struct mark *mark = &store->marks[i];
        if (!mark->restart && mark->batch >= first->points[0].batch && mark->zxid < base)
            base = mark->zxid;
    }
    return base;
}

static int purge_first_segment(struct store *store)
{
    char name[NAME_BYTES];
    segment_name(store->segments[0].number, name);
    int code = remove_file(store, name);
    if (code != ERR_OK)
        return code;
    segment_close(store, &store->segments[0]);
    segment_free(&store->segments[0]);
    store->segment_count--;
    store->tail--;
    memmove(store->segments, store->segments + 1, store->segment_count * sizeof store->segments[0]);
    uint64_t base = base_before_first(store);
    if (base > store->base)
        store->base = base;
    purge_marks(store);
    return ERR_OK;
}

int store_purge(struct store *store)
{
    uint64_t oldest = oldest_kept(store);
    int code = purge_snapshots(store, oldest);
    while (code == ERR_OK && store->tail > 0 && store->segments[1].after <= oldest) {
        code = sync_directory(store);
        if (code == ERR_OK)
            code = purge_first_segment(store);
    }
    return code == ERR_OK ? sync_directory(store) : code;
}
