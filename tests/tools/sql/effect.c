/*
 * What statements do to the tables of a real MariaDB, against what our analysis
 * says that they do.
 *
 *   sql-effect [-v] FILE [STATEMENTS]       PS_MY_PORT: where the server is
 *
 * FILE is what `collect mysqltest` writes: files of MariaDB's own tests, whose
 * statements run one after the other in a session and a database of their own.
 * Behind each statement a second session, which sees what is not committed,
 * takes the checksums of all tables. Where one has changed, or a table has come
 * or gone, these are errors, printed with the statement:
 *   - it is called a read;
 *   - the table is none of those named as written, and the statement is none
 *     of those of which the caller knows that they may change anything.
 * What the text cannot tell is counted as hidden: writes through views,
 * triggers, foreign keys, engines that keep their rows in other tables. A read
 * that calls functions which are not built in is the catalogue's to judge. Of a
 * table with virtual columns the checksum changes by itself (unstable).
 *
 * Left out are statements that would end the run, hold it up or take effect
 * later, and those that make the session one that Portside never has. -v prints
 * them. STATEMENTS: stop behind so many. One line of JSON ends the output.
 */
#include "agent/sql/sql.h"
#include "common/file.h"

#include <limits.h>
#include <mariadb/mysql.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_FILE = 256 << 20,
    MAX_TABLES = 2048,
    NAME_BYTES = 256,
    SQL_BYTES = 1 << 20
};

#define SYSTEM_SCHEMAS \
    "('mysql', 'information_schema', 'performance_schema', 'sys', 'app')"

struct table {
    char schema[NAME_BYTES], name[NAME_BYTES], checksum[32];
};
struct tables {
    struct table at[MAX_TABLES];
    size_t n;
};

struct totals {
    unsigned long files, statements, left_out, refused, changing, hidden;
    unsigned long to_catalogue, anything, unstable, errors;
};

static MYSQL *session, *watcher;
static struct tables before, after;
static regex_t unwanted;
static bool verbose;

/* Ends the run, blocks others, works later, or is no canonical session. */
static const char unwanted_pattern[] =
    "shutdown|\\bkill\\b|lock[[:space:]]+tables?|\\bflush\\b|\\bbackup\\b|"
    "@@global|set[[:space:]]+(global|password)|global\\.|"
    "(un)?install[[:space:]]|\\bmaster\\b|\\bslave\\b|replica|sleep|benchmark|"
    "get_lock|delayed|mysql[`]?\\.|use[[:space:]]+(`?mysql|app|"
    "information_schema|performance_schema|sys)|drop[[:space:]]+database[^;]*"
    "(mysql|app|sys)|character[ _]set_|set[[:space:]]+(names|character|"
    "charset|default|statement)|collation_connection|ansi|oracle|"
    "no_backslash|sql_mode|event_scheduler|max_statement_time|"
    "low_priority_updates|debug|into[[:space:]]+(out|dump)file|\\bgrant\\b|"
    "(drop|alter|create|rename)[[:space:]].*\\buser\\b|set[[:space:]]+role|"
    "_timeout|tmpdir|dbug|wsrep|\\bxa\\b|pam|repeat[[:space:]]*\\(|"
    "benchmark|(l|r)pad[[:space:]]*\\(|tx_read_only|read[[:space:]]+only|"
    "default_(tmp_)?storage_engine|ucs2|utf16|utf32|sjis|gbk|big5|ujis|cp932|"
    "system[[:space:]]+versioning|timestamp[[:space:]]*=|\\bhandler\\b|"
    "federated|spider|connect[[:space:]]*=|sequence";

static void
die(const char *what, const char *why)
{
    fprintf(stderr, "sql-effect: %s: %s\n", what, why);
    exit(2);
}

/* ---- sessions ---- */

