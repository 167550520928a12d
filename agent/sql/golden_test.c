/*
 * Golden files: tests/golden/sql/<dialect>/<topic>.md. Each case is a fenced
 * block ```sql with the statement and behind it one ```text with what the
 * analysis must say (testing.c). Everything else in the file is prose.
 *
 * PS_GOLDEN_UPDATE=1 writes the expected blocks anew instead of comparing; read
 * the difference before it is committed.
 */
#include "agent/sql/testing.h"
#include "common/file.h"
#include "tests/unit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_FILE = 1 << 20
};

struct cursor {
    const char *at, *end;
};

/* The line at the cursor, without its newline. */
static struct ps_str
next_line(struct cursor *c)
{
    const char *nl = memchr(c->at, '\n', (size_t)(c->end - c->at));
    const char *stop = nl ? nl : c->end;
    struct ps_str line = {.ptr = c->at, .len = (size_t)(stop - c->at)};
    c->at = nl ? nl + 1 : c->end;
    return line;
}

/* The body of a fenced block whose first line has been read. */
static struct ps_str
block_body(struct cursor *c)
{
    const char *start = c->at, *stop = c->at;
    while (c->at < c->end) {
        stop = c->at;
        if (ps_str_eq(next_line(c), PS_STR("```")))
            return (struct ps_str){.ptr = start, .len = (size_t)(stop - start)};
    }
    fail_msg("a block has no end");
    return PS_STR_NONE;
}

static void
render(enum ps_dialect dialect, struct ps_str sql, struct ps_buf *out)
{
    struct ps_arena *arena = ps_arena_new(64 << 20);
    struct ps_sql_analysis *analysis;

    assert_non_null(arena);
    assert_int_equal(ps_sql_analyse(dialect, 0, sql, arena, &analysis), PS_OK);
    ps_sql_render(analysis, sql, out);
    ps_arena_free(&arena);
}

/* Runs the cases of one file; `updated` gets the file as it should be. */
static size_t
run_file(enum ps_dialect dialect, const char *path, struct ps_str content,
         struct ps_buf *updated, size_t *failures)
{
    struct cursor c = {.at = content.ptr, .end = content.ptr + content.len};
    size_t cases = 0;

    while (c.at < c.end) {
        struct ps_str line = next_line(&c);
        ps_buf_append_str(updated, line);
        ps_buf_append_char(updated, '\n');
        if (!ps_str_eq(line, PS_STR("```sql")))
            continue;
        struct ps_str sql = block_body(&c);
        ps_buf_append_str(updated, sql);
        ps_buf_append_c(updated, "```\n```text\n");
        sql.len -= sql.len > 0; /* the newline before the fence */

        struct cursor ahead = c;
        struct ps_str expected = PS_STR("");
        if (ahead.at < ahead.end &&
            ps_str_eq(next_line(&ahead), PS_STR("```text"))) {
            expected = block_body(&ahead);
            c = ahead;
        }
        struct ps_buf actual;
        ps_buf_init(&actual, MAX_FILE);
        render(dialect, sql, &actual);
        ps_buf_append_str(updated, ps_buf_str(&actual));
        ps_buf_append_c(updated, "```\n");
        cases++;
        if (!ps_str_eq(ps_buf_str(&actual), expected)) {
            (*failures)++;
            printf("%s:\n%.*s\n--- expected\n%.*s--- found\n%.*s\n", path,
                   PS_STR_ARG(sql), PS_STR_ARG(expected),
                   PS_STR_ARG(ps_buf_str(&actual)));
        }
        ps_buf_done(&actual);
    }
    return cases;
}

static size_t
run_path(enum ps_dialect dialect, const char *path, size_t *failures)
{
    bool update = getenv("PS_GOLDEN_UPDATE") != NULL;
    size_t len, failed = 0;
    char *data;
    struct ps_buf updated;

    assert_int_equal(ps_file_read(path, MAX_FILE, &data, &len, NULL), PS_OK);
    ps_buf_init(&updated, 2 * MAX_FILE);
    size_t cases =
        run_file(dialect, path, (struct ps_str){.ptr = data, .len = len},
                 &updated, &failed);
    if (update)
        assert_int_equal(ps_file_write(path, ps_buf_str(&updated), 0644, NULL),
                         PS_OK);
    else
        *failures += failed;
    ps_buf_done(&updated);
    free(data);
    return cases;
}

static void
run_dialect(enum ps_dialect dialect, const char *folder, size_t at_least)
{
    const char *source = getenv("PS_SOURCE_DIR");
    char path[4096];
    size_t cases = 0, failures = 0;
    const struct dirent *entry;

    snprintf(path, sizeof(path), "%s/tests/golden/sql/%s",
             source ? source : ".", folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        struct ps_str name = ps_str_of(entry->d_name);
        if (name.len < 4 || memcmp(name.ptr + name.len - 3, ".md", 3) != 0)
            continue;
        snprintf(path, sizeof(path), "%s/tests/golden/sql/%s/%s",
                 source ? source : ".", folder, entry->d_name);
        cases += run_path(dialect, path, &failures);
    }
    closedir(dir);
    printf("%s: %zu cases, %zu differ\n", folder, cases, failures);
    assert_int_equal(failures, 0);
    assert_true(cases >= at_least);
}

static void
golden_postgres(void **state)
{
    (void)state;
    run_dialect(PS_DIALECT_POSTGRES, "postgres", 250);
}

static void
golden_mysql(void **state)
{
    (void)state;
    run_dialect(PS_DIALECT_MYSQL, "mysql", 250);
}

static void
golden_tsql(void **state)
{
    (void)state;
    run_dialect(PS_DIALECT_TSQL, "tsql", 250);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_postgres),
        cmocka_unit_test(golden_mysql),
        cmocka_unit_test(golden_tsql),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
