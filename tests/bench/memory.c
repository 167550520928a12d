/*
 * What an entry costs beyond its key and its reply, three times over: as the
 * store counts it, as the allocator does (malloc's own figures before and
 * after), and as the kernel does (resident memory). The store is filled until
 * it evicts, so index and ghost have the size they have in service.
 *
 *   memory MEGABYTES
 *
 * Bodies are of 50 to 2,000 bytes. Prints one line of JSON: overhead_bytes (the
 * largest of the three), counted_bytes, malloc_bytes, rss_bytes, entries,
 * mean_payload_bytes.
 */
#include "tests/bench/kept.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BODY_MIN = 50,
    BODY_MAX = 2000
};

static double
malloc_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return (double)(info.uordblks + info.hblkhd);
}

static double
resident_bytes(void)
{
    char text[64] = "";
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || !fgets(text, sizeof(text), file))
        kept_fail("no /proc/self/statm");
    fclose(file);
    const char *second = strchr(text, ' ');
    return second ? (double)strtoul(second, NULL, 10) *
                        (double)sysconf(_SC_PAGESIZE)
                  : 0;
}

static size_t
body_bytes(uint64_t i)
{
    uint64_t state = i + 1;
    kept_random(&state);
    return BODY_MIN + kept_random(&state) % (BODY_MAX - BODY_MIN + 1);
}

int
main(int argc, char **argv)
{
    uint64_t budget = (argc > 1 ? strtoul(argv[1], NULL, 10) : 256) << 20;
    struct kept kept;
    /* What the process needs anyway is there before it is measured. */
    kept_open(&kept, 1 << 20);
    kept_put(&kept, 0, 0, BODY_MAX);
    kept_close(&kept);

    double allocated = malloc_bytes(), resident = resident_bytes();
    kept_open(&kept, budget);
    double payload = 0;
    struct ps_store_stats stats;
    uint64_t i = 0;
    do {
        kept_put(&kept, i, 0, body_bytes(i));
        payload += (double)(kept_sql_bytes(i) + body_bytes(i));
        i++;
        ps_store_stats(kept.store, &stats);
    } while (stats.evicted == 0);
    /* The last put pushed some out; leave them out of the payload: nothing was
     * hit, so they are the first ones of their shard. */
    for (uint64_t j = 0, gone = stats.evicted; gone > 0; j++) {
        if (!kept_hit(&kept, j)) {
            payload -= (double)(kept_sql_bytes(j) + body_bytes(j));
            gone--;
        }
    }
    double n = (double)stats.entries;
    double counted = ((double)stats.bytes - payload) / n;
    double by_malloc = (malloc_bytes() - allocated - payload) / n;
    double by_kernel = (resident_bytes() - resident - payload) / n;
    double most = PS_MAX(counted, PS_MAX(by_malloc, by_kernel));
    printf("{\"overhead_bytes\":%.1f,\"counted_bytes\":%.1f,"
           "\"malloc_bytes\":%.1f,\"rss_bytes\":%.1f,\"entries\":%.0f,"
           "\"mean_payload_bytes\":%.1f}\n",
           most, counted, by_malloc, by_kernel, n, payload / n);
    kept_close(&kept);
    return 0;
}
