/*
 * How many of the answers that a write makes the cache drop had really
 * changed? On a mix like TPC-C's (tpcc.c), on a real PostgreSQL, with the
 * agent's own parts: analysis, catalogue, stamps; once with stamps of tables
 * only and once with those of rows.
 *
 *   bench-precision CONNINFO ENTRIES TRANSACTIONS
 *
 * ENTRIES different answers are kept. After each transaction every one of them
 * is asked for again: that tells which had changed. What a side dropped is
 * kept anew at once, as if somebody had asked for it before the next write.
 * An answer that changed and was not dropped is an error, on both sides.
 * Prints one line of JSON: dropped and changed of the sides, the shares.
 */
#include "agent/catalog/catalog_private.h"
#include "tests/bench/tpcc.h"

#include <libpq-fe.h>

#include <stdio.h>
#include <stdlib.h>

enum {
    ENTRIES_MAX = 5000,
    CHANGES_MAX = 64, /* statements of a transaction */
    NUMBER_BYTES = 24
};

enum {
    TABLES,
    ROWS,
    SIDES
};

struct side {
    const char *name;
    struct ps_space *space;
    unsigned long dropped, dropped_changed, missed;
};

struct entry {
    struct tpcc_statement statement;
    uint64_t answer;
    struct ps_snapshot kept[SIDES];
};

static PGconn *db;
static struct ps_spaces *spaces;
static struct ps_catalog *catalog;
static struct side sides[SIDES] = {{.name = "tables"}, {.name = "rows"}};
/* What the transaction under way has changed, in its arena. */
static struct ps_arena *arena;
static struct ps_change changes[CHANGES_MAX];
static size_t n_changes;

static void __attribute__((noreturn)) fail(const char *what, const char *why)
{
    fprintf(stderr, "bench-precision: %s: %s\n", what, why);
    exit(1);
}

static PGresult *
ask(const struct tpcc_statement *s)
{
    char text[TPCC_VALUES][NUMBER_BYTES];
    const char *values[TPCC_VALUES];
    for (size_t i = 0; i < s->n; i++) {
        snprintf(text[i], sizeof(text[i]), "%ld", s->values[i]);
        values[i] = text[i];
    }
    PGresult *r =
        PQexecParams(db, s->sql, (int)s->n, NULL, values, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fail(s->sql, PQresultErrorMessage(r));
    return r;
}

static void
script(const char *sql)
{
    PGresult *r = PQexec(db, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK &&
        PQresultStatus(r) != PGRES_TUPLES_OK)
        fail("script", PQresultErrorMessage(r));
    PQclear(r);
}

static uint64_t
answer_of(const struct tpcc_statement *s)
{
    PGresult *r = ask(s);
    uint64_t hash = 14695981039346656037u;
    for (int row = 0; row < PQntuples(r); row++)
        for (int i = 0; i < PQnfields(r); i++) {
            const char *at = PQgetvalue(r, row, i);
            for (; *at; at++)
                hash = (hash ^ (unsigned char)*at) * 1099511628211u;
            hash = (hash ^ 256u) * 1099511628211u;
        }
    PQclear(r);
    return hash;
}

/* ---- the agent's parts ---- */

static void
load_catalog(void)
{
    struct ps_str query = ps_catalog_pg_query();
    struct ps_catalog_builder *builder =
        ps_catalog_builder_new(PS_DIALECT_POSTGRES);
    char *sql = strndup(query.ptr, query.len);
    PGresult *r = sql ? PQexec(db, sql) : NULL;

    if (!builder || !sql || PQresultStatus(r) != PGRES_TUPLES_OK ||
        PQnfields(r) != PS_CATALOG_CELLS)
        fail("catalogue", PQerrorMessage(db));
    for (int row = 0; row < PQntuples(r); row++) {
        struct ps_cell cells[PS_CATALOG_CELLS] = {
            {NULL, 0}
        };
        for (int i = 0; i < PS_CATALOG_CELLS; i++)
            if (!PQgetisnull(r, row, i))
                cells[i] = (struct ps_cell){PQgetvalue(r, row, i),
                                            (size_t)PQgetlength(r, row, i)};
        if (ps_catalog_builder_row(builder, cells) != PS_OK)
            fail("catalogue", "a row");
    }
    if (ps_catalog_builder_finish(builder, 1, &catalog) != PS_OK)
        fail("catalogue", "build");
    PQclear(r);
    free(sql);
}

/* The analysis of a statement and what is bound to it. */
static struct ps_catalog_text
text_of(const struct tpcc_statement *s)
{
    struct ps_sql_analysis *a;
    struct ps_sql_value *values =
        ps_arena_zalloc(arena, (s->n + 1) * sizeof(*values));
    struct ps_sql_bindings *bindings =
        ps_arena_zalloc(arena, sizeof(*bindings));

    if (!values || !bindings ||
        ps_sql_analyse(PS_DIALECT_POSTGRES, 0, ps_str_of(s->sql), arena, &a) !=
            PS_OK)
        fail(s->sql, "no memory");
    for (size_t i = 0; i < s->n; i++)
        values[i] = (struct ps_sql_value){
            .kind = PS_SQL_VALUE_INT, .integer = s->values[i], .index = -1};
    *bindings = (struct ps_sql_bindings){values, s->n};
    return (struct ps_catalog_text){.analysis = a, .bindings = bindings};
}

static void
keep(const struct tpcc_statement *s, int side, struct ps_snapshot *out)
{
    struct ps_catalog_text text = text_of(s);
    struct ps_catalog_tables set;
    const char *reason;
    struct ps_space *space = sides[side].space;

    if (!ps_catalog_read_set(catalog, &text, arena, &set, &reason))
        fail(s->sql, reason);
    if (ps_snapshot_take(space, ps_space_catalog_gen(space), set.tables, set.n,
                         side == ROWS ? set.rows : NULL, out) != PS_SNAPSHOT_OK)
        fail(s->sql, "no snapshot");
}

static long
run_within(const struct tpcc_statement *s)
{
    struct ps_catalog_text text = text_of(s);
    PGresult *r = ask(s);
    const char *first = PQntuples(r) ? PQgetvalue(r, 0, 0) : "0";
    long value = strtol(first, NULL, 10);

    PQclear(r);
    if (n_changes == CHANGES_MAX)
        fail(s->sql, "too many statements");
    if (ps_catalog_write_set(catalog, &text, arena, &changes[n_changes]))
        n_changes++;
    return value;
}

/* What it changed is told at its end, as the agent does at COMMIT. */
static void
transaction(struct tpcc *t)
{
    ps_arena_reset(arena);
    n_changes = 0;
    script("BEGIN");
    tpcc_transaction(t);
    script("COMMIT");
    for (size_t i = 0; i < n_changes; i++)
        for (int side = 0; side < SIDES; side++) {
            struct ps_change change = changes[i];
            change.cache_id = ps_space_cache_id(sides[side].space);
            change.database = ps_space_database(sides[side].space);
            if (side == TABLES)
                change.rows = NULL;
            ps_spaces_apply(spaces, &change);
        }
}

/* ---- the figures ---- */

static void
judge(struct entry *e)
{
    bool valid[SIDES];
    for (int i = 0; i < SIDES; i++) {
        valid[i] = ps_snapshot_valid(&e->kept[i]);
        if (!valid[i])
            keep(&e->statement, i, &e->kept[i]);
    }
    uint64_t answer = answer_of(&e->statement);
    bool changed = answer != e->answer;
    e->answer = answer;
    for (int i = 0; i < SIDES; i++) {
        sides[i].dropped += !valid[i];
        sides[i].dropped_changed += !valid[i] && changed;
        sides[i].missed += valid[i] && changed;
        if (valid[i] && changed)
            fprintf(stderr, "bench-precision: kept too long (%s): %s\n",
                    sides[i].name, e->statement.sql);
    }
}

static bool
same(const struct tpcc_statement *a, const struct tpcc_statement *b)
{
    return a->sql == b->sql &&
           memcmp(a->values, b->values, sizeof(a->values)) == 0;
}

static void
make_entries(struct tpcc *t, struct entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t other = 0, tries = 0;
        do {
            tpcc_read(t, &entries[i].statement);
            for (other = 0; other < i; other++)
                if (same(&entries[other].statement, &entries[i].statement))
                    break;
        } while (other < i && tries++ < 1000);
        for (int side = 0; side < SIDES; side++)
            keep(&entries[i].statement, side, &entries[i].kept[side]);
        entries[i].answer = answer_of(&entries[i].statement);
        ps_arena_reset(arena);
    }
}

