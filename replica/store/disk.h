/* disk.h - the small interface between the store and a disk, so that tests can put a simulated one (power loss, full,
 * failing, bit flips) in its place. All names are relative to one directory. Functions return 0 (or a count) or
 * -errno.
 *
 * What the store relies on, and the simulated disk takes away everything else: a sector of 512 bytes is written
 * wholly or not at all; what sync has returned for stays; a name is durable after sync_directory; a rename shows
 * either the old file or the new one under its target. Calls for different files may come from different threads. */
#ifndef PACT_DISK_H
#define PACT_DISK_H

#include <stddef.h>
#include <stdint.h>

struct disk_file; /* opaque to the store */

enum disk_open {
    DISK_READ,
    DISK_WRITE,  /* existing, read and write */
    DISK_CREATE, /* new: -EEXIST if it is there */
    DISK_DIRECT, /* existing, read and write past the page cache where that can be had: offset, length and memory are
                    multiples of LOG_SECTOR_BYTES */
};

struct disk {
    void *self;
    int (*open)(void *self, const char *name, enum disk_open how, struct disk_file **file);
    void (*close)(void *self, struct disk_file *file);
    int64_t (*size)(void *self, struct disk_file *file); /* bytes */
    /* The whole range or an error; reading past the end gives a short count. */
    int64_t (*read)(void *self, struct disk_file *file, uint64_t offset, void *to, size_t len);
    int (*write)(void *self, struct disk_file *file, uint64_t offset, const void *from, size_t len);
    /* Makes a new, empty file len bytes (a multiple of LOG_SECTOR_BYTES) of written zeros; durable after sync. */
    int (*allocate)(void *self, struct disk_file *file, uint64_t len);
    int (*sync)(void *self, struct disk_file *file); /* fdatasync */
    int (*rename)(void *self, const char *from, const char *to);
    int (*unlink)(void *self, const char *name);
    int (*sync_directory)(void *self);
    /* Calls each(arg, name) for every file; stops at a non-zero return and gives it back. */
    int (*list)(void *self, int (*each)(void *arg, const char *name), void *arg);
};

/* The real one, on a directory made if missing (mode 0700) and locked: -EBUSY if another process has it. */
int disk_posix_open(const char *directory, struct disk *disk);
void disk_posix_close(struct disk *disk);

#endif
