#include "tests/tools/sql/statement_maker.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    MAX_REFS = 6,
    MAX_DEPTH = 3
};

/* A table as it is called in a statement. */
struct ref {
    char alias[24];
    const struct maker_table *table;
};
struct scope {
    const struct scope *outer;
    struct ref refs[MAX_REFS];
    size_t n;
    bool bare; /* one table: its columns go without qualifier */
};

static unsigned
roll(struct maker *m, unsigned n)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (unsigned)((m->random >> 20) % n);
}

PS_PRINTF(2, 3)
static void
put(struct maker_text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->sql + t->len, sizeof(t->sql) - t->len, fmt, ap);
    va_end(ap);
    t->len = PS_MIN(t->len + (size_t)n, sizeof(t->sql) - 1);
}

/* ---- values ---- */

static const char *const uuids[] = {
    "6f1de1d0-0000-4000-8000-000000000001",
    "6f1de1d0-0000-4000-8000-000000000002",
    "6f1de1d0-0000-4000-8000-000000000003",
};

static bool
is_integer(enum maker_kind kind)
{
    return kind == MAKER_SMALLINT || kind == MAKER_INTEGER ||
           kind == MAKER_BIGINT || kind == MAKER_GENERATED;
}

static bool
is_number(enum maker_kind kind)
{
    return is_integer(kind) || kind == MAKER_NUMERIC || kind == MAKER_FLOAT;
}

/* As the server would print it, no quotes: for parameters. */
static void
plain_value(struct maker *m, enum maker_kind kind, char *out, size_t size)
{
    switch (kind) {
    case MAKER_UUID:
        snprintf(out, size, "%s", uuids[roll(m, PS_ARRAY_LEN(uuids))]);
        break;
    case MAKER_BOOLEAN:
        snprintf(out, size, "%s", roll(m, 2) ? "true" : "f");
        break;
    case MAKER_TEXT:
        snprintf(out, size, "%c", "abAB1"[roll(m, 5)]);
        break;
    case MAKER_NUMERIC:
    case MAKER_FLOAT:
        if (kind == MAKER_FLOAT && roll(m, 4) == 0)
            snprintf(out, size, "9007199254740992");
        else
            snprintf(out, size, roll(m, 6) ? "%u" : "%u.5", roll(m, 4));
        break;
    default:
        if (kind == MAKER_BIGINT && roll(m, 4) == 0)
            snprintf(out, size, "900719925474099%u", 1 + roll(m, 4));
        else
            snprintf(out, size, roll(m, 8) ? "%u" : " 0%u", roll(m, 4));
        break;
    }
}

static void
put_value(struct maker *m, struct maker_text *t, enum maker_kind kind)
{
    char text[48];
    plain_value(m, kind, text, sizeof(text));
    if (t->n_params < MAKER_PARAMS && roll(m, 5) == 0) {
        snprintf(t->params[t->n_params], sizeof(t->params[0]), "%s", text);
        put(t, "$%zu", ++t->n_params);
        return;
    }
    if (roll(m, 25) == 0) {
        put(t, "NULL");
        return;
    }
    if (is_number(kind)) {
        static const char *const forms[] = {
            "%s",   "%s",      "%s",           "%s",   "'%s'",
            "%s.0", "%s::int", "'%s'::bigint", "(%s)", "+%s"};
        bool big = text[0] == '9';
        const char *form = forms[roll(m, PS_ARRAY_LEN(forms))];
        if (big && strstr(form, "int"))
            form = "%s";
        char value[64];
        const char *hole = strstr(form, "%s");
        snprintf(value, sizeof(value), "%.*s%s%s", (int)(hole - form), form,
                 text, hole + 2);
        put(t, "%s", value);
        return;
    }
    if (kind == MAKER_BOOLEAN && roll(m, 3))
        put(t, "%s", text[0] == 't' ? "TRUE" : "FALSE");
    else
        put(t, "'%s'%s", text,
            kind == MAKER_UUID && roll(m, 3) == 0 ? "::uuid" : "");
}

/* ---- tables ---- */

static const char *const type_names[] = {"smallint", "integer", "bigint",
                                         "uuid",     "boolean", "numeric",
                                         "float8",   "text"};

