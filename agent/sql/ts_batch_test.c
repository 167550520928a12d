/*
 * Batches of T-SQL whose effect is known by construction: they are made of
 * statements that read and statements that write table `u`, one behind the
 * other or in control flow, and of texts of writes that are none because they
 * stand in a comment, a literal or a quoted name.
 *
 * A batch with a write in it is never a read, and says that `u` may change; one
 * without any is a read that changes nothing.
 */
#include "agent/sql/sql.h"
#include "common/buf.h"
#include "tests/unit.h"

#include <stdio.h>

static const char *const reads[] = {
    "SELECT 1",
    "SELECT a FROM t",
    "SELECT [a], \"b\", N'c' FROM dbo.t AS x WHERE x.id = 1",
    "SELECT TOP (3) a AS b FROM t ORDER BY a DESC",
    "SELECT a FROM t UNION ALL (SELECT b FROM v)",
    "SELECT CASE WHEN a = 1 THEN 2 ELSE 3 END FROM t",
    "SELECT a FROM t OPTION (MERGE JOIN, MAXDOP 1)",
    "SELECT a FROM t CROSS APPLY (SELECT TOP 1 b FROM v WHERE v.i = t.i) AS x",
    "SELECT a FROM t WHERE b IN (SELECT c FROM v) FOR JSON PATH",
    "SELECT SUM(a) c FROM t GROUP BY b HAVING SUM(a) > 1",
};

static const char *const writes[] = {
    "DELETE FROM u",
    "DELETE u WHERE id = 1",
    "DELETE x FROM u AS x JOIN t ON t.i = x.i",
    "UPDATE u SET a = 1 WHERE id IN (1, 2)",
    "UPDATE TOP (1) u SET a += 1 OUTPUT deleted.a",
    "UPDATE x SET x.a = 2 FROM dbo.u AS x",
    "WITH c AS (SELECT a FROM u) UPDATE c SET a = 1",
    "INSERT INTO u (a) VALUES (1)",
    "INSERT u DEFAULT VALUES",
    "INSERT INTO u SELECT a FROM t",
    "DELETE FROM t OUTPUT deleted.a INTO u (a)",
    "MERGE INTO u USING t ON t.i = u.i WHEN MATCHED THEN DELETE;",
    "TRUNCATE TABLE u",
    "BULK INSERT u FROM 'f'",
    "SELECT a INTO u FROM t",
    "EXEC ('DELETE FROM u')",
    "EXEC sp_executesql N'DELETE FROM u'",
    "EXEC srv.db.dbo.p",
    "DROP TABLE u",
    "ALTER TABLE u SWITCH TO w",
    "SELECT a FROM OPENQUERY(s, 'DELETE FROM u')",
};

/* What comes between statements. */
static const char *const gaps[] = {
    " ", "\n", "\r\n", "\t", ";", ";\n", " ; ; ", "/**/", " /* ' */ ", "--x\n",
};

/* %s: a read or write. */
static const char *const flows[] = {
    "IF 1 = 1 %s",
    "IF EXISTS (SELECT 1 FROM t) SELECT 1 ELSE %s",
    "IF @x IS NULL BEGIN %s END",
    "WHILE @i < 5 BEGIN SET @i += 1 %s END",
    "WHILE 1 = 1 %s",
    "BEGIN %s END",
    "BEGIN TRY %s END TRY BEGIN CATCH SELECT 1 END CATCH",
    "BEGIN TRY SELECT 1 END TRY BEGIN CATCH %s END CATCH",
    "again: %s",
    "GOTO done %s",
    "BEGIN TRAN %s COMMIT",
    "SET NOCOUNT ON %s",
    "DECLARE @v int = 1 %s",
    "PRINT 'x' %s",
    "USE other %s",
    "CREATE PROCEDURE p AS %s",
    "WAITFOR DELAY '00:00:01' %s",
};

/* %s: the text of a write, which does nothing here. None of the writes above
 * holds a line break, a bracket or a double quote. */
static const char *const covers[] = {
    "/* %s */", "/* /* */ %s */", "/*' %s --*/",
    "-- %s\n",  "--' %s\n",       "--/* %s\n",
};

static uint64_t random_state = 0x452821e638d01377u;

static uint64_t
next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

#define ONE_OF(list) ((list)[next_random() % PS_ARRAY_LEN(list)])

/* pattern with text in place of its %s. */
static void
put(struct ps_buf *buf, const char *pattern, struct ps_str text)
{
    const char *hole = strstr(pattern, "%s");
    assert_non_null(hole);
    ps_buf_append(buf, pattern, (size_t)(hole - pattern));
    ps_buf_append(buf, text.ptr, text.len);
    ps_buf_append_c(buf, hole + 2);
}

/* A gap, sometimes with the text of a write in a comment. */
static void
put_gap(struct ps_buf *buf)
{
    ps_buf_append_c(buf, ONE_OF(gaps));
    if (next_random() % 2)
        return;
    put(buf, ONE_OF(covers), ps_str_of(ONE_OF(writes)));
    ps_buf_append_c(buf, ONE_OF(gaps));
}

