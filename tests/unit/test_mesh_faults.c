/* Meshes when things go wrong: replicas that die, hang, come back or have forgotten; wrong keys; lists that disagree;
 * strangers on the peer port. */
#include "replica/net/frame.h"
#include "replica/net/mesh_internal.h"
#include "tests/support/keys.h"
#include "tests/support/meshes.h"

#include <arpa/inet.h>
#include <nanomsg/pipeline.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- dying and coming back --- */

enum { ROUNDS = 10 };

struct figures {
    double ms[ROUNDS]; /* ascending */
    size_t count;
};

static void count(struct figures *figures, uint64_t start_us)
{
    const double ms = (double)(loop_now_us() - start_us) / 1000;
    size_t at = figures->count++;
    for (; at > 0 && figures->ms[at - 1] > ms; at--)
        figures->ms[at] = figures->ms[at - 1];
    figures->ms[at] = ms;
}

static double median(const struct figures *figures)
{
    return figures->ms[figures->count / 2];
}

static double worst(const struct figures *figures)
{
    return figures->ms[figures->count - 1];
}

static bool linked_to(uint32_t id, bool up)
{
    for (uint32_t other = 1; other <= meshes_count; other++)
        if (other != id && mesh_is_up(meshes[other].mesh, id) != up)
            return false;
    return true;
}

/* Replica `id` is killed and started again, `ROUNDS` times; it is the client or the replica of its links. */
static void die_and_return(uint32_t id, const char *what)
{
    struct figures noticed = {0}, returned = {0};
    meshes_prepare(3, &loop_no_keys);
    meshes_spawn(id);
    for (uint32_t other = 1; other <= 3; other++)
        if (other != id)
            meshes_open(other);
    UNTIL_MESH(linked_to(id, true));
    for (unsigned round = 0; round < ROUNDS; round++) {
        meshes_turn_for(60); /* handshakes of one link are 50 ms apart */
        uint64_t start_us = loop_now_us();
        meshes_kill(id);
        UNTIL_MESH(linked_to(id, false));
        count(&noticed, start_us);
        meshes_spawn(id);
        start_us = loop_now_us();
        UNTIL_MESH(linked_to(id, true));
        count(&returned, start_us);
        const uint32_t other = id == 1 ? 2 : 1;
        assert_int_equal(meshes_say(other, id, MESHES_ECHO, 300), ERR_OK);
        UNTIL_MESH(meshes[other].ends[id].next == 1); /* of the new link */
    }
    print_message(
        "kill -9 of the %s of the links: noticed after %.1f ms (median; at most %.1f), up again %.1f ms after "
        "its return (at most %.1f)\n",
        what, median(&noticed), worst(&noticed), median(&returned), worst(&returned));
    const uint32_t a = id == 1 ? 2 : 1, b = id == 3 ? 2 : 3;
    assert_int_equal(meshes[a].ends[b].downs + meshes[b].ends[a].downs, 0);
    assert_int_equal(meshes_disorder(), 0);
    /* Far from what silence would take, and far from what a busy machine adds. */
    assert_true(median(&noticed) < 500 && median(&returned) < 500);
    meshes_stop();
}

static void a_killed_replica_is_missed_and_found_again(void **state)
{
    (void)state;
    die_and_return(1, "client");
    die_and_return(3, "replica");
}

static void a_closed_replica_is_missed_and_found_again(void **state)
{
    (void)state;
    meshes_start(3, &loop_no_keys);
    for (unsigned round = 1; round <= ROUNDS; round++)
        for (uint32_t id = 1; id <= 3; id++) {
            UNTIL_MESH(meshes_all_up());
            meshes_close(id);
            UNTIL_MESH(linked_to(id, false));
            meshes_open(id);
        }
    UNTIL_MESH(meshes_all_up());
    meshes_stop();
}

/* Nothing that was sent to it while it hung arrives once the link was dropped. */
static void a_replica_that_hangs_is_dropped_and_comes_back(void **state)
{
    (void)state;
    struct figures returned = {0};
    meshes_prepare(2, &loop_no_keys);
    meshes_spawn(2);
    meshes_open(1);
    UNTIL_MESH(mesh_is_up(meshes[1].mesh, 2));
    for (unsigned round = 0; round < 3; round++) {
        kill(meshes[2].pid, SIGSTOP);
        for (uint64_t i = 0; i < 100; i++)
            assert_int_equal(meshes_say(1, 2, i | MESHES_ECHO, 9000), ERR_OK);
        meshes_turn_for(50);
        const uint64_t before = meshes[1].ends[2].messages;
        mesh_drop(meshes[1].mesh, 2, loop_now_ms());
        meshes_turn_for(700); /* longer than a connection is kept over which no link opens */
        kill(meshes[2].pid, SIGCONT);
        const uint64_t start_us = loop_now_us();
        UNTIL_MESH(mesh_is_up(meshes[1].mesh, 2));
        count(&returned, start_us);
        assert_int_equal(meshes_say(1, 2, MESHES_ECHO, 300), ERR_OK);
        UNTIL_MESH(meshes[1].ends[2].messages == before + 1);
        assert_int_equal(meshes[1].ends[2].next, 1);
    }
    print_message("after a hang of 0.7 s: up again after at most %.1f ms\n", worst(&returned));
    assert_int_equal(meshes_disorder(), 0);
    assert_int_equal(meshes[1].ends[2].downs, 0);
    meshes_stop();
}

