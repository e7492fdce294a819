#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/pactctl/pactctl.h"

char *read_input(FILE *file, size_t most, size_t *len)
{
    char *text = malloc(most);
    if (text == NULL)
        return NULL;
    *len = fread(text, 1, most, file);
    return text;
}

/* What was done, for who asks for JSON; people need no word of it. */
static void print_done(const struct tool *tool, const char *path, uint64_t zxid)
{
    if (tool->json)
        json_print(json_pack("{s:o,s:I}", "path", json_text(path, strlen(path)), "zxid", (json_int_t)zxid));
}

/* A value of "-" becomes standard input, in *input, which the caller frees; EXIT_FAILED after a message. `value` may be
 * NULL. */
static int take_input(const char *value, struct bytes *data, char **input)
{
    *input = NULL;
    if (value == NULL || strcmp(value, "-") != 0)
        return EXIT_DONE;
    *input = read_input(stdin, LIMIT_DATA_BYTES + 1, &data->len); /* one more than fits: it is refused */
    data->at = *input;
    return *input == NULL || ferror(stdin) ? fail("cannot read standard input") : EXIT_DONE;
}

int command_set(struct tool *tool, int count, char **words)
{
    struct request request;
    struct result result;
    struct edit edits[2];
    char *input;
    int code = parse_request(count, words, &request, edits);
    if (code != EXIT_DONE)
        return code;
    const char *path = words[optind];
    code = take_input(words[optind + 1], &edits[1].data, &input);
    request.write.count = edits[1].data.len == 0 ? 1 : 2;
    if (code == EXIT_DONE)
        code = tool_open(tool, false, NULL);
    if (code == EXIT_DONE)
        code = tool_call(tool, &request, path, &result);
    if (code == EXIT_DONE)
        print_done(tool, path, result.zxid);
    free(input);
    return code;
}

static void print_created(const struct tool *tool, struct where at, const struct result *result)
{
    char *path = created_path(at, result->name);
    if (tool->json)
        json_print(json_pack("{s:o,s:I,s:I}", "path", json_text(path, strlen(path)), "id", (json_int_t)result->id,
                             "zxid", (json_int_t)result->zxid));
    else
        puts(path);
    fflush(stdout);
    free(path);
}

/* An ephemeral znode lives as long as its session, which is this process; but it may be lost before. */
static void on_state(void *arg, enum client_state state, uint64_t session)
{
    _Atomic bool *lost = arg;
    (void)session;
    if (state != CLIENT_EXPIRED)
        return;
    atomic_store(lost, true);
    kill(getpid(), SIGTERM); /* what the main thread waits for */
}

/* Waits until a signal, or the loss of the session, ends what hangs on it. */
static int hold(struct tool *tool, const char *path, const _Atomic bool *lost)
{
    wait_for_signal();
    bool gone = atomic_load(lost); /* closing the session ends it as well, and that is no loss */
    tool_close(tool);
    return gone ? fail("%s: the session was lost, and the znode with it", path) : EXIT_DONE;
}

static int create(struct tool *tool, const struct request *request, const char *path)
{
    struct result result;
    _Atomic bool lost = false;
    const struct client_events events = {.arg = &lost, .state = on_state};
    bool stays = request->create.lifetime.ephemeral;
    if (stays)
        block_signals();
    int code = tool_open(tool, false, stays ? &events : NULL);
    if (code == EXIT_DONE)
        code = tool_call(tool, request, path, &result);
    if (code == EXIT_DONE)
        print_created(tool, request->create.at, &result);
    if (code == EXIT_DONE && stays)
        code = hold(tool, path, &lost);
    tool_close(tool); /* ends the callbacks before what they use goes */
    return code;
}

