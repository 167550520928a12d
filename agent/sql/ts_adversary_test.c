/*
 * An attacker's view of T-SQL, where no `;` separates statements. The class of
 * each text is known from how it was made:
 *   - what writes, calls, changes session or structure is put at every place
 *     of texts that are cacheable reads, joined in every way that a lexer might
 *     get wrong: never a read, and where a table changes the write set has it;
 *   - what only looks like a write, as it lies in a string, a name or a
 *     comment: the read stays as cacheable as it was.
 * Batches that the server would run are in ts_batch_test.c.
 * PS_ADVERSARY_ROUNDS makes the random parts longer or shorter.
 */
#include "agent/sql/parser.h"
#include "agent/sql/testing.h"
#include "tests/unit.h"

#include <stdio.h>

/* All of these are cacheable. */
static const char *const reads[] = {
    "SELECT 1",
    "SELECT 'x' AS a, N'y', [z] FROM t",
    "SELECT * FROM dbo.t",
    "SELECT a b, c AS d FROM t AS x WHERE x.e = 1 AND f IN (1, 2)",
    "SELECT TOP (5) WITH TIES a FROM t ORDER BY a DESC, b",
    "SELECT TOP 5 PERCENT a FROM t ORDER BY a ASC",
    "SELECT a FROM t ORDER BY a OFFSET 5 ROWS FETCH NEXT @n ROWS ONLY",
    "SELECT a, COUNT(*) c FROM t GROUP BY a WITH ROLLUP HAVING COUNT(*) > 1",
    "SELECT a FROM t INNER MERGE JOIN u ON t.i = u.i LEFT JOIN v ON v.i = 1",
    "SELECT a FROM t CROSS APPLY (SELECT b FROM u WHERE u.i = t.i) AS x",
    "SELECT a FROM t OUTER APPLY OPENJSON(t.j) WITH (id int '$.id') AS x",
    "WITH x (a) AS (SELECT a FROM t), y AS (SELECT a FROM x) SELECT a FROM y",
    "SELECT a FROM t WITH (INDEX(i), FORCESEEK) OPTION (MERGE JOIN, FAST 5)",
    "SELECT a FROM t FOR XML PATH('x'), ROOT('y'), ELEMENTS XSINIL",
    "SELECT a FROM t FOR JSON AUTO, WITHOUT_ARRAY_WRAPPER",
    "SELECT SUM(a) OVER (PARTITION BY b ORDER BY c ROWS 5 PRECEDING) FROM t",
    "SELECT STRING_AGG(a, ',') WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT CASE WHEN a = 1 THEN 2 ELSE 3 END FROM t WHERE b BETWEEN 1 AND 2",
    "SELECT CAST(a AS varchar(10)), CONVERT(date, b, 103), c + -1.5e3 FROM t",
    "SELECT a FROM t UNION ALL (SELECT b FROM u EXCEPT SELECT c FROM v)",
    "SELECT [1] FROM t PIVOT (SUM(a) FOR b IN ([1], [2])) AS p WHERE p.c = 1",
    "SELECT x = a, 'y' = b FROM (VALUES (1, $2), (0x3, 4)) AS v (a, b)",
    "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE b LIKE 'x' ESCAPE "
    "'!')",
    "SELECT a FROM s.t /* c /* d */ */ WHERE a = @p -- e\n AND b IS NOT NULL",
    "SELECT a COLLATE Latin1_General_BIN FROM db..t WHERE NOT a > ALL (SELECT "
    "1)",
};

