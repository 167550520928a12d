/* What PostgreSQL has of its own. */
#include "tests/tools/sql/maker_private.h"

/* A column that perhaps only one of the two tables has, without qualifier;
 * rather one that tells rows apart. */
static void
put_lone_column(struct maker *m, struct maker_text *t,
                const struct maker_table *table,
                const struct maker_table *other)
{
    const struct maker_column *c = &table->columns[table->n_columns - 1];
    for (size_t i = other->n_columns; i < table->n_columns; i++)
        if (m->traits->kinds[table->columns[i].kind].told !=
            PS_SQL_COLUMN_OTHER)
            c = &table->columns[i];
    maker_put(t, "%s = ", c->name);
    maker_put_value(m, t, c->kind);
}

static bool
lone_read(struct maker *m, struct maker_text *t)
{
    static const char *const forms[] = {
        "SELECT x.c0, y.c1 FROM %s x JOIN %s y ON x.c0 = y.c0 WHERE ",
        "SELECT x.c0, y.c1 FROM %s x LEFT JOIN %s y ON x.c0 = y.c0 AND ",
        "SELECT x.c0, y.c1 FROM %s x RIGHT JOIN %s y ON x.c0 = y.c0 AND ",
        "SELECT x.c0, y.c1 FROM %s x FULL JOIN %s y ON x.c0 = y.c0 WHERE ",
        "SELECT x.c0, y.c1 FROM %s x JOIN %s y USING (c0) WHERE ",
        "SELECT x.c0, (SELECT count(*) FROM %s y WHERE y.c0 = x.c0 AND ",
        "SELECT x.c0 FROM %s x, (SELECT 1 AS k FROM %s) y WHERE "};
    const struct maker_table *a = maker_any_table(m), *b = maker_any_table(m);
    unsigned at = maker_roll(m, PS_ARRAY_LEN(forms));
    const char *hole = strstr(forms[at], "%s");
    const char *next = strstr(hole + 2, "%s");
    maker_put(t, "%.*s%s", (int)(hole - forms[at]), forms[at], a->name);
    if (next)
        maker_put(t, "%.*s%s%s", (int)(next - hole - 2), hole + 2, b->name,
                  next + 2);
    else
        maker_put(t, "%s", hole + 2);
    put_lone_column(m, t, a, b);
    if (!next)
        maker_put(t, ") FROM %s x", b->name);
    return true;
}

/* Columns under other names, common table expressions that hide a table, sets
 * of rows by array, by row, by alternatives. */
