#include "tests/bench/kept.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    BODY_MAX = 1 << 16,
    NOW_US = 1,
    MAX_ENTRY_BYTES = 1 << 20,
    SQL_MAX = KEPT_SQL_BYTES + 32
};

void
kept_fail(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

void
kept_open(struct kept *kept, uint64_t max_bytes)
{
    const struct ps_store_conf conf = {.max_bytes = max_bytes};
    kept->store = ps_store_new(&conf);
    kept->spaces = ps_spaces_new(4, UINT64_MAX);
    kept->space = kept->spaces ? ps_space_get(kept->spaces, PS_STR("cache"),
                                              PS_STR("database"))
                               : NULL;
    if (!kept->store || !kept->space)
        kept_fail("no memory for a store");
}

void
kept_close(struct kept *kept)
{
    ps_store_free(&kept->store);
    ps_space_unref(&kept->space);
    ps_spaces_free(&kept->spaces);
}

static struct ps_str
statement(uint64_t i, char sql[SQL_MAX])
{
    static const char text[] =
        "select id, name, qty from items where id between 100 and id = ";
    int len = snprintf(sql, SQL_MAX, "%s%020llu", text, (unsigned long long)i);
    return (struct ps_str){sql, (size_t)len};
}

size_t
kept_sql_bytes(uint64_t i)
{
    char sql[SQL_MAX];
    return statement(i, sql).len;
}

struct ps_table_name
kept_table(unsigned table, char name[16])
{
    int len = snprintf(name, 16, "t%u", table);
    return (struct ps_table_name){
        PS_STR("public"), {name, (size_t)len}
    };
}

void
kept_put(struct kept *kept, uint64_t i, unsigned table, size_t body_bytes)
{
    static char body[BODY_MAX];
    char sql[SQL_MAX], name[16];
    struct ps_key key;
    struct ps_snapshot snapshot;
    const struct ps_table_name of = kept_table(table, name);
    if (body_bytes > sizeof(body))
        kept_fail("a body too long");
    ps_key_make(&key, 1, 1, statement(i, sql), PS_STR(""));
    if (ps_snapshot_take(kept->space, ps_space_catalog_gen(kept->space), &of, 1,
                         NULL, &snapshot) != PS_SNAPSHOT_OK)
        kept_fail("a snapshot was refused");
    const struct ps_entry_spec spec = {
        .key = &key,
        .snapshot = &snapshot,
        .body = {body, body_bytes},
        .born_us = NOW_US,
        .expires_us = UINT64_MAX,
    };
    struct ps_entry *entry = ps_entry_new(&spec);
    if (!entry || ps_store_put(kept->store, entry, MAX_ENTRY_BYTES, NOW_US) !=
                      PS_PUT_STORED)
        kept_fail("an answer was refused");
    ps_entry_unref(&entry);
}

bool
kept_hit(struct kept *kept, uint64_t i)
{
    char sql[SQL_MAX];
    struct ps_key key;
    ps_key_make(&key, 1, 1, statement(i, sql), PS_STR(""));
    struct ps_entry *entry = ps_store_find(kept->store, &key);
    bool fresh = entry && ps_entry_check(entry, NOW_US, 0) == PS_ENTRY_FRESH;
    ps_entry_unref(&entry);
    return fresh;
}

uint64_t
kept_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
    double left, right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return (left > right) - (left < right);
}

double
kept_median(double *values, size_t n)
{
    qsort(values, n, sizeof(values[0]), by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

uint64_t
kept_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}
