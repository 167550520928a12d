/*
 * psctl query: one statement through an agent, with what the agent says about
 * how it answered. The protocol is PolyScale's POST /sql. The rows are shown
 * once, and again only when a repeated call brings other ones.
 */
#include "cli/query.h"

#include "cli/ctl.h"
#include "cli/prompt.h"
#include "common/check.h"
#include "common/file.h"
#include "common/tls.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_ROWS_BYTES = 64 << 20,
    MAX_REPEAT = 100000
};

struct query {
    struct ps_ctl *ctl;
    char *endpoint, *agent, *region; /* agent and region may be NULL */
    char *cache_id, *provider;       /* provider may be NULL */
    char *password, *ca_pem;
    bool insecure;
    int64_t repeat;
    json_t *body;
    json_t *calls; /* for --json */
    json_t *rows;  /* of the newest good answer */
};

static char *
copy(const char *text)
{
    char *out = strdup(text);
    PS_CHECK(out);
    return out;
}

static void
query_done(struct query *q)
{
    free(q->endpoint);
    free(q->agent);
    free(q->region);
    free(q->cache_id);
    free(q->provider);
    free(q->ca_pem);
    ps_secret_free(&q->password);
    json_decref(q->body);
    json_decref(q->calls);
    json_decref(q->rows);
}

/* ---- what is needed before the first call ---- */

static enum ps_exit
get_password(struct query *q)
{
    struct ps_ctl *ctl = q->ctl;
    const char *file = ps_ctl_value(ctl, "password-file");
    const char *environment = getenv("PORTSIDE_DB_PASSWORD");
    if (file) {
        enum ps_exit rc = ps_secret_read(file, &q->password, &ctl->fault);
        if (rc != PS_EXIT_OK)
            return rc;
    } else if (environment && *environment) {
        q->password = copy(environment);
    } else if (ps_prompt_possible()) {
        q->password = ps_prompt_secret("Database password: ");
    }
    if (q->password && *q->password)
        return PS_EXIT_OK;
    return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                       "there is no database password: give --password-file "
                       "or set PORTSIDE_DB_PASSWORD");
}

/* An id together with --endpoint needs no login. */
static enum ps_exit
find_cache(struct query *q)
{
    struct ps_ctl *ctl = q->ctl;
    json_auto_t *cache = NULL;
    const char *which = ps_ctl_value(ctl, "cache");
    if (ps_ctl_value(ctl, "endpoint") && ps_uuid_valid(ps_str_of(which))) {
        q->cache_id = copy(which);
        return PS_EXIT_OK;
    }
    enum ps_exit rc = ps_ctl_find_cache(ctl, which, &cache);
    if (rc != PS_EXIT_OK)
        return rc;
    q->cache_id = copy(ps_json_text(cache, "id"));
    q->provider = copy(ps_json_text(cache, "database"));
    return PS_EXIT_OK;
}

/* The first connected agent that serves, in the region if one was given. */
static enum ps_exit
find_agent(struct query *q)
{
    struct ps_ctl *ctl = q->ctl;
    json_auto_t *agents = NULL;
    const char *url = ps_ctl_value(ctl, "endpoint");
    const char *region = ps_ctl_value(ctl, "region");
    if (url && region)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "give --region or --endpoint, not both");
    if (url) {
        q->endpoint = ps_url_normal(url);
        return PS_EXIT_OK;
    }
    enum ps_exit rc = ps_ctl_list(ctl, "/v1/agents", &agents);
    if (rc != PS_EXIT_OK)
        return rc;
    for (size_t i = 0; i < json_array_size(agents) && !q->endpoint; i++) {
        const json_t *a = json_array_get(agents, i);
        if (strcmp(ps_json_text(a, "state"), "connected") != 0 ||
            *ps_json_text(a, "endpoint") == '\0' ||
            (region && strcmp(ps_json_text(a, "region"), region) != 0))
            continue;
        q->endpoint = ps_url_normal(ps_json_text(a, "endpoint"));
        q->agent = copy(ps_json_text(a, "name"));
        q->region = copy(ps_json_text(a, "region"));
    }
    if (q->endpoint)
        return PS_EXIT_OK;
    return ps_ctl_fail(ctl, PS_EXIT_NOT_FOUND, "no_agent",
                       "no agent%s%s is connected; see `psctl agent list`, or "
                       "give --endpoint",
                       region ? " of region " : "", region ? region : "");
}

static enum ps_exit
get_trust(struct query *q)
{
    struct ps_err err;
    struct ps_ctl *ctl = q->ctl;
    const char *file = ps_ctl_value(ctl, "ca-file");
    q->insecure = ps_ctl_value(ctl, "insecure") != NULL;
    if (file == NULL)
        return PS_EXIT_OK;
    if (ps_file_read(file, 1 << 20, &q->ca_pem, &(size_t){0}, &err) == PS_OK)
        return PS_EXIT_OK;
    return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage", "%s", err.message);
}

