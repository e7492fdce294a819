/* ghost_change.h - one thing to announce: what changed, by ids and names. */
#ifndef PACT_GHOST_CHANGE_H
#define PACT_GHOST_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replica/state/request.h"

enum ghost_kind {
    GHOST_CREATE = 1,
    GHOST_DELETE,
    GHOST_RENAME,
    GHOST_EXCHANGE,
    GHOST_DATA,
    GHOST_ATTR,
    GHOST_TOUCH, /* the content of a virtual file, which has no name that matters */
};

/* Names are NUL-terminated and borrowed; "" for the mount's root, which has parent 0. */
struct ghost_change {
    enum ghost_kind kind;
    enum node_kind node_kind;
    uint64_t id;        /* the znode; GHOST_TOUCH: the inode */
    uint64_t parent;    /* the directory of `name` */
    uint64_t to_parent; /* RENAME, EXCHANGE: of `to_name`. CREATE: where the znode was announced before, or 0 */
    uint64_t other;     /* RENAME: the znode it replaces, or 0; EXCHANGE: the one at to_name */
    enum node_kind other_kind;
    bool data;     /* CREATE: with content, which is announced too */
    bool own;      /* DATA: committed through this mount, whose kernel raises all but the MODIFY after it */
    bool nameless; /* DATA, ATTR: found by its inode; it has got another name through this mount */
    uint64_t zxid; /* of the entry that brought it; 0: none did */
    const char *name, *to_name;
};

#endif
