/*
 * psctl explain: what would be done with a statement, why, and where it is in
 * memory. The analysis is that of an agent that knows the database's
 * catalogue, if there is one; memory is shown for each agent.
 */
#include "cli/ctl.h"
#include "cli/prompt.h"
#include "cli/query.h"
#include "common/check.h"
#include "common/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SQL_MAX = 64 << 10,
    LINE_MAX_BYTES = 4 * SQL_MAX
};

/* ---- the question ---- */

static enum ps_exit
read_sql(struct ps_ctl *ctl, char **sql, int *used)
{
    const char *file = ps_ctl_value(ctl, "file");
    struct ps_err err;
    size_t len;
    *used = file ? 1 : 2;
    if (file && strcmp(file, "-") != 0) {
        if (ps_file_read(file, SQL_MAX, sql, &len, &err) == PS_OK)
            return PS_EXIT_OK;
        return ps_ctl_fail(ctl, PS_EXIT_FAILED, "file", "%s", err.message);
    }
    if (file)
        return ps_secret_read("-", sql, &ctl->fault);
    if (ctl->args.n_operands < 2)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "give the statement: psctl explain CACHE \"select "
                           "...\", or --file FILE");
    *sql = strdup(ps_ctl_operand(ctl, 1));
    PS_CHECK(*sql);
    return PS_EXIT_OK;
}

static enum ps_exit
make_body(struct ps_ctl *ctl, json_t *body)
{
    char *sql = NULL;
    int used;
    const char *database = ps_ctl_value(ctl, "database");
    enum ps_exit rc = read_sql(ctl, &sql, &used);
    if (rc != PS_EXIT_OK)
        return rc;
    int n = ctl->args.n_operands - used;
    json_t *text = json_string(sql);
    json_t *bindings = ps_query_bindings(ctl->args.operands + used, n);
    free(sql);
    if (!text || !bindings) {
        json_decref(text);
        json_decref(bindings);
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "the statement or a binding is not valid UTF-8");
    }
    json_object_set_new(body, "sql", text);
    if (n > 0)
        json_object_set(body, "bindings", bindings);
    json_decref(bindings);
    if (database)
        json_object_set_new(body, "database", json_string(database));
    return PS_EXIT_OK;
}

/* ---- the statement, with what decided marked ---- */

static void
print_clean(struct ps_str text, enum ps_tint tint)
{
    struct ps_buf out;
    ps_buf_init(&out, LINE_MAX_BYTES);
    ps_tint_begin(&out, tint, ps_out_colour());
    ps_text_clean(&out, text);
    ps_tint_end(&out, tint, ps_out_colour());
    ps_buf_append_char(&out, '\n');
    ps_out_print(&out);
    ps_buf_done(&out);
}

/* Cells that a part takes when it is shown. */
static size_t
shown_width(struct ps_str text)
{
    struct ps_buf clean;
    ps_buf_init(&clean, LINE_MAX_BYTES);
    ps_text_clean(&clean, text);
    size_t width = ps_text_width(ps_buf_str(&clean));
    ps_buf_done(&clean);
    return width;
}

static void
print_mark(struct ps_str before, struct ps_str word)
{
    struct ps_buf out;
    ps_buf_init(&out, LINE_MAX_BYTES);
    for (size_t i = shown_width(before); i > 0; i--)
        ps_buf_append_char(&out, ' ');
    ps_tint_begin(&out, PS_TINT_BAD, ps_out_colour());
    for (size_t i = PS_MAX(shown_width(word), (size_t)1); i > 0; i--)
        ps_buf_append_char(&out, '^');
    ps_tint_end(&out, PS_TINT_BAD, ps_out_colour());
    ps_buf_append_char(&out, '\n');
    ps_out_print(&out);
    ps_buf_done(&out);
}

/* from, len: what is marked; len 0: nothing. */
static void
print_statement(const char *sql, size_t from, size_t len)
{
    size_t at = 0, total = strlen(sql);
    bool marked = len > 0 && from < total;
    do {
        size_t line = strcspn(sql + at, "\n");
        print_clean((struct ps_str){sql + at, line}, PS_TINT_NONE);
        if (marked && from >= at && from <= at + line) {
            size_t room = at + line - from;
            print_mark((struct ps_str){sql + at, from - at},
                       (struct ps_str){sql + from, PS_MIN(len, room)});
        }
        at += line + 1;
    } while (at < total);
}

