/*
 * A cache definition: the record, and the one table of its fields from which
 * come the columns in the database, the JSON of the REST API (reading,
 * checking, writing) and what a PATCH may change.
 *
 * Numbers, booleans, choices and times are all int64_t members, texts are
 * arrays except the long one, so that code can walk the table.
 */
#ifndef PS_CONTROLPLANE_STORE_CACHE_DEF_H
#define PS_CONTROLPLANE_STORE_CACHE_DEF_H

#include "common/base.h"
#include "common/err.h"

/* Values are those of the fabric's messages (proto/portside.proto). */
enum ps_def_type {
    PS_DEF_POSTGRES = 1,
    PS_DEF_MYSQL,
    PS_DEF_MARIADB,
    PS_DEF_MSSQL
};
enum ps_def_behaviour {
    PS_DEF_UNCACHED,
    PS_DEF_AUTO_CACHED
};

enum {
    PS_DEF_TLS_CA_MAX = 65536,
    PS_DEF_DESCRIPTION_MAX = 1024
};

struct ps_cache_def {
    char id[37];
    char name[65];
    char description[PS_DEF_DESCRIPTION_MAX + 1];
    char host[256];
    char *tls_ca; /* owned; NULL counts as "" */
    int64_t port;
    int64_t type; /* enum ps_def_type */
    char default_database[129];
    int64_t caching_enabled;
    int64_t behaviour; /* enum ps_def_behaviour */
    int64_t enabled;
    int64_t write_ack; /* WriteAck of the fabric */
    int64_t tls_mode;  /* TlsMode of the fabric */
    int64_t ttl_min_ms, ttl_max_ms;
    int64_t pool_max, pool_queue_max;
    int64_t pool_queue_timeout_ms, pool_idle_timeout_ms;
    int64_t connect_timeout_ms, query_timeout_ms;
    int64_t max_entry_bytes;
    int64_t invalidation;
    int64_t pool_cache_max, pool_min_idle;
    int64_t pool_max_age_ms, pool_check_after_ms;
    int64_t breaker_failures, breaker_open_ms, slow_start_ms;
    int64_t concurrency_max, rate_limit, rate_burst;
    int64_t memory_share_percent;
    int64_t created_ms, updated_ms;
    int64_t revision;
};

enum ps_def_kind {
    PS_DEF_TEXT,      /* char[size] */
    PS_DEF_LONG_TEXT, /* char *, owned; size: the longest, with the NUL */
    PS_DEF_BOOL,      /* int64_t 0 or 1 */
    PS_DEF_INT,       /* int64_t, min..max */
    PS_DEF_CHOICE,    /* int64_t, one of choices; text in JSON and column */
    PS_DEF_TIME       /* int64_t, milliseconds since 1970 */
};

enum ps_def_access {
    PS_DEF_READ_ONLY,
    PS_DEF_AT_CREATE,
    PS_DEF_ANY_TIME
};

struct ps_def_choice {
    const char *text; /* NULL ends the list */
    int64_t value;
};

struct ps_def_field {
    const char *json;
    const char *column;
    enum ps_def_kind kind;
    enum ps_def_access access;
    bool required; /* at creation */
    size_t offset, size;
    int64_t fallback, min, max;
    const struct ps_def_choice *choices;
};

/* Static, in the order in which the API shows them. */
const struct ps_def_field *ps_def_fields(size_t *count);

static inline int64_t *
ps_def_number(const struct ps_def_field *field, struct ps_cache_def *def)
{
    return (int64_t *)(void *)((char *)def + field->offset);
}

/* The member's text; never NULL. */
const char *ps_def_text(const struct ps_def_field *field,
                        const struct ps_cache_def *def);
/* PS_NO_MEMORY, or PS_TOO_BIG when text is longer than the field. */
PS_MUST_USE enum ps_rc ps_def_set_text(const struct ps_def_field *field,
                                       struct ps_cache_def *def,
                                       struct ps_str text);
/* The text of a choice's value; NULL when it has none. */
const char *ps_def_choice_text(const struct ps_def_choice *choices,
                               int64_t value);
/* False when text is none of the choices. */
bool ps_def_choice_find(const struct ps_def_choice *choices, struct ps_str text,
                        int64_t *value);

/* All fields at their defaults (port 0: to be derived from the type). */
void ps_def_init(struct ps_cache_def *def);
/* Frees what it owns. */
void ps_def_done(struct ps_cache_def *def);
int64_t ps_def_default_port(int64_t type);
/* The type's name, e.g. "postgres". */
const char *ps_def_type_text(int64_t type);
/* What depends on several fields: empty name or host, characters, ttl order.
 * PS_BAD_FIELD or PS_MISSING_FIELD with a message. */
PS_MUST_USE enum ps_rc ps_def_check(const struct ps_cache_def *def,
                                    struct ps_err *err);

#endif
