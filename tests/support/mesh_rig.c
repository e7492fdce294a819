#include "tests/support/mesh_rig.h"
#include "replica/net/address.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct rig_node rig[LIMIT_REPLICAS + 1];
unsigned rig_count;

/* --- what the meshes say --- */

static void on_up(void *arg, uint32_t peer)
{
    struct rig_node *node = arg;
    struct rig_end *end = &node->ends[peer];
    end->ups++;
    end->next = 0;
}

static void on_down(void *arg, uint32_t peer, int code)
{
    struct rig_node *node = arg;
    node->ends[peer].downs++;
    node->ends[peer].down_code = code;
}

static void on_message(void *arg, uint32_t peer, const void *message, size_t len)
{
    struct rig_node *node = arg;
    struct rig_end *end = &node->ends[peer];
    uint64_t number;
    assert_true(len >= sizeof number);
    memcpy(&number, message, sizeof number);
    end->disorder += number != end->next;
    end->next = number + 1;
    end->messages++;
    end->bytes += len;
    if (node->echo)
        assert_int_equal(mesh_send(node->mesh, peer, message, len, loop_now_ms()), ERR_OK);
}

static void on_writable(void *arg, uint32_t peer)
{
    struct rig_node *node = arg;
    node->ends[peer].writables++;
}

static void on_refused(void *arg, uint32_t peer, int code)
{
    struct rig_node *node = arg;
    node->refused++;
    node->refused_peer = peer;
    node->refused_code = code;
}

/* --- starting and stopping --- */

void rig_open(uint32_t id)
{
    struct rig_node *node = &rig[id];
    struct mesh_peer peers[LIMIT_REPLICAS];
    size_t count = 0;
    char text[256] = "";
    for (uint32_t other = 1; other <= rig_count; other++)
        if (other != id)
            peers[count++] = (struct mesh_peer){other, rig[other].address};
    const struct mesh_options options = {id, node->address, peers, count, node->keys};
    const struct mesh_events events = {node, on_up, on_down, on_message, on_writable, on_refused};
    if (mesh_open(&options, &events, &node->mesh, text, sizeof text) != ERR_OK)
        fail_msg("%s", text);
}

void rig_start(unsigned count, const struct link_keys *keys)
{
    memset(rig, 0, sizeof rig);
    rig_count = count;
    for (uint32_t id = 1; id <= count; id++) {
        struct address address;
        assert_int_equal(address_resolve("127.0.0.1:0", &address), ERR_OK);
        assert_int_equal(address_pick_port(&address), ERR_OK);
        rig[id].id = id;
        rig[id].keys = *keys;
        snprintf(rig[id].address, sizeof rig[id].address, "127.0.0.1:%u", address_port(&address));
    }
    for (uint32_t id = 1; id <= count; id++)
        rig_open(id);
}

void rig_close(uint32_t id)
{
    mesh_close(rig[id].mesh);
    rig[id].mesh = NULL;
}

void rig_stop(void)
{
    for (uint32_t id = 1; id <= rig_count; id++)
        rig_close(id);
}

uint16_t rig_port(uint32_t id)
{
    return mesh_number(rig[id].mesh);
}

/* --- what they do --- */

bool rig_up(uint32_t a, uint32_t b)
{
    return mesh_is_up(rig[a].mesh, b) && mesh_is_up(rig[b].mesh, a);
}

bool rig_all_up(void)
{
    for (uint32_t a = 1; a <= rig_count; a++)
        for (uint32_t b = 1; b < a; b++)
            if (!rig_up(a, b))
                return false;
    return true;
}

int rig_say(uint32_t from, uint32_t to, uint64_t number, size_t len)
{
    static uint8_t message[LIMIT_MESSAGE_BYTES];
    memcpy(message, &number, sizeof number);
    return mesh_send(rig[from].mesh, to, message, len, loop_now_ms());
}

void rig_turn(void)
{
    static uint64_t due_ms[LIMIT_REPLICAS + 1];
    struct pollfd fds[LIMIT_REPLICAS];
    nfds_t count = 0;
    uint64_t first_ms = UINT64_MAX;
    for (uint32_t id = 1; id <= rig_count; id++)
        if (rig[id].mesh != NULL) {
            fds[count++] = (struct pollfd){.fd = mesh_fd(rig[id].mesh), .events = POLLIN};
            first_ms = due_ms[id] < first_ms ? due_ms[id] : first_ms;
        }
    poll(fds, count, loop_wait_ms(first_ms));
    for (uint32_t id = 1; id <= rig_count; id++) {
        bool more = false;
        if (rig[id].mesh != NULL)
            due_ms[id] = mesh_run(rig[id].mesh, loop_now_ms(), 0, &more);
        assert_false(more);
    }
}

void rig_turn_for(uint64_t ms)
{
    const uint64_t end_ms = loop_now_ms() + ms;
    while (loop_now_ms() < end_ms)
        rig_turn();
}
