/* The field table of cache definitions and the few functions that walk it. */
#include "controlplane/store/cache_def.h"

#include "common/tls.h"

#include <inttypes.h>
#include <stdlib.h>

static const struct ps_def_choice types[] = {
    {"postgres", PS_DEF_POSTGRES},
    {"mysql",    PS_DEF_MYSQL   },
    {"mariadb",  PS_DEF_MARIADB },
    {"mssql",    PS_DEF_MSSQL   },
    {NULL,       0              },
};
static const struct ps_def_choice behaviours[] = {
    {"uncached",   PS_DEF_UNCACHED   },
    {"autoCached", PS_DEF_AUTO_CACHED},
    {NULL,         0                 },
};
static const struct ps_def_choice write_acks[] = {
    {"local",  0},
    {"global", 1},
    {NULL,     0},
};
static const struct ps_def_choice tls_modes[] = {
    {"auto",        0},
    {"disable",     1},
    {"prefer",      2},
    {"require",     3},
    {"verify-ca",   4},
    {"verify-full", 5},
    {NULL,          0},
};

#define MEMBER(name)                               \
    .offset = offsetof(struct ps_cache_def, name), \
    .size = sizeof(((struct ps_cache_def *)NULL)->name)
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   INT64_C(3600000)
#define DAY_MS    INT64_C(86400000)

