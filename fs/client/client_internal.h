/* client_internal.h - what the parts of the client's runtime share.
 *
 * Locks, none held while another's code is called back:
 *   client->mutex     the learner, the link, and all below it in the struct. Short: no system call but the link's send
 *   tree.lock         a read-write lock on the tree; only the client thread writes. Never taken together with mutex
 */
#ifndef PACT_CLIENT_INTERNAL_H
#define PACT_CLIENT_INTERNAL_H

#include <pthread.h>

#include "fs/client/ask.h"
#include "fs/client/inbox.h"
#include "fs/client/learner.h"
#include "fs/client/servers.h"
#include "fs/client/tree.h"
#include "proto/codec.h"
#include "replica/net/port.h"

enum {
    CLIENT_PATIENCE_MS = 300, /* with several servers: one whose link is not up by then is left for the next */
    CLIENT_AVOID_MS = 500,    /* and tried again after this, if others are there */
    CLIENT_WATCH_MS = 50, /* with several servers: how often a link that is up is looked at: its end shows only so */
    CLIENT_SILENCE_MS = 1000, /* … and of own running time, until a silent one is left (LINK_PING_MS is half of it) */
    CLIENT_LOOK_MS = 10,      /* how often a link that is not up is looked at … */
    CLIENT_EAGER_MS = 10000,  /* … while it is not up for longer than this; then when the link itself wants */
    CLIENT_SLEEP_MS = 1000,   /* the longest sleep */
};

struct client {
    struct client_events events;
    struct link_keys keys;
    pthread_t thread;
    int wake_fd; /* eventfd: there is something for the client thread to do */

    /* The client thread's own. */
    struct tree tree; /* its state is read under tree.lock by others */
    struct arena *arena;
    struct changes changes;
    struct inbox reading;
    struct learner_output delivering;
    struct servers servers;
    uint64_t dialed_ms;
    bool up;                      /* the link, as last seen */
    uint64_t watched_ms;          /* when that was */
    uint64_t received, silent_ms; /* of the link that is up: genuine frames; own running time since the last */

    pthread_mutex_t mutex;
    pthread_cond_t moved; /* ready, refusal or link changed (client_wait_ready) */
    struct learner *learner;
    struct learner_output output;     /* of the last call, being carried out */
    struct learner_output deliveries; /* completions and state changes not yet told */
    struct ask *asks;                 /* not answered yet */
    struct inbox inbox;               /* what the link reported, not yet taken in */
    struct buffer encoded;
    struct dial *dial;     /* NULL: none now */
    uint64_t link;         /* counts links: raised by each up, down and drop */
    uint64_t attached;     /* the link that the learner knows to be up: only while it is `link` may anything be sent */
    uint64_t dropped_link; /* nothing that came by it or earlier ones counts any more */
    bool dropped;          /* the dial is to be closed … */
    uint32_t drop_ms;      /* … and its server left alone for so long */
    uint64_t sleep_until;  /* 0: the client thread is awake */
    bool ready;
    int refusal;       /* why the last link or attachment was refused; ERR_OK once attached */
    uint32_t refusals; /* in a row */
    char address[SERVER_ADDRESS_BYTES];
};

uint64_t client_now_ms(void); /* CLOCK_BOOTTIME: a suspended machine's session goes on ageing */

/* With the mutex held: does what the learner's call asked for; completions are put off to the client thread. */
void client_carry_out(struct client *client);
/* With the mutex held: sends STATUS, if the link is up. */
void client_send_ask(struct client *client);
/* With the mutex held: wakes the client thread if there is something for it to do. */
void client_wake(struct client *client);

void *client_thread(void *arg);

#endif
