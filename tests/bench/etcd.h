/* etcd.h - the least etcd client that is fair to etcd: gRPC over one HTTP/2 connection (nghttp2), no proxy, no JSON,
 * no code generator. Any number of calls may be outstanding. One thread at a time. */
#ifndef PACT_BENCH_ETCD_H
#define PACT_BENCH_ETCD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A protobuf message being written. */
enum { ETCD_MESSAGE_BYTES = 64 * 1024 };
struct etcd_message {
    size_t len;
    uint8_t at[ETCD_MESSAGE_BYTES];
};
void etcd_number(struct etcd_message *message, unsigned field, uint64_t number);
void etcd_bytes(struct etcd_message *message, unsigned field, const void *at, size_t len);

struct etcd;
/* "127.0.0.1:PORT". NULL if nothing listens there. */
struct etcd *etcd_connect(const char *server);
void etcd_close(struct etcd *etcd);

/* Called at each message of the answer (`at` not NULL) and once at the end with its gRPC status (0: done). */
typedef void (*etcd_answer)(void *arg, const uint8_t *at, size_t len, int status);

/* Begins a call of a method such as "etcdserverpb.KV/Put". With `keep` the request stream stays open (a watch). */
void etcd_call(struct etcd *etcd, const char *method, const struct etcd_message *message, bool keep, etcd_answer answer,
               void *arg);
/* Sends what is to be sent, waits for what comes next and hands it out. False: the connection is gone. */
bool etcd_turn(struct etcd *etcd);

#endif
