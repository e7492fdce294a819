/* A replica in a process of its own is killed again and again while clients write: nothing acknowledged is lost,
 * nothing is done twice, and no client sees an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/client/client.h"
#include "replica/pactd/replica.h"

extern char **environ;

enum { CLIENTS = 3, OUTSTANDING = 32, KILLS = 15, SOAK_KILLS = 100, ACKNOWLEDGED_MAX = 1 << 22 };

/* --- the replica's process: this program called as `PROGRAM replica DIRECTORY PORT DESCRIPTOR` --- */

static void tell_port(void *arg, uint16_t port)
{
    dprintf(*(int *)arg, "%u\n", port);
}

static int replica_main(char **argv)
{
    char address[64], text[256];
    int descriptor = atoi(argv[4]);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
    snprintf(address, sizeof address, "127.0.0.1:%s", argv[3]);
    const char *const addresses[] = {address};
    struct replica_options options = {.id = 1,
                                      .data = argv[2],
                                      .addresses = addresses,
                                      .address_count = 1,
                                      .members = &(struct replica_member){1, address, address},
                                      .member_count = 1,
                                      .log_level = "error",
                                      .snapshot_every_entries = 2000,
                                      .ready = tell_port,
                                      .ready_arg = &descriptor};
    struct replica *replica;
    if (replica_open(&options, &replica, text, sizeof text) != ERR_OK) {
        fprintf(stderr, "%s\n", text);
        return 1;
    }
    return replica_run(replica);
}

struct process {
    char directory[64];
    char port[16];
    pid_t pid;
};

/* Returns when it serves. */
static void process_start(struct process *process)
{
    int ends[2];
    char descriptor[16];
    assert_int_equal(pipe(ends), 0);
    snprintf(descriptor, sizeof descriptor, "%d", ends[1]);
    char program[] = "/proc/self/exe", word[] = "replica";
    char *argv[] = {program, word, process->directory, process->port, descriptor, NULL};
    assert_int_equal(posix_spawn(&process->pid, program, NULL, NULL, argv, environ), 0);
    close(ends[1]);
    ssize_t len = read(ends[0], process->port, sizeof process->port - 1);
    assert_true(len > 1);
    process->port[len - 1] = '\0';
    close(ends[0]);
}

static void process_kill(struct process *process)
{
    int status;
    kill(process->pid, SIGKILL);
    assert_int_equal(waitpid(process->pid, &status, 0), process->pid);
    assert_true(WIFSIGNALED(status));
}

/* --- the load --- */

struct load {
    struct client *client;
    pthread_mutex_t lock;
    pthread_cond_t room;
    unsigned outstanding;
    unsigned done, refused, failed; /* refused: certainly not done, as the replica took long to come back */
    int code;                       /* of the first failure */
};

static atomic_uchar *acknowledged; /* how often each sequence number was given to a client */

static void on_done(void *arg, const struct result *result)
{
    struct load *load = arg;
    pthread_mutex_lock(&load->lock);
    if (result->code == ERR_OK) {
        unsigned long number = strtoul(result->name + strlen("n-"), NULL, 10);
        if (number < ACKNOWLEDGED_MAX)
            atomic_fetch_add(&acknowledged[number], 1);
        load->done++;
    } else if (result->code == ERR_NO_QUORUM) {
        load->refused++;
    } else {
        load->code = load->failed++ ? load->code : result->code;
    }
    load->outstanding--;
    pthread_cond_signal(&load->room);
    pthread_mutex_unlock(&load->lock);
}

static struct request creation(const char *path, bool sequential)
{
    struct op_create create = {.at = {ROOT_ID, {path, strlen(path)}}, .kind = KIND_DIRECTORY, .mode = 0755};
    create.lifetime = (struct lifetime){.sequential = sequential, .sequence_at = 2};
    return (struct request){.kind = OP_CREATE, .create = create};
}

static atomic_bool over;

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void *run_load(void *arg)
{
    struct load *load = arg;
    struct request request = creation("k/n-", true);
    while (!over) {
        pthread_mutex_lock(&load->lock);
        while (load->outstanding == OUTSTANDING)
            pthread_cond_wait(&load->room, &load->lock);
        load->outstanding++;
        pthread_mutex_unlock(&load->lock);
        if (client_writable(load->client) != ERR_OK)
            pause_ms(10); /* as a program would that is told so */
        client_submit(load->client, &request, on_done, load);
    }
    pthread_mutex_lock(&load->lock);
    while (load->outstanding > 0)
        pthread_cond_wait(&load->room, &load->lock);
    pthread_mutex_unlock(&load->lock);
    return NULL;
}

