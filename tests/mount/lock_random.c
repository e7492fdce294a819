/* lock_random SEED STEPS LOCAL FILE... - a random sequence of fcntl locks by as many processes as FILEs are named (one
 * file, through mounts perhaps), each step also on LOCAL, a file of a local filesystem. What the two say must agree: a
 * lock got or refused, F_GETLK's answer, what a close releases. Prints how many steps of each kind agreed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES_MAX = 8, RANGE = 24 /* bytes in play */ };
enum kind { SET, GET, CLOSE, KINDS };

struct step {
    enum kind kind;
    short type;
    off_t start, len;
};

struct said {
    int error;
    struct flock lock; /* GET */
};

struct both {
    struct said local, pact;
};

struct worker {
    pid_t pid;
    int to, from;
    const char *path;
};

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* --- a worker --- */

static struct said carry_out(int fd, const char *path, const struct step *step)
{
    struct said said = {
        .lock = {.l_type = step->type, .l_whence = SEEK_SET, .l_start = step->start, .l_len = step->len}};
    if (step->kind == CLOSE) { /* of any descriptor: POSIX gives up all locks of the process */
        int second = open(path, O_RDWR);
        if (second < 0 || close(second))
            die(path);
    } else if (fcntl(fd, step->kind == SET ? F_SETLK : F_GETLK, &said.lock)) {
        said.error = errno == EACCES ? EAGAIN : errno;
    }
    return said;
}

static void work(const char *local, const char *path, int from, int to)
{
    struct step step;
    int fds[2] = {open(local, O_RDWR), open(path, O_RDWR)};
    if (fds[0] < 0 || fds[1] < 0)
        die("open");
    while (read(from, &step, sizeof step) == (ssize_t)sizeof step) {
        struct both both = {carry_out(fds[0], local, &step), carry_out(fds[1], path, &step)};
        if (write(to, &both, sizeof both) != (ssize_t)sizeof both)
            die("write");
    }
    exit(0);
}

static void start(struct worker *worker, const char *local)
{
    int steps[2], answers[2];
    if (pipe2(steps, O_CLOEXEC) || pipe2(answers, O_CLOEXEC))
        die("pipe");
    worker->pid = fork();
    if (worker->pid < 0)
        die("fork");
    if (!worker->pid) {
        close(steps[1]);
        close(answers[0]);
        work(local, worker->path, steps[0], answers[1]);
    }
    close(steps[0]);
    close(answers[1]);
    worker->to = steps[1];
    worker->from = answers[0];
}

/* --- the comparison --- */

static struct step random_step(void)
{
    static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
    struct step step = {.kind = SET, .type = types[random() % 3], .start = random() % RANGE};
    step.len = random() % 5 ? 1 + random() % (RANGE - step.start) : 0;
    if (random() % 4 == 0)
        step = (struct step){.kind = GET, .type = types[random() % 2], .start = step.start, .len = step.len};
    if (random() % 60 == 0)
        step.kind = CLOSE;
    return step;
}

/* With three and more, which of several locks F_GETLK names is up to the filesystem. The pid of a process on another
 * mount is not known there: 0. */
static int agree(const struct step *step, const struct both *both, const struct worker *workers, int count, int who)
{
    const struct flock *a = &both->local.lock, *b = &both->pact.lock;
    if (both->local.error != both->pact.error)
        return 0;
    if (step->kind != GET || both->local.error)
        return 1;
    if ((a->l_type == F_UNLCK) != (b->l_type == F_UNLCK))
        return 0;
    if (a->l_type == F_UNLCK || count > 2)
        return 1;
    int together = !strcmp(workers[0].path, workers[1].path);
    return a->l_type == b->l_type && a->l_start == b->l_start && a->l_len == b->l_len &&
           b->l_pid == (together ? workers[1 - who].pid : 0);
}

static void tell(long i, int who, const struct step *step, const struct both *both)
{
    const struct said *said[] = {&both->local, &both->pact};
    printf("step %ld, process %d: kind %d type %d from %ld len %ld\n", i, who, (int)step->kind, step->type,
           (long)step->start, (long)step->len);
    for (int j = 0; j < 2; j++)
        printf("  %s: errno %d, type %d from %ld len %ld pid %d\n", j ? "pactfs" : "local ", said[j]->error,
               said[j]->lock.l_type, (long)said[j]->lock.l_start, (long)said[j]->lock.l_len, (int)said[j]->lock.l_pid);
}

int main(int argc, char **argv)
{
    struct worker workers[PROCESSES_MAX];
    long done[KINDS] = {0}, refused = 0, steps = argc > 2 ? atol(argv[2]) : 0;
    int count = argc - 4, status, failed = 0;
    if (count < 1 || count > PROCESSES_MAX)
        return 2;
    srandom((unsigned)atol(argv[1]));
    for (int i = 0; i < count; i++) {
        workers[i].path = argv[4 + i];
        start(&workers[i], argv[3]);
    }
    for (long i = 0; i < steps && !failed; i++) {
        struct step step = random_step();
        struct both both;
        int who = (int)(random() % count);
        if (write(workers[who].to, &step, sizeof step) != (ssize_t)sizeof step ||
            read(workers[who].from, &both, sizeof both) != (ssize_t)sizeof both)
            die("a worker");
        done[step.kind]++;
        refused += both.pact.error == EAGAIN;
        failed = !agree(&step, &both, workers, count, who);
        if (failed)
            tell(i, who, &step, &both);
    }
    for (int i = 0; i < count; i++)
        close(workers[i].to); /* each process has those of the ones before it */
    for (int i = 0; i < count; i++) {
        waitpid(workers[i].pid, &status, 0);
        failed |= status;
    }
    printf("%ld set (%ld refused), %ld got, %ld closed\n", done[SET], refused, done[GET], done[CLOSE]);
    return failed ? 1 : 0;
}
