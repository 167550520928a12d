/*
 * The table of caches: one immutable map from id to definition behind a
 * read-write lock. A request holds the read lock for one look-up and leaves
 * with a reference; a replacement builds the new map first and swaps it in,
 * so that a look-up never waits for an allocation and sees either all of the
 * old definitions or all of the new ones.
 *
 * Any thread. Nothing here does I/O.
 */
#include "agent/config/config.h"

#include "common/check.h"
#include "common/map.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    CONF_MAGIC = 0x70636f6e,
    ID_LEN = 36
};

struct ps_config {
    pthread_rwlock_t lock;
    struct ps_map *caches; /* id -> struct ps_cache_conf *, one reference */
    uint64_t version;
    _Atomic uint64_t changes; /* written under lock */
};

static const struct {
    const char *text;
    uint16_t port;
} providers[] = {
#define X(name, text, port) {text, port},
    PS_PROVIDER_TABLE(X)
#undef X
};

const char *
ps_provider_text(enum ps_provider provider)
{
    PS_CHECK((unsigned)provider < PS_PROVIDER_COUNT);
    return providers[provider].text;
}

bool
ps_provider_parse(struct ps_str text, enum ps_provider *provider)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(providers); i++) {
        if (ps_str_eq(text, ps_str_of(providers[i].text))) {
            *provider = (enum ps_provider)i;
            return true;
        }
    }
    return false;
}

uint16_t
ps_provider_port(enum ps_provider provider)
{
    PS_CHECK((unsigned)provider < PS_PROVIDER_COUNT);
    return providers[provider].port;
}

/* Lower case; false when text has not the length of a UUID. */
static bool
fold_id(struct ps_str text, char out[ID_LEN + 1])
{
    if (text.len != ID_LEN)
        return false;
    for (size_t i = 0; i < ID_LEN; i++)
        out[i] = (char)tolower((unsigned char)text.ptr[i]);
    out[ID_LEN] = '\0';
    return true;
}

struct ps_cache_conf *
ps_cache_conf_new(const char *id, const char *name, const char *host)
{
    struct ps_cache_conf *conf = calloc(1, sizeof(*conf));
    if (!conf)
        return NULL;
    conf->magic = CONF_MAGIC;
    conf->refs = 1;
    PS_CHECK(fold_id(ps_str_of(id), conf->id));
    conf->name = strdup(name);
    conf->host = strdup(host);
    conf->provider = PS_PROVIDER_POSTGRES;
    conf->port = ps_provider_port(conf->provider);
    conf->enabled = true;
    conf->caching_enabled = true;
    conf->auto_cached = true;
    conf->tls_mode = PS_TLS_AUTO;
    conf->ttl_min_ms = 1000;
    conf->ttl_max_ms = 3600 * 1000;
    conf->pool_max = 20;
    conf->pool_queue_max = 1000;
    conf->pool_queue_timeout_ms = 5000;
    conf->pool_idle_timeout_ms = 60000;
    conf->pool_max_age_ms = 3600 * 1000;
    conf->pool_check_after_ms = 30000;
    conf->breaker_failures = 10;
    conf->breaker_open_ms = 1000;
    conf->slow_start_ms = 3000;
    conf->connect_timeout_ms = 5000;
    conf->query_timeout_ms = 30000;
    conf->max_entry_bytes = 1 << 20;
    conf->memory_share_percent = 100;
    conf->revision = 1;
    conf->load = ps_cache_load_new();
    if (!conf->name || !conf->host || !conf->load)
        ps_cache_conf_unref(&conf);
    return conf;
}

enum ps_rc
ps_cache_conf_add_rule(struct ps_cache_conf *conf, const struct ps_rule *rule)
{
    PS_CHECK_OBJ(conf, CONF_MAGIC);
    size_t size = (conf->n_rules + 1) * sizeof(*conf->rules);
    struct ps_rule *rules = realloc(conf->rules, size);
    if (!rules)
        return PS_NO_MEMORY;
    conf->rules = rules;
    char *key = strdup(rule->key);
    if (!key)
        return PS_NO_MEMORY;
    rules[conf->n_rules++] = (struct ps_rule){
        .type = rule->type,
        .mode = rule->mode,
        .key = key,
        .ttl_ms = rule->ttl_ms,
        .stale_if_error_ms = rule->stale_if_error_ms,
        .stale_while_revalidate_ms = rule->stale_while_revalidate_ms};
    return PS_OK;
}

struct ps_cache_conf *
ps_cache_conf_ref(struct ps_cache_conf *conf)
{
    PS_CHECK_OBJ(conf, CONF_MAGIC);
    atomic_fetch_add_explicit(&conf->refs, 1, memory_order_relaxed);
    return conf;
}

