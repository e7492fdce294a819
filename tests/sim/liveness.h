/* liveness.h - the second phase: a majority of replicas that vote, and all mounts, are made well; the rest stays as
 * broken as it is. After a while every mount must write, and the majority must agree to the last entry. */
#ifndef PACT_SIM_LIVENESS_H
#define PACT_SIM_LIVENESS_H

#include "tests/sim/cluster.h"

void liveness_begin(struct cluster *cluster);

#endif
