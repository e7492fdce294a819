/* bench.h - what the benchmark programs share: a clock, latencies, and processes that all do the same for a while. */
#ifndef PACT_BENCH_H
#define PACT_BENCH_H

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_VALUE_BYTES = 256, BENCH_ZNODE_BYTES = 100, BENCH_PROCESSES_MAX = 64 };

double bench_now_us(void); /* CLOCK_MONOTONIC */

/* Latencies in buckets whose width is 1/16 of their value: quantiles are right within 6 %. */
enum { BENCH_BUCKETS = 16 * 32 };
struct bench_latencies {
    uint64_t count;
    uint64_t bucket[BENCH_BUCKETS];
};
void bench_add(struct bench_latencies *latencies, double us);
void bench_merge(struct bench_latencies *into, const struct bench_latencies *from);
double bench_quantile(const struct bench_latencies *latencies, double quantile); /* µs */

/* Prints the one line that tests/bench/run reads: operations per second, median and 99th percentile in µs. */
void bench_print(const struct bench_latencies *latencies, double seconds);

/* What one process does. `begin` makes its context (connects, creates its file) and returns NULL on failure; `step`
 * does the operation once and returns 0, or anything else to fail the run. `end` undoes `begin`. */
struct bench_work {
    void *(*begin)(const void *arg, unsigned process);
    int (*step)(void *context);
    void (*end)(void *context);
    const void *arg;
};

/* What a program can do, by name; the table ends with NULL. The step of that name, or NULL. */
struct bench_step {
    const char *name;
    int (*step)(void *context);
};
int (*bench_step(const struct bench_step *steps, const char *name))(void *context);

/* Runs it in that many processes, which begin together and stop after `seconds`; prints the sum. 0, or 1 if any
 * process failed. */
int bench_run(const struct bench_work *work, unsigned processes, double seconds);

/* What a log does for each write: 512 bytes past the page cache into a file of zeros, and fdatasync. */
struct bench_log {
    int fd;
    void *sector;
    int64_t at; /* where the next one goes, in bytes; from the end it begins anew */
};
/* Makes the file, or uses the one that is there. 0, or -1. */
int bench_log_open(struct bench_log *log, const char *path);
int bench_log_write(struct bench_log *log); /* 0, or -1 */
void bench_log_close(struct bench_log *log);

/* Ends the program with a message. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