/* Up to BEGIN TRAN these change the table u, or may. */
static const char *const writes[] = {
    "DELETE FROM u",
    "DELETE u",
    "DELETE TOP (5) u",
    "DELETE x FROM u AS x JOIN t ON t.i = x.i",
    "DELETE FROM u OUTPUT deleted.a WHERE b = 1",
    "UPDATE u SET a = 1",
    "UPDATE u SET a = 1 WHERE b = 2",
    "UPDATE u WITH (TABLOCK) SET a += 1",
    "UPDATE x SET a = 1 FROM u x WHERE x.i = 1",
    "INSERT INTO u VALUES (1)",
    "INSERT u DEFAULT VALUES",
    "INSERT INTO u SELECT 1",
    "INSERT INTO u EXEC p",
    "INSERT INTO v OUTPUT inserted.a INTO u VALUES (1)",
    "WITH x AS (SELECT a FROM t) DELETE FROM u",
    "WITH x AS (SELECT a FROM u) UPDATE x SET a = 1",
    "MERGE u USING v ON 1 = 1 WHEN MATCHED THEN DELETE;",
    "MERGE INTO u AS x USING v ON 1 = 1 WHEN NOT MATCHED THEN INSERT (a) "
    "VALUES (1);",
    "TRUNCATE TABLE u",
    "BULK INSERT u FROM 'f'",
    "SELECT 1 INTO u",
    "SELECT a INTO u FROM v",
    "EXEC p",
    "EXEC @r = p @a = 1, @b = @c OUTPUT",
    "EXEC dbo.p 1, 'x' WITH RECOMPILE",
    "EXEC @name",
    "EXEC ('DELETE FROM u') AS USER = 'x'",
    "EXEC ('DELETE FROM u') AT s",
    "EXEC (@sql + N' FROM u')",
    "EXECUTE ('DELETE FROM u')",
    "EXEC sp_executesql N'DELETE FROM u'",
    "EXEC('DELETE FROM u')",
    "DROP TABLE u",
    "DROP TABLE IF EXISTS u",
    "CREATE TABLE u (a int)",
    "ALTER TABLE u ADD a int",
    "CREATE OR ALTER TRIGGER x ON u AFTER INSERT AS SELECT 1",
    "GRANT SELECT ON u TO v",
    "DENY ALL TO v",
    "IF 1 = 1 DELETE FROM u",
    "WHILE 1 = 1 DELETE FROM u",
    "BEGIN DELETE FROM u END",
    "BEGIN TRY DELETE FROM u END TRY BEGIN CATCH END CATCH",
    "SELECT * FROM OPENQUERY(s, 'DELETE FROM u')",
    "SELECT * FROM OPENROWSET('x', 'y', 'DELETE FROM u')",
    "INSERT OPENQUERY(s, 'SELECT a FROM u') VALUES (1)",
    "WRITETEXT u.a @p 'x'",
    "UPDATETEXT u.a @p 0 0 'x'",
    /* These change something else. */
    "BEGIN TRAN",
    "COMMIT",
    "ROLLBACK TRAN x",
    "SAVE TRAN x",
    "DECLARE @x int",
    "SET NOCOUNT ON",
    "SET IMPLICIT_TRANSACTIONS ON",
    "USE other",
    "REVERT",
    "EXECUTE AS USER = 'x'",
    "SETUSER 'x'",
    "WAITFOR DELAY '00:00:01'",
    "OPEN c",
    "CLOSE c",
    "DEALLOCATE c",
    "PRINT 'x'",
    "RAISERROR ('x', 16, 1)",
    "RETURN",
    "GOTO x",
    "KILL 52",
    "DBCC CHECKDB",
    "BACKUP DATABASE d TO DISK = 'x'",
    "RESTORE DATABASE d FROM DISK = 'x'",
    "CHECKPOINT",
    "SHUTDOWN",
    "RECONFIGURE",
    "SELECT NEXT VALUE FOR s",
};

/* Between what was there and what is put in; and behind it. The first ones
 * separate words in every case. */
static const char *const joints[] = {
    " ",
    "\n",
    "\t",
    "\r\n",
    "\x0b",
    "\x01",
    "/**/",
    "/* x */",
    " --x\n",
    "--\n",
    " -- /*\n",
    "/*--*/",
    "/* '*/",
    "/* /**/ */",
    " (",
    " ((",
    ") ",
    " )",
    ";",
    " ; ",
    " x ",
    " AS x ",
    " [x] ",
    " \"x\" ",
    " 'x' ",
    " N'x' ",
    " 1 ",
    " , ",
    " = ",
    " - ",
    " * ",
    " @p ",
    " @p = ",
    " . ",
    " x: ",
    " END ",
    " FROM ",
    " WHERE ",
    " ELSE ",
    " THEN ",
    " OPTION (",
    " WITH (",
    " GO\n",
    "\nGO\n",
    " AS ",
    " -1 ",
    " 0x ",
    " $1 ",
    " NULL ",
    " x.y ",
    " ON ",
    " AND ",
    " FOR XML ",
    " TOP ",
    "--\r",
    " --x\r\r\n",
    "\xc2\xa0",
    "\xe3\x80\x80",
    "\xe2\x80\xa8",
    " {",
    " ORDER BY ",
    " GROUP BY ",
    " UNION ",
    " UNION ALL ",
    " OVER (",
    " IN (",
};

