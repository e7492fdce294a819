/* inbox.h - what a link reported, in order, copied, until the client thread takes it in. */
#ifndef PACT_INBOX_H
#define PACT_INBOX_H

#include "replica/state/request.h"

enum inbox_kind { INBOX_UP, INBOX_DOWN, INBOX_MESSAGE };

struct inbox_item {
    enum inbox_kind kind;
    int code;      /* DOWN: why */
    uint64_t link; /* which one */
    size_t len;    /* of the message that follows, bytes */
};

/* Zero-initialise it. */
struct inbox {
    uint8_t *at;
    size_t len, capacity; /* bytes */
    size_t read;
};

void inbox_add(struct inbox *inbox, const struct inbox_item *item, const void *message);
/* The next item; false at the end (and the inbox is empty again). The message is borrowed until inbox_add. */
bool inbox_next(struct inbox *inbox, struct inbox_item *item, struct bytes *message);
void inbox_free(struct inbox *inbox);

#endif