static void
make_table(struct maker *m, struct maker_table *table, size_t index,
           struct maker_text *t)
{
    snprintf(table->name, sizeof(table->name), "t%zu", index);
    table->n_columns = 4 + roll(m, MAKER_COLUMNS - 3);
    put(t, "DROP TABLE IF EXISTS %s; CREATE TABLE %s (", table->name,
        table->name);
    for (size_t i = 0; i < table->n_columns; i++) {
        struct maker_column *c = &table->columns[i];
        snprintf(c->name, sizeof(c->name), "c%zu", i);
        c->kind = i == 0   ? MAKER_INTEGER
                  : i == 1 ? (roll(m, 2) ? MAKER_INTEGER : MAKER_BIGINT)
                  : i == 2 && roll(m, 2) ? MAKER_FLOAT
                                         : (enum maker_kind)roll(m, 8);
        if (i > 1 && i + 1 == table->n_columns && roll(m, 2)) {
            c->kind = MAKER_GENERATED;
            put(t, ", %s integer GENERATED ALWAYS AS (c0 + 1) STORED", c->name);
        } else {
            put(t, "%s%s %s", i ? ", " : "", c->name, type_names[c->kind]);
        }
    }
    put(t, "); ");
    if (roll(m, 3) == 0)
        put(t, "CREATE UNIQUE INDEX ON %s (c0, c1); ", table->name);
    for (unsigned row = 8 + roll(m, 8); row > 0; row--) {
        put(t, "INSERT INTO %s VALUES (", table->name);
        for (size_t i = 0; i < table->n_columns; i++) {
            char value[48];
            if (table->columns[i].kind == MAKER_GENERATED)
                continue;
            plain_value(m, table->columns[i].kind, value, sizeof(value));
            if (roll(m, 10) == 0)
                put(t, "%sNULL", i ? ", " : "");
            else
                put(t, "%s'%s'", i ? ", " : "", value);
        }
        put(t, ") ON CONFLICT DO NOTHING; ");
    }
}

void
maker_init(struct maker *m, uint64_t seed)
{
    static struct maker_text t;
    m->random = seed * 0x9e3779b97f4a7c15u + 1;
    m->aliases = 0;
    for (int i = 0; i < 8; i++)
        roll(m, 2);
    m->setup[0] = '\0';
    for (size_t i = 0; i < MAKER_TABLES; i++) {
        t.len = 0;
        make_table(m, &m->tables[i], i, &t);
        size_t used = strlen(m->setup);
        snprintf(m->setup + used, sizeof(m->setup) - used, "%s\n", t.sql);
    }
}

const struct maker_table *
maker_find(const struct maker *m, struct ps_str name)
{
    for (size_t i = 0; i < MAKER_TABLES; i++)
        if (ps_str_eq(name, ps_str_of(m->tables[i].name)))
            return &m->tables[i];
    return NULL;
}

static const struct maker_table *
any_table(struct maker *m)
{
    return &m->tables[roll(m, MAKER_TABLES)];
}

/* ---- columns ---- */

/* A column that can be seen here, as a name; its kind. */
static enum maker_kind
put_column(struct maker *m, struct maker_text *t, const struct scope *s)
{
    while (s->outer && roll(m, 3) == 0)
        s = s->outer;
    const struct ref *ref = &s->refs[roll(m, (unsigned)s->n)];
    const struct maker_column *c = &ref->table->columns[roll(
        m, roll(m, 2) ? 2 : (unsigned)ref->table->n_columns)];
    if (s->bare)
        put(t, "%s", c->name);
    else
        put(t, "%s.%s", ref->alias, c->name);
    return c->kind;
}

/* Mostly the first column of a table of this very scope. */
static enum maker_kind
put_key(struct maker *m, struct maker_text *t, const struct scope *s)
{
    if (roll(m, 4) == 0)
        return put_column(m, t, s);
    const struct ref *ref = &s->refs[roll(m, (unsigned)s->n)];
    const struct maker_table *table = ref->table;
    size_t last = table->n_columns - 1;
    size_t at = roll(m, 3)                                     ? 0
                : table->columns[last].kind == MAKER_GENERATED ? last
                                                               : roll(m, 3);
    put(t, "%s%s%s", s->bare ? "" : ref->alias, s->bare ? "" : ".",
        table->columns[at].name);
    return table->columns[at].kind;
}

/* = or IS NOT DISTINCT FROM another column that can be compared. */
static bool
put_equal_column(struct maker *m, struct maker_text *t, const struct scope *s,
                 enum maker_kind kind)
{
    size_t before = t->len;
    for (int tries = 0; tries < 8; tries++) {
        put(t, " %s ", roll(m, 8) ? "=" : "IS NOT DISTINCT FROM");
        enum maker_kind other = put_column(m, t, s);
        if (other == kind || (is_number(other) && is_number(kind)))
            return true;
        t->len = before;
    }
    return false;
}

