#include "agent/cache/key.h"
#include "tests/unit.h"

static struct ps_key
key(uint64_t principal, uint32_t format, struct ps_str sql,
    struct ps_str bindings)
{
    struct ps_key made;
    ps_key_make(&made, principal, format, sql, bindings);
    return made;
}

static bool
same_hash(const struct ps_key *a, const struct ps_key *b)
{
    return a->hash.lo == b->hash.lo && a->hash.hi == b->hash.hi;
}

static void
equal_parts_make_equal_keys(void **state)
{
    (void)state;
    char copy[] = "select 1";
    struct ps_key a = key(7, 1, PS_STR("select 1"), PS_STR("b"));
    struct ps_key b =
        key(7, 1, (struct ps_str){copy, sizeof(copy) - 1}, PS_STR("b"));
    assert_true(same_hash(&a, &b));
    assert_true(ps_key_equal(&a, &b));
}

/* Every part counts, and moving a byte over a border of parts makes another
 * key (hazard 20). */
static void
every_part_counts(void **state)
{
    (void)state;
    struct ps_key keys[] = {
        key(7, 1, PS_STR("select 1"), PS_STR("bind")),
        key(8, 1, PS_STR("select 1"), PS_STR("bind")),
        key(7, 2, PS_STR("select 1"), PS_STR("bind")),
        key(7, 1, PS_STR("select 2"), PS_STR("bind")),
        key(7, 1, PS_STR("select 1"), PS_STR("bine")),
        key(7, 1, PS_STR("select 1b"), PS_STR("ind")),
        key(7, 1, PS_STR("select "), PS_STR("1bind")),
        key(7, 1, PS_STR("select 1bind"), PS_STR("")),
        key(7, 1, PS_STR(""), PS_STR("select 1bind")),
        key(7, 1, PS_STR("select 1\0"), PS_STR("bind")),
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(keys); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(same_hash(&keys[i], &keys[j]));
            assert_false(ps_key_equal(&keys[i], &keys[j]));
        }
    }
}

static void
equality_does_not_trust_the_hash(void **state)
{
    (void)state;
    struct ps_key a = key(7, 1, PS_STR("select 1"), PS_STR(""));
    struct ps_key b = key(7, 1, PS_STR("select 2"), PS_STR(""));
    b.hash = a.hash;
    assert_false(ps_key_equal(&a, &b));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_parts_make_equal_keys),
        cmocka_unit_test(every_part_counts),
        cmocka_unit_test(equality_does_not_trust_the_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
