/* owners - processes that own znodes, for owner.sh and fence.sh.
 *
 *   owners death COUNT DIR...   COUNT times: a process makes `{owner=itself}` in the first directory and is killed; how
 *                               long until all the directories (of other mounts) show that it is gone. Prints
 *                               "deaths N p50 US p99 US max US"
 *   owners many COUNT NAME      makes COUNT directories from the template NAME, its own pid after each '%', and waits
 *                               for SIGTERM
 *   owners threads NAME         makes the directory; then its first thread ends and another goes on until SIGTERM
 *   owners knock CALL PATH      tries CALL (write, mkdir, open ...) again and again until SIGTERM; prints a line
 *                               for each change of what comes of it */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int complain(const char *what)
{
    printf("%s: %s\n", what, strerrorname_np(errno));
    return 1;
}

static long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The template with this process's pid for its '%'. */
static const char *own_name(const char *template_name)
{
    static char name[PATH_MAX];
    const char *at = strchr(template_name, '%');
    if (!at)
        return template_name;
    snprintf(name, sizeof name, "%.*s%d%s", (int)(at - template_name), template_name, getpid(), at + 1);
    return name;
}

/* --- death --- */

static bool shown(const char *dir, long number)
{
    char path[PATH_MAX];
    struct stat stat_of;
    snprintf(path, sizeof path, "%s/owned-%ld", dir, number);
    return !stat(path, &stat_of);
}

/* Until all show it (or none does): the time. */
static void wait_for(char **dirs, long number, bool there)
{
    for (; *dirs; dirs++)
        while (shown(*dirs, number) != there)
            usleep(100);
}

static pid_t start_owner(const char *dir, long number)
{
    char name[PATH_MAX];
    pid_t pid = fork();
    if (pid)
        return pid;
    snprintf(name, sizeof name, "%s/{owner=%d}owned-%ld", dir, getpid(), number);
    if (mkdir(name, 0755))
        _exit(complain("mkdir"));
    for (;;)
        pause();
}

static int ascending(const void *a, const void *b)
{
    long first = *(const long *)a, second = *(const long *)b;
    return (first > second) - (first < second);
}

static int death(char **arguments)
{
    long count = atol(arguments[0]), *took = calloc((size_t)count + 1, sizeof *took);
    for (long i = 0; i < count; i++) {
        pid_t pid = start_owner(arguments[1], i);
        wait_for(arguments + 1, i, true);
        long killed_us = now_us();
        kill(pid, SIGKILL);
        wait_for(arguments + 1, i, false);
        took[i] = now_us() - killed_us;
        waitpid(pid, NULL, 0);
    }
    qsort(took, (size_t)count, sizeof *took, ascending);
    printf("deaths %ld p50 %ld p99 %ld max %ld\n", count, took[count / 2], took[count * 99 / 100], took[count - 1]);
    free(took);
    return 0;
}

/* --- many, threads --- */

static int many(char **arguments)
{
    const char *name = own_name(arguments[1]);
    for (long left = atol(arguments[0]); left > 0; left--)
        if (mkdir(name, 0755))
            return complain(name);
    printf("ready\n");
    fflush(stdout);
    pause();
    return 0;
}

static void *go_on(void *arg)
{
    pthread_join(*(pthread_t *)arg, NULL);
    printf("ready\n");
    fflush(stdout);
    pause();
    return NULL;
}

static int threads(char **arguments)
{
    static pthread_t first;
    pthread_t second;
    first = pthread_self();
    if (mkdir(own_name(arguments[0]), 0755))
        return complain(arguments[0]);
    if (pthread_create(&second, NULL, go_on, &first))
        return complain("pthread_create");
    pthread_exit(NULL);
}

/* --- knock --- */

static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static bool knock_once(const char *call, const char *path)
{
    static int fd = -1;
    if (!strcmp(call, "mkdir"))
        return (!mkdir(path, 0755) || errno == EEXIST) && !rmdir(path); /* one may be left of the last time */
    if (!strcmp(call, "chmod"))
        return !chmod(path, 0644);
    if (fd < 0)
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    return fd >= 0 && write(fd, "x", 1) == 1;
}

static int knock(char **arguments)
{
    const char *before = "";
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    while (!stopping) {
        const char *now = knock_once(arguments[0], arguments[1]) ? "OK" : strerrorname_np(errno);
        if (strcmp(now, before))
            printf("%s\n", now);
        fflush(stdout);
        before = now;
        usleep(10000);
    }
    printf("SIGTERM\n");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 4 && !strcmp(argv[1], "death"))
        return death(argv + 2);
    if (argc == 4 && !strcmp(argv[1], "many"))
        return many(argv + 2);
    if (argc == 3 && !strcmp(argv[1], "threads"))
        return threads(argv + 2);
    if (argc == 4 && !strcmp(argv[1], "knock"))
        return knock(argv + 2);
    fprintf(stderr, "see the source\n");
    return 2;
}
