/*
 * Snapshots of the configuration: every cache, with a version. The packed
 * reply is kept until the version changes, because after a restart every
 * agent asks for the same one.
 */
#include "common/log.h"
#include "controlplane/fleet/fleet_private.h"

#include <stdlib.h>

void
fleet_cache_config(const struct ps_cache_def *def, Portside__CacheConfig *out)
{
    portside__cache_config__init(out);
    out->id = fleet_lend(def->id);
    out->name = fleet_lend(def->name);
    out->provider = (Portside__Provider)def->type;
    out->host = fleet_lend(def->host);
    out->port = (uint32_t)def->port;
    out->caching_enabled = def->caching_enabled != 0;
    out->auto_cached = def->behaviour == PS_DEF_AUTO_CACHED;
    out->write_ack = (Portside__WriteAck)def->write_ack;
    out->tls_mode = (Portside__TlsMode)def->tls_mode;
    out->tls_ca_pem = fleet_lend(def->tls_ca);
    out->ttl_min_ms = (uint64_t)def->ttl_min_ms;
    out->ttl_max_ms = (uint64_t)def->ttl_max_ms;
    out->pool_max = (uint32_t)def->pool_max;
    out->pool_queue_max = (uint32_t)def->pool_queue_max;
    out->pool_queue_timeout_ms = (uint64_t)def->pool_queue_timeout_ms;
    out->pool_idle_timeout_ms = (uint64_t)def->pool_idle_timeout_ms;
    out->connect_timeout_ms = (uint64_t)def->connect_timeout_ms;
    out->query_timeout_ms = (uint64_t)def->query_timeout_ms;
    out->max_entry_bytes = (uint64_t)def->max_entry_bytes;
    out->enabled = def->enabled != 0;
    out->revision = (uint64_t)def->revision;
    out->invalidation_off = !def->invalidation;
    out->default_database = fleet_lend(def->default_database);
}

static void
put_limits(const struct ps_cache_def *def, Portside__CacheLimits *out)
{
    portside__cache_limits__init(out);
    out->pool_cache_max = (uint32_t)def->pool_cache_max;
    out->pool_min_idle = (uint32_t)def->pool_min_idle;
    out->pool_max_age_ms = (uint64_t)def->pool_max_age_ms;
    out->pool_check_after_ms = (uint64_t)def->pool_check_after_ms;
    out->breaker_failures = (uint32_t)def->breaker_failures;
    out->breaker_open_ms = (uint64_t)def->breaker_open_ms;
    out->slow_start_ms = (uint64_t)def->slow_start_ms;
    out->concurrency_max = (uint32_t)def->concurrency_max;
    out->rate_limit = (uint32_t)def->rate_limit;
    out->rate_burst = (uint32_t)def->rate_burst;
    out->memory_share_percent = (uint32_t)def->memory_share_percent;
}

static enum ps_rc
longer(void *arg, const struct ps_cache_def *def)
{
    uint64_t *ms = arg;
    *ms = PS_MAX(*ms, (uint64_t)def->query_timeout_ms);
    return PS_OK;
}

uint64_t
fleet_write_ms(struct ps_fleet *fleet)
{
    struct ps_err err;
    if (ps_db_cache_each(fleet->conf.db, NULL, "", longer, &fleet->write_ms,
                         &err) != PS_OK)
        ps_error("fleet", "cannot read the caches' time limits: %s",
                 err.message);
    return fleet->write_ms + PS_FLEET_WRITE_MARGIN_MS;
}

struct packing {
    struct ps_db *db;
    struct ps_buf *packed;
    struct ps_err *err;
};

/* Of one cache; owned, with their keys. */
struct rules {
    Portside__CacheRule **items;
    size_t n;
};

static enum ps_rc
add_rule(void *arg, const struct ps_rule_def *def)
{
    struct rules *rules = arg;
    Portside__CacheRule *rule = malloc(sizeof(*rule));
    char *key = strdup(def->key);
    if (!rule || !key || rules->n == PS_DB_RULES_MAX) {
        free(rule);
        free(key);
        return PS_NO_MEMORY;
    }
    portside__cache_rule__init(rule);
    rule->type = (Portside__RuleType)def->type;
    rule->mode = (Portside__RuleMode)def->mode;
    rule->key = key;
    rule->ttl_ms = (uint64_t)def->ttl_ms;
    rule->stale_if_error_ms = (uint64_t)def->stale_if_error_ms;
    rule->stale_while_revalidate_ms = (uint64_t)def->stale_while_revalidate_ms;
    rules->items[rules->n++] = rule;
    return PS_OK;
}

