/* What MariaDB has of its own. */
#include "tests/tools/sql/maker_private.h"

/* Comparisons of text with numbers, of numbers with text that is none, with
 * what is equal whatever its case or padding; rows by the server's own forms.
 */
static bool
own_read(struct maker *m, struct maker_text *t)
{
    const struct maker_table *table = maker_any_table(m);
    const char *a = table->name, *b = maker_any_table(m)->name;
    const char *text = maker_column_of(table, MAKER_NOCASE)->name;
    unsigned x = maker_roll(m, 4), y = maker_roll(m, 4);
    switch (maker_roll(m, 20)) {
    case 17:
    case 18: /* what may be drawn */
        maker_put(t, "SELECT * FROM %s WHERE c0 IN (%u, %u, %u, %u)", a,
                  maker_roll(m, 40), maker_roll(m, 40), maker_roll(m, 40),
                  maker_roll(m, 40));
        return true;
    case 0:
        maker_put(t, "SELECT * FROM %s WHERE %s = %u", a, text, x);
        return true;
    case 1:
        maker_put(t, "SELECT * FROM %s WHERE %s = 'A '", a, text);
        return true;
    case 2:
        maker_put(t, "SELECT c1 FROM %s WHERE c0 = '%u.0' OR c0 = '%uabc'", a,
                  x, y);
        return true;
    case 3:
        maker_put(t, "SELECT count(*) FROM %s WHERE c0 = '0%u'", a, x);
        return true;
    case 4:
        maker_put(t, "SELECT * FROM %s WHERE (c0, c1) = (%u, %u)", a, x, y);
        return true;
    case 5:
        maker_put(t, "SELECT * FROM %s WHERE (c0, c1) IN ((%u, %u), (%u, 1))",
                  a, x, y, y);
        return true;
    case 6:
        maker_put(t, "SELECT * FROM %s WHERE c0 = %u || c0 = %u", a, x, y);
        return true;
    case 7:
        maker_put(t,
                  "SELECT a.c0, b.c1 FROM %s a LEFT JOIN (%s b, %s c) ON "
                  "b.c0 = c.c0 AND c.c1 = %u AND a.c0 = b.c0 WHERE a.c0 = %u",
                  a, b, a, y, x);
        return true;
    case 8:
        maker_put(t,
                  "SELECT * FROM %s a STRAIGHT_JOIN %s b ON a.c0 = b.c1 "
                  "WHERE a.c0 = %u && b.c1 = '%u'",
                  a, b, x, x);
        return true;
    case 9:
        maker_put(t,
                  "SELECT c0 FROM %s WHERE c0 = %u %s SELECT c1 FROM %s "
                  "WHERE c1 = %u",
                  a, x, maker_roll(m, 2) ? "INTERSECT" : "EXCEPT", b, y);
        return true;
    case 10:
        maker_put(t,
                  "SELECT c0, count(*), group_concat(c1 ORDER BY c1) FROM %s "
                  "WHERE c0 = %u GROUP BY c0 WITH ROLLUP HAVING min(c1) < %u",
                  a, x, y);
        return true;
    case 11:
        maker_put(t, "SELECT * FROM %s WHERE c1 IN (%u, '900719925474099%u')",
                  a, x, 1 + y);
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
                  "SELECT c0 <=> %u AND c1, c0 XOR c1 FROM %s WHERE !(c0 = "
                  "%u) = 0",
                  x, a, y);
        return true;
    case 14:
        maker_put(t, "SELECT * FROM %s WHERE c0 = %u.0 AND c1 = TRUE", a, x);
        return true;
    case 15:
        maker_put(t, "SELECT * FROM %s a NATURAL JOIN %s b WHERE c0 = %u", a, b,
                  x);
        return true;
    case 16:
        maker_put(t, "SELECT DISTINCTROW %s FROM %s WHERE c0 = 0x0%u", text, a,
                  x);
        return true;
    default:
        maker_put(t,
                  "SELECT o.c0, (SELECT max(i.c1) FROM %s i WHERE i.c0 = o.c0 "
                  "AND i.c0 = %u) FROM %s o WHERE o.c1 = %u",
                  a, x, b, y);
        return true;
    }
}

/* The number that an INSERT draws in place of 0 and NULL is written in many
 * ways; writes to several tables; rows that make place for others. */
