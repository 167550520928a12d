/* Tables, cleaned text, JSON, client code and the reachability table. */
#include "cli/output.h"
#include "cli/query.h"
#include "cli/reach.h"
#include "cli/snippet.h"
#include "tests/unit.h"

static struct ps_buf out;

static int
set_up(void **state)
{
    (void)state;
    ps_out_start();
    ps_buf_init(&out, 1 << 20);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    ps_buf_done(&out);
    return 0;
}

/* The rendering as a C string. */
static const char *
text(void)
{
    ps_buf_append_char(&out, '\0');
    assert_int_equal(ps_buf_rc(&out), PS_OK);
    return out.data;
}

static void
aligns_columns(void **state)
{
    static const struct ps_column columns[] = {PS_LEFT("NAME"), PS_RIGHT("N"),
                                               PS_LEFT("NOTE")};
    (void)state;
    struct ps_table *table = ps_table_new(columns, 3);
    ps_table_add(table, PS_TINT_NONE, "a");
    ps_table_addf(table, PS_TINT_NONE, "%d", 1);
    ps_table_add(table, PS_TINT_NONE, "");
    ps_table_add(table, PS_TINT_NONE, "longer");
    ps_table_add(table, PS_TINT_NONE, "200");
    ps_table_add(table, PS_TINT_NONE, NULL);
    assert_int_equal(ps_table_rows(table), 2);
    ps_table_render(table, false, &out);
    ps_table_free(&table);
    assert_null(table);
    assert_string_equal(text(), "NAME      N  NOTE\n"
                                "a         1\n"
                                "longer  200  -\n");
}

static void
counts_terminal_cells(void **state)
{
    static const struct ps_column columns[] = {PS_LEFT("X"), PS_LEFT("Y")};
    (void)state;
    assert_int_equal(ps_text_width(PS_STR("abc")), 3);
    assert_int_equal(ps_text_width(PS_STR("Zürich")), 6);
    assert_int_equal(ps_text_width(PS_STR("東京")), 4);
    assert_int_equal(ps_text_width(PS_STR("e\u0301")), 1);
    struct ps_table *table = ps_table_new(columns, 2);
    ps_table_add(table, PS_TINT_NONE, "東京");
    ps_table_add(table, PS_TINT_NONE, "1");
    ps_table_add(table, PS_TINT_NONE, "Zürich");
    ps_table_add(table, PS_TINT_NONE, "2");
    ps_table_render(table, false, &out);
    ps_table_free(&table);
    assert_string_equal(text(), "X       Y\n"
                                "東京    1\n"
                                "Zürich  2\n");
}

static void
colours_only_when_asked(void **state)
{
    (void)state;
    struct ps_table *table = ps_table_new(NULL, 2);
    ps_table_add(table, PS_TINT_GOOD, "ok");
    ps_table_add(table, PS_TINT_NONE, "x");
    ps_table_render(table, true, &out);
    assert_string_equal(text(), "\033[32mok\033[0m  x\n");
    ps_buf_clear(&out);
    ps_table_render(table, false, &out);
    assert_string_equal(text(), "ok  x\n");
    ps_table_free(&table);
}

static void
data_cannot_drive_the_terminal(void **state)
{
    (void)state;
    ps_text_clean(&out, (struct ps_str){"a\033[2J\n\t\r\x7f\0z", 11});
    assert_string_equal(text(), "a\\x1b[2J\\n\\t\\r\\x7f\\x00z");
    ps_buf_clear(&out);
    ps_text_clean(&out, PS_STR("\xc2\x9b"
                               "1m\u202e\xff\xc3"));
    assert_string_equal(text(), "\\x9b1m\\u202e\\xff\\xc3");
}

static void
writes_json(void **state)
{
    static const char json[] =
        "{\"z\":[1,2.5,0.1,null,true,false],\"a\":{},\"t\":\"x\\\"\\n\"}";
    (void)state;
    json_t *value = json_loads(json, 0, NULL);
    assert_non_null(value);
    ps_json_render(value, -1, &out);
    assert_string_equal(text(), json);
    ps_buf_clear(&out);
    ps_json_render(value, 0, &out);
    json_t *again = json_loads(text(), 0, NULL);
    assert_true(json_equal(value, again));
    json_decref(again);
    json_decref(value);
}

static void
shows_rows(void **state)
{
    (void)state;
    json_t *rows = json_loads("[{\"id\":7,\"name\":\"a\\tb\",\"tags\":[1,2]},"
                              "{\"id\":10,\"name\":null,\"tags\":\"NULL\"}]",
                              0, NULL);
    struct ps_table *table = ps_query_table(rows);
    ps_table_render(table, false, &out);
    assert_string_equal(text(), "id  name  tags\n"
                                " 7  a\\tb  [1,2]\n"
                                "10  NULL  NULL\n");
    ps_table_free(&table);
    json_decref(rows);
    rows = json_array();
    assert_null(ps_query_table(rows));
    json_decref(rows);
}

