#include "replica/state/internal.h"

static int may_delete(const struct node *node, const struct op_delete *op)
{
    bool directory = node_is_directory(node);
    if (op->expect_id != 0 && node->id != op->expect_id)
        return ERR_NO_NODE;
    if (op->type == DELETE_NOT_DIRECTORY && directory)
        return ERR_IS_DIR;
    if (op->type == DELETE_DIRECTORY && !directory)
        return ERR_NOT_DIR;
    if (node->parent == NULL)
        return ERR_BUSY; /* the root */
    if (op->version != NO_VERSION_CHECK && op->version != node->attr.version)
        return ERR_BAD_VERSION;
    if (op->expect_zxid != 0 && op->expect_zxid != node_last_change(node))
        return ERR_BAD_VERSION;
    return node_children(node) > 0 ? ERR_NOT_EMPTY : ERR_OK;
}

int apply_delete(struct apply *apply, const struct op_delete *op)
{
    int code;
    struct node *node = tree_find(apply->state, op->at, &code);
    if (node == NULL)
        return code;
    code = may_delete(node, op);
    if (code != ERR_OK)
        return code;
    apply_result_id(apply, node);
    apply_unlink(apply, node, false);
    return ERR_OK;
}
