/* pactfs: a mount as a daemon. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/mount/log.h"
#include "fs/pactfs/options.h"
#include "replica/pactd/embedded.h"

static _Atomic int failure; /* why the embedded replica ended */

static int complain(const char *text)
{
    fprintf(stderr, "pactfs: %s\n", text);
    return 1;
}

/* --- signals: blocked in every thread, waited for in the main one --- */

static sigset_t awaited(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1); /* from on_ended and on_failed */
    return signals;
}

static void on_ended(void *arg)
{
    (void)arg;
    kill(getpid(), SIGUSR1);
}

static void on_failed(void *arg, int code)
{
    (void)arg;
    atomic_store(&failure, code ? code : ERR_IO);
    kill(getpid(), SIGUSR1);
}

static void wait_for_end(void)
{
    sigset_t signals = awaited();
    int number;
    while (sigwait(&signals, &number))
        ;
}

/* --- the mountpoint --- */

/* The absolute path of an existing directory; a mount there whose daemon has died is detached first. */
static const char *find_mountpoint(const char *given)
{
    static char path[PATH_MAX];
    struct stat stat_of;
    if (stat(given, &stat_of) && errno == ENOTCONN)
        umount2(given, MNT_DETACH);
    if (!realpath(given, path) || stat(path, &stat_of)) {
        fprintf(stderr, "pactfs: %s: %s\n", given, strerror(errno));
        return NULL;
    }
    if (!S_ISDIR(stat_of.st_mode)) {
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

/* False: nobody waits for the mount any more. */
static bool say_ready(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (chdir("/") || null < 0)
        log_line("cannot leave the directory: %s", strerror(errno));
    log_to_syslog("pactfs");
    for (int standard = 0; standard <= 2 && null >= 0; standard++)
        dup2(null, standard);
    if (null > 2)
        close(null);
    bool waited_for = write(fd, "1", 1) == 1;
    close(fd);
    return waited_for;
}

/* nanomsg needs descriptors for every connection, and spins when they run out. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int find_servers(struct options *options, struct embedded **embedded, char *text, size_t text_len)
{
    static char address[256];
    options->mount.servers = options->servers;
    if (options->directory) {
        options->mount.embedded = true;
        options->mount.servers = address;
        return embedded_start(options->directory, on_failed, NULL, embedded, address, sizeof address,
                              &options->mount.keys, text, text_len);
    }
    return options->key ? keys_read(options->key, &options->mount.keys, text, text_len) : ERR_OK;
}

/* From a mountpoint to the end of the mount; the exit status. */
static int serve(struct options *options, int ready)
{
    struct embedded *embedded = NULL;
    struct mount *mount = NULL;
    char text[512] = "";
    options->mount.ended = on_ended;
    int code = find_servers(options, &embedded, text, sizeof text);
    if (!code)
        code = mount_start(&options->mount, &mount, text, sizeof text);
    if (code)
        complain(*text ? text : error_text(code));
    if (!code && ready < 0)
        log_line("the mount answers at %s", options->mount.mountpoint);
    if (!code && (ready < 0 || say_ready(ready)))
        wait_for_end();
    int failed = atomic_load(&failure);
    if (failed)
        log_line("the embedded replica has ended: %s", error_text(failed));
    if (mount)
        mount_stop(mount);
    if (embedded)
        embedded_stop(embedded);
    return code || failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct options options;
    sigset_t signals = awaited(), before;
    options_read(argc, argv, &options);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &signals, &before);
    raise_descriptor_limit();
    options.mount.mountpoint = find_mountpoint(options.mountpoint);
    if (!options.mount.mountpoint)
        return 1;
    return serve(&options, options.foreground ? -1 : go_to_background(&before));
}
