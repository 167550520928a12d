/*
 * Private to sql-effect: a second session that sees what is not committed, and
 * what it sees: the tables and their checksums, and what the catalogue says
 * that a statement changes.
 */
#ifndef PS_TESTS_TOOLS_SQL_EFFECT_H
#define PS_TESTS_TOOLS_SQL_EFFECT_H

#include "agent/sql/sql.h"

#include <mariadb/mysql.h>

enum {
    PS_EFFECT_TABLES = 2048,
    PS_EFFECT_NAME_BYTES = 256
};

/* Of the databases that are not the server's own nor the test's rig. */
#define PS_EFFECT_SYSTEM_SCHEMAS \
    "('mysql', 'information_schema', 'performance_schema', 'sys', 'app')"

struct ps_effect_table {
    char schema[PS_EFFECT_NAME_BYTES], name[PS_EFFECT_NAME_BYTES];
    char checksum[64];
};

/* In the order of their schemas' and their own names' bytes. */
struct ps_effect_tables {
    struct ps_effect_table at[PS_EFFECT_TABLES];
    size_t n;
};

/* Ends the program. */
void ps_effect_die(const char *what, const char *why) __attribute__((noreturn));

/* The rows of a query, which the caller frees. NULL: the server refuses it, as
 * it does when another session keeps it waiting. */
MYSQL_RES *ps_effect_try(MYSQL *watcher, const char *sql);
/* The same of a query that must succeed. */
MYSQL_RES *ps_effect_ask(MYSQL *watcher, const char *sql);

/*
 * All tables with the checksums of their rows. CHECKSUM TABLE does not give the
 * same twice where columns are generated, even stored ones, so of such tables
 * (looked for when generated is set) the columns that are stored are read and
 * summed up instead.
 * False: another session keeps them locked; then out says nothing.
 */
bool ps_effect_look(MYSQL *watcher, bool generated,
                    struct ps_effect_tables *out);

enum ps_effect_verdict {
    PS_EFFECT_NAMED,    /* the table is in the write set */
    PS_EFFECT_ANYTHING, /* the write set is the whole database */
    PS_EFFECT_NOT_KEPT, /* neither, but no answer from it is ever kept */
    PS_EFFECT_UNSEEN,   /* the catalogue cannot be read now */
    PS_EFFECT_MISSED
};

/* What agent/catalog makes of the statement, sent in that database, with the
 * catalogue that the server has now, and of the table that it changed. */
enum ps_effect_verdict ps_effect_judge(MYSQL *watcher,
                                       const struct ps_sql_analysis *a,
                                       const char *database,
                                       const struct ps_effect_table *changed);

#endif
