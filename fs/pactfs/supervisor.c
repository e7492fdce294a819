/* Keeping a mount alive.
 *
 * Invariants:
 *  1. The descriptor of /dev/fuse is open here from the mount to its end: what the kernel asks waits for a worker, and
 *     fails with ENOTCONN only when this process has ended.
 *  2. One worker at a time serves it. The next is started when the first thread of the one before has ended. It cannot
 *     always be reaped then, as the kernel may hold threads of it (ghosts) until what they asked is answered, by the
 *     next; so a worker's first thread never asks the mount for anything.
 *  3. What a worker must know of the one before is in the estate (fs/mount/estate.h), which belongs to this process and
 *     is never looked into by it but for whether there is one, and whether the kernel can send calls again.
 *  4. This process touches neither the mount nor the network, has one thread, and waits in one place.
 *  5. A worker does not outlive this process: the mount then answers ENOTCONN. It is not unmounted: no program is to
 *     write into the directory below.
 *
 *  state      the worker …                    then
 *  starting   asks for the mount              it is mounted, once and for all
 *             says that the mount answers     serving; whoever waits for the start is told
 *             ends, or is killed, unmounted   the end, with its status, or 1
 *  serving    is killed, or crashes           starting anew, with another
 *             was told to end, not by us      it is killed
 *             ends                            the end, with its status
 *  … anew     says that the mount answers     serving
 *             ends: it cannot go on           the end, with its status: the mount stays, dead
 *             is still waiting, unmounted     the end, with 0: it is killed
 *  all        has crashed too often           the end, with 1: the mount stays, dead
 *             a signal came to end            the worker is told; one that is only starting anew is killed */
#include "fs/pactfs/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/mount/estate.h"
#include "fs/mount/log.h"
#include "fs/pactfs/signals.h"
#include "fs/pactfs/worker.h"

enum {
    CRASHES = 5, /* within … */
    CRASHES_MS = 10000,
    REAP_MS = 100,            /* after its first thread has ended: for the status of one that ended by itself */
    PIDFD_OF_THREAD = O_EXCL, /* PIDFD_THREAD, of Linux 6.9 */
};

struct supervisor {
    struct options *options;
    int ready;   /* whom to tell that the mount answers; -1: nobody, or told */
    int signals; /* signalfd */
    struct fuse_session *attached;

    pid_t worker;
    int control; /* the socket to it */
    int thread;  /* a pidfd on its first thread; -1: this kernel has none, and the end of the socket tells */
    bool answers, ending;
    int said;                     /* the status with which it said that it ends; -1: it has not */
    uint64_t crashes_ms[CRASHES]; /* the last ones, in a ring */
    size_t crashes;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- a worker's beginning --- */

__attribute__((noreturn)) static void become_worker(struct supervisor *supervisor, pid_t parent, int control)
{
    sigset_t child;
    close(supervisor->signals);
    close(supervisor->control);
    if (supervisor->ready >= 0)
        close(supervisor->ready);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
        _exit(1);
    prctl(PR_SET_NAME, "pactfs-worker");
    /* Writing a core would wait for all threads, and a ghost's for an answer that only the next worker can give. */
    if (geteuid() == 0)
        prctl(PR_SET_DUMPABLE, 0);
    options_set_title(supervisor->options, "pactfs-worker");
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &child, NULL);
    exit(work(supervisor->options, control));
}

static bool start_worker(struct supervisor *supervisor)
{
    int ends[2];
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return false;
    supervisor->control = ends[0];
    supervisor->answers = false;
    supervisor->said = -1;
    fflush(NULL);
    supervisor->worker = fork();
    if (supervisor->worker == 0)
        become_worker(supervisor, parent, ends[1]);
    close(ends[1]);
    supervisor->thread = (int)syscall(SYS_pidfd_open, supervisor->worker, PIDFD_OF_THREAD);
    return supervisor->worker > 0;
}

/* --- what a worker says --- */

