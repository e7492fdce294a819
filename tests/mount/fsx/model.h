/* model.h - what a file on pactfs holds and what each of its handles reads, in memory: staged writes (design §3) as
 * rules of a page. Of one process and of up to two mounts, each of which shows every commit when the next call begins.
 *
 * 1. What is written or cut through a handle is staged: it sees its own view, all other processes what is committed.
 * 2. A commit (fsync, close, a write with O_APPEND) is one transaction, and `version` counts them. It puts only what
 *    the handle staged on what is committed by then: bytes it did not write are the others'.
 * 3. A handle that has staged nothing reads on in the version that it is in. A read at offset 0, at any other offset
 *    than where the last one ended, or after one that found the end, moves on: to what the process began to stage
 *    last through this mount, or to what is committed. Of a file up to SMALL the kernel may keep the pages, and each
 *    read may show what is committed.
 * 4. stat shows a process that has staged something through this mount the size by what it began to stage last; all
 *    others the committed size.
 * 5. A mapping shows what is committed, at once; through a handle that has staged, its view, as far as both go.
 * 6. What was only cut to nothing, as by O_TRUNC, was cut before what is committed since: to the process it does not
 *    show over that, and the next commit through this mount carries it. */
#ifndef PACT_TESTS_FSX_MODEL_H
#define PACT_TESTS_FSX_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FILE_BYTES = 256 * 1024, SMALL = 4096, HANDLES = 6, MOUNTS = 2, STAGED_WRITES = 500 };

struct content {
    size_t size;
    uint8_t bytes[FILE_BYTES];
};

struct handle {
    int fd; /* -1: closed */
    int mount, flags;
    size_t position;

    bool staged, written; /* written: more than O_TRUNC */
    struct content view;
    bool mine[FILE_BYTES]; /* of the view */
    bool cut;
    size_t low;      /* the smallest size it was cut to, if cut */
    unsigned writes; /* staged */
    uint64_t since;  /* when it began to stage */
    uint64_t over;   /* if it only cut the file to nothing: the version that was committed then */

    struct content version;
    size_t next;
    bool at_end, small;
};

struct model {
    struct content committed;
    uint64_t version, clock;
    struct handle handles[HANDLES];
};

void model_open(struct model *model, struct handle *handle);
void model_write(struct model *model, struct handle *handle, size_t offset, const uint8_t *at, size_t len);
void model_cut(struct model *model, struct handle *handle, size_t size);
/* Zeros, within the size. */
void model_punch(struct model *model, struct handle *handle, size_t offset, size_t len);
/* What is staged becomes committed, with `len` more bytes at the end (a write with O_APPEND; else 0). */
void model_commit(struct model *model, struct handle *handle, const uint8_t *append, size_t len);
/* truncate(2) through a mount: it stages nothing, but cuts what is staged there. */
void model_truncate(struct model *model, int mount, size_t size);

/* The next read's content; and that the read gave so much. */
const struct content *model_reads(struct model *model, struct handle *handle, size_t offset);
void model_has_read(struct handle *handle, size_t offset, size_t len);
/* What `len` bytes there may be instead: the committed content, for a small file. */
bool model_may_be_new(const struct model *model, const struct handle *handle);

/* The size that stat shows on a mount. */
size_t model_size(const struct model *model, int mount);
/* Whether any other handle than this one has staged, through its mount. */
bool model_others_staged(const struct model *model, const struct handle *handle);

#endif
