#include "fs/pactfs/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fs/mount/estate.h"
#include "fs/mount/log.h"
#include "fs/pactfs/signals.h"
#include "replica/pactd/embedded.h"

enum { BUSY_TRIES = 100, BUSY_WAIT_MS = 20 };

static _Atomic int failure; /* why the embedded replica ended */
static int supervisor;      /* the socket */

static int complain(const char *text)
{
    fprintf(stderr, "pactfs: %s\n", text);
    return 1;
}

/* --- signals: blocked in every thread, waited for in the main one --- */

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

/* --- the supervisor --- */

static bool say(char word)
{
    return send(supervisor, &word, 1, MSG_NOSIGNAL) == 1;
}

/* The mount's end is the supervisor's to decide, or our own; one that others send here ends this process at most, as
 * SIGKILL would. From a terminal both of us get it. */
static void wait_for_end(void)
{
    sigset_t signals = signals_awaited();
    siginfo_t info;
    for (;;) {
        if (sigwaitinfo(&signals, &info) < 0)
            continue;
        if (info.si_pid == getpid() || info.si_pid == getppid())
            return;
        say(SAY_TOLD);
    }
}

/* The descriptor of the mount, which the supervisor makes and keeps. */
static int ask_for_device(void)
{
    char word = SAY_NO;
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {&word, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int device = -1;
    if (!say(SAY_ATTACH) || recvmsg(supervisor, &message, MSG_CMSG_CLOEXEC) != 1 || word != SAY_ATTACH)
        return -1;
    const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof device))
        memcpy(&device, CMSG_DATA(head), sizeof device);
    return device;
}

void leave_terminal(void)
{
    if (chdir("/"))
        log_line("cannot leave the directory: %s", strerror(errno));
    log_to_syslog("pactfs");
    if (!log_leave_standard())
        log_line("cannot leave the terminal: %s", strerror(errno));
}

/* False: nobody waits for the mount any more. */
static bool say_answers(const struct options *options, bool again)
{
    if (again)
        log_line("a new worker goes on with the mount at %s", options->mount.mountpoint);
    else if (options->foreground)
        log_line("the mount answers at %s", options->mount.mountpoint);
    if (!options->foreground && !again)
        leave_terminal();
    return say(SAY_ANSWERS);
}

/* --- the replica --- */

/* That of a worker that was killed may be about to end. */
static int start_embedded(struct options *options, struct embedded **embedded, char *text, size_t text_len)
{
    static char address[256];
    struct timespec wait = {.tv_nsec = BUSY_WAIT_MS * 1000000L};
    int code, tries = BUSY_TRIES;
    options->mount.embedded = true;
    options->mount.servers = address;
    while ((code = embedded_start(options->directory, on_failed, NULL, embedded, address, sizeof address,
                                  &options->mount.keys, text, text_len)) == ERR_BUSY &&
           --tries)
        nanosleep(&wait, NULL);
    return code;
}

static int find_servers(struct options *options, struct embedded **embedded, char *text, size_t text_len)
{
    options->mount.servers = options->servers;
    return options->directory ? start_embedded(options, embedded, text, text_len) : ERR_OK;
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

int work(struct options *options, int control)
{
    struct embedded *embedded = NULL;
    struct mount *mount = NULL;
    char text[512] = "";
    bool again = estate_left(options->mount.estate);
    supervisor = control;
    raise_descriptor_limit();
    options->mount.ended = on_ended;
    options->mount.attach = ask_for_device;
    int code = find_servers(options, &embedded, text, sizeof text);
    if (!code)
        code = mount_start(&options->mount, &mount, text, sizeof text);
    if (code && again)
        log_line("%s", *text ? text : error_text(code));
    else if (code)
        complain(*text ? text : error_text(code));
    if (!code && say_answers(options, again))
        wait_for_end();
    int failed = atomic_load(&failure);
    if (failed)
        log_line("the embedded replica has ended: %s", error_text(failed));
    if (mount)
        mount_stop(mount);
    if (embedded)
        embedded_stop(embedded);
    char end[] = {SAY_ENDS, code || failed};
    if (send(supervisor, end, sizeof end, MSG_NOSIGNAL) < 0)
        log_line("the supervisor has gone: %s", strerror(errno));
    return end[1];
}
