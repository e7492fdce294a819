/* hook.h - an intrusive doubly linked list. A hook that is in no list points to itself. */
#ifndef PACT_HOOK_H
#define PACT_HOOK_H

#include <stdbool.h>

struct hook {
    struct hook *prev, *next;
};

static inline void hook_init(struct hook *hook)
{
    hook->prev = hook->next = hook;
}

static inline bool hook_alone(const struct hook *hook)
{
    return hook->next == hook;
}

/* Puts a hook that is alone just before another; before a list's head is its end. */
static inline void hook_insert(struct hook *hook, struct hook *before)
{
    hook->prev = before->prev;
    hook->next = before;
    before->prev->next = hook;
    before->prev = hook;
}

static inline void hook_remove(struct hook *hook)
{
    hook->prev->next = hook->next;
    hook->next->prev = hook->prev;
    hook_init(hook);
}

#endif
