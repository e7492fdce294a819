/* crash_check DIR LOGS WRITERS - compares what crash_writer noted with what is in the mount (crash.h).
 *
 * Prints one line: acknowledged, refused and unknown steps, and the faults: lost (acknowledged and not there), twice
 * (there more than once), undead (refused and there, or removed and there), torn (a content nobody wrote). Exit 1 if
 * there is any fault. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/mount/crash.h"

struct writer {
    const char *dir;
    int number;
    long steps;         /* noted */
    char *outcome;      /* by step; 0: not tried */
    unsigned *queued;   /* by step: how often it is in DIR/queue */
    unsigned *appended; /* by step: how often it is in the log */
};

struct tally {
    unsigned long acknowledged, refused, unknown;
    unsigned long lost, twice, undead, torn, fault;
};

enum { STEPS_MAX = 1 << 24 };

static bool read_log(struct writer *writer, const char *logs)
{
    char path[PATH_MAX], outcome;
    snprintf(path, sizeof path, "%s/%d", logs, writer->number);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    long k, room = 0;
    int error;
    while (fscanf(file, "%ld %c %d", &k, &outcome, &error) == 3 && k >= 0 && k < STEPS_MAX) {
        for (; k >= room; room += 4096) {
            writer->outcome = realloc(writer->outcome, (size_t)room + 4096);
            memset(writer->outcome + room, 0, 4096);
        }
        writer->outcome[k] = outcome;
        writer->steps = k + 1;
    }
    fclose(file);
    /* Steps beyond the last noted cannot be: each is noted before the next is begun. */
    writer->queued = calloc((size_t)writer->steps + 1, sizeof *writer->queued);
    writer->appended = calloc((size_t)writer->steps + 1, sizeof *writer->appended);
    return true;
}

/* done: how often the step is found. */
static void judge(struct tally *tally, char outcome, unsigned long done)
{
    if (done > 1)
        tally->twice++;
    if (outcome == '+' && done == 0)
        tally->lost++;
    if (outcome != '+' && outcome != '?' && done > 0)
        tally->undead++;
}

static bool there(const struct writer *writer, const char *name, long k)
{
    char path[PATH_MAX];
    struct stat attr;
    snprintf(path, sizeof path, "%s/%d/%s%ld", writer->dir, writer->number, name, k);
    return lstat(path, &attr) == 0;
}

/* The number in a value file, or -1: missing, or -2: not what one write left. */
static long read_value(const struct writer *writer, const char *name, long k)
{
    char path[PATH_MAX], value[VALUE_BYTES + 1] = "", expected[VALUE_BYTES + 1];
    int len = snprintf(path, sizeof path, "%s/%d/%s", writer->dir, writer->number, name);
    if (k >= 0)
        snprintf(path + len, sizeof path - (size_t)len, "%ld", k);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    size_t got = fread(value, 1, sizeof value, file);
    fclose(file);
    long number = atol(value);
    snprintf(expected, sizeof expected, "%-*ld", VALUE_BYTES - 1, number);
    expected[VALUE_BYTES - 1] = '\n';
    return got == VALUE_BYTES && memcmp(value, expected, VALUE_BYTES) == 0 ? number : -2;
}

static char outcome_at(const struct writer *writer, long k)
{
    return k < writer->steps ? writer->outcome[k] : 0;
}

static void check_created(const struct writer *writer, struct tally *tally, long k)
{
    char removed = outcome_at(writer, k + (STEP_UNLINK - STEP_CREATE));
    long value = read_value(writer, "f-", k);
    if (value != -1 && value != k)
        tally->torn++;
    if (removed == '+')
        tally->undead += value != -1;
    else if (removed != '?' || value != -1)
        judge(tally, writer->outcome[k], value != -1);
}

