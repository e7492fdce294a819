/* What programs asked for and were told, against the reference; at the end whether it is linearizable. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check_internal.h"
#include "tests/sim/linearizable.h"
#include "tests/sim/mount.h"

#define LLU(x) ((unsigned long long)(x))

/* --- calls --- */

uint64_t check_next_uid(const struct cluster *cluster)
{
    return cluster->check->op_count + 1;
}

struct op *check_called(struct cluster *cluster, struct op new)
{
    struct check *check = cluster->check;
    struct op *op = malloc(sizeof *op);
    assert(op);
    *op = new;
    op->uid = check_next_uid(cluster);
    op->called_us = cluster->now_us;
    op->committed = check_committed(cluster);
    if (op->hash != 0) {
        struct op **bucket = &check->ops[op->hash % BUCKETS];
        op->next = *bucket;
        *bucket = op;
    }
    if (check->op_count == check->op_room) {
        check->op_room = check->op_room ? 2 * check->op_room : 256;
        check->all = realloc(check->all, check->op_room * sizeof(struct op *));
        assert(check->all);
    }
    check->all[check->op_count++] = op;
    return op;
}

static void check_read(struct cluster *cluster, const struct op *op, const struct result *result)
{
    if (result->code == ERR_OK && result->zxid < op->committed)
        violated(cluster, "Sync", "a sync of mount %u gives %llx, but %llx was committed before it", op->mount,
                 LLU(result->zxid), LLU(op->committed));
}

void check_returned(struct cluster *cluster, struct op *op, bool definite, const struct result *result)
{
    struct cluster_counts *counts = &cluster->outcome->counts;
    if (op->returned)
        violated(cluster, "ExactlyOnce", "#%llu of mount %u returns twice", LLU(op->uid), op->mount);
    op->returned = true;
    op->definite = definite;
    op->code = result->code;
    op->zxid = result->zxid;
    op->returned_us = cluster->now_us;
    note(cluster, 'H', op->uid, (uint64_t)result->code << 48 ^ result->zxid);
    if (op->type == DO_GET) {
        counts->synced += result->code == ERR_OK;
        check_read(cluster, op, result);
    } else if (!definite) {
        counts->unknown++;
    } else if (op->zxid == 0) {
        counts->refused++;
        if (op->applied > 0)
            violated(cluster, "NotDone", "#%llu of mount %u was done at %llx, and told not to be: %s", LLU(op->uid),
                     op->mount, LLU(op->applied_zxid), error_name(op->code));
    } else {
        counts->written++;
        if (op->applied != 1 || op->applied_zxid != op->zxid || op->applied_code != op->code)
            violated(cluster, "Acknowledged", "#%llu of mount %u: told %s at %llx; done %u times, %s at %llx",
                     LLU(op->uid), op->mount, error_name(op->code), LLU(op->zxid), op->applied,
                     error_name(op->applied_code), LLU(op->applied_zxid));
    }
}

/* --- what the reference applies --- */

static struct op *find_op(struct cluster *cluster, uint64_t hash)
{
    struct op *op = cluster->check->ops[hash % BUCKETS];
    while (op && op->hash != hash)
        op = op->next;
    return op;
}

/* Of one session: in the order of the calls. */
static void check_fifo(struct cluster *cluster, const struct op *op, uint64_t session)
{
    struct check *check = cluster->check;
    uint64_t *last = &check->last_uid[session % SESSIONS];
    if (check->last_session[session % SESSIONS] != session)
        *last = 0;
    check->last_session[session % SESSIONS] = session;
    if (op->uid <= *last)
        violated(cluster, "Fifo", "#%llu of mount %u is done after #%llu", LLU(op->uid), op->mount, LLU(*last));
    *last = op->uid;
}

/* --- sessions --- */

/* Its close is committed. (That a leader which has been deposed and does not know it proposes one means nothing.) */
static void check_expires(struct cluster *cluster, uint64_t session)
{
    for (unsigned i = 0; i < cluster->mount_count; i++) {
        const struct mount *mount = cluster->mounts[i];
        struct client_info info;
        learner_info(mount->learner, mount_ms(mount), &info);
        if (info.session == session && info.remaining_ms > 0)
            violated(cluster, "Expiry", "session %llu is closed for silence; mount %u counts on it for %lld ms more",
                     LLU(session), i, (long long)info.remaining_ms);
    }
}

void history_applied(struct cluster *cluster, const struct entry *entry, const struct result *result)
{
    const struct op_close_session *close = &entry->request.close_session;
    if (entry->request.kind == OP_CLOSE_SESSION && close->reason == CLOSE_EXPIRED && result->code == ERR_OK)
        check_expires(cluster, close->session);
    if (entry->session == 0)
        return;
    if (result->none)
        violated(cluster, "ExactlyOnce", "entry %llx, number %llu of session %llu, is a duplicate or leaves a gap",
                 LLU(entry->zxid), LLU(entry->number), LLU(entry->session));
    if (result->none || result->code == ERR_NO_SESSION)
        return;
    int code = encode_request(&entry->request, &cluster->encoded);
    assert(code == ERR_OK);
    struct op *op = find_op(cluster, fingerprint(cluster->encoded.at, cluster->encoded.len, 0));
    if (!op) {
        if (entry->request.kind != OP_NOOP)
            violated(cluster, "Integrity", "entry %llx was asked for by nobody", LLU(entry->zxid));
        return;
    }
    if (op->applied++ > 0)
        violated(cluster, "ExactlyOnce", "#%llu of mount %u is done at %llx and again at %llx", LLU(op->uid), op->mount,
                 LLU(op->applied_zxid), LLU(entry->zxid));
    if (op->returned && op->definite)
        violated(cluster, "NotDone", "#%llu of mount %u is done at %llx, after it was told not to be: %s", LLU(op->uid),
                 op->mount, LLU(entry->zxid), error_name(op->code));
    op->applied_zxid = entry->zxid;
    op->applied_code = result->code;
    check_fifo(cluster, op, entry->session);
}

/* --- the end --- */

static bool to_history(const struct op *op, struct history_op *to)
{
    bool known = op->returned && op->definite;
    bool done = known && op->code == ERR_OK;
    *to = (struct history_op){.called = op->called_us,
                              .returned = known ? op->returned_us : UINT64_MAX,
                              .value = op->value,
                              .expected = op->expected,
                              .done = done};
    switch (op->type) {
    case DO_GET:
        to->kind = HISTORY_READ;
        return done;
    case DO_PUT:
        to->kind = HISTORY_WRITE;
        return done || !known;
    case DO_SWAP:
        to->kind = HISTORY_SWAP;
        return done || !known || op->code == ERR_BAD_VERSION;
    default:
        return false;
    }
}

static void check_key(struct cluster *cluster, unsigned key)
{
    const struct check *check = cluster->check;
    static struct history_op history[HISTORY_OPS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < check->op_count && count < HISTORY_OPS_MAX; i++)
        if (check->all[i]->key == key && to_history(check->all[i], &history[count]))
            count++;
    if (!history_linearizable(history, count))
        violated(cluster, "Linearizable", "the history of k%u, of %zu operations, is not", key, count);
}

void history_end(struct cluster *cluster)
{
    for (unsigned key = 0; key < KEYS && !cluster->outcome->failed; key++)
        check_key(cluster, key);
}