static void
check_bindings(char **words, int n, const char *json)
{
    json_t *wanted = json_loads(json, 0, NULL);
    json_t *found = ps_query_bindings(words, n);
    assert_non_null(wanted);
    assert_true(json_equal(wanted, found));
    json_decref(wanted);
    json_decref(found);
}

static void
reads_bindings(void **state)
{
    char *words[] = {"5", "x y", "\"5\"", "null", "true", "[1,2]", "1.5", ""};
    char *named[] = {"{\"a\":1}"};
    char *two[] = {"{\"a\":1}", "2"};
    char *broken[] = {"\xff"};
    (void)state;
    check_bindings(words, 8, "[5,\"x y\",\"5\",null,true,[1,2],1.5,\"\"]");
    check_bindings(named, 1, "{\"a\":1}");
    check_bindings(two, 2, "[\"{\\\"a\\\":1}\",2]");
    check_bindings(two, 0, "[]");
    assert_null(ps_query_bindings(broken, 1));
}

static void
reads_cache_status(void **state)
{
    (void)state;
    assert_string_equal(ps_query_verdict("portside; hit; ttl=42"), "hit");
    assert_string_equal(ps_query_verdict("portside; fwd=uri-miss; stored"),
                        "miss");
    assert_string_equal(ps_query_verdict("portside; fwd=stale"), "stale");
    assert_string_equal(
        ps_query_verdict("portside; fwd=bypass; detail=volatile_function"),
        "bypass");
    assert_string_equal(ps_query_verdict(""), "-");
}

static void
shows_reachability(void **state)
{
    static const char run[] =
        "{\"results\":[{\"region\":\"eu\",\"agentName\":\"a\",\"done\":true,"
        "\"ok\":true,\"code\":\"ok\",\"sourceAddress\":\"10.0.0.1\","
        "\"targetAddress\":\"10.0.0.2:5432\",\"stages\":["
        "{\"stage\":\"resolve\",\"code\":\"ok\",\"timeUs\":0,\"detail\":\"x\"},"
        "{\"stage\":\"connect\",\"code\":\"ok\",\"timeUs\":1500},"
        "{\"stage\":\"greeting\",\"code\":\"ok\",\"timeUs\":900},"
        "{\"stage\":\"tls\",\"code\":\"skipped\",\"timeUs\":0,"
        "\"detail\":\"not offered\"}]},"
        "{\"region\":\"us\",\"agentName\":\"b\",\"done\":true,\"ok\":false,"
        "\"code\":\"origin_refused\",\"stages\":["
        "{\"stage\":\"resolve\",\"code\":\"ok\",\"timeUs\":20},"
        "{\"stage\":\"connect\",\"code\":\"origin_refused\",\"timeUs\":9}]},"
        "{\"region\":\"us\",\"agentName\":\"c\",\"done\":false,\"stages\":[]}]"
        "}";
    (void)state;
    json_t *json = json_loads(run, 0, NULL);
    struct ps_table *table = ps_reach_table(json);
    ps_table_render(table, false, &out);
    assert_string_equal(
        text(),
        "REGION  AGENT  RESOLVE         CONNECT  GREETING   TLS  SOURCE    "
        "ADDRESS        RESULT\n"
        "eu      a         0.00            1.50      0.90  none  10.0.0.1  "
        "10.0.0.2:5432  reachable\n"
        "us      b         0.02  origin_refused         -     -  -         "
        "-              origin_refused\n"
        "us      c          ...             ...       ...   ...  -         "
        "-              testing\n");
    ps_table_free(&table);
    json_decref(json);
}

static void
makes_client_code(void **state)
{
    (void)state;
    ps_snippet_render("9b2e", "postgres", "http://127.0.0.1:8080", &out);
    const char *code = text();
    assert_non_null(strstr(code, "new Client(\"http://127.0.0.1:8080\", {"));
    assert_non_null(strstr(code, "cacheId: \"9b2e\","));
    assert_non_null(strstr(code, "provider: \"postgres\","));
    assert_non_null(strstr(code, "http://127.0.0.1:8080/sql"));
    assert_non_null(strstr(code, "\"cacheId\": \"9b2e\""));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(aligns_columns),
        TEST(counts_terminal_cells),
        TEST(colours_only_when_asked),
        TEST(data_cannot_drive_the_terminal),
        TEST(writes_json),
        TEST(shows_rows),
        TEST(reads_bindings),
        TEST(reads_cache_status),
        TEST(shows_reachability),
        TEST(makes_client_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
