/* psctl cache list | show | delete, and the noun's command table. */
#include "cli/cache_fields.h"
#include "cli/reach.h"

#include <inttypes.h>
#include <stdlib.h>

static enum ps_exit
cache_list(struct ps_ctl *ctl)
{
    static const struct ps_column columns[] = {
        PS_LEFT("NAME"),  PS_LEFT("TYPE"),    PS_LEFT("HOST"),
        PS_RIGHT("PORT"), PS_LEFT("CACHING"), PS_LEFT("WRITE ACK"),
        PS_LEFT("ID")};
    json_auto_t *items = NULL;
    enum ps_exit rc = ps_ctl_list(ctl, "/v1/caches", &items);
    if (rc != PS_EXIT_OK || ps_ctl_print_list(ctl, items, "id"))
        return rc;
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *c = json_array_get(items, i);
        bool on = ps_json_bool(c, "cachingEnabled");
        bool enabled = ps_json_bool(c, "enabled");
        ps_table_add(table, PS_TINT_NONE, ps_json_text(c, "name"));
        ps_table_add(table, PS_TINT_NONE, ps_json_text(c, "database"));
        ps_table_add(table, PS_TINT_NONE, ps_json_text(c, "host"));
        ps_table_addf(table, PS_TINT_NONE, "%" PRId64, ps_json_int(c, "port"));
        ps_table_add(table, on && enabled ? PS_TINT_GOOD : PS_TINT_WARN,
                     !enabled ? "disabled"
                     : on     ? "on"
                              : "off");
        ps_table_add(table, PS_TINT_NONE, ps_json_text(c, "writeAck"));
        ps_table_add(table, PS_TINT_DIM, ps_json_text(c, "id"));
    }
    ps_ctl_print_table(table);
    if (ps_table_rows(table) == 0)
        ps_ctl_note(ctl, "There is no cache yet: psctl cache create --name "
                         "NAME --type postgres --host HOST");
    ps_table_free(&table);
    return PS_EXIT_OK;
}

static void
show_line(struct ps_table *table, const char *name, const char *text)
{
    ps_table_add(table, PS_TINT_DIM, name);
    ps_table_add(table, PS_TINT_NONE, text);
}

/* Which agents leave its origin alone for now. */
static void
show_breakers(struct ps_table *table, const json_t *cache)
{
    const json_t *breakers = json_object_get(cache, "breakers");
    for (size_t i = 0; i < json_array_size(breakers); i++) {
        const json_t *b = json_array_get(breakers, i);
        bool open = strcmp(ps_json_text(b, "state"), "open") == 0;
        ps_table_add(table, PS_TINT_DIM, i == 0 ? "breaker" : "");
        ps_table_addf(table, PS_TINT_WARN,
                      open ? "open on %s (%s): the database was not reached"
                           : "on %s (%s) one login is tried",
                      ps_json_text(b, "agentName"), ps_json_text(b, "region"));
    }
    if (breakers && json_array_size(breakers) == 0)
        show_line(table, "breaker", "closed on every agent");
}

static enum ps_exit
cache_show(struct ps_ctl *ctl)
{
    char time[PS_VALUE_MAX];
    json_auto_t *cache = NULL;
    enum ps_exit rc = ps_ctl_find_cache(ctl, ps_ctl_operand(ctl, 0), &cache);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        ps_ctl_print_json(ctl, cache);
        return PS_EXIT_OK;
    }
    struct ps_table *table = ps_table_new(NULL, 2);
    show_line(table, "id", ps_json_text(cache, "id"));
    if (!ctl->quiet) {
        show_line(table, "name", ps_json_text(cache, "name"));
        show_line(table, "type", ps_json_text(cache, "database"));
        ps_cache_fields_show(cache, table);
        ps_value_format_time(ps_json_text(cache, "createdAt"), time);
        show_line(table, "created", time);
        ps_value_format_time(ps_json_text(cache, "updatedAt"), time);
        show_line(table, "changed", time);
        show_line(table, "connection",
                  ps_json_text(cache, "connectionUriTemplate"));
        show_breakers(table, cache);
    }
    ps_ctl_print_table(table);
    ps_table_free(&table);
    return PS_EXIT_OK;
}