static bool
own_write(struct maker *m, struct maker_text *t)
{
    static const char *const nothing[] = {"0",    "'0'", "NULL", "-0",
                                          "'00'", "0.0", "1 - 1"};
    const char *a = maker_any_table(m)->name, *b = maker_any_table(m)->name;
    unsigned x = maker_roll(m, 4), y = maker_roll(m, 4);
    const char *zero = nothing[maker_roll(m, PS_ARRAY_LEN(nothing))];
    switch (maker_roll(m, 19)) {
    case 16:
    case 17:
        maker_put(t, "INSERT INTO %s (c1, c0) VALUES (1, ", a);
        maker_put_param(m, t, x ? "0" : " 00", MAKER_INTEGER);
        maker_put(t, ")");
        return true;
    case 0:
        maker_put(t, "REPLACE INTO %s (c0, c1) VALUES (%u, %u)", a, x, y);
        return true;
    case 1:
        maker_put(t, "REPLACE %s SET c0 = %u, c1 = %u", a, x, y);
        return true;
    case 2:
        maker_put(t, "INSERT INTO %s (c0, c1) VALUES (%s, %u), (%u, 2)", a,
                  zero, x, y);
        return true;
    case 3:
        maker_put(t, "INSERT %s SET c0 = %s, c1 = %u", a, zero, x);
        return true;
    case 4:
        maker_put(t, "INSERT IGNORE INTO %s (c0, c1) VALUES ('%ux', %u)", a, x,
                  y);
        return true;
    case 5:
        maker_put(t,
                  "UPDATE %s a JOIN %s b ON a.c0 = b.c0 SET a.c1 = %u, b.c0 = "
                  "1 WHERE a.c0 = %u",
                  a, b, x, y);
        return true;
    case 6:
        maker_put(t,
                  "UPDATE %s a, %s b SET b.c0 = %u WHERE a.c1 = b.c1 AND "
                  "a.c0 = %u",
                  a, b, x, y);
        return true;
    case 7:
        maker_put(t, "UPDATE IGNORE %s SET c0 = '%uz' WHERE c1 = %u", a, x, y);
        return true;
    case 8:
        maker_put(t,
                  "UPDATE %s SET c0 = %u, c1 = c0 WHERE c0 = %u ORDER BY c1 "
                  "LIMIT 1",
                  a, x, y);
        return true;
    case 9:
        maker_put(t,
                  "DELETE a FROM %s a JOIN %s b ON a.c0 = b.c1 WHERE b.c1 = "
                  "%u",
                  a, b, x);
        return true;
    case 10:
        maker_put(t,
                  "DELETE FROM a, b USING %s a JOIN %s b USING (c0) WHERE "
                  "a.c0 = %u AND b.c1 = %u",
                  a, b, x, y);
        return true;
    case 11:
        maker_put(t, "DELETE FROM %s WHERE c0 = %u LIMIT 1", a, x);
        return true;
    case 12:
        maker_put(t, "DELETE FROM %s WHERE (c0, c1) = (%u, %u) RETURNING c0", a,
                  x, y);
        return true;
    case 13:
        maker_put(t, "INSERT INTO %s () VALUES ()", a);
        return true;
    case 14:
        maker_put(t, "UPDATE %s SET c0 = %u, c0 = %u WHERE c0 = 1", a, x, y);
        return true;
    case 15:
        maker_put(t, "UPDATE %s SET c1 = %u WHERE c0 = '%u' || c0 = %u", a, x,
                  y, x);
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
        " ON DUPLICATE KEY UPDATE c0 = 1, c1 = 2",
        " ON DUPLICATE KEY UPDATE c1 = VALUES(c0)",
        " ON DUPLICATE KEY UPDATE c0 = c0 + 1",
        " RETURNING c0",
    };
    (void)table;
    maker_put(t, "%s", ends[maker_roll(m, PS_ARRAY_LEN(ends))]);
}

static const char *const number_forms[] = {"%s",
                                           "%s",
                                           "'%s'",
                                           "%s.0",
                                           "(%s)",
                                           "+%s",
                                           "'%s.0'",
                                           "%se0",
                                           "'%s '",
                                           "'+%s'",
                                           "CAST(%s AS SIGNED)",
                                           "0+%s"};

const struct maker_traits maker_traits_my = {
    .kinds = {[MAKER_SMALLINT] = {"tinyint unsigned", PS_SQL_COLUMN_INT},
              [MAKER_INTEGER] = {"integer", PS_SQL_COLUMN_INT},
              [MAKER_BIGINT] = {"bigint", PS_SQL_COLUMN_INT},
              [MAKER_UUID] = {"uuid", PS_SQL_COLUMN_UUID},
              [MAKER_BOOLEAN] = {"boolean", PS_SQL_COLUMN_INT},
              [MAKER_NUMERIC] = {"numeric(20, 2)", PS_SQL_COLUMN_OTHER},
              [MAKER_FLOAT] = {"double", PS_SQL_COLUMN_OTHER},
              [MAKER_TEXT] = {"varchar(20) COLLATE utf8mb4_bin",
                              PS_SQL_COLUMN_OTHER},
              [MAKER_NOCASE] = {"varchar(20)", PS_SQL_COLUMN_OTHER},
              [MAKER_CHAR] = {"char(3)", PS_SQL_COLUMN_OTHER},
              [MAKER_DATE] = {"date", PS_SQL_COLUMN_OTHER},
              [MAKER_GENERATED] = {"integer AS (c0 + 1) STORED",
                                   PS_SQL_COLUMN_OTHER}},
    .insert_new = {"INSERT IGNORE",                ""},
    .drawn = " AUTO_INCREMENT, KEY (c0)",
    .null_safe_equal = "<=>",
    .number_forms = number_forms,
    .n_number_forms = PS_ARRAY_LEN(number_forms),
    .boolean_literals = false,
    .own_read = own_read,
    .own_write = own_write,
    .put_conflict = put_conflict,
};
