/* What of SQL Server's catalogue can be tried without one. */
#include "agent/catalog/catalog_private.h"
#include "tests/unit.h"

static void
a_views_query_is_behind_its_as(void **state)
{
    static const struct {
        const char *definition, *query;
    } cases[] = {
        {"create view v as select 1 as a",                                  " select 1 as a"},
        {"CREATE OR ALTER VIEW [dbo].[as]\r\nAS\r\nSELECT a FROM t",
         "\r\nSELECT a FROM t"                                                              },
        {"create view \"x as y\" (as_, b) with schemabinding as(select 1)",
         "(select 1)"                                                                       },
        {"create /* as /* as */ as */ view v -- as\n as select 2",          " select 2"     },
        {"create view [a]] as b] as select 'x as'",                         " select 'x as'"},
        {"create view v",                                                   ""              },
        {"create view [as",                                                 ""              },
        {"/* as",                                                           ""              },
        {"",                                                                ""              },
    };
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        struct ps_str got = ps_catalog_ts_view(ps_str_of(cases[i].definition));
        if (!ps_str_eq(got, ps_str_of(cases[i].query)))
            fail_msg("%s: %.*s", cases[i].definition, PS_STR_ARG(got));
    }
}

static void
add_row(struct ps_catalog_builder *builder, const char *const row[6])
{
    struct ps_cell cells[PS_CATALOG_CELLS];
    for (size_t i = 0; i < PS_CATALOG_CELLS; i++)
        cells[i] = (struct ps_cell){row[i], row[i] ? strlen(row[i]) : 0};
    assert_int_equal(ps_catalog_builder_row(builder, cells), PS_OK);
}

static struct ps_catalog *
make_catalog(enum ps_dialect dialect)
{
    static const char *const rows[][PS_CATALOG_CELLS] = {
        {"r", "10", "x",  "dbo",  "Items", "p" },
        {"r", "11", "x",  "dbo",  "Kids",  "pW"},
        {"r", "12", "x",  "Shop", "items", "p" },
        {"e", "10", "11", NULL,   NULL,    "k" },
    };
    struct ps_catalog_builder *builder = ps_catalog_builder_new(dialect);
    struct ps_catalog *catalog = NULL;
    for (size_t i = 0; i < PS_ARRAY_LEN(rows); i++)
        add_row(builder, rows[i]);
    assert_int_equal(ps_catalog_builder_finish(builder, 1, &catalog), PS_OK);
    ps_catalog_builder_free(&builder);
    return catalog;
}

/* The tables that a read of one relation depends on; -1: not known. */
static int
tables_of(struct ps_catalog *catalog, struct ps_sql_relation relation)
{
    struct ps_arena *arena = ps_arena_new(1 << 20);
    const struct ps_sql_analysis analysis = {.cls = PS_SQL_READ,
                                             .relations = &relation,
                                             .n_relations = 1,
                                             .template_text = PS_STR("select")};
    const struct ps_catalog_text text = {.analysis = &analysis};
    struct ps_catalog_tables set;
    const char *reason = NULL;
    int n = -1;
    relation.use = PS_SQL_REL_READ;
    if (ps_catalog_read_set(catalog, &text, arena, &set, &reason))
        n = (int)set.n;
    else
        assert_string_equal(reason, "unknown_relation");
    ps_arena_free(&arena);
    return n;
}

static void
names_do_not_tell_case(void **state)
{
    (void)state;
    struct ps_catalog *c = make_catalog(PS_DIALECT_TSQL);
    assert_int_equal(
        tables_of(c, (struct ps_sql_relation){.name = PS_STR("ITEMS")}), 2);
    assert_int_equal(
        tables_of(c, (struct ps_sql_relation){.schema = PS_STR("SHOP"),
                                              .name = PS_STR("Items")}),
        1);
    assert_int_equal(
        tables_of(c, (struct ps_sql_relation){.name = PS_STR("item")}), -1);
    /* Another database's table of the same name. */
    assert_int_equal(
        tables_of(c, (struct ps_sql_relation){.database = PS_STR("other"),
                                              .schema = PS_STR("dbo"),
                                              .name = PS_STR("Items")}),
        -1);
    ps_catalog_unref(&c);
    c = make_catalog(PS_DIALECT_POSTGRES);
    assert_int_equal(
        tables_of(c, (struct ps_sql_relation){.name = PS_STR("Items")}), 1);
    ps_catalog_unref(&c);
}

static void
only_some_servers_have_one(void **state)
{
    (void)state;
    assert_int_equal(ps_catalog_origin_find(PS_PROVIDER_MSSQL)->dialect,
                     PS_DIALECT_TSQL);
    assert_int_equal(ps_catalog_origin_find(PS_PROVIDER_POSTGRES)->dialect,
                     PS_DIALECT_POSTGRES);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_views_query_is_behind_its_as),
        cmocka_unit_test(names_do_not_tell_case),
        cmocka_unit_test(only_some_servers_have_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
