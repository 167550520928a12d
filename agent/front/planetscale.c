/*
 * What a session is here:
 *
 *   s.ID.database       nothing but a choice of the client's: the database
 *                       (USE) and the isolation of its next transaction (SET
 *                       TRANSACTION); not signed, for it gives no right
 *   t.database.token    an open transaction (req.h: ps_session_sign)
 *
 * database and token are base64url. A client that lost its transaction is told
 * so by every statement but ROLLBACK, which is what it says next.
 */
#include "agent/front/planetscale.h"

#include "agent/front/credentials.h"
#include "agent/front/json_in.h"
#include "agent/front/protocol.h"
#include "agent/result/styles.h"
#include "common/utf8.h"

#include <stdio.h>

/* ---- statements ---- */

static enum ps_rc
prepare(struct ps_req *req, struct ps_statement *out, struct ps_err *err)
{
    const struct ps_planetscale_request *request =
        PS_CONTAINER_OF(req, struct ps_planetscale_request, req);
    if (req->provider != PS_PROVIDER_MYSQL &&
        req->provider != PS_PROVIDER_MARIADB)
        return ps_err_set(err, PS_PROVIDER_MISMATCH,
                          "PlanetScale's protocol is for caches of MySQL and "
                          "MariaDB");
    *out = (struct ps_statement){.sql = req->sql, .begins = request->begins};
    if (request->begins)
        out->prelude = ps_isolation_prelude(request->begin_isolation);
    return PS_OK;
}

static const struct ps_req_protocol protocol = {.format = PS_FORMAT_PLANETSCALE,
                                                .style = &ps_planetscale_style,
                                                .prepare = prepare};
/* For what only has to log in. */
static const struct ps_req_protocol silent = {
    .format = PS_FORMAT_PLANETSCALE + 1,
    .style = &ps_planetscale_silent_style,
    .prepare = prepare};

/* The words of a short statement in lower case, one blank between them; "" for
 * a longer one. A name in backquotes stays as it is. */
