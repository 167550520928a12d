/*
 * The engine as a whole: its parts are made and freed here, changes told by
 * other agents come in, definitions are exchanged, requests are drained,
 * counters are added up. Nothing here runs for a single request, except
 * ps_engine_hold_conf on a miss.
 */
#include "agent/req/session.h"
#include "common/log.h"
#include "common/tls.h"

#include <stdlib.h>

enum {
    /* Databases with stamps; in little memory fewer. */
    SPACES_MAX = 4096,
    SPACES_MIN = 4,
    SWEEP_MS = 60000,
    CATALOGS_MAX = 4096,
    POLICY_QUERIES = 1 << 18,
    POLICY_TEMPLATES = 1 << 14,
    STALE_PERMILLE = 10,
    RESOLVER_THREADS = 2,
    RESOLVER_KEEP_MS = 5000
};

/* An address may be that of many. */
static const struct ps_logins_conf source_logins = {.max_sources = 1 << 16,
                                                    .free_failures = 5,
                                                    .wait_max_ms = 60000,
                                                    .under_way_max = 64};
/* From whatever addresses: guesses at one account. Who knows its password is
 * not held up by them for long. */
static const struct ps_logins_conf user_logins = {.max_sources = 1 << 16,
                                                  .free_failures = 20,
                                                  .wait_max_ms = 5000,
                                                  .under_way_max = 16};

/* A definition in use, or the place of one that went. */
struct ps_known {
    struct ps_cache_conf *conf;
};

/* ---- definitions ---- */

static void
known_free(void *value)
{
    struct ps_known *known = value;
    ps_cache_conf_unref(&known->conf);
    free(known);
}

static void
lock_known(struct ps_engine *engine)
{
    PS_CHECK(pthread_mutex_lock(&engine->known_lock) == 0);
}

static void
unlock_known(struct ps_engine *engine)
{
    PS_CHECK(pthread_mutex_unlock(&engine->known_lock) == 0);
}

static enum ps_rc
remember(struct ps_engine *engine, struct ps_cache_conf *conf)
{
    enum ps_rc rc = PS_OK;
    lock_known(engine);
    struct ps_known *known = ps_map_find(engine->known, ps_str_of(conf->id));
    if (!known) {
        known = calloc(1, sizeof(*known));
        rc = known ? ps_map_put(engine->known, ps_str_of(conf->id), known, NULL)
                   : PS_NO_MEMORY;
        if (rc != PS_OK) {
            free(known);
            known = NULL;
        }
    }
    if (known && !known->conf)
        known->conf = ps_cache_conf_ref(conf);
    unlock_known(engine);
    return rc;
}

/*
 * Remember first, look second: if the definition is still the old one at the
 * second look, a later ps_engine_reconfigured finds it remembered and
 * adjusts whatever is opened or read in its name from here on.
 */
enum ps_rc
ps_engine_hold_conf(struct ps_engine *engine, struct ps_cache_conf *conf,
                    struct ps_err *err)
{
    enum ps_rc rc = remember(engine, conf);
    if (rc != PS_OK)
        return ps_err_set(err, rc, NULL);
    struct ps_cache_conf *now =
        ps_config_find(engine->conf.config, ps_str_of(conf->id));
    if (!now)
        rc = ps_err_set(err, PS_CACHE_NOT_FOUND, NULL);
    else if (!now->enabled)
        rc = ps_err_set(err, PS_CACHE_DISABLED, NULL);
    else if (!ps_cache_conf_same_origin(conf, now))
        rc = ps_err_set(err, PS_ORIGIN_UNAVAILABLE,
                        "this cache has just been given another origin; "
                        "send the request again");
    ps_cache_conf_unref(&now);
    return rc;
}

/* Answers and dependencies of an origin that is no longer the cache's. */
static void
forget_origin(struct ps_engine *engine, struct ps_str id)
{
    const struct ps_change change = {.cache_id = id, .catalog = true};
    ps_spaces_apply(engine->spaces, &change);
}

static void
adjust(struct ps_engine *engine, struct ps_str id, struct ps_known *known)
{
    struct ps_cache_conf *now = ps_config_find(engine->conf.config, id);
    if (known->conf && known->conf != now) {
        if (!now || !ps_cache_conf_same_origin(known->conf, now))
            forget_origin(engine, id);
        /* A snapshot brings every definition anew, changed or not. */
        if (!now || now->revision != known->conf->revision)
            ps_store_drop(engine->store, id);
    }
    ps_cache_conf_unref(&known->conf);
    known->conf = now;
}