static MYSQL *
connect_to_server(const char *setup)
{
    const char *port = getenv("PS_MY_PORT");
    unsigned timeout = 15;
    MYSQL *my = mysql_init(NULL);

    if (!my)
        die("connect", "no memory");
    mysql_options(my, MYSQL_OPT_READ_TIMEOUT, &timeout);
    mysql_options(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (!mysql_real_connect(my, "127.0.0.1", "app", "app secret", NULL,
                            port ? (unsigned)strtoul(port, NULL, 10) : 3306,
                            NULL, CLIENT_MULTI_RESULTS) ||
        mysql_query(my, setup))
        die("connect", mysql_error(my));
    return my;
}

/* Runs it and reads all that comes. False: refused. */
static bool
run(MYSQL *my, const char *sql, size_t len)
{
    int more = mysql_real_query(my, sql, len);
    while (more == 0) {
        mysql_free_result(mysql_store_result(my));
        more = mysql_next_result(my);
    }
    return more < 0;
}

static MYSQL_RES *
ask(const char *sql)
{
    if (mysql_query(watcher, sql))
        die(sql, mysql_error(watcher));
    MYSQL_RES *r = mysql_store_result(watcher);
    if (!r)
        die(sql, mysql_error(watcher));
    return r;
}

/* A fresh session, and no database but its own. */
static void
begin_file(void)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    char sql[2 * NAME_BYTES];

    if (session)
        mysql_close(session);
    r = ask("SELECT schema_name FROM information_schema.schemata WHERE "
            "schema_name NOT IN " SYSTEM_SCHEMAS);
    while ((row = mysql_fetch_row(r))) {
        snprintf(sql, sizeof(sql), "DROP DATABASE `%s`", row[0]);
        run(watcher, sql, strlen(sql));
    }
    mysql_free_result(r);
    session = connect_to_server("CREATE DATABASE IF NOT EXISTS test");
    static const char setup[] =
        "SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1, "
        "max_statement_time = 2";
    if (!run(session, "USE test", 8) || !run(session, setup, strlen(setup)))
        die(setup, mysql_error(session));
}

/* ---- tables ---- */

static void
copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "NULL");
}

static void
list_tables(struct tables *t)
{
    MYSQL_RES *r =
        ask("SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_type = 'BASE TABLE' AND table_schema NOT "
            "IN " SYSTEM_SCHEMAS " ORDER BY 1, 2");
    MYSQL_ROW row;
    t->n = 0;
    while ((row = mysql_fetch_row(r)) && t->n < MAX_TABLES) {
        copy(t->at[t->n].schema, NAME_BYTES, row[0]);
        copy(t->at[t->n].name, NAME_BYTES, row[1]);
        t->at[t->n++].checksum[0] = '\0';
    }
    mysql_free_result(r);
}

static size_t
put_name(char *out, size_t size, const char *name)
{
    size_t n = 0;
    out[n++] = '`';
    for (; *name && n + 3 < size; name++) {
        if (*name == '`')
            out[n++] = '`';
        out[n++] = *name;
    }
    out[n++] = '`';
    return n;
}

static void
take_checksums(struct tables *t)
{
    static char sql[SQL_BYTES];
    size_t n = (size_t)snprintf(sql, sizeof(sql), "CHECKSUM TABLE ");
    MYSQL_ROW row;

    list_tables(t);
    if (t->n == 0)
        return;
    for (size_t i = 0; i < t->n && n + 4 * NAME_BYTES < sizeof(sql); i++) {
        if (i > 0)
            sql[n++] = ',';
        n += put_name(sql + n, sizeof(sql) - n, t->at[i].schema);
        sql[n++] = '.';
        n += put_name(sql + n, sizeof(sql) - n, t->at[i].name);
    }
    sql[n] = '\0';
    MYSQL_RES *r = ask(sql);
    for (size_t i = 0; i < t->n && (row = mysql_fetch_row(r)); i++)
        copy(t->at[i].checksum, sizeof(t->at[i].checksum), row[1]);
    mysql_free_result(r);
}

/* ---- verdicts ---- */

static bool
is_named(const struct ps_sql_analysis *a, const struct table *t,
         const char *database)
{
    for (size_t i = 0; i < a->n_relations; i++) {
        const struct ps_sql_relation *r = &a->relations[i];
        struct ps_str schema = r->schema.ptr ? r->schema : ps_str_of(database);
        if ((r->use & (PS_SQL_REL_WRITE | PS_SQL_REL_DDL)) &&
            ps_str_eq_nocase(r->name, ps_str_of(t->name)) &&
            ps_str_eq_nocase(schema, ps_str_of(t->schema)))
            return true;
    }
    return false;
}

