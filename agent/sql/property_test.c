/*
 * What holds for any text: tokens lie side by side, splitting loses no byte, a
 * template's template is itself, another literal gives the same fingerprint,
 * and a write is never taken for a read. Tried on the statements of the golden
 * files, on pieces of them put together at random, and on random bytes.
 */
#include "agent/sql/parser.h"
#include "agent/sql/testing.h"
#include "common/file.h"
#include "tests/unit.h"

#include <dirent.h>
#include <stdio.h>
#include <time.h>

enum {
    MAX_STATEMENTS = 2000,
    ROUNDS = 4000,
    MAX_FILE = 1 << 20
};

struct reading {
    enum ps_dialect dialect;
    const char *folder;
    unsigned modes;
};
static const struct reading readings[] = {
    {PS_DIALECT_POSTGRES, "postgres", 0                          },
    {PS_DIALECT_MYSQL,    "mysql",    0                          },
    {PS_DIALECT_MYSQL,    "mysql",    PS_SQL_ANSI_QUOTES         },
    {PS_DIALECT_MYSQL,    "mysql",    PS_SQL_NO_BACKSLASH_ESCAPES},
    {PS_DIALECT_MYSQL,    "mysql",
     PS_SQL_ANSI_QUOTES | PS_SQL_NO_BACKSLASH_ESCAPES            },
    {PS_DIALECT_TSQL,     "tsql",     0                          },
};

static struct ps_str statements[MAX_STATEMENTS];
static size_t n_statements;

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t
next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* ---- the statements of the golden files ---- */

static void
collect_file(const char *path)
{
    size_t len;
    char *data;
    assert_int_equal(ps_file_read(path, MAX_FILE, &data, &len, NULL), PS_OK);
    const char *at = data;
    while ((at = strstr(at, "```sql\n"))) {
        const char *start = at + 7;
        at = strstr(start, "\n```\n");
        assert_non_null(at);
        assert_true(n_statements < MAX_STATEMENTS);
        char *copy = malloc((size_t)(at - start) + 1);
        assert_non_null(copy);
        memcpy(copy, start, (size_t)(at - start));
        statements[n_statements++] =
            (struct ps_str){.ptr = copy, .len = (size_t)(at - start)};
    }
    free(data);
}

static void
forget(void)
{
    while (n_statements > 0) {
        const char *text = statements[--n_statements].ptr;
        free((void *)(uintptr_t)text);
    }
}

static void
collect(const char *folder)
{
    const char *source = getenv("PS_SOURCE_DIR");
    char path[4096];
    const struct dirent *entry;

    forget();
    snprintf(path, sizeof(path), "%s/tests/golden/sql/%s",
             source ? source : ".", folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (!strstr(entry->d_name, ".md"))
            continue;
        snprintf(path, sizeof(path), "%s/tests/golden/sql/%s/%s",
                 source ? source : ".", folder, entry->d_name);
        collect_file(path);
    }
    closedir(dir);
    assert_true(n_statements > 100);
}

/* ---- properties ---- */

static void
check_tokens(const struct reading *r, struct ps_str text)
{
    struct ps_sql_lexer lex = {.dialect = ps_sql_dialect_find(r->dialect),
                               .text = text.ptr,
                               .len = text.len,
                               .modes = r->modes};
    while (lex.pos < lex.len) {
        struct ps_sql_token t = {.offset = (uint32_t)lex.pos};
        lex.dialect->next(&lex, &t);
        assert_true(lex.pos > t.offset && lex.pos <= lex.len);
        assert_int_not_equal(t.kind, PS_TOK_END);
    }
}

static void
check_split(const struct reading *r, struct ps_str text, struct ps_arena *arena)
{
    struct ps_sql_span *spans = NULL;
    size_t n = 0, at = 0;
    assert_int_equal(
        ps_sql_split(r->dialect, r->modes, text, arena, &spans, &n), PS_OK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(spans[i].offset, at);
        at += spans[i].len;
    }
    assert_true(at == text.len || n == 0);
}

static uint64_t
check_template(const struct reading *r, struct ps_str text,
               struct ps_arena *arena)
{
    struct ps_str once, twice;
    uint64_t first, second;
    assert_int_equal(
        ps_sql_template(r->dialect, r->modes, text, arena, &once, &first),
        PS_OK);
    assert_int_equal(
        ps_sql_template(r->dialect, r->modes, once, arena, &twice, &second),
        PS_OK);
    if (!ps_str_eq(once, twice))
        fail_msg("the template of\n%.*s\nis not stable:\n%.*s\n%.*s",
                 PS_STR_ARG(text), PS_STR_ARG(once), PS_STR_ARG(twice));
    assert_true(first == second);
    return first;
}

