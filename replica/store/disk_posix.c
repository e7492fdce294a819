/* disk_posix.c - a directory of a POSIX file system as the store's disk.
 *
 * Log segments are written with O_DIRECT and fdatasync: on a preallocated file that is one transfer and one flush,
 * measured 58 µs against 77 µs through the page cache. Where O_DIRECT is refused (tmpfs, 4 KiB sectors) the page
 * cache serves as well: the store never changes a sector that was synced. */
#include "replica/store/disk.h"

#include "proto/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_ALIGN 4096u
#define ZERO_BYTES   (128u * KIB) /* zeros are written in pieces of this size: syncs come in between */
#define STEADY_BYTES (64u * KIB)  /* writes of this size go to the disk soon, lest a sync found very much to do */

struct posix {
    int directory, lock; /* descriptors */
};

struct disk_file {
    int fd;
};

/* Turns O_DIRECT on; false: this file can't be accessed so in sectors of 512 bytes. */
static bool go_direct(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) != 0)
        return false;
    void *probe = NULL;
    if (posix_memalign(&probe, MEMORY_ALIGN, LOG_SECTOR_BYTES) != 0)
        probe = NULL;
    bool works = probe != NULL && pread(fd, probe, LOG_SECTOR_BYTES, 0) >= 0;
    free(probe);
    if (!works)
        (void)fcntl(fd, F_SETFL, flags);
    return works;
}

static int open_file(void *self, const char *name, enum disk_open how, struct disk_file **file)
{
    struct posix *posix = self;
    static const int flags[] = {[DISK_READ] = O_RDONLY,
                                [DISK_WRITE] = O_RDWR,
                                [DISK_CREATE] = O_RDWR | O_CREAT | O_EXCL,
                                [DISK_DIRECT] = O_RDWR};
    struct disk_file *opened = malloc(sizeof *opened);
    if (opened == NULL)
        return -ENOMEM;
    opened->fd = openat(posix->directory, name, flags[how] | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (opened->fd < 0) {
        int error = errno;
        free(opened);
        return -error;
    }
    if (how == DISK_DIRECT)
        (void)go_direct(opened->fd);
    *file = opened;
    return 0;
}

static void close_file(void *self, struct disk_file *file)
{
    (void)self;
    (void)close(file->fd);
    free(file);
}

static int64_t size_of(void *self, struct disk_file *file)
{
    (void)self;
    struct stat stat;
    return fstat(file->fd, &stat) == 0 ? (int64_t)stat.st_size : -errno;
}

static int64_t read_at(void *self, struct disk_file *file, uint64_t offset, void *to, size_t len)
{
    (void)self;
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(file->fd, (char *)to + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

static int write_at(void *self, struct disk_file *file, uint64_t offset, const void *from, size_t len)
{
    (void)self;
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(file->fd, (const char *)from + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO; /* a regular file never does this; don't spin if it does */
        done += (size_t)n;
    }
    if (len >= STEADY_BYTES) /* a hint: what fails, or does nothing past the page cache, is no error */
        (void)sync_file_range(file->fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE);
    return 0;
}

/* Extents that were written, not only reserved: a later fdatasync then has no metadata to write. Past the page cache,
 * so that the log's syncs don't queue behind a flood of dirty pages. */
static int allocate(void *self, struct disk_file *file, uint64_t len)
{
    int error = posix_fallocate(file->fd, 0, (off_t)len);
    if (error != 0)
        return -error;
    void *zeros = NULL;
    if (posix_memalign(&zeros, MEMORY_ALIGN, ZERO_BYTES) != 0)
        return -ENOMEM;
    memset(zeros, 0, ZERO_BYTES);
    int flags = fcntl(file->fd, F_GETFL);
    (void)go_direct(file->fd);
    int rc = 0;
    for (uint64_t done = 0; done < len && rc == 0;) {
        size_t piece = len - done < ZERO_BYTES ? (size_t)(len - done) : ZERO_BYTES;
        rc = write_at(self, file, done, zeros, piece);
        done += piece;
    }
    (void)fcntl(file->fd, F_SETFL, flags);
    free(zeros);
    return rc;
}

static int sync_file(void *self, struct disk_file *file)
{
    (void)self;
    return fdatasync(file->fd) == 0 ? 0 : -errno; /* never repeated, also not on EINTR: what it lost stays lost */
}

static int rename_file(void *self, const char *from, const char *to)
{
    struct posix *posix = self;
    return renameat(posix->directory, from, posix->directory, to) == 0 ? 0 : -errno;
}

static int unlink_file(void *self, const char *name)
{
    struct posix *posix = self;
    return unlinkat(posix->directory, name, 0) == 0 ? 0 : -errno;
}

static int sync_directory(void *self)
{
    struct posix *posix = self;
    return fsync(posix->directory) == 0 ? 0 : -errno;
}

static int list(void *self, int (*each)(void *arg, const char *name), void *arg)
{
    struct posix *posix = self;
    int fd = openat(posix->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int error = errno;
        (void)close(fd);
        return -error;
    }
    int rc = 0;
    struct dirent *entry;
    errno = 0;
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = each(arg, entry->d_name);
        errno = 0;
    }
    if (rc == 0 && errno != 0)
        rc = -errno;
    (void)closedir(dir);
    return rc;
}

/* A new directory is only there after a power loss if its parent was synced. */
static int make_directory(const char *directory)
{
    if (mkdir(directory, 0700) != 0)
        return errno == EEXIST ? 0 : -errno;
    char *copy = strdup(directory);
    if (copy == NULL)
        return -ENOMEM;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (fd < 0)
        return -errno;
    int rc = fsync(fd) == 0 ? 0 : -errno;
    (void)close(fd);
    return rc;
}

static int open_and_lock(const char *directory, struct posix *posix)
{
    posix->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (posix->directory < 0)
        return -errno;
    posix->lock = openat(posix->directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (posix->lock < 0)
        return -errno;
    if (flock(posix->lock, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    return 0;
}

static void posix_free(struct posix *posix)
{
    if (posix->lock >= 0)
        (void)close(posix->lock);
    if (posix->directory >= 0)
        (void)close(posix->directory);
    free(posix);
}

int disk_posix_open(const char *directory, struct disk *disk)
{
    int rc = make_directory(directory);
    if (rc != 0)
        return rc;
    struct posix *posix = malloc(sizeof *posix);
    if (posix == NULL)
        return -ENOMEM;
    *posix = (struct posix){.directory = -1, .lock = -1};
    rc = open_and_lock(directory, posix);
    if (rc != 0) {
        posix_free(posix);
        return rc;
    }
    *disk = (struct disk){.self = posix,
                          .open = open_file,
                          .close = close_file,
                          .size = size_of,
                          .read = read_at,
                          .write = write_at,
                          .allocate = allocate,
                          .sync = sync_file,
                          .rename = rename_file,
                          .unlink = unlink_file,
                          .sync_directory = sync_directory,
                          .list = list};
    return 0;
}

void disk_posix_close(struct disk *disk)
{
    posix_free(disk->self);
    *disk = (struct disk){0};
}
