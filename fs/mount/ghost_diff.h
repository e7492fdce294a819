/* ghost_diff.h - the difference between the announced tree and the current one, kept when too much is pending for
 * every step to be announced (design §5). Pure.
 *
 * One record for each znode that is now elsewhere, gone, new or changed; a name that came and went in between leaves
 * none. So it is no larger than the two trees together. ghost_diff_next gives changes in an order that can be carried
 * out: a directory before what is in it, a directory's removal after what was in it, a name's old holder before its
 * new one. Where moves form a circle, one of them is given as a creation at the new place. */
#ifndef PACT_GHOST_DIFF_H
#define PACT_GHOST_DIFF_H

#include "fs/mount/ghost_change.h"

struct ghost_diff;

/* The directory a directory is in now; 0: it is the root, or gone. */
typedef uint64_t (*ghost_parent_of)(void *arg, uint64_t id);

struct ghost_diff *ghost_diff_new(ghost_parent_of parent_of, void *arg); /* NULL: out of memory */
void ghost_diff_free(struct ghost_diff *diff);

size_t ghost_diff_count(const struct ghost_diff *diff); /* records */
/* Takes a change into account. GHOST_TOUCH too. */
void ghost_diff_note(struct ghost_diff *diff, const struct ghost_change *change);
/* The same for a CREATE, DELETE, RENAME or EXCHANGE that the kernel has been told of already. Returns how many changes
 * `late` has got, that are to be announced at once: where the kernel believed a znode to be before it was moved. Their
 * names are valid as those of ghost_diff_next. */
size_t ghost_diff_overtake(struct ghost_diff *diff, const struct ghost_change *change, struct ghost_change late[2]);
/* Takes the next change out, of those in a directory that has room (what it depends on comes first all the same). Its
 * names are valid until the next call of any function here. False: none was found among the first LOOK records; those
 * have gone to the end. */
enum { GHOST_DIFF_LOOK = 64 };
bool ghost_diff_next(struct ghost_diff *diff, bool (*room)(void *arg, uint64_t directory), void *arg,
                     struct ghost_change *change);

#endif
