/* psctl audit: who changed what. */
#include "cli/ctl.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    MAX_ENTRIES = 20000 /* as many as are kept */
};

static enum ps_exit
audit(struct ps_ctl *ctl)
{
    static const struct ps_column columns[] = {
        PS_RIGHT("NUMBER"), PS_LEFT("AT"), PS_LEFT("TOKEN"), PS_LEFT("CALL"),
        PS_RIGHT("STATUS")};
    char time[PS_VALUE_MAX], *end;
    const char *limit = ps_ctl_value(ctl, "limit");
    json_auto_t *reply = NULL;
    long max = limit ? strtol(limit, &end, 10) : 50;
    if (limit && (limit[0] < '0' || limit[0] > '9' || *end || max < 1 ||
                  max > MAX_ENTRIES))
        return ps_ctl_bad_value(ctl, "limit", "a number from 1 to 20000");
    enum ps_exit rc = ps_ctl_pages(ctl, "/v1/audit", (size_t)max, &reply);
    const json_t *items = json_object_get(reply, "items");
    if (rc != PS_EXIT_OK || ps_ctl_print_list(ctl, items, "number"))
        return rc;
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *e = json_array_get(items, i);
        int64_t status = ps_json_int(e, "status");
        ps_table_addf(table, PS_TINT_DIM, "%" PRId64, ps_json_int(e, "number"));
        ps_value_format_time(ps_json_text(e, "at"), time);
        ps_table_add(table, PS_TINT_NONE, time);
        ps_table_add(table, PS_TINT_NONE, ps_json_text(e, "tokenName"));
        ps_table_addf(table, PS_TINT_NONE, "%s %s", ps_json_text(e, "method"),
                      ps_json_text(e, "path"));
        if (status)
            ps_table_addf(table, status < 300 ? PS_TINT_GOOD : PS_TINT_BAD,
                          "%" PRId64, status);
        else
            ps_table_add(table, PS_TINT_WARN, "unknown");
    }
    ps_ctl_print_table(table);
    ps_table_free(&table);
    return PS_EXIT_OK;
}

/* clang-format off */
static const struct ps_option options[] = {
    {.name = "limit", .value = "N", .help = "how many of the newest; default 50"},
    {.name = NULL},
};

const struct ps_command ps_audit_commands[] = {
    {
        .name = "audit",
        .synopsis = "[--limit N]",
        .summary = "show who changed what, newest first",
        .details =
            "With --json each entry has what stood there before and after. "
            "Takes a token of an admin.",
        .options = options,
        .run = audit,
    },
    {.name = NULL},
};
/* clang-format on */
