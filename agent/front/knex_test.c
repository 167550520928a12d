/*
 * The rules of knex against what the real knex did: testdata/knex_golden.json,
 * made by testdata/knex_golden.cjs. Statement and bindings go the way of a
 * request's (body reader, then ps_knex_prepare).
 */
#include "agent/front/js_number.h"
#include "agent/front/polyscale_body.h"
#include "common/buf.h"
#include "tests/unit.h"

#include <jansson.h>

#include <stdio.h>

static const struct {
    const char *name;
    enum ps_dialect dialect;
} dialects[] = {
    {"postgres", PS_DIALECT_POSTGRES},
    {"mysql",    PS_DIALECT_MYSQL   },
    {"tsql",     PS_DIALECT_TSQL    },
};

static json_t *
load_golden(void)
{
    char path[4096];
    json_error_t error;
    const char *root = getenv("PS_SOURCE_DIR");
    assert_non_null(root);
    snprintf(path, sizeof(path), "%s/agent/front/testdata/knex_golden.json",
             root);
    json_t *golden = json_load_file(path, 0, &error);
    assert_non_null(golden);
    return golden;
}

/* A value with its type, as knex_golden.cjs writes it. */
static void
append_tagged(struct ps_buf *out, const struct ps_param *param)
{
    static const char tags[] = {[PS_PARAM_NULL] = 'z',
                                [PS_PARAM_BOOL] = 'b',
                                [PS_PARAM_NUMBER] = 'n',
                                [PS_PARAM_TEXT] = 't',
                                [PS_PARAM_ARRAY] = 'a'};
    ps_buf_append_char(out, tags[param->kind]);
    if (param->kind != PS_PARAM_ARRAY) {
        ps_buf_append_str(out, param->text);
        return;
    }
    ps_buf_append_char(out, '[');
    for (size_t i = 0; i < param->n_items; i++) {
        struct ps_buf item;
        ps_buf_init(&item, 1 << 20);
        append_tagged(&item, &param->items[i]);
        if (i > 0)
            ps_buf_append_char(out, ',');
        ps_buf_append_json(out, ps_buf_str(&item));
        ps_buf_done(&item);
    }
    ps_buf_append_char(out, ']');
}

static void
assert_text(struct ps_str got, const json_t *expected)
{
    struct ps_str want = {json_string_value(expected),
                          json_string_length(expected)};
    if (!ps_str_eq(got, want))
        fail_msg("got  %.*s\nwant %.*s", PS_STR_ARG(got), PS_STR_ARG(want));
}

static void
assert_params(const struct ps_statement *statement, const json_t *expected)
{
    assert_int_equal(statement->n_params, json_array_size(expected));
    for (size_t i = 0; i < statement->n_params; i++) {
        struct ps_buf tagged;
        ps_buf_init(&tagged, 1 << 20);
        append_tagged(&tagged, &statement->params[i]);
        assert_text(ps_buf_str(&tagged), json_array_get(expected, i));
        ps_buf_done(&tagged);
    }
}

/* {"sql":...,"bindings":...} as a request's body. */
static void
make_body(struct ps_buf *body, const json_t *one)
{
    const json_t *sql = json_object_get(one, "sql");
    const json_t *bindings = json_object_get(one, "bindings");
    ps_buf_append_c(body, "{\"sql\":");
    ps_buf_append_json(
        body, (struct ps_str){json_string_value(sql), json_string_length(sql)});
    if (json_is_string(bindings)) {
        ps_buf_append_c(body, ",\"bindings\":");
        ps_buf_append_c(body, json_string_value(bindings));
    }
    ps_buf_append_char(body, '}');
}

/* knex leaves an array to mysql2, which makes a list of it; here the list is
 * made at once (test_lists). */
static bool
left_to_mysql2(const json_t *expected, enum ps_dialect dialect)
{
    size_t i;
    const json_t *value;
    json_array_foreach(json_object_get(expected, "bindings"), i, value)
    {
        if (dialect == PS_DIALECT_MYSQL && json_string_value(value)[0] == 'a')
            return true;
    }
    return false;
}