/* MERGE tables and the like show the rows of others. */
#define PLAIN_ENGINES "('InnoDB', 'MyISAM', 'Aria', 'MEMORY', 'CSV')"

/* Whether information_schema.<what> about the table is so. */
static bool
is_table(const struct table *t, const char *what, const char *condition)
{
    char schema[2 * NAME_BYTES], name[2 * NAME_BYTES], sql[8 * NAME_BYTES];

    mysql_real_escape_string(watcher, schema, t->schema, strlen(t->schema));
    mysql_real_escape_string(watcher, name, t->name, strlen(t->name));
    snprintf(sql, sizeof(sql),
             "SELECT 1 FROM information_schema.%s WHERE table_schema = '%s' "
             "AND table_name = '%s' AND %s",
             what, schema, name, condition);
    MYSQL_RES *found = ask(sql);
    bool any = mysql_num_rows(found) > 0;
    mysql_free_result(found);
    return any;
}

/* Whether what is written has effects elsewhere that only a catalogue tells. */
static bool
has_hidden_effects(const struct ps_sql_analysis *a)
{
    char name[NAME_BYTES], escaped[2 * NAME_BYTES], sql[16 * NAME_BYTES];

    for (size_t i = 0; i < a->n_relations; i++) {
        const struct ps_sql_relation *r = &a->relations[i];
        if (!(r->use & (PS_SQL_REL_WRITE | PS_SQL_REL_DDL)))
            continue;
        snprintf(name, sizeof(name), "%.*s", PS_STR_ARG(r->name));
        mysql_real_escape_string(watcher, escaped, name, strlen(name));
        snprintf(
            sql, sizeof(sql),
            "SELECT 1 FROM information_schema.tables WHERE table_name = '%s' "
            "AND (table_type <> 'BASE TABLE' OR engine NOT IN " PLAIN_ENGINES
            ") UNION SELECT 1 FROM "
            "information_schema.triggers WHERE event_object_table = '%s' UNION "
            "SELECT 1 FROM information_schema.referential_constraints WHERE "
            "referenced_table_name = '%s'",
            escaped, escaped, escaped);
        MYSQL_RES *found = ask(sql);
        bool any = mysql_num_rows(found) > 0;
        mysql_free_result(found);
        if (any)
            return true;
    }
    return false;
}

/* The session itself may be in no state to be asked. */
static void
current_database(char *out)
{
    char sql[128];
    snprintf(sql, sizeof(sql),
             "SELECT db FROM information_schema.processlist WHERE id = %lu",
             mysql_thread_id(session));
    MYSQL_RES *r = ask(sql);
    MYSQL_ROW row = mysql_fetch_row(r);
    copy(out, NAME_BYTES, row ? row[0] : NULL);
    mysql_free_result(r);
}

static void
complain(const char *what, const struct table *t, struct ps_str sql,
         struct totals *totals)
{
    totals->errors++;
    printf("ERROR %s: %s.%s: %.*s\n", what, t->schema, t->name,
           PS_STR_ARG(sql));
}

static void
judge_change(const struct ps_sql_analysis *a, const struct table *t,
             struct ps_str sql, struct totals *totals)
{
    char database[NAME_BYTES];

    if (a->n_functions > 0) {
        totals->to_catalogue++;
    } else if (is_table(t, "columns", "extra LIKE '%VIRTUAL%'") &&
               !is_named(a, t, t->schema)) {
        totals->unstable++;
    } else if (a->cls == PS_SQL_READ) {
        complain("a read changes", t, sql, totals);
    } else if (a->writes_all || a->changes_catalog ||
               a->cls == PS_SQL_TRANSACTION) {
        totals->anything++;
    } else {
        current_database(database);
        if (is_named(a, t, database))
            return;
        if (has_hidden_effects(a) ||
            is_table(t, "tables", "engine NOT IN " PLAIN_ENGINES))
            totals->hidden++;
        else
            complain("not named", t, sql, totals);
    }
}

