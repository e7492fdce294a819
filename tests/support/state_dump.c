#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/state_workload.h"

struct text {
    char *at;
    size_t len, room;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    if (text->room - text->len < 1024) {
        text->room = text->room * 2 + 4096;
        text->at = realloc(text->at, text->room);
        assert(text->at != NULL);
    }
    va_list list;
    va_start(list, format);
    text->len += (size_t)vsnprintf(text->at + text->len, 1024, format, list);
    va_end(list);
}

static void dump_node(struct text *text, const struct node *node)
{
    struct node_stat s;
    struct bytes name = node_name(node), policy = node_policy(node), value;
    node_stat(node, &s);
    add(text, "%" PRIu64 " in %" PRIu64 " \"%.*s\" kind %d mode %o %u:%u", s.id, s.parent, (int)name.len,
        (const char *)name.at, (int)s.kind, s.mode, s.uid, s.gid);
    add(text, " times %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, s.btime_ns, s.atime_ns, s.mtime_ns,
        s.data_mtime_ns, s.ctime_ns);
    add(text, " zxids %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " versions %u %u %u", s.czxid, s.mzxid, s.pzxid,
        s.change_zxid, s.version, s.cversion, s.aversion);
    add(text, " owner %" PRIu64 " unborn %" PRIu64 " container %d ttl %" PRIu64 " from %" PRId64, s.ephemeral_owner,
        s.unborn_of, s.container, s.ttl_ms, s.ttl_from_ns);
    add(text, " size %" PRIu64 " data %" PRIx64 " children %u %u sequence %" PRIu64, s.size, data_hash(node_data(node)),
        s.children, s.subdirs, s.sequence);
    add(text, " below %" PRIu64 " %" PRIu64 " quota %" PRIu64 " %" PRIu64 " policy %.*s", s.subtree_bytes,
        s.subtree_nodes, s.max_bytes, s.max_nodes, (int)policy.len, (const char *)policy.at);
    for (size_t i = 0; node_xattr_at(node, i, &name, &value); i++)
        add(text, " %.*s=%zu:%.*s", (int)name.len, (const char *)name.at, value.len, (int)(value.len % 64),
            (const char *)value.at);
    add(text, "\n");
}

static int compare(const void *a, const void *b)
{
    struct node_stat first, second;
    node_stat(*(const struct node *const *)a, &first);
    node_stat(*(const struct node *const *)b, &second);
    return (first.id > second.id) - (first.id < second.id);
}

static void dump_order(struct text *text, const struct node *node)
{
    for (const struct node *child = node_first_child(node); child != NULL; child = node_next_sibling(child)) {
        struct node_stat stat;
        node_stat(child, &stat);
        add(text, "  %" PRIu64, stat.id);
    }
}

static void dump_sessions(struct text *text, const struct state *state)
{
    uint64_t id = 0;
    for (struct session_info info; state_next_session(state, &id, &info);) {
        add(text,
            "session %" PRIu64 " last %" PRIu64 " owns %" PRIu64 " locks %" PRIu64 " opened %" PRId64
            " nonce %d results",
            id, info.last_number, info.ephemerals, info.locks, info.opened_ns, info.nonce[0]);
        struct result result;
        for (uint64_t number = info.last_number; state_result(state, id, number, &result); number--)
            add(text, " %" PRIu64 ":%d:%" PRIu64 ":%s:%u", number, result.code, result.id, result.name, result.failed);
        add(text, "\n");
    }
}

static void dump_members(struct text *text, const struct state *state)
{
    uint32_t id = 0;
    add(text, "version %u\n", state_version(state));
    for (struct member_info member; state_next_member(state, &id, &member);)
        add(text, "member %u incarnation %d zxid %" PRIx64 "\n", id, member.incarnation[0], member.zxid);
}

static void dump_locks(struct text *text, const struct state *state)
{
    struct lock_info info;
    for (uint64_t id = 0; state_next_locked(state, &id);)
        for (struct lock_walk walk = {.id = id}; state_lock_next(state, &walk, &info);) {
            add(text, "lock %" PRIx64 " on %" PRIu64 " space %d exclusive %d waiting %d %" PRIu64 ":%" PRIu64,
                info.lock, id, (int)info.space, info.exclusive, info.waiting, info.session, info.owner);
            add(text,
                " handle %" PRIu64 " range %" PRIx64 " %" PRIx64 " granted %" PRIx64 " since %" PRId64 " by %u %s\n",
                info.handle, info.start, info.end, info.granted_zxid, info.since_ns, info.pid, info.command);
        }
}

char *state_dump(const struct state *state, bool order)
{
    struct text text = {0};
    size_t count = 0;
    uint64_t cursor = 0;
    const struct node **nodes = calloc(state_nodes(state), sizeof(*nodes));
    assert(nodes != NULL);
    for (const struct node *node; (node = state_each_node(state, &cursor)) != NULL;)
        nodes[count++] = node;
    assert(count == state_nodes(state));
    qsort(nodes, count, sizeof(*nodes), compare);
    for (size_t i = 0; i < count; i++) {
        dump_node(&text, nodes[i]);
        if (order)
            dump_order(&text, nodes[i]);
    }
    dump_members(&text, state);
    dump_locks(&text, state);
    add(&text, "sessions\n");
    dump_sessions(&text, state);
    free(nodes);
    return text.at;
}
