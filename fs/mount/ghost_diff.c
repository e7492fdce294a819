/* Each record says where the kernel believes the znode to be (`at`) and where it is (`to`):
 *
 *     at      to          the record is      announced as
 *     none    somewhere   created            CREATE
 *     somewhere  none     deleted            DELETE
 *     here    there       moved              RENAME
 *     here    the same    changed            DATA, ATTR
 *
 * Invariants
 * 1. A record says something: one that is created and deleted, or moved back and not changed, is dropped.
 * 2. A record that is deleted or moved is `leaving`: found by the slot it leaves, and by that slot's directory.
 * 3. Before a record is announced come those that it needs: the directories it goes to, if they are created or moved;
 *    the one that leaves its new slot; for a directory's deletion, those that leave it. What a record needs is put on
 *    a stack above it; one that is needed and on the stack already closes a circle, and one of the circle yields. */
#include "fs/mount/ghost_diff.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

struct slot {
    uint64_t parent;
    char name[]; /* NUL-terminated */
};

enum need { NEED_PARENT, NEED_SLOT, NEED_CHILD };

struct record {
    uint64_t id;
    enum node_kind kind;
    struct slot *at, *to; /* owned; the same pointer if the znode stays */
    bool data, attr, touch;
    bool yields;  /* others need not wait for it to leave: that would close a circle */
    uint64_t was; /* the directory in which its place was taken meanwhile; 0: none */

    bool on_stack;
    enum need need;       /* why it is on the stack, above `below` */
    struct record *below; /* NULL: the bottom */

    struct record *prev, *next;                 /* all, in order of arrival */
    struct record *prev_leaving, *next_leaving; /* those that leave the same directory */
    UT_hash_handle by_id, by_slot;
};

struct left {
    uint64_t directory;
    struct record *records; /* those that leave it */
    UT_hash_handle hh;
};

struct ghost_diff {
    ghost_parent_of parent_of;
    void *arg;
    struct record *list, *ids, *slots, *stack;
    struct left *left;
    struct slot *spent[2]; /* names given out by ghost_diff_next */
};

struct ghost_diff *ghost_diff_new(ghost_parent_of parent_of, void *arg)
{
    struct ghost_diff *diff = calloc(1, sizeof *diff);
    if (diff) {
        diff->parent_of = parent_of;
        diff->arg = arg;
    }
    return diff;
}

size_t ghost_diff_count(const struct ghost_diff *diff)
{
    return HASH_CNT(by_id, diff->ids);
}

/* --- slots --- */

static struct slot *slot_new(uint64_t parent, const char *name)
{
    size_t size = strlen(name) + 1;
    struct slot *slot = malloc(sizeof *slot + size);
    assert(slot);
    slot->parent = parent;
    memcpy(slot->name, name, size);
    return slot;
}

static unsigned slot_size(const struct slot *slot)
{
    return (unsigned)(sizeof *slot + strlen(slot->name));
}

static bool slot_same(const struct slot *a, const struct slot *b)
{
    return a->parent == b->parent && strcmp(a->name, b->name) == 0;
}

/* --- records --- */

static struct record *find(struct ghost_diff *diff, uint64_t id)
{
    struct record *record;
    HASH_FIND(by_id, diff->ids, &id, sizeof id, record);
    return record;
}

static bool leaving(const struct record *record)
{
    return record->at && record->to != record->at;
}

static struct left *left_of(struct ghost_diff *diff, uint64_t directory)
{
    struct left *left;
    HASH_FIND(hh, diff->left, &directory, sizeof directory, left);
    return left;
}

static void index_leaving(struct ghost_diff *diff, struct record *record)
{
    struct left *left = left_of(diff, record->at->parent);
    if (!left) {
        left = calloc(1, sizeof *left);
        assert(left);
        left->directory = record->at->parent;
        HASH_ADD(hh, diff->left, directory, sizeof left->directory, left);
    }
    DL_APPEND2(left->records, record, prev_leaving, next_leaving);
    HASH_ADD_KEYPTR(by_slot, diff->slots, record->at, slot_size(record->at), record);
}

static void unindex_leaving(struct ghost_diff *diff, struct record *record)
{
    struct left *left = left_of(diff, record->at->parent);
    DL_DELETE2(left->records, record, prev_leaving, next_leaving);
    if (!left->records) {
        HASH_DEL(diff->left, left);
        free(left);
    }
    HASH_DELETE(by_slot, diff->slots, record);
}

/* Sets both places at once; what the record owned and owns no more is freed. */
static void set_places(struct ghost_diff *diff, struct record *record, struct slot *at, struct slot *to)
{
    struct slot *old_at = record->at, *old_to = record->to;
    if (leaving(record))
        unindex_leaving(diff, record);
    record->at = at;
    record->to = to;
    if (leaving(record))
        index_leaving(diff, record);
    if (old_at != at && old_at != to)
        free(old_at);
    if (old_to != old_at && old_to != at && old_to != to)
        free(old_to);
}

