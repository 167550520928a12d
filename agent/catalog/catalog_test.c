#include "agent/catalog/catalog_private.h"
#include "tests/unit.h"

/* One row: kind, id, ref, x, y, z; NULL where absent. */
typedef const char *row[PS_CATALOG_CELLS];

/* What the query would give for a small shop. */
static const row shop[] = {
    {"r", "1",  "h",   "public",                                        "items",       "r" },
    {"r", "2",  "h",   "public",                                        "orders",      "r" },
    {"r", "3",  "h",   "public",                                        "order_lines", "r" },
    {"r", "4",  "h",   "public",                                        "cheap",       "v" },
    {"r", "5",  "h",   "public",                                        "cheaper",     "v" },
    {"r", "6",  "h",   "public",                                        "log",         "p" },
    {"r", "7",  "h",   "public",                                        "log_1",       "r" },
    {"r", "8",  "h",   "public",                                        "log_2",       "r" },
    {"r", "9",  "h",   "public",                                        "secret",      "rR"},
    {"r", "10", "h",   "public",                                        "far",         "f" },
    {"r", "11", "h",   "public",                                        "totals",      "m" },
    {"r", "12", "h",   "public",                                        "audited",     "rW"},
    {"r", "13", "h",   "other",                                         "items",       "r" },
    {"r", "14", "h",   "public",                                        "clock",       "v" },
    {"r", "15", "h",   "public",                                        "numbers",     "S" },
    {"r", "16", "h",   "information_schema",                            "tables",      "vY"},
    {"r", "17", "h",   "public",                                        "noisy",       "v" },
    {"r", "18", "h",   "public",                                        "dangling",    "v" },
    {"r", "19", "h",   "public",                                        "defaulted",   "r" },
    {"r", "20", "h",   "public",                                        "odd",         "v" },
    {"r", "21", "h",   "public",                                        "loop",        "r" },
    {"a", "1",  NULL,  NULL,                                            "id",          "i" },
    {"a", "2",  NULL,  NULL,                                            "id",          "i" },
    {"a", "2",  NULL,  NULL,                                            "paid",        "b" },
    {"a", "2",  NULL,  NULL,                                            "key",         "u" },
    {"a", "3",  NULL,  NULL,                                            "id",          "i" },
    {"a", "7",  NULL,  NULL,                                            "id",          "i" },
    {"a", "21", NULL,  NULL,                                            "id",          "i" },
    {"e", "21", "21",  NULL,                                            NULL,          "k" },
    {"e", "4",  "1",   NULL,                                            NULL,          "v" },
    {"e", "5",  "4",   NULL,                                            NULL,          "v" },
    {"e", "6",  "7",   NULL,                                            NULL,          "i" },
    {"e", "6",  "8",   NULL,                                            NULL,          "i" },
    {"e", "2",  "3",   NULL,                                            NULL,          "k" },
    {"e", "14", "1",   NULL,                                            NULL,          "v" },
    {"e", "17", "1",   NULL,                                            NULL,          "v" },
    {"e", "18", "999", NULL,                                            NULL,          "v" },
    {"e", "20", "1",   NULL,                                            NULL,          "v" },
    {"f", "19", NULL,  NULL,                                            NULL,          "vw"},
    {"d", "4",  NULL,  "SELECT a FROM public.items WHERE price < 5;",   NULL,          NULL},
    {"d", "5",  NULL,  "SELECT a FROM public.cheap;",                   NULL,          NULL},
    {"d", "14", NULL,  "SELECT now() AS n FROM public.items;",          NULL,          NULL},
    {"d", "17", NULL,  "SELECT public.shout() AS n FROM public.items;", NULL,
     NULL                                                                                  },
    {"d", "18", NULL,  "SELECT 1;",                                     NULL,          NULL},
    {"d", "20", NULL,  "SELECT 1 FROM items FOR NOBODY KNOWS WHAT",     NULL,          NULL},
    {"p", NULL, "h",   "public",                                        "pure",        "i-"},
    {"p", NULL, "h",   "public",                                        "steady",      "s-"},
    {"p", NULL, "h",   "public",                                        "shout",       "v-"},
    {"p", NULL, "h",   "public",                                        "total",       "sr"},
    {"p", NULL, "h",   "public",                                        "Price",       "vr"},
    {"p", NULL, "h",   "public",                                        "lower",       "s-"},
    {"p", NULL, "h",   "public",                                        "twice",       "i-"},
    {"p", NULL, "h",   "other",                                         "twice",       "v-"},
    {"o", NULL, NULL,  NULL,                                            "<%>",         "s" },
    {"h", "1",  "2",   NULL,                                            NULL,          NULL},
};