static void check_made(const struct writer *writer, struct tally *tally, long k)
{
    char renamed = outcome_at(writer, k + 1);
    bool before = there(writer, "d-", k), after = there(writer, "e-", k);
    judge(tally, writer->outcome[k], (unsigned long)before + after);
    if (renamed == '+' && before)
        tally->undead++;
    if (renamed != '+' && renamed != '?' && after)
        tally->undead++;
}

/* The value is that of the last acknowledged replacement, or of a later one whose outcome is not known. */
static void check_replaced(const struct writer *writer, struct tally *tally)
{
    long value = read_value(writer, "value", -1), last = -1;
    for (long k = 0; k < writer->steps; k++)
        if (k % STEPS == STEP_REPLACE && writer->outcome[k] == '+')
            last = k;
    if (value == -2)
        tally->torn++;
    else if (value < last)
        tally->lost++;
    else if (value > last && outcome_at(writer, value) != '?')
        tally->undead++;
}

static void read_appended(const struct writer *writer, struct tally *tally)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%d/log", writer->dir, writer->number);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    long k, before = -1;
    while (fscanf(file, "%ld", &k) == 1) {
        tally->torn += k < before; /* out of order */
        before = k;
        if (k < 0 || k >= writer->steps)
            tally->torn++;
        else
            writer->appended[k]++;
    }
    fclose(file);
}

/* Every name of DIR/queue is SEQUENCE-W-K. */
static void read_queue(struct writer *writers, int count, struct tally *tally)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/queue", writers[0].dir);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        perror(path);
        exit(1);
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int number;
        long sequence, k;
        if (entry->d_name[0] == '.')
            continue;
        if (sscanf(entry->d_name, "%10ld-%d-%ld", &sequence, &number, &k) != 3 || number < 0 || number >= count ||
            k < 0 || k >= writers[number].steps)
            tally->torn++;
        else
            writers[number].queued[k]++;
    }
    closedir(dir);
}

static void count_outcome(struct tally *tally, char outcome)
{
    tally->acknowledged += outcome == '+';
    tally->refused += outcome == '-';
    tally->unknown += outcome == '?';
    tally->fault += outcome == '!';
}

static void check_writer(const struct writer *writer, struct tally *tally)
{
    read_appended(writer, tally);
    check_replaced(writer, tally);
    for (long k = 0; k < writer->steps; k++) {
        count_outcome(tally, writer->outcome[k]);
        if (k % STEPS == STEP_QUEUE)
            judge(tally, writer->outcome[k], writer->queued[k]);
        else if (k % STEPS == STEP_CREATE)
            check_created(writer, tally, k);
        else if (k % STEPS == STEP_APPEND)
            judge(tally, writer->outcome[k], writer->appended[k]);
        else if (k % STEPS == STEP_MKDIR)
            check_made(writer, tally, k);
    }
}

int main(int argc, char **argv)
{
    int count = argc == 4 ? atoi(argv[3]) : 0;
    if (count < 1 || count > WRITERS_MAX) {
        fprintf(stderr, "usage: crash_check DIR LOGS WRITERS\n");
        return 2;
    }
    struct writer writers[WRITERS_MAX] = {0};
    struct tally tally = {0};
    for (int i = 0; i < count; i++) {
        writers[i] = (struct writer){.dir = argv[1], .number = i};
        if (!read_log(&writers[i], argv[2])) {
            fprintf(stderr, "crash_check: no log of writer %d\n", i);
            return 1;
        }
    }
    read_queue(writers, count, &tally);
    for (int i = 0; i < count; i++) {
        check_writer(&writers[i], &tally);
        free(writers[i].outcome);
        free(writers[i].queued);
        free(writers[i].appended);
    }
    printf("acknowledged %lu refused %lu unknown %lu lost %lu twice %lu undead %lu torn %lu fault %lu\n",
           tally.acknowledged, tally.refused, tally.unknown, tally.lost, tally.twice, tally.undead, tally.torn,
           tally.fault);
    return tally.lost + tally.twice + tally.undead + tally.torn + tally.fault != 0 || tally.acknowledged == 0;
}
