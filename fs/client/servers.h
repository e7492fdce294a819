/* servers.h - the list of replicas a client may attach to, tried in turn from a random one on. */
#ifndef PACT_SERVERS_H
#define PACT_SERVERS_H

#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SERVER_ADDRESS_BYTES = 128 };

struct server {
    char address[SERVER_ADDRESS_BYTES];
    uint64_t not_before_ms; /* it refused us: leave it alone until then */
};

struct servers {
    struct server list[LIMIT_SERVERS];
    size_t count, current;
};

/* HOST:PORT[,…] or inproc:NAME[,…]; `seed` picks the first. ERR_OK, or text says what is wrong: ERR_INVALID (no
 * address, or too many) or ERR_UNREACHABLE (a host that the resolver does not know). */
int servers_parse(struct servers *servers, const char *text_list, uint32_t seed, char *text, size_t text_len);
struct server *servers_current(struct servers *servers);
/* On to the next one that may be tried at now_ms, or the one that may be tried first. */
void servers_next(struct servers *servers, uint64_t now_ms);

#endif