struct fixture {
    struct ps_catalog *catalog;
    struct ps_arena *arena;
    const struct ps_sql_bindings *bindings;
    struct ps_str database;
};

static enum ps_rc
add(struct ps_catalog_builder *b, const row *from)
{
    struct ps_cell cells[PS_CATALOG_CELLS];
    for (size_t i = 0; i < PS_CATALOG_CELLS; i++)
        cells[i] = (struct ps_cell){.ptr = (*from)[i],
                                    .len = (*from)[i] ? strlen((*from)[i]) : 0};
    return ps_catalog_builder_row(b, cells);
}

static struct ps_catalog *
build_for(enum ps_dialect dialect, const row *rows, size_t n, const row *more)
{
    struct ps_catalog *catalog = NULL;
    struct ps_catalog_builder *b = ps_catalog_builder_new(dialect);
    assert_non_null(b);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(add(b, &rows[i]), PS_OK);
    if (more)
        assert_int_equal(add(b, more), PS_OK);
    assert_int_equal(ps_catalog_builder_finish(b, 7, &catalog), PS_OK);
    ps_catalog_builder_free(&b);
    return catalog;
}

static struct ps_catalog *
build(const row *rows, size_t n, const row *more)
{
    return build_for(PS_DIALECT_POSTGRES, rows, n, more);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->catalog = build(shop, PS_ARRAY_LEN(shop), NULL);
    f->arena = ps_arena_new(8 << 20);
    assert_non_null(f->arena);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    ps_catalog_unref(&f->catalog);
    ps_arena_free(&f->arena);
    free(f);
    return 0;
}

static const struct ps_sql_analysis *
analyse(struct fixture *f, const char *sql)
{
    struct ps_sql_analysis *a = NULL;
    assert_int_equal(
        ps_sql_analyse(f->catalog ? f->catalog->dialect : PS_DIALECT_POSTGRES,
                       0, ps_str_of(sql), f->arena, &a),
        PS_OK);
    return a;
}

/* The tables as "schema.name schema.name", sorted; "" for none. */
static const char *
names(struct fixture *f, const struct ps_table_name *tables, size_t n)
{
    char *text = ps_arena_printf(f->arena, "%s", "");
    struct ps_str last = PS_STR("");
    for (size_t done = 0; done < n;) {
        const char *best = NULL;
        size_t same = 0;
        for (size_t i = 0; i < n; i++) {
            const char *name = ps_arena_printf(f->arena, "%.*s.%.*s",
                                               PS_STR_ARG(tables[i].schema),
                                               PS_STR_ARG(tables[i].name));
            if (ps_catalog_str_cmp(ps_str_of(name), last) <= 0)
                continue;
            int order = best ? strcmp(name, best) : -1;
            same = order < 0 ? 1 : same + (order == 0);
            best = order < 0 ? name : best;
        }
        if (!best)
            break;
        text = ps_arena_printf(f->arena, "%s%s%s", text, done ? " " : "", best);
        last = ps_str_of(best);
        done += same;
    }
    return text;
}

static struct ps_catalog_text
text_of(struct fixture *f, const char *sql)
{
    return (struct ps_catalog_text){.analysis = analyse(f, sql),
                                    .bindings = f->bindings,
                                    .database = f->database};
}

static void
reads(struct fixture *f, const char *sql, const char *expected)
{
    const struct ps_catalog_text text = text_of(f, sql);
    struct ps_catalog_tables set = {0};
    const char *reason = NULL;
    if (!ps_catalog_read_set(f->catalog, &text, f->arena, &set, &reason))
        fail_msg("%s: not cacheable: %s", sql, reason);
    assert_string_equal(names(f, set.tables, set.n), expected);
}

static void
refused(struct fixture *f, const char *sql, const char *expected)
{
    const struct ps_catalog_text text = text_of(f, sql);
    struct ps_catalog_tables set = {0};
    const char *reason = NULL;
    if (ps_catalog_read_set(f->catalog, &text, f->arena, &set, &reason))
        fail_msg("%s: cacheable with %s", sql, names(f, set.tables, set.n));
    assert_string_equal(reason, expected);
}

