/* The file of logins and the environment that goes before it. */
#include "cli/settings.h"
#include "common/file.h"
#include "tests/unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/psctl-test-XXXXXX";
static char path[128], ca[128];
static struct ps_fault fault;

static int
set_up(void **state)
{
    (void)state;
    memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/sub/psctl.json", dir);
    snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
    unsetenv("PORTSIDE_URL");
    unsetenv("PORTSIDE_TOKEN");
    unsetenv("PORTSIDE_CA");
    unsetenv("PORTSIDE_CONTEXT");
    setenv("PSCTL_CONFIG", path, 1);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    char sub[128];
    unlink(path);
    unlink(ca);
    snprintf(sub, sizeof(sub), "%s/sub", dir);
    rmdir(sub);
    return rmdir(dir);
}

static void
save(char *url, char *token, char *pem)
{
    struct ps_settings s = {
        .path = path, .url = url, .token = token, .ca_pem = pem};
    assert_int_equal(ps_settings_save(&s, &fault), PS_EXIT_OK);
}

static void
keeps_a_login(void **state)
{
    struct ps_settings s;
    struct stat st;
    (void)state;
    assert_int_equal(ps_settings_load(&s, NULL, &fault), PS_EXIT_OK);
    assert_null(s.url);
    ps_settings_done(&s);
    save("https://a:7600", "psk_1", "PEM");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(ps_settings_load(&s, NULL, &fault), PS_EXIT_OK);
    assert_string_equal(s.url, "https://a:7600");
    assert_string_equal(s.token, "psk_1");
    assert_string_equal(s.ca_pem, "PEM");
    ps_settings_done(&s);
}

static void
forgets_a_login(void **state)
{
    struct ps_settings s = {.path = path};
    bool had;
    (void)state;
    assert_int_equal(ps_settings_forget(&s, &had, &fault), PS_EXIT_OK);
    assert_false(had);
    save("https://a:7600", "psk_1", NULL);
    assert_int_equal(ps_settings_forget(&s, &had, &fault), PS_EXIT_OK);
    assert_true(had);
    assert_int_equal(ps_settings_load(&s, NULL, &fault), PS_EXIT_OK);
    assert_null(s.url);
    assert_null(s.token);
    ps_settings_done(&s);
}

static void
other_contexts_stay(void **state)
{
    static const char before[] =
        "{\"version\":1,\"current\":\"b\",\"contexts\":{\"a\":{\"url\":\"https:"
        "//a\",\"token\":\"t\"},\"b\":{\"url\":\"https://b\"}}}";
    struct ps_err err;
    char *text;
    (void)state;
    save("https://x", "y", NULL);
    assert_int_equal(ps_file_write(path, ps_str_of(before), 0600, &err), PS_OK);
    save("https://c", "z", NULL);
    assert_int_equal(ps_secret_read(path, &text, &fault), PS_EXIT_OK);
    json_t *file = json_loads(text, 0, NULL);
    const json_t *all = json_object_get(file, "contexts");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(all, "a"), "url")),
        "https://a");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(all, "b"), "url")),
        "https://c");
    json_decref(file);
    ps_secret_free(&text);
}

static void
environment_goes_first(void **state)
{
    struct ps_settings s;
    struct ps_err err;
    (void)state;
    save("https://a:7600", "psk_1", "PEM");
    assert_int_equal(ps_file_write(ca, PS_STR("OTHER"), 0600, &err), PS_OK);
    setenv("PORTSIDE_TOKEN", "psk_2", 1);
    setenv("PORTSIDE_CA", ca, 1);
    setenv("PORTSIDE_URL", "https://a:7600/v1/", 1);
    assert_int_equal(ps_settings_load(&s, NULL, &fault), PS_EXIT_OK);
    assert_string_equal(s.url, "https://a:7600");
    assert_string_equal(s.token, "psk_2");
    assert_string_equal(s.ca_pem, "OTHER");
    ps_settings_done(&s);
}

/* A stored token must not go to a server that it was not made for. */
static void
another_url_hides_the_stored_token(void **state)
{
    struct ps_settings s;
    (void)state;
    save("https://a:7600", "psk_1", "PEM");
    setenv("PORTSIDE_URL", "https://b:7600/", 1);
    assert_int_equal(ps_settings_load(&s, NULL, &fault), PS_EXIT_OK);
    assert_string_equal(s.url, "https://b:7600");
    assert_null(s.token);
    assert_null(s.ca_pem);
    ps_settings_done(&s);
}

static void
write_contexts(void)
{
    static const char text[] =
        "{\"version\":1,\"current\":\"b\",\"contexts\":{"
        "\"a\":{\"url\":\"https://a\",\"token\":\"ta\",\"ca\":\"PEM\"},"
        "\"b\":{\"url\":\"https://b\",\"token\":\"tb\"}}}";
    struct ps_err err;
    save("https://x", "y", NULL); /* makes the directory */
    assert_int_equal(ps_file_write(path, ps_str_of(text), 0600, &err), PS_OK);
}

