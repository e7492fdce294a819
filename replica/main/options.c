#include "replica/main/options.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "replica/net/port.h"
#include "replica/pactd/report.h"
#include "replica/state/state.h"

static const char help[] =
    "Usage: pactd --id N --data DIR --ensemble ID=HOST:PEERPORT:CLIENTPORT[,...]\n"
    "             [--key FILE] [--config FILE] [--log-level LEVEL] [--state-version N]\n"
    "             [--silence MS] [--snapshot-every N] [--adopt]\n"
    "\n"
    "A replica of pactfs: keeps the namespace, its log and snapshots, and serves mounts.\n"
    "It stays in the foreground, logs to stderr and ends cleanly on SIGTERM, SIGINT or SIGHUP.\n"
    "\n"
    "  --id N             which member of the ensemble this replica is (1 to 255)\n"
    "  --data DIR         where log and snapshots are kept; made if missing\n"
    "  --ensemble LIST    all members; IPv6 addresses in brackets: 1=[::1]:7281:7181\n"
    "  --key FILE         replica.key of `pactctl keygen`; needed unless every address is loopback\n"
    "  --state-version N  do not go beyond this version of the semantics, though the program could: for\n"
    "                     an upgrade that can still be undone\n"
    "  --silence MS       a member that has been silent this long counts as down (150; 50 to 30000): for\n"
    "                     networks with longer delays; all the ensemble's other waits follow it\n"
    "  --snapshot-every N\n"
    "                     makes a snapshot after so many entries of the log, from which the next start\n"
    "                     begins (100000; 100 to 10000000)\n"
    "  --adopt            takes over a data directory of another replica, or of an ensemble of other\n"
    "                     members: what these acknowledged may be lost\n"
    "  --config FILE      lines of `name = value` with the names above; the command line wins\n"
    "  --log-level LEVEL  error, warn, info (the default) or debug\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 after SIGTERM, SIGINT or SIGHUP, 1 if it cannot go on, 2 for a bad option or value.\n";

/* As given; NULL: not given. */
struct raw {
    char *id, *data, *ensemble, *key, *config, *log_level, *state_version, *silence, *snapshot_every;
    bool adopt; /* on the command line only: it is meant once */
};

static const struct setting {
    const char *name;
    size_t at; /* of its field in struct raw */
} settings[] = {{"id", offsetof(struct raw, id)},
                {"data", offsetof(struct raw, data)},
                {"ensemble", offsetof(struct raw, ensemble)},
                {"key", offsetof(struct raw, key)},
                {"config", offsetof(struct raw, config)},
                {"log-level", offsetof(struct raw, log_level)},
                {"state-version", offsetof(struct raw, state_version)},
                {"silence", offsetof(struct raw, silence)},
                {"snapshot-every", offsetof(struct raw, snapshot_every)}};
enum { SETTINGS = sizeof settings / sizeof *settings };

__attribute__((format(printf, 1, 2), noreturn)) static void usage_error(const char *format, ...)
{
    va_list args;
    fputs("pactd: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

static char **field_of(struct raw *raw, const struct setting *setting)
{
    return (char **)(void *)((char *)raw + setting->at);
}

static char **raw_field(struct raw *raw, const char *name)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (strcmp(name, settings[i].name) == 0)
            return field_of(raw, &settings[i]);
    return NULL;
}

/* --- the two sources --- */

static void read_command_line(int argc, char **argv, struct raw *raw)
{
    struct option options[SETTINGS + 4] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {"adopt", no_argument, NULL, 'a'}};
    for (size_t i = 0; i < SETTINGS; i++)
        options[3 + i] = (struct option){settings[i].name, required_argument, NULL, 0};
    static char name[] = "pactd";
    int index = 0;
    argv[0] = name; /* as getopt calls it */
    for (int option; (option = getopt_long(argc, argv, "", options, &index)) != -1;) {
        if (option == 'h' || option == 'V') {
            fputs(option == 'h' ? help : "pactd " PACT_VERSION "\n", stdout);
            exit(0);
        }
        if (option == 'a')
            raw->adopt = true;
        else if (option == 0)
            *raw_field(raw, options[index].name) = optarg;
        else
            exit(2); /* getopt has said it */
    }
    if (optind < argc)
        usage_error("not an option: %s (see --help)", argv[optind]);
}

struct config {
    struct raw raw;
    char unknown[64];
};

static int on_setting(void *arg, const char *section, const char *name, const char *value)
{
    struct config *config = arg;
    char **field = *section ? NULL : raw_field(&config->raw, name);
    if (!field || field == &config->raw.config || *field) {
        if (!*config->unknown) /* the first: it is the line that is told */
            snprintf(config->unknown, sizeof config->unknown, "%s%s%s", section, *section ? "." : "", name);
        return 0;
    }
    *field = strdup(value);
    return *field != NULL;
}