static void
on_reconfigure(struct ps_task *task)
{
    struct ps_worker *worker =
        PS_CONTAINER_OF(task, struct ps_worker, reconfigure_task);
    struct ps_engine *engine = worker->engine;
    size_t at = 0;
    struct ps_str id;
    void *value;
    atomic_store(&worker->reconfigure_posted, false);
    /* Not needed for what is found (recent.h), but nobody holds old
     * definitions for longer than he must. */
    ps_recent_forget(&worker->recent);
    lock_known(engine);
    while (ps_map_next(engine->known, &at, &id, &value)) {
        struct ps_known *known = value;
        char text[sizeof(known->conf->id)];
        PS_CHECK(id.len < sizeof(text));
        memcpy(text, id.ptr, id.len);
        text[id.len] = '\0';
        ps_pool_reconfigure(worker->pool, text, known->conf);
    }
    unlock_known(engine);
}

void
ps_engine_reconfigured(struct ps_engine *engine)
{
    PS_CHECK_OBJ(engine, PS_ENGINE_MAGIC);
    size_t at = 0;
    struct ps_str id;
    void *value;
    lock_known(engine);
    while (ps_map_next(engine->known, &at, &id, &value))
        adjust(engine, id, value);
    unlock_known(engine);
    for (unsigned i = 0; i < engine->conf.n_loops; i++) {
        struct ps_worker *worker = &engine->workers[i];
        if (!atomic_exchange(&worker->reconfigure_posted, true))
            ps_loop_post(worker->loop, &worker->reconfigure_task);
    }
}

/* ---- changes of others ---- */

void
ps_engine_apply(struct ps_engine *engine, const struct ps_change *change)
{
    PS_CHECK_OBJ(engine, PS_ENGINE_MAGIC);
    ps_spaces_apply(engine->spaces, change);
    atomic_fetch_add_explicit(&engine->applied, 1, memory_order_relaxed);
    /* A whole cache: its answers are dead weight now. */
    if (!change->database.ptr && change->n_tables == 0)
        ps_store_drop(engine->store, change->cache_id);
}

/* ---- drain ---- */

/* Once: requests that are refused afterwards come and go. */
static void
report_drained(struct ps_worker *worker)
{
    struct ps_engine *engine = worker->engine;
    if (worker->drained)
        return;
    worker->drained = true;
    if (atomic_fetch_sub(&engine->drain_left, 1) == 1)
        engine->drained(engine->drained_arg);
}

static void
on_drain(struct ps_task *task)
{
    struct ps_worker *worker =
        PS_CONTAINER_OF(task, struct ps_worker, drain_task);
    worker->draining = true;
    ps_session_end_all(worker);
    if (worker->active == 0)
        report_drained(worker);
}

void
ps_worker_request_done(struct ps_worker *worker)
{
    PS_CHECK(worker->active > 0);
    if (--worker->active == 0 && worker->draining)
        report_drained(worker);
}

void
ps_engine_drain(struct ps_engine *engine, void (*fn)(void *arg), void *arg)
{
    PS_CHECK_OBJ(engine, PS_ENGINE_MAGIC);
    PS_CHECK(!engine->drained);
    engine->drained = fn;
    engine->drained_arg = arg;
    atomic_store(&engine->drain_left, engine->conf.n_loops);
    for (unsigned i = 0; i < engine->conf.n_loops; i++)
        ps_loop_post(engine->workers[i].loop, &engine->workers[i].drain_task);
}

/* ---- memory that is not needed any more ---- */

static void
on_sweep(void *arg)
{
    struct ps_engine *engine = arg;
    ps_spaces_sweep(engine->spaces);
    ps_store_trim(engine->store, ps_clock_now_us(engine->conf.clock));
    ps_timer_start_ms(&engine->sweep, SWEEP_MS);
}

size_t
ps_engine_busy(struct ps_engine *engine, unsigned loop_index)
{
    PS_CHECK_OBJ(engine, PS_ENGINE_MAGIC);
    const struct ps_worker *worker = &engine->workers[loop_index];
    return (size_t)worker->active + worker->sessions.count;
}

/* ---- life ---- */

