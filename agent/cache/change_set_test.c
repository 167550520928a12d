/* A transaction's changes, added up. */
#include "agent/cache/change_set.h"
#include "agent/cache/spaces.h"
#include "tests/unit.h"

#include <stdio.h>

static const uint16_t values[] = {7, 9};
static const struct ps_row_column column = {
    .name = {"id", 2},
      .values = values, .n_values = 2
};
static const struct ps_row_set rows[] = {
    {.columns = &column, .n_columns = 1}
};

static struct ps_change
change_of(const struct ps_table_name *table, const struct ps_row_set *set)
{
    return (struct ps_change){.cache_id = PS_STR("c"),
                              .database = PS_STR("d"),
                              .tables = table,
                              .rows = set,
                              .n_tables = table ? 1 : 0};
}

static void
adds_tables_and_rows(void **state)
{
    (void)state;
    struct ps_change_set set;
    char name[] = "items";
    struct ps_table_name table = {
        {"public", 6},
        {name,     5}
    };
    struct ps_change change = change_of(&table, rows);
    ps_change_set_init(&set);
    assert_false(set.any);
    ps_change_set_add(&set, &change, 3);
    name[0] = 'x'; /* the copy stays */
    change = change_of(&table, NULL);
    ps_change_set_add(&set, &change, 3);
    assert_true(set.any && !set.whole && set.catalog_gen == 3);
    assert_int_equal(set.change.n_tables, 2);
    assert_true(ps_str_eq(set.change.tables[0].name, PS_STR("items")));
    assert_true(ps_str_eq(set.change.tables[1].name, PS_STR("xtems")));
    assert_int_equal(set.change.rows[0].n_columns, 1);
    assert_int_equal(set.change.rows[0].columns[0].values[1], 9);
    assert_int_equal(set.change.rows[1].n_columns, 0);
    assert_true(ps_str_eq(set.change.database, PS_STR("d")));
    ps_change_set_clear(&set);
    assert_false(set.any);
    assert_int_equal(set.change.n_tables, 0);
    ps_change_set_done(&set);
}

static void
doubt_is_the_whole_database(void **state)
{
    (void)state;
    struct ps_change_set set;
    struct ps_table_name table = {
        {"public", 6},
        {"t",      1}
    };
    struct ps_change change = change_of(&table, rows);
    struct ps_change all = change_of(NULL, NULL);
    ps_change_set_init(&set);
    ps_change_set_add(&set, &change, 3);
    ps_change_set_add(&set, &all, 3);
    assert_true(set.whole);
    assert_int_equal(set.change.n_tables, 0);
    ps_change_set_add(&set, &change, 3);
    assert_int_equal(set.change.n_tables, 0);
    ps_change_set_clear(&set);
    ps_change_set_add(&set, &change, 3);
    ps_change_set_add(&set, &change, 4); /* the structure moved */
    assert_true(set.whole);
    ps_change_set_clear(&set);
    change.database = PS_STR_NONE;
    change.catalog = true;
    ps_change_set_add(&set, &change, 3);
    assert_null(set.change.database.ptr);
    assert_true(set.change.catalog);
    ps_change_set_done(&set);
}

static void
bounds(void **state)
{
    (void)state;
    struct ps_change_set set;
    ps_change_set_init(&set);
    for (int i = 0; i <= PS_SPACE_MAX_TABLES; i++) {
        char name[16];
        struct ps_str text = {name,
                              (size_t)snprintf(name, sizeof(name), "t%d", i)};
        struct ps_table_name table = {.schema = PS_STR(""), .name = text};
        struct ps_change change = change_of(&table, NULL);
        assert_false(set.whole);
        ps_change_set_add(&set, &change, 1);
    }
    assert_true(set.whole);
    ps_change_set_done(&set);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_tables_and_rows),
        cmocka_unit_test(doubt_is_the_whole_database),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
