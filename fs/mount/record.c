#include "fs/mount/record.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "fs/mount/log.h"
#include "replica/state/hash.h"

enum {
    RECORD_BYTES = 16 * 1024 * 1024, /* a larger file is none of ours */
    LOCK_TRIES = 100,                /* 1 s */
    LOCK_WAIT_MS = 10,
    HEAD_LINES = 5,
    NEEDLESS_LINES = 1024, /* and as many as there are holders: then the file is written anew */
};

struct line {
    struct record_holder holder;
    UT_hash_handle hh;
};

struct record {
    char path[PATH_MAX], new_path[PATH_MAX + 8]; /* empty: nothing is recorded */
    char boot[64];                               /* the machine's */
    char *servers, *mountpoint;
    bool rebooted; /* what was found is of another boot */
    struct client_identity former;
    struct record_holder *former_holders;
    size_t former_count;

    pthread_mutex_t lock; /* of what is below */
    int fd;               /* locked with flock(2) as long as this pactfs lives; -1: none */
    bool begun;
    struct client_identity session;
    struct line *lines;
    size_t written; /* lines in the file */
};

/* --- the place --- */

/* Our own directory, made if need be. */
static bool find_directory(char *path, size_t cap)
{
    const char *runtime = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
    struct stat stat_of;
    if (!runtime || *runtime != '/' || snprintf(path, cap, "%s/pactfs", runtime) >= (int)cap)
        return false;
    if (mkdir(path, 0700) && errno != EEXIST)
        return false;
    return !lstat(path, &stat_of) && S_ISDIR(stat_of.st_mode) && stat_of.st_uid == geteuid() &&
           !(stat_of.st_mode & 022);
}

static void find_path(struct record *record)
{
    char directory[PATH_MAX - 32];
    uint64_t hash = hash_bytes(record->mountpoint, strlen(record->mountpoint) + 1, 0);
    hash = hash_bytes(record->servers, strlen(record->servers) + 1, hash);
    if (!find_directory(directory, sizeof directory)) {
        log_line("who holds locks is not recorded: there is no directory for it in /run or $XDG_RUNTIME_DIR");
        return;
    }
    snprintf(record->path, sizeof record->path, "%s/%016" PRIx64, directory, hash);
    snprintf(record->new_path, sizeof record->new_path, "%s.new", record->path);
}

/* Empty where the kernel does not tell: then every boot is the same. */
static void find_boot(struct record *record)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file && !fgets(record->boot, sizeof record->boot, file))
        record->boot[0] = 0;
    record->boot[strcspn(record->boot, "\n")] = 0;
    if (file)
        fclose(file);
}

/* --- reading --- */

static bool read_hex(const char *text, uint8_t *to, size_t bytes)
{
    if (strlen(text) != 2 * bytes || strspn(text, "0123456789abcdef") != 2 * bytes)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return false;
        to[i] = (uint8_t)byte;
    }
    return true;
}

static bool read_session(const char *text, struct client_identity *session)
{
    char nonce[64], secret[64], cluster[64], end;
    return sscanf(text, "%" SCNu64 " %63s %63s %63s%c", &session->session, nonce, secret, cluster, &end) == 4 &&
           session->session && read_hex(nonce, session->nonce, sizeof session->nonce) &&
           read_hex(secret, session->secret, sizeof session->secret) &&
           read_hex(cluster, session->cluster, sizeof session->cluster);
}

/* Keys of a killed pactfs mean nothing to the next: only its own lines go by them. */
static void add_line(struct record *record, const struct record_holder *holder)
{
    struct line *line;
    HASH_FIND(hh, record->lines, &holder->key, sizeof holder->key, line);
    if (!line) {
        line = calloc(1, sizeof *line);
        assert(line);
        line->holder.key = holder->key;
        HASH_ADD(hh, record->lines, holder.key, sizeof line->holder.key, line);
    }
    line->holder = *holder;
}

static bool remove_line(struct record *record, uint64_t key)
{
    struct line *line;
    HASH_FIND(hh, record->lines, &key, sizeof key, line);
    if (!line)
        return false;
    HASH_DELETE(hh, record->lines, line);
    free(line);
    return true;
}

