#include "fs/pactfs/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/client/duration.h"
#include "fs/client/servers.h"

/* What the options point into lives as long as the process, however many -o there are. */
static void keep(char *list)
{
    static char *kept[64];
    static size_t count;
    if (count < sizeof kept / sizeof kept[0])
        kept[count++] = list;
}

static const char help[] =
    "Usage: pactfs SERVERS MOUNTPOINT [-f] [-o OPTION,...]\n"
    "\n"
    "Mounts the namespace that SERVERS keep. It returns when the mount answers.\n"
    "  SERVERS            HOST:CLIENTPORT[,...], or embedded:DIR for a replica inside this process\n"
    "  -f                 stay in the foreground and log to stderr\n"
    "  --help, --version\n"
    "\n"
    "Options after -o:\n"
    "  session_timeout=TIME   how long ephemerals outlive a silent host (1s to 300s; 10s)\n"
    "  op_timeout=TIME        how long a write waits for its result (10s)\n"
    "  root=/DIR              mount this directory of the namespace\n"
    "  consistency=LEVEL      sequential (the default), or linearizable: every open waits for all that was done "
    "before\n"
    "  key=FILE               the cluster's mount.key\n"
    "  lost=SIGNAL            also signal the processes that lost a lock or an ephemeral with the session (SIGTERM, "
    "15 ...)\n"
    "  templates=off          take tokens such as {seq} in names literally\n"
    "  ro                     refuse every change\n"
    "Those of mount(8) that need nothing from a filesystem (noexec, noatime, _netdev ...) are taken as well.\n"
    "\n"
    "Exit status: 0 after umount or SIGTERM, 1 if it cannot mount or go on, 2 for a bad option or value.\n";

