/* The order in which znodes are moved, deleted and created, so that every step is possible and names places as they
 * are at that step.
 *
 *  1. A move or creation waits until its parent is there to stay and its name is free.
 *  2. A directory is not moved below itself: it waits for one of those in between to move.
 *  3. A deletion waits until the directory is empty: what stays moves out first.
 *  4. Who waits, waits for one item, and is tried again when that one has gone, come or moved.
 *
 * When all that is left waits, there is a circle. It has a move in it, as deletions and creations alone cannot wait for
 * each other. It is broken by exchanging two znodes, if one wants the place of the other; else one of them, the
 * smallest, is deleted and made anew at its place. Each break leaves one move less: it ends. */
#include "fs/client/diff_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- items --- */

static struct item *find_item(const struct mirror *mirror, uint64_t id)
{
    struct item *item;
    HASH_FIND(hh, mirror->items, &id, sizeof id, item);
    return item;
}

struct item *mirror_add(struct mirror *mirror, uint64_t id)
{
    struct item *item = calloc(1, sizeof *item);
    assert(item != NULL);
    item->id = id;
    item->before = state_node(mirror->before, id);
    item->after = state_node(mirror->after, id);
    if (item->before != NULL) {
        struct node_stat stat;
        node_stat(item->before, &stat);
        item->present = true;
        item->leaving = item->after == NULL;
        item->parent = stat.parent;
        item->name = node_name(item->before);
        item->children = stat.children;
        item->home = item->heir = item;
    }
    HASH_ADD(hh, mirror->items, id, sizeof item->id, item);
    return item;
}

bool mirror_made_anew(const struct mirror *mirror, uint64_t id)
{
    const struct item *item = find_item(mirror, id);
    return item != NULL && item->anew;
}

void mirror_free(struct mirror *mirror)
{
    struct item *item, *next;
    HASH_ITER(hh, mirror->items, item, next)
    {
        HASH_DEL(mirror->items, item);
        free(item);
    }
}

static void enqueue(struct mirror *mirror, struct item *item)
{
    if (item->queued || item->done)
        return;
    item->queued = true;
    item->next = NULL;
    *mirror->end = item;
    mirror->end = &item->next;
}

static struct item *dequeue(struct mirror *mirror)
{
    struct item *item = mirror->first;
    if (item == NULL)
        return NULL;
    mirror->first = item->next;
    if (mirror->first == NULL)
        mirror->end = &mirror->first;
    item->queued = false;
    return item;
}

static void wake_waiters(struct mirror *mirror, struct item *item)
{
    for (struct item *waiter; (waiter = item->waiters) != NULL;) {
        item->waiters = waiter->next_waiter;
        waiter->waits = NULL;
        enqueue(mirror, waiter);
    }
}

static void wait_for(struct item *item, struct item *what)
{
    item->waits = what;
    item->next_waiter = what->waiters;
    what->waiters = item;
}

/* --- places in the mirror --- */

static uint64_t parent_after(const struct item *item)
{
    struct node_stat stat;
    node_stat(item->after, &stat);
    return stat.parent;
}

static uint64_t parent_in_mirror(const struct mirror *mirror, uint64_t id)
{
    const struct item *item = find_item(mirror, id);
    struct node_stat stat;
    if (item != NULL)
        return item->parent;
    node_stat(state_node(mirror->after, id), &stat);
    return stat.parent;
}

/* Who holds the place that `item` is to have. All others are where they belong, so it is an item. */
static struct item *holder_of(const struct mirror *mirror, const struct item *item)
{
    const struct node *parent = state_node(mirror->before, parent_after(item));
    struct bytes name = node_name(item->after);
    if (parent == NULL)
        return NULL;
    const struct node *child = node_child(mirror->before, parent, name.at, name.len);
    if (child == NULL)
        return NULL;
    struct node_stat stat;
    node_stat(child, &stat);
    const struct item *first = find_item(mirror, stat.id);
    return first != NULL ? first->heir : NULL;
}

static bool is_below(const struct mirror *mirror, uint64_t id, uint64_t top)
{
    for (; id != 0; id = parent_in_mirror(mirror, id))
        if (id == top)
            return true;
    return false;
}

/* The next above `id` that is still to move, on the way to `top`, which is above it too. */
static struct item *mover_between(const struct mirror *mirror, uint64_t id, uint64_t top)
{
    for (; id != top; id = parent_in_mirror(mirror, id)) {
        struct item *item = find_item(mirror, id);
        if (item != NULL && !item->done)
            return item;
    }
    assert(false); /* else it would be below itself in `after` too */
    return NULL;
}