static void clear_stack(struct ghost_diff *diff)
{
    for (; diff->stack; diff->stack = diff->stack->below)
        diff->stack->on_stack = false;
}

static struct record *add(struct ghost_diff *diff, const struct ghost_change *change, uint64_t id, enum node_kind kind)
{
    struct record *record = calloc(1, sizeof *record);
    assert(record);
    record->id = id;
    record->kind = kind;
    record->touch = change->kind == GHOST_TOUCH;
    HASH_ADD(by_id, diff->ids, id, sizeof record->id, record);
    DL_APPEND(diff->list, record);
    return record;
}

static void drop(struct ghost_diff *diff, struct record *record)
{
    set_places(diff, record, NULL, NULL);
    HASH_DELETE(by_id, diff->ids, record);
    DL_DELETE(diff->list, record);
    free(record);
}

/* Keeps the first invariant. */
static void settle(struct ghost_diff *diff, struct record *record)
{
    bool gone = !record->at && !record->to, stays = record->at == record->to;
    if (gone || (stays && !record->data && !record->attr))
        drop(diff, record);
}

/* --- taking changes into account --- */

static void note_place(struct ghost_diff *diff, const struct ghost_change *change, uint64_t id, enum node_kind kind,
                       struct slot *from, struct slot *to)
{
    struct record *record = find(diff, id);
    if (!record) {
        record = add(diff, change, id, kind);
        set_places(diff, record, from, to);
    } else {
        free(from); /* it is known where the kernel believes it to be */
        if (to && record->at && slot_same(record->at, to)) {
            free(to);
            to = record->at;
        }
        set_places(diff, record, record->at, to);
        record->yields = false;
    }
    record->data |= change->kind == GHOST_CREATE && change->data;
    settle(diff, record);
}

static void note_content(struct ghost_diff *diff, const struct ghost_change *change)
{
    struct record *record = find(diff, change->id);
    if (!record) {
        struct slot *slot = slot_new(change->parent, change->name ? change->name : "");
        record = add(diff, change, change->id, change->node_kind);
        set_places(diff, record, slot, slot);
    }
    record->attr |= change->kind == GHOST_ATTR;
    record->data |= change->kind != GHOST_ATTR;
}

void ghost_diff_note(struct ghost_diff *diff, const struct ghost_change *change)
{
    uint64_t parent = change->parent, to_parent = change->to_parent;
    const char *name = change->name, *to_name = change->to_name;
    clear_stack(diff);
    switch (change->kind) {
    case GHOST_CREATE:
        note_place(diff, change, change->id, change->node_kind, NULL, slot_new(parent, name));
        break;
    case GHOST_DELETE:
        note_place(diff, change, change->id, change->node_kind, slot_new(parent, name), NULL);
        break;
    case GHOST_RENAME:
        if (change->other)
            note_place(diff, change, change->other, change->other_kind, slot_new(to_parent, to_name), NULL);
        note_place(diff, change, change->id, change->node_kind, slot_new(parent, name), slot_new(to_parent, to_name));
        break;
    case GHOST_EXCHANGE:
        note_place(diff, change, change->id, change->node_kind, slot_new(parent, name), slot_new(to_parent, to_name));
        note_place(diff, change, change->other, change->other_kind, slot_new(to_parent, to_name),
                   slot_new(parent, name));
        break;
    case GHOST_DATA:
    case GHOST_ATTR:
    case GHOST_TOUCH:
        note_content(diff, change);
        break;
    }
}

/* --- what the kernel has been told already --- */

static void lose_place(struct ghost_diff *diff, struct record *record)
{
    record->was = record->at->parent;
    set_places(diff, record, NULL, record->to);
    if (record->to)
        return;
    clear_stack(diff);
    drop(diff, record);
}

static void release_spent(struct ghost_diff *diff)
{
    for (size_t i = 0; i < sizeof diff->spent / sizeof *diff->spent; i++) {
        free(diff->spent[i]);
        diff->spent[i] = NULL;
    }
}

static struct record *leaving_slot(struct ghost_diff *diff, uint64_t parent, const char *name)
{
    struct record *record = NULL;
    struct slot *slot = slot_new(parent, name);
    HASH_FIND(by_slot, diff->slots, slot, slot_size(slot), record);
    free(slot);
    return record;
}

/* The name is somebody else's now, or nobody's: the one that is to be told to leave it has left it. A deleted one is
 * still told, for the sake of its own watchers. */
