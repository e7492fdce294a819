#include "tests/support/relay.h"
#include "replica/net/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY = 64, LANES = 2 };

struct carried {
    uint64_t due_ms, order; /* order: first sent, first arrives, if due at once */
    enum link_side to;
    size_t len;
    uint8_t *at;
};

/* What a side has sent and not seen acknowledged, as the headers say. */
struct debt {
    uint64_t link;
    struct {
        uint64_t sequence;
        size_t len;
    } sent[LANES][LIMIT_CREDIT_MESSAGES + 1];
    size_t count[LANES], bytes[LANES];
};

struct end {
    struct relay *relay;
    enum link_side side;
    struct link_events events; /* the test's */
    struct link *link;
    uint64_t tick_ms;
    bool cut;
    struct debt debt;
    uint8_t last[LIMIT_FRAME_BYTES];
    size_t last_len;
};

struct relay {
    uint64_t random, now_ms, order;
    struct relay_faults faults;
    struct relay_counts counts;
    struct end ends[2];
    struct carried *queue;
    size_t count, capacity;
    struct carried history[HISTORY];
    size_t history_count;
};

uint64_t relay_random(struct relay *relay)
{
    uint64_t z = relay->random += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static bool strikes(struct relay *relay, unsigned of_1000)
{
    return of_1000 > 0 && relay_random(relay) % 1000 < of_1000;
}

struct relay *relay_new(uint64_t seed)
{
    struct relay *relay = calloc(1, sizeof *relay);
    assert(relay != NULL);
    relay->random = seed;
    relay->now_ms = 1000;
    return relay;
}

void relay_free(struct relay *relay)
{
    for (size_t i = 0; i < relay->count; i++)
        free(relay->queue[i].at);
    for (size_t i = 0; i < HISTORY; i++)
        free(relay->history[i].at);
    for (size_t i = 0; i < 2; i++)
        link_free(relay->ends[i].link);
    free(relay->queue);
    free(relay);
}

/* --- credit --- */

static size_t max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void note_sent(struct relay *relay, struct debt *debt, const struct frame *frame, size_t len)
{
    const size_t lane = frame->type == FRAME_URGENT;
    if (debt->link != frame->link)
        *debt = (struct debt){.link = frame->link};
    if (frame->type != FRAME_DATA && frame->type != FRAME_URGENT)
        return;
    const size_t body = len - FRAME_HEADER_BYTES - FRAME_TAG_BYTES;
    assert(debt->count[lane] < LIMIT_CREDIT_MESSAGES);
    debt->sent[lane][debt->count[lane]].sequence = frame->sequence;
    debt->sent[lane][debt->count[lane]++].len = body;
    debt->bytes[lane] += body;
    assert(debt->bytes[lane] <= LIMIT_CREDIT_BYTES);
    relay->counts.most_pieces = max(relay->counts.most_pieces, debt->count[lane]);
    relay->counts.most_bytes = max(relay->counts.most_bytes, debt->bytes[lane]);
}

static void note_acknowledged(struct debt *debt, const struct frame *frame)
{
    if (debt->link != frame->link)
        return;
    for (size_t lane = 0; lane < LANES; lane++) {
        size_t gone = 0;
        while (gone < debt->count[lane] && debt->sent[lane][gone].sequence <= frame->acknowledged)
            debt->bytes[lane] -= debt->sent[lane][gone++].len;
        debt->count[lane] -= gone;
        memmove(debt->sent[lane], debt->sent[lane] + gone, debt->count[lane] * sizeof debt->sent[lane][0]);
    }
}

/* --- carrying --- */

static void enqueue(struct relay *relay, enum link_side to, const void *frame, size_t len)
{
    if (relay->count == relay->capacity) {
        relay->capacity = relay->capacity * 2 + 64;
        relay->queue = realloc(relay->queue, relay->capacity * sizeof *relay->queue);
        assert(relay->queue != NULL);
    }
    struct carried *carried = &relay->queue[relay->count++];
    *carried = (struct carried){.order = relay->order++, .to = to, .len = len, .at = malloc(len > 0 ? len : 1)};
    assert(carried->at != NULL);
    memcpy(carried->at, frame, len);
    carried->due_ms = relay->now_ms + relay->faults.delay_ms;
    if (strikes(relay, relay->faults.reorder)) {
        carried->due_ms += 1 + relay_random(relay) % (4 * relay->faults.delay_ms + 2);
        relay->counts.reordered++;
    }
}

static void remember(struct relay *relay, enum link_side to, const void *frame, size_t len)
{
    struct carried *slot = &relay->history[relay->history_count++ % HISTORY];
    free(slot->at);
    *slot = (struct carried){.to = to, .len = len, .at = malloc(len)};
    assert(slot->at != NULL);
    memcpy(slot->at, frame, len);
}

static void replay(struct relay *relay)
{
    const size_t kept = relay->history_count < HISTORY ? relay->history_count : HISTORY;
    if (kept == 0)
        return;
    const struct carried *old = &relay->history[relay_random(relay) % kept];
    enqueue(relay, old->to, old->at, old->len);
    relay->counts.replayed++;
}

/* Cuts or alters the frame that was queued last. */
static void damage(struct relay *relay)
{
    struct carried *last = &relay->queue[relay->count - 1];
    if (strikes(relay, relay->faults.cut)) {
        last->len = relay_random(relay) % last->len;
        relay->counts.cut++;
    }
    if (last->len > 0 && strikes(relay, relay->faults.alter)) {
        last->at[relay_random(relay) % last->len] ^= (uint8_t)(1 + relay_random(relay) % 255);
        relay->counts.altered++;
    }
}

static void carry(void *arg, const void *frame_bytes, size_t len)
{
    struct end *end = arg;
    struct relay *relay = end->relay;
    const enum link_side to = end->side == LINK_CLIENT ? LINK_REPLICA : LINK_CLIENT;
    struct frame frame;
    assert(len <= LIMIT_FRAME_BYTES && frame_read(frame_bytes, len, &frame));
    relay->counts.frames++;
    if (frame_sealed(&frame))
        note_sent(relay, &end->debt, &frame, len);
    memcpy(end->last, frame_bytes, len);
    end->last_len = len;
    remember(relay, to, frame_bytes, len);
    if (end->cut || strikes(relay, relay->faults.drop)) {
        relay->counts.dropped++;
    } else {
        enqueue(relay, to, frame_bytes, len);
        damage(relay);
    }
    if (strikes(relay, relay->faults.duplicate)) {
        enqueue(relay, to, frame_bytes, len);
        relay->counts.duplicated++;
    }
    if (strikes(relay, relay->faults.replay))
        replay(relay);
}

static void on_up(void *arg)
{
    const struct end *end = arg;
    end->events.up(end->events.arg);
}

static void on_down(void *arg, int code)
{
    const struct end *end = arg;
    end->events.down(end->events.arg, code);
}

static void on_message(void *arg, const void *message, size_t len)
{
    const struct end *end = arg;
    end->events.message(end->events.arg, message, len);
}

static void on_writable(void *arg)
{
    const struct end *end = arg;
    if (end->events.writable != NULL)
        end->events.writable(end->events.arg);
}

struct link *relay_link(struct relay *relay, enum link_side side, const struct link_keys *keys,
                        const struct link_events *events)
{
    struct end *end = &relay->ends[side];
    link_free(end->link);
    *end = (struct end){.relay = relay, .side = side, .events = *events};
    end->link = link_new(side, keys, &(struct link_events){end, carry, on_up, on_down, on_message, on_writable});
    assert(end->link != NULL);
    return end->link;
}

void relay_set_faults(struct relay *relay, const struct relay_faults *faults)
{
    relay->faults = *faults;
}

void relay_cut_side(struct relay *relay, enum link_side from, bool cut)
{
    relay->ends[from].cut = cut;
}

void relay_inject(struct relay *relay, enum link_side to, const void *frame, size_t len)
{
    enqueue(relay, to, frame, len);
}

const uint8_t *relay_last(const struct relay *relay, enum link_side from, size_t *len)
{
    *len = relay->ends[from].last_len;
    return *len > 0 ? relay->ends[from].last : NULL;
}

/* --- running --- */

/* The index of the frame that arrives next, or count. */
static size_t first_due(const struct relay *relay)
{
    size_t first = relay->count;
    for (size_t i = 0; i < relay->count; i++) {
        const struct carried *a = &relay->queue[i], *b = first < relay->count ? &relay->queue[first] : NULL;
        if (b == NULL || a->due_ms < b->due_ms || (a->due_ms == b->due_ms && a->order < b->order))
            first = i;
    }
    return first;
}

static void deliver(struct relay *relay, size_t index)
{
    struct carried carried = relay->queue[index];
    relay->queue[index] = relay->queue[--relay->count];
    struct end *end = &relay->ends[carried.to];
    struct frame frame;
    if (frame_read(carried.at, carried.len, &frame) && frame_sealed(&frame))
        note_acknowledged(&end->debt, &frame);
    if (end->link != NULL)
        link_receive(end->link, carried.at, carried.len, relay->now_ms);
    end->tick_ms = relay->now_ms; /* as after a descriptor has become readable */
    free(carried.at);
}

static void tick(struct relay *relay)
{
    for (size_t i = 0; i < 2; i++) {
        struct end *end = &relay->ends[i];
        if (end->link != NULL && end->tick_ms <= relay->now_ms)
            end->tick_ms = link_tick(end->link, relay->now_ms);
    }
}

static uint64_t next_event_ms(const struct relay *relay, size_t index)
{
    uint64_t next_ms = index < relay->count ? relay->queue[index].due_ms : UINT64_MAX;
    for (size_t i = 0; i < 2; i++)
        if (relay->ends[i].link != NULL && relay->ends[i].tick_ms < next_ms)
            next_ms = relay->ends[i].tick_ms;
    return next_ms;
}

bool relay_run(struct relay *relay, uint64_t for_ms, bool (*done)(void *arg), void *arg)
{
    const uint64_t end_ms = relay->now_ms + for_ms;
    while (done == NULL || !done(arg)) {
        const size_t index = first_due(relay);
        const uint64_t next_ms = next_event_ms(relay, index);
        if (next_ms > end_ms) {
            relay->now_ms = end_ms;
            return false;
        }
        if (next_ms > relay->now_ms)
            relay->now_ms = next_ms;
        if (index < relay->count && relay->queue[index].due_ms <= relay->now_ms)
            deliver(relay, index);
        else
            tick(relay);
    }
    return true;
}

void relay_stall(struct relay *relay, uint64_t for_ms)
{
    relay->now_ms += for_ms;
}

uint64_t relay_now_ms(const struct relay *relay)
{
    return relay->now_ms;
}

const struct relay_counts *relay_counts(const struct relay *relay)
{
    return &relay->counts;
}