static bool read_holder(struct record *record, const char *text)
{
    struct record_holder holder;
    char end;
    if (sscanf(text, "+ %" SCNu64 " %d %d %" SCNu64 "%c", &holder.key, &holder.pid, &holder.group, &holder.noted,
               &end) == 4 &&
        holder.key && holder.pid > 0 && holder.group >= 0) {
        add_line(record, &holder);
        return true;
    }
    if (sscanf(text, "- %" SCNu64 "%c", &holder.key, &end) != 1)
        return false;
    remove_line(record, holder.key);
    return true;
}

/* Whether the text after a word is this one. */
static bool says(const char *text, const char *word, const char *what)
{
    size_t len = strlen(word);
    return !strncmp(text, word, len) && !strcmp(text + len, what);
}

static bool read_line(struct record *record, size_t number, const char *text)
{
    if (number == 0)
        return !strcmp(text, "pactfs-record 2");
    if (number == 1) {
        record->rebooted = !says(text, "boot ", record->boot);
        return !strncmp(text, "boot ", 5);
    }
    if (number == 2)
        return says(text, "servers ", record->servers);
    if (number == 3)
        return says(text, "mountpoint ", record->mountpoint);
    if (number == HEAD_LINES - 1)
        return !strncmp(text, "session ", 8) && read_session(text + 8, &record->former);
    return read_holder(record, text);
}

static void clear_lines(struct record *record)
{
    struct line *line, *next;
    HASH_ITER(hh, record->lines, line, next)
    {
        HASH_DELETE(hh, record->lines, line);
        free(line);
    }
}

/* What was noted goes over from the lines, which are this pactfs's own from now on. */
static void take_former(struct record *record)
{
    const struct line *line;
    record->former_holders = calloc(HASH_COUNT(record->lines) + 1, sizeof *record->former_holders);
    assert(record->former_holders);
    for (line = record->rebooted ? NULL : record->lines; line; line = line->hh.next)
        record->former_holders[record->former_count++] = line->holder;
    clear_lines(record);
}

static bool read_text(struct record *record, char *text)
{
    size_t number = 0;
    for (char *end; (end = strchr(text, '\n')); text = end + 1) {
        *end = 0;
        if (!read_line(record, number++, text))
            return false;
    }
    return number >= HEAD_LINES;
}

static bool read_file(struct record *record, int fd)
{
    struct stat stat_of;
    if (fstat(fd, &stat_of) || !S_ISREG(stat_of.st_mode) || stat_of.st_uid != geteuid() || (stat_of.st_mode & 077) ||
        stat_of.st_size > RECORD_BYTES)
        return false;
    size_t len = (size_t)stat_of.st_size;
    char *text = malloc(len + 1);
    assert(text);
    bool read_all = pread(fd, text, len, 0) == (ssize_t)len && !memchr(text, 0, len);
    text[len] = 0;
    read_all = read_all && read_text(record, text);
    free(text);
    return read_all;
}

/* One that was killed just now may not have ended yet. */
static int lock_file(int fd)
{
    const struct timespec wait = {.tv_nsec = LOCK_WAIT_MS * 1000000L};
    int code, tries = LOCK_TRIES;
    while ((code = flock(fd, LOCK_EX | LOCK_NB)) && errno == EWOULDBLOCK && --tries)
        nanosleep(&wait, NULL);
    return code;
}

