#include "fs/mount/former.h"

#include <assert.h>
#include <stdlib.h>

#include "fs/mount/fence.h"
#include "fs/mount/holder.h"
#include "fs/mount/process.h"
#include "fs/mount/record.h"

/* A group is known by its leader; without one it can be no younger. */
static bool is_noted_group(pid_t group, uint64_t noted)
{
    uint64_t start = process_start(group);
    return process_group_lives(group) && (start == UINT64_MAX || start <= noted);
}

void former_fence(struct mount *mount)
{
    const struct record_holder *holders;
    size_t count = record_former_holders(mount->record, &holders);
    struct fenced *list = calloc(count + 1, sizeof *list);
    assert(list);
    for (size_t i = 0; i < count; i++) {
        struct record_holder holder = holders[i];
        holder.key = holders_new_key(mount);
        list[i] = (struct fenced){
            .key = holder.key,
            .pid = holder.pid,
            .group = is_noted_group(holder.group, holder.noted) ? holder.group : 0,
            .pidfd = process_open_noted(holder.pid, holder.noted),
        };
        record_add(mount->record, &holder);
    }
    fence_add(mount, list, count);
    free(list);
}