static void
check_case(const json_t *one, size_t d)
{
    const json_t *expected = json_object_get(one, dialects[d].name);
    const json_t *error = json_object_get(expected, "error");
    if (left_to_mysql2(expected, dialects[d].dialect))
        return;
    struct ps_arena *arena = ps_arena_new(1 << 20);
    struct ps_polyscale_body request;
    struct ps_statement statement = {.params = NULL};
    struct ps_err err = {.message = ""};
    struct ps_buf body;
    ps_buf_init(&body, 1 << 20);
    make_body(&body, one);
    assert_true(
        ps_polyscale_body_scan(ps_buf_str(&body), arena, &request, &err));
    enum ps_rc rc = ps_knex_prepare(dialects[d].dialect,
                                    request.fields[PS_POLYSCALE_SQL].text,
                                    &request.bindings, arena, &statement, &err);
    if (error) {
        size_t n = json_string_length(error);
        assert_int_equal(rc, PS_BAD_BINDINGS);
        assert_int_equal(strncmp(err.message, json_string_value(error), n), 0);
    } else {
        assert_int_equal(rc, PS_OK);
        assert_text(statement.sql, json_object_get(expected, "sql"));
        assert_params(&statement, json_object_get(expected, "bindings"));
    }
    ps_buf_done(&body);
    ps_arena_free(&arena);
}

static void
test_golden(void **state)
{
    (void)state;
    json_t *golden = load_golden();
    json_t *cases = json_object_get(golden, "cases"), *one;
    size_t i;
    assert_true(json_array_size(cases) > 300);
    json_array_foreach(cases, i, one)
    {
        for (size_t d = 0; d < PS_ARRAY_LEN(dialects); d++)
            check_case(one, d);
    }
    json_decref(golden);
}

static void
test_own_text_is_not_copied(void **state)
{
    (void)state;
    struct ps_arena *arena = ps_arena_new(1 << 16);
    struct ps_knex_bindings none = {.shape = PS_KNEX_NONE};
    struct ps_str sql = PS_STR("select '\\ :a' from t");
    struct ps_statement out = {.params = NULL};
    assert_int_equal(
        ps_knex_prepare(PS_DIALECT_POSTGRES, sql, &none, arena, &out, NULL),
        PS_OK);
    assert_ptr_equal(out.sql.ptr, sql.ptr);
    assert_int_equal(ps_arena_used(arena), 0);
    ps_arena_free(&arena);
}

static void
test_dollar_in_named_identifier_stays(void **state)
{
    (void)state;
    struct ps_arena *arena = ps_arena_new(1 << 16);
    struct ps_knex_binding list[] = {
        {.name = PS_STR("a"),
         .value = {.kind = PS_PARAM_TEXT, .text = PS_STR("x$$y$&")}}
    };
    struct ps_knex_bindings b = {PS_KNEX_OBJECT, list, 1};
    struct ps_statement out = {.params = NULL};
    assert_int_equal(ps_knex_prepare(PS_DIALECT_POSTGRES, PS_STR(":a:"), &b,
                                     arena, &out, NULL),
                     PS_OK);
    assert_true(ps_str_eq(out.sql, PS_STR("\"x$$y$&\"")));
    ps_arena_free(&arena);
}

