/*
 * The key leaves plain comments out (hazard 22: a traceparent in a comment
 * would make every key unique), with two exceptions. knex substitutes inside
 * comments too, so one that holds a placeholder belongs to the statement. And
 * without a provider the dialect is not known here: then a comment is left
 * out only where every dialect would.
 */
#include "agent/front/polyscale.h"

#include "agent/front/protocol.h"

static const enum ps_dialect dialects[PS_PROVIDER_COUNT] = {
    [PS_PROVIDER_POSTGRES] = PS_DIALECT_POSTGRES,
    [PS_PROVIDER_MYSQL] = PS_DIALECT_MYSQL,
    [PS_PROVIDER_MARIADB] = PS_DIALECT_MYSQL,
    [PS_PROVIDER_MSSQL] = PS_DIALECT_TSQL,
};

static enum ps_rc
prepare(struct ps_req *req, struct ps_statement *out, struct ps_err *err)
{
    const struct ps_polyscale_request *request =
        PS_CONTAINER_OF(req, struct ps_polyscale_request, req);
    return ps_knex_prepare(dialects[req->provider], req->sql,
                           &request->body.bindings, req->arena, out, err);
}

static const struct ps_req_protocol protocol = {
    .format = PS_FORMAT_POLYSCALE,
    .prepare = prepare,
};

/* ---- the key ---- */

static bool
has_pair(struct ps_str text, char first, char second)
{
    const char *p = text.ptr, *end = text.ptr + text.len;
    while ((p = memchr(p, first, (size_t)(end - p))) != NULL) {
        if (++p < end && *p == second)
            return true;
    }
    return false;
}

/* Can there be a comment in any dialect? */
static bool
may_have_comment(struct ps_str sql)
{
    return has_pair(sql, '-', '-') || has_pair(sql, '/', '*') ||
           memchr(sql.ptr, '#', sql.len) != NULL;
}

static size_t
count_marks(struct ps_str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        n += c == '?' || c == ':' || c == '\\';
    }
    return n;
}

/* As every dialect reads it, or sql itself when they differ. */
static enum ps_rc
common_key_text(const struct ps_req *req, struct ps_str *out)
{
    for (int d = 0; d < PS_DIALECT_COUNT; d++) {
        struct ps_str text;
        enum ps_rc rc =
            ps_sql_key_text((enum ps_dialect)d, 0, req->sql, req->arena, &text);
        if (rc != PS_OK)
            return rc;
        if (d > 0 && !ps_str_eq(text, *out)) {
            *out = req->sql;
            return PS_OK;
        }
        *out = text;
    }
    return PS_OK;
}

enum ps_rc
ps_polyscale_key_sql(const struct ps_req *req, struct ps_str *out)
{
    struct ps_str text = req->sql;
    enum ps_rc rc = PS_OK;
    if (PS_UNLIKELY(may_have_comment(req->sql))) {
        rc = req->has_provider ? ps_sql_key_text(dialects[req->provider], 0,
                                                 req->sql, req->arena, &text)
                               : common_key_text(req, &text);
        if (rc != PS_OK)
            return rc;
        if (text.len != req->sql.len &&
            count_marks(text) != count_marks(req->sql))
            text = req->sql;
    }
    *out = text;
    return PS_OK;
}

/* ---- the request ---- */

/* "{cacheId}-user" is how a user name travels where a protocol has no field
 * for the cache; accepted here too. */
static struct ps_str
without_cache_prefix(struct ps_str user, struct ps_str cache_id)
{
    if (user.len > cache_id.len + 1 && user.ptr[cache_id.len] == '-' &&
        ps_str_eq_nocase((struct ps_str){user.ptr, cache_id.len}, cache_id)) {
        user.ptr += cache_id.len + 1;
        user.len -= cache_id.len + 1;
    }
    return user;
}

enum ps_rc
ps_polyscale_accept(struct ps_polyscale_request *request, struct ps_str text,
                    struct ps_err *err)
{
    struct ps_req *req = &request->req;
    const struct ps_polyscale_field *fields = request->body.fields;
    enum ps_rc rc =
        ps_polyscale_body_read(text, req->arena, &request->body, err);
    if (rc != PS_OK)
        return rc;
    req->protocol = &protocol;
    req->cache_id = fields[PS_POLYSCALE_CACHE_ID].text;
    req->user =
        without_cache_prefix(fields[PS_POLYSCALE_USERNAME].text, req->cache_id);
    req->password = fields[PS_POLYSCALE_PASSWORD].text;
    req->database = fields[PS_POLYSCALE_DATABASE].text;
    req->has_provider =
        fields[PS_POLYSCALE_PROVIDER].kind == PS_JSON_STRING &&
        ps_provider_parse(fields[PS_POLYSCALE_PROVIDER].text, &req->provider);
    req->sql = fields[PS_POLYSCALE_SQL].text;
    rc = ps_polyscale_key_sql(req, &req->key_sql);
    if (rc != PS_OK)
        return ps_err_set(err, rc, NULL);
    req->key_bindings = ps_knex_key(&request->body.bindings, req->arena);
    if (!req->key_bindings.ptr)
        return ps_err_set(err, PS_BODY_TOO_BIG, NULL);
    return PS_OK;
}

static enum ps_rc
accept_input(struct ps_exchange *x, const struct ps_http_input *in,
             struct ps_err *err)
{
    return ps_polyscale_accept(&x->request.polyscale, in->body, err);
}

const struct ps_protocol ps_protocol_polyscale = {.accept = accept_input};
