#include "fs/mount/fdtable.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#include "fs/mount/process.h"
#include "proto/limits.h"

struct fdtable {
    pid_t pid;
    int pidfd; /* -1: there is no such process, or it has ended */
    uint64_t identity;
    DIR *directory;              /* /proc/PID/fdinfo; NULL: not opened yet, or not to be had */
    int infos[LIMIT_KEPT_INFOS]; /* what is in there of the lowest numbers; -1: not opened yet */
    struct fdtable *prev, *next;
};

struct fdtables {
    pthread_mutex_t lock;
    struct fdtable *kept; /* the last one first */
    unsigned count;
};

struct fdtables *fdtables_new(void)
{
    struct fdtables *tables = calloc(1, sizeof *tables);
    if (tables)
        pthread_mutex_init(&tables->lock, NULL);
    return tables;
}

void fdtables_free(struct fdtables *tables)
{
    struct fdtable *table, *next;
    if (!tables)
        return;
    DL_FOREACH_SAFE(tables->kept, table, next)
    {
        fdtable_close(table);
    }
    pthread_mutex_destroy(&tables->lock);
    free(tables);
}

struct fdtable *fdtable_open(pid_t pid)
{
    struct fdtable *table = calloc(1, sizeof *table);
    assert(table);
    table->pid = pid;
    table->pidfd = pid > 0 ? process_open(pid) : -1;
    table->identity = table->pidfd >= 0 ? process_identity(table->pidfd) : 0;
    for (size_t i = 0; i < LIMIT_KEPT_INFOS; i++)
        table->infos[i] = -1;
    return table;
}

void fdtable_close(struct fdtable *table)
{
    for (size_t i = 0; i < LIMIT_KEPT_INFOS; i++)
        if (table->infos[i] >= 0)
            close(table->infos[i]);
    if (table->directory)
        closedir(table->directory);
    if (table->pidfd >= 0)
        close(table->pidfd);
    free(table);
}

struct fdtable *fdtables_take(struct fdtables *tables, pid_t pid)
{
    struct fdtable *table;
    pthread_mutex_lock(&tables->lock);
    DL_SEARCH_SCALAR(tables->kept, table, pid, pid);
    if (table) {
        DL_DELETE(tables->kept, table);
        tables->count--;
    }
    pthread_mutex_unlock(&tables->lock);
    if (table && !process_ended(table->pidfd))
        return table;
    if (table)
        fdtable_close(table);
    return fdtable_open(pid);
}

void fdtables_put(struct fdtables *tables, struct fdtable *table)
{
    struct fdtable *last = NULL;
    if (table->pidfd < 0) {
        fdtable_close(table);
        return;
    }
    pthread_mutex_lock(&tables->lock);
    DL_PREPEND(tables->kept, table);
    if (++tables->count > LIMIT_KEPT_TABLES) {
        last = tables->kept->prev;
        DL_DELETE(tables->kept, last);
        tables->count--;
    }
    pthread_mutex_unlock(&tables->lock);
    if (last)
        fdtable_close(last);
}

pid_t fdtable_pid(const struct fdtable *table)
{
    return table->pid;
}

uint64_t fdtable_identity(const struct fdtable *table)
{
    return table->identity;
}

void fdtable_rewind(struct fdtable *table)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fdinfo", table->pid);
    if (table->directory)
        rewinddir(table->directory);
    else
        table->directory = table->pid > 0 ? opendir(path) : NULL;
}

int fdtable_next(struct fdtable *table)
{
    const struct dirent *entry;
    while (table->directory && (entry = readdir(table->directory)))
        if (entry->d_name[0] != '.')
            return atoi(entry->d_name);
    return -1;
}

static int open_info(const struct fdtable *table, int fd)
{
    char name[16];
    snprintf(name, sizeof name, "%d", fd);
    return table->directory ? openat(dirfd(table->directory), name, O_RDONLY | O_CLOEXEC) : -1;
}

/* The file stands for the number: each read from its start tells of the descriptor that has it then. */
size_t fdtable_info(struct fdtable *table, int fd, char *to, size_t cap)
{
    bool keeps = fd >= 0 && (unsigned)fd < LIMIT_KEPT_INFOS;
    int info = keeps && table->infos[fd] >= 0 ? table->infos[fd] : open_info(table, fd);
    ssize_t len = info < 0 ? 0 : pread(info, to, cap - 1, 0);
    if (keeps)
        table->infos[fd] = info;
    else if (info >= 0)
        close(info);
    len = len < 0 ? 0 : len;
    to[len] = 0;
    return (size_t)len;
}
