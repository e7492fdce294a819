/* options.h - pactd's command line and configuration file. */
#ifndef PACT_OPTIONS_H
#define PACT_OPTIONS_H

#include "replica/net/link.h"

enum { ENSEMBLE_MAX = 7, SILENCE_MIN_MS = 50, SILENCE_MAX_MS = 30000 };
enum { SNAPSHOT_EVERY_MIN = 100, SNAPSHOT_EVERY_MAX = 10000000 }; /* entries */

struct member {
    uint32_t id;    /* 1 … 255 */
    char host[256]; /* a name or an address; IPv6 in brackets */
    uint16_t peer_port, client_port;
};

struct options {
    uint32_t id;
    const char *data, *log_level;
    struct member members[ENSEMBLE_MAX];
    size_t member_count;
    const struct member *self;
    char addresses[ENSEMBLE_MAX][300], peer_addresses[ENSEMBLE_MAX][300]; /* HOST:CLIENTPORT, HOST:PEERPORT */
    uint32_t state_version_max;                                           /* 0: as new as this program knows */
    uint32_t silence_ms;                                                  /* 0: the default */
    uint32_t snapshot_every;                                              /* entries; 0: the default */
    bool adopt;
    struct link_keys keys;
};

/* Reads everything and checks it. Ends the process: with 0 after --help and --version, with 2 and one line on stderr
 * if something is wrong. */
void options_read(int argc, char **argv, struct options *options);

/* ID=HOST:PEERPORT:CLIENTPORT[,…] → 1 to ENSEMBLE_MAX members with different ids and ports. ERR_OK, or ERR_INVALID and
 * text. */
int ensemble_parse(const char *spec, struct member *members, size_t *count, char *text, size_t text_len);
/* A decimal number from low to high and nothing else. */
bool number_parse(const char *spec, uint32_t low, uint32_t high, uint32_t *number);

#endif
