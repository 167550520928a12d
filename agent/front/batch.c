/* See batch.h. */
#include "agent/front/batch.h"

#include "agent/front/exchange.h"
#include "common/check.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BEGIN_MAX = 192
};

enum phase {
    PHASE_BEGIN,
    PHASE_STATEMENT,
    PHASE_COMMIT,
    PHASE_ROLLBACK
};

struct ps_batch {
    enum phase phase;
    size_t n, at; /* statements; the one that runs */
    struct ps_batch_mode mode;
    bool (*fill)(struct ps_exchange *x, size_t i);
    const char *close;
    struct ps_arena *arena; /* of the engine's request under way */
    struct ps_buf results;
    unsigned char session[PS_SESSION_ID_BYTES];
    /* What every request has. */
    struct ps_str cache_id, user, password, database;
    bool has_provider, want_position;
    enum ps_provider provider;
    /* Why it is being rolled back. */
    struct ps_err failure;
    struct ps_str failure_body; /* in the exchange's arena */
    uint64_t pool_us, origin_us;
};

#define LEVEL_TABLE(X)                      \
    X(READ_UNCOMMITTED, "READ UNCOMMITTED") \
    X(READ_COMMITTED, "READ COMMITTED")     \
    X(REPEATABLE_READ, "REPEATABLE READ")   \
    X(SERIALIZABLE, "SERIALIZABLE")

const char *
ps_isolation_sql(enum ps_isolation isolation)
{
    switch (isolation) {
#define X(name, text)         \
    case PS_ISOLATION_##name: \
        return text;
        LEVEL_TABLE(X)
#undef X
    case PS_ISOLATION_DEFAULT:
        break;
    }
    return "";
}

struct ps_str
ps_isolation_prelude(enum ps_isolation isolation)
{
    switch (isolation) {
#define X(name, text)         \
    case PS_ISOLATION_##name: \
        return PS_STR("SET TRANSACTION ISOLATION LEVEL " text);
        LEVEL_TABLE(X)
#undef X
    case PS_ISOLATION_DEFAULT:
        break;
    }
    return PS_STR_NONE;
}

/* ---- BEGIN, COMMIT, ROLLBACK ---- */

static struct ps_batch *
batch_of(struct ps_req *req)
{
    struct ps_exchange *x = req->front;
    return x->batch;
}

/* PostgreSQL has it all in one statement. */
static const char *
begin_postgres(const struct ps_batch_mode *mode, struct ps_arena *arena)
{
    bool chosen = mode->isolation != PS_ISOLATION_DEFAULT;
    return ps_arena_printf(
        arena, "BEGIN%s%s%s%s", chosen ? " ISOLATION LEVEL " : "",
        ps_isolation_sql(mode->isolation), mode->read_only ? " READ ONLY" : "",
        mode->deferrable ? " DEFERRABLE" : "");
}

static enum ps_rc
prepare_begin(const struct ps_batch_mode *mode, const struct ps_req *req,
              struct ps_statement *out, struct ps_err *err)
{
    const char *text = NULL;
    switch (req->provider) {
    case PS_PROVIDER_MYSQL:
    case PS_PROVIDER_MARIADB:
        text = mode->read_only ? "START TRANSACTION READ ONLY"
                               : "START TRANSACTION";
        break;
    case PS_PROVIDER_MSSQL:
        if (mode->read_only)
            return ps_err_set(err, PS_BAD_FIELD,
                              "SQL Server has no read-only transactions; "
                              "leave transaction.read_only out");
        text = "BEGIN TRANSACTION";
        break;
    default:
        text = begin_postgres(mode, req->arena);
        break;
    }
    if (!text)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    *out = (struct ps_statement){
        .sql = ps_str_of(text), .begins = true, .plain = true};
    if (req->provider != PS_PROVIDER_POSTGRES)
        out->prelude = ps_isolation_prelude(mode->isolation);
    return PS_OK;
}

static enum ps_rc
prepare_control(struct ps_req *req, struct ps_statement *out,
                struct ps_err *err)
{
    const struct ps_batch *batch = batch_of(req);
    if (batch->phase == PHASE_BEGIN)
        return prepare_begin(&batch->mode, req, out, err);
    *out = (struct ps_statement){.sql = batch->phase == PHASE_COMMIT
                                            ? PS_STR("COMMIT")
                                            : PS_STR("ROLLBACK"),
                                 .plain = true};
    return PS_OK;
}

/* Not to be found in memory: a transaction is never looked up. */
static const struct ps_req_protocol control = {.format = PS_FORMAT_POLYSCALE,
                                               .prepare = prepare_control};

/* ---- one request after the other ---- */

static bool
fill_request(struct ps_exchange *x)
{
    struct ps_batch *batch = x->batch;
    struct ps_req *req = &x->request.req;
    req->cache_id = batch->cache_id;
    req->user = batch->user;
    req->password = batch->password;
    req->database = batch->database;
    req->has_provider = batch->has_provider;
    req->provider = batch->provider;
    req->key_bindings = PS_STR("");
    req->want_position = batch->want_position && batch->phase == PHASE_COMMIT;
    if (batch->phase == PHASE_BEGIN) {
        req->session = PS_SESSION_BATCH;
    } else {
        req->session = PS_SESSION_IN;
        memcpy(req->session_id, batch->session, sizeof(req->session_id));
    }
    if (batch->phase == PHASE_STATEMENT)
        return batch->fill(x, batch->at);
    req->protocol = &control;
    req->sql = req->key_sql = PS_STR("BEGIN");
    return true;
}

