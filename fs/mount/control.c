#include "fs/mount/control.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/mount/calls.h"
#include "fs/mount/fence.h"
#include "fs/mount/holder.h"
#include "fs/mount/inode.h"
#include "fs/mount/lock.h"
#include "fs/mount/ops.h"
#include "fs/mount/owner.h"
#include "fs/mount/token.h"

#define CONTROL_BIT   (1ull << 63)
#define CONTROL_SHIFT 56

bool control_is(fuse_ino_t ino)
{
    return ino & CONTROL_BIT;
}

enum control control_kind(fuse_ino_t ino)
{
    return (enum control)((ino & ~CONTROL_BIT) >> CONTROL_SHIFT);
}

uint64_t control_id(fuse_ino_t ino)
{
    return ino & LIMIT_NODE_ID;
}

fuse_ino_t control_ino(enum control kind, uint64_t id)
{
    return CONTROL_BIT | (uint64_t)kind << CONTROL_SHIFT | id;
}

static const struct {
    const char *name;
    mode_t mode;
    bool root_only;
} files[CONTROL_END] = {
    [CONTROL_STAT] = {"stat", 0444, false},        [CONTROL_CHILDREN] = {"children", 0644, false},
    [CONTROL_QUOTA] = {"quota", 0644, false},      [CONTROL_DATA] = {"data", 0666, false},
    [CONTROL_LOCKS] = {"locks", 0444, false},      [CONTROL_SESSION] = {"session", 0444, true},
    [CONTROL_ENSEMBLE] = {"ensemble", 0444, true}, [CONTROL_CALLS] = {"calls", 0444, true},
};

bool control_writable(enum control kind)
{
    return kind == CONTROL_CHILDREN || kind == CONTROL_QUOTA || kind == CONTROL_DATA;
}

const char *control_name(const struct mount *mount, uint64_t id, enum control kind)
{
    return files[kind].root_only && id != mount->root ? NULL : files[kind].name;
}

enum control control_named(const struct mount *mount, uint64_t id, const char *name)
{
    for (enum control kind = CONTROL_STAT; kind < CONTROL_END; kind++) {
        const char *its = control_name(mount, id, kind);
        if (its && !strcmp(its, name))
            return kind;
    }
    return CONTROL_NONE;
}

/* --- texts --- */

struct text {
    char at[CONTROL_TEXT_BYTES];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text->at + text->len, sizeof text->at - text->len, format, args);
    va_end(args);
    if (len > 0)
        text->len += (size_t)len < sizeof text->at - text->len ? (size_t)len : sizeof text->at - text->len - 1;
}

/* ZooKeeper's names, then what it does not have. */
static void say_stat(struct text *text, const struct node_stat *stat)
{
    say(text, "czxid 0x%" PRIx64 "\nmzxid 0x%" PRIx64 "\npzxid 0x%" PRIx64 "\n", stat->czxid, stat->mzxid, stat->pzxid);
    say(text, "ctime %" PRId64 "\nmtime %" PRId64 "\n", stat->ctime_ns / 1000000, stat->mtime_ns / 1000000);
    say(text, "version %" PRIu32 "\ncversion %" PRIu32 "\naversion %" PRIu32 "\n", stat->version, stat->cversion,
        stat->aversion);
    say(text, "ephemeralOwner 0x%" PRIx64 "\ndataLength %" PRIu64 "\nnumChildren %" PRIu32 "\n", stat->ephemeral_owner,
        stat->size, stat->children);
    say(text, "id %" PRIu64 "\nsequence %" PRIu64 "\ncontainer %d\nttl_ms %" PRIu64 "\n", stat->id, stat->sequence,
        stat->container, stat->ttl_ms);
    say(text, "subtree_bytes %" PRIu64 "\nsubtree_nodes %" PRIu64 "\n", stat->subtree_bytes, stat->subtree_nodes);
}

static const char *state_name(enum client_state state)
{
    switch (state) {
    case CLIENT_CONNECTING:
        return "connecting";
    case CLIENT_CONNECTED:
        return "connected";
    case CLIENT_SUSPENDED:
        return "suspended";
    case CLIENT_EXPIRED:
        return "expired";
    case CLIENT_CLOSED:
        break;
    }
    return "closed";
}

/* What became of the changes that other hosts made: inotify events (ghost.h). */
static void say_events(struct mount *mount, struct text *text)
{
    struct ghosts *ghosts = atomic_load(&mount->ghosts);
    struct ghosts_info info = {0};
    if (ghosts)
        ghosts_info(ghosts, &info);
    say(text, "events_pending %" PRIu64 "\nevents_done %" PRIu64 "\nevents_skipped %" PRIu64 "\n", info.pending,
        info.done, info.skipped);
    say(text, "events_coalesced %" PRIu64 "\nevents_overflows %" PRIu64 "\nevents_failed %" PRIu64 "\n", info.coalesced,
        info.overflows, info.failed);
}

