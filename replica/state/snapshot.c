/* snapshot.c - writing the state as it was at one zxid, while it goes on changing.
 *
 * Invariants
 *  1. A cursor writes each znode, session and znode's list of locks of its zxid exactly once: when its sweep comes to
 * it, or before it is changed, whichever is first.
 *  2. What the sweep has passed is told by table_passed (znodes) and by id (sessions, locks); what was written before
 * its change is told by its zxid of last touch, which then is above the cursor's. So a znode carries no mark, a cursor
 * starts and ends in O(1), and one that is given up leaves no trace.
 *
 *                    | last touch ≤ cursor's zxid     | last touch above it (or made since)
 *     sweep passed   | written by the sweep           | written by the sweep or before the change
 *     not yet passed | to be written: by the sweep,   | written before the change, or no part of it
 *                    | or before a change             |
 *
 * Records written before a change wait in a queue: at most each znode of the tree once, its data shared, not copied.
 */
#include "replica/state/snapshot.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "replica/state/mem.h"
#include "replica/state/record.h"
#include "replica/state/wire.h"

/* A record on its way out: frame and head, then the data. */
struct item {
    struct item *next;
    struct data *data;
    size_t head_len;
    uint8_t head[];
};

struct snapshot_cursor {
    struct state *state;
    uint64_t zxid, nodes, digest;
    uint64_t position; /* of the sweep over the znodes */
    bool swept, ended;
    struct session *next_session; /* the sweep over the sessions; NULL: done */
    uint64_t next_locked;         /* the sweep over the znodes with locks: all from this id on */
    struct item *first, **last;
    size_t offset; /* bytes of the first item already read */
};

static void push(struct snapshot_cursor *cursor, enum record_kind kind, struct bytes head, struct bytes tail,
                 struct data *data)
{
    size_t payload = head.len + tail.len + data_size(data);
    struct item *item = mem_grow(NULL, sizeof *item + RECORD_FRAME_BYTES + head.len + tail.len);
    struct writer out = {item->head};
    put_u32(&out, (uint32_t)payload);
    put_u8(&out, (uint8_t)kind);
    put_bytes(&out, head.at, head.len);
    put_bytes(&out, tail.at, tail.len);
    item->next = NULL;
    item->data = data_ref(data);
    item->head_len = (size_t)(out.at - item->head);
    *cursor->last = item;
    cursor->last = &item->next;
}

static void pop(struct snapshot_cursor *cursor)
{
    struct item *item = cursor->first;
    cursor->first = item->next;
    if (cursor->first == NULL)
        cursor->last = &cursor->first;
    cursor->offset = 0;
    data_unref(item->data);
    free(item);
}

static void write_node(struct snapshot_cursor *cursor, const struct node *node)
{
    uint8_t head[RECORD_HEAD_MAX_BYTES];
    struct bytes xattrs = blob_bytes(node->more == NULL ? NULL : node->more->attr.xattrs);
    push(cursor, RECORD_NODE, (struct bytes){head, record_node(node, head)}, xattrs, node->attr.data);
}

static void write_session(struct snapshot_cursor *cursor, const struct session *session)
{
    uint8_t head[RECORD_HEAD_MAX_BYTES];
    uint8_t *results = mem_grow(NULL, session->kept * RECORD_RESULT_MAX_BYTES + 1);
    size_t len = 0;
    for (uint32_t i = 0; i < session->kept; i++)
        len += record_result(session_kept_number(session, i), session_kept(session, i), results + len);
    push(cursor, RECORD_SESSION, (struct bytes){head, record_session(session, head)}, (struct bytes){results, len},
         NULL);
    free(results);
}

static void write_globals(struct snapshot_cursor *cursor)
{
    uint8_t head[SNAPSHOT_MAGIC_BYTES + sizeof(uint32_t)], globals[RECORD_HEAD_MAX_BYTES];
    struct writer out = {head};
    put_bytes(&out, SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_BYTES);
    put_u32(&out, SNAPSHOT_FORMAT);
    push(cursor, RECORD_GLOBALS, (struct bytes){head, sizeof head},
         (struct bytes){globals, record_globals(cursor->state, globals)}, NULL);
}

static void write_list(struct snapshot_cursor *cursor, const struct hook *list)
{
    uint8_t head[RECORD_HEAD_MAX_BYTES];
    for (const struct lock *lock = lock_first(list); lock != NULL; lock = lock_next(list, lock))
        push(cursor, RECORD_LOCK, (struct bytes){head, record_lock(lock, head)}, (struct bytes){"", 0}, NULL);
}

static void write_locks(struct snapshot_cursor *cursor, const struct locked *locked)
{
    write_list(cursor, &locked->holders);
    write_list(cursor, &locked->waiters);
}

/* All at the beginning: they are few, and change with entries that come later. */
static void write_members(struct snapshot_cursor *cursor)
{
    uint8_t head[RECORD_HEAD_MAX_BYTES];
    for (size_t i = 0; i < cursor->state->member_count; i++)
        push(cursor, RECORD_MEMBER, (struct bytes){head, record_member(&cursor->state->members[i], head)},
             (struct bytes){"", 0}, NULL);
}

static void write_end(struct snapshot_cursor *cursor)
{
    uint8_t head[sizeof(uint64_t) * 2];
    struct writer out = {head};
    put_u64(&out, cursor->nodes);
    put_u64(&out, cursor->digest);
    push(cursor, RECORD_END, (struct bytes){head, sizeof head}, (struct bytes){"", 0}, NULL);
    cursor->ended = true;
}

