/* Reads: columns, conditions, FROM, queries. */
#include "tests/tools/sql/maker_private.h"

#include <stdio.h>

/* ---- columns ---- */

/* A column that can be seen here, as a name; its kind. */
enum maker_kind
maker_put_column(struct maker *m, struct maker_text *t,
                 const struct maker_scope *s)
{
    while (s->outer && maker_roll(m, 3) == 0)
        s = s->outer;
    const struct maker_ref *ref = &s->refs[maker_roll(m, (unsigned)s->n)];
    const struct maker_column *c = &ref->table->columns[maker_roll(
        m, maker_roll(m, 2) ? 2 : (unsigned)ref->table->n_columns)];
    if (s->bare)
        maker_put(t, "%s", c->name);
    else
        maker_put(t, "%s.%s", ref->alias, c->name);
    return c->kind;
}

/* Mostly the first column of a table of this very scope. */
static enum maker_kind
put_key(struct maker *m, struct maker_text *t, const struct maker_scope *s)
{
    if (maker_roll(m, 4) == 0)
        return maker_put_column(m, t, s);
    const struct maker_ref *ref = &s->refs[maker_roll(m, (unsigned)s->n)];
    const struct maker_table *table = ref->table;
    size_t last = table->n_columns - 1;
    size_t at = maker_roll(m, 3) ? 0
                : table->columns[last].kind == MAKER_GENERATED
                    ? last
                    : maker_roll(m, 3);
    maker_put(t, "%s%s%s", s->bare ? "" : ref->alias, s->bare ? "" : ".",
              table->columns[at].name);
    return table->columns[at].kind;
}

/* = or IS NOT DISTINCT FROM another column that can be compared. */
static bool
put_equal_column(struct maker *m, struct maker_text *t,
                 const struct maker_scope *s, enum maker_kind kind)
{
    size_t before = t->len;
    for (int tries = 0; tries < 8; tries++) {
        maker_put(t, " %s ",
                  maker_roll(m, 8) ? "=" : m->traits->null_safe_equal);
        enum maker_kind other = maker_put_column(m, t, s);
        if (other == kind ||
            (maker_is_number(other) && maker_is_number(kind)) ||
            (maker_is_text(other) && maker_is_text(kind)))
            return true;
        t->len = before;
    }
    return false;
}

/* ---- conditions ---- */

static void put_query(struct maker *m, struct maker_text *t,
                      const struct maker_scope *outer, int depth, int columns);

static void
put_comparison(struct maker *m, struct maker_text *t,
               const struct maker_scope *s, int depth)
{
    bool turned = maker_roll(m, 8) == 0;
    if (turned) {
        maker_put_value(m, t, MAKER_INTEGER);
        maker_put(t, " = ");
    }
    enum maker_kind kind = maker_put_column(m, t, s);
    if (turned)
        return;
    switch (maker_roll(m, 16)) {
    case 14:
        maker_put(t, " BETWEEN ");
        maker_put_value(m, t, kind);
        maker_put(t, " AND ");
        maker_put_value(m, t, kind);
        return;
    case 0:
        maker_put(t, " IN (");
        for (unsigned n = 1 + maker_roll(m, 3); n > 0; n--) {
            maker_put_value(m, t, kind);
            maker_put(t, n > 1 ? ", " : ")");
        }
        return;
    case 1:
        maker_put(t, " IS %sNULL", maker_roll(m, 2) ? "NOT " : "");
        return;
    case 2:
        maker_put(t, " %s ", maker_roll(m, 2) ? "<" : "<>");
        maker_put_value(m, t, kind);
        return;
    case 3:
        if (put_equal_column(m, t, s, kind))
            return;
        break;
    case 4:
        if (kind == MAKER_BOOLEAN) {
            if (maker_roll(m, 2))
                maker_put(t, " IS %s", maker_roll(m, 2) ? "TRUE" : "NOT FALSE");
            return;
        }
        break;
    case 5:
        if (depth < MAKER_DEPTH && maker_is_integer(kind)) {
            bool renamed = m->traits->column_aliases;
            maker_put(t, " %sIN (%s", maker_roll(m, 4) ? "" : "NOT ",
                      renamed ? "SELECT x.c1 FROM (" : "");
            put_query(m, t, s, depth + 1, renamed ? 2 : 1);
            maker_put(t, renamed ? ") AS x(c0, c1))" : ")");
            return;
        }
        break;
    case 6:
        maker_put(t, " %s ", m->traits->null_safe_equal);
        maker_put_value(m, t, kind);
        return;
    case 7:
        maker_put(t, " NOT IN (");
        maker_put_value(m, t, kind);
        maker_put(t, ")");
        return;
    default:
        break;
    }
    maker_put(t, " = ");
    maker_put_value(m, t, kind);
}

