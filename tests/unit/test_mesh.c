/* Meshes over TCP on 127.0.0.1, up to seven in one process, driven by one loop: every pair has a link; messages arrive
 * in order, each once, the large ones too; what overflows or is dropped opens again; and how fast it is. */
#include "tests/support/meshes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- opening --- */

static void all_pairs_come_up(void **state)
{
    (void)state;
    for (unsigned count = 3; count <= LIMIT_REPLICAS; count += 2) {
        const uint64_t start_us = loop_now_us();
        meshes_start(count, &loop_no_keys);
        UNTIL_MESH(meshes_all_up());
        print_message("%u replicas: all pairs up after %.1f ms\n", count, (double)(loop_now_us() - start_us) / 1000);
        assert_int_equal(meshes_downs(), 0);
        meshes_stop();
    }
}

static void an_ensemble_of_one_has_nobody_to_talk_to(void **state)
{
    (void)state;
    meshes_start(1, &loop_no_keys);
    assert_int_not_equal(mesh_number(meshes[1].mesh), 0);
    meshes_turn_for(20);
    meshes_stop();
}

static void what_cannot_be_opened_says_why(void **state)
{
    (void)state;
    const struct mesh_events events = {0};
    struct mesh_peer peer = {2, "nonsense"};
    struct mesh *mesh;
    char text[256] = "";
    meshes_start(1, &loop_no_keys);
    struct mesh_options options = {1, meshes[1].address, &peer, 1, loop_no_keys};
    assert_int_equal(mesh_open(&options, &events, &mesh, text, sizeof text), ERR_BUSY);
    assert_non_null(strstr(text, meshes[1].address));
    options.address = "127.0.0.1:0";
    assert_int_equal(mesh_open(&options, &events, &mesh, text, sizeof text), ERR_INVALID);
    assert_non_null(strstr(text, "nonsense"));
    peer.address = "no-such-host.invalid:1";
    assert_int_equal(mesh_open(&options, &events, &mesh, text, sizeof text), ERR_UNREACHABLE);
    assert_non_null(strstr(text, peer.address));
    meshes_stop();
}

/* --- load --- */

enum { LOAD_MESSAGES = 4000, LOAD_BIG_EVERY = 1000 };

static size_t load_len(uint64_t number)
{
    return number % LOAD_BIG_EVERY == LOAD_BIG_EVERY - 1 ? LIMIT_ENTRY_BYTES : 8 + number % 700;
}

/* Sends on all links in both directions, as far as queues of 4 MiB let it. True: all is sent. */
static bool send_more(uint64_t said[LIMIT_REPLICAS + 1][LIMIT_REPLICAS + 1])
{
    bool done = true;
    for (uint32_t a = 1; a <= meshes_count; a++)
        for (uint32_t b = 1; b <= meshes_count; b++) {
            if (a == b)
                continue;
            for (; said[a][b] < LOAD_MESSAGES && mesh_queued_bytes(meshes[a].mesh, b) < 4 * MIB; said[a][b]++)
                assert_int_equal(meshes_say(a, b, said[a][b], load_len(said[a][b])), ERR_OK);
            done &= said[a][b] == LOAD_MESSAGES;
        }
    return done;
}

static bool all_heard(void)
{
    for (uint32_t a = 1; a <= meshes_count; a++)
        for (uint32_t b = 1; b <= meshes_count; b++)
            if (a != b && meshes[a].ends[b].messages < LOAD_MESSAGES)
                return false;
    return true;
}

static void messages_arrive_in_order_each_once(void **state)
{
    (void)state;
    for (unsigned count = 3; count <= 5; count += 2) {
        uint64_t said[LIMIT_REPLICAS + 1][LIMIT_REPLICAS + 1] = {{0}};
        meshes_start(count, &loop_no_keys);
        UNTIL_MESH(meshes_all_up());
        UNTIL_MESH(send_more(said) && all_heard());
        meshes_turn_for(50); /* nothing comes twice */
        uint64_t messages = 0;
        for (uint32_t a = 1; a <= count; a++)
            for (uint32_t b = 1; b <= count; b++)
                messages += meshes[a].ends[b].messages;
        assert_int_equal(messages, (uint64_t)count * (count - 1) * LOAD_MESSAGES);
        assert_int_equal(meshes_disorder(), 0);
        assert_int_equal(meshes_downs(), 0);
        print_message("%u replicas, %llu messages in all directions at once: each once, in order\n", count,
                      (unsigned long long)messages);
        meshes_stop();
    }
}

