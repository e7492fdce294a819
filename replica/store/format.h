/* format.h - what the store's files look like on disk. All numbers are little-endian.
 *
 * Everything is made of sectors of LOG_SECTOR_BYTES, the unit a disk writes wholly or not at all:
 *
 *   page     a sector that describes a file: checksum 8, magic 8, version 4, zeros 4, identity 16, six fields of 8,
 *            zeros. `meta` is one page; a log segment and a snapshot begin with one, a snapshot also ends with one.
 *   stamped  a sector of the log: checksum 8, batch 8, index 4, count 4, then 488 bytes of the batch's stream. The
 *            checksum covers all of it and, as seed, the log's identity, the segment and the sector's place in it.
 *   stream   the records of one batch (what one sync writes), one after the other, then zeros up to the sector's end
 *   record   length 4, kind 4, zxid 8, checksum 8, then length bytes: an encoded entry, or nothing
 *   block    of a snapshot: checksum 8, length 4, index 4, content, zeros up to a whole sector */
#ifndef PACT_STORE_FORMAT_H
#define PACT_STORE_FORMAT_H

#include "proto/limits.h"
#include "replica/state/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FORMAT_VERSION = 1,
    STORE_IDENTITY_BYTES = 16,
    PAGE_FIELDS = 6,
    STAMP_BYTES = 24,
    STREAM_BYTES = LOG_SECTOR_BYTES - STAMP_BYTES, /* of the stream in one sector */
    RECORD_HEAD_BYTES = 24,
    BLOCK_HEAD_BYTES = 16,
    BLOCK_BYTES = 256 * 1024, /* a whole block of a snapshot; all but the last are whole */
    BLOCK_ROOM_BYTES = BLOCK_BYTES - BLOCK_HEAD_BYTES,
};

/* Fields of a snapshot's pages; the bytes of content are in the last one only. */
enum { SNAPSHOT_ZXID, SNAPSHOT_BYTES };

#define META_MAGIC         "PACTMETA"
#define SEGMENT_MAGIC      "PACTLOGS"
#define SNAPSHOT_MAGIC     "PACTSNAP"
#define SNAPSHOT_END_MAGIC "PACTSEND"

/* --- pages --- */

struct page {
    uint8_t identity[STORE_IDENTITY_BYTES];
    uint64_t field[PAGE_FIELDS];
};

enum page_state { PAGE_WHOLE, PAGE_BAD, PAGE_NEWER /* whole, but of a format this code doesn't know */ };

/* `at`: LOG_SECTOR_BYTES. */
void page_seal(uint8_t *at, const char *magic, const struct page *page);
enum page_state page_check(const uint8_t *at, const char *magic, struct page *page);

/* --- stamped sectors --- */

struct stamp {
    uint64_t batch;        /* number of the sync that wrote it, from 1 */
    uint32_t index, count; /* its place in the batch; sectors of the batch */
};

enum sector_state { SECTOR_UNWRITTEN /* all zeros */, SECTOR_WHOLE, SECTOR_BAD };

/* The seed of a segment's sectors. */
uint64_t segment_seed(const uint8_t *identity, uint64_t number);
/* `at` holds the stream's part already. */
void sector_seal(uint8_t *at, uint64_t seed, uint64_t sector, const struct stamp *stamp);
enum sector_state sector_check(const uint8_t *at, uint64_t seed, uint64_t sector, struct stamp *stamp);
bool all_zero(const uint8_t *at, size_t len);

/* --- records --- */

enum record_kind {
    RECORD_PADDING = 0,  /* not a record: the rest of the stream is zeros */
    RECORD_ENTRY = 1,    /* an encoded entry */
    RECORD_START = 2,    /* the first record of a segment: zxid is the last before it */
    RECORD_TRUNCATE = 3, /* every entry above zxid before this record is void */
    RECORD_RESTART = 4,  /* in place of START: every record before it is void, the log goes on after zxid */
};

struct record {
    uint32_t kind; /* enum record_kind */
    uint64_t zxid;
    struct bytes content; /* of an entry */
};

void record_head(uint8_t *head, const uint8_t *identity, const struct record *record);
/* Takes the record at the start of a stream; content borrows from it. The bytes used, 0 at the end of the stream, or
 * -1: malformed, or the checksum fails. */
int64_t record_parse(const uint8_t *stream, size_t len, const uint8_t *identity, struct record *record);

/* --- blocks of a snapshot --- */

/* `block` has the content in place (from BLOCK_HEAD_BYTES on). Returns the bytes to write, a multiple of a sector. */
size_t block_seal(uint8_t *block, const uint8_t *identity, uint64_t zxid, uint32_t index, uint32_t len);
/* False: damaged. bytes: what was read of the block. */
bool block_check(const uint8_t *block, size_t bytes, const uint8_t *identity, uint64_t zxid, uint32_t index,
                 uint32_t len);

/* --- names --- */

enum { NAME_BYTES = 40 };
void segment_name(uint64_t number, char name[NAME_BYTES]);
void snapshot_name(uint64_t zxid, char name[NAME_BYTES]);
bool segment_name_parse(const char *name, uint64_t *number);
bool snapshot_name_parse(const char *name, uint64_t *zxid);

#endif