/* Who would be fenced if the session were lost, and who was. */
static void say_holders(struct mount *mount, struct text *text)
{
    say(text, "owned %" PRIu64 "\nholders %" PRIu64 "\nfenced %" PRIu64 "\n", owners_count(mount), holders_count(mount),
        fence_count(mount));
}

static void say_session(struct mount *mount, struct text *text)
{
    struct client_info info;
    client_info(mount->client, &info);
    say(text, "session 0x%" PRIx64 "\nstate %s\ntimeout_ms %" PRIu32 "\n", info.session, state_name(info.state),
        info.session_timeout_ms);
    say(text, "remaining_ms %" PRId64 "\nop_timeout_ms %" PRIu32 "\nin_flight %" PRIu64 "\n", info.remaining_ms,
        info.op_timeout_ms, info.in_flight);
    say_holders(mount, text);
    say_events(mount, text);
}

/* What the mount itself knows. */
static void print_mount(FILE *to, const struct client_info *info, const struct message_status *status)
{
    fprintf(to, "server %s\nstate %s\nreplica %" PRIu32 "\n", info->server, state_name(info->state), info->replica);
    fprintf(to, "leader %" PRIu32 "\napplied 0x%" PRIx64 "\ncluster ", status ? status->leader : 0, info->applied);
    for (size_t i = 0; i < CLUSTER_ID_BYTES; i++)
        fprintf(to, "%02x", info->cluster[i]);
    fputc('\n', to);
}

/* And what its replica answers. */
static void print_status(FILE *to, const struct message_status *status)
{
    fprintf(to, "epoch %" PRIu32 "\nzxid 0x%" PRIx64 "\nstate_version %" PRIu32 "\n", status->epoch, status->zxid,
            status->state_version);
    fprintf(to, "sessions %" PRIu64 "\nmounts %" PRIu64 "\nversion %.*s\n\n", status->sessions, status->mounts,
            (int)status->version.len, (const char *)status->version.at);
    status_print_members(to, status);
}

struct data *control_ensemble(struct mount *mount, const struct message_status *status)
{
    char *text = NULL;
    size_t len = 0;
    struct client_info info;
    client_info(mount->client, &info);
    FILE *to = open_memstream(&text, &len);
    assert(to);
    print_mount(to, &info, status);
    if (status)
        print_status(to, status);
    else
        fputs("\nno replica answers\n", to);
    fclose(to);
    struct data *data = data_new(text, len);
    free(text);
    return data;
}

/* The texts that the directory's znode gives. */
static void say_node(enum control kind, const struct node *node, const struct node_stat *stat, struct text *text)
{
    struct bytes policy = node_policy(node);
    if (kind == CONTROL_STAT)
        say_stat(text, stat);
    else if (kind == CONTROL_CHILDREN && policy.len)
        say(text, "%.*s\n", (int)policy.len, (const char *)policy.at);
    else if (kind == CONTROL_QUOTA)
        say(text, "bytes %" PRIu64 "\nnodes %" PRIu64 "\n", stat->max_bytes, stat->max_nodes);
}

int control_text(struct mount *mount, fuse_ino_t ino, struct data **data)
{
    enum control kind = control_kind(ino);
    struct text text = {.len = 0};
    struct node_stat stat;
    if (kind == CONTROL_LOCKS)
        return locks_text(mount, control_id(ino), data);
    const struct state *state = client_lock(mount->client);
    const struct node *node = state_node(state, control_id(ino));
    if (node) {
        node_stat(node, &stat);
        say_node(kind, node, &stat, &text);
    }
    *data = node && kind == CONTROL_DATA ? data_ref(node_data(node)) : NULL;
    client_unlock(mount->client);
    if (!node)
        return ERR_NO_NODE;
    if (kind == CONTROL_SESSION)
        say_session(mount, &text);
    if (kind == CONTROL_CALLS)
        text.len = calls_text(mount->calls, text.at, sizeof text.at);
    if (kind != CONTROL_DATA)
        *data = data_new(text.at, text.len);
    return ERR_OK;
}

/* --- attributes --- */

