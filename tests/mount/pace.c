/* pace DIR [PAUSE_MS] - writes one file after the other, each made anew and closed, and measures each write.
 *
 * Until SIGTERM; then prints "writes N p50 US p99 US max US failed N" (µs; refused writes are no measure). With
 * PAUSE_MS it rests so long between two writes. SIGUSR1 begins the figures anew. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES = 1 << 20, NAMES = 1000 };

static unsigned samples[SAMPLES];
static size_t count, failed;
static volatile sig_atomic_t stopping, again;

static void on_signal(int number)
{
    if (number == SIGTERM)
        stopping = 1;
    else
        again = 1;
}

static long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int write_one(const char *dir, size_t number)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%zu", dir, number % NAMES);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return -1;
    int wrote = write(fd, path, strlen(path)) == (ssize_t)strlen(path);
    return close(fd) == 0 && wrote ? 0 : -1;
}

static int by_size(const void *a, const void *b)
{
    const unsigned left = *(const unsigned *)a, right = *(const unsigned *)b;
    return left < right ? -1 : left > right;
}

static unsigned percentile(size_t percent)
{
    return count == 0 ? 0 : samples[(count - 1) * percent / 100];
}

int main(int argc, char **argv)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (argc < 2) {
        fprintf(stderr, "usage: pace DIR [PAUSE_MS]\n");
        return 2;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    const useconds_t pause_us = argc > 2 ? (useconds_t)atoi(argv[2]) * 1000 : 0;
    for (size_t number = 0; !stopping; number++) {
        if (again)
            count = failed = 0;
        again = 0;
        const long begun_us = now_us();
        if (write_one(argv[1], number) != 0)
            failed++;
        else if (count < SAMPLES)
            samples[count++] = (unsigned)(now_us() - begun_us);
        if (pause_us > 0)
            usleep(pause_us);
    }
    qsort(samples, count, sizeof samples[0], by_size);
    printf("writes %zu p50 %u p99 %u max %u failed %zu\n", count, percentile(50), percentile(99), percentile(100),
           failed);
    return 0;
}
