/* Size and speed: the bytes a znode takes, and the time many take to be applied, written to a snapshot
 * and loaded. Memory is asserted; times are printed, with generous bounds where a slip would be an order of magnitude.
 * Under a sanitizer malloc is another one: then there are fewer znodes and nothing is measured. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "replica/state/state.h"
#include "tests/support/state_workload.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEASURED 0
#elif defined(__has_feature)
#define MEASURED (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define MEASURED 1
#endif

enum { ZNODES = MEASURED ? 300000 : 20000, PER_DIRECTORY = 1000, DATA_BYTES = 100, BYTES_PER_ZNODE = 300 };

/* Of this process alone: the machine may be busy with other tests. */
static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t used_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void create(struct state *state, uint64_t parent, const char *name, enum node_kind kind, uint64_t *id)
{
    struct entry entry = {.zxid = state_zxid(state) + 1, .stamp_ns = 1, .request = {.kind = OP_CREATE}};
    struct op_create *op = &entry.request.create;
    *op = (struct op_create){.at = {parent, {name, strlen(name)}}, .kind = kind, .mode = 0644};
    if (kind == KIND_FILE)
        op->data = (struct bytes){workload_bytes(0), DATA_BYTES};
    struct result result;
    state_apply(state, &entry, &result, NULL);
    assert_int_equal(result.code, ERR_OK);
    *id = result.id;
}

static void fill(struct state *state)
{
    uint64_t directory = ROOT_ID, id;
    for (int i = 0; i < ZNODES; i++) {
        char name[32];
        snprintf(name, sizeof name, i % PER_DIRECTORY == 0 ? "directory-%d" : "znode-%07d", i);
        if (i % PER_DIRECTORY == 0)
            create(state, ROOT_ID, name, KIND_DIRECTORY, &directory);
        else
            create(state, directory, name, KIND_FILE, &id);
    }
}

static void overwrite(struct state *state)
{
    struct edit edits[] = {{.kind = EDIT_TRUNCATE}, {.kind = EDIT_PUT, .data = {workload_bytes(7), DATA_BYTES}}};
    for (uint64_t id = 3; id < ZNODES; id++) {
        if (id % PER_DIRECTORY == 2)
            continue; /* a directory */
        struct entry entry = {.zxid = state_zxid(state) + 1, .stamp_ns = 2, .request = {.kind = OP_WRITE}};
        entry.request.write = (struct op_write){{id, {"", 0}}, NO_VERSION_CHECK, edits, 2};
        struct result result;
        state_apply(state, &entry, &result, NULL);
        assert_int_equal(result.code, ERR_OK);
    }
}

static struct state *load_copy(struct state *state, double *write_s, double *load_s)
{
    const size_t chunk = LIMIT_CHUNK_BYTES;
    size_t room = (size_t)ZNODES * 320 + chunk, len = 0, part;
    uint8_t *bytes = malloc(room);
    struct state *copy;
    double start = now_s();
    struct snapshot_cursor *cursor = snapshot_begin(state);
    for (; (part = snapshot_read(cursor, bytes + len, chunk)) > 0; len += part)
        assert_true(len + part + chunk <= room);
    snapshot_end(cursor);
    *write_s = now_s() - start;
    start = now_s();
    struct snapshot_loader *loader = loader_new();
    for (size_t at = 0; at < len; at += chunk)
        assert_int_equal(loader_feed(loader, bytes + at, len - at < chunk ? len - at : chunk), ERR_OK);
    assert_int_equal(loader_nodes(loader), state_nodes(state));
    assert_int_equal(loader_finish(loader, &copy), ERR_OK);
    *load_s = now_s() - start;
    free(bytes);
    return copy;
}

static void test_many_znodes(void **unused)
{
    (void)unused;
    double write_s, load_s, start;
    size_t before = used_bytes();
    struct state *state = state_new();
    start = now_s();
    fill(state);
    double create_s = now_s() - start;
    size_t per_znode = (used_bytes() - before) / ZNODES;
    start = now_s();
    overwrite(state);
    double overwrite_s = now_s() - start;
    struct state *copy = load_copy(state, &write_s, &load_s);
    assert_true(state_digest(copy) == state_digest(state));
    size_t copy_per_znode = (used_bytes() - before) / ZNODES - per_znode;
    print_message("%d znodes of %d bytes: %zu bytes each all in, %zu when loaded; %.0f creates/s, %.0f writes/s; "
                  "snapshot written in %.2f s, loaded in %.2f s\n",
                  ZNODES, DATA_BYTES, per_znode, copy_per_znode, ZNODES / create_s, ZNODES / overwrite_s, write_s,
                  load_s);
    if (MEASURED) {
        assert_in_range(per_znode, DATA_BYTES, BYTES_PER_ZNODE);
        assert_in_range(copy_per_znode, DATA_BYTES, BYTES_PER_ZNODE);
        assert_true(load_s < 10);
    }
    state_free(copy);
    state_free(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many_znodes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