void
maker_put_condition(struct maker *m, struct maker_text *t,
                    const struct maker_scope *s, int depth)
{
    if (depth >= MAKER_DEPTH || maker_roll(m, 2)) {
        put_comparison(m, t, s, depth);
        return;
    }
    switch (maker_roll(m, 7)) {
    case 0:
        maker_put(t, "(");
        maker_put_condition(m, t, s, depth + 1);
        maker_put(t, " OR ");
        maker_put_condition(m, t, s, depth + 1);
        maker_put(t, ")");
        return;
    case 1:
        maker_put(t, "NOT (");
        maker_put_condition(m, t, s, depth + 1);
        maker_put(t, ")");
        return;
    case 2:
        maker_put(t, "%sEXISTS (", maker_roll(m, 3) ? "" : "NOT ");
        put_query(m, t, s, depth + 1, 1);
        maker_put(t, ")");
        return;
    case 3:
        maker_put(t, "(CASE WHEN ");
        maker_put_condition(m, t, s, depth + 1);
        maker_put(t, " THEN ");
        maker_put_condition(m, t, s, depth + 1);
        maker_put(t, " ELSE %s END)", maker_roll(m, 2) ? "TRUE" : "FALSE");
        return;
    default:
        maker_put_condition(m, t, s, depth + 1);
        maker_put(t, " AND ");
        maker_put_condition(m, t, s, depth + 1);
        return;
    }
}

void
maker_put_where(struct maker *m, struct maker_text *t,
                const struct maker_scope *s, int depth)
{
    if (maker_roll(m, 8) == 0)
        return;
    maker_put(t, " WHERE ");
    /* Half of them pin rows, as applications do: key = value AND ... */
    for (unsigned n = maker_roll(m, 4); n > 1; n--) {
        enum maker_kind kind = put_key(m, t, s);
        maker_put(t, " = ");
        maker_put_value(m, t, kind);
        if (n == 2 && maker_roll(m, 2))
            return;
        maker_put(t, " AND ");
    }
    maker_put_condition(m, t, s, depth);
}

/* ---- FROM ---- */

void
maker_add_ref(struct maker *m, struct maker_scope *s,
              const struct maker_table *table, bool named)
{
    struct maker_ref *ref = &s->refs[s->n++];
    ref->table = table;
    if (named)
        snprintf(ref->alias, sizeof(ref->alias), "%s", table->name);
    else
        snprintf(ref->alias, sizeof(ref->alias), "a%u", m->aliases++);
}

/* A table, or a subquery with the columns of one. */
void
maker_put_source(struct maker *m, struct maker_text *t, struct maker_scope *s,
                 int depth)
{
    const struct maker_table *table = maker_any_table(m);
    maker_add_ref(m, s, table, false);
    const char *alias = s->refs[s->n - 1].alias;
    if (depth < MAKER_DEPTH && maker_roll(m, 6) == 0) {
        struct maker_scope inner = {.bare = true};
        maker_add_ref(m, &inner, table, true);
        maker_put(t, "(SELECT * FROM %s", table->name);
        maker_put_where(m, t, &inner, depth + 1);
        maker_put(t, ") AS %s", alias);
    } else {
        maker_put(t, "%s %s%s", table->name, maker_roll(m, 2) ? "AS " : "",
                  alias);
    }
}