/* --- steps --- */

static void leave_place(struct mirror *mirror, struct item *item)
{
    struct item *parent = find_item(mirror, item->parent);
    if (parent != NULL && parent->leaving && --parent->children == 0)
        enqueue(mirror, parent);
    if (item->home != NULL)
        item->home->heir = NULL;
    item->home = NULL;
}

static void take_place(struct mirror *mirror, struct item *item)
{
    item->parent = parent_after(item);
    item->name = node_name(item->after);
    item->present = true;
    item->done = true;
    wake_waiters(mirror, item);
}

static struct change *announce_move(struct mirror *mirror, const struct item *item, uint64_t to_parent,
                                    struct bytes to_name)
{
    struct change *change = diff_add(mirror->changes, CHANGE_RENAME, item->before, item->parent, item->name);
    change->to_parent = to_parent;
    change->to_name = strndup(to_name.at, to_name.len);
    assert(change->to_name != NULL);
    return change;
}

static void delete_item(struct mirror *mirror, struct item *item)
{
    diff_add(mirror->changes, CHANGE_DELETE, item->before != NULL ? item->before : item->after, item->parent,
             item->name);
    leave_place(mirror, item);
    item->present = false;
    item->leaving = false;
    item->done = item->after == NULL;
    wake_waiters(mirror, item);
    enqueue(mirror, item); /* if it is to be made anew */
}

static void create_item(struct mirror *mirror, struct item *item)
{
    take_place(mirror, item);
    diff_add(mirror->changes, CHANGE_CREATE, item->after, item->parent, item->name);
}

static void move_item(struct mirror *mirror, struct item *item)
{
    announce_move(mirror, item, parent_after(item), node_name(item->after));
    leave_place(mirror, item);
    take_place(mirror, item);
}

/* `item` gets its place, and who held that gets item's. */
static void exchange_items(struct mirror *mirror, struct item *item, struct item *holder)
{
    uint64_t parent = item->parent;
    struct bytes name = item->name;
    announce_move(mirror, item, holder->parent, holder->name)->exchange = true;
    announce_move(mirror, holder, parent, name)->exchange = true;
    holder->home->heir = NULL;
    holder->home = item->home;
    holder->home->heir = holder;
    holder->parent = parent;
    holder->name = name;
    item->home = NULL;
    take_place(mirror, item);
    wake_waiters(mirror, holder);
    enqueue(mirror, holder);
}

/* --- trying --- */

/* Whether something may be put into the directory: it is there, and to stay. */
static bool stands(const struct item *directory)
{
    return directory == NULL || (directory->present && !directory->leaving);
}

/* Whether it needs no move. */
static bool same_place(const struct item *item)
{
    if (item->after == NULL || item->parent != parent_after(item))
        return false;
    struct bytes name = node_name(item->after);
    return item->name.len == name.len && memcmp(item->name.at, name.at, name.len) == 0;
}

/* Whom a move or creation has to wait for; NULL: nobody. */
static struct item *obstacle(const struct mirror *mirror, const struct item *item)
{
    uint64_t target = parent_after(item);
    struct item *parent = find_item(mirror, target);
    if (!stands(parent))
        return parent;
    struct item *holder = holder_of(mirror, item);
    if (holder != NULL)
        return holder;
    if (item->present && is_below(mirror, target, item->id))
        return mover_between(mirror, target, item->id);
    return NULL;
}

static void try_item(struct mirror *mirror, struct item *item)
{
    if (item->done || item->waits != NULL)
        return;
    if (item->leaving) {
        if (item->children == 0)
            delete_item(mirror, item);
        return;
    }
    if (item->present && same_place(item) && stands(find_item(mirror, item->parent))) { /* by an exchange */
        item->home->heir = NULL;
        item->home = NULL;
        take_place(mirror, item);
        return;
    }
    struct item *what = obstacle(mirror, item);
    if (what != NULL)
        wait_for(item, what);
    else if (item->present)
        move_item(mirror, item);
    else
        create_item(mirror, item);
}

static void try_all(struct mirror *mirror)
{
    for (struct item *item; (item = dequeue(mirror)) != NULL;)
        try_item(mirror, item);
}

/* --- circles --- */

static bool is_mover(const struct item *item)
{
    return item->present && !item->leaving && !item->done;
}

