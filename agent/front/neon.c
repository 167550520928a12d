/*
 * The statement is checked before the engine has it, all of a batch too:
 * nothing of a batch runs whose last query is no query.
 */
#include "agent/front/neon.h"

#include "agent/front/connection_url.h"
#include "agent/front/params.h"
#include "agent/front/protocol.h"
#include "agent/result/styles.h"

#include <stdio.h>

static enum ps_rc
prepare(struct ps_req *req, struct ps_statement *out, struct ps_err *err)
{
    const struct ps_neon_request *request =
        PS_CONTAINER_OF(req, struct ps_neon_request, req);
    struct ps_params params;
    enum ps_rc rc =
        ps_params_read(request->params, true, req->arena, &params, err);
    if (rc == PS_OK)
        *out = (struct ps_statement){.sql = req->sql,
                                     .params = params.list,
                                     .n_params = params.n,
                                     .single = true};
    return rc;
}

#define FORM(array, raw)                                        \
    {                                                           \
        .format = PS_FORMAT_NEON + (array) + 2 * (raw),         \
        .style = &ps_neon_style[array][raw], .prepare = prepare \
    }
static const struct ps_req_protocol forms[2][2] = {
    {FORM(0, 0), FORM(0, 1)},
    {FORM(1, 0), FORM(1, 1)}
};

/* ---- one query ---- */

static enum ps_rc
check_query(const struct ps_json *query, struct ps_err *err)
{
    const struct ps_json *text = ps_json_get(query, "query");
    const struct ps_json *params = ps_json_get(query, "params");
    const struct ps_json *arrays = ps_json_get(query, "arrayMode");
    if (!text || text->kind != PS_JSON_STRING || text->text.len == 0)
        return ps_err_set(err, PS_MISSING_FIELD,
                          "query is missing: the statement to run");
    if (memchr(text->text.ptr, '\0', text->text.len))
        return ps_err_set(err, PS_BAD_FIELD, "query holds the character NUL");
    if (params && params->kind != PS_JSON_NULL && params->kind != PS_JSON_ARRAY)
        return ps_err_set(err, PS_BAD_FIELD, "params must be a list");
    if (arrays && arrays->kind != PS_JSON_NULL && arrays->kind != PS_JSON_BOOL)
        return ps_err_set(err, PS_BAD_FIELD, "arrayMode must be true or false");
    return PS_OK;
}

/* A checked one. */
static enum ps_rc
use_query(struct ps_neon_request *request, const struct ps_json *query)
{
    struct ps_req *req = &request->req;
    const struct ps_json *params = ps_json_get(query, "params");
    const struct ps_json *arrays = ps_json_get(query, "arrayMode");
    bool as_arrays = arrays && arrays->kind == PS_JSON_BOOL ? arrays->boolean
                                                            : request->arrays;
    if (params && params->kind == PS_JSON_NULL)
        params = NULL;
    request->params = params;
    req->protocol = &forms[as_arrays][request->raw];
    req->sql = ps_json_get(query, "query")->text;
    /* Their JSON tells parameters apart. */
    req->key_bindings = params ? params->raw : PS_STR("[]");
    return ps_sql_key_text(PS_DIALECT_POSTGRES, 0, req->sql, req->arena,
                           &req->key_sql);
}

bool
ps_neon_query(struct ps_neon_request *request, size_t i)
{
    return use_query(request, request->queries[i]) == PS_OK;
}

/* ---- the request ---- */

static bool
is_true(struct ps_str header)
{
    return ps_str_eq_nocase(header, PS_STR("true"));
}

static enum ps_rc
batch_mode(struct ps_neon_request *request,
           const struct ps_neon_headers *headers, struct ps_err *err)
{
    static const struct {
        const char *name;
        enum ps_isolation isolation;
    } levels[] = {
        {"ReadUncommitted", PS_ISOLATION_READ_UNCOMMITTED},
        {"ReadCommitted",   PS_ISOLATION_READ_COMMITTED  },
        {"RepeatableRead",  PS_ISOLATION_REPEATABLE_READ },
        {"Serializable",    PS_ISOLATION_SERIALIZABLE    },
    };
    struct ps_batch_mode *mode = &request->mode;
    mode->read_only = is_true(headers->read_only);
    mode->deferrable = is_true(headers->deferrable);
    mode->isolation = PS_ISOLATION_DEFAULT;
    if (!headers->isolation.len)
        return PS_OK;
    for (size_t i = 0; i < PS_ARRAY_LEN(levels); i++) {
        if (ps_str_eq_nocase(headers->isolation, ps_str_of(levels[i].name)))
            mode->isolation = levels[i].isolation;
    }
    return mode->isolation != PS_ISOLATION_DEFAULT
               ? PS_OK
               : ps_err_set(err, PS_BAD_FIELD,
                            "Neon-Batch-Isolation-Level must be "
                            "ReadUncommitted, ReadCommitted, RepeatableRead "
                            "or Serializable");
}

static enum ps_rc
read_batch(struct ps_neon_request *request, const struct ps_json *queries,
           struct ps_err *err)
{
    size_t n = 0;
    request->batch = true;
    if (queries->kind != PS_JSON_ARRAY || queries->count > PS_BATCH_MAX)
        return ps_err_set(err, PS_BAD_FIELD,
                          "queries must be a list of at most %d queries",
                          PS_BATCH_MAX);
    request->queries = ps_arena_alloc(
        request->req.arena, (queries->count + 1) * sizeof(*request->queries));
    if (!request->queries)
        return ps_err_set(err, PS_BODY_TOO_BIG, NULL);
    for (const struct ps_json *q = queries->first; q; q = q->next) {
        enum ps_rc rc = check_query(q, err);
        if (rc != PS_OK)
            return rc;
        request->queries[n++] = q;
    }
    request->n_queries = n;
    return PS_OK;
}

