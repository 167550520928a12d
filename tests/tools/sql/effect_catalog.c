/* What the agent's catalogue makes of a statement and a table (effect.h). */
#include "agent/catalog/catalog_private.h"
#include "tests/tools/sql/effect.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ARENA_BYTES = 64 << 20
};

/* NULL: it cannot be read now. */
static struct ps_catalog *
load(MYSQL *watcher)
{
    struct ps_str query = ps_catalog_my_query();
    struct ps_catalog_builder *b = ps_catalog_builder_new(PS_DIALECT_MYSQL);
    struct ps_catalog *catalog = NULL;
    MYSQL_ROW row;

    if (!b)
        ps_effect_die("catalogue", "no memory");
    MYSQL_RES *r = ps_effect_try(watcher, query.ptr);
    if (!r) {
        ps_catalog_builder_free(&b);
        return NULL;
    }
    while ((row = mysql_fetch_row(r))) {
        struct ps_cell cells[PS_CATALOG_CELLS];
        unsigned long *lengths = mysql_fetch_lengths(r);
        for (size_t i = 0; i < PS_CATALOG_CELLS; i++)
            cells[i] = (struct ps_cell){.ptr = row[i], .len = lengths[i]};
        if (ps_catalog_builder_row(b, cells) != PS_OK)
            ps_effect_die("catalogue", "a row is not understood");
    }
    mysql_free_result(r);
    if (ps_catalog_builder_finish(b, 1, &catalog) != PS_OK)
        ps_effect_die("catalogue", "cannot be built");
    ps_catalog_builder_free(&b);
    return catalog;
}

static bool
names(const struct ps_change *change, const struct ps_effect_table *t)
{
    for (size_t i = 0; i < change->n_tables; i++) {
        if (ps_str_eq(change->tables[i].schema, ps_str_of(t->schema)) &&
            ps_str_eq(change->tables[i].name, ps_str_of(t->name)))
            return true;
    }
    return false;
}

/* Whether the answer of the plainest read of the table may be kept. */
static bool
may_be_kept(const struct ps_catalog *catalog, struct ps_arena *arena,
            const struct ps_effect_table *t)
{
    char sql[4 * PS_EFFECT_NAME_BYTES + 64];
    struct ps_sql_analysis *a;
    struct ps_catalog_tables set;
    const char *reason = NULL;

    if (strchr(t->schema, '`') || strchr(t->name, '`'))
        return true; /* nobody writes it here */
    snprintf(sql, sizeof(sql), "SELECT * FROM `%s`.`%s`", t->schema, t->name);
    if (ps_sql_analyse(PS_DIALECT_MYSQL, 0, ps_str_of(sql), arena, &a) != PS_OK)
        ps_effect_die(sql, "no memory");
    return ps_catalog_read_set(catalog,
                               &(struct ps_catalog_text){.analysis = a}, arena,
                               &set, &reason);
}

enum ps_effect_verdict
ps_effect_judge(MYSQL *watcher, const struct ps_sql_analysis *a,
                const char *database, const struct ps_effect_table *changed)
{
    struct ps_catalog *catalog = load(watcher);
    struct ps_arena *arena = ps_arena_new(ARENA_BYTES);
    const struct ps_catalog_text text = {.analysis = a,
                                         .database = ps_str_of(database)};
    struct ps_change change = {0};
    enum ps_effect_verdict verdict = PS_EFFECT_MISSED;

    if (!arena)
        ps_effect_die("catalogue", "no memory");
    if (!catalog) {
        ps_arena_free(&arena);
        return PS_EFFECT_UNSEEN;
    }
    bool writes = ps_catalog_write_set(catalog, &text, arena, &change);
    if (writes && change.n_tables == 0)
        verdict = PS_EFFECT_ANYTHING;
    else if (writes && names(&change, changed))
        verdict = PS_EFFECT_NAMED;
    else if (!may_be_kept(catalog, arena, changed))
        verdict = PS_EFFECT_NOT_KEPT;
    ps_arena_free(&arena);
    ps_catalog_unref(&catalog);
    return verdict;
}