/* --- an end made by hand --- */

struct forger { /* stands at the address of a replica that does not run */
    uint8_t head[MESH_HEAD_BYTES];
    int push, pull, endpoint;
    struct link *link;
    unsigned ups, downs, knocks;
    int code;
};

static void forger_send(void *arg, const void *frame, size_t len)
{
    const struct forger *forger = arg;
    socket_push(forger->push, forger->head, sizeof forger->head, frame, len);
}

static void forger_up(void *arg)
{
    ((struct forger *)arg)->ups++;
}

static void forger_down(void *arg, int code)
{
    struct forger *forger = arg;
    forger->downs++;
    forger->code = code;
}

static void forger_message(void *arg, const void *message, size_t len)
{
    (void)arg;
    (void)message;
    (void)len;
}

static void forger_link(struct forger *forger, enum link_side side, const struct link_keys *keys)
{
    const struct link_events events = {forger, forger_send, forger_up, forger_down, forger_message, NULL};
    link_free(forger->link);
    forger->link = link_new(side, keys, &events);
    assert_non_null(forger->link);
}

static void forger_open(struct forger *forger, uint32_t as, uint32_t to)
{
    struct address address;
    uint16_t number = 0;
    char text[256];
    *forger = (struct forger){.head = {(uint8_t)as, 0, 0, 0, (uint8_t)to}};
    assert_int_equal(socket_open(NN_PULL, &forger->pull, text, sizeof text), ERR_OK);
    assert_int_equal(socket_listen(forger->pull, meshes[as].address, &number, text, sizeof text), ERR_OK);
    assert_int_equal(socket_open(NN_PUSH, &forger->push, text, sizeof text), ERR_OK);
    assert_int_equal(address_resolve(meshes[to].address, &address), ERR_OK);
    assert_int_equal(socket_connect(forger->push, &address, &forger->endpoint, text, sizeof text), ERR_OK);
}

static void forger_turn(struct forger *forger)
{
    void *frame;
    size_t len;
    meshes_turn();
    while (socket_pull(forger->pull, &frame, &len)) {
        if (len == MESH_HEAD_BYTES)
            forger->knocks++;
        else
            link_receive(forger->link, (const uint8_t *)frame + MESH_HEAD_BYTES, len - MESH_HEAD_BYTES, loop_now_ms());
        frame_release(frame);
    }
    link_tick(forger->link, loop_now_ms());
}

static void forger_knock(const struct forger *forger)
{
    socket_push(forger->push, forger->head, sizeof forger->head, NULL, 0);
}

static void forger_close(struct forger *forger)
{
    link_free(forger->link);
    socket_close(forger->push);
    socket_close(forger->pull);
}

#define UNTIL_FORGED(forger, condition)                                                                                \
    do {                                                                                                               \
        const uint64_t end_ms_ = loop_now_ms() + LOOP_PATIENCE_MS;                                                     \
        while (!(condition) && loop_now_ms() < end_ms_)                                                                \
            forger_turn(forger);                                                                                       \
        assert_true(condition);                                                                                        \
    } while (0)

/* --- a link that only one end still has --- */

/* The connection stays, the other end's link is gone: its knock makes the client look, and open a new one. */
static void a_forgotten_link_is_opened_again(void **state)
{
    (void)state;
    struct forger forger;
    meshes_prepare(2, &loop_no_keys);
    forger_open(&forger, 2, 1);
    forger_link(&forger, LINK_REPLICA, &loop_no_keys);
    meshes_open(1);
    UNTIL_FORGED(&forger, forger.ups == 1 && mesh_is_up(meshes[1].mesh, 2));
    forger_link(&forger, LINK_REPLICA, &loop_no_keys);
    const uint64_t start_us = loop_now_us();
    forger_knock(&forger);
    UNTIL_FORGED(&forger, forger.ups == 2);
    const uint64_t took_us = loop_now_us() - start_us;
    print_message("a link that the other end has forgotten: open again after %.1f ms\n", (double)took_us / 1e3);
    assert_int_equal(meshes[1].ends[2].downs, 1);
    assert_true(took_us >= MESH_DOUBT_MS * 800); /* it was not taken at its word */
    assert_true(took_us < LINK_SILENCE_MS * 1000);
    forger_close(&forger);
    meshes_stop();
}

