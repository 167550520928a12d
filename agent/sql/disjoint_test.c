/*
 * When two sets of rows are told apart: statement against statement, with what
 * is bound. tests/tools/sql/semantic holds the rule against a real server.
 */
#include "agent/sql/disjoint.h"
#include "tests/unit.h"

/* id, n: integers; u: uuid; b: boolean; all else tells nothing. */
static enum ps_sql_column_type
type_of(void *arg, struct ps_str column)
{
    (void)arg;
    if (ps_str_eq(column, PS_STR("id")) || ps_str_eq(column, PS_STR("n")))
        return PS_SQL_COLUMN_INT;
    if (ps_str_eq(column, PS_STR("u")))
        return PS_SQL_COLUMN_UUID;
    return ps_str_eq(column, PS_STR("b")) ? PS_SQL_COLUMN_BOOL
                                          : PS_SQL_COLUMN_OTHER;
}

static enum ps_dialect dialect = PS_DIALECT_POSTGRES;

static const struct ps_sql_relation *
first_relation(const char *sql, struct ps_arena *arena)
{
    struct ps_sql_analysis *a;
    assert_int_equal(ps_sql_analyse(dialect, 0, ps_str_of(sql), arena, &a),
                     PS_OK);
    assert_int_equal(a->n_relations, 1);
    return &a->relations[0];
}

/* $1 of the read and of the write, as text; NULL: nothing is bound. */
static bool
may_bound(const char *read, const char *read_value, const char *write,
          const char *write_value)
{
    struct ps_arena *arena = ps_arena_new(1 << 20);
    const char *text[] = {read_value, write_value};
    struct ps_sql_value values[2];
    struct ps_sql_bindings bindings[2];

    assert_non_null(arena);
    for (int i = 0; i < 2; i++) {
        values[i] = (struct ps_sql_value){.kind = PS_SQL_VALUE_STRING};
        if (text[i])
            values[i].text = ps_str_of(text[i]);
        bindings[i] = (struct ps_sql_bindings){&values[i], text[i] ? 1 : 0};
    }
    bool may = ps_sql_may_change(first_relation(read, arena), &bindings[0],
                                 first_relation(write, arena), &bindings[1],
                                 type_of, NULL);
    ps_arena_free(&arena);
    return may;
}

static bool
may(const char *read, const char *write)
{
    return may_bound(read, NULL, write, NULL);
}

#define READ_1 "SELECT * FROM t WHERE id = 1"

static void
inserts(void **state)
{
    (void)state;
    assert_true(may(READ_1, "INSERT INTO t (id) VALUES (1)"));
    assert_false(may(READ_1, "INSERT INTO t (id) VALUES (2), (3)"));
    assert_true(may(READ_1, "INSERT INTO t (id) VALUES (2), (1)"));
    assert_false(may(READ_1, "INSERT INTO t (id) VALUES (NULL)"));
    assert_true(may(READ_1, "INSERT INTO t (id) VALUES (DEFAULT)"));
    assert_true(may(READ_1, "INSERT INTO t (n) VALUES (2)"));
    assert_true(may(READ_1, "INSERT INTO t VALUES (2)"));
    assert_true(may("SELECT * FROM t", "INSERT INTO t (id) VALUES (2)"));
    assert_true(may(READ_1, "INSERT INTO t (id) VALUES (2) ON CONFLICT (id) "
                            "DO UPDATE SET id = 1"));
}

static void
updates(void **state)
{
    (void)state;
    assert_false(may(READ_1, "UPDATE t SET n = 5 WHERE id = 2"));
    assert_true(may(READ_1, "UPDATE t SET n = 5 WHERE id = 1"));
    assert_true(may(READ_1, "UPDATE t SET id = 1 WHERE id = 2"));
    assert_true(may(READ_1, "UPDATE t SET id = 3 WHERE id IN (1, 2)"));
    assert_true(may(READ_1, "UPDATE t SET id = id + 1 WHERE id = 2"));
    assert_true(may(READ_1, "UPDATE t SET n = 5"));
    assert_false(may("SELECT * FROM t WHERE id = 1 AND n = 2",
                     "UPDATE t SET n = 5 WHERE n = 3"));
}

static void
deletes(void **state)
{
    (void)state;
    assert_false(may(READ_1, "DELETE FROM t WHERE id = 2"));
    assert_true(may(READ_1, "DELETE FROM t WHERE id = 1"));
    assert_true(may(READ_1, "DELETE FROM t WHERE id > 1"));
    assert_true(may(READ_1, "TRUNCATE t"));
    assert_true(may(READ_1, "COPY t FROM STDIN"));
}

