/*
 * Purging a cache's answers: all of them, those that depend on a table, those
 * of a template, those of one query. The reply leaves when every agent has said
 * what it dropped, or after a few seconds, and names the agents that did
 * not. It repeats no statement, so that the audit log holds none.
 */
#include "controlplane/api/api_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct scope {
    const char *field, *name;
    enum ps_fleet_purge_kind kind;
    bool by_id;
} scopes[] = {
    {"table",      "table",    PS_FLEET_PURGE_TABLE,    false},
    {"template",   "template", PS_FLEET_PURGE_TEMPLATE, false},
    {"templateId", "template", PS_FLEET_PURGE_TEMPLATE, true },
    {"query",      "query",    PS_FLEET_PURGE_QUERY,    false},
    {"queryId",    "query",    PS_FLEET_PURGE_QUERY,    true },
};

static const char *const scope_names[] = {
    [PS_FLEET_PURGE_CACHE] = "cache",
    [PS_FLEET_PURGE_TABLE] = "table",
    [PS_FLEET_PURGE_TEMPLATE] = "template",
    [PS_FLEET_PURGE_QUERY] = "query",
};

static bool
read_id(const char *text, uint64_t *id)
{
    if (strlen(text) != 16 || strspn(text, "0123456789abcdefABCDEF") != 16)
        return false;
    *id = strtoull(text, NULL, 16);
    return *id != 0;
}

static enum ps_rc
read_scope(const json_t *body, struct ps_fleet_purge *purge, struct ps_err *err)
{
    static const char *const fields[] = {"table", "template", "templateId",
                                         "query", "queryId",  NULL};
    enum ps_rc rc = api_only_fields(body, fields, err);
    if (rc == PS_OK && json_object_size(body) > 1)
        rc = ps_err_set(err, PS_BAD_FIELD,
                        "give one of table, template, templateId, query and "
                        "queryId, or none of them for the whole cache");
    for (size_t i = 0; rc == PS_OK && i < PS_ARRAY_LEN(scopes); i++) {
        const struct scope *scope = &scopes[i];
        const char *text;
        if (!json_object_get(body, scope->field))
            continue;
        rc = api_text(body, scope->field, 1, PS_FLEET_TEXT_MAX, &text, err);
        if (rc != PS_OK)
            return rc;
        purge->kind = scope->kind;
        if (!scope->by_id)
            purge->text = text;
        else if (!read_id(text, &purge->id))
            rc = ps_err_set(err, PS_BAD_FIELD,
                            "%s must be 16 hexadecimal digits, as `psctl "
                            "stats --by template` or `psctl explain` shows it",
                            scope->field);
    }
    return rc;
}

/* ----------------------------------------------------------- the reply */

static const char *
state_text(const struct ps_ask_result *r)
{
    if (r->state == PS_ASK_DONE)
        return "purged";
    return r->state == PS_ASK_LOST ? "lost" : "no_answer";
}

static void
put_result(struct ps_buf *out, const struct ps_ask_result *r)
{
    api_open(out, NULL, '{');
    api_put_text(out, "agentId", r->agent_id);
    api_put_text(out, "agentName", r->agent_name);
    api_put_text(out, "region", r->region);
    api_put_text(out, "state", state_text(r));
    if (r->answered)
        api_put_int(out, "entries", (int64_t)r->purge.entries);
    else
        api_put_raw(out, "entries", "null");
    api_put_bool(out, "known", !r->answered || r->purge.known);
    api_put_bool(out, "wider", r->answered && r->purge.wider);
    api_close(out, '}');
}

static void
put_totals(struct ps_buf *out, const struct ps_ask_end *end)
{
    char id[24] = "";
    uint64_t entries = 0;
    size_t purged = 0;
    for (size_t i = 0; i < end->n; i++) {
        const struct ps_ask_result *r = &end->results[i];
        purged += r->state == PS_ASK_DONE;
        entries += r->purge.entries;
        if (r->purge.id)
            snprintf(id, sizeof(id), "%016" PRIx64, r->purge.id);
    }
    api_put_text_or_null(out, "id", id);
    api_put_int(out, "agents", (int64_t)end->n);
    api_put_int(out, "purged", (int64_t)purged);
    api_put_int(out, "entries", (int64_t)PS_MIN(entries, (uint64_t)INT64_MAX));
}

static void
on_purged(void *arg, const struct ps_ask_end *end)
{
    struct api_request *request = arg;
    struct ps_buf *out = &request->out;
    struct ps_err err = {.rc = PS_OK};
    struct ps_fleet_purge purge = {.kind = PS_FLEET_PURGE_CACHE};
    /* It was read before, without an error. */
    enum ps_rc rc = read_scope(request->body, &purge, &err);
    api_open(out, NULL, '{');
    api_put_int(out, "number", (int64_t)end->number);
    api_put_text(out, "scope", scope_names[purge.kind]);
    api_put_text_or_null(out, "table",
                         purge.kind == PS_FLEET_PURGE_TABLE ? purge.text : "");
    put_totals(out, end);
    api_open(out, "results", '[');
    for (size_t i = 0; i < end->n; i++)
        put_result(out, &end->results[i]);
    api_close(out, ']');
    api_close(out, '}');
    api_finish(request, rc, &err);
}

enum ps_rc
api_purge_cache(struct api_request *request, struct ps_err *err)
{
    struct ps_api *api = request->api;
    struct ps_cache_def def;
    struct ps_fleet_purge purge = {.kind = PS_FLEET_PURGE_CACHE};
    enum ps_rc rc = read_scope(request->body, &purge, err);
    if (rc == PS_OK)
        rc = ps_db_cache_get(api->conf.db, request->param, &def, err);
    if (rc != PS_OK)
        return rc;
    purge.cache_id = def.id;
    rc = ps_fleet_purge_ask(api->conf.fleet, &purge, on_purged, request,
                            &request->ask, err);
    ps_def_done(&def);
    request->held = rc == PS_OK;
    return rc;
}