/* expected: tables, "*" the whole database, NULL no write. */
static void
writes(struct fixture *f, const char *sql, const char *expected)
{
    const struct ps_catalog_text text = text_of(f, sql);
    struct ps_change change = {.cache_id = PS_STR("c"),
                               .database = PS_STR("d")};
    bool may = ps_catalog_write_set(f->catalog, &text, f->arena, &change);
    if (may != (expected != NULL))
        fail_msg("%s: %s", sql, may ? "is a write" : "is no write");
    if (!may)
        return;
    assert_true(ps_str_eq(change.cache_id, PS_STR("c")));
    assert_true(ps_str_eq(change.database, PS_STR("d")));
    const char *found =
        change.n_tables ? names(f, change.tables, change.n_tables) : "*";
    if (strcmp(found, expected) != 0)
        fail_msg("%s: writes %s", sql, found);
}

/* One letter for what the tests know by digest. */
static const char *
value_name(uint16_t digest)
{
    static const unsigned char ones[16] = {0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                           0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                           0x11, 0x11, 0x11, 0x11};
    static const char digits[][2] = {"0", "1", "2", "3", "4", "5"};
    for (int i = 0; i < 6; i++)
        if (digest == ps_row_digest_int(i))
            return digits[i];
    if (digest == ps_row_digest_uuid(ones))
        return "u";
    return digest == ps_row_digest_bool(true)    ? "t"
           : digest == ps_row_digest_bool(false) ? "f"
                                                 : "?";
}

/* "orders(id=1,2) items" in the order they come. */
static const char *
rows_text(struct fixture *f, const struct ps_table_name *tables,
          const struct ps_row_set *rows, size_t n)
{
    char *text = ps_arena_printf(f->arena, "%s", "");
    for (size_t i = 0; i < n; i++) {
        text = ps_arena_printf(f->arena, "%s%s%.*s", text, i ? " " : "",
                               PS_STR_ARG(tables[i].name));
        for (size_t k = 0; rows && k < rows[i].n_columns; k++) {
            const struct ps_row_column *column = &rows[i].columns[k];
            text = ps_arena_printf(f->arena, "%s(%.*s=", text,
                                   PS_STR_ARG(column->name));
            for (size_t v = 0; v < column->n_values; v++)
                text = ps_arena_printf(f->arena, "%s%s", text,
                                       value_name(column->values[v]));
            text = ps_arena_printf(f->arena, "%s)", text);
        }
    }
    return text;
}

static void
sees(struct fixture *f, const char *sql, const char *expected)
{
    const struct ps_catalog_text text = text_of(f, sql);
    struct ps_catalog_tables set = {0};
    const char *reason = NULL;
    if (!ps_catalog_read_set(f->catalog, &text, f->arena, &set, &reason))
        fail_msg("%s: not cacheable: %s", sql, reason);
    const char *found = rows_text(f, set.tables, set.rows, set.n);
    if (strcmp(found, expected) != 0)
        fail_msg("%s: sees %s", sql, found);
}

static void
changes(struct fixture *f, const char *sql, const char *expected)
{
    const struct ps_catalog_text text = text_of(f, sql);
    struct ps_change change = {0};
    assert_true(ps_catalog_write_set(f->catalog, &text, f->arena, &change));
    const char *found =
        rows_text(f, change.tables, change.rows, change.n_tables);
    if (strcmp(found, expected) != 0)
        fail_msg("%s: changes %s", sql, found);
}

static void
reads_reach_what_is_below(void **state)
{
    struct fixture *f = *state;
    reads(f, "select 1", "");
    reads(f, "select * from orders", "public.orders");
    reads(f, "select * from public.items", "public.items");
    reads(f, "select * from cheaper", "public.items");
    reads(f, "select * from cheap join orders using (a)",
          "public.items public.orders");
    reads(f, "select * from log", "public.log public.log_1 public.log_2");
    reads(f, "select * from log_1", "public.log_1");
    reads(f, "select * from totals", "public.totals");
    /* The search path is not known: both. */
    reads(f, "select * from items", "other.items public.items");
}

static void
reads_that_cannot_be_kept(void **state)
{
    struct fixture *f = *state;
    refused(f, "select * from nowhere", "unknown_relation");
    refused(f, "select * from other.orders", "unknown_relation");
    refused(f, "select * from secret", "row_security");
    refused(f, "select * from far", "foreign_table");
    refused(f, "select last_value from numbers", "sequence");
    refused(f, "select * from tables", "system_catalog");
    refused(f, "select * from clock", "volatile_function");
    refused(f, "select * from noisy", "volatile_function");
    refused(f, "select * from dangling", "foreign_table");
    refused(f, "select * from odd", "volatile_function");
    refused(f, "insert into items values (1)", "not_a_read");
    refused(f, "select * from orders for update", "locking_read");
}