/* url and token of the login that counts. */
static void
expect(const char *context, const char *url, const char *token)
{
    struct ps_settings s;
    assert_int_equal(ps_settings_load(&s, context, &fault), PS_EXIT_OK);
    assert_string_equal(s.url, url);
    assert_string_equal(s.token, token);
    ps_settings_done(&s);
}

static void
which_context_counts(void **state)
{
    (void)state;
    write_contexts();
    expect(NULL, "https://b", "tb");
    setenv("PORTSIDE_CONTEXT", "a", 1);
    expect(NULL, "https://a", "ta");
    setenv("PORTSIDE_TOKEN", "te", 1);
    expect(NULL, "https://a", "te");
    expect("b", "https://b", "tb"); /* the option: nothing of the environment */
    setenv("PORTSIDE_URL", "https://e", 1);
    expect(NULL, "https://e", "te");
    expect("a", "https://a", "ta");
}

static void
an_unknown_context_is_reported(void **state)
{
    struct ps_settings s;
    (void)state;
    write_contexts();
    setenv("PORTSIDE_CONTEXT", "prod", 1);
    assert_int_equal(ps_settings_load(&s, NULL, &fault), PS_EXIT_NOT_FOUND);
    assert_non_null(strstr(fault.message, "psctl context list"));
    assert_null(s.token);
    ps_settings_done(&s);
}

static void
a_token_may_stay_in_its_file(void **state)
{
    struct ps_err err;
    struct ps_settings s = {.path = path,
                            .context = (char[]){"far"},
                            .url = (char[]){"https://f"},
                            .token_path = ca};
    (void)state;
    assert_int_equal(ps_file_write(ca, PS_STR("psk_1\n"), 0600, &err), PS_OK);
    assert_int_equal(ps_settings_save(&s, &fault), PS_EXIT_OK);
    expect("far", "https://f", "psk_1");
    expect(NULL, "https://f", "psk_1"); /* the first is the current one */
    assert_int_equal(ps_file_write(ca, PS_STR("psk_2\n"), 0600, &err), PS_OK);
    expect(NULL, "https://f", "psk_2");
    setenv("PORTSIDE_URL", "https://other", 1);
    assert_int_equal(ps_settings_load(&s, NULL, &fault), PS_EXIT_OK);
    assert_null(s.token);
    ps_settings_done(&s);
}

static void
broken_file_is_reported(void **state)
{
    struct ps_settings s;
    struct ps_err err;
    (void)state;
    save("https://x", "psk_secret", NULL);
    assert_int_equal(
        ps_file_write(path, PS_STR("{\"token\":\"psk_secret\""), 0600, &err),
        PS_OK);
    assert_int_equal(ps_settings_load(&s, NULL, &fault), PS_EXIT_FAILED);
    assert_non_null(strstr(fault.message, path));
    assert_null(strstr(fault.message, "psk_secret"));
    ps_settings_done(&s);
}

static void
judges_replies(void **state)
{
    /* clang-format off */
    static const struct {
        long status;
        const char *json, *part;
        enum ps_exit rc;
    } cases[] = {
        {204, NULL, "", PS_EXIT_OK},
        {409, "{\"code\":\"conflict\",\"message\":\"the name is taken\"}",
         "the name is taken", PS_EXIT_FAILED},
        {404, "{\"code\":\"cache_not_found\",\"message\":\"no cache\"}",
         "no cache", PS_EXIT_NOT_FOUND},
        {401, "{\"code\":\"unauthorized\",\"message\":\"no\"}", "psctl login",
         PS_EXIT_CONNECT},
        {404, NULL, "HTTP 404", PS_EXIT_FAILED},
        {502, "[]", "check the address", PS_EXIT_FAILED},
    };
    /* clang-format on */
    struct ps_rest_call call = {
        .base = "https://h:1", .path = "/v1/x", .token = "psk_secret"};
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        struct ps_rest_reply reply = {.status = cases[i].status};
        reply.json = cases[i].json ? json_loads(cases[i].json, 0, NULL) : NULL;
        memset(&fault, 0, sizeof(fault));
        assert_int_equal(ps_rest_judge(&call, &reply, &fault), cases[i].rc);
        assert_non_null(strstr(fault.message, cases[i].part));
        assert_null(strstr(fault.message, "psk_secret"));
        ps_rest_reply_done(&reply);
    }
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(keeps_a_login),
        TEST(forgets_a_login),
        TEST(other_contexts_stay),
        TEST(environment_goes_first),
        TEST(another_url_hides_the_stored_token),
        TEST(which_context_counts),
        TEST(an_unknown_context_is_reported),
        TEST(a_token_may_stay_in_its_file),
        TEST(broken_file_is_reported),
        TEST(judges_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