static void
test_too_many_values(void **state)
{
    (void)state;
    enum {
        N = 2101 /* SQL Server takes 2100 */
    };
    struct ps_arena *arena = ps_arena_new(16 << 20);
    struct ps_knex_binding *list = ps_arena_zalloc(arena, N * sizeof(*list));
    char *sql = ps_arena_alloc(arena, N);
    struct ps_knex_bindings b = {PS_KNEX_ARRAY, list, N};
    struct ps_statement out = {.params = NULL};
    struct ps_err err;
    for (size_t i = 0; i < N; i++)
        sql[i] = i % 2 ? ' ' : '?';
    b.count = (N + 1) / 2;
    assert_int_equal(ps_knex_prepare(PS_DIALECT_TSQL, (struct ps_str){sql, N},
                                     &b, arena, &out, &err),
                     PS_OK);
    struct ps_buf many;
    ps_buf_init(&many, 1 << 20);
    for (size_t i = 0; i < N; i++)
        ps_buf_append_c(&many, "? ");
    b.count = N;
    assert_int_equal(ps_knex_prepare(PS_DIALECT_TSQL, ps_buf_str(&many), &b,
                                     arena, &out, &err),
                     PS_BAD_BINDINGS);
    assert_non_null(strstr(err.message, "2100"));
    assert_int_equal(ps_knex_prepare(PS_DIALECT_POSTGRES, ps_buf_str(&many), &b,
                                     arena, &out, &err),
                     PS_OK);
    ps_buf_done(&many);
    ps_arena_free(&arena);
}

static void
test_growth_is_bounded(void **state)
{
    (void)state;
    struct ps_arena *arena = ps_arena_new(64 << 20);
    struct ps_buf sql, name;
    ps_buf_init(&sql, 8 << 20);
    ps_buf_init(&name, 8 << 20);
    for (int i = 0; i < 1000; i++)
        ps_buf_append_c(&sql, ":a: ");
    for (int i = 0; i < 100000; i++)
        ps_buf_append_char(&name, 'n');
    struct ps_knex_binding list[] = {
        {.name = PS_STR("a"),
         .value = {.kind = PS_PARAM_TEXT, .text = ps_buf_str(&name)}}
    };
    struct ps_knex_bindings b = {PS_KNEX_OBJECT, list, 1};
    struct ps_statement out = {.params = NULL};
    struct ps_err err;
    assert_int_equal(ps_knex_prepare(PS_DIALECT_POSTGRES, ps_buf_str(&sql), &b,
                                     arena, &out, &err),
                     PS_TOO_BIG);
    ps_buf_done(&sql);
    ps_buf_done(&name);
    ps_arena_free(&arena);
}

/* ---- keys ---- */

static struct ps_str
key_of(struct ps_arena *arena, const char *bindings)
{
    struct ps_polyscale_body body;
    char *text = ps_arena_printf(arena, "{\"bindings\":%s}", bindings);
    assert_true(ps_polyscale_body_scan(ps_str_of(text), arena, &body, NULL));
    return ps_knex_key(&body.bindings, arena);
}

static void
test_keys_differ(void **state)
{
    (void)state;
    static const char *const different[] = {
        "null",
        "[]",
        "{}",
        "[1]",
        "[\"1\"]",
        "[[1]]",
        "[[\"1\"]]",
        "[null]",
        "[\"\"]",
        "[[]]",
        "[true]",
        "[\"true\"]",
        "[1,2]",
        "[[1,2]]",
        "[[1],2]",
        "[[1],[2]]",
        "[12]",
        "[\"ab\",\"c\"]",
        "[\"a\",\"bc\"]",
        "{\"a\":1}",
        "{\"b\":1}",
        "{\"a\":\"1\"}",
        "{\"a\":1,\"b\":2}",
        "{\"a\":2,\"b\":1}",
        "[\"a\",1]",
        "[[null]]",
        "[[null,null]]",
    };
    struct ps_arena *arena = ps_arena_new(1 << 20);
    for (size_t i = 0; i < PS_ARRAY_LEN(different); i++) {
        for (size_t j = 0; j < i; j++) {
            if (ps_str_eq(key_of(arena, different[i]),
                          key_of(arena, different[j])))
                fail_msg("%s and %s have one key", different[i], different[j]);
        }
    }
    assert_true(ps_str_eq(key_of(arena, "[1, 1.0, \"\\u0061\"]"),
                          key_of(arena, "[1,1e0,\"a\"]")));
    ps_arena_free(&arena);
}

