/* closing_ways WAY FILE - writes "first\nsecond\n" to FILE through one open and ends it in one of the ways that
 * programs have: what closing.sh counts the transactions of. `list` prints the ways. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static const char *path;

static void must(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static int open_it(int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | flags, 0644);
    must(fd >= 0, "open");
    return fd;
}

static void put(int fd, const char *text)
{
    must(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "write");
}

static void end(pid_t child)
{
    int status;
    must(waitpid(child, &status, 0) == child && !status, "child");
}

static void plain(void)
{
    int fd = open_it(0);
    put(fd, "first\n");
    put(fd, "second\n");
    must(!close(fd), "close");
}

static void duplicates(void)
{
    int fd = open_it(0), other = dup(fd);
    must(!close(fd), "close");
    put(other, "first\n");
    fd = fcntl(other, F_DUPFD_CLOEXEC, 100);
    must(!close(other), "close");
    put(fd, "second\n");
    must(!close(fd), "close");
}

/* Whoever has the file open twice more, with a duplicate of that one: what close has answered is there. */
static void beside_duplicates(void)
{
    int idle = open(path, O_RDWR), copy = idle < 0 ? -1 : dup(idle), back;
    char text[64] = "";
    plain();
    back = open(path, O_RDONLY);
    must(back >= 0 && read(back, text, sizeof text - 1) == 13 && !strcmp(text, "first\nsecond\n"), "read back");
    close(back);
    close(copy);
    close(idle);
}

static void *write_second(void *arg)
{
    put(*(int *)arg, "second\n");
    return NULL;
}

static void *write_and_close(void *arg)
{
    write_second(arg);
    must(!close(*(int *)arg), "close");
    return NULL;
}

static void in_thread(int fd, void *(*run)(void *))
{
    pthread_t thread;
    must(!pthread_create(&thread, NULL, run, &fd), "pthread_create");
    pthread_join(thread, NULL);
}

static void thread_writes(void)
{
    int fd = open_it(0);
    put(fd, "first\n");
    in_thread(fd, write_second);
    must(!close(fd), "close");
}

static void thread_closes(void)
{
    int fd = open_it(0);
    put(fd, "first\n");
    in_thread(fd, write_and_close);
}

static void *open_write_close(void *arg)
{
    (void)arg;
    plain();
    return NULL;
}

static void thread_opens(void)
{
    in_thread(0, open_write_close);
}

static void *open_and_give(void *arg)
{
    *(int *)arg = open_it(0);
    return NULL;
}

static void thread_opens_main_closes(void)
{
    int fd = -1;
    pthread_t thread;
    must(!pthread_create(&thread, NULL, open_and_give, &fd), "pthread_create");
    pthread_join(thread, NULL);
    put(fd, "first\n");
    put(fd, "second\n");
    must(!close(fd), "close");
}

static void child_writes_parent_closes(void)
{
    int fd = open_it(0);
    put(fd, "first\n");
    pid_t child = fork();
    if (!child) {
        put(fd, "second\n");
        _exit(0);
    }
    end(child);
    must(!close(fd), "close");
}

/* The parent closes before anything is written; the child's exit is the last close. */
static void parent_closes_child_exits(void)
{
    int fd = open_it(0), gate[2];
    must(!pipe(gate), "pipe");
    pid_t child = fork();
    if (!child) {
        char byte;
        close(gate[1]);
        must(read(gate[0], &byte, 1) == 0, "gate");
        put(fd, "first\n");
        put(fd, "second\n");
        _exit(0);
    }
    must(!close(fd), "close");
    close(gate[1]);
    end(child);
}

