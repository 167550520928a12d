/* The two readers of a body agree, and the field rules say what is wrong. */
#include "agent/front/polyscale_agree.h"
#include "agent/front/polyscale_body.h"
#include "common/buf.h"
#include "common/utf8.h"
#include "tests/unit.h"

#define USUAL                                                   \
    "{\"cacheId\":\"c\",\"username\":\"u\",\"password\":\"p\"," \
    "\"sql\":\"select ?\",\"bindings\":[\"x\",null],"           \
    "\"provider\":\"postgres\",\"database\":\"d\"}"

static void
assert_field(const struct ps_polyscale_body *body,
             enum ps_polyscale_field_id id, const char *text)
{
    assert_int_equal(body->fields[id].kind, PS_JSON_STRING);
    assert_true(ps_str_eq(body->fields[id].text, ps_str_of(text)));
}

static void
test_usual(void **state)
{
    (void)state;
    struct ps_arena *arena = ps_arena_new(1 << 16);
    struct ps_polyscale_body body;
    struct ps_str text = PS_STR(USUAL);
    assert_true(ps_polyscale_body_scan(text, arena, &body, NULL));
    assert_field(&body, PS_POLYSCALE_CACHE_ID, "c");
    assert_field(&body, PS_POLYSCALE_USERNAME, "u");
    assert_field(&body, PS_POLYSCALE_PASSWORD, "p");
    assert_field(&body, PS_POLYSCALE_SQL, "select ?");
    assert_field(&body, PS_POLYSCALE_PROVIDER, "postgres");
    assert_field(&body, PS_POLYSCALE_DATABASE, "d");
    assert_int_equal(body.bindings.shape, PS_KNEX_ARRAY);
    assert_int_equal(body.bindings.count, 2);
    assert_int_equal(body.bindings.list[1].value.kind, PS_PARAM_NULL);
    assert_null(ps_polyscale_agree(text));
    /* In place. */
    const char *sql = body.fields[PS_POLYSCALE_SQL].text.ptr;
    assert_true(sql > text.ptr && sql < text.ptr + text.len);
    ps_arena_free(&arena);
}

/* Bodies the scanner must take itself, without jansson. */
static void
test_scanner_accepts(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{}",
        " \t\r\n{ } \n",
        "{\"sql\" : "
        "\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\\u00e9\\u20ac\\ud83d\\ude00\"}",
        "{\"s\\u0071l\":\"x\"}",
        "{\"other\":{\"a\":[1,{\"b\":[]},true,false,null]},\"sql\":\"x\"}",
        "{\"sql\":\"a\",\"sql\":\"b\"}",
        "{\"bindings\":[1],\"bindings\":{\"a\":2}}",
        "{\"bindings\":{\"a\":2},\"bindings\":[]}",
        "{\"bindings\":[1,-0,1.0,1e3,12345678901234567890,0.1e-6]}",
        "{\"bindings\":[[],[1,2],[\"a\",null],[null],[true,false]]}",
        "{\"bindings\":{\"\":1,\"a b\":[],\"\\u0061\":null}}",
        "{\"sql\":1,\"bindings\":\"x\",\"cacheId\":[{}],\"username\":null}",
        "{\"x\":\"\\u0000\"}",
        "{\"sql\":\"\\u007f\x7f\"}",
        "{\"sql\":\"\xF0\x9F\x98\x80 \xC3\xA9\"}",
        USUAL,
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(bodies); i++) {
        struct ps_arena *arena = ps_arena_new(1 << 16);
        struct ps_polyscale_body body;
        if (!ps_polyscale_body_scan(ps_str_of(bodies[i]), arena, &body, NULL))
            fail_msg("not accepted: %s", bodies[i]);
        const char *difference = ps_polyscale_agree(ps_str_of(bodies[i]));
        if (difference)
            fail_msg("%s: %s", bodies[i], difference);
        ps_arena_free(&arena);
    }
}

static void
test_duplicates_last_wins(void **state)
{
    (void)state;
    struct ps_arena *arena = ps_arena_new(1 << 16);
    struct ps_polyscale_body body;
    assert_true(ps_polyscale_body_scan(
        PS_STR("{\"sql\":\"a\",\"bindings\":[1,2],\"sql\":\"b\","
               "\"bindings\":{\"x\":3}}"),
        arena, &body, NULL));
    assert_field(&body, PS_POLYSCALE_SQL, "b");
    assert_int_equal(body.bindings.shape, PS_KNEX_OBJECT);
    assert_int_equal(body.bindings.count, 1);
    ps_arena_free(&arena);
}

