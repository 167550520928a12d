/*
 * Row predicates against a real server: random tables, reads and writes.
 * Whenever a write changed a read's answer, the analysis and the rule of
 * disjoint.h must have said that it may.
 *
 *   sql-semantic SERVER [PAIRS [SEED]]      SERVER: postgres, mariadb
 *
 * A world is a few small tables with few different values, so that rows often
 * match. Each of its reads is run once; then each write runs in a transaction,
 * all reads run again, and the transaction is rolled back. Answers are compared
 * as multisets of rows. Prints each miss and, at the end, how many pairs there
 * were and how often the rule was precise: said "no" when nothing had changed.
 * PS_SEMANTIC_VERBOSE: prints what the server refuses, too.
 */
#include "tests/tools/sql/provider.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    READS = 40,
    WRITES = 25
};

struct statement {
    struct maker_text text;
    struct ps_sql_analysis *analysis;
    struct ps_sql_value values[MAKER_PARAMS];
    uint64_t answer;
};

struct totals {
    unsigned long worlds, pairs, changed, misses;
    /* Of the pairs where nothing changed: the rule said no; of these, pairs
     * where read and write name the same table. */
    unsigned long same, said_no, same_table, same_table_said_no;
    unsigned long refused, uncacheable;
};

static const struct provider *const providers[] = {&provider_pg, &provider_my};
static const struct provider *server;

void
provider_die(const char *what, const char *why)
{
    fprintf(stderr, "sql-semantic: %s: %s\n", what, why);
    exit(2);
}

static uint64_t
hash_bytes(uint64_t hash, const char *bytes)
{
    for (; *bytes; bytes++)
        hash = (hash ^ (unsigned char)*bytes) * 1099511628211u;
    return (hash ^ 0xff) * 1099511628211u;
}

uint64_t
provider_hash_row(const char *const *values, size_t n)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < n; i++)
        hash = hash_bytes(hash, values[i] ? values[i] : "\x01");
    return hash ^ hash >> 29;
}

static void
analyse(struct statement *s, struct ps_arena *arena)
{
    if (ps_sql_analyse(server->dialect, 0, ps_str_of(s->text.sql), arena,
                       &s->analysis) != PS_OK)
        provider_die("analyse", "no memory");
    for (size_t i = 0; i < s->text.n_params; i++)
        s->values[i] =
            (struct ps_sql_value){.kind = PS_SQL_VALUE_STRING,
                                  .text = ps_str_of(s->text.params[i]),
                                  .index = -1};
}

/* ---- what the rule says ---- */

static enum ps_sql_column_type
type_of(void *arg, struct ps_str column)
{
    const struct maker_table *table = arg;
    for (size_t i = 0; i < table->n_columns; i++)
        if (ps_str_eq(column, ps_str_of(table->columns[i].name)))
            return server->traits->kinds[table->columns[i].kind].told;
    return PS_SQL_COLUMN_OTHER;
}

static bool
says_may_change(const struct maker *m, const struct statement *read,
                const struct statement *write, bool *same_table)
{
    const struct ps_sql_analysis *r = read->analysis, *w = write->analysis;
    struct ps_sql_bindings rb = {read->values, read->text.n_params};
    struct ps_sql_bindings wb = {write->values, write->text.n_params};
    bool may = w->writes_all;

    *same_table = w->writes_all;
    for (size_t i = 0; i < w->n_relations; i++) {
        if (!(w->relations[i].use & (PS_SQL_REL_WRITE | PS_SQL_REL_DDL)))
            continue;
        for (size_t k = 0; k < r->n_relations; k++) {
            if (!ps_str_eq(r->relations[k].name, w->relations[i].name))
                continue;
            const struct maker_table *table =
                maker_find(m, r->relations[k].name);
            *same_table = true;
            may = may || !table ||
                  ps_sql_may_change(&r->relations[k], &rb, &w->relations[i],
                                    &wb, type_of, (void *)(uintptr_t)table);
        }
    }
    return may;
}

static void
print_statement(const char *what, const struct maker_text *t)
{
    printf("%s: %s", what, t->sql);
    for (size_t i = 0; i < t->n_params; i++)
        printf(" [$%zu = %s]", i + 1, t->params[i]);
    printf("\n");
}

static void
judge(const struct maker *m, const struct statement *read,
      const struct statement *write, bool changed, struct totals *t)
{
    bool same_table, may = says_may_change(m, read, write, &same_table);

    t->pairs++;
    t->changed += changed;
    if (!changed) {
        t->same++;
        t->said_no += !may;
        t->same_table += same_table;
        t->same_table_said_no += same_table && !may;
    } else if (!may) {
        t->misses++;
        print_statement("MISS read ", &read->text);
        print_statement("     write", &write->text);
        printf("%s", m->setup);
    }
}

/* ---- a world ---- */

/* Reads whose answer may be kept; how many. */
static size_t
make_reads(struct maker *m, struct statement *reads, struct ps_arena *arena,
           struct totals *t)
{
    size_t n = 0;
    for (int i = 0; n < READS && i < 2 * READS; i++) {
        maker_read(m, &reads[n].text);
        if (!server->execute(&reads[n].text, &reads[n].answer)) {
            t->refused++;
            continue;
        }
        analyse(&reads[n], arena);
        if (reads[n].analysis->reason == PS_SQL_REASON_NONE)
            n++;
        else
            t->uncacheable++;
    }
    return n;
}

static void
try_world(uint64_t seed, struct totals *t)
{
    static struct statement reads[READS], write;
    static struct maker m;
    struct ps_arena *arena = ps_arena_new(64u << 20);

    maker_init(&m, server->traits, seed);
    server->run(m.setup);
    size_t n = make_reads(&m, reads, arena, t);
    for (int i = 0; i < WRITES; i++) {
        uint64_t answer;
        maker_write(&m, &write.text);
        server->run("BEGIN");
        if (!server->execute(&write.text, &answer)) {
            t->refused++;
            server->run("ROLLBACK");
            continue;
        }
        analyse(&write, arena);
        for (size_t k = 0; k < n; k++) {
            if (!server->execute(&reads[k].text, &answer))
                provider_die(reads[k].text.sql, "it worked before");
            judge(&m, &reads[k], &write, answer != reads[k].answer, t);
        }
        server->run("ROLLBACK");
    }
    t->worlds++;
    ps_arena_free(&arena);
}

static double
share(unsigned long part, unsigned long of)
{
    return of ? 100.0 * (double)part / (double)of : 0;
}

int
main(int argc, char **argv)
{
    unsigned long pairs = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    struct totals t = {0};

    for (size_t i = 0; argc > 1 && i < PS_ARRAY_LEN(providers); i++)
        if (strcmp(providers[i]->name, argv[1]) == 0)
            server = providers[i];
    if (!server) {
        fprintf(stderr, "usage: sql-semantic SERVER [PAIRS [SEED]]\n");
        return 2;
    }
    server->open();
    while (t.pairs < pairs && t.misses < 10)
        try_world(seed++, &t);
    server->close();
    printf("{\"test\": \"semantic\", \"server\": \"%s\", \"pairs\": %lu, "
           "\"worlds\": %lu, \"changed\": %lu, \"misses\": %lu, "
           "\"precise_percent\": %.1f, \"precise_same_table_percent\": %.1f, "
           "\"refused\": %lu, \"uncacheable\": %lu}\n",
           server->name, t.pairs, t.worlds, t.changed, t.misses,
           share(t.said_no, t.same), share(t.same_table_said_no, t.same_table),
           t.refused, t.uncacheable);
    return t.misses || t.changed * 50 < t.pairs ? 1 : 0;
}
