/* host.h - a replica in a thread of the test, on a directory of its own. */
#ifndef PACT_TEST_HOST_H
#define PACT_TEST_HOST_H

#include <pthread.h>

#include "replica/pactd/replica.h"

struct host {
    char directory[64]; /* made by host_new, removed by host_delete */
    char address[64];   /* where it serves while it runs: 127.0.0.1:PORT, or bind */
    const char *bind;   /* NULL: a free port, another one at each start */
    struct link_keys keys;
    uint64_t snapshot_every_entries; /* 0: the default */
    struct replica *replica;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ready;
    int result; /* what replica_run gave */
};

/* All assert that they succeed. */
void host_new(struct host *host);
void host_start(struct host *host); /* returns when it serves */
void host_stop(struct host *host);
void host_restart(struct host *host);
void host_delete(struct host *host); /* stops it if it runs */

/* For cmocka: a test that finds a host which serves in *state. */
int host_setup(void **state);
int host_teardown(void **state);
#define HOST_TEST(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

#endif
