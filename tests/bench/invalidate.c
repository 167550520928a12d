/*
 * What one write's invalidation costs with 10^3 and with 10^6 entries in the
 * store. All entries are live before, spread over TABLES tables; each write
 * is one to one table, as the agent does it (window opened, window closed),
 * and together they invalidate every entry, which is checked.
 *
 *   invalidate ROUNDS
 *
 * Prints one line of JSON: ns_1e3 ns_1e6 (medians over rounds, which take
 * turns), ratio (median over rounds), applied_ns_1e3 applied_ns_1e6 (a change
 * that another agent told).
 */
#include "tests/bench/kept.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TABLES = 1000,
    FEW = 1000,
    MANY = 1000000,
    ROUNDS_MAX = 100,
    BODY_BYTES = 100,
    STEP = 997 /* which of the entries are looked at */
};

struct size {
    struct kept kept;
    uint64_t n;
    double write_ns[ROUNDS_MAX], apply_ns[ROUNDS_MAX];
};

static void
fill(struct size *size)
{
    for (uint64_t i = 0; i < size->n; i++)
        kept_put(&size->kept, i, (unsigned)(i % TABLES), BODY_BYTES);
    struct ps_store_stats stats;
    ps_store_stats(size->kept.store, &stats);
    if (stats.entries != size->n || stats.evicted != 0)
        kept_fail("the store does not hold all entries");
}

static void
expect(struct size *size, bool hit)
{
    for (uint64_t i = 0; i < size->n; i += STEP) {
        if (kept_hit(&size->kept, i) != hit)
            kept_fail(hit ? "an entry is not live before the write"
                          : "an entry lived on after the write");
    }
}

static void
one_write(struct kept *kept, const struct ps_change *change)
{
    struct ps_write write;
    ps_write_begin(kept->spaces, change, ps_space_catalog_gen(kept->space),
                   &write);
    if (ps_write_end(&write))
        kept_fail("a write was taken for a wider one");
}

/* ns of one write; applied: told by another agent. */
static double
invalidate_all(struct size *size, bool applied)
{
    static char names[TABLES][16];
    static struct ps_table_name tables[TABLES];
    struct kept *kept = &size->kept;
    fill(size);
    expect(size, true);
    for (unsigned t = 0; t < TABLES; t++) {
        /* Stamps are in the processor's cache: every hit reads them. */
        struct ps_snapshot snapshot;
        tables[t] = kept_table(t, names[t]);
        if (ps_snapshot_take(kept->space, ps_space_catalog_gen(kept->space),
                             &tables[t], 1, NULL, &snapshot) != PS_SNAPSHOT_OK)
            kept_fail("a snapshot was refused");
    }
    uint64_t begin = kept_cpu_ns();
    for (unsigned t = 0; t < TABLES; t++) {
        const struct ps_change change = {
            .cache_id = PS_STR("cache"),
            .database = PS_STR("database"),
            .tables = &tables[t],
            .n_tables = 1,
        };
        if (applied)
            ps_spaces_apply(kept->spaces, &change);
        else
            one_write(kept, &change);
    }
    double ns = (double)(kept_cpu_ns() - begin) / TABLES;
    expect(size, false);
    return ns;
}

int
main(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 5;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        kept_fail("rounds must be from 1 to 100");
    static struct size few = {.n = FEW}, many = {.n = MANY};
    double ratio[ROUNDS_MAX];
    kept_open(&few.kept, 1ULL << 30);
    kept_open(&many.kept, 1ULL << 30);
    for (size_t i = 0; i < rounds; i++) {
        few.write_ns[i] = invalidate_all(&few, false);
        many.write_ns[i] = invalidate_all(&many, false);
        few.apply_ns[i] = invalidate_all(&few, true);
        many.apply_ns[i] = invalidate_all(&many, true);
        ratio[i] = many.write_ns[i] / few.write_ns[i];
    }
    printf("{\"ns_1e3\":%.1f,\"ns_1e6\":%.1f,\"ratio\":%.3f,"
           "\"applied_ns_1e3\":%.1f,\"applied_ns_1e6\":%.1f,\"rounds\":%lu}\n",
           kept_median(few.write_ns, rounds),
           kept_median(many.write_ns, rounds), kept_median(ratio, rounds),
           kept_median(few.apply_ns, rounds),
           kept_median(many.apply_ns, rounds), rounds);
    kept_close(&few.kept);
    kept_close(&many.kept);
    return 0;
}
