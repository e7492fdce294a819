#include "tests/support/client_notes.h"
#include "tests/support/ports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void note_changes(void *arg, const struct changes *changes)
{
    struct mount *mount = arg;
    pthread_mutex_lock(&mount->lock);
    for (size_t i = 0; i < changes->count; i++) {
        mount->creates += changes->list[i].kind == CHANGE_CREATE;
        mount->deletes += changes->list[i].kind == CHANGE_DELETE;
    }
    pthread_cond_broadcast(&mount->told);
    pthread_mutex_unlock(&mount->lock);
}

static void note_resync(void *arg, const struct state *before)
{
    struct mount *mount = arg;
    const struct state *now = client_lock(mount->client);
    state_diff(before, now, &mount->diff);
    client_unlock(mount->client);
    pthread_mutex_lock(&mount->lock);
    mount->resyncs++;
    pthread_cond_broadcast(&mount->told);
    pthread_mutex_unlock(&mount->lock);
}

static void note_state(void *arg, enum client_state state, uint64_t session)
{
    struct mount *mount = arg;
    pthread_mutex_lock(&mount->lock);
    mount->state = state;
    mount->session = session;
    mount->states[state]++;
    pthread_cond_broadcast(&mount->told);
    pthread_mutex_unlock(&mount->lock);
}

static void note_progress(void *arg, uint64_t nodes, uint64_t of)
{
    struct mount *mount = arg;
    assert_true(nodes <= of);
    mount->progress = nodes;
}

int mount_try(struct mount *mount, struct client_options options, uint32_t wait_ms)
{
    char text[256] = "";
    *mount = (struct mount){.state = CLIENT_CONNECTING};
    pthread_mutex_init(&mount->lock, NULL);
    pthread_cond_init(&mount->told, NULL);
    options.events = (struct client_events){
        .arg = mount, .changes = note_changes, .resync = note_resync, .state = note_state, .progress = note_progress};
    assert_int_equal(client_open(&options, &mount->client, text, sizeof text), ERR_OK);
    return client_wait_ready(mount->client, wait_ms);
}

void mount_open(struct mount *mount, const char *servers)
{
    assert_int_equal(mount_try(mount, (struct client_options){.servers = servers}, 10000), ERR_OK);
}

void mount_close(struct mount *mount)
{
    client_close(mount->client);
    changes_free(&mount->diff);
    pthread_mutex_destroy(&mount->lock);
    pthread_cond_destroy(&mount->told);
}

void mount_wait(struct mount *mount, bool (*enough)(const struct mount *mount))
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&mount->lock);
    while (!enough(mount))
        assert_int_equal(pthread_cond_timedwait(&mount->told, &mount->lock, &until), 0);
    pthread_mutex_unlock(&mount->lock);
}

bool mount_connected(const struct mount *mount)
{
    return mount->state == CLIENT_CONNECTED;
}

/* --- requests --- */

struct where at(const char *path)
{
    return (struct where){ROOT_ID, {path, strlen(path)}};
}

struct request create(const char *path)
{
    return (struct request){.kind = OP_CREATE, .create = {.at = at(path), .kind = KIND_DIRECTORY, .mode = 0755}};
}

int mount_make(struct mount *mount, const char *path)
{
    struct request request = create(path);
    struct result result;
    return client_call(mount->client, &request, &result);
}

bool mount_has(struct mount *mount, const char *path)
{
    int code;
    bool found = state_find(client_lock(mount->client), at(path), &code) != NULL;
    client_unlock(mount->client);
    return found;
}

void waiter_begin(struct waiter *waiter)
{
    sem_init(&waiter->done, 0, 0);
}

void wake(void *arg, const struct result *result)
{
    struct waiter *waiter = arg;
    waiter->result = *result;
    sem_post(&waiter->done);
}

int waited(struct waiter *waiter)
{
    sem_wait(&waiter->done);
    sem_destroy(&waiter->done);
    return waiter->result.code;
}

int mount_sync(struct mount *mount)
{
    struct waiter waiter;
    waiter_begin(&waiter);
    client_sync(mount->client, wake, &waiter);
    return waited(&waiter);
}

uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* --- a host that keeps its address --- */

int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    host_new(&fixture->host);
    hold_address(fixture->bind, sizeof fixture->bind);
    fixture->host.bind = fixture->bind;
    host_start(&fixture->host);
    *state = fixture;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    host_delete(&fixture->host);
    free(fixture);
    return 0;
}
