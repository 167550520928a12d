/*
 * The agent's parts, its definitions, lease, publisher and time. All on one
 * thread: a command changes something, then every loop is turned until
 * nothing more happens.
 */
#include "tests/scenario/world.h"

#include "agent/cache/lease.h"
#include "common/check.h"

#include <stdio.h>
#include <stdlib.h>

struct published {
    struct ps_link link;
    char text[512];
};

struct unacked {
    struct ps_link link;
    struct ps_publish_wait *wait;
};

static struct scn_world *the_world; /* find_driver has no argument */

/* ------------------------------------------------------------ publisher */

/* "main app public.items" or "main app *", "... catalog". */
static void
describe(struct scn_world *world, const struct ps_change *change, char *out,
         size_t size)
{
    const char *cache = "*";
    for (size_t i = 0; i < SCN_CACHES_MAX; i++) {
        struct scn_cache *c = &world->caches[i];
        if (c->conf && ps_str_eq(ps_str_of(c->conf->id), change->cache_id))
            cache = c->name;
    }
    int n = snprintf(
        out, size, "%s %.*s", cache,
        PS_STR_ARG(change->database.ptr ? change->database : PS_STR("*")));
    if (change->n_tables == 0)
        n += snprintf(out + n, size - (size_t)n, " *");
    for (size_t i = 0; i < change->n_tables; i++)
        n += snprintf(out + n, size - (size_t)n, " %.*s",
                      PS_STR_ARG(change->tables[i].name));
    if (change->catalog)
        snprintf(out + n, size - (size_t)n, " catalog");
}

static void
publish(void *arg, const struct ps_change *change, struct ps_publish_wait *wait)
{
    struct scn_world *world = arg;
    struct published *told = calloc(1, sizeof(*told));
    PS_CHECK(told);
    describe(world, change, told->text, sizeof(told->text));
    ps_list_push_back(&world->published, &told->link);
    if (!wait)
        return;
    if (!world->hold_acks) {
        wait->fn(wait, PS_OK);
        return;
    }
    struct unacked *held = calloc(1, sizeof(*held));
    PS_CHECK(held);
    held->wait = wait;
    ps_list_push_back(&world->unacked, &held->link);
}

static void
write_began(void *arg)
{
    struct scn_world *world = arg;
    world->writes_open++;
}

static void
write_ended(void *arg)
{
    struct scn_world *world = arg;
    PS_CHECK(world->writes_open > 0);
    world->writes_open--;
}

static void
write_lingers(void *arg, uint64_t for_ms)
{
    struct scn_world *world = arg;
    world->lingers_until_ms =
        PS_MAX(world->lingers_until_ms, ps_clock_now_ms(world->clock) + for_ms);
}

/* lingers 35s | none: for how long, as the link knows, writes of unknown
 * outcome may still take effect. */
void
scn_lingers(struct scn_world *world, struct scn_line *line)
{
    const char *what = scn_operand(line, 1);
    uint64_t now = ps_clock_now_ms(world->clock), want = 0, left = 0;
    if (world->lingers_until_ms > now)
        left = world->lingers_until_ms - now;
    if (strcmp(what, "none") != 0)
        want = scn_duration_us(line, what) / 1000;
    if (left != want)
        scn_fail(line, "%d ms", (int)left);
}

/* publisher hold | instant: whether other agents confirm by themselves. */
void
scn_publisher(struct scn_world *world, struct scn_line *line)
{
    const char *what = scn_operand(line, 1);
    if (strcmp(what, "hold") != 0 && strcmp(what, "instant") != 0)
        scn_fail(line, "publisher hold or instant, not %s", what);
    world->hold_acks = strcmp(what, "hold") == 0;
}

/* ack [CODE]: the oldest confirmation that is held comes, or fails. */
void
scn_ack(struct scn_world *world, struct scn_line *line)
{
    const char *code = scn_operand_or(line, 1);
    struct ps_link *link = ps_list_pop_front(&world->unacked);
    if (!link)
        scn_fail(line, "nobody waits for a confirmation");
    struct unacked *held = PS_CONTAINER_OF(link, struct unacked, link);
    held->wait->fn(held->wait, code ? scn_rc(line, code) : PS_OK);
    free(held);
}

/* published "main app items" | none: what the other agents were told, in
 * order. */
