/* A snapshot from nowhere: no crash, no unbounded memory, and what is accepted is sound and goes on working.
 *
 * The first byte says how the rest is cut into pieces and, if it is odd, that its END is to be replaced by one that is
 * right, so that the fuzzer gets past the digest to what judges how the records fit together. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replica/state/record.h"
#include "replica/state/snapshot.h"
#include "replica/state/wire.h"
#include "tests/support/state_workload.h"

enum { END_BYTES = RECORD_FRAME_BYTES + 16, GLOBALS_AT = SNAPSHOT_MAGIC_BYTES + 4 };

/* What a record adds to the digest, noted in a state that is nothing but a sum. */
static uint64_t count_record(struct state *sum, uint8_t kind, struct bytes payload)
{
    struct node *node;
    uint64_t parent;
    size_t head_len;
    if (kind == RECORD_GLOBALS && payload.len > GLOBALS_AT)
        record_read_globals((struct bytes){(const uint8_t *)payload.at + GLOBALS_AT, payload.len - GLOBALS_AT}, sum);
    if (kind == RECORD_SESSION)
        record_read_session(payload, sum);
    if (kind == RECORD_MEMBER)
        record_read_member(payload, sum);
    if (kind == RECORD_LOCK)
        record_read_lock(payload, sum);
    if (kind != RECORD_NODE || record_read_node(payload, &node, &parent, &head_len) != ERR_OK)
        return 0;
    sum->nodes_sum += digest_head((struct bytes){payload.at, head_len});
    node_free(node);
    return 1;
}

/* Writes the END that makes the digest of the records right; returns the length with it. */
static size_t repair(uint8_t *bytes, size_t len)
{
    struct state *sum = state_blank();
    uint64_t nodes = 0;
    size_t at = 0;
    while (len - at >= RECORD_FRAME_BYTES && bytes[at + 4] != RECORD_END) {
        struct reader in = {bytes + at, len - at, false};
        uint32_t payload_len = get_u32(&in);
        uint8_t kind = get_u8(&in);
        struct bytes payload = get_bytes(&in, payload_len);
        if (in.bad)
            break;
        nodes += count_record(sum, kind, payload);
        at += RECORD_FRAME_BYTES + payload_len;
    }
    sum->sessions_sum = digest_all_sessions(sum);
    sum->locks.sum = digest_all_locks(sum);
    struct writer out = {bytes + at};
    put_u32(&out, END_BYTES - RECORD_FRAME_BYTES);
    put_u8(&out, RECORD_END);
    put_u64(&out, nodes);
    put_u64(&out, state_digest(sum));
    state_free(sum);
    return at + END_BYTES;
}

static struct state *load(const uint8_t *bytes, size_t len, size_t step)
{
    struct snapshot_loader *loader = loader_new();
    struct state *state;
    for (size_t at = 0; at < len; at += step)
        if (loader_feed(loader, bytes + at, len - at < step ? len - at : step) != ERR_OK)
            break;
    if (loader_finish(loader, &state) == ERR_OK)
        return state;
    loader_free(loader);
    return NULL;
}

static void assert_sound(const struct state *state)
{
    const char *wrong = state_check(state);
    if (wrong != NULL)
        fprintf(stderr, "%s\n", wrong);
    assert(wrong == NULL);
}

/* A state that was accepted takes entries like any other, and its snapshot gives it again. */
static void use(struct state *state)
{
    assert_sound(state);
    struct workload workload = {.random = state_digest(state), .zxid = state_zxid(state)};
    for (int i = 0; i < 20 && workload.zxid < UINT64_MAX - 1000; i++) {
        struct work *work = workload_next(&workload, state);
        struct result result;
        state_apply(state, &work->entry, &result, NULL);
        free(work);
    }
    assert_sound(state);
    size_t room = 4 << 20;
    uint8_t *bytes = malloc(room);
    struct snapshot_cursor *cursor = snapshot_begin(state);
    size_t len = snapshot_read(cursor, bytes, room);
    snapshot_end(cursor);
    struct state *again = len < room ? load(bytes, len, len) : NULL;
    assert(len == room || (again != NULL && state_digest(again) == state_digest(state)));
    state_free(again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size == 0)
        return 0;
    size_t len = size - 1, step = input[0] / 2 == 0 ? size : input[0] / 2;
    uint8_t *bytes = malloc(len + END_BYTES);
    memcpy(bytes, input + 1, len);
    if (input[0] % 2 == 1)
        len = repair(bytes, len);
    struct state *state = load(bytes, len, step);
    if (state != NULL)
        use(state);
    state_free(state);
    free(bytes);
    return 0;
}
