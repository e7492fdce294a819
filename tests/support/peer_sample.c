#include "tests/support/peer_sample.h"

#include <inttypes.h>

/* --- making --- */

static uint64_t random_number(struct peer_sample *sample)
{
    const uint64_t number = sample_random(&sample->base);
    return number >> (number % 64); /* of every length */
}

static struct bytes random_bytes(struct peer_sample *sample, size_t max_len)
{
    return sample_bytes(&sample->base, max_len);
}

static void fill(struct peer_sample *sample, uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)sample_random(&sample->base);
}

void sample_zab(struct peer_sample *sample, enum zab_message_kind kind, struct zab_message *zab)
{
    *zab = (struct zab_message){
        .kind = kind,
        .voter = random_number(sample) % 2,
        .epoch = (uint32_t)random_number(sample),
        .zxid = random_number(sample),
        .round = random_number(sample),
        .role = (enum zab_role)(kind == ZAB_VOTE ? 1 + random_number(sample) % 3 : random_number(sample) % 4),
        .vote = {(uint32_t)random_number(sample), (uint32_t)random_number(sample), random_number(sample)},
        .fresh = random_number(sample) % 2,
        .sync = (enum zab_sync)(kind == ZAB_SYNC ? 1 + random_number(sample) % 3 : random_number(sample) % 4),
        .previous = random_number(sample),
        .first = random_number(sample),
        .last = random_number(sample),
        .count = (uint32_t)random_number(sample),
    };
}

static void sample_hello(struct peer_sample *sample, struct peer_hello *hello)
{
    hello->id = (uint32_t)random_number(sample);
    fill(sample, hello->cluster, sizeof hello->cluster);
    fill(sample, hello->identity, sizeof hello->identity);
    hello->members = random_bytes(sample, LIMIT_ENSEMBLE_BYTES);
    hello->state_version_min = (uint32_t)random_number(sample);
    hello->state_version_max = (uint32_t)random_number(sample);
    hello->state_version = (uint32_t)random_number(sample);
    hello->version = random_bytes(sample, LIMIT_TEXT_BYTES);
}

static void sample_entries(struct peer_sample *sample, struct peer_entries *entries)
{
    sample_zab(sample, ZAB_ENTRIES, &entries->zab);
    entries->count = 1 + random_number(sample) % (sizeof sample->base.entries / sizeof sample->base.entries[0]);
    entries->zab.count = (uint32_t)entries->count;
    entries->list = sample->base.entries;
    for (size_t i = 0; i < entries->count; i++)
        sample->base.entries[i] = random_bytes(sample, 400);
}

static void sample_heartbeats(struct peer_sample *sample, struct peer_heartbeats *heartbeats)
{
    heartbeats->tag = random_number(sample);
    heartbeats->count = random_number(sample) % (PEER_SAMPLE_SESSIONS + 1);
    heartbeats->refusing = random_number(sample) % 2;
    heartbeats->sessions = sample->sessions;
    for (size_t i = 0; i < heartbeats->count; i++)
        sample->sessions[i] = random_number(sample);
}

void sample_peer_message(struct peer_sample *sample, enum peer_message_kind kind, struct peer_message *message)
{
    static const enum zab_message_kind kinds[] = {ZAB_VOTE, ZAB_FOLLOWER_INFO, ZAB_NEW_EPOCH,      ZAB_ACK_EPOCH,
                                                  ZAB_SYNC, ZAB_NEW_LEADER,    ZAB_ACK_NEW_LEADER, ZAB_UP_TO_DATE,
                                                  ZAB_ACK,  ZAB_COMMIT,        ZAB_PING,           ZAB_PONG};
    *message = (struct peer_message){.kind = kind};
    switch (kind) {
    case PEER_HELLO:
        sample_hello(sample, &message->hello);
        break;
    case PEER_REFUSED:
        message->refused =
            (struct peer_refused){(int)(random_number(sample) % 1000), random_bytes(sample, LIMIT_TEXT_BYTES)};
        break;
    case PEER_ZAB:
        sample_zab(sample, kinds[random_number(sample) % (sizeof kinds / sizeof kinds[0])], &message->zab);
        break;
    case PEER_ENTRIES:
        sample_entries(sample, &message->entries);
        break;
    case PEER_SNAPSHOT_CHUNK:
    case PEER_STATUS:
        message->chunk = random_bytes(sample, 4000);
        break;
    case PEER_SNAPSHOT_END:
        break;
    case PEER_FORWARD:
        message->forward = (struct peer_forward){random_number(sample), random_number(sample), random_number(sample),
                                                 random_bytes(sample, 4000)};
        break;
    case PEER_RESEND:
    case PEER_HEARTBEATS:
    case PEER_HEARTBEAT_ACKS:
        sample_heartbeats(sample, &message->heartbeats);
        break;
    case PEER_BARRIER:
    case PEER_BARRIER_DONE:
        message->barrier = (struct peer_barrier){random_number(sample), random_number(sample)};
        break;
    }
}