static void
put_from(struct maker *m, struct maker_text *t, struct maker_scope *s,
         int depth)
{
    static const char *const joins[] = {"JOIN", "INNER JOIN", "LEFT JOIN",
                                        "RIGHT JOIN", "FULL JOIN"};
    if (maker_roll(m, 2)) {
        s->bare = s->outer == NULL && maker_roll(m, 2);
        maker_put_source(m, t, s, depth);
        return;
    }
    maker_put_source(m, t, s, depth);
    for (unsigned n = 1 + maker_roll(m, 2); n > 0; n--) {
        unsigned kind = maker_roll(m, 8);
        if (kind == 0) {
            maker_put(t, ", ");
            maker_put_source(m, t, s, depth);
        } else if (kind == 1) {
            maker_put(t, " CROSS JOIN ");
            maker_put_source(m, t, s, depth);
        } else if (kind == 2 && s->n == 1) {
            maker_put(t, " %s ",
                      joins[maker_roll(m, m->traits->full_join ? 5 : 4)]);
            maker_put_source(m, t, s, depth);
            maker_put(t, " USING (c%u)", maker_roll(m, 2));
        } else {
            /* ON may name what the join joins, nothing before a comma. */
            maker_put(t, " %s ",
                      joins[maker_roll(m, m->traits->full_join ? 5 : 4)]);
            maker_put_source(m, t, s, depth);
            maker_put(t, " ON ");
            struct maker_scope on = {.outer = s->outer, .n = 2};
            on.refs[0] = s->refs[s->n - 2];
            on.refs[1] = s->refs[s->n - 1];
            if (maker_roll(m, 3)) {
                maker_put(t, "%s.c%u = %s.c%u", on.refs[0].alias,
                          maker_roll(m, 3), on.refs[1].alias, maker_roll(m, 3));
                if (maker_roll(m, 2)) {
                    maker_put(t, " AND ");
                    maker_put_condition(m, t, &on, depth + 1);
                }
            } else {
                maker_put_condition(m, t, &on, depth + 1);
            }
        }
    }
}

/* ---- queries ---- */

void
maker_put_select(struct maker *m, struct maker_text *t,
                 const struct maker_scope *outer, int depth, int columns)
{
    struct maker_scope s = {.outer = outer};
    static struct maker_text froms[MAKER_DEPTH + 3];
    struct maker_text *from = &froms[PS_MIN(depth, MAKER_DEPTH + 2)];

    /* FROM is made first, as the targets name its columns. */
    from->len = 0;
    from->n_params = t->n_params;
    memcpy(from->params, t->params, sizeof(t->params));
    put_from(m, from, &s, depth);
    t->n_params = from->n_params;
    memcpy(t->params, from->params, sizeof(t->params));

    bool group = depth == 0 && maker_roll(m, 4) == 0;
    maker_put(t, "SELECT %s",
              !group && maker_roll(m, 6) == 0 ? "DISTINCT " : "");
    for (int i = 0; i < columns; i++) {
        maker_put(t, i ? ", " : "");
        if (group || (depth == 0 && maker_roll(m, 20) == 0)) {
            maker_put(t, "%s(", maker_roll(m, 2) ? "count" : "min");
            size_t before = t->len;
            enum maker_kind kind = maker_put_column(m, t, &s);
            if (kind == MAKER_BOOLEAN || kind == MAKER_UUID) {
                t->len = before;
                maker_put(t, "1");
            }
            maker_put(t, ")");
        } else if (columns == 2 && i == 1 && depth > 0) {
            const struct maker_ref *ref = &s.refs[maker_roll(m, (unsigned)s.n)];
            maker_put(t, "%s%s", s.bare ? "" : ref->alias,
                      s.bare ? "c1" : ".c1");
        } else if (depth == 0 && maker_roll(m, 10) == 0) {
            /* Its parameters would come before those of FROM. */
            m->no_params = true;
            maker_put(t, "(");
            put_query(m, t, &s, 1, 1);
            maker_put(t, " LIMIT 0)");
            m->no_params = false;
        } else {
            maker_put_column(m, t, &s);
        }
        if (depth == 0)
            maker_put(t, " AS o%d", i);
    }
    maker_put(t, " FROM %s", from->sql);
    maker_put_where(m, t, &s, depth);
    if (group && maker_roll(m, 3) == 0) {
        maker_put(t, " HAVING count(*) > %u", maker_roll(m, 3));
    }
}

