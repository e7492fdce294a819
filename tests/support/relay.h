/* relay.h - two ends of a link with a carrier between them that loses, doubles, reorders, delays, cuts, alters and
 * replays frames, all from one seed. One thread; the clock is the relay's own, so hours take seconds.
 *
 * The relay reads the headers of what it carries and asserts that neither end ever has more unacknowledged than its
 * credit. */
#ifndef PACT_TEST_RELAY_H
#define PACT_TEST_RELAY_H

#include "replica/net/link.h"

/* How many of 1,000 frames … */
struct relay_faults {
    unsigned drop, duplicate, reorder, cut, alter;
    unsigned replay;   /* … bring one back that was carried earlier, in either direction */
    unsigned delay_ms; /* each takes this long; a reordered one up to four times as long more */
};

struct relay_counts {
    uint64_t frames, dropped, duplicated, reordered, cut, altered, replayed;
    size_t most_pieces, most_bytes; /* unacknowledged at once, of any end and lane */
};

struct relay;

struct relay *relay_new(uint64_t seed);
void relay_free(struct relay *relay); /* frees the links, too */
/* Makes the link of one side (instead of one it had). events->send is ignored. */
struct link *relay_link(struct relay *relay, enum link_side side, const struct link_keys *keys,
                        const struct link_events *events);
void relay_set_faults(struct relay *relay, const struct relay_faults *faults);
void relay_cut_side(struct relay *relay, enum link_side from, bool cut); /* nothing from there arrives */
/* Gives an end a frame that nobody sent. */
void relay_inject(struct relay *relay, enum link_side to, const void *frame, size_t len);
/* The last frame that was carried from this side, as it was sent; NULL: none. Valid until the next is carried. */
const uint8_t *relay_last(const struct relay *relay, enum link_side from, size_t *len);

/* Carries frames and ticks the links, until done(arg) (NULL: never) or the clock has moved by this much; whether it
 * was done. */
bool relay_run(struct relay *relay, uint64_t for_ms, bool (*done)(void *arg), void *arg);
/* The clock moves on while nothing runs, as when the machine stalls. */
void relay_stall(struct relay *relay, uint64_t for_ms);
uint64_t relay_now_ms(const struct relay *relay);
uint64_t relay_random(struct relay *relay);
const struct relay_counts *relay_counts(const struct relay *relay);

#endif
