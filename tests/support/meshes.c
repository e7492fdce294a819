#include "tests/support/meshes.h"
#include "tests/support/ports.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct meshes_node meshes[LIMIT_REPLICAS + 1];
unsigned meshes_count;

/* --- what the meshes say --- */

static void on_up(void *arg, uint32_t peer)
{
    struct meshes_node *node = arg;
    struct meshes_end *end = &node->ends[peer];
    end->ups++;
    end->next = 0;
}

static void on_down(void *arg, uint32_t peer, int code)
{
    struct meshes_node *node = arg;
    node->ends[peer].downs++;
    node->ends[peer].down_code = code;
}

static void on_message(void *arg, uint32_t peer, const void *message, size_t len)
{
    struct meshes_node *node = arg;
    struct meshes_end *end = &node->ends[peer];
    uint64_t number;
    assert_true(len >= sizeof number);
    memcpy(&number, message, sizeof number);
    end->disorder += (number & ~MESHES_ECHO) != end->next;
    end->next = (number & ~MESHES_ECHO) + 1;
    end->messages++;
    end->bytes += len;
    if (node->echo && (number & MESHES_ECHO) != 0)
        assert_int_equal(mesh_send(node->mesh, peer, message, len, loop_now_ms()), ERR_OK);
}

static void on_writable(void *arg, uint32_t peer)
{
    struct meshes_node *node = arg;
    node->ends[peer].writables++;
}

static void on_refused(void *arg, uint32_t peer, int code)
{
    struct meshes_node *node = arg;
    node->refused++;
    node->refused_peer = peer;
    node->refused_code = code;
}

/* --- starting and stopping --- */

void meshes_open(uint32_t id)
{
    struct meshes_node *node = &meshes[id];
    struct mesh_peer peers[LIMIT_REPLICAS];
    size_t count = 0;
    char text[256] = "";
    for (uint32_t other = 1; other <= meshes_count; other++)
        if (other != id)
            peers[count++] = (struct mesh_peer){other, meshes[other].address};
    const struct mesh_options options = {id, node->address, peers, count, node->keys};
    const struct mesh_events events = {node, on_up, on_down, on_message, on_writable, on_refused};
    if (mesh_open(&options, &events, &node->mesh, text, sizeof text) != ERR_OK)
        fail_msg("%s", text);
}

void meshes_prepare(unsigned count, const struct link_keys *keys)
{
    memset(meshes, 0, sizeof meshes);
    meshes_count = count;
    for (uint32_t id = 1; id <= count; id++) {
        meshes[id].id = id;
        meshes[id].keys = *keys;
        hold_address(meshes[id].address, sizeof meshes[id].address);
    }
}

void meshes_start(unsigned count, const struct link_keys *keys)
{
    meshes_prepare(count, keys);
    for (uint32_t id = 1; id <= count; id++)
        meshes_open(id);
}

void meshes_close(uint32_t id)
{
    mesh_close(meshes[id].mesh);
    meshes[id].mesh = NULL;
}

void meshes_stop(void)
{
    for (uint32_t id = 1; id <= meshes_count; id++) {
        meshes_close(id);
        meshes_kill(id);
    }
}

/* --- a replica in a process of its own --- */

void meshes_main(int argc, char **argv)
{
    if (argc < 3 || strcmp(argv[0], "replica") != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    meshes_count = (unsigned)argc - 2;
    const uint32_t self = (uint32_t)atoi(argv[1]);
    for (uint32_t id = 1; id <= meshes_count; id++)
        snprintf(meshes[id].address, sizeof meshes[id].address, "%s", argv[id + 1]);
    meshes_open(self);
    meshes[self].echo = true;
    if (write(STDOUT_FILENO, "!", 1) != 1)
        _exit(1);
    for (;;)
        meshes_turn();
}

void meshes_spawn(uint32_t id)
{
    char number[16], *argv[LIMIT_REPLICAS + 3] = {(char[]){"replica"}, number};
    int ready[2];
    char byte;
    snprintf(number, sizeof number, "%u", id);
    for (uint32_t other = 1; other <= meshes_count; other++)
        argv[other + 1] = meshes[other].address;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    meshes[id].pid = fork();
    assert_true(meshes[id].pid >= 0);
    if (meshes[id].pid == 0) {
        dup2(ready[1], STDOUT_FILENO);
        execv("/proc/self/exe", argv);
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
}

void meshes_kill(uint32_t id)
{
    if (meshes[id].pid == 0)
        return;
    kill(meshes[id].pid, SIGKILL);
    waitpid(meshes[id].pid, NULL, 0);
    meshes[id].pid = 0;
}

/* --- what they do --- */

bool meshes_up(uint32_t a, uint32_t b)
{
    return mesh_is_up(meshes[a].mesh, b) && mesh_is_up(meshes[b].mesh, a);
}

bool meshes_all_up(void)
{
    for (uint32_t a = 1; a <= meshes_count; a++)
        for (uint32_t b = 1; b < a; b++)
            if (meshes[a].mesh != NULL && meshes[b].mesh != NULL && !meshes_up(a, b))
                return false;
    return true;
}

uint64_t meshes_disorder(void)
{
    uint64_t disorder = 0;
    for (uint32_t a = 1; a <= meshes_count; a++)
        for (uint32_t b = 1; b <= meshes_count; b++)
            disorder += meshes[a].ends[b].disorder;
    return disorder;
}

unsigned meshes_downs(void)
{
    unsigned downs = 0;
    for (uint32_t a = 1; a <= meshes_count; a++)
        for (uint32_t b = 1; b <= meshes_count; b++)
            downs += meshes[a].ends[b].downs;
    return downs;
}

int meshes_say(uint32_t from, uint32_t to, uint64_t number, size_t len)
{
    static uint8_t message[LIMIT_MESSAGE_BYTES];
    memcpy(message, &number, sizeof number);
    return mesh_send(meshes[from].mesh, to, message, len, loop_now_ms());
}

void meshes_turn(void)
{
    static uint64_t due_ms[LIMIT_REPLICAS + 1];
    struct pollfd fds[LIMIT_REPLICAS];
    nfds_t count = 0;
    uint64_t first_ms = UINT64_MAX;
    for (uint32_t id = 1; id <= meshes_count; id++)
        if (meshes[id].mesh != NULL) {
            fds[count++] = (struct pollfd){.fd = mesh_fd(meshes[id].mesh), .events = POLLIN};
            first_ms = due_ms[id] < first_ms ? due_ms[id] : first_ms;
        }
    poll(fds, count, loop_wait_ms(first_ms));
    for (uint32_t id = 1; id <= meshes_count; id++) {
        bool more = false;
        if (meshes[id].mesh != NULL)
            due_ms[id] = mesh_run(meshes[id].mesh, loop_now_ms(), 0, &more);
        assert_false(more);
    }
}

void meshes_turn_for(uint64_t ms)
{
    const uint64_t end_ms = loop_now_ms() + ms;
    while (loop_now_ms() < end_ms)
        meshes_turn();
}