void
scn_published(struct scn_world *world, struct scn_line *line)
{
    const char *want = scn_operand(line, 1);
    struct ps_link *link = ps_list_pop_front(&world->published);
    const char *got =
        link ? PS_CONTAINER_OF(link, struct published, link)->text : "none";
    if (strcmp(got, want) != 0)
        scn_fail(line, "published \"%s\"", got);
    if (link)
        free(PS_CONTAINER_OF(link, struct published, link));
}

/* ------------------------------------------------------------- the agent */

static const struct ps_driver *
find_driver(enum ps_provider provider)
{
    (void)provider;
    return ps_fake_driver(the_world->fake);
}

void
scn_world_init(struct scn_world *world)
{
    memset(world, 0, sizeof(*world));
    the_world = world;
    world->clock = ps_clock_virtual_new();
    world->fake = ps_fake_new();
    world->config = ps_config_new();
    PS_CHECK(world->clock && world->fake && world->config);
    world->n_loops = 1;
    ps_lease_init(&world->lease);
    ps_lease_renew(&world->lease, PS_LEASE_FOR_EVER, UINT64_MAX);
    ps_list_init(&world->requests);
    ps_list_init(&world->published);
    ps_list_init(&world->unacked);
    world->publisher = (struct ps_publisher){.arg = world,
                                             .publish = publish,
                                             .write_began = write_began,
                                             .write_ended = write_ended,
                                             .write_lingers = write_lingers};
    world->conf = (struct ps_engine_conf){
        .clock = world->clock,
        .loops = world->loops,
        .config = world->config,
        .lease = &world->lease,
        .publisher = &world->publisher,
        .find_driver = find_driver,
        .memory_bytes = 8 << 20,
        .max_reply_bytes = 1 << 20,
        .verified_ms = 60000,
        .max_principals = 64,
        .seed = 1,
        .max_waiters = 64,
    };
}

struct ps_engine *
scn_engine(struct scn_world *world)
{
    if (world->engine)
        return world->engine;
    for (unsigned i = 0; i < world->n_loops; i++) {
        world->loops[i] = ps_loop_new(world->clock, "scenario");
        PS_CHECK(world->loops[i]);
    }
    world->conf.n_loops = world->n_loops;
    world->tally = ps_tally_new(64, world->n_loops);
    PS_CHECK(world->tally);
    world->conf.tally = world->tally;
    world->engine = ps_engine_new(&world->conf);
    PS_CHECK(world->engine);
    return world->engine;
}

/* agent [loops=] [memory=] [max_reply=] [verified=] [waiters=] [principals=]:
 * before the first request. */
void
scn_agent(struct scn_world *world, struct scn_line *line)
{
    struct ps_engine_conf *conf = &world->conf;
    if (world->engine)
        scn_fail(line, "the agent runs already");
    world->n_loops = (unsigned)scn_number(line, "loops", world->n_loops);
    if (world->n_loops < 1 || world->n_loops > SCN_LOOPS_MAX)
        scn_fail(line, "1 or %d loops", SCN_LOOPS_MAX);
    conf->memory_bytes = scn_number(line, "memory", conf->memory_bytes);
    conf->max_reply_bytes =
        scn_number(line, "max_reply", conf->max_reply_bytes);
    conf->verified_ms = scn_duration_ms(line, "verified", conf->verified_ms);
    conf->transaction_idle_ms =
        scn_duration_ms(line, "transaction_idle", conf->transaction_idle_ms);
    conf->max_waiters =
        (unsigned)scn_number(line, "waiters", conf->max_waiters);
    conf->verify_every = (unsigned)scn_number(line, "verify", 0);
    conf->refresh_percent = (unsigned)scn_number(line, "refresh", 0);
    conf->max_principals =
        (size_t)scn_number(line, "principals", conf->max_principals);
}

static void
check_nothing_left(struct scn_world *world, struct scn_line *line)
{
    if (world->writes_open)
        scn_fail(line, "%d writes are still under way",
                 (int)world->writes_open);
    if (world->unacked.count)
        scn_fail(line, "a write still waits for a confirmation");
    ps_engine_free(&world->engine);
    struct ps_fake_stats stats;
    ps_fake_stats(world->fake, &stats);
    if (stats.connected || stats.closes != stats.opens || stats.executing)
        scn_fail(line, "connections leaked: opened %d, closed %d",
                 (int)stats.opens, (int)stats.closes);
}

