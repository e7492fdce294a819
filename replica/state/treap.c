#include "replica/state/treap.h"

#include <assert.h>

#include "replica/state/hash.h"

struct branch *treap_from(const struct treap *treap, uint64_t key)
{
    struct branch *best = NULL;
    for (struct branch *at = treap->top; at != NULL;) {
        if (at->key >= key)
            best = at;
        at = at->key < key ? at->right : at->left;
    }
    return best;
}

struct branch *treap_find(const struct treap *treap, uint64_t key)
{
    struct branch *branch = treap_from(treap, key);
    return branch != NULL && branch->key == key ? branch : NULL;
}

/* Parts what is below `top` into keys below `key` and above it. */
static void split(struct branch *top, uint64_t key, struct branch **below, struct branch **above)
{
    while (top != NULL) {
        if (top->key < key) {
            *below = top;
            below = &top->right;
        } else {
            *above = top;
            above = &top->left;
        }
        top = top->key < key ? top->right : top->left;
    }
    *below = *above = NULL;
}

void treap_insert(struct treap *treap, struct branch *branch)
{
    struct branch **at = &treap->top;
    uint64_t weight = hash_mix(branch->key);
    while (*at != NULL && hash_mix((*at)->key) > weight) {
        assert((*at)->key != branch->key);
        at = (*at)->key < branch->key ? &(*at)->right : &(*at)->left;
    }
    split(*at, branch->key, &branch->left, &branch->right);
    *at = branch;
    treap->count++;
}

void treap_remove(struct treap *treap, struct branch *branch)
{
    struct branch **at = &treap->top;
    while (*at != branch) {
        assert(*at != NULL);
        at = (*at)->key < branch->key ? &(*at)->right : &(*at)->left;
    }
    struct branch *left = branch->left, *right = branch->right;
    while (left != NULL && right != NULL) { /* joins the two below it */
        struct branch **upper = hash_mix(left->key) > hash_mix(right->key) ? &left : &right;
        *at = *upper;
        at = upper == &left ? &left->right : &right->left;
        *upper = *at;
    }
    *at = left != NULL ? left : right;
    treap->count--;
}