/* ---- the explanation ---- */

static void
row(struct ps_table *table, const char *name, const char *text)
{
    ps_table_add(table, PS_TINT_DIM, name);
    ps_table_add(table, PS_TINT_NONE, text);
}

/* "public.items, rows told apart by id (1 value); behind what is named" */
static void
table_row(struct ps_table *table, const char *name, const json_t *t)
{
    const json_t *rows = json_object_get(t, "rows");
    struct ps_buf line;
    ps_buf_init(&line, LINE_MAX_BYTES);
    ps_buf_printf(&line, "%s.%s", ps_json_text(t, "schema"),
                  ps_json_text(t, "name"));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *r = json_array_get(rows, i);
        int64_t n = ps_json_int(r, "values");
        ps_buf_printf(&line, "%s %s (%" PRId64 " value%s)",
                      i ? " or" : ", only rows by", ps_json_text(r, "column"),
                      n, n == 1 ? "" : "s");
    }
    if (!ps_json_bool(t, "named"))
        ps_buf_append_c(&line, ", behind what is named");
    ps_buf_append_char(&line, '\0');
    row(table, name, line.data);
    ps_buf_done(&line);
}

static void
tables_rows(struct ps_table *table, const char *name, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        table_row(table, i ? "" : name, json_array_get(list, i));
}

static void
write_rows(struct ps_table *table, const json_t *e)
{
    const json_t *writes = json_object_get(e, "writes");
    if (!json_is_object(writes))
        return;
    const json_t *tables = json_object_get(writes, "tables");
    if (json_array_size(tables) == 0)
        row(table, "changes", "the whole database, as far as is known");
    tables_rows(table, "changes", tables);
    if (ps_json_bool(writes, "catalog"))
        row(table, "", "structure or rights: the catalogue is read again");
}

static void
rule_row(struct ps_table *table, const json_t *e)
{
    char ttl[PS_VALUE_MAX];
    const json_t *rule = json_object_get(e, "rule");
    struct ps_buf line;
    if (!json_is_object(rule)) {
        if (ps_json_bool(e, "cacheable"))
            row(table, "rule", "none: the cache's default");
        return;
    }
    ps_buf_init(&line, LINE_MAX_BYTES);
    ps_buf_printf(&line, "%s: %s of %s", ps_json_text(rule, "mode"),
                  ps_json_text(rule, "type"), ps_json_text(rule, "key"));
    if (ps_json_int(rule, "ttlMs") > 0) {
        ps_value_format_duration(ps_json_int(rule, "ttlMs"), ttl);
        ps_buf_printf(&line, ", %s", ttl);
    }
    ps_buf_append_char(&line, '\0');
    row(table, "rule", line.data);
    ps_buf_done(&line);
}

static void
ttl_row(struct ps_table *table, const json_t *e)
{
    char text[PS_VALUE_MAX];
    const json_t *ttl = json_object_get(e, "ttl");
    if (!ps_json_bool(e, "cacheable"))
        return;
    ps_table_add(table, PS_TINT_DIM, "time to live");
    ps_value_format_duration(ps_json_int(ttl, "ms"), text);
    if (ps_json_int(ttl, "ms") == 0)
        ps_table_add(table, PS_TINT_NONE,
                     "not learned yet: kept from the second time on");
    else
        ps_table_addf(table, PS_TINT_NONE, "%s, %s", text,
                      strcmp(ps_json_text(ttl, "from"), "rule") == 0
                          ? "by the rule"
                          : "as automatic mode has learned");
}

static void
print_details(const json_t *e)
{
    struct ps_table *table = ps_table_new(NULL, 2);
    const json_t *ends = json_object_get(e, "invalidatedBy");
    const json_t *tables = json_object_get(e, "tables");
    ps_table_add(table, PS_TINT_DIM, "template");
    ps_table_addf(table, PS_TINT_NONE, "%s  %s", ps_json_text(e, "templateId"),
                  ps_json_text(e, "template"));
    row(table, "query", ps_json_text(e, "queryId"));
    if (*ps_json_text(e, "database"))
        row(table, "database", ps_json_text(e, "database"));
    tables_rows(table, "tables", tables);
    if (ps_json_bool(e, "cacheable") && json_array_size(tables) == 0)
        row(table, "tables", "none");
    write_rows(table, e);
    rule_row(table, e);
    ttl_row(table, e);
    for (size_t i = 0; i < json_array_size(ends); i++)
        row(table, i ? "" : "ends with",
            json_string_value(json_array_get(ends, i)));
    ps_ctl_print_table(table);
    ps_table_free(&table);
}

