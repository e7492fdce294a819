/* faults.h - what goes wrong in a run, and when; later, for liveness, what is well again and what stays broken.
 *
 * Each seed has its own mixture of faults, and its own pace. At most a minority of the replicas have a disk that lost
 * what it promised: more than that no protocol survives. */
#ifndef PACT_SIM_FAULTS_H
#define PACT_SIM_FAULTS_H

#include "tests/sim/cluster.h"

struct faults *faults_new(struct cluster *cluster); /* also switches the servers on */
void faults_free(struct faults *faults);

/* The mount stops now, having sent a heartbeat, and is cut off. */
void faults_freeze(struct cluster *cluster, unsigned index);

/* The log is about to be cut: the disk may be full just then, which chance alone hardly ever brings about. */
void faults_at_truncation(struct cluster *cluster, struct server *server);

#endif
