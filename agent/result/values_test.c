/* PostgreSQL's text to the JSON of node-pg's values, kind by kind. What the
 * published packages make of live values is compared in tests/e2e. */
#include "agent/result/js_number.h"
#include "agent/result/json_copy.h"
#include "agent/result/pg_values.h"
#include "agent/result/values.h"
#include "tests/unit.h"

#include <math.h>
#include <stdio.h>

struct value {
    uint32_t oid;
    const char *text, *json; /* json NULL: node-pg would throw */
};

static void
expect_values(const struct value *values, size_t n)
{
    struct ps_buf out, scratch;
    ps_buf_init(&out, 1 << 20);
    ps_buf_init(&scratch, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        const struct value *v = &values[i];
        ps_buf_clear(&out);
        enum ps_rc rc = ps_pg_value_json(&out, ps_pg_type_of(v->oid),
                                         ps_str_of(v->text), &scratch);
        if ((rc == PS_OK) != (v->json != NULL))
            fail_msg("%s: %s", v->text, ps_err_info(rc)->code);
        if (v->json && !ps_str_eq(ps_buf_str(&out), ps_str_of(v->json)))
            fail_msg("%s: %.*s, not %s", v->text, PS_STR_ARG(ps_buf_str(&out)),
                     v->json);
    }
    ps_buf_done(&out);
    ps_buf_done(&scratch);
}
#define EXPECT(...)                                         \
    do {                                                    \
        static const struct value values[] = {__VA_ARGS__}; \
        expect_values(values, PS_ARRAY_LEN(values));        \
    } while (0)

enum {
    BOOL = 16,
    BYTEA = 17,
    INT8 = 20,
    INT4 = 23,
    TEXT = 25,
    JSON = 114,
    POINT = 600,
    FLOAT8 = 701,
    CIRCLE = 718,
    INT4S = 1007,
    TEXTS = 1009,
    FLOAT8S = 1022,
    DATE = 1082,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184,
    INTERVAL = 1186,
    NUMERICS = 1231,
    NUMERIC = 1700,
    UUID = 2950,
    JSONB = 3802
};

static void
plain_values(void **state)
{
    (void)state;
    EXPECT({BOOL, "t", "true"}, {BOOL, "f", "false"}, {INT4, "-17", "-17"},
           {INT4, "0", "0"}, {INT8, "9007199254740993", "\"9007199254740993\""},
           {NUMERIC, "1.10", "\"1.10\""}, {TEXT, "", "\"\""},
           {TEXT, "a\"b\\c\n\x01", "\"a\\\"b\\\\c\\n\\u0001\""},
           {TEXT, "🎉\u2028</script>", "\"🎉\u2028</script>\""},
           {UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\""},
           {999999, "of a type of the application's own",
            "\"of a type of the application's own\""});
}

static void
numbers_as_json_stringify_writes_them(void **state)
{
    (void)state;
    EXPECT({FLOAT8, "0", "0"}, {FLOAT8, "-0", "0"}, {FLOAT8, "1", "1"},
           {FLOAT8, "0.1", "0.1"}, {FLOAT8, "NaN", "null"},
           {FLOAT8, "Infinity", "null"}, {FLOAT8, "-Infinity", "null"},
           {FLOAT8, "1e+20", "100000000000000000000"},
           {FLOAT8, "1e+21", "1e+21"},
           {FLOAT8, "123456789012345680000", "123456789012345680000"},
           {FLOAT8, "1e-06", "0.000001"}, {FLOAT8, "1e-07", "1e-7"},
           {FLOAT8, "1.5e-07", "1.5e-7"}, {FLOAT8, "5e-324", "5e-324"},
           {FLOAT8, "1.7976931348623157e+308", "1.7976931348623157e+308"},
           {FLOAT8, "0.30000000000000004", "0.30000000000000004"},
           {FLOAT8, "-1.2345678901234567e-308", "-1.2345678901234567e-308"});
}

/* The shortest digits that read back as the same number, in the form that
 * Number.prototype.toString gives them. */
