/*
 * What is to be done? The protocol's text becomes a statement, the analysis
 * says what the text proves, the origin's catalogue adds what the text cannot
 * know (views, triggers, cascades, policies), and DECIDE draws the line:
 *
 *   read that may be kept   snapshot, store, shared with equal requests
 *   other read              bypass, with the reason
 *   everything else         a write: commit window, sent at most once (C7),
 *                           told to the other agents
 *
 * Whatever is not surely a read is a write to all it might touch (C1).
 */
#include "agent/req/session.h"

/* Provider -> dialect of its statements. */
static const enum ps_dialect dialects[PS_PROVIDER_COUNT] = {
    [PS_PROVIDER_POSTGRES] = PS_DIALECT_POSTGRES,
    [PS_PROVIDER_MYSQL] = PS_DIALECT_MYSQL,
    [PS_PROVIDER_MARIADB] = PS_DIALECT_MYSQL,
    [PS_PROVIDER_MSSQL] = PS_DIALECT_TSQL,
};

enum ps_dialect
ps_dialect_of(enum ps_provider provider)
{
    return dialects[provider];
}

enum ps_dialect
ps_run_dialect(const struct ps_run *run)
{
    return dialects[run->conf->provider];
}

enum ps_next
ps_step_prepare(struct ps_run *run)
{
    struct ps_err err = {0};
    enum ps_rc rc =
        run->req->protocol->prepare(run->req, &run->statement, &err);
    if (rc != PS_OK)
        return ps_run_fail_err(run, rc, &err);
    run->statement.timeout_ms = run->conf->query_timeout_ms;
    return ps_go(&run->step, PS_STEP_ANALYSE);
}

/* A statement that begins a transaction and does nothing else. */
static bool
may_open_session(const struct ps_run *run)
{
    const struct ps_sql_analysis *a = run->analysis;
    bool asked = run->req->session == PS_SESSION_OPEN ||
                 run->req->session == PS_SESSION_BATCH;
    if (run->statement.begins)
        return asked;
    return asked && a->cls == PS_SQL_TRANSACTION && a->n_statements == 1 &&
           a->opens_transaction && !a->ends_transaction;
}

enum ps_next
ps_step_analyse(struct ps_run *run)
{
    /* Pooled sessions are canonical: no modes (hazard 5). */
    enum ps_rc rc =
        ps_sql_analyse(dialects[run->conf->provider], 0, run->statement.sql,
                       run->req->arena, &run->analysis);
    if (rc == PS_TOO_BIG)
        return ps_run_fail(run, PS_BODY_TOO_BIG,
                           "the statement is too large to be analysed");
    if (rc != PS_OK)
        return ps_run_fail(run, rc, NULL);
    const struct ps_sql_analysis *a = run->analysis;
    if (run->at->tally)
        run->tally =
            ps_tally_id(run->engine->conf.tally, ps_str_of(run->conf->id),
                        a->fingerprint, a->template_text);
    if (a->opens_transaction && !a->ends_transaction && !run->in_session &&
        !may_open_session(run))
        return ps_run_fail(run, PS_TRANSACTION, NULL);
    /* NULL: the table is full; then nothing is kept. */
    run->space = ps_space_get(run->engine->spaces, ps_str_of(run->conf->id),
                              run->principal->database);
    return ps_go(&run->step, PS_STEP_CATALOG);
}

/* ---- the catalogue ---- */

/* Would it change what is done with this statement? */
static bool
needs_catalog(const struct ps_sql_analysis *a)
{
    if (a->writes_all)
        return false;
    return a->cls == PS_SQL_READ || a->n_relations > 0 || a->n_functions > 0;
}

static struct ps_catalog_source
source_of(struct ps_run *run)
{
    return (struct ps_catalog_source){.loop = run->at->loop,
                                      .pool = run->at->pool,
                                      .principal = run->principal,
                                      .conf = run->conf,
                                      .password = run->req->password};
}

static void
on_catalog(struct ps_catalog_wait *wait, struct ps_catalog *catalog,
           enum ps_rc rc, const struct ps_err *err)
{
    struct ps_run *run = PS_CONTAINER_OF(wait, struct ps_run, catalog_wait);
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    if (rc == PS_SHUTTING_DOWN) {
        ps_run_fail_err(run, rc, err);
        ps_run_resume(run, PS_STEP_FAIL);
        return;
    }
    /* Otherwise without one: not kept, whole database. Where the origin is
     * the trouble the statement itself will say so. */
    run->catalog = catalog ? ps_catalog_ref(catalog) : NULL;
    ps_run_resume(run, PS_STEP_DECIDE);
}