void
ps_cache_conf_unref(struct ps_cache_conf **conf)
{
    struct ps_cache_conf *old = *conf;
    *conf = NULL;
    if (!old)
        return;
    PS_CHECK_OBJ(old, CONF_MAGIC);
    if (atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) != 1)
        return;
    old->magic = 0;
    free(old->name);
    free(old->host);
    free(old->tls_ca_pem);
    free(old->default_database);
    for (size_t i = 0; i < old->n_rules; i++)
        free(old->rules[i].key);
    free(old->rules);
    ps_cache_load_unref(&old->load);
    free(old);
}

bool
ps_cache_conf_same_origin(const struct ps_cache_conf *a,
                          const struct ps_cache_conf *b)
{
    PS_CHECK_OBJ(a, CONF_MAGIC);
    PS_CHECK_OBJ(b, CONF_MAGIC);
    return a->provider == b->provider && a->port == b->port &&
           a->tls_mode == b->tls_mode && strcmp(a->host, b->host) == 0 &&
           ps_str_eq(ps_str_of(a->tls_ca_pem), ps_str_of(b->tls_ca_pem));
}

static void
unref_value(void *value)
{
    struct ps_cache_conf *conf = value;
    ps_cache_conf_unref(&conf);
}

struct ps_config *
ps_config_new(void)
{
    struct ps_config *config = calloc(1, sizeof(*config));
    if (!config)
        return NULL;
    config->caches = ps_map_new();
    if (!config->caches) {
        free(config);
        return NULL;
    }
    PS_CHECK(pthread_rwlock_init(&config->lock, NULL) == 0);
    return config;
}

void
ps_config_free(struct ps_config **config)
{
    struct ps_config *old = *config;
    *config = NULL;
    if (!old)
        return;
    ps_map_free(&old->caches, unref_value);
    pthread_rwlock_destroy(&old->lock);
    free(old);
}

struct ps_cache_conf *
ps_config_find(struct ps_config *config, struct ps_str id)
{
    char key[ID_LEN + 1];
    if (!fold_id(id, key))
        return NULL;
    PS_CHECK(pthread_rwlock_rdlock(&config->lock) == 0);
    struct ps_cache_conf *conf =
        ps_map_find(config->caches, (struct ps_str){key, ID_LEN});
    if (conf)
        ps_cache_conf_ref(conf);
    pthread_rwlock_unlock(&config->lock);
    return conf;
}

/* What the cache was asked for under its last definition still counts. */
static void
inherit_load(struct ps_config *config, struct ps_cache_conf *conf)
{
    struct ps_cache_conf *last = ps_config_find(config, ps_str_of(conf->id));
    if (last && last->load != conf->load) {
        ps_cache_load_unref(&conf->load);
        conf->load = ps_cache_load_ref(last->load);
    }
    ps_cache_conf_unref(&last);
}

uint64_t
ps_config_changes(const struct ps_config *config)
{
    return atomic_load(&config->changes);
}

/* All or none: on failure the map is freed and the references stay with the
 * caller. */
static struct ps_map *
build_map(struct ps_cache_conf **confs, size_t count)
{
    struct ps_map *map = ps_map_new();
    for (size_t i = 0; map && i < count; i++) {
        PS_CHECK_OBJ(confs[i], CONF_MAGIC);
        struct ps_str key = {confs[i]->id, ID_LEN};
        void *old = NULL;
        if (ps_map_put(map, key, ps_cache_conf_ref(confs[i]), &old) != PS_OK) {
            struct ps_cache_conf *conf = confs[i];
            ps_cache_conf_unref(&conf);
            ps_map_free(&map, unref_value);
        } else if (old) {
            unref_value(old);
        }
    }
    return map;
}

enum ps_rc
ps_config_replace(struct ps_config *config, uint64_t version,
                  struct ps_cache_conf **confs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        inherit_load(config, confs[i]);
    struct ps_map *map = build_map(confs, count);
    for (size_t i = 0; i < count; i++)
        ps_cache_conf_unref(&confs[i]);
    if (!map)
        return PS_NO_MEMORY;
    PS_CHECK(pthread_rwlock_wrlock(&config->lock) == 0);
    struct ps_map *old = config->caches;
    config->caches = map;
    config->version = version;
    atomic_fetch_add(&config->changes, 1);
    pthread_rwlock_unlock(&config->lock);
    ps_map_free(&old, unref_value);
    return PS_OK;
}

uint64_t
ps_config_version(struct ps_config *config)
{
    PS_CHECK(pthread_rwlock_rdlock(&config->lock) == 0);
    uint64_t version = config->version;
    pthread_rwlock_unlock(&config->lock);
    return version;
}

size_t
ps_config_count(struct ps_config *config)
{
    PS_CHECK(pthread_rwlock_rdlock(&config->lock) == 0);
    size_t count = ps_map_count(config->caches);
    pthread_rwlock_unlock(&config->lock);
    return count;
}
