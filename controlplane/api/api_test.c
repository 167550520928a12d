/*
 * Requests through the route table without a network: order of the refusals
 * (path, method, token, body), and what a failed handler leaves behind. The
 * whole API over HTTPS is tests/e2e/controlplane.test.mjs.
 */
#include "common/clock.h"
#include "common/log.h"
#include "controlplane/api/api_private.h"
#include "tests/unit.h"

#include <stdio.h>
#include <unistd.h>

struct world {
    char dir[64];
    char bearer[64];
    struct ps_clock *clock;
    struct ps_loop *loop;
    struct ps_db *db;
    struct ps_ca *ca;
    struct ps_fleet *fleet;
    int events;
    struct ps_api api;
    struct api_request request;
};

static void
on_publish(void *arg, PS_UNUSED struct ps_str event)
{
    ((struct world *)arg)->events++;
}

static void
on_reply(PS_UNUSED void *arg, PS_UNUSED void *call, PS_UNUSED struct ps_str b)
{
}

static int
setup(void **state)
{
    char path[80], text[PS_API_TOKEN_TEXT];
    struct ps_api_token token;
    struct world *w = calloc(1, sizeof(*w));
    ps_log_set_level(PS_LOG_OFF);
    snprintf(w->dir, sizeof(w->dir), "/tmp/portside-api-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(path, sizeof(path), "%s/p.db", w->dir);
    w->clock = ps_clock_virtual_new();
    w->loop = ps_loop_new(w->clock, "test");
    assert_int_equal(ps_db_open(&w->db, path, NULL), PS_OK);
    assert_int_equal(ps_ca_open(&w->ca, w->dir, NULL), PS_OK);
    struct ps_fleet_conf conf = {
        .loop = w->loop,
        .db = w->db,
        .ca = w->ca,
        .lease_ms = 2000,
        .heartbeat_ms = 400,
        .tick_ms = 250,
        .log_entries = 64,
        .log_bytes = 1 << 20,
        .publish = on_publish,
        .reply = on_reply,
        .arg = w,
    };
    assert_int_equal(ps_fleet_new(&w->fleet, &conf, NULL), PS_OK);
    ps_api_make_token("admin", &token, text);
    assert_int_equal(ps_db_token_insert(w->db, &token, NULL), PS_OK);
    snprintf(w->bearer, sizeof(w->bearer), "Bearer %s", text);
    w->api = (struct ps_api){
        .magic = API_MAGIC,
        .conf = {.loop = w->loop, .db = w->db, .ca = w->ca, .fleet = w->fleet},
        .url = "https://cp.example.com:7600"
    };
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    static const char *const files[] = {"p.db", "p.db-wal", "p.db-shm",
                                        "ca.key", "ca.crt"};
    struct world *w = *state;
    api_request_done(&w->request);
    ps_fleet_free(&w->fleet);
    ps_db_close(&w->db);
    ps_ca_close(&w->ca);
    ps_loop_free(&w->loop);
    ps_clock_virtual_free(&w->clock);
    for (size_t i = 0; i < PS_ARRAY_LEN(files); i++) {
        char path[80];
        snprintf(path, sizeof(path), "%s/%s", w->dir, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(w->dir), 0);
    free(w);
    return 0;
}

/* The status; the body is w->request.out until the next call. */
static int
call_as(struct world *w, const char *authorization, enum api_method method,
        const char *path, const char *body)
{
    api_request_done(&w->request);
    w->request = (struct api_request){
        .api = &w->api,
        .method = method,
        .path = path,
        .authorization = authorization,
        .text = ps_str_of(body),
    };
    api_run(&w->request);
    return w->request.status;
}

static int
call(struct world *w, enum api_method method, const char *path,
     const char *body)
{
    return call_as(w, w->bearer, method, path, body);
}

static void
assert_says(struct world *w, const char *text)
{
    struct ps_buf *out = &w->request.out;
    if (!out->len || !memmem(out->data, out->len, text, strlen(text)))
        fail_msg("\"%s\" is not in: %.*s", text, (int)out->len, out->data);
}

static void
path_method_token_body_in_this_order(void **state)
{
    struct world *w = *state;
    assert_int_equal(call_as(w, NULL, API_GET, "/v1/nothing", "{"), 404);
    assert_int_equal(call_as(w, NULL, API_PUT, "/v1/caches", "{"), 405);
    assert_string_equal(w->request.allow, "GET, POST");
    assert_int_equal(call_as(w, NULL, API_POST, "/v1/caches", "{"), 401);
    assert_int_equal(call(w, API_POST, "/v1/caches", "{"), 400);
    assert_says(w, "\"code\":\"bad_json\"");
    assert_int_equal(call(w, API_POST, "/v1/caches", "{}"), 400);
    assert_says(w, "\"code\":\"missing_field\"");
    assert_int_equal(call_as(w, NULL, API_GET, "/healthz", ""), 200);
}

static void
only_the_very_token_opens(void **state)
{
    struct world *w = *state;
    char other[sizeof(w->bearer)];
    const char *const wrong[] = {"", "Bearer", "Bearer ", "Basic YTpi",
                                 "Bearer psk_"};
    for (size_t i = 0; i < PS_ARRAY_LEN(wrong); i++)
        assert_int_equal(call_as(w, wrong[i], API_GET, "/v1/status", ""), 401);
    for (size_t i = strlen("Bearer "); w->bearer[i]; i++) {
        memcpy(other, w->bearer, sizeof(other));
        other[i] ^= 1;
        assert_int_equal(call_as(w, other, API_GET, "/v1/status", ""), 401);
    }
    assert_int_equal(call(w, API_GET, "/v1/status", ""), 200);
}

static void
an_error_replaces_what_was_written(void **state)
{
    struct world *w = *state;
    assert_int_equal(call(w, API_GET, "/v1/caches/x/reachability", ""), 404);
    assert_int_equal(w->request.out.data[0], '{');
    assert_says(w, "\"statusCode\":404");
    assert_int_equal(call(w, API_DELETE, "/v1/regions/x", ""), 404);
    assert_says(w, "\"code\":\"not_found\"");
    /* Messages name fields, never values. */
    assert_int_equal(
        call(w, API_POST, "/v1/regions", "{\"name\":\"S3CRET VALUE\"}"), 400);
    assert_null(memmem(w->request.out.data, w->request.out.len, "S3CRET", 6));
}

#define SHOP                                        \
    "{\"name\":\"shop\",\"database\":\"postgres\"," \
    "\"host\":\"db.example.com\"}"

static void
a_change_is_told_and_a_refused_one_is_not(void **state)
{
    struct world *w = *state;
    int before = w->events;
    assert_int_equal(call(w, API_POST, "/v1/caches", SHOP), 201);
    assert_int_equal(strncmp(w->request.location, "/v1/caches/", 11), 0);
    assert_true(w->events > before);
    before = w->events;
    assert_int_equal(call(w, API_POST, "/v1/caches", SHOP), 409);
    assert_int_equal(w->events, before);
    assert_int_equal(ps_db_config_version(w->db), 1);
}

static void
a_ca_must_be_one(void **state)
{
    struct world *w = *state;
    assert_int_equal(call(w, API_POST, "/v1/caches",
                          "{\"name\":\"a\",\"database\":\"postgres\","
                          "\"host\":\"h\",\"tlsCa\":\"junk\"}"),
                     400);
    assert_says(w, "tlsCa");
    char body[8192];
    json_t *json = json_pack("{ssssssss}", "name", "a", "database", "postgres",
                             "host", "h", "tlsCa", ps_ca_certificate(w->ca));
    size_t len = json_dumpb(json, body, sizeof(body) - 1, 0);
    json_decref(json);
    assert_in_range(len, 1, sizeof(body) - 1);
    body[len] = '\0';
    assert_int_equal(call(w, API_POST, "/v1/caches", body), 201);
    char both[4096];
    snprintf(both, sizeof(both), "%s-----BEGIN PRIVATE KEY-----\nS3CRET\n",
             ps_ca_certificate(w->ca));
    json = json_pack("{ssssssss}", "name", "b", "database", "postgres", "host",
                     "h", "tlsCa", both);
    len = json_dumpb(json, body, sizeof(body) - 1, 0);
    json_decref(json);
    assert_in_range(len, 1, sizeof(body) - 1);
    body[len] = '\0';
    assert_int_equal(call(w, API_POST, "/v1/caches", body), 400);
    assert_says(w, "private key");
}

/* A member of the last reply's definition; "rules" by its number. */
static json_t *
reply_rules(struct world *w, size_t count)
{
    json_t *json = json_loadb(w->request.out.data, w->request.out.len, 0, NULL);
    json_t *rules = json_incref(json_object_get(json, "rules"));
    json_decref(json);
    assert_int_equal(json_array_size(rules), count);
    return rules;
}

#define RULE(key, ttl)                                          \
    "{\"type\":\"table\",\"key\":\"" key "\",\"mode\":\"ttl\"," \
    "\"ttlMs\":" ttl "}"

/* Fields and rules change together or not at all. */
static void
a_definition_is_one_object(void **state)
{
    struct world *w = *state;
    char path[128], id[37];
    assert_int_equal(call(w, API_POST, "/v1/caches",
                          "{\"name\":\"shop\",\"database\":\"postgres\","
                          "\"host\":\"h\",\"rules\":[" RULE(
                              "a", "1000") "," RULE("b", "2000") "]}"),
                     201);
    snprintf(path, sizeof(path), "%s/definition", w->request.location);
    json_t *rules = reply_rules(w, 2);
    const json_t *first = json_array_get(rules, 0);
    snprintf(id, sizeof(id), "%s",
             json_string_value(json_object_get(first, "id")));
    json_decref(rules);
    assert_int_equal(ps_db_config_version(w->db), 1);

    static const char *const refused[] = {
        "{}",
        "{\"poolMax\":7,\"rules\":[{\"type\":\"table\"}]}",
        "{\"poolMax\":0,\"rules\":[]}",
        "{\"poolMax\":7,\"rules\":{}}",
        "{\"poolMax\":7,\"nonsense\":1,\"rules\":[]}",
        "{\"poolMax\":7,\"rules\":[" RULE("a", "1") "," RULE("a", "2") "]}",
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(refused); i++)
        assert_int_equal(call(w, API_PATCH, path, refused[i]), 400);
    assert_int_equal(ps_db_config_version(w->db), 1);
    assert_int_equal(call(w, API_GET, path, ""), 200);
    assert_says(w, "\"poolMax\":20");
    json_decref(reply_rules(w, 2));

    assert_int_equal(call(w, API_PATCH, path,
                          "{\"poolMax\":7,\"rules\":[" RULE(
                              "c", "3000") "," RULE("a", "1000") "]}"),
                     200);
    assert_says(w, "\"poolMax\":7");
    assert_says(w, "\"revision\":2");
    assert_int_equal(ps_db_config_version(w->db), 2);
    rules = reply_rules(w, 2);
    /* The one that stayed is the same still. */
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(rules, 0), "id")), id);
    json_decref(rules);
    assert_int_equal(call(w, API_PATCH, path, "{\"poolMax\":8}"), 200);
    json_decref(reply_rules(w, 2));
    assert_int_equal(call(w, API_PATCH, path, "{\"rules\":[]}"), 200);
    json_decref(reply_rules(w, 0));
}

