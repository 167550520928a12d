/* Writes. */
#include "tests/tools/sql/maker_private.h"

/* ---- writes ---- */

static void
put_written_value(struct maker *m, struct maker_text *t, enum maker_kind kind)
{
    if (maker_roll(m, 12) == 0)
        maker_put(t, "DEFAULT");
    else
        maker_put_value(m, t, kind);
}

static void
make_insert(struct maker *m, struct maker_text *t)
{
    const struct maker_table *table = maker_any_table(m);
    size_t n = table->n_columns,
           skip = maker_roll(m, 2) ? maker_roll(m, (unsigned)n) : n;
    bool comma = false;

    maker_put(t, "INSERT INTO %s (", table->name);
    for (size_t i = 0; i < n; i++) {
        if (i == skip || table->columns[i].kind == MAKER_GENERATED)
            continue;
        maker_put(t, "%s%s", comma ? ", " : "", table->columns[i].name);
        comma = true;
    }
    maker_put(t, ") VALUES ");
    for (unsigned rows = 1 + maker_roll(m, 2); rows > 0; rows--) {
        maker_put(t, "(");
        comma = false;
        for (size_t i = 0; i < n; i++) {
            if (i == skip || table->columns[i].kind == MAKER_GENERATED)
                continue;
            maker_put(t, comma ? ", " : "");
            put_written_value(m, t, table->columns[i].kind);
            comma = true;
        }
        maker_put(t, rows > 1 ? "), " : ")");
    }
    if (maker_roll(m, 4) == 0)
        m->traits->put_conflict(m, t, table);
}

static void
put_assignments(struct maker *m, struct maker_text *t,
                const struct maker_table *table)
{
    maker_put(t, " SET ");
    if (maker_roll(m, 12) == 0) {
        maker_put(t, "(c0, c1) = (1, %u)", maker_roll(m, 4));
        return;
    }
    for (unsigned n = 1 + maker_roll(m, 2), at = maker_roll(m, 2); n > 0;
         n--, at++) {
        const struct maker_column *c =
            &table->columns[(at + maker_roll(m, 2) * 2) % table->n_columns];
        if (c->kind == MAKER_GENERATED)
            c = &table->columns[0];
        maker_put(t, "%s = ", c->name);
        if (maker_is_integer(c->kind) && maker_roll(m, 5) == 0)
            maker_put(t, "(%s + 1) %% 4", c->name);
        else if (maker_is_integer(c->kind) && maker_roll(m, 8) == 0)
            maker_put(t, "CASE WHEN c1 = 1 THEN 2 ELSE 3 END");
        else
            put_written_value(m, t, c->kind);
        if (n > 1)
            maker_put(t, ", ");
    }
}

static void
make_update(struct maker *m, struct maker_text *t)
{
    const struct maker_table *table = maker_any_table(m);
    struct maker_scope s = {.n = 0};
    bool from = maker_roll(m, 4) == 0;

    maker_add_ref(m, &s, table, !from && maker_roll(m, 2));
    s.bare = !from && maker_roll(m, 2);
    maker_put(t, "UPDATE %s%s%s", table->name,
              strcmp(s.refs[0].alias, table->name) ? " AS " : "",
              strcmp(s.refs[0].alias, table->name) ? s.refs[0].alias : "");
    if (from) {
        maker_put(t, " SET c0 = ");
        maker_put_value(m, t, MAKER_INTEGER);
        maker_put(t, " FROM ");
        maker_put_source(m, t, &s, 1);
        maker_put(t, " WHERE %s.c%u = %s.c%u", s.refs[0].alias,
                  maker_roll(m, 2), s.refs[1].alias, maker_roll(m, 2));
        maker_put(t, " AND ");
        maker_put_condition(m, t, &s, 1);
        return;
    }
    put_assignments(m, t, table);
    maker_put_where(m, t, &s, 1);
}

static void
make_delete(struct maker *m, struct maker_text *t)
{
    const struct maker_table *table = maker_any_table(m);
    struct maker_scope s = {.n = 0};
    bool using = maker_roll(m, 4) == 0;

    maker_add_ref(m, &s, table, true);
    s.bare = !using && maker_roll(m, 2);
    maker_put(t, "DELETE FROM %s", table->name);
    if (using) {
        maker_put(t, " USING ");
        maker_put_source(m, t, &s, 1);
    }
    maker_put_where(m, t, &s, 1);
}

/* Through a column that the statement changes without naming it. */
static void
make_generated(struct maker *m, struct maker_text *t)
{
    const struct maker_table *table = maker_any_table(m);
    maker_put(t, "UPDATE %s SET c0 = %u WHERE %s = %u", table->name,
              maker_roll(m, 4), maker_column_of(table, MAKER_GENERATED)->name,
              1 + maker_roll(m, 4));
}

void
maker_write(struct maker *m, struct maker_text *t)
{
    maker_begin(m, t);
    unsigned kind = maker_roll(m, 18);
    if (kind < 4 && m->traits->own_write(m, t))
        return;
    if (kind == 0) {
        maker_put(t, "INSERT INTO %s (c0, c1) ", maker_any_table(m)->name);
        maker_put_select(m, t, NULL, 1, 2);
    } else if (kind == 1) {
        make_generated(m, t);
    } else if (kind < 8) {
        make_insert(m, t);
    } else if (kind < 11) {
        make_delete(m, t);
    } else {
        make_update(m, t);
    }
}
