/*
 * What statements do to the tables of a real MariaDB, against what our analysis
 * says that they do.
 *
 *   sql-effect [-v] FILE [STATEMENTS]       PS_MY_PORT: where the server is
 *
 * FILE is what `collect mysqltest` writes: files of MariaDB's own tests, whose
 * statements run one after the other in a session and a database of their own.
 * Behind each statement a second session, which sees what is not committed,
 * takes the checksums of all tables (effect_tables.c). Where one has changed,
 * or a table has come or gone, these are errors, printed with the statement:
 *   - it is called a read, and agent/catalog, with the catalogue of that
 *     server, does not know of a function or a view that writes
 *     (effect_catalog.c);
 *   - the table is none of those named as written, and agent/catalog does not
 *     name it either, nor say that anything may have changed, nor that no
 *     answer from the table is ever kept.
 *
 * Counted apart: anything (the text alone says: any table; or the server has
 * rolled the transaction back), by_catalog (only the catalogue knows of the
 * table), unknown (the catalogue says: any table), not_kept (engines that show
 * the rows of other tables), unseen (what was changed is locked for all).
 *
 * Left out are statements that would end the run, hold it up or take effect
 * later, and those that make the session one that Portside never has; -v prints
 * them. Skipped is the rest of a file whose session the server ended.
 * STATEMENTS: stop behind so many. One line of JSON ends the output.
 */
#include "tests/tools/sql/effect.h"

#include "common/file.h"

#include <limits.h>
#include <mariadb/errmsg.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_FILE = 256 << 20,
    NAME_BYTES = PS_EFFECT_NAME_BYTES
};

struct totals {
    unsigned long files, statements, left_out, skipped, refused, changing;
    unsigned long anything, by_catalog, unknown, not_kept, unseen, errors;
};

static MYSQL *session, *watcher;
static struct ps_effect_tables before, after, begun;
static bool verbose;

/* What is left out, and why. S: white space; ANY: anything but `;`. */
#define S   "[[:space:]]+"
#define ANY "[^;]*"
/* clang-format off */
static const struct {
    const char *pattern, *why;
} unwanted[] = {
    {"\\bshutdown\\b|\\bkill\\b|(un)?install" S "(plugin|soname|component)",
     "ends or changes the server"},
    {"set" S "(@@)?global|,[[:space:]]*(@@)?global[[:space:].]|"
     "set" S "(password|role)",
     "changes the server for all that follows"},
    {"(insert|replace|update|delete|truncate|drop|alter|create|rename|load|"
     "into|optimize|repair|analyze|call)\\b.*\\bmysql`?\\.",
     "changes the server's own tables"},
    {"use" S "`?(mysql|app|information_schema|performance_schema|sys)\\b|"
     "drop" S "(database|schema)" ANY "\\b(mysql|app|sys)\\b",
     "the server's own databases, and the rig's"},
    {"\\b(user|grant|revoke)\\b" ANY
     "(\\bapp\\b|current_user|session_user|\\buser[[:space:]]*\\()",
     "the rig's own rights"},
    {"lock" S "tables?|flush" ANY "(with|for|export)|\\bbackup\\b",
     "locks out the one who looks"},
    {"\\bxa\\b", "outlives its session"},
    {"\\b(start|stop|reset|change|purge)" S "(all" S ")?"
     "(master|slave|replica|binary)|"
     "(master|gtid)_(pos|gtid)_wait|wait_until",
     "replication"},
    {"sleep[[:space:]]*\\(|benchmark[[:space:]]*\\(|"
     "(repeat|[lr]pad)[[:space:]]*\\([^)]*([0-9]{6}|\\*|@)",
     "takes long"},
    {"(insert|replace)" S "delayed", "takes effect later"},
    {"temporary" ANY "(merge|mrg_|\\blike\\b)",
     "a temporary table, which Portside has in no second statement, that shows "
     "the rows of others"},
    {"set" S "(character|charset)|set" S "names" S "[\"']?(latin|ujis|sjis|koi8|"
     "binary|big5|gb|cp|euc|ucs|utf16|utf32|swe|ascii|greek|hebrew|dec8|hp8|"
     "tis|arm|mac|key|geo|default|@)|set" ANY "(character_set_|"
     "collation_connection|_timeout|max_statement_time|wsrep|read_only|"
     "read" S "only)|"
     "sql_mode" ANY "(ansi|oracle|mssql|db2|maxdb|postgres|no_backslash|pipes|"
     "=[[:space:]]*[0-9])",
     "a session that Portside never has"},
};
/* clang-format on */
static regex_t patterns[PS_ARRAY_LEN(unwanted)], generated_words;
static bool generated; /* the file may have made some */
static bool seen;      /* what is in before */
/* Of the statement that is judged: refused, and sent in a transaction, before
 * which the tables were as in begun. */
static bool refused, in_transaction;

void
ps_effect_die(const char *what, const char *why)
{
    fprintf(stderr, "sql-effect: %s: %s\n", what, why);
    exit(2);
}