/* clang-format off */
static const struct ps_def_field fields[] = {
    {.json = "id", .column = "id", .kind = PS_DEF_TEXT, MEMBER(id)},
    {.json = "name", .column = "name", .kind = PS_DEF_TEXT,
     .access = PS_DEF_ANY_TIME, .required = true, MEMBER(name)},
    {.json = "description", .column = "description", .kind = PS_DEF_TEXT,
     .access = PS_DEF_ANY_TIME, MEMBER(description)},
    {.json = "host", .column = "host", .kind = PS_DEF_TEXT,
     .access = PS_DEF_ANY_TIME, .required = true, MEMBER(host)},
    {.json = "port", .column = "port", .kind = PS_DEF_INT,
     .access = PS_DEF_ANY_TIME, .min = 1, .max = 65535, MEMBER(port)},
    {.json = "database", .column = "type", .kind = PS_DEF_CHOICE,
     .access = PS_DEF_AT_CREATE, .required = true, .choices = types,
     MEMBER(type)},
    {.json = "defaultDatabase", .column = "default_database",
     .kind = PS_DEF_TEXT, .access = PS_DEF_ANY_TIME,
     MEMBER(default_database)},
    {.json = "cachingEnabled", .column = "caching_enabled",
     .kind = PS_DEF_BOOL, .access = PS_DEF_ANY_TIME, .fallback = 1,
     MEMBER(caching_enabled)},
    {.json = "defaultCachingBehaviour", .column = "behaviour",
     .kind = PS_DEF_CHOICE, .access = PS_DEF_ANY_TIME,
     .fallback = PS_DEF_AUTO_CACHED, .choices = behaviours,
     MEMBER(behaviour)},
    {.json = "enabled", .column = "enabled", .kind = PS_DEF_BOOL,
     .access = PS_DEF_ANY_TIME, .fallback = 1, MEMBER(enabled)},
    {.json = "writeAck", .column = "write_ack", .kind = PS_DEF_CHOICE,
     .access = PS_DEF_ANY_TIME, .choices = write_acks, MEMBER(write_ack)},
    {.json = "tlsMode", .column = "tls_mode", .kind = PS_DEF_CHOICE,
     .access = PS_DEF_ANY_TIME, .choices = tls_modes, MEMBER(tls_mode)},
    {.json = "tlsCa", .column = "tls_ca", .kind = PS_DEF_LONG_TEXT,
     .access = PS_DEF_ANY_TIME,
     .offset = offsetof(struct ps_cache_def, tls_ca),
     .size = PS_DEF_TLS_CA_MAX + 1},
    {.json = "ttlMinMs", .column = "ttl_min_ms", .kind = PS_DEF_INT,
     .access = PS_DEF_ANY_TIME, .fallback = 1000, .max = 365 * DAY_MS,
     MEMBER(ttl_min_ms)},
    {.json = "ttlMaxMs", .column = "ttl_max_ms", .kind = PS_DEF_INT,
     .access = PS_DEF_ANY_TIME, .fallback = HOUR_MS, .max = 365 * DAY_MS,
     MEMBER(ttl_max_ms)},
    {.json = "poolMax", .column = "pool_max", .kind = PS_DEF_INT,
     .access = PS_DEF_ANY_TIME, .fallback = 20, .min = 1, .max = 10000,
     MEMBER(pool_max)},
    {.json = "poolQueueMax", .column = "pool_queue_max", .kind = PS_DEF_INT,
     .access = PS_DEF_ANY_TIME, .fallback = 1000, .max = 1000000,
     MEMBER(pool_queue_max)},
    {.json = "poolQueueTimeoutMs", .column = "pool_queue_timeout_ms",
     .kind = PS_DEF_INT, .access = PS_DEF_ANY_TIME, .fallback = 5000,
     .min = 1, .max = HOUR_MS, MEMBER(pool_queue_timeout_ms)},
    {.json = "poolIdleTimeoutMs", .column = "pool_idle_timeout_ms",
     .kind = PS_DEF_INT, .access = PS_DEF_ANY_TIME, .fallback = MINUTE_MS,
     .min = 1, .max = DAY_MS, MEMBER(pool_idle_timeout_ms)},
    {.json = "poolCacheMax", .column = "pool_cache_max",
     .kind = PS_DEF_INT, .access = PS_DEF_ANY_TIME, .max = 100000,
     MEMBER(pool_cache_max)},
    {.json = "poolMinIdle", .column = "pool_min_idle", .kind = PS_DEF_INT,
     .access = PS_DEF_ANY_TIME, .max = 10000, MEMBER(pool_min_idle)},
    {.json = "poolMaxAgeMs", .column = "pool_max_age_ms",
     .kind = PS_DEF_INT, .access = PS_DEF_ANY_TIME, .fallback = HOUR_MS,
     .max = 30 * DAY_MS, MEMBER(pool_max_age_ms)},
    {.json = "poolCheckAfterMs", .column = "pool_check_after_ms",
     .kind = PS_DEF_INT, .access = PS_DEF_ANY_TIME, .fallback = 30000,
     .max = DAY_MS, MEMBER(pool_check_after_ms)},
    {.json = "breakerFailures", .column = "breaker_failures",
     .kind = PS_DEF_INT, .access = PS_DEF_ANY_TIME, .fallback = 10,
     .max = 10000, MEMBER(breaker_failures)},
    {.json = "breakerOpenMs", .column = "breaker_open_ms",
     .kind = PS_DEF_INT, .access = PS_DEF_ANY_TIME, .fallback = 1000,
     .min = 1, .max = HOUR_MS, MEMBER(breaker_open_ms)},
    {.json = "slowStartMs", .column = "slow_start_ms", .kind = PS_DEF_INT,
     .access = PS_DEF_ANY_TIME, .fallback = 3000, .max = HOUR_MS,
     MEMBER(slow_start_ms)},
    {.json = "concurrencyMax", .column = "concurrency_max",
     .kind = PS_DEF_INT, .access = PS_DEF_ANY_TIME, .max = 1000000,
     MEMBER(concurrency_max)},
    {.json = "rateLimit", .column = "rate_limit", .kind = PS_DEF_INT,
     .access = PS_DEF_ANY_TIME, .max = 1000000, MEMBER(rate_limit)},
    {.json = "rateBurst", .column = "rate_burst", .kind = PS_DEF_INT,
     .access = PS_DEF_ANY_TIME, .max = 1000000, MEMBER(rate_burst)},
    {.json = "connectTimeoutMs", .column = "connect_timeout_ms",
     .kind = PS_DEF_INT, .access = PS_DEF_ANY_TIME, .fallback = 5000,
     .min = 1, .max = 10 * MINUTE_MS, MEMBER(connect_timeout_ms)},
    {.json = "queryTimeoutMs", .column = "query_timeout_ms",
     .kind = PS_DEF_INT, .access = PS_DEF_ANY_TIME, .fallback = 30000,
     .min = 1, .max = DAY_MS, MEMBER(query_timeout_ms)},
    {.json = "maxEntryBytes", .column = "max_entry_bytes",
     .kind = PS_DEF_INT, .access = PS_DEF_ANY_TIME, .fallback = 1 << 20,
     .max = 1 << 30, MEMBER(max_entry_bytes)},
    {.json = "memorySharePercent", .column = "memory_share_percent",
     .kind = PS_DEF_INT, .access = PS_DEF_ANY_TIME, .fallback = 100,
     .min = 1, .max = 100, MEMBER(memory_share_percent)},
    {.json = "invalidationEnabled", .column = "invalidation",
     .kind = PS_DEF_BOOL, .access = PS_DEF_ANY_TIME, .fallback = 1,
     MEMBER(invalidation)},
    {.json = "createdAt", .column = "created_ms", .kind = PS_DEF_TIME,
     MEMBER(created_ms)},
    {.json = "updatedAt", .column = "updated_ms", .kind = PS_DEF_TIME,
     MEMBER(updated_ms)},
    {.json = "revision", .column = "revision", .kind = PS_DEF_INT,
     MEMBER(revision)},
};
/* clang-format on */

const struct ps_def_field *
ps_def_fields(size_t *count)
{
    *count = PS_ARRAY_LEN(fields);
    return fields;
}