static enum ps_exit
get_repeat(struct query *q)
{
    const char *text = ps_ctl_value(q->ctl, "repeat");
    q->repeat = 1;
    if (text && (!ps_value_int(text, &q->repeat) || q->repeat < 1 ||
                 q->repeat > MAX_REPEAT))
        return ps_ctl_bad_value(q->ctl, "repeat",
                                "a number between 1 and 100000");
    return PS_EXIT_OK;
}

static enum ps_exit
make_body(struct query *q)
{
    struct ps_ctl *ctl = q->ctl;
    char *sql = NULL;
    const char *typed = ps_ctl_operand(ctl, 0);
    int n = ctl->args.n_operands - 1;
    if (strcmp(typed, "-") == 0) {
        enum ps_exit rc = ps_secret_read("-", &sql, &ctl->fault);
        if (rc != PS_EXIT_OK)
            return rc;
    }
    q->body = json_pack("{s:s,s:s,s:s,s:s,s:s}", "cacheId", q->cache_id,
                        "username", ps_ctl_value(ctl, "user"), "password",
                        q->password, "database", ps_ctl_value(ctl, "database"),
                        "sql", sql ? sql : typed);
    free(sql);
    json_t *bindings = ps_query_bindings(ctl->args.operands + 1, n);
    if (q->body == NULL || bindings == NULL) {
        json_decref(bindings);
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "bad_utf8",
                           "the statement, a binding, the user or the "
                           "password is not valid UTF-8");
    }
    if (n > 0)
        json_object_set(q->body, "bindings", bindings);
    json_decref(bindings);
    if (q->provider)
        json_object_set_new(q->body, "provider", json_string(q->provider));
    return PS_EXIT_OK;
}

/* ---- calls ---- */

static enum ps_tint
verdict_tint(const char *verdict)
{
    if (strcmp(verdict, "hit") == 0)
        return PS_TINT_GOOD;
    return strcmp(verdict, "bypass") == 0 ? PS_TINT_DIM : PS_TINT_WARN;
}

/* "miss   12.3 ms  (portside; fwd=uri-miss; stored)  reason=.. age=.." */
static void
print_call(const struct ps_rest_reply *reply)
{
    char ms[PS_VALUE_MAX];
    struct ps_buf out;
    const char *verdict = ps_query_verdict(reply->cache_status);
    enum ps_tint tint = verdict_tint(verdict);
    bool colour = ps_out_colour();
    ps_value_format_ms(reply->time_us, ms);
    ps_buf_init(&out, 8192);
    ps_tint_begin(&out, tint, colour);
    ps_buf_printf(&out, "%-6s", verdict);
    ps_tint_end(&out, tint, colour);
    ps_buf_printf(&out, " %8s ms  (", ms);
    ps_text_clean(&out, ps_str_of(reply->cache_status[0] ? reply->cache_status
                                                         : "no Cache-Status"));
    ps_buf_append_char(&out, ')');
    if (reply->reason[0]) {
        ps_buf_append_c(&out, "  reason=");
        ps_text_clean(&out, ps_str_of(reply->reason));
    }
    if (reply->age[0]) {
        ps_buf_append_c(&out, " age=");
        ps_text_clean(&out, ps_str_of(reply->age));
    }
    ps_buf_append_char(&out, '\n');
    ps_out_print(&out);
    ps_buf_done(&out);
    fflush(stdout);
}

static void
print_rows(const json_t *rows)
{
    size_t n = json_array_size(rows);
    struct ps_table *table = ps_query_table(rows);
    if (table)
        ps_ctl_print_table(table);
    ps_table_free(&table);
    printf("(%zu row%s)\n\n", n, n == 1 ? "" : "s");
}

static json_t *
text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static void
note_call(struct query *q, const struct ps_rest_reply *reply)
{
    json_t *call =
        json_pack("{s:s,s:I,s:i,s:o,s:o,s:o,s:o}", "status",
                  ps_query_verdict(reply->cache_status), "timeUs",
                  (json_int_t)reply->time_us, "httpStatus", (int)reply->status,
                  "cacheStatus", text_or_null(reply->cache_status), "reason",
                  text_or_null(reply->reason), "age", text_or_null(reply->age),
                  "serverTiming", text_or_null(reply->server_timing));
    PS_CHECK(call && json_array_append_new(q->calls, call) == 0);
}

/* A good answer: shows it, or keeps it for --json. */
static enum ps_exit
take_answer(struct query *q, const struct ps_rest_reply *reply)
{
    if (!json_is_array(reply->json))
        return ps_ctl_fail(q->ctl, PS_EXIT_FAILED, "not_portside",
                           "%s/sql did not answer with rows; is it a Portside "
                           "agent?",
                           q->endpoint);
    bool changed = q->rows == NULL || !json_equal(q->rows, reply->json);
    json_decref(q->rows);
    q->rows = json_incref(reply->json);
    if (changed && !q->ctl->json)
        print_rows(q->rows);
    return PS_EXIT_OK;
}

