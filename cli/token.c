/* psctl token create | list | revoke. */
#include "cli/ctl.h"

#include <stdio.h>
#include <stdlib.h>

/* --cache NAME,NAME: as ids. */
static enum ps_exit
add_caches(struct ps_ctl *ctl, json_t *body)
{
    const char *names = ps_ctl_value(ctl, "cache");
    if (!names)
        return PS_EXIT_OK;
    json_t *ids = json_array();
    json_object_set_new(body, "caches", ids);
    while (*names) {
        char name[128];
        json_auto_t *cache = NULL;
        size_t len = strcspn(names, ",");
        snprintf(name, sizeof(name), "%.*s", (int)PS_MIN(len, 127u), names);
        enum ps_exit rc = ps_ctl_find(ctl, "/v1/caches", "cache", name, &cache);
        if (rc != PS_EXIT_OK)
            return rc;
        json_array_append(ids, json_object_get(cache, "id"));
        names += len + (names[len] == ',');
    }
    return PS_EXIT_OK;
}

static enum ps_exit
token_create(struct ps_ctl *ctl)
{
    json_auto_t *made = NULL, *body = json_object();
    const char *role = ps_ctl_value(ctl, "role");
    json_object_set_new(body, "name", json_string(ps_ctl_operand(ctl, 0)));
    if (role)
        json_object_set_new(body, "role", json_string(role));
    enum ps_exit rc = add_caches(ctl, body);
    if (rc != PS_EXIT_OK)
        return rc;
    rc = ps_ctl_call(ctl, "POST", "/v1/tokens", body, &made);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        ps_ctl_print_json(ctl, made);
        return PS_EXIT_OK;
    }
    puts(ps_json_text(made, "token"));
    ps_ctl_note(ctl, "It is shown this once; keep it in a safe place.");
    return PS_EXIT_OK;
}

static enum ps_exit
token_list(struct ps_ctl *ctl)
{
    static const struct ps_column columns[] = {
        PS_LEFT("NAME"),    PS_LEFT("ROLE"),      PS_LEFT("CACHES"),
        PS_LEFT("CREATED"), PS_LEFT("LAST USED"), PS_LEFT("ID")};
    char time[PS_VALUE_MAX];
    json_auto_t *items = NULL;
    enum ps_exit rc = ps_ctl_list(ctl, "/v1/tokens", &items);
    if (rc != PS_EXIT_OK || ps_ctl_print_list(ctl, items, "id"))
        return rc;
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *t = json_array_get(items, i);
        const json_t *caches = json_object_get(t, "caches");
        ps_table_add(table, PS_TINT_NONE, ps_json_text(t, "name"));
        ps_table_add(table, PS_TINT_NONE, ps_json_text(t, "role"));
        if (json_is_array(caches))
            ps_table_addf(table, PS_TINT_NONE, "%zu", json_array_size(caches));
        else
            ps_table_add(table, PS_TINT_NONE, "all");
        ps_value_format_time(ps_json_text(t, "createdAt"), time);
        ps_table_add(table, PS_TINT_NONE, time);
        ps_value_format_time(ps_json_text(t, "lastUsedAt"), time);
        ps_table_add(table, PS_TINT_NONE, time);
        ps_table_add(table, PS_TINT_DIM, ps_json_text(t, "id"));
    }
    ps_ctl_print_table(table);
    ps_table_free(&table);
    return PS_EXIT_OK;
}

static enum ps_exit
token_revoke(struct ps_ctl *ctl)
{
    json_auto_t *token = NULL;
    enum ps_exit rc =
        ps_ctl_find(ctl, "/v1/tokens", "token", ps_ctl_operand(ctl, 0), &token);
    if (rc != PS_EXIT_OK)
        return rc;
    const char *id = ps_json_text(token, "id");
    const char *name = ps_json_text(token, "name");
    if (!ps_ctl_confirm(ctl, "Revoke the token `%s`?", name))
        return PS_EXIT_FAILED;
    char *path = ps_ctl_path("/v1/tokens/", id, "");
    rc = ps_ctl_call(ctl, "DELETE", path, NULL, NULL);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        json_auto_t *done = json_pack("{s:s,s:b}", "id", id, "revoked", 1);
        ps_ctl_print_json(ctl, done);
    }
    ps_ctl_note(ctl, "Token `%s` is revoked.", name);
    return PS_EXIT_OK;
}

/* clang-format off */
static const struct ps_option create_options[] = {
    {.name = "role", .value = "admin|operator|viewer",
     .help = "what it may do; default admin"},
    {.name = "cache", .value = "CACHE",
     .help = "names or ids by comma: it sees no other; default all"},
    {.name = NULL},
};
static const struct ps_option revoke_options[] = {
    {.name = "yes", .help = "do not ask"},
    {.name = NULL},
};

const struct ps_command ps_token_commands[] = {
    {
        .name = "token create",
        .synopsis = "NAME [--role ROLE] [--cache CACHE,...]",
        .summary = "make an API token",
        .details =
            "The token is printed once; the control plane keeps only a hash "
            "of it.\n"
            "A viewer looks at caches, rules, agents and statistics; an "
            "operator changes caches and rules, too; an admin also regions, "
            "agents and tokens.",
        .options = create_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = token_create,
    },
    {
        .name = "token list",
        .synopsis = "",
        .summary = "list the API tokens, without their texts",
        .run = token_list,
    },
    {
        .name = "token revoke",
        .synopsis = "TOKEN [--yes]",
        .summary = "end an API token",
        .details =
            "TOKEN is the id or the name of a token. The last one stays.",
        .options = revoke_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = token_revoke,
    },
    {.name = NULL},
};
/* clang-format on */
