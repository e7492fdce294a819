/* programs.h - the programs of a mount that take and give up locks: each has one at a time, and knows whether it has.
 */
#ifndef PACT_SIM_PROGRAMS_H
#define PACT_SIM_PROGRAMS_H

#include "tests/sim/check.h"

enum { PROGRAMS = 4, LOCK_BYTES = 8 }; /* of a mount; ranges are within so many bytes */

/*  IDLE      has none
 *  ASKING    has asked for one, and is not answered
 *  WAITING   is in the queue
 *  HOLDING   has it, and counts on it
 *  LEAVING   has given it up, or its place in the queue, and is not answered
 *  DOUBT     does not know: what it asked for last was not answered in time */
enum stage { IDLE, ASKING, WAITING, HOLDING, LEAVING, DOUBT };

struct program {
    enum stage stage, before; /* before: what it is if the answer is a refusal */
    uint64_t turn;            /* an answer to what an earlier turn asked means nothing */
    uint64_t until_us;        /* HOLDING, WAITING: that long */
    uint64_t session, name;   /* of the lock: as the state has them */
    struct op_lock lock;      /* HOLDING, WAITING; its command is not kept */
    struct op_lock asked;
};

struct mount;
void programs_begin(struct mount *mount); /* and after its session is lost: nobody has anything */
void programs_turn(struct mount *mount);  /* one of them asks for a lock */
void programs_tend(struct mount *mount);  /* those whose time is over give up theirs, or change its kind */
void programs_returned(struct mount *mount, const struct op *op, const struct result *result);
void programs_see(struct mount *mount, const struct changes *changes);
void programs_loaded(struct mount *mount); /* another tree */

/* work_submit: of workload.c */
void work_submit(struct mount *mount, struct op new, const struct request *request);

#endif