static void take_name(struct ghost_diff *diff, const struct ghost_change *change, uint64_t parent, const char *name)
{
    struct record *record = leaving_slot(diff, parent, name);
    if (record && record->to && record->id != change->id && record->id != change->other)
        lose_place(diff, record);
}

/* Where the znode is now; NULL: it is gone. True: it is to be told to have left where it was believed to be. */
static bool told_place(struct ghost_diff *diff, uint64_t id, struct slot *to, struct ghost_change *late)
{
    struct record *record = id ? find(diff, id) : NULL;
    bool moved = record && to && leaving(record) && !slot_same(record->at, to);
    if (!record) {
        free(to);
        return false;
    }
    if (moved) {
        struct slot **spent = &diff->spent[diff->spent[0] != NULL];
        *spent = slot_new(record->at->parent, record->at->name);
        *late = (struct ghost_change){.kind = GHOST_RENAME,
                                      .node_kind = record->kind,
                                      .id = id,
                                      .parent = (*spent)->parent,
                                      .name = (*spent)->name,
                                      .to_parent = to->parent};
    }
    set_places(diff, record, to || !leaving(record) ? to : record->at, to);
    settle(diff, record);
    return moved;
}

/* One that is deleted is still to be told to leave this name: who has it now is told after it. */
static void tell_again(struct ghost_diff *diff, const struct ghost_change *change, uint64_t id, enum node_kind kind,
                       uint64_t parent, const char *name)
{
    struct record *record = find(diff, id);
    if (!leaving_slot(diff, parent, name))
        return;
    if (!record)
        record = add(diff, change, id, kind);
    set_places(diff, record, NULL, slot_new(parent, name));
}

static size_t overtake_move(struct ghost_diff *diff, const struct ghost_change *change, struct ghost_change late[2])
{
    bool exchange = change->kind == GHOST_EXCHANGE;
    struct slot *back = exchange ? slot_new(change->parent, change->name) : NULL;
    size_t count = 0;
    take_name(diff, change, change->to_parent, change->to_name);
    if (told_place(diff, change->other, back, &late[count]))
        late[count++].to_name = change->name;
    if (told_place(diff, change->id, slot_new(change->to_parent, change->to_name), &late[count]))
        late[count++].to_name = change->to_name;
    if (exchange)
        tell_again(diff, change, change->other, change->other_kind, change->parent, change->name);
    tell_again(diff, change, change->id, change->node_kind, change->to_parent, change->to_name);
    return count;
}

size_t ghost_diff_overtake(struct ghost_diff *diff, const struct ghost_change *change, struct ghost_change late[2])
{
    release_spent(diff);
    if (!ghost_diff_count(diff))
        return 0;
    clear_stack(diff);
    take_name(diff, change, change->parent, change->name);
    if (change->kind == GHOST_RENAME || change->kind == GHOST_EXCHANGE)
        return overtake_move(diff, change, late);
    if (change->kind == GHOST_CREATE)
        tell_again(diff, change, change->id, change->node_kind, change->parent, change->name);
    else
        told_place(diff, change->id, NULL, late);
    return 0;
}

/* --- order --- */

/* One that leaves the directory; preferably one that is not on the stack. */
static struct record *child_leaving(struct ghost_diff *diff, const struct record *record)
{
    struct left *left = left_of(diff, record->id);
    struct record *found = NULL, *child;
    DL_FOREACH2(left ? left->records : NULL, child, next_leaving)
    {
        if (child->yields)
            continue;
        found = child;
        if (!child->on_stack)
            break;
    }
    return found;
}

/* Another that leaves the slot this one goes to. */
static struct record *holder(struct ghost_diff *diff, const struct record *record)
{
    struct record *other = NULL;
    if (record->to && record->to != record->at)
        HASH_FIND(by_slot, diff->slots, record->to, slot_size(record->to), other);
    return other == record ? NULL : other;
}

/* The directory it goes to, or one above that, if it is still elsewhere: it must exist, and it must not be below the
 * one that goes there. */
static struct record *above(struct ghost_diff *diff, const struct record *record)
{
    uint64_t id = record->to->parent;
    while (id) {
        struct record *up = find(diff, id);
        if (up && up->to && up->to != up->at)
            return up;
        if (record->kind != KIND_DIRECTORY)
            return NULL;
        id = up && up->to ? up->to->parent : diff->parent_of(diff->arg, id);
    }
    return NULL;
}

/* What must be announced before this one; NULL: nothing. */
static struct record *needed(struct ghost_diff *diff, const struct record *record, enum need *why)
{
    struct record *other;
    if (record->to == record->at)
        return NULL;
    *why = NEED_CHILD;
    if (!record->to)
        return record->kind == KIND_DIRECTORY ? child_leaving(diff, record) : NULL;
    *why = NEED_PARENT;
    other = above(diff, record);
    if (other)
        return other;
    *why = NEED_SLOT;
    other = holder(diff, record);
    return other && !other->yields ? other : NULL;
}

