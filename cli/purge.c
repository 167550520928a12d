/* psctl purge. */
#include "cli/ctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What --template and --query take beside SQL. */
static bool
is_id(const char *text)
{
    return strlen(text) == 16 && strspn(text, "0123456789abcdefABCDEF") == 16;
}

static enum ps_exit
read_scope(struct ps_ctl *ctl, json_t *body)
{
    static const struct {
        const char *option, *field, *id_field;
    } scopes[] = {
        {"table",    "table",    NULL        },
        {"template", "template", "templateId"},
        {"query",    "query",    "queryId"   },
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(scopes); i++) {
        const char *text = ps_ctl_value(ctl, scopes[i].option);
        if (!text)
            continue;
        bool by_id = scopes[i].id_field && is_id(text);
        json_t *value = json_string(text);
        if (!value || !*text)
            return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                               "--%s is empty or is not UTF-8",
                               scopes[i].option);
        json_object_set_new(body, by_id ? scopes[i].id_field : scopes[i].field,
                            value);
    }
    if (json_object_size(body) > 1)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "give one of --table, --template and --query");
    return PS_EXIT_OK;
}

static const struct {
    const char *state, *text;
    enum ps_tint tint;
} states[] = {
    {"purged",    "purged",    PS_TINT_GOOD},
    {"no_answer", "no answer", PS_TINT_BAD },
    {"lost",      "lost",      PS_TINT_BAD },
};

static void
add_result(struct ps_table *table, const json_t *result)
{
    const json_t *entries = json_object_get(result, "entries");
    const char *state = ps_json_text(result, "state"), *text = state;
    enum ps_tint tint = PS_TINT_WARN;
    for (size_t i = 0; i < PS_ARRAY_LEN(states); i++) {
        if (strcmp(states[i].state, state) == 0) {
            text = states[i].text;
            tint = states[i].tint;
        }
    }
    ps_table_add(table, PS_TINT_NONE, ps_json_text(result, "region"));
    ps_table_add(table, PS_TINT_NONE, ps_json_text(result, "agentName"));
    ps_table_add(table, tint, text);
    if (json_is_integer(entries))
        ps_table_addf(table, PS_TINT_NONE, "%" PRId64,
                      ps_json_int(result, "entries"));
    else
        ps_table_add(table, PS_TINT_NONE, NULL);
}

static void
print_reply(struct ps_ctl *ctl, const json_t *reply)
{
    static const struct ps_column columns[] = {
        PS_LEFT("REGION"), PS_LEFT("AGENT"), PS_LEFT("STATE"),
        PS_RIGHT("ENTRIES")};
    const json_t *results = json_object_get(reply, "results");
    bool known = json_array_size(results) == 0, wider = false;
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *result = json_array_get(results, i);
        add_result(table, result);
        known |= ps_json_bool(result, "known");
        wider |= ps_json_bool(result, "wider");
    }
    if (json_array_size(results) > 0)
        ps_ctl_print_table(table);
    ps_table_free(&table);
    printf("purged on %" PRId64 " of %" PRId64 " agents, %" PRId64
           " entries dropped\n",
           ps_json_int(reply, "purged"), ps_json_int(reply, "agents"),
           ps_json_int(reply, "entries"));
    if (*ps_json_text(reply, "id"))
        printf("%s %s\n", ps_json_text(reply, "scope"),
               ps_json_text(reply, "id"));
    if (!known)
        ps_ctl_note(ctl,
                    "No agent knows a table `%s` in this cache's "
                    "databases: check the spelling.",
                    ps_json_text(reply, "table"));
    if (wider)
        ps_ctl_note(ctl, "More than that was dropped: what belongs to it "
                         "could not be told apart.");
}

/* "eu-west one (lost), us-east two (no answer)" */
static void
name_missing(const json_t *results, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *result = json_array_get(results, i);
        const char *state = ps_json_text(result, "state");
        if (strcmp(state, "purged") == 0 || used >= size)
            continue;
        used += (size_t)snprintf(
            out + used, size - used, "%s%s %s%s", used ? ", " : "",
            ps_json_text(result, "region"), ps_json_text(result, "agentName"),
            strcmp(state, "lost") == 0 ? " (lost)" : "");
    }
}

static enum ps_exit
judge(struct ps_ctl *ctl, const json_t *reply)
{
    char missing[768];
    if (ps_json_int(reply, "purged") == ps_json_int(reply, "agents"))
        return PS_EXIT_OK;
    name_missing(json_object_get(reply, "results"), missing, sizeof(missing));
    return ps_ctl_fail(ctl, PS_EXIT_FAILED, "not_everywhere",
                       "not answered: %s; such an agent drops the answers "
                       "before it serves any once it is back (see `psctl "
                       "agent list`)",
                       missing);
}

static enum ps_exit
purge(struct ps_ctl *ctl)
{
    json_auto_t *cache = NULL, *reply = NULL, *body = json_object();
    enum ps_exit rc = read_scope(ctl, body);
    if (rc == PS_EXIT_OK)
        rc = ps_ctl_find_cache(ctl, ps_ctl_operand(ctl, 0), &cache);
    if (rc != PS_EXIT_OK)
        return rc;
    char *path =
        ps_ctl_path("/v1/caches/", ps_json_text(cache, "id"), "/purge");
    rc = ps_ctl_call(ctl, "POST", path, body, &reply);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json)
        ps_ctl_print_json(ctl, reply);
    else if (!ctl->quiet)
        print_reply(ctl, reply);
    return judge(ctl, reply);
}

/* clang-format off */
static const struct ps_option options[] = {
    {.name = "table", .value = "NAME",
     .help = "only answers that depend on this table, view or schema.name"},
    {.name = "template", .value = "SQL|ID",
     .help = "only answers of this template: any statement of it, or its id"},
    {.name = "query", .value = "SQL|ID",
     .help = "only answers of this query, whatever is bound: its text, or its id"},
    {.name = NULL},
};

const struct ps_command ps_purge_commands[] = {
    {
        .name = "purge",
        .synopsis = "CACHE [--table NAME | --template SQL|ID | --query SQL|ID]",
        .summary = "drop answers from memory, on every agent",
        .details =
            "Without an option: every answer of the cache. Says for each "
            "agent how many answers it dropped, when all of them have; what "
            "was being fetched meanwhile is not kept. An agent that has not "
            "answered within 5 s is named, and the exit status is 1.\n"
            "\n"
            "`psctl stats --by template` shows ids of templates, `psctl "
            "explain` those of queries too.",
        .options = options,
        .min_operands = 1,
        .max_operands = 1,
        .run = purge,
    },
    {.name = NULL},
};
/* clang-format on */
