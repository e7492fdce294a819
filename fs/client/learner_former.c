/* The session that a killed process left behind, or that was given up in time: it is resumed only to be closed, so that
 * what was held under it is free at once and not after its timeout, which each new leader begins anew. Only then one of
 * our own is made.
 *
 * The tree that the replica sends meanwhile is kept: the next ATTACH goes on from there. */
#include "fs/client/learner_internal.h"

#include <string.h>

/* On to a session of our own. No refusal: nobody is to hear of it. */
static void go_on(struct learner *learner, struct learner_output *output)
{
    learner_drop_link(learner, ERR_SESSION_EXPIRED, 0, output);
}

void learner_former_ask(const struct learner *learner, struct message_attach *attach)
{
    const struct client_identity *former = &learner->former;
    attach->session = former->session;
    memcpy(attach->nonce, former->nonce, SESSION_NONCE_BYTES);
    memcpy(attach->secret, former->secret, SESSION_SECRET_BYTES);
    memcpy(attach->cluster, former->cluster, CLUSTER_ID_BYTES);
}

void learner_former_attached(struct learner *learner, const struct message_attached *attached,
                             struct learner_output *output)
{
    if (attached->session != learner->former.session || attached->commit < learner->applied) {
        learner_drop_link(learner, ERR_BAD_FORMAT, LEARNER_REFUSED_MS, output);
        return;
    }
    learner->phase = RELEASING;
    learner->attach_ms = learner->now_ms;
    memcpy(learner->cluster, attached->cluster, CLUSTER_ID_BYTES);
    learner->former_copies = attached->snapshot;
    learner_add_send(output, MESSAGE_DETACH);
}

void learner_former_detached(struct learner *learner, struct learner_output *output)
{
    learner->former.session = 0;
    if (!learner->former_copies)
        go_on(learner, output);
}

void learner_former_loaded(struct learner *learner, struct learner_output *output)
{
    learner->former_copies = false;
    if (learner->former.session == 0)
        go_on(learner, output);
}

/* It is gone, or cannot be closed by us: a secret that does not match, another cluster. */
void learner_former_refused(struct learner *learner, struct learner_output *output)
{
    learner->former.session = 0;
    go_on(learner, output);
}