static void
words_of(struct ps_str sql, char out[96])
{
    size_t n = 0;
    while (sql.len > 0 && strchr(" \t\r\n;", sql.ptr[sql.len - 1]))
        sql.len--;
    for (size_t i = 0; i < sql.len; i++) {
        char c = sql.ptr[i];
        bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        if (blank && (n == 0 || out[n - 1] == ' '))
            continue;
        if (n == 95) {
            n = 0;
            break;
        }
        out[n++] = blank ? ' ' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    out[n] = '\0';
}

static bool
starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* "begin", "start transaction read only", ...: words and commas alone. */
static bool
is_begin(const char *words)
{
    if (strcmp(words, "begin") == 0 || strcmp(words, "begin work") == 0)
        return true;
    return starts_with(words, "start transaction") &&
           strspn(words, "abcdefghijklmnopqrstuvwxyz ,") == strlen(words);
}

static bool
is_rollback(const char *words)
{
    return strcmp(words, "rollback") == 0 ||
           strcmp(words, "rollback work") == 0;
}

static enum ps_isolation
isolation_of(const char *words)
{
    static const char prefix[] = "set transaction isolation level ";
    if (!starts_with(words, prefix))
        return PS_ISOLATION_DEFAULT;
    for (int i = PS_ISOLATION_READ_UNCOMMITTED; i <= PS_ISOLATION_SERIALIZABLE;
         i++) {
        struct ps_str name = ps_str_of(ps_isolation_sql((enum ps_isolation)i));
        if (ps_str_eq_nocase(ps_str_of(words + sizeof(prefix) - 1), name))
            return (enum ps_isolation)i;
    }
    return PS_ISOLATION_DEFAULT;
}

/* "use app" or "use `a-b`", the name as written; absent when it is no USE. */
static struct ps_str
use_of(struct ps_str sql, const char *words)
{
    if (!starts_with(words, "use ") || strchr(words + 4, ' '))
        return PS_STR_NONE;
    while (strchr(" \t\r\n;", sql.ptr[sql.len - 1]))
        sql.len--;
    size_t at = sql.len;
    while (at > 0 && !strchr(" \t\r\n", sql.ptr[at - 1]))
        at--;
    struct ps_str name = {sql.ptr + at, sql.len - at};
    if (name.len > 2 && name.ptr[0] == '`' && name.ptr[name.len - 1] == '`') {
        name.ptr++;
        name.len -= 2;
    }
    bool odd = !name.len || memchr(name.ptr, '`', name.len) ||
               memchr(name.ptr, ';', name.len);
    return odd ? PS_STR_NONE : name;
}

/* ---- sessions ---- */

static bool
take_until(struct ps_str *text, char mark, struct ps_str *out)
{
    const char *at = text->len ? memchr(text->ptr, mark, text->len) : NULL;
    if (!at)
        return false;
    size_t n = (size_t)(at - text->ptr);
    *out = (struct ps_str){text->ptr, n};
    text->ptr += n + 1;
    text->len -= n + 1;
    return true;
}

/* A database's name that is text. */
static bool
decode_database(struct ps_str text, struct ps_arena *arena, struct ps_str *out)
{
    *out = ps_base64_decode(text, arena);
    return out->ptr && ps_utf8_check(*out) == out->len &&
           (out->len == 0 || !memchr(out->ptr, '\0', out->len));
}

enum session_kind {
    SESSION_NONE,
    SESSION_CHOICE,
    SESSION_TRANSACTION,
    SESSION_BAD
};

static enum session_kind
read_session(struct ps_planetscale_request *request,
             const struct ps_json *value, struct ps_str *token)
{
    struct ps_arena *arena = request->req.arena;
    struct ps_str part, text;
    if (!value || value->kind == PS_JSON_NULL)
        return SESSION_NONE;
    if (value->kind != PS_JSON_STRING)
        return SESSION_BAD;
    text = value->text;
    if (!take_until(&text, '.', &part) || part.len != 1)
        return SESSION_BAD;
    char kind = part.ptr[0];
    if (!take_until(&text, '.', &part))
        return SESSION_BAD;
    if (kind == 's' && part.len == 1 && part.ptr[0] >= '0' &&
        part.ptr[0] <= '0' + PS_ISOLATION_SERIALIZABLE) {
        request->isolation = (enum ps_isolation)(part.ptr[0] - '0');
        return decode_database(text, arena, &request->database) ? SESSION_CHOICE
                                                                : SESSION_BAD;
    }
    if (kind != 't' || !decode_database(part, arena, &request->database))
        return SESSION_BAD;
    *token = ps_base64_decode(text, arena);
    return SESSION_TRANSACTION;
}

static void
base64_url(struct ps_buf *out, struct ps_str bytes)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | (unsigned char)bytes.ptr[i];
        for (have += 8; have >= 6; have -= 6)
            ps_buf_append_char(out, digits[bits >> (have - 6) & 63]);
    }
    if (have > 0)
        ps_buf_append_char(out, digits[bits << (6 - have) & 63]);
}

static void
put_session(struct ps_buf *out, const struct ps_planetscale_request *request)
{
    const struct ps_reply *reply = &request->req.reply;
    if (reply->in_session) {
        unsigned char token[PS_SESSION_TOKEN_BYTES];
        ps_session_sign(&request->req, reply->session_id, token);
        ps_buf_append_c(out, "t.");
        base64_url(out, request->database);
        ps_buf_append_char(out, '.');
        base64_url(out, (struct ps_str){(const char *)token, sizeof(token)});
        return;
    }
    ps_buf_append_c(out, "s.");
    ps_buf_append_char(out, (char)('0' + request->isolation));
    ps_buf_append_char(out, '.');
    base64_url(out, request->database);
}

/* ---- the request ---- */

static enum ps_rc
who(struct ps_planetscale_request *request, struct ps_str authorization,
    struct ps_err *err)
{
    struct ps_req *req = &request->req;
    struct ps_credentials c = {.user = PS_STR_NONE};
    enum ps_rc rc = ps_credentials_basic(authorization, req->arena, &c, err);
    if (rc != PS_OK)
        return rc;
    ps_credentials_split(&c);
    req->user = c.user;
    req->password = c.password;
    req->cache_id = c.cache_id;
    req->database = c.database.ptr ? c.database : PS_STR("");
    if (!c.cache_id.ptr || !c.user.len)
        return ps_err_set(
            err, PS_UNAUTHORIZED,
            "the user name names no cache: it is {cacheId}-{user} "
            "or {cacheId}/{database}/{user}");
    return PS_OK;
}

/* What needs no statement at the origin but a login. */
static void
only_log_in(struct ps_planetscale_request *request)
{
    request->req.protocol = &silent;
    request->req.sql = request->req.key_sql = PS_STR("SELECT 1");
}

