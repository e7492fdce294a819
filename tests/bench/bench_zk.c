/* bench_zk OPERATION HOST:PORT ... - the same work as bench_mount and bench_bare on ZooKeeper, with its own C client.
 *
 *   set|get|exists|create HOST:PORT PROCESSES SECONDS   one outstanding request each; create is create and delete
 *   pipe HOST:PORT OUTSTANDING SECONDS                  sets by one client, that many outstanding
 *   event HOST:PORT COUNT                               from the call of set in one client to the watch in another
 *   populate HOST:PORT COUNT                            znodes of 100 bytes, 1,000 in each directory
 *   first HOST:PORT                                     returns once a first set is done; retries until then */
#define THREADED
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#include "tests/bench/bench.h"

static const char value[BENCH_VALUE_BYTES] = "v";

static void on_session(zhandle_t *zk, int type, int state, const char *path, void *context)
{
    (void)zk;
    (void)type;
    (void)state;
    (void)path;
    (void)context;
}

/* A connected client, or NULL if there is none within so many milliseconds. */
static zhandle_t *try_connect(const char *server, int timeout_ms)
{
    zoo_set_debug_level(0);
    zhandle_t *zk = zookeeper_init(server, on_session, 30000, NULL, NULL, 0);
    for (int i = 0; i < timeout_ms && zk != NULL && zoo_state(zk) != ZOO_CONNECTED_STATE; i++)
        usleep(1000);
    if (zk != NULL && zoo_state(zk) == ZOO_CONNECTED_STATE)
        return zk;
    zookeeper_close(zk);
    return NULL;
}

static zhandle_t *connect_to(const char *server)
{
    zhandle_t *zk = try_connect(server, 30000);
    if (zk == NULL)
        bench_fail("bench_zk: cannot connect to %s", server);
    return zk;
}

