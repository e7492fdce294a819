#include "replica/pactd/replica.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "replica/pactd/attach.h"
#include "replica/pactd/ensemble.h"
#include "replica/pactd/pipeline.h"
#include "replica/pactd/priority.h"

/* --- time, failure --- */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t clock_ms(void)
{
    return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

struct zab_clocks clocks(void)
{
    return (struct zab_clocks){(int64_t)clock_ns(CLOCK_REALTIME), clock_ns(CLOCK_MONOTONIC)};
}

void replica_give_up(struct replica *replica, int code, const char *why)
{
    if (replica->failure != ERR_OK)
        return; /* the first cause is the one to tell */
    report(REPORT_ERROR, "%s; the replica ends%s", why, code == ERR_NO_SPACE ? "" : " and must be started again");
    replica->failure = code;
    uv_stop(&replica->loop);
}

void replica_fail(struct replica *replica, int code, const char *what)
{
    char why[512];
    const char *cause = store_error(replica->store);
    snprintf(why, sizeof why, "%s failed: %s", what, cause && *cause ? cause : error_text(code));
    replica_give_up(replica, code, why);
}

/* --- the loop --- */

static void turn(struct replica *replica);

static void on_due(uv_timer_t *timer)
{
    turn(timer->data);
}

static void arm_due_timer(struct replica *replica, uint64_t due_ms)
{
    uint64_t now_ms = clock_ms();
    uv_timer_start(&replica->due_timer, on_due, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What peers and mounts say, until it is appended. Returns when something is due. */
static uint64_t receive(struct replica *replica)
{
    bool more = false; /* the descriptors stay readable */
    uint64_t due_ms = UINT64_MAX;
    if (replica->mesh)
        due_ms = mesh_run(replica->mesh, clock_ms(), RECEIVE_BUDGET, &more);
    due_ms = earlier(due_ms, ensemble_tick(replica));
    return earlier(due_ms, port_run(replica->port, clock_ms(), RECEIVE_BUDGET, &more));
}

/* One turn: what arrived → to the followers → one sync → applied → streamed. */
static void turn(struct replica *replica)
{
    roster_pass_time(&replica->roster, clock_ms());
    uint64_t due_ms = receive(replica);
    bool more = followers_pump(replica);
    pipeline_sync(replica);
    more |= pipeline_apply(replica, APPLY_BUDGET);
    ensemble_mind_others(replica);
    if (replica->failure != ERR_OK)
        return; /* what could not be made durable must not be seen */
    questions_ask(replica);
    more |= attach_pump(replica);
    more |= store_last_zxid(replica->store) > store_durable_zxid(replica->store); /* what answers led to */
    arm_due_timer(replica, more ? 0 : earlier(due_ms, zab_deadline(replica->zab)));
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    turn(poll->data);
}

/* What arrived is heard before anyone is found silent. */
static void on_tick(uv_timer_t *timer)
{
    struct replica *replica = timer->data;
    uint64_t now_ms = clock_ms();
    turn(replica);
    if (replica->failure != ERR_OK)
        return;
    pipeline_retry(replica, now_ms);
    if (ensemble_leads(replica)) {
        roster_expire(replica);
        due_run(replica, now_ms);
    }
    ensemble_look(replica, now_ms);
    turn(replica);
    if (replica->failure == ERR_OK)
        checkpoint_tick(replica, now_ms);
}

static void on_stop(uv_async_t *stop)
{
    uv_stop(stop->loop);
}

static void open_loop(struct replica *replica)
{
    int failed = uv_loop_init(&replica->loop);
    failed |= uv_timer_init(&replica->loop, &replica->due_timer);
    failed |= uv_timer_init(&replica->loop, &replica->tick_timer);
    failed |= uv_async_init(&replica->loop, &replica->stop, on_stop);
    assert(!failed);
    replica->due_timer.data = replica->tick_timer.data = replica;
    replica->loop_open = true;
}

static void close_loop(struct replica *replica)
{
    if (!replica->loop_open)
        return;
    uv_close((uv_handle_t *)&replica->due_timer, NULL);
    uv_close((uv_handle_t *)&replica->tick_timer, NULL);
    uv_close((uv_handle_t *)&replica->stop, NULL);
    if (replica->polling)
        uv_close((uv_handle_t *)&replica->poll, NULL);
    if (replica->mesh_polling)
        uv_close((uv_handle_t *)&replica->mesh_poll, NULL);
    while (uv_run(&replica->loop, UV_RUN_DEFAULT) != 0) {
        /* one that was stopped before it ran returns at once, with its handles still open */
    }
    int busy = uv_loop_close(&replica->loop);
    assert(!busy);
}

/* --- opening --- */

/* nanomsg spins when descriptors run out. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* An embedded replica keeps its data one level below: beside it an empty namespace would begin unnoticed. */
static int refuse_embedded(const char *data, char *text, size_t text_len)
{
    char below[PATH_MAX];
    int len = snprintf(below, sizeof below, "%s/data", data);
    if (len < 0 || (size_t)len >= sizeof below || store_is_in(data) || !store_is_in(below))
        return ERR_OK;
    snprintf(text, text_len,
             "%s is an embedded replica's, and its data is in %s: give --data %s (as --id 1, alone in its ensemble)",
             data, below, below);
    return ERR_EXISTS;
}

static int open_disk(struct replica *replica, const char *data, char *text, size_t text_len)
{
    int failed = disk_posix_open(data, &replica->disk);
    replica->disk_open = failed == 0;
    if (failed == 0)
        return ERR_OK;
    if (failed == -EBUSY) {
        snprintf(text, text_len, "%s is in use by another process", data);
        return ERR_BUSY;
    }
    snprintf(text, text_len, "%s: %s", data, strerror(-failed));
    return failed == -EACCES || failed == -EPERM || failed == -EROFS ? ERR_ACCESS : ERR_IO;
}

static void watch(struct replica *replica, uv_poll_t *poll, int fd, bool *polling)
{
    int failed = uv_poll_init(&replica->loop, poll, fd);
    assert(!failed);
    poll->data = replica;
    *polling = true;
}

static int open_ports(struct replica *replica, const struct replica_options *options, char *text, size_t text_len)
{
    struct port_events events = messages_events(replica);
    int code =
        port_open(options->addresses, options->address_count, &options->keys, &events, &replica->port, text, text_len);
    if (code != ERR_OK)
        return code;
    watch(replica, &replica->poll, port_fd(replica->port), &replica->polling);
    code = peers_open(replica, options, text, text_len);
    if (code == ERR_OK && replica->mesh)
        watch(replica, &replica->mesh_poll, mesh_fd(replica->mesh), &replica->mesh_polling);
    return code;
}

/* "1=HOST:PEERPORT:CLIENTPORT,…": members that are told different lists find out by it. */
static char *ensemble_text(const struct replica_options *options)
{
    char *text = calloc(1, LIMIT_ENSEMBLE_BYTES);
    size_t len = 0;
    assert(text);
    for (size_t i = 0; i < options->member_count && len < LIMIT_ENSEMBLE_BYTES; i++) {
        const struct replica_member *member = &options->members[i];
        const char *port = strrchr(member->address, ':');
        int more = snprintf(text + len, LIMIT_ENSEMBLE_BYTES - len, "%s%u=%s%s", i ? "," : "", member->id,
                            member->peer_address, port ? port : "");
        len += (size_t)more;
    }
    return text;
}

static void take_members(struct replica *replica, const struct replica_options *options)
{
    assert(options->member_count <= LIMIT_REPLICAS);
    for (size_t i = 0; i < options->member_count; i++) {
        const struct replica_member *given = &options->members[i];
        char *address = strdup(given->address);
        assert(address);
        if (given->id == options->id)
            replica->member_address = address;
        else
            replica->members[replica->member_count++] = (struct member){.id = given->id, .address = address};
    }
    assert(replica->member_address);
    replica->ensemble = ensemble_text(options);
    peers_untell(replica);
}

static struct replica *new_replica(const struct replica_options *options)
{
    struct replica *replica = calloc(1, sizeof *replica);
    assert(replica);
    replica->id = options->id;
    take_members(replica, options);
    replica->state_version_max = options->state_version_max ? options->state_version_max : STATE_VERSION;
    replica->silence_ms = options->silence_ms ? options->silence_ms : ZAB_SILENCE_MS;
    replica->ready = options->ready;
    replica->ready_arg = options->ready_arg;
    replica->checkpoint.none_at_end = options->ends_quickly;
    replica->checkpoint.every_bytes =
        options->snapshot_every_bytes ? options->snapshot_every_bytes : LOG_SNAPSHOT_EVERY_BYTES;
    replica->checkpoint.every_entries =
        options->snapshot_every_entries ? options->snapshot_every_entries : LOG_SNAPSHOT_EVERY_ENTRIES;
    replica->arena = arena_new();
    replica->request_arena = arena_new();
    replica->scratch = malloc(STREAM_SCRATCH_BYTES);
    assert(replica->arena && replica->request_arena && replica->scratch);
    replica->started_ms = replica->alone_ms = clock_ms();
    open_loop(replica);
    return replica;
}

static struct seat seat_of(const struct replica_options *options)
{
    struct seat seat = {.id = (uint8_t)options->id};
    for (size_t i = 0; i < options->member_count; i++)
        seat.members[i] = (uint8_t)options->members[i].id;
    return seat;
}

static void say_seat(char *text, size_t text_len, struct seat seat)
{
    size_t len = (size_t)snprintf(text, text_len, "replica %u of", seat.id);
    for (size_t i = 0; i < LIMIT_REPLICAS && seat.members[i] != 0 && len < text_len; i++)
        len += (size_t)snprintf(text + len, text_len - len, "%s %u", i ? "," : "", seat.members[i]);
}

/* What a majority acknowledged is safe with the members that acknowledged it: not with a copy of one's data, nor with
 * one that is told that it is alone. */
static int take_seat(struct replica *replica, const struct replica_options *options, char *text, size_t text_len)
{
    const struct seat given = seat_of(options), kept = store_seat(replica->store);
    char here[64], there[64];
    if (memcmp(&given, &kept, sizeof given) == 0)
        return ERR_OK;
    say_seat(here, sizeof here, given);
    say_seat(there, sizeof there, kept);
    if (kept.id != 0 && !options->adopt) {
        snprintf(text, text_len,
                 "it is the data of %s, and this is %s: it may lack what the others acknowledged (--adopt takes it "
                 "as it is)",
                 there, here);
        return ERR_INVALID;
    }
    if (kept.id != 0)
        report(REPORT_WARN, "the data of %s is taken over by %s", there, here);
    int code = store_set_seat(replica->store, given);
    if (code != ERR_OK)
        snprintf(text, text_len, "%s", store_error(replica->store));
    return code;
}

/* As an epoch needs it: those that are there are written once more. */
static int look_for_space(struct replica *replica, char *text, size_t text_len)
{
    int code = store_set_epochs(replica->store, store_epochs(replica->store));
    if (code != ERR_OK)
        snprintf(text, text_len, "%s", store_error(replica->store));
    return code;
}

/* From the disk into memory, and the epoch begun. */
static int load(struct replica *replica, const struct replica_options *options, char *text, size_t text_len)
{
    int code = store_open(&replica->disk, &(struct store_options){.helper = true}, &replica->store, text, text_len);
    if (code != ERR_OK)
        return code;
    if (*store_notice(replica->store))
        report(REPORT_WARN, "%s", store_notice(replica->store));
    code = take_seat(replica, options, text, text_len);
    if (code == ERR_OK && options->needs_space)
        code = look_for_space(replica, text, text_len);
    if (code != ERR_OK)
        return code;
    if (replica->member_count > 0)
        priority_stand_back(BACK_A_LITTLE); /* but the threads of the store and of the ports do not */
    code = start_load(replica, text, text_len);
    priority_come_forward();
    return code;
}

static int open_parts(struct replica *replica, const struct replica_options *options, char *text, size_t text_len)
{
    char why[512] = "";
    int code = refuse_embedded(options->data, text, text_len);
    if (code == ERR_OK)
        code = open_disk(replica, options->data, text, text_len);
    if (code != ERR_OK)
        return code;
    code = load(replica, options, why, sizeof why);
    if (code != ERR_OK) {
        snprintf(text, text_len, "%s: %s", options->data, why);
        return code;
    }
    return open_ports(replica, options, text, text_len);
}

int replica_open(const struct replica_options *options, struct replica **out, char *text, size_t text_len)
{
    enum report_level level = REPORT_INFO;
    *out = NULL;
    if (options->log_level && !report_parse_level(options->log_level, &level)) {
        snprintf(text, text_len, "no such log level: %s (error, warn, info or debug)", options->log_level);
        return ERR_INVALID;
    }
    if (sodium_init() < 0) {
        snprintf(text, text_len, "libsodium does not start");
        return ERR_IO;
    }
    if (options->log_level)
        report_set_level(level);
    raise_descriptor_limit();
    struct replica *replica = new_replica(options);
    int code = open_parts(replica, options, text, text_len);
    if (code != ERR_OK) {
        replica_free(replica);
        return code;
    }
    report(REPORT_INFO, "replica %u: %" PRIu64 " znodes at zxid %" PRIx64 ", epoch %u, loaded in %" PRIu64 " ms",
           replica->id, state_nodes(replica->state), state_zxid(replica->state), store_epochs(replica->store).current,
           clock_ms() - replica->started_ms);
    *out = replica;
    return ERR_OK;
}

/* Everyone is told, and goes to another replica. */
static void hang_up(struct replica *replica)
{
    port_close(replica->port);
    replica->port = NULL;
    peers_close(replica);
    attach_free(replica);
    questions_free(replica);
}

static void serve(struct replica *replica)
{
    report(REPORT_INFO, "replica %u: serving on port %u", replica->id, port_number(replica->port));
    if (replica->ready)
        replica->ready(replica->ready_arg, port_number(replica->port));
    uv_run(&replica->loop, UV_RUN_DEFAULT);
}

int replica_run(struct replica *replica)
{
    uv_poll_start(&replica->poll, UV_READABLE, on_readable);
    if (replica->mesh_polling)
        uv_poll_start(&replica->mesh_poll, UV_READABLE, on_readable);
    uv_timer_start(&replica->tick_timer, on_tick, TICK_MS, TICK_MS);
    replica->roster.clock_ms = clock_ms();
    turn(replica); /* alone, it leads from here */
    if (replica->failure == ERR_OK)
        serve(replica);
    uv_poll_stop(&replica->poll);
    if (replica->mesh_polling)
        uv_poll_stop(&replica->mesh_poll);
    uv_timer_stop(&replica->tick_timer);
    uv_timer_stop(&replica->due_timer);
    checkpoint_stop(replica);
    priority_come_forward();
    hang_up(replica);
    if (replica->failure == ERR_OK && !replica->full)
        checkpoint_last(replica);
    report(REPORT_INFO, "replica %u: stopped", replica->id);
    return replica->failure;
}

void replica_stop(struct replica *replica)
{
    uv_async_send(&replica->stop);
}

void replica_free(struct replica *replica)
{
    if (!replica)
        return;
    hang_up(replica); /* if it never ran */
    close_loop(replica);
    roster_free(&replica->roster);
    if (replica->recent.ring)
        recent_free(&replica->recent);
    if (replica->zab)
        zab_free(replica->zab);
    zab_update_free(&replica->update);
    if (replica->state)
        state_free(replica->state);
    if (replica->store)
        store_close(replica->store);
    if (replica->disk_open)
        disk_posix_close(&replica->disk);
    arena_free(replica->arena);
    arena_free(replica->request_arena);
    buffer_free(&replica->encoded);
    buffer_free(&replica->entry);
    buffer_free(&replica->mount_cache.message);
    buffer_free(&replica->follower_cache.message);
    free(replica->scratch);
    free(replica->member_address);
    free(replica->ensemble);
    free(replica);
}
