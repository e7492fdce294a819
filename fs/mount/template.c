#include "fs/mount/template.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fs/mount/closing.h"

enum {
    SLOTS = 256,       /* templates remembered at once; the oldest goes first */
    MOMENT_MS = 2000,  /* how long one is remembered */
    LOOKS = 1000,      /* at a caller that is not asleep in its system call yet, before giving up */
    NAME_BYTES = 1024, /* FUSE's longest name; longer ones are not remembered */
};

struct slot {
    uint64_t parent, id; /* id 0: free */
    pid_t tgid;
    uint64_t until_ms;
    char name[NAME_BYTES + 1];
};

struct templates {
    pthread_mutex_t lock;
    size_t next;
    struct slot slots[SLOTS];
};

struct templates *templates_new(void)
{
    struct templates *templates = calloc(1, sizeof *templates);
    if (templates)
        pthread_mutex_init(&templates->lock, NULL);
    return templates;
}

void templates_free(struct templates *templates)
{
    if (!templates)
        return;
    pthread_mutex_destroy(&templates->lock);
    free(templates);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The last one made by this name (in this thread group, unless tgid is 0). */
static struct slot *find(struct templates *templates, uint64_t parent, const char *name, pid_t tgid)
{
    uint64_t now = now_ms();
    for (size_t i = 1; i <= SLOTS; i++) {
        struct slot *slot = &templates->slots[(templates->next + SLOTS - i) % SLOTS];
        if (slot->id && slot->parent == parent && (!tgid || slot->tgid == tgid) && slot->until_ms > now &&
            !strcmp(slot->name, name))
            return slot;
    }
    return NULL;
}

void templates_add(struct templates *templates, uint64_t parent, const char *name, pid_t tid, uint64_t id)
{
    pid_t tgid = process_of(tid);
    if (!tgid || strlen(name) > NAME_BYTES)
        return;
    pthread_mutex_lock(&templates->lock);
    struct slot *slot = find(templates, parent, name, tgid);
    if (!slot) {
        slot = &templates->slots[templates->next];
        templates->next = (templates->next + 1) % SLOTS;
    }
    slot->parent = parent;
    slot->id = id;
    slot->tgid = tgid;
    slot->until_ms = now_ms() + MOMENT_MS;
    strcpy(slot->name, name);
    pthread_mutex_unlock(&templates->lock);
}

/* Whether a system call makes the name it looks up. */
static bool is_create(long number, const unsigned long *args)
{
    switch (number) {
    case SYS_mkdirat:
    case SYS_mknodat:
    case SYS_symlinkat:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_linkat:
    case SYS_openat2:
#ifdef SYS_mkdir
    case SYS_mkdir:
    case SYS_mknod:
    case SYS_symlink:
    case SYS_rename:
    case SYS_link:
    case SYS_creat:
#endif
        return true;
#ifdef SYS_open
    case SYS_open:
        return args[1] & O_CREAT;
#endif
    case SYS_openat:
        return args[2] & O_CREAT;
    default:
        return false;
    }
}

/* Whether the thread is in a call that makes a name. It sleeps until we answer, or is just about to. If that can't be
 * told (without root, under Yama), it is taken for one: that a loop makes a node each time matters more than that
 * `mkdir -m` finds its own. */
static bool is_creating(pid_t tid)
{
    char path[64], text[256];
    unsigned long args[3];
    long number;
    snprintf(path, sizeof path, "/proc/%d/syscall", tid);
    for (int look = 0; look < LOOKS; look++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return true;
        ssize_t len = read(fd, text, sizeof text - 1);
        close(fd);
        if (len <= 0)
            return true;
        text[len] = 0;
        if (sscanf(text, "%ld %lx %lx %lx", &number, &args[0], &args[1], &args[2]) == 4)
            return is_create(number, args);
        usleep(10); /* "running" */
    }
    return true;
}

uint64_t templates_find(struct templates *templates, uint64_t parent, const char *name, pid_t tid)
{
    pthread_mutex_lock(&templates->lock);
    bool any = find(templates, parent, name, 0);
    pthread_mutex_unlock(&templates->lock);
    pid_t tgid = any ? process_of(tid) : 0;
    if (!tgid)
        return 0;
    pthread_mutex_lock(&templates->lock);
    const struct slot *slot = find(templates, parent, name, tgid);
    uint64_t id = slot ? slot->id : 0;
    pthread_mutex_unlock(&templates->lock);
    return id && !is_creating(tid) ? id : 0;
}
