/* internal.h - the store's own structures, shared by its files.
 *
 *   store.c     open, close, errors, the notes it keeps        meta.c      the file `meta`: identity, epochs
 *   segment.c   files of the log, made ahead                   cursor.c    batches and records out of a segment
 *   append.c    append, sync, withdraw: the invariants         truncate.c  voiding parts of the log
 *   recover.c   from the disk's content to a log               reader.c    log_reader
 *   snapshot.c  list, writer                                   snapshot_read.c  reader, verification
 *   purge.c     what is no longer needed */
#ifndef PACT_STORE_INTERNAL_H
#define PACT_STORE_INTERNAL_H

#include "replica/store/format.h"
#include "replica/store/store.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    PARTS_MAX = 2,                 /* segments that one sync may write to */
    BATCH_BYTES = 8 * 1024 * 1024, /* what one sync may write: LIMIT_BATCH_BYTES of small entries, with their heads */
    INDEX_SECTORS = 512,           /* a batch is found by reading at most about this much (256 KiB) before it */
    SCAN_SECTORS = 2048,           /* recovery reads in pieces of 1 MiB, or of one batch if that is larger */
    READ_SECTORS = 256,            /* a log reader in pieces of 128 KiB: there may be many of them */
    TEXT_BYTES = 256,
    SEGMENT_SECTORS_MIN = 8,
    SEGMENT_SECTORS_MAX = 1 << 22, /* 2 GiB */
};

#define META_NAME    "meta"
#define META_TMP     "meta.tmp"
#define SEGMENT_TMP  "log.tmp"
#define SNAPSHOT_TMP "snapshot.tmp"

/* A place in a segment where a batch begins. */
struct index_point {
    uint64_t sector, batch;
    uint64_t after;          /* last zxid before it */
    uint64_t entries, bytes; /* store->entries, store->bytes before it */
};

struct segment {
    uint64_t number;  /* from 1, without gaps */
    uint64_t sectors; /* of the file, its page included */
    uint64_t end;     /* sectors in use and durable, the page included: 1 if there is no batch yet */
    uint64_t after;   /* last zxid before the segment, once it has a batch */
    uint64_t first;   /* oldest entry in it that is not void; 0: none */
    struct index_point *points;
    size_t point_count;
    struct disk_file *file; /* open for writing: the tail, and the one after it; else NULL */
};

/* One batch in the making. */
struct part {
    size_t segment; /* index of it */
    uint64_t from;  /* first sector there */
    size_t at;      /* where its first sector is in store->buffer, bytes */
    size_t used;    /* bytes of its stream */
    uint64_t after; /* zxid before its first entry, of its first and last entry */
    uint64_t first, last;
    uint64_t entries;
};

/* A record that makes earlier ones void. */
struct mark {
    uint64_t batch; /* it is in; earlier batches are concerned */
    uint64_t zxid;  /* entries above it are void … */
    bool restart;   /* … or all */
};

struct snapshot {
    uint64_t zxid;
    bool bad; /* found damaged: no restore point */
};

/* Makes the next segment while the present one fills, in a thread of its own if asked for. */
struct preparer {
    pthread_t thread;
    bool running, stop, wanted;
    pthread_mutex_t lock; /* held while a segment is being made: who needs it waits */
    pthread_cond_t change;
    uint64_t number; /* of the segment to make */
    struct segment spare;
    bool have;
};

struct store {
    struct disk disk;
    uint64_t segment_sectors;
    uint32_t snapshots_kept;
    uint8_t identity[STORE_IDENTITY_BYTES];
    struct epochs epochs;
    struct seat seat;

    bool dead;               /* a write or a sync failed: nothing is written any more */
    atomic_bool writer_dead; /* the same, of a snapshot writer */
    char text[TEXT_BYTES], notice[TEXT_BYTES], writer_text[TEXT_BYTES];

    struct segment *segments;
    size_t segment_count, segment_room;
    size_t tail; /* index of the segment that the last batch is in */
    struct preparer preparer;

    uint64_t base;           /* the log has every entry above this zxid */
    uint64_t last;           /* newest durable entry, or base */
    uint64_t appended;       /* newest entry, durable or not, or base */
    uint64_t next_batch;     /* number of the next one */
    uint64_t entries, bytes; /* durable in all, since an arbitrary origin: entries, and bytes of sectors */
    struct mark *marks;
    size_t mark_count, mark_room;

    uint8_t *buffer; /* the sectors of the parts, aligned */
    size_t buffer_bytes;
    struct part parts[PARTS_MAX];
    size_t part_count;
    bool scrub; /* the parts were withdrawn, but the disk may still show some of their sectors */

    struct snapshot *snapshots; /* by zxid, ascending */
    size_t snapshot_count, snapshot_room;
    uint64_t since_entries, since_bytes; /* store->entries and ->bytes at the newest snapshot's zxid */
    atomic_bool writing;                 /* a snapshot writer is at work */
};

/* --- store.c: errors --- */

