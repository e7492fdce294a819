/* lock_undone FILE - fcntl: a wait that a signal ended leaves what was held before, byte by byte, and nothing more;
 * also if it was granted in the moment after, and what else the process does with other threads meanwhile counts.
 *
 * In each case the process holds `own` of eight bytes, another one `other`; it asks for `asked`, is told to wait, and
 * (where it says so) changes what it holds to `changed`. Then a signal ends the wait, and the other lets all go at
 * once. What the other sees of the bytes in the end must be what the process held, r shared, w exclusive. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 8, OUTLAST_US = 300000, TRIES = 50 };

static const struct change {
    const char *what, *own, *other, *asked, *changed;
} cases[] = {
    {"nothing was held", "........", "wwwwwwww", "wwwwwwww", NULL},
    {"from shared to exclusive", "rrrrrrrr", "rrrrrrrr", "wwwwwwww", NULL},
    {"for more bytes", "www.....", "...w....", "wwwwww..", NULL},
    {"of all kinds", "r.w..r.w", "...w....", "wwwwwwww", NULL},
    {"from exclusive to shared", "ww..rr..", "..w.....", "rrrrrr..", NULL},
    {"some was given up meanwhile", "rrrrrrrr", "rrrrrrrr", "wwwwwwww", "rrrr...."},
    {"some was taken meanwhile", "........", "r.......", "wwwwwwww", ".rw....."},
};

static int file;
static const char *path;
static const struct change *now;

static short type_of(char letter)
{
    return letter == 'r' ? F_RDLCK : letter == 'w' ? F_WRLCK : F_UNLCK;
}

static int set(int command, char letter, size_t start, size_t len)
{
    struct flock lock = {.l_type = type_of(letter), .l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)len};
    return fcntl(file, command, &lock);
}

/* One call for each run of the same letter, but for what is to be as before. */
static int set_all(int command, const char *map, const char *before)
{
    for (size_t at = 0, end; at < BYTES; at = end) {
        for (end = at; end < BYTES && map[end] == map[at]; end++)
            continue;
        if ((!before || strncmp(map + at, before + at, end - at) != 0) && set(command, map[at], at, end - at))
            return -1;
    }
    return 0;
}

static void see(char map[BYTES + 1])
{
    for (size_t i = 0; i < BYTES; i++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)i, .l_len = 1};
        bool failed = fcntl(file, F_GETLK, &lock);
        map[i] = failed ? '?' : lock.l_type == F_RDLCK ? 'r' : lock.l_type == F_WRLCK ? 'w' : '.';
    }
    map[BYTES] = 0;
}

static bool somebody_waits(void)
{
    char name[4200], text[4096];
    snprintf(name, sizeof name, "%.*s/.pact/locks", (int)(strrchr(path, '/') - path), path);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    text[len > 0 ? len : 0] = 0;
    close(fd);
    return strstr(text, " waits ");
}

static void *ask(void *arg)
{
    size_t start = strspn(now->asked, "."), len = strcspn(now->asked + start, ".");
    int *code = arg;
    *code = set(F_SETLKW, now->asked[start], start, len) ? errno : 0;
    return NULL;
}

static void on_signal(int number)
{
    (void)number;
}

/* The child's part: holds, lets go when it is told to, and looks at what the parent has. */
static int other(int from, int to)
{
    char byte, map[BYTES + 1];
    const char *wanted = now->changed ? now->changed : now->own;
    int wrong = set_all(F_SETLK, now->other, "........") || write(to, "x", 1) != 1 || read(from, &byte, 1) != 1;
    wrong |= set(F_SETLK, '.', 0, BYTES);
    usleep(OUTLAST_US); /* longer than the place of an interrupted wait is kept */
    for (int i = 0; i < TRIES; i++, usleep(OUTLAST_US / TRIES)) {
        see(map);
        if (!wrong && !strcmp(map, wanted) && !somebody_waits())
            return 0;
    }
    printf("%s: %s, not %s%s\n", now->what, map, wanted, wrong ? ", and a call failed" : "");
    fflush(stdout);
    return 1;
}

static int run(void)
{
    int there[2], back[2], code, status;
    char byte;
    pthread_t asker;
    if (pipe(there) || pipe(back) || set(F_SETLK, '.', 0, BYTES))
        return 1;
    pid_t child = fork();
    if (!child)
        _exit(other(there[0], back[1]));
    int wrong = read(back[0], &byte, 1) != 1 || set_all(F_SETLK, now->own, "........");
    wrong |= pthread_create(&asker, NULL, ask, &code);
    while (!wrong && !somebody_waits())
        continue;
    wrong |= now->changed && set_all(F_SETLK, now->changed, now->own);
    pthread_kill(asker, SIGALRM);
    pthread_join(asker, NULL);
    wrong |= write(there[1], "x", 1) != 1;
    waitpid(child, &status, 0);
    if (code != EINTR)
        printf("%s: %s, not EINTR\n", now->what, strerrorname_np(code));
    return wrong || code != EINTR || status != 0;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    int wrong = 0;
    if (argc != 2)
        return 2;
    path = argv[1];
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || sigaction(SIGALRM, &action, NULL))
        return 2;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        now = &cases[i];
        wrong += run();
    }
    puts(wrong ? "wrong" : "OK");
    return wrong ? 1 : 0;
}
