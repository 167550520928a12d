/* Definitions are found by id whatever its case, replaced all at once, and
 * live as long as somebody holds them. */
#include "agent/config/config.h"
#include "tests/unit.h"

#define ID_A "0b0e5f2a-0000-4000-8000-00000000000a"
#define ID_B "0b0e5f2a-0000-4000-8000-00000000000b"

static void
test_provider(void **state)
{
    (void)state;
    enum ps_provider provider = PS_PROVIDER_COUNT;
    assert_true(ps_provider_parse(PS_STR("mariadb"), &provider));
    assert_int_equal(provider, PS_PROVIDER_MARIADB);
    assert_false(ps_provider_parse(PS_STR("maria"), &provider));
    assert_false(ps_provider_parse(PS_STR("postgresql"), &provider));
    assert_false(ps_provider_parse(PS_STR(""), &provider));
    assert_int_equal(provider, PS_PROVIDER_MARIADB);
    assert_int_equal(ps_provider_port(PS_PROVIDER_MSSQL), 1433);
    assert_string_equal(ps_provider_text(PS_PROVIDER_POSTGRES), "postgres");
}

static void
test_find_folds_case(void **state)
{
    (void)state;
    struct ps_config *config = ps_config_new();
    struct ps_cache_conf *confs[] = {
        ps_cache_conf_new("0B0E5F2A-0000-4000-8000-00000000000A", "a", "h")};
    assert_int_equal(ps_config_replace(config, 7, confs, 1), PS_OK);
    assert_null(confs[0]);
    assert_int_equal(ps_config_version(config), 7);
    assert_int_equal(ps_config_count(config), 1);
    struct ps_cache_conf *found =
        ps_config_find(config, PS_STR("0b0E5f2A-0000-4000-8000-00000000000a"));
    assert_non_null(found);
    assert_string_equal(found->id, ID_A);
    assert_null(ps_config_find(config, PS_STR(ID_B)));
    assert_null(ps_config_find(config, PS_STR("0b0e5f2a")));
    assert_null(ps_config_find(config, PS_STR("")));
    ps_cache_conf_unref(&found);
    ps_config_free(&config);
}

static void
test_replace_keeps_what_is_held(void **state)
{
    (void)state;
    struct ps_config *config = ps_config_new();
    struct ps_cache_conf *confs[] = {ps_cache_conf_new(ID_A, "old", "h"),
                                     ps_cache_conf_new(ID_B, "b", "h")};
    assert_int_equal(ps_config_replace(config, 1, confs, 2), PS_OK);
    struct ps_cache_conf *held = ps_config_find(config, PS_STR(ID_A));
    struct ps_cache_conf *next[] = {ps_cache_conf_new(ID_A, "new", "h")};
    assert_int_equal(ps_config_replace(config, 2, next, 1), PS_OK);
    assert_string_equal(held->name, "old");
    assert_int_equal(held->refs, 1);
    struct ps_cache_conf *now = ps_config_find(config, PS_STR(ID_A));
    assert_string_equal(now->name, "new");
    assert_null(ps_config_find(config, PS_STR(ID_B)));
    ps_cache_conf_unref(&held);
    ps_cache_conf_unref(&now);
    assert_null(now);
    ps_config_free(&config);
}

static void
test_replace_same_id_twice(void **state)
{
    (void)state;
    struct ps_config *config = ps_config_new();
    struct ps_cache_conf *confs[] = {ps_cache_conf_new(ID_A, "first", "h"),
                                     ps_cache_conf_new(ID_A, "last", "h")};
    assert_int_equal(ps_config_replace(config, 1, confs, 2), PS_OK);
    assert_int_equal(ps_config_count(config), 1);
    struct ps_cache_conf *found = ps_config_find(config, PS_STR(ID_A));
    assert_string_equal(found->name, "last");
    ps_cache_conf_unref(&found);
    ps_config_free(&config);
}

static void
test_same_origin(void **state)
{
    (void)state;
    struct ps_cache_conf *a = ps_cache_conf_new(ID_A, "a", "db.example");
    struct ps_cache_conf *b = ps_cache_conf_new(ID_A, "renamed", "db.example");
    b->ttl_max_ms = 5;
    b->pool_max = 1;
    assert_true(ps_cache_conf_same_origin(a, b));
    b->port++;
    assert_false(ps_cache_conf_same_origin(a, b));
    b->port = a->port;
    b->tls_mode = PS_TLS_DISABLE;
    assert_false(ps_cache_conf_same_origin(a, b));
    b->tls_mode = a->tls_mode;
    b->tls_ca_pem = strdup("pem");
    assert_false(ps_cache_conf_same_origin(a, b));
    assert_false(ps_cache_conf_same_origin(b, a));
    a->tls_ca_pem = strdup("pem");
    assert_true(ps_cache_conf_same_origin(a, b));
    ps_cache_conf_unref(&a);
    ps_cache_conf_unref(&b);
}

/* Names that strangers could answer for are verified in full. */
static void
test_tls_mode_auto(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        enum ps_tls_mode mode;
    } cases[] = {
        {"db.example.com",  PS_TLS_VERIFY_FULL},
        {"db.example.com.", PS_TLS_VERIFY_FULL},
        {"8.8.8.8",         PS_TLS_VERIFY_FULL},
        {"172.32.0.1",      PS_TLS_VERIFY_FULL},
        {"2001:db8::1",     PS_TLS_VERIFY_FULL},
        {"xinternal.com",   PS_TLS_VERIFY_FULL},
        {"::ffff:8.8.8.8",  PS_TLS_VERIFY_FULL},
        {"onelabel",        PS_TLS_PREFER     },
        {"localhost",       PS_TLS_PREFER     },
        {"db.internal",     PS_TLS_PREFER     },
        {"db.prod.local.",  PS_TLS_PREFER     },
        {"127.0.0.1",       PS_TLS_PREFER     },
        {"10.1.2.3",        PS_TLS_PREFER     },
        {"172.16.0.1",      PS_TLS_PREFER     },
        {"192.168.1.1",     PS_TLS_PREFER     },
        {"::1",             PS_TLS_PREFER     },
        {"fd00::1",         PS_TLS_PREFER     },
        {"::ffff:10.0.0.1", PS_TLS_PREFER     },
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        struct ps_cache_conf *c = ps_cache_conf_new(ID_A, "a", cases[i].host);
        if (ps_cache_conf_tls_mode(c) != cases[i].mode)
            fail_msg("%s", cases[i].host);
        c->tls_mode = PS_TLS_REQUIRE; /* what is said counts */
        assert_int_equal(ps_cache_conf_tls_mode(c), PS_TLS_REQUIRE);
        ps_cache_conf_unref(&c);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_provider),
        cmocka_unit_test(test_find_folds_case),
        cmocka_unit_test(test_replace_keeps_what_is_held),
        cmocka_unit_test(test_replace_same_id_twice),
        cmocka_unit_test(test_same_origin),
        cmocka_unit_test(test_tls_mode_auto),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
