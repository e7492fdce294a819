#include "fs/mount/ghost_place.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int ghost_place_open(const char *mountpoint)
{
    /* Else what others mount inside the mount would appear here as well. */
    struct mount_attr private = {.propagation = MS_PRIVATE};
    int fd = open_tree(AT_FDCWD, mountpoint, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0)
        return -1;
    if (!mount_setattr(fd, "", AT_EMPTY_PATH, &private, sizeof private))
        return fd;
    close(fd);
    return -1;
}

/* The table is opened anew each time: a stream that is rewound may show what it has read before. */
static bool mounted(dev_t device)
{
    unsigned major_number, minor_number;
    FILE *table = fopen("/proc/self/mountinfo", "re");
    char *text = NULL;
    size_t room = 0;
    bool found = !table; /* then it is not known, and the next change is waited for */
    while (!found && getline(&text, &room, table) > 0)
        found = sscanf(text, "%*u %*u %u:%u", &major_number, &minor_number) == 2 &&
                makedev(major_number, minor_number) == device;
    free(text);
    if (table)
        fclose(table);
    return found;
}

void ghost_place_wait(dev_t device, int stop)
{
    int table = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    struct pollfd wait[2] = {{.fd = stop, .events = POLLIN}, {.fd = table, .events = POLLPRI}};
    while (table < 0 || mounted(device))
        if ((poll(wait, 2, -1) < 0 && errno != EINTR) || wait[0].revents)
            break;
    if (table >= 0)
        close(table);
}
