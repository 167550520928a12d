/*
 * Caches: JSON to record and back by the field table (store/cache_def.h), and
 * what a change sets off: a tick with the new version, an invalidation and a
 * reachability run when the origin is another one.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/tls.h"
#include "controlplane/api/api_private.h"

#include <stdio.h>

/* --------------------------------------------------------------- write */

static void
put_uri_template(struct ps_buf *out, const struct ps_cache_def *def)
{
    char uri[160];
    switch (def->type) {
    case PS_DEF_POSTGRES:
        snprintf(uri, sizeof(uri),
                 "postgresql://{username}:{password}@{agent}:5432/{database}"
                 "?application_name=%s",
                 def->id);
        break;
    case PS_DEF_MSSQL:
        snprintf(uri, sizeof(uri),
                 "mssql://%s-{username}:{password}@{agent}:1433/{database}",
                 def->id);
        break;
    default:
        snprintf(uri, sizeof(uri),
                 "%s://%s-{username}:{password}@{agent}:%d/{database}",
                 ps_def_type_text(def->type), def->id,
                 def->type == PS_DEF_MARIADB ? 3307 : 3306);
        break;
    }
    api_put_text(out, "connectionUriTemplate", uri);
}

static void
put_field(struct ps_buf *out, const struct ps_def_field *f,
          const struct ps_cache_def *def)
{
    int64_t number = 0;
    if (f->kind != PS_DEF_TEXT && f->kind != PS_DEF_LONG_TEXT)
        memcpy(&number, (const char *)def + f->offset, sizeof(number));
    switch (f->kind) {
    case PS_DEF_TEXT:
    case PS_DEF_LONG_TEXT:
        api_put_text(out, f->json, ps_def_text(f, def));
        break;
    case PS_DEF_BOOL:
        api_put_bool(out, f->json, number != 0);
        break;
    case PS_DEF_INT:
        api_put_int(out, f->json, number);
        break;
    case PS_DEF_CHOICE:
        api_put_text(out, f->json, ps_def_choice_text(f->choices, number));
        break;
    case PS_DEF_TIME:
        api_put_time(out, f->json, number);
        break;
    }
}

void
api_put_cache(struct ps_buf *out, const struct ps_cache_def *def)
{
    size_t count;
    const struct ps_def_field *fields = ps_def_fields(&count);
    for (size_t i = 0; i < count; i++) {
        put_field(out, &fields[i], def);
        if (i == 0)
            api_put_text(out, "workspaceId", "default");
    }
    put_uri_template(out, def);
}

static void
put_breaker(void *arg, const struct ps_agent *agent, bool trying)
{
    struct ps_buf *out = arg;
    api_open(out, NULL, '{');
    api_put_text(out, "agentId", agent->id);
    api_put_text(out, "agentName", agent->name);
    api_put_text(out, "region", agent->region);
    api_put_text(out, "state", trying ? "halfOpen" : "open");
    api_close(out, '}');
}

/* What agents say of its origin now. */
static void
put_breakers(struct api_request *request, const struct ps_cache_def *def)
{
    struct ps_buf *out = &request->out;
    api_open(out, "breakers", '[');
    size_t from = out->len;
    ps_fleet_each_resting(request->api->conf.fleet, def->id, put_breaker, out);
    if (ps_buf_rc(out) == PS_OK)
        api_tag_moment(request, from);
    api_close(out, ']');
}

static void
put_cache(struct api_request *request, const struct ps_cache_def *def)
{
    api_open(&request->out, NULL, '{');
    api_put_cache(&request->out, def);
    put_breakers(request, def);
    api_close(&request->out, '}');
}

/* ---------------------------------------------------------------- read */

static enum ps_rc
read_text(const json_t *value, const struct ps_def_field *f,
          struct ps_cache_def *def, struct ps_err *err)
{
    if (!json_is_string(value))
        return ps_err_set(err, PS_BAD_FIELD, "%s must be a string", f->json);
    struct ps_str text = {.ptr = json_string_value(value),
                          .len = json_string_length(value)};
    enum ps_rc rc = ps_def_set_text(f, def, text);
    if (rc == PS_TOO_BIG)
        return ps_err_set(err, PS_BAD_FIELD, "%s is longer than %zu bytes",
                          f->json, f->size - 1);
    return rc == PS_OK ? PS_OK : ps_err_set(err, rc, NULL);
}

static enum ps_rc
read_choice(const json_t *value, const struct ps_def_field *f,
            struct ps_cache_def *def, struct ps_err *err)
{
    struct ps_str text = ps_str_of(json_string_value(value));
    if (text.ptr && ps_def_choice_find(f->choices, text, ps_def_number(f, def)))
        return PS_OK;
    char list[128] = "";
    size_t used = 0;
    for (const struct ps_def_choice *c = f->choices; c->text; c++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
                                 used ? ", " : "", c->text);
    return ps_err_set(err, PS_BAD_FIELD, "%s must be one of: %s", f->json,
                      list);
}

