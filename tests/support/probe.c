#include "tests/support/probe.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- receiving --- */

static void apply(struct probe *probe, struct bytes bytes)
{
    struct entry entry;
    struct result result;
    struct arena *arena = arena_new();
    int code = decode_entry(bytes, arena, &entry);
    assert(code == ERR_OK);
    assert(entry.zxid > state_zxid(probe->tree)); /* no entry twice, none out of order */
    state_apply(probe->tree, &entry, &result, NULL);
    if (entry.session == probe->session && probe->session != 0 && !result.none && entry.number < 512) {
        probe->results[entry.number] = result;
        probe->result_count[entry.number]++;
    }
    arena_free(arena);
}

static void on_snapshot(struct probe *probe, const struct message *message)
{
    if (message->kind == MESSAGE_SNAPSHOT_BEGIN) {
        loader_free(probe->loader);
        probe->loader = loader_new();
        return;
    }
    if (message->kind == MESSAGE_SNAPSHOT_CHUNK) {
        int code = loader_feed(probe->loader, message->chunk.at, message->chunk.len);
        assert(code == ERR_OK);
        return;
    }
    if (probe->tree)
        state_free(probe->tree);
    int code = loader_finish(probe->loader, &probe->tree);
    assert(code == ERR_OK);
    probe->loader = NULL;
}

static void on_message(void *arg, const void *bytes, size_t len)
{
    struct probe *probe = arg;
    struct message message;
    struct arena *arena = arena_new();
    int code = decode_message((struct bytes){bytes, len}, arena, &message);
    assert(code == ERR_OK);
    probe->count[message.kind]++;
    bool snapshot = message.kind >= MESSAGE_SNAPSHOT_BEGIN && message.kind <= MESSAGE_SNAPSHOT_END;
    if (message.kind == MESSAGE_ATTACHED)
        probe->session = message.attached.session;
    if (snapshot)
        on_snapshot(probe, &message);
    else if (message.kind == MESSAGE_ENTRIES)
        for (size_t i = 0; i < message.entries.count; i++)
            apply(probe, message.entries.list[i]);
    if (snapshot || message.kind == MESSAGE_ENTRIES) {
        arena_free(arena);
        return;
    }
    arena_free(probe->arena);
    probe->arena = arena;
    probe->last = message;
}

static void on_up(void *arg)
{
    ((struct probe *)arg)->up = true;
}

static void on_down(void *arg, int code)
{
    struct probe *probe = arg;
    if (probe->up)
        probe->down = true;
    probe->down_code = code;
    probe->up = false;
}

static void on_writable(void *arg)
{
    (void)arg;
}

bool probe_until(struct probe *probe, bool (*done)(struct probe *probe), unsigned wait_ms)
{
    uint64_t end_ms = now_ms() + wait_ms;
    while (!done(probe) && now_ms() < end_ms) {
        uint64_t due_ms = dial_run(probe->dial, now_ms()), now = now_ms();
        if (done(probe))
            return true;
        uint64_t wait = due_ms > now ? due_ms - now : 0;
        struct pollfd fd = {.fd = dial_fd(probe->dial), .events = POLLIN};
        poll(&fd, 1, (int)(wait < 50 ? wait : 50));
    }
    return done(probe);
}

/* --- waiting for something --- */

static bool is_up(struct probe *probe)
{
    return probe->up;
}

static bool is_down(struct probe *probe)
{
    return probe->down;
}

bool probe_expect_down(struct probe *probe)
{
    return probe_until(probe, is_down, PROBE_WAIT_MS);
}

static bool has_come(struct probe *probe)
{
    return probe->count[probe->expected] >= probe->expected_count;
}

bool probe_expect(struct probe *probe, enum message_kind kind)
{
    probe->expected = kind;
    probe->expected_count = probe->count[kind] + 1;
    return probe_until(probe, has_come, PROBE_WAIT_MS);
}

static bool is_there(struct probe *probe)
{
    return probe->tree && !probe->loader && state_zxid(probe->tree) >= probe->wanted_zxid;
}

bool probe_catch_up(struct probe *probe, uint64_t zxid)
{
    probe->wanted_zxid = zxid;
    return probe_until(probe, is_there, PROBE_WAIT_MS);
}

static bool has_result(struct probe *probe)
{
    return probe->result_count[probe->wanted_number] > 0;
}

bool probe_result(struct probe *probe, uint64_t number, struct result *result)
{
    probe->wanted_number = number;
    if (!probe_until(probe, has_result, PROBE_WAIT_MS))
        return false;
    *result = probe->results[number];
    return true;
}

/* --- the link --- */

