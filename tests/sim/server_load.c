/* From the disk's content to what a replica starts with: the state of its newest snapshot, the log, zab. */
#include "tests/sim/server_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- a snapshot --- */

static int load_snapshot(struct snapshot_reader *reader, struct state **state)
{
    struct snapshot_loader *loader = loader_new();
    uint8_t piece[4096];
    size_t len = 1;
    int code = ERR_OK;
    while (code == ERR_OK && len > 0) {
        code = snapshot_reader_next(reader, piece, sizeof piece, &len);
        if (code == ERR_OK && len > 0)
            code = loader_feed(loader, piece, len);
    }
    if (code == ERR_OK)
        code = loader_finish(loader, state);
    if (code != ERR_OK)
        loader_free(loader);
    else if (PLANTED(NUMBERS_NOT_IN_SNAPSHOT))
        plant_forget_numbers(*state);
    else if (PLANTED(WAITERS_NOT_IN_SNAPSHOT))
        plant_forget_waiters(*state);
    return code;
}

/* From the newest to the oldest. *newest: of the newest, whole or not. */
static int load_state(struct server *server, uint64_t *newest)
{
    uint64_t before = 0;
    for (;;) {
        struct snapshot_reader *reader;
        int code = snapshot_reader_open(server->store, before, &reader);
        if (code == ERR_NO_NODE) {
            server->state = state_new();
            return ERR_OK;
        }
        if (code != ERR_OK)
            return code;
        before = snapshot_reader_zxid(reader);
        if (*newest == 0)
            *newest = before;
        code = load_snapshot(reader, &server->state);
        snapshot_reader_close(reader);
        if (code != ERR_CORRUPT)
            return code;
    }
}

/* --- the log --- */

static int load_log(struct server *server)
{
    struct log_reader *reader;
    server->log.floor = server->purged = store_base_zxid(server->store);
    int code = log_reader_open(server->store, server->log.floor, &reader);
    for (;;) {
        uint64_t zxid = 0;
        struct bytes entry;
        if (code == ERR_OK)
            code = log_reader_next(reader, &zxid, &entry);
        if (code != ERR_OK || zxid == 0)
            break;
        items_push(&server->log, item_new(zxid, entry));
    }
    log_reader_close(reader);
    return code;
}

/* --- zab --- */

static uint32_t epoch_of(uint64_t zxid)
{
    return (uint32_t)(zxid >> 32);
}

static struct zab_run *find_runs(const struct server *server, size_t *count)
{
    struct zab_run *runs = malloc((server->log.count + 1) * sizeof *runs);
    assert(runs);
    *count = 0;
    for (size_t i = 0; i < server->log.count; i++) {
        uint64_t zxid = server->log.list[i]->zxid;
        if (*count > 0 && runs[*count - 1].epoch == epoch_of(zxid) && runs[*count - 1].last + 1 == (uint32_t)zxid)
            runs[*count - 1].last++;
        else
            runs[(*count)++] = (struct zab_run){epoch_of(zxid), (uint32_t)zxid, (uint32_t)zxid};
    }
    return runs;
}

static int64_t last_stamp_ns(struct server *server)
{
    struct entry entry;
    if (server->log.count == 0)
        return state_stamp_ns(server->state);
    item_decode(server->cluster, server->log.list[server->log.count - 1], &entry);
    return entry.stamp_ns;
}

static void make_zab(struct server *server)
{
    struct epochs epochs = store_epochs(server->store);
    struct zab_options options = {.id = server->id,
                                  .members = server->members,
                                  .member_count = server->cluster->server_count,
                                  .epochs = {epochs.accepted, epochs.current, epochs.voter},
                                  .base = state_zxid(server->state),
                                  .purged = server->log.floor,
                                  .counter_last = server->counter_last,
                                  .timing = server->timing};
    if (PLANTED(WIPED_VOTER) && server->damaged)
        options.epochs.voter = true;
    struct zab_run *runs = find_runs(server, &options.run_count);
    options.runs = runs;
    options.stamp_ns = last_stamp_ns(server);
    options.running_ns = server_clocks(server).running_ns;
    options.seed = pick(server->cluster, UINT64_MAX);
    server->zab = zab_new(&options, server_ms(server));
    free(runs);
}

int load_all(struct server *server)
{
    const struct store_options options = {
        .segment_bytes = SEGMENT_BYTES, .snapshots_kept = 1 + server->index % 2, .identity = server->identity};
    char text[256];
    uint64_t newest = 0;
    simdisk_interface(server->disk, &server->interface);
    int code = store_open(&server->interface, &options, &server->store, text, sizeof text);
    if (code != ERR_OK) {
        NOTE(server, "%u does not open its store: %s", server->id, text);
        return code;
    }
    code = load_state(server, &newest);
    if (code == ERR_OK)
        code = load_log(server);
    if (code == ERR_OK && items_last(&server->log) < newest)
        code = ERR_CORRUPT; /* the newest snapshot is damaged, and the log does not reach it */
    if (code != ERR_OK)
        return code;
    memcpy(server->identity, store_identity(server->store), sizeof server->identity);
    check_loaded(server->cluster, server->id, server->state);
    make_zab(server);
    server->told_durable = store_durable_zxid(server->store);
    NOTE(server, "%u starts: snapshot %llx, log (%llx, %llx], epochs %u %u%s", server->id,
         (unsigned long long)state_zxid(server->state), (unsigned long long)server->log.floor,
         (unsigned long long)items_last(&server->log), store_epochs(server->store).accepted,
         store_epochs(server->store).current, zab_voter(server->zab) ? "" : ", no voter");
    return ERR_OK;
}
