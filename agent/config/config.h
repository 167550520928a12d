/*
 * The caches this agent serves, as the control plane last defined them.
 *
 *   link (or the disk copy at start) --replace--> [ table ] --find--> requests
 *
 * A definition is immutable and refcounted; a change makes a new one, so a
 * request keeps the definition it began with. Any thread.
 */
#ifndef PS_AGENT_CONFIG_CONFIG_H
#define PS_AGENT_CONFIG_CONFIG_H

#include "agent/config/load.h"
#include "common/base.h"
#include "common/err.h"

/* X(name, text, knex_alias, default port) */
#define PS_PROVIDER_TABLE(X)      \
    X(POSTGRES, "postgres", 5432) \
    X(MYSQL, "mysql", 3306)       \
    X(MARIADB, "mariadb", 3306)   \
    X(MSSQL, "mssql", 1433)

enum ps_provider {
#define X(name, text, port) PS_PROVIDER_##name,
    PS_PROVIDER_TABLE(X)
#undef X
    PS_PROVIDER_COUNT
};
const char *ps_provider_text(enum ps_provider provider);
/* false when text is none of them. */
bool ps_provider_parse(struct ps_str text, enum ps_provider *provider);
uint16_t ps_provider_port(enum ps_provider provider);

enum ps_tls_mode {
    PS_TLS_AUTO, /* verify-full for public names, else prefer */
    PS_TLS_DISABLE,
    PS_TLS_PREFER,
    PS_TLS_REQUIRE,
    PS_TLS_VERIFY_CA,
    PS_TLS_VERIFY_FULL
};

/*
 * What an operator wants kept, and for how long. A read is matched by its text,
 * else by its template, else by all of its tables (agent/req/rules.c).
 */
enum ps_rule_type {
    PS_RULE_QUERY,    /* key: the statement as clients send it */
    PS_RULE_TEMPLATE, /* key: any statement of the template */
    PS_RULE_TABLE     /* key: a table's name, or schema.name */
};
enum ps_rule_mode {
    PS_RULE_AUTO, /* automatic mode, also where it is not the default */
    PS_RULE_TTL,  /* from the first time on, for ttl_ms */
    PS_RULE_NEVER
};
struct ps_rule {
    enum ps_rule_type type;
    enum ps_rule_mode mode;
    char *key;
    uint64_t ttl_ms;            /* AUTO: at most so long, 0: no bound */
    uint64_t stale_if_error_ms; /* 0: an expired answer is never served */
    uint64_t stale_while_revalidate_ms; /* the same, while another is fetched
                                           in the background */
    /* Of a template's key, put here by who first asks; 0: not yet. */
    _Atomic uint64_t fingerprint;
};

struct ps_cache_conf {
    unsigned magic;
    _Atomic unsigned refs;
    char id[37]; /* UUID, lower case */
    char *name;
    char *host;
    uint16_t port;
    enum ps_provider provider;
    bool enabled;
    bool caching_enabled;
    bool auto_cached;
    bool write_ack_global;
    enum ps_tls_mode tls_mode;
    char *tls_ca_pem;       /* NULL: the system's bundle */
    char *default_database; /* where a client names none; NULL: none */
    uint64_t ttl_min_ms, ttl_max_ms;
    uint32_t pool_max, pool_queue_max; /* of a principal, on one agent */
    uint32_t pool_cache_max;           /* of all of them; 0: no bound */
    uint32_t pool_min_idle;
    uint64_t pool_queue_timeout_ms, pool_idle_timeout_ms;
    uint64_t pool_max_age_ms;     /* of a connection; 0: no bound */
    uint64_t pool_check_after_ms; /* idle for so long: asked before it is
                                     used; 0: never */
    uint32_t breaker_failures;    /* in a row, then it opens; 0: never */
    uint64_t breaker_open_ms;     /* the first time; twice as long each time */
    uint64_t slow_start_ms;       /* after it closed; 0: none */
    uint32_t concurrency_max;     /* requests at the origin; 0: no bound */
    uint32_t rate_limit;          /* requests per second; 0: no bound */
    uint32_t rate_burst;          /* at once; 0: as many as rate_limit */
    struct ps_cache_load *load;   /* a reference; shared by the cache's
                                     definitions one after the other */
    uint64_t connect_timeout_ms, query_timeout_ms;
    uint64_t max_entry_bytes;
    uint32_t memory_share_percent; /* of the agent's answers, at most */
    bool invalidation_off; /* answers live out their time whatever is written */
    struct ps_rule *rules; /* n_rules, owned */
    size_t n_rules;
    uint64_t revision;
};

/* A new definition with defaults and refs 1; id, name and host are copied.
 * NULL without memory. The caller may still change members until it is
 * given away. */
struct ps_cache_conf *ps_cache_conf_new(const char *id, const char *name,
                                        const char *host);
/* One more rule, copied with its key; before the definition is given away. */
PS_MUST_USE enum ps_rc ps_cache_conf_add_rule(struct ps_cache_conf *conf,
                                              const struct ps_rule *rule);
struct ps_cache_conf *ps_cache_conf_ref(struct ps_cache_conf *conf);
void ps_cache_conf_unref(struct ps_cache_conf **conf);
/* Would a connection opened under `a` do under `b`? (same origin address,
 * provider and TLS settings) */
bool ps_cache_conf_same_origin(const struct ps_cache_conf *a,
                               const struct ps_cache_conf *b);

/*
 * conf->tls_mode with AUTO resolved by the host: PREFER for loopback, private
 * and link-local addresses, "localhost", names of one label and names under
 * .local, .internal, .lan and .localhost; VERIFY_FULL for everything else.
 */
enum ps_tls_mode ps_cache_conf_tls_mode(const struct ps_cache_conf *conf);

struct ps_config;

struct ps_config *ps_config_new(void);
void ps_config_free(struct ps_config **config);
/* A reference, or NULL. id is compared in lower case. */
struct ps_cache_conf *ps_config_find(struct ps_config *config,
                                     struct ps_str id);
/* Moves with every ps_config_replace: while it stands still, whoever read it
 * and then found a definition would find the same again. No lock. */
uint64_t ps_config_changes(const struct ps_config *config);
/* Takes over the references in confs (not the array). */
PS_MUST_USE enum ps_rc ps_config_replace(struct ps_config *config,
                                         uint64_t version,
                                         struct ps_cache_conf **confs,
                                         size_t count);
uint64_t ps_config_version(struct ps_config *config);
size_t ps_config_count(struct ps_config *config);

#endif
