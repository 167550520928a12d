/* psctl rule set | list | delete. */
#include "cli/ctl.h"

#include <stdlib.h>

/* "/v1/caches/ID/rules" of the cache that was named; owned by the caller. */
static enum ps_exit
rules_path(struct ps_ctl *ctl, char **path, json_t **cache)
{
    enum ps_exit rc = ps_ctl_find_cache(ctl, ps_ctl_operand(ctl, 0), cache);
    if (rc == PS_EXIT_OK)
        *path =
            ps_ctl_path("/v1/caches/", ps_json_text(*cache, "id"), "/rules");
    return rc;
}

/* The key: exactly one of --query, --template and --table. */
static enum ps_exit
read_key(struct ps_ctl *ctl, json_t *body)
{
    static const char *const types[] = {"query", "template", "table"};
    size_t found = 0;
    for (size_t i = 0; i < PS_ARRAY_LEN(types); i++) {
        const char *key = ps_ctl_value(ctl, types[i]);
        if (!key)
            continue;
        found++;
        json_object_set_new(body, "type", json_string(types[i]));
        if (json_object_set_new(body, "key", json_string(key)) != 0)
            return ps_ctl_bad_value(ctl, types[i], "valid UTF-8");
    }
    return found == 1 ? PS_EXIT_OK
                      : ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                                    "give one of --query, --template and "
                                    "--table");
}

static enum ps_exit
read_duration(struct ps_ctl *ctl, const char *option, const char *field,
              json_t *body)
{
    const char *text = ps_ctl_value(ctl, option);
    int64_t ms;
    if (!text)
        return PS_EXIT_OK;
    if (!ps_value_duration_ms(text, &ms))
        return ps_ctl_bad_value(ctl, option,
                                "a duration like 500ms, 30s, 5m, 1h, 7d");
    json_object_set_new(body, field, json_integer(ms));
    return PS_EXIT_OK;
}

/* --never, --auto (perhaps with the longest --ttl), or --ttl alone. */
static enum ps_exit
read_mode(struct ps_ctl *ctl, json_t *body)
{
    bool never = ps_ctl_value(ctl, "never") != NULL;
    bool automatic = ps_ctl_value(ctl, "auto") != NULL;
    bool ttl = ps_ctl_value(ctl, "ttl") != NULL;
    if ((never && (automatic || ttl)) || !(never || automatic || ttl))
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "give --ttl DURATION, --auto or --never");
    json_object_set_new(body, "mode",
                        json_string(never       ? "never"
                                    : automatic ? "auto"
                                                : "ttl"));
    enum ps_exit rc = read_duration(ctl, "ttl", "ttlMs", body);
    if (rc == PS_EXIT_OK)
        rc = read_duration(ctl, "stale-if-error", "staleIfErrorMs", body);
    if (rc == PS_EXIT_OK)
        rc = read_duration(ctl, "stale-while-revalidate",
                           "staleWhileRevalidateMs", body);
    return rc;
}

static enum ps_exit
rule_set(struct ps_ctl *ctl)
{
    json_auto_t *cache = NULL, *rule = NULL, *body = json_object();
    char *path = NULL;
    enum ps_exit rc = read_key(ctl, body);
    if (rc == PS_EXIT_OK)
        rc = read_mode(ctl, body);
    if (rc == PS_EXIT_OK)
        rc = rules_path(ctl, &path, &cache);
    if (rc == PS_EXIT_OK)
        rc = ps_ctl_call(ctl, "POST", path, body, &rule);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json)
        ps_ctl_print_json(ctl, rule);
    ps_ctl_note(ctl, "The rule counts for `%s` as soon as its agents have it.",
                ps_json_text(cache, "name"));
    return PS_EXIT_OK;
}

static void
add_duration(struct ps_table *table, int64_t ms)
{
    char text[PS_VALUE_MAX];
    if (ms > 0)
        ps_value_format_duration(ms, text);
    ps_table_add(table, PS_TINT_NONE, ms > 0 ? text : "-");
}

