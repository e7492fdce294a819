#include <stdlib.h>
#include <string.h>

#include "replica/state/internal.h"
#include "replica/state/mem.h"

void changes_clear(struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        free(changes->list[i].name);
        free(changes->list[i].to_name);
    }
    changes->count = 0;
}

void changes_free(struct changes *changes)
{
    changes_clear(changes);
    free(changes->list);
    *changes = (struct changes){0};
}

char *changes_name(struct bytes name)
{
    char *copy = mem_new(name.len + 1);
    if (name.len > 0)
        memcpy(copy, name.at, name.len);
    return copy;
}

struct change *changes_add(struct changes *changes, enum change_kind kind, const struct node *node)
{
    if (changes == NULL)
        return NULL;
    if (changes->count == changes->capacity) {
        changes->capacity = changes->capacity * 2 + 8;
        changes->list = mem_grow(changes->list, changes->capacity * sizeof *changes->list);
    }
    struct change *change = &changes->list[changes->count++];
    *change = (struct change){.kind = kind};
    if (node == NULL)
        return change;
    change->node_kind = node->attr.kind;
    change->id = node->id;
    change->parent = node->parent == NULL ? 0 : node->parent->id;
    change->new_size = data_size(node->attr.data);
    change->unborn_of = node->more == NULL ? 0 : node->more->attr.unborn_of;
    change->unborn = change->unborn_of != 0;
    change->name = changes_name(node_name(node));
    return change;
}
