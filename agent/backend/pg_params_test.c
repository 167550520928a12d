/* Parameters and errors of the PostgreSQL driver, without a server. */
#include "agent/backend/pg.h"
#include "tests/unit.h"

static struct ps_param
text(const char *value)
{
    return (struct ps_param){.kind = PS_PARAM_TEXT, .text = ps_str_of(value)};
}

static void
expect_params(const struct ps_param *params, size_t n, const char *const *want)
{
    const struct ps_statement statement = {
        .sql = PS_STR("select 1"), .params = params, .n_params = n};
    const char **values = NULL;
    struct ps_buf buf;
    ps_buf_init(&buf, 1 << 20);
    assert_int_equal(ps_pg_params(&statement, &buf, &values), PS_OK);
    assert_string_equal(buf.data, "select 1");
    for (size_t i = 0; i < n; i++) {
        if (want[i])
            assert_string_equal(values[i], want[i]);
        else
            assert_null(values[i]);
    }
    free(values);
    ps_buf_done(&buf);
}

static void
scalars_are_text_and_null_is_none(void **state)
{
    (void)state;
    const struct ps_param params[] = {
        {.kind = PS_PARAM_NULL  },
        { .kind = PS_PARAM_BOOL, .text = PS_STR("true")},
        { .kind = PS_PARAM_NUMBER,  .text = PS_STR("1e3")},
        text(""),
        text("'; drop table x; --"),
        text("🎉"),
    };
    expect_params(params, 6,
                  (const char *const[]){NULL, "true", "1e3", "",
                                        "'; drop table x; --", "🎉"});
    expect_params(NULL, 0, NULL);
}

static void
array_literals_are_quoted(void **state)
{
    (void)state;
    const struct ps_param words[] = {text("a"),       text("b,c"),
                                     text("d\"e\\f"), text(""),
                                     text("NULL"),    {.kind = PS_PARAM_NULL}};
    const struct ps_param numbers[] = {
        {.kind = PS_PARAM_NUMBER, .text = PS_STR("1")    },
        {.kind = PS_PARAM_BOOL,   .text = PS_STR("false")}
    };
    const struct ps_param pair[] = {
        {.kind = PS_PARAM_ARRAY, .items = numbers, .n_items = 2},
        {.kind = PS_PARAM_ARRAY         }
    };
    const struct ps_param params[] = {
        {.kind = PS_PARAM_ARRAY, .items = words, .n_items = 6},
        {.kind = PS_PARAM_ARRAY,          .items = pair, .n_items = 2},
        {.kind = PS_PARAM_ARRAY}
    };
    expect_params(params, 3,
                  (const char *const[]){
                      "{\"a\",\"b,c\",\"d\\\"e\\\\f\",\"\",\"NULL\",NULL}",
                      "{{\"1\",\"false\"},{}}", "{}"});
}

static void
too_many_too_deep_too_long(void **state)
{
    (void)state;
    const char *untouched = "x", **values = &untouched;
    struct ps_buf buf;
    ps_buf_init(&buf, 64);
    struct ps_statement statement = {.sql = PS_STR("select 1"),
                                     .n_params = 65536};
    assert_int_equal(ps_pg_params(&statement, &buf, &values), PS_BAD_BINDINGS);
    struct ps_param deep[40];
    for (size_t i = 0; i < 40; i++)
        deep[i] = (struct ps_param){.kind = PS_PARAM_ARRAY,
                                    .items = &deep[i + 1],
                                    .n_items = i < 39 ? 1 : 0};
    statement.params = deep;
    statement.n_params = 1;
    assert_int_equal(ps_pg_params(&statement, &buf, &values), PS_BAD_BINDINGS);
    const struct ps_param longer =
        text("longer than what the buffer was born with, which is little");
    statement.params = &longer;
    assert_int_equal(ps_pg_params(&statement, &buf, &values), PS_TOO_BIG);
    assert_ptr_equal(values, &untouched);
    ps_buf_done(&buf);
}

/* A result that libpq made itself, because nothing came from the server. */
static void
an_error_without_a_code_is_a_lost_connection(void **state)
{
    (void)state;
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);
    struct ps_err err = {.rc = PS_OK};
    bool fatal = false;
    assert_non_null(result);
    ps_pg_result_error(result, &err, &fatal);
    assert_true(fatal);
    assert_int_equal(err.rc, PS_ORIGIN_LOST);
    PQclear(result);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_text_and_null_is_none),
        cmocka_unit_test(array_literals_are_quoted),
        cmocka_unit_test(too_many_too_deep_too_long),
        cmocka_unit_test(an_error_without_a_code_is_a_lost_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
