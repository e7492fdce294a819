/* simdisk.h - a disk in memory that can lose its power, be full, fail, and have bits flipped. For the store's tests,
 * and for simulations of a whole cluster: deterministic, all chance comes from seeds, an image is cheap to copy.
 *
 * It promises only what disk.h says the store relies on. Between a write and its sync each sector of 512 bytes has
 * its own fate: the old content, the new one, or any of those in between. A name that was created, renamed or removed
 * has its own fate until the directory is synced, a file's size until the file is. After a sync that failed what was
 * not yet written is lost, but still shows until the power goes (as in Linux's page cache). */
#ifndef PACT_TEST_SIMDISK_H
#define PACT_TEST_SIMDISK_H

#include "replica/store/disk.h"

#include <stdbool.h>

struct simdisk;

struct simdisk *simdisk_new(void);
/* Everything, with what is not yet synced. No file may be open. */
struct simdisk *simdisk_copy(const struct simdisk *sim);
void simdisk_free(struct simdisk *sim);
void simdisk_interface(struct simdisk *sim, struct disk *disk);

/* --- faults: calls are numbered from 1 since the last simdisk_reset --- */

uint64_t simdisk_calls(const struct simdisk *sim);
/* Counts calls from 1 again; no fault is planned any more. */
void simdisk_reset(struct simdisk *sim);
/* Calls first … first + count - 1 fail with that errno. A write has then done a part. ENOSPC spares calls that only
 * read. */
void simdisk_fail(struct simdisk *sim, uint64_t first, uint64_t count, int error);
/* A planned fault has happened since the reset; at a call that changes the disk. */
bool simdisk_failed(const struct simdisk *sim);
bool simdisk_failed_change(const struct simdisk *sim);
/* The power goes at that call: what the call does is begun and not synced; it and all later calls fail. */
void simdisk_power_off(struct simdisk *sim, uint64_t call);
bool simdisk_is_off(const struct simdisk *sim);

/* --- what happens between two runs; no file may be open --- */

/* The power went, now or before, and is back. Unsynced things are kept (seed % 5 == 0), dropped (1), mixed (2), kept
 * up to some point in time (3) or mostly kept (4). Resets. */
void simdisk_power_loss(struct simdisk *sim, uint64_t seed);

/* --- at the content --- */

uint64_t simdisk_size(const struct simdisk *sim, const char *name); /* bytes; 0 if it is not there */
/* The index-th file's name; NULL past the last. */
const char *simdisk_name(const struct simdisk *sim, size_t index);
/* Durably; within the file's size (asserted). */
void simdisk_flip(struct simdisk *sim, const char *name, uint64_t bit);
void simdisk_patch(struct simdisk *sim, const char *name, uint64_t offset, const void *at, size_t len);
void simdisk_get(const struct simdisk *sim, const char *name, uint64_t offset, void *to, size_t len);
/* A file with this content, durably; replaces. NULL: none. */
void simdisk_put(struct simdisk *sim, const char *name, const void *at, size_t len);

#endif