/* The number with other digits. */
static void
append_sevens(struct ps_buf *buf, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ps_buf_append_char(buf,
                           text[i] >= '0' && text[i] <= '9' ? '7' : text[i]);
}

/* The text with another literal in the place of each. Where space changes the
 * meaning (5--2 and 5 -- 2 of MySQL) none is added. */
static struct ps_str
other_literals(const struct reading *r, struct ps_str text, struct ps_buf *buf)
{
    struct ps_sql_lexer lex = {.dialect = ps_sql_dialect_find(r->dialect),
                               .text = text.ptr,
                               .len = text.len,
                               .modes = r->modes};
    while (lex.pos < lex.len) {
        struct ps_sql_token t = {.offset = (uint32_t)lex.pos};
        lex.dialect->next(&lex, &t);
        if (r->dialect == PS_DIALECT_MYSQL && t.kind == PS_TOK_NUMBER)
            append_sevens(buf, text.ptr + t.offset, lex.pos - t.offset);
        else if (r->dialect == PS_DIALECT_MYSQL && t.kind == PS_TOK_STRING)
            ps_buf_append_c(buf, t.ch == '"'   ? "\"other\""
                                 : t.ch == 'n' ? "n'other'"
                                               : "'other'");
        else if (t.kind == PS_TOK_NUMBER)
            ps_buf_append_c(buf, " 77 ");
        else if (t.kind == PS_TOK_STRING)
            ps_buf_append_c(buf, " 'other' ");
        else
            ps_buf_append(buf, text.ptr + t.offset, lex.pos - t.offset);
    }
    return ps_buf_str(buf);
}

static void
check_analysis(const struct reading *r, struct ps_str text,
               struct ps_arena *arena)
{
    struct ps_sql_analysis *a;
    assert_int_equal(ps_sql_analyse(r->dialect, r->modes, text, arena, &a),
                     PS_OK);
    assert_true(a->reason_offset + a->reason_len <= text.len);
    if (a->reason == PS_SQL_REASON_NONE) {
        assert_int_equal(a->cls, PS_SQL_READ);
        assert_int_equal(a->n_statements, 1);
        assert_false(a->writes_all || a->may_write || a->touches_session);
        assert_int_equal(a->n_functions, 0);
    }
    for (size_t i = 0; i < a->n_relations; i++)
        if (a->relations[i].use != PS_SQL_REL_READ)
            assert_int_not_equal(a->cls, PS_SQL_READ);
    if (a->cls != PS_SQL_READ)
        assert_true(a->may_write);
}

static void
check_all(const struct reading *r, struct ps_str text)
{
    struct ps_arena *arena = ps_arena_new(64 << 20);
    struct ps_buf buf;
    assert_non_null(arena);
    ps_buf_init(&buf, MAX_FILE);
    check_tokens(r, text);
    check_split(r, text, arena);
    uint64_t fingerprint = check_template(r, text, arena);
    uint64_t other = check_template(r, other_literals(r, text, &buf), arena);
    if (fingerprint != other)
        fail_msg("another literal is another template:\n%.*s\n%.*s",
                 PS_STR_ARG(text), PS_STR_ARG(ps_buf_str(&buf)));
    check_analysis(r, text, arena);
    ps_buf_done(&buf);
    ps_arena_free(&arena);
}

/* ---- tests ---- */

static void
golden_statements(void **state)
{
    (void)state;
    for (size_t d = 0; d < PS_ARRAY_LEN(readings); d++) {
        collect(readings[d].folder);
        for (size_t i = 0; i < n_statements; i++)
            check_all(&readings[d], statements[i]);
    }
    forget();
}

static void
append_piece(struct ps_buf *buf)
{
    struct ps_str s = statements[next_random() % n_statements];
    if (s.len == 0)
        return;
    size_t from = next_random() % s.len;
    size_t len = next_random() % (s.len - from) + 1;
    ps_buf_append(buf, s.ptr + from, len);
}

static void
pieces_of_statements(void **state)
{
    (void)state;
    for (size_t d = 0; d < PS_ARRAY_LEN(readings); d++) {
        collect(readings[d].folder);
        for (int round = 0; round < ROUNDS; round++) {
            struct ps_buf buf;
            ps_buf_init(&buf, MAX_FILE);
            for (uint64_t k = next_random() % 4 + 1; k > 0; k--)
                append_piece(&buf);
            check_all(&readings[d], ps_buf_str(&buf));
            ps_buf_done(&buf);
        }
    }
    forget();
}

static void
random_bytes(void **state)
{
    static const char alphabet[] = "aeEnNuU&xB'\"\"$$12.;,()[]{}/*-+=<>!?@:"
                                   "\\ \n\r\t_\x80\xc3\xa9` #%^|~\0in";
    (void)state;
    for (size_t d = 0; d < PS_ARRAY_LEN(readings); d++)
        for (int round = 0; round < 5 * ROUNDS; round++) {
            char text[64];
            size_t n = next_random() % sizeof(text);
            for (size_t i = 0; i < n; i++)
                text[i] = alphabet[next_random() % (sizeof(alphabet) - 1)];
            check_all(&readings[d], (struct ps_str){.ptr = text, .len = n});
        }
}

