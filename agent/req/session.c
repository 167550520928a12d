/* See session.h. */
#include "agent/req/session.h"

#include "common/tls.h"

#include <stdlib.h>

enum {
    SIGNED_MAX = 8192
};

/* ---- tokens ---- */

/* Every part with its length before it: no two sets of parts are alike. */
static size_t
put_part(char *out, size_t at, struct ps_str part)
{
    uint32_t n = (uint32_t)part.len;
    memcpy(out + at, &n, sizeof(n));
    if (n > 0)
        memcpy(out + at + sizeof(n), part.ptr, n);
    return at + sizeof(n) + n;
}

static bool
sign(const struct ps_req *req, const unsigned char id[PS_SESSION_ID_BYTES],
     unsigned char out[32])
{
    const struct ps_str parts[] = {req->cache_id, req->database, req->user,
                                   req->password};
    char text[SIGNED_MAX];
    size_t at = PS_SESSION_ID_BYTES;
    memcpy(text, id, PS_SESSION_ID_BYTES);
    for (size_t i = 0; i < PS_ARRAY_LEN(parts); i++) {
        if (parts[i].len > sizeof(text) - at - sizeof(uint32_t))
            return false;
        at = put_part(text, at, parts[i]);
    }
    ps_hmac_sha256(req->engine->session_key, (struct ps_str){text, at}, out);
    explicit_bzero(text, at);
    return true;
}

void
ps_session_sign(const struct ps_req *req,
                const unsigned char id[PS_SESSION_ID_BYTES],
                unsigned char token[PS_SESSION_TOKEN_BYTES])
{
    memcpy(token, id, PS_SESSION_ID_BYTES);
    /* Credentials too long to be signed cannot have logged in either. */
    if (!sign(req, id, token + PS_SESSION_ID_BYTES))
        ps_random_bytes(token + PS_SESSION_ID_BYTES, 32);
}

bool
ps_session_verify(struct ps_req *req, struct ps_str token)
{
    unsigned char id[PS_SESSION_ID_BYTES], wanted[32];
    if (token.len != PS_SESSION_TOKEN_BYTES)
        return false;
    memcpy(id, token.ptr, sizeof(id));
    if (!sign(req, id, wanted) ||
        !ps_equal_const_time(wanted, token.ptr + sizeof(id), sizeof(wanted)))
        return false;
    req->session = PS_SESSION_IN;
    memcpy(req->session_id, id, sizeof(id));
    return true;
}

/* ---- life ---- */

static void
session_free(struct ps_session **session)
{
    struct ps_session *old = *session;
    *session = NULL;
    if (ps_link_linked(&old->link))
        ps_list_remove(&old->worker->sessions, &old->link);
    ps_timer_stop(&old->timer);
    ps_change_set_done(&old->changes);
    ps_principal_unref(&old->principal);
    ps_cache_conf_unref(&old->conf);
    free(old);
}

/* What a transaction changed that nobody ended: its rollback changes nothing
 * that was visible, but doubt costs little here. */
static void
tell_changes(struct ps_session *session)
{
    struct ps_engine *engine = session->worker->engine;
    const struct ps_publisher *publisher = engine->conf.publisher;
    struct ps_change_set *changes = &session->changes;
    struct ps_write write;
    if (!changes->any)
        return;
    ps_write_begin(engine->spaces, &changes->change, changes->catalog_gen,
                   &write);
    if (ps_write_end(&write)) {
        changes->change.tables = NULL;
        changes->change.rows = NULL;
        changes->change.n_tables = 0;
    }
    ps_worker_count(session->worker, PS_ENGINE_INVALIDATIONS);
    publisher->publish(publisher->arg, &changes->change, NULL);
}

/* The pool's reset rolls it back. */
static void
roll_back(struct ps_session *session)
{
    struct ps_conn *conn = session->conn;
    session->conn = NULL;
    tell_changes(session);
    ps_pool_release(session->worker->pool, conn, PS_POOL_RESET);
    session_free(&session);
}

static void
on_idle(void *arg)
{
    struct ps_session *session = arg;
    PS_CHECK(!session->busy && session->conn);
    ps_worker_count(session->worker, PS_ENGINE_TRANSACTIONS_EXPIRED);
    roll_back(session);
}

