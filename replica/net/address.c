#include "replica/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char inproc_prefix[] = "inproc:";

static bool is_v6(const struct address *address)
{
    return address->at.ss_family == AF_INET6;
}

static int write_url(struct address *address)
{
    char host[INET6_ADDRSTRLEN], port[8];
    if (getnameinfo((const struct sockaddr *)&address->at, address->len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return ERR_INVALID;
    const char *form = is_v6(address) ? "tcp://[%s]:%s" : "tcp://%s:%s";
    const int len = snprintf(address->url, sizeof address->url, form, host, port);
    return len < (int)sizeof address->url ? ERR_OK : ERR_INVALID;
}

/* "HOST:PORT" or "[V6]:PORT" into its parts. */
static bool split(const char *address, char *host, size_t host_len, char *port, size_t port_len)
{
    const bool bracket = address[0] == '[';
    const char *start = address + bracket;
    const char *end = bracket ? strchr(start, ']') : strrchr(start, ':');
    if (end == NULL || end == start || (size_t)(end - start) >= host_len)
        return false;
    const char *digits = end + 1 + bracket;
    if (bracket && end[1] != ':')
        return false;
    const size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 5 || digits[count] != '\0' || atoi(digits) > 65535 || count >= port_len)
        return false;
    if (!bracket && memchr(start, ':', (size_t)(end - start)) != NULL)
        return false; /* IPv6 without brackets: where would the port begin? */
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    memcpy(port, digits, count + 1);
    return true;
}

static int look_up(const char *host, const char *port, int family, struct address *to)
{
    const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return ERR_UNREACHABLE;
    memcpy(&to->at, found->ai_addr, found->ai_addrlen);
    to->len = found->ai_addrlen;
    freeaddrinfo(found);
    return ERR_OK;
}

int address_resolve(const char *address, struct address *to)
{
    *to = (struct address){0};
    if (strncmp(address, inproc_prefix, sizeof inproc_prefix - 1) == 0) {
        const char *name = address + sizeof inproc_prefix - 1;
        to->inproc = true;
        const int len = snprintf(to->url, sizeof to->url, "inproc://%s", name);
        return name[0] != '\0' && len < (int)sizeof to->url ? ERR_OK : ERR_INVALID;
    }
    char host[256], port[8];
    if (!split(address, host, sizeof host, port, sizeof port))
        return ERR_INVALID;
    int err = look_up(host, port, AF_INET, to);
    if (err != ERR_OK)
        err = look_up(host, port, AF_INET6, to);
    return err == ERR_OK ? write_url(to) : err;
}

int address_find(const char *address, struct address *to, char *text, size_t text_len)
{
    const int err = address_resolve(address, to);
    if (err != ERR_OK)
        snprintf(text, text_len, "%s: %s", address, err == ERR_INVALID ? "not HOST:PORT" : "no such host");
    return err;
}

uint16_t address_port(const struct address *address)
{
    if (address->inproc)
        return 0;
    if (is_v6(address))
        return ntohs(((const struct sockaddr_in6 *)(const void *)&address->at)->sin6_port);
    return ntohs(((const struct sockaddr_in *)(const void *)&address->at)->sin_port);
}

int address_hold_port(struct address *address, int *hold)
{
    const int reuse = 1;
    const int fd = socket(address->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERR_IO;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) == 0 &&
        bind(fd, (struct sockaddr *)&address->at, address->len) == 0 &&
        getsockname(fd, (struct sockaddr *)&address->at, &address->len) == 0 && write_url(address) == ERR_OK) {
        *hold = fd;
        return ERR_OK;
    }
    close(fd);
    return ERR_IO;
}

int address_url(const char *address, char *url, size_t url_len)
{
    struct address resolved;
    const int err = address_resolve(address, &resolved);
    if (err != ERR_OK)
        return err;
    return snprintf(url, url_len, "%s", resolved.url) < (int)url_len ? ERR_OK : ERR_INVALID;
}

bool address_is_loopback(const char *address)
{
    struct address resolved;
    if (address_resolve(address, &resolved) != ERR_OK)
        return false;
    if (resolved.inproc)
        return true;
    if (is_v6(&resolved))
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)&resolved.at)->sin6_addr);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&resolved.at;
    return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}