static void
tags_are_listed_exactly(void **state)
{
    static const struct {
        const char *header, *etag;
        int strong, weak; /* 1 listed, 0 not, -1 no list */
    } cases[] = {
        {"\"1\"",            "\"1\"",    1,  1 },
        {"\"11\"",           "\"1\"",    0,  0 },
        {"\"1\"",            "\"11\"",   0,  0 },
        {" \"a\" ,\t\"1\" ", "\"1\"",    1,  1 },
        {"\"a\",W/\"1\"",    "\"1\"",    0,  1 },
        {"\"1.ab\"",         "\"1\"",    1,  0 },
        {"\"1\"",            "\"1.cd\"", 1,  0 },
        {"\"1.ab\"",         "\"1.ab\"", 1,  1 },
        {"\"1.ab\"",         "\"11\"",   0,  0 },
        {"*",                "",         1,  1 },
        {" * ",              "\"1\"",    1,  1 },
        {"\"\"",             "",         0,  0 },
        {"",                 "\"1\"",    -1, -1},
        {"1",                "1",        -1, -1},
        {"\"1",              "\"1\"",    -1, -1},
        {"\"1\",",           "\"1\"",    -1, -1},
        {"\"1\" \"2\"",      "\"1\"",    -1, -1},
        {"*, \"1\"",         "\"1\"",    -1, -1},
        {"w/\"1\"",          "\"1\"",    -1, -1},
        {"\"a b\"",          "\"1\"",    -1, -1},
        {"W/",               "\"1\"",    -1, -1},
    };
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        for (int strong = 0; strong < 2; strong++) {
            bool listed = false;
            bool list =
                api_etag_listed(ps_str_of(cases[i].header),
                                ps_str_of(cases[i].etag), strong != 0, &listed);
            int want = strong ? cases[i].strong : cases[i].weak;
            if ((list ? (int)listed : -1) != want)
                fail_msg("%s in %s (%d)", cases[i].etag, cases[i].header,
                         strong);
        }
    }
}