static void
interrupt_catalog(struct ps_run *run)
{
    ps_catalog_cancel(run->engine->catalogs, &run->catalog_wait);
    ps_run_fail(run, PS_CANCELLED, NULL);
    ps_run_resume(run, PS_STEP_FAIL);
}

enum ps_next
ps_step_catalog(struct ps_run *run)
{
    struct ps_engine *engine = run->engine;
    bool due = false;
    /* Before a transaction, because within one no other connection is asked
     * for. */
    if (!run->space ||
        (!needs_catalog(run->analysis) && !may_open_session(run)))
        return ps_go(&run->step, PS_STEP_DECIDE);
    struct ps_err err;
    enum ps_rc rc = ps_engine_hold_conf(engine, run->conf, &err);
    if (rc != PS_OK)
        return ps_run_fail_err(run, rc, &err);
    struct ps_catalog_source source = source_of(run);
    run->catalog = ps_catalog_find(engine->catalogs, run->space,
                                   ps_clock_now_us(engine->conf.clock), &due);
    if (run->catalog) {
        if (due)
            ps_catalog_refresh(engine->catalogs, run->space, &source);
        return ps_go(&run->step, PS_STEP_DECIDE);
    }
    if (run->in_session)
        return ps_go(&run->step, PS_STEP_DECIDE);
    /* The load needs a connection of the same pool. */
    ps_run_release(run, PS_POOL_CLEAN);
    run->interrupt = interrupt_catalog;
    run->catalog_wait.fn = on_catalog;
    ps_catalog_load(engine->catalogs, run->space, &source, &run->catalog_wait);
    return PS_NEXT_WAIT;
}

/* ---- the decision ---- */

static enum ps_next
decide_write(struct ps_run *run)
{
    const struct ps_sql_analysis *a = run->analysis;
    bool read_as_write = a->reason == PS_SQL_REASON_NONE ||
                         a->reason == PS_SQL_REASON_UNKNOWN_FUNCTION;
    run->writes = true;
    run->change.catalog |= a->changes_catalog;
    run->req->reply.verdict = PS_VERDICT_BYPASS;
    run->why =
        ps_sql_reason_code(read_as_write ? PS_SQL_REASON_WRITES : a->reason);
    return ps_go(&run->step, PS_STEP_ACQUIRE);
}

static enum ps_next
decide_bypass(struct ps_run *run, const char *why)
{
    run->req->reply.verdict = PS_VERDICT_BYPASS;
    run->why = why;
    return ps_go(&run->step, PS_STEP_ACQUIRE);
}

/* A parameter as the analysis compares it: by its text, from which the server
 * makes a value of the column's type. */
static struct ps_sql_value
value_of(const struct ps_param *param)
{
    switch (param->kind) {
    case PS_PARAM_NULL:
        return (struct ps_sql_value){.kind = PS_SQL_VALUE_NULL};
    case PS_PARAM_BOOL:
        return (struct ps_sql_value){
            .kind = PS_SQL_VALUE_BOOL,
            .boolean = ps_str_eq(param->text, PS_STR("true"))};
    case PS_PARAM_NUMBER:
    case PS_PARAM_TEXT:
        return (struct ps_sql_value){.kind = PS_SQL_VALUE_STRING,
                                     .text = param->text};
    case PS_PARAM_ARRAY:
        break;
    }
    return (struct ps_sql_value){.kind = PS_SQL_VALUE_PARAM, .index = -1};
}

/* NULL: nothing is known of them. */
const struct ps_sql_bindings *
ps_bindings_of(const struct ps_statement *statement, struct ps_arena *arena)
{
    struct ps_sql_bindings *bindings = ps_arena_alloc(arena, sizeof(*bindings));
    struct ps_sql_value *values =
        ps_arena_alloc(arena, (statement->n_params + 1) * sizeof(*values));
    if (!bindings || !values)
        return NULL;
    for (size_t i = 0; i < statement->n_params; i++)
        values[i] = value_of(&statement->params[i]);
    *bindings =
        (struct ps_sql_bindings){.values = values, .n = statement->n_params};
    return bindings;
}

/* MySQL: a table of another database than the session's has its stamps in
 * another space. */
