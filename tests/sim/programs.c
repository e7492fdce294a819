#include "tests/sim/programs.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/mount.h"
#include "tests/sim/plant.h"

enum { TARGETS = 2 /* of the keys: few, so that they meet */ };

void programs_begin(struct mount *mount)
{
    for (unsigned i = 0; i < PROGRAMS; i++)
        mount->programs[i] = (struct program){.turn = mount->programs[i].turn + 1};
}

static uint64_t session_of(const struct mount *mount)
{
    struct client_info info;
    learner_info(mount->learner, mount_ms(mount), &info);
    return info.session;
}

/* --- what they ask for --- */

/* The words that make each request unlike all others. */
static void ask(struct mount *mount, unsigned who, enum op_type type, struct request *request)
{
    struct program *program = &mount->programs[who];
    char command[32];
    struct op op = {.type = type, .key = who, .value = ++program->turn};
    int len = snprintf(command, sizeof command, "#%llu", (unsigned long long)check_next_uid(mount->cluster));
    if (type == DO_LOCK)
        request->lock.command = (struct bytes){command, (size_t)len};
    program->before = program->stage;
    program->stage = type == DO_LOCK ? ASKING : LEAVING;
    work_submit(mount, op, request);
}

static void ask_for(struct mount *mount, unsigned who, const struct op_lock *lock)
{
    struct request request = {.kind = OP_LOCK, .lock = *lock};
    mount->programs[who].asked = *lock;
    ask(mount, who, DO_LOCK, &request);
}

static void lock_something(struct mount *mount, unsigned who)
{
    struct cluster *cluster = mount->cluster;
    struct op_lock lock = {.owner = who + 1, .handle = who + 1, .end = UINT64_MAX, .pid = who + 1};
    lock.id = work_key_id(mount, (unsigned)pick(cluster, TARGETS));
    if (lock.id == 0)
        return;
    lock.space = chance(cluster, 500) ? LOCK_FLOCK : LOCK_POSIX;
    lock.exclusive = chance(cluster, 600);
    lock.wait = chance(cluster, 700);
    if (lock.space == LOCK_POSIX) {
        lock.start = pick(cluster, LOCK_BYTES);
        lock.end = pick_between(cluster, lock.start, LOCK_BYTES);
    }
    ask_for(mount, who, &lock);
}

static void change_kind(struct mount *mount, unsigned who)
{
    struct op_lock lock = mount->programs[who].lock;
    lock.exclusive = !lock.exclusive;
    lock.wait = chance(mount->cluster, 500);
    ask_for(mount, who, &lock);
}

static void give_up(struct mount *mount, unsigned who)
{
    const struct program *program = &mount->programs[who];
    struct op_lock lock = program->stage == DOUBT ? program->asked : program->lock;
    struct request request = {.kind = OP_UNLOCK};
    request.unlock = (struct op_unlock){.id = lock.id,
                                        .scope = UNLOCK_OWNER,
                                        .space = lock.space,
                                        .owner = lock.owner,
                                        .lock = check_next_uid(mount->cluster)};
    if (program->stage == WAITING && chance(mount->cluster, 500)) {
        request.unlock.scope = UNLOCK_WAITER;
        request.unlock.lock = program->name;
        request.unlock.handle = check_next_uid(mount->cluster);
    }
    mount->programs[who].asked = lock;
    ask(mount, who, DO_UNLOCK, &request);
}

/* Whoever has had it long enough, or does not know. */
void programs_tend(struct mount *mount)
{
    struct cluster *cluster = mount->cluster;
    for (unsigned who = 0; who < PROGRAMS && work_has_room(mount); who++) {
        const struct program *program = &mount->programs[who];
        bool has = program->stage == HOLDING || program->stage == WAITING;
        if (program->stage != DOUBT && (!has || program->until_us > cluster->now_us))
            continue;
        if (program->stage == HOLDING && chance(cluster, 250))
            change_kind(mount, who);
        else
            give_up(mount, who);
    }
}

void programs_turn(struct mount *mount)
{
    unsigned who = (unsigned)pick(mount->cluster, PROGRAMS);
    if (mount->programs[who].stage == IDLE && work_has_room(mount))
        lock_something(mount, who);
}

/* --- what they are told --- */

static void has(struct mount *mount, struct program *program, enum stage stage)
{
    program->stage = stage;
    program->until_us = mount->cluster->now_us + spread(mount->cluster, stage == HOLDING ? 400 * MS : 3000 * MS);
    trace(mount->cluster, "mount %u: program %u %s lock %llx of %llu", mount->index,
          (unsigned)(program - mount->programs), stage == HOLDING ? "holds" : "waits for",
          (unsigned long long)program->name, (unsigned long long)program->lock.id);
}

static void lock_returned(struct mount *mount, struct program *program, const struct result *result)
{
    bool waits = result->code == ERR_LOCK_WAITS;
    if (result->code != ERR_OK && !waits) {
        program->stage = result->code == ERR_OUTCOME_UNKNOWN ? DOUBT : program->before;
        return;
    }
    program->lock = program->asked;
    program->session = session_of(mount);
    program->name = result->zxid;
    has(mount, program, waits && !PLANTED(WAITER_HOLDS) ? WAITING : HOLDING);
}

/* The tree says so: what was granted while the mount was away is told after the results, not before. */
static bool holds_by_now(const struct mount *mount, const struct program *program)
{
    struct lock_info info;
    return state_lock_named(mount->tree, program->lock.id, program->name, &info) && !info.waiting;
}

/* A waiter that is none any more has been granted: told by a change that came before. */
static void unlock_returned(struct mount *mount, struct program *program, const struct result *result)
{
    if (result->code == ERR_OK)
        program->stage = IDLE;
    else if (result->code == ERR_OUTCOME_UNKNOWN)
        program->stage = DOUBT;
    else
        program->stage = program->before;
    if (program->stage == WAITING && result->code == ERR_NO_NODE && !holds_by_now(mount, program))
        violated(mount->cluster, "LockLost", "lock %llx of mount %u waits no more, and was not granted",
                 (unsigned long long)program->name, mount->index);
    if (program->stage == IDLE && program->before == WAITING && program->lock.space == LOCK_POSIX)
        program->stage = DOUBT; /* it may have waited to change what it still has */
}

void programs_returned(struct mount *mount, const struct op *op, const struct result *result)
{
    struct program *program = &mount->programs[op->key];
    if (op->value != program->turn)
        return;
    if (op->type == DO_LOCK)
        lock_returned(mount, program, result);
    else
        unlock_returned(mount, program, result);
}

static void granted(struct mount *mount, struct program *program)
{
    if (program->stage == WAITING)
        has(mount, program, HOLDING);
    else if (program->stage == LEAVING && program->before == WAITING)
        program->before = HOLDING;
}

void programs_see(struct mount *mount, const struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->list[i];
        for (unsigned who = 0; change->kind == CHANGE_LOCK && change->lock != 0 && who < PROGRAMS; who++) {
            struct program *program = &mount->programs[who];
            if (program->name == change->lock && program->session == change->lock_session)
                granted(mount, program);
        }
    }
}

/* What was granted while the mount was away. */
void programs_loaded(struct mount *mount)
{
    uint64_t session = session_of(mount);
    for (unsigned who = 0; who < PROGRAMS; who++) {
        struct program *program = &mount->programs[who];
        bool waits = program->stage == WAITING || (program->stage == LEAVING && program->before == WAITING);
        if (!waits || program->session != session)
            continue;
        if (holds_by_now(mount, program))
            granted(mount, program);
    }
}