/* "read, not kept: volatile_function, the value of ..." */
static void
print_verdict(const json_t *e)
{
    struct ps_buf line;
    bool kept = ps_json_bool(e, "cacheable");
    ps_buf_init(&line, LINE_MAX_BYTES);
    ps_buf_printf(&line, "%s, %s: %s", ps_json_text(e, "class"),
                  kept ? "may be kept" : "not kept", ps_json_text(e, "reason"));
    if (*ps_json_text(e, "sentence"))
        ps_buf_printf(&line, " (%s)", ps_json_text(e, "sentence"));
    print_clean(ps_buf_str(&line), kept ? PS_TINT_GOOD : PS_TINT_WARN);
    ps_buf_done(&line);
}

static void
print_explanation(const json_t *e)
{
    const json_t *text = json_object_get(e, "text");
    const char *reason = ps_json_text(e, "reason");
    bool decided = !ps_json_bool(e, "cacheable") &&
                   strcmp(reason, ps_json_text(text, "reason")) == 0;
    print_statement(ps_json_text(e, "statement"),
                    (size_t)ps_json_int(text, "offset"),
                    decided ? (size_t)ps_json_int(text, "length") : 0);
    putchar('\n');
    print_verdict(e);
    print_details(e);
}

/* ---- memory ---- */

static void
add_memory(struct ps_table *table, const json_t *result)
{
    char age[PS_VALUE_MAX], left[PS_VALUE_MAX];
    const json_t *e = json_object_get(result, "explanation");
    const json_t *memory = json_object_get(e, "memory");
    const char *state = ps_json_text(result, "state");
    int64_t fresh = ps_json_int(memory, "fresh");
    ps_table_add(table, PS_TINT_NONE, ps_json_text(result, "region"));
    ps_table_add(table, PS_TINT_NONE, ps_json_text(result, "agentName"));
    if (!json_is_object(memory)) {
        ps_table_add(table, PS_TINT_BAD,
                     strcmp(state, "lost") == 0 ? "lost" : "no answer");
        ps_table_add(table, PS_TINT_NONE, NULL);
        ps_table_add(table, PS_TINT_NONE, NULL);
        return;
    }
    if (!ps_json_bool(memory, "lease"))
        ps_table_add(table, PS_TINT_WARN, "no lease: nothing is served");
    else if (fresh == 0)
        ps_table_add(table, PS_TINT_DIM, "no");
    else if (json_object_get(memory, "bound"))
        ps_table_addf(table, PS_TINT_GOOD,
                      "%" PRId64 " with these bindings, %" PRId64 " in all",
                      ps_json_int(memory, "bound"), fresh);
    else
        ps_table_addf(table, PS_TINT_GOOD, "%" PRId64 " answer%s", fresh,
                      fresh == 1 ? "" : "s");
    ps_value_format_duration(ps_json_int(memory, "ageMs"), age);
    ps_value_format_duration(ps_json_int(memory, "ttlMs"), left);
    ps_table_add(table, PS_TINT_NONE, fresh ? age : NULL);
    ps_table_add(table, PS_TINT_NONE, fresh ? left : NULL);
}

static void
print_memory(const json_t *results)
{
    static const struct ps_column columns[] = {
        PS_LEFT("REGION"), PS_LEFT("AGENT"), PS_LEFT("IN MEMORY"),
        PS_RIGHT("AGE"), PS_RIGHT("TTL LEFT")};
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(results); i++)
        add_memory(table, json_array_get(results, i));
    putchar('\n');
    ps_ctl_print_table(table);
    ps_table_free(&table);
}

/* ---- the whole ---- */

/* 0: nothing, 1: an error, 2: without, 3: with the catalogue. */
static int
worth(const json_t *e)
{
    if (!json_is_object(e))
        return 0;
    if (json_object_get(e, "error"))
        return 1;
    return ps_json_bool(e, "catalog") ? 3 : 2;
}