__attribute__((format(printf, 1, 2), noreturn)) static void usage_error(const char *format, ...)
{
    va_list args;
    fputs("pactfs: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

/* `ps` shows the original, as it is or as options_set_title changes it. */
static char *kept_copy(const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        usage_error("no memory");
    keep(copy);
    return copy;
}

/* A daemon leaves its working directory, and its next worker starts from there. The directory need not exist yet. */
static const char *absolute(const char *path)
{
    char here[PATH_MAX], whole[2 * PATH_MAX];
    if (*path == '/')
        return path;
    if (!getcwd(here, sizeof here))
        usage_error("%s: the working directory is not known: %s", path, strerror(errno));
    if (snprintf(whole, sizeof whole, "%s/%s", here, path) >= (int)sizeof whole)
        usage_error("%s: the path is too long", path);
    return kept_copy(whole);
}

static uint32_t read_time(const char *name, const char *value, uint64_t min_ms, uint64_t max_ms)
{
    uint64_t ms;
    if (duration_parse(value, strlen(value), &ms))
        usage_error("%s=%s: not a time such as 500ms, 10s or 5m", name, value);
    if (ms < min_ms || ms > max_ms)
        usage_error("%s=%s: must be between %llus and %llus", name, value, (unsigned long long)min_ms / 1000,
                    (unsigned long long)max_ms / 1000);
    return (uint32_t)ms;
}

static bool read_choice(const char *name, const char *value, const char *no, const char *yes)
{
    if (strcmp(value, yes) && strcmp(value, no))
        usage_error("%s=%s: must be %s or %s", name, value, no, yes);
    return !strcmp(value, yes);
}

/* A signal by name, with or without SIG, or by number. */
static int read_signal(const char *name, const char *value)
{
    const char *word = strncmp(value, "SIG", 3) ? value : value + 3;
    for (int number = 1; number < NSIG; number++) {
        const char *its = sigabbrev_np(number);
        char digits[16];
        snprintf(digits, sizeof digits, "%d", number);
        if ((its && !strcmp(word, its)) || !strcmp(value, digits))
            return number;
    }
    usage_error("%s=%s: no such signal", name, value);
}

/* Our own options with a value. */
static bool read_own(struct options *options, const char *name, const char *value)
{
    struct mount_options *mount = &options->mount;
    if (!strcmp(name, "session_timeout"))
        mount->session_timeout_ms = read_time(name, value, LIMIT_SESSION_TIMEOUT_MIN_MS, LIMIT_SESSION_TIMEOUT_MAX_MS);
    else if (!strcmp(name, "op_timeout"))
        mount->op_timeout_ms = read_time(name, value, 1000, 3600 * 1000);
    else if (!strcmp(name, "root"))
        mount->root = value;
    else if (!strcmp(name, "consistency"))
        mount->linearizable = read_choice(name, value, "sequential", "linearizable");
    else if (!strcmp(name, "templates"))
        mount->literal = !read_choice(name, value, "off", "on");
    else if (!strcmp(name, "lost"))
        mount->lost = read_signal(name, value);
    else if (!strcmp(name, "key"))
        options->key = value;
    else
        return false;
    if (mount->root && *mount->root != '/')
        usage_error("root=%s: must begin with /", mount->root);
    return true;
}

/* Options of mount(8): those the kernel acts on are passed on; the rest are for mount and systemd. */
static bool read_standard(const char *name, char *flags, size_t cap)
{
    static const char *const passed[] = {"noexec", "noatime", "sync", "dirsync"};
    static const char *const ignored[] = {"rw",    "suid",     "nosuid",   "dev",    "nodev",   "exec",       "atime",
                                          "async", "relatime", "auto",     "noauto", "user",    "nouser",     "users",
                                          "owner", "group",    "defaults", "nofail", "_netdev", "allow_other"};
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        if (!strcmp(name, passed[i])) {
            snprintf(flags + strlen(flags), cap - strlen(flags), ",%s", name);
            return true;
        }
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        if (!strcmp(name, ignored[i]))
            return true;
    return !strncmp(name, "x-", 2) || !strncmp(name, "comment=", 8) || !strncmp(name, "user=", 5);
}

static void read_option(struct options *options, char *option, char *flags, size_t cap)
{
    if (!*option)
        return;
    if (!strcmp(option, "ro")) {
        options->mount.read_only = true;
        return;
    }
    if (read_standard(option, flags, cap))
        return;
    char *value = strchr(option, '=');
    if (value) {
        *value++ = 0;
        if (*value && read_own(options, option, value))
            return;
    }
    usage_error("no such option, or no value: -o %s (see --help)", option);
}

/* The values live as long as the process; a copy, as `ps` shows the original. */
static void read_list(struct options *options, const char *list)
{
    static char flags[256];
    char *copy = kept_copy(list);
    options->mount.flags = flags;
    for (char *rest = copy, *option; (option = strsep(&rest, ","));)
        read_option(options, option, flags, sizeof flags);
}

/* Every address must be one, before anything is tried. */
static void check_servers(const char *servers)
{
    struct servers list;
    char text[256];
    if (servers_parse(&list, servers, 0, text, sizeof text))
        usage_error("%s", text);
}

/* Where the command line stands, for options_set_title. */
static char *title, *title_end;

void options_set_title(const struct options *options, const char *word)
{
    size_t room = (size_t)(title_end - title);
    memset(title, 0, room);
    snprintf(title, room, "%s %s", word, options->mountpoint);
}

void options_read(int argc, char **argv, struct options *options)
{
    static const struct option long_options[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
    *options = (struct options){.mount = {.root = "/", .flags = ""}};
    for (int option; (option = getopt_long(argc, argv, "fho:V", long_options, NULL)) != -1;) {
        if (option == 'h' || option == 'V') {
            fputs(option == 'h' ? help : "pactfs " PACT_VERSION "\n", stdout);
            exit(0);
        } else if (option == 'f') {
            options->foreground = true;
        } else if (option == 'o') {
            read_list(options, optarg);
        } else {
            exit(2); /* getopt has said it */
        }
    }
    options->mount.background = !options->foreground;
    if (argc - optind != 2)
        usage_error("usage: pactfs SERVERS MOUNTPOINT [-f] [-o OPTION,...] (see --help)");
    options->servers = kept_copy(argv[optind]);
    options->mountpoint = kept_copy(argv[optind + 1]);
    title = argv[0];
    title_end = argv[argc - 1] + strlen(argv[argc - 1]);
    options->mount.name = options->servers;
    if (strncmp(options->servers, "embedded:", 9))
        check_servers(options->servers);
    else if (!options->servers[9])
        usage_error("embedded: needs a directory");
    else
        options->directory = absolute(options->servers + 9);
    if (options->directory && options->key)
        usage_error("key=%s: an embedded replica makes its own", options->key);
    char text[512];
    if (options->key && keys_read(options->key, &options->mount.keys, text, sizeof text))
        usage_error("key=%s: %s", options->key, text);
}
