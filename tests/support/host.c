#include "tests/support/host.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_ready(void *arg, uint16_t port)
{
    struct host *host = arg;
    pthread_mutex_lock(&host->lock);
    if (host->bind)
        snprintf(host->address, sizeof host->address, "%s", host->bind);
    else
        snprintf(host->address, sizeof host->address, "127.0.0.1:%u", port);
    host->ready = true;
    pthread_cond_signal(&host->changed);
    pthread_mutex_unlock(&host->lock);
}

static void *run(void *arg)
{
    struct host *host = arg;
    host->result = replica_run(host->replica);
    return NULL;
}

void host_new(struct host *host)
{
    *host = (struct host){.directory = "/tmp/pact-host-XXXXXX"};
    pthread_mutex_init(&host->lock, NULL);
    pthread_cond_init(&host->changed, NULL);
    char *made = mkdtemp(host->directory);
    assert(made);
}

void host_start(struct host *host)
{
    char text[512] = "";
    const char *const addresses[] = {host->bind ? host->bind : "127.0.0.1:0"};
    struct replica_options options = {.id = 1,
                                      .data = host->directory,
                                      .addresses = addresses,
                                      .address_count = 1,
                                      .members = &(struct replica_member){1, "127.0.0.1:0", "127.0.0.1:0"},
                                      .member_count = 1,
                                      .keys = host->keys,
                                      .log_level = "error",
                                      .snapshot_every_entries = host->snapshot_every_entries,
                                      .ready = on_ready,
                                      .ready_arg = host};
    int code = replica_open(&options, &host->replica, text, sizeof text);
    if (code != ERR_OK)
        fprintf(stderr, "replica_open: %s\n", text);
    assert(code == ERR_OK);
    host->ready = false;
    int failed = pthread_create(&host->thread, NULL, run, host);
    assert(!failed);
    pthread_mutex_lock(&host->lock);
    while (!host->ready)
        pthread_cond_wait(&host->changed, &host->lock);
    pthread_mutex_unlock(&host->lock);
}

void host_stop(struct host *host)
{
    replica_stop(host->replica);
    pthread_join(host->thread, NULL);
    replica_free(host->replica);
    host->replica = NULL;
}

void host_restart(struct host *host)
{
    host_stop(host);
    host_start(host);
}

void host_delete(struct host *host)
{
    char command[128];
    if (host->replica)
        host_stop(host);
    snprintf(command, sizeof command, "rm -rf '%s'", host->directory);
    int failed = system(command);
    assert(!failed);
    pthread_mutex_destroy(&host->lock);
    pthread_cond_destroy(&host->changed);
}

int host_setup(void **state)
{
    struct host *host = calloc(1, sizeof *host);
    assert(host);
    host_new(host);
    host_start(host);
    *state = host;
    return 0;
}

int host_teardown(void **state)
{
    host_delete(*state);
    free(*state);
    return 0;
}