/* --- printing --- */

static void print_raw(FILE *to, const void *at, size_t len)
{
    fprintf(to, "[%zu ", len);
    if (len > 0)
        fwrite(at, 1, len, to);
    fprintf(to, "]");
}

static void print_bytes(FILE *to, struct bytes bytes)
{
    print_raw(to, bytes.at, bytes.len);
}

static void print_zab(FILE *to, const struct zab_message *zab)
{
    fprintf(to, "zab %d %d %u %" PRIu64 " %" PRIu64 " %d", zab->kind, zab->voter, zab->epoch, zab->zxid, zab->round,
            zab->role);
    fprintf(to, " vote %u %u %" PRIu64 " %d %d", zab->vote.leader, zab->vote.epoch, zab->vote.zxid, zab->fresh,
            zab->sync);
    fprintf(to, " of %" PRIu64 " %" PRIu64 " %" PRIu64 " %u\n", zab->previous, zab->first, zab->last, zab->count);
}

static void print_hello(FILE *to, const struct peer_hello *hello)
{
    fprintf(to, "%u %u %u %u", hello->id, hello->state_version_min, hello->state_version_max, hello->state_version);
    print_raw(to, hello->cluster, sizeof hello->cluster);
    print_raw(to, hello->identity, sizeof hello->identity);
    print_bytes(to, hello->members);
    print_bytes(to, hello->version);
}

static void print_entries(FILE *to, const struct peer_entries *entries)
{
    print_zab(to, &entries->zab);
    for (size_t i = 0; i < entries->count; i++)
        print_bytes(to, entries->list[i]);
}

static void print_heartbeats(FILE *to, const struct peer_heartbeats *heartbeats)
{
    fprintf(to, "%" PRIu64 " %d", heartbeats->tag, heartbeats->refusing);
    for (size_t i = 0; i < heartbeats->count; i++)
        fprintf(to, " %" PRIu64, heartbeats->sessions[i]);
}

void sample_print_peer_message(FILE *to, const struct peer_message *message)
{
    fprintf(to, "%d: ", message->kind);
    switch (message->kind) {
    case PEER_HELLO:
        print_hello(to, &message->hello);
        break;
    case PEER_REFUSED:
        fprintf(to, "%d", message->refused.code);
        print_bytes(to, message->refused.text);
        break;
    case PEER_ZAB:
        print_zab(to, &message->zab);
        break;
    case PEER_ENTRIES:
        print_entries(to, &message->entries);
        break;
    case PEER_SNAPSHOT_CHUNK:
    case PEER_STATUS:
        print_bytes(to, message->chunk);
        break;
    case PEER_SNAPSHOT_END:
        break;
    case PEER_FORWARD:
        fprintf(to, "%" PRIu64 " %" PRIu64 " %" PRIu64, message->forward.session, message->forward.number,
                message->forward.awaited);
        print_bytes(to, message->forward.request);
        break;
    case PEER_RESEND:
    case PEER_HEARTBEATS:
    case PEER_HEARTBEAT_ACKS:
        print_heartbeats(to, &message->heartbeats);
        break;
    case PEER_BARRIER:
    case PEER_BARRIER_DONE:
        fprintf(to, "%" PRIu64 " %" PRIu64, message->barrier.tag, message->barrier.zxid);
        break;
    }
}