/* What ini_parse_file returns: a line's number, or 0. A directory can be opened, and fails when it is read. */
static int parse_config(const char *path, struct config *config)
{
    struct stat stat;
    FILE *file = fopen(path, "r");
    if (!file || fstat(fileno(file), &stat) != 0)
        usage_error("--config: %s: %s", path, strerror(errno));
    if (S_ISCHR(stat.st_mode) || S_ISBLK(stat.st_mode) || stat.st_size > LIMIT_CONFIG_BYTES)
        usage_error("--config: %s: a device, or larger than %u bytes", path, LIMIT_CONFIG_BYTES);
    int line = ini_parse_file(file, on_setting, config);
    if (ferror(file))
        usage_error("--config: %s: %s", path, strerror(errno));
    fclose(file);
    return line;
}

static void read_config(struct raw *raw)
{
    struct config config = {0};
    int line = parse_config(raw->config, &config);
    if (line > 0 && *config.unknown)
        usage_error("%s, line %d: unknown or repeated: %s", raw->config, line, config.unknown);
    if (line > 0)
        usage_error("%s, line %d: not `name = value`", raw->config, line);
    for (size_t i = 0; i < SETTINGS; i++) {
        char **given = field_of(raw, &settings[i]), *configured = *field_of(&config.raw, &settings[i]);
        if (*given)
            free(configured);
        else
            *given = configured;
    }
}

/* --- the values --- */

static int by_id(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

static void take_ensemble(const struct raw *raw, struct options *options)
{
    char text[200];
    if (!raw->ensemble)
        usage_error("--ensemble is missing");
    if (ensemble_parse(raw->ensemble, options->members, &options->member_count, text, sizeof text) != ERR_OK)
        usage_error("--ensemble: %s", text);
    if (options->member_count % 2 == 0)
        usage_error("--ensemble: must have 1, 3, 5 or 7 members, not %zu", options->member_count);
    qsort(options->members, options->member_count, sizeof *options->members, by_id);
    for (size_t i = 0; i < options->member_count; i++) {
        const struct member *member = &options->members[i];
        if (member->id == options->id)
            options->self = member;
        if (options->member_count > 1 && member->peer_port == 0)
            usage_error("--ensemble: member %u needs a port for its peers", member->id);
        snprintf(options->addresses[i], sizeof options->addresses[i], "%s:%u", member->host, member->client_port);
        snprintf(options->peer_addresses[i], sizeof options->peer_addresses[i], "%s:%u", member->host,
                 member->peer_port);
    }
    if (!options->self)
        usage_error("--ensemble has no member %u", options->id);
}

static void take_key(const struct raw *raw, struct options *options)
{
    char text[512];
    for (size_t i = 0; !raw->key && i < options->member_count; i++)
        if (!address_is_loopback(options->addresses[i]))
            usage_error("%s is not a loopback address: a --key is needed", options->addresses[i]);
    if (!raw->key)
        return;
    if (keys_read(raw->key, &options->keys, text, sizeof text) != ERR_OK)
        usage_error("--key: %s", text);
    if (!options->keys.replica)
        usage_error("--key: %s is the key of mounts; a replica needs replica.key", raw->key);
}

void options_read(int argc, char **argv, struct options *options)
{
    static struct raw raw; /* owns the file's values for the process's life */
    enum report_level level;
    *options = (struct options){0};
    read_command_line(argc, argv, &raw);
    if (raw.config)
        read_config(&raw);
    if (!raw.id)
        usage_error("--id is missing");
    if (!number_parse(raw.id, 1, 255, &options->id))
        usage_error("--id: not a number from 1 to 255: %s", raw.id);
    if (!raw.data || !*raw.data)
        usage_error("--data is missing");
    if (raw.log_level && !report_parse_level(raw.log_level, &level))
        usage_error("--log-level: not error, warn, info or debug: %s", raw.log_level);
    if (raw.state_version &&
        !number_parse(raw.state_version, STATE_VERSION_MIN, STATE_VERSION, &options->state_version_max))
        usage_error("--state-version: not a number from %d to %d: %s", STATE_VERSION_MIN, STATE_VERSION,
                    raw.state_version);
    if (raw.silence && !number_parse(raw.silence, SILENCE_MIN_MS, SILENCE_MAX_MS, &options->silence_ms))
        usage_error("--silence: not a number of milliseconds from %d to %d: %s", SILENCE_MIN_MS, SILENCE_MAX_MS,
                    raw.silence);
    if (raw.snapshot_every &&
        !number_parse(raw.snapshot_every, SNAPSHOT_EVERY_MIN, SNAPSHOT_EVERY_MAX, &options->snapshot_every))
        usage_error("--snapshot-every: not a number of entries from %d to %d: %s", SNAPSHOT_EVERY_MIN,
                    SNAPSHOT_EVERY_MAX, raw.snapshot_every);
    options->data = raw.data;
    options->adopt = raw.adopt;
    options->log_level = raw.log_level;
    take_ensemble(&raw, options);
    take_key(&raw, options);
}