void
scn_world_done(struct scn_world *world, struct scn_line *line)
{
    scn_requests_done(world, line);
    check_nothing_left(world, line);
    ps_tally_free(&world->tally);
    for (unsigned i = 0; i < world->n_loops; i++)
        ps_loop_free(&world->loops[i]);
    for (size_t i = 0; i < SCN_CACHES_MAX; i++)
        ps_cache_conf_unref(&world->caches[i].conf);
    ps_config_free(&world->config);
    ps_fake_free(&world->fake);
    ps_clock_virtual_free(&world->clock);
    struct ps_link *link;
    while ((link = ps_list_pop_front(&world->published)))
        free(PS_CONTAINER_OF(link, struct published, link));
    scn_tables_done();
}

/* expect_agent hits=2 stores=1 entries=1 ...: counters since the start. */
void
scn_expect_agent(struct scn_world *world, struct scn_line *line)
{
    static const char *const names[] = {
#define X(name, text, help) text,
        PS_ENGINE_COUNTER_TABLE(X)
#undef X
    };
    struct ps_engine_stats stats;
    ps_engine_stats(scn_engine(world), &stats);
    for (size_t i = 0; i < PS_ARRAY_LEN(names); i++) {
        char key[32]; /* "hits" for hits_total */
        snprintf(key, sizeof(key), "%.*s",
                 (int)(strlen(names[i]) - strlen("_total")), names[i]);
        uint64_t got = stats.counters[i], want = scn_number(line, key, got);
        if (got != want)
            scn_fail(line, "%s is %d", key, (int)got);
    }
    if (stats.store_entries != scn_number(line, "entries", stats.store_entries))
        scn_fail(line, "entries is %d", (int)stats.store_entries);
    if (stats.store_bytes > scn_number(line, "bytes_max", stats.store_bytes))
        scn_fail(line, "the store has %d bytes", (int)stats.store_bytes);
    if (stats.row_bytes != scn_number(line, "row_bytes", stats.row_bytes))
        scn_fail(line, "rows take %d bytes", (int)stats.row_bytes);
}

static void
on_drained(void *arg)
{
    struct scn_world *world = arg;
    world->drained = true;
}

/* drain | drain done | drain pending */
void
scn_drain(struct scn_world *world, struct scn_line *line)
{
    const char *state = scn_operand_or(line, 1);
    if (!state)
        ps_engine_drain(scn_engine(world), on_drained, world);
    else if ((strcmp(state, "done") == 0) != world->drained)
        scn_fail(line, "drained: %s", world->drained ? "yes" : "no");
}

/* ----------------------------------------------------------------- time */

void
scn_settle(struct scn_world *world)
{
    size_t ran;
    do {
        ran = 0;
        for (unsigned i = 0; world->engine && i < world->n_loops; i++)
            ran += ps_loop_turn(world->loops[i]);
    } while (ran > 0);
}

void
scn_advance_us(struct scn_world *world, uint64_t us)
{
    uint64_t now = ps_clock_now_us(world->clock), until = now + us;
    scn_settle(world);
    while (now < until) {
        uint64_t next = until;
        for (unsigned i = 0; world->engine && i < world->n_loops; i++)
            next = PS_MIN(next, ps_loop_next_due_us(world->loops[i]));
        if (next > now)
            ps_clock_virtual_advance_us(world->clock, next - now);
        now = PS_MAX(next, now);
        scn_settle(world);
    }
}

/* advance 10ms */
void
scn_advance(struct scn_world *world, struct scn_line *line)
{
    scn_advance_us(world, scn_duration_us(line, scn_operand(line, 1)));
}

/* lease lost | lease given [for=2s] [restricted=100ms] */
void
scn_lease(struct scn_world *world, struct scn_line *line)
{
    const char *what = scn_operand(line, 1);
    if (strcmp(what, "lost") == 0) {
        ps_lease_drop(&world->lease);
        return;
    }
    if (strcmp(what, "given") != 0)
        scn_fail(line, "lease given or lost, not %s", what);
    const char *length = scn_option(line, "for", NULL);
    const char *restricted = scn_option(line, "restricted", NULL);
    uint64_t until = PS_LEASE_FOR_EVER;
    if (length)
        until = ps_clock_now_us(world->clock) + scn_duration_us(line, length);
    ps_lease_renew(&world->lease, until,
                   restricted ? scn_duration_us(line, restricted) : UINT64_MAX);
}

