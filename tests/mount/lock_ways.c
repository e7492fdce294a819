/* lock_ways WAY FILE [ARGUMENT...] - locks in ways that flock(1) has not. Prints what it got; 0 if that is as it
 * should.
 *
 *   restart FILE MS          waits for a flock with a timer every MS ms whose handler has SA_RESTART, says "five" at
 * the fifth; then "locked" and the number of signals; holds it until its input ends lock FILE TYPE [S [L]]   fcntl
 * F_SETLKW, TYPE r or w; "locked"; holds it until its input ends try FILE TYPE [S [L]]    F_SETLK: OK or the errno's
 * name unlocked FILE            F_SETLKW, then F_UNLCK; "unlocked"; keeps the file open until its input ends deadlock
 * FILE FILE2      two processes that each want what the other has: one gets EDEADLK ofd FILE                 open file
 * description locks convert FILE             a flock from shared to exclusive and back count FILE N flock|fcntl N
 * times: lock, read the number, write the next one, unlock; through one descriptor again FILE N             N times:
 * open, lock without waiting, close: each close lets go before the next asks written FILE FILE2       what was written
 * under a lock is there for who locks FILE2 (the same file) next shared FILE              two processes with one
 * description: the one's unlock does not end the other's wait interrupted FILE         a signal ends a wait; the same
 * descriptor then locks without waiting, and keeps that upgrade FILE             a signal ends a wait for more than a
 * process has: what it has it keeps */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static char **args;
static volatile sig_atomic_t signals;

static int open_it(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0)
        return fd;
    perror(path);
    exit(2);
}

static const char *errno_name(void)
{
    const char *name = strerrorname_np(errno);
    return name ? name : "?";
}

static int set(int fd, int command, short type, off_t start, off_t len)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    return fcntl(fd, command, &lock);
}

static int say(const char *text)
{
    puts(text);
    fflush(stdout);
    return 0;
}

static void wait_for_end_of_input(void)
{
    char byte;
    while (read(0, &byte, 1) > 0)
        continue;
}

static void on_timer(int number)
{
    (void)number;
    if (++signals == 5 && write(STDOUT_FILENO, "five\n", 5) < 0)
        signals = -1;
}

