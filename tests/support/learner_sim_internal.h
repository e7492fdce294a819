/* learner_sim_internal.h - what the parts of the simulation share. Only learner_sim*.c include it. */
#ifndef PACT_TEST_LEARNER_SIM_INTERNAL_H
#define PACT_TEST_LEARNER_SIM_INTERNAL_H

#include "tests/support/learner_sim.h"

struct sim_message {
    struct sim_message *next;
    struct message message;
    struct bytes entries[4]; /* ENTRIES: each is a struct entry of the log */
    uint8_t bytes[];         /* what the message borrows */
};

/* learner_sim.c: the link */
void sim_put(struct sim_queue *queue, const struct message *message, const void *bytes, size_t len); /* copies */
void sim_hang_up(struct sim *sim); /* what is on the link is lost */

/* learner_sim_replica.c */
uint64_t sim_commit_zxid(const struct sim *sim);
void sim_replica_receive(struct sim *sim, const struct message *message);
void sim_pump(struct sim *sim); /* streams what is committed */
void sim_expire_session(struct sim *sim);
void sim_stop_snapshot(struct sim *sim);
void sim_free_request(struct entry *entry);

/* learner_sim_mount.c */
void sim_mount_receive(struct sim *sim, const struct message *message);
void sim_carry_out(struct sim *sim); /* what the learner asked for */
void sim_load_stop(struct sim *sim);

#endif
