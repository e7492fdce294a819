#include "replica/pactd/pipeline.h"

/* A look goes through every znode that may become due: with a million of them it takes its time, and is then done
 * less often. */
enum {
    DUE_AT_ONCE = 1024, /* deletions proposed in one look; the rest follows in the next */
    DUE_SHARE = 50,     /* looking takes at most this part of the time … */
    DUE_MAX_MS = 1000,  /* … but is done at least this often */
};

static void propose_due(struct replica *replica, int64_t now_ns)
{
    uint64_t after_id = 0;
    struct request request = {.kind = OP_DELETE};
    for (int i = 0; i < DUE_AT_ONCE && !replica->full; i++) {
        if (!state_next_due(replica->state, now_ns, after_id, &request.delete))
            return;
        after_id = request.delete.at.id;
        if (pipeline_propose_own(replica, &request) != ERR_OK)
            return;
    }
}

void due_run(struct replica *replica, uint64_t now_ms)
{
    if (now_ms < replica->due_ms)
        return;
    propose_due(replica, zab_time(replica->zab, clocks()));
    uint64_t pause_ms = (clock_ms() - now_ms) * DUE_SHARE;
    replica->due_ms = now_ms + (pause_ms < DUE_MAX_MS ? pause_ms : DUE_MAX_MS);
}
