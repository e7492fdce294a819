#include "replica/pactd/embedded.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "replica/pactd/replica.h"
#include "replica/pactd/report.h"
#include "replica/store/store.h"

struct embedded {
    struct replica *replica;
    pthread_t thread;
    char *directory;
    void (*failed)(void *arg, int code);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ready, ended;
    int code;      /* once it has ended */
    uint16_t port; /* on loopback, for other processes */
};

static int fail(char *text, size_t text_len, const char *path)
{
    snprintf(text, text_len, "%s: %s", path, strerror(errno));
    return errno == EACCES || errno == EPERM || errno == EROFS ? ERR_ACCESS : errno == ENOSPC ? ERR_NO_SPACE : ERR_IO;
}

static int join(char *path, size_t path_len, const char *directory, const char *name, char *text, size_t text_len)
{
    if ((size_t)snprintf(path, path_len, "%s/%s", directory, name) < path_len)
        return ERR_OK;
    snprintf(text, text_len, "the path is too long: %s", directory);
    return ERR_NAME_TOO_LONG;
}

/* --- the files of the directory --- */

/* The keys are made at the first start. */
static int own_keys(const char *directory, const char *name, struct link_keys *keys, char *text, size_t text_len)
{
    char path[PATH_MAX];
    int code = join(path, sizeof path, directory, name, text, text_len);
    if (code != ERR_OK)
        return code;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        code = keys_generate(directory, text, text_len);
    return code == ERR_OK ? keys_read(path, keys, text, text_len) : code;
}

/* Other processes read it at any time: it is replaced whole. */
static int write_line(const char *directory, const char *name, const char *line, char *text, size_t text_len)
{
    char path[PATH_MAX], fresh[PATH_MAX + 4];
    int code = join(path, sizeof path, directory, name, text, text_len);
    if (code != ERR_OK)
        return code;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail(text, text_len, fresh);
    ssize_t len = (ssize_t)strlen(line);
    bool written = write(fd, line, (size_t)len) == len && fsync(fd) == 0;
    close(fd);
    if (!written || rename(fresh, path) != 0)
        return fail(text, text_len, path);
    return ERR_OK;
}

/* The port stays there for the next start, the address for as long as somebody listens. */
static int write_address(const char *directory, uint16_t port, char *text, size_t text_len)
{
    char line[32];
    snprintf(line, sizeof line, "%u\n", port);
    int code = write_line(directory, "port", line, text, text_len);
    snprintf(line, sizeof line, "127.0.0.1:%u\n", port);
    return code == ERR_OK ? write_line(directory, "address", line, text, text_len) : code;
}

static void remove_address(const char *directory)
{
    char path[PATH_MAX], text[64];
    if (join(path, sizeof path, directory, "address", text, sizeof text) == ERR_OK)
        unlink(path);
}

int embedded_find(const char *directory, char *address, size_t address_len, struct link_keys *keys, char *text,
                  size_t text_len)
{
    char path[PATH_MAX], line[64] = "";
    int code = join(path, sizeof path, directory, "address", text, text_len);
    if (code != ERR_OK)
        return code;
    FILE *file = fopen(path, "re");
    if (!file && errno == ENOENT) {
        snprintf(text, text_len, "no replica runs in %s", directory);
        return ERR_NO_NODE;
    }
    if (!file)
        return fail(text, text_len, path);
    bool whole = fgets(line, sizeof line, file) && strchr(line, '\n');
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
    if (!whole || strlen(line) >= address_len) {
        snprintf(text, text_len, "%s does not hold an address", path);
        return ERR_BAD_FORMAT;
    }
    memcpy(address, line, strlen(line) + 1);
    code = join(path, sizeof path, directory, "mount.key", text, text_len);
    return code == ERR_OK ? keys_read(path, keys, text, text_len) : code;
}

static bool is_free(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int yes = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
                 bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return bound;
}

/* The one it had, which other mounts know, if it can be had again; else 0, for any. */
static uint16_t former_port(const char *directory)
{
    char path[PATH_MAX], text[64];
    unsigned port = 0;
    if (join(path, sizeof path, directory, "port", text, sizeof text) != ERR_OK)
        return 0;
    FILE *file = fopen(path, "re");
    bool read = file && fscanf(file, "%5u", &port) == 1 && port <= UINT16_MAX;
    if (file)
        fclose(file);
    return read && is_free((uint16_t)port) ? (uint16_t)port : 0;
}

/* --- the thread --- */

static void on_ready(void *arg, uint16_t port)
{
    struct embedded *embedded = arg;
    pthread_mutex_lock(&embedded->lock);
    embedded->ready = true;
    embedded->port = port;
    pthread_cond_signal(&embedded->changed);
    pthread_mutex_unlock(&embedded->lock);
}