/* ---- sessions ---- */

static MYSQL *
connect_to_server(const char *setup)
{
    const char *port = getenv("PS_MY_PORT");
    unsigned timeout = 60;
    MYSQL *my = mysql_init(NULL);

    if (!my)
        ps_effect_die("connect", "no memory");
    mysql_options(my, MYSQL_OPT_READ_TIMEOUT, &timeout);
    mysql_options(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (!mysql_real_connect(my, "127.0.0.1", "app", "app secret", NULL,
                            port ? (unsigned)strtoul(port, NULL, 10) : 3306,
                            NULL, CLIENT_MULTI_RESULTS) ||
        mysql_query(my, setup))
        ps_effect_die("connect", mysql_error(my));
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

/* A fresh session, and no database but its own. */
static void
begin_file(void)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    char sql[2 * NAME_BYTES];

    if (session)
        mysql_close(session);
    r = ps_effect_ask(
        watcher, "SELECT schema_name FROM information_schema.schemata WHERE "
                 "schema_name NOT IN " PS_EFFECT_SYSTEM_SCHEMAS);
    while ((row = mysql_fetch_row(r))) {
        /* The last session may not be quite gone. */
        snprintf(sql, sizeof(sql),
                 "SET STATEMENT lock_wait_timeout = 60 FOR DROP DATABASE `%s`",
                 row[0]);
        run(watcher, sql, strlen(sql));
    }
    mysql_free_result(r);
    session = connect_to_server("CREATE DATABASE IF NOT EXISTS test");
    static const char setup[] =
        "SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1, "
        "max_statement_time = 2";
    if (!run(session, "USE test", 8) || !run(session, setup, strlen(setup)))
        ps_effect_die(setup, mysql_error(session));
}

/* ---- verdicts ---- */

static void
copy_tables(struct ps_effect_tables *to, const struct ps_effect_tables *from)
{
    memcpy(to->at, from->at, from->n * sizeof(*from->at));
    to->n = from->n;
}

static const struct ps_effect_table *
find(const struct ps_effect_tables *in, const struct ps_effect_table *t)
{
    for (size_t i = 0; i < in->n; i++) {
        if (strcmp(in->at[i].schema, t->schema) == 0 &&
            strcmp(in->at[i].name, t->name) == 0)
            return &in->at[i];
    }
    return NULL;
}

static bool
is_named(const struct ps_sql_analysis *a, const struct ps_effect_table *t,
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

/* The session itself may be in no state to be asked. */
static void
current_database(char *out)
{
    char sql[128];
    snprintf(sql, sizeof(sql),
             "SELECT db FROM information_schema.processlist WHERE id = %lu",
             mysql_thread_id(session));
    MYSQL_RES *r = ps_effect_ask(watcher, sql);
    MYSQL_ROW row = mysql_fetch_row(r);
    snprintf(out, NAME_BYTES, "%s", row && row[0] ? row[0] : "");
    mysql_free_result(r);
}

static void
complain(const char *what, const struct ps_effect_table *t, struct ps_str sql,
         struct totals *totals)
{
    totals->errors++;
    printf("ERROR %s: %s.%s: %.*s\n", what, t->schema, t->name,
           PS_STR_ARG(sql));
}

static void
tell(const char *what, const struct ps_effect_table *t, struct ps_str sql)
{
    if (verbose)
        printf("%s: %s.%s: %.*s\n", what, t->schema, t->name, PS_STR_ARG(sql));
}

static void
ask_catalog(const struct ps_sql_analysis *a, const char *database,
            const struct ps_effect_table *t, struct ps_str sql,
            struct totals *totals)
{
    switch (ps_effect_judge(watcher, a, database, t)) {
    case PS_EFFECT_NAMED:
        totals->by_catalog++;
        tell("by catalogue", t, sql);
        break;
    case PS_EFFECT_ANYTHING:
        totals->unknown++;
        tell("unknown", t, sql);
        break;
    case PS_EFFECT_NOT_KEPT:
        totals->not_kept++;
        tell("not kept", t, sql);
        break;
    case PS_EFFECT_UNSEEN:
        totals->unseen++;
        tell(mysql_error(watcher), t, sql);
        break;
    case PS_EFFECT_MISSED:
        complain(a->cls == PS_SQL_READ ? "a read changes" : "not named", t, sql,
                 totals);
        break;
    }
}

/* A statement that is refused may undo all that its transaction has done (a
 * deadlock; a duplicate behind what was loaded in bulk): the table is again as
 * it was when the transaction began. */
static bool
is_rolled_back(const struct ps_effect_table *t)
{
    const struct ps_effect_table *now = find(&after, t);
    const struct ps_effect_table *then = find(&begun, t);
    return refused && in_transaction && now && then &&
           strcmp(now->checksum, then->checksum) == 0;
}

static void
judge_change(const struct ps_sql_analysis *a, const struct ps_effect_table *t,
             struct ps_str sql, struct totals *totals)
{
    char database[NAME_BYTES];

    if (a->writes_all || a->changes_catalog || a->cls == PS_SQL_TRANSACTION ||
        is_rolled_back(t)) {
        totals->anything++;
    } else {
        current_database(database);
        if (!is_named(a, t, database))
            ask_catalog(a, database, t, sql, totals);
    }
}

/* Both lists are in order. */
static void
judge(const struct ps_sql_analysis *a, struct ps_str sql, struct totals *t)
{
    size_t i = 0, k = 0;
    bool any = false;

    while (i < before.n || k < after.n) {
        const struct ps_effect_table *x = &before.at[i], *y = &after.at[k];
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

/* NULL: it is wanted. */
static const char *
why_unwanted(const char *sql)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(unwanted); i++) {
        if (regexec(&patterns[i], sql, 0, NULL, 0) == 0)
            return unwanted[i].why;
    }
    return NULL;
}

/* Only once its words have been there does a file have generated columns. */
static bool
may_be_generated(const char *sql)
{
    return regexec(&generated_words, sql, 0, NULL, 0) == 0;
}

/* The client's own errors; the server's lie below and above. */
static bool
is_gone(void)
{
    unsigned error = mysql_errno(session);
    return error >= CR_MIN_ERROR && error <= CR_MAX_ERROR;
}

/* False: the session is gone, and the rest of the file with it. */
static bool
try_statement(const char *sql, struct totals *t)
{
    struct ps_str text = ps_str_of(sql);
    struct ps_arena *arena = ps_arena_new(64u << 20);
    struct ps_sql_analysis *a;

    const char *why = why_unwanted(sql);
    if (why) {
        t->left_out++;
        if (verbose)
            printf("left out (%s): %s\n", why, sql);
        ps_arena_free(&arena);
        return true;
    }
    if (ps_sql_analyse(PS_DIALECT_MYSQL, 0, text, arena, &a) != PS_OK)
        ps_effect_die(sql, "no memory");
    t->statements++;
    in_transaction = session->server_status & SERVER_STATUS_IN_TRANS;
    refused = !run(session, sql, text.len);
    if (!in_transaction && (session->server_status & SERVER_STATUS_IN_TRANS))
        copy_tables(&begun, &before);
    t->refused += refused;
    if (refused && is_gone()) {
        ps_arena_free(&arena);
        return false;
    }
    generated |= may_be_generated(sql);
    bool was_seen = seen;
    seen = ps_effect_look(watcher, generated, &after);
    if (was_seen && seen) {
        judge(a, text, t);
    } else {
        t->unseen++;
        if (verbose)
            printf("unseen (%s): %s\n", mysql_error(watcher), sql);
    }
    copy_tables(&before, &after);
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
            generated = false;
            seen = ps_effect_look(watcher, generated, &before);
            t->files++;
            alive = true;
        } else if (alive) {
            alive = try_statement(at, t);
            if (!alive && verbose)
                printf("the session is gone (%s): %s\n", mysql_error(session),
                       at);
        } else {
            t->skipped++;
        }
    }
}

