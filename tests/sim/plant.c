#include "tests/sim/plant.h"

#include "replica/state/internal.h"

enum sim_bug sim_planted;

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