static void send_device(const struct supervisor *supervisor, char word, int device)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.head = {.cmsg_len = CMSG_LEN(sizeof device), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec iov = {&word, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (device >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        memcpy(CMSG_DATA(&control.head), &device, sizeof device);
    }
    sendmsg(supervisor->control, &message, MSG_NOSIGNAL);
}

static void attach(struct supervisor *supervisor)
{
    struct mount_options *mount = &supervisor->options->mount;
    if (!supervisor->attached)
        supervisor->attached = mount_attach(mount);
    mount->device = supervisor->attached ? mount_attached_device(supervisor->attached) : -1;
    send_device(supervisor, supervisor->attached ? SAY_ATTACH : SAY_NO, mount->device);
}

/* False: whoever started us waits no more. */
static bool tell_ready(struct supervisor *supervisor)
{
    if (supervisor->ready < 0)
        return true;
    leave_terminal();
    bool waited_for = write(supervisor->ready, "1", 1) == 1;
    close(supervisor->ready);
    supervisor->ready = -1;
    return waited_for;
}

static bool starts_anew(const struct supervisor *supervisor)
{
    return !supervisor->answers && estate_left(supervisor->options->mount.estate);
}

static void end(struct supervisor *supervisor)
{
    supervisor->ending = true;
    kill(supervisor->worker, starts_anew(supervisor) ? SIGKILL : SIGTERM);
}

/* Workers before this one that the kernel has let go. */
static void reap_former(const struct supervisor *supervisor)
{
    siginfo_t info = {0};
    while (!waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid && info.si_pid != supervisor->worker)
        waitpid(info.si_pid, NULL, 0);
}

static void take_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;
    while (read(supervisor->signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo == SIGCHLD)
            reap_former(supervisor);
        else
            end(supervisor);
}

/* What came to us as well counts first. The worker may have taken our signal for the other's, if both were there. */
static void end_told(struct supervisor *supervisor)
{
    take_signals(supervisor);
    if (!supervisor->ending)
        log_line("a signal told the worker to end, which only its supervisor is to be told");
    kill(supervisor->worker, supervisor->ending ? SIGTERM : SIGKILL);
}

/* False: the worker has closed its descriptors. */
static bool hear(struct supervisor *supervisor)
{
    char said[2] = {0}, word;
    ssize_t got = recv(supervisor->control, said, sizeof said, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0)
        return false;
    word = said[0];
    if (word == SAY_ENDS)
        supervisor->said = said[1];
    if (word == SAY_ATTACH)
        attach(supervisor);
    if (word == SAY_TOLD)
        end_told(supervisor);
    supervisor->answers |= word == SAY_ANSWERS;
    if (word == SAY_ANSWERS && !tell_ready(supervisor))
        end(supervisor);
    return true;
}

/* --- a worker's end --- */

/* The wait status; one that the kernel still holds was killed, or has said how it ends. */
static int reap(struct supervisor *supervisor)
{
    const struct timespec step = {.tv_nsec = 1000000};
    int status = SIGKILL;
    pid_t reaped = 0;
    for (int i = 0; i < REAP_MS && !reaped; i++) {
        reaped = waitpid(supervisor->worker, &status, WNOHANG);
        if (!reaped)
            nanosleep(&step, NULL);
    }
    if (!reaped)
        kill(supervisor->worker, SIGKILL);
    if (reaped > 0)
        return status;
    return supervisor->said >= 0 ? supervisor->said << 8 : SIGKILL;
}

/* A worker that serves sees itself that the mount is gone; one that starts anew may wait for replicas, however long. */
static int device_to_watch(const struct supervisor *supervisor)
{
    return starts_anew(supervisor) && !supervisor->ending ? supervisor->options->mount.device : -1;
}

static int wait_for_worker(struct supervisor *supervisor)
{
    struct pollfd fds[] = {{.fd = supervisor->signals, .events = POLLIN},
                           {.fd = supervisor->control, .events = POLLIN},
                           {.fd = supervisor->thread, .events = POLLIN},
                           {.fd = -1}};
    do {
        take_signals(supervisor);
        fds[3].fd = device_to_watch(supervisor);
        if (poll(fds, 4, -1) < 0 && errno != EINTR)
            break;
        if (fds[3].revents & POLLERR)
            end(supervisor);
    } while (hear(supervisor) && !(fds[2].revents & POLLIN));
    close(supervisor->control);
    if (supervisor->thread >= 0)
        close(supervisor->thread);
    return reap(supervisor);
}

/* Whether a worker that ended so is no reason to start another: it will crash again. A worker that was killed from
 * outside while it served did not. */
static bool crashes_too_often(struct supervisor *supervisor, int signal)
{
    uint64_t now = now_ms(), *oldest = &supervisor->crashes_ms[supervisor->crashes % CRASHES];
    if (signal == SIGKILL && supervisor->answers)
        return false;
    bool often = supervisor->crashes >= CRASHES - 1 &&
                 now - supervisor->crashes_ms[(supervisor->crashes + 1) % CRASHES] < CRASHES_MS;
    *oldest = now;
    supervisor->crashes++;
    return often;
}

static const char *signal_name(int signal)
{
    const char *name = sigabbrev_np(signal);
    return name ? name : "?";
}

/* Whether the mount is to go on, with another worker. */
static bool goes_on(struct supervisor *supervisor, int status)
{
    const struct estate *estate = supervisor->options->mount.estate;
    if (!WIFSIGNALED(status) || supervisor->ending || !estate_left(estate))
        return false;
    int signal = WTERMSIG(status);
    log_line("the worker was ended by SIG%s", signal_name(signal));
    if (!estate->resumable) {
        log_line("this kernel cannot send calls again (Linux 6.9 can): the mount has ended");
        return false;
    }
    if (!crashes_too_often(supervisor, signal))
        return true;
    log_line("%d crashes within %d s: the mount has ended", CRASHES, CRASHES_MS / 1000);
    return false;
}

static int open_signals(void)
{
    sigset_t signals = signals_awaited();
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

int supervise(struct options *options, int ready)
{
    struct supervisor supervisor = {.options = options, .ready = ready, .signals = open_signals()};
    int status = 1 << 8;
    options->mount.device = -1;
    options->mount.estate = estate_new();
    if (!options->mount.estate || supervisor.signals < 0) {
        fprintf(stderr, "pactfs: %s\n", strerror(errno));
        return 1;
    }
    do {
        if (!start_worker(&supervisor)) {
            log_line("cannot start a worker: %s", strerror(errno));
            break;
        }
        status = wait_for_worker(&supervisor);
    } while (goes_on(&supervisor, status));
    bool killed = WIFSIGNALED(status), served = estate_left(options->mount.estate);
    bool cannot_go_on = served && !supervisor.ending && (killed || !supervisor.answers);
    if (killed && !supervisor.ending && !served)
        fprintf(stderr, "pactfs: the worker was ended by SIG%s\n", signal_name(WTERMSIG(status)));
    if (supervisor.attached)
        mount_detach(supervisor.attached, &options->mount, cannot_go_on);
    return killed ? !supervisor.ending : WEXITSTATUS(status);
}
