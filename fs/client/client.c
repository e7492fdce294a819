/* What the other threads call: opening, requests, reading, closing. */
#include <assert.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "fs/client/client_internal.h"

/* --- opening --- */

static struct learner *make_learner(const struct client_options *options, struct client *client)
{
    char host[LIMIT_HOST_BYTES + 1] = "";
    gethostname(host, sizeof host - 1);
    const struct request noop = {.kind = OP_NOOP};
    int code = encode_request(&noop, &client->encoded);
    assert(code == ERR_OK);
    const struct learner_options learner_options = {
        .observer = options->observer,
        .session_timeout_ms = options->session_timeout_ms ? options->session_timeout_ms : DEFAULT_SESSION_TIMEOUT_MS,
        .op_timeout_ms = options->op_timeout_ms ? options->op_timeout_ms : DEFAULT_OP_TIMEOUT_MS,
        .host = {host, strlen(host)},
        .pid = (uint32_t)getpid(),
        .noop = {client->encoded.at, client->encoded.len},
        .former = options->former,
        .estate = options->observer ? NULL : options->estate,
    };
    return learner_new(&learner_options, client_now_ms());
}

static int check_options(const struct client_options *options, char *text, size_t text_len)
{
    uint32_t timeout_ms = options->session_timeout_ms;
    if (timeout_ms == 0 || (timeout_ms >= LIMIT_SESSION_TIMEOUT_MIN_MS && timeout_ms <= LIMIT_SESSION_TIMEOUT_MAX_MS))
        return ERR_OK;
    snprintf(text, text_len, "the session timeout must be from %u to %u ms", LIMIT_SESSION_TIMEOUT_MIN_MS,
             LIMIT_SESSION_TIMEOUT_MAX_MS);
    return ERR_INVALID;
}

static void free_client(struct client *client)
{
    tree_close(&client->tree);
    arena_free(client->arena);
    changes_free(&client->changes);
    inbox_free(&client->reading);
    inbox_free(&client->inbox);
    learner_output_free(&client->output);
    learner_output_free(&client->deliveries);
    learner_output_free(&client->delivering);
    learner_free(client->learner);
    buffer_free(&client->encoded);
    pthread_cond_destroy(&client->moved);
    pthread_mutex_destroy(&client->mutex);
    close(client->wake_fd);
    free(client);
}

int client_open(const struct client_options *options, struct client **client, char *text, size_t text_len)
{
    struct servers servers;
    uint32_t seed;
    ssize_t got = getrandom(&seed, sizeof seed, 0);
    assert(got == (ssize_t)sizeof seed);
    int code = check_options(options, text, text_len);
    if (code == ERR_OK)
        code = servers_parse(&servers, options->servers, seed, text, text_len);
    if (code != ERR_OK)
        return code;
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0) {
        snprintf(text, text_len, "eventfd: %s", strerror(errno));
        return ERR_TOO_MANY;
    }
    struct client *opened = calloc(1, sizeof *opened);
    assert(opened != NULL);
    opened->events = options->events;
    opened->keys = options->keys;
    opened->servers = servers;
    opened->wake_fd = wake_fd;
    opened->learner = make_learner(options, opened);
    opened->arena = arena_new();
    assert(opened->arena != NULL);
    tree_open(&opened->tree);
    pthread_mutex_init(&opened->mutex, NULL);
    pthread_cond_init(&opened->moved, NULL);
    *client = opened; /* the first callbacks may come before we return */
    if (pthread_create(&opened->thread, NULL, client_thread, opened) != 0) {
        snprintf(text, text_len, "no thread can be started");
        free_client(opened);
        *client = NULL;
        return ERR_TOO_MANY;
    }
    return ERR_OK;
}

void client_close(struct client *client)
{
    assert(!pthread_equal(pthread_self(), client->thread));
    pthread_mutex_lock(&client->mutex);
    learner_close(client->learner, client_now_ms(), &client->output);
    client_carry_out(client);
    client_wake(client);
    pthread_mutex_unlock(&client->mutex);
    pthread_join(client->thread, NULL);
    free_client(client);
}

/* Every server in turn has said no, and will say it again. */
static bool refused_for_good(const struct client *client)
{
    bool lasting =
        client->refusal == ERR_BAD_KEY || client->refusal == ERR_OTHER_CLUSTER || client->refusal == ERR_BAD_FORMAT;
    return lasting && client->refusals >= client->servers.count;
}