enum {
    N_SPACES = 14 /* of joints */
};

static uint64_t random_state = 0x243f6a8885a308d3u;

static uint64_t
next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static const char *
one_of(const char *const *list, size_t n)
{
    return list[next_random() % n];
}

static bool
is_u(struct ps_str name)
{
    return name.ptr && ps_str_eq(name, PS_STR("u"));
}

static size_t
n_changes(void)
{
    size_t n = 0;
    while (strcmp(writes[n], "BEGIN TRAN") != 0)
        n++;
    return n;
}

static long
rounds(long usual)
{
    const char *text = getenv("PS_ADVERSARY_ROUNDS");
    return text ? strtol(text, NULL, 10) : usual;
}

struct found {
    enum ps_sql_class cls;
    enum ps_sql_reason reason;
    bool u_changes; /* as far as the analysis says */
    bool writes, writes_all;
};

static struct found
analyse(struct ps_str text)
{
    struct ps_arena *arena = ps_arena_new(16 << 20);
    struct ps_sql_analysis *a;

    assert_non_null(arena);
    assert_int_equal(ps_sql_analyse(PS_DIALECT_TSQL, 0, text, arena, &a),
                     PS_OK);
    struct found found = {.cls = a->cls,
                          .reason = a->reason,
                          .u_changes = a->writes_all,
                          .writes = a->writes_all || a->may_write,
                          .writes_all = a->writes_all};
    for (size_t i = 0; i < a->n_relations; i++) {
        const struct ps_sql_relation *rel = &a->relations[i];
        /* What stands behind may make u a schema or database: u . x, u..x */
        if (rel->use != PS_SQL_REL_READ &&
            (is_u(rel->name) || is_u(rel->schema) || is_u(rel->database)))
            found.u_changes = true;
        found.writes |= rel->use != PS_SQL_REL_READ;
    }
    ps_arena_free(&arena);
    return found;
}

static void
is_no_read(struct ps_str text)
{
    struct found found = analyse(text);
    if (found.cls == PS_SQL_READ || found.reason == PS_SQL_REASON_NONE)
        fail_msg("%s, %s:\n%.*s", ps_sql_class_text(found.cls),
                 ps_sql_reason_code(found.reason), PS_STR_ARG(text));
}

static void
changes_u(struct ps_str text)
{
    is_no_read(text);
    if (!analyse(text).u_changes)
        fail_msg("u is not in the write set:\n%.*s", PS_STR_ARG(text));
}

static void
is_cacheable(struct ps_str text)
{
    struct found found = analyse(text);
    if (found.cls != PS_SQL_READ || found.reason != PS_SQL_REASON_NONE ||
        found.writes)
        fail_msg("%s, %s:\n%.*s", ps_sql_class_text(found.cls),
                 ps_sql_reason_code(found.reason), PS_STR_ARG(text));
}

/* Where the tokens of text begin, its end too. */
static size_t
boundaries(struct ps_str text, size_t *at, size_t max)
{
    struct ps_sql_lexer lex = {.dialect = ps_sql_dialect_find(PS_DIALECT_TSQL),
                               .text = text.ptr,
                               .len = text.len};
    size_t n = 0;
    while (lex.pos < lex.len) {
        struct ps_sql_token t = {.offset = (uint32_t)lex.pos};
        assert_true(n < max);
        /* Behind a line comment is still in it. */
        if (n == 0 || text.ptr[at[n - 1]] != '-' || text.ptr[lex.pos] != '\n')
            at[n++] = lex.pos;
        lex.dialect->next(&lex, &t);
    }
    at[n++] = lex.pos;
    return n;
}

/* read[..at) joint write joint read[at..) */
static void
splice(struct ps_buf *buf, struct ps_str read, size_t at, const char *write)
{
    ps_buf_append(buf, read.ptr, at);
    if (next_random() % 4 == 0)
        ps_buf_append_c(buf, one_of(joints, PS_ARRAY_LEN(joints)));
    /* Where the joint is no space the words would run into each other. */
    ps_buf_append_c(buf, one_of(joints, N_SPACES));
    ps_buf_append_c(buf, write);
    ps_buf_append_c(buf, one_of(joints, N_SPACES));
    if (next_random() % 4 == 0)
        ps_buf_append_c(buf, one_of(joints, PS_ARRAY_LEN(joints)));
    ps_buf_append(buf, read.ptr + at, read.len - at);
}