/* Hazard 24. */
static void
other_spellings(void **state)
{
    (void)state;
    assert_true(may(READ_1, "DELETE FROM t WHERE id = '01'"));
    assert_false(may(READ_1, "DELETE FROM t WHERE id = '02'"));
    assert_true(may(READ_1, "DELETE FROM t WHERE id = 2.0"));
    assert_true(may(READ_1, "DELETE FROM t WHERE id = '2x'"));
    assert_false(may(READ_1, "DELETE FROM t WHERE id = -1"));
    assert_false(may(READ_1, "DELETE FROM t WHERE id = '2'::bigint"));
    assert_true(may(READ_1, "DELETE FROM t WHERE id = '2'::text"));
    assert_false(may("SELECT * FROM t WHERE b", "DELETE FROM t WHERE NOT b"));
    assert_true(may("SELECT * FROM t WHERE b", "DELETE FROM t WHERE b = 'T'"));
    assert_true(may("SELECT * FROM t WHERE b", "DELETE FROM t WHERE b = 'no'"));
    assert_true(
        may("SELECT * FROM t WHERE s = 'a'", "DELETE FROM t WHERE s = 'b'"));
    assert_false(
        may("SELECT * FROM t WHERE u = '6f1de1d0-0000-4000-8000-00000000000a'",
            "DELETE FROM t WHERE u = '6f1de1d0-0000-4000-8000-00000000000b'"));
    assert_true(
        may("SELECT * FROM t WHERE u = '6f1de1d0-0000-4000-8000-00000000000a'",
            "DELETE FROM t WHERE u = '{6F1DE1D00000400080000000000000 0A}'"));
    assert_true(
        may("SELECT * FROM t WHERE u = '6f1de1d0-0000-4000-8000-00000000000a'",
            "DELETE FROM t WHERE u = '{6F1DE1D000004000800000000000000A}'"));
}

static void
bindings(void **state)
{
    const char *read = "SELECT * FROM t WHERE id = $1";
    const char *write = "DELETE FROM t WHERE id = $1";

    (void)state;
    assert_false(may_bound(read, "1", write, "2"));
    assert_true(may_bound(read, "1", write, "1"));
    assert_true(may_bound(read, "1", write, NULL));
    assert_true(may_bound(read, "1", write, "2.5"));
    /* The parameter may be a floating number: these two are one there. */
    assert_true(may_bound(read, "9007199254740992", write, "9007199254740993"));
    assert_false(may("SELECT * FROM t WHERE id = 9007199254740992",
                     "DELETE FROM t WHERE id = 9007199254740993"));
}

/* 0 and NULL draw the next number of an AUTO_INCREMENT column; text may be
 * compared as a floating number. */
static void
mysql(void **state)
{
    const char *insert = "INSERT INTO t (id) VALUES (?)";
    (void)state;
    dialect = PS_DIALECT_MYSQL;
    assert_false(may(READ_1, "INSERT INTO t (id) VALUES (2)"));
    assert_true(may(READ_1, "INSERT INTO t (id) VALUES (0)"));
    assert_true(may(READ_1, "INSERT INTO t SET id = '0'"));
    assert_true(may(READ_1, "INSERT INTO t (id) VALUES (2), (NULL)"));
    assert_true(may(READ_1, "INSERT IGNORE INTO t (id) VALUES (2)"));
    assert_true(may(READ_1, "REPLACE INTO t (id) VALUES (2)"));
    assert_false(may_bound(READ_1, NULL, insert, "2"));
    assert_true(may_bound(READ_1, NULL, insert, "0"));
    assert_true(may_bound(READ_1, NULL, insert, " 00"));
    assert_false(may("SELECT * FROM t WHERE id = 1",
                     "UPDATE t SET id = 0 WHERE id = '02'"));
    assert_true(may_bound("SELECT * FROM t WHERE id = 1", NULL,
                          "UPDATE t SET id = ? WHERE id = 2", "0"));
    assert_false(may_bound("SELECT * FROM t WHERE id = 1", NULL,
                           "UPDATE t SET id = ? WHERE id = 2", "3"));
    assert_true(may("SELECT * FROM t WHERE id = 9007199254740992",
                    "DELETE FROM t WHERE id IN ('9007199254740993')"));
    dialect = PS_DIALECT_POSTGRES;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inserts),         cmocka_unit_test(updates),
        cmocka_unit_test(mysql),           cmocka_unit_test(deletes),
        cmocka_unit_test(other_spellings), cmocka_unit_test(bindings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
