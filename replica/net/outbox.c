#include "replica/net/outbox.h"

#include "replica/net/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct waiting {
    struct waiting *next;
    size_t len, done; /* bytes; done: already sent */
    uint8_t message[];
};

static bool window_admits(const struct window *window, size_t len)
{
    return window->count < LIMIT_CREDIT_MESSAGES && len <= LIMIT_CREDIT_BYTES - window->bytes;
}

void outbox_init(struct outbox *outbox)
{
    *outbox = (struct outbox){0};
    for (size_t i = 0; i < 2; i++)
        outbox->lanes[i].tail = &outbox->lanes[i].head;
}

void outbox_clear(struct outbox *outbox)
{
    for (size_t i = 0; i < 2; i++)
        for (struct waiting *waiting = outbox->lanes[i].head, *next; waiting != NULL; waiting = next) {
            next = waiting->next;
            free(waiting);
        }
    outbox_init(outbox);
}

bool outbox_passes(const struct outbox *outbox, bool urgent, size_t len)
{
    const struct lane *lane = &outbox->lanes[urgent];
    return lane->head == NULL && len <= FRAME_BODY_BYTES && window_admits(&lane->window, len);
}

bool outbox_push(struct outbox *outbox, bool urgent, const void *message, size_t len)
{
    struct lane *lane = &outbox->lanes[urgent];
    if (lane->messages >= LIMIT_LINK_QUEUE_MESSAGES || len > LIMIT_LINK_QUEUE_BYTES - lane->bytes)
        return false;
    struct waiting *waiting = malloc(sizeof *waiting + len);
    if (waiting == NULL)
        return false;
    waiting->next = NULL;
    waiting->len = len;
    waiting->done = 0;
    if (len > 0)
        memcpy(waiting->message, message, len);
    *lane->tail = waiting;
    lane->tail = &waiting->next;
    lane->messages++;
    lane->bytes += len;
    return true;
}

/* From the first one on, as far as they are whole and fit. */
static void fill_batch(const struct lane *lane, uint8_t *body, struct piece *piece)
{
    const size_t credit = LIMIT_CREDIT_BYTES - lane->window.bytes;
    const size_t room = credit < FRAME_BODY_BYTES ? credit : FRAME_BODY_BYTES;
    *piece = (struct piece){.at = body};
    for (const struct waiting *at = lane->head; at != NULL && at->done == 0; at = at->next) {
        if (piece->len + BATCH_LENGTH_BYTES + at->len > room)
            break;
        batch_write(body, &piece->len, at->message, at->len);
        piece->messages++;
    }
}

bool outbox_next(const struct outbox *outbox, uint8_t *body, struct piece *piece)
{
    for (size_t i = 2; i-- > 0;) {
        const struct lane *lane = &outbox->lanes[i];
        const struct waiting *head = lane->head;
        if (head == NULL)
            continue;
        if (i == 0 && head->next != NULL && lane->window.count < LIMIT_CREDIT_MESSAGES) {
            fill_batch(lane, body, piece);
            if (piece->messages > 1)
                return true;
        }
        const size_t left = head->len - head->done;
        const size_t len = left < FRAME_BODY_BYTES ? left : FRAME_BODY_BYTES;
        if (!window_admits(&lane->window, len))
            continue;
        *piece = (struct piece){i == 1, head->message + head->done, len, left - len, 1};
        return true;
    }
    return false;
}

static void pop(struct lane *lane)
{
    struct waiting *head = lane->head;
    lane->head = head->next;
    if (lane->head == NULL)
        lane->tail = &lane->head;
    lane->messages--;
    lane->bytes -= head->len - head->done;
    free(head);
}

void outbox_popped(struct outbox *outbox, const struct piece *piece)
{
    struct lane *lane = &outbox->lanes[piece->urgent];
    if (piece->rest > 0) {
        lane->head->done += piece->len;
        lane->bytes -= piece->len;
        return;
    }
    for (size_t i = 0; i < piece->messages; i++)
        pop(lane);
}

void outbox_sent(struct outbox *outbox, const struct piece *piece, uint64_t sequence)
{
    struct window *window = &outbox->lanes[piece->urgent].window;
    assert(window_admits(window, piece->len));
    const size_t slot = (window->first + window->count) % LIMIT_CREDIT_MESSAGES;
    window->sent[slot].sequence = sequence;
    window->sent[slot].len = piece->len;
    window->count++;
    window->bytes += piece->len;
}

void outbox_acknowledged(struct outbox *outbox, uint64_t sequence)
{
    for (size_t i = 0; i < 2; i++) {
        struct window *window = &outbox->lanes[i].window;
        while (window->count > 0 && window->sent[window->first].sequence <= sequence) {
            window->bytes -= window->sent[window->first].len;
            window->first = (window->first + 1) % LIMIT_CREDIT_MESSAGES;
            window->count--;
        }
    }
}

size_t outbox_bytes(const struct outbox *outbox)
{
    size_t bytes = 0;
    for (size_t i = 0; i < 2; i++)
        bytes += outbox->lanes[i].bytes + outbox->lanes[i].window.bytes;
    return bytes;
}