bool
ps_stays_home(enum ps_provider provider, struct ps_str database,
              const struct ps_table_name *tables, size_t n)
{
    if (provider != PS_PROVIDER_MYSQL && provider != PS_PROVIDER_MARIADB)
        return true;
    for (size_t i = 0; i < n; i++) {
        if (!ps_str_eq(tables[i].schema, database))
            return false;
    }
    return true;
}

static bool
stays_home(const struct ps_run *run, const struct ps_table_name *tables,
           size_t n)
{
    return ps_stays_home(run->conf->provider, run->principal->database, tables,
                         n);
}

static bool
has_read_set(struct ps_run *run, const struct ps_catalog_text *text,
             const char **why)
{
    struct ps_catalog_tables set;
    if (!run->space ||
        !ps_catalog_read_set(run->catalog, text, run->req->arena, &set, why))
        return false;
    if (!stays_home(run, set.tables, set.n)) {
        *why = ps_reason_code(PS_REASON_OTHER_DATABASE);
        return false;
    }
    run->tables = set.tables;
    run->rows = set.rows;
    run->n_tables = set.n;
    return true;
}

enum ps_next
ps_step_decide(struct ps_run *run)
{
    const char *why = NULL;
    /* A transaction that spans requests may have said USE. */
    const struct ps_catalog_text text = {
        .analysis = run->analysis,
        .bindings = ps_bindings_of(&run->statement, run->req->arena),
        .database = run->in_session ? PS_STR_NONE : run->principal->database};
    run->change = (struct ps_change){.cache_id = ps_str_of(run->conf->id),
                                     .database = run->principal->database};
    bool changes = ps_catalog_write_set(run->catalog, &text, run->req->arena,
                                        &run->change);
    run->statement.may_write = changes || ps_catalog_has_effect(run->analysis);
    run->touches_session = ps_catalog_touches_session(
        run->catalog, run->analysis, run->req->arena);
    /* What is not known to stay in its database may be in any of them, but
     * for PostgreSQL, whose sessions reach one. */
    if ((run->change.n_tables == 0 &&
         run->conf->provider != PS_PROVIDER_POSTGRES) ||
        !stays_home(run, run->change.tables, run->change.n_tables))
        run->change.database = PS_STR_NONE;
    if (run->in_session) {
        run->statement.may_write = changes;
        return ps_session_decide(run);
    }
    if (may_open_session(run))
        return ps_session_begin(run);
    run->change_gen = ps_catalog_gen(run->catalog);
    /* Nobody asked for it: what is not surely a read that may be kept is not
     * sent again (C7). */
    bool sent_anyway = !ps_run_is_own(run);
    if (changes)
        return sent_anyway ? decide_write(run) : ps_run_give_up(run);
    /* Switched off or cut off: that is why, whatever the statement is. */
    if (!run->conf->caching_enabled)
        why = ps_reason_code(PS_REASON_CACHING_OFF);
    else if (has_read_set(run, &text, &why))
        run->cacheable = true;
    if (!run->cacheable && !sent_anyway)
        return ps_run_give_up(run);
    if (!run->cacheable)
        return decide_bypass(run,
                             why ? why : ps_reason_code(PS_REASON_NO_MEMORY));
    run->rule = ps_run_rule(run);
    return ps_go(&run->step, PS_STEP_FLIGHT);
}

/* ---- equal reads at the same time ---- */

/* Where nothing is to be kept every request wants what is there now: what
 * another one asked for may be older than a write that no agent saw. */
static bool
may_be_shared(const struct ps_run *run)
{
    const struct ps_rule_choice *rule = &run->rule;
    const struct ps_req *req = run->req;
    if (req->no_cache)
        return false;
    if (!rule->found)
        return run->conf->auto_cached && !(req->has_ttl && req->ttl_ms == 0);
    return rule->mode == PS_RULE_AUTO ||
           (rule->mode == PS_RULE_TTL && rule->ttl_ms > 0);
}

static bool
lease_allows_sharing(const struct ps_run *run, uint64_t born_us, uint64_t now)
{
    return ps_lease_allows(run->engine->conf.lease, now, born_us,
                           run->conf->write_ack_global);
}

/* Would an equal request of its own end the same way? */
static bool
failure_is_shared(enum ps_rc rc)
{
    return rc == PS_RESULT_TOO_BIG || rc == PS_QUERY_TIMEOUT ||
           rc == PS_POOL_FULL || rc == PS_SHUTTING_DOWN ||
           rc == PS_ORIGIN_CIRCUIT || rc == PS_TOO_MANY_CONCURRENT;
}

