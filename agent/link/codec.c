/* See codec.h. */
#include "agent/link/codec.h"

#include "common/tls.h"

#include <stdlib.h>

static bool
provider_of(Portside__Provider in, enum ps_provider *out)
{
    switch (in) {
    case PORTSIDE__PROVIDER__POSTGRES:
        *out = PS_PROVIDER_POSTGRES;
        return true;
    case PORTSIDE__PROVIDER__MYSQL:
        *out = PS_PROVIDER_MYSQL;
        return true;
    case PORTSIDE__PROVIDER__MARIADB:
        *out = PS_PROVIDER_MARIADB;
        return true;
    case PORTSIDE__PROVIDER__MSSQL:
        *out = PS_PROVIDER_MSSQL;
        return true;
    default:
        return false;
    }
}

static bool
tls_mode_of(Portside__TlsMode in, enum ps_tls_mode *out)
{
    static const struct {
        Portside__TlsMode in;
        enum ps_tls_mode out;
    } modes[] = {
        {PORTSIDE__TLS_MODE__TLS_AUTO,        PS_TLS_AUTO       },
        {PORTSIDE__TLS_MODE__TLS_DISABLE,     PS_TLS_DISABLE    },
        {PORTSIDE__TLS_MODE__TLS_PREFER,      PS_TLS_PREFER     },
        {PORTSIDE__TLS_MODE__TLS_REQUIRE,     PS_TLS_REQUIRE    },
        {PORTSIDE__TLS_MODE__TLS_VERIFY_CA,   PS_TLS_VERIFY_CA  },
        {PORTSIDE__TLS_MODE__TLS_VERIFY_FULL, PS_TLS_VERIFY_FULL},
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(modes); i++) {
        if (modes[i].in == in) {
            *out = modes[i].out;
            return true;
        }
    }
    return false;
}

/* Zero means "not set" in proto3: the default stays. */
static void
set_u64(uint64_t *to, uint64_t value)
{
    if (value > 0)
        *to = value;
}

static void
set_u32(uint32_t *to, uint32_t value)
{
    if (value > 0)
        *to = value;
}

static bool
add_rules(struct ps_cache_conf *c, const Portside__CacheConfig *m)
{
    for (size_t i = 0; i < m->n_rules; i++) {
        const Portside__CacheRule *r = m->rules[i];
        /* proto3 gives numbers that this version has no name for. */
        if ((unsigned)r->type > PS_RULE_TABLE ||
            (unsigned)r->mode > PS_RULE_NEVER || r->key[0] == '\0')
            return false;
        const struct ps_rule rule = {
            .type = (enum ps_rule_type)r->type,
            .mode = (enum ps_rule_mode)r->mode,
            .key = r->key,
            .ttl_ms = r->ttl_ms,
            .stale_if_error_ms = r->stale_if_error_ms,
            .stale_while_revalidate_ms = r->stale_while_revalidate_ms,
        };
        if (ps_cache_conf_add_rule(c, &rule) != PS_OK)
            return false;
    }
    return true;
}

static void
fill_limits(struct ps_cache_conf *c, const Portside__CacheLimits *m)
{
    c->pool_cache_max = m->pool_cache_max;
    c->pool_min_idle = m->pool_min_idle;
    c->pool_max_age_ms = m->pool_max_age_ms;
    c->pool_check_after_ms = m->pool_check_after_ms;
    c->breaker_failures = m->breaker_failures;
    set_u64(&c->breaker_open_ms, m->breaker_open_ms);
    c->slow_start_ms = m->slow_start_ms;
    c->concurrency_max = m->concurrency_max;
    c->rate_limit = m->rate_limit;
    c->rate_burst = m->rate_burst;
    set_u32(&c->memory_share_percent, m->memory_share_percent);
}

static bool
fill_cache(struct ps_cache_conf *c, const Portside__CacheConfig *m)
{
    if (!provider_of(m->provider, &c->provider) ||
        !tls_mode_of(m->tls_mode, &c->tls_mode) || m->port == 0 ||
        m->port > UINT16_MAX)
        return false;
    if (m->tls_ca_pem[0] != '\0') {
        c->tls_ca_pem = strdup(m->tls_ca_pem);
        if (!c->tls_ca_pem)
            return false;
    }
    if (m->default_database[0] != '\0') {
        c->default_database = strdup(m->default_database);
        if (!c->default_database)
            return false;
    }
    c->port = (uint16_t)m->port;
    c->enabled = m->enabled;
    c->caching_enabled = m->caching_enabled;
    c->auto_cached = m->auto_cached;
    c->write_ack_global = m->write_ack == PORTSIDE__WRITE_ACK__ACK_GLOBAL;
    set_u64(&c->ttl_min_ms, m->ttl_min_ms);
    set_u64(&c->ttl_max_ms, m->ttl_max_ms);
    set_u32(&c->pool_max, m->pool_max);
    set_u32(&c->pool_queue_max, m->pool_queue_max);
    set_u64(&c->pool_queue_timeout_ms, m->pool_queue_timeout_ms);
    set_u64(&c->pool_idle_timeout_ms, m->pool_idle_timeout_ms);
    set_u64(&c->connect_timeout_ms, m->connect_timeout_ms);
    set_u64(&c->query_timeout_ms, m->query_timeout_ms);
    set_u64(&c->max_entry_bytes, m->max_entry_bytes);
    c->invalidation_off = m->invalidation_off;
    if (m->limits)
        fill_limits(c, m->limits);
    c->revision = m->revision;
    return add_rules(c, m);
}

struct ps_cache_conf *
ps_codec_cache(const Portside__CacheConfig *m)
{
    if (!ps_uuid_valid(ps_str_of(m->id)) || m->host[0] == '\0')
        return NULL;
    struct ps_cache_conf *c = ps_cache_conf_new(m->id, m->name, m->host);
    if (c && !fill_cache(c, m))
        ps_cache_conf_unref(&c);
    return c;
}

enum ps_rc
ps_codec_pack(const ProtobufCMessage *message, char **data, size_t *len)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    char *bytes = malloc(n ? n : 1);
    if (!bytes)
        return PS_NO_MEMORY;
    *len = protobuf_c_message_pack(message, (uint8_t *)bytes);
    *data = bytes;
    return PS_OK;
}
