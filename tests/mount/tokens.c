/* tokens HOW NAME COUNT - makes COUNT names from one template in one process, HOW: mkdir, open (O_CREAT|O_EXCL), creat
 * (O_CREAT), symlink, mknod or rename; with `-stat` after it, looks the template up after each, as `mkdir -m` does, and
 * must find the very node. For tokens.sh. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make(const char *how, const char *name)
{
    char other[4096];
    int fd;
    if (!strncmp(how, "mkdir", 5))
        return mkdir(name, 0755);
    if (!strncmp(how, "symlink", 7))
        return symlink("target", name);
    if (!strncmp(how, "mknod", 5))
        return mknod(name, S_IFREG | 0644, 0);
    if (!strncmp(how, "rename", 6)) {
        snprintf(other, sizeof other, "%s.from", name);
        *strchr(other, '{') = '(';
        fd = open(other, O_WRONLY | O_CREAT, 0644);
        return fd < 0 || close(fd) ? -1 : rename(other, name);
    }
    fd = open(name, O_WRONLY | O_CREAT | (!strncmp(how, "open", 4) ? O_EXCL : 0), 0644);
    return fd < 0 ? -1 : close(fd);
}

int main(int argc, char **argv)
{
    struct stat made;
    ino_t last = 0;
    if (argc != 4)
        return 2;
    for (int i = 0; i < atoi(argv[3]); i++) {
        if (make(argv[1], argv[2])) {
            printf("make %d: %s\n", i, strerrorname_np(errno));
            return 1;
        }
        if (!strstr(argv[1], "-stat"))
            continue;
        if (lstat(argv[2], &made) || made.st_ino <= last) {
            printf("lookup %d: %s\n", i, strerrorname_np(errno));
            return 1;
        }
        last = made.st_ino;
    }
    return 0;
}
