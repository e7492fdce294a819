/* bench_bare OPERATION SERVERS ... - the client library alone, without the kernel and FUSE in between: what a program
 * that links it would see, and what the mount stands on.
 *
 *   write|create SERVERS PROCESSES SECONDS   one outstanding request each; create is create and delete
 *   ask SERVERS PROCESSES SECONDS            questions to the replica a client is connected to: there and back
 *   sync SERVERS PROCESSES SECONDS           the read barrier: all the hops of a write, and nothing on a disk
 *   pipe SERVERS OUTSTANDING SECONDS         writes by one client, that many outstanding
 *   event SERVERS COUNT                      from the submission of a write in one client to its change in another
 *   populate SERVERS COUNT                   znodes of 100 bytes, 1,000 in each directory; prints the bytes of live
 *                                            memory that each takes in a copy of the tree
 *   first SERVERS                            returns once a first write is done; retries until then */
#include <malloc.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/client/client.h"
#include "tests/bench/bench.h"

static const char value[BENCH_VALUE_BYTES] = "v";

static struct client *open_client(const char *servers, const struct client_events *events)
{
    char text[256];
    struct client *client;
    struct client_options options = {.servers = servers};
    if (events != NULL)
        options.events = *events;
    if (client_open(&options, &client, text, sizeof text) != ERR_OK)
        bench_fail("bench_bare: %s", text);
    int code = client_wait_ready(client, 60000);
    if (code != ERR_OK)
        bench_fail("bench_bare: %s: %s", servers, error_text(code));
    return client;
}

static struct where at(const char *path)
{
    return (struct where){ROOT_ID, {path, strlen(path)}};
}

static struct request creation(const char *path, enum node_kind kind, size_t value_len)
{
    struct op_create create = {.at = at(path), .kind = kind, .mode = 0755, .data = {value, value_len}};
    return (struct request){.kind = OP_CREATE, .create = create};
}

static int make(struct client *client, const char *path, enum node_kind kind)
{
    struct request request = creation(path, kind, 0);
    struct result result;
    int code = client_call(client, &request, &result);
    return code == ERR_EXISTS ? ERR_OK : code;
}

/* A write that replaces the whole data. `edits` must live as long as the request. */
static struct request replacement(const char *path, struct edit edits[2])
{
    edits[0] = (struct edit){.kind = EDIT_TRUNCATE};
    edits[1] = (struct edit){.kind = EDIT_PUT, .data = {value, sizeof value}};
    struct op_write write = {.at = at(path), .version = NO_VERSION_CHECK, .edits = edits, .count = 2};
    return (struct request){.kind = OP_WRITE, .write = write};
}

static int write_file(struct client *client, const char *path)
{
    struct edit edits[2];
    struct request request = replacement(path, edits);
    struct result result;
    return client_call(client, &request, &result);
}

static int delete_file(struct client *client, const char *path)
{
    struct op_delete delete = {.at = at(path), .version = NO_VERSION_CHECK};
    struct request request = {.kind = OP_DELETE, .delete = delete};
    struct result result;
    return client_call(client, &request, &result);
}

struct place {
    struct client *client;
    char file[32], made[32];
    sem_t answered;
    int code;
};

static void *begin(const void *servers, unsigned process)
{
    struct place *place = calloc(1, sizeof *place);
    place->client = open_client(servers, NULL);
    snprintf(place->file, sizeof place->file, "bare%u", process);
    snprintf(place->made, sizeof place->made, "bare-made%u", process);
    sem_init(&place->answered, 0, 0);
    if (make(place->client, place->file, KIND_FILE) != ERR_OK)
        return NULL;
    return place;
}

static void end(void *context)
{
    struct place *place = context;
    delete_file(place->client, place->file);
    client_close(place->client);
    free(place);
}

static int step_write(void *context)
{
    struct place *place = context;
    return write_file(place->client, place->file);
}

static int step_create(void *context)
{
    struct place *place = context;
    struct request request = creation(place->made, KIND_FILE, sizeof value);
    struct result result;
    int code = client_call(place->client, &request, &result);
    return code != ERR_OK ? code : delete_file(place->client, place->made);
}

static void told(void *arg, const struct message_status *status)
{
    struct place *place = arg;
    place->code = status != NULL ? ERR_OK : ERR_NO_QUORUM;
    sem_post(&place->answered);
}

static int step_ask(void *context)
{
    struct place *place = context;
    client_ask(place->client, told, place);
    sem_wait(&place->answered);
    return place->code;
}

static void synced(void *arg, const struct result *result)
{
    struct place *place = arg;
    place->code = result->code;
    sem_post(&place->answered);
}

static int step_sync(void *context)
{
    struct place *place = context;
    client_sync(place->client, synced, place);
    sem_wait(&place->answered);
    return place->code;
}

/* --- many outstanding --- */

struct window {
    sem_t room; /* how many more may be sent */
    struct bench_latencies latencies;
};

struct sent {
    struct window *window;
    double at_us;
};

static void completed(void *arg, const struct result *result)
{
    struct sent *sent = arg;
    if (result->code != ERR_OK)
        bench_fail("bench_bare: %s", error_text(result->code));
    bench_add(&sent->window->latencies, bench_now_us() - sent->at_us);
    sem_post(&sent->window->room);
    free(sent);
}

