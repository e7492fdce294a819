/* bench_etcd OPERATION HOST:PORT ... - the same work as bench_mount and bench_bare on etcd, over gRPC (etcd.h).
 *
 *   put|get|exists|create HOST:PORT PROCESSES SECONDS   one outstanding request each; exists asks for the key alone,
 *                                                       create is put and delete
 *   pipe HOST:PORT OUTSTANDING SECONDS                  puts by one client, that many outstanding
 *   event HOST:PORT COUNT                               from the call of put in one client to the watch in another
 *   populate HOST:PORT COUNT                            keys with 100 bytes
 *   first HOST:PORT                                     returns once a first put is done; retries until then */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/etcd.h"

static const char value[BENCH_VALUE_BYTES] = "v";

enum { PUT_KEY = 1, PUT_VALUE = 2, RANGE_KEY = 1, RANGE_KEYS_ONLY = 8, DELETE_KEY = 1, TXN_SUCCESS = 2, OP_PUT = 2 };
enum { WATCH_CREATE = 1, WATCH_KEY = 1 };

static struct etcd *connect_to(const char *server)
{
    struct etcd *etcd = etcd_connect(server);
    if (etcd == NULL)
        bench_fail("bench_etcd: cannot connect to %s", server);
    return etcd;
}

static void turn(struct etcd *etcd)
{
    if (!etcd_turn(etcd))
        bench_fail("bench_etcd: the connection broke");
}

static void set_status(void *arg, const uint8_t *at, size_t len, int status)
{
    (void)len;
    if (at == NULL)
        *(int *)arg = status;
}

static int call_and_wait(struct etcd *etcd, const char *method, const struct etcd_message *message)
{
    int status = INT32_MAX;
    etcd_call(etcd, method, message, false, set_status, &status);
    while (status == INT32_MAX)
        turn(etcd);
    return status;
}

static void put_message(struct etcd_message *message, const char *key, size_t value_len)
{
    message->len = 0;
    etcd_bytes(message, PUT_KEY, key, strlen(key));
    etcd_bytes(message, PUT_VALUE, value, value_len);
}

struct place {
    struct etcd *etcd;
    struct etcd_message message;
    char file[32], made[32];
};

static int put(struct place *place, const char *key)
{
    put_message(&place->message, key, sizeof value);
    return call_and_wait(place->etcd, "etcdserverpb.KV/Put", &place->message);
}

static int delete_key(struct place *place, const char *key)
{
    place->message.len = 0;
    etcd_bytes(&place->message, DELETE_KEY, key, strlen(key));
    return call_and_wait(place->etcd, "etcdserverpb.KV/DeleteRange", &place->message);
}

static void *begin(const void *server, unsigned process)
{
    struct place *place = calloc(1, sizeof *place);
    place->etcd = connect_to(server);
    snprintf(place->file, sizeof place->file, "/p%u", process);
    snprintf(place->made, sizeof place->made, "/made%u", process);
    if (put(place, place->file) != 0)
        return NULL;
    return place;
}

static void end(void *context)
{
    struct place *place = context;
    delete_key(place, place->file);
    etcd_close(place->etcd);
    free(place);
}

static int step_put(void *context)
{
    struct place *place = context;
    return put(place, place->file);
}

static int range(struct place *place, bool keys_only)
{
    place->message.len = 0;
    etcd_bytes(&place->message, RANGE_KEY, place->file, strlen(place->file));
    if (keys_only)
        etcd_number(&place->message, RANGE_KEYS_ONLY, 1);
    return call_and_wait(place->etcd, "etcdserverpb.KV/Range", &place->message);
}

static int step_get(void *context)
{
    return range(context, false);
}

static int step_exists(void *context)
{
    return range(context, true);
}

static int step_create(void *context)
{
    struct place *place = context;
    return put(place, place->made) != 0 || delete_key(place, place->made) != 0;
}

/* --- many outstanding --- */

struct window {
    int outstanding;
    struct bench_latencies latencies;
};

struct sent {
    struct window *window;
    double at_us;
};

static void completed(void *arg, const uint8_t *at, size_t len, int status)
{
    struct sent *sent = arg;
    (void)len;
    if (at != NULL)
        return;
    if (status != 0)
        bench_fail("bench_etcd: gRPC status %d", status);
    bench_add(&sent->window->latencies, bench_now_us() - sent->at_us);
    sent->window->outstanding--;
    free(sent);
}

static void send_one(struct etcd *etcd, struct window *window, const char *method, const struct etcd_message *message)
{
    struct sent *sent = malloc(sizeof *sent);
    *sent = (struct sent){window, bench_now_us()};
    etcd_call(etcd, method, message, false, completed, sent);
    window->outstanding++;
}