static void
check_shortest(double d)
{
    char text[64], out[PS_JS_NUMBER_MAX + 1], shorter[64];
    snprintf(text, sizeof(text), "%.17g", d);
    size_t len = ps_js_number(ps_str_of(text), false, out);
    assert_true(len < sizeof(out));
    out[len] = '\0';
    if (strtod(out, NULL) != d)
        fail_msg("%s became %s", text, out);
    int digits = 1;
    while (snprintf(shorter, sizeof(shorter), "%.*e", digits - 1, d),
           strtod(shorter, NULL) != d)
        digits++;
    size_t ours = 0;
    const char *end = strchr(out, 'e') ? strchr(out, 'e') : out + len;
    const char *first = out, *last = out;
    for (const char *at = out; at < end; at++)
        if (*at >= '1' && *at <= '9') {
            first = ours ? first : at;
            last = at;
            ours = 1;
        }
    for (ours = 0; first <= last; first++)
        ours += *first >= '0' && *first <= '9';
    if (ours != (size_t)digits)
        fail_msg("%s: %s has %zu digits, %d do", text, out, ours, digits);
    bool exponent = fabs(d) >= 1e21 || fabs(d) < 1e-6;
    assert_int_equal(strchr(out, 'e') != NULL, exponent);
}

static void
random_doubles_are_shortest_and_read_back(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u; /* xorshift: the same each time */
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        double d;
        memcpy(&d, &x, sizeof(d));
        if (isfinite(d) && d != 0)
            check_shortest(d);
        x >>= i % 48; /* subnormal */
        uint64_t few_bits = x & ((1ull << 52) - 1);
        memcpy(&d, &few_bits, sizeof(d));
        if (d != 0)
            check_shortest(d);
        x = x * 6364136223846793005u + 1442695040888963407u;
        double money = (double)(int64_t)(x % 100000000) / 100;
        if (money != 0)
            check_shortest(money);
    }
}

static void
dates_as_to_iso_string(void **state)
{
    (void)state;
    EXPECT(
        {DATE, "2024-02-29", "\"2024-02-29T00:00:00.000Z\""},
        {DATE, "0001-01-01", "\"0001-01-01T00:00:00.000Z\""},
        {DATE, "10000-01-01", "\"+010000-01-01T00:00:00.000Z\""},
        {DATE, "0044-03-15 BC", "\"-000043-03-15T00:00:00.000Z\""},
        {DATE, "0001-12-31 BC", "\"0000-12-31T00:00:00.000Z\""},
        {DATE, "infinity", "null"}, {DATE, "-infinity", "null"},
        {DATE, "275760-09-14", "null"},
        {TIMESTAMP, "2024-02-29 12:34:56.789123",
         "\"2024-02-29T12:34:56.789Z\""},
        {TIMESTAMP, "1969-12-31 23:59:59.999", "\"1969-12-31T23:59:59.999Z\""},
        {TIMESTAMPTZ, "2024-02-29 12:34:56+00", "\"2024-02-29T12:34:56.000Z\""},
        {TIMESTAMPTZ, "2024-02-29 23:34:56.5-05:30",
         "\"2024-03-01T05:04:56.500Z\""},
        {TIMESTAMPTZ, "1880-01-01 00:00:00+00:53:28",
         "\"1879-12-31T23:06:32.000Z\""});
}

static void
intervals_as_objects(void **state)
{
    (void)state;
    EXPECT({INTERVAL, "00:00:00", "{}"}, {INTERVAL, "1 day", "{\"days\":1}"},
           {INTERVAL, "1 year 2 mons -3 days 04:05:06.789",
            "{\"years\":1,\"months\":2,\"days\":-3,\"hours\":4,\"minutes\":5,"
            "\"seconds\":6,\"milliseconds\":789}"},
           {INTERVAL, "-00:00:01.5", "{\"seconds\":-1,\"milliseconds\":-500}"},
           {INTERVAL, "100:00:00", "{\"hours\":100}"},
           {INTERVAL, "00:00:00.000001", "{\"milliseconds\":0.001}"},
           {INTERVAL, "-23:59:59",
            "{\"hours\":-23,\"minutes\":-59,"
            "\"seconds\":-59}"});
}

