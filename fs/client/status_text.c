/* What STATUS says, as text for people. */
#include <inttypes.h>
#include <stdio.h>

#include "fs/client/client.h"

static void print_member(FILE *to, const struct message_member *member, bool self)
{
    char zxid[24] = "-", lag[24] = "-";
    if (member->zxid != 0)
        snprintf(zxid, sizeof zxid, "0x%" PRIx64, member->zxid);
    if (member->lag >= 0)
        snprintf(lag, sizeof lag, "%" PRId64, member->lag);
    bool told = member->role.len != sizeof "unreachable" - 1; /* the only role of this length */
    fprintf(to, "%3" PRIu32 "%c %-14.*s %-18s %8s  %.*s%s\n", member->id, self ? '*' : ' ', (int)member->role.len,
            (const char *)member->role.at, zxid, lag, (int)member->address.len, (const char *)member->address.at,
            told && !member->reachable ? "  (not reached from here)" : "");
}

/* Who keeps the ensemble at an old version while others know a newer one. */
static void print_held(FILE *to, const struct message_status *status)
{
    bool newer = false;
    for (size_t i = 0; i < status->member_count; i++)
        newer |= status->members[i].state_version_max > status->state_version;
    for (size_t i = 0; newer && i < status->member_count; i++) {
        const struct message_member *member = &status->members[i];
        if (member->state_version_max != 0 && member->state_version_max <= status->state_version)
            fprintf(to, "replica %" PRIu32 " knows no later state version than %" PRIu32 "\n", member->id,
                    member->state_version_max);
    }
}

void status_print_members(FILE *to, const struct message_status *status)
{
    fprintf(to, "%3s  %-14s %-18s %8s  %s\n", "ID", "ROLE", "ZXID", "LAG", "ADDRESS");
    for (size_t i = 0; i < status->member_count; i++)
        print_member(to, &status->members[i], status->members[i].id == status->replica);
    print_held(to, status);
}
