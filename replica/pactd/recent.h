/* recent.h - the newest entries, encoded, in memory: what is proposed, and of what is committed the last
 * LIMIT_RECENT_BYTES, for mounts that are up to date or lag a little. */
#ifndef PACT_RECENT_H
#define PACT_RECENT_H

#include "replica/state/request.h"

struct recent_entry {
    uint64_t zxid;
    struct bytes bytes; /* owned */
};

struct recent {
    struct recent_entry *ring;
    size_t capacity; /* a power of two */
    size_t first, count;
    size_t bytes;
    uint64_t floor; /* every entry above this zxid is here */
};

void recent_start(struct recent *recent, uint64_t floor);
void recent_free(struct recent *recent);
/* Copies the entry. Those up to `committed` may go to make room. */
void recent_push(struct recent *recent, uint64_t zxid, struct bytes entry, uint64_t committed);
/* Removes everything above zxid, which is not below the floor. */
void recent_withdraw(struct recent *recent, uint64_t zxid);
/* The log ends at zxid now, wherever that is. */
void recent_cut(struct recent *recent, uint64_t zxid);
/* The index of the first entry above zxid (= count if there is none). zxid ≥ floor (asserted). */
size_t recent_after(const struct recent *recent, uint64_t zxid);
const struct recent_entry *recent_at(const struct recent *recent, size_t index);
/* Whether zxid is the floor or that of an entry here. */
bool recent_knows(const struct recent *recent, uint64_t zxid);

#endif