static void
the_reads_are_cacheable(void **state)
{
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(reads); i++)
        is_cacheable(ps_str_of(reads[i]));
}

/* Each write at each place of each read, in the plainest way. */
static void
a_write_anywhere(void **state)
{
    (void)state;
    for (size_t r = 0; r < PS_ARRAY_LEN(reads); r++) {
        size_t at[128];
        struct ps_str read = ps_str_of(reads[r]);
        size_t n = boundaries(read, at, PS_ARRAY_LEN(at));
        for (size_t k = 0; k < n; k++)
            for (size_t w = 0; w < PS_ARRAY_LEN(writes); w++) {
                struct ps_buf buf;
                ps_buf_init(&buf, 4096);
                ps_buf_append(&buf, read.ptr, at[k]);
                ps_buf_printf(&buf, " %s ", writes[w]);
                ps_buf_append(&buf, read.ptr + at[k], read.len - at[k]);
                if (w < n_changes())
                    changes_u(ps_buf_str(&buf));
                else
                    is_no_read(ps_buf_str(&buf));
                ps_buf_done(&buf);
            }
    }
}

static void
a_write_behind_any_joint(void **state)
{
    (void)state;
    for (long n_rounds = rounds(100000); n_rounds > 0; n_rounds--) {
        size_t at[128];
        struct ps_str read = ps_str_of(one_of(reads, PS_ARRAY_LEN(reads)));
        size_t n = boundaries(read, at, PS_ARRAY_LEN(at));
        struct ps_buf buf;
        ps_buf_init(&buf, 4096);
        splice(&buf, read, at[next_random() % n],
               one_of(writes, PS_ARRAY_LEN(writes)));
        is_no_read(ps_buf_str(&buf));
        ps_buf_done(&buf);
    }
}

/* ---- texts with holes ---- */

/* Text within quotes, which are doubled. */
static void
append_quoted(struct ps_buf *buf, struct ps_str text, char quote)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == quote)
            ps_buf_append_char(buf, quote);
        ps_buf_append_char(buf, text.ptr[i]);
    }
}

/* %1: inner; %q %b %d: inner within '', [], ""; a space: any space. */
static void
wrap(struct ps_buf *out, const char *wrapper, struct ps_str inner)
{
    static const char *const spaces[] = {" ",         "\n",      "\t",  "\r\n",
                                         " /* ' */ ", " -- [\n", "/**/"};

    for (const char *c = wrapper; *c; c++) {
        if (*c == ' ')
            ps_buf_append_c(out, one_of(spaces, PS_ARRAY_LEN(spaces)));
        else if (*c != '%')
            ps_buf_append_char(out, *c);
        else if (*++c == '1')
            ps_buf_append_str(out, inner);
        else
            append_quoted(out, inner, *c == 'q' ? '\'' : *c == 'b' ? ']' : '"');
    }
}

/* Behind these `u` is another table than the connection's database or user
 * has by that name: no name is enough. */
static void
a_write_under_other_names(void **state)
{
    static const char *const before[] = {
        "USE other %1",           "USE [other] ; %1",
        "SETUSER 'x' %1",         "EXECUTE AS USER = 'x' %1",
        "EXEC AS LOGIN = 'x' %1", "REVERT ; %1",
        "SELECT 1 USE other %1",  "SET NOCOUNT ON USE other ; %1",
    };
    (void)state;
    for (size_t b = 0; b < PS_ARRAY_LEN(before); b++)
        for (size_t w = 0; w < n_changes(); w++) {
            struct ps_buf text;
            ps_buf_init(&text, 4096);
            wrap(&text, before[b], ps_str_of(writes[w]));
            is_no_read(ps_buf_str(&text));
            if (!analyse(ps_buf_str(&text)).writes_all)
                fail_msg("not all: %.*s", PS_STR_ARG(ps_buf_str(&text)));
            ps_buf_done(&text);
        }
}

/* ---- what only looks like a write ---- */