/* remote [cache=main] [database=app] [tables=a,b] [catalog] [everything]: a
 * change that another agent made. */
void
scn_remote(struct scn_world *world, struct scn_line *line)
{
    struct ps_table_name names[8];
    char text[256];
    const char *cache = scn_option(line, "cache", "main");
    const char *tables = scn_option(line, "tables", "");
    struct ps_change change = {
        .cache_id = ps_str_of(scn_cache_id(world, cache)),
        .database = ps_str_of(scn_option(line, "database", "app")),
        .tables = names,
        .catalog = scn_flag(line, "catalog"),
    };
    if (scn_flag(line, "everything"))
        change.cache_id = change.database = PS_STR_NONE;
    else if (ps_str_eq(change.database, PS_STR("*")))
        change.database = PS_STR_NONE;
    snprintf(text, sizeof(text), "%s", tables);
    char *save = NULL;
    for (char *name = strtok_r(text, ",", &save);
         name && change.n_tables < PS_ARRAY_LEN(names);
         name = strtok_r(NULL, ",", &save))
        names[change.n_tables++] =
            (struct ps_table_name){PS_STR("public"), ps_str_of(name)};
    ps_engine_apply(scn_engine(world), &change);
}

/* ---------------------------------------------------------- definitions */

static struct scn_cache *
find_cache(struct scn_world *world, const char *name)
{
    for (size_t i = 0; i < SCN_CACHES_MAX; i++)
        if (strcmp(world->caches[i].name, name) == 0)
            return &world->caches[i];
    return NULL;
}

const char *
scn_cache_id(struct scn_world *world, const char *name)
{
    struct scn_cache *cache = find_cache(world, name);
    return cache ? cache->conf->id : "ffffffff-ffff-4fff-8fff-ffffffffffff";
}

static void
read_conf(struct scn_line *line, struct ps_cache_conf *c,
          const struct ps_cache_conf *old)
{
    const char *ack =
        scn_option(line, "write_ack", old->write_ack_global ? "global" : "");
    const char *provider =
        scn_option(line, "provider", ps_provider_text(old->provider));
    if (!ps_provider_parse(ps_str_of(provider), &c->provider))
        scn_fail(line, "no such provider: %s", provider);
    c->enabled = scn_number(line, "enabled", old->enabled) != 0;
    c->caching_enabled = scn_number(line, "caching", old->caching_enabled) != 0;
    c->auto_cached = scn_number(line, "auto", old->auto_cached) != 0;
    c->write_ack_global = strcmp(ack, "global") == 0;
    c->port = (uint16_t)scn_number(line, "port", old->port);
    c->ttl_min_ms = scn_duration_ms(line, "ttl_min", old->ttl_min_ms);
    c->ttl_max_ms = scn_duration_ms(line, "ttl_max", old->ttl_max_ms);
    c->pool_max = (uint32_t)scn_number(line, "pool_max", old->pool_max);
    c->pool_queue_max =
        (uint32_t)scn_number(line, "queue_max", old->pool_queue_max);
    c->pool_queue_timeout_ms =
        scn_duration_ms(line, "queue_timeout", old->pool_queue_timeout_ms);
    c->pool_idle_timeout_ms =
        scn_duration_ms(line, "idle_timeout", old->pool_idle_timeout_ms);
    c->pool_cache_max =
        (uint32_t)scn_number(line, "cache_max", old->pool_cache_max);
    c->pool_min_idle =
        (uint32_t)scn_number(line, "min_idle", old->pool_min_idle);
    c->pool_max_age_ms = scn_duration_ms(line, "max_age", old->pool_max_age_ms);
    c->pool_check_after_ms =
        scn_duration_ms(line, "check_after", old->pool_check_after_ms);
    c->breaker_failures =
        (uint32_t)scn_number(line, "breaker", old->breaker_failures);
    c->breaker_open_ms =
        scn_duration_ms(line, "breaker_open", old->breaker_open_ms);
    c->slow_start_ms = scn_duration_ms(line, "slow_start", old->slow_start_ms);
    c->concurrency_max =
        (uint32_t)scn_number(line, "concurrency", old->concurrency_max);
    c->rate_limit = (uint32_t)scn_number(line, "rate", old->rate_limit);
    c->rate_burst = (uint32_t)scn_number(line, "burst", old->rate_burst);
    c->connect_timeout_ms =
        scn_duration_ms(line, "connect_timeout", old->connect_timeout_ms);
    c->query_timeout_ms =
        scn_duration_ms(line, "query_timeout", old->query_timeout_ms);
    c->max_entry_bytes = scn_number(line, "max_entry", old->max_entry_bytes);
    c->memory_share_percent =
        (uint32_t)scn_number(line, "memory_share", old->memory_share_percent);
    c->invalidation_off =
        scn_number(line, "invalidation", !old->invalidation_off) == 0;
    for (size_t i = 0; c != old && i < old->n_rules; i++)
        PS_CHECK(ps_cache_conf_add_rule(c, &old->rules[i]) == PS_OK);
}

