/* Messages to structs and back; what makes no sense is refused. */
#include "agent/link/codec.h"
#include "tests/unit.h"

static char id[] = "0b0e5f2a-0000-4000-8000-00000000000a";
static char name[] = "shop", host[] = "db.internal", pem[] = "-----BEGIN";

static Portside__CacheConfig
config(void)
{
    Portside__CacheConfig m = PORTSIDE__CACHE_CONFIG__INIT;
    m.id = id;
    m.name = name;
    m.host = host;
    m.port = 5433;
    m.provider = PORTSIDE__PROVIDER__POSTGRES;
    m.tls_mode = PORTSIDE__TLS_MODE__TLS_VERIFY_CA;
    m.enabled = true;
    return m;
}

static void
a_definition_is_taken_over(void **state)
{
    (void)state;
    Portside__CacheConfig m = config();
    m.tls_ca_pem = pem;
    m.caching_enabled = true;
    m.write_ack = PORTSIDE__WRITE_ACK__ACK_GLOBAL;
    m.pool_max = 7;
    m.ttl_max_ms = 5000;
    m.query_timeout_ms = 1234;
    m.revision = 42;
    struct ps_cache_conf *c = ps_codec_cache(&m);
    assert_non_null(c);
    assert_string_equal(c->id, id);
    assert_string_equal(c->name, name);
    assert_string_equal(c->host, host);
    assert_string_equal(c->tls_ca_pem, pem);
    assert_int_equal(c->port, 5433);
    assert_int_equal(c->provider, PS_PROVIDER_POSTGRES);
    assert_int_equal(c->tls_mode, PS_TLS_VERIFY_CA);
    assert_true(c->enabled && c->caching_enabled && c->write_ack_global);
    assert_false(c->auto_cached);
    assert_int_equal(c->pool_max, 7);
    assert_int_equal(c->ttl_max_ms, 5000);
    assert_int_equal(c->query_timeout_ms, 1234);
    assert_int_equal(c->revision, 42);
    ps_cache_conf_unref(&c);
}

static void
rules_come_with_it(void **state)
{
    (void)state;
    char table[] = "public.items", text[] = "SELECT 1";
    Portside__CacheRule one = PORTSIDE__CACHE_RULE__INIT;
    Portside__CacheRule two = PORTSIDE__CACHE_RULE__INIT;
    one.type = PORTSIDE__RULE_TYPE__RULE_TABLE;
    one.mode = PORTSIDE__RULE_MODE__RULE_TTL;
    one.key = table;
    one.ttl_ms = 5000;
    one.stale_if_error_ms = 60000;
    one.stale_while_revalidate_ms = 30000;
    two.mode = PORTSIDE__RULE_MODE__RULE_NEVER;
    two.key = text;
    Portside__CacheRule *rules[] = {&one, &two};
    Portside__CacheConfig m = config();
    m.rules = rules;
    m.n_rules = 2;
    m.invalidation_off = true;
    struct ps_cache_conf *c = ps_codec_cache(&m);
    assert_non_null(c);
    assert_true(c->invalidation_off);
    assert_int_equal(c->n_rules, 2);
    assert_int_equal(c->rules[0].type, PS_RULE_TABLE);
    assert_int_equal(c->rules[0].mode, PS_RULE_TTL);
    assert_string_equal(c->rules[0].key, "public.items");
    assert_int_equal(c->rules[0].ttl_ms, 5000);
    assert_int_equal(c->rules[0].stale_if_error_ms, 60000);
    assert_int_equal(c->rules[0].stale_while_revalidate_ms, 30000);
    assert_int_equal(c->rules[1].type, PS_RULE_QUERY);
    assert_int_equal(c->rules[1].mode, PS_RULE_NEVER);
    ps_cache_conf_unref(&c);
    /* Of a later version: better no cache than one without the rule. */
    two.mode = (Portside__RuleMode)3;
    assert_null(ps_codec_cache(&m));
    two.mode = PORTSIDE__RULE_MODE__RULE_NEVER;
    two.key = (char *)(uintptr_t) "";
    assert_null(ps_codec_cache(&m));
}

/* 0 is "not set" on the wire. */
static void
what_is_not_set_keeps_its_default(void **state)
{
    (void)state;
    Portside__CacheConfig m = config();
    struct ps_cache_conf *c = ps_codec_cache(&m);
    struct ps_cache_conf *usual = ps_cache_conf_new(id, name, host);
    assert_int_equal(c->pool_max, usual->pool_max);
    assert_int_equal(c->pool_queue_max, usual->pool_queue_max);
    assert_int_equal(c->ttl_min_ms, usual->ttl_min_ms);
    assert_int_equal(c->max_entry_bytes, usual->max_entry_bytes);
    assert_int_equal(c->connect_timeout_ms, usual->connect_timeout_ms);
    assert_null(c->tls_ca_pem);
    ps_cache_conf_unref(&usual);
    ps_cache_conf_unref(&c);
}

static void
nonsense_is_refused(void **state)
{
    (void)state;
    static char no_id[] = "shop", empty[] = "";
    for (int i = 0; i < 7; i++) {
        Portside__CacheConfig m = config();
        switch (i) {
        case 0:
            m.id = no_id;
            break;
        case 1:
            m.host = empty;
            break;
        case 2:
            m.port = 0;
            break;
        case 3:
            m.port = 65536;
            break;
        case 4:
            m.provider = (Portside__Provider)77;
            break;
        case 5:
            m.tls_mode = (Portside__TlsMode)77;
            break;
        default:
            m.id = empty;
        }
        assert_null(ps_codec_cache(&m));
    }
}

