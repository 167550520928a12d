/*
 * params as a list go with the database's own placeholders ($1, ?, @p0); as an
 * object they are named (:name) and replaced by knex's rules, as `bindings` of
 * the PolyScale protocol are, which are accepted here too.
 */
#include "agent/front/query.h"

#include "agent/front/credentials.h"
#include "agent/front/knex.h"
#include "agent/front/params.h"
#include "agent/front/polyscale.h"
#include "agent/front/protocol.h"
#include "agent/result/styles.h"

enum {
    MAX_MS = INT32_MAX
};

static const enum ps_dialect dialects[PS_PROVIDER_COUNT] = {
    [PS_PROVIDER_POSTGRES] = PS_DIALECT_POSTGRES,
    [PS_PROVIDER_MYSQL] = PS_DIALECT_MYSQL,
    [PS_PROVIDER_MARIADB] = PS_DIALECT_MYSQL,
    [PS_PROVIDER_MSSQL] = PS_DIALECT_TSQL,
};

/* ---- parameters ---- */

/* A list as knex has it: of single values. */
static enum ps_rc
list_value(const struct ps_json *list, struct ps_arena *arena,
           struct ps_param *out, struct ps_err *err)
{
    size_t n = 0;
    struct ps_param *items =
        ps_arena_alloc(arena, (list->count + 1) * sizeof(*items));
    if (!items)
        return ps_err_set(err, PS_BODY_TOO_BIG, NULL);
    for (const struct ps_json *m = list->first; m; m = m->next) {
        if (m->kind == PS_JSON_ARRAY)
            return ps_err_set(err, PS_BAD_BINDINGS,
                              "a list of parameters holds a list");
        enum ps_rc rc = ps_param_read(m, false, arena, &items[n++], err);
        if (rc != PS_OK)
            return rc;
    }
    *out =
        (struct ps_param){.kind = PS_PARAM_ARRAY, .items = items, .n_items = n};
    return PS_OK;
}

static enum ps_rc
knex_bindings(const struct ps_json *values, struct ps_arena *arena,
              struct ps_knex_bindings *b, struct ps_err *err)
{
    if (values->count > PS_PARAMS_MAX)
        return ps_err_set(err, PS_BAD_BINDINGS,
                          "there are more than %d parameters", PS_PARAMS_MAX);
    b->list = ps_arena_zalloc(arena, (values->count + 1) * sizeof(*b->list));
    if (!b->list)
        return ps_err_set(err, PS_BODY_TOO_BIG, NULL);
    b->shape = values->kind == PS_JSON_OBJECT ? PS_KNEX_OBJECT : PS_KNEX_ARRAY;
    for (const struct ps_json *m = values->first; m; m = m->next) {
        struct ps_knex_binding *one = &b->list[b->count++];
        one->name = m->key;
        enum ps_rc rc = m->kind == PS_JSON_ARRAY
                            ? list_value(m, arena, &one->value, err)
                            : ps_param_read(m, false, arena, &one->value, err);
        if (rc != PS_OK)
            return rc;
    }
    return PS_OK;
}

static enum ps_rc
prepare(struct ps_req *req, struct ps_statement *out, struct ps_err *err)
{
    const struct ps_query_request *request =
        PS_CONTAINER_OF(req, struct ps_query_request, req);
    if (request->knex) {
        struct ps_knex_bindings bindings = {.count = 0};
        enum ps_rc rc =
            knex_bindings(request->params, req->arena, &bindings, err);
        return rc == PS_OK ? ps_knex_prepare(dialects[req->provider], req->sql,
                                             &bindings, req->arena, out, err)
                           : rc;
    }
    struct ps_params params;
    enum ps_rc rc =
        ps_params_read(request->params, req->provider == PS_PROVIDER_POSTGRES,
                       req->arena, &params, err);
    if (rc == PS_OK)
        *out = (struct ps_statement){
            .sql = req->sql, .params = params.list, .n_params = params.n};
    return rc;
}

#define FORM(array, line)                                         \
    {                                                             \
        .format = PS_FORMAT_QUERY + (array) + 2 * (line),         \
        .style = &ps_query_style[array][line], .prepare = prepare \
    }
static const struct ps_req_protocol forms[2][2] = {
    {FORM(0, 0), FORM(0, 1)},
    {FORM(1, 0), FORM(1, 1)}
};

/* ---- fields ---- */

static enum ps_rc
wrong(const char *key, const char *expected, struct ps_err *err)
{
    return ps_err_set(err, PS_BAD_FIELD, "%s must be %s", key, expected);
}

