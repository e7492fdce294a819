/* The reading commands: each attaches as an observer and answers from its copy of the tree. */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/pactctl/pactctl.h"

static const char *kind_name(enum node_kind kind)
{
    return kind == KIND_DIRECTORY ? "directory" : kind == KIND_FILE ? "file" : "symlink";
}

/* --- ls --- */

static int by_name(const void *a, const void *b)
{
    struct bytes x = node_name(*(const struct node *const *)a), y = node_name(*(const struct node *const *)b);
    return strcmp(x.at, y.at);
}

/* The visible children in order of name; the caller frees. NULL: none, or no memory. */
static const struct node **sorted_children(const struct node *node, size_t *count)
{
    struct node_stat stat;
    node_stat(node, &stat);
    const struct node **list = calloc(stat.children + 1u, sizeof(const struct node *));
    *count = 0;
    if (list == NULL || stat.kind != KIND_DIRECTORY) {
        free(list);
        return NULL;
    }
    for (const struct node *child = node_first_child(node); child != NULL; child = node_next_sibling(child)) {
        node_stat(child, &stat);
        if (stat.unborn_of == 0)
            list[(*count)++] = child;
    }
    qsort(list, *count, sizeof *list, by_name);
    return list;
}

static void print_listed(const struct tool *tool, const struct state *state, const struct node *node, bool deep)
{
    struct node_stat stat;
    node_stat(node, &stat);
    char *path = path_of(state, node);
    if (tool->json)
        json_print(json_pack("{s:o,s:s,s:I,s:I}", "path", json_text(path, strlen(path)), "kind", kind_name(stat.kind),
                             "size", (json_int_t)stat.size, "version", (json_int_t)stat.version));
    else
        print_path(deep ? path : node_name(node).at, NULL);
    free(path);
}

static void list(const struct tool *tool, const struct state *state, const struct node *node, bool deep)
{
    size_t count;
    const struct node **children = sorted_children(node, &count);
    for (size_t i = 0; i < count; i++) {
        print_listed(tool, state, children[i], deep);
        if (deep)
            list(tool, state, children[i], deep); /* at most LIMIT_DEPTH */
    }
    free(children);
}

int command_ls(struct tool *tool, int count, char **words)
{
    bool deep = count > 1 && strcmp(words[1], "-R") == 0;
    int arguments = count - (deep ? 2 : 1);
    if (arguments > 1 || (arguments == 1 && words[count - 1][0] == '-'))
        return usage("ls takes -R and a path");
    int code = tool_open(tool, true, NULL);
    if (code != EXIT_DONE)
        return code;
    const struct state *state = client_lock(tool->client);
    const struct node *node = find_or_fail(state, arguments == 1 ? words[count - 1] : "/");
    if (node != NULL)
        list(tool, state, node, deep);
    client_unlock(tool->client);
    return node == NULL ? EXIT_FAILED : EXIT_DONE;
}

/* --- stat, get --- */

static void print_time(const char *name, int64_t ns)
{
    char text[40];
    const int64_t second = 1000000000, rest = (ns % second + second) % second; /* also before 1970 */
    time_t seconds = (time_t)(ns / second - (ns % second < 0));
    struct tm tm;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
    printf("%-16s%s.%09lldZ\n", name, text, (long long)rest);
}

static void print_stat(const struct node_stat *s)
{
    printf("%-16s%llu\n%-16s%s\n", "id", (unsigned long long)s->id, "kind", kind_name(s->kind));
    printf("%-16s%04o %u:%u\n", "mode", s->mode, s->uid, s->gid);
    printf("%-16s0x%llx\n%-16s0x%llx\n%-16s0x%llx\n", "czxid", (unsigned long long)s->czxid, "mzxid",
           (unsigned long long)s->mzxid, "pzxid", (unsigned long long)s->pzxid);
    print_time("ctime", s->btime_ns);
    print_time("mtime", s->data_mtime_ns);
    printf("%-16s%u\n%-16s%u\n%-16s%u\n", "version", s->version, "cversion", s->cversion, "aversion", s->aversion);
    printf("%-16s0x%llx\n", "ephemeralOwner", (unsigned long long)s->ephemeral_owner);
    printf("%-16s%llu\n%-16s%u\n", "dataLength", (unsigned long long)s->size, "numChildren", s->children);
    if (s->ttl_ms != 0)
        printf("%-16s%llu ms\n", "ttl", (unsigned long long)s->ttl_ms);
    if (s->container)
        puts("container       yes");
}

static json_t *stat_json(const struct node_stat *s)
{
    return json_pack("{s:I,s:s,s:i,s:I,s:I, s:I,s:I,s:I, s:I,s:I, s:I,s:I,s:I, s:I,s:I,s:I,s:I,s:b}", "id",
                     (json_int_t)s->id, "kind", kind_name(s->kind), "mode", (int)s->mode, "uid", (json_int_t)s->uid,
                     "gid", (json_int_t)s->gid, "czxid", (json_int_t)s->czxid, "mzxid", (json_int_t)s->mzxid, "pzxid",
                     (json_int_t)s->pzxid, "ctime_ns", (json_int_t)s->btime_ns, "mtime_ns",
                     (json_int_t)s->data_mtime_ns, "version", (json_int_t)s->version, "cversion",
                     (json_int_t)s->cversion, "aversion", (json_int_t)s->aversion, "ephemeralOwner",
                     (json_int_t)s->ephemeral_owner, "dataLength", (json_int_t)s->size, "numChildren",
                     (json_int_t)s->children, "ttl_ms", (json_int_t)s->ttl_ms, "container", (int)s->container);
}

