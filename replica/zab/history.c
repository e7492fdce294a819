/* history.c - see history.h. */
#include "replica/zab/history.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static uint64_t run_first(const struct zab_run *run)
{
    return ZXID(run->epoch, run->first);
}

static uint64_t run_last(const struct zab_run *run)
{
    return ZXID(run->epoch, run->last);
}

/* Runs are few (one for each term that logged something): exhaustion of memory ends the process. */
static struct zab_run *new_run(struct history *history)
{
    if (history->count == history->capacity) {
        history->capacity = history->capacity == 0 ? 8 : 2 * history->capacity;
        history->runs = realloc(history->runs, history->capacity * sizeof *history->runs);
        if (history->runs == NULL)
            abort();
    }
    return &history->runs[history->count++];
}

void history_init(struct history *history, const struct zab_options *options)
{
    bool whole = options->run_count > 0 && run_first(&options->runs[0]) <= options->base;
    assert(options->purged <= options->base);
    *history = (struct history){.floor = whole ? options->purged : options->base};
    for (size_t i = 0; i < options->run_count; i++) {
        const struct zab_run *run = &options->runs[i];
        assert(run->epoch > 0 && run->first > 0 && run->first <= run->last);
        assert(run_first(run) > history_last(history));
        *new_run(history) = *run;
    }
    assert(history_last(history) >= options->base);
}

void history_free(struct history *history)
{
    free(history->runs);
}

void history_reset(struct history *history, uint64_t zxid)
{
    history->floor = zxid;
    history->count = 0;
}

uint64_t history_last(const struct history *history)
{
    return history->count == 0 ? history->floor : run_last(&history->runs[history->count - 1]);
}

uint64_t history_below(const struct history *history, uint64_t zxid)
{
    assert(zxid >= history->floor);
    for (size_t i = history->count; i-- > 0;) {
        const struct zab_run *run = &history->runs[i];
        if (run_first(run) <= zxid)
            return zxid < run_last(run) ? zxid : run_last(run);
    }
    return history->floor;
}

int64_t history_after(const struct history *history, uint64_t zxid)
{
    int64_t count = 0;
    if (zxid < history->floor)
        return -1;
    for (size_t i = history->count; i-- > 0 && run_last(&history->runs[i]) > zxid;) {
        const struct zab_run *run = &history->runs[i];
        uint32_t before = run_first(run) > zxid ? run->first - 1 : ZXID_COUNTER(zxid);
        count += run->last - before;
    }
    return count;
}

bool history_has(const struct history *history, uint64_t zxid)
{
    return history_below(history, zxid) == zxid;
}

bool history_follows(uint64_t previous, uint64_t first)
{
    if (ZXID_EPOCH(first) == ZXID_EPOCH(previous))
        return first == previous + 1;
    return first > previous && ZXID_COUNTER(first) == 1;
}

void history_append(struct history *history, uint64_t first, uint64_t last)
{
    uint64_t end = history_last(history);
    assert(history_follows(end, first) && first <= last && ZXID_EPOCH(first) == ZXID_EPOCH(last));
    if (history->count > 0 && ZXID_EPOCH(end) == ZXID_EPOCH(first)) {
        history->runs[history->count - 1].last = ZXID_COUNTER(last);
        return;
    }
    *new_run(history) =
        (struct zab_run){.epoch = ZXID_EPOCH(first), .first = ZXID_COUNTER(first), .last = ZXID_COUNTER(last)};
}

void history_truncate(struct history *history, uint64_t zxid)
{
    assert(zxid >= history->floor);
    while (history->count > 0 && run_first(&history->runs[history->count - 1]) > zxid)
        history->count--;
    if (history->count > 0 && run_last(&history->runs[history->count - 1]) > zxid)
        history->runs[history->count - 1].last = ZXID_COUNTER(zxid);
}

void history_purge(struct history *history, uint64_t zxid)
{
    size_t gone = 0;
    if (zxid <= history->floor)
        return; /* known already */
    zxid = history_below(history, zxid);
    while (gone < history->count && run_last(&history->runs[gone]) <= zxid)
        gone++;
    history->count -= gone;
    if (gone > 0)
        memmove(history->runs, history->runs + gone, history->count * sizeof *history->runs);
    if (history->count > 0 && run_first(&history->runs[0]) <= zxid)
        history->runs[0].first = ZXID_COUNTER(zxid) + 1;
    history->floor = zxid;
}