static void
arrays_of_every_shape(void **state)
{
    (void)state;
    EXPECT({INT4S, "{}", "[]"}, {INT4S, "{1,NULL,-3}", "[1,null,-3]"},
           {INT4S, "{{1,2},{3,4}}", "[[1,2],[3,4]]"},
           {INT4S, "[2:4]={1,2,3}", "[1,2,3]"},
           {INT4S, "{{{1}},{{2}}}", "[[[1]],[[2]]]"},
           {TEXTS, "{a,\"b c\",\"d\\\"e\",\"f\\\\g\",\"\",NULL,\"NULL\"}",
            "[\"a\",\"b c\",\"d\\\"e\",\"f\\\\g\",\"\",null,\"NULL\"]"},
           {TEXTS, "{\"{x}\",\"y,z\"}", "[\"{x}\",\"y,z\"]"},
           {TEXTS, "{🎉}", "[\"🎉\"]"},
           {FLOAT8S, "{1.5,NaN,Infinity,1e+21,NULL}",
            "[1.5,null,null,1e+21,null]"},
           {NUMERICS, "{1.10,12345678901234567890.5}",
            "[1.1,12345678901234567000]"});
}

static void
bytes_points_and_circles(void **state)
{
    (void)state;
    EXPECT({BYTEA, "\\x", "{\"type\":\"Buffer\",\"data\":[]}"},
           {BYTEA, "\\x00ff10", "{\"type\":\"Buffer\",\"data\":[0,255,16]}"},
           {POINT, "(1.5,-2)", "{\"x\":1.5,\"y\":-2}"},
           {CIRCLE, "<(1,2),3>", "{\"x\":1,\"y\":2,\"radius\":3}"});
}

static void
json_is_copied_compact(void **state)
{
    (void)state;
    EXPECT({JSON, " { \"b\" : 1.0 , \"a\" : [ true , null ] } ",
            "{\"b\":1,\"a\":[true,null]}"},
           {JSONB, "{\"n\": 1.50}", "{\"n\":1.5}"}, {JSON, "1e400", "null"},
           {JSON, "-0", "0"},
           {JSON, "12345678901234567890", "12345678901234567000"},
           {JSON, "\"a b\\/\"", "\"a b\\/\""}, {JSON, "[1,", NULL},
           {JSON, "", NULL}, {JSON, "{\"a\" 1}", NULL}, {JSON, "01", NULL},
           {JSON, "nul", NULL}, {JSON, "[1] 2", NULL}, {JSON, "\"\n\"", NULL},
           {JSON, "\"\\u12\"", NULL}, {JSON, "{a:1}", NULL},
           {JSON, "[1,]", NULL}, {JSON, "+1", NULL}, {JSON, ".5", NULL});
}

static void
json_nested_too_deep_is_refused(void **state)
{
    (void)state;
    enum {
        LIMIT = 10000
    };
    char *text = malloc(2 * (LIMIT + 1));
    struct ps_buf out;
    assert_non_null(text);
    ps_buf_init(&out, 1 << 20);
    for (size_t depth = LIMIT; depth <= LIMIT + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        ps_buf_clear(&out);
        assert_int_equal(ps_json_copy(&out, (struct ps_str){text, 2 * depth}),
                         depth == LIMIT ? PS_OK : PS_BAD_JSON);
    }
    ps_buf_done(&out);
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_values),
        cmocka_unit_test(numbers_as_json_stringify_writes_them),
        cmocka_unit_test(random_doubles_are_shortest_and_read_back),
        cmocka_unit_test(dates_as_to_iso_string),
        cmocka_unit_test(intervals_as_objects),
        cmocka_unit_test(arrays_of_every_shape),
        cmocka_unit_test(bytes_points_and_circles),
        cmocka_unit_test(json_is_copied_compact),
        cmocka_unit_test(json_nested_too_deep_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
