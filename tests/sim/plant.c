#include "tests/sim/plant.h"

#include "fs/client/learner_internal.h"
#include "replica/state/lock.h"
#include "replica/state/plant.h"

enum sim_bug sim_planted;
enum state_bug state_planted;

/* As if a snapshot did not have them. */
void plant_forget_numbers(struct state *state)
{
    for (struct session *session = session_first(state); session; session = session_next(state, session)) {
        session_before_change(state, session);
        session->info.last_number = session->results_sum = 0;
        session->kept = 0;
        session_after_change(state, session);
    }
}

void plant_forget_waiters(struct state *state)
{
    while (state->locks.waiting_count > 0) {
        struct lock *lock = state->locks.waiting[0];
        struct locked *locked = lock->locked;
        lock_leave(state, lock);
        lock_free(lock);
        locked_trim(state, locked);
    }
}

void plant_renew(struct learner *learner)
{
    learner->renewed_ms = learner->now_ms;
}

void plant_keep(struct state *state, struct node *node)
{
    journal_touch(state, node);
    lifetime_unindex(state, node);
    node->more->attr.ephemeral_owner = 0;
    lifetime_index(state, node);
}

void plant_wait_again(struct state *state, struct lock *lock)
{
    lock->handle = 0;
    lock_enter(state, lock);
}