static void
a_write_in_a_comment(void **state)
{
    static const char *const comments[] = {
        "/*%1*/",         "\t--%1\n",      "\t--'%1\r\n",
        "/* /* %1 */'*/", "/*--*//*[%1*/", "/*\n%1\n*/",
    };
    (void)state;
    for (long n_rounds = rounds(20000); n_rounds > 0; n_rounds--) {
        size_t at[128];
        struct ps_str read = ps_str_of(one_of(reads, PS_ARRAY_LEN(reads)));
        size_t n = boundaries(read, at, PS_ARRAY_LEN(at));
        size_t k = at[next_random() % n];
        struct ps_buf text;
        ps_buf_init(&text, 4096);
        ps_buf_append(&text, read.ptr, k);
        wrap(&text, one_of(comments, PS_ARRAY_LEN(comments)),
             ps_str_of(one_of(writes, PS_ARRAY_LEN(writes))));
        ps_buf_append(&text, read.ptr + k, read.len - k);
        is_cacheable(ps_buf_str(&text));
        ps_buf_done(&text);
    }
}

static void
a_write_in_quotes(void **state)
{
    static const char *const quoted[] = {
        "SELECT '%q'",
        "SELECT a FROM t WHERE b = N'%q' AND c = 'x'",
        "SELECT a AS '%q', b '%q' FROM t",
        "SELECT '%q' = a, [%b] = b FROM t",
        "SELECT a FROM t WHERE b IN ('%q', '''%q''') ORDER BY a",
        "SELECT a FROM t WHERE b LIKE '%q' ESCAPE '!'",
        "SELECT [%b] FROM t",
        "SELECT a [%b] FROM t AS [%b] WHERE [%b].x = 1",
        "SELECT \"%d\" FROM [%b] JOIN \"%d\" AS x ON x.i = 1",
        "SELECT a FROM s.[%b] AS x WITH (INDEX([%b]))",
        "WITH [%b] AS (SELECT 1 AS a) SELECT a FROM [%b]",
        "SELECT REPLACE(a, '%q', '') FROM t FOR XML PATH('%q')",
    };
    (void)state;
    for (size_t q = 0; q < PS_ARRAY_LEN(quoted); q++)
        for (size_t w = 0; w < PS_ARRAY_LEN(writes); w++) {
            struct ps_buf text;
            ps_buf_init(&text, 8192);
            wrap(&text, quoted[q], ps_str_of(writes[w]));
            is_cacheable(ps_buf_str(&text));
            ps_buf_done(&text);
        }
}

/* One lexer takes these for a space, the end of a line, or a letter, and
 * another one does not. */
static void
bytes_that_lexers_read_differently(void **state)
{
    static const char *const texts[] = {
        "SELECT 1 --x\rDELETE FROM u",
        "SELECT 1 --x\r\r\nDELETE FROM u",
        "SELECT 1 --x\x0b"
        "DELETE FROM u",
        "SELECT 1 --x\xc2\x85"
        "DELETE FROM u",
        "SELECT 1 --x\xe2\x80\xa8"
        "DELETE FROM u",
        "SELECT a\xc2\xa0"
        "DELETE FROM u",
        "SELECT a\xe3\x80\x80"
        "DELETE FROM u",
        "SELECT a\xef\xbb\xbf"
        "DELETE FROM u",
        "SELECT a\xe2\x80\x8b"
        "DELETE FROM u",
        "SELECT 1\xc3\xa9"
        "DELETE FROM u",
        "SELECT 1DELETE FROM u",
        "SELECT 1eDELETE FROM u",
        "SELECT 1.DELETE FROM u",
        "SELECT 0xDELETE FROM u",
        "SELECT $1DELETE FROM u",
        "SELECT $DELETE FROM u",
        "SELECT 1\x01"
        "DELETE FROM u",
        "SELECT 1\x1f"
        "DELETE FROM u",
        "SELECT a FROM t /* /* */ DELETE FROM u",
        "SELECT a FROM t /* */ */ DELETE FROM u",
        "SELECT 'a\\' DELETE FROM u --'",
        "SELECT [a] DELETE FROM u --]",
        "SELECT \"a\" DELETE FROM u --\"",
        "SELECT a FROM t\nGO\nDELETE FROM u",
    };
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(texts); i++)
        is_no_read(ps_str_of(texts[i]));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reads_are_cacheable),
        cmocka_unit_test(a_write_anywhere),
        cmocka_unit_test(a_write_behind_any_joint),
        cmocka_unit_test(a_write_under_other_names),
        cmocka_unit_test(a_write_in_a_comment),
        cmocka_unit_test(a_write_in_quotes),
        cmocka_unit_test(bytes_that_lexers_read_differently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