/* ---- numbers ---- */

static void
test_numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } table[] = {
        {0,                      "0"                      },
        {-0.0,                   "0"                      },
        {1,                      "1"                      },
        {-1.5,                   "-1.5"                   },
        {1e21,                   "1e+21"                  },
        {1e20,                   "100000000000000000000"  },
        {1e-6,                   "0.000001"               },
        {1.5e-7,                 "1.5e-7"                 },
        {0.1,                    "0.1"                    },
        {1.0 / 3,                "0.3333333333333333"     },
        {9007199254740993.,      "9007199254740992"       },
        {5e-324,                 "5e-324"                 },
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {123456789012345680.,    "123456789012345680"     },
    };
    char out[PS_JS_NUMBER_MAX];
    for (size_t i = 0; i < PS_ARRAY_LEN(table); i++) {
        size_t n = ps_js_number_print(table[i].value, out);
        assert_string_equal(out, table[i].text);
        assert_int_equal(n, strlen(out));
    }
}

static void
test_number_grammar(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } table[] = {
        {"0",        1},
        {"-0",       2},
        {"01",       0},
        {"1.",       0},
        {".5",       0},
        {"1.5e+10x", 7},
        {"1e",       0},
        {"-",        0},
        {"+1",       0},
        {"1E-2,",    4},
        {"12]",      2},
        {"",         0},
        {"1.2.3",    3},
        {"0x1",      1},
        {"1e+",      0},
        {"Infinity", 0},
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(table); i++)
        assert_int_equal(ps_json_number_len(ps_str_of(table[i].text)),
                         table[i].len);
    assert_true(ps_js_number_is_canonical(PS_STR("123456789012345")));
    assert_true(ps_js_number_is_canonical(PS_STR("-1")));
    assert_true(ps_js_number_is_canonical(PS_STR("0")));
    assert_false(ps_js_number_is_canonical(PS_STR("-0")));
    assert_false(ps_js_number_is_canonical(PS_STR("1234567890123456")));
    assert_false(ps_js_number_is_canonical(PS_STR("1.0")));
    assert_false(ps_js_number_is_canonical(PS_STR("1e2")));
}

/* MySQL: an array is a list of values. */
static void
test_lists(void **state)
{
    static const struct {
        const char *body, *sql;
        size_t n_params;
    } cases[] = {
        {"{\"sql\":\"a in (?) and b = ?\",\"bindings\":[[1,2,3],4]}",
         "a in (?, ?, ?) and b = ?",                                                         4},
        {"{\"sql\":\"a in (?)\",\"bindings\":[[\"x\"]]}",                        "a in (?)", 1},
        {"{\"sql\":\"a in (?)\",\"bindings\":[[]]}",                             "a in ()",  0},
        {"{\"sql\":\"a in (:l) or b = :x\",\"bindings\":{\"l\":[1,2],\"x\":3}}",
         "a in (?, ?) or b = ?",                                                             3},
    };
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        struct ps_arena *arena = ps_arena_new(1 << 20);
        struct ps_polyscale_body request;
        struct ps_statement statement = {.params = NULL};
        struct ps_err err;
        assert_true(ps_polyscale_body_scan(ps_str_of(cases[i].body), arena,
                                           &request, &err));
        assert_int_equal(ps_knex_prepare(PS_DIALECT_MYSQL,
                                         request.fields[PS_POLYSCALE_SQL].text,
                                         &request.bindings, arena, &statement,
                                         &err),
                         PS_OK);
        assert_true(ps_str_eq(statement.sql, ps_str_of(cases[i].sql)));
        assert_int_equal(statement.n_params, cases[i].n_params);
        ps_arena_free(&arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_own_text_is_not_copied),
        cmocka_unit_test(test_dollar_in_named_identifier_stays),
        cmocka_unit_test(test_too_many_values),
        cmocka_unit_test(test_growth_is_bounded),
        cmocka_unit_test(test_keys_differ),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_number_grammar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
