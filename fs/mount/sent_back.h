/* sent_back.h - calls that were answered with ESTALE so that the kernel looks their names up anew and calls again. It
 * does so once; the second ESTALE would be the process's. So who is sent back is noted, by thread and names: what the
 * mount knows of an inode may be forgotten in between, with the kernel's last reference. */
#ifndef PACT_SENT_BACK_H
#define PACT_SENT_BACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SENT_BACK_CALLS = 1024, /* noted at most; those that never came again make room */
    SENT_BACK_PLACES = 8,   /* where one of them can be */
};

struct sent_back {
    _Atomic uint64_t calls[SENT_BACK_CALLS]; /* 0: free */
};

/* Of the call that a thread makes with one name, or with two (rename); never 0. */
uint64_t sent_back_key(uint32_t tid, uint64_t parent, const char *name, uint64_t to_parent, const char *to_name);
/* Thread-safe, as is what follows. */
void sent_back_note(struct sent_back *back, uint64_t key);
/* Whether that call was sent back and this is it again; it is so once. */
bool sent_back_again(struct sent_back *back, uint64_t key);

#endif