static void load_open(struct load *load, const char *servers)
{
    char text[256];
    struct client_options options = {.servers = servers, .op_timeout_ms = 60000, .session_timeout_ms = 60000};
    pthread_mutex_init(&load->lock, NULL);
    pthread_cond_init(&load->room, NULL);
    assert_int_equal(client_open(&options, &load->client, text, sizeof text), ERR_OK);
    assert_int_equal(client_wait_ready(load->client, 20000), ERR_OK);
}

/* Counts the children of "k" that no client knows of, and those that one knows of and are not there. */
static void compare(struct client *client, unsigned *unknown, unsigned *lost, unsigned *twice, unsigned *children)
{
    uint8_t *there = calloc(ACKNOWLEDGED_MAX, 1);
    int code;
    const struct state *state = client_lock(client);
    const struct node *directory = state_find(state, (struct where){ROOT_ID, {"k", 1}}, &code);
    *unknown = *lost = *twice = *children = 0;
    for (const struct node *node = node_first_child(directory); node; node = node_next_sibling(node)) {
        ++*children;
        there[strtoul((const char *)node_name(node).at + strlen("n-"), NULL, 10)] = 1;
    }
    client_unlock(client);
    for (size_t i = 0; i < ACKNOWLEDGED_MAX; i++) {
        *unknown += there[i] && !acknowledged[i];
        *lost += acknowledged[i] && !there[i];
        *twice += acknowledged[i] > 1;
    }
    free(there);
}

/* Three clients with 32 creates each under way; the replica is killed 15 times (100 with PACT_SOAK). Each create is
 * acknowledged, its znode is there once, and there is no other. */
static void killed_replicas_lose_and_repeat_nothing(void **state)
{
    (void)state;
    struct process process = {.directory = "/tmp/pact-kill-XXXXXX", .port = "0"};
    struct load loads[CLIENTS] = {0};
    pthread_t threads[CLIENTS];
    char servers[64], command[128];
    unsigned kills = getenv("PACT_SOAK") ? SOAK_KILLS : KILLS;
    acknowledged = calloc(ACKNOWLEDGED_MAX, 1);
    assert_non_null(mkdtemp(process.directory));
    process_start(&process);
    snprintf(servers, sizeof servers, "127.0.0.1:%s", process.port);
    for (int i = 0; i < CLIENTS; i++)
        load_open(&loads[i], servers);
    struct request directory = creation("k", false);
    struct result result;
    assert_int_equal(client_call(loads[0].client, &directory, &result), ERR_OK);
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&threads[i], NULL, run_load, &loads[i]);
    for (unsigned i = 0; i < kills; i++) {
        pause_ms(50 + 37 * (i % 5));
        process_kill(&process);
        process_start(&process);
    }
    pause_ms(200);
    over = true;
    unsigned done = 0, refused = 0, failed = 0, unknown, lost, twice, children;
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        done += loads[i].done;
        refused += loads[i].refused;
        failed += loads[i].failed;
        if (loads[i].failed)
            print_message("client %d: %s\n", i, error_text(loads[i].code));
    }
    assert_int_equal(client_call(loads[0].client, &directory, &result), ERR_EXISTS); /* its tree is up to date */
    compare(loads[0].client, &unknown, &lost, &twice, &children);
    print_message("%u kills: %u acknowledged, %u znodes, %u refused, %u failed, %u lost, %u twice, %u unknown\n", kills,
                  done, children, refused, failed, lost, twice, unknown);
    assert_true(done > 100);
    assert_int_equal(failed, 0);
    assert_int_equal(lost, 0);
    assert_int_equal(twice, 0);
    assert_int_equal(unknown, 0);
    assert_int_equal(children, done);
    for (int i = 0; i < CLIENTS; i++)
        client_close(loads[i].client);
    process_kill(&process);
    snprintf(command, sizeof command, "rm -rf '%s'", process.directory);
    assert_int_equal(system(command), 0);
    free(acknowledged);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "replica") == 0)
        return replica_main(argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_replicas_lose_and_repeat_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
