/*
 * A month of statistics, fed to the roll-ups as agents would: every agent has
 * every template, four times a day until two days ago (which is as many rows by
 * day as any other month, and more rows by hour than there is room for), then
 * by the hour and at the end by the minute, while old rows are pruned as the
 * control plane does it.
 *
 *   month FILE CACHE-ID TEMPLATES AGENTS REGIONS DAYS MINUTES MAX-BYTES
 *
 * The last of it is now. Prints one line of JSON: items, seconds, bytes of the
 * file, and what is left of each period.
 */
#include "common/clock.h"
#include "common/tls.h"
#include "controlplane/rollup/rollup.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static const int64_t MINUTE = 60000, HOUR = 3600000;

struct feed {
    struct ps_rollup *rollup;
    const char *cache_id;
    uint64_t templates, agents, regions, number, items, seed;
    char stream[37];
};

static void
fail(const char *what)
{
    fprintf(stderr, "month: %s\n", what);
    exit(1);
}

static uint64_t
next_random(struct feed *f)
{
    f->seed = f->seed * 6364136223846793005u + 1442695040888963407u;
    return f->seed >> 33;
}

/* As busy templates are: two hundred hits and some misses, durations all
 * over, a few reasons. */
static void
make_usage(struct feed *f, struct ps_buf *out)
{
    struct ps_usage u = {.n = {0}};
    uint64_t hits = 100 + next_random(f) % 200, misses = next_random(f) % 20;
    for (uint64_t i = 0; i < hits / 10; i++)
        ps_hist_add(&u.memory, 20 + next_random(f) % 400);
    for (uint64_t i = 0; i < misses; i++)
        ps_hist_add(&u.origin, 500 + next_random(f) % 50000);
    u.n[PS_USAGE_QUERIES] = hits + misses;
    u.n[PS_USAGE_HITS] = hits;
    u.n[PS_USAGE_MISSES] = u.n[PS_USAGE_CACHEABLE] = misses;
    u.n[PS_USAGE_ROWS] = 10 * hits;
    u.n[PS_USAGE_BYTES] = 4321 * hits;
    u.n[PS_USAGE_STORED] = u.n[PS_USAGE_FIRST] = misses / 2;
    u.n[PS_USAGE_VERIFIED] = 1;
    u.n[PS_USAGE_SAVED_US] = hits * 1234;
    u.n[PS_USAGE_ORIGIN_US] = u.origin.sum_us;
    u.n[PS_USAGE_TTL_MS] = u.n[PS_USAGE_TTL_AUTO_MS] = 30000;
    ps_usage_count_reason(&u, PS_STR("first_seen"), misses / 2);
    ps_usage_count_reason(&u, PS_STR("expired"), misses - misses / 2);
    ps_buf_clear(out);
    ps_usage_pack(&u, out);
}

/* What one agent tells at one time. */
static void
tell(struct feed *f, uint64_t agent, int64_t wall_ms)
{
    static struct ps_rollup_item items[PS_ROLLUP_ITEMS_MAX];
    static struct ps_buf usages[64];
    char agent_id[32], region[32], text[256];
    bool again;
    struct ps_err err;
    snprintf(agent_id, sizeof(agent_id), "agent-%d", (int)agent);
    snprintf(region, sizeof(region), "region-%d", (int)(agent % f->regions));
    for (size_t i = 0; i < PS_ARRAY_LEN(usages); i++) {
        if (!usages[i].max)
            ps_buf_init(&usages[i], 1 << 16);
        make_usage(f, &usages[i]);
    }
    for (uint64_t from = 0; from < f->templates;) {
        size_t n = 0;
        for (; n < PS_ARRAY_LEN(items) && from < f->templates; n++, from++)
            items[n] = (struct ps_rollup_item){
                .cache_id = f->cache_id,
                .fingerprint = 1 + from,
                .text = "",
                .usage =
                    ps_buf_str(&usages[(from + agent) % PS_ARRAY_LEN(usages)])};
        struct ps_rollup_batch batch = {.agent_id = agent_id,
                                        .region = region,
                                        .stream = f->stream,
                                        .number = ++f->number,
                                        .wall_ms = wall_ms,
                                        .items = items,
                                        .n = n};
        if (ps_rollup_add(f->rollup, &batch, &again, &err) != PS_OK || again)
            fail("a batch was not added");
        /* Texts are told when they are asked for. */
        for (size_t i = 0; i < n; i++) {
            if (!items[i].unknown)
                continue;
            snprintf(text, sizeof(text),
                     "select t.id, t.name, o.total from table_%d as t join "
                     "orders as o on o.t_id = t.id where t.customer = ? and "
                     "o.created > ? order by o.created desc limit ?",
                     (int)items[i].fingerprint);
            items[i].text = text;
            batch = (struct ps_rollup_batch){.agent_id = agent_id,
                                             .region = region,
                                             .stream = f->stream,
                                             .number = ++f->number,
                                             .wall_ms = wall_ms,
                                             .items = &items[i],
                                             .n = 1};
            if (ps_rollup_add(f->rollup, &batch, &again, &err) != PS_OK)
                fail("a text was not added");
        }
        f->items += n;
    }
}

