/* Principals: who is the same, who is dropped, whose password counts. */
#include "agent/pool/principal.h"
#include "tests/unit.h"

#include <stdio.h>

static struct ps_cache_conf *
conf_new(char last)
{
    char id[] = "0b0e5f2a-0000-4000-8000-00000000000a";
    id[sizeof(id) - 2] = last;
    struct ps_cache_conf *conf = ps_cache_conf_new(id, "c", "h");
    assert_non_null(conf);
    return conf;
}

static struct ps_principal *
get(struct ps_principals *table, const struct ps_cache_conf *conf,
    const char *database, const char *user)
{
    struct ps_principal *out = NULL;
    assert_int_equal(ps_principals_get(table, conf, ps_str_of(database),
                                       ps_str_of(user), &out),
                     PS_OK);
    return out;
}

static void
who_is_the_same(void **state)
{
    (void)state;
    struct ps_principals *table = ps_principals_new(4, 100, 1000);
    struct ps_cache_conf *one = conf_new('1'), *two = conf_new('2');
    struct ps_principal *base = get(table, one, "db", "user");
    struct ps_principal *same = get(table, one, "db", "user");
    assert_ptr_equal(base, same);
    assert_true(ps_str_eq(base->database, PS_STR("db")));
    assert_true(ps_str_eq(base->user, PS_STR("user")));
    assert_true(ps_str_eq(base->cache_id, ps_str_of(one->id)));
    assert_true(base->home < 4);
    /* Parts do not run into each other. */
    struct ps_principal *others[] = {
        get(table, two, "db", "user"), get(table, one, "dbu", "ser"),
        get(table, one, "", "dbuser"), get(table, one, "DB", "user"),
        get(table, one, "user", "db")};
    for (size_t i = 0; i < PS_ARRAY_LEN(others); i++) {
        assert_int_not_equal(others[i]->id, base->id);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(others[i]->id, others[j]->id);
    }
    for (size_t i = 0; i < PS_ARRAY_LEN(others); i++)
        ps_principal_unref(&others[i]);
    ps_principal_unref(&same);
    ps_principal_unref(&base);
    ps_cache_conf_unref(&one);
    ps_cache_conf_unref(&two);
    ps_principals_free(&table);
}

static void
unused_ones_make_room_and_ids_never_return(void **state)
{
    (void)state;
    struct ps_principals *table = ps_principals_new(2, 10, 1000);
    struct ps_cache_conf *conf = conf_new('1');
    struct ps_principal *kept = get(table, conf, "db", "kept");
    uint64_t kept_id = kept->id, last = 0;
    for (int i = 0; i < 100; i++) {
        char user[16];
        snprintf(user, sizeof(user), "u%d", i);
        struct ps_principal *p = get(table, conf, "db", user);
        assert_true(p->id > last);
        last = p->id;
        ps_principal_unref(&p);
    }
    struct ps_principal *again = get(table, conf, "db", "kept");
    assert_int_equal(again->id, kept_id);
    ps_principal_unref(&again);
    /* All in use: no more. */
    struct ps_principal *held[9], *out = NULL;
    for (size_t i = 0; i < 9; i++) {
        char user[16];
        snprintf(user, sizeof(user), "h%zu", i);
        held[i] = get(table, conf, "db", user);
    }
    assert_int_equal(
        ps_principals_get(table, conf, PS_STR("db"), PS_STR("more"), &out),
        PS_TOO_MANY_REQUESTS);
    assert_null(out);
    for (size_t i = 0; i < 9; i++)
        ps_principal_unref(&held[i]);
    ps_principal_unref(&kept);
    ps_cache_conf_unref(&conf);
    ps_principals_free(&table);
}

static void
names_too_long_are_refused(void **state)
{
    (void)state;
    struct ps_principals *table = ps_principals_new(1, 10, 1000);
    struct ps_cache_conf *conf = conf_new('1');
    struct ps_principal *out = NULL;
    static char name[5000];
    memset(name, 'x', sizeof(name));
    struct ps_str text = {name, sizeof(name)};
    assert_int_equal(ps_principals_get(table, conf, PS_STR("db"), text, &out),
                     PS_BAD_FIELD);
    text.len = 3000;
    assert_int_equal(ps_principals_get(table, conf, text, text, &out),
                     PS_BAD_FIELD);
    assert_null(out);
    ps_cache_conf_unref(&conf);
    ps_principals_free(&table);
}

/* Hazard 35. */
static void
a_password_counts_for_a_while(void **state)
{
    (void)state;
    struct ps_principals *table = ps_principals_new(1, 10, 1000);
    struct ps_cache_conf *conf = conf_new('1');
    struct ps_principal *p = get(table, conf, "db", "user");
    assert_false(ps_principal_verified(p, PS_STR(""), 5000));
    ps_principal_set_verified(p, PS_STR("secret"), 5000);
    assert_true(ps_principal_verified(p, PS_STR("secret"), 5000));
    assert_true(ps_principal_verified(p, PS_STR("secret"), 5999));
    assert_false(ps_principal_verified(p, PS_STR("secret"), 6000));
    assert_false(ps_principal_verified(p, PS_STR("secret"), 4999));
    assert_false(ps_principal_verified(p, PS_STR("Secret"), 5000));
    assert_false(ps_principal_verified(p, PS_STR("secret2"), 5000));
    assert_false(ps_principal_verified(p, PS_STR(""), 5000));
    /* A longer one than fits the stack's buffer. */
    static char longer[1000];
    memset(longer, 'p', sizeof(longer));
    struct ps_str text = {longer, sizeof(longer)};
    ps_principal_set_verified(p, text, 7000);
    assert_true(ps_principal_verified(p, text, 7001));
    text.len--;
    assert_false(ps_principal_verified(p, text, 7001));
    /* Only the newest; and another user's is another. */
    assert_false(ps_principal_verified(p, PS_STR("secret"), 7001));
    struct ps_principal *other = get(table, conf, "db", "other");
    text.len++;
    assert_false(ps_principal_verified(other, text, 7001));
    ps_principal_drop_verified(p);
    /* It is known, as no guess, but proves nothing. */
    assert_true(ps_principal_known(p, text));
    assert_false(ps_principal_known(p, PS_STR("secret")));
    assert_false(ps_principal_known(other, text));
    assert_false(ps_principal_verified(p, text, 7001));
    ps_principal_unref(&other);
    ps_principal_unref(&p);
    ps_cache_conf_unref(&conf);
    ps_principals_free(&table);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_the_same),
        cmocka_unit_test(unused_ones_make_room_and_ids_never_return),
        cmocka_unit_test(names_too_long_are_refused),
        cmocka_unit_test(a_password_counts_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
