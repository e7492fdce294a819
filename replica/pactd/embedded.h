/* embedded.h - a replica inside the calling process, in a thread of its own: the one-machine default.
 *
 * It serves its own process over inproc, and others over TCP on a loopback port with a key it makes itself:
 * DIR/address holds HOST:PORT, DIR/mount.key the key, so that `pactctl -s embedded:DIR` and further mounts find it. The
 * port is a free one at first, and then the same as long as that can be had: mounts elsewhere find it again. */
#ifndef PACT_EMBEDDED_H
#define PACT_EMBEDDED_H

#include "replica/net/link.h"

struct embedded;

/* Its data is kept in DIR/data. Refused where DIR itself holds a replica's, and nothing is made then.
 * Returns when it serves. address gets what to give client_open, keys what it needs there. `failed` is called (in the
 * replica's thread) if the replica can't go on. */
int embedded_start(const char *directory, void (*failed)(void *arg, int code), void *arg, struct embedded **embedded,
                   char *address, size_t address_len, struct link_keys *keys, char *text, size_t text_len);
void embedded_stop(struct embedded *embedded);

/* Where the replica of a directory listens, for another process: address and the mount key. ERR_NO_NODE if none
 * has ever run there. */
int embedded_find(const char *directory, char *address, size_t address_len, struct link_keys *keys, char *text,
                  size_t text_len);

#endif