struct refusal {
    const char *body;
    enum ps_rc rc;
    const char *words; /* in the message */
};

static void
assert_refused(struct ps_str body, enum ps_rc rc, const char *words)
{
    struct ps_arena *arena = ps_arena_new(64 << 20);
    struct ps_polyscale_body out;
    struct ps_err err = {.message = ""};
    enum ps_rc got = ps_polyscale_body_read(body, arena, &out, &err);
    if (got != rc || !strstr(err.message, words))
        fail_msg("%.200s\ngot %s: %s\nwant %s: %s", body.ptr,
                 ps_err_info(got)->code, err.message, ps_err_info(rc)->code,
                 words);
    assert_int_equal(err.rc, rc);
    ps_arena_free(&arena);
}

#define REST                                                                 \
    ",\"cacheId\":\"c\",\"username\":\"u\",\"password\":\"p\",\"database\":" \
    "\"d\"}"

static void
test_refusals(void **state)
{
    (void)state;
    static const struct refusal table[] = {
        {"",                                                   PS_BAD_JSON,      "ends too early"                   },
        {"[]",                                                 PS_BAD_JSON,      "not a JSON object"                },
        {"\"x\"",                                              PS_BAD_JSON,      ""                                 },
        {"{",                                                  PS_BAD_JSON,      "ends too early"                   },
        {"{}x",                                                PS_BAD_JSON,      "behind its end"                   },
        {"{\"sql\":}",                                         PS_BAD_JSON,      "not valid JSON"                   },
        {"{\"sql\":\"a\n\"}",                                  PS_BAD_JSON,      ""                                 },
        {"{'sql':1}",                                          PS_BAD_JSON,      ""                                 },
        {"{\"sql\":\"a\",}",                                   PS_BAD_JSON,      ""                                 },
        {"{\"a\":01}",                                         PS_BAD_JSON,      ""                                 },
        {"{\"a\":1e999}",                                      PS_BAD_JSON,      "too large"                        },
        {"{\"\\u0000\":1}",                                    PS_BAD_JSON,      "NUL"                              },
        {"\xEF\xBB\xBF{}",                                     PS_BAD_JSON,      ""                                 },
        {"{}",                                                 PS_MISSING_FIELD, "cacheId is missing"               },
        {"{\"cacheId\":\"\"}",                                 PS_MISSING_FIELD, "cacheId is empty"                 },
        {"{\"cacheId\":1}",                                    PS_BAD_FIELD,     "cacheId is a number, not a string"},
        {"{\"cacheId\":\"c\"}",                                PS_MISSING_FIELD, "username is missing"              },
        {"{\"cacheId\":\"c\",\"username\":null}",              PS_BAD_FIELD,
         "username is null"                                                                                         },
        {"{\"cacheId\":\"c\",\"username\":\"u\"}",             PS_MISSING_FIELD,
         "password is missing"                                                                                      },
        {"{\"x\":1" REST,                                      PS_MISSING_FIELD, "sql is missing"                   },
        {"{\"sql\":[]" REST,                                   PS_BAD_FIELD,     "sql is an array"                  },
        {"{\"sql\":\"s\",\"provider\":\"oracle\"" REST,        PS_BAD_FIELD,
         "provider is not known: send one of postgres"                                                              },
        {"{\"sql\":\"s\",\"provider\":7" REST,                 PS_BAD_FIELD,
         "provider is a number"                                                                                     },
        {"{\"sql\":\"s\",\"bindings\":\"x\"" REST,             PS_BAD_FIELD,
         "bindings is a string: send an array or an object"                                                         },
        {"{\"sql\":\"s\",\"bindings\":[{}]" REST,              PS_BAD_BINDINGS,
         "value 1 of bindings is an object"                                                                         },
        {"{\"sql\":\"s\",\"bindings\":[1,[[2]]]" REST,         PS_BAD_BINDINGS,
         "value 2 of bindings is an array within an array"                                                          },
        {"{\"sql\":\"s\",\"bindings\":[[1,\"2\"]]" REST,       PS_BAD_BINDINGS,
         "value 1 of bindings is an array of several types"                                                         },
        {"{\"sql\":\"s\",\"bindings\":{\"a\":{\"b\":1}}" REST, PS_BAD_BINDINGS,
         "value 1 of bindings is an object"                                                                         },
        {"{\"sql\":\"a\\u0000b\"" REST,                        PS_BAD_FIELD,
         "sql holds the character NUL"                                                                              },
        {"{\"sql\":\"s\",\"bindings\":[0,\"\\u0000\"]" REST,   PS_BAD_FIELD,
         "value 2 of bindings holds the character NUL"                                                              },
        {"{\"sql\":\"\\ud800\"" REST,                          PS_BAD_UTF8,
         "sql holds half of a surrogate pair"                                                                       },
        {"{\"sql\":\"\\udc00\\ud800\"" REST,                   PS_BAD_UTF8,      "sql holds half"                   },
        {"{\"sql\":\"s\",\"bindings\":[[\"\\ud800x\"]]" REST,  PS_BAD_UTF8,
         "value 1 of bindings holds half"                                                                           },
        {"{\"sql\":\"a\xFF\"" REST,                            PS_BAD_UTF8,      "sql is not valid UTF-8"           },
        {"{\"sql\":\"s\",\"bindings\":[\"\xC3\"]" REST,        PS_BAD_UTF8,
         "bindings is not valid UTF-8"                                                                              },
        {"\xFF",                                               PS_BAD_UTF8,      "the body is not valid UTF-8"      },
        {"{\"sql\":\"\xED\xA0\x80\"" REST,                     PS_BAD_UTF8,      "sql is not"                       },
        {"{\"sql\":\"\xC0\x80\"" REST,                         PS_BAD_UTF8,      "sql is not"                       },
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(table); i++)
        assert_refused(ps_str_of(table[i].body), table[i].rc, table[i].words);
    assert_refused(PS_STR("{\"sql\":\"a\0b\"}"), PS_BAD_JSON, "");
}