static void the_largest_message_passes_and_urgent_ones_pass_it(void **state)
{
    (void)state;
    const uint64_t number = 0;
    meshes_start(3, &loop_no_keys);
    UNTIL_MESH(meshes_all_up());
    for (uint32_t to = 2; to <= 3; to++) {
        assert_int_equal(meshes_say(1, to, 1, LIMIT_MESSAGE_BYTES), ERR_OK);
        assert_true(mesh_queued_bytes(meshes[1].mesh, to) > MIB);
        assert_int_equal(mesh_send_urgent(meshes[1].mesh, to, &number, sizeof number, loop_now_ms()), ERR_OK);
    }
    assert_int_equal(meshes_say(2, 1, 0, LIMIT_MESSAGE_BYTES), ERR_OK);
    UNTIL_MESH(meshes[2].ends[1].messages == 2 && meshes[3].ends[1].messages == 2 && meshes[1].ends[2].messages == 1);
    assert_int_equal(meshes_disorder(), 0); /* 0, the urgent one, came before 1 */
    assert_int_equal(meshes[2].ends[1].bytes, LIMIT_MESSAGE_BYTES + sizeof number);
    assert_int_equal(meshes[1].ends[2].bytes, LIMIT_MESSAGE_BYTES);
    UNTIL_MESH(mesh_queued_bytes(meshes[1].mesh, 2) == 0);
    assert_int_equal(meshes[1].ends[2].writables, 1);
    assert_int_equal(meshes_downs(), 0);
    meshes_stop();
}

/* --- resets --- */

static void a_full_queue_resets_the_link(void **state)
{
    (void)state;
    meshes_start(3, &loop_no_keys);
    UNTIL_MESH(meshes_all_up());
    for (uint32_t from = 1; from <= 2; from++) { /* 1 is the client of this link, 2 the replica */
        const uint32_t to = 3 - from;
        const unsigned ups = meshes[from].ends[to].ups, downs = meshes[from].ends[to].downs;
        uint64_t sent = 0;
        int err;
        while ((err = meshes_say(from, to, sent, LIMIT_CHUNK_BYTES)) == ERR_OK)
            sent++;
        assert_int_equal(err, ERR_TOO_MANY);
        assert_true(sent * LIMIT_CHUNK_BYTES <= LIMIT_LINK_QUEUE_BYTES + LIMIT_CREDIT_BYTES);
        assert_int_equal(meshes[from].ends[to].downs, downs + 1);
        assert_int_equal(meshes[from].ends[to].down_code, ERR_TOO_MANY);
        assert_false(mesh_is_up(meshes[from].mesh, to));
        assert_int_equal(meshes_say(from, to, 0, 8), ERR_UNREACHABLE);
        UNTIL_MESH(meshes[from].ends[to].ups == ups + 1 && meshes_up(from, to));
        assert_int_equal(meshes_say(from, to, 0, 8), ERR_OK);
        const uint64_t before = meshes[to].ends[from].messages;
        UNTIL_MESH(meshes[to].ends[from].messages == before + 1);
    }
    assert_int_equal(meshes_disorder(), 0);
    assert_int_equal(meshes[3].ends[1].downs + meshes[3].ends[2].downs, 0);
    meshes_stop();
}

/* `a` drops: it hears no down, `b` does; what was queued goes nowhere; both are up again. */
static uint64_t drop(uint32_t a, uint32_t b)
{
    const struct meshes_end near = meshes[a].ends[b], far = meshes[b].ends[a];
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(meshes_say(a, b, i, 60000), ERR_OK);
    const uint64_t start_us = loop_now_us();
    mesh_drop(meshes[a].mesh, b, loop_now_ms());
    mesh_drop(meshes[a].mesh, b, loop_now_ms()); /* nothing */
    assert_false(mesh_is_up(meshes[a].mesh, b));
    assert_int_equal(mesh_queued_bytes(meshes[a].mesh, b), 0);
    UNTIL_MESH(meshes_up(a, b));
    const uint64_t took_us = loop_now_us() - start_us;
    assert_int_equal(meshes[a].ends[b].downs, near.downs);
    assert_int_equal(meshes[a].ends[b].ups, near.ups + 1);
    assert_int_equal(meshes[b].ends[a].downs, far.downs + 1);
    assert_int_equal(meshes[b].ends[a].ups, far.ups + 1);
    assert_int_equal(meshes[b].ends[a].next, 0);
    assert_int_equal(meshes_say(a, b, 0, 8), ERR_OK);
    UNTIL_MESH(meshes[b].ends[a].next == 1);
    return took_us;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *first = a, *second = b;
    return (*first > *second) - (*first < *second);
}

