/* What a loop remembers of who asked, and when it forgets it. */
#include "agent/req/recent.h"
#include "tests/unit.h"

#include <stdio.h>

#define ID "0b0e5f2a-0000-4000-8000-00000000000a"

struct world {
    struct ps_recent recent;
    struct ps_cache_conf *conf;
    struct ps_principals *principals;
};

static void
open_world(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->conf = ps_cache_conf_new(ID, "c", "h");
    w->principals = ps_principals_new(1, 1000, 1000);
    assert_non_null(w->conf);
    assert_non_null(w->principals);
}

/* All references are given back: both checks are in what is called. */
static void
close_world(struct world *w)
{
    ps_recent_forget(&w->recent);
    ps_principals_free(&w->principals);
    assert_int_equal(w->conf->refs, 1);
    ps_cache_conf_unref(&w->conf);
}

static void
keep(struct world *w, uint64_t changes, const char *database, const char *user)
{
    struct ps_principal *principal;
    assert_int_equal(ps_principals_get(w->principals, w->conf,
                                       ps_str_of(database), ps_str_of(user),
                                       &principal),
                     PS_OK);
    ps_recent_keep(&w->recent, changes, w->conf, principal);
    ps_principal_unref(&principal);
}

static bool
known(struct world *w, uint64_t changes, const char *id, const char *database,
      const char *user)
{
    struct ps_cache_conf *conf = NULL;
    struct ps_principal *principal = NULL;
    if (!ps_recent_find(&w->recent, changes, ps_str_of(id), ps_str_of(database),
                        ps_str_of(user), &conf, &principal))
        return false;
    assert_ptr_equal(conf, w->conf);
    assert_true(ps_str_eq(principal->database, ps_str_of(database)));
    assert_true(ps_str_eq(principal->user, ps_str_of(user)));
    ps_cache_conf_unref(&conf);
    ps_principal_unref(&principal);
    return true;
}

static void
test_exactly_who_asked(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    assert_false(known(&w, 7, ID, "db", "user"));
    keep(&w, 7, "db", "user");
    assert_true(known(&w, 7, ID, "db", "user"));
    assert_false(known(&w, 7, ID, "db", "usxr"));
    assert_false(known(&w, 7, ID, "db", "use"));
    assert_false(known(&w, 7, ID, "db", ""));
    assert_false(known(&w, 7, ID, "dbu", "ser"));
    assert_false(known(&w, 7, ID, "user", "db"));
    assert_false(
        known(&w, 7, "0b0e5f2a-0000-4000-8000-00000000001a", "db", "user"));
    /* Found in the table all the same, whatever its case. */
    assert_false(
        known(&w, 7, "0B0E5F2A-0000-4000-8000-00000000000A", "db", "user"));
    close_world(&w);
}

static void
test_another_definition_forgets(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    keep(&w, 7, "db", "user");
    assert_false(known(&w, 8, ID, "db", "user"));
    /* One that was found under the new one says nothing about the others. */
    keep(&w, 8, "db", "other");
    assert_true(known(&w, 8, ID, "db", "other"));
    assert_false(known(&w, 8, ID, "db", "user"));
    assert_false(known(&w, 7, ID, "db", "user"));
    ps_recent_forget(&w.recent);
    assert_false(known(&w, 8, ID, "db", "other"));
    assert_int_equal(w.conf->refs, 1);
    close_world(&w);
}

/* However many ask, few references are held, and nobody is mistaken. */
static void
test_many(void **state)
{
    (void)state;
    struct world w;
    char user[32];
    unsigned n = 0;
    open_world(&w);
    for (int i = 0; i < 200; i++) {
        snprintf(user, sizeof(user), "user%d", i);
        keep(&w, 1, "db", user);
        assert_true(known(&w, 1, ID, "db", user));
    }
    assert_true(w.conf->refs <= 1 + PS_RECENT_PLACES);
    for (int i = 0; i < 200; i++) {
        snprintf(user, sizeof(user), "user%d", i);
        n += known(&w, 1, ID, "db", user);
    }
    assert_true(n > 1 && n <= PS_RECENT_PLACES);
    close_world(&w);
}

static void
test_off(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.recent.off = true;
    keep(&w, 7, "db", "user");
    assert_false(known(&w, 7, ID, "db", "user"));
    assert_int_equal(w.conf->refs, 1);
    close_world(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exactly_who_asked),
        cmocka_unit_test(test_another_definition_forgets),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