static int pipe_puts(const char *server, int outstanding, double seconds)
{
    static struct window window;
    static struct etcd_message message;
    struct etcd *etcd = connect_to(server);
    double begun = bench_now_us();
    put_message(&message, "/pipe", sizeof value);
    while (bench_now_us() - begun < seconds * 1e6) {
        while (window.outstanding < outstanding)
            send_one(etcd, &window, "etcdserverpb.KV/Put", &message);
        turn(etcd);
    }
    while (window.outstanding > 0)
        turn(etcd);
    bench_print(&window.latencies, (bench_now_us() - begun) / 1e6);
    etcd_close(etcd);
    return 0;
}

/* In transactions of 100 keys, 16 outstanding: the memory is measured, not the time. */
static int populate(const char *server, int count)
{
    static struct window window;
    static struct etcd_message message, one, operation;
    struct etcd *etcd = connect_to(server);
    char key[64];
    for (int i = 0; i < count;) {
        message.len = 0;
        for (int end = i + 100; i < end && i < count; i++) {
            snprintf(key, sizeof key, "/many/%d/node-%d", i / 1000, i);
            put_message(&one, key, BENCH_ZNODE_BYTES);
            operation.len = 0;
            etcd_bytes(&operation, OP_PUT, one.at, one.len);
            etcd_bytes(&message, TXN_SUCCESS, operation.at, operation.len);
        }
        send_one(etcd, &window, "etcdserverpb.KV/Txn", &message);
        while (window.outstanding >= 16)
            turn(etcd);
    }
    while (window.outstanding > 0)
        turn(etcd);
    etcd_close(etcd);
    return 0;
}

/* --- watches --- */

struct watch {
    struct etcd *etcd;
    unsigned messages;
    sem_t seen;
    double seen_us;
};

static void on_watch(void *arg, const uint8_t *at, size_t len, int status)
{
    struct watch *watch = arg;
    (void)len;
    if (at == NULL)
        bench_fail("bench_etcd: the watch ended with gRPC status %d", status);
    watch->seen_us = bench_now_us();
    sem_post(&watch->seen);
}

static void *run_watch(void *arg)
{
    struct watch *watch = arg;
    while (etcd_turn(watch->etcd))
        ;
    return NULL;
}

static int measure_events(const char *server, int count)
{
    static struct place place;
    static struct watch watch;
    struct bench_latencies latencies = {0};
    pthread_t thread;
    place.etcd = connect_to(server);
    watch.etcd = connect_to(server);
    sem_init(&watch.seen, 0, 0);
    struct etcd_message *create = &place.message;
    uint8_t key[] = {WATCH_KEY << 3 | 2, 6, '/', 'e', 'v', 'e', 'n', 't'};
    etcd_bytes(create, WATCH_CREATE, key, sizeof key);
    etcd_call(watch.etcd, "etcdserverpb.Watch/Watch", create, true, on_watch, &watch);
    pthread_create(&thread, NULL, run_watch, &watch);
    sem_wait(&watch.seen); /* its first message says that it is there */
    double begun = bench_now_us();
    for (int i = 0; i < count; i++) {
        double called = bench_now_us();
        if (put(&place, "/event") != 0)
            return 1;
        sem_wait(&watch.seen);
        bench_add(&latencies, watch.seen_us - called);
    }
    bench_print(&latencies, (bench_now_us() - begun) / 1e6);
    return 0;
}

static int first_put(const char *server)
{
    static struct place place;
    for (int tries = 0; tries < 60000; tries++) {
        place.etcd = etcd_connect(server);
        if (place.etcd != NULL)
            return put(&place, "/first");
        usleep(1000);
    }
    bench_fail("bench_etcd: %s does not answer", server);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*step)(void *context);
    } operations[] = {{"put", step_put}, {"get", step_get}, {"exists", step_exists}, {"create", step_create}};
    if (argc < 3 || argc > 5)
        bench_fail("usage: bench_etcd OPERATION HOST:PORT ...");
    const char *name = argv[1], *server = argv[2];
    for (size_t i = 0; i < sizeof operations / sizeof operations[0] && argc == 5; i++) {
        struct bench_work work = {.begin = begin, .step = operations[i].step, .end = end, .arg = server};
        if (strcmp(name, operations[i].name) == 0)
            return bench_run(&work, (unsigned)atoi(argv[3]), atof(argv[4]));
    }
    if (strcmp(name, "pipe") == 0 && argc == 5)
        return pipe_puts(server, atoi(argv[3]), atof(argv[4]));
    if (strcmp(name, "event") == 0 && argc == 4)
        return measure_events(server, atoi(argv[3]));
    if (strcmp(name, "populate") == 0 && argc == 4)
        return populate(server, atoi(argv[3]));
    if (strcmp(name, "first") == 0)
        return first_put(server);
    bench_fail("bench_etcd: no operation '%s' with %d arguments", name, argc - 2);
}