static bool
own_read(struct maker *m, struct maker_text *t)
{
    const char *a = maker_any_table(m)->name, *b = maker_any_table(m)->name;
    unsigned x = maker_roll(m, 4), y = maker_roll(m, 4);
    if (maker_roll(m, 2) == 0)
        return lone_read(m, t);
    switch (maker_roll(m, 18)) {
    case 0:
        maker_put(t, "SELECT * FROM %s AS a(c1, c0) WHERE a.c0 = %u", a, x);
        return true;
    case 1:
        maker_put(t,
                  "WITH t0 AS (SELECT c1 AS c0, c0 AS c1 FROM %s) SELECT * "
                  "FROM t0 WHERE c0 = %u",
                  a, x);
        return true;
    case 2:
        maker_put(t, "SELECT c1 FROM %s WHERE c0 = ANY (ARRAY[%u, %u])", a, x,
                  y);
        return true;
    case 3:
        maker_put(t, "SELECT c1 FROM %s WHERE c0 = ANY ('{%u,%u}')", a, x, y);
        return true;
    case 4:
        maker_put(t, "SELECT * FROM %s WHERE (c0, c1) = (%u, %u)", a, x, y);
        return true;
    case 5:
        maker_put(t, "SELECT * FROM %s WHERE (c0, c1) IN ((%u, %u), (%u, 1))",
                  a, x, y, y);
        return true;
    case 6:
        maker_put(t, "SELECT * FROM %s WHERE c0 = %u OR c0 = %u", a, x, y);
        return true;
    case 7:
        maker_put(t,
                  "SELECT a.c0, b.c1 FROM %s a LEFT JOIN (%s b JOIN %s c ON "
                  "b.c0 = c.c0 AND c.c1 = %u) ON a.c0 = b.c0 WHERE a.c0 = %u",
                  a, b, a, y, x);
        return true;
    case 8:
        maker_put(t,
                  "SELECT a.c0, s.n FROM %s a, LATERAL (SELECT count(*) AS n "
                  "FROM %s b WHERE b.c0 = a.c0 AND b.c1 = %u) s WHERE a.c0 = "
                  "%u",
                  a, b, y, x);
        return true;
    case 9:
        maker_put(t,
                  "SELECT c0 FROM %s WHERE c0 = %u %s SELECT c1::int FROM %s "
                  "WHERE c1 = %u",
                  a, x, maker_roll(m, 2) ? "INTERSECT" : "EXCEPT", b, y);
        return true;
    case 10:
        maker_put(t,
                  "SELECT c0, c1, count(*) FROM %s WHERE c0 = %u GROUP BY "
                  "GROUPING SETS ((c0), (c1), ()) HAVING min(c1) < %u",
                  a, x, y);
        return true;
    case 11:
        maker_put(t,
                  "SELECT DISTINCT ON (c0) c0, c1 FROM %s WHERE c1 = %u ORDER "
                  "BY c0, c1",
                  a, x);
        return true;
    case 12:
        maker_put(t,
                  "WITH RECURSIVE r(n, c0) AS (SELECT 1, c0 FROM %s WHERE c0 "
                  "= %u UNION SELECT r.n + 1, b.c0 FROM r JOIN %s b ON b.c1 = "
                  "r.c0 WHERE r.n < 3) SELECT * FROM r WHERE c0 = %u",
                  a, x, b, y);
        return true;
    case 13:
        maker_put(t,
                  "SELECT count(*) FILTER (WHERE c1 = %u), sum(c0) FROM %s "
                  "WHERE c0 IN (%u, NULL)",
                  x, a, y);
        return true;
    case 14:
        maker_put(t,
                  "SELECT x.c0 FROM (SELECT c1 AS c0 FROM %s WHERE c0 = %u) x "
                  "WHERE x.c0 = %u",
                  a, x, y);
        return true;
    case 15:
        maker_put(t, "SELECT * FROM %s a NATURAL LEFT JOIN %s b WHERE c0 = %u",
                  a, b, x);
        return true;
    case 16:
        maker_put(t,
                  "SELECT a.c0 FROM %s a JOIN (VALUES (%u), (%u)) v(k) ON "
                  "a.c0 = v.k WHERE v.k = %u",
                  a, x, y, x);
        return true;
    default:
        maker_put(t,
                  "SELECT o.c0, (SELECT max(i.c1) FROM %s i WHERE i.c0 = o.c0 "
                  "AND i.c0 = %u) FROM %s o WHERE o.c1 = %u",
                  a, x, b, y);
        return true;
    }
}

static bool
own_write(struct maker *m, struct maker_text *t)
{
    const char *a = maker_any_table(m)->name, *b = maker_any_table(m)->name;
    unsigned x = maker_roll(m, 4), y = maker_roll(m, 4);
    if (maker_roll(m, 6) == 0) {
        maker_put(t,
                  maker_roll(m, 2) ? "UPDATE %s x SET c1 = 2 FROM %s y WHERE "
                                   : "DELETE FROM %s x USING %s y WHERE ",
                  a, b);
        put_lone_column(m, t, maker_find(m, ps_str_of(a)),
                        maker_find(m, ps_str_of(b)));
        return true;
    }
    switch (maker_roll(m, 16)) {
    case 0:
    case 1:
        maker_put(t,
                  "MERGE INTO %s a USING %s b ON a.c0 = b.c0 %sWHEN MATCHED "
                  "AND b.c1 = %u THEN %s WHEN NOT MATCHED THEN INSERT (c0, "
                  "c1) VALUES (b.c0, 3)",
                  a, b, maker_roll(m, 2) ? "AND a.c0 = 2 " : "", x,
                  maker_roll(m, 2) ? "UPDATE SET c1 = 2" : "DELETE");
        return true;
    case 2:
    case 3:
        maker_put(t,
                  "WITH d AS (DELETE FROM %s WHERE c0 = %u RETURNING c0, c1) "
                  "INSERT INTO %s (c0, c1) SELECT * FROM d",
                  a, x, b);
        return true;
    case 4:
        maker_put(t, "TRUNCATE %s", a);
        return true;
    case 5:
        maker_put(t,
                  "UPDATE %s SET (c0, c1) = (SELECT %u, min(c1) FROM %s) "
                  "WHERE c0 = %u",
                  a, x, b, y);
        return true;
    case 6:
        maker_put(t, "UPDATE %s SET (c0, c1) = ROW(%u, DEFAULT) WHERE c0 = %u",
                  a, x, y);
        return true;
    case 7:
        maker_put(t, "INSERT INTO %s DEFAULT VALUES", a);
        return true;
    case 8:
        maker_put(t, "INSERT INTO %s VALUES (%u, %u), (%u)", a, x, y, y);
        return true;
    case 9:
        maker_put(t, "INSERT INTO %s VALUES (%u, %u)", a, x, y);
        return true;
    case 10:
        maker_put(t, "DELETE FROM ONLY %s WHERE (c0, c1) = (%u, %u)", a, x, y);
        return true;
    case 11:
        maker_put(t,
                  "WITH u AS (UPDATE %s SET c0 = %u WHERE c0 = %u RETURNING "
                  "*) SELECT count(*) FROM u",
                  a, x, y);
        return true;
    case 12:
        maker_put(t,
                  "UPDATE %s AS a SET c0 = b.c0 FROM %s b WHERE a.c0 = b.c0 "
                  "AND b.c0 = %u",
                  a, b, x);
        return true;
    case 13:
        maker_put(t, "UPDATE %s SET c0 = %u WHERE c0 = ANY (ARRAY[%u, 0])", a,
                  x, y);
        return true;
    case 14:
        maker_put(t,
                  "DELETE FROM %s a USING %s b WHERE a.c0 = b.c1 AND b.c1 "
                  "= %u",
                  a, b, x);
        return true;
    default:
        maker_put(t,
                  "INSERT INTO %s (c1, c0) SELECT c0, %u FROM %s WHERE c0 = %u",
                  a, x, b, y);
        return true;
    }
}