/* A refusal never repeats what the body holds (contract C6). */
static void
test_messages_hold_no_secret(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"password\":\"hunter2\" \"sql\":1}",
        "{\"password\":\"hunter2",
        "{\"password\":hunter2}",
        "{\"cacheId\":\"c\",\"username\":\"u\",\"password\":\"hunter2\"}",
        "{\"password\":\"hunter2\",\"sql\":\"\\ud800\"}",
        "{\"password\":\"hunter2\\u0000\"}",
        "{\"bindings\":[\"hunter2\",{}]}",
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(bodies); i++) {
        struct ps_arena *arena = ps_arena_new(1 << 20);
        struct ps_polyscale_body out;
        struct ps_err err = {.message = ""};
        assert_int_not_equal(
            ps_polyscale_body_read(ps_str_of(bodies[i]), arena, &out, &err),
            PS_OK);
        assert_null(strstr(err.message, "hunter2"));
        ps_arena_free(&arena);
    }
}

/* Valid, but only jansson takes it: deep nesting. */
static void
test_deep_nesting_falls_back(void **state)
{
    (void)state;
    struct ps_arena *arena = ps_arena_new(1 << 20);
    struct ps_polyscale_body out;
    struct ps_err err;
    struct ps_buf body;
    ps_buf_init(&body, 1 << 20);
    ps_buf_append_c(&body, "{\"x\":");
    for (int i = 0; i < 100; i++)
        ps_buf_append_char(&body, '[');
    for (int i = 0; i < 100; i++)
        ps_buf_append_char(&body, ']');
    ps_buf_append_c(&body, ",\"sql\":\"s\"" REST);
    assert_false(ps_polyscale_body_scan(ps_buf_str(&body), arena, &out, &err));
    assert_int_equal(
        ps_polyscale_body_read(ps_buf_str(&body), arena, &out, &err), PS_OK);
    ps_buf_done(&body);
    ps_arena_free(&arena);
}

static void
test_an_overwritten_fault_is_harmless(void **state)
{
    (void)state;
    struct ps_arena *arena = ps_arena_new(1 << 20);
    struct ps_polyscale_body out;
    struct ps_err err;
    assert_int_equal(ps_polyscale_body_read(
                         PS_STR("{\"sql\":\"\\u0000\",\"sql\":\"s\"" REST),
                         arena, &out, &err),
                     PS_OK);
    assert_field(&out, PS_POLYSCALE_SQL, "s");
    ps_arena_free(&arena);
}