static enum ps_rc
read_field(const json_t *body, const struct ps_def_field *f,
           struct ps_cache_def *def, struct ps_err *err)
{
    const json_t *value = json_object_get(body, f->json);
    switch (f->kind) {
    case PS_DEF_TEXT:
    case PS_DEF_LONG_TEXT:
        return read_text(value, f, def, err);
    case PS_DEF_BOOL:
        return api_bool(body, f->json, ps_def_number(f, def), err);
    case PS_DEF_CHOICE:
        return read_choice(value, f, def, err);
    default:
        return api_int(body, f->json, f->min, f->max, ps_def_number(f, def),
                       err);
    }
}

enum ps_rc
api_read_cache(const json_t *body, bool create, struct ps_cache_def *def,
               struct ps_err *err)
{
    size_t count, known = 0;
    const struct ps_def_field *fields = ps_def_fields(&count);
    for (size_t i = 0; i < count; i++) {
        const struct ps_def_field *f = &fields[i];
        if (!json_object_get(body, f->json)) {
            if (create && f->required)
                return ps_err_set(err, PS_MISSING_FIELD, "%s is missing",
                                  f->json);
            continue;
        }
        known++;
        if (f->access == PS_DEF_READ_ONLY ||
            (f->access == PS_DEF_AT_CREATE && !create))
            return ps_err_set(err, PS_BAD_FIELD, "%s cannot be changed",
                              f->json);
        enum ps_rc rc = read_field(body, f, def, err);
        if (rc != PS_OK)
            return rc;
    }
    if (known < json_object_size(body))
        return ps_err_set(err, PS_BAD_FIELD,
                          "the body has a field that caches do not have; "
                          "check the spelling");
    return PS_OK;
}

/* ------------------------------------------------------------- changes */

static void
start_probe(struct ps_api *api, const char *id)
{
    struct ps_cache_def def;
    char run_id[37];
    struct ps_err err;
    enum ps_rc rc = ps_db_cache_get(api->conf.db, id, &def, &err);
    if (rc == PS_OK) {
        rc = ps_fleet_probe(api->conf.fleet, &def, run_id, &err);
        ps_def_done(&def);
    }
    if (rc != PS_OK)
        ps_warn("api", "cannot start a reachability run of cache %s: %s", id,
                err.message);
}

/* For the list of events: who changed what. */
static void
note_change(struct api_request *request)
{
    struct ps_fleet *fleet = request->api->conf.fleet;
    const char *name = request->changed_name;
    const struct ps_event_about about = {.cache_id = request->changed,
                                         .cache_name = name[0] ? name : NULL};
    const char *who = request->token.name;
    if (request->follow & API_CREATED)
        ps_fleet_note(fleet, PS_EVENT_CACHE_CREATED, &about, "by %s", who);
    else if (request->follow & API_FORGET)
        ps_fleet_note(fleet, PS_EVENT_CACHE_DELETED, &about, "by %s", who);
    else
        ps_fleet_note(fleet, PS_EVENT_CACHE_CHANGED, &about, "%s by %s",
                      request->rule_changed ? "its rules" : "its settings",
                      who);
}

void
api_follow(struct api_request *request)
{
    struct ps_api *api = request->api;
    const char *id = request->changed;
    struct ps_err err;
    uint64_t number;
    if (request->follow & API_TELL)
        ps_fleet_config_changed(api->conf.fleet);
    if (request->follow & API_TELL && id[0])
        note_change(request);
    if (request->follow & API_INVALIDATE &&
        ps_fleet_purge(api->conf.fleet, id, &number, NULL) != PS_OK)
        ps_warn("api", "cannot invalidate cache %s", id);
    if (request->follow & API_PROBE)
        start_probe(api, id);
    if (request->follow & API_FORGET && api->conf.rollup &&
        ps_rollup_drop_cache(api->conf.rollup, id, &err) != PS_OK)
        ps_warn("api", "the statistics of cache %s are left: %s", id,
                err.message);
}

/* The cache's id; what is to follow. */
static void
changed(struct api_request *request, const char *id, unsigned follow)
{
    request->follow = follow;
    snprintf(request->changed, sizeof(request->changed), "%.36s", id);
}

void
api_rule_changed(struct api_request *request, const char *cache_id)
{
    changed(request, cache_id, API_TELL);
    request->rule_changed = true;
}