static void
rules_done(struct rules *rules)
{
    for (size_t i = 0; i < rules->n; i++) {
        free(rules->items[i]->key);
        free(rules->items[i]);
    }
    free(rules->items);
}

/* Packs each cache as it comes from the store; a message's repeated field is
 * its elements one behind the other. */
static enum ps_rc
pack_cache(struct ps_buf *packed, Portside__CacheConfig *config)
{
    Portside__CacheConfig *one[] = {config};
    Portside__Snapshot part = PORTSIDE__SNAPSHOT__INIT;
    part.n_caches = 1;
    part.caches = one;
    size_t len = portside__snapshot__get_packed_size(&part);
    char *to = ps_buf_reserve(packed, len);
    if (!to)
        return ps_buf_rc(packed);
    portside__snapshot__pack(&part, (uint8_t *)to);
    packed->len += len;
    return PS_OK;
}

static enum ps_rc
add_cache(void *arg, const struct ps_cache_def *def)
{
    struct packing *packing = arg;
    Portside__CacheConfig config;
    Portside__CacheLimits limits;
    struct rules rules = {.items = NULL};
    rules.items = calloc(PS_DB_RULES_MAX, sizeof(*rules.items));
    if (!rules.items)
        return PS_NO_MEMORY;
    fleet_cache_config(def, &config);
    put_limits(def, &limits);
    config.limits = &limits;
    enum ps_rc rc = ps_db_rule_each(packing->db, def->id, NULL, add_rule,
                                    &rules, packing->err);
    config.rules = rules.items;
    config.n_rules = rules.n;
    if (rc == PS_OK)
        rc = pack_cache(packing->packed, &config);
    rules_done(&rules);
    return rc;
}

/* The scalar fields in front of the caches make the message whole. */
static enum ps_rc
pack_snapshot(struct ps_fleet *fleet, uint64_t version, struct ps_buf *packed,
              struct ps_err *err)
{
    Portside__Snapshot head = PORTSIDE__SNAPSHOT__INIT;
    head.version = version;
    head.lease_ms = fleet->conf.lease_ms;
    head.tick_ms = fleet->conf.tick_ms;
    head.heartbeat_ms = fleet->conf.heartbeat_ms;
    size_t len = portside__snapshot__get_packed_size(&head);
    char *to = ps_buf_reserve(packed, len);
    if (!to)
        return ps_err_set(err, ps_buf_rc(packed), NULL);
    portside__snapshot__pack(&head, (uint8_t *)to);
    packed->len += len;
    struct packing packing = {
        .db = fleet->conf.db, .packed = packed, .err = err};
    return ps_db_cache_each(fleet->conf.db, NULL, "", add_cache, &packing, err);
}

/* A reply around the packed snapshot. */
static enum ps_rc
pack_reply(struct ps_fleet *fleet, const struct ps_buf *packed,
           struct ps_err *err)
{
    Portside__Snapshot *snapshot = portside__snapshot__unpack(
        NULL, packed->len, (const uint8_t *)packed->data);
    if (!snapshot)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    Portside__Reply reply = PORTSIDE__REPLY__INIT;
    reply.code = fleet_lend("ok");
    reply.body_case = PORTSIDE__REPLY__BODY_SNAPSHOT;
    reply.snapshot = snapshot;
    size_t len = portside__reply__get_packed_size(&reply);
    ps_buf_clear(&fleet->snapshot);
    char *to = ps_buf_reserve(&fleet->snapshot, len);
    if (to) {
        portside__reply__pack(&reply, (uint8_t *)to);
        fleet->snapshot.len = len;
    }
    portside__snapshot__free_unpacked(snapshot, NULL);
    enum ps_rc rc = ps_buf_rc(&fleet->snapshot);
    return rc == PS_OK ? PS_OK : ps_err_set(err, rc, NULL);
}

enum ps_rc
fleet_snapshot(struct ps_fleet *fleet, struct ps_str *reply, struct ps_err *err)
{
    uint64_t version = ps_db_config_version(fleet->conf.db);
    if (fleet->snapshot.len == 0 || fleet->snapshot_version != version) {
        struct ps_buf packed;
        ps_buf_init(&packed, FLEET_MESSAGE_MAX);
        enum ps_rc rc = pack_snapshot(fleet, version, &packed, err);
        if (rc == PS_OK)
            rc = pack_reply(fleet, &packed, err);
        ps_buf_done(&packed);
        if (rc != PS_OK) {
            ps_buf_clear(&fleet->snapshot);
            return rc;
        }
        fleet->snapshot_version = version;
    }
    *reply = ps_buf_str(&fleet->snapshot);
    return PS_OK;
}