static void
put_query(struct maker *m, struct maker_text *t,
          const struct maker_scope *outer, int depth, int columns)
{
    maker_put_select(m, t, outer, depth, columns);
    if (depth > 0 && maker_roll(m, 6) == 0)
        maker_put(t, " OFFSET 0");
}

/* Equal numbers of different types: what holds for one column is said of
 * another through the join. */
static void
put_mixed_join(struct maker *m, struct maker_text *t)
{
    const struct maker_table *a = maker_any_table(m), *b = maker_any_table(m);
    const struct maker_column *x = maker_column_of(a, MAKER_FLOAT);
    maker_put(
        t, "SELECT count(*) FROM %s x JOIN %s y ON x.%s = y.%s WHERE x.%s = ",
        a->name, b->name, x->name, maker_column_of(b, MAKER_BIGINT)->name,
        x->name);
    maker_put_value(m, t, maker_roll(m, 2) ? MAKER_BIGINT : x->kind);
}

/* The rows that a generated column tells apart. */
static void
put_generated(struct maker *m, struct maker_text *t)
{
    const struct maker_table *table = maker_any_table(m);
    maker_put(t, "SELECT * FROM %s WHERE %s = %u", table->name,
              maker_column_of(table, MAKER_GENERATED)->name,
              1 + maker_roll(m, 4));
}

void
maker_read(struct maker *m, struct maker_text *t)
{
    maker_begin(m, t);
    int columns = 1 + (int)maker_roll(m, 3);
    unsigned kind = maker_roll(m, 16);
    if (maker_roll(m, 4) == 0 && m->traits->own_read(m, t))
        return;
    if (kind == 0) {
        const struct maker_table *table = maker_any_table(m);
        struct maker_scope inner = {.bare = true};
        maker_add_ref(m, &inner, table, true);
        maker_put(t, "WITH w AS (SELECT * FROM %s", table->name);
        maker_put_where(m, t, &inner, 1);
        maker_put(t, ") SELECT count(*), w.c0 FROM w");
        struct maker_scope outer = {.n = 1};
        snprintf(outer.refs[0].alias, sizeof(outer.refs[0].alias), "w");
        outer.refs[0].table = table;
        maker_put_where(m, t, &outer, 1);
        maker_put(t, " GROUP BY w.c0");
        return;
    }
    if (kind == 1) {
        struct maker_scope s = {.bare = true};
        maker_add_ref(m, &s, maker_any_table(m), true);
        maker_put(
            t,
            "SELECT c0, c1, row_number() OVER (PARTITION BY c0 ORDER BY c1) "
            "FROM %s",
            s.refs[0].table->name);
        maker_put_where(m, t, &s, 1);
        return;
    }
    if (kind == 4) {
        put_mixed_join(m, t);
        return;
    }
    if (kind == 5) {
        put_generated(m, t);
        return;
    }
    maker_put_select(m, t, NULL, 0, columns);
    if (kind == 2) {
        maker_put(t, " UNION%s ", maker_roll(m, 2) ? " ALL" : "");
        maker_put_select(m, t, NULL, 0, columns);
    } else if (kind == 3) {
        maker_put(t, " ORDER BY");
        for (int i = 1; i <= columns; i++)
            maker_put(t, "%s %d", i > 1 ? "," : "", i);
        maker_put(t, " LIMIT %u", 1 + maker_roll(m, 3));
    }
}
