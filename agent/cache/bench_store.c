/*
 * What a hit costs in the cache alone, and what an entry costs beside its key
 * and body. Prints one JSON object:
 *
 *   key_ns       making a key of a 240 byte statement
 *   hot_ns       find + check + unref of 256 keys that stay in the CPU's cache
 *   hot2_ns      the same while a second thread does it too
 *   cold_ns      the same over all entries at random: memory's latency
 *   overhead_bytes  counted bytes per entry beyond key and body
 */
#include "agent/cache/store.h"
#include "common/clock.h"
#include "common/io/loop.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ENTRIES = 100000,
    HOT = 256,
    SQL_BYTES = 240,
    BODY_BYTES = 600,
    ROUNDS = 4000000,
    STORE_BYTES = 110 << 20 /* nearly full, so that fixed costs are shared */
};

struct bench {
    struct ps_store *store;
    char (*sql)[SQL_BYTES];
    struct ps_key *keys;
    size_t n; /* of the keys asked for */
};

static void
fill_sql(char *sql, size_t i)
{
    memset(sql, 'x', SQL_BYTES);
    int len =
        snprintf(sql, SQL_BYTES, "select * from orders where id = %zu", i);
    sql[len] = ' ';
}

static void
bench_fill(struct bench *bench, struct ps_space *space)
{
    static char body[BODY_BYTES];
    struct ps_table_name table = {PS_STR("public"), PS_STR("orders")};
    for (size_t i = 0; i < ENTRIES; i++) {
        struct ps_snapshot snapshot;
        fill_sql(bench->sql[i], i);
        ps_key_make(&bench->keys[i], 1, 1,
                    (struct ps_str){bench->sql[i], SQL_BYTES}, PS_STR(""));
        if (ps_snapshot_take(space, ps_space_catalog_gen(space), &table, 1,
                             NULL, &snapshot) != PS_SNAPSHOT_OK)
            abort();
        ps_snapshot_add_statement(&snapshot, 1, i);
        struct ps_entry_spec spec = {
            .key = &bench->keys[i],
            .snapshot = &snapshot,
            .body = {body, BODY_BYTES},
            .expires_us = UINT64_MAX,
        };
        struct ps_entry *entry = ps_entry_new(&spec);
        if (!entry ||
            ps_store_put(bench->store, entry, 1 << 20, 1) != PS_PUT_STORED)
            abort();
        ps_entry_unref(&entry);
    }
}

static void
run_finds(void *arg)
{
    struct bench *bench = arg;
    uint64_t random = 1;
    for (size_t i = 0; i < ROUNDS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        struct ps_entry *entry = ps_store_find(
            bench->store, &bench->keys[(random >> 33) % bench->n]);
        if (!entry || ps_entry_check(entry, 1, 0) != PS_ENTRY_FRESH)
            abort();
        ps_entry_unref(&entry);
    }
}

static double
per_round_ns(uint64_t start_us)
{
    return (double)(ps_clock_now_us(ps_clock_real()) - start_us) * 1000 /
           ROUNDS;
}

static double
time_keys(struct bench *bench)
{
    uint64_t start = ps_clock_now_us(ps_clock_real()), sum = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct ps_key key;
        ps_key_make(&key, i, 1, (struct ps_str){bench->sql[i % 64], SQL_BYTES},
                    PS_STR(""));
        sum += key.hash.lo;
    }
    double ns = per_round_ns(start);
    return sum ? ns : 0;
}

static double
time_finds(struct bench *bench, size_t n, unsigned others)
{
    bench->n = n;
    struct ps_thread *other = NULL;
    if (others && ps_thread_start(&other, "other", run_finds, bench) != PS_OK)
        abort();
    uint64_t start = ps_clock_now_us(ps_clock_real());
    run_finds(bench);
    double ns = per_round_ns(start);
    if (other)
        ps_thread_join(&other);
    return ns;
}

int
main(void)
{
    struct ps_store_conf conf = {.max_bytes = STORE_BYTES};
    struct bench bench = {
        .store = ps_store_new(&conf),
        .sql = calloc(ENTRIES, SQL_BYTES),
        .keys = calloc(ENTRIES, sizeof(struct ps_key)),
    };
    struct ps_spaces *spaces = ps_spaces_new(4, UINT64_MAX);
    if (!bench.store || !bench.sql || !bench.keys || !spaces)
        abort();
    struct ps_space *space = ps_space_get(spaces, PS_STR("c"), PS_STR("d"));
    bench_fill(&bench, space);
    struct ps_store_stats stats;
    ps_store_stats(bench.store, &stats);
    double overhead =
        (double)stats.bytes / (double)stats.entries - (SQL_BYTES + BODY_BYTES);
    double key_ns = time_keys(&bench);
    double hot_ns = time_finds(&bench, HOT, 0);
    double hot2_ns = time_finds(&bench, HOT, 1);
    double cold_ns = time_finds(&bench, ENTRIES, 0);
    printf("{\"key_ns\":%.1f,\"hot_ns\":%.1f,\"hot2_ns\":%.1f,"
           "\"cold_ns\":%.1f,\"overhead_bytes\":%.1f}\n",
           key_ns, hot_ns, hot2_ns, cold_ns, overhead);
    ps_store_free(&bench.store);
    ps_space_unref(&space);
    ps_spaces_free(&spaces);
    free(bench.sql);
    free(bench.keys);
    return 0;
}