static void
functions_are_believed_by_their_label(void **state)
{
    struct fixture *f = *state;
    reads(f, "select pure(a) from orders", "public.orders");
    reads(f, "select public.pure(1)", "");
    refused(f, "select other.pure(1)", "unknown_function");
    refused(f, "select steady(1)", "volatile_function");
    refused(f, "select shout(1)", "volatile_function");
    refused(f, "select nobody(1)", "unknown_function");
    refused(f, "select twice(1)", "volatile_function");
    writes(f, "select pure(a) from orders", NULL);
    writes(f, "select steady(1)", NULL);
    writes(f, "select shout(1)", "*");
    writes(f, "select nobody(1)", "*");
    writes(f, "insert into orders values (pure(1))", "public.orders");
    writes(f, "insert into orders values (shout(1))", "*");
}

/* What the analysis takes for a built-in, a column or an operator. */
static void
calls_the_text_hides(void **state)
{
    struct fixture *f = *state;
    refused(f, "select lower(a) from orders", "volatile_function");
    refused(f, "select \"lower\" (a) from orders", "volatile_function");
    reads(f, "select lower from orders", "public.orders");
    reads(f, "select o.lower from orders o", "public.orders");
    refused(f, "select o.total from orders o", "volatile_function");
    writes(f, "select o.total from orders o", NULL);
    writes(f, "select o.\"Price\" from orders o", "*");
    refused(f, "select (o).total from orders o", "volatile_function");
    reads(f, "select a % 2 from orders", "public.orders");
    refused(f, "select a <%> 1 from orders", "unknown_function");
    reads(f, "select 'lower(x) o.total %' from orders", "public.orders");
}

static void
writes_reach_everything_they_may(void **state)
{
    struct fixture *f = *state;
    writes(f, "select * from orders", NULL);
    writes(f, "select * from cheaper", NULL);
    writes(f, "select * from noisy", "*");
    writes(f, "update other.items set a = 1", "other.items");
    writes(f, "delete from orders", "public.order_lines public.orders");
    writes(f, "update orders set a = 1", "public.order_lines public.orders");
    writes(f, "insert into orders values (1)", "public.orders");
    writes(f, "insert into orders values (1) on conflict (a) do update set a=2",
           "public.order_lines public.orders");
    writes(f, "truncate orders", "public.order_lines public.orders");
    writes(f, "truncate orders cascade", "*");
    writes(f, "delete from log", "public.log public.log_1 public.log_2");
    writes(f, "insert into log_1 values (1)",
           "public.log public.log_1 public.log_2");
    writes(f, "update cheaper set a = 1", "public.items");
    writes(f, "refresh materialized view totals", "public.totals");
    writes(f, "insert into audited values (1)", "*");
    writes(f, "insert into defaulted values (1)", "*");
    writes(f, "insert into far values (1)", "*");
    writes(f, "insert into nowhere values (1)", "*");
    writes(f, "alter table orders add b int", "*");
    writes(f, "call something()", "*");
    writes(f,
           "with d as (delete from public.items returning a) "
           "insert into totals select a from d",
           "public.items public.totals");
    writes(f, "begin; insert into order_lines values (1); commit",
           "public.order_lines");
}

static void
without_a_catalogue_nothing_is_kept(void **state)
{
    struct fixture *f = *state;
    ps_catalog_unref(&f->catalog);
    assert_int_equal(ps_catalog_gen(NULL), 0);
    refused(f, "select * from orders", "no_catalog");
    refused(f, "select 1", "no_catalog");
    writes(f, "select * from orders", NULL);
    writes(f, "select pure(1)", "*");
    writes(f, "insert into orders values (1)", "*");
}