int client_wait_ready(struct client *client, uint32_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    int waited = 0, code = ERR_UNREACHABLE;
    pthread_mutex_lock(&client->mutex);
    while (!client->ready && !refused_for_good(client) && waited == 0)
        waited = pthread_cond_clockwait(&client->moved, &client->mutex, CLOCK_MONOTONIC, &until);
    if (client->ready)
        code = ERR_OK;
    else if (refused_for_good(client) || client->refusal == ERR_NO_QUORUM)
        code = client->refusal;
    pthread_mutex_unlock(&client->mutex);
    return code;
}

void client_await_ready(struct client *client)
{
    pthread_mutex_lock(&client->mutex);
    while (!client->ready)
        pthread_cond_wait(&client->moved, &client->mutex);
    pthread_mutex_unlock(&client->mutex);
}

const char *client_ready_text(int code)
{
    if (code == ERR_NO_QUORUM)
        return "there is no leader: no majority of the replicas can be reached, or their disks are full";
    return error_text(code);
}

/* --- requests --- */

static void refuse(int code, client_done done, void *arg)
{
    const struct result result = {.code = code};
    done(arg, &result);
}

uint64_t client_submit(struct client *client, const struct request *request, client_done done, void *arg)
{
    return client_submit_on(client, request, &(struct client_terms){0}, done, arg);
}

uint64_t client_submit_on(struct client *client, const struct request *request, const struct client_terms *terms,
                          client_done done, void *arg)
{
    struct buffer encoded = {0};
    uint64_t ticket = 0;
    int code = request_check(request);
    if (code == ERR_OK)
        code = encode_request(request, &encoded);
    if (code == ERR_OK) {
        struct bytes bytes = {encoded.at, encoded.len};
        pthread_mutex_lock(&client->mutex);
        code = learner_submit_on(client->learner, client_now_ms(), bytes, terms, done, arg, &ticket, &client->output);
        client_carry_out(client);
        client_wake(client);
        pthread_mutex_unlock(&client->mutex);
    }
    buffer_free(&encoded);
    if (code != ERR_OK)
        refuse(code, done, arg);
    return ticket;
}

bool client_withdraw(struct client *client, uint64_t ticket)
{
    pthread_mutex_lock(&client->mutex);
    bool withdrawn = learner_withdraw(client->learner, client_now_ms(), ticket, &client->output);
    client_carry_out(client);
    client_wake(client);
    pthread_mutex_unlock(&client->mutex);
    return withdrawn;
}

int client_writable(const struct client *client)
{
    pthread_mutex_t *mutex = &((struct client *)client)->mutex;
    pthread_mutex_lock(mutex);
    int code = learner_writable(client->learner);
    pthread_mutex_unlock(mutex);
    return code;
}

struct call {
    sem_t done;
    struct result *result;
};

static void call_done(void *arg, const struct result *result)
{
    struct call *call = arg;
    *call->result = *result;
    sem_post(&call->done);
}

int client_call(struct client *client, const struct request *request, struct result *result)
{
    struct call call = {.result = result};
    assert(!pthread_equal(pthread_self(), client->thread));
    sem_init(&call.done, 0, 0);
    client_submit(client, request, call_done, &call);
    while (sem_wait(&call.done) != 0)
        continue; /* a signal: the request was sent, its caller waits for the result */
    sem_destroy(&call.done);
    return result->code;
}

void client_sync(struct client *client, client_done done, void *arg)
{
    pthread_mutex_lock(&client->mutex);
    int code = learner_sync(client->learner, client_now_ms(), done, arg, &client->output);
    client_carry_out(client);
    client_wake(client);
    pthread_mutex_unlock(&client->mutex);
    if (code != ERR_OK)
        refuse(code, done, arg);
}

void client_ask(struct client *client, client_told told, void *arg)
{
    pthread_mutex_lock(&client->mutex);
    ask_add(&client->asks, client_now_ms() + ASK_TIMEOUT_MS, told, arg);
    client_send_ask(client);
    client_wake(client);
    pthread_mutex_unlock(&client->mutex);
}

/* --- reading --- */

const struct state *client_lock(struct client *client)
{
    pthread_rwlock_rdlock(&client->tree.lock);
    return client->tree.state;
}

void client_unlock(struct client *client)
{
    pthread_rwlock_unlock(&client->tree.lock);
}

void client_info(struct client *client, struct client_info *info)
{
    memset(info, 0, sizeof *info);
    pthread_mutex_lock(&client->mutex);
    learner_info(client->learner, client_now_ms(), info);
    memcpy(info->server, client->address, sizeof info->server);
    info->refusal = client->refusal;
    pthread_mutex_unlock(&client->mutex);
}

void client_identity(struct client *client, struct client_identity *identity)
{
    pthread_mutex_lock(&client->mutex);
    learner_identity(client->learner, identity);
    pthread_mutex_unlock(&client->mutex);
}
