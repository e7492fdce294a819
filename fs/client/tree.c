#include "fs/client/tree.h"

#include <assert.h>

void tree_open(struct tree *tree)
{
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&tree->lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    tree->state = state_new();
    tree->arena = arena_new();
    tree->loader = NULL;
    assert(tree->arena != NULL);
}

void tree_close(struct tree *tree)
{
    tree_load_stop(tree);
    arena_free(tree->arena);
    state_free(tree->state);
    pthread_rwlock_destroy(&tree->lock);
}

int tree_apply(struct tree *tree, struct bytes encoded, struct entry *entry, struct result *result,
               struct changes *changes, bool *known)
{
    arena_reset(tree->arena);
    int code = decode_entry(encoded, tree->arena, entry);
    if (code != ERR_OK)
        return code;
    *known = entry->zxid <= state_zxid(tree->state);
    if (*known)
        return ERR_OK;
    pthread_rwlock_wrlock(&tree->lock);
    state_apply(tree->state, entry, result, changes);
    pthread_rwlock_unlock(&tree->lock);
    return ERR_OK;
}

void tree_load_begin(struct tree *tree, uint64_t nodes)
{
    tree_load_stop(tree);
    tree->loader = loader_new();
    tree->nodes = nodes;
}

int tree_load(struct tree *tree, struct bytes chunk)
{
    return loader_feed(tree->loader, chunk.at, chunk.len);
}

int tree_load_end(struct tree *tree, struct state **before)
{
    struct state *loaded;
    int code = loader_finish(tree->loader, &loaded);
    if (code != ERR_OK)
        return code;
    tree->loader = NULL;
    *before = tree->state;
    pthread_rwlock_wrlock(&tree->lock);
    tree->state = loaded;
    pthread_rwlock_unlock(&tree->lock);
    return ERR_OK;
}

void tree_load_stop(struct tree *tree)
{
    if (tree->loader != NULL)
        loader_free(tree->loader);
    tree->loader = NULL;
}
