#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "replica/main/options.h"

enum { ID_MAX = 255, PORT_MAX = 65535, PART_BYTES = 320 };

bool number_parse(const char *spec, uint32_t low, uint32_t high, uint32_t *number)
{
    uint64_t value = 0;
    size_t digits = 0;
    for (; spec[digits] >= '0' && spec[digits] <= '9' && digits < 10; digits++)
        value = value * 10 + (uint64_t)(spec[digits] - '0');
    if (digits == 0 || spec[digits] != '\0' || value < low || value > high)
        return false;
    *number = (uint32_t)value;
    return true;
}

/* Cuts the last ":PORT" off. */
static bool cut_port(char *part, uint16_t *port)
{
    uint32_t number;
    char *colon = strrchr(part, ':');
    if (!colon || !number_parse(colon + 1, 0, PORT_MAX, &number))
        return false;
    *colon = '\0';
    *port = (uint16_t)number;
    return true;
}

/* An IPv6 address must stand in brackets, or its colons could not be told from the ports'. */
static bool host_is_sane(const char *host)
{
    size_t len = strlen(host);
    if (len == 0 || len >= sizeof((struct member *)0)->host || strpbrk(host, " \t/=,"))
        return false;
    if (host[0] == '[')
        return host[len - 1] == ']' && strchr(host, ':');
    return !strpbrk(host, ":[]");
}

static bool parse_member(char *part, struct member *member)
{
    char *host = strchr(part, '=');
    if (!host)
        return false;
    *host++ = '\0';
    if (!number_parse(part, 1, ID_MAX, &member->id) || !cut_port(host, &member->client_port) ||
        !cut_port(host, &member->peer_port) || !host_is_sane(host))
        return false;
    snprintf(member->host, sizeof member->host, "%s", host);
    return true;
}

/* A port that two listeners would need; 0: none. A port 0 is one that is free, and no clash. */
static uint16_t shared_port(const struct member *a, const struct member *b)
{
    const uint16_t ports[] = {a->peer_port, a->client_port};
    if (strcasecmp(a->host, b->host) != 0)
        return 0;
    for (size_t i = 0; i < 2; i++)
        if (ports[i] != 0 && (ports[i] == b->peer_port || ports[i] == b->client_port))
            return ports[i];
    return 0;
}

/* Whether the last of `count` members can be one beside the others. */
static int check_last(const struct member *members, size_t count, char *text, size_t text_len)
{
    const struct member *last = &members[count - 1];
    uint16_t port = last->peer_port;
    if (port != 0 && port == last->client_port) {
        snprintf(text, text_len, "member %u has port %u for its peers and for its clients", last->id, port);
        return ERR_INVALID;
    }
    for (const struct member *other = members; other < last; other++) {
        if (other->id == last->id) {
            snprintf(text, text_len, "member %u is there twice", last->id);
            return ERR_INVALID;
        }
        port = shared_port(other, last);
        if (port != 0) {
            snprintf(text, text_len, "members %u and %u are both at %s:%u", other->id, last->id, last->host, port);
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

int ensemble_parse(const char *spec, struct member *members, size_t *count, char *text, size_t text_len)
{
    *count = 0;
    for (const char *at = spec;; at++) {
        char part[PART_BYTES];
        size_t len = strcspn(at, ",");
        struct member *member = &members[*count];
        if (*count == ENSEMBLE_MAX) {
            snprintf(text, text_len, "more than %d members", ENSEMBLE_MAX);
            return ERR_INVALID;
        }
        snprintf(part, sizeof part, "%.*s", (int)(len < sizeof part ? len : sizeof part - 1), at);
        if (len >= sizeof part || !parse_member(part, member)) {
            snprintf(text, text_len, "not ID=HOST:PEERPORT:CLIENTPORT: %.*s", (int)(len < 100 ? len : 100), at);
            return ERR_INVALID;
        }
        int code = check_last(members, ++*count, text, text_len);
        if (code != ERR_OK)
            return code;
        at += len;
        if (*at == '\0')
            return ERR_OK;
    }
}