static void spawned(void)
{
    int fd = open_it(O_CLOEXEC);
    char *argv[] = {"printf", "first\\nsecond\\n", NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    must(!posix_spawnp(&child, "printf", &actions, NULL, argv, environ), "posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    end(child);
    must(!close(fd), "close");
}

/* The last descriptor closes in execve. */
static void close_on_exec(void)
{
    int fd = open_it(O_CLOEXEC);
    put(fd, "first\n");
    put(fd, "second\n");
    execlp("true", "true", NULL);
    must(0, "execlp");
}

/* As above, and it is the only descriptor there is. */
static void close_on_exec_alone(void)
{
    int fd = open_it(O_CLOEXEC);
    put(fd, "first\n");
    put(fd, "second\n");
    for (int other = 0; other < 64; other++)
        if (other != fd)
            close(other);
    execlp("true", "true", NULL);
}

/* While the table has another open file, with a duplicate: which of them are one cannot be asked in an execve. */
static void close_on_exec_beside_duplicates(void)
{
    int idle = open(path, O_RDWR | O_CLOEXEC), copy = idle < 0 ? -1 : dup(idle);
    int fd = open_it(O_CLOEXEC);
    put(fd, "first\n");
    put(fd, "second\n");
    must(copy == -1 || copy > idle, "dup");
    execlp("true", "true", NULL);
    must(0, "execlp");
}

static void exits_without_closing(void)
{
    int fd = open_it(0);
    put(fd, "first\n");
    put(fd, "second\n");
    _exit(0);
}

static void reopened_over(void)
{
    int fd = open_it(0), null = open("/dev/null", O_WRONLY);
    put(fd, "first\n");
    put(fd, "second\n");
    must(dup2(null, fd) == fd, "dup2");
}

static void exchange(int socket, int fd, int *received)
{
    char byte = 0, room[CMSG_SPACE(sizeof fd)];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (received) {
        must(recvmsg(socket, &message, 0) == 1, "recvmsg");
        memcpy(received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof *received);
        return;
    }
    memset(room, 0, sizeof room);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    must(sendmsg(socket, &message, 0) == 1, "sendmsg");
}

/* The descriptor goes to another process, and the opener closes its own before that writes. (After: two commits.) */
static void passed_on(void)
{
    int ends[2], fd;
    must(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), "socketpair");
    pid_t child = fork();
    if (!child) {
        char byte;
        exchange(ends[1], -1, &fd);
        must(read(ends[1], &byte, 1) == 1, "read");
        put(fd, "first\n");
        put(fd, "second\n");
        must(!close(fd), "close");
        _exit(0);
    }
    fd = open_it(0);
    exchange(ends[0], fd, NULL);
    must(!close(fd), "close");
    put(ends[0], "!");
    end(child);
}

static void positioned(void)
{
    int fd = open_it(0);
    must(pwrite(fd, "second\n", 7, 6) == 7, "pwrite");
    must(pwrite(fd, "first\n", 6, 0) == 6, "pwrite");
    must(!close(fd), "close");
}

static void mapped(void)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    must(fd >= 0 && !ftruncate(fd, 13), "ftruncate");
    char *at = mmap(NULL, 13, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(at != MAP_FAILED, "mmap");
    memcpy(at, "first\nsecond\n", 13);
    must(!munmap(at, 13) && !close(fd), "munmap");
}

/* Dies by a signal with half the file written: `die SIGNAL`. */
static void die(int number)
{
    struct rlimit none = {0};
    setrlimit(RLIMIT_CORE, &none);
    int fd = open_it(0);
    put(fd, "half\n");
    signal(number, SIG_DFL);
    raise(number);
    pause();
}

static void die_kill(void)
{
    die(SIGKILL);
}

static void die_term(void)
{
    die(SIGTERM);
}

static void die_segv(void)
{
    die(SIGSEGV);
}

static void *wait_forever(void *arg)
{
    pause();
    return arg;
}

static void die_threads(void)
{
    pthread_t thread;
    for (int i = 0; i < 4; i++)
        must(!pthread_create(&thread, NULL, wait_forever, NULL), "pthread_create");
    die(SIGKILL);
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"plain", plain},
    {"duplicates", duplicates},
    {"beside_duplicates", beside_duplicates},
    {"thread_writes", thread_writes},
    {"thread_closes", thread_closes},
    {"thread_opens", thread_opens},
    {"thread_opens_main_closes", thread_opens_main_closes},
    {"child_writes_parent_closes", child_writes_parent_closes},
    {"parent_closes_child_exits", parent_closes_child_exits},
    {"spawned", spawned},
    {"close_on_exec", close_on_exec},
    {"close_on_exec_alone", close_on_exec_alone},
    {"close_on_exec_beside_duplicates", close_on_exec_beside_duplicates},
    {"exits_without_closing", exits_without_closing},
    {"reopened_over", reopened_over},
    {"passed_on", passed_on},
    {"positioned", positioned},
    {"mapped", mapped},
    {"die_kill", die_kill},
    {"die_term", die_term},
    {"die_segv", die_segv},
    {"die_threads", die_threads},
};

int main(int argc, char **argv)
{
    size_t count = sizeof ways / sizeof *ways;
    if (argc == 2)
        for (size_t i = 0; i < count; i++)
            puts(ways[i].name);
    if (argc != 3)
        return argc != 2;
    path = argv[2];
    for (size_t i = 0; i < count; i++)
        if (!strcmp(argv[1], ways[i].name)) {
            ways[i].run();
            return 0;
        }
    fprintf(stderr, "no such way: %s\n", argv[1]);
    return 2;
}