static int restart(void)
{
    int ms = atoi(args[1]), fd = open_it(args[0]);
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    struct itimerval every = {{0, ms * 1000}, {0, ms * 1000}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    int code = flock(fd, LOCK_EX);
    setitimer(ITIMER_REAL, &never, NULL);
    printf("%s %d\n", code ? errno_name() : "locked", (int)signals);
    fflush(stdout);
    wait_for_end_of_input();
    return code ? 1 : 0;
}

static int lock_with(int command)
{
    short type = *args[1] == 'r' ? F_RDLCK : F_WRLCK;
    off_t start = args[2] ? atol(args[2]) : 0, len = args[2] && args[3] ? atol(args[3]) : 0;
    return set(open_it(args[0]), command, type, start, len);
}

static int lock_and_hold(void)
{
    int code = lock_with(F_SETLKW);
    say(code ? errno_name() : "locked");
    wait_for_end_of_input();
    return code ? 1 : 0;
}

static int try(void)
{
    return say(lock_with(F_SETLK) ? errno_name() : "OK");
}

static int unlocked(void)
{
    int fd = open_it(args[0]);
    int code = set(fd, F_SETLKW, F_WRLCK, 0, 0) || set(fd, F_SETLK, F_UNLCK, 0, 0);
    say(code ? errno_name() : "unlocked");
    wait_for_end_of_input();
    return code;
}

/* The child has the second and wants the first; whoever asks last is refused, and gives way. */
static int deadlock(void)
{
    int ready[2], status;
    if (pipe(ready))
        return 2;
    int a = open_it(args[0]), b = open_it(args[1]);
    if (set(a, F_SETLK, F_WRLCK, 0, 1))
        return 2;
    pid_t child = fork();
    if (!child) {
        if (set(b, F_SETLK, F_WRLCK, 0, 1) || write(ready[1], "x", 1) != 1)
            _exit(2);
        int code = set(a, F_SETLKW, F_WRLCK, 0, 1);
        int error = code ? errno : 0;
        set(b, F_SETLK, F_UNLCK, 0, 1);
        _exit(error == EDEADLK ? 35 : error);
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1)
        return 2;
    int code = set(b, F_SETLKW, F_WRLCK, 0, 1);
    int error = code ? errno : 0;
    set(a, F_SETLK, F_UNLCK, 0, 1);
    waitpid(child, &status, 0);
    int other = WEXITSTATUS(status);
    printf("%s, %s\n", error == EDEADLK ? "EDEADLK" : strerror(error), other == 35 ? "EDEADLK" : strerror(other));
    return (error == EDEADLK && other == 0) || (error == 0 && other == 35) ? 0 : 1;
}

static int expect(const char *what, int is)
{
    if (!is)
        printf("not so: %s (%s)\n", what, errno_name());
    return is ? 0 : 1;
}

static int ofd(void)
{
    int a = open_it(args[0]), b = open_it(args[0]), copy = dup(a), wrong = 0;
    wrong += expect("the first locks", !set(a, F_OFD_SETLK, F_WRLCK, 0, 10));
    wrong += expect("the second does not", set(b, F_OFD_SETLK, F_WRLCK, 5, 1) && errno == EAGAIN);
    wrong += expect("but elsewhere", !set(b, F_OFD_SETLK, F_RDLCK, 10, 5));
    close(a);
    wrong += expect("a copy keeps it", set(b, F_OFD_SETLK, F_WRLCK, 5, 1) && errno == EAGAIN);
    close(open_it(args[0]));
    wrong += expect("another close as well", set(b, F_OFD_SETLK, F_WRLCK, 5, 1) && errno == EAGAIN);
    close(copy);
    wrong += expect("the last close gives it up", !set(b, F_OFD_SETLKW, F_WRLCK, 5, 1));
    return wrong ? 1 : say("as on any filesystem");
}

static int convert(void)
{
    int a = open_it(args[0]), b = open_it(args[0]), wrong = 0;
    wrong += expect("shared", !flock(a, LOCK_SH) && !flock(b, LOCK_SH | LOCK_NB));
    wrong += expect("exclusive is refused", flock(a, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK);
    wrong += expect("and what was held is gone", !flock(b, LOCK_EX | LOCK_NB));
    wrong += expect("unlocked", !flock(b, LOCK_UN));
    wrong += expect("exclusive", !flock(a, LOCK_EX));
    wrong += expect("the other is refused", flock(b, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK);
    wrong += expect("shared again", !flock(a, LOCK_SH | LOCK_NB));
    wrong += expect("the other as well", !flock(b, LOCK_SH | LOCK_NB));
    return wrong ? 1 : say("as on any filesystem");
}

static int count(void)
{
    int fd = open_it(args[0]), by_fcntl = !strcmp(args[2], "fcntl");
    for (int i = atoi(args[1]); i > 0; i--) {
        char text[32] = "";
        if (by_fcntl ? set(fd, F_SETLKW, F_WRLCK, 0, 0) : flock(fd, LOCK_EX))
            return say(errno_name()) + 1;
        if (pread(fd, text, sizeof text - 1, 0) < 0)
            return say(errno_name()) + 1;
        int len = snprintf(text, sizeof text, "%09d\n", atoi(text) + 1);
        if (pwrite(fd, text, (size_t)len, 0) != len)
            return say(errno_name()) + 1;
        if (by_fcntl ? set(fd, F_SETLK, F_UNLCK, 0, 0) : flock(fd, LOCK_UN))
            return say(errno_name()) + 1;
    }
    return 0;
}

static int again(void)
{
    for (int i = 0; i < atoi(args[1]); i++) {
        int fd = open_it(args[0]);
        if (flock(fd, LOCK_EX | LOCK_NB))
            return printf("turn %d: %s\n", i, errno_name()) > 0;
        close(fd);
    }
    return say("free each time");
}

/* The reader has the file open since before, and has read it. */
static int written(void)
{
    int a = open_it(args[0]), b = open_it(args[1]), wrong = 0;
    char text[32] = "";
    wrong += expect("a first version", pwrite(a, "first!", 6, 0) == 6 && !fsync(a));
    for (int i = 0; i < 20; i++) {
        char wanted[32];
        int len = snprintf(wanted, sizeof wanted, "turn %d", i);
        wrong += expect("locked here", !flock(a, LOCK_EX));
        wrong += expect("written", pwrite(a, wanted, (size_t)len, 0) == len);
        wrong += expect("unlocked", !flock(a, LOCK_UN));
        wrong += expect("locked there", !flock(b, LOCK_SH));
        memset(text, 0, sizeof text);
        lseek(b, 0, SEEK_SET);
        wrong += expect("read", read(b, text, (size_t)len) == len && !strcmp(text, wanted));
        wrong += expect("unlocked there", !flock(b, LOCK_UN));
    }
    return wrong ? 1 : say("seen each time");
}

/* Returns when somebody waits for a lock in the directory of the first file. */
static void wait_for_waiter(void)
{
    char path[4200], text[4096];
    const char *slash = strrchr(args[0], '/');
    snprintf(path, sizeof path, "%.*s/.pact/locks", (int)(slash - args[0]), args[0]);
    do {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        text[len > 0 ? len : 0] = 0;
        close(fd);
    } while (!strstr(text, " waits "));
}

static int shared(void)
{
    int fd = open_it(args[0]), other = open_it(args[0]), status, wrong = 0;
    wrong += expect("held", !flock(other, LOCK_EX));
    pid_t child = fork();
    if (!child) {
        alarm(10); /* kills it */
        _exit(flock(fd, LOCK_EX) ? errno : 0);
    }
    wait_for_waiter();
    wrong += expect("an unlock of what is not held", !flock(fd, LOCK_UN));
    wrong += expect("let go", !flock(other, LOCK_UN));
    wrong += expect("the waiter gets it", waitpid(child, &status, 0) == child && status == 0);
    return wrong ? 1 : say("OK");
}

static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_timer}; /* without SA_RESTART */
    sigaction(SIGALRM, &action, NULL);
}

/* 0: no more. */
static void tick(int ms)
{
    struct itimerval every = {{0, ms * 1000}, {0, ms * 1000}};
    take_signals();
    setitimer(ITIMER_REAL, &every, NULL);
}

/* Longer than the place of an interrupted wait is kept. */
static void outlast(void)
{
    usleep(400000);
}

static int interrupted(void)
{
    int fd = open_it(args[0]), other = open_it(args[0]), wrong = 0;
    wrong += expect("held", !flock(other, LOCK_EX));
    tick(50);
    wrong += expect("interrupted", flock(fd, LOCK_EX) && errno == EINTR);
    tick(0);
    wrong += expect("let go", !flock(other, LOCK_UN));
    wrong += expect("locked", !flock(fd, LOCK_EX | LOCK_NB));
    outlast();
    wrong += expect("still locked", flock(other, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK);
    wrong += expect("unlocked", !flock(fd, LOCK_UN) && !flock(other, LOCK_EX | LOCK_NB));
    return wrong ? 1 : say("OK");
}

static int upgrade(void)
{
    int told[2], fd = open_it(args[0]), status, wrong = 0;
    if (pipe(told))
        return 2;
    wrong += expect("shared", !set(fd, F_SETLK, F_RDLCK, 0, 1));
    pid_t child = fork();
    if (!child) {
        int code = set(fd, F_SETLK, F_RDLCK, 0, 1);
        code |= write(told[1], "x", 1) != 1;
        wait_for_waiter();
        kill(getppid(), SIGALRM);
        code |= set(fd, F_SETLK, F_UNLCK, 0, 1);
        outlast();
        _exit(code || !set(fd, F_SETLK, F_WRLCK, 0, 1));
    }
    char byte;
    wrong += expect("with another", read(told[0], &byte, 1) == 1);
    take_signals();
    bool got = !set(fd, F_SETLKW, F_WRLCK, 0, 1);
    wrong += expect("interrupted, or just not", got || errno == EINTR);
    wrong += expect("shared still", waitpid(child, &status, 0) == child && status == 0);
    return wrong ? 1 : say("OK");
}

static const struct {
    const char *name;
    int (*run)(void);
    int arguments;
} ways[] = {
    {"restart", restart, 2},   {"lock", lock_and_hold, 2}, {"try", try, 2},
    {"unlocked", unlocked, 1}, {"deadlock", deadlock, 2},  {"ofd", ofd, 1},
    {"convert", convert, 1},   {"count", count, 3},        {"again", again, 2},
    {"written", written, 2},   {"shared", shared, 1},      {"interrupted", interrupted, 1},
    {"upgrade", upgrade, 1},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 2 && i < sizeof ways / sizeof *ways; i++)
        if (!strcmp(argv[1], ways[i].name) && argc >= 2 + ways[i].arguments) {
            args = argv + 2;
            return ways[i].run();
        }
    return 2;
}
