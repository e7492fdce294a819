/* sim - runs seeds of the cluster simulator. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/cluster.h"

static const char usage[] =
    "sim --seed N | --seeds FROM:COUNT | --fresh COUNT  [--replicas 3|5|7] [--liveness] [--calm] [--duration MS]\n"
    "    [--jobs N] [--trace]\n"
    "Runs whole clusters in simulated time, each from one seed. Without --replicas the seed chooses their number, "
    "without\n"
    "--liveness every fifth seed of a range has the second phase. Ends with 1, and the seed, at a violation.\n";

struct run {
    struct cluster_options options;
    uint64_t from, count;
    bool single, liveness;
    unsigned jobs;
};

static volatile uint64_t current_seed;

static void on_fault(int number)
{
    char text[64];
    int len = snprintf(text, sizeof text, "seed %" PRIu64 ": ended by signal %d\n", current_seed, number);
    ssize_t written = write(STDOUT_FILENO, text, (size_t)len);
    (void)written;
    signal(number, SIG_DFL);
    raise(number);
}

static void add(struct cluster_counts *sum, const struct cluster_counts *one)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)one;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static void print_counts(uint64_t seeds, const struct cluster_counts *c, double seconds)
{
    printf("%" PRIu64 " seeds, %.1f ms each: %" PRIu64 " events, %" PRIu64 " terms, %" PRIu64
           " entries; writes %" PRIu64 " done, %" PRIu64 " unknown, %" PRIu64 " refused; %" PRIu64
           " synced reads; %" PRIu64 " crashes (%" PRIu64 " of power), %" PRIu64 " partitions, %" PRIu64
           " disks lost, %" PRIu64 " snapshots sent, %" PRIu64 " truncations, %" PRIu64
           " sessions expired; locks: %" PRIu64 " held at once, %" PRIu64 " granted to waiters; %" PRIu64
           " ephemerals gone, %" PRIu64 " TTLs\n",
           seeds, seconds * 1000 / (double)(seeds ? seeds : 1), c->events, c->leaders, c->entries, c->written,
           c->unknown, c->refused, c->synced, c->crashes, c->power_losses, c->partitions, c->wipes, c->snapshots,
           c->truncations, c->expiries, c->locked, c->granted, c->ephemerals, c->timed_out);
}

static bool run_one(const struct run *run, uint64_t seed, struct cluster_counts *sum)
{
    struct cluster_options options = run->options;
    struct outcome outcome;
    options.seed = current_seed = seed;
    options.liveness = run->liveness || (!run->single && seed % 5 == 0);
    cluster_run(&options, &outcome);
    add(sum, &outcome.counts);
    if (run->single)
        printf("trace hash %016" PRIx64 "\n", outcome.hash);
    if (!outcome.failed)
        return true;
    printf("seed %" PRIu64 "%s: %s is violated at %" PRIu64 ".%03" PRIu64 " ms: %s\n", seed,
           options.liveness ? " (--liveness)" : "", outcome.checker, outcome.at_us / MS, outcome.at_us % MS,
           outcome.text);
    return false;
}

/* Every jobs-th seed. */
static int run_share(const struct run *run, unsigned job)
{
    struct cluster_counts sum = {0};
    struct timespec begun, ended;
    uint64_t seeds = 0, failed = 0;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
    for (uint64_t i = job; i < run->count; i += run->jobs, seeds++)
        failed += !run_one(run, run->from + i, &sum);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
    print_counts(seeds, &sum, (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9);
    printf("%" PRIu64 " violations\n", failed);
    return failed != 0;
}

static int run_all(const struct run *run)
{
    int failed = 0, status;
    if (run->jobs == 1)
        return run_share(run, 0);
    for (unsigned job = 0; job < run->jobs; job++)
        if (fork() == 0) {
            int code = run_share(run, job);
            fflush(stdout);
            _exit(code);
        }
    while (wait(&status) > 0)
        failed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    return failed;
}

static bool parse_range(struct run *run, const char *text)
{
    char *end;
    run->from = strtoull(text, &end, 10);
    if (*end != ':')
        return false;
    run->count = strtoull(end + 1, &end, 10);
    return *end == '\0' && run->count > 0;
}

static bool parse_option(struct run *run, int option)
{
    switch (option) {
    case 's':
        run->single = true;
        run->from = strtoull(optarg, NULL, 10);
        run->count = 1;
        return true;
    case 'S':
        return parse_range(run, optarg);
    case 'f': /* other seeds each time */
        run->from = (uint64_t)time(NULL) * 1000;
        run->count = strtoull(optarg, NULL, 10);
        return run->count > 0;
    case 'r':
        run->options.servers = (unsigned)strtoul(optarg, NULL, 10);
        return run->options.servers == 3 || run->options.servers == 5 || run->options.servers == 7;
    case 'l':
        run->liveness = true;
        return true;
    case 'c':
        run->options.calm = true;
        return true;
    case 'd':
        run->options.duration_ms = strtoull(optarg, NULL, 10);
        return run->options.duration_ms >= 1000;
    case 'j':
        run->jobs = (unsigned)strtoul(optarg, NULL, 10);
        return run->jobs >= 1 && run->jobs <= 64;
    case 't':
        run->options.trace = true;
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},     {"seeds", required_argument, NULL, 'S'},
        {"fresh", required_argument, NULL, 'f'},    {"replicas", required_argument, NULL, 'r'},
        {"liveness", no_argument, NULL, 'l'},       {"calm", no_argument, NULL, 'c'},
        {"duration", required_argument, NULL, 'd'}, {"jobs", required_argument, NULL, 'j'},
        {"trace", no_argument, NULL, 't'},          {NULL, 0, NULL, 0}};
    struct run run = {.options = {.duration_ms = 60000}, .jobs = 1};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!parse_option(&run, option)) {
            fputs(usage, stderr);
            return 2;
        }
    if (run.count == 0 || optind != argc) {
        fputs(usage, stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGABRT, on_fault);
    signal(SIGSEGV, on_fault);
    printf("seed %" PRIu64 ", %" PRIu64 " in all\n", run.from, run.count);
    fflush(stdout);
    return run_all(&run);
}