/* The children that a directory has in the mirror, all as items; the array is the caller's. */
static struct item **children_of(struct mirror *mirror, const struct item *directory, size_t *count)
{
    const struct node *trees[2] = {directory->before, directory->after};
    struct node_stat stat;
    size_t room = 1;
    for (int i = 0; i < 2; i++) {
        if (trees[i] != NULL)
            node_stat(trees[i], &stat);
        room += trees[i] != NULL ? stat.children : 0;
    }
    struct item **children = calloc(room, sizeof(struct item *));
    assert(children != NULL);
    *count = 0;
    for (int i = 0; i < 2; i++) {
        const struct node *child = trees[i] != NULL ? node_first_child(trees[i]) : NULL;
        for (; child != NULL; child = node_next_sibling(child)) {
            node_stat(child, &stat);
            struct item *item = find_item(mirror, stat.id);
            if (i == 0) /* whoever takes up a place of `before` … */
                item = item == NULL ? mirror_add(mirror, stat.id) : item->heir;
            else if (item != NULL && item->home != NULL) /* … or has come to one of `after` */
                item = NULL;
            if (item != NULL && item->present && item->parent == directory->id)
                children[(*count)++] = item;
        }
    }
    return children;
}

static void stop_waiting(struct item *item)
{
    if (item->waits == NULL)
        return;
    struct item **at = &item->waits->waiters;
    while (*at != item)
        at = &(*at)->next_waiter;
    *at = item->next_waiter;
    item->waits = NULL;
}

/* The znode, and what stays in it, is to be deleted and made anew. */
static void uproot(struct mirror *mirror, struct item *item)
{
    stop_waiting(item);
    item->leaving = true;
    item->anew = true;
    item->done = false;
    struct item **children = children_of(mirror, item, &item->children);
    for (size_t i = 0; i < item->children; i++)
        if (!children[i]->leaving && same_place(children[i]))
            uproot(mirror, children[i]);
    free(children);
    enqueue(mirror, item);
}

static struct item *blocker_of(struct mirror *mirror, const struct item *item)
{
    if (!item->leaving)
        return item->waits;
    size_t count;
    struct item **children = children_of(mirror, item, &count);
    assert(count > 0);
    struct item *child = children[0];
    free(children);
    return child;
}

static bool can_exchange(const struct mirror *mirror, const struct item *item)
{
    const struct item *holder = item->waits;
    return is_mover(item) && holder != NULL && is_mover(holder) && holder == holder_of(mirror, item) &&
           stands(find_item(mirror, holder->parent)) && !is_below(mirror, item->id, holder->id) &&
           !is_below(mirror, holder->id, item->id);
}

static uint64_t size_of(const struct item *item)
{
    struct node_stat stat;
    node_stat(item->after, &stat);
    return stat.kind == KIND_DIRECTORY ? stat.subtree_nodes : 0;
}

static void break_circle(struct mirror *mirror, struct item *item)
{
    for (mirror->marks++; item->mark != mirror->marks; item = blocker_of(mirror, item))
        item->mark = mirror->marks;
    struct item *start = item, *smallest = NULL;
    do {
        if (can_exchange(mirror, item)) {
            struct item *holder = item->waits;
            stop_waiting(item);
            exchange_items(mirror, item, holder);
            return;
        }
        if (is_mover(item) && (smallest == NULL || size_of(item) < size_of(smallest)))
            smallest = item;
        item = blocker_of(mirror, item);
    } while (item != start);
    assert(smallest != NULL);
    uproot(mirror, smallest);
}

/* Moves, then deletions, then creations, the older znodes first. */
static int by_kind_and_age(const struct item *a, const struct item *b)
{
    int kind_a = a->leaving ? 1 : a->present ? 0 : 2, kind_b = b->leaving ? 1 : b->present ? 0 : 2;
    if (kind_a != kind_b)
        return kind_a < kind_b ? -1 : 1;
    return a->id < b->id ? -1 : 1;
}

void mirror_carry_out(struct mirror *mirror)
{
    mirror->end = &mirror->first;
    HASH_SORT(mirror->items, by_kind_and_age);
    for (struct item *item = mirror->items; item != NULL; item = item->hh.next)
        enqueue(mirror, item);
    try_all(mirror);
    for (struct item *item = mirror->items; item != NULL; item = item->hh.next)
        while (!item->done) {
            break_circle(mirror, item);
            try_all(mirror);
        }
}