void
ps_session_end_all(struct ps_worker *worker)
{
    PS_LIST_FOREACH_SAFE(&worker->sessions, it, tmp) {
        struct ps_session *session =
            PS_CONTAINER_OF(it, struct ps_session, link);
        if (!session->busy)
            roll_back(session);
    }
}

/* ---- DECIDE ---- */

static size_t
kept_by(const struct ps_worker *worker, const struct ps_principal *principal)
{
    size_t n = 0;
    PS_LIST_FOREACH_SAFE(&worker->sessions, it, tmp) {
        const struct ps_session *session =
            PS_CONTAINER_OF(it, struct ps_session, link);
        n += session->principal == principal && !session->batch;
    }
    return n;
}

/* One of two at least is left to others. */
static enum ps_next
check_room(struct ps_run *run)
{
    uint32_t max = run->conf->pool_max / 2;
    if (run->req->session == PS_SESSION_BATCH ||
        kept_by(run->at, run->principal) < max)
        return PS_NEXT_GO;
    if (max == 0)
        return ps_run_fail(run, PS_TOO_MANY_REQUESTS,
                           "transactions over several requests need a cache "
                           "whose pool_max is 2 at least");
    return ps_run_fail(run, PS_TOO_MANY_REQUESTS,
                       "this user has %u transactions open, half of what the "
                       "cache's pool_max allows; end one of them first",
                       (unsigned)max);
}

enum ps_next
ps_session_begin(struct ps_run *run)
{
    check_room(run);
    if (run->step == PS_STEP_FAIL)
        return PS_NEXT_GO;
    struct ps_session *session = calloc(1, sizeof(*session));
    if (!session)
        return ps_run_fail(run, PS_NO_MEMORY, NULL);
    session->worker = run->at;
    session->principal = ps_principal_ref(run->principal);
    session->conf = ps_cache_conf_ref(run->conf);
    session->batch = run->req->session == PS_SESSION_BATCH;
    session->busy = true;
    ps_random_bytes(session->id, sizeof(session->id));
    ps_link_init(&session->link);
    ps_timer_init(&session->timer, run->at->loop, on_idle, session);
    ps_change_set_init(&session->changes);
    ps_list_push_back(&run->at->sessions, &session->link);
    ps_worker_count(run->at, PS_ENGINE_TRANSACTIONS);
    run->session = session;
    run->statement.may_write = false; /* it begins, and changes nothing */
    run->req->reply.verdict = PS_VERDICT_BYPASS;
    run->why = ps_reason_code(PS_REASON_TRANSACTION);
    return ps_go(&run->step, PS_STEP_ACQUIRE);
}

/* SAVEPOINT, COMMIT and their like, alone. */
static bool
is_control(const struct ps_sql_analysis *a)
{
    return a->cls == PS_SQL_TRANSACTION && a->n_statements == 1 &&
           !a->writes_all;
}

/*
 * May the transaction be over, or another one be open, behind it? In PostgreSQL
 * only what says so ends one. The others commit before many a statement (DDL,
 * LOCK TABLES, BEGIN, SET autocommit = 1, what a procedure does): there only
 * what surely does not is told apart.
 */
static bool
may_end(const struct ps_run *run)
{
    const struct ps_sql_analysis *a = run->analysis;
    if (a->ends_transaction || a->n_statements != 1 || a->cls == PS_SQL_UNKNOWN)
        return true;
    if (run->conf->provider == PS_PROVIDER_POSTGRES)
        return false;
    return a->opens_transaction || a->changes_catalog ||
           (a->cls != PS_SQL_READ && a->cls != PS_SQL_WRITE && !is_control(a));
}

/* It is, and what was changed until then is told for good. What only may have
 * ended it (an error, several statements, DDL that was refused) leaves that to
 * be told once more. */
static bool
has_ended(const struct ps_run *run)
{
    return run->ends_session && run->outcome.rc == PS_OK &&
           is_control(run->analysis) && run->analysis->ends_transaction;
}