static void
keys_are_a_few_visible_characters(void **state)
{
    static const char *const bad[] = {
        "", "\"", "\"\"", "a b", "a\"b", "a\\b", "a\x7F", "\xC3\xA9", "\"a"};
    char longest[API_KEY_MAX + 2];
    struct ps_str key;
    (void)state;
    assert_true(api_read_key(PS_STR("a-1"), &key));
    assert_true(ps_str_eq(key, PS_STR("a-1")));
    assert_true(api_read_key(PS_STR("\"a-1\""), &key));
    assert_true(ps_str_eq(key, PS_STR("a-1")));
    for (size_t i = 0; i < PS_ARRAY_LEN(bad); i++)
        assert_false(api_read_key(ps_str_of(bad[i]), &key));
    memset(longest, 'x', sizeof(longest));
    assert_true(api_read_key((struct ps_str){longest, API_KEY_MAX}, &key));
    assert_false(api_read_key((struct ps_str){longest, API_KEY_MAX + 1}, &key));
}

static void
cursors_come_back_and_only_to_their_list(void **state)
{
    static const char *const keys[] = {"query", "sel\xC3\xA9", ""};
    char text[API_CURSOR_TEXT], other[API_CURSOR_TEXT], huge[API_CURSOR_MAX];
    struct api_cursor cursor;
    (void)state;
    assert_true(api_cursor_write(text, "rules", keys, 3));
    assert_true(api_cursor_read(text, "rules", 3, &cursor));
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(cursor.key[i], keys[i]);
    assert_false(api_cursor_read(text, "rules", 2, &cursor));
    assert_false(api_cursor_read(text, "rules", 4, &cursor));
    assert_false(api_cursor_read(text, "rule", 3, &cursor));
    assert_false(api_cursor_read("", "rules", 3, &cursor));
    for (size_t i = 0; text[i]; i++) {
        memcpy(other, text, sizeof(other));
        other[i] = '*';
        assert_false(api_cursor_read(other, "rules", 3, &cursor));
        other[i] = '\0';
        assert_false(api_cursor_read(other, "rules", 3, &cursor));
    }
    memset(huge, 'x', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    const char *key = huge;
    assert_false(api_cursor_write(text, "caches", &key, 1));
    huge[API_CURSOR_MAX - 1 - strlen("caches") - 1] = '\0';
    assert_true(api_cursor_write(text, "caches", &key, 1));
    assert_true(api_cursor_read(text, "caches", 1, &cursor));
}

/* As a client would whose first answer did not arrive. */
static void
a_creation_repeated_with_its_key_is_the_first(void **state)
{
    struct world *w = *state;
    char first[8192] = "";
    for (int i = 0; i < 3; i++) {
        api_request_done(&w->request);
        w->request = (struct api_request){.api = &w->api,
                                          .method = API_POST,
                                          .path = "/v1/caches",
                                          .authorization = w->bearer,
                                          .idempotency_key = "k",
                                          .text = ps_str_of(SHOP)};
        int before = w->events;
        api_run(&w->request);
        assert_int_equal(w->request.status, 201);
        assert_int_equal(w->request.replayed, i > 0);
        /* Nobody is told a second time. */
        assert_int_equal(w->events > before, i == 0);
        if (i == 0)
            snprintf(first, sizeof(first), "%.*s", (int)w->request.out.len,
                     w->request.out.data);
        assert_int_equal(w->request.out.len, strlen(first));
        assert_memory_equal(w->request.out.data, first, strlen(first));
        assert_string_equal(w->request.etag, "\"1\"");
    }
    assert_int_equal(ps_db_config_version(w->db), 1);
}

static void
times_and_texts_are_written_as_json(void **state)
{
    (void)state;
    struct ps_buf out;
    ps_buf_init(&out, 1024);
    api_open(&out, NULL, '{');
    api_put_text(&out, "a", "q\"\\\n\x01\xC3\xBC");
    api_put_time(&out, "b", 0);
    api_put_time(&out, "c", 1700000000123);
    api_put_text_or_null(&out, "d", "");
    api_open(&out, "e", '[');
    api_put_int(&out, NULL, -1);
    api_put_bool(&out, NULL, true);
    api_close(&out, ']');
    api_close(&out, '}');
    assert_int_equal(ps_buf_rc(&out), PS_OK);
    json_t *json = json_loadb(out.data, out.len, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "a")),
                        "q\"\\\n\x01\xC3\xBC");
    assert_true(json_is_null(json_object_get(json, "b")));
    assert_string_equal(json_string_value(json_object_get(json, "c")),
                        "2023-11-14T22:13:20.123Z");
    assert_true(json_is_null(json_object_get(json, "d")));
    assert_int_equal(json_array_size(json_object_get(json, "e")), 2);
    json_decref(json);
    ps_buf_done(&out);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(path_method_token_body_in_this_order),
        TEST(only_the_very_token_opens),
        TEST(an_error_replaces_what_was_written),
        TEST(a_change_is_told_and_a_refused_one_is_not),
        TEST(a_ca_must_be_one),
        TEST(a_definition_is_one_object),
        TEST(a_creation_repeated_with_its_key_is_the_first),
        cmocka_unit_test(tags_are_listed_exactly),
        cmocka_unit_test(keys_are_a_few_visible_characters),
        cmocka_unit_test(cursors_come_back_and_only_to_their_list),
        cmocka_unit_test(times_and_texts_are_written_as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