/* Sets the text and returns the code. */
int store_fail(struct store *store, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int text_fail(char *text, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The disk answered rc (-errno) when `format` was done to `name`: the text, and ERR_NO_SPACE or ERR_IO. */
int disk_error(char *text, int64_t rc, const char *name, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Makes an ERR_IO of the writing side final: from then on store_alive refuses. Returns the code. */
int store_final(struct store *store, int code);
int store_alive(struct store *store); /* ERR_OK, or ERR_IO after a final error */
/* What recovery did that the operator should know; the first note stays. */
void store_note(struct store *store, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A larger array, if need be, for one more element; elements of `size` bytes. */
void *array_grow(void *array, size_t count, size_t *room, size_t size);
uint8_t *sectors_alloc(size_t sectors); /* aligned memory; asserted */

/* --- meta.c --- */

int meta_load(struct store *store, bool *found, bool *begun); /* found, but not begun: creation was interrupted */
int meta_save(struct store *store, bool begun, struct epochs epochs);
/* Reads the page at offset. ERR_OK, ERR_IO, or ERR_CORRUPT if it is shorter. */
int page_read(const struct store *store, struct disk_file *file, const char *name, uint64_t offset, uint8_t *page,
              char *text);
void identity_make(uint8_t *identity);

/* --- segment.c --- */

int segment_load(struct store *store, uint64_t number); /* adds an existing one to the list; its page is checked */
int segment_add_next(struct store *store); /* one more after the last of the list: the spare, or a new one */
int segment_open(struct store *store, struct segment *segment); /* for writing, if it isn't */
void segment_close(struct store *store, struct segment *segment);
void segment_free(struct segment *segment);
struct segment *segment_find(struct store *store, uint64_t number); /* NULL: not there */
void segment_index(struct segment *segment, const struct index_point *point);
int preparer_start(struct store *store, bool helper);
void preparer_wake(struct store *store); /* after the tail moved */
void preparer_stop(struct store *store);

/* --- cursor.c --- */

struct cursor {
    struct store *store;
    struct disk_file *file;
    uint64_t number, seed; /* of the segment */
    uint64_t limit;        /* sectors it may read */
    uint64_t sector;       /* where the next batch begins */
    uint64_t batch;        /* number of the next batch; 0: any */
    uint8_t *chunk;        /* sectors chunk_from … of the file */
    uint64_t chunk_from, chunk_count;
    size_t chunk_sectors, chunk_room; /* read at once, at least; what there is memory for */
    uint8_t *stream;                  /* of the current batch, in the chunk */
    size_t stream_len, stream_at;
    uint64_t batch_sector; /* where the current batch begins */
    struct stamp stamp;    /* of the current batch's first sector */
};

enum batch_state { BATCH_WHOLE, BATCH_NONE /* its first sector was never written, or the limit */, BATCH_TORN };

void cursor_init(struct cursor *cursor, struct store *store, size_t chunk_sectors);
/* Goes to a place where a batch begins. */
int cursor_seek(struct cursor *cursor, uint64_t number, uint64_t limit, uint64_t sector, uint64_t batch);
/* Loads and verifies the next batch. */
int cursor_batch(struct cursor *cursor, enum batch_state *state);
/* The next record of the batch, borrowed; kind RECORD_PADDING at its end. */
int cursor_record(struct cursor *cursor, struct record *record);
/* Makes `count` sectors from `sector` on available; *at borrows. */
int cursor_sectors(struct cursor *cursor, uint64_t sector, uint64_t count, uint8_t **at);
int cursor_corrupt(struct cursor *cursor, uint64_t sector, const char *why);
void cursor_close(struct cursor *cursor);

/* --- append.c --- */

void log_discard(struct store *store); /* forgets what was appended and not synced */

/* Writes a record of another kind, alone in its batch, durably. restart: at the start of a new segment. */
int log_write_mark(struct store *store, const struct record *record);
/* Writes and syncs sectors that begin at `from`; a failure is final unless the disk is full. */
int sectors_write(struct store *store, struct segment *segment, uint64_t from, const uint8_t *sectors, uint64_t count);
int sectors_write_zeros(struct store *store, struct segment *segment, uint64_t from, uint64_t count);

/* --- truncate.c --- */

/* Notes that the record in that batch voids what is before it. */
void log_truncated(struct store *store, uint64_t batch, uint64_t zxid);
void log_restarted(struct store *store, uint64_t batch, uint64_t zxid);
int log_restart(struct store *store, uint64_t zxid);
bool entry_void(const struct store *store, uint64_t batch, uint64_t zxid);
/* The last point of the log from which on all entries above `after` are found; NULL: it has no batch. */
const struct index_point *log_point(struct store *store, uint64_t after, struct segment **segment);

/* --- recover.c --- */

int log_recover(struct store *store);

/* --- snapshot.c, snapshot_read.c, purge.c --- */

int snapshot_load(struct store *store, uint64_t zxid); /* adds an existing one to the list */
void snapshot_add(struct store *store, uint64_t zxid);
void snapshot_bad(struct store *store, uint64_t zxid);                        /* found damaged */
struct snapshot *snapshot_newest(const struct store *store, uint64_t before); /* not bad, not below base; NULL: none */
void snapshot_count_from(struct store *store);                                /* sets since_entries, since_bytes */
/* Reads all of a snapshot file and checks it. text: TEXT_BYTES. */
int snapshot_verify(const struct store *store, const char *name, uint64_t zxid, char *text);
int store_purge(struct store *store);

#endif