/* --- what the state tells --- */

void snapshot_save_node(struct state *state, const struct node *before)
{
    for (size_t i = 0; i < LIMIT_SNAPSHOT_CURSORS; i++) {
        struct snapshot_cursor *cursor = state->cursors[i];
        if (cursor == NULL || cursor->swept || node_touched_zxid(before) > cursor->zxid)
            continue;
        if (!table_passed(cursor->position, tree_hash_of(before->id)))
            write_node(cursor, before);
    }
}

void snapshot_save_session(struct state *state, const struct session *session)
{
    for (size_t i = 0; i < LIMIT_SNAPSHOT_CURSORS; i++) {
        struct snapshot_cursor *cursor = state->cursors[i];
        if (cursor == NULL || cursor->next_session == NULL || session->changed_zxid > cursor->zxid)
            continue;
        if (session->info.id >= cursor->next_session->info.id)
            write_session(cursor, session);
    }
}

void snapshot_skip_session(struct state *state, const struct session *session)
{
    for (size_t i = 0; i < LIMIT_SNAPSHOT_CURSORS; i++)
        if (state->cursors[i] != NULL && state->cursors[i]->next_session == session)
            state->cursors[i]->next_session = session_next(state, session);
}

void snapshot_save_locks(struct state *state, const struct locked *locked)
{
    for (size_t i = 0; i < LIMIT_SNAPSHOT_CURSORS; i++) {
        struct snapshot_cursor *cursor = state->cursors[i];
        if (cursor != NULL && locked->changed_zxid <= cursor->zxid && locked->by_id.key >= cursor->next_locked)
            write_locks(cursor, locked);
    }
}

/* --- the sweep --- */

/* False: there are no more. */
static bool sweep_locks(struct snapshot_cursor *cursor)
{
    const struct locked *locked = locked_from(cursor->state, cursor->next_locked);
    cursor->next_locked = locked == NULL ? UINT64_MAX : locked->by_id.key + 1;
    if (locked != NULL && locked->changed_zxid <= cursor->zxid)
        write_locks(cursor, locked);
    return locked != NULL;
}

static void sweep_session(struct snapshot_cursor *cursor)
{
    struct session *session = cursor->next_session;
    if (session->changed_zxid <= cursor->zxid)
        write_session(cursor, session);
    cursor->next_session = session_next(cursor->state, session);
}

static void sweep_nodes(struct snapshot_cursor *cursor)
{
    const struct node *node = node_of(table_scan(&cursor->state->by_id, &cursor->position));
    for (; node != NULL; node = node_of(node->by_id.next))
        if (node_touched_zxid(node) <= cursor->zxid)
            write_node(cursor, node);
    cursor->swept = cursor->position == 0;
}

/* Brings something into the queue, if there is anything left. */
static void refill(struct snapshot_cursor *cursor)
{
    while (cursor->first == NULL && !cursor->ended) {
        if (cursor->next_session != NULL)
            sweep_session(cursor);
        else if (sweep_locks(cursor))
            continue;
        else if (!cursor->swept)
            sweep_nodes(cursor);
        else
            write_end(cursor);
    }
}

size_t snapshot_read(struct snapshot_cursor *cursor, void *to, size_t cap)
{
    size_t done = 0;
    while (done < cap) {
        refill(cursor);
        struct item *item = cursor->first;
        if (item == NULL)
            break;
        uint8_t *at = (uint8_t *)to + done;
        size_t room = cap - done, head_left = item->head_len - cursor->offset, part;
        if (cursor->offset < item->head_len) {
            part = head_left < room ? head_left : room;
            memcpy(at, item->head + cursor->offset, part);
        } else {
            part = data_read(item->data, cursor->offset - item->head_len, at, room);
        }
        cursor->offset += part;
        done += part;
        if (cursor->offset == item->head_len + data_size(item->data))
            pop(cursor);
    }
    return done;
}

struct snapshot_cursor *snapshot_begin(struct state *state)
{
    size_t slot = 0;
    while (slot < LIMIT_SNAPSHOT_CURSORS && state->cursors[slot] != NULL)
        slot++;
    if (slot == LIMIT_SNAPSHOT_CURSORS)
        return NULL;
    struct snapshot_cursor *cursor = mem_new(sizeof *cursor);
    cursor->state = state;
    cursor->zxid = state->zxid;
    cursor->nodes = state_nodes(state);
    cursor->digest = state_digest(state);
    cursor->next_session = session_first(state);
    cursor->last = &cursor->first;
    state->cursors[slot] = cursor;
    write_globals(cursor);
    write_members(cursor);
    return cursor;
}

uint64_t snapshot_zxid(const struct snapshot_cursor *cursor)
{
    return cursor->zxid;
}

uint64_t snapshot_nodes(const struct snapshot_cursor *cursor)
{
    return cursor->nodes;
}

void snapshot_end(struct snapshot_cursor *cursor)
{
    for (size_t i = 0; i < LIMIT_SNAPSHOT_CURSORS; i++)
        if (cursor->state->cursors[i] == cursor)
            cursor->state->cursors[i] = NULL;
    while (cursor->first != NULL)
        pop(cursor);
    free(cursor);
}
