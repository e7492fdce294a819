#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/pactctl/pactctl.h"
#include "replica/pactd/embedded.h"

int tool_find(struct tool *tool)
{
    char text[256] = "";
    static const char embedded[] = "embedded:";
    if (strncmp(tool->servers, embedded, sizeof embedded - 1) == 0) {
        const char *directory = tool->servers + sizeof embedded - 1;
        int code = embedded_find(directory, tool->address, sizeof tool->address, &tool->keys, text, sizeof text);
        return code == ERR_OK ? EXIT_DONE : fail("%s", text);
    }
    if ((size_t)snprintf(tool->address, sizeof tool->address, "%s", tool->servers) >= sizeof tool->address)
        return usage("the list of servers is too long");
    if (tool->key_path != NULL && keys_read(tool->key_path, &tool->keys, text, sizeof text) != ERR_OK) {
        fail("%s", text);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

int tool_open(struct tool *tool, bool observer, const struct client_events *events)
{
    char text[256] = "";
    int code = tool_find(tool);
    if (code != EXIT_DONE)
        return code;
    struct client_options options = {.servers = tool->address, .keys = tool->keys, .observer = observer};
    if (events != NULL)
        options.events = *events;
    code = client_open(&options, &tool->client, text, sizeof text);
    if (code != ERR_OK) {
        fail("%s", text);
        return code == ERR_INVALID || code == ERR_UNREACHABLE ? EXIT_USAGE : EXIT_FAILED;
    }
    int error = client_wait_ready(tool->client, READY_TIMEOUT_MS);
    if (error != ERR_OK)
        return fail("%s: %s", tool->address, client_ready_text(error));
    return EXIT_DONE;
}

void tool_close(struct tool *tool)
{
    if (tool->client != NULL)
        client_close(tool->client);
    tool->client = NULL;
}

int tool_call(struct tool *tool, const struct request *request, const char *what, struct result *result)
{
    client_call(tool->client, request, result);
    if (result->code == ERR_OK)
        return EXIT_DONE;
    return fail("%s: %s", what, error_text(result->code));
}

static json_t *key_path(const char *directory, const char *name)
{
    char path[LIMIT_PATH_BYTES];
    int len = snprintf(path, sizeof path, "%s/%s", directory, name);
    return json_text(path, len > 0 && (size_t)len < sizeof path ? (size_t)len : 0);
}

int command_keygen(struct tool *tool, int count, char **words)
{
    char text[256] = "";
    if (count != 2)
        return usage("keygen takes a directory");
    if (mkdir(words[1], 0700) != 0 && errno != EEXIST)
        return fail("%s: %s", words[1], strerror(errno));
    if (keys_generate(words[1], text, sizeof text) != ERR_OK)
        return fail("%s", text);
    if (tool->json)
        json_print(json_pack("{s:o,s:o}", "replica_key", key_path(words[1], "replica.key"), "mount_key",
                             key_path(words[1], "mount.key")));
    else
        printf("%s/replica.key\n%s/mount.key\n", words[1], words[1]);
    return EXIT_DONE;
}
