#include "replica/pactd/pipeline.h"

enum { DUE_AT_ONCE = 1024 }; /* deletions proposed in one tick; the rest follows in the next */

void due_run(struct replica *replica)
{
    int64_t now_ns = wall_ns();
    if (now_ns < replica->order.stamp_ns)
        now_ns = replica->order.stamp_ns;
    uint64_t after_id = 0;
    struct request request = {.kind = OP_DELETE};
    for (int i = 0; i < DUE_AT_ONCE && !replica->full; i++) {
        if (!state_next_due(replica->state, now_ns, after_id, &request.delete))
            return;
        after_id = request.delete.at.id;
        pipeline_propose_own(replica, &request, NULL);
    }
}