int command_create(struct tool *tool, int count, char **words)
{
    struct request request;
    char *input;
    int code = parse_request(count, words, &request, NULL);
    if (code != EXIT_DONE)
        return code;
    const char *path = words[optind];
    code = take_input(words[optind + 1], &request.create.data, &input); /* behind the last word is NULL */
    if (code == EXIT_DONE)
        code = create(tool, &request, path);
    free(input);
    return code;
}

/* --- rm -r: leaves first, in transactions of LIMIT_MULTI_OPS: all or nothing as far as one transaction reaches --- */

struct doomed {
    uint64_t *ids;
    size_t count, capacity;
};

static bool doom(struct doomed *doomed, uint64_t id)
{
    if (doomed->count == doomed->capacity) {
        size_t capacity = doomed->capacity == 0 ? 256 : 2 * doomed->capacity;
        uint64_t *ids = realloc(doomed->ids, capacity * sizeof *ids);
        if (ids == NULL)
            return false;
        doomed->ids = ids;
        doomed->capacity = capacity;
    }
    doomed->ids[doomed->count++] = id;
    return true;
}

/* A znode after its parent, breadth first; deleted from the end. Without its start if that is the root. */
static bool doom_tree(const struct state *state, const struct node *top, struct doomed *doomed)
{
    struct node_stat stat;
    node_stat(top, &stat);
    if (!doom(doomed, stat.id))
        return false;
    for (size_t i = 0; i < doomed->count; i++) {
        const struct node *node = state_node(state, doomed->ids[i]);
        for (const struct node *child = node_first_child(node); child != NULL; child = node_next_sibling(child)) {
            node_stat(child, &stat);
            if (!doom(doomed, stat.id))
                return false;
        }
    }
    return true;
}

static int delete_doomed(struct tool *tool, struct doomed *doomed, size_t keep, const char *path)
{
    struct request *ops = calloc(LIMIT_MULTI_OPS, sizeof *ops);
    struct result result = {0};
    int code = ops == NULL ? fail("no memory") : EXIT_DONE;
    while (code == EXIT_DONE && doomed->count > keep) {
        size_t count = 0;
        for (; count < LIMIT_MULTI_OPS && doomed->count > keep; count++) {
            ops[count] = (struct request){.kind = OP_DELETE};
            ops[count].delete.at.id = doomed->ids[--doomed->count];
            ops[count].delete.version = NO_VERSION_CHECK;
        }
        struct request multi = {.kind = OP_MULTI, .multi = {ops, count}};
        code = tool_call(tool, &multi, path, &result);
    }
    free(ops);
    if (code == EXIT_DONE)
        print_done(tool, path, result.zxid);
    return code;
}

static int remove_tree(struct tool *tool, const char *path)
{
    struct doomed doomed = {0};
    int code = tool_open(tool, false, NULL);
    if (code != EXIT_DONE)
        return code;
    const struct state *state = client_lock(tool->client);
    const struct node *top = find_or_fail(state, path);
    bool whole = top != NULL && doom_tree(state, top, &doomed);
    client_unlock(tool->client);
    if (top == NULL)
        code = EXIT_FAILED;
    else if (!whole)
        code = fail("no memory");
    else
        code = delete_doomed(tool, &doomed, where_of(path).path.len == 0 ? 1 : 0, path);
    free(doomed.ids);
    return code;
}

int command_rm(struct tool *tool, int count, char **words)
{
    struct request request;
    struct result result;
    if (count == 3 && strcmp(words[1], "-r") == 0 && check_path(words[2]) != EXIT_DONE)
        return EXIT_USAGE;
    if (count == 3 && strcmp(words[1], "-r") == 0)
        return remove_tree(tool, words[2]);
    int code = parse_request(count, words, &request, NULL);
    if (code != EXIT_DONE)
        return code;
    const char *path = words[optind];
    code = tool_open(tool, false, NULL);
    if (code == EXIT_DONE)
        code = tool_call(tool, &request, path, &result);
    if (code == EXIT_DONE)
        print_done(tool, path, result.zxid);
    return code;
}
