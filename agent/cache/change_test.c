/* A copy of a change says the same, and needs nothing of the original. */
#include "agent/cache/change.h"
#include "tests/unit.h"

#include <stdlib.h>

/* Makes the change in memory that is overwritten and freed at once. */
static struct ps_change *
copy_of_something_short_lived(void)
{
    char *text = strdup("cache"
                        "app"
                        "public"
                        "items"
                        "id"
                        "grp");
    uint16_t *values = malloc(3 * sizeof(*values));
    assert_non_null(text);
    assert_non_null(values);
    values[0] = 7;
    values[1] = 8;
    values[2] = 65535;
    const struct ps_row_column columns[] = {
        {.name = {text + 19, 2}, .values = values,     .n_values = 2},
        {.name = {text + 21, 3}, .values = values + 2, .n_values = 1}
    };
    const struct ps_table_name tables[] = {
        {{text + 8, 6}, {text + 14, 5}},
        {{NULL, 0},     {text + 14, 5}}
    };
    const struct ps_row_set rows[] = {
        {.columns = columns, .n_columns = 2},
        {.n_columns = 0                 }
    };
    const struct ps_change change = {
        .cache_id = {text,     5},
        .database = {text + 5, 3},
        .tables = tables,
        .n_tables = 2,
        .rows = rows,
        .catalog = true
    };
    struct ps_change *copy = ps_change_copy(&change);
    memset(text, 'x', 24);
    memset(values, 0, 3 * sizeof(*values));
    free(text);
    free(values);
    return copy;
}

static void
all_is_copied(void **state)
{
    (void)state;
    struct ps_change *copy = copy_of_something_short_lived();
    assert_non_null(copy);
    assert_true(ps_str_eq(copy->cache_id, PS_STR("cache")));
    assert_true(ps_str_eq(copy->database, PS_STR("app")));
    assert_true(copy->catalog);
    assert_int_equal(copy->n_tables, 2);
    assert_true(ps_str_eq(copy->tables[0].schema, PS_STR("public")));
    assert_true(ps_str_eq(copy->tables[1].name, PS_STR("items")));
    assert_int_equal(copy->rows[0].n_columns, 2);
    const struct ps_row_column *id = &copy->rows[0].columns[0];
    const struct ps_row_column *grp = &copy->rows[0].columns[1];
    assert_true(ps_str_eq(id->name, PS_STR("id")));
    assert_true(ps_str_eq(grp->name, PS_STR("grp")));
    assert_int_equal(id->n_values, 2);
    assert_int_equal(id->values[1], 8);
    assert_int_equal(grp->values[0], 65535);
    assert_int_equal(copy->rows[1].n_columns, 0);
    free(copy);
}

static void
what_is_absent_stays_absent(void **state)
{
    (void)state;
    const struct ps_change everything = {.n_tables = 0};
    struct ps_change *copy = ps_change_copy(&everything);
    assert_non_null(copy);
    assert_null(copy->cache_id.ptr);
    assert_null(copy->database.ptr);
    assert_null(copy->tables);
    assert_null(copy->rows);
    free(copy);
    /* An empty name of a database is not every database. */
    const struct ps_change empty = {.database = PS_STR("")};
    copy = ps_change_copy(&empty);
    assert_non_null(copy);
    assert_non_null(copy->database.ptr);
    free(copy);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_copied),
        cmocka_unit_test(what_is_absent_stays_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
