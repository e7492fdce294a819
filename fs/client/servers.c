#include "fs/client/servers.h"

#include <stdio.h>
#include <string.h>

#include "proto/errors.h"
#include "replica/net/port.h"

static int add_server(struct servers *servers, const char *at, size_t len, char *text, size_t text_len)
{
    char url[2 * SERVER_ADDRESS_BYTES];
    if (servers->count == LIMIT_SERVERS) {
        snprintf(text, text_len, "more than %u servers", LIMIT_SERVERS);
        return ERR_INVALID;
    }
    struct server *server = &servers->list[servers->count];
    snprintf(server->address, sizeof server->address, "%.*s", (int)(len < INT32_MAX ? len : INT32_MAX), at);
    int code = ERR_INVALID;
    if (len > 0 && len < sizeof server->address)
        code = address_url(server->address, url, sizeof url);
    if (code == ERR_OK)
        servers->count++;
    else if (code == ERR_UNREACHABLE)
        snprintf(text, text_len, "no such host: '%s'", server->address);
    else
        snprintf(text, text_len, "not an address (HOST:PORT): '%s'", server->address);
    return code;
}

int servers_parse(struct servers *servers, const char *text_list, uint32_t seed, char *text, size_t text_len)
{
    memset(servers, 0, sizeof *servers);
    for (const char *at = text_list, *end; at != NULL; at = *end != '\0' ? end + 1 : NULL) {
        end = strchrnul(at, ',');
        int code = add_server(servers, at, (size_t)(end - at), text, text_len);
        if (code != ERR_OK)
            return code;
    }
    servers->current = seed % servers->count;
    return ERR_OK;
}

struct server *servers_current(struct servers *servers)
{
    return &servers->list[servers->current];
}

void servers_next(struct servers *servers, uint64_t now_ms)
{
    size_t best = servers->current;
    for (size_t step = 1; step <= servers->count; step++) {
        size_t index = (servers->current + step) % servers->count;
        if (servers->list[index].not_before_ms <= now_ms) {
            servers->current = index;
            return;
        }
        if (servers->list[index].not_before_ms < servers->list[best].not_before_ms)
            best = index;
    }
    servers->current = best;
}