/* ---- conditions ---- */

static void put_query(struct maker *m, struct maker_text *t,
                      const struct scope *outer, int depth, int columns);
static void put_condition(struct maker *m, struct maker_text *t,
                          const struct scope *s, int depth);

static void
put_comparison(struct maker *m, struct maker_text *t, const struct scope *s,
               int depth)
{
    bool turned = roll(m, 8) == 0;
    if (turned) {
        put_value(m, t, MAKER_INTEGER);
        put(t, " = ");
    }
    enum maker_kind kind = put_column(m, t, s);
    if (turned)
        return;
    switch (roll(m, 14)) {
    case 0:
        put(t, " IN (");
        for (unsigned n = 1 + roll(m, 3); n > 0; n--) {
            put_value(m, t, kind);
            put(t, n > 1 ? ", " : ")");
        }
        return;
    case 1:
        put(t, " IS %sNULL", roll(m, 2) ? "NOT " : "");
        return;
    case 2:
        put(t, " %s ", roll(m, 2) ? "<" : "<>");
        put_value(m, t, kind);
        return;
    case 3:
        if (put_equal_column(m, t, s, kind))
            return;
        break;
    case 4:
        if (kind == MAKER_BOOLEAN) {
            if (roll(m, 2))
                put(t, " IS %s", roll(m, 2) ? "TRUE" : "NOT FALSE");
            return;
        }
        break;
    case 5:
        if (depth < MAX_DEPTH && is_integer(kind)) {
            put(t, " %sIN (SELECT x.c1 FROM (", roll(m, 4) ? "" : "NOT ");
            put_query(m, t, s, depth + 1, 2);
            put(t, ") AS x(c0, c1))");
            return;
        }
        break;
    case 6:
        put(t, " IS NOT DISTINCT FROM ");
        put_value(m, t, kind);
        return;
    case 7:
        put(t, " NOT IN (");
        put_value(m, t, kind);
        put(t, ")");
        return;
    default:
        break;
    }
    put(t, " = ");
    put_value(m, t, kind);
}

static void
put_condition(struct maker *m, struct maker_text *t, const struct scope *s,
              int depth)
{
    if (depth >= MAX_DEPTH || roll(m, 2)) {
        put_comparison(m, t, s, depth);
        return;
    }
    switch (roll(m, 7)) {
    case 0:
        put(t, "(");
        put_condition(m, t, s, depth + 1);
        put(t, " OR ");
        put_condition(m, t, s, depth + 1);
        put(t, ")");
        return;
    case 1:
        put(t, "NOT (");
        put_condition(m, t, s, depth + 1);
        put(t, ")");
        return;
    case 2:
        put(t, "%sEXISTS (", roll(m, 3) ? "" : "NOT ");
        put_query(m, t, s, depth + 1, 1);
        put(t, ")");
        return;
    case 3:
        put(t, "(CASE WHEN ");
        put_condition(m, t, s, depth + 1);
        put(t, " THEN ");
        put_condition(m, t, s, depth + 1);
        put(t, " ELSE %s END)", roll(m, 2) ? "TRUE" : "FALSE");
        return;
    default:
        put_condition(m, t, s, depth + 1);
        put(t, " AND ");
        put_condition(m, t, s, depth + 1);
        return;
    }
}

static void
put_where(struct maker *m, struct maker_text *t, const struct scope *s,
          int depth)
{
    if (roll(m, 8) == 0)
        return;
    put(t, " WHERE ");
    /* Half of them pin rows, as applications do: key = value AND ... */
    for (unsigned n = roll(m, 4); n > 1; n--) {
        enum maker_kind kind = put_key(m, t, s);
        put(t, " = ");
        put_value(m, t, kind);
        if (n == 2 && roll(m, 2))
            return;
        put(t, " AND ");
    }
    put_condition(m, t, s, depth);
}

/* ---- FROM ---- */

static void
add_ref(struct maker *m, struct scope *s, const struct maker_table *table,
        bool named)
{
    struct ref *ref = &s->refs[s->n++];
    ref->table = table;
    if (named)
        snprintf(ref->alias, sizeof(ref->alias), "%s", table->name);
    else
        snprintf(ref->alias, sizeof(ref->alias), "a%u", m->aliases++);
}