static void
put_conflict(struct maker *m, struct maker_text *t,
             const struct maker_table *table)
{
    static const char *const ends[] = {
        " ON CONFLICT DO NOTHING",
        " ON CONFLICT (c0, c1) DO UPDATE SET c0 = 1, c1 = 2",
        " ON CONFLICT (c0, c1) DO UPDATE SET c1 = excluded.c0",
        " ON CONFLICT (c0, c1) DO UPDATE SET c0 = excluded.c0 + 1 WHERE "
        "excluded.c1 = 2",
    };
    (void)table;
    maker_put(t, "%s", ends[maker_roll(m, PS_ARRAY_LEN(ends))]);
}

static const char *const number_forms[] = {
    "%s",      "%s",           "%s",   "%s",  "'%s'",      "%s.0",
    "%s::int", "'%s'::bigint", "(%s)", "+%s", "%s::float8"};

const struct maker_traits maker_traits_pg = {
    .kinds =
        {[MAKER_SMALLINT] = {"smallint", PS_SQL_COLUMN_INT},
                [MAKER_INTEGER] = {"integer", PS_SQL_COLUMN_INT},
                [MAKER_BIGINT] = {"bigint", PS_SQL_COLUMN_INT},
                [MAKER_UUID] = {"uuid", PS_SQL_COLUMN_UUID},
                [MAKER_BOOLEAN] = {"boolean", PS_SQL_COLUMN_BOOL},
                [MAKER_NUMERIC] = {"numeric(20, 2)", PS_SQL_COLUMN_OTHER},
                [MAKER_FLOAT] = {"float8", PS_SQL_COLUMN_OTHER},
                [MAKER_TEXT] = {"text", PS_SQL_COLUMN_OTHER},
                [MAKER_NOCASE] = {"text COLLATE nocase", PS_SQL_COLUMN_OTHER},
                [MAKER_CHAR] = {"char(3)", PS_SQL_COLUMN_OTHER},
                [MAKER_DATE] = {"date", PS_SQL_COLUMN_OTHER},
                [MAKER_GENERATED] = {"integer GENERATED ALWAYS AS (c0 + 1) STORED",
                              PS_SQL_COLUMN_OTHER}},
    .insert_new = {"INSERT",        " ON CONFLICT DO NOTHING"},
    .null_safe_equal = "IS NOT DISTINCT FROM",
    .number_forms = number_forms,
    .n_number_forms = PS_ARRAY_LEN(number_forms),
    .numbered_params = true,
    .full_join = true,
    .boolean_literals = true,
    .uuid_casts = true,
    .nan = true,
    .column_aliases = true,
    .own_read = own_read,
    .own_write = own_write,
    .put_conflict = put_conflict,
};
