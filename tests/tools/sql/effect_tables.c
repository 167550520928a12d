/* Tables and their checksums (effect.h). */
#include "tests/tools/sql/effect.h"

#include <mariadb/errmsg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NAME = PS_EFFECT_NAME_BYTES,
    SQL_BYTES = 2 << 20
};

static char sql[SQL_BYTES];

MYSQL_RES *
ps_effect_try(MYSQL *watcher, const char *text)
{
    MYSQL_RES *r = NULL;
    if (!mysql_query(watcher, text))
        r = mysql_store_result(watcher);
    unsigned error = mysql_errno(watcher);
    if (error >= CR_MIN_ERROR && error <= CR_MAX_ERROR)
        ps_effect_die(text, mysql_error(watcher));
    return r;
}

MYSQL_RES *
ps_effect_ask(MYSQL *watcher, const char *text)
{
    MYSQL_RES *r = ps_effect_try(watcher, text);
    if (!r)
        ps_effect_die(text, mysql_error(watcher));
    return r;
}

static void
copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "NULL");
}

static int
compare(const void *a, const void *b)
{
    const struct ps_effect_table *x = a, *y = b;
    int order = strcmp(x->schema, y->schema);
    return order ? order : strcmp(x->name, y->name);
}

/* ---- names ---- */

static size_t
put_name(size_t n, const char *name)
{
    sql[n++] = '`';
    for (; *name && n + 3 < sizeof(sql); name++) {
        if (*name == '`')
            sql[n++] = '`';
        sql[n++] = *name;
    }
    sql[n++] = '`';
    return n;
}

/* SHOW TABLES opens no table, so that it waits for nobody (a SEQUENCE that a
 * transaction has changed cannot be opened). */
static bool
list_schema(MYSQL *watcher, const char *schema, struct ps_effect_tables *t)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    size_t n = (size_t)snprintf(sql, sizeof(sql), "SHOW FULL TABLES FROM ");

    sql[put_name(n, schema)] = '\0';
    if (!(r = ps_effect_try(watcher, sql)))
        return false;
    while ((row = mysql_fetch_row(r)) && t->n < PS_EFFECT_TABLES) {
        if (strcmp(row[1], "BASE TABLE") != 0 &&
            strcmp(row[1], "SYSTEM VERSIONED") != 0)
            continue;
        copy(t->at[t->n].schema, NAME, schema);
        copy(t->at[t->n].name, NAME, row[0]);
        t->at[t->n++].checksum[0] = '\0';
    }
    mysql_free_result(r);
    return true;
}

static bool
list_tables(MYSQL *watcher, struct ps_effect_tables *t)
{
    MYSQL_ROW row;
    bool all = true;
    MYSQL_RES *r = ps_effect_ask(
        watcher, "SELECT schema_name FROM information_schema.schemata WHERE "
                 "schema_name NOT IN " PS_EFFECT_SYSTEM_SCHEMAS);
    t->n = 0;
    while (all && (row = mysql_fetch_row(r)))
        all = list_schema(watcher, row[0], t);
    mysql_free_result(r);
    qsort(t->at, t->n, sizeof(*t->at), compare);
    return all;
}

/* ---- sums ---- */

static size_t
put_table(size_t n, const struct ps_effect_table *t)
{
    n = put_name(n, t->schema);
    sql[n++] = '.';
    n = put_name(n, t->name);
    sql[n] = '\0';
    return n;
}

static bool
take_checksums(MYSQL *watcher, struct ps_effect_tables *t)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    size_t n = (size_t)snprintf(sql, sizeof(sql), "CHECKSUM TABLE ");

    for (size_t i = 0; i < t->n && n + 4 * NAME < sizeof(sql); i++) {
        if (i > 0)
            sql[n++] = ',';
        n = put_table(n, &t->at[i]);
    }
    if (!(r = ps_effect_try(watcher, sql)))
        return false;
    for (size_t i = 0; i < t->n && (row = mysql_fetch_row(r)); i++)
        copy(t->at[i].checksum, sizeof(t->at[i].checksum), row[1]);
    mysql_free_result(r);
    return true;
}

/* Puts the select of a sum over the columns that are stored into sql. */
static bool
put_sum(MYSQL *watcher, const struct ps_effect_table *t)
{
    char schema[2 * NAME], name[2 * NAME], ask[8 * NAME];
    MYSQL_RES *r;
    MYSQL_ROW row;

    mysql_real_escape_string(watcher, schema, t->schema, strlen(t->schema));
    mysql_real_escape_string(watcher, name, t->name, strlen(t->name));
    snprintf(ask, sizeof(ask),
             "SELECT column_name FROM information_schema.columns WHERE "
             "table_schema = '%s' AND table_name = '%s' AND extra NOT LIKE "
             "'%%VIRTUAL%%' ORDER BY ordinal_position",
             schema, name);
    if (!(r = ps_effect_try(watcher, ask)))
        return false;
    size_t n = (size_t)snprintf(sql, sizeof(sql),
                                "SELECT concat(count(*), '/', coalesce(sum("
                                "crc32(concat_ws('|'");
    while ((row = mysql_fetch_row(r)) && n + 4 * NAME < sizeof(sql)) {
        n += (size_t)snprintf(sql + n, sizeof(sql) - n, ", coalesce(hex(");
        n = put_name(n, row[0]);
        n += (size_t)snprintf(sql + n, sizeof(sql) - n, "), '-')");
    }
    n += (size_t)snprintf(sql + n, sizeof(sql) - n, ", ''))), 0)) FROM ");
    put_table(n, t);
    mysql_free_result(r);
    return true;
}

static bool
sum_stored(MYSQL *watcher, struct ps_effect_table *t)
{
    MYSQL_RES *r;
    MYSQL_ROW row;

    if (!put_sum(watcher, t) || !(r = ps_effect_try(watcher, sql)))
        return false;
    row = mysql_fetch_row(r);
    copy(t->checksum, sizeof(t->checksum), row ? row[0] : NULL);
    mysql_free_result(r);
    return true;
}

static bool
sum_generated(MYSQL *watcher, const char *schema, struct ps_effect_tables *t)
{
    char escaped[2 * NAME];
    MYSQL_RES *r;
    MYSQL_ROW row;
    bool all = true;

    mysql_real_escape_string(watcher, escaped, schema, strlen(schema));
    snprintf(sql, sizeof(sql),
             "SELECT DISTINCT table_name FROM information_schema.columns WHERE "
             "table_schema = '%s' AND extra LIKE '%%GENERATED%%'",
             escaped);
    if (!(r = ps_effect_try(watcher, sql)))
        return false;
    while (all && (row = mysql_fetch_row(r))) {
        for (size_t i = 0; all && i < t->n; i++) {
            if (strcmp(t->at[i].schema, schema) == 0 &&
                strcmp(t->at[i].name, row[0]) == 0)
                all = sum_stored(watcher, &t->at[i]);
        }
    }
    mysql_free_result(r);
    return all;
}

bool
ps_effect_look(MYSQL *watcher, bool generated, struct ps_effect_tables *out)
{
    bool all = list_tables(watcher, out) &&
               (out->n == 0 || take_checksums(watcher, out));
    for (size_t i = 0; all && generated && i < out->n; i++) {
        if (i == 0 || strcmp(out->at[i].schema, out->at[i - 1].schema) != 0)
            all = sum_generated(watcher, out->at[i].schema, out);
    }
    return all;
}