/* A table, or a subquery with the columns of one. */
static void
put_source(struct maker *m, struct maker_text *t, struct scope *s, int depth)
{
    const struct maker_table *table = any_table(m);
    add_ref(m, s, table, false);
    const char *alias = s->refs[s->n - 1].alias;
    if (depth < MAX_DEPTH && roll(m, 6) == 0) {
        struct scope inner = {.bare = true};
        add_ref(m, &inner, table, true);
        put(t, "(SELECT * FROM %s", table->name);
        put_where(m, t, &inner, depth + 1);
        put(t, ") AS %s", alias);
    } else {
        put(t, "%s %s%s", table->name, roll(m, 2) ? "AS " : "", alias);
    }
}

static void
put_from(struct maker *m, struct maker_text *t, struct scope *s, int depth)
{
    static const char *const joins[] = {"JOIN", "INNER JOIN", "LEFT JOIN",
                                        "RIGHT JOIN", "FULL JOIN"};
    if (roll(m, 2)) {
        s->bare = s->outer == NULL && roll(m, 2);
        put_source(m, t, s, depth);
        return;
    }
    put_source(m, t, s, depth);
    for (unsigned n = 1 + roll(m, 2); n > 0; n--) {
        unsigned kind = roll(m, 8);
        if (kind == 0) {
            put(t, ", ");
            put_source(m, t, s, depth);
        } else if (kind == 1) {
            put(t, " CROSS JOIN ");
            put_source(m, t, s, depth);
        } else if (kind == 2 && s->n == 1) {
            put(t, " %s ", joins[roll(m, 5)]);
            put_source(m, t, s, depth);
            put(t, " USING (c%u)", roll(m, 2));
        } else {
            /* ON may name what the join joins, nothing before a comma. */
            put(t, " %s ", joins[roll(m, 5)]);
            put_source(m, t, s, depth);
            put(t, " ON ");
            struct scope on = {.outer = s->outer, .n = 2};
            on.refs[0] = s->refs[s->n - 2];
            on.refs[1] = s->refs[s->n - 1];
            if (roll(m, 3)) {
                put(t, "%s.c%u = %s.c%u", on.refs[0].alias, roll(m, 3),
                    on.refs[1].alias, roll(m, 3));
                if (roll(m, 2)) {
                    put(t, " AND ");
                    put_condition(m, t, &on, depth + 1);
                }
            } else {
                put_condition(m, t, &on, depth + 1);
            }
        }
    }
}

/* ---- queries ---- */

static void
put_select(struct maker *m, struct maker_text *t, const struct scope *outer,
           int depth, int columns)
{
    struct scope s = {.outer = outer};
    static struct maker_text froms[MAX_DEPTH + 3];
    struct maker_text *from = &froms[PS_MIN(depth, MAX_DEPTH + 2)];

    /* FROM is made first, as the targets name its columns. */
    from->len = 0;
    from->n_params = t->n_params;
    memcpy(from->params, t->params, sizeof(t->params));
    put_from(m, from, &s, depth);
    t->n_params = from->n_params;
    memcpy(t->params, from->params, sizeof(t->params));

    bool group = depth == 0 && roll(m, 4) == 0;
    put(t, "SELECT %s", !group && roll(m, 6) == 0 ? "DISTINCT " : "");
    for (int i = 0; i < columns; i++) {
        put(t, i ? ", " : "");
        if (group || (depth == 0 && roll(m, 20) == 0)) {
            put(t, "%s(", roll(m, 2) ? "count" : "min");
            size_t before = t->len;
            enum maker_kind kind = put_column(m, t, &s);
            if (kind == MAKER_BOOLEAN || kind == MAKER_UUID) {
                t->len = before;
                put(t, "1");
            }
            put(t, ")");
        } else if (columns == 2 && i == 1 && depth > 0) {
            const struct ref *ref = &s.refs[roll(m, (unsigned)s.n)];
            put(t, "%s%s", s.bare ? "" : ref->alias, s.bare ? "c1" : ".c1");
        } else {
            put_column(m, t, &s);
        }
        if (depth == 0)
            put(t, " AS o%d", i);
    }
    put(t, " FROM %s", from->sql);
    put_where(m, t, &s, depth);
    if (group && roll(m, 3) == 0) {
        put(t, " HAVING count(*) > %u", roll(m, 3));
    }
}