static bool
worker_init(struct ps_engine *engine, unsigned index)
{
    struct ps_worker *worker = &engine->workers[index];
    worker->engine = engine;
    worker->index = index;
    worker->loop = engine->conf.loops[index];
    worker->recent.off = engine->conf.max_principals / PS_RECENT_PLACES / 4 <
                         engine->conf.n_loops;
    if (engine->conf.tally)
        worker->tally = ps_tally_loop(engine->conf.tally, index);
    worker->drain_task.fn = on_drain;
    worker->reconfigure_task.fn = on_reconfigure;
    ps_list_init(&worker->sessions);
    for (size_t i = 0; i < PS_VERIFY_BUCKETS; i++)
        ps_list_init(&worker->verifying[i]);
    const struct ps_pool_conf pool = {
        .loop = worker->loop,
        .resolver = engine->resolver,
        .principals = engine->principals,
        .origins = engine->origins,
        .home = index,
        .find_driver = engine->conf.find_driver,
    };
    ps_lingers_init(&worker->lingers, worker->loop, engine->spaces,
                    engine->conf.publisher);
    worker->pool = ps_pool_new(&pool);
    worker->flights = ps_flights_new(engine->conf.max_waiters);
    return worker->pool && worker->flights;
}

static void
worker_done(struct ps_worker *worker)
{
    if (!worker->engine)
        return;
    ps_loop_unpost(worker->loop, &worker->drain_task);
    ps_loop_unpost(worker->loop, &worker->reconfigure_task);
    if (worker->lingers.loop)
        ps_lingers_done(&worker->lingers);
    if (worker->engine->catalogs)
        ps_catalogs_stop(worker->engine->catalogs, worker->loop);
    if (worker->pool)
        ps_session_end_all(worker);
    ps_recent_forget(&worker->recent);
    ps_pool_free(&worker->pool);
    ps_flights_free(&worker->flights);
}

static uint64_t
seed_of(const struct ps_engine_conf *conf)
{
    uint64_t seed = conf->seed;
    if (seed == 0)
        ps_random_bytes(&seed, sizeof(seed));
    return seed;
}

static bool
make_parts(struct ps_engine *engine)
{
    const struct ps_engine_conf *conf = &engine->conf;
    /* Stamps of tables take half of the memory at most, those of rows a
     * quarter. */
    uint64_t max_spaces = conf->memory_bytes / 2 / ps_space_bytes();
    max_spaces = PS_MIN(max_spaces, (uint64_t)SPACES_MAX);
    max_spaces = PS_MAX(max_spaces, (uint64_t)SPACES_MIN);
    engine->spaces = ps_spaces_new(max_spaces, conf->memory_bytes / 4);
    const struct ps_store_conf store = {.max_bytes = conf->memory_bytes,
                                        .spaces = engine->spaces};
    engine->store = ps_store_new(&store);
    engine->policy = ps_policy_new(POLICY_QUERIES, POLICY_TEMPLATES,
                                   conf->stale_permille ? conf->stale_permille
                                                        : STALE_PERMILLE);
    engine->principals = ps_principals_new(conf->n_loops, conf->max_principals,
                                           conf->verified_ms);
    engine->logins = ps_logins_new(&source_logins);
    engine->user_logins = ps_logins_new(&user_logins);
    engine->origins = ps_origins_new(seed_of(conf));
    engine->known = ps_map_new();
    engine->resolver = ps_resolver_new(RESOLVER_THREADS, RESOLVER_KEEP_MS);
    if (!engine->spaces || !engine->store || !engine->policy ||
        !engine->principals || !engine->logins || !engine->user_logins ||
        !engine->origins || !engine->known || !engine->resolver)
        return false;
    const struct ps_catalogs_conf catalogs = {.spaces = engine->spaces,
                                              .max = CATALOGS_MAX};
    engine->catalogs = ps_catalogs_new(&catalogs);
    return engine->catalogs != NULL;
}

struct ps_engine *
ps_engine_new(const struct ps_engine_conf *conf)
{
    PS_CHECK(conf->n_loops > 0);
    struct ps_engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        return NULL;
    engine->magic = PS_ENGINE_MAGIC;
    engine->conf = *conf;
    ps_random_bytes(engine->session_key, sizeof(engine->session_key));
    PS_CHECK(pthread_mutex_init(&engine->known_lock, NULL) == 0);
    size_t size = conf->n_loops * sizeof(*engine->workers);
    engine->workers = aligned_alloc(_Alignof(struct ps_worker), size);
    if (engine->workers)
        memset(engine->workers, 0, size);
    bool made = engine->workers && make_parts(engine);
    for (unsigned i = 0; made && i < conf->n_loops; i++)
        made = worker_init(engine, i);
    ps_timer_init(&engine->sweep, conf->loops[0], on_sweep, engine);
    if (made)
        ps_timer_start_ms(&engine->sweep, SWEEP_MS);
    else
        ps_engine_free(&engine);
    return engine;
}

