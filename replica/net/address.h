/* address.h - what an address of port.h stands for. */
#ifndef PACT_ADDRESS_H
#define PACT_ADDRESS_H

#include "replica/net/port.h"

#include <sys/socket.h>

enum { ADDRESS_URL_BYTES = 128 }; /* nanomsg's own limit */

struct address {
    bool inproc;
    struct sockaddr_storage at; /* not of inproc */
    socklen_t len;
    char url[ADDRESS_URL_BYTES];
};

/* Asks the resolver for names, IPv4 first. ERR_OK; INVALID: malformed; UNREACHABLE: the name has no address. */
int address_resolve(const char *address, struct address *to);
int address_find(const char *address, struct address *to, char *text, size_t text_len); /* and says what is wrong */
uint16_t address_port(const struct address *address);                                   /* 0 of inproc */
/* Replaces port 0 by a free one. The kernel gives it to nobody else until the caller closes *hold; to listen there
 * meanwhile takes SO_REUSEADDR, which nanomsg sets. ERR_OK or ERR_IO. */
int address_hold_port(struct address *address, int *hold);

#endif