static void
put_query(struct maker *m, struct maker_text *t, const struct scope *outer,
          int depth, int columns)
{
    put_select(m, t, outer, depth, columns);
    if (depth > 0 && roll(m, 6) == 0)
        put(t, " OFFSET 0");
}

static void
begin(struct maker *m, struct maker_text *t)
{
    t->len = t->n_params = 0;
    t->sql[0] = '\0';
    m->aliases = 0;
}

/* A column of this kind, or the first one. */
static const struct maker_column *
column_of(const struct maker_table *table, enum maker_kind kind)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (table->columns[i].kind == kind)
            return &table->columns[i];
    return &table->columns[0];
}

/* Equal numbers of different types: what holds for one column is said of
 * another through the join. */
static void
put_mixed_join(struct maker *m, struct maker_text *t)
{
    const struct maker_table *a = any_table(m), *b = any_table(m);
    const struct maker_column *x = column_of(a, MAKER_FLOAT);
    put(t, "SELECT count(*) FROM %s x JOIN %s y ON x.%s = y.%s WHERE x.%s = ",
        a->name, b->name, x->name, column_of(b, MAKER_BIGINT)->name, x->name);
    put_value(m, t, roll(m, 2) ? MAKER_BIGINT : x->kind);
}

/* The rows that a generated column tells apart. */
static void
put_generated(struct maker *m, struct maker_text *t, bool write)
{
    const struct maker_table *table = any_table(m);
    const char *name = column_of(table, MAKER_GENERATED)->name;
    if (write)
        put(t, "UPDATE %s SET c0 = %u WHERE %s = %u", table->name, roll(m, 4),
            name, 1 + roll(m, 4));
    else
        put(t, "SELECT * FROM %s WHERE %s = %u", table->name, name,
            1 + roll(m, 4));
}

void
maker_read(struct maker *m, struct maker_text *t)
{
    begin(m, t);
    int columns = 1 + (int)roll(m, 3);
    unsigned kind = roll(m, 16);
    if (kind == 0) {
        const struct maker_table *table = any_table(m);
        struct scope inner = {.bare = true};
        add_ref(m, &inner, table, true);
        put(t, "WITH w AS (SELECT * FROM %s", table->name);
        put_where(m, t, &inner, 1);
        put(t, ") SELECT count(*), w.c0 FROM w");
        struct scope outer = {.n = 1};
        snprintf(outer.refs[0].alias, sizeof(outer.refs[0].alias), "w");
        outer.refs[0].table = table;
        put_where(m, t, &outer, 1);
        put(t, " GROUP BY w.c0");
        return;
    }
    if (kind == 1) {
        struct scope s = {.bare = true};
        add_ref(m, &s, any_table(m), true);
        put(t,
            "SELECT c0, c1, row_number() OVER (PARTITION BY c0 ORDER BY c1) "
            "FROM %s",
            s.refs[0].table->name);
        put_where(m, t, &s, 1);
        return;
    }
    if (kind == 4) {
        put_mixed_join(m, t);
        return;
    }
    if (kind == 5) {
        put_generated(m, t, false);
        return;
    }
    put_select(m, t, NULL, 0, columns);
    if (kind == 2) {
        put(t, " UNION%s ", roll(m, 2) ? " ALL" : "");
        put_select(m, t, NULL, 0, columns);
    } else if (kind == 3) {
        put(t, " ORDER BY");
        for (int i = 1; i <= columns; i++)
            put(t, "%s %d", i > 1 ? "," : "", i);
        put(t, " LIMIT %u", 1 + roll(m, 3));
    }
}

/* ---- writes ---- */

static void
put_written_value(struct maker *m, struct maker_text *t, enum maker_kind kind)
{
    if (roll(m, 12) == 0)
        put(t, "DEFAULT");
    else
        put_value(m, t, kind);
}

static void
make_insert(struct maker *m, struct maker_text *t)
{
    const struct maker_table *table = any_table(m);
    size_t n = table->n_columns, skip = roll(m, 2) ? roll(m, (unsigned)n) : n;
    bool comma = false;

    put(t, "INSERT INTO %s (", table->name);
    for (size_t i = 0; i < n; i++) {
        if (i == skip || table->columns[i].kind == MAKER_GENERATED)
            continue;
        put(t, "%s%s", comma ? ", " : "", table->columns[i].name);
        comma = true;
    }
    put(t, ") VALUES ");
    for (unsigned rows = 1 + roll(m, 2); rows > 0; rows--) {
        put(t, "(");
        comma = false;
        for (size_t i = 0; i < n; i++) {
            if (i == skip || table->columns[i].kind == MAKER_GENERATED)
                continue;
            put(t, comma ? ", " : "");
            put_written_value(m, t, table->columns[i].kind);
            comma = true;
        }
        put(t, rows > 1 ? "), " : ")");
    }
    if (roll(m, 4) == 0)
        put(t, roll(m, 2)
                   ? " ON CONFLICT DO NOTHING"
                   : " ON CONFLICT (c0, c1) DO UPDATE SET c0 = 1, c1 = 2");
}

