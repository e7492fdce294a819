/* store.h - durable things of a replica: the log of entries, snapshots, epochs (design §6 "Disk").
 *
 * One thread, but for snapshot_writer functions, which may run in another one (one writer at a time).
 * Errors: ERR_OK or a code of errors.h; store_error then has one line that names file, offset and cause
 * (store_writer_error for snapshot_writer functions). A failed write or sync is final (ERR_IO): the process must end
 * and start again from disk. ERR_NO_SPACE is not: by store_append, store_sync and store_truncate it withdraws what
 * was not yet synced, and all may be tried again when there is room. (Should the process end before anything else
 * could be written, a new start may find it there: submitted, never acknowledged.) ERR_CORRUPT changes nothing on the
 * disk. */
#ifndef PACT_STORE_H
#define PACT_STORE_H

#include "proto/errors.h"
#include "proto/limits.h"
#include "replica/state/request.h"
#include "replica/store/disk.h"

struct store;

struct store_options {
    uint64_t segment_bytes;  /* of a new data directory; 0: LOG_SEGMENT_BYTES. A segment bounds the size of an entry */
    uint32_t snapshots_kept; /* 0: LOG_SNAPSHOTS_KEPT */
    bool helper;             /* make the next segment ahead, in a thread of the store's own (it only uses the disk):
                                64 MiB of zeros take 50 ms, and then no append has to wait for them */
    const uint8_t *identity; /* of a new data directory (STORE_IDENTITY_BYTES), for tests; NULL: random */
};

/* Opens or creates; recovers: cuts a torn tail, refuses corruption (ERR_CORRUPT), an unknown format (ERR_BAD_FORMAT).
 * `disk` is borrowed until store_close. On error *store is NULL and text (of text_len bytes) says why. */
int store_open(const struct disk *disk, const struct store_options *options, struct store **store, char *text,
               size_t text_len);
void store_close(struct store *store);
/* Whether a directory holds a store already; nothing is made, or locked, there. */
bool store_is_in(const char *directory);
const char *store_error(const struct store *store);
const char *store_writer_error(const struct store *store); /* of the last snapshot_writer function that failed */
/* What store_open had to put right (a torn tail it cut, a damaged snapshot it passed over); "": nothing. */
const char *store_notice(const struct store *store);
/* Random, made with the data directory (16 bytes): another one means that the old directory was lost. */
const uint8_t *store_identity(const struct store *store);

/* --- the log --- */

uint64_t store_first_zxid(const struct store *store); /* oldest entry still there; 0: none */
/* The newest appended, durable or not. Without any above it: where the log begins (store_base_zxid). */
uint64_t store_last_zxid(const struct store *store);
uint64_t store_durable_zxid(const struct store *store); /* the same, of what is durable */
uint64_t store_base_zxid(const struct store *store);    /* the log has every entry above this one; 0: from the start */
uint64_t store_log_bytes(const struct store *store);
/* Log written after the newest snapshot's zxid, give or take 256 KiB. */
uint64_t store_since_snapshot_bytes(const struct store *store);
uint64_t store_since_snapshot_entries(const struct store *store);

/* Adds an encoded entry (≤ LIMIT_ENTRY_BYTES); zxid above the last (else ERR_INVALID). Not durable until store_sync.
 * At least LIMIT_BATCH_BYTES of entries fit between two syncs, of 64 bytes and more each; ERR_TOO_MANY: sync first.
 * After ERR_NO_SPACE nothing appended since the last sync is there. */
int store_append(struct store *store, uint64_t zxid, struct bytes entry);
/* Everything appended is durable on ERR_OK. After ERR_NO_SPACE nothing appended since the last sync is there. */
int store_sync(struct store *store);
/* Removes every entry above zxid, durably (Zab's TRUNC). Syncs first what was appended. ERR_INVALID: it would reach
 * behind the newest snapshot. */
int store_truncate(struct store *store, uint64_t zxid);
/* Makes the next segment of the log ready, if it is not: for callers without the helper thread. Takes 50 ms. */
int store_prepare(struct store *store);

/* Reads entries above `after` in order, also while appending goes on: it sees what is durable. ERR_NO_NODE if that
 * part was purged, or if entries that were given have been truncated since: open another one. */
struct log_reader;
int log_reader_open(struct store *store, uint64_t after, struct log_reader **reader);
/* The next entry, borrowed until the next call; *zxid = 0 at the end for now (call again later). ERR_CORRUPT, ERR_IO:
 * only log_reader_close. */
int log_reader_next(struct log_reader *reader, uint64_t *zxid, struct bytes *entry);
void log_reader_close(struct log_reader *reader);

/* --- epochs (Zab's acceptedEpoch and currentEpoch) and the vote's identity --- */

struct epochs {
    uint32_t accepted, current;
    bool voter; /* may this replica vote? False in a new data directory: what was promised with a lost one is not known.
                   In one from before this was kept: true if there is a current epoch (an ensemble of one) */
};
struct epochs store_epochs(const struct store *store);
int store_set_epochs(struct store *store, struct epochs epochs); /* all of them at once, durable on ERR_OK */

/* --- whose it is --- */

/* The member of an ensemble that writes here, and all its members, in order; ids are 1 to 255, 0 behind the last. */
struct seat {
    uint8_t id, members[LIMIT_REPLICAS];
};
/* All zero in a new data directory, and in one from before this was kept. */
struct seat store_seat(const struct store *store);
int store_set_seat(struct store *store, struct seat seat); /* durable on ERR_OK */

/* --- snapshots --- */

uint64_t store_snapshot_zxid(const struct store *store); /* of the newest valid one; 0: none */

struct snapshot_writer;
int snapshot_writer_begin(struct store *store, uint64_t zxid, struct snapshot_writer **writer);
int snapshot_writer_add(struct snapshot_writer *writer, const void *at, size_t len);
/* Durable under its name on ERR_OK. Both end the writer. */
int snapshot_writer_commit(struct snapshot_writer *writer);
void snapshot_writer_abort(struct snapshot_writer *writer);
/* In the store's thread, after a commit: takes note of it, purges older snapshots and the log before the oldest one
 * kept. At least one valid restore point always remains. A snapshot from elsewhere, ahead of the log (Zab's SNAP):
 * the log is emptied and goes on after its zxid. Whoever takes one whose history may part from the log's truncates to
 * its zxid first, before snapshot_writer_commit: then it is ahead, or the log holds exactly what leads to it; entries
 * above it would count as having followed. May be repeated after ERR_NO_SPACE. */
int store_snapshot_done(struct store *store, uint64_t zxid);

struct snapshot_reader;
/* The newest snapshot that is whole, as far as is known (checksums are verified while reading; after ERR_CORRUPT open
 * again: the damaged one is passed over then) and that the log reaches back to. before = 0: the newest. ERR_NO_NODE:
 * none, and the log has everything from the start. ERR_CORRUPT: there is no restore point left. */
int snapshot_reader_open(struct store *store, uint64_t before, struct snapshot_reader **reader);
uint64_t snapshot_reader_zxid(const struct snapshot_reader *reader);
uint64_t snapshot_reader_bytes(const struct snapshot_reader *reader);                        /* all, for progress */
int snapshot_reader_next(struct snapshot_reader *reader, void *to, size_t cap, size_t *len); /* *len = 0: the end */
void snapshot_reader_close(struct snapshot_reader *reader);

#endif