/*
 * Nothing it changes is visible to others before the COMMIT, whose window will
 * cover it. Proven only where PostgreSQL changes tables that are known: MySQL
 * has tables without transactions, and what functions do may be done
 * elsewhere.
 */
static bool
waits_for_commit(const struct ps_run *run)
{
    const struct ps_sql_analysis *a = run->analysis;
    return run->conf->provider == PS_PROVIDER_POSTGRES && !may_end(run) &&
           (a->cls == PS_SQL_READ || a->cls == PS_SQL_WRITE) &&
           !a->writes_all && !a->incomplete && run->change.n_tables > 0;
}

enum ps_next
ps_session_decide(struct ps_run *run)
{
    struct ps_change_set *changes = &run->session->changes;
    bool own = run->statement.may_write && !is_control(run->analysis);
    bool ends = may_end(run);
    if (own) {
        run->change.catalog |= run->analysis->changes_catalog;
        ps_change_set_add(changes, &run->change, ps_catalog_gen(run->catalog));
    }
    run->ends_session = ends;
    if (ends && changes->any) {
        run->change = changes->change;
        run->change_gen = changes->catalog_gen;
        run->writes = true;
    } else {
        run->change_gen = ps_catalog_gen(run->catalog);
        run->writes = own && !waits_for_commit(run);
    }
    /* Else a broken connection has surely rolled it back. */
    run->statement.may_write = run->writes;
    run->req->reply.verdict = PS_VERDICT_BYPASS;
    run->why = ps_reason_code(PS_REASON_TRANSACTION);
    return ps_go(&run->step, PS_STEP_ACQUIRE);
}

/* ---- SESSION ---- */

static struct ps_session *
find(const struct ps_worker *worker, const struct ps_req *req)
{
    PS_LIST_FOREACH_SAFE(&worker->sessions, it, tmp) {
        struct ps_session *session =
            PS_CONTAINER_OF(it, struct ps_session, link);
        if (memcmp(session->id, req->session_id, sizeof(session->id)) == 0)
            return session;
    }
    return NULL;
}

enum ps_next
ps_step_session(struct ps_run *run)
{
    struct ps_session *session = find(run->at, run->req);
    /* The same principal: cache, database and user are what the token was
     * signed for. */
    if (!session || session->principal != run->principal)
        return ps_run_fail(run, PS_TRANSACTION_OVER, NULL);
    if (session->busy)
        return ps_run_fail(run, PS_CONFLICT,
                           "another statement of this transaction is still "
                           "running; send them one after the other");
    if (!ps_cache_conf_same_origin(session->conf, run->conf)) {
        roll_back(session);
        return ps_run_fail(run, PS_TRANSACTION_OVER, NULL);
    }
    ps_timer_stop(&session->timer);
    session->busy = true;
    run->session = session;
    run->in_session = true;
    run->conn = session->conn;
    session->conn = NULL;
    return ps_go(&run->step, PS_STEP_PREPARE);
}

/* ---- JUDGE, LEAVE ---- */

bool
ps_session_goes_on(struct ps_run *run)
{
    const struct ps_outcome *out = &run->outcome;
    if (!run->session)
        return false;
    bool complete =
        out->rc == PS_OK || out->rc == PS_ORIGIN_SQL || out->not_sent;
    run->in_session =
        out->state == PS_CONN_TRANSACTION && complete && !run->cancelled;
    return run->in_session;
}

void
ps_session_leave(struct ps_run *run)
{
    struct ps_session *session = run->session;
    uint64_t idle_ms = run->engine->conf.transaction_idle_ms;
    run->session = NULL;
    if (!session)
        return;
    session->busy = false;
    if (!run->in_session || !run->conn) {
        session_free(&session);
        return;
    }
    if (has_ended(run)) /* AND CHAIN */
        ps_change_set_clear(&session->changes);
    session->conn = run->conn;
    run->conn = NULL;
    if (run->at->draining) {
        roll_back(session);
        return;
    }
    run->req->reply.in_session = true;
    memcpy(run->req->reply.session_id, session->id, sizeof(session->id));
    ps_timer_start_ms(&session->timer, idle_ms ? idle_ms : PS_SESSION_IDLE_MS);
}
