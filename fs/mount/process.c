#include "fs/mount/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "proto/errors.h"

/* Reads a file of /proc/PID; false if it can't be read. */
static bool read_text(pid_t pid, const char *name, char *text, size_t cap)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, text, cap - 1);
    close(fd);
    if (len <= 0)
        return false;
    text[len] = 0;
    return true;
}

/* The numbers after a name in /proc/PID/status, on its line. How many. */
static size_t numbers_after(const char *text, const char *name, pid_t *numbers, size_t cap)
{
    const char *at = strstr(text, name);
    size_t count = 0;
    if (!at)
        return 0;
    at += strlen(name);
    while (count < cap && (*at == '\t' || *at == ' ')) {
        char *end;
        numbers[count++] = (pid_t)strtol(at, &end, 10);
        at = end;
    }
    return count;
}

bool process_read(pid_t tid, struct process *process)
{
    char text[8192];
    *process = (struct process){0};
    if (tid <= 0 || !read_text(tid, "status", text, sizeof text) ||
        numbers_after(text, "\nTgid:", &process->pid, 1) != 1 ||
        numbers_after(text, "\nPPid:", &process->parent, 1) != 1)
        return false;
    pid_t uids[2] = {0}; /* real, effective; a large one comes back from its wrap */
    if (numbers_after(text, "\nUid:", uids, 2) != 2)
        return false;
    process->uid = (uid_t)uids[1];
    process->depth = numbers_after(text, "\nNStgid:", process->numbers, PROCESS_NAMESPACES);
    numbers_after(text, "\nNSpgid:", &process->group, 1);
    return process->depth > 0;
}

bool process_in_group(pid_t tid, gid_t gid)
{
    char path[64], *line = NULL;
    size_t room = 0;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    FILE *status = fopen(path, "re");
    while (status && !found && getline(&line, &room, status) > 0) {
        if (strncmp(line, "Groups:", 7) != 0)
            continue;
        for (char *at = line + 7, *end; !found; at = end) {
            unsigned long number = strtoul(at, &end, 10);
            if (end == at)
                break;
            found = number == gid;
        }
    }
    free(line);
    if (status)
        fclose(status);
    return found;
}

int process_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

uint64_t process_identity(int pidfd)
{
    struct stat stat_of;
    return fstat(pidfd, &stat_of) || !stat_of.st_ino ? 1 : stat_of.st_ino;
}

bool process_ended(int pidfd)
{
    struct pollfd poll_for = {.fd = pidfd, .events = POLLIN};
    return poll(&poll_for, 1, 0) != 0;
}

bool process_group_lives(pid_t group)
{
    return group > 0 && (!kill(-group, 0) || errno != ESRCH);
}

bool process_each(bool (*visit)(void *arg, const struct process *process), void *arg)
{
    struct process process;
    const struct dirent *entry;
    bool stopped = false;
    DIR *directory = opendir("/proc");
    if (!directory)
        return false;
    while (!stopped && (entry = readdir(directory))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        stopped = pid > 0 && process_read(pid, &process) && visit(arg, &process);
    }
    closedir(directory);
    return stopped;
}

struct sought {
    size_t depth;
    pid_t number;
};

static bool has_number(void *arg, const struct process *process)
{
    const struct sought *sought = arg;
    return process->depth >= sought->depth && process->numbers[sought->depth - 1] == sought->number;
}

/* A pidfd on the parent of a process, and what /proc says of it; false: it has none any more. The number may go over to
 * another process until the pidfd is there: then it is no longer the parent's. */
static bool open_parent(const struct process *process, struct process *parent, int *pidfd)
{
    struct process again;
    *pidfd = process->parent > 0 ? process_open(process->parent) : -1;
    if (*pidfd < 0)
        return false;
    if (process_read(process->parent, parent) && process_read(process->pid, &again) && again.parent == process->parent)
        return true;
    close(*pidfd);
    *pidfd = -1;
    return false;
}

int process_open_ancestor(pid_t caller, pid_t number, pid_t *pid, int *pidfd)
{
    struct process process, parent, first;
    if (!process_read(caller, &process))
        return ERR_INVALID;
    first = process;
    *pidfd = process_open(process.pid);
    while (*pidfd >= 0) {
        if (process.depth == first.depth && process.numbers[process.depth - 1] == number) {
            *pid = process.pid;
            return ERR_OK;
        }
        close(*pidfd);
        if (!open_parent(&process, &parent, pidfd))
            break;
        process = parent;
    }
    return process_each(has_number, &(struct sought){first.depth, number}) ? ERR_NOT_PERMITTED : ERR_INVALID;
}

uint64_t process_start(pid_t pid)
{
    char text[4096];
    const char *at = read_text(pid, "stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : UINT64_MAX;
}

int process_open_noted(pid_t pid, uint64_t noted)
{
    int pidfd = process_open(pid);
    if (pidfd >= 0 && (process_start(pid) > noted || process_ended(pidfd))) {
        close(pidfd);
        pidfd = -1;
    }
    return pidfd;
}

uint64_t process_now(void)
{
    struct timespec now;
    uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * ticks + (uint64_t)now.tv_nsec * ticks / 1000000000u;
}
