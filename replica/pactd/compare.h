/* compare.h - whether the members' states are the same at the same zxid (design §2): memory that went bad, or an apply
 * that did not do the same everywhere, must not be served.
 *
 * Every follower tells the leader its zxid and digest now and then; the leader looks up what its own digest was there.
 * The majority, as the leader sees it, is right: the others stop and say why; without a majority all stop. */
#ifndef PACT_COMPARE_H
#define PACT_COMPARE_H

#include <stddef.h>
#include <stdint.h>

struct member;
struct message_status;
struct replica;

enum { COMPARE_MARKS = 8192 }; /* a power of two: how many entries a follower may be behind and still be compared */

struct compare_marks { /* the digest after each of the newest entries */
    struct {
        uint64_t zxid, digest;
    } ring[COMPARE_MARKS];
    size_t next;
};

enum compared { COMPARED_NOT, COMPARED_SAME, COMPARED_OTHER };

enum compare_verdict {
    COMPARE_WAIT,   /* all the same, or not all heard yet */
    COMPARE_OTHERS, /* those that differ from the leader stop */
    COMPARE_SELF,   /* the leader stops: it is in the minority */
    COMPARE_ALL,    /* no majority */
};

/* Of `members` replicas, the leader and `same` others agree, `other` have another state (taken for one and the same),
 * and `unheard` are there but were not compared. Pure. */
enum compare_verdict compare_judge(size_t members, size_t same, size_t other, size_t unheard);

/* After each apply. */
void compare_applied(struct replica *replica);
/* A follower tells its leader. */
void compare_tell(struct replica *replica);
/* The leader has been told. */
void compare_told(struct replica *replica, struct member *member, const struct message_status *status);
#endif