static enum ps_exit
call_once(struct query *q)
{
    struct ps_rest_reply reply;
    struct ps_ctl *ctl = q->ctl;
    struct ps_rest_call call = {.method = "POST",
                                .base = q->endpoint,
                                .path = "/sql",
                                .ca_pem = q->ca_pem,
                                .insecure = q->insecure,
                                .body = q->body,
                                .timeout_ms = ctl->timeout_ms,
                                .max_bytes = MAX_ROWS_BYTES};
    enum ps_exit rc = ps_rest_send(ctl->rest, &call, &reply, &ctl->fault);
    if (rc != PS_EXIT_OK)
        return rc;
    rc = ps_rest_judge(&call, &reply, &ctl->fault);
    if (rc == PS_EXIT_OK)
        rc = take_answer(q, &reply);
    else if (strcmp(ctl->fault.code, "cache_not_found") != 0)
        rc = PS_EXIT_TEST;
    note_call(q, &reply);
    if (!ctl->json && !ctl->quiet)
        print_call(&reply);
    ps_rest_reply_done(&reply);
    return rc;
}

static void
print_answer(struct query *q)
{
    struct ps_fault *fault = &q->ctl->fault;
    json_auto_t *out =
        json_pack("{s:s,s:s?,s:s?,s:s,s:O,s:O?}", "cacheId", q->cache_id,
                  "region", q->region, "agent", q->agent, "endpoint",
                  q->endpoint, "calls", q->calls, "rows", q->rows);
    PS_CHECK(out);
    if (fault->message[0])
        json_object_set_new(out, "error",
                            json_pack("{s:s,s:s}", "code", fault->code,
                                      "message", fault->message));
    ps_ctl_print_json(q->ctl, out);
}

static enum ps_exit
run(struct query *q)
{
    enum ps_exit rc = get_repeat(q);
    if (rc == PS_EXIT_OK)
        rc = get_trust(q);
    if (rc == PS_EXIT_OK)
        rc = find_cache(q);
    if (rc == PS_EXIT_OK)
        rc = find_agent(q);
    if (rc == PS_EXIT_OK)
        rc = get_password(q);
    if (rc == PS_EXIT_OK)
        rc = make_body(q);
    for (int64_t i = 0; i < q->repeat && rc == PS_EXIT_OK; i++)
        rc = call_once(q);
    if (q->ctl->json && json_array_size(q->calls) > 0)
        print_answer(q);
    return rc;
}

static enum ps_exit
query(struct ps_ctl *ctl)
{
    struct query q = {.ctl = ctl, .calls = json_array()};
    PS_CHECK(q.calls);
    enum ps_exit rc = run(&q);
    query_done(&q);
    return rc;
}

/* clang-format off */
static const struct ps_option query_options[] = {
    {.name = "cache", .value = "CACHE", .required = true,
     .help = "id or name of the cache"},
    {.name = "user", .value = "USER", .required = true,
     .help = "of the database"},
    {.name = "database", .value = "DATABASE", .required = true,
     .help = "to be used"},
    {.name = "password-file", .value = "FILE",
     .help = "file with the database password; - is standard input"},
    {.name = "region", .value = "REGION",
     .help = "through an agent of this region"},
    {.name = "endpoint", .value = "URL",
     .help = "through the agent at this address"},
    {.name = "repeat", .value = "N", .help = "so many times, one by one"},
    {.name = "ca-file", .value = "FILE",
     .help = "PEM file with the CA of the agent's certificate"},
    {.name = "insecure", .help = "do not check the agent's certificate"},
    {.name = NULL},
};

const struct ps_command ps_query_commands[] = {
    {
        .name = "query",
        .synopsis =
            "--cache CACHE --user USER --database DATABASE [options] SQL "
            "[BINDING ...]",
        .summary = "run a statement through an agent and show how it answered",
        .details =
            "SQL - reads the statement from standard input. `?` takes the "
            "next BINDING; what reads as a JSON number, true, false, null, "
            "array or quoted string is that, all else is text. One BINDING of "
            "the form '{\"name\": value}' fills `:name`.\n\nPer call one "
            "line: hit, miss, stale or bypass, the time from the request to "
            "the last byte, Cache-Status, Portside-Reason and Age. Rows are "
            "shown again only when they have changed.\n\nThe password comes "
            "from --password-file, PORTSIDE_DB_PASSWORD, or is asked for.",
        .options = query_options,
        .min_operands = 1,
        .max_operands = -1,
        .run = query,
    },
    {.name = NULL},
};
/* clang-format on */