/* Outside of transactions. */
static enum ps_rc
use_statement(struct ps_planetscale_request *request, const char *words)
{
    struct ps_req *req = &request->req;
    struct ps_str database = use_of(req->key_sql, words);
    enum ps_isolation isolation = isolation_of(words);
    request->begin_isolation = request->isolation;
    request->isolation = isolation;
    req->session = PS_SESSION_OPEN;
    if (database.ptr) {
        request->database = database;
        only_log_in(request);
    } else if (isolation != PS_ISOLATION_DEFAULT) {
        only_log_in(request);
    } else {
        request->begins = is_begin(words);
    }
    if (request->database.len)
        req->database = request->database;
    return PS_OK;
}

static enum ps_rc
use_transaction(struct ps_planetscale_request *request, struct ps_str token,
                const char *words, struct ps_err *err)
{
    struct ps_req *req = &request->req;
    if (request->database.len)
        req->database = request->database;
    if (starts_with(words, "use "))
        return ps_err_set(err, PS_TRANSACTION,
                          "USE is not possible within a transaction here");
    return ps_session_verify(req, token)
               ? PS_OK
               : ps_err_set(err, PS_TRANSACTION_OVER, NULL);
}

static enum ps_rc
use_query(struct ps_planetscale_request *request, const struct ps_json *body,
          struct ps_err *err)
{
    struct ps_req *req = &request->req;
    const struct ps_json *query = ps_json_get(body, "query");
    if (!query || query->kind != PS_JSON_STRING || !query->text.len)
        return ps_err_set(err, PS_MISSING_FIELD,
                          "query is missing: the statement to run");
    if (memchr(query->text.ptr, '\0', query->text.len))
        return ps_err_set(err, PS_BAD_FIELD, "query holds the character NUL");
    req->sql = query->text;
    req->protocol = &protocol;
    enum ps_rc rc = ps_sql_key_text(PS_DIALECT_MYSQL, 0, req->sql, req->arena,
                                    &req->key_sql);
    return rc == PS_OK ? rc : ps_err_set(err, rc, NULL);
}

enum ps_rc
ps_planetscale_accept(struct ps_planetscale_request *request,
                      struct ps_str text, struct ps_str authorization,
                      bool create, struct ps_err *err)
{
    struct ps_req *req = &request->req;
    struct ps_json body = {.kind = PS_JSON_ABSENT};
    struct ps_str token = PS_STR_NONE;
    char words[96];
    request->database = PS_STR("");
    request->isolation = request->begin_isolation = PS_ISOLATION_DEFAULT;
    request->begins = request->rollback = false;
    req->key_bindings = PS_STR("");
    enum ps_rc rc = who(request, authorization, err);
    if (rc == PS_OK && (text.len > 0 || !create))
        rc = ps_json_read(text, req->arena, &body, err);
    if (rc != PS_OK)
        return rc;
    if (create) {
        only_log_in(request);
        return PS_OK;
    }
    rc = use_query(request, &body, err);
    if (rc != PS_OK)
        return rc;
    words_of(req->key_sql, words); /* a trace in a comment is no word */
    request->rollback = is_rollback(words);
    switch (read_session(request, ps_json_get(&body, "session"), &token)) {
    case SESSION_NONE:
    case SESSION_CHOICE:
        return use_statement(request, words);
    case SESSION_TRANSACTION:
        return use_transaction(request, token, words, err);
    case SESSION_BAD:
        break;
    }
    return ps_err_set(err, PS_BAD_FIELD,
                      "session must be what the last reply had, or null");
}

/* ---- in the front ---- */

static enum ps_rc
accept_any(struct ps_exchange *x, const struct ps_http_input *in, bool create,
           struct ps_err *err)
{
    struct ps_req *req = &x->request.req;
    /* The client says it with every statement and means its HTTP caches. */
    req->no_cache = req->no_store = false;
    return ps_planetscale_accept(
        &x->request.planetscale, in->body,
        ps_head_value(in->head, in->head_base, PS_HEAD_AUTHORIZATION), create,
        err);
}

static enum ps_rc
accept_execute(struct ps_exchange *x, const struct ps_http_input *in,
               struct ps_err *err)
{
    return accept_any(x, in, false, err);
}

static enum ps_rc
accept_create(struct ps_exchange *x, const struct ps_http_input *in,
              struct ps_err *err)
{
    return accept_any(x, in, true, err);
}

static void
before(const struct ps_exchange *x, struct ps_buf *out)
{
    ps_buf_append_c(out, "{\"session\":\"");
    put_session(out, &x->request.planetscale);
    ps_buf_append_c(out, "\",\"result\":");
}