static enum ps_exit
rule_list(struct ps_ctl *ctl)
{
    static const struct ps_column columns[] = {
        PS_LEFT("TYPE"),
        PS_LEFT("MODE"),
        PS_RIGHT("TTL"),
        PS_RIGHT("STALE IF ERROR"),
        PS_RIGHT("STALE WHILE REVALIDATE"),
        PS_LEFT("ID"),
        PS_LEFT("KEY")};
    json_auto_t *cache = NULL, *items = NULL;
    char *path = NULL;
    enum ps_exit rc = rules_path(ctl, &path, &cache);
    if (rc == PS_EXIT_OK)
        rc = ps_ctl_list(ctl, path, &items);
    free(path);
    if (rc != PS_EXIT_OK || ps_ctl_print_list(ctl, items, "id"))
        return rc;
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *r = json_array_get(items, i);
        ps_table_add(table, PS_TINT_NONE, ps_json_text(r, "type"));
        ps_table_add(table, PS_TINT_NONE, ps_json_text(r, "mode"));
        add_duration(table, ps_json_int(r, "ttlMs"));
        add_duration(table, ps_json_int(r, "staleIfErrorMs"));
        add_duration(table, ps_json_int(r, "staleWhileRevalidateMs"));
        ps_table_add(table, PS_TINT_DIM, ps_json_text(r, "id"));
        ps_table_add(table, PS_TINT_NONE, ps_json_text(r, "key"));
    }
    ps_ctl_print_table(table);
    ps_table_free(&table);
    return PS_EXIT_OK;
}

static enum ps_exit
rule_delete(struct ps_ctl *ctl)
{
    const char *id = ps_ctl_operand(ctl, 0);
    char etag[PS_ETAG_MAX];
    json_auto_t *rule = NULL;
    char *path = ps_ctl_path("/v1/rules/", id, "");
    enum ps_exit rc = ps_ctl_read(ctl, path, &rule, etag);
    if (rc == PS_EXIT_OK && !ps_ctl_confirm(ctl, "Delete the rule %s?", id))
        rc = PS_EXIT_FAILED;
    else if (rc == PS_EXIT_OK)
        rc = ps_ctl_change(ctl, "DELETE", path, NULL, etag, "the rule", NULL);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        json_auto_t *done = json_pack("{s:s,s:b}", "id", id, "deleted", 1);
        ps_ctl_print_json(ctl, done);
    }
    ps_ctl_note(ctl, "The rule is deleted.");
    return PS_EXIT_OK;
}

/* clang-format off */
static const struct ps_option set_options[] = {
    {.name = "query", .value = "SQL",
     .help = "for this statement, as clients send it"},
    {.name = "template", .value = "SQL",
     .help = "for every statement that differs in its values only"},
    {.name = "table", .value = "TABLE", .help = "for a table: name or schema.name"},
    {.name = "ttl", .value = "DURATION",
     .help = "keep answers so long; with --auto: at most"},
    {.name = "auto", .help = "let the agents learn how long"},
    {.name = "never", .help = "keep nothing"},
    {.name = "stale-if-error", .value = "DURATION",
     .help = "serve expired answers so long while the database fails"},
    {.name = "stale-while-revalidate", .value = "DURATION",
     .help = "serve expired answers so long while a newer one is fetched"},
    {.name = NULL},
};
static const struct ps_option delete_options[] = {
    {.name = "yes", .help = "do not ask"},
    {.name = NULL},
};

const struct ps_command ps_rule_commands[] = {
    {
        .name = "rule set",
        .synopsis = "CACHE --query SQL|--template SQL|--table TABLE "
                    "--ttl DURATION|--auto|--never",
        .summary = "say what is kept and for how long",
        .details =
            "A rule for a statement goes before one for its template, and that "
            "before those for its tables. A statement on several tables needs a "
            "rule for each of them; the strictest counts. Setting one again "
            "replaces it.",
        .options = set_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = rule_set,
    },
    {
        .name = "rule list",
        .synopsis = "CACHE",
        .summary = "list the rules of a cache",
        .min_operands = 1,
        .max_operands = 1,
        .run = rule_list,
    },
    {
        .name = "rule delete",
        .synopsis = "RULE [--yes]",
        .summary = "remove a rule, by its id",
        .options = delete_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = rule_delete,
    },
    {.name = NULL},
};
/* clang-format on */
