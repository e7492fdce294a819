#include "replica/state/internal.h"

/* A quota limits what is below a directory: not itself, nor its own data. */
static bool over(uint64_t used, uint64_t own, int64_t growth, uint64_t max)
{
    return max != 0 && growth > 0 && used - own + (uint64_t)growth > max;
}

int quota_check(const struct node *directory, const struct node *stop, int64_t bytes, int64_t nodes)
{
    for (const struct node *node = directory; node != stop; node = node->parent) {
        const struct directory *above = node_directory(node);
        if (over(above->subtree_bytes, data_size(node->attr.data), bytes, above->attr.max_bytes) ||
            over(above->subtree_nodes, 1, nodes, above->attr.max_nodes))
            return ERR_QUOTA;
    }
    return ERR_OK;
}
