/* owner_watch MADE WATCHED ROUNDS: a process makes a directory of its own in MADE and is killed, and about then a watch
 * is set on it in WATCHED. Either it was gone before, or DELETE_SELF comes: a waiter that saw it never waits for good.
 * Prints how often which. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 20000, SPREAD_US = 2500 };

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static _Noreturn void own(const char *directory, unsigned round, int ready)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/{owner=%d}n%u", directory, (int)getpid(), round);
    if (mkdir(path, 0755))
        die(path);
    if (write(ready, "x", 1) == 1)
        pause();
    _exit(1);
}

static pid_t start_owner(const char *directory, unsigned round)
{
    int ready[2];
    char byte;
    if (pipe(ready))
        die("pipe");
    pid_t owner = fork();
    if (owner == 0)
        own(directory, round, ready[1]);
    close(ready[1]);
    if (owner < 0 || read(ready[0], &byte, 1) != 1)
        die("the owner");
    close(ready[0]);
    return owner;
}

/* 1: told, 0: gone before, -1: never told. */
static int watch(const char *path)
{
    int told = 0, inotify = inotify_init1(IN_CLOEXEC);
    struct pollfd wait = {.fd = inotify, .events = POLLIN};
    if (inotify < 0)
        die("inotify");
    if (inotify_add_watch(inotify, path, IN_DELETE_SELF) >= 0)
        told = poll(&wait, 1, WAIT_MS) > 0 ? 1 : -1;
    close(inotify);
    return told;
}

int main(int argc, char **argv)
{
    unsigned told = 0, before = 0, rounds = argc == 4 ? (unsigned)atoi(argv[3]) : 0;
    for (unsigned round = 0; round < rounds; round++) {
        char path[4096];
        struct stat stat_of;
        pid_t owner = start_owner(argv[1], round);
        snprintf(path, sizeof path, "%s/n%u", argv[2], round);
        while (stat(path, &stat_of)) /* elsewhere it takes its time */
            usleep(100);
        kill(owner, SIGKILL);
        usleep((unsigned)rand() % SPREAD_US);
        int outcome = watch(path);
        if (outcome < 0) {
            printf("round %u: no event within %d ms\n", round, WAIT_MS);
            return 1;
        }
        *(outcome ? &told : &before) += 1;
        waitpid(owner, NULL, 0);
    }
    printf("told %u times, gone before %u times\n", told, before);
    return rounds > 0 ? 0 : 2;
}
