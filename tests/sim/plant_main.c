/* sim_planted - tries the simulator: with each planted bug, does it find a violation, at which seed, by which checker?
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replica/state/plant.h"
#include "replica/zab/plant.h"
#include "tests/sim/cluster.h"
#include "tests/sim/plant.h"

/* Any seeds would do; of some bugs, which need a leader cut off with a mount, or a lost disk at the wrong moment, about
 * one in 350 finds a violation. */
enum { DURATION_MS = 60000, FROM = 1 };

struct bug {
    const char *name;
    enum zab_bug zab;
    enum sim_bug sim;
    enum state_bug state;
};

#define ZAB(name)                                                                                                      \
    {                                                                                                                  \
        "zab:" #name, BUG_##name, SIM_NONE, STATE_BUG_NONE                                                             \
    }
#define SIM(name)                                                                                                      \
    {                                                                                                                  \
#name, BUG_NONE, SIM_##name, STATE_BUG_NONE                                                                    \
    }

#define STATE(name)                                                                                                    \
    {                                                                                                                  \
        "state:" #name, BUG_NONE, SIM_NONE, STATE_BUG_##name                                                           \
    }

/* BUG_OLD_ENTRY is not among them: whoever leaves a leader resets the link to it, so that nothing of an older term is
 * on its way any more. What it guards against comes only through a link that lets it through. */
static const struct bug bugs[] = {
    ZAB(ACK_BEFORE_FSYNC),
    ZAB(EPOCH_BEFORE_HISTORY),
    ZAB(NEW_LEADER_EARLY),
    ZAB(HISTORY_KEPT),
    ZAB(OVER_TRUNCATION),
    ZAB(UNDER_TRUNCATION),
    ZAB(DUPLICATE_REFUSED),
    ZAB(OLD_COMMIT),
    ZAB(OLD_QUEUE),
    ZAB(ROLLOVER),
    ZAB(LONELY_EPOCH),
    ZAB(MINORITY),
    ZAB(NON_VOTER),
    ZAB(LONELY_BARRIER),
    SIM(SNAPSHOT_NOT_DURABLE),
    SIM(TRUNCATE_FAILURE_IGNORED),
    SIM(NUMBERS_NOT_IN_SNAPSHOT),
    SIM(NUMBERS_SURVIVE_TERM),
    SIM(DUPLICATES_PROPOSED),
    SIM(GAP_PROPOSED),
    SIM(LEASE_BY_WALL_CLOCK),
    SIM(NO_GRACE),
    SIM(HEARTBEAT_WITHOUT_QUORUM),
    SIM(BARRIER_WITHOUT_QUORUM),
    SIM(STREAM_UNCOMMITTED),
    SIM(EPOCHS_NOT_DURABLE),
    SIM(WIPED_VOTER),
    SIM(RENEWED_ON_ACK),
    SIM(LEADER_ACKS_ALONE),
    SIM(HEARTBEAT_NOT_HEARD),
    SIM(TTL_UNCHECKED),
    SIM(TTL_TRIED_ONCE),
    SIM(WAITERS_NOT_IN_SNAPSHOT),
    SIM(WAITER_HOLDS),
    STATE(READERS_IGNORED),
    STATE(QUEUE_JUMPED),
    STATE(LAST_FIRST),
    STATE(GRANTED_TWICE),
    STATE(NO_WAKE_UP),
    STATE(LOCKS_LEFT),
    STATE(EPHEMERAL_LEFT),
    STATE(TTL_BY_MTIME),
};
enum { BUGS = sizeof bugs / sizeof bugs[0] };

/* What the child that runs the seeds tells. */
struct report {
    uint64_t seed;
    char checker[24];
};

static struct report report;
static int report_to;

static void tell(void)
{
    ssize_t written = write(report_to, &report, sizeof report);
    _exit(written == (ssize_t)sizeof report ? 0 : 1);
}

/* An assertion of the code under test finds it as well. */
static void on_abort(int number)
{
    strcpy(report.checker, number == SIGABRT ? "an assertion" : number == SIGALRM ? "no end" : "a crash");
    tell();
}

static void run_seeds(const struct bug *bug, uint64_t from, uint64_t count)
{
    struct outcome outcome;
    zab_planted = bug->zab;
    sim_planted = bug->sim;
    state_planted = bug->state;
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    signal(SIGALRM, on_abort);
    for (report.seed = from; report.seed < from + count; report.seed++) {
        const struct cluster_options options = {
            .seed = report.seed, .duration_ms = DURATION_MS, .liveness = report.seed % 3 == 0};
        alarm(20);
        cluster_run(&options, &outcome);
        if (!outcome.failed)
            continue;
        memcpy(report.checker, outcome.checker, sizeof report.checker);
        tell();
    }
    _exit(0);
}

/* Whether it was found. */
static bool try_bug(const struct bug *bug, uint64_t from, uint64_t count)
{
    int ends[2], status, quiet;
    struct report found = {0};
    if (pipe(ends) != 0)
        abort();
    pid_t child = fork();
    if (child == 0) {
        report_to = ends[1];
        quiet = dup(STDERR_FILENO);
        if (quiet < 0 || !freopen("/dev/null", "w", stderr))
            _exit(1);
        run_seeds(bug, from, count);
    }
    close(ends[1]);
    bool caught = read(ends[0], &found, sizeof found) == (ssize_t)sizeof found;
    close(ends[0]);
    waitpid(child, &status, 0);
    if (!caught && status != 0) { /* a sanitizer ended it */
        printf("%-28s caught: the run ends\n", bug->name);
        return true;
    }
    if (caught)
        printf("%-28s caught at the %" PRIu64 ". seed (%" PRIu64 ") by %s\n", bug->name, found.seed - from + 1,
               found.seed, found.checker);
    else
        printf("%-28s NOT CAUGHT in %" PRIu64 " seeds\n", bug->name, count);
    return caught;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"plant", required_argument, NULL, 'p'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"seeds", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    const char *only = NULL;
    uint64_t from = FROM, count = 1000;
    unsigned missed = 0, tried = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            only = optarg;
        else if (option == 'f')
            from = strtoull(optarg, NULL, 10);
        else if (option == 's')
            count = strtoull(optarg, NULL, 10);
        else
            return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < BUGS; i++) {
        if (only && strcmp(only, bugs[i].name) != 0)
            continue;
        tried++;
        missed += !try_bug(&bugs[i], from, count);
    }
    printf("%u planted bugs, %u not caught\n", tried, missed);
    return tried == 0 || missed > 0;
}
