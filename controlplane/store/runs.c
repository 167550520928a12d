/* Reachability runs: what each agent found when it tried a cache's origin. */
#include "controlplane/store/db_private.h"

enum ps_rc
ps_db_run_insert(struct ps_db *db, const struct ps_run *run, struct ps_err *err)
{
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    struct query q;
    query_begin(&q, db, STMT_RUN_INSERT, err);
    query_text(&q, run->id);
    query_text(&q, run->cache_id);
    query_int(&q, run->started_ms);
    query_time(&q, run->finished_ms);
    rc = query_run(&q, NULL);
    if (rc == PS_CONFLICT)
        rc = ps_err_set(err, PS_CACHE_NOT_FOUND, NULL);
    if (rc == PS_OK) {
        query_begin(&q, db, STMT_RUN_PRUNE, err);
        query_text(&q, run->cache_id);
        query_int(&q, PS_DB_RUNS_KEPT);
        rc = query_run(&q, NULL);
    }
    return db_end(db, rc, err);
}

enum ps_rc
ps_db_run_result_put(struct ps_db *db, const char *run_id,
                     const struct ps_run_result *result, struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_RUN_RESULT_PUT, err);
    query_text(&q, run_id);
    query_text(&q, result->agent_id);
    query_text(&q, result->agent_name);
    query_text(&q, result->region);
    query_int(&q, result->done);
    query_int(&q, result->ok);
    query_text(&q, result->code);
    query_text(&q, result->source_address);
    query_text(&q, result->target_address);
    query_text(&q, result->server_version);
    query_text(&q, result->advice);
    query_text(&q, result->stages);
    enum ps_rc rc = query_run(&q, NULL);
    if (rc == PS_CONFLICT)
        return ps_err_set(err, PS_NOT_FOUND, "this run is not known");
    return rc;
}

static enum ps_rc
finish(struct ps_db *db, const char *run_id, int64_t now_ms, const char *code,
       const char *advice, struct ps_err *err)
{
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    struct query q;
    query_begin(&q, db, run_id ? STMT_RUN_FINISH : STMT_RUN_FINISH_ALL, err);
    query_int(&q, now_ms);
    if (run_id)
        query_text(&q, run_id);
    rc = query_run(&q, NULL);
    if (rc == PS_OK) {
        query_begin(&q, db,
                    run_id ? STMT_RUN_FINISH_RESULTS
                           : STMT_RUN_FINISH_ALL_RESULTS,
                    err);
        query_text(&q, code);
        query_text(&q, advice);
        if (run_id)
            query_text(&q, run_id);
        rc = query_run(&q, NULL);
    }
    return db_end(db, rc, err);
}

enum ps_rc
ps_db_run_finish(struct ps_db *db, const char *run_id, int64_t now_ms,
                 const char *code, const char *advice, struct ps_err *err)
{
    return finish(db, run_id, now_ms, code, advice, err);
}

enum ps_rc
ps_db_run_finish_all(struct ps_db *db, int64_t now_ms, const char *code,
                     const char *advice, struct ps_err *err)
{
    return finish(db, NULL, now_ms, code, advice, err);
}

enum ps_rc
ps_db_run_get(struct ps_db *db, const char *cache_id, const char *run_id,
              struct ps_run *run, struct ps_err *err)
{
    struct query q;
    bool found = false;
    query_begin(&q, db, run_id ? STMT_RUN_GET : STMT_RUN_NEWEST, err);
    query_text(&q, cache_id);
    if (run_id)
        query_text(&q, run_id);
    if (query_row(&q)) {
        column_text(&q, run->id, sizeof(run->id));
        column_text(&q, run->cache_id, sizeof(run->cache_id));
        run->started_ms = column_int(&q);
        run->finished_ms = column_int(&q);
        found = true;
    }
    enum ps_rc rc = query_end(&q);
    if (rc == PS_OK && !found)
        return ps_err_set(err, PS_NOT_FOUND,
                          "this cache has no such reachability run; start "
                          "one with `psctl cache test`");
    return rc;
}

enum ps_rc
ps_db_run_result_each(struct ps_db *db, const char *run_id,
                      enum ps_rc (*fn)(void *arg,
                                       const struct ps_run_result *result),
                      void *arg, struct ps_err *err)
{
    struct query q;
    enum ps_rc rc = PS_OK;
    query_begin(&q, db, STMT_RUN_RESULT_EACH, err);
    query_text(&q, run_id);
    while (rc == PS_OK && query_row(&q)) {
        struct ps_run_result r;
        column_text(&q, r.agent_id, sizeof(r.agent_id));
        column_text(&q, r.agent_name, sizeof(r.agent_name));
        column_text(&q, r.region, sizeof(r.region));
        r.done = column_int(&q) != 0;
        r.ok = column_int(&q) != 0;
        column_text(&q, r.code, sizeof(r.code));
        column_text(&q, r.source_address, sizeof(r.source_address));
        column_text(&q, r.target_address, sizeof(r.target_address));
        column_text(&q, r.server_version, sizeof(r.server_version));
        column_text(&q, r.advice, sizeof(r.advice));
        const unsigned char *stages = sqlite3_column_text(q.stmt, q.column);
        r.stages = stages ? (const char *)stages : "[]";
        rc = fn(arg, &r);
        if (rc != PS_OK)
            ps_err_set(err, rc, NULL);
    }
    enum ps_rc ended = query_end(&q);
    return rc != PS_OK ? rc : ended;
}
