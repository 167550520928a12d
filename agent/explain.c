/* See explain.h. */
#include "agent/explain.h"

#include "agent/front/polyscale.h"

#include <stdlib.h>

enum {
    ARENA_BYTES = 64 << 20,
    BODY_MAX = 1 << 20
};

static void
put_error(struct ps_buf *out, enum ps_rc rc, const char *message)
{
    const struct ps_err_info *info = ps_err_info(rc);
    ps_buf_clear(out);
    ps_buf_append_c(out, "{\"error\":{\"code\":");
    ps_buf_append_json(out, ps_str_of(info->code));
    ps_buf_append_c(out, ",\"message\":");
    ps_buf_append_json(
        out, ps_str_of(message && message[0] ? message : info->sentence));
    ps_buf_append_c(out, "}}");
}

/* How many values knex would want for the question marks of a text. */
static size_t
count_marks(struct ps_str sql)
{
    size_t n = 0;
    for (size_t i = 0; i < sql.len; i++) {
        if (sql.ptr[i] == '\\' && i + 1 < sql.len && sql.ptr[i + 1] == '?') {
            i++;
        } else if (sql.ptr[i] == '?') {
            n++;
            i += i + 1 < sql.len && sql.ptr[i + 1] == '?';
        }
    }
    return n;
}

static void
put_field(struct ps_buf *body, const char *name, struct ps_str value)
{
    ps_buf_append_c(body, body->len > 1 ? ",\"" : "\"");
    ps_buf_append_c(body, name);
    ps_buf_append_c(body, "\":");
    ps_buf_append_json(body, value);
}

/*
 * As the protocol has it. Where values are missing others stand for them: only
 * MySQL has a placeholder of its own that is written like knex's.
 */
static void
make_body(const struct ps_uplink_explain *ask, enum ps_provider provider,
          struct ps_buf *body)
{
    bool native =
        provider == PS_PROVIDER_MYSQL || provider == PS_PROVIDER_MARIADB;
    size_t n = ask->bindings.ptr || native ? 0 : count_marks(ask->sql);
    ps_buf_append_char(body, '{');
    put_field(body, "cacheId", ask->cache_id);
    put_field(body, "username", PS_STR("-"));
    put_field(body, "password", PS_STR("-"));
    put_field(body, "database",
              ask->database.ptr ? ask->database : PS_STR("-"));
    put_field(body, "provider", ps_str_of(ps_provider_text(provider)));
    put_field(body, "sql", ask->sql);
    if (ask->bindings.ptr || n)
        ps_buf_append_c(body, ",\"bindings\":");
    ps_buf_append_str(body, ask->bindings);
    for (size_t i = 0; i < n; i++)
        ps_buf_append_c(body, i ? ",\"-\"" : "[\"-\"");
    ps_buf_append_c(body, n ? "]}" : "}");
}

static enum ps_rc
explain(struct ps_engine *engine, const struct ps_uplink_explain *ask,
        enum ps_provider provider, struct ps_arena *arena, struct ps_buf *out,
        struct ps_err *err)
{
    struct ps_polyscale_request request;
    struct ps_statement statement = {.sql = PS_STR_NONE};
    struct ps_buf body;
    ps_buf_init(&body, BODY_MAX);
    make_body(ask, provider, &body);
    ps_req_init(&request.req, engine, 0, arena);
    enum ps_rc rc = ps_buf_rc(&body);
    if (rc == PS_OK)
        rc = ps_polyscale_accept(&request, ps_buf_str(&body), err);
    if (rc == PS_OK)
        rc = request.req.protocol->prepare(&request.req, &statement, err);
    if (rc == PS_OK) {
        const struct ps_explain engine_ask = {
            .cache_id = ask->cache_id,
            .database = ask->database,
            .key_sql = request.req.key_sql,
            .key_bindings = request.req.key_bindings,
            .statement = &statement,
            .bound = ask->bindings.ptr != NULL,
            .arena = arena};
        rc = ps_engine_explain(engine, &engine_ask, out);
    }
    ps_buf_done(&body);
    return rc;
}

void
ps_agent_explain(struct ps_engine *engine, struct ps_config *config,
                 const struct ps_uplink_explain *ask, struct ps_buf *out)
{
    struct ps_err err = {.rc = PS_OK};
    struct ps_cache_conf *conf = ps_config_find(config, ask->cache_id);
    struct ps_arena *arena = ps_arena_new(ARENA_BYTES);
    enum ps_rc rc =
        !arena  ? PS_NO_MEMORY
        : !conf ? PS_CACHE_NOT_FOUND
                : explain(engine, ask, conf->provider, arena, out, &err);
    if (rc != PS_OK)
        put_error(out, rc, err.message);
    ps_arena_free(&arena);
    ps_cache_conf_unref(&conf);
}
