/* txn: the lines of a file as one multi. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/pactctl/pactctl.h"

struct txn {
    struct request ops[LIMIT_MULTI_OPS];
    struct edit edits[LIMIT_MULTI_OPS][2];
    char *lines[LIMIT_MULTI_OPS]; /* what the requests borrow from */
    size_t line_numbers[LIMIT_MULTI_OPS];
    size_t count;
    uint64_t session;            /* ours */
    char *made[LIMIT_MULTI_OPS]; /* the names that its creates made, in order */
    size_t made_count;
};

/* --- its lines --- */

static int add_line(struct txn *txn, char *line, size_t number)
{
    char *words[LIMIT_WORDS + 1];
    int count = words_split(line, words);
    if (count < 0)
        return usage("an open quote, or more than %d words", LIMIT_WORDS);
    if (count == 0)
        return EXIT_DONE;
    if (txn->count == LIMIT_MULTI_OPS)
        return usage("more than %u operations", LIMIT_MULTI_OPS);
    words[count] = NULL;
    size_t at = txn->count;
    int code = parse_request(count, words, &txn->ops[at], txn->edits[at]);
    if (code != EXIT_DONE)
        return code;
    if (txn->ops[at].kind == OP_CREATE && txn->ops[at].create.lifetime.ephemeral)
        return usage("create -e: it would be gone with this command, at once");
    txn->lines[at] = line;
    txn->line_numbers[at] = number;
    txn->count++;
    return EXIT_DONE;
}

static int read_lines(struct txn *txn, FILE *file)
{
    size_t capacity = 0;
    char *line = NULL;
    int code = EXIT_DONE;
    ssize_t len;
    for (size_t number = 1; code == EXIT_DONE && (len = getline(&line, &capacity, file)) >= 0; number++) {
        if (len > 0 && line[len - 1] == '\n')
            line[--len] = '\0';
        if (len > 0 && line[len - 1] == '\r') /* from another system's editor */
            line[--len] = '\0';
        size_t before = txn->count;
        usage_line = number;
        code = strlen(line) == (size_t)len ? add_line(txn, line, number) : usage("a NUL byte");
        usage_line = 0;
        if (txn->count > before) { /* the requests borrow from it */
            line = NULL;
            capacity = 0;
        }
    }
    free(line);
    return code;
}

static int read_file(struct txn *txn, FILE *file, const char *path)
{
    size_t len = 0;
    char *text = read_input(file, LIMIT_TXN_TEXT_BYTES + 1, &len);
    int code = EXIT_DONE;
    if (text == NULL || ferror(file))
        code = fail("%s: %s", path, strerror(errno));
    else if (len > LIMIT_TXN_TEXT_BYTES)
        code = usage("%s is larger than %u bytes", path, LIMIT_TXN_TEXT_BYTES);
    FILE *lines = code == EXIT_DONE && len > 0 ? fmemopen(text, len, "r") : NULL;
    if (lines != NULL) {
        code = read_lines(txn, lines);
        fclose(lines);
    }
    free(text);
    return code;
}

/* --- what it made: the result of a multi names only the last, but the changes are told before it --- */

static void on_state(void *arg, enum client_state state, uint64_t session)
{
    struct txn *txn = arg;
    if (state == CLIENT_CONNECTED)
        txn->session = session;
}

static void on_changes(void *arg, const struct changes *changes)
{
    struct txn *txn = arg;
    if (txn->session == 0 || changes->session != txn->session)
        return;
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->list[i];
        if (change->kind != CHANGE_CREATE || change->birth || txn->made_count == LIMIT_MULTI_OPS)
            continue;
        char *name = strdup(change->name);
        if (name == NULL)
            abort();
        txn->made[txn->made_count++] = name;
    }
}

/* Prints the numbered ones, or adds all to `list` unless that is NULL. */
static void tell_made(const struct txn *txn, json_t *list)
{
    size_t made = 0;
    for (size_t i = 0; i < txn->count; i++) {
        const struct op_create *op = &txn->ops[i].create;
        if (txn->ops[i].kind != OP_CREATE || made == txn->made_count)
            continue;
        char *path = created_path(op->at, txn->made[made++]);
        if (list != NULL)
            json_array_append_new(list, json_text(path, strlen(path)));
        else if (op->lifetime.sequential)
            print_path(path, NULL);
        free(path);
    }
}

/* Not if the tree came whole, as a snapshot, between the request and its result: then no changes were told. */
static bool made_is_known(const struct txn *txn)
{
    size_t creates = 0;
    for (size_t i = 0; i < txn->count; i++)
        creates += txn->ops[i].kind == OP_CREATE;
    return txn->made_count == creates;
}

static void print_committed(const struct tool *tool, const struct txn *txn, uint64_t zxid)
{
    bool known = made_is_known(txn);
    if (!known)
        fail("the names that were made could not be learnt: the link broke meanwhile");
    json_t *list = tool->json && known ? json_array() : NULL;
    if (!tool->json)
        printf("%zu done at zxid 0x%llx\n", txn->count, (unsigned long long)zxid);
    if (known)
        tell_made(txn, list);
    if (tool->json)
        json_print(json_pack("{s:I,s:I,s:o}", "operations", (json_int_t)txn->count, "zxid", (json_int_t)zxid, "created",
                             known ? list : json_null()));
}

/* --- the transaction --- */

static int commit(struct tool *tool, struct txn *txn)
{
    struct result result;
    struct request multi = {.kind = OP_MULTI, .multi = {txn->ops, txn->count}};
    const struct client_events events = {.arg = txn, .changes = on_changes, .state = on_state};
    int code = tool_open(tool, false, &events);
    if (code != EXIT_DONE)
        return code;
    client_call(tool->client, &multi, &result);
    if (result.code != ERR_OK && result.failed < txn->count)
        return fail("line %zu: %s; nothing was done", txn->line_numbers[result.failed], error_text(result.code));
    if (result.code != ERR_OK)
        return fail("%s", error_text(result.code));
    print_committed(tool, txn, result.zxid);
    return EXIT_DONE;
}

static void txn_free(struct txn *txn)
{
    if (txn == NULL)
        return;
    for (size_t i = 0; i < txn->count; i++)
        free(txn->lines[i]);
    for (size_t i = 0; i < txn->made_count; i++)
        free(txn->made[i]);
    free(txn);
}

int command_txn(struct tool *tool, int count, char **words)
{
    if (count != 2)
        return usage("txn takes a file");
    bool standard_input = strcmp(words[1], "-") == 0;
    FILE *file = standard_input ? stdin : fopen(words[1], "r");
    if (file == NULL)
        return fail("%s: %s", words[1], strerror(errno));
    struct txn *txn = calloc(1, sizeof *txn);
    int code = txn == NULL ? fail("no memory") : read_file(txn, file, words[1]);
    if (code == EXIT_DONE && txn->count == 0)
        code = usage("%s has no operation", words[1]);
    if (code == EXIT_DONE)
        code = commit(tool, txn);
    tool_close(tool); /* ends the callbacks before what they use goes */
    txn_free(txn);
    if (!standard_input)
        fclose(file);
    return code;
}
