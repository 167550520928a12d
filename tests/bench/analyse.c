/*
 * What an analysis costs: template and fingerprint, a full analysis, and the
 * parse of libpg_query (PostgreSQL's own grammar; split_with_parser is its call
 * that parses and serialises nothing) of the same statement, a join of three
 * tables. Each figure is the least of several runs, on one core.
 *
 *   bench-analyse            one line of JSON: template_us, full_us,
 *                            libpg_query_us (the parse alone),
 *                            libpg_query_tree_us (with its tree handed over as
 *                            protobuf), and linear: nanoseconds per byte of
 *                            statements from 1 KiB to 1 MiB
 */
#include "agent/sql/sql.h"
#include "common/buf.h"

#include <pg_query.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    RUNS = 20,
    LOOPS = 2000,
    SIZES = 6
};

static const char join[] =
    "SELECT o.id, o.total, c.name, p.title FROM orders o "
    "JOIN customers c ON c.id = o.customer_id "
    "LEFT JOIN products p ON p.id = o.product_id "
    "WHERE o.customer_id = 42 AND o.status IN ('paid', 'sent') "
    "ORDER BY o.created_at DESC LIMIT 20";

static double
now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench-analyse: %s\n", what);
    exit(1);
}

static void
do_template(struct ps_arena *arena, struct ps_str text)
{
    struct ps_str template_text;
    uint64_t fingerprint;
    check(ps_sql_template(PS_DIALECT_POSTGRES, 0, text, arena, &template_text,
                          &fingerprint) == PS_OK,
          "no template");
}

static void
do_analysis(struct ps_arena *arena, struct ps_str text)
{
    struct ps_sql_analysis *a;
    check(ps_sql_analyse(PS_DIALECT_POSTGRES, 0, text, arena, &a) == PS_OK,
          "no analysis");
    check(a->reason == PS_SQL_REASON_NONE, "the statement is not understood");
}

static void
do_libpg_query(struct ps_arena *arena, struct ps_str text)
{
    (void)arena;
    PgQuerySplitResult r = pg_query_split_with_parser(text.ptr);
    check(!r.error, "libpg_query refuses the statement");
    pg_query_free_split_result(r);
}

static void
do_libpg_query_tree(struct ps_arena *arena, struct ps_str text)
{
    (void)arena;
    PgQueryProtobufParseResult r = pg_query_parse_protobuf(text.ptr);
    check(!r.error, "libpg_query refuses the statement");
    pg_query_free_protobuf_parse_result(r);
}

/* Microseconds of one call; the text ends in NUL. */
static double
measure(void (*work)(struct ps_arena *, struct ps_str), struct ps_str text,
        int loops)
{
    struct ps_arena *arena = ps_arena_new(256u << 20);
    double best = 1e18;
    check(arena != NULL, "no memory");
    for (int run = 0; run < RUNS; run++) {
        double begin = now_us();
        for (int i = 0; i < loops; i++) {
            work(arena, text);
            ps_arena_reset(arena);
        }
        best = PS_MIN(best, (now_us() - begin) / loops);
    }
    ps_arena_free(&arena);
    return best;
}

/* A statement of about this many bytes: a long list and many conditions. */
static void
long_statement(struct ps_buf *buf, size_t bytes)
{
    ps_buf_append_c(buf, "SELECT a, b FROM t WHERE c IN (1");
    for (int i = 0; buf->len < bytes / 2; i++)
        ps_buf_printf(buf, ", %d", i);
    ps_buf_append_c(buf, ")");
    for (int i = 0; buf->len < bytes; i++)
        ps_buf_printf(buf, " AND (d > %d OR e = 'x%d')", i, i);
}

int
main(void)
{
    struct ps_str text = PS_STR(join);
    double template_us = measure(do_template, text, LOOPS);
    double full_us = measure(do_analysis, text, LOOPS);
    double libpg_query_us = measure(do_libpg_query, text, LOOPS / 10);
    double tree_us = measure(do_libpg_query_tree, text, LOOPS / 10);

    printf("{\"bench\": \"analyse\", \"template_us\": %.2f, \"full_us\": %.2f, "
           "\"libpg_query_us\": %.2f, \"libpg_query_tree_us\": %.2f, "
           "\"linear\": [",
           template_us, full_us, libpg_query_us, tree_us);
    for (int i = 0; i < SIZES; i++) {
        size_t bytes = (size_t)1024 << (2 * i);
        struct ps_buf buf;
        ps_buf_init(&buf, 4u << 20);
        long_statement(&buf, bytes);
        int loops = (int)(1024 >> (2 * i));
        double us = measure(do_analysis, ps_buf_str(&buf), PS_MAX(loops, 1));
        printf("%s{\"bytes\": %zu, \"us\": %.1f, \"ns_per_byte\": %.2f}",
               i ? ", " : "", buf.len, us, us * 1000 / (double)buf.len);
        ps_buf_done(&buf);
    }
    printf("]}\n");
    return 0;
}