/* Both lists are in order. */
static void
judge(const struct ps_sql_analysis *a, struct ps_str sql, struct totals *t)
{
    size_t i = 0, k = 0;
    bool any = false;

    while (i < before.n || k < after.n) {
        const struct table *x = &before.at[i], *y = &after.at[k];
        int order = i == before.n ? 1 : k == after.n ? -1 : 0;
        if (order == 0)
            order = strcmp(x->schema, y->schema);
        if (order == 0)
            order = strcmp(x->name, y->name);
        if (order != 0 || strcmp(x->checksum, y->checksum) != 0) {
            any = true;
            judge_change(a, order > 0 ? y : x, sql, t);
        }
        i += order <= 0;
        k += order >= 0;
    }
    t->changing += any;
}

/* ---- a statement ---- */

static bool
is_unwanted(const char *sql)
{
    return regexec(&unwanted, sql, 0, NULL, 0) == 0;
}

/* False: the session is gone, and the rest of the file with it. */
static bool
try_statement(const char *sql, struct totals *t)
{
    struct ps_str text = ps_str_of(sql);
    struct ps_arena *arena = ps_arena_new(64u << 20);
    struct ps_sql_analysis *a;

    if (is_unwanted(sql)) {
        t->left_out++;
        if (verbose)
            printf("left out: %s\n", sql);
        ps_arena_free(&arena);
        return true;
    }
    if (ps_sql_analyse(PS_DIALECT_MYSQL, 0, text, arena, &a) != PS_OK)
        die(sql, "no memory");
    t->statements++;
    bool ok = run(session, sql, text.len);
    t->refused += !ok;
    if (!ok && mysql_errno(session) >= 2000) {
        ps_arena_free(&arena);
        return false;
    }
    take_checksums(&after);
    judge(a, text, t);
    static struct tables swap;
    swap = before;
    before = after;
    after = swap;
    ps_arena_free(&arena);
    return true;
}

static void
try_all(const char *at, const char *end, unsigned long most, struct totals *t)
{
    bool alive = false;
    for (; at < end && t->statements < most; at += strlen(at) + 1) {
        if (*at == '\x01') {
            if (verbose)
                printf("file %s\n", at + 1);
            begin_file();
            take_checksums(&before);
            t->files++;
            alive = true;
        } else if (alive) {
            alive = try_statement(at, t);
        }
    }
}

int
main(int argc, char **argv)
{
    struct totals t = {0};
    char *data;
    size_t len;

    if (argc > 1 && strcmp(argv[1], "-v") == 0) {
        verbose = true;
        argc--;
        argv++;
    }
    if (argc < 2) {
        fprintf(stderr, "usage: sql-effect [-v] FILE [STATEMENTS]\n");
        return 2;
    }
    if (regcomp(&unwanted, unwanted_pattern,
                REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0 ||
        ps_file_read(argv[1], MAX_FILE, &data, &len, NULL) != PS_OK)
        die(argv[1], "cannot be read");
    setvbuf(stdout, NULL, _IOLBF, 0);
    watcher = connect_to_server("SET SESSION TRANSACTION ISOLATION LEVEL READ "
                                "UNCOMMITTED");
    try_all(data, data + len, argc > 2 ? strtoul(argv[2], NULL, 10) : ULONG_MAX,
            &t);
    printf("{\"test\": \"effect\", \"files\": %lu, \"statements\": %lu, "
           "\"refused\": %lu, \"left_out\": %lu, \"changing\": %lu, "
           "\"anything\": %lu, \"to_catalogue\": %lu, \"hidden\": %lu, "
           "\"unstable\": %lu, \"errors\": %lu}\n",
           t.files, t.statements, t.refused, t.left_out, t.changing, t.anything,
           t.to_catalogue, t.hidden, t.unstable, t.errors);
    mysql_close(session);
    mysql_close(watcher);
    mysql_library_end();
    free(data);
    return t.errors > 0 || t.changing * 20 < t.statements ? 1 : 0;
}
