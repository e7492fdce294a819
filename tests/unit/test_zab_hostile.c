/* What it shows: whatever a peer says, a core neither ends nor commits what it does not have. Peers are members that
 * hold the key, so what they say may be wrong only by a fault of theirs, but no fault of one may stop another.
 *
 * How: ensembles play as in test_zab_random; by and by a message of one's peer is changed in a few fields, or made up
 * from values that lie near the true ones and at the ends of their types. Contradictions may end in ZAB_FATAL, which is
 * an answer; an assertion or a sanitizer's finding is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zab_tale.h"

enum { SEEDS = 300, STEPS = 3000 };

static uint64_t number(struct tale *tale, uint64_t near)
{
    static const uint64_t ends[] = {0, 1, 2, UINT32_MAX, 1ull << 32, (1ull << 32) | 1, 1ull << 62, UINT64_MAX};
    switch (tale_draw(tale, 4)) {
    case 0:
        return ends[tale_draw(tale, sizeof ends / sizeof *ends)];
    case 1:
        return near + tale_draw(tale, 5) - 2;
    case 2:
        return near + ((tale_draw(tale, 3) - 1) << 32);
    default:
        return near;
    }
}

static void distort(struct tale *tale, struct zab_message *message)
{
    switch (tale_draw(tale, 12)) {
    case 0:
        message->kind = (enum zab_message_kind)tale_draw(tale, ZAB_PONG + 2);
        break;
    case 1:
        message->voter = !message->voter;
        break;
    case 2:
        message->epoch = (uint32_t)number(tale, message->epoch);
        break;
    case 3:
        message->zxid = number(tale, message->zxid);
        break;
    case 4:
        message->round = number(tale, message->round);
        break;
    case 5:
        message->role = (enum zab_role)tale_draw(tale, 5);
        break;
    case 6:
        message->vote.leader = (uint32_t)tale_draw(tale, tale->members + 2);
        break;
    case 7:
        message->vote.zxid = number(tale, message->vote.zxid);
        message->vote.epoch = (uint32_t)number(tale, message->vote.epoch);
        break;
    case 8:
        message->fresh = !message->fresh;
        break;
    case 9:
        message->sync = (enum zab_sync)tale_draw(tale, 5);
        break;
    case 10:
        message->previous = number(tale, message->previous);
        message->first = number(tale, message->first);
        break;
    default:
        message->last = number(tale, message->last);
        message->count = (uint32_t)number(tale, message->count);
        break;
    }
}

/* One more message on its way, made of the first one that is or of nothing. ENTRIES get entries that fit their count:
 * the caller's own decoder sees to that. */
static void lie(struct tale *tale)
{
    uint32_t from = 1 + (uint32_t)tale_draw(tale, tale->members), to = 1 + (uint32_t)tale_draw(tale, tale->members);
    struct tale_packet packet = {.kind = PACKET_ZAB};
    if (from == to || tale->nodes[from].zab == NULL || tale->nodes[to].zab == NULL)
        return;
    const struct tale_packet *first = tale->pipes[from][to].first;
    if (first != NULL && first->kind == PACKET_ZAB)
        packet.message = first->message;
    else
        packet.message = (struct zab_message){.kind = (enum zab_message_kind)tale_draw(tale, ZAB_PONG + 1),
                                              .voter = true,
                                              .role = ZAB_LOOKING,
                                              .epoch = zab_epoch(tale->nodes[to].zab),
                                              .zxid = zab_last(tale->nodes[to].zab)};
    for (uint64_t many = 1 + tale_draw(tale, 3); many > 0; many--)
        distort(tale, &packet.message);
    if (packet.message.kind == ZAB_SYNC && packet.message.sync == ZAB_SNAP)
        return; /* what comes after it is the caller's to check */
    if (packet.message.kind == ZAB_ENTRIES) {
        packet.message.count = 1 + (uint32_t)tale_draw(tale, 3);
        packet.message.last = packet.message.first + packet.message.count - 1;
        for (uint32_t i = 0; i < packet.message.count; i++)
            tale_list_add(&packet.list, (struct tale_entry){.zxid = packet.message.first + i, .value = 0});
    }
    tale_send(tale, from, to, packet);
}

static void play(uint64_t seed, uint64_t *fatal)
{
    struct tale *tale = tale_new(3 + 2 * (seed % 2), seed);
    for (uint32_t id = 1; id <= tale->members; id++)
        tale_start(tale, id);
    for (int i = 0; i < STEPS; i++) {
        uint32_t leader = tale_leader(tale);
        tale_next(tale, tale->now_ms + 5);
        if (tale_draw(tale, 10) == 0)
            lie(tale);
        if (leader != 0 && tale_draw(tale, 5) == 0)
            tale_propose(tale, leader, "x");
        if (tale_draw(tale, 200) == 0)
            tale_reset(tale, 1, 2);
    }
    *fatal += tale->wrong[0] != '\0'; /* of course: they were lied to */
    for (uint32_t id = 1; id <= tale->members; id++) {
        const struct zab *zab = tale->nodes[id].zab;
        assert_true(zab_committed(zab) <= zab_durable(zab) && zab_durable(zab) <= zab_last(zab));
    }
    tale_free(tale);
}

static void lies_end_no_core(void **state)
{
    (void)state;
    uint64_t misled = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        play(seed, &misled);
    print_message("%d seeds, %d steps each, every tenth with a lie: %llu ensembles misled, no core ended by itself\n",
                  SEEDS, STEPS, (unsigned long long)misled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_end_no_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