static void
replace_all(struct scn_world *world)
{
    struct ps_cache_conf *all[SCN_CACHES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < SCN_CACHES_MAX; i++)
        if (world->caches[i].defined)
            all[n++] = ps_cache_conf_ref(world->caches[i].conf);
    PS_CHECK(ps_config_replace(world->config, world->version, all, n) == PS_OK);
    if (world->engine)
        ps_engine_reconfigured(world->engine);
}

static struct ps_cache_conf *
redefine(struct scn_world *world, struct scn_line *line,
         struct scn_cache *cache)
{
    char id[37];
    snprintf(id, sizeof(id), "00000000-0000-4000-8000-%012d",
             (int)(cache - world->caches));
    const struct ps_cache_conf *old = cache->conf;
    struct ps_cache_conf *conf = ps_cache_conf_new(
        id, cache->name,
        scn_option(line, "host", old ? old->host : "db.internal"));
    PS_CHECK(conf);
    read_conf(line, conf, old ? old : conf);
    conf->revision = ++world->version;
    return conf;
}

/* rule CACHE query|template|table "KEY" [auto] [never] [ttl=]
 * [stale_if_error=]: one more. rule CACHE none: no rule any more. */
void
scn_rule(struct scn_world *world, struct scn_line *line)
{
    static const char *const types[] = {"query", "template", "table"};
    struct scn_cache *cache = find_cache(world, scn_operand(line, 1));
    const char *type = scn_operand(line, 2);
    if (!cache)
        scn_fail(line, "no such cache");
    struct ps_cache_conf *conf = redefine(world, line, cache);
    if (strcmp(type, "none") == 0) {
        while (conf->n_rules > 0)
            free(conf->rules[--conf->n_rules].key);
    } else {
        const char *key = scn_operand(line, 3);
        struct ps_rule rule = {.type = PS_RULE_QUERY, .mode = PS_RULE_TTL};
        while (rule.type < PS_RULE_TABLE && strcmp(types[rule.type], type) != 0)
            rule.type++;
        rule.key = strdup(key);
        rule.ttl_ms = scn_duration_ms(line, "ttl", 0);
        rule.stale_if_error_ms = scn_duration_ms(line, "stale_if_error", 0);
        rule.stale_while_revalidate_ms =
            scn_duration_ms(line, "stale_while_revalidate", 0);
        if (scn_flag(line, "auto"))
            rule.mode = PS_RULE_AUTO;
        else if (scn_flag(line, "never"))
            rule.mode = PS_RULE_NEVER;
        PS_CHECK(ps_cache_conf_add_rule(conf, &rule) == PS_OK);
        free(rule.key);
    }
    ps_cache_conf_unref(&cache->conf);
    cache->conf = conf;
    replace_all(world);
}

/* cache NAME [remove] [host=] [pool_max=] ...: makes or changes a definition;
 * what is not given stays. */
void
scn_cache(struct scn_world *world, struct scn_line *line)
{
    const char *name = scn_operand(line, 1);
    struct scn_cache *cache = find_cache(world, name);
    if (!cache)
        cache = find_cache(world, "");
    if (!cache)
        scn_fail(line, "no more than %d caches", SCN_CACHES_MAX);
    snprintf(cache->name, sizeof(cache->name), "%s", name);
    struct ps_cache_conf *old = cache->conf;
    struct ps_cache_conf *conf = redefine(world, line, cache);
    cache->conf = conf;
    cache->defined = !scn_flag(line, "remove");
    ps_cache_conf_unref(&old);
    replace_all(world);
}
