/*
 * What would be done with a statement: every agent is asked, because each has
 * its own memory, and those whose clients have used the database have its
 * catalogue. The statement is repeated in the reply only; nothing is
 * changed, so nothing is written down.
 */
#include "controlplane/api/api_private.h"

#include <stdlib.h>

enum {
    DATABASE_MAX = 255
};

/* bindings as JSON text, for free(); NULL when there are none. */
static enum ps_rc
read_bindings(const json_t *body, char **out, struct ps_err *err)
{
    const json_t *value = json_object_get(body, "bindings");
    *out = NULL;
    if (!value || json_is_null(value))
        return PS_OK;
    if (!json_is_array(value) && !json_is_object(value))
        return ps_err_set(err, PS_BAD_FIELD,
                          "bindings must be an array or an object of values");
    *out = json_dumps(value, JSON_COMPACT);
    if (!*out)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    if (strlen(*out) <= PS_FLEET_TEXT_MAX)
        return PS_OK;
    free(*out);
    *out = NULL;
    return ps_err_set(err, PS_BAD_FIELD, "bindings are longer than %d bytes",
                      PS_FLEET_TEXT_MAX);
}

static const char *
state_text(const struct ps_ask_result *r)
{
    if (r->state == PS_ASK_DONE)
        return "answered";
    return r->state == PS_ASK_LOST ? "lost" : "no_answer";
}

/* An agent's object, if it is one. */
static void
put_explanation(struct ps_buf *out, struct ps_str text)
{
    json_t *json =
        text.ptr ? json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL)
                 : NULL;
    char *compact =
        json_is_object(json) ? json_dumps(json, JSON_COMPACT) : NULL;
    api_put_raw(out, "explanation", compact ? compact : "null");
    free(compact);
    json_decref(json);
}

static void
on_explained(void *arg, const struct ps_ask_end *end)
{
    struct api_request *request = arg;
    struct ps_buf *out = &request->out;
    struct ps_err err = {.rc = PS_OK};
    size_t answered = 0;
    for (size_t i = 0; i < end->n; i++)
        answered += end->results[i].answered;
    api_open(out, NULL, '{');
    api_put_int(out, "agents", (int64_t)end->n);
    api_put_int(out, "answered", (int64_t)answered);
    api_open(out, "results", '[');
    for (size_t i = 0; i < end->n; i++) {
        const struct ps_ask_result *r = &end->results[i];
        api_open(out, NULL, '{');
        api_put_text(out, "agentId", r->agent_id);
        api_put_text(out, "agentName", r->agent_name);
        api_put_text(out, "region", r->region);
        api_put_text(out, "state", state_text(r));
        put_explanation(out, r->json);
        api_close(out, '}');
    }
    api_close(out, ']');
    api_close(out, '}');
    api_finish(request, PS_OK, &err);
}

enum ps_rc
api_explain(struct api_request *request, struct ps_err *err)
{
    static const char *const fields[] = {"sql", "bindings", "database", NULL};
    struct ps_api *api = request->api;
    struct ps_cache_def def;
    struct ps_fleet_explain what = {.cache_id = def.id};
    char *bindings = NULL;
    enum ps_rc rc = api_only_fields(request->body, fields, err);
    if (rc == PS_OK)
        rc = api_text(request->body, "sql", 1, PS_FLEET_TEXT_MAX, &what.sql,
                      err);
    if (rc == PS_OK)
        rc = api_text(request->body, "database", 0, DATABASE_MAX,
                      &what.database, err);
    if (rc == PS_OK)
        rc = ps_db_cache_get(api->conf.db, request->param, &def, err);
    if (rc != PS_OK)
        return rc;
    rc = read_bindings(request->body, &bindings, err);
    what.bindings = bindings;
    if (rc == PS_OK)
        rc = ps_fleet_explain_ask(api->conf.fleet, &what, on_explained, request,
                                  &request->ask, err);
    free(bindings);
    ps_def_done(&def);
    request->held = rc == PS_OK;
    return rc;
}
