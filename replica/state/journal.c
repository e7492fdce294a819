/* journal.c - what the entry being applied has done so far, so that it can end in either of two ways.
 *
 *     step     noted                                   undone by                      at commit
 *     TOUCH    a copy of the znode, before any change  putting the copy back          the copy leaves digest and
 *                                                                                     goes to cursors, the znode
 *                                                                                     enters the digest anew
 *     ADD      a new znode                             forgetting and freeing it      it enters the digest
 *     REMOVE   a znode, forgotten but still there      making it known again          it is freed
 *     PLACE    the parent and name it had before       leaving, with those again      the old name is freed
 *     UNLINK   the sibling that followed it            entering before that one       -
 *     ACCOUNT  what the sums of a directory gained     taking it away                 -
 *
 * Undone from the last to the first, so that each finds the tree as it left it. */
#include <assert.h>
#include <stdlib.h>

#include "replica/state/internal.h"
#include "replica/state/mem.h"

static void image_take(struct image *image, const struct node *node)
{
    image->node = *node;
    data_ref(node->attr.data);
    if (node->attr.name_len >= NAME_NEAR_BYTES)
        blob_ref(node->name.far);
    if (node->more == NULL)
        return;
    blob_ref(node->more->attr.xattrs);
    if (node_is_directory(node)) {
        image->more = *node_directory(node);
        blob_ref(image->more.attr.policy);
    } else {
        image->more.more = *node->more;
    }
}

/* Gives up what the image counts: data and blobs only if they were not handed back. */
static void image_drop(struct image *image, bool handed_back)
{
    name_free(&image->node.name, image->node.attr.name_len);
    if (handed_back)
        return;
    data_unref(image->node.attr.data);
    if (image->node.more == NULL)
        return;
    blob_unref(image->more.more.attr.xattrs);
    if (node_is_directory(&image->node))
        blob_unref(image->more.attr.policy);
}

struct step *journal_step(struct state *state, enum step_kind kind, struct node *node)
{
    struct journal *journal = &state->journal;
    if (journal->step_count == journal->step_capacity) {
        journal->step_capacity = journal->step_capacity * 2 + 16;
        journal->steps = mem_grow(journal->steps, journal->step_capacity * sizeof *journal->steps);
    }
    struct step *step = &journal->steps[journal->step_count++];
    *step = (struct step){.kind = kind, .node = node};
    return step;
}

void journal_touch(struct state *state, struct node *node)
{
    if (node->attr.touch != 0)
        return;
    struct journal *journal = &state->journal;
    if (journal->image_count == journal->image_capacity) {
        journal->image_capacity = journal->image_capacity * 2 + 8;
        journal->images = mem_grow(journal->images, journal->image_capacity * sizeof *journal->images);
    }
    image_take(&journal->images[journal->image_count], node);
    journal_step(state, STEP_TOUCH, node)->image = journal->image_count++;
    node->attr.touch = TOUCHED;
    if (node_is_directory(node))
        node_directory(node)->touched_zxid = state->zxid;
}

static void empty(struct journal *journal)
{
    enum { STEPS_KEPT = 4096, IMAGES_KEPT = 1024 }; /* room kept for the next entry */
    if (journal->step_capacity > STEPS_KEPT || journal->image_capacity > IMAGES_KEPT)
        journal_free(journal);
    journal->step_count = journal->image_count = 0;
}

/* The znodes as they were leave the digest, and cursors that have not yet passed them write them. */
static void retire_images(struct state *state)
{
    for (size_t i = 0; i < state->journal.image_count; i++) {
        struct image *image = &state->journal.images[i];
        if (image->node.more != NULL)
            image->node.more = &image->more.more;
        state->nodes_sum -= digest_node(&image->node);
        snapshot_save_node(state, &image->node);
    }
}

static void admit(struct state *state, struct node *node)
{
    if (node->attr.touch & REMOVED)
        return;
    assert(node_touched_zxid(node) == state->zxid);
    node->attr.touch = 0;
    node_trim(node);
    state->nodes_sum += digest_node(node);
}

void journal_commit(struct state *state)
{
    struct journal *journal = &state->journal;
    retire_images(state);
    for (size_t i = 0; i < journal->step_count; i++)
        if (journal->steps[i].kind == STEP_TOUCH || journal->steps[i].kind == STEP_ADD)
            admit(state, journal->steps[i].node);
    for (size_t i = 0; i < journal->step_count; i++) {
        struct step *step = &journal->steps[i];
        if (step->kind == STEP_PLACE)
            name_free(&step->was.name, step->name_len);
        else if (step->kind == STEP_REMOVE)
            node_free(step->node);
    }
    for (size_t i = 0; i < journal->image_count; i++)
        image_drop(&journal->images[i], false);
    empty(journal);
}

static void restore(struct state *state, struct node *node, struct image *image)
{
    lifetime_unindex(state, node);
    data_unref(node->attr.data);
    node->attr = image->node.attr;
    if (node->more != NULL) {
        blob_unref(node->more->attr.xattrs);
        node->more->attr = (struct more_attr){0};
    }
    if (image->node.more != NULL)
        node->more->attr = image->more.more.attr;
    if (node_is_directory(node)) {
        struct directory *directory = node_directory(node);
        blob_unref(directory->attr.policy);
        directory->attr = image->more.attr;
        directory->touched_zxid = image->more.touched_zxid;
    }
    lifetime_index(state, node);
    node_trim(node);
    image_drop(image, true);
}

static void undo(struct state *state, struct step *step)
{
    struct node *node = step->node;
    switch (step->kind) {
    case STEP_TOUCH:
        restore(state, node, &state->journal.images[step->image]);
        break;
    case STEP_ADD:
        lifetime_forget(state, node);
        table_remove(&state->by_id, &node->by_id);
        node_free(node);
        break;
    case STEP_REMOVE:
        table_insert(&state->by_id, &node->by_id);
        node->attr.touch &= (uint8_t)~REMOVED;
        lifetime_index(state, node);
        break;
    case STEP_PLACE:
        tree_leave(state, node);
        name_free(&node->name, node->attr.name_len);
        node->parent = step->was.parent;
        node->name = step->was.name;
        node->attr.name_len = step->name_len;
        break;
    case STEP_UNLINK:
        tree_enter(state, node, step->next);
        break;
    case STEP_ACCOUNT:
        tree_add_weight(node, -step->delta.bytes, -step->delta.nodes);
        break;
    }
}

void journal_rollback(struct state *state)
{
    struct journal *journal = &state->journal;
    while (journal->step_count > 0)
        undo(state, &journal->steps[--journal->step_count]);
    empty(journal);
}

void journal_free(struct journal *journal)
{
    free(journal->images);
    free(journal->steps);
    *journal = (struct journal){0};
}
