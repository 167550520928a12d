/*
 * Which rows of a table a statement sees or changes, in digests of values
 * (agent/cache/change.h): what the text says of columns (agent/sql/disjoint.h)
 * and the types of columns, put together.
 *
 * Only of tables that stand for themselves (PS_REL_TABLE): a partition's row is
 * also its parent's. Triggers that could change a row further make a write one
 * of the whole database before it comes to this.
 */
#include "agent/catalog/catalog_private.h"

enum {
    /* More values tell rows apart no better than none: see
     * agent/cache/columns.c. */
    VALUES_MAX = 32,
    COLUMNS_MAX = 16, /* that a write tells */
    PINS_MAX = 4      /* that a read may choose from */
};

static const struct ps_catalog_column *
find_column(const struct ps_catalog *catalog,
            const struct ps_catalog_relation *r, struct ps_str name)
{
    for (size_t i = r->first_column; i < r->first_column + r->n_columns; i++) {
        if (ps_str_eq(catalog->columns[i].name, name))
            return &catalog->columns[i];
    }
    return NULL;
}

static enum ps_sql_column_type
type_of(const struct ps_catalog *catalog, const struct ps_catalog_relation *r,
        struct ps_str name)
{
    const struct ps_catalog_column *column = find_column(catalog, r, name);
    return column ? column->type : PS_SQL_COLUMN_OTHER;
}

/* Does the column get the values that the text says, and no others? */
static bool
gets_what_is_said(const struct ps_catalog_column *column,
                  const struct ps_sql_relation *write,
                  const struct ps_sql_bindings *bindings)
{
    struct ps_sql_row_values values;
    if (!column || !column->bends || write->delete_only)
        return column != NULL;
    for (size_t i = 0; i < write->n_after; i++) {
        const struct ps_sql_predicate *p = &write->after[i];
        if (!ps_str_eq(p->column, column->name))
            continue;
        /* NULL is not among them. */
        if (!ps_sql_read_values(p, column->type, bindings, &values) ||
            values.n != p->n_values)
            return false;
        for (size_t k = 0; k < values.n; k++) {
            int64_t v = values.at[k].integer;
            if (v < column->min || v > column->max ||
                (v == 0 && column->counts))
                return false;
        }
    }
    return true;
}

static uint16_t
digest_of(const struct ps_sql_row_value *value)
{
    switch (value->type) {
    case PS_SQL_COLUMN_INT:
        return ps_row_digest_int(value->integer);
    case PS_SQL_COLUMN_UUID:
        return ps_row_digest_uuid(value->uuid);
    default:
        return ps_row_digest_bool(value->integer != 0);
    }
}

static bool
holds(const uint16_t *digests, size_t n, uint16_t digest)
{
    for (size_t i = 0; i < n; i++)
        if (digests[i] == digest)
            return true;
    return false;
}

/* False without memory. */
static bool
put_column(struct ps_arena *arena, struct ps_str name,
           const struct ps_sql_row_values *values, struct ps_row_column *out)
{
    uint16_t *digests =
        ps_arena_alloc(arena, (values->n + 1) * sizeof(*digests));
    if (!digests)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < values->n; i++) {
        digests[n] = digest_of(&values->at[i]);
        if (!holds(digests, n, digests[n]))
            n++;
    }
    *out = (struct ps_row_column){
        .name = ps_arena_str(arena, name), .values = digests, .n_values = n};
    return !ps_arena_failed(arena);
}

/* How many rows it leaves, roughly: a boolean tells little. */
static size_t
vagueness(const struct ps_sql_row_values *values, enum ps_sql_column_type type)
{
    return values->n + (type == PS_SQL_COLUMN_BOOL ? VALUES_MAX : 0);
}

/* A place among the columns, the least vague ones first; n if there is none. */
static size_t
make_place(struct ps_row_column *columns, size_t *vague, size_t n, size_t how)
{
    size_t at = n;
    while (at > 0 && vague[at - 1] > how)
        at--;
    for (size_t i = PS_MIN(n, (size_t)PINS_MAX - 1); i > at; i--) {
        columns[i] = columns[i - 1];
        vague[i] = vague[i - 1];
    }
    return at;
}

bool
ps_catalog_pinned_rows(const struct ps_catalog *catalog,
                       const struct ps_catalog_relation *r,
                       const struct ps_sql_relation *read,
                       const struct ps_sql_bindings *bindings,
                       struct ps_arena *arena, struct ps_row_set *out)
{
    struct ps_sql_row_values values;
    size_t vague[PINS_MAX], n = 0;
    struct ps_row_column *columns =
        ps_arena_alloc(arena, PINS_MAX * sizeof(*columns));
    if (!columns || !(r->flags & PS_REL_TABLE))
        return false;
    for (size_t i = 0; i < read->n_predicates; i++) {
        const struct ps_sql_predicate *p = &read->predicates[i];
        enum ps_sql_column_type type = type_of(catalog, r, p->column);
        if (!ps_sql_read_values(p, type, bindings, &values) ||
            values.n > VALUES_MAX)
            continue;
        size_t how = vagueness(&values, type);
        size_t at = make_place(columns, vague, n, how);
        if (at == PINS_MAX)
            continue;
        if (!put_column(arena, p->column, &values, &columns[at]))
            return false;
        vague[at] = how;
        n = PS_MIN(n + 1, (size_t)PINS_MAX);
    }
    /* A boolean is not worth a choice. */
    while (n > 1 && vague[n - 1] >= VALUES_MAX)
        n--;
    *out = (struct ps_row_set){.columns = columns, .n_columns = n};
    return n > 0;
}

bool
ps_catalog_changed_rows(const struct ps_catalog *catalog,
                        const struct ps_catalog_relation *r,
                        const struct ps_sql_relation *write,
                        const struct ps_sql_bindings *bindings,
                        struct ps_arena *arena, struct ps_row_set *out)
{
    struct ps_sql_row_values values;
    /* An inserted row is told by what it gets, any other by what it had. */
    const struct ps_sql_predicate *list =
        write->insert_only ? write->after : write->before;
    size_t n = write->insert_only ? write->n_after : write->n_before;
    if (!(r->flags & PS_REL_TABLE) || !write->rows_known ||
        (write->use & PS_SQL_REL_DDL))
        return false;
    struct ps_row_column *columns =
        ps_arena_alloc(arena, COLUMNS_MAX * sizeof(*columns));
    size_t n_columns = 0;
    for (size_t i = 0; columns && i < n && n_columns < COLUMNS_MAX; i++) {
        struct ps_str name = list[i].column;
        enum ps_sql_column_type type = type_of(catalog, r, name);
        if (ps_sql_written_values(write, name, type, bindings, &values) &&
            values.n <= VALUES_MAX &&
            gets_what_is_said(find_column(catalog, r, name), write, bindings) &&
            put_column(arena, name, &values, &columns[n_columns]))
            n_columns++;
    }
    *out = (struct ps_row_set){.columns = columns, .n_columns = n_columns};
    return n_columns > 0 && !ps_arena_failed(arena);
}
