/* pactfs: a mount as a daemon. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/pactfs/signals.h"
#include "fs/pactfs/supervisor.h"

static int complain(const char *text)
{
    fprintf(stderr, "pactfs: %s\n", text);
    return 1;
}

/* --- the mountpoint --- */

/* The absolute path of an existing directory. A mount there whose daemon has died is left where it is until ours takes
 * its place: nothing is to be seen, or written, below it. */
static const char *find_mountpoint(const char *given)
{
    static char path[PATH_MAX];
    struct stat stat_of;
    bool dead = mount_is_dead(given);
    if (!realpath(given, path) || (!dead && stat(path, &stat_of))) {
        fprintf(stderr, "pactfs: %s: %s\n", given, strerror(errno));
        return NULL;
    }
    if (!dead && !S_ISDIR(stat_of.st_mode)) {
        fprintf(stderr, "pactfs: %s: %s\n", given, strerror(ENOTDIR));
        return NULL;
    }
    return path;
}

/* --- the background --- */

/* Forks. In the child it returns the descriptor on which to say that the mount answers; the parent waits for that
 * and ends with the status. */
static int go_to_background(const sigset_t *before)
{
    int ends[2], status;
    char ready = 0;
    if (pipe2(ends, O_CLOEXEC))
        exit(complain(strerror(errno)));
    pid_t child = fork();
    if (child < 0)
        exit(complain(strerror(errno)));
    if (child == 0) {
        close(ends[0]);
        setsid();
        return ends[1];
    }
    close(ends[1]);
    sigprocmask(SIG_SETMASK, before, NULL); /* waiting can be broken off: then the child gives up as well */
    if (read(ends[0], &ready, 1) == 1)
        _exit(0);
    _exit(waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int main(int argc, char **argv)
{
    struct options options;
    sigset_t signals = signals_awaited(), before;
    options_read(argc, argv, &options);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &signals, &before);
    options.mount.mountpoint = find_mountpoint(options.mountpoint);
    if (!options.mount.mountpoint)
        return 1;
    return supervise(&options, options.foreground ? -1 : go_to_background(&before));
}