static void
reads_see_rows(void **state)
{
    struct fixture *f = *state;
    sees(f, "select * from orders where id = 1", "orders(id=1)");
    sees(f, "select * from orders where id in (1, 2) and paid",
         "orders(id=12)");
    sees(f, "select * from orders where paid", "orders(paid=t)");
    sees(f,
         "select * from orders where key = "
         "'11111111-1111-1111-1111-111111111111'",
         "orders(key=u)");
    /* Each of them will do; the vaguer one comes later. */
    sees(f,
         "select * from orders where id in (1, 2) and key = "
         "'11111111-1111-1111-1111-111111111111' and paid",
         "orders(key=u)(id=12)");
    sees(f, "select * from orders where id = 1 or paid", "orders");
    sees(f, "select * from orders where id > 1", "orders");
    sees(f, "select * from orders where id = 1.5", "orders");
    sees(f, "select * from orders where note = 'x'", "orders");
    sees(f,
         "select * from orders o join order_lines l on l.a = o.id "
         "where o.id = 3",
         "orders(id=3) order_lines");
    /* Two uses of one table are two sets of rows. */
    sees(f,
         "select * from orders where id = 1 union "
         "select * from orders where id = 2",
         "orders(id=1) orders(id=2)");
    /* Rows of a partition are its parent's, those of a view somebody's. */
    sees(f, "select * from log_1 where id = 1", "log_1");
    sees(f, "select * from cheap where id = 1", "items");
    /* The search path is not known, and one of the two has no such column. */
    sees(f, "select * from items where id = 1", "items(id=1) items");
}

static void
writes_change_rows(void **state)
{
    struct fixture *f = *state;
    changes(f, "insert into orders (id, paid) values (1, true), (2, false)",
            "orders(id=12)(paid=tf)");
    changes(f, "insert into orders values (1)", "orders");
    changes(f, "insert into orders (id) select 1", "orders");
    changes(f, "insert into order_lines (id) values (4)", "order_lines(id=4)");
    changes(f, "update order_lines set note = 'x' where id = 4",
            "order_lines(id=4)");
    changes(f, "update order_lines set id = 5 where id = 4",
            "order_lines(id=45)");
    changes(f, "update order_lines set id = id + 1 where id = 4",
            "order_lines");
    changes(f, "delete from order_lines where id = 1 or id = 2", "order_lines");
    /* What hangs on it counts as a whole; inserting moves nothing else. */
    changes(f, "delete from orders where id = 1", "orders(id=1) order_lines");
    changes(f, "delete from loop where id = 1", "loop(id=1) loop");
    changes(f, "insert into loop (id) values (1)", "loop(id=1)");
    changes(f, "truncate order_lines", "order_lines");
    changes(f, "delete from log_1 where id = 1", "log_1 log log_2");
}

static void
rows_of_what_is_bound(void **state)
{
    struct fixture *f = *state;
    const struct ps_sql_value values[] = {
        {.kind = PS_SQL_VALUE_STRING, .text = PS_STR("2")},
        {.kind = PS_SQL_VALUE_STRING,                           .text = PS_STR("2.0")},
        {.kind = PS_SQL_VALUE_NULL},
    };
    const struct ps_sql_bindings bindings = {values, PS_ARRAY_LEN(values)};
    sees(f, "select * from orders where id = $1", "orders");
    f->bindings = &bindings;
    sees(f, "select * from orders where id = $1", "orders(id=2)");
    sees(f, "select * from orders where id = $2", "orders");
    sees(f, "select * from orders where id = $3", "orders(id=)");
    sees(f, "select * from orders where id in ($1, 3, $3)", "orders(id=23)");
    sees(f, "select * from orders where id = $4", "orders");
    changes(f, "delete from order_lines where id = $1", "order_lines(id=2)");
    changes(f, "delete from order_lines where id = $2", "order_lines");
}

/* MySQL makes a value fit, and takes 0 for the next number. */
static void
values_that_are_bent_tell_no_rows(void **state)
{
    struct fixture *f = *state;
    static const row rows[] = {
        {"w", NULL,   NULL, NULL,                                       "me",     NULL },
        {"r", "1.at", "h",  "a",                                        "t",      "r"  },
        {"a", "1.at", NULL, NULL,                                       "id",     "i4a"},
        {"a", "1.at", NULL, NULL,                                       "tiny",   "i1" },
        {"a", "1.at", NULL, NULL,                                       "size",   "i2u"},
        {"r", "1.av", "h",  "a",                                        "v",      "v"  },
        {"d", "1.av", NULL, "select `a`.`t`.`id` AS `id` from `a`.`t`", NULL,
         NULL                                                                          },
        {"r", "1.ax", "h",  "a",                                        "x",      "v"  },
        {"d", "1.ax", NULL, "",                                         NULL,     NULL },
        {"r", "1.ah", "h",  "a",                                        "hidden", "rH" },
    };
    ps_catalog_unref(&f->catalog);
    f->catalog = build_for(PS_DIALECT_MYSQL, rows, PS_ARRAY_LEN(rows), NULL);
    changes(f, "insert into t (id, tiny, size) values (1, 2, 3)",
            "t(id=1)(tiny=2)(size=3)");
    changes(f, "insert into t (tiny) values (127)", "t(tiny=?)");
    changes(f, "insert into t (tiny) values (128)", "t");
    changes(f, "insert into t (tiny) values (-129)", "t");
    changes(f, "insert into t (size) values (65535)", "t(size=?)");
    changes(f, "insert into t (size) values (65536)", "t");
    changes(f, "insert into t (size) values (-1)", "t");
    changes(f, "insert into t (id) values (0)", "t");
    changes(f, "insert into t (tiny) values (0)", "t");
    changes(f, "insert into t (tiny) values (null)", "t");
    changes(f, "update t set tiny = 300 where id = 1 and tiny = 2", "t(id=1)");
    changes(f, "update t set tiny = 3 where id = 1 and tiny = 2",
            "t(id=1)(tiny=23)");
    changes(f, "delete from t where tiny = 300", "t(tiny=?)");
    /* The text of a view says what it reads, or that it cannot be seen. */
    reads(f, "select * from v", "a.t");
    refused(f, "select * from x", "foreign_table");
    refused(f, "select * from hidden", "hidden_structure");
    writes(f, "update t, v set t.tiny = 1, v.id = 2", "a.t");
    writes(f, "update t, x set t.tiny = 1, x.id = 2", "*");
}