static bool
start(struct ps_exchange *x, enum phase phase)
{
    struct ps_batch *batch = x->batch;
    struct ps_req *req = &x->request.req;
    struct ps_engine *engine = req->engine;
    unsigned loop_index = req->loop_index;
    struct ps_str source = req->source;
    uint64_t received_us = req->received_us;
    void (*done)(struct ps_req *) = req->done;
    ps_req_done(req);
    ps_arena_reset(batch->arena);
    ps_req_init(req, engine, loop_index, batch->arena);
    batch->phase = phase;
    req->source = source;
    req->received_us = received_us;
    req->done = done;
    req->front = x;
    if (!fill_request(x)) {
        /* Nothing is left to say ROLLBACK with: the idle time does it. */
        ps_err_set(&batch->failure, PS_NO_MEMORY, NULL);
        return false;
    }
    ps_req_start(req);
    return true;
}

struct ps_batch *
ps_batch_new(struct ps_exchange *x, size_t n, const struct ps_batch_mode *mode,
             bool (*fill)(struct ps_exchange *x, size_t i), const char *close)
{
    struct ps_req *req = &x->request.req;
    struct ps_batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        return NULL;
    batch->arena = ps_arena_new(x->http ? PS_EXCHANGE_ARENA_BYTES : 1 << 20);
    if (!batch->arena) {
        free(batch);
        return NULL;
    }
    batch->n = n;
    batch->mode = *mode;
    batch->fill = fill;
    batch->close = close;
    batch->cache_id = req->cache_id;
    batch->user = req->user;
    batch->password = req->password;
    batch->database = req->database;
    batch->has_provider = req->has_provider;
    batch->provider = req->provider;
    batch->want_position = req->want_position;
    ps_buf_init(&batch->results, ps_req_max_reply(req));
    x->batch = batch;
    req->arena = batch->arena;
    (void)fill_request(x);
    return batch;
}

void
ps_batch_free(struct ps_batch **batch)
{
    struct ps_batch *old = *batch;
    *batch = NULL;
    if (!old)
        return;
    ps_arena_free(&old->arena);
    ps_buf_done(&old->results);
    free(old);
}

size_t
ps_batch_count(const struct ps_batch *batch)
{
    return batch->at;
}

/* Remembers it in the exchange's own memory, and rolls back what is open. */
static bool
fail(struct ps_exchange *x, const struct ps_err *err, bool open)
{
    struct ps_batch *batch = x->batch;
    batch->failure = *err;
    batch->failure_body =
        ps_arena_str(x->arena, x->request.req.reply.error_body);
    if (!x->request.req.reply.error_body.ptr)
        batch->failure_body = PS_STR_NONE;
    return open && start(x, PHASE_ROLLBACK);
}

static bool
fail_rc(struct ps_exchange *x, enum ps_rc rc, const char *message, bool open)
{
    struct ps_err err;
    if (message)
        ps_err_set(&err, rc, "%s", message);
    else
        ps_err_set(&err, rc, NULL);
    return fail(x, &err, open);
}

static bool
statement_done(struct ps_exchange *x)
{
    struct ps_batch *batch = x->batch;
    const struct ps_reply *reply = &x->request.req.reply;
    if (reply->rc != PS_OK)
        return fail(x, &reply->err, reply->in_session);
    if (!reply->in_session)
        return fail_rc(x, PS_TRANSACTION,
                       "a statement of the batch ended its transaction; what "
                       "came before is committed or rolled back as it said",
                       false);
    if (batch->at > 0)
        ps_buf_append_char(&batch->results, ',');
    ps_buf_append_str(&batch->results, reply->body);
    ps_buf_append_c(&batch->results, batch->close);
    if (ps_buf_rc(&batch->results) != PS_OK)
        return fail_rc(x, PS_RESULT_TOO_BIG, NULL, true);
    batch->at++;
    if (x->abandoned)
        return fail_rc(x, PS_CANCELLED, NULL, true);
    return start(x, batch->at < batch->n ? PHASE_STATEMENT : PHASE_COMMIT);
}

static bool
begun(struct ps_exchange *x)
{
    struct ps_batch *batch = x->batch;
    const struct ps_reply *reply = &x->request.req.reply;
    if (reply->rc != PS_OK)
        return fail(x, &reply->err, false);
    if (!reply->in_session)
        return fail_rc(x, PS_TRANSACTION, NULL, false);
    memcpy(batch->session, reply->session_id, sizeof(batch->session));
    return start(x, batch->n > 0 ? PHASE_STATEMENT : PHASE_COMMIT);
}

static bool
advance(struct ps_exchange *x)
{
    struct ps_batch *batch = x->batch;
    const struct ps_reply *reply = &x->request.req.reply;
    switch (batch->phase) {
    case PHASE_BEGIN:
        return begun(x);
    case PHASE_STATEMENT:
        return statement_done(x);
    case PHASE_COMMIT:
        if (reply->rc != PS_OK)
            return fail(x, &reply->err, reply->in_session);
        return false;
    case PHASE_ROLLBACK:
        break;
    }
    return false;
}

bool
ps_batch_next(struct ps_exchange *x)
{
    struct ps_batch *batch = x->batch;
    struct ps_reply *reply = &x->request.req.reply;
    batch->pool_us += reply->pool_us;
    batch->origin_us += reply->origin_us;
    if (advance(x))
        return true;
    reply->pool_us = batch->pool_us;
    reply->origin_us = batch->origin_us;
    reply->rc = batch->failure.rc;
    reply->err = batch->failure;
    reply->error_body = batch->failure_body;
    reply->body = batch->results.len ? ps_buf_str(&batch->results) : PS_STR("");
    return false;
}
