/* MariaDB through Connector/C. PS_MY_PORT: where it is (user app, password
 * "app secret", database app). */
#include "tests/tools/sql/provider.h"

#include <mariadb/mysql.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_COLUMNS = 64,
    VALUE_BYTES = 256
};

static MYSQL *db;

static void
my_run(const char *script)
{
    int more = mysql_query(db, script);
    while (more == 0) {
        mysql_free_result(mysql_store_result(db));
        more = mysql_next_result(db);
    }
    if (more > 0)
        provider_die(script, mysql_error(db));
}

static void
my_open(void)
{
    const char *port = getenv("PS_MY_PORT");

    db = mysql_init(NULL);
    if (!db ||
        !mysql_real_connect(db, "127.0.0.1", "app", "app secret", "app",
                            port ? (unsigned)strtoul(port, NULL, 10) : 3306,
                            NULL, CLIENT_MULTI_STATEMENTS))
        provider_die("connect", db ? mysql_error(db) : "no memory");
    /* Rows come out as they went in, or do not go in, and a read has one
     * answer. */
    my_run("SET SESSION sql_mode = 'STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY', "
           "NAMES utf8mb4");
}

static void
my_close(void)
{
    mysql_close(db);
    mysql_library_end();
}

static bool
refused(const char *sql, const char *why)
{
    if (getenv("PS_SEMANTIC_VERBOSE"))
        fprintf(stderr, "refused: %s\n    %s\n", sql, why);
    return false;
}

static bool
execute_text(const char *sql, uint64_t *answer)
{
    MYSQL_ROW row;

    if (mysql_query(db, sql))
        return refused(sql, mysql_error(db));
    MYSQL_RES *r = mysql_store_result(db);
    *answer = 0;
    while (r && (row = mysql_fetch_row(r)))
        *answer += 1 + provider_hash_row((const char *const *)row,
                                         mysql_num_fields(r));
    mysql_free_result(r);
    return mysql_errno(db) == 0 || refused(sql, mysql_error(db));
}

static void
bind_params(const struct maker_text *t, MYSQL_BIND *bind, void *values)
{
    for (size_t i = 0; i < t->n_params; i++) {
        union {
            long long integer;
            double number;
        } *value = (void *)((char *)values + i * sizeof(*value));
        const char *text = t->params[i];
        bind[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
                               .buffer = (void *)(uintptr_t)text,
                               .buffer_length = strlen(text)};
        if (t->bindings[i] == MAKER_BIND_INTEGER && !strchr(text, '.')) {
            value->integer = strtoll(text, NULL, 10);
            bind[i].buffer_type = MYSQL_TYPE_LONGLONG;
            bind[i].buffer = value;
        } else if (t->bindings[i] == MAKER_BIND_FLOAT) {
            value->number = strtod(text, NULL);
            bind[i].buffer_type = MYSQL_TYPE_DOUBLE;
            bind[i].buffer = value;
        } else if (t->bindings[i] == MAKER_BIND_NUMERIC) {
            bind[i].buffer_type = MYSQL_TYPE_NEWDECIMAL;
        }
    }
}

/* Rows of a prepared statement, as text. */
static bool
fetch(MYSQL_STMT *stmt, uint64_t *answer)
{
    static char buffers[MAX_COLUMNS][VALUE_BYTES];
    MYSQL_BIND bind[MAX_COLUMNS] = {0};
    unsigned long lengths[MAX_COLUMNS];
    my_bool nulls[MAX_COLUMNS];
    unsigned n = mysql_stmt_field_count(stmt);
    int rc;

    *answer = 0;
    if (n == 0)
        return true;
    if (n > MAX_COLUMNS)
        return false;
    for (unsigned i = 0; i < n; i++)
        bind[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
                               .buffer = buffers[i],
                               .buffer_length = VALUE_BYTES - 1,
                               .length = &lengths[i],
                               .is_null = &nulls[i]};
    if (mysql_stmt_bind_result(stmt, bind) || mysql_stmt_store_result(stmt))
        return false;
    while ((rc = mysql_stmt_fetch(stmt)) == 0 || rc == MYSQL_DATA_TRUNCATED) {
        const char *values[MAX_COLUMNS];
        for (unsigned i = 0; i < n; i++) {
            buffers[i][PS_MIN(lengths[i], VALUE_BYTES - 1)] = '\0';
            values[i] = nulls[i] ? NULL : buffers[i];
        }
        *answer += 1 + provider_hash_row(values, n);
    }
    return rc == MYSQL_NO_DATA;
}

static bool
execute_prepared(const struct maker_text *t, uint64_t *answer)
{
    MYSQL_BIND bind[MAKER_PARAMS] = {0};
    double values[MAKER_PARAMS]; /* room for any of their types */
    MYSQL_STMT *stmt = mysql_stmt_init(db);

    if (!stmt)
        provider_die(t->sql, "no memory");
    bind_params(t, bind, values);
    bool ok = mysql_stmt_prepare(stmt, t->sql, t->len) == 0 &&
              mysql_stmt_param_count(stmt) == t->n_params &&
              mysql_stmt_bind_param(stmt, bind) == 0 &&
              mysql_stmt_execute(stmt) == 0 && fetch(stmt, answer);
    if (!ok)
        refused(t->sql, mysql_stmt_error(stmt));
    mysql_stmt_close(stmt);
    return ok;
}

static bool
my_execute(const struct maker_text *t, uint64_t *answer)
{
    bool ok = t->n_params > 0 ? execute_prepared(t, answer)
                              : execute_text(t->sql, answer);
    if (!ok && mysql_ping(db))
        provider_die("the connection is gone", mysql_error(db));
    return ok;
}

const struct provider provider_my = {
    .name = "mariadb",
    .dialect = PS_DIALECT_MYSQL,
    .traits = &maker_traits_my,
    .open = my_open,
    .close = my_close,
    .run = my_run,
    .execute = my_execute,
};