/* Between two replicas that are well, someone else sends knocks in the name of one. */
static void forged_knocks_end_no_link(void **state)
{
    (void)state;
    struct forger forger = {0};
    meshes_start(3, &loop_no_keys);
    UNTIL_MESH(meshes_all_up());
    char spare[32];
    snprintf(spare, sizeof spare, "%s", meshes[2].address);
    snprintf(meshes[2].address, sizeof meshes[2].address, "127.0.0.1:0"); /* the forger listens elsewhere */
    forger_open(&forger, 2, 1);
    snprintf(meshes[2].address, sizeof meshes[2].address, "%s", spare);
    const uint64_t end_ms = loop_now_ms() + 5 * MESH_DOUBT_MS;
    while (loop_now_ms() < end_ms) {
        forger_knock(&forger);
        meshes_turn();
    }
    assert_int_equal(meshes_downs(), 0);
    forger_close(&forger);
    meshes_stop();
}

/* --- keys --- */

static void replicas_need_the_same_key(void **state)
{
    (void)state;
    struct link_keys mount, replica, other_mount, other;
    make_keys(&mount, &replica);
    make_keys(&other_mount, &other);
    for (uint32_t odd = 1; odd <= 3; odd++) /* as client, as both, as replica of its links */
        for (unsigned keyless = 0; keyless < 2; keyless++) {
            const uint32_t a = odd == 1 ? 2 : 1, b = odd == 3 ? 2 : 3;
            meshes_prepare(3, &replica);
            meshes[odd].keys = keyless ? loop_no_keys : other;
            for (uint32_t id = 1; id <= 3; id++)
                meshes_open(id);
            UNTIL_MESH(meshes_up(a, b));
            UNTIL_MESH(meshes[odd].refused > 0 && meshes[a].refused > 0 && meshes[b].refused > 0);
            assert_int_equal(meshes[odd].refused_code, ERR_BAD_KEY);
            assert_int_equal(meshes[a].refused_code, ERR_BAD_KEY);
            assert_int_equal(meshes[a].refused_peer, odd);
            assert_int_equal(meshes[b].refused_peer, odd);
            assert_int_equal(meshes[odd].ends[a].ups + meshes[odd].ends[b].ups, 0);
            assert_int_equal(meshes_downs(), 0);
            meshes_stop();
        }
}

/* Someone who holds these keys stands for replica 1, the client, or 3, the replica of the link to 2. */
static void try_keys(const struct link_keys *replica, const struct link_keys *keys)
{
    for (uint32_t as = 1; as <= 3; as += 2) {
        struct forger forger;
        meshes_prepare(3, replica);
        forger_open(&forger, as, 2);
        forger_link(&forger, as == 1 ? LINK_CLIENT : LINK_REPLICA, keys);
        meshes_open(2);
        UNTIL_FORGED(&forger, meshes[2].refused > 0 && forger.downs > 0);
        assert_int_equal(meshes[2].refused_peer, as);
        assert_int_equal(meshes[2].refused_code, ERR_BAD_KEY);
        assert_int_equal(forger.code, ERR_BAD_KEY);
        assert_int_equal(forger.ups + meshes[2].ends[as].ups, 0);
        forger_close(&forger);
        meshes_stop();
    }
}

static void a_mounts_key_opens_no_link_between_replicas(void **state)
{
    (void)state;
    const struct mesh_events events = {0};
    struct link_keys mount, replica, between;
    struct mesh *mesh;
    char text[256];
    make_keys(&mount, &replica);
    const struct mesh_options options = {1, "127.0.0.1:0", NULL, 0, mount};
    assert_int_equal(mesh_open(&options, &events, &mesh, text, sizeof text), ERR_BAD_KEY);
    try_keys(&replica, &mount);
    try_keys(&replica, &loop_no_keys);
    try_keys(&replica, &replica); /* what opens the port of the mounts */
    keys_between(&replica, 1, 3, &between);
    try_keys(&replica, &between); /* of another pair */
}

static void the_right_keys_do_open(void **state)
{
    (void)state;
    struct link_keys mount, replica, between;
    struct forger forger;
    make_keys(&mount, &replica);
    meshes_prepare(3, &replica);
    forger_open(&forger, 1, 2);
    keys_between(&replica, 1, 2, &between);
    forger_link(&forger, LINK_CLIENT, &between);
    meshes_open(2);
    UNTIL_FORGED(&forger, forger.ups == 1 && mesh_is_up(meshes[2].mesh, 1));
    forger_close(&forger);
    meshes_stop();
}