/* 'text' as a literal, [text] or "text" as the name of a column. */
static void
put_quoted_write(struct ps_buf *buf)
{
    const char *text = ONE_OF(writes);
    size_t kind = next_random() % 3;
    char open = kind == 0 ? '\'' : kind == 1 ? '[' : '"';
    char close = kind == 1 ? ']' : open;

    ps_buf_append_c(buf, "SELECT ");
    ps_buf_append(buf, &open, 1);
    for (; *text; text++) {
        ps_buf_append(buf, text, 1);
        if (*text == close)
            ps_buf_append(buf, text, 1);
    }
    ps_buf_append(buf, &close, 1);
    ps_buf_append_c(buf, " FROM t");
}

static void
put_read(struct ps_buf *buf)
{
    if (next_random() % 3 == 0)
        put_quoted_write(buf);
    else
        ps_buf_append_c(buf, ONE_OF(reads));
}

/* n statements, of which the one numbered `write` writes. */
static void
put_batch(struct ps_buf *buf, size_t n, size_t write, bool flow)
{
    put_gap(buf);
    for (size_t i = 0; i < n; i++) {
        struct ps_buf one;
        ps_buf_init(&one, 4096);
        if (i == write)
            ps_buf_append_c(&one, ONE_OF(writes));
        else
            put_read(&one);
        if (flow && next_random() % 2)
            put(buf, ONE_OF(flows), ps_buf_str(&one));
        else
            ps_buf_append(buf, ps_buf_str(&one).ptr, ps_buf_str(&one).len);
        ps_buf_done(&one);
        put_gap(buf);
    }
}

static bool
may_change_u(const struct ps_sql_analysis *a)
{
    if (a->writes_all)
        return true;
    for (size_t i = 0; i < a->n_relations; i++)
        if ((a->relations[i].use & (PS_SQL_REL_WRITE | PS_SQL_REL_DDL)) &&
            ps_str_eq_nocase(a->relations[i].name, PS_STR("u")))
            return true;
    return false;
}

static bool
changes_anything(const struct ps_sql_analysis *a)
{
    for (size_t i = 0; i < a->n_relations; i++)
        if (a->relations[i].use != PS_SQL_REL_READ)
            return true;
    return a->writes_all || a->changes_catalog || a->incomplete;
}

static long
rounds(void)
{
    const char *given = getenv("PS_ADVERSARY_ROUNDS");
    return given ? strtol(given, NULL, 10) : 20000;
}

typedef const char *(*judge)(const struct ps_sql_analysis *a, size_t n);

static void
hold_to(judge wrong, bool write, bool flow)
{
    for (long i = 0; i < rounds(); i++) {
        size_t n = 1 + next_random() % 4;
        struct ps_arena *arena = ps_arena_new(16 << 20);
        struct ps_sql_analysis *a;
        struct ps_buf buf;

        assert_non_null(arena);
        ps_buf_init(&buf, 1 << 16);
        put_batch(&buf, n, write ? next_random() % n : n, flow);
        assert_int_equal(
            ps_sql_analyse(PS_DIALECT_TSQL, 0, ps_buf_str(&buf), arena, &a),
            PS_OK);
        const char *why = wrong(a, n);
        if (why)
            fail_msg("%s (%s, %s):\n%.*s", why, ps_sql_class_text(a->cls),
                     ps_sql_reason_code(a->reason),
                     PS_STR_ARG(ps_buf_str(&buf)));
        ps_buf_done(&buf);
        ps_arena_free(&arena);
    }
}

static const char *
wrong_of_write(const struct ps_sql_analysis *a, size_t n)
{
    (void)n;
    if (a->cls == PS_SQL_READ || a->reason == PS_SQL_REASON_NONE)
        return "a write is called a read";
    if (!a->may_write)
        return "a write might be sent twice";
    return may_change_u(a) ? NULL : "u may change";
}

static const char *
wrong_of_reads(const struct ps_sql_analysis *a, size_t n)
{
    enum ps_sql_reason reason =
        n == 1 ? PS_SQL_REASON_NONE : PS_SQL_REASON_MULTIPLE;
    if (a->cls != PS_SQL_READ || changes_anything(a))
        return "a read is called a write";
    if (a->n_statements != n)
        return "statements are counted wrongly";
    return a->reason == reason ? NULL : "not the reason";
}

static const char *
wrong_of_flow(const struct ps_sql_analysis *a, size_t n)
{
    if (n > 1 && a->reason == PS_SQL_REASON_NONE)
        return "several statements are cacheable";
    return NULL;
}

static void
a_write_is_never_a_read(void **state)
{
    (void)state;
    hold_to(wrong_of_write, true, false);
}

static void
nor_in_control_flow(void **state)
{
    (void)state;
    hold_to(wrong_of_write, true, true);
}

static void
reads_with_texts_of_writes_are_reads(void **state)
{
    (void)state;
    hold_to(wrong_of_reads, false, false);
}

static void
control_flow_is_not_cacheable(void **state)
{
    (void)state;
    hold_to(wrong_of_flow, false, true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_is_never_a_read),
        cmocka_unit_test(nor_in_control_flow),
        cmocka_unit_test(reads_with_texts_of_writes_are_reads),
        cmocka_unit_test(control_flow_is_not_cacheable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