/*
 * An error is its leader's alone; the others try for themselves, one at a time,
 * each until its own deadline. But what the origin says of the statement to
 * two of them it would say to all: an error that is not of a moment (of a
 * transaction, of resources, of a connection or an operator).
 */
static bool
told_again(struct ps_run *run, enum ps_rc rc, const struct ps_err *err)
{
    static const char *const passing[] = {"08", "40", "53", "57"};
    /* A protocol with an error body of its own wants all that was said. */
    if (rc != PS_ORIGIN_SQL || err->sqlstate[0] == '\0' ||
        run->req->protocol->style)
        return false;
    for (size_t i = 0; i < PS_ARRAY_LEN(passing); i++) {
        if (strncmp(err->sqlstate, passing[i], 2) == 0)
            return false;
    }
    bool again = strcmp(run->flight_sqlstate, err->sqlstate) == 0;
    memcpy(run->flight_sqlstate, err->sqlstate, sizeof(run->flight_sqlstate));
    return again;
}

static void
stop_waiting(struct ps_run *run)
{
    ps_flight_leave(&run->flight_waiter);
    run->waiting_behind = NULL;
    ps_timer_stop(&run->timer);
}

static void
interrupt_waiter(struct ps_run *run)
{
    stop_waiting(run);
    ps_run_fail(run, PS_CANCELLED, NULL);
    ps_run_resume(run, PS_STEP_FAIL);
}

/*
 * From inside the leader's step. It had this password verified and the lease
 * when it joined; the flight admitted it only while no write had begun since
 * the query was sent (C2). What may have changed is that an agent got
 * lost: then the answer may be too old to be shared (C4).
 */
static void
on_landed(struct ps_flight_waiter *waiter, struct ps_entry *entry,
          enum ps_rc rc, const struct ps_err *err)
{
    struct ps_run *run = PS_CONTAINER_OF(waiter, struct ps_run, flight_waiter);
    PS_CHECK_OBJ(run, PS_RUN_MAGIC);
    uint64_t now_us = ps_clock_now_us(run->engine->conf.clock);
    run->waiting_behind = NULL;
    ps_timer_stop(&run->timer);
    if (entry && lease_allows_sharing(run, ps_entry_born_us(entry), now_us)) {
        struct ps_entry *mine = ps_entry_ref(entry);
        ps_worker_count(run->at, PS_ENGINE_COALESCED);
        ps_run_serve(run, &mine, run->req->reply.verdict, PS_REASON_COALESCED);
        ps_run_resume(run, run->step);
    } else if (!entry && rc != PS_OK &&
               (failure_is_shared(rc) || told_again(run, rc, err))) {
        ps_run_fail_err(run, rc, err);
        ps_run_resume(run, PS_STEP_FAIL);
    } else {
        ps_run_resume(run, PS_STEP_FLIGHT);
    }
}

/* A refresh is a flight that others may join, and gets in nobody's way. */
static enum ps_next
lead_or_give_up(struct ps_run *run, uint64_t now_us)
{
    if (!lease_allows_sharing(run, now_us, now_us) ||
        ps_pool_busy(run->at->pool, run->principal))
        return ps_run_give_up(run);
    if (ps_flight_enter(run->at->flights, &run->key, &run->flight_waiter,
                        &run->flight) == PS_FLIGHT_LEAD)
        return ps_go(&run->step, PS_STEP_ACQUIRE);
    ps_flight_leave(&run->flight_waiter);
    return ps_run_give_up(run);
}

enum ps_next
ps_step_flight(struct ps_run *run)
{
    uint64_t now_us = ps_clock_now_us(run->engine->conf.clock);
    if (run->flight)
        return ps_go(&run->step, PS_STEP_ACQUIRE);
    if (run->req->refreshes)
        return lead_or_give_up(run, now_us);
    if (!may_be_shared(run) || !lease_allows_sharing(run, now_us, now_us))
        return ps_go(&run->step, PS_STEP_ACQUIRE);
    run->flight_waiter.fn = on_landed;
    switch (ps_flight_enter(run->at->flights, &run->key, &run->flight_waiter,
                            &run->flight)) {
    case PS_FLIGHT_LEAD:
    case PS_FLIGHT_ALONE:
        break;
    case PS_FLIGHT_WAIT:
        ps_run_release(run, PS_POOL_CLEAN);
        ps_run_wait_behind(run, stop_waiting, interrupt_waiter);
        return PS_NEXT_WAIT;
    }
    return ps_go(&run->step, PS_STEP_ACQUIRE);
}
