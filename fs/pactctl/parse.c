#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "fs/client/duration.h"
#include "fs/pactctl/pactctl.h"

enum { DIRECTORY_MODE = 0755, FILE_MODE = 0644 };
#define CONTROL_NAME ".pact" /* as in fs/mount/control.h */

struct where where_of(const char *path)
{
    size_t len;
    while (*path == '/')
        path++;
    len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    return (struct where){.id = ROOT_ID, .path = {path, len}};
}

int check_path(const char *path)
{
    return *path == '\0' ? usage("a path is empty; the root is /") : EXIT_DONE;
}

bool parse_number(const char *text, int64_t *number)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0';
}

uint32_t last_name_bytes(struct where at)
{
    const char *path = at.path.at;
    size_t start = at.path.len;
    while (start > 0 && path[start - 1] != '/')
        start--;
    return (uint32_t)(at.path.len - start);
}

/* What no mount could have made, or could remove. */
static int check_create(const struct op_create *op, const char *path)
{
    const struct lifetime *lifetime = &op->lifetime;
    uint32_t len = last_name_bytes(op->at);
    const char *name = (const char *)op->at.path.at + op->at.path.len - len;
    if (lifetime->ephemeral + lifetime->container + (lifetime->ttl_ms > 0) > 1)
        return usage("create: -e, -t and -c exclude each other");
    if (!lifetime->sequential && len == strlen(CONTROL_NAME) && memcmp(name, CONTROL_NAME, len) == 0)
        return usage("create: %s: the name " CONTROL_NAME " is reserved", path);
    return EXIT_DONE;
}

static int parse_create(int count, char **words, struct request *request)
{
    struct op_create *op = &request->create;
    bool directory = false;
    *request = (struct request){.kind = OP_CREATE};
    for (int c; (c = getopt(count, words, "+dsect:")) != -1;) {
        if (c == 'd')
            directory = true;
        else if (c == 's')
            op->lifetime.sequential = true;
        else if (c == 'e')
            op->lifetime.ephemeral = true;
        else if (c == 'c')
            op->lifetime.container = true;
        else if (c != 't' || duration_parse(optarg, strlen(optarg), &op->lifetime.ttl_ms) != ERR_OK)
            return usage("create: bad option or value: %s", words[optind - 1]);
    }
    if (count - optind < 1 || count - optind > 2)
        return usage("create takes a path and at most one value");
    bool value = count - optind == 2;
    if (check_path(words[optind]) != EXIT_DONE)
        return EXIT_USAGE;
    op->at = where_of(words[optind]);
    if (op->lifetime.sequential && op->at.path.len > 0 && ((const char *)op->at.path.at)[op->at.path.len] == '/')
        op->at.path.len++; /* in that directory, named by its number alone */
    op->kind = value && !directory && !op->lifetime.container ? KIND_FILE : KIND_DIRECTORY;
    op->mode = op->kind == KIND_FILE ? FILE_MODE : DIRECTORY_MODE;
    op->lifetime.sequence_at = op->lifetime.sequential ? last_name_bytes(op->at) : 0; /* behind the name */
    if (value)
        op->data = (struct bytes){words[optind + 1], strlen(words[optind + 1])};
    return check_create(op, words[optind]);
}

/* [--if-version N], then exactly `arguments` words, of which optind is the first. */
static int parse_version(int count, char **words, int arguments, int64_t *version)
{
    static const struct option options[] = {{"if-version", required_argument, NULL, 'v'}, {0}};
    *version = NO_VERSION_CHECK;
    for (int c; (c = getopt_long(count, words, "+", options, NULL)) != -1;)
        if (c != 'v' || !parse_number(optarg, version))
            return usage("%s: bad option or value: %s", words[0], words[optind - 1]);
    if (count - optind != arguments)
        return usage("%s takes %s", words[0], arguments == 2 ? "a path and a value" : "a path");
    return check_path(words[optind]);
}

static int parse_set(int count, char **words, struct request *request, struct edit *edits)
{
    int64_t version;
    int code = parse_version(count, words, 2, &version);
    if (code != EXIT_DONE)
        return code;
    const char *value = words[optind + 1];
    edits[0] = (struct edit){.kind = EDIT_TRUNCATE};
    edits[1] = (struct edit){.kind = EDIT_PUT, .data = {value, strlen(value)}};
    *request = (struct request){.kind = OP_WRITE};
    request->write = (struct op_write){where_of(words[optind]), version, edits, *value == '\0' ? 1 : 2};
    return EXIT_DONE;
}

static int parse_rm(int count, char **words, struct request *request)
{
    *request = (struct request){.kind = OP_DELETE};
    for (int i = 1; i < count && strcmp(words[i], "--") != 0; i++)
        if (strcmp(words[i], "-r") == 0) /* well-formed ones come to command_rm only: many transactions */
            return usage("rm: -r takes a path alone: no --if-version, and not in a txn");
    int code = parse_version(count, words, 1, &request->delete.version);
    if (code == EXIT_DONE)
        request->delete.at = where_of(words[optind]);
    return code;
}

static int parse_check(int count, char **words, struct request *request)
{
    *request = (struct request){.kind = OP_CHECK};
    if (count == 3 && strcmp(words[1], "--absent") == 0) {
        request->check = (struct op_check){where_of(words[2]), NO_VERSION_CHECK, true};
        return EXIT_DONE;
    }
    int code = parse_version(count, words, 1, &request->check.version);
    if (code == EXIT_DONE)
        request->check.at = where_of(words[optind]);
    return code;
}

int parse_request(int count, char **words, struct request *request, struct edit *edits)
{
    optind = 0; /* begin anew */
    opterr = 0;
    if (strcmp(words[0], "create") == 0)
        return parse_create(count, words, request);
    if (strcmp(words[0], "set") == 0)
        return parse_set(count, words, request, edits);
    if (strcmp(words[0], "rm") == 0)
        return parse_rm(count, words, request);
    if (strcmp(words[0], "check") == 0)
        return parse_check(count, words, request);
    return usage("%s is none of create, set, rm, check", words[0]);
}