static void
compile(const char *pattern, regex_t *out)
{
    if (regcomp(out, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0)
        ps_effect_die(pattern, "no regular expression");
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
    compile("as[[:space:]]*\\(|virtual|generated", &generated_words);
    for (size_t i = 0; i < PS_ARRAY_LEN(unwanted); i++)
        compile(unwanted[i].pattern, &patterns[i]);
    if (ps_file_read(argv[1], MAX_FILE, &data, &len, NULL) != PS_OK)
        ps_effect_die(argv[1], "cannot be read");
    setvbuf(stdout, NULL, _IOLBF, 0);
    watcher = connect_to_server("SET SESSION TRANSACTION ISOLATION LEVEL READ "
                                "UNCOMMITTED");
    static const char waits[] =
        "SET SESSION lock_wait_timeout = 3, innodb_lock_wait_timeout = 1, "
        "max_statement_time = 10";
    if (!run(watcher, waits, strlen(waits)))
        ps_effect_die(waits, mysql_error(watcher));
    try_all(data, data + len, argc > 2 ? strtoul(argv[2], NULL, 10) : ULONG_MAX,
            &t);
    printf("{\"test\": \"effect\", \"files\": %lu, \"statements\": %lu, "
           "\"refused\": %lu, \"left_out\": %lu, \"skipped\": %lu, "
           "\"changing\": %lu, \"anything\": %lu, \"by_catalog\": %lu, "
           "\"unknown\": %lu, \"not_kept\": %lu, \"unseen\": %lu, \"errors\": "
           "%lu}\n",
           t.files, t.statements, t.refused, t.left_out, t.skipped, t.changing,
           t.anything, t.by_catalog, t.unknown, t.not_kept, t.unseen, t.errors);
    mysql_close(session);
    mysql_close(watcher);
    mysql_library_end();
    free(data);
    return t.errors > 0 || t.changing * 20 < t.statements ? 1 : 0;
}
