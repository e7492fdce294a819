/* O_APPEND, by one process and by several, and offsets that parent and child share. */
#include "tests/mount/posix/posix.h"

#include <stdlib.h>
#include <sys/wait.h>

enum { PROCESSES = 4, LINES = 25, LINE_BYTES = 8 };

static void appends(void)
{
    char text[16] = "";
    put("file", "01234");
    int fd = open("file", O_RDWR | O_APPEND);
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(write(fd, "ab", 2));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(read(fd, text, 3));
    CALL(write(fd, "cd", 2));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(pwrite(fd, "ef", 2, 0));
    CALL(lseek(fd, 0, SEEK_CUR));
    see_text("file");
    CALL(ftruncate(fd, 2));
    CALL(write(fd, "+", 1));
    see_fd("after a cut", fd);
    CALL(close(fd));
    see_text("file");
    fd = OPENS(open("new", O_WRONLY | O_APPEND | O_CREAT | O_TRUNC, 0644));
    CALL(write(fd, "1", 1));
    CALL(write(fd, "2", 1));
    see("new");
    CALL(close(fd));
    see_text("new");
}

static void wait_for(int count)
{
    for (int status; count--;)
        if (wait(&status) < 0 || status)
            says("a process", "ended with %#x", (unsigned)status);
}

static void append_lines(int process)
{
    char line[LINE_BYTES + 1];
    int fd = open("log", O_WRONLY | O_APPEND | O_CREAT, 0644);
    for (int i = 0; i < LINES; i++) {
        snprintf(line, sizeof line, "%u %05u\n", (unsigned)process % 10, (unsigned)i % 100000);
        if (write(fd, line, LINE_BYTES) != LINE_BYTES)
            exit(1);
    }
    exit(close(fd) != 0);
}

/* Each line whole, each process's in its order. */
static void several_append(void)
{
    int next[PROCESSES] = {0}, process, number, whole = 0;
    char line[LINE_BYTES + 2];
    put("log", "");
    for (int i = 0; i < PROCESSES; i++)
        if (!fork())
            append_lines(i);
    wait_for(PROCESSES);
    see("log");
    FILE *log = fopen("log", "re");
    while (log && fgets(line, sizeof line, log))
        if (sscanf(line, "%d %d", &process, &number) == 2 && process < PROCESSES && number == next[process]++)
            whole++;
    says("whole lines in order", "%d", whole);
}

/* Parent and child write through one open file description, one after the other. */
static void shared_offset(void)
{
    int fd = open("file", O_RDWR | O_CREAT, 0644);
    CALL(write(fd, "parent ", 7));
    if (!fork())
        _exit(write(fd, "child ", 6) != 6 || close(fd));
    wait_for(1);
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(write(fd, "parent", 6));
    CALL(close(fd));
    see_text("file");
    fd = open("file", O_WRONLY);
    if (!fork())
        _exit(lseek(fd, 7, SEEK_SET) != 7);
    wait_for(1);
    CALL(write(fd, "CHILD", 5));
    CALL(close(fd));
    see_text("file");
}

/* The child writes on after the parent has closed. */
static void outlives_parent(void)
{
    int fd = open("file", O_WRONLY | O_CREAT | O_TRUNC, 0644), ends[2];
    char go;
    if (pipe(ends))
        return;
    if (!fork()) {
        close(ends[1]);
        if (read(ends[0], &go, 1))
            _exit(1);
        _exit(write(fd, "child", 5) != 5 || close(fd));
    }
    CALL(write(fd, "parent ", 7));
    CALL(close(fd));
    close(ends[1]);
    wait_for(1);
    see_text("file");
}

/* A program run with a descriptor as its output, and one that is closed at exec. */
static void executes(void)
{
    int out = open("out", O_WRONLY | O_CREAT, 0644), closed = open("closed", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    char command[64];
    write(closed, "kept", 4);
    snprintf(command, sizeof command, "echo one; echo two; echo x 2>/dev/null >&%d", closed);
    if (!fork()) {
        dup2(out, STDOUT_FILENO);
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(1);
    }
    int status = 0;
    wait(&status);
    CALL(close(out));
    CALL(close(closed));
    see_text("out");
    see_text("closed");
    put("script", "#!/bin/sh\nexit 7\n");
    CALL(chmod("script", 0755));
    CALL(WEXITSTATUS(system("./script")));
}

const struct cases append_groups[] = {
    {"append", appends},     {"appenders", several_append},
    {"fork", shared_offset}, {"child", outlives_parent},
    {"exec", executes},      {NULL, NULL},
};