int command_stat(struct tool *tool, int count, char **words)
{
    struct node_stat stat;
    if (count != 2)
        return usage("stat takes a path");
    int code = tool_open(tool, true, NULL);
    if (code != EXIT_DONE)
        return code;
    const struct state *state = client_lock(tool->client);
    const struct node *node = find_or_fail(state, words[1]);
    if (node != NULL)
        node_stat(node, &stat);
    client_unlock(tool->client);
    if (node == NULL)
        return EXIT_FAILED;
    if (tool->json)
        json_print(stat_json(&stat));
    else
        print_stat(&stat);
    return EXIT_DONE;
}

static int print_data(const struct tool *tool, struct data *data)
{
    size_t len = data_size(data);
    char *text = malloc(len + 1);
    if (text == NULL)
        return fail("no memory");
    data_read(data, 0, text, len);
    if (tool->json)
        json_print(json_pack("{s:o,s:I}", "data", json_text(text, len), "size", (json_int_t)len));
    else
        fwrite(text, 1, len, stdout);
    free(text);
    return EXIT_DONE;
}

int command_get(struct tool *tool, int count, char **words)
{
    struct data *data = NULL;
    if (count != 2)
        return usage("get takes a path");
    int code = tool_open(tool, true, NULL);
    if (code != EXIT_DONE)
        return code;
    const struct state *state = client_lock(tool->client);
    const struct node *node = find_or_fail(state, words[1]);
    if (node != NULL)
        data = data_ref(node_data(node));
    client_unlock(tool->client);
    code = node == NULL ? EXIT_FAILED : print_data(tool, data);
    data_unref(data);
    return code;
}

/* --- sync, sessions, digest --- */

struct waiting {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    bool is_done;
    struct result result;
};

static void synced(void *arg, const struct result *result)
{
    struct waiting *waiting = arg;
    pthread_mutex_lock(&waiting->mutex);
    waiting->result = *result;
    waiting->is_done = true;
    pthread_cond_signal(&waiting->done);
    pthread_mutex_unlock(&waiting->mutex);
}

int command_sync(struct tool *tool, int count, char **words)
{
    struct waiting waiting = {.mutex = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    struct client_info info;
    if (count != 1)
        return usage("%s takes nothing", words[0]);
    int code = tool_open(tool, true, NULL);
    if (code != EXIT_DONE)
        return code;
    client_sync(tool->client, synced, &waiting);
    pthread_mutex_lock(&waiting.mutex);
    while (!waiting.is_done)
        pthread_cond_wait(&waiting.done, &waiting.mutex);
    pthread_mutex_unlock(&waiting.mutex);
    if (waiting.result.code != ERR_OK)
        return fail("%s", error_text(waiting.result.code));
    client_info(tool->client, &info);
    if (tool->json)
        json_print(json_pack("{s:I}", "zxid", (json_int_t)info.applied));
    else
        printf("0x%llx\n", (unsigned long long)info.applied);
    return EXIT_DONE;
}

static void print_session_text(const struct session_info *info)
{
    char opened[40];
    time_t seconds = (time_t)(info->opened_ns / 1000000000);
    struct tm tm;
    strftime(opened, sizeof opened, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    printf("%-18llx %-24s %8u %8.1f %-20s %12llu %10llu %8llu\n", (unsigned long long)info->id, info->host, info->pid,
           info->timeout_ms / 1000.0, opened, (unsigned long long)info->last_number,
           (unsigned long long)info->ephemerals, (unsigned long long)info->locks);
}

static void print_session(const struct tool *tool, const struct session_info *info)
{
    if (tool->json)
        json_print(json_pack("{s:I,s:o,s:I,s:I,s:I,s:I,s:I,s:I}", "id", (json_int_t)info->id, "host",
                             json_text(info->host, strlen(info->host)), "pid", (json_int_t)info->pid, "timeout_ms",
                             (json_int_t)info->timeout_ms, "opened_ns", (json_int_t)info->opened_ns, "requests",
                             (json_int_t)info->last_number, "ephemerals", (json_int_t)info->ephemerals, "locks",
                             (json_int_t)info->locks));
    else
        print_session_text(info);
}

int command_sessions(struct tool *tool, int count, char **words)
{
    struct session_info info;
    uint64_t id = 0;
    if (count != 1)
        return usage("%s takes nothing", words[0]);
    int code = tool_open(tool, true, NULL);
    if (code != EXIT_DONE)
        return code;
    if (!tool->json)
        printf("%-18s %-24s %8s %8s %-20s %12s %10s %8s\n", "SESSION", "HOST", "PID", "TIMEOUT", "OPENED", "REQUESTS",
               "EPHEMERALS", "LOCKS");
    const struct state *state = client_lock(tool->client);
    while (state_next_session(state, &id, &info))
        print_session(tool, &info);
    client_unlock(tool->client);
    return EXIT_DONE;
}

int command_digest(struct tool *tool, int count, char **words)
{
    if (count != 1)
        return usage("%s takes nothing", words[0]);
    int code = tool_open(tool, true, NULL);
    if (code != EXIT_DONE)
        return code;
    const struct state *state = client_lock(tool->client);
    uint64_t zxid = state_zxid(state), digest = state_digest(state);
    client_unlock(tool->client);
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)digest);
    if (tool->json)
        json_print(json_pack("{s:I,s:s}", "zxid", (json_int_t)zxid, "digest", text));
    else
        printf("0x%llx %s\n", (unsigned long long)zxid, text);
    return EXIT_DONE;
}
