/* server.h - a replica of the simulated ensemble, as the rest of the cluster sees it. */
#ifndef PACT_SIM_SERVER_H
#define PACT_SIM_SERVER_H

#include "replica/zab/zab.h"
#include "tests/sim/item.h"

enum power { PROCESS_KILLED, POWER_LOST };

struct server *server_new(struct cluster *cluster, unsigned index); /* not running */
void server_free(struct server *server);
uint64_t server_life(const struct server *server); /* 0: it is down; else which of its lives this is */
uint64_t server_stalled_until(const struct server *server);

/* --- what may happen to it --- */

void server_start(struct server *server);
void server_hold(struct server *server, bool held); /* does not come back by itself */
void server_crash(struct server *server, enum power power);
void server_stall(struct server *server, uint64_t for_us); /* SIGSTOP, a slow disk call */
void server_go_on(struct server *server);                  /* it stalls no more */
void server_jump_clock(struct server *server, int64_t by_ns);
void server_slow_disk(struct server *server, uint64_t sync_us);
void server_fail_disk(struct server *server, uint64_t calls, uint64_t count, int error); /* errors of later calls */
void server_heal_disk(struct server *server);
void server_cut_power_at_call(struct server *server, uint64_t calls); /* in the middle of what it then does */
void server_crash_at_action(struct server *server, unsigned actions); /* between two actions of zab */
void server_flip_bit(struct server *server);                          /* found at its next start */
void server_wipe(struct server *server);                              /* down: its disk is replaced by an empty one */

/* --- what it is --- */

struct server_view {
    bool alive, leading, following;
    bool voter;   /* of one that is down: as its disk says */
    bool damaged; /* its disk has lost, or may have lost, what it acknowledged */
    uint32_t id, epoch;
    uint64_t applied, digest, committed, last;
};
void server_view(const struct server *server, struct server_view *view);
/* Whether its disk durably has this entry (running or not), with that hash. */
bool server_holds(const struct server *server, uint64_t zxid, uint64_t hash);

#endif
