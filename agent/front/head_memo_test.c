/* What the memo recognises, what it must not, and that it reads the same. */
#include "agent/front/head_memo.h"
#include "tests/unit.h"

#include <stdio.h>

#define BEGIN "POST /sql HTTP/1.1\r\nHost: a\r\nContent-Length: "
#define END   "\r\nCache-Control: max-age=7\r\n\r\n"

static struct ps_head_memo memo;
static unsigned place;

static size_t
parse(const char *text, struct ps_head *head)
{
    size_t end = 0;
    ps_head_begin(head);
    assert_int_equal(ps_head_feed(head, text, 0, strlen(text), &end),
                     PS_HEAD_DONE);
    return end;
}

static void
keep(const char *text)
{
    struct ps_head head;
    size_t end = parse(text, &head);
    ps_head_memo_keep(&memo, &place, (struct ps_str){text, end}, &head);
}

static bool
find(const char *text, struct ps_head *head, size_t *end)
{
    return ps_head_memo_find(&memo, &place, ps_str_of(text), head, end);
}

/* Found, and like what the parser makes of it. */
static void
assert_known(const char *text)
{
    struct ps_head known, parsed;
    size_t end = 0;
    assert_true(find(text, &known, &end));
    assert_int_equal(parse(text, &parsed), end);
    assert_int_equal(known.method, parsed.method);
    assert_int_equal(known.target.at, parsed.target.at);
    assert_int_equal(known.target.len, parsed.target.len);
    assert_int_equal(known.has_length, parsed.has_length);
    assert_int_equal(known.content_length, parsed.content_length);
    assert_int_equal(known.chunked, parsed.chunked);
    assert_int_equal(known.keep_alive, parsed.keep_alive);
    assert_int_equal(known.http_1_0, parsed.http_1_0);
    assert_int_equal(known.expect_continue, parsed.expect_continue);
    assert_int_equal(known.has_max_age, parsed.has_max_age);
    assert_int_equal(known.max_age_s, parsed.max_age_s);
    for (int i = 0; i < PS_HEAD_KEPT_COUNT; i++) {
        assert_int_equal(known.kept[i].at, parsed.kept[i].at);
        assert_int_equal(known.kept[i].len, parsed.kept[i].len);
    }
}

#define HEADERS_AROUND(number)                                               \
    "POST /v1/query HTTP/1.1\r\nHost: a\r\nAccept: application/x-ndjson\r\n" \
    "Content-Length: " number "\r\nAuthorization: Basic YTpi\r\n\r\n"

/* What stands behind the number moves with its digits. */
static void
test_headers_around_the_number(void **state)
{
    (void)state;
    struct ps_head head;
    size_t end;
    keep(HEADERS_AROUND("10"));
    assert_known(HEADERS_AROUND("99"));
    assert_known(HEADERS_AROUND("100000"));
    assert_known(HEADERS_AROUND("7"));
    static const char text[] = HEADERS_AROUND("1234");
    assert_true(find(text, &head, &end));
    assert_true(ps_str_eq(ps_head_value(&head, text, PS_HEAD_AUTHORIZATION),
                          PS_STR("Basic YTpi")));
    assert_true(ps_str_eq(ps_head_value(&head, text, PS_HEAD_ACCEPT),
                          PS_STR("application/x-ndjson")));
}

static void
assert_unknown(const char *text)
{
    struct ps_head head;
    size_t end;
    assert_false(find(text, &head, &end));
}

static int
forget(void **state)
{
    (void)state;
    memset(&memo, 0, sizeof(memo));
    place = 0;
    return 0;
}

static void
test_same_but_for_the_number(void **state)
{
    (void)state;
    assert_unknown(BEGIN "10" END);
    keep(BEGIN "10" END);
    assert_known(BEGIN "10" END "the body");
    assert_known(BEGIN "0" END);
    assert_known(BEGIN "007" END);
    assert_known(BEGIN "999999999999999999" END); /* 18 digits */
    assert_int_equal(memo.found, 4);
}