static void make(zhandle_t *zk, const char *path)
{
    int code = zoo_create(zk, path, value, sizeof value, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    if (code != ZOK && code != ZNODEEXISTS)
        bench_fail("bench_zk: create %s: %s", path, zerror(code));
}

struct place {
    zhandle_t *zk;
    char file[32], made[32];
};

static void *begin(const void *server, unsigned process)
{
    struct place *place = calloc(1, sizeof *place);
    place->zk = connect_to(server);
    snprintf(place->file, sizeof place->file, "/p%u", process);
    snprintf(place->made, sizeof place->made, "/made%u", process);
    make(place->zk, place->file);
    return place;
}

static void end(void *context)
{
    struct place *place = context;
    zoo_delete(place->zk, place->file, -1);
    zookeeper_close(place->zk);
    free(place);
}

static int step_set(void *context)
{
    struct place *place = context;
    return zoo_set(place->zk, place->file, value, sizeof value, -1);
}

static int step_get(void *context)
{
    struct place *place = context;
    char got[BENCH_VALUE_BYTES * 2];
    int len = sizeof got;
    return zoo_get(place->zk, place->file, 0, got, &len, NULL);
}

static int step_exists(void *context)
{
    struct place *place = context;
    struct Stat stat;
    return zoo_exists(place->zk, place->file, 0, &stat);
}

static int step_create(void *context)
{
    struct place *place = context;
    int code = zoo_create(place->zk, place->made, value, sizeof value, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    return code != ZOK ? code : zoo_delete(place->zk, place->made, -1);
}

/* --- many outstanding --- */

static sem_t room; /* how many more may be sent */

struct sent {
    double at_us;
    struct bench_latencies *latencies;
};

static void completed(int code, const void *context)
{
    struct sent *sent = (struct sent *)(uintptr_t)context;
    if (code != ZOK)
        bench_fail("bench_zk: %s", zerror(code));
    if (sent != NULL) {
        bench_add(sent->latencies, bench_now_us() - sent->at_us);
        free(sent);
    }
    sem_post(&room);
}

static void set_completed(int code, const struct Stat *stat, const void *context)
{
    (void)stat;
    completed(code, context);
}

static void create_completed(int code, const char *path, const void *context)
{
    (void)path;
    completed(code, context);
}

static void wait_all(int outstanding)
{
    for (int i = 0; i < outstanding; i++)
        sem_wait(&room);
}

static int pipe_sets(const char *server, int outstanding, double seconds)
{
    zhandle_t *zk = connect_to(server);
    struct bench_latencies latencies = {0};
    make(zk, "/pipe");
    sem_init(&room, 0, (unsigned)outstanding);
    double begun = bench_now_us();
    while (bench_now_us() - begun < seconds * 1e6) {
        sem_wait(&room);
        struct sent *sent = malloc(sizeof *sent);
        *sent = (struct sent){bench_now_us(), &latencies};
        if (zoo_aset(zk, "/pipe", value, sizeof value, -1, set_completed, sent) != ZOK)
            return 1;
    }
    wait_all(outstanding);
    bench_print(&latencies, (bench_now_us() - begun) / 1e6);
    return zookeeper_close(zk);
}

static int populate(const char *server, int count)
{
    zhandle_t *zk = connect_to(server);
    char path[64];
    make(zk, "/many");
    sem_init(&room, 0, 256);
    for (int i = 0; i < count; i++) {
        if (i % 1000 == 0) {
            snprintf(path, sizeof path, "/many/%d", i / 1000);
            make(zk, path);
        }
        snprintf(path, sizeof path, "/many/%d/node-%d", i / 1000, i);
        sem_wait(&room);
        if (zoo_acreate(zk, path, value, BENCH_ZNODE_BYTES, &ZOO_OPEN_ACL_UNSAFE, 0, create_completed, NULL) != ZOK)
            return 1;
    }
    wait_all(256);
    return zookeeper_close(zk);
}

/* --- watches --- */

static sem_t seen;
static double seen_us;

static void on_watch(zhandle_t *zk, int type, int state, const char *path, void *context)
{
    (void)zk;
    (void)type;
    (void)state;
    (void)path;
    (void)context;
    seen_us = bench_now_us();
    sem_post(&seen);
}

static int measure_events(const char *server, int count)
{
    zhandle_t *writer = connect_to(server), *watcher = connect_to(server);
    struct bench_latencies latencies = {0};
    char got[BENCH_VALUE_BYTES];
    make(writer, "/event");
    sem_init(&seen, 0, 0);
    double begun = bench_now_us();
    for (int i = 0; i < count; i++) {
        int len = sizeof got;
        if (zoo_wget(watcher, "/event", on_watch, NULL, got, &len, NULL) != ZOK)
            return 1;
        double set = bench_now_us();
        if (zoo_set(writer, "/event", value, sizeof value, -1) != ZOK)
            return 1;
        sem_wait(&seen);
        bench_add(&latencies, seen_us - set);
    }
    bench_print(&latencies, (bench_now_us() - begun) / 1e6);
    zookeeper_close(watcher);
    return zookeeper_close(writer);
}

/* A client that finds no server tries again after a pause that grows: a new one each time is faster. */
static int first_set(const char *server)
{
    for (int tries = 0; tries < 3000; tries++) {
        zhandle_t *zk = try_connect(server, 20);
        if (zk == NULL)
            continue;
        make(zk, "/first");
        return zoo_set(zk, "/first", value, sizeof value, -1);
    }
    bench_fail("bench_zk: %s does not answer", server);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*step)(void *context);
    } operations[] = {{"set", step_set}, {"get", step_get}, {"exists", step_exists}, {"create", step_create}};
    if (argc < 3 || argc > 5)
        bench_fail("usage: bench_zk OPERATION HOST:PORT ...");
    const char *name = argv[1], *server = argv[2];
    for (size_t i = 0; i < sizeof operations / sizeof operations[0] && argc == 5; i++) {
        struct bench_work work = {.begin = begin, .step = operations[i].step, .end = end, .arg = server};
        if (strcmp(name, operations[i].name) == 0)
            return bench_run(&work, (unsigned)atoi(argv[3]), atof(argv[4]));
    }
    if (strcmp(name, "pipe") == 0 && argc == 5)
        return pipe_sets(server, atoi(argv[3]), atof(argv[4]));
    if (strcmp(name, "event") == 0 && argc == 4)
        return measure_events(server, atoi(argv[3]));
    if (strcmp(name, "populate") == 0 && argc == 4)
        return populate(server, atoi(argv[3]));
    if (strcmp(name, "first") == 0)
        return first_set(server);
    bench_fail("bench_zk: no operation '%s' with %d arguments", name, argc - 2);
}
