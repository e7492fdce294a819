#include "tests/support/store_model.h"

#include "tests/support/simdisk_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CONTENT_MAX = 3000, SNAPSHOT_MAX = 2000 };

static uint64_t mixed(uint64_t number)
{
    return sim_random(&number);
}

static bool trouble(struct store_model *model, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool trouble(struct store_model *model, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(model->trouble, sizeof model->trouble, format, args);
    va_end(args);
    return false;
}

void model_init(struct store_model *model, uint64_t seed)
{
    memset(model, 0, sizeof *model);
    model->random = seed;
    model->next_zxid = 1;
}

static uint64_t pick(struct store_model *model, uint64_t below)
{
    return sim_random(&model->random) % below;
}

/* --- contents --- */

/* Mostly small; now and then several sectors. */
static struct bytes entry_content(uint64_t zxid, uint8_t *room)
{
    uint64_t random = mixed(zxid);
    size_t len = (size_t)(random % 10 == 0 ? random % CONTENT_MAX : random % 300);
    memset(room, (int)(random >> 32), len);
    return (struct bytes){room, len};
}

static size_t snapshot_content(uint64_t zxid, uint8_t *room)
{
    uint64_t random = mixed(~zxid);
    size_t len = (size_t)(random % SNAPSHOT_MAX);
    memset(room, (int)(random >> 32), len);
    return len;
}

/* --- steps --- */

static uint64_t last_acked(const struct store_model *model)
{
    return model->acked > 0 ? model->entries[model->acked - 1] : model->base;
}

static int step_sync(struct store_model *model, struct store *store)
{
    int code = store_sync(store);
    if (code == ERR_OK)
        model->acked = model->count;
    return code;
}

static int step_append(struct store_model *model, struct store *store)
{
    uint8_t room[CONTENT_MAX];
    uint64_t entries = 1 + pick(model, 4);
    for (uint64_t i = 0; i < entries && model->count < MODEL_ENTRIES; i++) {
        uint64_t zxid = model->next_zxid;
        int code = store_append(store, zxid, entry_content(zxid, room));
        if (code == ERR_TOO_MANY)
            return step_sync(model, store);
        if (code != ERR_OK)
            return code;
        model->next_zxid += 1 + pick(model, 3);
        model->entries[model->count++] = zxid;
        model->withdrawn = model->truncating_count = 0;
    }
    return pick(model, 3) == 0 ? ERR_OK : step_sync(model, store);
}

static int step_epochs(struct store_model *model, struct store *store)
{
    model->epochs_try = model->epochs;
    model->epochs_try.accepted++;
    if (pick(model, 2) == 0)
        model->epochs_try.current = model->epochs_try.accepted;
    model->epochs_try.voter ^= pick(model, 4) == 0;
    int code = store_set_epochs(store, model->epochs_try);
    if (code == ERR_OK)
        model->epochs = model->epochs_try;
    return code;
}

static void forget(struct store_model *model, uint64_t above)
{
    while (model->count > 0 && model->entries[model->count - 1] > above)
        model->count--;
    model->acked = model->count;
}

static int step_truncate(struct store_model *model, struct store *store)
{
    uint64_t lowest = store_snapshot_zxid(store);
    uint64_t last = last_acked(model);
    if (last <= lowest + 1)
        return ERR_OK;
    if (model->count > model->acked) /* what was not synced goes in any case */
        model->count = model->acked;
    uint64_t zxid = last - pick(model, last - lowest < 8 ? last - lowest : 8);
    model->truncating[model->truncating_count++ % MODEL_TRUNCATIONS] = zxid;
    int code = store_truncate(store, zxid);
    if (code == ERR_OK) {
        forget(model, zxid);
        model->truncating_count = model->withdrawn = 0;
    }
    return code;
}

static int write_snapshot(struct store *store, uint64_t zxid)
{
    uint8_t room[SNAPSHOT_MAX];
    size_t len = snapshot_content(zxid, room);
    struct snapshot_writer *writer;
    int code = snapshot_writer_begin(store, zxid, &writer);
    if (code != ERR_OK)
        return code;
    code = snapshot_writer_add(writer, room, len);
    if (code == ERR_OK)
        return snapshot_writer_commit(writer);
    snapshot_writer_abort(writer);
    return code;
}

static int step_snapshot(struct store_model *model, struct store *store, bool ahead)
{
    uint64_t zxid = last_acked(model);
    if (ahead) {
        int code = step_sync(model, store);
        if (code != ERR_OK)
            return code;
        zxid = model->next_zxid + 5;
        model->next_zxid = zxid + 1;
    }
    if (zxid == 0 || zxid <= model->snapshot)
        return ERR_OK;
    model->tried[model->tried_count++ % MODEL_SNAPSHOTS] = zxid;
    model->ahead = ahead ? zxid : 0;
    int code = write_snapshot(store, zxid);
    size_t appended = model->count;
    if (code == ERR_OK)
        code = store_snapshot_done(store, zxid);
    if (code != ERR_OK)
        return code;
    model->acked = appended; /* it syncs */
    model->snapshot = zxid;
    model->ahead = 0;
    if (ahead) {
        model->base = zxid;
        model->count = model->acked = 0;
    }
    return ERR_OK;
}

int model_step(struct store_model *model, struct store *store)
{
    uint64_t choice = pick(model, 40);
    model->writing = choice < 29 || (choice >= 31 && choice < 34);
    if (choice < 26)
        return step_append(model, store);
    if (choice < 29)
        return step_sync(model, store);
    if (choice < 31)
        return step_epochs(model, store);
    if (choice < 34)
        return step_truncate(model, store);
    if (choice < 37)
        return step_snapshot(model, store, false);
    if (choice < 38)
        return step_snapshot(model, store, true);
    return store_prepare(store);
}

/* --- what is there --- */

static bool same(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* All entries above the store's base, each with the right content. */
static bool read_log(struct store_model *model, struct store *store, uint64_t *found, size_t *count)
{
    uint8_t room[CONTENT_MAX];
    struct log_reader *reader;
    if (log_reader_open(store, store_base_zxid(store), &reader) != ERR_OK)
        return trouble(model, "the log can't be opened: %s", store_error(store));
    uint64_t zxid = 0;
    struct bytes entry;
    int code = ERR_OK;
    bool right = true;
    for (*count = 0; right && *count < MODEL_ENTRIES; found[(*count)++] = zxid) {
        code = log_reader_next(reader, &zxid, &entry);
        if (code != ERR_OK || zxid == 0)
            break;
        right = same(entry, entry_content(zxid, room));
    }
    log_reader_close(reader);
    if (code != ERR_OK)
        return trouble(model, "the log can't be read: %s", store_error(store));
    if (!right)
        return trouble(model, "zxid %llu has a wrong content", (unsigned long long)zxid);
    uint64_t last = *count > 0 ? found[*count - 1] : store_base_zxid(store);
    if (store_durable_zxid(store) != last)
        return trouble(model, "the last durable zxid is %llu, not %llu", (unsigned long long)store_durable_zxid(store),
                       (unsigned long long)last);
    return true;
}

static bool read_snapshot(struct store_model *model, struct store *store, uint64_t zxid)
{
    uint8_t room[SNAPSHOT_MAX], read[SNAPSHOT_MAX + 1];
    size_t expect = snapshot_content(zxid, room), len = 0, n = 1;
    struct snapshot_reader *reader;
    int code = snapshot_reader_open(store, 0, &reader);
    if (code != ERR_OK)
        return trouble(model, "the newest snapshot can't be opened: %s", store_error(store));
    uint64_t found = snapshot_reader_zxid(reader);
    while (code == ERR_OK && n > 0 && len < sizeof read) {
        code = snapshot_reader_next(reader, read + len, sizeof read - len, &n);
        len += n;
    }
    snapshot_reader_close(reader);
    if (code != ERR_OK || found != zxid || len != expect || memcmp(read, room, len) != 0)
        return trouble(model, "the snapshot at %llu is not what it should be: %s", (unsigned long long)zxid,
                       store_error(store));
    return true;
}

/* The zxids found are those of `entries`, but for what lies at or below base, which a snapshot stands for. */
static bool agrees(const uint64_t *found, size_t count, const uint64_t *entries, size_t entry_count, uint64_t base)
{
    size_t skip = 0;
    while (skip < entry_count && entries[skip] <= base)
        skip++;
    return count == entry_count - skip && (count == 0 || memcmp(found, entries + skip, count * sizeof *found) == 0);
}

static bool check_entries(struct store_model *model, struct store *store)
{
    static uint64_t found[MODEL_ENTRIES];
    size_t count;
    if (!read_log(model, store, found, &count))
        return false;
    uint64_t base = store_base_zxid(store);
    bool restarted = model->ahead != 0 && base == model->ahead && count == 0;
    size_t kept = 0; /* of the model's entries */
    bool right = restarted;
    for (size_t i = 0; i < MODEL_TRUNCATIONS && i < model->truncating_count && !right; i++) {
        for (kept = 0; kept < model->acked && model->entries[kept] <= model->truncating[i];)
            kept++;
        right = agrees(found, count, model->entries, kept, base);
    }
    size_t most = model->withdrawn > model->count ? model->withdrawn : model->count;
    for (size_t n = model->acked; !right && n <= most; n++) {
        kept = n;
        right = agrees(found, count, model->entries, n, base);
    }
    if (store_last_zxid(store) != store_durable_zxid(store))
        return trouble(model, "what was not durable is there");
    if (!right)
        return trouble(model, "%zu entries up to %llu above %llu, but %zu were acknowledged up to %llu, %zu submitted",
                       count, (unsigned long long)store_last_zxid(store), (unsigned long long)base, model->acked,
                       (unsigned long long)last_acked(model), model->count);
    model->count = model->acked = kept;
    model->withdrawn = 0;
    model->truncating_count = 0;
    if (restarted)
        model->base = base;
    return true;
}

bool model_withdraw(struct store_model *model, struct store *store)
{
    static uint64_t found[MODEL_ENTRIES];
    size_t count;
    if (model->writing || store_last_zxid(store) == store_durable_zxid(store)) {
        if (model->count > model->withdrawn)
            model->withdrawn = model->count;
        model->count = model->acked;
    }
    uint64_t last = model->count > 0 ? model->entries[model->count - 1] : model->base;
    if (store_last_zxid(store) != last)
        return trouble(model, "the last zxid is %llu, not %llu", (unsigned long long)store_last_zxid(store),
                       (unsigned long long)last);
    if (!read_log(model, store, found, &count))
        return false;
    if (!agrees(found, count, model->entries, model->acked, store_base_zxid(store)))
        return trouble(model, "after a full disk there are %zu entries up to %llu, not %zu up to %llu", count,
                       (unsigned long long)store_last_zxid(store), model->acked, (unsigned long long)last_acked(model));
    return true;
}

static bool check_snapshots(struct store_model *model, struct store *store)
{
    uint64_t newest = store_snapshot_zxid(store), base = store_base_zxid(store);
    bool known = newest == model->snapshot;
    for (size_t i = 0; i < MODEL_SNAPSHOTS && !known; i++)
        known = newest > model->snapshot && newest == model->tried[i];
    if (!known)
        return trouble(model, "the newest snapshot is of %llu, not %llu", (unsigned long long)newest,
                       (unsigned long long)model->snapshot);
    if (newest > store_last_zxid(store))
        return trouble(model, "the newest snapshot is of %llu, but the log ends at %llu", (unsigned long long)newest,
                       (unsigned long long)store_last_zxid(store));
    if (base > newest)
        return trouble(model, "the log begins at %llu, but the newest snapshot is of %llu", (unsigned long long)base,
                       (unsigned long long)newest);
    model->snapshot = newest;
    model->ahead = 0;
    return newest == 0 || read_snapshot(model, store, newest);
}

static bool same_epochs(struct epochs a, struct epochs b)
{
    return a.accepted == b.accepted && a.current == b.current && a.voter == b.voter;
}

static bool check_epochs(struct store_model *model, struct store *store)
{
    struct epochs epochs = store_epochs(store);
    if (!same_epochs(epochs, model->epochs) && !same_epochs(epochs, model->epochs_try))
        return trouble(model, "the epochs are %u, %u, voter %d", epochs.accepted, epochs.current, epochs.voter);
    model->epochs = model->epochs_try = epochs;
    return true;
}

bool model_check(struct store_model *model, struct store *store)
{
    return check_entries(model, store) && check_snapshots(model, store) && check_epochs(model, store);
}