/* An optional string without NUL; absent and null leave *out as it is. */
static enum ps_rc
text_field(const struct ps_json *body, const char *key, struct ps_str *out,
           struct ps_err *err)
{
    const struct ps_json *value = ps_json_get(body, key);
    if (!value || value->kind == PS_JSON_NULL)
        return PS_OK;
    if (value->kind != PS_JSON_STRING)
        return wrong(key, "a string", err);
    if (value->text.len && memchr(value->text.ptr, '\0', value->text.len))
        return wrong(key, "text without the character NUL", err);
    *out = value->text;
    return PS_OK;
}

/* An optional number of milliseconds; *there says whether it was given. */
static enum ps_rc
ms_field(const struct ps_json *object, const char *key, bool *there,
         uint64_t *out, struct ps_err *err)
{
    const struct ps_json *value = ps_json_get(object, key);
    uint64_t n = 0;
    *there = false;
    if (!value || value->kind == PS_JSON_NULL)
        return PS_OK;
    if (value->kind != PS_JSON_NUMBER)
        return wrong(key, "a number of milliseconds", err);
    for (size_t i = 0; i < value->text.len; i++) {
        char c = value->text.ptr[i];
        if (c < '0' || c > '9')
            return wrong(key, "a whole number of milliseconds, not below zero",
                         err);
        n = PS_MIN(n * 10 + (uint64_t)(c - '0'), (uint64_t)MAX_MS);
    }
    *there = true;
    *out = n;
    return PS_OK;
}

static enum ps_rc
cache_control(struct ps_req *req, const struct ps_json *body,
              struct ps_err *err)
{
    const struct ps_json *object = ps_json_get(body, "cache_control");
    struct ps_str mode = PS_STR("auto");
    bool there;
    uint64_t ms = 0;
    if (!object || object->kind == PS_JSON_NULL)
        return PS_OK;
    if (object->kind != PS_JSON_OBJECT)
        return wrong("cache_control", "an object", err);
    enum ps_rc rc = text_field(object, "mode", &mode, err);
    if (rc != PS_OK)
        return rc;
    if (ps_str_eq(mode, PS_STR("bypass")))
        req->no_cache = req->no_store = true;
    else if (ps_str_eq(mode, PS_STR("only_if_cached")))
        req->only_if_cached = true;
    else if (!ps_str_eq(mode, PS_STR("auto")))
        return wrong("cache_control.mode", "auto, bypass or only_if_cached",
                     err);
    rc = ms_field(object, "max_age_ms", &there, &ms, err);
    if (rc != PS_OK)
        return rc;
    if (there) {
        req->has_max_age = true;
        req->max_age_ms = ms;
    }
    rc = ms_field(object, "swr_ms", &there, &req->stale_while_revalidate_ms,
                  err);
    if (rc != PS_OK)
        return rc;
    return ms_field(object, "ttl_ms", &req->has_ttl, &req->ttl_ms, err);
}

static enum ps_rc
who(struct ps_req *req, const struct ps_json *body, struct ps_str authorization,
    struct ps_err *err)
{
    struct ps_credentials c = {.user = PS_STR_NONE};
    enum ps_rc rc = PS_OK;
    if (authorization.ptr)
        rc = ps_credentials_basic(authorization, req->arena, &c, err);
    if (rc == PS_OK && !authorization.ptr)
        rc = text_field(body, "username", &c.user, err);
    if (rc == PS_OK && !authorization.ptr)
        rc = text_field(body, "password", &c.password, err);
    if (rc != PS_OK)
        return rc;
    if (!c.user.len)
        return ps_err_set(
            err, authorization.ptr ? PS_UNAUTHORIZED : PS_MISSING_FIELD,
            "there are no credentials: send Authorization: "
            "Basic, or username and password");
    ps_credentials_split(&c);
    rc = text_field(body, "cacheId", &c.cache_id, err);
    if (rc == PS_OK)
        rc = text_field(body, "cache", &c.cache_id, err);
    if (rc == PS_OK)
        rc = text_field(body, "database", &c.database, err);
    if (rc != PS_OK)
        return rc;
    if (!c.cache_id.len)
        return ps_err_set(err, PS_MISSING_FIELD,
                          "cache is missing: the id of the cache (see `psctl "
                          "cache list`)");
    req->needs_database = true;
    req->cache_id = c.cache_id;
    req->database = c.database.ptr ? c.database : PS_STR("");
    req->user = c.user;
    req->password = c.password;
    return PS_OK;
}