/* MySQL has no search path: a name means that of the session's database. */
static void
names_of_the_sessions_database(void **state)
{
    struct fixture *f = *state;
    static const row rows[] = {
        {"w", NULL,   NULL, NULL, "me",   NULL},
        {"r", "1.at", "h",  "a",  "t",    "r" },
        {"r", "1.bt", "h",  "b",  "t",    "r" },
        {"r", "1.bu", "h",  "b",  "only", "r" },
    };
    ps_catalog_unref(&f->catalog);
    f->catalog = build_for(PS_DIALECT_MYSQL, rows, PS_ARRAY_LEN(rows), NULL);
    reads(f, "select * from t", "a.t b.t");
    f->database = PS_STR("a");
    reads(f, "select * from t", "a.t");
    reads(f, "select * from t, b.t as u", "a.t b.t");
    refused(f, "select * from only", "unknown_relation");
    writes(f, "delete from t", "a.t");
    writes(f, "delete from B.t", "b.t");
    writes(f, "delete from only", "*");
    /* One of several statements may be USE. */
    writes(f, "delete from t; delete from b.only", "a.t b.only b.t");
    /* PostgreSQL has one. */
    ps_catalog_unref(&f->catalog);
    f->catalog = build(shop, PS_ARRAY_LEN(shop), NULL);
    f->database = PS_STR("other");
    reads(f, "select * from items", "other.items public.items");
}

/* Other effects than on tables: sent once, and nothing kept goes. */
static void
effects_that_leave_tables_alone(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sql;
        bool effect;
    } cases[] = {
        {"select now()",                                     false},
        {"set timezone = 'UTC'",                             true },
        {"listen a",                                         true },
        {"select nextval('numbers')",                        true },
        {"select nextval('numbers'), a from items",          true },
        {"select pg_advisory_lock(1)",                       true },
        {"select * from items for update",                   true },
        {"explain select * from items",                      true },
        {"begin; select * from items; commit",               true },
        {"begin; set local x.y = 1; select pure(1); commit", true },
        {"prepare p as delete from items",                   true },
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        writes(f, cases[i].sql, NULL);
        if (ps_catalog_has_effect(analyse(f, cases[i].sql)) != cases[i].effect)
            fail_msg("%s: has an effect or not", cases[i].sql);
    }
    writes(f, "begin; update items set a = 1; commit",
           "other.items public.items");
    writes(f, "commit", "*");
    writes(f, "select * from items; commit", "*");
    writes(f, "select shout() from items for update", "*");
    writes(f, "select 1 from noisy for update", "*");
    writes(f, "explain analyze select shout()", "*");
    writes(f, "select pg_notify('a', shout()::text)", "*");
    writes(f, "select now() <!> 1", "*");
    writes(f, "copy items to program 'x'", "*");
    writes(f, "select nextval('numbers'), shout()", "*");
    writes(f, "vacuum full items", "*");
    writes(f, "prepare transaction 'x'", "*");
    writes(f, "commit prepared 'x'", "*");
    writes(f, "set x = 1; execute p", "*");
    /* No catalogue: only what names nothing. */
    ps_catalog_unref(&f->catalog);
    writes(f, "set timezone = 'UTC'", NULL);
    writes(f, "select pg_advisory_lock(1)", NULL);
    writes(f, "select * from items for update", "*");
    writes(f, "select shout(1) for update", "*");
}

