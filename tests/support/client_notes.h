/* client_notes.h - a client that notes what it is told, and a replica that keeps its address. All assert that they
 * succeed, with cmocka. */
#ifndef PACT_TEST_CLIENT_NOTES_H
#define PACT_TEST_CLIENT_NOTES_H

#include <pthread.h>
#include <semaphore.h>

#include "fs/client/client.h"
#include "tests/support/host.h"

struct mount {
    struct client *client;
    pthread_mutex_t lock;
    pthread_cond_t told;
    enum client_state state;
    uint64_t session, states[CLIENT_CLOSED + 1]; /* how often it came to each */
    uint64_t creates, deletes, resyncs, progress;
    struct changes diff; /* of the last resync */
};

/* Gives what client_wait_ready gives. options.events is filled in. */
int mount_try(struct mount *mount, struct client_options options, uint32_t wait_ms);
void mount_open(struct mount *mount, const char *servers);
void mount_close(struct mount *mount);
/* Waits until what it was told satisfies `enough`, which is called under its lock. */
void mount_wait(struct mount *mount, bool (*enough)(const struct mount *mount));
bool mount_connected(const struct mount *mount);

struct where at(const char *path);       /* below the root */
struct request create(const char *path); /* a directory */
int mount_make(struct mount *mount, const char *path);
bool mount_has(struct mount *mount, const char *path);
int mount_sync(struct mount *mount);

/* For submits without waiting: `wake` is the callback, a waiter its argument. */
struct waiter {
    sem_t done;
    struct result result;
};
void waiter_begin(struct waiter *waiter);
void wake(void *arg, const struct result *result);
int waited(struct waiter *waiter); /* its code */

uint64_t now_us(void);

struct fixture {
    struct host host;
    char bind[64];
};
/* For cmocka: a running replica. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

#endif
