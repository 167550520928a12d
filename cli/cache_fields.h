/*
 * What can be set on a cache, in one table: from it come the options of
 * `cache create` and `cache update`, the JSON that is sent, and the lines of
 * `cache show`.
 */
#ifndef PS_CLI_CACHE_FIELDS_H
#define PS_CLI_CACHE_FIELDS_H

#include "cli/ctl.h"

enum ps_field_kind {
    PS_FIELD_TEXT,
    PS_FIELD_FILE, /* the option names a file, the field has its text */
    PS_FIELD_CHOICE,
    PS_FIELD_SWITCH, /* on or off */
    PS_FIELD_INT,
    PS_FIELD_DURATION, /* milliseconds */
    PS_FIELD_BYTES
};

/* X(option, field, kind, value, help). The value of a choice lists what is
 * allowed, divided by bars. */
#define PS_CACHE_FIELDS(X)                                                  \
    X("host", "host", TEXT, "HOST", "name or address of the database")      \
    X("port", "port", INT, "PORT",                                          \
      "its port; default 5432, 3306 or 1433 by type")                       \
    X("default-database", "defaultDatabase", TEXT, "NAME",                  \
      "database of clients that name none")                                 \
    X("description", "description", TEXT, "TEXT", "for people")             \
    X("tls", "tlsMode", CHOICE,                                             \
      "auto|disable|prefer|require|verify-ca|verify-full",                  \
      "TLS with the database; default auto: verify-full for public names, " \
      "else prefer")                                                        \
    X("tls-ca", "tlsCa", FILE, "FILE",                                      \
      "PEM file with the database's CA; default: the system's bundle")      \
    X("write-ack", "writeAck", CHOICE, "local|global",                      \
      "global: a write is answered when every agent has applied its "       \
      "invalidation; default local")                                        \
    X("caching", "cachingEnabled", SWITCH, "on|off",                        \
      "off: every query goes to the database")                              \
    X("default-caching", "defaultCachingBehaviour", CHOICE,                 \
      "autoCached|uncached", "what happens without a rule")                 \
    X("enabled", "enabled", SWITCH, "on|off", "off: queries are refused")   \
    X("ttl-min", "ttlMinMs", DURATION, "DURATION",                          \
      "shortest time to live; default 1s")                                  \
    X("ttl-max", "ttlMaxMs", DURATION, "DURATION",                          \
      "longest time to live; default 1h")                                   \
    X("pool-max", "poolMax", INT, "N",                                      \
      "connections per agent, user and database; default 20")               \
    X("pool-queue-max", "poolQueueMax", INT, "N",                           \
      "requests that may wait for one; default 1000")                       \
    X("pool-queue-timeout", "poolQueueTimeoutMs", DURATION, "DURATION",     \
      "how long they wait; default 5s")                                     \
    X("pool-idle-timeout", "poolIdleTimeoutMs", DURATION, "DURATION",       \
      "an idle connection is closed after; default 1m")                     \
    X("pool-cache-max", "poolCacheMax", INT, "N",                           \
      "connections per agent, all users together; default 0: no bound")     \
    X("pool-min-idle", "poolMinIdle", INT, "N",                             \
      "connections kept ready per agent, user and database; default 0")     \
    X("pool-max-age", "poolMaxAgeMs", DURATION, "DURATION",                 \
      "a connection is replaced after; default 1h, 0: never")               \
    X("pool-check-after", "poolCheckAfterMs", DURATION, "DURATION",         \
      "idle for so long, it is tried before use; default 30s, 0: never")    \
    X("breaker-failures", "breakerFailures", INT, "N",                      \
      "failed connects in a row until the database is given a rest; "       \
      "default 10, 0: never")                                               \
    X("breaker-open", "breakerOpenMs", DURATION, "DURATION",                \
      "how long the first rest is; default 1s")                             \
    X("slow-start", "slowStartMs", DURATION, "DURATION",                    \
      "after it, connections come back over; default 3s")                   \
    X("concurrency-max", "concurrencyMax", INT, "N",                        \
      "requests at the database per agent; default 0: no bound")            \
    X("rate-limit", "rateLimit", INT, "N",                                  \
      "requests per second and agent; default 0: no bound")                 \
    X("rate-burst", "rateBurst", INT, "N",                                  \
      "of them at once; default 0: as many as rate-limit")                  \
    X("connect-timeout", "connectTimeoutMs", DURATION, "DURATION",          \
      "longest time to connect; default 5s")                                \
    X("query-timeout", "queryTimeoutMs", DURATION, "DURATION",              \
      "longest time of one statement; default 30s")                         \
    X("max-entry-bytes", "maxEntryBytes", BYTES, "SIZE",                    \
      "larger answers are not kept; default 1M")                            \
    X("memory-share", "memorySharePercent", INT, "PERCENT",                 \
      "of each agent's memory for answers, at most; default 100: no bound") \
    X("invalidation", "invalidationEnabled", SWITCH, "on|off",              \
      "off: answers live out their time whatever is written")

struct ps_cache_field {
    const char *option, *field;
    enum ps_field_kind kind;
    const char *value;
};
extern const struct ps_cache_field ps_cache_fields[];
extern const size_t ps_cache_field_count;
/* "type", which is said at creation only. */
extern const struct ps_cache_field ps_cache_type_field;

/* The field's value as people write it, as JSON; of a file, its content. NULL:
 * good, *out is owned by the caller; else what would be right. */
PS_MUST_USE const char *ps_cache_field_parse(const struct ps_cache_field *field,
                                             const char *text, json_t **out);
/* The opposite, exactly; to be freed. */
char *ps_cache_field_text(const struct ps_cache_field *field,
                          const json_t *value);

/* Puts what was typed into body. PS_EXIT_USAGE names the option that is
 * wrong. */
PS_MUST_USE enum ps_exit ps_cache_fields_read(struct ps_ctl *ctl, json_t *body);
/* Puts --type into body. */
PS_MUST_USE enum ps_exit ps_cache_type_read(struct ps_ctl *ctl, json_t *body);
/* Adds a line per field of the cache to a table of two columns. */
void ps_cache_fields_show(const json_t *cache, struct ps_table *table);

/* `cache create` and `cache update`; the options come from the table above. */
extern const struct ps_option ps_cache_create_options[];
extern const struct ps_option ps_cache_update_options[];
enum ps_exit ps_cache_create(struct ps_ctl *ctl);
enum ps_exit ps_cache_update(struct ps_ctl *ctl);

#endif