static enum ps_rc
provider(struct ps_req *req, const struct ps_json *body, struct ps_err *err)
{
    struct ps_str name = PS_STR_NONE;
    enum ps_rc rc = text_field(body, "provider", &name, err);
    if (rc != PS_OK || !name.ptr)
        return rc;
    req->has_provider = ps_provider_parse(name, &req->provider);
    return req->has_provider
               ? PS_OK
               : wrong("provider", "one of postgres, mysql, mariadb, mssql",
                       err);
}

/* ---- the request ---- */

static bool
is_list(const struct ps_json *value)
{
    return value->kind == PS_JSON_ARRAY || value->kind == PS_JSON_OBJECT;
}

/* Absent and null: none. */
static const struct ps_json *
given(const struct ps_json *body, const char *key)
{
    const struct ps_json *value = ps_json_get(body, key);
    return value && value->kind != PS_JSON_NULL ? value : NULL;
}

static enum ps_rc
parameters(struct ps_query_request *request, const struct ps_json *body,
           struct ps_err *err)
{
    const struct ps_json *params = given(body, "params");
    const struct ps_json *bindings = given(body, "bindings");
    if ((params && !is_list(params)) || (bindings && !is_list(bindings)))
        return wrong("params", "a list or an object of values", err);
    if (params && bindings)
        return wrong("bindings", "absent where there are params", err);
    request->knex = bindings || (params && params->kind == PS_JSON_OBJECT);
    request->params = bindings ? bindings : params;
    /* Their JSON tells them apart, and by which rules they are bound. */
    struct ps_str raw = request->params ? request->params->raw : PS_STR("");
    char *key = ps_arena_alloc(request->req.arena, raw.len + 1);
    if (!key)
        return ps_err_set(err, PS_BODY_TOO_BIG, NULL);
    key[0] = request->knex ? 'k' : '$';
    memcpy(key + 1, raw.ptr, raw.len);
    request->req.key_bindings = (struct ps_str){key, raw.len + 1};
    return PS_OK;
}

static enum ps_rc
form(struct ps_query_request *request, const struct ps_json *body, bool lines,
     struct ps_err *err)
{
    struct ps_str rows = PS_STR("object");
    enum ps_rc rc = text_field(body, "rows", &rows, err);
    if (rc != PS_OK)
        return rc;
    request->arrays = ps_str_eq(rows, PS_STR("array"));
    if (!request->arrays && !ps_str_eq(rows, PS_STR("object")))
        return wrong("rows", "object or array", err);
    request->lines = lines;
    return PS_OK;
}

static enum ps_rc
statement(struct ps_query_request *request, const struct ps_json *body,
          struct ps_err *err)
{
    struct ps_req *req = &request->req;
    enum ps_rc rc = text_field(body, "sql", &req->sql, err);
    if (rc != PS_OK)
        return rc;
    if (!req->sql.len)
        return ps_err_set(err, PS_MISSING_FIELD,
                          "sql is missing: the statement to run");
    req->protocol = &forms[request->arrays][request->lines];
    rc = ps_polyscale_key_sql(req, &req->key_sql);
    if (rc != PS_OK)
        return ps_err_set(err, rc, NULL);
    return parameters(request, body, err);
}

/* ---- a batch ---- */

static enum ps_rc
flag_field(const struct ps_json *object, const char *key, bool *out,
           struct ps_err *err)
{
    const struct ps_json *value = given(object, key);
    *out = false;
    if (!value)
        return PS_OK;
    if (value->kind != PS_JSON_BOOL)
        return wrong(key, "true or false", err);
    *out = value->boolean;
    return PS_OK;
}

static enum ps_rc
transaction(struct ps_batch_mode *mode, const struct ps_json *body,
            struct ps_err *err)
{
    static const struct {
        const char *name;
        enum ps_isolation isolation;
    } levels[] = {
        {"read_uncommitted", PS_ISOLATION_READ_UNCOMMITTED},
        {"read_committed",   PS_ISOLATION_READ_COMMITTED  },
        {"repeatable_read",  PS_ISOLATION_REPEATABLE_READ },
        {"serializable",     PS_ISOLATION_SERIALIZABLE    },
    };
    const struct ps_json *object = given(body, "transaction");
    struct ps_str name = PS_STR_NONE;
    *mode = (struct ps_batch_mode){.isolation = PS_ISOLATION_DEFAULT};
    if (object && object->kind != PS_JSON_OBJECT)
        return wrong("transaction", "an object", err);
    enum ps_rc rc = text_field(object, "isolation", &name, err);
    if (rc == PS_OK)
        rc = flag_field(object, "read_only", &mode->read_only, err);
    if (rc == PS_OK)
        rc = flag_field(object, "deferrable", &mode->deferrable, err);
    if (rc != PS_OK || !name.ptr)
        return rc;
    for (size_t i = 0; i < PS_ARRAY_LEN(levels); i++) {
        if (ps_str_eq(name, ps_str_of(levels[i].name)))
            mode->isolation = levels[i].isolation;
    }
    return mode->isolation != PS_ISOLATION_DEFAULT
               ? PS_OK
               : wrong("transaction.isolation",
                       "read_uncommitted, read_committed, repeatable_read or "
                       "serializable",
                       err);
}