/* Stores it, with its rules where some were sent. */
static enum ps_rc
create(struct api_request *request, struct ps_cache_def *def,
       struct api_rules *rules, struct ps_err *err)
{
    struct ps_api *api = request->api;
    enum ps_rc rc = api_read_cache(request->body, true, def, err);
    if (rc == PS_OK)
        rc = ps_def_check(def, err);
    if (rc == PS_OK && def->port == 0)
        def->port = ps_def_default_port(def->type);
    if (rc == PS_OK)
        rc = ps_db_definition_put(api->conf.db, def, true, rules->list,
                                  rules->count, err);
    if (rc != PS_OK)
        return rc;
    ps_info("api", "created cache %s", def->id);
    changed(request, def->id, API_TELL | API_PROBE | API_CREATED);
    api_tag_revision(request, def->revision);
    request->status = 201;
    snprintf(request->location, sizeof(request->location), "/v1/caches/%s",
             def->id);
    api_open(&request->out, NULL, '{');
    api_put_cache(&request->out, def);
    put_breakers(request, def);
    if (rules->list)
        rc = api_put_rules(request, "rules", def->id, err);
    api_close(&request->out, '}');
    return rc;
}

enum ps_rc
api_create_cache(struct api_request *request, struct ps_err *err)
{
    struct ps_cache_def def;
    struct api_rules rules;
    if (request->token.caches[0])
        return ps_err_set(err, PS_FORBIDDEN,
                          "this token is for some caches only; a new one "
                          "takes a token for all");
    ps_def_init(&def);
    ps_uuid_make(def.id);
    def.created_ms = def.updated_ms = ps_wall_ms();
    enum ps_rc rc = api_rules_take(request, def.id, &rules, err);
    if (rc == PS_OK)
        rc = create(request, &def, &rules, err);
    api_rules_done(&rules);
    ps_def_done(&def);
    return rc;
}

static bool
same_origin(const struct ps_cache_def *a, const struct ps_cache_def *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port &&
           a->tls_mode == b->tls_mode &&
           strcmp(a->tls_ca ? a->tls_ca : "", b->tls_ca ? b->tls_ca : "") == 0;
}

void
api_cache_changed(struct api_request *request, const struct ps_cache_def *old,
                  const struct ps_cache_def *def)
{
    ps_info("api", "changed cache %s", def->id);
    changed(request, def->id,
            same_origin(old, def) ? API_TELL
                                  : API_TELL | API_INVALIDATE | API_PROBE);
    api_tag_revision(request, def->revision);
}

enum ps_rc
api_read_change(struct api_request *request, struct ps_cache_def *def,
                struct ps_err *err)
{
    enum ps_rc rc = api_read_cache(request->body, false, def, err);
    if (rc == PS_OK)
        rc = ps_def_check(def, err);
    def->revision++;
    def->updated_ms = PS_MAX(ps_wall_ms(), def->updated_ms);
    return rc;
}

enum ps_rc
api_change_cache(struct api_request *request, api_cache_update update,
                 struct ps_err *err)
{
    struct ps_cache_def old, def;
    struct ps_db *db = request->api->conf.db;
    enum ps_rc rc = ps_db_cache_get(db, request->param, &old, err);
    if (rc != PS_OK)
        return rc;
    if (json_object_size(request->body) == 0)
        rc = ps_err_set(err, PS_MISSING_FIELD,
                        "the body has no field; send what is to change");
    else
        rc = ps_db_cache_get(db, request->param, &def, err);
    if (rc == PS_OK) {
        rc = update(request, &old, &def, err);
        ps_def_done(&def);
    }
    ps_def_done(&old);
    return rc;
}

static enum ps_rc
update(struct api_request *request, const struct ps_cache_def *old,
       struct ps_cache_def *def, struct ps_err *err)
{
    enum ps_rc rc = api_read_change(request, def, err);
    if (rc == PS_OK)
        rc = ps_db_cache_update(request->api->conf.db, def, err);
    if (rc != PS_OK)
        return rc;
    api_cache_changed(request, old, def);
    put_cache(request, def);
    return PS_OK;
}

enum ps_rc
api_update_cache(struct api_request *request, struct ps_err *err)
{
    return api_change_cache(request, update, err);
}

enum ps_rc
api_delete_cache(struct api_request *request, struct ps_err *err)
{
    struct ps_api *api = request->api;
    struct ps_cache_def def;
    enum ps_rc rc = ps_db_cache_get(api->conf.db, request->param, &def, err);
    if (rc != PS_OK)
        return rc;
    snprintf(request->changed_name, sizeof(request->changed_name), "%s",
             def.name);
    ps_def_done(&def);
    rc = ps_db_cache_delete(api->conf.db, request->param, err);
    if (rc != PS_OK)
        return rc;
    ps_info("api", "deleted cache %s", request->param);
    changed(request, request->param, API_TELL | API_FORGET);
    request->status = 204;
    return PS_OK;
}