/* SQL Server's #tables concern nobody else. */
static void
temporary_tables_are_nobodys(void **state)
{
    struct fixture *f = *state;
    static const row rows[] = {
        {"r", "1", "h", "dbo", "items", "r"},
        {"r", "2", "h", "dbo", "log",   "r"},
    };
    ps_catalog_unref(&f->catalog);
    f->catalog = build_for(PS_DIALECT_TSQL, rows, PS_ARRAY_LEN(rows), NULL);
    writes(f, "create table #t (a int)", NULL);
    writes(f, "select * into #t from items", NULL);
    writes(f, "insert into #t select a from items; select * from #t", NULL);
    writes(f, "drop table if exists #t", NULL);
    writes(f,
           "select * into #t from items; delete i from items i join #t t "
           "on t.a = i.a",
           "dbo.items");
    writes(f, "create table #t (a int); insert into log select a from #t",
           "dbo.log");
    writes(f, "create table #t (a int); exec p", "*");
    writes(f, "insert into #t exec p", "*");
    writes(f, "create table #t (a int); update f set a = 1 from dbo.f(1) f",
           "*");
    writes(f, "insert into #t values (1); commit", "*");
    writes(f, "create table #t (a int); create table u (a int)", "*");
    writes(f, "insert into nobody values (1)", "*");
    refused(f, "select * from #t", "temporary_table");
}

/* Casts, checks of domains and operators that nobody writes. */
static void
what_runs_unasked_spoils_everything(void **state)
{
    struct fixture *f = *state;
    static const row cast = {"c", NULL, NULL, NULL, NULL, "sr"};
    static const row check = {"c", NULL, NULL, NULL, NULL, "vw"};
    static const row equals = {"o", NULL, NULL, NULL, "=", "v"};
    ps_catalog_unref(&f->catalog);
    f->catalog = build(shop, PS_ARRAY_LEN(shop), &cast);
    refused(f, "select * from orders", "volatile_function");
    writes(f, "insert into orders values (1)", "public.orders");
    ps_catalog_unref(&f->catalog);
    f->catalog = build(shop, PS_ARRAY_LEN(shop), &check);
    reads(f, "select * from orders", "public.orders");
    writes(f, "insert into orders values (1)", "*");
    ps_catalog_unref(&f->catalog);
    f->catalog = build(shop, PS_ARRAY_LEN(shop), &equals);
    refused(f, "select * from orders where a in (1, 2)", "volatile_function");
    writes(f, "select * from orders where a in (1, 2)", "*");
}

static void
the_hash_knows_rows_but_not_their_order(void **state)
{
    struct fixture *f = *state;
    static row turned[PS_ARRAY_LEN(shop)];
    for (size_t i = 0; i < PS_ARRAY_LEN(shop); i++)
        memcpy(turned[i], shop[PS_ARRAY_LEN(shop) - 1 - i], sizeof(row));
    struct ps_catalog *again = build(turned, PS_ARRAY_LEN(shop), NULL);
    assert_true(again->hash == f->catalog->hash);
    assert_int_equal(ps_catalog_gen(again), 7);
    ps_catalog_unref(&again);
    static const row more = {"h", "1", "3", NULL, NULL, NULL};
    struct ps_catalog *other = build(shop, PS_ARRAY_LEN(shop), &more);
    assert_false(other->hash == f->catalog->hash);
    ps_catalog_unref(&other);
}

static void
rows_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const row bad[] = {
        {"x",  "1",          NULL, NULL, NULL, NULL                       },
        {NULL, "1",          NULL, NULL, NULL, NULL                       },
        {"r",  NULL,         NULL, "s",  "n",  "r"                        },
        {"r",  "one",        NULL, "s",  "n",  "r"                        },
        {"r",  "4294967296", NULL, "s",  "n",  "r"                        },
        {"e",  "1",          "",   NULL, NULL, "v"                        },
        {"r",  "1",          NULL, "s",  "n",  "a very long list of flags"},
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(bad); i++) {
        struct ps_catalog_builder *b =
            ps_catalog_builder_new(PS_DIALECT_POSTGRES);
        assert_non_null(b);
        assert_int_equal(add(b, &bad[i]), PS_ORIGIN_PROTOCOL);
        ps_catalog_builder_free(&b);
    }
}