/* All are checked before the first one runs. */
static enum ps_rc
batch(struct ps_query_request *request, const struct ps_json *body,
      struct ps_err *err)
{
    const struct ps_json *list = ps_json_get(body, "statements");
    request->batch = true;
    request->statements = list;
    request->lines = false;
    if (list->kind != PS_JSON_ARRAY || list->count > PS_BATCH_MAX)
        return ps_err_set(err, PS_BAD_FIELD,
                          "statements must be a list of at most %d",
                          PS_BATCH_MAX);
    if (given(body, "sql"))
        return wrong("sql", "absent where there are statements", err);
    enum ps_rc rc = transaction(&request->mode, body, err);
    for (const struct ps_json *s = list->first; s && rc == PS_OK; s = s->next) {
        request->req.sql = PS_STR_NONE;
        rc = s->kind == PS_JSON_OBJECT
                 ? statement(request, s, err)
                 : wrong("statements", "a list of objects", err);
    }
    return rc;
}

bool
ps_query_statement(struct ps_query_request *request, size_t i)
{
    struct ps_err err;
    const struct ps_json *s = request->statements->first;
    /* They run in order, so this walk is as long as the batch at most. */
    while (s && i-- > 0)
        s = s->next;
    return s && statement(request, s, &err) == PS_OK;
}

/* "epoch:number", which is the client's to keep and to show. */
static enum ps_rc
after_token(struct ps_req *req, const struct ps_json *body, struct ps_err *err)
{
    struct ps_str text = PS_STR_NONE;
    size_t n = 0;
    enum ps_rc rc = text_field(body, "after", &text, err);
    req->want_position = true;
    if (rc != PS_OK || !text.len)
        return rc;
    const char *colon = memchr(text.ptr, ':', text.len);
    size_t epoch = colon ? (size_t)(colon - text.ptr) : 0;
    uint64_t number = 0;
    for (size_t i = epoch + 1; colon && i < text.len; i++, n++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || n > 18)
            return wrong("after", "the token of a reply", err);
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    if (n == 0 || epoch == 0 || epoch >= sizeof(req->after.epoch))
        return wrong("after", "the token of a reply", err);
    memcpy(req->after.epoch, text.ptr, epoch);
    req->after.epoch[epoch] = '\0';
    req->after.number = number;
    req->has_after = true;
    return PS_OK;
}

/* ---- the request ---- */

enum ps_rc
ps_query_accept(struct ps_query_request *request, struct ps_str text,
                struct ps_str authorization, bool lines, struct ps_err *err)
{
    struct ps_req *req = &request->req;
    struct ps_json *body = ps_arena_alloc(req->arena, sizeof(*body));
    request->params = request->statements = NULL;
    request->knex = request->lines = request->batch = false;
    if (!body)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    enum ps_rc rc = ps_json_read(text, req->arena, body, err);
    if (rc == PS_OK && body->kind != PS_JSON_OBJECT)
        rc = ps_err_set(err, PS_BAD_JSON,
                        "the body is not a JSON object; send "
                        "{\"cache\":...,\"database\":...,\"sql\":...}");
    if (rc == PS_OK)
        rc = who(req, body, authorization, err);
    if (rc == PS_OK)
        rc = provider(req, body, err);
    if (rc == PS_OK)
        rc = form(request, body, lines, err);
    if (rc == PS_OK)
        rc = cache_control(req, body, err);
    if (rc == PS_OK)
        rc = after_token(req, body, err);
    if (rc == PS_OK)
        rc = given(body, "statements") ? batch(request, body, err)
                                       : statement(request, body, err);
    return rc;
}

/* ---- the reply ---- */

static bool
accepts_lines(struct ps_str accept)
{
    static const char type[] = "application/x-ndjson";
    size_t n = sizeof(type) - 1;
    for (size_t i = 0; i + n <= accept.len; i++) {
        if (ps_str_eq_nocase((struct ps_str){accept.ptr + i, n},
                             ps_str_of(type)))
            return true;
    }
    return false;
}