static void a_dropped_link_opens_again(void **state)
{
    (void)state;
    uint64_t took_us[20];
    meshes_start(3, &loop_no_keys);
    UNTIL_MESH(meshes_all_up());
    for (uint32_t i = 0; i < 20; i++)
        took_us[i] = drop(1 + i % 2, 2 - i % 2);
    qsort(took_us, 20, sizeof *took_us, by_size);
    print_message("up again %.1f ms after a drop, at most %.1f\n", (double)took_us[10] / 1000,
                  (double)took_us[19] / 1000);
    assert_true(took_us[10] < 500000); /* the machine may stand still, but not each time */
    assert_int_equal(meshes_disorder(), 0);
    meshes_stop();
}

/* --- how fast: the other end in a process of its own --- */

enum { ROUNDS = 4000, SMALL_MESSAGES = 100000, BULK_MESSAGES = 3000, BULK_BYTES = 64 * 1024, ENTRY_BYTES = 300 };

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void measure_round_trips(void)
{
    static uint32_t took_us[ROUNDS];
    for (uint64_t i = 0; i < ROUNDS; i++) {
        const uint64_t start_us = loop_now_us(), before = meshes[1].ends[2].messages;
        assert_int_equal(meshes_say(1, 2, i | MESHES_ECHO, ENTRY_BYTES), ERR_OK);
        while (meshes[1].ends[2].messages == before)
            meshes_turn();
        took_us[i] = (uint32_t)(loop_now_us() - start_us);
    }
    qsort(took_us, ROUNDS, sizeof took_us[0], compare);
    print_message("%d B and back in %u us (median), %u us (99 %%)\n", ENTRY_BYTES, took_us[ROUNDS / 2],
                  took_us[ROUNDS / 100 * 99]);
}

static void measure_throughput(uint64_t first, uint64_t count, size_t len)
{
    const uint64_t start_us = loop_now_us(), before = meshes[1].ends[2].messages;
    for (uint64_t sent = 0; sent < count;) {
        for (; sent < count && mesh_queued_bytes(meshes[1].mesh, 2) < MIB; sent++)
            assert_int_equal(meshes_say(1, 2, (first + sent) | (sent == count - 1 ? MESHES_ECHO : 0), len), ERR_OK);
        meshes_turn();
    }
    UNTIL_MESH(meshes[1].ends[2].messages == before + 1);
    const double seconds = (double)(loop_now_us() - start_us) / 1e6;
    print_message("messages of %zu B: %.0f k/s, %.0f MB/s\n", len, (double)count / seconds / 1e3,
                  (double)count * (double)len / seconds / 1e6);
}

static void it_is_fast_enough(void **state)
{
    (void)state;
    meshes_prepare(2, &loop_no_keys);
    meshes_spawn(2);
    meshes_open(1);
    UNTIL_MESH(mesh_is_up(meshes[1].mesh, 2));
    measure_round_trips();
    measure_throughput(ROUNDS, SMALL_MESSAGES, ENTRY_BYTES);
    measure_throughput(ROUNDS + SMALL_MESSAGES, BULK_MESSAGES, BULK_BYTES);
    assert_int_equal(meshes_downs(), 0);
    meshes_stop();
}

int main(int argc, char **argv)
{
    meshes_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_pairs_come_up),
        cmocka_unit_test(an_ensemble_of_one_has_nobody_to_talk_to),
        cmocka_unit_test(what_cannot_be_opened_says_why),
        cmocka_unit_test(messages_arrive_in_order_each_once),
        cmocka_unit_test(the_largest_message_passes_and_urgent_ones_pass_it),
        cmocka_unit_test(a_full_queue_resets_the_link),
        cmocka_unit_test(a_dropped_link_opens_again),
        cmocka_unit_test(it_is_fast_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