static void
prune(struct feed *f, int64_t wall_ms)
{
    bool more = true;
    struct ps_err err;
    while (more)
        if (ps_rollup_prune(f->rollup, wall_ms, &more, &err) != PS_OK)
            fail("cannot prune");
}

static void
feed(struct feed *f, int64_t from_ms, int64_t to_ms, int64_t step_ms)
{
    for (int64_t at = from_ms; at < to_ms; at += step_ms) {
        for (uint64_t agent = 0; agent < f->agents; agent++)
            tell(f, agent, at);
        prune(f, at);
    }
}

static void
count(void *arg, const struct ps_rollup_row *row)
{
    (void)row;
    ++*(uint64_t *)arg;
}

/* How many starts still have rows by template. */
static uint64_t
kept(struct feed *f, enum ps_rollup_period period, int64_t now_ms, int64_t n)
{
    int64_t ms = ps_rollup_period_ms(period);
    uint64_t starts = 0;
    for (int64_t i = 0; i < n; i++) {
        struct ps_rollup_query q = {.cache_id = f->cache_id,
                                    .has_template = true,
                                    .fingerprint = 1,
                                    .from_ms = (now_ms / ms - i) * ms,
                                    .to_ms = (now_ms / ms - i + 1) * ms,
                                    .period = period};
        struct ps_err err;
        if (ps_rollup_totals(f->rollup, &q, PS_ROLLUP_TIME, count, &starts,
                             &err) != PS_OK)
            fail("cannot read");
    }
    return starts;
}

int
main(int argc, char **argv)
{
    struct feed f = {.seed = 42};
    struct ps_err err;
    struct stat st;
    if (argc != 9)
        fail("FILE CACHE-ID TEMPLATES AGENTS REGIONS DAYS MINUTES MAX-BYTES");
    f.cache_id = argv[2];
    f.templates = strtoull(argv[3], NULL, 10);
    f.agents = strtoull(argv[4], NULL, 10);
    f.regions = strtoull(argv[5], NULL, 10);
    int64_t days = strtoll(argv[6], NULL, 10);
    int64_t minutes = strtoll(argv[7], NULL, 10);
    ps_uuid_make(f.stream);
    if (ps_rollup_open(&f.rollup, argv[1], strtoll(argv[8], NULL, 10), &err) !=
        PS_OK)
        fail(err.message);
    int64_t now = ps_wall_ms(), fine = now - minutes * MINUTE;
    uint64_t begin = ps_clock_now_us(ps_clock_real());
    int64_t hourly = PS_MAX(now - 48 * HOUR, now - days * 24 * HOUR);
    feed(&f, now - days * 24 * HOUR, hourly, 6 * HOUR);
    feed(&f, PS_MIN(hourly, fine), fine, HOUR);
    feed(&f, fine, now, MINUTE);
    double seconds =
        (double)(ps_clock_now_us(ps_clock_real()) - begin) / 1000000;
    uint64_t left[] = {kept(&f, PS_ROLLUP_MINUTE, now, 24 * 60),
                       kept(&f, PS_ROLLUP_HOUR, now, 32 * 24),
                       kept(&f, PS_ROLLUP_DAY, now, 32)};
    ps_rollup_close(&f.rollup);
    if (stat(argv[1], &st) != 0)
        fail("no file");
    printf("{\"items\":%llu,\"seconds\":%.1f,\"us_per_item\":%.2f,"
           "\"file_bytes\":%lld,\"minutes\":%llu,\"hours\":%llu,"
           "\"days\":%llu}\n",
           (unsigned long long)f.items, seconds,
           seconds * 1e6 / (double)f.items, (long long)st.st_size,
           (unsigned long long)left[0], (unsigned long long)left[1],
           (unsigned long long)left[2]);
    return 0;
}