/* The top needs `closing`, which waits for the top. One of the circle that others wait to see leave yields: if its
 * place is taken before it leaves, it will be announced as a creation. Rather not a deleted one, of which nothing would
 * remain; there is always another, as directories being deleted need only what is below them: but for directories
 * that were moved through this mount, and so told to be in each other. */
static void break_circle(struct ghost_diff *diff, struct record *closing, enum need why)
{
    struct record *chosen = why == NEED_PARENT ? NULL : closing, *other;
    for (other = diff->stack; other != closing && (!chosen || !chosen->to); other = other->below)
        if (other->need != NEED_PARENT && (!chosen || other->to))
            chosen = other;
    assert(chosen && chosen->at);
    chosen->yields = true;
    clear_stack(diff);
}

static void push(struct ghost_diff *diff, struct record *record, enum need why)
{
    record->on_stack = true;
    record->need = why;
    record->below = diff->stack;
    diff->stack = record;
}

/* The first record in a directory with room, or NULL. Those that were passed go to the end. */
static struct record *pick(struct ghost_diff *diff, bool (*room)(void *arg, uint64_t directory), void *arg)
{
    for (int i = 0; diff->list && i < GHOST_DIFF_LOOK; i++) {
        struct record *record = diff->list;
        const struct slot *slot = record->to ? record->to : record->at;
        if (room(arg, slot->parent ? slot->parent : record->id))
            return record;
        DL_DELETE(diff->list, record);
        DL_APPEND(diff->list, record);
    }
    return NULL;
}

/* --- giving out --- */

static enum ghost_kind kind_of(const struct record *record)
{
    if (record->touch)
        return GHOST_TOUCH;
    if (record->at == record->to)
        return record->data ? GHOST_DATA : GHOST_ATTR;
    if (!record->to)
        return GHOST_DELETE;
    return record->at ? GHOST_RENAME : GHOST_CREATE;
}

/* What is left of the record when the change has been given out. */
static void subtract(struct ghost_diff *diff, struct record *record, enum ghost_kind kind)
{
    struct slot *to = record->to;
    if (kind == GHOST_ATTR)
        record->attr = false;
    if (kind == GHOST_DATA || kind == GHOST_CREATE || kind == GHOST_TOUCH)
        record->data = false;
    set_places(diff, record, to, to);
    settle(diff, record);
}

/* What the change takes away from those that yielded. */
static void take_places(struct ghost_diff *diff, const struct record *record)
{
    struct left *left = record->to ? NULL : left_of(diff, record->id);
    struct record *other = holder(diff, record), *next;
    if (other)
        lose_place(diff, other);
    if (left)
        for (other = left->records; other; other = next) {
            next = other->next_leaving;
            lose_place(diff, other);
        }
}

static void give(struct ghost_diff *diff, struct record *record, struct ghost_change *change)
{
    const struct slot *from = record->at ? record->at : record->to, *to = record->to ? record->to : record->at;
    diff->spent[0] = slot_new(from->parent, from->name);
    diff->spent[1] = slot_new(to->parent, to->name);
    *change = (struct ghost_change){.kind = kind_of(record),
                                    .node_kind = record->kind,
                                    .id = record->id,
                                    .parent = from->parent,
                                    .name = diff->spent[0]->name,
                                    .data = record->data};
    if (change->kind == GHOST_CREATE)
        change->to_parent = record->was;
    if (change->kind == GHOST_RENAME) {
        change->to_parent = to->parent;
        change->to_name = diff->spent[1]->name;
    }
    take_places(diff, record);
    subtract(diff, record, change->kind);
}

bool ghost_diff_next(struct ghost_diff *diff, bool (*room)(void *arg, uint64_t directory), void *arg,
                     struct ghost_change *change)
{
    release_spent(diff);
    for (;;) {
        enum need why = NEED_SLOT;
        if (!diff->stack) {
            struct record *first = pick(diff, room, arg);
            if (!first)
                return false;
            push(diff, first, NEED_SLOT);
        }
        struct record *top = diff->stack, *other = needed(diff, top, &why);
        if (!other) {
            diff->stack = top->below;
            top->on_stack = false;
            give(diff, top, change);
            return true;
        }
        if (other->on_stack)
            break_circle(diff, other, why);
        else
            push(diff, other, why);
    }
}

void ghost_diff_free(struct ghost_diff *diff)
{
    if (!diff)
        return;
    release_spent(diff);
    struct record *record, *next;
    DL_FOREACH_SAFE(diff->list, record, next)
    drop(diff, record);
    free(diff);
}
