/* PostgreSQL through libpq. PS_PG_PORT: where it is (user postgres, database
 * app). */
#include "tests/tools/sql/provider.h"

#include <libpq-fe.h>

#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_COLUMNS = 64
};

static PGconn *db;

static void
pg_run(const char *script)
{
    PGresult *r = PQexec(db, script);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        provider_die(script, PQerrorMessage(db));
    PQclear(r);
}

static void
pg_open(void)
{
    const char *port = getenv("PS_PG_PORT");
    char conninfo[128];

    snprintf(conninfo, sizeof(conninfo),
             "host=localhost port=%s user=postgres dbname=app sslmode=disable",
             port ? port : "5432");
    db = PQconnectdb(conninfo);
    if (PQstatus(db) != CONNECTION_OK)
        provider_die("connect", PQerrorMessage(db));
    pg_run("SET client_min_messages = error; SET jit = off; "
           "CREATE COLLATION IF NOT EXISTS nocase (provider = icu, locale = "
           "'und-u-ks-level2', deterministic = false)");
}

static void
pg_close(void)
{
    PQfinish(db);
}

static uint64_t
answer_of(const PGresult *r)
{
    uint64_t sum = (uint64_t)PQntuples(r);
    int n = PS_MIN(PQnfields(r), (int)MAX_COLUMNS);
    for (int row = 0; row < PQntuples(r); row++) {
        const char *values[MAX_COLUMNS];
        for (int i = 0; i < n; i++)
            values[i] = PQgetisnull(r, row, i) ? NULL : PQgetvalue(r, row, i);
        sum += provider_hash_row(values, (size_t)n);
    }
    return sum;
}

/* As pg_type has them. */
static Oid
type_of(enum maker_binding binding)
{
    switch (binding) {
    case MAKER_BIND_INTEGER:
        return 20; /* int8 */
    case MAKER_BIND_NUMERIC:
        return 1700;
    case MAKER_BIND_FLOAT:
        return 701; /* float8 */
    case MAKER_BIND_TEXT:
        return 25;
    default:
        return 0;
    }
}

static bool
pg_execute(const struct maker_text *t, uint64_t *answer)
{
    const char *values[MAKER_PARAMS];
    Oid types[MAKER_PARAMS];
    for (size_t i = 0; i < t->n_params; i++) {
        values[i] = t->params[i];
        types[i] = type_of(t->bindings[i]);
    }
    PGresult *r = PQexecParams(db, t->sql, (int)t->n_params, types, values,
                               NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(r);
    bool ok = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    if (ok)
        *answer = answer_of(r);
    else if (getenv("PS_SEMANTIC_VERBOSE"))
        fprintf(stderr, "refused: %s\n    %s", t->sql, PQresultErrorMessage(r));
    PQclear(r);
    if (PQstatus(db) != CONNECTION_OK)
        provider_die("the connection is gone", PQerrorMessage(db));
    return ok;
}

const struct provider provider_pg = {
    .name = "postgres",
    .dialect = PS_DIALECT_POSTGRES,
    .traits = &maker_traits_pg,
    .open = pg_open,
    .close = pg_close,
    .run = pg_run,
    .execute = pg_execute,
};
