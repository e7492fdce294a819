#include "replica/state/internal.h"

/* A quota limits what is below a directory: not itself, nor its own data. */
static bool over(uint64_t used, uint64_t own, int64_t growth, uint64_t max)
{
    return max != 0 && used - own + (uint64_t)growth > max;
}

int quota_check(const struct node *directory, const struct node *stop, int64_t bytes, int64_t nodes)
{
    for (const struct node *node = directory; node != stop; node = node->parent) {
        const struct directory *above = node_directory(node);
        if ((bytes > 0 && over(above->subtree_bytes, data_size(node->attr.data), bytes, above->attr.max_bytes)) ||
            (nodes > 0 && over(above->subtree_nodes, 1, nodes, above->attr.max_nodes)))
            return ERR_QUOTA;
    }
    return ERR_OK;
}

bool quota_below_use(const struct node *node, const struct op_set_quota *quota)
{
    const struct directory *directory = node_directory(node);
    return over(directory->subtree_bytes, data_size(node->attr.data), 0, quota->max_bytes) ||
           over(directory->subtree_nodes, 1, 0, quota->max_nodes);
}