/* --- lists that disagree --- */

static void a_replica_taken_for_another_says_so(void **state)
{
    (void)state;
    char second[32];
    meshes_prepare(3, &loop_no_keys);
    meshes_open(2);
    meshes_open(3);
    memcpy(second, meshes[2].address, sizeof second);
    memcpy(meshes[2].address, meshes[3].address, sizeof second);
    memcpy(meshes[3].address, second, sizeof second);
    meshes_open(1); /* has 2 and 3 the wrong way round */
    UNTIL_MESH(meshes_up(2, 3) && meshes[2].refused > 0 && meshes[3].refused > 0);
    assert_int_equal(meshes[2].refused_code, ERR_INVALID);
    assert_int_equal(meshes[2].refused_peer, 1);
    assert_int_equal(meshes[3].refused_peer, 1);
    assert_int_equal(meshes[1].ends[2].ups + meshes[1].ends[3].ups, 0);
    meshes_stop();
}

/* --- strangers --- */

static int connect_plainly(uint16_t port)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

enum { NOISE_BYTES = 600 };

/* What a stranger may send: bytes; or nanomsg's greeting, a length, ids of replicas, then anything, perhaps a frame of
 * some type; or one that is longer than any frame. */
static int send_noise(uint16_t port, uint32_t from, uint32_t to, unsigned seed)
{
    static const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, 80, 0, 0}; /* a PUSH */
    uint8_t noise[NOISE_BYTES];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)rand_r(&seed);
    const unsigned kind = (unsigned)rand_r(&seed) % 8;
    const size_t len = kind == 0 ? 0 : (size_t)rand_r(&seed) % (NOISE_BYTES - 16);
    const int fd = connect_plainly(port);
    if (kind != 1) {
        assert_int_equal(write(fd, greeting, sizeof greeting), sizeof greeting);
        memset(noise, 0, 8);
        noise[5] = kind == 2; /* 64 KiB and more */
        noise[6] = (uint8_t)(len >> 8);
        noise[7] = (uint8_t)len;
    }
    if (kind >= 3) {
        memset(noise + 8, 0, 8);
        noise[8] = (uint8_t)from;
        noise[12] = (uint8_t)to;
    }
    if (kind >= 5) {
        memcpy(noise + 16, "PF\1", 3);
        noise[19] %= 10;
    }
    assert_int_equal(write(fd, noise, len + 8), len + 8);
    return fd;
}

static void strangers_do_not_disturb(void **state)
{
    (void)state;
    uint64_t said[3][3] = {{0}};
    int open_fds[32]; /* a connection is closed when its noise has been heard, most likely */
    memset(open_fds, -1, sizeof open_fds);
    meshes_start(3, &loop_no_keys);
    UNTIL_MESH(meshes_all_up());
    for (unsigned i = 0; i < 300; i++) {
        const uint32_t from = 1 + i % 4, to = 1 + i % 3; /* 4 is nobody */
        close(open_fds[i % 32]);
        open_fds[i % 32] = send_noise(mesh_number(meshes[to].mesh), from, to, i);
        for (uint32_t a = 1; a <= 3; a++)
            for (uint32_t b = 1; b <= 3; b++)
                if (a != b)
                    assert_int_equal(meshes_say(a, b, said[a - 1][b - 1]++, 8 + i), ERR_OK);
        meshes_turn();
    }
    for (uint32_t a = 1; a <= 3; a++)
        UNTIL_MESH(meshes[a].ends[a % 3 + 1].messages == 300 && meshes[a].ends[(a + 1) % 3 + 1].messages == 300);
    assert_int_equal(meshes_downs(), 0);
    assert_int_equal(meshes_disorder(), 0);
    UNTIL_MESH(meshes[1].refused > 0 && meshes[2].refused > 0 && meshes[3].refused > 0);
    for (size_t i = 0; i < 32; i++)
        close(open_fds[i]);
    meshes_stop();
}

int main(int argc, char **argv)
{
    meshes_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_replica_is_missed_and_found_again),
        cmocka_unit_test(a_closed_replica_is_missed_and_found_again),
        cmocka_unit_test(a_replica_that_hangs_is_dropped_and_comes_back),
        cmocka_unit_test(a_forgotten_link_is_opened_again),
        cmocka_unit_test(forged_knocks_end_no_link),
        cmocka_unit_test(replicas_need_the_same_key),
        cmocka_unit_test(a_mounts_key_opens_no_link_between_replicas),
        cmocka_unit_test(the_right_keys_do_open),
        cmocka_unit_test(a_replica_taken_for_another_says_so),
        cmocka_unit_test(strangers_do_not_disturb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
