/* file_internal.h - what the parts of the open files share. Only file*.c include it. */
#ifndef PACT_FILE_INTERNAL_H
#define PACT_FILE_INTERNAL_H

#include <pthread.h>

#include "fs/mount/file.h"

struct files {
    pthread_mutex_t lock;
    pthread_cond_t released; /* a file is no longer closing, or has left the queue */
    struct file *table;
    struct file *queue; /* closing files whose commit is not submitted yet, in the order of their last FLUSH */
    struct turn *turns; /* their RELEASEs, as they come */
    bool taking;        /* a thread takes them */
};

/* All under the lock. NULL: it is not open. */
struct file *file_find(struct files *files, fuse_ino_t ino);
void file_set_closing(struct files *files, struct file *file, bool closing);
void file_set_queued(struct files *files, struct file *file, bool queued);

#endif