static void
test_another_head(void **state)
{
    (void)state;
    keep(BEGIN "10" END);
    assert_unknown(BEGIN END);
    assert_unknown(BEGIN "1 0" END);
    assert_unknown(BEGIN "1x" END);
    assert_unknown(BEGIN "-1" END);
    assert_unknown(BEGIN "+1" END);
    assert_unknown(BEGIN "10, 10" END);
    assert_unknown(BEGIN "10 " END);
    assert_unknown(BEGIN "1000000000000000000" END); /* 19 digits */
    assert_unknown(BEGIN "10\r\nContent-Length: 10" END);
    assert_unknown(BEGIN "10\r\nTransfer-Encoding: chunked" END);
    assert_unknown(BEGIN "10\n" END);
    assert_unknown("GET" BEGIN "10" END);
    assert_unknown("POST /sqk HTTP/1.1\r\nHost: a\r\nContent-Length: 10" END);
    assert_unknown("POST /sql HTTP/1.0\r\nHost: a\r\nContent-Length: 10" END);
}

/* Of a head that is not there yet nothing is recognised. */
static void
test_every_prefix(void **state)
{
    (void)state;
    static const char text[] = BEGIN "10" END;
    struct ps_head head;
    size_t end;
    keep(text);
    for (size_t n = 0; n < sizeof(text) - 1; n++)
        assert_false(ps_head_memo_find(&memo, &place, (struct ps_str){text, n},
                                       &head, &end));
    assert_known(text);
}

static void
test_without_a_number(void **state)
{
    (void)state;
    static const char get[] = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char chunked[] =
        "POST /sql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        "Connection: close\r\nExpect: 100-continue\r\n\r\n";
    keep(get);
    keep(chunked);
    assert_known(get);
    assert_known(chunked);
    assert_unknown("GET /healthz HTTP/1.1\r\nHost: a\r\n1\r\n");
}

static void
test_several(void **state)
{
    (void)state;
    char text[PS_HEAD_MEMO_PLACES + 1][64];
    for (size_t i = 0; i < PS_HEAD_MEMO_PLACES + 1; i++) {
        snprintf(text[i], sizeof(text[i]),
                 "GET / HTTP/1.1\r\nHost: a\r\nX: %zu\r\n\r\n", i);
        keep(text[i]);
        keep(text[i]); /* takes no second place */
    }
    assert_unknown(text[0]);
    for (size_t i = 1; i < PS_HEAD_MEMO_PLACES + 1; i++)
        assert_known(text[i]);
}

static void
test_too_long(void **state)
{
    (void)state;
    char text[PS_HEAD_MEMO_BYTES + 64];
    int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    size_t fill = PS_HEAD_MEMO_BYTES - 4 - (size_t)n;
    memset(text + n, 'x', fill + 1);
    memcpy(text + n + fill, "\r\n\r\n", 5);
    keep(text);
    assert_known(text);
    memcpy(text + n + fill, "y\r\n\r\n", 6);
    keep(text);
    assert_unknown(text);
}

/* Where no head comes twice hardly any is kept; one that does come twice is,
 * in the end. */
static void
test_in_vain(void **state)
{
    (void)state;
    char text[64];
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text),
                 "GET / HTTP/1.1\r\nHost: a\r\nX: %d\r\n\r\n", i);
        keep(text);
    }
    assert_unknown(text);
    for (int i = 0; i < 64; i++)
        keep(text);
    assert_known(text);
    keep(BEGIN "10" END);
    assert_known(BEGIN "11" END);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_same_but_for_the_number, forget),
        cmocka_unit_test_setup(test_headers_around_the_number, forget),
        cmocka_unit_test_setup(test_another_head, forget),
        cmocka_unit_test_setup(test_every_prefix, forget),
        cmocka_unit_test_setup(test_without_a_number, forget),
        cmocka_unit_test_setup(test_several, forget),
        cmocka_unit_test_setup(test_too_long, forget),
        cmocka_unit_test_setup(test_in_vain, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