/* The explanation that tells most; NULL: there is none. */
static const json_t *
best_of(const json_t *results)
{
    const json_t *best = NULL;
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *e =
            json_object_get(json_array_get(results, i), "explanation");
        if (worth(e) > worth(best))
            best = e;
    }
    return best;
}

/* Why the tables are not known, and what to do. */
static void
note_catalog(struct ps_ctl *ctl, const json_t *results, const json_t *best)
{
    char names[512] = "";
    size_t used = 0;
    const json_t *known = json_object_get(best, "databases");
    if (ps_json_bool(best, "catalog"))
        return;
    for (size_t i = 0;
         i < json_array_size(results) && json_array_size(known) == 0; i++)
        known = json_object_get(
            json_object_get(json_array_get(results, i), "explanation"),
            "databases");
    for (size_t i = 0; i < json_array_size(known) && used < sizeof(names); i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
                                 i ? ", " : "",
                                 json_string_value(json_array_get(known, i)));
    if (used)
        ps_ctl_note(ctl, "Which database? Give --database: %s.", names);
    else
        ps_ctl_note(ctl, "No agent knows the structure of this database yet: "
                         "it is read with a client's credentials. One request "
                         "through an agent will do, e.g. psctl query --cache "
                         "CACHE --user USER --database DATABASE \"select 1 "
                         "from TABLE\".");
}

static enum ps_exit
judge(struct ps_ctl *ctl, const json_t *reply)
{
    const json_t *best = best_of(json_object_get(reply, "results"));
    const json_t *error = json_object_get(best, "error");
    int64_t agents = ps_json_int(reply, "agents");
    int64_t answered = ps_json_int(reply, "answered");
    if (error)
        return ps_ctl_fail(ctl, PS_EXIT_FAILED, ps_json_text(error, "code"),
                           "%s", ps_json_text(error, "message"));
    if (!best)
        return ps_ctl_fail(
            ctl, PS_EXIT_FAILED, "no_agent", "%s; see `psctl agent list`",
            agents ? "no agent answered within 5 s" : "no agent is connected");
    if (answered < agents)
        ps_ctl_note(ctl, "%" PRId64 " of %" PRId64 " agents did not answer.",
                    agents - answered, agents);
    return PS_EXIT_OK;
}

static enum ps_exit
explain(struct ps_ctl *ctl)
{
    json_auto_t *cache = NULL, *reply = NULL, *body = json_object();
    enum ps_exit rc = make_body(ctl, body);
    if (rc == PS_EXIT_OK)
        rc = ps_ctl_find_cache(ctl, ps_ctl_operand(ctl, 0), &cache);
    if (rc != PS_EXIT_OK)
        return rc;
    char *path =
        ps_ctl_path("/v1/caches/", ps_json_text(cache, "id"), "/explain");
    rc = ps_ctl_call(ctl, "POST", path, body, &reply);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    const json_t *results = json_object_get(reply, "results");
    const json_t *best = best_of(results);
    bool good = best && !json_object_get(best, "error");
    if (ctl->json)
        ps_ctl_print_json(ctl, reply);
    else if (ctl->quiet && good)
        puts(ps_json_text(best, "reason"));
    else if (good) {
        print_explanation(best);
        print_memory(results);
        note_catalog(ctl, results, best);
    }
    return judge(ctl, reply);
}

/* clang-format off */
static const struct ps_option options[] = {
    {.name = "file", .value = "FILE",
     .help = "the statement is in this file; - is standard input"},
    {.name = "database", .value = "DATABASE",
     .help = "where the agents know several of the cache"},
    {.name = NULL},
};

const struct ps_command ps_explain_commands[] = {
    {
        .name = "explain",
        .synopsis = "CACHE [--database DATABASE] (SQL | --file FILE) [BINDING ...]",
        .summary = "say what would be done with a statement, and why",
        .details =
            "The statement as clients send it to POST /sql; bindings as for "
            "`psctl query`, or none. Shows its class, the word that keeps it "
            "from being kept, its template, the tables behind it and which of "
            "their rows, the rule that counts, the time to live, what would "
            "end an answer, and whether one is in memory in each region. "
            "Nothing is sent to the database.\n"
            "\n"
            "Tables are known where an agent has read the database's catalogue "
            "with the credentials of a client that used it.",
        .options = options,
        .min_operands = 1,
        .max_operands = -1,
        .run = explain,
    },
    {.name = NULL},
};
/* clang-format on */
