/*
 * What a client without Portside pays: CLIENTS threads ask the same question
 * for a time, over TLS, each on a connection that it keeps, or on a new one
 * each time (the serverless case, connect and login included).
 *
 *   native mariadb|mssql HOST PORT USER PASSWORD DATABASE SQL WANT CLIENTS
 *          MILLISECONDS keep|fresh
 *
 * The first column of the first row must be WANT. Prints one line of JSON:
 * requests, seconds, rps, p50_us, p99_us, mean_us. mariadb: Connector/C; mssql:
 * FreeTDS's ODBC driver. Nothing is retried; an error ends the run.
 */
#include <mariadb/mysql.h>
#include <pthread.h>
#include <sql.h>
#include <sqlext.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CLIENTS_MAX = 256,
    TIMES_MAX = 1 << 20 /* of one client */
};

static struct {
    const char *host, *user, *password, *database, *sql, *want;
    unsigned port;
    bool fresh;
    uint64_t begin_ns, end_ns;
} conf;

struct client {
    pthread_t thread;
    uint64_t *times_ns;
    size_t n;
};

static void __attribute__((noreturn)) fail(const char *what, const char *detail)
{
    fprintf(stderr, "native: %s: %s\n", what, detail);
    exit(1);
}

static uint64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
check(const char *answer)
{
    if (!answer || strcmp(answer, conf.want) != 0)
        fail("not the answer", answer ? answer : "nothing");
}

/* ---- MariaDB ---- */

static void *
my_open(void)
{
    my_bool on = 1, off = 0;
    MYSQL *my = mysql_init(NULL);
    if (!my)
        fail("mysql_init", "no memory");
    mysql_optionsv(my, MYSQL_OPT_SSL_ENFORCE, &on);
    mysql_optionsv(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &off);
    if (!mysql_real_connect(my, conf.host, conf.user, conf.password,
                            conf.database, conf.port, NULL, 0))
        fail("connect", mysql_error(my));
    return my;
}

static void
my_ask(void *connection)
{
    MYSQL *my = connection;
    if (mysql_real_query(my, conf.sql, (unsigned long)strlen(conf.sql)) != 0)
        fail("query", mysql_error(my));
    MYSQL_RES *result = mysql_store_result(my);
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    check(row ? row[0] : NULL);
    mysql_free_result(result);
}

static void
my_close(void *connection)
{
    mysql_close(connection);
}

/* ---- SQL Server ---- */

struct odbc {
    SQLHENV env;
    SQLHDBC dbc;
    SQLHSTMT stmt;
};

static SQLCHAR *
chars(const char *text)
{
    return (SQLCHAR *)(uintptr_t)text;
}

static void __attribute__((noreturn))
ts_fail(const char *what, SQLSMALLINT type, SQLHANDLE handle)
{
    SQLCHAR state[6] = "", text[512] = "no diagnosis";
    SQLGetDiagRec(type, handle, 1, state, NULL, text, sizeof(text), NULL);
    fail(what, (const char *)text);
}

static void *
ts_open(void)
{
    char text[1024];
    struct odbc *o = calloc(1, sizeof(*o));
    if (!o)
        fail("calloc", "no memory");
    SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &o->env);
    SQLSetEnvAttr(o->env, SQL_ATTR_ODBC_VERSION,
                  (SQLPOINTER)(uintptr_t)SQL_OV_ODBC3, 0);
    SQLAllocHandle(SQL_HANDLE_DBC, o->env, &o->dbc);
    snprintf(text, sizeof(text),
             "DRIVER=%s;SERVER=%s;PORT=%u;UID=%s;PWD=%s;DATABASE=%s;"
             "TDS_Version=7.4;Encryption=require;ClientCharset=UTF-8",
             PS_TDSODBC, conf.host, conf.port, conf.user, conf.password,
             conf.database);
    if (!SQL_SUCCEEDED(SQLDriverConnect(o->dbc, NULL, chars(text), SQL_NTS,
                                        NULL, 0, NULL, SQL_DRIVER_NOPROMPT)))
        ts_fail("connect", SQL_HANDLE_DBC, o->dbc);
    SQLAllocHandle(SQL_HANDLE_STMT, o->dbc, &o->stmt);
    return o;
}

static void
ts_ask(void *connection)
{
    struct odbc *o = connection;
    char answer[64];
    SQLLEN len = 0;
    if (!SQL_SUCCEEDED(SQLExecDirect(o->stmt, chars(conf.sql), SQL_NTS)) ||
        !SQL_SUCCEEDED(SQLFetch(o->stmt)) ||
        !SQL_SUCCEEDED(
            SQLGetData(o->stmt, 1, SQL_C_CHAR, answer, sizeof(answer), &len)))
        ts_fail("query", SQL_HANDLE_STMT, o->stmt);
    check(answer);
    SQLFreeStmt(o->stmt, SQL_CLOSE);
}

