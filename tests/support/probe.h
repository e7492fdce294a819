/* probe.h - a client of a replica that speaks the protocol word by word, right or wrong, and keeps a tree from what it
 * is sent. One thread: nothing happens but within its functions. */
#ifndef PACT_TEST_PROBE_H
#define PACT_TEST_PROBE_H

#include "proto/codec.h"
#include "replica/net/port.h"
#include "replica/state/state.h"

enum { PROBE_WAIT_MS = 10000 };

struct probe {
    struct dial *dial;
    bool up, down; /* down: since the last probe_open */
    int down_code;
    struct arena *arena; /* of the last message */
    struct message last; /* the last one other than SNAPSHOT_… and ENTRIES */
    unsigned count[32];  /* messages received, by kind */
    struct state *tree;  /* NULL: none yet */
    struct snapshot_loader *loader;
    uint64_t session;           /* of the last ATTACHED */
    uint64_t number;            /* of the last request submitted with probe_submit */
    struct result results[512]; /* of own requests, by number */
    unsigned result_count[512]; /* how often each was applied with a result */
    enum message_kind expected; /* what is waited for */
    unsigned expected_count;
    uint64_t wanted_zxid, wanted_number;
};

void probe_open(struct probe *probe, const char *address, const struct link_keys *keys); /* returns when it is up */
void probe_close(struct probe *probe); /* the link alone; the tree stays */
void probe_free(struct probe *probe);  /* all of it */
/* Receives until done(probe) or the time is over: what done says then. */
bool probe_until(struct probe *probe, bool (*done)(struct probe *probe), unsigned wait_ms);
/* Receives until one more message of this kind has come. */
bool probe_expect(struct probe *probe, enum message_kind kind);
bool probe_expect_down(struct probe *probe);
bool probe_catch_up(struct probe *probe, uint64_t zxid); /* until the tree shows it */

void probe_send(struct probe *probe, const struct message *message);
void probe_send_raw(struct probe *probe, const void *bytes, size_t len);
/* An ATTACH that a good client would send; `name` (≤ 16 bytes) makes nonce and secret. */
struct message probe_attach_message(const struct probe *probe, const char *name);
void probe_attach(struct probe *probe, const char *name); /* sends it and takes the ATTACHED */
void probe_observe(struct probe *probe);
struct message_status probe_status(struct probe *probe); /* asks for it; valid until the next message */
void probe_submit_as(struct probe *probe, uint64_t number, const struct request *request);
uint64_t probe_submit(struct probe *probe, const struct request *request);      /* with the next number */
bool probe_result(struct probe *probe, uint64_t number, struct result *result); /* waits for it */
int probe_call(struct probe *probe, const struct request *request);             /* its code */

struct request probe_create(const char *path, struct lifetime lifetime);
struct request probe_write(const char *path, struct edit *edit, const void *at, size_t len); /* appends */
bool probe_has(const struct probe *probe, const char *path);

#endif