static void
put_assignments(struct maker *m, struct maker_text *t,
                const struct maker_table *table)
{
    put(t, " SET ");
    if (roll(m, 12) == 0) {
        put(t, "(c0, c1) = (1, %u)", roll(m, 4));
        return;
    }
    for (unsigned n = 1 + roll(m, 2), at = roll(m, 2); n > 0; n--, at++) {
        const struct maker_column *c =
            &table->columns[(at + roll(m, 2) * 2) % table->n_columns];
        if (c->kind == MAKER_GENERATED)
            c = &table->columns[0];
        put(t, "%s = ", c->name);
        if (is_integer(c->kind) && roll(m, 5) == 0)
            put(t, "(%s + 1) %% 4", c->name);
        else if (is_integer(c->kind) && roll(m, 8) == 0)
            put(t, "CASE WHEN c1 = 1 THEN 2 ELSE 3 END");
        else
            put_written_value(m, t, c->kind);
        if (n > 1)
            put(t, ", ");
    }
}

static void
make_update(struct maker *m, struct maker_text *t)
{
    const struct maker_table *table = any_table(m);
    struct scope s = {.n = 0};
    bool from = roll(m, 4) == 0;

    add_ref(m, &s, table, !from && roll(m, 2));
    s.bare = !from && roll(m, 2);
    put(t, "UPDATE %s%s%s", table->name,
        strcmp(s.refs[0].alias, table->name) ? " AS " : "",
        strcmp(s.refs[0].alias, table->name) ? s.refs[0].alias : "");
    if (from) {
        put(t, " SET c0 = ");
        put_value(m, t, MAKER_INTEGER);
        put(t, " FROM ");
        put_source(m, t, &s, 1);
        put(t, " WHERE %s.c%u = %s.c%u", s.refs[0].alias, roll(m, 2),
            s.refs[1].alias, roll(m, 2));
        put(t, " AND ");
        put_condition(m, t, &s, 1);
        return;
    }
    put_assignments(m, t, table);
    put_where(m, t, &s, 1);
}

static void
make_delete(struct maker *m, struct maker_text *t)
{
    const struct maker_table *table = any_table(m);
    struct scope s = {.n = 0};
    bool using = roll(m, 4) == 0;

    add_ref(m, &s, table, true);
    s.bare = !using && roll(m, 2);
    put(t, "DELETE FROM %s", table->name);
    if (using) {
        put(t, " USING ");
        put_source(m, t, &s, 1);
    }
    put_where(m, t, &s, 1);
}

void
maker_write(struct maker *m, struct maker_text *t)
{
    begin(m, t);
    switch (roll(m, 18)) {
    case 16:
        put_generated(m, t, true);
        return;
    case 0:
        put(t, "INSERT INTO %s (c0, c1) ", any_table(m)->name);
        put_select(m, t, NULL, 1, 2);
        return;
    case 1:
        put(t,
            "MERGE INTO t0 USING t1 ON t0.c0 = t1.c0 WHEN MATCHED AND "
            "t1.c1 = %u THEN %s WHEN NOT MATCHED THEN INSERT (c0, c1) "
            "VALUES (t1.c0, 3)",
            roll(m, 4), roll(m, 2) ? "UPDATE SET c1 = 2" : "DELETE");
        return;
    case 2:
        put(t,
            "WITH d AS (DELETE FROM t0 WHERE c0 = %u RETURNING c0, c1) "
            "INSERT INTO t1 (c0, c1) SELECT * FROM d",
            roll(m, 4));
        return;
    case 3:
        put(t, "TRUNCATE %s", any_table(m)->name);
        return;
    case 4:
    case 5:
    case 6:
    case 7:
        make_insert(m, t);
        return;
    case 8:
    case 9:
    case 10:
        make_delete(m, t);
        return;
    default:
        make_update(m, t);
        return;
    }
}