static void
a_catalogue_that_is_too_large_is_refused(void **state)
{
    (void)state;
    static const row one = {"h", "1", NULL, NULL, NULL, NULL};
    struct ps_catalog_builder *b = ps_catalog_builder_new(PS_DIALECT_POSTGRES);
    assert_non_null(b);
    for (size_t i = 0; i < PS_CATALOG_MAX_ROWS; i++)
        assert_int_equal(add(b, &one), PS_OK);
    assert_int_equal(add(b, &one), PS_TOO_BIG);
    ps_catalog_builder_free(&b);
    static char huge[1 << 20];
    memset(huge, 'x', sizeof(huge) - 1);
    const row view = {"d", "1", NULL, huge, NULL, NULL};
    enum ps_rc rc = PS_OK;
    b = ps_catalog_builder_new(PS_DIALECT_POSTGRES);
    for (size_t i = 0; rc == PS_OK && i < 100; i++)
        rc = add(b, &view);
    assert_int_equal(rc, PS_TOO_BIG);
    ps_catalog_builder_free(&b);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* Hazard 31: what the text does not say may change the session, too. */
static void
session_is_touched_unasked(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sql;
        bool touches;
    } cases[] = {
        {"select a from items",                                  false},
        {"select a from cheaper where a = 1",                    false},
        {"select count(*) from log",                             false},
        {"insert into items (id) values (1)",                    false},
        {"update orders set id = 1",                             false},
        {"select pure(1)",                                       true }, /* by its text */
        {"select n from clock",                                  false}, /* now() only */
        {"select n from noisy",                                  true }, /* shout() */
        {"select 1 from items where exists (select from noisy)", true },
        {"select lower(a) from items",                           true }, /* a user's */
        {"select a from items where a <%> 1",                    true },
        {"update audited set id = 1",                            true }, /* a trigger */
        {"select id from audited",                               false},
        {"insert into defaulted (id) values (1)",                true }, /* a default */
        {"select id from defaulted",                             false},
        {"select a from nowhere",                                true }, /* not known */
        {"set timezone = 'UTC'",                                 true },
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        const struct ps_sql_analysis *a = analyse(f, cases[i].sql);
        if (ps_catalog_touches_session(f->catalog, a, f->arena) !=
            cases[i].touches)
            fail_msg("%s", cases[i].sql);
    }
    /* Without a catalogue a table may be a view. */
    assert_true(ps_catalog_touches_session(
        NULL, analyse(f, "select a from items"), f->arena));
    assert_false(
        ps_catalog_touches_session(NULL, analyse(f, "select 1"), f->arena));
}

/* A catalogue in which nothing runs unasked needs no walk. */
static void
a_quiet_catalogue(void **state)
{
    struct fixture *f = *state;
    static const row plain[] = {
        {"r", "1", "h",  "public",                      "items",  "r" },
        {"r", "2", "h",  "public",                      "cheap",  "v" },
        {"r", "3", "h",  "information_schema",          "tables", "vY"},
        {"e", "2", "1",  NULL,                          NULL,     "v" },
        {"d", "2", NULL, "SELECT a FROM public.items;", NULL,     NULL},
    };
    static const row loud = {"f", "2", NULL, NULL, NULL, "sr"};
    const struct ps_sql_analysis *a = analyse(f, "select a from cheap");
    struct ps_catalog *catalog = build(plain, PS_ARRAY_LEN(plain), NULL);
    assert_true(catalog->quiet);
    assert_false(ps_catalog_touches_session(catalog, a, f->arena));
    ps_catalog_unref(&catalog);
    catalog = build(plain, PS_ARRAY_LEN(plain), &loud);
    assert_false(catalog->quiet);
    assert_true(ps_catalog_touches_session(catalog, a, f->arena));
    ps_catalog_unref(&catalog);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_reach_what_is_below),
        TEST(reads_that_cannot_be_kept),
        TEST(session_is_touched_unasked),
        TEST(a_quiet_catalogue),
        TEST(functions_are_believed_by_their_label),
        TEST(calls_the_text_hides),
        TEST(writes_reach_everything_they_may),
        TEST(reads_see_rows),
        TEST(writes_change_rows),
        TEST(rows_of_what_is_bound),
        TEST(values_that_are_bent_tell_no_rows),
        TEST(names_of_the_sessions_database),
        TEST(effects_that_leave_tables_alone),
        TEST(temporary_tables_are_nobodys),
        TEST(without_a_catalogue_nothing_is_kept),
        TEST(what_runs_unasked_spoils_everything),
        TEST(the_hash_knows_rows_but_not_their_order),
        TEST(rows_that_make_no_sense_are_refused),
        TEST(a_catalogue_that_is_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