void
ps_engine_free(struct ps_engine **engine)
{
    struct ps_engine *old = *engine;
    *engine = NULL;
    if (!old)
        return;
    PS_CHECK_OBJ(old, PS_ENGINE_MAGIC);
    ps_timer_stop(&old->sweep);
    for (unsigned i = 0; old->workers && i < old->conf.n_loops; i++)
        worker_done(&old->workers[i]);
    free(old->workers);
    ps_catalogs_free(&old->catalogs);
    ps_store_free(&old->store);
    ps_policy_free(&old->policy);
    ps_principals_free(&old->principals);
    ps_logins_free(&old->logins);
    ps_logins_free(&old->user_logins);
    ps_origins_free(&old->origins);
    ps_spaces_free(&old->spaces);
    ps_resolver_free(&old->resolver);
    ps_map_free(&old->known, known_free);
    pthread_mutex_destroy(&old->known_lock);
    explicit_bzero(old->session_key, sizeof(old->session_key));
    old->magic = 0;
    free(old);
}

uint64_t
ps_req_max_reply(const struct ps_req *req)
{
    return req->engine->conf.max_reply_bytes;
}

uint64_t
ps_engine_cache_bytes(struct ps_engine *engine, struct ps_str cache_id)
{
    return ps_store_cache_bytes(engine->store, cache_id);
}

void
ps_engine_stats(struct ps_engine *engine, struct ps_engine_stats *out)
{
    PS_CHECK_OBJ(engine, PS_ENGINE_MAGIC);
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < engine->conf.n_loops; i++)
        for (size_t c = 0; c < PS_ENGINE_COUNTER_COUNT; c++)
            out->counters[c] += atomic_load_explicit(
                &engine->workers[i].counters[c], memory_order_relaxed);
    for (unsigned i = 0; i < engine->conf.n_loops; i++)
        for (size_t c = 0; c < PS_RC_COUNT; c++)
            out->errors[c] += atomic_load_explicit(
                &engine->workers[i].errors[c], memory_order_relaxed);
    out->counters[PS_ENGINE_INVALIDATIONS] +=
        atomic_load_explicit(&engine->applied, memory_order_relaxed);
    uint64_t pool[PS_POOL_STATS] = {0};
    for (unsigned i = 0; i < engine->conf.n_loops; i++)
        for (size_t p = 0; p < PS_POOL_STATS; p++)
            pool[p] += atomic_load_explicit(&engine->workers[i].pool_sample[p],
                                            memory_order_relaxed);
    memcpy(&out->pool, pool, sizeof(pool));
    struct ps_store_stats store;
    ps_store_stats(engine->store, &store);
    out->store_bytes = store.bytes;
    out->store_max_bytes = store.max_bytes;
    out->store_entries = store.entries;
    out->store_evicted = store.evicted;
    struct ps_spaces_stats spaces;
    ps_spaces_stats(engine->spaces, &spaces);
    out->stamp_bytes = ps_spaces_bytes(engine->spaces);
    out->row_bytes = spaces.row_bytes;
    struct ps_policy_stats policy;
    ps_policy_stats(engine->policy, &policy);
    out->switched_off = policy.switched_off;
}

size_t
ps_engine_breakers(struct ps_engine *engine, bool closed,
                   struct ps_breaker_state *out, size_t room)
{
    PS_CHECK_OBJ(engine, PS_ENGINE_MAGIC);
    return ps_origins_breakers(engine->origins, closed, out, room);
}

void
ps_engine_sample(struct ps_engine *engine, unsigned loop_index)
{
    struct ps_worker *worker = &engine->workers[loop_index];
    struct ps_pool_stats stats;
    uint64_t members[PS_POOL_STATS];
    ps_pool_stats(worker->pool, &stats);
    memcpy(members, &stats, sizeof(members));
    for (size_t p = 0; p < PS_POOL_STATS; p++)
        atomic_store_explicit(&worker->pool_sample[p], members[p],
                              memory_order_relaxed);
}