static enum ps_exit
cache_delete(struct ps_ctl *ctl)
{
    json_auto_t *cache = NULL, *seen = NULL;
    char etag[PS_ETAG_MAX];
    enum ps_exit rc = ps_ctl_find_cache(ctl, ps_ctl_operand(ctl, 0), &cache);
    if (rc != PS_EXIT_OK)
        return rc;
    const char *name = ps_json_text(cache, "name");
    char *path = ps_ctl_path("/v1/caches/", ps_json_text(cache, "id"), "");
    rc = ps_ctl_read(ctl, path, &seen, etag);
    if (rc == PS_EXIT_OK &&
        !ps_ctl_confirm(ctl,
                        "Delete the cache `%s`? Queries that name it will "
                        "fail.",
                        name))
        rc = PS_EXIT_FAILED;
    else if (rc == PS_EXIT_OK)
        rc = ps_ctl_change(ctl, "DELETE", path, NULL, etag, "the cache", NULL);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    ps_ctl_note(ctl, "Cache `%s` is deleted.", name);
    if (ctl->json) {
        json_auto_t *done = json_pack("{s:s,s:b}", "id",
                                      ps_json_text(cache, "id"), "deleted", 1);
        ps_ctl_print_json(ctl, done);
    }
    return PS_EXIT_OK;
}

static enum ps_exit
cache_test(struct ps_ctl *ctl)
{
    json_auto_t *cache = NULL, *started = NULL, *run = NULL;
    json_auto_t *body = json_object();
    enum ps_exit rc = ps_ctl_find_cache(ctl, ps_ctl_operand(ctl, 0), &cache);
    if (rc != PS_EXIT_OK)
        return rc;
    const char *id = ps_json_text(cache, "id");
    char *path = ps_ctl_path("/v1/caches/", id, "/test");
    rc = ps_ctl_call(ctl, "POST", path, body, &started);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    rc = ps_reach_follow(ctl, id, ps_json_text(started, "runId"), &run);
    if (ctl->json && run)
        ps_ctl_print_json(ctl, run);
    if (rc == PS_EXIT_OK &&
        json_array_size(json_object_get(run, "results")) == 0)
        return ps_ctl_fail(ctl, PS_EXIT_TEST, "no_agent",
                           "no agent is connected, so nothing was tested; see "
                           "`psctl agent list`");
    return rc;
}

/* clang-format off */
static const struct ps_option delete_options[] = {
    {.name = "yes", .help = "do not ask"},
    {.name = NULL},
};

const struct ps_command ps_cache_commands[] = {
    {
        .name = "cache create",
        .synopsis = "--name NAME --type TYPE --host HOST [options]",
        .summary = "define a cache for a database",
        .details =
            "Prints the cache id, which is also the application_name by which "
            "native clients name the cache, the regions' endpoints, and "
            "client code to paste. Then it follows the reachability test: "
            "every agent resolves, connects, reads the server's greeting and "
            "tries TLS. The exit status is 5 when an agent does not reach the "
            "database; the cache exists then all the same.\n\nExample:\n  "
            "psctl cache create --name shop --type postgres --host "
            "db.example.com",
        .options = ps_cache_create_options,
        .run = ps_cache_create,
    },
    {
        .name = "cache list",
        .synopsis = "",
        .summary = "list the caches",
        .run = cache_list,
    },
    {
        .name = "cache show",
        .synopsis = "CACHE",
        .summary = "show the settings of a cache",
        .details = "CACHE is an id or a name, here and everywhere.",
        .min_operands = 1,
        .max_operands = 1,
        .run = cache_show,
    },
    {
        .name = "cache update",
        .synopsis = "CACHE [options]",
        .summary = "change settings of a cache",
        .details =
            "What is not given stays as it is. Agents have the change at "
            "once. A change of host, port or TLS drops the stored answers and "
            "starts a reachability test; see it with `psctl cache test`.",
        .options = ps_cache_update_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = ps_cache_update,
    },
    {
        .name = "cache delete",
        .synopsis = "CACHE [--yes]",
        .summary = "remove a cache",
        .options = delete_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = cache_delete,
    },
    {
        .name = "cache test",
        .synopsis = "CACHE",
        .summary = "test from every agent whether it reaches the database",
        .details =
            "On a terminal the table is redrawn until the test is done. Times "
            "are in milliseconds; a failed stage shows its code instead. The "
            "exit status is 5 when an agent does not reach the database.",
        .min_operands = 1,
        .max_operands = 1,
        .run = cache_test,
    },
    {.name = NULL},
};
/* clang-format on */
