#include "fs/mount/found.h"

#include <pthread.h>
#include <stdlib.h>

struct slot {
    struct node_stat stat; /* id 0: empty */
    struct data *data;
};

struct found {
    pthread_mutex_t lock;
    size_t next;
    struct slot slots[FOUND_LOOKUPS];
};

struct found *found_new(void)
{
    struct found *found = calloc(1, sizeof *found);
    if (found)
        pthread_mutex_init(&found->lock, NULL);
    return found;
}

void found_free(struct found *found)
{
    if (!found)
        return;
    for (size_t i = 0; i < FOUND_LOOKUPS; i++)
        data_unref(found->slots[i].data);
    pthread_mutex_destroy(&found->lock);
    free(found);
}

static struct slot *find(struct found *found, uint64_t id)
{
    for (size_t i = 0; i < FOUND_LOOKUPS; i++)
        if (found->slots[i].stat.id == id)
            return &found->slots[i];
    return NULL;
}

void found_add(struct found *found, const struct node_stat *stat, struct data *data)
{
    pthread_mutex_lock(&found->lock);
    struct slot *slot = find(found, stat->id);
    if (!slot) {
        slot = &found->slots[found->next];
        found->next = (found->next + 1) % FOUND_LOOKUPS;
    }
    struct data *before = slot->data;
    slot->stat = *stat;
    slot->data = data_ref(data);
    pthread_mutex_unlock(&found->lock);
    data_unref(before);
}

bool found_find(struct found *found, uint64_t id, struct node_stat *stat, struct data **data)
{
    pthread_mutex_lock(&found->lock);
    const struct slot *slot = find(found, id);
    if (slot) {
        *stat = slot->stat;
        *data = data_ref(slot->data);
    }
    pthread_mutex_unlock(&found->lock);
    return slot;
}
