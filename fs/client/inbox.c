#include "fs/client/inbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_BYTES = 1024 * 1024 }; /* room kept when empty; a rare larger burst gives it back */

void inbox_add(struct inbox *inbox, const struct inbox_item *item, const void *message)
{
    size_t need = inbox->len + sizeof *item + item->len;
    if (need > inbox->capacity) {
        inbox->capacity = need > 2 * inbox->capacity ? need : 2 * inbox->capacity;
        inbox->at = realloc(inbox->at, inbox->capacity);
        assert(inbox->at != NULL);
    }
    memcpy(inbox->at + inbox->len, item, sizeof *item);
    if (item->len > 0)
        memcpy(inbox->at + inbox->len + sizeof *item, message, item->len);
    inbox->len = need;
}

bool inbox_next(struct inbox *inbox, struct inbox_item *item, struct bytes *message)
{
    if (inbox->read < inbox->len) {
        memcpy(item, inbox->at + inbox->read, sizeof *item);
        *message = (struct bytes){inbox->at + inbox->read + sizeof *item, item->len};
        inbox->read += sizeof *item + item->len;
        return true;
    }
    inbox->read = inbox->len = 0;
    if (inbox->capacity > KEPT_BYTES)
        inbox_free(inbox);
    return false;
}

void inbox_free(struct inbox *inbox)
{
    free(inbox->at);
    memset(inbox, 0, sizeof *inbox);
}
