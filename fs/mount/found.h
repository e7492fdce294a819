/* found.h - what was looked up last, with its content: between a LOOKUP and the OPEN that follows, the file may be
 * replaced by a rename, and opening a name that is always there must not fail. Then the file opened is the one that was
 * found, as on any filesystem. Thread-safe. */
#ifndef PACT_FOUND_H
#define PACT_FOUND_H

#include "replica/state/state.h"

struct found;

struct found *found_new(void);
void found_free(struct found *found);

/* Remembers a file or symlink for the next FOUND_LOOKUPS lookups of others (a count of data is taken). */
enum { FOUND_LOOKUPS = 64 };
void found_add(struct found *found, const struct node_stat *stat, struct data *data);
/* What is remembered of a znode; *data gets a count for the caller. False: nothing. */
bool found_find(struct found *found, uint64_t id, struct node_stat *stat, struct data **data);

#endif