static enum ps_rc
who(struct ps_req *req, struct ps_str connection, struct ps_err *err)
{
    struct ps_credentials c;
    enum ps_rc rc = ps_connection_url(connection, req->arena, &c, err);
    if (rc != PS_OK)
        return rc;
    if (!c.cache_id.ptr)
        return ps_err_set(err, PS_MISSING_FIELD,
                          "the connection string names no cache: put its id "
                          "in front of the host name (id.any.domain), into "
                          "?cache=id, or in front of the user name (id-user)");
    req->cache_id = c.cache_id;
    req->user = c.user;
    req->password = c.password;
    req->database = c.database;
    req->has_provider = true;
    req->provider = PS_PROVIDER_POSTGRES;
    return PS_OK;
}

enum ps_rc
ps_neon_accept(struct ps_neon_request *request, struct ps_str text,
               const struct ps_neon_headers *headers, struct ps_err *err)
{
    struct ps_req *req = &request->req;
    struct ps_json *body = ps_arena_alloc(req->arena, sizeof(*body));
    request->raw = is_true(headers->raw_text);
    request->arrays = is_true(headers->array_mode);
    request->batch = false;
    request->params = NULL;
    request->queries = NULL;
    request->n_queries = 0;
    if (!body)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    enum ps_rc rc = who(req, headers->connection, err);
    if (rc == PS_OK)
        rc = ps_json_read(text, req->arena, body, err);
    if (rc != PS_OK)
        return rc;
    const struct ps_json *queries = ps_json_get(body, "queries");
    if (queries) {
        rc = batch_mode(request, headers, err);
        return rc == PS_OK ? read_batch(request, queries, err) : rc;
    }
    rc = check_query(body, err);
    if (rc != PS_OK)
        return rc;
    rc = use_query(request, body);
    return rc == PS_OK ? rc : ps_err_set(err, rc, NULL);
}

/* ---- in the front ---- */

static bool
fill(struct ps_exchange *x, size_t i)
{
    return ps_neon_query(&x->request.neon, i);
}

static enum ps_rc
accept_input(struct ps_exchange *x, const struct ps_http_input *in,
             struct ps_err *err)
{
    struct ps_neon_request *request = &x->request.neon;
#define VALUE(which) ps_head_value(in->head, in->head_base, PS_HEAD_##which)
    const struct ps_neon_headers headers = {
        .connection = VALUE(NEON_CONNECTION),
        .raw_text = VALUE(NEON_RAW_TEXT),
        .array_mode = VALUE(NEON_ARRAY_MODE),
        .isolation = VALUE(NEON_ISOLATION),
        .read_only = VALUE(NEON_READ_ONLY),
        .deferrable = VALUE(NEON_DEFERRABLE),
    };
#undef VALUE
    enum ps_rc rc = ps_neon_accept(request, in->body, &headers, err);
    if (rc == PS_OK && request->batch &&
        !ps_batch_new(x, request->n_queries, &request->mode, fill, ""))
        rc = ps_err_set(err, PS_NO_MEMORY, NULL);
    return rc;
}

static void
before(const struct ps_exchange *x, struct ps_buf *out)
{
    if (x->batch)
        ps_buf_append_c(out, "{\"results\":[");
}

static void
after(const struct ps_exchange *x, struct ps_buf *out)
{
    if (x->batch)
        ps_buf_append_c(out, "]}");
}

/* The driver reads the JSON of 400 alone: what it can tell its caller has that
 * status, what passes by has its own. */
static int
status_of(enum ps_rc rc)
{
    int status = ps_err_info(rc)->http_status;
    bool own = status == 405 || status == 413 || status == 429;
    return status < 500 && !own ? 400 : status;
}

/* A message with every key, as PostgreSQL would have sent it. */
static void
own_error(struct ps_buf *out, const struct ps_exchange *x,
          const struct ps_err *err)
{
    const struct ps_err_info *info = ps_err_info(err->rc);
    struct ps_origin_error error = {.number = 0};
    char login[512];
    error.fields[PS_ORIGIN_ERROR_MESSAGE] =
        err->message[0] ? err->message : info->sentence;
    error.fields[PS_ORIGIN_ERROR_CODE] =
        err->rc == PS_ORIGIN_SQL && err->sqlstate[0] ? err->sqlstate
                                                     : info->sqlstate;
    error.fields[PS_ORIGIN_ERROR_SEVERITY] = "ERROR";
    if (err->rc == PS_LOGIN_FAILED) {
        /* The same for a user that there is and for one that is not. */
        struct ps_str user = x->request.req.user;
        snprintf(login, sizeof(login),
                 "password authentication failed for user \"%.*s\"",
                 (int)PS_MIN(user.len, (size_t)256), user.ptr);
        error.fields[PS_ORIGIN_ERROR_MESSAGE] = login;
        error.fields[PS_ORIGIN_ERROR_SEVERITY] = "FATAL";
    }
    ps_neon_style[0][0].error(out, &error);
}

static int
error(const struct ps_exchange *x, const struct ps_err *err,
      const struct ps_reply *reply, struct ps_buf *out)
{
    if (reply && reply->error_body.len)
        ps_buf_append_str(out, reply->error_body);
    else
        own_error(out, x, err);
    return status_of(err->rc);
}

const struct ps_protocol ps_protocol_neon = {
    .accept = accept_input, .before = before, .after = after, .error = error};