/* A quota is root's to set, the rest its directory's owner's; the data is as readable as the directory. */
static void own(enum control kind, const struct stat *directory, struct stat *attr)
{
    attr->st_uid = kind == CONTROL_QUOTA ? 0 : directory->st_uid;
    attr->st_gid = kind == CONTROL_QUOTA ? 0 : directory->st_gid;
    if (kind == CONTROL_DIRECTORY)
        attr->st_mode = S_IFDIR | (directory->st_mode & 0555);
    else if (kind == CONTROL_DATA)
        attr->st_mode = S_IFREG | (directory->st_mode & 0666);
    else
        attr->st_mode = S_IFREG | files[kind].mode;
}

int control_attr(struct mount *mount, fuse_ino_t ino, struct stat *attr)
{
    struct node_stat stat;
    struct data *text = NULL;
    enum control kind = control_kind(ino);
    int code = mount_stat(mount, control_id(ino), &stat);
    if (!code && kind != CONTROL_DIRECTORY)
        code = control_text(mount, ino, &text);
    if (code)
        return code;
    struct stat directory;
    inode_attr(mount, &stat, &directory);
    *attr = directory;
    attr->st_ino = ino;
    attr->st_nlink = kind == CONTROL_DIRECTORY ? 2 : 1;
    attr->st_size = (off_t)data_size(text);
    attr->st_blocks = (attr->st_size + 511) / 512;
    own(kind, &directory, attr);
    data_unref(text);
    return ERR_OK;
}

void control_lookup(struct mount *mount, fuse_req_t req, fuse_ino_t ino)
{
    struct fuse_entry_param entry = {.ino = ino};
    int code = control_attr(mount, ino, &entry.attr);
    if (code)
        reply_code(req, code);
    else
        fuse_reply_entry(req, &entry);
}

/* --- writing --- */

/* A number after white space; false: there is none, or it is too large. Moves on past it. */
static bool parse_number(const char **text, uint64_t *value)
{
    char *end;
    *text += strspn(*text, " \t\r\n");
    errno = 0;
    *value = strtoull(*text, &end, 10);
    bool fine = **text >= '0' && **text <= '9' && !errno;
    *text = end;
    return fine;
}

/* "bytes N" and "nodes N", in any order, each at most once; what is not named is lifted. */
static int parse_quota(const char *text, struct op_set_quota *quota)
{
    bool bytes = false, nodes = false;
    int used;
    for (char word[16]; sscanf(text, " %15s%n", word, &used) == 1;) {
        uint64_t value;
        bool is_bytes = !strcmp(word, "bytes"), is_nodes = !strcmp(word, "nodes");
        text += used;
        if (is_bytes == is_nodes || (is_bytes ? bytes : nodes) || !parse_number(&text, &value))
            return ERR_INVALID;
        *(is_bytes ? &quota->max_bytes : &quota->max_nodes) = value;
        *(is_bytes ? &bytes : &nodes) = true;
    }
    return ERR_OK;
}

static struct bytes trim(const char *text)
{
    size_t start = strspn(text, " \t\r\n"), len = strlen(text);
    while (len > start && strchr(" \t\r\n", text[len - 1]))
        len--;
    return (struct bytes){text + start, len - start};
}

int control_request(enum control kind, uint64_t id, const struct data *text, char room[CONTROL_TEXT_BYTES],
                    struct request *request)
{
    struct tokens tokens;
    size_t len = data_size(text);
    if (len >= CONTROL_TEXT_BYTES)
        return ERR_INVALID;
    data_read(text, 0, room, len);
    room[len] = 0;
    if (strlen(room) != len)
        return ERR_INVALID;
    if (kind == CONTROL_QUOTA) {
        *request = (struct request){.kind = OP_SET_QUOTA, .set_quota = {.at = {.id = id}}};
        return parse_quota(room, &request->set_quota);
    }
    *request = (struct request){.kind = OP_SET_POLICY, .set_policy = {.at = {.id = id}, .policy = trim(room)}};
    if (request->set_policy.policy.len > LIMIT_POLICY_BYTES)
        return ERR_INVALID;
    return token_policy(request->set_policy.policy, &tokens);
}

/* As apply will judge it. */
static int check_quota(struct mount *mount, uint64_t id, const struct op_set_quota *quota)
{
    struct node_stat stat;
    int code = mount_stat(mount, id, &stat);
    if (code)
        return code;
    bool below = (quota->max_bytes && stat.subtree_bytes - stat.size > quota->max_bytes) ||
                 (quota->max_nodes && stat.subtree_nodes - 1 > quota->max_nodes);
    return below ? ERR_QUOTA : ERR_OK;
}

int control_check(struct mount *mount, enum control kind, uint64_t id, const struct data *text)
{
    char room[CONTROL_TEXT_BYTES];
    struct request request;
    int code = control_request(kind, id, text, room, &request);
    return code || kind != CONTROL_QUOTA ? code : check_quota(mount, id, &request.set_quota);
}
