/* One question to one replica, without a session. */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/client/client_internal.h"

struct exchange {
    bool up, answered;
    int code; /* why the link failed */
    struct buffer *reply;
};

static void on_up(void *arg)
{
    struct exchange *exchange = arg;
    exchange->up = true;
}

static void on_down(void *arg, int code)
{
    struct exchange *exchange = arg;
    exchange->up = false;
    exchange->code = code;
}

static void on_message(void *arg, const void *message, size_t len)
{
    struct exchange *exchange = arg;
    if (exchange->answered)
        return;
    void *copy = malloc(len > 0 ? len : 1);
    assert(copy != NULL);
    memcpy(copy, message, len);
    buffer_free(exchange->reply);
    *exchange->reply = (struct buffer){copy, len, len};
    exchange->answered = true;
}

static void ask(struct dial *dial, uint64_t now_ms)
{
    const struct message question = {.kind = MESSAGE_STATUS};
    struct buffer encoded = {0};
    int code = encode_message(&question, &encoded);
    assert(code == ERR_OK);
    link_send(dial_link(dial), encoded.at, encoded.len, now_ms);
    buffer_free(&encoded);
}

/* A wrong key won't become right; everything else is tried until the time is over. */
static void converse(struct dial *dial, struct exchange *exchange, uint64_t until_ms)
{
    bool asked = false;
    for (uint64_t now_ms; (now_ms = client_now_ms()) < until_ms;) {
        uint64_t due_ms = dial_run(dial, now_ms);
        if (exchange->answered || exchange->code == ERR_BAD_KEY || exchange->code == ERR_BAD_FORMAT)
            return;
        if (exchange->up && !asked)
            ask(dial, now_ms);
        asked = exchange->up;
        due_ms = due_ms < until_ms ? due_ms : until_ms;
        struct pollfd fd = {.fd = dial_fd(dial), .events = POLLIN};
        poll(&fd, 1, due_ms > now_ms ? (int)(due_ms - now_ms) : 0);
    }
}

int client_status(const char *address, const struct link_keys *keys, uint32_t timeout_ms, struct buffer *reply,
                  char *text, size_t text_len)
{
    struct exchange exchange = {.reply = reply, .code = ERR_UNREACHABLE};
    const struct link_events events = {.arg = &exchange, .up = on_up, .down = on_down, .message = on_message};
    struct dial *dial;
    int code = dial_open(address, keys, &events, &dial, text, text_len);
    if (code != ERR_OK)
        return code;
    converse(dial, &exchange, client_now_ms() + timeout_ms);
    dial_close(dial);
    if (exchange.answered)
        return ERR_OK;
    code = exchange.code == ERR_BAD_KEY || exchange.code == ERR_BAD_FORMAT ? exchange.code : ERR_UNREACHABLE;
    snprintf(text, text_len, "%s: %s", address, error_text(code));
    return code;
}
