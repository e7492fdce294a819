#include "tests/bench/bench.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

double bench_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

void bench_add(struct bench_latencies *latencies, double us)
{
    double ns = us < 0.001 ? 1 : us * 1000;
    int bucket = (int)(log2(ns) * 16);
    latencies->bucket[bucket < BENCH_BUCKETS ? bucket : BENCH_BUCKETS - 1]++;
    latencies->count++;
}

void bench_merge(struct bench_latencies *into, const struct bench_latencies *from)
{
    into->count += from->count;
    for (int i = 0; i < BENCH_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}

double bench_quantile(const struct bench_latencies *latencies, double quantile)
{
    uint64_t wanted = (uint64_t)(quantile * (double)latencies->count), seen = 0;
    for (int i = 0; i < BENCH_BUCKETS; i++) {
        seen += latencies->bucket[i];
        if (seen > wanted)
            return exp2((i + 0.5) / 16) / 1000;
    }
    return 0;
}

void bench_print(const struct bench_latencies *latencies, double seconds)
{
    printf("%.0f %.1f %.1f\n", (double)latencies->count / seconds, bench_quantile(latencies, 0.5),
           bench_quantile(latencies, 0.99));
}

enum { SECTOR_BYTES = 512, LOG_BYTES = 8 << 20 };

int bench_log_open(struct bench_log *log, const char *path)
{
    *log = (struct bench_log){.fd = open(path, O_WRONLY | O_CREAT | O_DIRECT | O_CLOEXEC, 0644)};
    if (log->fd < 0 || posix_memalign(&log->sector, 4096, LOG_BYTES) != 0)
        return -1;
    memset(log->sector, 0, LOG_BYTES);
    return pwrite(log->fd, log->sector, LOG_BYTES, 0) == LOG_BYTES && fsync(log->fd) == 0 ? 0 : -1;
}

int bench_log_write(struct bench_log *log)
{
    ssize_t written = pwrite(log->fd, log->sector, SECTOR_BYTES, log->at);
    log->at = (log->at + SECTOR_BYTES) % LOG_BYTES;
    return written == SECTOR_BYTES && fdatasync(log->fd) == 0 ? 0 : -1;
}

void bench_log_close(struct bench_log *log)
{
    close(log->fd);
    free(log->sector);
}

_Noreturn void bench_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

struct shared {
    pthread_barrier_t start;
    struct bench_latencies latencies[BENCH_PROCESSES_MAX];
};

static int one_process(const struct bench_work *work, unsigned process, double seconds, struct shared *shared)
{
    void *context = work->begin(work->arg, process);
    pthread_barrier_wait(&shared->start);
    if (context == NULL)
        return 1;
    double begun = bench_now_us(), before = begun;
    int failed = 0;
    while (!failed && before - begun < seconds * 1e6) {
        failed = work->step(context);
        double now = bench_now_us();
        bench_add(&shared->latencies[process], now - before);
        before = now;
    }
    if (work->end != NULL)
        work->end(context);
    return failed;
}

static struct shared *shared_new(unsigned processes)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        bench_fail("bench: no memory");
    pthread_barrierattr_t attr;
    pthread_barrierattr_init(&attr);
    pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&shared->start, &attr, processes);
    pthread_barrierattr_destroy(&attr);
    return shared;
}

int (*bench_step(const struct bench_step *steps, const char *name))(void *context)
{
    while (steps->name != NULL && strcmp(steps->name, name) != 0)
        steps++;
    return steps->step;
}

int bench_run(const struct bench_work *work, unsigned processes, double seconds)
{
    if (processes < 1 || processes > BENCH_PROCESSES_MAX)
        bench_fail("bench: %u processes?", processes);
    struct shared *shared = shared_new(processes);
    for (unsigned i = 0; i < processes; i++) {
        pid_t child = fork();
        if (child < 0)
            bench_fail("bench: cannot fork");
        if (child == 0)
            _exit(one_process(work, i, seconds, shared));
    }
    int status, failed = 0;
    while (wait(&status) > 0)
        failed |= status != 0;
    for (unsigned i = 1; i < processes; i++)
        bench_merge(&shared->latencies[0], &shared->latencies[i]);
    if (!failed)
        bench_print(&shared->latencies[0], seconds);
    munmap(shared, sizeof *shared);
    return failed;
}