static void
after(const struct ps_exchange *x, struct ps_buf *out)
{
    const struct ps_reply *reply = &x->request.req.reply;
    uint64_t us =
        reply->lookup_us + reply->pool_us + reply->origin_us + reply->encode_us;
    ps_buf_printf(out, ",\"timing\":%llu.%06llu}",
                  (unsigned long long)(us / 1000000),
                  (unsigned long long)(us % 1000000));
}

/* Portside's own errors under numbers that MySQL has for them. */
static const struct {
    enum ps_rc rc;
    unsigned number;
    const char *state, *code;
} numbers[] = {
    {PS_LOGIN_FAILED,      1045, "28000", "UNAUTHENTICATED"    },
    {PS_UNAUTHORIZED,      1045, "28000", "UNAUTHENTICATED"    },
    {PS_CACHE_NOT_FOUND,   1049, "42000", "NOT_FOUND"          },
    {PS_CACHE_DISABLED,    1044, "42000", "PERMISSION_DENIED"  },
    {PS_ORIGIN_TOO_MANY,   1040, "08004", "RESOURCE_EXHAUSTED" },
    {PS_POOL_FULL,         1040, "08004", "RESOURCE_EXHAUSTED" },
    {PS_POOL_TIMEOUT,      1040, "08004", "RESOURCE_EXHAUSTED" },
    {PS_TOO_MANY_REQUESTS, 1203, "42000", "RESOURCE_EXHAUSTED" },
    {PS_RESULT_TOO_BIG,    1153, "08S01", "RESOURCE_EXHAUSTED" },
    {PS_QUERY_TIMEOUT,     1317, "70100", "DEADLINE_EXCEEDED"  },
    {PS_ORIGIN_LOST,       2013, "HY000", "UNAVAILABLE"        },
    {PS_OUTCOME_UNKNOWN,   2013, "HY000", "UNKNOWN"            },
    {PS_TRANSACTION_OVER,  1180, "HY000", "ABORTED"            },
    {PS_TRANSACTION,       1105, "HY000", "FAILED_PRECONDITION"},
};

static void
own_error(struct ps_buf *out, const struct ps_exchange *x,
          const struct ps_err *err)
{
    const struct ps_err_info *info = ps_err_info(err->rc);
    unsigned number = 1105;
    const char *state = "HY000";
    const char *code =
        info->http_status < 500 ? "INVALID_ARGUMENT" : "UNAVAILABLE";
    char message[1400];
    for (size_t i = 0; i < PS_ARRAY_LEN(numbers); i++) {
        if (numbers[i].rc == err->rc) {
            number = numbers[i].number;
            state = numbers[i].state;
            code = numbers[i].code;
        }
    }
    if (err->rc == PS_LOGIN_FAILED) {
        struct ps_str user = x->request.req.user;
        snprintf(message, sizeof(message),
                 "Access denied for user '%.*s'@'portside' (using password: "
                 "YES) (errno %u) (sqlstate %s)",
                 (int)PS_MIN(user.len, (size_t)256), user.ptr, number, state);
    } else {
        snprintf(message, sizeof(message), "%s (errno %u) (sqlstate %s)",
                 err->message[0] ? err->message : info->sentence, number,
                 state);
    }
    ps_buf_append_c(out, "{\"code\":");
    ps_buf_append_json(out, ps_str_of(code));
    ps_buf_append_c(out, ",\"message\":");
    ps_origin_text_json(out, message);
    ps_buf_append_char(out, '}');
}

static int
error(const struct ps_exchange *x, const struct ps_err *err,
      const struct ps_reply *reply, struct ps_buf *out)
{
    /* It is rolled back already. */
    if (err->rc == PS_TRANSACTION_OVER && x->request.planetscale.rollback) {
        ps_buf_append_c(out, "{\"session\":\"s.0.");
        base64_url(out, x->request.planetscale.database);
        ps_buf_append_c(out, "\",\"result\":{},\"timing\":0}");
        return 200;
    }
    ps_buf_append_c(out, "{\"error\":");
    if (reply && reply->error_body.len)
        ps_buf_append_str(out, reply->error_body);
    else
        own_error(out, x, err);
    ps_buf_append_char(out, '}');
    return ps_err_info(err->rc)->http_status;
}

const struct ps_protocol ps_protocol_planetscale = {
    .accept = accept_execute, .before = before, .after = after, .error = error};
const struct ps_protocol ps_protocol_planetscale_session = {
    .accept = accept_create, .before = before, .after = after, .error = error};
