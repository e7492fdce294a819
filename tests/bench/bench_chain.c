/* bench_chain DIR REPLICAS SECONDS - what a write takes at least on this machine, for tests/bench/run to set beside
 * ours: processes that hand a message of a write's size along the way a write goes, over nanomsg as we use it, each
 * with a file in DIR as its log. No protocol, no tree, no sealing, no mount, and nobody else who listens.
 *
 *   client -> its replica -> leader -> all replicas, which write, as the leader does -> leader, at a quorum -> all
 *   replicas -> client
 *
 * One replica: client -> replica, which writes -> client. */
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "replica/net/carrier.h"
#include "tests/bench/bench.h"

/* The nodes are the replicas from 0, of which the last one leads and the first is the client's, and the client. */
enum { REPLICAS_MAX = 7, PORT = 27481, MESSAGE_BYTES = 360 };

enum kind { REQUEST, PROPOSAL, ACK, COMMIT, REPLY };
struct message {
    enum kind kind;
    unsigned number; /* of the write */
    char rest[MESSAGE_BYTES - sizeof(enum kind) - sizeof(unsigned)];
};

struct node {
    unsigned id, replicas;
    int in, out[REPLICAS_MAX + 1];
    struct bench_log log;
    struct message message; /* the last one, in and out */
    unsigned number, acks;  /* of the write that is under way: the leader's */
};

static int open_socket(int protocol, unsigned node)
{
    char address[64];
    int one = 1, socket = carrier_socket(AF_SP, protocol);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%u", PORT + node);
    if (socket < 0 || nn_setsockopt(socket, NN_TCP, NN_TCP_NODELAY, &one, sizeof one) != 0 ||
        (protocol == NN_PULL ? nn_bind(socket, address) : nn_connect(socket, address)) < 0)
        bench_fail("bench_chain: %s: %s", address, nn_strerror(nn_errno()));
    return socket;
}

static struct node *join(unsigned id, unsigned replicas)
{
    struct node *node = calloc(1, sizeof *node);
    if (node == NULL)
        bench_fail("bench_chain: no memory");
    node->id = id;
    node->replicas = replicas;
    node->in = open_socket(NN_PULL, id);
    for (unsigned i = 0; i <= replicas; i++)
        if (i != id)
            node->out[i] = open_socket(NN_PUSH, i);
    return node;
}

static void tell(struct node *node, unsigned to, enum kind kind)
{
    node->message.kind = kind;
    if (nn_send(node->out[to], &node->message, sizeof node->message, 0) < 0)
        bench_fail("bench_chain: %s", nn_strerror(nn_errno()));
}

static void tell_followers(struct node *node, enum kind kind)
{
    for (unsigned i = 0; i + 1 < node->replicas; i++)
        tell(node, i, kind);
}

static void await_message(struct node *node)
{
    if (nn_recv(node->in, &node->message, sizeof node->message, 0) != sizeof node->message)
        bench_fail("bench_chain: %s", nn_strerror(nn_errno()));
}

static void write_log(struct node *node)
{
    if (bench_log_write(&node->log) != 0)
        bench_fail("bench_chain: cannot write");
}

/* The leader counts itself: it has written before it looks at an answer. */
static void propose(struct node *node)
{
    unsigned leader = node->replicas - 1;
    if (node->id != leader) {
        tell(node, leader, REQUEST);
        return;
    }
    tell_followers(node, PROPOSAL);
    write_log(node);
    node->number = node->message.number;
    node->acks = 1;
    if (leader == 0)
        tell(node, node->replicas, REPLY);
}

static void carry(struct node *node)
{
    switch (node->message.kind) {
    case REQUEST:
        propose(node);
        break;
    case PROPOSAL:
        write_log(node);
        tell(node, node->replicas - 1, ACK);
        break;
    case ACK:
        if (node->message.number == node->number && ++node->acks == node->replicas / 2 + 1)
            tell_followers(node, COMMIT);
        break;
    case COMMIT:
        if (node->id == 0)
            tell(node, node->replicas, REPLY);
        break;
    case REPLY:
        break;
    }
}

static _Noreturn void be_replica(const char *dir, unsigned id, unsigned replicas)
{
    char path[4096];
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* it goes with whoever measures */
    struct node *node = join(id, replicas);
    snprintf(path, sizeof path, "%s/log-%u", dir, id);
    if (bench_log_open(&node->log, path) != 0)
        bench_fail("bench_chain: %s", path);
    for (;;) {
        await_message(node);
        carry(node);
    }
}

struct chain {
    const char *dir;
    unsigned replicas;
};

/* A message to a replica that is not there yet waits for it. */
static void *begin(const void *arg, unsigned process)
{
    const struct chain *chain = arg;
    (void)process;
    for (unsigned i = 0; i < chain->replicas; i++)
        if (fork() == 0)
            be_replica(chain->dir, i, chain->replicas);
    return join(chain->replicas, chain->replicas);
}

static int step(void *context)
{
    struct node *node = context;
    node->message.number++;
    tell(node, 0, REQUEST);
    await_message(node);
    return node->message.kind != REPLY;
}

int main(int argc, char **argv)
{
    struct chain chain = {argc == 4 ? argv[1] : NULL, argc == 4 ? (unsigned)atoi(argv[2]) : 0};
    if (chain.replicas < 1 || chain.replicas > REPLICAS_MAX)
        bench_fail("usage: bench_chain DIR REPLICAS SECONDS");
    struct bench_work work = {.begin = begin, .step = step, .arg = &chain};
    return bench_run(&work, 1, atof(argv[3]));
}
