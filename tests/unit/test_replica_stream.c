/* A replica at work: what it streams to mounts, from memory, the log and snapshots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/host.h"
#include "tests/support/probe.h"
#include "tests/support/sample.h"

static const struct lifetime plain;

static void append_many(struct probe *writer, int count, size_t len)
{
    char *data = calloc(1, len);
    struct edit edit;
    struct request request = probe_write("data", &edit, data, len);
    for (int i = 0; i < count; i++) {
        memset(data, 'a' + i % 26, len);
        assert_int_equal(probe_call(writer, &request), ERR_OK);
    }
    free(data);
}

static void start_writer(struct host *host, struct probe *writer)
{
    probe_open(writer, host->address, NULL);
    probe_attach(writer, "writer");
    struct request request = probe_create("data", plain);
    assert_int_equal(probe_call(writer, &request), ERR_OK);
}

/* The replica's own entries may come in between: until it raises the state version no more. */
static void assert_same_tree(struct probe *a, struct probe *b)
{
    do {
        uint64_t zxid = state_zxid(a->tree) > state_zxid(b->tree) ? state_zxid(a->tree) : state_zxid(b->tree);
        assert_true(probe_catch_up(a, zxid));
        assert_true(probe_catch_up(b, zxid));
    } while (state_zxid(a->tree) != state_zxid(b->tree));
    assert_int_equal(state_digest(a->tree), state_digest(b->tree));
}

/* A mount that was away for 100 entries gets them and no snapshot: once from memory, once, after a restart, from the
 * log on disk. */
static void who_was_away_gets_what_it_missed(void **state)
{
    struct host *host = *state;
    struct probe writer = {0}, away = {0};
    start_writer(host, &writer);
    probe_open(&away, host->address, NULL);
    probe_observe(&away);
    for (int restart = 0; restart <= 1; restart++) {
        probe_close(&away);
        append_many(&writer, 100, 5000);
        if (restart) {
            probe_close(&writer);
            host_restart(host);
            probe_open(&writer, host->address, NULL);
            probe_attach(&writer, "writer");
        }
        unsigned snapshots = away.count[MESSAGE_SNAPSHOT_BEGIN];
        probe_open(&away, host->address, NULL);
        probe_observe(&away);
        assert_same_tree(&away, &writer);
        assert_int_equal(away.count[MESSAGE_SNAPSHOT_BEGIN], snapshots);
    }
    probe_free(&writer);
    probe_free(&away);
}

static bool is_there_or_down(struct probe *probe)
{
    return probe->down || state_zxid(probe->tree) >= probe->wanted_zxid;
}

/* One mount reads nothing while another writes 30 MiB: the writer is not held up, and the slow one gets all of it
 * when it reads again. */
static void a_slow_mount_holds_nobody_up(void **state)
{
    struct host *host = *state;
    struct probe writer = {0}, slow = {0};
    start_writer(host, &writer);
    probe_open(&slow, host->address, NULL);
    probe_observe(&slow);
    append_many(&writer, 60, 500 * KIB);
    slow.wanted_zxid = state_zxid(writer.tree);
    probe_until(&slow, is_there_or_down, PROBE_WAIT_MS);
    if (slow.down) { /* it was silent for too long: it attaches again */
        probe_close(&slow);
        probe_open(&slow, host->address, NULL);
        probe_observe(&slow);
    }
    assert_same_tree(&slow, &writer);
    probe_free(&writer);
    probe_free(&slow);
}

/* A mount comes while 2,000 znodes and more are there and being written: its copy is whole. */
static void a_snapshot_is_taken_while_writing_goes_on(void **state)
{
    struct host *host = *state;
    struct probe writer = {0}, late = {0};
    char data[20000], path[32];
    struct request ops[1000];
    char paths[1000][32];
    start_writer(host, &writer);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) {
            snprintf(paths[i], sizeof paths[i], "n%d-%d", round, i);
            ops[i] = probe_create(paths[i], plain);
        }
        struct request multi = {.kind = OP_MULTI, .multi = {ops, 1000}};
        assert_int_equal(probe_call(&writer, &multi), ERR_OK);
    }
    memset(data, 'x', sizeof data);
    for (int i = 0; i < 100; i++) {
        struct edit edit;
        snprintf(path, sizeof path, "n1-%d", i);
        struct request request = probe_write(path, &edit, data, sizeof data);
        assert_int_equal(probe_call(&writer, &request), ERR_OK);
    }
    probe_open(&late, host->address, NULL);
    struct message attach = probe_attach_message(&late, "");
    attach.attach.observer = true;
    probe_send(&late, &attach);
    append_many(&writer, 50, 1000);
    assert_true(probe_catch_up(&late, state_zxid(writer.tree)));
    assert_int_equal(late.count[MESSAGE_SNAPSHOT_BEGIN], 1);
    assert_same_tree(&late, &writer);
    assert_int_equal(state_digest_recompute(late.tree), state_digest(late.tree));
    probe_free(&writer);
    probe_free(&late);
}