/* It ended: whoever waits for it to be ready is told; later it is a failure of what was ready. */
static void on_end(struct embedded *embedded, int code)
{
    pthread_mutex_lock(&embedded->lock);
    bool served = embedded->ready;
    embedded->ended = true;
    embedded->code = code;
    pthread_cond_signal(&embedded->changed);
    pthread_mutex_unlock(&embedded->lock);
    if (served && code != ERR_OK && embedded->failed)
        embedded->failed(embedded->arg, code);
}

/* Signals are the process's main thread's. */
static void *run(void *arg)
{
    struct embedded *embedded = arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    on_end(embedded, replica_run(embedded->replica));
    return NULL;
}

/* ERR_OK: it serves. Otherwise the thread has ended. */
static int start_thread(struct embedded *embedded, char *text, size_t text_len)
{
    int failed = pthread_create(&embedded->thread, NULL, run, embedded);
    assert(failed == 0);
    pthread_mutex_lock(&embedded->lock);
    while (!embedded->ready && !embedded->ended)
        pthread_cond_wait(&embedded->changed, &embedded->lock);
    bool served = embedded->ready;
    pthread_mutex_unlock(&embedded->lock);
    if (served)
        return ERR_OK;
    pthread_join(embedded->thread, NULL);
    snprintf(text, text_len, "%s: the replica does not start: %s", embedded->directory, error_text(embedded->code));
    return embedded->code;
}

/* --- starting and stopping --- */

/* A pactd keeps its data in the directory itself: below it an empty namespace would begin unnoticed. */
static int refuse_pactd(const char *directory, const char *data, char *text, size_t text_len)
{
    if (store_is_in(data) || !store_is_in(directory))
        return ERR_OK;
    snprintf(text, text_len, "%s itself holds a replica's data: start pactd --data %s, and mount its HOST:CLIENTPORT",
             directory, directory);
    return ERR_EXISTS;
}

static int open_replica(struct embedded *embedded, const char *name, char *text, size_t text_len)
{
    char data[PATH_MAX];
    int code = join(data, sizeof data, embedded->directory, "data", text, text_len);
    if (code == ERR_OK)
        code = refuse_pactd(embedded->directory, data, text, text_len);
    if (code != ERR_OK)
        return code;
    char own[32];
    snprintf(own, sizeof own, "127.0.0.1:%u", former_port(embedded->directory));
    const char *const addresses[] = {name, own};
    const struct replica_member alone = {.id = 1, .address = "embedded", .peer_address = "embedded"};
    struct replica_options options = {.id = 1,
                                      .data = data,
                                      .addresses = addresses,
                                      .address_count = 2,
                                      .members = &alone,
                                      .member_count = 1,
                                      .ends_quickly = true,
                                      .ready = on_ready,
                                      .ready_arg = embedded};
    code = own_keys(embedded->directory, "replica.key", &options.keys, text, text_len);
    if (code == ERR_OK)
        code = replica_open(&options, &embedded->replica, text, text_len);
    sodium_memzero(&options.keys, sizeof options.keys);
    return code;
}

static void free_embedded(struct embedded *embedded)
{
    replica_free(embedded->replica);
    pthread_mutex_destroy(&embedded->lock);
    pthread_cond_destroy(&embedded->changed);
    free(embedded->directory);
    free(embedded);
}

int embedded_start(const char *directory, void (*failed)(void *arg, int code), void *arg, struct embedded **out,
                   char *address, size_t address_len, struct link_keys *keys, char *text, size_t text_len)
{
    static atomic_uint instances;
    *out = NULL;
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return fail(text, text_len, directory);
    struct embedded *embedded = calloc(1, sizeof *embedded);
    assert(embedded);
    embedded->directory = strdup(directory);
    assert(embedded->directory);
    embedded->failed = failed;
    embedded->arg = arg;
    pthread_mutex_init(&embedded->lock, NULL);
    pthread_cond_init(&embedded->changed, NULL);
    int len = snprintf(address, address_len, "inproc:pactfs-%d-%u", (int)getpid(), atomic_fetch_add(&instances, 1));
    assert(len > 0 && (size_t)len < address_len);
    int code = open_replica(embedded, address, text, text_len);
    if (code == ERR_OK)
        code = own_keys(directory, "mount.key", keys, text, text_len);
    if (code == ERR_OK)
        code = start_thread(embedded, text, text_len);
    if (code != ERR_OK) {
        free_embedded(embedded);
        return code;
    }
    *out = embedded;
    code = write_address(directory, embedded->port, text, text_len);
    if (code != ERR_OK) {
        embedded_stop(embedded);
        *out = NULL;
    }
    return code;
}

void embedded_stop(struct embedded *embedded)
{
    replica_stop(embedded->replica);
    pthread_join(embedded->thread, NULL);
    remove_address(embedded->directory); /* before the directory is given up: the next one's must stay */
    free_embedded(embedded);
}
