/* Log replay and snapshot reading from hostile bytes, through a disk in memory.
 *
 * Bytes at random never get past a checksum. So the input is a program for a hostile writer who knows the log's
 * identity: it lays out records, batches, segments and snapshots as it likes, and all is sealed with right checksums.
 * Whatever comes of it: no crash, no read out of bounds, and a store that opens is a sound one: zxids ascend, what is
 * appended and truncated is so after the next opening too. */
#include "replica/store/format.h"
#include "tests/support/simdisk.h"

#include "replica/store/store.h"

#include <stdlib.h>
#include <string.h>

enum { SECTOR = LOG_SECTOR_BYTES, SECTORS = 24, SEGMENTS_MAX = 3, SNAPSHOT_BYTES_MAX = 4096 };

static const uint8_t identity[STORE_IDENTITY_BYTES] = "a hostile disk!";

struct input {
    const uint8_t *at;
    size_t left;
};

struct writer {
    struct simdisk *sim;
    uint8_t file[SECTORS * SECTOR];
    uint64_t number; /* of the segment */
    uint64_t sector; /* next one */
    uint64_t batch, zxid;
    uint8_t stream[SECTORS * STREAM_BYTES];
    size_t used;
};

static uint64_t take(struct input *input, size_t bytes)
{
    uint64_t value = 0;
    for (; bytes > 0 && input->left > 0; bytes--, input->left--)
        value = value << 8 | *input->at++;
    return value;
}

static void put(struct writer *writer, const void *at, size_t len)
{
    size_t room = sizeof writer->stream - writer->used;
    if (len > room)
        len = room;
    memcpy(writer->stream + writer->used, at, len);
    writer->used += len;
}

/* Zxids mostly ascend; high bits of `step` make other ones. */
static uint64_t next_zxid(struct writer *writer, uint8_t step)
{
    if (step < 200)
        return writer->zxid += step % 8;
    return step < 230 ? writer->zxid - step % 16 : (uint64_t)step << 56;
}

static void add_record(struct writer *writer, uint32_t kind, uint8_t step, size_t len)
{
    uint8_t head[RECORD_HEAD_BYTES];
    static const uint8_t content[1024];
    struct record record = {.kind = kind, .zxid = next_zxid(writer, step), .content = {content, len % 1024}};
    record_head(head, identity, &record);
    put(writer, head, sizeof head);
    put(writer, content, len % 1024);
}

/* Seals what was put as a batch; the stamp may lie. */
static void end_batch(struct writer *writer, struct stamp lie)
{
    uint64_t seed = segment_seed(identity, writer->number);
    size_t count = (writer->used + STREAM_BYTES - 1) / STREAM_BYTES;
    memset(writer->stream + writer->used, 0, sizeof writer->stream - writer->used);
    for (size_t i = 0; i < count && writer->sector < SECTORS; i++, writer->sector++) {
        uint8_t *at = writer->file + writer->sector * SECTOR;
        memcpy(at + STAMP_BYTES, writer->stream + i * STREAM_BYTES, STREAM_BYTES);
        struct stamp stamp = {
            .batch = writer->batch + lie.batch, .index = (uint32_t)i + lie.index, .count = (uint32_t)count + lie.count};
        sector_seal(at, seed, writer->sector, &stamp);
    }
    writer->batch++;
    writer->used = 0;
}

static void end_segment(struct writer *writer)
{
    if (writer->number > SEGMENTS_MAX)
        return;
    struct page page = {.field = {writer->number, SECTORS}};
    memcpy(page.identity, identity, sizeof identity);
    page_seal(writer->file, SEGMENT_MAGIC, &page);
    char name[NAME_BYTES];
    segment_name(writer->number++, name);
    simdisk_put(writer->sim, name, writer->file, sizeof writer->file);
    memset(writer->file, 0, sizeof writer->file);
    writer->sector = 1;
}

/* A snapshot whose pages claim `claimed` bytes and whose one block has `len`. */
static void add_snapshot(struct writer *writer, uint64_t zxid, uint64_t claimed, uint32_t len)
{
    static uint8_t file[BLOCK_BYTES + 2 * SECTOR];
    struct page page = {.field = {zxid, claimed}};
    memcpy(page.identity, identity, sizeof identity);
    page_seal(file, SNAPSHOT_MAGIC, &page);
    memset(file + SECTOR, (int)zxid, BLOCK_HEAD_BYTES + len);
    size_t bytes = len > 0 ? block_seal(file + SECTOR, identity, zxid, 0, len) : 0;
    page_seal(file + SECTOR + bytes, SNAPSHOT_END_MAGIC, &page);
    char name[NAME_BYTES];
    snapshot_name(zxid, name);
    simdisk_put(writer->sim, name, file, bytes + 2 * SECTOR);
}

