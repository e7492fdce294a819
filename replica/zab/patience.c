/* patience.c - how long a silence may be before it means that a peer is down.
 *
 * Short silences make failover quick; but on a machine that takes the processors away for longer than that, or syncs
 * slowly, a leader that lives is deserted again and again. So a replica learns: a peer that was found silent and is
 * back at once was suspected wrongly, and if that happens to the same peer a second time before long, silence has to
 * last twice as long; four times, if even then it happens twice within a short while. In calm times it becomes short
 * again. Safety never depends on it. Times are one's own running time. */
#include "replica/zab/internal.h"

enum {
    BACK_MS = 500,    /* back within this: it was there all the time; after longer it was missed with good reason */
    AGAIN_MS = 30000, /* a second wrong suspicion within this is no accident */
    SOON_MS = 3000,   /* nor is one within this, of who is patient already */
    CALM_MS = 60000,  /* so long without a wrong suspicion: half the patience is enough */
};

uint64_t patience_silence_ms(const struct zab *zab)
{
    return (uint64_t)zab->timing.silence_ms * zab->patience;
}

uint64_t patience_phase_ms(const struct zab *zab)
{
    return (uint64_t)zab->timing.phase_ms * zab->patience;
}

void patience_suspect(struct zab *zab, struct peer *peer)
{
    peer->suspected = true;
    peer->suspected_ms = zab->run_ms;
}

void patience_heard(struct zab *zab, struct peer *peer)
{
    peer->heard_ms = zab->run_ms;
    if (!peer->suspected)
        return;
    peer->suspected = false;
    if (zab->run_ms - peer->suspected_ms >= BACK_MS)
        return;
    bool again = peer->wronged && zab->run_ms - peer->wronged_ms < (zab->patience == 1 ? AGAIN_MS : SOON_MS);
    peer->wronged = true;
    peer->wronged_ms = zab->calm_ms = zab->run_ms;
    if (again && zab->patience < ZAB_PATIENCE)
        zab->patience *= 2;
}

void patience_tick(struct zab *zab)
{
    if (zab->patience == 1 || zab->run_ms - zab->calm_ms < CALM_MS)
        return;
    zab->patience /= 2;
    zab->calm_ms = zab->run_ms;
}
