/* signals KIND PATH COUNT - calls that block, each with a signal after SIGNAL_MS, without SA_RESTART.
 *
 *   flock, fcntl   a lock on the file PATH, which somebody else has
 *   mkdir          PATH-0, PATH-1 …; the signals go on until the call ends
 *
 * COUNT of them, or as many as SIGTERM allows. Prints one line: how many were interrupted (EINTR), done, refused
 * (EROFS), unknown (ETIMEDOUT), anything else; and the longest times from the first signal of a call to its end: of
 * those that were interrupted, and of the others. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { SIGNAL_MS = 2 };

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    stopping |= number == SIGTERM;
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int block(const char *kind, const char *path, int fd, long call)
{
    char name[4096];
    struct flock all = {.l_type = F_WRLCK};
    if (!strcmp(kind, "flock"))
        return flock(fd, LOCK_EX);
    if (!strcmp(kind, "fcntl"))
        return fcntl(fd, F_SETLKW, &all);
    snprintf(name, sizeof name, "%s-%ld", path, call);
    return mkdir(name, 0755);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    struct sigaction action = {.sa_handler = on_signal};
    struct itimerval on = {{0, SIGNAL_MS * 1000}, {0, SIGNAL_MS * 1000}}, off = {0};
    long interrupted = 0, done = 0, refused = 0, unknown = 0, other = 0, count = atol(argv[3]);
    double slowest[2] = {0};
    int fd = strcmp(argv[1], "mkdir") ? open(argv[2], O_RDWR) : -1;
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    for (long call = 0; call < count && !stopping; call++) {
        setitimer(ITIMER_REAL, &on, NULL);
        double begun = now_ms();
        int error = block(argv[1], argv[2], fd, call) ? errno : 0;
        double took = now_ms() - begun - SIGNAL_MS;
        setitimer(ITIMER_REAL, &off, NULL);
        double *most = &slowest[error != EINTR];
        *most = took > *most ? took : *most;
        *(error == EINTR       ? &interrupted
          : error == 0         ? &done
          : error == EROFS     ? &refused
          : error == ETIMEDOUT ? &unknown
                               : &other) += 1;
        if (error && error != EINTR && error != EROFS && error != ETIMEDOUT)
            fprintf(stderr, "%s: call %ld: %s\n", argv[1], call, strerror(error));
        if (error == EROFS)
            usleep(1000);
    }
    printf("interrupted %ld done %ld refused %ld unknown %ld other %ld slowest %.0f longest %.0f ms\n", interrupted,
           done, refused, unknown, other, slowest[0], slowest[1]);
    return other > 0;
}