static void
test_bounds(void **state)
{
    (void)state;
    struct ps_buf body;
    ps_buf_init(&body, 8 << 20);
    ps_buf_append_c(&body, "{\"bindings\":[0");
    for (int i = 0; i < PS_POLYSCALE_MAX_VALUES; i++)
        ps_buf_append_c(&body, ",0");
    ps_buf_append_c(&body, "]}");
    assert_refused(ps_buf_str(&body), PS_BODY_TOO_BIG, "more than 262144");
    /* jansson's memory is bounded: large bodies it does not get. */
    ps_buf_clear(&body);
    ps_buf_append_c(&body, "{\"x\":[");
    for (int i = 0; i < PS_POLYSCALE_MAX_UNUSUAL_BYTES; i++)
        ps_buf_append_char(&body, '[');
    assert_refused(ps_buf_str(&body), PS_BAD_JSON, "not a JSON object");
    ps_buf_done(&body);
}

/* ---- random bodies ---- */

static uint32_t seed = 1;

static uint32_t
pick(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void
random_text(struct ps_buf *out)
{
    static const char *const pieces[] = {
        "a",
        "sql",
        "\\n",
        "\\u0041",
        "\\ud83d\\ude00",
        "\\ud800",
        "\\u0000",
        "\xC3\xA9",
        "\\\"",
        "\\\\",
        "\\x",
        "\x01",
        "",
        "0123456789abcdef",
        "\\/",
        "\\u12",
        "?",
    };
    ps_buf_append_char(out, '"');
    for (uint32_t n = pick(4); n > 0; n--)
        ps_buf_append_c(out, pieces[pick(PS_ARRAY_LEN(pieces))]);
    ps_buf_append_char(out, '"');
}

static void
random_value(struct ps_buf *out, int depth)
{
    static const char *const words[] = {
        "true", "false", "null", "0",     "-0",  "1.5",
        "1e5",  "01",    "1.",   "1e999", "nul", "12345678901234567890",
        "1E-5", "-",     "123",
    };
    uint32_t kind = pick(depth > 3 ? 4 : 6);
    if (kind < 2) {
        random_text(out);
        return;
    }
    if (kind < 4) {
        ps_buf_append_c(out, words[pick(PS_ARRAY_LEN(words))]);
        return;
    }
    ps_buf_append_char(out, kind == 4 ? '[' : '{');
    for (uint32_t i = 0, n = pick(4); i < n; i++) {
        if (i > 0)
            ps_buf_append_char(out, ',');
        if (kind == 5) {
            random_text(out);
            ps_buf_append_char(out, ':');
        }
        random_value(out, depth + 1);
    }
    ps_buf_append_char(out, kind == 4 ? ']' : '}');
}

static void
random_body(struct ps_buf *out)
{
    ps_buf_clear(out);
    ps_buf_append_char(out, '{');
    for (uint32_t i = 0, n = pick(8); i < n; i++) {
        if (i > 0)
            ps_buf_append_char(out, ',');
        if (pick(8) == 0) {
            random_text(out);
        } else {
            ps_buf_append_json(out, ps_str_of(ps_polyscale_key(
                                        (enum ps_polyscale_field_id)pick(
                                            PS_POLYSCALE_FIELD_COUNT))));
        }
        ps_buf_append_char(out, ':');
        random_value(out, 0);
    }
    ps_buf_append_char(out, '}');
    if (pick(4) == 0 && out->len > 0) /* and something broken */
        out->data[pick((uint32_t)out->len)] = "\"\\{}[],:0 \n"[pick(11)];
}

static void
test_readers_agree(void **state)
{
    (void)state;
    struct ps_buf body;
    size_t accepted = 0;
    ps_buf_init(&body, 1 << 20);
    for (int i = 0; i < 60000; i++) {
        random_body(&body);
        struct ps_str text = ps_buf_str(&body);
        if (ps_utf8_check(text) < text.len)
            continue;
        const char *difference = ps_polyscale_agree(text);
        if (difference)
            fail_msg("%.*s\n%s", PS_STR_ARG(text), difference);
        struct ps_arena *arena = ps_arena_new(1 << 20);
        struct ps_polyscale_body out;
        accepted += ps_polyscale_body_scan(text, arena, &out, NULL);
        ps_arena_free(&arena);
    }
    assert_true(accepted > 1000);
    ps_buf_done(&body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usual),
        cmocka_unit_test(test_scanner_accepts),
        cmocka_unit_test(test_duplicates_last_wins),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_messages_hold_no_secret),
        cmocka_unit_test(test_deep_nesting_falls_back),
        cmocka_unit_test(test_an_overwritten_fault_is_harmless),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_readers_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