/* ---------------------------------------------------------------- read */

static enum ps_rc
list_cache(void *arg, const struct ps_cache_def *def)
{
    struct api_list *list = arg;
    const char *name = def->name;
    if (api_list_row(list, &name))
        put_cache(list->request, def);
    return PS_OK;
}

static enum ps_rc
list_bare(void *arg, const struct ps_cache_def *def)
{
    put_cache(arg, def);
    return PS_OK;
}

/* All of them as a bare array when nobody asks for pages: PolyScale's client
 * expects that. Their number is bounded by PS_DB_DEFS_MAX. */
enum ps_rc
api_list_caches(struct api_request *request, struct ps_err *err)
{
    struct api_list list = {.name = "caches", .keys = 1};
    struct ps_db *db = request->api->conf.db;
    const char *ids = request->token.caches;
    enum ps_rc rc = api_list_begin(request, &list, err);
    if (rc != PS_OK)
        return rc;
    if (!request->query || !request->query[0]) {
        api_open(&request->out, NULL, '[');
        rc = ps_db_cache_each(db, NULL, ids, list_bare, request, err);
        api_close(&request->out, ']');
        return rc;
    }
    api_list_open(&list);
    rc = ps_db_cache_each(db, &list.page, ids, list_cache, &list, err);
    api_list_close(&list);
    return rc;
}

enum ps_rc
api_get_cache(struct api_request *request, struct ps_err *err)
{
    struct ps_cache_def def;
    enum ps_rc rc =
        ps_db_cache_get(request->api->conf.db, request->param, &def, err);
    if (rc == PS_OK) {
        put_cache(request, &def);
        api_tag_revision(request, def.revision);
        ps_def_done(&def);
    }
    return rc;
}

/* ------------------------------------------------------- reachability */

/* A body without fields, and a cache that exists. */
static enum ps_rc
find_cache(struct api_request *request, struct ps_cache_def *def,
           struct ps_err *err)
{
    static const char *const fields[] = {NULL};
    enum ps_rc rc = api_only_fields(request->body, fields, err);
    if (rc == PS_OK)
        rc = ps_db_cache_get(request->api->conf.db, request->param, def, err);
    return rc;
}

enum ps_rc
api_test_cache(struct api_request *request, struct ps_err *err)
{
    struct ps_cache_def def;
    char run_id[37];
    enum ps_rc rc = find_cache(request, &def, err);
    if (rc != PS_OK)
        return rc;
    rc = ps_fleet_probe(request->api->conf.fleet, &def, run_id, err);
    ps_def_done(&def);
    if (rc != PS_OK)
        return rc;
    request->status = 202;
    api_open(&request->out, NULL, '{');
    api_put_text(&request->out, "runId", run_id);
    api_close(&request->out, '}');
    return PS_OK;
}

static enum ps_rc
put_result(void *arg, const struct ps_run_result *result)
{
    struct ps_buf *out = arg;
    api_open(out, NULL, '{');
    api_put_text(out, "agentId", result->agent_id);
    api_put_text(out, "agentName", result->agent_name);
    api_put_text(out, "region", result->region);
    api_put_bool(out, "done", result->done);
    api_put_bool(out, "ok", result->ok);
    api_put_text(out, "code", result->code);
    api_put_raw(out, "stages", result->stages);
    api_put_text(out, "sourceAddress", result->source_address);
    api_put_text(out, "targetAddress", result->target_address);
    api_put_text(out, "serverVersion", result->server_version);
    api_put_text(out, "advice", result->advice);
    api_close(out, '}');
    return PS_OK;
}

enum ps_rc
api_get_reachability(struct api_request *request, struct ps_err *err)
{
    struct ps_db *db = request->api->conf.db;
    struct ps_buf *out = &request->out;
    struct ps_cache_def def;
    struct ps_run run;
    enum ps_rc rc = ps_db_cache_get(db, request->param, &def, err);
    if (rc != PS_OK)
        return rc;
    ps_def_done(&def);
    rc = ps_db_run_get(db, request->param, request->run, &run, err);
    if (rc != PS_OK)
        return rc;
    api_open(out, NULL, '{');
    api_put_text(out, "runId", run.id);
    api_put_text(out, "cacheId", run.cache_id);
    api_put_text(out, "state", run.finished_ms ? "done" : "running");
    api_put_time(out, "startedAt", run.started_ms);
    api_put_time(out, "finishedAt", run.finished_ms);
    api_open(out, "results", '[');
    rc = ps_db_run_result_each(db, run.id, put_result, out, err);
    api_close(out, ']');
    api_close(out, '}');
    return rc;
}