/* The beginning of a write, whatever follows, is never a read. */
static void
writes_are_never_reads(void **state)
{
    static const char *const starts[] = {
        "INSERT INTO t ", "UPDATE t SET ",  "DELETE FROM ", "MERGE INTO ",
        "TRUNCATE ",      "CREATE TABLE ",  "DROP ",        "CALL ",
        "GRANT ",         "ALTER TABLE t ", "DO ",          "SET x = ",
    };
    (void)state;
    for (size_t d = 0; d < PS_ARRAY_LEN(readings); d++) {
        collect(readings[d].folder);
        for (int round = 0; round < ROUNDS; round++) {
            struct ps_buf buf;
            struct ps_sql_analysis *a;
            struct ps_arena *arena = ps_arena_new(64 << 20);
            ps_buf_init(&buf, MAX_FILE);
            ps_buf_append_c(&buf, starts[next_random() % PS_ARRAY_LEN(starts)]);
            append_piece(&buf);
            assert_int_equal(ps_sql_analyse(readings[d].dialect,
                                            readings[d].modes, ps_buf_str(&buf),
                                            arena, &a),
                             PS_OK);
            assert_int_not_equal(a->cls, PS_SQL_READ);
            assert_true(a->may_write);
            ps_buf_done(&buf);
            ps_arena_free(&arena);
        }
    }
    forget();
}

/* Texts that go deep or on and on: a beginning, and what is repeated, with #
 * for a number. */
static const struct {
    const char *start, *unit;
} long_texts[] = {
    {"SELECT ",                       "("                            },
    {"SELECT ",                       "["                            },
    {"SELECT ",                       "(]"                           },
    {"SELECT ",                       "SELECT ("                     },
    {"SELECT ",                       "a."                           },
    {"SELECT ",                       "CASE WHEN "                   },
    {"SELECT ",                       "NOT "                         },
    {"SELECT ",                       "- "                           },
    {"SELECT ",                       "+"                            },
    {"SELECT ",                       "+*"                           },
    {"SELECT now(), ",                "'a'\n"                        },
    {"SELECT ",                       "- $a + "                      },
    {"SELECT ",                       "ARRAY["                       },
    {"SELECT ",                       "WITH x AS ("                  },
    {"SELECT ",                       "SELECT * FROM ("              },
    {"SELECT ",                       "a JOIN "                      },
    {"SELECT ",                       "x::"                          },
    {"SELECT ",                       "f("                           },
    {"SELECT ",                       "interval("                    },
    {"SELECT ",                       "1 + ("                        },
    {"SELECT ",                       "a AND "                       },
    {"SELECT ",                       "a;"                           },
    {"SELECT ",                       "'"                            },
    {"SELECT ",                       "/*"                           },
    {"SELECT ",                       "$$"                           },
    {"SELECT ",                       "\""                           },
    {"SELECT now(), ",                "/**/"                         },
    {"SELECT now(), ",                "#\n"                          },
    {"SELECT now(), ",                "-- \n"                        },
    {"SELECT ",                       "/*! a "                       },
    {"SELECT now(), ",                "/*! */"                       },
    {"SELECT now(), ",                "'a' "                         },
    {"SELECT ",                       "_utf8mb4 "                    },
    {"SELECT ",                       "`"                            },
    {"SELECT ",                       "@a := "                       },
    {"SELECT ",                       "@@a."                         },
    {"SELECT ",                       "{d "                          },
    {"SELECT ",                       "a COLLATE "                   },
    {"SELECT ",                       "INTERVAL 1 DAY + "            },
    {"",                              "BEGIN NOT ATOMIC "            },
    {"",                              "CREATE PROCEDURE p() BEGIN "  },
    {"DELETE FROM ",                  "t#, "                         },
    {"UPDATE t SET ",                 "a# = #, "                     },
    {"UPDATE t SET ",                 "a = #, "                      },
    {"REPLACE t VALUES ",             "(#, ?), "                     },
    {"LOCK TABLES ",                  "t# READ, "                    },
    {"DROP TABLE ",                   "t#, "                         },
    {"RENAME TABLE ",                 "t TO t#, "                    },
    {"SET ",                          "a = #, "                      },
    {"",                              "EXPLAIN ANALYZE "             },
    {"",                              "INSERT INTO t VALUES(1);"     },
    {"",                              "UPDATE t SET a=#;"            },
    {"",                              "CREATE (BEGIN ATOMIC "        },
    {"INSERT INTO t (a) VALUES ",     "(#),"                         },
    {"SELECT * FROM t WHERE ",        "a = # AND "                   },
    {"SELECT * FROM t WHERE ",        "x.a = # OR "                  },
    {"SELECT * FROM t, u WHERE ",     "t.a = u.b AND "               },
    {"SELECT * FROM t WHERE a IN",    "(#"                           },
    {"SELECT * FROM t",               ", t#"                         },
    {"SELECT * FROM (SELECT 1) a",    ", (SELECT #) a#"              },
    {"SELECT * FROM t",               " JOIN t# ON t.a = t#.a"       },
    {"SELECT * FROM t ",              "JOIN (t JOIN t ON a) b "      },
    {"WITH a AS (SELECT 1)",          ", a# AS (SELECT * FROM a"     },
    {"WITH a AS (SELECT 1)",          ", a# AS (TABLE a)"            },
    {"WITH RECURSIVE a AS (TABLE a)", ", a# AS (TABLE a)"            },
    {"WITH RECURSIVE ",               "a AS (WITH RECURSIVE "        },
    {"SELECT 1 ",                     "UNION SELECT a, now() "       },
    {"SELECT a FROM t GROUP BY ",     "ROLLUP ("                     },
    {"SELECT a FROM t GROUP BY ",     "GROUPING SETS (a, b), "       },
    {"SELECT a FROM t ORDER BY ",     "a, "                          },
    {"MERGE INTO t USING u ON a ",    "WHEN MATCHED THEN DO NOTHING "},
};