static void send_one(struct client *client, struct window *window, const struct request *request)
{
    sem_wait(&window->room);
    struct sent *sent = malloc(sizeof *sent);
    *sent = (struct sent){window, bench_now_us()};
    client_submit(client, request, completed, sent);
}

static void wait_all(struct window *window, unsigned outstanding)
{
    for (unsigned i = 0; i < outstanding; i++)
        sem_wait(&window->room);
}

static int pipe_writes(const char *servers, unsigned outstanding, double seconds)
{
    static struct window window;
    struct client *client = open_client(servers, NULL);
    struct edit edits[2];
    struct request request = replacement("bare-pipe", edits);
    if (make(client, "bare-pipe", KIND_FILE) != ERR_OK)
        return 1;
    sem_init(&window.room, 0, outstanding);
    double begun = bench_now_us();
    while (bench_now_us() - begun < seconds * 1e6)
        send_one(client, &window, &request);
    wait_all(&window, outstanding);
    bench_print(&window.latencies, (bench_now_us() - begun) / 1e6);
    client_close(client);
    return 0;
}

/* One multi of up to 100 creates: files from number `first` on. */
static void send_batch(struct client *client, struct window *window, int first, int count)
{
    char paths[100][64];
    struct request ops[100];
    for (int i = 0; i < count; i++) {
        snprintf(paths[i], sizeof paths[i], "many/%d/node-%d", (first + i) / 1000, first + i);
        ops[i] = creation(paths[i], KIND_FILE, BENCH_ZNODE_BYTES);
    }
    struct request multi = {.kind = OP_MULTI, .multi = {.ops = ops, .count = (size_t)count}};
    send_one(client, window, &multi);
}

static int populate(const char *servers, int count)
{
    static struct window window;
    struct client *client = open_client(servers, NULL);
    sem_init(&window.room, 0, 16);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    if (make(client, "many", KIND_DIRECTORY) != ERR_OK)
        return 1;
    for (int i = 0; i < count; i += 100) {
        char path[64];
        snprintf(path, sizeof path, "many/%d", i / 1000);
        if (i % 1000 == 0 && make(client, path, KIND_DIRECTORY) != ERR_OK)
            return 1;
        send_batch(client, &window, i, count - i < 100 ? count - i : 100);
    }
    wait_all(&window, 16);
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    printf("%.0f\n", (double)(after - before) / count);
    client_close(client);
    return 0;
}

/* --- events --- */

struct watch {
    sem_t seen;
    double seen_us;
};

static void on_changes(void *arg, const struct changes *changes)
{
    struct watch *watch = arg;
    for (size_t i = 0; i < changes->count; i++)
        if (changes->list[i].kind == CHANGE_DATA) {
            watch->seen_us = bench_now_us();
            sem_post(&watch->seen);
        }
}

static int measure_events(const char *servers, int count)
{
    static struct watch watch;
    struct bench_latencies latencies = {0};
    struct client_events events = {.arg = &watch, .changes = on_changes};
    sem_init(&watch.seen, 0, 0);
    struct client *writer = open_client(servers, NULL), *watcher = open_client(servers, &events);
    if (make(writer, "bare-event", KIND_FILE) != ERR_OK)
        return 1;
    double begun = bench_now_us();
    for (int i = 0; i < count; i++) {
        double called = bench_now_us();
        if (write_file(writer, "bare-event") != ERR_OK)
            return 1;
        sem_wait(&watch.seen);
        bench_add(&latencies, watch.seen_us - called);
    }
    bench_print(&latencies, (bench_now_us() - begun) / 1e6);
    client_close(watcher);
    client_close(writer);
    return 0;
}

/* Ends the process when it is done, as bench_zk and bench_etcd do: to close would be one more write, and to free the
 * copy of the tree. */
static int first_write(const char *servers)
{
    struct client *client = open_client(servers, NULL);
    if (make(client, "bare-first", KIND_FILE) != ERR_OK)
        return 1;
    _exit(write_file(client, "bare-first"));
}

int main(int argc, char **argv)
{
    static const struct bench_step steps[] = {
        {"write", step_write}, {"create", step_create}, {"ask", step_ask}, {"sync", step_sync}, {NULL, NULL}};
    if (argc < 3 || argc > 5)
        bench_fail("usage: bench_bare OPERATION SERVERS ...");
    const char *name = argv[1], *servers = argv[2];
    struct bench_work work = {.begin = begin, .step = bench_step(steps, name), .end = end, .arg = servers};
    if (work.step != NULL && argc == 5)
        return bench_run(&work, (unsigned)atoi(argv[3]), atof(argv[4]));
    if (strcmp(name, "pipe") == 0 && argc == 5)
        return pipe_writes(servers, (unsigned)atoi(argv[3]), atof(argv[4]));
    if (strcmp(name, "event") == 0 && argc == 4)
        return measure_events(servers, atoi(argv[3]));
    if (strcmp(name, "populate") == 0 && argc == 4)
        return populate(servers, atoi(argv[3]));
    if (strcmp(name, "first") == 0)
        return first_write(servers);
    bench_fail("bench_bare: no operation '%s' with %d arguments", name, argc - 2);
}