/* Out to bytes and in again. */
static void
expect_same(const struct ps_change *change)
{
    Portside__Invalidation *m = ps_codec_invalidation(change);
    char *data = NULL;
    size_t len = 0;
    assert_non_null(m);
    assert_int_equal(ps_codec_pack(&m->base, &data, &len), PS_OK);
    portside__invalidation__free_unpacked(m, NULL);
    m = portside__invalidation__unpack(NULL, len, (uint8_t *)data);
    assert_non_null(m);
    struct ps_codec_change got;
    assert_int_equal(ps_codec_change(m, &got), PS_OK);
    const struct ps_change *c = &got.change;
    assert_true(ps_str_eq(c->cache_id, change->cache_id));
    assert_true(ps_str_eq(c->database, change->database));
    assert_int_equal(c->cache_id.ptr == NULL, change->cache_id.ptr == NULL);
    assert_int_equal(c->database.ptr == NULL, change->database.ptr == NULL);
    assert_int_equal(c->catalog, change->catalog);
    assert_int_equal(c->n_tables, change->n_tables);
    for (size_t i = 0; i < c->n_tables; i++) {
        assert_true(ps_str_eq(c->tables[i].schema, change->tables[i].schema));
        assert_true(ps_str_eq(c->tables[i].name, change->tables[i].name));
        size_t n = change->rows ? change->rows[i].n_columns : 0;
        assert_int_equal(c->rows ? c->rows[i].n_columns : 0, n);
        for (size_t j = 0; j < n; j++) {
            const struct ps_row_column *a = &c->rows[i].columns[j];
            const struct ps_row_column *b = &change->rows[i].columns[j];
            assert_true(ps_str_eq(a->name, b->name));
            assert_int_equal(a->n_values, b->n_values);
            assert_memory_equal(a->values, b->values,
                                a->n_values * sizeof(*a->values));
        }
    }
    ps_codec_change_done(&got);
    portside__invalidation__free_unpacked(m, NULL);
    free(data);
}

static void
changes_survive_the_wire(void **state)
{
    (void)state;
    const struct ps_table_name tables[] = {
        {PS_STR("public"), PS_STR("items")},
        {PS_STR("x.y"),    PS_STR("a\"b") },
        {PS_STR(""),       PS_STR("🎉") }
    };
    const uint16_t values[] = {0, 1, 65535};
    const struct ps_row_column columns[] = {
        {.name = PS_STR("id"), .values = values, .n_values = 3},
        {.name = PS_STR("none")      }
    };
    const struct ps_row_set rows[] = {
        {.columns = columns, .n_columns = 2},
        {.columns = NULL   },
        {.columns = columns,    .n_columns = 1              }
    };
    struct ps_change change = {.cache_id = ps_str_of(id),
                               .database = PS_STR("app"),
                               .tables = tables,
                               .n_tables = 3};
    expect_same(&change);
    change.rows = rows;
    expect_same(&change);
    change.n_tables = 0;
    change.catalog = true;
    expect_same(&change);
    change.database = PS_STR_NONE;
    expect_same(&change);
    change.cache_id = PS_STR_NONE;
    expect_same(&change);
}

static void
a_change_of_no_cache_is_refused(void **state)
{
    (void)state;
    static char bad[] = "no id";
    Portside__Invalidation m = PORTSIDE__INVALIDATION__INIT;
    struct ps_codec_change out;
    m.cache_id = bad;
    assert_int_equal(ps_codec_change(&m, &out), PS_BAD_REQUEST);
}

/* A digest out of range says nothing: any row may have changed. */
static void
values_out_of_range_widen_the_change(void **state)
{
    (void)state;
    static char column[] = "id", table_name[] = "items";
    uint32_t values[] = {1, 65536};
    Portside__RowColumn c = PORTSIDE__ROW_COLUMN__INIT, *cs[] = {&c};
    Portside__Table t = PORTSIDE__TABLE__INIT, *ts[] = {&t};
    Portside__Invalidation m = PORTSIDE__INVALIDATION__INIT;
    struct ps_codec_change out;
    c.name = column;
    c.values = values;
    c.n_values = 2;
    t.name = table_name;
    t.rows = cs;
    t.n_rows = 1;
    m.cache_id = id;
    m.tables = ts;
    m.n_tables = 1;
    assert_int_equal(ps_codec_change(&m, &out), PS_OK);
    assert_int_equal(out.change.n_tables, 1);
    assert_int_equal(out.change.rows[0].n_columns, 0);
    ps_codec_change_done(&out);
    values[1] = 65535;
    assert_int_equal(ps_codec_change(&m, &out), PS_OK);
    assert_int_equal(out.change.rows[0].n_columns, 1);
    ps_codec_change_done(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_definition_is_taken_over),
        cmocka_unit_test(rules_come_with_it),
        cmocka_unit_test(what_is_not_set_keeps_its_default),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(changes_survive_the_wire),
        cmocka_unit_test(a_change_of_no_cache_is_refused),
        cmocka_unit_test(values_out_of_range_widen_the_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
