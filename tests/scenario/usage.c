/*
 * What has been counted by template: usage "TEMPLATE" queries= hits= ...
 * reason=CODE:N cacheability=. Since the start; "" is what is counted for no
 * template of the cache.
 */
#include "common/check.h"
#include "tests/scenario/world.h"

#include <stdio.h>
#include <stdlib.h>

static void
collect(struct scn_world *world)
{
    scn_engine(world);
    for (unsigned i = 0; i < world->n_loops; i++) {
        struct ps_tally_bag bag;
        ps_tally_collect(ps_tally_loop(world->tally, i), &bag);
        ps_tally_merge(world->tally, &bag);
    }
    ps_tally_merged(world->tally);
}

/* Looks, and leaves it for the next time. */
static void
sum_up(struct scn_world *world, const char *cache_id, const char *template,
       struct ps_usage *sum)
{
    struct ps_tally_template t;
    struct ps_usage *usage;
    struct ps_buf text;
    size_t at = 0;
    ps_buf_init(&text, PS_TALLY_TEXT_MAX);
    while ((usage = ps_tally_take(world->tally, &at, &t, &text))) {
        if (strcmp(t.cache_id, cache_id) == 0 &&
            ps_str_eq(ps_buf_str(&text), ps_str_of(template)))
            ps_usage_merge(sum, usage);
        ps_tally_put_back(world->tally, t.id, usage);
    }
    ps_buf_done(&text);
}

static void
expect_counters(struct scn_line *line, const struct ps_usage *sum)
{
    static const struct {
        const char *key;
        enum ps_usage_counter counter;
    } keys[] = {
        {"queries",   PS_USAGE_QUERIES    },
        {"hits",      PS_USAGE_HITS       },
        {"misses",    PS_USAGE_MISSES     },
        {"bypasses",  PS_USAGE_BYPASSES   },
        {"writes",    PS_USAGE_WRITES     },
        {"errors",    PS_USAGE_ERRORS     },
        {"rows",      PS_USAGE_ROWS       },
        {"bytes",     PS_USAGE_BYTES      },
        {"stored",    PS_USAGE_STORED     },
        {"coalesced", PS_USAGE_COALESCED  },
        {"cacheable", PS_USAGE_CACHEABLE  },
        {"first",     PS_USAGE_FIRST      },
        {"changed",   PS_USAGE_CHANGED    },
        {"verified",  PS_USAGE_VERIFIED   },
        {"stale",     PS_USAGE_STALE      },
        {"saved_us",  PS_USAGE_SAVED_US   },
        {"ttl_ms",    PS_USAGE_TTL_MS     },
        {"auto_ms",   PS_USAGE_TTL_AUTO_MS},
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(keys); i++) {
        uint64_t got = sum->n[keys[i].counter];
        if (got != scn_number(line, keys[i].key, got))
            scn_fail(line, "%s is %d", keys[i].key, (int)got);
    }
    if (sum->origin.count != scn_number(line, "timed", sum->origin.count))
        scn_fail(line, "timed is %d", (int)sum->origin.count);
}

static void
expect_reason(struct scn_line *line, const struct ps_usage *sum)
{
    const char *want = scn_option(line, "reason", NULL);
    if (!want)
        return;
    const char *colon = strchr(want, ':');
    struct ps_str code = {want, colon ? (size_t)(colon - want) : strlen(want)};
    uint64_t got = 0;
    for (size_t i = 0; i < PS_USAGE_REASONS; i++)
        if (ps_str_eq(code, ps_str_of(sum->reasons[i].code)))
            got = sum->reasons[i].n;
    if (got != strtoull(colon ? colon + 1 : "1", NULL, 10))
        scn_fail(line, "%s is %d", want, (int)got);
}

void
scn_usage(struct scn_world *world, struct scn_line *line)
{
    struct ps_usage sum = {.n = {0}};
    char cacheability[16];
    collect(world);
    sum_up(world, scn_cache_id(world, scn_option(line, "cache", "main")),
           scn_operand(line, 1), &sum);
    expect_counters(line, &sum);
    expect_reason(line, &sum);
    snprintf(cacheability, sizeof(cacheability), "%.2f",
             ps_usage_cacheability(sum.n));
    const char *want = scn_option(line, "cacheability", cacheability);
    if (strcmp(want, cacheability) != 0)
        scn_fail(line, "cacheability is %s", cacheability);
}