/* Turns over a byte in the middle of each snapshot in the directory; how many there are. */
static int damage_snapshots(const char *directory)
{
    char pattern[128];
    glob_t found = {0};
    snprintf(pattern, sizeof pattern, "%s/snapshot-*", directory);
    glob(pattern, 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        FILE *file = fopen(found.gl_pathv[i], "r+");
        assert_non_null(file);
        fseek(file, 0, SEEK_END);
        long middle = ftell(file) / 2;
        fseek(file, middle, SEEK_SET);
        int byte = fgetc(file);
        fseek(file, middle, SEEK_SET);
        fputc(byte ^ 0x40, file);
        fclose(file);
    }
    int count = (int)found.gl_pathc;
    globfree(&found);
    return count;
}

static bool snapshot_is_there(struct probe *probe)
{
    return probe_status(probe).snapshot_zxid > 0;
}

/* After 200 entries a snapshot is written to disk; a restart from it and the log after it gives the same tree. So does
 * one after the snapshot was damaged, from the log alone. */
static void snapshots_on_disk_shorten_the_start(void **state)
{
    struct host *host = *state;
    struct probe writer = {0}, probe = {0};
    host_stop(host);
    host->snapshot_every_entries = 200;
    host_start(host);
    start_writer(host, &writer);
    append_many(&writer, 250, 100);
    probe_open(&probe, host->address, NULL);
    assert_true(probe_until(&probe, snapshot_is_there, PROBE_WAIT_MS));
    append_many(&writer, 20, 100);
    struct message_status before = probe_status(&probe);
    uint64_t zxid = before.zxid, digest = before.digest;
    probe_free(&probe);
    for (int damaged = 0; damaged <= 1; damaged++) {
        host_stop(host);
        if (damaged)
            assert_int_not_equal(damage_snapshots(host->directory), 0);
        host_start(host);
        probe_open(&probe, host->address, NULL);
        struct message_status after = probe_status(&probe);
        assert_int_equal(after.zxid, zxid);
        assert_int_equal(after.digest, digest);
        probe_free(&probe);
    }
    probe_free(&writer);
}

/* SYNCED names a commit point that has everything that was acknowledged to anyone before the SYNC was sent. */
static void sync_gives_the_commit_point(void **state)
{
    struct host *host = *state;
    struct probe writer = {0}, reader = {0};
    probe_open(&writer, host->address, NULL);
    probe_attach(&writer, "writer");
    probe_open(&reader, host->address, NULL);
    probe_observe(&reader);
    for (uint64_t i = 0; i < 50; i++) {
        char path[32];
        snprintf(path, sizeof path, "s%d", (int)i);
        struct request request = probe_create(path, plain);
        assert_int_equal(probe_call(&writer, &request), ERR_OK);
        struct message sync = {.kind = MESSAGE_SYNC, .sync = {.id = i}};
        probe_send(&reader, &sync);
        assert_true(probe_expect(&reader, MESSAGE_SYNCED));
        assert_int_equal(reader.last.sync.id, i);
        assert_true(probe_catch_up(&reader, reader.last.sync.zxid));
        assert_true(probe_has(&reader, path));
    }
    probe_free(&writer);
    probe_free(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOST_TEST(who_was_away_gets_what_it_missed),
        HOST_TEST(a_slow_mount_holds_nobody_up),
        HOST_TEST(a_snapshot_is_taken_while_writing_goes_on),
        HOST_TEST(snapshots_on_disk_shorten_the_start),
        HOST_TEST(sync_gives_the_commit_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