static double
share(unsigned long part, unsigned long of)
{
    return of ? 100.0 * (double)part / (double)of : 0;
}

int
main(int argc, char **argv)
{
    if (argc != 4)
        fail("usage", "bench-precision CONNINFO ENTRIES TRANSACTIONS");
    size_t n = PS_MIN(strtoul(argv[2], NULL, 10), (size_t)ENTRIES_MAX);
    unsigned long transactions = strtoul(argv[3], NULL, 10);
    struct entry *entries = calloc(n, sizeof(*entries));
    struct tpcc mix = {.random = 88172645463325252u, .run = run_within};

    arena = ps_arena_new(64u << 20);
    spaces = ps_spaces_new(16, UINT64_MAX);
    db = PQconnectdb(argv[1]);
    if (!entries || !arena || !spaces || PQstatus(db) != CONNECTION_OK)
        fail("start", PQerrorMessage(db));
    for (int i = 0; i < SIDES; i++)
        sides[i].space =
            ps_space_get(spaces, ps_str_of(sides[i].name), PS_STR("app"));
    script(tpcc_setup);
    load_catalog();
    make_entries(&mix, entries, n);
    for (unsigned long i = 0; i < transactions; i++) {
        transaction(&mix);
        for (size_t k = 0; k < n; k++)
            judge(&entries[k]);
    }
    const struct side *t = &sides[TABLES], *r = &sides[ROWS];
    printf(
        "{\"bench\": \"precision\", \"entries\": %zu, \"transactions\": %lu, "
        "\"table_invalidated\": %lu, \"table_changed\": %lu, "
        "\"table_share_percent\": %.1f, \"row_invalidated\": %lu, "
        "\"row_changed\": %lu, \"row_share_percent\": %.1f, "
        "\"kept_too_long\": %lu}\n",
        n, transactions, t->dropped, t->dropped_changed,
        share(t->dropped_changed, t->dropped), r->dropped, r->dropped_changed,
        share(r->dropped_changed, r->dropped), t->missed + r->missed);
    unsigned long missed = t->missed + r->missed;
    ps_catalog_unref(&catalog);
    for (int i = 0; i < SIDES; i++)
        ps_space_unref(&sides[i].space);
    ps_spaces_free(&spaces);
    ps_arena_free(&arena);
    PQfinish(db);
    free(entries);
    return missed ? 1 : 0;
}
