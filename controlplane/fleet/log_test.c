/* The log: numbers without a gap, bounds, coarse entries. */
#include "controlplane/fleet/log.h"
#include "tests/unit.h"

#include <stdio.h>

static uint64_t
append_table(struct ps_ilog *log, const char *cache, char *table, size_t copies)
{
    char cache_id[64];
    uint64_t first = 0;
    snprintf(cache_id, sizeof(cache_id), "%s", cache);
    Portside__Table t = PORTSIDE__TABLE__INIT;
    t.name = table;
    Portside__Table **tables = calloc(copies, sizeof(*tables));
    for (size_t i = 0; i < copies; i++)
        tables[i] = &t;
    Portside__Invalidation item = PORTSIDE__INVALIDATION__INIT;
    item.cache_id = cache_id;
    item.n_tables = copies;
    item.tables = tables;
    Portside__Invalidation *items[] = {&item};
    struct ps_ilog_batch batch = {
        .agent_id = "writer", .items = items, .count = 1};
    assert_int_equal(ps_ilog_append(log, &batch, &first), PS_OK);
    free(tables);
    return first;
}

static Portside__LogEntry *
entry_of(struct ps_ilog *log, uint64_t number)
{
    struct ps_str packed = ps_ilog_get(log, number);
    assert_non_null(packed.ptr);
    Portside__LogEntry *entry = portside__log_entry__unpack(
        NULL, packed.len, (const uint8_t *)packed.ptr);
    assert_non_null(entry);
    return entry;
}

static void
numbers_have_no_gap(void **state)
{
    (void)state;
    char table[] = "orders";
    struct ps_ilog *log = ps_ilog_new(10, 1 << 20);
    assert_int_equal(ps_ilog_newest(log), 0);
    assert_int_equal(ps_ilog_oldest(log), 1);
    assert_null(ps_ilog_get(log, 0).ptr);
    assert_null(ps_ilog_get(log, 1).ptr);
    for (uint64_t n = 1; n <= 5; n++)
        assert_int_equal(append_table(log, "c", table, 1), n);
    Portside__LogEntry *entry = entry_of(log, 3);
    assert_int_equal(entry->number, 3);
    assert_string_equal(entry->agent_id, "writer");
    assert_string_equal(entry->invalidation->cache_id, "c");
    assert_int_equal(entry->invalidation->n_tables, 1);
    assert_string_equal(entry->invalidation->tables[0]->name, "orders");
    portside__log_entry__free_unpacked(entry, NULL);
    ps_ilog_free(&log);
    assert_null(log);
}

static void
the_ring_forgets_the_oldest(void **state)
{
    (void)state;
    char table[] = "t";
    struct ps_ilog *log = ps_ilog_new(4, 1 << 20);
    for (int i = 0; i < 11; i++)
        append_table(log, "c", table, 1);
    assert_int_equal(ps_ilog_newest(log), 11);
    assert_int_equal(ps_ilog_oldest(log), 8);
    assert_null(ps_ilog_get(log, 7).ptr);
    for (uint64_t n = 8; n <= 11; n++) {
        Portside__LogEntry *entry = entry_of(log, n);
        assert_int_equal(entry->number, n);
        portside__log_entry__free_unpacked(entry, NULL);
    }
    assert_null(ps_ilog_get(log, 12).ptr);
    ps_ilog_free(&log);
}

static void
bytes_are_bounded(void **state)
{
    (void)state;
    char table[1001];
    memset(table, 'x', sizeof(table) - 1);
    table[sizeof(table) - 1] = '\0';
    struct ps_ilog *log = ps_ilog_new(1000, 10000);
    for (int i = 0; i < 100; i++) {
        append_table(log, "c", table, 1);
        assert_true(ps_ilog_bytes(log) <= 10000);
    }
    assert_int_equal(ps_ilog_newest(log), 100);
    assert_in_range(ps_ilog_oldest(log), 90, 94);
    /* One that is larger than all of it stays alone. */
    append_table(log, "c", table, 20);
    assert_int_equal(ps_ilog_oldest(log), 101);
    ps_ilog_free(&log);
}

static void
a_batch_is_appended_as_one(void **state)
{
    (void)state;
    struct ps_ilog *log = ps_ilog_new(100, 1 << 20);
    Portside__Invalidation item = PORTSIDE__INVALIDATION__INIT;
    Portside__Invalidation *items[] = {&item, &item, &item};
    struct ps_ilog_batch batch = {
        .agent_id = "", .items = items, .count = 3, .ack_wanted = true};
    uint64_t first = 0;
    assert_int_equal(ps_ilog_append(log, &batch, &first), PS_OK);
    assert_int_equal(first, 1);
    assert_int_equal(ps_ilog_newest(log), 3);
    Portside__LogEntry *entry = entry_of(log, 2);
    assert_true(entry->ack_wanted);
    assert_string_equal(entry->agent_id, "");
    portside__log_entry__free_unpacked(entry, NULL);
    ps_ilog_free(&log);
}

static void
too_much_detail_becomes_everything(void **state)
{
    (void)state;
    char table[1001];
    memset(table, 'x', sizeof(table) - 1);
    table[sizeof(table) - 1] = '\0';
    struct ps_ilog *log = ps_ilog_new(100, 16 << 20);
    append_table(log, "c", table, PS_ILOG_ENTRY_MAX / 1000 + 1);
    Portside__LogEntry *entry = entry_of(log, 1);
    assert_int_equal(entry->invalidation->n_tables, 0);
    assert_string_equal(entry->invalidation->cache_id, "c");
    portside__log_entry__free_unpacked(entry, NULL);

    char *huge = calloc(1, PS_ILOG_ENTRY_MAX + 100);
    memset(huge, 'y', PS_ILOG_ENTRY_MAX + 99);
    Portside__Invalidation item = PORTSIDE__INVALIDATION__INIT;
    item.cache_id = huge;
    Portside__Invalidation *items[] = {&item};
    struct ps_ilog_batch batch = {.agent_id = "", .items = items, .count = 1};
    uint64_t first;
    assert_int_equal(ps_ilog_append(log, &batch, &first), PS_OK);
    entry = entry_of(log, 2);
    assert_string_equal(entry->invalidation->cache_id, "");
    portside__log_entry__free_unpacked(entry, NULL);
    free(huge);
    ps_ilog_free(&log);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_no_gap),
        cmocka_unit_test(the_ring_forgets_the_oldest),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(a_batch_is_appended_as_one),
        cmocka_unit_test(too_much_detail_becomes_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