void probe_open(struct probe *probe, const char *address, const struct link_keys *keys)
{
    static const struct link_keys none;
    char text[256];
    struct link_events events = {
        .arg = probe, .up = on_up, .down = on_down, .message = on_message, .writable = on_writable};
    probe->up = probe->down = false;
    int code = dial_open(address, keys ? keys : &none, &events, &probe->dial, text, sizeof text);
    assert(code == ERR_OK);
    bool up = probe_until(probe, is_up, PROBE_WAIT_MS);
    assert(up);
}

void probe_close(struct probe *probe)
{
    if (probe->dial)
        dial_close(probe->dial);
    probe->dial = NULL;
    loader_free(probe->loader);
    probe->loader = NULL;
}

void probe_free(struct probe *probe)
{
    probe_close(probe);
    if (probe->tree)
        state_free(probe->tree);
    arena_free(probe->arena);
    *probe = (struct probe){0};
}

/* --- sending --- */

void probe_send_raw(struct probe *probe, const void *bytes, size_t len)
{
    link_send(dial_link(probe->dial), bytes, len, now_ms());
}

void probe_send(struct probe *probe, const struct message *message)
{
    struct buffer buffer = {0};
    int code = encode_message(message, &buffer);
    assert(code == ERR_OK);
    probe_send_raw(probe, buffer.at, buffer.len);
    buffer_free(&buffer);
}

struct message probe_attach_message(const struct probe *probe, const char *name)
{
    struct message message = {.kind = MESSAGE_ATTACH};
    struct message_attach *attach = &message.attach;
    attach->state_version_min = STATE_VERSION_MIN;
    attach->state_version_max = STATE_VERSION;
    attach->timeout_ms = 60000;
    attach->host = (struct bytes){"probe", 5};
    attach->pid = 1;
    attach->session = probe->session;
    size_t len = strlen(name);
    assert(len <= sizeof attach->nonce);
    memcpy(attach->nonce, name, len);
    memcpy(attach->secret, name, len);
    if (probe->tree) {
        attach->applied = state_zxid(probe->tree);
        memcpy(attach->cluster, state_cluster(probe->tree), sizeof attach->cluster);
    }
    return message;
}

static void attach(struct probe *probe, struct message message)
{
    probe_send(probe, &message);
    bool attached = probe_expect(probe, MESSAGE_ATTACHED);
    assert(attached);
    if (!probe->last.attached.snapshot)
        return;
    bool copied = probe_until(probe, is_there, PROBE_WAIT_MS);
    assert(copied);
}

void probe_attach(struct probe *probe, const char *name)
{
    probe->wanted_zxid = 0;
    attach(probe, probe_attach_message(probe, name));
}

void probe_observe(struct probe *probe)
{
    struct message message = probe_attach_message(probe, "");
    message.attach.observer = true;
    probe->wanted_zxid = 0;
    attach(probe, message);
}

struct message_status probe_status(struct probe *probe)
{
    probe_send(probe, &(struct message){.kind = MESSAGE_STATUS});
    bool came = probe_expect(probe, MESSAGE_STATUS_REPLY);
    assert(came);
    return probe->last.status;
}

void probe_submit_as(struct probe *probe, uint64_t number, const struct request *request)
{
    struct buffer buffer = {0};
    int code = encode_request(request, &buffer);
    assert(code == ERR_OK);
    struct message message = {.kind = MESSAGE_SUBMIT};
    message.submit = (struct message_submit){number, number, {buffer.at, buffer.len}};
    probe_send(probe, &message);
    buffer_free(&buffer);
}

uint64_t probe_submit(struct probe *probe, const struct request *request)
{
    probe_submit_as(probe, ++probe->number, request);
    return probe->number;
}

int probe_call(struct probe *probe, const struct request *request)
{
    struct result result;
    bool come = probe_result(probe, probe_submit(probe, request), &result);
    assert(come);
    return result.code;
}

/* --- requests --- */

static struct where at(const char *path)
{
    return (struct where){ROOT_ID, {path, strlen(path)}};
}

struct request probe_create(const char *path, struct lifetime lifetime)
{
    return (struct request){.kind = OP_CREATE,
                            .create = {.at = at(path), .kind = KIND_DIRECTORY, .mode = 0755, .lifetime = lifetime}};
}

struct request probe_write(const char *path, struct edit *edit, const void *bytes, size_t len)
{
    *edit = (struct edit){.kind = EDIT_PUT, .data = {bytes, len}};
    return (struct request){.kind = OP_WRITE,
                            .write = {.at = at(path), .version = NO_VERSION_CHECK, .edits = edit, .count = 1}};
}

bool probe_has(const struct probe *probe, const char *path)
{
    int code;
    return state_find(probe->tree, at(path), &code) != NULL;
}