const char *
ps_def_text(const struct ps_def_field *field, const struct ps_cache_def *def)
{
    if (field->kind == PS_DEF_LONG_TEXT)
        return def->tls_ca ? def->tls_ca : "";
    return (const char *)def + field->offset;
}

enum ps_rc
ps_def_set_text(const struct ps_def_field *field, struct ps_cache_def *def,
                struct ps_str text)
{
    if (text.len >= field->size)
        return PS_TOO_BIG;
    char *to = (char *)def + field->offset;
    if (field->kind == PS_DEF_LONG_TEXT) {
        to = malloc(text.len + 1);
        if (!to)
            return PS_NO_MEMORY;
        free(def->tls_ca);
        def->tls_ca = to;
    }
    if (text.len)
        memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
    return PS_OK;
}

const char *
ps_def_choice_text(const struct ps_def_choice *choices, int64_t value)
{
    for (; choices->text; choices++)
        if (choices->value == value)
            return choices->text;
    return NULL;
}

bool
ps_def_choice_find(const struct ps_def_choice *choices, struct ps_str text,
                   int64_t *value)
{
    for (; choices->text; choices++) {
        if (ps_str_eq(text, ps_str_of(choices->text))) {
            *value = choices->value;
            return true;
        }
    }
    return false;
}

void
ps_def_init(struct ps_cache_def *def)
{
    *def = (struct ps_cache_def){.revision = 1};
    for (size_t i = 0; i < PS_ARRAY_LEN(fields); i++)
        if (fields[i].fallback)
            *ps_def_number(&fields[i], def) = fields[i].fallback;
}

void
ps_def_done(struct ps_cache_def *def)
{
    free(def->tls_ca);
    def->tls_ca = NULL;
}

int64_t
ps_def_default_port(int64_t type)
{
    switch (type) {
    case PS_DEF_POSTGRES:
        return 5432;
    case PS_DEF_MSSQL:
        return 1433;
    default:
        return 3306;
    }
}

const char *
ps_def_type_text(int64_t type)
{
    return ps_def_choice_text(types, type);
}

static bool
name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == ' ' || c == '.' || c == '_' ||
           c == '-';
}

/* Limits that contradict each other would not do what they say. */
static enum ps_rc
check_limits(const struct ps_cache_def *def, struct ps_err *err)
{
    if (def->pool_min_idle > def->pool_max)
        return ps_err_set(err, PS_BAD_FIELD,
                          "poolMinIdle (%" PRId64 ") is greater than poolMax "
                          "(%" PRId64 "), the most connections there may be",
                          def->pool_min_idle, def->pool_max);
    if (def->pool_cache_max && def->pool_min_idle > def->pool_cache_max)
        return ps_err_set(err, PS_BAD_FIELD,
                          "poolMinIdle (%" PRId64 ") is greater than "
                          "poolCacheMax (%" PRId64 ")",
                          def->pool_min_idle, def->pool_cache_max);
    if (def->rate_burst && !def->rate_limit)
        return ps_err_set(err, PS_BAD_FIELD,
                          "rateBurst means nothing without rateLimit: set "
                          "rateLimit, too, or rateBurst to 0");
    return PS_OK;
}

enum ps_rc
ps_def_check(const struct ps_cache_def *def, struct ps_err *err)
{
    char fingerprint[65];
    if (!def->name[0])
        return ps_err_set(err, PS_MISSING_FIELD, "name is empty");
    for (const char *c = def->name; *c; c++)
        if (!name_char(*c))
            return ps_err_set(err, PS_BAD_FIELD,
                              "name may hold letters, digits, space and "
                              "\"._-\" only");
    if (!def->host[0])
        return ps_err_set(err, PS_MISSING_FIELD, "host is empty");
    for (const char *c = def->host; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '/' || *c == '@')
            return ps_err_set(err, PS_BAD_FIELD,
                              "host is a name or an address, without "
                              "protocol, port, user or spaces");
    if (def->tls_ca && def->tls_ca[0] &&
        ps_tls_fingerprint(def->tls_ca, fingerprint, NULL) != PS_OK)
        return ps_err_set(err, PS_BAD_FIELD,
                          "tlsCa holds no certificate in PEM (\"-----BEGIN "
                          "CERTIFICATE-----\")");
    /* It would be shown to everybody who may look at the cache. */
    if (def->tls_ca && strstr(def->tls_ca, "PRIVATE KEY-----"))
        return ps_err_set(err, PS_BAD_FIELD,
                          "tlsCa holds a private key; send the certificate "
                          "alone");
    if (def->ttl_min_ms > def->ttl_max_ms)
        return ps_err_set(err, PS_BAD_FIELD,
                          "ttlMinMs is greater than ttlMaxMs");
    return check_limits(def, err);
}