static void
long_text(struct ps_buf *buf, size_t text, size_t len)
{
    ps_buf_append_c(buf, long_texts[text].start);
    for (int i = 0; buf->len < len; i++)
        for (const char *at = long_texts[text].unit; *at; at++) {
            if (*at == '#')
                ps_buf_printf(buf, "%d", i);
            else
                ps_buf_append(buf, at, 1);
        }
}

/* CPU time of one analysis. */
static double
seconds_for(const struct reading *r, size_t text, size_t len)
{
    struct ps_arena *arena = ps_arena_new(1u << 30);
    struct ps_sql_analysis *a;
    struct ps_buf buf;
    struct timespec begin, end;

    ps_buf_init(&buf, 2 * len);
    long_text(&buf, text, len);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    assert_int_equal(
        ps_sql_analyse(r->dialect, r->modes, ps_buf_str(&buf), arena, &a),
        PS_OK);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    if (a->reason == PS_SQL_REASON_NONE)
        fail_msg("cacheable: %s%s...", long_texts[text].start,
                 long_texts[text].unit);
    ps_buf_done(&buf);
    ps_arena_free(&arena);
    return (double)(end.tv_sec - begin.tv_sec) +
           (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
}

static void
expect_linear(const struct reading *r, size_t text)
{
    double shorter = 0, longer = 0;
    for (int i = 0; i < 3; i++) {
        shorter = seconds_for(r, text, 1 << 17);
        longer = seconds_for(r, text, 1 << 20);
        if (longer <= 24 * (shorter + 0.001))
            return;
    }
    fail_msg("not linear: %s%s... took %.1f ms and %.1f ms",
             long_texts[text].start, long_texts[text].unit, 1e3 * shorter,
             1e3 * longer);
}

/* Deep and long texts end in an answer, not in a crash or a long wait: eight
 * times the text takes at most eight times the time (sixty-four times if the
 * work were quadratic; in between is left to the machine's mood, which is asked
 * three times). */
static void
depth_and_length(void **state)
{
    (void)state;
    for (size_t d = 0; d < PS_ARRAY_LEN(readings); d++)
        for (size_t u = 0; u < PS_ARRAY_LEN(long_texts); u++)
            expect_linear(&readings[d], u);
}

/* The table of words knows every word, in any case. */
static void
every_word_is_found(void **state)
{
    (void)state;
    for (int w = 1; w < PS_W_COUNT; w++) {
        const char *text = ps_sql_word_text((enum ps_sql_word)w);
        char upper[32];
        uint32_t hash = PS_SQL_HASH_START;
        size_t n = strlen(text);
        assert_true(n < sizeof(upper));
        for (size_t i = 0; i < n; i++) {
            hash = ps_sql_hash_step(hash, (unsigned char)text[i]);
            upper[i] = text[i] >= 'a' && text[i] <= 'z'
                           ? (char)(text[i] - 'a' + 'A')
                           : text[i];
        }
        assert_int_equal(ps_sql_word_find(upper, n, hash), w);
        assert_int_not_equal(ps_sql_word_find(upper, n - 1, hash), w);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_statements),
        cmocka_unit_test(pieces_of_statements),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(writes_are_never_reads),
        cmocka_unit_test(depth_and_length),
        cmocka_unit_test(every_word_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