/* The file that a killed pactfs left, locked; -1: there is none, or a living one has it. */
static int open_file(struct record *record)
{
    struct stat stat_of;
    int fd;
    do {
        fd = open(record->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
            return -1;
        if (lock_file(fd)) {
            log_line("who holds locks is not recorded: another pactfs is at %s", record->mountpoint);
            record->path[0] = 0;
            close(fd);
            return -1;
        }
        stat_of.st_nlink = 1;
        if (!fstat(fd, &stat_of) && !stat_of.st_nlink)
            close(fd); /* it was replaced just now */
    } while (!stat_of.st_nlink);
    return fd;
}

struct record *record_open(const char *servers, const char *mountpoint)
{
    struct record *record = calloc(1, sizeof *record);
    assert(record);
    record->servers = strdup(servers);
    record->mountpoint = strdup(mountpoint);
    assert(record->servers && record->mountpoint);
    pthread_mutex_init(&record->lock, NULL);
    find_boot(record);
    find_path(record);
    record->fd = record->path[0] ? open_file(record) : -1;
    if (record->fd >= 0 && read_file(record, record->fd)) {
        take_former(record);
    } else if (record->fd >= 0) {
        log_line("%s is no record of this mount: it is ignored", record->path);
        record->former = (struct client_identity){0};
        clear_lines(record);
    }
    return record;
}

void record_close(struct record *record, bool clean)
{
    if (!record)
        return;
    if (clean && record->begun && record->path[0])
        unlink(record->path);
    if (record->fd >= 0)
        close(record->fd);
    clear_lines(record);
    free(record->former_holders);
    free(record->servers);
    free(record->mountpoint);
    pthread_mutex_destroy(&record->lock);
    free(record);
}

const struct client_identity *record_former(const struct record *record)
{
    return &record->former;
}

size_t record_former_holders(const struct record *record, const struct record_holder **list)
{
    *list = record->former_holders;
    return record->former_count;
}

/* --- writing, locked --- */

static void print_hex(FILE *to, const uint8_t *bytes, size_t count)
{
    fputc(' ', to);
    for (size_t i = 0; i < count; i++)
        fprintf(to, "%02x", bytes[i]);
}

static void print_holder(FILE *to, const struct record_holder *holder)
{
    fprintf(to, "+ %" PRIu64 " %d %d %" PRIu64 "\n", holder->key, holder->pid, holder->group, holder->noted);
}

static bool print_all(const struct record *record, int fd)
{
    const struct line *line;
    int copy = dup(fd);
    FILE *to = copy < 0 ? NULL : fdopen(copy, "w");
    if (!to)
        return false;
    fprintf(to, "pactfs-record 2\nboot %s\nservers %s\nmountpoint %s\nsession %" PRIu64, record->boot, record->servers,
            record->mountpoint, record->session.session);
    print_hex(to, record->session.nonce, sizeof record->session.nonce);
    print_hex(to, record->session.secret, sizeof record->session.secret);
    print_hex(to, record->session.cluster, sizeof record->session.cluster);
    fputc('\n', to);
    for (line = record->lines; line; line = line->hh.next)
        print_holder(to, &line->holder);
    return fclose(to) == 0;
}

/* An old record is worse than none. */
static void give_up(struct record *record)
{
    log_line("who holds locks is not recorded any more: %s: %s", record->path, strerror(errno));
    unlink(record->path);
    if (record->fd >= 0)
        close(record->fd);
    record->fd = -1;
    record->path[0] = 0;
}

static void write_anew(struct record *record)
{
    if (!record->path[0])
        return;
    unlink(record->new_path);
    int fd = open(record->new_path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) || !print_all(record, fd) || rename(record->new_path, record->path)) {
        give_up(record);
        if (fd >= 0)
            close(fd);
        return;
    }
    if (record->fd >= 0)
        close(record->fd);
    record->fd = fd;
    record->written = HASH_COUNT(record->lines);
}

static void append(struct record *record, const char *text, size_t len)
{
    if (!record->begun || record->fd < 0)
        return;
    if (++record->written > 2 * HASH_COUNT(record->lines) + NEEDLESS_LINES)
        write_anew(record);
    else if (write(record->fd, text, len) != (ssize_t)len)
        give_up(record);
}

void record_begin(struct record *record, const struct client_identity *session)
{
    pthread_mutex_lock(&record->lock);
    bool known = record->begun && record->session.session == session->session;
    record->begun = true;
    record->session = *session;
    if (!known)
        write_anew(record);
    pthread_mutex_unlock(&record->lock);
}

void record_add(struct record *record, const struct record_holder *holder)
{
    char text[128];
    int len = snprintf(text, sizeof text, "+ %" PRIu64 " %d %d %" PRIu64 "\n", holder->key, holder->pid, holder->group,
                       holder->noted);
    pthread_mutex_lock(&record->lock);
    add_line(record, holder);
    append(record, text, (size_t)len);
    pthread_mutex_unlock(&record->lock);
}

void record_remove(struct record *record, uint64_t key)
{
    char text[64];
    int len = snprintf(text, sizeof text, "- %" PRIu64 "\n", key);
    pthread_mutex_lock(&record->lock);
    if (remove_line(record, key))
        append(record, text, (size_t)len);
    pthread_mutex_unlock(&record->lock);
}