static bool
fill(struct ps_exchange *x, size_t i)
{
    return ps_query_statement(&x->request.query, i);
}

static enum ps_rc
accept_input(struct ps_exchange *x, const struct ps_http_input *in,
             struct ps_err *err)
{
    bool lines =
        accepts_lines(ps_head_value(in->head, in->head_base, PS_HEAD_ACCEPT));
    enum ps_rc rc = ps_query_accept(
        &x->request.query, in->body,
        ps_head_value(in->head, in->head_base, PS_HEAD_AUTHORIZATION), lines,
        err);
    if (rc == PS_OK && x->request.query.lines)
        x->content_type = "application/x-ndjson";
    x->takes_parts = rc == PS_OK && x->request.query.lines;
    if (rc == PS_OK && x->request.query.batch &&
        !ps_batch_new(x, x->request.query.statements->count,
                      &x->request.query.mode, fill, "}}"))
        rc = ps_err_set(err, PS_NO_MEMORY, NULL);
    return rc;
}

static void
token_json(const struct ps_reply *reply, struct ps_buf *out)
{
    if (reply->position.epoch[0] == '\0') {
        ps_buf_append_c(out, ",\"token\":null");
        return;
    }
    ps_buf_append_c(out, ",\"token\":\"");
    ps_buf_append_c(out, reply->position.epoch);
    ps_buf_append_char(out, ':');
    ps_buf_append_u64(out, reply->position.number);
    ps_buf_append_char(out, '"');
}

static const char *
status_of(enum ps_verdict verdict)
{
    switch (verdict) {
    case PS_VERDICT_HIT:
        return "hit";
    case PS_VERDICT_MISS:
        return "miss";
    case PS_VERDICT_STALE:
        return "stale";
    case PS_VERDICT_BYPASS:
        return "bypass";
    case PS_VERDICT_NONE:
        break;
    }
    return "none";
}

static void
cache_json(const struct ps_reply *reply, struct ps_buf *out)
{
    bool kept = reply->verdict == PS_VERDICT_HIT || reply->stored;
    ps_buf_append_c(out, "\"status\":\"");
    ps_buf_append_c(out, status_of(reply->verdict));
    ps_buf_append_c(out, "\",\"reason\":");
    ps_origin_text_json(out, reply->reason);
    ps_buf_append_c(out, ",\"age_ms\":");
    ps_buf_append_i64(out, reply->age_ms);
    ps_buf_append_c(out, ",\"ttl_ms\":");
    if (kept)
        ps_buf_append_i64(out, reply->ttl_ms);
    else
        ps_buf_append_c(out, "null");
    ps_buf_append_char(out, '}');
}

static void
before(const struct ps_exchange *x, struct ps_buf *out)
{
    if (x->batch)
        ps_buf_append_c(out, "{\"results\":[");
}

/* A single statement's bytes end within `cache` (styles.h). */
static void
after(const struct ps_exchange *x, struct ps_buf *out)
{
    if (x->batch)
        ps_buf_append_c(out, "],\"cache\":{");
    else
        ps_buf_append_char(out, ',');
    cache_json(&x->request.req.reply, out);
    token_json(&x->request.req.reply, out);
    ps_buf_append_c(out, x->request.query.lines ? "}\n" : "}");
}

/* The usual error, and what the database itself said. */
static int
error(const struct ps_exchange *x, const struct ps_err *err,
      const struct ps_reply *reply, struct ps_buf *out)
{
    const struct ps_err_info *info = ps_err_info(err->rc);
    bool own = err->rc == PS_ORIGIN_SQL && err->sqlstate[0];
    (void)x;
    ps_reply_error_body(
        out, info->http_status, own ? err->sqlstate : info->code,
        ps_str_of(err->message[0] ? err->message : info->sentence));
    if (!reply || !reply->error_body.len || out->len == 0)
        return info->http_status;
    out->len--; /* the closing brace */
    ps_buf_append_c(out, ",\"origin\":");
    ps_buf_append_str(out, reply->error_body);
    ps_buf_append_char(out, '}');
    return info->http_status;
}

/* The last line in place of the one with the count. */
static void
broken(const struct ps_exchange *x, const struct ps_err *err,
       const struct ps_reply *reply, struct ps_buf *out)
{
    ps_buf_append_c(out, "{\"error\":");
    (void)error(x, err, reply, out);
    ps_buf_append_c(out, "}\n");
}

const struct ps_protocol ps_protocol_query = {.accept = accept_input,
                                              .before = before,
                                              .after = after,
                                              .error = error,
                                              .broken = broken};