static void
ts_close(void *connection)
{
    struct odbc *o = connection;
    SQLFreeHandle(SQL_HANDLE_STMT, o->stmt);
    SQLDisconnect(o->dbc);
    SQLFreeHandle(SQL_HANDLE_DBC, o->dbc);
    SQLFreeHandle(SQL_HANDLE_ENV, o->env);
    free(o);
}

static const struct driver {
    const char *name;
    void *(*open)(void);
    void (*ask)(void *connection);
    void (*close)(void *connection);
} drivers[] = {
    {"mariadb", my_open, my_ask, my_close},
    {"mssql",   ts_open, ts_ask, ts_close},
};
static const struct driver *driver;

/* ---- clients ---- */

static void *
run_client(void *arg)
{
    struct client *client = arg;
    void *connection = conf.fresh ? NULL : driver->open();
    for (;;) {
        uint64_t begin = now_ns();
        if (begin >= conf.end_ns || client->n == TIMES_MAX)
            break;
        if (conf.fresh)
            connection = driver->open();
        driver->ask(connection);
        uint64_t end = now_ns();
        if (conf.fresh)
            driver->close(connection);
        /* Of the time before all are connected nothing counts. */
        if (begin >= conf.begin_ns)
            client->times_ns[client->n++] = end - begin;
    }
    if (!conf.fresh)
        driver->close(connection);
    return NULL;
}

static int
by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void
report(const struct client *clients, size_t n_clients, double seconds)
{
    size_t n = 0;
    double sum = 0;
    for (size_t i = 0; i < n_clients; i++)
        n += clients[i].n;
    if (n == 0)
        fail("no answer", "within the time");
    uint64_t *all = calloc(n, sizeof(*all));
    if (!all)
        fail("calloc", "no memory");
    for (size_t i = 0, at = 0; i < n_clients; at += clients[i++].n)
        memcpy(all + at, clients[i].times_ns, clients[i].n * sizeof(*all));
    for (size_t i = 0; i < n; i++)
        sum += (double)all[i];
    qsort(all, n, sizeof(*all), by_size);
    printf("{\"requests\":%zu,\"seconds\":%.3f,\"rps\":%.1f,\"p50_us\":%.1f,"
           "\"p99_us\":%.1f,\"mean_us\":%.1f}\n",
           n, seconds, (double)n / seconds, (double)all[n / 2] / 1e3,
           (double)all[(size_t)((double)n * 0.99)] / 1e3,
           sum / (double)n / 1e3);
    free(all);
}

int
main(int argc, char **argv)
{
    static struct client clients[CLIENTS_MAX];
    if (argc != 12) {
        fputs("usage: native mariadb|mssql HOST PORT USER PASSWORD DATABASE "
              "SQL WANT CLIENTS MILLISECONDS keep|fresh\n",
              stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++)
        if (strcmp(argv[1], drivers[i].name) == 0)
            driver = &drivers[i];
    size_t n = strtoul(argv[9], NULL, 10);
    uint64_t ms = strtoul(argv[10], NULL, 10);
    if (!driver || n == 0 || n > CLIENTS_MAX)
        fail("arguments", argv[1]);
    conf.host = argv[2];
    conf.port = (unsigned)strtoul(argv[3], NULL, 10);
    conf.user = argv[4];
    conf.password = argv[5];
    conf.database = argv[6];
    conf.sql = argv[7];
    conf.want = argv[8];
    conf.fresh = strcmp(argv[11], "fresh") == 0;
    mysql_library_init(0, NULL, NULL);
    uint64_t warm = conf.fresh ? 0 : 2000000000u;
    conf.begin_ns = now_ns() + warm;
    conf.end_ns = conf.begin_ns + ms * 1000000u;
    for (size_t i = 0; i < n; i++) {
        clients[i].times_ns = calloc(TIMES_MAX, sizeof(uint64_t));
        if (!clients[i].times_ns ||
            pthread_create(&clients[i].thread, NULL, run_client, &clients[i]))
            fail("client", "no memory");
    }
    for (size_t i = 0; i < n; i++)
        pthread_join(clients[i].thread, NULL);
    /* Those that were begun are heard out. */
    report(clients, n, (double)(now_ns() - conf.begin_ns) / 1e9);
    return 0;
}
