/* psctl region create | list | delete. */
#include "cli/ctl.h"

#include <inttypes.h>
#include <stdlib.h>

static enum ps_exit
region_create(struct ps_ctl *ctl)
{
    json_auto_t *region = NULL, *body = json_object();
    const char *description = ps_ctl_value(ctl, "description");
    json_object_set_new(body, "name", json_string(ps_ctl_operand(ctl, 0)));
    if (description)
        json_object_set_new(body, "description", json_string(description));
    enum ps_exit rc = ps_ctl_call(ctl, "POST", "/v1/regions", body, &region);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json)
        ps_ctl_print_json(ctl, region);
    ps_ctl_note(ctl,
                "Region `%s` is there. Add an agent with `psctl agent "
                "join-token --region %s`.",
                ps_json_text(region, "name"), ps_json_text(region, "name"));
    return PS_EXIT_OK;
}

static enum ps_exit
region_list(struct ps_ctl *ctl)
{
    static const struct ps_column columns[] = {
        PS_LEFT("NAME"), PS_RIGHT("AGENTS"), PS_RIGHT("CONNECTED"),
        PS_LEFT("CREATED"), PS_LEFT("DESCRIPTION")};
    char time[PS_VALUE_MAX];
    json_auto_t *items = NULL;
    enum ps_exit rc = ps_ctl_list(ctl, "/v1/regions", &items);
    if (rc != PS_EXIT_OK || ps_ctl_print_list(ctl, items, "name"))
        return rc;
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *r = json_array_get(items, i);
        int64_t agents = ps_json_int(r, "agents");
        int64_t connected = ps_json_int(r, "connected");
        ps_table_add(table, PS_TINT_NONE, ps_json_text(r, "name"));
        ps_table_addf(table, PS_TINT_NONE, "%" PRId64, agents);
        ps_table_addf(table, connected < agents ? PS_TINT_WARN : PS_TINT_NONE,
                      "%" PRId64, connected);
        ps_value_format_time(ps_json_text(r, "createdAt"), time);
        ps_table_add(table, PS_TINT_NONE, time);
        ps_table_add(table, PS_TINT_NONE, ps_json_text(r, "description"));
    }
    ps_ctl_print_table(table);
    ps_table_free(&table);
    return PS_EXIT_OK;
}

static enum ps_exit
region_delete(struct ps_ctl *ctl)
{
    const char *name = ps_ctl_operand(ctl, 0);
    if (!ps_ctl_confirm(ctl, "Delete the region `%s`?", name))
        return PS_EXIT_FAILED;
    char *path = ps_ctl_path("/v1/regions/", name, "");
    enum ps_exit rc = ps_ctl_call(ctl, "DELETE", path, NULL, NULL);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        json_auto_t *done = json_pack("{s:s,s:b}", "name", name, "deleted", 1);
        ps_ctl_print_json(ctl, done);
    }
    ps_ctl_note(ctl, "Region `%s` is deleted.", name);
    return PS_EXIT_OK;
}

/* clang-format off */
static const struct ps_option create_options[] = {
    {.name = "description", .value = "TEXT", .help = "for people"},
    {.name = NULL},
};
static const struct ps_option delete_options[] = {
    {.name = "yes", .help = "do not ask"},
    {.name = NULL},
};

const struct ps_command ps_region_commands[] = {
    {
        .name = "region create",
        .synopsis = "NAME [--description TEXT]",
        .summary = "add a region",
        .details =
            "NAME has small letters, digits and dashes, at most 32: eu-west.",
        .options = create_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = region_create,
    },
    {
        .name = "region list",
        .synopsis = "",
        .summary = "list the regions",
        .run = region_list,
    },
    {
        .name = "region delete",
        .synopsis = "NAME [--yes]",
        .summary = "remove a region that has no agents",
        .options = delete_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = region_delete,
    },
    {.name = NULL},
};
/* clang-format on */