static void step(struct writer *writer, struct input *input)
{
    uint8_t command = (uint8_t)take(input, 1), a = (uint8_t)take(input, 1), b = (uint8_t)take(input, 1);
    switch (command % 11) {
    case 0:
    case 1:
        add_record(writer, RECORD_ENTRY, a, b);
        break;
    case 2:
        add_record(writer, a % 8, b, 0);
        break;
    case 3: /* START that fits */
        add_record(writer, RECORD_START, 0, 0);
        break;
    case 4: /* anything */
        put(writer, input->at, a < input->left ? a : input->left);
        break;
    case 5:
    case 6:
        end_batch(writer, (struct stamp){0});
        break;
    case 7:
        end_batch(writer, (struct stamp){.batch = a % 4, .index = b % 3, .count = b / 3u});
        break;
    case 8: /* a hole, or the segment's end */
        if (a % 2 == 0 && writer->sector < SECTORS)
            writer->sector++;
        else
            end_segment(writer);
        break;
    case 9:
        writer->file[(a * 256u + b) % sizeof writer->file] ^= (uint8_t)(command | 1); /* damage */
        break;
    default:
        add_snapshot(writer, writer->zxid + a % 4 + 1, b % 3 == 0 ? a : b, b);
        break;
    }
}

static struct store *open_store(struct simdisk *sim)
{
    struct disk disk;
    struct store *store;
    char text[256];
    struct store_options options = {.segment_bytes = SECTORS * SECTOR, .identity = identity};
    simdisk_interface(sim, &disk);
    int code = store_open(&disk, &options, &store, text, sizeof text);
    if (code != ERR_OK && (code != ERR_CORRUPT || text[0] == '\0'))
        abort(); /* it may only be damage, and must say where */
    return store;
}

/* All of the log; aborts if it is not sound. Returns how many entries. */
static uint64_t read_log(struct store *store)
{
    struct log_reader *reader;
    uint64_t zxid, last = store_base_zxid(store), count = 0;
    struct bytes entry;
    if (log_reader_open(store, last, &reader) != ERR_OK)
        abort();
    for (; log_reader_next(reader, &zxid, &entry) == ERR_OK && zxid != 0; count++, last = zxid)
        if (zxid <= last)
            abort();
    if (last > store_last_zxid(store)) /* a truncation that lies about the entry it goes back to may leave it lower */
        abort();
    log_reader_close(reader);
    return count;
}

static void read_snapshots(struct store *store)
{
    static uint8_t room[SNAPSHOT_BYTES_MAX];
    struct snapshot_reader *reader;
    size_t len = 1;
    for (uint64_t before = 0; snapshot_reader_open(store, before, &reader) == ERR_OK;) {
        before = snapshot_reader_zxid(reader);
        while (snapshot_reader_next(reader, room, sizeof room, &len) == ERR_OK && len > 0)
            for (size_t i = 0; i < len; i++)
                if (room[i] != (uint8_t)before)
                    abort();
        snapshot_reader_close(reader);
    }
}

/* Work goes on with it, and is there again. */
static void use(struct simdisk *sim)
{
    struct store *store = open_store(sim);
    if (store == NULL)
        return;
    uint64_t count = read_log(store), last = store_last_zxid(store);
    read_snapshots(store);
    if (last < UINT64_MAX - 1) {
        if (store_append(store, last + 1, (struct bytes){"new", 3}) != ERR_OK || store_sync(store) != ERR_OK ||
            read_log(store) != count + 1)
            abort();
        if (store_truncate(store, last) != ERR_OK && store_snapshot_zxid(store) <= last)
            abort();
    }
    count = read_log(store);
    store_close(store);
    store = open_store(sim);
    if (store == NULL || read_log(store) != count)
        abort();
    store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct writer writer;
    memset(&writer, 0, sizeof writer);
    writer = (struct writer){.sim = simdisk_new(), .number = 1, .sector = 1, .batch = 1};
    struct input input = {data, size};
    store_close(open_store(writer.sim)); /* for its meta */
    if (take(&input, 1) % 4 == 0) {      /* as if older segments had been purged */
        simdisk_put(writer.sim, "log-0000000000000001", NULL, 0);
        writer.number = 2;
    }
    while (input.left > 0)
        step(&writer, &input);
    end_segment(&writer);
    use(writer.sim);
    simdisk_free(writer.sim);
    return 0;
}
