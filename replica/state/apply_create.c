#include <assert.h>
#include <string.h>

#include "replica/state/internal.h"

/* Puts the counter's ten digits into the name. False at the counter's end. */
static bool number_name(struct place *place, struct bytes last, size_t at)
{
    if (place->sequence > LIMIT_SEQUENCE)
        return false;
    memcpy(place->name, last.at, at);
    uint64_t rest = place->sequence;
    for (size_t digit = SEQUENCE_DIGITS; digit-- > 0; rest /= 10)
        place->name[at + digit] = (char)('0' + rest % 10);
    memcpy(place->name + at + SEQUENCE_DIGITS, (const char *)last.at + at, last.len - at);
    place->name_len = last.len + SEQUENCE_DIGITS;
    place->sequence++;
    return true;
}

static struct bytes place_name(const struct place *place)
{
    return (struct bytes){place->name, place->name_len};
}

/* The next number whose name is free: a name that someone made by hand would else block the counter for good. Each
 * such name is passed once, as the counter then is beyond it. */
static int find_number(const struct state *state, struct bytes last, size_t at, struct place *place)
{
    place->sequential = true;
    place->sequence = node_directory(place->parent)->attr.sequence;
    do {
        if (!number_name(place, last, at))
            return ERR_SEQUENCE_END;
    } while (tree_child(state, place->parent, place_name(place)) != NULL);
    place->existing = NULL;
    return ERR_OK;
}

int apply_find_place(struct apply *apply, struct where at, const struct lifetime *lifetime, struct place *place)
{
    struct bytes before, last;
    int code;
    path_split(at.path, &before, &last);
    memset(place, 0, sizeof *place);
    place->parent = tree_find(apply->state, (struct where){at.id, before}, &code);
    if (place->parent == NULL)
        return code;
    if (!node_is_directory(place->parent))
        return ERR_NOT_DIR;
    if (lifetime->sequential)
        return find_number(apply->state, last, lifetime->sequence_at, place);
    memcpy(place->name, last.at, last.len);
    place->name_len = last.len;
    place->existing = tree_child(apply->state, place->parent, last);
    return ERR_OK;
}

void apply_take_place(struct apply *apply, struct node *node, const struct place *place)
{
    int64_t bytes, nodes;
    tree_weight(node, &bytes, &nodes);
    apply_children_changed(apply, place->parent);
    struct directory_attr *parent = &node_directory(place->parent)->attr;
    parent->had_children = true;
    if (place->sequential)
        parent->sequence = place->sequence;
    tree_place(apply->state, node, place->parent, place_name(place));
    tree_account(apply->state, place->parent, bytes, nodes);
}

/* open(O_CREAT) of a name that exists: nothing changes, but an unborn file goes over to who opens it now. */
static int open_existing(struct apply *apply, struct node *node)
{
    if (node_is_directory(node))
        return ERR_IS_DIR;
    if (node->attr.kind != KIND_FILE)
        return ERR_EXISTS;
    uint64_t session = apply->entry->session;
    if (node->more != NULL && node->more->attr.unborn_of != 0 && node->more->attr.unborn_of != session &&
        session != 0) {
        apply_changed(apply, node);
        lifetime_unindex(apply->state, node);
        node->more->attr.unborn_of = session;
        lifetime_index(apply->state, node);
    }
    apply_result_name(apply, node);
    return ERR_OK;
}

static int may_create(struct apply *apply, const struct op_create *op, const struct place *place)
{
    const struct node *parent = place->parent;
    if (parent->more->attr.ephemeral_owner != 0)
        return ERR_EPHEMERAL_PARENT;
    if ((op->unborn || op->lifetime.ephemeral) && apply->entry->session == 0)
        return ERR_NO_SESSION;
    if (tree_depth(parent) + 1 > LIMIT_DEPTH)
        return ERR_NAME_TOO_LONG;
    if (apply->state->next_id > LIMIT_NODE_ID)
        return ERR_NO_SPACE;
    return quota_check(parent, NULL, (int64_t)op->data.len, 1);
}

static struct node *make(struct apply *apply, const struct op_create *op)
{
    struct node *node = node_new(apply->state->next_id++, op->kind);
    struct node_attr *attr = &node->attr;
    attr->mode = (uint16_t)op->mode;
    attr->uid = op->uid;
    attr->gid = op->gid;
    attr->czxid = attr->mzxid = attr->change_zxid = apply->state->zxid;
    attr->btime_ns = attr->mtime_ns = attr->ctime_ns = apply->now_ns;
    if (op->data.len > 0)
        attr->data = data_new(op->data.at, op->data.len);
    if (op->kind == KIND_DIRECTORY) {
        struct directory *directory = node_directory(node);
        directory->attr.pzxid = apply->state->zxid;
        directory->attr.data_mtime_ns = apply->now_ns;
        directory->subtree_bytes = op->data.len;
    }
    if (op->unborn)
        node_need_more(node)->attr.unborn_of = apply->entry->session;
    return node;
}

int apply_create(struct apply *apply, const struct op_create *op)
{
    struct place place;
    int code = apply_find_place(apply, op->at, &op->lifetime, &place);
    if (code != ERR_OK)
        return code;
    if (place.existing != NULL)
        return op->open_existing ? open_existing(apply, place.existing) : ERR_EXISTS;
    code = may_create(apply, op, &place);
    if (code != ERR_OK)
        return code;
    struct node *node = make(apply, op);
    tree_add(apply->state, node);
    lifetime_index(apply->state, node);
    apply_lifetime(apply, node, &op->lifetime);
    apply_take_place(apply, node, &place);
    changes_add(apply->changes, CHANGE_CREATE, node);
    apply_result_name(apply, node);
    return ERR_OK;
}
