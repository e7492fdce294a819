/* crash_writer DIR LOGS WRITERS [away | worker] - load for crash.sh and supervisor.sh: writers that note every outcome
 * outside the mount (crash.h).
 *
 * Runs until SIGTERM, then finishes the calls under way. With `away` the mount itself may vanish and come back: errors
 * of a missing mount then mean "not known". With `worker` its worker may be killed: ESTALE, of a file that is being
 * written, then means that it was certainly not done. Exit 1 if any call failed in a way it may not. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/mount/crash.h"

struct writer {
    const char *dir;
    int number, log;
    bool away;           /* the mount may go away */
    bool worker;         /* its worker may be killed */
    char last[STEPS];    /* the outcome of each kind's last step */
    bool fault;          /* some outcome was '!' */
    char path[PATH_MAX]; /* of the step under way */
};

static volatile sig_atomic_t stopping;

static void stop(int signal)
{
    (void)signal;
    stopping = 1;
}

static const char *own_path(struct writer *writer, const char *name, long k)
{
    int len = snprintf(writer->path, sizeof writer->path, "%s/%d/%s", writer->dir, writer->number, name);
    if (k >= 0)
        snprintf(writer->path + len, sizeof writer->path - (size_t)len, "%ld", k);
    return writer->path;
}

static int write_whole(const char *path, int flags, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);
    if (fd < 0)
        return -1;
    ssize_t wrote = write(fd, text, len);
    int error = errno;
    if (close(fd) != 0)
        return -1;
    errno = error;
    return wrote == (ssize_t)len ? 0 : -1;
}

static int write_value(const char *path, int flags, long k)
{
    char value[VALUE_BYTES + 1];
    snprintf(value, sizeof value, "%-*ld", VALUE_BYTES - 1, k);
    value[VALUE_BYTES - 1] = '\n';
    return write_whole(path, flags, value, VALUE_BYTES);
}

static int append_line(const char *path, long k)
{
    char line[32];
    int len = snprintf(line, sizeof line, "%ld\n", k);
    return write_whole(path, O_APPEND, line, (size_t)len);
}

static int queue(struct writer *writer, long k)
{
    snprintf(writer->path, sizeof writer->path, "%s/queue/{seq}-%d-%ld", writer->dir, writer->number, k);
    return mkdir(writer->path, 0755);
}

static int rename_made(struct writer *writer, long k)
{
    char from[PATH_MAX];
    snprintf(from, sizeof from, "%s", own_path(writer, "d-", k - 1));
    return rename(from, own_path(writer, "e-", k - 1));
}

static int carry_out(struct writer *writer, enum step step, long k)
{
    switch (step) {
    case STEP_QUEUE:
        return queue(writer, k);
    case STEP_CREATE:
        return write_value(own_path(writer, "f-", k), O_EXCL, k);
    case STEP_APPEND:
        return append_line(own_path(writer, "log", -1), k);
    case STEP_REPLACE:
        return write_value(own_path(writer, "value", -1), O_TRUNC, k);
    case STEP_MKDIR:
        return mkdir(own_path(writer, "d-", k), 0755);
    case STEP_RENAME:
        return rename_made(writer, k);
    case STEP_UNLINK:
        return unlink(own_path(writer, "f-", k - (STEP_UNLINK - STEP_CREATE)));
    case STEPS:
        break;
    }
    abort();
}

static bool possible(const struct writer *writer, enum step step)
{
    if (step == STEP_RENAME)
        return writer->last[STEP_MKDIR] == '+';
    if (step == STEP_UNLINK)
        return writer->last[STEP_CREATE] == '+';
    return true;
}

/* What a failed call says of the operation. A missing mount shows as ENOTCONN, or as ENOENT once it is unmounted. */
static char outcome_of(const struct writer *writer, enum step step, int error)
{
    bool writes = step == STEP_CREATE || step == STEP_REPLACE || step == STEP_APPEND;
    if (error == EROFS || (writer->worker && writes && error == ESTALE))
        return '-';
    if (error == ETIMEDOUT)
        return '?';
    bool missing = error == ENOTCONN || error == ECONNABORTED || error == ENOENT || error == EIO || error == ENODEV;
    return writer->away && missing ? '?' : '!';
}

static void note(struct writer *writer, long k, char outcome, int error)
{
    char line[64];
    int len = snprintf(line, sizeof line, "%ld %c %d\n", k, outcome, error);
    if (write(writer->log, line, (size_t)len) != len)
        abort();
    if (outcome == '!') {
        fprintf(stderr, "crash_writer %d: step %ld, %s: %s\n", writer->number, k, writer->path, strerror(error));
        writer->fault = true;
    }
}

static int run_writer(struct writer *writer, const char *logs)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%d", logs, writer->number);
    writer->log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    if (writer->log < 0) {
        perror(path);
        return 1;
    }
    for (long k = 0; !stopping && !writer->fault; k++) {
        enum step step = (enum step)(k % STEPS);
        if (!possible(writer, step))
            continue;
        int error = carry_out(writer, step, k) == 0 ? 0 : errno;
        writer->last[step] = error == 0 ? '+' : outcome_of(writer, step, error);
        note(writer, k, writer->last[step], error);
        if (error != 0)
            usleep(10000); /* a mount that is away fails at once: no need to fill the log */
    }
    return writer->fault;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: crash_writer DIR LOGS WRITERS [away | worker]\n");
        return 2;
    }
    struct sigaction action = {.sa_handler = stop, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    int writers = atoi(argv[3]), status, failed = 0;
    pid_t children[WRITERS_MAX];
    if (writers < 1 || writers > WRITERS_MAX)
        return 2;
    for (int i = 0; i < writers; i++) {
        struct writer writer = {.dir = argv[1],
                                .number = i,
                                .away = argc > 4 && !strcmp(argv[4], "away"),
                                .worker = argc > 4 && !strcmp(argv[4], "worker")};
        children[i] = fork();
        if (children[i] == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0) /* also when the test is cut short */
            _exit(run_writer(&writer, argv[2]));
    }
    while (!stopping)
        pause();
    for (int i = 0; i < writers; i++)
        kill(children[i], SIGTERM);
    while (wait(&status) > 0 || errno == EINTR)
        failed |= status != 0;
    return failed;
}
